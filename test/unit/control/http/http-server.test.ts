import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Secret } from "../../../../control/config/secret.js";
import { isOurs } from "../../../../control/http/http-server.js";
import { Server } from "../../../../control/server.js";
import { configuration, INITIATOR, silent, TARGET, target } from "../support/fixtures.js";
import { Initiator } from "../support/initiator.js";

const WORKER = new URL("../support/fake-shard.js", import.meta.url);
const SECRET = "a secret nobody may see";

let server: Server;
let initiator: Initiator;
let path: string;

before(async () => {
  path = mkdtempSync(join(tmpdir(), "ringlun-http-"));
  const auth = { chap: [{ user: "alice", secret: new Secret(Buffer.from(SECRET)) }], mutual: null };
  const targets = [target(), target({ name: "iqn.2026-11.io.ringlun:locked", auth })];
  const http = { listen: { host: "127.0.0.1", port: 0 } };
  server = await Server.start(configuration(path, { targets, http }), { logger: silent, worker: WORKER });
  initiator = await Initiator.connect(server.portals[0]!.address);
  await initiator.login({ keys: { InitiatorName: INITIATOR, TargetName: TARGET } });
});

after(async () => {
  initiator.close();
  await server.stop(0);
  rmSync(path, { recursive: true });
});

async function request(url: string, host?: string): Promise<{ status: number; type: string; body: string }> {
  const { port } = server.httpAddress!;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = host === undefined ? {} : { host };
    get({ host: "127.0.0.1", port, path: url, headers }, resolve).on("error", reject);
  });
  let body = "";
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", body };
}

test("metrics are in Prometheus's format, and count what has happened", async () => {
  const { status, type, body } = await request("/metrics");
  assert.equal(status, 200);
  assert.match(type, /^text\/plain; version=0\.0\.4/);
  assert.match(body, /^ringlun_build_info\{version="[^"]+",node="v[^"]+"\} 1$/m);
  assert.match(body, /^ringlun_logins_total\{status="0000 success"\} 1$/m);
  assert.match(body, /^ringlun_sessions 1$/m);
  assert.match(body, /^ringlun_connections 1$/m);
  assert.match(body, /^ringlun_shard_restarts_total\{shard="0"\} 0$/m);
  assert.match(body, /^ringlun_shard_scsi_commands_total\{shard="0"\} 0$/m);
  assert.match(body, /^# TYPE ringlun_shard_connections gauge$/m);
  assert.match(body, /^process_resident_memory_bytes /m);
});

test("a shard's counters are read at the scrape", async () => {
  new Float64Array(server.shards.counters(0)!).fill(12);
  const scrapes = [await request("/metrics"), await request("/metrics")];
  for (const { body } of scrapes) assert.match(body, /^ringlun_shard_read_bytes_total\{shard="0"\} 12$/m);
});

test("health and readiness", async () => {
  assert.deepEqual(JSON.parse((await request("/healthz")).body), { status: "ok" });
  assert.equal((await request("/readyz")).status, 200);
});

describe("the API", () => {
  test("answers as its description says", async () => {
    const description = JSON.parse((await request("/api/v1/openapi.json")).body);
    assert.equal(description.openapi, "3.1.0");
    for (const [url, { get: operation }] of Object.entries(description.paths as Paths)) {
      const { status, type, body } = await request(url);
      const [content] = Object.entries(operation.responses[status]?.content ?? {});
      assert.ok(content !== undefined, `${url} answers ${status}`);
      const [expected, { schema }] = content;
      assert.ok(type.startsWith(expected), `${url} is ${type}`);
      if (expected === "application/json") assert.deepEqual(faults(JSON.parse(body), schema, url), []);
    }
  });

  test("tells of sessions, and of no secret", async () => {
    const { body } = await request("/api/v1/status");
    const { sessions, ready } = JSON.parse(body);
    assert.equal(ready, true);
    assert.equal(sessions[0].initiatorName, INITIATOR);
    assert.ok(!body.includes(SECRET));
    assert.ok(!/secret|chap|alice/i.test(body));
  });

  test("has nothing else", async () => {
    assert.equal((await request("/")).status, 404);
    assert.equal((await request("/api/v1/sessions")).status, 404);
  });
});

describe("Host", () => {
  test("of another name is refused", async () => {
    const { status, body } = await request("/api/v1/status", "evil.example");
    assert.equal(status, 421);
    assert.ok(!body.includes(INITIATOR));
    assert.equal((await request("/healthz", "localhost:9260")).status, 200);
  });

  test("may be an address, this machine, or what is configured", () => {
    const listen = { host: "san.example", port: 9260 };
    for (const header of ["127.0.0.1:9260", "192.0.2.1", "[::1]:9260", "localhost", "SAN.example:9260"]) {
      assert.ok(isOurs(header, listen), header);
    }
    for (const header of [
      undefined,
      "",
      "evil.example",
      "127.0.0.1.evil.example",
      "localhost.evil.example:80",
      "a b",
      ":80",
    ]) {
      assert.ok(!isOurs(header, listen), header);
    }
  });
});

type Paths = Record<string, { get: { responses: Record<string, { content: Record<string, { schema: Schema }> }> } }>;

interface Schema {
  readonly type: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
}

/** Where a value does not fit the part of JSON Schema that the description uses. */
function faults(value: unknown, schema: Schema, at: string): string[] {
  const types = [schema.type].flat();
  const type = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const fits = types.some((wanted) => wanted === type || (wanted === "integer" && Number.isInteger(value)));
  if (!fits) return [`${at} is ${type}, not ${types}`];
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${at} is ${value}`];
  if (Array.isArray(value)) return value.flatMap((item, index) => faults(item, schema.items!, `${at}[${index}]`));
  if (type !== "object") return [];
  const properties = schema.properties ?? {};
  const fields = Object.entries(value as object);
  return [
    ...(schema.required ?? [])
      .filter((name) => !fields.some(([key]) => key === name))
      .map((name) => `${at}.${name} is missing`),
    ...fields.flatMap(([key, field]) =>
      properties[key] === undefined
        ? [`${at}.${key} is not described`]
        : faults(field, properties[key], `${at}.${key}`),
    ),
  ];
}
