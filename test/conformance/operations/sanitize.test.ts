/** SANITIZE (SBC-4): what it leaves, what it refuses meanwhile, and whom nothing of that concerns. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  getLbaStatus,
  inquiry,
  modeSense6,
  read10,
  readCapacity10,
  readCapacity16,
  reportLuns,
  write10,
} from "../../support/cdb.js";
import { OPCODE_R2T } from "../../support/pdu.js";
import { CONFLICT, GOOD, outcomeOf } from "../../support/sense.js";
import { CACHE_MODES } from "../../support/served-units.js";
import { ABORT_TASK, LOGICAL_UNIT_RESET } from "../../support/task-management.js";
import { Undo } from "../../support/undo.js";
import {
  AUSE,
  assertContent,
  BLOCK_BYTES,
  BLOCK_ERASE,
  CRYPTOGRAPHIC_ERASE,
  diskPath,
  EXIT_FAILURE_MODE,
  Host,
  IMMED,
  INVALID_FIELD_IN_CDB,
  OVERWRITE,
  overwriteList,
  progressOf,
  SANITIZE_IN_PROGRESS,
  sanitizeCommand,
  startTarget,
  UNIT_BYTES,
  WRITE_PROTECTED,
} from "./fixture.js";

const DATA = Buffer.alloc(16 * BLOCK_BYTES, 0x77);
const LAST = UNIT_BYTES / BLOCK_BYTES - 16;

for (const cache of CACHE_MODES) {
  for (const workers of [1, 2]) {
    test(`every method leaves nothing of what was there: ${cache}, ${workers} shards`, async (context) => {
      const undo = new Undo(context);
      const target = await startTarget(undo, { cache, workers });
      const [host, other] = [await Host.logIn(undo, target, "host"), await Host.logIn(undo, target, "other")];
      const pattern = Buffer.from("c0ffee00", "hex");
      for (const [action, list, expected] of [
        [OVERWRITE, overwriteList(pattern, 2), pattern],
        [BLOCK_ERASE, undefined, Buffer.alloc(1)],
        [CRYPTOGRAPHIC_ERASE, undefined, Buffer.alloc(1)],
      ] as const) {
        for (const lba of [0, LAST]) assert.equal(await host.run({ cdb: write10(lba, 16), write: DATA }), GOOD);
        assert.equal(await host.sanitize(action, list), GOOD);
        // Of every session and shard.
        for (const reader of [host, other]) {
          for (const lba of [0, LAST]) {
            const data = await reader.initiator.good({ cdb: read10(lba, 16), read: DATA.length });
            assert.ok(data.equals(Buffer.alloc(DATA.length, expected)), `block ${lba}`);
          }
        }
        assertContent(diskPath(target), expected);
      }
      const status = await host.initiator.good({ cdb: getLbaStatus(0, 24), read: 24 });
      assert.equal(
        status.subarray(8).toString("hex"),
        `0000000000000000${(UNIT_BYTES / 512).toString(16).padStart(8, "0")}01000000`,
      );
      assert.equal(await host.run({ cdb: write10(0, 16), write: DATA }), GOOD);
    });
  }
}

test("with IMMED it goes on in the background: progress, what is refused, what is not", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo, { eraseRate: "8MiB" });
  const [host, other] = [await Host.logIn(undo, target, "host"), await Host.logIn(undo, target, "other")];
  assert.deepEqual(await host.pollable(), { sense: "0/0000", progress: undefined });
  const pattern = Buffer.alloc(BLOCK_BYTES, 0x5a);
  assert.equal(await host.sanitize(IMMED | OVERWRITE, overwriteList(pattern)), GOOD);
  const { sense, progress } = await other.pollable();
  assert.equal(sense, SANITIZE_IN_PROGRESS);
  assert.ok(progress !== undefined);
  const startStop = { cdb: Buffer.from([0x1b, 0, 0, 0, 1, 0]) };
  const persistentReserveIn = { cdb: Buffer.from([0x5e, 0, 0, 0, 0, 0, 0, 0, 8, 0]), read: 8 };
  for (const each of [host, other]) {
    for (const command of [
      { cdb: read10(0, 1), read: BLOCK_BYTES },
      { cdb: write10(0, 1), write: Buffer.alloc(BLOCK_BYTES) },
      { cdb: modeSense6(0x3f), read: 255 },
      startStop,
      persistentReserveIn,
      sanitizeCommand(BLOCK_ERASE),
      sanitizeCommand(EXIT_FAILURE_MODE),
      { cdb: Buffer.from([0x04, 0, 0, 0, 0, 0]) },
    ]) {
      const result = await each.initiator.command(command);
      assert.equal(outcomeOf(result), SANITIZE_IN_PROGRESS, `opcode ${command.cdb[0]}`);
      assert.ok(progressOf(result.sense) !== undefined);
    }
    for (const command of [
      { cdb: inquiry(), read: 255 },
      { cdb: reportLuns(), read: 4096 },
      { cdb: readCapacity10(), read: 8 },
      { cdb: readCapacity16(), read: 32 },
      { cdb: modeSense6(0x08), read: 255 },
    ]) {
      assert.equal(await each.run(command), GOOD);
    }
    // Another unit is not concerned.
    assert.equal(await each.run({ cdb: write10(0, 1), write: Buffer.alloc(BLOCK_BYTES), lun: 2 }), GOOD);
  }
  const seen = await host.untilReady(SANITIZE_IN_PROGRESS);
  assert.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
    "progress goes on",
  );
  assert.ok(new Set(seen).size > 2, `progress seen: ${seen}`);
  // Its shard may hear of the end a moment later.
  await other.untilReady(SANITIZE_IN_PROGRESS);
  assert.deepEqual(await other.pollable(), { sense: "0/0000", progress: undefined });
  assertContent(diskPath(target), pattern);
});

test("commands under way end with the same sense, and none of their data is on the medium afterwards", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo);
  const hosts = [await Host.logIn(undo, target, "host"), await Host.logIn(undo, target, "other")];
  const writes = [];
  for (const { initiator } of hosts) {
    // Half of the data comes before the operation, the other half after it.
    const write = Buffer.alloc(8 * BLOCK_BYTES, 0x99);
    const task = await initiator.start({ cdb: write10(8, 8), write, leaveR2Ts: true });
    writes.push({ initiator, task, r2t: await initiator.expect(OPCODE_R2T) });
  }
  const asking = await Host.logIn(undo, target, "asking");
  assert.equal(await asking.sanitize(BLOCK_ERASE), GOOD);
  for (const { initiator, task, r2t } of writes) {
    await initiator.answerR2T(task, r2t);
    const result = await initiator.finish(task);
    assert.equal(outcomeOf(result), SANITIZE_IN_PROGRESS);
    assert.equal(result.residual, 8 * BLOCK_BYTES, "nothing of it counts");
  }
  assertContent(diskPath(target), Buffer.alloc(1));
});

test("ABORT TASK ends the command, not what it has begun; nor does LOGICAL UNIT RESET or the end of the session", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo, { eraseRate: "8MiB" });
  const host = await Host.logIn(undo, target);
  const { initiator } = host;
  const pattern = Buffer.alloc(BLOCK_BYTES, 0xa5);
  const task = await initiator.start(sanitizeCommand(OVERWRITE, overwriteList(pattern)));
  // Its data is asked for and sent on the way to the answer of another command.
  while ((await host.pollable()).sense !== SANITIZE_IN_PROGRESS) await sleep(5);
  const aborted = await initiator.taskManagement(ABORT_TASK, { referencedTaskTag: task.initiatorTaskTag });
  assert.equal(aborted.response, 0);
  assert.equal(task.end, undefined);
  initiator.forget(task);
  assert.equal(await host.ready(), SANITIZE_IN_PROGRESS);
  assert.equal((await initiator.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
  await initiator.logout();
  const again = await Host.logIn(undo, target);
  assert.equal(await again.ready(), SANITIZE_IN_PROGRESS);
  await again.untilReady(SANITIZE_IN_PROGRESS);
  assertContent(diskPath(target), pattern);
});

test("a command whose session is gone holds nobody up", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo, { eraseRate: "16MiB" });
  const host = await Host.logIn(undo, target);
  await host.initiator.start(sanitizeCommand(OVERWRITE, overwriteList(Buffer.from([1]))));
  while ((await host.pollable()).sense !== SANITIZE_IN_PROGRESS) await sleep(5);
  host.initiator.destroy();
  // The same nexus: its old session is ended first.
  const again = await Host.logIn(undo, target);
  await again.untilReady(SANITIZE_IN_PROGRESS);
  assertContent(diskPath(target), Buffer.from([1]));
});

test("write protection and reservations keep it from the unit", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo);
  const [host, other] = [await Host.logIn(undo, target, "host"), await Host.logIn(undo, target, "other")];
  assert.equal(await host.run({ cdb: write10(0, 16), write: DATA }), GOOD);
  const commands = [
    [OVERWRITE, overwriteList(Buffer.alloc(4))],
    [BLOCK_ERASE, undefined],
    [CRYPTOGRAPHIC_ERASE, undefined],
  ] as const;
  const assertAll = async (expected: string, lun = 0): Promise<void> => {
    for (const [action, list] of commands) assert.equal(await host.sanitize(action, list, lun), expected);
  };
  await assertAll(WRITE_PROTECTED, 1);
  // RESERVE (6), then a persistent reservation, Write Exclusive.
  assert.equal(await other.run({ cdb: Buffer.from([0x16, 0, 0, 0, 0, 0]) }), GOOD);
  await assertAll(CONFLICT);
  assert.equal(await other.run({ cdb: Buffer.from([0x17, 0, 0, 0, 0, 0]) }), GOOD);
  const list = Buffer.alloc(24);
  list[15] = 1;
  assert.equal(await other.run({ cdb: Buffer.from([0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0]), write: list }), GOOD);
  list[7] = 1;
  assert.equal(await other.run({ cdb: Buffer.from([0x5f, 1, 1, 0, 0, 0, 0, 0, 24, 0]), write: list }), GOOD);
  await assertAll(CONFLICT);
  assert.equal(await host.format(), CONFLICT);
  const kept = await host.initiator.good({ cdb: read10(0, 16), read: DATA.length });
  assert.ok(kept.equals(DATA), "nothing was done by half");
  // Its holder may; and what is reserved stays so.
  assert.equal(await other.sanitize(BLOCK_ERASE), GOOD);
  await assertAll(CONFLICT);
});

test("software write protection keeps it from the unit, too", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo);
  const host = await Host.logIn(undo, target);
  const select = (swp: number) => {
    const list = Buffer.alloc(16);
    Buffer.from([0x0a, 10, 0x22, 0x10, swp]).copy(list, 4);
    return host.run({ cdb: Buffer.from([0x15, 0x10, 0, 0, 16, 0]), write: list });
  };
  assert.equal(await select(0x08), GOOD);
  assert.equal(await host.sanitize(BLOCK_ERASE), WRITE_PROTECTED);
  assert.equal(await host.format(), WRITE_PROTECTED);
  assert.equal(await select(0), GOOD);
  assert.equal(await host.sanitize(BLOCK_ERASE), GOOD);
});

test("a bad parameter list, and EXIT FAILURE MODE without a failure, change nothing", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo);
  const host = await Host.logIn(undo, target);
  assert.equal(await host.run({ cdb: write10(0, 16), write: DATA }), GOOD);
  assert.equal(await host.sanitize(OVERWRITE), INVALID_FIELD_IN_CDB);
  assert.equal(await host.sanitize(OVERWRITE, overwriteList(Buffer.alloc(BLOCK_BYTES), 0)), "5/2600");
  assert.equal(await host.sanitize(0x40 | BLOCK_ERASE), INVALID_FIELD_IN_CDB);
  assert.equal(await host.sanitize(EXIT_FAILURE_MODE), GOOD);
  assert.equal(await host.sanitize(AUSE | EXIT_FAILURE_MODE), GOOD);
  const kept = await host.initiator.good({ cdb: read10(0, 16), read: DATA.length });
  assert.ok(kept.equals(DATA));
});

test("a unit that discards all is sanitized at once", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo);
  await target.terminate();
  writeFileSync(
    target.configPath,
    readFileSync(target.configPath, "utf8").replace(/disk: \{.*\}/, "disk: { null: true, size: 1TiB }"),
  );
  await target.run();
  const host = await Host.logIn(undo, target);
  assert.equal(await host.sanitize(OVERWRITE, overwriteList(Buffer.alloc(4))), GOOD);
  assert.equal(await host.ready(), GOOD);
});

test("it goes before all other commands of its nexus, whatever task attribute it has", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo);
  const host = await Host.logIn(undo, target);
  const { initiator } = host;
  const [SIMPLE, ORDERED] = [1, 2];
  for (const attribute of [SIMPLE, ORDERED]) {
    // One runs until its data comes, the other waits for it.
    const running = await initiator.start({ cdb: write10(0, 16), write: DATA, leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    const waiting = await initiator.start({ cdb: read10(0, 1), read: BLOCK_BYTES, attribute: ORDERED });
    assert.equal(await host.run({ ...sanitizeCommand(BLOCK_ERASE | IMMED), attribute }), GOOD);
    assert.equal(waiting.end, undefined);
    await initiator.answerR2T(running, r2t);
    assert.equal(outcomeOf(await initiator.finish(running)), SANITIZE_IN_PROGRESS);
    await initiator.finish(waiting);
    await host.untilReady(SANITIZE_IN_PROGRESS);
  }
});
