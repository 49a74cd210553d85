/** What a configuration is: as the program sees it, and as it is written, key by key. */
import * as z from "zod";
import { LIMITED_COMMANDS_PER_SECOND_MAX } from "../../dataplane/limits.js";
import { SESSION_LIMITS_DEFAULT as preferences } from "../login/parameters.js";
import { ISCSI_PORT, type PortalAddress } from "./portal-address.js";
import type { Secret } from "./secret.js";
import type { TlsMaterial } from "./tls-files.js";
import * as value from "./values.js";

/**
 * The configuration as the rest of the program sees it: checked, complete (every default filled in), numbers in their
 * base units, paths absolute, inheritance between target and initiator entries resolved. Immutable once loaded.
 */
export interface Configuration {
  /** Absolute path of the file it came from. */
  readonly file: string;
  readonly portalGroups: readonly PortalGroupConfiguration[];
  readonly targets: readonly TargetConfiguration[];
  readonly units: readonly UnitConfiguration[];
  /** Who may hold a discovery session; null: everybody. */
  readonly discoveryAuth: AuthConfiguration | null;
  /** Null: no HTTP over TCP. */
  readonly http: HttpConfiguration | null;
  readonly api: ApiConfiguration;
  /** Shards to start, at least 1 ("auto" is resolved). */
  readonly workers: number;
  /** CPUs to which the shards are bound, in turn; none: the kernel places them. */
  readonly affinity: readonly number[];
  /** Shards stay awake for short waits. */
  readonly busyPoll: boolean;
  /** Absolute path of the folder for what must survive a restart. */
  readonly stateDir: string;
  readonly log: LogConfiguration;
}

export interface PortalGroupConfiguration {
  /** TargetPortalGroupTag, 0..65535 (RFC 7143 section 13.9). */
  readonly tag: number;
  /** At least one; none appears twice in a configuration. */
  readonly portals: readonly PortalAddress[];
  /** Of units that say nothing else. */
  readonly access: PathAccess;
  /** Of targets that have no redirection of their own. */
  readonly redirect: RedirectConfiguration | null;
}

/** How a unit is reached through a portal group (asymmetric logical unit access, SPC-5). */
export interface PathAccess {
  readonly state: AccessStateName;
  /** PREF: hosts should use it where they can. */
  readonly preferred: boolean;
}

export const ACCESS_STATE_NAMES = ["optimized", "non-optimized", "standby", "unavailable", "transitioning"] as const;
export type AccessStateName = (typeof ACCESS_STATE_NAMES)[number];

export interface TargetConfiguration {
  /** iqn., eui. or naa., in normal form (lower case): compare it with `parseIscsiName(received).name`. */
  readonly name: string;
  readonly alias: string | null;
  /** Tags of portal groups that exist, at least one. */
  readonly portalGroups: readonly number[];
  readonly session: SessionSettings;
  /** Keep-alive of its connections, in milliseconds; 0: none. */
  readonly pingIntervalMs: number;
  /** Initiators are told at once what has changed (AsyncEvent 0). */
  readonly scsiEvents: boolean;
  /** Null: no authentication is required. */
  readonly auth: AuthConfiguration | null;
  /** What initiators without an entry of their own see. Ascending by LUN. */
  readonly luns: readonly LunMapping[];
  /** Null: every initiator may log in. Otherwise only these; all others are refused with status 0202h. */
  readonly initiators: readonly InitiatorConfiguration[] | null;
  readonly redirect: RedirectConfiguration | null;
}

export interface InitiatorConfiguration {
  /**
   * iqn., eui. or naa., in normal form (lower case): compare it with `parseIscsiName(received).name`. Or a pattern
   * (`matchesPattern`). None appears twice in a target.
   */
  readonly name: string;
  /** Through which it may log in: its own where it has some, else the target's. */
  readonly portalGroups: readonly number[];
  /** In force for this initiator: its own where it has one, else the target's. */
  readonly auth: AuthConfiguration | null;
  /** In force for this initiator: its own where it has some, else the target's. Ascending by LUN. */
  readonly luns: readonly LunMapping[];
  /** Of each initiator by itself, in all of its sessions with the target together; null: none. */
  readonly limits: LimitsConfiguration | null;
}

/** What may be done in a second. One of the two limits is set at least. */
export interface LimitsConfiguration {
  /** Commands; null: any number. */
  readonly iops: number | null;
  /** Null: any number. */
  readonly bytesPerSecond: number | null;
  /** So many seconds' worth of both may be saved up. */
  readonly burstSeconds: number;
}

export interface LunMapping {
  /** 0..16383, unique within its list. */
  readonly lun: number;
  /** Name of a unit that exists. */
  readonly unit: string;
  /** Of the mapping or of the unit itself. */
  readonly readOnly: boolean;
}

export interface AuthConfiguration {
  /** Initiators' credentials, at least one, users distinct. */
  readonly chap: readonly ChapCredential[];
  /** The target's own credential, for initiators that ask it to prove itself; null: it cannot. */
  readonly mutual: ChapCredential | null;
}

export interface ChapCredential {
  /** CHAP_N. */
  readonly user: string;
  readonly secret: Secret;
}

export interface RedirectConfiguration {
  /** At least one; null: to the one of the target's own portals that has the fewest sessions. */
  readonly to: readonly PortalAddress[] | null;
  /** Login status 0102h where true, 0101h where false. */
  readonly permanent: boolean;
  /** Where initiators have to authenticate: they are told before they have. */
  readonly beforeAuthentication: boolean;
}

/**
 * What was set of the keys of RFC 7143 chapter 13, named as there with a small first letter. A key that is absent
 * here was not configured: the table of keys in control/login has the target's own preference.
 */
export interface SessionSettings {
  readonly headerDigest?: readonly DigestName[];
  readonly dataDigest?: readonly DigestName[];
  readonly maxConnections?: number;
  readonly initialR2T?: boolean;
  readonly immediateData?: boolean;
  readonly maxRecvDataSegmentLength?: number;
  readonly maxBurstLength?: number;
  readonly firstBurstLength?: number;
  readonly defaultTime2Wait?: number;
  readonly defaultTime2Retain?: number;
  readonly maxOutstandingR2T?: number;
  readonly dataPDUInOrder?: boolean;
  readonly dataSequenceInOrder?: boolean;
  readonly errorRecoveryLevel?: number;
  readonly taskReporting?: readonly TaskReportingName[];
  readonly iSCSIProtocolLevel?: number;
}

export type DigestName = "CRC32C" | "None";
export type TaskReportingName = "RFC3720" | "ResponseFence" | "FastAbort";

export type UnitConfiguration = FileUnitConfiguration | NullUnitConfiguration;

interface UnitCommon {
  readonly name: string;
  /** Identity behind VPD 80 and 83, a lower-case UUID; null: the one kept in stateDir under the unit's name. */
  readonly id: string | null;
  readonly blockLengthBytes: BlockLength;
  readonly physicalBlockBytes: BlockLength;
  readonly cache: CacheMode;
  readonly readOnly: boolean;
  readonly removable: boolean;
  /** Through portal groups of which the unit says something of its own; what it leaves out is the group's. */
  readonly access: readonly UnitPathAccess[];
  /** What SANITIZE and FORMAT UNIT write in a second, at most; null: all that they can. */
  readonly eraseBytesPerSecond: number | null;
  /** Of all initiators together; null: none. */
  readonly limits: LimitsConfiguration | null;
}

export interface UnitPathAccess extends PathAccess {
  /** Tag of a portal group that exists. */
  readonly portalGroup: number;
}

/** A regular file or a block device. */
export interface FileUnitConfiguration extends UnitCommon {
  readonly kind: "file";
  /** Absolute. */
  readonly path: string;
  /** A multiple of the block length, at most 2^53-1; null: as large as the file or device is. */
  readonly sizeBytes: number | null;
  /** Initiators are told when less than this is available on the file system; null: they are not, unless they ask for it. */
  readonly thinThresholdBytes: number | null;
}

/** Discards writes, reads zeroes. */
export interface NullUnitConfiguration extends UnitCommon {
  readonly kind: "null";
  readonly sizeBytes: number;
}

export type BlockLength = 512 | 4096;
export const CACHE_MODES = ["direct", "writeback", "writethrough"] as const;
export type CacheMode = (typeof CACHE_MODES)[number];

export interface HttpConfiguration {
  readonly listen: PortalAddress;
  /** Null: plain HTTP. */
  readonly tls: TlsMaterial | null;
  /** In small letters. */
  readonly hosts: readonly string[];
}

/** Who may change what, over HTTP. */
export interface ApiConfiguration {
  /** Absolute path of the UNIX socket. */
  readonly socket: string;
  /** Absolute. Units that are added over HTTP must lie below one of them. */
  readonly fileRoots: readonly string[];
  /** What lets a request over TCP do what one through the socket may. */
  readonly tokens: readonly ApiToken[];
}

export interface ApiToken {
  /** For the log. */
  readonly name: string;
  readonly secret: Secret;
}

export interface LogConfiguration {
  readonly level: LogLevel;
  /** From so long on a command is told of; 0: none is. */
  readonly slowCommandsMs: number;
}

/** The gravest first; the last is none. */
export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What the reference of the keys (docs/CONFIGURATION.md) says of each; a test keeps the two equal. */
export interface KeyDescription {
  /** Empty: the type follows from the keys below it. */
  readonly type: string;
  readonly meaning: string;
  /** What happens without the key, where that is not a plain default value. */
  readonly absent?: string;
}

export const keyDescriptions = z.registry<KeyDescription>();

/** Describes the value of one key. On a copy: one schema may serve several keys. */
function key<Schema extends z.ZodType>(schema: Schema, type: string, meaning: string, absent?: string): Schema {
  const described = schema.clone();
  keyDescriptions.add(described, { type, meaning, ...(absent === undefined ? {} : { absent }) });
  return described;
}

const HTTP_PORT = 9260;
const PING_INTERVAL_S = 10;
const PORTAL_TYPE = "address";
/** What sched_setaffinity takes without more ado. */
const CPU_MAX = 1023;
const BURST_S = 0.1;
const BURST_S_MAX = 3600;
const SEGMENT_LENGTH_MIN = 512;
const SEGMENT_LENGTH_MAX = 2 ** 24 - 1;

/** An address to listen on or to send initiators to, where iSCSI is spoken. */
const iscsiPortal = value.portal(ISCSI_PORT);

const credential = value.mapping({
  user: key(value.printable, "text", "CHAP name (CHAP_N)."),
  secret: key(
    value.secretText.exactOptional(),
    "text",
    "CHAP secret, 12 bytes or more, in quotes. Either this or `secretFile`.",
  ),
  secretFile: key(
    value.path.exactOptional(),
    "path",
    "File that holds the secret; a line break at its end is not part of it. Should be readable by its owner only.",
  ),
});

const auth = value.mapping({
  chap: key(
    value.listOfSome(credential, "list at least one user, or leave auth out where none is required"),
    "list",
    "Initiators that may log in: one credential each.",
  ),
  mutual: key(
    credential.exactOptional(),
    "",
    "The target's own credential, with which it proves itself to initiators that ask. Its secret must not be one of an initiator.",
    "the target cannot prove itself",
  ),
});

const luns = value.dictionary(
  value.shorthand(
    "unit",
    value.printable,
    value.mapping({
      unit: key(value.printable, "text", "Name of the unit."),
      readOnly: key(value.boolean.default(false), "boolean", "Refuse writes through this LUN."),
    }),
  ),
  "write LUN and unit, as { 0: vm0 }",
);

/** A negotiable key: what is not configured is the target's own preference. */
function sessionKey<Schema extends z.ZodType>(
  preference: number | boolean | readonly string[],
  schema: Schema,
  type: string,
  meaning: string,
): z.ZodExactOptional<Schema> {
  const names = Array.isArray(preference) ? preference : [preference];
  return key(schema.exactOptional(), type, meaning, names.map((name) => `\`${name}\``).join(", "));
}

/** RFC 7143 chapter 13: the ranges are those of the sections named. */
const sessionKeys = {
  headerDigest: sessionKey(
    preferences.headerDigest,
    value.listOfSome(value.choice("CRC32C", "None"), "list CRC32C, None or both"),
    "list of `CRC32C`, `None`",
    "HeaderDigest (13.1), in order of preference. Without `None`, initiators that offer no digest are refused.",
  ),
  dataDigest: sessionKey(
    preferences.dataDigest,
    value.listOfSome(value.choice("CRC32C", "None"), "list CRC32C, None or both"),
    "list of `CRC32C`, `None`",
    "DataDigest (13.1), likewise.",
  ),
  maxConnections: sessionKey(
    preferences.maxConnections,
    value.integer(1, 65_535),
    "1 to 65535",
    "MaxConnections (13.2): connections of one session.",
  ),
  initialR2T: sessionKey(preferences.initialR2T, value.boolean, "boolean", "InitialR2T (13.10)."),
  immediateData: sessionKey(preferences.immediateData, value.boolean, "boolean", "ImmediateData (13.11)."),
  maxRecvDataSegmentLength: sessionKey(
    preferences.maxRecvDataSegmentLength,
    value.integer(SEGMENT_LENGTH_MIN, SEGMENT_LENGTH_MAX),
    "512 to 16777215",
    "MaxRecvDataSegmentLength (13.12) that the target declares, in bytes.",
  ),
  maxBurstLength: sessionKey(
    preferences.maxBurstLength,
    value.integer(SEGMENT_LENGTH_MIN, SEGMENT_LENGTH_MAX),
    "512 to 16777215",
    "MaxBurstLength (13.13), in bytes.",
  ),
  firstBurstLength: sessionKey(
    preferences.firstBurstLength,
    value.integer(SEGMENT_LENGTH_MIN, SEGMENT_LENGTH_MAX),
    "512 to 16777215",
    "FirstBurstLength (13.14), in bytes; at most `maxBurstLength`.",
  ),
  defaultTime2Wait: sessionKey(
    preferences.defaultTime2Wait,
    value.integer(0, 3600),
    "0 to 3600",
    "DefaultTime2Wait (13.15), in seconds.",
  ),
  defaultTime2Retain: sessionKey(
    preferences.defaultTime2Retain,
    value.integer(0, 3600),
    "0 to 3600",
    "DefaultTime2Retain (13.16), in seconds.",
  ),
  maxOutstandingR2T: sessionKey(
    preferences.maxOutstandingR2T,
    value.integer(1, 65_535),
    "1 to 65535",
    "MaxOutstandingR2T (13.17).",
  ),
  dataPDUInOrder: sessionKey(
    true,
    value.boolean,
    "boolean",
    "DataPDUInOrder (13.18). Data is always in order: `false` changes nothing.",
  ),
  dataSequenceInOrder: sessionKey(true, value.boolean, "boolean", "DataSequenceInOrder (13.19), likewise."),
  errorRecoveryLevel: sessionKey(
    preferences.errorRecoveryLevel,
    value.integer(0, 2),
    "0 to 2",
    "ErrorRecoveryLevel (13.20): 1 sends again what was lost, 2 keeps the tasks of a failed connection. Above 0, what was sent is kept in memory until it is acknowledged.",
  ),
  taskReporting: sessionKey(
    preferences.taskReporting,
    value.listOfSome(value.choice("RFC3720", "ResponseFence", "FastAbort"), "list RFC3720, ResponseFence or FastAbort"),
    "list of `RFC3720`, `ResponseFence`, `FastAbort`",
    "TaskReporting (13.23): what initiators may choose; `RFC3720` must be among it.",
  ),
  iSCSIProtocolLevel: sessionKey(
    preferences.iSCSIProtocolLevel,
    value.integer(1, 2),
    "1 to 2",
    "iSCSIProtocolLevel (13.24): 1 is the level of RFC 7143, 2 that of RFC 7144.",
  ),
};

const ACCESS_STATE_TYPE = ACCESS_STATE_NAMES.map((name) => `\`${name}\``)
  .join(", ")
  .replace(/, ([^,]*)$/, " or $1");
const accessState = value.choice(...ACCESS_STATE_NAMES);

const unitAccess = value.dictionary(
  value.shorthand(
    "state",
    accessState,
    value.mapping({
      state: key(
        accessState.exactOptional(),
        ACCESS_STATE_TYPE,
        "Its state for this unit.",
        "that of the portal group",
      ),
      preferred: key(
        value.boolean.exactOptional(),
        "boolean",
        "Whether hosts should prefer it for this unit.",
        "as of the portal group",
      ),
    }),
  ),
  "write portal group and state, as { 1: optimized, 2: standby }",
);

const limits = value.mapping({
  iops: key(
    value.integer(1, LIMITED_COMMANDS_PER_SECOND_MAX).exactOptional(),
    `1 to ${LIMITED_COMMANDS_PER_SECOND_MAX}`,
    "Commands a second that read or write blocks. Either this, or `bandwidth`, or both.",
    "any number",
  ),
  bandwidth: key(
    value.bandwidth.exactOptional(),
    "size",
    "Bytes a second that they read or write; at most `128GiB`.",
    "any number",
  ),
  burst: key(
    value.seconds(BURST_S_MAX).default(BURST_S),
    `0 to ${BURST_S_MAX}`,
    "So many seconds' worth, fractions too, may be saved up while less is done, and be done at once then.",
  ),
});

const redirect = value.mapping({
  to: key(
    value.oneOrMore(value.remotePortal(ISCSI_PORT), "list at least one address").exactOptional(),
    "address, or list of addresses",
    "Where initiators are sent at login; port 3260 unless given. Of several the first that is of the initiator's address family, or " +
      "a host name. Either this or `balance`.",
  ),
  balance: key(
    value.choice("sessions").exactOptional(),
    "`sessions`",
    "Initiators are sent to the one of the target's portals that has the fewest sessions, among those that they may reach, of their " +
      "address family, and in the best access state.",
  ),
  permanent: key(value.boolean.default(false), "boolean", "Moved for good (status 0102h), not for now (0101h)."),
  beforeAuthentication: key(
    value.boolean.default(false),
    "boolean",
    "Where authentication is required: say where to go before the initiator has proved who it is, not after.",
  ),
});

const initiator = value.mapping({
  name: key(
    value.namePattern.exactOptional(),
    "iSCSI name or pattern",
    "Name of the initiator. In a pattern `*` stands for any characters, `?` for one. Either this or `group`.",
  ),
  group: key(value.printable.exactOptional(), "text", "Name of an initiator group: the entry counts for all in it."),
  portalGroups: key(
    value.listOfSome(value.integer(0, 65_535), "list the tag of at least one portal group").exactOptional(),
    "list of tags",
    "Portal groups of the target through which this initiator reaches it, and is told of it.",
    "those of the target",
  ),
  luns: key(luns.exactOptional(), "", "LUNs of this initiator instead of the target's.", "those of the target"),
  auth: key(
    auth.exactOptional(),
    "",
    "Authentication of this initiator instead of the target's.",
    "that of the target",
  ),
  limits: key(
    limits.exactOptional(),
    "",
    "What this initiator, in all of its sessions with the target, may do in a second; of a `group` or pattern each initiator by itself.",
    "as much as it can",
  ),
});

const target = value.remembering(
  value.mapping({
    name: key(
      value.iscsiName,
      "iSCSI name",
      "Name of the target: `iqn.`, `eui.` or `naa.`; capital letters become small.",
    ),
    alias: key(value.printable.exactOptional(), "text", "Name for people (TargetAlias)."),
    portalGroups: key(
      value.listOfSome(value.integer(0, 65_535), "list the tag of at least one portal group"),
      "list of tags",
      "Portal groups through which the target is reached.",
    ),
    session: key(
      value.mapping(sessionKeys).default({}),
      "",
      "Wishes for the negotiation of RFC 7143 chapter 13; what is not set keeps the target's own preference.",
      "the target's own preferences",
    ),
    pingInterval: key(
      value.integer(0, 3600).default(PING_INTERVAL_S),
      "0 to 3600",
      "Keep-alive, in seconds: a connection that has been silent for so long is sent a NOP-In, and closed if it stays silent for as long again. 0: never.",
    ),
    scsiEvents: key(
      value.boolean.default(false),
      "boolean",
      "Tell initiators at once, by Asynchronous Messages (AsyncEvent 0), that LUNs have come or gone, or that a unit has changed, and " +
        "not with their next command alone. Linux (open-iscsi) then looks for new LUNs by itself.",
    ),
    auth: key(auth.exactOptional(), "", "Authentication of initiators.", "none is required"),
    luns: key(
      luns.default({}),
      "",
      "LUN (decimal, 0 to 16383) to the name of a unit, or to a mapping as follows.",
      "no LUN",
    ),
    initiators: key(
      value.list(initiator).exactOptional(),
      "list",
      "The only initiators that may log in.",
      "every initiator may log in and sees all of `luns`",
    ),
    redirect: key(redirect.exactOptional(), "", "Send initiators elsewhere.", "as the portal group says"),
  }),
);

const unit = value.remembering(
  value.mapping({
    file: key(value.path.exactOptional(), "path", "Regular file or block device. Either this or `null`."),
    null: key(value.onlyTrue.exactOptional(), "`true`", "Discard writes, read zeroes: for benchmarks."),
    size: key(
      value.size.exactOptional(),
      "size",
      "A multiple of `blockLength`. Needed with `null`, and to create a file that does not exist.",
      "the size of the file or device",
    ),
    cache: key(
      value.choice(...CACHE_MODES).default("direct"),
      "`direct`, `writeback` or `writethrough`",
      "`direct`: past the page cache (O_DIRECT; where the file system refuses it, `writeback` with a warning). " +
        "`writeback`: through the page cache. With both a write is durable after SYNCHRONIZE CACHE or with FUA. " +
        "`writethrough`: every write is durable when it is acknowledged.",
    ),
    readOnly: key(value.boolean.default(false), "boolean", "Refuse writes."),
    removable: key(value.boolean.default(false), "boolean", "Report a removable medium."),
    thinThreshold: key(
      value.size.exactOptional(),
      "size",
      "Initiators are told, once, when less than this is left on the file system of the `file` " +
        "(THIN PROVISIONING SOFT THRESHOLD REACHED). Where holes can be punched in the file.",
      "they are not told, unless one of them sets a threshold (Logical Block Provisioning mode page)",
    ),
    blockLength: key(value.choice(512, 4096).default(512), "`512` or `4096`", "Bytes of a logical block."),
    physicalBlockLength: key(
      value.choice(512, 4096).default(4096),
      "`512` or `4096`",
      "Bytes of a physical block, as hosts are told, so that they align to it; a logical block at least.",
    ),
    limits: key(
      limits.exactOptional(),
      "",
      "What all initiators together may do with the unit in a second. What is beyond it waits its turn.",
      "as much as they can",
    ),
    eraseRate: key(
      value.size.exactOptional(),
      "size",
      "What SANITIZE and FORMAT UNIT write in a second, at most, so that other units on the same disks do not suffer. " +
        "Blocks that they deallocate are not written.",
      "as fast as can be",
    ),
    access: key(
      unitAccess.default({}),
      "",
      "Tag of a portal group to the state in which the unit is reached through it, or to a mapping as follows.",
      "as `portalGroups[].access` says",
    ),
    id: key(
      value.uuid.exactOptional(),
      "UUID",
      "Identity that hosts see (VPD pages 80h and 83h).",
      "made once and kept in `stateDir` under the unit's name",
    ),
  }),
);

/** The YAML document, before it is completed; see parse.ts. */
export const documentSchema = value.mapping({
  portalGroups: key(
    value.listOfSome(
      value.mapping({
        tag: key(
          value.integer(0, 65_535),
          "0 to 65535",
          "Target portal group tag, unique; 0 and 65535 exclude each other (SCSI: relative target port 65535).",
        ),
        portals: key(
          value.listOfSome(iscsiPortal, "list at least one portal, as 127.0.0.1:3260"),
          "list of addresses",
          "Where to listen: `IPv4:port`, `[IPv6]:port` or `host:port`; port 3260 unless given. None may be listed twice.",
        ),
        access: key(
          accessState.default("optimized"),
          ACCESS_STATE_TYPE,
          "How hosts are told to use these paths (ALUA), for units that say nothing else: `optimized` and `non-optimized` serve " +
            "everything, the latter where there is nothing better; `standby` and `unavailable` refuse reads and writes until a host, " +
            "or you, make them active; `transitioning` has hosts try again a little later.",
        ),
        preferred: key(
          value.boolean.default(false),
          "boolean",
          "Hosts should come back to these paths whenever they can (the preferred bit of ALUA).",
        ),
        redirect: key(
          redirect.exactOptional(),
          "",
          "Send initiators elsewhere that come here, whichever target they want.",
          "served here",
        ),
      }),
      "list at least one portal group",
    ),
    "list",
    "Portals, in groups.",
  ),
  targets: key(value.list(target), "list", "Targets."),
  initiatorGroups: key(
    value
      .dictionary(
        value.listOfSome(value.namePattern, "list at least one initiator"),
        "write name and initiators, as { cluster: [iqn.1993-08.org.debian:01:a, iqn.1993-08.org.debian:01:b] }",
      )
      .default({}),
    "",
    "Name of a group of initiators to the list of their names, or patterns for them, as in `targets[].initiators[].name`.",
    "no group",
  ),
  units: key(
    value.dictionary(unit, "write name and unit, as { vm0: { file: vm0.img, size: 10GiB } }").default({}),
    "",
    "Name of a unit to what it is made of. No two units may use one file.",
    "no unit",
  ),
  discovery: key(
    value
      .mapping({ auth: key(auth.exactOptional(), "", "Authentication of discovery sessions.", "none is required") })
      .default({}),
    "",
    "Discovery sessions (SendTargets).",
    "open to everybody",
  ),
  http: key(
    value
      .mapping({
        listen: key(
          value.portal(HTTP_PORT),
          PORTAL_TYPE,
          "Where the API and the metrics are served; port 9260 unless given.",
        ),
        hosts: key(
          value.list(value.hostName).default([]),
          "list of host names",
          "Names in URLs by which it may be asked, beside addresses, `localhost`, the machine's own name and that in `listen`.",
        ),
        tls: key(
          value
            .mapping({
              certificate: key(
                value.path,
                "path",
                "File with the certificate, followed by those that lead from it to a root, in PEM.",
              ),
              key: key(
                value.path,
                "path",
                "File with its private key, in PEM, without a passphrase; should be readable by its owner only.",
              ),
            })
            .exactOptional(),
          "",
          "Serve HTTPS, with TLS 1.2 or newer. A reload reads the files again.",
          "plain HTTP",
        ),
      })
      .exactOptional(),
    "",
    "API and metrics over TCP.",
    "no HTTP",
  ),
  api: key(
    value
      .mapping({
        socket: key(
          value.path.exactOptional(),
          "path",
          "UNIX socket for the command line, and for whoever may open it: its owner.",
          "`api.sock` in `stateDir`",
        ),
        fileRoots: key(
          value.list(value.path).default(["."]),
          "list of paths",
          "Folders in which a unit's file must lie that is added over HTTP. Nobody else should be able to write there. Requests cannot add to them.",
          "the configuration file's folder",
        ),
        tokens: key(
          value
            .list(
              value.mapping({
                name: key(value.printable, "text", "Name of the token, for the log."),
                secret: key(
                  value.secretText.exactOptional(),
                  "text",
                  "The bearer token, 16 characters or more, in quotes. Either this or `secretFile`.",
                ),
                secretFile: key(
                  value.path.exactOptional(),
                  "path",
                  "File that holds it; should be readable by its owner only.",
                ),
              }),
            )
            .default([]),
          "list",
          "Bearer tokens with which requests over TCP may change things. Without `http.tls`, a token is read by whoever sees the traffic.",
          "changes only through the socket",
        ),
      })
      .default({ fileRoots: ["."], tokens: [] }),
    "",
    "Changes over HTTP.",
  ),
  workers: key(
    value.workers.default("auto"),
    "`auto` or 1 to 256",
    "Shards of the data plane; `auto`: as many as CPUs in `affinity`, else the cores less one, at least one.",
  ),
  affinity: key(
    value.listOfSome(value.integer(0, CPU_MAX), "list at least one CPU, or leave it out").exactOptional(),
    "list of CPUs",
    "CPUs to bind shards to, one each; where there are more shards, they take turns. Numbers as in `/proc/cpuinfo`.",
    "the kernel places them",
  ),
  busyPoll: key(
    value.choice("auto", "off").default("auto"),
    "`auto` or `off`",
    "Whether shards stay awake for short waits. `auto`: where what they wait for comes within three times what a sleep costs on this machine, 0.1 ms at most, and nobody else wants the CPU. `off` saves CPU time at low queue depths, and costs latency.",
  ),
  stateDir: key(
    value.path.exactOptional(),
    "path",
    "Folder for what must survive a restart: unit identities, saved mode pages, persistent reservations, access states that hosts have set, what SANITIZE and FORMAT UNIT have left to do.",
    "the configuration file's name and `.state`",
  ),
  log: key(
    value
      .mapping({
        level: key(
          value.choice(...LOG_LEVELS).default("info"),
          "`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`",
          "What is logged: this level and the graver ones.",
        ),
        slowCommands: key(
          value.integer(0, 3_600_000).default(1000),
          "milliseconds, 0 to 3600000",
          "A SCSI command that takes so long is logged (level `warn`), with where its time went ([OBSERVING.md](OBSERVING.md)); 0: none is.",
        ),
      })
      .default({ level: "info", slowCommands: 1000 }),
    "",
    "The log.",
  ),
});

export type ConfigurationDocument = z.output<typeof documentSchema>;
