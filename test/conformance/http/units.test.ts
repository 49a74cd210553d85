/** Units and LUNs that are changed one at a time, by `ringlun units` and over HTTP, under a session that goes on. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ask, ringlun, socketOf } from "../../support/administration.js";
import { modeSense6, read16, readCapacity16, testUnitReady, write16 } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { senseOf } from "../../support/sense.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";

const BLOCK = 512;
const OTHER = "iqn.2026-11.io.ringlun:other";
const HOST = "iqn.1993-08.org.debian:01:abc";
const UNIT_ATTENTION = 0x6;
const DATA_PROTECT = 0x7;
const WRITE_PROTECTED = 0x2700;
const MODE_PARAMETERS_CHANGED = 0x2a01;
const CAPACITY_DATA_HAS_CHANGED = 0x2a09;
const REPORTED_LUNS_DATA_HAS_CHANGED = 0x3f0e;

/** The session answers no pings while the command line is at work. */
const config = ({ port }: Places) => `# whose disks these are
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - name: ${TARGET_NAME} # everybody's
    portalGroups: [1]
    pingInterval: 0
    luns:
      0: a   # the system
  - { name: "${OTHER}", portalGroups: [1], luns: { 0: a }, initiators: [{ name: "${HOST}" }] }
units:
  a: { file: ./a.img, size: 1MiB, cache: writeback } # the first
api: { fileRoots: [.] }
workers: 2
`;

let target: RunningTarget;
let initiator: RawInitiator;

before(async () => {
  target = await RunningTarget.start({ config });
});

after(async () => {
  await target.stop();
});

beforeEach(async () => {
  await target.configure(config(target.places));
  const from = target.log.length;
  target.reload();
  await target.waitForLog(/configuration reloaded/, undefined, from);
  initiator = await RawInitiator.connect(target.port);
  await initiator.login({ targetName: TARGET_NAME });
  await initiator.good({ cdb: testUnitReady() });
});

afterEach(() => initiator.destroy());

const text = () => readFile(target.configPath, "utf8");
const socket = () => socketOf(target.configPath);
const file = (name: string) => join(target.places.directory, name);

/** What is sent, and the answer. */
async function send(method: string, path: string, body?: object | string) {
  const json = typeof body === "object" ? JSON.stringify(body) : body;
  const headers = json === undefined ? {} : { "content-type": "application/json" };
  return ask({ method, path: `/api/v1/${path}`, headers, ...(json === undefined ? {} : { body: json }) }, socket());
}

/** Done: what is different. */
async function done(method: string, path: string, body?: object): Promise<string[]> {
  const { status, document } = await send(method, path, body);
  assert.equal(status, 200, JSON.stringify(document));
  return document.differences.map(({ path, effect }: { path: string; effect: string }) => `${path} ${effect}`);
}

/** Refused, and nothing has changed. */
async function refused(status: number, message: RegExp, method: string, path: string, body?: object | string) {
  const before = await text();
  const answer = await send(method, path, body);
  assert.equal(answer.status, status, JSON.stringify(answer.document));
  assert.match(JSON.stringify(answer.document), message);
  assert.equal(await text(), before);
}

const luns = (name = TARGET_NAME) => `targets/${encodeURIComponent(name)}/luns`;

async function senseAt(lun: number, cdb = testUnitReady()) {
  const { key, code } = senseOf(await initiator.command({ lun, cdb }));
  return [key, code];
}

test("a unit from its beginning to its end, on the command line; its session goes on, and the file says what is", async () => {
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await ringlun(target.configPath, "units", ...args);
    return [code, code === 0 ? stdout : stderr];
  };
  assert.deepEqual(await run("create", "b", "--file", "b.img", "--size", "2MiB", "--map", `${TARGET_NAME}:1`), [
    0,
    `+ targets["${TARGET_NAME}"].luns.1\n+ units.b\n`,
  ]);
  const added = config(target.places)
    .replace("# the first\n", "# the first\n  b: { file: b.img, size: 2MiB }\n")
    .replace("# the system\n", "# the system\n      1: b\n");
  assert.equal(await text(), added);
  assert.equal((await stat(file("b.img"))).size, 2 << 20);
  assert.deepEqual(await senseAt(1), [UNIT_ATTENTION, REPORTED_LUNS_DATA_HAS_CHANGED]);
  await initiator.good({ lun: 1, cdb: write16(0, 1), write: Buffer.alloc(BLOCK, 0xb1) });

  assert.deepEqual(await run("resize", "b", "3MiB"), [0, "~ units.b.size: 2097152 -> 3145728\n"]);
  assert.deepEqual(await senseAt(1), [UNIT_ATTENTION, CAPACITY_DATA_HAS_CHANGED]);
  const capacity = await initiator.good({ lun: 1, cdb: readCapacity16(), read: 32 });
  assert.equal(capacity.readBigUInt64BE(0), 6143n);
  const [code, stderr] = await run("resize", "b", "1MiB");
  assert.equal(code, 3);
  assert.match(
    String(stderr),
    /^ringlun: unit b has 3145728 bytes, and 1048576 are fewer: .* units never shrink; .*\n$/,
  );

  assert.deepEqual(await run("unmap", TARGET_NAME, "1"), [0, `- targets["${TARGET_NAME}"].luns.1\n`]);
  assert.deepEqual(await run("delete", "b", "--delete-file"), [0, `- units.b\n${file("b.img")} is deleted\n`]);
  assert.ok(!existsSync(file("b.img")));
  assert.equal(await text(), config(target.places));
  assert.deepEqual(await senseAt(0), [UNIT_ATTENTION, REPORTED_LUNS_DATA_HAS_CHANGED]);
  await initiator.good({ cdb: read16(0, 1), read: BLOCK });
  assert.equal((await run("map", "a", TARGET_NAME, "16384"))[0], 2);
});

test("a unit gets another name: the same disk, before and after a restart, and nobody notices", async () => {
  const units = async () => (await ask({ path: "/api/v1/units" }, socket())).document;
  const [before] = await units();
  await initiator.good({ cdb: write16(0, 1), write: Buffer.alloc(BLOCK, 0xb2) });
  assert.deepEqual(await done("PATCH", "units/a", { name: "z" }), ["units.a live"]);
  await initiator.good({ cdb: testUnitReady() });
  const data = await initiator.good({ cdb: read16(0, 1), read: BLOCK });
  assert.ok(data.every((byte) => byte === 0xb2));
  assert.match(await text(), /^ {6}0: z {3}# the system$/m);
  const [renamed] = await units();
  assert.deepEqual([renamed.name, renamed.uuid], ["z", before.uuid]);
  initiator.destroy();
  await target.kill9();
  await target.run();
  assert.deepEqual(await units(), [renamed]);
  // The name is free for another disk.
  await done("POST", "units", { name: "a", file: "new-a.img", size: "1MiB" });
  assert.equal((await units()).length, 2);
  await done("DELETE", "units/a?deleteFile=true");
});

test("by force a unit goes with its LUNs, and the sessions that see it end; its file stays", async () => {
  const maps = [
    { target: TARGET_NAME, lun: 1 },
    { target: OTHER, lun: 7 },
  ];
  await done("POST", "units", { name: "d", file: "d.img", size: "1MiB", maps });
  await refused(409, /unit d is mapped: LUN 1 of iqn\S+:test, LUN 7 of iqn\S+:other; unmap it/, "DELETE", "units/d");
  await done("DELETE", "units/d?force=true");
  await initiator.receiveUntilClosed();
  assert.equal(await text(), config(target.places));
  assert.ok(existsSync(file("d.img")));
});

test("a LUN of one initiator leaves it those that it had from the target", async () => {
  const ofHost = `?initiator=${encodeURIComponent(HOST)}`;
  await done("PUT", `${luns(OTHER)}/5${ofHost}`, { unit: "a", readOnly: true });
  assert.ok((await text()).includes(`{ name: "${HOST}", luns: { 0: a, 5: { unit: a, readOnly: true } } }`));
  await done("DELETE", `${luns(OTHER)}/0${ofHost}`);
  assert.ok((await text()).includes(`{ name: "${HOST}", luns: { 5: { unit: a, readOnly: true } } }`));
});

test("a unit is read-only from one command to the next, its sessions go on and are told, and back again", async () => {
  const write = { cdb: write16(0, 1), write: Buffer.alloc(BLOCK, 0xc3) };
  const writeProtected = async () => {
    const { key, code } = senseOf(await initiator.command(write));
    return [key, code];
  };
  const wp = async () => (await initiator.good({ cdb: modeSense6(0x3f), read: 255 }))[2]! & 0x80;
  const switches: [() => Promise<string[]>, () => Promise<string[]>, string][] = [
    [
      () => done("PATCH", "units/a", { readOnly: true }),
      () => done("PATCH", "units/a", { readOnly: null }),
      "units.a.readOnly",
    ],
    [
      () => done("PUT", `${luns()}/0`, { unit: "a", readOnly: true }),
      () => done("PUT", `${luns()}/0`, { unit: "a" }),
      `targets["${TARGET_NAME}"].luns.0.readOnly`,
    ],
  ];
  for (const [on, off, path] of switches) {
    assert.equal(await wp(), 0);
    await initiator.good(write);
    assert.ok((await on()).includes(`${path} live`));
    assert.deepEqual(await senseAt(0), [UNIT_ATTENTION, MODE_PARAMETERS_CHANGED]);
    assert.equal(await wp(), 0x80);
    assert.deepEqual(await writeProtected(), [DATA_PROTECT, WRITE_PROTECTED]);
    await initiator.good({ cdb: read16(0, 1), read: BLOCK });
    assert.ok((await off()).every((difference) => difference.endsWith(" live")));
    assert.deepEqual(await senseAt(0), [UNIT_ATTENTION, MODE_PARAMETERS_CHANGED]);
    assert.equal(await wp(), 0);
    await initiator.good(write);
  }
});

describe("a unit whose file gets its blocks first", () => {
  const begin = (keys: object) =>
    send("POST", "units", { name: "p", file: "p.img", size: "96MiB", preallocate: true, ...keys });
  const parts = () => readdirSync(target.places.directory).filter((entry) => entry.endsWith(".part"));

  async function ended(id: number) {
    for (;;) {
      const { document } = await send("GET", `creations/${id}`);
      if (document.state !== "running") return document;
      await sleep(10);
    }
  }

  test("is there when all of them are", async () => {
    const { status, document } = await begin({ maps: [{ target: TARGET_NAME, lun: 3 }] });
    assert.deepEqual([status, document.state, document.totalBytes], [202, "running", 96 << 20]);
    assert.deepEqual(await ended(document.id), { ...document, state: "done", doneBytes: 96 << 20 });
    const { size, blocks, mode } = await stat(file("p.img"));
    assert.deepEqual([size, mode & 0o777], [96 << 20, 0o600]);
    assert.ok(blocks * 512 >= size);
    assert.deepEqual(await senseAt(3), [UNIT_ATTENTION, REPORTED_LUNS_DATA_HAS_CHANGED]);
    assert.deepEqual(parts(), []);
    // What is refused in the end is refused at once.
    await refused(409, /there is a unit p already/, "POST", "units", {
      name: "p",
      file: "p2.img",
      size: 512,
      preallocate: true,
    });
    await writeFile(file("b-file"), "x");
    await refused(409, /is there already/, "POST", "units", {
      name: "q",
      file: "b-file",
      size: 512,
      preallocate: true,
    });
    await refused(400, /takes a file and a size/, "POST", "units", { name: "q", file: "q.img", preallocate: true });
    await done("DELETE", "units/p?force=true&deleteFile=true");
  });

  test("is cancelled, and leaves nothing", async () => {
    const { document } = await begin({ size: "2GiB" });
    const cancelled = await send("DELETE", `creations/${document.id}`);
    assert.equal(cancelled.document.state, "cancelled");
    assert.ok(!existsSync(file("p.img")));
    assert.deepEqual(parts(), []);
    assert.equal(await text(), config(target.places));
    assert.equal((await send("DELETE", "creations/9999")).status, 404);
  });
});

describe("what is refused changes nothing", () => {
  test("names that clash or are nowhere, sizes that do not fit, files out of reach", async () => {
    const create = (keys: object) => ["POST", "units", { name: "x", file: "x.img", size: "1MiB", ...keys }] as const;
    await refused(409, /there is a unit a already/, ...create({ name: "a" }));
    await refused(400, /write a multiple/, ...create({ size: 1000 }));
    await refused(400, /does not exist: correct it, or give a size/, "POST", "units", { name: "x", file: "x.img" });
    await refused(400, /repeats the file/, ...create({ file: "a.img" }));
    await refused(400, /units.x.bogus","line":\d+.*is unknown/, ...create({ bogus: 1 }));
    await refused(403, /api.fileRoots/, ...create({ file: "/var/tmp/x.img" }));
    await refused(
      404,
      /there is no target iqn.2026-11.io.ringlun:none/,
      ...create({ maps: [{ target: `${TARGET_NAME.slice(0, -4)}none`, lun: 0 }] }),
    );
    await refused(409, /LUN 0 is unit a there: unmap it first/, ...create({ maps: [{ target: TARGET_NAME, lun: 0 }] }));
    await refused(409, /unit a has 1048576 bytes, and 524288 are fewer/, "PATCH", "units/a", { size: "512KiB" });
    await refused(400, /is \\"big\\"/, "PATCH", "units/a", { size: "big" });
    await refused(400, /readOnly: write true or false/, "PATCH", "units/a", { readOnly: "maybe" });
    await refused(400, /cache: write one of direct, /, "PATCH", "units/a", { cache: "fast" });
    await refused(400, /blockLength: write 512 or 4096/, "PATCH", "units/a", { blockLength: 513 });
    await refused(400, /size: write bytes/, "PATCH", "units/a", { size: [1] });
    await refused(404, /there is no unit x/, "PATCH", "units/x", { size: 4096 });
    await refused(404, /there is no unit x/, "DELETE", "units/x");
    await refused(404, /there is no unit x/, "PUT", `${luns()}/1`, { unit: "x" });
    await refused(404, /there is no LUN 9/, "DELETE", `${luns()}/9`);
    await refused(404, /no entry for iqn.2026-11.a:b among/, "PUT", `${luns(OTHER)}/1?initiator=iqn.2026-11.a:b`, {
      unit: "a",
    });
    await refused(404, /lists no initiators/, "PUT", `${luns()}/1?initiator=iqn.2026-11.a:b`, { unit: "a" });
    assert.ok(!existsSync(file("x.img")));
  });

  test("a link that leads out of api.fileRoots", async () => {
    await symlink("/var/tmp", file("out"));
    await refused(403, /api.fileRoots/, "POST", "units", { name: "x", file: "out/x.img", size: "1MiB" });
    assert.ok(!existsSync("/var/tmp/x.img"));
  });

  test("where the file has changed meanwhile, 409", async () => {
    await writeFile(target.configPath, `${await text()}# somebody was here\n`);
    await refused(409, /has changed since it was read: reload it first/, "PATCH", "units/a", { size: "2MiB" });
  });

  test("bodies that are none", async () => {
    for (const body of ["{}", "[]", '{"name":""}', '{"name":"x","maps":[{"lun":-1}]}', '{"name":7}', "x", ""]) {
      await refused(400, /body|JSON/, "POST", "units", body);
    }
    await refused(400, /lun/, "PUT", `${luns()}/16384`, { unit: "a" });
    await refused(400, /unit/, "PUT", `${luns()}/1`, {});
    await refused(400, /force/, "DELETE", "units/a?force=yes");
  });
});
