/** The asymmetric access states as the configuration names them. */
import {
  ACCESS_STATE_NON_OPTIMIZED,
  ACCESS_STATE_OPTIMIZED,
  ACCESS_STATE_STANDBY,
  ACCESS_STATE_TRANSITIONING,
  ACCESS_STATE_UNAVAILABLE,
} from "../../../dataplane/scsi/access-state.js";
import type { AccessStateName } from "../../config/schema.js";

export const ACCESS_STATES: Readonly<Record<AccessStateName, number>> = {
  optimized: ACCESS_STATE_OPTIMIZED,
  "non-optimized": ACCESS_STATE_NON_OPTIMIZED,
  standby: ACCESS_STATE_STANDBY,
  unavailable: ACCESS_STATE_UNAVAILABLE,
  transitioning: ACCESS_STATE_TRANSITIONING,
};

export function accessStateName(state: number): AccessStateName {
  for (const [name, code] of Object.entries(ACCESS_STATES)) if (code === state) return name as AccessStateName;
  throw new Error(`there is no access state ${state}`);
}
