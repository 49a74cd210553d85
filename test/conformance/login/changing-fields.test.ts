import { test } from "node:test";
import { STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { goesOn, NAMES, refused, STATUS_INITIATOR_ERROR, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();

for (const [section, field] of [
  ["6.3", "initiatorTaskTag"],
  ["11.12.6", "tsih"],
  ["11.12.7", "cid"],
] as const) {
  test(`RFC 7143 ${section}: ${field} is the same in all Login Requests of a Login Phase: else 0200h`, async () => {
    const initiator = await target.connect();
    await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
    await refused(initiator, { ...TO_FULL_FEATURE, fields: { [field]: 1 } }, STATUS_INITIATOR_ERROR);
  });
}

test("RFC 7143 6.3, 11.12.5: so is the ISID", async () => {
  const initiator = await target.connect();
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
  initiator.session.isid[5] = 1;
  await refused(initiator, TO_FULL_FEATURE, STATUS_INITIATOR_ERROR);
});
