/** Not a requirement of RFC 7143, but of those who restart a target under hundreds of hosts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { assertSettles, HTTP, residentBytes, takeCensus } from "./census.js";
import { configOf, startTarget } from "./fixture.js";

const target = startTarget((places) => configOf({ top: HTTP(places.httpPort) })(places));
const MIB = 1024 * 1024;

test("200 logins at once from one address: every one of them succeeds", async () => {
  (await target.login()).destroy();
  await assertSettles(target.running, { ...(await takeCensus(target.running)), sessions: 0, connections: 0 });
  const before = await takeCensus(target.running);
  const initiators = await Promise.all(Array.from({ length: 200 }, target.login));
  const { sessions } = await takeCensus(target.running);
  assert.equal(sessions, 200);
  await Promise.all(initiators.map((initiator) => initiator.ping()));
  for (const initiator of initiators) initiator.destroy();
  await assertSettles(target.running, before);
});

test("1,000 idle sessions: less than 64 MiB, all alive, and nothing is left of them", async () => {
  const before = await takeCensus(target.running);
  const bytesBefore = await residentBytes(target.running);
  const initiators: RawInitiator[] = [];
  for (let batch = 0; batch < 10; batch++) {
    initiators.push(...(await Promise.all(Array.from({ length: 100 }, target.login))));
  }
  const cost = (await residentBytes(target.running)) - bytesBefore;
  assert.ok(cost < 64 * MIB, `${(cost / MIB).toFixed(1)} MiB`);
  assert.equal((await takeCensus(target.running)).sessions, 1000);
  await Promise.all(initiators.map((initiator) => initiator.ping()));
  for (const initiator of initiators) initiator.destroy();
  await assertSettles(target.running, before);
});
