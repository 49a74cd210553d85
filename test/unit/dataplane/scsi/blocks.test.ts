import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "../../../support/fast-check.js";
import {
  assertInvalidFieldInCdb,
  assertOutOfRange,
  assertSense,
  Bench,
  hex,
  type Outcome,
  pattern,
  u16,
  u32,
  u64,
} from "./bench.js";

const BLOCK = 512;
const EIO = -5;

/** Builds the CDB of one family in one length. `flags` is byte 1. */
type CdbOf = (lba: number | bigint, blocks: number, flags?: number) => number[];

function cdb10(opcode: number): CdbOf {
  return (lba, blocks, flags = 0) => [opcode, flags, ...u32(Number(lba)), 0, ...u16(blocks), 0];
}
function cdb12(opcode: number): CdbOf {
  return (lba, blocks, flags = 0) => [opcode, flags, ...u32(Number(lba)), ...u32(blocks), 0, 0];
}
function cdb16(opcode: number): CdbOf {
  return (lba, blocks, flags = 0) => [opcode, flags, ...u64(lba), ...u32(blocks), 0, 0];
}

interface Variant {
  readonly name: string;
  readonly cdb: CdbOf;
  readonly lengthByte: number;
  readonly blocksMax: number;
}

function variants(name: string, opcode10: number, opcode12: number, opcode16: number): Variant[] {
  return [
    { name: `${name}(10)`, cdb: cdb10(opcode10), lengthByte: 7, blocksMax: 0xffff },
    { name: `${name}(12)`, cdb: cdb12(opcode12), lengthByte: 6, blocksMax: 0xffff_ffff },
    { name: `${name}(16)`, cdb: cdb16(opcode16), lengthByte: 10, blocksMax: 0xffff_ffff },
  ];
}

const READS = variants("READ", 0x28, 0xa8, 0x88);
const WRITES = variants("WRITE", 0x2a, 0xaa, 0x8a);
const VERIFIES = variants("VERIFY", 0x2f, 0xaf, 0x8f);
const WRITES_AND_VERIFIES = variants("WRITE AND VERIFY", 0x2e, 0xae, 0x8e);
const PRE_FETCHES = [cdb10(0x34), cdb16(0x90)];
const SYNCHRONIZES = [cdb10(0x35), cdb16(0x91)];

const DPO = 0x10;
const FUA = 0x08;
const FUA_NV = 0x02;
const BYTCHK_1 = 0x02;
const BYTCHK_2 = 0x04;
const BYTCHK_3 = 0x06;

function filled(options = {}): Bench {
  const bench = new Bench(options);
  bench.disk.set(pattern(bench.disk.length));
  return bench;
}

function assertGood(outcome: Outcome, message?: string): void {
  assert.equal(outcome.status, "good", message);
}

for (const { name, cdb } of READS) {
  test(`${name} reads its range, whatever DPO, FUA and FUA_NV say`, () => {
    const bench = filled();
    for (const flags of [0, DPO, FUA, FUA_NV, DPO | FUA | FUA_NV]) {
      const outcome = bench.run(cdb(17, 3, flags));
      assert.deepEqual(bench.operations, ["read 17 3"]);
      assert.deepEqual(Buffer.from(outcome.data), Buffer.from(bench.disk.slice(17 * BLOCK, 20 * BLOCK)));
    }
  });
}

for (const { name, cdb } of WRITES) {
  test(`${name} writes its range, durably with FUA or without a write cache`, () => {
    const bench = new Bench();
    const dataOut = pattern(2 * BLOCK);
    for (const flags of [0, DPO, FUA_NV]) {
      assertGood(bench.run(cdb(4094, 2, flags), { dataOut }));
      assert.deepEqual(bench.operations, ["write 4094 2"]);
    }
    for (const flags of [FUA, FUA | DPO]) {
      bench.run(cdb(4094, 2, flags), { dataOut });
      assert.deepEqual(bench.operations, ["write 4094 2 durable"]);
    }
    assert.equal(hex(bench.disk.subarray(4094 * BLOCK)), hex(dataOut));
    const writethrough = new Bench({ cache: "writethrough" });
    writethrough.run(cdb(0, 2), { dataOut });
    assert.deepEqual(writethrough.operations, ["write 0 2 durable"]);
  });
}

test("READ(6) and WRITE(6): 21 bits of LBA, and a length of 0 means 256", () => {
  const bench = filled({ blocks: 0x20_0000 });
  bench.run([0x08, 0x1f, 0xff, 0xff, 1, 0]);
  assert.deepEqual(bench.operations, ["read 2097151 1"]);
  bench.run([0x08, 0x01, 0x02, 0x03, 255, 0]);
  assert.deepEqual(bench.operations, ["read 66051 255"]);
  assert.equal(bench.run([0x08, 0, 0, 0, 0, 0]).data.length, 256 * BLOCK);
  assert.deepEqual(bench.operations, ["read 0 256"]);
  bench.run([0x0a, 0, 0, 5, 0, 0], { dataOut: pattern(256 * BLOCK) });
  assert.deepEqual(bench.operations, ["write 5 256"]);
  assertOutOfRange(bench.run([0x08, 0x1f, 0xff, 0x01, 0, 0]), 0x20_0000);
  assertOutOfRange(bench.run([0x0a, 0x1f, 0xff, 0xff, 2, 0]), 0x20_0000);
});

test("no blocks are no error, up to and including the end, and nothing is moved", () => {
  const bench = new Bench();
  for (const { name, cdb } of [...READS, ...WRITES, ...VERIFIES, ...WRITES_AND_VERIFIES]) {
    for (const lba of [0, 4095, 4096]) assertGood(bench.run(cdb(lba, 0)), name);
    assert.deepEqual(bench.operations, []);
    assertOutOfRange(bench.run(cdb(4097, 0)), 4097);
  }
});

test("ranges that leave the unit are out of range, and INFORMATION is their first block that is not there", () => {
  const bench = new Bench();
  for (const { name, cdb } of [...READS, ...WRITES, ...VERIFIES, ...WRITES_AND_VERIFIES]) {
    assertOutOfRange(bench.run(cdb(4096, 1)), 4096);
    assertOutOfRange(bench.run(cdb(4095, 2)), 4096);
    assertOutOfRange(bench.run(cdb(0, 4097)), 4096);
    assertOutOfRange(bench.run(cdb(0x8000_0000, 1)), 0x8000_0000);
    assertOutOfRange(bench.run(cdb(0xffff_ffff, 1)), 0xffff_ffff);
    assertOutOfRange(bench.run(cdb(0xffff_ffff, 0)), 0xffff_ffff);
    assert.deepEqual(bench.operations, [], name);
  }
});

test("addresses of 64 bits, also at 2^53 and at 2^64 - 1, are out of range and never wrap", () => {
  for (const blocks of [4096, 2 ** 44]) {
    const bench = new Bench({ blocks });
    const cdbs = [...READS, ...WRITES, ...VERIFIES, ...WRITES_AND_VERIFIES]
      .filter(({ name }) => name.endsWith("(16)"))
      .map(({ cdb }) => cdb);
    for (const cdb of [...cdbs, cdb16(0x90), cdb16(0x91), cdb16(0x93)]) {
      for (const lba of [2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 2n, 2n ** 64n - 1n]) {
        for (const length of [0, 1, 2, 0xffff_ffff]) {
          const outcome = bench.run(cdb(lba, length), { dataOut: new Uint8Array(BLOCK) });
          assertOutOfRange(outcome, null);
          assert.deepEqual(bench.operations, []);
        }
      }
    }
  }
});

test("the last block of the largest unit can be read", () => {
  const bench = new Bench({ blocks: 2 ** 44 });
  assertGood(bench.run(cdb16(0x88)(2 ** 44 - 1, 1)));
  assert.deepEqual(bench.operations, [`read ${2 ** 44 - 1} 1`]);
  assertOutOfRange(bench.run(cdb16(0x88)(2 ** 44 - 1, 2)), null);
});

test("a transfer beyond MAXIMUM TRANSFER LENGTH is refused with a pointer to the length", () => {
  for (const [blockLengthBytes, most] of [
    [512, 65536],
    [4096, 8192],
  ] as const) {
    const bench = new Bench({ blockLengthBytes, blocks: 2 ** 40 });
    for (const { name, cdb, lengthByte, blocksMax } of [...READS, ...WRITES, ...VERIFIES, ...WRITES_AND_VERIFIES]) {
      if (blocksMax <= most) continue;
      assertInvalidFieldInCdb(bench.run(cdb(0, most + 1)), `${lengthByte}`);
      assert.deepEqual(bench.operations, [], name);
    }
    for (const { cdb } of READS.slice(1)) {
      bench.run(cdb(0, most));
      assert.deepEqual(bench.operations, [`read 0 ${most}`]);
      // A range that is too long and leaves the unit is out of range.
      assertOutOfRange(new Bench({ blockLengthBytes }).run(cdb(1, most + 1)), 4096);
    }
  }
});

test("RDPROTECT, WRPROTECT and VRPROTECT are refused: there is no protection information", () => {
  const bench = new Bench();
  for (const { cdb } of [...READS, ...WRITES, ...VERIFIES, ...WRITES_AND_VERIFIES]) {
    for (let protect = 1; protect < 8; protect++) {
      assertInvalidFieldInCdb(bench.run(cdb(0, 1, protect << 5)), `1.${5 + (31 - Math.clz32(protect))}`);
    }
  }
});

test("the GROUP NUMBER is let through", () => {
  const bench = new Bench();
  assertGood(bench.run([0x28, 0, 0, 0, 0, 0, 0x3f, 0, 1, 0]));
  assert.equal(bench.run([0x34, 0, 0, 0, 0, 0, 3, 0, 1, 0]).status, "condition met");
});

test("any range is moved just as asked for, or refused", () => {
  const bench = new Bench({ blocks: 1000 });
  const property = fc.property(
    fc.constantFrom(...READS),
    fc.oneof(fc.integer({ min: 0, max: 1100 }), fc.integer({ min: 0, max: 0xffff_ffff })),
    fc.oneof(fc.integer({ min: 0, max: 1100 }), fc.integer({ min: 0, max: 0xffff })),
    ({ cdb }, lba, blocks) => {
      const outcome = bench.run(cdb(lba, blocks));
      if (lba + blocks > 1000) assertOutOfRange(outcome, Math.max(lba, 1000));
      else assert.deepEqual(bench.operations, blocks === 0 ? [] : [`read ${lba} ${blocks}`]);
    },
  );
  fc.assert(property, { numRuns: 500 });
});

// -- VERIFY

for (const { name, cdb } of VERIFIES) {
  test(`${name} with BYTCHK=0 reads the medium`, () => {
    const bench = filled();
    bench.run(cdb(5, 9, DPO));
    assert.deepEqual(bench.operations, ["verify 5 9"]);
  });

  test(`${name} with BYTCHK=1 compares with what was sent`, () => {
    const bench = filled();
    const dataOut = bench.disk.slice(5 * BLOCK, 8 * BLOCK);
    assertGood(bench.run(cdb(5, 3, BYTCHK_1), { dataOut }));
    assert.deepEqual(bench.operations, ["compare 5 3"]);
    dataOut[1000]! ^= 1;
    assert.equal(assertSense(bench.run(cdb(5, 3, BYTCHK_1), { dataOut }), 0xe, 0x1d, 0).information, 1000);
  });

  test(`${name} with BYTCHK=2 is refused`, () => {
    assertInvalidFieldInCdb(new Bench().run(cdb(0, 1, BYTCHK_2)), "1.2");
  });

  test(`${name} with BYTCHK=3 compares each block with the one that was sent`, () => {
    for (const blockLengthBytes of [512, 4096] as const) {
      const bench = new Bench({ blockLengthBytes, blocks: 500 });
      const one = pattern(blockLengthBytes);
      for (let lba = 100; lba < 400; lba++) bench.disk.set(one, lba * blockLengthBytes);
      const verify = (lba: number, blocks: number) => bench.run(cdb(lba, blocks, BYTCHK_3), { dataOut: one });
      for (const blocks of [1, 2, 14, 15, 16, 119, 120, 121, 300]) {
        assertGood(verify(100, blocks));
        const chunk = (65536 - 4096) / blockLengthBytes;
        assert.equal(bench.operations.length, Math.ceil(blocks / chunk));
      }
      assert.equal(assertSense(verify(99, 1), 0xe, 0x1d, 0).information, 0);
      bench.disk[399 * blockLengthBytes + 77]! ^= 1;
      assert.equal(assertSense(verify(100, 300), 0xe, 0x1d, 0).information, 77);
      assertGood(verify(100, 299));
    }
  });

  test(`${name} with BYTCHK=3 and less than a block is refused`, () => {
    assertSense(new Bench().run(cdb(0, 4, BYTCHK_3), { dataOut: new Uint8Array(511) }), 5, 0x0e, 3);
    assertSense(new Bench().run(cdb(0, 4, BYTCHK_3)), 5, 0x0e, 3);
  });

  test(`${name} with BYTCHK=3 tells where the medium could not be read`, () => {
    const bench = new Bench();
    bench.failures.set("storeRead", EIO);
    assert.equal(
      assertSense(bench.run(cdb(7, 4, BYTCHK_3), { dataOut: new Uint8Array(512) }), 3, 0x11, 0).information,
      7,
    );
  });
}

// -- WRITE AND VERIFY

for (const { name, cdb } of WRITES_AND_VERIFIES) {
  test(`${name} with BYTCHK=0 is a durable write`, () => {
    const bench = new Bench();
    const dataOut = pattern(3 * BLOCK);
    assertGood(bench.run(cdb(6, 3, DPO), { dataOut }));
    assert.deepEqual(bench.operations, ["write 6 3 durable"]);
    assert.equal(hex(bench.disk.subarray(6 * BLOCK, 9 * BLOCK)), hex(dataOut));
    bench.failures.set("write", EIO);
    assertSense(bench.run(cdb(6, 3), { dataOut }), 3, 0x0c, 0);
  });

  test(`${name} with BYTCHK=1 writes, reads back and compares, up to the longest transfer`, () => {
    const bench = new Bench();
    const dataOut = pattern(256 * BLOCK);
    assertGood(bench.run(cdb(6, 256, BYTCHK_1), { dataOut }));
    assert.deepEqual(bench.operations, ["writeAndCompare 6 256"]);
    assert.equal(hex(bench.disk.subarray(6 * BLOCK, 262 * BLOCK)), hex(dataOut));
    const large = new Bench({ blocks: 2 ** 20 });
    assertGood(large.run(cdb(0, 65535, BYTCHK_1), { dataOut: new Uint8Array(BLOCK) }));
    assert.deepEqual(large.operations, ["writeAndCompare 0 65535"]);
  });

  test(`${name} knows no other BYTCHK`, () => {
    const bench = new Bench();
    for (const flags of [BYTCHK_2, BYTCHK_3]) assertInvalidFieldInCdb(bench.run(cdb(0, 1, flags)), "1.2");
    assert.deepEqual(bench.operations, []);
  });
}

// -- PRE-FETCH and SYNCHRONIZE CACHE

test("PRE-FETCH reads ahead where there is a cache, and says whether all blocks are in it now", () => {
  for (const cdb of PRE_FETCHES) {
    const bench = new Bench({ blocks: 2 ** 20 });
    const fetch = (lba: number, blocks: number, flags = 0, of = bench) => {
      const { status } = of.run(cdb(lba, blocks, flags));
      return [status, ...of.operations];
    };
    assert.deepEqual(fetch(3, 8), ["condition met", "verify 3 8"]);
    assert.deepEqual(fetch(3, 8, 0x02), ["good"], "nobody waits");
    assert.deepEqual(fetch(2 ** 20 - 10, 0), ["condition met", `verify ${2 ** 20 - 10} 10`]);
    assert.deepEqual(fetch(0, 0), ["good", "verify 0 65536"], "only the longest transfer");
    assert.deepEqual(fetch(2 ** 20, 0), ["condition met"], "no blocks");
    assertOutOfRange(bench.run(cdb(2 ** 20 + 1, 0)), 2 ** 20 + 1);
    assertOutOfRange(bench.run(cdb(2 ** 20, 1)), 2 ** 20);
    assert.deepEqual(fetch(3, 8, 0, new Bench({ cache: "direct" })), ["good"], "no cache");
    const memory = new Bench({ inMemory: true });
    for (const [lba, blocks, flags] of [
      [3, 8, 0],
      [3, 8, 0x02],
      [0, 0, 0],
    ] as const)
      assert.deepEqual(fetch(lba, blocks, flags, memory), ["condition met"]);
  }
});

test("SYNCHRONIZE CACHE flushes, with IMMED=1 in the background; SYNC_NV is obsolete", () => {
  for (const cdb of SYNCHRONIZES) {
    for (const cache of ["direct", "writeback", "writethrough"] as const) {
      const bench = new Bench({ cache });
      for (const [flags, operation] of [
        [0, "flush"],
        [0x04, "flush"],
        [0x02, "flush in background"],
        [0x06, "flush in background"],
      ] as const) {
        for (const [lba, blocks] of [
          [0, 0],
          [4095, 1],
          [4096, 0],
          [17, 5],
        ] as const) {
          assertGood(bench.run(cdb(lba, blocks, flags)));
          assert.deepEqual(bench.operations, [operation]);
        }
      }
      assertGood(bench.run(cdb(0, 0), { readOnly: true }));
      assertOutOfRange(bench.run(cdb(4096, 1)), 4096);
      assert.deepEqual(bench.operations, []);
    }
  }
});

test("a flush that fails is a WRITE ERROR at no particular block", () => {
  for (const cdb of SYNCHRONIZES) {
    const bench = new Bench();
    bench.failures.set("flush", EIO);
    assert.equal(assertSense(bench.run(cdb(17, 5)), 3, 0x0c, 0).information, null);
    bench.failures.set("flush", -28);
    assertSense(bench.run(cdb(17, 5)), 7, 0x27, 7);
  }
});
