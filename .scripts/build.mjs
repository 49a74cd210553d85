// Builds what has changed: the addon, and TypeScript to dist/. Installs nothing. (npm run build)

import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { contentHash, fail, filesBelow, isMain, ROOT, run, Stamp, say } from "./common.mjs";

const ADDON = "native-shims/io-uring-node";
const TSC = "node_modules/.bin/tsc";
/** What a browser runs has a project of its own, with other types. */
const PROJECTS = [".", "control/page/browser"];
const WORKSPACES = [ADDON, "native-shims/sharedarraybuffer-ring"];

/** Where tsc puts the JavaScript of a source file. */
export function outputOf(source) {
  const workspace = WORKSPACES.find((folder) => source.startsWith(`${folder}/`));
  const output = workspace ? source.replace(`${workspace}/src/`, `${workspace}/dist/`) : `dist/${source}`;
  return output.replace(/\.ts$/, ".js");
}

async function buildAddon() {
  const inputs = [...filesBelow(`${ADDON}/addon`), `${ADDON}/build.mjs`, "package-lock.json"];
  // Its build.mjs knows what it has built, too, but wants a compiler even to find nothing to do.
  const hash = contentHash(inputs, JSON.stringify([process.arch, process.env.CXX, process.env.CXXFLAGS]));
  const stamp = new Stamp(`${ADDON}/build/.stamp`);
  const isBuilt = filesBelow(`${ADDON}/build`, ".node").length > 0;
  if (isBuilt && stamp.matches(hash)) return;
  say("building the addon");
  stamp.clear();
  const { exitCode, output } = await run(process.execPath, [`${ADDON}/build.mjs`], { quiet: true });
  if (exitCode !== 0) fail(output || `${ADDON}/build.mjs failed without a message (${exitCode})`);
  stamp.write(hash);
}

async function buildTypeScript() {
  const folders = ["control", "dataplane", "bench", "test", ...WORKSPACES.map((folder) => `${folder}/src`)];
  const sources = folders.flatMap((folder) => filesBelow(folder, ".ts"));
  const settings = ["package-lock.json", "tsconfig.base.json", ...PROJECTS.map((folder) => `${folder}/tsconfig.json`)];
  for (const folder of WORKSPACES) settings.push(`${folder}/package.json`, `${folder}/tsconfig.json`);
  const hash = contentHash([...settings, ...sources]);
  const stamp = new Stamp("dist/.stamp");
  const isWhole = () => sources.every((it) => it.endsWith(".d.ts") || existsSync(join(ROOT, outputOf(it))));
  if (isWhole() && stamp.matches(hash)) return;
  if (!existsSync(join(ROOT, TSC))) fail("TypeScript is not installed: run npm ci, or npm start, which does");
  say("compiling TypeScript");
  stamp.clear();
  let result = await run(TSC, ["--build", ...PROJECTS], { quiet: true });
  // tsc believes its .tsbuildinfo even where outputs have been deleted.
  if (result.exitCode === 0 && !isWhole())
    result = await run(TSC, ["--build", "--force", ...PROJECTS], { quiet: true });
  if (result.exitCode !== 0) fail(`TypeScript does not compile\n${result.output}`);
  stamp.write(hash);
}

/** What the page is made of beside scripts. */
function copyPage() {
  for (const file of filesBelow("control/page").filter((it) => /\.(html|css|svg)$/.test(it))) {
    const copy = join(ROOT, "dist", file);
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(join(ROOT, file), copy);
  }
}

export async function build() {
  await buildAddon();
  await buildTypeScript();
  copyPage();
}

if (isMain(import.meta.url)) await build();
