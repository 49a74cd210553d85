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
import { COUNTER } from "../../dataplane/counters.js";
import { portalAddressOf } from "../config/portal-address.js";
import type { Shards } from "../shards.js";
import { packetsOf } from "./packets.js";
import { TcpFlow } from "./tcp-flow.js";
import type { Trace } from "./trace.js";

/** What a capture needs of the shards. */
export type CaptureShards = Pick<Shards, "count" | "captured" | "capture" | "counters">;

interface Connection {
  readonly flow: TcpFlow;
  /** For its first packet; then empty. */
  introduction: string;
}

export class ShardTrace implements Trace {
  readonly name: string;
  readonly description = "connections in full feature phase";
  readonly #interfaceId: number;
  readonly #consumer: Consumer;
  readonly #number: number;
  readonly #clockToWallUs: number;
  /** By their index in the shard's table. */
  readonly #connections = new Map<number, Connection>();
  readonly #counters: Float64Array;
  readonly #droppedBefore: number;
  pdus = 0;
  /** As the last record has it, modulo 2^32. */
  #droppedSeen = 0;

  /** @param clockToWallUs what to add to the rings' clock to have microseconds since 1970. */
  constructor(shard: number, shards: CaptureShards, number: number, clockToWallUs: number) {
    const memory = shards.captured(shard)!;
    this.name = `shard ${shard}`;
    this.#interfaceId = shard;
    this.#counters = new Float64Array(shards.counters(shard)!);
    this.#droppedBefore = this.#counters[COUNTER.capture_dropped_pdus]!;
    this.#consumer = new Consumer(memory);
    this.#number = number;
    this.#clockToWallUs = clockToWallUs;
  }

  get dropped(): number {
    return this.#counters[COUNTER.capture_dropped_pdus]! - this.#droppedBefore;
  }

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
    const comment = connection.introduction;
    connection.introduction = "";
    this.pdus++;
    return packetsOf(connection.flow, {
      interfaceId: this.#interfaceId,
      atUs: view.getFloat64(offset + CAPTURE_AT_US) + this.#clockToWallUs,
      isReceived: kind === CAPTURE_RECEIVED,
      position: view.getUint32(offset + CAPTURE_POSITION),
      wireLength: view.getUint32(offset + CAPTURE_WIRE_LENGTH),
      content,
      dropped: this.#droppedSince(view.getUint32(offset + CAPTURE_DROPPED)),
      comment,
    });
  }

  #droppedSince(dropped: number): number {
    const since = (dropped - this.#droppedSeen) >>> 0;
    this.#droppedSeen = dropped;
    // A thread that has taken the place of a dead one counts from 0.
    return since > 0x7fffffff ? dropped : since;
  }
}

function connectionOf(who: CapturedConnection): Connection {
  const { initiatorName, targetName, sessionId, tsih, cid, initiatorAddress, portalAddress, received, sent } = who;
  return {
    flow: new TcpFlow(portalAddressOf(initiatorAddress), portalAddressOf(portalAddress), received, sent),
    introduction: `session ${sessionId} (TSIH ${tsih}), CID ${cid}: ${initiatorName} at ${targetName}`,
  };
}
