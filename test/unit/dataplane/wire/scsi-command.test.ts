import assert from "node:assert/strict";
import { test } from "node:test";
import { BHS_LENGTH, OPCODE_SCSI_COMMAND, paddedLength } from "../../../../dataplane/wire/bhs.js";
import {
  describeInvalid,
  INVALID_AHS_LENGTH,
  INVALID_AHS_OVERRUN,
  INVALID_AHS_TYPE,
  INVALID_BIDIRECTIONAL_AHS_MISSING,
  INVALID_DIRECTION,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TASK_ATTRIBUTES,
  INVALID_UNSOLICITED_WITHOUT_WRITE,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import {
  FLAG_READ,
  FLAG_WRITE,
  ScsiCommandPdu,
  TASK_ATTRIBUTE_SIMPLE,
} from "../../../../dataplane/wire/scsi-command.js";
import fc from "../../../support/fast-check.js";
import { bits, flag, golden, hexOf, ITT, LENGTHS, LUN, testPdu, u32 } from "./twin.js";

testPdu({
  name: "SCSI Command (11.3)",
  create: (view, offset) => new ScsiCommandPdu(view, offset),
  opcode: OPCODE_SCSI_COMMAND,
  diagram: {
    immediate: flag(0, 1),
    final: flag(1, 0),
    read: flag(1, 1),
    write: flag(1, 2),
    taskAttributes: bits(1, 5, 3),
    priority: bits(2, 0, 4),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    expectedDataTransferLength: u32(20),
    cmdSN: u32(24),
    expStatSN: u32(28),
  },
  cleared: {},
  valid: { final: true, read: true, taskAttributes: 1, initiatorTaskTag: 7, expectedDataTransferLength: 512 },
  invalid: [
    [{ final: false }, INVALID_UNSOLICITED_WITHOUT_WRITE],
    [{ taskAttributes: 5 }, INVALID_TASK_ATTRIBUTES],
    [{ taskAttributes: 7 }, INVALID_TASK_ATTRIBUTES],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ read: false }, INVALID_DIRECTION],
    [{ write: true }, INVALID_BIDIRECTIONAL_AHS_MISSING],
    // 24 bytes follow the header in the buffer: a claim of 28 is an overrun of it.
    [{ totalAHSLength: 7 }, INVALID_AHS_OVERRUN],
    [{ totalAHSLength: 255 }, INVALID_AHS_OVERRUN],
  ],
  stillValid: [
    { priority: 15 },
    { final: false, read: false, write: true },
    { read: false, expectedDataTransferLength: 0 },
    { expectedDataTransferLength: 0 },
    { expectedDataTransferLength: 0xffffffff },
    { taskAttributes: 0 },
    { taskAttributes: 4 },
    { immediate: true },
    { dataSegmentLength: 0xffffff },
  ],
});

const READ_10 = `
  01 c1 0000  00 000000  0001 000000000000  0000002a   # F R, simple; LUN 1; task 42
  00001000  00000005  fffffffe                         # 4096 bytes, CmdSN 5, ExpStatSN 2^32-2
  28 00 00001234 00 0008 00  000000000000              # READ(10) of 8 blocks at 1234h
`;

test("SCSI Command: READ(10), golden bytes", () => {
  const view = golden(READ_10);
  const command = new ScsiCommandPdu(view);
  assert.equal(command.invalid(), VALID);
  assert.equal(command.final && command.read && !command.write && !command.immediate, true);
  assert.equal(command.taskAttributes, TASK_ATTRIBUTE_SIMPLE);
  assert.equal(command.lun, 1);
  assert.equal(command.expectedDataTransferLength, 4096);
  assert.equal(command.expStatSN, 0xfffffffe);
  assert.equal(command.cdbOffset, 32);
  assert.equal(command.cdbLength, 16);
  assert.equal(command.extendedCdbOffset, 0);
  assert.equal(view.getUint32(command.cdbOffset + 2), 0x1234);
  assert.equal(
    command.describe(),
    "SCSI Command F itt=0x0000002a R attr=1 lun=1 edtl=4096 cmdSN=5 expStatSN=4294967294" +
      " cdb=28000000123400000800000000000000",
  );

  const written = new ScsiCommandPdu(golden("a5".repeat(BHS_LENGTH))).clear();
  written.final = true;
  written.read = true;
  written.taskAttributes = TASK_ATTRIBUTE_SIMPLE;
  written.lun = 1;
  written.initiatorTaskTag = 42;
  written.expectedDataTransferLength = 4096;
  written.cmdSN = 5;
  written.expStatSN = 0xfffffffe;
  written.view.setUint8(written.cdbOffset, 0x28);
  written.view.setUint32(written.cdbOffset + 2, 0x1234);
  written.view.setUint16(written.cdbOffset + 7, 8);
  assert.equal(hexOf(written.view), hexOf(view));
});

/** A legal bidirectional command of 32 CDB bytes, but for what follows the BHS. */
function withAhs(words: number, ahs: string, flags = 0xe1): ScsiCommandPdu {
  const command = new ScsiCommandPdu(golden("00".repeat(BHS_LENGTH) + ahs)).clear();
  command.flags = flags;
  command.totalAHSLength = words;
  return command;
}

const EXTENDED_CDB_32 = `0011 01 00  ${"cc".repeat(16)}`; // 32 - 15 = 17
const BIDIRECTIONAL_READ = "0005 02 00  00010000";

test("SCSI Command: additional header segments, golden bytes", () => {
  const either = [
    withAhs(7, `${EXTENDED_CDB_32} ${BIDIRECTIONAL_READ}`),
    withAhs(7, `${BIDIRECTIONAL_READ} ${EXTENDED_CDB_32}`),
  ];
  for (const command of either) {
    assert.equal(describeInvalid(command.invalid()), "valid");
    assert.equal(command.headerLength, 48 + 28);
    assert.equal(command.cdbLength, 32);
    assert.equal(command.bidirectionalReadExpectedDataTransferLength, 0x10000);
    assert.match(command.describe(), / totalAHSLength=7 .* bidirectionalReadEdtl=65536 .* cdbLength=32$/);
  }
  assert.equal(either[0]!.extendedCdbOffset, 52);
  assert.equal(either[1]!.extendedCdbOffset, 60);
});

test("SCSI Command: AHSType ignores its two reserved bits", () => {
  const command = withAhs(7, `0011 c1 00 ${"cc".repeat(16)} 0005 82 00 00010000`);
  assert.equal(describeInvalid(command.invalid()), "valid");
  assert.equal(command.cdbLength, 32);
});

const AHS_FAULTS: readonly (readonly [string, ScsiCommandPdu, number])[] = [
  ["reserved type 0", withAhs(1, "0001 00 00", 0xc1), INVALID_AHS_TYPE],
  ["reserved type 3", withAhs(1, "0001 03 00", 0xc1), INVALID_AHS_TYPE],
  ["a word too many", withAhs(3, `${BIDIRECTIONAL_READ} 00000000`), INVALID_AHS_TYPE],
  ["extended CDB of 15 bytes", withAhs(1, "0000 01 00", 0xc1), INVALID_AHS_LENGTH],
  ["extended CDB of 16 bytes", withAhs(1, "0001 01 00", 0xc1), INVALID_AHS_LENGTH],
  ["extended CDB one word past TotalAHSLength", withAhs(4, EXTENDED_CDB_32, 0xc1), INVALID_AHS_OVERRUN],
  ["longest AHSLength", withAhs(2, "ffff 01 00 00000000", 0xc1), INVALID_AHS_OVERRUN],
  ["bidirectional length of 4", withAhs(2, "0004 02 00 00010000"), INVALID_AHS_LENGTH],
  ["bidirectional length of 6", withAhs(3, "0006 02 00 00010000 00000000"), INVALID_AHS_LENGTH],
  ["bidirectional length cut short", withAhs(1, "0005 02 00 00010000"), INVALID_AHS_OVERRUN],
  ["R and W with another AHS", withAhs(5, EXTENDED_CDB_32), INVALID_BIDIRECTIONAL_AHS_MISSING],
  ["bidirectional length without R and W", withAhs(2, BIDIRECTIONAL_READ, 0x81), INVALID_DIRECTION],
  ["buffer ends before TotalAHSLength", withAhs(3, BIDIRECTIONAL_READ), INVALID_AHS_OVERRUN],
];

for (const [name, command, reason] of AHS_FAULTS) {
  test(`SCSI Command: additional header segments: ${name}`, () => {
    assert.equal(describeInvalid(command.invalid()), describeInvalid(reason));
  });
}

test("SCSI Command: a bidirectional length of 0 needs neither R nor W", () => {
  assert.equal(describeInvalid(withAhs(2, "0005 02 00 00000000", 0x81).invalid()), "valid");
});

test("SCSI Command: a cut-off bidirectional length reads as 0, not as what follows", () => {
  assert.equal(withAhs(1, "0005 02 00 00010000").bidirectionalReadExpectedDataTransferLength, 0);
});

test("SCSI Command: appended segments read back, and bring no former bytes along", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 17, max: 260 }),
      fc.integer({ min: 0, max: 0xffffffff }),
      fc.boolean(),
      (cdbLength, readLength, cdbFirst) => {
        const bytes = Buffer.alloc(BHS_LENGTH + 4 * 255, 0xa5);
        const command = new ScsiCommandPdu(new DataView(bytes.buffer, bytes.byteOffset, bytes.length)).clear();
        command.flags = 0x80 | FLAG_READ | FLAG_WRITE;
        let spillover = 0;
        if (cdbFirst) spillover = command.appendExtendedCdb(cdbLength);
        command.appendBidirectionalReadExpectedDataTransferLength(readLength);
        if (!cdbFirst) spillover = command.appendExtendedCdb(cdbLength);

        assert.equal(describeInvalid(command.invalid()), "valid");
        assert.equal(command.cdbLength, cdbLength);
        assert.equal(command.extendedCdbOffset, spillover);
        assert.equal(command.bidirectionalReadExpectedDataTransferLength, readLength);
        assert.equal(command.headerLength, BHS_LENGTH + 8 + 4 + paddedLength(cdbLength - 16));
        const end = spillover + paddedLength(cdbLength - 16);
        assert.ok(bytes.subarray(spillover, end).every((byte) => byte === 0));
        assert.ok(bytes.subarray(command.headerLength).every((byte) => byte === 0xa5));
      },
    ),
  );
});

test("SCSI Command: refuses to append what the format cannot say", () => {
  const command = new ScsiCommandPdu(new DataView(new ArrayBuffer(4096))).clear();
  assert.throws(() => command.appendExtendedCdb(16), RangeError);
  assert.throws(() => command.appendExtendedCdb(16 + 4 * 255), RangeError);
  assert.equal(command.totalAHSLength, 0);
  command.appendExtendedCdb(16 + 4 * 254);
  assert.equal(command.totalAHSLength, 255);
});

test("SCSI Command: walks over any segments end, wherever the buffer does", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 64 }), fc.integer({ min: 1, max: 255 }), (ahs, words) => {
      const command = withAhs(words, Buffer.from(ahs).toString("hex"));
      assert.doesNotMatch(describeInvalid(command.invalid()), /unknown/);
      command.describe();
    }),
    { numRuns: 500 },
  );
});
