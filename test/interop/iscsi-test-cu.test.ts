/**
 * All of libiscsi's test suite, suite by suite on fresh units, and in one process one suite after the other on one unit. No
 * result may get worse than its list.
 */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { type CuResults, type CuSuite, listSuites } from "../support/iscsi-test-cu.js";
import { runSuitesApart, runSuitesTogether } from "../support/iscsi-test-cu-target.js";
import { skipWithout } from "../support/peers.js";
import { VARIANTS, type Variant } from "../support/variants.js";
import {
  addResults,
  compare,
  formatTable,
  type Mode,
  mergeLists,
  readLists,
  writeLists,
} from "./iscsi-test-cu-list.js";

const skip = skipWithout("iscsi-test-cu");

type Runner = (variant: Variant, suites: readonly CuSuite[]) => Promise<CuResults>;

// Nearly all of the time passes in waiting for what the tests themselves wait for.
describe("iscsi-test-cu", { skip, concurrency: 2 }, async () => {
  const suites = skip === false ? await listSuites() : [];
  const lists = readLists();
  const found = { suiteBySuite: new Map(), oneProcess: new Map() };

  function run(name: string, mode: Mode, variant: Variant, runner: Runner): void {
    it(name, async () => {
      const results = await runner(variant, suites);
      addResults(found[mode], results);
      console.log(`${name}\n${formatTable(results)}`);
      const { worse, better } = compare(lists[mode], results);
      if (better.length > 0) console.log(`better than listed (write it down with RECORD=1):\n${better.join("\n")}`);
      if (process.env.RECORD !== "1") assert.deepEqual(worse, []);
    });
  }

  for (const [i, variant] of VARIANTS.entries()) {
    run(`suite by suite, ${variant.name}`, "suiteBySuite", variant, runSuitesApart);
    // Of one shard and of several, of one cache mode and of the other.
    if (i % 3 === 0) run(`in one process, ${variant.name}`, "oneProcess", variant, runSuitesTogether);
  }

  after(() => {
    if (process.env.RECORD === "1") writeLists(mergeLists(lists, found));
  });
});
