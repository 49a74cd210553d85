/** Limits of units and initiators: what is beyond them waits, in order, is in nobody's way, and can be ended (SAM-5, RFC 7143 section 11.5). */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ask, socketOf } from "../../support/administration.js";
import { inquiry, read10, testUnitReady, write10, writeSame16 } from "../../support/cdb.js";
import { FLAG_FINAL, OPCODE_DATA_OUT, TAG_NONE } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { senseOf } from "../../support/sense.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";
import { ABORT_TASK, FUNCTION_COMPLETE, LOGICAL_UNIT_RESET } from "../../support/task-management.js";

const GOOD = 0x00;
const TASK_SET_FULL = 0x28;
const BLOCK = 512;
const ORDERED = 2;
const HEAD_OF_QUEUE = 3;
const NO_DATA_OUT = 0x01;

const PACED = 0;
/** Its budget is overdrawn for minutes: what comes waits. */
const STUCK = 1;
const FREE = 2;
const STUCK_LIMITS = "{ bandwidth: 64KiB, burst: 0 }";
/** WRITE SAME of so many blocks costs the stuck unit 512 s. */
const BLOCKS = (32 * 1024 * 1024) / BLOCK;

const LIMITED = "iqn.2026-11.io.ringlun:limited";
const ALSO_LIMITED = "iqn.2026-11.io.ringlun:also-limited";
const UNLIMITED = "iqn.2026-11.io.ringlun:unlimited";

const config =
  (stuck: string, initiators = "{ iops: 100, burst: 0 }") =>
  ({ port, httpPort }: Places) =>
    `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
initiatorGroups: { limited: ["${LIMITED}", "${ALSO_LIMITED}"] }
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1]
    session: { initialR2T: false, maxConnections: 2, errorRecoveryLevel: 0 }
    luns: { ${PACED}: paced, ${STUCK}: stuck, ${FREE}: free }
    initiators:
      - { group: limited${initiators === "" ? "" : `, limits: ${initiators}`} }
      - { name: "*" }
units:
  paced: { null: true, size: 64MiB, limits: { iops: 100, burst: 0 } }
  stuck: { file: ./stuck.img, size: 64MiB, cache: writeback${stuck === "" ? "" : `, limits: ${stuck}`} }
  free: { null: true, size: 64MiB }
http: { listen: "127.0.0.1:${httpPort}" }
workers: 2
`;

describe("limits", () => {
  let target: RunningTarget;
  const initiators: RawInitiator[] = [];

  before(async () => {
    target = await RunningTarget.start({ config: config(STUCK_LIMITS) });
  });

  after(async () => {
    for (const initiator of initiators) initiator.destroy();
    await target.stop();
    assert.deepEqual(
      target.log.filter((line) => line.includes("shard died")),
      [],
    );
  });

  async function login(initiatorName = UNLIMITED, isid = initiators.length): Promise<RawInitiator> {
    const initiator = await RawInitiator.connect(target.port);
    initiators.push(initiator);
    initiator.session.isid.writeUInt16BE(isid, 4);
    await initiator.login({ targetName: TARGET_NAME, initiatorName, keys: { InitialR2T: "No", ImmediateData: "Yes" } });
    return initiator;
  }

  /** On which commands for the stuck unit wait. */
  async function loginToStuck(): Promise<RawInitiator> {
    const initiator = await login();
    void (await initiator.start({ lun: STUCK, cdb: writeSame16(0, BLOCKS, NO_DATA_OUT), write: Buffer.alloc(0) }));
    await initiator.good({ lun: FREE, cdb: read10(0, 1), read: BLOCK });
    return initiator;
  }

  async function reload(stuck: string, initiatorLimits?: string): Promise<void> {
    const from = target.log.length;
    await target.configure(config(stuck, initiatorLimits)(target.places));
    target.reload();
    await target.waitForLog(/configuration (not )?reloaded/, undefined, from);
    assert.ok(!target.log.slice(from).some((line) => line.includes("not reloaded")), target.log.slice(from).join("\n"));
  }

  const read = (initiator: RawInitiator, lun: number, lba: number): Promise<RawTask> =>
    initiator.start({ lun, cdb: read10(lba, 1), read: BLOCK });

  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${target.places.httpPort}/metrics`)).text();
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  }

  const throttled = (initiatorName: string): Promise<number> =>
    metric(`ringlun_initiator_throttled_commands_total{initiator="${initiatorName}"}`);

  /** None of them has ended, although others that came later have. */
  async function wait(initiator: RawInitiator, tasks: readonly RawTask[]): Promise<void> {
    for (let i = 0; i < 3; i++) await initiator.good({ lun: FREE, cdb: read10(i, 1), read: BLOCK });
    assert.ok(tasks.every((task) => task.end === undefined));
  }

  it("lets through so many commands a second, in all sessions together", async () => {
    const sessions = [await login(), await login()];
    const startMs = performance.now();
    await Promise.all(
      sessions.map(async (initiator) => {
        const tasks: RawTask[] = [];
        for (let lba = 0; lba < 50; lba++) tasks.push(await read(initiator, PACED, lba));
        for (const task of tasks) assert.equal((await initiator.finish(task)).status, GOOD);
      }),
    );
    const ms = performance.now() - startMs;
    assert.ok(ms >= 950, `100 commands at 100 a second took ${ms} ms`);
    assert.equal(await metric('ringlun_unit_throttled_commands_total{unit="free"}'), 0);
    const response = await fetch(`http://127.0.0.1:${target.places.httpPort}/api/v1/units`);
    assert.deepEqual(
      ((await response.json()) as { limits: unknown }[]).map(({ limits }) => limits),
      [
        { iops: 100, bytesPerSecond: null, burstSeconds: 0 },
        { iops: null, bytesPerSecond: 65536, burstSeconds: 0 },
        null,
      ],
    );
  });

  it("lets through so many commands a second of each initiator, and of others as many as come", async () => {
    const [one, same, other] = [await login(LIMITED), await login(LIMITED), await login(ALSO_LIMITED)];
    const unlimited = await login();
    const startMs = performance.now();
    const run = async (initiator: RawInitiator, count: number): Promise<number> => {
      const tasks: RawTask[] = [];
      for (let lba = 0; lba < count; lba++) tasks.push(await read(initiator, FREE, lba));
      for (const task of tasks) assert.equal((await initiator.finish(task)).status, GOOD);
      return performance.now() - startMs;
    };
    const before = await throttled(UNLIMITED);
    const [a, b, c] = await Promise.all([run(one!, 40), run(same!, 40), run(other!, 80), run(unlimited, 80)]);
    assert.ok(Math.max(a!, b!) >= 750, `80 commands of two sessions took ${a} ms and ${b} ms`);
    assert.ok(c! >= 750, `80 commands took ${c} ms`);
    assert.equal(await throttled(UNLIMITED), before);
  });

  it("has commands wait, and nothing else: not of another unit, nor what neither reads nor writes blocks", async () => {
    const initiator = await loginToStuck();
    const tasks = [await read(initiator, STUCK, 0), await read(initiator, STUCK, 1)];
    await wait(initiator, tasks);
    await initiator.good({ lun: STUCK, cdb: testUnitReady() });
    await initiator.good({ lun: STUCK, cdb: inquiry(), read: 255 });
    // Refused before it waits.
    assert.equal(
      senseOf(await initiator.command({ lun: STUCK, cdb: Buffer.from([0x28, 0xe0, 0, 0, 0, 0, 0, 0, 1, 0]) })).key,
      5,
    );
    await wait(initiator, tasks);
    // ORDERED waits for them as ever.
    const ordered = await initiator.start({ lun: STUCK, cdb: testUnitReady(), attribute: ORDERED });
    await wait(initiator, [...tasks, ordered]);
  });

  it("ends a command that waits: ABORT TASK, LOGICAL UNIT RESET, the end of its connection", async () => {
    const initiator = await loginToStuck();
    const tasks = [await read(initiator, STUCK, 0), await read(initiator, STUCK, 1), await read(initiator, STUCK, 2)];
    const { initiatorTaskTag: referencedTaskTag, cmdSN: refCmdSN } = tasks[1]!;
    const aborted = await initiator.taskManagement(ABORT_TASK, { lun: STUCK, referencedTaskTag, refCmdSN } as never);
    assert.equal(aborted.response, FUNCTION_COMPLETE);
    await wait(initiator, tasks);
    const reset = await initiator.taskManagement(LOGICAL_UNIT_RESET, {
      lun: STUCK,
      referencedTaskTag: TAG_NONE,
    } as never);
    assert.equal(reset.response, FUNCTION_COMPLETE);
    await wait(initiator, tasks);
    assert.equal(senseOf(await initiator.command({ lun: STUCK, cdb: testUnitReady() })).code, 0x2900 | 0x03);
    assert.equal((await initiator.ping()).maxCmdSN - initiator.session.cmdSN, 255, "all of the window is open");

    await read(initiator, STUCK, 0);
    await initiator.start({ lun: STUCK, cdb: write10(0, 1), write: Buffer.alloc(BLOCK) });
    await initiator.good({ lun: FREE, cdb: read10(0, 1), read: BLOCK });
    const from = target.log.length;
    initiator.destroy();
    await target.waitForLog(/closed the connection/, undefined, from);
  });

  it("keeps room for others: of a session's commands so many wait, and one more is told TASK SET FULL", async () => {
    const initiator = await loginToStuck();
    const tasks: RawTask[] = [];
    for (let i = 0; i < 191; i++) tasks.push(await read(initiator, STUCK, i));
    await wait(initiator, tasks);
    const more = [await read(initiator, STUCK, 0), await read(initiator, STUCK, 0)];
    const full: number[] = [];
    for (const task of more.slice(1)) full.push((await initiator.finish(task)).status);
    assert.deepEqual(full, [TASK_SET_FULL]);
    await wait(initiator, tasks);
    initiator.destroy();
  });

  it("keeps buffers for others: of what waits with data, the more is told TASK SET FULL the fewer are left", async () => {
    const [initiator, neighbour] = [await loginToStuck(), await login()];
    const data = Buffer.alloc(256 * 1024, 0xee);
    // Each holds a buffer for all of its data, of which a block has come. A shard has some 130 of them.
    const options = {
      cdb: write10(0, data.length / BLOCK),
      write: data,
      immediateLength: BLOCK,
      unsolicitedLength: BLOCK,
    };
    const tasks: RawTask[] = [];
    for (let i = 0; i < 120; i++) tasks.push(await initiator.start({ ...options, lun: STUCK }));
    await wait(initiator, []);
    const ended = tasks.filter((task) => task.end !== undefined);
    assert.ok(ended.length >= 30 && ended.length <= 90, `${ended.length} of ${tasks.length} have ended`);
    assert.ok(ended.every((task) => task.result.status === TASK_SET_FULL));
    const others = [initiator, neighbour].map((of) => of.good({ ...options, lun: FREE }));
    await Promise.all(others);
    initiator.destroy();
  });

  it("lets go of all that wait when the limits go, judges them anew, and takes data that came meanwhile", async () => {
    const [initiator, other] = [await loginToStuck(), await login(LIMITED)];
    const data = Buffer.alloc(2 * BLOCK, 0xd5);
    const immediate = await initiator.start({ lun: STUCK, cdb: write10(0, 2), write: data });
    const options = { lun: STUCK, cdb: write10(8, 2), write: data, immediateLength: BLOCK, unsolicitedLength: BLOCK };
    const unsolicited = await initiator.start({ ...options, fields: { flags: 0x20 | 1 } });
    const solicited = await initiator.start({
      ...options,
      immediateLength: 0,
      unsolicitedLength: 0,
      cdb: write10(16, 2),
    });
    const ofOther = await read(other, STUCK, 0);
    await wait(initiator, [immediate, unsolicited, solicited]);
    await initiator.send(
      {
        opcode: OPCODE_DATA_OUT,
        flags: FLAG_FINAL,
        initiatorTaskTag: unsolicited.initiatorTaskTag,
        targetTransferTag: TAG_NONE,
        dataSN: 0,
        bufferOffset: BLOCK,
      },
      data.subarray(BLOCK),
    );
    await wait(initiator, [immediate, unsolicited, solicited]);

    const before = await metric('ringlun_unit_throttled_commands_total{unit="stuck"}');
    await reload("");
    for (const task of [immediate, unsolicited, solicited]) assert.equal((await initiator.finish(task)).status, GOOD);
    assert.ok((await metric('ringlun_unit_throttled_commands_total{unit="stuck"}')) >= before + 4);
    assert.ok((await metric('ringlun_unit_throttled_seconds_total{unit="stuck"}')) > 0);
    assert.equal((await other.finish(ofOther)).status, GOOD);
    for (const lba of [0, 8, 16]) {
      assert.deepEqual(await initiator.good({ lun: STUCK, cdb: read10(lba, 2), read: 2 * BLOCK }), data);
    }

    // And back: what it has done meanwhile does not count.
    await reload(STUCK_LIMITS);
    await initiator.good({ lun: STUCK, cdb: writeSame16(0, BLOCKS, NO_DATA_OUT), write: Buffer.alloc(0) });
    const tasks = [await read(initiator, STUCK, 1), await read(initiator, STUCK, 2)];
    await wait(initiator, tasks);
    const mebibyte = { cdb: read10(0, 2048), read: 2048 * BLOCK };
    const first = await initiator.start({ lun: STUCK, ...mebibyte, attribute: HEAD_OF_QUEUE });
    await wait(initiator, [...tasks, first]);
    // The new budget lets one begin at once, and the next one after 64 s.
    await reload("{ bandwidth: 16KiB, burst: 0 }");
    assert.equal((await initiator.finish(first)).status, GOOD);
    assert.ok(
      tasks.every((task) => task.end === undefined),
      "HEAD OF QUEUE comes first",
    );
    await reload("");
    for (const task of tasks) assert.equal((await initiator.finish(task)).status, GOOD);
    await reload(STUCK_LIMITS);
  });

  it("takes limits away, and sets them, over HTTP", async () => {
    const initiator = await loginToStuck();
    const task = await read(initiator, STUCK, 0);
    await wait(initiator, [task]);
    const patch = async (limits: object | null): Promise<void> => {
      const asked = { method: "PATCH", path: "/api/v1/units/stuck", headers: { "content-type": "application/json" } };
      const { status, document } = await ask(
        { ...asked, body: JSON.stringify({ limits }) },
        socketOf(target.configPath),
      );
      assert.equal(status, 200, JSON.stringify(document));
    };
    await patch(null);
    assert.equal((await initiator.finish(task)).status, GOOD);
    await patch({ bandwidth: "64KiB", burst: 0 });
    await initiator.good({ lun: STUCK, cdb: writeSame16(0, BLOCKS, NO_DATA_OUT), write: Buffer.alloc(0) });
    await wait(initiator, [await read(initiator, STUCK, 0)]);
    initiator.destroy();
  });

  it("changes the limits of an initiator while its commands wait", async () => {
    await reload(STUCK_LIMITS, STUCK_LIMITS);
    const [one, same] = [await login(LIMITED), await login(LIMITED)];
    await one.good({ lun: FREE, cdb: writeSame16(0, BLOCKS, NO_DATA_OUT), write: Buffer.alloc(0) });
    const tasks = [await read(one, FREE, 0), await read(one, FREE, 1)];
    const ofSame = await read(same, FREE, 0);
    await one.good({ lun: FREE, cdb: testUnitReady() });
    await same.good({ lun: FREE, cdb: testUnitReady() });
    assert.ok([...tasks, ofSame].every((task) => task.end === undefined));
    const before = await throttled(LIMITED);
    await reload(STUCK_LIMITS, "");
    for (const task of tasks) assert.equal((await one.finish(task)).status, GOOD);
    assert.equal((await same.finish(ofSame)).status, GOOD);
    assert.ok((await throttled(LIMITED)) >= before + 3);
    await reload(STUCK_LIMITS);
  });
});
