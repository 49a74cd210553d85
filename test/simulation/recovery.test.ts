/**
 * Connections are cut, digests damaged, PDUs lost, at random, under a verified load and while task sets are aborted and units reset: no
 * wrong byte, no lost or doubled write, no hang, at ErrorRecoveryLevel 0, 1 and 2 (RFC 7143 chapter 7).
 */
import assert from "node:assert/strict";
import test from "node:test";
import { GIVEN_SEED } from "../support/seed.js";
import { recover } from "../support/simulation/recovery-simulation.js";
import { seeds } from "../support/simulation/seeds.js";

const chosen = seeds(40);

const TASK_SET_FUNCTIONS = ["ABORT TASK SET", "CLEAR TASK SET", "LOGICAL UNIT RESET", "TARGET WARM RESET"];
/** What has to happen in a run, so that nothing is proved by nothing: faults at least, and what follows at each level. */
const EXPECTED = [
  { faults: 200, recoveries: ["session recovery"] },
  { faults: 400, recoveries: ["Data/R2T SNACK", "Status SNACK", "DataACK SNACK", "R-Data SNACK", "command retried"] },
  {
    faults: 400,
    recoveries: [
      "TASK REASSIGN",
      "TASK REASSIGN with ExpDataSN",
      "connection recovery by its CID",
      "connection recovery by Logout",
      "command retried on another connection",
    ],
  },
];

for (const [errorRecoveryLevel, expected] of EXPECTED.entries()) {
  test(`ErrorRecoveryLevel ${errorRecoveryLevel}: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
    const { faults, recoveries } = recover(chosen, errorRecoveryLevel);
    if (GIVEN_SEED !== undefined) return;
    assert.ok(faults.total >= expected.faults, `${faults.total} faults`);
    for (const what of [...expected.recoveries, ...TASK_SET_FUNCTIONS]) assert.ok(recoveries.of(what) > 0, what);
  });
}
