/** Targets that get another name, and secrets that are replaced, while sessions go on. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Secret } from "../../../control/config/secret.js";
import type { InitiatorConnection } from "../../../control/initiator/connection.js";
import { InitiatorError } from "../../../control/initiator/initiator-error.js";
import { logIn } from "../../../control/initiator/login.js";
import { testUnitReady } from "../../../control/initiator/requests.js";
import { LOGIN_STATUS_AUTHENTICATION_FAILURE, LOGIN_STATUS_NOT_FOUND } from "../../../dataplane/wire/login-response.js";
import { type Places, RunningTarget } from "../../support/target.js";

const [PLAIN, RENAMED, LOCKED] = ["plain", "renamed", "locked"].map((name) => `iqn.2026-11.io.ringlun:${name}`);
const [OLD, NEW] = ["the old secret of alice", "the new secret of alice"];
const TIMEOUT_MS = 20_000;

const config =
  (plain: string, secret: string) =>
  ({ port }: Places) =>
    `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - { name: "${plain}", portalGroups: [1], luns: { 0: disk } }
  - { name: "${LOCKED}", portalGroups: [1], luns: { 0: disk }, auth: { chap: [{ user: alice, secret: "${secret}" }] } }
units: { disk: { null: true, size: 1MiB } }
workers: 1
`;

let target: RunningTarget;

before(async () => {
  target = await RunningTarget.start({ config: config(PLAIN!, OLD!) });
});

after(() => target.stop());

async function reload(next: (places: Places) => string): Promise<void> {
  const from = target.log.length;
  await target.configure(next(target.places));
  target.reload();
  await target.waitForLog(/configuration (not )?reloaded/, undefined, from);
}

function connect(targetName: string, secret?: string): Promise<InitiatorConnection> {
  const chap = secret === undefined ? {} : { chap: { user: "alice", secret: new Secret(Buffer.from(secret)) } };
  const wish = { initiatorName: "iqn.2026-11.io.ringlun:host", targetName, timeoutMs: TIMEOUT_MS, ...chap };
  return logIn({ host: "127.0.0.1", port: target.port }, wish);
}

const isRefused = (status: number) => (error: InitiatorError) => error.status === status;
const isReady = async (connection: InitiatorConnection) =>
  assert.deepEqual(await testUnitReady(connection, 0, TIMEOUT_MS), { status: 0, sense: null });

test("a secret that is replaced counts for every login from now on; sessions go on", async (context) => {
  await assert.rejects(connect(LOCKED!, NEW), isRefused(LOGIN_STATUS_AUTHENTICATION_FAILURE));
  const session = await connect(LOCKED!, OLD);
  context.after(() => session.close());
  await isReady(session);
  await reload(config(PLAIN!, NEW!));
  await isReady(session);
  await assert.rejects(connect(LOCKED!, OLD), isRefused(LOGIN_STATUS_AUTHENTICATION_FAILURE));
  const next = await connect(LOCKED!, NEW);
  await isReady(next);
  next.close();
  await isReady(session);
  assert.ok(target.log.every((line) => !line.includes(NEW!) && !line.includes(OLD!)));
});

test("a target that gets another name is another one: its sessions end, those of others go on", async (context) => {
  await reload(config(PLAIN!, OLD!));
  const [mine, others] = [await connect(PLAIN!), await connect(LOCKED!, OLD)];
  context.after(() => others.close());
  await isReady(mine);
  await reload(config(RENAMED!, OLD!));
  await assert.rejects(
    async () => {
      for (;;) await isReady(mine);
    },
    (error) => error instanceof InitiatorError && error.failure === "unreachable",
  );
  await isReady(others);
  await assert.rejects(connect(PLAIN!), isRefused(LOGIN_STATUS_NOT_FOUND));
  const again = await connect(RENAMED!);
  await isReady(again);
  again.close();
});
