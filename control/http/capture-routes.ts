/** Captures of PDUs over HTTP: a pcapng file that comes as it is made, until it is ended or its reader goes. */
import { Readable } from "node:stream";
import * as z from "zod";
import type { CaptureOptions } from "../capture/captures.js";
import { meantHint } from "../config/nearest.js";
import { CAPTURE_TIME_MAX_S, CAPTURE_TIME_MIN_S } from "../limits.js";
import type { Server } from "../server.js";
import * as documents from "./documents.js";
import { problem, type Route } from "./route.js";

const query = z.object({
  session: z.coerce.number().int().min(1).exactOptional().describe("Only of this session: its `sessionId`."),
  unit: z.string().exactOptional().describe("Only commands and task management functions for this unit, by its name."),
  data: z
    .enum(["headers", "whole"])
    .default("headers")
    .describe("headers: without the data of reads, writes and pings. whole: with it."),
  seconds: z.coerce
    .number()
    .min(CAPTURE_TIME_MIN_S)
    .max(CAPTURE_TIME_MAX_S)
    .exactOptional()
    .describe("It ends after so long."),
  maxBytes: z.coerce.number().int().min(4096).exactOptional().describe("It ends before it is longer."),
});

export const CAPTURE_ROUTES: readonly Route[] = [
  {
    method: "GET",
    url: "/api/v1/capture",
    operationId: "capture",
    summary:
      "The PDUs of a session, a unit or everything from now on, as pcapng; it ends when the connection is closed",
    isPrivileged: true,
    query,
    answers: {
      200: { description: "A file, as it is made", type: "application/x-pcapng", schema: z.string() },
      404: { description: "There is no such session or unit", schema: documents.problem },
      409: { description: "There is a capture already", schema: documents.problem },
    },
    handle: ({ server }, input, reply) => {
      const { session, unit, data, seconds, maxBytes } = input.query as z.output<typeof query>;
      const subject = subjectOf(server, session, unit);
      if (typeof subject === "string") return problem(reply, 404, subject);
      const capture = server.captures.begin({
        ...subject,
        isWhole: data === "whole",
        seconds: seconds ?? null,
        bytesMax: maxBytes ?? null,
      });
      if (capture === undefined) return problem(reply, 409, "a capture is running: end it first (DELETE)");
      reply.raw.once("close", () => capture.close());
      // Its reader may pause: what there is no room for meanwhile is counted.
      reply.raw.socket?.setTimeout(0);
      reply.type("application/x-pcapng").header("cache-control", "no-store");
      return Readable.from(capture.blocks(), { objectMode: false });
    },
  },
  {
    method: "DELETE",
    url: "/api/v1/capture",
    operationId: "endCapture",
    summary: "Ends the capture that is running; its reader gets the rest of it",
    isPrivileged: true,
    answers: {
      200: { description: "Whether there was one", schema: documents.ended },
    },
    handle: async ({ server }) => ({ ended: await server.captures.end() }),
  },
];

type Subject = Pick<CaptureOptions, "sessionId" | "unitIndex" | "description" | "isOver">;

/** What is to be captured; or what of it is not there. */
function subjectOf(server: Server, sessionId: number | undefined, unitName: string | undefined): Subject | string {
  const session = server.sessions.find((other) => other.sessionId === sessionId);
  if (sessionId !== undefined && session === undefined) return `no session ${sessionId}`;
  const unit = server.units.find(({ name }) => name === unitName);
  if (unitName !== undefined && unit === undefined) {
    return `there is no unit ${unitName}${meantHint(
      unitName,
      server.units.map(({ name }) => name),
    )}`;
  }
  const of = [session && `session ${sessionId}`, unit && `unit ${unitName}`].filter(Boolean).join(", ");
  return {
    sessionId: sessionId ?? null,
    unitIndex: unit?.unitIndex ?? null,
    description: of === "" ? "all sessions" : of,
    isOver: () =>
      (session !== undefined && !server.sessions.includes(session)) ||
      (unit !== undefined && !server.units.some(({ unitIndex }) => unitIndex === unit.unitIndex)),
  };
}
