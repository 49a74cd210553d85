/** What the connections of one session share: sequence numbers, tasks, negotiated parameters. */
import { serialGreater, serialLessOrEqual } from "../../dataplane/wire/serial.js";
import type { Connection } from "./connection.js";
import type { Task } from "./task.js";

export class Session {
  readonly index: number;
  /** 48 bits. */
  readonly isid: number;
  tsih = 0;
  /** CmdSN of the next command that is not immediate. */
  cmdSN = 1;
  maxCmdSN = 1;
  /** Logout is on its way: the target may close connections. */
  closing = false;
  readonly connections: Connection[] = [];
  /** By the index in their tags. */
  readonly tasks: Task[] = [];

  // -- negotiated on the leading connection (RFC 7143 chapter 13: their defaults)
  initialR2T = true;
  immediateData = true;
  firstBurstLength = 65536;
  maxBurstLength = 262144;

  constructor(index: number, isid: number) {
    this.index = index;
    this.isid = isid;
  }

  /** Does the command window admit another command? (section 4.2.2.1) */
  get windowOpen(): boolean {
    return serialLessOrEqual(this.cmdSN, this.maxCmdSN);
  }

  takeCmdSN(): number {
    const cmdSN = this.cmdSN;
    this.cmdSN = (cmdSN + 1) >>> 0;
    return cmdSN;
  }

  /** A smaller MaxCmdSN than one seen before arrived late on another connection: it is ignored. */
  acceptMaxCmdSN(maxCmdSN: number): void {
    if (serialGreater(maxCmdSN, this.maxCmdSN)) this.maxCmdSN = maxCmdSN;
  }
}
