/** Targets and hosts for SANITIZE and FORMAT UNIT. Bytes are written by hand, apart from the code under test. */
import assert from "node:assert/strict";
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requestSense, testUnitReady } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import type { CommandOptions } from "../../support/raw-task.js";
import { describeSense, GOOD, outcomeOf } from "../../support/sense.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";
import type { Undo } from "../../support/undo.js";
import { TEMPORARY_FOLDER } from "../../support/variants.js";

export const MIB = 2 ** 20;
export const BLOCK_BYTES = 512;
export const UNIT_BYTES = 32 * MIB;
const EVENTUALLY_MS = 60_000;

// What became of a command.
export const SANITIZE_IN_PROGRESS = "2/041b";
export const FORMAT_IN_PROGRESS = "2/0404";
export const MEDIUM_FORMAT_CORRUPTED = "3/3100";
export const FORMAT_COMMAND_FAILED = "3/3101";
export const SANITIZE_COMMAND_FAILED = "3/3103";
export const INVALID_FIELD_IN_CDB = "5/2400";
export const WRITE_PROTECTED = "7/2700";

// Service actions of SANITIZE, and bits beside them.
export const OVERWRITE = 0x01;
export const BLOCK_ERASE = 0x02;
export const CRYPTOGRAPHIC_ERASE = 0x03;
export const EXIT_FAILURE_MODE = 0x1f;
export const IMMED = 0x80;
export const AUSE = 0x20;

export interface TargetSetup {
  readonly workers?: number;
  readonly cache?: "direct" | "writeback" | "writethrough";
  /** How fast it is overwritten: slow enough for a look at it. */
  readonly eraseRate?: string;
  readonly path?: string;
  readonly sizeBytes?: number;
  /** LUN 0 and LUN 1 are the disk, LUN 1 read-only; LUN 2 is another unit. */
  readonly more?: string;
}

export async function startTarget(undo: Undo, setup: TargetSetup = {}): Promise<RunningTarget> {
  const { workers = 2, cache = "writeback", eraseRate, path = "./disk.img", sizeBytes = UNIT_BYTES, more = "" } = setup;
  const rate = eraseRate === undefined ? "" : `, eraseRate: ${eraseRate}`;
  const target = await RunningTarget.start({
    temporaryFolder: TEMPORARY_FOLDER,
    config: ({ port, httpPort }: Places) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - { name: ${TARGET_NAME}, portalGroups: [1], luns: { 0: disk, 1: { unit: disk, readOnly: true }, 2: other } }
units:
  disk: { file: "${path}", size: ${sizeBytes}, cache: ${cache}${rate}${more} }
  other: { file: ./other.img, size: 4MiB }
http: { listen: "127.0.0.1:${httpPort}" }
workers: ${workers}
`,
  });
  undo.add(() => target.stop());
  return target;
}

export function diskPath(target: RunningTarget): string {
  return join(target.places.directory, "disk.img");
}

export class Host {
  readonly initiator: RawInitiator;

  private constructor(initiator: RawInitiator) {
    this.initiator = initiator;
  }

  /** With several shards those that follow each other are on different ones. What a new session is told of is heard. */
  static async logIn(undo: Undo, target: RunningTarget, name = "host"): Promise<Host> {
    const initiator = await RawInitiator.connect(target.port);
    undo.add(() => initiator.destroy());
    await initiator.login({
      targetName: TARGET_NAME,
      initiatorName: `iqn.2026-11.io.ringlun:${name}`,
      keys: { MaxRecvDataSegmentLength: "262144", ImmediateData: "No", InitialR2T: "Yes" },
    });
    const host = new Host(initiator);
    for (const lun of [0, 1, 2]) {
      while ((await host.run({ cdb: testUnitReady(), lun })).startsWith("6/")) {
        // The next one.
      }
    }
    return host;
  }

  async run(command: CommandOptions, timeoutMs = EVENTUALLY_MS): Promise<string> {
    return outcomeOf(await this.initiator.command(command, timeoutMs));
  }

  ready(lun = 0): Promise<string> {
    return this.run({ cdb: testUnitReady(), lun });
  }

  sanitize(action: number, list?: Buffer, lun = 0): Promise<string> {
    return this.run(sanitizeCommand(action, list, lun));
  }

  format(flags = 0, list?: Buffer): Promise<string> {
    return this.run({ cdb: Buffer.from([0x04, flags, 0, 0, 0, 0]), ...(list === undefined ? {} : { write: list }) });
  }

  /** REQUEST SENSE: key, code and, if there is one, the PROGRESS INDICATION. */
  async pollable(): Promise<{ readonly sense: string; readonly progress: number | undefined }> {
    const data = await this.initiator.good({ cdb: requestSense(), read: 252 });
    return { sense: describeSense(data), progress: progressOf(data) };
  }

  /** Resolves when the unit is ready again; while it is not, it says `meanwhile`. Returns the progress that was seen. */
  async untilReady(meanwhile: string): Promise<number[]> {
    const seen: number[] = [];
    const endMs = performance.now() + EVENTUALLY_MS;
    for (;;) {
      const result = await this.initiator.command({ cdb: testUnitReady() });
      const outcome = outcomeOf(result);
      if (outcome === GOOD) return seen;
      // Of a reset, say.
      if (!outcome.startsWith("6/")) {
        assert.equal(outcome, meanwhile);
        seen.push(progressOf(result.sense) ?? -1);
      }
      assert.ok(performance.now() < endMs, `not ready within ${EVENTUALLY_MS} ms`);
      await sleep(20);
    }
  }
}

/** Parameter list of OVERWRITE. */
export function overwriteList(pattern: Buffer, count = 1): Buffer {
  const list = Buffer.alloc(4 + pattern.length);
  list[0] = count;
  list.writeUInt16BE(pattern.length, 2);
  pattern.copy(list, 4);
  return list;
}

export function sanitizeCommand(action: number, list?: Buffer, lun = 0): CommandOptions {
  const cdb = Buffer.alloc(10);
  cdb[0] = 0x48;
  cdb[1] = action;
  cdb.writeUInt16BE(list?.length ?? 0, 7);
  return { cdb, lun, ...(list === undefined ? {} : { write: list }) };
}

export function progressOf(sense: Buffer): number | undefined {
  return (sense[15]! & 0x80) === 0 ? undefined : sense.readUInt16BE(16);
}

/** Whether all of the file is the pattern, again and again. */
export function assertContent(path: string, pattern: Buffer, sizeBytes = UNIT_BYTES): void {
  const fd = openSync(path, "r");
  try {
    const expected = Buffer.alloc(MIB, pattern);
    assert.equal(MIB % pattern.length, 0, "the pattern fits");
    const chunk = Buffer.alloc(MIB);
    for (let at = 0; at < sizeBytes; at += MIB) {
      const length = readSync(fd, chunk, 0, MIB, at);
      assert.ok(chunk.subarray(0, length).equals(expected.subarray(0, length)), `other content at ${at}`);
      assert.equal(length, Math.min(MIB, sizeBytes - at));
    }
  } finally {
    closeSync(fd);
  }
}
