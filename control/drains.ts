/**
 * What is taken out of service while the rest goes on: a portal, a portal group, a target. Nobody new is let in there, or told of
 * it; whoever is there is asked to log out (RFC 7143 section 11.9.1), and dropped when the time for that is over.
 *
 *     begin --> draining --> drained --(undo)--> in service again
 *
 * The portals go on listening: they send newcomers elsewhere where there is somewhere else (redirection.ts), refuse them where there
 * is not, and serve discovery. None of this survives a restart of the program.
 */
import { LOGGED_OUT, LOGOUT_OVERDUE } from "../dataplane/messages.js";
import { formatPortalAddress } from "./config/portal-address.js";
import type { ListeningPortal, Offer } from "./discovery.js";
import { DRAIN_OVERTIME_MS } from "./limits.js";
import type { Logger } from "./logger.js";
import type { OutOfService } from "./redirection.js";
import { type Connection, type Session, type SessionRegistry, sessionTypeOf } from "./session-registry.js";
import type { ShardControl } from "./shards.js";

export type DrainScope =
  /** As it listens: `192.0.2.1:3260`. */
  | { readonly kind: "portal"; readonly portal: string }
  | { readonly kind: "portalGroup"; readonly tag: number }
  | { readonly kind: "target"; readonly target: string };

export interface Drain {
  readonly id: number;
  readonly scope: DrainScope;
  readonly startedAtMs: number;
  /** What the sessions are given to log out in. */
  readonly timeoutMs: number;
  /** Connections that were there when it began, and what has become of them. */
  readonly found: number;
  readonly loggedOut: number;
  readonly dropped: number;
  /** Those that ended in other ways: their initiator is gone, or was thrown out. */
  readonly lost: number;
}

export type DrainState = "draining" | "drained";

/** How it stands: what of its sessions is there still. */
export interface DrainProgress {
  readonly drain: Drain;
  readonly state: DrainState;
  readonly connections: number;
  readonly sessions: number;
}

interface OpenDrain extends Drain {
  loggedOut: number;
  dropped: number;
  lost: number;
  readonly connectionIds: Set<number>;
  readonly overtime: NodeJS.Timeout;
  isDone: boolean;
}

export interface DrainsOptions {
  readonly registry: SessionRegistry;
  readonly shards: ShardControl;
  readonly logger: Logger;
  /** As Admission.endSession. */
  endSession(session: Session, reason: string): Promise<boolean>;
}

export class Drains implements OutOfService {
  readonly #options: DrainsOptions;
  readonly #drains = new Map<number, OpenDrain>();
  #lastId = 0;

  constructor(options: DrainsOptions) {
    this.#options = options;
  }

  /** @returns undefined where it has begun already. */
  begin(scope: DrainScope, timeoutMs: number): DrainProgress | undefined {
    if (this.#find(scope) !== undefined) return undefined;
    const { logger } = this.#options;
    const there = [...this.#there(scope)];
    const connectionIds = new Set(there.flatMap(({ connections }) => connections.map((one) => one.connectionId)));
    const drain: OpenDrain = {
      id: ++this.#lastId,
      scope,
      startedAtMs: Date.now(),
      timeoutMs,
      found: connectionIds.size,
      loggedOut: 0,
      dropped: 0,
      lost: 0,
      connectionIds,
      overtime: setTimeout(() => this.#endRest(drain), timeoutMs + DRAIN_OVERTIME_MS),
      isDone: false,
    };
    this.#drains.set(drain.id, drain);
    logger.info({ ...scope, connections: drain.found, timeoutMs }, "drain begins");
    this.#tell(there, { type: "requestLogout", timeoutMs, endsSession: scope.kind !== "portal" });
    this.#look(drain);
    return this.#progress(drain);
  }

  /** It is in service again; who has not logged out yet may stay. @returns undefined where there is none of that number. */
  undo(id: number): DrainProgress | undefined {
    const drain = this.#drains.get(id);
    if (drain === undefined) return undefined;
    this.#forget(drain);
    this.#tell(this.#there(drain.scope), { type: "cancelLogout" });
    this.#options.logger.info({ ...drain.scope }, "drain undone");
    return this.#progress(drain);
  }

  /** In the order in which they began. */
  get all(): DrainProgress[] {
    return [...this.#drains.values()].map((drain) => this.#progress(drain));
  }

  get(id: number): DrainProgress | undefined {
    const drain = this.#drains.get(id);
    return drain && this.#progress(drain);
  }

  hasPortal({ tag, address }: ListeningPortal): boolean {
    return this.portalState({ tag, address }) !== undefined;
  }

  hasTarget(target: string): boolean {
    return this.#find({ kind: "target", target }) !== undefined;
  }

  /** Of itself, or of its group; undefined: it is in service. */
  portalState({ tag, address }: ListeningPortal): DrainState | undefined {
    const own = this.#find({ kind: "portal", portal: formatPortalAddress(address) });
    const ofGroup = this.#find({ kind: "portalGroup", tag });
    const found = [own, ofGroup].filter((drain) => drain !== undefined);
    if (found.length === 0) return undefined;
    return found.some(({ isDone }) => isDone) ? "drained" : "draining";
  }

  targetState(target: string): DrainState | undefined {
    const found = this.#find({ kind: "target", target });
    return found && stateOf(found);
  }

  /** What is left of the offer. `movesAway`: initiators of this target are sent elsewhere, so that it is worth being told of. */
  without({ targets, portals }: Offer, movesAway: (targetName: string) => boolean): Offer {
    return {
      targets: targets.filter(({ name }) => !this.hasTarget(name) || movesAway(name)),
      portals: portals.filter((portal) => !this.hasPortal(portal)),
    };
  }

  /** As its shard says: closed, or failed. The registry knows of it already. */
  connectionEnded(connectionId: number, reason: string): void {
    for (const drain of this.#drains.values()) {
      if (!drain.connectionIds.delete(connectionId)) continue;
      if (reason === LOGGED_OUT) drain.loggedOut++;
      else if (reason === LOGOUT_OVERDUE) drain.dropped++;
      else drain.lost++;
    }
    this.look();
  }

  /** Sessions have ended, of whatever. */
  look(): void {
    for (const drain of this.#drains.values()) this.#look(drain);
  }

  /** What is no longer configured is not drained either. */
  keep(portals: readonly ListeningPortal[], tags: readonly number[], targets: readonly string[]): void {
    for (const drain of this.#drains.values()) {
      const { scope } = drain;
      const isThere =
        scope.kind === "portal"
          ? portals.some(({ address }) => formatPortalAddress(address) === scope.portal)
          : scope.kind === "portalGroup"
            ? tags.includes(scope.tag)
            : targets.includes(scope.target);
      if (!isThere) this.#forget(drain);
    }
  }

  stop(): void {
    for (const drain of this.#drains.values()) this.#forget(drain);
  }

  #forget(drain: OpenDrain): void {
    clearTimeout(drain.overtime);
    this.#drains.delete(drain.id);
  }

  #find(scope: DrainScope): OpenDrain | undefined {
    return [...this.#drains.values()].find((drain) => isSame(drain.scope, scope));
  }

  /** What is in the scope now. Of a portal only the sessions that have connections through it. */
  *#there(scope: DrainScope): Generator<Affected> {
    for (const session of this.#options.registry.sessions()) {
      if (sessionTypeOf(session) !== "Normal") continue;
      const { targetName, portalGroup } = session.identity;
      if (scope.kind === "portalGroup" && portalGroup !== scope.tag) continue;
      if (scope.kind === "target" && targetName !== scope.target) continue;
      const connections = [...session.connections.values()].filter(
        ({ details, hasFailed }) => !hasFailed && (scope.kind !== "portal" || details.portal === scope.portal),
      );
      if (scope.kind !== "portal" || connections.length > 0) yield { session, connections };
    }
  }

  /** One message to each shard that has some of them. */
  #tell(there: Iterable<Affected>, message: LogoutMessage): void {
    const byShard = new Map<number, number[]>();
    for (const { session, connections } of there) {
      const ids = byShard.get(session.shard) ?? [];
      byShard.set(session.shard, ids);
      ids.push(...connections.map(({ connectionId }) => connectionId));
    }
    for (const [shard, connectionIds] of byShard) this.#options.shards.send(shard, { ...message, connectionIds });
  }

  #look(drain: OpenDrain): void {
    if (drain.isDone || this.#there(drain.scope).next().done !== true) return;
    drain.isDone = true;
    clearTimeout(drain.overtime);
    const { found, loggedOut, dropped, lost, scope } = drain;
    this.#options.logger.info({ ...scope, connections: found, loggedOut, dropped, lost }, "drained");
  }

  /** Sessions that have no connection to be told on, but wait for one (ErrorRecoveryLevel 2). */
  #endRest(drain: OpenDrain): void {
    if (drain.scope.kind === "portal") return;
    for (const { session } of [...this.#there(drain.scope)]) void this.#options.endSession(session, "drained");
  }

  #progress(drain: OpenDrain): DrainProgress {
    const there = [...this.#there(drain.scope)];
    const connections = there.reduce((sum, affected) => sum + affected.connections.length, 0);
    return { drain, state: stateOf(drain), connections, sessions: there.length };
  }
}

interface Affected {
  readonly session: Session;
  readonly connections: readonly Connection[];
}

type LogoutMessage =
  | { readonly type: "requestLogout"; readonly timeoutMs: number; readonly endsSession: boolean }
  | { readonly type: "cancelLogout" };

function stateOf({ isDone }: OpenDrain): DrainState {
  return isDone ? "drained" : "draining";
}

function isSame(one: DrainScope, other: DrainScope): boolean {
  switch (one.kind) {
    case "portal":
      return other.kind === "portal" && other.portal === one.portal;
    case "portalGroup":
      return other.kind === "portalGroup" && other.tag === one.tag;
    case "target":
      return other.kind === "target" && other.target === one.target;
  }
}
