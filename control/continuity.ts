/** What stays the same in another configuration, although it is written differently. */
import type { UnitRecord } from "../dataplane/messages.js";
import { byName, type Difference, differences, formatted } from "./config/difference.js";
import { isEqual } from "./config/equality.js";
import type { Configuration, LunMapping, UnitConfiguration } from "./config/schema.js";

/** A unit that goes on under another name. */
export interface Renamed {
  readonly from: string;
  readonly to: string;
}

export interface Continuity {
  /** The configuration in force in the words of the next one: units have their new names, and sizes where those have them. */
  readonly current: Configuration;
  readonly renamed: readonly Renamed[];
}

/**
 * A unit that is gone, and one that has come with its file and its identity (`id`, or none was written), are one unit with
 * another name. One whose size
 * was that of its file, and is configured now, has had that size all the time.
 *
 * @param open the units that are open.
 */
export function continuityOf(current: Configuration, next: Configuration, open: readonly UnitRecord[]): Continuity {
  const [before, after, records] = [byName(current.units), byName(next.units), byName(open)];
  const added = next.units.filter(({ name }) => !before.has(name));
  const names = new Map<string, string>();
  for (const unit of added.length === 0 ? [] : current.units) {
    if (after.has(unit.name)) continue;
    const uuid = records.get(unit.name)?.uuid;
    const same = added.find(
      (other) =>
        (other.id === uuid || (other.id === null && unit.id === null && unit.kind === "file")) &&
        isSameOpen({ ...unit, name: other.name, id: other.id }, other),
    );
    if (same !== undefined) names.set(unit.name, same.name);
  }
  const nameOf = (name: string) => names.get(name) ?? name;
  const luns = (list: readonly LunMapping[]) => list.map((mapping) => ({ ...mapping, unit: nameOf(mapping.unit) }));
  const units = current.units.map((unit) => {
    const to = after.get(nameOf(unit.name));
    const renamed = names.has(unit.name) ? { ...unit, name: nameOf(unit.name), id: to!.id } : unit;
    const record = records.get(unit.name);
    if (renamed.sizeBytes !== null || to === undefined || to.sizeBytes === null || record === undefined) return renamed;
    return { ...renamed, sizeBytes: record.state.sizeBytes };
  });
  const targets = current.targets.map((target) => ({
    ...target,
    luns: luns(target.luns),
    initiators: target.initiators?.map((initiator) => ({ ...initiator, luns: luns(initiator.luns) })) ?? null,
  }));
  return {
    current: { ...current, units, targets: names.size === 0 ? current.targets : targets },
    renamed: [...names].map(([from, to]) => ({ from, to })),
  };
}

/** What is different, said in the words of the file. */
export function differencesBetween(
  { current, renamed }: Continuity,
  next: Configuration,
  open: readonly UnitRecord[],
): Difference[] {
  const names = renamed.map(
    ({ from, to }): Difference => ({ path: formatted(["units", from]), kind: "changed", from, to, effect: "live" }),
  );
  const unnoticed = unnoticedPaths(current, next, open);
  const found = differences(current, next).map(
    (difference): Difference => (unnoticed.has(difference.path) ? { ...difference, effect: "live" } : difference),
  );
  return [...names, ...found];
}

/** What no session has to do with: units that are mapped nowhere, and whether one is read-only that is open for writing. */
function unnoticedPaths(
  { units, targets }: Configuration,
  next: Configuration,
  open: readonly UnitRecord[],
): Set<string> {
  const mapped = new Set(
    targets.flatMap(({ luns, initiators }) =>
      [...luns, ...(initiators ?? []).flatMap((initiator) => initiator.luns)].map(({ unit }) => unit),
    ),
  );
  const [records, after] = [byName(open), byName(next.units)];
  return new Set([
    ...units.filter(({ name }) => !mapped.has(name)).map(({ name }) => formatted(["units", name])),
    ...units
      .filter(({ name, readOnly }) => records.get(name)?.readOnly === false && after.get(name)?.readOnly !== readOnly)
      .map(({ name }) => formatted(["units", name, "readOnly"])),
  ]);
}

/** Whether a unit need not be opened anew: access states, limits and the threshold change whatever it is open as. */
export function isSameOpen(from: UnitConfiguration, to: UnitConfiguration): boolean {
  const threshold = to.kind === "file" ? { thinThresholdBytes: to.thinThresholdBytes } : {};
  return isEqual({ ...from, ...threshold, access: to.access, limits: to.limits }, to);
}
