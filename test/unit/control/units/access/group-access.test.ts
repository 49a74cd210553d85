import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PathAccess } from "../../../../../control/config/schema.js";
import {
  changedGroups,
  reconfigured,
  type UnitAccess,
  withStates,
} from "../../../../../control/units/access/group-access.js";

const OPTIMIZED: PathAccess = { state: "optimized", preferred: false };
const STANDBY: PathAccess = { state: "standby", preferred: false };
const PREFERRED: PathAccess = { state: "optimized", preferred: true };

function paths(...list: PathAccess[]): ReadonlyMap<number, PathAccess> {
  return new Map(list.map((path, index) => [index + 1, path]));
}

const CONFIGURED = paths(OPTIMIZED, STANDBY);
const STARTED = reconfigured(new Map(), CONFIGURED);

/** "state status setOver" of each group; + marks a preferred one. */
function show(access: UnitAccess): string[] {
  return [...access.values()].map(
    ({ state, statusCode, setOver, preferred }) => `${state} ${statusCode} ${setOver ?? "-"}${preferred ? " +" : ""}`,
  );
}

test("at first a unit is as it is configured, for no reason", () => {
  assert.deepEqual(show(STARTED), ["0 0 -", "2 0 -"]);
});

describe("set by an initiator", () => {
  const set = withStates(STARTED, new Map([[2, 0]]), CONFIGURED);

  test("a group is explicitly what was asked for, over what is configured", () => {
    assert.deepEqual(show(set), ["0 0 -", "0 1 standby"]);
    assert.deepEqual(changedGroups(STARTED, set), [2]);
  });

  test("what is so already stays as it is", () => {
    assert.deepEqual(show(withStates(STARTED, new Map([[1, 0]]), CONFIGURED)), show(STARTED));
  });

  test("set back to what is configured, nothing stands over the configuration", () => {
    assert.deepEqual(show(withStates(set, new Map([[2, 2]]), CONFIGURED)), ["0 0 -", "2 1 -"]);
  });

  test("it stays where a configuration says what it said, whatever changes beside it", () => {
    const after = reconfigured(set, paths(PREFERRED, STANDBY));
    assert.deepEqual(show(after), ["0 0 - +", "0 1 standby"]);
    assert.deepEqual(changedGroups(set, after), [1]);
  });

  test("a configuration that says something else wins", () => {
    const after = reconfigured(set, paths(OPTIMIZED, { state: "unavailable", preferred: false }));
    assert.deepEqual(show(after), ["0 0 -", "3 2 -"]);
  });

  test("a configuration that says the same as the initiator: the state is the configured one again", () => {
    const after = reconfigured(set, paths(OPTIMIZED, OPTIMIZED));
    assert.deepEqual(show(after), ["0 0 -", "0 1 -"]);
    assert.deepEqual(changedGroups(set, after), []);
    assert.deepEqual(show(reconfigured(after, CONFIGURED)), ["0 0 -", "2 2 -"]);
  });
});

test("groups that are added are told of as they are configured, those that are gone not any more", () => {
  const after = reconfigured(
    STARTED,
    new Map([
      [2, STANDBY],
      [3, PREFERRED],
    ]),
  );
  assert.deepEqual([...after.keys()], [2, 3]);
  assert.deepEqual(show(after), ["2 0 -", "0 0 - +"]);
  assert.deepEqual(changedGroups(STARTED, after), []);
});
