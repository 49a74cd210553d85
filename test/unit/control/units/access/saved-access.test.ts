import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { PathAccess } from "../../../../../control/config/schema.js";
import { StateDirectory, StateError } from "../../../../../control/config/state-directory.js";
import { reconfigured, withStates } from "../../../../../control/units/access/group-access.js";
import { SavedAccess } from "../../../../../control/units/access/saved-access.js";
import { temporaryFolder } from "../../../../support/undo.js";

const UUID = "0f6ef6a4-1c69-4d6f-9b0a-5b7b6f1f8c3e";
const FILE = `access-states-${UUID}.json`;

const STANDBY = new Map([[1, { state: "standby", preferred: false }]]) satisfies ReadonlyMap<number, PathAccess>;

async function open(context: TestContext) {
  const folder = temporaryFolder(context);
  return { folder, reopen: async () => new SavedAccess(await StateDirectory.open(folder)) };
}

const AT_FIRST = reconfigured(new Map(), STANDBY);
const OPTIMIZED = withStates(AT_FIRST, new Map([[1, 0]]), STANDBY);

test("what was set comes back; what is configured is not kept", async (context) => {
  const { folder, reopen } = await open(context);
  const first = await reopen();
  assert.deepEqual(await first.load(UUID), new Map());
  await first.save(UUID, AT_FIRST);
  assert.deepEqual(readdirSync(folder), []);
  await first.save(UUID, OPTIMIZED);
  const document = JSON.parse(readFileSync(join(folder, FILE), "utf8")) as { data: unknown };
  assert.deepEqual(document.data, { groups: [{ portalGroup: 1, state: "optimized", setOver: "standby" }] });
  assert.deepEqual(await (await reopen()).load(UUID), OPTIMIZED);
});

test("what is overtaken is gone for good", async (context) => {
  const { reopen } = await open(context);
  const first = await reopen();
  await first.load(UUID);
  await first.save(UUID, OPTIMIZED);
  const second = await reopen();
  const unavailable = new Map([[1, { state: "unavailable", preferred: false }]] as const);
  await second.save(UUID, reconfigured(await second.load(UUID), unavailable));
  assert.deepEqual(await (await reopen()).load(UUID), new Map());
});

test("a document that is damaged, or says what cannot be, is refused", async (context) => {
  const { folder, reopen } = await open(context);
  const first = await reopen();
  await first.load(UUID);
  await first.save(UUID, OPTIMIZED);
  const path = join(folder, FILE);
  const whole = readFileSync(path, "utf8");
  for (const text of ["", whole.slice(0, -9), whole.replace('"optimized"', '"offline"')]) {
    writeFileSync(path, text);
    await assert.rejects((await reopen()).load(UUID), (error) => error instanceof StateError);
  }
});
