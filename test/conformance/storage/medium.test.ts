/**
 * A medium that is stopped, ejected, loaded (START STOP UNIT, SBC-4), or kept from being ejected (PREVENT ALLOW MEDIUM REMOVAL):
 * for all sessions on all shards, and what every command answers meanwhile.
 */
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import {
  getLbaStatus,
  inquiry,
  modeSense6,
  read10,
  read16,
  readCapacity10,
  readCapacity16,
  reportLuns,
  requestSense,
  synchronizeCache10,
  synchronizeCache16,
  testUnitReady,
  unmap,
  unmapList,
  verify10,
  write10,
  write16,
  writeSame16,
} from "../../support/cdb.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import type { CommandOptions } from "../../support/raw-task.js";
import { GOOD, outcomeOf } from "../../support/sense.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";
import { LOGICAL_UNIT_RESET, TARGET_WARM_RESET } from "../../support/task-management.js";

const BLOCK = Buffer.alloc(512, 0x5a);
const NO_MEDIUM = "2/3a00";
const STOPPED = "2/0402";
const PREVENTED = "5/5302";
const MEDIUM_CHANGED = "6/2800";
const RESET = "6/2903";

const REMOVABLE = 0;
const FIXED = 1;

const EJECT = 0x02;
const LOAD = 0x03;
const STOP = 0x00;
const START = 0x01;

const startStop = (flags: number, immed = 0): Buffer => Buffer.from([0x1b, immed, 0, 0, flags, 0]);
const prevention = (prevent: number): Buffer => Buffer.from([0x1e, 0, 0, 0, prevent, 0]);

const cdb10 = (opcode: number, flags = 0): Buffer => Buffer.from([opcode, flags, 0, 0, 0, 0, 0, 0, 1, 0]);
const cdb12 = (opcode: number, flags = 0): Buffer => Buffer.from([opcode, flags, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
const cdb16 = (opcode: number, flags = 0): Buffer =>
  Buffer.from([opcode, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);

/** All that needs the medium. */
const MEDIUM_COMMANDS: readonly CommandOptions[] = [
  { cdb: testUnitReady() },
  { cdb: readCapacity10(), read: 8 },
  { cdb: readCapacity16(), read: 32 },
  { cdb: Buffer.from([0x08, 0, 0, 0, 1, 0]), read: 512 },
  { cdb: read10(0, 1), read: 512 },
  { cdb: cdb12(0xa8), read: 512 },
  { cdb: read16(0, 1), read: 512 },
  { cdb: Buffer.from([0x0a, 0, 0, 0, 1, 0]), write: BLOCK },
  { cdb: write10(0, 1), write: BLOCK },
  { cdb: cdb12(0xaa), write: BLOCK },
  { cdb: write16(0, 1), write: BLOCK },
  { cdb: cdb10(0x2e), write: BLOCK },
  { cdb: cdb12(0xae), write: BLOCK },
  { cdb: cdb16(0x8e), write: BLOCK },
  { cdb: verify10(0, 1) },
  { cdb: cdb12(0xaf) },
  { cdb: cdb16(0x8f) },
  { cdb: cdb10(0x34) },
  { cdb: cdb16(0x90) },
  { cdb: synchronizeCache10() },
  { cdb: synchronizeCache16() },
  // IMMED
  { cdb: cdb10(0x35, 0x02) },
  { cdb: cdb16(0x91, 0x02) },
  { cdb: cdb10(0x41), write: BLOCK },
  { cdb: writeSame16(0, 1), write: BLOCK },
  { cdb: unmap(24), write: unmapList([{ lba: 0, blocks: 1 }]) },
  // COMPARE AND WRITE, ORWRITE, WRITE ATOMIC
  { cdb: cdb16(0x89), write: Buffer.concat([BLOCK, BLOCK]) },
  { cdb: cdb16(0x8b), write: BLOCK },
  { cdb: Buffer.from([0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0]), write: Buffer.alloc(4096) },
  { cdb: getLbaStatus(0, 24), read: 24 },
  { cdb: Buffer.from([0x37, 0, 0x18, 0, 0, 0, 0, 0, 4, 0]), read: 4 },
  { cdb: Buffer.from([0xb7, 0x18, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0]), read: 8 },
];

/** All that does not. */
const OTHER_COMMANDS: readonly CommandOptions[] = [
  { cdb: inquiry(), read: 255 },
  { cdb: inquiry(0x83), read: 255 },
  { cdb: reportLuns(), read: 4096 },
  { cdb: requestSense(), read: 252 },
  { cdb: modeSense6(0x3f), read: 255 },
  { cdb: Buffer.from([0x5e, 0, 0, 0, 0, 0, 0, 0, 8, 0]), read: 8 },
  { cdb: Buffer.from([0x5e, 3, 0, 0, 0, 0, 0, 0, 8, 0]), read: 8 },
  // REGISTER AND IGNORE EXISTING KEY, and away with it
  { cdb: Buffer.from([0x5f, 6, 0, 0, 0, 0, 0, 0, 24, 0]), write: Buffer.alloc(24).fill(1, 8, 16) },
  { cdb: Buffer.from([0x5f, 6, 0, 0, 0, 0, 0, 0, 24, 0]), write: Buffer.alloc(24) },
  // RESERVE and RELEASE
  { cdb: Buffer.from([0x16, 0, 0, 0, 0, 0]) },
  { cdb: Buffer.from([0x17, 0, 0, 0, 0, 0]) },
  // REPORT SUPPORTED OPERATION CODES and TASK MANAGEMENT FUNCTIONS
  { cdb: Buffer.from([0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]), read: 4096 },
  { cdb: Buffer.from([0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0]), read: 4 },
];

for (const workers of [1, 2]) {
  describe(`the medium, ${workers} shard(s)`, () => {
    let target: RunningTarget;
    const initiators: RawInitiator[] = [];

    async function start(): Promise<void> {
      target = await RunningTarget.start({
        config: ({ port }) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: ${TARGET_NAME}, portalGroups: [1], luns: { 0: removable, 1: fixed } }]
units:
  removable: { file: ./removable.img, size: 1MiB, cache: writeback, removable: true }
  fixed: { file: ./fixed.img, size: 1MiB, cache: writeback }
workers: ${workers}
`,
      });
    }

    async function logIn(name: string, isid = 1): Promise<RawInitiator> {
      const session = new SessionNumbers({ isid: Buffer.from([0x80, 0, 0, 0, 0, isid]) });
      const initiator = await RawInitiator.connect(target.port, { session });
      initiators.push(initiator);
      await initiator.login({ targetName: TARGET_NAME, initiatorName: `iqn.2026-11.io.ringlun:${name}` });
      for (const lun of [REMOVABLE, FIXED]) while ((await run(initiator, testUnitReady(), lun)).startsWith("6/")) {}
      return initiator;
    }

    async function execute(initiator: RawInitiator, options: CommandOptions): Promise<string> {
      return outcomeOf(await initiator.command(options));
    }

    function run(initiator: RawInitiator, cdb: Buffer, lun = REMOVABLE): Promise<string> {
      return execute(initiator, { cdb, lun });
    }

    /** What needs the medium is answered so, and all else is good. */
    async function assertAnswers(initiator: RawInitiator, lun: number, expected: string): Promise<void> {
      for (const [commands, answer] of [
        [MEDIUM_COMMANDS, expected],
        [OTHER_COMMANDS, GOOD],
      ] as const) {
        for (const options of commands) {
          const cdb = Buffer.from(options.cdb).toString("hex");
          assert.equal(await execute(initiator, { ...options, lun }), answer, cdb);
        }
      }
    }

    afterEach(async () => {
      for (const initiator of initiators.splice(0)) initiator.destroy();
      await target.stop();
    });

    it("ejected: what needs it says so on every session, all else is answered, and what was written is there again", async () => {
      await start();
      const [one, other] = [await logIn("one"), await logIn("other")];
      await other.good({ cdb: write10(0, 1), write: BLOCK });
      assert.equal(await run(one, startStop(EJECT)), GOOD);
      for (const initiator of [one, other]) {
        await assertAnswers(initiator, REMOVABLE, NO_MEDIUM);
        const sense = await initiator.good({ cdb: requestSense(), read: 18 });
        assert.deepEqual([sense[0], sense[2], sense[12], sense[13]], [0x70, 2, 0x3a, 0]);
        const modes = await initiator.good({ cdb: modeSense6(0x08), read: 12 });
        assert.equal(modes.readUInt32BE(4), 0, "no blocks where there is no medium");
        assert.equal(await run(initiator, testUnitReady(), FIXED), GOOD, "the other unit");
      }
      // Who logs in now finds it as it is.
      assert.equal(await run(await logIn("late"), testUnitReady()), NO_MEDIUM);
      assert.equal(await run(one, startStop(LOAD)), GOOD);
      assert.equal(await run(one, testUnitReady()), GOOD, "who has loaded it knows");
      assert.equal(await run(other, testUnitReady()), MEDIUM_CHANGED);
      assert.deepEqual(await other.good({ cdb: read10(0, 1), read: 512 }), BLOCK);
    });

    it("stopped: the fixed one says so on every session until it is started or reset", async () => {
      await start();
      const [one, other] = [await logIn("one"), await logIn("other")];
      await other.good({ cdb: write10(0, 1), lun: FIXED, write: BLOCK });
      assert.equal(await run(one, startStop(STOP), FIXED), GOOD);
      for (const initiator of [one, other]) {
        await assertAnswers(initiator, FIXED, STOPPED);
      }
      assert.equal(await run(other, startStop(START), FIXED), GOOD);
      assert.equal(await run(one, testUnitReady(), FIXED), GOOD, "nothing has changed: nobody is told");
      assert.deepEqual(await one.good({ cdb: read10(0, 1), lun: FIXED, read: 512 }), BLOCK);
      // IMMED: the status does not wait for the cache.
      assert.equal(await run(one, startStop(STOP, 1), FIXED), GOOD);
      assert.equal(await run(other, testUnitReady(), FIXED), STOPPED);
      assert.equal((await one.taskManagement(LOGICAL_UNIT_RESET, { lun: FIXED })).bhs[2], 0);
      for (const initiator of [one, other]) {
        assert.equal(await run(initiator, testUnitReady(), FIXED), RESET);
        assert.equal(await run(initiator, testUnitReady(), FIXED), GOOD);
      }
    });

    it("a restart starts what was stopped and loads what was ejected", async () => {
      await start();
      const one = await logIn("one");
      await run(one, startStop(EJECT));
      await run(one, startStop(STOP), FIXED);
      await target.kill9();
      await target.run();
      const again = await logIn("one");
      for (const lun of [REMOVABLE, FIXED]) assert.equal(await run(again, testUnitReady(), lun), GOOD);
    });

    it("removal is prevented by each nexus for itself, until it allows it, is lost, or the unit is reset", async () => {
      await start();
      const one = await logIn("one");
      const ends: readonly ((preventing: RawInitiator) => Promise<unknown>)[] = [
        (preventing) => preventing.good({ cdb: prevention(0) }),
        (preventing) => preventing.logout(),
        async (preventing) => preventing.destroy(),
        (preventing) => preventing.taskManagement(LOGICAL_UNIT_RESET, { lun: REMOVABLE }),
        (preventing) => preventing.taskManagement(TARGET_WARM_RESET),
        // The same nexus logs in anew.
        () => logIn("other"),
      ];
      for (const end of ends) {
        const other = await logIn("other");
        assert.equal(await run(other, prevention(1)), GOOD);
        assert.equal(await run(one, prevention(1)), GOOD);
        for (const initiator of [one, other]) assert.equal(await run(initiator, startStop(EJECT)), PREVENTED);
        assert.equal(await run(one, prevention(0)), GOOD);
        assert.equal(await run(one, startStop(EJECT)), PREVENTED);
        assert.equal(await run(one, testUnitReady()), GOOD);
        await end(other);
        let told = await run(one, startStop(EJECT));
        // The end of a session, or what a reset tells, may take a moment.
        for (const deadline = Date.now() + 10_000; told !== GOOD && Date.now() < deadline; ) {
          told = await run(one, startStop(EJECT));
        }
        assert.equal(told, GOOD, `${end}`);
        assert.equal(await run(one, startStop(LOAD)), GOOD);
      }
    });

    it("PREEMPT AND ABORT takes the prevention of the preempted, PREEMPT does not", async () => {
      await start();
      const [one, other] = [await logIn("one"), await logIn("other")];
      const out = (initiator: RawInitiator, action: number, key: number, actionKey: number): Promise<string> => {
        const write = Buffer.alloc(24);
        write[7] = key;
        write[15] = actionKey;
        return execute(initiator, { cdb: Buffer.from([0x5f, action, 0x01, 0, 0, 0, 0, 0, 24, 0]), write });
      };
      for (const [action, expected] of [
        [4, PREVENTED],
        [5, GOOD],
      ] as const) {
        assert.equal(await out(one, 6, 0, 1), GOOD);
        assert.equal(await out(other, 6, 0, 2), GOOD);
        assert.equal(await run(other, prevention(1)), GOOD);
        assert.equal(await out(one, action, 1, 2), GOOD);
        assert.equal(await run(one, startStop(EJECT)), expected);
        while ((await run(other, testUnitReady())).startsWith("6/")) {}
      }
    });
  });
}
