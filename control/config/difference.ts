/** What is different between two configurations, said in the words of the file, and what putting it in force takes. */
import { isEqual } from "./equality.js";
import { formatPortalAddress } from "./portal-address.js";
import type {
  Configuration,
  InitiatorConfiguration,
  LimitsConfiguration,
  LunMapping,
  TargetConfiguration,
} from "./schema.js";
import { Secret } from "./secret.js";
import type { TlsMaterial } from "./tls-files.js";

/**
 * `live`: nobody notices who is not meant to. `session`: sessions that have to do with it end, and may log in again at once.
 * `restart`: it stays as it was until the program is started anew.
 */
export type Effect = "live" | "session" | "restart";

export interface Difference {
  /** `units.vm0.size`, `targets["iqn.2026-11.io.ringlun:vm"].luns.1` */
  readonly path: string;
  readonly kind: "added" | "removed" | "changed";
  /** Of what has changed; secrets are not shown. */
  readonly from?: string;
  readonly to?: string;
  readonly effect: Effect;
}

/** Keys of which each has a value of its own, or more keys below it. */
interface Tree {
  readonly [key: string]: unknown;
}

/** In the order of the file: portal groups, targets, units, the rest. */
export function differences(current: Configuration, next: Configuration): Difference[] {
  const found: Difference[] = [];
  const units = new Set(next.units.map(({ name }) => name));
  const [before, after] = withoutEqual(current, next);
  compare([], treeOf(before), treeOf(after), (at, kind, from, to) => {
    const values = kind === "changed" ? { from: shown(from), to: shown(to) } : {};
    found.push({ path: formatted(at), kind, ...values, effect: effectOf(at, kind, from, to, units) });
  });
  return found;
}

/** Most targets and units are the same in both: no trees are made of them. */
function withoutEqual(current: Configuration, next: Configuration): [Configuration, Configuration] {
  const [targets, nextTargets] = unequal(current.targets, next.targets);
  const [units, nextUnits] = unequal(current.units, next.units);
  return [
    { ...current, targets, units },
    { ...next, targets: nextTargets, units: nextUnits },
  ];
}

function unequal<Named extends { readonly name: string }>(
  current: readonly Named[],
  next: readonly Named[],
): [Named[], Named[]] {
  const before = byName(current);
  const equal = new Set(next.filter((one) => isEqual(before.get(one.name), one)).map(({ name }) => name));
  return [current.filter(({ name }) => !equal.has(name)), next.filter(({ name }) => !equal.has(name))];
}

export function byName<Named extends { readonly name: string }>(list: readonly Named[]): Map<string, Named> {
  return new Map(list.map((one) => [one.name, one]));
}

type Found = (path: readonly string[], kind: Difference["kind"], from: unknown, to: unknown) => void;

function compare(path: readonly string[], current: Tree, next: Tree, found: Found): void {
  for (const key of new Set([...Object.keys(current), ...Object.keys(next)])) {
    const [from, to] = [current[key], next[key]];
    if (isEqual(from, to)) continue;
    const at = [...path, key];
    if (isTree(from) && isTree(to)) {
      compare(at, from, to, found);
      continue;
    }
    const kind =
      from === undefined || from === null ? "added" : to === undefined || to === null ? "removed" : "changed";
    found(at, kind, from, to);
  }
}

/** @param units that there are afterwards. */
function effectOf(
  path: readonly string[],
  kind: Difference["kind"],
  from: unknown,
  to: unknown,
  units: ReadonlySet<string>,
): Effect {
  const [section, name, key, member, ...below] = path;
  switch (section) {
    case "portalGroups":
      return key === undefined && kind === "removed" ? "session" : "live";
    case "targets":
      if (below[0] === "limits") return "live";
      if (key === "luns") return effectOnLun(path.slice(3), kind, from, units);
      if (key === "initiators" && below[0] === "luns") return effectOnLun(below.slice(1), kind, from, units);
      if (key === "initiators" && below[0] === "auth") return "live";
      // A list where there was none keeps out whoever is not on it.
      if (key === "initiators") return kind === "added" && member !== undefined ? "live" : "session";
      return key === undefined && kind === "removed" ? "session" : "live";
    case "units":
      if (key === undefined) return kind === "removed" ? "session" : "live";
      if (key === "access" || key === "limits" || key === "thinThreshold") return "live";
      if (key === "readOnly" && to === true) return "live";
      return key === "size" && typeof from === "number" && typeof to === "number" && from < to ? "live" : "session";
    case "discovery":
    case "log":
      return "live";
    case "http":
      return name === "tls" && key !== undefined ? "live" : "restart";
    default:
      return "restart";
  }
}

/** A session goes on without a LUN, or with one that is read-only now, unless it loses the unit too, or gets another one. */
function effectOnLun(
  [, key]: readonly string[],
  kind: Difference["kind"],
  from: unknown,
  units: ReadonlySet<string>,
): Effect {
  if (key !== undefined) return key === "readOnly" ? "live" : "session";
  return kind === "removed" && !units.has((from as { unit: string }).unit) ? "session" : "live";
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Secret);
}

/** `units.vm0`, `targets["iqn.2026-11.io.ringlun:vm"]` */
export function formatted(path: readonly string[]): string {
  return path
    .map((key, i) => (/^[A-Za-z0-9_-]+$/.test(key) ? (i === 0 ? key : `.${key}`) : `[${JSON.stringify(key)}]`))
    .join("");
}

function shown(value: unknown): string {
  return JSON.stringify(value, (_key, part) => (part instanceof Secret ? "(secret)" : part));
}

// -- a configuration as the file has it: lists by what names their members

function treeOf(configuration: Configuration): Tree {
  const { portalGroups, targets, units, discoveryAuth, http, api, workers, affinity, busyPoll, stateDir, log } =
    configuration;
  return {
    portalGroups: keyed(portalGroups, ({ tag, portals, access: { state, preferred }, redirect }) => [
      String(tag),
      { portals: keyed(portals, (portal) => [formatPortalAddress(portal), true]), access: state, preferred, redirect },
    ]),
    targets: keyed(targets, (target) => [target.name, targetTree(target)]),
    units: keyed(units, ({ name, access, limits, ...unit }) => [
      name,
      {
        ...renamed(unit),
        limits: limitsTree(limits),
        access: keyed(access, ({ portalGroup, ...own }) => [String(portalGroup), own]),
      },
    ]),
    discovery: { auth: discoveryAuth },
    http: http && { ...http, tls: http.tls && tlsTree(http.tls) },
    api,
    workers,
    affinity,
    busyPoll,
    stateDir,
    log: renamed(log),
  };
}

/** Certificates are shown by what tells them from others. */
function tlsTree({ certificate: { file, fingerprint }, key }: TlsMaterial): Tree {
  return { certificate: `${file} (SHA-256 ${fingerprint})`, key };
}

function targetTree({ name: _, luns, initiators, ...target }: TargetConfiguration): Tree {
  return {
    ...renamed(target),
    luns: lunTree(luns),
    initiators: initiators && keyed(initiators, (initiator) => [initiator.name, initiatorTree(initiator)]),
  };
}

function initiatorTree({ name: _, luns, limits, ...initiator }: InitiatorConfiguration): Tree {
  return { ...initiator, luns: lunTree(luns), limits: limitsTree(limits) };
}

function limitsTree(limits: LimitsConfiguration | null): Tree | null {
  return limits && { iops: limits.iops, bandwidth: limits.bytesPerSecond, burst: limits.burstSeconds };
}

function lunTree(luns: readonly LunMapping[]): Tree {
  return keyed(luns, ({ lun, ...mapping }) => [String(lun), mapping]);
}

/** Keys whose names the program has made plainer. */
const FILE_KEYS: Readonly<Record<string, string>> = {
  sizeBytes: "size",
  thinThresholdBytes: "thinThreshold",
  blockLengthBytes: "blockLength",
  physicalBlockBytes: "physicalBlockLength",
  pingIntervalMs: "pingInterval",
  slowCommandsMs: "slowCommands",
  path: "file",
};

function renamed(value: object): Tree {
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [FILE_KEYS[key] ?? key, part]));
}

function keyed<T>(list: readonly T[], entryOf: (member: T) => [string, unknown]): Tree {
  return Object.fromEntries(list.map(entryOf));
}
