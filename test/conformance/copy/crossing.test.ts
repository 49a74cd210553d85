/** Copies that cross each other between two units, from several sessions on two shards, with writes and atomic commands beside. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { read16, write16, writeSame16 } from "../../support/cdb.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { beginExtendedCopy, cscd, listLid1, nameOf, segment } from "../../support/third-party-copy.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCKS = (4 * MIB) / 512;
const COUNTER_LBA = BLOCKS;
const SIZE_BYTES = 8 * MIB;
const SESSIONS = 4;
const ROUNDS = 5;
/** Of one session at a time: fewer than it may have. */
const COPIES = 8;
const COUNTS = 25;

/** Adds one to a block that all sessions count in, by COMPARE AND WRITE. */
async function countUp(initiator: RawInitiator, lun: number): Promise<void> {
  for (;;) {
    const before = await initiator.good({ cdb: read16(COUNTER_LBA, 1), read: 512, lun });
    const next = Buffer.from(before);
    next.writeUInt32BE(before.readUInt32BE(0) + 1, 0);
    const cdb = Buffer.from([0x89, 0, 0, 0, 0, 0, 0, 0, COUNTER_LBA >>> 8, COUNTER_LBA & 0xff, 0, 0, 0, 1, 0, 0]);
    const { status, sense } = await initiator.command({ cdb, write: Buffer.concat([before, next]), lun });
    if (status === 0) return;
    assert.equal(sense[2]! & 0x0f, 0x0e, "MISCOMPARE: another one was faster");
  }
}

test("copies that cross each other all end, and nothing is torn", async (context) => {
  const undo = new Undo(context);
  const folder = undo.folder("/dev/shm");
  const unit = (name: string) => ({ path: join(folder, name), sizeBytes: SIZE_BYTES, cache: "writeback" as const });
  const target = await serveUnits(undo, [unit("a"), unit("b")], 2);
  const sessions: RawInitiator[] = [];
  for (let i = 0; i < SESSIONS; i++)
    sessions.push(await logIn(undo, target, 2, `iqn.2026-11.io.ringlun:crossing-${i}`));
  const first = sessions[0]!;
  const cscds = [cscd(await nameOf(first, 0)), cscd(await nameOf(first, 1))];
  for (const lun of [0, 1]) await first.good({ cdb: writeSame16(0, BLOCKS), write: Buffer.alloc(512, 1 + lun), lun });
  const list = (source: number) =>
    listLid1(cscds, [segment({ source, destination: 1 - source, from: 0, to: 0, blocks: BLOCKS })], {
      flags: 0x18,
      id: 0,
    });
  await Promise.all(
    sessions.map(async (initiator, number) => {
      for (let round = 0; round < ROUNDS; round++) {
        const tasks = [];
        for (let i = 0; i < COPIES; i++) tasks.push(await beginExtendedCopy(initiator, list((number + i) % 2), i % 2));
        for (let count = 0; count < COUNTS / ROUNDS; count++) {
          await countUp(initiator, count % 2);
          await initiator.good({
            cdb: write16(BLOCKS + 8 + number, 1),
            write: Buffer.alloc(512, round),
            lun: count % 2,
          });
        }
        for (const task of tasks) {
          const { status, sense } = await initiator.finish(task, 60_000);
          assert.equal(status, 0, sense.toString("hex"));
        }
      }
    }),
  );
  let counted = 0;
  for (const lun of [0, 1]) {
    counted += (await first.good({ cdb: read16(COUNTER_LBA, 1), read: 512, lun })).readUInt32BE(0);
    for (const lba of [0, BLOCKS / 2, BLOCKS - 8]) {
      const data = await first.good({ cdb: read16(lba, 8), read: 4096, lun });
      for (let at = 0; at < data.length; at += 512) {
        const block = data.subarray(at, at + 512);
        assert.ok(block.every((byte) => byte === block[0]) && (block[0] === 1 || block[0] === 2));
      }
    }
  }
  assert.equal(counted, SESSIONS * COUNTS);
});
