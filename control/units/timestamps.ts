/**
 * REPORT and SET TIMESTAMP (SPC-5): a clock for each unit. It is the machine's until an initiator sets it (TCMOS=1 and SCSIP=1 in
 * the Control Extension mode page), and the machine's again after a restart.
 */

import type { ScsiAnswer } from "../../dataplane/messages.js";
import { PARAMETER_LIST_LENGTH_ERROR, TIMESTAMP_CHANGED } from "../../dataplane/scsi/sense.js";
import {
  ACTION_REPORT_TIMESTAMP,
  ACTION_SET_TIMESTAMP,
  OPCODE_MAINTENANCE_IN,
  OPCODE_MAINTENANCE_OUT,
} from "../../dataplane/scsi/table.js";
import { dataAnswer, GOOD, invalidFieldOfList, senseAnswer } from "./answers.js";
import type { SlowCommand, SlowCommands } from "./slow-commands.js";
import type { UnitChanges } from "./unit-changes.js";

const LENGTH_BYTE = 6;
/** Of the parameter list, and of the parameter data, where it counts the first two bytes too. */
const TIMESTAMP_BYTE = 4;
const TIMESTAMP_BYTES = 6;
const LIST_BYTES = 12;
/** "If the high order byte in the TIMESTAMP field is greater than F0h ..." */
const HIGH_BYTE_MAX = 0xf0;

/** TIMESTAMP ORIGIN: set by SET TIMESTAMP; set by other means. */
const ORIGIN_SET = 2;
const ORIGIN_OTHER = 3;

export interface Clocks {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds that nobody sets. */
  monotonic(): number;
}

const SYSTEM_CLOCKS: Clocks = { now: Date.now, monotonic: () => performance.now() };

export class Timestamps {
  readonly #clocks: Clocks;
  /** By the unit's UUID: what is to be added to the monotonic clock. */
  readonly #offsets = new Map<string, number>();
  #changes: UnitChanges | undefined;

  constructor(clocks: Clocks = SYSTEM_CLOCKS) {
    this.#clocks = clocks;
  }

  serve(commands: SlowCommands, changes: UnitChanges): void {
    this.#changes = changes;
    commands.register(OPCODE_MAINTENANCE_IN, (command) => this.#report(command), ACTION_REPORT_TIMESTAMP);
    commands.register(OPCODE_MAINTENANCE_OUT, (command) => this.#set(command), ACTION_SET_TIMESTAMP);
  }

  /** 0-1 length of what follows    2 TIMESTAMP ORIGIN (2-0)    4-9 TIMESTAMP, milliseconds    10-11 reserved */
  #report({ cdb, unit }: SlowCommand): ScsiAnswer {
    const offset = this.#offsets.get(unit.uuid);
    const data = Buffer.alloc(LIST_BYTES);
    data.writeUInt16BE(LIST_BYTES - 2, 0);
    data[2] = offset === undefined ? ORIGIN_OTHER : ORIGIN_SET;
    const nowMs = offset === undefined ? this.#clocks.now() : this.#clocks.monotonic() + offset;
    data.writeUIntBE(Math.floor(nowMs) % 2 ** (8 * TIMESTAMP_BYTES), TIMESTAMP_BYTE, TIMESTAMP_BYTES);
    return dataAnswer(data, lengthOf(cdb));
  }

  async #set({ cdb, parameters, session, unit }: SlowCommand): Promise<ScsiAnswer> {
    const length = lengthOf(cdb);
    if (length === 0) return GOOD;
    if (length !== LIST_BYTES || parameters.length < length) return senseAnswer(PARAMETER_LIST_LENGTH_ERROR);
    if (parameters[TIMESTAMP_BYTE]! > HIGH_BYTE_MAX) return invalidFieldOfList(TIMESTAMP_BYTE);
    const setMs = Buffer.from(parameters).readUIntBE(TIMESTAMP_BYTE, TIMESTAMP_BYTES);
    this.#offsets.set(unit.uuid, setMs - this.#clocks.monotonic());
    const { asc, ascq } = TIMESTAMP_CHANGED;
    await this.#changes!.make(unit.unitIndex, { attentions: [{ asc, ascq, exceptSessions: [session.sessionId] }] });
    return GOOD;
  }
}

function lengthOf(cdb: Uint8Array): number {
  return new DataView(cdb.buffer, cdb.byteOffset).getUint32(LENGTH_BYTE);
}
