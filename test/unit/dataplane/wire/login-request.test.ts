import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_LOGIN_REQUEST } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_CONTINUE,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_ISID,
  INVALID_STAGE,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { ISID_FORMAT_EN, isidB, isidC, isidFormat } from "../../../../dataplane/wire/isid.js";
import { LoginRequestPdu } from "../../../../dataplane/wire/login-request.js";
import {
  STAGE_FULL_FEATURE_PHASE,
  STAGE_LOGIN_OPERATIONAL_NEGOTIATION,
  STAGE_SECURITY_NEGOTIATION,
} from "../../../../dataplane/wire/login-stage.js";
import { decodeText } from "../../../../dataplane/wire/text-keys.js";
import { bits, flag, golden, ITT, LENGTHS, testPdu, u8, u16, u32, u48 } from "./twin.js";

testPdu({
  name: "Login Request (11.12)",
  create: (view, offset) => new LoginRequestPdu(view, offset),
  opcode: OPCODE_LOGIN_REQUEST,
  diagram: {
    immediate: flag(0, 1),
    transit: flag(1, 0),
    continue: flag(1, 1),
    csg: bits(1, 4, 2),
    nsg: bits(1, 6, 2),
    versionMax: u8(2),
    versionMin: u8(3),
    ...LENGTHS,
    isid: u48(8),
    tsih: u16(14),
    ...ITT,
    cid: u16(20),
    cmdSN: u32(24),
    expStatSN: u32(28),
  },
  cleared: { immediate: true },
  valid: { initiatorTaskTag: 0, transit: true, csg: 0, nsg: 1 },
  invalid: [
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ continue: true }, INVALID_CONTINUE],
    [{ csg: 2, nsg: 3 }, INVALID_STAGE],
    [{ csg: 3, nsg: 3 }, INVALID_STAGE],
    [{ transit: false, csg: 2 }, INVALID_STAGE],
    [{ csg: 0, nsg: 0 }, INVALID_STAGE],
    [{ csg: 0, nsg: 2 }, INVALID_STAGE],
    [{ csg: 1, nsg: 1 }, INVALID_STAGE],
    [{ csg: 1, nsg: 0 }, INVALID_STAGE],
    [{ csg: 1, nsg: 2 }, INVALID_STAGE],
    [{ isid: 0xc000_0000_0000 }, INVALID_ISID],
  ],
  stillValid: [
    { immediate: false },
    { csg: 0, nsg: 3 },
    { csg: 1, nsg: 3 },
    // NSG is reserved without T (11.12.3).
    { transit: false, csg: 1, nsg: 2 },
    { transit: false, continue: true, nsg: 0 },
    { isid: 0xbfff_ffff_ffff },
    { versionMin: 1, versionMax: 1 },
  ],
});

test("Login Request: first one of a discovery session, golden bytes", () => {
  const view = golden(`
    43 81 00 00  00 00003c  4000 0137 0001 0000  00000000  # I; T, Security to Operational; EN 311, qualifier 1; new session
    0001 0000  00000001  00000000                          # CID 1, CmdSN 1
    00000000000000000000000000000000
    496e69746961746f724e616d653d69716e2e323032362d31312e746573743a6100  # InitiatorName=iqn.2026-11.test:a
    53657373696f6e547970653d446973636f7665727900                        # SessionType=Discovery
    417574684d65                                                        # what comes next in the buffer
  `);
  const request = new LoginRequestPdu(view);
  assert.equal(request.invalid(), VALID);
  assert.equal(request.csg, STAGE_SECURITY_NEGOTIATION);
  assert.equal(request.nsg, STAGE_LOGIN_OPERATIONAL_NEGOTIATION);
  assert.equal(isidFormat(request.isid), ISID_FORMAT_EN);
  assert.equal(isidB(request.isid) * 256 + isidC(request.isid), 311);
  assert.equal(
    request.describe(),
    "Login Request I F itt=0x00000000 dataSegmentLength=60 csg=0 nsg=1 version=0-0 isid=0x400001370001 tsih=0 cid=1" +
      " cmdSN=1 expStatSN=0",
  );
  const keys = new Uint8Array(view.buffer, view.byteOffset + 48, 55);
  assert.deepEqual(decodeText(keys), {
    reason: 0,
    pairs: [
      { key: "InitiatorName", value: "iqn.2026-11.test:a" },
      { key: "SessionType", value: "Discovery" },
    ],
  });
});

test("Login Request: the last stage, in any order of setting", () => {
  const request = new LoginRequestPdu(new DataView(new ArrayBuffer(48))).clear();
  request.nsg = STAGE_FULL_FEATURE_PHASE;
  request.csg = STAGE_LOGIN_OPERATIONAL_NEGOTIATION;
  request.transit = true;
  assert.equal(request.flags, 0x87);
  assert.equal(request.invalid(), VALID);
  request.transit = false;
  assert.doesNotMatch(request.describe(), /nsg/);
});
