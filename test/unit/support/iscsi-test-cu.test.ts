import assert from "node:assert/strict";
import { test } from "node:test";
import { parseReport } from "../../support/iscsi-test-cu.js";

/** As iscsi-test-cu 1.19 prints it with -v and -V. */
const REPORT = `    [OK] MODESENSE6 returned SUCCESS NO SENSE(0x00) (null)(0x0000)
    [SKIPPED] PERSISTENT RESERVE IN is not implemented.

Suite: Example
  Test: Simple ...
    Test TESTUNITREADY
    Send TESTUNITREADY (Expecting SUCCESS)
    [OK] TESTUNITREADY returned SUCCESS NO SENSE(0x00) (null)(0x0000)
passed
  Test: Unmet ...
    Test ORWRITE of 1-256 blocks at the start of the LUN
    Send ORWRITE (Expecting SUCCESS) LBA:0 blocks:1 wrprotect:0 dpo:0 fua:0 fua_nv:0 group:0
    [SKIPPED] ORWRITE is not implemented.
passed
  Test: Silent ...passed
  Test: TitleOnly ...
    Test READ10 1-256 blocks one block beyond the end
passed
  Test: Control-D_SENSE ...    WRITE10 queued: (CmdSN=0x7e74e654, ITT=0x45d64d1)
    dispatched
    [FAILED] Target returned error SENSE KEY:ILLEGAL_REQUEST(5)
    [FAILED] Target returned error SENSE KEY:ILLEGAL_REQUEST(5)
FAILED
    1. test_a.c:94  - CU_ASSERT_EQUAL(task->status,SCSI_STATUS_GOOD)
    2. test_a.c:103  - CU_ASSERT_EQUAL(task->residual,1)    Send PRIN/READ_KEYS

Suite: Second
  Test: Simple ...
    Test READ6
    Send READ6
passed    Send PRIN/READ_KEYS
    [SKIPPED] PERSISTENT RESERVE IN is not implemented.

Suite: Third
  Test: Hangs ...
    Send READ6
`;

test("each suite's tests' ends are found, with the reasons; those without an end are left out", () => {
  // Through JSON: the reasons of a failure are a getter.
  assert.deepEqual(JSON.parse(JSON.stringify([...parseReport(REPORT)])), [
    [
      "Example",
      [
        { test: "Simple", outcome: "pass", reasons: [] },
        { test: "Unmet", outcome: "skip", reasons: ["ORWRITE is not implemented."] },
        { test: "Silent", outcome: "skip", reasons: ["did nothing"] },
        { test: "TitleOnly", outcome: "skip", reasons: ["did nothing"] },
        {
          test: "Control-D_SENSE",
          outcome: "fail",
          reasons: [
            "Target returned error SENSE KEY:ILLEGAL_REQUEST(5)",
            "test_a.c:94  - CU_ASSERT_EQUAL(task->status,SCSI_STATUS_GOOD)",
            "test_a.c:103  - CU_ASSERT_EQUAL(task->residual,1)",
          ],
        },
      ],
    ],
    ["Second", [{ test: "Simple", outcome: "pass", reasons: [] }]],
    ["Third", []],
  ]);
});
