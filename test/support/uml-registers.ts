/**
 * Debian's user-mode-linux (6.1) knows of 2,696 bytes of a process' registers. Where the processor has more of them (AMX), Linux takes only all
 * from ptrace(PTRACE_SETREGSET), and the first process dies of that. What is preloaded here puts the rest behind them, in its initial state:
 * nobody has asked to use it.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const SOURCE = `
#include <cstdarg>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

using Ptrace = long (*)(__ptrace_request, ...);

static Ptrace original;
alignas(64) static unsigned char registers[65536];
static size_t registersBytes;

__attribute__((constructor)) static void find() {
  original = reinterpret_cast<Ptrace>(dlsym(RTLD_NEXT, "ptrace"));
}

extern "C" long ptrace(__ptrace_request request, ...) noexcept {
  va_list list;
  va_start(list, request);
  const pid_t process = va_arg(list, pid_t);
  void* const address = va_arg(list, void*);
  void* const data = va_arg(list, void*);
  va_end(list);
  if (request == PTRACE_SETREGSET && reinterpret_cast<long>(address) == NT_X86_XSTATE) {
    const iovec& given = *static_cast<const iovec*>(data);
    if (registersBytes == 0) {
      iovec all{registers, sizeof registers};
      if (original(PTRACE_GETREGSET, process, address, &all) != 0) return -1;
      registersBytes = all.iov_len;
    }
    if (given.iov_len < registersBytes) {
      memcpy(registers, given.iov_base, given.iov_len);
      memset(registers + given.iov_len, 0, registersBytes - given.iov_len);
      iovec all{registers, registersBytes};
      return original(request, process, address, &all);
    }
  }
  return original(request, process, address, data);
}
`;

const [compiler, ...FLAGS] = (process.env.CXX || "c++").split(" ");
export const COMPILER = compiler!;

/** Compiles it into the folder; the path for LD_PRELOAD. */
export function compileRegisters(folder: string): string {
  const library = join(folder, "registers.so");
  writeFileSync(`${library}.cc`, SOURCE);
  execFileSync(COMPILER, [...FLAGS, "-O2", "-shared", "-fPIC", "-o", library, `${library}.cc`, "-ldl"]);
  return library;
}
