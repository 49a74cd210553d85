import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_REJECT, Pdu } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_REASON,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { describeRejectReason, REJECT_REASON_PROTOCOL_ERROR, RejectPdu } from "../../../../dataplane/wire/reject.js";
import { flag, golden, ITT, LENGTHS, NUMBERS, testPdu, u8, u32 } from "./twin.js";

testPdu({
  name: "Reject (11.17)",
  create: (view, offset) => new RejectPdu(view, offset),
  opcode: OPCODE_REJECT,
  diagram: { final: flag(1, 0), reason: u8(2), ...LENGTHS, ...ITT, ...NUMBERS, dataSN: u32(36) },
  cleared: { final: true, initiatorTaskTag: 0xffffffff },
  valid: { reason: 4, dataSegmentLength: 48 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0 }, INVALID_INITIATOR_TASK_TAG],
    [{ reason: 0 }, INVALID_REASON],
    [{ reason: 1 }, INVALID_REASON],
    [{ reason: 13 }, INVALID_REASON],
    [{ dataSegmentLength: 47 }, INVALID_DATA_SEGMENT_LENGTH],
  ],
  stillValid: [{ reason: 2 }, { reason: 0x0b }, { reason: 0x0c }, { dataSegmentLength: 52 }],
});

test("Reject: of a SNACK, golden bytes", () => {
  const view = golden(`
    3f 80 04 00  00 000030  0000000000000000  ffffffff   # protocol error; 48 bytes
    00000000  00000007  00000006  00000025
    00000003  0000000000000000                           # DataSN 3 comes next
    10 80 0000  00 000000  0000000000000000  0000002a    # the header in error
    ffffffff  00000000  00000007  0000000000000000  00000009  00000001
  `);
  const reject = new RejectPdu(view);
  assert.equal(reject.invalid(), VALID);
  assert.equal(reject.reason, REJECT_REASON_PROTOCOL_ERROR);
  assert.equal(reject.dataSN, 3);
  assert.equal(
    reject.describe(),
    "Reject F itt=0xffffffff dataSegmentLength=48 reason=protocol error dataSN=3 statSN=7 expCmdSN=6 maxCmdSN=37",
  );
  assert.equal(new Pdu(view, 48).describe(), "SNACK Request F itt=0x0000002a");
});

test("Reject: every assigned reason has a text of its own", () => {
  const texts = new Set<string>();
  for (let reason = 0; reason <= 0xff; reason++) {
    const text = describeRejectReason(reason);
    assert.equal(/^reason 0x/.test(text), reason < 2 || reason > 0x0c, text);
    texts.add(text);
  }
  assert.equal(texts.size, 256);
});
