/** libiscsi's test suite: reads, writes, capacity, INQUIRY, reservations, and iSCSI itself. No result may get worse than its list. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { type CuSuite, listSuites } from "../support/iscsi-test-cu.js";
import { runSuites } from "../support/iscsi-test-cu-target.js";
import { skipWithout } from "../support/peers.js";
import { VARIANTS } from "../support/variants.js";
import { addResults, type CuList, compare, formatTable, readList, writeList } from "./iscsi-test-cu-list.js";

const SUITES = /^(SCSI\.(Read|Write|TestUnitReady|Inquiry|ReportLUNs|Prin|Prout|Reserve6)|iSCSI\.)/;
const skip = skipWithout("iscsi-test-cu");

describe("iscsi-test-cu", { skip }, async () => {
  const suites: CuSuite[] = skip === false ? (await listSuites()).filter(({ name }) => SUITES.test(name)) : [];
  const list = readList();
  const found: CuList = new Map();

  for (const variant of VARIANTS) {
    it(variant.name, async () => {
      const results = await runSuites(variant, suites);
      addResults(found, results);
      console.log(formatTable(results));
      const { worse, better } = compare(list, results);
      if (better.length > 0) console.log(`better than listed (write it down with RECORD=1):\n${better.join("\n")}`);
      if (process.env.RECORD !== "1") assert.deepEqual(worse, []);
    });
  }

  after(() => {
    if (process.env.RECORD === "1") writeList(new Map([...list, ...found]));
  });
});
