import assert from "node:assert/strict";
import { test } from "node:test";
import { goesOn, NAMES, startTarget, TO_FULL_FEATURE, UNNAMED_DISCOVERY } from "./fixture.js";

const target = startTarget();

async function answers(
  names: Readonly<Record<string, string>>,
  offers: Readonly<Record<string, string>>,
): Promise<Record<string, string | undefined>> {
  const { keys } = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys: { ...names, ...offers } });
  return Object.fromEntries(Object.keys(offers).map((key) => [key, keys.get(key)]));
}

test("RFC 7143 13: what concerns SCSI is irrelevant in a Discovery session", async () => {
  const offers = {
    MaxConnections: "4",
    InitialR2T: "No",
    ImmediateData: "Yes",
    MaxBurstLength: "65536",
    FirstBurstLength: "65536",
    MaxOutstandingR2T: "4",
    DataPDUInOrder: "Yes",
    DataSequenceInOrder: "Yes",
    TaskReporting: "RFC3720,ResponseFence",
    iSCSIProtocolLevel: "1",
  };
  for (const names of [UNNAMED_DISCOVERY, { ...NAMES, ...UNNAMED_DISCOVERY }]) {
    for (const [key, answer] of Object.entries(await answers(names, offers))) assert.equal(answer, "Irrelevant", key);
  }
});

test("RFC 7143 7.4.1, 13: what concerns connections is negotiated there too, and ErrorRecoveryLevel is 0", async () => {
  const offers = {
    HeaderDigest: "CRC32C,None",
    DefaultTime2Wait: "3",
    DefaultTime2Retain: "0",
    ErrorRecoveryLevel: "2",
  };
  assert.deepEqual(await answers(UNNAMED_DISCOVERY, offers), {
    HeaderDigest: "CRC32C",
    DefaultTime2Wait: "3",
    DefaultTime2Retain: "0",
    ErrorRecoveryLevel: "0",
  });
});

test("RFC 7143 13.14: FirstBurstLength is irrelevant without unsolicited data", async () => {
  const offers = { FirstBurstLength: "65536", InitialR2T: "Yes", ImmediateData: "No" };
  assert.deepEqual(await answers(NAMES, offers), { ...offers, FirstBurstLength: "Irrelevant" });
  const relevant = { ...offers, ImmediateData: "Yes" };
  assert.deepEqual(await answers(NAMES, relevant), relevant);
});
