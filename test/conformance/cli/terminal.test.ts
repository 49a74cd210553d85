/** The command line where things are not as it would have them: readers that go, terminals that can little, a program that ends. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { command, ringlun } from "../../support/administration.js";
import { findProgram } from "../../support/peers.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningCommand } from "../../support/ringlun.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";

const MAIN = fileURLToPath(new URL("../../../control/main.js", import.meta.url));
const TOKEN = "a token of some length";
const UNITS = Array.from({ length: 20 }, (_, i) => `unit-${String(i).padStart(2, "0")}`);

const config = ({ port, httpPort }: Places) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: ${UNITS[0]} } }]
units: { ${UNITS.map((name) => `${name}: { null: true, size: 1GiB }`).join(", ")} }
http: { listen: "127.0.0.1:${httpPort}" }
api: { tokens: [{ name: ops, secret: "${TOKEN}" }] }
workers: 1
`;

let target: RunningTarget;
before(async () => {
  target = await RunningTarget.start({ config });
});
after(() => target.stop());

const asked = (...args: string[]) => new RunningCommand(...args, "--config", target.configPath);
const ask = (...args: string[]) => ringlun(target.configPath, ...args);

/** Resolves with the first that it says. */
const begun = ({ child }: RunningCommand) => new Promise((resolve) => child.stdout!.once("data", resolve));

describe("readers that go", () => {
  const commands = [
    ["units"],
    ["top", "--interval", "0.1"],
    ["ping", "PORTAL", TARGET_NAME, "--interval", "0.01"],
    ["manual"],
  ];
  for (const words of commands) {
    test(`${words[0]} ends, and says nothing of it`, async () => {
      const args = words.map((word) => (word === "PORTAL" ? `127.0.0.1:${target.port}` : word));
      const running = ["ping", "manual"].includes(args[0]!) ? new RunningCommand(...args) : asked(...args);
      running.child.stdout!.destroy();
      const { code, stderr } = await running.ended;
      assert.deepEqual([code, stderr], [0, ""]);
    });
  }

  test("where there is no room for what is said: exit 1, and why", () => {
    const stdio = ["ignore", openSync("/dev/full", "w"), "pipe"] as const;
    const { status, stderr } = spawnSync(process.execPath, [MAIN, "manual"], { stdio: [...stdio], encoding: "utf8" });
    assert.equal(status, 1);
    assert.match(stderr, /^ringlun: standard output: ENOSPC: [^\n]*\n$/);
  });

  test("a program that serves goes on when nobody reads that it is ready", async () => {
    const lines = ['portalGroups: [{ tag: 1, portals: ["127.0.0.1:PORT"] }]', "targets: []", "units: {}", "workers: 1"];
    const text = lines.join("\n").replace("PORT", String(target.places.port2));
    const file = join(target.places.directory, "second.yaml");
    await writeFile(file, `${text}\n`);
    const running = new RunningCommand("serve", "--config", file);
    running.child.stdout!.destroy();
    const said = new Promise((resolve) =>
      running.child.stderr!.on("data", (text) => /API listens/.test(text) && resolve(text)),
    );
    await said;
    assert.equal((await command("status", "--config", file)).code, 0);
    running.child.kill("SIGTERM");
    assert.equal((await running.ended).code, 0);
  });
});

describe("terminals", { skip: findProgram("script") === undefined ? "no script (bsdutils)" : false }, () => {
  const onTerminal = (size: string, term: string, args: string): string[] => {
    const line = `stty ${size}; '${process.execPath}' '${MAIN}' ${args} --config '${target.configPath}'`;
    const env: NodeJS.ProcessEnv = { ...process.env, TERM: term };
    delete env.COLUMNS;
    const { status, stdout } = spawnSync("script", ["-qec", line, "/dev/null"], {
      env,
      input: "",
      encoding: "utf8",
      timeout: 60_000,
    });
    assert.equal(status, 0, stdout);
    return stdout.replaceAll("\r", "").trimEnd().split("\n");
  };

  test("a table has no line that is longer than the terminal is wide", () => {
    const lines = onTerminal("cols 40 rows 24", "xterm", "units");
    assert.match(lines[0]!, /^NAME +KIND /);
    assert.match(lines.at(-1)!, /^ {2}[0-9a-f-]{36}$/);
    assert.ok(
      lines.every((line) => line.length <= 40),
      lines.join("\n"),
    );
  });

  test("top takes no more lines than there are; where the cursor cannot be moved it shows all", () => {
    const screen = onTerminal("cols 120 rows 12", "xterm", "top --count 1");
    assert.ok(screen[0]!.startsWith("\x1b[H\x1b[2J"));
    assert.ok(screen.length < 12, screen.join("\n"));
    const paper = onTerminal("cols 120 rows 12", "dumb", "top --count 1");
    assert.ok(!paper.join().includes("\x1b"));
    for (const name of UNITS)
      assert.ok(
        paper.some((line) => line.startsWith(name)),
        name,
      );
  });
});

describe("what is asked for in vain is told in one line", () => {
  test("no URL: exit 2", async () => {
    for (const url of ["localhost:9260", "nonsense"]) {
      const { code, stderr } = await command("status", "--url", url);
      assert.equal(code, 2);
      assert.match(stderr, /^error: option '--url <url>' argument '.*' is invalid\. https:\/\/ or http:\/\/[^\n]*\n$/);
    }
  });

  test("a token that is wrong, and none: exit 3", async () => {
    const url = `http://127.0.0.1:${target.places.httpPort}`;
    const wrong = await command("log-level", "debug", "--url", url, "--token", "wrong");
    assert.deepEqual([wrong.code, wrong.stderr], [3, "ringlun: the token is none of those that api.tokens lists\n"]);
    const none = await command("log-level", "debug", "--url", url);
    assert.equal(none.code, 3);
    assert.match(none.stderr, /^ringlun: this needs the UNIX socket \(api\.socket\), or a token /);
  });

  test("top with an interval that there is not: exit 2, and it ends", async () => {
    const { code, stderr } = await ask("top", "--interval", "0");
    assert.equal(code, 2);
    assert.match(stderr, /^error: .*--interval.* seconds are wanted, 0\.1 to 60\n$/);
  });

  test("with --json as JSON, too", async () => {
    const { code, stdout } = await command("units", "--json", "--socket", "/nowhere/api.sock");
    assert.equal(code, 1);
    assert.deepEqual(JSON.parse(stdout), { message: "nobody listens at /nowhere/api.sock: does ringlun run?" });
  });

  test("a reload of a file with faults names the file", async () => {
    await target.configure(`${config(target.places)}bogus: 1\n`);
    const { code, stderr } = await ask("reload");
    assert.equal(code, 2);
    assert.ok(stderr.startsWith(`${target.configPath}:8:1: bogus: is unknown`), stderr);
    await target.configure(config(target.places));
  });
});

test("Ctrl-C ends no drain, and that is said: exit 1", async () => {
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({ targetName: TARGET_NAME });
  const drained = ["drain", "portal", `127.0.0.1:${target.port}`];
  const running = asked(...drained);
  await begun(running);
  const { code, stderr } = await running.interrupt();
  assert.deepEqual([code, stderr], [1, "\nringlun: the drain goes on: ringlun drain shows it, --undo ends it\n"]);
  assert.equal((await ask(...drained, "--undo")).code, 0);
  initiator.destroy();
});

describe("top", () => {
  test("Ctrl-C ends it: exit 0", async () => {
    const running = asked("top", "--interval", "0.1");
    await begun(running);
    const { code, stderr } = await running.interrupt();
    assert.deepEqual([code, stderr], [0, ""]);
  });

  test("the program is killed meanwhile: exit 1, and one line", async () => {
    const running = asked("top", "--interval", "0.1");
    await begun(running);
    await target.kill9();
    const { code, stderr } = await running.ended;
    assert.deepEqual([code, stderr], [1, "ringlun: the program tells no more: it has ended\n"]);
  });
});
