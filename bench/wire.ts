/**
 * What the views of dataplane/wire cost: `node dist/bench/wire.js`.
 *
 * Before anything is timed, every PDU class is used once, as in a real shard: getters of the base classes then have seen
 * all eighteen shapes. Each round runs all variants, in turn; the table gives median and spread over the rounds, in
 * CPU time of this thread.
 */

import { threadCpuUs } from "io-uring-node";
import { AsyncMessagePdu } from "../dataplane/wire/async-message.js";
import { BHS_LENGTH, FLAG_FINAL, OPCODE_DATA_IN, type Pdu, RESERVED_TAG } from "../dataplane/wire/bhs.js";
import { DataInPdu, FLAG_STATUS } from "../dataplane/wire/data-in.js";
import { DataOutPdu } from "../dataplane/wire/data-out.js";
import { LoginRequestPdu } from "../dataplane/wire/login-request.js";
import { LoginResponsePdu } from "../dataplane/wire/login-response.js";
import { LogoutRequestPdu } from "../dataplane/wire/logout-request.js";
import { LogoutResponsePdu } from "../dataplane/wire/logout-response.js";
import { NopInPdu } from "../dataplane/wire/nop-in.js";
import { NopOutPdu } from "../dataplane/wire/nop-out.js";
import { R2tPdu } from "../dataplane/wire/r2t.js";
import { RejectPdu } from "../dataplane/wire/reject.js";
import { FLAG_READ, ScsiCommandPdu } from "../dataplane/wire/scsi-command.js";
import { ScsiResponsePdu } from "../dataplane/wire/scsi-response.js";
import { SnackRequestPdu } from "../dataplane/wire/snack-request.js";
import { TaskManagementRequestPdu } from "../dataplane/wire/task-management-request.js";
import { TaskManagementResponsePdu } from "../dataplane/wire/task-management-response.js";
import { TextRequestPdu } from "../dataplane/wire/text-request.js";
import { TextResponsePdu } from "../dataplane/wire/text-response.js";
import { environment, formatEnvironment } from "./environment.js";
import { formatTable, median, spread } from "./statistics.js";

const ROUNDS = 15;
const HEADERS = 1024;
const PASSES = 400;

const arena = new SharedArrayBuffer(HEADERS * BHS_LENGTH);
const view = new DataView(arena);
const buffer = Buffer.from(arena);

const ALL: readonly Pdu[] = [
  new AsyncMessagePdu(view),
  new DataInPdu(view),
  new DataOutPdu(view),
  new LoginRequestPdu(view),
  new LoginResponsePdu(view),
  new LogoutRequestPdu(view),
  new LogoutResponsePdu(view),
  new NopInPdu(view),
  new NopOutPdu(view),
  new R2tPdu(view),
  new RejectPdu(view),
  new ScsiCommandPdu(view),
  new ScsiResponsePdu(view),
  new SnackRequestPdu(view),
  new TaskManagementRequestPdu(view),
  new TaskManagementResponsePdu(view),
  new TextRequestPdu(view),
  new TextResponsePdu(view),
];

function useEveryClass(): void {
  for (let pass = 0; pass < 20_000; pass++) {
    for (const pdu of ALL) {
      pdu.at((pass % HEADERS) * BHS_LENGTH).clear();
      pdu.dataSegmentLength = pass;
      pdu.initiatorTaskTag = pass;
      pdu.final = true;
      pdu.lun = pass & 7;
      sink = (sink + pdu.opcode + pdu.dataSegmentLength + pdu.initiatorTaskTag + pdu.lun + pdu.invalid()) >>> 0;
    }
  }
}

/** Keeps results alive. */
let sink = 0;

function fillCommands(): void {
  const command = new ScsiCommandPdu(view);
  for (let index = 0; index < HEADERS; index++) {
    command.at(index * BHS_LENGTH).clear();
    command.flags = FLAG_FINAL | FLAG_READ;
    command.lun = index & 7;
    command.initiatorTaskTag = index;
    command.expectedDataTransferLength = 4096;
    command.cmdSN = index;
    command.expStatSN = index;
  }
}

// Reading: the six fields that a dispatcher needs of a command.

const command = new ScsiCommandPdu(view);

function parseWithView(): void {
  let sum = 0;
  for (let index = 0; index < HEADERS; index++) {
    command.at(index * BHS_LENGTH);
    sum +=
      command.initiatorTaskTag +
      command.expectedDataTransferLength +
      command.cmdSN +
      command.expStatSN +
      command.lunHigh +
      command.dataSegmentLength;
  }
  sink = (sink + sum) >>> 0;
}

function parseAndJudgeWithView(): void {
  let sum = 0;
  for (let index = 0; index < HEADERS; index++) {
    command.at(index * BHS_LENGTH);
    sum +=
      command.invalid() +
      command.initiatorTaskTag +
      command.expectedDataTransferLength +
      command.cmdSN +
      command.expStatSN +
      command.lun +
      command.dataSegmentLength;
  }
  sink = (sink + sum) >>> 0;
}

function parseAdHoc(): void {
  let sum = 0;
  for (let index = 0; index < HEADERS; index++) {
    const offset = index * BHS_LENGTH;
    sum +=
      view.getUint32(offset + 16) +
      view.getUint32(offset + 20) +
      view.getUint32(offset + 24) +
      view.getUint32(offset + 28) +
      view.getUint32(offset + 8) +
      (view.getUint32(offset + 4) & 0xffffff);
  }
  sink = (sink + sum) >>> 0;
}

function parseWithBuffer(): void {
  let sum = 0;
  for (let index = 0; index < HEADERS; index++) {
    const offset = index * BHS_LENGTH;
    sum +=
      buffer.readUInt32BE(offset + 16) +
      buffer.readUInt32BE(offset + 20) +
      buffer.readUInt32BE(offset + 24) +
      buffer.readUInt32BE(offset + 28) +
      buffer.readUInt32BE(offset + 8) +
      buffer.readUIntBE(offset + 5, 3);
  }
  sink = (sink + sum) >>> 0;
}

// Writing: a Data-In header with status.

const dataIn = new DataInPdu(view);

function fillWithView(): void {
  for (let index = 0; index < HEADERS; index++) {
    dataIn.at(index * BHS_LENGTH).clear();
    dataIn.flags = FLAG_FINAL | FLAG_STATUS;
    dataIn.dataSegmentLength = 4096;
    dataIn.initiatorTaskTag = index;
    dataIn.statSN = index;
    dataIn.expCmdSN = index;
    dataIn.maxCmdSN = index + 64;
    dataIn.dataSN = 0;
    dataIn.bufferOffset = 0;
  }
}

function fillAdHoc(): void {
  for (let index = 0; index < HEADERS; index++) {
    const offset = index * BHS_LENGTH;
    view.setUint32(offset, (OPCODE_DATA_IN << 24) | ((FLAG_FINAL | FLAG_STATUS) << 16));
    view.setUint32(offset + 4, 4096);
    view.setUint32(offset + 8, 0);
    view.setUint32(offset + 12, 0);
    view.setUint32(offset + 16, index);
    view.setUint32(offset + 20, RESERVED_TAG);
    view.setUint32(offset + 24, index);
    view.setUint32(offset + 28, index);
    view.setUint32(offset + 32, index + 64);
    view.setUint32(offset + 36, 0);
    view.setUint32(offset + 40, 0);
    view.setUint32(offset + 44, 0);
  }
}

function fillWithBuffer(): void {
  for (let index = 0; index < HEADERS; index++) {
    const offset = index * BHS_LENGTH;
    buffer.fill(0, offset, offset + BHS_LENGTH);
    buffer.writeUInt32BE(((OPCODE_DATA_IN << 24) | ((FLAG_FINAL | FLAG_STATUS) << 16)) >>> 0, offset);
    buffer.writeUInt32BE(4096, offset + 4);
    buffer.writeUInt32BE(index, offset + 16);
    buffer.writeUInt32BE(RESERVED_TAG, offset + 20);
    buffer.writeUInt32BE(index, offset + 24);
    buffer.writeUInt32BE(index, offset + 28);
    buffer.writeUInt32BE(index + 64, offset + 32);
  }
}

const VARIANTS: readonly (readonly [string, () => void])[] = [
  ["parse a command: six getters", parseWithView],
  ["parse a command: six getters and invalid()", parseAndJudgeWithView],
  ["parse a command: DataView, ad hoc", parseAdHoc],
  ["parse a command: Buffer.readUInt32BE", parseWithBuffer],
  ["fill a Data-In: clear() and eight setters", fillWithView],
  ["fill a Data-In: DataView, ad hoc", fillAdHoc],
  ["fill a Data-In: Buffer.writeUInt32BE", fillWithBuffer],
];

function nsPerHeader(run: () => void): number {
  const start = threadCpuUs();
  for (let pass = 0; pass < PASSES; pass++) run();
  return ((threadCpuUs() - start) * 1e3) / (PASSES * HEADERS);
}

useEveryClass();
const samples = VARIANTS.map((): number[] => []);
for (let round = 0; round <= ROUNDS; round++) {
  VARIANTS.forEach(([name, run], index) => {
    if (name.startsWith("parse")) fillCommands();
    const ns = nsPerHeader(run);
    // The first round only warms up.
    if (round > 0) samples[index]!.push(ns);
  });
}

const rows = VARIANTS.map(([name], index) => [
  name,
  median(samples[index]!).toFixed(1),
  `${(spread(samples[index]!) * 100).toFixed(0)} %`,
]);
process.stdout.write(`${formatEnvironment(environment())}\n\n`);
process.stdout.write(`${formatTable([["a header", "ns", "spread"], ...rows])}\n`);
if (sink < 0) throw new Error("unreachable: sink is u32");
