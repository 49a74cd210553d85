/** Bytes from the target become PDUs; their digests and padding are checked. A PDU is valid until the next call. */
import assert from "node:assert/strict";
import { digestOf } from "../../crc32c.js";
import { BHS_BYTES, ReceivedPdu } from "../../pdu.js";

const DIGEST_BYTES = 4;
const INITIAL_BYTES = 16384;

/** Where the bytes come from. */
export interface ByteSource {
  readonly available: number;
  read(target: Uint8Array): number;
}

export class PduReader {
  headerDigest = false;
  dataDigest = false;
  /** The longest data segment that the target was told to send. */
  dataMax: number;
  #buffer = Buffer.alloc(INITIAL_BYTES);
  #start = 0;
  #end = 0;

  constructor(dataMax: number) {
    this.dataMax = dataMax;
  }

  /** Takes up to `most` bytes from the socket. */
  fill(socket: ByteSource, most: number): void {
    const length = Math.min(most, socket.available);
    this.#makeRoom(length);
    this.#end += socket.read(this.#buffer.subarray(this.#end, this.#end + length));
  }

  /** The next PDU, or null if more bytes have to come. */
  next(): ReceivedPdu | null {
    const buffer = this.#buffer.subarray(this.#start, this.#end);
    if (buffer.length < BHS_BYTES) return null;
    const headerLength = BHS_BYTES + buffer[4]! * 4;
    const dataLength = buffer.readUIntBE(5, 3);
    if (dataLength > this.dataMax) assert.fail(`a data segment of ${dataLength} bytes, longer than ${this.dataMax}`);
    const paddedLength = (dataLength + 3) & ~3;
    const dataAt = headerLength + (this.headerDigest ? DIGEST_BYTES : 0);
    const digestAt = dataAt + paddedLength;
    const length = digestAt + (this.dataDigest && dataLength > 0 ? DIGEST_BYTES : 0);
    if (buffer.length < length) return null;
    if (this.headerDigest) {
      const digest = digestOf(buffer.subarray(0, headerLength));
      assert(digest.equals(buffer.subarray(headerLength, dataAt)), "the header digest matches");
    }
    if (digestAt < length) {
      const digest = digestOf(buffer.subarray(dataAt, digestAt));
      assert(digest.equals(buffer.subarray(digestAt, length)), "the data digest matches");
    }
    this.#start += length;
    const pdu = new ReceivedPdu(
      buffer.subarray(0, BHS_BYTES),
      buffer.subarray(BHS_BYTES, headerLength),
      buffer.subarray(dataAt, dataAt + dataLength),
      buffer.subarray(dataAt + dataLength, digestAt),
    );
    assert(pdu.ahs.length === 0, "the target sends no AHS");
    assert(
      pdu.padding.every((byte) => byte === 0),
      "padding is zero",
    );
    return pdu;
  }

  #makeRoom(length: number): void {
    if (this.#end + length <= this.#buffer.length) return;
    const kept = this.#end - this.#start;
    const target = kept + length <= this.#buffer.length ? this.#buffer : Buffer.alloc(2 * (kept + length));
    this.#buffer.copy(target, 0, this.#start, this.#end);
    this.#buffer = target;
    this.#start = 0;
    this.#end = kept;
  }
}
