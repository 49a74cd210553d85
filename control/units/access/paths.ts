/** Through which portal groups units are reached, and how the configuration wants them to be. */
import type { Configuration, PathAccess, UnitConfiguration } from "../../config/schema.js";

/** By portal group tag, in ascending order. */
export type Paths = ReadonlyMap<number, PathAccess>;

export class ConfiguredPaths {
  readonly #groups: ReadonlyMap<number, PathAccess>;
  readonly #units: ReadonlyMap<string, UnitConfiguration>;
  /** Name of a unit -> tags. */
  readonly #tags = new Map<string, Set<number>>();

  constructor({ portalGroups, targets, units }: Pick<Configuration, "portalGroups" | "targets" | "units">) {
    this.#groups = new Map(portalGroups.map(({ tag, access }) => [tag, access]));
    this.#units = new Map(units.map((unit) => [unit.name, unit]));
    for (const target of targets) {
      for (const { luns, portalGroups: tags } of target.initiators ?? [target]) {
        for (const { unit } of luns) this.#add(unit, tags);
      }
    }
  }

  /** To the unit of this name. */
  to(name: string): Paths {
    const unit = this.#units.get(name);
    const tags = [...(this.#tags.get(name) ?? [])].sort((a, b) => a - b);
    return new Map(
      tags.map((tag) => [tag, unit?.access.find(({ portalGroup }) => portalGroup === tag) ?? this.#groups.get(tag)!]),
    );
  }

  #add(unit: string, tags: readonly number[]): void {
    const known = this.#tags.get(unit) ?? new Set();
    for (const tag of tags) if (this.#groups.has(tag)) known.add(tag);
    this.#tags.set(unit, known);
  }
}
