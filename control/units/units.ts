/** The logical units that are configured, open for as long as they are. */
import { closeSync, fdatasync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { UnitRecord, UnitState } from "../../dataplane/messages.js";
import { Budgets } from "../budgets.js";
import type {
  FileUnitConfiguration,
  LimitsConfiguration,
  NullUnitConfiguration,
  UnitConfiguration,
} from "../config/schema.js";
import { FILES_HERE, type Files } from "../files/jobs.js";
import { UNIT_IN_USE_POLL_MS, UNIT_IN_USE_WAIT_MS } from "../limits.js";
import type { Logger } from "../logger.js";
import type { StatisticsMemory } from "../statistics.js";
import { type OpenedFile, openFile, UnitError, UnitInUseError } from "./file-unit.js";
import { initialState } from "./unit-state.js";

/** How files are opened. */
export interface Opening {
  readonly files: Files;
  /** Folders of which the unit's file must be below one; null: it may be anywhere. */
  rootsFor(unit: FileUnitConfiguration): readonly string[] | null;
}

const HERE: Opening = { files: FILES_HERE, rootsFor: () => null };

export class Units {
  readonly #logger: Logger;
  /** How many shards will serve them. */
  readonly #shards: number;
  readonly #statistics: StatisticsMemory;
  readonly #budgets: Budgets;
  readonly #byName = new Map<string, UnitRecord>();
  /** By unitIndex. */
  readonly #names = new Map<number, string>();
  /** unitIndex -> what its file is, and whether it was made for it. */
  readonly #files = new Map<number, Pick<OpenedFile, "identity" | "isNew">>();
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
    return this.#enter(unit, uuid, unit.kind === "null" ? null : openFile(unit, this.#shards));
  }

  #enter(unit: UnitConfiguration, uuid: string, opened: OpenedFile | null): UnitRecord {
    const record: UnitRecord = {
      ...(opened?.record ?? nullUnit(unit as NullUnitConfiguration)),
      unitIndex: this.#nextIndex++,
      uuid,
      statisticsBlock: this.#statistics.allocate(),
      limits: this.#budgets.grant(unit.limits),
    };
    if (opened !== null) this.#files.set(record.unitIndex, opened);
    for (const warning of opened?.warnings ?? []) this.#logger.warn({ unit: unit.name }, warning);
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
  async openWhenFree(unit: UnitConfiguration, uuid: string, opening = HERE): Promise<UnitRecord> {
    if (unit.kind === "null") return this.open(unit, uuid);
    for (const deadlineMs = performance.now() + UNIT_IN_USE_WAIT_MS; ; ) {
      try {
        return this.#enter(unit, uuid, await this.#openFile(unit, opening));
      } catch (error) {
        if (!(error instanceof UnitInUseError) || performance.now() >= deadlineMs) throw error;
      }
      await sleep(UNIT_IN_USE_POLL_MS);
    }
  }

  async #openFile(unit: FileUnitConfiguration, { files, rootsFor }: Opening): Promise<OpenedFile> {
    const outcome = await blaming(unit, files.run("open", unit, this.#shards, rootsFor(unit)));
    if (!("refusal" in outcome)) return outcome;
    throw new (outcome.isInUse ? UnitInUseError : UnitError)(unit.name, unit.path, outcome.refusal);
  }

  /** Closes a unit that nobody has seen yet, and removes the file if it was made for it. */
  async takeBack(unit: UnitConfiguration, { files, rootsFor }: Opening = HERE): Promise<void> {
    const record = this.#byName.get(unit.name);
    const file = record && this.#files.get(record.unitIndex);
    await this.close(unit.name);
    if (unit.kind !== "file" || !file?.isNew) return;
    await blaming(unit, files.run("remove", unit.path, file.identity, rootsFor(unit)));
  }

  /** Tells the file of a unit that is open from all others. */
  fileIdentity(name: string): string | undefined {
    const record = this.#byName.get(name);
    return record && this.#files.get(record.unitIndex)?.identity;
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
  async grow(unit: UnitConfiguration, files = FILES_HERE): Promise<() => Promise<void>> {
    const { fd, kind, state } = this.#byName.get(unit.name)!;
    const hadBytes = unit.kind === "null" ? 0 : await blaming(unit, files.run("grow", unit, fd));
    this.#setSize(unit.name, unit.sizeBytes!);
    return async () => {
      this.#setSize(unit.name, state.sizeBytes);
      if (kind === "file") await files.run("shorten", fd, hadBytes);
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
    this.#files.delete(record.unitIndex);
    this.#statistics.release(record.statisticsBlock);
    this.#budgets.release(record.limits);
    return flushed;
  }

  /** `close` for all of them. @returns those that could not be made durable. */
  async closeAll(): Promise<UnitRecord[]> {
    const records = this.records();
    const flushed = await Promise.all(records.map(({ name }) => this.close(name)));
    return records.filter((_, index) => !flushed[index]);
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

/** @throws UnitError, whatever it was. */
async function blaming<T>({ name, path }: FileUnitConfiguration, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof UnitError) throw error;
    // What has come from another thread names unit and path already.
    const { message } = error as Error;
    const start = `unit ${name}: ${path}: `;
    throw new UnitError(name, path, message.startsWith(start) ? message.slice(start.length) : message, {
      cause: error,
    });
  }
}

function nullUnit(unit: NullUnitConfiguration): OpenedFile["record"] {
  return {
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
    state: initialState(unit.sizeBytes, unit.cache),
  };
}

function closeRecord({ fd, bufferedFd, errorFds }: UnitRecord): void {
  for (const errorFd of errorFds) closeSync(errorFd);
  if (bufferedFd >= 0) closeSync(bufferedFd);
  if (fd >= 0 && fd !== bufferedFd) closeSync(fd);
}
