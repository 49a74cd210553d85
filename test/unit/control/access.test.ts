import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeAccess, visibleTargets } from "../../../control/access.js";
import { Secret } from "../../../control/config/secret.js";
import { configuration, INITIATOR, nullUnit, TARGET, target } from "./support/fixtures.js";

const OTHER = "iqn.2026-11.io.ringlun:other";
const AUTH = { chap: [{ user: "alice", secret: new Secret(Buffer.alloc(16)) }], mutual: null };

test("without a list every initiator has what the target has", () => {
  const open = configuration("/nowhere");
  const access = judgeAccess(open, TARGET, 1, INITIATOR);
  assert.deepEqual(access, {
    kind: "granted",
    grant: { target: open.targets[0], auth: null, luns: open.targets[0]!.luns },
  });
});

test("with a list, those on it have what their entry says, and nobody else has access", () => {
  const luns = [{ lun: 3, unit: "iso", readOnly: true }];
  const listed = configuration("/nowhere", {
    targets: [target({ initiators: [{ name: INITIATOR, auth: AUTH, luns }] })],
    units: [nullUnit(), nullUnit("iso")],
  });
  const access = judgeAccess(listed, TARGET, 1, INITIATOR);
  assert.equal(access.kind, "granted");
  assert.deepEqual(access.kind === "granted" && [access.grant.auth, access.grant.luns], [AUTH, luns]);
  assert.deepEqual(judgeAccess(listed, TARGET, 1, OTHER), { kind: "forbidden" });
  assert.deepEqual(visibleTargets(listed, OTHER), []);
  assert.deepEqual(visibleTargets(listed, INITIATOR), listed.targets);
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
