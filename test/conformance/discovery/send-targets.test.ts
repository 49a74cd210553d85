import assert from "node:assert/strict";
import { test } from "node:test";
import { TARGET_NAME } from "../../support/target.js";
import { configOf, startTarget } from "../login/fixture.js";

const OTHER = "iqn.2026-11.io.ringlun:other";
const target = startTarget(
  configOf({
    portalGroups: "[1, 2]",
    targets: `- { name: "${OTHER}", portalGroups: [2], luns: { 0: disk } }`,
  }),
);

async function sendTargets(value: string, targetName?: string): Promise<[string, string][]> {
  const initiator = await target.connect();
  await initiator.login({ sessionType: "Discovery", ...(targetName === undefined ? {} : { targetName }) });
  return [...(await initiator.text({ SendTargets: value }))];
}

const address = (tag: 1 | 2) => {
  const { port, port2 } = target.running.places;
  return `127.0.0.1:${tag === 1 ? port : port2},${tag}`;
};
const recordOf = (name: string, tags: readonly (1 | 2)[]) => [
  ["TargetName", name],
  ["TargetAddress", tags.map(address).join("\n")],
];

test("RFC 7143 Appendix C: SendTargets=All: every target, with all addresses of its portal groups and their tags", async () => {
  // Of keys that occur more than once the values are joined by newlines.
  assert.deepEqual(await sendTargets("All"), [
    ["TargetName", `${TARGET_NAME}\n${OTHER}`],
    ["TargetAddress", [address(1), address(2), address(2)].join("\n")],
  ]);
});

test("RFC 7143 Appendix C: SendTargets=name: this target, whether it can be reached here or not", async () => {
  assert.deepEqual(await sendTargets(TARGET_NAME), recordOf(TARGET_NAME, [1, 2]));
  assert.deepEqual(await sendTargets(OTHER), recordOf(OTHER, [2]));
  assert.deepEqual(await sendTargets(OTHER.toUpperCase()), recordOf(OTHER, [2]));
});

test("RFC 7143 Appendix C: a name that nobody has: no target at all", async () => {
  for (const name of ["iqn.2026-11.io.ringlun:nobody", "iqn.nobody", "eui.0200"]) {
    assert.deepEqual(await sendTargets(name), [], name);
  }
});

test("RFC 7143 Appendix C: SendTargets=: the target of a named session, none of an unnamed one", async () => {
  assert.deepEqual(await sendTargets("", TARGET_NAME), recordOf(TARGET_NAME, [1, 2]));
  assert.deepEqual(await sendTargets(""), []);
});

test("RFC 7143 Appendix C: a session may ask as often as it likes, and logs out", async () => {
  const initiator = await target.connect();
  await initiator.login({ sessionType: "Discovery" });
  for (let request = 0; request < 5; request++) {
    assert.equal((await initiator.text({ SendTargets: "All" })).size, 2);
  }
  assert.equal((await initiator.logout()).response, 0);
  assert.deepEqual(await initiator.receiveUntilClosed(), []);
});
