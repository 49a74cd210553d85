import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import * as nodeFiles from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  DamagedStateError,
  StateDirectory,
  StateError,
  type StateFiles,
} from "../../../../../control/config/state-directory.js";
import { SavedReservations } from "../../../../../control/units/reservations/saved-reservations.js";
import { UNRESERVED } from "../../../../../control/units/reservations/state.js";
import { temporaryFolder } from "../../../../support/undo.js";
import { A, A2, ALL_TYPES, APTPL, B, CLEAR, REGISTER, Unit } from "./fixture.js";

const UUID = "0f6ef6a4-1c69-4d6f-9b0a-5b7b6f1f8c3e";

function folder(context: TestContext): string {
  const path = temporaryFolder(context);
  return join(path, "state");
}

async function open(path: string, files?: StateFiles): Promise<SavedReservations> {
  return new SavedReservations(await StateDirectory.open(path, files));
}

function documentOf(path: string): string {
  return join(path, `reservations-${UUID}.json`);
}

test("with APTPL all comes back but PRGENERATION, of every type", async (context) => {
  const path = folder(context);
  for (const type of ALL_TYPES) {
    const unit = new Unit();
    unit.out(A, REGISTER, { actionKey: 1, flags: APTPL });
    unit.out(B, REGISTER, { actionKey: 0x7fff, flags: APTPL });
    unit.out(A2, REGISTER, { actionKey: 1, flags: APTPL });
    unit.reserved(B, 0x7fff, type);
    const saved = await open(path);
    await saved.load(UUID);
    await saved.save(UUID, unit.state);
    assert.deepEqual(await (await open(path)).load(UUID), { ...unit.state, generation: 0 });
  }
});

test("without APTPL nothing comes back, also of what was kept before", async (context) => {
  const path = folder(context);
  const unit = new Unit();
  unit.out(A, REGISTER, { actionKey: 1, flags: APTPL });
  const saved = await open(path);
  await saved.load(UUID);
  await saved.save(UUID, unit.state);
  unit.out(B, REGISTER, { actionKey: 2 });
  await saved.save(UUID, unit.state);
  assert.deepEqual(await (await open(path)).load(UUID), UNRESERVED);
});

test("APTPL itself comes back where nobody is registered", async (context) => {
  const path = folder(context);
  const unit = new Unit();
  unit.out(A, REGISTER, { actionKey: 1, flags: APTPL });
  unit.out(A, CLEAR, { key: 1 });
  const saved = await open(path);
  await saved.load(UUID);
  await saved.save(UUID, unit.state);
  assert.deepEqual(await (await open(path)).load(UUID), { ...UNRESERVED, survivesPowerLoss: true });
});

test("what RESERVE holds is never kept", async (context) => {
  const path = folder(context);
  const unit = new Unit();
  unit.state = { ...unit.state, survivesPowerLoss: true };
  unit.reserve(A);
  const saved = await open(path);
  await saved.load(UUID);
  await saved.save(UUID, unit.state);
  assert.deepEqual(await (await open(path)).load(UUID), { ...UNRESERVED, survivesPowerLoss: true });
});

test("nothing is written where nothing would be different", async (context) => {
  const path = folder(context);
  const unit = new Unit().registered([A, 1]).reserved(A, 1, 3);
  const saved = await open(path);
  await saved.load(UUID);
  await saved.save(UUID, unit.state);
  assert.throws(() => statSync(documentOf(path)), /ENOENT/);
  unit.out(A, REGISTER, { key: 1, actionKey: 1, flags: APTPL });
  await saved.save(UUID, unit.state);
  const { ino } = statSync(documentOf(path));
  await saved.save(UUID, { ...unit.state, generation: 77 });
  assert.equal(statSync(documentOf(path)).ino, ino);
});

test("after a write that failed the next one is made, whatever it is", async (context) => {
  const path = folder(context);
  let fails = false;
  const files: StateFiles = {
    ...nodeFiles,
    rename: (from, to) => (fails ? Promise.reject(new Error("no")) : nodeFiles.rename(from, to)),
  };
  const saved = await open(path, files);
  await saved.load(UUID);
  const unit = new Unit();
  const { state: before } = unit;
  unit.out(A, REGISTER, { actionKey: 1, flags: APTPL });
  fails = true;
  await assert.rejects(saved.save(UUID, unit.state), StateError);
  fails = false;
  await saved.save(UUID, before);
  assert.ok(readFileSync(documentOf(path), "utf8").includes('"survivesPowerLoss": false'));
});

test("what cannot be trusted is a clear error", async (context) => {
  const path = folder(context);
  const saved = await open(path);
  await saved.load(UUID);
  const unit = new Unit();
  unit.out(A, REGISTER, { actionKey: 1, flags: APTPL });
  await saved.save(UUID, unit.state);
  const text = readFileSync(documentOf(path), "utf8");
  for (const damaged of [text.slice(0, -10), text.replace("0001", "0002"), ""]) {
    writeFileSync(documentOf(path), damaged);
    await assert.rejects((await open(path)).load(UUID), (error: Error) => {
      assert.ok(error instanceof DamagedStateError);
      assert.match(error.message, /reservations-.*\.json is damaged: .* move it away to start without/);
      return true;
    });
  }
});

test("a document that is whole and contradicts itself is an error too", async (context) => {
  const path = folder(context);
  const registration = { ...A, key: "0000000000000001" };
  const held = (reservation: unknown, registrations: unknown[] = [registration]) => ({
    survivesPowerLoss: true,
    registrations,
    reservation,
  });
  const directory = await StateDirectory.open(path);
  for (const content of [
    held({ type: 3, holder: B }),
    held({ type: 3, holder: null }),
    held({ type: 7, holder: A }),
    held({ type: 2, holder: A }),
    held({ type: 7, holder: null }, []),
    held(null, [registration, registration]),
    held(null, [{ ...registration, key: "0000000000000000" }]),
    held(null, [{ ...registration, key: "1" }]),
    held(null, [{ ...registration, isid: "1" }]),
    { ...held(null), more: 1 },
  ]) {
    await directory.write(`reservations-${UUID}`, content);
    const loading = (await open(path)).load(UUID);
    await assert.rejects(loading, /is damaged: its content has an unexpected form/, JSON.stringify(content));
  }
  await directory.write(`reservations-${UUID}`, held({ type: 3, holder: A }));
  assert.equal((await (await open(path)).load(UUID)).reservation?.kind, "holder");
});
