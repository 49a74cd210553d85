import type { CacheMode, UnitState } from "../../dataplane/messages.js";

/** As a unit is when it is opened. */
export function initialState(sizeBytes: number, cache: CacheMode): UnitState {
  return {
    sizeBytes,
    writeCacheEnabled: cache !== "writethrough",
    softwareWriteProtect: false,
    descriptorSense: false,
    notReady: null,
  };
}
