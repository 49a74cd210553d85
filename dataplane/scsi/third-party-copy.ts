/**
 * THIRD-PARTY COPY OUT and IN (SPC-5, SBC-4): the service actions that there are, what is supported, and the bounds, which
 * RECEIVE COPY OPERATING PARAMETERS and VPD page 8Fh tell and the copy manager in control keeps.
 */
import { setUint64 } from "./uint64.js";

export const OPCODE_COPY_OUT = 0x83;
export const ACTION_EXTENDED_COPY_LID1 = 0x00;
export const ACTION_EXTENDED_COPY_LID4 = 0x01;
export const ACTION_POPULATE_TOKEN = 0x10;
export const ACTION_WRITE_USING_TOKEN = 0x11;
export const ACTION_COPY_OPERATION_ABORT = 0x1c;

export const OPCODE_COPY_IN = 0x84;
export const ACTION_RECEIVE_COPY_STATUS_LID1 = 0x00;
export const ACTION_RECEIVE_COPY_DATA_LID1 = 0x01;
export const ACTION_RECEIVE_COPY_OPERATING_PARAMETERS = 0x03;
export const ACTION_RECEIVE_COPY_FAILURE_DETAILS = 0x04;
export const ACTION_RECEIVE_COPY_STATUS_LID4 = 0x05;
export const ACTION_RECEIVE_ROD_TOKEN_INFORMATION = 0x07;
export const ACTION_REPORT_ALL_ROD_TOKENS = 0x08;

const SUPPORTED_COMMANDS: readonly (readonly [opcode: number, actions: readonly number[]])[] = [
  [
    OPCODE_COPY_OUT,
    [
      ACTION_EXTENDED_COPY_LID1,
      ACTION_EXTENDED_COPY_LID4,
      ACTION_POPULATE_TOKEN,
      ACTION_WRITE_USING_TOKEN,
      ACTION_COPY_OPERATION_ABORT,
    ],
  ],
  [
    OPCODE_COPY_IN,
    [
      ACTION_RECEIVE_COPY_STATUS_LID1,
      ACTION_RECEIVE_COPY_DATA_LID1,
      ACTION_RECEIVE_COPY_OPERATING_PARAMETERS,
      ACTION_RECEIVE_COPY_FAILURE_DETAILS,
      ACTION_RECEIVE_COPY_STATUS_LID4,
      ACTION_RECEIVE_ROD_TOKEN_INFORMATION,
      ACTION_REPORT_ALL_ROD_TOKENS,
    ],
  ],
];

// -- EXTENDED COPY

export const SEGMENT_BLOCK_TO_BLOCK = 0x02;
export const SEGMENT_BLOCK_TO_BLOCK_BYTES = 28;
export const CSCD_IDENTIFICATION = 0xe4;
export const CSCD_BYTES = 32;
/** In ascending order. */
export const IMPLEMENTED_DESCRIPTORS: readonly number[] = [SEGMENT_BLOCK_TO_BLOCK, CSCD_IDENTIFICATION];
/** CSCD descriptor ID of the unit that the command was sent to. */
export const CSCD_ID_OWN_UNIT = 0xffff;

export const CSCD_DESCRIPTORS_MAX = 64;
export const SEGMENT_DESCRIPTORS_MAX = 256;
export const DESCRIPTOR_LIST_BYTES_MAX =
  CSCD_DESCRIPTORS_MAX * CSCD_BYTES + SEGMENT_DESCRIPTORS_MAX * SEGMENT_BLOCK_TO_BLOCK_BYTES;
/** A segment is as long as its field can tell. */
const SEGMENT_BYTES_UNLIMITED = 0;
/** log2 of the shortest thing that is copied: a block of 512 bytes. */
const SEGMENT_GRANULARITY = 9;

/** Copies that run, of all initiators and of one session: one more is answered with BUSY. */
export const COPIES_MAX = 255;
export const COPIES_PER_SESSION_MAX = 32;

// -- RODs

/** The data that the blocks hold when the token is used, not when it was made: nothing is kept for it. */
export const ROD_TYPE_ACCESS_UPON_REFERENCE = 0x0001_0000;
/** Zeroes. Every initiator knows the token; it is never handed out. */
export const ROD_TYPE_BLOCK_ZERO = 0xffff_0001;

export const RANGE_DESCRIPTORS_MAX = 128;
export const TOKEN_INACTIVITY_DEFAULT_S = 60;
export const TOKEN_INACTIVITY_MAX_S = 600;
/** What we recommend for one WRITE USING TOKEN: well within an initiator's patience at a slow store. */
const TOKEN_TRANSFER_BYTES_OPTIMAL = 64 * 1024 * 1024;

const OPERATING_PARAMETERS_BYTES = 44;
const SNLID = 0x01;

/** RECEIVE COPY OPERATING PARAMETERS, whole. */
export function operatingParameters(): Uint8Array {
  const data = new Uint8Array(OPERATING_PARAMETERS_BYTES + IMPLEMENTED_DESCRIPTORS.length);
  const view = new DataView(data.buffer);
  view.setUint32(0, data.length - 4); // AVAILABLE DATA
  data[4] = SNLID;
  view.setUint16(8, CSCD_DESCRIPTORS_MAX);
  view.setUint16(10, SEGMENT_DESCRIPTORS_MAX);
  view.setUint32(12, DESCRIPTOR_LIST_BYTES_MAX);
  view.setUint32(16, SEGMENT_BYTES_UNLIMITED);
  // 20-31 inline data, held data, stream devices: none
  view.setUint16(34, COPIES_MAX); // TOTAL CONCURRENT COPIES
  data[36] = COPIES_PER_SESSION_MAX; // MAXIMUM CONCURRENT COPIES
  data[37] = SEGMENT_GRANULARITY;
  data[43] = IMPLEMENTED_DESCRIPTORS.length;
  data.set(IMPLEMENTED_DESCRIPTORS, OPERATING_PARAMETERS_BYTES);
  return data;
}

// -- VPD page 8Fh. Each descriptor: 0-1 type, 2-3 length of what follows, a multiple of four in all.

const BLOCK_DEVICE_ROD_TOKEN_LIMITS = 0x0000;
const SUPPORTED_COMMANDS_DESCRIPTOR = 0x0001;
const PARAMETER_DATA = 0x0004;
const SUPPORTED_DESCRIPTORS = 0x0008;
const SUPPORTED_CSCD_IDS = 0x000c;
const ROD_TOKEN_FEATURES = 0x0106;
const SUPPORTED_RODS = 0x0108;
const GENERAL_COPY_OPERATIONS = 0x8001;

const ROD_FEATURES_OF_BLOCK_DEVICES_BYTES = 48;
const ROD_TYPE_DESCRIPTOR_BYTES = 64;
const TOKEN_IN = 0x02;
const TOKEN_OUT = 0x01;

/** The page behind its header, for a unit of such blocks. */
export function thirdPartyCopyPage(blockLengthBytes: number): Uint8Array {
  const parts = [
    rodTokenLimits(blockLengthBytes),
    supportedCommands(),
    parameterData(),
    supportedDescriptors(),
    supportedCscdIds(),
    rodTokenFeatures(),
    supportedRods(),
    generalCopyOperations(),
  ];
  const page = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    page.set(new Uint8Array(part.buffer), at);
    at += part.byteLength;
  }
  return page;
}

/** `length`: without padding. */
function descriptor(type: number, length: number): DataView {
  const view = new DataView(new ArrayBuffer((length + 3) & ~3));
  view.setUint16(0, type);
  view.setUint16(2, view.byteLength - 4);
  return view;
}

function rodTokenLimits(blockLengthBytes: number): DataView {
  const view = descriptor(BLOCK_DEVICE_ROD_TOKEN_LIMITS, 36);
  view.setUint16(10, RANGE_DESCRIPTORS_MAX);
  view.setUint32(12, TOKEN_INACTIVITY_MAX_S);
  view.setUint32(16, TOKEN_INACTIVITY_DEFAULT_S);
  // 20-27 MAXIMUM TOKEN TRANSFER SIZE: no limit
  setUint64(view, 28, TOKEN_TRANSFER_BYTES_OPTIMAL / blockLengthBytes); // OPTIMAL TRANSFER COUNT
  return view;
}

function supportedCommands(): DataView {
  const list = SUPPORTED_COMMANDS.flatMap(([opcode, actions]) => [opcode, actions.length, ...actions]);
  const view = descriptor(SUPPORTED_COMMANDS_DESCRIPTOR, 5 + list.length);
  view.setUint8(4, list.length);
  for (const [i, byte] of list.entries()) view.setUint8(5 + i, byte);
  return view;
}

function parameterData(): DataView {
  const view = descriptor(PARAMETER_DATA, 32);
  view.setUint16(8, CSCD_DESCRIPTORS_MAX);
  view.setUint16(10, SEGMENT_DESCRIPTORS_MAX);
  view.setUint32(12, DESCRIPTOR_LIST_BYTES_MAX);
  // 16-19 MAXIMUM INLINE DATA LENGTH: none
  return view;
}

function supportedDescriptors(): DataView {
  const view = descriptor(SUPPORTED_DESCRIPTORS, 5 + IMPLEMENTED_DESCRIPTORS.length);
  view.setUint8(4, IMPLEMENTED_DESCRIPTORS.length);
  for (const [i, code] of IMPLEMENTED_DESCRIPTORS.entries()) view.setUint8(5 + i, code);
  return view;
}

function supportedCscdIds(): DataView {
  const view = descriptor(SUPPORTED_CSCD_IDS, 8);
  view.setUint16(4, 2);
  view.setUint16(6, CSCD_ID_OWN_UNIT);
  return view;
}

function rodTokenFeatures(): DataView {
  const view = descriptor(ROD_TOKEN_FEATURES, 48 + ROD_FEATURES_OF_BLOCK_DEVICES_BYTES);
  // 4 REMOTE TOKENS: none
  view.setUint32(16, 1); // MINIMUM TOKEN LIFETIME, seconds
  view.setUint32(20, 0xffff_ffff); // MAXIMUM TOKEN LIFETIME: as long as it is used
  view.setUint32(24, TOKEN_INACTIVITY_MAX_S);
  view.setUint16(46, ROD_FEATURES_OF_BLOCK_DEVICES_BYTES);
  // DESCRIPTOR FORMAT 000b, PERIPHERAL DEVICE TYPE 00h
  view.setUint16(48 + 2, ROD_FEATURES_OF_BLOCK_DEVICES_BYTES - 4);
  setUint64(view, 48 + 16, TOKEN_TRANSFER_BYTES_OPTIMAL); // OPTIMAL BYTES IN BLOCK ROD TRANSFER
  return view;
}

function supportedRods(): DataView {
  const view = descriptor(SUPPORTED_RODS, 8 + 2 * ROD_TYPE_DESCRIPTOR_BYTES);
  view.setUint16(6, 2 * ROD_TYPE_DESCRIPTOR_BYTES);
  view.setUint32(8, ROD_TYPE_ACCESS_UPON_REFERENCE);
  view.setUint8(8 + 4, TOKEN_IN | TOKEN_OUT);
  view.setUint32(8 + ROD_TYPE_DESCRIPTOR_BYTES, ROD_TYPE_BLOCK_ZERO);
  view.setUint8(8 + ROD_TYPE_DESCRIPTOR_BYTES + 4, TOKEN_IN);
  return view;
}

function generalCopyOperations(): DataView {
  const view = descriptor(GENERAL_COPY_OPERATIONS, 36);
  view.setUint32(4, COPIES_MAX); // TOTAL CONCURRENT COPIES
  view.setUint32(8, COPIES_PER_SESSION_MAX); // MAXIMUM IDENTIFIED CONCURRENT COPIES
  view.setUint32(12, SEGMENT_BYTES_UNLIMITED);
  view.setUint8(16, SEGMENT_GRANULARITY);
  return view;
}
