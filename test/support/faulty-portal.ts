/** A way to a portal that can fail: a relay on a port of its own, which can be closed, or go silent and keep everybody waiting. */
import { connect, createServer, type Server, type Socket } from "node:net";

export class FaultyPortal {
  port = 0;
  readonly #targetPort: () => number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #isSilent = false;

  private constructor(targetPort: () => number) {
    this.#targetPort = targetPort;
  }

  static async open(targetPort: () => number): Promise<FaultyPortal> {
    const portal = new FaultyPortal(targetPort);
    await portal.#listen();
    return portal;
  }

  /** Connections end, and nobody listens any more. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
    this.#drop();
    await closed;
  }

  /** Connections stay, and more are accepted, but nothing passes in either direction: as behind a cable that was pulled. */
  silence(): void {
    this.#isSilent = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** All is as it was. What was under way when it failed is lost. */
  async repair(): Promise<void> {
    this.#isSilent = false;
    this.#drop();
    if (this.#server === undefined) await this.#listen();
  }

  #drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #listen(): Promise<void> {
    const server = createServer((socket) => this.#relay(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", () => resolve());
    });
    this.port = (server.address() as { port: number }).port;
  }

  #relay(near: Socket): void {
    const far = connect(this.#targetPort(), "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on("data", (chunk) => to.write(chunk));
      // How it ends does not matter: the other half ends with it.
      from.on("error", () => {});
      from.on("end", () => to.end());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (this.#isSilent) from.pause();
    }
  }
}
