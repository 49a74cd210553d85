/** A disk as Linux has it: found by discovery, formatted, filled, trimmed; and what sg3_utils' tools say of it. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LinuxHost, PATHS, skipWithoutLinux } from "../support/linux-host.js";
import { RunningTarget, TARGET_NAME } from "../support/target.js";

const config = () => `
portalGroups: [{ tag: 1, portals: ["${PATHS[0]}:3260"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: a, 1: b, 300: c } }]
units:
  a: { file: ./a.img, size: 256MiB, cache: writeback }
  b: { file: ./b.img, size: 64MiB, cache: writeback }
  c: { file: ./c.img, size: 16MiB, cache: writeback, blockLength: 4096 }
workers: 1
`;

describe("Linux, open-iscsi", { skip: skipWithoutLinux() }, () => {
  let linux: LinuxHost;
  let target: RunningTarget;

  before(async () => {
    linux = LinuxHost.make();
    target = await RunningTarget.start({ config, network: linux.network });
    await linux.boot();
    const found = await linux.good(`iscsiadm -m discovery -t sendtargets -p ${PATHS[0]}:3260`);
    assert.match(found, new RegExp(`${PATHS[0]}:3260,1 ${TARGET_NAME}`));
    await linux.good("iscsiadm -m node -l");
    await linux.good("for i in $(seq 30); do [ -b /dev/sdc ] && break; sleep 1; done; [ -b /dev/sdc ]");
  });

  after(async () => {
    await linux?.end();
    await target?.stop();
  });

  test("has every LUN, also above 255, with its size", async () => {
    const disks = await linux.good("cat /sys/block/sd?/size; ls -d /sys/class/scsi_device/*");
    assert.deepEqual(disks.match(/^[0-9]+$/gm), ["524288", "131072", "32768"]);
    // 412Ch is 300 in flat space addressing (SAM-5).
    assert.match(disks, /:0:0:16684\b/);
    assert.equal((await linux.good("cat /sys/block/sdc/queue/logical_block_size")).trim(), "4096");
  });

  test("makes a file system, fills it, finds what it has written, and gives space back", async () => {
    await linux.good("mkfs.ext4 -q /dev/sda && mkdir -p /mnt && mount /dev/sda /mnt");
    await linux.good(
      "dd if=/dev/urandom of=/mnt/file bs=1M count=24 status=none && sync && sha256sum /mnt/file > /tmp/sum",
    );
    await linux.good("umount /mnt && e2fsck -fn /dev/sda && mount /dev/sda /mnt && sha256sum -c /tmp/sum");
    await linux.good("rm /mnt/file && sync && fstrim -v /mnt && umount /mnt");
  });

  test("the tools of sg3_utils", async () => {
    assert.match(await linux.good("sg_inq /dev/sda"), /RINGLUN/);
    for (const page of ["00", "80", "83", "85", "86", "87", "88", "8f", "b0", "b1", "b2"]) {
      await linux.good(`sg_vpd --page=0x${page} /dev/sda`);
    }
    const tools = [
      "sg_turs /dev/sda",
      "sg_modes -a /dev/sda",
      "sg_opcodes /dev/sda",
      "sg_opcodes --tmf /dev/sda",
      "sg_luns /dev/sda",
      "sg_readcap --16 /dev/sda",
      "sg_logs -a /dev/sda",
      "sg_requests /dev/sda",
      "sg_get_lba_status --lba=0 /dev/sda",
      "sg_rtpg /dev/sda",
      "sg_persist --in --report-capabilities /dev/sda",
      "sg_persist --out --register --param-sark=abc1 /dev/sda",
      "sg_persist --out --reserve --param-rk=abc1 --prout-type=5 /dev/sda",
      "sg_persist --in --read-full-status /dev/sda",
      "sg_persist --out --release --param-rk=abc1 --prout-type=5 /dev/sda",
      "sg_persist --out --clear --param-rk=abc1 /dev/sda",
      "sg_unmap --lba=64 --num=64 --force /dev/sdb",
      "sg_write_same --lba=0 --num=128 --ndob --16 /dev/sdb",
      "dd if=/dev/zero of=/tmp/zeroes bs=512 count=2 status=none; sg_compare_and_write --lba=0 --num=1 --in=/tmp/zeroes /dev/sdb",
      "sg_sync /dev/sdb",
      "sg_verify --lba=0 --count=128 /dev/sdb",
      "sg_senddiag --test /dev/sdb",
      "sg_timestamp /dev/sdb",
    ];
    for (const tool of tools) await linux.good(tool);
    // A disk without zones says so, and does nothing else.
    assert.notEqual((await linux.run("sg_rep_zones /dev/sda")).code, 0);
  });

  test("copies inside the target", async () => {
    await linux.good("dd if=/dev/urandom of=/dev/sdb bs=64k count=16 oflag=direct status=none");
    await linux.good("sg_xcopy if=/dev/sdb of=/dev/sda bs=512 count=2048");
    const sums = await linux.good(
      "for d in sda sdb; do dd if=/dev/$d bs=64k count=16 iflag=direct status=none | sha256sum; done",
    );
    const [first, second] = sums.trim().split("\n");
    assert.equal(first, second);
  });

  test("goes on when its session is ended under it, and when the target is started again", async () => {
    await linux.good("dd if=/dev/urandom of=/tmp/data bs=1M count=8 status=none");
    const writing = linux.good(
      "for i in 1 2 3 4 5 6; do dd if=/tmp/data of=/dev/sdb bs=64k oflag=direct conv=notrunc status=none || exit 1; done",
    );
    await target.terminate();
    await target.run();
    await writing;
    await linux.good("dd if=/dev/sdb bs=1M count=8 iflag=direct status=none | cmp - /tmp/data");
  });
});
