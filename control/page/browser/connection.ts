/** The stream of events from the server: asked for again whenever it is lost, and given up while nobody looks. */
import type { State, Statistics } from "../../http/documents.js";

const URL = "api/v1/statistics?interval=1&state=true";
/** Without an event for so long, the connection is lost, whatever TCP says. */
const SILENCE_MAX_MS = 6_000;
const RETRY_MS = 2_000;
/** The server has a limited number of streams: a page that nobody sees leaves its own to others. */
const HIDDEN_MAX_MS = 60_000;

export type Connection = "live" | "paused" | "unreachable" | "crowded";

export interface Listener {
  onConnection(connection: Connection): void;
  onState(state: State): void;
  onStatistics(statistics: Statistics): void;
}

export class Stream {
  readonly #listener: Listener;
  #source: EventSource | undefined;
  #silence: number | undefined;
  #retry: number | undefined;
  #hidden: number | undefined;

  constructor(listener: Listener) {
    this.#listener = listener;
    document.addEventListener("visibilitychange", () => this.#visibilityChanged());
    this.#open();
  }

  #open(): void {
    this.#close();
    const source = new EventSource(URL);
    this.#source = source;
    source.addEventListener("state", ({ data }) => {
      this.#heard();
      this.#listener.onState(JSON.parse(data));
    });
    source.addEventListener("statistics", ({ data }) => {
      this.#heard();
      this.#listener.onStatistics(JSON.parse(data));
    });
    source.addEventListener("error", () => void this.#failed(source));
    this.#silence = setTimeout(() => void this.#failed(source), SILENCE_MAX_MS);
  }

  #close(): void {
    clearTimeout(this.#silence);
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = undefined;
  }

  #heard(): void {
    clearTimeout(this.#silence);
    const source = this.#source!;
    this.#silence = setTimeout(() => void this.#failed(source), SILENCE_MAX_MS);
    this.#listener.onConnection("live");
  }

  async #failed(source: EventSource): Promise<void> {
    if (source !== this.#source) return;
    this.#close();
    this.#retry = setTimeout(() => this.#open(), RETRY_MS);
    this.#listener.onConnection("unreachable");
    // An EventSource does not tell a refusal from silence.
    const answers = await fetch("healthz", { cache: "no-store" }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (answers && this.#source === undefined) this.#listener.onConnection("crowded");
  }

  #visibilityChanged(): void {
    clearTimeout(this.#hidden);
    if (document.hidden) {
      this.#hidden = setTimeout(() => {
        this.#close();
        this.#listener.onConnection("paused");
      }, HIDDEN_MAX_MS);
    } else if (this.#source === undefined) this.#open();
  }
}
