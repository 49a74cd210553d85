/**
 * REPORT and SET PRIORITY (SPC-5): a number that each I_T nexus has with a unit. It "may be used as a command priority", and is
 * not: no command is preferred to another (PRIOR_SUP=0 in VPD page 86h). The initial one is zero. It survives the loss of the
 * nexus, and ends with a reset.
 */

import type { AttentionRecord, ScsiAnswer } from "../../dataplane/messages.js";
import { relativePortOf, tagOfRelativePort } from "../../dataplane/scsi/relative-port.js";
import { INSUFFICIENT_RESOURCES, PARAMETER_LIST_LENGTH_ERROR, PRIORITY_CHANGED } from "../../dataplane/scsi/sense.js";
import {
  ACTION_REPORT_PRIORITY,
  ACTION_SET_PRIORITY,
  OPCODE_MAINTENANCE_IN,
  OPCODE_MAINTENANCE_OUT,
} from "../../dataplane/scsi/table.js";
import { PRIORITIES_PER_UNIT_MAX } from "../limits.js";
import { type Session, sessionTypeOf } from "../session-registry.js";
import { dataAnswer, GOOD, invalidFieldOfCdb, invalidFieldOfList, senseAnswer } from "./answers.js";
import { type Nexus, nexusKey, nexusOf } from "./reservations/nexus.js";
import { decodeTransportId, encodeTransportId } from "./reservations/transport-id.js";
import type { SlowCommand, SlowCommands } from "./slow-commands.js";
import type { UnitChanges } from "./unit-changes.js";

const SCOPE_BYTE = 2;
const SCOPE_SHIFT = 6;
const SCOPE_BIT = 7;
const LENGTH_BYTE = 6;

/** PRIORITY REPORTED */
const REPORT_OWN = 0;
const REPORT_ALL = 1;
/** I_T_L NEXUS TO SET */
const SET_OWN = 0;
const SET_ONE = 1;
const SET_ALL_INITIAL = 2;

// Parameter list, and descriptor of the parameter data
const PRIORITY_MASK = 0x0f;
const PORT_BYTE = 2;
const TRANSPORT_ID_LENGTH_BYTE = 6;
const TRANSPORT_ID_BYTE = 8;

const INITIAL_PRIORITY = 0;

interface Assigned {
  readonly nexus: Nexus;
  readonly priority: number;
}

export interface PrioritiesOptions {
  readonly sessions: () => Iterable<Session>;
  /** Tags of all portal groups of a target. */
  readonly targetPorts: (targetName: string) => readonly number[];
}

export class Priorities {
  readonly #options: PrioritiesOptions;
  /** unitIndex -> by `nexusKey`, those that are not the initial one. */
  readonly #assigned = new Map<number, Map<string, Assigned>>();
  #changes: UnitChanges | undefined;

  constructor(options: PrioritiesOptions) {
    this.#options = options;
  }

  serve(commands: SlowCommands, changes: UnitChanges): void {
    this.#changes = changes;
    commands.register(OPCODE_MAINTENANCE_IN, (command) => this.#report(command), ACTION_REPORT_PRIORITY);
    commands.register(OPCODE_MAINTENANCE_OUT, (command) => this.#set(command), ACTION_SET_PRIORITY);
  }

  unitReset(unitIndex: number): void {
    this.#assigned.delete(unitIndex);
  }

  /** 0-3 length of what follows, then descriptors */
  #report({ cdb, session, unit }: SlowCommand): ScsiAnswer {
    const assigned = this.#assigned.get(unit.unitIndex);
    const scope = cdb[SCOPE_BYTE]! >>> SCOPE_SHIFT;
    let reported: Assigned[];
    if (scope === REPORT_OWN) {
      const nexus = nexusOf(session.identity);
      reported = [assigned?.get(nexusKey(nexus)) ?? { nexus, priority: INITIAL_PRIORITY }];
    } else if (scope === REPORT_ALL) {
      reported = [...(assigned?.values() ?? [])];
    } else {
      return invalidFieldOfCdb(SCOPE_BYTE, SCOPE_BIT);
    }
    const descriptors = Buffer.concat(reported.map(descriptorOf));
    const header = Buffer.alloc(4);
    header.writeUInt32BE(descriptors.length);
    return dataAnswer(Buffer.concat([header, descriptors]), lengthOf(cdb));
  }

  async #set(command: SlowCommand): Promise<ScsiAnswer> {
    const { cdb, parameters, session, unit } = command;
    const scope = cdb[SCOPE_BYTE]! >>> SCOPE_SHIFT;
    const length = lengthOf(cdb);
    if (parameters.length < length) return senseAnswer(PARAMETER_LIST_LENGTH_ERROR);
    switch (scope) {
      case SET_OWN:
        if (length === 0) return senseAnswer(PARAMETER_LIST_LENGTH_ERROR);
        return this.#assign(unit.unitIndex, nexusOf(session.identity), parameters[0]! & PRIORITY_MASK);
      case SET_ONE:
        return this.#setOne(command, length);
      case SET_ALL_INITIAL:
        this.#assigned.delete(unit.unitIndex);
        await this.#tell(unit.unitIndex, { exceptSessions: [session.sessionId] });
        return GOOD;
      default:
        return invalidFieldOfCdb(SCOPE_BYTE, SCOPE_BIT);
    }
  }

  async #setOne({ parameters, session, unit }: SlowCommand, length: number): Promise<ScsiAnswer> {
    const { targetName } = session.identity;
    if (length < TRANSPORT_ID_BYTE) return senseAnswer(PARAMETER_LIST_LENGTH_ERROR);
    const list = Buffer.from(parameters);
    const end = TRANSPORT_ID_BYTE + list.readUInt16BE(TRANSPORT_ID_LENGTH_BYTE);
    if (end > length) return senseAnswer(PARAMETER_LIST_LENGTH_ERROR);
    const portalGroupTag = tagOfRelativePort(list.readUInt16BE(PORT_BYTE), this.#options.targetPorts(targetName));
    if (portalGroupTag === undefined) return invalidFieldOfList(PORT_BYTE);
    const transportId = decodeTransportId(list, TRANSPORT_ID_BYTE, end);
    if (!transportId.ok) return invalidFieldOfList(transportId.byte);
    const { initiatorName, isid } = transportId;
    // All ports of a device are more than one nexus.
    if (isid === null) return invalidFieldOfList(TRANSPORT_ID_BYTE);
    const nexus: Nexus = { initiatorName, isid, targetName, portalGroupTag };
    const answer = this.#assign(unit.unitIndex, nexus, list[0]! & PRIORITY_MASK);
    if (answer === GOOD) await this.#tell(unit.unitIndex, { onlySessions: this.#sessionsOf(nexus) });
    return answer;
  }

  #assign(unitIndex: number, nexus: Nexus, priority: number): ScsiAnswer {
    const assigned = this.#assigned.get(unitIndex) ?? new Map<string, Assigned>();
    const key = nexusKey(nexus);
    if (priority === INITIAL_PRIORITY) assigned.delete(key);
    else if (!assigned.has(key) && assigned.size === PRIORITIES_PER_UNIT_MAX)
      return senseAnswer(INSUFFICIENT_RESOURCES);
    else assigned.set(key, { nexus, priority });
    this.#assigned.set(unitIndex, assigned);
    return GOOD;
  }

  #sessionsOf(nexus: Nexus): number[] {
    const key = nexusKey(nexus);
    return [...this.#options.sessions()]
      .filter((session) => sessionTypeOf(session) === "Normal" && nexusKey(nexusOf(session.identity)) === key)
      .map(({ sessionId }) => sessionId);
  }

  async #tell(unitIndex: number, whom: Omit<AttentionRecord, "asc" | "ascq">): Promise<void> {
    const { asc, ascq } = PRIORITY_CHANGED;
    await this.#changes!.make(unitIndex, { attentions: [{ asc, ascq, ...whom }] });
  }
}

/** 0 CURRENT PRIORITY (3-0)    2-3 RELATIVE TARGET PORT IDENTIFIER    6-7 length of what follows    8- TransportID */
function descriptorOf({ nexus, priority }: Assigned): Uint8Array {
  const transportId = encodeTransportId(nexus);
  const descriptor = Buffer.alloc(TRANSPORT_ID_BYTE + transportId.length);
  descriptor[0] = priority;
  descriptor.writeUInt16BE(relativePortOf(nexus.portalGroupTag), PORT_BYTE);
  descriptor.writeUInt16BE(transportId.length, TRANSPORT_ID_LENGTH_BYTE);
  descriptor.set(transportId, TRANSPORT_ID_BYTE);
  return descriptor;
}

function lengthOf(cdb: Uint8Array): number {
  return new DataView(cdb.buffer, cdb.byteOffset).getUint32(LENGTH_BYTE);
}
