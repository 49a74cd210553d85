import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_LOGIN_RESPONSE } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_CONTINUE,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_LOGIN_STATUS,
  INVALID_STAGE,
  INVALID_TOTAL_AHS_LENGTH,
  INVALID_TSIH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import {
  describeLoginStatus,
  LOGIN_STATUS_NOT_FOUND,
  LoginResponsePdu,
} from "../../../../dataplane/wire/login-response.js";
import { bits, flag, golden, ITT, LENGTHS, NUMBERS, testPdu, u8, u16, u48 } from "./twin.js";

testPdu({
  name: "Login Response (11.13)",
  create: (view, offset) => new LoginResponsePdu(view, offset),
  opcode: OPCODE_LOGIN_RESPONSE,
  diagram: {
    transit: flag(1, 0),
    continue: flag(1, 1),
    csg: bits(1, 4, 2),
    nsg: bits(1, 6, 2),
    versionMax: u8(2),
    versionActive: u8(3),
    ...LENGTHS,
    isid: u48(8),
    tsih: u16(14),
    ...ITT,
    ...NUMBERS,
    status: u16(36),
  },
  cleared: {},
  valid: { initiatorTaskTag: 0, transit: true, csg: 1, nsg: 3, tsih: 1 },
  invalid: [
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ status: 0x0400 }, INVALID_LOGIN_STATUS],
    [{ status: 0xff00 }, INVALID_LOGIN_STATUS],
    [{ continue: true }, INVALID_CONTINUE],
    [{ csg: 2 }, INVALID_STAGE],
    [{ csg: 1, nsg: 1 }, INVALID_STAGE],
    [{ tsih: 0 }, INVALID_TSIH],
  ],
  stillValid: [
    { csg: 0, nsg: 1, tsih: 0 },
    { transit: false, tsih: 0 },
    // In a reject T, CSG, NSG are reserved (6.3.1), and an unknown detail is the class's affair (11.13.5).
    { status: 0x0203, csg: 2, continue: true, tsih: 0 },
    { status: 0x03ff },
  ],
});

test("Login Response: reject, golden bytes", () => {
  const response = new LoginResponsePdu(
    golden(`
      23 00 00 00  00 000000  4000 0137 0001 0000  00000000
      00000000  00000000  00000000  00000000
      02 03 0000  0000000000000000                          # not found
    `),
  );
  assert.equal(response.invalid(), VALID);
  assert.equal(response.status, LOGIN_STATUS_NOT_FOUND);
  assert.equal(response.statusClass, 2);
  assert.equal(response.statusDetail, 3);
  assert.equal(
    response.describe(),
    "Login Response itt=0x00000000 status=0203 not found csg=0 version=0/0 isid=0x400001370001 tsih=0" +
      " statSN=0 expCmdSN=0 maxCmdSN=0",
  );
});

test("Login Response: every allocated status has a name", () => {
  // The table of section 11.13.5.
  const allocated = [0, 0x101, 0x102, 0x300, 0x301, 0x302];
  for (let status = 0x200; status <= 0x20b; status++) allocated.push(status);
  for (let status = 0; status <= 0xffff; status++) {
    assert.equal(
      describeLoginStatus(status).endsWith(" unknown status"),
      !allocated.includes(status),
      status.toString(16),
    );
  }
  assert.equal(new Set(allocated.map(describeLoginStatus)).size, 18);
});
