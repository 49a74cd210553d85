import assert from "node:assert/strict";
import { test } from "node:test";
import { KEYS, NEGOTIATED_KEYS } from "../../../../control/login/keys.js";
import {
  conclude,
  declareMaxRecvDataSegmentLength,
  type Negotiation,
  negotiate,
  negotiateFullFeature,
  startNegotiation,
} from "../../../../control/login/negotiation.js";
import {
  CONNECTION_DEFAULTS,
  type Digest,
  SESSION_DEFAULTS,
  SESSION_LIMITS_DEFAULT,
  type SessionLimits,
  type SessionParameters,
  type SessionType,
} from "../../../../control/login/parameters.js";
import type { TaskReporting } from "../../../../dataplane/messages.js";
import { LOGIN_STATUS_INITIATOR_ERROR } from "../../../../dataplane/wire/login-response.js";
import type { KeyValue } from "../../../../dataplane/wire/text-keys.js";
import fc from "../../../support/fast-check.js";

interface Setting {
  readonly limits?: Partial<SessionLimits>;
  readonly sessionType?: SessionType;
  readonly joined?: SessionParameters;
}

function begin({ limits, sessionType = "Normal", joined }: Setting = {}): Negotiation {
  return startNegotiation({ ...SESSION_LIMITS_DEFAULT, ...limits }, sessionType, joined);
}

/** "A=1 B=2": values here have no spaces. */
function pairsOf(text: string) {
  return text
    .split(" ")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const at = pair.indexOf("=");
      return { key: pair.slice(0, at), value: pair.slice(at + 1) };
    });
}

function offer(negotiation: Negotiation, text: string): { negotiation: Negotiation; answers: string } {
  const result = negotiate(negotiation, "operational", pairsOf(text));
  assert.equal(result.kind, "ok", result.kind === "failure" ? result.reason : "");
  if (result.kind !== "ok") throw new Error("unreachable");
  return {
    negotiation: result.negotiation,
    answers: result.answers.map(({ key, value }) => `${key}=${value}`).join(" "),
  };
}

const answered = (text: string, setting?: Setting) => offer(begin(setting), text).answers;

function refused(negotiation: Negotiation, text: string, stage: "security" | "operational" = "operational"): string {
  const result = negotiate(negotiation, stage, pairsOf(text));
  if (result.kind !== "failure") assert.fail(`${text} was not refused`);
  assert.equal(result.status, LOGIN_STATUS_INITIATOR_ERROR);
  return result.reason;
}

function agreed(negotiation: Negotiation) {
  const conclusion = conclude(negotiation);
  if (conclusion.kind !== "done") assert.fail(JSON.stringify(conclusion));
  return { ...conclusion.session, ...conclusion.connection };
}

function offered(negotiation: Negotiation): { negotiation: Negotiation; offers: string } {
  const conclusion = conclude(negotiation);
  if (conclusion.kind !== "offer") assert.fail(JSON.stringify(conclusion));
  return {
    negotiation: conclusion.negotiation,
    offers: conclusion.offers.map(({ key, value }) => `${key}=${value}`).join(" "),
  };
}

test("without a single key the defaults hold", () => {
  assert.deepEqual(agreed(begin()), { ...SESSION_DEFAULTS, ...CONNECTION_DEFAULTS });
});

test("Minimum: the lower of offer and limit (13.2, 13.13, 13.14, 13.16, 13.17, 13.20, 13.24)", () => {
  const limits = {
    maxConnections: 4,
    maxBurstLength: 100000,
    firstBurstLength: 50000,
    defaultTime2Retain: 10,
    maxOutstandingR2T: 4,
    errorRecoveryLevel: 1,
  };
  const cases = [
    ["MaxConnections=65535", "MaxConnections=4"],
    ["MaxConnections=2", "MaxConnections=2"],
    ["MaxBurstLength=16777215", "MaxBurstLength=100000"],
    ["MaxBurstLength=512", "MaxBurstLength=512"],
    ["MaxBurstLength=0x400", "MaxBurstLength=1024"],
    ["FirstBurstLength=65536", "FirstBurstLength=50000"],
    ["FirstBurstLength=49999", "FirstBurstLength=49999"],
    ["DefaultTime2Retain=3600", "DefaultTime2Retain=10"],
    ["DefaultTime2Retain=0", "DefaultTime2Retain=0"],
    ["MaxOutstandingR2T=16", "MaxOutstandingR2T=4"],
    ["ErrorRecoveryLevel=2", "ErrorRecoveryLevel=1"],
    ["ErrorRecoveryLevel=0", "ErrorRecoveryLevel=0"],
    ["iSCSIProtocolLevel=2", "iSCSIProtocolLevel=2"],
    ["iSCSIProtocolLevel=31", "iSCSIProtocolLevel=2"],
    ["iSCSIProtocolLevel=0", "iSCSIProtocolLevel=0"],
  ] as const;
  for (const [offer, answer] of cases) assert.equal(answered(offer, { limits }), answer);
});

test("Maximum: the higher of offer and limit (13.15)", () => {
  const limits = { defaultTime2Wait: 5 };
  assert.equal(answered("DefaultTime2Wait=2", { limits }), "DefaultTime2Wait=5");
  assert.equal(answered("DefaultTime2Wait=3600", { limits }), "DefaultTime2Wait=3600");
});

test("OR and AND of both sides' wishes (13.10, 13.11)", () => {
  for (const [name, parameter, combine] of [
    ["InitialR2T", "initialR2T", (a: boolean, b: boolean) => a || b],
    ["ImmediateData", "immediateData", (a: boolean, b: boolean) => a && b],
  ] as const) {
    for (const theirs of [true, false]) {
      for (const ours of [true, false]) {
        const { negotiation, answers } = offer(
          begin({ limits: { [parameter]: ours } }),
          `${name}=${theirs ? "Yes" : "No"}`,
        );
        assert.equal(answers, `${name}=${combine(theirs, ours) ? "Yes" : "No"}`);
        assert.equal(negotiation.parameters[parameter], combine(theirs, ours));
      }
    }
  }
});

test("data is always in order (13.18, 13.19)", () => {
  const { negotiation, answers } = offer(begin(), "DataPDUInOrder=No DataSequenceInOrder=No");
  assert.equal(answers, "DataPDUInOrder=Yes DataSequenceInOrder=Yes");
  const { dataPDUInOrder, dataSequenceInOrder } = agreed(negotiation);
  assert.deepEqual([dataPDUInOrder, dataSequenceInOrder], [true, true]);
});

test("lists: the first of the initiator's values that we support, however we order them (6.2.1)", () => {
  const digests = (...headerDigest: Digest[]) => ({ limits: { headerDigest } });
  assert.equal(answered("HeaderDigest=CRC32C,None", digests("None", "CRC32C")), "HeaderDigest=CRC32C");
  assert.equal(answered("HeaderDigest=None,CRC32C", digests("CRC32C", "None")), "HeaderDigest=None");
  assert.equal(answered("HeaderDigest=None,CRC32C", digests("CRC32C")), "HeaderDigest=CRC32C");
  assert.equal(answered("HeaderDigest=Y-com.example.x,CRC32C", digests("CRC32C")), "HeaderDigest=CRC32C");
  assert.equal(answered("HeaderDigest=CRC32C", digests("None")), "HeaderDigest=Reject");
  assert.equal(answered("HeaderDigest=crc32c,", digests("CRC32C", "None")), "HeaderDigest=Reject");
  const reporting = (...taskReporting: TaskReporting[]) => ({ limits: { taskReporting } });
  const all = "TaskReporting=FastAbort,ResponseFence,RFC3720";
  assert.equal(answered(all, reporting("RFC3720")), "TaskReporting=RFC3720");
  assert.equal(answered(all, reporting("RFC3720", "ResponseFence")), "TaskReporting=ResponseFence");
});

test("what was agreed is in the parameters, all of it flat and fit for JSON", () => {
  const setting = { limits: { maxOutstandingR2T: 8, maxRecvDataSegmentLength: 65536 } };
  const { negotiation } = offer(
    declareMaxRecvDataSegmentLength(begin(setting)).negotiation,
    "HeaderDigest=CRC32C,None DataDigest=None InitialR2T=No ImmediateData=Yes MaxBurstLength=524288 " +
      "FirstBurstLength=131072 MaxRecvDataSegmentLength=0x40000 DefaultTime2Wait=3 DefaultTime2Retain=0 " +
      "MaxOutstandingR2T=16 ErrorRecoveryLevel=0 MaxConnections=8 DataPDUInOrder=Yes DataSequenceInOrder=Yes",
  );
  const conclusion = conclude(negotiation);
  assert.deepEqual(JSON.parse(JSON.stringify(conclusion)), {
    kind: "done",
    session: {
      maxConnections: 1,
      initialR2T: false,
      immediateData: true,
      maxBurstLength: 524288,
      firstBurstLength: 131072,
      maxOutstandingR2T: 8,
      defaultTime2Wait: 3,
      defaultTime2Retain: 0,
      dataPDUInOrder: true,
      dataSequenceInOrder: true,
      errorRecoveryLevel: 0,
      taskReporting: "RFC3720",
      iSCSIProtocolLevel: 1,
    },
    connection: {
      headerDigest: "CRC32C",
      dataDigest: "None",
      maxRecvDataSegmentLength: 65536,
      maxSendDataSegmentLength: 262144,
    },
  });
});

test("inadmissible proposals are answered Reject and change nothing (6.2.2)", () => {
  const proposals = [
    ..."MaxConnections=0 MaxConnections=65536 MaxBurstLength=511 MaxBurstLength=16777216 FirstBurstLength=0".split(" "),
    ..."DefaultTime2Wait=3601 DefaultTime2Retain=3601 MaxOutstandingR2T=0 ErrorRecoveryLevel=3".split(" "),
    ..."iSCSIProtocolLevel=32 MaxBurstLength=abc MaxBurstLength= MaxBurstLength=-512 MaxBurstLength=0512".split(" "),
    ..."MaxBurstLength=512~1024 MaxBurstLength=1e6 MaxBurstLength=18446744073709551616 InitialR2T=yes".split(" "),
    ..."InitialR2T= ImmediateData=1 ImmediateData=YES HeaderDigest= HeaderDigest=SHA1 TaskReporting=None".split(" "),
    `MaxBurstLength=${"9".repeat(4000)}`,
  ];
  for (const proposal of proposals) {
    const { negotiation, answers } = offer(begin(), proposal);
    assert.equal(answers, `${proposal.split("=")[0]}=Reject`);
    assert.deepEqual(agreed(negotiation), agreed(begin()));
  }
});

test("private and later keys are not understood; known ones always are (6.2)", () => {
  const unknown = "X-com.example.a=1 Z-com.example=x NewKey= X#Other=y";
  assert.equal(
    answered(unknown),
    "X-com.example.a=NotUnderstood Z-com.example=NotUnderstood NewKey=NotUnderstood X#Other=NotUnderstood",
  );
  for (const key of NEGOTIATED_KEYS) assert.doesNotMatch(answered(`${key.name}=?`), /NotUnderstood/);
});

test("markers are rejected, never not understood (13.25)", () => {
  assert.equal(
    answered("OFMarker=No IFMarker=Yes OFMarkInt=2048~4096 IFMarkInt=1"),
    "OFMarker=Reject IFMarker=Reject OFMarkInt=Reject IFMarkInt=Reject",
  );
});

test("X#NodeArchitecture is taken without a word, in either stage (13.26)", () => {
  for (const stage of ["security", "operational"] as const) {
    const result = negotiate(begin(), stage, pairsOf("X#NodeArchitecture=Linux/6.1,x86_64"));
    assert.deepEqual(result.kind === "ok" && result.answers, []);
  }
});

test("answers come in the order of the offers", () => {
  const offers = "FirstBurstLength=512 X-a=1 MaxOutstandingR2T=1 MaxBurstLength=512 InitialR2T=Yes";
  assert.equal(
    answered(offers),
    "FirstBurstLength=512 X-a=NotUnderstood MaxOutstandingR2T=1 MaxBurstLength=512 InitialR2T=Yes",
  );
});

test("a key twice is an error, in one request or in two, known or not, answered or not (6.3)", () => {
  for (const pair of ["MaxBurstLength=512", "X-a=1", "InitiatorAlias=a", "HeaderDigest=None", "IFMarker=No"]) {
    assert.match(refused(begin(), `${pair} ${pair}`), /sent twice/);
    assert.match(refused(offer(begin(), pair).negotiation, pair), /sent twice/);
  }
});

test("Reject, Irrelevant and NotUnderstood are not for proposing (6.2)", () => {
  for (const value of ["Reject", "Irrelevant", "NotUnderstood"]) {
    for (const name of [
      "MaxBurstLength",
      "HeaderDigest",
      "X-a",
      "InitialR2T",
      "MaxRecvDataSegmentLength",
      "IFMarker",
    ]) {
      assert.match(refused(begin(), `${name}=${value}`), /reserved value/);
    }
  }
});

test("each key only in its stage, from its sender, in its phase (6.3, 12)", () => {
  for (const key of KEYS.values()) {
    for (const stage of ["security", "operational"] as const) {
      const result = negotiate(begin(), stage, [{ key: key.name, value: "1024" }]);
      const allowed = key.senders !== "target" && key.use !== "FFPO" && (key.stage === "any" || key.stage === stage);
      assert.equal(result.kind, allowed ? "ok" : "failure", `${key.name} in ${stage}`);
    }
  }
});

test("a joining connection negotiates its own keys and none of the session's (13)", () => {
  const joined: SessionParameters = { ...SESSION_DEFAULTS, maxBurstLength: 4096, maxConnections: 3 };
  for (const key of KEYS.values()) {
    if (key.stage === "security" || key.senders === "target" || key.use === "FFPO") continue;
    const result = negotiate(begin({ joined }), "operational", [{ key: key.name, value: "1024" }]);
    const allowed = key.use !== "LO" || key.kind === "declarative";
    assert.equal(result.kind, allowed ? "ok" : "failure", key.name);
  }
  // Limits that have become tighter since do not touch the session.
  const limits = { maxBurstLength: 512, immediateData: false };
  const { negotiation } = offer(begin({ joined, limits }), "HeaderDigest=CRC32C");
  const { maxBurstLength, immediateData, headerDigest, maxConnections } = agreed(negotiation);
  assert.deepEqual(
    { maxBurstLength, immediateData, headerDigest, maxConnections },
    { maxBurstLength: 4096, immediateData: true, headerDigest: "CRC32C", maxConnections: 3 },
  );
});

test("Discovery: what concerns data is irrelevant, ErrorRecoveryLevel is 0 (7.4.1, 13)", () => {
  const setting = { sessionType: "Discovery", limits: { errorRecoveryLevel: 2, maxConnections: 8 } } as const;
  for (const key of NEGOTIATED_KEYS) {
    const isIrrelevant = answered(`${key.name}=1`, setting) === `${key.name}=Irrelevant`;
    assert.equal(isIrrelevant, key.irrelevantInDiscovery, key.name);
  }
  assert.equal(answered("ErrorRecoveryLevel=2", setting), "ErrorRecoveryLevel=0");
  assert.equal(answered("DefaultTime2Wait=9 HeaderDigest=CRC32C", setting), "DefaultTime2Wait=9 HeaderDigest=CRC32C");
  assert.equal(agreed(offer(begin(setting), "MaxConnections=8").negotiation).maxConnections, 1);
});

test("FirstBurstLength never exceeds MaxBurstLength, whichever comes first in a request (13.14)", () => {
  for (const text of ["MaxBurstLength=4096 FirstBurstLength=65536", "FirstBurstLength=65536 MaxBurstLength=4096"]) {
    const { maxBurstLength, firstBurstLength } = agreed(offer(begin(), text).negotiation);
    assert.deepEqual([maxBurstLength, firstBurstLength], [4096, 4096]);
  }
  const { negotiation } = offer(begin(), "MaxBurstLength=4096");
  assert.equal(offer(negotiation, "FirstBurstLength=8192").answers, "FirstBurstLength=4096");
});

test("MaxBurstLength below an agreed FirstBurstLength fails the integrity check (6.2)", () => {
  const first = offer(begin(), "FirstBurstLength=65536").negotiation;
  const second = offer(first, "MaxBurstLength=4096").negotiation;
  const conclusion = conclude(second);
  assert.equal(conclusion.kind === "failure" && conclusion.status, LOGIN_STATUS_INITIATOR_ERROR);
});

test("FirstBurstLength left out: the target offers one that fits (13.14)", () => {
  const { negotiation, offers } = offered(offer(begin(), "MaxBurstLength=4096").negotiation);
  assert.equal(offers, "FirstBurstLength=4096");
  assert.equal(agreed(offer(negotiation, "FirstBurstLength=1024").negotiation).firstBurstLength, 1024);
  assert.match(refused(negotiation, "FirstBurstLength=8192"), /no answer/);
});

test("FirstBurstLength is irrelevant without unsolicited data (13.14)", () => {
  const off = "InitialR2T=Yes ImmediateData=No";
  assert.equal(answered(`FirstBurstLength=512 ${off}`), `FirstBurstLength=Irrelevant ${off}`);
  assert.equal(answered("FirstBurstLength=512 ImmediateData=No"), "FirstBurstLength=Irrelevant ImmediateData=No");
  assert.equal(answered("FirstBurstLength=512 InitialR2T=Yes"), "FirstBurstLength=512 InitialR2T=Yes");
  // Then it may stay above MaxBurstLength: there is nothing that it could do.
  agreed(offer(begin(), `${off} MaxBurstLength=512`).negotiation);
});

test("error recovery allows one outstanding R2T, as sequences are in order (13.19)", () => {
  const setting = { limits: { errorRecoveryLevel: 2, maxOutstandingR2T: 8 } };
  for (const text of ["ErrorRecoveryLevel=2 MaxOutstandingR2T=8", "MaxOutstandingR2T=8 ErrorRecoveryLevel=2"]) {
    const { errorRecoveryLevel, maxOutstandingR2T } = agreed(offer(begin(setting), text).negotiation);
    assert.deepEqual([errorRecoveryLevel, maxOutstandingR2T], [2, 1]);
  }
  const { negotiation } = offer(begin(setting), "MaxOutstandingR2T=8");
  assert.equal(offer(negotiation, "ErrorRecoveryLevel=2").answers, "ErrorRecoveryLevel=0");
});

test("where a default does not suit, the target asks for what it needs", () => {
  const limits: Partial<SessionLimits> = {
    headerDigest: ["CRC32C"],
    initialR2T: true,
    immediateData: false,
    maxBurstLength: 8192,
    defaultTime2Wait: 5,
    defaultTime2Retain: 0,
  };
  const { negotiation, offers } = offered(begin({ limits }));
  assert.equal(
    offers,
    "HeaderDigest=CRC32C ImmediateData=No MaxBurstLength=8192 FirstBurstLength=8192 DefaultTime2Wait=5 DefaultTime2Retain=0",
  );
  const complete =
    "HeaderDigest=CRC32C ImmediateData=No MaxBurstLength=4096 FirstBurstLength=Irrelevant DefaultTime2Wait=6 " +
    "DefaultTime2Retain=0";
  const result = offer(negotiation, complete);
  assert.equal(result.answers, "");
  const { headerDigest, immediateData, maxBurstLength, defaultTime2Wait, defaultTime2Retain } = agreed(
    result.negotiation,
  );
  assert.deepEqual(
    { headerDigest, immediateData, maxBurstLength, defaultTime2Wait, defaultTime2Retain },
    { headerDigest: "CRC32C", immediateData: false, maxBurstLength: 4096, defaultTime2Wait: 6, defaultTime2Retain: 0 },
  );
});

test("a boolean that the target offers needs no answer: it leaves no choice (6.2.2)", () => {
  const { negotiation, offers } = offered(begin({ limits: { immediateData: false, defaultTime2Wait: 5 } }));
  assert.equal(offers, "ImmediateData=No DefaultTime2Wait=5");
  const silent = offer(negotiation, "DefaultTime2Wait=5").negotiation;
  assert.equal(agreed(silent).immediateData, false);
  const rejected = conclude(offer(negotiation, "ImmediateData=Reject DefaultTime2Wait=5").negotiation);
  assert.match(rejected.kind === "failure" ? rejected.reason : "", /^ImmediateData=Yes is not acceptable/);
});

test("answers to the target's offers that are no answers end the login", () => {
  const limits: Partial<SessionLimits> = {
    headerDigest: ["CRC32C"],
    immediateData: false,
    maxBurstLength: 8192,
    defaultTime2Wait: 5,
  };
  const { negotiation } = offered(begin({ limits }));
  for (const answer of ["HeaderDigest=None", "ImmediateData=Yes", "MaxBurstLength=8193", "MaxBurstLength=511"]) {
    assert.match(refused(negotiation, answer), /no answer/);
  }
  assert.match(refused(negotiation, "DefaultTime2Wait=4"), /no answer/);
  assert.match(refused(negotiation, "MaxBurstLength=NotUnderstood"), /must be understood/);
  const unanswered = conclude(negotiation);
  assert.match(unanswered.kind === "failure" ? unanswered.reason : "", /unanswered/);
  // A Reject leaves the default, which does not suit.
  const rejected = conclude(
    offer(
      negotiation,
      "HeaderDigest=Reject ImmediateData=No MaxBurstLength=512 FirstBurstLength=512 DefaultTime2Wait=5",
    ).negotiation,
  );
  assert.match(rejected.kind === "failure" ? rejected.reason : "", /^HeaderDigest=None is not acceptable/);
});

test("a Reject of ours that leaves an unsuitable default ends the login", () => {
  const { negotiation } = offer(begin({ limits: { dataDigest: ["CRC32C"] } }), "DataDigest=None");
  const conclusion = conclude(negotiation);
  assert.match(conclusion.kind === "failure" ? conclusion.reason : "", /^DataDigest=None is not acceptable/);
});

test("MaxRecvDataSegmentLength is declared, out of range it ends the login (7.12, 13.12)", () => {
  const { negotiation, answers } = offer(begin(), "MaxRecvDataSegmentLength=512");
  assert.equal(answers, "");
  assert.equal(agreed(negotiation).maxSendDataSegmentLength, 512);
  assert.equal(agreed(negotiation).maxRecvDataSegmentLength, 8192);
  for (const value of ["511", "16777216", "0", "x", "", "-1"]) {
    assert.match(refused(begin(), `MaxRecvDataSegmentLength=${value}`), /range/);
  }
  const declared = declareMaxRecvDataSegmentLength(begin({ limits: { maxRecvDataSegmentLength: 1048576 } }));
  assert.deepEqual(declared.declaration, { key: "MaxRecvDataSegmentLength", value: "1048576" });
  assert.equal(agreed(declared.negotiation).maxRecvDataSegmentLength, 1048576);
});

const inFullFeature = (pairs: readonly KeyValue[], earlier: readonly string[] = []) =>
  negotiateFullFeature(pairs, 65536, new Set(earlier));

test("Full Feature Phase: keys of Use ALL and FFPO pass, all others are protocol errors (6.4, 13)", () => {
  for (const key of KEYS.values()) {
    const result = inFullFeature([{ key: key.name, value: "1024" }]);
    const allowed = ((key.use === "ALL" || key.use === "FFPO") && key.senders !== "target") || key.kind === "obsolete";
    assert.equal(result.kind, allowed ? "ok" : "protocolError", key.name);
  }
});

test("Full Feature Phase: answers", () => {
  assert.deepEqual(inFullFeature(pairsOf("MaxRecvDataSegmentLength=0x10000 X-a=1 InitiatorAlias=b OFMarkInt=2048")), {
    kind: "ok",
    answers: pairsOf("MaxRecvDataSegmentLength=65536 X-a=NotUnderstood OFMarkInt=Reject"),
    maxSendDataSegmentLength: 65536,
    sendTargets: undefined,
  });
  assert.deepEqual(inFullFeature(pairsOf("SendTargets=All")), {
    kind: "ok",
    answers: [],
    maxSendDataSegmentLength: undefined,
    sendTargets: "All",
  });
  for (const text of [
    "MaxRecvDataSegmentLength=511",
    "MaxRecvDataSegmentLength=1 X-a=1",
    "X-a=1 X-a=1",
    "X-a=Reject",
  ]) {
    assert.equal(inFullFeature(pairsOf(text)).kind, "protocolError", text);
  }
  assert.equal(inFullFeature(pairsOf("X-a=1"), ["X-b"]).kind, "ok");
  assert.equal(inFullFeature(pairsOf("X-a=1"), ["X-b", "X-a"]).kind, "protocolError");
});

test("whatever is offered: results are within limits and ranges, and each key is answered at most once", () => {
  const value = fc.oneof(
    fc.nat(20_000_000).map(String),
    fc.constantFrom("Yes", "No", "None", "CRC32C", "CRC32C,None", "None,CRC32C", "RFC3720", "?", "", "0x10"),
  );
  const names = [...NEGOTIATED_KEYS.map(({ name }) => name), "X-a", "IFMarker"];
  const pairs = fc.uniqueArray(fc.record({ key: fc.constantFrom(...names), value }), { selector: ({ key }) => key });
  const limits: SessionLimits = {
    ...SESSION_LIMITS_DEFAULT,
    maxConnections: 4,
    errorRecoveryLevel: 2,
    maxBurstLength: 300000,
    firstBurstLength: 200000,
  };
  fc.assert(
    fc.property(fc.array(pairs, { maxLength: 3 }), (requests) => {
      let negotiation = begin({ limits });
      for (const request of requests) {
        const fresh = request.filter(({ key }) => !negotiation.seen.has(key));
        const result = negotiate(negotiation, "operational", fresh);
        assert.equal(result.kind, "ok");
        if (result.kind !== "ok") return;
        assert.deepEqual(
          result.answers.map(({ key }) => key),
          fresh.map(({ key }) => key),
        );
        negotiation = result.negotiation;
      }
      const conclusion = conclude(negotiation);
      if (conclusion.kind !== "done") return;
      const { session } = conclusion;
      for (const key of NEGOTIATED_KEYS) {
        if (key.kind !== "numeric" || key.parameter === "firstBurstLength") continue;
        const result = session[key.parameter];
        assert.ok(result >= key.min && result <= key.max, key.name);
        assert.ok(key.result === "minimum" ? result <= limits[key.parameter] : result >= limits[key.parameter]);
      }
      if (!session.initialR2T || session.immediateData) assert.ok(session.firstBurstLength <= session.maxBurstLength);
      assert.ok(session.errorRecoveryLevel === 0 || session.maxOutstandingR2T === 1);
      assert.ok(session.dataPDUInOrder && session.dataSequenceInOrder);
    }),
    { numRuns: 500 },
  );
});
