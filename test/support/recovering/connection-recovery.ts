/** What an initiator does about one connection that is lost (RFC 7143 sections 7.1.4.3, 7.2 and 11.14). */
import type { Random } from "../simulation/random.js";
import type { RecoveringConnection } from "./recovering-connection.js";
import { LOGOUT_CLOSE_CONNECTION, LOGOUT_FOR_RECOVERY, type RecoveringSession } from "./recovering-session.js";

const LOGOUT_CLOSED = 0;
const SECOND_US = 1_000_000;
const DELAY_US_MAX = 300_000;
/** Now and then it takes longer than the target waits. */
const TOO_LATE = 0.04;
/** A Logout Response that does not come is asked for by another way. */
const LOGOUT_US_MAX = 3_000_000;

export class ConnectionRecovery {
  readonly #session: RecoveringSession;
  readonly #random: Random;
  readonly #lost: RecoveringConnection;
  readonly #done: () => void;
  readonly #epoch: number;
  #isOver = false;
  /** On which it has gone on. */
  #over: RecoveringConnection | null = null;

  constructor(session: RecoveringSession, random: Random, lost: RecoveringConnection, done: () => void) {
    this.#session = session;
    this.#random = random;
    this.#lost = lost;
    this.#done = done;
    this.#epoch = session.epoch;
  }

  begin(): void {
    const { defaultTime2Wait, defaultTime2Retain } = this.#session.options.session;
    const { nowUs } = this.#session.clock;
    const retainedUs = (defaultTime2Wait + defaultTime2Retain) * SECOND_US;
    for (const task of this.#session.tasks.values()) {
      if (task.connection === this.#lost) task.expiresUs = Math.min(task.expiresUs, nowUs + retainedUs);
    }
    if (this.#session.keepsTasks) this.#whenRetained(retainedUs - SECOND_US);
    else this.#session.mayAttend(this.#lost);
    const isLate = this.#session.keepsTasks && this.#random.chance(TOO_LATE);
    if (isLate) this.#session.tallies.recoveries.count("connection recovery that is late");
    const waitUs = isLate ? retainedUs + 2 * SECOND_US : defaultTime2Wait * SECOND_US;
    this.#after(waitUs + this.#random.spread(1, DELAY_US_MAX), () => this.#recover());
  }

  #recover(): void {
    const others = this.#session.connections;
    if (others.length > 0 && this.#random.chance(0.3)) return this.#logOut(this.#random.pick(others));
    const isSameCid = others.length === 0 || this.#random.chance(0.5);
    const cid = isSameCid ? this.#lost.cid : this.#session.newCid() & 0xffff;
    this.#session.join(cid, isSameCid ? this.#lost : null, (connection) => {
      if (this.#isOver) return;
      if (connection === null) return this.#session.recoverSession();
      if (!isSameCid) return this.#logOut(connection);
      this.#count("by its CID");
      this.#goOn(connection);
    });
  }

  /** Explicitly, over another connection. */
  #logOut(over: RecoveringConnection): void {
    const reason = this.#session.keepsTasks ? LOGOUT_FOR_RECOVERY : LOGOUT_CLOSE_CONNECTION;
    let isAnswered = false;
    this.#session.logout(over, reason, this.#lost, (response) => {
      if (isAnswered || this.#isOver || this.#epoch !== this.#session.epoch) return;
      isAnswered = true;
      this.#count(response === LOGOUT_CLOSED ? "by Logout" : "that the target knows nothing of");
      this.#goOn(over);
    });
    this.#after(LOGOUT_US_MAX, () => {
      if (isAnswered) return;
      isAnswered = true;
      this.#recover();
    });
  }

  /** The target is done with the connection: its tasks go on, or are over. */
  #goOn(connection: RecoveringConnection): void {
    if (!connection.isOpen) {
      this.#after(this.#random.spread(1, DELAY_US_MAX), () => this.#recover());
      return;
    }
    this.#isOver = true;
    this.#over = connection;
    const tasks = this.#session.resend(this.#lost, connection);
    for (const task of tasks) {
      if (this.#session.keepsTasks && !task.isImmediate) this.#session.reassign(task, connection);
      else this.#session.abandon(task);
    }
    this.#done();
  }

  /** The target gives up what nobody has reassigned; what was asked for over a connection that broke, too, may not have come. */
  #whenRetained(us: number): void {
    this.#session.clock.after(us, () => {
      if (this.#epoch !== this.#session.epoch || (this.#isOver && this.#over?.isOpen !== false)) return;
      this.#session.mayAttend(this.#lost);
    });
  }

  #count(how: string): void {
    this.#session.tallies.recoveries.count(`connection recovery ${how}`);
  }

  #after(us: number, run: () => void): void {
    this.#session.clock.after(us, () => {
      if (!this.#isOver && this.#epoch === this.#session.epoch) run();
    });
  }
}
