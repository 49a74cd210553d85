import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Configuration } from "../../../control/config/schema.js";
import { Secret } from "../../../control/config/secret.js";
import { UNAUTHENTICATED_CONNECTIONS_PER_PEER_MAX } from "../../../control/limits.js";
import { PortalError } from "../../../control/reception.js";
import { Server } from "../../../control/server.js";
import { UnitError } from "../../../control/units/file-unit.js";
import { LOGIN_STATUS_AUTHENTICATION_FAILURE, LOGIN_STATUS_NOT_FOUND } from "../../../dataplane/wire/login-response.js";
import { temporaryFolder } from "../../support/undo.js";
import { UNIT_DOES_NOT_DRAIN } from "./support/fake-shard.js";
import {
  configuration,
  fileUnit,
  INITIATOR,
  type LogRecords,
  nullUnit,
  portalGroup,
  recordingLogger,
  TARGET,
  target,
} from "./support/fixtures.js";
import { DISCOVERY_KEYS, Initiator, loginOutcome, textOf } from "./support/initiator.js";

const WORKER = new URL("./support/fake-shard.js", import.meta.url);
const KEYS = { InitiatorName: INITIATOR, TargetName: TARGET, SessionType: "Normal" };

interface Started {
  readonly server: Server;
  readonly seen: LogRecords;
  readonly configuration: Configuration;
  connect(): Promise<Initiator>;
}

async function start(context: TestContext, changes: Partial<Configuration> = {}): Promise<Started> {
  const { logger, seen } = recordingLogger();
  const configured = configuration(temporaryFolder(context), changes);
  const server = await Server.start(configured, { logger, worker: WORKER, onFatal: () => {} });
  context.after(() => server.stop(0));
  const connect = async () => {
    const initiator = await Initiator.connect(server.portals[0]!.address);
    context.after(() => initiator.close());
    return initiator;
  };
  return { server, seen, configuration: configured, connect };
}

async function logIn(
  connect: () => Promise<Initiator>,
  keys: Record<string, string> = {},
  isid = 1,
): Promise<Initiator> {
  const initiator = await connect();
  const outcome = loginOutcome(await initiator.login({ keys: { ...KEYS, ...keys }, isid }));
  assert.equal(outcome?.status, 0);
  return initiator;
}

describe("start", () => {
  test("everything listens, and initiators find and reach the target", async (context) => {
    const { server, connect } = await start(context);
    assert.ok(server.isReady);
    assert.notEqual(server.portals[0]?.address.port, 0);
    const discovery = await connect();
    await discovery.login({ keys: DISCOVERY_KEYS });
    discovery.sendText({ SendTargets: "All" });
    assert.equal(textOf((await discovery.receive())!.data)[0], `TargetName=${TARGET}`);
    await logIn(connect);
    assert.deepEqual(
      server.sessions.map(({ shard }) => shard),
      [-1, 0],
    );
    assert.equal(server.unauthenticatedCount, 0);
  });

  test("several live in one process", async (context) => {
    const [one, other] = await Promise.all([start(context), start(context)]);
    await logIn(one.connect);
    await logIn(other.connect);
    assert.deepEqual([one.server.sessions.length, other.server.sessions.length], [1, 1]);
  });

  test("a portal that cannot listen is named, and nothing is left open", async (context) => {
    const occupied = createServer();
    context.after(() => occupied.close());
    await new Promise<void>((resolve) => occupied.listen(0, "127.0.0.1", resolve));
    const { port } = occupied.address() as { port: number };
    const path = temporaryFolder(context);
    const file = fileUnit(join(path, "disk.img"));
    const portalGroups = [portalGroup({ tag: 7, portals: [{ host: "127.0.0.1", port }] })];
    const failing = Server.start(configuration(path, { portalGroups, units: [file] }), {
      logger: recordingLogger().logger,
      worker: WORKER,
    });
    await assert.rejects(failing, (error: Error) => {
      assert.ok(error instanceof PortalError);
      assert.match(
        error.message,
        new RegExp(`127\\.0\\.0\\.1:${port} of portal group 7 cannot listen: EADDRINUSE: another program`),
      );
      return true;
    });
    // Its lock is gone.
    const { server } = await start(context, { units: [file] });
    assert.equal(server.units[0]?.name, "disk");
  });

  test("HTTP that cannot listen is named", async (context) => {
    const occupied = createServer();
    context.after(() => occupied.close());
    await new Promise<void>((resolve) => occupied.listen(0, "127.0.0.1", resolve));
    const { port } = occupied.address() as { port: number };
    await assert.rejects(
      start(context, { http: { listen: { host: "127.0.0.1", port }, hosts: [], tls: null } }),
      /HTTP on .* cannot listen: EADDRINUSE: another program/,
    );
  });

  test("a unit that cannot be opened is named", async (context) => {
    await assert.rejects(
      start(context, { units: [fileUnit("/no/such/folder/disk.img", { sizeBytes: null })] }),
      (error) => error instanceof UnitError,
    );
  });

  test("what is configured beyond what works is said", async (context) => {
    const { seen } = await start(context, { targets: [target({ session: { firstBurstLength: 524288 } })] });
    const record = seen.records.find(({ msg }) => msg === "less is in force than is configured");
    assert.deepEqual(
      [record?.target, record?.key, record?.configured, record?.inForce],
      [TARGET, "firstBurstLength", 524288, 262144],
    );
  });
});

describe("sessions", () => {
  test("a login with the same ISID replaces the session on its shard", async (context) => {
    const { server, connect } = await start(context);
    const first = await logIn(connect);
    const [before] = server.sessions;
    await logIn(connect);
    assert.ok(await first.ends());
    assert.equal(server.sessions.length, 1);
    assert.notEqual(server.sessions[0]?.tsih, before?.tsih);
  });

  test("a login with TSIH and CID replaces the connection, and the session stays", async (context) => {
    const { server, connect } = await start(context);
    const first = await logIn(connect);
    const [before] = server.sessions;
    const second = await connect();
    const response = await second.login({ keys: KEYS, isid: 1, tsih: before!.tsih });
    assert.deepEqual(loginOutcome(response), { status: 0, tsih: before!.tsih });
    assert.ok(await first.ends());
    assert.deepEqual(server.sessions, [before]);
  });

  test("they are spread over the shards, and those of a dead shard are gone", async (context) => {
    const { server, connect } = await start(context, { workers: 2 });
    const initiators = await Promise.all([1, 2, 3, 4].map((isid) => logIn(connect, {}, isid)));
    assert.deepEqual(server.sessions.map(({ shard }) => shard).sort(), [0, 0, 1, 1]);
    const survivors = server.sessions.filter(({ shard }) => shard === 1);
    const killed = server.shards.kill(0);
    const ended = Promise.any(initiators.map(async (initiator) => assert.ok(await initiator.ends())));
    await Promise.all([killed, ended]);
    assert.deepEqual(server.sessions, survivors);
    assert.ok(server.isReady);
    // It can log in again.
    await logIn(connect, {}, 5);
    assert.equal(server.sessions.at(-1)?.shard, 0);
  });

  test("logins wait while operations of a dead shard may still go on", async (context) => {
    const { server, connect } = await start(context, {
      units: [nullUnit(), nullUnit(UNIT_DOES_NOT_DRAIN)],
    });
    const first = await logIn(connect);
    void server.shards.kill(0);
    const initiator = await connect();
    let answered = false;
    void initiator.login({ keys: KEYS }).then(() => {
      answered = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(answered, false);
    assert.deepEqual(server.sessions, []);
    // Nor is an initiator told, which may have another path to go on through.
    assert.equal(first.socket.readableEnded, false);
  });
});

describe("unauthenticated connections", () => {
  test("of one peer are bounded; one that logs in or goes makes room", async (context) => {
    const { server, connect } = await start(context);
    const silent = await Promise.all(Array.from({ length: UNAUTHENTICATED_CONNECTIONS_PER_PEER_MAX }, connect));
    while (server.unauthenticatedCount < silent.length) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(await (await connect()).ends());
    assert.equal(loginOutcome(await silent[0]!.login({ keys: KEYS }))?.status, 0);
    await logIn(connect, {}, 2);
  });
});

describe("reload", () => {
  const other = target({ name: "iqn.2026-11.io.ringlun:other", luns: [{ lun: 0, unit: "second", readOnly: false }] });

  test("new targets and units are served, to sessions that were there nothing happens", async (context) => {
    const started = await start(context);
    const initiator = await logIn(started.connect);
    const before = started.server.sessions;
    await started.server.reload({
      ...started.configuration,
      targets: [target(), other],
      units: [nullUnit(), nullUnit("second")],
    });
    await started.seen.message((text) => text === "unit second");
    assert.deepEqual(started.server.sessions, before);
    await logIn(started.connect, { TargetName: other.name });
    const handoff = await started.seen.message((text) => text.startsWith("handoff") && text.includes(other.name));
    const unitIndex = started.server.units.find(({ name }) => name === "second")?.unitIndex;
    assert.ok(String(handoff.msg).includes(`"unitIndex":${unitIndex}`));
    assert.ok(!initiator.socket.destroyed);
  });

  test("a target that goes takes its sessions with it, and no others", async (context) => {
    const started = await start(context, {
      targets: [target(), other],
      units: [nullUnit(), nullUnit("second")],
    });
    const staying = await logIn(started.connect);
    const going = await logIn(started.connect, { TargetName: other.name });
    await started.server.reload({ ...started.configuration, targets: [target()] });
    assert.ok(await going.ends());
    assert.deepEqual(
      started.server.sessions.map(({ identity }) => identity.targetName),
      [TARGET],
    );
    assert.ok(!staying.socket.destroyed);
    const late = await started.connect();
    const response = await late.login({ keys: { ...KEYS, TargetName: other.name } });
    assert.equal(loginOutcome(response)?.status, LOGIN_STATUS_NOT_FOUND);
  });

  test("a unit that goes takes the sessions with it that have it, and its lock", async (context) => {
    const path = temporaryFolder(context);
    const file = fileUnit(join(path, "disk.img"), { name: "second" });
    const started = await start(context, { targets: [target(), other], units: [nullUnit(), file] });
    await logIn(started.connect);
    const going = await logIn(started.connect, { TargetName: other.name });
    await started.server.reload({
      ...started.configuration,
      targets: [target(), { ...other, luns: [] }],
      units: [nullUnit()],
    });
    assert.ok(await going.ends());
    assert.equal(started.server.sessions.length, 1);
    assert.deepEqual(
      started.server.units.map(({ name }) => name),
      ["disk"],
    );
    await start(context, { units: [{ ...file, name: "disk" }] });
  });

  test("an initiator that loses access loses its session; CHAP goes for new logins", async (context) => {
    const started = await start(context);
    await logIn(started.connect);
    const auth = { chap: [{ user: "alice", secret: new Secret(Buffer.alloc(16)) }], mutual: null };
    await started.server.reload({ ...started.configuration, targets: [target({ auth })] });
    assert.equal(started.server.sessions.length, 1);
    const second = await started.connect();
    const response = await second.login({ keys: KEYS, isid: 2 });
    assert.equal(loginOutcome(response)?.status, LOGIN_STATUS_AUTHENTICATION_FAILURE);
    await started.server.reload({ ...started.configuration, targets: [target({ initiators: [] })] });
    assert.deepEqual(started.server.sessions, []);
  });

  test("LUNs come and go, and become read-only, while sessions go on; one that becomes another unit ends them", async (context) => {
    const lun = (number: number, unit: string, readOnly = false) => ({ lun: number, unit, readOnly });
    const units = [nullUnit(), nullUnit("second")];
    const started = await start(context, { units });
    const reload = (...luns: ReturnType<typeof lun>[]) =>
      started.server.reload({ ...started.configuration, units, targets: [target({ luns })] });
    await logIn(started.connect);
    const indexOf = (unit: string) => started.server.units.find(({ name }) => name === unit)!.unitIndex;
    await reload(lun(0, "disk"), lun(1, "second"));
    assert.deepEqual(started.server.sessions[0]?.unitIndexes, [indexOf("disk"), indexOf("second")]);
    await reload(lun(1, "second"));
    assert.deepEqual(started.server.sessions[0]?.unitIndexes, [indexOf("second")]);
    await reload(lun(1, "second", true));
    assert.deepEqual(started.server.sessions[0]?.unitIndexes, [indexOf("second")]);
    const told = started.seen.records
      .map(({ msg }) => String(msg))
      .filter((text) => text.startsWith('{"type":"lunChange"'))
      .map((text) => JSON.parse(text));
    assert.deepEqual(
      told.map(({ added, removed, switched }) => [
        added.map((record: { lun: number }) => record.lun),
        removed,
        switched,
      ]),
      [
        [[1], [], []],
        [[], [0], []],
        [[], [], [{ lun: 1, readOnly: true }]],
      ],
    );
    await reload(lun(1, "disk", true));
    assert.deepEqual(started.server.sessions, []);
  });

  test("what needs a restart is said, and stays as it was", async (context) => {
    const started = await start(context);
    const found = await started.server.reload({ ...started.configuration, workers: 9, stateDir: "/elsewhere" });
    const said = started.seen.records.filter(({ msg }) => String(msg).endsWith("needs a restart"));
    assert.deepEqual(
      said.map(({ path }) => path),
      ["workers", "stateDir"],
    );
    assert.deepEqual(
      found.differences.map(({ path, kind, from, to, effect }) => [path, kind, from, to, effect]),
      [
        ["workers", "changed", "1", "9", "restart"],
        ["stateDir", "changed", JSON.stringify(started.configuration.stateDir), '"/elsewhere"', "restart"],
      ],
    );
    assert.equal(started.server.configuration.workers, 1);
    await logIn(started.connect);
  });

  test("where a unit cannot be opened, nothing changes", async (context) => {
    const path = temporaryFolder(context);
    const grows = fileUnit(join(path, "disk.img"), { name: "grows" });
    const started = await start(context, { units: [nullUnit(), grows] });
    await logIn(started.connect);
    const units = [
      nullUnit(),
      { ...grows, sizeBytes: 2 << 20 },
      fileUnit(join(path, "new.img"), { name: "new" }),
      fileUnit("/no/such/folder/disk.img", { name: "missing", sizeBytes: null }),
    ];
    const portals = [
      { host: "127.0.0.1", port: 0 },
      { host: "127.0.0.2", port: 0 },
    ];
    const portalGroups = [portalGroup({ portals })];
    await assert.rejects(
      started.server.reload({ ...started.configuration, units, portalGroups, targets: [] }),
      /^ReconfigurationError: unit missing: .* does not exist/,
    );
    assert.deepEqual(
      started.server.units.map(({ name, state }) => [name, state.sizeBytes]),
      [
        ["disk", nullUnit().sizeBytes],
        [grows.name, 1 << 20],
      ],
    );
    assert.equal(statSync(grows.path).size, 1 << 20);
    assert.ok(!existsSync(join(path, "new.img")), "a file that was made for it is gone");
    assert.equal(started.server.portals.length, 1);
    assert.equal(started.server.sessions.length, 1);
    await started.server.reload({ ...started.configuration, units: units.slice(0, 3), portalGroups });
    assert.equal(started.server.sessions.length, 1);
  });

  test("what the next start would not find is not put in force; both names have the identity until it would", async (context) => {
    const path = temporaryFolder(context);
    const unit = fileUnit(join(path, "disk.img"));
    const started = await start(context, { units: [unit] });
    await logIn(started.connect);
    const { stateDir } = started.configuration;
    const identities = () => {
      const { data } = JSON.parse(readFileSync(join(stateDir, "unit-identities.json"), "utf8"));
      return new Map(data.units.map(({ name, id }: { name: string; id: string }) => [name, id]));
    };
    const { uuid } = started.server.units[0]!;
    const luns = [{ lun: 0, unit: "new", readOnly: false }];
    const next = { ...started.configuration, units: [{ ...unit, name: "new" }], targets: [target({ luns })] };
    const fail = () => {
      throw new Error("no room");
    };
    await assert.rejects(started.server.reload(next, { keep: fail }), /^ReconfigurationError: no room/);
    assert.deepEqual(
      started.server.units.map(({ name }) => name),
      ["disk"],
    );
    assert.equal(started.server.configuration.units[0]?.name, "disk");
    assert.deepEqual([...identities()], [["disk", uuid]]);
    let isKept = false;
    const keep = () => {
      // Killed here, a restart finds the disk that it was, with the old text and with the new one.
      const kept = identities();
      assert.deepEqual([kept.get("disk"), kept.get("new")], [uuid, uuid]);
      assert.equal(started.server.configuration.units[0]?.name, "disk");
      isKept = true;
    };
    await started.server.reload(next, { keep });
    assert.ok(isKept);
    assert.deepEqual([...identities()], [["new", uuid]]);
    assert.equal(started.server.sessions.length, 1);
  });

  test("a unit grows while its sessions go on, and they are told", async (context) => {
    const path = temporaryFolder(context);
    const grows = fileUnit(join(path, "disk.img"));
    const started = await start(context, { units: [grows] });
    await logIn(started.connect);
    await started.server.reload({ ...started.configuration, units: [{ ...grows, sizeBytes: 3 << 20 }] });
    assert.equal(started.server.sessions.length, 1);
    assert.equal(statSync(grows.path).size, 3 << 20);
    const told = await started.seen.message((text) => text.startsWith('{"type":"unitChange"'));
    const { change } = JSON.parse(String(told.msg));
    assert.equal(change.state.sizeBytes, 3 << 20);
    assert.deepEqual(change.attentions, [{ asc: 0x2a, ascq: 0x09 }]);
  });

  test("a unit that changes otherwise is opened anew: its sessions end, and come back to the new one", async (context) => {
    const path = temporaryFolder(context);
    const unit = fileUnit(join(path, "disk.img"));
    const started = await start(context, { units: [unit] });
    const ended = await logIn(started.connect);
    await started.server.reload({ ...started.configuration, units: [{ ...unit, removable: true }] });
    assert.ok(await ended.ends());
    assert.equal(started.server.units[0]?.removable, true);
    await logIn(started.connect);
    // It cannot become what is asked for: it is what it was.
    const other = { ...unit, path: join(path, "nothing.img"), sizeBytes: null };
    await assert.rejects(started.server.reload({ ...started.configuration, units: [other] }), /ENOENT|does not exist/);
    assert.equal(started.server.units[0]?.removable, true);
    await logIn(started.connect);
  });

  test("portals come and go; a connection that came through one that goes is not touched", async (context) => {
    const started = await start(context);
    const initiator = await logIn(started.connect);
    const [portal] = started.server.portals;
    const there = { host: "127.0.0.2", port: 0 };
    await started.server.reload({ ...started.configuration, portalGroups: [portalGroup({ portals: [there] })] });
    assert.deepEqual(
      started.server.portals.map(({ address }) => address.host),
      ["127.0.0.2"],
    );
    assert.ok(!initiator.socket.destroyed);
    assert.equal(started.server.sessions.length, 1);
    await assert.rejects(Initiator.connect(portal!.address), /ECONNREFUSED/);
    const late = await Initiator.connect(started.server.portals[0]!.address);
    context.after(() => late.close());
    assert.equal(loginOutcome(await late.login({ keys: KEYS, isid: 9 }))?.status, 0);
  });
});

describe("stop", () => {
  test("ends sessions and connections, gives the units back, and is done once", async (context) => {
    const path = temporaryFolder(context);
    const file = fileUnit(join(path, "disk.img"));
    const { server, connect } = await start(context, { units: [file] });
    const session = await logIn(connect);
    const silent = await connect();
    await Promise.all([server.stop(1000), server.stop(1000)]);
    assert.ok(await session.ends());
    assert.ok(await silent.ends());
    assert.deepEqual(server.sessions, []);
    await assert.rejects(connect());
    assert.ok(existsSync(file.path));
    await start(context, { units: [file] });
  });
});
