/**
 * What was written is read, on every kind of storage, in every cache mode and block length, at any alignment: random commands
 * against a model, through the target and in the file.
 */
import assert from "node:assert/strict";
import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readCapacity16 } from "../../support/cdb.js";
import { DiskModel } from "../../support/disk-model.js";
import { type FileSystemType, LoopDevice, MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import { BLOCK_LENGTHS, CACHE_MODES, logIn, type ServedUnit, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";

const SIZE_BYTES = 6 * 2 ** 30;
const STEPS = 200;
const LBPME = 0x80;

type Unit = Required<Pick<ServedUnit, "path" | "cache" | "blockLength" | "sizeBytes">>;

/** Every cache mode with every block length; LUNs are their places in the list. */
function unitsAt(pathOf: (index: number) => string): Unit[] {
  return CACHE_MODES.flatMap((cache) => BLOCK_LENGTHS.map((blockLength) => ({ cache, blockLength }))).map(
    (unit, index) => ({ ...unit, path: pathOf(index), sizeBytes: SIZE_BYTES }),
  );
}

async function exercise(undo: Undo, units: readonly Unit[]): Promise<void> {
  const seed = 1 + Math.floor(Math.random() * 0xffff_fffe);
  console.log(`seed ${seed}`);
  const target = await serveUnits(undo, units);
  const initiator = await logIn(undo, target, units.length);
  const models: DiskModel[] = [];
  for (const [lun, { blockLength, cache, path }] of units.entries()) {
    const capacity = await initiator.good({ cdb: readCapacity16(), read: 32, lun });
    assert.equal(capacity.readUInt32BE(8), blockLength);
    assert.equal(Number(capacity.readBigUInt64BE(0)) + 1, SIZE_BYTES / blockLength);
    const thin = (capacity[14]! & LBPME) !== 0;
    const model = new DiskModel({ sizeBytes: SIZE_BYTES, blockLength, thin, seed: seed + lun });
    models.push(model);
    for (let step = 0; step < STEPS; step++) {
      try {
        await model.step(initiator, lun);
      } catch (error) {
        throw new Error(`${path}, ${cache}, step ${step}, seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
    await model.check(initiator, lun);
  }
  await initiator.logout();
  const exit = await target.terminate();
  assert.deepEqual(exit, { code: 0, signal: null });
  for (const [lun, { path }] of units.entries()) {
    const fd = openSync(path, "r");
    undo.add(() => closeSync(fd));
    models[lun]!.checkFile(fd);
  }
}

for (const type of ["ext4", "xfs", "btrfs"] satisfies FileSystemType[]) {
  test(`files on ${type}`, { skip: skipWithoutLoop(type) }, async (context) => {
    const undo = new Undo(context);
    const fileSystem = new MountedFileSystem(type);
    undo.add(() => fileSystem.release());
    await exercise(
      undo,
      unitsAt((index) => fileSystem.path(`${index}.img`)),
    );
  });
}

test("files in memory", { skip: existsSync("/dev/shm") ? false : "there is no /dev/shm" }, async (context) => {
  const undo = new Undo(context);
  const path = undo.folder("/dev/shm");
  await exercise(
    undo,
    unitsAt((index) => join(path, `${index}.img`)),
  );
});

for (const sectorBytes of [512, 4096] as const) {
  test(`a device with sectors of ${sectorBytes} bytes`, { skip: skipWithoutLoop() }, async (context: TestContext) => {
    const undo = new Undo(context);
    const path = undo.folder();
    const devices = unitsAt((index) => join(path, `${index}.img`)).map((unit) => {
      const loop = new LoopDevice(unit.path, { sizeBytes: SIZE_BYTES, sectorBytes });
      undo.add(() => loop.detach());
      return { ...unit, path: loop.device };
    });
    await exercise(undo, devices);
  });
}
