/**
 * Tasks that others have ended, where the session negotiated TaskReporting=FastAbort (RFC 7143 section 4.2.3.4): each connection
 * that had some is told by an Asynchronous Message for each LUN (AsyncEvent 5). Until the initiator has acknowledged it by a
 * NOP-Out with that LUN, it may still send data that it was asked for: the Target Transfer Tags stay valid, and the data is dropped.
 */
import { NO_TAG } from "../buffer/slice.js";
import { CONNECTION_OPEN, type Connection } from "../connection/connection.js";
import { Reply, STAMP_STATUS } from "../connection/reply.js";
import { TERMINATIONS_MAX } from "../limits.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import { ASYNC_EVENT_TASK_TERMINATION, AsyncMessagePdu } from "../wire/async-message.js";
import type { NopOutPdu } from "../wire/nop-out.js";
import { serialLess } from "../wire/serial.js";
import type { Task } from "./task.js";

/** What one Asynchronous Message is about. */
export interface Termination {
  readonly lunHigh: number;
  readonly lunLow: number;
  readonly message: Reply;
  /** Target Transfer Tags of the tasks. */
  readonly tags: Set<number>;
  isSent: boolean;
}

export class Terminations {
  readonly #shard: Shard;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** `tasks` of the session are about to be aborted. The connection on which that was asked for knows. */
  announce(session: Session, tasks: Iterable<Task>, asking: Connection | null): void {
    if (session.parameters.taskReporting !== "FastAbort") return;
    const fresh = new Set<Termination>();
    for (const task of tasks) {
      const connection = task.connection!;
      if (connection === asking || connection.state !== CONNECTION_OPEN) continue;
      const termination = this.#terminationOf(connection, task, fresh);
      for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) {
        if (slice.tag !== NO_TAG && !slice.queued) termination.tags.add(slice.tag);
      }
    }
  }

  /** `fresh`: those of this announcement. */
  #terminationOf(connection: Connection, { lunHigh, lunLow }: Task, fresh: Set<Termination>): Termination {
    const { terminations } = connection;
    for (const known of terminations) {
      if (fresh.has(known) && known.lunHigh === lunHigh && known.lunLow === lunLow) return known;
    }
    // Of an initiator that acknowledges none the oldest is forgotten.
    if (terminations.length === TERMINATIONS_MAX) terminations.shift();
    const message = new Reply(STAMP_STATUS);
    const termination: Termination = { lunHigh, lunLow, message, tags: new Set(), isSent: false };
    const pdu = new AsyncMessagePdu(message.header).clear();
    pdu.asyncEvent = ASYNC_EVENT_TASK_TERMINATION;
    pdu.lunHigh = lunHigh;
    pdu.lunLow = lunLow;
    message.onStamped = () => {
      termination.isSent = true;
    };
    terminations.push(termination);
    fresh.add(termination);
    this.#shard.transmitter.queueReply(connection, message);
    return termination;
  }

  /** "Acknowledge the StatSN of the Async Message PDU via a NOP-Out PDU ... while copying the LUN field" (section 11.9.1). */
  acknowledged(connection: Connection, { lunHigh, lunLow }: NopOutPdu): void {
    connection.terminations = connection.terminations.filter(
      (termination) =>
        termination.lunHigh !== lunHigh ||
        termination.lunLow !== lunLow ||
        !termination.isSent ||
        !serialLess(termination.message.statSN, connection.expStatSN),
    );
  }

  /** Data with this tag belongs to a task that was ended, and whose end the initiator has not acknowledged. */
  includes(connection: Connection, targetTransferTag: number): boolean {
    return connection.terminations.some(({ tags }) => tags.has(targetTransferTag));
  }
}
