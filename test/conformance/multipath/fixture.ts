/** One disk behind two portal groups, and hosts that have a path through each. Bytes are written by hand, apart from the code under test. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { inquiry } from "../../support/cdb.js";
import type { CommandResult } from "../../support/raw-task.js";
import { GOOD } from "../../support/sense.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";
import { Host } from "../reservations/fixture.js";

export { GOOD };
export const SECOND_TARGET_NAME = `${TARGET_NAME}2`;
export const WORKERS = [1, 2];

export const OPTIMIZED = 0x0;
export const NON_OPTIMIZED = 0x1;
export const STANDBY = 0x2;
export const UNAVAILABLE = 0x3;
export const TRANSITIONING = 0xf;

export const STATE_CHANGED = "6/2a06";
export const IN_TRANSITION = "2/040a";
export const IN_STANDBY = "2/040b";
export const IN_UNAVAILABLE = "2/040c";

export interface Setting {
  /** Further keys of each portal group, as YAML flow mapping content. */
  readonly groups?: readonly [string, string];
  /** Further keys of the unit `disk`. */
  readonly disk?: string;
}

/** LUN 0 and LUN 1 are the same disk, LUN 2 is another one. A second target has the disk too, in the second group alone. */
export function config(
  { port, port2 }: Places,
  workers: number,
  { groups = ["", ""], disk = "" }: Setting = {},
): string {
  return `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"], ${groups[0]} }
  - { tag: 2, portals: ["127.0.0.1:${port2}"], ${groups[1]} }
targets:
  - { name: ${TARGET_NAME}, portalGroups: [1, 2], luns: { 0: disk, 1: disk, 2: other } }
  - { name: ${SECOND_TARGET_NAME}, portalGroups: [2], luns: { 5: disk } }
units:
  disk: { file: ./disk.img, size: 64MiB, cache: writeback, ${disk} }
  other: { file: ./other.img, size: 64MiB, cache: writeback }
workers: ${workers}
`;
}

/** REPORT TARGET PORT GROUPS. `format`: 0 length only, 1 extended. */
export function reportGroups(format = 0, allocationLength = 1024): Buffer {
  const cdb = Buffer.from([0xa3, (format << 5) | 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  cdb.writeUInt32BE(allocationLength, 6);
  return cdb;
}

/** SET TARGET PORT GROUPS of `[tag, state]` pairs: CDB and parameter list. */
export function setGroups(...states: readonly (readonly [number, number])[]): { cdb: Buffer; write: Buffer } {
  const write = Buffer.alloc(4 + 4 * states.length);
  for (const [index, [tag, state]] of states.entries()) {
    write[4 + 4 * index] = state;
    write.writeUInt16BE(tag, 6 + 4 * index);
  }
  return { cdb: setGroupsCdb(write.length), write };
}

export function setGroupsCdb(length: number): Buffer {
  const cdb = Buffer.from([0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  cdb.writeUInt32BE(length, 6);
  return cdb;
}

export interface Group {
  readonly tag: number;
  readonly state: number;
  readonly preferred: boolean;
  readonly statusCode: number;
  readonly ports: readonly number[];
}

/** The descriptors of REPORT TARGET PORT GROUPS, behind a header of `headerBytes`. */
export function parseGroups(data: Buffer, headerBytes = 4): Group[] {
  assert.equal(data.readUInt32BE(0), data.length - 4);
  const groups: Group[] = [];
  for (let at = headerBytes; at < data.length; ) {
    const count = data[at + 7]!;
    assert.equal(data[at + 1], 0x8f, "supported states");
    groups.push({
      state: data[at]! & 0x0f,
      preferred: (data[at]! & 0x80) !== 0,
      tag: data.readUInt16BE(at + 2),
      statusCode: data[at + 5]!,
      ports: Array.from({ length: count }, (_, index) => data.readUInt16BE(at + 8 + 4 * index + 2)),
    });
    at += 8 + 4 * count;
  }
  return groups;
}

export class Path extends Host {
  async groups(lun = 0): Promise<Group[]> {
    return parseGroups(await this.initiator.good({ cdb: reportGroups(), read: 1024, lun }));
  }

  /** "1: 0, 2: 3": the states by group. */
  async states(lun = 0): Promise<string> {
    return (await this.groups(lun)).map(({ tag, state }) => `${tag}: ${state}`).join(", ");
  }

  set(...states: readonly (readonly [number, number])[]): Promise<string> {
    return this.run({ ...setGroups(...states) });
  }

  async result(command: Parameters<Path["run"]>[0]): Promise<CommandResult> {
    return this.initiator.command(command);
  }

  /** A page of vital product data, or standard data. */
  inquiry(page?: number, lun = 0): Promise<Buffer> {
    return this.initiator.good({ cdb: inquiry(page), read: 255, lun });
  }
}

export interface Paths {
  readonly target: RunningTarget;
  /** Logged in. With several shards those that follow each other are on different ones. */
  path(name: string, portalGroup: number): Promise<Path>;
}

/** Starts a target for all tests of the suite. */
export function startPaths(workers: number, setting: Setting = {}): Paths {
  let target: RunningTarget | undefined;
  const paths: Path[] = [];
  const running = (): RunningTarget => {
    assert(target !== undefined, "the target is started before the tests");
    return target;
  };
  before(async () => {
    target = await RunningTarget.start({ config: (places) => config(places, workers, setting) });
  });
  after(async () => {
    for (const path of paths) path.drop();
    const { log } = running();
    await running().stop();
    assert.deepEqual(
      log.filter((line) => line.includes("shard died") || line.includes("SCSI command failed")),
      [],
    );
  });
  return {
    get target() {
      return running();
    },
    async path(name, portalGroup) {
      const path = new Path(running, name, 1, portalGroup);
      paths.push(path);
      return path.logIn();
    },
  };
}

/** Reads the configuration file again and waits until that counts. */
export async function reload(target: RunningTarget, yaml: string): Promise<void> {
  await target.configure(yaml);
  const from = target.log.length;
  target.reload();
  await target.waitForLog(/configuration reloaded/, undefined, from);
}
