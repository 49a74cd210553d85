/** Commands that control carries out, as far as the shard has to do with them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CONTROL_PARAMETERS_BYTES_MAX } from "../../../../dataplane/limits.js";
import { assertInvalidFieldInCdb, assertSense, Bench, u32 } from "./bench.js";

function persistentReserveOut(length: number): number[] {
  return [0x5f, 0, 0, 0, 0, ...u32(length), 0];
}

test("a parameter list is received before control is asked, none where there is none", () => {
  const bench = new Bench();
  for (const length of [0, 1, 24, CONTROL_PARAMETERS_BYTES_MAX]) {
    assert.equal(bench.run(persistentReserveOut(length), { dataOut: new Uint8Array(length) }).status, "good");
    assert.deepEqual(bench.operations, ["control"]);
  }
});

test("a list that is longer than a record to control can be is a PARAMETER LIST LENGTH ERROR", () => {
  const bench = new Bench();
  for (const length of [CONTROL_PARAMETERS_BYTES_MAX + 1, 0xffff_ffff]) {
    assertSense(bench.run(persistentReserveOut(length), { dataOut: new Uint8Array(24) }), 5, 0x1a, 0);
    assert.deepEqual(bench.operations, []);
  }
});

test("RESERVE and RELEASE for third parties, or of extents, are refused", () => {
  const bench = new Bench();
  for (const opcode of [0x16, 0x17]) {
    assert.equal(bench.run([opcode, 0, 0, 0, 0, 0]).status, "good");
    assertInvalidFieldInCdb(bench.run([opcode, 0x10, 0, 0, 0, 0]), "1.4");
    assertInvalidFieldInCdb(bench.run([opcode, 0x01, 0, 0, 0, 0]), "1.0");
  }
  for (const opcode of [0x56, 0x57]) {
    assert.equal(bench.run([opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0]).status, "good");
    assertInvalidFieldInCdb(bench.run([opcode, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]), "1.4");
    assertInvalidFieldInCdb(bench.run([opcode, 0x02, 0, 0, 0, 0, 0, 0, 8, 0]), "1.1");
  }
});

test("service actions of PERSISTENT RESERVE that there are not", () => {
  const bench = new Bench();
  for (let action = 4; action < 32; action++) {
    assertInvalidFieldInCdb(bench.run([0x5e, action, 0, 0, 0, 0, 0, 0, 8, 0]), "1.4");
  }
  for (let action = 9; action < 32; action++) assertInvalidFieldInCdb(bench.run([0x5f, action]), "1.4");
});

test("SANITIZE: bits that have no meaning for a service action are refused, ZNR for all of them", () => {
  const bench = new Bench();
  for (const action of [0x01, 0x02, 0x03, 0x1f]) {
    for (const flags of [0, 0x80, 0x20, 0xa0]) {
      assert.equal(bench.run([0x48, flags | action, 0, 0, 0, 0, 0, 0, 0, 0]).status, "good");
      assert.deepEqual(bench.operations, ["control"]);
    }
    assertInvalidFieldInCdb(bench.run([0x48, 0x40 | action, 0, 0, 0, 0, 0, 0, 0, 0]), "1.6");
    for (let byte = 2; byte < 7; byte++) {
      const cdb = [0x48, action, 0, 0, 0, 0, 0, 0, 0, 0];
      cdb[byte] = 0x01;
      assertInvalidFieldInCdb(bench.run(cdb), `${byte}.0`);
    }
    if (action !== 0x01) assertInvalidFieldInCdb(bench.run([0x48, action, 0, 0, 0, 0, 0, 0, 8, 0]), "8.3");
  }
  for (const action of [0x00, 0x04, 0x1e])
    assertInvalidFieldInCdb(bench.run([0x48, action, 0, 0, 0, 0, 0, 0, 0, 0]), "1.4");
  // OVERWRITE receives its list first.
  assert.equal(bench.run([0x48, 0x01, 0, 0, 0, 0, 0, 0, 5, 0], { dataOut: new Uint8Array(5) }).status, "good");
});

test("FORMAT UNIT: with FMTDATA all that the initiator sends is its list", () => {
  const bench = new Bench();
  for (const length of [0, 4, 4096]) {
    assert.equal(bench.run([0x04, 0x10, 0, 0, 0, 0], { dataOut: new Uint8Array(length) }).status, "good");
    assert.deepEqual(bench.operations, ["control"]);
  }
  const tooMuch = { dataOut: new Uint8Array(8), expectedDataTransferLength: CONTROL_PARAMETERS_BYTES_MAX + 1 };
  assertSense(bench.run([0x04, 0x10, 0, 0, 0, 0], tooMuch), 5, 0x1a, 0);
  assert.deepEqual(bench.operations, []);
  // FMTPINFO, the reserved FFMTs, and what is vendor specific or obsolete.
  assertInvalidFieldInCdb(bench.run([0x04, 0x80, 0, 0, 0, 0]), "1.7");
  assertInvalidFieldInCdb(bench.run([0x04, 0x40, 0, 0, 0, 0]), "1.6");
  assertInvalidFieldInCdb(bench.run([0x04, 0, 1, 0, 0, 0]), "2.0");
  assertInvalidFieldInCdb(bench.run([0x04, 0, 0, 1, 0, 0]), "3.0");
  assertInvalidFieldInCdb(bench.run([0x04, 0, 0, 0, 2, 0]), "4.1");
  assertInvalidFieldInCdb(bench.run([0x04, 0, 0, 0, 4, 0]), "4.2");
});
