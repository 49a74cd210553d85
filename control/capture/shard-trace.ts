/** What one shard has captured, from the records of its ring to blocks of a pcapng file: an interface of its own. */
import { Consumer } from "sharedarraybuffer-ring";
import {
  CAPTURE_AT_US,
  CAPTURE_CONNECTION,
  CAPTURE_DROPPED,
  CAPTURE_HEADER_BYTES,
  CAPTURE_INDEX,
  CAPTURE_NUMBER,
  CAPTURE_POSITION,
  CAPTURE_RECEIVED,
  CAPTURE_WIRE_LENGTH,
  type CapturedConnection,
} from "../../dataplane/capture/record.js";
import { ISCSI_PORT, type PortalAddress, parsePortalAddress } from "../config/portal-address.js";
import { DIRECTION_INBOUND, DIRECTION_OUTBOUND, enhancedPacket } from "./pcapng.js";
import { maskSecrets } from "./secrets.js";
import { TcpFlow } from "./tcp-flow.js";

interface Connection {
  readonly flow: TcpFlow;
  /** For its first packet; then empty. */
  introduction: string;
}

export class ShardTrace {
  readonly #interfaceId: number;
  readonly #consumer: Consumer;
  readonly #number: number;
  readonly #clockToWallUs: number;
  /** By their index in the shard's table. */
  readonly #connections = new Map<number, Connection>();
  /** PDUs that have come through. */
  pdus = 0;
  /** As the last record has it, modulo 2^32. */
  #dropped = 0;

  /** @param clockToWallUs what to add to the rings' clock to have microseconds since 1970. */
  constructor(interfaceId: number, memory: SharedArrayBuffer, number: number, clockToWallUs: number) {
    this.#interfaceId = interfaceId;
    this.#consumer = new Consumer(memory);
    this.#number = number;
    this.#clockToWallUs = clockToWallUs;
  }

  /** Packets for what is there, some more than so many bytes at most. Empty: there is nothing. */
  take(bytesMax: number): Buffer[] {
    const consumer = this.#consumer;
    const blocks: Buffer[] = [];
    for (let bytes = 0; bytes < bytesMax && consumer.next(); ) {
      if (consumer.view.getUint32(consumer.offset + CAPTURE_NUMBER) !== this.#number) continue;
      for (const block of this.#blocks()) {
        blocks.push(block);
        bytes += block.length;
      }
    }
    consumer.release();
    return blocks;
  }

  /** Of the consumer's record. */
  #blocks(): Buffer[] {
    const { view, offset, length } = this.#consumer;
    const kind = view.getUint8(offset);
    const index = view.getUint16(offset + CAPTURE_INDEX);
    const content = Buffer.from(this.#consumer.bytes.slice(offset + CAPTURE_HEADER_BYTES, offset + length));
    if (kind === CAPTURE_CONNECTION) {
      this.#connections.set(index, connectionOf(JSON.parse(content.toString()) as CapturedConnection));
      return [];
    }
    const connection = this.#connections.get(index)!;
    const isReceived = kind === CAPTURE_RECEIVED;
    const { introduction } = connection;
    const dropped = this.#droppedSince(view.getUint32(offset + CAPTURE_DROPPED));
    const atUs = Math.round(view.getFloat64(offset + CAPTURE_AT_US) + this.#clockToWallUs);
    const position = view.getUint32(offset + CAPTURE_POSITION);
    const wireLength = view.getUint32(offset + CAPTURE_WIRE_LENGTH);
    connection.introduction = "";
    this.pdus++;
    maskSecrets(content);
    return connection.flow.segments(isReceived, position, wireLength, content.length).map((segment, i) =>
      enhancedPacket({
        interfaceId: this.#interfaceId,
        atNs: BigInt(atUs) * 1000n,
        direction: isReceived ? DIRECTION_INBOUND : DIRECTION_OUTBOUND,
        parts: [segment.header, content.subarray(segment.from, segment.from + segment.length)],
        originalLength: segment.originalLength,
        dropped: i === 0 ? dropped : 0,
        comment: i === 0 ? introduction : "",
      }),
    );
  }

  #droppedSince(dropped: number): number {
    const since = (dropped - this.#dropped) >>> 0;
    this.#dropped = dropped;
    // A thread that has taken the place of a dead one counts from 0.
    return since > 0x7fffffff ? dropped : since;
  }
}

function connectionOf(who: CapturedConnection): Connection {
  const { initiatorName, targetName, sessionId, tsih, cid } = who;
  return {
    flow: new TcpFlow(addressOf(who.initiatorAddress), addressOf(who.portalAddress)),
    introduction: `session ${sessionId} (TSIH ${tsih}), CID ${cid}: ${initiatorName} at ${targetName}`,
  };
}

function addressOf(text: string): PortalAddress {
  const parsed = parsePortalAddress(text, ISCSI_PORT);
  return parsed.ok ? parsed.address : { host: "0.0.0.0", port: 0 };
}
