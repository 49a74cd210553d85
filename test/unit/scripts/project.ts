/** A project in a folder of its own, with a blank in its name, that has our scripts and stand-ins for all that they call. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));

export class Project {
  readonly root: string;

  constructor(context: TestContext) {
    this.root = join(mkdtempSync(join(tmpdir(), "ringlun scripts-")), "a clone");
    context.after(() => rmSync(dirname(this.root), { recursive: true }));
    mkdirSync(this.root);
    cpSync(join(ROOT, ".scripts"), join(this.root, ".scripts"), { recursive: true });
  }

  write(path: string, text: string, mode = 0o644): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    chmodSync(file, mode);
  }

  /** A program that writes its name and arguments into `calls`, and then does what the shell script says. */
  program(path: string, script: string): void {
    this.write(path, `#!/bin/sh\necho "$(basename "$0") $*" >> "${join(this.root, "calls")}"\n${script}\n`, 0o755);
  }

  /** What has been called since the last time that this was asked. */
  calls(): string[] {
    const file = join(this.root, "calls");
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, "utf8").trim().split("\n");
    rmSync(file);
    return lines;
  }

  /** Of the programs on the PATH, only those in the project's `bin` and the plain ones of every system are seen. */
  run(script: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): SpawnSyncReturns<string> {
    return spawnSync(process.execPath, [join(this.root, ".scripts", script), ...args], {
      cwd: this.root,
      encoding: "utf8",
      env: { ...process.env, CI: "", NODE_TEST_CONTEXT: "", PATH: `${join(this.root, "bin")}:/bin`, ...env },
    });
  }
}
