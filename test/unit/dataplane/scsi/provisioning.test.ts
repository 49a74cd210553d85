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
const ENOSPC = -28;
const EOPNOTSUPP = -95;

function assertGood(outcome: Outcome): void {
  assert.equal(outcome.status, "good");
}

// -- GET LBA STATUS

function getLbaStatus(bench: Bench, lba: number | bigint): Outcome {
  return bench.run([0x9e, 0x12, ...u64(lba), ...u32(24), 0, 0]);
}

test("GET LBA STATUS is control's to answer, where the address is in range", () => {
  const bench = new Bench({ blocks: 16 });
  assertGood(getLbaStatus(bench, 15));
  assert.deepEqual(bench.operations, ["control"]);
  assertOutOfRange(getLbaStatus(bench, 16), 16);
  assertOutOfRange(getLbaStatus(bench, 2n ** 64n - 1n), null);
  assert.deepEqual(bench.operations, []);
});

// -- UNMAP

type Descriptor = readonly [lba: number | bigint, blocks: number];

function unmapList(descriptors: readonly Descriptor[], tail: readonly number[] = []): Uint8Array {
  const body = [...descriptors.flatMap(([lba, blocks]) => [...u64(lba), ...u32(blocks), 0, 0, 0, 0]), ...tail];
  return Uint8Array.from([...u16(body.length + 6), ...u16(body.length), 0, 0, 0, 0, ...body]);
}

function unmapCdb(length: number): number[] {
  return [0x42, 0, 0, 0, 0, 0, 0, ...u16(length), 0];
}

function unmap(bench: Bench, list: Uint8Array): Outcome {
  return bench.run(unmapCdb(list.length), { dataOut: list });
}

test("UNMAP discards the range of each descriptor in turn", () => {
  const bench = new Bench();
  bench.disk.fill(0xff);
  assertGood(
    unmap(
      bench,
      unmapList([
        [5, 2],
        [4095, 1],
        [0, 3],
      ]),
    ),
  );
  assert.deepEqual(bench.operations, ["discard 5 2", "discard 4095 1", "discard 0 3"]);
  assert.ok(bench.disk.subarray(5 * BLOCK, 7 * BLOCK).every((byte) => byte === 0));
  assert.equal(bench.disk[7 * BLOCK], 0xff);
});

test("UNMAP without a write cache is durable before its status", () => {
  const bench = new Bench({ cache: "writethrough" });
  assertGood(unmap(bench, unmapList([[5, 2]])));
  assert.deepEqual(bench.operations, ["discard 5 2", "flush"]);
  bench.failures.set("flush", EIO);
  assertSense(unmap(bench, unmapList([[5, 2]])), 3, 0x0c, 0);
});

test("UNMAP of nothing is no error: no list, no descriptors, no blocks", () => {
  const bench = new Bench();
  assertGood(unmap(bench, new Uint8Array(0)));
  assertGood(unmap(bench, unmapList([])));
  assertGood(
    unmap(
      bench,
      unmapList([
        [0, 0],
        [4096, 0],
        [17, 0],
      ]),
    ),
  );
  assert.deepEqual(bench.operations, []);
});

test("UNMAP of the whole of a large unit is one descriptor", () => {
  const bench = new Bench({ blocks: 2 ** 32 - 1 });
  assertGood(unmap(bench, unmapList([[0, 0xffff_ffff]])));
  assert.deepEqual(bench.operations, ["discard 0 4294967295"]);
});

test("UNMAP with a list that is shorter than its header is PARAMETER LIST LENGTH ERROR", () => {
  const bench = new Bench();
  for (let length = 1; length < 8; length++) assertSense(unmap(bench, new Uint8Array(length)), 5, 0x1a, 0);
});

test("UNMAP with descriptors that the list does not hold is PARAMETER LIST LENGTH ERROR", () => {
  const bench = new Bench();
  const list = unmapList([
    [0, 1],
    [5, 1],
  ]);
  for (let length = 8; length < list.length; length++) {
    assertSense(unmap(bench, list.slice(0, length)), 5, 0x1a, 0);
    // The CDB tells of more than the initiator sends.
    assertSense(bench.run(unmapCdb(list.length), { dataOut: list.slice(0, length) }), 5, 0x1a, 0);
  }
  // Fewer bytes than the CDB tells of, although there is a list in them.
  assertSense(bench.run(unmapCdb(list.length + 1), { dataOut: list }), 5, 0x1a, 0);
  assertSense(bench.run(unmapCdb(list.length)), 5, 0x1a, 0);
  const lying = unmapList([[0, 1]]);
  lying.set([0xff, 0xff], 2);
  assertSense(unmap(bench, lying), 5, 0x1a, 0);
  assert.deepEqual(bench.operations, []);
});

test("UNMAP DATA LENGTH must hold the descriptors; more than them may follow", () => {
  const bench = new Bench();
  const list = unmapList([[0, 1]]);
  list.set(u16(21), 0);
  assert.equal(assertSense(unmap(bench, list), 5, 0x26, 0).fieldPointer, "list 0");
  list.set(u16(500), 0);
  assertGood(unmap(bench, list));
  assertGood(unmap(bench, Uint8Array.from([...unmapList([[0, 1]]), 1, 2, 3])));
});

test("UNMAP ignores a last descriptor that is not complete", () => {
  const bench = new Bench();
  for (let tail = 1; tail < 16; tail++) {
    assertGood(unmap(bench, unmapList([[3, 1]], new Array(tail).fill(0xff))));
    assert.deepEqual(bench.operations, ["discard 3 1"]);
  }
});

test("UNMAP takes as many descriptors as VPD B0 says, and no more", () => {
  const bench = new Bench();
  const descriptors = Array.from({ length: 256 }, (_, i): Descriptor => [i * 2, 1]);
  assertGood(unmap(bench, unmapList(descriptors)));
  assert.equal(bench.operations.length, 256);
  assert.equal(bench.operations.at(-1), "discard 510 1");
  assert.equal(assertSense(unmap(bench, unmapList([...descriptors, [0, 1]])), 5, 0x26, 0).fieldPointer, "list 2");
  const most = unmapList(Array.from({ length: 4095 }, (): Descriptor => [0, 1]));
  assert.equal(assertSense(unmap(bench, most), 5, 0x26, 0).fieldPointer, "list 2");
  assert.deepEqual(bench.operations, []);
});

test("UNMAP does nothing if any descriptor is out of range", () => {
  const bench = new Bench();
  const bad: [Descriptor, number | null][] = [
    [[4096, 1], 4096],
    [[4095, 2], 4096],
    [[5000, 0], 5000],
    [[0, 0xffff_ffff], 4096],
    [[2n ** 53n, 1], null],
    [[2n ** 64n - 1n, 1], null],
    [[2n ** 64n - 1n, 0xffff_ffff], null],
  ];
  for (const [descriptor, information] of bad) {
    assertOutOfRange(unmap(bench, unmapList([[0, 1], descriptor])), information);
    assertOutOfRange(unmap(bench, unmapList([descriptor, [0, 1]])), information);
    assert.deepEqual(bench.operations, []);
  }
});

test("UNMAP refuses ANCHOR", () => {
  assertInvalidFieldInCdb(new Bench().run([0x42, 0x01, 0, 0, 0, 0, 0, 0, 0, 0]), "1.0");
});

test("UNMAP is not there where the unit cannot deallocate", () => {
  assertSense(unmap(new Bench({ thin: false }), unmapList([[0, 1]])), 5, 0x20, 0);
});

test("UNMAP ends with the first descriptor that the store refuses", () => {
  const bench = new Bench();
  bench.failures.set("discard", EIO);
  const outcome = unmap(
    bench,
    unmapList([
      [9, 1],
      [0, 1],
    ]),
  );
  assert.equal(assertSense(outcome, 3, 0x0c, 0).information, 9);
  assert.deepEqual(bench.operations, ["discard 9 1"]);
});

test("UNMAP does all of a list or nothing of it", () => {
  const descriptor = fc.tuple(fc.integer({ min: 0, max: 210 }), fc.integer({ min: 0, max: 30 }));
  const property = fc.property(
    fc.array(descriptor, { maxLength: 20 }),
    fc.uint8Array({ maxLength: 15 }),
    fc.constantFrom("writeback", "writethrough"),
    (descriptors, tail, cache) => {
      const bench = new Bench({ blocks: 200, cache });
      bench.disk.fill(0xff);
      const outcome = unmap(bench, unmapList(descriptors, [...tail]));
      const isGood = descriptors.every(([lba, blocks]) => lba + blocks <= 200);
      assert.equal(outcome.status, isGood ? "good" : "check");
      for (let lba = 0; lba < 200; lba++) {
        const unmapped = isGood && descriptors.some(([start, blocks]) => lba >= start && lba < start + blocks);
        assert.equal(bench.disk[lba * BLOCK], unmapped ? 0 : 0xff);
      }
    },
  );
  fc.assert(property, { numRuns: 300 });
});

test("UNMAP of any bytes at all never leaves the unit", () => {
  const bench = new Bench({ blocks: 300 });
  const property = fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 8 }), (noise, head) => {
    const list = unmapList([[1, 1]], [...noise]);
    list.set(head.subarray(0, list.length));
    unmap(bench, list);
  });
  fc.assert(property, { numRuns: 500 });
});

// -- WRITE SAME

const UNMAP = 0x08;
const ANCHOR = 0x10;
const NDOB = 0x01;

type CdbOf = (lba: number | bigint, blocks: number, flags?: number) => number[];
const CDB_10: CdbOf = (lba, blocks, flags = 0) => [0x41, flags, ...u32(Number(lba)), 0, ...u16(blocks), 0];
const CDB_16: CdbOf = (lba, blocks, flags = 0) => [0x93, flags, ...u64(lba), ...u32(blocks), 0, 0];

const ZEROES = new Uint8Array(BLOCK);
const DATA = pattern(BLOCK);

for (const [name, cdb] of [
  ["WRITE SAME(10)", CDB_10],
  ["WRITE SAME(16)", CDB_16],
] as const) {
  test(`${name} repeats its block over the range`, () => {
    for (const blockLengthBytes of [512, 4096] as const) {
      const bench = new Bench({ blockLengthBytes, blocks: 1000 });
      const one = pattern(blockLengthBytes);
      for (const blocks of [1, 2, 3, 63, 64, 65, 511, 512, 513, 800]) {
        bench.disk.fill(0xee);
        assertGood(bench.run(cdb(100, blocks), { dataOut: one }));
        for (const [lba, is] of [
          [99, false],
          [100, true],
          [100 + blocks - 1, true],
          [100 + blocks, false],
        ] as const) {
          const block = bench.disk.subarray(lba * blockLengthBytes, (lba + 1) * blockLengthBytes);
          assert.equal(hex(block) === hex(one), is, `${blocks} blocks, LBA ${lba}`);
        }
        assert.equal(bench.operations.length, Math.ceil((blocks * blockLengthBytes) / 262144));
      }
    }
  });

  test(`${name} is durable without a write cache`, () => {
    const bench = new Bench({ cache: "writethrough", thin: false });
    assertGood(bench.run(cdb(1, 2), { dataOut: DATA }));
    assert.deepEqual(bench.operations, ["storeWrite 1 2 durable"]);
    assertGood(bench.run(cdb(1, 2), { dataOut: ZEROES }));
    assert.deepEqual(bench.operations, ["zero 1 2 keep", "flush"]);
    const thin = new Bench({ cache: "writethrough" });
    assertGood(thin.run(cdb(1, 2, UNMAP), { dataOut: ZEROES }));
    assert.deepEqual(thin.operations, ["discard 1 2", "flush"]);
    thin.failures.set("flush", EIO);
    assertSense(thin.run(cdb(1, 2, UNMAP), { dataOut: ZEROES }), 3, 0x0c, 0);
  });

  test(`${name} moves no zeroes`, () => {
    const bench = new Bench();
    bench.disk.fill(0xff);
    assertGood(bench.run(cdb(3, 400), { dataOut: ZEROES }));
    assert.deepEqual(bench.operations, ["zero 3 400"]);
    assertGood(bench.run(cdb(3, 400, UNMAP), { dataOut: ZEROES }));
    assert.deepEqual(bench.operations, ["discard 3 400"]);
    const thick = new Bench({ thin: false });
    assertGood(thick.run(cdb(3, 400), { dataOut: ZEROES }));
    assert.deepEqual(thick.operations, ["zero 3 400 keep"]);
  });

  test(`${name} writes zeroes itself where the store cannot`, () => {
    const bench = new Bench({ thin: false });
    bench.disk.fill(0xff);
    bench.failures.set("zero", EOPNOTSUPP);
    assertGood(bench.run(cdb(3, 600), { dataOut: ZEROES }));
    assert.deepEqual(bench.operations, ["zero 3 600 keep", "storeWrite 3 512", "storeWrite 515 88"]);
    assert.ok(bench.disk.subarray(3 * BLOCK, 603 * BLOCK).every((byte) => byte === 0));
    assert.equal(bench.disk[603 * BLOCK], 0xff);
  });

  test(`${name}: a length of 0 is all up to the end`, () => {
    const bench = new Bench();
    assertGood(bench.run(cdb(4000, 0, UNMAP), { dataOut: ZEROES }));
    assert.deepEqual(bench.operations, ["discard 4000 96"]);
    assertGood(bench.run(cdb(0, 0), { dataOut: ZEROES }));
    assert.deepEqual(bench.operations, ["zero 0 4096"]);
    assertGood(bench.run(cdb(4096, 0), { dataOut: ZEROES }));
    assert.deepEqual(bench.operations, []);
    assertOutOfRange(bench.run(cdb(4097, 0), { dataOut: ZEROES }), 4097);
  });

  test(`${name} refuses ANCHOR with and without UNMAP, WRPROTECT, and UNMAP where the unit cannot`, () => {
    const bench = new Bench();
    for (const flags of [ANCHOR, ANCHOR | UNMAP])
      assertInvalidFieldInCdb(bench.run(cdb(0, 1, flags), { dataOut: ZEROES }), "1.4");
    assertInvalidFieldInCdb(bench.run(cdb(0, 1, 0x20), { dataOut: ZEROES }), "1.5");
    assertInvalidFieldInCdb(new Bench({ thin: false }).run(cdb(0, 1, UNMAP), { dataOut: ZEROES }), "1.3");
  });

  test(`${name} refuses what leaves the unit`, () => {
    const bench = new Bench();
    assertOutOfRange(bench.run(cdb(4096, 1), { dataOut: DATA }), 4096);
    assertOutOfRange(bench.run(cdb(4000, 97), { dataOut: DATA }), 4096);
    assertOutOfRange(bench.run(cdb(0xffff_ffff, 1), { dataOut: DATA }), 0xffff_ffff);
    assert.deepEqual(bench.operations, []);
  });

  test(`${name} wants one block of data, no less and no more`, () => {
    const bench = new Bench();
    for (const length of [0, 1, 511, 513, 1024]) {
      for (const flags of [0, UNMAP]) {
        assertSense(bench.run(cdb(0, 1, flags), { dataOut: new Uint8Array(length) }), 5, 0x0e, 3);
      }
    }
    assert.deepEqual(bench.operations, []);
  });

  test(`${name} tells which block the store failed at`, () => {
    const bench = new Bench();
    bench.failures.set("storeWrite", EIO);
    assert.equal(assertSense(bench.run(cdb(7, 9), { dataOut: DATA }), 3, 0x0c, 0).information, 7);
    bench.failures.set("storeWrite", ENOSPC);
    assertSense(bench.run(cdb(7, 9), { dataOut: DATA }), 7, 0x27, 7);
  });

  test(`${name} falls back on writing only where the store cannot zero at all`, () => {
    const bench = new Bench();
    bench.failures.set("zero", ENOSPC);
    assertSense(bench.run(cdb(7, 9), { dataOut: ZEROES }), 7, 0x27, 7);
    assert.deepEqual(bench.operations, ["zero 7 9"]);
  });
}

test("WRITE SAME(16) with NDOB=1 takes no data", () => {
  const bench = new Bench();
  assertGood(bench.run(CDB_16(3, 400, NDOB)));
  assert.deepEqual(bench.operations, ["zero 3 400"]);
  assertGood(bench.run(CDB_16(3, 400, NDOB | UNMAP)));
  assert.deepEqual(bench.operations, ["discard 3 400"]);
});

test("WRITE SAME(16) with NDOB=1 gets its buffer, late if need be, where the store cannot zero", () => {
  for (const buffersMissing of [0, 1, 2]) {
    const bench = new Bench({ thin: false });
    bench.disk.fill(0xff);
    bench.failures.set("zero", EOPNOTSUPP);
    assertGood(bench.run(CDB_16(3, 2, NDOB), { buffersMissing }));
    assert.deepEqual(bench.operations, ["zero 3 2 keep", "storeWrite 3 2"]);
    assert.equal(hex(bench.disk.subarray(3 * BLOCK - 1, 5 * BLOCK + 1)), `ff${"00".repeat(2 * BLOCK)}ff`);
  }
});

test("WRITE SAME is durable before its status where the write cache is switched off while it goes on", () => {
  // The buffer is 512 blocks long: three writes.
  const cdb = CDB_16(0, 1500);
  for (let until = 1; until <= 3; until++) {
    const bench = new Bench();
    let writes = 0;
    bench.onOperation = (operation) => {
      if (operation.startsWith("storeWrite") && ++writes === until) bench.unit.writeCacheEnabled = false;
    };
    assertGood(bench.run(cdb, { dataOut: DATA }));
    assert.deepEqual(bench.operations, ["storeWrite 0 512", "storeWrite 512 512", "storeWrite 1024 476", "flush"]);
    bench.unit.writeCacheEnabled = true;
    writes = 0;
    bench.failures.set("flush", EIO);
    assert.equal(assertSense(bench.run(cdb, { dataOut: DATA }), 3, 0x0c, 0).information, null);
  }
});

test("WRITE SAME that began without a write cache writes durably to its end", () => {
  const bench = new Bench({ cache: "writethrough" });
  bench.onOperation = () => {
    bench.unit.writeCacheEnabled = true;
  };
  assertGood(bench.run(CDB_16(0, 1000), { dataOut: DATA }));
  assert.deepEqual(bench.operations, ["storeWrite 0 512 durable", "storeWrite 512 488 durable"]);
});

test("WRITE SAME of zeroes, and UNMAP, are flushed where the write cache is switched off while they go on", () => {
  const bench = new Bench();
  bench.onOperation = () => {
    bench.unit.writeCacheEnabled = false;
  };
  assertGood(bench.run(CDB_16(3, 400, NDOB)));
  assert.deepEqual(bench.operations, ["zero 3 400", "flush"]);
  bench.unit.writeCacheEnabled = true;
  assertGood(unmap(bench, unmapList([[5, 2]])));
  assert.deepEqual(bench.operations, ["discard 5 2", "flush"]);
});

test("WRITE SAME(16) with UNMAP=1 writes data that unmapped blocks would not read back as", () => {
  const bench = new Bench();
  assertGood(bench.run(CDB_16(3, 2, UNMAP), { dataOut: DATA }));
  assert.deepEqual(bench.operations, ["storeWrite 3 2"]);
  const last = new Uint8Array(BLOCK);
  last[BLOCK - 1] = 1;
  assertGood(bench.run(CDB_16(3, 2, UNMAP), { dataOut: last }));
  assert.deepEqual(bench.operations, ["storeWrite 3 2"]);
  assert.equal(hex(bench.disk.subarray(4 * BLOCK, 5 * BLOCK)), hex(last));
});

test("WRITE SAME(10) with UNMAP=1 deallocates, whatever the data is", () => {
  const bench = new Bench();
  assertGood(bench.run(CDB_10(3, 2, UNMAP), { dataOut: DATA }));
  assert.deepEqual(bench.operations, ["discard 3 2"]);
  const fallback = new Bench();
  fallback.disk.fill(0xff);
  fallback.failures.set("discard", EOPNOTSUPP);
  assertGood(fallback.run(CDB_10(3, 2, UNMAP), { dataOut: DATA }));
  assert.deepEqual(fallback.operations, ["discard 3 2", "storeWrite 3 2"]);
  assert.equal(hex(fallback.disk.subarray(4 * BLOCK, 5 * BLOCK)), hex(DATA));
});

test("WRITE SAME(10) knows no NDOB", () => {
  assertInvalidFieldInCdb(new Bench().run(CDB_10(0, 1, NDOB)), "1.0");
});

test("WRITE SAME beyond MAXIMUM WRITE SAME LENGTH is refused, a length of 0 included", () => {
  for (const [blockLengthBytes, most] of [
    [512, 0x2_0000],
    [4096, 0x4000],
  ] as const) {
    const bench = new Bench({ blockLengthBytes, blocks: 2 ** 32 });
    assertGood(bench.run(CDB_16(5, most, NDOB)));
    assert.deepEqual(bench.operations, [`zero 5 ${most}`]);
    assertInvalidFieldInCdb(bench.run(CDB_16(5, most + 1, NDOB)), "10");
    assertInvalidFieldInCdb(bench.run(CDB_16(2 ** 32 - most - 1, 0, NDOB)), "10");
    assertGood(bench.run(CDB_16(2 ** 32 - most, 0, NDOB)));
    assertInvalidFieldInCdb(bench.run(CDB_10(0, 0), { dataOut: new Uint8Array(blockLengthBytes) }), "7");
    assertOutOfRange(bench.run(CDB_16(2 ** 32 + 1, 0, NDOB)), null);
  }
});

test("WRITE SAME changes its range and no other block", () => {
  const property = fc.property(
    fc.integer({ min: 0, max: 400 }),
    fc.integer({ min: 0, max: 400 }),
    fc.boolean(),
    fc.constantFrom(0, UNMAP, NDOB, NDOB | UNMAP),
    fc.constantFrom(0, EOPNOTSUPP),
    (lba, length, zero, flags, zeroFails) => {
      const bench = new Bench({ blocks: 400 });
      bench.disk.fill(0xff);
      if (zeroFails !== 0) bench.failures.set("zero", zeroFails);
      const dataOut = (flags & NDOB) !== 0 ? new Uint8Array(0) : zero ? ZEROES : DATA;
      const outcome = bench.run(CDB_16(lba, length, flags), { dataOut });
      const end = length === 0 ? 400 : lba + length;
      assert.equal(outcome.status, end <= 400 ? "good" : "check");
      const expected = Buffer.alloc(400 * BLOCK, 0xff);
      const block = dataOut.length === 0 ? ZEROES : dataOut;
      if (end <= 400) for (let at = lba; at < end; at++) expected.set(block, at * BLOCK);
      assert.equal(expected.compare(bench.disk), 0);
    },
  );
  fc.assert(property, { numRuns: 200 });
});
