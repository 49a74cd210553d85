import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionNumbers } from "../../support/raw-connection.js";
import { LoginRefusedError } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { ALICE, BOB, chapConfig } from "./chap-fixture.js";
import { INITIATOR_NAME, refused, STATUS_AUTHENTICATION_FAILURE, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget(chapConfig());

async function logIn(chap: typeof ALICE | typeof BOB, session = new SessionNumbers()) {
  const initiator = await target.connect({ session });
  await initiator.login({ initiatorName: INITIATOR_NAME, targetName: TARGET_NAME, chap });
  return initiator;
}

test("RFC 7143 9.2: a connection of a session authenticates as its others did: else 0201h", async () => {
  const first = await logIn(ALICE);
  const { isid, tsih } = first.session;
  const joining = () => Object.assign(new SessionNumbers({ isid }), { tsih });
  await assert.rejects(logIn(BOB, joining()), { name: LoginRefusedError.name, status: STATUS_AUTHENTICATION_FAILURE });
  await first.ping();
  const again = await logIn(ALICE, joining());
  assert.equal(again.session.tsih, tsih);
  assert.deepEqual(await first.receiveUntilClosed(), []);
});

test("RFC 7143 7.4.2.2, 9.2: a discovery session ends no session of somebody who had to authenticate", async () => {
  const normal = await logIn(ALICE);
  const discovery = await target.connect({ session: new SessionNumbers({ isid: normal.session.isid }) });
  const keys = { InitiatorName: INITIATOR_NAME, TargetName: TARGET_NAME, SessionType: "Discovery" };
  await refused(discovery, { ...TO_FULL_FEATURE, keys }, STATUS_AUTHENTICATION_FAILURE);
  await normal.ping();
});
