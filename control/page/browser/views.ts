/** Paths, units, sessions and shards: each a table or a list. */
import { byteRate, commandRate, elapsed, percent, plural, size } from "../format.js";
import { pathSummaries, pathsByState, type Session, type Unit } from "../summary.js";
import { type Entry, element, fill, List, setText } from "./elements.js";
import { load, type Model, pathKey, unitKey } from "./model.js";
import { markIdle, Panel, showChips, showRates, showSpark } from "./tables.js";

export interface View {
  show(model: Model): void;
}

export class PathsView implements View {
  readonly #panel = new Panel<ReturnType<typeof pathSummaries>[number]>("paths");

  show(model: Model): void {
    if (model.state === undefined) return;
    this.#panel.show(
      pathSummaries(model.state, model.statistics),
      ({ portalGroupTag }) => String(portalGroupTag),
      ({ readBytes, writtenBytes }) => readBytes + writtenBytes,
      (shown) =>
        shown.map(({ portalGroupTag, addresses, access, outOfService, sessions, readBytes, writtenBytes }) => ({
          key: String(portalGroupTag),
          template: "path-row",
          update(row) {
            fill(row, {
              name: `Group ${portalGroupTag}`,
              addresses: addresses.join(", "),
              read: byteRate(readBytes),
              write: byteRate(writtenBytes),
              sessions: String(sessions),
            });
            showChips(row, [
              // One state for all units needs no number.
              ...access.map(([state, count]) => ({
                state,
                text: access.length === 1 ? state : `${state} for ${plural(count, "unit")}`,
              })),
              ...outOfService.map(({ address, state }) => ({ state, text: `${address} ${state}` })),
            ]);
            markIdle(row, readBytes, writtenBytes);
            showSpark(row, model, pathKey(portalGroupTag));
          },
        })),
    );
  }
}

export class UnitsView implements View {
  readonly #panel: Panel<Unit>;

  constructor(onFilter: () => void) {
    this.#panel = new Panel("units", onFilter);
  }

  show(model: Model): void {
    if (model.state === undefined) return;
    const rates = new Map(model.statistics?.units.map((unit) => [unit.name, unit]));
    this.#panel.show(
      model.state.units,
      ({ name }) => name,
      ({ name }) => load(rates.get(name)),
      (shown) =>
        shown.map((unit) => ({
          key: unit.name,
          template: "unit-row",
          update(row) {
            fill(row, { name: unit.name, about: aboutUnit(unit) });
            showRates(row, rates.get(unit.name));
            showSpark(row, model, unitKey(unit.name));
            showChips(
              row,
              pathsByState(unit).map(([state, paths]) => ({
                state,
                text: `${state} ${paths.map(pathText).join(" ")}`,
              })),
            );
          },
        })),
    );
  }
}

function aboutUnit({ sizeBytes, kind, cache, thin, readOnly, limits }: Unit): string {
  const facts = [size(sizeBytes), kind, kind === "null" ? "" : cache, thin ? "thin" : "", readOnly ? "read-only" : ""];
  if (limits?.iops != null) facts.push(`at most ${commandRate(limits.iops)}/s`);
  if (limits?.bytesPerSecond != null) facts.push(`at most ${byteRate(limits.bytesPerSecond)}`);
  return facts.filter(Boolean).join(" · ");
}

function pathText({ portalGroupTag, preferred }: Unit["paths"][number]): string {
  return preferred ? `${portalGroupTag} (preferred)` : String(portalGroupTag);
}

export class SessionsView implements View {
  readonly #panel: Panel<Session>;

  constructor(onFilter: () => void) {
    this.#panel = new Panel("sessions", onFilter);
  }

  show(model: Model): void {
    const { state, statistics } = model;
    if (state === undefined) return;
    const rates = new Map(statistics?.sessions.map((session) => [session.sessionId, session]));
    const addresses = state.portals
      .map((portal) => (portal.state === "serving" ? portal.address : `${portal.address} (${portal.state})`))
      .join(", ");
    setText(
      element("#sessions .empty"),
      state.targets.length === 0
        ? "No target is configured: there is nothing to log in to."
        : `Nobody is logged in. Initiators reach ${plural(state.targets.length, "target")} at ${addresses}.`,
    );
    this.#panel.show(
      byTarget(state.sessions),
      ({ initiatorName, targetName, connections }) =>
        [initiatorName, targetName ?? "discovery", ...connections.map(({ peer }) => peer)].join(" "),
      ({ sessionId }) => load(rates.get(sessionId)),
      (shown) => this.#entries(shown, model, rates),
    );
  }

  #entries(
    shown: readonly Session[],
    model: Model,
    rates: ReadonlyMap<number, Parameters<typeof showRates>[1]>,
  ): Entry[] {
    let target: string | null | undefined;
    return shown.flatMap((session) => {
      const entries: Entry[] = [];
      if (session.targetName !== target) {
        target = session.targetName;
        entries.push(this.#targetEntry(target, model));
      }
      const { sessionId, initiatorName, portalGroupTag, connections, shard } = session;
      entries.push({
        key: model.sessionKey(sessionId),
        template: "session-row",
        update(row) {
          const peers = connections.map(({ peer }) => peer);
          fill(row, {
            name: initiatorName,
            about: [
              `session ${sessionId}`,
              plural(connections.length, "connection"),
              shard === null ? "" : `shard ${shard}`,
            ]
              .filter(Boolean)
              .join(" · "),
            path: portalGroupTag === null ? "" : `Group ${portalGroupTag}`,
            peers: peers.length > 2 ? `${peers[0]} and ${peers.length - 1} more` : peers.join(", "),
          });
          showRates(row, rates.get(sessionId));
          showSpark(row, model, model.sessionKey(sessionId));
        },
      });
      return entries;
    });
  }

  #targetEntry(name: string | null, { state }: Model): Entry {
    const count = state!.sessions.filter(({ targetName }) => targetName === name).length;
    const target = state!.targets.find((it) => it.name === name);
    const service = target === undefined || target.state === "serving" ? "" : ` · ${target.state}`;
    return {
      key: `target ${name}`,
      template: "target-row",
      update(row) {
        fill(row, {
          alias: name === null ? "Discovery" : (target?.alias ?? ""),
          name: name ?? "",
          about: `${plural(count, "session")}${service}`,
        });
      },
    };
  }
}

/** Those of a target together, in the order of their targets' names; discovery comes last. */
function byTarget(sessions: readonly Session[]): Session[] {
  const rank = ({ targetName }: Session): string => targetName ?? "\uffff";
  return [...sessions].sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : a.sessionId - b.sessionId));
}

export class ShardsView implements View {
  readonly #list = new List(element("#shards ul"));

  show({ state, statistics }: Model): void {
    if (state === undefined) return;
    this.#list.update(
      state.shards.map(({ shard, serving, restarts }) => ({
        key: String(shard),
        template: "shard-row",
        update(row) {
          const cpu = statistics?.shards.find((it) => it.shard === shard)?.cpu;
          const sessions = state.sessions.filter((session) => session.shard === shard).length;
          fill(row, {
            name: `Shard ${shard}`,
            cpu: cpu === undefined ? "–" : percent(cpu),
            about: [
              serving ? plural(sessions, "session") : "is being started again",
              restarts === 0 ? "" : plural(restarts, "restart"),
            ]
              .filter(Boolean)
              .join(" · "),
          });
          element(".bar", row).style.setProperty("--part", `${Math.min(100, (cpu ?? 0) * 100)}%`);
        },
      })),
    );
  }
}

export class HeadView implements View {
  show({ state, statistics }: Model): void {
    if (state === undefined) return;
    const now = statistics === undefined ? Date.now() : Date.parse(statistics.at);
    const up = elapsed(now - Date.parse(state.startedAt));
    setText(element("#facts"), `${location.hostname} · ${state.version} · up ${up}`);
  }
}
