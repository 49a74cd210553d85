import assert from "node:assert/strict";
import { test } from "node:test";
import { isReservedAnswer, KEYS, type Key, NEGOTIATED_KEYS, parseNumber } from "../../../../control/login/keys.js";
import { checkLimits } from "../../../../control/login/negotiation.js";
import { CONNECTION_DEFAULTS, SESSION_DEFAULTS, SESSION_LIMITS_DEFAULT } from "../../../../control/login/parameters.js";

/**
 * Chapters 12 and 13 of RFC 7143, by hand and in their order: section, name, use, stage (A: Any-Stage, S: security),
 * senders, scope, "irrelevant in Discovery", then the value: result function and range, or what else it is.
 */
const RFC = `
12.1    AuthMethod               IO   S  both      CO -  authentication
12.1.3  CHAP_A                   IO   S  both      CO -  authentication
12.1.3  CHAP_I                   IO   S  both      CO -  authentication
12.1.3  CHAP_C                   IO   S  both      CO -  authentication
12.1.3  CHAP_N                   IO   S  both      CO -  authentication
12.1.3  CHAP_R                   IO   S  both      CO -  authentication
12.1.1  KRB_AP_REQ               IO   S  both      CO -  authentication
12.1.1  KRB_AP_REP               IO   S  both      CO -  authentication
12.1.2  SRP_U                    IO   S  both      CO -  authentication
12.1.2  TargetAuth               IO   S  both      CO -  authentication
12.1.2  SRP_GROUP                IO   S  both      CO -  authentication
12.1.2  SRP_s                    IO   S  both      CO -  authentication
12.1.2  SRP_A                    IO   S  both      CO -  authentication
12.1.2  SRP_B                    IO   S  both      CO -  authentication
12.1.2  SRP_M                    IO   S  both      CO -  authentication
12.1.2  SRP_HM                   IO   S  both      CO -  authentication
13.1    HeaderDigest             IO   -  both      CO -  list CRC32C,None            default None
13.1    DataDigest               IO   -  both      CO -  list CRC32C,None            default None
13.2    MaxConnections           LO   -  both      SW D  minimum 1 65535             default 1
13.3    SendTargets              FFPO A  initiator SW -  request
13.4    TargetName               IO   A  both      SW -  declarative
13.5    InitiatorName            IO   A  initiator SW -  declarative
13.6    TargetAlias              ALL  A  target    SW -  declarative
13.7    InitiatorAlias           ALL  A  initiator SW -  declarative
13.8    TargetAddress            ALL  A  target    SW -  declarative
13.9    TargetPortalGroupTag     IO   A  target    SW -  declarative
13.10   InitialR2T               LO   -  both      SW D  OR                          default Yes
13.11   ImmediateData            LO   -  both      SW D  AND                         default Yes
13.12   MaxRecvDataSegmentLength ALL  -  both      CO -  declarative
13.13   MaxBurstLength           LO   -  both      SW D  minimum 512 16777215        default 262144
13.14   FirstBurstLength         LO   -  both      SW D  minimum 512 16777215        default 65536
13.15   DefaultTime2Wait         LO   -  both      SW -  maximum 0 3600              default 2
13.16   DefaultTime2Retain       LO   -  both      SW -  minimum 0 3600              default 20
13.17   MaxOutstandingR2T        LO   -  both      SW D  minimum 1 65535             default 1
13.18   DataPDUInOrder           LO   -  both      SW D  OR                          default Yes
13.19   DataSequenceInOrder      LO   -  both      SW D  OR                          default Yes
13.20   ErrorRecoveryLevel       LO   -  both      SW -  minimum 0 2                 default 0
13.21   SessionType              LO   A  initiator SW -  declarative
13.23   TaskReporting            LO   -  both      SW D  list RFC3720,ResponseFence,FastAbort default RFC3720
13.24   iSCSIProtocolLevel       LO   -  both      SW D  minimum 0 31                default 1
13.25   OFMarker                 IO   -  both      CO -  obsolete
13.25   IFMarker                 IO   -  both      CO -  obsolete
13.25   OFMarkInt                IO   -  both      CO -  obsolete
13.25   IFMarkInt                IO   -  both      CO -  obsolete
13.26   X#NodeArchitecture       LO   A  both      SW -  declarative
`;

function describe(key: Key): string {
  const common = [
    key.section,
    key.name,
    key.use,
    { any: "A", security: "S", operational: "-" }[key.stage],
    key.senders,
    key.scope,
    key.irrelevantInDiscovery ? "D" : "-",
  ];
  const defaults: Readonly<Record<string, unknown>> = { ...SESSION_DEFAULTS, ...CONNECTION_DEFAULTS };
  switch (key.kind) {
    case "numeric":
      return [...common, key.result, key.min, key.max, "default", defaults[key.parameter]].join(" ");
    case "boolean":
      return [...common, key.result, "default", defaults[key.parameter] ? "Yes" : "No"].join(" ");
    case "list":
      return [...common, "list", key.values.join(","), "default", defaults[key.parameter]].join(" ");
    default:
      return [...common, key.kind].join(" ");
  }
}

test("the table of keys says what RFC 7143 says", () => {
  const expected = RFC.trim()
    .split("\n")
    .map((row) => row.trim().replace(/ +/g, " "));
  assert.deepEqual(Array.from(KEYS.values(), describe), expected);
});

test("each key's parameter is its name, and each depends only on keys that are settled before it", () => {
  for (const key of NEGOTIATED_KEYS) {
    assert.equal(key.parameter.toLowerCase(), key.name.toLowerCase());
    for (const name of key.dependsOn) {
      const other = KEYS.get(name);
      assert.ok(other !== undefined && "dependsOn" in other && other.dependsOn.length === 0, `${key.name} on ${name}`);
    }
  }
});

test("8192 is the default MaxRecvDataSegmentLength of both sides (13.12)", () => {
  assert.equal(CONNECTION_DEFAULTS.maxRecvDataSegmentLength, 8192);
  assert.equal(CONNECTION_DEFAULTS.maxSendDataSegmentLength, 8192);
});

test("numerical values are decimal constants without leading zeroes or hex constants (6.1)", () => {
  const valid: readonly (readonly [string, number])[] = [
    ["0", 0],
    ["1", 1],
    ["65535", 65535],
    ["0x0", 0],
    ["0X1fF", 511],
    ["0x0000000000000200", 512],
    [`0x${"0".repeat(300)}200`, 512],
    ["0xffffffffffffffff", 2 ** 64],
    ["18446744073709551615", 2 ** 64],
  ];
  for (const [text, number] of valid) assert.equal(parseNumber(text), number, text);
  const invalid = ["", "00", "010", "-1", "+1", "1.0", "1e3", " 1", "1 ", "0x", "0xg", "x1", "1~2", "0b1", "Infinity"];
  for (const text of [...invalid, "9".repeat(21), `0x1${"0".repeat(16)}`])
    assert.equal(parseNumber(text), undefined, text);
});

test("None is no reserved answer: it may be proposed in a list", () => {
  assert.deepEqual(["None", "Reject", "Irrelevant", "NotUnderstood", "reject"].map(isReservedAnswer), [
    false,
    true,
    true,
    true,
    false,
  ]);
});

test("limits outside of a key's range are named", () => {
  assert.equal(checkLimits(SESSION_LIMITS_DEFAULT), undefined);
  for (const key of NEGOTIATED_KEYS) {
    if (key.kind === "boolean") continue;
    const broken = key.kind === "list" ? [[]] : [key.min - 1, key.max + 1, key.min + 0.5, Number.NaN];
    for (const value of broken) {
      const fault = checkLimits({ ...SESSION_LIMITS_DEFAULT, [key.parameter]: value });
      assert.ok(fault?.startsWith(key.parameter), `${key.parameter}: ${value}`);
    }
  }
  for (const length of [511, 2 ** 24, 4096.5]) {
    const fault = checkLimits({ ...SESSION_LIMITS_DEFAULT, maxRecvDataSegmentLength: length });
    assert.match(fault ?? "", /^maxRecvDataSegmentLength/);
  }
});
