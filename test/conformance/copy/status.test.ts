/** What has become of a copy: RECEIVE COPY STATUS, FAILURE DETAILS, OPERATING PARAMETERS; list identifiers (SPC-5). */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CDB_FUA, read16, write16 } from "../../support/cdb.js";
import { parseSense } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import {
  copyAbort,
  copyIn,
  copyOut,
  cscd,
  extendedCopy,
  listLid1,
  listLid4,
  nameOf,
  segment,
} from "../../support/third-party-copy.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const STATUS_LID1 = 0;
const DATA_LID1 = 1;
const OPERATING_PARAMETERS = 3;
const FAILURE_DETAILS = 4;
const STATUS_LID4 = 5;
const HOLD = 0x00;
const DISCARD = 0x10;
const NO_IDENTIFIER = 0x18;

interface Setup {
  readonly initiator: RawInitiator;
  readonly other: RawInitiator;
  readonly name: Buffer;
}

async function start(context: TestContext): Promise<Setup> {
  const undo = new Undo(context);
  const folder = undo.folder();
  const target = await serveUnits(undo, [{ path: join(folder, "a"), sizeBytes: 4 * MIB, cache: "writeback" }]);
  const initiator = await logIn(undo, target, 1);
  const other = await logIn(undo, target, 1, "iqn.2026-11.io.ringlun:other");
  await initiator.good({ cdb: write16(0, 2048, CDB_FUA), write: Buffer.alloc(MIB, 7) });
  return { initiator, other, name: await nameOf(initiator, 0) };
}

const two = (name: Buffer, id: number, flags: number, blocks = 100): Buffer =>
  listLid1([cscd(name)], [segment({ from: 0, to: 2048, blocks }), segment({ from: 0, to: 4096, blocks: 28 })], {
    id,
    flags,
  });

async function refused(initiator: RawInitiator, cdb: Buffer): Promise<void> {
  const { status, sense } = await initiator.command({ cdb, read: 1024 });
  assert.equal(status, 2);
  const { key, asc, ascq } = parseSense(sense);
  assert.deepEqual([key, asc, ascq, sense.subarray(15, 18).toString("hex")], [5, 0x24, 0, "c00002"]);
}

test("the status of a copy that is done is told to its nexus, once", async (context) => {
  const { initiator, other, name } = await start(context);
  await refused(initiator, copyIn(STATUS_LID1, 9));
  assert.equal((await extendedCopy(initiator, two(name, 9, HOLD))).status, 0);
  await refused(other, copyIn(STATUS_LID1, 9));
  await refused(initiator, copyIn(STATUS_LID1, 8));
  const held = await initiator.good({ cdb: copyIn(DATA_LID1, 9), read: 64 });
  assert.equal(held.toString("hex"), "00000000", "no data is held");
  const short = await initiator.good({ cdb: copyIn(FAILURE_DETAILS, 9, 0) });
  assert.equal(short.length, 0);
  assert.equal((await extendedCopy(initiator, two(name, 9, DISCARD))).status, 0);
  const status = await initiator.good({ cdb: copyIn(STATUS_LID1, 9), read: 64 });
  assert.equal(status.toString("hex"), "00000008" + "01" + "0002" + "00" + "00010000");
  await refused(initiator, copyIn(STATUS_LID1, 9));
});

test("without a list identifier there is no status", async (context) => {
  const { initiator, name } = await start(context);
  assert.equal((await extendedCopy(initiator, two(name, 0, NO_IDENTIFIER))).status, 0);
  await refused(initiator, copyIn(STATUS_LID1, 0));
});

test("a copy that has failed: its status, and the sense that it ended with", async (context) => {
  const { initiator, name } = await start(context);
  const reserve = Buffer.from([0x16, 0, 0, 0, 0, 0]);
  const release = Buffer.from([0x17, 0, 0, 0, 0, 0]);
  await initiator.good({ cdb: reserve });
  await initiator.good({ cdb: release });
  // SWP, by MODE SELECT(6): the command is let through, as it need not be about its own unit; its copy is not.
  const control = Buffer.from([0, 0, 0, 0, 0x0a, 0x0a, 0x20, 0x10, 0x08, 0, 0, 0, 0, 0, 0, 0]);
  const current = await initiator.good({ cdb: Buffer.from([0x1a, 0x08, 0x0a, 0, 64, 0]), read: 64 });
  current.copy(control, 4, 4, 16);
  control[8]! |= 0x08;
  await initiator.good({ cdb: Buffer.from([0x15, 0x10, 0, 0, 16, 0]), write: control });
  const { status, sense } = await extendedCopy(initiator, two(name, 4, HOLD));
  assert.equal(status, 2);
  // THIRD PARTY DEVICE FAILURE in segment 0, of the destination, whose CSCD descriptor is at 16; from byte 18 on, what it said:
  // CHECK CONDITION, WRITE PROTECTED.
  const forwarded = "02" + "700007000000000a00000000270000000000";
  assert.equal(sense.toString("hex"), `70000a000000001d001200000d0100800010${forwarded}`);
  const told = await initiator.good({ cdb: copyIn(STATUS_LID1, 4), read: 64 });
  assert.equal(told.toString("hex"), "00000008" + "02" + "0000" + "00" + "00000000");
  const details = await initiator.good({ cdb: copyIn(FAILURE_DETAILS, 4), read: 128 });
  assert.equal(details.readUInt32BE(0), 56 + 37);
  assert.equal(details[56], 0x02);
  assert.equal(details.readUInt16BE(58), 37);
  assert.equal(details.subarray(60).toString("hex"), sense.toString("hex"));
  await refused(initiator, copyIn(FAILURE_DETAILS, 4));
});

test("of a copy that has not failed there are no details", async (context) => {
  const { initiator, name } = await start(context);
  assert.equal((await extendedCopy(initiator, two(name, 4, HOLD))).status, 0);
  assert.equal((await initiator.good({ cdb: copyIn(FAILURE_DETAILS, 4), read: 128 })).toString("hex"), "00000000");
});

test("LID4: the status has 64 bits, and in the background a copy goes on by itself", async (context) => {
  const { initiator, name } = await start(context);
  const id = 0xfeed_beef;
  const send = (isImmediate: boolean) => {
    const list = listLid4([cscd(name)], [segment({ from: 0, to: 4096, blocks: 2048 })], { id }, isImmediate);
    return initiator.good({ cdb: copyOut(0x01, list.length), write: list });
  };
  await send(false);
  const status = await initiator.good({ cdb: copyIn(STATUS_LID4, id), read: 64 });
  assert.equal(
    status.toString("hex").replace(/^(.{12}).{4}/, "$1xxxx"),
    "0000001c" + "0101" + "xxxx" + "ffffffff" + "00000000" + "0000000000100000" + "0001" + "000000000000",
  );
  await refused(initiator, copyIn(STATUS_LID4, id));
  await send(true);
  for (;;) {
    const now = await initiator.good({ cdb: copyIn(STATUS_LID4, id), read: 64 });
    assert.ok(now[5] === 0x12 || now[5] === 0x01, `${now[5]}`);
    if (now[5] === 0x01) break;
  }
  const data = await initiator.good({ cdb: read16(4096, 2048), read: MIB });
  assert.ok(data.every((byte) => byte === 7));
});

test("COPY OPERATION ABORT of a copy that is over, and of one that is not there", async (context) => {
  const { initiator, name } = await start(context);
  assert.equal((await extendedCopy(initiator, two(name, 3, HOLD))).status, 0);
  await initiator.good({ cdb: copyAbort(3) });
  const { status, sense } = await initiator.command({ cdb: copyAbort(4) });
  assert.equal(status, 2);
  assert.equal(sense.subarray(12, 18).toString("hex"), "240000c00002");
});

test("the operating parameters, with any allocation length", async (context) => {
  const { initiator } = await start(context);
  const whole = await initiator.good({ cdb: copyIn(OPERATING_PARAMETERS, 0), read: 1024 });
  const expected =
    "0000002a" +
    "01000000" +
    "0040" +
    "0100" +
    "00002400" +
    "00000000" +
    "00".repeat(12) +
    "0000" +
    "00ff" +
    "20" +
    "09" +
    "0000" +
    "000000" +
    "02" +
    "02e4";
  assert.equal(whole.toString("hex"), expected);
  for (const length of [0, 1, 4, 44, 45, 46, 47]) {
    const cdb = copyIn(OPERATING_PARAMETERS, 0, length);
    assert.equal((await initiator.good({ cdb, read: 1024 })).toString("hex"), expected.slice(0, 2 * length));
  }
});

test("a session that ends takes what it could ask for with it", async (context) => {
  const { initiator, name, other } = await start(context);
  assert.equal((await extendedCopy(initiator, two(name, 9, HOLD))).status, 0);
  await initiator.logout();
  await refused(other, copyIn(STATUS_LID1, 9));
});
