/** All of libiscsi's test suite in one process, one suite after the other on one unit. No result may get worse than its list. */
import { runSuitesTogether } from "../support/iscsi-test-cu-target.js";
import { VARIANTS } from "../support/variants.js";
import { describeRuns } from "./iscsi-test-cu-runs.js";

/** Of one shard and of several, of one cache mode and of the other. */
const variants = [VARIANTS.at(0)!, VARIANTS.at(-1)!];

describeRuns("oneProcess", variants, runSuitesTogether);
