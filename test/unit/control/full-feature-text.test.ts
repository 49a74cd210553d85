import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type FullFeatureRequest,
  type FullFeatureSession,
  FullFeatureTexts,
} from "../../../control/full-feature-text.js";
import { NEGOTIATION_KEYS_MAX } from "../../../control/login/negotiation.js";
import { TARGET, target } from "./support/fixtures.js";

const SESSION: FullFeatureSession = {
  target: target(),
  portals: [{ tag: 1, address: { host: "192.0.2.1", port: 3260 } }],
  localHost: "192.0.2.1",
  maxRecvDataSegmentLength: 8192,
  nextMaxRecvDataSegmentLength: 8192,
};
const OWN_RECORD = `TargetName=${TARGET}\0TargetAddress=192.0.2.1:3260,1\0`;

/** A request that is a sequence of its own, unless `fields` say otherwise. */
function requestOf(text: string, fields: Partial<FullFeatureRequest> = {}): FullFeatureRequest {
  return { text, continues: false, ...fields };
}

function textOf(request: string, session = SESSION): string {
  const answer = new FullFeatureTexts().answer(1, requestOf(request), session);
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

  test("All is not supported, nor is what is no name, nor are other keys beside it", () => {
    for (const value of ["All", "all", "Alle", "iqn.two words", "vm"]) {
      assert.match(textOf(`SendTargets=${value}\0`), /^Reject/, value);
    }
    assert.match(textOf("SendTargets=\0MaxRecvDataSegmentLength=4096\0"), /^Reject/);
  });
});

describe("keys", () => {
  test("MaxRecvDataSegmentLength may be declared anew", () => {
    assert.deepEqual(new FullFeatureTexts().answer(1, requestOf("MaxRecvDataSegmentLength=65536\0"), SESSION), {
      kind: "answer",
      text: "MaxRecvDataSegmentLength=8192\0",
      maxSendDataSegmentLength: 65536,
      maxRecvDataSegmentLength: 8192,
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

describe("a negotiation sequence of several requests (section 6.4)", () => {
  const DECLARATION = "MaxRecvDataSegmentLength=65536\0";
  const BEGIN = {};
  const GO_ON = { continues: true };

  /** @returns what becomes of the peer's MaxRecvDataSegmentLength: a number, undefined (nothing is said of it), or "reject". */
  function outcomes(requests: readonly (readonly [string, Partial<FullFeatureRequest>, connectionId?: number])[]) {
    const texts = new FullFeatureTexts();
    return requests.map(([text, fields, connectionId = 1]) => {
      const answer = texts.answer(connectionId, requestOf(text, fields), SESSION);
      return answer.kind === "answer" ? answer.maxSendDataSegmentLength : "reject";
    });
  }

  test("a key again is a protocol error, and ends it", () => {
    assert.deepEqual(
      outcomes([
        [DECLARATION, BEGIN],
        ["X-com.example.key=1\0", GO_ON],
        [DECLARATION, GO_ON],
        [DECLARATION, GO_ON],
      ]),
      [65536, undefined, "reject", 65536],
    );
  });

  test("a new one forgets what the one before began, and knows nothing of other connections", () => {
    assert.deepEqual(
      outcomes([
        [DECLARATION, BEGIN],
        ["", BEGIN],
        [DECLARATION, GO_ON],
      ]),
      [65536, undefined, 65536],
    );
    assert.deepEqual(
      outcomes([
        [DECLARATION, BEGIN, 1],
        ["", BEGIN, 2],
        [DECLARATION, GO_ON, 2],
        [DECLARATION, GO_ON, 1],
      ]),
      [65536, undefined, 65536, "reject"],
    );
  });

  test("is forgotten with its connection", () => {
    const texts = new FullFeatureTexts();
    texts.answer(1, requestOf(DECLARATION, BEGIN), SESSION);
    texts.forget(1);
    assert.equal(texts.answer(1, requestOf(DECLARATION, GO_ON), SESSION).kind, "answer");
  });

  test("has as many keys as 8192 bytes can hold, and no more", () => {
    const keys = (count: number, prefix: string) =>
      Array.from({ length: count }, (_, index) => `${prefix}${index}=\0`).join("");
    const half = NEGOTIATION_KEYS_MAX >> 1;
    const rest = NEGOTIATION_KEYS_MAX - half;
    for (const excess of [0, 1]) {
      const [, second] = outcomes([
        [keys(half, "A"), BEGIN],
        [keys(rest + excess, "B"), GO_ON],
      ]);
      assert.equal(second, excess === 0 ? undefined : "reject");
    }
  });
});
