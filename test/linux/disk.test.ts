/** A disk as Linux has it: found by discovery, formatted, filled, trimmed; and what sg3_utils' tools say of it. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LINUX_NAME, LinuxHost, PATHS, skipWithoutLinux } from "../support/linux-host.js";
import { RunningTarget, TARGET_NAME } from "../support/target.js";

/** Exit codes of sg3_utils. */
const UNIT_ATTENTION = 6;
const MISCOMPARE = 14;
const RESERVATION_CONFLICT = 24;

const config = (luns = "0: a, 1: b, 300: c", scsiEvents = false) => `
portalGroups: [{ tag: 1, portals: ["${PATHS[0]}:3260"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { ${luns} }, scsiEvents: ${scsiEvents} }]
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
    target = await RunningTarget.start({ config: () => config(), network: linux.network });
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

  test("what the tools have written, compared and unmapped is so", async () => {
    const block = (letter: string) => `head -c 512 /dev/zero | tr '\\0' ${letter}`;
    const blocks = (lba: number, count: number) =>
      `dd if=/dev/sdb bs=512 skip=${lba} count=${count} iflag=direct status=none`;
    await linux.good(
      `${block("a")} > /tmp/a; ${block("b")} > /tmp/b; cat /tmp/a /tmp/b > /tmp/ab; cat /tmp/b /tmp/a > /tmp/ba`,
    );
    await linux.good("sg_write_same --16 --lba=1024 --num=256 --in=/tmp/a /dev/sdb");
    assert.equal(await linux.good(`${blocks(1024, 256)} | tr -d a | wc -c`), "0\n");
    assert.match(await linux.good("sg_get_lba_status --lba=1024 /dev/sdb"), /blocks: +256 +mapped/);
    await linux.good("sg_compare_and_write --lba=1030 --num=1 --in=/tmp/ab /dev/sdb");
    await linux.good(`${blocks(1030, 1)} | cmp - /tmp/b && ${blocks(1031, 1)} | cmp - /tmp/a`);
    assert.equal((await linux.run("sg_compare_and_write --lba=1030 --num=1 --in=/tmp/ab /dev/sdb")).code, MISCOMPARE);
    await linux.good("sg_compare_and_write --lba=1030 --num=1 --in=/tmp/ba /dev/sdb");
    await linux.good("sg_unmap --lba=1024 --num=256 --force /dev/sdb");
    assert.match(await linux.good("sg_get_lba_status --lba=1024 /dev/sdb"), /deallocated/);
    assert.equal(await linux.good(`${blocks(1024, 256)} | tr -d '\\0' | wc -c`), "0\n");
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

  async function configure(luns?: string, scsiEvents?: boolean): Promise<void> {
    await target.configure(config(luns, scsiEvents));
    const from = target.log.length;
    target.reload();
    await target.waitForLog(/configuration reloaded/, undefined, from);
  }

  test("a LUN that comes is found, and one that goes is gone", async () => {
    await configure("0: a, 1: b, 2: { unit: b, readOnly: true }, 300: c");
    await linux.good("iscsiadm -m session -R && for i in $(seq 30); do [ -b /dev/sdd ] && break; sleep 1; done");
    await linux.good("cmp -n 65536 /dev/sdb /dev/sdd");
    assert.equal(await linux.good("cat /sys/block/sdd/ro"), "1\n");
    await linux.good("dmesg -C");
    await configure();
    assert.notEqual((await linux.run("sg_turs /dev/sdd")).code, 0);
    // The other LUNs' nexuses are told that it is gone, once: this command, or one of the kernel's own.
    const { code } = await linux.run("sg_turs /dev/sdb");
    assert.ok(code === 0 || code === UNIT_ATTENTION, `exit code ${code}`);
    assert.match(await linux.good("dmesg --color=never"), /:0:0:1: LUN assignments on this target have changed/);
    await linux.good("echo 1 > /sys/block/sdd/device/delete && sg_turs /dev/sdb");
  });

  test("a second host: reservations keep it out, until it preempts", async () => {
    await linux.good(
      `iscsiadm -m iface -I second -o new && iscsiadm -m iface -I second -o update -n iface.initiatorname -v ${LINUX_NAME}:second`,
    );
    await linux.good(
      `iscsiadm -m discovery -t sendtargets -p ${PATHS[0]}:3260 -I second && iscsiadm -m node -I second -l`,
    );
    // The same disks once more, by other names: that of LUN 1.
    const second = (
      await linux.good(
        "for i in $(seq 30); do d=$(ls /sys/class/scsi_device/*:0:0:1/device/block | grep '^sd' | grep -v sdb); [ -n \"$d\" ] && break; sleep 1; done; echo $d",
      )
    ).trim();
    const write = (disk: string) => `dd if=/dev/zero of=/dev/${disk} bs=4096 count=1 oflag=direct status=none`;
    const read = (disk: string) => `dd if=/dev/${disk} of=/dev/null bs=4096 count=1 iflag=direct status=none`;
    await linux.good(`${write("sdb")} && ${write(second)}`);
    await linux.good("sg_persist --out --register --param-sark=1 /dev/sdb");
    // Write exclusive, registrants only.
    await linux.good("sg_persist --out --reserve --param-rk=1 --prout-type=5 /dev/sdb");
    await linux.good(`${write("sdb")} && ${read(second)}`);
    assert.notEqual((await linux.run(write(second))).code, 0);
    assert.equal((await linux.run(`sg_unmap --lba=0 --num=8 --force /dev/${second}`)).code, RESERVATION_CONFLICT);
    assert.match(
      await linux.good(`sg_persist --in --read-reservation /dev/${second}`),
      /Key=0x1\s[\s\S]*Write Exclusive, registrants only/,
    );
    await linux.good(`sg_persist --out --register --param-sark=2 /dev/${second} && ${write(second)}`);
    await linux.good(`sg_persist --out --preempt-abort --param-rk=2 --param-sark=1 --prout-type=5 /dev/${second}`);
    // It is told, once, before anything else.
    await linux.run("sg_turs /dev/sdb");
    assert.notEqual((await linux.run(write("sdb"))).code, 0);
    assert.match(await linux.good("sg_persist --in --read-keys /dev/sdb"), /1 registered reservation key/);
    await linux.good(`${write(second)} && sg_persist --out --clear --param-rk=2 /dev/${second} && ${write("sdb")}`);
    await linux.good("iscsiadm -m node -I second -u");
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

  test("a LUN that comes is found at once where the target sends SCSI events", async () => {
    await linux.good("iscsiadm -m node -u");
    await configure("0: a", true);
    await linux.good("iscsiadm -m node -l && for i in $(seq 30); do [ -b /dev/sda ] && break; sleep 1; done");
    await configure("0: a, 1: b", true);
    await linux.good("for i in $(seq 30); do [ -b /dev/sdb ] && break; sleep 1; done; [ -b /dev/sdb ]");
  });
});
