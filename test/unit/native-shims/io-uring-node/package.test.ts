/** What a newcomer does first: build it, and run the README's server. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import * as exported from "io-uring-node";
import { Ring, SubmissionCompletionRing } from "io-uring-node";

const require = createRequire(import.meta.url);
const root = dirname(dirname(require.resolve("io-uring-node")));
const addonPath = join(root, "build", "io_uring_node.node");

function build(environment: NodeJS.ProcessEnv): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, ["build.mjs"], {
    cwd: root,
    env: { ...process.env, ...environment },
    encoding: "utf8",
  });
}

test("the README's echo server echoes", async () => {
  const [, source] = /```js\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))!;
  const server = spawn(process.execPath, ["--input-type=module", "--eval", source!.replace("port: 7007", "port: 0")], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = (await once(server.stdout, "data")) as [Buffer];
    const port = Number(/^port (\d+)\n$/.exec(line.toString())![1]);
    const sockets = Array.from({ length: 3 }, () => connect({ host: "127.0.0.1", port }));
    await Promise.all(
      sockets.map(async (socket, at) => {
        const sent = Buffer.alloc(300_000, `${at} talks to itself. `);
        socket.end(sent);
        const chunks: Buffer[] = [];
        for await (const chunk of socket) chunks.push(chunk as Buffer);
        assert.ok(Buffer.concat(chunks).equals(sent));
      }),
    );
  } finally {
    server.kill();
    await once(server, "exit");
  }
});

test("the README's tables name every method of a ring, and no other", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const tables = readme.slice(readme.indexOf("| `Ring` "), readme.indexOf("If the submission queue"));
  const named = [...tables.matchAll(/`(\w+)[`(]/g)].map(([, name]) => name!);
  const inner = ["constructor", "publish", "refresh", "markClosed", "submit"];
  const methods = [Ring.prototype, SubmissionCompletionRing.prototype]
    .flatMap((prototype) => Object.entries(Object.getOwnPropertyDescriptors(prototype)))
    .filter(([name, { value }]) => typeof value === "function" && !inner.includes(name))
    .map(([name]) => name);
  const others = ["Ring", "kind", "result", "completionFlags", "index", "nowUs", "slot", "SQE_IO_LINK"];
  assert.deepEqual([...new Set(methods)].sort(), [...new Set(named)].filter((name) => !others.includes(name)).sort());
});

test("the README names every function and class that is exported", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const names = Object.entries(exported).flatMap(([name, value]) => (typeof value === "function" ? [name] : []));
  assert.deepEqual(
    names.filter((name) => !new RegExp(`\\b${name}\\b`).test(readme)),
    [],
  );
});

test("what is packed builds and works on its own", () => {
  const directory = mkdtempSync(join(tmpdir(), "io-uring-node-"));
  try {
    const [packed] = JSON.parse(
      execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", directory], {
        cwd: root,
        encoding: "utf8",
      }),
    ) as [{ filename: string; files: { path: string }[] }];
    // What has been built for a package of ringlun may lie there.
    const paths = packed.files.map(({ path }) => path).filter((path) => !path.startsWith("prebuilds/"));
    for (const path of ["LICENSE", "README.md", "dist/index.js", "dist/index.d.ts", "src/index.ts", "addon/ring.cc"]) {
      assert.ok(paths.includes(path), path);
    }
    assert.deepEqual(
      paths.filter(
        (path) => !/^(LICENSE|README\.md|package\.json|(build|install)\.mjs|(dist|src|addon)\/[\w.-]+)$/.test(path),
      ),
      [],
      "things that nobody needs",
    );
    assert.deepEqual(
      paths.filter((path) => path.endsWith(".tsbuildinfo") || path.endsWith(".node")),
      [],
    );
    const modules = join(directory, "node_modules");
    const installed = join(modules, "io-uring-node");
    mkdirSync(installed, { recursive: true });
    execFileSync("tar", ["-xzf", join(directory, packed.filename), "-C", installed, "--strip-components=1"]);
    rmSync(join(installed, "prebuilds"), { recursive: true, force: true });
    symlinkSync(dirname(require.resolve("node-api-headers/package.json")), join(modules, "node-api-headers"));
    const { scripts } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
      scripts: { install: string };
    };
    execFileSync("sh", ["-c", scripts.install], { cwd: installed });
    const program = `
      import { probe, Ring, OP_NOP } from "io-uring-node";
      const ring = Ring.open({ entries: 1 });
      ring.nop(1, 2);
      ring.enter(1, 1000);
      console.log(ring.next(), ring.index, probe().supports(OP_NOP));`;
    const output = execFileSync(process.execPath, ["--input-type=module", "--eval", program], {
      cwd: directory,
      encoding: "utf8",
    });
    assert.equal(output, "true 2 true\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("without a compiler the build says what to install", () => {
  const { status, stderr } = build({ CXX: "/nowhere/g++" });
  assert.equal(status, 1);
  assert.match(stderr, /no C\+\+ compiler found \(tried \/nowhere\/g\+\+\)/);
  for (const remedy of ["apt-get install g++", "dnf install gcc-c++", "apk add g++", "CXX"]) {
    assert.ok(stderr.includes(remedy), remedy);
  }
});

test("a build that fails says so and leaves the addon as it was", () => {
  const before = statSync(addonPath).mtimeMs;
  const { status, stderr } = build({ CXXFLAGS: "-nostdinc" });
  assert.equal(status, 1);
  assert.match(stderr, /io-uring-node: /);
  assert.equal(statSync(addonPath).mtimeMs, before);
});

test("an unchanged addon is not built again", () => {
  assert.equal(build({}).status, 0);
  const before = statSync(addonPath).mtimeMs;
  assert.equal(build({}).status, 0);
  assert.equal(statSync(addonPath).mtimeMs, before);
});
