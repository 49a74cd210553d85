/** A file is created with the size that is configured, and grown to it; it may be as large as numbers go. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { read16, readCapacity10, readCapacity16, write16 } from "../../support/cdb.js";
import { MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { CACHE_MODES, logIn, serveUnits } from "../../support/served-units.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCK = 4096;

async function lastLba(initiator: RawInitiator): Promise<number> {
  return Number((await initiator.good({ cdb: readCapacity16(), read: 32 })).readBigUInt64BE(0));
}

test("created, then grown with its content", async (context) => {
  const undo = new Undo(context);
  const yaml = (sizeMib: number, port: number, httpPort: number) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: disk } }]
units: { disk: { file: ./disk.img, size: ${sizeMib}MiB, cache: writeback } }
http: { listen: "127.0.0.1:${httpPort}" }
`;
  const target = await RunningTarget.start({ config: ({ port, httpPort }) => yaml(16, port, httpPort) });
  undo.add(() => target.stop());
  const path = `${target.places.directory}/disk.img`;
  assert.equal(statSync(path).size, 16 * MIB);
  const first = await logIn(undo, target);
  assert.equal(await lastLba(first), (16 * MIB) / 512 - 1);
  const data = Buffer.alloc(512, 0x77);
  await first.good({ cdb: write16((16 * MIB) / 512 - 1, 1), write: data });
  await first.logout();
  assert.equal((await target.terminate()).code, 0);

  await target.configure(yaml(48, target.places.port, target.places.httpPort));
  await target.run();
  assert.equal(statSync(path).size, 48 * MIB);
  const second = await logIn(undo, target);
  assert.equal(await lastLba(second), (48 * MIB) / 512 - 1);
  const found = await second.good({ cdb: read16((16 * MIB) / 512 - 1, 2), read: 1024 });
  assert.ok(found.equals(Buffer.concat([data, Buffer.alloc(512)])));
});

// XFS has files of 8 EiB. The largest number of bytes that is exact is 2^53 - 1.
test("of nearly 2^53 bytes, written at the very end", { skip: skipWithoutLoop("xfs") }, async (context) => {
  const undo = new Undo(context);
  const fileSystem = new MountedFileSystem("xfs");
  undo.add(() => fileSystem.release());
  const sizeBytes = 2 ** 53 - BLOCK;
  const units = CACHE_MODES.map((cache) => ({
    path: fileSystem.path(`${cache}.img`),
    cache,
    blockLength: 4096 as const,
    sizeBytes,
  }));
  const initiator = await logIn(undo, await serveUnits(undo, units), units.length);
  const last = sizeBytes / BLOCK - 1;
  for (const [lun, { path }] of units.entries()) {
    const capacity = await initiator.good({ cdb: readCapacity16(), read: 32, lun });
    assert.equal(capacity.readBigUInt64BE(0), BigInt(last));
    const small = await initiator.good({ cdb: readCapacity10(), read: 8, lun });
    assert.equal(small.readUInt32BE(0), 0xffff_ffff);
    const data = Buffer.alloc(2 * BLOCK, lun + 1);
    await initiator.good({ cdb: write16(last - 1, 2), write: data, lun });
    assert.ok((await initiator.good({ cdb: read16(last - 1, 2), read: 2 * BLOCK, lun })).equals(data));
    const beyond = await initiator.command({ cdb: read16(last, 2), read: 2 * BLOCK, lun });
    assert.equal(beyond.status, 2);
    // Written where it should be, and not somewhere else modulo something.
    const { size, blocks } = statSync(path);
    assert.equal(size, sizeBytes);
    assert.ok(blocks * 512 <= 16 * BLOCK, `${blocks}`);
    assert.ok((await initiator.good({ cdb: read16(0, 2), read: 2 * BLOCK, lun })).equals(Buffer.alloc(2 * BLOCK)));
  }
});
