/** The shard's memory as the kernel sees it: by address. Whatever an operation names has to lie within the arena. */
import assert from "node:assert/strict";
import type { Arena } from "../../../dataplane/arena.js";

export interface Span {
  readonly address: number;
  readonly length: number;
}

// struct msghdr and struct iovec on 64-bit Linux.
const MSGHDR_IOV = 16;
const MSGHDR_IOVLEN = 24;
const IOVEC_LENGTH = 8;
const IOVEC_BYTES = 16;
const IOVECS_MAX = 1024;

export class ArenaMemory {
  #arena: Arena | null = null;

  attach(arena: Arena): void {
    this.#arena = arena;
  }

  bytes(address: number, length: number): Uint8Array {
    const arena = this.#arena!;
    const offset = address - arena.base;
    if (offset < 0 || offset + length > arena.bytes.length) assert.fail(`${length} bytes at offset ${offset}: EFAULT`);
    return arena.bytes.subarray(offset, offset + length);
  }

  /** The spans that a `struct msghdr` gathers. */
  gathered(msghdrAddress: number): Span[] {
    const count = this.#word64(msghdrAddress + MSGHDR_IOVLEN);
    assert(count > 0 && count <= IOVECS_MAX, `${count} iovecs: EMSGSIZE`);
    let at = this.#word64(msghdrAddress + MSGHDR_IOV);
    const spans: Span[] = [];
    for (let i = 0; i < count; i++, at += IOVEC_BYTES) {
      const span = { address: this.#word64(at), length: this.#word64(at + IOVEC_LENGTH) };
      this.bytes(span.address, span.length);
      spans.push(span);
    }
    return spans;
  }

  #word64(address: number): number {
    const { view, base } = this.#arena!;
    this.bytes(address, 8);
    return view.getUint32(address - base, true) + view.getUint32(address - base + 4, true) * 0x1_0000_0000;
  }
}
