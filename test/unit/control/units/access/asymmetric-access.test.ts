import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Broadcasts } from "../../../../../control/broadcasts.js";
import type { Configuration } from "../../../../../control/config/schema.js";
import { StateDirectory, StateError } from "../../../../../control/config/state-directory.js";
import { SessionRegistry } from "../../../../../control/session-registry.js";
import { StatisticsMemory } from "../../../../../control/statistics.js";
import { AsymmetricAccess } from "../../../../../control/units/access/asymmetric-access.js";
import { SlowCommands } from "../../../../../control/units/slow-commands.js";
import { UnitChanges } from "../../../../../control/units/unit-changes.js";
import { Units } from "../../../../../control/units/units.js";
import type { ScsiAnswer, UnitChange } from "../../../../../dataplane/messages.js";
import { temporaryFolder } from "../../../../support/undo.js";
import {
  AGREEMENT,
  configuration,
  FakeShards,
  INITIATOR,
  nullUnit,
  portalGroup,
  silent,
  TARGET,
  target,
} from "../../support/fixtures.js";

const UUID = "0f6ef6a4-1c69-4d6f-9b0a-5b7b6f1f8c3e";

/** A unit behind groups 1 and 2, one shard that confirms everything, and a session through each group. */
async function serve(context: TestContext) {
  const folder = temporaryFolder(context);
  const stateDirectory = await StateDirectory.open(folder);
  const groups = (state: "optimized" | "standby") => [
    portalGroup(),
    portalGroup({ tag: 2, access: { state, preferred: false } }),
  ];
  let current: Configuration = configuration(folder, {
    portalGroups: groups("optimized"),
    targets: [target({ portalGroups: [1, 2] })],
  });
  const units = new Units(silent, new StatisticsMemory(1));
  const unit = units.open(nullUnit(), UUID);
  const access = new AsymmetricAccess({ stateDirectory, logger: silent, configuration: () => current });
  await access.load(UUID);
  await access.begin([unit]);
  const shards = new FakeShards();
  const broadcasts = new Broadcasts(shards);
  const changes: UnitChange[] = [];
  shards.onSend = (shard, message) => {
    if (message.type !== "unitChange") return;
    changes.push(message.change);
    setImmediate(() => broadcasts.done(shard, message.exchange));
  };
  const registry = new SessionRegistry(0);
  const commands = new SlowCommands({ units, registry, logger: silent });
  access.serve({ commands, changes: new UnitChanges(units, broadcasts, shards) });
  const sessions = [1, 2].map((group) => {
    const identity = { initiatorName: INITIATOR, isid: "00023d000001", targetName: TARGET, portalGroup: group };
    return registry.open(identity, 0, AGREEMENT, [unit.unitIndex]);
  });
  const sessionIds = sessions.map(({ sessionId }) => sessionId);
  let exchange = 0;
  const run = (cdb: string, parameters = "", sessionId = sessionIds[0]!): Promise<ScsiAnswer> =>
    commands.execute({
      type: "scsiCommand",
      exchange: ++exchange,
      sessionId,
      unitIndex: unit.unitIndex,
      lun: 0,
      cdb: cdb.replaceAll(" ", ""),
      parameters: parameters.replaceAll(" ", ""),
    });
  return {
    access,
    changes,
    sessionIds,
    stateDirectory,
    run,
    state: (group: number) => access.state(unit, group),
    configure: (state: "optimized" | "standby") => {
      current = { ...current, portalGroups: groups(state) };
      return access.configurationChanged([unit]);
    },
  };
}

const SET_STANDBY = ["a40a 00000000 00000008 0000", "00000000 02000002"] as const;
const REPORT = "a30a 00000000 00000100 0000";

test("a state that is set is in force before shards hear of it, and told to all sessions but one", async (context) => {
  const { run, changes, sessionIds, state } = await serve(context);
  assert.equal(state(2), 0);
  const answered = run(...SET_STANDBY);
  assert.deepEqual(await answered, { kind: "good" });
  assert.equal(state(2), 2);
  assert.deepEqual(changes, [
    {
      accessStates: [{ portalGroupTag: 2, state: 2 }],
      attentions: [{ asc: 0x2a, ascq: 0x06, exceptSessions: [sessionIds[0]] }],
    },
  ]);
  const report = await run(REPORT);
  assert.equal(
    report.kind === "good" && report.data,
    "00000018 008f000100000001 00000001 028f000200010001 00000002".replaceAll(" ", ""),
  );
});

test("a configuration is told to all", async (context) => {
  const { configure, changes, state } = await serve(context);
  await configure("standby");
  assert.equal(state(2), 2);
  assert.deepEqual(changes, [
    {
      accessStates: [{ portalGroupTag: 2, state: 2 }],
      attentions: [{ asc: 0x2a, ascq: 0x06, exceptSessions: [] }],
    },
  ]);
  await configure("standby");
  assert.equal(changes.length, 1);
});

test("what cannot be kept is not set: SET TARGET PORT GROUPS COMMAND FAILED", async (context) => {
  const { run, changes, state, stateDirectory } = await serve(context);
  context.mock.method(stateDirectory, "write", () => Promise.reject(new StateError("no space")));
  assert.deepEqual(await run(...SET_STANDBY), { kind: "sense", senseKey: 4, asc: 0x67, ascq: 0x0a });
  assert.equal(state(2), 0);
  assert.deepEqual(changes, []);
});

test("a configuration that cannot take the place of what was set: IMPLICIT ... TRANSITION FAILED", async (context) => {
  const { run, changes, configure, state, stateDirectory } = await serve(context);
  await run("a40a 00000000 00000008 0000", "00000000 03000002");
  changes.length = 0;
  const write = context.mock.method(stateDirectory, "write", () => Promise.reject(new StateError("no space")));
  await configure("standby");
  assert.equal(state(2), 3);
  assert.deepEqual(changes, [{ attentions: [{ asc: 0x2a, ascq: 0x07 }] }]);
  // With the next configuration it is tried again.
  write.mock.restore();
  await configure("standby");
  assert.equal(state(2), 2);
});

test("a unit that is no longer served has no state of its own", async (context) => {
  const { access, run, state } = await serve(context);
  await run(...SET_STANDBY);
  access.forget(UUID);
  assert.equal(state(2), 0);
});
