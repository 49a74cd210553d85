/** Why an exchange with a target did not come off. */

export type InitiatorFailure =
  /** Nobody is there, or the connection is gone. */
  | "unreachable"
  /** It has not answered in time. */
  | "silent"
  /** It has answered: no. */
  | "refused"
  /** What it says is not iSCSI. */
  | "protocol";

export class InitiatorError extends Error {
  override readonly name = "InitiatorError";
  readonly failure: InitiatorFailure;
  /** Of a login that was refused: a LOGIN_STATUS_. */
  readonly status: number | null;

  /** @param message what has happened, and what to do. */
  constructor(failure: InitiatorFailure, message: string, status: number | null = null) {
    super(message);
    this.failure = failure;
    this.status = status;
  }
}
