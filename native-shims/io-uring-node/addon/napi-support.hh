// Small helpers over Node-API. A wrong argument is a programmer's error and throws TypeError. Numbers are checked, not
// cut to size: NaN or 2^32 in place of a descriptor must not become descriptor 0.
#pragma once

#define NAPI_VERSION 8
#include <node_api.h>

#include <cerrno>
#include <cstdint>
#include <string>

// The largest whole number that a double holds exactly, with all below it.
constexpr int64_t WHOLE_MAX = (int64_t{1} << 53) - 1;

// The arguments of one call. After a failed conversion a JavaScript exception is pending, `ok` is false and values are
// zero.
template <size_t Count>
struct Arguments {
  napi_env env;
  napi_value values[Count > 0 ? Count : 1];
  bool ok = true;

  Arguments(napi_env environment, napi_callback_info info) : env(environment) {
    size_t count = Count;
    const napi_status status = napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
    if (status != napi_ok || count < Count) fail("too few arguments");
  }

  void fail(const char* message) {
    if (ok) napi_throw_type_error(env, nullptr, message);
    ok = false;
  }

  double number(size_t at) {
    double value = 0;
    if (ok && napi_get_value_double(env, values[at], &value) != napi_ok) fail("a number is expected");
    return value;
  }

  // A whole number from `least` to `most`, which lie within +-2^53.
  int64_t whole(size_t at, int64_t least, int64_t most) {
    const double value = number(at);
    const bool inside = value >= static_cast<double>(least) && value <= static_cast<double>(most);
    const int64_t result = inside ? static_cast<int64_t>(value) : 0;
    if (!inside || static_cast<double>(result) != value) fail("a whole number is expected, or it is out of range");
    return ok ? result : 0;
  }

  int32_t integer(size_t at) { return static_cast<int32_t>(whole(at, INT32_MIN, INT32_MAX)); }

  uint32_t unsigned32(size_t at) { return static_cast<uint32_t>(whole(at, 0, UINT32_MAX)); }

  uint64_t unsigned64(size_t at) { return static_cast<uint64_t>(whole(at, 0, WHOLE_MAX)); }

  int64_t signed64(size_t at) { return whole(at, -WHOLE_MAX, WHOLE_MAX); }

  void* address(size_t at) { return reinterpret_cast<void*>(static_cast<uintptr_t>(unsigned64(at))); }

  bool boolean(size_t at) {
    bool value = false;
    if (ok && napi_get_value_bool(env, values[at], &value) != napi_ok) fail("a boolean is expected");
    return value;
  }

  std::string string(size_t at) {
    size_t length = 0;
    if (!ok || napi_get_value_string_utf8(env, values[at], nullptr, 0, &length) != napi_ok) {
      fail("a string is expected");
      return {};
    }
    std::string text(length, '\0');
    napi_get_value_string_utf8(env, values[at], text.data(), length + 1, &length);
    return text;
  }

  bool missing(size_t at) {
    napi_valuetype type = napi_undefined;
    return !ok || napi_typeof(env, values[at], &type) != napi_ok || type == napi_undefined;
  }

  // The elements of a typed array of one type; `length` counts elements.
  template <typename Element>
  Element* elements(size_t at, napi_typedarray_type type, size_t* length) {
    napi_typedarray_type actual;
    void* data = nullptr;
    *length = 0;
    if (!ok) return nullptr;
    const napi_status status = napi_get_typedarray_info(env, values[at], &actual, length, &data, nullptr, nullptr);
    if (status != napi_ok || actual != type) {
      fail("a typed array of another type is expected");
      *length = 0;
      return nullptr;
    }
    return static_cast<Element*>(data);
  }

  // The memory of any view.
  void* view(size_t at, size_t* byteLength) {
    // By napi_typedarray_type, up to bigint64, biguint64 and float16 (Node.js 24). What is newer is refused.
    constexpr size_t elementBytes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 2};
    constexpr size_t types = sizeof elementBytes / sizeof elementBytes[0];
    // Node-API leaves it alone where it does not know the type itself.
    napi_typedarray_type type = static_cast<napi_typedarray_type>(types);
    void* data = nullptr;
    *byteLength = 0;
    if (!ok) return nullptr;
    if (napi_get_typedarray_info(env, values[at], &type, byteLength, &data, nullptr, nullptr) == napi_ok) {
      if (type < types) {
        *byteLength *= elementBytes[type];
        return data;
      }
      *byteLength = 0;
      fail("a typed array of an unknown type");
      return nullptr;
    }
    if (napi_get_dataview_info(env, values[at], byteLength, &data, nullptr, nullptr) == napi_ok) return data;
    fail("a view of an ArrayBuffer is expected");
    return nullptr;
  }
};

inline napi_value makeNumber(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

// A system call's outcome: its result, or -errno.
inline napi_value makeResult(napi_env env, int64_t result) {
  return makeNumber(env, static_cast<double>(result < 0 ? -errno : result));
}

inline void setNumber(napi_env env, napi_value object, const char* name, double value) {
  napi_set_named_property(env, object, name, makeNumber(env, value));
}

inline void setFunction(napi_env env, napi_value object, const char* name, napi_callback callback,
                        void* data = nullptr) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function);
  napi_set_named_property(env, object, name, function);
}

void registerRing(napi_env env, napi_value exports);
void registerChecksum(napi_env env, napi_value exports);
void registerFiles(napi_env env, napi_value exports);
void registerAsyncFiles(napi_env env, napi_value exports);
void registerSockets(napi_env env, napi_value exports);
void registerThreads(napi_env env, napi_value exports);
