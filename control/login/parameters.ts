/**
 * What the Login Phase negotiates, and what the target would have it negotiate. What of the results a shard is to know travels
 * in the hand-off record.
 */
import type { ConnectionParametersRecord, SessionParametersRecord, TaskReporting } from "../../dataplane/messages.js";

/** RFC 7143 section 13.1. */
export type Digest = "None" | "CRC32C";
/** RFC 7143 section 13.21. */
export type SessionType = "Normal" | "Discovery";

/** Session-wide results (scope SW): settled by the leading login, the same for every connection that joins later. */
export interface SessionParameters extends SessionParametersRecord {
  readonly dataPDUInOrder: boolean;
  readonly dataSequenceInOrder: boolean;
}

/** Connection-only results (scope CO). */
export type ConnectionParameters = ConnectionParametersRecord;

/**
 * What the target would select if it alone could choose: an upper bound where the result function is Minimum, a lower
 * bound where it is Maximum, our side of the AND or OR for a boolean, what we support for a list. Every value must be
 * inside the key's range (checkLimits in negotiation.ts says so).
 */
export interface SessionLimits {
  readonly maxConnections: number;
  readonly initialR2T: boolean;
  readonly immediateData: boolean;
  /** Bytes. */
  readonly maxBurstLength: number;
  /** Bytes. */
  readonly firstBurstLength: number;
  readonly maxOutstandingR2T: number;
  /** Seconds. */
  readonly defaultTime2Wait: number;
  /** Seconds. */
  readonly defaultTime2Retain: number;
  readonly errorRecoveryLevel: number;
  readonly taskReporting: readonly TaskReporting[];
  readonly iSCSIProtocolLevel: number;
  /** In order of preference; without "None" the digest is compulsory. */
  readonly headerDigest: readonly Digest[];
  readonly dataDigest: readonly Digest[];
  /** What we declare, in bytes. */
  readonly maxRecvDataSegmentLength: number;
}

/** The values in force where a key is not negotiated (the "Default is" of each section of chapter 13). */
export const SESSION_DEFAULTS: SessionParameters = {
  maxConnections: 1,
  initialR2T: true,
  immediateData: true,
  maxBurstLength: 262144,
  firstBurstLength: 65536,
  maxOutstandingR2T: 1,
  defaultTime2Wait: 2,
  defaultTime2Retain: 20,
  dataPDUInOrder: true,
  dataSequenceInOrder: true,
  errorRecoveryLevel: 0,
  taskReporting: "RFC3720",
  iSCSIProtocolLevel: 1,
};

export const CONNECTION_DEFAULTS: ConnectionParameters = {
  headerDigest: "None",
  dataDigest: "None",
  maxRecvDataSegmentLength: 8192,
  maxSendDataSegmentLength: 8192,
};

/** The target's own preference for each key that a configuration leaves out. */
export const SESSION_LIMITS_DEFAULT: SessionLimits = {
  maxConnections: 1,
  // Unsolicited data saves a round trip on small writes; R2T is for what does not fit in the first burst.
  initialR2T: false,
  immediateData: true,
  maxBurstLength: 1048576,
  firstBurstLength: 262144,
  maxOutstandingR2T: 4,
  defaultTime2Wait: 2,
  defaultTime2Retain: 20,
  errorRecoveryLevel: 0,
  taskReporting: ["RFC3720", "ResponseFence", "FastAbort"],
  iSCSIProtocolLevel: 2,
  headerDigest: ["None", "CRC32C"],
  dataDigest: ["None", "CRC32C"],
  maxRecvDataSegmentLength: 262144,
};
