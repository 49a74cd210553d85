/**
 * Sessions as a careful administrator sets them up: both sides prove themselves, discovery too, and digests protect what is sent. File systems are
 * filled through them, and grow; and fio verifies with whatever else can be negotiated.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LinuxHost, PATHS, skipWithoutLinux } from "../support/linux-host.js";
import { RunningTarget, TARGET_NAME } from "../support/target.js";

const HOST = { user: "host", secret: "0123456789abcdef" };
const TARGET = { user: "target", secret: "fedcba9876543210" };

const config = (sizeMiB = 320) => `
portalGroups: [{ tag: 1, portals: ["${PATHS[0]}:3260"] }]
discovery: { auth: { chap: [{ user: finder, secret: "finder-0123456789" }] } }
targets:
  - name: "${TARGET_NAME}"
    portalGroups: [1]
    session: { headerDigest: [CRC32C, None], dataDigest: [CRC32C, None] }
    auth:
      chap: [{ user: ${HOST.user}, secret: "${HOST.secret}" }]
      mutual: { user: ${TARGET.user}, secret: "${TARGET.secret}" }
    luns: { 0: a }
units:
  a: { file: ./a.img, size: ${sizeMiB}MiB, cache: writeback }
workers: 1
`;

const PORTAL = `${PATHS[0]}:3260`;
const FIO =
  "fio --name=verify --size=4M --rw=randrw --bsrange=512-128k --direct=1 --ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1";
/** iscsiadm's (ISCSI_ERR_LOGIN_AUTH_FAILED). */
const LOGIN_REFUSED = 24;

describe("Linux, open-iscsi: sessions with CHAP and digests", { skip: skipWithoutLinux("fio", "mkfs.xfs") }, () => {
  let linux: LinuxHost;
  let target: RunningTarget;

  async function set(settings: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, value] of Object.entries(settings)) {
      await linux.good(`iscsiadm -m node -o update -n '${name}' -v '${value}'`);
    }
  }

  async function logIn(): Promise<void> {
    await linux.good(
      "iscsiadm -m node -l && for i in $(seq 60); do [ -b /dev/sda ] && break; sleep 1; done; [ -b /dev/sda ]",
    );
  }

  before(async () => {
    linux = LinuxHost.make();
    target = await RunningTarget.start({ config: () => config(), network: linux.network });
    await linux.boot();
  });

  after(async () => {
    await linux?.end();
    await target?.stop();
  });

  test("discovery tells nothing to who does not prove himself", async () => {
    const discovery = `iscsiadm -m discoverydb -t sendtargets -p ${PORTAL}`;
    assert.equal((await linux.run(`${discovery} -o new && ${discovery} --discover`)).code, LOGIN_REFUSED);
    const settings = { authmethod: "CHAP", username: "finder", password: "finder-0123456789" };
    for (const [name, value] of Object.entries(settings)) {
      await linux.good(`${discovery} -o update -n discovery.sendtargets.auth.${name} -v ${value}`);
    }
    assert.equal((await linux.good(`${discovery} --discover`)).trim(), `${PORTAL},1 ${TARGET_NAME}`);
  });

  test("neither lets the other in with a wrong secret", async () => {
    await set({
      "node.session.auth.authmethod": "CHAP",
      "node.session.auth.username": HOST.user,
      "node.session.auth.password": "another-secret-1",
      "node.session.auth.username_in": TARGET.user,
      "node.session.auth.password_in": "another-secret-2",
      "node.session.initial_login_retry_max": "1",
    });
    assert.equal((await linux.run("iscsiadm -m node -l")).code, LOGIN_REFUSED);
    await target.waitForLog(/"status":"0201/);
    await set({ "node.session.auth.password": HOST.secret });
    // Here it is the host who does not believe the target.
    assert.notEqual((await linux.run("iscsiadm -m node -l")).code, 0);
    assert.equal((await linux.run("iscsiadm -m session")).code, 21, "no session");
    await set({ "node.session.auth.password_in": TARGET.secret });
  });

  test("a session with both proofs and both digests", async () => {
    await set({ "node.conn[0].iscsi.HeaderDigest": "CRC32C", "node.conn[0].iscsi.DataDigest": "CRC32C" });
    await logIn();
    const session = await linux.good("iscsiadm -m session -P 2");
    for (const line of [
      `username: ${HOST.user}`,
      `username_in: ${TARGET.user}`,
      "HeaderDigest: CRC32C",
      "DataDigest: CRC32C",
    ]) {
      assert.ok(session.includes(line), `${line}\n${session}`);
    }
  });

  for (const [name, make, check] of [
    ["ext4", "mkfs.ext4 -q", "e2fsck -fn"],
    ["xfs", "mkfs.xfs -q -f", "xfs_repair -n"],
  ]) {
    test(`${name}: made, filled, found as it was written, and space given back`, async () => {
      await linux.good(`${make} /dev/sda && mkdir -p /mnt && mount /dev/sda /mnt`);
      await linux.good(`${FIO} --directory=/mnt --fallocate=none`);
      await linux.good(
        "cp -r /usr/lib/udev /mnt/copy && umount /mnt && mount /dev/sda /mnt && diff -r /usr/lib/udev /mnt/copy",
      );
      await linux.good(`${FIO} --directory=/mnt --verify_only`);
      await linux.good(`rm -r /mnt/copy && fstrim /mnt && umount /mnt && ${check} /dev/sda`);
    });
  }

  test("a file system grows while it is written to", async () => {
    await linux.good("mkfs.xfs -q -f /dev/sda && mount /dev/sda /mnt");
    await linux.good(`(${FIO} --directory=/mnt --fallocate=none --time_based --runtime=10) > /tmp/load 2>&1 & load=$!`);
    await target.configure(config(640));
    target.reload();
    await target.waitForLog(/configuration reloaded/);
    await linux.good("iscsiadm -m session -R && xfs_growfs /mnt");
    await linux.good("wait $load || { cat /tmp/load; false; }");
    assert.equal((await linux.good("cat /sys/block/sda/size")).trim(), String(640 * 2048));
    assert.ok(Number(await linux.good("df --output=size /mnt | tail -1")) > 500 * 1024);
    await linux.good("umount /mnt && xfs_repair -n /dev/sda");
  });

  for (const [name, settings] of Object.entries({
    "the host waits for R2T, in bursts and segments as short as they can be": {
      "node.session.iscsi.InitialR2T": "Yes",
      "node.session.iscsi.ImmediateData": "No",
      "node.session.iscsi.MaxBurstLength": "512",
      "node.conn[0].iscsi.MaxRecvDataSegmentLength": "512",
      "node.conn[0].iscsi.MaxXmitDataSegmentLength": "512",
    },
    "unsolicited data, but none with the command, and no digests": {
      "node.session.iscsi.InitialR2T": "No",
      "node.session.iscsi.MaxBurstLength": "262144",
      "node.session.iscsi.FirstBurstLength": "65536",
      "node.conn[0].iscsi.MaxRecvDataSegmentLength": "262144",
      "node.conn[0].iscsi.MaxXmitDataSegmentLength": "8192",
      "node.conn[0].iscsi.HeaderDigest": "None",
      "node.conn[0].iscsi.DataDigest": "None",
    },
    "immediate data, long bursts, the header's digest alone": {
      "node.session.iscsi.ImmediateData": "Yes",
      "node.session.iscsi.MaxBurstLength": "1048576",
      "node.session.iscsi.FirstBurstLength": "262144",
      "node.conn[0].iscsi.MaxXmitDataSegmentLength": "0",
      "node.conn[0].iscsi.HeaderDigest": "CRC32C",
    },
  })) {
    test(name, async () => {
      await linux.good("iscsiadm -m node -u");
      await set(settings as Readonly<Record<string, string>>);
      await logIn();
      const session = await linux.good("iscsiadm -m session -P 2");
      for (const [setting, value] of Object.entries(settings)) {
        // 0: as the target declares.
        if (value !== "0") assert.match(session, new RegExp(`${setting.split(".").at(-1)}: ${value}\n`));
      }
      await linux.good(`${FIO} --filename=/dev/sda`);
    });
  }
});
