/** Logins in a capture: what control reads and writes itself, up to where a shard goes on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LoginTap, LoginTrace } from "../../../../control/capture/login-trace.js";
import { interfaceDescription, sectionHeader } from "../../../../control/capture/pcapng.js";
import { CAPTURE_LOGIN_BYTES_MAX } from "../../../../control/limits.js";
import { readPcapng } from "../../../support/pcapng-reader.js";

const INITIATOR = "192.0.2.1:40000";
const PORTAL = "192.0.2.9:3260";

function packetsOf(trace: LoginTrace) {
  const head = [
    sectionHeader({ os: "", application: "", comment: "" }),
    interfaceDescription({ name: "logins", description: "" }),
  ];
  return readPcapng(Buffer.concat([...head, ...trace.take(Number.POSITIVE_INFINITY)])).packets;
}

test("both directions, with numbers that go on, and what a shard has to know of it", () => {
  const trace = new LoginTrace(0, 7, 0);
  const tap = new LoginTap(() => trace, INITIATOR, PORTAL);
  assert.equal(tap.position, null);
  tap.take(true, Buffer.alloc(100));
  tap.take(false, Buffer.alloc(60));
  tap.take(true, Buffer.alloc(48));
  assert.deepEqual(
    packetsOf(trace).map(({ isInbound, sequence, comment }) => [isInbound, sequence, comment]),
    [
      [true, 1, "not logged in yet"],
      [false, 1, ""],
      [true, 101, ""],
    ],
  );
  assert.deepEqual(tap.position, { number: 7, received: 148, sent: 60 });
  assert.equal(trace.pdus, 3);
});

test("nothing while there is no capture; a new one begins anew", () => {
  let running: LoginTrace | null = null;
  const tap = new LoginTap(() => running, INITIATOR, PORTAL);
  assert.equal(tap.isOn, false);
  tap.take(true, Buffer.alloc(48));
  running = new LoginTrace(0, 1, 0);
  tap.take(true, Buffer.alloc(48));
  running = null;
  assert.equal(tap.position, null);
  const next = new LoginTrace(0, 2, 0);
  running = next;
  assert.equal(tap.position, null, "what an earlier capture has seen is of no use to this one");
  tap.take(true, Buffer.alloc(50));
  assert.equal(packetsOf(next)[0]?.sequence, 1);
  assert.deepEqual(tap.position, { number: 2, received: 50, sent: 0 });
});

test("a reader who takes nothing: what there is no room for is left out and counted, and the numbers go on", () => {
  const trace = new LoginTrace(0, 1, 0);
  const tap = new LoginTap(() => trace, INITIATOR, PORTAL);
  const length = 8192;
  const count = Math.ceil((CAPTURE_LOGIN_BYTES_MAX * 1.5) / length);
  for (let i = 0; i < count; i++) tap.take(true, Buffer.alloc(length));
  assert(trace.dropped > count / 4 && trace.pdus + trace.dropped === count, `${trace.dropped} of ${count}`);
  packetsOf(trace);
  tap.take(true, Buffer.alloc(length));
  const [packet] = packetsOf(trace);
  assert.equal(packet?.dropped, trace.dropped);
  assert.equal(packet?.sequence, 1 + count * length);
});
