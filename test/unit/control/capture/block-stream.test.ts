import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { blocksOf } from "../../../../control/capture/block-stream.js";
import { interfaceDescription, sectionHeader } from "../../../../control/capture/pcapng.js";

const BLOCKS = [
  sectionHeader({ os: "o", application: "a", comment: "c" }),
  interfaceDescription({ name: "n", description: "d" }),
  interfaceDescription({ name: "nn", description: "dd" }),
];

async function blocksFrom(pieces: readonly Buffer[]): Promise<string[]> {
  const found: string[] = [];
  for await (const block of blocksOf(Readable.from(pieces))) found.push(block.toString("hex"));
  return found;
}

test("blocks come out whole, however they are cut on their way", async () => {
  const whole = Buffer.concat(BLOCKS);
  const expected = BLOCKS.map((block) => block.toString("hex"));
  for (const size of [1, 5, 11, 12, 13, 64, whole.length]) {
    const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, i) =>
      whole.subarray(i * size, (i + 1) * size),
    );
    assert.deepEqual(await blocksFrom(pieces), expected, `pieces of ${size}`);
  }
});

test("what is not whole at the end is left out", async () => {
  assert.equal((await blocksFrom([Buffer.concat(BLOCKS).subarray(0, -1)])).length, 2);
});

test("lengths that lie are refused", async () => {
  for (const length of [0, 11, 2 ** 31]) {
    const bytes = Buffer.alloc(32);
    bytes.writeUInt32LE(length, 4);
    await assert.rejects(blocksFrom([bytes]), /no pcapng/);
  }
});
