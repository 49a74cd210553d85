/**
 * Hostile initiators, which share a unit, and an honest one with a unit of its own on one shard. The honest one must not notice, nor
 * must another that comes afterwards. What the hostile ones may only read does not change.
 */
import assert from "node:assert/strict";
import { unitRecord } from "../../unit-record.js";
import { Cluster } from "../cluster.js";
import { type Faults, NO_FAULTS } from "../faults.js";
import { Initiator } from "../initiator/initiator.js";
import type { Parameters } from "../initiator/parameters.js";
import { NO_COMMANDS, randomCommand } from "../initiator/random-command.js";
import { Random } from "../random.js";
import { Timeline } from "../timeline.js";
import { SimulatedUnit } from "../unit.js";
import type { World } from "../world.js";
import type { Action } from "./action.js";
import { HostileInitiator } from "./hostile-initiator.js";

const MEBIBYTE = 1024 * 1024;
const COMMANDS = 20;
const HOSTILE_UNIT = 0;
const HONEST_UNIT = 1;
const READ_ONLY_UNIT = 2;
/** As the hostile ones see it. */
const LUN_READ_ONLY = 1;

export interface EncounterOptions {
  readonly seed: number;
  readonly parameters: Parameters;
  /** Of one hostile initiator; `others`: of more. */
  readonly actions: readonly Action[];
  readonly others?: readonly (readonly Action[])[];
  readonly faults?: Partial<Faults>;
}

export function encounter({ seed, parameters, actions, others = [], faults }: EncounterOptions): void {
  const random = new Random(seed);
  const world: World = { timeline: new Timeline(), random: random.fork(), faults: { ...NO_FAULTS, ...faults } };
  const hostileUnit = unit(HOSTILE_UNIT);
  const honestUnit = unit(HONEST_UNIT);
  const readOnlyUnit = unit(READ_ONLY_UNIT);
  const options = {
    units: [hostileUnit, honestUnit, readOnlyUnit],
    arenaBytes: 24 * MEBIBYTE,
    sqEntries: 64,
    cqEntries: 128,
    fixedBuffers: true,
  };
  const cluster = new Cluster(world, 1, options, () => "X-io.ringlun.answer=yes\0");
  let lastSessionId = 0;
  const nextSessionId = () => ++lastSessionId;
  const machine = cluster.pick(random);
  const luns = new Map([
    [0, hostileUnit],
    [LUN_READ_ONLY, readOnlyUnit],
  ]);
  const hostiles = [actions, ...others].map(
    (does, index) =>
      new HostileInitiator(world, machine, {
        initiatorName: `iqn.2026-11.io.ringlun:hostile-${index}`,
        parameters,
        luns,
        readOnlyLuns: [LUN_READ_ONLY],
        pingIntervalMs: 0,
        pipe: { capacity: 65536, delayUsMax: 20 },
        actions: does,
        nextSessionId,
      }),
  );
  const meanwhile = honestInitiator(world, cluster, random, honestUnit, nextSessionId);
  cluster.turnUntil(() => hostiles.every(({ isFinished }) => isFinished) && meanwhile.isFinished);
  const afterwards = honestInitiator(world, cluster, random, honestUnit, nextSessionId);
  // Tasks whose connection has failed may still wait to be reassigned.
  cluster.turnUntil(() => afterwards.isFinished && !cluster.hasSessions);
  cluster.assertNothingLeft();
  const content = Buffer.alloc(readOnlyUnit.sizeBytes);
  readOnlyUnit.disk!.read(content, 0);
  assert(content.equals(Buffer.alloc(content.length)), "what is read-only has not changed");
}

function honestInitiator(
  world: World,
  cluster: Cluster,
  random: Random,
  honestUnit: SimulatedUnit,
  nextSessionId: () => number,
): Initiator {
  const luns = new Map([[0, honestUnit]]);
  const mix = { weights: WEIGHTS, bytesMax: 65536, unitPart: 0.1 };
  let left = COMMANDS;
  return new Initiator(world, cluster, random.fork(), {
    name: "iqn.2026-11.io.ringlun:honest",
    parameters: HONEST_PARAMETERS,
    luns,
    habits: { depth: 8, immediate: 0.1, ping: 0.1, text: 0, abortTask: 0.05, abortTaskSet: 0, resetUnit: 0 },
    pingIntervalMs: 0,
    pipe: { capacity: 65536, delayUsMax: 20 },
    nextCommand: () => (left-- > 0 ? randomCommand(random, mix, luns) : null),
    nextSessionId,
    resetBegins: () => {},
    resetEnds: () => {},
  });
}

const WEIGHTS = {
  ...NO_COMMANDS,
  read: 10,
  write: 10,
  writeSame: 1,
  unmap: 1,
  verify: 1,
  synchronize: 1,
  ready: 1,
  inquire: 1,
  illegal: 1,
};

const HONEST_PARAMETERS: Parameters = {
  session: {
    maxConnections: 1,
    initialR2T: false,
    immediateData: true,
    maxBurstLength: 32768,
    firstBurstLength: 16384,
    maxOutstandingR2T: 2,
    defaultTime2Wait: 2,
    defaultTime2Retain: 0,
    errorRecoveryLevel: 0,
    taskReporting: "RFC3720",
    iSCSIProtocolLevel: 1,
  },
  connection: {
    headerDigest: "CRC32C",
    dataDigest: "CRC32C",
    maxRecvDataSegmentLength: 262144,
    maxSendDataSegmentLength: 8192,
  },
};

function unit(unitIndex: number): SimulatedUnit {
  const uuid = `00000000-0000-4000-8000-00000000000${unitIndex}`;
  return new SimulatedUnit(unitRecord({ unitIndex, name: `unit${unitIndex}`, uuid }));
}
