// Files and block devices on the threads of libuv's pool, for a thread that must not wait: each call is a promise of its result.
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <new>

#include "napi-support.hh"

namespace {

// One call, from its start on the JavaScript thread over a thread of the pool back to the JavaScript thread, which frees it.
struct Call {
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  int64_t (*run)(const Call&) = nullptr;
  int fd = -1;
  int otherFd = -1;
  int flags = 0;
  void* address = nullptr;
  size_t length = 0;
  off64_t offset = 0;
  off64_t otherOffset = 0;
  int64_t result = 0;
};

void execute(napi_env, void* data) {
  Call* call = static_cast<Call*>(data);
  const int64_t result = call->run(*call);
  call->result = result < 0 ? -errno : result;
}

void complete(napi_env env, napi_status status, void* data) {
  Call* call = static_cast<Call*>(data);
  if (status == napi_cancelled) call->result = -ECANCELED;
  napi_resolve_deferred(env, call->deferred, makeNumber(env, static_cast<double>(call->result)));
  napi_delete_async_work(env, call->work);
  delete call;
}

napi_value begin(napi_env env, const Call& prototype) {
  Call* call = new (std::nothrow) Call(prototype);
  if (call == nullptr) return nullptr;
  napi_value promise = nullptr;
  napi_value name = nullptr;
  napi_create_promise(env, &call->deferred, &promise);
  napi_create_string_utf8(env, "io-uring-node", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, nullptr, name, execute, complete, call, &call->work);
  if (napi_queue_async_work(env, call->work) != napi_ok) complete(env, napi_cancelled, call);
  return promise;
}

int64_t runRead(const Call& call) { return pread(call.fd, call.address, call.length, call.offset); }

int64_t runWrite(const Call& call) {
  iovec range{call.address, call.length};
  return pwritev2(call.fd, &range, 1, call.offset, call.flags);
}

int64_t runSynchronize(const Call& call) { return fdatasync(call.fd); }

int64_t runAllocate(const Call& call) {
  return fallocate(call.fd, call.flags, call.offset, static_cast<off_t>(call.length));
}

int64_t runSeek(const Call& call) { return lseek(call.fd, call.offset, call.flags); }

int64_t runCopy(const Call& call) {
  off64_t from = call.offset;
  off64_t to = call.otherOffset;
  return copy_file_range(call.fd, &from, call.otherFd, &to, call.length, 0);
}

napi_value readAt(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  Call call;
  call.run = runRead;
  call.fd = args.integer(0);
  call.address = args.address(1);
  call.length = args.unsigned64(2);
  call.offset = args.signed64(3);
  return args.ok ? begin(env, call) : nullptr;
}

napi_value writeAt(napi_env env, napi_callback_info info) {
  Arguments<5> args(env, info);
  Call call;
  call.run = runWrite;
  call.fd = args.integer(0);
  call.address = args.address(1);
  call.length = args.unsigned64(2);
  call.offset = args.signed64(3);
  call.flags = args.integer(4);
  return args.ok ? begin(env, call) : nullptr;
}

napi_value synchronize(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  Call call;
  call.run = runSynchronize;
  call.fd = args.integer(0);
  return args.ok ? begin(env, call) : nullptr;
}

napi_value allocate(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  Call call;
  call.run = runAllocate;
  call.fd = args.integer(0);
  call.flags = args.integer(1);
  call.offset = args.signed64(2);
  call.length = args.unsigned64(3);
  return args.ok ? begin(env, call) : nullptr;
}

napi_value seek(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  Call call;
  call.run = runSeek;
  call.fd = args.integer(0);
  call.offset = args.signed64(1);
  call.flags = args.integer(2);
  return args.ok ? begin(env, call) : nullptr;
}

napi_value copyRange(napi_env env, napi_callback_info info) {
  Arguments<5> args(env, info);
  Call call;
  call.run = runCopy;
  call.fd = args.integer(0);
  call.offset = args.signed64(1);
  call.otherFd = args.integer(2);
  call.otherOffset = args.signed64(3);
  call.length = args.unsigned64(4);
  return args.ok ? begin(env, call) : nullptr;
}

}  // namespace

void registerAsyncFiles(napi_env env, napi_value exports) {
  setFunction(env, exports, "preadAsync", readAt);
  setFunction(env, exports, "pwriteAsync", writeAt);
  setFunction(env, exports, "fdatasyncAsync", synchronize);
  setFunction(env, exports, "fallocateAsync", allocate);
  setFunction(env, exports, "seekAsync", seek);
  setFunction(env, exports, "copyFileRangeAsync", copyRange);
}
