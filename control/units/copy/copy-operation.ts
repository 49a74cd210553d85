/**
 * One copy: of an EXTENDED COPY, or of a WRITE USING TOKEN. It is known by its list identifier to the session that asked for
 * it, while it runs and until its outcome has been told.
 *
 *     running --all parts through, or one fails--> ended
 *        '------end(): between two parts-----------^
 */

import type { ScsiAnswer, UnitRecord } from "../../../dataplane/messages.js";
import {
  COPY_ABORTED_WITHOUT_REASON,
  INTERNAL_TARGET_FAILURE,
  storeErrorSense,
} from "../../../dataplane/scsi/sense.js";
import type { Session } from "../../session-registry.js";
import { GOOD, senseAnswer, storeFaultAnswer } from "../answers.js";
import { type DataMover, endGoesFirst, type StoreFault } from "./data-mover.js";
import type { Reach, Reaches } from "./reach.js";

/** Bytes from one unit to another. Without a source: zeroes. */
export interface CopyPart {
  readonly source: Reach | null;
  readonly sourceOffset: number;
  readonly destination: Reach;
  readonly destinationOffset: number;
  readonly length: number;
  /** The part belongs to this segment, or range. */
  readonly segment: number;
}

/** What has ended the copy: `answer` is what the unit on that side would say to it. */
export interface CopyFailure {
  readonly side: "source" | "destination";
  readonly answer: ScsiAnswer;
  readonly segment: number;
  /** Blocks of the destination that are not through; -1: not a byte of the part is, or it is not known any more. */
  readonly residualBlocks: number;
  /** D_SENSE of that unit: the format in which it would say it. */
  readonly descriptorSense: boolean;
}

export interface CopyRequest {
  readonly session: Session;
  /** The unit that the command was sent to. */
  readonly unitIndex: number;
  readonly serviceAction: number;
  /** Null: nobody will ask for its status. */
  readonly listIdentifier: number | null;
  readonly parts: readonly CopyPart[];
  /** Segments, or ranges, in all: some may have nothing to copy. */
  readonly segments: number;
  /** It was asked for less than the whole: what it is short of is the ROD's. */
  readonly isPartial?: boolean;
  readonly isInBackground?: boolean;
  /** The command's answer to a failure. */
  readonly explain: (failure: CopyFailure) => ScsiAnswer;
}

export type CopyState = "running" | "completed" | "failed" | "terminated";

export class CopyOperation {
  readonly request: CopyRequest;
  /** Resolves, and never rejects, when nothing of it is under way any more. */
  readonly ended: Promise<ScsiAnswer>;
  state: CopyState = "running";
  /** What the command has ended with, or would have. */
  answer: ScsiAnswer = GOOD;
  /** Parts done: counts up while it runs. */
  steps = 0;
  segmentsDone = 0;
  bytesDone = 0;
  /** The ROD token that POPULATE TOKEN made. */
  token: Uint8Array | null = null;
  readonly #controller = new AbortController();
  readonly #units: ReadonlySet<number>;

  /** Begins at once. @param onError is told of an exception, which is a programmer's error. */
  constructor(request: CopyRequest, mover: DataMover, reaches: Reaches, onError: (error: unknown) => void) {
    this.request = request;
    const { unitIndex, parts } = request;
    this.#units = new Set([unitIndex, ...parts.flatMap(({ source, destination }) => unitsOf(source, destination))]);
    this.ended = this.#run(mover, reaches).then(
      (failure) => this.#end(failure),
      (error: unknown) => {
        onError(error);
        return this.#finish("failed", senseAnswer(INTERNAL_TARGET_FAILURE));
      },
    );
  }

  get isRunning(): boolean {
    return this.state === "running";
  }

  /** It is about to end: nobody is to wait for its own end. */
  get isEnding(): boolean {
    return this.isRunning && this.#controller.signal.aborted;
  }

  touches(unitIndex: number): boolean {
    return this.#units.has(unitIndex);
  }

  /** Whether it goes through the session: its own, or one through which it reaches a unit. */
  uses(sessionId: number): boolean {
    const { session, parts } = this.request;
    const isIts = (reach: Reach | null) => reach?.session.sessionId === sessionId;
    return session.sessionId === sessionId || parts.some((part) => isIts(part.source) || isIts(part.destination));
  }

  /** Ends it as soon as the part under way is over; `ended` says when. */
  end(): void {
    this.#controller.abort();
  }

  async #run(mover: DataMover, reaches: Reaches): Promise<CopyFailure | "terminated" | undefined> {
    const { parts, segments } = this.request;
    const lossesBefore = new Map<number, number>();
    for (const part of parts) {
      const { source, destination } = part;
      this.segmentsDone = part.segment;
      let done = 0;
      const fail = (side: CopyFailure["side"], answer: ScsiAnswer): CopyFailure => ({
        side,
        answer,
        segment: part.segment,
        residualBlocks: residualOf(part, done, reaches.unit(destination)),
        descriptorSense: reaches.unit(side === "source" ? source! : destination)?.state.descriptorSense === true,
      });
      const check = () => {
        if (this.#controller.signal.aborted) return "terminated" as const;
        const ofSource = source === null ? undefined : reaches.refusal(source, false);
        if (ofSource !== undefined) return fail("source", ofSource);
        const ofDestination = reaches.refusal(destination, true);
        return ofDestination === undefined ? undefined : fail("destination", ofDestination);
      };
      const refused = check();
      if (refused !== undefined) return refused;
      const extent = { ...part, source: source && reaches.unit(source)!, destination: reaches.unit(destination)! };
      const { unitIndex } = destination;
      if (!lossesBefore.has(unitIndex)) lossesBefore.set(unitIndex, mover.lossesBefore(extent.destination));
      const stopped = await mover.move(extent, { check, signal: this.#controller.signal }, (bytes) => {
        done += bytes;
        this.bytesDone += bytes;
        this.steps++;
      });
      if (stopped === undefined) continue;
      if (stopped === "terminated" || "segment" in stopped) return stopped;
      const { blockLengthBytes } = stopped.side === "source" ? extent.source! : extent.destination;
      return fail(stopped.side, faultAnswer(stopped, blockLengthBytes));
    }
    this.segmentsDone = segments;
    return this.#makeDurable(mover, reaches, lossesBefore);
  }

  /** Without a write cache nothing may be lost any more when the status goes out. */
  async #makeDurable(
    mover: DataMover,
    reaches: Reaches,
    lossesBefore: Map<number, number>,
  ): Promise<CopyFailure | undefined> {
    for (const { destination, segment } of this.request.parts) {
      const unit = reaches.unit(destination);
      const before = lossesBefore.get(destination.unitIndex);
      // Once for each unit.
      lossesBefore.delete(destination.unitIndex);
      if (unit === undefined || before === undefined || unit.state.writeCacheEnabled) continue;
      const result = await mover.makeDurable(unit, before);
      if (result < 0) {
        const answer = senseAnswer(storeErrorSense(result, true));
        const { descriptorSense } = unit.state;
        return { side: "destination", answer, segment, residualBlocks: -1, descriptorSense };
      }
    }
    return undefined;
  }

  #end(failure: CopyFailure | "terminated" | undefined): ScsiAnswer {
    if (failure === undefined) return this.#finish("completed", GOOD);
    if (failure === "terminated") return this.#finish("terminated", senseAnswer(COPY_ABORTED_WITHOUT_REASON));
    return this.#finish("failed", this.request.explain(failure));
  }

  #finish(state: CopyState, answer: ScsiAnswer): ScsiAnswer {
    this.state = state;
    this.answer = answer;
    return answer;
  }
}

function unitsOf(source: Reach | null, destination: Reach): number[] {
  return source === null ? [destination.unitIndex] : [source.unitIndex, destination.unitIndex];
}

function faultAnswer({ side, errno, offset }: StoreFault, blockLengthBytes: number): ScsiAnswer {
  return storeFaultAnswer(errno, side === "destination", Math.floor(offset / blockLengthBytes));
}

/** What is through counts from the start of the part: nothing of it does where the end goes first. */
function residualOf(part: CopyPart, done: number, destination: UnitRecord | undefined): number {
  if (destination === undefined || done === 0) return -1;
  return (part.length - (copiesEndFirst(part) ? 0 : done)) / destination.blockLengthBytes;
}

function copiesEndFirst({ source, sourceOffset, destination, destinationOffset, length }: CopyPart): boolean {
  return (
    source !== null && endGoesFirst(source.unitIndex === destination.unitIndex, sourceOffset, destinationOffset, length)
  );
}
