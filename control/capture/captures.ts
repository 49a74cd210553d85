/**
 * Captures of PDUs, one at a time: a stream of pcapng blocks for whoever has asked for it. Shards write into rings of their own
 * (dataplane/capture/); what the reader does not take in time they leave out, and the file says how many PDUs that were.
 */
import { release, type } from "node:os";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { monotonicUs } from "io-uring-node";
import { CAPTURE_CHUNK_BYTES, CAPTURE_END_TIMEOUT_MS, CAPTURE_POLL_MS } from "../limits.js";
import { VERSION } from "../version.js";
import { LoginTap, LoginTrace } from "./login-trace.js";
import { interfaceDescription, interfaceStatistics, sectionHeader } from "./pcapng.js";
import { type CaptureShards, ShardTrace } from "./shard-trace.js";
import type { Trace } from "./trace.js";

export interface CaptureOptions {
  /** With data; otherwise headers, and data segments that hold no data of initiators. */
  readonly isWhole: boolean;
  /** Of this session alone; null: of all. */
  readonly sessionId: number | null;
  /** Of commands for this unit alone; null: all. */
  readonly unitIndex: number | null;
  /** For the file: what is captured. */
  readonly description: string;
  /** It ends after so long; null: when it is ended. */
  readonly seconds: number | null;
  /** It ends before the file is longer; null: it may be as long as it likes. */
  readonly bytesMax: number | null;
  /** What is captured has come to its end. */
  readonly isOver: () => boolean;
}

export class Captures {
  readonly #shards: CaptureShards;
  #last = 0;
  #running: Capture | null = null;

  constructor(shards: CaptureShards) {
    this.#shards = shards;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** For a connection that is control's own. Addresses as `192.0.2.1:3260`. */
  tap(initiatorAddress: string, portalAddress: string): LoginTap {
    return new LoginTap(() => this.#running?.logins ?? null, initiatorAddress, portalAddress);
  }

  /** Undefined: one is running already. */
  begin(options: CaptureOptions): Capture | undefined {
    if (this.#running !== null) return undefined;
    const capture = new Capture(this.#shards, ++this.#last, options, () => {
      this.#running = null;
    });
    this.#running = capture;
    return capture;
  }

  /** Its reader gets what there is, and the end. Resolves when it has, or does not take it. @returns whether there was one. */
  async end(): Promise<boolean> {
    const capture = this.#running;
    if (capture === null) return false;
    capture.end();
    await Promise.race([capture.finished, sleep(CAPTURE_END_TIMEOUT_MS, undefined, { ref: false })]);
    return true;
  }
}

export class Capture {
  /** Resolves when all has been read, or nobody reads any more. */
  readonly finished: Promise<void>;
  readonly #shards: CaptureShards;
  readonly #options: CaptureOptions;
  readonly #traces: Trace[] = [];
  readonly #logins: LoginTrace | null;
  readonly #startedUs = monotonicUs();
  readonly #clockToWallUs = Date.now() * 1000 - this.#startedUs;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onFinished: () => void;
  #announceFinished: () => void = () => {};
  #isEnding = false;
  #isClosed = false;

  constructor(shards: CaptureShards, number: number, options: CaptureOptions, onFinished: () => void) {
    this.#shards = shards;
    this.#options = options;
    this.#onFinished = onFinished;
    this.finished = new Promise((resolve) => {
      this.#announceFinished = resolve;
    });
    const { isWhole, sessionId, unitIndex, seconds } = options;
    for (let shard = 0; shard < shards.count; shard++) {
      this.#traces.push(new ShardTrace(shard, shards, number, this.#clockToWallUs));
    }
    // Who is not logged in belongs to no session.
    const isOfAll = sessionId === null && unitIndex === null;
    this.#logins = isOfAll ? new LoginTrace(shards.count, number, this.#clockToWallUs) : null;
    if (this.#logins !== null) this.#traces.push(this.#logins);
    shards.capture({ number, isWhole, sessionId, unitIndex });
    if (seconds !== null) this.#timer = setTimeout(() => this.end(), seconds * 1000);
  }

  /** Where logins go; null: nowhere. */
  get logins(): LoginTrace | null {
    return this.#isEnding ? null : this.#logins;
  }

  /** No more is captured; what was is still to be read. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    clearTimeout(this.#timer);
    this.#shards.capture(null);
  }

  /** Nobody reads any more: another capture may begin. To be called when the reader is gone, who may not even have begun. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.end();
    this.#onFinished();
    this.#announceFinished();
  }

  /** The file, a part at a time. To be read once. */
  async *blocks(): AsyncGenerator<Buffer> {
    try {
      yield* this.#limited();
    } finally {
      this.close();
    }
  }

  async *#limited(): AsyncGenerator<Buffer> {
    const head = this.#head();
    const { bytesMax } = this.#options;
    // The end has a place of its own.
    let left = (bytesMax ?? Number.POSITIVE_INFINITY) - head.length - this.#tail().length;
    yield head;
    for await (const blocks of this.#packets()) {
      const fitting = fittingIn(blocks, left);
      const bytes = Buffer.concat(fitting);
      left -= bytes.length;
      if (bytes.length > 0) yield bytes;
      if (fitting.length < blocks.length) break;
    }
    yield this.#tail();
  }

  /** All that the shards write, until it is over and there is nothing left. */
  async *#packets(): AsyncGenerator<Buffer[]> {
    for (;;) {
      // Looked at first: what was written before its end is read after.
      if (this.#options.isOver()) this.end();
      const isEnding = this.#isEnding;
      let isIdle = true;
      for (const trace of this.#traces) {
        // The rings may be another capture's.
        if (this.#isClosed) return;
        // What a shard has of a connection comes behind its login, which was there first.
        const logins = this.#logins?.take(CAPTURE_CHUNK_BYTES) ?? [];
        const blocks = logins.length > 0 ? logins : trace.take(CAPTURE_CHUNK_BYTES);
        if (blocks.length === 0) continue;
        isIdle = false;
        yield blocks;
        await turn();
      }
      if (!isIdle) continue;
      if (isEnding) return;
      await sleep(CAPTURE_POLL_MS);
    }
  }

  #head(): Buffer {
    return Buffer.concat([
      sectionHeader({
        os: `${type()} ${release()}`,
        application: `ringlun ${VERSION}`,
        comment: this.#options.description,
      }),
      ...this.#traces.map(({ name, description }) =>
        interfaceDescription({ name, description: `${description}; Ethernet, IP and TCP headers are made up` }),
      ),
    ]);
  }

  #tail(): Buffer {
    const toNs = (us: number) => BigInt(Math.round(us + this.#clockToWallUs)) * 1000n;
    return Buffer.concat(
      this.#traces.map(({ pdus, dropped }, interfaceId) =>
        interfaceStatistics({
          interfaceId,
          startNs: toNs(this.#startedUs),
          endNs: toNs(monotonicUs()),
          received: pdus + dropped,
          dropped,
        }),
      ),
    );
  }
}

/** The first of the blocks, as many as there is room for. */
function fittingIn(blocks: readonly Buffer[], room: number): Buffer[] {
  const fitting: Buffer[] = [];
  for (const block of blocks) {
    room -= block.length;
    if (room < 0) break;
    fitting.push(block);
  }
  return fitting;
}
