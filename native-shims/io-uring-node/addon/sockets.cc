// Sockets: thin system calls; what they are called with is decided in sockets.ts.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "napi-support.hh"

namespace {

napi_value makeSocket(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int family = args.integer(0);
  const int type = args.integer(1);
  return args.ok ? makeResult(env, socket(family, type | SOCK_CLOEXEC, 0)) : nullptr;
}

// (numeric host, port, out) => length | -EINVAL
napi_value encodeSockaddr(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const std::string host = args.string(0);
  const std::string port = std::to_string(args.integer(1));
  size_t length = 0;
  uint8_t* out = args.elements<uint8_t>(2, napi_uint8_array, &length);
  if (!args.ok) return nullptr;
  // getaddrinfo would not see what comes behind a NUL.
  if (host.find('\0') != std::string::npos) return makeNumber(env, -EINVAL);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return makeNumber(env, -EINVAL);
  const size_t bytes = found->ai_addrlen;
  if (bytes <= length) memcpy(out, found->ai_addr, bytes);
  freeaddrinfo(found);
  return makeNumber(env, bytes <= length ? static_cast<double>(bytes) : -EINVAL);
}

napi_value bindSocket(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int fd = args.integer(0);
  size_t length = 0;
  const uint8_t* address = args.elements<uint8_t>(1, napi_uint8_array, &length);
  if (!args.ok) return nullptr;
  return makeResult(env, bind(fd, reinterpret_cast<const sockaddr*>(address), static_cast<socklen_t>(length)));
}

napi_value connectSocket(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int fd = args.integer(0);
  size_t length = 0;
  const uint8_t* address = args.elements<uint8_t>(1, napi_uint8_array, &length);
  if (!args.ok) return nullptr;
  return makeResult(env, connect(fd, reinterpret_cast<const sockaddr*>(address), static_cast<socklen_t>(length)));
}

napi_value listenSocket(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int fd = args.integer(0);
  const int backlog = args.integer(1);
  return args.ok ? makeResult(env, listen(fd, backlog)) : nullptr;
}

// (fd, peer) => { address, port, family } | -errno
napi_value socketAddress(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int fd = args.integer(0);
  const bool peer = args.boolean(1);
  if (!args.ok) return nullptr;
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  const int result = peer ? getpeername(fd, address, &length) : getsockname(fd, address, &length);
  if (result < 0) return makeResult(env, result);
  char host[NI_MAXHOST] = "";
  int port = 0;
  if (storage.ss_family == AF_INET || storage.ss_family == AF_INET6) {
    getnameinfo(address, length, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
    port = ntohs(storage.ss_family == AF_INET ? reinterpret_cast<sockaddr_in*>(address)->sin_port
                                              : reinterpret_cast<sockaddr_in6*>(address)->sin6_port);
  }
  napi_value object = nullptr, text = nullptr;
  napi_create_object(env, &object);
  napi_create_string_utf8(env, host, NAPI_AUTO_LENGTH, &text);
  napi_set_named_property(env, object, "address", text);
  setNumber(env, object, "port", port);
  setNumber(env, object, "family", storage.ss_family);
  return object;
}

napi_value setSocketOption(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int fd = args.integer(0);
  const int level = args.integer(1);
  const int option = args.integer(2);
  const int value = args.integer(3);
  return args.ok ? makeResult(env, setsockopt(fd, level, option, &value, sizeof value)) : nullptr;
}

napi_value getSocketOption(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const int fd = args.integer(0);
  const int level = args.integer(1);
  const int option = args.integer(2);
  if (!args.ok) return nullptr;
  int value = 0;
  socklen_t length = sizeof value;
  const int result = getsockopt(fd, level, option, &value, &length);
  return makeResult(env, result < 0 ? result : value);
}

napi_value shutdownSocket(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int fd = args.integer(0);
  const int how = args.integer(1);
  return args.ok ? makeResult(env, shutdown(fd, how)) : nullptr;
}

napi_value setNonBlocking(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int fd = args.integer(0);
  const bool on = args.boolean(1);
  if (!args.ok) return nullptr;
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return makeResult(env, flags);
  return makeResult(env, fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

}  // namespace

void registerSockets(napi_env env, napi_value exports) {
  setFunction(env, exports, "socket", makeSocket);
  setFunction(env, exports, "encodeSockaddr", encodeSockaddr);
  setFunction(env, exports, "bind", bindSocket);
  setFunction(env, exports, "connect", connectSocket);
  setFunction(env, exports, "listen", listenSocket);
  setFunction(env, exports, "socketAddress", socketAddress);
  setFunction(env, exports, "setSocketOption", setSocketOption);
  setFunction(env, exports, "getSocketOption", getSocketOption);
  setFunction(env, exports, "shutdown", shutdownSocket);
  setFunction(env, exports, "setNonBlocking", setNonBlocking);
}
