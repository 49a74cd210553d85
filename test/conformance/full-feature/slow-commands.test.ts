/** Commands that take long are told of in the log: who, what, and where the time went. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OPCODE_R2T } from "../../../dataplane/wire/bhs.js";
import { read10, write10 } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";

const BLOCK = 512;
const SLOW_MS = 100;
const DELAY_MS = 250;
const ATTRIBUTE_ORDERED = 2;
const INITIATOR_NAME = "iqn.2026-11.io.ringlun:slow";

type Line = Readonly<Record<string, unknown>>;

let target: RunningTarget;
let initiator: RawInitiator;

before(async () => {
  target = await RunningTarget.start({
    config: ({ port }) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: ${TARGET_NAME}, portalGroups: [1], luns: { 3: disk, 4: limited } }]
units:
  disk: { file: ./disk.img, size: 1MiB, cache: writeback }
  limited: { null: true, size: 1MiB, limits: { iops: 4, burst: 0 } }
workers: 1
log: { slowCommands: ${SLOW_MS} }
`,
  });
  initiator = await RawInitiator.connect(target.port);
  await initiator.login({ targetName: TARGET_NAME, initiatorName: INITIATOR_NAME, keys: { ImmediateData: "No" } });
});

after(async () => {
  initiator.destroy();
  await target.stop();
});

const lun = 3;
const data = Buffer.alloc(8 * BLOCK, "x");

/** A WRITE whose data comes late, and an ORDERED READ behind it; both have arrived, and the data is asked for, before the delay. */
async function slowWriteAndRead(lba: number): Promise<void> {
  const write = await initiator.start({ cdb: write10(lba, 8), lun, write: data });
  const r2t = await initiator.expect(OPCODE_R2T);
  const read = await initiator.start({ cdb: read10(lba, 4), lun, read: 4 * BLOCK, attribute: ATTRIBUTE_ORDERED });
  await initiator.ping();
  await sleep(DELAY_MS);
  await initiator.answerR2T(write, r2t);
  for (const task of [write, read]) assert.equal((await initiator.finish(task)).status, 0);
}

async function lineOf(command: string, lba: number): Promise<Line> {
  return JSON.parse(await target.waitForLog(new RegExp(`"command":"${command}",.*"lba":${lba},.*"slow command"`)));
}

test("a WRITE whose initiator sends its data late; what waits for its turn behind it", async () => {
  await slowWriteAndRead(16);
  const write = await lineOf("WRITE\\(10\\)", 16);
  const who = { initiator: INITIATOR_NAME, target: TARGET_NAME, cid: 0, unit: "disk", lun, level: 40, shard: 0 };
  const what = {
    command: "WRITE(10)",
    cdb: `2a00000000100000080000${"00".repeat(5)}`,
    bytes: 8 * BLOCK,
    outcome: "good",
  };
  assert.deepEqual({ ...write, ...who, ...what }, write);
  assert.equal(typeof write.sessionId, "number");
  // A timer may fire a millisecond early.
  assert(Number(write.dataMs) >= DELAY_MS - 1 && Number(write.ms) >= Number(write.dataMs), JSON.stringify(write));
  const read = await lineOf("READ\\(10\\)", 16);
  assert.equal(read.bytes, 4 * BLOCK);
  assert.equal(read.dataMs, 0);
  assert(Number(read.waitMs) >= DELAY_MS - 1 && Number(read.ms) >= Number(read.waitMs), JSON.stringify(read));
});

test("one that a limit has held back", async () => {
  const reads: RawTask[] = [];
  for (let lba = 1; lba <= 4; lba++) {
    reads.push(await initiator.start({ cdb: read10(lba, 1), lun: 4, read: BLOCK }));
  }
  for (const read of reads) assert.equal((await initiator.finish(read)).status, 0);
  const { unit, limitMs, ms } = await lineOf("READ\\(10\\)", 4);
  assert.equal(unit, "limited");
  assert(Number(limitMs) > 0 && Number(ms) >= Number(limitMs), `${limitMs} of ${ms} ms`);
});

test("one that is given up is told of when it is", async () => {
  const other = await RawInitiator.connect(target.port);
  await other.login({
    targetName: TARGET_NAME,
    initiatorName: `${INITIATOR_NAME}.gone`,
    keys: { ImmediateData: "No" },
  });
  await other.start({ cdb: write10(32, 8), lun, write: data });
  await other.expect(OPCODE_R2T);
  await sleep(DELAY_MS);
  other.destroy();
  const line = await lineOf("WRITE\\(10\\)", 32);
  assert.equal(line.outcome, "aborted");
  assert(Number(line.dataMs) >= DELAY_MS - 1, JSON.stringify(line));
});

test("how long is too long is changed while it runs", async () => {
  const configuration = await readFile(target.configPath, "utf8");
  await target.configure(configuration.replace(`slowCommands: ${SLOW_MS}`, "slowCommands: 0"));
  target.reload();
  await target.waitForLog(/"configuration reloaded"/);
  const from = target.log.length;
  await slowWriteAndRead(48);
  await initiator.logout();
  // What the shard says comes in its order.
  await target.waitForLog(/"logged out"/, undefined, from);
  assert.deepEqual(
    target.log.slice(from).filter((line) => line.includes("slow command")),
    [],
  );
});
