/** From a command to the shards and back: what is durable when, who is told, and what a nexus gets that logs in. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Broadcasts } from "../../../../../control/broadcasts.js";
import { StateDirectory } from "../../../../../control/config/state-directory.js";
import { type Session, SessionRegistry, SHARD_NONE } from "../../../../../control/session-registry.js";
import { StatisticsMemory } from "../../../../../control/statistics.js";
import type { Nexus } from "../../../../../control/units/reservations/nexus.js";
import { Reservations } from "../../../../../control/units/reservations/reservations.js";
import { SlowCommands } from "../../../../../control/units/slow-commands.js";
import { UnitChanges } from "../../../../../control/units/unit-changes.js";
import { Units } from "../../../../../control/units/units.js";
import type { ControlMessage, ScsiAnswer, UnitChange } from "../../../../../dataplane/messages.js";
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
} from "../../../../../dataplane/scsi/command.js";
import { temporaryFolder } from "../../../../support/undo.js";
import { AGREEMENT, FakeShards, nullUnit, silent } from "../../support/fixtures.js";
import {
  A,
  APTPL,
  B,
  basicList,
  C,
  CLEAR,
  type Command,
  hex,
  key,
  PREEMPT_AND_ABORT,
  REGISTER,
  RESERVE,
  transportId,
} from "./fixture.js";

const UUID = "0f6ef6a4-1c69-4d6f-9b0a-5b7b6f1f8c3e";
const UNIT_INDEX = 0;
const GOOD: ScsiAnswer = { kind: "good" };
const CONFLICT: ScsiAnswer = { kind: "status", status: 0x18 };

class Setup {
  readonly registry: SessionRegistry = new SessionRegistry(1, 100, (session) =>
    this.reservations.sessionClosed(session),
  );
  readonly shards = new FakeShards(2);
  readonly units = new Units(silent, new StatisticsMemory(2));
  readonly reservations: Reservations;
  readonly commands: SlowCommands;
  readonly broadcasts = new Broadcasts(this.shards);
  /** What PREEMPT AND ABORT has aborted: a unit, and sessions. */
  readonly preempted: number[][] = [];
  /** Shards confirm by themselves. */
  confirms = true;

  private constructor(stateDirectory: StateDirectory) {
    this.units.open(nullUnit(), UUID);
    this.reservations = new Reservations({
      stateDirectory,
      registry: this.registry,
      logger: silent,
      targetPorts: () => [1, 2],
      unit: (index) => this.units.records().find(({ unitIndex }) => unitIndex === index),
    });
    this.commands = new SlowCommands({ units: this.units, registry: this.registry, logger: silent });
    this.shards.onSend = (shard, message) => {
      if (this.confirms) queueMicrotask(() => this.confirm(shard, message));
    };
  }

  static async start(path: string): Promise<Setup> {
    const setup = new Setup(await StateDirectory.open(path));
    await setup.reservations.load(UUID);
    const changes = new UnitChanges(setup.units, setup.broadcasts, setup.shards);
    const onAborted = (unitIndex: number, sessionIds: readonly number[]) =>
      setup.preempted.push([unitIndex, ...sessionIds]);
    setup.reservations.serve({ commands: setup.commands, changes, onAborted });
    return setup;
  }

  confirm(shard: number, message: ControlMessage): void {
    assert.equal(message.type, "unitChange");
    this.broadcasts.done(shard, message.exchange);
  }

  logIn({ portalGroupTag, ...port }: Nexus, shard = 0): Session {
    return this.registry.open({ ...port, portalGroup: portalGroupTag }, shard, AGREEMENT, [UNIT_INDEX]);
  }

  execute(session: Session, cdb: string, parameters = "", exchange = 1): Promise<ScsiAnswer> {
    const { sessionId } = session;
    const message = { exchange, sessionId, unitIndex: UNIT_INDEX, lun: 0, cdb, parameters };
    return this.commands.execute({ type: "scsiCommand", ...message });
  }

  out(session: Session, action: number, command: Command, exchange?: number): Promise<ScsiAnswer> {
    const list = basicList(command);
    const length = list.length.toString(16).padStart(8, "0");
    const cdb = `5f0${action}0${command.type ?? 0}0000${length}00`.padEnd(32, "0");
    return this.execute(session, cdb, hex(list), exchange);
  }

  blocked(nexus: Nexus): number {
    return this.reservations.blocked(UUID, { ...nexus, portalGroup: nexus.portalGroupTag });
  }

  /** What the shards were told since the last call; all are told the same. */
  changes(): UnitChange[] {
    const sent = this.shards.sent.splice(0);
    const of = (shard: number) =>
      sent
        .filter((each) => each.shard === shard)
        .map(({ message }) => {
          assert.ok(message.type === "unitChange" && message.unitIndex === UNIT_INDEX);
          return message.change;
        });
    assert.deepEqual(of(0), of(1));
    return of(0);
  }
}

function folder(context: TestContext): string {
  const path = temporaryFolder(context);
  return join(path, "state");
}

test("the status goes out when every shard has confirmed, and not before", async (context) => {
  const setup = await Setup.start(folder(context));
  const session = setup.logIn(A);
  assert.deepEqual(await setup.out(session, REGISTER, { actionKey: 1 }), GOOD);
  assert.deepEqual(setup.changes(), [], "a registration without a reservation is no shard's business");
  setup.confirms = false;
  let answer: ScsiAnswer | undefined;
  const answered = setup.out(session, RESERVE, { key: 1, type: 3 }).then((given) => {
    answer = given;
  });
  while (setup.shards.sent.length < 2) await setImmediate();
  const messages = setup.shards.sent.map(({ message }) => message);
  assert.equal(setup.blocked(B), COMMAND_CONFLICTS_EXCLUSIVE_ACCESS, "who logs in meanwhile is kept out already");
  setup.confirm(0, messages[0]!);
  await setImmediate();
  assert.equal(answer, undefined);
  setup.confirm(1, messages[1]!);
  await answered;
  assert.deepEqual(answer, GOOD);
});

test("shards learn who is exempt, by sessions that are there", async (context) => {
  const setup = await Setup.start(folder(context));
  const [a, b] = [setup.logIn(A), setup.logIn(B, 1)];
  setup.logIn(C, 1);
  await setup.out(a, REGISTER, { actionKey: 1 });
  await setup.out(a, RESERVE, { key: 1, type: 5 });
  const blocked = COMMAND_CONFLICTS_WRITE_EXCLUSIVE;
  const change = { attentions: [], abortSessions: [], spared: { sessionId: a.sessionId, exchange: 1 } };
  assert.deepEqual(setup.changes(), [{ ...change, access: { blocked, exemptSessions: [a.sessionId] } }]);
  await setup.out(b, REGISTER, { actionKey: 2 });
  const exemptSessions = [a.sessionId, b.sessionId];
  assert.deepEqual(setup.changes()[0]?.access, { blocked, exemptSessions });
  assert.deepEqual(
    [A, B, C].map((nexus) => setup.blocked(nexus)),
    [0, 0, blocked],
  );
});

test("a registration outlives its session, and one that comes back is exempt again", async (context) => {
  const setup = await Setup.start(folder(context));
  const session = setup.logIn(A);
  await setup.out(session, REGISTER, { actionKey: 1 });
  await setup.out(session, RESERVE, { key: 1, type: 1 });
  setup.changes();
  setup.registry.closeSession(session.sessionId);
  assert.deepEqual(setup.changes(), []);
  assert.deepEqual([setup.blocked(A), setup.blocked(B)], [0, COMMAND_CONFLICTS_WRITE_EXCLUSIVE]);
  assert.deepEqual(setup.blocked({ ...A, isid: "00023d0000ff" }), COMMAND_CONFLICTS_WRITE_EXCLUSIVE);
});

test("what RESERVE holds ends with the session, and all shards are told", async (context) => {
  const setup = await Setup.start(folder(context));
  const [a, b] = [setup.logIn(A), setup.logIn(B)];
  assert.deepEqual(await setup.execute(a, "160000000000"), GOOD);
  assert.deepEqual(setup.changes()[0]?.access, {
    blocked: COMMAND_CONFLICTS_RESERVE,
    exemptSessions: [a.sessionId],
  });
  for (const cdb of ["160000000000", "56000000000000000000"]) assert.deepEqual(await setup.execute(b, cdb), CONFLICT);
  assert.deepEqual(
    await setup.execute(a, "5e000000000000ff0000"),
    CONFLICT,
    "PERSISTENT RESERVE IN, also by the holder",
  );
  setup.registry.closeSession(a.sessionId);
  await setImmediate();
  assert.equal(setup.blocked(B), 0);
  assert.deepEqual(setup.changes()[0]?.access, { blocked: 0, exemptSessions: [] });
  assert.deepEqual(await setup.execute(b, "56000000000000000000"), GOOD);
  assert.deepEqual(await setup.execute(b, "57000000000000000000"), GOOD);
  assert.equal(setup.blocked(A), 0);
});

test("where its shard has died, RESERVE holds and a status waits until nothing of it is under way", async (context) => {
  const setup = await Setup.start(folder(context));
  const [a, b] = [setup.logIn(A), setup.logIn(B, 1)];
  await setup.execute(a, "160000000000");
  let settle = () => {};
  setup.shards.settled = new Promise((resolve) => {
    settle = resolve;
  });
  setup.shards.alive = [1];
  setup.registry.closeSession(a.sessionId);
  await setImmediate();
  assert.equal(setup.blocked(B), COMMAND_CONFLICTS_RESERVE);
  settle();
  await setImmediate();
  assert.equal(setup.blocked(B), 0);

  setup.shards.settled = new Promise((resolve) => {
    settle = resolve;
  });
  let isAnswered = false;
  const answered = setup.execute(b, "160000000000").then(() => {
    isAnswered = true;
  });
  await setImmediate();
  assert.deepEqual([isAnswered, setup.blocked(A)], [false, COMMAND_CONFLICTS_RESERVE]);
  settle();
  await answered;
});

test("what RESERVE holds ends with a reset, behind the commands that came before", async (context) => {
  const setup = await Setup.start(folder(context));
  const [a] = [setup.logIn(A), setup.logIn(B)];
  await setup.reservations.unitReset(UNIT_INDEX);
  const reserving = setup.execute(a, "160000000000");
  await Promise.all([reserving, setup.reservations.unitReset(UNIT_INDEX)]);
  assert.equal(setup.blocked(B), 0);
  assert.deepEqual(
    setup.changes().map(({ access }) => access?.blocked),
    [COMMAND_CONFLICTS_RESERVE, 0],
  );
});

test("I_T NEXUS RESET ends what its own nexus holds by RESERVE, and nobody else's", async (context) => {
  const setup = await Setup.start(folder(context));
  const [a, b] = [setup.logIn(A), setup.logIn(B)];
  assert.deepEqual(await setup.execute(a, "160000000000"), GOOD);
  await setup.reservations.nexusReset(b);
  assert.notEqual(setup.blocked(B), 0);
  await setup.reservations.nexusReset(a);
  assert.equal(setup.blocked(B), 0);
});

test("a persistent reservation does not end with a reset", async (context) => {
  const setup = await Setup.start(folder(context));
  const a = setup.logIn(A);
  await setup.out(a, REGISTER, { actionKey: 1 });
  await setup.out(a, RESERVE, { key: 1, type: 3 });
  await setup.reservations.unitReset(UNIT_INDEX);
  assert.notEqual(setup.blocked(B), 0);
});

test("unit attentions go to the sessions of the nexuses that they are for", async (context) => {
  const setup = await Setup.start(folder(context));
  const [a, b, c] = [setup.logIn(A), setup.logIn(B, 1), setup.logIn(C, 1)];
  await setup.out(a, REGISTER, { actionKey: 1 });
  await setup.out(b, REGISTER, { actionKey: 2 });
  await setup.out(c, REGISTER, { actionKey: 3 });
  setup.registry.closeSession(c.sessionId);
  await setup.out(a, CLEAR, { key: 1 });
  const attentions = [{ asc: 0x2a, ascq: 0x03, onlySessions: [b.sessionId] }];
  assert.deepEqual(setup.changes(), [
    {
      access: { blocked: 0, exemptSessions: [] },
      attentions,
      abortSessions: [],
      spared: { sessionId: a.sessionId, exchange: 1 },
    },
  ]);
});

test("PREEMPT AND ABORT: one change with the new access, the attentions, whom to abort, and which command not", async (context) => {
  const setup = await Setup.start(folder(context));
  const [a, b, c] = [setup.logIn(A), setup.logIn(B, 1), setup.logIn(C, 1)];
  await setup.out(a, REGISTER, { actionKey: 1 });
  await setup.out(b, REGISTER, { actionKey: 2 });
  await setup.out(c, REGISTER, { actionKey: 3 });
  await setup.out(a, RESERVE, { key: 1, type: 5 });
  setup.changes();
  await setup.out(b, PREEMPT_AND_ABORT, { key: 2, actionKey: 1, type: 6 }, 42);
  assert.deepEqual(setup.preempted, [[UNIT_INDEX, a.sessionId]]);
  assert.deepEqual(setup.changes(), [
    {
      access: {
        blocked: COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
        exemptSessions: [b.sessionId, c.sessionId],
      },
      attentions: [
        { asc: 0x2a, ascq: 0x05, onlySessions: [a.sessionId] },
        { asc: 0x2a, ascq: 0x04, onlySessions: [c.sessionId] },
      ],
      abortSessions: [a.sessionId],
      spared: { sessionId: b.sessionId, exchange: 42 },
    },
  ]);
});

test("PREEMPT AND ABORT does not wait for commands of the preempted that wait for it", async (context) => {
  const setup = await Setup.start(folder(context));
  const [a, b] = [setup.logIn(A), setup.logIn(B, 1)];
  await setup.out(a, REGISTER, { actionKey: 1 });
  await setup.out(b, REGISTER, { actionKey: 2 });
  setup.confirms = false;
  const preempting = setup.out(b, PREEMPT_AND_ABORT, { key: 2, actionKey: 1 });
  const waiting = setup.execute(a, "5e000000000000ff0000");
  while (setup.shards.sent.length < 2) await setImmediate();
  assert.deepEqual(await waiting, { kind: "status", status: 0x08 });
  for (const { shard, message } of setup.shards.sent) setup.confirm(shard, message);
  // Its response is fenced (RFC 7143 section 4.2.2.3.4, f).
  assert.deepEqual(await preempting, { ...GOOD, isFenced: true });
});

test("a TransportID of a device means the ports that are logged in to the target or registered", async (context) => {
  const setup = await Setup.start(folder(context));
  const a = setup.logIn(A);
  const b = setup.logIn(B);
  setup.logIn({ ...B, isid: "00023d00000b" });
  setup.logIn({ ...B, isid: "00023d00000c", targetName: "iqn.2026-11.io.ringlun:other" });
  setup.registry.open({ ...B, isid: "00023d00000d", portalGroup: 1 }, SHARD_NONE, AGREEMENT, []);
  await setup.out(b, REGISTER, { actionKey: 5 });
  await setup.out(b, REGISTER, { key: 5 });
  const id = `05000020${Buffer.from(B.initiatorName.padEnd(32, "\0")).toString("hex")}`;
  await setup.out(a, REGISTER, { actionKey: 4, flags: 0x08, transportIds: [id] });
  const answer = await setup.execute(a, "5e000000000000ff0000");
  assert.deepEqual(answer, {
    kind: "good",
    data: `0000000300000018${key(4).repeat(3)}`,
    allocationLength: 0xff00,
  });
});

test("PERSISTENT RESERVE IN is cut to its allocation length", async (context) => {
  const setup = await Setup.start(folder(context));
  const a = setup.logIn(A);
  await setup.out(a, REGISTER, { actionKey: 1 });
  for (const [allocationLength, data] of [
    [0, ""],
    [1, "00"],
    [12, "000000010000000800000000"],
  ] as const) {
    const cdb = `5e0000000000${allocationLength.toString(16).padStart(6, "0")}00`;
    assert.deepEqual(await setup.execute(a, cdb), { kind: "good", data, allocationLength });
  }
});

test("with APTPL the state is on the disk before any shard hears of it, and is there again after a restart", async (context) => {
  const path = folder(context);
  const setup = await Setup.start(path);
  const [a, b] = [setup.logIn(A), setup.logIn(B)];
  await setup.out(b, REGISTER, { actionKey: 2 });
  setup.shards.onSend = (shard, message) => {
    assert.ok(existsSync(join(path, `reservations-${UUID}.json`)));
    setup.confirm(shard, message);
  };
  const transportIds = [transportId(C)];
  await setup.out(a, REGISTER, { actionKey: 1, flags: APTPL | 0x08, transportIds });
  await setup.out(a, RESERVE, { key: 1, type: 5 });
  const again = await Setup.start(path);
  assert.deepEqual(
    [A, B, C].map((nexus) => again.blocked(nexus)),
    [0, 0, 0],
  );
  assert.equal(again.blocked({ ...C, isid: "00023d0000ff" }), COMMAND_CONFLICTS_WRITE_EXCLUSIVE);
  assert.deepEqual(await again.execute(again.logIn(A), "5e0100000000000018000000"), {
    kind: "good",
    data: `0000000000000010${key(1)}0000000000050000`,
    allocationLength: 24,
  });
});

test("where the state cannot be made durable the command fails, and nothing has changed", async (context) => {
  const path = folder(context);
  const setup = await Setup.start(path);
  const a = setup.logIn(A);
  await setup.out(a, REGISTER, { actionKey: 1 });
  rmSync(path, { recursive: true });
  const answer = await setup.out(a, REGISTER, { key: 1, actionKey: 2, flags: APTPL });
  assert.deepEqual(answer, { kind: "sense", senseKey: 4, asc: 0x44, ascq: 0 });
  mkdirSync(path);
  assert.deepEqual(await setup.out(a, RESERVE, { key: 1, type: 3 }), GOOD, "the key is the old one");
});

test("a unit that is no longer served comes back with what was kept", async (context) => {
  const setup = await Setup.start(folder(context));
  const a = setup.logIn(A);
  await setup.out(a, REGISTER, { actionKey: 1 });
  await setup.out(a, RESERVE, { key: 1, type: 3 });
  setup.reservations.forget(UUID);
  assert.equal(setup.blocked(B), 0);
  await setup.reservations.load(UUID);
  assert.equal(setup.blocked(B), 0);
});
