/** INQUIRY as libiscsi's iscsi-inq prints it, through portals on IPv4 and IPv6. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasIPv6Loopback } from "../../control/config/demo.js";
import { peerOutput } from "../support/peer-process.js";
import { skipWithout } from "../support/peers.js";
import { type Places, TARGET_NAME } from "../support/target.js";
import { startVariant, VARIANTS, type Variant } from "../support/variants.js";

const skip = skipWithout("iscsi-inq") || (!hasIPv6Loopback() && "this machine has no IPv6");
const ID = "6f1f7b4a-3a3f-4b55-8f56-0c1de7a3a001";

const config = ({ port, port2 }: Places, { cache, workers }: Variant): string => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}", "[::1]:${port2}"] }
targets:
  - { name: ${TARGET_NAME}, portalGroups: [1], luns: { 0: disk } }
units:
  disk: { file: ./disk.img, size: 64MiB, cache: ${cache}, blockLength: 4096, removable: true, id: ${ID} }
workers: ${workers}
`;

for (const variant of VARIANTS) {
  test(`iscsi-inq reads standard and vital product data (${variant.name})`, { skip }, async (context) => {
    const target = await startVariant(variant, { config });
    context.after(() => target.stop());
    const { port, port2 } = target.places;
    for (const portal of [`127.0.0.1:${port}`, `[::1]:${port2}`]) {
      const url = `iscsi://${portal}/${TARGET_NAME}/0`;
      const page = async (code: number) =>
        (await peerOutput("iscsi-inq", ["-e", "1", "-c", String(code), url])).split("\n");

      const standard = await peerOutput("iscsi-inq", [url]);
      for (const line of [
        "Peripheral Qualifier:CONNECTED",
        "Peripheral Device Type:DIRECT_ACCESS",
        "Removable:1",
        "HiSup:1",
        "ReponseDataFormat:2",
        "CmdQue:1",
        "Vendor:RINGLUN ",
        "Product:Virtual Disk    ",
        "Version Descriptor:0960 iSCSI",
      ]) {
        assert(standard.split("\n").includes(line), `${line} in:\n${standard}`);
      }

      const supported = await page(0x00);
      for (const code of ["00", "80", "83", "b0", "b1", "b2"]) {
        assert(
          supported.some((line) => line.startsWith(`Page:0x${code} `)),
          `page ${code}h in:\n${supported.join("\n")}`,
        );
      }

      assert.equal((await page(0x80))[0], `Unit Serial Number:[${ID}]`);

      const designators = await page(0x83);
      for (const designator of [
        `Designator:[${TARGET_NAME}]`,
        `Designator:[${TARGET_NAME},t,0x0001]`,
        `Designator:[RINGLUN ${ID}]`,
        "Designator Type:(3) NAA",
      ]) {
        assert(designators.includes(designator), `${designator} in:\n${designators.join("\n")}`);
      }

      const limits = await page(0xb0);
      for (const line of [
        "optimal transfer length granularity:1",
        "maximum unmap lba count:4294967295",
        "optimal unmap granularity:0",
      ]) {
        assert(limits.includes(line), `${line} in:\n${limits.join("\n")}`);
      }

      assert.equal((await page(0xb1))[0], "Medium Rotation Rate:1RPM", "libiscsi's words for a non-rotating medium");

      const provisioning = await page(0xb2);
      for (const line of ["lbpu:1", "lbpws:1", "lbprz:1", "provisioning type:2"]) {
        assert(provisioning.includes(line), `${line} in:\n${provisioning.join("\n")}`);
      }
    }
  });
}
