import assert from "node:assert/strict";
import { test } from "node:test";
import { Ring, type SubmissionCompletionRing } from "io-uring-node";
import { Arena } from "../../../dataplane/arena.js";
import { AWAKE_US_MAX } from "../../../dataplane/limits.js";
import { measureSleepUs, Vigil } from "../../../dataplane/vigil.js";

const LOOK_US = 1;
const SLEEP_US = 20;

/** A ring that knows of nothing but time, and of the completion that comes next. */
class Clock {
  nowUs = 1_000_000;
  looks = 0;
  sleeps = 0;
  /** When the next completion comes. */
  dueUs = 0;
  /** How long somebody else has the CPU at the next look. */
  stolenUs = 0;

  get ring(): SubmissionCompletionRing {
    return this as unknown as SubmissionCompletionRing;
  }

  enter(minComplete: number, timeoutMs: number): number {
    if (minComplete === 0) {
      this.looks++;
      this.nowUs += LOOK_US + this.stolenUs;
      this.stolenUs = 0;
    } else if (this.nowUs < this.dueUs) {
      this.sleeps++;
      this.nowUs = Math.min(this.dueUs, this.nowUs + timeoutMs * 1000) + SLEEP_US;
    }
    return this.nowUs >= this.dueUs ? 1 : 0;
  }
}

/** Waits for a completion that comes so long after the turn that waits for it, `times` times. Returns how often it slept. */
function waitFor(vigil: Vigil, clock: Clock, us: number, times = 1): number {
  const before = clock.sleeps;
  for (let i = 0; i < times; i++) {
    clock.dueUs = clock.nowUs + us;
    vigil.wait(1000);
    assert.ok(clock.nowUs >= clock.dueUs, "it has waited");
  }
  return clock.sleeps - before;
}

test("short waits are spent awake, once there were some", () => {
  const clock = new Clock();
  const vigil = new Vigil(clock.ring, SLEEP_US);
  const sleeps = waitFor(vigil, clock, 30, 100);
  assert.ok(sleeps > 0 && sleeps < 50, `${sleeps} sleeps`);
  assert.equal(waitFor(vigil, clock, 30, 100), 0);
  assert.ok(vigil.awakeUs > 100 * 25 && vigil.awakeUs < 200 * 31, `${vigil.awakeUs} us awake`);
});

test("after long waits it sleeps at once", () => {
  const clock = new Clock();
  const vigil = new Vigil(clock.ring, SLEEP_US);
  waitFor(vigil, clock, 30, 100);
  waitFor(vigil, clock, 5000, 3);
  const { looks } = clock;
  const { awakeUs } = vigil;
  assert.equal(waitFor(vigil, clock, 5000, 50), 50);
  // The look that submits, and no other.
  assert.equal(clock.looks - looks, 50);
  assert.equal(vigil.awakeUs, awakeUs);
});

test("what does not come in time is slept for, however long a sleep is said to take", () => {
  const clock = new Clock();
  const vigil = new Vigil(clock.ring, 10_000);
  waitFor(vigil, clock, 30, 100);
  const { awakeUs } = vigil;
  assert.equal(waitFor(vigil, clock, 5000), 1);
  assert.ok(vigil.awakeUs - awakeUs <= AWAKE_US_MAX + LOOK_US);
});

test("a timeout ends the watch too", () => {
  const clock = new Clock();
  const vigil = new Vigil(clock.ring, SLEEP_US);
  waitFor(vigil, clock, 30, 100);
  clock.dueUs = clock.nowUs + 1000;
  const began = clock.nowUs;
  vigil.wait(0.01);
  assert.ok(clock.nowUs - began < 50, `${clock.nowUs - began} us`);
});

test("where somebody else wants the CPU it sleeps, for a while", () => {
  const clock = new Clock();
  const vigil = new Vigil(clock.ring, SLEEP_US);
  waitFor(vigil, clock, 30, 100);
  // Taken at the first look of the watch, not at the one that submits.
  clock.dueUs = clock.nowUs + 2000;
  const enter = clock.enter.bind(clock);
  clock.enter = (minComplete, timeoutMs) => {
    clock.enter = enter;
    const ready = enter(minComplete, timeoutMs);
    clock.stolenUs = 1000;
    return ready;
  };
  vigil.wait(1000);
  assert.equal(waitFor(vigil, clock, 30, 20), 20);
  clock.nowUs += 10_000;
  assert.ok(waitFor(vigil, clock, 30, 100) < 100);
});

test("where sleep costs nothing there is one call for each wait", () => {
  const clock = new Clock();
  const vigil = new Vigil(clock.ring, 0);
  assert.equal(waitFor(vigil, clock, 30, 10), 10);
  assert.equal(clock.looks, 0);
});

test("what a sleep costs is measured on the machine, and leaves nothing in the ring", () => {
  const ring = Ring.open({ entries: 8 });
  try {
    const arena = new Arena(4096);
    const us = measureSleepUs(ring, arena, arena.take(16, 16));
    assert.ok(us > 0 && us < 1_000_000, `${us} us`);
    assert.equal(ring.enter(0, 0), 0);
    assert.equal(ring.inFlight(), 0);
  } finally {
    ring.close();
  }
});
