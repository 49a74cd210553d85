/** From plain data to a configuration: the schema, the checks, the defaults and what is inherited. */
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type * as z from "zod";
import { checkDocument, type Origin, type Results, resolveFrom, stateDirOf } from "./checks.js";
import type { Finding, Path } from "./findings.js";
import { nearest } from "./nearest.js";
import {
  type AuthConfiguration,
  type ChapCredential,
  type Configuration,
  type ConfigurationDocument,
  documentSchema,
  type LimitsConfiguration,
  type LunMapping,
  type PortalGroupConfiguration,
  type RedirectConfiguration,
  type TargetConfiguration,
  type UnitConfiguration,
} from "./schema.js";
import type { Secret } from "./secret.js";
import type { TlsMaterial } from "./tls-files.js";
import { KEY_SEPARATOR } from "./values.js";

type TargetDocument = ConfigurationDocument["targets"][number];
type AuthDocument = NonNullable<TargetDocument["auth"]>;
type CredentialDocument = AuthDocument["chap"][number];
type UnitDocument = ConfigurationDocument["units"][string];

export type ParseResult =
  | { readonly ok: true; readonly configuration: Configuration; readonly warnings: readonly Finding[] }
  | { readonly ok: false; readonly faults: readonly Finding[]; readonly warnings: readonly Finding[] };

/** Makes a configuration of a document, or says all that is wrong with it. Reads the files that it names. */
export function parseConfiguration(document: unknown, origin: Origin): ParseResult {
  let results: Results | undefined;
  // Runs even where the schema has found faults, on what is left of the document: all faults come out at once.
  const schema = documentSchema.superRefine((draft) => void (results = checkDocument(draft as never, origin)), {
    when: () => true,
  });
  const parse = schema.safeParse(document);
  const { faults: checked = [], warnings = [], secrets = new Map(), tls = null } = results ?? {};
  const faults = [...(parse.error?.issues ?? []).flatMap(translateIssue), ...checked];
  if (!parse.success || faults.length > 0) return { ok: false, faults, warnings };
  return { ok: true, configuration: complete(parse.data, origin, secrets, tls), warnings };
}

function translateIssue(issue: z.core.$ZodIssue): Finding[] {
  const path = issue.path as Path;
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({
        path: [...path, key],
        message: `is unknown: ${remedy(key, issue.message)}`,
        of: "key",
      }));
    default:
      return [{ path, message: issue.message, of: "value" }];
  }
}

function remedy(key: string, known: string): string {
  const meant = nearest(key, known.split(KEY_SEPARATOR));
  return meant === undefined ? `the keys here are ${known}` : `did you mean ${meant}?`;
}

/** Fills in what the document leaves out. Everything in it is sound by now. */
function complete(
  document: ConfigurationDocument,
  origin: Origin,
  secrets: ReadonlyMap<object, Secret>,
  tls: TlsMaterial | null,
): Configuration {
  const portalGroups = document.portalGroups.map(
    ({ tag, portals, access: state, preferred, redirect }): PortalGroupConfiguration => ({
      tag,
      portals,
      access: { state, preferred },
      redirect: completeRedirect(redirect),
    }),
  );
  const units = Object.entries(document.units).map(([name, unit]) => completeUnit(name, unit, portalGroups, origin));
  const readOnlyUnits = new Set(units.filter(({ readOnly }) => readOnly).map(({ name }) => name));

  const secretOf = (holder: object): Secret => {
    const secret = secrets.get(holder);
    assert(secret !== undefined, "a credential without a secret passed the checks");
    return secret;
  };
  const completeCredential = (credential: CredentialDocument): ChapCredential => ({
    user: credential.user,
    secret: secretOf(credential),
  });
  const completeAuth = (auth: AuthDocument | undefined): AuthConfiguration | null =>
    auth === undefined
      ? null
      : {
          chap: auth.chap.map(completeCredential),
          mutual: auth.mutual === undefined ? null : completeCredential(auth.mutual),
        };
  // The keys of an object that look like numbers come in ascending order.
  const completeLuns = (luns: TargetDocument["luns"]): LunMapping[] =>
    Object.entries(luns).map(([lun, { unit, readOnly }]) => ({
      lun: Number(lun),
      unit,
      readOnly: readOnly || readOnlyUnits.has(unit),
    }));
  const completeTarget = (target: TargetDocument): TargetConfiguration => {
    const auth = completeAuth(target.auth);
    const luns = completeLuns(target.luns);
    return {
      name: target.name,
      alias: target.alias ?? null,
      portalGroups: target.portalGroups,
      session: target.session,
      pingIntervalMs: target.pingInterval * 1000,
      scsiEvents: target.scsiEvents,
      auth,
      luns,
      initiators:
        target.initiators?.flatMap((initiator) => {
          const names = initiator.group === undefined ? [initiator.name] : document.initiatorGroups[initiator.group];
          const access = {
            portalGroups: initiator.portalGroups ?? target.portalGroups,
            auth: initiator.auth === undefined ? auth : completeAuth(initiator.auth),
            luns: initiator.luns === undefined ? luns : completeLuns(initiator.luns),
            limits: completeLimits(initiator.limits),
          };
          return (names ?? []).map((name) => {
            assert(name !== undefined, "an initiator without a name passed the checks");
            return { name, ...access };
          });
        }) ?? null,
      redirect: completeRedirect(target.redirect),
    };
  };

  const { stateDir, socket } = placesOf(origin, document);
  return {
    file: origin.file,
    portalGroups,
    targets: document.targets.map(completeTarget),
    units,
    discoveryAuth: completeAuth(document.discovery.auth),
    http: document.http === undefined ? null : { listen: document.http.listen, hosts: document.http.hosts, tls },
    api: {
      socket,
      fileRoots: document.api.fileRoots.map((path) => resolveFrom(origin, path)),
      tokens: document.api.tokens.map((token) => ({ name: token.name, secret: secretOf(token) })),
    },
    workers: workersOf(document),
    affinity: document.affinity ?? [],
    busyPoll: document.busyPoll === "auto",
    stateDir,
    log: { level: document.log.level, slowCommandsMs: document.log.slowCommands },
  };
}

/** Where what survives a restart is, and where the API listens. */
export function placesOf(
  origin: Origin,
  document: { readonly stateDir?: string | undefined; readonly api: { readonly socket?: string | undefined } },
): { readonly stateDir: string; readonly socket: string } {
  const stateDir = stateDirOf(origin, document.stateDir);
  const { socket } = document.api;
  return { stateDir, socket: socket === undefined ? join(stateDir, "api.sock") : resolveFrom(origin, socket) };
}

function workersOf({ workers, affinity }: ConfigurationDocument): number {
  if (workers !== "auto") return workers;
  return affinity === undefined ? Math.max(1, availableParallelism() - 1) : affinity.length;
}

function completeLimits(limits: UnitDocument["limits"]): LimitsConfiguration | null {
  if (limits === undefined) return null;
  const { iops = null, bandwidth = null, burst } = limits;
  return { iops, bytesPerSecond: bandwidth, burstSeconds: burst };
}

function completeRedirect(redirect: TargetDocument["redirect"]): RedirectConfiguration | null {
  if (redirect === undefined) return null;
  const { to = null, permanent, beforeAuthentication } = redirect;
  return { to, permanent, beforeAuthentication };
}

function completeUnit(
  name: string,
  unit: UnitDocument,
  portalGroups: readonly PortalGroupConfiguration[],
  origin: Origin,
): UnitConfiguration {
  const common = {
    name,
    id: unit.id ?? null,
    blockLengthBytes: unit.blockLength,
    physicalBlockBytes: Math.max(unit.blockLength, unit.physicalBlockLength) as 512 | 4096,
    cache: unit.cache,
    readOnly: unit.readOnly,
    removable: unit.removable,
    access: Object.entries(unit.access).map(([tag, own]) => {
      const group = portalGroups.find((candidate) => candidate.tag === Number(tag));
      assert(group !== undefined, "a portal group that is not there passed the checks");
      return { portalGroup: group.tag, ...group.access, ...own };
    }),
    eraseBytesPerSecond: unit.eraseRate ?? null,
    limits: completeLimits(unit.limits),
  };
  if (unit.file !== undefined) {
    return {
      ...common,
      kind: "file",
      path: resolveFrom(origin, unit.file),
      sizeBytes: unit.size ?? null,
      thinThresholdBytes: unit.thinThreshold ?? null,
    };
  }
  assert(unit.size !== undefined, "a null unit without a size passed the checks");
  return { ...common, kind: "null", sizeBytes: unit.size };
}
