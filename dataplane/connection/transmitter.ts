/**
 * Everything that a connection sends. Nodes wait in the connection's queue; once a turn, if no send of it is in flight,
 * they are made into PDUs (pdu-encoder.ts) and leave with one sendmsg.
 */
import { ASYNC_CANCEL_ALL, errno, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_WAITALL, SQE_CQE_SKIP_SUCCESS } from "io-uring-node";
import { assert } from "../assert.js";
import type { Slice } from "../buffer/slice.js";
import { COUNTER } from "../counters.js";
import {
  ATTEMPT_BYTES_MIN,
  BATCH_BYTES_MAX,
  BATCH_PDUS_MAX,
  CONNECTION_REPLIES_MAX,
  CONNECTION_REPLY_BYTES_MAX,
  RETAINED_MAX,
} from "../limits.js";
import { LOGGED_OUT } from "../messages.js";
import { KIND_IGNORED, KIND_SEND, type Shard } from "../shard.js";
import { TASK_UNACKNOWLEDGED, type Task } from "../task/task.js";
import type { Batch } from "./batch.js";
import { CONNECTION_OPEN, type Connection, isServing } from "./connection.js";
import { OUTGOING_DATA_IN, OUTGOING_REPLY, OUTGOING_RESEND, OUTGOING_RESPONSE, type Outgoing } from "./outgoing.js";
import { PduEncoder } from "./pdu-encoder.js";
import type { Reply } from "./reply.js";

/** Waits for room in the socket until all is sent. */
const SEND_FLAGS = MSG_NOSIGNAL | MSG_WAITALL;
/**
 * Sends what the socket has room for, while it is submitted. MSG_WAITALL makes less than all of it a failure, so that with
 * SQE_CQE_SKIP_SUCCESS nothing is told of an attempt that has sent all.
 */
const ATTEMPT_FLAGS = SEND_FLAGS | MSG_DONTWAIT;

export class Transmitter {
  readonly #shard: Shard;
  readonly #encoder: PduEncoder;
  readonly #dirty: Connection[] = [];
  readonly #waiting: Connection[] = [];
  /** See `#boundReplies`. */
  readonly #greedy: Connection[] = [];
  /** Connections with an attempt that was queued since the last `settle`. */
  readonly #attempts: Connection[] = [];
  #moreFollows = false;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.#encoder = new PduEncoder(shard);
  }

  /** On a connection that has failed nothing is queued: its tasks go on with what they have when they are reassigned. */
  queue(connection: Connection, node: Outgoing): void {
    if (connection.state !== CONNECTION_OPEN) return;
    if (connection.isSuspended && node.outgoingKind !== OUTGOING_REPLY) return;
    assert(!node.queued, "a node is in one queue at most");
    node.queued = true;
    node.next = null;
    if (connection.queueTail === null) connection.queueHead = node;
    else connection.queueTail.next = node;
    connection.queueTail = node;
    this.#markDirty(connection);
  }

  queueReply(connection: Connection, reply: Reply): void {
    if (connection.isAnsweredLast || connection.state !== CONNECTION_OPEN) {
      if (reply.slice !== null) this.#shard.slices.release(reply.slice);
      if (reply.onGone !== null) reply.onGone();
      return;
    }
    connection.isAnsweredLast = reply.closesConnection;
    connection.replies++;
    if (reply.slice !== null) connection.replyBytes += reply.slice.capacity;
    this.queue(connection, reply);
    this.#boundReplies(connection);
  }

  /** Retransmissions are bounded as replies are: a peer that asks for ever and reads nothing is closed. */
  queueResend(connection: Connection, node: Outgoing): void {
    if (!isServing(connection)) return;
    connection.replies++;
    this.queue(connection, node);
    this.#boundReplies(connection);
  }

  /**
   * A peer that asks for too much is not listened to any more, and closed at the end of the turn: whoever is at work on it, or on
   * its tasks, goes on with what is there.
   */
  #boundReplies(connection: Connection): void {
    const isWithin =
      connection.replies <= CONNECTION_REPLIES_MAX && connection.replyBytes <= CONNECTION_REPLY_BYTES_MAX;
    if (isWithin || connection.loggedOut) return;
    connection.loggedOut = true;
    this.#greedy.push(connection);
  }

  /** Takes out all nodes for which `matches` holds. */
  remove(connection: Connection, matches: (node: Outgoing) => boolean): void {
    let previous: Outgoing | null = null;
    let node = connection.queueHead;
    while (node !== null) {
      const next: Outgoing | null = node.next;
      if (matches(node)) {
        if (previous === null) connection.queueHead = next;
        else previous.next = next;
        if (connection.queueTail === node) connection.queueTail = previous;
        node.next = null;
        node.queued = false;
        if (node.outgoingKind === OUTGOING_RESEND) connection.replies--;
      } else {
        previous = node;
      }
      node = next;
    }
  }

  /** The end of a turn: everything that is ready leaves. */
  flush(): void {
    while (this.#greedy.length > 0) {
      this.#shard.lifecycle.close(this.#greedy.pop()!, "the initiator asks and does not read the answers");
    }
    const dirty = this.#dirty;
    for (let i = 0; i < dirty.length; i++) {
      const connection = dirty[i]!;
      connection.dirty = false;
      if (connection.batch === null && connection.state === CONNECTION_OPEN) this.#send(connection);
    }
    dirty.length = 0;
  }

  /** Somebody waits for what the attempts of the next `enter` free: it must not wait for anything else. */
  takeMoreFollows(): boolean {
    const more = this.#attempts.length > 0 && (this.#moreFollows || this.#waiting.length > 0);
    this.#moreFollows = false;
    return more;
  }

  get hasAttempts(): boolean {
    return this.#attempts.length > 0;
  }

  /**
   * After the completions of an `enter` that submitted everything queued: the attempts of which nothing was told have sent
   * all.
   */
  settle(): void {
    const attempts = this.#attempts;
    // What was not told may wait for room in the completion queue.
    if (attempts.length === 0 || this.#shard.ring.overflowed()) return;
    for (let i = 0; i < attempts.length; i++) {
      const connection = attempts[i]!;
      if (connection.attempting) this.sent(connection, connection.batch!.bytes);
    }
    attempts.length = 0;
  }

  /** A send has ended with `result`: bytes, or a negative errno. */
  sent(connection: Connection, result: number): void {
    const batch = connection.batch!;
    connection.attempting = false;
    if (result > 0) {
      this.#shard.counters[COUNTER.sent_bytes]! += result;
      connection.movedBytes = (connection.movedBytes + result) | 0;
      batch.advance(result);
    }
    // Cancelled by us, and nothing was taken meanwhile.
    const isStalled = result === -errno.ECANCELED && this.#shard.lifecycle.isOverdue(batch.sinceUs);
    const isRetried = result === -errno.EAGAIN || result === -errno.EINTR || result === -errno.ECANCELED;
    const goesOn = result > 0 || (isRetried && !isStalled);
    if (batch.bytes > 0 && goesOn && connection.state === CONNECTION_OPEN) {
      if (result > 0) batch.sinceUs = this.#shard.ring.nowUs;
      this.#submit(connection, batch, SEND_FLAGS);
      return;
    }
    const complete = batch.bytes === 0;
    connection.batch = null;
    for (let slice = batch.slices; slice !== null; ) {
      const next: Slice | null = slice.nextOfBatch;
      slice.nextOfBatch = null;
      slice.inBatch = false;
      if (slice.released) this.#shard.slices.release(slice);
      slice = next;
    }
    const { closesConnection: closes, onGone } = batch;
    this.#shard.batches.release(batch);
    this.#offerBatch();
    if (onGone !== null) onGone();
    if (connection.state !== CONNECTION_OPEN) {
      this.#shard.lifecycle.drain(connection);
    } else if (isStalled) {
      this.#shard.lifecycle.close(connection, "the initiator does not read, and others wait for buffers");
    } else if (!complete) {
      this.#shard.lifecycle.fail(connection, `send failed (errno ${-result})`);
    } else if (closes) {
      if (connection.isRecoverable) this.#shard.lifecycle.fail(connection, "logged out for recovery");
      else if (connection.departure?.isEnding === true) this.#shard.departures.depart(connection);
      else this.#shard.lifecycle.close(connection, LOGGED_OUT);
    } else {
      if (connection.queueHead !== null) this.#markDirty(connection);
    }
  }

  /** Connections wait for a batch. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Ends a send that takes its time, to see whether it has got on. */
  cancel(connection: Connection): void {
    this.#shard.ring.cancel(KIND_SEND, connection.index, ASYNC_CANCEL_ALL, KIND_IGNORED, 0);
  }

  /** A batch is free: the longest waiting connection may have it. */
  #offerBatch(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next.state !== CONNECTION_OPEN) continue;
      this.#markDirty(next);
      return;
    }
  }

  #markDirty(connection: Connection): void {
    if (connection.dirty) return;
    connection.dirty = true;
    this.#dirty.push(connection);
  }

  #send(connection: Connection): void {
    if (connection.queueHead === null) return;
    const batch = this.#shard.batches.acquire(connection);
    if (batch === null) {
      if (!this.#waiting.includes(connection)) this.#waiting.push(connection);
      return;
    }
    while (connection.queueHead !== null && this.#room(batch)) {
      const node: Outgoing = connection.queueHead;
      if (!this.#encoder.add(connection, batch, node)) break;
      connection.queueHead = node.next;
      if (node.next === null) connection.queueTail = null;
      node.next = null;
      node.queued = false;
      this.#emitted(connection, batch, node);
    }
    if (connection.retained !== null) this.#boundRetained(connection);
    if (batch.pdus === 0) {
      // What was asked for again is acknowledged, or given up, meanwhile.
      this.#shard.batches.release(batch);
      this.#offerBatch();
      return;
    }
    this.#encoder.computeDigests();
    if (connection.isCaptured) this.#shard.capture.sent(connection, batch);
    connection.batch = batch;
    batch.sinceUs = this.#shard.ring.nowUs;
    if (batch.bytes < ATTEMPT_BYTES_MIN) {
      this.#submit(connection, batch, SEND_FLAGS);
      return;
    }
    this.#shard.ring.setSqeFlags(this.#submit(connection, batch, ATTEMPT_FLAGS), SQE_CQE_SKIP_SUCCESS);
    connection.attempting = true;
    this.#attempts.push(connection);
    const isAwaited = batch.closesConnection || batch.onGone !== null;
    if (connection.queueHead !== null || connection.starvedHead !== null || isAwaited) this.#moreFollows = true;
  }

  /** Returns the slot of the SQE. */
  #submit(connection: Connection, batch: Batch, flags: number): number {
    const { ring } = this.#shard;
    return batch.single
      ? ring.send(connection.fd, batch.singleAddress(), batch.bytes, flags, KIND_SEND, connection.index)
      : ring.sendmsg(connection.fd, batch.messageHeader(), flags, KIND_SEND, connection.index);
  }

  #room(batch: Batch): boolean {
    return batch.pdus < BATCH_PDUS_MAX && batch.bytes < BATCH_BYTES_MAX;
  }

  /** After a node has left the queue. */
  #emitted(connection: Connection, batch: Batch, node: Outgoing): void {
    switch (node.outgoingKind) {
      case OUTGOING_DATA_IN: {
        const slice = node as Slice;
        this.#shard.engine.sliceSent(slice.task!, slice);
        break;
      }
      case OUTGOING_RESPONSE:
        this.#shard.engine.responded(node as Task);
        break;
      case OUTGOING_REPLY: {
        const reply = node as Reply;
        connection.replies--;
        if (reply.slice !== null) connection.replyBytes -= reply.slice.capacity;
        if (reply.closesConnection) batch.closesConnection = true;
        if (reply.onGone !== null) batch.onGone = reply.onGone;
        if (reply.maxSend > 0) connection.maxSend = reply.maxSend;
        if (!reply.retained) this.#release(reply);
        break;
      }
      case OUTGOING_RESEND:
        connection.replies--;
        break;
      default:
        break;
    }
  }

  /** A peer that acknowledges nothing has no more kept for it than this. */
  #boundRetained(connection: Connection): void {
    const session = connection.session!;
    for (let node = connection.retained!.first; node !== null && session.retainedCount > RETAINED_MAX; ) {
      const next: Outgoing | null = node.nextRetained;
      if (node.outgoingKind !== OUTGOING_RESPONSE) {
        connection.retained!.remove(node);
        this.#release(node as Reply);
      } else if ((node as Task).state === TASK_UNACKNOWLEDGED) {
        this.#shard.engine.forget(node as Task);
      }
      node = next;
    }
  }

  /** ExpStatSN of the initiator has moved on: what it acknowledges need not be kept. */
  acknowledge(connection: Connection): void {
    const { retained, expStatSN } = connection;
    if (retained === null) return;
    for (;;) {
      const node = retained.takeAcknowledged(expStatSN);
      if (node === null) break;
      if (node.outgoingKind === OUTGOING_RESPONSE) this.#shard.engine.forget(node as Task);
      else this.#release(node as Reply);
    }
  }

  /** Replies that were sent and not acknowledged are of no use on another connection. */
  forgetReplies(connection: Connection): void {
    const { retained } = connection;
    if (retained === null) return;
    for (let node = retained.first; node !== null; ) {
      const next: Outgoing | null = node.nextRetained;
      if (node.outgoingKind === OUTGOING_REPLY) {
        retained.remove(node);
        this.#release(node as Reply);
      }
      node = next;
    }
  }

  /** What a reply holds is not needed any more. */
  #release(reply: Reply): void {
    const { slice } = reply;
    reply.slice = null;
    if (slice !== null) this.#shard.slices.release(slice);
  }
}
