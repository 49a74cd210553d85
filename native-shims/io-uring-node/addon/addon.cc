// The module: every part adds its functions to the exports.
#include "napi-support.hh"

NAPI_MODULE_INIT() {
  registerRing(env, exports);
  registerChecksum(env, exports);
  registerFiles(env, exports);
  registerAsyncFiles(env, exports);
  registerSockets(env, exports);
  registerThreads(env, exports);
  return exports;
}
