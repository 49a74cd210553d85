/** The description of the API, which a test holds against what the API answers. */
import { VERSION } from "../version.js";

const string = { type: "string" } as const;
const integer = { type: "integer" } as const;
const boolean = { type: "boolean" } as const;
const nullable = <const Schema extends { type: string }>({ type, ...rest }: Schema) => ({
  type: [type, "null"],
  ...rest,
});
const array = <const Items>(items: Items) => ({ type: "array", items }) as const;
const object = <const Properties extends object>(properties: Properties) =>
  ({ type: "object", required: Object.keys(properties), additionalProperties: false, properties }) as const;

const statusSchema = object({
  version: string,
  ready: boolean,
  startedAt: { type: "string", format: "date-time" },
  portals: array(object({ portalGroupTag: integer, address: string })),
  shards: array(object({ shard: integer, serving: boolean, restarts: integer })),
  targets: array(object({ name: string, alias: nullable(string), portalGroups: array(integer) })),
  units: array(
    object({
      name: string,
      uuid: { type: "string", format: "uuid" },
      kind: { type: "string", enum: ["file", "block", "null"] },
      sizeBytes: integer,
      blockLengthBytes: integer,
      cache: { type: "string", enum: ["direct", "writeback", "writethrough"] },
      readOnly: boolean,
      thin: boolean,
    }),
  ),
  sessions: array(
    object({
      sessionId: integer,
      type: { type: "string", enum: ["Normal", "Discovery"] },
      initiatorName: string,
      targetName: nullable(string),
      isid: string,
      tsih: integer,
      shard: nullable(integer),
      connections: array(object({ cid: integer, peer: string })),
    }),
  ),
});

const answer = (description: string, schema: object) => ({
  description,
  content: { "application/json": { schema } },
});

/** What every path says to a Host that is not this server's. */
const misdirected = answer(
  "The Host header names another server",
  object({ statusCode: integer, error: string, message: string }),
);

export const openApi = {
  openapi: "3.1.0",
  info: { title: "Ringlun", version: VERSION, description: "State of an iSCSI target. Read-only." },
  paths: {
    "/api/v1/status": {
      get: {
        operationId: "getStatus",
        summary: "What there is now",
        responses: { 200: answer("The state", statusSchema), 421: misdirected },
      },
    },
    "/api/v1/openapi.json": {
      get: {
        operationId: "getDescription",
        summary: "This description",
        responses: { 200: answer("OpenAPI 3.1", { type: "object" }), 421: misdirected },
      },
    },
    "/healthz": {
      get: {
        operationId: "getHealth",
        summary: "Whether the process lives",
        responses: { 200: answer("It does", object({ status: string })), 421: misdirected },
      },
    },
    "/readyz": {
      get: {
        operationId: "getReadiness",
        summary: "Whether all portals listen and all shards serve",
        responses: {
          200: answer("They do", object({ status: string })),
          503: answer("They do not, or not yet", object({ status: string })),
          421: misdirected,
        },
      },
    },
    "/metrics": {
      get: {
        operationId: "getMetrics",
        summary: "Metrics for Prometheus",
        responses: {
          200: { description: "Text format", content: { "text/plain": { schema: string } } },
          421: misdirected,
        },
      },
    },
  },
} as const;
