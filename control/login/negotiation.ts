/**
 * Negotiates operational keys (RFC 7143 section 6.2 and chapter 13) for one connection, as pure functions over
 * `Negotiation`. Security keys pass through here only to be checked for stage and repetition.
 */
import { type KeyValue, TEXT_LENGTH_GUARANTEED } from "../../dataplane/wire/text-keys.js";
import {
  ANSWER_IRRELEVANT,
  ANSWER_NOT_UNDERSTOOD,
  ANSWER_REJECT,
  type BooleanKey,
  isReservedAnswer,
  KEYS,
  type Key,
  type KeyStage,
  NEGOTIATED_KEYS,
  type NegotiatedKey,
  type NumericKey,
  parseNumber,
  SEGMENT_LENGTH_MAX,
  SEGMENT_LENGTH_MIN,
} from "./keys.js";
import {
  CONNECTION_DEFAULTS,
  type ConnectionParameters,
  SESSION_DEFAULTS,
  type SessionLimits,
  type SessionParameters,
  type SessionType,
} from "./parameters.js";
import { type LoginFailure, protocolError } from "./status.js";

/**
 * Keys of one login, or of one negotiation sequence in full feature phase: "MUST support receiving at least 8192 bytes of
 * key=value data in a negotiation sequence" (section 6.1), all of which may be pairs of three bytes ("A=" and NUL).
 */
export const NEGOTIATION_KEYS_MAX = Math.ceil(TEXT_LENGTH_GUARANTEED / 3);

/** Every parameter by its name: the session's and the connection's have none in common. */
type Parameters = SessionParameters & ConnectionParameters;
type ParameterValue = Parameters[NegotiatedKey["parameter"]];

export interface Negotiation {
  readonly limits: SessionLimits;
  readonly sessionType: SessionType;
  /** A connection that joins a session carries no Leading Only keys (chapter 13). */
  readonly leading: boolean;
  /** The results so far; defaults until a key is settled. */
  readonly parameters: Parameters;
  /** Every key the initiator has sent in this login, known or not. */
  readonly seen: ReadonlySet<string>;
  /** What we have offered and the initiator has not answered yet. */
  readonly offered: ReadonlyMap<string, string>;
}

/** `joined`: the parameters of the session that the connection joins; undefined for a leading login. */
export function startNegotiation(
  limits: SessionLimits,
  sessionType: SessionType,
  joined: SessionParameters | undefined,
): Negotiation {
  return {
    limits,
    sessionType,
    leading: joined === undefined,
    parameters: { ...SESSION_DEFAULTS, ...CONNECTION_DEFAULTS, ...joined },
    seen: new Set(),
    offered: new Map(),
  };
}

export type NegotiationStep =
  | { readonly kind: "ok"; readonly negotiation: Negotiation; readonly answers: KeyValue[] }
  | LoginFailure;

/** Judges and answers the keys of one request (all its C-bit parts), sent in `stage`. */
export function negotiate(
  negotiation: Negotiation,
  stage: Exclude<KeyStage, "any">,
  pairs: readonly KeyValue[],
): NegotiationStep {
  const seen = new Set(negotiation.seen);
  for (const { key: name, value } of pairs) {
    // Section 6.3: "An attempt to renegotiate/redeclare parameters not specifically allowed MUST be detected ... the
    // target MUST respond with a Login reject (initiator error)".
    if (seen.has(name)) return protocolError(`${name} is sent twice`);
    seen.add(name);
    const key = KEYS.get(name);
    const fault = misplaced(key, stage, negotiation) ?? misvalued(key, name, value, negotiation);
    if (fault !== undefined) return protocolError(fault);
  }

  let next: Negotiation = { ...negotiation, seen };
  const answers = new Map<string, string>();
  for (const { key: name, value } of inOrderOfDependence(pairs)) {
    const settled = settle(next, KEYS.get(name), name, value);
    if (settled.kind === "failure") return settled;
    next = settled.negotiation;
    if (settled.answer !== undefined) answers.set(name, settled.answer);
  }
  // Answered in the order of the offers.
  return {
    kind: "ok",
    negotiation: next,
    answers: pairs.flatMap(({ key }) => {
      const value = answers.get(key);
      return value === undefined ? [] : [{ key, value }];
    }),
  };
}

export type Conclusion =
  | { readonly kind: "done"; readonly session: SessionParameters; readonly connection: ConnectionParameters }
  /** What the initiator left out, and whose default does not suit us: it must be asked before the login can end. */
  | { readonly kind: "offer"; readonly negotiation: Negotiation; readonly offers: KeyValue[] }
  | LoginFailure;

/**
 * The initiator wants to enter the Full Feature Phase. "An iSCSI target MUST perform integrity checking before the new
 * parameters take effect" (section 6.2).
 */
export function conclude(negotiation: Negotiation): Conclusion {
  let settled: Negotiation = { ...negotiation, offered: new Map() };
  for (const [name, offer] of negotiation.offered) {
    const key = KEYS.get(name);
    // Offered are only "No" of an AND and "Yes" of an OR: "the two cases in which answers are OPTIONAL" (section 6.2.2).
    if (key?.kind !== "boolean") return protocolError(`${name} is left unanswered`);
    settled = withParameter(settled, key.parameter, parseBoolean(offer)!);
  }
  const offered = new Map<string, string>();
  for (const key of NEGOTIATED_KEYS) {
    if (isIrrelevant(key, settled) || (key.use === "LO" && !settled.leading)) continue;
    if (suits(key, settled.parameters[key.parameter], settled)) continue;
    if (settled.seen.has(key.name)) {
      return protocolError(`${key.name}=${format(settled.parameters[key.parameter])} is not acceptable`);
    }
    offered.set(key.name, offerOf(key, settled));
  }
  if (offered.size > 0) {
    const offers = Array.from(offered, ([key, value]) => ({ key, value }));
    return { kind: "offer", negotiation: { ...settled, offered }, offers };
  }
  return { kind: "done", ...split(settled.parameters) };
}

/** We have declared our MaxRecvDataSegmentLength (section 13.12). */
export function declareMaxRecvDataSegmentLength(negotiation: Negotiation): {
  readonly negotiation: Negotiation;
  readonly declaration: KeyValue;
} {
  const { maxRecvDataSegmentLength } = negotiation.limits;
  return {
    negotiation: withParameter(negotiation, "maxRecvDataSegmentLength", maxRecvDataSegmentLength),
    declaration: { key: "MaxRecvDataSegmentLength", value: String(maxRecvDataSegmentLength) },
  };
}

/** undefined, or what is wrong with limits that a configuration asks for. */
export function checkLimits(limits: SessionLimits): string | undefined {
  for (const key of NEGOTIATED_KEYS) {
    if (key.kind === "numeric") {
      const limit = limits[key.parameter];
      if (!Number.isInteger(limit) || limit < key.min || limit > key.max) {
        return `${key.parameter} is ${limit}: it must be ${key.min} to ${key.max} (RFC 7143 section ${key.section})`;
      }
    } else if (key.kind === "list" && limits[key.parameter].length === 0) {
      return `${key.parameter} is empty`;
    }
  }
  const { maxRecvDataSegmentLength: length } = limits;
  return isSegmentLength(length)
    ? undefined
    : `maxRecvDataSegmentLength is ${length}: it must be ${SEGMENT_LENGTH_MIN} to ${SEGMENT_LENGTH_MAX}`;
}

/** The outcome of a Text Request's keys in the Full Feature Phase. */
export type FullFeatureNegotiation =
  | {
      readonly kind: "ok";
      /** For all keys but SendTargets. */
      readonly answers: KeyValue[];
      /** The peer's new MaxRecvDataSegmentLength, in force once the negotiation sequence is over; undefined: unchanged. */
      readonly maxSendDataSegmentLength: number | undefined;
      /** SendTargets' value, for discovery to answer. */
      readonly sendTargets: string | undefined;
    }
  /** To be answered with a Reject PDU, reason Protocol Error; nothing of the sequence takes effect (sections 6.4, 7.12). */
  | { readonly kind: "protocolError"; readonly reason: string };

/**
 * Judges and answers the keys of one request of a negotiation sequence in the Full Feature Phase: only those of Use ALL and
 * FFPO may appear, each once in the sequence. `maxRecvDataSegmentLength` is what we declare; `earlier` are the keys of the requests
 * before.
 */
export function negotiateFullFeature(
  pairs: readonly KeyValue[],
  maxRecvDataSegmentLength: number,
  earlier: ReadonlySet<string>,
): FullFeatureNegotiation {
  const seen = new Set(earlier);
  const answers: KeyValue[] = [];
  let maxSendDataSegmentLength: number | undefined;
  let sendTargets: string | undefined;
  const broken = (reason: string): FullFeatureNegotiation => ({ kind: "protocolError", reason });
  for (const { key: name, value } of pairs) {
    if (seen.has(name)) return broken(`${name} is sent twice`);
    seen.add(name);
    if (isReservedAnswer(value)) return broken(`${name} proposes the reserved value ${value}`);
    const key = KEYS.get(name);
    if (key === undefined) {
      answers.push({ key: name, value: ANSWER_NOT_UNDERSTOOD });
      continue;
    }
    if (key.kind === "obsolete") {
      // Section 13.25: "a compliant iSCSI implementation MUST respond with the constant 'Reject' value", whenever.
      answers.push({ key: name, value: ANSWER_REJECT });
      continue;
    }
    if (key.use !== "ALL" && key.use !== "FFPO") return broken(`${name} is only for the Login Phase`);
    if (key.senders === "target") return broken(`${name} is not for an initiator to send`);
    if (key.kind === "request") sendTargets = value;
    if (name === "MaxRecvDataSegmentLength") {
      maxSendDataSegmentLength = parseNumber(value);
      if (!isSegmentLength(maxSendDataSegmentLength)) return broken(`${name} is not within its range`);
      // A declaration needs no answer, but a Text Response should not be empty (section 6.2): ours is said again.
      answers.push({ key: name, value: String(maxRecvDataSegmentLength) });
    }
  }
  return { kind: "ok", answers, maxSendDataSegmentLength, sendTargets };
}

/** Why this key may not be sent by an initiator at this point of the login; undefined: it may. */
function misplaced(key: Key | undefined, stage: KeyStage, negotiation: Negotiation): string | undefined {
  if (key === undefined) return undefined;
  if (key.use === "FFPO") return `${key.name} is only for the Full Feature Phase`;
  if (key.senders === "target") return `${key.name} is not for an initiator to send`;
  // Section 6.3: "Sending a key that is not allowed in the current stage is considered a protocol error."
  if (key.stage !== "any" && key.stage !== stage) return `${key.name} is not for the ${stage} stage`;
  // Declarations are let pass: hosts say SessionType again with each connection, and it changes nothing.
  if (key.use === "LO" && key.kind !== "declarative" && !negotiation.leading) {
    return `${key.name} is only for the leading login`;
  }
  return undefined;
}

/** Section 6.2: reserved constants as proposals are a protocol error; as answers to what we offered they are not. */
function misvalued(key: Key | undefined, name: string, value: string, negotiation: Negotiation): string | undefined {
  // Of security keys the authentication knows which are answers.
  if (!isReservedAnswer(value) || key?.kind === "authentication") return undefined;
  if (!negotiation.offered.has(name)) return `${name} proposes the reserved value ${value}`;
  // All the keys that we offer are RFC 7143's: NotUnderstood "MUST be considered a protocol error".
  return value === ANSWER_NOT_UNDERSTOOD ? `${name} must be understood` : undefined;
}

function inOrderOfDependence(pairs: readonly KeyValue[]): KeyValue[] {
  const isDependent = ({ key: name }: KeyValue): boolean => {
    const key = KEYS.get(name);
    return key !== undefined && "dependsOn" in key && key.dependsOn.length > 0;
  };
  return [...pairs.filter((pair) => !isDependent(pair)), ...pairs.filter(isDependent)];
}

type Settled = { readonly kind: "settled"; readonly negotiation: Negotiation; readonly answer?: string } | LoginFailure;

function settle(negotiation: Negotiation, key: Key | undefined, name: string, value: string): Settled {
  const answer = (text: string): Settled => ({ kind: "settled", negotiation, answer: text });
  switch (key?.kind) {
    case undefined:
      return answer(ANSWER_NOT_UNDERSTOOD);
    case "obsolete":
      return answer(ANSWER_REJECT);
    case "declarative": {
      if (name !== "MaxRecvDataSegmentLength") return { kind: "settled", negotiation };
      const length = parseNumber(value);
      // A declaration cannot be answered "Reject"; section 7.12 makes it a failure of the login.
      if (!isSegmentLength(length)) return protocolError(`${name} is not within its range`);
      return { kind: "settled", negotiation: withParameter(negotiation, "maxSendDataSegmentLength", length) };
    }
    case "authentication":
    case "request":
      return { kind: "settled", negotiation };
    case "numeric":
    case "boolean":
    case "list": {
      const offer = negotiation.offered.get(name);
      if (offer !== undefined) return accept(negotiation, key, offer, value);
      if (isIrrelevant(key, negotiation)) return answer(ANSWER_IRRELEVANT);
      const selected = select(key, value, negotiation);
      if (selected === undefined) return answer(ANSWER_REJECT);
      return {
        kind: "settled",
        negotiation: withParameter(negotiation, key.parameter, selected),
        answer: format(selected),
      };
    }
  }
}

/** The initiator answers our offer: the answer must be a possible result of it (section 6.2.2). */
function accept(negotiation: Negotiation, key: NegotiatedKey, offer: string, value: string): Settled {
  const offered = new Map(negotiation.offered);
  offered.delete(key.name);
  const answered: Negotiation = { ...negotiation, offered };
  // The key stays at its default; whether that will do is for `conclude` to say.
  if (value === ANSWER_REJECT || value === ANSWER_IRRELEVANT) return { kind: "settled", negotiation: answered };
  const selected = parseAnswer(key, offer, value);
  return selected === undefined
    ? protocolError(`${key.name} is no answer to ${offer}`)
    : { kind: "settled", negotiation: withParameter(answered, key.parameter, selected) };
}

function parseAnswer(key: NegotiatedKey, offer: string, value: string): ParameterValue | undefined {
  switch (key.kind) {
    case "numeric": {
      const number = parseInRange(key, value);
      if (number === undefined) return undefined;
      const isPossible = key.result === "minimum" ? number <= Number(offer) : number >= Number(offer);
      return isPossible ? number : undefined;
    }
    case "boolean":
      // What is offered (see conclude) leaves no choice.
      return value === offer ? parseBoolean(value) : undefined;
    case "list":
      return offer.split(",").includes(value) ? (value as ParameterValue) : undefined;
  }
}

/** Our answer to an initiator's offer; undefined: it is not admissible, "Reject". */
function select(key: NegotiatedKey, value: string, negotiation: Negotiation): ParameterValue | undefined {
  switch (key.kind) {
    case "numeric": {
      const number = parseInRange(key, value);
      if (number === undefined) return undefined;
      const limit = numericLimit(key, negotiation);
      return key.result === "minimum" ? Math.min(number, limit) : Math.max(number, limit);
    }
    case "boolean": {
      const offer = parseBoolean(value);
      if (offer === undefined) return undefined;
      const preference = booleanPreference(key, negotiation.limits);
      return key.result === "AND" ? offer && preference : offer || preference;
    }
    case "list": {
      // "the first value that it supports ... selected from the originator list" (section 6.2.1).
      const supported: readonly string[] = negotiation.limits[key.parameter];
      return value.split(",").find((item) => supported.includes(item)) as ParameterValue | undefined;
    }
  }
}

/** Whether we could live with this result. */
function suits(key: NegotiatedKey, value: ParameterValue, negotiation: Negotiation): boolean {
  switch (key.kind) {
    case "numeric": {
      const limit = numericLimit(key, negotiation);
      return key.result === "minimum" ? Number(value) <= limit : Number(value) >= limit;
    }
    case "boolean": {
      const preference = booleanPreference(key, negotiation.limits);
      return key.result === "AND" ? preference || value === false : !preference || value === true;
    }
    case "list": {
      const supported: readonly string[] = negotiation.limits[key.parameter];
      return supported.includes(String(value));
    }
  }
}

/** What we would propose ourselves. */
function offerOf(key: NegotiatedKey, negotiation: Negotiation): string {
  switch (key.kind) {
    case "numeric":
      return format(numericLimit(key, negotiation));
    case "boolean":
      return format(booleanPreference(key, negotiation.limits));
    case "list":
      return negotiation.limits[key.parameter].join(",");
  }
}

/** The configured limit, narrowed by the keys that this one depends on. */
function numericLimit(key: NumericKey, { limits, sessionType, parameters }: Negotiation): number {
  const limit = limits[key.parameter];
  switch (key.parameter) {
    case "firstBurstLength":
      // "FirstBurstLength MUST NOT exceed MaxBurstLength" (section 13.14), as it is or as we are about to offer it.
      return Math.min(limit, parameters.maxBurstLength, limits.maxBurstLength);
    case "maxOutstandingR2T":
      // "if ErrorRecoveryLevel is not 0 and DataSequenceInOrder is set to Yes, then MaxOutstandingR2T MUST be set to 1"
      // (section 13.19).
      return parameters.errorRecoveryLevel > 0 ? 1 : limit;
    case "errorRecoveryLevel":
      // The same rule, met in a later request; and section 7.4.1: 0 in Discovery sessions.
      return sessionType === "Discovery" || parameters.maxOutstandingR2T > 1 ? 0 : limit;
    default:
      return limit;
  }
}

/** Data is always in order here (sections 13.18 and 13.19); the rest is configured. */
function booleanPreference(key: BooleanKey, limits: SessionLimits): boolean {
  switch (key.parameter) {
    case "dataPDUInOrder":
    case "dataSequenceInOrder":
      return true;
    case "initialR2T":
    case "immediateData":
      return limits[key.parameter];
  }
}

function isIrrelevant(key: NegotiatedKey, { sessionType, parameters }: Negotiation): boolean {
  if (sessionType === "Discovery" && key.irrelevantInDiscovery) return true;
  // Section 13.14: no unsolicited data at all.
  return key.parameter === "firstBurstLength" && parameters.initialR2T && !parameters.immediateData;
}

function withParameter<Name extends keyof Parameters>(
  negotiation: Negotiation,
  name: Name,
  value: ParameterValue | Parameters[Name],
): Negotiation {
  return { ...negotiation, parameters: { ...negotiation.parameters, [name]: value } };
}

function split({
  headerDigest,
  dataDigest,
  maxRecvDataSegmentLength,
  maxSendDataSegmentLength,
  ...session
}: Parameters): { session: SessionParameters; connection: ConnectionParameters } {
  return { session, connection: { headerDigest, dataDigest, maxRecvDataSegmentLength, maxSendDataSegmentLength } };
}

function parseInRange(key: NumericKey, value: string): number | undefined {
  const number = parseNumber(value);
  return number !== undefined && number >= key.min && number <= key.max ? number : undefined;
}

function isSegmentLength(length: number | undefined): length is number {
  return (
    length !== undefined && Number.isInteger(length) && length >= SEGMENT_LENGTH_MIN && length <= SEGMENT_LENGTH_MAX
  );
}

function parseBoolean(value: string): boolean | undefined {
  return value === "Yes" ? true : value === "No" ? false : undefined;
}

function format(value: ParameterValue): string {
  return typeof value === "boolean" ? (value ? "Yes" : "No") : String(value);
}
