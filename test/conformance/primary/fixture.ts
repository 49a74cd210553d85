/** One target on two shards for a file of tests, and initiators that have heard what a new session is told. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { parseSense } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { CommandResult } from "../../support/raw-task.js";
import { logIn } from "../../support/served-units.js";
import { RunningTarget, type TargetOptions } from "../../support/target.js";
import { Undo } from "../../support/undo.js";

export interface Fixture {
  readonly target: RunningTarget;
  login(name: string, luns?: number): Promise<RawInitiator>;
}

/** To be called once, outside of tests. */
export function serve(options: TargetOptions = {}): Fixture {
  const undo = new Undo({ after });
  let target: RunningTarget | undefined;
  before(async () => {
    target = await RunningTarget.start({ workers: 2, ...options });
    undo.add(() => target!.stop());
  });
  return {
    get target() {
      assert.ok(target !== undefined);
      return target;
    },
    login(name, luns = 1) {
      return logIn(undo, this.target, luns, `iqn.2026-11.io.ringlun:${name}`);
    },
  };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function assertSense({ status, sense }: CommandResult, key: number, asc: number, ascq: number): void {
  assert.equal(status, 2, "CHECK CONDITION");
  const parsed = parseSense(sense);
  assert.deepEqual([parsed.key, parsed.asc, parsed.ascq], [key, asc, ascq]);
}
