/** A connection: the shard's end, which is a descriptor for its ring, and the peer's, which the simulated initiator holds. */
import assert from "node:assert/strict";
import {
  CQE_BUFFER_SHIFT,
  CQE_F_BUFFER,
  CQE_F_SOCK_NONEMPTY,
  errno,
  MSG_DONTWAIT,
  MSG_WAITALL,
  OP_SENDMSG,
  SQE_BUFFER_SELECT,
} from "io-uring-node";
import type { ArenaMemory, Span } from "./arena-memory.js";
import type { Operation } from "./operation.js";
import type { Pipe } from "./pipe.js";
import type { ProvidedGroup } from "./provided-group.js";
import type { World } from "./world.js";

export class Socket {
  readonly #world: World;
  readonly #memory: ArenaMemory;
  readonly #inbound: Pipe;
  readonly #outbound: Pipe;
  #receiving: Receiving | null = null;
  #sending: Sending | null = null;
  #isShutDown = false;

  constructor(world: World, memory: ArenaMemory, inbound: Pipe, outbound: Pipe) {
    this.#world = world;
    this.#memory = memory;
    this.#inbound = inbound;
    this.#outbound = outbound;
    inbound.onReadable = () => this.#receive();
    outbound.onWritable = () => this.#send();
  }

  startReceive(operation: Operation, group: ProvidedGroup | undefined): void {
    assert(this.#receiving === null, "one receive at a time");
    this.#receiving = { operation, group, count: 0 };
    this.#soon(() => this.#receive());
  }

  startSend(operation: Operation): void {
    assert(this.#sending === null, "one send at a time");
    const spans =
      operation.opcode === OP_SENDMSG
        ? this.#memory.gathered(operation.address)
        : [{ address: operation.address, length: operation.length }];
    this.#sending = { operation, spans, count: 0, length: spans.reduce((sum, { length }) => sum + length, 0) };
    if ((operation.operationFlags & MSG_DONTWAIT) !== 0) this.#send();
    else this.#soon(() => this.#send());
  }

  /** Ends the receive if it is that of the operation with this user_data. */
  cancel(userLow: number, userHigh: number): boolean {
    const receiving = this.#receiving;
    if (receiving === null) return false;
    const { operation, count } = receiving;
    if (operation.userLow !== userLow || operation.userHigh !== userHigh) return false;
    this.#endReceive(count > 0 ? count : -errno.ECANCELED);
    return true;
  }

  shutdown(): void {
    this.#isShutDown = true;
    this.#outbound.finish();
    this.#soon(() => this.#receive());
  }

  close(): void {
    assert(this.#receiving === null && this.#sending === null, "a descriptor in use by the ring is not closed");
    // TCP answers bytes that nobody will read with a reset, which may overtake what was sent before.
    if (this.#inbound.available > 0 && this.#world.random.chance(0.5)) this.#outbound.reset();
    else this.#outbound.finish();
    this.#inbound.reset();
  }

  #soon(run: () => void): void {
    const { timeline, random, faults } = this.#world;
    timeline.after(random.below(faults.networkDelayUsMax + 1), run);
  }

  #receive(): void {
    const receiving = this.#receiving;
    if (receiving === null || receiving.operation.isDead) return;
    const { random, faults } = this.#world;
    const inbound = this.#inbound;
    const { operation } = receiving;
    if (inbound.broken) return this.#endReceive(receiving.count > 0 ? receiving.count : -errno.ECONNRESET);
    if (inbound.available === 0) {
      if (inbound.ended || this.#isShutDown) this.#endReceive(receiving.count);
      return;
    }
    if (receiving.count === 0 && random.chance(faults.interrupted)) return this.#endReceive(-errno.EINTR);
    let { address } = operation;
    let room = operation.length - receiving.count;
    let flags = 0;
    if ((operation.sqeFlags & SQE_BUFFER_SELECT) !== 0) {
      const buffer = random.chance(faults.noBuffers) ? null : receiving.group!.take();
      if (buffer === null) return this.#endReceive(-errno.ENOBUFS);
      address = buffer.address;
      room = Math.min(room, buffer.length);
      flags = CQE_F_BUFFER | (buffer.id << CQE_BUFFER_SHIFT);
    }
    let length = Math.min(room, inbound.available);
    if (random.chance(faults.partialReceive)) length = random.chance(0.5) ? 1 : random.between(1, length);
    inbound.read(this.#memory.bytes(address + receiving.count, length));
    receiving.count += length;
    const isDone = (operation.operationFlags & MSG_WAITALL) === 0 || receiving.count === operation.length;
    if (!isDone) {
      if (inbound.available > 0 || inbound.ended) this.#soon(() => this.#receive());
      return;
    }
    if (inbound.available > 0) flags |= CQE_F_SOCK_NONEMPTY;
    this.#endReceive(receiving.count, flags);
  }

  #endReceive(result: number, flags = 0): void {
    const { operation } = this.#receiving!;
    this.#receiving = null;
    operation.end(result, flags);
  }

  #send(): void {
    const sending = this.#sending;
    if (sending === null || sending.operation.isDead) return;
    const { random, faults } = this.#world;
    const outbound = this.#outbound;
    if (outbound.closed) {
      return this.#endSend(sending.count > 0 ? sending.count : -(outbound.broken ? errno.ECONNRESET : errno.EPIPE));
    }
    if (outbound.room === 0) {
      if ((sending.operation.operationFlags & MSG_DONTWAIT) !== 0) this.#endSend(-errno.EAGAIN);
      return;
    }
    if (sending.count === 0 && random.chance(faults.interrupted)) return this.#endSend(-errno.EINTR);
    const isShort = random.chance(faults.shortSend);
    let most = isShort ? random.between(1, outbound.room) : outbound.room;
    let skip = sending.count;
    for (const { address, length } of sending.spans) {
      if (skip < length && most > 0) {
        const count = Math.min(length - skip, most);
        outbound.write(this.#memory.bytes(address + skip, count));
        sending.count += count;
        most -= count;
        skip += count;
      }
      skip = Math.max(0, skip - length);
    }
    const { operationFlags } = sending.operation;
    const goesOn = (operationFlags & MSG_WAITALL) !== 0 && (operationFlags & MSG_DONTWAIT) === 0 && !isShort;
    if (sending.count === sending.length || !goesOn) this.#endSend(sending.count);
  }

  /** With MSG_WAITALL less than all is a failure. */
  #endSend(result: number): void {
    const { operation, length } = this.#sending!;
    this.#sending = null;
    operation.end(result, 0, result < 0 || ((operation.operationFlags & MSG_WAITALL) !== 0 && result < length));
  }
}

interface Receiving {
  readonly operation: Operation;
  readonly group: ProvidedGroup | undefined;
  /** Bytes that have come. */
  count: number;
}

interface Sending {
  readonly operation: Operation;
  readonly spans: readonly Span[];
  readonly length: number;
  count: number;
}

/** The initiator's end. */
export class PeerSocket {
  readonly #inbound: Pipe;
  readonly #outbound: Pipe;

  constructor(inbound: Pipe, outbound: Pipe) {
    this.#inbound = inbound;
    this.#outbound = outbound;
  }

  set onReadable(listener: () => void) {
    this.#inbound.onReadable = listener;
  }

  set onWritable(listener: () => void) {
    this.#outbound.onWritable = listener;
  }

  /** Nothing more can come. */
  get ended(): boolean {
    return this.#inbound.ended || this.#inbound.broken;
  }

  get available(): number {
    return this.#inbound.available;
  }

  get room(): number {
    return this.#outbound.closed ? 0 : this.#outbound.room;
  }

  read(target: Uint8Array): number {
    return this.#inbound.read(target);
  }

  write(bytes: Uint8Array): number {
    return this.#outbound.write(bytes);
  }

  /** Ends what it sends, in order; what it was sent is not read any more. */
  close(): void {
    this.#inbound.onReadable = () => {};
    this.#outbound.onWritable = () => {};
    this.#outbound.finish();
    this.#inbound.reset();
  }

  /** Power cut: what is on its way is lost. */
  reset(): void {
    this.#inbound.onReadable = () => {};
    this.#outbound.onWritable = () => {};
    this.#outbound.reset();
    this.#inbound.reset();
  }
}
