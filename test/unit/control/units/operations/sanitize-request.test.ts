/** SANITIZE's CDB and parameter list, byte by byte (SBC-4, SANITIZE command and OVERWRITE service action). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeSanitize } from "../../../../../control/units/operations/sanitize-request.js";
import type { ScsiAnswer } from "../../../../../dataplane/messages.js";
import fc from "../../../../support/fast-check.js";

const BLOCK = 512;

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

/** `flags`: byte 1. The list's length is told as it is, unless `length` says otherwise. */
function judge(flags: number, list = "", length = fromHex(list).length) {
  const cdb = Uint8Array.of(0x48, flags, 0, 0, 0, 0, 0, length >> 8, length & 0xff, 0);
  return judgeSanitize(cdb, fromHex(list), BLOCK);
}

/** The sense-key-specific bytes: C0h CDB, 80h list; 08h and the bit, if there is one; then the byte. */
function invalidField(isCdb: boolean, specific: number): ScsiAnswer {
  return { kind: "sense", senseKey: 5, asc: isCdb ? 0x24 : 0x26, ascq: 0, senseKeySpecific: specific };
}

const LENGTH_ERROR: ScsiAnswer = { kind: "sense", senseKey: 5, asc: 0x1a, ascq: 0 };

function assertRefused(request: ReturnType<typeof judge>, answer: ScsiAnswer): void {
  assert.deepEqual(request, { kind: "refused", answer });
}

test("BLOCK ERASE and CRYPTOGRAPHIC ERASE erase; IMMED and AUSE are told apart", () => {
  for (const action of [0x02, 0x03]) {
    const request = { kind: "work", work: { kind: "erase" } };
    assert.deepEqual(judge(action), { ...request, isImmediate: false, allowsExit: false });
    assert.deepEqual(judge(0x80 | action), { ...request, isImmediate: true, allowsExit: false });
    assert.deepEqual(judge(0x20 | action), { ...request, isImmediate: false, allowsExit: true });
  }
});

test("OVERWRITE takes a pattern of one byte up to a whole block", () => {
  const overwrite = (pattern: string, passes: number, invert: boolean) => ({
    kind: "work",
    work: { kind: "overwrite", pattern, passes, invert },
    isImmediate: true,
    allowsExit: true,
  });
  assert.deepEqual(judge(0xa1, "01 00 0001 5a"), overwrite("5a", 1, false));
  assert.deepEqual(judge(0xa1, "9f 00 0004 deadbeef"), overwrite("deadbeef", 31, true));
  assert.deepEqual(judge(0xa1, `03 00 0200 ${"aa".repeat(BLOCK)}`), overwrite("aa".repeat(BLOCK), 3, false));
  // What the list has beyond the pattern is nobody's.
  assert.deepEqual(judge(0xa1, "01 00 0001 5affff"), overwrite("5a", 1, false));
});

test("OVERWRITE: PARAMETER LIST LENGTH is more than 4 and less than a block and 5", () => {
  const list = `01 00 0200 ${"aa".repeat(BLOCK)}`;
  for (const length of [0, 1, 4, BLOCK + 5, 0xffff])
    assertRefused(judge(0x01, list, length), invalidField(true, 0xc0_0007));
});

test("OVERWRITE: TEST, OVERWRITE COUNT 0 and the reserved byte are pointed at", () => {
  assertRefused(judge(0x01, "21 00 0001 00"), invalidField(false, 0x8e_0000));
  assertRefused(judge(0x01, "41 00 0001 00"), invalidField(false, 0x8e_0000));
  assertRefused(judge(0x01, "00 00 0001 00"), invalidField(false, 0x8c_0000));
  assertRefused(judge(0x01, "80 00 0001 00"), invalidField(false, 0x8c_0000));
  assertRefused(judge(0x01, "01 01 0001 00"), invalidField(false, 0x80_0001));
});

test("OVERWRITE: INITIALIZATION PATTERN LENGTH is neither 0 nor more than a block", () => {
  const list = (length: string) => `01 00 ${length} ${"00".repeat(BLOCK)}`;
  for (const length of ["0000", "0201", "ffff"]) {
    assertRefused(judge(0x01, list(length)), invalidField(false, 0x80_0002));
  }
});

test("OVERWRITE: a list that is shorter than it or its CDB says is refused", () => {
  assertRefused(judge(0x01, "01 00 0008 00000000"), LENGTH_ERROR);
  assertRefused(judge(0x01, "01 00 0001 00", 9), LENGTH_ERROR);
  assertRefused(judge(0x01, "", 8), LENGTH_ERROR);
});

test("any list comes to a refusal or to work that the unit can do", () => {
  const property = fc.property(
    fc.uint8Array({ maxLength: 600 }),
    fc.integer({ min: 0, max: 0xffff }),
    (list, length) => {
      const cdb = Uint8Array.of(0x48, 0x01, 0, 0, 0, 0, 0, length >> 8, length & 0xff, 0);
      const request = judgeSanitize(cdb, list, BLOCK);
      if (request.kind === "refused") {
        assert.ok(request.answer.kind === "sense" && request.answer.senseKey === 5);
        return;
      }
      assert(request.work.kind === "overwrite");
      const { pattern, passes } = request.work;
      assert.ok(pattern.length >= 2 && pattern.length <= 2 * BLOCK && passes >= 1 && passes <= 31);
    },
  );
  fc.assert(property, { numRuns: 2000 });
});
