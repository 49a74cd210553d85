/**
 * What would hold the main thread for long is done in pieces, each in a turn of the loop that no other piece has: however many are at it
 * at a time, the thread is held no longer than one piece takes. I/O, timers and messages come between.
 */
import { setImmediate } from "node:timers";

const waiting: (() => void)[] = [];

/** Resolves in a turn of the loop that nobody else is given here, in the order in which it was asked for. */
export function ownTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    // Where others wait, the turn of the one before sees to it.
    if (waiting.length === 1) setImmediate(next);
  });
}

function next(): void {
  waiting.shift()!();
  if (waiting.length > 0) setImmediate(next);
}
