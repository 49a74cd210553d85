/** What a unit is like that can change while it is served, as it begins. */
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
