import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { TARGET_NAME } from "../../support/target.js";
import { startTarget } from "../login/fixture.js";

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === "::1"),
);

// Group 1 listens on all IPv4 addresses, group 2 on all of IPv6.
const target = startTarget(({ port, port2 }) => {
  const groups = hasIPv6 ? "[1, 2]" : "[1]";
  return `
portalGroups:
  - { tag: 1, portals: ["0.0.0.0:${port}"] }
${hasIPv6 ? `  - { tag: 2, portals: ["[::]:${port2}"] }` : ""}
targets:
  - { name: "${TARGET_NAME}", portalGroups: ${groups}, luns: { 0: disk } }
units:
  disk: { null: true, size: 64MiB }
`;
});

async function addressesBy(host: string, port: number): Promise<string[]> {
  const initiator = await target.connect({ host, port });
  await initiator.login({ sessionType: "Discovery" });
  const { TargetAddress = "" } = Object.fromEntries(await initiator.text({ SendTargets: "All" }));
  return TargetAddress.split("\n");
}

test("RFC 7143 13.8: a portal on all addresses is known by that which the initiator has used, with its tag", async () => {
  const { port } = target.running.places;
  assert.deepEqual(await addressesBy("127.0.0.1", port), [`127.0.0.1:${port},1`]);
  assert.deepEqual(await addressesBy("127.0.0.2", port), [`127.0.0.2:${port},1`]);
});

test("RFC 7143 13.8: an IPv6 address stands in brackets", {
  skip: hasIPv6 ? false : "this machine has no IPv6 loopback",
}, async () => {
  const { port2 } = target.running.places;
  assert.deepEqual(await addressesBy("::1", port2), [`[::1]:${port2},2`]);
});

test("RFC 7143 Appendix C: likewise in a Normal session", async () => {
  const { port } = target.running.places;
  const initiator = await target.connect({ host: "127.0.0.3", port });
  await initiator.login({ targetName: TARGET_NAME });
  assert.equal((await initiator.text({ SendTargets: "" })).get("TargetAddress"), `127.0.0.3:${port},1`);
});
