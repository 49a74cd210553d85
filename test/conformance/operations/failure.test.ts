/** SANITIZE and FORMAT UNIT that fail, as the file system is full: what the unit answers until it is put right (SBC-4). */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { inquiry, modeSense6, read10 } from "../../support/cdb.js";
import { MemoryFileSystem } from "../../support/file-system.js";
import { GOOD } from "../../support/sense.js";
import type { RunningTarget } from "../../support/target.js";
import { Undo } from "../../support/undo.js";
import {
  AUSE,
  assertContent,
  BLOCK_BYTES,
  BLOCK_ERASE,
  EXIT_FAILURE_MODE,
  FORMAT_COMMAND_FAILED,
  Host,
  IMMED,
  INVALID_FIELD_IN_CDB,
  MEDIUM_FORMAT_CORRUPTED,
  MIB,
  OVERWRITE,
  overwriteList,
  SANITIZE_COMMAND_FAILED,
  SANITIZE_IN_PROGRESS,
  startTarget,
} from "./fixture.js";

const skip = process.getuid?.() === 0 ? false : "mounts take root";
const SIZE = 16 * MIB;
const PATTERN = Buffer.from([0xe1]);
/** FMTDATA, and a list with a pattern of one byte. */
const FMTDATA = 0x10;
const FORMAT_LIST = Buffer.from("00880000000100014d", "hex");

/** Its file can only be filled by half. */
async function setUp(context: TestContext): Promise<{
  readonly undo: Undo;
  readonly target: RunningTarget;
  readonly host: Host;
  readonly path: string;
  readonly makeRoom: () => void;
}> {
  const undo = new Undo(context);
  const fileSystem = new MemoryFileSystem(SIZE / 2);
  undo.add(() => fileSystem.release());
  const path = fileSystem.path("disk.img");
  const target = await startTarget(undo, { path, sizeBytes: SIZE });
  return { undo, target, host: await Host.logIn(undo, target), path, makeRoom: () => fileSystem.resize(2 * SIZE) };
}

async function assertFailed(host: Host): Promise<void> {
  assert.equal(await host.ready(), SANITIZE_COMMAND_FAILED);
  assert.equal(await host.run({ cdb: read10(0, 1), read: BLOCK_BYTES }), SANITIZE_COMMAND_FAILED);
  assert.equal(await host.run({ cdb: modeSense6(0x3f), read: 255 }), SANITIZE_COMMAND_FAILED);
  assert.equal(await host.format(), SANITIZE_COMMAND_FAILED);
  assert.deepEqual(await host.pollable(), { sense: SANITIZE_COMMAND_FAILED, progress: undefined });
  assert.equal(await host.run({ cdb: inquiry(), read: 255 }), GOOD);
  assert.equal(await host.run({ cdb: modeSense6(0x08), read: 255 }), GOOD);
}

test("SANITIZE without AUSE: only a SANITIZE that succeeds gives the unit back, also after a crash", {
  skip,
}, async (context) => {
  const { undo, target, host, path, makeRoom } = await setUp(context);
  assert.equal(await host.sanitize(OVERWRITE, overwriteList(PATTERN)), SANITIZE_COMMAND_FAILED);
  await assertFailed(host);
  assert.equal(await host.sanitize(EXIT_FAILURE_MODE), INVALID_FIELD_IN_CDB);
  assert.equal(await host.sanitize(AUSE | OVERWRITE, overwriteList(PATTERN)), INVALID_FIELD_IN_CDB);
  assert.equal(await host.sanitize(AUSE | BLOCK_ERASE), INVALID_FIELD_IN_CDB);
  await target.kill9();
  await target.run();
  const again = await Host.logIn(undo, target);
  await assertFailed(again);
  // It fails anew, with IMMED.
  assert.equal(await again.sanitize(IMMED | OVERWRITE, overwriteList(PATTERN)), GOOD);
  let outcome = SANITIZE_IN_PROGRESS;
  while (outcome === SANITIZE_IN_PROGRESS) outcome = await again.ready();
  assert.equal(outcome, SANITIZE_COMMAND_FAILED);
  makeRoom();
  assert.equal(await again.sanitize(OVERWRITE, overwriteList(PATTERN)), GOOD);
  assert.equal(await again.ready(), GOOD);
  assertContent(path, PATTERN, SIZE);
});

test("SANITIZE with AUSE: EXIT FAILURE MODE gives the unit back as it is", { skip }, async (context) => {
  const { undo, target, host } = await setUp(context);
  assert.equal(await host.sanitize(AUSE | OVERWRITE, overwriteList(PATTERN)), SANITIZE_COMMAND_FAILED);
  await assertFailed(host);
  assert.equal(await host.sanitize(EXIT_FAILURE_MODE), GOOD);
  assert.equal(await host.ready(), GOOD);
  const data = await host.initiator.good({ cdb: read10(0, 1), read: BLOCK_BYTES });
  assert.ok(data.equals(Buffer.alloc(BLOCK_BYTES, PATTERN)), "what was written before it failed");
  await target.kill9();
  await target.run();
  assert.equal(await (await Host.logIn(undo, target)).ready(), GOOD);
});

test("another method may succeed where one has failed", { skip }, async (context) => {
  const { host, path } = await setUp(context);
  assert.equal(await host.sanitize(OVERWRITE, overwriteList(PATTERN)), SANITIZE_COMMAND_FAILED);
  assert.equal(await host.sanitize(BLOCK_ERASE), GOOD);
  assert.equal(await host.ready(), GOOD);
  assertContent(path, Buffer.alloc(1), SIZE);
});

test("FORMAT UNIT: the format is corrupt until it, or SANITIZE, succeeds", { skip }, async (context) => {
  const { undo, target, host, path, makeRoom } = await setUp(context);
  assert.equal(await host.format(FMTDATA, FORMAT_LIST), FORMAT_COMMAND_FAILED);
  const assertCorrupt = async (session: Host): Promise<void> => {
    assert.equal(await session.run({ cdb: read10(0, 1), read: BLOCK_BYTES }), MEDIUM_FORMAT_CORRUPTED);
    // What does not need the medium works, and stopping and starting the unit mends nothing.
    assert.equal(await session.run({ cdb: modeSense6(0x3f), read: 255 }), GOOD);
    for (const start of [0, 1]) {
      assert.equal(await session.run({ cdb: Buffer.from([0x1b, 0, 0, 0, 0x04 | start, 0]) }), GOOD);
    }
    assert.deepEqual(await session.pollable(), { sense: MEDIUM_FORMAT_CORRUPTED, progress: undefined });
  };
  await assertCorrupt(host);
  assert.equal(await host.sanitize(EXIT_FAILURE_MODE), GOOD);
  await assertCorrupt(host);
  await target.kill9();
  await target.run();
  const again = await Host.logIn(undo, target);
  await assertCorrupt(again);
  makeRoom();
  assert.equal(await again.format(FMTDATA, FORMAT_LIST), GOOD);
  assert.equal(await again.ready(), GOOD);
  assertContent(path, Buffer.from([0x4d]), SIZE);
});
