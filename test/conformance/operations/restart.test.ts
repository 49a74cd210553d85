/** SANITIZE and FORMAT UNIT over the end of the process, whichever it is: they go on, and are never silently done. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GOOD } from "../../support/sense.js";
import type { RunningTarget } from "../../support/target.js";
import { Undo } from "../../support/undo.js";
import {
  assertContent,
  BLOCK_BYTES,
  diskPath,
  FORMAT_IN_PROGRESS,
  Host,
  IMMED,
  OVERWRITE,
  overwriteList,
  SANITIZE_IN_PROGRESS,
  startTarget,
} from "./fixture.js";

const PATTERN = Buffer.from("5eed".repeat(BLOCK_BYTES / 2), "hex");
const RATE = "8MiB";

/** The state documents of units' operations. */
function documents(target: RunningTarget): string[] {
  const folder = `${target.configPath}.state`;
  return readdirSync(folder)
    .filter((name) => name.startsWith("operation-"))
    .map((name) => join(folder, name));
}

async function untilProgress(host: Host): Promise<number> {
  for (;;) {
    const { progress } = await host.pollable();
    if (progress !== undefined && progress > 0x1000) return progress;
    await sleep(20);
  }
}

const ENDS = {
  "kill -9": (target: RunningTarget) => target.kill9(),
  SIGTERM: async (target: RunningTarget) => {
    assert.deepEqual(await target.terminate(), { code: 0, signal: null });
  },
};

for (const [name, end] of Object.entries(ENDS)) {
  test(`SANITIZE goes on after ${name}`, async (context) => {
    const undo = new Undo(context);
    const target = await startTarget(undo, { eraseRate: RATE, cache: "direct" });
    const host = await Host.logIn(undo, target);
    assert.equal(await host.sanitize(IMMED | OVERWRITE, overwriteList(PATTERN)), GOOD);
    await untilProgress(host);
    await end(target);
    await target.run();
    // From the first command on.
    const again = await Host.logIn(undo, target);
    assert.equal(await again.ready(), SANITIZE_IN_PROGRESS);
    if (name === "SIGTERM") {
      const { progress } = await again.pollable();
      assert.ok(progress! >= 0x1000, `it goes on where it was, at ${progress}`);
    }
    await again.untilReady(SANITIZE_IN_PROGRESS);
    assertContent(diskPath(target), PATTERN);
    // And what is done is not done again.
    await target.kill9();
    await target.run();
    assert.equal(await (await Host.logIn(undo, target)).ready(), GOOD);
  });
}

test("FORMAT UNIT goes on, too, and its pattern is what it leaves", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo, { eraseRate: RATE });
  const host = await Host.logIn(undo, target);
  // FMTDATA; FOV, IP, IMMED; a repeated pattern of one byte.
  assert.equal(await host.format(0x10, Buffer.from("008a0000000100016b", "hex")), GOOD);
  await untilProgress(host);
  await target.kill9();
  await target.run();
  const again = await Host.logIn(undo, target);
  assert.equal(await again.ready(), FORMAT_IN_PROGRESS);
  await again.untilReady(FORMAT_IN_PROGRESS);
  assertContent(diskPath(target), Buffer.from([0x6b]));
});

test("a unit that is read-only after the restart stays not ready, until it is writable again", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo, { eraseRate: RATE });
  const host = await Host.logIn(undo, target);
  assert.equal(await host.sanitize(IMMED | OVERWRITE, overwriteList(PATTERN)), GOOD);
  await target.kill9();
  const configuration = readFileSync(target.configPath, "utf8");
  await target.configure(configuration.replace("eraseRate", "readOnly: true, eraseRate"));
  await target.run();
  assert.equal(await (await Host.logIn(undo, target)).ready(), SANITIZE_IN_PROGRESS);
  await target.waitForLog(/operation not finished: the unit is read-only now/);
  assert.equal((await target.terminate()).code, 0);
  await target.configure(configuration);
  await target.run();
  await (await Host.logIn(undo, target)).untilReady(SANITIZE_IN_PROGRESS);
  assertContent(diskPath(target), PATTERN);
});

test("a unit that leaves the configuration and comes back goes on", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo, { eraseRate: RATE });
  const host = await Host.logIn(undo, target);
  assert.equal(await host.sanitize(IMMED | OVERWRITE, overwriteList(PATTERN)), GOOD);
  await untilProgress(host);
  const configuration = readFileSync(target.configPath, "utf8");
  const without = configuration.replace(/^ {2}disk: .*$/m, "").replace(/luns: \{.*?\}, 2/, "luns: { 2");
  await target.configure(without);
  target.reload();
  await target.waitForLog(/"unit":"disk","msg":"unit closed"/);
  await target.configure(configuration);
  target.reload();
  await target.waitForLog(/operation goes on/);
  const again = await Host.logIn(undo, target);
  await again.untilReady(SANITIZE_IN_PROGRESS);
  assertContent(diskPath(target), PATTERN);
});

test("a damaged document keeps the target from starting, and says what to do", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo, { eraseRate: RATE });
  const host = await Host.logIn(undo, target);
  assert.equal(await host.sanitize(IMMED | OVERWRITE, overwriteList(PATTERN)), GOOD);
  await target.kill9();
  const [document] = documents(target);
  const text = readFileSync(document!, "utf8");
  writeFileSync(document!, text.replace('"hasFailed": false', '"hasFailed": true'));
  await assert.rejects(target.run(), /operation-[0-9a-f-]+\.json is damaged: its checksum is wrong.*move it away/);
  writeFileSync(document!, text);
  await target.run();
  await (await Host.logIn(undo, target)).untilReady(SANITIZE_IN_PROGRESS);
  assertContent(diskPath(target), PATTERN);
});
