/** What the runs of iscsi-test-cu share: each prints its table, and fails where a result is worse than its list. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { type CuResults, type CuSuite, listSuites } from "../support/iscsi-test-cu.js";
import { skipWithout } from "../support/peers.js";
import type { NamedVariant, Variant } from "../support/variants.js";
import {
  addResults,
  type CuList,
  compare,
  formatTable,
  type Mode,
  readLists,
  writeList,
} from "./iscsi-test-cu-list.js";

type Runner = (variant: Variant, suites: readonly CuSuite[]) => Promise<CuResults>;

const skip = skipWithout("iscsi-test-cu");

/** A test for each variant. Two at a time: most of it passes in waiting for what iscsi-test-cu itself waits for. */
export function describeRuns(mode: Mode, variants: readonly NamedVariant[], runner: Runner): void {
  describe(`iscsi-test-cu, ${mode}`, { skip, concurrency: 2 }, async () => {
    const suites = skip === false ? await listSuites() : [];
    const list = readLists()[mode];
    const found: CuList = new Map();
    for (const variant of variants) {
      it(variant.name, async () => {
        const results = await runner(variant, suites);
        addResults(found, results);
        console.log(`${mode}, ${variant.name}\n${formatTable(results)}`);
        const { worse, better } = compare(list, results);
        if (better.length > 0) console.log(`better than listed (write it down with RECORD=1):\n${better.join("\n")}`);
        if (process.env.RECORD !== "1") assert.deepEqual(worse, []);
      });
    }
    after(() => {
      if (process.env.RECORD === "1") writeList(mode, found);
    });
  });
}
