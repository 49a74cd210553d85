/** The unit of packaging/ under systemd itself, installed as docs/INSTALL.md says. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { read10, write10 } from "../support/cdb.js";
import { OPCODE_ASYNC_MESSAGE } from "../support/pdu.js";
import { RawInitiator } from "../support/raw-initiator.js";
import { SystemdHost, skipWithoutSystemd } from "../support/systemd-host.js";
import { freePorts, TARGET_NAME } from "../support/target.js";

const INSTALL = fileURLToPath(new URL("../../../docs/INSTALL.md", import.meta.url));

/** What the page has root type first, where `npm` knows where it has put the package. */
function installation(): string {
  const [, section] = readFileSync(INSTALL, "utf8").split("## As a service of systemd\n");
  const script = /```sh\n(.*?)```/s.exec(section ?? "")?.[1] ?? assert.fail(`${INSTALL} says how`);
  return `set -e; npm() { echo /usr/local/lib/node_modules; }\n${script}`;
}

describe("systemd", { skip: skipWithoutSystemd() }, () => {
  let host: SystemdHost;
  let port: number;

  const configure = (...more: string[]) => {
    const lines = [
      "stateDir: /var/lib/ringlun",
      `portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]`,
      `targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: disk } }]`,
      "api: { fileRoots: [/etc/ringlun, /srv/disks] }",
      "workers: 1",
      ...more,
    ];
    host.good(`printf '%s\\n' ${lines.map((line) => `'${line}'`).join(" ")} > /etc/ringlun/ringlun.yaml`);
  };
  const units = (more = "") => `units: { disk: { file: disk.img, size: 8MiB, cache: direct }${more} }`;
  const property = (name: string) => host.good(`systemctl show --property ${name} --value ringlun`).trim();
  const journal = (...options: string[]) => host.good(`journalctl --unit ringlun --output cat ${options.join(" ")}`);
  const until = (condition: string) => host.good(`until ${condition}; do sleep 0.1; done`);
  /** systemctl returns when the signal is sent. */
  const reload = (status: string) => {
    host.good("systemctl reload ringlun");
    until(`systemctl show --property StatusText ringlun | grep -q '${status}'`);
  };
  const dropIn = (...lines: string[]) =>
    host.good(`mkdir -p /etc/systemd/system/ringlun.service.d
      printf '%s\\n' '[Service]' ${lines.join(" ")} > /etc/systemd/system/ringlun.service.d/override.conf
      systemctl daemon-reload`);

  async function session(): Promise<RawInitiator> {
    const initiator = await RawInitiator.connect(port);
    await initiator.login({ targetName: TARGET_NAME });
    return initiator;
  }

  before(async () => {
    [port] = (await freePorts(1)) as [number];
    host = await SystemdHost.boot();
    host.good(installation());
    configure(units());
  });

  after(() => host?.end());

  test("start returns when it serves; it has no privileges, and I/O works under its filter", async () => {
    host.good("systemctl enable --now ringlun");
    const initiator = await session();
    const data = Buffer.alloc(4096, 7);
    await initiator.good({ cdb: write10(0, 8), write: data });
    assert.deepEqual(await initiator.good({ cdb: read10(0, 8), read: data.length }), data);
    await initiator.logout();
    assert.equal(property("StatusText"), "serving: 1 units, 0 sessions");
    const status = host.good(`cat /proc/${property("MainPID")}/status`);
    for (const line of [/^CapBnd:\t0+$/m, /^NoNewPrivs:\t1$/m, /^Seccomp:\t2$/m]) assert.match(status, line);
    assert.match(host.good("ringlun status"), /, ready, /);
  });

  test("reload: a good file is in force, one with faults changes nothing, and the journal has them", () => {
    configure(units(", more: { null: true, size: 1GiB }"));
    host.good("systemctl reload ringlun");
    for (const text of ["serving: 2 units, 0 sessions"]) {
      host.good(
        `for i in $(seq 100); do systemctl status ringlun | grep -q '${text}' && exit; sleep 0.1; done; exit 1`,
      );
    }
    configure(units(), "bogus: 1");
    assert.notEqual(host.run("systemctl reload ringlun").code, 0);
    assert.match(journal(), /ringlun\.yaml:7:1: bogus: is unknown/);
    assert.deepEqual([property("ActiveState"), property("StatusText")], ["active", "serving: 2 units, 0 sessions"]);
    configure(units());
    reload("serving: 1 units, 0 sessions");
  });

  test("it writes where the unit lets it, and says what has refused it elsewhere", () => {
    host.good("mkdir /srv/disks && chown ringlun:ringlun /srv/disks");
    const create = "ringlun units create far --file /srv/disks/far.img --size 1MiB";
    assert.match(host.run(create).output, /EROFS/);
    dropIn("ReadWritePaths=/srv/disks", "WatchdogSec=5");
    host.good("systemctl restart ringlun");
    host.good(create);
    host.good("ringlun units delete far --delete-file");
  });

  test("a main thread that hangs: the watchdog ends it, and it serves again", async () => {
    const hanging = property("MainPID");
    assert.notEqual(hanging, "0");
    host.good("systemctl kill --kill-whom main --signal SIGSTOP ringlun");
    until(`! kill -0 ${hanging} && systemctl is-active ringlun`);
    assert.match(journal(), /Watchdog timeout.*Failed with result 'watchdog'/s);
    await (await session()).logout();
  });

  test("what it warns of has that priority in the journal", () => {
    host.good("ringlun log-level warn; ringlun log-level info");
    const levels = (...options: string[]) => new Set(journal(...options).match(/(?<=^\{"level":)\d+/gm));
    assert.ok(levels("--priority", "info").has("30"));
    assert.ok(!levels("--priority", "warning").has("30"));
  });

  test("stop asks sessions to log out, and is a success", async () => {
    const initiator = await session();
    host.good("systemctl stop --no-block ringlun");
    await initiator.expect(OPCODE_ASYNC_MESSAGE);
    await initiator.logout();
    host.good("systemctl stop ringlun");
    assert.deepEqual([property("ActiveState"), property("Result")], ["inactive", "success"]);
  });

  test("a configuration with faults is not tried again, what may come is", () => {
    configure(units(), `http: { listen: "192.0.2.1:9260" }`);
    assert.notEqual(host.run("systemctl start ringlun").code, 0);
    assert.equal(property("SubState"), "auto-restart");
    host.good("systemctl stop ringlun");
    configure("bogus: 1");
    assert.notEqual(host.run("systemctl start ringlun").code, 0);
    assert.deepEqual([property("ActiveState"), property("ExecMainStatus")], ["failed", "2"]);
  });
});
