import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { withoutIoUring } from "../../support/seccomp.js";
import { freePort } from "../../support/target.js";
import { temporaryFolder } from "../../support/undo.js";
import { DISCOVERY_KEYS, Initiator, textOf } from "./support/initiator.js";

const MAIN = fileURLToPath(new URL("../../../control/main.js", import.meta.url));

/** The program, and all that it has said so far. */
class Program {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<number | NodeJS.Signals | null>;
  #wake: () => void = () => {};
  stdout = "";
  stderr = "";

  constructor(context: TestContext, cwd: string, ...args: string[]) {
    this.#child = spawn(process.execPath, [MAIN, ...args], { cwd });
    this.#child.stdout.setEncoding("utf8").on("data", (text) => this.#say("stdout", text));
    this.#child.stderr.setEncoding("utf8").on("data", (text) => this.#say("stderr", text));
    this.#ended = new Promise((resolve) =>
      this.#child.on("close", (code, signal) => {
        resolve(code ?? signal);
        this.#wake();
      }),
    );
    context.after(async () => {
      this.#child.kill("SIGKILL");
      await this.#ended;
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit code. */
  get ended(): Promise<number | NodeJS.Signals | null> {
    return this.#ended;
  }

  /** Resolves when it has said this; rejects if it ends without. */
  async says(stream: "stdout" | "stderr", what: RegExp): Promise<void> {
    while (!what.test(this[stream])) {
      if (this.#child.exitCode !== null)
        throw new Error(`ended with ${this.#child.exitCode}: ${this.stdout}${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #say(stream: "stdout" | "stderr", text: string): void {
    this[stream] += text;
    this.#wake();
  }
}

function configurationText(port: number, ...names: string[]): string {
  return [
    `portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]`,
    "targets:",
    ...names.map((name) => `  - { name: "iqn.2026-11.io.ringlun:${name}", portalGroups: [1], luns: { 0: disk } }`),
    "units: { disk: { file: disk.img, size: 1MiB, cache: writeback } }",
    "workers: 1",
  ].join("\n");
}

async function serve(context: TestContext) {
  const cwd = temporaryFolder(context);
  const port = await freePort();
  writeFileSync(join(cwd, "ringlun.yaml"), configurationText(port, "one"));
  const program = new Program(context, cwd, "serve", "--config", "ringlun.yaml");
  await program.says("stdout", /^ready$/m);
  return { cwd, port, program };
}

async function targetsOf(port: number): Promise<string[]> {
  const initiator = await Initiator.connect({ host: "127.0.0.1", port });
  await initiator.login({ keys: DISCOVERY_KEYS });
  initiator.sendText({ SendTargets: "All" });
  const names = textOf((await initiator.receive())!.data).filter((pair) => pair.startsWith("TargetName="));
  initiator.close();
  return names.map((name) => name.replace("TargetName=iqn.2026-11.io.ringlun:", ""));
}

describe("the command line", () => {
  test("--version says it and ends", async (context) => {
    const program = new Program(context, temporaryFolder(context), "--version");
    assert.equal(await program.ended, 0);
    assert.match(program.stdout, /^\d+\.\d+\.\d+\n$/);
  });

  test("what it does not understand is a usage error: exit 2", async (context) => {
    for (const args of [["serve"], ["sreve"], ["serve", "--config"], ["--no-such-option"]]) {
      const program = new Program(context, temporaryFolder(context), ...args);
      assert.equal(await program.ended, 2, args.join(" "));
      assert.equal(program.stdout, "");
      assert.notEqual(program.stderr, "");
    }
  });
});

describe("a command that shows something, and has others below it", () => {
  const SAID: readonly (readonly [words: string, stderr: string])[] = [
    ["units creat", "error: unknown command 'creat'\n(Did you mean create?)\n"],
    ["drain portl", "error: unknown command 'portl'\n(Did you mean portal?)\n"],
    ["sessions 7", "error: unknown command '7'; known: end, negotiate\n"],
    ["units set vm0 extra --no-such-option", "error: unknown option '--no-such-option'\n"],
  ];
  for (const [words, stderr] of SAID) {
    test(`${words}: exit 2, and what it may have been`, async (context) => {
      const program = new Program(context, temporaryFolder(context), ...words.split(" "));
      assert.deepEqual([await program.ended, program.stdout, program.stderr], [2, "", stderr]);
    });
  }

  test("help shows what is its own before whom to ask", async (context) => {
    const program = new Program(context, temporaryFolder(context), "units", "help", "create");
    assert.equal(await program.ended, 0);
    assert.match(program.stdout, /^Options:\n +--file .*^Whom to ask, and how:\n +-c, --config /ms);
  });
});

describe("a configuration with faults", () => {
  for (const extra of [[], ["--check"]]) {
    test(`exit 2, every fault with its line ${extra.join(" ")}`, async (context) => {
      const cwd = temporaryFolder(context);
      writeFileSync(join(cwd, "bad.yaml"), 'bogus: 1\nportalGroups: []\ntargets: [{ name: "no name" }]\n');
      const program = new Program(context, cwd, "serve", "--config", "bad.yaml", ...extra);
      assert.equal(await program.ended, 2);
      assert.equal(program.stdout, "");
      assert.match(program.stderr, /^bad\.yaml:1:\d+: bogus: /m);
      assert.match(program.stderr, /^bad\.yaml:3:\d+: targets\[0\]\.name: /m);
    });
  }

  test("a file that is not there is a fault too", async (context) => {
    const program = new Program(context, temporaryFolder(context), "serve", "--config", "missing.yaml");
    assert.equal(await program.ended, 2);
    assert.match(program.stderr, /missing\.yaml/);
  });
});

test("secret prints 128 random bits, fit for a secretFile", async (context) => {
  const printed = new Set<string>();
  for (let i = 0; i < 2; i++) {
    const program = new Program(context, temporaryFolder(context), "secret");
    assert.equal(await program.ended, 0);
    assert.match(program.stdout, /^[0-9a-f]{32}\n$/);
    printed.add(program.stdout);
  }
  assert.equal(printed.size, 2);
});

test("--check touches nothing", async (context) => {
  const cwd = temporaryFolder(context);
  writeFileSync(join(cwd, "ringlun.yaml"), configurationText(await freePort(), "one"));
  const program = new Program(context, cwd, "serve", "--config", "ringlun.yaml", "--check");
  assert.equal(await program.ended, 0, program.stderr);
  assert.equal(program.stdout, "");
});

test("a demo that something is in the way of: exit 1, and one line", async (context) => {
  const cwd = temporaryFolder(context);
  writeFileSync(join(cwd, "demo"), "");
  const program = new Program(context, cwd, "demo");
  assert.equal(await program.ended, 1);
  assert.equal(program.stdout, "");
  assert.match(program.stderr, /^ringlun: demo: the folder .*\/demo cannot be made: EEXIST: [^\n]*\n$/);
});

test("where io_uring is forbidden: exit 1, and one line with the cause and the remedy", (context) => {
  const cwd = temporaryFolder(context);
  writeFileSync(join(cwd, "ringlun.yaml"), configurationText(1, "one"));
  const args = [process.execPath, MAIN, "serve", "--config", "ringlun.yaml"];
  const { status, stdout, stderr } = spawnSync(withoutIoUring(context), args, { cwd, encoding: "utf8" });
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.match(
    stderr,
    /^ringlun: io_uring is not available \(EPERM\): a seccomp filter .* Allow the system calls [^\n]*\n$/,
  );
  // Nothing was made of the configuration yet.
  assert.deepEqual(readdirSync(cwd), ["ringlun.yaml"]);
});

describe("serving", () => {
  test("one line `ready`, logs as JSON on standard error, a clean end at SIGTERM", async (context) => {
    const { port, program } = await serve(context);
    assert.deepEqual(await targetsOf(port), ["one"]);
    program.signal("SIGTERM");
    assert.equal(await program.ended, 0, program.stderr);
    assert.equal(program.stdout, "ready\n");
    for (const line of program.stderr.trim().split("\n")) assert.equal(typeof JSON.parse(line).msg, "string");
  });

  test("a signal before it is ready ends it cleanly too, and it never says `ready`", async (context) => {
    const cwd = temporaryFolder(context);
    writeFileSync(join(cwd, "ringlun.yaml"), configurationText(await freePort(), "one"));
    const program = new Program(context, cwd, "serve", "--config", "ringlun.yaml");
    // The first thing of the start that shows.
    await program.says("stderr", /unit open/);
    program.signal("SIGHUP");
    program.signal("SIGTERM");
    assert.equal(await program.ended, 0, program.stderr);
    // It may have become ready before the signal came.
    if (!/portal listens.*"ending"/s.test(program.stderr)) assert.equal(program.stdout, "");
  });

  test("SIGINT ends it likewise", async (context) => {
    const { program } = await serve(context);
    program.signal("SIGINT");
    assert.equal(await program.ended, 0, program.stderr);
  });

  test("a second instance on the same file: exit 1, and the unit is named", async (context) => {
    const { cwd } = await serve(context);
    writeFileSync(join(cwd, "second.yaml"), configurationText(await freePort(), "one"));
    const second = new Program(context, cwd, "serve", "--config", "second.yaml");
    assert.equal(await second.ended, 1);
    assert.match(second.stderr, /ringlun: unit disk: .*disk\.img: is in use/);
    assert.equal(second.stdout, "");
  });

  test("a portal that cannot listen: exit 1, and the portal is named", async (context) => {
    const { port } = await serve(context);
    const cwd = temporaryFolder(context);
    writeFileSync(join(cwd, "ringlun.yaml"), configurationText(port, "one"));
    const second = new Program(context, cwd, "serve", "--config", "ringlun.yaml");
    assert.equal(await second.ended, 1);
    assert.match(second.stderr, new RegExp(`ringlun: portal 127\\.0\\.0\\.1:${port} of portal group 1 cannot listen`));
  });

  test("SIGHUP takes a new target in; a file with faults changes nothing", async (context) => {
    const { cwd, port, program } = await serve(context);
    const file = join(cwd, "ringlun.yaml");
    writeFileSync(file, configurationText(port, "one", "two"));
    program.signal("SIGHUP");
    await program.says("stderr", /configuration reloaded/);
    assert.deepEqual(await targetsOf(port), ["one", "two"]);

    writeFileSync(file, `${configurationText(port, "one")}\nbogus: 1\n`);
    program.signal("SIGHUP");
    await program.says("stderr", /configuration not reloaded/);
    assert.match(program.stderr, /"path":"bogus"/);
    assert.deepEqual(await targetsOf(port), ["one", "two"]);
    program.signal("SIGTERM");
    assert.equal(await program.ended, 0, program.stderr);
  });
});
