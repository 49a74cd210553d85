/**
 * Builds the addon: addon/*.cc -> build/io_uring_node.node. Node's own headers come from the npm package
 * node-api-headers, the kernel's from the system. Does nothing if sources and command are those of the last build.
 * Compiler: $CXX, else the first of g++, clang++, c++; extra flags: $CXXFLAGS.
 *
 * With --prebuilt ARCHITECTURE it builds prebuilds/linux-ARCHITECTURE/io_uring_node.node, for a package: the compiler must be
 * one for that architecture.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const sourceDirectory = join(root, "addon");
const prebuiltFor = process.argv[2] === "--prebuilt" ? process.argv[3] : undefined;
const folder = prebuiltFor === undefined ? "build" : join("prebuilds", `linux-${prebuiltFor}`);
const output = join(root, folder, "io_uring_node.node");
const stampFile = `${output}.stamp`;

function fail(message) {
  process.stderr.write(`io-uring-node: ${message}\n`);
  process.exit(1);
}

function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : ["g++", "clang++", "c++"];
  for (const candidate of candidates) {
    const [program, ...flags] = candidate.split(/\s+/).filter(Boolean);
    const result = spawnSync(program, [...flags, "--version"], { encoding: "utf8" });
    if (result.status === 0) return { program, flags, version: result.stdout.split("\n")[0] };
  }
  return fail(
    `no C++ compiler found (tried ${candidates.join(", ")}). Install one:\n` +
      "  Debian, Ubuntu:  apt-get install g++ linux-libc-dev\n" +
      "  Fedora, RHEL:    dnf install gcc-c++ kernel-headers\n" +
      "  Alpine:          apk add g++ linux-headers\n" +
      "or name it in the environment variable CXX.",
  );
}

function findHeaders() {
  try {
    return createRequire(import.meta.url)("node-api-headers").include_dir;
  } catch {
    return fail("the npm package node-api-headers is not installed. Run npm install.");
  }
}

if (process.platform !== "linux") fail(`io_uring is there on Linux only, not on ${process.platform}.`);

const compiler = findCompiler();
const sources = readdirSync(sourceDirectory).sort();
const flags = [
  ...compiler.flags,
  "-std=c++17",
  "-O2",
  "-fPIC",
  "-shared",
  "-fvisibility=hidden",
  "-fno-exceptions",
  "-fno-rtti",
  "-Wall",
  "-Wextra",
  "-pthread",
  ...(prebuiltFor === undefined ? [] : ["-s"]),
  `-I${findHeaders()}`,
  ...(process.env.CXXFLAGS ?? "").split(/\s+/).filter(Boolean),
];

const hash = createHash("sha256").update(JSON.stringify([compiler, flags, process.arch]));
for (const source of sources) hash.update(`\0${source}\0`).update(readFileSync(join(sourceDirectory, source)));
const stamp = hash.digest("hex");

if (!existsSync(output) || !existsSync(stampFile) || readFileSync(stampFile, "utf8") !== stamp) {
  mkdirSync(dirname(output), { recursive: true });
  // Built aside and renamed: a running process keeps the file that it has loaded.
  const temporary = `${output}.${process.pid}.tmp`;
  const files = sources.filter((source) => source.endsWith(".cc")).map((source) => join(sourceDirectory, source));
  const result = spawnSync(compiler.program, [...flags, ...files, "-o", temporary], { encoding: "utf8" });
  process.stderr.write(result.stderr ?? "");
  if (result.status !== 0) {
    rmSync(temporary, { force: true });
    const missing = /fatal error: (linux\/[\w./]+)/.exec(result.stderr ?? "")?.[1];
    fail(
      missing === undefined
        ? `the addon does not compile with ${compiler.version}.`
        : `<${missing}> is missing. Install the kernel's headers: Debian linux-libc-dev, Fedora kernel-headers, Alpine linux-headers.`,
    );
  }
  renameSync(temporary, output);
  writeFileSync(stampFile, stamp);
}
