/** The configuration of the demo, which needs no file. */
import { mkdirSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { resolve } from "node:path";
import { formatPath } from "./findings.js";
import { systemReason } from "./named-files.js";
import { parseConfiguration } from "./parse.js";
import type { Configuration } from "./schema.js";

export const DEMO_TARGET = "iqn.2026-11.io.ringlun:demo";

/**
 * What `npm start` serves: a sparse file of 1 GiB, everything under `demo/` in `folder`, which is made if it is not
 * there. Without `ipv6`, [::1] is left out of the portals. Throws where what is there already cannot be used.
 */
export function demoConfiguration(folder: string, ipv6 = hasIPv6Loopback()): Configuration {
  const base = resolve(folder, "demo");
  try {
    mkdirSync(base, { recursive: true });
  } catch (error) {
    throw new Error(`demo: the folder ${base} cannot be made: ${systemReason(error)}`, { cause: error });
  }
  const document = {
    portalGroups: [{ tag: 1, portals: ["127.0.0.1:3260", ...(ipv6 ? ["[::1]:3260"] : [])] }],
    targets: [{ name: DEMO_TARGET, alias: "Ringlun demo", portalGroups: [1], luns: { 0: "demo" } }],
    units: { demo: { file: "demo.img", size: "1GiB", cache: "direct" } },
    http: { listen: "127.0.0.1:9260" },
    stateDir: "state",
  };
  const result = parseConfiguration(document, { file: resolve(base, "demo.yaml") });
  if (result.ok) return result.configuration;
  throw new Error(result.faults.map(({ path, message }) => `demo: ${formatPath(path)}: ${message}`).join("\n"));
}

/** Whether a portal on [::1] can listen: kernels and containers without IPv6 are still about. */
export function hasIPv6Loopback(): boolean {
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === "::1"));
}
