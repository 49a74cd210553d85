/** Hosts know a disk again by VPD pages 80h and 83h: after a restart of the target, and under another name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { peerOutput } from "../support/peer-process.js";
import { skipWithout } from "../support/peers.js";
import { type Places, RunningTarget, TARGET_NAME } from "../support/target.js";

const skip = skipWithout("iscsi-inq");
const ID = "6f1f7b4a-3a3f-4b55-8f56-0c1de7a3a001";

const config = ({ port }: Places, name: string, id: string): string => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: ${TARGET_NAME}, portalGroups: [1], luns: { 0: ${name}, 1: other } }]
units:
  ${name}: { file: ./disk.img, size: 64MiB, ${id} }
  other: { null: true, size: 64MiB }
workers: 1
`;

/** All that a host may know the disk by. */
async function identity(target: RunningTarget, lun: number): Promise<string> {
  const pages = ["128", "131"].map((page) => peerOutput("iscsi-inq", ["-e", "1", "-c", page, target.url(lun)]));
  return (await Promise.all(pages)).join("");
}

for (const [what, name, renamed, id] of [
  ["a restart", "disk", "disk", ""],
  ["a restart and a rename of a unit that has an id", "disk", "archive", `id: ${ID}`],
] as const) {
  test(`a unit's identity survives ${what}`, { skip }, async (context) => {
    const target = await RunningTarget.start({ config: (places) => config(places, name, id) });
    context.after(() => target.stop());
    const before = await identity(target, 0);
    assert.match(before, /NAA/);
    assert.notEqual(await identity(target, 1), before, "two units have two identities");

    assert.deepEqual(await target.terminate(), { code: 0, signal: null });
    await target.configure(config(target.places, renamed, id));
    await target.run();
    assert.equal(await identity(target, 0), before);
  });
}
