/** The stream of server-sent events that the page and `ringlun top` live on. */
import { Readable } from "node:stream";
import * as z from "zod";
import {
  STATE_LOOK_INTERVAL_MS,
  STATISTICS_INTERVAL_MAX_S,
  STATISTICS_INTERVAL_MIN_S,
  STATISTICS_RETRY_MS,
  STATISTICS_STREAMS_MAX,
} from "../limits.js";
import type { Server } from "../server.js";
import { ownTurn } from "../turns.js";
import * as documents from "./documents.js";
import { liveStatistics } from "./live-statistics.js";
import { jsonPieces, partsOf } from "./parts.js";
import { problem, type Route } from "./route.js";
import { state } from "./status.js";

let streams = 0;

export const statisticsStream: Route = {
  method: "GET",
  url: "/api/v1/statistics",
  operationId: "streamStatistics",
  summary: "Rates and latencies of units, sessions and shards, as server-sent events named `statistics`",
  isPrivileged: false,
  query: z.object({
    interval: z.coerce
      .number()
      .min(STATISTICS_INTERVAL_MIN_S)
      .max(STATISTICS_INTERVAL_MAX_S)
      .default(1)
      .describe("Seconds between two events."),
    state: z
      .enum(["true", "false"])
      .default("false")
      .describe("Also events named `state`, with what else there is: the first at once, others when it has changed."),
  }),
  answers: {
    200: {
      description: "Events; the data of each is one document of the schema that belongs to its name",
      type: "text/event-stream",
      schema: z.union([documents.statistics, documents.state]),
    },
    503: { description: "There are too many streams", schema: documents.problem },
  },
  handle: ({ server }, { query }, reply) => {
    if (streams >= STATISTICS_STREAMS_MAX) return problem(reply, 503, "too many streams: end one of them");
    streams++;
    const ending = new AbortController();
    reply.raw.once("close", () => {
      streams--;
      ending.abort();
    });
    reply.type("text/event-stream").header("cache-control", "no-store");
    return Readable.from(events(server, (query.interval as number) * 1000, query.state === "true", ending.signal));
  },
};

async function* events(
  server: Server,
  intervalMs: number,
  withState: boolean,
  signal: AbortSignal,
): AsyncGenerator<string> {
  yield `retry: ${STATISTICS_RETRY_MS}\n\n`;
  let told: string | undefined;
  const changedState = async (): Promise<string> => {
    if (!withState) return "";
    const text = await stateText(server);
    if (text === told) return "";
    told = text;
    await ownTurn();
    return `event: state\ndata: ${text}\n\n`;
  };
  yield changedState();
  for await (const look of liveStatistics(server, intervalMs, signal)) {
    yield `${await changedState()}event: statistics\ndata: `;
    yield* partsOf(jsonPieces(() => look));
    yield "\n\n";
  }
}

/** Of each server, for all streams together: with a thousand units and sessions it takes milliseconds. */
const texts = new WeakMap<Server, { readonly text: Promise<string>; readonly atMs: number }>();

function stateText(server: Server): Promise<string> {
  const known = texts.get(server);
  const atMs = performance.now();
  if (known !== undefined && atMs - known.atMs < STATE_LOOK_INTERVAL_MS) return known.text;
  const text = textOf(partsOf(jsonPieces(() => state(server))));
  texts.set(server, { text, atMs });
  return text;
}

async function textOf(parts: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const part of parts) text += part;
  return text;
}
