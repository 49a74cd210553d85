/**
 * Numbers of the kernel's user-space API, spelled as in <linux/io_uring.h> and the C library, less the prefix IORING_
 * or IOSQE_. The value is part of the kernel's stable ABI on x86-64 and arm64. "since" names the first kernel that
 * knows it: what is newer than 6.1 must be probed.
 */

// Opcodes.
export const OP_NOP = 0;
export const OP_READV = 1;
export const OP_WRITEV = 2;
export const OP_FSYNC = 3;
export const OP_READ_FIXED = 4;
export const OP_WRITE_FIXED = 5;
export const OP_POLL_ADD = 6;
export const OP_POLL_REMOVE = 7;
export const OP_SYNC_FILE_RANGE = 8;
export const OP_SENDMSG = 9;
export const OP_RECVMSG = 10;
export const OP_TIMEOUT = 11;
export const OP_TIMEOUT_REMOVE = 12;
export const OP_ACCEPT = 13;
export const OP_ASYNC_CANCEL = 14;
export const OP_LINK_TIMEOUT = 15;
export const OP_CONNECT = 16;
export const OP_FALLOCATE = 17;
export const OP_OPENAT = 18;
export const OP_CLOSE = 19;
export const OP_READ = 22;
export const OP_WRITE = 23;
export const OP_SEND = 26;
export const OP_RECV = 27;
export const OP_SPLICE = 30;
export const OP_SHUTDOWN = 34;
export const OP_MSG_RING = 40;
export const OP_SEND_ZC = 47;
export const OP_SENDMSG_ZC = 48;

// Flags of an SQE.
export const SQE_FIXED_FILE = 1 << 0;
export const SQE_IO_DRAIN = 1 << 1;
export const SQE_IO_LINK = 1 << 2;
export const SQE_IO_HARDLINK = 1 << 3;
export const SQE_ASYNC = 1 << 4;
export const SQE_BUFFER_SELECT = 1 << 5;
export const SQE_CQE_SKIP_SUCCESS = 1 << 6;

// Flags of a CQE; a selected buffer's number is `completionFlags >>> CQE_BUFFER_SHIFT`.
export const CQE_F_BUFFER = 1 << 0;
export const CQE_F_MORE = 1 << 1;
export const CQE_F_SOCK_NONEMPTY = 1 << 2;
export const CQE_F_NOTIF = 1 << 3;
/** Since 6.12. */
export const CQE_F_BUF_MORE = 1 << 4;
export const CQE_BUFFER_SHIFT = 16;

// ioprio of send and receive.
export const RECVSEND_POLL_FIRST = 1 << 0;
export const RECV_MULTISHOT = 1 << 1;
export const RECVSEND_FIXED_BUF = 1 << 2;
/** Since 6.2: the notification of a zero-copy send tells whether the kernel copied after all. */
export const SEND_ZC_REPORT_USAGE = 1 << 3;
/** Since 6.10: receives from several provided buffers at once. */
export const RECVSEND_BUNDLE = 1 << 4;
/** In the result of a notification (CQE_F_NOTIF) of a send with SEND_ZC_REPORT_USAGE: the data was copied. */
export const NOTIF_USAGE_ZC_COPIED = 0x8000_0000;

// ioprio of accept.
export const ACCEPT_MULTISHOT = 1 << 0;

// Flags of cancel.
export const ASYNC_CANCEL_ALL = 1 << 0;
export const ASYNC_CANCEL_FD = 1 << 1;
export const ASYNC_CANCEL_ANY = 1 << 2;
export const ASYNC_CANCEL_FD_FIXED = 1 << 3;

// Flags of timeout.
export const TIMEOUT_ABS = 1 << 0;
export const TIMEOUT_UPDATE = 1 << 1;
export const TIMEOUT_BOOTTIME = 1 << 2;
export const TIMEOUT_REALTIME = 1 << 3;
export const LINK_TIMEOUT_UPDATE = 1 << 4;
export const TIMEOUT_ETIME_SUCCESS = 1 << 5;
/** Since 6.4. */
export const TIMEOUT_MULTISHOT = 1 << 6;

// Flags of pollAdd, in the length word.
export const POLL_ADD_MULTI = 1 << 0;

// Flag of fsync.
export const FSYNC_DATASYNC = 1 << 0;

// Set-up flags. The ring always has those of RING_SETUP_FLAGS.
export const SETUP_CQSIZE = 1 << 3;
export const SETUP_CLAMP = 1 << 4;
export const SETUP_ATTACH_WQ = 1 << 5;
export const SETUP_SUBMIT_ALL = 1 << 7;
export const SETUP_COOP_TASKRUN = 1 << 8;
export const SETUP_TASKRUN_FLAG = 1 << 9;
export const SETUP_SINGLE_ISSUER = 1 << 12;
export const SETUP_DEFER_TASKRUN = 1 << 13;

// Bits of `Features.featureBits`.
export const FEAT_SINGLE_MMAP = 1 << 0;
export const FEAT_NODROP = 1 << 1;
export const FEAT_SUBMIT_STABLE = 1 << 2;
export const FEAT_FAST_POLL = 1 << 5;
export const FEAT_EXT_ARG = 1 << 8;
export const FEAT_CQE_SKIP = 1 << 11;
/** Since 6.10: RECVSEND_BUNDLE. */
export const FEAT_RECVSEND_BUNDLE = 1 << 14;
/** Since 6.12. */
export const FEAT_MIN_TIMEOUT = 1 << 15;
/** Since 6.15. */
export const FEAT_NO_IOWAIT = 1 << 17;

// fallocate.
export const FALLOC_FL_KEEP_SIZE = 0x01;
export const FALLOC_FL_PUNCH_HOLE = 0x02;
export const FALLOC_FL_COLLAPSE_RANGE = 0x08;
export const FALLOC_FL_ZERO_RANGE = 0x10;
export const FALLOC_FL_INSERT_RANGE = 0x20;
export const FALLOC_FL_UNSHARE_RANGE = 0x40;

// Per-operation flags of read and write.
export const RWF_HIPRI = 0x01;
export const RWF_DSYNC = 0x02;
export const RWF_SYNC = 0x04;
export const RWF_NOWAIT = 0x08;
export const RWF_APPEND = 0x10;
/** Since 6.11: all of the write or none of it, where the device and file system can. */
export const RWF_ATOMIC = 0x40;
/** Since 6.14: leave nothing in the page cache. */
export const RWF_DONTCACHE = 0x80;

// Message flags of sockets.
export const MSG_PEEK = 0x02;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_WAITALL = 0x100;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_MORE = 0x8000;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

export const SOCK_NONBLOCK = 0x800;
export const SOCK_CLOEXEC = 0x80000;

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

export const POLLIN = 0x0001;
export const POLLPRI = 0x0002;
export const POLLOUT = 0x0004;
export const POLLERR = 0x0008;
export const POLLHUP = 0x0010;
export const POLLNVAL = 0x0020;
export const POLLRDHUP = 0x2000;

export const SPLICE_F_MOVE = 0x01;
export const SPLICE_F_NONBLOCK = 0x02;
export const SPLICE_F_MORE = 0x04;

// Flags of open that are alike on x86-64 and arm64; O_DIRECT and O_DIRECTORY are not.
export const O_RDONLY = 0o0;
export const O_WRONLY = 0o1;
export const O_RDWR = 0o2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_DSYNC = 0o10000;
export const O_SYNC = 0o4010000;
export const O_CLOEXEC = 0o2000000;
export const O_DIRECT = process.arch === "arm64" ? 0o200000 : 0o40000;
export const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;

/** `whence` of lseek. */
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

/** The directory argument of openat that means the working directory. */
export const AT_FDCWD = -100;
