import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertInvalidFieldInCdb, assertOutOfRange, assertSense, Bench, pattern, u16, u32, u64 } from "./bench.js";

const compareAndWrite = (lba: number, blocks: number, flags = 0) => [0x89, flags, ...u64(lba), 0, 0, 0, blocks, 0, 0];
const orWrite = (lba: number, blocks: number, flags = 0) => [0x8b, flags, ...u64(lba), ...u32(blocks), 0, 0];
const writeAtomic = (lba: number, blocks: number, boundary = 0) => [
  0x9c,
  0,
  ...u64(lba),
  ...u16(boundary),
  ...u16(blocks),
  0,
  0,
];

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

describe("COMPARE AND WRITE", () => {
  test("writes where the medium is as expected, and owns the unit for that", () => {
    const bench = new Bench();
    const before = pattern(1024, 1);
    const after = pattern(1024, 2);
    bench.disk.set(before, 8 * 512);
    const outcome = bench.run(compareAndWrite(8, 2), { dataOut: concat(before, after) });
    assert.equal(outcome.status, "good");
    assert.deepEqual(bench.operations, ["own", "storeRead 8 2", "storeWrite 8 2"]);
    assert.deepEqual(bench.disk.slice(8 * 512, 10 * 512), after);
  });

  test("tells where the medium differs, and writes nothing", () => {
    const bench = new Bench();
    const before = pattern(1024, 1);
    bench.disk.set(before, 0);
    bench.disk[700]! ^= 1;
    const medium = bench.disk.slice();
    const outcome = bench.run(compareAndWrite(0, 2), { dataOut: concat(before, pattern(1024, 2)) });
    assert.equal(assertSense(outcome, 0xe, 0x1d, 0).information, 700);
    assert.deepEqual(bench.disk, medium);
  });

  test("with FUA, or without a write cache, is durable", () => {
    const zero = new Uint8Array(1024);
    for (const [cache, flags] of [
      ["writeback", 0x08],
      ["writethrough", 0],
    ] as const) {
      const bench = new Bench({ cache });
      bench.run(compareAndWrite(0, 1, flags), { dataOut: zero });
      assert.equal(bench.operations.at(-1), "storeWrite 0 1 durable");
    }
  });

  test("of no blocks does nothing; of too many, beyond the end, or with too little data is refused", () => {
    const bench = new Bench();
    assert.equal(bench.run(compareAndWrite(0, 0)).status, "good");
    assertInvalidFieldInCdb(bench.run(compareAndWrite(0, 129), { dataOut: new Uint8Array(258 * 512) }), "13");
    assertOutOfRange(bench.run(compareAndWrite(4095, 2), { dataOut: new Uint8Array(2048) }), 4096);
    assertSense(bench.run(compareAndWrite(0, 2), { dataOut: new Uint8Array(1536) }), 5, 0x0e, 3);
    assert.deepEqual(bench.operations, []);
  });
});

describe("ORWRITE", () => {
  test("ors into the medium what comes", () => {
    const bench = new Bench();
    const medium = pattern(512, 1);
    const data = pattern(512, 2);
    bench.disk.set(medium, 512);
    assert.equal(bench.run(orWrite(1, 1), { dataOut: data }).status, "good");
    assert.deepEqual(bench.operations, ["own", "storeRead 1 1", "storeWrite 1 1"]);
    assert.deepEqual(
      bench.disk.slice(512, 1024),
      medium.map((byte, i) => byte | data[i]!),
    );
  });

  test("of no blocks does nothing; of too many is refused", () => {
    const bench = new Bench();
    assert.equal(bench.run(orWrite(0, 0)).status, "good");
    assertInvalidFieldInCdb(bench.run(orWrite(0, 257), { dataOut: new Uint8Array(257 * 512) }), "10");
  });
});

const ATOMIC = { atomicWrites: { bytesMin: 4096, bytesMax: 65536 } };

describe("WRITE ATOMIC", () => {
  test("is one operation that owns the unit, and that the store does not tear", () => {
    const bench = new Bench(ATOMIC);
    const data = pattern(4096, 3);
    assert.equal(bench.run(writeAtomic(16, 8), { dataOut: data }).status, "good");
    assert.deepEqual(bench.operations, ["own", "storeWriteAtomic 16 8"]);
    assert.deepEqual(bench.disk.slice(8192, 12288), data);
  });

  test("is control's where the store could tear it: of other lengths and places, or altogether", () => {
    const asked: [Partial<typeof ATOMIC>, number, number][] = [
      [{}, 16, 8],
      [ATOMIC, 16, 24],
      [ATOMIC, 8, 16],
      [{ atomicWrites: { bytesMin: 8192, bytesMax: 16384 } }, 16, 8],
      [{ atomicWrites: { bytesMin: 4096, bytesMax: 16384 } }, 64, 64],
    ];
    for (const [options, lba, blocks] of asked) {
      const bench = new Bench(options);
      assert.equal(bench.run(writeAtomic(lba, blocks), { dataOut: new Uint8Array(blocks * 512) }).status, "good");
      assert.deepEqual(bench.operations, ["control"], `${blocks} blocks at ${lba}`);
    }
  });

  test("with a boundary, longer than VPD B0 says, not aligned, or no multiple of the granularity, is refused", () => {
    for (const options of [ATOMIC, {}]) {
      const bench = new Bench(options);
      const run = (cdb: number[]) => bench.run(cdb, { dataOut: new Uint8Array(((cdb[12]! << 8) | cdb[13]!) * 512) });
      assertInvalidFieldInCdb(run(writeAtomic(0, 8, 8)), "10");
      for (const blocks of [1, 7, 12, 264]) assertInvalidFieldInCdb(run(writeAtomic(0, blocks)), "12");
      for (const lba of [1, 4, 12]) assertInvalidFieldInCdb(run(writeAtomic(lba, 8)), "2");
      assert.equal(run(writeAtomic(1, 0)).status, "good");
      assert.deepEqual(bench.operations, []);
    }
  });
});

test("a store that fails ends each of them", () => {
  for (const cdb of [compareAndWrite(0, 1), orWrite(0, 1), writeAtomic(0, 8)]) {
    const bench = new Bench(ATOMIC);
    for (const operation of ["storeWrite", "storeWriteAtomic"]) bench.failures.set(operation, -28);
    const length = cdb[0] === 0x89 ? 1024 : cdb[0] === 0x8b ? 512 : 4096;
    const outcome = bench.run(cdb, { dataOut: new Uint8Array(length) });
    assertSense(outcome, 7, 0x27, 7);
  }
});

describe("where the write cache is switched off while it goes on, it is durable before its status", () => {
  for (const { name, cdb, length, steps, write } of [
    {
      name: "COMPARE AND WRITE",
      cdb: compareAndWrite(0, 8),
      length: 8192,
      steps: ["own", "storeRead 0 8"],
      write: "storeWrite",
    },
    { name: "ORWRITE", cdb: orWrite(0, 8), length: 4096, steps: ["own", "storeRead 0 8"], write: "storeWrite" },
    { name: "WRITE ATOMIC", cdb: writeAtomic(0, 8), length: 4096, steps: ["own"], write: "storeWriteAtomic" },
  ]) {
    test(name, () => {
      const dataOut = new Uint8Array(length);
      const bench = new Bench(ATOMIC);
      bench.onOperation = (operation) => {
        if (operation.startsWith("storeWrite")) bench.unit.writeCacheEnabled = false;
      };
      assert.equal(bench.run(cdb, { dataOut }).status, "good");
      assert.deepEqual(bench.operations, [...steps, `${write} 0 8`, "flush"]);
      bench.unit.writeCacheEnabled = true;
      bench.failures.set("flush", -5);
      assertSense(bench.run(cdb, { dataOut }), 3, 0x0c, 0);
      // Before the write: then it is durable by itself.
      const early = new Bench(ATOMIC);
      early.onOperation = () => {
        early.unit.writeCacheEnabled = false;
      };
      assert.equal(early.run(cdb, { dataOut }).status, "good");
      assert.deepEqual(early.operations, [...steps, `${write} 0 8 durable`]);
    });
  }
});
