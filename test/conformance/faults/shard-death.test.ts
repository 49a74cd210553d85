/**
 * A shard dies under overlapping writes. No older write appears after a newer one that was acknowledged; the initiators can
 * log in again at once; sessions on the other shard do not notice.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { CDB_FUA, read16, testUnitReady, write16 } from "../../support/cdb.js";
import { LocalServer } from "../../support/local-server.js";
import { ConnectionClosedError } from "../../support/raw-connection.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { Undo } from "../../support/undo.js";

const BLOCK = 512;
const SIZE_BYTES = 64 * 2 ** 20;
const SLOTS = 8;
const SLOT_BYTES = 128 * 1024;
const SLOT_BLOCKS = SLOT_BYTES / BLOCK;
/** Old writes to each slot that are in flight when the shard dies. */
const OVERLAPS = 6;
/** A shard that dies more often, as soon as it serves, makes everything end (SHARD_SHORT_LIVES_MAX). */
const ROUNDS = 4;
const VICTIM = "iqn.2026-11.io.ringlun:victim";
const WITNESS = "iqn.2026-11.io.ringlun:witness";
/** The other session works behind the slots. */
const WITNESS_LBA = SLOTS * SLOT_BLOCKS;
/** From a shard's death to a login may pass what the kernel needs to end its operations, and no time-out of ours. */
const LOGIN_MS_MAX = 8_000;

function slotData(slot: number, generation: number): Buffer {
  const data = Buffer.alloc(SLOT_BYTES, generation & 0xff);
  for (let at = 0; at < SLOT_BYTES; at += BLOCK) {
    data.writeUInt32BE(slot, at);
    data.writeUInt32BE(generation, at + 4);
  }
  return data;
}

function writeOf(slot: number, generation: number, flags = 0) {
  return { cdb: write16(slot * SLOT_BLOCKS, SLOT_BLOCKS, flags), write: slotData(slot, generation) };
}

async function checkSlots(initiator: RawInitiator, generation: number, when: string): Promise<void> {
  for (let slot = 0; slot < SLOTS; slot++) {
    const data = await initiator.good({ cdb: read16(slot * SLOT_BLOCKS, SLOT_BLOCKS), read: SLOT_BYTES });
    for (let at = 0; at < SLOT_BYTES; at += BLOCK) {
      const found = data.readUInt32BE(at + 4);
      assert.equal(found, generation, `slot ${slot}, block ${at / BLOCK}, ${when}: an older write has come back`);
    }
  }
}

/** Leaves many writes to every slot in flight; none of them is waited for. */
async function pileUp(initiator: RawInitiator, generation: number): Promise<void> {
  for (let overlap = 0; overlap < OVERLAPS; overlap++) {
    for (let slot = 0; slot < SLOTS; slot++) await initiator.start(writeOf(slot, generation + overlap));
  }
}

/** Reads until the connection ends, which it must. */
async function untilClosed(initiator: RawInitiator): Promise<void> {
  await assert.rejects(
    async () => {
      for (;;) await initiator.receive();
    },
    (error) => error instanceof ConnectionClosedError || (error as NodeJS.ErrnoException).code === "ECONNRESET",
  );
}

/** Writes and reads as long as it is let, and never sees anything but what it has written. */
class Witness {
  rounds = 0;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(initiator: RawInitiator) {
    this.#done = this.#run(initiator);
    this.#done.catch(() => {});
  }

  async #run(initiator: RawInitiator): Promise<void> {
    for (; !this.#stopped; this.rounds++) {
      const data = slotData(this.rounds % SLOTS, this.rounds);
      const lba = WITNESS_LBA + (this.rounds % SLOTS) * SLOT_BLOCKS;
      const tasks: RawTask[] = [await initiator.start({ cdb: write16(lba, SLOT_BLOCKS), write: data })];
      for (const task of tasks) assert.equal((await initiator.finish(task)).status, 0);
      assert.ok((await initiator.good({ cdb: read16(lba, SLOT_BLOCKS), read: SLOT_BYTES })).equals(data));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }
}

for (const cache of ["direct", "writeback", "writethrough"] as const) {
  test(`cache ${cache}`, async (context) => {
    const undo = new Undo(context);
    const local = await LocalServer.start(undo, { cache, workers: 2, sizeBytes: SIZE_BYTES });
    const { shards } = local.server;
    let victim = await local.logIn(undo, VICTIM);
    await victim.command({ cdb: testUnitReady() });
    const other = await local.logIn(undo, WITNESS);
    await other.command({ cdb: testUnitReady() });
    const witnessShard = local.shardOf(WITNESS);
    assert.notEqual(local.shardOf(VICTIM), witnessShard);
    const witness = new Witness(other);
    const descriptors = readdirSync("/proc/self/fd").length;

    let generation = 1;
    for (let round = 0; round < ROUNDS; round++) {
      // It may have been served by either shard since; the one that dies is never the witness's.
      const shard = 1 - witnessShard;
      while (local.shardOf(VICTIM) !== shard) {
        await victim.logout();
        victim = await local.logIn(undo, VICTIM);
        await victim.command({ cdb: testUnitReady() });
      }
      await pileUp(victim, generation);
      generation += OVERLAPS;
      const before = witness.rounds;
      const restarted = shards.kill(shard);
      await untilClosed(victim);
      const closedAt = performance.now();
      victim = await local.logIn(undo, VICTIM);
      const loginMs = performance.now() - closedAt;
      assert.ok(loginMs < LOGIN_MS_MAX, `a login took ${loginMs} ms`);
      await victim.command({ cdb: testUnitReady() });
      generation++;
      const newest: RawTask[] = [];
      for (let slot = 0; slot < SLOTS; slot++) {
        newest.push(await victim.start(writeOf(slot, generation, slot % 2 === 0 ? CDB_FUA : 0)));
      }
      for (const task of newest) assert.equal((await victim.finish(task)).status, 0);
      await checkSlots(victim, generation, "at once");
      await restarted;
      await checkSlots(victim, generation, "when the shard serves again");
      assert.ok(witness.rounds > before, "the other session stood still");
    }
    await witness.stop();
    assert.equal(local.shardOf(WITNESS), witnessShard);
    assert.equal(shards.restarts(witnessShard), 0);
    assert.equal(shards.restarts(1 - witnessShard), ROUNDS);
    await checkSlots(victim, generation, "at the end");
    // The victim's connection, whose number changed, is as it was; everything of the dead is given back.
    assert.equal(readdirSync("/proc/self/fd").length, descriptors);
    await victim.logout();
    await local.server.stop(1000);
    const file = readFileSync(local.path);
    for (let slot = 0; slot < SLOTS; slot++) {
      assert.equal(file.readUInt32BE(slot * SLOT_BYTES + 4), generation, `slot ${slot} in the file`);
    }
  });
}
