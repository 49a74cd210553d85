/** The shard of a copy's session dies: nothing of the copy lands once the initiator has logged in again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { read16, testUnitReady, write16, writeSame16 } from "../../support/cdb.js";
import { LocalServer } from "../../support/local-server.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { beginExtendedCopy, copyIn, cscd, listLid1, nameOf, segment } from "../../support/third-party-copy.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCKS = (16 * MIB) / 512;
const ID = 1;
const SEGMENTS = 256;
const VICTIM = "iqn.2026-11.io.ringlun:victim";
const WITNESS = "iqn.2026-11.io.ringlun:witness";

async function untilItRuns(initiator: RawInitiator): Promise<void> {
  for (;;) {
    const { status, data } = await initiator.command({ cdb: copyIn(0x00, ID), read: 64 });
    if (status !== 0) continue;
    assert.equal(data[4], 0x00, "in progress");
    if (data.readUInt32BE(8) > 0) return;
  }
}

test("a copy ends with the shard of its session", async (context) => {
  const undo = new Undo(context);
  const local = await LocalServer.start(undo, { cache: "writeback", workers: 2, sizeBytes: 2 * BLOCKS * 512 });
  let victim = await local.logIn(undo, VICTIM);
  await victim.command({ cdb: testUnitReady() });
  const witness = await local.logIn(undo, WITNESS);
  await witness.command({ cdb: testUnitReady() });
  await victim.good({ cdb: writeSame16(0, BLOCKS), write: Buffer.alloc(512, 0xda) });
  const one = segment({ from: 0, to: BLOCKS, blocks: BLOCKS });
  const list = listLid1(
    [cscd(await nameOf(victim, 0))],
    Array.from({ length: SEGMENTS }, () => one),
    { id: ID },
  );
  await beginExtendedCopy(victim, list);
  await untilItRuns(victim);
  const restarted = local.server.shards.kill(local.shardOf(VICTIM));
  victim = await local.logIn(undo, VICTIM);
  while ((await victim.command({ cdb: testUnitReady() })).status !== 0) {
    // The next unit attention.
  }
  const marker = Buffer.alloc(512, 0x01);
  const places = [BLOCKS, BLOCKS + BLOCKS / 2, 2 * BLOCKS - 1];
  for (const lba of places) await victim.good({ cdb: write16(lba, 1), write: marker });
  await sleep(300);
  for (const lba of places) {
    assert.ok((await victim.good({ cdb: read16(lba, 1), read: 512 })).equals(marker), `block ${lba}`);
  }
  await witness.good({ cdb: testUnitReady() });
  await restarted;
});
