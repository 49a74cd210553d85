/**
 * Reservations of all units: carries out the commands that are about them, keeps what must survive, has every shard enforce
 * what holds, and says what holds for a nexus that logs in.
 *
 * A new state takes this way, one command of a unit after the other: it is made durable (where APTPL asks for that); it
 * becomes the state of the unit, for logins too, and in the same moment goes out to all shards; they confirm; the status
 * goes out.
 */

import type { AttentionRecord, ScsiAnswer, UnitAccess, UnitRecord } from "../../../dataplane/messages.js";
import {
  OPCODE_PERSISTENT_RESERVE_IN,
  OPCODE_PERSISTENT_RESERVE_OUT,
  OPCODE_RELEASE_6,
  OPCODE_RELEASE_10,
  OPCODE_RESERVE_6,
  OPCODE_RESERVE_10,
} from "../../../dataplane/scsi/table.js";
import { DamagedStateError, type StateDirectory } from "../../config/state-directory.js";
import type { Logger } from "../../logger.js";
import { type Session, type SessionIdentity, type SessionRegistry, sessionTypeOf } from "../../session-registry.js";
import { dataAnswer, GOOD, RESERVATION_CONFLICT } from "../answers.js";
import type { SlowCommand, SlowCommands } from "../slow-commands.js";
import type { UnitChanges } from "../unit-changes.js";
import { type Nexus, nexusKey, nexusOf } from "./nexus.js";
import { changed, INFORMATION_LOST, type Outcome } from "./outcome.js";
import { persistentReserveIn } from "./persistent-reserve-in.js";
import { persistentReserveOut, SERVICE_ACTION_PREEMPT_AND_ABORT } from "./persistent-reserve-out.js";
import { releaseUnit, reserveUnit, withoutReserve } from "./reserve-unit.js";
import { SavedReservations } from "./saved-reservations.js";
import { conflictsOf, isExempt, LOST, UNRESERVED, type UnitReservations, withoutRegistrations } from "./state.js";

const SERVICE_ACTION_MASK = 0x1f;
const ALLOCATION_LENGTH_BYTE = 7;

export interface ReservationsOptions {
  readonly stateDirectory: StateDirectory;
  readonly registry: SessionRegistry;
  readonly logger: Logger;
  /** Tags of all portal groups of a target. */
  readonly targetPorts: (targetName: string) => readonly number[];
  /** The open unit; undefined if there is none of this index. */
  readonly unit: (unitIndex: number) => UnitRecord | undefined;
}

/** What is there only once the shards run. */
export interface ReservationsService {
  readonly commands: SlowCommands;
  readonly changes: UnitChanges;
  /** These sessions are preempted with PREEMPT AND ABORT: what else they have asked of the unit ends with that. */
  readonly onAborted: (unitIndex: number, sessionIds: readonly number[]) => void;
}

type Changed = Outcome & { readonly kind: "changed" };

export class Reservations {
  readonly #options: ReservationsOptions;
  readonly #saved: SavedReservations;
  /** By the unit's UUID. */
  readonly #states = new Map<string, UnitReservations>();
  #service: ReservationsService | undefined;

  constructor(options: ReservationsOptions) {
    this.#options = options;
    this.#saved = new SavedReservations(options.stateDirectory);
  }

  /**
   * What survived of a unit's reservations, before the unit is opened. Where that cannot be understood, the unit is kept from
   * everybody until somebody replaces it. Rejects with a StateError where the document cannot be read at all.
   */
  async load(uuid: string): Promise<void> {
    try {
      this.#states.set(uuid, await this.#saved.load(uuid));
    } catch (error) {
      if (!(error instanceof DamagedStateError)) throw error;
      this.#options.logger.error({ uuid, reason: error.message }, "reservations lost: initiators must replace them");
      this.#states.set(uuid, LOST);
    }
  }

  /** The unit is no longer served: as with a loss of power, only what was kept comes back with it. */
  forget(uuid: string): void {
    this.#states.delete(uuid);
  }

  /** From now on commands come, and what they change is enforced. */
  serve(service: ReservationsService): void {
    this.#service = service;
    const { commands } = service;
    commands.register(OPCODE_PERSISTENT_RESERVE_IN, (command) => this.#report(command));
    commands.register(OPCODE_PERSISTENT_RESERVE_OUT, (command) => this.#persistentReserveOut(command));
    for (const opcode of [OPCODE_RESERVE_6, OPCODE_RESERVE_10]) {
      commands.register(opcode, (command) => this.#answer(command, this.#step(command, reserveUnit)));
    }
    for (const opcode of [OPCODE_RELEASE_6, OPCODE_RELEASE_10]) {
      commands.register(opcode, (command) => this.#answer(command, this.#step(command, releaseUnit)));
    }
  }

  /** Bits of COMMAND_CONFLICTS_*: what a session of this identity is kept from at this moment. */
  blocked(uuid: string, identity: SessionIdentity): number {
    const state = this.#state(uuid);
    return isExempt(state, nexusOf(identity)) ? 0 : conflictsOf(state);
  }

  /** Its nexus is lost: what it holds by RESERVE ends. Its registrations stay. */
  sessionClosed(session: Session): void {
    if (sessionTypeOf(session) === "Normal") this.unitsLost(session, session.unitIndexes);
  }

  /** The session no longer sees the units. There is no command that would wait for it. */
  unitsLost({ identity }: Session, unitIndexes: readonly number[]): void {
    void this.#nexusLost(identity, unitIndexes);
  }

  async #nexusLost(identity: SessionIdentity, unitIndexes: readonly number[]): Promise<void> {
    // If it was its shard that died, the writes that RESERVE was for may still be under way.
    await this.#service?.changes.settled(unitIndexes);
    for (const unitIndex of unitIndexes) {
      const unit = this.#options.unit(unitIndex);
      const outcome = unit && withoutReserve(this.#state(unit.uuid), nexusOf(identity));
      if (unit !== undefined && outcome?.kind === "changed") await this.#enforce(unit, outcome);
    }
  }

  /** LOGICAL UNIT RESET: what RESERVE holds ends. Resolves when all shards know; commands that came before are over then. */
  async unitReset(unitIndex: number): Promise<void> {
    await this.#endReserve(unitIndex);
  }

  /** I_T NEXUS RESET: what the session's nexus holds by RESERVE ends, likewise. */
  async nexusReset({ identity, unitIndexes }: Session): Promise<void> {
    const nexus = nexusOf(identity);
    await Promise.all(unitIndexes.map((unitIndex) => this.#endReserve(unitIndex, nexus)));
  }

  /** TARGET COLD RESET: what was registered through the target ends as with a loss of power, unless it survives that (APTPL). */
  async targetReset(unitIndex: number, targetName: string): Promise<void> {
    await this.#service?.commands.inTurn(unitIndex, async () => {
      const unit = this.#options.unit(unitIndex);
      if (unit === undefined) return;
      const state = this.#state(unit.uuid);
      if (state.survivesPowerLoss) return;
      const next = withoutRegistrations(state, ({ nexus }) => nexus.targetName === targetName);
      const outcome = changed(next);
      if (outcome.kind === "changed" && next.registrations.size < state.registrations.size) {
        await this.#enforce(unit, outcome);
      }
    });
  }

  async #endReserve(unitIndex: number, nexus?: Nexus): Promise<void> {
    await this.#service?.commands.inTurn(unitIndex, async () => {
      const unit = this.#options.unit(unitIndex);
      const outcome = unit && withoutReserve(this.#state(unit.uuid), nexus);
      if (unit !== undefined && outcome?.kind === "changed") await this.#enforce(unit, outcome);
    });
  }

  #report({ unit, cdb }: SlowCommand): ScsiAnswer {
    const state = this.#state(unit.uuid);
    // "all PERSISTENT RESERVE IN commands shall conflict regardless of initiator or service action" (SPC-2).
    if (state.reservation?.kind === "reserve") return RESERVATION_CONFLICT;
    if (state.reservation?.kind === "lost") return INFORMATION_LOST;
    const allocationLength = (cdb[ALLOCATION_LENGTH_BYTE]! << 8) | cdb[ALLOCATION_LENGTH_BYTE + 1]!;
    return dataAnswer(persistentReserveIn(state, cdb[1]! & SERVICE_ACTION_MASK), allocationLength);
  }

  async #persistentReserveOut(command: SlowCommand): Promise<ScsiAnswer> {
    const { unit, cdb, parameters } = command;
    const outcome = this.#step(command, (state, sender) =>
      persistentReserveOut(state, sender, cdb, parameters, {
        targetPorts: this.#options.targetPorts(sender.targetName),
        knownIsids: (initiatorName) => this.#knownIsids(state, initiatorName, sender.targetName),
      }),
    );
    if (outcome.kind === "changed") await this.#saved.save(unit.uuid, outcome.state);
    const answer = await this.#answer(command, outcome);
    const isPreemptAndAbort = (cdb[1]! & SERVICE_ACTION_MASK) === SERVICE_ACTION_PREEMPT_AND_ABORT;
    return answer.kind === "good" && isPreemptAndAbort ? { ...answer, isFenced: true } : answer;
  }

  #step({ unit, session }: SlowCommand, step: (state: UnitReservations, sender: Nexus) => Outcome): Outcome {
    return step(this.#state(unit.uuid), nexusOf(session.identity));
  }

  /** Nothing is awaited before the new state is in force here: RESERVE must not outlive a session that ends meanwhile. */
  async #answer(command: SlowCommand, outcome: Outcome): Promise<ScsiAnswer> {
    if (outcome.kind === "answered") return outcome.answer;
    await this.#enforce(command.unit, outcome, command);
    return GOOD;
  }

  /** Resolves when all shards have confirmed. `by`: the command that asks for it. */
  async #enforce(unit: UnitRecord, { state, notices, aborted }: Changed, by?: SlowCommand): Promise<void> {
    const wasOpen = conflictsOf(this.#state(unit.uuid)) === 0;
    this.#states.set(unit.uuid, state);
    this.#log(unit, state, by);
    const sessions = this.#sessionsOf(unit);
    const idsOf = (nexuses: readonly Nexus[]) =>
      nexuses.flatMap((nexus) => sessions.get(nexusKey(nexus))?.sessionId ?? []);
    const attentions = notices
      .map(({ condition: { asc, ascq }, nexuses }): AttentionRecord => ({ asc, ascq, onlySessions: idsOf(nexuses) }))
      .filter(({ onlySessions }) => onlySessions!.length > 0);
    const abortSessions = idsOf(aborted);
    const access = accessOf(state, sessions.values());
    if (wasOpen && access.blocked === 0 && attentions.length === 0 && abortSessions.length === 0) return;
    const { commands, changes, onAborted } = this.#service!;
    const make = () =>
      changes.make(unit.unitIndex, {
        access,
        attentions,
        abortSessions,
        ...(by === undefined ? {} : { spared: { sessionId: by.session.sessionId, exchange: by.exchange } }),
      });
    if (abortSessions.length === 0) {
      await make();
      return;
    }
    onAborted(unit.unitIndex, abortSessions);
    await commands.without(unit.unitIndex, abortSessions, make);
  }

  #state(uuid: string): UnitReservations {
    return this.#states.get(uuid) ?? UNRESERVED;
  }

  /** By nexus: a nexus has one session at most. */
  #sessionsOf(unit: UnitRecord): Map<string, Session> {
    const sessions = new Map<string, Session>();
    for (const session of this.#options.registry.sessions()) {
      if (sessionTypeOf(session) === "Discovery" || !session.unitIndexes.includes(unit.unitIndex)) continue;
      sessions.set(nexusKey(nexusOf(session.identity)), session);
    }
    return sessions;
  }

  /** Ports of an initiator that are logged in to the target, or registered through it. */
  #knownIsids({ registrations }: UnitReservations, initiatorName: string, targetName: string): Set<string> {
    const isOne = (port: { readonly initiatorName: string; readonly targetName: string }) =>
      port.initiatorName === initiatorName && port.targetName === targetName;
    const isids = new Set<string>();
    for (const session of this.#options.registry.sessions()) {
      if (sessionTypeOf(session) !== "Discovery" && isOne(session.identity)) isids.add(session.identity.isid);
    }
    for (const { nexus } of registrations.values()) if (isOne(nexus)) isids.add(nexus.isid);
    return isids;
  }

  #log(unit: UnitRecord, { registrations, reservation }: UnitReservations, by: SlowCommand | undefined): void {
    this.#options.logger.info(
      {
        unit: unit.name,
        registrations: registrations.size,
        reservation: reservation !== null && "type" in reservation ? reservation.type : reservation?.kind,
        ...(reservation !== null && "holder" in reservation ? { holder: reservation.holder.initiatorName } : {}),
        ...(by === undefined ? {} : { by: by.session.identity.initiatorName }),
      },
      "reservations changed",
    );
  }
}

function accessOf(state: UnitReservations, sessions: Iterable<Session>): UnitAccess {
  const blocked = conflictsOf(state);
  if (blocked === 0) return { blocked, exemptSessions: [] };
  const exemptSessions: number[] = [];
  for (const { sessionId, identity } of sessions) {
    if (isExempt(state, nexusOf(identity))) exemptSessions.push(sessionId);
  }
  return { blocked, exemptSessions };
}
