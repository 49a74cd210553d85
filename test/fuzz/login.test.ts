/**
 * Hostile initiators before and in the Login Phase, and in discovery and text after it, against the program itself. What is
 * found is shrunk and printed with its seed; it goes into test/conformance/login.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertSettles, HTTP, takeCensus } from "../conformance/login/census.js";
import { configOf, NAMES, startTarget, UNNAMED_DISCOVERY } from "../conformance/login/fixture.js";
import fc from "../support/fast-check.js";
import {
  buildHeader,
  decodeKeys,
  encodeKeys,
  FLAG_CONTINUE,
  FLAG_TRANSIT,
  OPCODE_LOGIN_REQUEST,
  OPCODE_LOGIN_RESPONSE,
  OPCODE_TEXT_REQUEST,
  type ReceivedPdu,
  TAG_NONE,
} from "../support/pdu.js";
import { TARGET_NAME } from "../support/target.js";

const RUNS = 150;
const CONNECTIONS = 4;

const CHAP_TARGET = "iqn.2026-11.io.ringlun:chap";
const target = startTarget((places) =>
  configOf({
    targets: `- name: ${CHAP_TARGET}
  portalGroups: [1]
  auth: { chap: [{ user: alice, secret: "alice's very own secret" }] }
  luns: { 0: disk }`,
    top: HTTP(places.httpPort),
  })(places),
);

const key = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.constantFrom(
      ...["InitiatorName", "TargetName", "SessionType", "AuthMethod", "CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"],
      ...["HeaderDigest", "DataDigest", "MaxConnections", "InitialR2T", "ImmediateData", "MaxBurstLength"],
      ...["FirstBurstLength", "MaxRecvDataSegmentLength", "ErrorRecoveryLevel", "DefaultTime2Wait", "OFMarkInt"],
      ...["SendTargets", "InitiatorAlias", "TargetAlias", "TaskReporting", "X-com.example.key"],
    ),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 70 }) },
);
const value = fc.oneof(
  fc.constantFrom("Yes", "No", "None", "CHAP", "CHAP,None", "CRC32C,None", "Normal", "Discovery", "All", "", "Reject"),
  fc.constantFrom(TARGET_NAME, CHAP_TARGET, NAMES.InitiatorName, "alice", "5", "8,7,6,5"),
  fc.nat({ max: 0x1000000 }).map(String),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => `0x${Buffer.from(bytes).toString("hex")}`),
  fc.string({ maxLength: 300 }),
);
const pairs = fc.array(fc.tuple(key, value), { maxLength: 6 });

/** Mostly what a login begins with. */
const opening = fc.constantFrom(
  NAMES,
  { ...NAMES, TargetName: CHAP_TARGET, AuthMethod: "CHAP" },
  UNNAMED_DISCOVERY,
  { ...NAMES, SessionType: "Discovery" },
  {},
);

const small = fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 0xffff }) });
const flags = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0x00, 0x04, 0x81, 0x83, 0x87) },
  { weight: 1, arbitrary: fc.nat({ max: 255 }) },
);

function framed(header: Buffer, data: Buffer): Buffer {
  header.writeUIntBE(data.length, 5, 3);
  return Buffer.concat([header, data, Buffer.alloc(-data.length & 3)]);
}

const login = fc
  .record({
    flags,
    tsih: small,
    cid: small,
    versionMax: small,
    initiatorTaskTag: small,
    opening,
    pairs,
    cut: fc.nat(3),
  })
  .map(({ opening: names, pairs: more, cut, versionMax, ...fields }) => {
    const header = { ...fields, opcode: OPCODE_LOGIN_REQUEST, immediate: true, versionMax: versionMax & 0xff };
    const text = encodeKeys([...Object.entries(names), ...more]);
    return framed(buildHeader(header), text.subarray(0, Math.max(0, text.length - (cut === 3 ? cut : 0))));
  });
const text = fc.record({ pairs, flags, cmdSN: small }).map(({ pairs: some, ...fields }) => {
  const header = { ...fields, opcode: OPCODE_TEXT_REQUEST, immediate: true, targetTransferTag: TAG_NONE };
  return framed(buildHeader(header), encodeKeys(some));
});
const noise = fc.uint8Array({ minLength: 1, maxLength: 120 }).map((bytes) => Buffer.from(bytes));
const step = fc.oneof({ weight: 6, arbitrary: login }, { weight: 3, arbitrary: text }, { weight: 1, arbitrary: noise });
/** What one connection sends, and whether it waits for an answer to each piece of it. */
const conversation = fc.record({ steps: fc.array(step, { minLength: 1, maxLength: 6 }), waits: fc.boolean() });

/** What holds for every Login Response, whatever it answers. */
function checkLoginResponse(pdu: ReceivedPdu): void {
  const isRefusal = pdu.field("statusClass") !== 0;
  assert.ok(pdu.field("statusClass") <= 3);
  assert.equal(pdu.field("versionActive"), 0);
  if (isRefusal) assert.equal(pdu.flags, 0);
  else assert.notEqual(pdu.flags & (FLAG_TRANSIT | FLAG_CONTINUE), FLAG_TRANSIT | FLAG_CONTINUE);
  assert.ok(pdu.data.length <= 8192);
  assert.ok(pdu.data.length === 0 || pdu.flags & FLAG_CONTINUE || pdu.data.at(-1) === 0);
  assert.deepEqual(pdu.bhs.subarray(38), Buffer.alloc(10));
  for (const name of decodeKeys(pdu.data).keys()) assert.match(name, /^[A-Za-z0-9.+@_#-]{1,63}$/);
}

async function converse({ steps, waits }: { steps: readonly Buffer[]; waits: boolean }): Promise<void> {
  const initiator = await target.connect({ strict: false });
  const received: ReceivedPdu[] = [];
  // The target may close at any point.
  const gone = () => {};
  for (const bytes of steps) {
    await initiator.sendBytes(bytes).catch(gone);
    if (waits) await initiator.receive(50).then((pdu) => received.push(pdu), gone);
  }
  initiator.end();
  received.push(...(await initiator.receiveUntilClosed()));
  initiator.destroy();
  for (const pdu of received) if (pdu.opcode === OPCODE_LOGIN_RESPONSE) checkLoginResponse(pdu);
}

test("whatever comes before, in and after a login: the target answers soundly, closes, and forgets", async () => {
  const before = await takeCensus(target.running);
  const property = fc.asyncProperty(
    fc.array(conversation, { minLength: 1, maxLength: CONNECTIONS }),
    async (conversations) => {
      await Promise.all(conversations.map(converse));
    },
  );
  await fc.assert(property, { numRuns: RUNS });
  await assertSettles(target.running, before);
  const honest = await target.connect();
  await honest.login({ targetName: TARGET_NAME });
  await honest.ping();
});
