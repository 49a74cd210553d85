import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_NEEDS_MEDIUM,
  COMMAND_PASSES_UNIT_ATTENTION,
  COMMAND_WITHOUT_UNIT,
  COMMAND_WRITES_MEDIUM,
  type Command,
  NO_SERVICE_ACTION,
} from "../../../../dataplane/scsi/command.js";
import { WRITE_ERROR } from "../../../../dataplane/scsi/sense.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import fc from "../../../support/fast-check.js";
import { assertInvalidFieldInCdb, assertSense, Bench } from "./bench.js";

/** The shortest CDB of a command: all that may be zero is. */
function cdbOf(command: Command): number[] {
  const cdb: number[] = new Array(command.usage.length).fill(0);
  cdb[0] = command.opcode;
  if (command.serviceAction !== NO_SERVICE_ACTION) cdb[1] = command.serviceAction;
  return cdb;
}

function has(command: Command, condition: number): boolean {
  return (command.conditions & condition) !== 0;
}

test("an opcode that is not in the table is INVALID COMMAND OPERATION CODE", () => {
  const known = new Set(COMMANDS.map(({ opcode }) => opcode));
  const bench = new Bench();
  for (let opcode = 0; opcode < 256; opcode++) {
    if (known.has(opcode)) continue;
    const sense = assertSense(bench.run([opcode, ...new Array(15).fill(0xff)]), 5, 0x20, 0);
    assert.equal(sense.fieldPointer, null);
  }
});

test("a service action that is not in the table is INVALID FIELD IN CDB at the service action", () => {
  const bench = new Bench();
  for (const opcode of [0x9e, 0xa3]) {
    for (let action = 0; action < 32; action++) {
      if (COMMANDS.some((command) => command.opcode === opcode && command.serviceAction === action)) continue;
      assertInvalidFieldInCdb(bench.run([opcode, action]), "1.4");
    }
  }
});

test("each bit outside the usage mask is refused, with a pointer to it", () => {
  const bench = new Bench();
  for (const command of COMMANDS) {
    for (let byte = 1; byte < command.usage.length; byte++) {
      for (let bit = 0; bit < 8; bit++) {
        const isAction = byte === 1 && bit < 5 && command.serviceAction !== NO_SERVICE_ACTION;
        if (isAction || (command.usage[byte]! & (1 << bit)) !== 0) continue;
        const cdb = cdbOf(command);
        cdb[byte]! |= 1 << bit;
        assertInvalidFieldInCdb(bench.run(cdb), `${byte}.${bit}`);
      }
    }
  }
});

test("of several illegal bits the pointer names the leftmost of the first byte", () => {
  const bench = new Bench();
  assertInvalidFieldInCdb(bench.run([0x28, 0x61, 0, 0, 0, 0, 0xc0, 0, 0, 0xff]), "1.6");
  assertInvalidFieldInCdb(bench.run([0x28, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0x04]), "6.7");
});

test("NACA=1 is refused by all commands", () => {
  const bench = new Bench();
  for (const command of COMMANDS) {
    const cdb = cdbOf(command);
    cdb[cdb.length - 1] = 0x04;
    assertInvalidFieldInCdb(bench.run(cdb), `${cdb.length - 1}.2`);
  }
});

test("what follows a short CDB in its 16 bytes is not looked at", () => {
  // The bench fills up with A5h.
  assert.equal(new Bench().run([0x00, 0, 0, 0, 0, 0]).status, "good");
});

test("a LUN without a unit is refused, but for INQUIRY, REPORT LUNS and REQUEST SENSE", () => {
  const bench = new Bench({ luns: [0] });
  for (const lun of [1, -1]) {
    for (const command of COMMANDS) {
      const outcome = bench.run(cdbOf(command), { lun });
      if (has(command, COMMAND_WITHOUT_UNIT)) assert.equal(outcome.status, "good", command.name);
      else assertSense(outcome, 5, 0x25, 0);
    }
    assertSense(bench.run([0xff], { lun }), 5, 0x25, 0);
  }
  const names = COMMANDS.filter((command) => has(command, COMMAND_WITHOUT_UNIT)).map(({ name }) => name);
  assert.deepEqual(names, ["REQUEST SENSE", "INQUIRY", "REPORT LUNS"]);
});

test("the well-known unit has the commands that it must have, with or without other units, and no others", () => {
  const bench = new Bench({ luns: [], notReady: { asc: 0x3a, ascq: 0, progress: -1 } });
  const lun = 0xc101;
  const names: string[] = [];
  for (const command of COMMANDS) {
    const outcome = bench.run(cdbOf(command), { lun });
    if (outcome.status === "good") names.push(command.name);
    else assertSense(outcome, 5, 0x20, 0);
  }
  assert.deepEqual(names, ["TEST UNIT READY", "REQUEST SENSE", "INQUIRY", "REPORT LUNS"]);
  assertSense(bench.run([0xff], { lun }), 5, 0x20, 0);
  assertInvalidFieldInCdb(bench.run([0x00, 0, 0, 0x80, 0, 0], { lun }), "3.7");
  for (const other of [0xc100, 0xc102]) assertSense(bench.run([0x00, 0, 0, 0, 0, 0], { lun: other }), 5, 0x25, 0);
});

test("a unit attention is reported once, by all but the excepted commands, and before anything else is", () => {
  const bench = new Bench({ luns: [0, 1] });
  for (const command of COMMANDS) {
    bench.attentions.add(0, 0x2a, 0x09);
    assert.notEqual(bench.run(cdbOf(command), { lun: 1 }).sense?.key, 6);
    const outcome = bench.run(cdbOf(command));
    if (has(command, COMMAND_PASSES_UNIT_ATTENTION)) {
      assert.equal(outcome.status, "good", command.name);
    } else {
      assertSense(outcome, 6, 0x2a, 0x09);
      assert.equal(bench.attentions.pending(0), false);
    }
    bench.attentions.clear(0);
  }
  bench.attentions.add(0, 0x29, 0x00);
  assertSense(bench.run([0xff]), 6, 0x29, 0);
  bench.attentions.add(0, 0x29, 0x00);
  assertSense(bench.run([0x28, 0xff], { readOnly: true }), 6, 0x29, 0);
});

test("a deferred error is told instead of the next command, once", () => {
  const bench = new Bench();
  const write = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];
  bench.attentions.addDeferredError(0, WRITE_ERROR);
  const { deferred, fieldPointer, information } = assertSense(
    bench.run(write, { dataOut: new Uint8Array(512) }),
    3,
    0x0c,
    0,
  );
  assert.deepEqual({ deferred, fieldPointer, information }, { deferred: true, fieldPointer: null, information: null });
  assert.deepEqual(bench.operations, []);
  assert.equal(bench.run(write, { dataOut: new Uint8Array(512) }).status, "good");
  assert.equal(assertSense(bench.run([0xff, 0, 0, 0, 0, 0]), 5, 0x20, 0).deferred, false);
});

test("a threshold that is reached is told with the place of its descriptor, others without INFORMATION", () => {
  const bench = new Bench();
  bench.attentions.add(0, 0x38, 0x07);
  assert.equal(assertSense(bench.run([0, 0, 0, 0, 0, 0]), 6, 0x38, 0x07).information, 16);
  bench.attentions.add(0, 0x2a, 0x01);
  assert.equal(assertSense(bench.run([0, 0, 0, 0, 0, 0]), 6, 0x2a, 0x01).information, null);
  bench.attentions.add(0, 0x38, 0x07);
  assert.equal(
    Buffer.from(bench.run([3, 0, 0, 0, 18, 0]).data).toString("hex"),
    "f00006000000100a00000000380700000000",
  );
});

test("INQUIRY leaves a unit attention pending", () => {
  const bench = new Bench();
  bench.attentions.add(0, 0x29, 0x00);
  assert.equal(bench.run([0x12, 0, 0, 0, 36, 0]).status, "good");
  assert.equal(bench.attentions.pending(0), true);
});

test("what writes the medium is refused where that is read-only", () => {
  const bench = new Bench();
  for (const command of COMMANDS) {
    const outcome = bench.run(cdbOf(command), { readOnly: true });
    if (has(command, COMMAND_WRITES_MEDIUM)) assertSense(outcome, 7, 0x27, 0);
    else assert.notEqual(outcome.sense?.key, 7, command.name);
    assert.deepEqual(
      bench.operations.filter((operation) => /^(write|storeWrite|zero|discard)/.test(operation)),
      [],
    );
  }
});

test("an illegal CDB is told before write protection", () => {
  assertInvalidFieldInCdb(new Bench().run([0x2a, 0x20, 0, 0, 0, 0, 0, 0, 1, 0], { readOnly: true }), "1.5");
});

/** MEDIUM NOT PRESENT. */
const NO_MEDIUM = { asc: 0x3a, ascq: 0, progress: -1 };

test("what needs a medium is NOT READY without one", () => {
  const bench = new Bench({ removable: true, notReady: NO_MEDIUM });
  for (const command of COMMANDS) {
    const outcome = bench.run(cdbOf(command));
    if (has(command, COMMAND_NEEDS_MEDIUM)) assertSense(outcome, 2, 0x3a, 0);
    else assert.notEqual(outcome.sense?.key, 2, command.name);
  }
});

test("a command that gets no buffer at first ends in the same way later", () => {
  for (const command of COMMANDS) {
    const cdb = cdbOf(command);
    const block = new Uint8Array(512).fill(1);
    for (const buffersMissing of [1, 3]) {
      const calm = new Bench({ luns: [0, 3] });
      const scarce = new Bench({ luns: [0, 3] });
      for (const bench of [calm, scarce]) bench.attentions.add(0, 0x3f, 0x0e);
      const passes = has(command, COMMAND_PASSES_UNIT_ATTENTION);
      if (!passes) for (const bench of [calm, scarce]) bench.attentions.clear(0);
      const expected = calm.run(cdb, { dataOut: block });
      assert.deepEqual(scarce.run(cdb, { dataOut: block, buffersMissing }), expected, command.name);
      assert.deepEqual(scarce.operations, calm.operations);
      assert.equal(scarce.attentions.pending(0), calm.attentions.pending(0));
    }
  }
});

/** CDBs near the legal ones: random ones hardly get past the opcode. */
const anyCdb = fc
  .record({
    command: fc.constantFrom(...COMMANDS),
    noise: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    density: fc.constantFrom(0, 0x0f, 0xff),
    wild: fc.boolean(),
  })
  .map(({ command, noise, density, wild }) =>
    cdbOf(command).map((byte, i) => {
      const legal = i === 0 || (i === 1 && command.serviceAction !== NO_SERVICE_ACTION) ? 0 : command.usage[i]!;
      return byte | (noise[i]! & density & (wild && i > 0 ? 0xff : legal));
    }),
  );

test("any CDB with any data comes to exactly one end and stays within its buffer and its unit", () => {
  const property = fc.property(
    anyCdb,
    fc.uint8Array({ maxLength: 1100 }),
    fc.constantFrom(1, 17, 4096, 40_000),
    fc.boolean(),
    (cdb, dataOut, blocks, thin) => {
      new Bench({ blocks, thin }).run(cdb, { dataOut });
    },
  );
  fc.assert(property, { numRuns: 2000 });
});
