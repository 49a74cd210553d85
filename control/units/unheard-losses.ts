/**
 * Which initiators have written to a unit, may have lost some of that, and do not know: their session has ended before they were
 * told, or has not asked since. The next session of the same initiator is told at its first flush. An initiator that logs out has
 * made durable what it wants to keep, and is forgotten.
 */
import { INITIATORS_OF_UNIT_MAX } from "../limits.js";

export class UnheardLosses {
  /** By the unit's UUID: initiator name, from the first that logged in -> whether something was lost that it does not know of. */
  readonly #units = new Map<string, Map<string, boolean>>();

  /** The initiator logs in, and sees the unit. @returns whether it is to be told of a loss. */
  sees(uuid: string, initiatorName: string): boolean {
    const initiators = this.#units.get(uuid) ?? new Map<string, boolean>();
    this.#units.set(uuid, initiators);
    const isUnheard = initiators.get(initiatorName) ?? false;
    initiators.set(initiatorName, isUnheard);
    if (initiators.size > INITIATORS_OF_UNIT_MAX) initiators.delete(initiators.keys().next().value!);
    return isUnheard;
  }

  /** Something that the unit had acknowledged is lost; nobody knows whose. */
  lost(uuid: string): void {
    const initiators = this.#units.get(uuid);
    for (const initiatorName of initiators?.keys() ?? []) initiators!.set(initiatorName, true);
  }

  /** A flush of the initiator has failed. */
  heard(uuid: string, initiatorName: string): void {
    const initiators = this.#units.get(uuid);
    if (initiators?.has(initiatorName)) initiators.set(initiatorName, false);
  }

  /** It has logged out of its last session that saw the unit. */
  left(uuid: string, initiatorName: string): void {
    this.#units.get(uuid)?.delete(initiatorName);
  }

  /** The unit is gone. */
  forget(uuid: string): void {
    this.#units.delete(uuid);
  }
}
