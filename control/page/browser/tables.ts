/** What the tables of units, sessions and paths have in common. */
import { byteRate, commandRate, latency } from "../format.js";
import { type AccessState, choose, type Rates } from "../summary.js";
import { drawChart } from "./chart.js";
import { type Entry, element, fill, List, listIn, setText } from "./elements.js";
import type { Model } from "./model.js";

/** Of more rows than this the busiest are shown. */
export const ROWS_MAX = 50;
/** With fewer rows nobody needs to look for one. */
const FILTER_MIN = 9;

/** A panel with a table, a field to filter it, and what it says when there is nothing to show. */
export class Panel<Item> {
  readonly #section: HTMLElement;
  readonly #list: List;
  readonly #input: HTMLInputElement | null;

  constructor(id: string, onFilter?: () => void) {
    this.#section = element(`#${id}`);
    this.#list = new List(element("tbody", this.#section));
    this.#input = this.#section.querySelector("input");
    this.#input?.addEventListener("input", () => onFilter?.());
  }

  /** `entries` makes rows of those items that are to be shown. */
  show(
    items: readonly Item[],
    text: (item: Item) => string,
    load: (item: Item) => number,
    entries: (shown: readonly Item[]) => Entry[],
  ): void {
    const section = this.#section;
    const { shown, found } = choose(items, text, this.#input?.value ?? "", load, ROWS_MAX);
    this.#list.update(entries(shown));
    element("table", section).hidden = items.length === 0;
    element(".empty", section).hidden = items.length > 0;
    if (this.#input === null) return;
    this.#input.hidden = items.length < FILTER_MIN;
    fill(section, { count: items.length === 0 ? "" : String(items.length) });
    const more = element(".more", section);
    more.hidden = found > 0 && found === shown.length;
    setText(
      more,
      found === 0 ? "Nothing fits the filter." : `The ${shown.length} busiest of ${found}. Filter to find the others.`,
    );
    if (items.length === 0) more.hidden = true;
  }
}

/** The cells that tell of commands. */
export function showRates(row: HTMLElement, rates: Rates | undefined): void {
  const { readBytes = 0, writtenBytes = 0, reads = 0, writes = 0, errors = 0, inFlight = 0 } = rates ?? {};
  const { readLatency = null, writeLatency = null } = rates ?? {};
  const p99 = [readLatency, writeLatency].filter((it) => it !== null).map((it) => latency(it.p99));
  fill(row, {
    read: byteRate(readBytes),
    reads: reads === 0 ? "" : `${commandRate(reads)}/s`,
    write: byteRate(writtenBytes),
    writes: writes === 0 ? "" : `${commandRate(writes)}/s`,
    readMedian: readLatency === null ? "" : latency(readLatency.p50),
    writeMedian: writeLatency === null ? "" : latency(writeLatency.p50),
    p99: p99.length === 0 ? "" : `p99 ${p99.join(" · ")}`,
    inFlight: String(inFlight),
    errors: errors === 0 ? "" : `${commandRate(errors)} errors/s`,
  });
  markIdle(row, reads, writes);
}

export function markIdle(row: HTMLElement, reads: number, writes: number): void {
  element("td.read", row).classList.toggle("idle", reads === 0);
  element("td.write", row).classList.toggle("idle", writes === 0);
  row.classList.toggle("still", reads === 0 && writes === 0);
}

export function showSpark(row: HTMLElement, { histories, nowMs }: Model, key: string): void {
  drawChart(element("figure", row), histories.of(key), nowMs);
}

export interface Chip {
  /** By which it has its colour and its shape. */
  readonly state: AccessState | "draining" | "drained";
  readonly text: string;
}

export function showChips(row: HTMLElement, chips: readonly Chip[]): void {
  listIn(element("[data-chips]", row)).update(
    chips.map(({ state, text }) => ({
      key: text,
      template: "chip",
      update(chip) {
        chip.dataset.state = state;
        fill(chip, { text });
      },
    })),
  );
}
