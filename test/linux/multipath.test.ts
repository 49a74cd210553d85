/**
 * Two paths to one disk, under dm-multipath as docs/HOSTS.md sets it up. Paths go and come back, and their states change, while fio writes and
 * reads back what it has written: it sees no error, and nothing that is older than what was acknowledged.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ringlun } from "../support/administration.js";
import { LinuxHost, PATHS, skipWithoutLinux } from "../support/linux-host.js";
import { MORTAL_SHARDS } from "../support/mortal-shards.js";
import { RunningTarget, TARGET_NAME } from "../support/target.js";

interface Setting {
  /** Portal groups that there are. */
  readonly groups?: readonly number[];
  /** The unit's access states by group. */
  readonly access?: string;
  readonly size?: string;
}

const config = ({ groups = [1, 2], access = "", size = "64MiB" }: Setting = {}) => `
portalGroups: [${groups.map((tag) => `{ tag: ${tag}, portals: ["${PATHS[tag - 1]}:3260"] }`).join(", ")}]
targets: [{ name: "${TARGET_NAME}", portalGroups: [${groups.join(", ")}], luns: { 0: a } }]
units:
  a: { file: ./a.img, size: ${size}, cache: writeback, access: { ${access} } }
workers: 2
`;

/** Paths that fail are noticed within seconds. */
const SETTINGS = [
  "node.session.timeo.replacement_timeout=5",
  "node.conn[0].timeo.noop_out_interval=2",
  "node.conn[0].timeo.noop_out_timeout=3",
];

/** As docs/HOSTS.md has it, but for how soon paths are looked at. */
const MULTIPATH = [
  "defaults {",
  "  user_friendly_names yes",
  "  find_multipaths no",
  "  polling_interval 2",
  "  max_polling_interval 4",
  "}",
  ...devicesOfTheDocumentation(),
];

function devicesOfTheDocumentation(): string[] {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "docs/HOSTS.md"))) folder = dirname(folder);
  const lines = readFileSync(join(folder, "docs/HOSTS.md"), "utf8").split("\n");
  const from = lines.indexOf("devices {");
  assert(from >= 0, "docs/HOSTS.md has a devices section");
  return lines.slice(from, lines.indexOf("}", from) + 1);
}

const DISK = "/dev/mapper/mpatha";
/** Each round writes all of 4 MiB, in other pieces and with other content than the one before, and reads it back. */
const FIO = `fio --name=load --filename=${DISK} --size=4M --rw=randwrite --bsrange=4k-64k --direct=1 --ioengine=libaio --iodepth=16 \
--randrepeat=0 --verify=crc32c --verify_fatal=1`;
const LOAD = `until [ -e /tmp/stop ]; do ${FIO} || exit; echo >> /tmp/rounds; done`;
const ROUNDS_TIMEOUT_S = 240;
const PATHS_TIMEOUT_MS = 120_000;

const READY = "active ready 50";
const BOTH = [READY, READY] as const;

describe("Linux, dm-multipath", { skip: skipWithoutLinux("fio") }, () => {
  let linux: LinuxHost;
  let target: RunningTarget;

  /** By path: its device. Without a session nothing else says which path it is. */
  let devices: string[];

  /** What multipathd says of each path ("active ready 50": the map's state of it, the checker's, its priority), once it begins with that. */
  async function paths(...expected: readonly string[]): Promise<void> {
    const deadline = performance.now() + PATHS_TIMEOUT_MS;
    for (;;) {
      const { output } = await linux.run("multipathd show paths raw format '%d %t %T %p'");
      const found = devices.map((device) => new RegExp(`^${device} (.*)$`, "m").exec(output)?.[1] ?? "");
      if (found.every((state, path) => state.startsWith(expected[path]!))) return;
      if (performance.now() > deadline) {
        const { output: more } = await linux.run("multipath -ll; dmesg | tail -40");
        assert.fail(`expected ${expected.join(", ")}\n${output}${more}`);
      }
      await sleep(500);
    }
  }

  async function findDevices(): Promise<void> {
    devices = [];
    for (const address of PATHS) {
      const find = `iscsiadm -m session -P 3 | grep -A 100 'Current Portal: ${address}:' | grep -m 1 -o 'sd[a-z]'`;
      devices.push((await linux.good(`for i in $(seq 60); do ${find} && break; sleep 1; done`)).trim());
    }
  }

  /** There is I/O all the while, and a round of it that begins after `event`. */
  async function underLoad(event: () => Promise<unknown>): Promise<void> {
    await linux.good(`rm -f /tmp/stop; : > /tmp/rounds; (${LOAD}) > /tmp/load 2>&1 & load=$!`);
    await linux.good("for i in $(seq 100); do grep -q Starting /tmp/load && break; sleep 0.1; done");
    await event().catch(async (error) => {
      await linux.run("touch /tmp/stop; wait $load");
      throw error;
    });
    const wait = `for i in $(seq ${ROUNDS_TIMEOUT_S}); do [ $(wc -l < /tmp/rounds) -ge $wanted ] && break; kill -0 $load || break; sleep 1; done`;
    await linux.good(
      `wanted=$(($(wc -l < /tmp/rounds) + 2)); ${wait}; touch /tmp/stop`,
      (ROUNDS_TIMEOUT_S + 60) * 1000,
    );
    await linux.good(
      "wait $load && [ $(wc -l < /tmp/rounds) -ge $wanted ] || { cat /tmp/load; multipath -ll; dmesg | tail -40; false; }",
    );
  }

  async function configure(setting?: Setting): Promise<void> {
    await target.configure(config(setting));
    const from = target.log.length;
    target.reload();
    await target.waitForLog(/configuration reloaded/, undefined, from);
  }

  before(async () => {
    linux = LinuxHost.make();
    target = await RunningTarget.start({ config: () => config(), network: linux.network, env: MORTAL_SHARDS });
    await linux.boot();
    await linux.good(`iscsiadm -m discovery -t sendtargets -p ${PATHS[0]}:3260`);
    for (const setting of SETTINGS) {
      const [name, value] = setting.split("=");
      await linux.good(`iscsiadm -m node -o update -n '${name}' -v ${value}`);
    }
    const lines = MULTIPATH.map((line) => `'${line}'`).join(" ");
    await linux.good(`printf '%s\\n' ${lines} > /etc/multipath.conf; multipathd`);
    await linux.good("iscsiadm -m node -l");
    await findDevices();
    await paths(...BOTH);
  });

  after(async () => {
    await linux?.end();
    await target?.stop();
  });

  test("both paths are one disk, with the name that the documentation tells", async () => {
    const map = await linux.good("multipath -ll");
    assert.match(map, /mpatha \(1RINGLUN_[0-9a-f-]{36}\)/);
    assert.match(map, /hwhandler='1 alua'/);
    await underLoad(async () => {});
  });

  for (const path of [0, 1]) {
    test(`a portal goes silent, and speaks again: path ${path}`, async () => {
      await underLoad(async () => {
        linux.setPath(path, false);
        await paths(...PATHS.map((_, each) => (each === path ? "failed faulty" : READY)));
        linux.setPath(path, true);
        await paths(...BOTH);
      });
    });
  }

  test("a portal is closed, and opened again", async () => {
    await underLoad(async () => {
      await configure({ groups: [2] });
      await paths("failed faulty", READY);
      await configure();
      await paths(...BOTH);
    });
  });

  test("a portal is drained: its session goes to the other one, and stays there until the host logs in anew", async () => {
    const portals = async () =>
      (await linux.good("cat /sys/class/iscsi_connection/*/address")).trim().split("\n").sort();
    await underLoad(async () => {
      const drain = ["drain", "portal", `${PATHS[0]}:3260`];
      assert.equal((await ringlun(target.configPath, ...drain, "--timeout", "20")).code, 0);
      await target.waitForLog(/"0101 target moved temporarily"/);
      await paths(...BOTH);
      assert.deepEqual(await portals(), [PATHS[1], PATHS[1]]);
      assert.equal((await ringlun(target.configPath, ...drain, "--undo")).code, 0);
      await linux.good(`iscsiadm -m node -p ${PATHS[0]} --logout && iscsiadm -m node -p ${PATHS[0]} --login`);
      await findDevices();
      await paths(...BOTH);
      assert.deepEqual(await portals(), [...PATHS]);
    });
  });

  test("the shards die, one after the other", async () => {
    await underLoad(async () => {
      for (let death = 1; death <= 2; death++) {
        const from = target.log.length;
        process.kill(target.pid, "SIGUSR2");
        await target.waitForLog(/its shard died/, undefined, from);
        await target.waitForLog(/"logged in"/, undefined, from);
        await paths(...BOTH);
      }
    });
  });

  for (const how of ["terminate", "kill9"] as const) {
    test(`the target ${how === "kill9" ? "is killed" : "ends"}, and is started again`, async () => {
      await underLoad(async () => {
        await target[how]();
        await target.run();
        await paths(...BOTH);
      });
    });
  }

  test("a port group changes its state in the configuration", async () => {
    const states = [
      ["standby", "active ghost 1"],
      ["optimized", READY],
      ["unavailable", "failed faulty"],
      ["non-optimized", "active ready 10"],
      ["transitioning", "failed faulty"],
      ["optimized", READY],
    ] as const;
    await underLoad(async () => {
      for (const [state, seen] of states) {
        await configure({ access: `1: ${state}` });
        await paths(seen, READY);
      }
    });
    await configure();
  });

  test("the host itself sets states (sg_stpg): they count at once and after a restart, until the configuration says something else", async () => {
    await underLoad(async () => {
      await linux.good(`sg_stpg --tp=1,2 --state=s,ao /dev/${devices[0]}`);
      await paths("active ghost 1", READY);
      await target.terminate();
      await target.run();
      await paths("active ghost 1", READY);
      await linux.good(`sg_stpg --tp=1,2 --state=ao,an /dev/${devices[1]}`);
      await paths(READY, "active ready 10");
      await configure({ access: "1: standby, 2: optimized" });
      await paths("active ghost 1", "active ready 10");
      await configure({ access: "1: non-optimized, 2: standby" });
      await paths("active ready 10", "active ghost 1");
      await configure();
      await paths(...BOTH);
    });
  });

  test("the disk grows", async () => {
    await underLoad(async () => {
      await configure({ size: "96MiB" });
      const sizes = async () => {
        await linux.good("iscsiadm -m session -R");
        return (await linux.good(`blockdev --getsize64 ${devices.map((device) => `/dev/${device}`).join(" ")}`)).split(
          "\n",
        );
      };
      const grown = String(96 * 2 ** 20);
      assert.deepEqual(await sizes(), [grown, grown, ""]);
      await linux.good("multipathd resize map mpatha");
      assert.equal(await linux.good(`blockdev --getsize64 ${DISK}`), `${grown}\n`);
      // A path that is unavailable tells none.
      await configure({ size: "96MiB", access: "1: unavailable" });
      assert.deepEqual(await sizes(), ["0", grown, ""]);
      await configure({ size: "96MiB" });
      assert.deepEqual(await sizes(), [grown, grown, ""]);
      await paths(...BOTH);
    });
    await linux.good(
      `dd if=/dev/urandom of=/tmp/data bs=1M count=1 status=none; dd if=/tmp/data of=${DISK} bs=1M seek=95 oflag=direct status=none`,
    );
    await linux.good(`dd if=${DISK} bs=1M skip=95 iflag=direct status=none | cmp - /tmp/data`);
    await paths(...BOTH);
  });
});
