/** A ring for unit tests of the initiator: notes what is queued; the test plays the kernel and the target. */
import type { Ring } from "io-uring-node";
import type { Arena } from "../../dataplane/arena.js";

const MSGHDR_IOV = 16;
const MSGHDR_IOVLEN = 24;
const IOVEC_BYTES = 16;

export class RingStub {
  nowUs = 0;
  /** The bytes of the send that is queued. */
  queued: Buffer | undefined;
  /** Where the receive that is queued puts its bytes, as an arena offset, and how many it takes; -1: none is queued. */
  receiveOffset = -1;
  receiveLength = 0;
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** As what the code under test sees it. */
  get ring(): Ring {
    return this as unknown as Ring;
  }

  recv(_fd: number, address: number, length: number): number {
    this.receiveOffset = address - this.#arena.base;
    this.receiveLength = length;
    return 0;
  }

  send(_fd: number, address: number, length: number): number {
    this.queued = this.#bytes(address, length);
    return 0;
  }

  sendmsg(_fd: number, msghdrAddress: number): number {
    const msghdr = msghdrAddress - this.#arena.base;
    let iovec = this.#word64(msghdr + MSGHDR_IOV) - this.#arena.base;
    const parts: Buffer[] = [];
    for (let left = this.#word64(msghdr + MSGHDR_IOVLEN); left > 0; left--) {
      parts.push(this.#bytes(this.#word64(iovec), this.#word64(iovec + 8)));
      iovec += IOVEC_BYTES;
    }
    this.queued = Buffer.concat(parts);
    return 0;
  }

  #word64(offset: number): number {
    return this.#arena.view.getUint32(offset, true) + this.#arena.view.getUint32(offset + 4, true) * 4294967296;
  }

  #bytes(address: number, length: number): Buffer {
    const offset = address - this.#arena.base;
    return Buffer.from(this.#arena.bytes.slice(offset, offset + length));
  }
}
