import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { errno } from "io-uring-node";
import { Arena } from "../../../../dataplane/arena.js";
import type { UnitRecord } from "../../../../dataplane/messages.js";
import { FileStore } from "../../../../dataplane/storage/file-store.js";
import { PENDING } from "../../../../dataplane/storage/store.js";
import { unitRecord } from "../../../support/unit-record.js";
import { RecordingRing } from "./recording-ring.js";

const DIRECT = 7;
const BUFFERED = 8;
const KIND = 3;
const INDEX = 21;
const TAG = `(${KIND}, ${INDEX})`;
const TERABYTE = 2 ** 40;
// Linux, all architectures: FALLOC_FL_KEEP_SIZE with FALLOC_FL_PUNCH_HOLE, and with FALLOC_FL_ZERO_RANGE.
const PUNCH_HOLE = "3h";
const ZERO_RANGE = "11h";

function open(changes: Partial<UnitRecord> = {}, fixed = false) {
  const arena = new Arena(65536);
  const ring = new RecordingRing(arena);
  const unit = {
    fd: DIRECT,
    bufferedFd: BUFFERED,
    alignmentBytes: 4096,
    blockLengthBytes: 4096,
    cache: "direct",
  } as const;
  const record = unitRecord({ ...unit, ...changes }, 2 ** 53 - 4096);
  return { store: new FileStore(ring.ring, arena, ring.files, record, 1, fixed), operations: ring.operations, ring };
}

const BUFFERED_UNIT = { fd: BUFFERED, alignmentBytes: 1, cache: "writeback" } as const;

describe("direct", () => {
  test("what is aligned goes past the page cache", () => {
    const { store, operations } = open();
    assert.equal(store.read(4096, 8192, 4096, KIND, INDEX), PENDING);
    assert.equal(store.write(4096, 8192, 4096, false, KIND, INDEX), PENDING);
    assert.deepEqual(operations, [
      `read fd ${DIRECT} at 4096, 8192 bytes to 4096 ${TAG}`,
      `write fd ${DIRECT} at 4096, 8192 bytes from 4096 ${TAG}`,
    ]);
  });

  test("a place, a length or a memory that is not takes the other descriptor", () => {
    const { store, operations } = open();
    store.read(0, 4096, 512, KIND, INDEX);
    store.read(0, 512, 4096, KIND, INDEX);
    store.read(48, 4096, 4096, KIND, INDEX);
    store.write(0, 4096, 512, false, KIND, INDEX);
    store.write(0, 512, 4096, false, KIND, INDEX);
    store.write(48, 4096, 4096, false, KIND, INDEX);
    assert.deepEqual(
      operations.map((text) => text.split(" at ")[0]),
      [...Array(3).fill(`read fd ${BUFFERED}`), ...Array(3).fill(`write fd ${BUFFERED}`)],
    );
  });

  test("where blocks are shorter than what it asks for, no write is direct: pages would be changed in two ways at once", () => {
    const { store, operations } = open({ blockLengthBytes: 512 });
    store.write(0, 4096, 4096, false, KIND, INDEX);
    store.read(0, 4096, 4096, KIND, INDEX);
    store.read(0, 512, 4608, KIND, INDEX);
    assert.deepEqual(operations, [
      `write fd ${BUFFERED} at 4096, 4096 bytes from 0 ${TAG}`,
      `read fd ${DIRECT} at 4096, 4096 bytes to 0 ${TAG}`,
      `read fd ${BUFFERED} at 4608, 512 bytes to 0 ${TAG}`,
    ]);
  });

  test("places beyond 2 GiB, 4 GiB and up to 2^53 are told apart to the byte", () => {
    const { store, operations } = open({ alignmentBytes: 512, blockLengthBytes: 512 });
    const places = [2 ** 31, 2 ** 32 + 512, TERABYTE + 1, 2 ** 53 - 4096, 2 ** 53 - 4095];
    for (const place of places) store.read(0, 512, place, KIND, INDEX);
    assert.deepEqual(
      operations,
      places.map((place) => `read fd ${place % 512 === 0 ? DIRECT : BUFFERED} at ${place}, 512 bytes to 0 ${TAG}`),
    );
  });
});

describe("durability", () => {
  test("a durable write says so to the kernel, on either descriptor", () => {
    const { store, operations } = open();
    store.write(0, 4096, 0, true, KIND, INDEX);
    store.write(0, 512, 0, true, KIND, INDEX);
    assert.deepEqual(operations, [
      `write fd ${DIRECT} at 0, 4096 bytes from 0, durable ${TAG}`,
      `write fd ${BUFFERED} at 0, 512 bytes from 0, durable ${TAG}`,
    ]);
  });

  test("a flush covers what went through the page cache and what went past it: they are one file", () => {
    const { store, operations } = open();
    assert.equal(store.flush(KIND, INDEX), PENDING);
    assert.deepEqual(operations, [`fdatasync fd ${BUFFERED} ${TAG}`]);
  });

  test("buffered, everything takes the one descriptor", () => {
    const { store, operations } = open(BUFFERED_UNIT);
    store.read(48, 1000, 1, KIND, INDEX);
    store.write(0, 4096, 0, true, KIND, INDEX);
    store.flush(KIND, INDEX);
    assert.deepEqual(operations, [
      `read fd ${BUFFERED} at 1, 1000 bytes to 48 ${TAG}`,
      `write fd ${BUFFERED} at 0, 4096 bytes from 0, durable ${TAG}`,
      `fdatasync fd ${BUFFERED} ${TAG}`,
    ]);
  });
});

test("with registered buffers, the one that holds the slices is named", () => {
  const { store, operations } = open({}, true);
  store.read(4096, 4096, 0, KIND, INDEX);
  store.write(4096, 4096, 0, true, KIND, INDEX);
  assert.deepEqual(operations, [
    `read fd ${DIRECT} at 0, 4096 bytes to 4096 of buffer 0 ${TAG}`,
    `write fd ${DIRECT} at 0, 4096 bytes from 4096 of buffer 0, durable ${TAG}`,
  ]);
});

test("a file in memory is read and written at once, and has nothing to flush", () => {
  const { store, operations } = open({ ...BUFFERED_UNIT, inMemory: true }, true);
  assert.equal(store.read(0, 512, 2 ** 32, KIND, INDEX), 512);
  assert.equal(store.write(4096, 1024, 3, true, KIND, INDEX), 1024);
  assert.equal(store.flush(KIND, INDEX), 0);
  assert.deepEqual(operations, [
    `read at once fd ${BUFFERED} at ${2 ** 32}, 512 bytes to 0`,
    `write at once fd ${BUFFERED} at 3, 1024 bytes from 4096`,
  ]);
});

describe("ranges", () => {
  test("discarded are punched out of the file, whatever their alignment and size", () => {
    const { store, operations } = open();
    assert.equal(store.discard(512, 2 ** 52, KIND, INDEX), PENDING);
    assert.deepEqual(operations, [`fallocate ${PUNCH_HOLE} fd ${BUFFERED} at 512, ${2 ** 52} bytes ${TAG}`]);
  });

  test("zeroed may become holes in a thin unit, unless they have to stay allocated", () => {
    const { store, operations } = open();
    store.zero(0, 4096, false, KIND, INDEX);
    store.zero(0, 4096, true, KIND, INDEX);
    assert.deepEqual(operations, [
      `fallocate ${PUNCH_HOLE} fd ${BUFFERED} at 0, 4096 bytes ${TAG}`,
      `fallocate ${ZERO_RANGE} fd ${BUFFERED} at 0, 4096 bytes ${TAG}`,
    ]);
  });

  test("zeroed stay allocated in a unit that is not thin", () => {
    const { store, operations } = open({ thin: false });
    store.zero(0, 4096, false, KIND, INDEX);
    assert.deepEqual(operations, [`fallocate ${ZERO_RANGE} fd ${BUFFERED} at 0, 4096 bytes ${TAG}`]);
  });

  test("of a device that are not whole sectors cannot be zeroed in place, and nothing is asked of the kernel", () => {
    const { store, operations } = open({
      kind: "block",
      blockLengthBytes: 512,
      rangeAlignmentBytes: 4096,

      physicalBlockBytes: 4096,
      thin: false,
    });
    assert.equal(store.zero(512, 4096, false, KIND, INDEX), -errno.EOPNOTSUPP);
    assert.equal(store.zero(4096, 512, false, KIND, INDEX), -errno.EOPNOTSUPP);
    assert.equal(store.zero(2 ** 52 + 512, 4096, false, KIND, INDEX), -errno.EOPNOTSUPP);
    assert.deepEqual(operations, []);
    assert.equal(store.zero(2 ** 52, 4096, false, KIND, INDEX), PENDING);
    assert.deepEqual(operations, [`fallocate ${ZERO_RANGE} fd ${BUFFERED} at ${2 ** 52}, 4096 bytes ${TAG}`]);
  });
});

test("what must not be torn is asked for as such, of memory that is not registered", () => {
  for (const fixed of [false, true]) {
    const { store, operations } = open({ atomicWrites: { bytesMin: 4096, bytesMax: 65536 } }, fixed);
    assert.equal(store.writeAtomic(4096, 8192, 8192, false, KIND, INDEX), PENDING);
    assert.equal(store.writeAtomic(4096, 8192, 8192, true, KIND, INDEX), PENDING);
    assert.deepEqual(operations, [
      `write fd ${DIRECT} at 8192, 8192 bytes from 4096, flags 40h ${TAG}`,
      `write fd ${DIRECT} at 8192, 8192 bytes from 4096, durable, flags 42h ${TAG}`,
    ]);
  }
});

test("a shard asks for failed write-back through the descriptor that is its own", () => {
  const { store, operations, ring } = open({ errorFds: [20, 21, 22] });
  assert.equal(store.takeLoss(), 0);
  ring.writeBackError = -errno.EIO;
  assert.equal(store.takeLoss(), -errno.EIO);
  assert.deepEqual(operations, Array(2).fill("write-back error of fd 21"));
});

test("where nothing is written back, nobody is asked", () => {
  const { store, operations } = open();
  assert.equal(store.takeLoss(), 0);
  assert.deepEqual(operations, []);
});
