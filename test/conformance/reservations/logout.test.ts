/** What RESERVE holds ends with the session, and before the Logout Response: an initiator may go by that (RFC 7143 section 11.15). */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { GOOD } from "../../support/sense.js";
import { startCluster, WORKERS } from "./fixture.js";

const ROUNDS = 20;

for (const workers of WORKERS) {
  describe(`logout, ${workers} shards`, () => {
    const cluster = startCluster(workers);
    beforeEach(() => cluster.reset());

    it("once it is answered nobody is kept out any more", async () => {
      const [other, holder] = [await cluster.host("other"), await cluster.host("holder")];
      for (let round = 0; round < ROUNDS; round++) {
        assert.equal(await holder.reserve(), GOOD);
        await holder.initiator.logout();
        assert.equal(await other.write(), GOOD, `round ${round}`);
        holder.drop();
        await holder.logIn();
      }
    });
  });
}
