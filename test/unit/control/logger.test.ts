import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { formatLine } from "../../../control/logger.js";

const LOGGER = new URL("../../../control/logger.js", import.meta.url).href;

test("a record for people: time, level, message, fields", () => {
  const line = JSON.stringify({ level: 40, time: Date.UTC(2026, 10, 22, 1, 2, 3, 4), unit: "vm0", n: 3, msg: "look" });
  assert.equal(formatLine(`${line}\n`), "01:02:03.004 warn  look unit=vm0 n=3");
});

test("values that could be taken for several are quoted", () => {
  const line = formatLine(JSON.stringify({ level: 30, time: 0, reason: "a b\nc", peer: "[::1]:3260", msg: "x" }));
  assert.equal(line, String.raw`00:00:00.000 info  x reason="a b\nc" peer=[::1]:3260`);
});

test("an error's stack follows on its own lines", () => {
  const line = formatLine(JSON.stringify({ level: 50, time: 0, err: { stack: "Error: no\n    at x" }, msg: "failed" }));
  assert.equal(line, "00:00:00.000 error failed\nError: no\n    at x");
});

test("what is no record is passed through", () => {
  assert.equal(formatLine("plain words\n"), "plain words");
});

test("nothing that anybody says moves the cursor, paints, or makes a line of its own", () => {
  const said = "a\u009b2Jb\u001b[31mc\nd\u202ee\u2028f";
  const line = formatLine(
    JSON.stringify({ level: 30, time: 0, initiator: said, msg: said, err: { stack: `E: ${said}` } }),
  );
  const lines = line.split("\n");
  // The message's, and two of the trace.
  assert.equal(lines.length, 3);
  for (const each of lines) assert.doesNotMatch(each, /[\p{Cc}\p{Cf}\p{Zl}]/u);
});

test("lines for systemd's journal begin with their priority (sd-daemon(3)), others do not", () => {
  const program = `import { createLogger } from "${LOGGER}";
    const logger = createLogger("trace");
    for (const level of ["fatal", "error", "warn", "info", "debug", "trace"]) logger[level](level);`;
  const said = (journal: string): string[] => {
    const script = `JOURNAL_STREAM=${journal} exec "$0" --input-type=module --eval "$1"`;
    const { stderr } = spawnSync("sh", ["-c", script, process.execPath, program], { encoding: "utf8" });
    return stderr.trim().split("\n");
  };
  const priorities = said("$(stat --dereference --format %d:%i /dev/stderr)").map(
    (line) => /^<\d>(?=\{)/.exec(line)?.[0],
  );
  assert.deepEqual(priorities, ["<2>", "<3>", "<4>", "<6>", "<7>", "<7>"]);
  // Of a parent that had one.
  assert.ok(said("1:2").every((line) => line.startsWith("{")));
});

test("a log that cannot be written ends nothing", () => {
  const attempt = `
    const { createLogger } = await import(${JSON.stringify(LOGGER)});
    const logger = createLogger("info");
    for (let i = 0; i < 10; i++) logger.info("said to nobody");
    await new Promise((resolve) => setTimeout(resolve, 10));
    logger.info("nor this");
    console.log("goes on");`;
  const full = openSync("/dev/full", "w");
  const said = execFileSync(process.execPath, ["--input-type=module", "-e", attempt], {
    stdio: ["ignore", "pipe", full],
    encoding: "utf8",
  });
  closeSync(full);
  assert.equal(said, "goes on\n");
});
