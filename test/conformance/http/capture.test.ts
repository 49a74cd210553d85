/** Captures over HTTP: who may have one, what is in it, where it ends, and that a reader who is slow slows nobody. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { read10, write10 } from "../../support/cdb.js";
import { type CaptureFile, type Packet, readPcapng } from "../../support/pcapng-reader.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningCommand, ringlun } from "../../support/ringlun.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";

const BLOCK = 512;
/** More than sockets and streams hold between the two. */
const PINGS_TO_FILL_PIPE = 1000;
const OPCODE_SCSI_COMMAND = 0x01;
const OPCODE_LOGOUT_RESPONSE = 0x26;

let target: RunningTarget;

before(async () => {
  target = await RunningTarget.start({ workers: 2, luns: { 0: "one", 1: "two" } });
});

after(() => target.stop());

const socketPath = () => join(`${target.configPath}.state`, "api.sock");

/** Of the API, through its socket. */
function ask(method: string, query = "", place: object = { socketPath: socketPath() }): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request({ ...place, method, path: `/api/v1/capture${query}`, agent: false }, resolve)
      .on("error", reject)
      .end();
  });
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

async function statusOf(method: string, query = "", place?: object): Promise<number | undefined> {
  const response = await ask(method, query, place);
  response.resume();
  return response.statusCode;
}

interface RunningCapture {
  readonly response: IncomingMessage;
  /** When it ends. */
  readonly file: Promise<CaptureFile>;
}

async function begin(query: string): Promise<RunningCapture> {
  const response = await ask("GET", query);
  assert.equal(response.statusCode, 200);
  assert.equal(response.headers["content-type"], "application/x-pcapng");
  return { response, file: bodyOf(response).then(readPcapng) };
}

async function end(): Promise<void> {
  assert.deepEqual(JSON.parse((await bodyOf(await ask("DELETE"))).toString()), { ended: true });
}

async function login(initiatorName: string, keys: Readonly<Record<string, string>> = {}): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(target.port);
  const offered = { MaxRecvDataSegmentLength: "262144", ...keys };
  await initiator.login({ targetName: TARGET_NAME, initiatorName, keys: offered });
  return initiator;
}

async function sessionIdOf(initiatorName: string): Promise<number> {
  const { stdout } = await ringlun("sessions", "--json", "--config", target.configPath);
  const sessions = JSON.parse(stdout) as { sessionId: number; initiatorName: string }[];
  return sessions.find((session) => session.initiatorName === initiatorName)!.sessionId;
}

const opcodeOf = ({ payload }: Packet): number => payload[0]! & 0x3f;

describe("who may have one, and of what", () => {
  test("nobody over TCP without a token: it shows data", async () => {
    const place = { host: "127.0.0.1", port: target.places.httpPort };
    for (const method of ["GET", "DELETE"]) assert.equal(await statusOf(method, "", place), 401);
  });

  test("of nothing that is not there, and with no nonsense", async () => {
    for (const query of ["?session=999999", "?unit=none", "?unit="])
      assert.equal(await statusOf("GET", query), 404, query);
    const nonsense = [
      "?session=0",
      "?session=x",
      "?data=some",
      "?seconds=0",
      "?seconds=1e9",
      "?maxBytes=1",
      "?maxBytes=-1",
    ];
    for (const query of nonsense) assert.equal(await statusOf("GET", query), 400, query);
  });

  test("one at a time; DELETE ends it, and says so", async () => {
    const { file } = await begin("");
    assert.equal(await statusOf("GET"), 409);
    await end();
    const { interfaces, packets, statistics } = await file;
    assert.deepEqual(
      { interfaces, packets, statistics: statistics.length },
      { interfaces: 3, packets: [], statistics: 3 },
    );
    assert.deepEqual(JSON.parse((await bodyOf(await ask("DELETE"))).toString()), { ended: false });
  });

  test("the command line says what is wrong, and ends with 2 or 3", async () => {
    const config = ["--config", target.configPath];
    const out = ["--out", join(target.places.directory, "x.pcapng")];
    const none = await ringlun("capture", ...config, ...out, "--unit", "none");
    assert.equal(none.code, 3);
    assert.match(none.stderr, /no unit none/);
    assert.equal((await ringlun("capture", ...config, ...out, "--max-size", "much")).code, 2);
    assert.equal((await ringlun("capture", ...config, "--files", "3")).code, 2);
    const nowhere = await ringlun("capture", ...config, "--out", join(target.places.directory, "no", "x.pcapng"));
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.stderr, /x\.pcapng cannot be written/);
  });
});

describe("what is in it", () => {
  test("a session alone, until it ends", async (context) => {
    const [one, two] = [await login("iqn.2026-11.io.ringlun:one"), await login("iqn.2026-11.io.ringlun:two")];
    context.after(() => two.destroy());
    const { file } = await begin(`?session=${await sessionIdOf("iqn.2026-11.io.ringlun:one")}&data=whole`);
    for (const initiator of [two, one, two]) await initiator.good({ cdb: read10(0, 8), read: 8 * BLOCK });
    await one.logout();
    one.destroy();
    const { packets, statistics } = await file;
    // Command, Data-In with status, Logout Request, Logout Response.
    assert.equal(packets.length, 4);
    assert.match(packets[0]!.comment, /: iqn\.2026-11\.io\.ringlun:one at /);
    assert.equal(opcodeOf(packets.at(-1)!), OPCODE_LOGOUT_RESPONSE);
    assert.deepEqual(
      packets.map(({ isInbound }) => isInbound),
      [true, false, true, false],
    );
    assert.equal(
      statistics.reduce((sum, { received }) => sum + received, 0),
      4,
    );
  });

  test("a unit alone: of the others' commands nothing", async (context) => {
    const initiator = await login("iqn.2026-11.io.ringlun:unit", { ImmediateData: "No" });
    context.after(() => initiator.destroy());
    const { file } = await begin("?unit=two&data=whole");
    const data = Buffer.alloc(64 * BLOCK, "x");
    for (const lun of [0, 1, 0]) {
      await initiator.good({ cdb: write10(0, 64), lun, write: data });
      await initiator.good({ cdb: read10(0, 8), lun, read: 8 * BLOCK });
    }
    await initiator.ping();
    await end();
    const { packets } = await file;
    const tags = new Set(packets.map(({ payload }) => payload.readUInt32BE(16)));
    assert.equal(tags.size, 2, "a WRITE and a READ");
    const commands = packets.filter((packet) => opcodeOf(packet) === OPCODE_SCSI_COMMAND);
    assert.deepEqual(
      commands.map(({ payload }) => payload[9]),
      [1, 1],
      "LUN 1",
    );
    assert.deepEqual(new Set(packets.map(opcodeOf)), new Set([0x01, 0x05, 0x21, 0x25, 0x31]));
    // Nothing is missing between them.
    let next = packets[0]!.sequence;
    for (const { sequence, payloadLength } of packets.filter(({ isInbound }) => isInbound)) {
      assert.equal(sequence, next);
      next += payloadLength;
    }
  });

  test("times are those of the day", async (context) => {
    const initiator = await login("iqn.2026-11.io.ringlun:clock");
    context.after(() => initiator.destroy());
    const beforeNs = BigInt(Date.now() - 1) * 1_000_000n;
    const { file } = await begin("");
    await initiator.ping();
    await end();
    const afterNs = BigInt(Date.now() + 1) * 1_000_000n;
    for (const { atNs } of (await file).packets) assert(beforeNs <= atNs && atNs <= afterNs, `${atNs}`);
  });
});

describe("on standard output", () => {
  /** `ringlun capture`, when the head of the file has come. */
  async function piped(...args: string[]): Promise<RunningCommand> {
    const command = new RunningCommand("capture", "--config", target.configPath, ...args);
    await once(command.child.stdout!, "data");
    return command;
  }

  test("it is a file, for programs that read one as it comes", async (context) => {
    const initiator = await login("iqn.2026-11.io.ringlun:pipe");
    context.after(() => initiator.destroy());
    const command = await piped("--headers");
    await initiator.ping();
    const { code, stdout, stderr } = await command.interrupt();
    assert.deepEqual([code, stderr], [0, "2 packets captured\n"]);
    assert.equal(readPcapng(Buffer.from(stdout, "latin1")).packets.length, 2);
  });

  test("whoever is told twice to end does not wait for a slow reader, and says nothing else", async (context) => {
    const initiator = await login("iqn.2026-11.io.ringlun:slow");
    context.after(() => initiator.destroy());
    const command = await piped("--headers");
    command.child.stdout!.pause();
    for (let i = 0; i < PINGS_TO_FILL_PIPE; i++) await initiator.ping();
    command.child.kill("SIGINT");
    await sleep(100);
    const ended = command.interrupt();
    await sleep(100);
    command.child.stdout!.resume();
    const { code, stderr } = await ended;
    assert.equal(code, 0);
    assert.match(stderr, /^[0-9]+ packets captured.*\n$/);
  });

  test("it ends when nobody reads it any more", async (context) => {
    const initiator = await login("iqn.2026-11.io.ringlun:head");
    context.after(() => initiator.destroy());
    const command = await piped();
    command.child.stdout!.destroy();
    const ended = command.ended.then(({ code, stderr }) => ({ code, trace: /Error/.exec(stderr)?.[0] }));
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    while (!isOver) {
      await initiator.ping();
      await sleep(20);
    }
    assert.deepEqual(await ended, { code: 0, trace: undefined });
  });
});

describe("where it ends", () => {
  test("after its time", async () => {
    const { file } = await begin("?seconds=0.2");
    assert.equal((await file).statistics.length, 3);
  });

  test("before it is longer than it may be, with a block that is whole", async (context) => {
    const initiator = await login("iqn.2026-11.io.ringlun:long");
    context.after(() => initiator.destroy());
    const response = await ask("GET", "?data=whole&maxBytes=20000");
    const body = bodyOf(response);
    for (let i = 0; i < 20; i++) await initiator.good({ cdb: read10(0, 8), read: 8 * BLOCK });
    const bytes = await body;
    assert(bytes.length > 10_000 && bytes.length <= 20_000, `${bytes.length} bytes`);
    const { packets, statistics } = readPcapng(bytes);
    assert(packets.length >= 4 && statistics.length === 3);
  });

  test("with its reader", async () => {
    const response = await ask("GET");
    assert.equal(response.statusCode, 200);
    response.on("error", () => {});
    response.destroy();
    const deadline = Date.now() + 10_000;
    for (;;) {
      const next = await ask("GET", "?seconds=0.1");
      await bodyOf(next);
      if (next.statusCode === 200) break;
      assert(Date.now() < deadline, "it has not ended");
    }
  });
});

test("a reader who is slow slows nobody: what there is no room for is left out, and counted", async (context) => {
  const initiator = await login("iqn.2026-11.io.ringlun:slow");
  context.after(() => initiator.destroy());
  const response = await ask("GET", "?data=whole");
  assert.equal(response.statusCode, 200);
  // More than the ring, the streams and the sockets between hold.
  const blocks = 4096;
  const reads = 24;
  for (let i = 0; i < reads; i++) await initiator.good({ cdb: read10(0, blocks), read: blocks * BLOCK });
  await initiator.ping();
  const file = bodyOf(response);
  await end();
  const { packets, statistics } = readPcapng(await file);
  const dropped = statistics.reduce((sum, shard) => sum + shard.dropped, 0);
  const received = statistics.reduce((sum, shard) => sum + shard.received, 0);
  assert(dropped > 0, "something is left out");
  // A command and 8 Data-In PDUs each; the ping and its answer. The first command may be there before its shard hears of the capture.
  const all = reads * 9 + 2;
  assert(received === all || received === all - 1, `${received} of ${all}`);
  assert(packets.length > 0);
});
