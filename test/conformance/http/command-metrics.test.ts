/** The metrics say what an initiator has done: commands, bytes, errors and times of its unit, its target and itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { read16, write16 } from "../../support/cdb.js";
import { FLAG_FINAL, OPCODE_DATA_IN, OPCODE_SCSI_RESPONSE, OPCODE_SNACK_REQUEST, TAG_NONE } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";

const BLOCK = 512;
const CHECK_CONDITION = 2;
const INITIATOR_NAME = "iqn.2026-11.io.ringlun:metrics";

test("commands are counted by unit, target and initiator, also when their session is gone", async (context) => {
  const target = await RunningTarget.start({ workers: 2 });
  context.after(() => target.stop());
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({ initiatorName: INITIATOR_NAME, targetName: TARGET_NAME });
  const before = await scrape(target);
  for (let i = 0; i < 3; i++) await initiator.good({ cdb: write16(i * 8, 8), write: Buffer.alloc(8 * BLOCK, i) });
  await initiator.good({ cdb: read16(0, 24), read: 24 * BLOCK });
  const refused = await initiator.command({ cdb: read16(2 ** 40, 1), read: BLOCK });
  assert.equal(refused.status, CHECK_CONDITION);
  const during = await scrape(target);
  await initiator.logout();
  initiator.destroy();
  const after = await scrape(target);
  for (const scope of [
    `unit{unit="disk"`,
    `target{target="${TARGET_NAME}"`,
    `initiator{initiator="${INITIATOR_NAME}"`,
  ]) {
    const [kind, label] = scope.split("{") as [string, string];
    const value = (metrics: Metrics, name: string, more = "") =>
      metrics.get(`ringlun_${kind}_${name}{${label}${more}}`) ?? 0;
    for (const metrics of [during, after]) {
      const rise = (name: string, more = "") => value(metrics, name, more) - value(before, name, more);
      assert.equal(rise("commands_total", ',operation="write"'), 3);
      assert.equal(rise("commands_total", ',operation="read"'), 1);
      assert.equal(rise("commands_total", ',operation="other"'), 1);
      assert.equal(rise("bytes_total", ',operation="write"'), 24 * BLOCK);
      assert.equal(rise("bytes_total", ',operation="read"'), 24 * BLOCK);
      assert.equal(rise("errors_total", ',reason="illegal request"'), 1);
      const [count, operation] = kind === "initiator" ? [4, ""] : [3, ',operation="write"'];
      assert.equal(rise("latency_seconds_count", operation), count);
      assert.equal(value(metrics, "commands_in_flight"), 0);
    }
  }
});

test("PDUs are counted by what they are, those that are sent again too; buffers and operations as well", async (context) => {
  const target = await RunningTarget.start({ session: "errorRecoveryLevel: 1" });
  context.after(() => target.stop());
  const initiator = await RawInitiator.connect(target.port, { strict: false });
  const keys = { ErrorRecoveryLevel: "1", ImmediateData: "No", InitialR2T: "Yes", MaxRecvDataSegmentLength: "4096" };
  await initiator.login({ initiatorName: INITIATOR_NAME, targetName: TARGET_NAME, keys });
  for (let i = 0; i < 3; i++) await initiator.good({ cdb: write16(i * 8, 8), write: Buffer.alloc(8 * BLOCK, i) });
  const expStatSN = initiator.expStatSN!;
  const { initiatorTaskTag } = await initiator.start({ cdb: read16(0, 24), read: 24 * BLOCK });
  for (let i = 0; i < 3; i++) await initiator.expect(OPCODE_DATA_IN);
  await initiator.expect(OPCODE_SCSI_RESPONSE);
  await initiator.send({
    ...{ opcode: OPCODE_SNACK_REQUEST, flags: FLAG_FINAL, initiatorTaskTag, targetTransferTag: TAG_NONE },
    ...{ begRun: 1, runLength: 2, expStatSN },
  });
  for (let i = 0; i < 2; i++) await initiator.expect(OPCODE_DATA_IN);
  const metrics = await scrape(target);
  const pdus = (way: string, opcode: string) =>
    metrics.get(`ringlun_shard_${way}_pdus_total{shard="0",opcode="${opcode}"}`);
  assert.deepEqual(
    ["SCSI Command", "SCSI Data-Out", "SNACK Request", "NOP-Out"].map((opcode) => pdus("received", opcode)),
    [4, 3, 1, undefined],
  );
  assert.deepEqual(
    ["Login Response", "R2T", "SCSI Data-In", "SCSI Response", "Reject"].map((opcode) => pdus("sent", opcode)),
    [1, 3, 5, 4, undefined],
  );
  const shard = (name: string) => metrics.get(`ringlun_shard_${name}{shard="0"}`)!;
  assert.equal(shard("resent_pdus_total"), 2);
  // What the read keeps, until its status is acknowledged.
  const inUse = async () => {
    const now = await scrape(target);
    const [all, free] = ["buffer_bytes", "free_buffer_bytes"].map(
      (name) => now.get(`ringlun_shard_${name}{shard="0"}`)!,
    );
    return all! - free!;
  };
  while ((await inUse()) < 24 * BLOCK) await setTimeout(50);
  await initiator.ping();
  while ((await inUse()) > 0) await setTimeout(50);
  while (((await scrape(target)).get('ringlun_shard_submissions_total{shard="0"}') ?? 0) < 20) await setTimeout(50);
  initiator.destroy();
});

type Metrics = Map<string, number>;

async function scrape({ places }: RunningTarget): Promise<Metrics> {
  const response = await fetch(`http://127.0.0.1:${places.httpPort}/metrics`);
  const metrics: Metrics = new Map();
  for (const line of (await response.text()).split("\n")) {
    const space = line.lastIndexOf(" ");
    if (!line.startsWith("#")) metrics.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return metrics;
}
