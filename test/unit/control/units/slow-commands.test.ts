/** Commands that control carries out: one of a unit after the other, and none is left without an answer. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { type Session, SessionRegistry } from "../../../../control/session-registry.js";
import { StatisticsMemory } from "../../../../control/statistics.js";
import { dataAnswer, GOOD } from "../../../../control/units/answers.js";
import { type SlowCommand, SlowCommands } from "../../../../control/units/slow-commands.js";
import { Units } from "../../../../control/units/units.js";
import type { ScsiAnswer, ShardMessage } from "../../../../dataplane/messages.js";
import { AGREEMENT, INITIATOR, nullUnit, silent, TARGET } from "../support/fixtures.js";

const OPCODE = 0x5f;
const BUSY: ScsiAnswer = { kind: "status", status: 0x08 };
const INVALID_OPCODE: ScsiAnswer = { kind: "sense", senseKey: 5, asc: 0x20, ascq: 0 };
const INTERNAL_TARGET_FAILURE: ScsiAnswer = { kind: "sense", senseKey: 4, asc: 0x44, ascq: 0 };

interface Begun {
  readonly command: SlowCommand;
  finish(answer?: ScsiAnswer): void;
}

class Setup {
  readonly registry = new SessionRegistry(1);
  readonly units = new Units(silent, new StatisticsMemory(1));
  readonly commands: SlowCommands;
  /** In the order in which they were begun. */
  readonly begun: Begun[] = [];

  constructor() {
    for (const name of ["one", "other"]) this.units.open(nullUnit(name), name);
    this.commands = new SlowCommands({ units: this.units, registry: this.registry, logger: silent });
    this.commands.register(OPCODE, (command) => {
      return new Promise((resolve) => this.begun.push({ command, finish: (answer = GOOD) => resolve(answer) }));
    });
  }

  session(isid: string): Session {
    const identity = { initiatorName: INITIATOR, isid, targetName: TARGET, portalGroup: 1 };
    return this.registry.open(identity, 0, AGREEMENT, [0, 1]);
  }

  execute(session: Session, changes: Partial<ShardMessage & { type: "scsiCommand" }> = {}): Promise<ScsiAnswer> {
    const { sessionId } = session;
    const message = { exchange: 1, sessionId, unitIndex: 0, lun: 3, cdb: "5f05", parameters: "00ff", ...changes };
    return this.commands.execute({ type: "scsiCommand", ...message });
  }
}

test("a handler gets all that there is of the command", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  const answer = setup.execute(session, { exchange: 9 });
  await setImmediate();
  const [{ command, finish }] = setup.begun as [Begun];
  assert.deepEqual([command.exchange, command.session, command.lun, command.unit.name], [9, session, 3, "one"]);
  assert.deepEqual(
    [[...command.cdb], [...command.parameters]],
    [
      [0x5f, 5],
      [0, 0xff],
    ],
  );
  finish();
  assert.deepEqual(await answer, GOOD);
});

test("commands of one unit are carried out one after the other, those of several side by side", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  const first = setup.execute(session);
  const second = setup.execute(session);
  const other = setup.execute(session, { unitIndex: 1 });
  await setImmediate();
  assert.deepEqual(
    setup.begun.map(({ command }) => command.unit.name),
    ["one", "other"],
  );
  setup.begun[0]!.finish();
  await first;
  await setImmediate();
  assert.equal(setup.begun.length, 3);
  setup.begun[1]!.finish();
  setup.begun[2]!.finish();
  assert.deepEqual(await Promise.all([second, other]), [GOOD, GOOD]);
});

test("a handler that fails is answered for, and holds nobody up", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  setup.commands.register(0x16, () => Promise.reject(new Error("no")));
  const failing = setup.execute(session, { cdb: "16" });
  const next = setup.execute(session);
  assert.deepEqual(await failing, INTERNAL_TARGET_FAILURE);
  await setImmediate();
  setup.begun[0]!.finish();
  assert.deepEqual(await next, GOOD);
});

test("a command that nobody has registered, or of no unit, is unknown", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  assert.deepEqual(await setup.execute(session, { cdb: "57" }), INVALID_OPCODE);
  assert.deepEqual(await setup.execute(session, { unitIndex: -1 }), INVALID_OPCODE);
});

test("a command whose session ends before its turn is not carried out", async () => {
  const setup = new Setup();
  const [one, other] = [setup.session("1"), setup.session("2")];
  const first = setup.execute(one);
  const second = setup.execute(other);
  await setImmediate();
  setup.registry.closeSession(other.sessionId);
  setup.begun[0]!.finish();
  await Promise.all([first, second]);
  assert.equal(setup.begun.length, 1);
});

test("commands that an abort waits for are answered while the command that aborts them runs", async () => {
  const setup = new Setup();
  const [one, other] = [setup.session("1"), setup.session("2")];
  let confirm = () => {};
  const confirmed = new Promise<void>((resolve) => {
    confirm = resolve;
  });
  setup.commands.register(0x16, async ({ unit }) => {
    await setup.commands.without(unit.unitIndex, [other.sessionId], () => confirmed);
    return GOOD;
  });
  const before = setup.execute(one);
  const aborting = setup.execute(one, { cdb: "16" });
  const waiting = setup.execute(other);
  const spared = setup.execute(one);
  const elsewhere = setup.execute(other, { unitIndex: 1 });
  await setImmediate();
  setup.begun[0]!.finish();
  assert.deepEqual(await before, GOOD);
  assert.deepEqual(await waiting, BUSY, "although the one before it is not over");
  assert.deepEqual(await setup.execute(other), BUSY, "one that comes now, too");
  confirm();
  assert.deepEqual(await aborting, GOOD);
  await setImmediate();
  const later = setup.execute(other);
  assert.deepEqual(
    setup.begun.map(({ command }) => command.unit.name),
    ["one", "other", "one"],
  );
  setup.begun[1]!.finish();
  setup.begun[2]!.finish();
  assert.deepEqual(await Promise.all([spared, elsewhere]), [GOOD, GOOD]);
  await setImmediate();
  setup.begun[3]!.finish();
  assert.deepEqual(await later, GOOD, "afterwards all is as before");
});

test("what is done in turn waits for the commands before it, and those behind it wait", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  const order: string[] = [];
  setup.commands.register(0x16, async ({ lun }) => {
    await setImmediate();
    order.push(`command ${lun}`);
    return GOOD;
  });
  await Promise.all([
    setup.execute(session, { cdb: "16", lun: 1 }),
    setup.commands.inTurn(0, async () => {
      await setImmediate();
      order.push("turn");
    }),
    setup.execute(session, { cdb: "16", lun: 2 }),
  ]);
  assert.deepEqual(order, ["command 1", "turn", "command 2"]);
});

test("a command gets its unit as the commands before it have left it", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  setup.commands.register(0x16, ({ unit }) => {
    setup.units.setState(0, { ...unit.state, softwareWriteProtect: true });
    return GOOD;
  });
  const [first, second] = [setup.execute(session, { cdb: "16" }), setup.execute(session)];
  assert.deepEqual(await first, GOOD);
  await setImmediate();
  assert.equal(setup.begun[0]!.command.unit.state.softwareWriteProtect, true);
  setup.begun[0]!.finish();
  await second;
});

test("what is answered later holds no other command up", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  let end = (_answer: ScsiAnswer) => {};
  const answer = new Promise<ScsiAnswer>((resolve) => {
    end = resolve;
  });
  setup.commands.register(0x16, () => ({ kind: "later", answer }));
  const events: string[] = [];
  const { sessionId } = session;
  const long = setup.commands
    .execute({ type: "scsiCommand", exchange: 7, sessionId, unitIndex: 0, lun: 0, cdb: "16", parameters: "" }, () =>
      events.push("begun"),
    )
    .then((final) => events.push(JSON.stringify(final)));
  const next = setup.execute(session);
  await setImmediate();
  setup.begun[0]!.finish();
  assert.deepEqual(await next, GOOD);
  assert.deepEqual(events, ["begun"]);
  end(BUSY);
  await long;
  assert.deepEqual(events, ["begun", JSON.stringify(BUSY)]);
});

test("commands that have come before an operation took the unit, and whose turn comes now, are refused", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  setup.commands.register(0x48, ({ unit }) => {
    const notReady = { asc: 0x04, ascq: 0x1b, progress: 16, operation: "sanitize" } as const;
    setup.units.setState(0, { ...unit.state, notReady });
    return GOOD;
  });
  const [sanitize, behind, again] = [
    setup.execute(session, { cdb: "4802" }),
    setup.execute(session),
    // It judges for itself.
    setup.execute(session, { cdb: "481f" }),
  ];
  assert.deepEqual(await sanitize, GOOD);
  assert.deepEqual(await behind, { kind: "sense", senseKey: 2, asc: 0x04, ascq: 0x1b, senseKeySpecific: 0x80_0010 });
  assert.deepEqual(await again, GOOD);
  assert.equal(setup.begun.length, 0);
});

test("data that the initiator has no room for does not go to the shard", () => {
  assert.deepEqual(dataAnswer(Uint8Array.of(1, 2, 3), 2), { kind: "good", data: "0102", allocationLength: 2 });
  assert.deepEqual(dataAnswer(Uint8Array.of(1), 0), { kind: "good", data: "", allocationLength: 0 });
  assert.deepEqual(dataAnswer(Uint8Array.of(1), 9), { kind: "good", data: "01", allocationLength: 9 });
});

test("a long command runs beside the others of its unit, and is told when it is aborted", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  const long: SlowCommand[] = [];
  const handler = (command: SlowCommand) =>
    new Promise<ScsiAnswer>((resolve) => {
      long.push(command);
      command.signal.addEventListener("abort", () => resolve(GOOD));
    });
  setup.commands.registerAside(0x83, handler, 0x00);
  const first = setup.execute(session, { cdb: "8300", exchange: 7 });
  const second = setup.execute(session, { cdb: "8300", exchange: 8 });
  const other = setup.execute(session, { exchange: 9 });
  await setImmediate();
  assert.equal(long.length, 2);
  assert.equal(setup.begun.length, 1, "a command that comes later does not wait for them");
  setup.begun[0]!.finish();
  assert.deepEqual(await other, GOOD);
  setup.commands.abort(session.shard + 1, 7);
  assert.ok(!long[0]!.signal.aborted, "another shard numbers its exchanges for itself");
  setup.commands.abort(session.shard, 7);
  assert.deepEqual(await first, GOOD);
  assert.ok(!long[1]!.signal.aborted);
  setup.commands.abort(session.shard, 8);
  assert.deepEqual(await second, GOOD);
  setup.commands.abort(session.shard, 8);
});

test("a long command of a session that is being aborted does not begin", async () => {
  const setup = new Setup();
  const session = setup.session("1");
  setup.commands.registerAside(0x83, () => GOOD, 0x00);
  await setup.commands.without(0, [session.sessionId], async () => {
    assert.deepEqual(await setup.execute(session, { cdb: "8300" }), BUSY);
  });
  assert.deepEqual(await setup.execute(session, { cdb: "8300" }), GOOD);
});
