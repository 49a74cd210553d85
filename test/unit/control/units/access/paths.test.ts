import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfiguredPaths } from "../../../../../control/units/access/paths.js";
import { nullUnit, portalGroup, target } from "../../support/fixtures.js";

const STANDBY = { state: "standby", preferred: false } as const;
const GROUPS = [portalGroup(), portalGroup({ tag: 7, access: STANDBY }), portalGroup({ tag: 3 })];

const lun = (unit: string) => ({ lun: 0, unit, readOnly: false });

test("a unit is reached through the groups of all targets that have it, for whomever", () => {
  const paths = new ConfiguredPaths({
    portalGroups: GROUPS,
    targets: [
      target({ portalGroups: [7, 1] }),
      target({
        portalGroups: [3, 7],
        luns: [lun("nobody")],
        initiators: [
          {
            name: "iqn.2026-11.io.ringlun:i",
            portalGroups: [3],
            auth: null,
            luns: [lun("disk"), lun("other")],
            limits: null,
          },
        ],
      }),
    ],
    units: [nullUnit(), nullUnit("other"), nullUnit("nobody")],
  });
  assert.deepEqual(
    [...paths.to("disk")],
    [
      [1, GROUPS[0]!.access],
      [3, GROUPS[2]!.access],
      [7, STANDBY],
    ],
  );
  assert.deepEqual([...paths.to("other").keys()], [3]);
  assert.equal(paths.to("nobody").size, 0);
});

test("what a unit says of a group stands over what the group says", () => {
  const own = { portalGroup: 7, state: "non-optimized", preferred: true } as const;
  const unit = { ...nullUnit(), access: [own] };
  const targets = [target({ portalGroups: [1, 7] })];
  const paths = new ConfiguredPaths({ portalGroups: GROUPS, targets, units: [unit] });
  assert.equal(paths.to("disk").get(7), own);
});
