/** Every bound of the data plane in one place, with what happens when it is reached. */
import { assert } from "./assert.js";

/** Connections of one shard. One more is refused: by its login (0302h), or at the hand-off, where its socket is closed. */
export const CONNECTIONS_MAX = 4096;

/** Shards of one process. A configuration with more is refused. */
export const SHARDS_MAX = 256;

/** Tasks of one shard. One more command is answered with TASK SET FULL (or BUSY, where the session has no other task). */
export const TASKS_MAX = 4096;

/** Non-immediate commands that a session may have outstanding: the width of its command window (RFC 7143 section 4.2.2.1). */
export const COMMAND_WINDOW = 256;

/** iSCSIProtocolLevel from which on what RFC 7144 adds is there. */
export const PROTOCOL_LEVEL_RFC7144 = 2;

/** Immediate commands that a session may have outstanding beyond its window. One more is rejected (RFC 7143 section 11.17.1: Immediate Command Reject). */
export const IMMEDIATE_TASKS_MAX = 32;

/** Task management functions that a session may have under way. One more is answered with "function rejected". */
export const TASK_FUNCTIONS_MAX = 32;

/** Logout Requests that a session may have under way. One more is answered with "cleanup failed" (RFC 7143 section 11.15.1). */
export const LOGOUTS_MAX = 32;

/** The largest buffer class: one slice of a transfer. A longer command moves as several slices. */
export const SLICE_BYTES_MAX = 262144;

/** Buffer classes: data bytes of one slice, and the share that the class gets of the arena, less its fixed parts. A class that is empty borrows from the next larger one. */
export const SLICE_CLASSES = [
  { dataBytes: 4096, arenaShare: 0.2 },
  { dataBytes: 65536, arenaShare: 0.25 },
  { dataBytes: SLICE_BYTES_MAX, arenaShare: 0.54 },
] as const;

/** Slices of the smallest class that SCSI data does not get, so that logins, pings, text and Rejects find one; at most a quarter of them. */
export const RESERVED_SLICES = 128;
/** Likewise of the largest class, for pings and text that are longer; at most a quarter of them. */
export const RESERVED_LARGE_SLICES = 4;

/**
 * Longest parameter list of a command that control carries out, which gets it in one record, in hexadecimal. A longer one is
 * refused with PARAMETER LIST LENGTH ERROR.
 */
export const CONTROL_PARAMETERS_BYTES_MAX = 65536;

/** Slices that one task keeps in flight: enough to have the store and the network busy at once. */
export const TASK_SLICES_MAX = 4;

/**
 * Buffers that a connection may hold for data that it reads, or that it was asked for: then its tasks wait until it has read or
 * sent some. The fewer are free, the less it is: no more than as many as are left, so that n peers that never read nor send leave
 * one part in n + 1 to the others. One buffer is always allowed.
 */
export const CONNECTION_CREDIT_BYTES_MAX = 8 * 1024 * 1024;

/**
 * While buffers, tasks or batches are short for so long, connections are closed that hold some and have kept the target waiting
 * for as long: they do not read what is sent, do not acknowledge what is kept for them, do not send what they were asked for or have
 * begun, or leave a gap in CmdSN. Of connections that have failed, and whose tasks wait to be reassigned, one a second is given up.
 * Microseconds.
 */
export const SHORTAGE_PATIENCE_US = 4_000_000;

/** Likewise those that have kept the target waiting all that time and moved fewer bytes in each second: they drip. */
export const SHORTAGE_BYTES_PER_SECOND_MIN = 16_384;

/** How long an initiator may owe data at ErrorRecoveryLevel 0, although nothing is short: then its connection is closed. Microseconds. */
export const DATA_OUT_TIMEOUT_US = 60_000_000;

/** Receive buffers are shared by all connections and given out by the kernel when data is there. */
export const RECEIVE_BUFFER_BYTES = 65536;
export const RECEIVE_BUFFERS = 64;
/** A data segment with at least so much missing is received straight into its place instead of through a receive buffer. */
export const DIRECT_RECEIVE_BYTES_MIN = 8192;
/** What a receive asks for while solicited data is outstanding: a header and little of the payload, so that the payload can go straight into its place. */
export const HEADER_RECEIVE_BYTES = 4096;

/** Longest data segment that the target declares and accepts (RFC 7143 section 13.12). */
export const MAX_RECV_DATA_SEGMENT_LENGTH = 262144;

/** The longest that a shard with nothing to do stays awake for what it expects. Microseconds. */
export const AWAKE_US_MAX = 100;

/** PDUs gathered in one sendmsg, and the sends that may be in flight on a shard. A connection without a batch waits for one. */
export const BATCH_PDUS_MAX = 128;
export const BATCHES = 256;
/** Payload bytes gathered in one sendmsg. */
export const BATCH_BYTES_MAX = 1024 * 1024;
/**
 * From here on a batch is sent without a completion if it is sent whole. Below, two calls of `enter` cost less than one: on a
 * processor that target and initiator share, the initiator runs when the first one returns, and its next command is there at
 * the second.
 */
export const ATTEMPT_BYTES_MIN = 65536;

/** Text of one request in full feature phase, over all its PDUs. A longer one is rejected. */
export const TEXT_BYTES_MAX = 65536;

/**
 * Text Requests of one connection that control is asked about at a time: more than one only where the others were given up. One
 * more is rejected.
 */
export const TEXTS_ASKED_MAX = 4;

/**
 * Replies (NOP-In, Reject, Text, Logout, task management) waiting on one connection: far more than one receive can ask for. One
 * more closes it: the peer asks and does not read.
 */
export const CONNECTION_REPLIES_MAX = 4096;

/** Data segments (ping data, text) of replies that wait on one connection. More closes it, likewise. */
export const CONNECTION_REPLY_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Status that a session keeps until it is acknowledged, at ErrorRecoveryLevel 1 and 2. Of one more the oldest is given up: it cannot be
 * sent again.
 */
export const RETAINED_MAX = 192;

/**
 * Tasks of one session, with those that have ended and are kept for their status. One more command is answered with TASK SET FULL:
 * window, immediate commands and RETAINED_MAX together are fewer, but an initiator may have what it did not acknowledge
 * reassigned to a connection that it does not read, again and again.
 */
export const SESSION_TASKS_MAX = 512;

/** Commands of one session that are not executed and wait for their data or their turn. One more immediate command is rejected. */
export const REFUSALS_MAX = COMMAND_WINDOW;

/** Data segments of PDUs that arrived ahead of their turn and are no SCSI commands, per session. More closes it. */
export const HELD_BYTES_MAX = 1024 * 1024;
/** Likewise of all sessions of a shard. More closes the session that it comes from. */
export const HELD_BYTES_OF_SHARD_MAX = 64 * 1024 * 1024;

/** Lines of a shard's log about slow commands in a second: of more only the number is told. */
export const SLOW_COMMANDS_PER_SECOND_MAX = 10;

/** Likewise about PDUs that are rejected. */
export const REJECTED_LINES_PER_SECOND_MAX = 10;

/** What a capture's reader may be behind its shard. Of more, PDUs are left out, and counted. */
export const CAPTURE_RING_BYTES = 16 * 1024 * 1024;

/** Initiator Task Tags, per session, that the capture of a unit knows. Of one more the oldest is forgotten: what follows of its command is not captured. */
export const CAPTURE_TAGS_MAX = 4096;

/** LUNs, per session, whose data and echo buffers (WRITE BUFFER) are kept. Of one more the oldest is forgotten. */
export const BUFFERED_LUNS_MAX = 16;

/** Tags, per session, of commands that ended before all of their Data-Out had come: the rest is dropped. Of one more the oldest is forgotten, and rejected. */
export const ABANDONED_TAGS_MAX = 1024;

/** Longest wait in one `enter`: a thread can always be stopped, and clocks are looked at this often. Milliseconds. */
export const ENTER_WAIT_MS_MAX = 1000;

/** Entries of the ring's queues, at most. A full submission queue is submitted at once; completions that do not fit wait in the kernel. */
export const SQ_ENTRIES_MAX = 4096;
export const CQ_ENTRIES_MAX = 16384;
const SQ_ENTRIES_MIN = 128;
/** So many shards may have rings of that size. */
const LARGE_RINGS_MAX = 8;

/**
 * Entries of each ring's queues where there are so many shards. An ordinary user's RLIMIT_MEMLOCK, 8 MiB as a rule, counts
 * the rings of all of them (64 bytes an SQE, 16 a CQE): together they take about half of that, however many cores there are.
 */
export function ringEntries(shards: number): { readonly entries: number; readonly cqEntries: number } {
  let halvings = 0;
  while (shards > LARGE_RINGS_MAX << halvings && SQ_ENTRIES_MAX >>> halvings > SQ_ENTRIES_MIN) halvings++;
  return { entries: SQ_ENTRIES_MAX >>> halvings, cqEntries: CQ_ENTRIES_MAX >>> halvings };
}

/** How long an initiator may owe data without sending any, at ErrorRecoveryLevel 1 and 2: then it is asked for again. Microseconds. */
export const SEQUENCE_TIMEOUT_US = 5_000_000;

/**
 * How long a task that is to end with its task set, or with its unit, waits for data that its initiator still owes, if none comes
 * (RFC 7143 section 4.2.3.3, a): initiators that are careless about it send none any more. Then it ends all the same. Microseconds.
 */
export const ABORTED_DATA_PATIENCE_US = 3_000_000;

/** How long a response fence waits for a connection to acknowledge what it was sent. Then the connection is given up. Microseconds. */
export const FENCE_PATIENCE_US = 10_000_000;

/**
 * How long a connection that the target ends stays open to the eye of its initiator while its tasks wait for the store: as long as a
 * disk may take. Then its initiator is told, although a write may still land. Microseconds.
 */
export const ENDING_PATIENCE_US = 30_000_000;

/** Asynchronous Messages about ended tasks that a connection may leave unacknowledged. Of one more the oldest is forgotten. */
export const TERMINATIONS_MAX = 64;

/** The fastest limits that can be set: beyond any disk, and what a word of a budget can count for some seconds (throttle/budget.ts). */
export const LIMITED_COMMANDS_PER_SECOND_MAX = 100_000_000;
export const LIMITED_BYTES_PER_SECOND_MAX = 128 * 1024 * 1024 * 1024;

/** What one command costs of a limit at most, in bytes: no less than any command moves. */
export const COST_BYTES_MAX = 64 * 1024 * 1024;

/** Commands that wait for a limit are looked at so often at most: those that are due between two looks begin together. Microseconds. */
export const THROTTLE_TICK_US = 500;

/** Tasks of one shard that may wait for limits: the others are for who has none. One more is answered with TASK SET FULL. */
export const THROTTLED_TASKS_MAX = TASKS_MAX / 2;

/** Likewise of one session: the rest of its command window is for its units that have no limit. */
export const SESSION_THROTTLED_TASKS_MAX = (COMMAND_WINDOW / 4) * 3;

/** How long an initiator that has not logged out in time may take to receive that its connection is dropped. Microseconds. */
export const DROP_PATIENCE_US = 1_000_000;

/** How often connections are looked over for silence. Microseconds. */
export const SWEEP_INTERVAL_US = 1_000_000;

assert(SLICE_CLASSES.reduce((sum, c) => sum + c.arenaShare, 0) < 1, "the classes share what there is");
assert(CONTROL_PARAMETERS_BYTES_MAX <= SLICE_BYTES_MAX, "a parameter list fits into a slice");
assert(MAX_RECV_DATA_SEGMENT_LENGTH <= SLICE_BYTES_MAX, "a data segment fits into a slice");
assert(SHORTAGE_PATIENCE_US % SWEEP_INTERVAL_US === 0, "patience is counted in looks");
assert(4 * SLICE_BYTES_MAX <= CAPTURE_RING_BYTES, "the ring of a capture holds the longest PDU wherever it stands");
assert(
  CONNECTION_REPLIES_MAX > 2 * (RECEIVE_BUFFER_BYTES / 48),
  "a peer that asks much at once is not taken for one that does not read",
);
assert(DIRECT_RECEIVE_BYTES_MIN < RECEIVE_BUFFER_BYTES, "receive buffers are worth having");
assert(
  COMMAND_WINDOW + IMMEDIATE_TASKS_MAX + RETAINED_MAX <= SESSION_TASKS_MAX && SESSION_TASKS_MAX <= TASKS_MAX,
  "one session can fill its window",
);
