/** Login Requests and Responses as the state machine sees them, without their bytes. */
import type { Authentication } from "./context.js";
import type { ConnectionParameters, SessionParameters, SessionType } from "./parameters.js";
import type { LoginFailureStatus, LoginStatus } from "./status.js";

/** A Login Request, taken off the wire (section 11.12). Integers as they came: the machine judges them. */
export interface LoginRequest {
  readonly transit: boolean;
  readonly continued: boolean;
  readonly csg: number;
  readonly nsg: number;
  readonly versionMax: number;
  readonly versionMin: number;
  /** Six bytes in lower-case hexadecimal. */
  readonly isid: string;
  readonly tsih: number;
  readonly cid: number;
  readonly initiatorTaskTag: number;
  readonly cmdSN: number;
  readonly expStatSN: number;
  /** The data segment without padding. The machine copies what it keeps: the buffer may be reused after `step`. */
  readonly text: Uint8Array;
}

/** A Login Response to be put on the wire (section 11.13). */
export interface LoginResponse {
  readonly transit: boolean;
  readonly continued: boolean;
  readonly csg: number;
  readonly nsg: number;
  readonly versionMax: number;
  readonly versionActive: number;
  readonly isid: string;
  readonly tsih: number;
  readonly initiatorTaskTag: number;
  readonly statSN: number;
  readonly expCmdSN: number;
  readonly maxCmdSN: number;
  readonly status: LoginStatus;
  /** The data segment without padding. */
  readonly text: Uint8Array;
}

export type LoginEvent =
  | { readonly type: "request"; readonly request: LoginRequest }
  /** A PDU that is no Login Request. */
  | { readonly type: "otherPdu"; readonly opcode: number }
  /** Bytes that are no sound PDU (a length out of bounds, an AHS, reserved bits); the stream cannot be read on. */
  | { readonly type: "malformedPdu"; readonly reason: string }
  /** Too long since the connection came up. */
  | { readonly type: "timeout" }
  /** The transport is gone. */
  | { readonly type: "disconnect" }
  /** Control itself ends the login (shutdown, no resources). */
  | { readonly type: "refuse"; readonly status: LoginFailureStatus; readonly reason: string };

/** To be done in the order given. T-numbers are those of the target's connection state diagram (section 8.1.4). */
export type LoginAction =
  | { readonly type: "respond"; readonly response: LoginResponse }
  /** Close the transport, after what was to be sent is sent. `reason` is for the log. */
  | { readonly type: "close"; readonly transition: "T6" | "T7"; readonly reason: string }
  /** The login is done but for `result.response`, which is NOT to be sent here: it goes with the hand-off. */
  | { readonly type: "complete"; readonly transition: "T5"; readonly result: LoginResult };

export interface LoginResult {
  readonly sessionType: SessionType;
  /** Normalized names. */
  readonly initiatorName: string;
  /** undefined: Unnamed Discovery session. */
  readonly targetName: string | undefined;
  readonly isid: string;
  /** The TSIH asked for: 0 wants a new one (or session reinstatement), which the registry assigns. */
  readonly tsih: number;
  readonly cid: number;
  readonly authentication: Authentication;
  /** For a connection that joins a session: that session's, unchanged. */
  readonly session: SessionParameters;
  readonly connection: ConnectionParameters;
  /** Leading login: the CmdSN that the first command will carry (section 11.12.8). */
  readonly expCmdSN: number;
  /** Of the first request: what the initiator has received of the connection that this one restarts, if it does (section 11.12.9). */
  readonly expStatSN: number;
  /** StatSN of `response`. */
  readonly statSN: number;
  /** The StatSN after `response`. */
  readonly nextStatSN: number;
  /** The Login Final-Response. Its `tsih` is 0 for a new session: whoever sends it fills in the one assigned. */
  readonly response: LoginResponse;
}
