/** What can end a run. */

/** The target broke the protocol, or refused. */
export class InitiatorError extends Error {
  override name = "InitiatorError";
}

/** The connection is gone: closed, reset, refused, or silent for too long. */
export class ConnectionLostError extends InitiatorError {
  override name = "ConnectionLostError";
}

/** The target refused the login; `status` is Status-Class and Status-Detail (RFC 7143 section 11.13.5). */
export class LoginError extends InitiatorError {
  override name = "LoginError";
  readonly status: number;
  /** Of a redirection. */
  readonly targetAddress: string | undefined;

  constructor(message: string, status: number, targetAddress: string | undefined) {
    super(message);
    this.status = status;
    this.targetAddress = targetAddress;
  }
}

/** Data read is not the data that was written. */
export class VerifyError extends InitiatorError {
  override name = "VerifyError";
}
