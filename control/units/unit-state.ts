/** What of a unit can change, as it is when the unit is opened. */
import type { CacheMode, ModeValues, UnitState } from "../../dataplane/messages.js";

export function initialState(sizeBytes: number, cache: CacheMode, saved: ModeValues | null = null): UnitState {
  const defaultModes: ModeValues = {
    writeCacheEnabled: cache !== "writethrough",
    softwareWriteProtect: false,
    descriptorSense: false,
  };
  const savedModes = saved ?? defaultModes;
  return { ...savedModes, sizeBytes, savedModes, defaultModes, notReady: null };
}
