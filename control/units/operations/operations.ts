/**
 * Operations that keep a unit to themselves for as long as they take, maybe hours: SANITIZE and FORMAT UNIT. They go on
 * whatever becomes of their command, its session and its shard, over LOGICAL UNIT RESET and restarts.
 *
 *     SANITIZE, FORMAT UNIT --> saved --> all shards refuse commands, and those under way end --> no write is in flight
 *          --> the work, on a thread of its own (background-work.ts) --> all durable --> forgotten --> all shards serve again
 *                                                                  '---> failed, saved so --> another SANITIZE or FORMAT UNIT
 *
 * The unit's `notReady` tells the shards what to answer meanwhile; what else waits for the unit's turn is not held up.
 */

import type { NotReady, ScsiAnswer, UnitRecord } from "../../../dataplane/messages.js";
import {
  FORMAT_COMMAND_FAILED,
  FORMAT_IN_PROGRESS,
  INTERNAL_TARGET_FAILURE,
  MEDIUM_FORMAT_CORRUPTED,
  SANITIZE_COMMAND_FAILED,
  SANITIZE_IN_PROGRESS,
  WRITE_PROTECTED,
} from "../../../dataplane/scsi/sense.js";
import { OPCODE_FORMAT_UNIT, OPCODE_SANITIZE } from "../../../dataplane/scsi/table.js";
import type { StateDirectory } from "../../config/state-directory.js";
import { OPERATIONS_MAX } from "../../limits.js";
import type { Logger } from "../../logger.js";
import { GOOD, invalidFieldOfCdb, notReadyAnswer, RESERVATION_CONFLICT, senseAnswer } from "../answers.js";
import type { Later, SlowCommand, SlowCommands } from "../slow-commands.js";
import type { UnitChanges } from "../unit-changes.js";
import type { Units } from "../units.js";
import { BackgroundWork, type WorkEnd } from "./background-work.js";
import { judgeFormat } from "./format-request.js";
import type { Request } from "./request.js";
import {
  ACTION_EXIT_FAILURE_MODE,
  allowsExit,
  FLAG_AUSE_BIT,
  FLAGS_BYTE,
  judgeSanitize,
  SERVICE_ACTION_BIT,
  serviceActionOf,
} from "./sanitize-request.js";
import { type SavedOperation, SavedOperations } from "./saved-operations.js";
import { Slots } from "./slots.js";
import { BEGINNING, type Position, progressOf } from "./work.js";

export interface OperationsOptions {
  readonly stateDirectory: StateDirectory;
  readonly units: Units;
  readonly logger: Logger;
  /** What an operation writes to the unit in a second, at most; null: all that it can. */
  readonly bytesPerSecond: (unitName: string) => number | null;
  /** Whether a reservation keeps the command's nexus from the unit. */
  readonly conflicts: (command: SlowCommand) => boolean;
}

/** What is there only once the shards run. */
export interface OperationsService {
  readonly commands: SlowCommands;
  readonly changes: UnitChanges;
  /** Resolves when no shard has a write of the unit in flight; none may begin meanwhile. */
  readonly writesEnded: (unitIndex: number) => Promise<void>;
}

/** A unit's operation: under way, about to be, or failed. */
interface Current {
  readonly unitIndex: number;
  readonly uuid: string;
  readonly name: string;
  saved: SavedOperation;
  work: BackgroundWork | null;
  isStopped: boolean;
  /** The shards are about to be told how far it is. */
  isTelling: boolean;
  /** Resolves when what it wanted to be saved is. Never rejects. */
  saving: Promise<void>;
}

export class Operations {
  readonly #options: OperationsOptions;
  readonly #saved: SavedOperations;
  readonly #slots = new Slots(OPERATIONS_MAX);
  /** By unitIndex. */
  readonly #current = new Map<number, Current>();
  #service: OperationsService | undefined;

  constructor(options: OperationsOptions) {
    this.#options = options;
    this.#saved = new SavedOperations(options.stateDirectory);
  }

  /** The unit begins as its operation has left it. Rejects with a StateError where what is kept cannot be trusted. */
  async load({ unitIndex, uuid }: UnitRecord): Promise<void> {
    const saved = await this.#saved.load(uuid);
    const unit = this.#unit(unitIndex);
    if (saved === null || unit === undefined) return;
    this.#add(unit, saved);
    this.#options.units.setState(unitIndex, { ...unit.state, notReady: notReadyOf(saved, unit) });
  }

  /** From now on commands come; what is unfinished goes on once `resume` is called for its unit. */
  serve(service: OperationsService): void {
    this.#service = service;
    service.commands.register(OPCODE_SANITIZE, (command) => this.#sanitize(command));
    service.commands.register(OPCODE_FORMAT_UNIT, (command) => this.#format(command));
  }

  /** Goes on with what a unit was in the middle of. All shards know the unit. */
  resume(unitIndex: number): void {
    const current = this.#current.get(unitIndex);
    const unit = this.#unit(unitIndex);
    if (current === undefined || unit === undefined || current.saved.hasFailed) return;
    const { kind, position } = current.saved;
    if (unit.readOnly) {
      this.#options.logger.error({ unit: unit.name, kind }, "operation not finished: the unit is read-only now");
      return;
    }
    this.#options.logger.info({ unit: unit.name, kind, position }, "operation goes on");
    void this.#run(current);
  }

  /** The unit is about to be closed: resolves when nothing touches it any more. What is left to do is done when it is back. */
  async stop(unitIndex: number): Promise<void> {
    const current = this.#current.get(unitIndex);
    if (current === undefined) return;
    current.isStopped = true;
    this.#current.delete(unitIndex);
    current.work?.stop();
    await current.work?.ended;
    await current.saving;
  }

  /** `stop` for all units. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#current.keys()].map((unitIndex) => this.stop(unitIndex)));
  }

  // ---- Commands

  #sanitize(command: SlowCommand): ScsiAnswer | Promise<ScsiAnswer | Later> {
    const { unit, cdb, parameters } = command;
    const failed = this.#current.get(unit.unitIndex)?.saved;
    const refusal = this.#refusal(command, failed);
    if (refusal !== undefined) return refusal;
    const isExit = serviceActionOf(cdb) === ACTION_EXIT_FAILURE_MODE;
    if (failed?.kind === "sanitize" && !failed.allowsExit) {
      // "any service action with the AUSE bit set to one" likewise: who may not leave the unit as it is may not allow it either.
      if (isExit) return invalidFieldOfCdb(FLAGS_BYTE, SERVICE_ACTION_BIT);
      if (allowsExit(cdb)) return invalidFieldOfCdb(FLAGS_BYTE, FLAG_AUSE_BIT);
    }
    if (isExit) return failed?.kind === "sanitize" ? this.#exitFailureMode(unit) : GOOD;
    return this.#begin(unit, "sanitize", judgeSanitize(cdb, parameters, unit.blockLengthBytes));
  }

  #format(command: SlowCommand): ScsiAnswer | Promise<ScsiAnswer | Later> {
    const { unit, cdb, parameters } = command;
    const failed = this.#current.get(unit.unitIndex)?.saved;
    return this.#refusal(command, failed) ?? this.#begin(unit, "format", judgeFormat(cdb, parameters, unit));
  }

  /** Why the command is not carried out, judged again in its turn: much may have changed since its shard did. */
  #refusal(command: SlowCommand, current: SavedOperation | undefined): ScsiAnswer | undefined {
    const { unit } = command;
    const { notReady, softwareWriteProtect } = unit.state;
    // What has failed may be tried again.
    if (notReady !== null && current?.hasFailed !== true) return notReadyAnswer(notReady);
    if (unit.readOnly || softwareWriteProtect) return senseAnswer(WRITE_PROTECTED);
    return this.#options.conflicts(command) ? RESERVATION_CONFLICT : undefined;
  }

  async #exitFailureMode(unit: UnitRecord): Promise<ScsiAnswer> {
    await this.#saved.save(unit.uuid, null);
    this.#current.delete(unit.unitIndex);
    this.#options.logger.warn({ unit: unit.name }, "failed SANITIZE left as it is: data may be left on the unit");
    await this.#tell(unit.unitIndex, null);
    return GOOD;
  }

  async #begin(unit: UnitRecord, kind: SavedOperation["kind"], request: Request): Promise<ScsiAnswer | Later> {
    if (request.kind === "refused") return request.answer;
    const { work, allowsExit, isImmediate } = request;
    const saved: SavedOperation = { kind, work, allowsExit, position: BEGINNING, hasFailed: false };
    await this.#saved.save(unit.uuid, saved);
    const current = this.#add(unit, saved);
    this.#options.logger.info({ unit: unit.name, kind, work: work.kind }, "operation begins");
    await this.#tell(unit.unitIndex, notReadyOf(saved, unit), true);
    await this.#service!.writesEnded(unit.unitIndex);
    const answer = this.#run(current);
    return isImmediate ? GOOD : { kind: "later", answer };
  }

  // ---- The work

  #add({ unitIndex, uuid, name }: UnitRecord, saved: SavedOperation): Current {
    const current: Current = {
      unitIndex,
      uuid,
      name,
      saved,
      work: null,
      isStopped: false,
      isTelling: false,
      saving: Promise.resolve(),
    };
    this.#current.set(unitIndex, current);
    return current;
  }

  /** Never rejects. Resolves to what its command is answered, if it is still there. */
  async #run(current: Current): Promise<ScsiAnswer> {
    const end = await this.#slots.with(() => this.#work(current));
    if (end.kind === "stopped") return senseAnswer(INTERNAL_TARGET_FAILURE);
    return this.#inTurn(current, () => (end.kind === "done" ? this.#done(current) : this.#failed(current, end.reason)));
  }

  async #work(current: Current): Promise<WorkEnd> {
    const unit = this.#unit(current.unitIndex);
    if (current.isStopped || unit === undefined) return { kind: "stopped" };
    // There is nothing in it.
    if (unit.kind === "null") return { kind: "done" };
    const { work, position } = current.saved;
    const { fd, bufferedFd, alignmentBytes, rangeAlignmentBytes, blockLengthBytes, thin } = unit;
    current.work = new BackgroundWork(
      {
        unit: { fd, bufferedFd, alignmentBytes, rangeAlignmentBytes, blockLengthBytes, thin },
        sizeBytes: unit.state.sizeBytes,
        work,
        from: position,
        bytesPerSecond: this.#options.bytesPerSecond(unit.name),
      },
      (at, isDurable) => this.#moved(current, at, isDurable),
    );
    return current.work.ended;
  }

  #moved(current: Current, position: Position, isDurable: boolean): void {
    if (isDurable) {
      current.saved = { ...current.saved, position };
      this.#keep(current);
    }
    const unit = this.#unit(current.unitIndex);
    if (current.isTelling || current.isStopped || unit === undefined) return;
    current.isTelling = true;
    void this.#inTurn(current, async () => {
      current.isTelling = false;
      await this.#tell(current.unitIndex, notReadyOf({ ...current.saved, position }, unit));
      return GOOD;
    });
  }

  /** If it cannot be saved now, more than necessary is done again after a restart. */
  #keep(current: Current): void {
    current.saving = this.#saved.save(current.uuid, current.saved).catch((error: unknown) => {
      this.#options.logger.warn({ err: error, unit: current.name }, "progress of an operation not saved");
    });
  }

  async #done(current: Current): Promise<ScsiAnswer> {
    try {
      await this.#saved.save(current.uuid, null);
    } catch (error) {
      return this.#failed(current, `all is done, and that cannot be saved: ${(error as Error).message}`);
    }
    this.#current.delete(current.unitIndex);
    this.#options.logger.info({ unit: current.name, kind: current.saved.kind }, "operation done");
    await this.#tell(current.unitIndex, null);
    return GOOD;
  }

  async #failed(current: Current, reason: string): Promise<ScsiAnswer> {
    const { kind } = current.saved;
    this.#options.logger.error({ unit: current.name, kind, reason }, "operation failed");
    current.work = null;
    current.saved = { ...current.saved, hasFailed: true };
    this.#keep(current);
    await current.saving;
    const unit = this.#unit(current.unitIndex);
    if (unit !== undefined) await this.#tell(current.unitIndex, notReadyOf(current.saved, unit));
    return senseAnswer(kind === "sanitize" ? SANITIZE_COMMAND_FAILED : FORMAT_COMMAND_FAILED);
  }

  /** Between two commands of the unit, unless it has been stopped meanwhile. */
  #inTurn(current: Current, run: () => Promise<ScsiAnswer>): Promise<ScsiAnswer> {
    const { commands } = this.#service!;
    return commands.inTurn(current.unitIndex, () =>
      this.#current.get(current.unitIndex) === current ? run() : senseAnswer(INTERNAL_TARGET_FAILURE),
    );
  }

  async #tell(unitIndex: number, notReady: NotReady | null, refusesTasks = false): Promise<void> {
    const unit = this.#unit(unitIndex);
    if (unit === undefined) return;
    const state = { ...unit.state, notReady };
    await this.#service!.changes.make(unitIndex, refusesTasks ? { state, refusesTasks } : { state });
  }

  #unit(unitIndex: number): UnitRecord | undefined {
    return this.#options.units.at(unitIndex);
  }
}

function notReadyOf({ kind, work, position, hasFailed }: SavedOperation, { state }: UnitRecord): NotReady {
  const progress = hasFailed ? -1 : progressOf(work, position, state.sizeBytes);
  if (kind === "sanitize") {
    return { ...(hasFailed ? SANITIZE_COMMAND_FAILED : SANITIZE_IN_PROGRESS), progress, operation: kind };
  }
  return hasFailed ? { ...MEDIUM_FORMAT_CORRUPTED, progress } : { ...FORMAT_IN_PROGRESS, progress, operation: kind };
}
