/** Keeps of the house's rules what a linter cannot (shown by its failures: file, and what is in it that must not be). */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const COMMENTS = /\/\*.*?\*\/|(^|\s)\/\/[^\n]*/gs;
const SHIMS = ["io-uring-node", "sharedarraybuffer-ring"];

interface Module {
  /** Relative to the root, with slashes. */
  readonly path: string;
  readonly text: string;
  /** Without comments, and with nothing in its strings: names in it are names. */
  readonly code: string;
  /** What it imports: relative ones as paths like `path`, packages as they are written. */
  readonly imports: readonly string[];
}

function modulesBelow(...folders: string[]): Module[] {
  return folders.flatMap((folder) =>
    (readdirSync(join(ROOT, folder), { recursive: true }) as string[])
      .filter((name) => name.endsWith(".ts"))
      .sort()
      .map((name) => readModule(`${folder}/${name}`)),
  );
}

function readModule(path: string): Module {
  const text = readFileSync(join(ROOT, path), "utf8");
  const uncommented = text.replace(COMMENTS, "$1");
  const specifiers = [...uncommented.matchAll(/(?:\bfrom|\bimport\(?|new URL\()\s*"([^"]+)"/g)].map(
    (match) => match[1]!,
  );
  const imports = specifiers.map((name) => (name.startsWith(".") ? posix.join(posix.dirname(path), name) : name));
  return { path, text, code: uncommented.replace(/"(?:[^"\\\n]|\\.)*"/g, '""'), imports };
}

const control = modulesBelow("control");
const dataplane = modulesBelow("dataplane");
const shims = modulesBelow(...SHIMS.map((name) => `native-shims/${name}/src`));
const bench = modulesBelow("bench");
const tests = modulesBelow("test");

/** `path: found`, for every module that has it. */
function offenders(modules: readonly Module[], find: (module: Module) => readonly string[]): string[] {
  return modules.flatMap((module) => find(module).map((found) => `${module.path}: ${found}`));
}

function without(modules: readonly Module[], ...paths: string[]): Module[] {
  for (const path of paths) assert.ok(existsSync(join(ROOT, path)), `${path} is an exception, and not there`);
  return modules.filter((module) => !paths.some((path) => module.path === path || module.path.startsWith(`${path}/`)));
}

function namesIn(pattern: RegExp): (module: Module) => string[] {
  return ({ code }) => [...code.matchAll(pattern)].map(([name]) => name);
}

test("the rules are looked at where the sources are", () => {
  assert.ok(control.length > 40 && dataplane.length > 60 && shims.length > 10 && bench.length > 10);
  const { imports } = readModule("dataplane/worker.ts");
  assert.ok(imports.includes("io-uring-node") && imports.includes("dataplane/loop.js"), `${imports}`);
});

test("imports point one way: control -> dataplane -> native-shims", () => {
  const own = (folder: string) => (name: string) => name.startsWith(`${folder}/`);
  const isShim = (name: string) => SHIMS.includes(name);
  const isPackage = (name: string) =>
    /^[\w@]/.test(name) && !/^(control|dataplane|bench|test|native-shims)\//.test(name);
  const rules: [readonly Module[], (name: string) => boolean][] = [
    [control, (name) => own("control")(name) || own("dataplane")(name) || isPackage(name)],
    // No package but the shims: what else the data plane needs, its own code does.
    [dataplane, (name) => own("dataplane")(name) || isShim(name) || name.startsWith("node:")],
    [shims, (name) => own("native-shims")(name) || name.startsWith("node:")],
  ];
  for (const [modules, isAllowed] of rules) {
    assert.deepEqual(
      offenders(modules, ({ imports }) => imports.filter((name) => !isAllowed(name))),
      [],
    );
  }
});

test("the shims know nothing of each other, and control reaches them only as packages", () => {
  for (const name of SHIMS) {
    const folder = `native-shims/${name}/`;
    const isOutside = (specifier: string) => !specifier.startsWith(folder) && !specifier.startsWith("node:");
    const modules = shims.filter(({ path }) => path.startsWith(folder));
    assert.deepEqual(
      offenders(modules, ({ imports }) => imports.filter(isOutside)),
      [],
    );
  }
});

test("dataplane/wire imports nothing from outside of it", () => {
  const wire = dataplane.filter(({ path }) => path.startsWith("dataplane/wire/"));
  assert.deepEqual(
    offenders(wire, ({ imports }) => imports.filter((name) => !name.startsWith("dataplane/wire/"))),
    [],
  );
});

/**
 * A simulated ring must be able to run the very same code deterministically: the data plane has the kernel and the clock
 * through the `Ring` interface alone. The thread's own file is where the real ones come in.
 */
test("no clock, no randomness and no system in the data plane", () => {
  const pure = without(dataplane, "dataplane/worker.ts");
  const names =
    /\b(?:Date|performance|process|console|globalThis|setTimeout|setInterval|setImmediate|queueMicrotask)\b(?=\s*[.(])|\bMath\.random\b|\bnew Date\b|\brandom(?:Bytes|UUID|Int|FillSync)\b|\bgetRandomValues\b/g;
  assert.deepEqual(offenders(pure, namesIn(names)), []);
  // Computing, not input or output.
  const allowed = new Set(["node:crypto", "node:assert/strict"]);
  assert.deepEqual(
    offenders(pure, ({ imports }) => imports.filter((name) => name.startsWith("node:") && !allowed.has(name))),
    [],
  );
});

test("of io-uring-node the data plane has numbers, types and addresses, but for the thread's own file", () => {
  const calls = ({ code }: Module) =>
    [...code.matchAll(/import \{([^}]*)\} from ""/g)]
      .flatMap(([, names]) => names!.split(",").map((name) => name.trim()))
      .filter((name) => systemCalls.has(name));
  // Where a view lies, and what number an error has, is the same wherever the ring comes from.
  const harmless = ["addressOf", "errno"];
  const systemCalls = new Set(
    shims
      .filter(({ path }) => /^native-shims\/io-uring-node\/src\/(files|memory|ring|sockets|threads)\.ts$/.test(path))
      .flatMap(({ code }) => [...code.matchAll(/^export (?:function|class) (\w+)/gm)].map((match) => match[1]!))
      .filter((name) => !harmless.includes(name)),
  );
  assert.ok(systemCalls.has("preadSync") && systemCalls.has("Ring") && systemCalls.has("monotonicUs"));
  assert.deepEqual(offenders(without(dataplane, "dataplane/worker.ts"), calls), []);
  assert.notDeepEqual(calls(readModule("dataplane/worker.ts")), []);
});

test("nothing in the data plane waits but in `enter`", () => {
  assert.deepEqual(offenders(dataplane, namesIn(/\basync\b|\bawait\b|\bPromise\b|\bEventEmitter\b/g)), []);
});

test("no BigInt in the data plane, and no allocation where every PDU passes", () => {
  assert.deepEqual(offenders(dataplane, namesIn(/\bBigInt\b|\b\d+n\b|\bgetBig(?:Ui|I)nt64\b/g)), []);
  const hot = [
    ...["loop.ts", "connection/receiver.ts", "connection/batch.ts"],
    ...["connection/transmitter.ts", "connection/pdu-encoder.ts"],
    ...["session/tag-index.ts", "buffer/slice.ts", "buffer/slice-pool.ts", "task/table.ts", "task/engine.ts"],
    ...["task/read-transfer.ts", "task/write-transfer.ts", "task/data-out.ts", "storage/file-store.ts"],
  ].map((name) => readModule(`dataplane/${name}`));
  const names =
    /\.(?:map|filter|forEach|subarray|concat|split|bind)\(|\bBuffer\.(?:alloc|concat)|\bJSON\b|\[\.\.\.|\{ \.\.\./g;
  assert.deepEqual(offenders(hot, namesIn(names)), []);
});

test("every module says at its head what it is for", () => {
  const all = [...control, ...dataplane, ...shims, ...bench];
  assert.deepEqual(
    offenders(all, ({ text }) =>
      /^(?:#![^\n]*\n)?\/\*\*\s*(?:\*\s+)?\S/.test(text) ? [] : ["has no comment at its head"],
    ),
    [],
  );
});

test("what tests draw by chance is the same in each run of the suite", () => {
  assert.deepEqual(
    offenders(without(tests, "test/support/fast-check.ts"), ({ imports }) =>
      imports.filter((name) => name === "fast-check"),
    ),
    [],
  );
});

const documents = [
  "README.md",
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
  ...SHIMS.map((name) => `native-shims/${name}/README.md`),
].map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));

test("what the documentation points to is there", () => {
  const broken = documents.flatMap(({ path, text }) => {
    const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, target]) =>
      posix.join(posix.dirname(path), target!),
    );
    return targets.filter((target) => !existsSync(join(ROOT, target))).map((target) => `${path}: ${target}`);
  });
  assert.deepEqual(broken, []);
});

test("sources that comments and documentation name are there", () => {
  const folders = [".scripts", "control", "dataplane", "native-shims", "bench", "docs", "test"];
  const files = folders.flatMap((folder) =>
    (readdirSync(join(ROOT, folder), { recursive: true }) as string[]).map((name) => `/${folder}/${name}`),
  );
  const isThere = (name: string) => existsSync(join(ROOT, name)) || files.some((file) => file.endsWith(`/${name}`));
  const names = /(?<![\w.*}/-])(?:(?:[\w.-]+\/)*[\w-]+(?:\.[\w-]+)*\.(?:ts|mjs|cc|md)|dist\/[\w/-]+\.js)\b/g;
  const comments = [...control, ...dataplane, ...shims, ...bench, ...tests].map(({ path, text }) => ({
    path,
    text: (text.match(COMMENTS) ?? []).join("\n"),
  }));
  const missing = [...documents, ...comments].flatMap(({ path, text }) =>
    Array.from(text.matchAll(names), ([name]) => name.replace(/^dist\/(.*)\.js$/, "$1.ts"))
      .filter((name) => !isThere(name))
      .map((name) => `${path}: ${name}`),
  );
  assert.deepEqual(missing, []);
});
