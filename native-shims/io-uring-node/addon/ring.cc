// Rings: set up, mapped, handed to JavaScript, entered, registered with, drained and closed. All on the thread that
// opened them.
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "kernel.hh"
#include "napi-support.hh"

namespace {

// The block that JavaScript and we share; its layout is in ring-memory.ts.
struct Control {
  double timeoutMs;
  double nowUs;
  int32_t minComplete;  // -1: submit only
  int32_t result;
  uint32_t finished;
  int32_t skipsQueued;
  int32_t reserved[8];
};
static_assert(sizeof(Control) == 64, "16 words");

struct Mapping {
  void* address = nullptr;
  size_t length = 0;
  napi_ref buffer = nullptr;
};

struct Ring {
  int fd = -1;
  // What io_uring_enter is called with: the fd, or its registered number (saves the look-up of the file).
  int enterFd = -1;
  unsigned enterFlags = 0;
  bool closed = false;
  double drainTimeoutMs = 0;
  int32_t* drained = nullptr;
  napi_ref drainedView = nullptr;
  Control control{};
  napi_ref controlBuffer = nullptr;
  Mapping rings;
  Mapping sqes;
  std::vector<Mapping> bufferRings;
  uint32_t* sqHead = nullptr;
  uint32_t* sqTail = nullptr;
  uint32_t* cqHead = nullptr;
  uint32_t* cqTail = nullptr;
  uint32_t sqMask = 0;
  uint32_t cqMask = 0;
  io_uring_cqe* cqes = nullptr;
};

uint32_t loadAcquire(const uint32_t* at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
void storeRelease(uint32_t* at, uint32_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }

double monotonicUs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

long enterAndWait(const Ring& ring, unsigned toSubmit, unsigned minComplete, double timeoutMs) {
  const unsigned flags = ring.enterFlags | IORING_ENTER_GETEVENTS;
  if (minComplete == 0) return uringEnter(ring.enterFd, toSubmit, 0, flags, nullptr, 0);
  const double ms = timeoutMs > 0 ? timeoutMs : 0;
  __kernel_timespec timeout{};
  timeout.tv_sec = static_cast<int64_t>(ms / 1e3);
  timeout.tv_nsec = static_cast<int64_t>((ms - static_cast<double>(timeout.tv_sec) * 1e3) * 1e6);
  io_uring_getevents_arg argument{};
  argument.ts = reinterpret_cast<uintptr_t>(&timeout);
  return uringEnter(ring.enterFd, toSubmit, minComplete, flags | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
}

// SQEs whose success has no CQE count as finished when the kernel has taken them: nobody would ever report their end.
void countSkips(Ring& ring, uint32_t from, uint32_t to, uint32_t tail) {
  const auto* sqes = static_cast<const io_uring_sqe*>(ring.sqes.address);
  for (uint32_t at = from; at != to; ++at) {
    if (sqes[at & ring.sqMask].flags & IOSQE_CQE_SKIP_SUCCESS) ++ring.control.finished;
  }
  if (to == tail) ring.control.skipsQueued = 0;
}

napi_value enter(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  Ring& ring = *static_cast<Ring*>(data);
  Control& control = ring.control;
  const uint32_t head = loadAcquire(ring.sqHead);
  const uint32_t tail = loadAcquire(ring.sqTail);
  long result = control.minComplete < 0
                    ? uringEnter(ring.enterFd, tail - head, 0, ring.enterFlags, nullptr, 0)
                    : enterAndWait(ring, tail - head, static_cast<unsigned>(control.minComplete), control.timeoutMs);
  if (control.skipsQueued != 0) countSkips(ring, head, loadAcquire(ring.sqHead), tail);
  // A signal, the end of the wait, or a shortage that passes (EAGAIN: memory; EBUSY: the CQ is full): the caller sees
  // what is there and comes again.
  if (result == -EINTR || result == -ETIME || result == -EAGAIN || result == -EBUSY) result = 0;
  control.result = result < 0 ? static_cast<int32_t>(result) : 0;
  control.nowUs = monotonicUs();
  return nullptr;
}

// Drops the completions that nobody has read, counting the SQEs that they end (a message or an untracked SQE has bit 31
// of user_data set).
void reap(Ring& ring) {
  uint32_t head = *ring.cqHead;
  const uint32_t tail = loadAcquire(ring.cqTail);
  for (; head != tail; ++head) {
    const io_uring_cqe& cqe = ring.cqes[head & ring.cqMask];
    if (!(cqe.flags & IORING_CQE_F_MORE) && !(cqe.user_data & 0x80000000u)) ++ring.control.finished;
  }
  storeRelease(ring.cqHead, head);
}

// Cancels all, and waits until the last CQE of every SQE that the kernel took has come. What is queued but not
// submitted stays undone.
bool drain(Ring& ring) {
  const double deadlineUs = monotonicUs() + ring.drainTimeoutMs * 1e3;
  for (;;) {
    reap(ring);
    if (ring.control.finished == loadAcquire(ring.sqHead)) return true;
    const double leftMs = (deadlineUs - monotonicUs()) / 1e3;
    if (leftMs <= 0) return false;
    io_uring_sync_cancel_reg cancel{};
    cancel.fd = -1;
    cancel.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    cancel.timeout.tv_nsec = 1000 * 1000;
    uringRegister(ring.fd, IORING_REGISTER_SYNC_CANCEL, &cancel, 1);
    enterAndWait(ring, 0, 1, std::min(leftMs, 20.0));
  }
}

void unmap(Mapping& mapping) {
  if (mapping.address != nullptr) munmap(mapping.address, mapping.length);
  mapping.address = nullptr;
}

// Ends the ring but for what JavaScript holds. Returns whether the kernel let go of everything.
bool closeRing(Ring& ring) {
  ring.closed = true;
  const bool drained = drain(ring);
  if (ring.enterFlags & IORING_ENTER_REGISTERED_RING) {
    io_uring_rsrc_update update{};
    update.offset = static_cast<uint32_t>(ring.enterFd);
    uringRegister(ring.fd, IORING_UNREGISTER_RING_FDS, &update, 1);
  }
  close(ring.fd);
  unmap(ring.rings);
  unmap(ring.sqes);
  for (Mapping& mapping : ring.bufferRings) unmap(mapping);
  if (ring.drained != nullptr) __atomic_store_n(ring.drained, drained ? 1 : -1, __ATOMIC_SEQ_CST);
  return drained;
}

// The environment ends with the ring open: process.exit, a worker that is terminated or crashed. No JavaScript runs any
// more.
void cleanUp(void* data) { closeRing(*static_cast<Ring*>(data)); }

void detach(napi_env env, napi_ref* reference) {
  if (*reference == nullptr) return;
  napi_value buffer = nullptr;
  napi_get_reference_value(env, *reference, &buffer);
  if (buffer != nullptr) napi_detach_arraybuffer(env, buffer);
  napi_delete_reference(env, *reference);
  *reference = nullptr;
}

void noFinalizer(napi_env, void*, void*) {}

// Makes an ArrayBuffer over memory that is ours. `reference` holds it, so that it can be detached.
napi_value expose(napi_env env, void* address, size_t length, napi_ref* reference) {
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, address, length, noFinalizer, nullptr, &buffer) != napi_ok) return nullptr;
  napi_create_reference(env, buffer, 1, reference);
  return buffer;
}

// Ends the ring for JavaScript too. Detached first: no object may lead to memory that is no longer mapped.
bool detachAndClose(napi_env env, Ring& ring) {
  detach(env, &ring.rings.buffer);
  detach(env, &ring.sqes.buffer);
  detach(env, &ring.controlBuffer);
  for (Mapping& mapping : ring.bufferRings) detach(env, &mapping.buffer);
  return closeRing(ring);
}

// False on a thread that is being stopped: no JavaScript runs on it any more. V8 refuses to detach a buffer then, and
// Node.js takes that for a fatal error.
bool canRunJavaScript(napi_env env) {
  napi_value object = nullptr;
  return napi_create_object(env, &object) == napi_ok && napi_object_freeze(env, object) == napi_ok;
}

void forget(napi_env env, Ring& ring) {
  napi_remove_env_cleanup_hook(env, cleanUp, &ring);
  if (ring.drainedView != nullptr) napi_delete_reference(env, ring.drainedView);
  ring.drainedView = nullptr;
}

// The handle was collected; if nobody closed the ring, nobody can any more.
void finalizeRing(napi_env env, void* data, void*) {
  Ring* ring = static_cast<Ring*>(data);
  if (!ring->closed) {
    if (canRunJavaScript(env)) {
      detachAndClose(env, *ring);
    } else {
      closeRing(*ring);
    }
    forget(env, *ring);
  }
  delete ring;
}

Ring* ringOf(napi_env env, napi_value handle) {
  void* data = nullptr;
  if (napi_get_value_external(env, handle, &data) != napi_ok || static_cast<Ring*>(data)->closed) {
    napi_throw_type_error(env, nullptr, "an open ring is expected");
    return nullptr;
  }
  return static_cast<Ring*>(data);
}

long map(Mapping& mapping, int fd, size_t length, off_t offset) {
  void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
  if (address == MAP_FAILED) return -errno;
  mapping.address = address;
  mapping.length = length;
  return 0;
}

template <typename Type>
Type* at(const Mapping& mapping, size_t offset) {
  return reinterpret_cast<Type*>(static_cast<char*>(mapping.address) + offset);
}

// Sets up and maps; 0 or -errno, with nothing left behind.
long setUp(Ring& ring, unsigned entries, io_uring_params& params) {
  long result = uringSetup(entries, &params);
  if (result < 0) return result;
  ring.fd = ring.enterFd = static_cast<int>(result);
  // Linux maps both queues as one since 5.4, so the larger end counts.
  const size_t sqLength = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
  const size_t cqLength = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
  result = map(ring.rings, ring.fd, std::max(sqLength, cqLength), IORING_OFF_SQ_RING);
  if (result == 0) result = map(ring.sqes, ring.fd, params.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES);
  if (result < 0) {
    unmap(ring.rings);
    close(ring.fd);
    return result;
  }
  ring.sqHead = at<uint32_t>(ring.rings, params.sq_off.head);
  ring.sqTail = at<uint32_t>(ring.rings, params.sq_off.tail);
  ring.cqHead = at<uint32_t>(ring.rings, params.cq_off.head);
  ring.cqTail = at<uint32_t>(ring.rings, params.cq_off.tail);
  ring.cqes = at<io_uring_cqe>(ring.rings, params.cq_off.cqes);
  ring.sqMask = params.sq_entries - 1;
  ring.cqMask = params.cq_entries - 1;
  // SQEs are submitted in the order of their slots, so the queue of slot numbers never changes.
  uint32_t* slots = at<uint32_t>(ring.rings, params.sq_off.array);
  for (uint32_t slot = 0; slot < params.sq_entries; ++slot) slots[slot] = slot;
  io_uring_rsrc_update update{};
  update.offset = ~0u;
  update.data = static_cast<uint64_t>(ring.fd);
  if (uringRegister(ring.fd, IORING_REGISTER_RING_FDS, &update, 1) == 1) {
    ring.enterFd = static_cast<int>(update.offset);
    ring.enterFlags = IORING_ENTER_REGISTERED_RING;
  }
  return 0;
}

// (entries, cqEntries, flags, drainTimeoutMs, drained?) => NativeRing | -errno
napi_value openRing(napi_env env, napi_callback_info info) {
  Arguments<5> args(env, info);
  io_uring_params params{};
  const unsigned entries = static_cast<unsigned>(args.integer(0));
  params.cq_entries = static_cast<unsigned>(args.integer(1));
  params.flags = static_cast<unsigned>(args.integer(2));
  Ring* ring = new Ring();
  ring->drainTimeoutMs = args.number(3);
  if (!args.missing(4)) {
    size_t length = 0;
    ring->drained = args.elements<int32_t>(4, napi_int32_array, &length);
    if (args.ok && length == 0) args.fail("drained has at least one element");
  }
  if (!args.ok) {
    delete ring;
    return nullptr;
  }
  const long result = setUp(*ring, entries, params);
  if (result < 0) {
    delete ring;
    return makeNumber(env, static_cast<double>(result));
  }
  if (ring->drained != nullptr) napi_create_reference(env, args.values[4], 1, &ring->drainedView);
  napi_add_env_cleanup_hook(env, cleanUp, ring);

  napi_value object = nullptr, handle = nullptr;
  napi_create_object(env, &object);
  napi_create_external(env, ring, finalizeRing, nullptr, &handle);
  napi_set_named_property(env, object, "handle", handle);
  setNumber(env, object, "fd", ring->fd);
  setNumber(env, object, "sqEntries", params.sq_entries);
  setNumber(env, object, "cqEntries", params.cq_entries);
  setNumber(env, object, "sqHeadOffset", params.sq_off.head);
  setNumber(env, object, "sqTailOffset", params.sq_off.tail);
  setNumber(env, object, "sqFlagsOffset", params.sq_off.flags);
  setNumber(env, object, "cqHeadOffset", params.cq_off.head);
  setNumber(env, object, "cqTailOffset", params.cq_off.tail);
  setNumber(env, object, "cqesOffset", params.cq_off.cqes);
  setNumber(env, object, "setupFlags", params.flags);
  setNumber(env, object, "featureBits", params.features);
  setFunction(env, object, "enter", enter, ring);
  napi_value rings = expose(env, ring->rings.address, ring->rings.length, &ring->rings.buffer);
  napi_value sqes = expose(env, ring->sqes.address, ring->sqes.length, &ring->sqes.buffer);
  napi_value control = expose(env, &ring->control, sizeof ring->control, &ring->controlBuffer);
  if (rings == nullptr || sqes == nullptr || control == nullptr) {
    napi_throw_error(env, nullptr, "this JavaScript engine has no external ArrayBuffers");
    return nullptr;
  }
  napi_set_named_property(env, object, "rings", rings);
  napi_set_named_property(env, object, "sqes", sqes);
  napi_set_named_property(env, object, "control", control);
  return object;
}

// (handle) => 1 | 0
napi_value closeRing(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  Ring* ring = args.ok ? ringOf(env, args.values[0]) : nullptr;
  if (ring == nullptr) return nullptr;
  const bool drained = detachAndClose(env, *ring);
  forget(env, *ring);
  return makeNumber(env, drained ? 1 : 0);
}

// (handle, Float64Array of address and length) => 0 | -errno
napi_value registerBuffers(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  size_t count = 0;
  const double* pairs = args.elements<double>(1, napi_float64_array, &count);
  Ring* ring = args.ok ? ringOf(env, args.values[0]) : nullptr;
  if (ring == nullptr) return nullptr;
  std::vector<iovec> regions(count / 2);
  for (size_t at = 0; at < regions.size(); ++at) {
    regions[at].iov_base = reinterpret_cast<void*>(static_cast<uintptr_t>(pairs[at * 2]));
    regions[at].iov_len = static_cast<size_t>(pairs[at * 2 + 1]);
  }
  const auto entries = static_cast<unsigned>(regions.size());
  return makeNumber(env, static_cast<double>(uringRegister(ring->fd, IORING_REGISTER_BUFFERS, regions.data(), entries)));
}

// (handle, Int32Array) => 0 | -errno
napi_value registerFileTable(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  size_t count = 0;
  const int32_t* fds = args.elements<int32_t>(1, napi_int32_array, &count);
  Ring* ring = args.ok ? ringOf(env, args.values[0]) : nullptr;
  if (ring == nullptr) return nullptr;
  const auto entries = static_cast<unsigned>(count);
  return makeNumber(env, static_cast<double>(uringRegister(ring->fd, IORING_REGISTER_FILES, fds, entries)));
}

// (handle, slot, fd) => number of updated slots | -errno
napi_value updateFile(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  int32_t fd = args.integer(2);
  io_uring_files_update update{};
  update.offset = static_cast<uint32_t>(args.integer(1));
  update.fds = reinterpret_cast<uintptr_t>(&fd);
  Ring* ring = args.ok ? ringOf(env, args.values[0]) : nullptr;
  if (ring == nullptr) return nullptr;
  return makeNumber(env, static_cast<double>(uringRegister(ring->fd, IORING_REGISTER_FILES_UPDATE, &update, 1)));
}

// (handle, group, entries) => ArrayBuffer | -errno
napi_value registerBufferRing(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const int32_t group = args.integer(1);
  const int32_t entries = args.integer(2);
  Ring* ring = args.ok ? ringOf(env, args.values[0]) : nullptr;
  if (ring == nullptr) return nullptr;
  if (entries < 1 || entries > 32768 || group < 0 || group > 0xffff) return makeNumber(env, -EINVAL);
  Mapping mapping;
  mapping.length = static_cast<size_t>(entries) * sizeof(io_uring_buf);
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
  void* address = mmap(nullptr, mapping.length, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (address == MAP_FAILED) return makeNumber(env, -errno);
  mapping.address = address;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(address);
  registration.ring_entries = static_cast<uint32_t>(entries);
  registration.bgid = static_cast<uint16_t>(group);
  const long result = uringRegister(ring->fd, IORING_REGISTER_PBUF_RING, &registration, 1);
  if (result < 0) {
    unmap(mapping);
    return makeNumber(env, static_cast<double>(result));
  }
  napi_value buffer = expose(env, mapping.address, mapping.length, &mapping.buffer);
  ring->bufferRings.push_back(mapping);
  return buffer;
}

// (handle, Uint8Array) => number of opcodes | -errno
napi_value probeOpcodes(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  size_t length = 0;
  uint8_t* supported = args.elements<uint8_t>(1, napi_uint8_array, &length);
  Ring* ring = args.ok ? ringOf(env, args.values[0]) : nullptr;
  if (ring == nullptr) return nullptr;
  constexpr unsigned operationsMax = 256;
  constexpr size_t bytes = sizeof(io_uring_probe) + operationsMax * sizeof(io_uring_probe_op);
  std::vector<uint64_t> memory(bytes / sizeof(uint64_t) + 1);
  auto* probe = reinterpret_cast<io_uring_probe*>(memory.data());
  const long result = uringRegister(ring->fd, IORING_REGISTER_PROBE, probe, operationsMax);
  if (result < 0) return makeNumber(env, static_cast<double>(result));
  unsigned count = 0;
  for (unsigned at = 0; at < probe->ops_len; ++at) {
    const io_uring_probe_op& operation = probe->ops[at];
    if (!(operation.flags & IO_URING_OP_SUPPORTED) || operation.op >= length) continue;
    supported[operation.op] = 1;
    ++count;
  }
  return makeNumber(env, count);
}

napi_value addressOf(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  size_t length = 0;
  const void* address = args.view(0, &length);
  return args.ok ? makeNumber(env, static_cast<double>(reinterpret_cast<uintptr_t>(address))) : nullptr;
}

napi_value adviseHugePages(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  size_t length = 0;
  const uintptr_t start = reinterpret_cast<uintptr_t>(args.view(0, &length));
  if (!args.ok) return nullptr;
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t from = (start + page - 1) & ~(page - 1);
  const uintptr_t to = (start + length) & ~(page - 1);
  if (from >= to) return makeNumber(env, 0);
  return makeResult(env, madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE));
}

napi_value now(napi_env env, napi_callback_info) { return makeNumber(env, monotonicUs()); }

}  // namespace

void registerRing(napi_env env, napi_value exports) {
  setFunction(env, exports, "openRing", openRing);
  setFunction(env, exports, "closeRing", closeRing);
  setFunction(env, exports, "registerBuffers", registerBuffers);
  setFunction(env, exports, "registerFiles", registerFileTable);
  setFunction(env, exports, "updateFile", updateFile);
  setFunction(env, exports, "registerBufferRing", registerBufferRing);
  setFunction(env, exports, "probeOpcodes", probeOpcodes);
  setFunction(env, exports, "addressOf", addressOf);
  setFunction(env, exports, "adviseHugePages", adviseHugePages);
  setFunction(env, exports, "monotonicUs", now);
}
