/**
 * The text keys of RFC 7143 (chapters 12 and 13) and of RFC 7144, each as one row: what kind of value, in which range,
 * settled by which function, used when and by whom. negotiation.ts is driven by this table.
 */
import type { TaskReporting } from "../../dataplane/messages.js";
import type { ConnectionParameters, SessionLimits, SessionParameters } from "./parameters.js";

/** Chapter 13's "Use". */
export type KeyUse =
  /** Leading Only: not after the first connection of the session has logged in. */
  | "LO"
  /** Initialize Only: during any login. */
  | "IO"
  /** Full Feature Phase Only. */
  | "FFPO"
  | "ALL";

/** Where in the Login Phase a key may appear: "any" is chapter 13's Any-Stage. */
export type KeyStage = "security" | "operational" | "any";

interface KeyCommon {
  readonly name: string;
  /** Of RFC 7143, where it does not say otherwise. */
  readonly section: string;
  readonly use: KeyUse;
  readonly stage: KeyStage;
  readonly senders: "initiator" | "target" | "both";
  /** Session-wide or connection-only. */
  readonly scope: "SW" | "CO";
  /** "Irrelevant when: SessionType=Discovery". */
  readonly irrelevantInDiscovery: boolean;
}

interface Dependent {
  /** Keys whose result limits this one's: they are settled first, in whatever order they arrive. */
  readonly dependsOn: readonly string[];
}

/** Result functions Minimum and Maximum: the selection must not exceed the offer, or not be lower. */
export interface NumericKey extends KeyCommon, Dependent {
  readonly kind: "numeric";
  readonly parameter: NumericParameter;
  readonly result: "minimum" | "maximum";
  readonly min: number;
  readonly max: number;
}

export interface BooleanKey extends KeyCommon, Dependent {
  readonly kind: "boolean";
  readonly parameter: BooleanParameter;
  readonly result: "AND" | "OR";
}

/** The first value of the offer that the acceptor supports (section 6.2.1). */
export interface ListKey extends KeyCommon, Dependent {
  readonly kind: "list";
  readonly parameter: ListParameter;
  /** Those that exist; an offer may hold others, which are passed over. */
  readonly values: readonly string[];
}

/** No answer: one side says how it is. */
export interface DeclarativeKey extends KeyCommon {
  readonly kind: "declarative";
}

/** Section 12: chap.ts and machine.ts deal with them. */
export interface AuthenticationKey extends KeyCommon {
  readonly kind: "authentication";
}

/** SendTargets asks for something; discovery answers it. */
export interface RequestKey extends KeyCommon {
  readonly kind: "request";
}

/** Section 13.25: always answered "Reject". */
export interface ObsoleteKey extends KeyCommon {
  readonly kind: "obsolete";
}

export type NegotiatedKey = NumericKey | BooleanKey | ListKey;
export type Key = NegotiatedKey | DeclarativeKey | AuthenticationKey | RequestKey | ObsoleteKey;

export type NumericParameter =
  | "maxConnections"
  | "maxBurstLength"
  | "firstBurstLength"
  | "maxOutstandingR2T"
  | "defaultTime2Wait"
  | "defaultTime2Retain"
  | "errorRecoveryLevel"
  | "iSCSIProtocolLevel";
export type BooleanParameter = "initialR2T" | "immediateData" | "dataPDUInOrder" | "dataSequenceInOrder";
export type ListParameter = "headerDigest" | "dataDigest" | "taskReporting";

/** Section 13.12, and 13.13 and 13.14 likewise. Bytes. */
export const SEGMENT_LENGTH_MIN = 512;
export const SEGMENT_LENGTH_MAX = 2 ** 24 - 1;
const COUNT_MAX = 65535;
/** Sections 13.15 and 13.16. Seconds. */
const TIME_MAX = 3600;

const TASK_REPORTING: readonly TaskReporting[] = ["RFC3720", "ResponseFence", "FastAbort"];

/** What most negotiated keys have in common. */
const LEADING = {
  use: "LO",
  stage: "operational",
  senders: "both",
  scope: "SW",
  irrelevantInDiscovery: true,
  dependsOn: [],
} as const;

const DIGEST = {
  kind: "list",
  section: "13.1",
  use: "IO",
  stage: "operational",
  senders: "both",
  scope: "CO",
  irrelevantInDiscovery: false,
  dependsOn: [],
  values: ["CRC32C", "None"],
} as const;

const ANY_STAGE = {
  kind: "declarative",
  stage: "any",
  scope: "SW",
  irrelevantInDiscovery: false,
} as const;

const AUTHENTICATION = {
  kind: "authentication",
  use: "IO",
  stage: "security",
  senders: "both",
  scope: "CO",
  irrelevantInDiscovery: false,
} as const;

/** RFC 3720 knew these as operational keys. */
const MARKER = {
  kind: "obsolete",
  section: "13.25",
  use: "IO",
  stage: "operational",
  senders: "both",
  scope: "CO",
  irrelevantInDiscovery: false,
} as const;

// biome-ignore format: one row, one key
const ROWS: readonly Key[] = [
  { ...AUTHENTICATION, name: "AuthMethod", section: "12.1" },
  { ...AUTHENTICATION, name: "CHAP_A", section: "12.1.3" },
  { ...AUTHENTICATION, name: "CHAP_I", section: "12.1.3" },
  { ...AUTHENTICATION, name: "CHAP_C", section: "12.1.3" },
  { ...AUTHENTICATION, name: "CHAP_N", section: "12.1.3" },
  { ...AUTHENTICATION, name: "CHAP_R", section: "12.1.3" },
  // Of methods that this target never agrees to: understood (section 6.2: "MUST comprehend all text keys"), and out of place.
  { ...AUTHENTICATION, name: "KRB_AP_REQ", section: "12.1.1" },
  { ...AUTHENTICATION, name: "KRB_AP_REP", section: "12.1.1" },
  { ...AUTHENTICATION, name: "SRP_U", section: "12.1.2" },
  { ...AUTHENTICATION, name: "TargetAuth", section: "12.1.2" },
  { ...AUTHENTICATION, name: "SRP_GROUP", section: "12.1.2" },
  { ...AUTHENTICATION, name: "SRP_s", section: "12.1.2" },
  { ...AUTHENTICATION, name: "SRP_A", section: "12.1.2" },
  { ...AUTHENTICATION, name: "SRP_B", section: "12.1.2" },
  { ...AUTHENTICATION, name: "SRP_M", section: "12.1.2" },
  { ...AUTHENTICATION, name: "SRP_HM", section: "12.1.2" },

  { ...DIGEST, name: "HeaderDigest", parameter: "headerDigest" },
  { ...DIGEST, name: "DataDigest", parameter: "dataDigest" },
  { ...LEADING, name: "MaxConnections", section: "13.2", kind: "numeric", parameter: "maxConnections", result: "minimum", min: 1, max: COUNT_MAX },
  { kind: "request", name: "SendTargets", section: "13.3", use: "FFPO", stage: "any", senders: "initiator", scope: "SW", irrelevantInDiscovery: false },
  // A target sends TargetName too, in answer to SendTargets.
  { ...ANY_STAGE, name: "TargetName", section: "13.4", use: "IO", senders: "both" },
  { ...ANY_STAGE, name: "InitiatorName", section: "13.5", use: "IO", senders: "initiator" },
  { ...ANY_STAGE, name: "TargetAlias", section: "13.6", use: "ALL", senders: "target" },
  { ...ANY_STAGE, name: "InitiatorAlias", section: "13.7", use: "ALL", senders: "initiator" },
  { ...ANY_STAGE, name: "TargetAddress", section: "13.8", use: "ALL", senders: "target" },
  { ...ANY_STAGE, name: "TargetPortalGroupTag", section: "13.9", use: "IO", senders: "target" },
  { ...LEADING, name: "InitialR2T", section: "13.10", kind: "boolean", parameter: "initialR2T", result: "OR" },
  { ...LEADING, name: "ImmediateData", section: "13.11", kind: "boolean", parameter: "immediateData", result: "AND" },
  { kind: "declarative", name: "MaxRecvDataSegmentLength", section: "13.12", use: "ALL", stage: "operational", senders: "both", scope: "CO", irrelevantInDiscovery: false },
  { ...LEADING, name: "MaxBurstLength", section: "13.13", kind: "numeric", parameter: "maxBurstLength", result: "minimum", min: SEGMENT_LENGTH_MIN, max: SEGMENT_LENGTH_MAX },
  // Never above MaxBurstLength, and irrelevant where InitialR2T=Yes and ImmediateData=No.
  { ...LEADING, name: "FirstBurstLength", section: "13.14", kind: "numeric", parameter: "firstBurstLength", result: "minimum", min: SEGMENT_LENGTH_MIN, max: SEGMENT_LENGTH_MAX, dependsOn: ["InitialR2T", "ImmediateData", "MaxBurstLength"] },
  { ...LEADING, name: "DefaultTime2Wait", section: "13.15", kind: "numeric", parameter: "defaultTime2Wait", result: "maximum", min: 0, max: TIME_MAX, irrelevantInDiscovery: false },
  { ...LEADING, name: "DefaultTime2Retain", section: "13.16", kind: "numeric", parameter: "defaultTime2Retain", result: "minimum", min: 0, max: TIME_MAX, irrelevantInDiscovery: false },
  // 1 where ErrorRecoveryLevel is not 0, as data sequences are always in order here (section 13.19).
  { ...LEADING, name: "MaxOutstandingR2T", section: "13.17", kind: "numeric", parameter: "maxOutstandingR2T", result: "minimum", min: 1, max: COUNT_MAX, dependsOn: ["ErrorRecoveryLevel"] },
  { ...LEADING, name: "DataPDUInOrder", section: "13.18", kind: "boolean", parameter: "dataPDUInOrder", result: "OR" },
  { ...LEADING, name: "DataSequenceInOrder", section: "13.19", kind: "boolean", parameter: "dataSequenceInOrder", result: "OR" },
  // Not irrelevant in a Discovery session, but always 0 (section 7.4.1).
  { ...LEADING, name: "ErrorRecoveryLevel", section: "13.20", kind: "numeric", parameter: "errorRecoveryLevel", result: "minimum", min: 0, max: 2, irrelevantInDiscovery: false },
  { ...ANY_STAGE, name: "SessionType", section: "13.21", use: "LO", senders: "initiator" },
  { ...LEADING, name: "TaskReporting", section: "13.23", kind: "list", parameter: "taskReporting", values: TASK_REPORTING },
  { ...LEADING, name: "iSCSIProtocolLevel", section: "13.24", kind: "numeric", parameter: "iSCSIProtocolLevel", result: "minimum", min: 0, max: 31 },
  { ...MARKER, name: "OFMarker" },
  { ...MARKER, name: "IFMarker" },
  { ...MARKER, name: "OFMarkInt" },
  { ...MARKER, name: "IFMarkInt" },
  // Not Any-Stage in section 13.26, but nothing may depend on its presence: it is let pass in either stage.
  { ...ANY_STAGE, name: "X#NodeArchitecture", section: "13.26", use: "LO", senders: "both" },
];

export const KEYS: ReadonlyMap<string, Key> = new Map(ROWS.map((key) => [key.name, key]));

export const NEGOTIATED_KEYS: readonly NegotiatedKey[] = ROWS.filter(
  (key) => key.kind === "numeric" || key.kind === "boolean" || key.kind === "list",
);

// Each row's parameter exists on either side of the negotiation, with the type that its kind has.
type Results = SessionParameters & ConnectionParameters;
true satisfies Pick<Results, NumericParameter> extends Record<NumericParameter, number> ? true : false;
true satisfies Pick<Results, BooleanParameter> extends Record<BooleanParameter, boolean> ? true : false;
true satisfies Pick<SessionLimits, NumericParameter> extends Record<NumericParameter, number> ? true : false;
true satisfies Pick<SessionLimits, ListParameter> extends Record<ListParameter, readonly string[]> ? true : false;

/** Section 6.1: reserved, "MUST ONLY be used as described": never as a proposal. ("None" is one, of a list.) */
export const ANSWER_REJECT = "Reject";
export const ANSWER_IRRELEVANT = "Irrelevant";
export const ANSWER_NOT_UNDERSTOOD = "NotUnderstood";
const RESERVED_ANSWERS: ReadonlySet<string> = new Set([ANSWER_REJECT, ANSWER_IRRELEVANT, ANSWER_NOT_UNDERSTOOD]);

export function isReservedAnswer(value: string): boolean {
  return RESERVED_ANSWERS.has(value);
}

/**
 * A numerical-value (section 6.1): a decimal-constant without leading zeroes, or a hex-constant, less than 2^64. undefined: neither.
 * Values from 2^53 on come out rounded, far above every range.
 */
export function parseNumber(text: string): number | undefined {
  return /^(?:0|[1-9][0-9]{0,19}|0[xX]0*[0-9a-fA-F]{1,16})$/.test(text) ? Number(text) : undefined;
}
