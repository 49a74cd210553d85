import assert from "node:assert/strict";
import { test } from "node:test";
import { Timestamps } from "../../../../control/units/timestamps.js";
import { SlowFixture } from "./slow-fixture.js";

const REPORT = "a30f 00000000 0000ffff 0000";

function set(length: number): string {
  return `a40f 00000000 ${length.toString(16).padStart(8, "0")} 0000`;
}

class Clock {
  nowMs = 0x0123_4567_89ab;
  monotonicMs = 5000.75;
  readonly now = () => this.nowMs;
  readonly monotonic = () => this.monotonicMs;
}

function serve() {
  const clock = new Clock();
  const fixture = new SlowFixture();
  new Timestamps(clock).serve(fixture.commands, fixture.changes);
  return { clock, fixture, session: fixture.login("1") };
}

test("the machine's clock, until somebody sets another", async () => {
  const { clock, fixture, session } = serve();
  assert.equal(await fixture.data(session, REPORT), "000a0300" + "0123456789ab" + "0000");
  clock.nowMs += 0x10;
  assert.equal(await fixture.data(session, REPORT), "000a0300" + "0123456789bb" + "0000");
});

test("a clock that is set goes on from there, whatever becomes of the machine's", async () => {
  const { clock, fixture, session } = serve();
  assert.deepEqual(await fixture.run(session, set(12), "00000000 000000001000 0000"), { kind: "good" });
  clock.nowMs = 0;
  clock.monotonicMs += 0x234;
  assert.equal(await fixture.data(session, REPORT), "000a0200" + "000000001234" + "0000");
  assert.deepEqual(await fixture.run(session, set(12), "00000000 f0ffffffffff 0000"), { kind: "good" });
  assert.equal(await fixture.data(session, REPORT), "000a0200" + "f0ffffffffff" + "0000");
});

test("it wraps after 48 bits", async () => {
  const { clock, fixture, session } = serve();
  await fixture.run(session, set(12), "00000000 f0ffffffffff 0000");
  clock.monotonicMs += 2 ** 47;
  assert.equal(await fixture.data(session, REPORT), "000a0200" + "70ffffffffff" + "0000");
});

test("setting it is told to every other nexus", async () => {
  const { fixture, session } = serve();
  await fixture.run(session, set(12), "00".repeat(12));
  assert.deepEqual(fixture.made, [{ attentions: [{ asc: 0x2a, ascq: 0x10, exceptSessions: [session.sessionId] }] }]);
});

test("lists that are none, short, long or late in time", async () => {
  const { fixture, session } = serve();
  assert.deepEqual(await fixture.run(session, set(0)), { kind: "good" });
  for (const length of [1, 11, 13, 65535]) {
    assert.equal(await fixture.sense(session, set(length), "00".repeat(length)), "5/1a/0");
  }
  assert.equal(await fixture.sense(session, set(12), "00".repeat(11)), "5/1a/0");
  assert.equal(await fixture.sense(session, set(12), "00000000 f10000000000 0000"), "5/26/0 list 4");
  assert.deepEqual(fixture.made, []);
  assert.equal((await fixture.data(session, REPORT)).slice(4, 6), "03");
});

test("every allocation length is legal", async () => {
  const { fixture, session } = serve();
  const whole = await fixture.data(session, REPORT);
  for (const length of [0, 1, 2, 4, 11, 12, 13]) {
    const cdb = `a30f 00000000 ${length.toString(16).padStart(8, "0")} 0000`;
    assert.equal(await fixture.data(session, cdb), whole.slice(0, 2 * length));
  }
});
