/** The checks of a configuration that look at more than one value, or at the files that it names. */
import { dirname, resolve } from "node:path";
import { SHARDS_MAX } from "../../dataplane/limits.js";
import { RELATIVE_PORT_OF_TAG_0, relativePortOf } from "../../dataplane/scsi/relative-port.js";
import { LIMITED_UNITS_MAX } from "../limits.js";
import { isAmong, readAllowedCpus } from "./allowed-cpus.js";
import { type Finding, formatPath, type Path } from "./findings.js";
import { inspectFile, isBelow, isWorldWritable, readSecretFile, realPath } from "./named-files.js";
import { meantHint } from "./nearest.js";
import { formatPortalAddress, isLoopback, isWildcard, type PortalAddress } from "./portal-address.js";
import type { ConfigurationDocument } from "./schema.js";
import { Secret } from "./secret.js";
import { readTlsFiles, type TlsMaterial } from "./tls-files.js";
import { FLAWED, hasControlCharacter, SECRET_LENGTH_MAX_BYTES } from "./values.js";

/** 96 bits (RFC 7143 section 9.2.1). */
const SECRET_LENGTH_MIN_BYTES = 12;
/** Of a bearer token: one that is made of random characters is not guessed. */
const TOKEN_LENGTH_MIN_BYTES = 16;
/** What fits a LUN in the flat addressing of SAM. */
const LUN_MAX = 16_383;
const UNIT_NAME_LENGTH_MAX_BYTES = 255;
/** More names than this are not listed in a message. */
const CHOICES_MAX = 10;
/** Permissions of everybody but the owner. */
const MODE_OTHERS = 0o077;

/** Where the document comes from. */
export interface Origin {
  /** Absolute path of the configuration file; relative paths start from its folder. */
  readonly file: string;
  /** Permission bits of the file; absent where there is none. */
  readonly mode?: number;
  /** Whether the key at the path was written as text: `units: { 5: ... }` is a mistake. */
  keyIsText?(path: Path): boolean;
}

/** The document as far as it is sound: any part of it may be flawed, any required key may be missing. */
export type Flawed<T> =
  | typeof FLAWED
  | (T extends PortalAddress
      ? T
      : T extends readonly (infer Item)[]
        ? readonly Flawed<Item>[]
        : T extends object
          ? { readonly [Key in keyof T]?: Flawed<T[Key]> | undefined }
          : T);

type Credential = Part<Auth["chap"]>[number];
type Part<T> = NonNullable<T>;
type Group = ConfigurationDocument["portalGroups"][number];
type Target = ConfigurationDocument["targets"][number];
type Redirect = Part<Target["redirect"]>;
type Auth = Part<Target["auth"]>;
type Luns = Target["luns"];
type Initiator = Part<Target["initiators"]>[number];
type Unit = ConfigurationDocument["units"][string];
type Limits = Part<Unit["limits"]>;

/** What the checks had to find out, and the configuration is made of. */
export interface Results {
  readonly faults: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** By the credential of the document. */
  readonly secrets: ReadonlyMap<object, Secret>;
  /** Null where http.tls is not there, or at fault. */
  readonly tls: TlsMaterial | null;
}

/**
 * Checks what no single value shows: references, what must be unique, what excludes what, and the files named.
 * Works on what is sound of a document with faults, so that all of them come out at once.
 */
export function checkDocument(document: Flawed<ConfigurationDocument>, origin: Origin): Results {
  const checker = new Checker(origin);
  const root = sound(document);
  if (root !== undefined) checker.check(root);
  return checker;
}

class Checker implements Results {
  readonly faults: Finding[] = [];
  readonly warnings: Finding[] = [];
  readonly secrets = new Map<object, Secret>();
  tls: TlsMaterial | null = null;
  readonly #origin: Origin;
  /** Address to where it is listened on. */
  readonly #listeners = new Map<string, Path>();
  readonly #addresses: [Path, PortalAddress][] = [];
  readonly #portals = new Map<number, readonly PortalAddress[]>();
  readonly #initiatorSecrets = new Map<string, { path: Path; user: string | undefined }>();
  readonly #targetSecrets: { path: Path; fingerprint: string }[] = [];
  readonly #unitFiles: { path: Path; absolute: string; identity: string }[] = [];
  /** Files that are the program's own, by their identity: what each is. */
  readonly #ownFiles = new Map<string, string>();
  #modeWarned = false;

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  check(document: Exclude<Flawed<ConfigurationDocument>, typeof FLAWED>): void {
    this.#checkPortalGroups(document.portalGroups);
    this.#checkGroupRedirects(document.portalGroups);
    const http = sound(document.http);
    const listen = sound(http?.listen);
    if (listen !== undefined) this.#listen(listen, ["http", "listen"]);
    this.#checkTls(http?.tls);
    const units = entries<Unit>(document.units);
    this.#checkUnits(units, tagsOf(document.portalGroups));
    const unitNames = new Set(units.map(([name]) => name));
    this.#checkInitiatorGroups(document.initiatorGroups);
    // Without a sound list of units, no reference to one can be called wrong.
    this.#checkTargets(document, document.units === FLAWED ? undefined : unitNames);
    this.#checkAuth(sound(document.discovery)?.auth, ["discovery", "auth"]);
    for (const { path, fingerprint } of this.#targetSecrets) {
      const initiator = this.#initiatorSecrets.get(fingerprint);
      if (initiator === undefined) continue;
      this.#fault(
        path,
        `is also the secret of an initiator (${formatPath(initiator.path)}): a target needs a secret of its own`,
      );
    }
    this.#checkFileRoots(sound(document.api)?.fileRoots);
    this.#checkTokens(sound(document.api)?.tokens);
    const hasTokens = items(sound(document.api)?.tokens).length > 0;
    if (hasTokens && listen !== undefined && !isLoopback(listen) && http?.tls === undefined) {
      this.#warn(["api", "tokens"], "travel unencrypted over HTTP: add http.tls, or listen on 127.0.0.1");
    }
    this.#checkStateDir(sound(document.stateDir));
    if (document.stateDir !== FLAWED) this.#checkOwnFiles(stateDirOf(this.#origin, document.stateDir));
    this.#checkAffinity(document.affinity);
  }

  /** An initiator would read secrets from them, and write over what must survive. */
  #checkOwnFiles(stateDir: string): void {
    this.#own(this.#origin.file, "the configuration");
    const state = realPath(stateDir);
    for (const { path, absolute, identity } of this.#unitFiles) {
      const what = isBelow(realPath(absolute), state) ? "in the state directory" : this.#ownFiles.get(identity);
      if (what !== undefined) this.#fault(path, `names ${absolute}, which is ${what}: it cannot be a unit`);
    }
  }

  #own(file: string, what: string): void {
    const found = inspectFile(file);
    if (found.kind !== "unreachable") this.#ownFiles.set(found.identity, what);
  }

  #checkAffinity(flawed: Flawed<readonly number[]> | undefined): void {
    const allowed = readAllowedCpus();
    const cpus = items<number>(flawed);
    const seen = new Map<number, Path>();
    for (const [index, cpu] of cpus) {
      const path = ["affinity", index];
      this.#unique(seen, cpu, path, `the CPU ${cpu}`);
      if (allowed === undefined || isAmong(cpu, allowed)) continue;
      this.#fault(path, `is ${cpu}: that CPU is not there, or not for this process, which may use ${allowed}`);
    }
    if (cpus.length > SHARDS_MAX)
      this.#fault(["affinity"], `lists more CPUs than the ${SHARDS_MAX} shards there can be`);
  }

  #checkPortalGroups(groups: Flawed<ConfigurationDocument["portalGroups"]> | undefined): void {
    const numbers = new Map<number, Path>();
    for (const [index, group] of items<Group>(groups)) {
      const path = ["portalGroups", index];
      const tag = sound(group.tag);
      if (tag !== undefined) {
        const number = relativePortOf(tag);
        const isShared = number === RELATIVE_PORT_OF_TAG_0;
        const what = isShared ? `the tag 0 or ${number} (SCSI has one number for both)` : `the tag ${tag}`;
        this.#unique(numbers, number, [...path, "tag"], what);
      }
      const portals = items<PortalAddress>(group.portals);
      for (const [portalIndex, portal] of portals) this.#listen(portal, [...path, "portals", portalIndex]);
      if (tag !== undefined) {
        this.#portals.set(tag, [...(this.#portals.get(tag) ?? []), ...portals.map(([, portal]) => portal)]);
      }
    }
  }

  #listen(address: PortalAddress, path: Path): void {
    const text = formatPortalAddress(address);
    this.#unique(this.#listeners, text, path, text);
    for (const [other, listening] of this.#addresses) {
      const [all, one] = isWildcard(listening) ? [listening, address] : [address, listening];
      if (!isWildcard(all) || one.port !== all.port || one.host === all.host) continue;
      if (one.host.includes(":") !== all.host.includes(":")) continue;
      const also = formatPath(other);
      this.#fault(path, `cannot listen beside ${also}: ${formatPortalAddress(all)} is every address of this machine`);
      break;
    }
    this.#addresses.push([path, address]);
  }

  #checkUnits(units: readonly [string, Flawed<Unit>][], tags: Set<number> | undefined): void {
    const files = new Map<string, Path>();
    const ids = new Map<string, Path>();
    if (units.filter(([, unit]) => sound(unit)?.limits !== undefined).length > LIMITED_UNITS_MAX) {
      this.#fault(["units"], `has limits for more than ${LIMITED_UNITS_MAX} units: leave out those of some`);
    }
    for (const [name, flawed] of units) {
      const path = ["units", name];
      this.#checkUnitName(name, path);
      const unit = sound(flawed);
      if (unit === undefined) continue;
      const id = sound(unit.id);
      if (id !== undefined) this.#unique(ids, id, [...path, "id"], `the id ${id}`);
      this.#checkUnitSize(unit, path);
      this.#checkUnitAccess(unit.access, tags, [...path, "access"]);
      this.#checkLimits(unit.limits, [...path, "limits"]);
      if (unit.file !== undefined && unit.null !== undefined) {
        this.#fault([...path, "null"], "excludes file: remove one of them", "key");
      } else if (unit.null !== undefined) {
        if (unit.size === undefined) this.#fault(path, "has no size: a null unit needs one, as size: 1TiB");
        if (unit.thinThreshold !== undefined) {
          this.#fault([...path, "thinThreshold"], "needs a file: what is null takes no space", "key");
        }
      } else if (unit.file === undefined) {
        this.#fault(path, "has neither file nor null: write file: PATH, or null: true");
      }
      const file = sound(unit.file);
      if (file !== undefined) this.#checkUnitFile(unit, file, path, files);
    }
  }

  #checkUnitName(name: string, path: Path): void {
    if (this.#origin.keyIsText?.(path) === false) {
      this.#fault(path, "is not text: put the name of the unit in quotes", "key");
    } else if (name === "" || hasControlCharacter(name) || Buffer.byteLength(name) > UNIT_NAME_LENGTH_MAX_BYTES) {
      this.#fault(
        path,
        `is no name for a unit: 1 to ${UNIT_NAME_LENGTH_MAX_BYTES} bytes without control characters`,
        "key",
      );
    }
  }

  #checkUnitSize(unit: Exclude<Flawed<Unit>, typeof FLAWED>, path: Path): void {
    const size = sound(unit.size);
    const blockLength = sound(unit.blockLength);
    if (size === undefined || blockLength === undefined || size % blockLength === 0) return;
    this.#fault([...path, "size"], `is ${size} bytes: write a multiple of the block length, ${blockLength}`);
  }

  #checkUnitAccess(flawed: Flawed<Unit["access"]> | undefined, known: Set<number> | undefined, path: Path): void {
    for (const [tag] of entries<Unit["access"][string]>(flawed)) {
      if (!/^(0|[1-9][0-9]{0,4})$/.test(tag)) {
        this.#fault([...path, tag], "is no portal group: write its tag, a decimal number", "key");
      } else if (known !== undefined && !known.has(Number(tag))) {
        this.#fault([...path, tag], `is ${tag}: no portal group has that tag${choicesOf(known, Number(tag))}`, "key");
      }
    }
  }

  #checkLimits(flawed: Flawed<Limits> | undefined, path: Path): void {
    const limits = sound(flawed);
    if (limits === undefined || limits.iops !== undefined || limits.bandwidth !== undefined) return;
    this.#fault(path, "limits nothing: write iops, bandwidth or both, or leave it out");
  }

  #checkUnitFile(
    unit: Exclude<Flawed<Unit>, typeof FLAWED>,
    file: string,
    unitPath: Path,
    identities: Map<string, Path>,
  ): void {
    const path = [...unitPath, "file"];
    const absolute = resolveFrom(this.#origin, file);
    const size = sound(unit.size);
    const readOnly = sound(unit.readOnly) === true;
    const found = inspectFile(absolute);
    if (found.kind === "unreachable") {
      this.#fault(path, `names ${absolute}, which cannot be reached: ${found.reason}`);
      return;
    }
    this.#unique(identities, found.identity, path, `the file ${absolute}`);
    this.#unitFiles.push({ path, absolute, identity: found.identity });
    if (found.kind === "missing") {
      if (readOnly) this.#fault(path, `names ${absolute}, which does not exist: a read-only unit needs its file`);
      else if (unit.size === undefined) {
        this.#fault(path, `names ${absolute}, which does not exist: correct it, or give a size to have it created`);
      }
    } else if (found.kind === "folder" || found.kind === "other") {
      this.#fault(path, `names ${absolute}, which is neither a regular file nor a block device`);
    } else if (found.kind === "regular") {
      const blockLength = sound(unit.blockLength);
      if (
        unit.size === undefined &&
        blockLength !== undefined &&
        (found.sizeBytes % blockLength || found.sizeBytes === 0)
      ) {
        this.#fault(
          path,
          `names ${absolute}, which holds ${found.sizeBytes} bytes: not a multiple of the block length, ${blockLength}; give a size`,
        );
      } else if (size !== undefined && size > found.sizeBytes && readOnly) {
        this.#fault([...unitPath, "size"], `exceeds the ${found.sizeBytes} bytes of a file that is read only`);
      } else if (size !== undefined && size < found.sizeBytes) {
        this.#warn([...unitPath, "size"], `hides the end of the file, which holds ${found.sizeBytes} bytes`);
      }
    }
  }

  #checkTargets(document: Exclude<Flawed<ConfigurationDocument>, typeof FLAWED>, units: Set<string> | undefined): void {
    const names = new Map<string, Path>();
    const tags = tagsOf(document.portalGroups);
    for (const [index, target] of items<Target>(document.targets)) {
      const path = ["targets", index];
      const name = sound(target.name);
      if (name !== undefined) this.#unique(names, name, [...path, "name"], `the name ${name}`);
      this.#checkTags(target.portalGroups, tags, [...path, "portalGroups"]);
      this.#checkSession(target.session, [...path, "session"]);
      this.#checkAuth(target.auth, [...path, "auth"]);
      this.#checkLuns(target.luns, units, [...path, "luns"]);
      const initiatorNames = new Map<string, Path>();
      for (const [initiatorIndex, initiator] of items<Initiator>(target.initiators)) {
        const initiatorPath = [...path, "initiators", initiatorIndex];
        this.#checkInitiatorNames(initiator, initiatorPath, initiatorNames, document.initiatorGroups);
        this.#checkInitiatorTags(initiator.portalGroups, target.portalGroups, [...initiatorPath, "portalGroups"]);
        this.#checkAuth(initiator.auth, [...initiatorPath, "auth"]);
        this.#checkLuns(initiator.luns, units, [...initiatorPath, "luns"]);
        this.#checkLimits(initiator.limits, [...initiatorPath, "limits"]);
      }
      if (Array.isArray(target.initiators) && target.initiators.length === 0) {
        this.#warn([...path, "initiators"], "is empty: nobody can log in; leave it out to admit every initiator");
      }
      this.#checkRedirect(target.redirect, [...path, "redirect"]);
      this.#checkTargetRedirect(target, [...path, "redirect", "to"]);
    }
  }

  /** Which of two entries would count for an initiator that is in both, nobody could say. */
  #checkInitiatorNames(
    initiator: Exclude<Flawed<Initiator>, typeof FLAWED>,
    path: Path,
    seen: Map<string, Path>,
    flawedGroups: Flawed<ConfigurationDocument["initiatorGroups"]> | undefined,
  ): void {
    const { name, group } = initiator;
    if (name !== undefined && group !== undefined) {
      this.#fault([...path, "group"], "excludes name: remove one of them", "key");
    } else if (name === undefined && group === undefined) {
      this.#fault(path, "has neither name nor group: write the name of an initiator, or of an initiator group");
    } else if (name !== undefined) {
      if (name !== FLAWED) this.#unique(seen, name, [...path, "name"], `the name ${name}`);
    } else if (group !== undefined && group !== FLAWED) {
      const groups = sound(flawedGroups);
      if (groups === undefined) return;
      if (!Object.hasOwn(groups, group)) {
        const known = new Set(Object.keys(groups));
        this.#fault(
          [...path, "group"],
          `refers to ${JSON.stringify(group)}: no initiator group has that name${choicesOf(known, group)}`,
        );
      }
      for (const [, member] of items<string>(groups[group])) {
        this.#unique(seen, member, [...path, "group"], `the name ${member}`);
      }
    }
  }

  #checkInitiatorTags(
    listed: Flawed<readonly number[]> | undefined,
    ofTarget: Flawed<readonly number[]> | undefined,
    path: Path,
  ): void {
    const known = new Set(items<number>(ofTarget).map(([, tag]) => tag));
    const seen = new Map<number, Path>();
    for (const [index, tag] of items<number>(listed)) {
      this.#unique(seen, tag, [...path, index], `the portal group ${tag}`);
      if (known.size > 0 && !known.has(tag)) {
        this.#fault([...path, index], `is ${tag}: the target is not in that portal group${choicesOf(known, tag)}`);
      }
    }
  }

  #checkInitiatorGroups(groups: Flawed<ConfigurationDocument["initiatorGroups"]> | undefined): void {
    for (const [name, members] of entries<string[]>(groups)) {
      const path = ["initiatorGroups", name];
      if (this.#origin.keyIsText?.(path) === false) {
        this.#fault(path, "is not text: put the name of the group in quotes", "key");
      }
      const seen = new Map<string, Path>();
      for (const [index, member] of items<string>(members)) {
        this.#unique(seen, member, [...path, index], `the name ${member}`);
      }
    }
  }

  #checkTags(listed: Flawed<number[]> | undefined, known: Set<number> | undefined, path: Path): void {
    const seen = new Map<number, Path>();
    for (const [index, tag] of items<number>(listed)) {
      this.#unique(seen, tag, [...path, index], `the portal group ${tag}`);
      if (known !== undefined && !known.has(tag)) {
        this.#fault([...path, index], `is ${tag}: no portal group has that tag${choicesOf(known, tag)}`);
      }
    }
  }

  #checkSession(session: Flawed<Target["session"]> | undefined, path: Path): void {
    const keys = sound(session);
    if (keys === undefined) return;
    for (const key of ["headerDigest", "dataDigest", "taskReporting"] as const) {
      const seen = new Map<string, Path>();
      for (const [index, name] of items<string>(keys[key])) this.#unique(seen, name, [...path, key, index], name);
    }
    for (const key of ["dataPDUInOrder", "dataSequenceInOrder"] as const) {
      if (sound(keys[key]) === false) this.#warn([...path, key], "is false: data is in order all the same");
    }
    const reporting = items<string>(keys.taskReporting).map(([, name]) => name);
    if (reporting.length > 0 && !reporting.includes("RFC3720")) {
      // A target that proposes the key itself would have to offer it (RFC 7143 section 13.23).
      this.#fault([...path, "taskReporting"], "lacks RFC3720: add it, initiators may know nothing else");
    }
    const first = sound(keys.firstBurstLength);
    const most = sound(keys.maxBurstLength);
    if (first !== undefined && most !== undefined && first > most) {
      // "FirstBurstLength MUST NOT exceed MaxBurstLength" (RFC 7143 section 13.14).
      this.#fault([...path, "firstBurstLength"], `is ${first}: it must not exceed maxBurstLength, ${most}`);
    }
  }

  #checkLuns(flawed: Flawed<Luns> | undefined, units: Set<string> | undefined, path: Path): void {
    const mapped = entries<Luns[string]>(flawed);
    for (const [lun, mapping] of mapped) {
      if (!/^(0|[1-9][0-9]{0,4})$/.test(lun) || Number(lun) > LUN_MAX) {
        this.#fault([...path, lun], `is no LUN: write a decimal number, 0 to ${LUN_MAX}`, "key");
      }
      const unit = sound(sound(mapping)?.unit);
      if (unit !== undefined && units !== undefined && !units.has(unit)) {
        this.#fault(
          [...path, lun],
          `refers to ${JSON.stringify(unit)}: no unit has that name${choicesOf(units, unit)}`,
        );
      }
    }
    if (mapped.length > 0 && !mapped.some(([lun]) => lun === "0")) {
      this.#warn(path, "has no LUN 0: many initiators look there first, and find nothing", "key");
    }
  }

  #checkRedirect(flawed: Flawed<Redirect> | undefined, path: Path): void {
    const redirect = sound(flawed);
    if (redirect === undefined) return;
    if (redirect.to === undefined && redirect.balance === undefined) {
      this.#fault(path, "has neither to nor balance: write to: ADDRESS, or balance: sessions");
    } else if (redirect.to !== undefined && redirect.balance !== undefined) {
      this.#fault([...path, "balance"], "excludes to: remove one of them", "key");
    } else if (redirect.balance !== undefined && redirect.permanent === true) {
      this.#fault([...path, "permanent"], "excludes balance: which portal has the fewest sessions changes", "key");
    }
  }

  #checkTargetRedirect(target: Exclude<Flawed<Target>, typeof FLAWED>, path: Path): void {
    const tags = new Set(items<number>(target.portalGroups).map(([, tag]) => tag));
    if (this.#tagsAt(sound(target.redirect)?.to).some((tag) => tags.has(tag))) {
      this.#fault(path, "leads back to this target: initiators would go round in circles");
    }
  }

  /** From one portal group to another is a way, as long as it does not come back. */
  #checkGroupRedirects(flawed: Flawed<readonly Group[]> | undefined): void {
    const groups = items<Group>(flawed);
    const waysFrom = new Map(groups.map(([, { tag, redirect }]) => [sound(tag), this.#tagsAt(sound(redirect)?.to)]));
    for (const [index, { tag, redirect }] of groups) {
      const path: Path = ["portalGroups", index, "redirect"];
      this.#checkRedirect(redirect, path);
      const start = sound(tag);
      const reached = new Set<number>();
      const ways = [...(waysFrom.get(start) ?? [])];
      for (let next = ways.pop(); next !== undefined; next = ways.pop()) {
        if (reached.has(next)) continue;
        reached.add(next);
        ways.push(...(waysFrom.get(next) ?? []));
      }
      if (start !== undefined && reached.has(start)) {
        this.#fault([...path, "to"], "leads back to this portal group: initiators would go round in circles");
      }
    }
  }

  /** The portal groups that have portals at these addresses. */
  #tagsAt(flawed: Flawed<Redirect["to"]> | undefined): number[] {
    const addresses = new Set(items<PortalAddress>(flawed).map(([, address]) => formatPortalAddress(address)));
    return [...this.#portals].flatMap(([tag, portals]) =>
      portals.some((portal) => addresses.has(formatPortalAddress(portal))) ? [tag] : [],
    );
  }

  #checkAuth(flawed: Flawed<Auth> | undefined, path: Path): void {
    const auth = sound(flawed);
    if (auth === undefined) return;
    const users = new Map<string, Path>();
    for (const [index, credential] of items<Credential>(auth.chap)) {
      const credentialPath = [...path, "chap", index];
      const user = sound(credential.user);
      if (user !== undefined)
        this.#unique(users, user, [...credentialPath, "user"], `the user ${JSON.stringify(user)}`);
      const found = this.#checkSecret(credential, credentialPath);
      if (found === null) continue;
      const other = this.#initiatorSecrets.get(found.secret.fingerprint);
      if (other === undefined) this.#initiatorSecrets.set(found.secret.fingerprint, { path: found.path, user });
      else if (user !== undefined && other.user !== undefined && other.user !== user) {
        // "The same CHAP secret SHOULD NOT be configured for authentication of multiple initiators" (section 9.2.1).
        this.#warn(found.path, `is also the secret of ${formatPath(other.path)}: either user can pose as the other`);
      }
    }
    const mutual = sound(auth.mutual);
    if (mutual === undefined) return;
    const found = this.#checkSecret(mutual, [...path, "mutual"]);
    if (found !== null) this.#targetSecrets.push({ path: found.path, fingerprint: found.secret.fingerprint });
  }

  #checkFileRoots(roots: Flawed<readonly string[]> | undefined): void {
    for (const [index, root] of items<string>(roots)) {
      const absolute = resolveFrom(this.#origin, root);
      if (!isWorldWritable(absolute)) continue;
      this.#warn(
        ["api", "fileRoots", index],
        `${absolute} is for all to write in: their links may lead a unit that is added over HTTP elsewhere; chmod o-w it`,
      );
    }
  }

  #checkTokens(tokens: Flawed<ConfigurationDocument["api"]["tokens"]> | undefined): void {
    const names = new Map<string, Path>();
    for (const [index, token] of items<ConfigurationDocument["api"]["tokens"][number]>(tokens)) {
      const path = ["api", "tokens", index];
      const name = sound(token.name);
      if (name !== undefined) this.#unique(names, name, [...path, "name"], `the name ${JSON.stringify(name)}`);
      this.#checkSecret(token, path, { what: "a token", lengthMinBytes: TOKEN_LENGTH_MIN_BYTES });
    }
  }

  #checkTls(flawed: Flawed<Part<Part<ConfigurationDocument["http"]>["tls"]>> | undefined): void {
    const files = sound(flawed);
    const [certificate, key] = [sound(files?.certificate), sound(files?.key)];
    if (certificate === undefined || key === undefined) return;
    const places = {
      certificate: resolveFrom(this.#origin, certificate),
      key: resolveFrom(this.#origin, key),
    };
    for (const place of Object.values(places)) this.#own(place, "a file of http.tls");
    const { material, faults, warnings } = readTlsFiles(places);
    this.tls = material;
    for (const { key: about, message } of faults) this.#fault(["http", "tls", about], message);
    for (const { key: about, message } of warnings) this.#warn(["http", "tls", about], message);
  }

  /** The secret and the path of the key that gives it; null after a fault. */
  #checkSecret(
    credential: { readonly secret?: Flawed<string> | undefined; readonly secretFile?: Flawed<string> | undefined },
    path: Path,
    { what, lengthMinBytes } = { what: "a CHAP secret", lengthMinBytes: SECRET_LENGTH_MIN_BYTES },
  ): { secret: Secret; path: Path } | null {
    if (credential.secret !== undefined && credential.secretFile !== undefined) {
      this.#fault([...path, "secretFile"], "excludes secret: remove one of them", "key");
      return null;
    }
    if (credential.secret === undefined && credential.secretFile === undefined) {
      this.#fault(path, "has no secret: write secret or secretFile");
      return null;
    }
    const text = sound(credential.secret);
    const file = sound(credential.secretFile);
    const keyPath = [...path, text === undefined ? "secretFile" : "secret"];
    const bytes = text !== undefined ? Buffer.from(text) : file !== undefined ? this.#readSecret(file, keyPath) : null;
    if (bytes === null) return null;
    if (text !== undefined) this.#warnOfMode(keyPath);
    if (bytes.length < lengthMinBytes) {
      this.#fault(keyPath, `is ${bytes.length} bytes long: ${what} has at least ${lengthMinBytes}`);
      return null;
    }
    const secret = new Secret(bytes);
    this.secrets.set(credential, secret);
    return { secret, path: keyPath };
  }

  #readSecret(file: string, path: Path): Uint8Array | null {
    const absolute = resolveFrom(this.#origin, file);
    this.#own(absolute, "a secretFile");
    const read = readSecretFile(absolute, SECRET_LENGTH_MAX_BYTES);
    if (!read.ok) {
      this.#fault(path, `names ${absolute}, which ${read.reason}`);
      return null;
    }
    if ((read.mode & MODE_OTHERS) !== 0) {
      this.#warn(path, `names ${absolute}, which others than its owner may open: chmod 600 it`);
    }
    return read.bytes;
  }

  #warnOfMode(path: Path): void {
    if (this.#modeWarned || ((this.#origin.mode ?? 0) & MODE_OTHERS) === 0) return;
    this.#modeWarned = true;
    this.#warn(path, "is a secret in a file that others than its owner may open: chmod 600 it, or use secretFile");
  }

  #checkStateDir(stateDir: string | undefined): void {
    if (stateDir === undefined) return;
    const absolute = resolveFrom(this.#origin, stateDir);
    const found = inspectFile(absolute);
    if (found.kind === "unreachable") {
      this.#fault(["stateDir"], `names ${absolute}, which cannot be reached: ${found.reason}`);
    } else if (found.kind !== "missing" && found.kind !== "folder") {
      this.#fault(["stateDir"], `names ${absolute}, which is not a folder`);
    }
  }

  /** Notes the first of its kind; reports every further one. */
  #unique<Key>(seen: Map<Key, Path>, key: Key, path: Path, what: string): void {
    const first = seen.get(key);
    if (first === undefined) seen.set(key, path);
    else this.#fault(path, `repeats ${what}, which ${formatPath(first)} has already: remove or change one`);
  }

  #fault(path: Path, message: string, of: Finding["of"] = "value"): void {
    this.faults.push({ path, message, of });
  }

  #warn(path: Path, message: string, of: Finding["of"] = "value"): void {
    this.warnings.push({ path, message, of });
  }
}

/** The folder of what must survive a restart. */
export function stateDirOf(origin: Origin, stateDir: string | undefined): string {
  return stateDir === undefined ? `${origin.file}.state` : resolveFrom(origin, stateDir);
}

/** A path of the configuration, absolute. */
export function resolveFrom(origin: Origin, path: string): string {
  return resolve(dirname(origin.file), path);
}

function sound<T>(value: T | typeof FLAWED | undefined): T | undefined {
  return value === FLAWED ? undefined : value;
}

/** The sound items of a list with their indices. */
function items<Item>(flawed: Flawed<readonly Item[]> | undefined): [number, Exclude<Flawed<Item>, typeof FLAWED>][] {
  if (!Array.isArray(flawed)) return [];
  return [...flawed.entries()].filter(([, item]) => item !== FLAWED);
}

/** The entries of a mapping with keys of the user's own, flawed values included. */
function entries<Value>(flawed: Flawed<Record<string, Value>> | undefined): [string, Flawed<Value>][] {
  return typeof flawed === "object" ? (Object.entries(flawed) as [string, Flawed<Value>][]) : [];
}

/** The tags that exist; undefined where there is a fault in them, so that no reference can be called wrong. */
function tagsOf(groups: Flawed<ConfigurationDocument["portalGroups"]> | undefined): Set<number> | undefined {
  if (groups === undefined || groups === FLAWED || groups.length === 0) return undefined;
  const tags = new Set<number>();
  for (const group of groups) {
    const tag = sound(sound(group)?.tag);
    if (tag === undefined) return undefined;
    tags.add(tag);
  }
  return tags;
}

/** A hint for a message about something that is not there, short of long lists. */
function choicesOf(known: ReadonlySet<string | number>, wanted: string | number): string {
  if (known.size === 0) return ", there are none";
  const names = [...known].map(String);
  if (known.size > CHOICES_MAX) return meantHint(String(wanted), names);
  return `; there are ${names.join(", ")}`;
}
