/** The statuses with which a login can end. */
import type * as wire from "../../dataplane/wire/login-response.js";
import { LOGIN_STATUS_INITIATOR_ERROR } from "../../dataplane/wire/login-response.js";
import type { KeyValue } from "../../dataplane/wire/text-keys.js";

type StatusName = Exclude<Extract<keyof typeof wire, `LOGIN_STATUS_${string}`>, `LOGIN_STATUS_CLASS_${string}`>;
type RedirectName = "LOGIN_STATUS_TARGET_MOVED_TEMPORARILY" | "LOGIN_STATUS_TARGET_MOVED_PERMANENTLY";

/** A status of RFC 7143 section 11.13.5: one of the LOGIN_STATUS_ constants of dataplane/wire/login-response.ts. */
export type LoginStatus = (typeof wire)[StatusName];

/** A status that ends the login. Redirection is left out: it needs an address and has a decision of its own. */
export type LoginFailureStatus = (typeof wire)[Exclude<StatusName, "LOGIN_STATUS_SUCCESS" | RedirectName>];

/** What went wrong: `status` is for the wire, `reason` for the log. A reason never holds a secret. */
export interface LoginFailure {
  readonly kind: "failure";
  readonly status: LoginFailureStatus;
  readonly reason: string;
  /** Keys that go with the Login reject. */
  readonly answers?: readonly KeyValue[];
}

export function failure(status: LoginFailureStatus, reason: string): LoginFailure {
  return { kind: "failure", status, reason };
}

/** The commonest failure: the initiator broke a rule of the protocol. */
export function protocolError(reason: string): LoginFailure {
  return failure(LOGIN_STATUS_INITIATOR_ERROR, reason);
}
