/** Addresses and lengths that leave the unit, up to 2^64 - 1: of every command that has them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import { assertOutOfRange, Bench } from "./bench.js";

const BLOCKS = 4096;
const BLOCK = 512;
const SERVICE_ACTION_IN_16 = 0x9e;
const GET_LBA_STATUS = 0x12;

interface Place {
  readonly lba: readonly [byte: number, width: number];
  readonly length: readonly [byte: number, width: number] | null;
}

/** By the CDB's size. A command's group of opcodes tells it. */
const PLACES = new Map<number, Place>([
  [10, { lba: [2, 4], length: [7, 2] }],
  [12, { lba: [2, 4], length: [6, 4] }],
  [16, { lba: [2, 8], length: [10, 4] }],
]);
const OTHER_PLACES = new Map<number, Place>([
  [0x89, { lba: [2, 8], length: [13, 1] }],
  [0x9c, { lba: [2, 8], length: [12, 2] }],
  [SERVICE_ACTION_IN_16, { lba: [2, 8], length: null }],
]);
/** READ, WRITE, WRITE AND VERIFY, VERIFY, PRE-FETCH, SYNCHRONIZE CACHE, WRITE SAME, COMPARE AND WRITE, ORWRITE, WRITE ATOMIC. */
const ADDRESSED = [
  0x28, 0x2a, 0x2e, 0x2f, 0x34, 0x35, 0x41, 0x88, 0x89, 0x8a, 0x8b, 0x8e, 0x8f, 0x90, 0x91, 0x93, 0x9c, 0xa8, 0xaa,
  0xae, 0xaf,
];
const SET_BY_LENGTH_BYTES = new Map([
  [1, 0xffn],
  [2, 0xffffn],
  [4, 0xffff_ffffn],
  [8, 2n ** 64n - 1n],
]);

const commands = COMMANDS.filter(
  ({ opcode, serviceAction }) =>
    ADDRESSED.includes(opcode) || (opcode === SERVICE_ACTION_IN_16 && serviceAction === GET_LBA_STATUS),
);

function put(cdb: number[], [byte, width]: readonly [number, number], value: bigint): void {
  for (let i = 0; i < width; i++) cdb[byte + i] = Number((value >> BigInt(8 * (width - 1 - i))) & 0xffn);
}

test("all of them are in the table", () => {
  assert.equal(commands.length, ADDRESSED.length + 1);
});

for (const { name, opcode, serviceAction, usage } of commands) {
  test(`${name}: LBA OUT OF RANGE, with the first block that is not there, and nothing done`, () => {
    const place = OTHER_PLACES.get(opcode) ?? PLACES.get(usage.length)!;
    const bench = new Bench({ blocks: BLOCKS, atomicWrites: { bytesMin: 512, bytesMax: 131072 } });
    bench.disk.fill(0xee);
    const lbaMax = SET_BY_LENGTH_BYTES.get(place.lba[1])!;
    const lengthMax = place.length === null ? 0n : SET_BY_LENGTH_BYTES.get(place.length[1])!;
    const cases: [lba: bigint, length: bigint][] = [
      [BigInt(BLOCKS), 1n],
      [BigInt(BLOCKS - 1), 2n],
      [BigInt(BLOCKS - 1), lengthMax],
      [BigInt(BLOCKS + 1), 0n],
      [lbaMax, 0n],
      [lbaMax, 1n],
      [lbaMax, lengthMax],
      [lbaMax - lengthMax + 1n, lengthMax],
      [1n << BigInt(8 * place.lba[1] - 1), lengthMax],
    ];
    for (const [lba, length] of cases) {
      // Of a command without a length: its one block may be the last.
      if (place.length === null && (lba < BLOCKS || lba > lbaMax)) continue;
      const cdb = new Array<number>(usage.length).fill(0);
      cdb[0] = opcode;
      if (serviceAction >= 0) cdb[1] = serviceAction;
      put(cdb, place.lba, lba);
      if (place.length !== null) put(cdb, place.length, length);
      const first = lba > BLOCKS ? lba : BigInt(BLOCKS);
      // Fixed format sense has 32 bits for it.
      const information = first > 0xffff_ffffn ? null : Number(first);
      const dataOut = new Uint8Array(BLOCK);
      assertOutOfRange(bench.run(cdb, { dataOut }), information);
      assertOutOfRange(bench.run(cdb), information);
      assert.deepEqual(bench.operations, []);
    }
    assert.ok(bench.disk.every((byte) => byte === 0xee));
  });
}
