import assert from "node:assert/strict";
import { test } from "node:test";
import type { Session } from "../../../control/session-registry.js";
import { SessionStatistics, StatisticsMemory } from "../../../control/statistics.js";
import {
  IN_FLIGHT,
  READS,
  STATISTICS_BLOCK_SHARED,
  STATISTICS_BLOCKS,
  statisticsBlock,
} from "../../../dataplane/statistics.js";

function session(sessionId: number, initiatorName: string, targetName: string): Session {
  return { sessionId, identity: { initiatorName, targetName } } as unknown as Session;
}

test("a block is the sum over the shards, and begins with zero", () => {
  const memory = new StatisticsMemory(2);
  const block = memory.allocate();
  for (const [shard, count] of [3, 4].entries()) statisticsBlock(memory.shards[shard]!, block)[READS] = count;
  assert.equal(memory.read(block)[READS], 7);
  memory.release(block);
  assert.equal(memory.allocate(), block);
  assert.equal(memory.read(block)[READS], 0);
  assert.notEqual(memory.allocate(), block);
});

test("when all blocks are given out, the rest share one that is nobody's", () => {
  const memory = new StatisticsMemory(1);
  const blocks = new Set(Array.from({ length: STATISTICS_BLOCKS - 1 }, () => memory.allocate()));
  assert.equal(blocks.size, STATISTICS_BLOCKS - 1);
  assert.ok(!blocks.has(STATISTICS_BLOCK_SHARED));
  assert.equal(memory.allocate(), STATISTICS_BLOCK_SHARED);
  memory.release(STATISTICS_BLOCK_SHARED);
  assert.equal(memory.allocate(), STATISTICS_BLOCK_SHARED);
});

test("initiators and targets keep what their sessions counted", () => {
  const memory = new StatisticsMemory(1);
  const statistics = new SessionStatistics(memory);
  const [first, second, other] = [session(1, "a", "t"), session(2, "a", "t"), session(3, "b", "t")];
  const count = (of: Session, reads: number, inFlight: number) => {
    const counted = statisticsBlock(memory.shards[0]!, statistics.blockOf(of));
    counted[READS] = reads;
    counted[IN_FLIGHT] = inFlight;
  };
  count(first, 10, 2);
  count(second, 5, 1);
  count(other, 1, 0);
  assert.equal(statistics.byInitiator().get("a")![READS], 15);
  assert.equal(statistics.byTarget().get("t")![READS], 16);
  assert.equal(statistics.session(1)![READS], 10);

  statistics.close(first);
  statistics.close(first);
  assert.equal(statistics.session(1), undefined);
  assert.equal(statistics.byInitiator().get("a")![READS], 15);
  assert.equal(statistics.byInitiator().get("a")![IN_FLIGHT], 1);
  // Its block goes to the next one, who begins with zero.
  const next = session(4, "c", "t");
  assert.equal(statisticsBlock(memory.shards[0]!, statistics.blockOf(next))[READS], 0);
  assert.equal(statistics.byTarget().get("t")![READS], 16);
});
