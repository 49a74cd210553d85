/**
 * SCSI commands that control carries out: those that concern more than one nexus or must survive a restart. A shard has judged
 * the CDB by the command table and received the parameter list; a handler judges what is left and answers.
 */

import type { ScsiAnswer, ShardMessage, UnitRecord } from "../../dataplane/messages.js";
import { INTERNAL_TARGET_FAILURE, INVALID_COMMAND_OPERATION_CODE, type Sense } from "../../dataplane/scsi/sense.js";
import type { Logger } from "../logger.js";
import type { Session, SessionRegistry } from "../session-registry.js";
import type { Units } from "./units.js";

/** A command on its way through control. */
export interface SlowCommand {
  readonly session: Session;
  readonly lun: number;
  readonly unit: UnitRecord;
  readonly cdb: Uint8Array;
  readonly parameters: Uint8Array;
}

export type SlowHandler = (command: SlowCommand) => ScsiAnswer | Promise<ScsiAnswer>;

export interface SlowCommandsOptions {
  readonly units: Units;
  readonly registry: SessionRegistry;
  readonly logger: Logger;
}

const SERVICE_ACTION_MASK = 0x1f;

export class SlowCommands {
  readonly #options: SlowCommandsOptions;
  /** By operation code, or operation code and service action. */
  readonly #handlers = new Map<string, SlowHandler>();
  /** unitIndex -> the end of the last command of the unit: commands of one unit are carried out one after the other. */
  readonly #queues = new Map<number, Promise<unknown>>();

  constructor(options: SlowCommandsOptions) {
    this.#options = options;
  }

  /** `serviceAction`: absent for an operation code that has none, or all of whose service actions the handler serves. */
  register(opcode: number, handler: SlowHandler, serviceAction?: number): void {
    this.#handlers.set(keyOf(opcode, serviceAction), handler);
  }

  /** Never rejects: a handler that fails is answered for. */
  async execute(message: ShardMessage & { type: "scsiCommand" }): Promise<ScsiAnswer> {
    const { units, registry, logger } = this.#options;
    const cdb = Uint8Array.from(Buffer.from(message.cdb, "hex"));
    const opcode = cdb[0]!;
    const handler =
      this.#handlers.get(keyOf(opcode, cdb[1]! & SERVICE_ACTION_MASK)) ?? this.#handlers.get(keyOf(opcode));
    const session = registry.session(message.sessionId);
    const unit = units.records().find(({ unitIndex }) => unitIndex === message.unitIndex);
    if (handler === undefined || unit === undefined) return senseAnswer(INVALID_COMMAND_OPERATION_CODE);
    // It has just ended; nobody waits for the answer.
    if (session === undefined) return senseAnswer(INTERNAL_TARGET_FAILURE);
    const parameters = Uint8Array.from(Buffer.from(message.parameters, "hex"));
    const command: SlowCommand = { session, lun: message.lun, unit, cdb, parameters };
    try {
      return await this.#inTurn(unit.unitIndex, () => handler(command));
    } catch (error) {
      logger.error({ err: error, opcode, unit: unit.name }, "SCSI command failed");
      return senseAnswer(INTERNAL_TARGET_FAILURE);
    }
  }

  async #inTurn(unitIndex: number, run: () => ScsiAnswer | Promise<ScsiAnswer>): Promise<ScsiAnswer> {
    const before = this.#queues.get(unitIndex) ?? Promise.resolve();
    const answer = before.then(run, run);
    this.#queues.set(unitIndex, answer);
    try {
      return await answer;
    } finally {
      if (this.#queues.get(unitIndex) === answer) this.#queues.delete(unitIndex);
    }
  }
}

function keyOf(opcode: number, serviceAction?: number): string {
  return serviceAction === undefined ? `${opcode}` : `${opcode}/${serviceAction}`;
}

/** CHECK CONDITION with one of the named conditions. `senseKeySpecific`: as Task.senseKeySpecific. */
export function senseAnswer({ senseKey, asc, ascq }: Sense, senseKeySpecific?: number): ScsiAnswer {
  return { kind: "sense", senseKey, asc, ascq, ...(senseKeySpecific === undefined ? {} : { senseKeySpecific }) };
}

export const GOOD: ScsiAnswer = { kind: "good" };

/** GOOD with data, of which the initiator takes `allocationLength` bytes at most. */
export function dataAnswer(data: Uint8Array, allocationLength: number): ScsiAnswer {
  return { kind: "good", data: Buffer.from(data).toString("hex"), allocationLength };
}
