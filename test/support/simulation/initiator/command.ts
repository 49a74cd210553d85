/** A SCSI command of a simulated initiator: what is sent, and what may come back. */
import assert from "node:assert/strict";
import { parseSense } from "../../pdu.js";
import type { SimulatedUnit } from "../unit.js";

export const STATUS_GOOD = 0x00;
export const STATUS_CHECK_CONDITION = 0x02;
export const STATUS_BUSY = 0x08;
export const STATUS_TASK_SET_FULL = 0x28;

export const SENSE_ILLEGAL_REQUEST = 0x5;
const SENSE_MEDIUM_ERROR = 0x3;
const SENSE_UNIT_ATTENTION = 0x6;
const SENSE_DATA_PROTECT = 0x7;

const EIO = 5;
const ENOSPC = 28;

export type Sense = ReturnType<typeof parseSense>;

export interface Outcome {
  readonly status: number;
  /** Empty without CHECK CONDITION. */
  readonly sense: Buffer;
  /** Positive: underflow; negative: overflow. */
  readonly residual: number;
  /** What came as Data-In. */
  readonly data: Uint8Array;
}

/** A range of blocks of a unit. */
export interface Range {
  readonly unit: SimulatedUnit;
  readonly lba: number;
  readonly blocks: number;
}

export abstract class Command {
  abstract readonly name: string;
  readonly lun: number;
  readonly cdb: Buffer;
  /** Expected Data Transfer Length, and its direction. */
  readonly expectedLength: number;
  readonly reads: boolean = false;
  readonly writes: boolean = false;
  /** It is told of what storage has lost, whoever it was that lost it. */
  protected readonly hearsOfLosses: boolean = false;
  /** Blocks that are read or written; null if there are none. */
  readonly range: Range | null;
  #failuresBefore = 0;

  constructor(lun: number, cdb: Buffer, expectedLength: number, range: Range | null = null) {
    this.lun = lun;
    this.cdb = cdb;
    this.expectedLength = expectedLength;
    this.range = range;
  }

  /** Bytes of the data that is sent; `data(offset, length)` are some of them. */
  data(_offset: number, _length: number): Uint8Array {
    return assert.fail("this command sends no data");
  }

  /** It is sent now. */
  begin(): void {
    this.#failuresBefore = this.range?.unit.disk?.failures.length ?? 0;
  }

  /** It has ended with a status. `attentions`: how many unit attentions its LUN may have to report; the rest is returned. */
  end(outcome: Outcome, attentions: number): number {
    switch (outcome.status) {
      case STATUS_GOOD:
        assert.equal(outcome.sense.length, 0, "GOOD has no sense data");
        this.good(outcome);
        return attentions;
      case STATUS_BUSY:
      case STATUS_TASK_SET_FULL:
        this.#assertNoData(outcome);
        this.refused();
        return attentions;
      case STATUS_CHECK_CONDITION: {
        const sense = parseSense(outcome.sense);
        this.#assertResidual(outcome);
        if (sense.key === SENSE_UNIT_ATTENTION) {
          assert(attentions > 0, `unit attention ${sense.asc}/${sense.ascq} although nothing has happened`);
          this.refused();
          return attentions - 1;
        }
        this.failed(sense, outcome);
        return attentions;
      }
      default:
        return assert.fail(`status ${outcome.status}`);
    }
  }

  /** It will not end: aborted, or its connection is gone. */
  abandoned(): void {}

  /** Nothing of it was done. */
  protected refused(): void {}

  protected abstract good(outcome: Outcome): void;

  /** CHECK CONDITION for another reason than a unit attention. Here: because storage has failed. */
  protected failed(sense: Sense, _outcome: Outcome): void {
    const { range } = this;
    const text = `sense ${sense.key}/${sense.asc}/${sense.ascq}`;
    assert(range !== null, `${text} for a command without blocks`);
    const failures = this.#failures(range);
    const isMediumError = sense.key === SENSE_MEDIUM_ERROR && failures.includes(EIO);
    const isNoSpace =
      sense.key === SENSE_DATA_PROTECT && sense.asc === 0x27 && sense.ascq === 0x07 && failures.includes(ENOSPC);
    assert(isMediumError || isNoSpace, `${text}, but storage has failed with: ${failures.join(", ") || "nothing"}`);
    if (isMediumError && sense.information !== undefined) {
      const { information } = sense;
      assert(
        information >= range.lba && information < range.lba + range.blocks,
        `the block that failed, ${information}, is one of the command's`,
      );
    }
  }

  /** Numbers of the errors that storage has been made to fail with in the range since the command began, or before. */
  #failures({ unit, lba, blocks }: Range): number[] {
    const block = unit.record.blockLengthBytes;
    const failures = unit.disk?.failures ?? [];
    return failures
      .filter(({ isSync }, index) => index >= this.#failuresBefore || (isSync && this.hearsOfLosses))
      .filter(({ offset, length }) => offset < (lba + blocks) * block && offset + length > lba * block)
      .map(({ error }) => error);
  }

  #assertNoData({ data, residual }: Outcome): void {
    assert.equal(data.length, 0, "no data comes with BUSY and TASK SET FULL");
    assert.equal(residual, this.expectedLength, "nothing was transferred");
  }

  /** After a failure: what came and what is missing make up what was expected. */
  #assertResidual({ data, residual }: Outcome): void {
    if (this.reads) assert.equal(data.length + residual, this.expectedLength, "the residual of a READ that has failed");
    else assert(residual >= 0 && residual <= this.expectedLength, "the residual of a command that has failed");
  }
}

/** Checks the residual of a command that has moved `total` bytes, or as many of them as were expected. */
export function assertResidual({ residual }: Outcome, expectedLength: number, total: number): void {
  assert.equal(residual, expectedLength - total, "the residual is what is expected less what there is");
}
