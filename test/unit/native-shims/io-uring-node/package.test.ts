/** What a newcomer does first: build it, and run the README's server. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { Ring, SubmissionCompletionRing } from "io-uring-node";

const root = dirname(dirname(createRequire(import.meta.url).resolve("io-uring-node")));
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
