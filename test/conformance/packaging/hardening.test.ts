/** What packaging/ allows the program suffices for it, and what it says can be read by those who have to read it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { read10, write10 } from "../../support/cdb.js";
import { findProgram } from "../../support/peers.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { type SeccompProfile, seccompProgram } from "../../support/seccomp.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";
import { temporaryFolder } from "../../support/undo.js";

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const MAIN = fileURLToPath(new URL("../../../control/main.js", import.meta.url));
const IO_URING = ["io_uring_enter", "io_uring_register", "io_uring_setup"];

const packaging = (name: string): string => readFileSync(join(ROOT, "packaging", name), "utf8");

/** Serves, is written to and read from, is asked and ends, under a seccomp profile. */
async function servesUnder(context: TestContext, profile: SeccompProfile): Promise<void> {
  const program = join(temporaryFolder(context), "ringlun");
  writeFileSync(program, `#!/bin/sh\nexec ${seccompProgram(context, profile)} ${process.execPath} ${MAIN} "$@"\n`);
  chmodSync(program, 0o755);
  const target = await RunningTarget.start({ program, cache: "direct", workers: 2 });
  try {
    const initiator = await RawInitiator.connect(target.port);
    await initiator.login({ targetName: TARGET_NAME });
    const data = Buffer.alloc(8 * 512, 7);
    assert.equal((await initiator.command({ cdb: write10(0, 8), write: data })).status, 0);
    assert.deepEqual((await initiator.command({ cdb: read10(0, 8), read: data.length })).data, data);
    await initiator.logout();
    const { status, stderr } = spawnSync(program, ["status", "--config", target.configPath], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.deepEqual(await target.terminate(), { code: 0, signal: null });
  } finally {
    await target.stop();
  }
}

describe("the seccomp profile for containers", () => {
  const profile = JSON.parse(packaging("seccomp.json")) as SeccompProfile;

  test("allows io_uring, and says of each call once what is done about it", () => {
    assert.equal(profile.defaultAction, "SCMP_ACT_ERRNO");
    const plain = profile.syscalls.filter(({ args }) => args === undefined).flatMap(({ names }) => names);
    assert.deepEqual(
      plain.filter((name, i) => plain.indexOf(name) !== i),
      [],
    );
    const allowed = profile.syscalls.filter(({ action }) => action === "SCMP_ACT_ALLOW").flatMap(({ names }) => names);
    for (const name of IO_URING) assert.ok(allowed.includes(name), name);
    for (const name of [
      "mount",
      "ptrace",
      "bpf",
      "unshare",
      "setns",
      "keyctl",
      "kexec_load",
      "init_module",
      "reboot",
    ]) {
      assert.ok(!allowed.includes(name), name);
    }
    assert.match(plain.join(), /^[a-z0-9_,]+$/);
  });

  test("lets Ringlun serve", (t) => servesUnder(t, profile));

  test("forbids what it does not name", (t) => {
    const program = seccompProgram(t, profile);
    const { status, stderr } = spawnSync(program, ["/usr/bin/unshare", "--user", "true"], { encoding: "utf8" });
    assert.notEqual(status, 0);
    assert.match(stderr, /Operation not permitted/);
  });
});

describe("the systemd unit", {
  skip: findProgram("systemd-analyze") === undefined ? "no systemd-analyze" : false,
}, () => {
  const unit = packaging("ringlun.service");
  const analyze = (...args: string[]) => spawnSync("systemd-analyze", args, { encoding: "utf8" });

  /** The unit, with a program that is there in the place of the one that will be installed. */
  function installable(context: TestContext): string {
    const file = join(temporaryFolder(context), "ringlun.service");
    const text = unit.replaceAll(/^(Exec\w+=)ringlun /gm, `$1${process.execPath} `).replace(/^Documentation=.*\n/m, "");
    assert.notEqual(text, unit);
    writeFileSync(file, text);
    return file;
  }

  test("is one, in systemd's eyes", (t) => {
    const { status, stderr, stdout } = analyze("verify", "--man=no", installable(t));
    assert.deepEqual([status, stdout + stderr], [0, ""]);
  });

  test("is hardened", (t) => {
    const { status, stdout } = analyze("security", "--offline=true", "--threshold=20", "--no-pager", installable(t));
    assert.equal(status, 0, stdout);
  });

  test("has the program stopped when it does not tell that it lives, and waits for its end", () => {
    for (const line of ["Type=notify", "WatchdogSec=30", "Restart=on-failure", "LimitMEMLOCK=infinity"]) {
      assert.match(unit, new RegExp(`^${line}$`, "m"));
    }
  });

  test("has a filter under which Ringlun serves", async (t) => {
    const expand = (name: string): string[] =>
      name.startsWith("@")
        ? analyze("syscall-filter", "--no-pager", name)
            .stdout.split("\n")
            .slice(1)
            .map((line) => line.trim())
            .filter((line) => /^[@a-z]/.test(line))
            .flatMap(expand)
        : [name];
    const names = new Set<string>();
    for (const [, filter] of unit.matchAll(/^SystemCallFilter=(.*)$/gm)) {
      const isDenied = filter!.startsWith("~");
      for (const name of filter!.replace("~", "").split(" ").flatMap(expand)) {
        if (isDenied) names.delete(name);
        else names.add(name);
      }
    }
    assert.ok(names.size > 200 && IO_URING.every((name) => names.has(name)));
    // What systemd itself needs to start it.
    names.add("execve");
    await servesUnder(t, {
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [{ names: [...names], action: "SCMP_ACT_ALLOW" }],
    });
  });
});

test("the Dockerfile builds in one stage, runs in another as nobody in particular, and copies what is there", () => {
  const lines = packaging("Dockerfile")
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .filter((line) => /^[^#\s]/.test(line));
  const parsed = lines.map((line) => /^([A-Z]+)\s+(.*)$/.exec(line)?.slice(1) ?? assert.fail(line)) as [
    string,
    string,
  ][];
  const known = "FROM RUN WORKDIR COPY ENV USER VOLUME EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD".split(" ");
  assert.deepEqual(
    parsed.map(([name]) => name).filter((name) => !known.includes(name)),
    [],
  );
  const stages = parsed
    .filter(([name]) => name === "FROM")
    .map(([, text]) => /^node:20-bookworm-slim(?: AS (\w+))?$/.exec(text));
  assert.deepEqual(
    stages.map((stage) => stage?.[1]),
    ["build", undefined],
  );
  const last = parsed.slice(parsed.findLastIndex(([name]) => name === "FROM"));
  const lastOf = (wanted: string) => last.findLast(([name]) => name === wanted)?.[1] ?? assert.fail(wanted);
  assert.match(lastOf("COPY"), /^--from=build /);
  assert.equal(lastOf("USER"), "ringlun");
  assert.match(lastOf("HEALTHCHECK"), /ringlun status --json/);
  for (const form of ["ENTRYPOINT", "CMD"]) assert.ok(Array.isArray(JSON.parse(lastOf(form))), form);
  assert.ok(existsSync(join(ROOT, "packaging", "Dockerfile.dockerignore")));
});
