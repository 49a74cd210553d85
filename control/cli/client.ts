/** The command line's way to the program that serves: HTTP through its UNIX socket, or over TCP with a token. */
import { readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { request as secureRequest } from "node:https";
import { resolve } from "node:path";
import { apiSocketOf } from "../config/load.js";
import { systemReason } from "../config/named-files.js";

/** Where to ask. The first that is given counts. */
export interface ClientOptions {
  readonly url?: string;
  /** For `url`: file with the certificates that the server's may come from; absent: Node's and the system's. */
  readonly ca?: string;
  /** For `url`; absent: what `tokenFile` holds, else $RINGLUN_TOKEN. */
  readonly token?: string;
  readonly tokenFile?: string;
  readonly socket?: string;
  /** Configuration file of the program: its socket is asked. */
  readonly config?: string;
  /** For an answer, in seconds. */
  readonly wait?: number;
}

/** For those who may not. */
const WHO = "run this as root, or as the user that ringlun runs as";

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
  readonly method?: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  readonly body?: Uint8Array | string;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Longer than the program takes to say how far it came (ADMINISTRATION_TIMEOUT_MS). Seconds. */
export const ANSWER_TIMEOUT_S = 75;

export class Client {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** The JSON document at the path. @throws ClientError */
  async ask(path: string, options: RequestOptions = {}): Promise<unknown> {
    return this.#documentOf(await this.#open(path, options));
  }

  /** What comes from the path, for as long as it comes. @throws ClientError */
  async stream(path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
    const response = await this.#open(path, options);
    if (response.statusCode !== 200) await this.#documentOf(response);
    return response;
  }

  /** The configuration file by the name that the user has for it; "configuration" where another machine may have it. */
  get configurationName(): string {
    const { url, socket, config } = this.#options;
    return url === undefined && socket === undefined ? configurationOf(config) : "configuration";
  }

  async #documentOf(response: IncomingMessage): Promise<unknown> {
    const text = await this.#bodyOf(response);
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
  async #open(path: string, { method = "GET", body, type, headers = {}, signal }: RequestOptions = {}) {
    const { url, ca } = this.#options;
    const token = this.#token();
    const target = url === undefined ? { socketPath: this.#socket(), path } : new URL(path, url);
    const send = url?.startsWith("https:") ? secureRequest : request;
    const options = {
      method,
      ...(signal === undefined ? {} : { signal }),
      ...(ca === undefined ? {} : { ca: readNamed(ca, "--ca") }),
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
      const timer = setTimeout(() => {
        reject(this.#silence());
        outgoing.destroy();
      }, this.#waitMs);
      for (const event of ["response", "close"]) outgoing.once(event, () => clearTimeout(timer));
      outgoing.end(body);
    });
  }

  /** All of it, within the time for an answer. */
  async #bodyOf(response: IncomingMessage): Promise<string> {
    const timer = setTimeout(() => response.destroy(this.#silence()), this.#waitMs);
    try {
      let text = "";
      for await (const part of response.setEncoding("utf8")) text += part;
      return text;
    } catch (error) {
      throw error instanceof ClientError ? error : new ClientError(`the answer of ${this.#place} broke off`);
    } finally {
      clearTimeout(timer);
    }
  }

  get #waitMs(): number {
    return (this.#options.wait ?? ANSWER_TIMEOUT_S) * 1000;
  }

  #silence(): ClientError {
    return new ClientError(
      `${this.#place} does not answer within ${this.#waitMs / 1000} s: what was asked for may be done or not; see its log`,
    );
  }

  #token(): string | undefined {
    const { token, tokenFile } = this.#options;
    if (token !== undefined || tokenFile === undefined) return token ?? process.env.RINGLUN_TOKEN;
    return readNamed(tokenFile, "--token-file").toString().trim();
  }

  #socket(): string {
    const { socket } = this.#options;
    if (socket !== undefined) return resolve(socket);
    const config = configurationOf(this.#options.config);
    try {
      return apiSocketOf(config);
    } catch (error) {
      const place = `${resolve(config)} cannot be read: ${systemReason(error)}`;
      const remedy = (error as NodeJS.ErrnoException).code === "EACCES" ? WHO : "give --config, --socket or --url";
      throw new ClientError(`where the program listens is not known: ${place}; ${remedy}`);
    }
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
        return `${this.#socket()} is its owner's: ${WHO}`;
      case "ENOTFOUND":
        return `the host of ${this.#place} is not known`;
      case "DEPTH_ZERO_SELF_SIGNED_CERT":
      case "SELF_SIGNED_CERT_IN_CHAIN":
      case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
        return `the certificate of ${this.#place} comes from nobody that is trusted: give those that are with --ca`;
      case "ERR_TLS_CERT_ALTNAME_INVALID":
        return `the certificate of ${this.#place} is for other names: ${message}`;
      case "EPROTO":
        return `${this.#place} does not speak TLS: is it http://?`;
      case "ECONNRESET":
        return `${this.#place} has closed the connection${this.#options.url?.startsWith("http:") ? ": is it https://?" : ""}`;
      default:
        return message;
    }
  }
}

function configurationOf(given: string | undefined): string {
  return given ?? process.env.RINGLUN_CONFIG ?? DEFAULT_CONFIGURATION;
}

/** @throws ClientError, with the option that has named the file. */
function readNamed(file: string, option: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ClientError(`${option} names ${resolve(file)}, which cannot be read: ${systemReason(error)}`);
  }
}
