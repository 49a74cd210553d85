/**
 * Unit attention conditions of one I_T nexus (SAM-5): what the initiator has to be told about a unit before it may go on
 * using it. One instance a session, on the shard that owns the session.
 *
 * They are reported oldest first, save that a reset (ASC 29h) goes before all that was pending: it has the highest
 * precedence in SAM-5's table. The queue of a LUN is bounded; a queue that is full is replaced by one POWER ON, RESET, OR
 * BUS DEVICE RESET OCCURRED, after which a host reads everything anew anyway.
 *
 * Deferred errors (SPC-5) wait in the same queue, as they are told in the same way: instead of the next command. They are
 * never dropped for want of room.
 */
import { THRESHOLD_DESCRIPTOR_BYTE } from "./mapping-resources.js";
import {
  POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED,
  SENSE_DEFERRED,
  SENSE_KEY_UNIT_ATTENTION,
  type Sense,
  THIN_PROVISIONING_SOFT_THRESHOLD_REACHED,
} from "./sense.js";

/** Conditions kept per LUN. */
export const UNIT_ATTENTIONS_PER_LUN_MAX = 16;

const ASC_RESET = 0x29;
/** Of a condition in a queue: its sense key, where that is not UNIT ATTENTION, stands above ASC and ASCQ. */
const SENSE_KEY_SHIFT = 16;

export class UnitAttentions {
  /** LUN -> conditions, next to report first. A LUN without any has no entry. */
  readonly #queues = new Map<number, number[]>();

  /** Whether the LUN has something to report. Costs one comparison while no LUN of the session has. */
  pending(lun: number): boolean {
    return this.#queues.size !== 0 && this.#queues.has(lun);
  }

  /** Establishes a condition; one that is pending already stays where it is. @returns whether it is new. */
  add(lun: number, asc: number, ascq: number): boolean {
    return this.#add(lun, (asc << 8) | ascq);
  }

  /** Something that the initiator takes as done has failed. */
  addDeferredError(lun: number, { senseKey, asc, ascq }: Sense): void {
    this.#add(lun, ((SENSE_DEFERRED | senseKey) << SENSE_KEY_SHIFT) | (asc << 8) | ascq);
  }

  #add(lun: number, code: number): boolean {
    const queue = this.#queues.get(lun);
    if (queue === undefined) {
      this.#queues.set(lun, [code]);
      return true;
    }
    if (queue.includes(code)) return false;
    if (queue.length === UNIT_ATTENTIONS_PER_LUN_MAX) {
      const reset = POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED;
      const errors = [...queue, code].filter(isDeferredError);
      this.#queues.set(lun, [(reset.asc << 8) | reset.ascq, ...errors]);
    } else if (code >>> 8 === ASC_RESET) {
      queue.splice(firstNoReset(queue), 0, code);
    } else {
      queue.push(code);
    }
    return true;
  }

  /** How many conditions the LUN has. */
  count(lun: number): number {
    return this.#queues.get(lun)?.length ?? 0;
  }

  /** The LUN's next condition, as `take` has it, which stays pending. */
  next(lun: number): number {
    return this.#queues.get(lun)?.[0] ?? -1;
  }

  /** Takes the LUN's next condition, or -1 where none is pending. It is not reported again. See `senseKeyOf`. */
  take(lun: number): number {
    const queue = this.#queues.get(lun);
    if (queue === undefined) return -1;
    const code = queue.shift()!;
    if (queue.length === 0) this.#queues.delete(lun);
    return code;
  }

  /** Forgets a condition on all LUNs: REPORT LUNS does so with REPORTED LUNS DATA HAS CHANGED (SPC-5). */
  withdraw(asc: number, ascq: number): void {
    const code = (asc << 8) | ascq;
    for (const [lun, queue] of this.#queues) {
      const at = queue.indexOf(code);
      if (at < 0) continue;
      if (queue.length === 1) this.#queues.delete(lun);
      else queue.splice(at, 1);
    }
  }

  /** Forgets all of a LUN: it is no longer mapped. */
  clear(lun: number): void {
    this.#queues.delete(lun);
  }
}

/**
 * INFORMATION that goes with a condition, or -1: of a threshold, "the byte offset in the Logical Block Provisioning mode page of
 * the first byte of the threshold descriptor" (SBC-4).
 */
export function informationOf(condition: number): number {
  const { asc, ascq } = THIN_PROVISIONING_SOFT_THRESHOLD_REACHED;
  return condition === ((asc << 8) | ascq) ? THRESHOLD_DESCRIPTOR_BYTE : -1;
}

/** Of what `take` has given. */
export function isDeferredError(condition: number): boolean {
  return condition >>> SENSE_KEY_SHIFT !== 0;
}

/** Of what `take` has given; ASC and ASCQ are its lower two bytes. */
export function senseKeyOf(condition: number): number {
  return condition >>> SENSE_KEY_SHIFT || SENSE_KEY_UNIT_ATTENTION;
}

function firstNoReset(queue: readonly number[]): number {
  let at = 0;
  while (at < queue.length && queue[at]! >>> 8 === ASC_RESET) at++;
  return at;
}
