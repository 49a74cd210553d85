/** What the page says of paths and targets: put together from the state and the statistics, which know units and sessions. */
import type { State, Statistics } from "../http/documents.js";

export type Session = State["sessions"][number];
export type Unit = State["units"][number];
export type AccessState = Unit["paths"][number]["state"];
export type Rates = Statistics["total"];

/** In the order in which they are told: the best first. */
export const ACCESS_STATES: readonly AccessState[] = [
  ...(["optimized", "non-optimized", "standby", "transitioning", "unavailable"] as const),
];

/** Of a portal group, to which all its portals belong. */
export interface PathSummary {
  readonly portalGroupTag: number;
  readonly addresses: readonly string[];
  /** How many units are reached through it in each state; what is reached in none is left out. */
  readonly access: readonly (readonly [AccessState, number])[];
  /** Portals that take no new sessions. */
  readonly outOfService: readonly { readonly address: string; readonly state: "draining" | "drained" }[];
  readonly sessions: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
}

export function pathSummaries({ portals, units, sessions }: State, statistics: Statistics | undefined): PathSummary[] {
  const rates = new Map(statistics?.sessions.map((rated) => [rated.sessionId, rated]));
  const tags = [...new Set(portals.map(({ portalGroupTag }) => portalGroupTag))].sort((a, b) => a - b);
  return tags.map((tag) => {
    const states = units.flatMap(({ paths }) => paths.filter((path) => path.portalGroupTag === tag));
    const those = sessions.filter(({ portalGroupTag }) => portalGroupTag === tag);
    const sum = (key: "readBytes" | "writtenBytes") =>
      those.reduce((total, { sessionId }) => total + (rates.get(sessionId)?.[key] ?? 0), 0);
    const members = portals.filter(({ portalGroupTag }) => portalGroupTag === tag);
    return {
      portalGroupTag: tag,
      addresses: members.map(({ address }) => address),
      outOfService: members.flatMap(({ address, state }) => (state === "serving" ? [] : [{ address, state }])),
      access: ACCESS_STATES.flatMap((state) => {
        const count = states.filter((path) => path.state === state).length;
        return count === 0 ? [] : [[state, count] as const];
      }),
      sessions: those.length,
      readBytes: sum("readBytes"),
      writtenBytes: sum("writtenBytes"),
    };
  });
}

/** How a unit is reached: its portal groups by their state, the best first. */
export function pathsByState({ paths }: Unit): [AccessState, Unit["paths"]][] {
  return ACCESS_STATES.flatMap((state) => {
    const those = paths.filter((path) => path.state === state);
    return those.length === 0 ? [] : [[state, those] as [AccessState, Unit["paths"]]];
  });
}

export interface Choice<T> {
  readonly shown: readonly T[];
  /** How many fit what is looked for. */
  readonly found: number;
}

/** What fits the words that are looked for; of more than can be shown those that do most, in the order that they have. */
export function choose<T>(
  all: readonly T[],
  text: (item: T) => string,
  wanted: string,
  load: (item: T) => number,
  max: number,
): Choice<T> {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const found = all.filter((item) => words.every((word) => text(item).toLowerCase().includes(word)));
  if (found.length <= max) return { shown: found, found: found.length };
  const busiest = new Set([...found].sort((a, b) => load(b) - load(a)).slice(0, max));
  return { shown: found.filter((item) => busiest.has(item)), found: found.length };
}
