/**
 * Which commands a reservation of another nexus keeps out, by hand from the tables of commands that are allowed in the presence
 * of various reservations: SPC-5 and SBC-4 for persistent reservations, SPC-2 and SBC for RESERVE.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_LOST_RESERVATIONS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
} from "../../../../dataplane/scsi/command.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import { assertInvalidFieldInCdb, assertSense, Bench } from "./bench.js";

/** W: conflicts with Write Exclusive; E: with Exclusive Access; R: with RESERVE. */
const TABLE: Readonly<Record<string, string>> = {
  "TEST UNIT READY": "R",
  "REQUEST SENSE": "",
  INQUIRY: "",
  "MODE SELECT(6)": "WER",
  "MODE SELECT(10)": "WER",
  "MODE SENSE(6)": "ER",
  "MODE SENSE(10)": "ER",
  "START STOP UNIT": "WER",
  "PREVENT ALLOW MEDIUM REMOVAL": "WER",
  "READ CAPACITY(10)": "",
  "READ CAPACITY(16)": "",
  "GET LBA STATUS": "ER",
  "READ(6)": "ER",
  "READ(10)": "ER",
  "READ(12)": "ER",
  "READ(16)": "ER",
  "WRITE(6)": "WER",
  "WRITE(10)": "WER",
  "WRITE(12)": "WER",
  "WRITE(16)": "WER",
  "WRITE AND VERIFY(10)": "WER",
  "WRITE AND VERIFY(12)": "WER",
  "WRITE AND VERIFY(16)": "WER",
  "VERIFY(10)": "ER",
  "VERIFY(12)": "ER",
  "VERIFY(16)": "ER",
  "PRE-FETCH(10)": "ER",
  "PRE-FETCH(16)": "ER",
  "SYNCHRONIZE CACHE(10)": "WER",
  "SYNCHRONIZE CACHE(16)": "WER",
  "WRITE SAME(10)": "WER",
  "WRITE SAME(16)": "WER",
  UNMAP: "WER",
  "COMPARE AND WRITE": "WER",
  "ORWRITE(16)": "WER",
  "WRITE ATOMIC(16)": "WER",
  "FORMAT UNIT": "WER",
  "SANITIZE, OVERWRITE": "WER",
  "SANITIZE, BLOCK ERASE": "WER",
  "SANITIZE, CRYPTOGRAPHIC ERASE": "WER",
  "SANITIZE, EXIT FAILURE MODE": "WER",
  "READ DEFECT DATA(10)": "ER",
  "READ DEFECT DATA(12)": "ER",
  "REPORT LUNS": "",
  "REPORT TARGET PORT GROUPS": "",
  "SET TARGET PORT GROUPS": "WER",
  "REPORT SUPPORTED OPERATION CODES": "ER",
  "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS": "ER",
  "LOG SELECT": "WER",
  "LOG SENSE": "",
  "REPORT IDENTIFYING INFORMATION": "",
  "REPORT PRIORITY": "",
  "REPORT TIMESTAMP": "",
  "SET IDENTIFYING INFORMATION": "WER",
  "SET PRIORITY": "WER",
  "SET TIMESTAMP": "WER",
  "SEND DIAGNOSTIC": "WER",
  "RECEIVE DIAGNOSTIC RESULTS": "WER",
  "EXTENDED COPY(LID1)": "WER",
  "EXTENDED COPY(LID4)": "WER",
  "POPULATE TOKEN": "ER",
  "WRITE USING TOKEN": "WER",
  "COPY OPERATION ABORT": "R",
  "RECEIVE COPY STATUS(LID1)": "R",
  "RECEIVE COPY DATA(LID1)": "R",
  "RECEIVE COPY OPERATING PARAMETERS": "R",
  "RECEIVE COPY FAILURE DETAILS(LID1)": "R",
  "RECEIVE COPY STATUS(LID4)": "R",
  "RECEIVE ROD TOKEN INFORMATION": "R",
  "REPORT ALL ROD TOKENS": "R",
};

/** All modes of a command conflict alike. */
const MODES: Readonly<Record<string, string>> = {
  "WRITE BUFFER": "WER",
  "READ BUFFER(10)": "ER",
  "READ BUFFER(16)": "ER",
};

const BITS = [
  ["W", COMMAND_CONFLICTS_WRITE_EXCLUSIVE],
  ["E", COMMAND_CONFLICTS_EXCLUSIVE_ACCESS],
  ["R", COMMAND_CONFLICTS_RESERVE],
] as const;

/** Judged by control, which knows who is registered. */
const BY_CONTROL = /^(?:RESERVE|RELEASE|PERSISTENT RESERVE)/;

test("every command of the table conflicts with what the standards say", () => {
  for (const { name, conditions } of COMMANDS) {
    const conflicts = BITS.map(([letter, bit]) => ((conditions & bit) === 0 ? "" : letter)).join("");
    assert.equal(conflicts, BY_CONTROL.test(name) ? "" : (TABLE[name] ?? MODES[name.split(",")[0]!]), name);
  }
});

/** SPC-5, loss of persistent reservation information. */
const DESPITE_LOSS =
  /^(?:REQUEST SENSE|INQUIRY|REPORT LUNS|LOG SENSE|REPORT TARGET PORT GROUPS|(?:READ|WRITE) BUFFER.*|PERSISTENT RESERVE OUT, REPLACE LOST RESERVATION)$/;

test("while what was known of reservations is lost, only what SPC-5 lists runs", () => {
  for (const { name, conditions } of COMMANDS) {
    assert.equal((conditions & COMMAND_CONFLICTS_LOST_RESERVATIONS) === 0, DESPITE_LOSS.test(name), name);
  }
  const bench = new Bench();
  const blocked = COMMAND_CONFLICTS_LOST_RESERVATIONS | EVERYTHING;
  assertSense(bench.run(READ, { blocked }), 7, 0x44, 0x01);
  assertSense(bench.run([0, 0, 0, 0, 0, 0], { blocked }), 7, 0x44, 0x01);
  assertSense(bench.run([0x1b, 0, 0, 0, 0, 0], { blocked }), 7, 0x44, 0x01);
  assert.equal(bench.run([0x1b, 0, 0, 0, 0x01, 0], { blocked }).status, "good");
  assert.equal(bench.run([0x3c, 0x0b, 0, 0, 0, 0, 0, 0, 4, 0], { blocked }).status, "good");
  assert.equal(bench.run([0x4d, 0, 0, 0, 0, 0, 0, 0, 4, 0], { blocked }).status, "good");
});

const EVERYTHING = COMMAND_CONFLICTS_WRITE_EXCLUSIVE | COMMAND_CONFLICTS_EXCLUSIVE_ACCESS | COMMAND_CONFLICTS_RESERVE;
const READ = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const WRITE = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const DATA = new Uint8Array(512);

test("a command that conflicts ends with RESERVATION CONFLICT and does nothing", () => {
  const bench = new Bench();
  for (const [cdb, blocked, status] of [
    [READ, COMMAND_CONFLICTS_WRITE_EXCLUSIVE, "good"],
    [READ, COMMAND_CONFLICTS_EXCLUSIVE_ACCESS, "conflict"],
    [READ, COMMAND_CONFLICTS_RESERVE, "conflict"],
    [WRITE, COMMAND_CONFLICTS_WRITE_EXCLUSIVE, "conflict"],
    [WRITE, COMMAND_CONFLICTS_EXCLUSIVE_ACCESS, "conflict"],
    [WRITE, COMMAND_CONFLICTS_RESERVE, "conflict"],
    [WRITE, 0, "good"],
  ] as const) {
    assert.equal(bench.run(cdb, { blocked, dataOut: DATA }).status, status);
    assert.equal(bench.operations.length, status === "good" ? 1 : 0);
  }
});

test("starting a unit and allowing removal are let through, stopping and preventing are not", () => {
  const bench = new Bench();
  for (const [cdb, status] of [
    [[0x1b, 0, 0, 0, 0x01, 0], "good"],
    [[0x1b, 0x01, 0, 0, 0x03, 0], "good"],
    [[0x1b, 0, 0, 0, 0x00, 0], "conflict"],
    [[0x1b, 0, 0, 0, 0x02, 0], "conflict"],
    [[0x1b, 0, 0, 0, 0x10, 0], "conflict"],
    [[0x1b, 0, 0, 0, 0x21, 0], "conflict"],
    [[0x1e, 0, 0, 0, 0x00, 0], "good"],
    [[0x1e, 0, 0, 0, 0x01, 0], "conflict"],
  ] as const) {
    assert.equal(bench.run(cdb, { blocked: EVERYTHING }).status, status, `${cdb}`);
  }
});

test("a conflict is told after a unit attention and an illegal CDB, before write protection and a medium that is not ready", () => {
  const notReady = { asc: 0x3a, ascq: 0, progress: -1 };
  const bench = new Bench({ notReady });
  const options = { blocked: EVERYTHING, readOnly: true, dataOut: DATA };
  bench.attentions.add(0, 0x2a, 0x03);
  assertSense(bench.run(WRITE, options), 6, 0x2a, 0x03);
  assertInvalidFieldInCdb(bench.run([0x2a, 0x20, 0, 0, 0, 0, 0, 0, 1, 0], options), "1.5");
  assert.equal(bench.run(WRITE, options).status, "conflict");
});
