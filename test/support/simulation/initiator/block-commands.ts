/** READ, WRITE and the other commands that touch the medium, each with what the history of the unit says of it. */
import assert from "node:assert/strict";
import { unmap, unmapList } from "../../cdb.js";
import type { Write } from "../block-history.js";
import { SECTOR_BYTES } from "../disk.js";
import type { Random } from "../random.js";
import { stamp } from "../stamps.js";
import { blockCdb, READ_FORMS, VERIFY_FORMS, WRITE_FORMS, WRITE_SAME_FORMS } from "./block-cdb.js";
import { assertResidual, Command, type Outcome, type Range, type Sense } from "./command.js";

export const FLAG_DPO = 0x10;
export const FLAG_FUA = 0x08;
const FLAG_UNMAP = 0x08;
const FLAG_NDOB = 0x01;

export const firstSector = ({ unit, lba }: Range) => lba * unit.sectorsPerBlock;
export const rangeBytes = ({ unit, blocks }: Range) => blocks * unit.record.blockLengthBytes;

export class ReadCommand extends Command {
  readonly name = "READ";
  override readonly reads = true;
  override readonly range: Range;
  #start = 0;

  constructor(random: Random, lun: number, range: Range, expectedLength: number) {
    const flags = random.pick([0, 0, 0, FLAG_DPO, FLAG_FUA]);
    super(lun, blockCdb(random, READ_FORMS, range.lba, range.blocks, flags), expectedLength, range);
    this.range = range;
  }

  override begin(): void {
    super.begin();
    this.#start = this.range.unit.history.beginReading();
  }

  protected override good(outcome: Outcome): void {
    const { unit } = this.range;
    assert.equal(outcome.data.length, Math.min(this.expectedLength, rangeBytes(this.range)), "all of the data came");
    assertResidual(outcome, this.expectedLength, rangeBytes(this.range));
    if (unit.disk === null)
      assert(
        outcome.data.every((byte) => byte === 0),
        "a unit without a disk reads as zeroes",
      );
    else unit.history.check(firstSector(this.range), outcome.data, this.#start);
    unit.history.endReading(this.#start);
  }

  protected override failed(sense: Sense, outcome: Outcome): void {
    super.failed(sense, outcome);
    // What came before the failure is no less true.
    this.range.unit.history.check(firstSector(this.range), outcome.data, this.#start);
    this.abandoned();
  }

  protected override refused(): void {
    this.abandoned();
  }

  override abandoned(): void {
    this.range.unit.history.endReading(this.#start);
  }
}

/** What a command writes, from the first sector of its range on. */
export type Description = Pick<Write, "id" | "count" | "isZero" | "period">;

/** A command that changes sectors. */
export abstract class ChangingCommand extends Command {
  override readonly range: Range;
  /** When it ends well, it is on stable storage. */
  readonly #isDurable: boolean;
  protected override readonly hearsOfLosses: boolean;
  #write: Write | null = null;

  constructor(lun: number, cdb: Buffer, expectedLength: number, range: Range, isDurable = false) {
    super(lun, cdb, expectedLength, range);
    const { cache, inMemory } = range.unit.record;
    this.range = range;
    this.#isDurable = isDurable || cache === "writethrough" || inMemory;
    this.hearsOfLosses = this.#isDurable;
  }

  protected abstract describe(): Description;

  override begin(): void {
    super.begin();
    const { history, disk } = this.range.unit;
    const description = this.describe();
    if (disk === null || description.count === 0) return;
    this.#write = history.begin({ ...description, name: this.name, first: firstSector(this.range) });
  }

  protected override good(_outcome: Outcome): void {
    if (this.#write !== null) this.range.unit.history.written(this.#write, this.#isDurable);
  }

  protected override failed(sense: Sense, outcome: Outcome): void {
    super.failed(sense, outcome);
    this.abandoned();
  }

  protected override refused(): void {
    if (this.#write !== null) this.range.unit.history.refused(this.#write);
  }

  override abandoned(): void {
    if (this.#write !== null) this.range.unit.history.abandoned(this.#write);
  }
}

export class WriteCommand extends ChangingCommand {
  readonly name: string = "WRITE";
  override readonly writes = true;
  readonly #id: number;
  readonly #data: Uint8Array;

  constructor(random: Random, lun: number, range: Range, expectedLength: number) {
    const flags = random.pick([0, 0, 0, FLAG_DPO, FLAG_FUA]);
    super(
      lun,
      blockCdb(random, WRITE_FORMS, range.lba, range.blocks, flags),
      expectedLength,
      range,
      flags === FLAG_FUA,
    );
    this.#id = range.unit.history.nextId();
    this.#data = stamp(this.#id, Math.ceil(expectedLength / SECTOR_BYTES));
  }

  override data(offset: number, length: number): Uint8Array {
    return this.#data.subarray(offset, offset + length);
  }

  /** No block is written in part: of one whose data does not come whole, nothing is. */
  protected override describe(): Description {
    const { unit, blocks } = this.range;
    const whole = Math.min(blocks, Math.floor(this.expectedLength / unit.record.blockLengthBytes));
    const count = whole * unit.sectorsPerBlock;
    return { id: this.#id, count, isZero: false, period: Math.max(1, count) };
  }

  protected override good(outcome: Outcome): void {
    super.good(outcome);
    assertResidual(outcome, this.expectedLength, rangeBytes(this.range));
  }
}

export class WriteSameCommand extends ChangingCommand {
  readonly name = "WRITE SAME";
  override readonly writes: boolean;
  readonly #id: number;
  readonly #data: Uint8Array;
  readonly #isZero: boolean;

  constructor(random: Random, lun: number, range: Range) {
    const { unit } = range;
    const isNoData = random.chance(0.3);
    const isZero = isNoData || random.chance(0.4);
    const isUnmap = isZero && unit.record.thin && random.chance(0.5);
    const flags = (isNoData ? FLAG_NDOB : 0) | (isUnmap ? FLAG_UNMAP : 0);
    const forms = isNoData ? WRITE_SAME_FORMS.slice(1) : WRITE_SAME_FORMS;
    const cdb = blockCdb(random, forms, range.lba, range.blocks, flags);
    super(lun, cdb, isNoData ? 0 : unit.record.blockLengthBytes, range);
    this.writes = !isNoData;
    this.#isZero = isZero;
    this.#id = isZero ? 0 : unit.history.nextId();
    this.#data = isZero ? new Uint8Array(unit.record.blockLengthBytes) : stamp(this.#id, unit.sectorsPerBlock);
  }

  override data(offset: number, length: number): Uint8Array {
    return this.#data.subarray(offset, offset + length);
  }

  protected override describe(): Description {
    const { unit, blocks } = this.range;
    return {
      id: this.#id,
      count: blocks * unit.sectorsPerBlock,
      isZero: this.#isZero,
      period: unit.sectorsPerBlock,
    };
  }
}

/** Of a single range. Only where the unit is thin. */
export class UnmapCommand extends ChangingCommand {
  readonly name = "UNMAP";
  override readonly writes = true;
  readonly #list: Buffer;

  constructor(lun: number, range: Range) {
    const list = unmapList([range]);
    super(lun, unmap(list.length), list.length, range);
    this.#list = list;
  }

  override data(offset: number, length: number): Uint8Array {
    return this.#list.subarray(offset, offset + length);
  }

  protected override describe(): Description {
    const count = this.range.blocks * this.range.unit.sectorsPerBlock;
    return { id: 0, count, isZero: true, period: 1 };
  }
}

export class VerifyCommand extends Command {
  readonly name = "VERIFY";

  constructor(random: Random, lun: number, range: Range) {
    super(lun, blockCdb(random, VERIFY_FORMS, range.lba, range.blocks), 0, range);
  }

  protected override good(outcome: Outcome): void {
    assertResidual(outcome, 0, 0);
  }
}

export class SynchronizeCacheCommand extends Command {
  readonly name = "SYNCHRONIZE CACHE";
  protected override readonly hearsOfLosses = true;
  override readonly range: Range;
  #start = 0;

  constructor(lun: number, unit: Range["unit"], cdb: Buffer) {
    const range = { unit, lba: 0, blocks: unit.blocks };
    super(lun, cdb, 0, range);
    this.range = range;
  }

  override begin(): void {
    super.begin();
    this.#start = this.range.unit.history.beginReading();
  }

  protected override good(): void {
    this.range.unit.history.flushed(this.#start);
    this.abandoned();
  }

  protected override failed(sense: Sense, outcome: Outcome): void {
    super.failed(sense, outcome);
    this.abandoned();
  }

  protected override refused(): void {
    this.abandoned();
  }

  override abandoned(): void {
    this.range.unit.history.endReading(this.#start);
  }
}
