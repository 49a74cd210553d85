/**
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian. Each function makes one whole block.
 *
 *     | type 4 | total length 4 | body ... | options: code 2, length 2, value padded to 4 ... | total length 4 |
 */

export const BLOCK_SECTION_HEADER = 0x0a0d0d0a;
export const BLOCK_INTERFACE_DESCRIPTION = 1;
export const BLOCK_INTERFACE_STATISTICS = 5;
export const BLOCK_ENHANCED_PACKET = 6;

export const LINKTYPE_ETHERNET = 1;

/** Type and total length at the front, total length at the end. */
const FRAME_BYTES = 12;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** "The section's length is not specified". */
const LENGTH_UNKNOWN = 0xffffffff;

const OPTION_END = 0;
const OPTION_COMMENT = 1;
const SECTION_OS = 3;
const SECTION_APPLICATION = 4;
const INTERFACE_NAME = 2;
const INTERFACE_DESCRIPTION = 3;
const INTERFACE_TIME_RESOLUTION = 9;
const NANOSECONDS = 9;
const PACKET_FLAGS = 2;
const PACKET_DROP_COUNT = 4;
const STATISTICS_START = 2;
const STATISTICS_END = 3;
const STATISTICS_RECEIVED = 4;
const STATISTICS_DROPPED = 5;

/** Of a packet's flags. */
export const DIRECTION_INBOUND = 1;
export const DIRECTION_OUTBOUND = 2;

export interface SectionHeader {
  readonly os: string;
  readonly application: string;
  readonly comment: string;
}

export function sectionHeader({ os, application, comment }: SectionHeader): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
  body.writeUInt16LE(1, 4);
  body.writeUInt32LE(LENGTH_UNKNOWN, 8);
  body.writeUInt32LE(LENGTH_UNKNOWN, 12);
  return block(BLOCK_SECTION_HEADER, [
    body,
    textOption(OPTION_COMMENT, comment),
    textOption(SECTION_OS, os),
    textOption(SECTION_APPLICATION, application),
    END,
  ]);
}

export interface InterfaceDescription {
  readonly name: string;
  readonly description: string;
}

/** The next interface of the section: they are numbered from 0. Times of its packets are nanoseconds. */
export function interfaceDescription({ name, description }: InterfaceDescription): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt16LE(LINKTYPE_ETHERNET, 0);
  return block(BLOCK_INTERFACE_DESCRIPTION, [
    body,
    textOption(INTERFACE_NAME, name),
    textOption(INTERFACE_DESCRIPTION, description),
    option(INTERFACE_TIME_RESOLUTION, Buffer.of(NANOSECONDS)),
    END,
  ]);
}

export interface EnhancedPacket {
  readonly interfaceId: number;
  /** Since 1970. */
  readonly atNs: bigint;
  /** DIRECTION_*. */
  readonly direction: number;
  /** What was captured of it, in parts. */
  readonly parts: readonly Uint8Array[];
  /** Its length on the wire. */
  readonly originalLength: number;
  /** Packets of the interface that were lost since the one before. */
  readonly dropped: number;
  /** Empty: none. */
  readonly comment: string;
}

export function enhancedPacket(packet: EnhancedPacket): Buffer {
  const { interfaceId, atNs, direction, parts, originalLength, dropped, comment } = packet;
  const captured = parts.reduce((sum, part) => sum + part.length, 0);
  const body = Buffer.alloc(20);
  body.writeUInt32LE(interfaceId, 0);
  putTime(body, 4, atNs);
  body.writeUInt32LE(captured, 12);
  body.writeUInt32LE(originalLength, 16);
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(direction);
  return block(BLOCK_ENHANCED_PACKET, [
    body,
    ...parts,
    PADDING[-captured & 3]!,
    ...(comment === "" ? [] : [textOption(OPTION_COMMENT, comment)]),
    option(PACKET_FLAGS, flags),
    ...(dropped === 0 ? [] : [option(PACKET_DROP_COUNT, uint64(dropped))]),
    END,
  ]);
}

export interface InterfaceStatistics {
  readonly interfaceId: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** Packets that there were, lost ones included. */
  readonly received: number;
  readonly dropped: number;
}

export function interfaceStatistics(statistics: InterfaceStatistics): Buffer {
  const { interfaceId, startNs, endNs, received, dropped } = statistics;
  const body = Buffer.alloc(12);
  body.writeUInt32LE(interfaceId, 0);
  putTime(body, 4, endNs);
  return block(BLOCK_INTERFACE_STATISTICS, [
    body,
    option(STATISTICS_START, time(startNs)),
    option(STATISTICS_END, time(endNs)),
    option(STATISTICS_RECEIVED, uint64(received)),
    option(STATISTICS_DROPPED, uint64(dropped)),
    END,
  ]);
}

/** What the end of an interface's statistics says was lost; undefined: the block is another one, or does not say. */
export function droppedOf(bytes: Buffer): number | undefined {
  if (bytes.readUInt32LE(0) !== BLOCK_INTERFACE_STATISTICS) return undefined;
  for (let at = 20; at + 4 <= bytes.length - 4; ) {
    const code = bytes.readUInt16LE(at);
    const length = bytes.readUInt16LE(at + 2);
    if (code === OPTION_END) return undefined;
    if (code === STATISTICS_DROPPED && length === 8) return Number(bytes.readBigUInt64LE(at + 4));
    at += 4 + ((length + 3) & ~3);
  }
  return undefined;
}

const PADDING = [0, 1, 2, 3].map((length) => Buffer.alloc(length));
const END = Buffer.alloc(4);

function block(type: number, parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, FRAME_BYTES);
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt32LE(length, 4);
  let at = 8;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  bytes.writeUInt32LE(length, at);
  return bytes;
}

function option(code: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + ((value.length + 3) & ~3));
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt16LE(value.length, 2);
  bytes.set(value, 4);
  return bytes;
}

function textOption(code: number, text: string): Buffer {
  return option(code, Buffer.from(text));
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** Times are two words, the higher one first. */
function putTime(bytes: Buffer, at: number, ns: bigint): void {
  bytes.writeUInt32LE(Number(ns >> 32n), at);
  bytes.writeUInt32LE(Number(ns & 0xffffffffn), at + 4);
}

function time(ns: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  putTime(bytes, 0, ns);
  return bytes;
}
