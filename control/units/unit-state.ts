/** What of a unit can change, as it is when the unit is opened. */
import type { CacheMode, ModeValues, UnitState } from "../../dataplane/messages.js";
import { THRESHOLD_COUNT_MAX, THRESHOLD_SET_BYTES } from "../../dataplane/scsi/mapping-resources.js";

/** `thinThresholdBytes`: null, where no threshold is configured. */
export function initialState(sizeBytes: number, cache: CacheMode, thinThresholdBytes: number | null = null): UnitState {
  const defaultModes: ModeValues = {
    writeCacheEnabled: cache !== "writethrough",
    softwareWriteProtect: false,
    descriptorSense: false,
    thresholdReports: true,
    thresholdEnabled: thinThresholdBytes !== null,
    thresholdCount: Math.min(Math.ceil((thinThresholdBytes ?? 0) / THRESHOLD_SET_BYTES), THRESHOLD_COUNT_MAX),
  };
  return { ...defaultModes, sizeBytes, savedModes: defaultModes, defaultModes, notReady: null };
}
