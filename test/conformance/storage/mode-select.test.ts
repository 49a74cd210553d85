/** MODE SELECT (SPC-5): what it changes holds for every session and shard, and what it saves comes back after a crash. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { modeSense6, read10, write10 } from "../../support/cdb.js";
import { parseSense } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";

const CHECK_CONDITION = 2;
const BLOCK = Buffer.alloc(512, 7);
const CACHING = 0x08;
const CONTROL = 0x0a;
const SAVE = 0x01;

let target: RunningTarget;
const initiators: RawInitiator[] = [];

before(async () => {
  target = await RunningTarget.start({ workers: 2 });
});

after(async () => {
  for (const initiator of initiators) initiator.destroy();
  await target.stop();
});

async function login(name: string): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(target.port);
  initiators.push(initiator);
  await initiator.login({ targetName: TARGET_NAME, initiatorName: `iqn.2026-11.io.ringlun:${name}` });
  return initiator;
}

/** The page as MODE SENSE gives it, without header and block descriptor. */
async function page(initiator: RawInitiator, code: number): Promise<Buffer> {
  const data = await initiator.good({ cdb: modeSense6(code), read: 255 });
  return Buffer.from(data.subarray(4 + data[3]!));
}

async function select(initiator: RawInitiator, bytes: Buffer, flags = 0): Promise<{ status: number; sense: Buffer }> {
  const list = Buffer.concat([Buffer.alloc(4), bytes]);
  list[4]! &= 0x7f;
  return initiator.command({ cdb: Buffer.from([0x15, 0x10 | flags, 0, 0, list.length, 0]), write: list });
}

test("SWP keeps all sessions from writing, and each other one is told once", async () => {
  const first = await login("first");
  const second = await login("second");
  await first.good({ cdb: write10(0, 1), write: BLOCK });
  const control = await page(first, CONTROL);
  control[4]! |= 0x08;
  assert.equal((await select(first, control)).status, 0);
  const told = await second.command({ cdb: read10(0, 1), read: 512 });
  assert.deepEqual([parseSense(told.sense).key, parseSense(told.sense).asc, parseSense(told.sense).ascq], [6, 0x2a, 1]);
  for (const initiator of [first, second]) {
    const refused = await initiator.command({ cdb: write10(0, 1), write: BLOCK });
    assert.equal(refused.status, CHECK_CONDITION);
    assert.deepEqual([parseSense(refused.sense).key, parseSense(refused.sense).asc], [7, 0x27]);
    assert.deepEqual(await initiator.good({ cdb: read10(0, 1), read: 512 }), BLOCK);
  }
  control[4]! &= ~0x08;
  assert.equal((await select(first, control)).status, 0);
  await first.good({ cdb: write10(0, 1), write: BLOCK });
});

test("D_SENSE asks for descriptor format", async () => {
  const initiator = await login("third");
  const control = await page(initiator, CONTROL);
  control[2]! |= 0x04;
  assert.equal((await select(initiator, control)).status, 0);
  const { sense } = await initiator.command({ cdb: read10(0xffff_ff00, 1), read: 512 });
  assert.equal(sense[0], 0x72);
  assert.deepEqual(parseSense(sense), { key: 5, asc: 0x21, ascq: 0, information: 0xffff_ff00 });
  control[2]! &= ~0x04;
  assert.equal((await select(initiator, control)).status, 0);
});

test("a list with anything else in it changes nothing, and is pointed at", async () => {
  const initiator = await login("fourth");
  const control = await page(initiator, CONTROL);
  const before = Buffer.from(control);
  control[4]! |= 0x08;
  control[5] = 0x40;
  const { status, sense } = await select(initiator, control);
  assert.equal(status, CHECK_CONDITION);
  assert.deepEqual([parseSense(sense).key, parseSense(sense).asc], [5, 0x26]);
  assert.equal(sense.readUInt16BE(16), 4 + 5, "field pointer");
  assert.deepEqual(await page(initiator, CONTROL), before);
  const short = await initiator.command({ cdb: Buffer.from([0x15, 0x10, 0, 0, 10, 0]), write: Buffer.alloc(10, 0x0a) });
  assert.equal(short.status, CHECK_CONDITION);
});

test("what is saved survives kill -9; what is not, does not", async () => {
  const initiator = await login("fifth");
  const caching = await page(initiator, CACHING);
  assert.equal(caching[2]! & 0x04, 0x04);
  caching[2]! &= ~0x04;
  assert.equal((await select(initiator, caching, SAVE)).status, 0);
  const control = await page(initiator, CONTROL);
  control[4]! |= 0x08;
  assert.equal((await select(initiator, control)).status, 0);
  await target.kill9();
  await target.run();
  const again = await login("fifth");
  assert.equal((await page(again, CACHING))[2]! & 0x04, 0);
  assert.equal((await page(again, CONTROL))[4]! & 0x08, 0);
  await again.good({ cdb: write10(0, 1), write: BLOCK });
});
