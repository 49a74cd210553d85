/** Data-In that is asked for again (RFC 7143 section 11.16) while other of it waits to be sent, and of a READ that is not all kept. */
import assert from "node:assert/strict";
import test from "node:test";
import { SLICE_BYTES_MAX, TASK_SLICES_MAX } from "../../../../dataplane/limits.js";
import { read10 } from "../../../support/cdb.js";
import {
  buildHeader,
  FLAG_FINAL,
  FLAG_READ,
  OPCODE_DATA_IN,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_SNACK_REQUEST,
} from "../../../support/pdu.js";
import { BLOCK_BYTES, FIRST_CMD_SN, send, setUp } from "./fixture.js";

const [DATA, R_DATA] = [0, 3];
const SIMPLE = 1;
/** MaxRecvDataSegmentLength of the initiator. */
const SEGMENT_BYTES = 8192;

/** The headers of what has come behind the first `from` bytes. */
function headersOf(received: readonly Buffer[], opcode: number, from = 0): Buffer[] {
  const bytes = Buffer.concat(received);
  const headers: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 48 + ((bytes.readUIntBE(at + 5, 3) + 3) & ~3)) {
    if (at >= from && (bytes[at]! & 0x3f) === opcode) headers.push(bytes.subarray(at, at + 48));
  }
  return headers;
}

const dataSNsOf = (headers: readonly Buffer[]): number[] => headers.map((header) => header.readUInt32BE(36));
const snackTagOf = (response: Buffer): number => response.readUInt32BE(20);

/** A READ that has ended and is not acknowledged. */
function setUpRead(length: number) {
  const { cluster, connect } = setUp(0, { errorRecoveryLevel: 1 });
  const { peer, received } = connect();
  send(peer, {
    ...{ opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | FLAG_READ | SIMPLE, initiatorTaskTag: 1 },
    ...{ cmdSN: FIRST_CMD_SN, cdb: read10(0, length / BLOCK_BYTES), expectedDataTransferLength: length },
  });
  cluster.turnUntil(() => headersOf(received, OPCODE_SCSI_RESPONSE).length === 1);
  return { cluster, peer, received };
}

const snack = (type: number, snackTag: number, begRun = 0, runLength = 0): Buffer =>
  buildHeader({
    ...{ opcode: OPCODE_SNACK_REQUEST, flags: FLAG_FINAL | type, lun: 0, initiatorTaskTag: 1 },
    ...{ snackTag, begRun, runLength, expStatSN: 2 },
  });

for (const [what, first] of [
  ["a Data SNACK", snack(DATA, 0xffffffff)],
  ["another one", snack(R_DATA, 0x11)],
] as const) {
  test(`an R-Data SNACK behind ${what}, before anything was sent: all comes once, cut anew, and the response with its tag`, () => {
    const count = 8;
    const { cluster, peer, received } = setUpRead(count * SEGMENT_BYTES);
    const from = Buffer.concat(received).length;
    peer.write(Buffer.concat([first, snack(R_DATA, 0x22)]));
    cluster.turnUntil(() => headersOf(received, OPCODE_SCSI_RESPONSE, from).length > 0);
    assert.deepEqual(dataSNsOf(headersOf(received, OPCODE_DATA_IN, from)), [...Array(count).keys()]);
    assert.deepEqual(headersOf(received, OPCODE_SCSI_RESPONSE, from).map(snackTagOf), [0x22]);
  });
}

test("of a READ whose first buffer was given up for its last one: what the others hold comes again", () => {
  const perSlice = SLICE_BYTES_MAX / SEGMENT_BYTES;
  const { cluster, peer, received } = setUpRead((TASK_SLICES_MAX + 1) * SLICE_BYTES_MAX);
  const from = Buffer.concat(received).length;
  peer.write(snack(DATA, 0xffffffff, perSlice, 1));
  cluster.turnUntil(() => Buffer.concat(received).length > from);
  assert.deepEqual(dataSNsOf(headersOf(received, OPCODE_DATA_IN, from)), [perSlice]);
  peer.write(snack(DATA, 0xffffffff, perSlice - 1, 1));
  cluster.turnUntil(() => headersOf(received, OPCODE_REJECT, from).length > 0);
});
