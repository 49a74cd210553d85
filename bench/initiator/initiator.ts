/**
 * An iSCSI initiator for load and for tests: sessions x connections x depth over one ring, in one thread. A turn of its loop:
 * every connection that has something to say sends it with one send; one `enter`; every completion is acted on. It blocks its thread.
 *
 *     const initiator = Initiator.connect({ url: parseTargetUrl(text), depth: 32 });
 *     const { blocks, blockLength } = initiator.readCapacity();
 *     initiator.run(workload);
 *     initiator.close();
 */
import { closeSync, connectSync, Ring, setNoDelay } from "io-uring-node";
import { Secret } from "../../control/config/secret.js";
import type { Keys } from "../../control/initiator/login-conversation.js";
import { Arena } from "../../dataplane/arena.js";
import { ISID_FORMAT_RANDOM, isidOf } from "../../dataplane/wire/isid.js";
import { SCSI_STATUS_CHECK_CONDITION, SCSI_STATUS_GOOD } from "../../dataplane/wire/scsi-response.js";
import { Connection, type ConnectionContext, KIND_RECEIVE } from "./connection.js";
import { ConnectionLostError, InitiatorError } from "./errors.js";
import { LOGIN_ARENA_BYTES, LoginPhase } from "./login.js";
import { Pdus } from "./pdus.js";
import { Session } from "./session.js";
import { OPERATION_CDB, TASKS_PER_SESSION_MAX, type Task, type Workload } from "./task.js";
import { Transmitter } from "./transmitter.js";
import type { TargetUrl } from "./url.js";

const RECEIVE_BYTES_DEFAULT = 512 * 1024;
/** With many connections. */
const RECEIVE_BYTES_SMALL = 64 * 1024;
const CONNECTIONS_MANY = 64;
/** No answer for so long with commands in flight: the target is gone. */
const SILENCE_US = 30_000_000;
/**
 * A send of this turn is expected to complete at once while it is short, and one `enter` then waits for it and for an
 * answer. The limit in time is for a send that does not.
 */
const SHORT_SENDS_BYTES = 32 * 1024;
const SHORT_SENDS_WAIT_MS = 10;
const WAIT_MS = 1000;
const PAGE_BYTES = 4096;
const LOGOUT_US = 2_000_000;
const UNIT_ATTENTIONS_MAX = 8;
const SENSE_UNIT_ATTENTION = 6;
const CDB_SERVICE_ACTION_IN_16 = 0x9e;
const SERVICE_ACTION_READ_CAPACITY_16 = 0x10;
const READ_CAPACITY_16_BYTES = 32;

const NOTHING: Workload = {
  finished: true,
  next: () => false,
  done: () => {},
};

export interface InitiatorOptions {
  readonly url: TargetUrl;
  readonly sessions?: number;
  /** Of each session. */
  readonly connections?: number;
  /** Commands in flight on each connection. */
  readonly depth?: number;
  readonly initiatorName?: string;
  /** Each session is an initiator of its own, NAME-i, and works on a LUN of its own, i after the URL's. */
  readonly apart?: boolean;
  /** Operational keys to offer, over those of KEYS_DEFAULT. */
  readonly keys?: Keys;
  /** Bytes of data buffer for each task, for workloads that look at data; default: none. */
  readonly taskBytes?: number;
  /** Bytes of arena for the workload's own use (`arena.take`). */
  readonly workloadBytes?: number;
  readonly receiveBytes?: number;
}

export const KEYS_DEFAULT: Keys = {
  HeaderDigest: "None",
  DataDigest: "None",
  InitialR2T: "No",
  ImmediateData: "Yes",
  MaxRecvDataSegmentLength: "262144",
  MaxBurstLength: "262144",
  FirstBurstLength: "262144",
  MaxOutstandingR2T: "4",
  ErrorRecoveryLevel: "0",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "0",
};

export interface Capacity {
  readonly blocks: number;
  readonly blockLength: number;
}

export class Initiator implements ConnectionContext {
  readonly ring: Ring;
  readonly arena: Arena;
  readonly pdus: Pdus;
  readonly sessions: Session[] = [];
  readonly connections: Connection[] = [];
  /** Of the leading connection of the first session, for reports. */
  negotiated: ReadonlyMap<string, string> = new Map();
  workload: Workload = NOTHING;
  /** Commands in flight on all connections. */
  outstanding = 0;
  /** Of the arena, for login and for single commands. */
  readonly #scratch: number;
  readonly #lun: number;
  readonly #apart: boolean;
  readonly #marked: Connection[];
  #markedCount = 0;

  private constructor(options: Required<Omit<InitiatorOptions, "url" | "keys">> & { readonly lun: number }) {
    const { sessions, connections, depth, taskBytes, workloadBytes, receiveBytes } = options;
    if (connections * depth > TASKS_PER_SESSION_MAX)
      throw new RangeError(`${connections * depth} commands in one session`);
    const count = sessions * connections;
    const perConnection = Transmitter.arenaBytes + receiveBytes + depth * (taskBytes + PAGE_BYTES) + 2 * PAGE_BYTES;
    this.#lun = options.lun;
    this.#apart = options.apart;
    this.arena = new Arena(LOGIN_ARENA_BYTES + PAGE_BYTES + workloadBytes + PAGE_BYTES + count * perConnection);
    this.#scratch = this.arena.take(LOGIN_ARENA_BYTES, 8);
    this.pdus = new Pdus(this.arena.view);
    // A receive and a send of every connection.
    this.ring = Ring.open({ entries: Math.min(2 * count, 4096), cqEntries: 4 * count });
    for (let session = 0; session < sessions; session++) {
      // The qualifier tells the sessions apart; 24 random bits tell this process from others.
      const random = Math.floor(Math.random() * 2 ** 24);
      this.sessions.push(new Session(session, isidOf(ISID_FORMAT_RANDOM, 0, random >>> 8, random & 0xff, session)));
      for (let connection = 0; connection < connections; connection++) {
        this.connections.push(
          new Connection(this.connections.length, this.sessions[session]!, this, { depth, taskBytes, receiveBytes }),
        );
      }
    }
    this.#marked = new Array<Connection>(count);
  }

  /** Connects and logs in, one connection after the other. @throws LoginError, ConnectionLostError, SystemError */
  static connect(options: InitiatorOptions): Initiator {
    const { url, sessions = 1, connections = 1 } = options;
    const many = sessions * connections > CONNECTIONS_MANY;
    const initiatorName = options.initiatorName ?? "iqn.2026-11.io.ringlun:load";
    const initiator = new Initiator({
      sessions,
      connections,
      depth: options.depth ?? 1,
      initiatorName,
      taskBytes: options.taskBytes ?? 0,
      workloadBytes: options.workloadBytes ?? 0,
      receiveBytes: options.receiveBytes ?? (many ? RECEIVE_BYTES_SMALL : RECEIVE_BYTES_DEFAULT),
      lun: url.lun,
      apart: options.apart ?? false,
    });
    try {
      initiator.#login(url, initiatorName, { ...KEYS_DEFAULT, MaxConnections: String(connections), ...options.keys });
    } catch (error) {
      initiator.close();
      throw error;
    }
    return initiator;
  }

  #login(url: TargetUrl, initiatorName: string, keys: Keys): void {
    const fds: number[] = [];
    try {
      for (const connection of this.connections) {
        const { session } = connection;
        const fd = connectSync(url.host, url.port);
        fds.push(fd);
        setNoDelay(fd, true);
        const { answers, ...numbers } = new LoginPhase(this.ring, this.arena, this.#scratch, fd, {
          isid: session.isid,
          tsih: session.tsih,
          cid: connection.cid,
          cmdSN: session.cmdSN,
          initiatorName: this.#apart ? `${initiatorName}-${session.index}` : initiatorName,
          targetName: url.targetName,
          keys,
          ...(url.user === undefined
            ? {}
            : { chap: { user: url.user, secret: new Secret(Buffer.from(url.secret ?? "")) } }),
        }).run();
        if (connection.cid === 0) {
          negotiate(session, answers);
          const granted = Number(answers.get("MaxConnections") ?? 1);
          if (granted < session.connections.length) {
            throw new InitiatorError(`the target grants a session ${granted} connections (MaxConnections)`);
          }
        }
        if (this.negotiated.size === 0) this.negotiated = answers;
        session.tsih = numbers.tsih;
        session.maxCmdSN = numbers.maxCmdSN;
        connection.expStatSN = numbers.expStatSN;
        connection.maxSendDataSegmentLength = Number(answers.get("MaxRecvDataSegmentLength") ?? 8192);
        connection.fd = fd;
      }
    } catch (error) {
      for (const connection of this.connections) connection.fd = -1;
      for (const fd of fds) closeSync(fd);
      throw error;
    }
    // Only now: during the logins nothing else may be in flight on the ring.
    const crc = (key: string): boolean => this.negotiated.get(key) === "CRC32C";
    for (const connection of this.connections) connection.start(crc("HeaderDigest"), crc("DataDigest"));
  }

  lunOf({ index }: Session): number {
    return this.#apart ? this.#lun + index : this.#lun;
  }

  wake(connection: Connection): void {
    if (connection.marked) return;
    connection.marked = true;
    this.#marked[this.#markedCount++] = connection;
  }

  /** Runs the workload until it is finished and all its commands have ended. @throws InitiatorError and its subclasses */
  run(workload: Workload): void {
    this.workload = workload;
    for (const connection of this.connections) this.wake(connection);
    let answeredUs = this.ring.nowUs;
    while (!workload.finished || this.outstanding > 0) {
      if (this.#turn() > 0) answeredUs = this.ring.nowUs;
      else if (this.outstanding > 0 && this.ring.nowUs - answeredUs > SILENCE_US) {
        throw new ConnectionLostError(`${this.outstanding} commands unanswered for ${SILENCE_US / 1e6} s`);
      }
    }
    this.workload = NOTHING;
  }

  /** Sends what there is to send, waits, acts on what has completed. Returns the count of completions. */
  #turn(): number {
    const { ring, connections } = this;
    const marked = this.#marked;
    let sends = 0;
    let bytes = 0;
    let kept = 0;
    for (let at = 0; at < this.#markedCount; at++) {
      const connection = marked[at]!;
      const queued = connection.flush();
      if (queued > 0) {
        sends++;
        bytes += queued;
      }
      if (connection.refused && !this.workload.finished) marked[kept++] = connection;
      else connection.marked = false;
    }
    this.#markedCount = kept;
    const awaitsSends = sends > 0 && bytes <= SHORT_SENDS_BYTES;
    ring.enter(awaitsSends ? sends + 1 : 1, awaitsSends ? SHORT_SENDS_WAIT_MS : WAIT_MS);
    let completions = 0;
    while (ring.next()) {
      completions++;
      const connection = connections[ring.index]!;
      if (ring.kind === KIND_RECEIVE) connection.received(ring.result);
      else connection.sent(ring.result);
    }
    return completions;
  }

  /**
   * One command on the leading connection of a session; `length` bytes come in. Unit attentions are taken note of and the command is
   * repeated. @throws InitiatorError if it does not end with GOOD
   */
  execute(session: Session, cdb: Uint8Array, length: number): Uint8Array {
    for (let attempt = 1; ; attempt++) {
      const command = new SingleCommand(session.connections[0]!, cdb, length, this.#scratch);
      this.run(command);
      if (command.status === SCSI_STATUS_GOOD) {
        return this.arena.bytes.slice(this.#scratch, this.#scratch + command.received);
      }
      const attention = command.status === SCSI_STATUS_CHECK_CONDITION && command.sense >>> 16 === SENSE_UNIT_ATTENTION;
      if (!attention || attempt === UNIT_ATTENTIONS_MAX) {
        const sense = command.sense.toString(16).padStart(6, "0");
        throw new InitiatorError(
          `command ${cdb[0]!.toString(16)}h: status ${command.status.toString(16)}h, sense ${sense}h`,
        );
      }
    }
  }

  /** Also clears the unit attentions of all sessions, so that a workload meets none. */
  readCapacity(): Capacity {
    const testUnitReady = new Uint8Array(16);
    for (const session of this.sessions) this.execute(session, testUnitReady, 0);
    const cdb = new Uint8Array(16);
    cdb[0] = CDB_SERVICE_ACTION_IN_16;
    cdb[1] = SERVICE_ACTION_READ_CAPACITY_16;
    cdb[13] = READ_CAPACITY_16_BYTES;
    const data = this.execute(this.sessions[0]!, cdb, READ_CAPACITY_16_BYTES);
    const view = new DataView(data.buffer, data.byteOffset);
    return { blocks: view.getUint32(0) * 4294967296 + view.getUint32(4) + 1, blockLength: view.getUint32(8) };
  }

  /** Closes all sessions with a Logout Request each. Nothing may be in flight. Targets that do not answer are not waited for. */
  logout(): void {
    for (const session of this.sessions) {
      session.closing = true;
      session.connections[0]!.requestLogout();
    }
    const deadlineUs = this.ring.nowUs + LOGOUT_US;
    const leading = this.sessions.map((session) => session.connections[0]!);
    while (this.ring.nowUs < deadlineUs && leading.some((connection) => !connection.loggedOut)) this.#turn();
  }

  /** Cancels what is in flight and closes the sockets. Idempotent. */
  close(): void {
    this.ring.close();
    for (const connection of this.connections) connection.close();
  }
}

/** One command, then finished. */
class SingleCommand implements Workload {
  finished = false;
  status = 0;
  sense = 0;
  received = 0;
  readonly #connection: Connection;
  readonly #cdb: Uint8Array;
  readonly #length: number;
  readonly #data: number;

  constructor(connection: Connection, cdb: Uint8Array, length: number, data: number) {
    this.#connection = connection;
    this.#cdb = cdb;
    this.#length = length;
    this.#data = data;
  }

  next(task: Task): boolean {
    if (this.finished || task.connection !== this.#connection) return false;
    this.finished = true;
    task.operation = OPERATION_CDB;
    task.cdb.set(this.#cdb);
    task.length = this.#length;
    task.data = this.#data;
    return true;
  }

  done(task: Task): void {
    this.status = task.status;
    this.sense = task.sense;
    this.received = task.received;
  }
}

function negotiate(session: Session, answers: ReadonlyMap<string, string>): void {
  session.initialR2T = answers.get("InitialR2T") !== "No";
  session.immediateData = answers.get("ImmediateData") !== "No";
  session.firstBurstLength = Number(answers.get("FirstBurstLength") ?? session.firstBurstLength);
  session.maxBurstLength = Number(answers.get("MaxBurstLength") ?? session.maxBurstLength);
}
