/** What a unit that is not ready refuses, with which sense: by hand from SBC-4's lists of commands that are allowed meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NotReady } from "../../../../dataplane/messages.js";
import { COMMAND_CONFLICTS_EXCLUSIVE_ACCESS } from "../../../../dataplane/scsi/command.js";
import { endNotReady } from "../../../../dataplane/scsi/readiness.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import { Task } from "../../../../dataplane/task/task.js";
import { assertSense, Bench } from "./bench.js";

const SANITIZING: NotReady = { asc: 0x04, ascq: 0x1b, progress: 0x8000, operation: "sanitize" };
const FORMATTING: NotReady = { asc: 0x04, ascq: 0x04, progress: 0, operation: "format" };
const SANITIZE_FAILED: NotReady = { senseKey: 3, asc: 0x31, ascq: 0x03, progress: -1, operation: "sanitize" };
const FORMAT_CORRUPT: NotReady = { senseKey: 3, asc: 0x31, ascq: 0x00, progress: -1 };

/** Need no unit, so that nothing keeps them out. */
const NEVER_REFUSED = ["REQUEST SENSE", "INQUIRY", "REPORT LUNS"];
const ALLOWED_DURING_SANITIZE = [
  ...NEVER_REFUSED,
  "READ CAPACITY(10)",
  "READ CAPACITY(16)",
  "REPORT SUPPORTED OPERATION CODES",
  "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
];
/** With what CDB of each of them it is tried: zeroes, but for the service action. */
function cdbOf({ opcode, serviceAction, usage }: (typeof COMMANDS)[number]): number[] {
  return usage.map((_, i) => (i === 0 ? opcode : i === 1 ? Math.max(serviceAction, 0) : 0));
}

test("while a unit is sanitized, and where that has failed, only what SBC-4 allows runs", () => {
  for (const notReady of [SANITIZING, SANITIZE_FAILED]) {
    for (const command of COMMANDS) {
      const outcome = new Bench({ notReady }).run(cdbOf(command));
      const isRefused = outcome.sense?.asc === notReady.asc && outcome.sense.ascq === notReady.ascq;
      // SANITIZE itself is for control to judge.
      const isAllowed = ALLOWED_DURING_SANITIZE.includes(command.name) || command.name.startsWith("SANITIZE");
      assert.equal(isRefused, !isAllowed, command.name);
    }
  }
});

test("LOG SENSE of the Temperature page is allowed while the unit is sanitized, of others it is not", () => {
  const run = (page: number, subpage = 0) =>
    new Bench({ notReady: SANITIZING }).run([0x4d, 0, page, subpage, 0, 0, 0, 0, 255, 0]);
  for (const page of [0x0d, 0x4d]) assert.equal(run(page).status, "good");
  for (const page of [0x00, 0x0c, 0x2f]) assertSense(run(page), 2, 0x04, 0x1b);
  assertSense(run(0x0d, 0xff), 2, 0x04, 0x1b);
});

test("while a unit is formatted nothing runs that needs it", () => {
  for (const command of COMMANDS) {
    const outcome = new Bench({ notReady: FORMATTING }).run(cdbOf(command));
    if (NEVER_REFUSED.includes(command.name)) assert.equal(outcome.status, "good", command.name);
    else assertSense(outcome, 2, 0x04, 0x04);
  }
});

test("a unit whose format is corrupt refuses what needs the medium, and lets the rest through", () => {
  const bench = new Bench({ notReady: FORMAT_CORRUPT });
  assertSense(bench.run([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0]), 3, 0x31, 0);
  assertSense(bench.run([0, 0, 0, 0, 0, 0]), 3, 0x31, 0);
  assert.equal(bench.run([0x1a, 0, 0x3f, 0, 255, 0]).status, "good");
});

test("MODE SENSE of the three pages that SBC-4 lists is allowed while the unit is sanitized, of others it is not", () => {
  const bench = new Bench({ notReady: SANITIZING });
  const pages: readonly [page: number, subpage: number, isAllowed: boolean][] = [
    [0x08, 0, true],
    [0x0a, 0, true],
    [0x1c, 0, true],
    [0x48, 0, true],
    [0x0a, 1, false],
    [0x08, 0xff, false],
    [0x1a, 0, false],
    [0x3f, 0, false],
    [0x3f, 0xff, false],
  ];
  for (const [page, subpage, isAllowed] of pages) {
    for (const cdb of [
      [0x1a, 0, page, subpage, 255, 0],
      [0x5a, 0, page, subpage, 0, 0, 0, 0, 255, 0],
    ]) {
      const outcome = bench.run(cdb);
      if (isAllowed) assert.equal(outcome.status, "good", `${page}/${subpage}`);
      else assertSense(outcome, 2, 0x04, 0x1b);
    }
  }
});

test("progress is told in the sense of refused commands and by REQUEST SENSE, in both formats", () => {
  const bench = new Bench({ notReady: SANITIZING });
  // Fixed: SKSV and the indication in bytes 15 to 17. Descriptor: a sense-key-specific descriptor (02h, 06h).
  const requested = (desc: number) => Buffer.from(bench.run([0x03, desc, 0, 0, 252, 0]).data).toString("hex");
  assert.equal(requested(0), "700002000000000a00000000041b00808000");
  assert.equal(requested(1), "7202041b000000080206000080800000");
  // The bench takes the bytes for a field pointer: SKSV, and 8000h.
  assert.equal(assertSense(bench.run([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0]), 2, 0x04, 0x1b).fieldPointer, "list 32768");
});

test("a failure is a MEDIUM ERROR without progress", () => {
  const bench = new Bench({ notReady: SANITIZE_FAILED });
  const data = bench.run([0x03, 0, 0, 0, 252, 0]).data;
  assert.equal(Buffer.from(data).toString("hex"), "700003000000000a00000000310300000000");
  assertSense(bench.run([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0]), 3, 0x31, 0x03);
});

test("what is wrong with a CDB, or conflicts with a reservation, is told before", () => {
  const bench = new Bench({ notReady: SANITIZING });
  assertSense(bench.run([0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0]), 5, 0x24, 0);
  assert.equal(
    bench.run([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], { blocked: COMMAND_CONFLICTS_EXCLUSIVE_ACCESS }).status,
    "conflict",
  );
});

test("write protection is told after it", () => {
  const bench = new Bench({ notReady: SANITIZING });
  assertSense(bench.run([0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0], { readOnly: true }), 2, 0x04, 0x1b);
});

test("nothing of what the task told before is told again", () => {
  const task = new Task(0, 0);
  task.senseInformation = 1;
  task.senseCommandSpecific = 2;
  endNotReady(task, new Bench(), SANITIZE_FAILED);
  assert.deepEqual([task.senseInformation, task.senseKeySpecific, task.senseCommandSpecific], [-1, -1, -1]);
});
