import assert from "node:assert/strict";
import { test } from "node:test";
import {
  buildHeader,
  encodeKeys,
  FLAG_TRANSIT,
  OPCODE_LOGIN_REQUEST,
  OPCODE_LOGIN_RESPONSE,
  OPCODE_REJECT,
  type ReceivedPdu,
} from "../../support/pdu.js";
import {
  type RawInitiator,
  STAGE_FULL_FEATURE,
  STAGE_OPERATIONAL,
  STAGE_SECURITY,
} from "../../support/raw-initiator.js";
import { assertSettles, HTTP, residentBytes, takeCensus } from "./census.js";
import { configOf, NAMES, STATUS_INITIATOR_ERROR, startTarget, statusOf, TO_FULL_FEATURE } from "./fixture.js";

const MIB = 1024 * 1024;
const target = startTarget((places) => configOf({ top: HTTP(places.httpPort) })(places));

/** The bytes of a Login Request. */
function request(
  initiator: RawInitiator,
  stage: number,
  nextStage: number | null,
  keys: Record<string, string>,
): Buffer {
  const data = encodeKeys(keys);
  const flags = (stage << 2) | (nextStage === null ? 0 : FLAG_TRANSIT | nextStage);
  const header = buildHeader({
    opcode: OPCODE_LOGIN_REQUEST,
    immediate: true,
    flags,
    dataSegmentLength: data.length,
    initiatorTaskTag: 1,
  });
  initiator.session.isid.copy(header, 8);
  return Buffer.concat([header, data, Buffer.alloc(-data.length & 3)]);
}

/** Login Responses until the connection ends, or a session is there. */
async function responses(initiator: RawInitiator): Promise<ReceivedPdu[]> {
  const pdus: ReceivedPdu[] = [];
  for (;;) {
    const pdu = await initiator.receive();
    assert.equal(pdu.opcode, OPCODE_LOGIN_RESPONSE);
    pdus.push(pdu);
    const isDone = (pdu.flags & FLAG_TRANSIT) !== 0 && (pdu.flags & 3) === STAGE_FULL_FEATURE;
    if (isDone || statusOf(pdu) !== 0) return pdus;
  }
}

test("RFC 7143 6.2: a second Login Request before the first is answered waits for that: each gets its own answer", async () => {
  const initiator = await target.connect();
  await initiator.sendBytes(
    Buffer.concat([
      request(initiator, STAGE_SECURITY, null, { ...NAMES, AuthMethod: "None" }),
      request(initiator, STAGE_SECURITY, STAGE_OPERATIONAL, {}),
      request(initiator, STAGE_OPERATIONAL, null, { HeaderDigest: "None" }),
    ]),
  );
  for (const [flags, stage] of [
    [0, STAGE_SECURITY],
    [FLAG_TRANSIT | STAGE_OPERATIONAL, STAGE_SECURITY],
    [0, STAGE_OPERATIONAL],
  ] as const) {
    const response = await initiator.expect(OPCODE_LOGIN_RESPONSE);
    assert.deepEqual([statusOf(response), response.flags], [0, flags | (stage << 2)]);
  }
  const last = await initiator.loginRequest({ ...TO_FULL_FEATURE, fields: { initiatorTaskTag: 1 } });
  assert.equal(statusOf(last), 0);
  await initiator.ping();
});

test("RFC 7143 6.2, 6.3: one behind the request that ends the login: no session, or a Reject in the session", async () => {
  const before = await takeCensus(target.running);
  for (let round = 0; round < 10; round++) {
    const initiator = await target.connect();
    const final = request(initiator, STAGE_OPERATIONAL, STAGE_FULL_FEATURE, NAMES);
    await initiator.sendBytes(Buffer.concat([final, final]));
    const [response, ...more] = await responses(initiator);
    assert.deepEqual(more, []);
    if (statusOf(response!) === 0) {
      // It came in two pieces after all, and the second one in its own phase.
      assert.equal((await initiator.receive()).opcode, OPCODE_REJECT);
    } else {
      assert.equal(statusOf(response!), STATUS_INITIATOR_ERROR);
      assert.deepEqual(await initiator.receiveUntilClosed(), []);
    }
    initiator.destroy();
  }
  await assertSettles(target.running, before);
});

test("RFC 7143 6.2: thousands of them end the login, and take no memory", async () => {
  const before = await takeCensus(target.running);
  const bytes = await residentBytes(target.running);
  for (let round = 0; round < 4; round++) {
    const initiator = await target.connect();
    const first = request(initiator, STAGE_SECURITY, null, { ...NAMES, AuthMethod: "None" });
    const again = request(initiator, STAGE_SECURITY, null, {});
    // The connection may end before all is sent.
    initiator.sendBytes(Buffer.concat([first, ...new Array<Buffer>(50_000).fill(again)])).catch(() => {});
    const pdus = await responses(initiator).catch(() => []);
    assert.ok(pdus.length < 1000, `${pdus.length} answers`);
    initiator.destroy();
  }
  await assertSettles(target.running, before);
  const growth = (await residentBytes(target.running)) - bytes;
  assert.ok(growth < 64 * MIB, `${Math.round(growth / MIB)} MiB more`);
});
