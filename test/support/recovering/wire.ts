/** What a recovering initiator stands on: a simulated kernel and clock, or real sockets and the real clock. */
import type { Parameters } from "../simulation/initiator/parameters.js";

export interface Clock {
  readonly nowUs: number;
  /** What the target is asked for comes in so long, if it comes; null: nobody knows. */
  readonly answerUs: number | null;
  after(delayUs: number, run: () => void): void;
}

/** One end of a connection. */
export interface Link {
  /** Bytes that can be read. */
  readonly available: number;
  /** Nothing more can come. */
  readonly ended: boolean;
  /** Bytes that can be written. */
  readonly room: number;
  onReadable: () => void;
  onWritable: () => void;
  read(target: Uint8Array): number;
  write(bytes: Uint8Array): number;
  close(): void;
  reset(): void;
}

export interface LoginRequest {
  readonly initiatorName: string;
  /** Which session is joined; null: a new one takes the place of any that there is. */
  readonly session: number | null;
  readonly cid: number;
  readonly cmdSN: number;
  /** Of the connection whose CID this is (section 11.12.9); null: there was none. */
  readonly expStatSN: number | null;
  readonly parameters: Parameters;
}

/** A connection in full feature phase. */
export interface LoggedIn {
  readonly link: Link;
  readonly session: number;
  /** StatSN that comes next. */
  readonly statSN: number;
  readonly expCmdSN: number;
  readonly maxCmdSN: number;
}

/** Where initiators log in. Null: the login was refused, or its connection was lost. */
export interface Portal {
  logIn(request: LoginRequest, done: (result: LoggedIn | null) => void): void;
}
