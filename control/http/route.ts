/** What a route of the API is made of. The routes themselves are in routes.ts, and in files of their own beside it. */
import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import type * as z from "zod";
import type { Administration } from "../administration.js";
import type { Logger } from "../logger.js";
import type { Server } from "../server.js";
import type * as documents from "./documents.js";
import type { Metrics } from "./metrics.js";
import { jsonPieces, partsOf } from "./parts.js";

/** What routes answer from. */
export interface HttpContext {
  readonly server: Server;
  readonly administration: Administration;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface RouteAnswer {
  readonly description: string;
  /** Absent: JSON. */
  readonly type?: string;
  readonly schema: z.ZodType;
}

export interface Route {
  readonly method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  /** As fastify writes it: `/sessions/:sessionId`. */
  readonly url: string;
  readonly operationId: string;
  readonly summary: string;
  /** Through the socket, or with a token, alone. */
  readonly isPrivileged: boolean;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: { readonly type: string; readonly schema: z.ZodType };
  readonly bodyLimit?: number;
  readonly answers: Readonly<Record<number, RouteAnswer>>;
  /** Sends nothing by itself: what it returns is the body. `input` has been checked. */
  handle(context: HttpContext, input: RouteInput, reply: FastifyReply, request: FastifyRequest): unknown;
}

/** What has come, after its check. */
export interface RouteInput {
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

/** An answer that says what is wrong, and what to do. */
export function problem(reply: FastifyReply, statusCode: number, message: string): z.output<typeof documents.problem> {
  reply.code(statusCode);
  return { statusCode, error: ERRORS[statusCode] ?? "Error", message };
}

/** An answer in JSON that may be long, made a part at a time. */
export function jsonInParts(reply: FastifyReply, make: () => object): Readable {
  reply.type("application/json; charset=utf-8");
  return Readable.from(partsOf(jsonPieces(make)));
}

const ERRORS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  409: "Conflict",
  421: "Misdirected Request",
  503: "Service Unavailable",
};
