/** One SQE while the simulated kernel works on it. */
import assert from "node:assert/strict";
import { SQE_CQE_SKIP_SUCCESS } from "io-uring-node";

const TWO_TO_32 = 0x1_0000_0000;

/** Where completions go. */
export interface CompletionSink {
  /** The machine has crashed or the ring was closed: what is still in flight has no effect any more. */
  readonly isDead: boolean;
  complete(userLow: number, userHigh: number, result: number, flags: number): void;
}

export class Operation {
  readonly opcode: number;
  readonly sqeFlags: number;
  readonly ioprio: number;
  readonly fd: number;
  readonly offset: number;
  readonly address: number;
  readonly length: number;
  readonly operationFlags: number;
  /** user_data. */
  readonly userLow: number;
  readonly userHigh: number;
  /** Index of a fixed buffer, or a buffer group. */
  readonly bufferIndex: number;
  readonly #sink: CompletionSink;
  #ended = false;

  constructor(sqe: Uint32Array, sink: CompletionSink) {
    const word0 = sqe[0]!;
    this.opcode = word0 & 0xff;
    this.sqeFlags = (word0 >>> 8) & 0xff;
    this.ioprio = word0 >>> 16;
    this.fd = sqe[1]! | 0;
    this.offset = sqe[2]! + sqe[3]! * TWO_TO_32;
    this.address = sqe[4]! + sqe[5]! * TWO_TO_32;
    this.length = sqe[6]!;
    this.operationFlags = sqe[7]!;
    this.userLow = sqe[8]!;
    this.userHigh = sqe[9]!;
    this.bufferIndex = sqe[10]! & 0xffff;
    this.#sink = sink;
  }

  get isDead(): boolean {
    return this.#sink.isDead;
  }

  /** With SQE_CQE_SKIP_SUCCESS only a failure is told. */
  get skipsSuccess(): boolean {
    return (this.sqeFlags & SQE_CQE_SKIP_SUCCESS) !== 0;
  }

  end(result: number, flags = 0, failed = result < 0): void {
    if (this.isDead) return;
    assert(!this.#ended, "an operation completes once");
    this.#ended = true;
    if (this.skipsSuccess && !failed) return;
    this.#sink.complete(this.userLow, this.userHigh, result, flags);
  }
}
