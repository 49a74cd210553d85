/**
 * SIGTERM under load: the sessions are told by an Async Message that asks them to log out (RFC 7143 section 11.9.1), everything
 * acknowledged is stored, the exit code is 0, and no peer can hold it up beyond the grace time.
 */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { STOP_GRACE_MS, STOP_OVERTIME_MS } from "../../../control/limits.js";
import { read16, write16 } from "../../support/cdb.js";
import { CRASH_UNIT_BYTES, crashUnderLoad } from "../../support/crash.js";
import { MountedFileSystem, skipWithoutPowerCut } from "../../support/file-system.js";
import { OPCODE_ASYNC_MESSAGE } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { RunningTarget } from "../../support/target.js";
import { Undo } from "../../support/undo.js";
import { VARIANTS } from "../../support/variants.js";

const EVENT_LOGOUT_REQUEST = 1;
/** For the rest of a process's end, on a machine that is busy. */
const MARGIN_MS = 10_000;

for (const { name, cache, workers } of VARIANTS) {
  // The power is cut behind its back as soon as it has ended: what it left to the page cache is lost.
  test(`what was acknowledged is stored (${name})`, { skip: skipWithoutPowerCut() }, async (context) => {
    const undo = new Undo(context);
    const fileSystem = new MountedFileSystem("ext4");
    undo.add(() => fileSystem.release());
    const unit = { path: fileSystem.path("disk.img"), cache, sizeBytes: CRASH_UNIT_BYTES } as const;
    const target = await serveUnits(undo, [unit], workers);
    const outputs = await crashUnderLoad(undo, target, {
      directory: target.places.directory,
      loadMs: 500 + Math.random() * 500,
      isClean: true,
      crash: async () => {
        assert.deepEqual(await target.terminate(), { code: 0, signal: null });
        fileSystem.cutPower();
        await fileSystem.unmount();
      },
      restart: async () => {
        fileSystem.mount();
        await target.run();
      },
    });
    for (const output of outputs) assert.match(output, /the target says: .*Async/i);
  });
}

/** Logs in and is told; returns Parameter3, the seconds that it has. */
async function awaitLogoutRequest(initiator: RawInitiator): Promise<number> {
  const pdu = await initiator.expect(OPCODE_ASYNC_MESSAGE);
  assert.equal(pdu.field("asyncEvent"), EVENT_LOGOUT_REQUEST);
  return pdu.field("parameter3");
}

test("sessions that log out when they are told end it at once", async (context) => {
  const undo = new Undo(context);
  const target = await RunningTarget.start({ workers: 2 });
  undo.add(() => target.stop());
  const sessions = [await logIn(undo, target), await logIn(undo, target), await logIn(undo, target)];
  const ended = target.terminate();
  for (const session of sessions) {
    assert.equal(await awaitLogoutRequest(session), STOP_GRACE_MS / 1000);
    await session.logout();
  }
  assert.deepEqual(await ended, { code: 0, signal: null });
});

test("commands that come within the grace time are carried out", async (context) => {
  const undo = new Undo(context);
  const target = await RunningTarget.start();
  undo.add(() => target.stop());
  const session = await logIn(undo, target);
  const ended = target.terminate();
  await awaitLogoutRequest(session);
  const data = Buffer.alloc(4096, 0x66);
  await session.good({ cdb: write16(8, 8), write: data });
  assert.ok((await session.good({ cdb: read16(8, 8), read: 4096 })).equals(data));
  await session.logout();
  assert.deepEqual(await ended, { code: 0, signal: null });
});

test("peers that do not answer, do not read, or are not logged in do not hold it up", async (context) => {
  const undo = new Undo(context);
  const target = await RunningTarget.start({ workers: 2 });
  undo.add(() => target.stop());
  const silent = await logIn(undo, target);
  // One that asks for more than any socket takes, and reads none of it.
  const deaf = await logIn(undo, target);
  for (let command = 0; command < 32; command++) {
    await deaf.start({ cdb: read16(0, 16384), read: 16384 * 512 });
  }
  deaf.pause();
  // One in the middle of a write that will never be complete.
  const half = await logIn(undo, target);
  await half.start({ cdb: write16(0, 2048), write: Buffer.alloc(2048 * 512), leaveR2Ts: true });
  const mute = connect(target.port, "127.0.0.1");
  undo.add(() => mute.destroy());
  mute.on("error", () => {});
  const discovery = await RawInitiator.connect(target.port);
  undo.add(() => discovery.destroy());
  await discovery.login();

  const beganAt = performance.now();
  const ended = target.terminate();
  await awaitLogoutRequest(silent);
  assert.deepEqual(await ended, { code: 0, signal: null });
  const tookMs = performance.now() - beganAt;
  assert.ok(tookMs >= STOP_GRACE_MS, `after ${tookMs} ms: nobody had the grace time`);
  assert.ok(tookMs < STOP_GRACE_MS + STOP_OVERTIME_MS + MARGIN_MS, `after ${tookMs} ms`);
});
