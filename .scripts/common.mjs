// What the scripts of this folder share. They are plain JavaScript without dependencies: they run before anything is
// installed or compiled, and the oldest Node must get far enough to be told that it is too old.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Whether the script with this import.meta.url was started, rather than imported. */
export function isMain(moduleUrl) {
  const started = process.argv[1];
  // Node has followed the links of a module's URL, not those of what it was started with.
  return started !== undefined && moduleUrl === pathToFileURL(realpathSync(started)).href;
}

/** Progress and faults go to stderr: stdout belongs to what is started in the end. */
export function say(message) {
  process.stderr.write(`ringlun: ${message}\n`);
}

export function fail(message) {
  say(message);
  process.exit(1);
}

/**
 * Runs a command in the root and waits for it. An interrupt or a termination is passed on, so no child is left behind.
 *
 * @param options.quiet collect what it prints instead of showing it
 * @param options.env added to the environment
 * @returns {Promise<{ exitCode: number, output: string }>} 127 if the command can't be started, 128 + signal if it was
 *   killed; output only if quiet
 */
export function run(command, args, { quiet = false, env = {} } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ["ignore", quiet ? "pipe" : "inherit", quiet ? "pipe" : "inherit"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text) => (output += text));
    const forward = (signal) => child.kill(signal);
    const finish = (exitCode) => {
      process.off("SIGINT", forward).off("SIGTERM", forward);
      resolve({ exitCode, output: output.trim() });
    };
    process.on("SIGINT", forward).on("SIGTERM", forward);
    child.on("error", (error) => {
      output += `${command}: ${error.message}`;
      finish(127);
    });
    child.on("close", (exitCode, signal) => finish(exitCode ?? 128 + constants.signals[signal]));
  });
}

/** All files below a folder of the root whose names end in `suffix`, as sorted paths relative to the root. */
export function filesBelow(folder, suffix = "") {
  if (!existsSync(join(ROOT, folder))) return [];
  const files = [];
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) files.push(...filesBelow(path, suffix));
    else if (entry.name.endsWith(suffix)) files.push(path);
  }
  return files.sort();
}

/** One hash over names and contents of files, and over `salt`. A file that is missing counts as empty. */
export function contentHash(files, salt = "") {
  const hash = createHash("sha256").update(salt);
  for (const file of files) {
    const path = join(ROOT, file);
    const content = existsSync(path) ? readFileSync(path) : "";
    hash.update(`\0${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

/** A file that holds the content hash of what its neighbours were made from. */
export class Stamp {
  constructor(file) {
    this.path = join(ROOT, file);
  }
  matches(hash) {
    return existsSync(this.path) && readFileSync(this.path, "utf8") === hash;
  }
  /** Before the work starts, so that work broken off is done again. */
  clear() {
    rmSync(this.path, { force: true });
  }
  write(hash) {
    mkdirSync(dirname(this.path), { recursive: true });
    writeFileSync(this.path, hash);
  }
}
