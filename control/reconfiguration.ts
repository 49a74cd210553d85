/**
 * Puts another configuration in force while everything runs: all of it, or none.
 *
 *     prepare    what may fail, and disturbs nobody: new units are opened, new portals listen, files grow
 *     reopen     units that cannot be changed while they are open: their sessions end, they are closed and opened anew
 *     keep       a start from now on finds it: who asked has put the text in the file's place
 *     commit     what cannot fail: the configuration is in force, sessions are told or ended, what is gone is closed
 *
 * Whatever fails before the commit is undone. Behind it nothing is waited for any longer than it should take (`#within`): initiators
 * and stores may keep a change waiting for ever, but neither the answer to who asked for it nor the next change.
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
import { FileTimeoutError } from "./files/file-thread.js";
import type { Files } from "./files/jobs.js";
import type { InitiatorLimits } from "./initiator-limits.js";
import { CHANGE_OVERTIME_MS, CHANGE_PATIENCE_MS, REMOVAL_GRACE_MS } from "./limits.js";
import type { Logger } from "./logger.js";
import type { Reception } from "./reception.js";
import { type Session, type SessionIdentity, type SessionRegistry, sessionTypeOf } from "./session-registry.js";
import { settlesWithin } from "./shard-thread.js";
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
import type { Opening, Units } from "./units/units.js";

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
  openUnits(units: readonly UnitConfiguration[], opening: Opening): Promise<UnitRecord[]>;
  readonly files: Files;
  readonly identities: Pick<StateDirectory, "copyIdentity" | "dropIdentity">;
  lunRecords(luns: readonly LunMapping[], identity: SessionIdentity): LunRecord[];
}

/** What was asked for cannot be had; nothing has changed but what the message says. */
export class ReconfigurationError extends Error {
  override readonly name = "ReconfigurationError";
}

/** What has been put in force. */
export interface Applied {
  readonly differences: Difference[];
  /** What goes on still, and has taken too long already: sentences without an end. */
  readonly unfinished: readonly string[];
}

export interface ApplyOptions {
  /** Has it be what the next start finds, once nothing else can fail. What it throws, it has not. */
  readonly keep?: () => Promise<void> | void;
  /** Folders of which files of units must be below one, unless they are in force already; null: they may be anywhere. */
  readonly roots?: readonly string[] | null;
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
  #unfinished: string[] = [];
  /** Names of units that are in the configuration no more, and not closed yet. */
  readonly #leaving = new Set<string>();

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
   * @returns what is different. What needs a restart stays as it was.
   * @throws ReconfigurationError
   */
  apply(next: Configuration, options: ApplyOptions = {}): Promise<Applied> {
    const turn = this.#last
      .then(() => this.#apply(next, options))
      .finally(() => {
        this.#step = null;
      });
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #apply(wanted: Configuration, { keep, roots = null }: ApplyOptions): Promise<Applied> {
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
    const known = new Set(before.units.map((unit) => (unit.kind === "file" ? unit.path : null)));
    const opening: Opening = { files: this.#host.files, rootsFor: ({ path }) => (known.has(path) ? null : roots) };
    const undo: Undo[] = [];
    this.#unfinished = [];
    try {
      await this.#prepare(current, next, change, opening, undo);
      await this.#reopen(change, opening, undo);
      this.#step = "writing the configuration";
      // Before names are given up that the old text has, and before anybody sees what it does not have.
      await keep?.();
    } catch (error) {
      for (const step of undo.reverse()) await this.#takeBack(step);
      throw new ReconfigurationError((error as Error).message, { cause: error });
    }
    await this.#commit(current, next, change);
    logger.info({ differences: found.length }, "configuration reloaded");
    return { differences: found, unfinished: this.#unfinished };
  }

  /** What does not end in time goes on, and is told of. @returns whether it has ended */
  async #within(what: string, work: Promise<unknown>): Promise<boolean> {
    try {
      const hasEnded = await settlesWithin(work, CHANGE_PATIENCE_MS);
      if (!hasEnded) this.#tellUnfinished(what);
      return hasEnded;
    } catch (error) {
      this.#tellUnfinished(`${what}: ${(error as Error).message}`);
      return true;
    }
  }

  #tellUnfinished(what: string): void {
    this.#unfinished.push(what);
    this.#host.logger.error({ what }, "a change is in force, and not done in full");
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

  async #prepare(
    current: Configuration,
    next: Configuration,
    change: UnitDifference,
    opening: Opening,
    undo: Undo[],
  ): Promise<void> {
    const { reception, units, openUnits, identities, files } = this.#host;
    this.#step = `opening ${change.added.length} units`;
    const leaving = change.added.find(({ name }) => this.#leaving.has(name));
    if (leaving !== undefined) {
      throw new ReconfigurationError(
        `a unit ${leaving.name} is still being closed: take another name, or try again later`,
      );
    }
    await openUnits(change.added, opening);
    for (const unit of change.added) undo.push(() => this.#takeBackUnit(unit, opening));
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
      this.#step = `growing unit ${to.name}`;
      undo.push(await units.grow(to, files));
    }
  }

  // ---- reopen

  async #reopen({ reopened }: UnitDifference, opening: Opening, undo: Undo[]): Promise<void> {
    for (const { from, to } of reopened) {
      const { name } = from;
      if (!(await settlesWithin(this.#endSessionsOf(name), CHANGE_PATIENCE_MS))) {
        throw new ReconfigurationError(`${underWay(name)}: it stays as it is, and its hosts may log in again`);
      }
      await this.#flush(name);
      await this.#close(name);
      undo.push(() => this.#open(from, opening));
      await this.#open(to, opening);
      undo.push(() => this.#takeBackUnit(to, opening));
    }
  }

  async #open(unit: UnitConfiguration, opening: Opening): Promise<void> {
    this.#step = `opening unit ${unit.name}`;
    for (const record of await this.#host.openUnits([unit], opening)) this.#serve(record);
  }

  /** While the unit can still stay as it is. What cannot be made durable is dealt with when it is closed. */
  async #flush(name: string): Promise<void> {
    const { units, files } = this.#host;
    const { bufferedFd, readOnly } = units.find(name)!;
    this.#step = `flushing unit ${name}`;
    if (bufferedFd < 0 || readOnly) return;
    try {
      await files.run("flush", bufferedFd);
    } catch (error) {
      if (error instanceof FileTimeoutError) throw new ReconfigurationError(`unit ${name}: ${error.message}`);
    }
  }

  async #takeBackUnit(unit: UnitConfiguration, opening: Opening): Promise<void> {
    await this.#beforeClose(unit.name);
    await this.#host.units.takeBack(unit, opening);
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
    await Promise.all([
      ...change.grown.map(({ to }) =>
        this.#within(`hosts are not told how large unit ${to.name} is`, this.#announceSize(to)),
      ),
      ...change.rethresholded.map((unit) =>
        this.#within(`unit ${unit.name} does not have its threshold`, this.#setThreshold(unit)),
      ),
      ...change.limited.map((unit) => this.#within(`unit ${unit.name} does not have its limits`, this.#limit(unit))),
    ]);
    await this.#adaptAll(sessions, current, next, change);
    await this.#within("hosts are not told of access states", this.#host.access.configurationChanged(units.records()));
    for (const { from } of change.renamed) await this.#freeName(from);
    this.#step = `closing ${change.removed.length} units`;
    await Promise.all(change.removed.map(({ name }) => this.#leave(name)));
  }

  /** The unit is closed when nothing is under way on it, which may use its files: until then it stays open, and nobody sees it. */
  async #leave(name: string): Promise<void> {
    const { logger } = this.#host;
    this.#leaving.add(name);
    const closed = this.#endSessionsOf(name)
      .then(() => this.#remove(name))
      .then(() => this.#leaving.delete(name));
    closed.catch((error) => logger.error({ unit: name, reason: (error as Error).message }, "unit not closed"));
    await this.#within(`${underWay(name)}: it is closed when that has ended`, closed);
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
      const reason = "configuration changed: its target is gone";
      if (!(await admission.dismissSession(session, reason, REMOVAL_GRACE_MS))) this.#tellUnended(session);
      return;
    }
    if (now.kind === "forbidden") {
      await this.#end(session, "configuration changed: no access any more");
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
      await this.#end(session, "configuration changed: one of its LUNs is another one, or gone");
      return;
    }
    // What would be granted to a session that is gone, nobody would give back.
    if (registry.session(session.sessionId) === session) {
      const limited = initiatorLimits.change(session, now.grant.limits, broadcasts);
      await this.#within(`session ${session.sessionId} does not have its limits`, limited);
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
    const writesEnded = broadcasts.sendTo(session.shard, (exchange) => ({
      type: "lunChange",
      exchange,
      sessionId: session.sessionId,
      added: records,
      removed: removed.map(({ lun }) => lun),
      switched,
    }));
    if (!(await settlesWithin(writesEnded, CHANGE_PATIENCE_MS))) await this.#endOverdue(session, writesEnded);
    await this.#within(`copies of session ${session.sessionId} have not ended`, copies.endRefused(session));
    reservations.unitsLost(session, gone);
    removalPrevention.unitsLost(session, gone);
  }

  async #end(session: Session, reason: string): Promise<void> {
    if (!(await this.#host.admission.endSession(session, reason))) this.#tellUnended(session);
  }

  #tellUnended({ sessionId, identity: { initiatorName } }: Session): void {
    this.#tellUnfinished(`session ${sessionId} (${initiatorName}) has not ended: its store may not answer`);
  }

  /** Writes that it has begun do not end: its initiator does not send their data, or their store does not answer. */
  async #endOverdue(session: Session, writesEnded: Promise<void>): Promise<void> {
    const { admission } = this.#host;
    const { sessionId, identity } = session;
    await admission.endSession(
      session,
      "configuration changed: its writes to a LUN that goes, or is read-only now, do not end",
    );
    if (await settlesWithin(writesEnded, CHANGE_OVERTIME_MS)) return;
    this.#tellUnfinished(
      `writes of session ${sessionId} (${identity.initiatorName}) to a LUN that goes, or is read-only now, have not ended: their store does not answer`,
    );
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

  /** Ends what control has under way on it. */
  async #beforeClose(name: string): Promise<void> {
    const { units, operations, copies } = this.#host;
    const unit = units.find(name);
    if (unit === undefined) return;
    await copies.forgetUnit(unit.unitIndex);
    await operations.stop(unit.unitIndex);
  }

  async #close(name: string): Promise<void> {
    const { units, reservations, access, unheardLosses, logger } = this.#host;
    const unit = units.find(name);
    this.#step = `closing unit ${name}`;
    await this.#beforeClose(name);
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

function underWay(unit: string): string {
  return `what is under way on unit ${unit} does not end, its store may not answer`;
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
