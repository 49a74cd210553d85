/**
 * The loop of a shard: one `enter` a turn submits what the last turn queued and waits; the completions are worked off;
 * then everything that became ready is queued for the next `enter`.
 *
 *     enter -> completions -> messages of control -> tasks that waited -> sends -> closing connections -> enter
 */
import { unreachable } from "./assert.js";
import { CONNECTION_OPEN } from "./connection/connection.js";
import { COUNTER } from "./counters.js";
import { ENTER_WAIT_MS_MAX } from "./limits.js";
import type { ControlMessage } from "./messages.js";
import { changeLuns } from "./session/lun-change.js";
import {
  KIND_FLUSH,
  KIND_IGNORED,
  KIND_RECEIVE,
  KIND_SEND,
  KIND_SLICE,
  KIND_TASK,
  KIND_WAKE,
  type Shard,
} from "./shard.js";
import { changeUnit } from "./storage/unit-change.js";
import { Barrier } from "./task/barrier.js";
import { resetUnit } from "./task/task-sets.js";
import type { Vigil } from "./vigil.js";

const WAKE_BYTES = 8;

export class Loop {
  readonly #shard: Shard;
  readonly #wakeFd: number;
  readonly #vigil: Vigil;
  #awake = true;

  /** `wakeFd`: an eventfd that control signals when it has put messages into our ring. */
  constructor(shard: Shard, wakeFd: number, vigil: Vigil) {
    this.#shard = shard;
    this.#wakeFd = wakeFd;
    this.#vigil = vigil;
    this.#listen();
  }

  /** One turn. Returns true if control has signalled since the last one: there may be messages for `handle`. */
  turn(): boolean {
    const { ring, counters, transmitter, engine } = this.#shard;
    const moreFollows = transmitter.takeMoreFollows() || (engine.waiting.hasParked && transmitter.hasAttempts);
    if (moreFollows || engine.gates.hasChanged) ring.enter(0, 0);
    else this.#vigil.wait(engine.throttles.waitMs(ENTER_WAIT_MS_MAX));
    const isSubmitted = ring.sqSpace() === ring.sqEntries;
    counters[COUNTER.turns]!++;
    let completions = 0;
    while (ring.next()) {
      completions++;
      this.#complete(ring.kind, ring.index, ring.result, ring.completionFlags);
    }
    counters[COUNTER.completions]! += completions;
    if (isSubmitted) transmitter.settle();
    const awake = this.#awake;
    this.#awake = false;
    return awake;
  }

  /** The second half of a turn, after the messages of control. */
  finish(): void {
    const shard = this.#shard;
    shard.lifecycle.sweep();
    shard.engine.gates.retry();
    shard.engine.throttles.run();
    shard.engine.waiting.retryParked();
    shard.engine.waiting.feed();
    shard.transmitter.flush();
    shard.receiver.publish();
    const { closing } = shard;
    while (closing.length > 0) shard.lifecycle.drain(closing.pop()!);
  }

  /** A message of control. */
  handle(message: ControlMessage): void {
    const shard = this.#shard;
    switch (message.type) {
      case "unit":
        return shard.addUnit(message.unit);
      case "connection":
        return shard.lifecycle.attach(message.record);
      case "endSession": {
        const { sessionId } = message;
        const session = shard.sessions.get(sessionId);
        if (session === undefined) shard.host.post({ type: "sessionEnded", sessionId });
        else shard.lifecycle.closeSession(session, message.reason);
        return;
      }
      case "endConnection": {
        const { connectionId, expStatSN, reason } = message;
        const connection = shard.lifecycle.connection(connectionId);
        if (connection !== undefined) shard.lifecycle.reinstate(connection, expStatSN, reason);
        return;
      }
      case "awaitEnding": {
        const { exchange, initiatorName, unitIndexes } = message;
        const barrier = new Barrier(() => shard.host.post({ type: "done", exchange }));
        shard.lifecycle.awaitEnding(initiatorName, unitIndexes, barrier);
        barrier.leave();
        return;
      }
      case "textReply": {
        const connection = shard.lifecycle.connection(message.connectionId);
        const { exchange, text, maxSendDataSegmentLength, maxRecvDataSegmentLength } = message;
        if (connection !== undefined) {
          shard.requests.textReply(
            connection,
            exchange,
            text,
            maxSendDataSegmentLength ?? 0,
            maxRecvDataSegmentLength ?? 0,
          );
        }
        return;
      }
      case "textReject": {
        const connection = shard.lifecycle.connection(message.connectionId);
        if (connection !== undefined) shard.requests.textReject(connection, message.exchange);
        return;
      }
      case "resetUnit": {
        const { exchange } = message;
        const barrier = new Barrier(() => shard.host.post({ type: "done", exchange }));
        const unit = shard.units.get(message.unitIndex);
        if (unit !== undefined) resetUnit(shard, unit, barrier);
        barrier.leave();
        return;
      }
      case "resetDone":
        return shard.resets.done(message.exchange);
      case "unitChange":
        return changeUnit(shard, message.exchange, message.unitIndex, message.change);
      case "hearLosses":
        shard.units.get(message.unitIndex)?.hearLosses();
        return;
      case "scsiBegun":
        return shard.engine.control.begun(message.exchange);
      case "lunChange":
        return changeLuns(shard, message);
      case "sessionLimits": {
        const session = shard.sessions.get(message.sessionId);
        if (session !== undefined) shard.engine.throttles.limitSession(session, message.limits);
        return shard.host.post({ type: "done", exchange: message.exchange });
      }
      case "scsiAnswer":
        return shard.engine.control.answered(message.exchange, message.answer);
      case "capture":
        return shard.capture.select(message.selection);
      case "requestLogout":
        for (const connectionId of message.connectionIds) {
          const connection = shard.lifecycle.connection(connectionId);
          if (connection?.state !== CONNECTION_OPEN) continue;
          shard.departures.request(connection, message.timeoutMs * 1000, message.endsSession);
        }
        return;
      case "requestNegotiation":
        for (const connectionId of message.connectionIds) {
          const connection = shard.lifecycle.connection(connectionId);
          if (connection !== undefined) shard.requests.requestNegotiation(connection, message.timeoutMs);
        }
        return;
      case "cancelLogout":
        for (const connectionId of message.connectionIds) {
          const connection = shard.lifecycle.connection(connectionId);
          if (connection !== undefined) shard.departures.cancel(connection);
        }
        return;
      case "stop":
        return shard.lifecycle.stop(message.graceMs);
      default:
        message satisfies never;
    }
  }

  #complete(kind: number, index: number, result: number, flags: number): void {
    const shard = this.#shard;
    switch (kind) {
      case KIND_RECEIVE:
        return shard.receiver.received(shard.connections.connections[index]!, result, flags);
      case KIND_SEND:
        return shard.transmitter.sent(shard.connections.connections[index]!, result);
      case KIND_SLICE:
        return shard.engine.sliceCompleted(shard.slices.slices[index]!, result);
      case KIND_TASK:
        return shard.engine.taskCompleted(shard.tasks.tasks[index]!, result);
      case KIND_FLUSH:
        return shard.engine.backgroundFlushes.completed(index, result);
      case KIND_WAKE:
        this.#awake = true;
        return this.#listen();
      case KIND_IGNORED:
        return;
      default:
        return unreachable("completion kind", kind);
    }
  }

  #listen(): void {
    const { ring, arena, wakeCell } = this.#shard;
    ring.read(this.#wakeFd, arena.address(wakeCell), WAKE_BYTES, 0, 0, KIND_WAKE, 0);
  }
}
