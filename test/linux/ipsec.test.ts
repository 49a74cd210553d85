/**
 * RFC 7143 section 9.3: sessions over IPsec, as docs/INSTALL.md sets it up. The kernel and strongSwan do it, under TCP and unknown
 * to Ringlun:
 *
 *     network namespaces:   host --- to-host | wire | to-target --- target
 *
 * What passes is captured on the wire, where it is what it is for a stranger; there it is also doubled and damaged.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { skipWithoutLinux } from "../support/linux-host.js";
import { peerOutput } from "../support/peer-process.js";
import { TARGET_NAME } from "../support/target.js";
import { UserModeLinux } from "../support/user-mode-linux.js";

const skip = skipWithoutLinux(
  ...["ip", "tc", "iptables-legacy", "charon-systemd", "swanctl", "pki", "dumpcap", "tshark", "qemu-io"],
);

const INSTALL = fileURLToPath(new URL("../../../docs/INSTALL.md", import.meta.url));
const MAIN = fileURLToPath(new URL("../../control/main.js", import.meta.url));

const SIDES = ["target", "host"] as const;
type Side = (typeof SIDES)[number];
/** As in the documentation. */
const TARGET = "192.0.2.2";
const HOST = "192.0.2.1";
const TARGET_6 = "2001:db8::2";
const HOST_6 = "2001:db8::1";
const MIB = 1024 * 1024;

const RINGLUN = `
portalGroups: [{ tag: 1, portals: ["${TARGET}:3260", "[${TARGET_6}]:3260"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: disk } }]
units: { disk: { file: /run/disk.img, size: 16MiB, cache: writeback } }
workers: 1
`;

const NETWORK = `set -e
for name in target wire host; do ip netns add $name; ip -n $name link set lo up; done
ip -n wire link add bridge type bridge mcast_snooping 0
ip -n wire link set bridge up
for side in target host; do
  ip -n wire link add to-$side type veth peer name eth0 netns $side
  ip -n wire link set to-$side master bridge
  ip -n wire link set to-$side up
done
ip -n target addr add ${TARGET}/24 dev eth0; ip -n target addr add ${TARGET_6}/64 dev eth0 nodad
ip -n host addr add ${HOST}/24 dev eth0; ip -n host addr add ${HOST_6}/64 dev eth0 nodad
for side in target host; do ip -n $side link set eth0 up; done
`;

/** Two daemons on one machine must not have one socket. */
const daemon = (side: Side) => `include /etc/strongswan.conf
charon-systemd {
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  plugins { vici { socket = unix:///run/${side}.vici } }
  filelog { file { path = /run/${side}.log
      flush_line = yes
      default = 1 } }
}
`;

/** What the page says: the configurations of the target and of the host, and a rule of the target's firewall. */
function documented(): { conf: Record<Side, string>; rule: string } {
  const section =
    readFileSync(INSTALL, "utf8")
      .split("\n## ")
      .find((text) => text.startsWith("IPsec\n")) ?? "";
  const [target, host, rule] = Array.from(section.matchAll(/```(?:sh)?\n(.*?)```/gs), ([, code]) => code);
  assert(target && host && rule, `${INSTALL} has the configurations of both, and a rule`);
  return { conf: { target, host }, rule };
}

describe("IPsec (RFC 7143 section 9.3)", { skip }, () => {
  let machine: UserModeLinux;
  let pattern = 0x50;
  const { conf, rule } = documented();

  const at = (side: Side | "wire", command: string) => `ip netns exec ${side} ${command}`;
  const swanctl = (side: Side, command: string) =>
    `SWANCTL_DIR=/mnt/${side} swanctl ${command} --uri unix:///run/${side}.vici`;
  const waitFor = (condition: string) => machine.good(`timeout 60 bash -c 'until ${condition}; do sleep 0.1; done'`);

  async function startDaemon(side: Side): Promise<void> {
    mkdirSync(join(machine.folder, side), { recursive: true });
    writeFileSync(join(machine.folder, side, "strongswan.conf"), daemon(side));
    await machine.good(
      `STRONGSWAN_CONF=/mnt/${side}/strongswan.conf ${at(side, "charon-systemd")} > /run/${side}.out 2>&1 & echo $! > /run/${side}.pid`,
    );
    await waitFor(`[ -S /run/${side}.vici ]`);
  }

  async function load(side: Side, text: string): Promise<void> {
    writeFileSync(join(machine.folder, side, "swanctl.conf"), text);
    const said = await machine.good(swanctl(side, "--load-all --clear --noprompt"));
    assert.match(said, /successfully loaded 1 connections/);
  }

  /** Both sides have what the documentation says, changed so; what was negotiated before is gone. */
  async function configure(edit: (text: string, side: Side) => string = (text) => text): Promise<void> {
    for (const side of SIDES) await machine.run(swanctl(side, "--terminate --ike iscsi --force --timeout 10"));
    for (const side of SIDES) await load(side, edit(conf[side], side));
    // What the kernel still awaits of an attempt that failed would hold up the next.
    for (const side of SIDES) await machine.good(at(side, "ip xfrm state flush"));
  }

  const replacing = (key: string, value: string) => (text: string) => {
    const lines = new RegExp(`^( *${key} = ).*$`, "gm");
    assert.match(text, lines);
    return text.replaceAll(lines, `$1${value}`);
  };

  /** A session writes and reads a MiB of a pattern of its own, and checks it. */
  async function io(address = TARGET): Promise<void> {
    pattern++;
    const commands = ["write", "read"].map((command) => `-c '${command} -P ${pattern} 0 1M'`).join(" ");
    await machine.good(
      `timeout 120 ${at("host", `qemu-io -f raw ${commands} 'iscsi://${address}:3260/${TARGET_NAME}/0'`)}`,
    );
  }

  /** Whether a connection comes about within seconds. */
  async function connects(address = TARGET): Promise<boolean> {
    const { code } = await machine.run(`timeout 4 ${at("host", `bash -c '< /dev/tcp/${address}/3260'`)}`);
    return code === 0;
  }

  const associations = (side: Side) => machine.good(swanctl(side, "--list-sas"));

  /** A counter of /proc/net/xfrm_stat. */
  async function counter(side: Side, name: string): Promise<number> {
    const found = new RegExp(`^${name}\\s+(\\d+)$`, "m").exec(await machine.good(at(side, "cat /proc/net/xfrm_stat")));
    return Number(found?.[1] ?? assert.fail(name));
  }

  /** What a stranger sees meanwhile: the protocols, and whether the data is among it. */
  async function onTheWire(work: () => Promise<void>): Promise<{ protocols: string[]; isLegible: boolean }> {
    await machine.good(
      `${at("wire", "dumpcap -q -i to-host -w /run/wire.pcapng")} > /run/dumpcap.out 2>&1 & echo $! > /run/dumpcap.pid`,
    );
    await waitFor("grep -q ^File: /run/dumpcap.out");
    await work();
    await machine.good(
      "sleep 1; kill -INT $(cat /run/dumpcap.pid); wait $(cat /run/dumpcap.pid); cp /run/wire.pcapng /mnt/",
    );
    const path = join(machine.folder, "wire.pcapng");
    const lines = (await peerOutput("tshark", ["-n", "-r", path, "-T", "fields", "-e", "frame.protocols"])).split("\n");
    return {
      protocols: [...new Set(lines.filter(Boolean).map((line) => line.replace(/^eth:ethertype:/, "")))].sort(),
      isLegible: readFileSync(path).includes(Buffer.alloc(64, pattern)),
    };
  }

  before(async () => {
    machine = await UserModeLinux.boot({ memory: "1024M", init: "modprobe -a esp4 esp6 xfrm_user" });
    writeFileSync(join(machine.folder, "network"), NETWORK);
    writeFileSync(join(machine.folder, "ringlun.yaml"), RINGLUN);
    await machine.good("bash /mnt/network");
    await machine.good(
      `${at("target", `${process.execPath} ${MAIN} serve --config /mnt/ringlun.yaml`)} > /run/ringlun.log 2>&1 &`,
    );
    await waitFor("grep -qx ready /run/ringlun.log");
  });

  after(() => machine?.end());

  test("without it a stranger sees everything", async () => {
    const { protocols, isLegible } = await onTheWire(io);
    assert(
      protocols.some((protocol) => protocol.startsWith("ip:tcp")),
      protocols.join(" "),
    );
    assert(isLegible);
  });

  test("a target that has the policy takes no connection without ESP", async () => {
    await startDaemon("target");
    await load("target", conf.target);
    const dropped = await counter("target", "XfrmInTmplMismatch");
    assert.equal(await connects(), false);
    assert((await counter("target", "XfrmInTmplMismatch")) > dropped);
  });

  test("as documented: tunnel mode, AES-GCM with 128 bits, extended sequence numbers, nothing else on the wire", async () => {
    await startDaemon("host");
    await configure();
    const { protocols, isLegible } = await onTheWire(io);
    const others = protocols.filter(
      (protocol) => !/^(arp|ip:esp|ip:udp:(isakmp|udpencap:isakmp)|ipv6:icmpv6.*)$/.test(protocol),
    );
    assert.deepEqual([others, isLegible], [[], false]);
    assert(protocols.includes("ip:esp"), protocols.join(" "));
    const list = await associations("target");
    assert.match(list, /iscsi: #\d+, ESTABLISHED, IKEv2/);
    assert.match(list, /INSTALLED, TUNNEL, ESP:AES_GCM_16-128\/ESN/);
    for (const direction of ["in", "out"]) {
      const bytes = new RegExp(`^ +${direction} +\\S+, +(\\d+) bytes`, "m").exec(list)?.[1];
      assert(Number(bytes) > MIB, list);
    }
  });

  test("9.3.1: what is sent again is dropped", async () => {
    await configure();
    await io();
    const before = await counter("target", "XfrmInStateSeqError");
    await machine.good(at("wire", "tc qdisc add dev to-target root netem duplicate 100%"));
    await io();
    await machine.good(at("wire", "tc qdisc del dev to-target root"));
    assert((await counter("target", "XfrmInStateSeqError")) - before > 20);
  });

  test("9.3.1: what was altered is dropped", async () => {
    const before = await counter("target", "XfrmInStateProtoError");
    await machine.good(at("wire", "tc qdisc add dev to-target root netem corrupt 20%"));
    await io();
    await machine.good(at("wire", "tc qdisc del dev to-target root"));
    assert((await counter("target", "XfrmInStateProtoError")) > before);
  });

  test("9.3.3: a session outlives its security associations: keys that change, and a deletion by either side", async () => {
    await configure();
    const steps = [
      swanctl("host", "--rekey --child iscsi"),
      swanctl("target", "--rekey --ike iscsi"),
      ...SIDES.flatMap((side) => [
        swanctl(side, "--terminate --child iscsi --timeout 10"),
        swanctl(side, "--terminate --ike iscsi --timeout 10"),
      ]),
    ];
    const spis = async () =>
      (await machine.good(at("target", "ip xfrm state")))
        .match(/spi 0x\w+/g)
        ?.sort()
        .join();
    const sockets = () => machine.good(at("host", "ss -Htn state established dport = :3260"));
    const endpoints = async () => (await sockets()).trim().split(/\s+/).slice(2).join(" ");
    await machine.good("mkfifo /run/commands; sleep infinity > /run/commands & echo $! > /run/writer.pid");
    await machine.good(
      `${at("host", `qemu-io -f raw 'iscsi://${TARGET}:3260/${TARGET_NAME}/0'`)} < /run/commands > /run/qemu-io.log 2>&1 &`,
    );
    let count = 0;
    const step = async () => {
      pattern++;
      for (const command of ["write", "read"]) {
        await machine.good(`echo '${command} -P ${pattern} 0 1M' > /run/commands`);
        await waitFor(`[ $(grep -c "MiB, 1 ops" /run/qemu-io.log) = ${++count} ]`);
      }
    };
    await step();
    const connection = await endpoints();
    assert.match(connection, /:3260$/);
    for (const command of steps) {
      const old = await spis();
      await machine.good(command);
      await step();
      if (!command.includes("--rekey --ike")) assert.notEqual(await spis(), old, command);
    }
    assert.equal(await endpoints(), connection);
    await machine.good("echo quit > /run/commands; kill $(cat /run/writer.pid)");
    assert.doesNotMatch(await machine.good("cat /run/qemu-io.log"), /fail/i);
  });

  /** What section 9.3 names, as strongSwan calls it, as it lists it, and as the kernel has it. */
  const algorithms = [
    [
      "9.3.1, 9.3.2: AES-CBC with 128 bits, HMAC-SHA-1-96",
      "aes128-sha1",
      "AES_CBC-128/HMAC_SHA1_96",
      ["cbc(aes)", "hmac(sha1)"],
    ],
    ["9.3.1: AES-XCBC-MAC", "aes128-aesxcbc", "AES_CBC-128/AES_XCBC_96", ["cbc(aes)", "xcbc(aes)"]],
    ["9.3.1: AES-GMAC with 128 bits", "aes128gmac", "NULL_AES_GMAC-128", ["rfc4543(gcm(aes))"]],
    ["9.3.2: AES-GCM with 128 bits", "aes128gcm16", "AES_GCM_16-128", ["rfc4106(gcm(aes))"]],
    ["9.3.2: NULL encryption", "null-sha1", "NULL/HMAC_SHA1_96", ["ecb(cipher_null)", "hmac(sha1)"]],
  ] as const;
  for (const [name, proposal, listed, kernel] of algorithms) {
    for (const [mode, numbers] of [
      ["tunnel", "esn"],
      ["tunnel", "noesn"],
      ["transport", "esn"],
    ] as const) {
      test(`${name}; ${mode} mode, ${numbers}`, async () => {
        await configure((text) =>
          replacing("mode", mode)(replacing("esp_proposals", `${proposal}-modp2048-${numbers}`)(text)),
        );
        const dropped = await counter("target", "XfrmInTmplMismatch");
        await io();
        const list = await associations("target");
        const esn = numbers === "esn" ? "/ESN" : "";
        assert(list.includes(`INSTALLED, ${mode.toUpperCase()}, ESP:${listed}${esn}\n`), list);
        const states = await machine.good(at("target", "ip xfrm state"));
        for (const algorithm of kernel) assert(states.includes(` ${algorithm} `), states);
        assert(states.includes(`mode ${mode}`), states);
        assert.equal(/flag .*\besn\b/.test(states), numbers === "esn", states);
        assert.equal(await counter("target", "XfrmInTmplMismatch"), dropped);
      });
    }
  }

  /** The host alone has it so: nothing is negotiated, for this reason, and nothing passes. */
  async function disagree(edit: (text: string) => string, reason: string): Promise<void> {
    await configure((text, side) => (side === "host" ? edit(text) : text));
    await machine.good("> /run/host.log");
    assert.equal(await connects(), false);
    await waitFor(`grep -q "${reason}" /run/host.log`);
  }

  test("9.3.2: DES is no common ground", () =>
    disagree(replacing("esp_proposals", "des-sha1"), "received NO_PROPOSAL_CHOSEN notify"));

  test("9.3.3: another pre-shared key is none", async () => {
    await disagree(replacing("secret", '"another"'), "received AUTHENTICATION_FAILED notify error");
    await configure();
    await io();
  });

  for (const [mode, exchange] of [
    ["no", "ID_PROT"],
    ["yes", "AGGRESSIVE"],
  ] as const) {
    test(`9.3.3: IKEv1, ${exchange === "ID_PROT" ? "Main" : "Aggressive"} Mode`, async () => {
      await configure((text) => replacing("version", `1\n    aggressive = ${mode}`)(text));
      await machine.good("> /run/target.log");
      await io();
      assert.match(await associations("target"), /iscsi: #\d+, ESTABLISHED, IKEv1/);
      const log = await machine.good("cat /run/target.log");
      assert.match(log, new RegExp(`parsed ${exchange} request`));
      assert.match(log, /parsed QUICK_MODE request \d+ \[ HASH SA No (KE )?ID ID \]/);
    });
  }

  for (const [kind, target, host] of [
    ["ID_FQDN", "san.example", "host.example"],
    ["ID_RFC822_ADDR", "san@example.com", "host@example.com"],
  ] as const) {
    for (const version of [1, 2]) {
      test(`9.3.3: ${kind} identifies peers, IKEv${version}`, async () => {
        await configure((text) =>
          replacing(
            "version",
            String(version),
          )(text)
            .replaceAll(/(?<=id\S* = )192\.0\.2\.2$/gm, target)
            .replaceAll(/(?<=id\S* = )192\.0\.2\.1$/gm, host),
        );
        await io();
        const list = await associations("target");
        for (const line of [`local  '${target}'`, `remote '${host}'`, `IKEv${version}`])
          assert(list.includes(line), list);
      });
    }
  }

  test("9.3.3: ID_IPV6_ADDR identifies peers: the same over IPv6", async () => {
    await configure((text) => text.replaceAll("/32[", "/128[").replaceAll(TARGET, TARGET_6).replaceAll(HOST, HOST_6));
    const { protocols, isLegible } = await onTheWire(() => io(`[${TARGET_6}]`));
    assert(protocols.includes("ipv6:esp") && !protocols.join().includes("tcp") && !isLegible, protocols.join(" "));
    assert((await associations("target")).includes(`remote '${HOST_6}'`));
  });

  test("9.3.3: certificates identify peers, and one that was revoked does not", async () => {
    const make = [
      "set -e; cd /run",
      "pki --gen --type ecdsa --size 256 --outform pem > ca.key",
      "pki --self --ca --type ecdsa --in ca.key --dn CN=ca --outform pem > ca.crt",
      ...SIDES.flatMap((side) => [
        `pki --gen --type ecdsa --size 256 --outform pem > ${side}.key`,
        `pki --pub --in ${side}.key | pki --issue --cacert ca.crt --cakey ca.key --dn CN=${side} --san ${side}.example --outform pem > ${side}.crt`,
      ]),
      "pki --signcrl --cacert ca.crt --cakey ca.key --outform pem > good.crl",
      "pki --signcrl --cacert ca.crt --cakey ca.key --reason key-compromise --cert host.crt --outform pem > bad.crl",
      ...SIDES.flatMap((side) => [
        `mkdir -p /mnt/${side}/{x509,x509ca,x509crl,private}`,
        `cp ca.crt /mnt/${side}/x509ca; cp ${side}.crt /mnt/${side}/x509; cp ${side}.key /mnt/${side}/private; cp good.crl /mnt/${side}/x509crl`,
      ]),
    ];
    writeFileSync(join(machine.folder, "make"), make.join("\n"));
    await machine.good("bash /mnt/make");
    const names = { target: "target.example", host: "host.example" };
    const signed = (text: string, side: Side) =>
      replacing(
        "auth",
        "pubkey",
      )(text)
        .replace(/(local \{[^}]*?id = )\S+/, `$1${names[side]}\n      certs = ${side}.crt`)
        .replace(
          /(remote \{[^}]*?id = )\S+/,
          `$1${names[side === "host" ? "target" : "host"]}\n      revocation = strict`,
        );
    await configure(signed);
    await machine.good("> /run/target.log");
    await io();
    assert.match(await associations("target"), /remote 'host\.example'/);
    const log = await machine.good("cat /run/target.log");
    assert.match(log, /IKE_SA_INIT response 0 \[.* CERTREQ /);
    assert.match(log, /certificate status is good/);
    await machine.good("cp /run/bad.crl /mnt/target/x509crl/good.crl");
    await configure(signed);
    assert.equal(await connects(), false);
    await waitFor('grep -q "certificate was revoked" /run/target.log');
  });

  test("the rule keeps the target closed when there is no policy any more", async () => {
    await configure();
    // The kernel has no nf_tables.
    const legacy = at("target", rule.trim().replace(/^iptables /, "iptables-legacy "));
    await machine.good(legacy);
    await io();
    for (const side of SIDES)
      await machine.good(
        `kill $(cat /run/${side}.pid); wait $(cat /run/${side}.pid); ! [ -e /proc/$(cat /run/${side}.pid) ]`,
      );
    assert.doesNotMatch(await machine.good(at("target", "ip xfrm policy")), /dir in/);
    assert.equal(await connects(), false);
    assert.match(await machine.good(at("target", "iptables-legacy -nvxL INPUT")), /^ +[1-9]\d* .* DROP /m);
    await machine.good(legacy.replace("--append", "--delete"));
    await io();
  });
});
