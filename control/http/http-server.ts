/**
 * HTTP beside the data, in two ways: over TCP, for everybody who can reach it, who may look; and through a UNIX socket, which
 * only its owner can open, and who may change things. A token makes the former the latter.
 */
import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { hostname } from "node:os";
import type { Server as TlsServer } from "node:tls";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type * as z from "zod";
import { formatPortalAddress, type PortalAddress } from "../config/portal-address.js";
import type { ApiConfiguration, HttpConfiguration } from "../config/schema.js";
import type { TlsMaterial } from "../config/tls-files.js";
import {
  HTTP_BODY_LENGTH_MAX,
  HTTP_KEEP_ALIVE_TIMEOUT_MS,
  HTTP_REQUEST_TIMEOUT_MS,
  HTTP_TIMEOUT_LOOK_MS,
} from "../limits.js";
import { type Asker, askerOf } from "./authority.js";
import { boundConnections } from "./connections.js";
import { pageRoutes } from "./page.js";
import { type HttpContext, problem, type Route, type RouteInput } from "./route.js";
import { ROUTES } from "./routes.js";

export interface HttpAddress extends PortalAddress {
  readonly scheme: "http" | "https";
}

export class HttpServer {
  /** Where it listens over TCP; a socket has none. */
  readonly address: HttpAddress | undefined;
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance, address?: HttpAddress) {
    this.#app = app;
    this.address = address;
  }

  /** @throws what listen(2) says. */
  static async listen(http: HttpConfiguration, api: ApiConfiguration, context: HttpContext): Promise<HttpServer> {
    const { listen, tls } = http;
    const names = new Set(["localhost", hostname().toLowerCase(), listen.host, ...http.hosts]);
    const judge = ({ headers }: FastifyRequest) => {
      if (!isOurs(headers.host, names)) return MISDIRECTED;
      if (headers.origin !== undefined && hostOf(headers.origin) !== headers.host) return FOREIGN_ORIGIN;
      return askerOf(headers.authorization, api.tokens);
    };
    const app = createApp(context, judge, tls);
    await app.listen({ host: listen.host, port: listen.port });
    const bound = app.server.address();
    const port = typeof bound === "object" && bound !== null ? bound.port : listen.port;
    const scheme = tls === null ? "http" : "https";
    context.logger.info({ [scheme]: formatPortalAddress({ host: listen.host, port }) }, "HTTP listens");
    return new HttpServer(app, { host: listen.host, port, scheme });
  }

  /**
   * Listens at a UNIX socket that its owner alone can open. One that a killed process has left is taken away.
   *
   * @throws what listen(2) says, where another process listens there too.
   */
  static async listenAt(path: string, context: HttpContext): Promise<HttpServer> {
    const app = createApp(context, () => ({ kind: "socket" }), null);
    await removeLeftover(path);
    await app.ready();
    await new Promise<void>((resolve, reject) => {
      app.server.once("error", reject);
      // At no moment may others open it.
      const before = process.umask(0o177);
      app.server.listen(path, resolve);
      process.umask(before);
    });
    context.logger.info({ socket: path }, "API listens");
    return new HttpServer(app);
  }

  /** Connections that begin from now on get this certificate. Of a server that has one. */
  useTls(tls: TlsMaterial): void {
    (this.#app.server as unknown as TlsServer).setSecureContext(secureContext(tls));
  }

  async stop(): Promise<void> {
    await this.#app.close();
  }
}

/** Why a request is answered with nothing else. */
interface Denial {
  readonly kind: "denied";
  readonly statusCode: number;
  readonly message: string;
}

const MISDIRECTED: Denial = {
  kind: "denied",
  statusCode: 421,
  message: "no name of this server: ask it by address, or list the name under http.hosts in its configuration",
};

const FOREIGN_ORIGIN: Denial = {
  kind: "denied",
  statusCode: 403,
  message: "a web page of another origin may not ask this server",
};

const UNAUTHORIZED =
  "this needs the UNIX socket (api.socket), or a token (Authorization: Bearer ...) that api.tokens lists";
const WRONG_TOKEN = "the token is none of those that api.tokens lists";

function createApp(
  context: HttpContext,
  judge: (request: FastifyRequest) => Asker | Denial,
  tls: TlsMaterial | null,
): FastifyInstance {
  const options = {
    requestTimeout: HTTP_REQUEST_TIMEOUT_MS,
    keepAliveTimeout: HTTP_KEEP_ALIVE_TIMEOUT_MS,
    bodyLimit: HTTP_BODY_LENGTH_MAX,
    // An open keep-alive connection must not hold up the end of the program.
    forceCloseConnections: true,
  } as const;
  const http = { connectionsCheckingInterval: HTTP_TIMEOUT_LOOK_MS };
  const https = tls && { ...http, ...secureContext(tls), handshakeTimeout: HTTP_REQUEST_TIMEOUT_MS };
  // Its server is one of another type then, of which nothing else here is different.
  const app =
    https === null ? fastify({ ...options, http }) : (fastify({ ...options, https }) as unknown as FastifyInstance);
  boundConnections(app);
  app.addContentTypeParser("application/yaml", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  for (const route of [...ROUTES, ...pageRoutes()]) {
    app.route({
      method: route.method,
      url: route.url,
      ...(route.bodyLimit === undefined ? {} : { bodyLimit: route.bodyLimit }),
      onRequest: async (request, reply) => {
        const asker = judge(request);
        if (asker.kind === "denied") await reply.send(problem(reply, asker.statusCode, asker.message));
        else if (!route.isPrivileged) return;
        else if (asker.kind === "anybody") {
          const reason = request.headers.authorization === undefined ? UNAUTHORIZED : WRONG_TOKEN;
          await reply.send(problem(reply, 401, reason));
        } else context.logger.info({ asker, method: route.method, url: request.url }, "administration");
      },
      handler: (request, reply) => answer(route, context, request, reply),
    });
  }
  app.setNotFoundHandler((request, reply) => {
    const asker = judge(request);
    const { statusCode, message } = asker.kind === "denied" ? asker : { statusCode: 404, message: "no such path" };
    return reply.send(problem(reply, statusCode, message));
  });
  return app;
}

function secureContext({ certificate, key }: TlsMaterial) {
  return { cert: certificate.text, key: Buffer.from(key.bytes()), minVersion: "TLSv1.2" } as const;
}

async function answer(route: Route, context: HttpContext, request: FastifyRequest, reply: FastifyReply) {
  const input: Record<keyof RouteInput, unknown> = { params: {}, query: {}, body: request.body };
  const parts: [keyof RouteInput, z.ZodType | undefined, unknown][] = [
    ["params", route.params, request.params],
    ["query", route.query, request.query],
    ["body", route.body?.type === "application/json" ? route.body.schema : undefined, request.body],
  ];
  for (const [part, schema, value] of parts) {
    if (schema === undefined) continue;
    const checked = schema.safeParse(value);
    if (!checked.success) return problem(reply, 400, `${part}: ${issuesOf(checked.error)}`);
    input[part] = checked.data;
  }
  if (route.body !== undefined && request.body === undefined) {
    return problem(reply, 400, `the body is missing: send ${route.body.type}`);
  }
  return route.handle(context, input as unknown as RouteInput, reply, request);
}

function issuesOf({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => [path.join("."), message].filter(Boolean).join(": ")).join("; ");
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

/** Of an Origin header: `https://host:port`, or `null`, which is nobody. */
function hostOf(origin: string): string | undefined {
  return /^https?:\/\/([^/]+)$/i.exec(origin)?.[1];
}

/** Takes away a socket at which nobody listens. Anything else stays: then listen(2) fails. */
async function removeLeftover(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const isAlive = await new Promise<boolean>((resolve) => {
    const attempt = connect(path, () => resolve(true));
    attempt.once("error", () => resolve(false));
    attempt.once("connect", () => attempt.destroy());
  });
  if (!isAlive) unlinkSync(path);
}
