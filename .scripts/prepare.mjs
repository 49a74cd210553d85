// Makes a fresh clone, or one whose sources have changed, ready to run: checks the machine, installs, builds. Does
// nothing, and says nothing, where nothing has changed. (npm start, npm test)

import { build } from "./build.mjs";
import { contentHash, fail, filesBelow, run, Stamp, say } from "./common.mjs";
import { judgeMachine, readMachine } from "./machine.mjs";

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
  // What is wrong comes first; pages of help may follow, and where in npm it was noticed helps nobody.
  const lines = output.split("\n").filter((line) => !/^npm error {5}at /.test(line));
  if (exitCode !== 0) fail(`npm ci failed (${exitCode})\n${lines.slice(0, 20).join("\n")}`);
  stamp.write(hash);
}

const fault = judgeMachine(readMachine());
if (fault !== undefined) fail(fault);
await install();
await build();
