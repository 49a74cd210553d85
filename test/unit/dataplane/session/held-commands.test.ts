import assert from "node:assert/strict";
import test from "node:test";
import { COMMAND_WINDOW } from "../../../../dataplane/limits.js";
import { HeldCommands } from "../../../../dataplane/session/held-commands.js";
import { serialAdd } from "../../../../dataplane/wire/serial.js";
import fc from "../../../support/fast-check.js";

test("what is held is found by its CmdSN, in order, across the end of the numbers", () => {
  const held = new HeldCommands<string>();
  const expCmdSN = 0xffff_fffe;
  assert.deepEqual([...held.entries(expCmdSN)], []);
  held.set(1, "one");
  held.set(0xffff_ffff, "last");
  held.set(0, null);
  assert.deepEqual(
    [...held.entries(expCmdSN)],
    [
      [0xffff_ffff, "last"],
      [0, null],
      [1, "one"],
    ],
  );
  assert.equal(held.get(0), null);
  assert.ok(held.has(0));
  assert.equal(held.get(2), undefined);
  for (const [cmdSN] of held.entries(expCmdSN)) held.delete(cmdSN);
  assert.equal(held.size, 0);
});

test("a window that moves on: as a Map has it", () => {
  const steps = fc.array(fc.tuple(fc.nat(COMMAND_WINDOW - 1), fc.constantFrom("hold", "abort", "advance")), {
    maxLength: 600,
  });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), steps, (first, moves) => {
      const held = new HeldCommands<number>();
      const model = new Map<number, number | null>();
      let expCmdSN = first;
      for (const [ahead, move] of moves) {
        const cmdSN = serialAdd(expCmdSN, ahead);
        if (move === "advance") {
          held.delete(expCmdSN);
          model.delete(expCmdSN);
          expCmdSN = serialAdd(expCmdSN, 1);
        } else {
          held.set(cmdSN, move === "hold" ? ahead : null);
          model.set(cmdSN, move === "hold" ? ahead : null);
        }
        assert.equal(held.size, model.size);
        assert.equal(held.get(cmdSN), model.get(cmdSN));
      }
      assert.deepEqual(new Map(held.entries(expCmdSN)), model);
    }),
  );
});
