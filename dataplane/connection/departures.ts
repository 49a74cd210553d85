/**
 * Connections that the target wants to be rid of (RFC 7143 section 11.9.1): their initiators are asked to log out, and go on
 * meanwhile. Of those that have not done so in time the tasks end, the target announces that it drops them, and then does.
 *
 *     asked (AsyncEvent 1) --time over--> ending --tasks gone--> announced (2 or 3) --sent--> closed
 *                                  '--not in time-----'-----------------------------------------^
 *
 * At ErrorRecoveryLevel 2 the tasks are kept, and wait in the session for reassignment, unless that ends too.
 */
import { DROP_PATIENCE_US } from "../limits.js";
import { LOGOUT_OVERDUE } from "../messages.js";
import type { Shard } from "../shard.js";
import { Barrier } from "../task/barrier.js";
import {
  ASYNC_EVENT_CONNECTION_DROP,
  ASYNC_EVENT_LOGOUT_REQUEST,
  ASYNC_EVENT_SESSION_DROP,
  AsyncMessagePdu,
} from "../wire/async-message.js";
import { REJECT_REASON_PROTOCOL_ERROR } from "../wire/reject.js";
import { CONNECTION_OPEN, type Connection } from "./connection.js";
import { Reply, STAMP_STATUS } from "./reply.js";

/** Of a connection that is to go. */
export interface Departure {
  /** Its session goes with it: none of its tasks is kept. */
  readonly endsSession: boolean;
  /** When the time for it is over: first to log out, then to end as it should. */
  readonly deadlineUs: number;
  /** The time to log out is over. */
  readonly isEnding: boolean;
  /** Why, for the log. */
  readonly reason: string;
}

export class Departures {
  readonly #shard: Shard;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** Asks for a logout. Who was asked before is asked again, and has the new time. */
  request(connection: Connection, timeoutUs: number, endsSession: boolean): void {
    if (connection.departure?.isEnding === true) return;
    connection.departure = {
      endsSession,
      deadlineUs: this.#shard.ring.nowUs + timeoutUs,
      isEnding: false,
      reason: LOGOUT_OVERDUE,
    };
    const reply = new Reply(STAMP_STATUS);
    const pdu = new AsyncMessagePdu(reply.header).clear();
    pdu.asyncEvent = ASYNC_EVENT_LOGOUT_REQUEST;
    pdu.parameter3 = Math.ceil(timeoutUs / 1_000_000);
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /** It may stay, if it has not been told otherwise. */
  cancel(connection: Connection): void {
    if (connection.departure?.isEnding === false) connection.departure = null;
  }

  /** Looks at an open connection that is to go. @returns whether it is closed. */
  sweep(connection: Connection, nowUs: number): boolean {
    const { departure, loggedOut } = connection;
    if (departure === null || nowUs < departure.deadlineUs) return false;
    if (departure.isEnding) {
      this.depart(connection);
      return true;
    }
    // A logout under way waits for what the store has in hand.
    if (loggedOut) return false;
    this.#end(connection, departure);
    return false;
  }

  #end(connection: Connection, { endsSession }: Departure): void {
    const session = connection.session!;
    const keepsTasks = !endsSession && this.#shard.lifecycle.keepsTasks(session);
    const ending = endsSession
      ? session.connections.filter(({ state, loggedOut }) => state === CONNECTION_OPEN && !loggedOut)
      : [connection];
    // The initiator may go on elsewhere when it hears of it: by then no write of the old connections may land any more.
    const barrier = new Barrier(() => {
      for (const each of ending) this.#announce(each, endsSession, keepsTasks);
    });
    for (const each of ending) {
      each.departure = this.#ending(endsSession, LOGOUT_OVERDUE);
      if (keepsTasks) continue;
      each.loggedOut = true;
      this.#shard.lifecycle.discardHeld(each);
      this.#shard.engine.abortConnection(each, barrier);
    }
    barrier.leave();
  }

  #ending(endsSession: boolean, reason: string): Departure {
    return { endsSession, deadlineUs: this.#shard.ring.nowUs + DROP_PATIENCE_US, isEnding: true, reason };
  }

  /**
   * "Receipt of reserved code values in defined fields MUST be reported as a protocol error" (section 11), and ends the session
   * (section 7.7): its other connections at once, this one when it has the Reject.
   */
  dismiss(connection: Connection, header: number, reason: string): void {
    const { lifecycle, requests } = this.#shard;
    const { connections, failed } = connection.session!;
    for (const other of [...connections, ...failed]) if (other !== connection) lifecycle.close(other, reason);
    connection.loggedOut = true;
    connection.departure = this.#ending(true, reason);
    requests.reject(connection, header, REJECT_REASON_PROTOCOL_ERROR, 0, true);
  }

  /** "the target should send an Async PDU with iSCSI event code 'Dropped the connection' if possible". */
  #announce(connection: Connection, endsSession: boolean, keepsTasks: boolean): void {
    if (connection.state !== CONNECTION_OPEN) return;
    const { defaultTime2Wait, defaultTime2Retain } = connection.session!.parameters;
    const reply = new Reply(STAMP_STATUS);
    const pdu = new AsyncMessagePdu(reply.header).clear();
    pdu.asyncEvent = endsSession ? ASYNC_EVENT_SESSION_DROP : ASYNC_EVENT_CONNECTION_DROP;
    if (!endsSession) pdu.parameter1 = connection.cid;
    pdu.parameter2 = defaultTime2Wait;
    // "if Parameter3 is 0, the target will terminate all outstanding commands".
    pdu.parameter3 = keepsTasks ? defaultTime2Retain : 0;
    reply.closesConnection = true;
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /** The announcement is sent, or will never be. */
  depart(connection: Connection): void {
    const { lifecycle } = this.#shard;
    const { endsSession, reason } = connection.departure!;
    if (endsSession) lifecycle.close(connection, reason);
    else lifecycle.fail(connection, reason);
  }
}
