import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { demoConfiguration } from "../../../../control/config/demo.js";
import { temporaryFolder } from "../../../support/undo.js";

test("the demo is what the outside may depend on", (t) => {
  const folder = temporaryFolder(t);
  const { workers, ...configuration } = demoConfiguration(folder, true);
  assert.ok(workers >= 1);
  assert.deepEqual(configuration, {
    file: join(folder, "demo", "demo.yaml"),
    portalGroups: [
      {
        tag: 1,
        portals: [
          { host: "127.0.0.1", port: 3260 },
          { host: "::1", port: 3260 },
        ],
        access: { state: "optimized", preferred: false },
        redirect: null,
      },
    ],
    targets: [
      {
        name: "iqn.2026-11.io.ringlun:demo",
        alias: "Ringlun demo",
        portalGroups: [1],
        session: {},
        pingIntervalMs: 10_000,
        scsiEvents: false,
        auth: null,
        luns: [{ lun: 0, unit: "demo", readOnly: false }],
        initiators: null,
        redirect: null,
      },
    ],
    units: [
      {
        name: "demo",
        id: null,
        blockLengthBytes: 512,
        physicalBlockBytes: 4096,
        cache: "direct",
        readOnly: false,
        removable: false,
        access: [],
        eraseBytesPerSecond: null,
        limits: null,
        kind: "file",
        path: join(folder, "demo", "demo.img"),
        sizeBytes: 2 ** 30,
        thinThresholdBytes: null,
      },
    ],
    discoveryAuth: null,
    http: { listen: { host: "127.0.0.1", port: 9260 }, hosts: [], tls: null },
    api: { socket: join(folder, "demo", "state", "api.sock"), fileRoots: [join(folder, "demo")], tokens: [] },
    affinity: [],
    busyPoll: true,
    stateDir: join(folder, "demo", "state"),
    log: { level: "info", slowCommandsMs: 1000 },
  });
});

test("the demo can be started again, and without IPv6", (t) => {
  const folder = temporaryFolder(t);
  demoConfiguration(folder);
  writeFileSync(join(folder, "demo", "demo.img"), "");
  assert.deepEqual(demoConfiguration(folder, false).portalGroups[0]?.portals, [{ host: "127.0.0.1", port: 3260 }]);
});

test("what is in the demo's way is named", (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "demo", "demo.img"), { recursive: true });
  assert.throws(
    () => demoConfiguration(folder),
    /^Error: demo: units\.demo\.file: names .*demo\.img, which is neither/,
  );
});

test("so is what is in the way of its folder", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "demo"), "");
  assert.throws(() => demoConfiguration(folder), /^Error: demo: the folder .*demo cannot be made: EEXIST: /);
});
