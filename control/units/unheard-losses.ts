/**
 * Which initiators have written to a unit, may have lost some of that, and do not know: their session has ended before they had
 * acknowledged that they were told, or has not asked since. The next session of the same initiator is told at its first flush, and be it
 * after a restart: they are kept in stateDir. An initiator that logs out unasked has made durable what it wants to keep.
 *
 * A process that was killed leaves data in the page cache, and nobody knows of whom. What is lost soon after the start may be of that:
 * it is told to initiators that have not been here since, too.
 */
import * as z from "zod";
import type { StateDirectory } from "../config/state-directory.js";
import { INITIATORS_OF_UNIT_MAX, LEFT_BEHIND_MS } from "../limits.js";
import type { Logger } from "../logger.js";

const document = z.strictObject({ initiators: z.array(z.string()) });

/** "gone": it has logged out, and nothing of it can be lost any more. */
type Knowledge = "heard" | "unheard" | "gone";

interface Unit {
  /** Initiator name, from the first that logged in. */
  readonly initiators: Map<string, Knowledge>;
  readonly sinceMs: number;
  /** What those know that have not been here since. */
  others: "heard" | "unheard";
}

/** The unit's identity names its document, so that it stays with what hosts take for the same disk. */
function documentName(uuid: string): string {
  return `unheard-losses-${uuid}`;
}

export class UnheardLosses {
  readonly #stateDirectory: Pick<StateDirectory, "read" | "write" | "remove">;
  readonly #logger: Pick<Logger, "error">;
  readonly #nowMs: () => number;
  /** By UUID. */
  readonly #units = new Map<string, Unit>();
  /** UUIDs of units whose document is about to be written. */
  readonly #changed = new Set<string>();
  #saved: Promise<void> = Promise.resolve();

  constructor(
    stateDirectory: Pick<StateDirectory, "read" | "write" | "remove">,
    logger: Pick<Logger, "error">,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#nowMs = nowMs;
    this.#stateDirectory = stateDirectory;
    this.#logger = logger;
  }

  /** The unit is about to be opened. Rejects with a StateError where what is kept cannot be trusted. */
  async load(uuid: string): Promise<void> {
    // It may be opened anew.
    if (this.#units.has(uuid)) return;
    const kept = await this.#stateDirectory.read(documentName(uuid), document);
    const initiators = new Map<string, Knowledge>(kept?.initiators.map((name) => [name, "unheard"]));
    this.#units.set(uuid, { initiators, sinceMs: this.#nowMs(), others: "heard" });
  }

  /** The initiator logs in, and sees the unit. @returns whether it is to be told of a loss. */
  sees(uuid: string, initiatorName: string): boolean {
    const unit = this.#units.get(uuid);
    if (unit === undefined) return false;
    const { initiators, others } = unit;
    const known = initiators.get(initiatorName) ?? others;
    initiators.set(initiatorName, known === "unheard" ? "unheard" : "heard");
    if (initiators.size > INITIATORS_OF_UNIT_MAX) initiators.delete(initiators.keys().next().value!);
    if (known === "unheard") this.#save(uuid);
    return known === "unheard";
  }

  /** Something that the unit had acknowledged is lost; nobody knows whose. */
  lost(uuid: string): void {
    const unit = this.#units.get(uuid);
    if (unit === undefined) return;
    for (const [name, known] of unit.initiators) if (known === "heard") unit.initiators.set(name, "unheard");
    if (this.#nowMs() - unit.sinceMs < LEFT_BEHIND_MS) unit.others = "unheard";
    this.#save(uuid);
  }

  /** The initiator has acknowledged that it was told. */
  heard(uuid: string, initiatorName: string): void {
    this.#learn(uuid, initiatorName, "heard");
  }

  /** It has logged out of its last session that saw the unit. */
  left(uuid: string, initiatorName: string): void {
    this.#learn(uuid, initiatorName, "gone");
  }

  #learn(uuid: string, initiatorName: string, knowledge: Knowledge): void {
    const initiators = this.#units.get(uuid)?.initiators;
    const before = initiators?.get(initiatorName);
    if (before === undefined) return;
    initiators!.set(initiatorName, knowledge);
    if (before === "unheard") this.#save(uuid);
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
      const known = [...(this.#units.get(uuid)?.initiators ?? [])];
      const initiators = known.flatMap(([name, knowledge]) => (knowledge === "unheard" ? [name] : []));
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
