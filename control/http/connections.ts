/** Connections of HTTP: how many there may be, and what may be asked for on each. */
import type { Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { ConnectionQuota } from "../connection-quota.js";
import {
  HTTP_CONNECTIONS_MAX,
  HTTP_CONNECTIONS_PER_PEER_MAX,
  HTTP_REQUEST_TIMEOUT_MS,
  HTTP_REQUESTS_AT_ONCE_MAX,
  HTTP_STALLED_MS,
} from "../limits.js";

/**
 * Nobody holds all connections, nobody has more requests worked off at a stretch than others can wait for, and nobody keeps a connection
 * by not reading what was asked for.
 */
export function boundConnections(app: FastifyInstance, stalledMs = HTTP_STALLED_MS): void {
  const quota = new ConnectionQuota(HTTP_CONNECTIONS_MAX, HTTP_CONNECTIONS_PER_PEER_MAX);
  const requests = new WeakMap<Socket, number>();
  app.server.headersTimeout = HTTP_REQUEST_TIMEOUT_MS;
  app.server.on("connection", (socket: Socket) => {
    const release = quota.take(socket.remoteAddress ?? "");
    if (release === undefined) socket.destroy();
    else socket.once("close", release);
  });
  app.addHook("onRequest", async ({ socket }, reply) => {
    const count = (requests.get(socket) ?? 0) + 1;
    requests.set(socket, count);
    if (count > HTTP_REQUESTS_AT_ONCE_MAX) socket.destroy();
    if (socket.destroyed) reply.hijack();
  });
  app.server.setTimeout(stalledMs, (socket) => {
    // An answer that has nothing to say for the moment: a stream, or a change that takes its time.
    const isPending = (requests.get(socket) ?? 0) > 0 && socket.writableLength === 0;
    if (!isPending) socket.destroy();
  });
  app.addHook("onResponse", async ({ socket }) => void requests.set(socket, (requests.get(socket) ?? 1) - 1));
}
