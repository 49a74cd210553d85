/** What some numbers were in the last two minutes, and how that is drawn. */

export const WINDOW_MS = 120_000;
/** Between two samples that are further apart nothing is drawn: the connection was lost. */
const GAP_MS = 5_000;

export interface Sample {
  readonly atMs: number;
  /** NaN: there was nothing to measure. */
  readonly values: readonly number[];
}

export class History {
  readonly #samples: Sample[] = [];

  add(sample: Sample): void {
    this.#samples.push(sample);
    // One beyond the edge stays: the line comes from there.
    while ((this.#samples[1]?.atMs ?? sample.atMs) < sample.atMs - WINDOW_MS) this.#samples.shift();
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  /** The largest of one of the values; 0 where there is none. */
  peak(index: number): number {
    return Math.max(0, ...this.#samples.map(({ values }) => values[index]!).filter((value) => !Number.isNaN(value)));
  }
}

/** Histories by name; of what is no longer told of, the history is forgotten when nothing of it would be seen. */
export class Histories {
  readonly #byName = new Map<string, History>();

  record(name: string, sample: Sample): void {
    const history = this.#byName.get(name) ?? new History();
    history.add(sample);
    this.#byName.set(name, history);
  }

  of(name: string): History {
    return this.#byName.get(name) ?? NO_HISTORY;
  }

  forget(nowMs: number): void {
    for (const [name, { samples }] of this.#byName) {
      if (samples.at(-1)!.atMs < nowMs - WINDOW_MS) this.#byName.delete(name);
    }
  }
}

const NO_HISTORY = new History();

const STEPS = [1, 1.5, 2, 3, 4, 5, 6, 8];

/** The next round number that is not below the value. */
export function roundUp(value: number): number {
  if (value <= 0) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of STEPS) if (value <= step * power * (1 + 1e-9)) return step * power;
  return 10 * power;
}

export interface Drawing {
  /** Paths in SVG's language, in a box of width by height with the present at the right edge. */
  readonly line: string;
  /** Down to the base. */
  readonly area: string;
}

export interface Box {
  readonly width: number;
  readonly height: number;
  /** The value at the upper edge. */
  readonly top: number;
}

/** One of the values of the samples over time. */
export function draw(samples: readonly Sample[], index: number, nowMs: number, { width, height, top }: Box): Drawing {
  let line = "";
  let area = "";
  let run: string[] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  const endRun = () => {
    if (run.length === 0) return;
    // A single point is drawn by the round ends of a line of no length.
    line += run.length === 1 ? `M${run[0]}h0` : `M${run.join("L")}`;
    const [from, to] = [run[0], run.at(-1)].map((point) => point!.split(" ")[0]);
    area += `M${from} ${height}L${run.join("L")}L${to} ${height}Z`;
    run = [];
  };
  for (const { atMs, values } of samples) {
    const value = values[index] ?? Number.NaN;
    if (Number.isNaN(value) || atMs - lastMs > GAP_MS) endRun();
    lastMs = atMs;
    if (Number.isNaN(value)) continue;
    const x = width * Math.max(0, 1 - (nowMs - atMs) / WINDOW_MS);
    const y = height * (1 - (top > 0 ? Math.min(1, value / top) : 0));
    run.push(`${x.toFixed(1)} ${y.toFixed(1)}`);
  }
  endRun();
  return { line, area };
}
