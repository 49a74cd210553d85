/** Whom a reservation exempts, and what always holds whatever comes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Nexus, nexusKey } from "../../../../../control/units/reservations/nexus.js";
import { withoutReserve } from "../../../../../control/units/reservations/reserve-unit.js";
import { assertValid, conflictsOf, isExempt, isHolder } from "../../../../../control/units/reservations/state.js";
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
} from "../../../../../dataplane/scsi/command.js";
import fc from "../../../../support/fast-check.js";
import {
  A,
  A2,
  ALL_TYPES,
  B,
  C,
  deviceTransportId,
  moveList,
  nameOf,
  REGISTER_AND_MOVE,
  type Result,
  transportId,
  Unit,
} from "./fixture.js";

test("who is exempt from a persistent reservation, and from what it keeps the others", () => {
  for (const type of ALL_TYPES) {
    const { state } = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, type);
    const isShared = type >= 5;
    assert.deepEqual(
      [A, B, C, A2].map((nexus) => isExempt(state, nexus)),
      [true, isShared, false, false],
      `type ${type}`,
    );
    const writesOnly = type === 1 || type === 5 || type === 7;
    assert.equal(
      conflictsOf(state),
      writesOnly ? COMMAND_CONFLICTS_WRITE_EXCLUSIVE : COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
    );
  }
});

test("without a reservation nothing is kept from anybody", () => {
  const unit = new Unit().registered([A, 1]);
  assert.equal(conflictsOf(unit.state), 0);
  assert.ok(isExempt(unit.state, C));
});

test("RESERVE keeps everything from everybody else", () => {
  const unit = new Unit();
  unit.reserve(A);
  assert.equal(conflictsOf(unit.state), COMMAND_CONFLICTS_RESERVE);
  assert.equal(isHolder(unit.state, A), false, "that is for persistent reservations");
});

// -- properties

const NEXUSES: readonly Nexus[] = [A, A2, B, C];
const nexus = fc.constantFrom(...NEXUSES);
const ownKey = fc.integer({ min: 0, max: 3 });
const ids = fc.constantFrom(transportId(A), transportId(B), transportId(C), deviceTransportId(B.initiatorName));

type Action = (unit: Unit) => readonly [Nexus, Result];

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .record({
        sender: nexus,
        action: fc.integer({ min: 0, max: 6 }),
        own: fc.option(ownKey),
        actionKey: ownKey,
        scope: fc.constantFrom(0, 0, 0, 0, 1),
        type: fc.constantFrom(...ALL_TYPES, 2),
        flags: fc.constantFrom(0, 0, 0, 1, 4, 5, 8, 12),
        transportIds: fc.array(ids, { maxLength: 3 }),
      })
      .map(({ sender, action, own, actionKey, scope, type, flags, transportIds }): Action => {
        return (unit) => {
          // Mostly the right key: with others little happens.
          const registered = unit.state.registrations.get(nexusKey(sender))?.key;
          const command = { key: own ?? Number.parseInt(registered ?? "0", 16), actionKey, scope, type, flags };
          return [sender, unit.out(sender, action, (flags & 8) === 0 ? command : { ...command, transportIds })];
        };
      }),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({
        sender: nexus,
        actionKey: ownKey,
        flags: fc.integer({ min: 0, max: 3 }),
        port: fc.constantFrom(1, 2, 3),
        id: ids,
      })
      .map(({ sender, actionKey, flags, port, id }): Action => {
        return (unit) => {
          const registered = unit.state.registrations.get(nexusKey(sender))?.key;
          const own = Number.parseInt(registered ?? "0", 16);
          const list = moveList({ key: own, actionKey, flags, port, transportId: id });
          return [sender, unit.out(sender, REGISTER_AND_MOVE, { list })];
        };
      }),
  },
  {
    weight: 1,
    arbitrary: nexus.map(
      (sender): Action =>
        (unit) => [sender, unit.reserve(sender)],
    ),
  },
  {
    weight: 1,
    arbitrary: nexus.map(
      (sender): Action =>
        (unit) => [sender, unit.release(sender)],
    ),
  },
  {
    weight: 1,
    arbitrary: nexus.map(
      (sender): Action =>
        (unit) => {
          const outcome = withoutReserve(unit.state, sender);
          if (outcome?.kind === "changed") unit.state = outcome.state;
          return [sender, { answer: "lost", notices: {}, aborted: [] }];
        },
    ),
  },
);

test("whatever comes, the state stays valid, and what is told fits what has changed", () => {
  const property = fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
    const unit = new Unit();
    unit.known.set(B.initiatorName, [B.isid]);
    for (const act of actions) {
      const before = unit.state;
      const [sender, { answer, notices, aborted }] = act(unit);
      const after = unit.state;
      assertValid(after);
      if (answer !== "good" && answer !== "lost") assert.equal(after, before, "what is refused changes nothing");

      const told = Object.values(notices).flat();
      assert.equal(new Set(told).size, told.length, "nobody is told twice");
      assert.ok(!told.includes(nameOf(sender)), "the sender is not told of what it does itself");
      const wasRegistered = new Set([...before.registrations.values()].map((each) => nameOf(each.nexus)));
      for (const name of [...told, ...aborted]) assert.ok(wasRegistered.has(name), "who is concerned was registered");

      // Who lost its registration to another is told, once; who unregistered itself is not.
      const isRegistered = new Set([...after.registrations.values()].map((each) => nameOf(each.nexus)));
      const lost = [...wasRegistered].filter((name) => !isRegistered.has(name));
      const isOwn = (name: string) => name.split("/")[0] === nameOf(sender).split("/")[0];
      for (const name of lost) assert.ok(told.includes(name) || isOwn(name), `${name} lost its registration`);

      // What changes registrations counts, once.
      if (before.registrations !== after.registrations) assert.equal(after.generation, before.generation + 1);
      else assert.equal(after.generation, before.generation);
    }
  });
  fc.assert(property, { numRuns: 1500 });
});

test("any parameter list gets a legal answer", () => {
  const property = fc.property(
    fc.integer({ min: 0, max: 7 }),
    fc.integer({ min: 0, max: 255 }),
    fc.uint8Array({ maxLength: 120 }),
    fc.option(fc.integer({ min: 0, max: 0xffff_ffff })),
    (serviceAction, scopeAndType, list, length) => {
      const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, 5);
      const command = { scope: scopeAndType >>> 4, type: scopeAndType & 15, list, length: length ?? list.length };
      const { answer } = unit.out(A, serviceAction, command);
      assert.match(answer, /^(?:good|conflict|1a\/00|24\/00 cdb [\d.]+|26\/00 list [\d.]+|26\/04)$/);
      assertValid(unit.state);
    },
  );
  fc.assert(property, { numRuns: 2000 });
});
