/** All of libiscsi's test suite, suite by suite on fresh units. No result may get worse than its list. */
import { runSuitesApart } from "../support/iscsi-test-cu-target.js";
import { VARIANTS } from "../support/variants.js";
import { describeRuns } from "./iscsi-test-cu-runs.js";

describeRuns("suiteBySuite", VARIANTS, runSuitesApart);
