// What this machine must have before anything is installed: Node, Linux, a kernel, and io_uring not forbidden. What only
// the addon can find out (a container's seccomp filter), the program says itself when it starts.

import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";

const NODE_MIN = [20, 11];
const KERNEL_MIN = [6, 1];
const CAP_SYS_ADMIN = 21n;

/** What is wrong with a machine and what to do, or undefined if nothing is. */
export function judgeMachine({ nodeVersion, platform, kernelRelease, ioUringDisabled, isIoUringPrivileged }) {
  if (!isAtLeast(nodeVersion, NODE_MIN)) {
    return `Node ${NODE_MIN.join(".")} or newer is needed; this is ${nodeVersion}`;
  }
  if (platform !== "linux") return `Linux is needed, for io_uring; this is ${platform}`;
  if (!isAtLeast(kernelRelease, KERNEL_MIN)) {
    return `Linux ${KERNEL_MIN.join(".")} or newer is needed, for io_uring; this kernel is ${kernelRelease}`;
  }
  if (ioUringDisabled === 2 || (ioUringDisabled === 1 && !isIoUringPrivileged)) {
    const who = ioUringDisabled === 2 ? "everybody" : "this user";
    return (
      `io_uring is forbidden to ${who} (kernel.io_uring_disabled = ${ioUringDisabled}). ` +
      "To allow it, as root: sysctl -w kernel.io_uring_disabled=0"
    );
  }
  return undefined;
}

/** Of the machine that this runs on. */
export function readMachine() {
  const isLinux = process.platform === "linux";
  return {
    nodeVersion: process.versions.node,
    platform: process.platform,
    kernelRelease: release(),
    // Kernels before 6.6 have no such setting, and forbid it to nobody.
    ioUringDisabled: readNumber("/proc/sys/kernel/io_uring_disabled") ?? 0,
    isIoUringPrivileged: isLinux && isIoUringPrivileged(),
  };
}

/** Whether a version such as "6.1.0-28-amd64" is at least [major, minor]. */
function isAtLeast(version, [major, minor]) {
  const [versionMajor, versionMinor] = version.split(".").map((part) => Number.parseInt(part, 10));
  return versionMajor > major || (versionMajor === major && versionMinor >= minor);
}

const readNumber = (path) => (existsSync(path) ? Number(readFileSync(path, "utf8")) : undefined);

/** kernel.io_uring_disabled = 1 admits CAP_SYS_ADMIN and the members of kernel.io_uring_group. */
function isIoUringPrivileged() {
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  if ((BigInt(`0x${capabilities}`) >> CAP_SYS_ADMIN) & 1n) return true;
  const group = readNumber("/proc/sys/kernel/io_uring_group");
  return group !== undefined && (process.getegid() === group || process.getgroups().includes(group));
}
