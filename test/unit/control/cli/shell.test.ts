import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { findProgram, skipWithout } from "../../../support/peers.js";
import { temporaryFolder } from "../../../support/undo.js";

const MAIN = fileURLToPath(new URL("../../../../control/main.js", import.meta.url));
/** A folder whose files are known. */
const CWD = fileURLToPath(new URL("../../../../..", import.meta.url));

function ringlun(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
}

/** Standard output of a script that starts with the completion of its shell, behind what has to come first. */
function runShell(shell: string, script: string, first = ""): string {
  const whole = [first, ringlun("completion", shell).stdout, script].join("\n");
  const { status, stdout, stderr } = spawnSync(findProgram(shell)!, ["-c", whole], { cwd: CWD, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.equal(stderr, "");
  return stdout;
}

const LINES: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
  [["ringlun", "st"], ["status"]],
  [["ringlun", "--ver"], ["--version"]],
  [["ringlun", "sessions", "en"], ["end"]],
  [["ringlun", "sessions", "end", "--js"], ["--json"]],
  [["ringlun", "sessions", "--json", "end", "--so"], ["--socket"]],
  [["ringlun", "units", "create", "--prea"], ["--preallocate"]],
  [["ringlun", "drain", "portal", "--und"], ["--undo"]],
  [
    ["ringlun", "completion", ""],
    ["bash", "fish", "zsh"],
  ],
  [["ringlun", "units", "create", "--cache", "di"], ["direct"]],
  [["ringlun", "log-level", "de"], ["debug"]],
  [["ringlun", "check", "LIC"], ["LICENSE"]],
  [["ringlun", "apply", "-f", "LIC"], ["LICENSE"]],
  [["ringlun", "apply", "--file", "LIC"], ["LICENSE"]],
  [["ringlun", "status", "--url", "LIC"], []],
  [["ringlun", "nonsense", "LIC"], []],
];

test("bash completes commands, options, what may be chosen, and files where files are wanted", () => {
  const cases: (readonly [readonly string[], readonly string[]])[] = [
    ...LINES,
    // bash has three words there.
    [["ringlun", "apply", "--file", "=", "LIC"], ["LICENSE"]],
    [["ringlun", "apply", "--url", "="], []],
  ];
  const calls = cases.map(
    ([words]) => `
      COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
      _ringlun; printf '%s ' "\${COMPREPLY[@]}"; echo`,
  );
  const offered = runShell("bash", `complete -p ringlun > /dev/null${calls.join("")}`)
    .split("\n")
    .map((line) => line.split(" ").filter(Boolean));
  for (const [i, [words, expected]] of cases.entries()) {
    const unlike = offered[i]?.filter((word) => !/^-(h|-help)$/.test(word)).sort();
    assert.deepEqual(unlike, expected, words.join(" "));
  }
});

test("fish completes the same", { skip: skipWithout("fish") }, () => {
  const calls = LINES.map(
    ([words]) => `complete -C '${words.join(" ")}' | string split -f 1 \\t | sort | string join " "; echo`,
  );
  const offered = runShell("fish", calls.join("\n")).split("\n\n");
  for (const [i, [words, expected]] of LINES.entries()) {
    assert.deepEqual(offered[i]?.trim().split(" ").filter(Boolean), expected, words.join(" "));
  }
});

test("zsh completes the same, typed at its prompt", { skip: skipWithout("zsh") }, (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "_ringlun"), ringlun("completion", "zsh").stdout);
  // ^X shows the line as it is, and takes it away.
  writeFileSync(
    join(folder, ".zshrc"),
    `fpath=(${folder} $fpath); autoload -U compinit; compinit -u -D
     show() { print -r -- "[[$BUFFER]]"; BUFFER= }; zle -N show; bindkey '^X' show
     zle-line-init() { print READY; zle -D zle-line-init }; zle -N zle-line-init`,
  );
  const script = `
    zmodload zsh/zpty; zpty shell zsh -d -i; zpty -r shell said '*READY*'
    for line; do zpty -n -w shell "$line"$'\\t\\x18'; zpty -r shell said '*]]*'; print -r -- "$said"; done`;
  const cases = LINES.filter(([, offered]) => offered.length < 2);
  const typed = cases.map(([words]) => words.join(" "));
  const { status, stdout, stderr } = spawnSync("zsh", ["-f", "-c", script, "zsh", ...typed], {
    cwd: CWD,
    env: { ...process.env, ZDOTDIR: folder, TERM: "dumb" },
    timeout: 60_000,
    encoding: "utf8",
  });
  assert.deepEqual([status, stderr], [0, ""]);
  assert.deepEqual(
    [...stdout.matchAll(/\[\[(.*?)\]\]/g)].map((match) => match[1]!.trimEnd()),
    cases.map(([words, offered]) => [...words.slice(0, -1), offered[0] ?? words.at(-1)].join(" ")),
  );
});

test("zsh is told what each value is for, and what may be chosen", { skip: skipWithout("zsh") }, () => {
  const script = `
    _arguments() { print -l -- "$@" }
    _ringlun_sessions_end; _ringlun_completion`;
  const said = runShell("zsh", script, "autoload -U compinit; compinit -u -D").split("\n");
  assert.ok(said.includes("--json[print what the API says]"));
  assert.ok(
    said.includes(
      "(-c --config)-c[configuration of the program to ask (default: $RINGLUN_CONFIG or /etc/ringlun/ringlun.yaml)]:value:_files",
    ),
  );
  assert.ok(said.includes(":shell:(bash zsh fish)"));
});

test("a shell that there is no completion for: exit 2, and which there are", () => {
  const { status, stdout, stderr } = ringlun("completion", "csh");
  assert.deepEqual([status, stdout], [2, ""]);
  assert.match(stderr, /bash, zsh, fish/);
});

test("the manual page has every command and option, and roff has nothing to say against it", () => {
  const { status, stdout: page } = ringlun("manual");
  assert.equal(status, 0);
  for (const words of ["serve", "sessions end <id>", "log\\-level [level]", "completion <shell>"]) {
    assert.ok(page.includes(`\n.SS ${words}\n`), words);
  }
  assert.ok(page.includes("\n.B \\-c, \\-\\-config <file>\n"));
  assert.equal(page.match(/^\.B \\-\\-socket/gm)?.length, 1, "what many commands have is described once");
  assert.doesNotMatch(page, /default: \)/, "an empty list is no default");
  for (const section of ["NAME", "SYNOPSIS", "EXIT STATUS", "SIGNALS", "ENVIRONMENT", "FILES"]) {
    assert.ok(page.includes(`\n.SH ${section}\n`), section);
  }
  const groff = findProgram("groff");
  if (groff === undefined) return;
  const checked = spawnSync(groff, ["-man", "-ww", "-z", "-Tutf8"], { input: page, encoding: "utf8" });
  assert.deepEqual([checked.status, checked.stderr], [0, ""]);
});
