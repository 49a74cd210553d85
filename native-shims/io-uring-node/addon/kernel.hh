// io_uring's system calls. <linux/io_uring.h> may be as old as Linux 6.1; newer constants would be defined here.
#pragma once

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#ifndef IORING_SETUP_DEFER_TASKRUN
#error "<linux/io_uring.h> is older than Linux 6.1: install newer kernel headers"
#endif

// The result, or -errno.
inline long uringResult(long result) { return result < 0 ? -errno : result; }

inline long uringSetup(unsigned entries, io_uring_params* params) {
  return uringResult(syscall(__NR_io_uring_setup, entries, params));
}

inline long uringEnter(int fd, unsigned toSubmit, unsigned minComplete, unsigned flags, const void* argument,
                       size_t size) {
  return uringResult(syscall(__NR_io_uring_enter, fd, toSubmit, minComplete, flags, argument, size));
}

inline long uringRegister(int fd, unsigned operation, const void* argument, unsigned count) {
  return uringResult(syscall(__NR_io_uring_register, fd, operation, argument, count));
}
