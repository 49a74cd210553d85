import assert from "node:assert/strict";
import { cpSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { Project, ROOT } from "./project.js";

const ADDON = "native-shims/io-uring-node";
const NPM = 'mkdir -p node_modules/.bin && cp bin/tsc.stand-in node_modules/.bin/tsc && echo "npm ci was here"';
const COMPILE_TYPESCRIPT = "tsc --build . control/page/browser";
const COMPILE = "npm ci --include=dev --no-audit --no-fund --loglevel=error";

function clone(context: TestContext): Project {
  const project = new Project(context);
  project.write("package.json", "{}");
  project.write("package-lock.json", "{}");
  project.write("control/main.ts", "export {};");
  project.write(`${ADDON}/package.json`, "{}");
  project.write(`${ADDON}/addon/addon.cc`, "");
  project.write(
    `${ADDON}/build.mjs`,
    `import { mkdirSync, writeFileSync, appendFileSync } from "node:fs";
     appendFileSync("calls", "addon\\n");
     mkdirSync("${ADDON}/build", { recursive: true });
     writeFileSync("${ADDON}/build/io.node", "");`,
  );
  project.program("bin/tsc.stand-in", "mkdir -p dist/control && touch dist/control/main.js");
  project.program("bin/npm", NPM);
  return project;
}

function prepare(project: Project, env: NodeJS.ProcessEnv = {}): { calls: string[]; stderr: string } {
  const { status, stdout, stderr } = project.run("prepare.mjs", [], env);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "", "standard output belongs to what is started");
  return { calls: project.calls(), stderr };
}

describe("prepare", () => {
  test("installs and builds in a fresh clone, and says so; the second time it does nothing, silently", (t) => {
    const project = clone(t);
    const first = prepare(project);
    assert.deepEqual(first.calls, [COMPILE, "addon", COMPILE_TYPESCRIPT]);
    assert.equal(
      first.stderr,
      "ringlun: installing dependencies (npm ci)\nringlun: building the addon\nringlun: compiling TypeScript\n",
    );
    assert.deepEqual(prepare(project), { calls: [], stderr: "" });
  });

  test("installs what development needs where NODE_ENV is production, too", (t) => {
    const { calls } = prepare(clone(t), { NODE_ENV: "production" });
    assert.match(calls[0] ?? "", /--include=dev/);
  });

  test("does again only what has changed", (t) => {
    const project = clone(t);
    prepare(project);
    project.write("control/main.ts", "export const changed = true;");
    assert.deepEqual(prepare(project).calls, [COMPILE_TYPESCRIPT]);
    project.write(`${ADDON}/addon/addon.cc`, "// changed");
    assert.deepEqual(prepare(project).calls, ["addon"]);
    project.write(`${ADDON}/package.json`, '{ "changed": true }');
    assert.deepEqual(prepare(project).calls, [COMPILE, COMPILE_TYPESCRIPT]);
    rmSync(join(project.root, ADDON, "build"), { recursive: true });
    assert.deepEqual(prepare(project).calls, ["addon"]);
    rmSync(join(project.root, "dist/control/main.js"));
    assert.deepEqual(prepare(project).calls, [COMPILE_TYPESCRIPT]);
  });

  test("what failed is done again", (t) => {
    const project = clone(t);
    project.program("bin/npm", "echo no network >&2; echo 'npm error     at connect (node:net:1)' >&2; exit 7");
    const { status, stderr } = project.run("prepare.mjs");
    assert.equal(status, 1);
    assert.match(stderr, /ringlun: npm ci failed \(7\)\nno network\n$/);
    assert.deepEqual(project.calls(), [COMPILE]);
    project.program("bin/npm", NPM);
    assert.deepEqual(prepare(project).calls, [COMPILE, "addon", COMPILE_TYPESCRIPT]);
  });

  test("sources that do not compile: exit 1, with what the compiler says", (t) => {
    const project = clone(t);
    project.program("bin/tsc.stand-in", "echo 'control/main.ts(1,1): error'; exit 2");
    const { status, stderr } = project.run("prepare.mjs");
    assert.equal(status, 1);
    assert.match(stderr, /ringlun: TypeScript does not compile\ncontrol\/main\.ts\(1,1\): error\n$/);
  });
});

describe("build", () => {
  test("installs nothing: without what npm ci brings it says what to do", (t) => {
    const project = clone(t);
    const { status, stderr } = project.run("build.mjs");
    assert.equal(status, 1);
    assert.match(stderr, /ringlun: TypeScript is not installed: run npm ci, or npm start, which does\n$/);
    assert.deepEqual(project.calls(), ["addon"]);
  });

  test("works when it is started through a link", (t) => {
    const project = clone(t);
    symlinkSync(join(project.root, ".scripts/build.mjs"), join(project.root, ".scripts/link.mjs"));
    assert.match(project.run("link.mjs").stderr, /building the addon/);
  });

  test("without a compiler: exit 1, and one message that says how to get one", (t) => {
    const project = new Project(t);
    for (const part of ["addon", "build.mjs", "package.json"])
      cpSync(join(ROOT, ADDON, part), join(project.root, ADDON, part), { recursive: true });
    const { status, stdout, stderr } = project.run("build.mjs", [], { PATH: join(project.root, "bin"), CXX: "" });
    assert.equal(status, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /no C\+\+ compiler found \(tried g\+\+, clang\+\+, c\+\+\)/);
    assert.match(stderr, /apt-get install g\+\+/);
    assert.doesNotMatch(stderr, /\n {4}at /, "a stack is no message");
  });
});

/** A shell between npm and the program would die of the signal alone, and leave the program behind. */
test("a signal to npm reaches what it starts", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const chained = Object.entries(scripts).filter(([, command]) => command.includes("&&"));
  assert.ok(chained.some(([name]) => name === "test"));
  assert.match(scripts.start ?? "", /^exec node [^&|;]+$/);
  for (const [name, command] of chained) assert.match(command, /&& exec node [^&|;]+$/, name);
});
