/** START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL, from the command to the state of the unit on all shards. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Broadcasts } from "../../../../control/broadcasts.js";
import { type Session, SessionRegistry } from "../../../../control/session-registry.js";
import { StatisticsMemory } from "../../../../control/statistics.js";
import { RemovalPrevention } from "../../../../control/units/removal-prevention.js";
import { SlowCommands } from "../../../../control/units/slow-commands.js";
import { StartStop } from "../../../../control/units/start-stop.js";
import { UnitChanges } from "../../../../control/units/unit-changes.js";
import { Units } from "../../../../control/units/units.js";
import type { NotReady, ScsiAnswer, UnitChange } from "../../../../dataplane/messages.js";
import { AGREEMENT, FakeShards, INITIATOR, nullUnit, silent, TARGET } from "../support/fixtures.js";

const STOP = 0;
const START = 0x01;
const LOEJ = 0x02;
const NO_FLUSH = 0x04;
const EJECT = LOEJ;
const LOAD = LOEJ | START;
const IMMED = 1;

const GOOD: ScsiAnswer = { kind: "good" };
const FLUSH: ScsiAnswer = { kind: "flush", inBackground: false };
const FLUSH_IN_BACKGROUND: ScsiAnswer = { kind: "flush", inBackground: true };
const PREVENTED: ScsiAnswer = { kind: "sense", senseKey: 5, asc: 0x53, ascq: 0x02 };
const NO_MEDIUM: ScsiAnswer = { kind: "sense", senseKey: 2, asc: 0x3a, ascq: 0 };

const STOPPED: NotReady = { asc: 0x04, ascq: 0x02, progress: -1 };
const EJECTED: NotReady = { asc: 0x3a, ascq: 0, progress: -1 };

class Setup {
  readonly shards = new FakeShards(2);
  readonly units = new Units(silent, new StatisticsMemory(2));
  readonly prevention = new RemovalPrevention();
  readonly registry = new SessionRegistry(1, 100, (session) => this.prevention.sessionClosed(session));
  readonly commands = new SlowCommands({ units: this.units, registry: this.registry, logger: silent });
  readonly startStop: StartStop;

  constructor(removable: boolean) {
    this.units.open({ ...nullUnit(), removable }, "uuid");
    const broadcasts = new Broadcasts(this.shards);
    this.shards.onSend = (shard, message) => {
      assert(message.type === "unitChange");
      queueMicrotask(() => broadcasts.done(shard, message.exchange));
    };
    this.prevention.serve(this.commands);
    this.startStop = new StartStop({
      commands: this.commands,
      changes: new UnitChanges(this.units, broadcasts, this.shards),
      prevention: this.prevention,
      unit: () => this.units.find("disk"),
    });
  }

  logIn(isid = "1"): Session {
    const identity = { initiatorName: INITIATOR, isid, targetName: TARGET, portalGroup: 1 };
    return this.registry.open(identity, 0, AGREEMENT, [0]);
  }

  #execute({ sessionId }: Session, cdb: readonly number[]): Promise<ScsiAnswer> {
    const message = { exchange: 1, sessionId, unitIndex: 0, lun: 0, cdb: Buffer.from(cdb).toString("hex") };
    return this.commands.execute({ type: "scsiCommand", parameters: "", ...message });
  }

  startStopUnit(session: Session, flags: number, immed = 0): Promise<ScsiAnswer> {
    return this.#execute(session, [0x1b, immed, 0, 0, flags, 0]);
  }

  prevent(session: Session, prevent: 0 | 1): Promise<ScsiAnswer> {
    return this.#execute(session, [0x1e, 0, 0, 0, prevent, 0]);
  }

  get notReady(): NotReady | null {
    return this.units.find("disk")!.state.notReady;
  }

  /** What the shards were told since the last call; both are told the same. */
  changes(): UnitChange[] {
    const sent = this.shards.sent.splice(0);
    const of = (shard: number) =>
      sent.flatMap(({ message, ...to }) =>
        to.shard === shard && message.type === "unitChange" ? [message.change] : [],
      );
    assert.deepEqual(of(0), of(1));
    return of(0);
  }
}

test("a fixed unit that is stopped is not ready, on all shards, until it is started", async () => {
  const setup = new Setup(false);
  const session = setup.logIn();
  const { state } = setup.units.find("disk")!;
  assert.deepEqual(await setup.startStopUnit(session, STOP), FLUSH);
  assert.deepEqual(setup.changes(), [{ state: { ...state, notReady: STOPPED } }]);
  assert.deepEqual(setup.notReady, STOPPED);
  // Again: there is nothing to change, and still something may be to flush.
  assert.deepEqual(await setup.startStopUnit(session, STOP), FLUSH);
  assert.deepEqual(setup.changes(), []);
  assert.deepEqual(await setup.startStopUnit(session, START), GOOD);
  assert.deepEqual(setup.changes(), [{ state: { ...state, notReady: null } }]);
  assert.deepEqual(await setup.startStopUnit(session, START), GOOD);
  assert.deepEqual(setup.changes(), []);
});

test("stopping flushes unless NO_FLUSH, with IMMED in the background", async () => {
  for (const removable of [false, true]) {
    const setup = new Setup(removable);
    const session = setup.logIn();
    assert.deepEqual(await setup.startStopUnit(session, STOP, IMMED), FLUSH_IN_BACKGROUND);
    for (const immed of [0, IMMED]) {
      assert.deepEqual(await setup.startStopUnit(session, STOP | NO_FLUSH, immed), GOOD);
      assert.deepEqual(await setup.startStopUnit(session, START | NO_FLUSH, immed), GOOD);
    }
  }
});

test("a fixed medium is loaded: LOEJ with START starts the unit", async () => {
  const setup = new Setup(false);
  const session = setup.logIn();
  await setup.startStopUnit(session, STOP);
  assert.deepEqual(await setup.startStopUnit(session, LOAD), GOOD);
  assert.equal(setup.notReady, null);
});

test("a unit with a removable medium starts by itself, so that stopping it changes nothing", async () => {
  const setup = new Setup(true);
  const session = setup.logIn();
  assert.deepEqual(await setup.startStopUnit(session, STOP), FLUSH);
  assert.deepEqual(setup.changes(), []);
  assert.equal(setup.notReady, null);
});

test("eject and load: the other nexuses are told that the medium may have changed", async () => {
  const setup = new Setup(true);
  const session = setup.logIn();
  const { state } = setup.units.find("disk")!;
  assert.deepEqual(await setup.startStopUnit(session, EJECT), FLUSH);
  assert.deepEqual(setup.changes(), [{ state: { ...state, notReady: EJECTED } }]);
  // What is out is not ejected again, started or stopped.
  assert.deepEqual(await setup.startStopUnit(session, EJECT | NO_FLUSH), GOOD);
  assert.deepEqual(await setup.startStopUnit(session, START), NO_MEDIUM);
  assert.deepEqual(await setup.startStopUnit(session, STOP), GOOD);
  assert.deepEqual(setup.changes(), []);
  assert.deepEqual(await setup.startStopUnit(session, LOAD), GOOD);
  const attention = { asc: 0x28, ascq: 0, exceptSessions: [session.sessionId] };
  assert.deepEqual(setup.changes(), [{ state: { ...state, notReady: null }, attentions: [attention] }]);
  assert.deepEqual(await setup.startStopUnit(session, LOAD), GOOD);
  assert.deepEqual(setup.changes(), []);
});

test("power conditions start a stopped unit; standby flushes", async () => {
  const setup = new Setup(false);
  const session = setup.logIn();
  for (const [condition, answer] of [
    [0x1, GOOD],
    [0x2, GOOD],
    [0x3, FLUSH],
    [0xa, GOOD],
    [0xb, FLUSH],
  ] as const) {
    await setup.startStopUnit(session, STOP);
    assert.deepEqual(await setup.startStopUnit(session, condition << 4), answer);
    assert.equal(setup.notReady, null);
  }
  assert.deepEqual(await setup.startStopUnit(session, 0x30 | NO_FLUSH), GOOD);
  assert.deepEqual(await setup.startStopUnit(session, 0x30, IMMED), FLUSH_IN_BACKGROUND);
  await setup.startStopUnit(session, STOP);
  assert.deepEqual(await setup.startStopUnit(session, 0x70), GOOD);
  assert.deepEqual(setup.notReady, STOPPED, "LU_CONTROL is about timers");
});

test("power conditions neither eject nor load", async () => {
  const setup = new Setup(true);
  const session = setup.logIn();
  for (let condition = 1; condition < 16; condition++) await setup.startStopUnit(session, (condition << 4) | EJECT);
  assert.equal(setup.notReady, null);
  await setup.startStopUnit(session, EJECT);
  for (let condition = 1; condition < 16; condition++) {
    assert.deepEqual(await setup.startStopUnit(session, (condition << 4) | LOAD), GOOD);
  }
  assert.deepEqual(setup.notReady, EJECTED);
});

test("what else keeps a unit from being ready is not ended by START STOP UNIT", async () => {
  const setup = new Setup(false);
  const session = setup.logIn();
  const sanitizing: NotReady = { asc: 0x04, ascq: 0x1b, progress: 9, operation: "sanitize" };
  setup.units.setState(0, { ...setup.units.find("disk")!.state, notReady: sanitizing });
  for (const flags of [START, STOP, 0x10]) {
    const answer: ScsiAnswer = { kind: "sense", senseKey: 2, asc: 0x04, ascq: 0x1b, senseKeySpecific: 0x80_0009 };
    assert.deepEqual(await setup.startStopUnit(session, flags), answer);
  }
  await setup.startStop.unitReset(0);
  assert.deepEqual(setup.notReady, sanitizing);
});

test("a reset starts a stopped unit, and loads nothing", async () => {
  const fixed = new Setup(false);
  await fixed.startStopUnit(fixed.logIn(), STOP);
  await fixed.startStop.unitReset(0);
  assert.equal(fixed.notReady, null);
  const removable = new Setup(true);
  await removable.startStopUnit(removable.logIn(), EJECT);
  await removable.startStop.unitReset(0);
  assert.deepEqual(removable.notReady, EJECTED);
});

test("while any nexus prevents removal, nobody ejects or loads", async () => {
  const setup = new Setup(true);
  const [one, other] = [setup.logIn("1"), setup.logIn("2")];
  assert.deepEqual(await setup.prevent(one, 1), GOOD);
  assert.deepEqual(await setup.prevent(other, 1), GOOD);
  for (const session of [one, other]) assert.deepEqual(await setup.startStopUnit(session, EJECT), PREVENTED);
  await setup.prevent(one, 0);
  assert.deepEqual(await setup.startStopUnit(one, EJECT), PREVENTED);
  assert.equal(setup.notReady, null);
  assert.deepEqual(await setup.startStopUnit(one, LOAD), GOOD, "it is loaded");
  assert.deepEqual(await setup.startStopUnit(one, STOP), FLUSH, "it stays where it is");
  await setup.prevent(other, 0);
  assert.deepEqual(await setup.startStopUnit(one, EJECT), FLUSH);
  await setup.prevent(other, 1);
  assert.deepEqual(await setup.startStopUnit(one, LOAD), PREVENTED);
  assert.deepEqual(setup.notReady, EJECTED);
  await setup.prevent(other, 0);
  assert.deepEqual(await setup.startStopUnit(one, LOAD), GOOD);
});

test("a prevention ends with its session, with the unit's LUN, with a reset, and when it is withdrawn", async () => {
  const setup = new Setup(true);
  const one = setup.logIn("1");
  for (const end of [
    (session: Session) => setup.registry.closeSession(session.sessionId),
    (session: Session) => setup.prevention.unitsLost(session, [0]),
    () => setup.prevention.unitReset(0),
    (session: Session) => setup.prevention.withdraw(0, [session.sessionId]),
  ]) {
    const session = setup.logIn(`2${end}`);
    await setup.prevent(session, 1);
    assert.deepEqual(await setup.startStopUnit(one, EJECT), PREVENTED);
    end(session);
    assert.deepEqual(await setup.startStopUnit(one, EJECT), FLUSH);
    await setup.startStopUnit(one, LOAD);
  }
});
