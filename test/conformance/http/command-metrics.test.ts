/** The metrics say what an initiator has done: commands, bytes, errors and times of its unit, its target and itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read16, write16 } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";

const BLOCK = 512;
const CHECK_CONDITION = 2;
const INITIATOR_NAME = "iqn.2026-11.io.ringlun:metrics";

test("commands are counted by unit, target and initiator, also when their session is gone", async (context) => {
  const target = await RunningTarget.start({ workers: 2 });
  context.after(() => target.stop());
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({ initiatorName: INITIATOR_NAME, targetName: TARGET_NAME });
  const before = await scrape(target);
  for (let i = 0; i < 3; i++) await initiator.good({ cdb: write16(i * 8, 8), write: Buffer.alloc(8 * BLOCK, i) });
  await initiator.good({ cdb: read16(0, 24), read: 24 * BLOCK });
  const refused = await initiator.command({ cdb: read16(2 ** 40, 1), read: BLOCK });
  assert.equal(refused.status, CHECK_CONDITION);
  const during = await scrape(target);
  await initiator.logout();
  initiator.destroy();
  const after = await scrape(target);
  for (const scope of [
    `unit{unit="disk"`,
    `target{target="${TARGET_NAME}"`,
    `initiator{initiator="${INITIATOR_NAME}"`,
  ]) {
    const [kind, label] = scope.split("{") as [string, string];
    const value = (metrics: Metrics, name: string, more = "") =>
      metrics.get(`ringlun_${kind}_${name}{${label}${more}}`) ?? 0;
    for (const metrics of [during, after]) {
      const rise = (name: string, more = "") => value(metrics, name, more) - value(before, name, more);
      assert.equal(rise("commands_total", ',operation="write"'), 3);
      assert.equal(rise("commands_total", ',operation="read"'), 1);
      assert.equal(rise("commands_total", ',operation="other"'), 1);
      assert.equal(rise("bytes_total", ',operation="write"'), 24 * BLOCK);
      assert.equal(rise("bytes_total", ',operation="read"'), 24 * BLOCK);
      assert.equal(rise("errors_total", ',reason="illegal request"'), 1);
      const [count, operation] = kind === "initiator" ? [4, ""] : [3, ',operation="write"'];
      assert.equal(rise("latency_seconds_count", operation), count);
      assert.equal(value(metrics, "commands_in_flight"), 0);
    }
  }
});

type Metrics = Map<string, number>;

async function scrape({ places }: RunningTarget): Promise<Metrics> {
  const response = await fetch(`http://127.0.0.1:${places.httpPort}/metrics`);
  const metrics: Metrics = new Map();
  for (const line of (await response.text()).split("\n")) {
    const space = line.lastIndexOf(" ");
    if (!line.startsWith("#")) metrics.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return metrics;
}
