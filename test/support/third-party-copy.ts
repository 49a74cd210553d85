/** Third-party copy as an initiator sends it (SPC-5, SBC-4). Bytes are written by hand, apart from the code under test. */
import type { RawInitiator } from "./raw-initiator.js";
import type { CommandResult, RawTask } from "./raw-task.js";

export const SEGMENT_BLOCKS_MAX = 65535;
export const ROD_TOKEN_BYTES = 512;

/** The unit's NAA designator in VPD page 83h: its first descriptor. */
export async function nameOf(initiator: RawInitiator, lun: number): Promise<Buffer> {
  const page = await initiator.good({ cdb: Buffer.from([0x12, 1, 0x83, 0, 255, 0]), read: 255, lun });
  if (page[4] !== 1 || page[5] !== 3) throw new Error("the first designator is no NAA");
  return Buffer.from(page.subarray(8, 8 + page[7]!));
}

export interface CscdFields {
  readonly type?: number;
  readonly peripheral?: number;
  readonly codeSet?: number;
  /** ASSOCIATION and DESIGNATOR TYPE. */
  readonly designatorType?: number;
  readonly designatorLength?: number;
  readonly blockLength?: number;
}

/** Identification descriptor. */
export function cscd(name: Uint8Array, fields: CscdFields = {}): Buffer {
  const bytes = Buffer.alloc(32);
  bytes[0] = fields.type ?? 0xe4;
  bytes[1] = fields.peripheral ?? 0;
  bytes[4] = fields.codeSet ?? 1;
  bytes[5] = fields.designatorType ?? 3;
  bytes[7] = fields.designatorLength ?? name.length;
  bytes.set(name, 8);
  bytes.writeUIntBE(fields.blockLength ?? 0, 29, 3);
  return bytes;
}

export interface SegmentFields {
  readonly from: number;
  readonly to: number;
  readonly blocks: number;
  /** CSCD descriptor IDs. */
  readonly source?: number;
  readonly destination?: number;
  /** DC (1), CAT (0). */
  readonly flags?: number;
  readonly type?: number;
  readonly descriptorLength?: number;
}

/** Block device to block device. */
export function segment(fields: SegmentFields): Buffer {
  const bytes = Buffer.alloc(28);
  bytes[0] = fields.type ?? 0x02;
  bytes[1] = fields.flags ?? 0;
  bytes.writeUInt16BE(fields.descriptorLength ?? 0x18, 2);
  bytes.writeUInt16BE(fields.source ?? 0, 4);
  bytes.writeUInt16BE(fields.destination ?? 0, 6);
  bytes.writeUInt16BE(fields.blocks, 10);
  bytes.writeBigUInt64BE(BigInt(fields.from), 12);
  bytes.writeBigUInt64BE(BigInt(fields.to), 20);
  return bytes;
}

export interface ListFields {
  readonly id?: number;
  /** STR, LIST ID USAGE, PRIORITY. */
  readonly flags?: number;
  readonly cscdLength?: number;
  readonly segmentLength?: number;
  readonly inlineLength?: number;
}

/** Parameter list of EXTENDED COPY(LID1). */
export function listLid1(cscds: readonly Buffer[], segments: readonly Buffer[], fields: ListFields = {}): Buffer {
  const header = Buffer.alloc(16);
  const body = Buffer.concat([...cscds, ...segments]);
  const cscdBytes = cscds.reduce((sum, { length }) => sum + length, 0);
  header[0] = fields.id ?? 1;
  header[1] = fields.flags ?? 0;
  header.writeUInt16BE(fields.cscdLength ?? cscdBytes, 2);
  header.writeUInt32BE(fields.segmentLength ?? body.length - cscdBytes, 8);
  header.writeUInt32BE(fields.inlineLength ?? 0, 12);
  return Buffer.concat([header, body]);
}

/** Parameter list of EXTENDED COPY(LID4). */
export function listLid4(
  cscds: readonly Buffer[],
  segments: readonly Buffer[],
  { id = 1, flags = 0 }: ListFields,
  isImmediate = false,
): Buffer {
  const header = Buffer.alloc(48);
  const body = Buffer.concat([...cscds, ...segments]);
  const cscdBytes = cscds.reduce((sum, { length }) => sum + length, 0);
  header.set([0x01, flags, 0x00, 0x20]);
  header[15] = isImmediate ? 0x01 : 0;
  header[16] = 0xff;
  header.writeUInt32BE(id, 20);
  header.writeUInt16BE(cscdBytes, 42);
  header.writeUInt16BE(body.length - cscdBytes, 44);
  return Buffer.concat([header, body]);
}

/** Opcode 83h. `id`: LIST IDENTIFIER in the CDB. */
export function copyOut(action: number, length: number, id = 0): Buffer {
  const cdb = Buffer.alloc(16);
  cdb.set([0x83, action]);
  cdb.writeUInt32BE(id, 6);
  cdb.writeUInt32BE(length, 10);
  return cdb;
}

/** Opcode 84h of one list identifier: a byte of LID1, four of LID4. */
export function copyIn(action: number, id: number, allocationLength = 1024): Buffer {
  const cdb = Buffer.alloc(16);
  cdb.set([0x84, action]);
  if (action >= 5) cdb.writeUInt32BE(id, 2);
  else cdb[2] = id;
  cdb.writeUInt32BE(allocationLength, 10);
  return cdb;
}

export function copyAbort(id: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb.set([0x83, 0x1c]);
  cdb.writeUInt32BE(id, 2);
  return cdb;
}

export function extendedCopy(initiator: RawInitiator, list: Buffer, lun = 0): Promise<CommandResult> {
  return initiator.command({ cdb: copyOut(0x00, list.length), write: list, lun });
}

/** The same, without waiting for its end. */
export function beginExtendedCopy(initiator: RawInitiator, list: Buffer, lun = 0): Promise<RawTask> {
  return initiator.start({ cdb: copyOut(0x00, list.length), write: list, lun });
}

export interface Range {
  readonly lba: number;
  readonly blocks: number;
}

export interface TokenListFields {
  readonly flags?: number;
  readonly timeoutS?: number;
  readonly rodType?: number;
  readonly offset?: number;
  /** What the list says of its lengths. */
  readonly dataLength?: number;
  readonly rangesLength?: number;
}

function rangeDescriptors(ranges: readonly Range[]): Buffer {
  const bytes = Buffer.alloc(16 * ranges.length);
  for (const [i, { lba, blocks }] of ranges.entries()) {
    bytes.writeBigUInt64BE(BigInt(lba), 16 * i);
    bytes.writeUInt32BE(blocks, 16 * i + 8);
  }
  return bytes;
}

export function populateTokenList(ranges: readonly Range[], fields: TokenListFields = {}): Buffer {
  const list = Buffer.concat([Buffer.alloc(16), rangeDescriptors(ranges)]);
  list.writeUInt16BE(fields.dataLength ?? list.length - 2, 0);
  list[2] = fields.flags ?? 0;
  list.writeUInt32BE(fields.timeoutS ?? 0, 4);
  list.writeUInt32BE(fields.rodType ?? 0, 8);
  list.writeUInt16BE(fields.rangesLength ?? 16 * ranges.length, 14);
  return list;
}

export function writeUsingTokenList(token: Uint8Array, ranges: readonly Range[], fields: TokenListFields = {}): Buffer {
  const list = Buffer.concat([Buffer.alloc(536), rangeDescriptors(ranges)]);
  list.writeUInt16BE(fields.dataLength ?? list.length - 2, 0);
  list[2] = fields.flags ?? 0;
  list.writeBigUInt64BE(BigInt(fields.offset ?? 0), 8);
  list.set(token, 16);
  list.writeUInt16BE(fields.rangesLength ?? 16 * ranges.length, 534);
  return list;
}

/** The block device zero ROD token. */
export function zeroToken(): Buffer {
  const token = Buffer.alloc(ROD_TOKEN_BYTES);
  token.set([0xff, 0xff, 0x00, 0x01, 0, 0, 0x01, 0xf8]);
  return token;
}

export interface RodInformation {
  readonly serviceAction: number;
  readonly status: number;
  readonly transferCount: number;
  readonly units: number;
  readonly segments: number;
  readonly sense: Buffer;
  readonly token: Buffer | undefined;
}

/** RECEIVE ROD TOKEN INFORMATION. */
export async function rodInformation(initiator: RawInitiator, id: number, lun = 0): Promise<RodInformation> {
  const data = await initiator.good({ cdb: copyIn(0x07, id), read: 1024, lun });
  if (data.readUInt32BE(0) !== data.length - 4) throw new Error("AVAILABLE DATA is not what there is");
  const senseEnd = 32 + data[13]!;
  const tokensLength = data.readUInt32BE(senseEnd);
  if (senseEnd + 4 + tokensLength !== data.length) throw new Error("the token descriptors' length");
  return {
    serviceAction: data[4]!,
    status: data[5]!,
    units: data[15]!,
    transferCount: Number(data.readBigUInt64BE(16)),
    segments: data.readUInt16BE(24),
    sense: Buffer.from(data.subarray(32, 32 + data[14]!)),
    token: tokensLength === 0 ? undefined : Buffer.from(data.subarray(senseEnd + 6, senseEnd + 6 + ROD_TOKEN_BYTES)),
  };
}

export function populateToken(initiator: RawInitiator, list: Buffer, id: number, lun = 0): Promise<CommandResult> {
  return initiator.command({ cdb: copyOut(0x10, list.length, id), write: list, lun });
}

export function writeUsingToken(initiator: RawInitiator, list: Buffer, id: number, lun = 0): Promise<CommandResult> {
  return initiator.command({ cdb: copyOut(0x11, list.length, id), write: list, lun });
}

/** A token for the ranges. */
export async function tokenOf(
  initiator: RawInitiator,
  ranges: readonly Range[],
  { lun = 0, id = 0x7e57, timeoutS = 0 } = {},
): Promise<Buffer> {
  const list = populateTokenList(ranges, { timeoutS });
  await initiator.good({ cdb: copyOut(0x10, list.length, id), write: list, lun });
  const { status, token } = await rodInformation(initiator, id, lun);
  if (status !== 0x01 || token === undefined) throw new Error(`no token, status ${status}`);
  return token;
}
