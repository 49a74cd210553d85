/**
 * Response fences (RFC 7143 sections 4.2.2.3.2 to 4.2.2.3.4), in sessions of several connections: a fenced response goes out only
 * when everything that was sent before it on the other connections is acknowledged, and what comes after it waits until it is
 * acknowledged itself. NOP-Ins are sent to hurry the acknowledgments. A fence holds up the responses of the whole session, which
 * is more than those of the one I_T_L nexus that it is about.
 *
 *     responses:  sent | fenced one | held, oldest first
 *                      ^ waits for the others' acknowledgments, then for its own
 */
import { CONNECTION_OPEN, type Connection } from "../connection/connection.js";
import { FENCE_PATIENCE_US, SWEEP_INTERVAL_US } from "../limits.js";
import type { LunMapping } from "../session/lun-mapping.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import { serialGreaterOrEqual } from "../wire/serial.js";
import { Barrier } from "./barrier.js";
import type { Task } from "./task.js";

interface Response {
  readonly connection: Connection;
  /** Null: of a task management function. */
  readonly task: Task | null;
  readonly isFenced: boolean;
  readonly send: () => void;
  /** Its task has ended without it. */
  isDropped: boolean;
}

/** What a session has of fences; it has none as long as there is nothing to it. */
export class Fence {
  /** Tasks whose response is to be fenced, and LUNs of which the next response is. */
  readonly marked = new Set<Task | LunMapping>();
  /** The fenced response that waits for others, or to be acknowledged. */
  raisedBy: Response | null = null;
  held: Response[] = [];
}

/** All that was queued on the connection so far is to be acknowledged. */
interface Wait {
  readonly connection: Connection;
  readonly sinceUs: number;
  readonly barrier: Barrier;
  /** StatSN behind the last of it; -1: it has not all been sent. */
  statSN: number;
}

export class Fences {
  readonly #shard: Shard;
  #waits: Wait[] = [];

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** The response of the task, or the next one of the LUN, is to be fenced. */
  mark(session: Session, what: Task | LunMapping): void {
    if (session.connections.length > 1) this.#fenceOf(session).marked.add(what);
  }

  /** The response of a task management function that has ended several tasks: it is fenced. */
  respond(connection: Connection, send: () => void): void {
    const { session } = connection;
    // Where the connection is gone, nobody waits for the response.
    if (connection.state !== CONNECTION_OPEN || session === null) return send();
    if (session.connections.length < 2 && session.fence === null) return send();
    this.#fenceOf(session).held.push({ connection, task: null, isFenced: true, send, isDropped: false });
    this.#next(session);
  }

  /** The response of the task is ready, in a session that has a fence. True: it is sent later, by `send`. */
  holds(task: Task, send: () => void): boolean {
    const session = task.session!;
    const fence = session.fence!;
    const isMarked = fence.marked.delete(task);
    const isFenced = (task.mapping !== null && fence.marked.delete(task.mapping)) || isMarked;
    if (fence.raisedBy === null && !isFenced) {
      this.#forgetIfIdle(session);
      return false;
    }
    task.isHeldBack = true;
    fence.held.push({ connection: task.connection!, task, isFenced, send, isDropped: false });
    this.#next(session);
    return true;
  }

  /** The task ends without a response. */
  drop(task: Task): void {
    const session = task.session!;
    const { fence } = session;
    task.isHeldBack = false;
    if (fence === null) return;
    fence.marked.delete(task);
    fence.held = fence.held.filter((response) => response.task !== task);
    if (fence.raisedBy?.task === task) fence.raisedBy.isDropped = true;
    this.#forgetIfIdle(session);
  }

  /** The connection of the task is gone. What was to be fenced of its response is to be so when another connection takes it over. */
  withdraw(task: Task): void {
    const session = task.session!;
    const { held, raisedBy } = session.fence!;
    const isFenced = [raisedBy, ...held].some((response) => response?.task === task && response.isFenced);
    this.drop(task);
    if (isFenced) this.#fenceOf(session).marked.add(task);
  }

  #fenceOf(session: Session): Fence {
    session.fence ??= new Fence();
    return session.fence;
  }

  #forgetIfIdle(session: Session): void {
    const { fence } = session;
    if (fence === null || fence.raisedBy !== null) return;
    if (fence.marked.size === 0 && fence.held.length === 0) session.fence = null;
  }

  /** Sends what is held, up to the next response that is fenced, which begins its wait. */
  #next(session: Session): void {
    const fence = session.fence!;
    while (fence.raisedBy === null && fence.held.length > 0) {
      const response = fence.held.shift()!;
      if (response.isFenced) this.#raise(session, fence, response);
      else this.#send(response);
    }
    this.#forgetIfIdle(session);
  }

  #raise(session: Session, fence: Fence, response: Response): void {
    // A task may have been reassigned while it waited.
    const connection = response.task?.connection ?? response.connection;
    fence.raisedBy = response;
    const lowered = new Barrier(() => {
      fence.raisedBy = null;
      this.#next(session);
    });
    const others = new Barrier(() => {
      this.#send(response);
      // Alone on its connection it needs no more than the order there.
      if (session.connections.length > 1) this.#waitFor(connection, lowered);
      lowered.leave();
    });
    for (const other of session.connections) if (other !== connection) this.#waitFor(other, others);
    others.leave();
  }

  #send({ task, send, isDropped }: Response): void {
    if (isDropped) return;
    if (task !== null) task.isHeldBack = false;
    send();
  }

  /** `barrier` waits until the connection has acknowledged all that is queued on it so far. */
  #waitFor(connection: Connection, barrier: Barrier): void {
    const { state, expStatSN, statSN, queueHead } = connection;
    if (state !== CONNECTION_OPEN || (queueHead === null && expStatSN === statSN)) return;
    barrier.join();
    const wait: Wait = { connection, sinceUs: this.#shard.ring.nowUs, barrier, statSN: -1 };
    this.#waits.push(wait);
    this.#shard.requests.ping(connection, (behind) => {
      wait.statSN = behind;
      this.acknowledged(connection);
    });
  }

  /** ExpStatSN of the connection has moved on. */
  acknowledged(connection: Connection): void {
    if (this.#waits.length === 0) return;
    const { expStatSN } = connection;
    this.#end(
      (wait) => wait.connection === connection && wait.statSN >= 0 && serialGreaterOrEqual(expStatSN, wait.statSN),
    );
  }

  /** The connection is gone: nothing more will be acknowledged on it. */
  gone(connection: Connection): void {
    if (this.#waits.length > 0) this.#end((wait) => wait.connection === connection);
  }

  /**
   * A connection that has acknowledged nothing for so long has failed. Until then it is asked each time, as the NOP-In may have been
   * lost.
   */
  sweep(nowUs: number): void {
    for (const { connection, sinceUs, statSN } of [...this.#waits]) {
      if (nowUs - sinceUs >= FENCE_PATIENCE_US) {
        const seconds = FENCE_PATIENCE_US / 1e6;
        this.#shard.lifecycle.fail(connection, `no acknowledgment for ${seconds} s, and a response waits for it`);
      } else if (nowUs - sinceUs >= SWEEP_INTERVAL_US && statSN >= 0 && connection.queueHead === null) {
        this.#shard.requests.ping(connection);
      }
    }
  }

  #end(isOver: (wait: Wait) => boolean): void {
    const over = this.#waits.filter(isOver);
    this.#waits = this.#waits.filter((wait) => !isOver(wait));
    for (const { barrier } of over) barrier.leave();
  }
}
