/** Discovery and REPORT LUNS as libiscsi's iscsi-ls sees them, through portals on IPv4 and IPv6. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasIPv6Loopback } from "../../control/config/demo.js";
import { peerOutput } from "../support/peer-process.js";
import { skipWithout } from "../support/peers.js";
import type { Places } from "../support/target.js";
import { startVariant, VARIANTS, type Variant } from "../support/variants.js";

const skip = skipWithout("iscsi-ls") || (!hasIPv6Loopback() && "this machine has no IPv6");

const config = ({ port, port2 }: Places, { cache, workers }: Variant): string => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
  - { tag: 7, portals: ["[::1]:${port2}"] }
targets:
  - { name: iqn.2026-11.io.ringlun:both, portalGroups: [1, 7], luns: { 0: disk, 5: scratch } }
  - { name: iqn.2026-11.io.ringlun:one, portalGroups: [1], luns: { 300: disk } }
units:
  disk: { file: ./disk.img, size: 64MiB, cache: ${cache} }
  scratch: { null: true, size: 3GiB }
workers: ${workers}
`;

for (const variant of VARIANTS) {
  test(`iscsi-ls lists targets, portals and LUNs (${variant.name})`, { skip }, async (context) => {
    const target = await startVariant(variant, { config });
    context.after(() => target.stop());
    const { port, port2 } = target.places;
    const portals = [`iscsi://127.0.0.1:${port}`, `iscsi://[::1]:${port2}`];

    for (const portal of portals) {
      const listed = (await peerOutput("iscsi-ls", [portal])).trim().split("\n");
      assert.deepEqual(
        listed.sort(),
        [
          `Target:iqn.2026-11.io.ringlun:both Portal:127.0.0.1:${port},1`,
          `Target:iqn.2026-11.io.ringlun:both Portal:[::1]:${port2},7`,
          `Target:iqn.2026-11.io.ringlun:one Portal:127.0.0.1:${port},1`,
        ],
        `through ${portal}`,
      );

      // -s logs in to each target and measures each LUN.
      const shown = (await peerOutput("iscsi-ls", ["-s", portal])).trim().split("\n");
      const lunsOfBoth = ["Lun:0    Type:DIRECT_ACCESS (Size:63M)", "Lun:5    Type:DIRECT_ACCESS (Size:2G)"];
      // libiscsi takes the two bytes as they come: 300 in flat addressing, 412Ch.
      const lunsOfOne = ["Lun:16684 Type:DIRECT_ACCESS (Size:63M)"];
      assert.equal(shown.length, 3 + 2 * lunsOfBoth.length + lunsOfOne.length, shown.join("\n"));
      for (const [i, line] of shown.entries()) {
        if (!line.startsWith("Target:")) continue;
        const luns = line.includes(":both ") ? lunsOfBoth : lunsOfOne;
        assert.deepEqual(shown.slice(i + 1, i + 1 + luns.length), luns, shown.join("\n"));
      }
    }
  });
}
