import assert from "node:assert/strict";
import { test } from "node:test";
import { LOG_BUDGETS_MAX, LOG_LEFT_OUT_INTERVAL_MS, LOG_LINES, LOG_LINES_OF_PEER } from "../../../control/limits.js";
import { LogBudget } from "../../../control/log-budget.js";
import { createLogger } from "../../../control/logger.js";

const nobody = (): void => {};

function countOf(count: number, admits: (index: number) => boolean): number {
  return Array.from({ length: count }, (_, index) => admits(index)).filter(Boolean).length;
}

test("of one address so many lines at once, then so many a second; others, and other messages, have their own", () => {
  const budget = new LogBudget(nobody);
  const { burst, perSecond } = LOG_LINES_OF_PEER;
  assert.equal(
    countOf(2 * burst, () => budget.admits("login failed", "192.0.2.1", 0)),
    burst,
  );
  assert.ok(budget.admits("login failed", "192.0.2.2", 0));
  assert.ok(budget.admits("logged in", "192.0.2.1", 0));
  assert.equal(
    countOf(2 * perSecond, () => budget.admits("login failed", "192.0.2.1", 1000)),
    perSecond,
  );
});

test("of all addresses together, however many they are", () => {
  const budget = new LogBudget(nobody);
  const lines = countOf(2 * LOG_BUDGETS_MAX, (index) => budget.admits("login failed", `peer ${index}`, 0));
  assert.equal(lines, LOG_LINES.burst);
  assert.ok(budget.admits("unit closed", undefined, 0));
});

test("how many were left out is told, once in a while", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const told: (readonly [string, number])[] = [];
  const budget = new LogBudget((message, lines) => told.push([message, lines]));
  for (let i = 0; i < LOG_LINES_OF_PEER.burst + 7; i++) budget.admits("login failed", "192.0.2.1", 0);
  for (let i = 0; i < LOG_LINES.burst + 2; i++) budget.admits("reservations changed", undefined, 0);
  assert.deepEqual(told, []);
  context.mock.timers.tick(LOG_LEFT_OUT_INTERVAL_MS);
  assert.deepEqual(told, [
    ["login failed", 7],
    ["reservations changed", 2],
  ]);
  context.mock.timers.tick(LOG_LEFT_OUT_INTERVAL_MS);
  assert.equal(told.length, 2);
});

test("a logger counts by message and address, wherever it has that from", () => {
  const written: string[] = [];
  const logger = createLogger("info", { write: (line) => void written.push(line) });
  const { burst } = LOG_LINES_OF_PEER;
  for (let port = 0; port < burst; port++) {
    logger.child({ peer: `192.0.2.1:${port}` }).info({}, "login failed");
    logger.info({ peer: `192.0.2.1:${port}` }, "login failed");
  }
  const lines = written.length;
  assert.ok(lines >= burst && lines < 2 * burst, `${lines} lines`);
  logger.info({ peer: "[2001:db8::1]:3260" }, "login failed");
  logger.info("configuration reloaded");
  assert.equal(written.length, lines + 2);
});
