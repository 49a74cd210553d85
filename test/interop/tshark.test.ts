/** Wireshark's dissector finds nothing wrong with what goes over the wire, and every digest right. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { modeSense6, read10, readCapacity16, write10 } from "../support/cdb.js";
import { PacketCapture, skipWithoutCapture } from "../support/packet-capture.js";
import { peerOutput } from "../support/peer-process.js";
import { skipWithout } from "../support/peers.js";
import { type ChapOptions, RawInitiator } from "../support/raw-initiator.js";
import { type Places, TARGET_NAME } from "../support/target.js";
import { LOGICAL_UNIT_RESET } from "../support/task-management.js";
import { startVariant, VARIANTS, type Variant } from "../support/variants.js";

const skip = skipWithout("tshark", "iscsi-ls", "iscsi-inq", "qemu-io") || skipWithoutCapture();

const SECRET = "0123456789abcdef";
const CHAP: ChapOptions = {
  user: "alice",
  secret: SECRET,
  algorithm: 7,
  mutual: { user: "target", secret: "fedcba9876543210" },
};

const config = ({ port }: Places, { cache, workers }: Variant): string => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - name: ${TARGET_NAME}
    alias: A disk
    portalGroups: [1]
    session: { headerDigest: [CRC32C, None], dataDigest: [CRC32C, None], initialR2T: false }
    auth:
      chap: [{ user: alice, secret: "${SECRET}" }]
      mutual: { user: target, secret: "fedcba9876543210" }
    luns: { 0: disk }
units: { disk: { file: ./disk.img, size: 64MiB, cache: ${cache} } }
workers: ${workers}
`;

/** libiscsi and qemu: discovery, one-way and mutual CHAP, large transfers, header digests. */
async function realClients(portal: string): Promise<void> {
  await peerOutput("iscsi-ls", [`iscsi://${portal}`]);
  const url = `iscsi://alice%${SECRET}@${portal}/${TARGET_NAME}/0`;
  await peerOutput("iscsi-inq", [`${url}?target_user=target&target_password=fedcba9876543210`]);
  const image = `driver=iscsi,transport=tcp,portal=${portal},target=${TARGET_NAME},lun=0,user=alice,password-secret=chap`;
  await peerOutput("qemu-io", [
    ...["--object", `secret,id=chap,data=${SECRET}`],
    ...["-c", "write -P 0x5a 8M 3M", "-c", "read -P 0x5a 8M 3M", "-c", "discard 8M 1M"],
    ...["--image-opts", `${image},header-digest=crc32c`],
  ]);
}

/** A session with nearly every PDU that a target sends. */
async function session(port: number, keys: Readonly<Record<string, string>>, stay = false): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(port);
  await initiator.login({ targetName: TARGET_NAME, chap: CHAP, keys: { MaxRecvDataSegmentLength: "4096", ...keys } });
  // A small data segment first: Wireshark finds out by the first one that it sees whether there are data digests.
  await initiator.command({ cdb: readCapacity16(), read: 32 });
  const data = Buffer.alloc(200 * 512, "ringlun");
  await initiator.good({ cdb: write10(7, 200), write: data });
  assert((await initiator.good({ cdb: read10(7, 200), read: data.length })).equals(data));
  // Segments that need padding; residuals both ways; sense data.
  await initiator.good({ cdb: modeSense6(0x3f), read: 255 });
  await initiator.good({ cdb: read10(0, 2), read: 701 });
  await initiator.command({ cdb: read10(0x7fffffff, 1), read: 512 });
  await initiator.ping(Buffer.from("ping!"));
  await initiator.text({ SendTargets: "" });
  await initiator.taskManagement(LOGICAL_UNIT_RESET);
  if (stay) return initiator;
  await initiator.logout();
  initiator.destroy();
  return initiator;
}

async function discovery(port: number): Promise<void> {
  const initiator = await RawInitiator.connect(port);
  await initiator.login();
  assert.equal((await initiator.text({ SendTargets: "All" })).get("TargetName"), TARGET_NAME);
  await initiator.logout();
  initiator.destroy();
}

/** What the target sends, and how many of it there are at least. */
const RESPONSES: Readonly<Record<string, number>> = {
  "0x20": 4, // NOP-In
  "0x21": 12, // SCSI Response
  "0x22": 4, // Task Management Function Response
  "0x23": 20, // Login Response
  "0x24": 6, // Text Response
  "0x25": 100, // SCSI Data-In
  "0x26": 6, // Logout Response
  "0x31": 6, // R2T
  "0x32": 1, // Asynchronous Message
};

/** Of VPD page 83h qemu wants no more than the first 64 bytes; Wireshark's SCSI dissector misses the rest. */
const CUT_SHORT = "(scsi_sbc.opcode == 0x12 && iscsi.datasegmentlength == 64)";

async function checkDissection(capture: PacketCapture, port: number): Promise<void> {
  const counts = new Map<string, number>();
  for (const line of await capture.fields(`tcp.srcport == ${port}`, "iscsi.opcode")) {
    for (const opcode of line.split(",")) counts.set(opcode, (counts.get(opcode) ?? 0) + 1);
  }
  for (const [opcode, least] of Object.entries(RESPONSES)) {
    assert((counts.get(opcode) ?? 0) >= least, `${opcode}: ${counts.get(opcode) ?? 0} of at least ${least}`);
  }

  assert.deepEqual(
    await capture.fields(`(_ws.malformed || iscsi.opcode.invalid) && !${CUT_SHORT}`, "frame.number"),
    [],
  );
  assert.deepEqual(
    await capture.fields(
      "tcp.len > 0 && !iscsi && !tcp.reassembled_in && !tcp.analysis.retransmission",
      "frame.number",
    ),
    [],
    "each byte belongs to a PDU",
  );

  // Rows: frequency, group, protocol, summary. TCP's are about the loopback's weather.
  const experts = (await capture.tshark("-q", "-z", `expert,warn,!${CUT_SHORT}`)).split("\n");
  assert.deepEqual(
    experts.filter((line) => /^ +\d/.test(line) && line.trim().split(/ +/)[2] !== "TCP"),
    [],
  );

  const digests = (await capture.tshark("-V")).match(/(Header|Data)Digest: .*/g) ?? [];
  for (const kind of ["HeaderDigest", "DataDigest"]) {
    assert(digests.filter((digest) => digest.startsWith(kind)).length > 50, `${kind}s are seen`);
  }
  assert.deepEqual(
    digests.filter((digest) => !digest.endsWith("(Good CRC32)")),
    [],
  );
}

for (const variant of VARIANTS) {
  test(`tshark finds nothing malformed (${variant.name})`, { skip }, async (context) => {
    const target = await startVariant(variant, { config });
    context.after(() => target.stop());
    const { port } = target;
    const capture = await PacketCapture.start(join(target.places.directory, "capture.pcapng"), port);
    context.after(() => capture.end());

    await discovery(port);
    await realClients(`127.0.0.1:${port}`);
    await session(port, {});
    await session(port, { HeaderDigest: "CRC32C", InitialR2T: "No" });
    await session(port, { DataDigest: "CRC32C", ImmediateData: "No" });
    // The last one stays, to be told that the target ends.
    const left = await session(port, { HeaderDigest: "CRC32C", DataDigest: "CRC32C" }, true);
    assert.deepEqual(await target.terminate(), { code: 0, signal: null });
    left.destroy();

    await capture.stop("iscsi.opcode == 0x32");
    await checkDissection(capture, port);
  });
}
