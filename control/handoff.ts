/**
 * The only door between the two worlds: takes a connection away from libuv, for a shard to go on with. Not a byte may be
 * lost on the way: the initiator has none to send until it has the final Login Response, which the SHARD sends.
 */
import type { Socket } from "node:net";
import { closeSync, dup, errnoMessage, setKeepAlive, setNoDelay, setNonBlocking } from "io-uring-node";
import { DESCRIPTORS_MAX, TCP_KEEP_ALIVE } from "./limits.js";

export type Detachment = { readonly ok: true; readonly fd: number } | { readonly ok: false; readonly reason: string };

/** What net.Socket does not make public, and what has been there since Node 0.x. */
interface StreamHandle {
  readonly fd: number;
  readStop(): number;
}

/**
 * Detaches the connection from `socket`, which is destroyed in any case. On success the caller owns the descriptor: a
 * duplicate, blocking, without delay, with TCP keep-alive.
 */
export function detach(socket: Socket): Detachment {
  const result = duplicate(socket);
  // Closes the stream's own descriptor; the connection lives on in the duplicate.
  socket.destroy();
  return result;
}

function duplicate(socket: Socket): Detachment {
  const handle = (socket as unknown as { _handle: StreamHandle | null })._handle;
  if (handle === null || socket.destroyed || handle.fd < 0) return { ok: false, reason: "the connection is gone" };
  // From here to the end of this turn libuv reads nothing, so what is in the stream's buffer now is all there ever is.
  handle.readStop();
  if (socket.readableLength > 0) {
    return { ok: false, reason: `the initiator sent ${socket.readableLength} bytes before the login was done` };
  }
  if (socket.writableLength > 0) return { ok: false, reason: "the initiator does not take the responses" };
  const fd = dup(handle.fd);
  if (fd < 0) return { ok: false, reason: errnoMessage(fd) };
  if (fd >= DESCRIPTORS_MAX) {
    closeSync(fd);
    return { ok: false, reason: `descriptor ${fd} is above the bound of ${DESCRIPTORS_MAX}` };
  }
  setNonBlocking(fd, false);
  setNoDelay(fd, true);
  setKeepAlive(fd, TCP_KEEP_ALIVE);
  return { ok: true, fd };
}
