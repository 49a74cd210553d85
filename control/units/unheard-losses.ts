/**
 * Which initiators have written to a unit, may have lost some of that, and do not know: their session has ended before they had
 * acknowledged that they were told, or has not asked since. The next session of the same initiator is told at its first flush, and be it
 * after a restart: they are kept in stateDir. An initiator that logs out unasked has made durable what it wants to keep, and is forgotten.
 */
import * as z from "zod";
import type { StateDirectory } from "../config/state-directory.js";
import { INITIATORS_OF_UNIT_MAX } from "../limits.js";
import type { Logger } from "../logger.js";

const document = z.strictObject({ initiators: z.array(z.string()) });

/** The unit's identity names its document, so that it stays with what hosts take for the same disk. */
function documentName(uuid: string): string {
  return `unheard-losses-${uuid}`;
}

export class UnheardLosses {
  readonly #stateDirectory: Pick<StateDirectory, "read" | "write" | "remove">;
  readonly #logger: Pick<Logger, "error">;
  /** By the unit's UUID: initiator name, from the first that logged in -> whether something was lost that it does not know of. */
  readonly #units = new Map<string, Map<string, boolean>>();
  /** UUIDs of units whose document is about to be written. */
  readonly #changed = new Set<string>();
  #saved: Promise<void> = Promise.resolve();

  constructor(stateDirectory: Pick<StateDirectory, "read" | "write" | "remove">, logger: Pick<Logger, "error">) {
    this.#stateDirectory = stateDirectory;
    this.#logger = logger;
  }

  /** The unit is about to be opened. Rejects with a StateError where what is kept cannot be trusted. */
  async load(uuid: string): Promise<void> {
    // It may be opened anew.
    if (this.#units.has(uuid)) return;
    const kept = await this.#stateDirectory.read(documentName(uuid), document);
    this.#units.set(uuid, new Map(kept?.initiators.map((initiatorName) => [initiatorName, true])));
  }

  /** The initiator logs in, and sees the unit. @returns whether it is to be told of a loss. */
  sees(uuid: string, initiatorName: string): boolean {
    const initiators = this.#units.get(uuid) ?? new Map<string, boolean>();
    this.#units.set(uuid, initiators);
    const isUnheard = initiators.get(initiatorName) ?? false;
    initiators.set(initiatorName, isUnheard);
    if (initiators.size > INITIATORS_OF_UNIT_MAX) this.left(uuid, initiators.keys().next().value!);
    return isUnheard;
  }

  /** Something that the unit had acknowledged is lost; nobody knows whose. */
  lost(uuid: string): void {
    const initiators = this.#units.get(uuid);
    for (const initiatorName of initiators?.keys() ?? []) initiators!.set(initiatorName, true);
    this.#save(uuid);
  }

  /** The initiator has acknowledged that it was told. */
  heard(uuid: string, initiatorName: string): void {
    const initiators = this.#units.get(uuid);
    if (initiators?.get(initiatorName) !== true) return;
    initiators.set(initiatorName, false);
    this.#save(uuid);
  }

  /** It has logged out of its last session that saw the unit. */
  left(uuid: string, initiatorName: string): void {
    const initiators = this.#units.get(uuid);
    const isUnheard = initiators?.get(initiatorName);
    initiators?.delete(initiatorName);
    if (isUnheard === true) this.#save(uuid);
  }

  /** The unit is gone. */
  forget(uuid: string): void {
    this.#units.delete(uuid);
    this.#save(uuid);
  }

  /** Resolves when a loss of power would leave what is known by now. */
  get saved(): Promise<void> {
    return this.#saved;
  }

  /** Nobody waits for it: what is written is what is known when its turn has come. */
  #save(uuid: string): void {
    if (this.#changed.has(uuid)) return;
    this.#changed.add(uuid);
    this.#saved = this.#saved.then(async () => {
      this.#changed.delete(uuid);
      const initiators = [...(this.#units.get(uuid) ?? [])].flatMap(([name, isUnheard]) => (isUnheard ? [name] : []));
      const name = documentName(uuid);
      try {
        if (initiators.length > 0) await this.#stateDirectory.write(name, { initiators });
        else await this.#stateDirectory.remove(name);
      } catch (error) {
        this.#logger.error({ err: error }, "who is to be told of lost data is not kept over a restart");
      }
    });
  }
}
