/**
 * Who is logged in: sessions by the four parts of their identity, with their TSIH and connections. Pure bookkeeping: what
 * a verdict asks for (ending a session on its shard, waiting for that) is done by who asked.
 */
import assert from "node:assert/strict";
import { DISCOVERY_SESSIONS_MAX, SESSIONS_MAX } from "./limits.js";
import type { Authentication } from "./login/context.js";
import type { ConnectionParameters, SessionParameters, SessionType } from "./login/parameters.js";

const TSIH_MAX = 0xffff;

/** Sessions that control itself serves (discovery) have this in place of a shard's number. */
export const SHARD_NONE = -1;

/**
 * The I_T nexus of a session (RFC 7143 section 4.4.3, the ISID RULE). For an unnamed discovery session `targetName` is
 * empty and the portal's own address takes the place of the portal group (section 7.4.2.1, the UNNAMED ISID RULE).
 */
export interface SessionIdentity {
  /** In normal form. */
  readonly initiatorName: string;
  /** Six bytes in hexadecimal. */
  readonly isid: string;
  /** In normal form. */
  readonly targetName: string;
  readonly portalGroup: number | string;
}

export interface Session {
  /** Unique for the life of the process. */
  readonly sessionId: number;
  /** Unique among the sessions that exist, never 0. */
  readonly tsih: number;
  readonly identity: SessionIdentity;
  readonly shard: number;
  readonly agreement: Agreement;
  /** The units of its LUNs. */
  readonly unitIndexes: readonly number[];
  readonly connections: ReadonlyMap<number, Connection>;
}

/** What the leading login settled, and every later connection takes over. */
export interface Agreement {
  readonly parameters: SessionParameters;
  readonly authentication: Authentication;
}

export interface Connection {
  /** Unique for the life of the process. */
  readonly connectionId: number;
  readonly cid: number;
  readonly sessionId: number;
  readonly details: ConnectionDetails;
  /** Its transport is gone; its tasks wait for reassignment (ErrorRecoveryLevel 2). */
  readonly hasFailed: boolean;
}

export interface ConnectionDetails {
  /** Who is at the other end, for logs and status: `address:port`. */
  readonly peer: string;
  /** The portal that it came through, as it listens: `0.0.0.0:3260`. */
  readonly portal: string;
  /** The address by which it reached us, without port. */
  readonly localHost: string;
  readonly parameters: ConnectionParameters;
}

/** What a login's ISID, TSIH and CID ask for (the table of RFC 7143 section 6.3.1). */
export type Verdict =
  | { readonly kind: "newSession" }
  /** The old session must have ended before the new one begins (section 6.3.5). */
  | { readonly kind: "reinstateSession"; readonly session: Session }
  /** The old connection must have ended before the new one takes its CID (section 6.3.4). */
  | { readonly kind: "reinstateConnection"; readonly session: Session; readonly connection: Connection }
  | { readonly kind: "addConnection"; readonly session: Session }
  | {
      readonly kind: "refuse";
      readonly reason: "sessionDoesNotExist" | "otherSessionType" | "tooManyConnections" | "outOfResources";
    };

/** Discovery sessions are control's own, Normal ones a shard's. */
export function sessionTypeOf({ shard }: Session): SessionType {
  return shard === SHARD_NONE ? "Discovery" : "Normal";
}

/** What every line of the log says that concerns a session. A discovery session may have no target. */
export function logFields({ sessionId, identity: { initiatorName, targetName } }: Session) {
  return { sessionId, initiator: initiatorName, ...(targetName === "" ? {} : { target: targetName }) };
}

interface OpenSession extends Session {
  unitIndexes: readonly number[];
  readonly connections: Map<number, OpenConnection>;
}

interface OpenConnection extends Connection {
  hasFailed: boolean;
}

export class SessionRegistry {
  readonly #byKey = new Map<string, OpenSession>();
  readonly #byId = new Map<number, OpenSession>();
  readonly #byConnection = new Map<number, OpenSession>();
  readonly #tsihs = new Set<number>();
  readonly #sessionsMax: number;
  readonly #onClosed: (session: Session) => void;
  #discoveryCount = 0;
  #lastTsih: number;
  #nextId = 1;

  /**
   * @param tsihStart any number: where the TSIHs begin, so that they differ from those of an earlier process.
   * @param onClosed called with every session that is gone, when it is.
   */
  constructor(tsihStart: number, sessionsMax = SESSIONS_MAX, onClosed: (session: Session) => void = () => {}) {
    assert(sessionsMax > 0 && sessionsMax <= TSIH_MAX, "every session needs a TSIH of its own");
    this.#lastTsih = Math.abs(Math.trunc(tsihStart)) % (TSIH_MAX + 1);
    this.#sessionsMax = sessionsMax;
    this.#onClosed = onClosed;
  }

  judge(identity: SessionIdentity, sessionType: SessionType, tsih: number, cid: number): Verdict {
    const session = this.#byKey.get(keyOf(identity));
    if (tsih === 0) {
      if (session !== undefined) return { kind: "reinstateSession", session };
      return this.#hasRoom(sessionType) ? { kind: "newSession" } : { kind: "refuse", reason: "outOfResources" };
    }
    if (session === undefined || session.tsih !== tsih) return { kind: "refuse", reason: "sessionDoesNotExist" };
    // A Named Discovery session has the identity that a Normal one has (section 7.4.2.2), but nothing else in common.
    if (sessionTypeOf(session) !== sessionType) return { kind: "refuse", reason: "otherSessionType" };
    if (!hasRoomFor(session, cid)) return { kind: "refuse", reason: "tooManyConnections" };
    const connection = session.connections.get(cid);
    if (connection !== undefined) return { kind: "reinstateConnection", session, connection };
    return { kind: "addConnection", session };
  }

  /** Makes the session that `judge` allowed. It has no connection yet: `addConnection` follows. */
  open(identity: SessionIdentity, shard: number, agreement: Agreement, unitIndexes: readonly number[]): Session {
    const key = keyOf(identity);
    assert(!this.#byKey.has(key), "the old session has ended");
    assert(this.#byId.size < this.#sessionsMax, "judge() has seen to the limit");
    const session: OpenSession = {
      sessionId: this.#nextId++,
      tsih: this.#allocateTsih(),
      identity,
      shard,
      agreement,
      unitIndexes,
      connections: new Map(),
    };
    this.#byKey.set(key, session);
    this.#byId.set(session.sessionId, session);
    if (sessionTypeOf(session) === "Discovery") this.#discoveryCount++;
    return session;
  }

  addConnection(sessionId: number, cid: number, details: ConnectionDetails): Connection {
    const session = this.#byId.get(sessionId);
    assert(session !== undefined, "the session exists");
    assert(!session.connections.has(cid), "the old connection of this CID has ended");
    const connection: OpenConnection = { connectionId: this.#nextId++, cid, sessionId, details, hasFailed: false };
    session.connections.set(cid, connection);
    this.#byConnection.set(connection.connectionId, session);
    return connection;
  }

  connectionFailed(connectionId: number): void {
    for (const connection of this.#byConnection.get(connectionId)?.connections.values() ?? []) {
      if (connection.connectionId === connectionId) connection.hasFailed = true;
    }
  }

  /**
   * The connection is gone. A session ends with its last connection: there is nothing to come back to while
   * ErrorRecoveryLevel is 0. With `keepSession` it stays, for the connection that is about to take its place.
   *
   * @returns its session, undefined if there is no such connection.
   */
  closeConnection(connectionId: number, keepSession = false): Session | undefined {
    const session = this.#byConnection.get(connectionId);
    if (session === undefined) return undefined;
    this.#byConnection.delete(connectionId);
    for (const [cid, connection] of session.connections) {
      if (connection.connectionId === connectionId) session.connections.delete(cid);
    }
    if (session.connections.size === 0 && !keepSession) this.closeSession(session.sessionId);
    return session;
  }

  /** The session is gone, with all its connections. Nothing happens if there is none. */
  closeSession(sessionId: number): void {
    const session = this.#byId.get(sessionId);
    if (session === undefined) return;
    for (const connection of session.connections.values()) this.#byConnection.delete(connection.connectionId);
    session.connections.clear();
    this.#byId.delete(sessionId);
    this.#byKey.delete(keyOf(session.identity));
    this.#tsihs.delete(session.tsih);
    if (sessionTypeOf(session) === "Discovery") this.#discoveryCount--;
    this.#onClosed(session);
  }

  /** The session sees other units from now on. */
  setUnits(sessionId: number, unitIndexes: readonly number[]): void {
    const session = this.#byId.get(sessionId);
    if (session !== undefined) session.unitIndexes = unitIndexes;
  }

  session(sessionId: number): Session | undefined {
    return this.#byId.get(sessionId);
  }

  /** A connection and its session; undefined if it is gone. */
  connection(connectionId: number): { readonly session: Session; readonly connection: Connection } | undefined {
    const session = this.#byConnection.get(connectionId);
    for (const connection of session?.connections.values() ?? []) {
      if (session !== undefined && connection.connectionId === connectionId) return { session, connection };
    }
    return undefined;
  }

  sessions(): IterableIterator<Session> {
    return this.#byId.values();
  }

  sessionsOfShard(shard: number): Session[] {
    return [...this.#byId.values()].filter((session) => session.shard === shard);
  }

  connectionsOfShard(shard: number): number {
    return this.sessionsOfShard(shard).reduce((sum, { connections }) => sum + connections.size, 0);
  }

  get connectionCount(): number {
    return this.#byConnection.size;
  }

  /** The one of these shards that has the fewest sessions, the first of several. Undefined if there are none. */
  leastLoaded(shards: readonly number[]): number | undefined {
    const load = new Map(shards.map((shard) => [shard, 0]));
    for (const { shard } of this.#byId.values()) {
      const sessions = load.get(shard);
      if (sessions !== undefined) load.set(shard, sessions + 1);
    }
    let least: number | undefined;
    for (const [shard, sessions] of load) {
      if (least === undefined || sessions < (load.get(least) ?? 0)) least = shard;
    }
    return least;
  }

  #hasRoom(sessionType: SessionType): boolean {
    if (sessionType === "Discovery" && this.#discoveryCount >= DISCOVERY_SESSIONS_MAX) return false;
    return this.#byId.size < this.#sessionsMax;
  }

  /** Section 11.13.3: the target MUST generate a non-zero TSIH. One that was given up is not given out again for long. */
  #allocateTsih(): number {
    do {
      this.#lastTsih = this.#lastTsih === TSIH_MAX ? 1 : this.#lastTsih + 1;
    } while (this.#tsihs.has(this.#lastTsih));
    this.#tsihs.add(this.#lastTsih);
    return this.#lastTsih;
  }
}

/**
 * Whether a connection of this CID can be in the session. One that has failed does not count, even where MaxConnections is 1: over
 * the one beside it the initiator logs it out, and takes its tasks over. Section 4.2.1: "SHOULD support two connections during recovery".
 */
function hasRoomFor({ connections, agreement }: Session, cid: number): boolean {
  const { maxConnections } = agreement.parameters;
  const others = [...connections.values()].filter((connection) => connection.cid !== cid);
  const failed = others.filter(({ hasFailed }) => hasFailed).length;
  return others.length - failed < maxConnections && failed <= maxConnections;
}

/** NUL stands in none of the parts: names come from text keys, which it ends. */
function keyOf({ initiatorName, isid, targetName, portalGroup }: SessionIdentity): string {
  return `${initiatorName}\0${isid}\0${targetName}\0${portalGroup}`;
}
