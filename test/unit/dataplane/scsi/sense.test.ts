import assert from "node:assert/strict";
import { test } from "node:test";
import type { Services } from "../../../../dataplane/scsi/command.js";
import {
  encodeDescriptorSense,
  encodeFixedSense,
  encodeSense,
  invalidFieldInCdb,
  invalidFieldInParameterList,
  lbaOutOfRange,
  SENSE_BYTES,
  SENSE_BYTES_MAX,
  SENSE_DEFERRED,
  storeError,
} from "../../../../dataplane/scsi/sense.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import { Task } from "../../../../dataplane/task/task.js";
import { decodeSense, hex } from "./bench.js";

function ended(end: (task: Task, services: Services) => void): Task {
  const task = new Task(0, 0);
  task.senseInformation = 0x1234;
  task.senseKeySpecific = 0x123456;
  task.senseCommandSpecific = 0x12345678;
  let ends = 0;
  const services = {
    checkCondition(which: Task) {
      assert.equal(which, task);
      ends++;
    },
  };
  end(task, services as Services);
  assert.equal(ends, 1);
  return task;
}

function encoded(task: Task): string {
  const bytes = new Uint8Array(24).fill(0xff);
  assert.equal(encodeSense(bytes, new DataView(bytes.buffer), 3, task), SENSE_BYTES);
  assert.equal(hex(bytes.subarray(0, 3)) + hex(bytes.subarray(21)), "ffffffffffff");
  return hex(bytes.subarray(3, 21));
}

test("fixed format: a field pointer into the CDB, with and without a bit", () => {
  assert.equal(
    encoded(ended((task, services) => invalidFieldInCdb(task, services, 2))),
    "700005000000000a000000002400" + "00c00002",
  );
  assert.equal(
    encoded(ended((task, services) => invalidFieldInCdb(task, services, 1, 7))),
    "700005000000000a000000002400" + "00cf0001",
  );
  assert.equal(
    encoded(ended((task, services) => invalidFieldInCdb(task, services, 15, 0))),
    "700005000000000a000000002400" + "00c8000f",
  );
});

test("fixed format: a field pointer into the parameter list, and none beyond its 16 bits", () => {
  assert.equal(
    encoded(ended((task, services) => invalidFieldInParameterList(task, services, 0x1234, 5))),
    "700005000000000a000000002600" + "008d1234",
  );
  assert.equal(
    encoded(ended((task, services) => invalidFieldInParameterList(task, services, 0xffff))),
    "700005000000000a000000002600" + "0080ffff",
  );
  assert.equal(
    encoded(ended((task, services) => invalidFieldInParameterList(task, services, 0x1_0000))),
    "700005000000000a000000002600" + "00000000",
  );
});

test("fixed format: INFORMATION is valid only if it fits into 32 bits", () => {
  const at = (lba: number) => encoded(ended((task, services) => lbaOutOfRange(task, services, lba)));
  assert.equal(at(0), "f00005000000000a00000000210000000000");
  assert.equal(at(0xffff_ffff), "f00005ffffffff0a00000000210000000000");
  assert.equal(at(0x1_0000_0000), "700005000000000a00000000210000000000");
  assert.equal(at(Number.MAX_SAFE_INTEGER), "700005000000000a00000000210000000000");
  assert.equal(at(-1), "700005000000000a00000000210000000000");
});

test("descriptor format: a descriptor for each part that there is", () => {
  const encodedAs = (information: number, specific: number) => {
    const bytes = new Uint8Array(SENSE_BYTES_MAX);
    const view = new DataView(bytes.buffer);
    const length = encodeDescriptorSense(bytes, view, 0, 5, 0x24, 0x01, information, specific);
    return hex(bytes.subarray(0, length));
  };
  assert.equal(encodedAs(-1, -1), "7205240100000000");
  assert.equal(encodedAs(0x1_0000_0002, -1), "720524010000000c000a80000000000100000002");
  assert.equal(encodedAs(-1, 0xcf0007), "720524010000000802060000cf000700");
  assert.equal(encodedAs(0, 0x800001), "7205240100000014000a800000000000000000000206000080000100");
});

test("COMMAND-SPECIFIC INFORMATION stands in both formats", () => {
  const bytes = new Uint8Array(SENSE_BYTES_MAX);
  const view = new DataView(bytes.buffer);
  const fixed = encodeFixedSense(bytes, view, 0, 0xa, 0x0d, 0x02, -1, 0x88_0006, 0x103);
  assert.equal(hex(bytes.subarray(0, fixed)), "70000a000000000a000001030d0200880006");
  const described = encodeDescriptorSense(bytes, view, 0, 0xa, 0x0d, 0x02, -1, 0x88_0006, 0x103);
  assert.equal(hex(bytes.subarray(0, described)), "720a0d0200000014" + "010a00000000000000000103" + "0206000088000600");
});

test("a deferred error has response codes of its own, and the sense key beside the mark", () => {
  const task = new Task(0, 0);
  Object.assign(task, { senseKey: SENSE_DEFERRED | 3, asc: 0x0c, ascq: 0 });
  assert.equal(encoded(task), "710003000000000a000000000c0000000000");
  const bytes = new Uint8Array(SENSE_BYTES_MAX);
  const length = encodeDescriptorSense(bytes, new DataView(bytes.buffer), 0, SENSE_DEFERRED | 3, 0x0c, 0, -1, -1);
  assert.equal(hex(bytes.subarray(0, length)), "73030c0000000000");
});

const READ_10 = COMMANDS.find((command) => command.name === "READ(10)")!;
const WRITE_10 = COMMANDS.find((command) => command.name === "WRITE(10)")!;

function storeFailed(command: typeof READ_10, errno: number, writes?: boolean) {
  const task = ended((task, services) => {
    task.command = command;
    task.lba = 0x4711;
    storeError(task, services, errno, writes);
  });
  const { key, asc, ascq, information } = decodeSense(task);
  return [key, asc, ascq, information];
}

test("a store's errno becomes the condition that the initiator can act upon", () => {
  const EIO = -5;
  assert.deepEqual(storeFailed(READ_10, EIO), [3, 0x11, 0, 0x4711]);
  assert.deepEqual(storeFailed(WRITE_10, EIO), [3, 0x0c, 0, 0x4711]);
  assert.deepEqual(storeFailed(READ_10, EIO, true), [3, 0x0c, 0, 0x4711]);
  assert.deepEqual(storeFailed(READ_10, -61), [3, 0x11, 0, 0x4711]);
  for (const full of [-28, -122]) assert.deepEqual(storeFailed(WRITE_10, full), [7, 0x27, 0x07, null]);
  for (const denied of [-30, -13, -1]) {
    assert.deepEqual(storeFailed(WRITE_10, denied), [7, 0x27, 0, null]);
    assert.deepEqual(storeFailed(READ_10, denied), [4, 0x44, 0, null]);
  }
  assert.deepEqual(storeFailed(WRITE_10, -9), [4, 0x44, 0, null]);
});

test("what a unit has answered to the copy manager is forwarded as it came, in both formats", () => {
  const bytes = new Uint8Array(SENSE_BYTES_MAX);
  const view = new DataView(bytes.buffer);
  const sense = "700003000000000a00000000110000000000";
  const forwarded = { side: "source", status: 2, sense } as const;
  const fixed = encodeFixedSense(bytes, view, 0, 0xa, 0x0d, 0x01, 0x20, 0x80_0010, 3, forwarded);
  assert.equal(hex(bytes.subarray(0, fixed)), `f0000a000000201d120000030d0100800010${"02"}${sense}`);
  const destination = encodeFixedSense(bytes, view, 0, 0xa, 0x0d, 0x01, -1, -1, 3, {
    side: "destination",
    status: 0x18,
    sense: "",
  });
  assert.equal(hex(bytes.subarray(0, destination)), `70000a000000000b001200030d010000000018`);
  const described = encodeDescriptorSense(bytes, view, 0, 0xa, 0x0d, 0x01, -1, -1, 3, forwarded);
  assert.equal(hex(bytes.subarray(0, described)), `720a0d0100000022${"010a00000000000000000003"}${`0c140102${sense}`}`);
});

test("in descriptor format what does not fit is cut, and that is said", () => {
  const bytes = new Uint8Array(SENSE_BYTES_MAX + 1).fill(0xee);
  const view = new DataView(bytes.buffer);
  const forwarded = { side: "destination", status: 2, sense: "72".padEnd(80, "5") } as const;
  const length = encodeDescriptorSense(bytes, view, 0, 0xa, 0x0d, 0x01, 1, 0x80_0010, 3, forwarded);
  assert.equal(length, SENSE_BYTES_MAX);
  assert.equal(hex(bytes.subarray(40)), `0c148202${"72".padEnd(36, "5")}ee`);
  assert.equal(bytes[7], length - 8);
  const fixed = encodeFixedSense(bytes, view, 0, 0xa, 0x0d, 0x01, 1, 0x80_0010, 3, forwarded);
  assert.deepEqual([fixed, bytes[SENSE_BYTES_MAX]], [18 + 1 + 40, 0xee], "in fixed format all of it fits");
});
