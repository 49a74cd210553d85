import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeLun,
  encodeLun,
  LUN_MAX,
  LUN_UNKNOWN,
  WELL_KNOWN_LUN_BASE,
  WELL_KNOWN_LUN_REPORT_LUNS,
} from "../../../../dataplane/wire/lun.js";
import fc from "../../../support/fast-check.js";

/** [first four bytes, LUN], the others 0 (SAM-5 section 4.7). */
const FIELDS: readonly (readonly [number, number])[] = [
  [0x00000000, 0],
  [0x00010000, 1],
  [0x00ff0000, 255],
  [0x40000000, 0],
  [0x40050000, 5],
  [0x41000000, 256],
  [0x7fff0000, 16383],
  [0xc1010000, WELL_KNOWN_LUN_REPORT_LUNS],
  [0xc1000000, WELL_KNOWN_LUN_BASE],
  [0xc1ff0000, 0xc1ff],
  // Peripheral addressing of another bus, logical unit addressing, extended flat space, other extended, not specified.
  [0x01000000, LUN_UNKNOWN],
  [0x3fff0000, LUN_UNKNOWN],
  [0x80000000, LUN_UNKNOWN],
  [0xbfff0000, LUN_UNKNOWN],
  [0xc0ff0000, LUN_UNKNOWN],
  [0xc2000000, LUN_UNKNOWN],
  [0xd2000100, LUN_UNKNOWN],
  [0xffffffff, LUN_UNKNOWN],
  // A second level.
  [0x00010001, LUN_UNKNOWN],
  [0x40010100, LUN_UNKNOWN],
  [0xc1010001, LUN_UNKNOWN],
];

test("LUN fields decode", () => {
  for (const [high, lun] of FIELDS) {
    assert.equal(decodeLun(high, 0), lun, high.toString(16));
    assert.equal(decodeLun(high, 1), LUN_UNKNOWN, "something in the last level");
    assert.equal(decodeLun(high, 0x80000000), LUN_UNKNOWN, "something in the third level");
  }
});

test("every LUN that can be said survives the round trip, as an unsigned number", () => {
  const every = [];
  for (let lun = 0; lun <= LUN_MAX; lun++) every.push(lun);
  for (let lun = WELL_KNOWN_LUN_BASE; lun <= 0xc1ff; lun++) every.push(lun);
  for (const lun of every) {
    const high = encodeLun(lun);
    assert.equal(high, high >>> 0);
    assert.equal(decodeLun(high, 0), lun);
  }
  assert.equal(encodeLun(255), 0x00ff0000);
  assert.equal(encodeLun(256), 0x41000000);
  assert.equal(encodeLun(WELL_KNOWN_LUN_REPORT_LUNS), 0xc1010000);
});

test("no other number encodes", () => {
  for (const lun of [-1, 16384, 0xc0ff, 0xc200, 0x10000, 0.5, Number.NaN]) {
    assert.throws(() => encodeLun(lun), RangeError, String(lun));
  }
});

test("whatever decodes, encodes", () => {
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(
      fc.oneof(
        u32,
        fc.integer({ min: 0, max: 0xffff }).map((address) => address * 65536),
      ),
      (high) => {
        const lun = decodeLun(high, 0);
        if (lun !== LUN_UNKNOWN) assert.equal(decodeLun(encodeLun(lun), 0), lun);
      },
    ),
    { numRuns: 1000 },
  );
});
