/** A file system that does not answer keeps nobody waiting for ever, and nobody else at all. */
import assert from "node:assert/strict";
import { existsSync, fstatSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { FileThread, FileTimeoutError } from "../../../../control/files/file-thread.js";
import { FILE_THREADS_STUCK_MAX, FILE_TIMEOUT_MS } from "../../../../control/limits.js";
import { temporaryFolder } from "../../../support/undo.js";
import { fileUnit } from "../support/fixtures.js";

/** Keeps the process: the threads do not. */
const staying = setInterval(() => {}, 1000);
after(() => clearInterval(staying));

const HANGING = new URL("./hanging-worker.js", import.meta.url);

/** Opens a unit that hangs, and moves the clock on when it does. */
async function overdue(context: TestContext, files: FileThread, base: string): Promise<void> {
  const begun = join(base, "begun");
  const unit = fileUnit(join(base, "disk.img"), { name: "hangs" });
  const refused = assert.rejects(files.run("open", unit, 1, [base]), FileTimeoutError);
  while (!existsSync(begun)) await new Promise((resolve) => setImmediate(resolve));
  context.mock.timers.tick(FILE_TIMEOUT_MS);
  await refused;
  rmSync(begun);
}

test("a job that is not answered in time is given up, and the next one is done; what it opens later is taken back", async (context) => {
  const base = temporaryFolder(context);
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const files = new FileThread(HANGING);
  await overdue(context, files, base);
  await files.run("look", []);
  context.mock.timers.reset();
  writeFileSync(join(base, "release"), "");
  while (!existsSync(join(base, "answered")) || existsSync(join(base, "disk.img"))) await sleep(10);
  while (readdirSync("/proc/self/fd").some((fd) => leadsTo(fd).includes(base))) await sleep(10);
});

function leadsTo(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

test("of threads that are not answered there are only so many", async (context) => {
  const base = temporaryFolder(context);
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const files = new FileThread(HANGING);
  for (let i = 0; i < FILE_THREADS_STUCK_MAX; i++) await overdue(context, files, base);
  await assert.rejects(files.run("look", []), /not tried: \d+ file systems do not answer already/);
  writeFileSync(join(base, "release"), "");
  context.mock.timers.reset();
  for (;;) {
    try {
      await files.run("look", []);
      break;
    } catch {
      await sleep(10);
    }
  }
});

test("a unit that is opened there is open when the thread has ended, and refused with the reason", async (context) => {
  const base = temporaryFolder(context);
  const files = new FileThread();
  const path = join(base, "disk.img");
  const outcome = await files.run("open", fileUnit(path), 2, [base]);
  assert.ok("descriptors" in outcome && outcome.isNew);
  const refused = await files.run("open", fileUnit(path), 2, [base]);
  assert.ok("refusal" in refused && refused.isInUse);
  await assert.rejects(files.run("remove", path, "inode 0:0", null), /another file is there by now/);
  await assert.rejects(files.run("flush", -1), { message: /ENOENT/ });
  await files.end();
  for (const fd of outcome.descriptors) assert.equal(fstatSync(fd).size, 1 << 20);
});
