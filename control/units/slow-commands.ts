/**
 * SCSI commands that control carries out: those that concern more than one nexus or must survive a restart. A shard has judged
 * the CDB by the command table and received the parameter list; a handler judges what is left and answers.
 */

import type { ScsiAnswer, ShardMessage, UnitRecord } from "../../dataplane/messages.js";
import { COMMAND_WITHOUT_UNIT } from "../../dataplane/scsi/command.js";
import { INTERNAL_TARGET_FAILURE, INVALID_COMMAND_OPERATION_CODE } from "../../dataplane/scsi/sense.js";
import { COMMANDS } from "../../dataplane/scsi/table.js";
import { SCSI_STATUS_BUSY } from "../../dataplane/wire/scsi-response.js";
import type { Logger } from "../logger.js";
import type { Session, SessionRegistry } from "../session-registry.js";
import { notReadyAnswer, senseAnswer } from "./answers.js";
import type { Units } from "./units.js";

/** A command on its way through control. */
export interface SlowCommand {
  /** The number that its shard knows it by. */
  readonly exchange: number;
  readonly session: Session;
  readonly lun: number;
  readonly unit: UnitRecord;
  readonly cdb: Uint8Array;
  readonly parameters: Uint8Array;
  /** Aborted with the command. Its answer is awaited all the same, by the abort: nothing of it may be under way any more. */
  readonly signal: AbortSignal;
}

/**
 * What a command has begun goes on by itself: the next command of the unit need not wait for it, nor the command's own abort.
 * `answer` is what the command ends with, if it is still there then.
 */
export interface Later {
  readonly kind: "later";
  readonly answer: Promise<ScsiAnswer>;
}

export type SlowHandler = (command: SlowCommand) => ScsiAnswer | Later | Promise<ScsiAnswer | Later>;

export interface SlowCommandsOptions {
  readonly units: Units;
  readonly registry: SessionRegistry;
  readonly logger: Logger;
}

const SERVICE_ACTION_MASK = 0x1f;

/** Opcodes of commands that an operation may let through; those that came before it began are judged once more here. */
const ALLOWED_DURING_OPERATIONS = new Set(
  COMMANDS.filter(
    ({ conditions, isAllowedDuringSanitize }) =>
      (conditions & COMMAND_WITHOUT_UNIT) !== 0 || isAllowedDuringSanitize !== undefined,
  ).map(({ opcode }) => opcode),
);

/** A command whose turn has not come. */
interface Waiting {
  readonly sessionId: number;
  /** It is answered now, and will not be carried out. */
  readonly abandon: () => void;
}

/** For a command that is being aborted nobody hears it; a later one, of a session that is about to hear of it, is to try again. */
const ABANDONED: ScsiAnswer = { kind: "status", status: SCSI_STATUS_BUSY };

export class SlowCommands {
  readonly #options: SlowCommandsOptions;
  /** By operation code, or operation code and service action. */
  readonly #handlers = new Map<string, { readonly handler: SlowHandler; readonly isAside: boolean }>();
  /** Exchange -> what aborts the command. Exchanges are numbered by each shard for itself. */
  readonly #running = new Map<string, AbortController>();
  /** unitIndex -> the end of the last command of the unit: commands of one unit are carried out one after the other. */
  readonly #queues = new Map<number, Promise<unknown>>();
  /** unitIndex -> commands whose turn has not come. */
  readonly #waiting = new Map<number, Set<Waiting>>();
  /** unitIndex -> sessions whose commands are not carried out now. */
  readonly #excluded = new Map<number, ReadonlySet<number>>();

  constructor(options: SlowCommandsOptions) {
    this.#options = options;
  }

  /** `serviceAction`: absent for an operation code that has none, or all of whose service actions the handler serves. */
  register(opcode: number, handler: SlowHandler, serviceAction?: number): void {
    this.#handlers.set(keyOf(opcode, serviceAction), { handler, isAside: false });
  }

  /** Of commands that may take long: they are carried out beside the others of their unit, which do not wait for them. */
  registerAside(opcode: number, handler: SlowHandler, serviceAction: number): void {
    this.#handlers.set(keyOf(opcode, serviceAction), { handler, isAside: true });
  }

  /** `scsiAbort` of a shard. */
  abort(shard: number, exchange: number): void {
    this.#running.get(keyOf(shard, exchange))?.abort();
  }

  /**
   * Never rejects: a handler that fails is answered for.
   *
   * @param onBegun called where the answer comes later, and the command may be aborted without waiting for it.
   */
  async execute(message: ShardMessage & { type: "scsiCommand" }, onBegun: () => void = () => {}): Promise<ScsiAnswer> {
    const { units, registry, logger } = this.#options;
    const cdb = Uint8Array.from(Buffer.from(message.cdb, "hex"));
    const opcode = cdb[0]!;
    const found = this.#handlers.get(keyOf(opcode, cdb[1]! & SERVICE_ACTION_MASK)) ?? this.#handlers.get(keyOf(opcode));
    const session = registry.session(message.sessionId);
    const unit = units.at(message.unitIndex);
    if (found === undefined || unit === undefined) return senseAnswer(INVALID_COMMAND_OPERATION_CODE);
    // It has just ended; nobody waits for the answer.
    if (session === undefined) return senseAnswer(INTERNAL_TARGET_FAILURE);
    const parameters = Uint8Array.from(Buffer.from(message.parameters, "hex"));
    const { exchange, lun, sessionId, unitIndex } = message;
    const running = keyOf(session.shard, exchange);
    const controller = new AbortController();
    this.#running.set(running, controller);
    const run = () => {
      // Commands before it may have changed its state.
      const current = units.at(unitIndex);
      if (current === undefined) return senseAnswer(INTERNAL_TARGET_FAILURE);
      const { notReady } = current.state;
      if (notReady?.operation !== undefined && !ALLOWED_DURING_OPERATIONS.has(opcode)) return notReadyAnswer(notReady);
      return found.handler({ exchange, session, lun, unit: current, cdb, parameters, signal: controller.signal });
    };
    try {
      const answer = await (found.isAside
        ? this.#aside(unitIndex, sessionId, run)
        : this.#whenItsTurn(unitIndex, sessionId, run));
      if (answer.kind !== "later") return answer;
      onBegun();
      return await answer.answer;
    } catch (error) {
      logger.error({ err: error, opcode, unit: unit.name }, "SCSI command failed");
      return senseAnswer(INTERNAL_TARGET_FAILURE);
    } finally {
      this.#running.delete(running);
    }
  }

  /** Runs it when all commands of the unit that came before are over, and before any that come later. */
  async inTurn<T>(unitIndex: number, run: () => T | Promise<T>): Promise<T> {
    const before = this.#queues.get(unitIndex) ?? Promise.resolve();
    const turn = before.then(run, run);
    this.#queues.set(unitIndex, turn);
    try {
      return await turn;
    } finally {
      if (this.#queues.get(unitIndex) === turn) this.#queues.delete(unitIndex);
    }
  }

  /**
   * For a command that has the unit's tasks of other sessions aborted: their commands that wait here behind it, or come
   * while it `runs`, are answered at once. An abort waits for the answer, and the answer would wait for the abort.
   */
  async without(unitIndex: number, sessionIds: readonly number[], runs: () => Promise<void>): Promise<void> {
    const excluded = new Set(sessionIds);
    this.#excluded.set(unitIndex, excluded);
    for (const { sessionId, abandon } of this.#waiting.get(unitIndex) ?? []) if (excluded.has(sessionId)) abandon();
    try {
      await runs();
    } finally {
      this.#excluded.delete(unitIndex);
    }
  }

  #isExcluded(unitIndex: number, sessionId: number): boolean {
    return this.#excluded.get(unitIndex)?.has(sessionId) === true;
  }

  async #aside(unitIndex: number, sessionId: number, run: () => ReturnType<SlowHandler>): Promise<ScsiAnswer | Later> {
    return this.#isExcluded(unitIndex, sessionId) ? ABANDONED : run();
  }

  async #whenItsTurn(
    unitIndex: number,
    sessionId: number,
    run: () => ReturnType<SlowHandler>,
  ): Promise<ScsiAnswer | Later> {
    if (this.#isExcluded(unitIndex, sessionId)) return ABANDONED;
    const waiting = this.#waiting.get(unitIndex) ?? new Set();
    this.#waiting.set(unitIndex, waiting);
    return new Promise<ScsiAnswer | Later>((resolve, reject) => {
      let isAbandoned = false;
      const entry: Waiting = {
        sessionId,
        abandon: () => {
          isAbandoned = true;
          resolve(ABANDONED);
        },
      };
      waiting.add(entry);
      const begin = () => {
        waiting.delete(entry);
        if (waiting.size === 0 && this.#waiting.get(unitIndex) === waiting) this.#waiting.delete(unitIndex);
        // Its session may have ended with its shard: it must not leave anything behind.
        if (isAbandoned || this.#options.registry.session(sessionId) === undefined) return ABANDONED;
        return run();
      };
      this.inTurn(unitIndex, begin).then(resolve, reject);
    });
  }
}

function keyOf(opcode: number, serviceAction?: number): string {
  return serviceAction === undefined ? `${opcode}` : `${opcode}/${serviceAction}`;
}
