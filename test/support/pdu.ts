/**
 * PDUs as the tests see them: a table of fields and a Buffer. Deliberately naive and apart from dataplane/wire, so that a
 * mistake in the codecs is not made on both ends of the wire.
 */
import { digestOf } from "./crc32c.js";

export const OPCODE_NOP_OUT = 0x00;
export const OPCODE_SCSI_COMMAND = 0x01;
export const OPCODE_TASK_MANAGEMENT_REQUEST = 0x02;
export const OPCODE_LOGIN_REQUEST = 0x03;
export const OPCODE_TEXT_REQUEST = 0x04;
export const OPCODE_DATA_OUT = 0x05;
export const OPCODE_LOGOUT_REQUEST = 0x06;
export const OPCODE_SNACK_REQUEST = 0x10;
export const OPCODE_NOP_IN = 0x20;
export const OPCODE_SCSI_RESPONSE = 0x21;
export const OPCODE_TASK_MANAGEMENT_RESPONSE = 0x22;
export const OPCODE_LOGIN_RESPONSE = 0x23;
export const OPCODE_TEXT_RESPONSE = 0x24;
export const OPCODE_DATA_IN = 0x25;
export const OPCODE_LOGOUT_RESPONSE = 0x26;
export const OPCODE_R2T = 0x31;
export const OPCODE_ASYNC_MESSAGE = 0x32;
export const OPCODE_REJECT = 0x3f;

export const FLAG_FINAL = 0x80;
export const FLAG_READ = 0x40;
export const FLAG_WRITE = 0x20;
export const FLAG_TRANSIT = 0x80;
export const FLAG_CONTINUE = 0x40;
/** SCSI Response, and Data-In with FLAG_STATUS (RFC 7143 section 11.4.1). */
export const FLAG_OVERFLOW = 0x04;
export const FLAG_UNDERFLOW = 0x02;
/** Data-In (section 11.7.3). */
export const FLAG_STATUS = 0x01;
export const FLAG_ACKNOWLEDGE = 0x40;

/** Initiator Task Tag or Target Transfer Tag that names nothing. */
export const TAG_NONE = 0xffffffff;

export const BHS_BYTES = 48;

/** Field -> [offset, bytes] in the BHS (RFC 7143 chapter 11). Different PDUs use the same bytes under different names. */
const FIELDS = {
  opcodeByte: [0, 1],
  flags: [1, 1],
  byte2: [2, 1],
  byte3: [3, 1],
  versionMax: [2, 1],
  versionMin: [3, 1],
  versionActive: [3, 1],
  response: [2, 1],
  reason: [2, 1],
  status: [3, 1],
  totalAHSLength: [4, 1],
  dataSegmentLength: [5, 3],
  isid: [8, 6],
  tsih: [14, 2],
  initiatorTaskTag: [16, 4],
  expectedDataTransferLength: [20, 4],
  targetTransferTag: [20, 4],
  snackTag: [20, 4],
  referencedTaskTag: [20, 4],
  cid: [20, 2],
  cmdSN: [24, 4],
  statSN: [24, 4],
  expStatSN: [28, 4],
  expCmdSN: [28, 4],
  refCmdSN: [32, 4],
  maxCmdSN: [32, 4],
  dataSN: [36, 4],
  r2tSN: [36, 4],
  expDataSN: [36, 4],
  statusClass: [36, 1],
  statusDetail: [37, 1],
  asyncEvent: [36, 1],
  asyncVCode: [37, 1],
  parameter1: [38, 2],
  parameter2: [40, 2],
  parameter3: [42, 2],
  time2Wait: [40, 2],
  time2Retain: [42, 2],
  bufferOffset: [40, 4],
  begRun: [40, 4],
  runLength: [44, 4],
  residualCount: [44, 4],
  desiredDataTransferLength: [44, 4],
} as const satisfies Record<string, readonly [offset: number, bytes: number]>;

export type FieldName = keyof typeof FIELDS;

/** A header to be built: any of the fields, the parts that are not plain numbers, and the opcode. What is not named is zero. */
export interface HeaderFields extends Partial<Record<FieldName, number>> {
  readonly opcode: number;
  /** The I bit. */
  readonly immediate?: boolean;
  /** A number becomes the eight bytes of a single-level LUN (SAM: peripheral device or flat space addressing). */
  readonly lun?: number | Uint8Array;
  readonly cdb?: Uint8Array | readonly number[];
}

/** A logical unit number below 16384 as the eight bytes of the LUN field. */
export function lunBytes(lun: number): Buffer {
  const bytes = Buffer.alloc(8);
  if (lun < 256) bytes[1] = lun;
  else bytes.writeUInt16BE(0x4000 | lun, 0);
  return bytes;
}

export function buildHeader(fields: HeaderFields): Buffer {
  const header = Buffer.alloc(BHS_BYTES);
  header[0] = fields.opcode | (fields.immediate ? 0x40 : 0);
  if (fields.lun !== undefined) header.set(typeof fields.lun === "number" ? lunBytes(fields.lun) : fields.lun, 8);
  if (fields.cdb !== undefined) header.set(fields.cdb.slice(0, 16), 32);
  for (const name in fields) {
    const place = FIELDS[name as FieldName];
    const value = fields[name as FieldName];
    if (place === undefined || value === undefined) continue;
    const [offset, bytes] = place;
    header.writeUIntBE(bytes === 4 ? value >>> 0 : value, offset, bytes);
  }
  return header;
}

/** A PDU as it came from the wire. */
export class ReceivedPdu {
  readonly bhs: Buffer;
  readonly ahs: Buffer;
  /** The data segment without padding. */
  readonly data: Buffer;
  /** Bytes between the data segment's end and the next word boundary. */
  readonly padding: Buffer;

  constructor(bhs: Buffer, ahs: Buffer, data: Buffer, padding: Buffer) {
    this.bhs = bhs;
    this.ahs = ahs;
    this.data = data;
    this.padding = padding;
  }

  field(name: FieldName): number {
    const [offset, bytes] = FIELDS[name];
    return this.bhs.readUIntBE(offset, bytes);
  }

  get opcode(): number {
    return this.field("opcodeByte") & 0x3f;
  }
  get flags(): number {
    return this.field("flags");
  }
  get final(): boolean {
    return (this.flags & FLAG_FINAL) !== 0;
  }
  get initiatorTaskTag(): number {
    return this.field("initiatorTaskTag");
  }
  get targetTransferTag(): number {
    return this.field("targetTransferTag");
  }
  get statSN(): number {
    return this.field("statSN");
  }
  get expCmdSN(): number {
    return this.field("expCmdSN");
  }
  get maxCmdSN(): number {
    return this.field("maxCmdSN");
  }
  get status(): number {
    return this.field("status");
  }
  get response(): number {
    return this.field("response");
  }
  get lun(): Buffer {
    return this.bhs.subarray(8, 16);
  }
  get hasStatus(): boolean {
    return this.opcode === OPCODE_SCSI_RESPONSE || (this.opcode === OPCODE_DATA_IN && (this.flags & FLAG_STATUS) !== 0);
  }

  /** Positive: that many bytes were not transferred (underflow); negative: that many did not fit (overflow); 0: neither. */
  get residual(): number {
    if (!this.hasStatus) return 0;
    if (this.flags & FLAG_UNDERFLOW) return this.field("residualCount");
    if (this.flags & FLAG_OVERFLOW) return -this.field("residualCount");
    return 0;
  }

  /** Sense data of a SCSI Response, without its length word (RFC 7143 section 11.4.7); empty where there is none. */
  get sense(): Buffer {
    if (this.opcode !== OPCODE_SCSI_RESPONSE || this.data.length < 2) return Buffer.alloc(0);
    return this.data.subarray(2, 2 + this.data.readUInt16BE(0));
  }

  /** key=value pairs of a Login or Text Response. */
  get keys(): Map<string, string> {
    return decodeKeys(this.data);
  }
}

/** A whole PDU in wire form, with the digests that are on. */
export function wirePdu(
  header: Buffer,
  data: Buffer,
  digests: { readonly header: boolean; readonly data: boolean },
): Buffer {
  const parts: Buffer[] = [header];
  if (digests.header) parts.push(digestOf(header));
  if (data.length > 0) {
    const padded = Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
    parts.push(padded);
    if (digests.data) parts.push(digestOf(padded));
  }
  return Buffer.concat(parts);
}

/** Pairs in wire form, each ended by a NUL (RFC 7143 section 6.1). */
export function encodeKeys(keys: Iterable<readonly [string, string]> | Readonly<Record<string, string>>): Buffer {
  const pairs = Symbol.iterator in keys ? [...keys] : Object.entries(keys);
  return Buffer.from(pairs.map(([key, value]) => `${key}=${value}\0`).join(""), "utf8");
}

/** A key that occurs more than once keeps its values joined by a newline (SendTargets: TargetName, TargetAddress). */
export function decodeKeys(text: Buffer): Map<string, string> {
  const keys = new Map<string, string>();
  for (const pair of text.toString("utf8").split("\0")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const key = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? "" : pair.slice(equals + 1);
    const earlier = keys.get(key);
    keys.set(key, earlier === undefined ? value : `${earlier}\n${value}`);
  }
  return keys;
}

/** Fixed (70h) or descriptor (72h) format sense data, as far as tests ask. */
export function parseSense(sense: Buffer): { key: number; asc: number; ascq: number; information: number | undefined } {
  if (sense.length < 8) throw new Error(`no sense data (${sense.length} bytes)`);
  const format = sense[0]! & 0x7f;
  if (format === 0x72 || format === 0x73) {
    let information: number | undefined;
    for (let at = 8; at + 2 <= sense.length; at += 2 + sense[at + 1]!) {
      if (sense[at] === 0x00) information = Number(sense.readBigUInt64BE(at + 4));
    }
    return { key: sense[1]! & 0x0f, asc: sense[2]!, ascq: sense[3]!, information };
  }
  const valid = (sense[0]! & 0x80) !== 0;
  return {
    key: sense[2]! & 0x0f,
    asc: sense[12] ?? 0,
    ascq: sense[13] ?? 0,
    information: valid ? sense.readUInt32BE(3) : undefined,
  };
}
