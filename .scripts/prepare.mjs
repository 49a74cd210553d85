// Makes a fresh clone, or one whose sources have changed, ready to run: checks the machine, installs, builds. Does
// nothing, and says nothing, where nothing has changed. (npm start, npm test)

import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { build } from "./build.mjs";
import { contentHash, fail, filesBelow, run, Stamp, say } from "./common.mjs";

const NODE_MIN = [20, 11];
const KERNEL_MIN = [6, 1];
const CAP_SYS_ADMIN = 21n;

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

/** As far as can be told from here; that a container's seccomp filter forbids io_uring, the addon finds out. */
function checkMachine() {
  if (!isAtLeast(process.versions.node, NODE_MIN)) {
    fail(`Node ${NODE_MIN.join(".")} or newer is needed; this is ${process.versions.node}`);
  }
  if (process.platform !== "linux") fail(`Linux is needed, for io_uring; this is ${process.platform}`);
  if (!isAtLeast(release(), KERNEL_MIN)) {
    fail(`Linux ${KERNEL_MIN.join(".")} or newer is needed, for io_uring; this kernel is ${release()}`);
  }
  const disabled = readNumber("/proc/sys/kernel/io_uring_disabled") ?? 0;
  if (disabled === 2 || (disabled === 1 && !isIoUringPrivileged())) {
    const who = disabled === 2 ? "everybody" : "this user";
    fail(
      `io_uring is forbidden to ${who} (kernel.io_uring_disabled = ${disabled}). ` +
        "To allow it, as root: sysctl -w kernel.io_uring_disabled=0",
    );
  }
}

async function install() {
  const manifests = ["package.json", "package-lock.json"];
  manifests.push(...filesBelow("native-shims", "package.json").filter((path) => path.split("/").length === 3));
  // Dependencies with native parts are built for one ABI.
  const hash = contentHash(manifests, `${process.versions.modules} ${process.arch}`);
  const stamp = new Stamp("node_modules/.stamp");
  if (stamp.matches(hash)) return;
  say("installing dependencies (npm ci)");
  stamp.clear();
  // Types and compiler are needed even where NODE_ENV says production.
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  const { exitCode, output } = await run("npm", args, { quiet: true });
  // What is wrong comes first; pages of help may follow.
  if (exitCode !== 0) fail(`npm ci failed (${exitCode})\n${output.split("\n", 20).join("\n")}`);
  stamp.write(hash);
}

checkMachine();
await install();
await build();
