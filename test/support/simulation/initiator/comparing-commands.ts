/** Commands that compare the medium with what they bring, or change it in one piece. */
import assert from "node:assert/strict";
import { SECTOR_BYTES } from "../disk.js";
import type { Random } from "../random.js";
import { stamp } from "../stamps.js";
import {
  blockCdb,
  compareAndWriteCdb,
  OR_WRITE_FORMS,
  VERIFY_FORMS,
  WRITE_AND_VERIFY_FORMS,
  writeAtomicCdb,
} from "./block-cdb.js";
import { ChangingCommand, type Description, FLAG_FUA, firstSector, rangeBytes } from "./block-commands.js";
import { Command, type Outcome, type Range, type Sense } from "./command.js";

const SENSE_MISCOMPARE = 0xe;
const FLAGS_BYTCHK_DATA = 0x02;

/** Checks MISCOMPARE: where it says that the medium differs from `data`, it may have done so since `start`. */
function checkMiscompare({ information, asc, ascq }: Sense, range: Range, data: Uint8Array, start: number): void {
  assert.deepEqual([asc, ascq], [0x1d, 0x00], "MISCOMPARE DURING VERIFY OPERATION");
  assert(information !== undefined && information < data.length, "INFORMATION is the offset of the first difference");
  const at = information - (information % SECTOR_BYTES);
  const compared = data.subarray(at, at + SECTOR_BYTES);
  const { disk, history } = range.unit;
  if (disk === null) return assert(compared[information - at] !== 0, "a unit without a disk reads as zeroes");
  const sector = firstSector(range) + at / SECTOR_BYTES;
  assert(history.mayDiffer(sector, compared, start), `sector ${sector} holds what it was compared with`);
}

/** VERIFY with BYTCHK=1, with what the medium may well hold. */
export class VerifyDataCommand extends Command {
  readonly name = "VERIFY of data";
  override readonly writes = true;
  override readonly range: Range;
  readonly #data: Uint8Array;
  #start = 0;

  constructor(random: Random, lun: number, range: Range) {
    const { unit, lba, blocks } = range;
    super(lun, blockCdb(random, VERIFY_FORMS, lba, blocks, FLAGS_BYTCHK_DATA), rangeBytes(range), range);
    this.range = range;
    this.#data = unit.history.guess(firstSector(range), blocks * unit.sectorsPerBlock);
  }

  override data(offset: number, length: number): Uint8Array {
    return this.#data.subarray(offset, offset + length);
  }

  override begin(): void {
    super.begin();
    this.#start = this.range.unit.history.beginReading();
  }

  protected override good(): void {
    this.range.unit.history.check(firstSector(this.range), this.#data, this.#start);
    this.abandoned();
  }

  protected override failed(sense: Sense, outcome: Outcome): void {
    if (sense.key === SENSE_MISCOMPARE) checkMiscompare(sense, this.range, this.#data, this.#start);
    else super.failed(sense, outcome);
    this.abandoned();
  }

  protected override refused(): void {
    this.abandoned();
  }

  override abandoned(): void {
    this.range.unit.history.endReading(this.#start);
  }
}

/** A command that writes stamped sectors, and compares the medium with something before or after. */
abstract class ComparingChange extends ChangingCommand {
  override readonly writes = true;
  readonly #id: number;
  protected readonly stamped: Uint8Array;
  protected start = 0;

  constructor(lun: number, cdb: Buffer, expectedLength: number, range: Range, isDurable: boolean) {
    super(lun, cdb, expectedLength, range, isDurable);
    this.#id = range.unit.history.nextId();
    this.stamped = stamp(this.#id, range.blocks * range.unit.sectorsPerBlock);
  }

  override begin(): void {
    this.start = this.range.unit.history.beginReading();
    super.begin();
  }

  protected override describe(): Description {
    const count = this.range.blocks * this.range.unit.sectorsPerBlock;
    return { id: this.#id, count, isZero: false, period: count };
  }

  protected override good(outcome: Outcome): void {
    super.good(outcome);
    this.range.unit.history.endReading(this.start);
  }

  protected override refused(): void {
    super.refused();
    this.range.unit.history.endReading(this.start);
  }

  override abandoned(): void {
    super.abandoned();
    this.range.unit.history.endReading(this.start);
  }
}

/** With BYTCHK=1 what another writes at the same time may be a MISCOMPARE. */
export class WriteAndVerifyCommand extends ComparingChange {
  readonly name = "WRITE AND VERIFY";

  constructor(random: Random, lun: number, range: Range) {
    const flags = random.pick([0, FLAGS_BYTCHK_DATA]);
    const cdb = blockCdb(random, WRITE_AND_VERIFY_FORMS, range.lba, range.blocks, flags);
    super(lun, cdb, rangeBytes(range), range, true);
  }

  override data(offset: number, length: number): Uint8Array {
    return this.stamped.subarray(offset, offset + length);
  }

  protected override failed(sense: Sense, outcome: Outcome): void {
    if (sense.key !== SENSE_MISCOMPARE) return super.failed(sense, outcome);
    checkMiscompare(sense, this.range, this.stamped, this.start);
    this.abandoned();
  }
}

/** COMPARE AND WRITE, with what the medium may well hold. */
export class CompareAndWriteCommand extends ComparingChange {
  readonly name = "COMPARE AND WRITE";
  readonly #compared: Uint8Array;

  constructor(random: Random, lun: number, range: Range) {
    const { lba, blocks, unit } = range;
    const flags = random.pick([0, FLAG_FUA]);
    super(lun, compareAndWriteCdb(lba, blocks, flags), 2 * rangeBytes(range), range, flags === FLAG_FUA);
    this.#compared = unit.history.guess(firstSector(range), blocks * unit.sectorsPerBlock);
  }

  override data(offset: number, length: number): Uint8Array {
    return Buffer.concat([this.#compared, this.stamped]).subarray(offset, offset + length);
  }

  protected override good(outcome: Outcome): void {
    const { history, disk } = this.range.unit;
    if (disk !== null) history.replaced(firstSector(this.range), this.#compared, this.start);
    super.good(outcome);
  }

  protected override failed(sense: Sense, outcome: Outcome): void {
    if (sense.key !== SENSE_MISCOMPARE) return super.failed(sense, outcome);
    checkMiscompare(sense, this.range, this.#compared, this.start);
    this.refused();
  }
}

/** Of zeroes: it changes nothing, unless it puts back what another has overwritten meanwhile. */
export class OrWriteCommand extends Command {
  readonly name = "ORWRITE";
  override readonly writes = true;
  protected override readonly hearsOfLosses = true;

  constructor(random: Random, lun: number, range: Range) {
    super(lun, blockCdb(random, OR_WRITE_FORMS, range.lba, range.blocks), rangeBytes(range), range);
  }

  override data(_offset: number, length: number): Uint8Array {
    return new Uint8Array(length);
  }

  protected override good({ residual }: Outcome): void {
    assert.equal(residual, 0);
  }
}

export class WriteAtomicCommand extends ChangingCommand {
  readonly name = "WRITE ATOMIC";
  override readonly writes = true;
  readonly #id: number;
  readonly #data: Uint8Array;

  constructor(random: Random, lun: number, range: Range) {
    const { lba, blocks, unit } = range;
    const flags = random.pick([0, FLAG_FUA]);
    super(lun, writeAtomicCdb(lba, blocks, flags), rangeBytes(range), range, flags === FLAG_FUA);
    this.#id = unit.history.nextId();
    this.#data = stamp(this.#id, blocks * unit.sectorsPerBlock);
  }

  override data(offset: number, length: number): Uint8Array {
    return this.#data.subarray(offset, offset + length);
  }

  protected override describe(): Description {
    const count = this.range.blocks * this.range.unit.sectorsPerBlock;
    return { id: this.#id, count, isZero: false, period: count };
  }
}
