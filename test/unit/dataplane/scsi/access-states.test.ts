/**
 * Which commands run while the target port group is not active, by hand from SPC-5 (target port asymmetric access states):
 * what must be there in each state, and READ CAPACITY and the reports, which may be: hosts that find a unit in standby ask for them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_RUNS_IN_STANDBY,
  COMMAND_RUNS_IN_TRANSITION,
  COMMAND_RUNS_IN_UNAVAILABLE,
} from "../../../../dataplane/scsi/command.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import { assertSense, Bench } from "./bench.js";

const OPTIMIZED = 0x0;
const NON_OPTIMIZED = 0x1;
const STANDBY = 0x2;
const UNAVAILABLE = 0x3;
const TRANSITIONING = 0xf;

/** S: runs in standby; U: in unavailable; T: while there is a transition. What is not here runs in none of them. */
const TABLE: Readonly<Record<string, string>> = {
  "REQUEST SENSE": "SUT",
  INQUIRY: "SUT",
  "REPORT LUNS": "SUT",
  "REPORT TARGET PORT GROUPS": "SUT",
  "SET TARGET PORT GROUPS": "SU",
  "LOG SELECT": "S",
  "LOG SENSE": "S",
  "MODE SELECT(6)": "S",
  "MODE SELECT(10)": "S",
  "MODE SENSE(6)": "S",
  "MODE SENSE(10)": "S",
  "RECEIVE DIAGNOSTIC RESULTS": "S",
  "SEND DIAGNOSTIC": "S",
  "WRITE BUFFER, ECHO BUFFER": "SUT",
  "READ BUFFER(10), ECHO BUFFER": "SUT",
  "READ BUFFER(10), ECHO BUFFER DESCRIPTOR": "SUT",
  "READ BUFFER(16), ECHO BUFFER": "SUT",
  "READ BUFFER(16), ECHO BUFFER DESCRIPTOR": "SUT",
  "READ CAPACITY(10)": "S",
  "READ CAPACITY(16)": "S",
  "REPORT IDENTIFYING INFORMATION": "S",
  "REPORT PRIORITY": "S",
  "REPORT TIMESTAMP": "S",
  "REPORT SUPPORTED OPERATION CODES": "S",
  "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS": "S",
};

const BITS = [
  ["S", COMMAND_RUNS_IN_STANDBY],
  ["U", COMMAND_RUNS_IN_UNAVAILABLE],
  ["T", COMMAND_RUNS_IN_TRANSITION],
] as const;

test("every command of the table runs in the states in which the standard wants it", () => {
  for (const { name, conditions } of COMMANDS) {
    const runs = BITS.map(([letter, bit]) => ((conditions & bit) === 0 ? "" : letter)).join("");
    assert.equal(runs, name.startsWith("PERSISTENT RESERVE") ? "S" : (TABLE[name] ?? ""), name);
  }
});

const READ = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const WRITE = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const READ_CAPACITY = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const MODE_SENSE = [0x1a, 0, 0x3f, 0, 255, 0];
const INQUIRY = [0x12, 0, 0, 0, 96, 0];
const REPORT_GROUPS = [0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
const SET_GROUPS = [0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const DATA = new Uint8Array(512);

test("active groups let everything through", () => {
  const bench = new Bench();
  for (const accessState of [OPTIMIZED, NON_OPTIMIZED]) {
    for (const cdb of [READ, TEST_UNIT_READY, READ_CAPACITY, MODE_SENSE, INQUIRY, REPORT_GROUPS, SET_GROUPS]) {
      assert.equal(bench.run(cdb, { accessState }).status, "good");
    }
    assert.equal(bench.run(WRITE, { accessState, dataOut: DATA }).status, "good");
  }
});

test("the other states say which they are, and nothing is done", () => {
  const bench = new Bench();
  const refusals: [number, readonly number[][], number][] = [
    [STANDBY, [TEST_UNIT_READY, READ, WRITE], 0x0b],
    [UNAVAILABLE, [TEST_UNIT_READY, READ, WRITE, READ_CAPACITY, MODE_SENSE], 0x0c],
    [TRANSITIONING, [TEST_UNIT_READY, READ, WRITE, READ_CAPACITY, MODE_SENSE, SET_GROUPS], 0x0a],
  ];
  for (const [accessState, commands, ascq] of refusals) {
    for (const cdb of commands) {
      const outcome = bench.run(cdb, { accessState, ...(cdb === WRITE ? { dataOut: DATA } : {}) });
      assertSense(outcome, 0x2, 0x04, ascq);
      assert.deepEqual(bench.operations, []);
    }
  }
});

test("what runs in them runs", () => {
  const bench = new Bench();
  const runs: [number, readonly number[][]][] = [
    [STANDBY, [READ_CAPACITY, MODE_SENSE, INQUIRY, REPORT_GROUPS, SET_GROUPS]],
    [UNAVAILABLE, [INQUIRY, REPORT_GROUPS, SET_GROUPS]],
    [TRANSITIONING, [INQUIRY, REPORT_GROUPS]],
  ];
  for (const [accessState, commands] of runs) {
    for (const cdb of commands) assert.equal(bench.run(cdb, { accessState }).status, "good", `${accessState} ${cdb}`);
  }
});

test("REQUEST SENSE says what other commands would be told", () => {
  const bench = new Bench();
  const code = (accessState: number) => {
    const { data } = bench.run([0x03, 0, 0, 0, 252, 0], { accessState });
    return [data[2], data[12], data[13]];
  };
  assert.deepEqual(code(NON_OPTIMIZED), [0, 0, 0]);
  assert.deepEqual(code(STANDBY), [2, 0x04, 0x0b]);
  assert.deepEqual(code(UNAVAILABLE), [2, 0x04, 0x0c]);
  assert.deepEqual(code(TRANSITIONING), [2, 0x04, 0x0a]);
});

test("a unit attention and an illegal CDB are told first, the state before a reservation and before the medium", () => {
  const bench = new Bench({ notReady: { asc: 0x3a, ascq: 0, progress: -1 } });
  const accessState = STANDBY;
  const blocked = COMMAND_CONFLICTS_EXCLUSIVE_ACCESS | COMMAND_CONFLICTS_RESERVE;
  bench.attentions.add(0, 0x2a, 0x06);
  assertSense(bench.run(READ, { accessState, blocked }), 0x6, 0x2a, 0x06);
  assertSense(bench.run([...READ.slice(0, 9), 1], { accessState, blocked }), 0x5, 0x24, 0x00);
  assertSense(bench.run(READ, { accessState, blocked }), 0x2, 0x04, 0x0b);
  assert.equal(bench.run(READ, { accessState: OPTIMIZED, blocked }).status, "conflict");
  // What runs in standby has its reservation conflict there.
  assert.equal(bench.run(MODE_SENSE, { accessState, blocked }).status, "conflict");
});
