import assert from "node:assert/strict";
import { test } from "node:test";
import { type AccessDecision, judgeAccess, visibleTargets } from "../../../control/access.js";
import { Secret } from "../../../control/config/secret.js";
import { configuration, INITIATOR, nullUnit, TARGET, target } from "./support/fixtures.js";

const OTHER = "iqn.2026-11.io.ringlun:other";
const AUTH = { chap: [{ user: "alice", secret: new Secret(Buffer.alloc(16)) }], mutual: null };
const LIMITS = { iops: 100, bytesPerSecond: null, burstSeconds: 0.1 };

test("without a list every initiator has what the target has", () => {
  const open = configuration("/nowhere");
  const access = judgeAccess(open, TARGET, 1, INITIATOR);
  assert.deepEqual(access, {
    kind: "granted",
    grant: { target: open.targets[0], auth: null, luns: open.targets[0]!.luns, limits: null, portalGroups: [1] },
  });
});

test("with a list, those on it have what their entry says, and nobody else has access", () => {
  const luns = [{ lun: 3, unit: "iso", readOnly: true }];
  const listed = configuration("/nowhere", {
    targets: [target({ initiators: [{ name: INITIATOR, portalGroups: [1], auth: AUTH, luns, limits: LIMITS }] })],
    units: [nullUnit(), nullUnit("iso")],
  });
  const access = judgeAccess(listed, TARGET, 1, INITIATOR);
  assert.equal(access.kind, "granted");
  const { grant } = access as AccessDecision & { kind: "granted" };
  assert.deepEqual([grant.auth, grant.luns, grant.limits], [AUTH, luns, LIMITS]);
  assert.deepEqual(judgeAccess(listed, TARGET, 1, OTHER), { kind: "forbidden" });
  assert.deepEqual(visibleTargets(listed, OTHER), []);
  assert.deepEqual(visibleTargets(listed, INITIATOR), [{ name: TARGET, portalGroups: [1] }]);
});

test("an empty list lets nobody in", () => {
  const closed = configuration("/nowhere", { targets: [target({ initiators: [] })] });
  assert.deepEqual(judgeAccess(closed, TARGET, 1, INITIATOR), { kind: "forbidden" });
});

test("a target is found only by its name, through its portal groups", () => {
  const open = configuration("/nowhere");
  assert.deepEqual(judgeAccess(open, OTHER, 1, INITIATOR), { kind: "notFound" });
  assert.deepEqual(judgeAccess(open, TARGET, 2, INITIATOR), { kind: "notFound" });
});

test("a name counts before a pattern, and of patterns the first that fits", () => {
  const entry = (name: string, lun: number) => ({
    name,
    portalGroups: [1],
    auth: null,
    luns: [{ lun, unit: "disk", readOnly: false }],
    limits: null,
  });
  const initiators = [
    entry("iqn.2026-11.io.*", 1),
    entry("iqn.2026-11.io.ringlun:*", 2),
    entry(INITIATOR, 3),
    entry("*", 4),
  ];
  const listed = configuration("/nowhere", { targets: [target({ initiators })] });
  const lunOf = (name: string) => {
    const access = judgeAccess(listed, TARGET, 1, name);
    return access.kind === "granted" ? access.grant.luns[0]?.lun : access.kind;
  };
  assert.equal(lunOf(INITIATOR), 3);
  assert.equal(lunOf(OTHER), 1);
  assert.equal(lunOf("iqn.1998-01.com.vmware:esx1"), 4);
});

test("an initiator that is let in through some portal groups finds the target in those alone", () => {
  const initiators = [{ name: INITIATOR, portalGroups: [2], auth: null, luns: [], limits: null }];
  const listed = configuration("/nowhere", { targets: [target({ portalGroups: [1, 2], initiators })] });
  assert.equal(judgeAccess(listed, TARGET, 2, INITIATOR).kind, "granted");
  assert.equal(judgeAccess(listed, TARGET, 1, INITIATOR).kind, "forbidden");
  assert.deepEqual(visibleTargets(listed, INITIATOR), [{ name: TARGET, portalGroups: [2] }]);
});
