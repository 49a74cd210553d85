import assert from "node:assert/strict";
import { test } from "node:test";
import { PRIORITIES_PER_UNIT_MAX } from "../../../../control/limits.js";
import { Priorities } from "../../../../control/units/priorities.js";
import { INITIATOR } from "../support/fixtures.js";
import { SlowFixture } from "./slow-fixture.js";

const REPORT_OWN = "a30e 00 000000 0000ffff 0000";
const REPORT_ALL = "a30e 40 000000 0000ffff 0000";
const OWN = "00";
const ONE = "40";
const ALL = "80";

function set(scope: string, length: number): string {
  return `a40e ${scope} 000000 ${length.toString(16).padStart(8, "0")} 0000`;
}

function transportId(isid: string, initiator = INITIATOR): string {
  const text = Buffer.from(`${initiator},i,0x${isid.padStart(12, "0")}`);
  const padded = Buffer.alloc((text.length + 4) & ~3);
  text.copy(padded);
  return `4500${padded.length.toString(16).padStart(4, "0")}${padded.toString("hex")}`;
}

function descriptor(priority: number, isid: string, port = 1): string {
  const id = transportId(isid);
  const length = (id.length / 2).toString(16).padStart(4, "0");
  return `0${priority}00${port.toString(16).padStart(4, "0")}0000${length}${id}`;
}

function reported(...descriptors: string[]): string {
  const data = descriptors.join("");
  return (data.length / 2).toString(16).padStart(8, "0") + data;
}

function serve() {
  const fixture = new SlowFixture();
  const priorities = new Priorities({ sessions: () => fixture.registry.sessions(), targetPorts: () => [1, 2] });
  priorities.serve(fixture.commands, fixture.changes);
  return { fixture, priorities };
}

test("a nexus that was given none has the initial priority, and is in no list", async () => {
  const { fixture } = serve();
  const session = fixture.login("a1");
  assert.equal(await fixture.data(session, REPORT_OWN), reported(descriptor(0, "a1")));
  assert.equal(await fixture.data(session, REPORT_ALL), "00000000");
});

test("one's own priority", async () => {
  const { fixture } = serve();
  const [one, other] = [fixture.login("a1"), fixture.login("b2", 2)];
  assert.deepEqual(await fixture.run(one, set(OWN, 1), "07"), { kind: "good" });
  assert.deepEqual(await fixture.run(other, set(OWN, 8), "fe00000000000000"), { kind: "good" });
  assert.equal(await fixture.data(one, REPORT_OWN), reported(descriptor(7, "a1")));
  assert.equal(
    await fixture.data(one, REPORT_ALL),
    reported(descriptor(7, "a1"), `0e${descriptor(0, "b2", 2).slice(2)}`),
  );
  assert.deepEqual(await fixture.run(one, set(OWN, 1), "00"), { kind: "good" });
  assert.equal(await fixture.data(one, REPORT_ALL), reported(`0e${descriptor(0, "b2", 2).slice(2)}`));
  assert.equal(await fixture.sense(one, set(OWN, 0)), "5/1a/0");
  assert.deepEqual(fixture.made, []);
});

test("another's priority, of which it is told", async () => {
  const { fixture } = serve();
  const [one, other] = [fixture.login("a1"), fixture.login("b2")];
  const list = descriptor(5, "b2");
  assert.deepEqual(await fixture.run(one, set(ONE, list.length / 2), list), { kind: "good" });
  assert.equal(await fixture.data(other, REPORT_OWN), reported(descriptor(5, "b2")));
  assert.equal(await fixture.data(one, REPORT_OWN), reported(descriptor(0, "a1")));
  assert.deepEqual(fixture.made, [{ attentions: [{ asc: 0x2a, ascq: 0x08, onlySessions: [other.sessionId] }] }]);
});

test("the initial priority for all, of which all others are told", async () => {
  const { fixture } = serve();
  const session = fixture.login("a1");
  await fixture.run(session, set(OWN, 1), "07");
  assert.deepEqual(await fixture.run(session, set(ALL, 0)), { kind: "good" });
  assert.equal(await fixture.data(session, REPORT_ALL), "00000000");
  assert.deepEqual(fixture.made, [{ attentions: [{ asc: 0x2a, ascq: 0x08, exceptSessions: [session.sessionId] }] }]);
});

test("priorities end with a reset, not with the nexus", async () => {
  const { fixture, priorities } = serve();
  await fixture.run(fixture.login("a1"), set(OWN, 1), "07");
  const again = fixture.login("c3");
  assert.equal(await fixture.data(again, REPORT_ALL), reported(descriptor(7, "a1")));
  priorities.unitReset(fixture.unit.unitIndex);
  assert.equal(await fixture.data(again, REPORT_ALL), "00000000");
});

test("lists that are short, and nexuses that there cannot be, are refused", async () => {
  const { fixture } = serve();
  const session = fixture.login("a1");
  const list = descriptor(5, "b2");
  for (const length of [0, 1, 7, 8, 20, list.length / 2 - 1]) {
    assert.equal(await fixture.sense(session, set(ONE, length), list.slice(0, 2 * length)), "5/1a/0");
  }
  assert.equal(await fixture.sense(session, set(ONE, list.length / 2), list.slice(2)), "5/1a/0");
  assert.equal(await fixture.sense(session, set(ONE, list.length / 2), descriptor(5, "b2", 9)), "5/26/0 list 2");
  const device = `0500000100000018${`05000014${Buffer.from("iqn.2026-11.io.a\0\0\0\0").toString("hex")}`}`;
  assert.equal(await fixture.sense(session, set(ONE, device.length / 2), device), "5/26/0 list 8");
  const bad = `${list.slice(0, 16)}46${list.slice(18)}`;
  assert.equal(await fixture.sense(session, set(ONE, bad.length / 2), bad), "5/26/0 list 8");
  assert.equal(await fixture.sense(session, set("c0", 8), "00".repeat(8)), "5/24/0 cdb 2.7");
  assert.equal(await fixture.sense(session, "a30e 80 000000 0000ffff 0000"), "5/24/0 cdb 2.7");
  assert.equal(await fixture.data(session, REPORT_ALL), "00000000");
});

test("no more are kept than there is a bound for", async () => {
  const { fixture } = serve();
  const session = fixture.login("a1");
  const setOne = (isid: number, priority = 3) => {
    const list = descriptor(priority, isid.toString(16));
    return fixture.run(session, set(ONE, list.length / 2), list);
  };
  for (let isid = 0; isid < PRIORITIES_PER_UNIT_MAX; isid++) await setOne(isid);
  const { kind, ...refused } = await setOne(PRIORITIES_PER_UNIT_MAX);
  assert.deepEqual([kind, refused], ["sense", { senseKey: 5, asc: 0x55, ascq: 0x03 }]);
  assert.deepEqual(await setOne(0, 4), { kind: "good" });
  assert.deepEqual(await setOne(0, 0), { kind: "good" });
  assert.deepEqual(await setOne(PRIORITIES_PER_UNIT_MAX), { kind: "good" });
});
