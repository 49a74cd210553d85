/** MODE SELECT over several shards: what is done in which order. What a list may hold is tried in conformance/storage/mode-select. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Broadcasts } from "../../../../control/broadcasts.js";
import { StateDirectory } from "../../../../control/config/state-directory.js";
import { SessionRegistry } from "../../../../control/session-registry.js";
import { StatisticsMemory } from "../../../../control/statistics.js";
import { ModeSelect } from "../../../../control/units/mode-select.js";
import { SlowCommands } from "../../../../control/units/slow-commands.js";
import { UnitChanges } from "../../../../control/units/unit-changes.js";
import { Units } from "../../../../control/units/units.js";
import type { ScsiAnswer } from "../../../../dataplane/messages.js";
import { temporaryFolder } from "../../../support/undo.js";
import { AGREEMENT, FakeShards, INITIATOR, nullUnit, silent, TARGET } from "../support/fixtures.js";

const WCE = 0x04;
const SAVE = 0x01;

class Setup {
  readonly shards = new FakeShards(2);
  readonly broadcasts = new Broadcasts(this.shards);
  readonly units = new Units(silent, new StatisticsMemory(2));
  readonly registry = new SessionRegistry(1);
  readonly #commands = new SlowCommands({ units: this.units, registry: this.registry, logger: silent });
  readonly #session = this.registry.open(
    { initiatorName: INITIATOR, isid: "1", targetName: TARGET, portalGroup: 1 },
    0,
    AGREEMENT,
    [0],
  );

  private constructor(stateDirectory: StateDirectory) {
    this.units.open(nullUnit(), "0f6ef6a4-1c69-4d6f-9b0a-5b7b6f1f8c3e");
    const changes = new UnitChanges(this.units, this.broadcasts, this.shards);
    new ModeSelect(stateDirectory, this.units).serve(this.#commands, changes);
  }

  static async start(context: TestContext): Promise<Setup> {
    const folder = temporaryFolder(context);
    return new Setup(await StateDirectory.open(folder));
  }

  /** The Caching page with these bits in byte 2. */
  select(bits: number, flags = 0): Promise<ScsiAnswer> {
    const { sessionId } = this.#session;
    const page = [0x08, 0x12, bits, ...new Array(17).fill(0)];
    const parameters = Buffer.from([0, 0, 0, 0, ...page]).toString("hex");
    const cdb = Buffer.from([0x15, 0x10 | flags, 0, 0, 24, 0]).toString("hex");
    const message = { exchange: 1, sessionId, unitIndex: 0, lun: 0, cdb, parameters };
    return this.#commands.execute({ type: "scsiCommand", ...message });
  }

  /** The shards confirm what they were sent. */
  confirm(): void {
    for (const { shard, message } of this.shards.sent.splice(0)) {
      assert.equal(message.type, "unitChange");
      this.broadcasts.done(shard, message.exchange);
    }
  }
}

test("WCE=0: the flush is asked for when every shard writes durably, and not before", async (context) => {
  const setup = await Setup.start(context);
  let answer: ScsiAnswer | undefined;
  const answered = setup.select(0).then((given) => {
    answer = given;
  });
  while (setup.shards.sent.length < 2) await setImmediate();
  await setImmediate();
  assert.equal(answer, undefined);
  setup.confirm();
  await answered;
  assert.deepEqual(answer, { kind: "flush", inBackground: false });
  setup.shards.onSend = (shard, message) => {
    assert(message.type === "unitChange");
    queueMicrotask(() => setup.broadcasts.done(shard, message.exchange));
  };
  assert.deepEqual(await setup.select(0), { kind: "good" }, "it is off");
  assert.deepEqual(await setup.select(WCE), { kind: "good" });
});

test("what becomes of the unit while the values are saved stays so", async (context) => {
  const setup = await Setup.start(context);
  const { state } = setup.units.find("disk")!;
  setup.shards.onSend = (shard, message) => {
    assert(message.type === "unitChange");
    queueMicrotask(() => setup.broadcasts.done(shard, message.exchange));
  };
  const answer = setup.select(0, SAVE);
  // It has begun, and waits for the disk.
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  setup.units.setState(0, { ...state, sizeBytes: 2 * state.sizeBytes });
  await answer;
  const { sizeBytes, writeCacheEnabled, savedModes } = setup.units.find("disk")!.state;
  assert.deepEqual([sizeBytes, writeCacheEnabled], [2 * state.sizeBytes, false]);
  assert.equal(savedModes.writeCacheEnabled, false);
});
