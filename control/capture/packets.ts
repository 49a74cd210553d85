/** A PDU as packets of a pcapng file. */
import { DIRECTION_INBOUND, DIRECTION_OUTBOUND, enhancedPacket } from "./pcapng.js";
import { maskSecrets } from "./secrets.js";
import type { TcpFlow } from "./tcp-flow.js";

export interface CapturedPdu {
  readonly interfaceId: number;
  /** Since 1970. */
  readonly atUs: number;
  readonly isReceived: boolean;
  /** Where it begins in its direction of the connection. */
  readonly position: number;
  readonly wireLength: number;
  /** The first bytes of it, or all. Secrets in it are masked. */
  readonly content: Buffer;
  /** PDUs of the interface that were left out before it. */
  readonly dropped: number;
  /** Empty: none. */
  readonly comment: string;
}

export function packetsOf(flow: TcpFlow, pdu: CapturedPdu): Buffer[] {
  const { interfaceId, atUs, isReceived, position, wireLength, content, dropped, comment } = pdu;
  maskSecrets(content);
  return flow.segments(isReceived, position, wireLength, content.length).map((segment, i) =>
    enhancedPacket({
      interfaceId,
      atNs: BigInt(Math.round(atUs)) * 1000n,
      direction: isReceived ? DIRECTION_INBOUND : DIRECTION_OUTBOUND,
      parts: [segment.header, content.subarray(segment.from, segment.from + segment.length)],
      originalLength: segment.originalLength,
      dropped: i === 0 ? dropped : 0,
      comment: i === 0 ? comment : "",
    }),
  );
}
