/** Disk images that go onto served disks and come back, by qemu-img. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { peerOutput, together } from "../support/peer-process.js";
import { type Places, TARGET_NAME } from "../support/target.js";
import { shardsUsed, startVariant, type Variant } from "../support/variants.js";

const MIB = 1024 * 1024;
const COPY_TIMEOUT_MS = 300_000;

/** Of so many MiB one is all zeroes: qemu-img sends it as WRITE SAME. */
const ZEROES_EVERY_MIB = 8;

async function writeImage(path: string, sizeMiB: number): Promise<void> {
  const file = await open(path, "w");
  const random = Buffer.alloc(MIB);
  const zeroes = Buffer.alloc(MIB);
  try {
    for (let i = 0; i < sizeMiB; i++) {
      await file.writeFile(i % ZEROES_EVERY_MIB === ZEROES_EVERY_MIB - 1 ? zeroes : randomFillSync(random));
    }
  } finally {
    await file.close();
  }
}

/** cmp takes a quarter of the time that two digests take. */
async function assertSame(path: string, other: string, what: string): Promise<void> {
  await promisify(execFile)("cmp", [path, other]).catch((error) =>
    assert.fail(`${what}: ${error.stdout}${error.stderr}`),
  );
}

async function convert(...args: string[]): Promise<void> {
  await peerOutput("qemu-img", ["convert", "-f", "raw", "-O", "raw", ...args], { timeoutMs: COPY_TIMEOUT_MS });
}

/**
 * Copies an image onto two disks at once and back, each round another one over what the last one left there: all that comes
 * back, and the served files in the end, are the image, byte for byte.
 */
export async function copyThereAndBack(
  context: TestContext,
  variant: Variant,
  { sizeMiB, rounds }: { readonly sizeMiB: number; readonly rounds: number },
): Promise<void> {
  const config = ({ port }: Places): string => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: ${TARGET_NAME}, portalGroups: [1], luns: { 0: disk0, 1: disk1 } }]
units:
  disk0: { file: ./disk0.img, size: ${sizeMiB}MiB, cache: ${variant.cache} }
  disk1: { file: ./disk1.img, size: ${sizeMiB}MiB, cache: ${variant.cache}, blockLength: 4096 }
workers: ${variant.workers}
`;
  const target = await startVariant(variant, { config });
  context.after(() => target.stop());
  const place = (name: string): string => join(target.places.directory, name);
  const luns = [0, 1];

  for (let round = 1; round <= rounds; round++) {
    await writeImage(place("image"), sizeMiB);
    await together(luns.map((lun) => convert("-n", place("image"), target.url(lun))));
    await together(luns.map((lun) => convert(target.url(lun), place(`back${lun}`))));
    for (const lun of luns) await assertSame(place("image"), place(`back${lun}`), `LUN ${lun}, round ${round}`);
  }
  assert.equal(shardsUsed(target).length, variant.workers, "two sessions at a time are spread over the shards");

  assert.deepEqual(await target.terminate(), { code: 0, signal: null });
  for (const lun of luns) await assertSame(place("image"), place(`disk${lun}.img`), `the file behind LUN ${lun}`);
}
