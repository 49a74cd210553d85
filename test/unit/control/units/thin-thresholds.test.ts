import assert from "node:assert/strict";
import { test } from "node:test";
import { ThinThresholds } from "../../../../control/units/thin-thresholds.js";
import { initialState } from "../../../../control/units/unit-state.js";
import type { UnitChange, UnitRecord, UnitState } from "../../../../dataplane/messages.js";
import { silent } from "../support/fixtures.js";
import { fileUnitRecord, SlowFixture } from "./slow-fixture.js";

const MIB = 2 ** 20;
const TOLD: UnitChange = { attentions: [{ asc: 0x38, ascq: 0x07 }] };

/** One unit with a threshold of 10 MiB. */
class Setup {
  readonly fixture = new SlowFixture(fileUnitRecord());
  state: UnitState = initialState(2 ** 30, "writeback", 10 * MIB);
  available: number | Error | null = 100 * MIB;
  readonly thresholds: ThinThresholds;

  constructor() {
    this.thresholds = new ThinThresholds({
      units: () => [this.unit],
      sessions: () => this.fixture.registry.sessions(),
      changes: this.fixture.changes,
      logger: silent,
      measure: async () => {
        if (this.available instanceof Error) throw this.available;
        return this.available === null ? null : { availableBytes: this.available, usedBytes: 0 };
      },
    });
  }

  get unit(): UnitRecord {
    return { ...this.fixture.unit, state: this.state };
  }

  /** What is told when so much is available. */
  async told(available: number | Error | null): Promise<readonly UnitChange[]> {
    this.available = available;
    this.fixture.made.length = 0;
    await this.thresholds.check();
    return [...this.fixture.made];
  }
}

test("all nexuses are told once, when less is available than half a set below the threshold", async () => {
  const setup = new Setup();
  setup.fixture.login("1");
  assert.deepEqual(await setup.told(10 * MIB), []);
  assert.deepEqual(await setup.told(9.5 * MIB), []);
  assert.deepEqual(await setup.told(9.5 * MIB - 1), [TOLD]);
  assert.deepEqual(await setup.told(5 * MIB), []);
  assert.deepEqual(await setup.told(0), []);
});

test("it is armed again above half a set beyond the threshold, and not before", async () => {
  const setup = new Setup();
  setup.fixture.login("1");
  assert.deepEqual(await setup.told(MIB), [TOLD]);
  assert.deepEqual(await setup.told(10.5 * MIB), []);
  assert.deepEqual(await setup.told(MIB), []);
  assert.deepEqual(await setup.told(10.5 * MIB + 1), []);
  assert.deepEqual(await setup.told(MIB), [TOLD]);
});

test("nobody is told while nobody sees the unit: the first who does is", async () => {
  const setup = new Setup();
  assert.deepEqual(await setup.told(MIB), []);
  setup.fixture.login("1");
  assert.deepEqual(await setup.told(MIB), [TOLD]);
});

test("a threshold that is disabled, or whose reports are, tells nothing, and is armed when it comes back", async () => {
  const setup = new Setup();
  setup.fixture.login("1");
  const { state } = setup;
  for (const off of [{ thresholdEnabled: false }, { thresholdReports: false }]) {
    setup.state = { ...state, ...off };
    assert.deepEqual(await setup.told(MIB), []);
    setup.state = state;
    assert.deepEqual(await setup.told(MIB), [TOLD]);
  }
});

test("another threshold is told of anew", async () => {
  const setup = new Setup();
  setup.fixture.login("1");
  assert.deepEqual(await setup.told(MIB), [TOLD]);
  setup.state = { ...setup.state, thresholdCount: 5 };
  assert.deepEqual(await setup.told(MIB), [TOLD]);
  setup.state = { ...setup.state, thresholdCount: 0 };
  assert.deepEqual(await setup.told(0), []);
});

test("what cannot be measured tells nothing, and forgets nothing", async () => {
  const setup = new Setup();
  setup.fixture.login("1");
  assert.deepEqual(await setup.told(MIB), [TOLD]);
  assert.deepEqual(await setup.told(new Error("EIO")), []);
  assert.deepEqual(await setup.told(null), []);
  assert.deepEqual(await setup.told(MIB), []);
});

test("without a configured threshold there is none; what is configured is rounded up to whole sets", () => {
  const of = (bytes: number | null) => {
    const { thresholdEnabled, thresholdCount, thresholdReports } = initialState(2 ** 30, "direct", bytes);
    assert.equal(thresholdReports, true);
    return [thresholdEnabled, thresholdCount];
  };
  assert.deepEqual(of(null), [false, 0]);
  assert.deepEqual(of(1), [true, 1]);
  assert.deepEqual(of(3 * MIB), [true, 3]);
  assert.deepEqual(of(2 ** 53 - 1), [true, 0xffff_ffff]);
});
