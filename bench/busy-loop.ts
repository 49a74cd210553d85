#!/usr/bin/env node
/**
 * A thread that computes for a given share of the time, in slices of some milliseconds, until it is ended:
 *
 *     node dist/bench/busy-loop.js 0.85
 */
const SLICE_MS = 10;

const share = Number(process.argv[2]);
if (!(share >= 0 && share <= 1)) throw new Error("the share of the time to compute for is from 0 to 1");

function slice(): void {
  const endMs = performance.now() + SLICE_MS * share;
  while (performance.now() < endMs);
  setTimeout(slice, SLICE_MS * (1 - share));
}

slice();
