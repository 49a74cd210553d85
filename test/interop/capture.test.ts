/** What `ringlun capture` writes, as tshark and capinfos see it: nothing malformed, nothing missing, digests right. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SEGMENT_BYTES_MAX } from "../../control/capture/tcp-flow.js";
import { modeSense6, read10, readCapacity16, write10 } from "../support/cdb.js";
import { peerOutput } from "../support/peer-process.js";
import { skipWithout } from "../support/peers.js";
import { RawInitiator } from "../support/raw-initiator.js";
import { RunningCommand } from "../support/ringlun.js";
import { RunningTarget, TARGET_NAME } from "../support/target.js";
import { LOGICAL_UNIT_RESET } from "../support/task-management.js";

const skip = skipWithout("tshark");

const SECRET = "0123456789abcdef";
const BLOCK = 512;

let target: RunningTarget;

before(async () => {
  if (skip) return;
  target = await RunningTarget.start({
    config: ({ port }) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1]
    session: { headerDigest: [CRC32C, None], dataDigest: [CRC32C, None] }
    auth:
      chap: [{ user: alice, secret: "${SECRET}" }]
      mutual: { user: target, secret: "fedcba9876543210" }
    luns: { 0: one, 1: two }
units:
  one: { file: ./one.img, size: 16MiB, cache: writeback }
  two: { file: ./two.img, size: 16MiB, cache: writeback }
workers: 2
`,
  });
});

after(() => target?.stop());

async function login(keys: Readonly<Record<string, string>> = {}): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({
    targetName: TARGET_NAME,
    chap: { user: "alice", secret: SECRET, mutual: { user: "target", secret: "fedcba9876543210" } },
    keys,
  });
  return initiator;
}

/** Everything that a session has to say: data of several segments both ways, padding, residuals, sense data, text, a ping. */
async function talk(initiator: RawInitiator): Promise<void> {
  await initiator.command({ cdb: readCapacity16(), read: 32 });
  const data = Buffer.alloc(400 * BLOCK, "disk contents ");
  await initiator.good({ cdb: write10(7, 400), write: data });
  assert((await initiator.good({ cdb: read10(7, 400), read: data.length })).equals(data));
  await initiator.good({ cdb: modeSense6(0x3f), read: 255 });
  await initiator.command({ cdb: read10(0x7fffffff, 1), read: BLOCK });
  await initiator.ping(Buffer.from("ping!"));
  await initiator.text({ SendTargets: "" });
  await initiator.taskManagement(LOGICAL_UNIT_RESET);
}

const file = (name: string): string => join(target.places.directory, name);

/** A capture into a file, running. */
async function capture(name: string, ...args: string[]): Promise<RunningCommand> {
  const command = new RunningCommand("capture", "--config", target.configPath, "--out", file(name), ...args);
  // Made when the program has said that it captures: from then on Ctrl-C ends the capture, and not the command.
  while (!existsSync(file(name))) await sleep(20);
  return command;
}

function tshark(name: string, ...args: string[]): Promise<string> {
  return peerOutput("tshark", ["-n", "-2", "-r", file(name), "-d", `tcp.port==${target.port},iscsi`, ...args]);
}

const FIELDS = {
  malformed: "_ws.malformed",
  expert: "_ws.expert.message",
  analysis: "tcp.analysis.flags",
  payload: "tcp.len",
  reassembledIn: "tcp.reassembled_in",
  port: "tcp.dstport",
  stream: "tcp.stream",
  opcode: "iscsi.opcode",
  invalidOpcode: "iscsi.opcode.invalid",
  dataLength: "iscsi.datasegmentlength",
  responseIn: "scsi.response_frame",
  comment: "frame.comment",
};

type Packet = Readonly<Record<keyof typeof FIELDS, string>>;

/** All packets, of which none has anything wrong. */
async function packetsOf(name: string): Promise<Packet[]> {
  const columns = Object.values(FIELDS).flatMap((field) => ["-e", field]);
  const lines = (await tshark(name, "-T", "fields", ...columns)).split("\n").filter(Boolean);
  const packets = lines.map((line) => {
    const values = line.split("\t");
    return Object.fromEntries(Object.keys(FIELDS).map((key, i) => [key, values[i] ?? ""])) as unknown as Packet;
  });
  for (const packet of packets) {
    const { malformed, invalidOpcode, analysis, expert, comment } = packet;
    // A comment is an expert's word too.
    assert.deepEqual([malformed, invalidOpcode, analysis, expert], ["", "", "", comment]);
  }
  return packets;
}

test("whole, with and without digests: every byte is in a PDU, every command has its response", { skip }, async () => {
  const command = await capture("whole.pcapng");
  for (const digest of ["None", "CRC32C"]) {
    const initiator = await login({ HeaderDigest: digest, DataDigest: digest, MaxRecvDataSegmentLength: "262144" });
    await talk(initiator);
    await initiator.logout();
    initiator.destroy();
  }
  const { code, stdout } = await command.interrupt();
  assert.equal(code, 0);
  assert.match(stdout, /^[0-9]+ packets captured\n$/);
  assert.equal((await stat(file("whole.pcapng"))).mode & 0o777, 0o600);

  const packets = await packetsOf("whole.pcapng");
  assert.equal(packets.length, Number.parseInt(stdout, 10));
  for (const { payload, opcode, reassembledIn } of packets) {
    assert(payload !== "0" && (opcode !== "" || reassembledIn !== ""), "each byte belongs to a PDU");
  }
  const count = (matches: (packet: Packet) => boolean): number => packets.filter(matches).length;
  // In both directions PDUs that take several packets.
  for (const isRead of [true, false]) {
    const isLong = ({ opcode, dataLength }: Packet) =>
      (opcode === "0x25") === isRead && Number(dataLength) > SEGMENT_BYTES_MAX;
    assert(count(isLong) >= 2);
  }
  const isIntroduced = ({ comment }: Packet) => /^session \d+ \(TSIH \d+\), CID 0: iqn\S+ at iqn/.test(comment);
  assert.equal(count(isIntroduced), 2);
  // From the first Login Request to the Logout Response, each connection is one stream without a gap.
  for (const stream of ["0", "1"]) {
    const opcodes = packets.filter((packet) => packet.stream === stream && packet.opcode !== "");
    assert.equal(opcodes[0]?.opcode, "0x03");
    assert.equal(opcodes.at(-1)?.opcode, "0x26");
  }
  const bytes = await readFile(file("whole.pcapng"));
  const responses = bytes.toString("latin1").match(/CHAP_R=[^\0]*/g) ?? [];
  assert.equal(responses.length, 4, "two logins, each with one either way");
  for (const response of responses) assert.match(response, /^CHAP_R=\*+$/);
  const commands = packets.filter(({ opcode }) => opcode === "0x01");
  assert.equal(commands.length, 10);
  assert(commands.every(({ responseIn }) => responseIn !== ""));
  const requests = packets.filter(({ opcode }) => opcode !== "" && Number(opcode) < 0x20);
  assert.deepEqual([...new Set(requests.map(({ port }) => port))], [String(target.port)]);

  const digests = (await tshark("whole.pcapng", "-V")).match(/(Header|Data)Digest: 0x.*/g) ?? [];
  assert(digests.length > 20, `${digests.length} digests`);
  assert.deepEqual(
    digests.filter((digest) => !digest.endsWith("(Good CRC32)")),
    [],
  );
});

test("headers alone: no data of the initiator's, and nothing that tshark misses", { skip }, async () => {
  const command = await capture("headers.pcapng", "--headers");
  const initiator = await login({ HeaderDigest: "CRC32C", DataDigest: "CRC32C", MaxRecvDataSegmentLength: "262144" });
  await talk(initiator);
  await initiator.logout();
  initiator.destroy();
  assert.equal((await command.interrupt()).code, 0);
  const opcodes = new Set((await packetsOf("headers.pcapng")).map(({ opcode }) => opcode));
  for (const opcode of ["0x01", "0x21", "0x25", "0x31", "0x05", "0x20", "0x24"]) {
    assert(opcodes.has(opcode), `${opcode} of ${[...opcodes]}`);
  }
  const bytes = await readFile(file("headers.pcapng"));
  assert(!bytes.includes("disk contents") && !bytes.includes("ping!"));
  assert(bytes.includes("TargetName="), "text is no data");
  // Nor is what a command ended with.
  assert(bytes.includes(Buffer.from("0000000021000000", "hex")), "LOGICAL BLOCK ADDRESS OUT OF RANGE");
});
