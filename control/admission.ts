/**
 * Between a login that is negotiated and a session that is served: ends what the login replaces, waits for that, chooses a
 * shard, enters the session into the registry. Logins of one nexus pass one after the other.
 */
import { CONNECTIONS_MAX } from "../dataplane/limits.js";
import {
  LOGIN_STATUS_AUTHENTICATION_FAILURE,
  LOGIN_STATUS_SERVICE_UNAVAILABLE,
} from "../dataplane/wire/login-response.js";
import { DRAIN_OVERTIME_MS, REINSTATEMENT_TIMEOUT_MS } from "./limits.js";
import type { Logger } from "./logger.js";
import { authenticatesAlike } from "./login/context.js";
import type { LoginFailureStatus } from "./login/status.js";
import { REFUSALS } from "./login-context.js";
import {
  type Agreement,
  type Connection,
  type ConnectionDetails,
  logFields,
  type Session,
  type SessionIdentity,
  type SessionRegistry,
  SHARD_NONE,
  sessionTypeOf,
} from "./session-registry.js";
import { settlesWithin } from "./shard-thread.js";
import type { ShardControl } from "./shards.js";

export interface Applicant {
  readonly identity: SessionIdentity;
  /** As in the Login Request. */
  readonly tsih: number;
  readonly cid: number;
  /** What the initiator has received of the connection that its login restarts, if it does (RFC 7143 section 11.12.9). */
  readonly expStatSN: number;
  readonly agreement: Agreement;
  readonly details: ConnectionDetails;
  /** Units that the session will reach; undefined for a discovery session, which no shard serves. */
  readonly unitIndexes: readonly number[] | undefined;
  /** Whether the connection is still there: nobody's session is ended for one that is gone. */
  readonly isAlive: () => boolean;
}

export interface Admitted {
  readonly session: Session;
  readonly connection: Connection;
}

export type Refusal = { readonly status: LoginFailureStatus; readonly reason: string };

/** Resolves when nothing of the initiator's connections that have ended can touch these units any more. */
export type AwaitEnding = (initiatorName: string, unitIndexes: readonly number[]) => Promise<void>;

/** Whom to call, by connection or session. */
type Waiting = Map<number, (() => void)[]>;

export class Admission {
  readonly #registry: SessionRegistry;
  readonly #shards: ShardControl;
  readonly #logger: Logger;
  readonly #awaitEnding: AwaitEnding;
  /** By nexus: the last login in the queue. */
  readonly #queues = new Map<string, Promise<unknown>>();
  /** Who waits for the end of a connection. */
  readonly #closing: Waiting = new Map();
  /** And of a session. */
  readonly #ending: Waiting = new Map();
  /** Sessions that a login is about to enter in place of an old connection; true: their shard has given them up meanwhile. */
  readonly #awaited = new Map<number, boolean>();
  /** Connections whose session goes on without them for a moment. */
  readonly #replaced = new Set<number>();
  /** How to close a discovery session's connection. */
  readonly #closers = new Map<number, (reason: string) => void>();

  constructor(registry: SessionRegistry, shards: ShardControl, logger: Logger, awaitEnding: AwaitEnding) {
    this.#registry = registry;
    this.#shards = shards;
    this.#logger = logger;
    this.#awaitEnding = awaitEnding;
  }

  /**
   * Admits the login, and has `commit` take the connection over before anybody else's turn comes. What `commit` returns
   * undoes the admission: the connection could not be taken over.
   *
   * @returns why not; undefined when it is done.
   */
  async admit(applicant: Applicant, commit: (admitted: Admitted) => Refusal | undefined): Promise<Refusal | undefined> {
    const key = JSON.stringify(applicant.identity);
    const previous = this.#queues.get(key) ?? Promise.resolve();
    const turn = previous.then(() => this.#admitInTurn(applicant, commit));
    const tail = turn.catch(() => {});
    this.#queues.set(key, tail);
    void tail.then(() => {
      if (this.#queues.get(key) === tail) this.#queues.delete(key);
    });
    return turn;
  }

  async #admitInTurn(
    applicant: Applicant,
    commit: (admitted: Admitted) => Refusal | undefined,
  ): Promise<Refusal | undefined> {
    const { identity, tsih, cid, expStatSN, agreement, unitIndexes } = applicant;
    const sessionType = unitIndexes === undefined ? "Discovery" : "Normal";
    /** Goes on without a connection until this one takes the place of the old one. */
    let awaited: Session | undefined;
    try {
      for (;;) {
        if (unitIndexes !== undefined) {
          await this.#shards.unitsSettled(unitIndexes);
          // Of whatever nexus: an initiator that was started anew, with another ISID, is to find all of its old writes done.
          const ending = this.#awaitEnding(identity.initiatorName, unitIndexes);
          if (!(await settlesWithin(ending, REINSTATEMENT_TIMEOUT_MS))) return STILL_THERE;
          await this.#shards.available();
        }
        if (!applicant.isAlive()) return GONE;
        const verdict = this.#registry.judge(identity, sessionType, tsih, cid);
        switch (verdict.kind) {
          case "refuse":
            return REFUSALS[verdict.reason];
          case "reinstateSession":
            if (usurps(applicant, verdict.session)) return USURPER;
            if (!(await this.endSession(verdict.session, "session reinstatement"))) return STILL_THERE;
            break;
          case "reinstateConnection":
            awaited = verdict.session;
            this.#awaited.set(awaited.sessionId, false);
            if (!(await this.#endConnection(awaited, verdict.connection, expStatSN))) return STILL_THERE;
            break;
          case "addConnection":
            if (!this.#hasRoom(verdict.session.shard)) return REFUSALS.outOfResources;
            return this.#enter(applicant, verdict.session, commit);
          case "newSession": {
            const shard = unitIndexes === undefined ? SHARD_NONE : this.#registry.leastLoaded(this.#shards.serving());
            if (shard === undefined) break;
            if (!this.#hasRoom(shard)) return REFUSALS.outOfResources;
            const session = this.#registry.open(identity, shard, agreement, unitIndexes ?? []);
            return this.#enter(applicant, session, commit);
          }
          default:
            verdict satisfies never;
        }
        // Something was awaited, and all may be different now.
      }
    } finally {
      if (awaited !== undefined) this.#awaitNoMore(awaited);
    }
  }

  /** The login has entered the session, or it has failed: then the session goes as soon as its shard has given it up. */
  #awaitNoMore({ sessionId, shard, connections }: Session): void {
    const isGivenUp = shard === SHARD_NONE || this.#awaited.get(sessionId) === true;
    this.#awaited.delete(sessionId);
    if (isGivenUp && connections.size === 0) this.#registry.closeSession(sessionId);
  }

  /** A shard would close the connection without a word, as it does where one of those that are ending still has its place. */
  #hasRoom(shard: number): boolean {
    return shard === SHARD_NONE || this.#registry.connectionsOfShard(shard) < CONNECTIONS_MAX;
  }

  #enter(
    { cid, details }: Applicant,
    session: Session,
    commit: (admitted: Admitted) => Refusal | undefined,
  ): Refusal | undefined {
    const connection = this.#registry.addConnection(session.sessionId, cid, details);
    let done = false;
    try {
      const refusal = commit({ session, connection });
      done = refusal === undefined;
      return refusal;
    } finally {
      if (!done) this.connectionClosed(connection.connectionId);
    }
  }

  /** The connection of a discovery session, so that a later login can end it. */
  registerCloser(connectionId: number, close: (reason: string) => void): void {
    this.#closers.set(connectionId, close);
  }

  /** Asks the initiator to log out, and ends the session when the time for that is over. @returns whether it is gone. */
  async dismissSession(session: Session, reason: string, graceMs: number): Promise<boolean> {
    const { sessionId, shard, connections } = session;
    if (shard === SHARD_NONE || connections.size === 0) return this.endSession(session, reason);
    this.#logger.info({ sessionId, initiator: session.identity.initiatorName, reason }, "asking for logout");
    const ended = awaitCall(this.#ending, sessionId, graceMs + DRAIN_OVERTIME_MS);
    const connectionIds = [...connections.values()].map(({ connectionId }) => connectionId);
    this.#shards.send(shard, { type: "requestLogout", connectionIds, timeoutMs: graceMs, endsSession: true });
    return (await ended) || this.endSession(session, reason);
  }

  /** Ends the session with all its connections and tasks. @returns whether they are gone; false: not in time. */
  async endSession(session: Session, reason: string): Promise<boolean> {
    const { sessionId, shard } = session;
    this.#logger.debug({ ...logFields(session), reason }, "ending session");
    if (shard === SHARD_NONE) {
      this.#closeDiscovery(session, reason);
      return true;
    }
    // Tasks of connections that have failed may go on without any connection: only the shard knows when all is over.
    const ended = awaitCall(this.#ending, sessionId);
    this.#shards.send(shard, { type: "endSession", sessionId, reason });
    return ended;
  }

  async #endConnection(session: Session, { connectionId }: Connection, expStatSN: number): Promise<boolean> {
    const closed = awaitCall(this.#closing, connectionId);
    this.#replaced.add(connectionId);
    const reason = "connection reinstatement";
    if (session.shard === SHARD_NONE) this.#closeDiscovery(session, reason);
    else this.#shards.send(session.shard, { type: "endConnection", connectionId, expStatSN, reason });
    const done = await closed;
    this.#replaced.delete(connectionId);
    return done;
  }

  #closeDiscovery(session: Session, reason: string): void {
    for (const { connectionId } of [...session.connections.values()]) {
      this.#closers.get(connectionId)?.(reason);
      this.connectionClosed(connectionId);
    }
  }

  /**
   * The connection has ended, as its shard or its discovery session says. The session goes on where another connection is
   * about to take its place, or may: `isRecoverable` says that its tasks wait for that.
   */
  connectionClosed(connectionId: number, isRecoverable = false): void {
    this.#closers.delete(connectionId);
    this.#registry.closeConnection(connectionId, isRecoverable || this.#replaced.has(connectionId));
    call(this.#closing, connectionId);
  }

  /** Its shard has given the session up. A login that came in between, or is about to enter it, begins it anew. */
  sessionEnded(sessionId: number): void {
    if (this.#awaited.has(sessionId)) this.#awaited.set(sessionId, true);
    else if (this.#registry.session(sessionId)?.connections.size === 0) this.#registry.closeSession(sessionId);
    call(this.#ending, sessionId);
  }

  /** All connections of the shard have ended with it. */
  shardDied(shard: number): void {
    for (const session of this.#registry.sessionsOfShard(shard)) {
      for (const { connectionId } of [...session.connections.values()]) {
        this.#replaced.delete(connectionId);
        this.connectionClosed(connectionId);
      }
      // One that was between two connections.
      this.#registry.closeSession(session.sessionId);
      call(this.#ending, session.sessionId);
    }
  }
}

/** Resolves to whether `call` comes in time. */
function awaitCall(waiting: Waiting, id: number, timeoutMs = REINSTATEMENT_TIMEOUT_MS): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs);
    const calls = waiting.get(id) ?? [];
    waiting.set(id, calls);
    calls.push(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

function call(waiting: Waiting, id: number): void {
  for (const resolve of waiting.get(id) ?? []) resolve();
  waiting.delete(id);
}

/**
 * A Named Discovery session has the identity of a Normal one, but another authentication, or none (section 7.4.2.2 lets it
 * be reinstated, and says nothing of the reverse): it must not end the session of somebody who had to prove himself.
 */
function usurps({ unitIndexes, agreement }: Applicant, session: Session): boolean {
  if (unitIndexes !== undefined || sessionTypeOf(session) === "Discovery") return false;
  return !authenticatesAlike(agreement.authentication, session.agreement.authentication);
}

const USURPER: Refusal = {
  status: LOGIN_STATUS_AUTHENTICATION_FAILURE,
  reason: "a Normal session of the same nexus authenticated differently",
};

const GONE: Refusal = { status: LOGIN_STATUS_SERVICE_UNAVAILABLE, reason: "the connection is gone" };

const STILL_THERE: Refusal = {
  status: LOGIN_STATUS_SERVICE_UNAVAILABLE,
  reason: "what it had before, or the session that it replaces, has not ended in time",
};
