/** Programs run as in a container whose seccomp filter forbids io_uring. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** io_uring_setup has the same number on every architecture. */
const SOURCE = `
#include <cerrno>
#include <cstddef>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int, char** argv) {
  sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {4, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 100;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 101;
  execv(argv[1], argv + 1);
  return 102;
}
`;

/** A program that runs what its arguments say, a full path first. Made with the compiler that the addon needs, too. */
export function withoutIoUring(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "ringlun-seccomp-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const source = join(folder, "run.cc");
  writeFileSync(source, SOURCE);
  const program = join(folder, "run");
  const [compiler, ...flags] = (process.env.CXX || "c++").split(" ");
  execFileSync(compiler!, [...flags, "-o", program, source]);
  return program;
}
