/**
 * EXTENDED COPY copies what was there: on every kind of storage, in every cache mode and block length, between units and within
 * one, at any alignment, also where source and destination overlap. Random copies against a model, through the target and in the
 * files.
 */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { read16, write16 } from "../../support/cdb.js";
import { type FileSystemType, LoopDevice, MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { BLOCK_LENGTHS, CACHE_MODES, logIn, type ServedUnit, serveUnits } from "../../support/served-units.js";
import { cscd, extendedCopy, listLid1, nameOf, segment } from "../../support/third-party-copy.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const SIZE_BYTES = 8 * MIB;
const STEPS = 50;
const TRANSFER_BYTES = MIB;
const BLOCK_MAX = 4096;

type Unit = Required<Pick<ServedUnit, "path" | "cache" | "blockLength" | "sizeBytes">>;

/** Numbers below a bound, from a seed (xorshift32). */
function random(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

function unitsAt(pathOf: (index: number) => string): Unit[] {
  return CACHE_MODES.flatMap((cache) => BLOCK_LENGTHS.map((blockLength) => ({ cache, blockLength }))).map(
    (unit, index) => ({ ...unit, path: pathOf(index), sizeBytes: SIZE_BYTES }),
  );
}

async function write(initiator: RawInitiator, lun: number, { blockLength }: Unit, at: number, data: Buffer) {
  for (let done = 0; done < data.length; done += TRANSFER_BYTES) {
    const part = data.subarray(done, done + TRANSFER_BYTES);
    await initiator.good({ cdb: write16((at + done) / blockLength, part.length / blockLength), write: part, lun });
  }
}

/** `start` and `end` are multiples of 4096. */
async function read(initiator: RawInitiator, lun: number, { blockLength }: Unit, start: number, end: number) {
  const parts: Buffer[] = [];
  for (let at = start; at < end; at += TRANSFER_BYTES) {
    const length = Math.min(TRANSFER_BYTES, end - at);
    parts.push(
      Buffer.from(await initiator.good({ cdb: read16(at / blockLength, length / blockLength), read: length, lun })),
    );
  }
  return Buffer.concat(parts);
}

async function exercise(undo: Undo, units: readonly Unit[], workers = 1): Promise<void> {
  const seed = 1 + Math.floor(Math.random() * 0xffff_fffe);
  console.log(`seed ${seed}`);
  const below = random(seed);
  const target = await serveUnits(undo, units, workers);
  const initiator = await logIn(undo, target, units.length);
  const models = units.map(() => Buffer.alloc(SIZE_BYTES));
  const names: Buffer[] = [];
  for (const [lun, unit] of units.entries()) {
    names.push(await nameOf(initiator, lun));
    // Data and holes.
    for (let part = 0; part < 3; part++) {
      const at = below(SIZE_BYTES / BLOCK_MAX) * BLOCK_MAX;
      const data = Buffer.alloc(Math.min(SIZE_BYTES - at, (1 + below(500)) * BLOCK_MAX));
      for (let i = 0; i < data.length; i += 512) data.writeUInt32BE(seed + lun * SIZE_BYTES + at + i, i);
      data.copy(models[lun]!, at);
      await write(initiator, lun, unit, at, data);
    }
  }
  for (let step = 0; step < STEPS; step++) {
    const [from, to] = [below(units.length), below(units.length)];
    const [source, destination] = [units[from]!, units[to]!];
    // In blocks of 4096 where the two differ, else also such that begin and end within a page.
    const unit = source.blockLength === destination.blockLength ? source.blockLength : BLOCK_MAX;
    const bytes = unit * (1 + below(below(2) === 0 ? 40 : (3 * MIB) / unit));
    const sourceAt = unit * below((SIZE_BYTES - bytes) / unit + 1);
    // Not far from the source, that many of one unit overlap.
    const near = Math.max(0, Math.min(SIZE_BYTES - bytes, sourceAt + unit * (below(64) - 32)));
    const destinationAt = below(2) === 0 ? near : unit * below((SIZE_BYTES - bytes) / unit + 1);
    const countsDestination = below(2) === 1;
    const list = listLid1(
      [cscd(names[from]!), cscd(names[to]!, { blockLength: destination.blockLength })],
      [
        segment({
          source: 0,
          destination: 1,
          from: sourceAt / source.blockLength,
          to: destinationAt / destination.blockLength,
          blocks: bytes / (countsDestination ? destination : source).blockLength,
          flags: countsDestination ? 0x02 : 0,
        }),
      ],
      { flags: 0x18, id: 0 },
    );
    const { status, sense } = await extendedCopy(initiator, list, below(units.length));
    assert.equal(status, 0, `step ${step}, seed ${seed}: ${sense.toString("hex")}`);
    models[from]!.copy(models[to]!, destinationAt, sourceAt, sourceAt + bytes);
    // And what lies around it.
    const start = Math.max(0, (Math.floor(destinationAt / BLOCK_MAX) - 1) * BLOCK_MAX);
    const end = Math.min(SIZE_BYTES, (Math.ceil((destinationAt + bytes) / BLOCK_MAX) + 1) * BLOCK_MAX);
    const got = await read(initiator, to, destination, start, end);
    const where = `${source.cache} ${source.blockLength} ${sourceAt} -> ${destination.cache} ${destination.blockLength} ${destinationAt}`;
    assert.ok(got.equals(models[to]!.subarray(start, end)), `step ${step}, seed ${seed}: ${bytes} bytes, ${where}`);
    // Something of it is written again, the other way.
    const block = Buffer.alloc(destination.blockLength, step);
    const at = below(SIZE_BYTES / block.length) * block.length;
    await write(initiator, to, destination, at, block);
    block.copy(models[to]!, at);
  }
  for (const [lun, unit] of units.entries()) {
    assert.ok((await read(initiator, lun, unit, 0, SIZE_BYTES)).equals(models[lun]!), `LUN ${lun}, seed ${seed}`);
  }
  await initiator.logout();
  assert.deepEqual(await target.terminate(), { code: 0, signal: null });
  assert.deepEqual(
    target.log.filter((line) => /copy failed|SCSI command failed/.test(line)),
    [],
  );
  for (const [lun, { path }] of units.entries()) {
    const fd = openSync(path, "r");
    undo.add(() => closeSync(fd));
    const content = Buffer.alloc(SIZE_BYTES);
    readSync(fd, content, 0, SIZE_BYTES, 0);
    assert.ok(content.equals(models[lun]!), `the file of LUN ${lun}, seed ${seed}`);
  }
}

function temporaryFolder(context: TestContext, parent = tmpdir()): { readonly undo: Undo; readonly folder: string } {
  const undo = new Undo(context);
  const folder = undo.folder(parent);
  return { undo, folder };
}

test("where temporary files are, with two shards", async (context) => {
  const { undo, folder } = temporaryFolder(context);
  await exercise(
    undo,
    unitsAt((index) => join(folder, `${index}.img`)),
    2,
  );
});

test("in memory", async (context) => {
  const { undo, folder } = temporaryFolder(context, "/dev/shm");
  await exercise(
    undo,
    unitsAt((index) => join(folder, `${index}.img`)),
  );
});

for (const type of ["ext4", "xfs", "btrfs"] as const satisfies readonly FileSystemType[]) {
  test(`on ${type}`, { skip: skipWithoutLoop(type) }, async (context) => {
    const undo = new Undo(context);
    const fileSystem = new MountedFileSystem(type);
    undo.add(() => fileSystem.unmount());
    await exercise(
      undo,
      unitsAt((index) => fileSystem.path(`${index}.img`)),
    );
  });
}

test("on block devices", { skip: skipWithoutLoop() }, async (context) => {
  const { undo, folder } = temporaryFolder(context);
  const devices = CACHE_MODES.flatMap(() => BLOCK_LENGTHS).map((_, index) => {
    const loop = new LoopDevice(join(folder, `${index}.backing`), { sizeBytes: SIZE_BYTES });
    undo.add(() => loop.detach());
    return loop;
  });
  await exercise(
    undo,
    unitsAt((index) => devices[index]!.device),
  );
});

test("holes stay holes, and zeroes take no space on a thin unit", async (context) => {
  const { undo, folder } = temporaryFolder(context);
  const paths = [join(folder, "from.img"), join(folder, "to.img")];
  const sizeBytes = 64 * MIB;
  const target = await serveUnits(
    undo,
    paths.map((path) => ({ path, sizeBytes, cache: "writeback" as const })),
  );
  const initiator = await logIn(undo, target, 2);
  const [from, to] = [await nameOf(initiator, 0), await nameOf(initiator, 1)];
  const data = Buffer.alloc(MIB, 0xa5);
  await initiator.good({ cdb: write16(8192, 2048), write: data });
  // What the destination has where the source has nothing goes.
  for (const lba of [0, 65536]) await initiator.good({ cdb: write16(lba, 2048), write: data, lun: 1 });
  const blocks = 65535;
  const segments = [0, 1].map((i) => segment({ source: 0, destination: 1, from: i * blocks, to: i * blocks, blocks }));
  const rest = segment({ source: 0, destination: 1, from: 131070, to: 131070, blocks: 2 });
  const list = listLid1([cscd(from), cscd(to)], [...segments, rest], { flags: 0x18, id: 0 });
  assert.equal((await extendedCopy(initiator, list)).status, 0);
  const hole = await initiator.good({ cdb: read16(65536, 2048), read: MIB, lun: 1 });
  assert.ok(hole.every((byte) => byte === 0));
  assert.ok((await initiator.good({ cdb: read16(8192, 2048), read: MIB, lun: 1 })).equals(data));
  await initiator.logout();
  await target.terminate();
  assert.ok(readFileSync(paths[1]!).equals(readFileSync(paths[0]!)));
  assert.ok(statSync(paths[1]!).blocks * 512 <= 2 * MIB, `${statSync(paths[1]!).blocks * 512} bytes allocated`);
});
