/** Commands that leave the medium alone, and commands that are refused. */
import assert from "node:assert/strict";
import { inquiry, readCapacity16, reportLuns, testUnitReady } from "../../cdb.js";
import type { Random } from "../random.js";
import { stamp } from "../stamps.js";
import type { SimulatedUnit } from "../unit.js";
import { blockCdb, READ_FORMS, WRITE_FORMS } from "./block-cdb.js";
import { Command, type Outcome, SENSE_ILLEGAL_REQUEST, type Sense } from "./command.js";

export class TestUnitReadyCommand extends Command {
  readonly name = "TEST UNIT READY";

  constructor(lun: number) {
    super(lun, testUnitReady(), 0);
  }

  protected override good({ residual }: Outcome): void {
    assert.equal(residual, 0);
  }
}

/** A command that is answered with parameter data, of which `length` bytes are expected. */
export class InquiringCommand extends Command {
  readonly name: string;
  override readonly reads = true;
  readonly #check: (data: Uint8Array) => void;

  constructor(name: string, lun: number, cdb: Buffer, length: number, check: (data: Uint8Array) => void) {
    super(lun, cdb, length);
    this.name = name;
    this.#check = check;
  }

  protected override good({ data, residual }: Outcome): void {
    const missing = Math.max(0, residual);
    assert.equal(data.length + missing, this.expectedLength, "what came and what is missing is what was expected");
    this.#check(data);
  }
}

/** Refused with ILLEGAL REQUEST and this additional sense code, and nothing is done. */
export class IllegalCommand extends Command {
  readonly name: string;
  override readonly reads: boolean;
  override readonly writes: boolean;
  readonly #asc: number;
  readonly #data: Uint8Array;

  constructor(name: string, lun: number, cdb: Buffer, direction: "reads" | "writes", length: number, asc: number) {
    super(lun, cdb, length);
    this.name = name;
    this.reads = direction === "reads";
    this.writes = direction === "writes";
    this.#asc = asc;
    // Stamped as no write of any unit: if it were written, it would be found out.
    this.#data = this.writes ? stamp(0xffff_ffff, Math.ceil(length / 512)) : new Uint8Array();
  }

  override data(offset: number, length: number): Uint8Array {
    return this.#data.subarray(offset, offset + length);
  }

  protected override good(): void {
    assert.fail(`${this.name} is legal`);
  }

  protected override failed(sense: Sense, { data }: Outcome): void {
    assert.deepEqual([sense.key, sense.asc, sense.ascq], [SENSE_ILLEGAL_REQUEST, this.#asc, 0], this.name);
    assert.equal(data.length, 0, "no data comes with a refusal");
  }
}

const ASC_LBA_OUT_OF_RANGE = 0x21;
const ASC_UNIT_NOT_SUPPORTED = 0x25;
/** Of no session. */
const UNMAPPED_LUN = 77;

export function inquiringCommand(random: Random, lun: number, unit: SimulatedUnit): Command {
  const length = random.pick([36, 96, 255]);
  switch (random.below(3)) {
    case 0:
      return new InquiringCommand("INQUIRY", lun, inquiry(undefined, length), length, (data) => {
        assert.equal(data[0], 0, "a direct access device, connected");
      });
    case 1:
      return new InquiringCommand("REPORT LUNS", lun, reportLuns(4096), 4096, (data) => {
        assert.equal(Buffer.from(data).readUInt32BE(0) + 8, data.length, "the list is as long as it says");
      });
    default:
      return new InquiringCommand("READ CAPACITY(16)", lun, readCapacity16(), 32, (data) => {
        const capacity = Buffer.from(data);
        assert.equal(capacity.readBigUInt64BE(0), BigInt(unit.blocks - 1));
        assert.equal(capacity.readUInt32BE(8), unit.record.blockLengthBytes);
      });
  }
}

export function illegalCommand(random: Random, lun: number, unit: SimulatedUnit): Command {
  const blocks = random.between(1, 64);
  const length = blocks * unit.record.blockLengthBytes;
  const direction = random.pick(["reads", "writes"] as const);
  const forms = direction === "reads" ? READ_FORMS : WRITE_FORMS;
  if (random.chance(0.5)) {
    const lba = unit.blocks - random.below(blocks);
    const cdb = blockCdb(random, forms, lba, blocks);
    return new IllegalCommand("beyond the end", lun, cdb, direction, length, ASC_LBA_OUT_OF_RANGE);
  }
  const cdb = blockCdb(random, forms, 0, blocks);
  return new IllegalCommand("unmapped LUN", UNMAPPED_LUN, cdb, direction, length, ASC_UNIT_NOT_SUPPORTED);
}
