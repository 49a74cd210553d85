/** A change of what a session sees does not wait for ever for an initiator that does not send the data of its writes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, socketOf } from "../../support/administration.js";
import { read16, testUnitReady, write16 } from "../../support/cdb.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { type RunningTarget, TARGET_NAME } from "../../support/target.js";
import { Undo } from "../../support/undo.js";

const BLOCK = 512;
/** Of CHANGE_PATIENCE_MS, with room for a machine that is busy. */
const ENDED_WITHIN_MS = 30_000;

function unmap(target: RunningTarget, lun: number) {
  const path = `/api/v1/targets/${encodeURIComponent(TARGET_NAME)}/luns/${lun}`;
  return ask({ method: "DELETE", path }, socketOf(target.configPath));
}

test("the session that holds a LUN up which goes is ended; others go on, and so do other changes", async (context) => {
  const undo = new Undo(context);
  const target = await serveUnits(
    undo,
    ["one.img", "two.img", "three.img"].map((path) => ({ path, sizeBytes: 1 << 20, cache: "writeback" })),
  );
  const [stalling, other] = [
    await logIn(undo, target, 3),
    await logIn(undo, target, 3, "iqn.2026-11.io.ringlun:other"),
  ];
  await stalling.start({
    lun: 1,
    cdb: write16(0, 64),
    write: Buffer.alloc(64 * BLOCK, 1),
    immediateLength: 0,
    unsolicitedLength: 0,
    leaveR2Ts: true,
  });
  const begun = performance.now();
  const [first, second] = await Promise.all([unmap(target, 1), unmap(target, 2)]);
  assert.ok(performance.now() - begun < ENDED_WITHIN_MS);
  assert.deepEqual([first.status, second.status], [200, 200], JSON.stringify([first.document, second.document]));
  assert.ok(target.log.some((line) => line.includes("do not end")));
  // Both LUNs have gone.
  await other.command({ cdb: testUnitReady() });
  await other.good({ cdb: read16(0, 1), read: BLOCK });
  const { document } = await ask({ path: "/api/v1/sessions" }, socketOf(target.configPath));
  assert.deepEqual(
    document.map(({ initiatorName }: { initiatorName: string }) => initiatorName),
    ["iqn.2026-11.io.ringlun:other"],
  );
});
