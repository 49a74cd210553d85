/**
 * Bytes of a connection become PDUs. Each state knows how many bytes it needs:
 *
 *     HEADER  BHS, AHS, header digest: parsed where they lie in the receive buffer, or put together in the connection's header area
 *     DATA    the data segment, to its sink: copied from the receive buffer, or received straight into place if much is missing
 *     TRAILER padding and data digest, put together behind the header area's header
 *
 * A receive buffer belongs to a connection only while `received` runs: idle connections and slow peers hold none.
 */
import {
  ASYNC_CANCEL_ALL,
  CQE_F_BUFFER,
  CQE_F_SOCK_NONEMPTY,
  errno,
  MSG_WAITALL,
  RECVSEND_POLL_FIRST,
} from "io-uring-node";
import type { Arena } from "../arena.js";
import { assert, unreachable } from "../assert.js";
import { COUNTER, RECEIVED_PDUS } from "../counters.js";
import { DIRECT_RECEIVE_BYTES_MIN, HEADER_RECEIVE_BYTES, RECEIVE_BUFFER_BYTES } from "../limits.js";
import { KIND_IGNORED, KIND_RECEIVE, RECEIVE_GROUP, type Shard } from "../shard.js";
import { BHS_LENGTH, OPCODE_MASK, paddedLength } from "../wire/bhs.js";
import {
  CONNECTION_OPEN,
  type Connection,
  RECEIVE_DATA,
  RECEIVE_HEADER,
  RECEIVE_TRAILER,
  TRAILER_OFFSET,
} from "./connection.js";

const DIGEST_BYTES = 4;

export class Receiver {
  readonly #shard: Shard;
  readonly #arena: Arena;
  readonly #job = new Uint32Array(8);
  #recycled = false;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.#arena = shard.arena;
  }

  /** Posts the next receive. */
  arm(connection: Connection, more: boolean): void {
    assert(!connection.receiveBusy, "one receive at a time");
    const ring = this.#shard.ring;
    connection.receiveBusy = true;
    const missing = connection.dataLength - connection.dataReceived;
    connection.receiveDirect =
      connection.receiveState === RECEIVE_DATA && connection.sink !== null && missing >= DIRECT_RECEIVE_BYTES_MIN;
    if (connection.receiveDirect) {
      const at = connection.sink!.offset + connection.sinkOffset + connection.dataReceived;
      ring.recv(connection.fd, this.#arena.address(at), missing, MSG_WAITALL, KIND_RECEIVE, connection.index);
      return;
    }
    const length = connection.solicitedBytes >= DIRECT_RECEIVE_BYTES_MIN ? HEADER_RECEIVE_BYTES : RECEIVE_BUFFER_BYTES;
    const ioprio = more ? 0 : RECVSEND_POLL_FIRST;
    ring.recvSelect(connection.fd, length, RECEIVE_GROUP, 0, ioprio, KIND_RECEIVE, connection.index);
  }

  /** Ends a receive into a task's buffer early, to see how far it came. */
  cancel(connection: Connection): void {
    if (connection.receiveDirect) this.end(connection);
  }

  /** Ends whatever receive there is. */
  end(connection: Connection): void {
    if (!connection.receiveBusy) return;
    this.#shard.ring.cancel(KIND_RECEIVE, connection.index, ASYNC_CANCEL_ALL, KIND_IGNORED, 0);
  }

  /** A receive has ended. */
  received(connection: Connection, result: number, flags: number): void {
    connection.receiveBusy = false;
    if (connection.state !== CONNECTION_OPEN) {
      if ((flags & CQE_F_BUFFER) !== 0) this.#recycle(flags >>> 16);
      this.#shard.lifecycle.drain(connection);
      return;
    }
    if (result > 0) {
      connection.lastReceiveUs = this.#shard.ring.nowUs;
      connection.pingSentUs = 0;
      connection.movedBytes = (connection.movedBytes + result) | 0;
      this.#shard.counters[COUNTER.received_bytes]! += result;
      if (connection.receiveDirect) {
        connection.dataReceived += result;
        if (connection.dataReceived === connection.dataLength) this.#dataComplete(connection);
      } else {
        const buffer = flags >>> 16;
        const at = this.#shard.receiveArea + buffer * RECEIVE_BUFFER_BYTES;
        this.#consume(connection, at, at + result);
        this.#recycle(buffer);
      }
      if (connection.state !== CONNECTION_OPEN) this.#shard.lifecycle.drain(connection);
      else this.arm(connection, (flags & CQE_F_SOCK_NONEMPTY) !== 0);
      return;
    }
    // A select without data may still have taken a buffer.
    if ((flags & CQE_F_BUFFER) !== 0) this.#recycle(flags >>> 16);
    switch (result) {
      case 0:
        this.#shard.lifecycle.fail(connection, "the initiator closed the connection");
        return;
      case -errno.ENOBUFS:
      case -errno.EINTR:
      case -errno.EAGAIN:
      case -errno.ECANCELED:
        this.arm(connection, true);
        return;
      default:
        this.#shard.lifecycle.fail(connection, `receive failed (errno ${-result})`);
    }
  }

  /** The end of a turn: the kernel gets its buffers back. */
  publish(): void {
    if (!this.#recycled) return;
    this.#recycled = false;
    this.#shard.receiveBuffers.publish();
  }

  #recycle(buffer: number): void {
    const at = this.#shard.receiveArea + buffer * RECEIVE_BUFFER_BYTES;
    this.#shard.receiveBuffers.add(buffer, this.#arena.address(at), RECEIVE_BUFFER_BYTES);
    this.#recycled = true;
  }

  /** Works off the bytes [at, end) of a receive buffer. */
  #consume(connection: Connection, start: number, end: number): void {
    const bytes = this.#arena.bytes;
    let at = start;
    while (at < end && connection.state === CONNECTION_OPEN) {
      switch (connection.receiveState) {
        case RECEIVE_HEADER: {
          if (connection.have === 0) {
            const left = end - at;
            if (left >= BHS_LENGTH) {
              const length = this.#headerLength(connection, at);
              if (left >= length) {
                const header = at;
                at += length;
                this.#headerComplete(connection, header, length);
                break;
              }
            }
          }
          at = this.#assembleHeader(connection, at, end);
          break;
        }
        case RECEIVE_DATA: {
          const count = Math.min(end - at, connection.dataLength - connection.dataReceived);
          if (connection.sink !== null) {
            bytes.copyWithin(connection.sink.offset + connection.sinkOffset + connection.dataReceived, at, at + count);
          } else if (connection.dataDigest) {
            connection.droppedCrc = this.#crc(at, count, connection.droppedCrc);
          }
          at += count;
          connection.dataReceived += count;
          if (connection.dataReceived === connection.dataLength) this.#dataComplete(connection);
          break;
        }
        case RECEIVE_TRAILER: {
          const need = this.#trailerLength(connection);
          const count = Math.min(end - at, need - connection.have);
          bytes.copyWithin(connection.headerArea + TRAILER_OFFSET + connection.have, at, at + count);
          at += count;
          connection.have += count;
          if (connection.have === need) this.#trailerComplete(connection);
          break;
        }
        default:
          unreachable("receive state", connection.receiveState);
      }
    }
    // The buffer goes back now, but the PDU in work still needs its header.
    if (connection.receiveState !== RECEIVE_HEADER && connection.header !== connection.headerArea) {
      const length = this.#headerLength(connection, connection.header);
      bytes.copyWithin(connection.headerArea, connection.header, connection.header + length);
      connection.header = connection.headerArea;
    }
  }

  /** BHS, AHS and header digest of the header at `at`, of which the BHS is there. */
  #headerLength(connection: Connection, at: number): number {
    return BHS_LENGTH + this.#arena.bytes[at + 4]! * 4 + (connection.headerDigest ? DIGEST_BYTES : 0);
  }

  #assembleHeader(connection: Connection, start: number, end: number): number {
    const area = connection.headerArea;
    let at = start;
    for (;;) {
      const need = connection.have < BHS_LENGTH ? BHS_LENGTH : this.#headerLength(connection, area);
      if (connection.have === need) {
        connection.have = 0;
        this.#headerComplete(connection, area, need);
        return at;
      }
      if (at === end) return at;
      const count = Math.min(end - at, need - connection.have);
      this.#arena.bytes.copyWithin(area + connection.have, at, at + count);
      at += count;
      connection.have += count;
    }
  }

  #headerComplete(connection: Connection, header: number, length: number): void {
    if (
      connection.headerDigest &&
      !this.#digestMatches(header, length - DIGEST_BYTES, header + length - DIGEST_BYTES)
    ) {
      this.#shard.counters[COUNTER.digest_errors]!++;
      if (connection.isCaptured) this.#shard.capture.receivedDamaged(connection, header, length);
      // The length in the header may be wrong too: where the next PDU starts is unknown (RFC 7143 section 7.8).
      this.#shard.lifecycle.fail(connection, "header digest error");
      return;
    }
    connection.header = header;
    connection.dataLength = this.#arena.view.getUint32(header + 4) & 0xffffff;
    connection.dataReceived = 0;
    if (connection.dataLength > connection.maxReceive) {
      this.#shard.lifecycle.close(
        connection,
        `data segment of ${connection.dataLength} bytes where ${connection.maxReceive} were declared`,
      );
      return;
    }
    this.#shard.counters[RECEIVED_PDUS + (this.#arena.bytes[header]! & OPCODE_MASK)]!++;
    if (connection.dataLength === 0) {
      if (connection.isCaptured) this.#shard.capture.received(connection);
      this.#shard.dispatcher.complete(connection, true);
      return;
    }
    connection.droppedCrc = 0;
    connection.sink = null;
    connection.sinkOwned = false;
    connection.sinkOffset = 0;
    connection.receiveState = RECEIVE_DATA;
    this.#shard.dispatcher.prepare(connection);
  }

  #dataComplete(connection: Connection): void {
    connection.have = 0;
    if (this.#trailerLength(connection) === 0) this.#pduComplete(connection, true);
    else connection.receiveState = RECEIVE_TRAILER;
  }

  #trailerLength(connection: Connection): number {
    return paddedLength(connection.dataLength) - connection.dataLength + (connection.dataDigest ? DIGEST_BYTES : 0);
  }

  #trailerComplete(connection: Connection): void {
    connection.have = 0;
    let valid = true;
    if (connection.dataDigest) {
      const { sink, sinkOffset, dataLength } = connection;
      const trailer = connection.headerArea + TRAILER_OFFSET;
      const padding = paddedLength(dataLength) - dataLength;
      const seed = sink === null ? connection.droppedCrc : this.#crc(sink.offset + sinkOffset, dataLength, 0);
      const crc = padding > 0 ? this.#crc(trailer, padding, seed) : seed;
      valid = crc === this.#arena.view.getUint32(trailer + padding, true);
      if (!valid) this.#shard.counters[COUNTER.digest_errors]!++;
    }
    this.#pduComplete(connection, valid);
  }

  #pduComplete(connection: Connection, digestValid: boolean): void {
    connection.receiveState = RECEIVE_HEADER;
    if (connection.isCaptured) this.#shard.capture.received(connection);
    this.#shard.dispatcher.complete(connection, digestValid);
  }

  #digestMatches(offset: number, length: number, digest: number): boolean {
    return this.#crc(offset, length, 0) === this.#arena.view.getUint32(digest, true);
  }

  #crc(offset: number, length: number, seed: number): number {
    this.#job[0] = offset;
    this.#job[1] = length;
    this.#job[2] = seed;
    this.#shard.host.crc32c(this.#job, 1);
    return this.#job[3]!;
  }
}
