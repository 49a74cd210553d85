/** Where things stand in the text of a configuration: looked up by name, as it would be read. */
import { parseIscsiName, parseNamePattern } from "../iscsi-name.js";
import { meantHint } from "../nearest.js";
import type { Steps } from "../yaml-stretch.js";
import type { YamlText } from "../yaml-text.js";
import { EditError } from "./edit-error.js";

/** Plain data as it stands in the text: any part of it may be short for something. */
type Mapping = Readonly<Record<string, unknown>>;

/** @throws EditError where there is none. */
export function targetPlace(yaml: YamlText, name: string): Steps {
  const parsed = parseIscsiName(name);
  if (!parsed.ok) throw new EditError("invalid", `${name} ${parsed.reason}`);
  const targets = list(yaml, ["targets"]);
  const index = targets.findIndex((target) => nameOf(target) === parsed.name);
  if (index === -1)
    throw new EditError(
      "notFound",
      `there is no target ${name}${meantHint(
        parsed.name,
        targets.flatMap((target) => nameOf(target) ?? []),
      )}`,
    );
  return ["targets", index];
}

/** The entry of an initiator, by its name or pattern, or by the name of its group. @throws EditError where there is none. */
export function initiatorPlace(yaml: YamlText, target: Steps, name: string): Steps {
  const parsed = parseNamePattern(name);
  const path = [...target, "initiators"];
  const entries = list(yaml, path);
  const index = entries.findIndex((entry) => entry.group === name || (parsed.ok && patternOf(entry) === parsed.name));
  if (index >= 0) return [...path, index];
  const known = entries.map((entry) => String(entry.name ?? entry.group)).join(", ");
  throw new EditError(
    "notFound",
    entries.length === 0
      ? `the target lists no initiators: all may log in, and see its own LUNs`
      : `the target has no entry for ${name} among its initiators: ${known}`,
  );
}

/** Throws where there is no such unit. */
export function unitPlace(yaml: YamlText, name: string): Steps {
  const path = ["units", name];
  if (yaml.get(path) === undefined) {
    const units = yaml.get(["units"]);
    throw new EditError(
      "notFound",
      `there is no unit ${name}${meantHint(name, isMapping(units) ? Object.keys(units) : [])}`,
    );
  }
  return path;
}

/** One LUN that leads to a unit. */
export interface MappingPlace {
  readonly path: Steps;
  /** For people. */
  readonly where: string;
}

/** Everywhere that the unit is mapped. */
export function mappingsOf(yaml: YamlText, unit: string): MappingPlace[] {
  return list(yaml, ["targets"]).flatMap((target, index) => {
    const path = ["targets", index];
    const of = (luns: unknown, at: Steps, whom: string): MappingPlace[] =>
      Object.entries(isMapping(luns) ? luns : {})
        .filter(([, mapping]) => unitOf(mapping) === unit)
        .map(([lun]) => ({ path: [...at, "luns", lun], where: `LUN ${lun} of ${target.name}${whom}` }));
    const own = list(yaml, [...path, "initiators"]).flatMap((entry, i) =>
      of(entry.luns, [...path, "initiators", i], ` for ${entry.name ?? entry.group}`),
    );
    return [...of(target.luns, path, ""), ...own];
  });
}

/** Of a LUN: `vm0`, or `{ unit: vm0 }`. */
export function unitOf(mapping: unknown): unknown {
  return isMapping(mapping) ? mapping.unit : mapping;
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The mappings in the list at the path. */
export function list(yaml: YamlText, path: Steps): Mapping[] {
  const value = yaml.get(path);
  return Array.isArray(value) ? value.filter(isMapping) : [];
}

function nameOf({ name }: Mapping): string | undefined {
  const parsed = parseIscsiName(String(name));
  return parsed.ok ? parsed.name : undefined;
}

function patternOf({ name }: Mapping): string | undefined {
  const parsed = parseNamePattern(String(name));
  return parsed.ok ? parsed.name : undefined;
}
