/** What the log says of logins and logouts: one line each, with who, to what, and why. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LOGOUT_OVERDUE } from "../../../dataplane/messages.js";
import { OPCODE_SCSI_COMMAND } from "../../../dataplane/wire/bhs.js";
import { LOGIN_STATUS_NOT_FOUND } from "../../../dataplane/wire/login-response.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { ringlun } from "../../support/ringlun.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";

type Line = Readonly<Record<string, unknown>>;

const PREFIX = "iqn.2026-11.io.ringlun:log";
const PINGED_NAME = `${TARGET_NAME}.pinged`;
const PING_INTERVAL_S = 1;

let target: RunningTarget;

before(async () => {
  target = await RunningTarget.start({
    config: ({ port }) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - { name: ${TARGET_NAME}, portalGroups: [1], luns: { 0: disk } }
  - { name: ${PINGED_NAME}, portalGroups: [1], pingInterval: ${PING_INTERVAL_S}, luns: { 0: disk } }
units: { disk: { file: ./disk.img, size: 1MiB, cache: writeback } }
workers: 1
`,
  });
});

after(() => target.stop());

async function login(name: string, targetName = TARGET_NAME): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({ targetName, initiatorName: `${PREFIX}.${name}` });
  return initiator;
}

/** All lines of this initiator, when there is one with this message. */
async function linesOf(initiator: string, message: string): Promise<Line[]> {
  const name = initiator.replaceAll(/[.\\]/g, "\\$&");
  await target.waitForLog(new RegExp(`"initiator":"${name}".*"msg":"${message}"`));
  const lines = target.log.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Line);
  return lines.filter((line) => line.initiator === JSON.parse(`"${initiator}"`));
}

/** A login and its end: two lines, and the reason of the second. */
async function reasonOf(name: string, targetName = TARGET_NAME): Promise<unknown> {
  const initiator = `${PREFIX}.${name}`;
  const lines = await linesOf(initiator, "logged out");
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ["logged in", "logged out"],
  );
  const [first, last] = lines as [Line, Line];
  const same = { sessionId: first.sessionId, initiator, target: targetName, peer: first.peer, cid: 0, shard: 0 };
  assert.equal(typeof first.sessionId, "number");
  assert.match(String(first.peer), /^127\.0\.0\.1:\d+$/);
  for (const line of [first, last]) assert.deepEqual({ ...line, ...same }, line);
  return last.reason;
}

describe("a logout says why", () => {
  test("the initiator's own", async () => {
    const initiator = await login("own");
    await initiator.logout();
    initiator.destroy();
    assert.equal(await reasonOf("own"), "logout");
  });

  test("a connection that is closed", async () => {
    (await login("gone")).destroy();
    assert.match(String(await reasonOf("gone")), /^the initiator closed the connection$|^receive failed/);
  });

  test("a session that takes its place", async (context) => {
    const old = await login("twice");
    const session = new SessionNumbers({ isid: old.session.isid });
    const next = await RawInitiator.connect(target.port, { session });
    await next.login({ targetName: TARGET_NAME, initiatorName: `${PREFIX}.twice` });
    context.after(() => {
      old.destroy();
      next.destroy();
    });
    const lines = await linesOf(`${PREFIX}.twice`, "logged out");
    const ended = lines.filter(({ msg }) => msg === "logged out");
    assert.deepEqual(
      ended.map(({ reason }) => reason),
      ["session reinstatement"],
    );
  });

  test("an initiator that does not answer", async (context) => {
    const initiator = await login("silent", PINGED_NAME);
    context.after(() => initiator.destroy());
    assert.equal(await reasonOf("silent", PINGED_NAME), `no answer to a NOP-In for ${PING_INTERVAL_S} s`);
  });

  test("what is against the protocol", async (context) => {
    const initiator = await login("wrong");
    context.after(() => initiator.destroy());
    // A SCSI Command with F and W clear, which promises data that it does not announce.
    await initiator.sendBytes(Buffer.alloc(48).fill(OPCODE_SCSI_COMMAND, 0, 1));
    assert.match(String(await reasonOf("wrong")), /^format error/);
  });

  test("an administrator", async (context) => {
    const initiator = await login("admin");
    context.after(() => initiator.destroy());
    const [{ sessionId }] = (await linesOf(`${PREFIX}.admin`, "logged in")) as [Line];
    assert.equal((await ringlun("sessions", "end", String(sessionId), "--config", target.configPath)).code, 0);
    assert.equal(await reasonOf("admin"), "ended by an administrator");
  });

  test("a discovery session", async () => {
    const initiator = await RawInitiator.connect(target.port);
    await initiator.login({ initiatorName: `${PREFIX}.discovery` });
    await initiator.logout();
    initiator.destroy();
    const lines = await linesOf(`${PREFIX}.discovery`, "logged out");
    assert.deepEqual(
      lines.map(({ msg, type, target: of, reason }) => [msg, type, of, reason]),
      [
        ["logged in", "discovery", undefined, undefined],
        ["logged out", "discovery", undefined, "logout"],
      ],
    );
  });
});

describe("a login that fails says who, to what, and why", () => {
  test("with its status", async () => {
    const initiator = await RawInitiator.connect(target.port);
    const refused = initiator.login({ targetName: `${TARGET_NAME}.none`, initiatorName: `${PREFIX}.refused` });
    await assert.rejects(refused, new RegExp(LOGIN_STATUS_NOT_FOUND.toString(16)));
    initiator.destroy();
    const lines = await linesOf(`${PREFIX}.refused`, "login failed");
    assert.equal(lines.length, 1);
    const { target: asked, status, reason, level } = lines[0]!;
    assert.equal(asked, `${TARGET_NAME}.none`);
    assert.match(String(status), /not found/i);
    assert.equal(typeof reason, "string");
    assert.equal(level, 30);
  });

  test("whatever it calls itself: a line stays a line, of which a terminal shows nothing but text", async () => {
    const initiator = await RawInitiator.connect(target.port);
    const from = target.log.length;
    const name = 'x","msg":"logged in"\n\u001b[2J\u009b31m';
    await assert.rejects(initiator.login({ targetName: TARGET_NAME, initiatorName: name }), /refused/);
    initiator.destroy();
    const line = await target.waitForLog(/"msg":"login failed"/, undefined, from);
    const { initiator: said, msg } = JSON.parse(line) as Line;
    assert.equal(msg, "login failed");
    assert.equal(said, String.raw`x","msg":"logged in"\u000a\u001b[2J\u009b31m`);
  });
});

test("at the end everybody who is left is told, and said to be", async () => {
  const initiator = await login("last");
  await target.terminate();
  initiator.destroy();
  // It was asked to log out; a machine that is busy may look at it when all time is over.
  assert([LOGOUT_OVERDUE, "the target stops"].includes(String(await reasonOf("last"))));
});
