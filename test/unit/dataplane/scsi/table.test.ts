import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMAND_NEEDS_MEDIUM, COMMAND_WRITES_MEDIUM, NO_SERVICE_ACTION } from "../../../../dataplane/scsi/command.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";

/** SPC-5: the group code, the upper three bits of the opcode, tells the CDB's length. */
const LENGTH_OF_GROUP = [6, 10, 10, 0, 16, 12, 0, 0];

test("each usage mask has the length of its opcode's group and starts with the opcode", () => {
  for (const { name, opcode, usage } of COMMANDS) {
    assert.equal(usage.length, LENGTH_OF_GROUP[opcode >>> 5], name);
    assert.equal(usage[0], opcode, name);
    assert.ok(
      usage.every((bits) => Number.isInteger(bits) && bits >= 0 && bits <= 0xff),
      name,
    );
  }
});

test("the CONTROL byte must be zero everywhere: NACA and the obsolete bits are refused", () => {
  for (const { name, usage } of COMMANDS) assert.equal(usage.at(-1), 0, name);
});

test("no two rows are for the same command, and an opcode either has service actions or has none", () => {
  const keys = COMMANDS.map(({ opcode, serviceAction }) => `${opcode}/${serviceAction}`);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(new Set(COMMANDS.map(({ name }) => name)).size, COMMANDS.length);
  for (const { name, opcode, serviceAction, usage } of COMMANDS) {
    const same = COMMANDS.filter((other) => other.opcode === opcode);
    if (serviceAction === NO_SERVICE_ACTION) assert.equal(same.length, 1, name);
    else {
      assert.ok(same.every((other) => other.serviceAction !== NO_SERVICE_ACTION));
      assert.ok(serviceAction <= 0x1f, name);
      assert.equal(usage[1]! & 0x1f, serviceAction, name);
    }
  }
});

test("rows stand in the order of their opcodes, which is the order of the report", () => {
  const order = COMMANDS.map(({ opcode, serviceAction }) => opcode * 32 + Math.max(serviceAction, 0));
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
});

test("what writes the medium needs one, and its name says so", () => {
  for (const { name, conditions } of COMMANDS) {
    const writes = (conditions & COMMAND_WRITES_MEDIUM) !== 0;
    // What writes all of it needs it in no good state: control judges when.
    const rewrites = /^(SANITIZE|FORMAT UNIT)/.test(name);
    assert.equal(writes, rewrites || /^(WRITE(?! BUFFER)|ORWRITE|COMPARE AND WRITE|UNMAP)/.test(name), name);
    if (writes) assert.equal((conditions & COMMAND_NEEDS_MEDIUM) !== 0, !rewrites, name);
  }
});
