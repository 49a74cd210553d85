/** Wrong arguments to native code: they throw, and nothing happens. */
import assert from "node:assert/strict";
import { fstatSync } from "node:fs";
import { describe, test } from "node:test";
import {
  addressOf,
  adviseHugePages,
  blockDeviceGeometry,
  closeSync,
  connectSync,
  crc32c,
  crc32cBatch,
  crc32cBy,
  dup,
  encodeSockaddr,
  eventfdSignal,
  fallocateSync,
  fstatfsType,
  getSocketOption,
  listen,
  localAddress,
  lockFile,
  peerAddress,
  preadSync,
  pwriteSync,
  seekData,
  seekHole,
  setKeepAlive,
  setNoDelay,
  setNonBlocking,
  setReceiveBuffer,
  setReceiveLowWater,
  setSendBuffer,
  setSocketOption,
  setUserTimeout,
  shutdownSync,
  socketTcp,
  statxAtomicWrites,
  statxDirectIo,
} from "io-uring-node";

/** None of these is a descriptor; cut to 32 bits, most would be descriptor 0. */
const NO_DESCRIPTORS = [
  undefined,
  null,
  "0",
  0n,
  {},
  Number.NaN,
  0.5,
  2 ** 32,
  -(2 ** 32),
  1e300,
  Number.NEGATIVE_INFINITY,
];

const BY_DESCRIPTOR: readonly [name: string, call: (fd: number) => unknown][] = [
  ["blockDeviceGeometry", (fd) => blockDeviceGeometry(fd)],
  ["closeSync", (fd) => closeSync(fd)],
  ["dup", (fd) => dup(fd)],
  ["eventfdSignal", (fd) => eventfdSignal(fd)],
  ["fallocateSync", (fd) => fallocateSync(fd, 0, 0, 1)],
  ["fstatfsType", (fd) => fstatfsType(fd)],
  ["getSocketOption", (fd) => getSocketOption(fd, 1, 9)],
  ["localAddress", (fd) => localAddress(fd)],
  ["lockFile", (fd) => lockFile(fd)],
  ["peerAddress", (fd) => peerAddress(fd)],
  ["preadSync", (fd) => preadSync(fd, 0, 0, 0)],
  ["pwriteSync", (fd) => pwriteSync(fd, 0, 0, 0, 0)],
  ["seekData", (fd) => seekData(fd, 0)],
  ["seekHole", (fd) => seekHole(fd, 0)],
  ["setKeepAlive", (fd) => setKeepAlive(fd, { idleS: 1, intervalS: 1, count: 1 })],
  ["setNoDelay", (fd) => setNoDelay(fd, true)],
  ["setNonBlocking", (fd) => setNonBlocking(fd, true)],
  ["setReceiveBuffer", (fd) => setReceiveBuffer(fd, 1)],
  ["setReceiveLowWater", (fd) => setReceiveLowWater(fd, 1)],
  ["setSendBuffer", (fd) => setSendBuffer(fd, 1)],
  ["setSocketOption", (fd) => setSocketOption(fd, 1, 9, 1)],
  ["setUserTimeout", (fd) => setUserTimeout(fd, 1)],
  ["shutdownSync", (fd) => shutdownSync(fd, 2)],
  ["socketTcp", (family) => socketTcp(family)],
  ["statxAtomicWrites", (fd) => statxAtomicWrites(fd)],
  ["statxDirectIo", (fd) => statxDirectIo(fd)],
];

describe("what is no descriptor is not taken for one", () => {
  for (const [name, call] of BY_DESCRIPTOR) {
    test(name, () => {
      const before = fstatSync(0);
      for (const value of NO_DESCRIPTORS) assert.throws(() => call(value as number), TypeError, String(value));
      assert.equal(fstatSync(0).ino, before.ino, "descriptor 0 is what it was");
    });
  }
});

test("lengths and offsets are whole, and no length is negative", () => {
  const address = addressOf(new Uint8Array(new SharedArrayBuffer(8)));
  for (const length of [-1, 0.5, Number.NaN, 2 ** 53, 1e300]) {
    assert.throws(() => preadSync(-1, address, length, 0), TypeError, `length ${length}`);
    assert.throws(() => preadSync(-1, length, 8, 0), TypeError, `address ${length}`);
  }
  for (const offset of [0.5, Number.NaN, 2 ** 53, -(2 ** 53)]) {
    assert.throws(() => preadSync(-1, address, 8, offset), TypeError, `offset ${offset}`);
    assert.throws(() => pwriteSync(-1, address, 8, offset, 0), TypeError, `offset ${offset}`);
    assert.throws(() => fallocateSync(-1, 0, offset, 1), TypeError, `offset ${offset}`);
  }
});

test("what is no view is not taken for one", () => {
  for (const value of [
    undefined,
    null,
    1,
    "bytes",
    {},
    [],
    new ArrayBuffer(8),
    new SharedArrayBuffer(8),
    new Proxy(new Uint8Array(8), {}),
  ]) {
    assert.throws(() => addressOf(value as Uint8Array), TypeError);
    assert.throws(() => adviseHugePages(value as Uint8Array), TypeError);
    assert.throws(() => crc32c(value as Uint8Array), TypeError);
    assert.throws(() => crc32cBatch(value as Uint8Array, new Uint32Array(4), 1), TypeError);
    assert.throws(() => crc32cBatch(new Uint8Array(4), value as Uint32Array, 1), TypeError);
  }
  assert.throws(() => crc32c(new Uint16Array(4) as unknown as Uint8Array), TypeError);
  assert.throws(() => crc32cBatch(new Uint8Array(4), new Int32Array(4) as unknown as Uint32Array, 1), TypeError);
});

test("a view whose buffer has gone has nothing in it", () => {
  const bytes = new Uint8Array(64);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  assert.equal(crc32c(bytes), 0);
  assert.equal(adviseHugePages(bytes), 0);
  assert.throws(() => crc32cBatch(bytes, new Uint32Array([0, 1, 0, 0]), 1), RangeError);
});

test("every kind of view has an address", () => {
  const buffer = new SharedArrayBuffer(16);
  const kinds: (new (buffer: SharedArrayBuffer, byteOffset: number) => ArrayBufferView)[] = [
    Int8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
    DataView,
  ];
  // Node.js 24 has it.
  const { Float16Array } = globalThis as { Float16Array?: typeof Float32Array };
  if (Float16Array !== undefined) kinds.push(Float16Array);
  const base = addressOf(new Uint8Array(buffer));
  for (const View of kinds) assert.equal(addressOf(new View(buffer, 8)), base + 8, View.name);
});

test("a seed is an unsigned 32-bit number", () => {
  for (const seed of [-1, 2 ** 32, 0.5, Number.NaN]) {
    assert.throws(() => crc32c(new Uint8Array(1), seed), TypeError);
    assert.throws(() => crc32cBy("table", new Uint8Array(1), seed), TypeError);
  }
  assert.throws(() => crc32cBatch(new Uint8Array(1), new Uint32Array(4), -1), TypeError);
});

test("hosts are strings, ports are ports", () => {
  for (const host of [undefined, 1, {}, null]) assert.throws(() => encodeSockaddr(host as string, 1), TypeError);
  for (const port of [-1, 65536, 0.5, Number.NaN]) {
    assert.throws(() => listen({ host: "127.0.0.1", port, backlog: 1, reusePort: false }), RangeError);
    assert.throws(() => connectSync("127.0.0.1", port), RangeError);
  }
});
