/** A VERIFY as long as it may be, of a unit in memory, while others hold all but the smallest buffers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, verify10, write10 } from "../../support/cdb.js";
import { TARGET_NAME } from "../../support/target.js";
import { startTarget } from "./fixture.js";

const BLOCKS_MAX = 65_535;
const HOLDERS = 2;
const COMMANDS = 200;

const target = startTarget({
  config: ({ port }) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1]
    session: { initialR2T: false, firstBurstLength: 262144 }
    luns: { 0: memory }
units: { memory: { null: true, size: 64MiB } }
workers: 1
`,
});

test("VERIFY without a comparison", async () => {
  const keys = { InitialR2T: "No", ImmediateData: "Yes", FirstBurstLength: "262144" };
  const initiator = await target.login();
  for (let i = 0; i < HOLDERS; i++) {
    const holder = await target.login(keys);
    const write = Buffer.alloc(i % 2 === 0 ? 262_144 : 65_536);
    const command = { cdb: write10(0, write.length / 512), write, immediateLength: 512, unsolicitedLength: 512 };
    await holder.together(() =>
      Array.from({ length: COMMANDS }, () => holder.start({ ...command, fields: { flags: 0x21 } })),
    );
  }
  const { status } = await initiator.command({ cdb: verify10(0, BLOCKS_MAX) });
  assert.ok(status === 0 || status === 0x28, `status ${status}`);
  await initiator.good({ cdb: read10(0, 1), read: 512 });
});
