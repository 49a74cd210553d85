/** Why a ring cannot be had, said so that an operator can act on it. */
import { errnoMessage, errnoName } from "./errno.js";

export type RingUnavailableReason =
  | "kernel-without-io-uring"
  | "kernel-too-old"
  | "disabled-by-sysctl"
  | "forbidden"
  | "memory-limit"
  | "descriptor-limit"
  | "other";

/** `Ring.open` or `probe` failed. `message` names the cause and the remedy. */
export class RingUnavailableError extends Error {
  override readonly name = "RingUnavailableError";
  /** The errno's name, e.g. "ENOSYS". */
  readonly code: string;
  readonly errno: number;
  readonly reason: RingUnavailableReason;

  constructor(number: number, reason: RingUnavailableReason, message: string) {
    super(message);
    this.code = errnoName(number);
    this.errno = Math.abs(number);
    this.reason = reason;
  }
}

/** A ring was used after `close`. */
export class RingClosedError extends Error {
  override readonly name = "RingClosedError";
  readonly code = "ERR_RING_CLOSED";

  constructor() {
    super("the ring is closed");
  }
}

/** What the explanation depends on beside the errno. */
export interface Circumstances {
  /** `uname -r`. */
  readonly kernelRelease: string;
  /** Contents of /proc/sys/kernel/io_uring_disabled, or undefined where there is no such file (before 6.6). */
  readonly sysctl: string | undefined;
}

/** "6.1.0-18-amd64" is at least 6.1. */
export function kernelAtLeast(release: string, major: number, minor: number): boolean {
  const match = /^(\d+)\.(\d+)/.exec(release);
  if (match === null) return false;
  const [releaseMajor, releaseMinor] = [Number(match[1]), Number(match[2])];
  return releaseMajor > major || (releaseMajor === major && releaseMinor >= minor);
}

/** Turns the errno of io_uring_setup into cause and remedy. */
export function explainUnavailable(number: number, circumstances: Circumstances): RingUnavailableError {
  const { kernelRelease, sysctl } = circumstances;
  const code = errnoName(number);
  const say = (reason: RingUnavailableReason, text: string) =>
    new RingUnavailableError(number, reason, `io_uring is not available (${code}): ${text}`);
  const old = !kernelAtLeast(kernelRelease, 6, 1);
  switch (code) {
    case "ENOSYS":
      return say(
        "kernel-without-io-uring",
        `kernel ${kernelRelease} does not have it, or a sandbox hides it. Use Linux 6.1 or newer with CONFIG_IO_URING; ` +
          "in a sandbox (gVisor, WSL 1) use a real Linux kernel.",
      );
    case "EPERM":
    case "EACCES":
      if (sysctl === "2" || sysctl === "1") {
        return say(
          "disabled-by-sysctl",
          `kernel.io_uring_disabled is ${sysctl}. Set it to 0 (sysctl -w kernel.io_uring_disabled=0)` +
            (sysctl === "1" ? ", or put the user into the group named by kernel.io_uring_group." : "."),
        );
      }
      return say(
        "forbidden",
        "a seccomp filter or security module forbids it, as container runtimes do by default. Allow the system calls io_uring_setup, " +
          "io_uring_enter and io_uring_register (Docker, Podman: --security-opt seccomp=PROFILE; Kubernetes: a seccompProfile).",
      );
    case "EINVAL":
    case "EOPNOTSUPP":
      if (old) {
        return say(
          "kernel-too-old",
          `kernel ${kernelRelease} is older than 6.1 and lacks DEFER_TASKRUN. Use Linux 6.1 or newer.`,
        );
      }
      return say("other", `kernel ${kernelRelease} refused the ring's size or flags.`);
    case "ENOMEM":
      return say(
        "memory-limit",
        "the kernel has no memory for the ring. Raise the locked-memory limit (ulimit -l, systemd: LimitMEMLOCK=) or the memory limit " +
          "of the control group, or ask for fewer entries.",
      );
    case "EMFILE":
    case "ENFILE":
      return say("descriptor-limit", "no file descriptor is left. Raise the limit (ulimit -n, systemd: LimitNOFILE=).");
    default:
      return say("other", `${errnoMessage(number)}, kernel ${kernelRelease}.`);
  }
}
