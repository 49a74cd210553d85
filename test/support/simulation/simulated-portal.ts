/**
 * What control does with logins, for sessions of several connections: a new session waits until the one that it replaces has
 * ended, a connection until the one whose CID it takes is closed (RFC 7143 sections 6.3.4 and 6.3.5).
 */
import type { Link, LoggedIn, LoginRequest, Portal } from "../recovering/wire.js";
import type { Cluster } from "./cluster.js";
import { handoffRecord, LOGIN_RESPONSE_TEXT } from "./initiator/handoff-record.js";
import type { Machine } from "./machine.js";
import type { PipeOptions } from "./pipe.js";
import type { SimulatedUnit } from "./unit.js";
import type { World } from "./world.js";

const LOGIN_RESPONSE_BYTES = 48 + ((LOGIN_RESPONSE_TEXT.length + 3) & ~3);

interface Session {
  readonly sessionId: number;
  readonly machine: Machine;
  /** CID -> connectionId. */
  readonly connections: Map<number, number>;
  hasEnded: boolean;
  whenEnded: () => void;
}

export class SimulatedPortal implements Portal {
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #luns: ReadonlyMap<number, SimulatedUnit>;
  readonly #pipe: PipeOptions;
  readonly #nextSessionId: () => number;
  #session: Session | null = null;
  /** connectionId -> what waits for its end. */
  readonly #closing = new Map<number, () => void>();

  /** Of one initiator. */
  constructor(
    world: World,
    cluster: Cluster,
    luns: ReadonlyMap<number, SimulatedUnit>,
    pipe: PipeOptions,
    nextSessionId: () => number,
  ) {
    this.#world = world;
    this.#cluster = cluster;
    this.#luns = luns;
    this.#pipe = pipe;
    this.#nextSessionId = nextSessionId;
  }

  logIn(request: LoginRequest, done: (result: LoggedIn | null) => void): void {
    const { timeline, random } = this.#world;
    timeline.after(random.below(this.#pipe.delayUsMax + 1), () => this.#admit(request, done));
  }

  #admit(request: LoginRequest, done: (result: LoggedIn | null) => void): void {
    const session = this.#session;
    if (request.session === null) {
      if (session === null || session.hasEnded) return this.#enter(this.#open(), request, done);
      session.whenEnded = () => this.#admit(request, done);
      session.machine.send({ type: "endSession", sessionId: session.sessionId, reason: "session reinstatement" });
      return;
    }
    const isThere =
      session?.sessionId === request.session &&
      !session.hasEnded &&
      session.machine.shard.sessions.has(session.sessionId);
    if (!isThere) return done(null);
    const connectionId = session.connections.get(request.cid);
    if (connectionId === undefined) return this.#enter(session, request, done);
    this.#closing.set(connectionId, () => this.#admit(request, done));
    const expStatSN = request.expStatSN ?? 0;
    session.machine.send({ type: "endConnection", connectionId, expStatSN, reason: "connection reinstatement" });
  }

  #open(): Session {
    const session: Session = {
      sessionId: this.#nextSessionId(),
      machine: this.#cluster.pick(this.#world.random),
      connections: new Map(),
      hasEnded: false,
      whenEnded: () => {},
    };
    this.#session = session;
    session.machine.whenSessionEnds(session.sessionId, () => {
      session.hasEnded = true;
      session.whenEnded();
    });
    return session;
  }

  #enter(session: Session, request: LoginRequest, done: (result: LoggedIn | null) => void): void {
    const { sessionId, machine, connections } = session;
    const { initiatorName, cid, parameters, cmdSN } = request;
    const options = { sessionId, cid, initiatorName, parameters, luns: this.#luns, pingIntervalMs: 0 };
    const statSN = this.#world.random.word();
    const { connectionId, peer } = machine.connect(handoffRecord(options, cmdSN, statSN), this.#pipe, () => {
      if (connections.get(cid) === connectionId) connections.delete(cid);
      const next = this.#closing.get(connectionId);
      this.#closing.delete(connectionId);
      next?.();
    });
    connections.set(cid, connectionId);
    awaitResponse(peer, (header) =>
      done(
        header === null
          ? null
          : {
              link: peer,
              session: sessionId,
              statSN: (header.readUInt32BE(24) + 1) >>> 0,
              expCmdSN: header.readUInt32BE(28),
              maxCmdSN: header.readUInt32BE(32),
            },
      ),
    );
  }
}

/** The Login Response, which the shard sends; null: the connection ends before. */
function awaitResponse(peer: Link, done: (header: Buffer | null) => void): void {
  peer.onReadable = () => {
    if (peer.available >= LOGIN_RESPONSE_BYTES) {
      const response = Buffer.alloc(LOGIN_RESPONSE_BYTES);
      peer.read(response);
      peer.onReadable = () => {};
      done(response);
    } else if (peer.ended) {
      peer.onReadable = () => {};
      done(null);
    }
  };
}
