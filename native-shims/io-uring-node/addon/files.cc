// Files and block devices, synchronously.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "napi-support.hh"

namespace {

// Reads and writes are system calls: as functions of the C library they are cancellation points (pthreads(7)), which in a program with
// threads costs two atomic operations each, and nobody cancels a thread here.

napi_value readAt(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int fd = args.integer(0);
  void* address = args.address(1);
  const size_t length = args.unsigned64(2);
  const off_t offset = args.signed64(3);
  return args.ok ? makeResult(env, syscall(SYS_pread64, fd, address, length, offset)) : nullptr;
}

napi_value writeAt(napi_env env, napi_callback_info info) {
  Arguments<5> args(env, info);
  const int fd = args.integer(0);
  iovec range{args.address(1), args.unsigned64(2)};
  const off_t offset = args.signed64(3);
  const int flags = args.integer(4);
  return args.ok ? makeResult(env, syscall(SYS_pwritev2, fd, &range, 1L, offset, 0L, flags)) : nullptr;
}

napi_value allocate(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int fd = args.integer(0);
  const int mode = args.integer(1);
  const off_t offset = args.signed64(2);
  const off_t length = args.signed64(3);
  return args.ok ? makeResult(env, fallocate(fd, mode, offset, length)) : nullptr;
}

napi_value writeBackError(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int fd = args.integer(0);
  // Waits for the write-back of a range where no file has pages, so for nothing; what it returns is the file's, not the range's.
  constexpr off64_t nowhere = off64_t{1} << 62;
  return args.ok ? makeResult(env, sync_file_range(fd, nowhere, 1, SYNC_FILE_RANGE_WAIT_BEFORE)) : nullptr;
}

napi_value seek(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const int fd = args.integer(0);
  const off_t offset = args.signed64(1);
  const int whence = args.integer(2);
  return args.ok ? makeResult(env, lseek(fd, offset, whence)) : nullptr;
}

napi_value fileSystemType(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int fd = args.integer(0);
  if (!args.ok) return nullptr;
  struct statfs status;
  if (fstatfs(fd, &status) < 0) return makeResult(env, -1);
  // Magic numbers are 32 bits wide; the field may have sign-extended them.
  return makeNumber(env, static_cast<uint32_t>(status.f_type));
}

napi_value lockFile(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int fd = args.integer(0);
  struct flock lock {};
  lock.l_type = args.boolean(1) ? F_WRLCK : F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = args.signed64(2);
  lock.l_len = args.signed64(3);
  if (!args.ok) return nullptr;
  int result = fcntl(fd, F_OFD_SETLK, &lock);
  // POSIX allows either number for a conflict; callers look for one.
  if (result < 0 && errno == EACCES) errno = EAGAIN;
  return makeResult(env, result);
}

napi_value closeDescriptor(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int fd = args.integer(0);
  return args.ok ? makeResult(env, close(fd)) : nullptr;
}

napi_value duplicate(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int fd = args.integer(0);
  return args.ok ? makeResult(env, fcntl(fd, F_DUPFD_CLOEXEC, 0)) : nullptr;
}

// The second argument, into which so many numbers are written.
double* answers(Arguments<2>& args, size_t count, const char* expected) {
  size_t length = 0;
  double* out = args.elements<double>(1, napi_float64_array, &length);
  if (args.ok && length < count) args.fail(expected);
  return out;
}

napi_value blockDevice(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int fd = args.integer(0);
  double* out = answers(args, 5, "five elements are expected");
  if (!args.ok) return nullptr;
  struct stat status;
  if (fstat(fd, &status) < 0) return makeResult(env, -1);
  if (!S_ISBLK(status.st_mode)) return makeNumber(env, -ENOTBLK);
  uint64_t sizeBytes = 0;
  int logicalBytes = 0;
  unsigned physicalBytes = 0;
  if (ioctl(fd, BLKGETSIZE64, &sizeBytes) < 0 || ioctl(fd, BLKSSZGET, &logicalBytes) < 0 ||
      ioctl(fd, BLKPBSZGET, &physicalBytes) < 0) {
    return makeResult(env, -1);
  }
  out[0] = static_cast<double>(sizeBytes);
  out[1] = logicalBytes;
  out[2] = physicalBytes;
  out[3] = major(status.st_rdev);
  out[4] = minor(status.st_rdev);
  return makeNumber(env, 0);
}

napi_value directIoAlignment(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int fd = args.integer(0);
  double* out = answers(args, 2, "two elements are expected");
  if (!args.ok) return nullptr;
#ifdef STATX_DIOALIGN
  struct statx status {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) < 0) return makeResult(env, -1);
  if ((status.stx_mask & STATX_DIOALIGN) && status.stx_dio_offset_align != 0) {
    out[0] = status.stx_dio_mem_align;
    out[1] = status.stx_dio_offset_align;
    return makeNumber(env, 0);
  }
#endif
  return makeNumber(env, -EOPNOTSUPP);
}

napi_value atomicWriteUnits(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int fd = args.integer(0);
  double* out = answers(args, 2, "two elements are expected");
  if (!args.ok) return nullptr;
  // Of Linux 6.11: the headers may be older, and have the fields as spare ones.
  constexpr unsigned WRITE_ATOMIC = 0x10000;
  constexpr size_t UNIT_MIN = 0xa8;
  constexpr size_t UNIT_MAX = 0xac;
  struct statx status {};
  if (statx(fd, "", AT_EMPTY_PATH, WRITE_ATOMIC, &status) < 0) return makeResult(env, -1);
  if ((status.stx_mask & WRITE_ATOMIC) == 0) return makeNumber(env, -EOPNOTSUPP);
  static_assert(sizeof(status) >= UNIT_MAX + sizeof(uint32_t));
  uint32_t units[2];
  memcpy(&units[0], reinterpret_cast<const char*>(&status) + UNIT_MIN, sizeof(uint32_t));
  memcpy(&units[1], reinterpret_cast<const char*>(&status) + UNIT_MAX, sizeof(uint32_t));
  if (units[1] == 0) return makeNumber(env, -EOPNOTSUPP);
  out[0] = units[0];
  out[1] = units[1];
  return makeNumber(env, 0);
}

}  // namespace

void registerFiles(napi_env env, napi_value exports) {
  setFunction(env, exports, "pread", readAt);
  setFunction(env, exports, "pwrite", writeAt);
  setFunction(env, exports, "fallocate", allocate);
  setFunction(env, exports, "writeBackError", writeBackError);
  setFunction(env, exports, "seek", seek);
  setFunction(env, exports, "fstatfsType", fileSystemType);
  setFunction(env, exports, "lockFile", lockFile);
  setFunction(env, exports, "closeFd", closeDescriptor);
  setFunction(env, exports, "dup", duplicate);
  setFunction(env, exports, "blockDevice", blockDevice);
  setFunction(env, exports, "directIoAlignment", directIoAlignment);
  setFunction(env, exports, "atomicWriteUnits", atomicWriteUnits);
}
