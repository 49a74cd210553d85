/**
 * One connection from its accept to its hand-off, or to the end of its discovery session: reads PDUs, drives the login
 * machine, does what that decides. The machine knows the protocol; here are sockets, time and the way to a shard.
 */
import type { Socket } from "node:net";
import type { HandoffRecord, LimitsRecord, LunRecord } from "../dataplane/messages.js";
import { OPCODE_LOGIN_REQUEST, Pdu } from "../dataplane/wire/bhs.js";
import {
  describeLoginStatus,
  LOGIN_STATUS_AUTHORIZATION_FAILURE,
  LOGIN_STATUS_SERVICE_UNAVAILABLE,
  LOGIN_STATUS_SUCCESS,
  LOGIN_STATUS_TARGET_REMOVED,
} from "../dataplane/wire/login-response.js";
import { isEnough, judgeAccess } from "./access.js";
import type { Admission, Admitted, Refusal } from "./admission.js";
import type { LoginTap } from "./capture/login-trace.js";
import { formatPortalAddress } from "./config/portal-address.js";
import type { Configuration, LunMapping } from "./config/schema.js";
import { type Offer, sendTargetsValue, targetRecords } from "./discovery.js";
import { DiscoverySession } from "./discovery-session.js";
import type { Entrance } from "./entrance.js";
import { detach } from "./handoff.js";
import { DISCOVERY_IDLE_TIMEOUT_MS, LOGIN_TIMEOUT_MS } from "./limits.js";
import type { Logger } from "./logger.js";
import { challengeOf, LOGIN_START, type LoginState, refuseCompleted, step } from "./login/machine.js";
import type { LoginAction, LoginEvent, LoginResponse, LoginResult } from "./login/messages.js";
import { createLoginContext, identityOf } from "./login-context.js";
import { decodeLoginRequest, encodeLoginResponse } from "./login-pdus.js";
import { PduStream, type Received, viewOf } from "./pdu-stream.js";
import { printable } from "./printable.js";
import type { Redirections } from "./redirection.js";
import { logFields, type Session, type SessionIdentity, type SessionRegistry } from "./session-registry.js";
import type { ShardControl } from "./shards.js";

/** Of what an initiator says of itself the log has so many characters, as many as an iSCSI name may have (RFC 7143 section 4.2.7.1). */
const NAME_LENGTH_MAX = 223;

/** What a connection needs of the server around it. */
export interface ConnectionHost {
  readonly registry: SessionRegistry;
  readonly admission: Admission;
  readonly shards: ShardControl;
  readonly logger: Logger;
  readonly redirections: Redirections;
  /** As it is now: it may be reloaded at any time. */
  configuration(): Configuration;
  /** Why no session of this target may begin here at this moment, if so. */
  unavailable(entrance: Entrance, targetName: string): Refusal | undefined;
  /** What this initiator may be told of at this moment. */
  offer(initiatorName: string): Offer;
  /** As a session of this identity sees them at this moment. */
  lunRecords(luns: readonly LunMapping[], identity: SessionIdentity): LunRecord[];
  /** Where the session's commands are counted. */
  statisticsBlock(session: Session): number;
  /** Of the session's initiator with its target. */
  limits(session: Session): LimitsRecord | null;
  isChallengeOutstanding(challenge: Uint8Array): boolean;
  /** For captures. Addresses as `192.0.2.1:3260`. */
  tap(initiatorAddress: string, portalAddress: string): LoginTap;
  /** A login has ended with this status. */
  onLogin(status: number): void;
}

/** Of a Login Request's text: it may be anything, and of any length. */
function claimsOf(text: Buffer): { initiator?: string; target?: string } {
  const claim = (key: string) => {
    const [, value] = new RegExp(`(?:^|\\0)${key}=([^\\0]{1,${NAME_LENGTH_MAX}})`).exec(text.toString()) ?? [];
    return value === undefined ? undefined : printable(value);
  };
  const [initiator, target] = [claim("InitiatorName"), claim("TargetName")];
  return { ...(initiator === undefined ? {} : { initiator }), ...(target === undefined ? {} : { target }) };
}

/** What the target's configuration has become during the login. */
const REVOKED: Readonly<Record<"notFound" | "forbidden", Refusal>> = {
  notFound: { status: LOGIN_STATUS_TARGET_REMOVED, reason: "the target was removed" },
  forbidden: {
    status: LOGIN_STATUS_AUTHORIZATION_FAILURE,
    reason: "it is not one of the target's initiators any more",
  },
};

const CONFIGURATION_CHANGED: Refusal = {
  status: LOGIN_STATUS_SERVICE_UNAVAILABLE,
  reason: "the configuration has changed during the login",
};

export class LoginConnection {
  readonly #socket: Socket;
  readonly #stream: PduStream;
  readonly #tap: LoginTap;
  readonly #entrance: Entrance;
  readonly #peer: string;
  readonly #host: ConnectionHost;
  readonly #onAuthenticated: () => void;
  readonly #logger: Logger;
  #state: LoginState = LOGIN_START;
  #timer: NodeJS.Timeout | undefined;
  #timedOut = false;
  /** Why we have closed it, if we have. */
  #closeReason: string | undefined;
  /** What the initiator calls itself and what it asks for, as it has said it: for the log. */
  #claims: { readonly initiator?: string; readonly target?: string } = {};
  /** Of the last response that refused something. */
  #refusal: number | undefined;

  /** @param onAuthenticated called when the login is done: the connection no longer counts among the unknown ones. */
  constructor(socket: Socket, entrance: Entrance, host: ConnectionHost, onAuthenticated: () => void) {
    this.#socket = socket;
    this.#entrance = entrance;
    this.#peer = formatPortalAddress({ host: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 });
    this.#host = host;
    this.#tap = host.tap(this.#peer, formatPortalAddress(entrance));
    this.#stream = new PduStream(socket, this.#tap);
    this.#onAuthenticated = onAuthenticated;
    this.#logger = host.logger.child({ peer: this.#peer });
  }

  /** The challenge that we have sent and that is not answered yet. */
  get challenge(): Uint8Array | undefined {
    return challengeOf(this.#state);
  }

  /** Ends the connection, wherever it stands. Nothing happens if it is handed off. `reason` is for the log. */
  close(reason: string): void {
    this.#closeReason ??= reason;
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }

  /** Serves the connection until it is closed or somebody else's. Never rejects. */
  async serve(): Promise<void> {
    this.#limitTime(LOGIN_TIMEOUT_MS);
    try {
      while (await this.#turn());
    } catch (error) {
      this.#logger.error({ err: error }, "login failed for a fault of ours");
    } finally {
      clearTimeout(this.#timer);
      this.#socket.destroy();
    }
  }

  /** From now on, so long. */
  #limitTime(timeoutMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timedOut = true;
      this.#socket.destroy();
    }, timeoutMs);
  }

  /** Takes one PDU. @returns whether another one is to come. */
  async #turn(): Promise<boolean> {
    const event = this.#eventOf(await this.#stream.read());
    const { state, actions } = step(this.#state, event, this.#context());
    this.#state = state;
    let open = true;
    for (const action of actions) open = (await this.#do(action)) && open;
    return open;
  }

  #eventOf(received: Received): LoginEvent {
    if (received.kind === "end") return { type: this.#timedOut ? "timeout" : "disconnect" };
    const { opcode } = new Pdu(viewOf(received.header));
    // Section 4.2.4: "any PDU except a Login Request", whatever else is wrong with it.
    if (opcode !== OPCODE_LOGIN_REQUEST) return { type: "otherPdu", opcode };
    if (received.kind === "malformed") return { type: "malformedPdu", reason: received.reason };
    this.#claims = { ...claimsOf(received.data), ...this.#claims };
    return { type: "request", request: decodeLoginRequest(received.header, received.data) };
  }

  #context() {
    return createLoginContext({
      configuration: this.#host.configuration(),
      registry: this.#host.registry,
      entrance: this.#entrance,
      redirections: this.#host.redirections,
      isChallengeOutstanding: (challenge) => this.#host.isChallengeOutstanding(challenge),
    });
  }

  async #do(action: LoginAction): Promise<boolean> {
    switch (action.type) {
      case "respond":
        await this.#respond(action.response);
        return true;
      case "close":
        this.#logFailure(action);
        await this.#stream.finish();
        return false;
      case "complete":
        await this.#complete(action.result);
        return false;
    }
  }

  #logFailure({ transition, reason: said }: LoginAction & { type: "close" }): void {
    const status = this.#refusal === undefined ? {} : { status: describeLoginStatus(this.#refusal) };
    const reason = this.#closeReason ?? said;
    // Who never began to log in is a port scanner or a health check: not worth a line each.
    this.#logger[transition === "T6" ? "debug" : "info"](
      { ...this.#claims, transition, ...status, reason },
      "login failed",
    );
  }

  async #respond(response: LoginResponse): Promise<void> {
    if (response.status !== LOGIN_STATUS_SUCCESS) {
      this.#refusal = response.status;
      this.#host.onLogin(response.status);
    }
    await this.#stream.write(encodeLoginResponse(response), Buffer.from(response.text));
  }

  async #complete(result: LoginResult): Promise<void> {
    const refusal =
      result.sessionType === "Discovery"
        ? await this.#discover(result)
        : await this.#handOff(result, result.targetName);
    if (refusal === undefined) return;
    const { initiatorName: initiator, targetName: target } = result;
    const status = describeLoginStatus(refusal.status);
    this.#logger.info({ initiator, target, status, reason: refusal.reason }, "login failed");
    await this.#respond(refuseCompleted(result.response, refusal.status));
    await this.#stream.finish();
  }

  #admit(
    result: LoginResult,
    unitIndexes: readonly number[] | undefined,
    commit: (admitted: Admitted) => Refusal | undefined,
  ): Promise<Refusal | undefined> {
    return this.#host.admission.admit(
      {
        identity: identityOf(result, this.#entrance),
        tsih: result.tsih,
        cid: result.cid,
        expStatSN: result.expStatSN,
        agreement: { parameters: result.session, authentication: result.authentication },
        details: {
          peer: this.#peer,
          portal: formatPortalAddress(this.#entrance.portal.address),
          localHost: this.#entrance.host,
          parameters: result.connection,
        },
        unitIndexes,
        isAlive: () => !this.#socket.destroyed,
      },
      commit,
    );
  }

  // ---- Normal session

  async #handOff(result: LoginResult, targetName: string | undefined): Promise<Refusal | undefined> {
    // The configuration may have changed since the machine asked.
    const configuration = this.#host.configuration();
    const { tag } = this.#entrance.portal;
    const access = judgeAccess(configuration, targetName ?? "", tag, result.initiatorName);
    if (access.kind !== "granted") return REVOKED[access.kind];
    if (!isEnough(result.authentication, access.grant.auth)) return CONFIGURATION_CHANGED;
    const lunRecords = () => this.#host.lunRecords(access.grant.luns, identityOf(result, this.#entrance));
    return this.#admit(
      result,
      lunRecords().map(({ unitIndex }) => unitIndex),
      ({ session, connection }) => {
        // Or while the login waited for its turn: its units may be closed by now. It may try again at once.
        if (this.#host.configuration() !== configuration) return CONFIGURATION_CHANGED;
        const unavailable = this.#host.unavailable(this.#entrance, access.grant.target.name);
        if (unavailable !== undefined) return unavailable;
        // Not what held before: reservations may have changed while the login waited for its turn, and units been closed.
        const luns = lunRecords();
        if (luns.length < access.grant.luns.length) return CONFIGURATION_CHANGED;
        const detached = detach(this.#socket);
        if (!detached.ok) return detached;
        this.#onAuthenticated();
        this.#host.onLogin(LOGIN_STATUS_SUCCESS);
        const { pingIntervalMs, scsiEvents } = access.grant.target;
        const record = {
          ...this.#handoffRecord(result, session, connection.connectionId, detached.fd, luns),
          pingIntervalMs,
          reportsScsiEvents: scsiEvents,
        };
        this.#host.shards.handOff(session.shard, { type: "connection", record });
        const { tsih, shard } = session;
        const { authentication, cid } = result;
        const user = authentication.method === "CHAP" ? { user: authentication.user } : {};
        this.#logger.info({ ...logFields(session), tsih, cid, shard, ...user }, "logged in");
        return undefined;
      },
    );
  }

  #handoffRecord(
    result: LoginResult,
    session: Session,
    connectionId: number,
    fd: number,
    luns: readonly LunRecord[],
  ): Omit<HandoffRecord, "pingIntervalMs" | "reportsScsiEvents"> {
    const { parameters } = session.agreement;
    const header = encodeLoginResponse({ ...result.response, tsih: session.tsih });
    return {
      connectionId,
      sessionId: session.sessionId,
      fd,
      initiatorName: result.initiatorName,
      initiatorAddress: this.#peer,
      portalAddress: formatPortalAddress(this.#entrance),
      captured: this.#tap.position,
      targetName: session.identity.targetName,
      targetPortalGroupTag: this.#entrance.portal.tag,
      isid: result.isid,
      tsih: session.tsih,
      cid: result.cid,
      session: {
        maxConnections: parameters.maxConnections,
        initialR2T: parameters.initialR2T,
        immediateData: parameters.immediateData,
        maxBurstLength: parameters.maxBurstLength,
        firstBurstLength: parameters.firstBurstLength,
        maxOutstandingR2T: parameters.maxOutstandingR2T,
        defaultTime2Wait: parameters.defaultTime2Wait,
        defaultTime2Retain: parameters.defaultTime2Retain,
        errorRecoveryLevel: parameters.errorRecoveryLevel,
        taskReporting: parameters.taskReporting,
        iSCSIProtocolLevel: parameters.iSCSIProtocolLevel,
      },
      connection: result.connection,
      expCmdSN: result.expCmdSN,
      statSN: result.statSN,
      loginResponse: Buffer.concat([header, result.response.text]).toString("hex"),
      luns,
      statisticsBlock: this.#host.statisticsBlock(session),
      limits: this.#host.limits(session),
    };
  }

  // ---- Discovery session

  async #discover(result: LoginResult): Promise<Refusal | undefined> {
    if (!isEnough(result.authentication, this.#host.configuration().discoveryAuth)) return CONFIGURATION_CHANGED;
    let connectionId = 0;
    let tsih = 0;
    let fields = {};
    const refusal = await this.#admit(result, undefined, ({ session, connection }) => {
      connectionId = connection.connectionId;
      tsih = session.tsih;
      fields = { ...logFields(session), type: "discovery" };
      this.#host.admission.registerCloser(connectionId, (reason) => this.close(reason));
      return undefined;
    });
    if (refusal !== undefined) return refusal;
    this.#onAuthenticated();
    this.#host.onLogin(LOGIN_STATUS_SUCCESS);
    this.#logger.info({ ...fields, tsih }, "logged in");
    try {
      const reason = await this.#serveDiscovery(result, tsih);
      this.#logger.info({ ...fields, reason }, "logged out");
    } finally {
      this.#host.admission.connectionClosed(connectionId);
    }
    return undefined;
  }

  /** @returns why it is over. */
  async #serveDiscovery(result: LoginResult, tsih: number): Promise<string> {
    const { headerDigest, dataDigest, maxSendDataSegmentLength } = result.connection;
    this.#limitTime(DISCOVERY_IDLE_TIMEOUT_MS);
    await this.#respond({ ...result.response, tsih });
    this.#stream.useDigests(headerDigest === "CRC32C", dataDigest === "CRC32C");
    const session = new DiscoverySession(this.#stream, {
      statSN: result.nextStatSN,
      expCmdSN: result.expCmdSN,
      maxSendDataSegmentLength,
      answer: (text) => this.#answerSendTargets(text, result),
      onActivity: () => this.#limitTime(DISCOVERY_IDLE_TIMEOUT_MS),
    });
    const reason = await session.serve();
    await this.#stream.finish();
    return this.#closeReason ?? (this.#timedOut ? "idle for too long" : reason);
  }

  /** Appendix C: all targets that this initiator may use, the one that is named, or that of the session itself. */
  #answerSendTargets(text: string, { initiatorName, targetName }: LoginResult): string | undefined {
    const value = sendTargetsValue(text);
    if (value === undefined) return undefined;
    const name = value === "" ? targetName : value;
    const offer = this.#host.offer(initiatorName);
    const targets = value === "All" ? offer.targets : offer.targets.filter((target) => target.name === name);
    return targetRecords(targets, offer.portals, this.#entrance.host);
  }
}
