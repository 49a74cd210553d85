import assert from "node:assert/strict";
import { test } from "node:test";
import { differences } from "../../../../control/config/difference.js";
import type { Configuration } from "../../../../control/config/schema.js";
import { Secret } from "../../../../control/config/secret.js";
import { configuration, INITIATOR, nullUnit, portalGroup, TARGET, target } from "../support/fixtures.js";

const base = configuration("/nowhere", { targets: [target()], units: [nullUnit()] });

function found(changes: Partial<Configuration>, from: Configuration = base): string[] {
  return differences(from, { ...base, ...changes }).map(
    ({ path, kind, from: was, to, effect }) =>
      `${kind} ${path}${was === undefined ? "" : `: ${was} -> ${to}`} (${effect})`,
  );
}

test("nothing is different from itself", () => {
  assert.deepEqual(found({}), []);
  assert.deepEqual(found({ targets: [{ ...target() }], units: [{ ...nullUnit() }] }), []);
});

test("what is added and removed is named as a whole, and by what names it", () => {
  const other = target({ name: "iqn.2026-11.io.ringlun:other" });
  assert.deepEqual(found({ targets: [target(), other], units: [nullUnit(), nullUnit("second")] }), [
    `added targets["${other.name}"] (live)`,
    "added units.second (live)",
  ]);
  assert.deepEqual(found({ targets: [], units: [] }), [
    `removed targets["${TARGET}"] (session)`,
    "removed units.disk (session)",
  ]);
  const portals = [
    { host: "127.0.0.1", port: 3260 },
    { host: "::1", port: 3260 },
  ];
  const before = { ...base, portalGroups: [portalGroup({ portals: portals.slice(0, 1) })] };
  assert.deepEqual(found({ portalGroups: [portalGroup({ portals: portals.slice(1) })] }, before), [
    'removed portalGroups.1.portals["127.0.0.1:3260"] (live)',
    'added portalGroups.1.portals["[::1]:3260"] (live)',
  ]);
});

test("what is changed is shown as it was and as it will be, in the words of the file", () => {
  const size = nullUnit().sizeBytes!;
  assert.deepEqual(found({ units: [{ ...nullUnit(), sizeBytes: 2 * size }] }), [
    `changed units.disk.size: ${size} -> ${2 * size} (live)`,
  ]);
  assert.deepEqual(found({ units: [{ ...nullUnit(), sizeBytes: size / 2, readOnly: true }] }), [
    "changed units.disk.readOnly: false -> true (live)",
    `changed units.disk.size: ${size} -> ${size / 2} (session)`,
  ]);
  const lun = (number: number, unit: string, readOnly = false) => ({ lun: number, unit, readOnly });
  assert.deepEqual(found({ targets: [target({ luns: [lun(0, "disk", true), lun(1, "disk")] })] }), [
    `changed targets["${TARGET}"].luns.0.readOnly: false -> true (live)`,
    `added targets["${TARGET}"].luns.1 (live)`,
  ]);
  assert.deepEqual(found({ log: { ...base.log, slowCommandsMs: 0 } }), ["changed log.slowCommands: 1000 -> 0 (live)"]);
  assert.deepEqual(found({ workers: 7 }), ["changed workers: 1 -> 7 (restart)"]);
});

test("a first list of initiators ends sessions, one more on it does not", () => {
  const entry = (name: string) => ({ name, portalGroups: [1], auth: null, luns: [], limits: null });
  const listed = [target({ initiators: [entry(INITIATOR)] })];
  assert.deepEqual(found({ targets: listed }), [`added targets["${TARGET}"].initiators (session)`]);
  const other = "iqn.2026-11.io.ringlun:other";
  const more = [target({ initiators: [entry(INITIATOR), entry(other)] })];
  assert.deepEqual(found({ targets: more }, { ...base, targets: listed }), [
    `added targets["${TARGET}"].initiators["${other}"] (live)`,
  ]);
});

test("how units are reached is told by portal group, and is live", () => {
  const standby = { state: "standby", preferred: true } as const;
  assert.deepEqual(found({ portalGroups: [portalGroup({ access: standby })] }), [
    'changed portalGroups.1.access: "optimized" -> "standby" (live)',
    "changed portalGroups.1.preferred: false -> true (live)",
  ]);
  const unit = { ...nullUnit(), access: [{ portalGroup: 1, ...standby }] };
  assert.deepEqual(found({ units: [unit] }), ["added units.disk.access.1 (live)"]);
  assert.deepEqual(found({}, { ...base, units: [unit] }), ["removed units.disk.access.1 (live)"]);
});

test("limits that come, change and go are live, in the words of the file", () => {
  const limits = { iops: 100, bytesPerSecond: null, burstSeconds: 0.1 };
  const limited = { ...nullUnit(), limits };
  const entry = { name: INITIATOR, portalGroups: [1], auth: null, luns: [] };
  const before = { ...base, units: [limited], targets: [target({ initiators: [{ ...entry, limits }] })] };
  assert.deepEqual(found({ units: [limited] }), ["added units.disk.limits (live)"]);
  const changed = { iops: 200, bytesPerSecond: 1024, burstSeconds: 0.1 };
  const targets = [target({ initiators: [{ ...entry, limits: null }] })];
  assert.deepEqual(found({ units: [{ ...nullUnit(), limits: changed }], targets }, before), [
    `removed targets["${TARGET}"].initiators["${INITIATOR}"].limits (live)`,
    "changed units.disk.limits.iops: 100 -> 200 (live)",
    "added units.disk.limits.bandwidth (live)",
  ]);
});

test("a secret that has changed is seen, and not shown", () => {
  const auth = (secret: string) => ({
    chap: [{ user: "alice", secret: new Secret(Buffer.from(secret)) }],
    mutual: null,
  });
  const before = { ...base, targets: [target({ auth: auth("an old secret of hers") })] };
  const said = found({ targets: [target({ auth: auth("a new secret of hers") })] }, before);
  assert.deepEqual(said, [
    `changed targets["${TARGET}"].auth.chap: [{"user":"alice","secret":"(secret)"}] -> [{"user":"alice","secret":"(secret)"}] (live)`,
  ]);
});
