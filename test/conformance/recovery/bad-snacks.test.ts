/** SNACKs for what was never sent or is no longer there, runs that overflow, DataACKs out of order (RFC 7143 section 11.16). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_ACKNOWLEDGE,
  FLAG_FINAL,
  type HeaderFields,
  lunBytes,
  OPCODE_DATA_IN,
  OPCODE_R2T,
  OPCODE_REJECT,
  OPCODE_SCSI_RESPONSE,
  OPCODE_SNACK_REQUEST,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";
import {
  join,
  REASON_INVALID_DATA_ACK,
  REASON_PROTOCOL_ERROR,
  SNACK_DATA_ACK,
  SNACK_DATA_R2T,
  SNACK_R_DATA,
  SNACK_STATUS,
  snack,
} from "./fixture.js";

const KEYS = {
  ErrorRecoveryLevel: "1",
  MaxConnections: "2",
  InitialR2T: "Yes",
  ImmediateData: "No",
  MaxBurstLength: "16384",
  MaxRecvDataSegmentLength: "4096",
};
const BLOCKS = 64;
/** Of `BLOCKS` in segments of 4096 bytes. */
const DATA_PDUS = 8;
const LAST_SN = 0xffffffff;

const target = startTarget({ session: "errorRecoveryLevel: 2, maxConnections: 2" });

interface ReadDone {
  readonly initiator: RawInitiator;
  readonly tag: number;
  readonly pdus: readonly ReceivedPdu[];
  /** Acknowledges nothing of it. */
  readonly expStatSN: number;
}

/** A READ that has ended, and is kept. */
async function read(): Promise<ReadDone> {
  const initiator = await target.login(KEYS, { strict: false });
  await initiator.command({ cdb: testUnitReady() });
  const expStatSN = initiator.expStatSN!;
  const { initiatorTaskTag: tag } = await initiator.start({
    cdb: read10(0, BLOCKS),
    read: BLOCKS * BLOCK_BYTES,
    fields: { expStatSN },
  });
  const pdus: ReceivedPdu[] = [];
  do pdus.push(await initiator.receive());
  while (pdus.at(-1)!.opcode !== OPCODE_SCSI_RESPONSE);
  assert.equal(pdus.length, DATA_PDUS + 1);
  return { initiator, tag, pdus, expStatSN };
}

/** The SNACK is rejected, and nothing else comes. `dataSN`: the next one of its task (section 11.17.2). */
async function isRejected(
  initiator: RawInitiator,
  request: HeaderFields,
  { reason = REASON_PROTOCOL_ERROR, dataSN = 0 } = {},
): Promise<void> {
  await initiator.send(request);
  const reject = await initiator.expect(OPCODE_REJECT);
  assert.deepEqual([reject.field("reason"), reject.field("dataSN")], [reason, dataSN], JSON.stringify(request));
  assert.equal(reject.data[0]! & 0x3f, OPCODE_SNACK_REQUEST);
}

/** What is kept is kept still: the last Data-In comes again. */
async function isKept({ initiator, tag, pdus, expStatSN }: ReadDone): Promise<void> {
  const begRun = DATA_PDUS - 1;
  await initiator.send(snack(SNACK_DATA_R2T, { initiatorTaskTag: tag, begRun, runLength: 1, expStatSN }));
  const again = await initiator.expect(OPCODE_DATA_IN);
  assert.equal(again.field("dataSN"), begRun);
  assert.ok(again.data.equals(pdus[begRun]!.data));
}

describe("Data SNACK", () => {
  test("for what was never sent, and runs that reach beyond it or overflow", async () => {
    const done = await read();
    const { initiator, tag, expStatSN } = done;
    for (const [begRun, runLength] of [
      [0, DATA_PDUS + 1],
      [DATA_PDUS, 1],
      [DATA_PDUS, 0],
      [DATA_PDUS + 1, 0],
      [DATA_PDUS - 1, LAST_SN],
      [1, LAST_SN],
      [0, LAST_SN],
      [LAST_SN, 0],
      [LAST_SN, 1],
      [LAST_SN, 2],
      [LAST_SN, LAST_SN],
      [0x80000000, 0x80000000],
    ] as const) {
      const request = snack(SNACK_DATA_R2T, { initiatorTaskTag: tag, begRun, runLength, expStatSN });
      await isRejected(initiator, request, { dataSN: DATA_PDUS });
    }
    await isKept(done);
  });

  test("for a task that never was, and for one of another connection", async () => {
    const done = await read();
    const other = await join(target, done.initiator, 1, { strict: false });
    for (const [initiator, tag] of [
      [done.initiator, 0x7777],
      [other, done.tag],
    ] as const) {
      const { expStatSN } = initiator === other ? { expStatSN: other.expStatSN! } : done;
      await isRejected(initiator, snack(SNACK_DATA_R2T, { initiatorTaskTag: tag, begRun: 0, runLength: 1, expStatSN }));
      await isRejected(initiator, snack(SNACK_R_DATA, { initiatorTaskTag: tag, targetTransferTag: 0x55, expStatSN }));
    }
    await isKept(done);
    other.destroy();
  });
});

describe("Status SNACK", () => {
  test("for what was never sent, and runs that reach beyond it or overflow", async () => {
    const done = await read();
    const { initiator, expStatSN } = done;
    // Rejects are statuses too: what was not sent moves on with each of them.
    for (const [offset, runLength] of [
      [1000, 1],
      [1000, 0],
      [0, 1000],
      [0, LAST_SN],
      [1, LAST_SN],
      [0, 0x80000000],
      [-1, 1],
      [-1, 2],
      [-1, 0],
      [0x7fffffff, 1],
    ] as const) {
      await isRejected(initiator, snack(SNACK_STATUS, { begRun: (expStatSN + offset) >>> 0, runLength, expStatSN }));
    }
    // From the one that is next on.
    const next = initiator.expStatSN!;
    await isRejected(initiator, snack(SNACK_STATUS, { begRun: next, runLength: 0, expStatSN }));
    await initiator.send(snack(SNACK_STATUS, { begRun: expStatSN, runLength: 1, expStatSN }));
    assert.equal((await initiator.expect(OPCODE_SCSI_RESPONSE)).statSN, expStatSN);
    // All that is not acknowledged: nothing.
    await initiator.send(snack(SNACK_STATUS, { begRun: 0, runLength: 0, expStatSN: next + 1 }));
    await initiator.good({ cdb: testUnitReady() });
  });
});

describe("R2T SNACK", () => {
  test("for what was not asked for yet, or was answered", async () => {
    const initiator = await target.login(KEYS, { strict: false });
    await initiator.command({ cdb: testUnitReady() });
    const write = pattern(2 * 16384, 3);
    const task = await initiator.start({ cdb: write10(0, write.length / BLOCK_BYTES), write, leaveR2Ts: true });
    const { initiatorTaskTag } = task;
    const first = await initiator.expect(OPCODE_R2T);
    for (const [begRun, runLength] of [
      [1, 1],
      [0, 2],
      [0, LAST_SN],
      [LAST_SN, 1],
      [LAST_SN, LAST_SN],
    ] as const) {
      await isRejected(initiator, snack(SNACK_DATA_R2T, { initiatorTaskTag, begRun, runLength }), { dataSN: 1 });
    }
    await isRejected(initiator, snack(SNACK_R_DATA, { initiatorTaskTag, targetTransferTag: 0x55 }));
    await initiator.answerR2T(task, first);
    const second = await initiator.expect(OPCODE_R2T);
    // A run that ends with one that is out is no better if it begins with one that was answered.
    for (const runLength of [1, 2]) {
      await isRejected(initiator, snack(SNACK_DATA_R2T, { initiatorTaskTag, begRun: 0, runLength }), { dataSN: 2 });
    }
    for (const [begRun, runLength] of [
      [1, 1],
      [1, 0],
      [0, 0],
    ] as const) {
      await initiator.send(snack(SNACK_DATA_R2T, { initiatorTaskTag, begRun, runLength }));
      const again = await initiator.expect(OPCODE_R2T);
      assert.deepEqual([again.field("r2tSN"), again.targetTransferTag], [1, second.targetTransferTag]);
    }
    await isRejected(initiator, snack(SNACK_DATA_R2T, { initiatorTaskTag, begRun: 2, runLength: 0 }), { dataSN: 2 });
    await initiator.answerR2T(task, second);
    assert.equal((await initiator.finish(task)).status, 0);
    await isRejected(initiator, snack(SNACK_DATA_R2T, { initiatorTaskTag, begRun: 1, runLength: 1 }));
    assert.deepEqual(await initiator.good({ cdb: read10(0, write.length / BLOCK_BYTES), read: write.length }), write);
  });
});

describe("DataACK", () => {
  test("back, or beyond what was sent: nothing is given up for it; with a tag of nothing it is ignored", async () => {
    const done = await read();
    const { initiator, tag, pdus, expStatSN } = done;
    const asking = pdus.filter((pdu) => pdu.opcode === OPCODE_DATA_IN && (pdu.flags & FLAG_ACKNOWLEDGE) !== 0);
    // With A=1 both are provided, with A=0 they are reserved (section 11.7.4).
    for (const pdu of pdus.slice(0, -1)) {
      assert.equal(pdu.targetTransferTag !== TAG_NONE, asking.includes(pdu));
      assert.ok(pdu.lun.equals(lunBytes(0)));
    }
    assert.ok(asking.length > 0);
    const { targetTransferTag, lun } = asking[0]!;
    const dataAck = (begRun: number, fields: Partial<HeaderFields> = {}): HeaderFields =>
      snack(SNACK_DATA_ACK, { targetTransferTag, lun, begRun, expStatSN, ...fields });
    for (const begRun of [DATA_PDUS + 1, LAST_SN, 0x80000000]) {
      await isRejected(initiator, dataAck(begRun), { reason: REASON_INVALID_DATA_ACK });
    }
    await initiator.send(dataAck(DATA_PDUS, { targetTransferTag: targetTransferTag ^ 0x10000 }));
    await initiator.send(dataAck(DATA_PDUS, { targetTransferTag: 0xfffffffe }));
    await isKept(done);
    await initiator.send(dataAck(4));
    await isRejected(initiator, dataAck(3), { reason: REASON_INVALID_DATA_ACK });
    await isRejected(initiator, snack(SNACK_DATA_R2T, { initiatorTaskTag: tag, begRun: 3, runLength: 1, expStatSN }), {
      dataSN: DATA_PDUS,
    });
    await initiator.send(dataAck(4));
    await isKept(done);
    await initiator.send(dataAck(DATA_PDUS));
    const last = snack(SNACK_DATA_R2T, { initiatorTaskTag: tag, begRun: DATA_PDUS - 1, runLength: 1, expStatSN });
    await isRejected(initiator, last, { dataSN: DATA_PDUS });
  });
});

for (const [what, fields] of [
  ["without F", { flags: SNACK_STATUS }],
  ["for a status, with an Initiator Task Tag", { flags: FLAG_FINAL | SNACK_STATUS, initiatorTaskTag: 1 }],
  ["for data, without one", { flags: FLAG_FINAL | SNACK_DATA_R2T }],
  [
    "for data, with a Target Transfer Tag",
    { flags: FLAG_FINAL | SNACK_DATA_R2T, initiatorTaskTag: 1, targetTransferTag: 1 },
  ],
  ["R-Data, without a SNACK Tag", { flags: FLAG_FINAL | SNACK_R_DATA, initiatorTaskTag: 1 }],
  ["R-Data, with BegRun", { flags: FLAG_FINAL | SNACK_R_DATA, initiatorTaskTag: 1, targetTransferTag: 1, begRun: 1 }],
  ["DataACK, with RunLength", { flags: FLAG_FINAL | SNACK_DATA_ACK, targetTransferTag: 1, runLength: 1 }],
] as const) {
  test(`a SNACK ${what} is a format error, which ends the session (section 7.7)`, async () => {
    const initiator = await target.login(KEYS, { strict: false });
    const tags = { initiatorTaskTag: TAG_NONE, targetTransferTag: TAG_NONE };
    await initiator.send({ opcode: OPCODE_SNACK_REQUEST, ...tags, ...fields });
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
  });
}
