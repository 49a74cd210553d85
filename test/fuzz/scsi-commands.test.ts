/**
 * Whatever CDBs and data a session sends: each has a legal answer, its connection lives, and other sessions and units notice
 * nothing. For all commands that the program says it has, in whatever state those before have left the unit.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type CommandUsage, cdbs, dataOut } from "../support/arbitrary-cdb.js";
import { read10, synchronizeCache10, testUnitReady, write10 } from "../support/cdb.js";
import fc from "../support/fast-check.js";
import { RawInitiator } from "../support/raw-initiator.js";
import { FIRST_SEED } from "../support/seed.js";
import { assertWellFormedSense } from "../support/sense.js";
import { RunningTarget, TARGET_NAME } from "../support/target.js";

const RUNS = 400;
const TIME_LIMIT_MS = 25_000;
const BLOCKS = 16_384;
const BLOCK = 512;

const ANY = "iqn.2026-11.io.ringlun:any";
const WITNESS = "iqn.2026-11.io.ringlun:witness";

// CONDITION MET, BUSY, RESERVATION CONFLICT and TASK SET FULL beside the usual two.
const GOOD = 0x00;
const CHECK_CONDITION = 0x02;
const STATUSES = [GOOD, CHECK_CONDITION, 0x04, 0x08, 0x18, 0x28];

function config({ port }: { readonly port: number }, workers: number): string {
  return `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1]
    luns: {}
    initiators:
      - { name: "${ANY}", luns: { 0: any } }
      - { name: "${WITNESS}", luns: { 0: other, 1: any } }
units:
  any: { file: ./any.img, size: ${BLOCKS * BLOCK}, cache: writeback }
  other: { file: ./other.img, size: ${BLOCKS * BLOCK}, cache: writeback }
workers: ${workers}
`;
}

async function logIn(context: TestContext, target: RunningTarget, initiatorName: string): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(target.port);
  context.after(() => initiator.destroy());
  await initiator.login({ targetName: TARGET_NAME, initiatorName, keys: { InitialR2T: "No", ImmediateData: "Yes" } });
  return initiator;
}

function reportSupportedOperationCodes(options: number, opcode: number, serviceAction: number): Buffer {
  return Buffer.from([0xa3, 0x0c, options, opcode, serviceAction >> 8, serviceAction & 0xff, 0, 0, 0x40, 0, 0, 0]);
}

/** All commands of LUN 0, with what may be set in their CDBs, as the program tells them. */
async function supportedCommands(initiator: RawInitiator): Promise<CommandUsage[]> {
  const all = await initiator.good({ cdb: reportSupportedOperationCodes(0, 0, 0), read: 0x4000 });
  const commands: CommandUsage[] = [];
  for (let at = 4; at < 4 + all.readUInt32BE(0); at += 8) {
    const opcode = all[at]!;
    const serviceAction = (all[at + 5]! & 0x01) !== 0 ? all.readUInt16BE(at + 2) : -1;
    const options = serviceAction >= 0 ? 2 : 1;
    const cdb = reportSupportedOperationCodes(options, opcode, Math.max(serviceAction, 0));
    const one = await initiator.good({ cdb, read: 0x4000 });
    commands.push({ opcode, serviceAction, usage: [...one.subarray(4, 4 + one.readUInt16BE(2))] });
  }
  return commands;
}

/** One command to its end; the initiator itself checks every PDU of it. */
async function send(initiator: RawInitiator, cdb: readonly number[], data: Uint8Array, reads: boolean): Promise<void> {
  const expected = reads ? data.length * 4 : data.length;
  const direction = reads ? { read: expected } : { write: data };
  const {
    response,
    status,
    residual,
    sense,
    data: received,
  } = await initiator.command({
    cdb: Buffer.from(cdb),
    ...(expected === 0 ? {} : direction),
  });
  assert.equal(response, 0);
  assert.ok(STATUSES.includes(status), `status ${status}`);
  if (status === CHECK_CONDITION) assertWellFormedSense(sense);
  else assert.equal(sense.length, 0, "sense data without CHECK CONDITION");
  assert.ok(residual <= expected, "no more can be missing than was expected");
  if (reads && status === GOOD) assert.equal(received.length, expected - Math.max(residual, 0), "residual");
}

for (const workers of [1, 2]) {
  test(`any command with any data, ${workers} shard(s)`, async (context) => {
    const target = await RunningTarget.start({ config: (places) => config(places, workers) });
    context.after(() => target.stop());
    const any = await logIn(context, target, ANY);
    const witness = await logIn(context, target, WITNESS);
    await any.command({ cdb: testUnitReady() });
    const pattern = Buffer.alloc(BLOCKS * BLOCK);
    for (let i = 0; i < pattern.length; i += 4) pattern.writeUInt32LE((i * 2_654_435_761) >>> 0, i);
    for (let lba = 0; lba < BLOCKS; lba += 2048) {
      await witness.good({ cdb: write10(lba, 2048), write: pattern.subarray(lba * BLOCK, (lba + 2048) * BLOCK) });
    }

    const commands = await supportedCommands(any);
    assert.ok(commands.length > 60);
    let sent = 0;
    const commandWithCdb = fc.constantFrom(...commands).chain(cdbs);
    const property = fc.asyncProperty(commandWithCdb, dataOut(BLOCKS), fc.boolean(), async (cdb, data, reads) => {
      await send(any, cdb, data, reads);
      if (++sent % 16 !== 0) return;
      const lba = (sent * 37) % BLOCKS;
      const block = await witness.good({ cdb: read10(lba, 1), read: BLOCK });
      assert.ok(block.equals(pattern.subarray(lba * BLOCK, (lba + 1) * BLOCK)), `block ${lba} of the other unit`);
    });
    await fc.assert(property, {
      numRuns: RUNS,
      seed: FIRST_SEED + workers,
      interruptAfterTimeLimit: TIME_LIMIT_MS,
      includeErrorInReport: true,
      endOnFailure: true,
    });
    assert.ok(sent >= 50, `${sent} commands`);

    // The unit itself serves its other initiator as ever: it answers, whatever it has to say of what was done to it.
    await witness.command({ cdb: testUnitReady(), lun: 1 });
    await any.ping();
    await witness.good({ cdb: synchronizeCache10() });
    assert.ok(readFileSync(join(target.places.directory, "other.img")).equals(pattern));
    assert.deepEqual(
      target.log.filter((line) => line.includes("shard died")),
      [],
    );
  });
}
