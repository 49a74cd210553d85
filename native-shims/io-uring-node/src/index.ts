/** io-uring-node: see README.md. */
export * from "./async-files.js";
export * from "./constants.js";
export * from "./crc32c.js";
export { errno, errnoMessage, errnoName, SystemError } from "./errno.js";
export type { Features } from "./features.js";
export * from "./files.js";
export * from "./memory.js";
export { ProvidedBuffers } from "./provided-buffers.js";
export { isMemoryLockLimit, probe, RING_SETUP_FLAGS, Ring, type RingOptions } from "./ring.js";
export {
  explainUnavailable,
  RingClosedError,
  RingUnavailableError,
  type RingUnavailableReason,
} from "./ring-errors.js";
export * from "./ring-memory.js";
export * from "./sockets.js";
export { type MemoryRegion, SubmissionCompletionRing } from "./submission-completion-ring.js";
export * from "./threads.js";
