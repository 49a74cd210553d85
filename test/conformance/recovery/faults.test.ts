/**
 * The program on two shards, through real sockets: connections are cut and retired, digests damaged, PDUs lost, at random and under
 * a verified load, at ErrorRecoveryLevel 0, 1 and 2 (RFC 7143 chapter 7). test/simulation/recovery.test.ts has more of it, and
 * replays; this shows that control and the kernel do what the simulation takes them to do.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RealClock, RealPortal } from "../../support/recovering/real-wire.js";
import { RecoveringSession, type SessionOptions } from "../../support/recovering/recovering-session.js";
import { Resets } from "../../support/recovering/resets.js";
import { NO_WIRE_FAULTS, Tallies, type WireFaults } from "../../support/recovering/wire-faults.js";
import { FIRST_SEED } from "../../support/seed.js";
import { randomParameters } from "../../support/simulation/initiator/parameters.js";
import { NO_COMMANDS, randomCommand } from "../../support/simulation/initiator/random-command.js";
import { rereadingCommands } from "../../support/simulation/initiator/rereading.js";
import { Random } from "../../support/simulation/random.js";
import { SimulatedUnit } from "../../support/simulation/unit.js";
import { unitRecord } from "../../support/unit-record.js";
import { startTarget } from "../full-feature/fixture.js";

const UNIT_BYTES = 4 << 20;
const SESSIONS = 4;
const WORK_MS = 5000;
const TIMEOUT_MS = 150_000;
const FAULTS: WireFaults = { lost: 0.01, dataDigest: 0.03, headerDigest: 0.002, cut: 0.004, retire: 0.01 };
const MIX = {
  weights: {
    ...NO_COMMANDS,
    read: 10,
    write: 10,
    verifyData: 1,
    compareAndWrite: 3,
    orWrite: 2,
    synchronize: 1,
    ready: 1,
  },
  bytesMax: 65536,
  unitPart: 0.02,
};

describe("a verified load under faults", () => {
  const target = startTarget({
    workers: 2,
    size: "4MiB",
    session:
      "errorRecoveryLevel: 2, maxConnections: 8, initialR2T: false, maxOutstandingR2T: 8, " +
      "defaultTime2Wait: 0, defaultTime2Retain: 60, headerDigest: [CRC32C, None], dataDigest: [CRC32C, None]",
  });
  /** What the program's unit holds, as far as initiators can tell. */
  const unit = new SimulatedUnit(unitRecord({ thin: false }, UNIT_BYTES));
  const luns = new Map([[0, unit]]);
  const resets = new Resets();

  function open(
    random: Random,
    name: string,
    errorRecoveryLevel: number,
    failed: (error: unknown) => void,
    options: Pick<
      SessionOptions,
      "connections" | "depth" | "taskSetFunction" | "declare" | "faults" | "tallies" | "nextCommand"
    >,
  ): RecoveringSession {
    const clock = new RealClock(failed);
    const maxBurstLength = random.spread(4096, 262_144);
    return new RecoveringSession(clock, new RealPortal(target.running.port, clock), random, {
      ...options,
      initiatorName: `iqn.2026-11.io.ringlun:${name}`,
      luns: [0],
      session: {
        ...randomParameters(random).session,
        maxConnections: 8,
        maxBurstLength,
        firstBurstLength: Math.min(maxBurstLength, random.spread(512, 65536)),
        defaultTime2Wait: 0,
        defaultTime2Retain: 20,
        errorRecoveryLevel,
      },
      connectionParameters: () => ({
        ...randomParameters(random).connection,
        maxSendDataSegmentLength: random.spread(2048, 262_144),
      }),
      immediate: 0.03,
      ping: 0.03,
      abortTask: 0.02,
      resets,
    });
  }

  for (const errorRecoveryLevel of [0, 1, 2]) {
    test(`at ErrorRecoveryLevel ${errorRecoveryLevel}: SEED=${FIRST_SEED}`, async () => {
      const random = new Random(FIRST_SEED * 3 + errorRecoveryLevel);
      const tallies = new Tallies();
      const endMs = performance.now() + WORK_MS;
      await until((failed) =>
        Array.from({ length: SESSIONS }, (_, index) => {
          const own = random.fork();
          return open(own, `worker${index}`, errorRecoveryLevel, failed, {
            connections: own.between(2, 4),
            depth: own.spread(4, 24),
            taskSetFunction: index === 1 ? 0.01 : 0,
            declare: index === 0 ? 0.03 : 0,
            faults: FAULTS,
            tallies,
            nextCommand: () => (performance.now() < endMs ? randomCommand(own, MIX, luns) : null),
          });
        }),
      );
      const commands = rereadingCommands(random, 0, unit);
      await until((failed) => [
        open(random, "auditor", errorRecoveryLevel, failed, {
          connections: 1,
          depth: 4,
          taskSetFunction: 0,
          declare: 0,
          faults: NO_WIRE_FAULTS,
          tallies,
          nextCommand: () => commands.pop() ?? null,
        }),
      ]);
      console.log(`${tallies.faults.total} faults at ErrorRecoveryLevel ${errorRecoveryLevel}\n${tallies.faults}`);
      console.log(`and what followed\n${tallies.recoveries}`);
      assert.ok(tallies.faults.total > 0, "faults were made");
    });
  }
});

/** Resolves when the sessions that `begin` begins have done their work. */
async function until(begin: (failed: (error: unknown) => void) => readonly RecoveringSession[]): Promise<void> {
  let failure: unknown;
  const sessions = begin((error) => {
    failure ??= error;
  });
  const endMs = performance.now() + TIMEOUT_MS;
  while (!sessions.every(({ isFinished }) => isFinished)) {
    if (failure !== undefined) throw failure;
    if (performance.now() > endMs) assert.fail(sessions.map((session) => session.describe()).join("\n"));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
