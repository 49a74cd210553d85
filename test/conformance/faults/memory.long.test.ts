/**
 * Under load resident memory stays flat; logins, logouts and connections that break by the thousand leave neither memory nor
 * descriptors behind.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { read16, testUnitReady, write16 } from "../../support/cdb.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";
import { Undo } from "../../support/undo.js";
import { startVariant } from "../../support/variants.js";
import { VerifiedLoad } from "../../support/verified-load.js";

const MIB = 2 ** 20;
const WARM_UP_MS = 20_000;
const SAMPLES = 20;
const SAMPLE_MS = 4_000;
/** What a garbage collector may keep for a while. */
const SWING_BYTES = 24 * MIB;

const CYCLES_WARM_UP = 1000;
const CYCLES = 4000;
/** A leak of 4 KiB a cycle. */
const GROWTH_MAX_BYTES = 16 * MIB;
/** A heap that is collected often, so that what is left is what is held. */
const SMALL_HEAP = { NODE_OPTIONS: "--max-semi-space-size=1 --max-old-space-size=64" };

function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  assert(match !== null);
  return Number(match[1]) * 1024;
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

const mebibytes = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;

test("resident memory under load", async (context) => {
  const undo = new Undo(context);
  const target = await startVariant({ cache: "writeback", workers: 2 }, { size: "128MiB" });
  undo.add(() => target.stop());
  const loads = [
    ["--sessions", "4", "--depth", "32", "--block", "4k", "--size", "32m", "--sync", "1000"],
    ["--sessions", "2", "--depth", "8", "--block", "256k", "--offset", "64m", "--size", "32m", "--digests", "both"],
  ].map((options, index) =>
    VerifiedLoad.start(target.url(), join(target.places.directory, `load-${index}.state`), options),
  );
  for (const load of loads) undo.add(() => load.kill());
  await Promise.all(loads.map((load) => load.filled));
  await sleep(WARM_UP_MS);
  const before = descriptors(target.pid);
  const samples: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    samples.push(residentBytes(target.pid));
    await sleep(SAMPLE_MS);
  }
  console.log(`resident: ${samples.map(mebibytes).join(", ")}`);
  const half = SAMPLES / 2;
  const growth = Math.min(...samples.slice(half)) - Math.min(...samples.slice(0, half));
  assert.ok(growth < SWING_BYTES / 2, `it grew by ${mebibytes(growth)}`);
  // From any low before it: falls are no fault, and come when a collector has time for them.
  const rise = Math.max(...samples.map((sample, index) => sample - Math.min(...samples.slice(0, index + 1))));
  assert.ok(rise < SWING_BYTES, `it rose by ${mebibytes(rise)}`);
  assert.equal(descriptors(target.pid), before);
  await target.terminate();
  for (const load of loads) await load.lost();
});

/** Returns what is left open, if anything. */
type Cycle = (target: RunningTarget, cycle: number) => Promise<RawInitiator | undefined>;

/** What initiators do to a target, one after the other. */
const CYCLES_OF: Readonly<Record<string, Cycle>> = {
  "login, a command, logout": async (target, cycle) => {
    const initiator = await logIn(target, cycle);
    await initiator.command({ cdb: testUnitReady() });
    await initiator.good({ cdb: read16(0, 64), read: 64 * 512 });
    await initiator.logout();
    initiator.destroy();
    return undefined;
  },
  "connections cut in the middle of reads and writes": async (target, cycle) => {
    const initiator = await logIn(target, cycle);
    await initiator.command({ cdb: testUnitReady() });
    for (let command = 0; command < 4; command++) {
      await initiator.start({ cdb: read16(0, 2048), read: 2048 * 512 });
      await initiator.start({ cdb: write16(0, 2048), write: Buffer.alloc(2048 * 512), leaveR2Ts: true });
    }
    initiator.destroy();
    return undefined;
  },
  "connections cut in the Login Phase": async (target, cycle) => {
    const socket = connect(target.port, "127.0.0.1");
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    if (cycle % 2 === 0) await new Promise((resolve) => socket.write(Buffer.alloc(20 + (cycle % 20), 0x43), resolve));
    socket.destroy();
    return undefined;
  },
  "logins that are refused": async (target) => {
    const initiator = await RawInitiator.connect(target.port);
    await assert.rejects(initiator.login({ targetName: `${TARGET_NAME}.nobody` }), /login refused/);
    initiator.destroy();
    return undefined;
  },
  "sessions that replace one another": async (target) => {
    const session = new SessionNumbers({ isid: REPLACED_ISID });
    const initiator = await RawInitiator.connect(target.port, { session });
    await initiator.login({ targetName: TARGET_NAME });
    await initiator.command({ cdb: testUnitReady() });
    // The next one ends it.
    return initiator;
  },
};

const REPLACED_ISID = Buffer.from("800102030000", "hex");
const SETTLE_POLLS_MAX = 200;
const SETTLE_POLL_MS = 50;

async function logIn(target: RunningTarget, cycle: number): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({
    targetName: TARGET_NAME,
    initiatorName: `iqn.2026-11.io.ringlun:cycle-${cycle % 50}`,
    keys: cycle % 2 === 0 ? { HeaderDigest: "CRC32C", DataDigest: "CRC32C" } : {},
  });
  return initiator;
}

/** Descriptors, once those of connections that have just ended are closed. */
async function settledDescriptors(pid: number, expected: number): Promise<number> {
  for (let poll = 0; poll < SETTLE_POLLS_MAX && descriptors(pid) !== expected; poll++) await sleep(SETTLE_POLL_MS);
  return descriptors(pid);
}

for (const [name, run] of Object.entries(CYCLES_OF)) {
  test(`${name}, ${CYCLES} times`, async (context) => {
    const undo = new Undo(context);
    const target = await RunningTarget.start({ workers: 2, env: SMALL_HEAP });
    undo.add(() => target.stop());
    const idle = descriptors(target.pid);
    for (let cycle = 0; cycle < CYCLES_WARM_UP; cycle++) await run(target, cycle);
    const before = residentBytes(target.pid);
    let left: RawInitiator | undefined;
    for (let cycle = 0; cycle < CYCLES; cycle++) left = await run(target, cycle);
    const after = residentBytes(target.pid);
    console.log(`resident: ${mebibytes(before)}, then ${mebibytes(after)}`);
    assert.ok(after - before < GROWTH_MAX_BYTES, `it grew by ${mebibytes(after - before)}`);
    left?.destroy();
    assert.equal(await settledDescriptors(target.pid, idle), idle);
    assert.deepEqual(await target.terminate(), { code: 0, signal: null });
  });
}
