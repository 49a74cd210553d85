/**
 * Whatever CDB and parameter list come: the answer is a legal one, and nothing is done by half. For every row of the command
 * table, so also for those that are new.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
  COMMAND_PASSES_UNIT_ATTENTION,
  type Command,
  NO_SERVICE_ACTION,
} from "../../../../dataplane/scsi/command.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import { cdbs, dataOut, legalBits } from "../../../support/arbitrary-cdb.js";
import fc from "../../../support/fast-check.js";
import { assertInvalidFieldInCdb, assertSense, Bench, type Outcome, type RunOptions } from "./bench.js";

const RUNS = 100;
const BLOCKS = 600;
const ILLEGAL_REQUEST = 0x5;
/** NO SENSE and RECOVERED ERROR are no CHECK CONDITION here. */
const SENSE_KEYS = [0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xe];
const INVALID_FIELD_IN_CDB = 0x2400;
const INVALID_FIELD_IN_PARAMETER_LIST = 0x2600;
const LBA_OUT_OF_RANGE = 0x2100;
const EVERY_CONFLICT =
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE | COMMAND_CONFLICTS_EXCLUSIVE_ACCESS | COMMAND_CONFLICTS_RESERVE;

interface Circumstances extends RunOptions {
  readonly attention: boolean;
}

const circumstances: fc.Arbitrary<Circumstances> = fc.record({
  dataOut: dataOut(BLOCKS),
  readOnly: fc.boolean(),
  blocked: fc.constantFrom(0, 0, 0, COMMAND_CONFLICTS_WRITE_EXCLUSIVE, EVERY_CONFLICT),
  buffersMissing: fc.constantFrom(0, 0, 1, 2),
  attention: fc.integer({ min: 0, max: 9 }).map((tenth) => tenth === 0),
});

// -- what must be

/** First byte with an illegal bit and the leftmost of these, as a field pointer; null: there is none. */
function illegalField(command: Command, cdb: readonly number[]): string | null {
  for (let byte = 1; byte < command.usage.length; byte++) {
    const illegal = cdb[byte]! & ~legalBits(command, byte);
    if (illegal !== 0) return `${byte}.${Math.floor(Math.log2(illegal))}`;
  }
  return null;
}

/** Where the blocks that a command may change stand in its CDB: of the address and of the length, first byte and width. */
const WRITTEN = new Map<number, readonly [lba: number, width: number, length: number, width: number]>([
  [0x0a, [1, 3, 4, 1]],
  [0x2a, [2, 4, 7, 2]],
  [0x2e, [2, 4, 7, 2]],
  [0x41, [2, 4, 7, 2]],
  [0x89, [2, 8, 13, 1]],
  [0x8a, [2, 8, 10, 4]],
  [0x8b, [2, 8, 10, 4]],
  [0x8e, [2, 8, 10, 4]],
  [0x93, [2, 8, 10, 4]],
  [0x9c, [2, 8, 12, 2]],
  [0xaa, [2, 4, 6, 4]],
  [0xae, [2, 4, 6, 4]],
]);
const LENGTH_0_IS_ALL = [0x41, 0x93];
const LENGTH_0_IS_256 = [0x0a];
const UNMAP = 0x42;

function bigEndian(bytes: ArrayLike<number>, at: number, width: number): number {
  let value = 0;
  for (let i = 0; i < width; i++) value = value * 256 + bytes[at + i]!;
  return value;
}

/** Block ranges that the command may change where it ends with GOOD. */
function changeableRanges(cdb: readonly number[], dataOut: Uint8Array): (readonly [lba: number, blocks: number])[] {
  const opcode = cdb[0]!;
  if (opcode === UNMAP) {
    const count = Math.max(0, Math.floor((dataOut.length - 8) / 16));
    return Array.from({ length: count }, (_, i) => [
      bigEndian(dataOut, 8 + 16 * i, 8),
      bigEndian(dataOut, 16 + 16 * i, 4),
    ]);
  }
  const place = WRITTEN.get(opcode);
  if (place === undefined) return [];
  const lba = bigEndian(cdb, place[0], place[1]) % (opcode === 0x0a ? 2 ** 21 : Number.POSITIVE_INFINITY);
  const length = bigEndian(cdb, place[2], place[3]);
  if (length === 0 && LENGTH_0_IS_ALL.includes(opcode)) return [[lba, BLOCKS - lba]];
  return [[lba, length === 0 && LENGTH_0_IS_256.includes(opcode) ? 256 : length]];
}

/** Where ALLOCATION LENGTH stands: of an opcode all of whose service actions agree. */
const ALLOCATION_LENGTH = new Map<number, readonly [byte: number, width: number]>([
  [0x03, [4, 1]],
  [0x12, [3, 2]],
  [0x1a, [4, 1]],
  [0x1c, [3, 2]],
  [0x37, [7, 2]],
  [0x3c, [6, 3]],
  [0x4d, [7, 2]],
  [0x5a, [7, 2]],
  [0x5e, [7, 2]],
  [0x84, [10, 4]],
  [0x9b, [10, 4]],
  [0x9e, [10, 4]],
  [0xa0, [6, 4]],
  [0xa3, [6, 4]],
  [0xb7, [6, 4]],
]);

function assertLegal(outcome: Outcome, cdb: readonly number[]): void {
  if (outcome.status === "good") {
    const place = ALLOCATION_LENGTH.get(cdb[0]!);
    if (place !== undefined) assert.ok(outcome.data.length <= bigEndian(cdb, place[0], place[1]), "allocation length");
  }
  if (outcome.status !== "check") return;
  const { key, asc, ascq, fieldPointer, information } = outcome.sense!;
  assert.ok(SENSE_KEYS.includes(key), `sense key ${key}`);
  const code = asc * 256 + ascq;
  assert.notEqual(code, 0);
  if (code === INVALID_FIELD_IN_CDB) {
    const byte = /^cdb (\d+)/.exec(fieldPointer ?? "")?.[1];
    assert.ok(byte !== undefined && Number(byte) < cdb.length, `field pointer ${fieldPointer}`);
  } else if (code === INVALID_FIELD_IN_PARAMETER_LIST) {
    assert.match(fieldPointer ?? "", /^list \d+/);
  } else if (key === ILLEGAL_REQUEST) {
    assert.equal(fieldPointer, null, "a field pointer goes with an invalid field");
  }
  if (code === LBA_OUT_OF_RANGE) assert.ok(information === null || information >= BLOCKS, `LBA ${information}`);
}

/** Runs it and judges the answer, and what became of the disk. */
function judge(bench: Bench, command: Command, cdb: readonly number[], around: Circumstances): Outcome {
  bench.attentions.clear(0);
  if (around.attention) bench.attentions.add(0, 0x29, 0x00);
  bench.disk.fill(0xee);
  const outcome = bench.run(cdb, around);
  assertLegal(outcome, cdb);
  const passes = (command.conditions & COMMAND_PASSES_UNIT_ATTENTION) !== 0;
  const illegal = illegalField(command, cdb);
  if (around.attention && !passes) assertSense(outcome, 6, 0x29, 0);
  else if (illegal !== null) assertInvalidFieldInCdb(outcome, illegal);
  if (command.place === "shard") assert.ok(!bench.operations.includes("control"), "the table says where it is done");
  const untouched = Buffer.alloc(bench.disk.length, 0xee);
  if (outcome.status === "good") {
    const { blockLengthBytes } = bench.unit;
    for (const [lba, blocks] of changeableRanges(cdb, around.dataOut ?? new Uint8Array(0))) {
      const [start, end] = [lba * blockLengthBytes, (lba + blocks) * blockLengthBytes];
      if (end <= bench.disk.length) untouched.set(bench.disk.subarray(start, end), start);
    }
  }
  assert.ok(untouched.equals(bench.disk), "blocks that the command has nothing to do with are what they were");
  return outcome;
}

const BENCHES = [
  {},
  { blockLengthBytes: 4096, descriptorSense: true, removable: true },
  { thin: false, cache: "writethrough" },
  { notReady: { asc: 0x3a, ascq: 0, progress: -1 }, descriptorSense: true },
  { notReady: { asc: 0x04, ascq: 0x1b, progress: 77, operation: "sanitize" } },
] as const;

for (const command of COMMANDS) {
  test(`${command.name}: any CDB with any data has a legal answer, and what it has nothing to do with stays as it is`, () => {
    for (const options of BENCHES) {
      const bench = new Bench({ blocks: BLOCKS, ...options });
      const property = fc.property(cdbs(command), circumstances, (cdb, around) => {
        judge(bench, command, cdb, around);
      });
      fc.assert(property, { numRuns: RUNS / BENCHES.length, includeErrorInReport: true });
    }
  });
}

test("every bit that a CDB may not have is refused, alone, with a pointer to it", () => {
  const bench = new Bench({ blocks: BLOCKS });
  for (const command of COMMANDS) {
    const { opcode, serviceAction, usage } = command;
    for (let bit = 8; bit < usage.length * 8; bit++) {
      const byte = bit >>> 3;
      const value = 0x80 >>> (bit & 7);
      if ((legalBits(command, byte) & value) !== 0) continue;
      const cdb = new Array<number>(usage.length).fill(0);
      cdb[0] = opcode;
      if (serviceAction !== NO_SERVICE_ACTION) cdb[1] = serviceAction;
      cdb[byte]! |= value;
      assertInvalidFieldInCdb(bench.run(cdb), `${byte}.${7 - (bit & 7)}`);
    }
  }
});

test("any opcode and service action that is not in the table is refused", () => {
  const bench = new Bench({ blocks: BLOCKS });
  for (let opcode = 0; opcode < 256; opcode++) {
    const rows = COMMANDS.filter((command) => command.opcode === opcode);
    if (rows.length === 0) {
      assertSense(bench.run([opcode, ...new Array<number>(15).fill(0xff)]), 5, 0x20, 0);
      continue;
    }
    if (rows[0]!.serviceAction === NO_SERVICE_ACTION) continue;
    for (let action = 0; action < 32; action++) {
      if (rows.some(({ serviceAction }) => serviceAction === action)) continue;
      assertInvalidFieldInCdb(bench.run([opcode, action, ...new Array<number>(14).fill(0)]), "1.4");
    }
  }
});
