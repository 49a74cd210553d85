import assert from "node:assert/strict";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Allocation } from "../../../../../control/units/allocation/allocation.js";
import { MemoryFileSystem, skipWithoutLoop } from "../../../../support/file-system.js";
import { temporaryFolder } from "../../../../support/undo.js";

const MIB = 2 ** 20;

test("a file has all of its blocks when it is done", async (context) => {
  const path = join(temporaryFolder(context), "disk");
  const allocation = new Allocation(path, 65 * MIB);
  assert.deepEqual(await allocation.ended, { kind: "done" });
  assert.equal(allocation.doneBytes, 65 * MIB);
  const { size, blocks } = statSync(path);
  assert.equal(size, 65 * MIB);
  assert.ok(blocks * 512 >= size);
});

test("one that is stopped leaves nothing", async (context) => {
  const directory = temporaryFolder(context);
  const allocation = new Allocation(join(directory, "disk"), 1024 * MIB);
  allocation.stop();
  assert.deepEqual(await allocation.ended, { kind: "stopped" });
  assert.deepEqual(readdirSync(directory), []);
});

test("one for which there is no room leaves nothing, and says so", { skip: skipWithoutLoop() }, async (context) => {
  const full = new MemoryFileSystem(16 * MIB);
  context.after(() => full.release());
  const { kind, reason } = (await new Allocation(full.path("disk"), 1024 * MIB).ended) as {
    kind: string;
    reason: string;
  };
  assert.equal(kind, "failed");
  assert.match(reason, /no space left/);
  assert.deepEqual(readdirSync(full.directory), []);
});

test("a file that is there is left alone", async (context) => {
  const path = join(temporaryFolder(context), "disk");
  writeFileSync(path, "somebody's");
  assert.equal((await new Allocation(path, MIB).ended).kind, "failed");
  assert.equal(statSync(path).size, 10);
});
