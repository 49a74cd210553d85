import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeKeys, OPCODE_REJECT, OPCODE_TEXT_REQUEST, TAG_NONE } from "../../support/pdu.js";
import { TARGET_NAME } from "../../support/target.js";
import { configOf, startTarget } from "../login/fixture.js";

const OTHER = "iqn.2026-11.io.ringlun:other";
const target = startTarget(
  configOf({
    portalGroups: "[1, 2]",
    targets: `- { name: "${OTHER}", portalGroups: [1], luns: { 0: disk } }`,
  }),
);

test("RFC 7143 Appendix C: SendTargets= and SendTargets=its own name: the target of the session, all its addresses", async () => {
  const { port, port2 } = target.running.places;
  const initiator = await target.login();
  for (const SendTargets of ["", TARGET_NAME]) {
    assert.deepEqual(
      [...(await initiator.text({ SendTargets }))],
      [
        ["TargetName", TARGET_NAME],
        ["TargetAddress", `127.0.0.1:${port},1\n127.0.0.1:${port2},2`],
      ],
    );
  }
});

test("RFC 7143 Appendix C: of no other target is anything told", async () => {
  const initiator = await target.login();
  for (const SendTargets of [OTHER, "iqn.2026-11.io.ringlun:nobody"]) {
    assert.deepEqual([...(await initiator.text({ SendTargets }))], []);
  }
});

test("RFC 7143 Appendix C: SendTargets=All is not supported, nor is what is no name: Reject, and the session goes on", async () => {
  const initiator = await target.login();
  for (const SendTargets of ["All", "Alle", "a target"]) {
    const text = { opcode: OPCODE_TEXT_REQUEST, immediate: true, targetTransferTag: TAG_NONE };
    await initiator.send(text, encodeKeys({ SendTargets }));
    const reject = await initiator.expect(OPCODE_REJECT);
    assert.equal(reject.field("reason"), 0x04, "Protocol Error");
  }
  await initiator.ping();
});
