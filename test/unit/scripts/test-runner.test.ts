import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { skipWithout } from "../../support/peers.js";
import { Project, ROOT } from "./project.js";

/** A project whose one test file is this. */
function projectOf(context: TestContext, source: string): Project {
  const project = new Project(context);
  project.write("package.json", '{ "type": "module" }');
  project.write("test/unit/some.test.ts", source);
  project.write("dist/test/unit/some.test.js", `import { describe, test } from "node:test";\n${source}`);
  return project;
}

function runTests(context: TestContext, source: string) {
  return projectOf(context, source).run("test.mjs", ["test/unit"]);
}

test("tests that pass: exit 0", (t) => {
  const { status, stdout } = runTests(t, 'test("a", () => {}); describe("b", () => { test("c", () => {}); });');
  assert.equal(status, 0, stdout);
  assert.match(stdout, /^ok +test\/unit\/some\.test\.ts: 2 passed/m);
  assert.match(stdout, /^2 passed, 0 failed, 0 skipped/m);
});

test("a test that fails: exit 1, and the file is named at the end", (t) => {
  const { status, stdout } = runTests(t, 'test("a", () => {}); test("b", () => { throw new Error("no"); });');
  assert.equal(status, 1);
  assert.match(stdout, /\nFAILED\n {2}test\/unit\/some\.test\.ts: 1 failed, 1 passed\n$/);
});

test("a skipped test is no silent pass", (t) => {
  const { status, stdout } = runTests(t, 'test("a", () => {}); test("b", { skip: "not installed: x" }, () => {});');
  assert.equal(status, 0, stdout);
  assert.match(stdout, /^1 passed, 0 failed, 1 skipped/m);
  assert.match(stdout, /\n!!! SKIPPED, not tested here: 1\n!!! {3}test\/unit\/some\.test\.ts: b: not installed: x\n$/);
});

test("a file without a test, or one that dies, is a failure", (t) => {
  for (const [source, fault] of [
    ["", /holds no test/],
    ['test("a", () => {}); process.on("exit", () => { process.exitCode = 3; });', /exit code 3/],
    ['test("a", () => { process.kill(process.pid, "SIGKILL"); });', /ended by SIGKILL/],
  ] as const) {
    const { status, stdout } = runTests(t, source);
    assert.equal(status, 1, stdout);
    assert.match(stdout, fault);
  }
});

test("long ones are run with --long, all with --all", (t) => {
  const project = projectOf(t, 'test("a", () => {});');
  for (const file of ["test/unit/some.long.test.ts", "dist/test/unit/some.long.test.js"])
    project.write(file, 'import { test } from "node:test"; test("b", () => {}); test("c", () => {});');
  for (const [options, counts] of [
    [[], [1]],
    [["--long"], [2]],
    [["--all"], [1, 2]],
  ] as const) {
    const { status, stdout } = project.run("test.mjs", [...options, "test/unit"]);
    assert.equal(status, 0, stdout);
    const passed = [...stdout.matchAll(/^ok .*: (\d+) passed/gm)].map(([, count]) => Number(count));
    assert.deepEqual(passed.sort(), counts);
  }
});

test("those that begin first are there", () => {
  const runner = readFileSync(join(ROOT, ".scripts/test.mjs"), "utf8");
  const files = [...runner.matchAll(/^ {2}"(test\/.+)",$/gm)].map(([, file]) => file!);
  assert.ok(files.length > 5);
  for (const file of files) assert.ok(existsSync(join(ROOT, file)), file);
});

test("a path that has no tests is an error", (t) => {
  const { status, stderr } = projectOf(t, 'test("a", () => {});').run("test.mjs", ["test/unti"]);
  assert.equal(status, 1);
  assert.match(stderr, /no \*\.test\.ts .*at test\/unti/);
});

test("a test whose peer is missing says what to run; where CI=true it is not skipped", (t) => {
  const { PATH, CI } = process.env;
  t.after(() => {
    process.env.PATH = PATH;
    if (CI === undefined) delete process.env.CI;
    else process.env.CI = CI;
  });
  process.env.PATH = "/nowhere";
  process.env.CI = "";
  assert.equal(skipWithout("iscsi-ls"), "not installed: iscsi-ls; run: npm run peers:install");
  process.env.CI = "true";
  assert.equal(skipWithout("iscsi-ls"), false);
});
