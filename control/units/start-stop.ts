/**
 * START STOP UNIT (SBC-4): whether a unit's medium can be accessed. It can or cannot for all nexuses, and can again after a
 * restart.
 *
 *                  stop                    eject (removable, removal not prevented)
 *     stopped <------------- ready --------------------------------> ejected
 *     (fixed) -------------> |   | <--------------------------------
 *              start, reset             load; others are told
 *
 * A stopped unit refuses access to its medium, INITIALIZING COMMAND REQUIRED, as a disk does that has been spun down by
 * command. One whose medium is removable does not: such drives start by themselves when they are accessed. Power conditions
 * change nothing but that they too bring a stopped unit back, as all of them but STOPPED can be accessed.
 */

import type { NotReady, ScsiAnswer, UnitRecord } from "../../dataplane/messages.js";
import {
  FLAG_IMMED,
  FLAG_LOEJ,
  FLAG_NO_FLUSH,
  FLAG_START,
  IMMED_BYTE,
  POWER_CONDITION_FORCE_STANDBY_0,
  POWER_CONDITION_LU_CONTROL,
  POWER_CONDITION_SHIFT,
  POWER_CONDITION_STANDBY,
  POWER_CONDITION_START_VALID,
  START_BYTE,
} from "../../dataplane/scsi/power.js";
import {
  INITIALIZING_COMMAND_REQUIRED,
  MEDIUM_NOT_PRESENT,
  MEDIUM_REMOVAL_PREVENTED,
  NOT_READY_TO_READY_CHANGE,
  type Sense,
} from "../../dataplane/scsi/sense.js";
import { OPCODE_START_STOP_UNIT } from "../../dataplane/scsi/table.js";
import { GOOD, senseAnswer } from "./answers.js";
import type { RemovalPrevention } from "./removal-prevention.js";
import type { SlowCommand, SlowCommands } from "./slow-commands.js";
import type { UnitChanges } from "./unit-changes.js";

const STOPPED: NotReady = {
  asc: INITIALIZING_COMMAND_REQUIRED.asc,
  ascq: INITIALIZING_COMMAND_REQUIRED.ascq,
  progress: -1,
};
const EJECTED: NotReady = { asc: MEDIUM_NOT_PRESENT.asc, ascq: MEDIUM_NOT_PRESENT.ascq, progress: -1 };

export interface StartStopOptions {
  readonly commands: SlowCommands;
  readonly changes: UnitChanges;
  readonly prevention: RemovalPrevention;
  /** The open unit; undefined if there is none of this index. */
  readonly unit: (unitIndex: number) => UnitRecord | undefined;
}

export class StartStop {
  readonly #options: StartStopOptions;

  constructor(options: StartStopOptions) {
    this.#options = options;
    options.commands.register(OPCODE_START_STOP_UNIT, (command) => this.#startStop(command));
  }

  /** LOGICAL UNIT RESET starts a stopped unit; what is ejected stays so. */
  async unitReset(unitIndex: number): Promise<void> {
    const { commands, unit } = this.#options;
    await commands.inTurn(unitIndex, async () => {
      const record = unit(unitIndex);
      if (record !== undefined && isStopped(record)) await this.#become(record, null);
    });
  }

  async #startStop(command: SlowCommand): Promise<ScsiAnswer> {
    const { unit, cdb } = command;
    const flags = cdb[START_BYTE]!;
    const condition = flags >>> POWER_CONDITION_SHIFT;
    if (condition !== POWER_CONDITION_START_VALID) return this.#setPowerCondition(command, condition);
    const movesMedium = (flags & FLAG_LOEJ) !== 0;
    if ((flags & FLAG_START) !== 0) return movesMedium ? this.#load(command) : this.#start(unit);
    return movesMedium ? this.#eject(command) : this.#stop(command);
  }

  async #setPowerCondition(command: SlowCommand, condition: number): Promise<ScsiAnswer> {
    const { unit } = command;
    if (isStopped(unit) && condition !== POWER_CONDITION_LU_CONTROL) await this.#become(unit, null);
    const isStandby = condition === POWER_CONDITION_STANDBY || condition === POWER_CONDITION_FORCE_STANDBY_0;
    return isStandby && !isEjected(unit) ? flushed(command) : GOOD;
  }

  async #start(unit: UnitRecord): Promise<ScsiAnswer> {
    if (isEjected(unit)) return senseAnswer(MEDIUM_NOT_PRESENT);
    if (isStopped(unit)) await this.#become(unit, null);
    return GOOD;
  }

  async #stop(command: SlowCommand): Promise<ScsiAnswer> {
    const { unit } = command;
    if (isEjected(unit)) return GOOD;
    // A unit whose format is corrupt stays so.
    if (!unit.removable && unit.state.notReady === null) await this.#become(unit, STOPPED);
    return flushed(command);
  }

  /** The door is locked, whether the medium is to go out or to come in. */
  async #load({ unit, session }: SlowCommand): Promise<ScsiAnswer> {
    if (!isEjected(unit)) return this.#start(unit);
    if (this.#options.prevention.isPrevented(unit.unitIndex)) return senseAnswer(MEDIUM_REMOVAL_PREVENTED);
    await this.#become(unit, null, { told: NOT_READY_TO_READY_CHANGE, exceptSession: session.sessionId });
    return GOOD;
  }

  async #eject(command: SlowCommand): Promise<ScsiAnswer> {
    const { unit } = command;
    if (this.#options.prevention.isPrevented(unit.unitIndex)) return senseAnswer(MEDIUM_REMOVAL_PREVENTED);
    if (unit.state.notReady === null || isStopped(unit)) await this.#become(unit, EJECTED);
    return flushed(command);
  }

  async #become(
    { unitIndex, state }: UnitRecord,
    notReady: NotReady | null,
    notice?: { readonly told: Sense; readonly exceptSession: number },
  ): Promise<void> {
    await this.#options.changes.make(unitIndex, {
      state: { ...state, notReady },
      ...(notice === undefined
        ? {}
        : { attentions: [{ asc: notice.told.asc, ascq: notice.told.ascq, exceptSessions: [notice.exceptSession] }] }),
    });
  }
}

/** What was written while the unit was ready is made durable, unless that is not wanted. Nothing more is written by now. */
function flushed({ cdb }: SlowCommand): ScsiAnswer {
  if ((cdb[START_BYTE]! & FLAG_NO_FLUSH) !== 0) return GOOD;
  return { kind: "flush", inBackground: (cdb[IMMED_BYTE]! & FLAG_IMMED) !== 0 };
}

function isStopped({ state: { notReady } }: UnitRecord): boolean {
  return notReady?.asc === STOPPED.asc && notReady.ascq === STOPPED.ascq;
}

function isEjected({ state: { notReady } }: UnitRecord): boolean {
  return notReady?.asc === EJECTED.asc;
}
