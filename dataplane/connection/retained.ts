/**
 * What carried status on a connection and is not acknowledged yet, in the order of StatSN: kept for retransmission where the
 * session recovers from errors (ErrorRecoveryLevel 1 and 2). A task in here keeps its read data, too.
 *
 *     acknowledged | head  ...  tail | StatSN of the next status
 *                  ExpStatSN
 */
import { assert } from "../assert.js";
import type { Session } from "../session/session.js";
import { serialGreaterOrEqual } from "../wire/serial.js";
import type { Outgoing } from "./outgoing.js";

export class Retained {
  #head: Outgoing | null = null;
  #tail: Outgoing | null = null;
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  get first(): Outgoing | null {
    return this.#head;
  }

  add(node: Outgoing): void {
    assert(!node.retained, "a status is kept once");
    node.retained = true;
    node.nextRetained = null;
    if (this.#tail === null) this.#head = node;
    else this.#tail.nextRetained = node;
    this.#tail = node;
    this.#session.retainedCount++;
  }

  /** Takes out the first one that is acknowledged, if any. */
  takeAcknowledged(expStatSN: number): Outgoing | null {
    const node = this.#head;
    if (node === null || serialGreaterOrEqual(node.statSN, expStatSN)) return null;
    this.remove(node);
    return node;
  }

  remove(node: Outgoing): void {
    let previous: Outgoing | null = null;
    for (let at = this.#head; at !== node; at = at!.nextRetained) previous = at;
    if (previous === null) this.#head = node.nextRetained;
    else previous.nextRetained = node.nextRetained;
    if (this.#tail === node) this.#tail = previous;
    node.retained = false;
    node.nextRetained = null;
    this.#session.retainedCount--;
  }
}
