/** What many tests of control need. */
import { type DestinationStream, pino } from "pino";
import type {
  Configuration,
  FileUnitConfiguration,
  PortalGroupConfiguration,
  TargetConfiguration,
  UnitConfiguration,
} from "../../../../control/config/schema.js";
import type { Logger } from "../../../../control/logger.js";
import { CONNECTION_DEFAULTS, SESSION_DEFAULTS } from "../../../../control/login/parameters.js";
import type { Agreement, ConnectionDetails } from "../../../../control/session-registry.js";
import type { ShardControl } from "../../../../control/shards.js";
import type { ControlMessage } from "../../../../dataplane/messages.js";

export const TARGET = "iqn.2026-11.io.ringlun:vm";
export const INITIATOR = "iqn.2026-11.io.ringlun:initiator";

export const AGREEMENT: Agreement = { parameters: SESSION_DEFAULTS, authentication: { method: "None" } };
export const DETAILS: ConnectionDetails = {
  peer: "192.0.2.9:1024",
  portal: "192.0.2.1:3260",
  localHost: "192.0.2.1",
  parameters: CONNECTION_DEFAULTS,
};

export const silent: Logger = pino({ level: "silent" });

/** A logger whose records a test can wait for. */
export function recordingLogger(): { logger: Logger; seen: LogRecords } {
  const seen = new LogRecords();
  return { logger: pino({ level: "debug", base: null }, seen), seen };
}

export class LogRecords implements DestinationStream {
  readonly records: Record<string, unknown>[] = [];
  readonly #waiting = new Set<() => void>();

  write(line: string): void {
    this.records.push(JSON.parse(line));
    for (const check of this.#waiting) check();
  }

  /** The first record with this message text, now or later. */
  async message(matches: (text: string) => boolean): Promise<Record<string, unknown>> {
    return new Promise((resolve) => {
      const check = () => {
        const found = this.records.find(({ msg }) => matches(String(msg)));
        if (found === undefined) return;
        this.#waiting.delete(check);
        resolve(found);
      };
      this.#waiting.add(check);
      check();
    });
  }
}

export function target(changes: Partial<TargetConfiguration> = {}): TargetConfiguration {
  return {
    name: TARGET,
    alias: null,
    portalGroups: [1],
    session: {},
    pingIntervalMs: 0,
    scsiEvents: false,
    auth: null,
    luns: [{ lun: 0, unit: "disk", readOnly: false }],
    initiators: null,
    redirect: null,
    ...changes,
  };
}

export function portalGroup(changes: Partial<PortalGroupConfiguration> = {}): PortalGroupConfiguration {
  return {
    tag: 1,
    portals: [{ host: "127.0.0.1", port: 0 }],
    access: { state: "optimized", preferred: false },
    redirect: null,
    ...changes,
  };
}

export function fileUnit(path: string, changes: Partial<FileUnitConfiguration> = {}): FileUnitConfiguration {
  return {
    kind: "file",
    name: "disk",
    id: null,
    path,
    sizeBytes: 1 << 20,
    thinThresholdBytes: null,
    blockLengthBytes: 512,
    physicalBlockBytes: 4096,
    cache: "writeback",
    readOnly: false,
    removable: false,
    access: [],
    eraseBytesPerSecond: null,
    limits: null,
    ...changes,
  };
}

export function nullUnit(name = "disk"): UnitConfiguration {
  return {
    kind: "null",
    name,
    id: null,
    blockLengthBytes: 512,
    physicalBlockBytes: 4096,
    cache: "writeback",
    readOnly: false,
    removable: false,
    access: [],
    eraseBytesPerSecond: null,
    limits: null,
    sizeBytes: 1 << 20,
  };
}

/** One target with one null unit on a free port of 127.0.0.1. */
export function configuration(folder: string, changes: Partial<Configuration> = {}): Configuration {
  return {
    file: `${folder}/ringlun.yaml`,
    portalGroups: [portalGroup()],
    targets: [target()],
    units: [nullUnit()],
    discoveryAuth: null,
    http: null,
    api: { socket: `${folder}/api.sock`, fileRoots: [folder], tokens: [] },
    workers: 1,
    affinity: [],
    busyPoll: true,
    stateDir: `${folder}/state`,
    log: { level: "debug", slowCommandsMs: 1000 },
    ...changes,
  };
}

/** Shards without threads: what is sent to them is kept, and the test plays their part. */
export class FakeShards implements ShardControl {
  readonly sent: { readonly shard: number; readonly message: ControlMessage }[] = [];
  readonly count: number;
  /** The test's own promises; resolved at first. */
  settled: Promise<void> = Promise.resolve();
  ready: Promise<void> = Promise.resolve();
  alive: number[];
  /** Called with every message. */
  onSend: (shard: number, message: ControlMessage) => void = () => {};

  constructor(count = 1) {
    this.count = count;
    this.alive = Array.from({ length: count }, (_, shard) => shard);
  }

  serving(): number[] {
    return this.alive;
  }

  send(shard: number, message: ControlMessage): void {
    this.sent.push({ shard, message });
    this.onSend(shard, message);
  }

  handOff(shard: number, message: ControlMessage & { type: "connection" }): void {
    this.send(shard, message);
  }

  unitsSettled(): Promise<void> {
    return this.settled;
  }

  available(): Promise<void> {
    return this.ready;
  }
}
