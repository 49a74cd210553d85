/** Data that comes with a command which has no use for any is dropped (SBC-4; RFC 7143 section 4.2.5.2): no block changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { getLbaStatus, read10, synchronizeCache10, verify10, write10 } from "../../support/cdb.js";
import { TARGET_NAME } from "../../support/target.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";

const BLOCKS = 64;
const LUN_READ_ONLY = 1;

const target = startTarget({
  config: ({ port }) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1]
    luns: { 0: disk, ${LUN_READ_ONLY}: { unit: disk, readOnly: true } }
units: { disk: { file: ./disk.img, size: 16MiB, cache: direct } }
workers: 1
`,
});

const COMMANDS: readonly (readonly [string, Buffer])[] = [
  ["VERIFY(10) without a comparison", verify10(8, BLOCKS - 8)],
  ["SYNCHRONIZE CACHE(10)", synchronizeCache10()],
  ["GET LBA STATUS", getLbaStatus(0, 255)],
  ["TEST UNIT READY", Buffer.alloc(6)],
];

for (const [name, cdb] of COMMANDS) {
  test(`${name} with unsolicited data, on a LUN that is read-only`, async () => {
    const initiator = await target.login({ InitialR2T: "No", ImmediateData: "Yes" });
    const before = pattern(BLOCKS * BLOCK_BYTES, 1);
    // Takes the unit attention of the new session, if there is one.
    await initiator.command({ cdb: Buffer.alloc(6), lun: LUN_READ_ONLY });
    await initiator.good({ cdb: write10(0, BLOCKS), write: before });
    const foreign = Buffer.alloc(4 * BLOCK_BYTES, 0xee);
    for (const immediateLength of [0, BLOCK_BYTES]) {
      await initiator.together(() => [
        initiator
          .start({ cdb, lun: LUN_READ_ONLY, write: foreign, immediateLength, unsolicitedLength: foreign.length })
          .then((task) => initiator.finish(task)),
      ]);
    }
    await initiator.ping();
    const after = await initiator.good({ cdb: read10(0, BLOCKS), read: before.length });
    assert.ok(after.equals(before), "blocks have changed");
    initiator.destroy();
  });
}
