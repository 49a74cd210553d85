// Threads: waking, measuring, placing.
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "napi-support.hh"

namespace {

napi_value makeEventfd(napi_env env, napi_callback_info) { return makeResult(env, eventfd(0, EFD_CLOEXEC)); }

napi_value signalEventfd(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int fd = args.integer(0);
  const uint64_t one = 1;
  return args.ok ? makeResult(env, write(fd, &one, sizeof one)) : nullptr;
}

napi_value threadCpuUs(napi_env env, napi_callback_info) {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return makeNumber(env, static_cast<double>(used.tv_sec) * 1e6 + static_cast<double>(used.tv_nsec) / 1e3);
}

napi_value threadId(napi_env env, napi_callback_info) { return makeResult(env, syscall(SYS_gettid)); }

napi_value setThreadAffinity(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  size_t count = 0;
  const int32_t* cpus = args.elements<int32_t>(0, napi_int32_array, &count);
  if (!args.ok) return nullptr;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (size_t at = 0; at < count; ++at) {
    if (cpus[at] < 0 || cpus[at] >= CPU_SETSIZE) return makeNumber(env, -EINVAL);
    CPU_SET(cpus[at], &set);
  }
  return makeResult(env, sched_setaffinity(0, sizeof set, &set));
}

}  // namespace

void registerThreads(napi_env env, napi_value exports) {
  setFunction(env, exports, "eventfd", makeEventfd);
  setFunction(env, exports, "eventfdSignal", signalEventfd);
  setFunction(env, exports, "threadCpuUs", threadCpuUs);
  setFunction(env, exports, "threadId", threadId);
  setFunction(env, exports, "setThreadAffinity", setThreadAffinity);
}
