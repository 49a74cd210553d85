import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { Random } from "../../support/simulation/random.js";
import { TARGET_NAME } from "../../support/target.js";
import { startTarget } from "../full-feature/fixture.js";
import { assertSettles, residentBytes, takeCensus } from "./census.js";

const NEXUSES = 4;
const ROUNDS = 50;
const WARM_UP_ROUNDS = 10;
const TASKS = 8;
const MIB = 1024 * 1024;
/** What V8 may put aside meanwhile; the shards' memory is fixed. */
const GROWTH_BYTES_MAX = 96 * MIB;

const target = startTarget({
  workers: 2,
  session: "errorRecoveryLevel: 2, maxConnections: 2, defaultTime2Wait: 0, defaultTime2Retain: 60",
});

async function logIn(session: SessionNumbers, errorRecoveryLevel: number): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(target.running.port, { session, strict: false });
  const isLeading = session.tsih === 0;
  const { expCmdSN } = await initiator.login({
    targetName: TARGET_NAME,
    keys: isLeading
      ? {
          ErrorRecoveryLevel: String(errorRecoveryLevel),
          DefaultTime2Retain: "60",
          ImmediateData: "No",
          MaxRecvDataSegmentLength: "262144",
        }
      : { MaxRecvDataSegmentLength: "262144" },
  });
  // What has not come to the target is not sent again: it is as if it had never been.
  session.cmdSN = expCmdSN;
  return initiator;
}

/** READs whose data is on its way, and WRITEs that wait for theirs; nobody looks after them. */
async function leaveInFlight(initiator: RawInitiator, lba: number): Promise<void> {
  for (let i = 0; i < TASKS; i++) {
    await initiator.start({ cdb: read10(lba, 128), read: 128 * 512 });
    await initiator.start({ cdb: write10(lba, 128), write: Buffer.alloc(65536, i), leaveR2Ts: true });
  }
}

/** One nexus: its session is reinstated, or its connection, over and over, each time in the middle of I/O. */
async function storm(seed: number, rounds: number): Promise<void> {
  const random = new Random(seed);
  const errorRecoveryLevel = seed % 3;
  const lba = seed * 2048;
  const { isid } = new SessionNumbers();
  let session = new SessionNumbers({ isid });
  const all: RawInitiator[] = [];
  let isGone = false;
  for (let round = 0; round < rounds; round++) {
    if (isGone || random.chance(0.5)) session = new SessionNumbers({ isid });
    const initiator = await logIn(session, errorRecoveryLevel);
    all.push(initiator);
    // A unit attention tells of what was ended.
    await initiator.command({ cdb: Buffer.alloc(6) });
    await leaveInFlight(initiator, lba);
    // Sometimes the old connection is gone when the new one comes, and with it the session, unless it recovers connections.
    const breaks = random.chance(0.3);
    if (breaks) initiator.destroy();
    isGone = breaks && errorRecoveryLevel < 2;
  }
  const last = await logIn(new SessionNumbers({ isid }), errorRecoveryLevel);
  await last.command({ cdb: Buffer.alloc(6) });
  const written = Buffer.alloc(65536, seed + 1);
  await last.good({ cdb: write10(lba, 128), write: written });
  assert.ok((await last.good({ cdb: read10(lba, 128), read: written.length })).equals(written));
  await last.logout();
  for (const initiator of [...all, last]) initiator.destroy();
}

test("RFC 7143 6.3.4, 6.3.5: sessions and connections that are reinstated hundreds of times, with I/O in flight, leave nothing behind", async () => {
  await storm(0, WARM_UP_ROUNDS);
  const before = { ...(await takeCensus(target.running)), sessions: 0, connections: 0 };
  await assertSettles(target.running, before);
  const quiet = await takeCensus(target.running);
  const bytes = await residentBytes(target.running);
  await Promise.all(Array.from({ length: NEXUSES }, (_, nexus) => storm(nexus, ROUNDS)));
  await assertSettles(target.running, quiet);
  const growth = (await residentBytes(target.running)) - bytes;
  assert.ok(growth < GROWTH_BYTES_MAX, `${Math.round(growth / MIB)} MiB more`);
});
