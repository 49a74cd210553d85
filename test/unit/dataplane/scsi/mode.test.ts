import assert from "node:assert/strict";
import { test } from "node:test";
import { assertInvalidFieldInCdb, Bench, type BenchOptions, hex, type RunOptions, u16 } from "./bench.js";

const DBD = 0x08;
const LLBAA = 0x10;
const CHANGEABLE = 0x40;
const DEFAULT = 0x80;
const SAVED = 0xc0;

const CACHING_WCE = "88120400000000000000000000000000" + "00000000";
const CACHING = "88120000000000000000000000000000" + "00000000";
const CONTROL = "8a0a22100000000000000000";
const CONTROL_EXTENSION = `ca01001c06${"00".repeat(27)}`;
const POWER_CONDITION = `9a26${"00".repeat(38)}`;
const INFORMATIONAL_EXCEPTIONS = "9c0a08000000000000000000";
// Of units that have mapping resources: LBPERE, and one threshold for what is available, disabled.
const ERROR_RECOVERY = "810a00000000008000000000";
const PROVISIONING = `dc020014${"00".repeat(12)}0001000000000000`;

function modeSense6(bench: Bench, page: number, flags = DBD, subpage = 0, options: RunOptions = {}, length = 255) {
  return bench.run([0x1a, flags, page, subpage, length, 0], options);
}

function modeSense10(bench: Bench, page: number, flags = DBD, subpage = 0, length = 0xffff) {
  return bench.run([0x5a, flags, page, subpage, 0, 0, 0, ...u16(length), 0]);
}

/** Without the header, which is checked. */
function pages(options: BenchOptions, page: number, subpage = 0): string {
  const data = modeSense6(new Bench(options), page, DBD, subpage).data;
  assert.equal(data[0], data.length - 1);
  assert.equal(hex(data.subarray(1, 4)), "001000");
  const long = modeSense10(new Bench(options), page, DBD, subpage).data;
  assert.equal(hex(long.subarray(0, 8)), `00${(long.length - 2).toString(16).padStart(2, "0")}001000000000`);
  assert.equal(hex(long.subarray(8)), hex(data.subarray(4)));
  return hex(data.subarray(4));
}

test("the Caching page tells whether there is a write cache", () => {
  assert.equal(pages({ cache: "direct" }, 0x08), CACHING_WCE);
  assert.equal(pages({ cache: "writeback" }, 0x08), CACHING_WCE);
  assert.equal(pages({ cache: "writethrough" }, 0x08), CACHING);
});

test("each page by itself", () => {
  assert.equal(pages({}, 0x0a), CONTROL);
  assert.equal(pages({}, 0x0a, 1), CONTROL_EXTENSION);
  assert.equal(pages({}, 0x1a), POWER_CONDITION);
  assert.equal(pages({}, 0x1c), INFORMATIONAL_EXCEPTIONS);
  assert.equal(pages({}, 0x01), ERROR_RECOVERY);
  assert.equal(pages({}, 0x1c, 2), PROVISIONING);
});

test("page 3Fh is all pages in ascending order; subpage FFh takes in the subpages", () => {
  assert.equal(pages({}, 0x3f), ERROR_RECOVERY + CACHING_WCE + CONTROL + POWER_CONDITION + INFORMATIONAL_EXCEPTIONS);
  assert.equal(
    pages({}, 0x3f, 0xff),
    ERROR_RECOVERY +
      CACHING_WCE +
      CONTROL +
      CONTROL_EXTENSION +
      POWER_CONDITION +
      INFORMATIONAL_EXCEPTIONS +
      PROVISIONING,
  );
  assert.equal(pages({ thin: false }, 0x3f), CACHING_WCE + CONTROL + POWER_CONDITION + INFORMATIONAL_EXCEPTIONS);
  assert.equal(pages({}, 0x1c, 0xff), INFORMATIONAL_EXCEPTIONS + PROVISIONING);
  assert.equal(pages({}, 0x0a, 0xff), CONTROL + CONTROL_EXTENSION);
  assert.equal(pages({}, 0x08, 0xff), CACHING_WCE);
});

test("default and saved values, and what MODE SELECT can change", () => {
  for (const control of [DEFAULT, SAVED]) {
    assert.equal(pages({}, control | 0x08), CACHING_WCE);
    assert.equal(pages({ cache: "writethrough" }, control | 0x08), CACHING);
    assert.equal(pages({}, control | 0x0a), CONTROL);
  }
  assert.equal(pages({}, CHANGEABLE | 0x08), CACHING_WCE);
  assert.equal(pages({}, CHANGEABLE | 0x0a), `8a0a040008${"00".repeat(7)}`);
  assert.equal(pages({}, CHANGEABLE | 0x01), ERROR_RECOVERY);
  assert.equal(pages({}, CHANGEABLE | 0x1c, 2), `dc020014${"00".repeat(12)}80000000ffffffff`);
  assert.equal(pages({}, CHANGEABLE | 0x0a, 1), `ca01001c${"00".repeat(28)}`);
});

test("pages and subpages that are not there are refused", () => {
  const bench = new Bench();
  const thick = new Bench({ thin: false });
  assertInvalidFieldInCdb(modeSense6(thick, 0x01), "2.5");
  assertInvalidFieldInCdb(modeSense6(thick, 0x1c, DBD, 2), "3");
  for (const page of [0x00, 0x02, 0x07, 0x09, 0x19, 0x3e]) {
    assertInvalidFieldInCdb(modeSense6(bench, page), "2.5");
    assertInvalidFieldInCdb(modeSense10(bench, page, DBD, 0xff), "2.5");
  }
  assertInvalidFieldInCdb(modeSense6(bench, 0x0a, DBD, 2), "3");
  assertInvalidFieldInCdb(modeSense10(bench, 0x08, DBD, 1), "3");
  for (const subpage of [1, 2, 0xfe]) assertInvalidFieldInCdb(modeSense10(bench, 0x3f, DBD, subpage), "3");
});

test("the header tells write protection", () => {
  assert.equal(hex(modeSense6(new Bench(), 0x08, DBD, 0, { readOnly: true }).data.subarray(0, 4)), "17009000");
});

test("the short block descriptor", () => {
  const at = (options: BenchOptions) => hex(modeSense6(new Bench(options), 0x0a, 0).data.subarray(0, 12));
  assert.equal(at({ blocks: 4096 }), "17001008" + "0000100000000200");
  assert.equal(at({ blocks: 256, blockLengthBytes: 4096 }), "17001008" + "0000010000001000");
  assert.equal(at({ blocks: 2 ** 32 - 1 }), "17001008" + "ffffffff00000200");
  assert.equal(at({ blocks: 2 ** 40 }), "17001008" + "ffffffff00000200");
  const ten = modeSense10(new Bench(), 0x0a, 0).data;
  assert.equal(hex(ten.subarray(0, 16)), "001a001000000008" + "0000100000000200");
});

test("the long block descriptor, if LLBAA allows it", () => {
  const ten = modeSense10(new Bench({ blocks: 2 ** 40 }), 0x0a, LLBAA).data;
  assert.equal(hex(ten), `0022001001000010${"000001000000000000000000" + "00000200"}${CONTROL}`);
  const none = modeSense10(new Bench(), 0x0a, LLBAA | DBD).data;
  assert.equal(hex(none), `0012001000000000${CONTROL}`);
});

test("every allocation length is legal, and the data length does not depend on it", () => {
  const bench = new Bench();
  const whole = hex(modeSense6(bench, 0x3f, 0).data);
  assert.equal(whole.slice(0, 2), "6b");
  for (const length of [0, 1, 4, 5, 12, 95, 96, 107, 108, 109, 255]) {
    assert.equal(hex(modeSense6(bench, 0x3f, 0, 0, {}, length).data), whole.slice(0, 2 * length));
  }
  const ten = hex(modeSense10(bench, 0x3f, 0).data);
  for (const length of [0, 1, 8, 9, 255, 256]) {
    assert.equal(hex(modeSense10(bench, 0x3f, 0, 0, length).data), ten.slice(0, 2 * length));
  }
});

test("a medium that is out has no blocks; one that is only not ready has", () => {
  for (const [notReady, blocks] of [
    [{ asc: 0x3a, ascq: 0, progress: -1 }, "00000000"],
    [{ asc: 0x04, ascq: 2, progress: -1 }, "00001000"],
  ] as const) {
    const bench = new Bench({ notReady, blocks: 4096 });
    assert.equal(hex(modeSense6(bench, 0x08, 0).data.subarray(4, 12)), `${blocks}00000200`);
    assert.equal(hex(modeSense10(bench, 0x08, LLBAA).data.subarray(8, 24)), `00000000${blocks}0000000000000200`);
  }
});
