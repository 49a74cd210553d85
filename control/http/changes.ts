/** What every route answers that changes the configuration. */
import type { FastifyReply } from "fastify";
import type { Administration, ChangeResult, RefusalReason } from "../administration.js";
import * as documents from "./documents.js";
import type { RouteAnswer } from "./route.js";

const STATUS_OF_REFUSAL: Readonly<Record<RefusalReason, number>> = {
  notFound: 404,
  invalid: 400,
  forbidden: 403,
  conflict: 409,
  timeout: 504,
};

export const CHANGE_ANSWERS: Readonly<Record<number, RouteAnswer>> = {
  200: { description: "What is different", schema: documents.changed },
  400: { description: "It has faults; nothing has changed", schema: documents.refused },
  403: {
    description: "It reaches for files that requests may not reach; nothing has changed",
    schema: documents.refused,
  },
  409: {
    description: "It cannot be had, or the file has changed meanwhile; nothing has changed",
    schema: documents.refused,
  },
  504: {
    description: "It has not ended in time: it goes on, or is in force and not done in full, or was not begun",
    schema: documents.refused,
  },
};

export function answerChange(administration: Administration, result: ChangeResult, reply: FastifyReply) {
  if (result.ok) {
    const { differences, warnings } = result;
    return { differences, warnings, digest: administration.digest };
  }
  const { reason, message, faults } = result;
  const statusCode = STATUS_OF_REFUSAL[reason];
  reply.code(statusCode);
  return { statusCode, error: reason, message, faults };
}
