/**
 * Ethernet, IP and TCP headers for PDUs, which have lost theirs in the kernel: Wireshark dissects iSCSI above TCP. Addresses and
 * ports are the connection's own; sequence numbers count what the capture has seen; checksums of TCP are left out, as they are where
 * network cards compute them.
 */
import { isIPv4 } from "node:net";
import type { PortalAddress } from "../config/portal-address.js";

/** A PDU that is longer takes several packets: none may be longer than IP's 64 KiB. */
export const SEGMENT_BYTES_MAX = 61_440;

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const TCP_BYTES = 20;
const TYPE_IPV4 = 0x0800;
const TYPE_IPV6 = 0x86dd;
const PROTOCOL_TCP = 6;
const HOPS = 64;
const DONT_FRAGMENT = 0x4000;
const TCP_FLAGS_PSH_ACK = 0x18;
const WINDOW = 0xffff;
/** Sequence numbers begin here, so that nothing acknowledges number 0. */
const FIRST = 1;
/** Of no card: the bit for locally administered addresses is set. */
const HARDWARE_INITIATOR = [0x02, 0, 0, 0, 0, 0x01];
const HARDWARE_TARGET = [0x02, 0, 0, 0, 0, 0x02];
/** ::ffff:0:0/96: an IPv4 address as a socket for both families has it. */
const MAPPED = Buffer.from("00000000000000000000ffff", "hex");

export interface Segment {
  readonly header: Buffer;
  /** Of the PDU's captured bytes: from here, so many; the rest was not captured. */
  readonly from: number;
  readonly length: number;
  /** Of the whole packet on the wire. */
  readonly originalLength: number;
}

export class TcpFlow {
  readonly #toTarget: Buffer;
  readonly #toInitiator: Buffer;
  /** The sequence number behind what each has sent. */
  #initiatorNext: number;
  #targetNext: number;

  /** `received`, `sent`: what the capture has seen of it before. */
  constructor(initiator: PortalAddress, target: PortalAddress, received = 0, sent = 0) {
    this.#initiatorNext = (FIRST + received) >>> 0;
    this.#targetNext = (FIRST + sent) >>> 0;
    this.#toTarget = template(initiator, target, HARDWARE_TARGET, HARDWARE_INITIATOR);
    this.#toInitiator = template(target, initiator, HARDWARE_INITIATOR, HARDWARE_TARGET);
  }

  /** The packets that carry a PDU of `wireLength` bytes, of which the first `captured` are there. */
  segments(isReceived: boolean, position: number, wireLength: number, captured: number): Segment[] {
    const headers = isReceived ? this.#toTarget : this.#toInitiator;
    const acknowledged = isReceived ? this.#targetNext : this.#initiatorNext;
    const segments: Segment[] = [];
    for (let from = 0; from < wireLength; from += SEGMENT_BYTES_MAX) {
      const onWire = Math.min(SEGMENT_BYTES_MAX, wireLength - from);
      const header = stamped(headers, (position + FIRST + from) >>> 0, acknowledged, onWire);
      const length = Math.max(0, Math.min(onWire, captured - from));
      segments.push({ header, from, length, originalLength: header.length + onWire });
    }
    const next = (position + FIRST + wireLength) >>> 0;
    if (isReceived) this.#initiatorNext = next;
    else this.#targetNext = next;
    return segments;
  }
}

/** All that the packets of one direction have in common. */
function template(from: PortalAddress, to: PortalAddress, hardwareTo: number[], hardwareFrom: number[]): Buffer {
  const [source, destination] = [addressBytes(from.host), addressBytes(to.host)];
  const isV4 = source.length === 4 && destination.length === 4;
  const ip = isV4 ? IPV4_BYTES : IPV6_BYTES;
  const bytes = Buffer.alloc(ETHERNET_BYTES + ip + TCP_BYTES);
  bytes.set([...hardwareTo, ...hardwareFrom], 0);
  bytes.writeUInt16BE(isV4 ? TYPE_IPV4 : TYPE_IPV6, 12);
  if (isV4) {
    bytes[14] = 0x45;
    bytes.writeUInt16BE(DONT_FRAGMENT, 20);
    bytes[22] = HOPS;
    bytes[23] = PROTOCOL_TCP;
    bytes.set([...source, ...destination], 26);
  } else {
    bytes[14] = 0x60;
    bytes[20] = PROTOCOL_TCP;
    bytes[21] = HOPS;
    bytes.set([...widened(source), ...widened(destination)], 22);
  }
  const tcp = ETHERNET_BYTES + ip;
  bytes.writeUInt16BE(from.port, tcp);
  bytes.writeUInt16BE(to.port, tcp + 2);
  bytes[tcp + 12] = (TCP_BYTES / 4) << 4;
  bytes[tcp + 13] = TCP_FLAGS_PSH_ACK;
  bytes.writeUInt16BE(WINDOW, tcp + 14);
  return bytes;
}

function stamped(headers: Buffer, sequence: number, acknowledged: number, payload: number): Buffer {
  const bytes = Buffer.from(headers);
  const tcp = bytes.length - TCP_BYTES;
  if (bytes.readUInt16BE(12) === TYPE_IPV4) {
    bytes.writeUInt16BE(IPV4_BYTES + TCP_BYTES + payload, 16);
    bytes.writeUInt16BE(checksum(bytes.subarray(ETHERNET_BYTES, tcp)), 24);
  } else {
    bytes.writeUInt16BE(TCP_BYTES + payload, 18);
  }
  bytes.writeUInt32BE(sequence, tcp + 4);
  bytes.writeUInt32BE(acknowledged, tcp + 8);
  return bytes;
}

/** RFC 1071. Its own field is 0. */
function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Four bytes or sixteen. A zone is not on the wire. */
function addressBytes(host: string): Buffer {
  if (isIPv4(host)) return Buffer.from(host.split(".").map(Number));
  const [address = ""] = host.split("%");
  // The last 32 bits may be written as an IPv4 address.
  const plain = address.replace(/[0-9.]+\.[0-9]+$/, (v4) =>
    Buffer.from(v4.split(".").map(Number))
      .toString("hex")
      .replace(/(?=.{4}$)/, ":"),
  );
  const [front = "", back] = plain.split("::");
  const words = (text: string) => (text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16)));
  const [head, tail] = [words(front), back === undefined ? [] : words(back)];
  const all = [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  const bytes = Buffer.from(all.flatMap((word) => [word >>> 8, word & 0xff]));
  return bytes.subarray(0, 12).equals(MAPPED) ? bytes.subarray(12) : bytes;
}

function widened(address: Buffer): Buffer {
  return address.length === 4 ? Buffer.concat([MAPPED, address]) : address;
}
