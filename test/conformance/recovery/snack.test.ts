/** SNACK of every type (RFC 7143 section 11.16). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
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

const DATA_R2T = 0;
const STATUS = 1;
const DATA_ACK = 2;
const R_DATA = 3;
const PROTOCOL_ERROR = 4;
const INVALID_DATA_ACK = 8;

const KEYS = {
  ErrorRecoveryLevel: "1",
  InitialR2T: "Yes",
  ImmediateData: "No",
  MaxBurstLength: "16384",
  MaxRecvDataSegmentLength: "4096",
};
const target = startTarget({ session: "errorRecoveryLevel: 2" });

interface Snack {
  readonly tag?: number;
  readonly transferTag?: number;
  readonly begRun?: number;
  readonly runLength?: number;
  readonly expStatSN?: number;
  readonly lun?: Uint8Array;
}

async function snack(initiator: RawInitiator, type: number, fields: Snack): Promise<void> {
  await initiator.send({
    opcode: OPCODE_SNACK_REQUEST,
    flags: FLAG_FINAL | type,
    initiatorTaskTag: fields.tag ?? TAG_NONE,
    targetTransferTag: fields.transferTag ?? TAG_NONE,
    begRun: fields.begRun ?? 0,
    runLength: fields.runLength ?? 0,
    ...(fields.lun === undefined ? {} : { lun: fields.lun }),
    ...(fields.expStatSN === undefined ? {} : { expStatSN: fields.expStatSN }),
  });
}

/** All PDUs of a read up to its response. */
async function read(initiator: RawInitiator, blocks: number): Promise<{ tag: number; pdus: ReceivedPdu[] }> {
  const header = await initiator.start({ cdb: read10(0, blocks), read: blocks * BLOCK_BYTES });
  const pdus: ReceivedPdu[] = [];
  for (;;) {
    const pdu = await initiator.receive();
    pdus.push(pdu);
    if (pdu.opcode === OPCODE_SCSI_RESPONSE) return { tag: header.initiatorTaskTag, pdus };
  }
}

/** Header and data, but for ExpCmdSN and MaxCmdSN, which are current. */
function replica(pdu: ReceivedPdu): string {
  const header = Buffer.from(pdu.bhs);
  header.fill(0, 28, 36);
  return Buffer.concat([header, pdu.data]).toString("hex");
}

async function prepare(keys: Record<string, string> = {}): Promise<RawInitiator> {
  const initiator = await target.login({ ...KEYS, ...keys }, { strict: false });
  await initiator.good({ cdb: write10(0, 128), write: pattern(128 * BLOCK_BYTES, 9) });
  return initiator;
}

describe("Data SNACK", () => {
  test("a run comes again as it was", async () => {
    const initiator = await prepare();
    const statSN = initiator.expStatSN!;
    const { tag, pdus } = await read(initiator, 64);
    const data = pdus.filter(({ opcode }) => opcode === OPCODE_DATA_IN);
    assert.equal(data.length, 8);
    await snack(initiator, DATA_R2T, { tag, begRun: 2, runLength: 3, expStatSN: statSN });
    for (const expected of data.slice(2, 5)) {
      assert.equal(replica(await initiator.expect(OPCODE_DATA_IN)), replica(expected));
    }
  });

  test("RunLength 0 is all from BegRun on", async () => {
    const initiator = await prepare();
    const statSN = initiator.expStatSN!;
    const { tag, pdus } = await read(initiator, 64);
    await snack(initiator, DATA_R2T, { tag, begRun: 5, runLength: 0, expStatSN: statSN });
    for (const expected of pdus.slice(5, 8)) {
      assert.equal(replica(await initiator.expect(OPCODE_DATA_IN)), replica(expected));
    }
  });

  test("what was never sent is a protocol error", async () => {
    const initiator = await prepare();
    const statSN = initiator.expStatSN!;
    const { tag } = await read(initiator, 64);
    await snack(initiator, DATA_R2T, { tag, begRun: 6, runLength: 3, expStatSN: statSN });
    assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), PROTOCOL_ERROR);
  });

  test("what is acknowledged with its status is a protocol error", async () => {
    const initiator = await prepare();
    const { tag } = await read(initiator, 64);
    await initiator.ping();
    await snack(initiator, DATA_R2T, { tag, begRun: 0, runLength: 1 });
    assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), PROTOCOL_ERROR);
  });
});

describe("Status SNACK", () => {
  test("a response comes again with its StatSN", async () => {
    const initiator = await prepare();
    const statSN = initiator.expStatSN!;
    const task = await initiator.start({ cdb: testUnitReady() });
    const first = await initiator.expect(OPCODE_SCSI_RESPONSE);
    assert.equal(first.initiatorTaskTag, task.initiatorTaskTag);
    await snack(initiator, STATUS, { begRun: statSN, runLength: 1, expStatSN: statSN });
    assert.equal(replica(await initiator.expect(OPCODE_SCSI_RESPONSE)), replica(first));
  });

  test("one that was not sent, or is acknowledged, is a protocol error", async () => {
    const initiator = await prepare();
    const statSN = initiator.expStatSN!;
    await snack(initiator, STATUS, { begRun: statSN + 5, runLength: 1 });
    assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), PROTOCOL_ERROR);
    await snack(initiator, STATUS, { begRun: statSN - 1, runLength: 1 });
    assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), PROTOCOL_ERROR);
  });
});

describe("R2T SNACK", () => {
  test("the R2T comes again as it was", async () => {
    const initiator = await prepare();
    const data = pattern(16 * BLOCK_BYTES, 4);
    const task = await initiator.start({ cdb: write10(0, 16), write: data, leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    await snack(initiator, DATA_R2T, { tag: task.initiatorTaskTag, begRun: 0, runLength: 1 });
    assert.equal(replica(await initiator.expect(OPCODE_R2T)), replica(r2t));
    await initiator.answerR2T(task, r2t);
    assert.equal((await initiator.finish(task)).status, 0);
  });
});

describe("DataACK", () => {
  test("is asked for at the end of each sequence, and ends the right to ask again", async () => {
    const initiator = await prepare();
    const statSN = initiator.expStatSN!;
    const { tag, pdus } = await read(initiator, 128);
    const asking = pdus.filter((pdu) => pdu.opcode === OPCODE_DATA_IN && (pdu.flags & 0x40) !== 0);
    assert.deepEqual(
      asking.map((pdu) => pdu.field("dataSN")),
      [3, 7, 11],
    );
    const [first] = asking;
    await snack(initiator, DATA_ACK, {
      transferTag: first!.targetTransferTag,
      lun: first!.lun,
      begRun: 4,
      expStatSN: statSN,
    });
    await snack(initiator, DATA_R2T, { tag, begRun: 3, runLength: 1, expStatSN: statSN });
    assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), PROTOCOL_ERROR);
    await snack(initiator, DATA_R2T, { tag, begRun: 4, runLength: 1, expStatSN: statSN });
    assert.equal((await initiator.expect(OPCODE_DATA_IN)).field("dataSN"), 4);
  });

  test("of what was not sent is invalid", async () => {
    const initiator = await prepare();
    const statSN = initiator.expStatSN!;
    const { pdus } = await read(initiator, 128);
    const asking = pdus.find((pdu) => (pdu.flags & 0x40) !== 0)!;
    await snack(initiator, DATA_ACK, {
      transferTag: asking.targetTransferTag,
      lun: asking.lun,
      begRun: 99,
      expStatSN: statSN,
    });
    assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), INVALID_DATA_ACK);
  });
});

describe("R-Data SNACK", () => {
  test("all data comes again from DataSN 0, and a response with the SNACK Tag and the same StatSN", async () => {
    const initiator = await prepare();
    const statSN = initiator.expStatSN!;
    const { tag, pdus } = await read(initiator, 64);
    const response = pdus.at(-1)!;
    await snack(initiator, R_DATA, { tag, transferTag: 0x77, expStatSN: statSN });
    const again: Buffer[] = [];
    for (let dataSN = 0; ; dataSN++) {
      const pdu = await initiator.receive();
      if (pdu.opcode === OPCODE_SCSI_RESPONSE) {
        assert.equal(pdu.field("statSN"), response.field("statSN"));
        assert.equal(pdu.bhs.readUInt32BE(20), 0x77, "SNACK Tag");
        break;
      }
      assert.equal(pdu.field("dataSN"), dataSN);
      again.push(pdu.data);
    }
    assert.deepEqual(Buffer.concat(again), pattern(128 * BLOCK_BYTES, 9).subarray(0, 64 * BLOCK_BYTES));
  });
});
