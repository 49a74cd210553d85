import assert from "node:assert/strict";
import { test } from "node:test";
import type { Services } from "../../../../dataplane/scsi/command.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import type { Task } from "../../../../dataplane/task/task.js";
import { Bench } from "./bench.js";

/** What limits count of the CDB in bytes; undefined: nothing at all. */
function costOf(cdb: readonly number[], blockLengthBytes = 512): number | undefined {
  const command = COMMANDS.find(
    ({ opcode, serviceAction }) => opcode === cdb[0] && (serviceAction < 0 || serviceAction === (cdb[1]! & 0x1f)),
  );
  const bytes = Uint8Array.from({ length: 32 }, (_, i) => cdb[i] ?? 0);
  const services = { bytes, view: new DataView(bytes.buffer) } as unknown as Services;
  return command?.costBytes?.({ cdb: 0, unit: { blockLengthBytes } } as unknown as Task, services);
}

test("limits count what reads, writes or copies blocks, and nothing else", () => {
  const counted = /^(READ|WRITE|VERIFY|WRITE AND VERIFY|PRE-FETCH|ORWRITE|WRITE SAME|WRITE ATOMIC)\(\d+\)$/;
  const alsoCounted = /^(COMPARE AND WRITE|UNMAP|POPULATE TOKEN|WRITE USING TOKEN|EXTENDED COPY\(LID[14]\))$/;
  for (const { name, costBytes } of COMMANDS) {
    assert.equal(costBytes !== undefined, counted.test(name) || alsoCounted.test(name), name);
  }
  assert.equal(COMMANDS.filter(({ costBytes }) => costBytes !== undefined).length, 26);
});

test("they count the bytes of the range", () => {
  const lba = [0, 0xff, 0xff, 0xff];
  const longLba = [...lba, ...lba];
  // READ and WRITE(6): 0 is 256.
  assert.equal(costOf([0x08, 0x1f, 0xff, 0xff, 3, 0]), 3 * 512);
  assert.equal(costOf([0x0a, 0x1f, 0xff, 0xff, 0, 0], 4096), 256 * 4096);
  for (const opcode of [0x28, 0x2a, 0x2e, 0x2f, 0x34, 0x41]) {
    assert.equal(costOf([opcode, 0, ...lba, 0x3f, 0x01, 0x02, 0]), 0x102 * 512, `${opcode}`);
  }
  for (const opcode of [0xa8, 0xaa, 0xae, 0xaf]) {
    assert.equal(costOf([opcode, 0, ...lba, 0x80, 0x01, 0x02, 0x03, 0x3f, 0]), 0x8001_0203 * 512, `${opcode}`);
  }
  for (const opcode of [0x88, 0x8a, 0x8b, 0x8e, 0x8f, 0x90, 0x93]) {
    assert.equal(costOf([opcode, 0, ...longLba, 0, 0x01, 0x02, 0x03, 0x3f, 0], 4096), 0x1_0203 * 4096, `${opcode}`);
  }
  // COMPARE AND WRITE: what stands before its length is reserved. WRITE ATOMIC: ATOMIC BOUNDARY.
  assert.equal(costOf([0x89, 0, ...longLba, 0, 0, 0, 7, 0x3f, 0]), 7 * 512);
  assert.equal(costOf([0x9c, 0, ...longLba, 0xff, 0xff, 0x01, 0x02, 0x3f, 0]), 0x102 * 512);
});

test("what is deallocated counts as a command alone, and so do copies", () => {
  assert.equal(costOf([0x93, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0]), 0);
  assert.equal(costOf([0x41, 0x08, 0, 0, 0, 0, 0, 0x10, 0, 0]), 0);
  assert.equal(costOf([0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0]), 0);
  for (const action of [0x00, 0x01, 0x10, 0x11]) assert.equal(costOf([0x83, action]), 0);
});

test("a command that cannot be is refused before it waits, and where there are no limits none is asked", () => {
  const bench = new Bench();
  const read = [0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0];
  bench.run(read);
  assert.deepEqual(bench.operations, ["read 0 2"]);
  bench.run(read, { isLimited: true });
  assert.deepEqual(bench.operations, ["hold 1024", "read 0 2"]);
  bench.run([0x28, 0x20, 0, 0, 0, 0, 0, 0, 2, 0], { isLimited: true });
  bench.run([0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0], { isLimited: true, readOnly: true });
  bench.run([0x00, 0, 0, 0, 0, 0], { isLimited: true });
  bench.run([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0], { isLimited: true });
  assert.ok(!bench.operations.some((operation) => operation.startsWith("hold")), `${bench.operations}`);
});
