/** Hosts that share a disk through two portal groups of one target. Bytes are written by hand, apart from the code under test. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { GOOD, outcomeOf } from "../../support/sense.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";

export const WORKERS = [1, 2];
export const BLOCK_BYTES = 512;
const EVENTUALLY_MS = 60_000;

// Service actions of PERSISTENT RESERVE OUT.
export const REGISTER = 0;
export const RESERVE = 1;
export const RELEASE = 2;
export const CLEAR = 3;
export const PREEMPT = 4;
export const PREEMPT_AND_ABORT = 5;
export const REGISTER_AND_IGNORE = 6;
export const REGISTER_AND_MOVE = 7;
export const REPLACE_LOST = 8;
/** Of PERSISTENT RESERVE IN. */
export const READ_FULL_STATUS = 3;

export const WRITE_EXCLUSIVE = 1;
export const EXCLUSIVE_ACCESS = 3;
export const WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5;
export const EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 6;
export const WRITE_EXCLUSIVE_ALL_REGISTRANTS = 7;
export const EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8;

/** Bits of byte 20 of the parameter list. */
export const APTPL = 0x01;
export const ALL_TG_PT = 0x04;
export const SPEC_I_PT = 0x08;

// Unit attentions.
export const RESERVATIONS_PREEMPTED = "6/2a03";
export const RESERVATIONS_RELEASED = "6/2a04";
export const REGISTRATIONS_PREEMPTED = "6/2a05";

/** LUN 0 and LUN 1 are the same disk, LUN 2 is another one. */
export function config({ port, port2 }: Places, workers: number): string {
  return `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
  - { tag: 2, portals: ["127.0.0.1:${port2}"] }
targets:
  - { name: ${TARGET_NAME}, portalGroups: [1, 2], luns: { 0: disk, 1: disk, 2: other } }
units:
  disk: { file: ./disk.img, size: 64MiB, cache: writeback }
  other: { file: ./other.img, size: 64MiB, cache: writeback }
workers: ${workers}
`;
}

export interface ListFields {
  readonly key?: number;
  readonly actionKey?: number;
  /** Byte 20. */
  readonly flags?: number;
  readonly transportIds?: readonly Buffer[];
}

export interface OutOptions extends ListFields {
  readonly type?: number;
  readonly lun?: number;
}

/** An initiator port behind a portal group: what SPC calls an I_T nexus, over all of its sessions. */
export class Host {
  readonly name: string;
  readonly isid: Buffer;
  readonly portalGroup: number;
  readonly #target: () => RunningTarget;
  #initiator: RawInitiator | undefined;

  constructor(target: () => RunningTarget, name: string, isid: number, portalGroup: number) {
    this.#target = target;
    this.name = `iqn.2026-11.io.ringlun:${name}`;
    this.isid = Buffer.from([0x80, 0, 0, 0, 0, isid]);
    this.portalGroup = portalGroup;
  }

  get initiator(): RawInitiator {
    assert(this.#initiator !== undefined, `${this.name} is logged in`);
    return this.#initiator;
  }

  /** A session of its nexus. What a new session is told of (a power-on, say) is heard. */
  async logIn(): Promise<this> {
    const { port, port2 } = this.#target().places;
    const session = new SessionNumbers({ isid: this.isid });
    this.#initiator = await RawInitiator.connect(this.portalGroup === 1 ? port : port2, { session });
    await this.#initiator.login({ targetName: TARGET_NAME, initiatorName: this.name });
    for (const lun of [0, 1, 2]) {
      while ((await this.run({ cdb: testUnitReady(), lun })).startsWith("6/")) {
        // The next one.
      }
    }
    return this;
  }

  async logOut(): Promise<void> {
    await this.initiator.logout();
    await this.initiator.receiveUntilClosed();
    this.#initiator = undefined;
  }

  /** The connection breaks. */
  drop(): void {
    this.#initiator?.destroy();
    this.#initiator = undefined;
  }

  /** What became of a command: "good", "conflict", or its sense: "5/2600". */
  async run(command: Parameters<RawInitiator["command"]>[0]): Promise<string> {
    return outcomeOf(await this.initiator.command(command));
  }

  read(lun = 0): Promise<string> {
    return this.run({ cdb: read10(0, 1), read: BLOCK_BYTES, lun });
  }

  write(lun = 0, lba = 0): Promise<string> {
    return this.run({ cdb: write10(lba, 1), write: Buffer.alloc(BLOCK_BYTES, 0x5a), lun });
  }

  /** RESERVE (6). */
  reserve(): Promise<string> {
    return this.run({ cdb: Buffer.from([0x16, 0, 0, 0, 0, 0]) });
  }

  /** RELEASE (6). */
  release(): Promise<string> {
    return this.run({ cdb: Buffer.from([0x17, 0, 0, 0, 0, 0]) });
  }

  out(action: number, { type = 0, lun = 0, ...fields }: OutOptions = {}): Promise<string> {
    const write = basicList(fields);
    return this.run({ cdb: outCdb(action, type, write.length), write, lun });
  }

  register(actionKey: number, flags = 0): Promise<string> {
    return this.out(REGISTER, { actionKey, flags });
  }

  async keys(): Promise<number[]> {
    const data = await this.in(0);
    return Array.from({ length: (data.length - 8) / 8 }, (_, i) => Number(data.readBigUInt64BE(8 + 8 * i)));
  }

  /** Key and type of the reservation; undefined without one. */
  async reservation(): Promise<{ readonly key: number; readonly type: number } | undefined> {
    const data = await this.in(1);
    return data.length === 8 ? undefined : { key: Number(data.readBigUInt64BE(8)), type: data[21]! };
  }

  async generation(): Promise<number> {
    return (await this.in(0)).readUInt32BE(0);
  }

  in(action: number): Promise<Buffer> {
    const cdb = Buffer.from([0x5e, action, 0, 0, 0, 0, 0, 0x20, 0, 0]);
    return this.initiator.good({ cdb, read: 0x2000 });
  }

  /** All unit attentions that are pending on the LUN, in order. */
  async attentions(lun = 0): Promise<string[]> {
    const found: string[] = [];
    for (;;) {
      const outcome = await this.run({ cdb: testUnitReady(), lun });
      if (!outcome.startsWith("6/")) return found;
      found.push(outcome);
    }
  }

  /** Format 01b. */
  get transportId(): Buffer {
    return transportId(0x45, `${this.name},i,0x${this.isid.toString("hex")}`);
  }
}

export function transportId(format: number, text: string): Buffer {
  const additionalLength = Math.max(20, Math.ceil((text.length + 1) / 4) * 4);
  const bytes = Buffer.alloc(4 + additionalLength);
  bytes[0] = format;
  bytes.writeUInt16BE(additionalLength, 2);
  bytes.write(text, 4);
  return bytes;
}

export function outCdb(action: number, type: number, length: number): Buffer {
  const cdb = Buffer.from([0x5f, action, type, 0, 0, 0, 0, 0, 0, 0]);
  cdb.writeUInt32BE(length, 5);
  return cdb;
}

export function basicList({ key = 0, actionKey = 0, flags = 0, transportIds }: ListFields): Buffer {
  const list = Buffer.alloc(24);
  list.writeBigUInt64BE(BigInt(key), 0);
  list.writeBigUInt64BE(BigInt(actionKey), 8);
  list[20] = flags;
  if (transportIds === undefined) return list;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(transportIds.reduce((sum, id) => sum + id.length, 0));
  return Buffer.concat([list, length, ...transportIds]);
}

export interface Cluster {
  readonly target: RunningTarget;
  /** A nexus of its own, logged in. With several shards those that follow each other are on different ones. */
  host(name: string, options?: { readonly isid?: number; readonly portalGroup?: number }): Promise<Host>;
  /** Without registrations and reservations; nobody is logged in. Before each test. */
  reset(): Promise<void>;
}

/** Starts a target for all tests of the suite. */
export function startCluster(workers: number): Cluster {
  let target: RunningTarget | undefined;
  const hosts: Host[] = [];
  const running = (): RunningTarget => {
    assert(target !== undefined, "the target is started before the tests");
    return target;
  };
  before(async () => {
    target = await RunningTarget.start({ config: (places) => config(places, workers) });
  });
  const cluster: Cluster = {
    get target() {
      return running();
    },
    async host(name, { isid = 1, portalGroup = 1 } = {}) {
      const host = new Host(running, name, isid, portalGroup);
      hosts.push(host);
      return host.logIn();
    },
    async reset() {
      for (const host of hosts.splice(0)) host.drop();
      const cleaner = await new Host(running, "cleaner", 99, 1).logIn();
      // What RESERVE holds ends with the sessions, soon.
      await eventually(async () => (await cleaner.out(REGISTER_AND_IGNORE, { actionKey: 99 })) === GOOD);
      assert.equal(await cleaner.out(CLEAR, { key: 99 }), GOOD);
      await cleaner.logOut();
    },
  };
  after(async () => {
    for (const host of hosts) host.drop();
    const { log } = running();
    await running().stop();
    assert.deepEqual(
      log.filter((line) => line.includes("shard died") || line.includes("SCSI command failed")),
      [],
    );
  });
  return cluster;
}

/** Waits for what must come soon, however busy the machine is. */
export async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + EVENTUALLY_MS;
  while (!(await isSo())) {
    assert.ok(performance.now() < endMs, `not within ${EVENTUALLY_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
