/**
 * A connection of a test's initiator: bytes and PDUs out, PDUs in, sequence numbers. It checks what every target must keep to (RFC 7143):
 * StatSN without gaps, segments no longer than declared, no AHS, zero padding, digests. `strict = false` turns that off.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect as connectSocket, type Socket } from "node:net";
import { digestOf } from "./crc32c.js";
import {
  BHS_BYTES,
  buildHeader,
  FLAG_FINAL,
  FLAG_STATUS,
  type HeaderFields,
  OPCODE_DATA_IN,
  OPCODE_DATA_OUT,
  OPCODE_LOGIN_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_R2T,
  OPCODE_SNACK_REQUEST,
  ReceivedPdu,
  TAG_NONE,
} from "./pdu.js";

export const RECEIVE_TIMEOUT_MS = 30_000;

/** The peer closed the connection, or it broke, while a PDU was awaited. */
export class ConnectionClosedError extends Error {
  override name = "ConnectionClosedError";
}

/** Nothing came within the time. */
export class ReceiveTimeoutError extends Error {
  override name = "ReceiveTimeoutError";
}

/** What the connections of one session share. */
export class SessionNumbers {
  cmdSN: number;
  initiatorTaskTag: number;
  readonly isid: Buffer;
  tsih = 0;

  constructor(options: { cmdSN?: number; initiatorTaskTag?: number; isid?: Buffer } = {}) {
    this.cmdSN = options.cmdSN ?? 1;
    this.initiatorTaskTag = options.initiatorTaskTag ?? 1;
    // Type "random" (RFC 7143 section 11.12.5): 80h, 24 random bits, and 16 of qualifier: two sessions alike would be one.
    this.isid = options.isid ?? Buffer.concat([Buffer.from([0x80]), randomBytes(5)]);
  }
}

export interface ConnectOptions {
  readonly host?: string;
  /** The session that this connection is to join; absent: one of its own. */
  readonly session?: SessionNumbers;
  /** false: accept what a correct target never sends. */
  readonly strict?: boolean;
}

export interface SendOptions {
  readonly ahs?: Uint8Array;
  /** Flips a bit of the digest. */
  readonly corruptHeaderDigest?: boolean;
  readonly corruptDataDigest?: boolean;
  /** Instead of zeroes. */
  readonly padding?: number;
}

export class RawConnection {
  readonly session: SessionNumbers;
  strict: boolean;
  /** ExpStatSN: the StatSN that comes next on this connection. Undefined before the first response. */
  expStatSN: number | undefined;
  expCmdSN = 0;
  maxCmdSN = 0;
  headerDigest = false;
  dataDigest = false;
  /** The longest data segment that we declared. */
  maxRecvDataSegmentLength = 8192;

  readonly #socket: Socket;
  #input: Buffer = Buffer.alloc(0);
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  protected constructor(socket: Socket, options: ConnectOptions) {
    this.#socket = socket;
    this.session = options.session ?? new SessionNumbers();
    this.strict = options.strict ?? true;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
      this.#wake?.();
    });
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("end", () => {
      this.#ended = true;
      this.#wake?.();
    });
    socket.on("close", () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  /** Gives the socket to somebody else, with what has come and was not looked at. */
  release(): { readonly socket: Socket; readonly rest: Buffer } {
    const socket = this.#socket;
    for (const event of ["data", "error", "end", "close"]) socket.removeAllListeners(event);
    return { socket, rest: this.#input };
  }

  /** Sends bytes as they are. */
  async sendBytes(bytes: Uint8Array): Promise<void> {
    if (this.#socket.destroyed) throw new ConnectionClosedError("the connection is closed");
    await new Promise<void>((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(new ConnectionClosedError(error.message)) : resolve()));
    });
  }

  /**
   * Sends one PDU. A header given as fields gets what it does not name: an Initiator Task Tag, ExpStatSN, DataSegmentLength,
   * TotalAHSLength, and CmdSN, which then counts up unless the PDU is immediate. A header given as bytes goes as it is.
   * Returns the header.
   */
  async send(
    header: HeaderFields | Uint8Array,
    data: Uint8Array = Buffer.alloc(0),
    options: SendOptions = {},
  ): Promise<Buffer> {
    const ahs = options.ahs ?? Buffer.alloc(0);
    const bhs = header instanceof Uint8Array ? Buffer.from(header) : buildHeader(this.complete(header, data, ahs));
    const parts: Uint8Array[] = [bhs, ahs];
    if (this.headerDigest) parts.push(corrupted(digestOf(bhs, ahs), options.corruptHeaderDigest));
    if (data.length > 0) {
      const padding = Buffer.alloc(-data.length & 3, options.padding ?? 0);
      parts.push(data, padding);
      if (this.dataDigest) parts.push(corrupted(digestOf(data, padding), options.corruptDataDigest));
    }
    await this.sendBytes(Buffer.concat(parts));
    return bhs;
  }

  /** What `sends` sends leaves in one piece: as a rule the target finds all of it before it answers any. */
  async together(sends: () => readonly Promise<unknown>[]): Promise<void> {
    this.#socket.cork();
    const all = sends();
    this.#socket.uncork();
    await Promise.all(all);
  }

  /** What `send` adds to the fields of a header. */
  protected complete(fields: HeaderFields, data: Uint8Array, ahs: Uint8Array): HeaderFields {
    const numbered = fields.opcode !== OPCODE_DATA_OUT && fields.opcode !== OPCODE_SNACK_REQUEST;
    const complete: HeaderFields = {
      flags: FLAG_FINAL,
      dataSegmentLength: data.length,
      totalAHSLength: ahs.length >> 2,
      expStatSN: this.expStatSN ?? 0,
      ...fields,
    };
    if (complete.initiatorTaskTag === undefined) complete.initiatorTaskTag = this.newTag();
    if (numbered && complete.cmdSN === undefined) {
      complete.cmdSN = this.session.cmdSN;
      if (!complete.immediate) this.session.cmdSN = (this.session.cmdSN + 1) >>> 0;
    }
    return complete;
  }

  newTag(): number {
    const tag = this.session.initiatorTaskTag;
    this.session.initiatorTaskTag = tag >= TAG_NONE - 1 ? 0 : tag + 1;
    return tag;
  }

  /** The next PDU of any kind. Throws ConnectionClosedError or ReceiveTimeoutError. Not to be called twice at once. */
  async receive(timeoutMs = RECEIVE_TIMEOUT_MS): Promise<ReceivedPdu> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const pdu = this.#parse();
      if (pdu !== undefined) {
        this.#account(pdu);
        return pdu;
      }
      if (this.#ended) {
        const rest = this.#input.length === 0 ? "" : ` with ${this.#input.length} bytes of an incomplete PDU`;
        throw new ConnectionClosedError(
          `the target closed the connection${rest}${this.#error ? `: ${this.#error.message}` : ""}`,
        );
      }
      const leftMs = deadline - performance.now();
      if (leftMs <= 0)
        throw new ReceiveTimeoutError(`no PDU within ${timeoutMs} ms (${this.#input.length} bytes of one)`);
      await this.#arrival(leftMs);
    }
  }

  /** The next PDU, which must have this opcode. Before it, at any time, a new MaxCmdSN may be told (section 11.4.11). */
  async expect(opcode: number, timeoutMs = RECEIVE_TIMEOUT_MS): Promise<ReceivedPdu> {
    let pdu = await this.receive(timeoutMs);
    while (opcode !== OPCODE_NOP_IN && isAnnouncement(pdu)) pdu = await this.receive(timeoutMs);
    assert.equal(pdu.opcode, opcode, `opcode ${pdu.opcode.toString(16)}h, expected ${opcode.toString(16)}h`);
    return pdu;
  }

  /** Waits until the target closes; returns the PDUs that came before. Throws ReceiveTimeoutError if it does not. */
  async receiveUntilClosed(timeoutMs = RECEIVE_TIMEOUT_MS): Promise<ReceivedPdu[]> {
    const deadline = performance.now() + timeoutMs;
    const pdus: ReceivedPdu[] = [];
    for (;;) {
      try {
        pdus.push(await this.receive(Math.max(1, deadline - performance.now())));
      } catch (error) {
        if (error instanceof ConnectionClosedError) return pdus;
        throw error;
      }
    }
  }

  get closedByTarget(): boolean {
    return this.#ended;
  }

  /** Reads nothing from the socket until `resume`: the target can send until its own and our buffers are full. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends FIN: nothing more will come from us. */
  halfClose(): void {
    this.#socket.end();
  }

  /** Sends nothing more; what the target sends is still received. */
  end(): void {
    this.#socket.end();
  }

  /** Closes the socket at once (RST where data is unread). */
  destroy(): void {
    this.#socket.destroy();
  }

  async #arrival(timeoutMs: number): Promise<void> {
    assert(this.#wake === undefined, "receive() is under way already");
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** Takes one PDU from the input, if it is all there. */
  #parse(): ReceivedPdu | undefined {
    const input = this.#input;
    if (input.length < BHS_BYTES) return undefined;
    const ahsLength = input[4]! * 4;
    const dataLength = input.readUIntBE(5, 3);
    const paddingLength = -dataLength & 3;
    const headerEnd = BHS_BYTES + ahsLength;
    const dataStart = headerEnd + (this.headerDigest ? 4 : 0);
    const dataEnd = dataStart + dataLength + paddingLength;
    const end = dataEnd + (this.dataDigest && dataLength > 0 ? 4 : 0);
    if (input.length < end) return undefined;
    if (this.headerDigest) {
      assert.deepEqual(input.subarray(headerEnd, dataStart), digestOf(input.subarray(0, headerEnd)), "header digest");
    }
    if (this.dataDigest && dataLength > 0) {
      assert.deepEqual(input.subarray(dataEnd, end), digestOf(input.subarray(dataStart, dataEnd)), "data digest");
    }
    this.#input = input.subarray(end);
    return new ReceivedPdu(
      input.subarray(0, BHS_BYTES),
      input.subarray(BHS_BYTES, headerEnd),
      input.subarray(dataStart, dataStart + dataLength),
      input.subarray(dataStart + dataLength, dataEnd),
    );
  }

  /** Sequence numbers, and what holds for every PDU that a target sends. */
  #account(pdu: ReceivedPdu): void {
    if (this.strict) {
      assert(
        pdu.data.length <= this.maxRecvDataSegmentLength,
        `a data segment of ${pdu.data.length} bytes: more than declared`,
      );
      assert(
        pdu.padding.every((byte) => byte === 0),
        "padding is not zero",
      );
      assert.equal(pdu.ahs.length, 0, "response PDUs have no AHS (RFC 7143 section 11.2)");
    }
    if (pdu.opcode === OPCODE_LOGIN_RESPONSE && pdu.field("statusClass") !== 0) return; // its numbers are not valid
    if (pdu.opcode !== OPCODE_DATA_IN || pdu.flags & FLAG_STATUS) {
      if (this.expStatSN !== undefined && this.strict) assert.equal(pdu.statSN, this.expStatSN, "StatSN");
      if (this.expStatSN === undefined || countsStatSN(pdu))
        this.expStatSN = (pdu.statSN + (countsStatSN(pdu) ? 1 : 0)) >>> 0;
    }
    if (serialAfter(pdu.expCmdSN, this.expCmdSN) || this.maxCmdSN === 0) this.expCmdSN = pdu.expCmdSN;
    if (serialAfter(pdu.maxCmdSN, this.maxCmdSN) || this.maxCmdSN === 0) this.maxCmdSN = pdu.maxCmdSN;
  }
}

/** Opens a socket to the target. */
export async function openSocket(port: number, host: string): Promise<Socket> {
  const socket = connectSocket({ port, host });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  socket.removeAllListeners("error");
  return socket;
}

/** A NOP-In that answers nothing and asks for nothing. */
function isAnnouncement({ opcode, initiatorTaskTag, targetTransferTag }: ReceivedPdu): boolean {
  return opcode === OPCODE_NOP_IN && initiatorTaskTag === TAG_NONE && targetTransferTag === TAG_NONE;
}

/** Does the PDU use up a StatSN? (RFC 7143 sections 11.4.9, 11.8.3, 11.19.2) */
function countsStatSN(pdu: ReceivedPdu): boolean {
  switch (pdu.opcode) {
    case OPCODE_R2T:
      return false;
    case OPCODE_NOP_IN:
      return pdu.initiatorTaskTag !== TAG_NONE;
    case OPCODE_DATA_IN:
      return (pdu.flags & FLAG_STATUS) !== 0;
    default:
      return true;
  }
}

/** Serial number arithmetic of 32 bits (RFC 1982). */
export function serialAfter(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

function corrupted(digest: Buffer, corrupt: boolean | undefined): Buffer {
  if (corrupt) digest[0]! ^= 0x01;
  return digest;
}
