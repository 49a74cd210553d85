/** How often what can go wrong does, as probabilities per operation, and how slow everything is. */
import type { Random } from "./random.js";

export interface Faults {
  // -- storage
  /** A read or write moves only some of its sectors. */
  readonly shortIo: number;
  /** EIO. */
  readonly mediumError: number;
  /** ENOSPC, of writes and allocations. */
  readonly noSpace: number;
  readonly storageDelayUsMax: number;

  // -- network
  /** A receive brings less than is there; half of these bring a single byte. */
  readonly partialReceive: number;
  /** A send that was to go on by itself (MSG_WAITALL) comes back short. */
  readonly shortSend: number;
  /** EINTR, of receives and sends. */
  readonly interrupted: number;
  /** ENOBUFS, although there are buffers. */
  readonly noBuffers: number;
  readonly networkDelayUsMax: number;

  // -- the thread
  /** `enter` returns without a completion, as after a signal. */
  readonly emptyEnter: number;
  /** What the shard needs for a turn. */
  readonly turnUsMax: number;

  // -- the initiator, per command
  /** It stops reading for a while. */
  readonly stall: number;
  /** It is gone, in the middle of a PDU as a rule. */
  readonly disconnect: number;
}

export const NO_FAULTS: Faults = {
  shortIo: 0,
  mediumError: 0,
  noSpace: 0,
  storageDelayUsMax: 200,
  partialReceive: 0,
  shortSend: 0,
  interrupted: 0,
  noBuffers: 0,
  networkDelayUsMax: 50,
  emptyEnter: 0,
  turnUsMax: 20,
  stall: 0,
  disconnect: 0,
};

/** Each kind of fault is off in half of the simulations, so that one does not hide the others. */
export function randomFaults(random: Random): Faults {
  const perhaps = (most: number) => (random.chance(0.5) ? (random.below(1000) / 1000) * most : 0);
  return {
    shortIo: perhaps(0.3),
    mediumError: perhaps(0.03),
    noSpace: perhaps(0.03),
    storageDelayUsMax: random.spread(10, 20_000),
    partialReceive: perhaps(0.6),
    shortSend: perhaps(0.3),
    interrupted: perhaps(0.05),
    noBuffers: perhaps(0.1),
    networkDelayUsMax: random.spread(1, 5000),
    emptyEnter: perhaps(0.1),
    turnUsMax: random.spread(1, 500),
    stall: perhaps(0.05),
    disconnect: perhaps(0.02),
  };
}
