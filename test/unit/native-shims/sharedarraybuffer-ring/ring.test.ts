import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { allocateRing, CAPACITY_BYTES_MAX, Consumer, Producer } from "sharedarraybuffer-ring";
import fc from "../../../support/fast-check.js";

/** A ring whose positions start at `position`, through the published layout: tail at byte 0, head at byte 128. */
function pair(
  capacityBytes: number,
  position = 0,
): { producer: Producer; consumer: Consumer; ring: SharedArrayBuffer } {
  const ring = allocateRing(capacityBytes);
  const words = new Int32Array(ring);
  words[0] = position;
  words[32] = position;
  return { producer: new Producer(ring), consumer: new Consumer(ring), ring };
}

const filled = (length: number, first: number): Uint8Array => Uint8Array.from({ length }, (_, i) => first + i);

/** The next record, copied; undefined if there is none. */
function take(consumer: Consumer): Uint8Array | undefined {
  if (!consumer.next()) return undefined;
  const record = Uint8Array.from(consumer.bytes.subarray(consumer.offset, consumer.offset + consumer.length));
  consumer.release();
  return record;
}

describe("capacity", () => {
  for (const capacity of [0, -64, 32, 63, 65, 96, 2 ** 31, 64.5, Number.NaN]) {
    test(`${capacity} is refused`, () => {
      assert.throws(() => allocateRing(capacity), RangeError);
    });
  }

  test("a buffer that is no ring is refused by both ends", () => {
    for (const bytes of [0, 64, 128, 384, 384 + 100]) {
      assert.throws(() => new Producer(new SharedArrayBuffer(bytes)), TypeError);
      assert.throws(() => new Consumer(new SharedArrayBuffer(bytes)), TypeError);
    }
  });

  test("both ends know it, and the longest record is half of it with its header", () => {
    const { producer, consumer } = pair(4096);
    assert.deepEqual([producer.capacityBytes, producer.lengthMaxBytes], [4096, 2044]);
    assert.deepEqual([consumer.capacityBytes, consumer.lengthMaxBytes], [4096, 2044]);
    assert.equal(CAPACITY_BYTES_MAX, 2 ** 30);
  });
});

describe("one record", () => {
  test("comes out as it went in, for every length", () => {
    const { producer, consumer } = pair(256);
    for (let length = 0; length <= producer.lengthMaxBytes; length++) {
      assert.ok(producer.write(filled(length, length)));
      assert.deepEqual(take(consumer), filled(length, length));
      assert.equal(take(consumer), undefined);
    }
  });

  test("is not seen before commit()", () => {
    const { producer, consumer } = pair(64);
    producer.view.setUint32(producer.reserve(4), 0xfeedface);
    assert.equal(consumer.next(), false);
    producer.commit();
    assert.equal(consumer.next(), true);
    assert.equal(consumer.view.getUint32(consumer.offset), 0xfeedface);
  });

  test("may turn out shorter than was reserved", () => {
    const { producer, consumer } = pair(64);
    producer.bytes.set([7, 8, 9], producer.reserve(28));
    producer.commit(3);
    assert.deepEqual(take(consumer), Uint8Array.of(7, 8, 9));
    for (let i = 0; i < 8; i++) {
      assert.ok(producer.write(filled(4, i)), "only what was committed takes room");
    }
  });

  test("is given up by reserving again", () => {
    const { producer, consumer } = pair(64);
    producer.bytes.set(filled(28, 1), producer.reserve(28));
    assert.ok(producer.write(filled(5, 50)));
    assert.deepEqual(take(consumer), filled(5, 50));
    assert.equal(take(consumer), undefined);
  });

  test("of a length that is none, or over the maximum, throws RangeError and changes nothing", () => {
    const { producer, consumer } = pair(64);
    for (const length of [29, 2 ** 32, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => producer.reserve(length), RangeError);
    }
    assert.throws(() => producer.write(new Uint8Array(29)), RangeError);
    producer.reserve(8);
    for (const length of [9, -1, 1.5, Number.NaN]) assert.throws(() => producer.commit(length), RangeError);
    producer.commit(8);
    assert.equal(take(consumer)?.length, 8);
    assert.equal(take(consumer), undefined);
  });

  test("commit() without a reservation throws, also after a refused one", () => {
    const { producer } = pair(64);
    assert.throws(() => producer.commit(), /without a reserved record/);
    producer.write(filled(28, 0));
    assert.throws(() => producer.commit(), /without a reserved record/);
    producer.write(filled(28, 0));
    assert.equal(producer.reserve(0), -1);
    assert.throws(() => producer.commit(), /without a reserved record/);
  });
});

describe("full and empty", () => {
  test("every byte can be used, and a full ring refuses without overwriting", () => {
    const { producer, consumer } = pair(64);
    for (let i = 0; i < 8; i++) assert.ok(producer.write(filled(4, i)));
    assert.equal(producer.reserve(0), -1);
    assert.equal(producer.write(new Uint8Array(0)), false);
    for (let i = 0; i < 8; i++) assert.deepEqual(take(consumer), filled(4, i));
    assert.equal(take(consumer), undefined);
  });

  test("room comes back with release(), not with next(), and all at once", () => {
    const { producer, consumer } = pair(64);
    for (let i = 0; i < 4; i++) assert.ok(producer.write(filled(12, i)));
    assert.ok(consumer.next());
    const first = consumer.offset;
    assert.ok(consumer.next());
    assert.equal(producer.reserve(12), -1);
    assert.deepEqual(Uint8Array.from(consumer.bytes.subarray(first, first + 12)), filled(12, 0));
    consumer.release();
    assert.ok(producer.write(filled(12, 4)));
    assert.ok(producer.write(filled(12, 5)));
    assert.equal(producer.reserve(12), -1);
    for (const i of [2, 3, 4, 5]) assert.deepEqual(take(consumer), filled(12, i));
  });

  test("an empty ring takes the longest record at every position", () => {
    for (let position = 0; position < 64; position += 4) {
      const { producer, consumer } = pair(64, position);
      assert.ok(producer.write(filled(28, position)), `at ${position}`);
      assert.deepEqual(take(consumer), filled(28, position));
    }
  });

  test("a record that does not fit behind the last one waits for the start to be free", () => {
    const { producer, consumer } = pair(64);
    for (const first of [0, 1]) assert.ok(producer.write(filled(20, first)));
    assert.deepEqual(take(consumer), filled(20, 0));
    // 16 bytes are left at the end and 24 at the start.
    assert.equal(producer.write(filled(24, 2)), false);
    assert.ok(producer.write(filled(20, 2)));
    assert.equal(producer.reserve(0), -1, "the skipped bytes are taken until the wrap has been read");
    assert.deepEqual(take(consumer), filled(20, 1));
    assert.deepEqual(take(consumer), filled(20, 2));
  });
});

test("every pair of lengths at every position, also across 2^31 and 2^32", () => {
  for (const base of [0, 0x7fffff80, -128]) {
    for (let at = 0; at < 256; at += 4) {
      for (let length = 0; length <= 44; length++) {
        const { producer, consumer } = pair(128, (base + at) | 0);
        const first = filled(length, 1);
        const second = filled(44 - length, 100);
        assert.ok(producer.write(first) && producer.write(second));
        assert.deepEqual(take(consumer), first);
        assert.deepEqual(take(consumer), second);
        assert.equal(take(consumer), undefined);
      }
    }
  }
});

test("offsets are multiples of 4 and the payload lies in one piece inside `bytes`", () => {
  const { producer, consumer } = pair(128);
  for (let i = 0; i < 1000; i++) {
    const length = (i * 7) % (producer.lengthMaxBytes + 1);
    const offset = producer.reserve(length);
    assert.ok(offset >= 4 && offset % 4 === 0 && offset + length <= producer.capacityBytes);
    producer.commit();
    assert.ok(consumer.next());
    assert.deepEqual([consumer.offset, consumer.length], [offset, length]);
    consumer.release();
  }
});

test("a later producer and a later consumer go on where the earlier ones stopped", () => {
  const { producer, consumer, ring } = pair(64);
  producer.write(filled(9, 1));
  producer.write(filled(9, 2));
  producer.write(filled(9, 3));
  assert.deepEqual(take(consumer), filled(9, 1));
  assert.ok(consumer.next());
  const successor = new Consumer(ring);
  assert.deepEqual(take(successor), filled(9, 2), "found but not released: delivered again");
  new Producer(ring).write(filled(9, 4));
  assert.deepEqual(take(successor), filled(9, 3));
  assert.deepEqual(take(successor), filled(9, 4));
});

test("a length that no producer writes is reported, not followed", () => {
  for (const length of [-2, 29, 0x7fffffff]) {
    const { producer, consumer, ring } = pair(64);
    producer.write(filled(4, 0));
    // The published layout: records start at byte 384.
    new Int32Array(ring, 384)[0] = length;
    assert.throws(() => consumer.next(), /ring corrupt/);
  }
});

/** What the ring is supposed to be: a queue of arrays whose room is counted the slow way. */
class NaiveRing {
  readonly #capacityBytes: number;
  #position: number;
  #queue: { record: Uint8Array; end: number }[] = [];
  #released: number;

  constructor(capacityBytes: number, position: number) {
    this.#capacityBytes = capacityBytes;
    this.#position = position;
    this.#released = position;
  }

  write(record: Uint8Array): boolean {
    let start = this.#position;
    const bytes = 4 + Math.ceil(record.length / 4) * 4;
    const lap = (position: number): number => Math.floor(position / this.#capacityBytes);
    if (lap(start) !== lap(start + bytes - 1)) start = (lap(start) + 1) * this.#capacityBytes;
    if (start + bytes - this.#released > this.#capacityBytes) return false;
    this.#position = start + bytes;
    this.#queue.push({ record, end: this.#position });
    return true;
  }

  take(): Uint8Array | undefined {
    const first = this.#queue.shift();
    if (first) this.#released = first.end;
    return first?.record;
  }
}

test("behaves like a naive queue with the same room", () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ write: fc.nat(60), first: fc.nat(255) }) },
    { weight: 2, arbitrary: fc.constant("take" as const) },
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 / 4 - 1 }), fc.array(step, { maxLength: 200 }), (quarter, steps) => {
      const { producer, consumer } = pair(128, (quarter * 4) | 0);
      const naive = new NaiveRing(128, quarter * 4);
      for (const it of steps) {
        if (it === "take") assert.deepEqual(take(consumer), naive.take());
        else assert.equal(producer.write(filled(it.write, it.first)), naive.write(filled(it.write, it.first)));
      }
      for (let rest = naive.take(); rest; rest = naive.take()) assert.deepEqual(take(consumer), rest);
      assert.equal(take(consumer), undefined);
    }),
    { numRuns: 1000, examples: [[2 ** 30 - 1, [{ write: 60, first: 0 }, "take", { write: 60, first: 9 }, "take"]]] },
  );
});
