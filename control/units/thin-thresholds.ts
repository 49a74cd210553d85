/**
 * Thresholds of thin provisioning (SBC-4, logical block provisioning thresholds): looks, every now and then, how much space the
 * file systems of units have, and tells all nexuses of a unit, once, that it has become less than the threshold says.
 *
 *          available > threshold + half a set           available < threshold - half a set, and somebody is there to be told
 *     told ------------------------------------> armed ------------------------------------------------------------> told
 *
 * One that nobody has heard of stays armed: whoever logs in later is told.
 */
import type { UnitRecord } from "../../dataplane/messages.js";
import { THRESHOLD_SET_BYTES } from "../../dataplane/scsi/mapping-resources.js";
import { THIN_PROVISIONING_SOFT_THRESHOLD_REACHED } from "../../dataplane/scsi/sense.js";
import { THIN_THRESHOLD_POLL_MS } from "../limits.js";
import type { Logger } from "../logger.js";
import type { Session } from "../session-registry.js";
import { type MappingResources, measureMappingResources } from "./mapping-resources.js";
import type { UnitChanges } from "./unit-changes.js";

export interface ThinThresholdsOptions {
  readonly units: () => readonly UnitRecord[];
  readonly sessions: () => Iterable<Session>;
  readonly changes: Pick<UnitChanges, "make">;
  readonly logger: Logger;
  readonly measure?: (unit: UnitRecord) => Promise<MappingResources | null>;
}

export class ThinThresholds {
  readonly #options: ThinThresholdsOptions;
  /** unitIndex -> the threshold, in sets, of which its nexuses have been told. Units that are armed have no entry. */
  readonly #told = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: ThinThresholdsOptions) {
    this.#options = options;
  }

  /** Looks from now on, again so long after each look: a file system that does not answer is not asked twice. */
  start(): void {
    this.#timer = setTimeout(async () => {
      await this.check();
      if (!this.#isStopped) this.start();
    }, THIN_THRESHOLD_POLL_MS).unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** Never rejects. */
  async check(): Promise<void> {
    const units = this.#options.units();
    const open = new Set(units.map(({ unitIndex }) => unitIndex));
    for (const unitIndex of this.#told.keys()) if (!open.has(unitIndex)) this.#told.delete(unitIndex);
    await Promise.all(units.map((unit) => this.#check(unit)));
  }

  async #check(unit: UnitRecord): Promise<void> {
    const { unitIndex, name, state } = unit;
    const { thresholdReports, thresholdEnabled, thresholdCount } = state;
    if (!thresholdReports || !thresholdEnabled) {
      this.#told.delete(unitIndex);
      return;
    }
    const { changes, logger, measure = measureMappingResources } = this.#options;
    let resources: MappingResources | null;
    try {
      resources = await measure(unit);
    } catch (error) {
      logger.warn({ unit: name, err: error }, "space on the unit's file system is not known");
      return;
    }
    if (resources === null) return;
    const sets = resources.availableBytes / THRESHOLD_SET_BYTES;
    // Another threshold is armed, whatever became of the one before.
    if (this.#told.get(unitIndex) !== thresholdCount || sets > thresholdCount + 0.5) this.#told.delete(unitIndex);
    if (this.#told.has(unitIndex) || sets >= thresholdCount - 0.5 || !this.#isSeen(unitIndex)) return;
    this.#told.set(unitIndex, thresholdCount);
    logger.warn(
      { unit: name, availableBytes: resources.availableBytes, thresholdBytes: thresholdCount * THRESHOLD_SET_BYTES },
      "less space is left for the unit than its threshold says",
    );
    const { asc, ascq } = THIN_PROVISIONING_SOFT_THRESHOLD_REACHED;
    await changes.make(unitIndex, { attentions: [{ asc, ascq }] });
  }

  #isSeen(unitIndex: number): boolean {
    for (const { unitIndexes } of this.#options.sessions()) if (unitIndexes.includes(unitIndex)) return true;
    return false;
  }
}
