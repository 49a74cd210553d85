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
    ...defaultThreshold(thinThresholdBytes),
  };
  return { ...defaultModes, sizeBytes, savedModes: defaultModes, defaultModes, notReady: null };
}

/** What the mode pages have by default of the threshold that is configured. */
export function defaultThreshold(
  thinThresholdBytes: number | null,
): Pick<ModeValues, "thresholdEnabled" | "thresholdCount"> {
  return {
    thresholdEnabled: thinThresholdBytes !== null,
    thresholdCount: Math.min(Math.ceil((thinThresholdBytes ?? 0) / THRESHOLD_SET_BYTES), THRESHOLD_COUNT_MAX),
  };
}
