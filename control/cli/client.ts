/** The command line's way to the program that serves: HTTP through its UNIX socket, or over TCP with a token. */
import { type IncomingMessage, request } from "node:http";
import { request as secureRequest } from "node:https";
import { resolve } from "node:path";
import { loadConfiguration } from "../config/load.js";

/** Where to ask. The first that is given counts. */
export interface ClientOptions {
  readonly url?: string;
  readonly token?: string;
  readonly socket?: string;
  /** Configuration file of the program: its socket is asked. */
  readonly config?: string;
}

export const DEFAULT_CONFIGURATION = "/etc/ringlun/ringlun.yaml";

/** The program cannot be asked, or has refused. The message says why. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  /** Of HTTP; 0: there was no answer. */
  readonly statusCode: number;
  /** What the program says in full. */
  readonly document: unknown;

  constructor(message: string, statusCode = 0, document: unknown = null) {
    super(message);
    this.statusCode = statusCode;
    this.document = document;
  }
}

export interface RequestOptions {
  readonly method?: "GET" | "PUT" | "POST" | "DELETE";
  readonly body?: Uint8Array | string;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export class Client {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** The JSON document at the path. @throws ClientError */
  async ask(path: string, options: RequestOptions = {}): Promise<unknown> {
    const response = await this.open(path, options);
    let text = "";
    for await (const part of response.setEncoding("utf8")) text += part;
    let document: unknown;
    try {
      document = JSON.parse(text);
    } catch {
      throw new ClientError(`no JSON came from ${this.#place}`, response.statusCode);
    }
    const { statusCode = 0 } = response;
    if (statusCode >= 400) {
      throw new ClientError((document as { message?: string }).message ?? `status ${statusCode}`, statusCode, document);
    }
    return document;
  }

  /** The answer as it comes. @throws ClientError where there is none. */
  async open(path: string, { method = "GET", body, type, headers = {}, signal }: RequestOptions = {}) {
    const { url, token } = this.#options;
    const target = url === undefined ? { socketPath: this.#socket(), path } : new URL(path, url);
    const send = url?.startsWith("https:") ? secureRequest : request;
    const options = {
      method,
      ...(signal === undefined ? {} : { signal }),
      headers: {
        ...headers,
        ...(type === undefined ? {} : { "content-type": type }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    };
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing =
        target instanceof URL ? send(target, options, resolve) : send({ ...target, ...options }, resolve);
      outgoing.once("error", (error: NodeJS.ErrnoException) => reject(new ClientError(this.#reason(error))));
      outgoing.end(body);
    });
  }

  #socket(): string {
    const { socket, config = process.env.RINGLUN_CONFIG ?? DEFAULT_CONFIGURATION } = this.#options;
    if (socket !== undefined) return resolve(socket);
    const loaded = loadConfiguration(config);
    if (loaded.ok) return loaded.configuration.api.socket;
    const [fault] = loaded.faults;
    throw new ClientError(
      `where the program listens is not known: ${resolve(config)}: ${fault?.message}; give --config, --socket or --url`,
    );
  }

  get #place(): string {
    return this.#options.url ?? this.#options.socket ?? "the socket";
  }

  #reason({ code, message }: NodeJS.ErrnoException): string {
    switch (code) {
      case "ENOENT":
      case "ECONNREFUSED":
        return `nobody listens at ${this.#options.url ?? this.#socket()}: does ringlun run?`;
      case "EACCES":
        return `${this.#socket()} is its owner's: run this as the user that ringlun runs as`;
      default:
        return message;
    }
  }
}
