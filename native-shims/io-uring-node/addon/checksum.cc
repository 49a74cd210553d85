// CRC32C for JavaScript: one range, or many ranges of one arena in one call.
#include "crc32c.hh"
#include "napi-support.hh"

namespace {

napi_value single(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  size_t length = 0;
  const uint8_t* bytes = args.elements<uint8_t>(0, napi_uint8_array, &length);
  const uint32_t seed = args.unsigned32(1);
  return args.ok ? makeNumber(env, crc32c(seed, bytes, length)) : nullptr;
}

napi_value batch(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  size_t arenaLength = 0;
  size_t words = 0;
  const uint8_t* arena = args.elements<uint8_t>(0, napi_uint8_array, &arenaLength);
  uint32_t* jobs = args.elements<uint32_t>(1, napi_uint32_array, &words);
  const uint64_t count = args.unsigned64(2);
  if (!args.ok) return nullptr;
  bool inside = count <= words / 4;
  for (uint64_t at = 0; inside && at < count; ++at) {
    inside = static_cast<uint64_t>(jobs[at * 4]) + jobs[at * 4 + 1] <= arenaLength;
  }
  if (!inside) {
    napi_throw_range_error(env, nullptr, "a CRC32C job is out of bounds");
    return nullptr;
  }
  for (uint64_t at = 0; at < count; ++at) {
    uint32_t* job = jobs + at * 4;
    job[3] = crc32c(job[2], arena + job[0], job[1]);
  }
  return nullptr;
}

// (name, bytes, seed) => number | -EOPNOTSUPP
napi_value by(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const std::string name = args.string(0);
  size_t length = 0;
  const uint8_t* bytes = args.elements<uint8_t>(1, napi_uint8_array, &length);
  const uint32_t seed = args.unsigned32(2);
  if (!args.ok) return nullptr;
  uint32_t result = 0;
  if (!crc32cBy(name.c_str(), seed, bytes, length, &result)) return makeNumber(env, -EOPNOTSUPP);
  return makeNumber(env, result);
}

napi_value implementations(napi_env env, napi_callback_info) {
  napi_value names = nullptr;
  napi_create_array(env, &names);
  for (uint32_t at = 0; const char* name = crc32cImplementation(at); ++at) {
    napi_value text = nullptr;
    napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text);
    napi_set_element(env, names, at, text);
  }
  return names;
}

}  // namespace

void registerChecksum(napi_env env, napi_value exports) {
  setFunction(env, exports, "crc32c", single);
  setFunction(env, exports, "crc32cBatch", batch);
  setFunction(env, exports, "crc32cBy", by);
  setFunction(env, exports, "crc32cImplementations", implementations);
}
