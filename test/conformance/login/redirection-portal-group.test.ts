/** A portal group from which all initiators are sent elsewhere, whichever target they want; discovery is served there. */
import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { TARGET_NAME } from "../../support/target.js";
import { NAMES, refused, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === "::1"),
);
const MOVED = 0x0101;

const target = startTarget(
  ({ port, port2 }) => `
portalGroups:
  - tag: 1
    portals: ["127.0.0.1:${port}"${hasIPv6 ? `, "[::1]:${port}"` : ""}]
    redirect: { to: ["[2001:db8::7]:3260", "127.0.0.1:${port2}"] }
  - { tag: 2, portals: ["127.0.0.1:${port2}"] }
targets:
  - { name: "${TARGET_NAME}", portalGroups: [1, 2], luns: { 0: disk } }
units: { disk: { null: true, size: 64MiB } }
`,
);

test("RFC 7143 11.13.5: from one portal group to a portal of another one, where the target is served", async () => {
  const { port2 } = target.running.places;
  const moved = await refused(await target.connect(), { ...TO_FULL_FEATURE, keys: NAMES }, MOVED);
  assert.deepEqual([...moved.keys], [["TargetAddress", `127.0.0.1:${port2}`]]);
  const there = await target.connect({ port: port2 });
  await there.login({ targetName: TARGET_NAME });
});

test("RFC 7143 13.8: an initiator that comes over IPv6 is sent to an IPv6 address, where there is one", {
  skip: hasIPv6 ? false : "this machine has no IPv6 loopback",
}, async () => {
  const moved = await refused(await target.connect({ host: "::1" }), { ...TO_FULL_FEATURE, keys: NAMES }, MOVED);
  assert.deepEqual([...moved.keys], [["TargetAddress", "[2001:db8::7]:3260"]]);
});

test("RFC 7143 Appendix C: discovery is supported at each address, also there", async () => {
  const { port, port2 } = target.running.places;
  const initiator = await target.connect();
  await initiator.login({ sessionType: "Discovery" });
  const addresses = (await initiator.text({ SendTargets: "All" })).get("TargetAddress")!.split("\n");
  assert.ok(addresses.includes(`127.0.0.1:${port},1`) && addresses.includes(`127.0.0.1:${port2},2`));
});
