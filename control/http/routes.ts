/** What can be asked over HTTP: each path once, with who may ask, what it takes and what it answers. */
import { Readable } from "node:stream";
import * as z from "zod";
import { HTTP_BODY_LENGTH_MAX, HTTP_CONFIGURATION_LENGTH_MAX } from "../limits.js";
import { CAPTURE_ROUTES } from "./capture-routes.js";
import { answerChange, CHANGE_ANSWERS } from "./changes.js";
import * as documents from "./documents.js";
import { DRAIN_ROUTES } from "./drain-routes.js";
import { openApi } from "./openapi.js";
import { jsonInParts, problem, type Route } from "./route.js";
import { statisticsStream } from "./statistics-stream.js";
import { portals, sessions, status, targets, units } from "./status.js";
import { UNIT_ROUTES } from "./unit-routes.js";

/** Made when somebody asks for it first. */
let description: ReturnType<typeof openApi> | undefined;

const text = z.string();
const YAML = "application/yaml";

export const ROUTES: readonly Route[] = [
  {
    method: "GET",
    url: "/metrics",
    operationId: "getMetrics",
    summary: "Metrics for Prometheus",
    isPrivileged: false,
    answers: { 200: { description: "Text format", type: "text/plain", schema: text } },
    handle: ({ metrics }, _input, reply) => {
      reply.type(metrics.contentType);
      return Readable.from(metrics.text());
    },
  },
  {
    method: "GET",
    url: "/healthz",
    operationId: "getHealth",
    summary: "Whether the process lives",
    isPrivileged: false,
    answers: { 200: { description: "It does", schema: z.strictObject({ status: text }) } },
    handle: () => ({ status: "ok" }),
  },
  {
    method: "GET",
    url: "/readyz",
    operationId: "getReadiness",
    summary: "Whether all portals listen and all shards serve",
    isPrivileged: false,
    answers: {
      200: { description: "They do", schema: z.strictObject({ status: text }) },
      503: { description: "They do not, or not yet", schema: z.strictObject({ status: text }) },
    },
    handle: ({ server }, _input, reply) => {
      if (server.isReady) return { status: "ready" };
      reply.code(503);
      return { status: "not ready" };
    },
  },
  {
    method: "GET",
    url: "/api/v1/openapi.json",
    operationId: "getDescription",
    summary: "This description",
    isPrivileged: false,
    answers: { 200: { description: "OpenAPI 3.1", schema: z.record(z.string(), z.unknown()) } },
    handle: () => {
      description ??= openApi(ROUTES);
      return description;
    },
  },
  {
    method: "GET",
    url: "/api/v1/status",
    operationId: "getStatus",
    summary: "What there is now",
    isPrivileged: false,
    answers: { 200: { description: "The state", schema: documents.status } },
    handle: ({ server }, _input, reply) => jsonInParts(reply, () => status(server)),
  },
  {
    method: "GET",
    url: "/api/v1/sessions",
    operationId: "getSessions",
    summary: "Who is logged in",
    isPrivileged: false,
    answers: { 200: { description: "Sessions", schema: z.array(documents.session) } },
    handle: ({ server }, _input, reply) => jsonInParts(reply, () => sessions(server)),
  },
  {
    method: "DELETE",
    url: "/api/v1/sessions/:sessionId",
    operationId: "endSession",
    summary: "Ends a session with all its connections and tasks; its initiator may log in again",
    isPrivileged: true,
    params: z.object({ sessionId: z.coerce.number().int().min(1) }),
    answers: {
      200: { description: "It has ended, or does", schema: documents.ended },
      404: { description: "There is no such session", schema: documents.problem },
    },
    handle: async ({ administration }, { params }, reply) => {
      const ended = await administration.endSession(params.sessionId as number, "ended by an administrator");
      return ended === undefined ? problem(reply, 404, `no session ${params.sessionId}`) : { ended };
    },
  },
  {
    method: "POST",
    url: "/api/v1/sessions/:sessionId/negotiate",
    operationId: "negotiateSession",
    summary: "Asks a session's initiator to negotiate anew; one that cannot logs in again",
    isPrivileged: true,
    params: z.object({ sessionId: z.coerce.number().int().min(1) }),
    answers: {
      200: { description: "It is asked", schema: documents.asked },
      404: { description: "There is no such session", schema: documents.problem },
    },
    handle: ({ administration }, { params }, reply) => {
      const asked = administration.requestNegotiation(params.sessionId as number);
      return asked === undefined ? problem(reply, 404, `no session ${params.sessionId}`) : { asked };
    },
  },
  {
    method: "GET",
    url: "/api/v1/units",
    operationId: "getUnits",
    summary: "Logical units",
    isPrivileged: false,
    answers: { 200: { description: "Units", schema: z.array(documents.unit) } },
    handle: ({ server }, _input, reply) => jsonInParts(reply, () => units(server)),
  },
  {
    method: "GET",
    url: "/api/v1/targets",
    operationId: "getTargets",
    summary: "Targets",
    isPrivileged: false,
    answers: { 200: { description: "Targets", schema: z.array(documents.target) } },
    handle: ({ server }, _input, reply) => jsonInParts(reply, () => targets(server)),
  },
  {
    method: "GET",
    url: "/api/v1/portals",
    operationId: "getPortals",
    summary: "Where it listens",
    isPrivileged: false,
    answers: { 200: { description: "Portals", schema: z.array(documents.portal) } },
    handle: ({ server }, _input, reply) => jsonInParts(reply, () => portals(server)),
  },
  statisticsStream,
  {
    method: "GET",
    url: "/api/v1/config",
    operationId: "getConfigurationDigest",
    summary: "Which configuration is in force, without its text, which may hold secrets",
    isPrivileged: true,
    answers: {
      200: {
        description: "Its file and the digest of its text; null where it came from no file",
        schema: z.strictObject({ file: text, digest: text.nullable() }),
      },
    },
    handle: ({ server, administration }) => ({ file: server.configuration.file, digest: administration.digest }),
  },
  {
    method: "PUT",
    url: "/api/v1/config",
    operationId: "putConfiguration",
    summary: "Puts a configuration in force, and in the place of the file; comments stay as they are sent",
    isPrivileged: true,
    query: z.object({ dryRun: z.enum(["true", "false"]).default("false").describe("Only say what would change.") }),
    body: { type: YAML, schema: text },
    bodyLimit: HTTP_CONFIGURATION_LENGTH_MAX,
    answers: CHANGE_ANSWERS,
    handle: async ({ administration }, { query, body }, reply, request) => {
      const basis = request.headers["if-match"]?.replace(/^"|"$/g, "");
      const options = { dryRun: query.dryRun === "true", ...(basis === undefined ? {} : { basis }) };
      return answerChange(administration, await administration.apply(body as Buffer, options), reply);
    },
  },
  {
    method: "POST",
    url: "/api/v1/config/reload",
    operationId: "reloadConfiguration",
    summary: "Reads the configuration file again, as SIGHUP does",
    isPrivileged: true,
    answers: CHANGE_ANSWERS,
    handle: async ({ administration }, _input, reply) =>
      answerChange(administration, await administration.reload(), reply),
  },
  {
    method: "GET",
    url: "/api/v1/log",
    operationId: "getLogLevel",
    summary: "What is logged",
    isPrivileged: false,
    answers: { 200: { description: "The level", schema: documents.logLevel } },
    handle: ({ logger }) => ({ level: logger.level }),
  },
  {
    method: "PUT",
    url: "/api/v1/log",
    operationId: "putLogLevel",
    summary: "Logs more, or less, until the configuration is read again",
    isPrivileged: true,
    body: { type: "application/json", schema: documents.logLevel },
    bodyLimit: HTTP_BODY_LENGTH_MAX,
    answers: { 200: { description: "The level", schema: documents.logLevel } },
    handle: ({ logger }, { body }) => {
      logger.level = (body as z.output<typeof documents.logLevel>).level;
      return { level: logger.level };
    },
  },
  ...CAPTURE_ROUTES,
  ...DRAIN_ROUTES,
  ...UNIT_ROUTES,
];
