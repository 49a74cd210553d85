/** A pcapng file of ours, taken apart again: its packets with the PDUs in them, and what it says was lost. */
import assert from "node:assert/strict";

const TYPE_SECTION = 0x0a0d0d0a;
const TYPE_INTERFACE = 1;
const TYPE_STATISTICS = 5;
const TYPE_PACKET = 6;
const OPTION_COMMENT = 1;
const PACKET_FLAGS = 2;
const PACKET_DROPPED = 4;
const STATISTICS_RECEIVED = 4;
const STATISTICS_DROPPED = 5;
/** Ethernet, IPv4 and TCP. */
const HEADERS = 54;

export interface Packet {
  readonly interfaceId: number;
  readonly atNs: bigint;
  readonly isInbound: boolean;
  readonly comment: string;
  /** Lost before it. */
  readonly dropped: number;
  /** TCP's. */
  readonly sequence: number;
  /** What was captured of the bytes above TCP, and how many there were. */
  readonly payload: Buffer;
  readonly payloadLength: number;
}

export interface CaptureFile {
  readonly interfaces: number;
  readonly packets: readonly Packet[];
  readonly statistics: readonly { readonly received: number; readonly dropped: number }[];
}

export function readPcapng(file: Buffer): CaptureFile {
  let interfaces = 0;
  const packets: Packet[] = [];
  const statistics: { received: number; dropped: number }[] = [];
  for (let at = 0; at < file.length; ) {
    const length = file.readUInt32LE(at + 4);
    const block = file.subarray(at, at + length);
    assert.equal(length % 4, 0);
    assert.equal(block.readUInt32LE(length - 4), length, "a block ends with its length");
    const type = block.readUInt32LE(0);
    assert.equal(type === TYPE_SECTION, at === 0, "one section");
    if (type === TYPE_INTERFACE) interfaces++;
    else if (type === TYPE_PACKET) packets.push(packetOf(block));
    else if (type === TYPE_STATISTICS) {
      const options = optionsOf(block, 20);
      const count = (code: number) => Number(options.get(code)!.readBigUInt64LE());
      statistics.push({ received: count(STATISTICS_RECEIVED), dropped: count(STATISTICS_DROPPED) });
    }
    at += length;
  }
  return { interfaces, packets, statistics };
}

function packetOf(block: Buffer): Packet {
  const captured = block.readUInt32LE(20);
  const frame = block.subarray(28, 28 + captured);
  const options = optionsOf(block, 28 + ((captured + 3) & ~3));
  return {
    interfaceId: block.readUInt32LE(8),
    atNs: (BigInt(block.readUInt32LE(12)) << 32n) + BigInt(block.readUInt32LE(16)),
    isInbound: options.get(PACKET_FLAGS)!.readUInt32LE() === 1,
    comment: options.get(OPTION_COMMENT)?.toString() ?? "",
    dropped: Number(options.get(PACKET_DROPPED)?.readBigUInt64LE() ?? 0),
    sequence: frame.readUInt32BE(38),
    payload: frame.subarray(HEADERS),
    payloadLength: block.readUInt32LE(24) - HEADERS,
  };
}

function optionsOf(block: Buffer, start: number): Map<number, Buffer> {
  const options = new Map<number, Buffer>();
  for (let at = start; block.readUInt16LE(at) !== 0; ) {
    const length = block.readUInt16LE(at + 2);
    options.set(block.readUInt16LE(at), block.subarray(at + 4, at + 4 + length));
    at += 4 + ((length + 3) & ~3);
  }
  return options;
}
