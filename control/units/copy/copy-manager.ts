/**
 * The copy manager of all units: carries out the commands of third-party copy. What of them may take long goes on beside other
 * commands of the unit, and ends before the end of its command's task, of its session, of a reset of a unit that it touches, or
 * of its unit's service is told to anybody.
 */

import type { ScsiAnswer, UnitRecord } from "../../../dataplane/messages.js";
import {
  COPY_TARGET_DEVICE_NOT_REACHABLE,
  fieldInCdb,
  INVALID_FIELD_IN_CDB,
  OPERATION_IN_PROGRESS,
  THIRD_PARTY_DEVICE_FAILURE,
  TOKEN_UNKNOWN,
} from "../../../dataplane/scsi/sense.js";
import {
  ACTION_COPY_OPERATION_ABORT,
  ACTION_EXTENDED_COPY_LID1,
  ACTION_EXTENDED_COPY_LID4,
  ACTION_POPULATE_TOKEN,
  ACTION_RECEIVE_COPY_DATA_LID1,
  ACTION_RECEIVE_COPY_FAILURE_DETAILS,
  ACTION_RECEIVE_COPY_OPERATING_PARAMETERS,
  ACTION_RECEIVE_COPY_STATUS_LID1,
  ACTION_RECEIVE_COPY_STATUS_LID4,
  ACTION_RECEIVE_ROD_TOKEN_INFORMATION,
  ACTION_REPORT_ALL_ROD_TOKENS,
  ACTION_WRITE_USING_TOKEN,
  COPIES_MAX,
  COPIES_PER_SESSION_MAX,
  OPCODE_COPY_IN,
  OPCODE_COPY_OUT,
  operatingParameters,
} from "../../../dataplane/scsi/third-party-copy.js";
import { SCSI_STATUS_BUSY } from "../../../dataplane/wire/scsi-response.js";
import { COPY_OUTCOMES_PER_SESSION_MAX } from "../../limits.js";
import type { Logger } from "../../logger.js";
import type { Session } from "../../session-registry.js";
import { dataAnswer, GOOD } from "../answers.js";
import type { SlowCommand, SlowCommands } from "../slow-commands.js";
import { type CopyFailure, CopyOperation, type CopyPart, type CopyRequest } from "./copy-operation.js";
import {
  allRodTokens,
  copyStatusLid1,
  copyStatusLid4,
  failureDetails,
  heldData,
  rodTokenInformation,
} from "./copy-results.js";
import type { DataMover } from "./data-mover.js";
import { explainExtendedCopy, planExtendedCopy } from "./extended-copy.js";
import { type ExtendedCopyList, parseExtendedCopyLid1, parseExtendedCopyLid4 } from "./extended-copy-list.js";
import { parameterListLength, Refusal, refuse, viewOf, wholeList } from "./parameter-list.js";
import type { Reach, Reaches } from "./reach.js";
import { RodTokens } from "./rod-tokens.js";
import { forwardedSense, isUnreachable } from "./sense-data.js";
import { parsePopulateToken, parseWriteUsingToken, planTokenUse, planZeroes } from "./token-lists.js";

const LIST_IDENTIFIER_LID1_BYTE = 2;
const LIST_IDENTIFIER_BYTE = 2;
/** In the CDBs of POPULATE TOKEN and WRITE USING TOKEN. */
const LIST_IDENTIFIER_OUT_BYTE = 6;
const ALLOCATION_LENGTH_BYTE = 10;

const BUSY: ScsiAnswer = { kind: "status", status: SCSI_STATUS_BUSY };

export interface CopyManagerOptions {
  readonly reaches: Reaches;
  readonly mover: DataMover;
  readonly logger: Logger;
}

export class CopyManager {
  readonly #options: CopyManagerOptions;
  readonly #tokens = new RodTokens();
  readonly #running = new Set<CopyOperation>();
  /** sessionId -> copies with a list identifier, oldest first: those that run, and those whose outcome may be asked for. */
  readonly #identified = new Map<number, Set<CopyOperation>>();
  #isStopping = false;

  constructor(options: CopyManagerOptions) {
    this.#options = options;
  }

  serve(commands: SlowCommands): void {
    const out = (action: number, handler: (command: SlowCommand) => ScsiAnswer | Promise<ScsiAnswer>) =>
      commands.registerAside(OPCODE_COPY_OUT, (command) => unlessRefused(() => handler(command)), action);
    const receive = (action: number, handler: (command: SlowCommand) => Uint8Array) =>
      commands.registerAside(
        OPCODE_COPY_IN,
        (command) =>
          unlessRefused(() => dataAnswer(handler(command), viewOf(command.cdb).getUint32(ALLOCATION_LENGTH_BYTE))),
        action,
      );
    out(ACTION_EXTENDED_COPY_LID1, (command) => this.#extendedCopy(command, parseExtendedCopyLid1));
    out(ACTION_EXTENDED_COPY_LID4, (command) => this.#extendedCopy(command, parseExtendedCopyLid4));
    out(ACTION_POPULATE_TOKEN, (command) => this.#populateToken(command));
    out(ACTION_WRITE_USING_TOKEN, (command) => this.#writeUsingToken(command));
    out(ACTION_COPY_OPERATION_ABORT, (command) => this.#abortOperation(command));
    receive(ACTION_RECEIVE_COPY_STATUS_LID1, (command) => this.#copyStatusLid1(command));
    receive(ACTION_RECEIVE_COPY_DATA_LID1, (command) => this.#heldData(command));
    receive(ACTION_RECEIVE_COPY_OPERATING_PARAMETERS, operatingParameters);
    receive(ACTION_RECEIVE_COPY_FAILURE_DETAILS, (command) => this.#failureDetails(command));
    receive(ACTION_RECEIVE_COPY_STATUS_LID4, (command) => this.#copyStatusLid4(command));
    receive(ACTION_RECEIVE_ROD_TOKEN_INFORMATION, (command) => this.#rodTokenInformation(command));
    receive(ACTION_REPORT_ALL_ROD_TOKENS, (command) => this.#allRodTokens(command));
  }

  // ---- What ends copies

  /** Its copies end, and nobody will ask what has become of them. */
  sessionClosed({ sessionId }: Session): void {
    this.#endWhere((operation) => operation.uses(sessionId));
    this.#identified.delete(sessionId);
  }

  /** LOGICAL UNIT RESET, or an operation that wants the unit for itself: what reads or writes the unit ends. */
  endOnUnit(unitIndex: number): void {
    this.#endWhere((operation) => operation.touches(unitIndex));
  }

  /** PREEMPT AND ABORT: what these sessions have asked for on the unit ends. */
  endOfSessions(unitIndex: number, sessionIds: readonly number[]): void {
    this.#endWhere((operation) => operation.touches(unitIndex) && sessionIds.some((id) => operation.uses(id)));
  }

  /** The session sees other LUNs than before: copies that may not write through it any more end. Resolves when they have. */
  async endRefused(session: Session): Promise<void> {
    const { reaches } = this.#options;
    const isRefused = ({ destination }: CopyPart) =>
      destination.session === session && reaches.refusal(destination, true) !== undefined;
    const refused = [...this.#running].filter(({ request }) => request.parts.some(isRefused));
    for (const operation of refused) operation.end();
    await Promise.all(refused.map(({ ended }) => ended));
  }

  /** The unit is about to be closed. Resolves when nothing of any copy touches it any more. */
  async forgetUnit(unitIndex: number): Promise<void> {
    this.#tokens.forget(unitIndex);
    this.endOnUnit(unitIndex);
    await this.settled([unitIndex]);
    this.#options.mover.forget(unitIndex);
  }

  /** Resolves when copies that are about to end, and touch one of the units, have ended. */
  async settled(unitIndexes: readonly number[]): Promise<void> {
    const ending = [...this.#running].filter(
      (operation) => operation.isEnding && unitIndexes.some((unitIndex) => operation.touches(unitIndex)),
    );
    await Promise.all(ending.map(({ ended }) => ended));
  }

  /** Ends all copies, and begins none any more. Resolves when none is under way. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#endWhere(() => true);
    await Promise.all([...this.#running].map(({ ended }) => ended));
  }

  #endWhere(isConcerned: (operation: CopyOperation) => boolean): void {
    for (const operation of this.#running) if (isConcerned(operation)) operation.end();
  }

  // ---- THIRD-PARTY COPY OUT

  async #extendedCopy(command: SlowCommand, parse: (list: DataView) => ExtendedCopyList): Promise<ScsiAnswer> {
    // "specifies that no data shall be transferred. This condition shall not be considered an error" (SPC-5).
    if (parameterListLength(command.cdb) === 0) return GOOD;
    const { session, unit, cdb } = command;
    const list = parse(wholeList(command));
    this.#refuseDuplicate(command, list.listIdentifier);
    const parts = planExtendedCopy(list, session, unit.unitIndex, this.#options.reaches);
    const request: CopyRequest = {
      session,
      unitIndex: unit.unitIndex,
      serviceAction: cdb[1]!,
      listIdentifier: list.listIdentifier,
      parts,
      segments: list.segments.length,
      isInBackground: list.isImmediate,
      explain: explainExtendedCopy(list),
    };
    const operation = this.#begin(request);
    return operation === undefined ? BUSY : this.#answerOf(operation, command);
  }

  #populateToken(command: SlowCommand): ScsiAnswer {
    if (parameterListLength(command.cdb) === 0) return GOOD;
    const { session, unit, cdb } = command;
    const listIdentifier = viewOf(cdb).getUint32(LIST_IDENTIFIER_OUT_BYTE);
    const { ranges, timeoutMs } = parsePopulateToken(wholeList(command), unit);
    this.#refuseDuplicate(command, listIdentifier);
    const { initiatorName, targetName } = session.identity;
    const token = this.#tokens.create({ unit, ranges, timeoutMs, initiatorName, targetName });
    const request: CopyRequest = {
      session,
      unitIndex: unit.unitIndex,
      serviceAction: ACTION_POPULATE_TOKEN,
      listIdentifier,
      parts: [],
      segments: ranges.length,
      explain: ({ answer }) => answer,
    };
    const operation = this.#operation(request);
    operation.token = token.bytes;
    // The token represents them; nothing is moved.
    operation.bytesDone = ranges.reduce((sum, { blocks }) => sum + blocks, 0) * unit.blockLengthBytes;
    this.#identify(operation);
    return GOOD;
  }

  async #writeUsingToken(command: SlowCommand): Promise<ScsiAnswer> {
    if (parameterListLength(command.cdb) === 0) return GOOD;
    const { session, unit, cdb } = command;
    const listIdentifier = viewOf(cdb).getUint32(LIST_IDENTIFIER_OUT_BYTE);
    const list = parseWriteUsingToken(wholeList(command), unit);
    this.#refuseDuplicate(command, listIdentifier);
    const destination = this.#ownReach(session, unit);
    const token = this.#tokens.find(list.token);
    // A token of a unit that the initiator cannot see is as good as none.
    const source = token && (this.#options.reaches.find(session, token.unitIndex) ?? refuse(TOKEN_UNKNOWN));
    const use =
      token === null || source === null
        ? planZeroes(list.ranges, destination, unit)
        : planTokenUse(list, token, source, destination, unit);
    const operation = this.#begin({
      session,
      unitIndex: unit.unitIndex,
      serviceAction: ACTION_WRITE_USING_TOKEN,
      listIdentifier,
      segments: list.ranges.length,
      isInBackground: list.isImmediate,
      explain: explainTokenUse,
      ...use,
    });
    if (operation === undefined) return BUSY;
    if (token !== null) {
      void this.#tokens.using(token, operation.ended);
      if (list.deletesToken) this.#tokens.delete(token);
    }
    return this.#answerOf(operation, command);
  }

  async #abortOperation(command: SlowCommand): Promise<ScsiAnswer> {
    const operation = this.#find(command, viewOf(command.cdb).getUint32(LIST_IDENTIFIER_BYTE));
    operation.end();
    await operation.ended;
    return GOOD;
  }

  /** Of the unit that the command was sent to: it has just been seen. */
  #ownReach(session: Session, unit: UnitRecord): Reach {
    return this.#options.reaches.find(session, unit.unitIndex) ?? refuse(COPY_TARGET_DEVICE_NOT_REACHABLE);
  }

  #refuseDuplicate(command: SlowCommand, listIdentifier: number | null): void {
    if (listIdentifier !== null && this.#search(command, listIdentifier)?.isRunning) refuse(OPERATION_IN_PROGRESS);
  }

  #operation(request: CopyRequest): CopyOperation {
    const { mover, reaches, logger } = this.#options;
    return new CopyOperation(request, mover, reaches, (error) => logger.error({ err: error }, "copy failed"));
  }

  /** Undefined: too many run already, or the server stops. */
  #begin(request: CopyRequest): CopyOperation | undefined {
    const { sessionId } = request.session;
    let own = 0;
    for (const { request: other } of this.#running) if (other.session.sessionId === sessionId) own++;
    if (this.#isStopping || this.#running.size >= COPIES_MAX || own >= COPIES_PER_SESSION_MAX) return undefined;
    const operation = this.#operation(request);
    this.#running.add(operation);
    void operation.ended.then(() => this.#running.delete(operation));
    this.#identify(operation);
    return operation;
  }

  /** In the background it ends with its session at the latest, in the foreground with its command. */
  #answerOf(operation: CopyOperation, { signal }: SlowCommand): ScsiAnswer | Promise<ScsiAnswer> {
    if (operation.request.isInBackground === true) return GOOD;
    if (signal.aborted) operation.end();
    signal.addEventListener("abort", () => operation.end());
    return operation.ended;
  }

  // ---- THIRD-PARTY COPY IN

  #copyStatusLid1(command: SlowCommand): Uint8Array {
    const operation = this.#find(command, command.cdb[LIST_IDENTIFIER_LID1_BYTE]!);
    // What has failed is kept for RECEIVE COPY FAILURE DETAILS.
    if (operation.state === "completed") this.#forget(operation);
    return copyStatusLid1(operation);
  }

  #heldData(command: SlowCommand): Uint8Array {
    if (this.#find(command, command.cdb[LIST_IDENTIFIER_LID1_BYTE]!).isRunning) this.#refuseIdentifier();
    return heldData();
  }

  #failureDetails(command: SlowCommand): Uint8Array {
    const operation = this.#find(command, command.cdb[LIST_IDENTIFIER_LID1_BYTE]!);
    if (operation.isRunning) this.#refuseIdentifier();
    this.#forget(operation);
    return failureDetails(operation, command.unit.state.descriptorSense);
  }

  #copyStatusLid4(command: SlowCommand): Uint8Array {
    const operation = this.#find(command, viewOf(command.cdb).getUint32(LIST_IDENTIFIER_BYTE));
    if (!operation.isRunning) this.#forget(operation);
    return copyStatusLid4(operation, command.unit.state.descriptorSense);
  }

  #rodTokenInformation(command: SlowCommand): Uint8Array {
    const { cdb, unit } = command;
    const operation = this.#find(command, viewOf(cdb).getUint32(LIST_IDENTIFIER_BYTE));
    if (!operation.isRunning) this.#forget(operation);
    return rodTokenInformation(operation, unit.state.descriptorSense, unit.blockLengthBytes);
  }

  /** Those of units that the initiator can see. */
  #allRodTokens({ session }: SlowCommand): Uint8Array {
    const tokens = this.#tokens.all();
    const units = new Set(tokens.map(({ unitIndex }) => unitIndex));
    for (const unit of units) if (this.#options.reaches.find(session, unit) === undefined) units.delete(unit);
    return allRodTokens(tokens.filter(({ unitIndex }) => units.has(unitIndex)));
  }

  // ---- List identifiers

  #find(command: SlowCommand, listIdentifier: number): CopyOperation {
    return this.#search(command, listIdentifier) ?? this.#refuseIdentifier();
  }

  #refuseIdentifier(): never {
    return refuse(INVALID_FIELD_IN_CDB, fieldInCdb(LIST_IDENTIFIER_BYTE));
  }

  #search({ session, unit }: SlowCommand, listIdentifier: number): CopyOperation | undefined {
    for (const operation of this.#identified.get(session.sessionId) ?? []) {
      const { request } = operation;
      if (request.unitIndex === unit.unitIndex && request.listIdentifier === listIdentifier) return operation;
    }
    return undefined;
  }

  /** Takes the place of one of the same identifier, which has ended. */
  #identify(operation: CopyOperation): void {
    const { session, unitIndex, listIdentifier } = operation.request;
    if (listIdentifier === null) return;
    const identified = this.#identified.get(session.sessionId) ?? new Set();
    this.#identified.set(session.sessionId, identified);
    for (const old of identified) {
      const { request } = old;
      if (request.unitIndex === unitIndex && request.listIdentifier === listIdentifier) identified.delete(old);
    }
    for (const old of identified) {
      if (identified.size < COPY_OUTCOMES_PER_SESSION_MAX) break;
      if (!old.isRunning) identified.delete(old);
    }
    identified.add(operation);
  }

  #forget(operation: CopyOperation): void {
    this.#identified.get(operation.request.session.sessionId)?.delete(operation);
  }
}

async function unlessRefused(run: () => ScsiAnswer | Promise<ScsiAnswer>): Promise<ScsiAnswer> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Refusal) return error.answer;
    throw error;
  }
}

/** What the unit itself has to say of its blocks is said as if they had been written by the initiator. */
function explainTokenUse(failure: CopyFailure): ScsiAnswer {
  const { side, answer } = failure;
  if (side === "destination") return answer;
  const forwarded = isUnreachable(failure) ? {} : { forwarded: forwardedSense(failure) };
  return { kind: "sense", ...THIRD_PARTY_DEVICE_FAILURE, ...forwarded };
}
