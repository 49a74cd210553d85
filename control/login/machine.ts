/**
 * The Login Phase of one connection, target's side (RFC 7143 sections 6.3, 8.1.4, 11.12 and 11.13), as one pure function.
 *
 *      S1 FREE --T3--> S3 XPT_UP --T4--> S4 IN_LOGIN --T5--> S5 LOGGED_IN
 *         ^               |                 |
 *         +------T6-------+-------T7--------+
 *
 * T3 is the accept that precedes `LOGIN_START`. Inside S4 a login walks through its stages,
 *
 *      opening ---> security ---> operational ---> (T5)
 *         |            +-----------------------------^
 *         +-------------------------^
 *
 * and every request that is complete (its last part has the C bit 0) is answered in turn: keys judged, the stage's own
 * work done, then one or more responses sent, of which only the last may transit.
 */

import { RESERVED_TAG } from "../../dataplane/wire/bhs.js";
import { ISCSI_VERSION } from "../../dataplane/wire/login-request.js";
import {
  LOGIN_STATUS_AUTHENTICATION_FAILURE,
  LOGIN_STATUS_INVALID_DURING_LOGIN,
  LOGIN_STATUS_MISSING_PARAMETER,
  LOGIN_STATUS_SESSION_TYPE_NOT_SUPPORTED,
  LOGIN_STATUS_SUCCESS,
  LOGIN_STATUS_TARGET_MOVED_PERMANENTLY,
  LOGIN_STATUS_TARGET_MOVED_TEMPORARILY,
  LOGIN_STATUS_UNSUPPORTED_VERSION,
} from "../../dataplane/wire/login-response.js";
import {
  STAGE_FULL_FEATURE_PHASE,
  STAGE_LOGIN_OPERATIONAL_NEGOTIATION,
  STAGE_SECURITY_NEGOTIATION,
} from "../../dataplane/wire/login-stage.js";
import { serialAdd } from "../../dataplane/wire/serial.js";
import { decodeText, describeText, encodeText, type KeyValue, TEXT_VALID } from "../../dataplane/wire/text-keys.js";
import {
  CHAP_ALGORITHMS_DEFAULT,
  type ChapChallenge,
  challengeInitiator,
  type KeyMap,
  verifyInitiator,
} from "./chap.js";
import {
  type Authentication,
  type AuthRequirement,
  authenticatesAlike,
  type LoginContext,
  type LoginDecision,
  type Redirect,
} from "./context.js";
import { ANSWER_REJECT, isReservedAnswer, KEYS } from "./keys.js";
import type { LoginAction, LoginEvent, LoginRequest, LoginResponse, LoginResult } from "./messages.js";
import { normalizeName } from "./names.js";
import {
  conclude,
  declareMaxRecvDataSegmentLength,
  NEGOTIATION_KEYS_MAX,
  type Negotiation,
  negotiate,
  startNegotiation,
} from "./negotiation.js";
import {
  CONNECTION_DEFAULTS,
  type ConnectionParameters,
  type SessionParameters,
  type SessionType,
} from "./parameters.js";
import { failure, type LoginFailure, type LoginFailureStatus, type LoginStatus, protocolError } from "./status.js";

/** Bounds of one login; whoever exceeds one is refused with "Initiator Error". */
export const LOGIN_TEXT_BYTES_MAX = 65536;
/** Section 6.2 wants six exchanges allowed at least; 64 KiB of text in segments of 8 KiB need eight. */
export const LOGIN_PDUS_MAX = 64;
/** In either direction: "The default MaxRecvDataSegmentLength is used during login" (section 6.3). Bytes. */
export const LOGIN_SEGMENT_LENGTH_MAX = CONNECTION_DEFAULTS.maxRecvDataSegmentLength;

/** No session's command window is wider. */
const COMMAND_WINDOW_MAX = 65536;

export type LoginState = XptUp | InLogin | LoggedIn | Free;

/** S3. */
interface XptUp {
  readonly name: "XPT_UP";
}

/** S4. */
interface InLogin {
  readonly name: "IN_LOGIN";
  readonly fixed: Fixed;
  readonly nextStatSN: number;
  readonly spent: Spent;
  readonly text: TextFlow;
  readonly stage: Stage;
}

/** S5. The connection is somebody else's now. */
interface LoggedIn {
  readonly name: "LOGGED_IN";
}

/** S1. */
interface Free {
  readonly name: "FREE";
}

export const LOGIN_START: LoginState = { name: "XPT_UP" };
const FREE: Free = { name: "FREE" };
const LOGGED_IN: LoggedIn = { name: "LOGGED_IN" };

/** What the first request fixes for all others (sections 11.12.4 to 11.12.7 and 6.3: one task, one tag), and what only it can say. */
type Fixed = Pick<
  LoginRequest,
  "versionMax" | "versionMin" | "isid" | "tsih" | "cid" | "initiatorTaskTag" | "cmdSN" | "expStatSN"
>;

interface Spent {
  readonly pdus: number;
  readonly textBytes: number;
  readonly keys: number;
}

/** Where the text of a request or of its answer stands, if it takes more than one PDU. */
type TextFlow =
  | { readonly kind: "idle" }
  /** The initiator has set C: these bytes wait for the rest. */
  | { readonly kind: "receiving"; readonly received: Uint8Array }
  /** We have set C: the rest goes out as the initiator sends empty requests. */
  | { readonly kind: "sending"; readonly rest: Uint8Array };

type Stage = Opening | Security | Operational;

/** Nothing is known yet but what the header said. */
interface Opening {
  readonly kind: "opening";
  readonly csg: SecurityStage | OperationalStage;
}

interface Security {
  readonly kind: "security";
  readonly csg: SecurityStage;
  readonly peer: Peer;
  readonly negotiation: Negotiation;
  readonly progress: AuthProgress;
}

interface Operational {
  readonly kind: "operational";
  readonly csg: OperationalStage;
  readonly peer: Peer;
  readonly negotiation: Negotiation;
  readonly authentication: Authentication;
  /** The first request of this stage may say again who it is. */
  readonly mayIntroduce: boolean;
  /** What we have to declare with the first answer of this stage. */
  readonly undeclared: readonly KeyValue[];
}

type SecurityStage = typeof STAGE_SECURITY_NEGOTIATION;
type OperationalStage = typeof STAGE_LOGIN_OPERATIONAL_NEGOTIATION;

type AuthProgress =
  /** No method is agreed upon. */
  | { readonly kind: "open" }
  /** The initiator left the proposal to us (section 6.3.2): AuthMethod=CHAP awaits its answer. */
  | { readonly kind: "proposed" }
  /** CHAP: CHAP_A must come. */
  | { readonly kind: "agreed" }
  /** CHAP: CHAP_N and CHAP_R must come. */
  | { readonly kind: "challenged"; readonly sent: ChapChallenge }
  | {
      readonly kind: "done";
      readonly authentication: Authentication;
      /** The initiator was ready for CHAP, and we had no use for that. */
      readonly isSpared: boolean;
    };

/** Who logs in to what, from the first complete request on. */
interface Peer {
  readonly kind: "peer";
  readonly sessionType: SessionType;
  readonly initiatorName: string;
  readonly targetName: string | undefined;
  readonly decision: Accepted;
}

type Accepted = Extract<LoginDecision, { kind: "accept" }>;

export interface LoginStep {
  readonly state: LoginState;
  readonly actions: readonly LoginAction[];
}

/** Events that come after the end of a login are late: nothing is done about them. */
export function step(state: LoginState, event: LoginEvent, context: LoginContext): LoginStep {
  switch (state.name) {
    case "XPT_UP":
      return stepXptUp(event, context);
    case "IN_LOGIN":
      return stepInLogin(state, event, context);
    case "LOGGED_IN":
    case "FREE":
      return { state, actions: [] };
  }
}

/** The challenge that awaits an answer on this connection, for `LoginContext.isChallengeOutstanding`. */
export function challengeOf(state: LoginState): Uint8Array | undefined {
  if (state.name !== "IN_LOGIN" || state.stage.kind !== "security") return undefined;
  const { progress } = state.stage;
  return progress.kind === "challenged" ? progress.sent.challenge : undefined;
}

/** Turns the Login Final-Response of a completed login into its refusal: the session cannot be had after all. */
export function refuseCompleted(response: LoginResponse, status: LoginFailureStatus): LoginResponse {
  return { ...response, transit: false, csg: 0, nsg: 0, status, text: new Uint8Array() };
}

function stepXptUp(event: LoginEvent, context: LoginContext): LoginStep {
  switch (event.type) {
    case "request":
      return start(event.request, context);
    case "otherPdu":
      // Section 4.2.4: "MUST immediately terminate the connection on which the PDU was received".
      return close("T6", `opcode ${event.opcode} before login`);
    case "malformedPdu":
      return close("T6", event.reason);
    case "timeout":
      return close("T6", "no login in time");
    case "disconnect":
      return close("T6", "disconnected before login");
    case "refuse":
      // No Login Response without a request.
      return close("T6", event.reason);
  }
}

function stepInLogin(state: InLogin, event: LoginEvent, context: LoginContext): LoginStep {
  switch (event.type) {
    case "request":
      return receive(state, event.request, context);
    case "otherPdu":
      return reject(state, failure(LOGIN_STATUS_INVALID_DURING_LOGIN, `opcode ${event.opcode} during login`));
    case "malformedPdu":
      return reject(state, protocolError(event.reason));
    case "timeout":
      return close("T7", "login took too long");
    case "disconnect":
      return close("T7", "disconnected during login");
    case "refuse":
      return reject(state, failure(event.status, event.reason));
  }
}

/** T4: the first request. */
function start(request: LoginRequest, context: LoginContext): LoginStep {
  const { versionMax, versionMin, isid, tsih, cid, initiatorTaskTag, cmdSN, expStatSN, csg } = request;
  const state: InLogin = {
    name: "IN_LOGIN",
    fixed: { versionMax, versionMin, isid, tsih, cid, initiatorTaskTag, cmdSN, expStatSN },
    // "any initial value is valid" (section 4.2.2.2): this one is what initiators expect that take ExpStatSN at its word.
    nextStatSN: expStatSN,
    spent: { pdus: 0, textBytes: 0, keys: 0 },
    text: { kind: "idle" },
    stage: {
      kind: "opening",
      csg: csg === STAGE_SECURITY_NEGOTIATION ? STAGE_SECURITY_NEGOTIATION : STAGE_LOGIN_OPERATIONAL_NEGOTIATION,
    },
  };
  if (versionMin > ISCSI_VERSION || versionMax < ISCSI_VERSION) {
    return reject(state, failure(LOGIN_STATUS_UNSUPPORTED_VERSION, `versions ${versionMin} to ${versionMax}`));
  }
  return receive(state, request, context);
}

/** A request, in whichever stage: checks what holds for all, and gathers the text of those that come in parts. */
function receive(state: InLogin, request: LoginRequest, context: LoginContext): LoginStep {
  const spent: Spent = {
    pdus: state.spent.pdus + 1,
    textBytes: state.spent.textBytes + request.text.length,
    keys: state.spent.keys,
  };
  const fault = faultOf(state, request, spent);
  if (fault !== undefined) return reject(state, protocolError(fault));
  const next: InLogin = { ...state, spent };

  if (next.text.kind === "sending") {
    // Section 6.2: an initiator receiving C=1 "MUST answer with a Text or Login Request with no data segment".
    if (request.text.length > 0 || request.continued) return reject(next, protocolError("text while ours goes on"));
    return respond(next, request, next.text.rest);
  }
  const received = next.text.kind === "receiving" ? next.text.received : new Uint8Array();
  const text = Buffer.concat([received, request.text]);
  if (request.continued) {
    const waiting: InLogin = { ...next, text: { kind: "receiving", received: text } };
    // Section 6.2: the target "MUST answer with a Text or Login Response with no data segment".
    return send(waiting, { text: new Uint8Array() });
  }
  return answer({ ...next, text: { kind: "idle" } }, request, text, context);
}

/** Why no request of this login may look like this; undefined: it may. */
function faultOf({ fixed, stage }: InLogin, request: LoginRequest, spent: Spent): string | undefined {
  // Section 11.2.1.8: it "MUST NOT be assigned for a task by the initiator", and a login is one (section 6.3).
  if (request.initiatorTaskTag === RESERVED_TAG) return "the reserved Initiator Task Tag";
  if (request.initiatorTaskTag !== fixed.initiatorTaskTag) return "Initiator Task Tag changes during login";
  if (request.isid !== fixed.isid) return "ISID changes during login";
  if (request.tsih !== fixed.tsih) return "TSIH changes during login";
  if (request.cid !== fixed.cid) return "CID changes during login";
  if (request.versionMax !== fixed.versionMax || request.versionMin !== fixed.versionMin) {
    return "version changes during login";
  }
  if (request.csg !== stage.csg) return `request of stage ${request.csg} in stage ${stage.csg}`;
  if (request.continued && request.transit) return "C and T bits together";
  if (request.transit && !isLaterStage(request.nsg, stage.csg)) {
    return `transition from stage ${stage.csg} to ${request.nsg}`;
  }
  if (request.text.length > LOGIN_SEGMENT_LENGTH_MAX) return `data segment of ${request.text.length} bytes`;
  if (spent.pdus > LOGIN_PDUS_MAX) return `more than ${LOGIN_PDUS_MAX} requests`;
  if (spent.textBytes > LOGIN_TEXT_BYTES_MAX) return `more than ${LOGIN_TEXT_BYTES_MAX} bytes of text`;
  return undefined;
}

/** The table of section 6.3. */
function isLaterStage(nsg: number, csg: number): boolean {
  return nsg > csg && (nsg === STAGE_LOGIN_OPERATIONAL_NEGOTIATION || nsg === STAGE_FULL_FEATURE_PHASE);
}

/** The text of a request is complete: judge its keys, do the work of the stage, answer. */
function answer(state: InLogin, request: LoginRequest, text: Uint8Array, context: LoginContext): LoginStep {
  const decoded = decodeText(text);
  if (decoded.reason !== TEXT_VALID) return reject(state, protocolError(describeText(decoded.reason)));
  const pairs = withoutIntroduction(state.stage, decoded.pairs);
  const keys = state.spent.keys + decoded.pairs.length;
  if (keys > NEGOTIATION_KEYS_MAX) return reject(state, protocolError(`more than ${NEGOTIATION_KEYS_MAX} keys`));

  let { stage } = state;
  let greeting: readonly KeyValue[] = [];
  if (stage.kind === "opening") {
    const opened = open(state.fixed, stage, pairs, context);
    if (opened.kind === "failure") return reject(state, opened);
    if (opened.kind === "redirect") return redirect(state, opened);
    ({ stage, greeting } = opened);
  } else {
    const late = lateFault(stage.peer, pairs);
    if (late !== undefined) return reject(state, protocolError(late));
    const away = redirectOf(state.fixed, stage, context);
    if (away !== undefined) return redirect(state, away);
  }
  const worked = stage.kind === "security" ? workSecurity(stage, pairs, context) : workOperational(stage, pairs);
  if (worked.kind === "failure") return reject(state, worked);
  if (greeting.length + worked.answers.length === 0) {
    const away = redirectOf(state.fixed, worked.stage, context);
    if (away !== undefined) return redirect(state, away);
  }
  const next: InLogin = { ...state, spent: { ...state.spent, keys }, stage: worked.stage };
  return respond(next, request, encodeText([...greeting, ...worked.answers]));
}

interface Opened {
  readonly kind: "opened";
  readonly stage: Security | Operational;
  /** What we say of our own accord. */
  readonly greeting: readonly KeyValue[];
}

/** The first complete request: who is it, to whom, and where does it begin? */
function open(
  fixed: Fixed,
  { csg }: Opening,
  pairs: readonly KeyValue[],
  context: LoginContext,
): Opened | LoginFailure | Redirect {
  const peer = introduce(fixed, new Map(pairs.map(({ key, value }) => [key, value])), context);
  if (peer.kind !== "peer") return peer;
  const { limits, joins, auth, portalGroupTag } = peer.decision;

  // Section 6.3.1: "with the first Login Response PDU with which it is allowed to do so".
  const greeting: KeyValue[] = [{ key: "TargetPortalGroupTag", value: String(portalGroupTag) }];
  const negotiation = startNegotiation(limits, peer.sessionType, joins?.parameters);
  if (csg === STAGE_SECURITY_NEGOTIATION) {
    const stage: Security = { kind: "security", csg, peer, negotiation, progress: { kind: "open" } };
    return { kind: "opened", stage, greeting };
  }
  if (auth.kind === "chap") return authenticationFailure("the initiator skips SecurityNegotiation");
  const authentication: Authentication = { method: "None" };
  const impostor = impostorFault(peer, authentication);
  if (impostor !== undefined) return authenticationFailure(impostor);
  return { kind: "opened", stage: enterOperational(peer, negotiation, authentication, false), greeting };
}

/** The names and the session type, and what the world says to them. */
function introduce(fixed: Fixed, keys: KeyMap, context: LoginContext): Peer | LoginFailure | Redirect {
  const initiator = keys.get("InitiatorName");
  if (initiator === undefined) return failure(LOGIN_STATUS_MISSING_PARAMETER, "no InitiatorName");
  const initiatorName = normalizeName(initiator);
  if (initiatorName === undefined) return protocolError("InitiatorName is no iSCSI name");

  const sessionType = keys.get("SessionType") ?? "Normal";
  if (sessionType !== "Normal" && sessionType !== "Discovery") {
    return failure(LOGIN_STATUS_SESSION_TYPE_NOT_SUPPORTED, "SessionType is neither Normal nor Discovery");
  }
  const target = keys.get("TargetName");
  const targetName = target === undefined ? undefined : normalizeName(target);
  if (target !== undefined && targetName === undefined) return protocolError("TargetName is no iSCSI name");

  const { isid, tsih, cid } = fixed;
  let decision: LoginDecision;
  if (sessionType === "Discovery") {
    decision = context.resolveDiscovery({ initiatorName, targetName, isid, tsih, cid });
  } else if (targetName === undefined) {
    return failure(LOGIN_STATUS_MISSING_PARAMETER, "no TargetName");
  } else {
    decision = context.resolveTarget({ initiatorName, targetName, isid, tsih, cid });
  }
  switch (decision.kind) {
    case "refuse":
      return failure(decision.status, decision.reason);
    case "redirect":
      return decision;
    case "accept":
      if ((decision.joins === undefined) !== (tsih === 0)) throw new Error(`TSIH ${tsih}: joins a session or does not`);
      return { kind: "peer", sessionType, initiatorName, targetName, decision };
  }
}

/**
 * libiscsi (and so QEMU), where it has a user and a secret that we don't ask for, introduces itself with the first request of either
 * stage. Section 6.3 would have that refused, and with it every initiator that is ready to prove more than it must.
 */
function withoutIntroduction(stage: Stage, pairs: readonly KeyValue[]): readonly KeyValue[] {
  if (stage.kind !== "operational" || !stage.mayIntroduce) return pairs;
  const { initiatorName, targetName, sessionType } = stage.peer;
  const known = new Map([
    ["InitiatorName", initiatorName],
    ["TargetName", targetName],
    ["SessionType", sessionType],
  ]);
  return pairs.filter(({ key, value }) => {
    const said = known.get(key);
    known.delete(key);
    return said === undefined || said !== (key === "SessionType" ? value : normalizeName(value));
  });
}

/** Section 6.3: the names belong into the first request; SessionType should (section 13.21), and changes nothing later. */
function lateFault({ sessionType }: Peer, pairs: readonly KeyValue[]): string | undefined {
  for (const { key, value } of pairs) {
    if (key === "InitiatorName" || key === "TargetName") return `${key} comes after the first request`;
    if (key === "SessionType" && value !== sessionType) return "SessionType comes after the first request";
  }
  return undefined;
}

/**
 * Where an initiator is sent that has completed the security negotiation (section 11.13.5: it "MUST" accept that). What we owe it
 * for that, our own proof, goes out before.
 */
function redirectOf(fixed: Fixed, stage: Security | Operational, context: LoginContext): Redirect | undefined {
  const { initiatorName, targetName, decision } = stage.peer;
  if (decision.isRedirected !== true || targetName === undefined) return undefined;
  if (stage.kind === "security" && stage.progress.kind !== "done") return undefined;
  const { isid, tsih, cid } = fixed;
  return context.resolveRedirect({ initiatorName, targetName, isid, tsih, cid });
}

type Worked<S extends Stage> =
  | { readonly kind: "worked"; readonly stage: S; readonly answers: readonly KeyValue[] }
  | LoginFailure;

function workSecurity(stage: Security, pairs: readonly KeyValue[], context: LoginContext): Worked<Security> {
  const negotiated = negotiate(stage.negotiation, "security", pairs);
  if (negotiated.kind === "failure") return negotiated;
  const keys = new Map(
    pairs.filter(({ key }) => KEYS.get(key)?.kind === "authentication").map(({ key, value }) => [key, value]),
  );
  const authenticated = authenticate(stage.progress, stage.peer.decision.auth, keys, context);
  if (authenticated.kind === "failure") return authenticated;
  const { progress, answers } = authenticated;
  return {
    kind: "worked",
    stage: { ...stage, negotiation: negotiated.negotiation, progress },
    answers: [...answers, ...negotiated.answers],
  };
}

function workOperational(stage: Operational, pairs: readonly KeyValue[]): Worked<Operational> {
  const negotiated = negotiate(stage.negotiation, "operational", pairs);
  if (negotiated.kind === "failure") return negotiated;
  return {
    kind: "worked",
    stage: { ...stage, negotiation: negotiated.negotiation, mayIntroduce: false, undeclared: [] },
    answers: [...negotiated.answers, ...stage.undeclared],
  };
}

const REJECTED_METHODS: KeyValue = { key: "AuthMethod", value: ANSWER_REJECT };

/** One step of the authentication (section 12.1); `keys` are the security keys of the request. */
function authenticate(
  progress: AuthProgress,
  auth: AuthRequirement,
  keys: KeyMap,
  context: LoginContext,
): { readonly kind: "stepped"; readonly progress: AuthProgress; readonly answers: readonly KeyValue[] } | LoginFailure {
  switch (progress.kind) {
    case "open":
    case "proposed": {
      const methods = keys.get("AuthMethod");
      if (methods === undefined) {
        if (keys.size > 0) return protocolError("CHAP keys before AuthMethod");
        if (progress.kind === "proposed") return authenticationFailure("AuthMethod=CHAP is left unanswered");
        return { kind: "stepped", progress, answers: [] };
      }
      // Section 6.2.1: the first that we support "and are allowed to use for the specific originator". That is just one.
      const method = auth.kind === "chap" ? "CHAP" : "None";
      const fault = progress.kind === "open" ? proposalFault(methods, method) : answerFault(methods, method);
      if (fault !== undefined) return fault;
      const answers: KeyValue[] = progress.kind === "open" ? [{ key: "AuthMethod", value: method }] : [];
      const rest = new Map(keys);
      rest.delete("AuthMethod");
      const next: AuthProgress =
        method === "CHAP"
          ? { kind: "agreed" }
          : { kind: "done", authentication: { method: "None" }, isSpared: methods.split(",").includes("CHAP") };
      if (rest.size === 0) return { kind: "stepped", progress: next, answers };
      // "the initiator sends the first key(s) of the exchange together with its authentication method selection", at
      // least where we proposed the method.
      const further = authenticate(next, auth, rest, context);
      return further.kind === "failure" ? further : { ...further, answers: [...answers, ...further.answers] };
    }
    case "agreed": {
      const chapA = keys.get("CHAP_A");
      if (chapA === undefined) return failure(LOGIN_STATUS_MISSING_PARAMETER, "CHAP_A must come first");
      if (keys.size > 1) return protocolError("CHAP_A must come alone");
      const algorithms = (auth.kind === "chap" ? auth.algorithms : undefined) ?? CHAP_ALGORITHMS_DEFAULT;
      const challenged = challengeInitiator(chapA, algorithms, (count) => context.randomBytes(count));
      if (challenged.kind === "failure") return challenged;
      return { kind: "stepped", progress: challenged, answers: challenged.answers };
    }
    case "challenged": {
      if (auth.kind !== "chap") throw new Error("a challenge without CHAP");
      const verified = verifyInitiator(keys, progress.sent, auth.users, auth.mutual, (challenge) =>
        context.isChallengeOutstanding(challenge),
      );
      if (verified.kind === "failure") return verified;
      const authentication: Authentication = { method: "CHAP", user: verified.user };
      return {
        kind: "stepped",
        progress: { kind: "done", authentication, isSpared: false },
        answers: verified.answers,
      };
    }
    case "done":
      if (keys.size > 0) return protocolError("security keys after the authentication");
      return { kind: "stepped", progress, answers: [] };
  }
}

/** Why `method` cannot be chosen of the methods that the initiator proposes; undefined: it can. */
function proposalFault(methods: string, method: string): LoginFailure | undefined {
  if (isReservedAnswer(methods)) return protocolError(`AuthMethod proposes the reserved value ${methods}`);
  if (methods.split(",").includes(method)) return undefined;
  // Section 6.3.2: "it MUST answer with Reject"; and with that the login has failed (section 7.12).
  return { ...authenticationFailure(`AuthMethod must be ${method}`), answers: [REJECTED_METHODS] };
}

/** Why this is not the initiator's consent to `method`, which is all that we have proposed; undefined: it is. */
function answerFault(answer: string, method: string): LoginFailure | undefined {
  if (answer === method) return undefined;
  if (answer === ANSWER_REJECT) return authenticationFailure(`the initiator declines ${method}`);
  // Section 6.2.1: "The selection of a value not proposed MUST be handled by the originator as a protocol error."
  return protocolError(`AuthMethod is no answer to ${method}`);
}

/** Sends `text`, in as many PDUs as it takes; with the last of them comes the decision on a transition. */
function respond(state: InLogin, request: LoginRequest, text: Uint8Array): LoginStep {
  if (text.length > LOGIN_SEGMENT_LENGTH_MAX) {
    const rest = text.subarray(LOGIN_SEGMENT_LENGTH_MAX);
    const sending: InLogin = { ...state, text: { kind: "sending", rest } };
    return send(sending, { continued: true, text: text.subarray(0, LOGIN_SEGMENT_LENGTH_MAX) });
  }
  const idle: InLogin = { ...state, text: { kind: "idle" } };
  // Section 11.13.6: "the T bit MUST NOT be set to 1 if the T bit in the request was set to 0".
  if (!request.transit) return send(idle, { text });
  const wish = leave(idle.stage, request.nsg);
  if (wish.kind === "failure") return reject(idle, wish);
  const whole = Buffer.concat([text, encodeText(wish.additions)]);
  // The initiator will ask again, with nothing to say.
  if (whole.length > LOGIN_SEGMENT_LENGTH_MAX) return send(idle, { text });
  switch (wish.kind) {
    case "stay":
      return send({ ...idle, stage: wish.stage }, { text: whole });
    case "transit":
      return send(idle, { transit: true, nsg: wish.stage.csg, text: whole }, wish.stage);
    case "complete":
      return complete(idle, wish, whole);
  }
}

/** What becomes of a request with the T bit. `additions` go with the response. */
type Leaving =
  | { readonly kind: "stay"; readonly stage: Stage; readonly additions: readonly KeyValue[] }
  | { readonly kind: "transit"; readonly stage: Operational; readonly additions: readonly KeyValue[] }
  | Completion
  | LoginFailure;

interface Completion {
  readonly kind: "complete";
  readonly peer: Peer;
  readonly authentication: Authentication;
  readonly session: SessionParameters;
  readonly connection: ConnectionParameters;
  readonly additions: readonly KeyValue[];
}

function leave(stage: Stage, nsg: number): Leaving {
  switch (stage.kind) {
    case "opening":
      throw new Error("an answer to an unopened login");
    case "security":
      return leaveSecurity(stage, nsg);
    case "operational":
      return leaveOperational(stage);
  }
}

function leaveSecurity(stage: Security, nsg: number): Leaving {
  const { peer, negotiation, progress } = stage;
  const required = peer.decision.auth.kind === "chap";
  if (progress.kind === "open" && required) {
    // Section 6.3.2: "the negotiation might also be directed by the target".
    return {
      kind: "stay",
      stage: { ...stage, progress: { kind: "proposed" } },
      additions: [{ key: "AuthMethod", value: "CHAP" }],
    };
  }
  if (progress.kind !== "open" && progress.kind !== "done") return { kind: "stay", stage, additions: [] };
  const authentication: Authentication = progress.kind === "done" ? progress.authentication : { method: "None" };
  const impostor = impostorFault(peer, authentication);
  if (impostor !== undefined) return authenticationFailure(impostor);
  // Who is sent elsewhere hears so in answer to one more request.
  if (nsg === STAGE_FULL_FEATURE_PHASE && peer.decision.isRedirected !== true) {
    const conclusion = conclude(negotiation);
    if (conclusion.kind === "done") {
      return { ...conclusion, kind: "complete", peer, authentication, additions: aliasOf(peer) };
    }
    // The defaults do not suit us. "The selected NSG MUST NOT exceed the value stated by the initiator" (section 6.3),
    // but it may be lower: let us negotiate.
  }
  const mayIntroduce = progress.kind === "done" && progress.isSpared;
  return { kind: "transit", stage: enterOperational(peer, negotiation, authentication, mayIntroduce), additions: [] };
}

function leaveOperational(stage: Operational): Leaving {
  const conclusion = conclude(stage.negotiation);
  switch (conclusion.kind) {
    case "failure":
      return conclusion;
    case "offer":
      return { kind: "stay", stage: { ...stage, negotiation: conclusion.negotiation }, additions: conclusion.offers };
    case "done":
      return {
        ...conclusion,
        kind: "complete",
        peer: stage.peer,
        authentication: stage.authentication,
        additions: [],
      };
  }
}

function enterOperational(
  peer: Peer,
  negotiation: Negotiation,
  authentication: Authentication,
  mayIntroduce: boolean,
): Operational {
  const declared = declareMaxRecvDataSegmentLength(negotiation);
  return {
    kind: "operational",
    csg: STAGE_LOGIN_OPERATIONAL_NEGOTIATION,
    peer,
    negotiation: declared.negotiation,
    authentication,
    mayIntroduce,
    undeclared: [...aliasOf(peer), declared.declaration],
  };
}

/**
 * Section 13.6: "SHOULD be communicated to the initiator ... if SessionType=Normal"; here, once it is authenticated, and not with the
 * response that leaves security for the operational stage: where security is skipped, that "only contains the TargetPortalGroupTag
 * key" (section 6.3.1).
 */
function aliasOf({ sessionType, decision }: Peer): KeyValue[] {
  const isTold = sessionType === "Normal" && decision.alias !== undefined;
  return isTold ? [{ key: "TargetAlias", value: decision.alias }] : [];
}

/** Section 9.2: all connections of a session authenticate alike. */
function impostorFault({ decision: { joins } }: Peer, authentication: Authentication): string | undefined {
  if (joins === undefined || authenticatesAlike(joins.authentication, authentication)) return undefined;
  return "the session's other connections authenticated differently";
}

function authenticationFailure(reason: string): LoginFailure {
  return failure(LOGIN_STATUS_AUTHENTICATION_FAILURE, reason);
}

/** T5. */
function complete(state: InLogin, completion: Completion, text: Uint8Array): LoginStep {
  const { isid, tsih, cid, cmdSN, expStatSN } = state.fixed;
  const { peer, authentication, session, connection } = completion;
  const result: LoginResult = {
    sessionType: peer.sessionType,
    initiatorName: peer.initiatorName,
    targetName: peer.targetName,
    isid,
    tsih,
    cid,
    authentication,
    session,
    connection,
    expCmdSN: cmdSN,
    expStatSN,
    statSN: state.nextStatSN,
    nextStatSN: serialAdd(state.nextStatSN, 1),
    response: responseOf(state, { transit: true, nsg: STAGE_FULL_FEATURE_PHASE, text }),
  };
  return { state: LOGGED_IN, actions: [{ type: "complete", transition: "T5", result }] };
}

/** T7 with a Login reject, and with a redirection. */
function reject(state: InLogin, { status, reason, answers = [] }: LoginFailure): LoginStep {
  return refuse(state, status, answers, reason);
}

function redirect(state: InLogin, { address, permanent }: Redirect): LoginStep {
  const status = permanent ? LOGIN_STATUS_TARGET_MOVED_PERMANENTLY : LOGIN_STATUS_TARGET_MOVED_TEMPORARILY;
  return refuse(state, status, [{ key: "TargetAddress", value: address }], `redirected to ${address}`);
}

function refuse(state: InLogin, status: LoginStatus, pairs: readonly KeyValue[], reason: string): LoginStep {
  // Section 6.3.1: "The T bit, the CSG field, and the NSG field are reserved."
  const response = responseOf(state, { csg: 0, status, text: encodeText(pairs) });
  return {
    state: FREE,
    actions: [
      { type: "respond", response },
      { type: "close", transition: "T7", reason },
    ],
  };
}

function close(transition: "T6" | "T7", reason: string): LoginStep {
  return { state: FREE, actions: [{ type: "close", transition, reason }] };
}

type Reply = Partial<Pick<LoginResponse, "transit" | "continued" | "csg" | "nsg" | "status">> &
  Pick<LoginResponse, "text">;

/** A response that the login goes on after, in `nextStage`. */
function send(state: InLogin, reply: Reply, nextStage: Stage = state.stage): LoginStep {
  return {
    state: { ...state, nextStatSN: serialAdd(state.nextStatSN, 1), stage: nextStage },
    actions: [{ type: "respond", response: responseOf(state, reply) }],
  };
}

function responseOf({ fixed, stage, nextStatSN }: InLogin, reply: Reply): LoginResponse {
  const { isid, tsih, initiatorTaskTag, cmdSN } = fixed;
  // A leading login: "the target MUST use the value presented in the CmdSN as the target value for the ExpCmdSN"
  // (section 11.12.8). A login that joins a session carries a CmdSN that may run ahead of what the session's shard has
  // received: numbers from before the window acknowledge nothing and open nothing.
  const expCmdSN = tsih === 0 ? cmdSN : serialAdd(cmdSN, -COMMAND_WINDOW_MAX);
  return {
    transit: false,
    continued: false,
    csg: stage.csg,
    nsg: 0,
    versionMax: ISCSI_VERSION,
    versionActive: ISCSI_VERSION,
    isid,
    tsih,
    initiatorTaskTag,
    statSN: nextStatSN,
    expCmdSN,
    maxCmdSN: tsih === 0 ? expCmdSN : serialAdd(expCmdSN, -1),
    status: LOGIN_STATUS_SUCCESS,
    ...reply,
  };
}
