import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { enhancedPacket, interfaceDescription, sectionHeader } from "../../../../control/capture/pcapng.js";
import { CaptureFiles } from "../../../../control/cli/capture-files.js";
import { temporaryFolder } from "../../../support/undo.js";

const folder = temporaryFolder({ after });

const HEAD = [
  sectionHeader({ os: "o", application: "a", comment: "c" }),
  interfaceDescription({ name: "n", description: "d" }),
];
const HEAD_BYTES = Buffer.concat(HEAD).length;

function packet(fill: number): Buffer {
  const parts = [Buffer.alloc(60, fill)];
  return enhancedPacket({ interfaceId: 0, atNs: 0n, direction: 1, parts, originalLength: 60, dropped: 0, comment: "" });
}

const PACKET_BYTES = packet(0).length;

test("one file, its owner's alone, has everything", () => {
  const path = join(folder, "one.pcapng");
  const files = new CaptureFiles({ path, bytesMax: null, filesMax: 1 });
  const blocks = [...HEAD, packet(1), packet(2)];
  for (const block of blocks) files.write(block);
  files.close();
  assert.deepEqual(files.paths, [path]);
  assert.deepEqual(readFileSync(path), Buffer.concat(blocks));
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("a ring: each file can be read by itself, none is too long, and the last ones are kept", () => {
  const path = join(folder, "ring.pcapng");
  const bytesMax = HEAD_BYTES + 2 * PACKET_BYTES;
  const files = new CaptureFiles({ path, bytesMax, filesMax: 2 });
  for (const block of HEAD) files.write(block);
  for (let i = 1; i <= 7; i++) files.write(packet(i));
  files.close();
  const names = ["ring-00003.pcapng", "ring-00004.pcapng"];
  assert.deepEqual(
    files.paths,
    names.map((name) => join(folder, name)),
  );
  assert.deepEqual(
    readdirSync(folder)
      .filter((name) => name.startsWith("ring"))
      .sort(),
    names,
  );
  assert.deepEqual(readFileSync(join(folder, names[0]!)), Buffer.concat([...HEAD, packet(5), packet(6)]));
  assert.deepEqual(readFileSync(join(folder, names[1]!)), Buffer.concat([...HEAD, packet(7)]));
});

test("a packet that is longer than a file may be has one of its own", () => {
  const files = new CaptureFiles({ path: join(folder, "small.pcapng"), bytesMax: 1, filesMax: 10 });
  for (const block of [...HEAD, packet(1), packet(2)]) files.write(block);
  files.close();
  assert.equal(files.paths.length, 2);
});

test("where it cannot be written, that is said", () => {
  assert.throws(
    () => new CaptureFiles({ path: join(folder, "no", "x.pcapng"), bytesMax: null, filesMax: 1 }),
    /ENOENT/,
  );
});
