/**
 * An initiator for conformance tests: a socket, one PDU at a time, promises. Clear, not fast (bench/initiator is the fast
 * one). It keeps sequence numbers, answers R2Ts, puts Data-In together, and checks what every target must keep to; everything can be
 * overridden, since many tests send what must not be sent.
 *
 *     const initiator = await RawInitiator.connect(target.port);
 *     await initiator.login({ targetName });
 *     const { data, status } = await initiator.command({ cdb: read10(0, 8), read: 4096 });
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chapResponse, decodeBinary } from "./chap.js";
import {
  buildHeader,
  decodeKeys,
  encodeKeys,
  FLAG_CONTINUE,
  FLAG_FINAL,
  FLAG_READ,
  FLAG_TRANSIT,
  FLAG_WRITE,
  type HeaderFields,
  lunBytes,
  OPCODE_DATA_IN,
  OPCODE_DATA_OUT,
  OPCODE_LOGIN_REQUEST,
  OPCODE_LOGIN_RESPONSE,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
} from "./pdu.js";
import { type ConnectOptions, openSocket, RawConnection, RECEIVE_TIMEOUT_MS } from "./raw-connection.js";
import { type CommandOptions, type CommandResult, RawTask } from "./raw-task.js";

/** A login that has not ended after so many exchanges never will. */
const LOGIN_EXCHANGES_MAX = 32;

export const STAGE_SECURITY = 0;
export const STAGE_OPERATIONAL = 1;
export const STAGE_FULL_FEATURE = 3;

/** The target refused the login: `status` is Status-Class and Status-Detail as one number (0x0201: authentication failure). */
export class LoginRefusedError extends Error {
  override name = "LoginRefusedError";
  readonly status: number;
  readonly response: ReceivedPdu;

  constructor(response: ReceivedPdu) {
    const status = (response.field("statusClass") << 8) | response.field("statusDetail");
    super(`login refused with status ${status.toString(16).padStart(4, "0")}h`);
    this.status = status;
    this.response = response;
  }
}

export interface ChapOptions {
  readonly user: string;
  readonly secret: string;
  /** CHAP_A: 5 MD5, 6 SHA-1, 7 SHA-256, 8 SHA3-256. */
  readonly algorithm?: number;
  /** The target has to prove itself, too. */
  readonly mutual?: { readonly user: string; readonly secret: string };
}

export interface LoginOptions {
  readonly targetName?: string;
  readonly initiatorName?: string;
  /** Absent: Discovery if there is no target name. */
  readonly sessionType?: "Normal" | "Discovery";
  /** Operational keys to offer. Those of the digests and of lengths take effect here as they are negotiated. */
  readonly keys?: Readonly<Record<string, string>>;
  readonly chap?: ChapOptions;
  /** Go through SecurityNegotiation with AuthMethod=None instead of beginning in LoginOperationalNegotiation. */
  readonly security?: boolean;
  readonly cid?: number;
}

export interface LoginRequestOptions {
  readonly stage: number;
  /** The stage to go to; absent: T=0. */
  readonly nextStage?: number;
  /** C bit. */
  readonly more?: boolean;
  readonly keys?: Readonly<Record<string, string>>;
  /** Instead of `keys`: the data segment as it is. */
  readonly data?: Uint8Array;
  readonly fields?: Partial<HeaderFields>;
}

export class RawInitiator extends RawConnection {
  /** Answers NOP-Ins that ask for it. */
  answerPings = true;
  /** The longest data segment that the target takes, as it declared. */
  maxSendDataSegmentLength = 8192;
  firstBurstLength = 65536;
  maxBurstLength = 262144;
  initialR2T = true;
  immediateData = true;
  cid = 0;
  /** All keys that the target sent during login, and what we offered where it said nothing. */
  negotiated = new Map<string, string>();
  /** PDUs of no command of ours that came while a command was awaited: Async Messages, Rejects, NOP-Ins. */
  readonly others: ReceivedPdu[] = [];
  readonly #tasks = new Map<number, RawTask>();

  static async connect(port: number, options: ConnectOptions = {}): Promise<RawInitiator> {
    return new RawInitiator(await openSocket(port, options.host ?? "127.0.0.1"), options);
  }

  // -- login

  /** One Login Request and its response, whatever that is. */
  async loginRequest(options: LoginRequestOptions): Promise<ReceivedPdu> {
    const transit = options.nextStage === undefined ? 0 : FLAG_TRANSIT | options.nextStage;
    const data = options.data ?? encodeKeys(options.keys ?? {});
    const header: HeaderFields = {
      opcode: OPCODE_LOGIN_REQUEST,
      immediate: true,
      flags: transit | (options.more ? FLAG_CONTINUE : 0) | (options.stage << 2),
      tsih: this.session.tsih,
      initiatorTaskTag: 0,
      cid: this.cid,
      ...options.fields,
    };
    const bhs = buildHeader(this.complete(header, data, Buffer.alloc(0)));
    this.session.isid.copy(bhs, 8);
    await this.send(bhs, data);
    return this.expect(OPCODE_LOGIN_RESPONSE);
  }

  /** Logs in. Throws LoginRefusedError with the target's status. */
  async login(options: LoginOptions = {}): Promise<ReceivedPdu> {
    this.cid = options.cid ?? this.cid;
    const sessionType = options.sessionType ?? (options.targetName === undefined ? "Discovery" : "Normal");
    const names: Record<string, string> = {
      InitiatorName: options.initiatorName ?? "iqn.2026-11.io.ringlun:test",
      SessionType: sessionType,
    };
    if (options.targetName !== undefined) names.TargetName = options.targetName;
    const offered = { ...options.keys };
    this.maxRecvDataSegmentLength = Number(offered.MaxRecvDataSegmentLength ?? 8192);
    for (const [key, value] of Object.entries(offered)) {
      // Declared by each side for itself: what we declare says nothing about the target (RFC 7143 section 13.12).
      if (key !== "MaxRecvDataSegmentLength") this.negotiated.set(key, value);
    }

    let opening = names;
    if (options.chap !== undefined || options.security) {
      await this.#authenticate(names, options.chap);
      opening = {};
    }
    let keys: Record<string, string> = { ...opening, ...offered };
    for (let exchange = 0; exchange < LOGIN_EXCHANGES_MAX; exchange++) {
      const response = await this.#loginExchange({ stage: STAGE_OPERATIONAL, nextStage: STAGE_FULL_FEATURE, keys });
      if (response.flags & FLAG_TRANSIT && (response.flags & 3) === STAGE_FULL_FEATURE) {
        this.session.tsih = response.field("tsih");
        this.#applyNegotiated();
        return response;
      }
      keys = {};
    }
    throw new Error(`login has not ended after ${LOGIN_EXCHANGES_MAX} exchanges`);
  }

  /** An exchange with the C bit of the response served; the target's keys go to `negotiated`. */
  async #loginExchange(options: LoginRequestOptions): Promise<ReceivedPdu> {
    let response = await this.loginRequest(options);
    const parts = [response.data];
    for (;;) {
      if (response.field("statusClass") !== 0) throw new LoginRefusedError(response);
      if (!(response.flags & FLAG_CONTINUE)) break;
      response = await this.loginRequest({ stage: options.stage });
      parts.push(response.data);
    }
    for (const [key, value] of decodeKeys(Buffer.concat(parts))) this.negotiated.set(key, value);
    return response;
  }

  async #authenticate(names: Readonly<Record<string, string>>, chap: ChapOptions | undefined): Promise<void> {
    const method = chap === undefined ? "None" : "CHAP";
    const first = { stage: STAGE_SECURITY, keys: { ...names, AuthMethod: method } };
    if (chap === undefined) {
      await this.#loginExchange({ ...first, nextStage: STAGE_OPERATIONAL });
      return;
    }
    await this.#loginExchange(first);
    assert.equal(this.negotiated.get("AuthMethod"), "CHAP", "the target did not agree to CHAP");
    const algorithm = chap.algorithm ?? 5;
    await this.#loginExchange({ stage: STAGE_SECURITY, keys: { CHAP_A: String(algorithm) } });
    const identifier = Number(this.negotiated.get("CHAP_I"));
    const challenge = decodeBinary(this.negotiated.get("CHAP_C") ?? "");
    const keys: Record<string, string> = {
      CHAP_N: chap.user,
      CHAP_R: `0x${chapResponse(algorithm, identifier, chap.secret, challenge).toString("hex")}`,
    };
    const ownIdentifier = randomBytes(1)[0]!;
    const ownChallenge = randomBytes(16);
    if (chap.mutual !== undefined) {
      keys.CHAP_I = String(ownIdentifier);
      keys.CHAP_C = `0x${ownChallenge.toString("hex")}`;
    }
    await this.#loginExchange({ stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL, keys });
    if (chap.mutual !== undefined) {
      assert.equal(this.negotiated.get("CHAP_N"), chap.mutual.user, "the target's CHAP_N");
      const expected = chapResponse(algorithm, ownIdentifier, chap.mutual.secret, ownChallenge);
      assert.deepEqual(decodeBinary(this.negotiated.get("CHAP_R") ?? ""), expected, "the target's CHAP_R");
    }
  }

  #applyNegotiated(): void {
    // What was rejected, or is irrelevant, stays as it was.
    const value = (key: string): string | undefined => {
      const result = this.negotiated.get(key);
      return result === "Reject" || result === "Irrelevant" ? undefined : result;
    };
    this.headerDigest = value("HeaderDigest") === "CRC32C";
    this.dataDigest = value("DataDigest") === "CRC32C";
    this.initialR2T = value("InitialR2T") !== "No";
    this.immediateData = value("ImmediateData") !== "No";
    this.firstBurstLength = Number(value("FirstBurstLength") ?? this.firstBurstLength);
    this.maxBurstLength = Number(value("MaxBurstLength") ?? this.maxBurstLength);
    this.maxSendDataSegmentLength = Number(value("MaxRecvDataSegmentLength") ?? this.maxSendDataSegmentLength);
  }

  // -- SCSI commands

  /** Sends a command with its immediate and unsolicited data; `finish` waits for its end. */
  async start(options: CommandOptions): Promise<RawTask> {
    const write = options.write;
    const length = options.expectedDataTransferLength ?? write?.length ?? options.read ?? 0;
    const available = write?.length ?? 0;
    const unsolicitedLimit = this.initialR2T ? 0 : Math.min(this.firstBurstLength, available);
    const immediateLimit = this.immediateData
      ? Math.min(this.maxSendDataSegmentLength, this.firstBurstLength, available)
      : 0;
    const immediateLength = options.immediateLength ?? immediateLimit;
    const unsolicitedLength = Math.max(immediateLength, options.unsolicitedLength ?? unsolicitedLimit);
    let flags = options.attribute ?? 1;
    if (options.read !== undefined) flags |= FLAG_READ;
    if (write !== undefined) flags |= FLAG_WRITE;
    if (unsolicitedLength === immediateLength) flags |= FLAG_FINAL;
    const lun = typeof options.lun === "object" ? options.lun : lunBytes(options.lun ?? 0);

    const header = await this.send(
      {
        opcode: OPCODE_SCSI_COMMAND,
        immediate: options.immediate ?? false,
        flags,
        lun,
        expectedDataTransferLength: length,
        cdb: options.cdb,
        ...options.fields,
      },
      write?.subarray(0, immediateLength),
      options.cdb.length > 16 ? { ahs: extendedCdb(options.cdb) } : {},
    );
    const task = new RawTask(header.readUInt32BE(16), header.readUInt32BE(24), options, lun);
    this.#tasks.set(task.initiatorTaskTag, task);
    if (write !== undefined && unsolicitedLength > immediateLength) {
      await this.sendDataOut(task, immediateLength, unsolicitedLength - immediateLength, TAG_NONE);
    }
    return task;
  }

  /** Receives until the command has ended; serves R2Ts and pings, and other commands under way. */
  async finish(task: RawTask, timeoutMs = RECEIVE_TIMEOUT_MS): Promise<CommandResult> {
    while (task.end === undefined) await this.#route(await this.receive(timeoutMs));
    return task.result;
  }

  async command(options: CommandOptions, timeoutMs = RECEIVE_TIMEOUT_MS): Promise<CommandResult> {
    return this.finish(await this.start(options), timeoutMs);
  }

  /** The command, which must end with GOOD; returns its data. */
  async good(options: CommandOptions, timeoutMs = RECEIVE_TIMEOUT_MS): Promise<Buffer> {
    const { response, status, sense, data } = await this.command(options, timeoutMs);
    assert.deepEqual({ response, status }, { response: 0, status: 0 }, `sense ${sense.toString("hex")}`);
    return data;
  }

  /** Sends part of a write's data as one sequence, split to what the target takes. */
  async sendDataOut(task: RawTask, bufferOffset: number, length: number, targetTransferTag: number): Promise<void> {
    assert(task.options.write !== undefined, "not a write");
    let dataSN = 0;
    for (let sent = 0; sent < length; ) {
      const piece = Math.min(this.maxSendDataSegmentLength, length - sent);
      const at = bufferOffset + sent;
      sent += piece;
      await this.send(
        {
          opcode: OPCODE_DATA_OUT,
          flags: sent === length ? FLAG_FINAL : 0,
          lun: targetTransferTag === TAG_NONE ? Buffer.alloc(8) : task.lun,
          initiatorTaskTag: task.initiatorTaskTag,
          targetTransferTag,
          dataSN: dataSN++,
          bufferOffset: at,
        },
        task.options.write.subarray(at, at + piece),
      );
    }
  }

  async #route(pdu: ReceivedPdu): Promise<void> {
    const task = this.#tasks.get(pdu.initiatorTaskTag);
    switch (pdu.opcode) {
      case OPCODE_DATA_IN:
        assert(task !== undefined, "Data-In of no command");
        this.#takeData(task, pdu);
        break;
      case OPCODE_R2T:
        assert(task !== undefined, "R2T of no command");
        if (this.strict) assert.equal(pdu.field("r2tSN"), task.r2ts.length, "R2TSN");
        task.r2ts.push(pdu);
        if (!task.options.leaveR2Ts) await this.answerR2T(task, pdu);
        return;
      case OPCODE_SCSI_RESPONSE:
        assert(task !== undefined, "SCSI Response of no command");
        if (this.strict) assert.equal(pdu.field("expDataSN"), task.dataIns.length, "ExpDataSN");
        break;
      default:
        if (pdu.opcode === OPCODE_NOP_IN && this.answerPings && pdu.targetTransferTag !== TAG_NONE)
          await this.answerPing(pdu);
        this.others.push(pdu);
        return;
    }
    if (pdu.hasStatus) {
      task.end = pdu;
      this.#tasks.delete(task.initiatorTaskTag);
    }
  }

  async answerR2T(task: RawTask, r2t: ReceivedPdu): Promise<void> {
    const length = r2t.field("desiredDataTransferLength");
    if (this.strict) {
      assert(length > 0 && length <= this.maxBurstLength, `R2T for ${length} bytes`);
      assert.notEqual(r2t.targetTransferTag, TAG_NONE, "R2T without Target Transfer Tag");
    }
    await this.sendDataOut(task, r2t.field("bufferOffset"), length, r2t.targetTransferTag);
  }

  #takeData(task: RawTask, pdu: ReceivedPdu): void {
    const offset = pdu.field("bufferOffset");
    if (this.strict) {
      assert.equal(pdu.field("dataSN"), task.dataIns.length, "DataSN");
      assert.equal(offset, task.received, "Buffer Offset (DataPDUInOrder, DataSequenceInOrder)");
      assert(offset + pdu.data.length <= task.buffer.length, "more Data-In than expected");
      if (pdu.hasStatus) assert(pdu.final, "S without F (RFC 7143 section 11.7.3)");
    }
    pdu.data.copy(task.buffer, offset);
    task.received = Math.max(task.received, offset + pdu.data.length);
    task.dataIns.push(pdu);
  }

  // -- the rest of the full feature phase

  async answerPing(nopIn: ReceivedPdu): Promise<void> {
    await this.send({
      opcode: OPCODE_NOP_OUT,
      immediate: true,
      lun: nopIn.lun,
      initiatorTaskTag: TAG_NONE,
      targetTransferTag: nopIn.targetTransferTag,
    });
  }

  /** Pings the target and returns its NOP-In. Nothing else may be under way. */
  async ping(data: Uint8Array = Buffer.alloc(0)): Promise<ReceivedPdu> {
    await this.send({ opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE }, data);
    return this.expect(OPCODE_NOP_IN);
  }

  /** A Text Request of keys; collects the answer over as many responses as it takes. */
  async text(keys: Readonly<Record<string, string>>): Promise<Map<string, string>> {
    const initiatorTaskTag = this.newTag();
    const parts: Buffer[] = [];
    let targetTransferTag = TAG_NONE;
    let data = encodeKeys(keys);
    for (;;) {
      await this.send({ opcode: OPCODE_TEXT_REQUEST, initiatorTaskTag, targetTransferTag }, data);
      const response = await this.expect(OPCODE_TEXT_RESPONSE);
      parts.push(response.data);
      if (response.final) return decodeKeys(Buffer.concat(parts));
      targetTransferTag = response.targetTransferTag;
      data = Buffer.alloc(0);
    }
  }

  /** Sends a task management function, of task-management.ts; returns its Initiator Task Tag. */
  async sendTaskManagement(taskFunction: number, fields: Partial<HeaderFields> = {}): Promise<number> {
    const header = await this.send({
      opcode: OPCODE_TASK_MANAGEMENT_REQUEST,
      immediate: true,
      flags: FLAG_FINAL | taskFunction,
      referencedTaskTag: TAG_NONE,
      lun: 0,
      ...fields,
    });
    return header.readUInt32BE(16);
  }

  /** The same, until its response, which is returned; others are kept in `others`. */
  async taskManagement(taskFunction: number, fields: Partial<HeaderFields> = {}): Promise<ReceivedPdu> {
    const tag = await this.sendTaskManagement(taskFunction, fields);
    for (;;) {
      const pdu = await this.receive();
      if (pdu.opcode === OPCODE_TASK_MANAGEMENT_RESPONSE && pdu.initiatorTaskTag === tag) return pdu;
      await this.#route(pdu);
    }
  }

  /** Goes on with a command of another connection of the session: its data and its R2Ts count anew. */
  adopt(task: RawTask, changes: Partial<CommandOptions> = {}): void {
    Object.assign(task.options, changes);
    task.dataIns.length = 0;
    task.r2ts.length = 0;
    task.received = 0;
    this.#tasks.set(task.initiatorTaskTag, task);
  }

  /** Takes a command out of the book-keeping: it was aborted, no end will come. */
  forget(task: RawTask): void {
    this.#tasks.delete(task.initiatorTaskTag);
  }

  /** Closes the session (reason 0) or the connection (1); returns the Logout Response. */
  async logout(reason = 0): Promise<ReceivedPdu> {
    await this.send({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | reason, cid: this.cid });
    for (;;) {
      const pdu = await this.receive();
      if (pdu.opcode === OPCODE_LOGOUT_RESPONSE) return pdu;
      await this.#route(pdu);
    }
  }
}

/** The AHS of a CDB that is longer than 16 bytes (RFC 7143 section 11.2.2.3). */
export function extendedCdb(cdb: Uint8Array): Buffer {
  const spill = cdb.subarray(16);
  const ahs = Buffer.alloc((4 + spill.length + 3) & ~3);
  ahs.writeUInt16BE(spill.length + 1, 0);
  ahs[2] = 1;
  ahs.set(spill, 4);
  return ahs;
}
