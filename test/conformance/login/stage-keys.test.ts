import { test } from "node:test";
import { STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import { goesOn, NAMES, refused, STATUS_INITIATOR_ERROR, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();

async function isRefused(stage: number, key: string, value: string): Promise<void> {
  const keys = { ...NAMES, [key]: value };
  await refused(await target.connect(), { stage, keys }, STATUS_INITIATOR_ERROR, key);
}

test("RFC 7143 6.3, 12: operational keys in SecurityNegotiation: 0200h", async () => {
  for (const [key, value] of [
    ["HeaderDigest", "None"],
    ["MaxConnections", "1"],
    ["InitialR2T", "Yes"],
    ["MaxRecvDataSegmentLength", "8192"],
    ["ErrorRecoveryLevel", "0"],
    ["TaskReporting", "RFC3720"],
    ["iSCSIProtocolLevel", "1"],
    ["OFMarker", "No"],
  ] as const) {
    await isRefused(STAGE_SECURITY, key, value);
  }
});

test("RFC 7143 6.3, 12: security keys in LoginOperationalNegotiation: 0200h", async () => {
  for (const key of ["AuthMethod", "CHAP_A", "CHAP_N", "SRP_U", "KRB_AP_REQ"]) {
    await isRefused(STAGE_OPERATIONAL, key, "None");
  }
});

test("RFC 7143 13.3: SendTargets, a key of the Full Feature Phase only, during login: 0200h", async () => {
  await isRefused(STAGE_OPERATIONAL, "SendTargets", "All");
  await isRefused(STAGE_SECURITY, "SendTargets", "All");
});

test("RFC 7143 13.6, 13.8, 13.9: keys that only a target sends: 0200h", async () => {
  for (const key of ["TargetAlias", "TargetAddress", "TargetPortalGroupTag"]) {
    await isRefused(STAGE_OPERATIONAL, key, "1");
  }
});

test("RFC 7143 13: keys of any stage in either", async () => {
  const keys = { ...NAMES, SessionType: "Normal", InitiatorAlias: "A host", "X#NodeArchitecture": "Test/1" };
  const security = await target.connect();
  await goesOn(security, { stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL, keys });
  await goesOn(security, TO_FULL_FEATURE);
  await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys });
});
