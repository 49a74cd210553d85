// Makes what the package holds and a clone does not: the addon for machines without a compiler, and the manual page.
// (npm pack)

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.mjs";
import { fail, ROOT, run, say } from "./common.mjs";

/** Compilers for each architecture; the first that is there is taken. */
const COMPILERS = {
  x64: ["x86_64-linux-gnu-g++"],
  arm64: ["aarch64-linux-gnu-g++"],
};
const NATIVE_COMPILERS = ["g++", "clang++", "c++"];

const isThere = (program) => spawnSync(program, ["--version"]).status === 0;

async function prebuildAddon(architecture) {
  const candidates = [...(architecture === process.arch ? NATIVE_COMPILERS : []), ...COMPILERS[architecture]];
  const compiler = candidates.find(isThere);
  if (compiler === undefined) {
    say(
      `no addon for ${architecture} in the package: it will be built where it is installed (${candidates} not found)`,
    );
    return;
  }
  const command = ["native-shims/io-uring-node/build.mjs", "--prebuilt", architecture];
  // Nobody's own flags: it has to run everywhere.
  const env = { CXX: compiler, CXXFLAGS: "" };
  const { exitCode, output } = await run(process.execPath, command, { quiet: true, env });
  if (exitCode !== 0) fail(`the addon for ${architecture} was not built\n${output}`);
}

await build();
for (const architecture of Object.keys(COMPILERS)) await prebuildAddon(architecture);
const { exitCode, output } = await run(process.execPath, ["dist/control/main.js", "manual"], { quiet: true });
if (exitCode !== 0) fail(`no manual page\n${output}`);
writeFileSync(join(ROOT, "dist/ringlun.8"), `${output}\n`);
