/**
 * What a shard counts, in shared memory: bumped by the shard alone, without locks, and read by control when somebody
 * scrapes. A double holds every count exactly up to 2^53.
 */
export const COUNTER_NAMES = [
  "turns",
  "completions",
  "scsi_commands",
  "read_bytes",
  "written_bytes",
  "received_bytes",
  "sent_bytes",
  "check_conditions",
  "rejects",
  "digest_errors",
  "task_set_full",
  "parked_tasks",
  "throttled_tasks",
  "sessions",
  "connections",
  "cpu_microseconds",
  "busy_poll_microseconds",
  "capture_dropped_pdus",
  "resent_pdus",
  "submissions",
  "buffer_bytes",
  "free_buffer_bytes",
] as const;

export type CounterName = (typeof COUNTER_NAMES)[number];

/** Index of each counter. */
export const COUNTER: Readonly<Record<CounterName, number>> = Object.fromEntries(
  COUNTER_NAMES.map((name, index) => [name, index]),
) as Record<CounterName, number>;

/** PDUs by their opcode follow, those received and those sent: whatever opcode a peer makes up has its place. */
export const OPCODES = 64;
export const RECEIVED_PDUS = COUNTER_NAMES.length;
export const SENT_PDUS = RECEIVED_PDUS + OPCODES;

export function allocateCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer((SENT_PDUS + OPCODES) * 8);
}
