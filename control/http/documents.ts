/** What the API takes and gives: the schemas that check it and describe it. */
import * as z from "zod";
import { ACCESS_STATE_NAMES, CACHE_MODES, LOG_LEVELS } from "../config/schema.js";

const rates = {
  reads: z.number().describe("Commands a second."),
  writes: z.number(),
  others: z.number().describe("Commands a second that neither read nor write blocks."),
  errors: z.number().describe("Commands a second that did not end with GOOD."),
  readBytes: z.number().describe("Bytes a second."),
  writtenBytes: z.number(),
  inFlight: z.number().describe("Commands that have begun and not ended."),
  readLatency: z.strictObject({ mean: z.number(), p50: z.number(), p99: z.number() }).nullable().describe("Seconds."),
  writeLatency: z.strictObject({ mean: z.number(), p50: z.number(), p99: z.number() }).nullable(),
};

export const problem = z.strictObject({
  statusCode: z.int(),
  error: z.string(),
  message: z.string().describe("What is wrong, and what to do."),
});

export const fault = z.strictObject({
  path: z.string().describe("Key of the configuration; empty for the file as a whole."),
  line: z.int(),
  column: z.int(),
  message: z.string(),
});

const serviceState = z.enum(["serving", "draining", "drained"]);

export const portal = z.strictObject({
  portalGroupTag: z.int(),
  address: z.string(),
  state: serviceState,
  connections: z.int().describe("Of Normal sessions, that came through it."),
});

export const target = z.strictObject({
  name: z.string(),
  alias: z.string().nullable(),
  portalGroups: z.array(z.int()),
  state: serviceState,
});

export const unit = z.strictObject({
  name: z.string(),
  uuid: z.uuid(),
  kind: z.enum(["file", "block", "null"]),
  sizeBytes: z.int(),
  blockLengthBytes: z.int(),
  cache: z.enum(CACHE_MODES),
  readOnly: z.boolean(),
  thin: z.boolean(),
  limits: z
    .strictObject({
      iops: z.int().nullable().describe("Commands a second."),
      bytesPerSecond: z.int().nullable(),
      burstSeconds: z.number().describe("So many seconds' worth may be saved up."),
    })
    .nullable()
    .describe("Of all initiators together."),
  paths: z
    .array(
      z.strictObject({
        portalGroupTag: z.int(),
        state: z.enum(ACCESS_STATE_NAMES),
        preferred: z.boolean(),
      }),
    )
    .describe("Portal groups through which it is reached, and how (asymmetric logical unit access)."),
});

export const session = z.strictObject({
  sessionId: z.int(),
  type: z.enum(["Normal", "Discovery"]),
  initiatorName: z.string(),
  targetName: z.string().nullable(),
  portalGroupTag: z.int().nullable(),
  isid: z.string(),
  tsih: z.int(),
  shard: z.int().nullable(),
  user: z.string().nullable().describe("By which it has authenticated with CHAP."),
  parameters: z.record(z.string(), z.union([z.string(), z.int(), z.boolean()])).describe("As negotiated."),
  connections: z.array(
    z.strictObject({
      cid: z.int(),
      peer: z.string(),
      portal: z.string().describe("The address by which it reached this server."),
      headerDigest: z.string(),
      dataDigest: z.string(),
    }),
  ),
});

export const status = z.strictObject({
  version: z.string(),
  ready: z.boolean(),
  startedAt: z.iso.datetime(),
  portals: z.array(portal),
  shards: z.array(z.strictObject({ shard: z.int(), serving: z.boolean(), restarts: z.int() })),
  targets: z.array(target),
  units: z.array(unit),
  sessions: z.array(session),
});

export const statistics = z.strictObject({
  at: z.iso.datetime(),
  seconds: z.number().describe("Over how long."),
  total: z.strictObject(rates).describe("Of all units together."),
  units: z.array(z.strictObject({ name: z.string(), ...rates })),
  sessions: z.array(
    z.strictObject({ sessionId: z.int(), initiatorName: z.string(), targetName: z.string(), ...rates }),
  ),
  shards: z.array(
    z.strictObject({
      shard: z.int(),
      cpu: z
        .number()
        .describe("Part of one core that its work took: less than it has used, where it stays awake for short waits."),
    }),
  ),
});

/** What changes now and then, beside statistics. Of sessions only what tells them apart: it is sent often. */
export const state = status.extend({
  sessions: z.array(session.omit({ isid: true, tsih: true, user: true, parameters: true })),
});

export const changed = z.strictObject({
  differences: z.array(
    z.strictObject({
      path: z.string(),
      kind: z.enum(["added", "removed", "changed"]),
      from: z.string().exactOptional(),
      to: z.string().exactOptional(),
      effect: z
        .enum(["live", "session", "restart"])
        .describe("live: at once. session: sessions that have to do with it end. restart: not before a restart."),
    }),
  ),
  warnings: z.array(fault),
  digest: z.string().nullable().describe("Of the text that is in force: the If-Match of the next change."),
});

export const creation = z.strictObject({
  id: z.int(),
  unit: z.string(),
  state: z.enum(["running", "done", "failed", "cancelled"]),
  doneBytes: z.int(),
  totalBytes: z.int(),
  message: z.string().nullable().describe("Why it has failed."),
});

export const unitDeleted = changed.extend({
  file: z
    .strictObject({ path: z.string(), deleted: z.boolean(), reason: z.string().nullable().describe("Why it was not.") })
    .nullable(),
});

export const refused = problem.extend({ faults: z.array(fault) });

export const logLevel = z.strictObject({
  level: z.enum(LOG_LEVELS),
});

export const asked = z.strictObject({
  asked: z.int().describe("Connections over which its initiator is asked."),
});

export const ended = z.strictObject({
  ended: z.boolean().describe("Whether it has; otherwise it still does, and its shard says so in the log."),
});

export type Status = z.output<typeof status>;
export type Statistics = z.output<typeof statistics>;
export type State = z.output<typeof state>;
export type PortalDocument = z.output<typeof portal>;
export type TargetDocument = z.output<typeof target>;
export type UnitDocument = z.output<typeof unit>;
export type SessionDocument = z.output<typeof session>;
