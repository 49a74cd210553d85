/** What the tests of this directory share: memory with an address, and completions as plain records. */
import assert from "node:assert/strict";
import { addressOf, type SubmissionCompletionRing } from "io-uring-node";

export interface Completion {
  readonly kind: number;
  readonly index: number;
  readonly result: number;
  readonly flags: number;
}

/** The completion that `next` has moved to. */
export function current(ring: SubmissionCompletionRing): Completion {
  return { kind: ring.kind, index: ring.index, result: ring.result, flags: ring.completionFlags };
}

/**
 * Enters until `count` completions have come; `enter` waits a second at most, so twenty calls are twenty seconds of
 * silence.
 */
export function complete(ring: SubmissionCompletionRing, count: number): Completion[] {
  const completions: Completion[] = [];
  for (let silent = 0; completions.length < count; ) {
    const ready = ring.enter(count - completions.length, 1000);
    silent = ready > 0 ? 0 : silent + 1;
    assert.ok(silent < 20, `${completions.length} of ${count} completions came`);
    while (ring.next()) completions.push(current(ring));
  }
  assert.equal(completions.length, count);
  return completions;
}

/** Runs one queued operation to its end and returns its result. */
export function resultOf(ring: SubmissionCompletionRing, kind: number): number {
  const [completion] = complete(ring, 1);
  assert.equal(completion!.kind, kind);
  return completion!.result;
}

/** Memory that does not move, and where it is. */
export class Memory {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly address: number;

  constructor(length: number) {
    this.bytes = Buffer.from(new SharedArrayBuffer(length));
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, length);
    this.address = addressOf(this.bytes);
  }

  static of(text: string): Memory {
    const memory = new Memory(Buffer.byteLength(text));
    memory.bytes.write(text);
    return memory;
  }

  /** `struct __kernel_timespec` at the start. */
  static timespec(ms: number): Memory {
    const memory = new Memory(16);
    memory.view.setBigInt64(0, BigInt(Math.floor(ms / 1000)), true);
    memory.view.setBigInt64(8, BigInt(Math.round((ms % 1000) * 1e6)), true);
    return memory;
  }

  /** `struct iovec[]` over these. */
  static iovec(...parts: readonly Memory[]): Memory {
    const memory = new Memory(16 * parts.length);
    parts.forEach((part, at) => {
      memory.view.setBigUint64(16 * at, BigInt(part.address), true);
      memory.view.setBigUint64(16 * at + 8, BigInt(part.bytes.length), true);
    });
    return memory;
  }

  /** `struct msghdr` with nothing but an iovec. */
  static msghdr(iovec: Memory): Memory {
    const memory = new Memory(56);
    memory.view.setBigUint64(16, BigInt(iovec.address), true);
    memory.view.setBigUint64(24, BigInt(iovec.bytes.length / 16), true);
    return memory;
  }
}
