/** The other end of $NOTIFY_SOCKET: what a program tells its supervisor (sd_notify(3)). */
import { close, read, rmSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { bindUnixDatagram, connectUnixDatagram } from "io-uring-node";

const LENGTH_MAX = 4096;
const END = "END";

export class NotifyListener {
  readonly path: string;
  readonly #fd: number;
  readonly #ended: Promise<void>;
  readonly #wake = new Set<() => void>();
  /** In the order in which they came. */
  readonly messages: string[] = [];

  /** `path`: of a file, or an abstract name with "@". */
  constructor(path: string) {
    this.path = path;
    this.#fd = bindUnixDatagram(path);
    this.#ended = this.#receive();
  }

  /** The first message from `from` on that matches. */
  async message(pattern: RegExp, from = 0): Promise<string> {
    for (;;) {
      const found = this.messages.slice(from).find((message) => pattern.test(message));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wake.add(resolve));
    }
  }

  async end(): Promise<void> {
    const fd = connectUnixDatagram(this.path);
    writeSync(fd, END);
    await promisify(close)(fd);
    await this.#ended;
    rmSync(this.path, { force: true });
  }

  /** On a thread of libuv, which a datagram of our own sets free in the end. */
  async #receive(): Promise<void> {
    const buffer = Buffer.alloc(LENGTH_MAX);
    for (;;) {
      const { bytesRead } = await promisify(read)(this.#fd, buffer, 0, LENGTH_MAX, null);
      const message = buffer.toString("utf8", 0, bytesRead);
      if (message === END) break;
      this.messages.push(message);
      for (const wake of this.#wake) wake();
      this.#wake.clear();
    }
    await promisify(close)(this.#fd);
  }
}
