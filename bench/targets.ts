/** The targets that a comparison runs against, each started on a file and a free port of its own and ended by pid. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { findProgram } from "../test/support/peers.js";
import { freePort } from "../test/support/target.js";
import { Daemon, startRinglun } from "./daemon.js";

export interface TargetFile {
  /** An existing file of `sizeBytes`. */
  readonly path: string;
  readonly sizeBytes: number;
  /** For configuration and sockets; exists, removed by the caller. */
  readonly directory: string;
}

export interface StartedTarget {
  /** For tables: "ringlun", "tgt", "istgt". */
  readonly name: string;
  readonly version: string;
  readonly url: string;
  /** Where it tells of itself, if it does: the UNIX socket of its HTTP API. */
  readonly apiSocket?: string;
  /** The process whose CPU time counts. */
  readonly pid: number;
  stop(): Promise<void>;
}

export type TargetStarter = (file: TargetFile) => Promise<StartedTarget>;

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

// -- Ringlun

const RINGLUN_TARGET = "iqn.2026-11.io.ringlun:bench";

export interface RinglunOptions {
  readonly workers: number;
  readonly cache: "direct" | "writeback" | "writethrough";
  /** Keys of the target's `session`, in YAML; default: none. */
  readonly session?: string;
}

export function ringlunStarter({ workers, cache, session = "" }: RinglunOptions): TargetStarter {
  return async (file) => {
    const port = await freePort();
    const config = join(file.directory, `ringlun-${port}.yaml`);
    const stateDirectory = join(file.directory, `state-${port}`);
    writeFileSync(
      config,
      `portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${RINGLUN_TARGET}", portalGroups: [1], luns: { 0: disk }, session: { ${session} } }]
units: { disk: { file: ${JSON.stringify(file.path)}, cache: ${cache} } }
stateDir: ${JSON.stringify(stateDirectory)}
workers: ${workers}
`,
    );
    const daemon = await startRinglun(config);
    return {
      name: workers === 1 ? "ringlun" : `ringlun-${workers}`,
      version: `workers ${workers}, cache ${cache}`,
      url: `iscsi://127.0.0.1:${port}/${RINGLUN_TARGET}/0`,
      apiSocket: join(stateDirectory, "api.sock"),
      pid: daemon.child.pid!,
      stop: () => daemon.stop(),
    };
  };
}

// -- tgt

const TGT_TARGET = "iqn.2026-11.io.ringlun:tgt";

export interface TgtOptions {
  /** MaxRecvDataSegmentLength to declare; absent: as tgt comes, which is 8192. */
  readonly segmentBytes?: number;
}

/** tgtd with its own portal and its own management socket: no other tgtd is disturbed. Undefined if it is not installed. */
export function tgtStarter({ segmentBytes }: TgtOptions): TargetStarter | undefined {
  const tgtd = findProgram("tgtd");
  const tgtadm = findProgram("tgtadm");
  if (tgtd === undefined || tgtadm === undefined) return undefined;
  return async (file) => {
    const port = await freePort();
    // The management socket is this path with ".1" behind it: the control port is but a number in a name.
    const env = { TGT_IPC_SOCKET: join(file.directory, `tgt-${port}`) };
    const control = "1";
    const daemon = new Daemon("tgtd", tgtd, ["-f", "-C", control, "--iscsi", `portal=127.0.0.1:${port}`], env);
    const adm = (...args: string[]): void => {
      execFileSync(tgtadm, ["-C", control, "--lld", "iscsi", ...args], {
        env: { ...process.env, ...env },
        stdio: "pipe",
      });
    };
    try {
      await daemon.until("it listened", () => listens(port));
      adm("--op", "new", "--mode", "target", "--tid", "1", "-T", TGT_TARGET);
      // LUN 0 is tgt's own controller.
      adm("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "--bstype", "rdwr", "-b", file.path);
      adm("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL");
      if (segmentBytes !== undefined) {
        const value = String(segmentBytes);
        for (const name of ["MaxRecvDataSegmentLength", "FirstBurstLength", "MaxBurstLength"]) {
          adm("--op", "update", "--mode", "target", "--tid", "1", "--name", name, "--value", value);
        }
        adm("--op", "update", "--mode", "target", "--tid", "1", "--name", "InitialR2T", "--value", "No");
      }
    } catch (error) {
      await daemon.stop("SIGKILL");
      throw error;
    }
    return {
      name: segmentBytes === undefined ? "tgt" : "tgt-tuned",
      version: `tgt ${execFileSync(tgtd, ["-V"], { encoding: "utf8" }).trim()}, rdwr`,
      url: `iscsi://127.0.0.1:${port}/${TGT_TARGET}/1`,
      pid: daemon.child.pid!,
      // Asked politely it stays as long as it has targets; it has nothing to save.
      stop: () => daemon.stop("SIGKILL"),
    };
  };
}

// -- istgt

const ISTGT_BASE = "iqn.2026-11.io.ringlun";

/** istgt in the foreground, with all that it wants kept in the bench's directory. Undefined if it is not installed. */
export function istgtStarter(): TargetStarter | undefined {
  const istgt = findProgram("istgt");
  if (istgt === undefined) return undefined;
  return async (file) => {
    const port = await freePort();
    const controlPort = await freePort();
    const media = join(file.directory, "istgt-media");
    mkdirSync(media, { recursive: true });
    const auth = join(file.directory, "istgt-auth.conf");
    writeFileSync(auth, "[AuthGroup1]\n");
    // It refuses an authentication file that others can read.
    chmodSync(auth, 0o600);
    const config = join(file.directory, "istgt.conf");
    writeFileSync(
      config,
      `[Global]
  NodeBase "${ISTGT_BASE}"
  PidFile ${join(file.directory, "istgt.pid")}
  AuthFile ${auth}
  MediaDirectory ${media}
  Timeout 30
  NopInInterval 20
  DiscoveryAuthMethod None
  MaxSessions 64
  MaxConnections 8
  MaxR2T 32
  MaxOutstandingR2T 16
  FirstBurstLength 262144
  MaxBurstLength 1048576
  MaxRecvDataSegmentLength 262144
  InitialR2T Yes
  ImmediateData Yes
  ErrorRecoveryLevel 0
[UnitControl]
  AuthMethod None
  Portal UC1 127.0.0.1:${controlPort}
  Netmask 127.0.0.1
[PortalGroup1]
  Portal DA1 127.0.0.1:${port}
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.0/8
[LogicalUnit1]
  TargetName istgt
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod None
  UseDigest Auto
  UnitType Disk
  QueueDepth 128
  LUN0 Storage ${file.path} ${Math.floor(file.sizeBytes / 2 ** 20)}MB
`,
    );
    const daemon = new Daemon("istgt", istgt, ["-D", "-q", "-c", config, "-p", join(file.directory, "istgt.pid")]);
    try {
      await daemon.until("it listened", () => listens(port));
    } catch (error) {
      await daemon.stop("SIGKILL");
      throw error;
    }
    return {
      name: "istgt",
      version: execFileSync(istgt, ["-V"], { encoding: "utf8" }).trim().replace(/\s+/g, " "),
      url: `iscsi://127.0.0.1:${port}/${ISTGT_BASE}:istgt/0`,
      pid: daemon.child.pid!,
      stop: () => daemon.stop("SIGKILL"),
    };
  };
}
