import assert from "node:assert/strict";
import { test } from "node:test";
import { draw, Histories, History, roundUp, WINDOW_MS } from "../../../../control/page/history.js";

const BOX = { width: 120, height: 100, top: 10 };

test("a line ends at the right edge, where the present is", () => {
  const samples = [0, 1000, 2000].map((atMs) => ({ atMs, values: [atMs / 200] }));
  const { line, area } = draw(samples, 0, 2000, BOX);
  assert.equal(line, "M118.0 100.0L119.0 50.0L120.0 0.0");
  assert.equal(area, "M118.0 100L118.0 100.0L119.0 50.0L120.0 0.0L120.0 100Z");
});

test("where there was nothing to measure, or nothing came, there is no line", () => {
  const samples = [
    { atMs: 0, values: [5] },
    { atMs: 1000, values: [Number.NaN] },
    { atMs: 2000, values: [5] },
    { atMs: 3000, values: [5] },
    { atMs: 60_000, values: [5] },
  ];
  assert.equal(draw(samples, 0, 60_000, BOX).line, "M60.0 50.0h0M62.0 50.0L63.0 50.0M120.0 50.0h0");
});

test("nothing is drawn outside of the box, and all zeroes lie on the base", () => {
  assert.equal(draw([{ atMs: 0, values: [11] }], 0, 0, BOX).line, "M120.0 0.0h0");
  assert.equal(draw([{ atMs: 0, values: [0] }], 0, 0, { ...BOX, top: 0 }).line, "M120.0 100.0h0");
});

test("what is older than the window is forgotten, but for the sample from which the line comes in", () => {
  const history = new History();
  for (let atMs = 0; atMs <= 2 * WINDOW_MS; atMs += 1000) history.add({ atMs, values: [atMs] });
  assert.equal(history.samples.length, WINDOW_MS / 1000 + 2);
  assert.equal(history.samples[0]!.atMs, WINDOW_MS - 1000);
});

test("the peak is that of numbers", () => {
  const history = new History();
  assert.equal(history.peak(0), 0);
  for (const value of [3, Number.NaN, 7, 1]) history.add({ atMs: 0, values: [value, -value] });
  assert.deepEqual([history.peak(0), history.peak(1)], [7, 0]);
});

test("histories of what is gone are forgotten when they would be out of sight", () => {
  const histories = new Histories();
  histories.record("gone", { atMs: 0, values: [1] });
  histories.record("here", { atMs: WINDOW_MS, values: [1] });
  histories.forget(WINDOW_MS);
  assert.equal(histories.of("gone").samples.length, 1);
  histories.forget(WINDOW_MS + 1);
  assert.equal(histories.of("gone").samples.length, 0);
  assert.equal(histories.of("here").samples.length, 1);
});

test("scales end at round numbers", () => {
  assert.deepEqual(
    [0, 0.000_13, 1, 1.6, 4, 5.1, 999, 1000].map((value) => Number(roundUp(value).toPrecision(9))),
    [0, 0.00015, 1, 2, 4, 6, 1000, 1000],
  );
});
