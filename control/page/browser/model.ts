/** What the views show: the last that the server has said, and what it said in the last two minutes. */
import type { State, Statistics } from "../../http/documents.js";
import { Histories } from "../history.js";
import { pathSummaries, type Rates } from "../summary.js";

export class Model {
  readonly histories = new Histories();
  state: State | undefined;
  statistics: Statistics | undefined;
  /** On this page's clock. */
  nowMs = 0;

  stateCame(state: State): void {
    // Sessions of a server that was started anew are others, though their numbers are the same.
    if (this.state?.startedAt !== state.startedAt) this.statistics = undefined;
    this.state = state;
  }

  statisticsCame(statistics: Statistics, nowMs: number): void {
    this.statistics = statistics;
    this.nowMs = nowMs;
    const { total, units, sessions } = statistics;
    this.#record("throughput", total.readBytes, total.writtenBytes);
    this.#record("commands", total.reads, total.writes);
    this.#record("latency", total.readLatency?.p50 ?? Number.NaN, total.writeLatency?.p50 ?? Number.NaN);
    for (const unit of units) this.#record(unitKey(unit.name), unit.readBytes, unit.writtenBytes);
    for (const session of sessions) {
      this.#record(this.sessionKey(session.sessionId), session.readBytes, session.writtenBytes);
    }
    if (this.state !== undefined) {
      for (const path of pathSummaries(this.state, statistics)) {
        this.#record(pathKey(path.portalGroupTag), path.readBytes, path.writtenBytes);
      }
    }
    this.histories.forget(nowMs);
  }

  sessionKey(sessionId: number): string {
    return `session ${sessionId} of ${this.state?.startedAt}`;
  }

  #record(name: string, ...values: number[]): void {
    this.histories.record(name, { atMs: this.nowMs, values });
  }
}

export const unitKey = (name: string): string => `unit ${name}`;
export const pathKey = (portalGroupTag: number): string => `path ${portalGroupTag}`;

export function load(rates: Rates | undefined): number {
  return rates === undefined ? 0 : rates.reads + rates.writes + rates.others;
}
