import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type FastifyInstance, fastify } from "fastify";
import { boundConnections } from "../../../../control/http/connections.js";

const STALLED_MS = 100;
const PART = "x".repeat(65_536);

const app = await listening();
after(() => app.close());

/** Of a part of /long it is counted that it was asked for. */
let parts = 0;

async function listening(): Promise<FastifyInstance> {
  const server = fastify({ keepAliveTimeout: STALLED_MS });
  boundConnections(server, STALLED_MS);
  server.get("/long", () =>
    Readable.from(
      (function* () {
        for (;;) {
          parts++;
          yield PART;
        }
      })(),
    ),
  );
  server.get("/late", async () => {
    await setTimeout(5 * STALLED_MS);
    return "late";
  });
  await server.listen({ host: "127.0.0.1", port: 0 });
  return server;
}

/** Its end here, and the server's. */
async function ask(path: string): Promise<[client: Socket, server: Socket]> {
  const connection = once(app.server, "connection");
  const { port } = app.server.address() as { port: number };
  const client = connect({ host: "127.0.0.1", port }).on("error", () => {});
  client.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  return [client, (await connection)[0]];
}

test("who takes nothing of an answer is closed, and no more of it is made than there is room for", async () => {
  const [client, server] = await ask("/long");
  client.pause();
  await once(server, "close");
  const made = parts;
  await setTimeout(1);
  assert.equal(parts, made);
  client.destroy();
});

test("an answer may be long in coming", async () => {
  const [client] = await ask("/late");
  client.setEncoding("latin1");
  let text = "";
  client.on("data", (part: string) => (text += part));
  while (!text.endsWith("late")) await once(client, "data");
  client.destroy();
});

test("who asks for nothing more is closed", async () => {
  const [client, server] = await ask("/late");
  client.resume();
  await once(server, "close");
});
