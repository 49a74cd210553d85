/** Two paths to one disk, under dm-multipath as docs/HOSTS.md sets it up: paths go and come back under I/O that is verified. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { LinuxHost, PATHS, skipWithoutLinux } from "../support/linux-host.js";
import { RunningTarget, TARGET_NAME } from "../support/target.js";

const config = () => `
portalGroups:
  - { tag: 1, portals: ["${PATHS[0]}:3260"] }
  - { tag: 2, portals: ["${PATHS[1]}:3260"] }
targets: [{ name: "${TARGET_NAME}", portalGroups: [1, 2], luns: { 0: a } }]
units:
  a: { file: ./a.img, size: 64MiB, cache: writeback }
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

describe("Linux, dm-multipath", { skip: skipWithoutLinux() }, () => {
  let linux: LinuxHost;
  let target: RunningTarget;

  before(async () => {
    linux = LinuxHost.make();
    target = await RunningTarget.start({ config, network: linux.network });
    await linux.boot();
    await linux.good(`iscsiadm -m discovery -t sendtargets -p ${PATHS[0]}:3260`);
    for (const setting of SETTINGS) {
      const [name, value] = setting.split("=");
      await linux.good(`iscsiadm -m node -o update -n '${name}' -v ${value}`);
    }
    const lines = MULTIPATH.map((line) => `'${line}'`).join(" ");
    await linux.good(`printf '%s\\n' ${lines} > /etc/multipath.conf; multipathd`);
    await linux.good("iscsiadm -m node -l");
    await linux.good(
      "for i in $(seq 60); do [ $(multipath -ll | grep -c 'active ready') = 2 ] && break; sleep 1; done; multipath -ll; [ $(multipath -ll | grep -c 'active ready') = 2 ]",
    );
    await linux.good("dd if=/dev/urandom of=/tmp/data bs=1M count=8 status=none");
  });

  after(async () => {
    await linux?.end();
    await target?.stop();
  });

  const disk = "/dev/mapper/mpatha";
  const pass = `dd if=/tmp/data of=${disk} bs=64k oflag=direct conv=notrunc status=none && dd if=${disk} bs=1M count=8 iflag=direct status=none | cmp - /tmp/data || exit 1`;

  test("both paths are one disk", async () => {
    const map = await linux.good("multipath -ll");
    assert.equal(map.match(/active ready/g)?.length, 2);
    assert.match(map, /hwhandler='1 alua'/);
    await linux.good(pass);
  });

  for (const path of [0, 1]) {
    test(`path ${path} is cut and comes back: no error, nothing lost`, async () => {
      const working = linux.good(`(for i in $(seq 12); do ${pass}; sleep 1; done)`);
      linux.setPath(path, false);
      await new Promise((resolve) => setTimeout(resolve, 8000));
      linux.setPath(path, true);
      await working;
      await linux.good(
        "for i in $(seq 60); do [ $(multipath -ll | grep -c 'active ready') = 2 ] && break; sleep 1; done; [ $(multipath -ll | grep -c 'active ready') = 2 ]",
      );
    });
  }

  test("the target is killed and started again", async () => {
    const working = linux.good(`(for i in $(seq 6); do ${pass}; done)`);
    await target.kill9();
    await target.run();
    await working;
  });
});
