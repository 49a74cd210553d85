/** What qemu-io writes it reads back; what it discards reads as zeroes; its flush and FUA are obeyed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { peerOutput, runPeer, together } from "../support/peer-process.js";
import { skipWithout } from "../support/peers.js";
import type { RunningTarget } from "../support/target.js";
import { startVariant, VARIANTS } from "../support/variants.js";

const skip = skipWithout("qemu-io");

const argsOf = (target: RunningTarget, commands: readonly string[]): string[] => [
  ...["-f", "raw", "-t", "none", "-d", "unmap"],
  ...commands.flatMap((command) => ["-c", command]),
  target.url(),
];

/** Runs the commands one after the other. A pattern that does not match makes qemu-io end with 1. */
async function qemuIo(target: RunningTarget, ...commands: string[]): Promise<void> {
  await peerOutput("qemu-io", argsOf(target, commands));
}

for (const variant of VARIANTS) {
  test(`qemu-io writes, reads and discards patterns (${variant.name})`, { skip }, async (context) => {
    const target = await startVariant(variant);
    context.after(() => target.stop());

    await qemuIo(
      target,
      "write -P 0x5a 0 1M",
      "read -P 0x5a 0 1M",
      // Neither starts nor ends with a page: direct has to read, change and write.
      "write -P 0x33 66048 3584",
      "read -P 0x5a 65536 512",
      "read -P 0x33 66048 3584",
      "read -P 0x5a 69632 512",
      // Several commands and bursts.
      "write -P 0xc7 20M 9M",
      "read -P 0xc7 20M 9M",
      "read -P 0x00 19M 1M",
      "read -P 0x00 29M 1M",
      "write -f -P 0x77 2M 64k",
      "flush",
      "write -z 20M 1M",
      "read -P 0x00 20M 1M",
      "read -P 0xc7 21M 8M",
    );
    // Another session, perhaps another shard, sees all of it.
    await qemuIo(target, "read -P 0x77 2M 64k", "read -P 0x5a 69632 978944", "read -P 0xc7 21M 8M");

    await qemuIo(target, "discard 0 1M", "discard 24M 2M", "read -P 0 0 1M", "read -P 0 24M 2M", "read -P 0xc7 26M 3M");
    await qemuIo(target, "write -P 0x99 512k 64k", "read -P 0x99 512k 64k", "read -P 0 576k 448k");
    const other = await runPeer("qemu-io", argsOf(target, ["read -P 0x98 512k 64k"]));
    assert.equal(other.exitCode, 1, "qemu-io notices what was not written");
    // The last blocks of the disk.
    await qemuIo(target, "write -P 0x11 67107328 1536", "read -P 0x11 67107328 1536");
  });
}

test("two qemu-io at once, on two shards, see each other's writes", { skip }, async (context) => {
  const target = await startVariant({ cache: "direct", workers: 2 });
  context.after(() => target.stop());
  const regions = [
    { at: "0M", pattern: "0x10" },
    { at: "32M", pattern: "0x20" },
  ];
  for (const command of ["write", "read"]) {
    await together(regions.map(({ at, pattern }) => qemuIo(target, `${command} -P ${pattern} ${at} 16M`)));
  }
  // Now, as a rule, each through the other shard.
  await together(regions.toReversed().map(({ at, pattern }) => qemuIo(target, `read -P ${pattern} ${at} 16M`)));
});
