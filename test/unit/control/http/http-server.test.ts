import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Secret } from "../../../../control/config/secret.js";
import { isOurs } from "../../../../control/http/http-server.js";
import { HTTP_CONNECTIONS_PER_PEER_MAX, HTTP_REQUESTS_AT_ONCE_MAX } from "../../../../control/limits.js";
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
  const http = { listen: { host: "127.0.0.1", port: 0 }, hosts: ["san.example"], tls: null };
  server = await Server.start(configuration(path, { targets, http }), { logger: silent, worker: WORKER });
  initiator = await Initiator.connect(server.portals[0]!.address);
  await initiator.login({ keys: { InitiatorName: INITIATOR, TargetName: TARGET } });
});

after(async () => {
  initiator.close();
  await server.stop(0);
  rmSync(path, { recursive: true });
});

interface Answered {
  readonly status: number;
  readonly type: string;
  /** Sent while it was made. */
  readonly isInParts: boolean;
  readonly body: string;
}

async function request(url: string, host?: string): Promise<Answered> {
  const { port } = server.httpAddress!;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = host === undefined ? {} : { host };
    // No connection of an earlier request, which is closed after a while: what lies between two may take that long.
    get({ host: "127.0.0.1", port, path: url, headers, agent: false }, resolve).on("error", reject);
  });
  let body = "";
  for await (const chunk of response) body += chunk;
  const { "content-type": type = "", "transfer-encoding": encoding } = response.headers;
  return { status: response.statusCode ?? 0, type, isInParts: encoding === "chunked", body };
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

test("metrics keep to the format and to the naming of Prometheus", async () => {
  const { body } = await request("/metrics");
  assert.deepEqual(expositionFaults(body), []);
  assert.deepEqual(expositionFaults('# TYPE a_total counter\na_total{x="1",} 1\na_total{x="1",} 2\n'), [
    "a_total has samples before HELP and TYPE",
    'a_total{x="1",} is no sample: 1',
    'a_total{x="1",} is no sample: 2',
  ]);
  assert.deepEqual(expositionFaults("# HELP ringlun_a A.\n# TYPE ringlun_a counter\nringlun_a 1\nringlun_a 2"), [
    "does not end with a line break",
    "ringlun_a counts, and its name does not end in _total",
    "ringlun_a is there twice",
  ]);
});

test("a shard's counters are read at the scrape", async () => {
  new Float64Array(server.shards.counters(0)!).fill(12);
  const scrapes = [await request("/metrics"), await request("/metrics")];
  for (const { body } of scrapes) {
    assert.match(body, /^ringlun_shard_read_bytes_total\{shard="0"\} 12$/m);
    assert.match(body, /^ringlun_shard_cpu_seconds_total\{shard="0"\} 0\.000012$/m);
  }
});

test("answers that grow with what there is are made in parts", async () => {
  const inParts = async (urls: string[]) => {
    const answers = await Promise.all(urls.map(async (url) => ({ url, ...(await request(url)) })));
    return answers.filter(({ isInParts }) => isInParts).map(({ url }) => url);
  };
  const long = ["/metrics", ...["status", "sessions", "units", "targets", "portals"].map((what) => `/api/v1/${what}`)];
  assert.deepEqual(await inParts(long), long);
  assert.deepEqual(await inParts(["/healthz"]), []);
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
      // What needs more than anybody has, and what does not end, have tests of their own.
      if (operation === undefined || operation.security !== undefined || url === "/api/v1/statistics") continue;
      const { status, type, body } = await request(url);
      const [content] = Object.entries(operation.responses[status]?.content ?? {});
      assert.ok(content !== undefined, `${url} answers ${status}`);
      const [expected, { schema }] = content;
      assert.ok(type.startsWith(expected), `${url} is ${type}`);
      if (expected === "application/json") assert.deepEqual(faults(JSON.parse(body), schema, url), []);
    }
  });

  test("is described by a valid OpenAPI document, which names every path", async () => {
    const description = JSON.parse((await request("/api/v1/openapi.json")).body);
    const { valid, errors } = await new Validator().validate(description);
    assert.ok(valid, JSON.stringify(errors));
    assert.equal((await new Validator().validate({ ...description, info: {} })).valid, false);
    for (const path of ["/metrics", "/healthz", "/readyz", "/api/v1/status", "/api/v1/openapi.json"]) {
      assert.ok(path in description.paths, path);
    }
  });

  test("tells of sessions, and of no secret", async () => {
    const { body } = await request("/api/v1/status");
    const { sessions, ready } = JSON.parse(body);
    assert.equal(ready, true);
    assert.equal(sessions[0].initiatorName, INITIATOR);
    assert.ok(!body.includes(SECRET));
    assert.ok(!/secret|alice/i.test(body));
  });

  test("has nothing else", async () => {
    assert.equal((await request("/api")).status, 404);
    assert.equal((await request("/api/v2/sessions")).status, 404);
  });
});

test("connections are bounded: nobody holds all, what is beyond is closed, and there is room again when others have gone", async () => {
  const { port } = server.httpAddress!;
  const open = (localAddress: string, count: number) =>
    Array.from({ length: count }, () =>
      connect({ host: "127.0.0.1", port, localAddress })
        .on("error", () => {})
        .resume(),
    );
  const isClosed = ({ destroyed }: Socket): boolean => destroyed;
  const ofOne = open("127.0.0.2", HTTP_CONNECTIONS_PER_PEER_MAX + 3);
  while (ofOne.filter(isClosed).length < 3) await setTimeout(10);
  assert.equal((await request("/healthz")).status, 200);
  const others = [...open("127.0.0.3", HTTP_CONNECTIONS_PER_PEER_MAX), ...open("127.0.0.4", 3)];
  // More, where an earlier test has left a connection open.
  while (others.filter(isClosed).length < 3) await setTimeout(10);
  for (const socket of [...ofOne, ...others]) socket.destroy();
  // The server hears of each end a little later.
  while ((await request("/healthz").catch(() => undefined))?.status !== 200) await setTimeout(10);
});

test("requests that do not wait for answers are answered in their order; who sends many at once is closed", async () => {
  const { port } = server.httpAddress!;
  const send = async (count: number): Promise<string> => {
    const socket = connect({ host: "127.0.0.1", port });
    const asked = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    const last = "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    socket.on("error", () => {});
    socket.write(asked.repeat(count - 1) + last);
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
    await new Promise((resolve) => socket.once("close", resolve));
    return text;
  };
  const answers = await send(HTTP_REQUESTS_AT_ONCE_MAX);
  assert.equal(answers.match(/HTTP\/1.1 200 /g)?.length, HTTP_REQUESTS_AT_ONCE_MAX);
  assert.match(answers, /"ready"\}$/);
  assert.ok(!(await send(1000)).includes("ready"));
});

describe("Host", () => {
  test("of another name is refused", async () => {
    const { status, body } = await request("/api/v1/status", "evil.example");
    assert.equal(status, 421);
    assert.ok(!body.includes(INITIATOR));
    assert.equal((await request("/healthz", "localhost:9260")).status, 200);
  });

  test("may be the machine's own name, or one that is configured", async () => {
    for (const host of [hostname(), `${hostname()}:9260`, "san.example"]) {
      assert.equal((await request("/healthz", host)).status, 200, host);
    }
  });

  test("may be an address, or a name of ours", () => {
    const names = new Set(["localhost", "san.example"]);
    for (const header of ["127.0.0.1:9260", "192.0.2.1", "[::1]:9260", "localhost", "SAN.example:9260"]) {
      assert.ok(isOurs(header, names), header);
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
      assert.ok(!isOurs(header, names), header);
    }
  });
});

const SAMPLE = /^([a-zA-Z_:][\w:]*)(\{\w+="(?:[^"\\\n]|\\[\\n"])*"(?:,\w+="(?:[^"\\\n]|\\[\\n"])*")*\})? (\S+)$/;
/** In Prometheus's base units there are none of these. */
const OTHER_UNITS = /(?:micro|milli|nano)seconds|minutes|bits|kilo|_ms\b|_us\b|percent/;

/** What is wrong with metrics in the text format 0.0.4. */
function expositionFaults(text: string): string[] {
  const found = new Set<string>();
  const families = new Map<string, { help?: string; type?: string }>();
  const series = new Set<string>();
  let current = "";
  if (!text.endsWith("\n")) found.add("does not end with a line break");
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, value] = comment as unknown as [string, "HELP" | "TYPE", string, string];
      const family = families.get(name) ?? {};
      const key = kind === "HELP" ? "help" : "type";
      if (family[key] !== undefined) found.add(`${name} has two lines ${kind}`);
      if (name !== current && families.has(name)) found.add(`${name} is not together`);
      families.set(name, { ...family, [key]: value });
      current = name;
      continue;
    }
    const [, name, labels, value] = SAMPLE.exec(line) ?? [];
    const base = (name ?? line.split("{")[0]!).replace(/_(?:bucket|sum|count)$/, "");
    const family = families.get(base) ?? families.get(name ?? base);
    if (family?.help === undefined || family.type === undefined) found.add(`${base} has samples before HELP and TYPE`);
    if (name === undefined || Number.isNaN(Number(value === "Nan" ? 0 : value))) {
      found.add(line.replace(/ (\S+)$/, " is no sample: $1"));
      continue;
    }
    if (base !== current && name !== current) found.add(`${name} is not together`);
    if (series.has(`${name}${labels}`)) found.add(`${name} is there twice`);
    series.add(`${name}${labels}`);
    if (!name.startsWith("ringlun_")) continue;
    if ((family?.type === "counter") !== name.endsWith("_total")) {
      found.add(`${name} counts, and its name does not end in _total`);
    }
    if (OTHER_UNITS.test(name)) found.add(`${name} is not in a base unit`);
  }
  return [...found];
}

type Paths = Record<
  string,
  { get?: { security?: unknown; responses: Record<string, { content: Record<string, { schema: Schema }> }> } }
>;

interface Schema {
  readonly type: string | readonly string[];
  readonly anyOf?: readonly Schema[];
  /** False where the description says all; absent where it leaves the rest open. */
  readonly additionalProperties?: false;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
}

/** Where a value does not fit the part of JSON Schema that the description uses. */
function faults(value: unknown, schema: Schema, at: string): string[] {
  if (schema.anyOf !== undefined) {
    const found = schema.anyOf.map((one) => faults(value, one, at));
    return found.some(({ length }) => length === 0) ? [] : found.flat();
  }
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
    ...fields.flatMap(([key, field]) => {
      if (properties[key] !== undefined) return faults(field, properties[key], `${at}.${key}`);
      return schema.additionalProperties === false ? [`${at}.${key} is not described`] : [];
    }),
  ];
}
