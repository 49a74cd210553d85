/** The real clock, and sockets to the program, for a recovering initiator. What is thrown in a callback goes to `failed`. */
import type { Socket } from "node:net";
import { SessionNumbers } from "../raw-connection.js";
import { RawInitiator } from "../raw-initiator.js";
import { TARGET_NAME } from "../target.js";
import type { Clock, Link, LoggedIn, LoginRequest, Portal } from "./wire.js";

/** Bytes that may wait in a socket. */
const ROOM = 1 << 20;

export class RealClock implements Clock {
  readonly #failed: (error: unknown) => void;

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  /** The machine may be busy. */
  readonly answerUs = null;

  get nowUs(): number {
    return performance.now() * 1000;
  }

  after(delayUs: number, run: () => void): void {
    setTimeout(() => this.guard(run), delayUs / 1000);
  }

  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#failed(error);
    }
  }
}

class RealLink implements Link {
  onReadable: () => void = () => {};
  onWritable: () => void = () => {};
  ended = false;
  readonly #socket: Socket;
  #input: Buffer;

  constructor(socket: Socket, rest: Buffer, clock: RealClock) {
    this.#socket = socket;
    this.#input = rest;
    socket.on("data", (chunk: Buffer) => {
      this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
      clock.guard(() => this.onReadable());
    });
    socket.on("drain", () => clock.guard(() => this.onWritable()));
    socket.on("error", () => {});
    const end = () => {
      this.ended = true;
      clock.guard(() => this.onReadable());
    };
    socket.on("end", end);
    socket.on("close", end);
  }

  get available(): number {
    return this.#input.length;
  }

  get room(): number {
    return this.#socket.destroyed ? 0 : Math.max(0, ROOM - this.#socket.writableLength);
  }

  read(target: Uint8Array): number {
    const count = Math.min(target.length, this.#input.length);
    target.set(this.#input.subarray(0, count));
    this.#input = this.#input.subarray(count);
    return count;
  }

  write(bytes: Uint8Array): number {
    this.#socket.write(Buffer.from(bytes));
    return bytes.length;
  }

  close(): void {
    this.#leave();
    this.#socket.end();
    this.#socket.resume();
  }

  reset(): void {
    this.#leave();
    this.#socket.resetAndDestroy();
  }

  #leave(): void {
    this.onReadable = () => {};
    this.onWritable = () => {};
  }
}

/** Logins of one initiator: whichever session it has, its ISID is the same. */
export class RealPortal implements Portal {
  readonly #port: number;
  readonly #clock: RealClock;
  readonly #numbers = new SessionNumbers();

  constructor(port: number, clock: RealClock) {
    this.#port = port;
    this.#clock = clock;
  }

  logIn(request: LoginRequest, done: (result: LoggedIn | null) => void): void {
    this.#logIn(request).then(
      (result) => this.#clock.guard(() => done(result)),
      () => this.#clock.guard(() => done(null)),
    );
  }

  async #logIn({ initiatorName, session, cid, cmdSN, expStatSN, parameters }: LoginRequest): Promise<LoggedIn> {
    const numbers = new SessionNumbers({ cmdSN, isid: this.#numbers.isid });
    numbers.tsih = session ?? 0;
    const initiator = await RawInitiator.connect(this.#port, { session: numbers });
    if (expStatSN !== null) initiator.expStatSN = expStatSN;
    const { connection } = parameters;
    const connectionKeys = {
      HeaderDigest: connection.headerDigest,
      DataDigest: connection.dataDigest,
      MaxRecvDataSegmentLength: String(connection.maxSendDataSegmentLength),
    };
    const keys = session === null ? { ...sessionKeys(parameters.session), ...connectionKeys } : connectionKeys;
    try {
      await initiator.login({ targetName: TARGET_NAME, initiatorName, cid, keys });
    } catch (error) {
      initiator.destroy();
      throw error;
    }
    const { socket, rest } = initiator.release();
    return {
      link: new RealLink(socket, rest, this.#clock),
      session: numbers.tsih,
      statSN: initiator.expStatSN!,
      expCmdSN: initiator.expCmdSN,
      maxCmdSN: initiator.maxCmdSN,
    };
  }
}

function sessionKeys(session: LoginRequest["parameters"]["session"]): Record<string, string> {
  const yesNo = (value: boolean) => (value ? "Yes" : "No");
  return {
    MaxConnections: String(session.maxConnections),
    InitialR2T: yesNo(session.initialR2T),
    ImmediateData: yesNo(session.immediateData),
    MaxBurstLength: String(session.maxBurstLength),
    FirstBurstLength: String(session.firstBurstLength),
    MaxOutstandingR2T: String(session.maxOutstandingR2T),
    DefaultTime2Wait: String(session.defaultTime2Wait),
    DefaultTime2Retain: String(session.defaultTime2Retain),
    ErrorRecoveryLevel: String(session.errorRecoveryLevel),
  };
}
