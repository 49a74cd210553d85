/** Sockets: making them, naming them, setting their options. Results: 0 or more, or -errno, unless said otherwise. */
import { AF_INET6, AF_UNIX } from "./constants.js";
import { orThrow, SystemError } from "./errno.js";
import { addon } from "./native.js";

const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_KEEPALIVE = 9;
const SO_REUSEPORT = 15;
const SO_RCVLOWAT = 18;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCKADDR_BYTES_MAX = 28;
/** Of `sun_path`. */
const UNIX_PATH_BYTES_MAX = 108;

export interface SocketAddress {
  /** Numeric; IPv6 without brackets, link-local with its zone. */
  readonly address: string;
  readonly port: number;
  /** AF_INET, AF_INET6, AF_UNIX (address and port are then empty and 0). */
  readonly family: number;
}

/**
 * `struct sockaddr_in` or `sockaddr_in6` of a numeric host ("192.0.2.1", "::1", "fe80::1%eth0"). @throws SystemError
 * EINVAL: not numeric.
 */
export function encodeSockaddr(host: string, port: number): Uint8Array {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) throw new RangeError(`port: ${port}`);
  const out = new Uint8Array(new ArrayBuffer(SOCKADDR_BYTES_MAX));
  const length = orThrow(addon.encodeSockaddr(host, port, out), "encodeSockaddr", host);
  return out.subarray(0, length);
}

/**
 * `struct sockaddr_un` of a path, or of an abstract name, which is written with "@" in the place of the NUL at its start.
 * @throws RangeError: it is empty, too long or has a NUL in it.
 */
export function encodeUnixSockaddr(path: string): Uint8Array {
  const isAbstract = path.startsWith("@");
  // A path ends with NUL; an abstract name with the address.
  const name = new TextEncoder().encode(isAbstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length < 2 || name.length > UNIX_PATH_BYTES_MAX || path.includes("\0")) {
    throw new RangeError(`no address of a UNIX socket: ${JSON.stringify(path)}`);
  }
  const sockaddr = new Uint8Array(new ArrayBuffer(2 + name.length));
  sockaddr[0] = AF_UNIX;
  sockaddr.set(name, 2);
  return sockaddr;
}

/**
 * A datagram socket that does not block; what is written to it goes to the one that is bound to `path` (see `encodeUnixSockaddr`).
 * @throws SystemError ENOENT, ECONNREFUSED, EACCES ...
 */
export function connectUnixDatagram(path: string): number {
  return openUnixDatagram(path, "connect", true);
}

/** A datagram socket that blocks and is bound to `path` (see `encodeUnixSockaddr`). @throws SystemError EADDRINUSE ... */
export function bindUnixDatagram(path: string): number {
  return openUnixDatagram(path, "bind", false);
}

function openUnixDatagram(path: string, syscall: "bind" | "connect", isNonBlocking: boolean): number {
  const sockaddr = encodeUnixSockaddr(path);
  const fd = orThrow(addon.socket(AF_UNIX, SOCK_DGRAM), "socket", path);
  const result = addon[syscall](fd, sockaddr);
  if (result < 0) {
    addon.closeFd(fd);
    throw new SystemError(result, syscall, path);
  }
  if (isNonBlocking) addon.setNonBlocking(fd, true);
  return fd;
}

/** The address family at the start of an encoded socket address. */
function familyOf(sockaddr: Uint8Array): number {
  return sockaddr[0]! | (sockaddr[1]! << 8);
}

/** A TCP socket, with O_CLOEXEC, blocking: a ring waits for it by itself. */
export function socketTcp(family: number): number {
  return addon.socket(family, SOCK_STREAM);
}

export interface ListenOptions {
  /** Numeric. */
  readonly host: string;
  /** 0: any free one, see `localAddress`. */
  readonly port: number;
  readonly backlog: number;
  /** Several sockets may listen on this port; the kernel spreads connections over them. */
  readonly reusePort: boolean;
  /** IPv6 only, no IPv4 over it. Default true. */
  readonly v6Only?: boolean;
}

/** A listening socket. @throws SystemError EADDRINUSE, EADDRNOTAVAIL, EACCES ... */
export function listen(options: ListenOptions): number {
  const { host, port, backlog, reusePort, v6Only = true } = options;
  const name = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const sockaddr = encodeSockaddr(host, port);
  const family = familyOf(sockaddr);
  const fd = orThrow(socketTcp(family), "socket", name);
  const attempt = (result: number, syscall: string) => {
    if (result >= 0) return;
    addon.closeFd(fd);
    throw new SystemError(result, syscall, name);
  };
  attempt(addon.setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1), "setsockopt SO_REUSEADDR");
  if (reusePort) attempt(addon.setSocketOption(fd, SOL_SOCKET, SO_REUSEPORT, 1), "setsockopt SO_REUSEPORT");
  if (family === AF_INET6) {
    attempt(addon.setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6Only ? 1 : 0), "setsockopt IPV6_V6ONLY");
  }
  attempt(addon.bind(fd, sockaddr), "bind");
  attempt(addon.listen(fd, backlog), "listen");
  return fd;
}

/** A connected TCP socket; blocks until it is. @throws SystemError ECONNREFUSED, ETIMEDOUT ... */
export function connectSync(host: string, port: number): number {
  const sockaddr = encodeSockaddr(host, port);
  const fd = orThrow(socketTcp(familyOf(sockaddr)), "socket");
  const result = addon.connect(fd, sockaddr);
  if (result < 0) {
    addon.closeFd(fd);
    throw new SystemError(result, "connect", `${host}:${port}`);
  }
  return fd;
}

/** @throws SystemError ENOTCONN ... */
export function peerAddress(fd: number): SocketAddress {
  const address = addon.socketAddress(fd, true);
  if (typeof address === "number") throw new SystemError(address, "getpeername", `fd ${fd}`);
  return address;
}

/** @throws SystemError EBADF, ENOTSOCK */
export function localAddress(fd: number): SocketAddress {
  const address = addon.socketAddress(fd, false);
  if (typeof address === "number") throw new SystemError(address, "getsockname", `fd ${fd}`);
  return address;
}

export function setNoDelay(fd: number, on: boolean): number {
  return addon.setSocketOption(fd, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
}

export interface KeepAlive {
  /** Silence before the first probe, seconds. */
  readonly idleS: number;
  /** Between probes, seconds. */
  readonly intervalS: number;
  /** Unanswered probes until the connection is dropped. */
  readonly count: number;
}

export function setKeepAlive(fd: number, { idleS, intervalS, count }: KeepAlive): number {
  let result = addon.setSocketOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (result >= 0) result = addon.setSocketOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, idleS);
  if (result >= 0) result = addon.setSocketOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, intervalS);
  if (result >= 0) result = addon.setSocketOption(fd, IPPROTO_TCP, TCP_KEEPCNT, count);
  return result;
}

/** How long sent data may stay unacknowledged before the connection is dropped; 0: the system's default. */
export function setUserTimeout(fd: number, timeoutMs: number): number {
  return addon.setSocketOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeoutMs);
}

/**
 * The kernel doubles it for its bookkeeping, and bounds it by net.core.rmem_max; a set size no longer grows by itself.
 */
export function setReceiveBuffer(fd: number, bytes: number): number {
  return addon.setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, bytes);
}

/** As `setReceiveBuffer`, net.core.wmem_max. */
export function setSendBuffer(fd: number, bytes: number): number {
  return addon.setSocketOption(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

/** The socket is readable only when this many bytes have come (or its peer has shut down). */
export function setReceiveLowWater(fd: number, bytes: number): number {
  return addon.setSocketOption(fd, SOL_SOCKET, SO_RCVLOWAT, bytes);
}

/** An int option, for what has no function here; -errno on failure, so only for options whose value is not negative. */
export function getSocketOption(fd: number, level: number, option: number): number {
  return addon.getSocketOption(fd, level, option);
}

export function setSocketOption(fd: number, level: number, option: number, value: number): number {
  return addon.setSocketOption(fd, level, option, value);
}

/** `how`: SHUT_*. */
export function shutdownSync(fd: number, how: number): number {
  return addon.shutdown(fd, how);
}

/**
 * Sockets that come from elsewhere (libuv) have O_NONBLOCK set, which is a property of the open file, shared by
 * duplicates.
 */
export function setNonBlocking(fd: number, on: boolean): number {
  return addon.setNonBlocking(fd, on);
}
