/** HTTP beside the data: metrics, health, and what there is, read-only. */
import { hostname } from "node:os";
import { Readable } from "node:stream";
import { type FastifyInstance, fastify } from "fastify";
import { formatPortalAddress, type PortalAddress } from "../config/portal-address.js";
import type { HttpConfiguration } from "../config/schema.js";
import { HTTP_BODY_LENGTH_MAX, HTTP_CONNECTIONS_MAX, HTTP_REQUEST_TIMEOUT_MS } from "../limits.js";
import type { Logger } from "../logger.js";
import type { Server } from "../server.js";
import type { Metrics } from "./metrics.js";
import { openApi } from "./openapi.js";
import { status } from "./status.js";

export interface HttpOptions {
  readonly server: Server;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export class HttpServer {
  readonly address: PortalAddress;
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance, address: PortalAddress) {
    this.#app = app;
    this.address = address;
  }

  /** @throws what listen(2) says. */
  static async start(http: HttpConfiguration, options: HttpOptions): Promise<HttpServer> {
    const { listen } = http;
    const app = createApp(http, options);
    await app.listen({ host: listen.host, port: listen.port });
    const bound = app.server.address();
    const port = typeof bound === "object" && bound !== null ? bound.port : listen.port;
    options.logger.info({ http: formatPortalAddress({ host: listen.host, port }) }, "HTTP listens");
    return new HttpServer(app, { host: listen.host, port });
  }

  async stop(): Promise<void> {
    await this.#app.close();
  }
}

function createApp(http: HttpConfiguration, { server, metrics }: HttpOptions): FastifyInstance {
  const app = fastify({
    requestTimeout: HTTP_REQUEST_TIMEOUT_MS,
    bodyLimit: HTTP_BODY_LENGTH_MAX,
    // An open keep-alive connection must not hold up the end of the program.
    forceCloseConnections: true,
  });
  app.server.maxConnections = HTTP_CONNECTIONS_MAX;
  const names = new Set(["localhost", hostname().toLowerCase(), http.listen.host, ...http.hosts]);
  app.addHook("onRequest", async (request, reply) => {
    if (isOurs(request.headers.host, names)) return;
    const message = "no name of this server: ask it by address, or list the name under http.hosts in its configuration";
    await reply.code(421).send({ statusCode: 421, error: "Misdirected Request", message });
  });
  app.get("/metrics", async (_request, reply) => reply.type(metrics.contentType).send(Readable.from(metrics.text())));
  // The process answers, so it lives.
  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/readyz", async (_request, reply) =>
    server.isReady ? { status: "ready" } : reply.code(503).send({ status: "not ready" }),
  );
  app.get("/api/v1/status", async () => status(server));
  app.get("/api/v1/openapi.json", async () => openApi);
  return app;
}

/**
 * Whether a request's Host header names us: an IP address, or one of our names, in small letters. A web page that has its
 * own name resolve to our address (DNS rebinding) does not get through.
 */
export function isOurs(header: string | undefined, names: ReadonlySet<string>): boolean {
  const host = /^(\[[0-9a-f:.]+\]|[^:]*)(?::[0-9]+)?$/i.exec(header ?? "")?.[1]?.toLowerCase();
  if (host === undefined || host === "") return false;
  return names.has(host) || host.startsWith("[") || /^[0-9]+(\.[0-9]+){3}$/.test(host);
}
