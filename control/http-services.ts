/** Where HTTP is served: over TCP, where that is configured, and at a UNIX socket. */
import { formatPortalAddress } from "./config/portal-address.js";
import type { ApiConfiguration, HttpConfiguration } from "./config/schema.js";
import type { TlsMaterial } from "./config/tls-files.js";
import type { HttpServer } from "./http/http-server.js";
import type { Metrics } from "./http/metrics.js";
import type { HttpContext } from "./http/route.js";
import { listenFault } from "./listen-fault.js";

/** HTTP cannot listen. The message says where and why. */
export class HttpError extends Error {
  override readonly name = "HttpError";
}

export class HttpServices {
  readonly metrics: Metrics;
  readonly #kind: typeof HttpServer;
  readonly #context: HttpContext;
  #tcp: HttpServer | undefined;
  #socket: HttpServer | undefined;

  private constructor(kind: typeof HttpServer, context: HttpContext) {
    this.#kind = kind;
    this.#context = context;
    this.metrics = context.metrics;
  }

  /** What HTTP needs is half of all the code there is to load: this does it, and listens nowhere yet. */
  static async load(context: Omit<HttpContext, "metrics">): Promise<HttpServices> {
    const [{ HttpServer: kind }, { Metrics: metrics }] = await Promise.all([
      import("./http/http-server.js"),
      import("./http/metrics.js"),
    ]);
    return new HttpServices(kind, { ...context, metrics: new metrics(context.server) });
  }

  /** @throws HttpError; without the socket all is served, and nothing can be asked by the command line. */
  async listen(http: HttpConfiguration | null, api: ApiConfiguration): Promise<void> {
    if (http !== null) this.#tcp = await this.#listen(http, api);
    try {
      this.#socket = await this.#kind.listenAt(api.socket, this.#context);
    } catch (error) {
      const { socket } = api;
      const reason = (error as Error).message;
      this.#context.logger.warn({ socket, reason }, "no API socket: set another path as api.socket");
    }
  }

  /** Of TCP; undefined if it does not listen there. */
  get address() {
    return this.#tcp?.address;
  }

  /** New connections over TCP get this certificate. */
  useTls(tls: TlsMaterial): void {
    this.#tcp?.useTls(tls);
  }

  async stop(): Promise<void> {
    await this.#tcp?.stop();
    await this.#socket?.stop();
  }

  async #listen(http: HttpConfiguration, api: ApiConfiguration): Promise<HttpServer> {
    try {
      return await this.#kind.listen(http, api, this.#context);
    } catch (error) {
      const reason = listenFault(error as Error);
      throw new HttpError(`HTTP on ${formatPortalAddress(http.listen)} cannot listen: ${reason}`, { cause: error });
    }
  }
}
