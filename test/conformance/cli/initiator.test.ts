/** `ringlun discover` and `ringlun ping`: an initiator that asks any target (RFC 7143 appendix C, section 11.18). */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hasIPv6Loopback } from "../../../control/config/demo.js";
import { Secret } from "../../../control/config/secret.js";
import type { InitiatorError } from "../../../control/initiator/initiator-error.js";
import { type LoginWish, logIn } from "../../../control/initiator/login.js";
import { echo, logOut, sendTargets, testUnitReady } from "../../../control/initiator/requests.js";
import {
  LOGIN_STATUS_AUTHENTICATION_FAILURE,
  LOGIN_STATUS_AUTHORIZATION_FAILURE,
  LOGIN_STATUS_NOT_FOUND,
  LOGIN_STATUS_TARGET_MOVED_TEMPORARILY,
} from "../../../dataplane/wire/login-response.js";
import { command } from "../../support/administration.js";
import { type Places, RunningTarget } from "../../support/target.js";

const TARGETS = 200;
const name = (index: number | string) => `iqn.2026-11.io.ringlun:a-name-that-takes-its-room-${index}`;
const SECRET = "0123456789abcdef";
const MUTUAL = "fedcba9876543210";
const hasIPv6 = hasIPv6Loopback();

const config = ({ port }: Places) => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"${hasIPv6 ? `, "[::1]:${port}"` : ""}] }
targets:
${Array.from({ length: TARGETS }, (_, i) => `  - { name: "${name(i)}", portalGroups: [1], luns: { 0: disk } }`).join("\n")}
  - name: "${name("locked")}"
    portalGroups: [1]
    luns: { 0: disk }
    auth: { chap: [{ user: alice, secret: "${SECRET}" }], mutual: { user: target, secret: "${MUTUAL}" } }
  - { name: "${name("listed")}", portalGroups: [1], luns: {}, initiators: [{ name: "iqn.2026-11.a:b" }] }
units: { disk: { null: true, size: 1GiB } }
workers: 1
`;

let target: RunningTarget;
/** Accepts, and says nothing. */
let silent: Server;
let silentPort: number;

before(async () => {
  target = await RunningTarget.start({ config });
  silent = createServer((socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  silentPort = (silent.address() as { port: number }).port;
});

after(async () => {
  silent.close();
  await target.stop();
});

const WISH: LoginWish = { initiatorName: "iqn.2026-11.io.ringlun:host", timeoutMs: 20_000 };
const portal = (host = "127.0.0.1") => ({ host, port: target.port });
const credential = (user: string, secret: string) => ({ user, secret: new Secret(Buffer.from(secret)) });

async function refusal(wish: Partial<LoginWish>, port = target.port): Promise<InitiatorError> {
  try {
    await logIn({ host: "127.0.0.1", port }, { ...WISH, ...wish });
  } catch (error) {
    return error as InitiatorError;
  }
  throw new Error("the login came off");
}

describe("SendTargets", () => {
  test("gives all targets, over as many PDUs as it takes", async () => {
    const connection = await logIn(portal(), WISH);
    const targets = await sendTargets(connection, WISH.timeoutMs);
    await logOut(connection, WISH.timeoutMs);
    assert.equal(targets.length, TARGETS + 1, "all but the one that does not list us");
    const addresses = hasIPv6 ? [`127.0.0.1:${target.port}`, `[::1]:${target.port}`] : [`127.0.0.1:${target.port}`];
    assert.deepEqual(targets[7], {
      name: name(7),
      portals: addresses.map((address) => ({ address, portalGroupTag: 1 })),
    });
  });

  test("over IPv6", { skip: !hasIPv6 && "this machine has no IPv6" }, async () => {
    const connection = await logIn(portal("::1"), WISH);
    assert.equal((await sendTargets(connection, WISH.timeoutMs)).length, TARGETS + 1);
    connection.close();
  });
});

describe("a login", () => {
  test("proves who it is, and has the target prove itself", async () => {
    const chap = credential("alice", SECRET);
    const wish = { ...WISH, targetName: name("locked"), chap };
    for (const mutual of [undefined, credential("target", MUTUAL)]) {
      const connection = await logIn(portal(), mutual === undefined ? wish : { ...wish, mutual });
      await echo(connection, WISH.timeoutMs);
      connection.close();
    }
    for (const mutual of [credential("target", "another secret"), credential("somebody", MUTUAL)]) {
      assert.match((await refusal({ ...wish, mutual })).message, /the target has not proven itself/);
    }
  });

  test("that is refused says with which status, and what to do", async () => {
    const wanted: [Partial<LoginWish>, number, RegExp][] = [
      [
        { targetName: name("locked") },
        LOGIN_STATUS_AUTHENTICATION_FAILURE,
        /0201 authentication failure; it wants CHAP: give --user/,
      ],
      [
        { targetName: name("locked"), chap: credential("alice", "a wrong secret") },
        LOGIN_STATUS_AUTHENTICATION_FAILURE,
        /the secret is wrong/,
      ],
      [{ targetName: name("listed") }, LOGIN_STATUS_AUTHORIZATION_FAILURE, /0202 .*is not among its initiators/],
      [{ targetName: name("none") }, LOGIN_STATUS_NOT_FOUND, /0203 not found; .*see ringlun discover/],
    ];
    for (const [wish, status, message] of wanted) {
      const error = await refusal(wish);
      assert.deepEqual([error.failure, error.status], ["refused", status], error.message);
      assert.match(error.message, message);
    }
    const needless = await refusal({ targetName: name(1), chap: credential("alice", SECRET) });
    assert.match(needless.message, /0201 authentication failure; .* or it wants no CHAP/);
  });

  test("goes where it is sent, and not round in circles", async () => {
    const answer = (request: Buffer, to: string) => {
      const text = Buffer.from(`TargetAddress=${to}\0`);
      const response = Buffer.alloc(48 + ((text.length + 3) & ~3));
      response[0] = 0x23;
      response.writeUInt32BE(text.length, 4);
      request.copy(response, 8, 8, 20);
      response.writeUInt16BE(LOGIN_STATUS_TARGET_MOVED_TEMPORARILY, 36);
      text.copy(response, 48);
      return response;
    };
    let to = "";
    const mover = createServer((socket) => {
      socket.on("error", () => {}).once("data", (request: Buffer) => socket.end(answer(request, to)));
    });
    await new Promise<void>((resolve) => mover.listen(0, "127.0.0.1", resolve));
    const { port } = mover.address() as { port: number };
    try {
      to = `127.0.0.1:${target.port},1`;
      const connection = await logIn({ host: "127.0.0.1", port }, { ...WISH, targetName: name(1) });
      assert.equal(connection.address.port, target.port);
      await logOut(connection, WISH.timeoutMs);
      to = `127.0.0.1:${port}`;
      assert.match((await refusal({ targetName: name(1) }, port)).message, /sent elsewhere 4 times/);
      to = "nowhere at all";
      assert.match((await refusal({ targetName: name(1) }, port)).message, /"nowhere at all", which is no address/);
    } finally {
      mover.close();
    }
  });

  test("ends within its time, whoever does not answer", async () => {
    const error = await refusal({ timeoutMs: 100 }, silentPort);
    assert.deepEqual(
      [error.failure, error.message],
      ["silent", `127.0.0.1:${silentPort} has not answered within 0.1 s`],
    );
  });
});

test("commands are answered, an answer that is none is no answer, and a unit says what is the matter with it", async () => {
  const connection = await logIn(portal(), { ...WISH, targetName: name(0) });
  assert.deepEqual(await testUnitReady(connection, 0, WISH.timeoutMs), { status: 0, sense: null });
  // ILLEGAL REQUEST, LOGICAL UNIT NOT SUPPORTED
  assert.deepEqual(await testUnitReady(connection, 300, WISH.timeoutMs), { status: 2, sense: "5/25/00" });
  for (let count = 0; count < 100; count++) await echo(connection, WISH.timeoutMs);
  await logOut(connection, WISH.timeoutMs);
});

describe("the command line", () => {
  test("ping says what a command has ended with", async () => {
    const { code, stdout } = await command("ping", `127.0.0.1:${target.port}`, name(0), "300", "--count", "1");
    assert.equal(code, 0);
    assert.match(stdout, /^1: .* {2}CHECK CONDITION 5\/25\/00 \(illegal request\)$/m);
  });

  test("ping prints a line for each, and a summary", async () => {
    const args = ["ping", `127.0.0.1:${target.port}`, name(0), "--count", "2", "--interval", "0.01"];
    const { code, stdout, stderr } = await command(...args);
    assert.equal(code, 0, stderr);
    const time = String.raw`[\d.]+ (us|ms|s)`;
    assert.match(stdout, new RegExp(`^2: NOP-Out ${time}  TEST UNIT READY ${time}$`, "m"));
    assert.match(stdout, /^2 of 2 answered$/m);
    assert.match(stdout, new RegExp(`^NOP-Out +min ${time}, avg ${time}, p99 ${time}, max ${time}$`, "m"));
  });

  test("discover prints a table, or JSON, with a secret from a file", async () => {
    const secretFile = join(target.places.directory, "alice.secret");
    await writeFile(secretFile, `${SECRET}\n`, { mode: 0o600 });
    const found = await command("discover", `127.0.0.1:${target.port}`, "--json", "--initiator", "iqn.2026-11.a:b");
    assert.equal(found.code, 0, found.stderr);
    assert.equal(JSON.parse(found.stdout).length, TARGETS + 2);
    const pinged = await command(
      ...["ping", `127.0.0.1:${target.port}`, name("locked"), "--count", "1", "--json"],
      ...["--user", "alice", "--secret-file", secretFile],
    );
    assert.equal(pinged.code, 0, pinged.stderr);
    const [line, summary] = pinged.stdout
      .trim()
      .split("\n")
      .map((text) => JSON.parse(text));
    assert.deepEqual([line.sequence, line.status, summary.answered], [1, 0, 1]);
  });

  test("says by its exit code whether nobody is there, what was given is wrong, or it was refused", async () => {
    const results = await Promise.all([
      command("discover", `127.0.0.1:${silentPort}`, "--wait", "0.2"),
      command("discover", "::1"),
      command("ping", `127.0.0.1:${target.port}`, name("none")),
      command("status", "--url", `http://127.0.0.1:${silentPort}`, "--wait", "1"),
    ]);
    assert.deepEqual(
      results.map(({ code }) => code),
      [1, 2, 3, 1],
      JSON.stringify(results),
    );
    assert.match(results[0].stderr, /has not answered within 0.2 s/);
    assert.match(results[1].stderr, /without brackets/);
    assert.match(results[3].stderr, /does not answer within 1 s: what was asked for may be done or not/);
  });
});
