/** Every bound of the control plane in one place, with what happens when it is reached. Milliseconds and bytes where not said. */
import assert from "node:assert/strict";
import { CONTROL_PARAMETERS_BYTES_MAX } from "../dataplane/limits.js";
import { WRITE_ATOMIC_BYTES_MAX } from "../dataplane/scsi/block-limits.js";

/** From the accept to the hand-off (or to the first request of a discovery session): then the connection is dropped. */
export const LOGIN_TIMEOUT_MS = 15_000;

/** Once we have said our last word, the peer has so long to close too. */
export const CLOSE_TIMEOUT_MS = 1_000;

/**
 * Connections that have not logged in yet, of all peers and of one address: one more is closed as soon as it is accepted.
 * A host with hundreds of sessions opens them all at once when the target has been restarted; each may hold 64 KiB of text.
 */
export const UNAUTHENTICATED_CONNECTIONS_MAX = 2048;
export const UNAUTHENTICATED_CONNECTIONS_PER_PEER_MAX = 1024;

/**
 * The longest data segment that we take before full feature phase and on a discovery session: the default of
 * MaxRecvDataSegmentLength (RFC 7143 section 13.12), which nothing that we say before login can raise. A longer one
 * drops the connection before any of it is buffered.
 */
export const LOGIN_DATA_SEGMENT_LENGTH_MAX = 8192;

/** A discovery session that says nothing for so long is dropped (section 7.4.3). */
export const DISCOVERY_IDLE_TIMEOUT_MS = 60_000;
/** The text of one Text Request, all its C-bit parts together: a longer one is rejected. */
export const TEXT_LENGTH_MAX = 65_536;

/** Sessions of the whole process, discovery included. The next login is answered with 0302h (out of resources). */
export const SESSIONS_MAX = 4096;
/** Of these, discovery sessions: whoever only looks around, often unauthenticated, cannot take the place of those who work. */
export const DISCOVERY_SESSIONS_MAX = 512;
/** Units with limits of their own: a configuration with more of them is refused. */
export const LIMITED_UNITS_MAX = 16_384;
/** Initiators whose commands are counted by name, from the first that logged in; those of all others are summed. */
export const INITIATORS_COUNTED_MAX = 4096;

/** Initiators of one unit that are told of a loss after they have come back; of more, those that logged in first are not. */
export const INITIATORS_OF_UNIT_MAX = 4096;

/**
 * So long after the start what is lost may have been left in the page cache by a process that was killed: it is there for half a
 * minute, and has to be written then.
 */
export const LEFT_BEHIND_MS = 600_000;

/** Nexuses registered with one unit (PERSISTENT RESERVE OUT): one more is refused with INSUFFICIENT REGISTRATION RESOURCES. */
export const REGISTRATIONS_PER_UNIT_MAX = 4096;

/** Between two looks at the space that thin units have. */
export const THIN_THRESHOLD_POLL_MS = 2_000;

/** Nexuses with a priority of their own on one unit (SET PRIORITY): one more is refused with INSUFFICIENT RESOURCES. */
export const PRIORITIES_PER_UNIT_MAX = 1024;

/**
 * Copies inside the server: bytes that go through memory at a time, and how many such parts are under way, of all copies
 * together. The others wait. Each part occupies a thread of libuv's pool, which has four.
 */
export const COPY_PART_BYTES = 1024 * 1024;
export const COPY_PARTS_AT_ONCE = 2;
/** How long a copy that waits for the limit of a unit does not look whether that is still the limit. */
export const TOLL_POLL_MS = 500;
/** Outcomes of copies that a session has not asked for yet: of one more the oldest is forgotten. */
export const COPY_OUTCOMES_PER_SESSION_MAX = 256;
/** ROD tokens of the whole process, and of one initiator name: one more is refused (INSUFFICIENT RESOURCES TO CREATE ROD TOKEN). */
export const ROD_TOKENS_MAX = 2048;
export const ROD_TOKENS_PER_INITIATOR_MAX = 256;

/** How long an initiator that was sent to another portal is expected there, and how many are: of one more the oldest is forgotten. */
export const REDIRECTION_MEMORY_MS = LOGIN_TIMEOUT_MS;
export const REDIRECTIONS_REMEMBERED_MAX = 4096;

/** How long a login waits for the session that it replaces to be ended: then it is answered with 0301h (service unavailable). */
export const REINSTATEMENT_TIMEOUT_MS = 8_000;

/** Of a drain: what initiators are given to log out in unless something else is said, and at most. Seconds. */
export const DRAIN_TIMEOUT_DEFAULT_S = 60;
export const DRAIN_TIMEOUT_MAX_S = 3_600;
/** What shards may take beyond that to tell initiators that they are dropped, and to drop them. */
export const DRAIN_OVERTIME_MS = 3_000;
/** What sessions are given to log out in whose target, or portal group, is taken out of the configuration. */
export const REMOVAL_GRACE_MS = 2_000;

/** On stop: how long sessions may take to log out, and how long a shard may take beyond that to say that it has stopped. */
export const STOP_GRACE_MS = 2_000;

/** Initiators that are asked to negotiate anew have this long to begin (Parameter3 of AsyncEvent 4). */
export const NEGOTIATION_TIMEOUT_MS = 10_000;
export const STOP_OVERTIME_MS = 3_000;

/** From the start of a shard's thread to its `ready`. */
export const SHARD_START_TIMEOUT_MS = 30_000;
/** From a shard's death to the confirmation that the kernel holds none of its operations: then the process exits. */
export const DRAIN_TIMEOUT_MS = 15_000;
/** A shard that dies sooner than this after its start, so many times in a row, makes the process exit. */
export const SHARD_SHORT_LIFE_MS = 1_000;
export const SHARD_SHORT_LIVES_MAX = 5;

/** How long a unit's file may be somebody else's when it is to be opened, and how often that is tried: then it is refused. */
export const UNIT_IN_USE_WAIT_MS = 3_000;
export const UNIT_IN_USE_POLL_MS = 50;

/** Units that are sanitized or formatted at a time, each with a thread of its own: of one more the work waits. */
export const OPERATIONS_MAX = 16;
/** How often it is looked whether a unit's writes in flight are over. */
export const WRITES_ENDED_POLL_MS = 2;

/**
 * Records between control and a shard; one record takes half of a ring at most, which is enough for a hand-off with all
 * 16384 LUNs and for a text in JSON. A full ring makes control queue, a shard wait.
 */
export const RING_TO_SHARD_BYTES = 4_194_304;
export const RING_TO_CONTROL_BYTES = 1_048_576;
assert(
  2 * Math.max(CONTROL_PARAMETERS_BYTES_MAX, WRITE_ATOMIC_BYTES_MAX) < RING_TO_CONTROL_BYTES / 2,
  "a command with its parameter list is one record",
);
/** Messages of one shard that control handles before it does anything else. The others wait in the ring. */
export const SHARD_MESSAGES_PER_TURN = 64;
/** Messages that control keeps for a shard whose ring is full: one more is a fault of that shard, which is ended. */
export const SHARD_BACKLOG_MAX = 16_384;
/** Descriptor numbers that a shard may own are below this: a login that ends up with a higher one is answered with 0302h. */
export const DESCRIPTORS_MAX = 1_048_576;

/**
 * Lines of the log with one message: so many at once and then so many a second, about one address and in all. Of more the number is
 * told, so often.
 */
export const LOG_LINES_OF_PEER = { burst: 1_000, perSecond: 10 } as const;
export const LOG_LINES = { burst: 5_000, perSecond: 100 } as const;
export const LOG_LEFT_OUT_INTERVAL_MS = 10_000;
/** Lines that cannot be written, on a full disk for instance, wait for that. More are lost. */
export const LOG_UNWRITTEN_BYTES_MAX = 1_048_576;
/** Messages and addresses of which it is known how much was logged. Of one more the one that was heard of least lately is forgotten. */
export const LOG_BUDGETS_MAX = 4096;

/** Connections to HTTP, and of one address: one more is closed as soon as it is accepted. Descriptors are for disks and initiators. */
export const HTTP_CONNECTIONS_MAX = 128;
export const HTTP_CONNECTIONS_PER_PEER_MAX = 64;
/** Requests of one connection that are not answered yet: one more closes it. Nobody but HTTP/1.1 pipelining sends more than one. */
export const HTTP_REQUESTS_AT_ONCE_MAX = 8;
/** A connection that asks for nothing more is closed after so long. */
export const HTTP_KEEP_ALIVE_TIMEOUT_MS = 5_000;
/** A reader that takes nothing of its answer for so long is closed; or for twice as long, where it took some just before. */
export const HTTP_STALLED_MS = 30_000;
/** How often it is looked for connections whose time is over. */
export const HTTP_TIMEOUT_LOOK_MS = 1_000;
/** From the first byte of a request to its last, and a body's length: then the request is refused. */
export const HTTP_REQUEST_TIMEOUT_MS = 10_000;
export const HTTP_BODY_LENGTH_MAX = 4096;
/** Of a configuration. */
export const HTTP_CONFIGURATION_LENGTH_MAX = 16 * 2 ** 20;
/** Between two events of a stream of statistics. */
export const STATISTICS_INTERVAL_MIN_S = 0.1;
export const STATISTICS_INTERVAL_MAX_S = 60;
/** Streams of statistics at a time: one more is refused (503). */
export const STATISTICS_STREAMS_MAX = 16;
/** How soon a browser that has lost its stream asks for it again. */
export const STATISTICS_RETRY_MS = 1_000;
/** What streams tell of the state, beside statistics, is made anew no sooner than this. */
export const STATE_LOOK_INTERVAL_MS = 500;
/** How long a capture may be wanted. */
export const CAPTURE_TIME_MIN_S = 0.1;
export const CAPTURE_TIME_MAX_S = 86_400;
/** Of a capture: how often it is looked for more PDUs, what is taken of one shard at a time, and how long its reader may take for the rest at its end. */
export const CAPTURE_POLL_MS = 10;
export const CAPTURE_CHUNK_BYTES = 262_144;
export const CAPTURE_END_TIMEOUT_MS = 1_000;
/** What the reader of a capture may be behind logins and discovery sessions. Of more, PDUs are left out, and counted. */
export const CAPTURE_LOGIN_BYTES_MAX = 4 * 1024 * 1024;
/** An administrative request is answered after so long, with how far it came. */
export const ADMINISTRATION_TIMEOUT_MS = 60_000;

/**
 * What files are asked for, for somebody who waits, is answered within so long, or its file system counts as one that does not answer.
 * Of those so many are tried at a time: with more, no more are. The thread for it ends when it has had nothing to do for so long.
 */
export const FILE_TIMEOUT_MS = 15_000;
export const FILE_THREADS_STUCK_MAX = 4;
export const FILE_THREAD_IDLE_MS = 10_000;
/**
 * What is under way on a LUN that goes, and on a unit that is closed, ends within so long. The sessions that began it are ended then;
 * the change is in force without waiting any longer, and whoever asked for it is told what has not ended.
 */
export const CHANGE_PATIENCE_MS = 10_000;
/** What then has nothing but to be taken note of. */
export const CHANGE_OVERTIME_MS = 1_000;
/** How often it is tried to drop an atomic write that is kept, until that is possible. */
export const ATOMIC_WRITE_DROP_RETRY_MS = 1_000;

/** Files of new units that are allocated at a time: one more is refused. And how many that have ended are remembered. */
export const CREATIONS_MAX = 4;
export const CREATIONS_KEPT_MAX = 16;
/** How long whoever cancels one waits for its end. */
export const CREATION_CANCEL_TIMEOUT_MS = 10_000;

/** Size of a shard's arena where nothing else is configured. */
export const ARENA_BYTES = 64 * 1024 * 1024;

/** Probes by TCP itself, which find out that a host is gone even where iSCSI pings are off. Seconds. */
export const TCP_KEEP_ALIVE = { idleS: 60, intervalS: 10, count: 6 };
