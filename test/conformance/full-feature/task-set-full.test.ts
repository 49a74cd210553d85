/** A target that has no room for another command says so, and loses none (RFC 7143 sections 4.2.2.1, 11.4.2; SAM-5). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testUnitReady, write10 } from "../../support/cdb.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { startTarget } from "./fixture.js";

const BUSY = 0x08;
const TASK_SET_FULL = 0x28;

describe("more commands than a shard takes (RFC 7143 section 4.2.2.1)", () => {
  const target = startTarget();

  it("TASK SET FULL, or BUSY for a session without tasks, in the command's turn; nothing is lost", async () => {
    const peers: RawInitiator[] = [];
    const write = Buffer.alloc(512);
    for (let i = 0; i < 17; i++) {
      const peer = await target.login();
      peers.push(peer);
      // All wait for the command before them: they need no buffers, and nobody waits for any.
      peer.session.cmdSN++;
      for (let j = 0; j < 255; j++) await peer.start({ cdb: testUnitReady() });
    }
    for (const peer of peers) await peer.ping();
    const witness = await target.login();
    const { cmdSN } = witness.session;
    const refused = await witness.command({ cdb: testUnitReady() });
    assert.deepEqual([refused.status, refused.task.end?.expCmdSN], [BUSY, cmdSN + 1]);
    const withData = await witness.command({ cdb: write10(0, 1), write });
    assert.deepEqual([withData.status, withData.residual], [BUSY, 512]);
    // Ahead of its turn it is refused when that has come.
    witness.session.cmdSN++;
    const ahead = await witness.start({ cdb: testUnitReady() });
    assert.equal((await witness.ping()).expCmdSN, cmdSN + 2);
    const missing = await witness.start({ cdb: testUnitReady(), fields: { cmdSN: cmdSN + 2 } });
    for (const task of [missing, ahead]) assert.equal((await witness.finish(task)).status, BUSY);
    const { expCmdSN, maxCmdSN } = await witness.ping();
    assert.deepEqual([expCmdSN, maxCmdSN - expCmdSN + 1], [cmdSN + 4, 256]);
    // One that has tasks of its own, and room in its window for an immediate command only.
    const full = await peers[0]!.command({ cdb: testUnitReady(), immediate: true });
    assert.equal(full.status, TASK_SET_FULL);
    for (const peer of peers) peer.destroy();
  });
});
