/**
 * Puts another configuration in force while everything runs: all of it, or none.
 *
 *     prepare    what may fail, and disturbs nobody: new units are opened, new portals listen, files grow
 *     reopen     units that cannot be changed while they are open: their sessions end, they are closed and opened anew
 *     keep       a start from now on finds it: who asked has put the text in the file's place
 *     commit     what cannot fail: the configuration is in force, sessions are told or ended, what is gone is closed
 *
 * Whatever fails before the commit is undone.
 */
import type { LunRecord, UnitRecord } from "../dataplane/messages.js";
import { CAPACITY_DATA_HAS_CHANGED } from "../dataplane/scsi/sense.js";
import { type AccessDecision, judgeAccess } from "./access.js";
import type { Admission } from "./admission.js";
import type { Broadcasts } from "./broadcasts.js";
import { byName, type Difference } from "./config/difference.js";
import { isEqual } from "./config/equality.js";
import { formatPortalAddress, type PortalAddress } from "./config/portal-address.js";
import type {
  Configuration,
  FileUnitConfiguration,
  HttpConfiguration,
  LunMapping,
  UnitConfiguration,
} from "./config/schema.js";
import type { StateDirectory } from "./config/state-directory.js";
import type { TlsMaterial } from "./config/tls-files.js";
import { type Continuity, continuityOf, differencesBetween, isSameOpen } from "./continuity.js";
import type { Drains } from "./drains.js";
import type { InitiatorLimits } from "./initiator-limits.js";
import { REMOVAL_GRACE_MS } from "./limits.js";
import type { Logger } from "./logger.js";
import type { Reception } from "./reception.js";
import { type Session, type SessionIdentity, type SessionRegistry, sessionTypeOf } from "./session-registry.js";
import type { Shards } from "./shards.js";
import type { AsymmetricAccess } from "./units/access/asymmetric-access.js";
import type { CopyManager } from "./units/copy/copy-manager.js";
import type { ModeSelect } from "./units/mode-select.js";
import type { Operations } from "./units/operations/operations.js";
import type { RemovalPrevention } from "./units/removal-prevention.js";
import type { Reservations } from "./units/reservations/reservations.js";
import type { UnheardLosses } from "./units/unheard-losses.js";
import type { UnitChanges } from "./units/unit-changes.js";
import { defaultThreshold } from "./units/unit-state.js";
import type { Units } from "./units/units.js";

export interface ReconfigurationHost {
  readonly units: Units;
  readonly registry: SessionRegistry;
  readonly admission: Admission;
  readonly broadcasts: Broadcasts;
  readonly reception: Reception;
  readonly drains: Drains;
  readonly reservations: Reservations;
  readonly copies: CopyManager;
  readonly access: AsymmetricAccess;
  readonly modes: Pick<ModeSelect, "setDefaults">;
  readonly initiatorLimits: InitiatorLimits;
  readonly operations: Operations;
  readonly removalPrevention: RemovalPrevention;
  readonly unheardLosses: UnheardLosses;
  readonly changes: UnitChanges;
  readonly shards: Shards;
  readonly logger: Logger;
  configuration(): Configuration;
  /** New connections of HTTP get this certificate. */
  useTls(tls: TlsMaterial): void;
  /** From now on this is in force. */
  setConfiguration(configuration: Configuration): void;
  /** Opens units with all that survived of them. @throws UnitError, StateError; then none of them is open */
  openUnits(units: readonly UnitConfiguration[]): Promise<UnitRecord[]>;
  readonly identities: Pick<StateDirectory, "copyIdentity" | "dropIdentity">;
  lunRecords(luns: readonly LunMapping[], identity: SessionIdentity): LunRecord[];
}

/** What was asked for cannot be had; nothing has changed but what the message says. */
export class ReconfigurationError extends Error {
  override readonly name = "ReconfigurationError";
}

/** Takes back a step. */
type Undo = () => unknown;

/** Keys that are read once, at the start; but for the certificate of HTTP that has one. */
const RESTART_KEYS = ["workers", "affinity", "busyPoll", "stateDir", "http", "api"] as const;

export class Reconfiguration {
  readonly #host: ReconfigurationHost;
  /** Ends with the change that was asked for last. */
  #last: Promise<unknown> = Promise.resolve();
  #step: string | null = null;

  constructor(host: ReconfigurationHost) {
    this.#host = host;
  }

  /** What it is doing at this moment, to be read after "it is"; null: nothing. */
  get step(): string | null {
    return this.#step;
  }

  /**
   * Puts the configuration, which has been checked, in force: one after the other, in the order of the calls.
   *
   * @param keep has it be what the next start finds, once nothing else can fail. What it throws, it has not.
   * @returns what is different. What needs a restart stays as it was.
   * @throws ReconfigurationError
   */
  apply(next: Configuration, keep: () => void): Promise<Difference[]> {
    const turn = this.#last
      .then(() => this.#apply(next, keep))
      .finally(() => {
        this.#step = null;
      });
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #apply(wanted: Configuration, keep: () => void): Promise<Difference[]> {
    const { logger } = this.#host;
    const before = this.#host.configuration();
    const open = this.#host.units.records();
    const continuity = continuityOf(before, wanted, open);
    const found = differencesBetween(continuity, wanted, open);
    for (const { path, effect } of found) if (effect === "restart") logger.warn({ path }, "changed: needs a restart");
    const kept = Object.fromEntries(RESTART_KEYS.map((key) => [key, before[key]]));
    const next: Configuration = { ...wanted, ...kept, http: withTlsOf(before.http, wanted.http) };
    const { current } = continuity;
    const change = new UnitDifference(continuity, next.units, open);
    const undo: Undo[] = [];
    try {
      await this.#prepare(current, next, change, undo);
      await this.#reopen(change, undo);
      // Before names are given up that the old text has, and before anybody sees what it does not have.
      keep();
    } catch (error) {
      for (const step of undo.reverse()) await this.#takeBack(step);
      throw new ReconfigurationError((error as Error).message, { cause: error });
    }
    await this.#commit(current, next, change);
    logger.info({ differences: found.length }, "configuration reloaded");
    return found;
  }

  /** Whatever becomes of one step, the others are taken back. */
  async #takeBack(step: Undo): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#host.logger.error({ reason: (error as Error).message }, "a change that has failed is not undone in full");
    }
  }

  // ---- prepare

  async #prepare(current: Configuration, next: Configuration, change: UnitDifference, undo: Undo[]): Promise<void> {
    const { reception, units, openUnits, identities } = this.#host;
    this.#step = `opening ${change.added.length} units`;
    await openUnits(change.added);
    for (const { name } of change.added) undo.push(() => this.#close(name));
    const had = portalsOf(current);
    for (const [name, { tag, address }] of portalsOf(next)) {
      if (had.has(name)) continue;
      this.#step = `beginning to listen on ${formatPortalAddress(address)}`;
      await reception.listen(tag, address);
      undo.push(() => reception.closePortal(tag, address));
    }
    for (const { from, to } of change.renamed) {
      await identities.copyIdentity(from, to);
      undo.push(() => this.#freeName(to));
    }
    for (const { to } of change.grown) {
      undo.push(units.grow(to));
    }
  }

  // ---- reopen

  async #reopen({ reopened }: UnitDifference, undo: Undo[]): Promise<void> {
    for (const { from, to } of reopened) {
      await this.#endSessionsOf(from.name);
      await this.#close(from.name);
      undo.push(() => this.#open(from));
      await this.#open(to);
      undo.push(() => this.#close(to.name));
    }
  }

  async #open(unit: UnitConfiguration): Promise<void> {
    for (const record of await this.#host.openUnits([unit])) this.#serve(record);
  }

  // ---- commit

  async #commit(current: Configuration, next: Configuration, change: UnitDifference): Promise<void> {
    const { reception, units, logger } = this.#host;
    logger.level = next.log.level;
    this.#host.shards.tellSlowCommands(next.log.slowCommandsMs);
    if (next.http?.tls && !isEqual(next.http.tls, current.http?.tls)) this.#host.useTls(next.http.tls);
    for (const { name } of change.added) this.#serve(units.find(name)!);
    const sessions = [...this.#host.registry.sessions()].filter((session) => sessionTypeOf(session) === "Normal");
    // Before anything goes, so that no new session gets it.
    this.#host.setConfiguration(next);
    for (const { from, to } of change.renamed) units.rename(from, to);
    const has = portalsOf(next);
    for (const [name, { tag, address }] of portalsOf(current)) if (!has.has(name)) reception.closePortal(tag, address);
    this.#host.drains.keep(
      reception.portals,
      next.portalGroups.map(({ tag }) => tag),
      next.targets.map(({ name }) => name),
    );
    this.#step = "telling the shards, and the sessions, what is different";
    for (const { to } of change.grown) await this.#announceSize(to);
    for (const unit of change.rethresholded) await this.#setThreshold(unit);
    await Promise.all(change.limited.map((unit) => this.#limit(unit)));
    await this.#adaptAll(sessions, current, next, change);
    await this.#host.access.configurationChanged(units.records());
    for (const { from } of change.renamed) await this.#freeName(from);
    for (const { name } of change.removed) {
      await this.#endSessionsOf(name).then(
        () => this.#remove(name),
        // What is under way on it may use its files: it stays open, and nobody sees it.
        (error) => logger.error({ unit: name, reason: (error as Error).message }, "unit not closed"),
      );
    }
  }

  async #freeName(name: string): Promise<void> {
    const { identities, logger } = this.#host;
    await identities.dropIdentity(name).catch((error) => {
      logger.warn({ unit: name, reason: (error as Error).message }, "a name that no unit has keeps its identity");
    });
  }

  async #announceSize({ name }: UnitConfiguration): Promise<void> {
    const { units, changes } = this.#host;
    const { unitIndex, state } = units.find(name)!;
    const { asc, ascq } = CAPACITY_DATA_HAS_CHANGED;
    await changes.make(unitIndex, { state, attentions: [{ asc, ascq }] });
  }

  async #setThreshold({ name, thinThresholdBytes }: FileUnitConfiguration): Promise<void> {
    await this.#host.modes.setDefaults(this.#host.units.find(name)!.unitIndex, defaultThreshold(thinThresholdBytes));
  }

  async #limit({ name, limits }: UnitConfiguration): Promise<void> {
    const { units, changes } = this.#host;
    const { record, onChanged } = units.limit(name, limits);
    await changes.make(record.unitIndex, { limits: record.limits });
    onChanged();
  }

  /** Sessions whose targets are what they were have nothing to hear. */
  async #adaptAll(
    sessions: readonly Session[],
    current: Configuration,
    next: Configuration,
    change: UnitDifference,
  ): Promise<void> {
    const before = byName(current.targets);
    const same = new Set(next.targets.filter((one) => isEqual(before.get(one.name), one)).map(({ name }) => name));
    const concerned = sessions.filter(
      (session) => !same.has(session.identity.targetName) || accessOf(session, next).kind !== "granted",
    );
    await Promise.all(concerned.map((session) => this.#adapt(session, current, next, change)));
  }

  /**
   * A session keeps what it has where it may still have it, be it read-only now, and is given what is new. It ends where its initiator has no access
   * any more, where one of its LUNs becomes another one, and where a unit of its goes.
   */
  async #adapt(session: Session, current: Configuration, next: Configuration, change: UnitDifference): Promise<void> {
    const { admission, broadcasts, copies, registry, removalPrevention, reservations, initiatorLimits } = this.#host;
    const { lunRecords, units } = this.#host;
    const [then, now] = [accessOf(session, current), accessOf(session, next)];
    const lost = new Set(change.removed.map(({ name }) => name));
    if (now.kind === "notFound") {
      await admission.dismissSession(session, "configuration changed: its target is gone", REMOVAL_GRACE_MS);
      return;
    }
    if (now.kind === "forbidden") {
      await admission.endSession(session, "configuration changed: no access any more");
      return;
    }
    const had = byLun(then.kind === "granted" ? then.grant.luns : []);
    const has = byLun(now.grant.luns);
    const removed = [...had.values()].filter(({ lun }) => !has.has(lun));
    const stayed = [...had.values()].flatMap((from) => {
      const to = has.get(from.lun);
      return to === undefined ? [] : [{ from, to }];
    });
    if (stayed.some(({ from, to }) => from.unit !== to.unit) || removed.some(({ unit }) => lost.has(unit))) {
      await admission.endSession(session, "configuration changed: one of its LUNs is another one, or gone");
      return;
    }
    // What would be granted to a session that is gone, nobody would give back.
    if (registry.session(session.sessionId) === session) {
      await initiatorLimits.change(session, now.grant.limits, broadcasts);
    }
    const added = now.grant.luns.filter(({ lun }) => !had.has(lun));
    const switched = stayed.flatMap(({ from, to: { lun, readOnly } }) =>
      readOnly === from.readOnly ? [] : [{ lun, readOnly }],
    );
    if (added.length === 0 && removed.length === 0 && switched.length === 0) return;
    const records = lunRecords(added, session.identity);
    const stay = now.grant.luns.flatMap(({ unit }) => units.find(unit)?.unitIndex ?? []);
    const staying = new Set(stay);
    const gone = session.unitIndexes.filter((unitIndex) => !staying.has(unitIndex));
    registry.setUnits(session.sessionId, stay);
    await broadcasts.sendTo(session.shard, (exchange) => ({
      type: "lunChange",
      exchange,
      sessionId: session.sessionId,
      added: records,
      removed: removed.map(({ lun }) => lun),
      switched,
    }));
    await copies.endRefused(session);
    reservations.unitsLost(session, gone);
    removalPrevention.unitsLost(session, gone);
  }

  // ---- units

  /** @throws ReconfigurationError if not all of them end in time. */
  async #endSessionsOf(name: string): Promise<void> {
    const { admission, registry, units, changes } = this.#host;
    const { unitIndex } = units.find(name)!;
    this.#step = `ending the sessions of unit ${name}, and what they have under way`;
    const sessions = [...registry.sessions()].filter(({ unitIndexes }) => unitIndexes.includes(unitIndex));
    const ended = await Promise.all(
      sessions.map((session) => admission.endSession(session, `configuration changed: unit ${name}`)),
    );
    if (!ended.every(Boolean)) throw new ReconfigurationError(`sessions of unit ${name} have not ended in time`);
    // Of sessions that no longer see the unit, and have not ended what they had begun before.
    const abortSessions = [...registry.sessions()].map(({ sessionId }) => sessionId);
    await changes.make(unitIndex, { abortSessions, closes: true });
  }

  #serve(unit: UnitRecord): void {
    this.#host.shards.addUnit(unit);
    this.#host.operations.resume(unit.unitIndex);
  }

  async #remove(name: string): Promise<void> {
    const unit = this.#host.units.find(name);
    await this.#close(name);
    if (unit !== undefined) this.#host.unheardLosses.forget(unit.uuid);
  }

  async #close(name: string): Promise<void> {
    const { units, operations, reservations, copies, access, unheardLosses, logger } = this.#host;
    const unit = units.find(name);
    this.#step = `flushing and closing unit ${name}`;
    if (unit !== undefined) {
      await copies.forgetUnit(unit.unitIndex);
      await operations.stop(unit.unitIndex);
    }
    const isFlushed = await units.close(name);
    if (unit !== undefined) {
      if (!isFlushed) unheardLosses.lost(unit.uuid);
      reservations.forget(unit.uuid);
      access.forget(unit.uuid);
    }
    logger.info({ unit: name }, "unit closed");
  }
}

/** What is to be done to units. */
class UnitDifference {
  readonly added: readonly UnitConfiguration[];
  readonly removed: readonly UnitConfiguration[];
  /** Larger, and nothing else. */
  readonly grown: readonly { readonly from: UnitConfiguration; readonly to: UnitConfiguration }[];
  readonly renamed: Continuity["renamed"];
  /** With another threshold, as they are now; those that are opened anew have it already. */
  readonly rethresholded: readonly FileUnitConfiguration[];
  /** With other limits, or none any more; likewise. */
  readonly limited: readonly UnitConfiguration[];
  /** What else has changed: they are closed and opened anew. */
  readonly reopened: readonly { readonly from: UnitConfiguration; readonly to: UnitConfiguration }[];

  constructor(
    { current: { units: current }, renamed }: Continuity,
    next: readonly UnitConfiguration[],
    open: readonly UnitRecord[],
  ) {
    const [before, after, records] = [byName(current), byName(next), byName(open)];
    this.renamed = renamed;
    this.added = next.filter(({ name }) => !before.has(name));
    this.removed = current.filter(({ name }) => !after.has(name));
    const changed = current.flatMap((from) => {
      const to = after.get(from.name);
      if (to === undefined || isSameOpen(from, to)) return [];
      return isSwitched(from, to, records.get(from.name)?.readOnly ?? false) ? [] : [{ from, to }];
    });
    this.grown = changed.filter(({ from, to }) => isGrown(from, to));
    this.reopened = changed.filter(({ from, to }) => !isGrown(from, to));
    const reopened = new Set(this.reopened.map(({ to }) => to));
    this.rethresholded = next.flatMap((to) => {
      const from = before.get(to.name);
      if (from?.kind !== "file" || to.kind !== "file" || reopened.has(to)) return [];
      return from.thinThresholdBytes === to.thinThresholdBytes ? [] : [to];
    });
    this.limited = next.filter((to) => {
      const from = before.get(to.name);
      return from !== undefined && !reopened.has(to) && !isEqual(from.limits, to.limits);
    });
  }
}

function isGrown(from: UnitConfiguration, to: UnitConfiguration): boolean {
  if (from.sizeBytes === null || to.sizeBytes === null || to.sizeBytes <= from.sizeBytes) return false;
  return !to.readOnly && isSameOpen({ ...from, sizeBytes: to.sizeBytes } as UnitConfiguration, to);
}

/** It is read-only now, or not any more, and nothing else: its LUNs say so, if it is open for writing. */
function isSwitched(from: UnitConfiguration, to: UnitConfiguration, isOpenReadOnly: boolean): boolean {
  return !isOpenReadOnly && isSameOpen({ ...from, readOnly: to.readOnly }, to);
}

function byLun(luns: readonly LunMapping[]): Map<number, LunMapping> {
  return new Map(luns.map((mapping) => [mapping.lun, mapping]));
}

function accessOf({ identity }: Session, configuration: Configuration): AccessDecision {
  const { targetName, portalGroup, initiatorName } = identity;
  return judgeAccess(configuration, targetName, Number(portalGroup), initiatorName);
}

/** By what names them. */
function portalsOf({ portalGroups }: Configuration): Map<string, { tag: number; address: PortalAddress }> {
  return new Map(
    portalGroups.flatMap(({ tag, portals }) =>
      portals.map((address) => [`${tag} ${formatPortalAddress(address)}`, { tag, address }] as const),
    ),
  );
}

/** What HTTP is from the start, with another certificate where there is one. */
function withTlsOf(current: HttpConfiguration | null, wanted: HttpConfiguration | null): HttpConfiguration | null {
  return current?.tls && wanted?.tls ? { ...current, tls: wanted.tls } : current;
}
