/** Programs run under a seccomp filter, as in a container or a hardened service. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder } from "./undo.js";

const EPERM = 1;

/** In the format that Docker, Podman and Kubernetes read; as much of it as we use. */
export interface SeccompProfile {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number;
  readonly syscalls: readonly SeccompRule[];
}

export type SeccompAction = "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number;
  /** All must hold. */
  readonly args?: readonly SeccompArgument[];
}

export interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: "SCMP_CMP_EQ" | "SCMP_CMP_NE" | "SCMP_CMP_MASKED_EQ";
}

/** A program that runs what its arguments say, a full path first. Made with the compiler that the addon needs, too. */
export function seccompProgram(context: TestContext, profile: SeccompProfile): string {
  const folder = temporaryFolder(context);
  const source = join(folder, "run.cc");
  writeFileSync(source, sourceOf(profile));
  const program = join(folder, "run");
  const [compiler, ...flags] = (process.env.CXX || "c++").split(" ");
  execFileSync(compiler!, [...flags, "-o", program, source]);
  return program;
}

/** io_uring_setup has the same number on every architecture. */
export function withoutIoUring(context: TestContext): string {
  return seccompProgram(context, {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["io_uring_setup"], action: "SCMP_ACT_ERRNO", errnoRet: EPERM }],
  });
}

function sourceOf({ defaultAction, defaultErrnoRet, syscalls }: SeccompProfile): string {
  return `
#include <cstddef>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, field)
#define NUMBER offsetof(seccomp_data, nr)
#define LOW_WORD_OF(argument) (offsetof(seccomp_data, args) + 8 * (argument))
#define SKIP_IF(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, count, 0)
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define MASK(value) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, value)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)

int main(int, char** argv) {
  static sock_filter filter[] = {
    LOAD(NUMBER),
${syscalls.flatMap((rule) => rule.names.map((name) => ruleSource(name, rule))).join("")}
    RETURN(${returned(defaultAction, defaultErrnoRet)}),
  };
  sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 100;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 101;
  execv(argv[1], argv + 1);
  return 102;
}
`;
}

/** A name that this architecture has not is left out. Whatever becomes of it, the number is loaded again behind it. */
function ruleSource(name: string, { action, errnoRet, args = [] }: SeccompRule): string {
  let instructions = [`RETURN(${returned(action, errnoRet)})`];
  for (const argument of args.toReversed()) instructions = [...test(argument, instructions.length), ...instructions];
  const all = [`SKIP_UNLESS(SYS_${name}, ${instructions.length})`, ...instructions, "LOAD(NUMBER)"];
  return `#ifdef SYS_${name}\n    ${all.join(", ")},\n#endif\n`;
}

/** Instructions that go on with the next one where it holds, and otherwise behind `count` further ones. */
function test({ index, value, valueTwo = 0, op }: SeccompArgument, count: number): string[] {
  const load = `LOAD(LOW_WORD_OF(${index}))`;
  switch (op) {
    case "SCMP_CMP_EQ":
      return [load, `SKIP_UNLESS(${value}u, ${count})`];
    case "SCMP_CMP_NE":
      return [load, `SKIP_IF(${value}u, ${count})`];
    case "SCMP_CMP_MASKED_EQ":
      return [load, `MASK(${value}u)`, `SKIP_UNLESS(${valueTwo}u, ${count})`];
  }
}

function returned(action: SeccompAction, errnoRet = EPERM): string {
  return action === "SCMP_ACT_ALLOW" ? "SECCOMP_RET_ALLOW" : `SECCOMP_RET_ERRNO | ${errnoRet}`;
}
