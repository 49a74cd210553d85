import assert from "node:assert/strict";
import { readFileSync, writeSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { closeSync, getSocketOption } from "io-uring-node";
import { detach } from "../../../control/handoff.js";
import {
  LOGIN_STATUS_INITIATOR_ERROR,
  LOGIN_STATUS_SERVICE_UNAVAILABLE,
} from "../../../dataplane/wire/login-response.js";

const O_NONBLOCK = 0o4000;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;

/** Both ends of a connection; `ours` is read in paused mode, as the login does. */
async function connectionOf(context: TestContext): Promise<{ ours: Socket; theirs: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  context.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const theirs = connect((server.address() as AddressInfo).port, "127.0.0.1");
  context.after(() => theirs.destroy());
  const ours = await accepted;
  ours.on("readable", () => {});
  ours.on("error", () => {});
  context.after(() => ours.destroy());
  return { ours, theirs };
}

test("the connection lives on in a descriptor made for a shard", async (context) => {
  const { ours, theirs } = await connectionOf(context);
  const detached = detach(ours);
  assert.ok(detached.ok);
  context.after(() => closeSync(detached.fd));
  assert.ok(ours.destroyed);
  await new Promise((resolve) => ours.once("close", resolve));

  const flags = /flags:\s*([0-7]+)/.exec(readFileSync(`/proc/self/fdinfo/${detached.fd}`, "utf8"))?.[1];
  assert.equal(Number.parseInt(flags ?? "", 8) & O_NONBLOCK, 0, "blocking");
  assert.equal(getSocketOption(detached.fd, IPPROTO_TCP, TCP_NODELAY), 1);
  assert.equal(getSocketOption(detached.fd, SOL_SOCKET, SO_KEEPALIVE), 1);

  const received = new Promise<string>((resolve) => theirs.once("data", (data) => resolve(data.toString())));
  writeSync(detached.fd, "final response");
  assert.equal(await received, "final response");
});

test("a connection with bytes that nobody has read is not handed over", async (context) => {
  const { ours, theirs } = await connectionOf(context);
  const readable = new Promise((resolve) => ours.once("readable", resolve));
  theirs.write("too early");
  await readable;
  assert.deepEqual(detach(ours), {
    ok: false,
    status: LOGIN_STATUS_INITIATOR_ERROR,
    reason: "the initiator sent 9 bytes before the login was done",
  });
  // It can still be told so, and read to its end.
  const received = new Promise<string>((resolve) => theirs.once("data", (data) => resolve(data.toString())));
  ours.write("refused");
  assert.equal(await received, "refused");
  theirs.end(" and more");
  const ended = new Promise((resolve) => ours.once("end", resolve));
  ours.removeAllListeners("readable");
  let rest = "";
  ours.on("data", (data) => {
    rest += data.toString();
  });
  await ended;
  assert.equal(rest, "too early and more");
});

test("a connection that is gone is not handed over", async (context) => {
  const { ours } = await connectionOf(context);
  ours.destroy();
  assert.deepEqual(detach(ours), {
    ok: false,
    status: LOGIN_STATUS_SERVICE_UNAVAILABLE,
    reason: "the connection is gone",
  });
});
