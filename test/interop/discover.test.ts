/** Our own small initiator (`ringlun discover`, `ringlun ping`) against tgt. */
import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseTargetUrl } from "../../bench/initiator/url.js";
import { tgtStarter } from "../../bench/targets.js";
import { logIn } from "../../control/initiator/login.js";
import { echo, logOut, sendTargets, testUnitReady } from "../../control/initiator/requests.js";
import { skipWithout } from "../support/peers.js";
import { temporaryFolder } from "../support/undo.js";

const WISH = { initiatorName: "iqn.2026-11.io.ringlun:host", timeoutMs: 20_000 };
const SIZE = 1 << 20;

test("tgt tells of its targets, and answers pings", { skip: skipWithout("tgtd", "tgtadm") }, async (context) => {
  const directory = temporaryFolder(context);
  const path = join(directory, "disk.img");
  writeFileSync(path, "");
  truncateSync(path, SIZE);
  const tgt = await tgtStarter({})!({ path, sizeBytes: SIZE, directory });
  context.after(() => tgt.stop());
  const { host, port, targetName, lun } = parseTargetUrl(tgt.url);

  const discovery = await logIn({ host, port }, WISH);
  const found = await sendTargets(discovery, WISH.timeoutMs);
  await logOut(discovery, WISH.timeoutMs);
  assert.deepEqual(found, [{ name: targetName, portals: [{ address: `${host}:${port}`, portalGroupTag: 1 }] }]);

  const connection = await logIn({ host, port }, { ...WISH, targetName });
  // POWER ON, RESET, OR BUS DEVICE RESET OCCURRED
  assert.deepEqual(await testUnitReady(connection, lun, WISH.timeoutMs), { status: 2, sense: "6/29/00" });
  assert.deepEqual(await testUnitReady(connection, lun, WISH.timeoutMs), { status: 0, sense: null });
  await echo(connection, WISH.timeoutMs);
  await logOut(connection, WISH.timeoutMs);
});
