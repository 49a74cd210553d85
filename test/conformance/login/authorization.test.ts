import assert from "node:assert/strict";
import { test } from "node:test";
import {
  configOf,
  goesOn,
  NAMES,
  refused,
  STATUS_AUTHORIZATION_FAILURE,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const target = startTarget(
  configOf({ target: `initiators: [{ name: "${NAMES.InitiatorName}" }, { name: iqn.2026-11.io.ringlun:second }]` }),
);

test("RFC 7143 11.13.5: an initiator that is not on the target's list: 0202h", async () => {
  for (const InitiatorName of ["iqn.2026-11.io.ringlun:stranger", `${NAMES.InitiatorName}x`, "iqn"]) {
    const options = { ...TO_FULL_FEATURE, keys: { ...NAMES, InitiatorName } };
    await refused(await target.connect(), options, STATUS_AUTHORIZATION_FAILURE, InitiatorName);
  }
});

test("RFC 7143 4.2.7.2: one that is on it, in whichever case, is let in", async () => {
  for (const InitiatorName of [NAMES.InitiatorName, "iqn.2026-11.io.ringlun:second", "IQN.2026-11.io.RingLUN:Second"]) {
    const initiator = await target.connect();
    await goesOn(initiator, { ...TO_FULL_FEATURE, keys: { ...NAMES, InitiatorName } });
    assert.equal((await initiator.ping()).opcode, 0x20);
  }
});
