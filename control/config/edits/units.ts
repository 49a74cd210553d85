/** Edits of units. Each is a function that changes the text, and throws EditError where that is not to be. */
import { size } from "../values.js";
import type { YamlText } from "../yaml-text.js";
import { EditError } from "./edit-error.js";
import { mapLun } from "./luns.js";
import { mappingsOf, unitOf, unitPlace } from "./places.js";

/** Keys of `units.NAME`, as the file has them; null takes one away. */
export type UnitKeys = Readonly<Record<string, unknown>>;

/** Where a new unit is to be seen. */
export interface UnitMapping {
  readonly target: string;
  readonly lun: number;
  readonly initiator?: string;
  readonly readOnly?: boolean;
}

export function addUnit(yaml: YamlText, name: string, keys: UnitKeys, mappings: readonly UnitMapping[]): void {
  if (yaml.get(["units", name]) !== undefined) {
    throw new EditError("conflict", `there is a unit ${name} already: take another name, or change that one`);
  }
  yaml.set(["units", name], keys);
  for (const mapping of mappings) mapLun(yaml, { ...mapping, unit: name });
}

/** @param sizeBytes what the unit has now. */
export function changeUnit(yaml: YamlText, name: string, keys: UnitKeys, sizeBytes: number): void {
  const path = unitPlace(yaml, name);
  const wanted = size.safeParse(keys.size);
  if (wanted.success && wanted.data < sizeBytes) {
    throw new EditError(
      "conflict",
      `unit ${name} has ${sizeBytes} bytes, and ${wanted.data} are fewer: what lies behind would be lost, so units never shrink; ` +
        "create a smaller one, copy what is needed, and delete this one",
    );
  }
  for (const [key, value] of Object.entries(keys)) {
    if (value !== null) yaml.set([...path, key], value);
    else if (yaml.get([...path, key]) !== undefined) yaml.remove([...path, key]);
  }
}

/** @param id the unit's identity, where nothing else in the text says that it is the same one. */
export function renameUnit(yaml: YamlText, name: string, next: string, id: string | null): void {
  const path = unitPlace(yaml, name);
  if (yaml.get(["units", next]) !== undefined) throw new EditError("conflict", `there is a unit ${next} already`);
  for (const mapping of mappingsOf(yaml, name)) {
    const isShort = unitOf(yaml.get(mapping.path)) === yaml.get(mapping.path);
    yaml.set(isShort ? mapping.path : [...mapping.path, "unit"], next);
  }
  if (id !== null) yaml.set([...path, "id"], id);
  yaml.rename(path, next);
}

/** @param force with its LUNs, wherever it has some. */
export function removeUnit(yaml: YamlText, name: string, force: boolean): void {
  const path = unitPlace(yaml, name);
  const mappings = mappingsOf(yaml, name);
  if (mappings.length > 0 && !force) {
    throw new EditError(
      "conflict",
      `unit ${name} is mapped: ${mappings.map(({ where }) => where).join(", ")}; unmap it, or force it: then the sessions that see it end`,
    );
  }
  for (const mapping of mappings) yaml.remove(mapping.path);
  yaml.remove(path);
}
