import assert from "node:assert/strict";
import { chmodSync, mkdirSync, symlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { inspect, isDeepStrictEqual } from "node:util";
import { stringify } from "yaml";
import { readAllowedCpus } from "../../../../control/config/allowed-cpus.js";
import { formatFaults } from "../../../../control/config/fault.js";
import { apiSocketOf, loadConfiguration } from "../../../../control/config/load.js";
import { parseConfiguration } from "../../../../control/config/parse.js";
import fc from "../../../support/fast-check.js";
import { temporaryFolder } from "../../../support/undo.js";
import { loadFaults, loadSound, writeFiles, yaml } from "./fixture.js";

/** One that there is. */
const CPU = Number.parseInt(readAllowedCpus() ?? "", 10);

const EVERY_KEY = `
portalGroups:
  - tag: 1
    portals: ["127.0.0.1:3260", "[::1]", "Host.Example:860"]
    access: non-optimized
    preferred: true
  - { tag: 65535, portals: [192.0.2.1], redirect: { balance: sessions, beforeAuthentication: true } }
targets:
  - name: iqn.2026-11.io.ringlun:VM
    alias: Speicher für VMs
    pingInterval: 0
    portalGroups: [65535, 1]
    session:
      headerDigest: [CRC32C, None]
      dataDigest: [None]
      maxConnections: 65535
      initialR2T: false
      immediateData: true
      maxRecvDataSegmentLength: 512
      maxBurstLength: 16777215
      firstBurstLength: 16777215
      defaultTime2Wait: 0
      defaultTime2Retain: 3600
      maxOutstandingR2T: 1
      dataPDUInOrder: true
      dataSequenceInOrder: true
      errorRecoveryLevel: 2
      taskReporting: [FastAbort, ResponseFence, RFC3720]
      iSCSIProtocolLevel: 1
    auth:
      chap: [{ user: alice, secret: "0123456789abcdef" }, { user: bob, secretFile: secrets/bob }]
      mutual: { user: target, secret: "fedcba9876543210" }
    initiators:
      - name: iqn.1993-08.org.debian:01:abc
        luns: { 10: iso, 2: { unit: vm0, readOnly: true }, "0": fast }
      - name: eui.02004567A425678D
        auth: { chap: [{ user: carol, secret: "cccccccccccc" }] }
      - name: naa.62004567BA64678D0123456789ABCDEF
      - { group: hosts, portalGroups: [1], luns: {}, limits: { iops: 500, bandwidth: 20 MiB, burst: 0.5 } }
    luns: { 0: vm0, 16383: "5" }
    redirect: { to: "[2001:DB8::7]", permanent: true }
units:
  vm0: { file: vm0.img, size: 10GiB, thinThreshold: 3GiB, cache: writethrough, eraseRate: 48MiB, limits: { bandwidth: 100MiB }, id: 123E4567-E89B-42D3-A456-426614174000, access: { 65535: standby, 1: { preferred: false } } }
  iso: { file: ./iso/a.iso, readOnly: true, removable: true, blockLength: 512 }
  fast: { null: true, size: 8191TiB, blockLength: 4096 }
  "5": { null: true, size: 512 KiB }
initiatorGroups: { hosts: [eui.0000000000000001, "IQN.1998-01.com.vmware:*"] }
discovery: { auth: { chap: [{ user: dora, secret: "dddddddddddd" }] } }
http: { listen: "[::]", hosts: [SAN.example, san] }
workers: 3
affinity: [${CPU}]
busyPoll: off
stateDir: state
log: { level: debug, slowCommands: 250 }
`;

test("every key arrives, normalised", (t) => {
  const folder = temporaryFolder(t);
  writeFiles(folder, { "iso/": "", "secrets/": "", "secrets/bob": "bbbbbbbbbbbb\n", "iso/a.iso": "x".repeat(512) });
  const { configuration, warnings } = loadSound(folder, EVERY_KEY);
  assert.deepEqual(warnings, []);

  const secretOf = (credential: { secret: { bytes(): Uint8Array } } | null | undefined) =>
    Buffer.from(credential?.secret.bytes() ?? []).toString();
  const target = configuration.targets[0];
  assert.deepEqual(
    target?.auth?.chap.map(({ user }) => user),
    ["alice", "bob"],
  );
  assert.deepEqual(target?.auth?.chap.map(secretOf), ["0123456789abcdef", "bbbbbbbbbbbb"]);
  assert.equal(secretOf(target?.auth?.mutual), "fedcba9876543210");
  assert.equal(secretOf(configuration.discoveryAuth?.chap[0]), "dddddddddddd");
  const [debian, eui, naa] = target?.initiators ?? [];
  assert.equal(debian?.auth, target?.auth);
  assert.equal(secretOf(eui?.auth?.chap[0]), "cccccccccccc");
  assert.equal(eui?.auth?.mutual, null);
  assert.equal(naa?.auth, target?.auth);

  assert.deepEqual(
    { ...configuration, discoveryAuth: undefined, targets: undefined },
    {
      file: join(folder, "ringlun.yaml"),
      portalGroups: [
        {
          tag: 1,
          portals: [
            { host: "127.0.0.1", port: 3260 },
            { host: "::1", port: 3260 },
            { host: "host.example", port: 860 },
          ],
          access: { state: "non-optimized", preferred: true },
          redirect: null,
        },
        {
          tag: 65_535,
          portals: [{ host: "192.0.2.1", port: 3260 }],
          access: { state: "optimized", preferred: false },
          redirect: { to: null, permanent: false, beforeAuthentication: true },
        },
      ],
      targets: undefined,
      units: [
        // Keys that look like numbers come first in an object.
        { ...unitDefaults, name: "5", kind: "null", sizeBytes: 512 * 1024 },
        {
          ...unitDefaults,
          name: "vm0",
          kind: "file",
          path: join(folder, "vm0.img"),
          sizeBytes: 10 * 2 ** 30,
          thinThresholdBytes: 3 * 2 ** 30,
          cache: "writethrough",
          eraseBytesPerSecond: 48 * 2 ** 20,
          limits: { iops: null, bytesPerSecond: 100 * 2 ** 20, burstSeconds: 0.1 },
          id: "123e4567-e89b-42d3-a456-426614174000",
          access: [
            { portalGroup: 1, state: "non-optimized", preferred: false },
            { portalGroup: 65_535, state: "standby", preferred: false },
          ],
        },
        {
          ...unitDefaults,
          name: "iso",
          kind: "file",
          path: join(folder, "iso/a.iso"),
          sizeBytes: null,
          thinThresholdBytes: null,
          readOnly: true,
          removable: true,
        },
        { ...unitDefaults, name: "fast", kind: "null", sizeBytes: 8191 * 2 ** 40, blockLengthBytes: 4096 },
      ],
      discoveryAuth: undefined,
      http: { listen: { host: "::", port: 9260 }, hosts: ["san.example", "san"], tls: null },
      workers: 3,
      affinity: [CPU],
      busyPoll: false,
      api: { socket: join(folder, "state", "api.sock"), fileRoots: [folder], tokens: [] },
      stateDir: join(folder, "state"),
      log: { level: "debug", slowCommandsMs: 250 },
    },
  );
  const limits = { iops: 500, bytesPerSecond: 20 * 2 ** 20, burstSeconds: 0.5 };
  assert.deepEqual(
    { ...target, auth: undefined, initiators: target?.initiators?.map((entry) => ({ ...entry, auth: undefined })) },
    {
      name: "iqn.2026-11.io.ringlun:vm",
      alias: "Speicher für VMs",
      portalGroups: [65_535, 1],
      session: {
        headerDigest: ["CRC32C", "None"],
        dataDigest: ["None"],
        maxConnections: 65_535,
        initialR2T: false,
        immediateData: true,
        maxRecvDataSegmentLength: 512,
        maxBurstLength: 16_777_215,
        firstBurstLength: 16_777_215,
        defaultTime2Wait: 0,
        defaultTime2Retain: 3600,
        maxOutstandingR2T: 1,
        dataPDUInOrder: true,
        dataSequenceInOrder: true,
        errorRecoveryLevel: 2,
        taskReporting: ["FastAbort", "ResponseFence", "RFC3720"],
        iSCSIProtocolLevel: 1,
      },
      pingIntervalMs: 0,
      scsiEvents: false,
      auth: undefined,
      initiators: [
        {
          name: "iqn.1993-08.org.debian:01:abc",
          portalGroups: [65_535, 1],
          auth: undefined,
          luns: [
            { lun: 0, unit: "fast", readOnly: false },
            { lun: 2, unit: "vm0", readOnly: true },
            { lun: 10, unit: "iso", readOnly: true },
          ],
          limits: null,
        },
        { name: "eui.02004567a425678d", portalGroups: [65_535, 1], auth: undefined, luns: target?.luns, limits: null },
        {
          name: "naa.62004567ba64678d0123456789abcdef",
          portalGroups: [65_535, 1],
          auth: undefined,
          luns: target?.luns,
          limits: null,
        },
        { name: "eui.0000000000000001", portalGroups: [1], auth: undefined, luns: [], limits },
        { name: "iqn.1998-01.com.vmware:*", portalGroups: [1], auth: undefined, luns: [], limits },
      ],
      luns: [
        { lun: 0, unit: "vm0", readOnly: false },
        { lun: 16_383, unit: "5", readOnly: false },
      ],
      redirect: { to: [{ host: "2001:db8::7", port: 3260 }], permanent: true, beforeAuthentication: false },
    },
  );
});

const unitDefaults = {
  id: null,
  blockLengthBytes: 512,
  physicalBlockBytes: 4096,
  cache: "direct",
  readOnly: false,
  removable: false,
  access: [],
  eraseBytesPerSecond: null,
  limits: null,
};

test("what a file leaves out has its default", (t) => {
  const folder = temporaryFolder(t);
  const { configuration } = loadSound(
    folder,
    'portalGroups: [{ tag: 1, portals: ["127.0.0.1"] }]\ntargets: [{ name: iqn.2026-11.io.ringlun, portalGroups: [1] }]',
  );
  assert.deepEqual(configuration, {
    file: join(folder, "ringlun.yaml"),
    portalGroups: [
      {
        tag: 1,
        portals: [{ host: "127.0.0.1", port: 3260 }],
        access: { state: "optimized", preferred: false },
        redirect: null,
      },
    ],
    targets: [
      {
        name: "iqn.2026-11.io.ringlun",
        alias: null,
        portalGroups: [1],
        session: {},
        pingIntervalMs: 10_000,
        scsiEvents: false,
        auth: null,
        luns: [],
        initiators: null,
        redirect: null,
      },
    ],
    units: [],
    discoveryAuth: null,
    http: null,
    workers: Math.max(1, availableParallelism() - 1),
    affinity: [],
    busyPoll: true,
    api: { socket: join(folder, "ringlun.yaml.state", "api.sock"), fileRoots: [folder], tokens: [] },
    stateDir: join(folder, "ringlun.yaml.state"),
    log: { level: "info", slowCommandsMs: 1000 },
  });
});

test("YAML may be written in any of its ways", (t) => {
  const folder = temporaryFolder(t);
  const block = yaml({ target: "luns:\n  0: &mapped\n    unit: vm0\n  1: *mapped" });
  const { configuration } = loadSound(folder, `\ufeff${block.replaceAll("\n", "\r\n")}`);
  assert.deepEqual(configuration.targets[0]?.luns, [
    { lun: 0, unit: "vm0", readOnly: false },
    { lun: 1, unit: "vm0", readOnly: false },
  ]);
  const json = '{"portalGroups":[{"tag":1,"portals":["127.0.0.1"]}],"targets":[],"workers":2}';
  assert.equal(loadSound(folder, json).configuration.workers, 2);
});

test("there are as many workers as CPUs to bind them to, unless it says how many", (t) => {
  const workers = (more: string) => loadSound(temporaryFolder(t), yaml({ more })).configuration.workers;
  assert.equal(workers(`affinity: [${CPU}]`), 1);
  assert.equal(workers(`workers: auto\naffinity: [${CPU}]`), 1);
  assert.equal(workers(`workers: 3\naffinity: [${CPU}]`), 3);
});

test("ten mistakes are ten lines", (t) => {
  const folder = temporaryFolder(t);
  const text = `portalGroups:
  - tag: 1
    portals: ["127.0.0.1:3260", "127.0.0.1"]
targets:
  - name: iqn.2026-11.io.ringlun:vm
    portalGroups: [1, 7]
    session: { maxConnection: 4, errorRecoveryLevel: 4 }
    auth:
      chap: [{ user: 1001, secret: "short" }]
    initiators:
      - luns: { 0: vm0, 0x1: vm1 }
units:
  vm0: { null: true, size: 10 GB }
workers: none
`;
  assert.equal(
    formatFaults("ringlun.yaml", loadFaults(folder, text)),
    `\
ringlun.yaml:3:33: portalGroups[0].portals[1]: repeats 127.0.0.1:3260, which portalGroups[0].portals[0] has already: remove or change one
ringlun.yaml:6:23: targets[0].portalGroups[1]: is 7: no portal group has that tag; there are 1
ringlun.yaml:7:16: targets[0].session.maxConnection: is unknown: did you mean maxConnections?
ringlun.yaml:7:54: targets[0].session.errorRecoveryLevel: is 4: write a whole number, 0 to 2
ringlun.yaml:9:22: targets[0].auth.chap[0].user: is an unquoted number, not text: put it in quotes
ringlun.yaml:9:36: targets[0].auth.chap[0].secret: is 5 bytes long: a CHAP secret has at least 12
ringlun.yaml:11:9: targets[0].initiators[0]: has neither name nor group: write the name of an initiator, or of an initiator group
ringlun.yaml:11:25: targets[0].initiators[0].luns.0x1: is no LUN: write a decimal number, 0 to 16383
ringlun.yaml:11:30: targets[0].initiators[0].luns.0x1: refers to "vm1": no unit has that name; there are vm0
ringlun.yaml:13:28: units.vm0.size: is "10 GB": write bytes, or a whole number and KiB, MiB, GiB or TiB, as 10GiB
ringlun.yaml:14:10: workers: is "none": write auto, or a whole number, 1 to 256`,
  );
});

test("all faults of the syntax are reported, each once", (t) => {
  const faults = loadFaults(temporaryFolder(t), 'a: [1,\nb: {\nc: "x');
  assert.deepEqual(
    faults.map(({ line, path }) => [line, path]),
    [
      [2, ""],
      [3, ""],
      [3, ""],
    ],
  );
});

test("of a text that is no YAML at all as many faults are reported as anybody reads", (t) => {
  assert.equal(loadFaults(temporaryFolder(t), ": ]\n".repeat(2000)).length, 100);
});

test("a file that cannot be read is a fault", (t) => {
  const folder = temporaryFolder(t);
  const faultsOf = (path: string) => {
    const result = loadConfiguration(path);
    return result.ok ? [] : formatFaults("file", result.faults).split("\n");
  };
  assert.deepEqual(faultsOf(join(folder, "none.yaml")), [
    "file:1:1: cannot be read: ENOENT: no such file or directory",
  ]);
  assert.deepEqual(faultsOf(folder), ["file:1:1: cannot be read: EISDIR: illegal operation on a directory"]);
  assert.deepEqual(faultsOf("a\0b").length, 1);
});

test("a file that is no UTF-8 text is a fault in the line where that begins", (t) => {
  const folder = temporaryFolder(t);
  const broken = Buffer.concat([Buffer.from("# \u00e4\n# \u20ac\n# "), Buffer.of(0xe2, 0x82), Buffer.from("\n")]);
  assert.deepEqual(loadFaults(folder, broken), [{ path: "", line: 3, column: 1, message: "is not UTF-8 text" }]);
  assert.deepEqual(loadFaults(folder, Buffer.of(0xff)), [
    { path: "", line: 1, column: 1, message: "is not UTF-8 text" },
  ]);
});

test("what grows beyond all bounds is a fault", (t) => {
  const folder = temporaryFolder(t);
  const names = [..."abcdefghij"];
  const bomb = names.map((name, index) => {
    const item = index === 0 ? "x" : `*${names[index - 1]}`;
    return `${name}: &${name} [${Array(9).fill(item).join(", ")}]`;
  });
  const [grown, ...more] = loadFaults(folder, bomb.join("\n"));
  assert.match(grown?.message ?? "", /^has more than 200000 values, aliases included$/);
  assert.deepEqual(more, []);
  assert.match(
    loadFaults(folder, `a: ${"[".repeat(65)}${"]".repeat(65)}`)[0]?.message ?? "",
    /^is nested deeper than 64/,
  );
  assert.match(loadFaults(folder, "[".repeat(20_000))[0]?.message ?? "", /^is nested too deeply/);
  assert.match(loadFaults(folder, Buffer.alloc(2 ** 24 + 1, "#"))[0]?.message ?? "", /^is larger than 16777216 bytes/);
});

test("the words of a YAML 1.1 document keep their meaning of 1.2", (t) => {
  const faults = loadFaults(
    temporaryFolder(t),
    `%YAML 1.1\n---\n${yaml({ target: "alias: 12:30\nluns: { 0: { unit: vm0, readOnly: yes } }" })}`,
  );
  assert.deepEqual(
    faults.map(({ path, message }) => [path, message]),
    [["targets[0].luns.0.readOnly", "is text: write true or false"]],
  );
});

test("no fault in the file breaks or paints its line", (t) => {
  const faults = loadFaults(temporaryFolder(t), yaml({ more: '"a\\nb\\e[31m\\u202e": 1' }));
  assert.equal(formatFaults("f", faults).split(": is unknown")[0], 'f:7:1: ["a\\nb\\u001b[31m\\u202e"]');
  assert.equal(
    formatFaults("a\nb", [{ path: "", line: 1, column: 2, message: "x\u2028y" }]),
    "a\\u000ab:1:2: x\\u2028y",
  );
});

test("doubtful things are warnings", (t) => {
  const folder = temporaryFolder(t);
  writeFiles(folder, { secret: "secret of bob", "vm0.img": "x".repeat(1024) });
  chmodSync(join(folder, "secret"), 0o640);
  symlinkSync("vm0.img", join(folder, "link"));
  const { warnings } = loadSound(
    folder,
    `portalGroups: [{ tag: 1, portals: ["127.0.0.1:3260"] }]
targets:
  - name: iqn.2026-11.io.ringlun:vm
    portalGroups: [1]
    initiators: []
    luns: { 1: vm0 }
    session: { dataPDUInOrder: true, dataSequenceInOrder: false }
    auth:
      chap:
        - { user: alice, secret: secret of bob }
        - { user: bob, secretFile: secret }
units: { vm0: { file: link, size: 512 } }
`,
  );
  assert.deepEqual(
    warnings.map(({ line, column, path, message }) => `${line}:${column}: ${path}: ${message}`),
    [
      "5:17: targets[0].initiators: is empty: nobody can log in; leave it out to admit every initiator",
      "6:5: targets[0].luns: has no LUN 0: many initiators look there first, and find nothing",
      "7:59: targets[0].session.dataSequenceInOrder: is false: data is in order all the same",
      `11:36: targets[0].auth.chap[1].secretFile: names ${folder}/secret, which others than its owner may open: chmod 600 it`,
      "11:36: targets[0].auth.chap[1].secretFile: is also the secret of targets[0].auth.chap[0].secret: either user can pose as the other",
      "12:35: units.vm0.size: hides the end of the file, which holds 1024 bytes",
    ],
  );
});

test("a folder for all to write in, below which requests may have units, is a warning", (t) => {
  const folder = temporaryFolder(t);
  writeFiles(folder, { "open/": "", "shut/": "" });
  chmodSync(join(folder, "open"), 0o1777);
  const { warnings } = loadSound(folder, yaml({ more: "api: { fileRoots: [shut, open, none] }" }));
  assert.deepEqual(
    warnings.filter(({ path }) => path.startsWith("api")).map(({ path }) => path),
    ["api.fileRoots[1]"],
  );
});

test("secrets in a file for all to read are a warning, once", (t) => {
  const folder = temporaryFolder(t);
  const text = yaml({
    target:
      'auth: { chap: [{ user: a, secret: "aaaaaaaaaaaa" }, { user: b, secret: "bbbbbbbbbbbb" }] }\nluns: { 0: vm0 }',
  });
  assert.deepEqual(loadSound(folder, text).warnings, []);
  chmodSync(join(folder, "ringlun.yaml"), 0o644);
  assert.deepEqual(
    loadSound(folder, text).warnings.map(({ path, line }) => [path, line]),
    [["targets[0].auth.chap[0].secret", 5]],
  );
});

test("one credential may serve several targets", (t) => {
  const auth = 'auth: { chap: [{ user: alice, secret: "0123456789abcdef" }] }';
  const { warnings } = loadSound(
    temporaryFolder(t),
    yaml({ target: `${auth}\nluns: { 0: vm0 }`, more: `discovery: { ${auth} }` }),
  );
  assert.deepEqual(warnings, []);
});

test("a secret is seen by no printer, and a changed one by comparison", (t) => {
  const folder = temporaryFolder(t);
  const load = (secret: string) =>
    loadSound(folder, yaml({ target: `auth: { chap: [{ user: alice, secret: "${secret}" }] }` })).configuration;
  const configuration = load("a secret nobody sees");
  for (const shown of [inspect(configuration, { depth: 9, showHidden: true }), JSON.stringify(configuration)]) {
    assert.doesNotMatch(shown, /nobody/);
    assert.doesNotMatch(shown, new RegExp(Buffer.from("nobody").toString("hex")));
  }
  assert.ok(isDeepStrictEqual(configuration, load("a secret nobody sees")));
  assert.ok(!isDeepStrictEqual(configuration, load("a secret nobody knew")));
});

test("no fault shows a secret", (t) => {
  const secrets = [
    "hush-hush-1",
    '["hush-hush-22"]',
    "{ hush-hush-333: 1 }",
    '"hush-hush-\\ud800 lone"',
    `"${"hush-hush".repeat(200)}"`,
  ];
  for (const secret of secrets) {
    const faults = loadFaults(temporaryFolder(t), yaml({ target: `auth: { chap: [{ user: a, secret: ${secret} }] }` }));
    assert.equal(faults[0]?.path, "targets[0].auth.chap[0].secret");
    assert.doesNotMatch(JSON.stringify(faults), /hush/);
  }
});

/** Documents near to sound ones: known keys, values of every kind anywhere. */
const KEYS = [
  ...[
    "portalGroups",
    "targets",
    "units",
    "discovery",
    "http",
    "api",
    "workers",
    "affinity",
    "busyPoll",
    "stateDir",
    "log",
    "tag",
    "portals",
    "name",
  ],
  ...[
    "alias",
    "session",
    "pingInterval",
    "auth",
    "initiators",
    "luns",
    "redirect",
    "chap",
    "mutual",
    "user",
    "secret",
    "secretFile",
  ],
  ...[
    "to",
    "permanent",
    "balance",
    "beforeAuthentication",
    "file",
    "null",
    "size",
    "cache",
    "readOnly",
    "thinThreshold",
    "limits",
    "iops",
    "bandwidth",
    "burst",
    "blockLength",
    "physicalBlockLength",
    "id",
    "listen",
    "level",
    "unit",
    "0",
  ],
  ...[
    "headerDigest",
    "maxBurstLength",
    "firstBurstLength",
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "",
  ],
];
const { value: anything } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, 0, 1, -1, 1.5, 512, 2 ** 60, Number.NaN, Number.POSITIVE_INFINITY),
    fc.constantFrom<unknown>("", "vm0", "127.0.0.1:3260", "[::1]", "iqn.2026-11.io.ringlun:vm", "1GiB", "direct", "."),
    fc.string({ unit: "binary" }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), tie("value"), { maxKeys: 8 }),
  ),
}));

test("no document, however odd, is more than faults", (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "vm0"));
  fc.assert(
    fc.property(anything, (document) => {
      const result = parseConfiguration(document, { file: join(folder, "ringlun.yaml") });
      if (result.ok) return;
      assert.ok(result.faults.length > 0);
      for (const { message } of result.faults)
        assert.ok(message.length > 0 && !message.includes("Invalid input"), message);
    }),
    { numRuns: 500 },
  );
});

test("no YAML, however odd, is more than faults with a place", (t) => {
  const folder = temporaryFolder(t);
  const texts = fc.oneof(
    anything.map((document) => stringify(document)),
    // A sound document with something put in anywhere.
    fc
      .tuple(
        fc.nat(EVERY_KEY.length),
        fc.nat(20),
        fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(..."[]{}:-,&*!|>'\"%@`#?\n\t ")),
      )
      .map(([offset, cut, text]) => EVERY_KEY.slice(0, offset) + text + EVERY_KEY.slice(offset + cut)),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(texts, (text) => {
      writeFiles(folder, { "ringlun.yaml": text });
      const result = loadConfiguration(join(folder, "ringlun.yaml"));
      if (result.ok) return;
      assert.ok(result.faults.length > 0);
      for (const { line, column } of result.faults) assert.ok(line >= 1 && column >= 1);
      assert.equal(formatFaults("f", result.faults).split(/\r|\n/).length, result.faults.length);
    }),
    { numRuns: 400 },
  );
});

test("where the program of a configuration listens is known in spite of faults in it", (t) => {
  const folder = temporaryFolder(t);
  const socketOf = (text: string) => {
    writeFiles(folder, { "ringlun.yaml": text });
    return apiSocketOf(join(folder, "ringlun.yaml"));
  };
  const byDefault = join(folder, "ringlun.yaml.state/api.sock");
  assert.equal(socketOf("targets: 5"), byDefault);
  assert.equal(socketOf("[not: {a mapping"), byDefault);
  assert.equal(socketOf("stateDir: 7\napi: []"), byDefault);
  assert.equal(socketOf("nonsense: 1\nstateDir: kept"), join(folder, "kept/api.sock"));
  assert.equal(socketOf("stateDir: kept\napi: { socket: /run/ringlun.sock }\nunits: x"), "/run/ringlun.sock");
  assert.throws(() => apiSocketOf(join(folder, "none.yaml")), /ENOENT/);
});
