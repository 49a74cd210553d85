import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_SERVICE_ACTION } from "../../../../dataplane/scsi/command.js";
import { WRITE_ERROR } from "../../../../dataplane/scsi/sense.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import { assertInvalidFieldInCdb, assertSense, Bench, hex, type Outcome, u16, u32 } from "./bench.js";

test("TEST UNIT READY", () => {
  assert.equal(new Bench().run([0, 0, 0, 0, 0, 0]).status, "good");
});

// -- REQUEST SENSE

const NO_SENSE = "700000000000000a00000000000000000000";

function requestSense(bench: Bench, flags = 0, allocationLength = 252, lun = 0): string {
  const outcome = bench.run([0x03, flags, 0, 0, allocationLength, 0], { lun });
  assert.equal(outcome.status, "good");
  return hex(outcome.data);
}

test("REQUEST SENSE has nothing to tell", () => {
  assert.equal(requestSense(new Bench()), NO_SENSE);
  assert.equal(requestSense(new Bench(), 0x01), "7200000000000000");
});

test("REQUEST SENSE reports unit attentions as data, each once", () => {
  const bench = new Bench();
  for (const desc of [0, 1]) {
    bench.attentions.add(0, 0x29, 0x00);
    bench.attentions.add(0, 0x2a, 0x09);
    assert.equal(requestSense(bench, desc), desc ? "7206290000000000" : "700006000000000a00000000290000000000");
    assert.equal(requestSense(bench, desc), desc ? "72062a0900000000" : "700006000000000a000000002a0900000000");
    assert.equal(requestSense(bench, desc), desc ? "7200000000000000" : NO_SENSE);
  }
});

test("REQUEST SENSE reports a deferred error as such", () => {
  const bench = new Bench();
  for (const desc of [0, 1]) {
    bench.attentions.addDeferredError(0, WRITE_ERROR);
    assert.equal(requestSense(bench, desc), desc ? "73030c0000000000" : "710003000000000a000000000c0000000000");
    assert.equal(requestSense(bench, desc), desc ? "7200000000000000" : NO_SENSE);
  }
});

test("REQUEST SENSE of a LUN without a unit says so", () => {
  for (const lun of [9, -1]) {
    assert.equal(requestSense(new Bench(), 0, 252, lun), "700005000000000a00000000250000000000");
    assert.equal(requestSense(new Bench(), 1, 252, lun), "7205250000000000");
  }
});

test("REQUEST SENSE of the well-known unit has nothing to tell", () => {
  assert.equal(requestSense(new Bench({ luns: [] }), 0, 252, 0xc101), NO_SENSE);
});

test("REQUEST SENSE of a unit without a medium says so", () => {
  assert.equal(
    requestSense(new Bench({ notReady: { asc: 0x3a, ascq: 0, progress: -1 } })),
    "700002000000000a000000003a0000000000",
  );
});

test("REQUEST SENSE takes every allocation length", () => {
  const bench = new Bench();
  for (const length of [0, 1, 7, 8, 17, 18, 19, 255]) {
    assert.equal(requestSense(bench, 0, length), NO_SENSE.slice(0, 2 * length));
  }
});

// -- REPORT LUNS

function reportLuns(bench: Bench, select = 0, allocationLength = 0xffff_ffff, lun = 0): Outcome {
  return bench.run([0xa0, 0, select, 0, 0, 0, ...u32(allocationLength), 0, 0], { lun });
}

test("REPORT LUNS lists what the initiator sees in ascending order, above 255 with flat addressing", () => {
  const bench = new Bench({ luns: [300, 0, 255, 256, 16383, 7] });
  const list = ["0000", "0007", "00ff", "4100", "412c", "7fff"].map((lun) => `${lun}000000000000`).join("");
  for (const select of [0x00, 0x11]) assert.equal(hex(reportLuns(bench, select).data), `0000003000000000${list}`);
  assert.equal(hex(reportLuns(bench, 0x02).data), `0000003800000000${list}c101000000000000`);
});

test("REPORT LUNS of well-known units, of administrative and subsidiary ones; anything else is refused", () => {
  const bench = new Bench();
  assert.equal(hex(reportLuns(bench, 0x01).data), "0000000800000000c101000000000000");
  for (const select of [0x10, 0x12]) assert.equal(hex(reportLuns(bench, select).data), "0000000000000000");
  for (const select of [0x03, 0x0f, 0x13, 0x80, 0xff]) assertInvalidFieldInCdb(reportLuns(bench, select), "2");
});

test("REPORT LUNS answers at any LUN, to initiators without any LUN, and to every allocation length", () => {
  assert.equal(hex(reportLuns(new Bench({ luns: [] })).data), "0000000000000000");
  const bench = new Bench({ luns: [1] });
  const whole = `0000000800000000${"0001000000000000"}`;
  for (const length of [0, 1, 7, 8, 15, 16, 17]) {
    assert.equal(hex(reportLuns(bench, 0, length, 5).data), whole.slice(0, 2 * length));
  }
});

test("REPORT LUNS lists all LUNs that there can be", () => {
  const bench = new Bench({ luns: Array.from({ length: 16384 }, (_, i) => i) });
  const { data } = reportLuns(bench);
  assert.equal(data.length, 8 + 16384 * 8);
  assert.equal(hex(data.subarray(-8)), "7fff000000000000");
});

test("REPORT LUNS takes REPORTED LUNS DATA HAS CHANGED from all LUNs, and leaves the rest", () => {
  const bench = new Bench({ luns: [0, 1] });
  for (const lun of [0, 1]) bench.attentions.add(lun, 0x3f, 0x0e);
  bench.attentions.add(1, 0x2a, 0x09);
  assert.equal(reportLuns(bench).status, "good");
  assert.equal(bench.attentions.pending(0), false);
  assert.equal(bench.attentions.take(1), 0x2a09);
  assert.equal(bench.attentions.pending(1), false);
});

// -- REPORT SUPPORTED OPERATION CODES

const RCTD = 0x80;
const TIMEOUTS = "000a00000000000000000000";

function supported(bench: Bench, options: number, opcode = 0, action = 0, allocationLength = 0xffff): Outcome {
  return bench.run([0xa3, 0x0c, options, opcode, ...u16(action), ...u32(allocationLength), 0, 0]);
}

test("all operation codes: one descriptor for each row of the table", () => {
  const { data } = supported(new Bench(), 0);
  assert.equal(hex(data.subarray(0, 4)), hex(Uint8Array.from(u32(data.length - 4))));
  assert.equal(data.length, 4 + 8 * COMMANDS.length);
  for (const [i, { opcode, serviceAction, usage }] of COMMANDS.entries()) {
    const hasAction = serviceAction !== NO_SERVICE_ACTION;
    const expected = [opcode, 0, ...u16(hasAction ? serviceAction : 0), 0, hasAction ? 1 : 0, ...u16(usage.length)];
    assert.equal(hex(data.subarray(4 + 8 * i, 12 + 8 * i)), hex(Uint8Array.from(expected)));
  }
});

test("all operation codes with timeouts descriptors", () => {
  const { data } = supported(new Bench(), RCTD);
  assert.equal(data.length, 4 + 20 * COMMANDS.length);
  assert.equal(hex(data.subarray(0, 24)), `${hex(Uint8Array.from(u32(data.length - 4)))}0000000000020006${TIMEOUTS}`);
});

test("a unit that cannot deallocate does not report UNMAP", () => {
  const bench = new Bench({ thin: false });
  assert.equal(supported(bench, 0).data.length, 4 + 8 * (COMMANDS.length - 1));
  assert.equal(hex(supported(bench, 1, 0x42).data), "00010000");
  assert.equal(hex(supported(new Bench(), 1, 0x42).data), "0003000a" + "4200000000003fffff00");
});

test("one command without service actions", () => {
  const bench = new Bench();
  const read10 = "281affffffff3fffff00";
  assert.equal(hex(supported(bench, 1, 0x28).data), `0003000a${read10}`);
  assert.equal(hex(supported(bench, RCTD | 1, 0x28).data), `0083000a${read10}${TIMEOUTS}`);
  assert.equal(hex(supported(bench, 3, 0x28).data), `0003000a${read10}`);
  assert.equal(hex(supported(bench, 3, 0x28, 5).data), "00010000", "it has no service actions");
  assertInvalidFieldInCdb(supported(bench, 2, 0x28), "2.2");
});

test("one command with a service action, which its usage data shows", () => {
  const bench = new Bench();
  const readCapacity16 = "9e100000000000000000ffffffff0000";
  assert.equal(hex(supported(bench, 2, 0x9e, 0x10).data), `00030010${readCapacity16}`);
  assert.equal(hex(supported(bench, 3, 0x9e, 0x10).data), `00030010${readCapacity16}`);
  assertInvalidFieldInCdb(supported(bench, 1, 0x9e, 0x10), "2.2");
});

test("what is not supported is reported as such", () => {
  const bench = new Bench();
  for (const options of [1, 2, 3, RCTD | 1]) assert.equal(hex(supported(bench, options, 0xff).data), "00010000");
  for (const action of [0x11, 0x0110]) {
    assert.equal(hex(supported(bench, 2, 0x9e, action).data), "00010000");
    assert.equal(hex(supported(bench, 3, 0x9e, action).data), "00010000");
  }
});

test("other reporting options are refused", () => {
  for (let options = 4; options < 8; options++) assertInvalidFieldInCdb(supported(new Bench(), options, 0x28), "2.2");
});

test("every allocation length is legal", () => {
  const bench = new Bench();
  const whole = hex(supported(bench, 0).data);
  for (const length of [0, 1, 3, 4, 11, 12, 255, 65535]) {
    assert.equal(hex(supported(bench, 0, 0, 0, length).data), whole.slice(0, 2 * length));
    assert.equal(supported(bench, 1, 0x28, 0, length).data.length, Math.min(length, 14));
  }
});

// -- REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS

test("task management functions: the six of RFC 7143, with RFC 7144 four more", () => {
  for (const [iSCSIProtocolLevel, functions] of [
    [0, "da00"],
    [1, "da00"],
    [2, "de07"],
  ] as const) {
    const bench = new Bench({ iSCSIProtocolLevel });
    const report = (flags: number, length: number) =>
      hex(bench.run([0xa3, 0x0d, flags, 0, 0, 0, ...u32(length), 0, 0]).data);
    assert.equal(report(0, 255), `${functions}0000`);
    assert.equal(report(0x80, 255), `${functions}000c${"00".repeat(12)}`);
    assert.equal(report(0, 1), functions.slice(0, 2));
    assert.equal(report(0, 0), "");
  }
});

test("these two need a unit", () => {
  const bench = new Bench();
  for (const action of [0x0c, 0x0d]) {
    assertSense(bench.run([0xa3, action, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0], { lun: 4 }), 5, 0x25, 0);
  }
});
