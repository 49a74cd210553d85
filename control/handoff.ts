/**
 * The only door between the two worlds: takes a connection away from libuv, for a shard to go on with. Not a byte may be
 * lost on the way: the initiator has none to send until it has the final Login Response, which the SHARD sends.
 */
import type { Socket } from "node:net";
import { closeSync, dup, errnoMessage, setKeepAlive, setNoDelay, setNonBlocking } from "io-uring-node";
import {
  LOGIN_STATUS_INITIATOR_ERROR,
  LOGIN_STATUS_OUT_OF_RESOURCES,
  LOGIN_STATUS_SERVICE_UNAVAILABLE,
} from "../dataplane/wire/login-response.js";
import { DESCRIPTORS_MAX, TCP_KEEP_ALIVE } from "./limits.js";
import type { LoginFailureStatus } from "./login/status.js";

export type Detachment =
  | { readonly ok: true; readonly fd: number }
  | { readonly ok: false; readonly status: LoginFailureStatus; readonly reason: string };

/** What net.Socket does not make public, and what has been there since Node 0.x. */
interface StreamHandle {
  readonly fd: number;
  readStart(): number;
  readStop(): number;
}

/**
 * Detaches the connection from `socket`. On success the socket is destroyed and the caller owns the descriptor: a duplicate,
 * blocking, without delay, with TCP keep-alive. Otherwise the socket is as it was, to tell the initiator why not.
 */
export function detach(socket: Socket): Detachment {
  const handle = (socket as unknown as { _handle: StreamHandle | null })._handle;
  if (handle === null || socket.destroyed || handle.fd < 0) {
    return { ok: false, status: LOGIN_STATUS_SERVICE_UNAVAILABLE, reason: "the connection is gone" };
  }
  // From here to the end of this turn libuv reads nothing, so what is in the stream's buffer now is all there ever is.
  handle.readStop();
  const result = duplicate(socket, handle.fd);
  // Closes the stream's own descriptor; the connection lives on in the duplicate.
  if (result.ok) socket.destroy();
  else handle.readStart();
  return result;
}

function duplicate(socket: Socket, original: number): Detachment {
  const refuse = (status: LoginFailureStatus, reason: string) => ({ ok: false, status, reason }) as const;
  if (socket.readableLength > 0) {
    const reason = `the initiator sent ${socket.readableLength} bytes before the login was done`;
    return refuse(LOGIN_STATUS_INITIATOR_ERROR, reason);
  }
  if (socket.writableLength > 0) {
    return refuse(LOGIN_STATUS_INITIATOR_ERROR, "the initiator does not take the responses");
  }
  const fd = dup(original);
  if (fd < 0) return refuse(LOGIN_STATUS_OUT_OF_RESOURCES, errnoMessage(fd));
  if (fd >= DESCRIPTORS_MAX) {
    closeSync(fd);
    return refuse(LOGIN_STATUS_OUT_OF_RESOURCES, `descriptor ${fd} is above the bound of ${DESCRIPTORS_MAX}`);
  }
  setNonBlocking(fd, false);
  setNoDelay(fd, true);
  setKeepAlive(fd, TCP_KEEP_ALIVE);
  return { ok: true, fd };
}
