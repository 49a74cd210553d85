/**
 * PDUs over a libuv socket, for the Login Phase and for discovery sessions: one after the other, each awaited. Nothing is
 * buffered before its length is judged, and no more than one PDU and the stream's own read-ahead at any time.
 */
import type { Socket } from "node:net";
import { crc32c } from "io-uring-node";
import { BHS_LENGTH, Pdu, paddedLength } from "../dataplane/wire/bhs.js";
import { CLOSE_TIMEOUT_MS, LOGIN_DATA_SEGMENT_LENGTH_MAX } from "./limits.js";

const DIGEST_LENGTH = 4;
const NOTHING = Buffer.alloc(0);

export type Received =
  | {
      readonly kind: "pdu";
      /** 48 bytes. */
      readonly header: Buffer;
      /** Without padding. */
      readonly data: Buffer;
      /** False: the data digest is wrong, and `data` with it. */
      readonly dataIntact: boolean;
    }
  /** The peer has closed, or the connection was destroyed. */
  | { readonly kind: "end" }
  /** Where the next PDU begins cannot be known. */
  | { readonly kind: "malformed"; readonly header: Buffer; readonly reason: string };

/** Sees all PDUs that come and go. */
export interface WireTap {
  /** Somebody wants to. */
  readonly isOn: boolean;
  /** A PDU as it is on the wire, in a buffer of its own. */
  take(isReceived: boolean, pdu: Buffer): void;
}

export class PduStream {
  readonly #socket: Socket;
  readonly #tap: WireTap | undefined;
  #headerDigest = false;
  #dataDigest = false;
  #wake: () => void = () => {};

  constructor(socket: Socket, tap?: WireTap) {
    this.#socket = socket;
    this.#tap = tap;
    // "readable" keeps the socket in paused mode: what is not read stays where the hand-off can see it.
    for (const event of ["readable", "end", "close"]) socket.on(event, () => this.#wake());
    // "close" follows.
    socket.on("error", () => {});
  }

  /** From the next PDU on, both ways. */
  useDigests(header: boolean, data: boolean): void {
    this.#headerDigest = header;
    this.#dataDigest = data;
  }

  async read(): Promise<Received> {
    const header = await this.#readExactly(BHS_LENGTH);
    if (header === undefined) return { kind: "end" };
    const digest = this.#headerDigest ? await this.#readExactly(DIGEST_LENGTH) : NOTHING;
    if (digest === undefined) return { kind: "end" };
    const fault = this.#faultOf(header, digest);
    if (fault !== undefined) {
      this.#observe(header, digest);
      return { kind: "malformed", header, reason: fault };
    }
    const length = new Pdu(viewOf(header)).dataSegmentLength;
    const padded = paddedLength(length);
    const hasDigest = this.#dataDigest && length > 0;
    const segment = length === 0 ? NOTHING : await this.#readExactly(padded + (hasDigest ? DIGEST_LENGTH : 0));
    if (segment === undefined) return { kind: "end" };
    this.#observe(header, digest, segment);
    const dataIntact = !hasDigest || segment.readUInt32LE(padded) === crc32c(segment.subarray(0, padded));
    return { kind: "pdu", header, data: segment.subarray(0, length), dataIntact };
  }

  /** Why it is not known what follows. `digest`: empty where there is none. */
  #faultOf(header: Buffer, digest: Buffer): string | undefined {
    // RFC 7143 section 7.8: the length itself may be what is corrupted.
    if (digest.length > 0 && digest.readUInt32LE() !== crc32c(header)) return "header digest error";
    const { totalAHSLength, dataSegmentLength } = new Pdu(viewOf(header));
    if (totalAHSLength !== 0) return "no request here has additional header segments";
    if (dataSegmentLength <= LOGIN_DATA_SEGMENT_LENGTH_MAX) return undefined;
    return `DataSegmentLength ${dataSegmentLength} exceeds ${LOGIN_DATA_SEGMENT_LENGTH_MAX}`;
  }

  #observe(...parts: readonly Buffer[]): void {
    if (this.#tap?.isOn) this.#tap.take(true, Buffer.concat(parts));
  }

  /** Writes a PDU; its DataSegmentLength is set here. Resolves when the kernel has it, or the connection is gone. */
  async write(header: Buffer, data: Buffer): Promise<void> {
    const bytes = this.#frame(header, data);
    if (this.#tap?.isOn) this.#tap.take(false, Buffer.from(bytes));
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
  }

  /**
   * Half-closes the connection and waits for the peer to do the same, so that what was written reaches it: an outright
   * close with bytes still unread would make TCP reset the connection.
   */
  async finish(): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed) return;
    const timer = setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS);
    await new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
      socket.end();
      // What still comes is thrown away. A listener for "readable" would keep the stream from flowing.
      socket.removeAllListeners("readable");
      socket.resume();
    });
    clearTimeout(timer);
  }

  #frame(header: Buffer, data: Buffer): Buffer {
    new Pdu(viewOf(header)).dataSegmentLength = data.length;
    const padded = paddedLength(data.length);
    const digests = (this.#headerDigest ? DIGEST_LENGTH : 0) + (this.#dataDigest && padded > 0 ? DIGEST_LENGTH : 0);
    const bytes = Buffer.alloc(BHS_LENGTH + padded + digests);
    header.copy(bytes);
    let offset = BHS_LENGTH;
    if (this.#headerDigest) offset = bytes.writeUInt32LE(crc32c(header), offset);
    data.copy(bytes, offset);
    if (this.#dataDigest && padded > 0) {
      bytes.writeUInt32LE(crc32c(bytes.subarray(offset, offset + padded)), offset + padded);
    }
    return bytes;
  }

  /** Undefined where the stream ends before. */
  async #readExactly(length: number): Promise<Buffer | undefined> {
    const socket = this.#socket;
    for (;;) {
      // What was read ahead is handed out all the same, and nobody waits for an answer any more.
      if (socket.destroyed) return undefined;
      const chunk: Buffer | null = socket.read(length);
      // At its end the stream hands out what is left, however little.
      if (chunk !== null) return chunk.length === length ? chunk : undefined;
      if (socket.readableEnded) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** A view for the PDU classes of dataplane/wire. */
export function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
