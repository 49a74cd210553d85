#!/usr/bin/env node
/**
 * The floor: what the kernel's TCP costs on this machine, with no protocol on top. A client sends requests of a fixed size, a server
 * answers each with a fixed size, `depth` of them under way; both sides make one io_uring call per turn and one send
 * for all that they have to say.
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
import { type CpuTime, cpuTimeOf, elapsedCpuTime, ownCpuTime } from "./cpu-time.js";
import { parseSeconds } from "./options.js";
import { formatTable } from "./statistics.js";

export interface Exchange {
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly depth: number;
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
];

const KIND_RECEIVE = 1;
const KIND_SEND = 2;
const BUFFER_BYTES = 512 * 1024;
const RAMP_US = 300_000;
/** A send up to this is expected to end at once: wait for it together with what comes next. */
const SHORT_SEND_BYTES = 160 * 1024;
const TENTHS = 10;

/** One end of a stream: counts messages in, sends messages out; the bytes mean nothing. */
class Endpoint {
  readonly ring: Ring;
  /** Kept: its memory goes when the last reference to it does, and the kernel knows only the addresses. */
  readonly arena = new Arena(2 * BUFFER_BYTES);
  readonly fd: number;
  readonly #receiveAddress: number;
  readonly #sendAddress: number;
  readonly #inBytes: number;
  readonly #outBytes: number;
  /** Bytes of an incomplete message. */
  #partial = 0;
  /** Bytes that are to be sent, and bytes of the send under way. */
  #owed = 0;
  #sending = 0;
  /** Messages that came in the last turn. */
  arrived = 0;
  closed = false;

  constructor(fd: number, inBytes: number, outBytes: number) {
    const { arena } = this;
    this.#receiveAddress = arena.address(arena.take(BUFFER_BYTES, 4096));
    this.#sendAddress = arena.address(arena.take(BUFFER_BYTES, 4096));
    arena.bytes.fill(0x5a);
    this.ring = Ring.open({ entries: 8 });
    this.fd = fd;
    this.#inBytes = inBytes;
    this.#outBytes = outBytes;
    this.#receive();
  }

  owe(messages: number): void {
    this.#owed += messages * this.#outBytes;
  }

  turn(): void {
    const { ring } = this;
    if (this.#sending === 0 && this.#owed > 0) this.#send();
    ring.enter(this.#sending > 0 && this.#sending <= SHORT_SEND_BYTES ? 2 : 1, 100);
    this.arrived = 0;
    while (ring.next()) {
      if (ring.result === -errno.ECONNRESET || ring.result === -errno.EPIPE) {
        // The other end has gone with bytes unread, as it does when it has measured enough.
        this.closed = true;
        continue;
      }
      if (ring.result < 0) throw new Error(`floor: ${errnoName(-ring.result)}`);
      if (ring.kind === KIND_SEND) {
        this.#owed -= ring.result;
        this.#sending = 0;
      } else if (ring.result === 0) {
        this.closed = true;
      } else {
        this.#partial += ring.result;
        const messages = Math.floor(this.#partial / this.#inBytes);
        this.#partial -= messages * this.#inBytes;
        this.arrived += messages;
        this.#receive();
      }
    }
  }

  #receive(): void {
    this.ring.recv(this.fd, this.#receiveAddress, BUFFER_BYTES, 0, KIND_RECEIVE, 0);
  }

  #send(): void {
    this.#sending = Math.min(this.#owed, BUFFER_BYTES);
    this.ring.send(this.fd, this.#sendAddress, this.#sending, MSG_NOSIGNAL | MSG_WAITALL, KIND_SEND, 0);
  }
}

/** The answering process: serves one connection, then ends. */
function serve(requestBytes: number, responseBytes: number): void {
  const listener = listen({ host: "127.0.0.1", port: 0, backlog: 1, reusePort: false });
  const acceptor = Ring.open({ entries: 1 });
  acceptor.accept(listener, 0, 0, 0);
  process.stdout.write(`${localAddress(listener).port}\n`, () => {
    while (!acceptor.next()) acceptor.enter(1, -1);
    const fd = acceptor.result;
    setNoDelay(fd, true);
    const endpoint = new Endpoint(fd, requestBytes, responseBytes);
    while (!endpoint.closed) {
      endpoint.turn();
      endpoint.owe(endpoint.arrived);
    }
    process.exit(0);
  });
}

function drive(port: number, pid: number, exchange: Exchange, seconds: number): FloorResult {
  const fd = connectSync("127.0.0.1", port);
  setNoDelay(fd, true);
  const endpoint = new Endpoint(fd, exchange.responseBytes, exchange.requestBytes);
  const { ring } = endpoint;
  const histogram = build({ highestTrackableValue: 60e6 * TENTHS, numberOfSignificantValueDigits: 3 });
  /** When each request under way was sent, oldest first: answers come in order. */
  const sentUs = new Float64Array(exchange.depth);
  let oldest = 0;
  let count = 0;
  let beganUs = 0;
  let server: CpuTime = { userUs: 0, systemUs: 0 };
  let client: CpuTime = server;
  sentUs.fill(ring.nowUs);
  endpoint.owe(exchange.depth);
  const rampEndUs = ring.nowUs + RAMP_US;
  for (;;) {
    endpoint.turn();
    if (endpoint.closed) throw new Error("floor: the server ended");
    const { nowUs } = ring;
    const measuring = beganUs > 0;
    for (let message = 0; message < endpoint.arrived; message++) {
      if (measuring) histogram.recordValue(Math.round((nowUs - sentUs[oldest]!) * TENTHS));
      sentUs[oldest] = nowUs;
      oldest = oldest + 1 === exchange.depth ? 0 : oldest + 1;
    }
    if (measuring) count += endpoint.arrived;
    endpoint.owe(endpoint.arrived);
    if (!measuring && nowUs >= rampEndUs) {
      beganUs = nowUs;
      server = cpuTimeOf(pid)!;
      client = ownCpuTime();
    } else if (measuring && nowUs - beganUs >= seconds * 1e6) {
      client = elapsedCpuTime(client, ownCpuTime());
      server = elapsedCpuTime(server, cpuTimeOf(pid)!);
      ring.close();
      closeSync(fd);
      return {
        ...exchange,
        rate: (count / (nowUs - beganUs)) * 1e6,
        p50Us: histogram.getValueAtPercentile(50) / TENTHS,
        serverCpuUs: (server.userUs + server.systemUs) / count,
        clientCpuUs: (client.userUs + client.systemUs) / count,
      };
    }
  }
}

/** Blocks this thread while it measures. */
export async function measureFloor(exchange: Exchange, seconds: number): Promise<FloorResult> {
  const args = [fileURLToPath(import.meta.url), "--serve", `${exchange.requestBytes},${exchange.responseBytes}`];
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
    .option("--serve <sizes>", "be the answering side: REQUEST,RESPONSE bytes");
  program.parse();
  const options = program.opts<{ seconds: number; json: boolean; serve?: string }>();
  if (options.serve !== undefined) {
    const [requestBytes, responseBytes] = options.serve.split(",").map(Number);
    serve(requestBytes!, responseBytes!);
    return;
  }
  const results: FloorResult[] = [];
  for (const exchange of EXCHANGES) results.push(await measureFloor(exchange, options.seconds));
  process.stdout.write(`${options.json ? JSON.stringify(results) : formatFloor(results)}\n`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
