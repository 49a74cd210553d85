import assert from "node:assert/strict";
import { test } from "node:test";
import type { State, Statistics } from "../../../../control/http/documents.js";
import { choose, pathSummaries, pathsByState, type Unit } from "../../../../control/page/summary.js";

function unit(name: string, ...states: Unit["paths"][number]["state"][]): Unit {
  return {
    ...{
      name,
      uuid: "",
      kind: "file",
      sizeBytes: 0,
      blockLengthBytes: 512,
      cache: "direct",
      readOnly: false,
      thin: false,
      limits: null,
    },
    paths: states.map((state, index) => ({ portalGroupTag: index + 1, state, preferred: false })),
  };
}

function session(sessionId: number, portalGroupTag: number | null): State["sessions"][number] {
  const type = portalGroupTag === null ? "Discovery" : "Normal";
  return { sessionId, type, initiatorName: "", targetName: "", portalGroupTag, shard: 0, connections: [] };
}

const SERVING = { state: "serving", connections: 0 } as const;

const STATE: State = {
  ...{ version: "", ready: true, startedAt: "", shards: [], targets: [] },
  portals: [
    { portalGroupTag: 2, address: "b:1", ...SERVING, state: "draining" },
    { portalGroupTag: 1, address: "a:1", ...SERVING },
    { portalGroupTag: 2, address: "b:2", ...SERVING },
  ],
  units: [unit("x", "optimized", "standby"), unit("y", "optimized", "unavailable"), unit("z", "optimized", "standby")],
  sessions: [session(1, 1), session(2, 2), session(3, 2), session(4, null)],
};

test("paths are told with what they lead to, and what goes over them", () => {
  const sessions = [1, 2, 3].map((sessionId) => ({ sessionId, readBytes: 10 * sessionId, writtenBytes: sessionId }));
  assert.deepEqual(pathSummaries(STATE, { sessions } as unknown as Statistics), [
    {
      ...{ portalGroupTag: 1, addresses: ["a:1"], access: [["optimized", 3]], sessions: 1, outOfService: [] },
      ...{ readBytes: 10, writtenBytes: 1 },
    },
    {
      ...{ portalGroupTag: 2, addresses: ["b:1", "b:2"], sessions: 2, readBytes: 50, writtenBytes: 5 },
      outOfService: [{ address: "b:1", state: "draining" }],
      access: [
        ["standby", 2],
        ["unavailable", 1],
      ],
    },
  ]);
  assert.deepEqual(
    pathSummaries(STATE, undefined).map(({ readBytes }) => readBytes),
    [0, 0],
  );
});

test("a unit's paths stand together by their state, the best first", () => {
  const found = pathsByState(unit("x", "standby", "optimized", "standby", "non-optimized"));
  assert.deepEqual(
    found.map(([state, paths]) => [state, paths.map(({ portalGroupTag }) => portalGroupTag)]),
    [
      ["optimized", [2]],
      ["non-optimized", [4]],
      ["standby", [1, 3]],
    ],
  );
});

test("of too many the busiest are chosen, in the order that they have; a filter finds the others", () => {
  const all = [3, 9, 1, 7, 5].map((load) => ({ name: `Disk ${load}`, load }));
  const find = (wanted: string, max: number) => {
    const { shown, found } = choose(
      all,
      ({ name }) => name,
      wanted,
      ({ load }) => load,
      max,
    );
    return [shown.map(({ load }) => load), found];
  };
  assert.deepEqual(find("", 5), [[3, 9, 1, 7, 5], 5]);
  assert.deepEqual(find("", 2), [[9, 7], 5]);
  assert.deepEqual(find(" disk  1", 2), [[1], 1]);
  assert.deepEqual(find("tape", 2), [[], 0]);
});
