import assert from "node:assert/strict";
import { test } from "node:test";
import { TARGET_NAME } from "../../support/target.js";
import { ALICE, BOB, challenged, chapConfig, SECURITY, TARGET } from "./chap-fixture.js";
import { refused, STATUS_AUTHENTICATION_FAILURE, startTarget } from "./fixture.js";

const target = startTarget(chapConfig({ top: "log: { level: trace }" }));

test("RFC 7143 9.2: neither secrets nor what was computed with them is in the log, at whichever level", async () => {
  const good = await target.connect();
  await good.login({ targetName: TARGET_NAME, chap: { ...ALICE, mutual: TARGET } });
  const bad = await challenged(target);
  const response = bad.response(ALICE.secret);
  const wrong = { ...SECURITY, keys: { CHAP_N: BOB.user, CHAP_R: response } };
  await refused(bad.initiator, wrong, STATUS_AUTHENTICATION_FAILURE);

  // Both logins are in it, by the user's name.
  await target.running.waitForLog(/logged in.*"alice"|"alice".*logged in/);
  await target.running.waitForLog(/bob/);
  const { log } = target.running;
  for (const secret of [ALICE.secret, BOB.secret, TARGET.secret, response.slice(2), bad.challenge.toString("hex")]) {
    for (const encoded of [secret, Buffer.from(secret).toString("hex"), Buffer.from(secret).toString("base64")]) {
      assert.deepEqual(
        log.filter((line) => line.includes(encoded)),
        [],
      );
    }
  }
});

test("names of a peer go into the log as they are, but cannot forge a line of it", async () => {
  const from = target.running.log.length;
  const bad = await challenged(target);
  const forged = 'mallory"}\n{"level":60,"msg":"forged';
  const wrong = { ...SECURITY, keys: { CHAP_N: forged, CHAP_R: bad.response("nothing") } };
  await refused(bad.initiator, wrong, STATUS_AUTHENTICATION_FAILURE);
  await target.running.waitForLog(/mallory/, undefined, from);
  for (const line of target.running.log.slice(from)) assert.notEqual(JSON.parse(line).msg, "forged");
});
