import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  errno,
  errnoMessage,
  errnoName,
  explainUnavailable,
  probe,
  RING_SETUP_FLAGS,
  Ring,
  RingUnavailableError,
  type RingUnavailableReason,
  SETUP_SINGLE_ISSUER,
  SystemError,
} from "io-uring-node";

const CASES: [number, string, string | undefined, RingUnavailableReason, string, RegExp][] = [
  [errno.ENOSYS, "6.1.0", undefined, "kernel-without-io-uring", "ENOSYS", /CONFIG_IO_URING.*gVisor/],
  [errno.EPERM, "6.8.0", "0", "forbidden", "EPERM", /seccomp.*io_uring_setup.*io_uring_register/],
  [errno.EPERM, "6.1.0", undefined, "forbidden", "EPERM", /seccomp/],
  [errno.EACCES, "6.8.0", "0", "forbidden", "EACCES", /security module/],
  [errno.EPERM, "6.8.0", "2", "disabled-by-sysctl", "EPERM", /sysctl -w kernel\.io_uring_disabled=0/],
  [errno.EPERM, "6.8.0", "1", "disabled-by-sysctl", "EPERM", /io_uring_group/],
  [errno.EINVAL, "5.15.0-91-generic", undefined, "kernel-too-old", "EINVAL", /5\.15\.0-91-generic.*6\.1/],
  [errno.EINVAL, "6.0.19", undefined, "kernel-too-old", "EINVAL", /6\.1/],
  [errno.EINVAL, "6.1.0", undefined, "other", "EINVAL", /refused/],
  [errno.EINVAL, "10.0.0", undefined, "other", "EINVAL", /refused/],
  [errno.ENOMEM, "6.8.0", undefined, "memory-limit", "ENOMEM", /ulimit -l.*LimitMEMLOCK/],
  [errno.EMFILE, "6.8.0", undefined, "descriptor-limit", "EMFILE", /ulimit -n/],
  [errno.EIO, "6.8.0", undefined, "other", "EIO", /i\/o error/],
];

for (const [number, kernelRelease, sysctl, reason, code, text] of CASES) {
  test(`${code} on ${kernelRelease} with io_uring_disabled=${sysctl} is explained as ${reason}`, () => {
    for (const signed of [number, -number]) {
      const error = explainUnavailable(signed, { kernelRelease, sysctl });
      assert.ok(error instanceof RingUnavailableError);
      assert.deepEqual([error.errno, error.code, error.reason], [number, code, reason]);
      assert.match(error.message, text);
      assert.match(error.message, new RegExp(`\\(${code}\\)`));
    }
  });
}

test("flags that no kernel has are refused as a RingUnavailableError", () => {
  assert.throws(
    () => Ring.open({ entries: 1, flags: 1 << 30 }),
    (error) => error instanceof RingUnavailableError && error.code === "EINVAL",
  );
});

test("sizes that are none are a programmer's error", () => {
  for (const entries of [0, -1, 1.5, Number.NaN]) assert.throws(() => Ring.open({ entries }), RangeError);
  assert.throws(() => Ring.open({ entries: 1, cqEntries: -1 }), RangeError);
  for (const drainTimeoutMs of [-1, Number.NaN])
    assert.throws(() => Ring.open({ entries: 1, drainTimeoutMs }), RangeError);
});

test("flags that would change the layout of the queues are refused before they do harm", () => {
  // R_DISABLED, SQE128, CQE32, NO_MMAP, NO_SQARRAY, CQE_MIXED.
  for (const bit of [6, 10, 11, 14, 16, 18]) {
    assert.throws(() => Ring.open({ entries: 1, flags: 1 << bit }), RangeError, `bit ${bit}`);
  }
});

test("the outcome of the drain is only written to memory that stays", () => {
  for (const drained of [new Int32Array(1), new Int32Array(new SharedArrayBuffer(0))]) {
    assert.throws(() => Ring.open({ entries: 1, drained }), TypeError);
  }
  const words = new Uint32Array(new SharedArrayBuffer(4)) as unknown as Int32Array;
  assert.throws(() => Ring.open({ entries: 1, drained: words }), TypeError);
});

test("the error numbers are all those of the kernel's headers", () => {
  const numbers: Record<string, number> = {};
  for (const header of ["errno-base.h", "errno.h"]) {
    const text = readFileSync(`/usr/include/asm-generic/${header}`, "utf8");
    for (const [, name, value] of text.matchAll(/^#define\s+(E\w+)\s+(\w+)/gm)) {
      numbers[name!] = numbers[value!] ?? Number(value);
    }
  }
  assert.ok(Object.keys(numbers).length > 130);
  assert.deepEqual({ ...errno }, numbers);
});

test("the probe tells kernel, flags and operations", () => {
  const features = probe();
  assert.match(features.kernelRelease, /^\d+\.\d+/);
  assert.equal(features.setupFlags & RING_SETUP_FLAGS, RING_SETUP_FLAGS);
  assert.notEqual(features.setupFlags & SETUP_SINGLE_ISSUER, 0);
  for (const opcode of [0, 13, 22, 27, 40, 47, 48]) assert.equal(features.supports(opcode), true, `opcode ${opcode}`);
  assert.equal(features.supports(255), false);
  assert.equal(features.supports(-1), false);
});

test("error numbers have names and sentences, whatever their sign", () => {
  assert.equal(errnoName(-28), "ENOSPC");
  assert.equal(errnoName(11), "EAGAIN");
  assert.equal(errnoName(35), "EDEADLK");
  assert.equal(errnoName(-117), "EUCLEAN");
  assert.equal(errnoName(4242), "E4242");
  assert.equal(errnoMessage(-28), "no space left on device");
  assert.match(errnoMessage(4242), /E4242/);
  const error = new SystemError(-98, "bind", "127.0.0.1:3260");
  assert.deepEqual([error.errno, error.code, error.syscall, error.name], [98, "EADDRINUSE", "bind", "SystemError"]);
  assert.match(error.message, /^bind 127\.0\.0\.1:3260: .*\(EADDRINUSE\)$/);
});
