/** Shards that are bound to a CPU run there, and nowhere else; the rest of the program is not bound. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { read16 } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";

const LIST = /^Cpus_allowed_list:\s*(\S+)$/m;

function allowedOf(path: string): string {
  return LIST.exec(readFileSync(path, "latin1"))![1]!;
}

const allowed = allowedOf("/proc/self/status");
const isOne = /^\d+$/.test(allowed);
const skip = isOne && "this machine has one CPU: a thread that is bound to it cannot be told from one that is not";

test("two shards on one CPU", { skip }, async (context) => {
  const cpu = String(Number.parseInt(allowed, 10));
  const target = await RunningTarget.start({
    config: ({ port }) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: disk } }]
units: { disk: { null: true, size: 1MiB } }
workers: 2
affinity: [${cpu}]
`,
  });
  context.after(() => target.stop());
  const threads = readdirSync(`/proc/${target.pid}/task`);
  const lists = threads.map((thread) => allowedOf(`/proc/${target.pid}/task/${thread}/status`));
  assert.equal(allowedOf(`/proc/${target.pid}/status`), allowed, "the main thread");
  assert.equal(lists.filter((list) => list === cpu).length, 2, lists.join(" "));
  const initiator = await RawInitiator.connect(target.port);
  context.after(() => initiator.destroy());
  await initiator.login({ targetName: TARGET_NAME });
  assert.equal((await initiator.good({ cdb: read16(0, 8), read: 4096 })).length, 4096);
});
