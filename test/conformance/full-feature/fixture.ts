/** What the tests of the full feature phase share: a target, sessions on it, and the proof that no shard died of them. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME, type TargetOptions } from "../../support/target.js";

export const BLOCK_BYTES = 512;

export interface TestTarget {
  readonly running: RunningTarget;
  /** A session of its own, logged in with these keys. */
  login(keys?: Readonly<Record<string, string>>, options?: { readonly strict?: boolean }): Promise<RawInitiator>;
}

/** Starts a target for all tests of the file, and ends it after them with all sessions that they left. */
export function startTarget(options: TargetOptions = {}): TestTarget {
  let target: RunningTarget | undefined;
  const initiators: RawInitiator[] = [];
  const running = (): RunningTarget => {
    assert(target !== undefined, "the target is started before the tests");
    return target;
  };
  before(async () => {
    target = await RunningTarget.start(options);
  });
  after(async () => {
    for (const initiator of initiators) initiator.destroy();
    const { log } = running();
    await running().stop();
    assert.deepEqual(
      log.filter((line) => line.includes("shard died")),
      [],
    );
  });
  return {
    get running() {
      return running();
    },
    async login(keys = {}, loginOptions = {}) {
      const initiator = await RawInitiator.connect(running().port, loginOptions);
      initiators.push(initiator);
      await initiator.login({ targetName: TARGET_NAME, keys });
      return initiator;
    },
  };
}

/** Bytes that differ from one place to the next, and from one seed to another. */
export function pattern(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 7 + (i >> 8) * 13 + seed * 31) & 0xff;
  return bytes;
}
