/** PREEMPT AND ABORT: when its status is here, nothing of the preempted nexus is under way any more, on whichever shard. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import { OPCODE_R2T } from "../../support/pdu.js";
import type { RawTask } from "../../support/raw-task.js";
import { CONFLICT, GOOD } from "../../support/sense.js";
import {
  BLOCK_BYTES,
  basicList,
  EXCLUSIVE_ACCESS,
  type Host,
  outCdb,
  PREEMPT,
  PREEMPT_AND_ABORT,
  REGISTRATIONS_PREEMPTED,
  RESERVE,
  startCluster,
  WORKERS,
} from "./fixture.js";

const BLOCKS = 128;

for (const workers of WORKERS) {
  describe(`PREEMPT AND ABORT, ${workers} shard(s)`, () => {
    const cluster = startCluster(workers);
    beforeEach(() => cluster.reset());

    /** A holder with key 1, a challenger with key 2. */
    async function rivals(): Promise<[Host, Host]> {
      const [holder, challenger] = [await cluster.host("holder"), await cluster.host("challenger")];
      await holder.register(1);
      await challenger.register(2);
      assert.equal(await holder.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS }), GOOD);
      return [holder, challenger];
    }

    /** A WRITE that waits for the answer to its R2T, while everybody is let through. */
    async function begunWrite(host: Host, lba: number, fill: number): Promise<RawTask> {
      const write = Buffer.alloc(BLOCKS * BLOCK_BYTES, fill);
      const task = await host.initiator.start({
        cdb: write10(lba, BLOCKS),
        write,
        leaveR2Ts: true,
        immediateLength: 0,
      });
      task.r2ts.push(await host.initiator.expect(OPCODE_R2T));
      return task;
    }

    async function answer(host: Host, task: RawTask): Promise<void> {
      await host.initiator.answerR2T(task, task.r2ts[0]!);
    }

    async function firstByte(host: Host, lba: number): Promise<number> {
      return (await host.initiator.good({ cdb: read10(lba, 1), read: BLOCK_BYTES }))[0]!;
    }

    it("a WRITE under way does not reach the disk, and is never answered", async () => {
      const [holder, challenger] = await rivals();
      const task = await begunWrite(holder, 0, 0xdd);
      assert.equal(await challenger.out(PREEMPT_AND_ABORT, { key: 2, actionKey: 1, type: EXCLUSIVE_ACCESS }), GOOD);
      await challenger.initiator.good({ cdb: write10(0, 1), write: Buffer.alloc(BLOCK_BYTES, 0xcc) });
      await answer(holder, task);
      holder.initiator.forget(task);
      // Its data was dropped, and no response of it comes before those to later commands.
      assert.deepEqual(await holder.attentions(), [REGISTRATIONS_PREEMPTED]);
      assert.equal(await holder.read(), CONFLICT);
      assert.equal(await firstByte(challenger, 0), 0xcc);
      assert.deepEqual(await challenger.keys(), [2]);
    });

    it("PREEMPT alone lets it end", async () => {
      const [holder, challenger] = await rivals();
      const task = await begunWrite(holder, 256, 0xdd);
      assert.equal(await challenger.out(PREEMPT, { key: 2, actionKey: 1, type: EXCLUSIVE_ACCESS }), GOOD);
      await answer(holder, task);
      assert.equal((await holder.initiator.finish(task)).status, 0);
      assert.equal(await firstByte(challenger, 256), 0xdd);
    });

    it("commands of others go on", async () => {
      const [, challenger] = await rivals();
      const bystander = await cluster.host("bystander");
      await challenger.out(PREEMPT, { key: 2, actionKey: 1, type: 5 });
      await bystander.register(3);
      const victim = await cluster.host("victim");
      await victim.register(4);
      const [spared, own] = [await begunWrite(bystander, 512, 0xbb), await begunWrite(challenger, 768, 0xaa)];
      assert.equal(await challenger.out(PREEMPT_AND_ABORT, { key: 2, actionKey: 4 }), GOOD);
      await answer(bystander, spared);
      await answer(challenger, own);
      assert.equal((await bystander.initiator.finish(spared)).status, 0);
      assert.equal((await challenger.initiator.finish(own)).status, 0);
      assert.deepEqual(await bystander.attentions(), []);
    });

    it("with the sender's own key its other commands are aborted, not the one that asks for it", async () => {
      const host = await cluster.host("host");
      await host.register(7);
      const task = await begunWrite(host, 1024, 0xee);
      const write = basicList({ key: 7, actionKey: 7 });
      assert.equal(await host.run({ cdb: outCdb(PREEMPT_AND_ABORT, 0, write.length), write }), GOOD);
      await answer(host, task);
      host.initiator.forget(task);
      assert.deepEqual(await host.attentions(), []);
      assert.notEqual(await firstByte(host, 1024), 0xee);
      assert.deepEqual(await host.keys(), []);
    });

    it("commands of both for control cross, round after round", async () => {
      const [one, other] = await rivals();
      let [holder, challenger] = [one, other];
      for (let round = 0; round < 20; round++) {
        // The holder asks for keys as fast as it can while it is preempted.
        const asked = [];
        for (let i = 0; i < 8; i++) {
          asked.push(await holder.initiator.start({ cdb: Buffer.from([0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0]), read: 256 }));
        }
        const holderKey = round % 2 === 0 ? 1 : 2;
        const command = { key: 3 - holderKey, actionKey: holderKey, type: EXCLUSIVE_ACCESS };
        assert.equal(await challenger.out(PREEMPT_AND_ABORT, command), GOOD);
        for (const task of asked) holder.initiator.forget(task);
        holder.drop();
        await holder.logIn();
        assert.equal(await holder.read(), CONFLICT);
        assert.equal(await holder.register(holderKey), GOOD);
        [holder, challenger] = [challenger, holder];
      }
    });
  });
}
