/** One network portal: a listening socket, whose connections it hands on. */
import { createServer, type Server, type Socket } from "node:net";
import type { PortalAddress } from "./config/portal-address.js";

const BACKLOG = 1024;

export class Portal {
  /** Of its portal group. */
  readonly tag: number;
  /** As it is configured. */
  readonly configured: PortalAddress;
  /** As it listens: the port is the real one. */
  readonly address: PortalAddress;
  readonly #server: Server;

  private constructor(tag: number, configured: PortalAddress, server: Server) {
    const bound = server.address();
    this.tag = tag;
    this.configured = configured;
    this.address = { host: configured.host, port: typeof bound === "object" && bound ? bound.port : configured.port };
    this.#server = server;
  }

  /** @throws what listen(2) says, as Node's errors do (`code`). */
  static async listen(
    tag: number,
    address: PortalAddress,
    onConnection: (socket: Socket, portal: Portal) => void,
  ): Promise<Portal> {
    // Half open: a peer that has said its last word still gets the answer.
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => onConnection(socket, portal));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      // IPv6 alone, so that 0.0.0.0 and [::] can stand side by side.
      server.listen({ host: address.host, port: address.port, backlog: BACKLOG, ipv6Only: true }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    // No connection is handed on before: its event is one of a later turn.
    const portal = new Portal(tag, address, server);
    return portal;
  }

  /** An error of accept(2), such as too many open files. The portal goes on listening. */
  onError(handle: (error: Error) => void): void {
    this.#server.on("error", handle);
  }

  /** Stops listening. Connections are not touched. */
  close(): void {
    this.#server.close();
  }
}
