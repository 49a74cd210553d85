/** Programs of others that the interop tests use: which of them are here. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export type Peer =
  | "iscsi-ls"
  | "iscsi-inq"
  | "iscsi-test-cu"
  | "qemu-img"
  | "qemu-io"
  | "tshark"
  | "dumpcap"
  | "chromium"
  | "prometheus"
  | "promtool"
  | "tgtd"
  | "tgtadm"
  | "istgt"
  | "openssl"
  | "fish"
  | "zsh";

/** Debian keeps daemons where an ordinary user's PATH does not look. */
const EXTRA_DIRECTORIES = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/** The full path of a program, or undefined. */
export function findProgram(name: string): string | undefined {
  for (const directory of [...(process.env.PATH ?? "").split(delimiter), ...EXTRA_DIRECTORIES]) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this directory
    }
  }
  return undefined;
}

let qemuSpeaksIscsi: boolean | undefined;

/** qemu's iSCSI driver is a package of its own (Debian: qemu-block-extra). */
function qemuHasIscsi(): boolean {
  if (qemuSpeaksIscsi === undefined) {
    const qemu = findProgram("qemu-img");
    // A malformed URL: the driver, if it is there, complains about the URL; without it the protocol is unknown.
    const answer = qemu === undefined ? undefined : spawnSync(qemu, ["info", "iscsi://x"], { encoding: "utf8" });
    qemuSpeaksIscsi = answer !== undefined && !/unknown protocol/i.test(answer.stderr);
  }
  return qemuSpeaksIscsi;
}

/**
 * For `test(name, { skip: skipWithout("qemu-img") }, ...)`: false if all are here, otherwise the reason. Where CI=true
 * nothing is skipped: there the missing program makes the test fail.
 */
export function skipWithout(...peers: readonly Peer[]): string | false {
  if (process.env.CI === "true") return false;
  const missing: string[] = peers.filter((peer) => findProgram(peer) === undefined);
  const qemu = peers.some((peer) => peer.startsWith("qemu-") && !missing.includes(peer));
  if (qemu && !qemuHasIscsi()) missing.push("qemu's iSCSI driver");
  return missing.length === 0 ? false : `not installed: ${missing.join(", ")}; run: npm run peers:install`;
}
