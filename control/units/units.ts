/** The logical units that are configured, open for as long as they are. */
import { closeSync, fdatasync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { UnitRecord, UnitState } from "../../dataplane/messages.js";
import { Budgets } from "../budgets.js";
import type { LimitsConfiguration, NullUnitConfiguration, UnitConfiguration } from "../config/schema.js";
import { UNIT_IN_USE_POLL_MS, UNIT_IN_USE_WAIT_MS } from "../limits.js";
import type { Logger } from "../logger.js";
import type { StatisticsMemory } from "../statistics.js";
import { growFile, openFileUnit, type UnitIdentity, UnitInUseError } from "./file-unit.js";
import { initialState } from "./unit-state.js";

export class Units {
  readonly #logger: Logger;
  /** How many shards will serve them. */
  readonly #shards: number;
  readonly #statistics: StatisticsMemory;
  readonly #budgets: Budgets;
  readonly #byName = new Map<string, UnitRecord>();
  /** By unitIndex. */
  readonly #names = new Map<number, string>();
  #nextIndex = 0;

  constructor(logger: Logger, statistics: StatisticsMemory, budgets = new Budgets()) {
    this.#logger = logger;
    this.#shards = statistics.shards.length;
    this.#statistics = statistics;
    this.#budgets = budgets;
  }

  records(): UnitRecord[] {
    return [...this.#byName.values()];
  }

  /** What of the unit changes while it is served is from now on this. */
  setState(unitIndex: number, state: UnitState): void {
    const record = this.at(unitIndex);
    if (record !== undefined) this.#byName.set(record.name, { ...record, state });
  }

  find(name: string): UnitRecord | undefined {
    return this.#byName.get(name);
  }

  at(unitIndex: number): UnitRecord | undefined {
    const name = this.#names.get(unitIndex);
    return name === undefined ? undefined : this.#byName.get(name);
  }

  /**
   * Opens a unit; its file is created if a size is configured and it is not there.
   *
   * @throws UnitError; then nothing is left open.
   */
  open(unit: UnitConfiguration, uuid: string): UnitRecord {
    const identity = {
      unitIndex: this.#nextIndex++,
      uuid,
      statisticsBlock: this.#statistics.allocate(),
      limits: this.#budgets.grant(unit.limits),
    };
    let record: UnitRecord;
    try {
      record =
        unit.kind === "null" ? nullUnit(unit, identity) : openFileUnit(unit, identity, this.#shards, this.#logger);
    } catch (error) {
      this.#statistics.release(identity.statisticsBlock);
      this.#budgets.release(identity.limits);
      throw error;
    }
    this.#byName.set(unit.name, record);
    this.#names.set(record.unitIndex, unit.name);
    this.#logger.info(
      {
        unit: record.name,
        kind: record.kind,
        sizeBytes: record.state.sizeBytes,
        cache: record.cache,
        thin: record.thin,
      },
      "unit open",
    );
    return record;
  }

  /**
   * `open`, once whoever has the file or device has let go of it. A process that was killed does so a moment later; others
   * are not waited for any longer than that.
   */
  async openWhenFree(unit: UnitConfiguration, uuid: string): Promise<UnitRecord> {
    for (const deadlineMs = Date.now() + UNIT_IN_USE_WAIT_MS; ; ) {
      try {
        return this.open(unit, uuid);
      } catch (error) {
        if (!(error instanceof UnitInUseError) || Date.now() >= deadlineMs) throw error;
      }
      await sleep(UNIT_IN_USE_POLL_MS);
    }
  }

  /** The unit stays what it is, under another name. */
  rename(from: string, to: string): void {
    const record = this.#byName.get(from)!;
    this.#byName.delete(from);
    this.#byName.set(to, { ...record, name: to });
    this.#names.set(record.unitIndex, to);
  }

  /**
   * Makes a unit that is open as large as it is configured now; shards are not told.
   *
   * @returns what takes that back.
   * @throws UnitError
   */
  grow(unit: UnitConfiguration): () => void {
    const { fd, state } = this.#byName.get(unit.name)!;
    const shrink = unit.kind === "null" ? () => {} : growFile(unit, fd);
    this.#setSize(unit.name, unit.sizeBytes!);
    return () => {
      this.#setSize(unit.name, state.sizeBytes);
      shrink();
    };
  }

  /** All else of its state stays as it is by now. */
  #setSize(name: string, sizeBytes: number): void {
    const { unitIndex, state } = this.#byName.get(name)!;
    this.setState(unitIndex, { ...state, sizeBytes });
  }

  /**
   * The unit has these limits from now on, or none; shards are not told.
   *
   * @returns its new record, and what is to be called when no shard knows the old limits any more.
   */
  limit(name: string, limits: LimitsConfiguration | null): { record: UnitRecord; onChanged: () => void } {
    const had: UnitRecord = this.#byName.get(name)!;
    const record = { ...had, limits: this.#budgets.grant(limits) };
    this.#byName.set(name, record);
    return { record, onChanged: () => this.#budgets.release(had.limits) };
  }

  /**
   * Makes durable what was written to the unit, and closes it. No shard may use it any more.
   *
   * @returns false if it could not be made durable. It is closed all the same.
   */
  async close(name: string): Promise<boolean> {
    const record = this.#byName.get(name);
    if (record === undefined) return true;
    this.#byName.delete(name);
    this.#names.delete(record.unitIndex);
    const flushed = await this.flush(record);
    closeRecord(record);
    this.#statistics.release(record.statisticsBlock);
    this.#budgets.release(record.limits);
    return flushed;
  }

  /** `close` for all of them. */
  async closeAll(): Promise<boolean> {
    const flushed = await Promise.all([...this.#byName.keys()].map((name) => this.close(name)));
    return flushed.every(Boolean);
  }

  /** Makes durable what was written to the unit. @returns false if that is not possible. */
  async flush(record: UnitRecord): Promise<boolean> {
    if (record.bufferedFd < 0 || record.readOnly) return true;
    try {
      await promisify(fdatasync)(record.bufferedFd);
      return true;
    } catch (error) {
      this.#logger.error({ unit: record.name, err: error }, "unit not flushed: what was written to it may be lost");
      return false;
    }
  }
}

function nullUnit(unit: NullUnitConfiguration, { unitIndex, uuid, statisticsBlock, limits }: UnitIdentity): UnitRecord {
  return {
    unitIndex,
    name: unit.name,
    kind: "null",
    fd: -1,
    bufferedFd: -1,
    errorFds: [],
    alignmentBytes: 1,
    rangeAlignmentBytes: 1,
    atomicWrites: null,
    blockLengthBytes: unit.blockLengthBytes,
    physicalBlockBytes: unit.physicalBlockBytes,
    cache: unit.cache,
    readOnly: unit.readOnly,
    removable: unit.removable,
    thin: true,
    inMemory: true,
    uuid,
    statisticsBlock,
    limits,
    state: initialState(unit.sizeBytes, unit.cache),
  };
}

function closeRecord({ fd, bufferedFd, errorFds }: UnitRecord): void {
  for (const errorFd of errorFds) closeSync(errorFd);
  if (bufferedFd >= 0) closeSync(bufferedFd);
  if (fd >= 0 && fd !== bufferedFd) closeSync(fd);
}
