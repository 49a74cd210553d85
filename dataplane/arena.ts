/**
 * All memory of a shard that the kernel reads or writes: one SharedArrayBuffer, cut once at the start.
 *
 *     | recv buffers | batches | headers | CDBs | wake | pad | slices: 4 KiB .. | 64 KiB .. | 256 KiB .. |
 *     '- page-aligned                                        '- page-aligned; this part is registered with the ring
 *
 * Everything outside names memory by its offset from the start of the arena; only the ring's operations need an address,
 * and `address(offset)` makes it.
 */
import { addressOf } from "io-uring-node";
import { assert } from "./assert.js";

export const PAGE_BYTES = 4096;
const HUGE_PAGE_BYTES = 2 * 1024 * 1024;

export class Arena {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  readonly words: Uint32Array<SharedArrayBuffer>;
  /** Address of offset 0. */
  readonly base: number;
  #next = 0;

  /** Takes `length` bytes plus alignment. A SharedArrayBuffer's base is not page-aligned, so more is allocated and the start moved. */
  constructor(length: number) {
    const buffer = new SharedArrayBuffer(length + HUGE_PAGE_BYTES);
    const whole = new Uint8Array(buffer);
    const address = addressOf(whole);
    const skip = (HUGE_PAGE_BYTES - (address % HUGE_PAGE_BYTES)) % HUGE_PAGE_BYTES;
    this.bytes = new Uint8Array(buffer, skip, length);
    this.view = new DataView(buffer, skip, length);
    this.words = new Uint32Array(buffer, skip, length >>> 2);
    this.base = address + skip;
  }

  /** Cuts off the next `length` bytes at a multiple of `alignment`; only while the shard starts. */
  take(length: number, alignment: number): number {
    const offset = Math.ceil(this.#next / alignment) * alignment;
    assert(offset + length <= this.bytes.length, "the arena is too small for the limits");
    this.#next = offset + length;
    return offset;
  }

  /** Bytes that are not cut off yet. */
  left(): number {
    return this.bytes.length - this.#next;
  }

  address(offset: number): number {
    return this.base + offset;
  }

  /** Writes a 64-bit little-endian value (addresses and lengths of kernel structures). `offset` is a multiple of 8. */
  setWord64(offset: number, value: number): void {
    this.words[offset >>> 2] = value >>> 0;
    this.words[(offset >>> 2) + 1] = (value / 4294967296) >>> 0;
  }
}
