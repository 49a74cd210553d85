/** Sockets: helpers, and every socket operation of the ring over loopback. */
import assert from "node:assert/strict";
import { fstatSync, mkdtempSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  addressOf,
  bindUnixDatagram,
  CQE_F_BUFFER,
  CQE_F_MORE,
  CQE_F_NOTIF,
  closeSync,
  connectSync,
  connectUnixDatagram,
  dup,
  encodeSockaddr,
  encodeUnixSockaddr,
  errno,
  getSocketOption,
  type KeepAlive,
  listen,
  localAddress,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  ProvidedBuffers,
  peerAddress,
  RECVSEND_POLL_FIRST,
  Ring,
  SHUT_RDWR,
  SHUT_WR,
  SOCK_CLOEXEC,
  SQE_CQE_SKIP_SUCCESS,
  SQE_FIXED_FILE,
  SystemError,
  setKeepAlive,
  setNoDelay,
  setNonBlocking,
  setReceiveBuffer,
  setReceiveLowWater,
  setSendBuffer,
  setSocketOption,
  setUserTimeout,
  shutdownSync,
  socketTcp,
} from "io-uring-node";
import { type Completion, complete, Memory, resultOf } from "./completions.js";

const SOL_SOCKET = 1;
const IPPROTO_TCP = 6;

function isSystemError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof SystemError && error.code === code;
}

/** A listening socket on a free port of loopback. */
function listenAnywhere(host = "127.0.0.1"): { listener: number; port: number } {
  const listener = listen({ host, port: 0, backlog: 16, reusePort: false });
  return { listener, port: localAddress(listener).port };
}

/** Both ends of a connection, and a ring. */
function withConnection(body: (ring: Ring, near: number, far: number) => void, entries = 16): void {
  const ring = Ring.open({ entries });
  const { listener, port } = listenAnywhere();
  const near = connectSync("127.0.0.1", port);
  ring.accept(listener, SOCK_CLOEXEC, 1, 0);
  const far = resultOf(ring, 1);
  try {
    body(ring, near, far);
  } finally {
    ring.close();
    for (const fd of [listener, near, far]) closeSync(fd);
  }
}

test("socket addresses are encoded as the kernel reads them", () => {
  assert.deepEqual([...encodeSockaddr("192.0.2.1", 3260)], [2, 0, 12, 188, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  const six = encodeSockaddr("2001:db8::7", 0xffff);
  assert.equal(six.length, 28);
  assert.deepEqual([...six.subarray(0, 12)], [10, 0, 255, 255, 0, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8]);
  assert.equal(six[23], 7);
  for (const host of ["localhost", "", "300.1.1.1", "[::1]", "1.2.3.4:5", "127.0.0.1\0"]) {
    assert.throws(() => encodeSockaddr(host, 1), isSystemError("EINVAL"), host);
  }
  for (const port of [-1, 65536, 1.5, Number.NaN]) assert.throws(() => encodeSockaddr("::1", port), RangeError);
});

test("listening tells what is wrong with an address, and leaves no descriptor behind", () => {
  const { listener, port } = listenAnywhere();
  assert.throws(
    () => listen({ host: "127.0.0.1", port, backlog: 1, reusePort: false }),
    (error) => isSystemError("EADDRINUSE")(error) && (error as Error).message.includes(`127.0.0.1:${port}`),
  );
  assert.throws(
    () => listen({ host: "192.0.2.1", port: 0, backlog: 1, reusePort: false }),
    isSystemError("EADDRNOTAVAIL"),
  );
  const probe = dup(listener);
  closeSync(probe);
  assert.throws(() => listen({ host: "127.0.0.1", port, backlog: 1, reusePort: false }));
  assert.equal(dup(listener), probe, "the next free descriptor is the same as before");
  closeSync(probe);
  closeSync(listener);
});

test("two sockets share a port with reusePort", () => {
  const first = listen({ host: "127.0.0.1", port: 0, backlog: 1, reusePort: true });
  const second = listen({ host: "127.0.0.1", port: localAddress(first).port, backlog: 1, reusePort: true });
  closeSync(first);
  closeSync(second);
});

test("addresses of both ends, IPv4", () => {
  withConnection((_ring, near, far) => {
    assert.deepEqual(localAddress(near), peerAddress(far));
    assert.deepEqual(peerAddress(near), localAddress(far));
    assert.equal(peerAddress(near).address, "127.0.0.1");
    assert.equal(peerAddress(near).family, AF_INET);
  });
  const lonely = socketTcp(AF_INET);
  assert.throws(() => peerAddress(lonely), isSystemError("ENOTCONN"));
  closeSync(lonely);
  assert.throws(() => localAddress(lonely), isSystemError("EBADF"));
  assert.equal(socketTcp(4711), -errno.EAFNOSUPPORT);
  assert.equal(AF_UNIX, 1);
});

test("addresses of both ends, IPv6", (t) => {
  let listening: { listener: number; port: number };
  try {
    listening = listenAnywhere("::1");
  } catch (error) {
    if (isSystemError("EADDRNOTAVAIL")(error) || isSystemError("EAFNOSUPPORT")(error)) return t.skip("no IPv6 here");
    throw error;
  }
  const fd = connectSync("::1", listening.port);
  assert.deepEqual(peerAddress(fd), { address: "::1", port: listening.port, family: AF_INET6 });
  closeSync(fd);
  closeSync(listening.listener);
  assert.throws(() => connectSync("::1", listening.port), isSystemError("ECONNREFUSED"));
});

test("one listener takes IPv4 and IPv6 if asked to", (t) => {
  let listener: number;
  try {
    listener = listen({ host: "::", port: 0, backlog: 4, reusePort: true, v6Only: false });
  } catch (error) {
    if (isSystemError("EAFNOSUPPORT")(error)) return t.skip("no IPv6 here");
    throw error;
  }
  const { port } = localAddress(listener);
  const near = connectSync("127.0.0.1", port);
  const ring = Ring.open({ entries: 4 });
  ring.accept(listener, SOCK_CLOEXEC, 1, 0);
  const far = resultOf(ring, 1);
  assert.deepEqual(peerAddress(far), { address: "::ffff:127.0.0.1", port: localAddress(near).port, family: AF_INET6 });
  ring.close();
  for (const fd of [listener, near, far]) closeSync(fd);
  const only = listen({ host: "::", port: 0, backlog: 4, reusePort: false });
  assert.throws(() => connectSync("127.0.0.1", localAddress(only).port), isSystemError("ECONNREFUSED"));
  closeSync(only);
});

test("socket options arrive", () => {
  withConnection((_ring, near) => {
    assert.equal(setNoDelay(near, true), 0);
    assert.equal(getSocketOption(near, IPPROTO_TCP, 1), 1);
    assert.equal(setNoDelay(near, false), 0);
    assert.equal(getSocketOption(near, IPPROTO_TCP, 1), 0);
    const keepAlive: KeepAlive = { idleS: 31, intervalS: 7, count: 3 };
    assert.equal(setKeepAlive(near, keepAlive), 0);
    assert.deepEqual(
      [9]
        .map((option) => getSocketOption(near, SOL_SOCKET, option))
        .concat([4, 5, 6].map((o) => getSocketOption(near, IPPROTO_TCP, o))),
      [1, 31, 7, 3],
    );
    assert.equal(setUserTimeout(near, 4321), 0);
    assert.equal(getSocketOption(near, IPPROTO_TCP, 18), 4321);
    assert.equal(setReceiveBuffer(near, 65536), 0);
    assert.equal(getSocketOption(near, SOL_SOCKET, 8), 131072);
    assert.equal(setSendBuffer(near, 65536), 0);
    assert.equal(getSocketOption(near, SOL_SOCKET, 7), 131072);
    assert.equal(setReceiveLowWater(near, 48), 0);
    assert.equal(getSocketOption(near, SOL_SOCKET, 18), 48);
    assert.equal(setSocketOption(near, SOL_SOCKET, 4711, 1), -errno.ENOPROTOOPT);
    assert.equal(setNoDelay(-1, true), -errno.EBADF);
  });
});

test("connect, accept, send, recv, shutdown", () => {
  const ring = Ring.open({ entries: 8 });
  const { listener, port } = listenAnywhere();
  const near = socketTcp(AF_INET);
  const sockaddr = encodeSockaddr("127.0.0.1", port);
  ring.accept(listener, SOCK_CLOEXEC, 1, 0);
  ring.connect(near, addressOf(sockaddr), sockaddr.length, 2, 0);
  const results = new Map(complete(ring, 2).map(({ kind, result }) => [kind, result]));
  assert.equal(results.get(2), 0);
  const far = results.get(1)!;
  assert.ok(far > 2);

  const [out, into] = [Memory.of("to and fro"), new Memory(64)];
  ring.recvPollFirst(far, into.address, 64, 0, 3, 0);
  ring.enter(0, 0);
  ring.send(near, out.address, 10, MSG_NOSIGNAL, 4, 0);
  assert.deepEqual(
    complete(ring, 2)
      .map(({ kind, result }) => [kind, result])
      .sort(),
    [
      [3, 10],
      [4, 10],
    ],
  );
  assert.equal(into.bytes.toString("utf8", 0, 10), "to and fro");

  ring.shutdownSocket(near, SHUT_WR, 5, 0);
  assert.equal(resultOf(ring, 5), 0);
  ring.recv(far, into.address, 64, 0, 6, 0);
  assert.equal(resultOf(ring, 6), 0, "the end of the stream");
  assert.equal(shutdownSync(far, SHUT_RDWR), 0);
  ring.send(far, out.address, 10, MSG_NOSIGNAL, 7, 0);
  assert.equal(resultOf(ring, 7), -errno.EPIPE);
  ring.close();
  for (const fd of [listener, near, far]) closeSync(fd);
});

test("a refused connection is a result", () => {
  const { listener, port } = listenAnywhere();
  closeSync(listener);
  const ring = Ring.open({ entries: 4 });
  const fd = socketTcp(AF_INET);
  const sockaddr = encodeSockaddr("127.0.0.1", port);
  ring.connect(fd, addressOf(sockaddr), sockaddr.length, 1, 0);
  assert.equal(resultOf(ring, 1), -errno.ECONNREFUSED);
  ring.close();
  closeSync(fd);
});

test("multishot accept goes on and is cancelled by closing", () => {
  const drained = new Int32Array(new SharedArrayBuffer(4));
  const ring = Ring.open({ entries: 8, drained });
  const { listener, port } = listenAnywhere();
  ring.acceptMultishot(listener, SOCK_CLOEXEC, 1, 9);
  for (let turn = 0; turn < 3; turn++) {
    const near = connectSync("127.0.0.1", port);
    const { result, flags, index } = complete(ring, 1)[0]!;
    assert.deepEqual([index, flags & CQE_F_MORE], [9, CQE_F_MORE]);
    assert.deepEqual(peerAddress(result), localAddress(near));
    closeSync(near);
    closeSync(result);
  }
  assert.equal(ring.inFlight(), 1);
  ring.close();
  assert.equal(drained[0], 1);
  closeSync(listener);
});

test("MSG_WAITALL sends and receives more than fits into the socket, whole", () => {
  withConnection((ring, near, far) => {
    const length = 8 * 1024 * 1024;
    const [out, into] = [new Memory(length), new Memory(length)];
    for (let at = 0; at < length; at += 4) out.bytes.writeUInt32LE(Math.imul(at, 0x9e37_79b1) >>> 0, at);
    ring.send(near, out.address, length, MSG_WAITALL | MSG_NOSIGNAL, 1, 0);
    ring.recv(far, into.address, length, MSG_WAITALL, 2, 0);
    assert.deepEqual(
      complete(ring, 2)
        .map(({ kind, result }) => [kind, result])
        .sort(),
      [
        [1, length],
        [2, length],
      ],
    );
    assert.ok(into.bytes.equals(out.bytes));
  });
});

test("an attempt to send that tells only of what it could not send", () => {
  withConnection((ring, near, far) => {
    const length = 16 * 1024 * 1024;
    const [out, into] = [new Memory(length), new Memory(length)];
    out.bytes.fill("a");
    const iovec = Memory.iovec(out);
    const message = Memory.msghdr(iovec);
    const attempt = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
    const sends: ((bytes: number) => number)[] = [
      (bytes) => ring.send(near, out.address, bytes, attempt, 1, 0),
      (bytes) => {
        iovec.view.setBigUint64(8, BigInt(bytes), true);
        return ring.sendmsg(near, message.address, attempt, 1, 0);
      },
    ];
    for (const send of sends) {
      ring.setSqeFlags(send(1000), SQE_CQE_SKIP_SUCCESS);
      assert.equal(ring.enter(0, 0), 0, "sent whole: nothing is told, and nothing is in flight");
      assert.equal(ring.inFlight(), 0);
      let sent = 1000;
      for (let part = 1; ; part++) {
        ring.setSqeFlags(send(length), SQE_CQE_SKIP_SUCCESS);
        const [{ result }] = complete(ring, 1) as [Completion];
        // What the kernel moves on to the receiver meanwhile makes room for a little more.
        if (part > 1 && result === -errno.EAGAIN) break;
        assert.ok(result > 0 && result < length, `sent in part: ${result}`);
        sent += result;
      }
      ring.recv(far, into.address, sent, MSG_WAITALL, 2, 0);
      assert.equal(resultOf(ring, 2), sent);
    }
  });
});

test("sendmsg gathers and recvmsg scatters", () => {
  withConnection((ring, near, far) => {
    const parts = [Memory.of("gathered "), Memory.of("from "), Memory.of("three places")];
    const iovec = Memory.iovec(...parts);
    const message = Memory.msghdr(iovec);
    ring.sendmsg(near, message.address, MSG_NOSIGNAL, 1, 0);
    assert.equal(resultOf(ring, 1), 26);
    const [head, tail] = [new Memory(3), new Memory(23)];
    const scattered = Memory.iovec(head, tail);
    const target = Memory.msghdr(scattered);
    ring.recvmsg(far, target.address, MSG_WAITALL, 2, 0);
    assert.equal(resultOf(ring, 2), 26);
    assert.equal(head.bytes.toString() + tail.bytes.toString(), "gathered from three places");
  });
});

test("zero-copy sends tell separately when the memory is free", () => {
  withConnection((ring, near, far) => {
    const [out, into] = [new Memory(65536), new Memory(65536)];
    const iovec = Memory.iovec(out);
    const message = Memory.msghdr(iovec);
    out.bytes.fill("z");
    for (const queue of [
      () => ring.sendZeroCopy(near, out.address, 65536, MSG_WAITALL | MSG_NOSIGNAL, 0, 1, 0),
      () => ring.sendmsgZeroCopy(near, message.address, MSG_WAITALL | MSG_NOSIGNAL, 0, 1, 0),
    ]) {
      queue();
      ring.recv(far, into.address, 65536, MSG_WAITALL, 2, 0);
      const completions = complete(ring, 3);
      const sent = completions.filter(({ kind }) => kind === 1);
      assert.deepEqual([sent[0]!.result, sent[0]!.flags & CQE_F_MORE], [65536, CQE_F_MORE]);
      assert.equal(sent[1]!.flags & (CQE_F_NOTIF | CQE_F_MORE), CQE_F_NOTIF);
      assert.equal(ring.inFlight(), 0);
    }
  });
});

test("a registered socket is named by its slot, and lives on when its descriptor is closed", () => {
  withConnection((ring, near, far) => {
    const copy = dup(far);
    ring.registerFiles([-1, -1, copy]);
    closeSync(copy);
    const [out, into] = [Memory.of("through the slot"), new Memory(16)];
    ring.setSqeFlags(ring.send(2, out.address, 16, MSG_NOSIGNAL, 1, 0), SQE_FIXED_FILE);
    ring.recv(near, into.address, 16, MSG_WAITALL, 2, 0);
    assert.deepEqual(
      complete(ring, 2).map(({ result }) => result),
      [16, 16],
    );
    assert.equal(into.bytes.toString(), "through the slot");
    ring.setSqeFlags(ring.recvPollFirst(2, into.address, 16, 0, 3, 0), SQE_FIXED_FILE);
    ring.shutdownSocket(near, SHUT_WR, 4, 0);
    assert.deepEqual(
      complete(ring, 2).map(({ result }) => result),
      [0, 0],
    );
  });
});

test("a socket from elsewhere may be non-blocking: the ring waits all the same", () => {
  withConnection((ring, near, far) => {
    assert.equal(setNonBlocking(far, true), 0);
    const [out, into] = [Memory.of("late"), new Memory(4)];
    ring.recv(far, into.address, 4, 0, 1, 0);
    assert.equal(ring.enter(1, 1), 0, "nothing is there yet, and that is no error");
    ring.send(near, out.address, 4, MSG_NOSIGNAL, 2, 0);
    complete(ring, 2);
    assert.equal(into.bytes.toString(), "late");
    assert.equal(setNonBlocking(far, false), 0);
    assert.equal(setNonBlocking(-1, true), -errno.EBADF);
  });
});

test("provided buffers: taken when data comes, empty is an error, and given back", () => {
  withConnection((ring, near, far) => {
    const arena = new Memory(4 * 1024);
    const buffers = ring.registerBufferRing(7, 4);
    assert.equal(buffers.group, 7);
    const out = Memory.of("0123456789");
    ring.recvSelect(far, 1024, 7, 0, RECVSEND_POLL_FIRST, 1, 0);
    assert.equal(ring.enter(1, 1), 0);
    buffers.add(0xfff0, arena.address + 1024, 1024);
    buffers.add(0xfff1, arena.address + 2048, 6);
    buffers.publish();

    const receive = () => {
      ring.send(near, out.address, 10, MSG_NOSIGNAL, 2, 0);
      return complete(ring, 2).find(({ kind }) => kind === 1)!;
    };
    let received = receive();
    assert.deepEqual(
      [received.result, received.flags & CQE_F_BUFFER, received.flags >>> 16],
      [10, CQE_F_BUFFER, 0xfff0],
    );
    assert.equal(arena.bytes.toString("utf8", 1024, 1034), "0123456789");
    ring.recvSelect(far, 1024, 7, 0, 0, 1, 0);
    received = receive();
    assert.deepEqual([received.result, received.flags >>> 16], [6, 0xfff1], "a buffer's own length bounds it");
    ring.recvSelect(far, 1024, 7, 0, 0, 1, 0);
    assert.equal(resultOf(ring, 1), -errno.ENOBUFS);
    buffers.add(3, arena.address, 1024);
    buffers.publish();
    ring.recvSelect(far, 3, 7, 0, 0, 1, 0);
    const [rest] = complete(ring, 1);
    assert.deepEqual([rest!.result, rest!.flags >>> 16], [3, 3], "at most what was asked for");
    assert.equal(arena.bytes.toString("utf8", 0, 3), "678");
  });
});

test("a ring of provided buffers works on after its 16-bit tail has wrapped", () => {
  withConnection((ring, near, far) => {
    const batch = 8;
    const arena = new Memory(batch);
    const out = Memory.of("abcdefgh");
    const buffers = ring.registerBufferRing(1, batch);
    for (let at = 0; at < batch; at++) buffers.add(at, arena.address + at, 1);
    for (let turn = 0; turn < 0x1_0400 / batch; turn++) {
      buffers.publish();
      ring.send(near, out.address, batch, MSG_NOSIGNAL, 2, 0);
      for (let at = 0; at < batch; at++) ring.recvSelect(far, 1, 1, 0, 0, 1, at);
      for (let left = batch + 1; left > 0; ) {
        assert.ok(ring.enter(left, 1000) > 0);
        for (; ring.next(); left--) {
          if (ring.kind !== 1) continue;
          assert.equal(ring.result, 1);
          const bufferId = ring.completionFlags >>> 16;
          assert.equal(arena.bytes[bufferId], "a".charCodeAt(0) + ring.index);
          buffers.add(bufferId, arena.address + bufferId, 1);
        }
      }
    }
  }, 32);
});

test("multishot receive fills buffer after buffer until the group is empty", () => {
  withConnection((ring, near, far) => {
    const arena = new Memory(3 * 4);
    const buffers = ring.registerBufferRing(2, 4);
    for (let at = 0; at < 3; at++) buffers.add(at, arena.address + at * 4, 4);
    buffers.publish();
    ring.recvMultishot(far, 2, 0, 1, 0);
    const out = Memory.of("one!two!six!tail");
    ring.send(near, out.address, 16, MSG_NOSIGNAL, 2, 0);
    const received = complete(ring, 5).filter(({ kind }) => kind === 1);
    assert.deepEqual(
      received.map(({ result, flags }) => [result, flags & CQE_F_MORE, flags >>> 16]),
      [
        [4, CQE_F_MORE, 0],
        [4, CQE_F_MORE, 1],
        [4, CQE_F_MORE, 2],
        [-errno.ENOBUFS, 0, 0],
      ],
    );
    assert.equal(arena.bytes.toString(), "one!two!six!");
    assert.equal(ring.inFlight(), 0);
  });
});

test("an entry's bytes: buffer numbers never touch the tail, the tail wraps", () => {
  const memory = new ArrayBuffer(4 * 16);
  const buffers = new ProvidedBuffers(1, memory);
  const bytes = new DataView(memory);
  buffers.add(0xabcd, 0x7ffd_89ab_cdef, 0xffff_ffff);
  assert.equal(bytes.getBigUint64(0, true), 0x7ffd_89ab_cdefn);
  assert.equal(bytes.getUint32(8, true), 0xffff_ffff);
  assert.equal(bytes.getUint16(12, true), 0xabcd);
  assert.equal(bytes.getUint16(14, true), 0, "not published yet");
  buffers.publish();
  assert.equal(bytes.getUint16(14, true), 1);
  for (let at = 1; at < 0x1_0001; at++) buffers.add(at & 0xffff, at, 1);
  assert.equal(bytes.getUint16(14, true), 1);
  buffers.publish();
  assert.equal(bytes.getUint16(14, true), 1);
  assert.equal(bytes.getUint16(12, true), 0, "the last one went into entry 0");
});

test("impossible rings of provided buffers are refused", () => {
  const ring = Ring.open({ entries: 4 });
  for (const [group, entries] of [
    [1, 0],
    [1, 3],
    [1, 65536],
    [-1, 4],
    [65536, 4],
  ] as const) {
    assert.throws(() => ring.registerBufferRing(group, entries), isSystemError("EINVAL"), `${group}, ${entries}`);
  }
  ring.registerBufferRing(1, 4);
  assert.throws(() => ring.registerBufferRing(1, 4), isSystemError("EEXIST"));
  ring.close();
});

test("a duplicate is another descriptor of the same socket", () => {
  withConnection((_ring, near) => {
    const copy = dup(near);
    assert.ok(copy > 2 && copy !== near);
    assert.equal(fstatSync(copy).ino, fstatSync(near).ino);
    assert.equal(closeSync(copy), 0);
    assert.equal(closeSync(copy), -errno.EBADF);
    assert.equal(dup(copy), -errno.EBADF);
  });
});

test("addresses of UNIX sockets: a path ends with NUL, an abstract name begins with it", () => {
  const hex = (path: string) => Buffer.from(encodeUnixSockaddr(path)).toString("hex");
  assert.equal(hex("/a"), "01002f6100");
  assert.equal(hex("@a"), "01000061");
  assert.equal(encodeUnixSockaddr("x".repeat(107)).length, 2 + 108);
  assert.equal(encodeUnixSockaddr(`@${"x".repeat(107)}`).length, 2 + 108);
  for (const path of ["", "@", "x".repeat(108), `@${"x".repeat(108)}`, "a\0b", "\u00e4".repeat(54)]) {
    assert.throws(() => encodeUnixSockaddr(path), RangeError, path);
  }
});

test("UNIX datagrams go to whom they are sent, whole, and a sender does not wait for room", () => {
  const folder = mkdtempSync(join(tmpdir(), "io-uring-node-"));
  try {
    for (const path of [join(folder, "socket"), `@io-uring-node-test-${process.pid}`]) {
      assert.throws(() => connectUnixDatagram(path), isSystemError(path.startsWith("@") ? "ECONNREFUSED" : "ENOENT"));
      const bound = bindUnixDatagram(path);
      assert.throws(() => bindUnixDatagram(path), isSystemError("EADDRINUSE"));
      const connected = connectUnixDatagram(path);
      for (const message of ["one", "two"]) writeSync(connected, message);
      const buffer = Buffer.alloc(100);
      assert.equal(buffer.toString("utf8", 0, readSync(bound, buffer)), "one");
      assert.equal(buffer.toString("utf8", 0, readSync(bound, buffer)), "two");
      const fill = () => {
        for (;;) writeSync(connected, "more");
      };
      assert.throws(fill, { code: "EAGAIN" });
      closeSync(connected);
      closeSync(bound);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
