/** What a simulated login has negotiated. */
import type { ConnectionParametersRecord, SessionParametersRecord } from "../../../../dataplane/messages.js";
import type { Random } from "../random.js";

/** What the target declares (RFC 7143 section 13.12), and the smallest that anybody may. */
const MAX_RECV_DATA_SEGMENT_LENGTH = 262144;
const LENGTH_MIN = 512;

export interface Parameters {
  readonly session: SessionParametersRecord;
  readonly connection: ConnectionParametersRecord;
}

export function randomParameters(random: Random): Parameters {
  const maxBurstLength = random.spread(LENGTH_MIN, 1 << 20);
  const digest = () => (random.chance(0.3) ? "CRC32C" : "None");
  return {
    session: {
      maxConnections: 1,
      initialR2T: random.chance(0.5),
      immediateData: random.chance(0.7),
      maxBurstLength,
      firstBurstLength: Math.min(maxBurstLength, random.spread(LENGTH_MIN, 1 << 18)),
      maxOutstandingR2T: random.chance(0.5) ? 1 : random.between(2, 8),
      defaultTime2Wait: random.below(3),
      defaultTime2Retain: random.below(3),
      errorRecoveryLevel: random.pick([0, 0, 0, 1, 2]),
      taskReporting: random.pick(["RFC3720", "RFC3720", "ResponseFence", "FastAbort"]),
      iSCSIProtocolLevel: random.between(1, 2),
    },
    connection: {
      headerDigest: digest(),
      dataDigest: digest(),
      maxRecvDataSegmentLength: random.chance(0.7)
        ? MAX_RECV_DATA_SEGMENT_LENGTH
        : random.spread(8192, MAX_RECV_DATA_SEGMENT_LENGTH),
      maxSendDataSegmentLength: random.spread(LENGTH_MIN, MAX_RECV_DATA_SEGMENT_LENGTH),
    },
  };
}
