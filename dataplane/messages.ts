/**
 * What control and a shard say to each other: JSON documents, one a record, over the two single-producer single-consumer
 * rings of the shard. Only slow things pass here: no message is on the path of an I/O.
 *
 * Numbers that name things: `connectionId` and `sessionId` are made by control, unique for the life of the process, never
 * reused. `unitIndex` names a logical unit in all shards. File descriptors belong to the process: control opens a unit's
 * files and keeps them; a connection's descriptor belongs to the shard from the hand-off on, and the shard closes it.
 */

/** How a unit's writes become durable (DESIGN section 2). */
export type CacheMode = "direct" | "writeback" | "writethrough";

/** What MODE SELECT can change (SPC-5, SBC-4). */
export interface ModeValues {
  /** WCE of the Caching mode page: a write may be acknowledged before it is durable. */
  readonly writeCacheEnabled: boolean;
  /** SWP of the Control mode page. */
  readonly softwareWriteProtect: boolean;
  /** D_SENSE of the Control mode page: sense data in descriptor format. */
  readonly descriptorSense: boolean;
  /** LBPERE of the Read-Write Error Recovery mode page: thresholds that are reached are told. */
  readonly thresholdReports: boolean;
  /** ENABLED of the one threshold of the Logical Block Provisioning mode page. */
  readonly thresholdEnabled: boolean;
  /** Its THRESHOLD COUNT, in threshold sets (scsi/mapping-resources.ts): so much space is to be available. */
  readonly thresholdCount: number;
}

/** What of a unit changes while it is served. Control decides it; every shard keeps a copy. */
export interface UnitState extends ModeValues {
  readonly sizeBytes: number;
  /** What the unit starts with: what MODE SELECT has saved, or else the defaults. */
  readonly savedModes: ModeValues;
  /** As configured. */
  readonly defaultModes: ModeValues;
  /** Why the medium cannot be accessed (NOT READY with this ASC and ASCQ); null: it can. */
  readonly notReady: NotReady | null;
}

export interface NotReady {
  /** SENSE_KEY_*; absent: NOT READY. */
  readonly senseKey?: number;
  readonly asc: number;
  readonly ascq: number;
  /** PROGRESS INDICATION in sense data, 0 to 65535; -1: none. */
  readonly progress: number;
  /**
   * What keeps the unit to itself, or has failed and not given it back: all commands are refused but those that SBC-4 allows
   * meanwhile. Absent: only those that need the medium.
   */
  readonly operation?: "sanitize" | "format";
}

/** What a unit, or an initiator with a target, may do in a second. */
export interface LimitsRecord {
  /** Which of ShardTask.budgets counts it: another one after each change. */
  readonly budget: number;
  /** Commands a second; null: any number. */
  readonly iops: number | null;
  /** Null: any number. */
  readonly bytesPerSecond: number | null;
  /** So many seconds' worth of both may be saved up. */
  readonly burstSeconds: number;
}

/** One logical unit as every shard sees it. */
export interface UnitRecord {
  readonly unitIndex: number;
  readonly name: string;
  readonly kind: "file" | "block" | "null";
  /** Descriptor for aligned I/O: O_DIRECT where cache is "direct" and the file system allows it. -1 for a null unit. */
  readonly fd: number;
  /** Descriptor for I/O that `fd` would refuse as misaligned; equal to `fd` where that is buffered. -1 for a null unit. */
  readonly bufferedFd: number;
  /**
   * One descriptor for each shard, and behind them one for control, each of an open file description of its own, which the kernel tells of every failed write-back
   * of the page cache, once. Empty for a unit without write-back.
   */
  readonly errorFds: readonly number[];
  /** `fd` needs file offset, length and memory to be multiples of this; 1 where it is buffered. */
  readonly alignmentBytes: number;
  /** Ranges that are zeroed or deallocated in place must be multiples of this: a device's sector; 1 of a file, which takes any. */
  readonly rangeAlignmentBytes: number;
  /** What the store writes as a whole or not at all, whatever happens to the machine meanwhile; null: nothing. */
  readonly atomicWrites: AtomicWrites | null;
  readonly blockLengthBytes: 512 | 4096;
  /** What hosts are told to align to (READ CAPACITY): at least a logical block. */
  readonly physicalBlockBytes: number;
  readonly cache: CacheMode;
  readonly readOnly: boolean;
  readonly removable: boolean;
  /** Any range of blocks can be deallocated and then reads back as zeroes (hole punching; on a block device zeroing that unmaps). */
  readonly thin: boolean;
  /** The file lives in memory (tmpfs, ramfs): a write cannot block on a device, so it is made in place, without the ring. */
  readonly inMemory: boolean;
  /** Identity behind VPD 80 and 83: a UUID in lower case. */
  readonly uuid: string;
  /** Where its commands are counted: see statistics.ts. */
  readonly statisticsBlock: number;
  readonly limits: LimitsRecord | null;
  readonly state: UnitState;
}

/** The length is a power of two within these bounds, and what is written begins at a multiple of it. */
export interface AtomicWrites {
  readonly bytesMin: number;
  readonly bytesMax: number;
}

/** Who may do what to a unit while it is reserved. */
export interface UnitAccess {
  /** Bits of COMMAND_CONFLICTS_* (scsi/command.ts) for every session that is not exempt. */
  readonly blocked: number;
  readonly exemptSessions: readonly number[];
}

/** The asymmetric access state of a unit through one target port group. */
export interface AccessStateRecord {
  readonly portalGroupTag: number;
  /** ACCESS_STATE_* (scsi/access-state.ts). */
  readonly state: number;
}

/** A unit attention for the sessions that see the unit: all, or only some, or all but some. */
export interface AttentionRecord {
  readonly asc: number;
  readonly ascq: number;
  readonly onlySessions?: readonly number[];
  readonly exceptSessions?: readonly number[];
}

/** A change to a unit that every shard makes at once; absent parts stay as they are. */
export interface UnitChange {
  readonly state?: UnitState;
  readonly access?: UnitAccess;
  /** Of the groups that have changed. */
  readonly accessStates?: readonly AccessStateRecord[];
  readonly attentions?: readonly AttentionRecord[];
  /** Null: none any more. */
  readonly limits?: LimitsRecord | null;
  /** Sessions whose tasks on the unit are aborted (PREEMPT AND ABORT) before the change is confirmed. */
  readonly abortSessions?: readonly number[];
  /** The unit is about to be closed: what no task waits for is over, too, before the change is confirmed. */
  readonly closes?: boolean;
  /** Tasks on the unit that are refused as it is now, by `state.notReady`, end with the sense for that. */
  readonly refusesTasks?: boolean;
  /** The command that asks for the change: it is not aborted. Exchanges are numbered by the shard of the session. */
  readonly spared?: { readonly sessionId: number; readonly exchange: number };
}

/** What a unit that takes part in a copy has answered to the copy manager (SPC-5). */
export interface ForwardedSense {
  readonly side: "source" | "destination";
  readonly status: number;
  /** Sense data as it came, in hexadecimal; empty: none. */
  readonly sense: string;
}

/** How control answers a SCSI command that it carries out. */
export type ScsiAnswer =
  /** GOOD, with data (hexadecimal) that is cut to the allocation length. `isFenced`: RFC 7143 section 4.2.2.3.4. */
  | {
      readonly kind: "good";
      readonly data?: string;
      readonly allocationLength?: number;
      readonly isFenced?: boolean;
    }
  /** What was written to the unit is flushed, then GOOD; with `inBackground`, GOOD at once (IMMED=1). */
  | { readonly kind: "flush"; readonly inBackground: boolean }
  | {
      readonly kind: "sense";
      readonly senseKey: number;
      readonly asc: number;
      readonly ascq: number;
      readonly information?: number;
      /** As Task.senseKeySpecific. */
      readonly senseKeySpecific?: number;
      readonly commandSpecificInformation?: number;
      /** Of COPY ABORTED alone. */
      readonly forwarded?: ForwardedSense;
    }
  | { readonly kind: "status"; readonly status: number };

/** RFC 7143 section 13.23. */
export type TaskReporting = "RFC3720" | "ResponseFence" | "FastAbort";

/** What was negotiated for the session (RFC 7143 chapter 13, session-wide keys). */
export interface SessionParametersRecord {
  readonly maxConnections: number;
  readonly initialR2T: boolean;
  readonly immediateData: boolean;
  /** Bytes. */
  readonly maxBurstLength: number;
  /** Bytes; never above maxBurstLength while unsolicited data is allowed at all. */
  readonly firstBurstLength: number;
  readonly maxOutstandingR2T: number;
  /** Seconds. */
  readonly defaultTime2Wait: number;
  /** Seconds. */
  readonly defaultTime2Retain: number;
  readonly errorRecoveryLevel: number;
  readonly taskReporting: TaskReporting;
  /** 1 is RFC 7143 alone, 2 is RFC 7144 with it. */
  readonly iSCSIProtocolLevel: number;
}

/** What was negotiated for the connection. */
export interface ConnectionParametersRecord {
  readonly headerDigest: "None" | "CRC32C";
  readonly dataDigest: "None" | "CRC32C";
  /** The longest data segment that we receive, in bytes (declared by us). */
  readonly maxRecvDataSegmentLength: number;
  /** The longest data segment that the peer receives, in bytes (declared by it; 8192 if it was silent). */
  readonly maxSendDataSegmentLength: number;
}

/** A LUN as one session sees it. */
export interface LunRecord {
  readonly lun: number;
  readonly unitIndex: number;
  readonly readOnly: boolean;
  /** Bits of COMMAND_CONFLICTS_*: what a reservation keeps this nexus from at this moment. */
  readonly blocked: number;
  /** ACCESS_STATE_* of the session's portal group for the unit at this moment. */
  readonly accessState: number;
  /** Something of the initiator's may be lost of which it was not told: its first flush does. */
  readonly hasUnheardLoss?: boolean;
}

/** Which PDUs are captured. */
export interface CaptureSelection {
  /** Another one for each capture of the process. */
  readonly number: number;
  /** With their data; otherwise headers, and data segments that hold no data of initiators. */
  readonly isWhole: boolean;
  /** Of this session alone; null: of all. */
  readonly sessionId: number | null;
  /** Of commands and task management functions for this unit alone; null: all. */
  readonly unitIndex: number | null;
}

/** What control itself has captured of a connection. */
export interface CapturedBefore {
  /** Of the capture. */
  readonly number: number;
  /** Bytes. */
  readonly received: number;
  readonly sent: number;
}

/** The one record of the hand-off: a connection whose negotiation is done, less the final Login Response, which the shard sends. */
export interface HandoffRecord {
  readonly connectionId: number;
  readonly sessionId: number;
  /** The detached socket: a duplicate of the descriptor, whose stream handle is closed. */
  readonly fd: number;
  readonly initiatorName: string;
  readonly initiatorAddress: string;
  /** By which it has reached us. */
  readonly portalAddress: string;
  /** How much of the connection a capture has seen already; null: none has. */
  readonly captured: CapturedBefore | null;
  readonly targetName: string;
  readonly targetPortalGroupTag: number;
  /** Six bytes in hexadecimal. */
  readonly isid: string;
  readonly tsih: number;
  readonly cid: number;
  readonly session: SessionParametersRecord;
  readonly connection: ConnectionParametersRecord;
  /** CmdSN that the session's next command must carry (leading login), as the Login Phase left it. */
  readonly expCmdSN: number;
  /** StatSN of the final Login Response itself. */
  readonly statSN: number;
  /** The final Login Response, header and data segment without padding, in hexadecimal; the shard stamps StatSN, ExpCmdSN, MaxCmdSN. */
  readonly loginResponse: string;
  readonly luns: readonly LunRecord[];
  /** Where the session's commands are counted: see statistics.ts. */
  readonly statisticsBlock: number;
  /** Of the initiator with this target, in all of its sessions together. */
  readonly limits: LimitsRecord | null;
  /** Keep-alive: after so long without a byte a NOP-In goes out; after as long again the connection is dropped. Milliseconds; 0: never. */
  readonly pingIntervalMs: number;
  /** Unit attention conditions that come from elsewhere are reported at once, too (AsyncEvent 0). */
  readonly reportsScsiEvents: boolean;
}

/** Reasons for the end of a connection that control counts. */
export const LOGGED_OUT = "logout";
export const LOGOUT_OVERDUE = "not logged out in time";

/** From control to a shard. */
export type ControlMessage =
  | { readonly type: "unit"; readonly unit: UnitRecord }
  | { readonly type: "connection"; readonly record: HandoffRecord }
  /** Ends all connections of the session now, its tasks aborted (reinstatement, administration). Answered by `connectionClosed` of each. */
  | { readonly type: "endSession"; readonly sessionId: number; readonly reason: string }
  /**
   * Its CID is taken over by a login: the tasks of the connection end, or are kept for reassignment (RFC 7143 section 6.3.4), but for
   * those whose status the login acknowledges (section 11.12.9).
   */
  | {
      readonly type: "endConnection";
      readonly connectionId: number;
      readonly expStatSN: number;
      readonly reason: string;
    }
  /** Answered with `done` when connections of this initiator that have ended have nothing in flight any more on these units. */
  | {
      readonly type: "awaitEnding";
      readonly exchange: number;
      readonly initiatorName: string;
      readonly unitIndexes: readonly number[];
    }
  /** The answer to `text`. `text` is key=value pairs with their NULs, in latin1. */
  | {
      readonly type: "textReply";
      readonly connectionId: number;
      readonly exchange: number;
      readonly text: string;
      /** The peer's new MaxRecvDataSegmentLength, in force when the negotiation sequence is over; null: unchanged. */
      readonly maxSendDataSegmentLength: number | null;
      /** Ours, which the text declares; null: unchanged. */
      readonly maxRecvDataSegmentLength: number | null;
    }
  /** The other answer to `text`: it breaks the rules, Reject (Protocol Error). */
  | { readonly type: "textReject"; readonly connectionId: number; readonly exchange: number }
  /** LOGICAL UNIT RESET asked for on another shard: abort the unit's tasks of all sessions here, then answer `done`. */
  | { readonly type: "resetUnit"; readonly exchange: number; readonly unitIndex: number }
  /** What `unitReset` or `nexusReset` asked for is done. */
  | { readonly type: "resetDone"; readonly exchange: number }
  /** Make the change, then answer `done`. */
  | { readonly type: "unitChange"; readonly exchange: number; readonly unitIndex: number; readonly change: UnitChange }
  /** What a `scsiCommand` asks for is under way, whatever becomes of the command: its abort need not wait. The answer follows. */
  | { readonly type: "scsiBegun"; readonly exchange: number }
  /**
   * The session sees other LUNs from now on, and is told so (REPORTED LUNS DATA HAS CHANGED; MODE PARAMETERS CHANGED where one
   * is read-only now, or is not any more); then `done`.
   */
  | {
      readonly type: "lunChange";
      readonly exchange: number;
      readonly sessionId: number;
      readonly added: readonly LunRecord[];
      readonly removed: readonly number[];
      readonly switched: readonly { readonly lun: number; readonly readOnly: boolean }[];
    }
  /** The limits of the session's initiator are others from now on, or none; then `done`. */
  | {
      readonly type: "sessionLimits";
      readonly exchange: number;
      readonly sessionId: number;
      readonly limits: LimitsRecord | null;
    }
  /** Another shard has heard of a loss: what the kernel has to tell this one of it is heard now. */
  | { readonly type: "hearLosses"; readonly unitIndex: number }
  /** The answer to `scsiCommand`. */
  | { readonly type: "scsiAnswer"; readonly exchange: number; readonly answer: ScsiAnswer }
  /** What is captured from now on; null: nothing. */
  | { readonly type: "capture"; readonly selection: CaptureSelection | null }
  /**
   * Ask the initiators to log out of these connections (Async Message: logout requested). Those that are there when the time is over
   * are dropped; with `endsSession` so that nothing of their sessions is kept.
   */
  | {
      readonly type: "requestLogout";
      readonly connectionIds: readonly number[];
      readonly timeoutMs: number;
      readonly endsSession: boolean;
    }
  /** Ask the initiators to negotiate anew on these connections (Async Message: negotiation request), within this time. */
  | { readonly type: "requestNegotiation"; readonly connectionIds: readonly number[]; readonly timeoutMs: number }
  /** Those that were asked to log out and are there still may stay. */
  | { readonly type: "cancelLogout"; readonly connectionIds: readonly number[] }
  /** Tell every session (Async Message: logout requested), finish tasks in flight, flush, close, then answer `stopped`. */
  | { readonly type: "stop"; readonly graceMs: number };

/** From a shard to control. */
export type ShardMessage =
  | { readonly type: "ready" }
  | {
      readonly type: "connectionClosed";
      readonly connectionId: number;
      readonly sessionId: number;
      readonly reason: string;
      /** Its tasks may be reassigned, so its session goes on, even without a connection. */
      readonly isRecoverable: boolean;
    }
  /** Its transport is gone, and its tasks wait for reassignment: `connectionClosed` follows when that is over. */
  | { readonly type: "connectionFailed"; readonly connectionId: number; readonly reason: string }
  /** Nothing is left of the session on the shard. */
  | { readonly type: "sessionEnded"; readonly sessionId: number }
  /** A Text Request in full feature phase, whole (all C-bit parts); control answers with `textReply` or `textReject`. */
  | {
      readonly type: "text";
      readonly connectionId: number;
      readonly exchange: number;
      readonly text: string;
      /** It goes on with the negotiation sequence that the exchange before began (RFC 7143 section 6.4). */
      readonly continues: boolean;
    }
  /** This shard has aborted its own tasks of the unit and wants the other shards to do the same. */
  | { readonly type: "unitReset"; readonly exchange: number; readonly unitIndex: number }
  /** I_T NEXUS RESET, or the session's logout: its tasks are gone; now what its nexus holds by RESERVE ends. Answered by `resetDone`. */
  | {
      readonly type: "nexusReset";
      readonly exchange: number;
      readonly sessionId: number;
      /** The initiator logs out of the session, without having been asked to: it has nothing more to ask of it. */
      readonly isLogout: boolean;
    }
  /** The shard has heard that something acknowledged, and not durable yet, is lost. */
  | { readonly type: "loss"; readonly unitIndex: number }
  /** A session of the initiator was told, and has acknowledged that. */
  | { readonly type: "lossHeard"; readonly unitIndex: number; readonly initiatorName: string }
  /** TARGET COLD RESET: the units are reset, and the response has left; now all sessions of the target end. */
  | { readonly type: "targetColdReset"; readonly targetName: string }
  | { readonly type: "done"; readonly exchange: number }
  /** A command that control carries out; it answers with `scsiAnswer`. `unitIndex` is -1 where the LUN has no unit. */
  | {
      readonly type: "scsiCommand";
      readonly exchange: number;
      readonly sessionId: number;
      readonly unitIndex: number;
      readonly lun: number;
      /** CDB and parameter list in hexadecimal. */
      readonly cdb: string;
      readonly parameters: string;
    }
  /** The command of this exchange is aborted: what control has under way for it is to end; `scsiAnswer` says that it has. */
  | { readonly type: "scsiAbort"; readonly exchange: number }
  | {
      readonly type: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly message: string;
      readonly fields: Readonly<Record<string, string | number | boolean>>;
    }
  | { readonly type: "stopped" };

/** What a shard's worker thread is started with (Piscina's task, structured clone: the SharedArrayBuffers are shared). */
export interface ShardTask {
  readonly shard: number;
  /** The CPU to which its thread is bound; null: none. */
  readonly cpu: number | null;
  /** It stays awake for short waits: see vigil.ts. */
  readonly busyPoll: boolean;
  /** Rings of sharedarraybuffer-ring. */
  readonly toShard: SharedArrayBuffer;
  readonly toControl: SharedArrayBuffer;
  /** eventfd that control signals after writing to `toShard`. Owned by control. */
  readonly wakeFd: number;
  /** Int32 [0]: 1 when the ring was drained at the thread's end, -1 when that failed (io-uring-node's `drained`). */
  readonly drained: SharedArrayBuffer;
  /** Counters that control sums at scrape: see counters.ts. */
  readonly counters: SharedArrayBuffer;
  /** What it counts for each unit and session: see statistics.ts. */
  readonly statistics: SharedArrayBuffer;
  /** Float64 [0]: from so many microseconds on a command is slow, and told of; 0: none is. Shared by all shards. */
  readonly slowCommandsUs: SharedArrayBuffer;
  /** The ring of captured PDUs: see capture/record.ts. */
  readonly captured: SharedArrayBuffer;
  /** One byte per descriptor number that the shard owns now (1: owned), for control to shut down if the shard dies. */
  readonly descriptors: SharedArrayBuffer;
  readonly units: readonly UnitRecord[];
  readonly arenaBytes: number;
  /** How many threads the shard has had before: numbers of exchanges begin anew in each, and must not repeat. */
  readonly life: number;
  /** How many shards there are. */
  readonly shards: number;
  /** See storage/gate.ts. */
  readonly gates: SharedArrayBuffer;
  /** See storage/failed-flushes.ts. */
  readonly failedFlushes: SharedArrayBuffer;
  /** See throttle/budget.ts. */
  readonly budgets: SharedArrayBuffer;
  /** Int32 per shard: its `wakeFd` of the moment, -1 while it has none. */
  readonly wakeFds: SharedArrayBuffer;
}
