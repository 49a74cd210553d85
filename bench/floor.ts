#!/usr/bin/env node
/**
 * The floor: what the kernel's TCP costs on this machine, with no protocol on top. A client sends requests of a fixed size, a server
 * answers each with a fixed size, `depth` of them under way on each connection; both sides make one io_uring call per turn and one send
 * for all that they have to say on a connection.
 *
 *     node dist/bench/floor.js [--seconds 2] [--json]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command } from "commander";
import { build } from "hdr-histogram-js";
import {
  closeSync,
  connectSync,
  errno,
  errnoName,
  listen,
  localAddress,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  Ring,
  setNoDelay,
} from "io-uring-node";
import { Arena } from "../dataplane/arena.js";
import { type CpuTime, elapsedCpuTime, ownCpuTime, processMs } from "./cpu-time.js";
import { parseSeconds } from "./options.js";
import { formatTable } from "./statistics.js";

export interface Exchange {
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly depth: number;
  readonly connections: number;
  /** What the server does for each request besides, microseconds. */
  readonly workUs: number;
}

export interface FloorResult extends Exchange {
  readonly rate: number;
  readonly p50Us: number;
  /** Of the answering side, per exchange. */
  readonly serverCpuUs: number;
  readonly clientCpuUs: number;
}

const BHS_BYTES = 48;
const BLOCK_4K = 4096;
const BLOCK_256K = 262144;

/** The sizes of the compared workloads: a header one way, header and data the other. */
export const EXCHANGES: readonly Exchange[] = [
  { requestBytes: BHS_BYTES, responseBytes: BHS_BYTES + BLOCK_4K, depth: 1 },
  { requestBytes: BHS_BYTES, responseBytes: BHS_BYTES + BLOCK_4K, depth: 32 },
  { requestBytes: BHS_BYTES + BLOCK_4K, responseBytes: BHS_BYTES, depth: 32 },
  { requestBytes: BHS_BYTES, responseBytes: BLOCK_256K, depth: 1 },
  { requestBytes: BHS_BYTES, responseBytes: BLOCK_256K, depth: 8 },
  { requestBytes: BLOCK_256K, responseBytes: BHS_BYTES, depth: 8 },
].map((sizes) => ({ ...sizes, connections: 1, workUs: 0 }));

const KIND_RECEIVE = 1;
const KIND_SEND = 2;
const BUFFER_BYTES = 512 * 1024;
const RAMP_US = 300_000;
/** Sends up to this are expected to end at once: wait for them together with what comes next. */
const SHORT_SENDS_BYTES = 160 * 1024;
const TENTHS = 10;

/** One end of a connection: counts messages in, sends messages out; the bytes mean nothing. */
interface Stream {
  readonly fd: number;
  readonly receiveAddress: number;
  readonly sendAddress: number;
  /** Bytes of an incomplete message. */
  partial: number;
  /** Bytes that are to be sent, and bytes of the send under way. */
  owed: number;
  sending: number;
  /** Messages that came in the last turn. */
  arrived: number;
}

/** One side: its ends of all connections. */
class Side {
  readonly ring: Ring;
  /** Kept: its memory goes when the last reference to it does, and the kernel knows only the addresses. */
  readonly arena: Arena;
  readonly streams: Stream[];
  readonly #inBytes: number;
  readonly #outBytes: number;
  closed = false;

  constructor(fds: readonly number[], inBytes: number, outBytes: number) {
    this.arena = new Arena(2 * BUFFER_BYTES * fds.length);
    const buffer = (): number => this.arena.address(this.arena.take(BUFFER_BYTES, 4096));
    this.streams = fds.map((fd) => {
      setNoDelay(fd, true);
      return { fd, receiveAddress: buffer(), sendAddress: buffer(), partial: 0, owed: 0, sending: 0, arrived: 0 };
    });
    this.arena.bytes.fill(0x5a);
    this.ring = Ring.open({ entries: 4 * fds.length });
    this.#inBytes = inBytes;
    this.#outBytes = outBytes;
    for (let at = 0; at < fds.length; at++) this.#receive(at);
  }

  owe(stream: Stream, messages: number): void {
    stream.owed += messages * this.#outBytes;
  }

  turn(): void {
    const { ring, streams } = this;
    let sends = 0;
    let bytes = 0;
    for (let at = 0; at < streams.length; at++) {
      const stream = streams[at]!;
      stream.arrived = 0;
      if (stream.sending === 0 && stream.owed > 0) this.#send(at);
      if (stream.sending === 0) continue;
      sends++;
      bytes += stream.sending;
    }
    ring.enter(bytes <= SHORT_SENDS_BYTES ? sends + 1 : 1, 100);
    while (ring.next()) {
      if (ring.result === -errno.ECONNRESET || ring.result === -errno.EPIPE) {
        // The other side has gone with bytes unread, as it does when it has measured enough.
        this.closed = true;
        continue;
      }
      if (ring.result < 0) throw new Error(`floor: ${errnoName(-ring.result)}`);
      const stream = streams[ring.index]!;
      if (ring.kind === KIND_SEND) {
        stream.owed -= ring.result;
        stream.sending = 0;
      } else if (ring.result === 0) {
        this.closed = true;
      } else {
        stream.partial += ring.result;
        const messages = Math.floor(stream.partial / this.#inBytes);
        stream.partial -= messages * this.#inBytes;
        stream.arrived += messages;
        this.#receive(ring.index);
      }
    }
  }

  #receive(at: number): void {
    const { fd, receiveAddress } = this.streams[at]!;
    this.ring.recv(fd, receiveAddress, BUFFER_BYTES, 0, KIND_RECEIVE, at);
  }

  #send(at: number): void {
    const stream = this.streams[at]!;
    stream.sending = Math.min(stream.owed, BUFFER_BYTES);
    this.ring.send(stream.fd, stream.sendAddress, stream.sending, MSG_NOSIGNAL | MSG_WAITALL, KIND_SEND, at);
  }
}

/** The answering process: serves one client, then ends. */
function serve({ requestBytes, responseBytes, connections, workUs }: Exchange): void {
  const listener = listen({ host: "127.0.0.1", port: 0, backlog: connections, reusePort: false });
  const acceptor = Ring.open({ entries: 1 });
  process.stdout.write(`${localAddress(listener).port}\n`, () => {
    const fds = Array.from({ length: connections }, () => {
      acceptor.accept(listener, 0, 0, 0);
      while (!acceptor.next()) acceptor.enter(1, -1);
      return acceptor.result;
    });
    const side = new Side(fds, requestBytes, responseBytes);
    while (!side.closed) {
      side.turn();
      let arrived = 0;
      for (const stream of side.streams) {
        side.owe(stream, stream.arrived);
        arrived += stream.arrived;
      }
      const doneMs = performance.now() + (arrived * workUs) / 1000;
      while (performance.now() < doneMs);
    }
    process.exit(0);
  });
}

/** When each request under way on a connection was sent, oldest first: answers come in order. */
class Requests {
  readonly #sentUs: Float64Array;
  #oldest = 0;

  constructor(depth: number, nowUs: number) {
    this.#sentUs = new Float64Array(depth).fill(nowUs);
  }

  /** The oldest is answered and the next is sent. Returns how long it took, microseconds. */
  answered(nowUs: number): number {
    const tookUs = nowUs - this.#sentUs[this.#oldest]!;
    this.#sentUs[this.#oldest] = nowUs;
    this.#oldest = this.#oldest + 1 === this.#sentUs.length ? 0 : this.#oldest + 1;
    return tookUs;
  }
}

function drive(port: number, pid: number, exchange: Exchange, seconds: number): FloorResult {
  const fds = Array.from({ length: exchange.connections }, () => connectSync("127.0.0.1", port));
  const side = new Side(fds, exchange.responseBytes, exchange.requestBytes);
  const { ring, streams } = side;
  const histogram = build({ highestTrackableValue: 60e6 * TENTHS, numberOfSignificantValueDigits: 3 });
  const requests = streams.map(() => new Requests(exchange.depth, ring.nowUs));
  let count = 0;
  let beganUs = 0;
  let serverMs = 0;
  let client: CpuTime = { userUs: 0, systemUs: 0 };
  for (const stream of streams) side.owe(stream, exchange.depth);
  const rampEndUs = ring.nowUs + RAMP_US;
  for (;;) {
    side.turn();
    if (side.closed) throw new Error("floor: the server ended");
    const { nowUs } = ring;
    const measuring = beganUs > 0;
    for (let at = 0; at < streams.length; at++) {
      const { arrived } = streams[at]!;
      for (let message = 0; message < arrived; message++) {
        const tookUs = requests[at]!.answered(nowUs);
        if (measuring) histogram.recordValue(Math.round(tookUs * TENTHS));
      }
      if (measuring) count += arrived;
      side.owe(streams[at]!, arrived);
    }
    if (!measuring && nowUs >= rampEndUs) {
      beganUs = nowUs;
      serverMs = processMs(pid);
      client = ownCpuTime();
    } else if (measuring && nowUs - beganUs >= seconds * 1e6) {
      client = elapsedCpuTime(client, ownCpuTime());
      serverMs = processMs(pid) - serverMs;
      ring.close();
      for (const fd of fds) closeSync(fd);
      return {
        ...exchange,
        rate: (count / (nowUs - beganUs)) * 1e6,
        p50Us: histogram.getValueAtPercentile(50) / TENTHS,
        serverCpuUs: (serverMs * 1000) / count,
        clientCpuUs: (client.userUs + client.systemUs) / count,
      };
    }
  }
}

/** Blocks this thread while it measures. */
export async function measureFloor(exchange: Exchange, seconds: number): Promise<FloorResult> {
  const args = [fileURLToPath(import.meta.url), "--serve", JSON.stringify(exchange)];
  const server: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(server.stdout!, "data")) as [Buffer];
    return drive(Number(line.toString()), server.pid!, exchange, seconds);
  } finally {
    server.kill("SIGKILL");
  }
}

export function formatFloor(results: readonly FloorResult[]): string {
  const size = (bytes: number): string => `${bytes.toLocaleString("en")} B`;
  return formatTable([
    ["bare TCP", "depth", "exchanges/s", "MB/s", "p50 us", "CPU us: server", "client"],
    ...results.map((result) => [
      `${size(result.requestBytes)} for ${size(result.responseBytes)}`,
      String(result.depth),
      result.rate.toFixed(0),
      ((result.rate * (result.requestBytes + result.responseBytes)) / 1e6).toFixed(0),
      result.p50Us.toFixed(1),
      result.serverCpuUs.toFixed(1),
      result.clientCpuUs.toFixed(1),
    ]),
  ]);
}

async function main(): Promise<void> {
  const program = new Command("floor")
    .description("Measures bare TCP exchanges of the sizes that iSCSI has.")
    .option("--seconds <seconds>", "of each measurement", parseSeconds, 2)
    .option("--json", "print the results as JSON", false)
    .option("--serve <exchange>", "be the answering side; JSON");
  program.parse();
  const options = program.opts<{ seconds: number; json: boolean; serve?: string }>();
  if (options.serve !== undefined) {
    serve(JSON.parse(options.serve) as Exchange);
    return;
  }
  const results: FloorResult[] = [];
  for (const exchange of EXCHANGES) results.push(await measureFloor(exchange, options.seconds));
  process.stdout.write(`${options.json ? JSON.stringify(results) : formatFloor(results)}\n`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
