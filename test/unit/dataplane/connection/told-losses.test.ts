import assert from "node:assert/strict";
import { test } from "node:test";
import { ToldLosses } from "../../../../dataplane/connection/told-losses.js";
import type { LunMapping } from "../../../../dataplane/session/lun-mapping.js";

/** Nexus with a unit of its own, and what it has heard. */
class Nexus {
  readonly heard: [string, number][] = [];
  readonly mapping = {
    unit: { heard: (_: LunMapping, name: string, losses: number) => this.heard.push([name, losses]) },
  } as unknown as LunMapping;
}

for (const first of [7, 0xffffffff]) {
  const at = (offset: number) => (first + offset) >>> 0;

  test(`a nexus has heard when ExpStatSN is behind the response that tells, StatSN ${first}`, () => {
    const told = new ToldLosses();
    const [one, other] = [new Nexus(), new Nexus()];
    told.add(one.mapping, { statSN: at(0), losses: 3 });
    told.add(other.mapping, { statSN: at(1), losses: 5 });
    told.acknowledged("host", at(0));
    assert.deepEqual([one.heard, other.heard], [[], []]);
    told.acknowledged("host", at(1));
    assert.deepEqual([one.heard, other.heard, told.isEmpty], [[["host", 3]], [], false]);
    told.acknowledged("host", at(2));
    assert.deepEqual([one.heard, other.heard, told.isEmpty], [[["host", 3]], [["host", 5]], true]);
  });

  test(`flushes that follow each other closely do not put that off, StatSN ${first}`, () => {
    const told = new ToldLosses();
    const nexus = new Nexus();
    told.add(nexus.mapping, { statSN: at(0), losses: 1 });
    told.add(nexus.mapping, { statSN: at(1), losses: 1 });
    told.acknowledged("host", at(1));
    assert.deepEqual([nexus.heard, told.isEmpty], [[["host", 1]], true]);
  });
}
