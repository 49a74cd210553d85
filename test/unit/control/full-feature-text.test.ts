import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answerFullFeatureText, type FullFeatureSession } from "../../../control/full-feature-text.js";
import { CONNECTION_DEFAULTS } from "../../../control/login/parameters.js";
import { TARGET, target } from "./support/fixtures.js";

const SESSION: FullFeatureSession = {
  target: target(),
  portals: [{ tag: 1, address: { host: "192.0.2.1", port: 3260 } }],
  localHost: "192.0.2.1",
  parameters: CONNECTION_DEFAULTS,
};
const OWN_RECORD = `TargetName=${TARGET}\0TargetAddress=192.0.2.1:3260,1\0`;

function textOf(request: string, session = SESSION): string {
  const answer = answerFullFeatureText(request, session);
  return answer.kind === "answer" ? answer.text : `Reject: ${answer.reason}`;
}

describe("SendTargets in a Normal session (Appendix C)", () => {
  test("tells of the session's own target, by its name or by none", () => {
    assert.equal(textOf("SendTargets=\0"), OWN_RECORD);
    assert.equal(textOf(`SendTargets=${TARGET.toUpperCase()}\0`), OWN_RECORD);
  });

  test("tells of no other target", () => {
    assert.equal(textOf("SendTargets=iqn.2026-11.io.ringlun:other\0"), "");
    assert.equal(textOf("SendTargets=\0", { ...SESSION, target: undefined }), "");
  });

  test("All is not supported, nor are other keys beside it", () => {
    assert.match(textOf("SendTargets=All\0"), /^Reject/);
    assert.match(textOf("SendTargets=\0MaxRecvDataSegmentLength=4096\0"), /^Reject/);
  });
});

describe("keys", () => {
  test("MaxRecvDataSegmentLength may be declared anew", () => {
    assert.deepEqual(answerFullFeatureText("MaxRecvDataSegmentLength=65536\0", SESSION), {
      kind: "answer",
      text: "MaxRecvDataSegmentLength=8192\0",
      maxSendDataSegmentLength: 65536,
    });
  });

  test("what belongs to the Login Phase is a protocol error", () => {
    assert.match(textOf("HeaderDigest=CRC32C\0"), /^Reject/);
  });

  test("what nobody knows is not understood", () => {
    assert.equal(textOf("X-com.example.key=1\0"), "X-com.example.key=NotUnderstood\0");
  });

  test("what is no text is a protocol error", () => {
    for (const text of ["SendTargets", "=\0", "A=\xff\0", "A=1"]) assert.match(textOf(text), /^Reject/);
  });
});
