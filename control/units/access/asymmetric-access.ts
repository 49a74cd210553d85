/**
 * Asymmetric logical unit access (SPC-5): through which portal groups the units are reached how well. Target port groups are
 * the portal groups, which RFC 7143 makes SCSI ports (section 4.4.2); their tags number both. A unit has one state for each
 * group, whichever target it is reached by.
 *
 * A new state takes the way that reservations take, one command of a unit after the other: it is made durable, where an
 * initiator has set it; it is in force, for logins too, and in the same moment goes out to all shards; they confirm; the status
 * goes out. A shard tests it with what it tests anyway (LunMapping.blocked).
 */

import type { ScsiAnswer, UnitRecord } from "../../../dataplane/messages.js";
import { ACCESS_STATE_OPTIMIZED } from "../../../dataplane/scsi/access-state.js";
import {
  ASYMMETRIC_ACCESS_STATE_CHANGED,
  fieldInCdb,
  IMPLICIT_ASYMMETRIC_ACCESS_STATE_TRANSITION_FAILED,
  INVALID_FIELD_IN_CDB,
  SET_TARGET_PORT_GROUPS_COMMAND_FAILED,
} from "../../../dataplane/scsi/sense.js";
import {
  ACTION_REPORT_TARGET_PORT_GROUPS,
  ACTION_SET_TARGET_PORT_GROUPS,
  OPCODE_MAINTENANCE_IN,
  OPCODE_MAINTENANCE_OUT,
} from "../../../dataplane/scsi/table.js";
import type { AccessStateName, Configuration } from "../../config/schema.js";
import type { StateDirectory } from "../../config/state-directory.js";
import type { Logger } from "../../logger.js";
import { dataAnswer, GOOD, senseAnswer } from "../answers.js";
import type { SlowCommand, SlowCommands } from "../slow-commands.js";
import type { UnitChanges } from "../unit-changes.js";
import { accessStateName } from "./access-state.js";
import {
  changedGroups,
  configuredAccess,
  type GroupAccess,
  NOTHING_IN_FORCE,
  reconfigured,
  type UnitAccess,
  withStates,
} from "./group-access.js";
import { ConfiguredPaths } from "./paths.js";
import { reportTargetPortGroups } from "./report-target-port-groups.js";
import { SavedAccess } from "./saved-access.js";
import { askedStates } from "./set-target-port-groups.js";

const FORMAT_BYTE = 1;
const FORMAT_SHIFT = 5;
const FORMAT_BIT = 7;
/** Of MAINTENANCE IN the allocation length, of MAINTENANCE OUT the parameter list length. */
const LENGTH_BYTE = 6;

export interface AsymmetricAccessOptions {
  readonly stateDirectory: StateDirectory;
  readonly logger: Logger;
  /** Of the moment. */
  readonly configuration: () => Configuration;
}

/** What is there only once the shards run. */
export interface AsymmetricAccessService {
  readonly commands: SlowCommands;
  readonly changes: UnitChanges;
}

/** How a unit is reached through a portal group. */
export interface UnitPath {
  readonly portalGroupTag: number;
  readonly state: AccessStateName;
  readonly preferred: boolean;
}

export class AsymmetricAccess {
  readonly #options: AsymmetricAccessOptions;
  readonly #saved: SavedAccess;
  /** By the unit's UUID. */
  readonly #inForce = new Map<string, UnitAccess>();
  #service: AsymmetricAccessService | undefined;
  #paths: { readonly of: Configuration; readonly paths: ConfiguredPaths } | undefined;

  constructor(options: AsymmetricAccessOptions) {
    this.#options = options;
    this.#saved = new SavedAccess(options.stateDirectory);
  }

  /** What initiators have set of a unit. Before the unit is opened: rejects with a StateError where that cannot be trusted. */
  async load(uuid: string): Promise<void> {
    this.#inForce.set(uuid, await this.#saved.load(uuid));
  }

  /** What the configuration says of units that were loaded, at the start. Rejects with a StateError where it cannot be kept. */
  async begin(units: readonly UnitRecord[]): Promise<void> {
    for (const { name, uuid } of units) {
      const access = reconfigured(this.#inForce.get(uuid) ?? NOTHING_IN_FORCE, this.#configuredPaths().to(name));
      await this.#saved.save(uuid, access);
      this.#inForce.set(uuid, access);
    }
  }

  /** The unit is no longer served. */
  forget(uuid: string): void {
    this.#inForce.delete(uuid);
  }

  /** From now on commands come, and what they change is enforced. */
  serve(service: AsymmetricAccessService): void {
    this.#service = service;
    const { commands } = service;
    commands.register(OPCODE_MAINTENANCE_IN, (command) => this.#report(command), ACTION_REPORT_TARGET_PORT_GROUPS);
    commands.register(OPCODE_MAINTENANCE_OUT, (command) => this.#set(command), ACTION_SET_TARGET_PORT_GROUPS);
  }

  /** ACCESS_STATE_* of a unit through a portal group at this moment. */
  state(unit: Pick<UnitRecord, "name" | "uuid">, portalGroupTag: number): number {
    return this.#access(unit).get(portalGroupTag)?.state ?? ACCESS_STATE_OPTIMIZED;
  }

  /** All ways to a unit at this moment, in ascending order of their portal groups. */
  paths(unit: Pick<UnitRecord, "name" | "uuid">): UnitPath[] {
    return [...this.#access(unit)].map(([portalGroupTag, { state, preferred }]) => ({
      portalGroupTag,
      state: accessStateName(state),
      preferred,
    }));
  }

  /** The configuration is another one: resolves when all shards go by what it says of these units. */
  async configurationChanged(units: readonly UnitRecord[]): Promise<void> {
    await Promise.all(
      units.map((unit) => this.#service?.commands.inTurn(unit.unitIndex, () => this.#reconfigure(unit))),
    );
  }

  async #reconfigure(unit: UnitRecord): Promise<void> {
    const after = reconfigured(this.#access(unit), this.#configuredPaths().to(unit.name));
    try {
      await this.#saved.save(unit.uuid, after);
    } catch (error) {
      this.#options.logger.error({ unit: unit.name, err: error }, "access states not changed");
      const { asc, ascq } = IMPLICIT_ASYMMETRIC_ACCESS_STATE_TRANSITION_FAILED;
      await this.#service!.changes.make(unit.unitIndex, { attentions: [{ asc, ascq }] });
      return;
    }
    await this.#enforce(unit, after);
  }

  #report({ unit, cdb }: SlowCommand): ScsiAnswer {
    const data = reportTargetPortGroups(this.#access(unit), cdb[FORMAT_BYTE]! >>> FORMAT_SHIFT);
    if (data === undefined) return senseAnswer(INVALID_FIELD_IN_CDB, fieldInCdb(FORMAT_BYTE, FORMAT_BIT));
    return dataAnswer(data, viewOf(cdb).getUint32(LENGTH_BYTE));
  }

  async #set(command: SlowCommand): Promise<ScsiAnswer> {
    const { unit, cdb, parameters, session } = command;
    const before = this.#access(unit);
    const outcome = askedStates(parameters, viewOf(cdb).getUint32(LENGTH_BYTE), before);
    if (outcome.kind === "refused") return outcome.answer;
    const after = withStates(before, outcome.states, this.#configuredPaths().to(unit.name));
    try {
      await this.#saved.save(unit.uuid, after);
    } catch (error) {
      this.#options.logger.error({ unit: unit.name, err: error }, "access states not changed");
      return senseAnswer(SET_TARGET_PORT_GROUPS_COMMAND_FAILED);
    }
    await this.#enforce(unit, after, command);
    this.#options.logger.debug({ unit: unit.name, by: session.identity.initiatorName }, "target port groups set");
    return GOOD;
  }

  /** Resolves when all shards have confirmed. Every I_T nexus is told, but the one that has asked for it. */
  async #enforce(unit: UnitRecord, after: UnitAccess, by?: SlowCommand): Promise<void> {
    const changed = changedGroups(this.#access(unit), after);
    this.#inForce.set(unit.uuid, after);
    if (changed.length === 0) return;
    const accessStates = changed.map((portalGroupTag) => ({ portalGroupTag, state: after.get(portalGroupTag)!.state }));
    this.#options.logger.info(
      {
        unit: unit.name,
        states: Object.fromEntries(
          accessStates.map(({ portalGroupTag, state }) => [portalGroupTag, accessStateName(state)]),
        ),
        ...(by === undefined ? {} : { by: by.session.identity.initiatorName }),
      },
      "access states changed",
    );
    const { asc, ascq } = ASYMMETRIC_ACCESS_STATE_CHANGED;
    const exceptSessions = by === undefined ? [] : [by.session.sessionId];
    await this.#service!.changes.make(unit.unitIndex, { accessStates, attentions: [{ asc, ascq, exceptSessions }] });
  }

  #configuredPaths(): ConfiguredPaths {
    const of = this.#options.configuration();
    if (this.#paths?.of !== of) this.#paths = { of, paths: new ConfiguredPaths(of) };
    return this.#paths.paths;
  }

  /** What is in force; of groups that have just come, what is configured. */
  #access({ name, uuid }: Pick<UnitRecord, "name" | "uuid">): UnitAccess {
    const inForce = this.#inForce.get(uuid) ?? NOTHING_IN_FORCE;
    const access = new Map<number, GroupAccess>();
    for (const [tag, path] of this.#configuredPaths().to(name))
      access.set(tag, inForce.get(tag) ?? configuredAccess(path));
    return access;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
