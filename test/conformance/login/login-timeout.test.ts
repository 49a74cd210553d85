import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { encodeKeys } from "../../support/pdu.js";
import { type RawInitiator, STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import { goesOn, NAMES, startTarget } from "./fixture.js";

const target = startTarget();
/** Well beyond control/limits.ts' LOGIN_TIMEOUT_MS; what matters is that there is an end. */
const WITHIN_MS = 40_000;
const DRIP_MS = 1000;

/** `step` again and again, until the target has had enough of it. */
async function drip(initiator: RawInitiator, step: (n: number) => Promise<unknown>): Promise<void> {
  const begin = performance.now();
  for (let n = 0; !initiator.closedByTarget; n++) {
    assert.ok(performance.now() - begin < WITHIN_MS, "the target still listens");
    await step(n).catch((error) => assert.ok(initiator.closedByTarget, error));
    await setTimeout(DRIP_MS);
  }
}

test("RFC 7143 8.1.4, T6 and T7: a login that takes too long is dropped, however busy it looks", async () => {
  const login = Buffer.alloc(48);
  login[0] = 0x43;
  const slow: readonly (() => Promise<unknown>)[] = [
    // Nothing at all.
    async () => (await target.connect()).receiveUntilClosed(WITHIN_MS),
    // A byte now and then.
    async () => {
      const initiator = await target.connect();
      await drip(initiator, (n) => initiator.sendBytes(login.subarray(n, n + 1)));
    },
    // A header, and then nothing.
    async () => {
      const initiator = await target.connect();
      await initiator.sendBytes(Buffer.concat([login.subarray(0, 5), Buffer.from([0, 0, 100]), login.subarray(8)]));
      await initiator.receiveUntilClosed(WITHIN_MS);
    },
    // Text that never ends, and requests that say nothing.
    async () => {
      const initiator = await target.connect();
      const part = { stage: STAGE_OPERATIONAL, more: true, data: encodeKeys({ "X-a": "1" }) };
      await drip(initiator, () => initiator.loginRequest(part));
    },
    async () => {
      const initiator = await target.connect();
      await goesOn(initiator, { stage: STAGE_SECURITY, keys: NAMES });
      await drip(initiator, () => initiator.loginRequest({ stage: STAGE_SECURITY }));
    },
  ];
  await Promise.all(slow.map((attempt) => attempt()));
});
