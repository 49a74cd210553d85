import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_LOGIN_REQUEST, TAG_NONE } from "../../support/pdu.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import { goesOn, NAMES, refused, STATUS_INITIATOR_ERROR, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();
const TAG = 0xfffffffe;

test("RFC 7143 11.13: a Login Response repeats ISID, Initiator Task Tag, and the TSIH of the request", async () => {
  const isid = Buffer.from("80a1b2c3d4e5", "hex");
  const initiator = await target.connect({ session: new SessionNumbers({ isid }) });
  const fields = { initiatorTaskTag: TAG };
  const first = await goesOn(initiator, { stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL, keys: NAMES, fields });
  assert.deepEqual(first.bhs.subarray(8, 14), isid);
  assert.deepEqual([first.initiatorTaskTag, first.field("tsih")], [TAG, 0]);
  const last = await goesOn(initiator, { ...TO_FULL_FEATURE, fields });
  assert.deepEqual([last.bhs.subarray(8, 14), last.initiatorTaskTag], [isid, TAG]);
});

test("RFC 7143 11.2.1.8: the reserved Initiator Task Tag names no login: 0200h", async () => {
  const fields = { initiatorTaskTag: TAG_NONE };
  await refused(await target.connect(), { ...TO_FULL_FEATURE, keys: NAMES, fields }, STATUS_INITIATOR_ERROR);
  const initiator = await target.connect();
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
  await refused(initiator, { ...TO_FULL_FEATURE, fields }, STATUS_INITIATOR_ERROR);
});

test("RFC 7143 11.13.3: the final response of a new session, and no other, has a TSIH; each session its own", async () => {
  const tsihs = new Set<number>();
  for (let session = 0; session < 5; session++) {
    const initiator = await target.connect();
    const partial = await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
    assert.equal(partial.field("tsih"), 0);
    tsihs.add((await goesOn(initiator, TO_FULL_FEATURE)).field("tsih"));
  }
  assert.equal(tsihs.size, 5);
  assert.ok(!tsihs.has(0));
});

test("RFC 7143 11.13.4: StatSN counts from the first Login Response into the Full Feature Phase, across ffffffffh", async () => {
  // The raw initiator checks each StatSN after the first.
  const initiator = await target.connect();
  initiator.expStatSN = 0xfffffffe;
  await goesOn(initiator, { stage: STAGE_SECURITY, keys: NAMES });
  await goesOn(initiator, { stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL });
  await goesOn(initiator, TO_FULL_FEATURE);
  await initiator.ping();
  await initiator.ping();
  assert.equal(initiator.expStatSN, 3);
});

test("RFC 7143 11.12.8: the CmdSN of a leading login is ExpCmdSN from then on, across ffffffffh", async () => {
  for (const cmdSN of [0, 1, 0xffffffff]) {
    const initiator = await target.connect({ session: new SessionNumbers({ cmdSN }) });
    for (const options of [{ stage: STAGE_OPERATIONAL, keys: NAMES }, TO_FULL_FEATURE]) {
      assert.equal((await goesOn(initiator, options)).expCmdSN, cmdSN);
    }
    const { response } = await initiator.command({ cdb: Buffer.alloc(6) });
    assert.equal(response, 0);
    assert.equal(initiator.expCmdSN, (cmdSN + 1) >>> 0);
  }
});

test("RFC 7143 11.12.8: of a leading login the first CmdSN counts, whatever the later requests carry", async () => {
  const initiator = await target.connect({ session: new SessionNumbers({ cmdSN: 123 }) });
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
  assert.equal((await goesOn(initiator, { ...TO_FULL_FEATURE, fields: { cmdSN: 500 } })).expCmdSN, 123);
  assert.equal((await initiator.command({ cdb: Buffer.alloc(6) })).response, 0);
});

test("RFC 7143 11.12.5: an ISID of any format names a session, that of the reserved one, too", async () => {
  for (const format of [0x00, 0x40, 0x80, 0xc0]) {
    const session = new SessionNumbers({ isid: Buffer.from([format | 0x3f, 0x12, 0x34, 0x56, 0x78, 0x9a]) });
    const initiator = await target.connect({ session });
    session.tsih = (await goesOn(initiator, { ...TO_FULL_FEATURE, keys: NAMES })).field("tsih");
    // Found again by it.
    const again = await target.connect({ session });
    assert.equal((await goesOn(again, { ...TO_FULL_FEATURE, keys: NAMES })).field("tsih"), session.tsih);
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
  }
});

test("RFC 7143 11, 11.12: what is reserved in a Login Request is ignored, and I need not be set", async () => {
  const initiator = await target.connect();
  const reserved = 0xffffffff;
  const fields = {
    opcodeByte: 0x80 | OPCODE_LOGIN_REQUEST,
    // Behind the CID.
    targetTransferTag: 0x0000ffff,
    ...{ refCmdSN: reserved, expDataSN: reserved, bufferOffset: reserved, runLength: reserved },
  };
  // Without T, NSG is reserved, too.
  const flags = 0x30 | (STAGE_OPERATIONAL << 2) | STAGE_SECURITY;
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES, fields: { ...fields, flags } });
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, fields: { ...fields, flags: flags | 2 } });
  await goesOn(initiator, { ...TO_FULL_FEATURE, fields: { ...fields, flags: 0x80 | flags | 3 } });
  await initiator.ping();
});

test("RFC 7143 11.13: what is reserved in a Login Response is zero", async () => {
  const response = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys: NAMES });
  assert.equal(response.bhs[0], 0x23);
  assert.equal(response.flags & 0x30, 0);
  assert.deepEqual(response.bhs.subarray(20, 24), Buffer.alloc(4));
  assert.deepEqual(response.bhs.subarray(38), Buffer.alloc(10));
});
