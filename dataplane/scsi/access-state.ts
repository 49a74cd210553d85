/**
 * Asymmetric access states of target port groups (SPC-5, asymmetric logical unit access): which commands each of them lets
 * through is a matter of the command table, how the others are refused stands here.
 */
import { COMMAND_RUNS_IN_STANDBY, COMMAND_RUNS_IN_TRANSITION, COMMAND_RUNS_IN_UNAVAILABLE } from "./command.js";
import {
  ASYMMETRIC_ACCESS_STATE_TRANSITION,
  type Sense,
  TARGET_PORT_IN_STANDBY_STATE,
  TARGET_PORT_IN_UNAVAILABLE_STATE,
} from "./sense.js";

/** As REPORT TARGET PORT GROUPS tells them. Offline is a state of single ports, which ours do not have. */
export const ACCESS_STATE_OPTIMIZED = 0x0;
export const ACCESS_STATE_NON_OPTIMIZED = 0x1;
export const ACCESS_STATE_STANDBY = 0x2;
export const ACCESS_STATE_UNAVAILABLE = 0x3;
export const ACCESS_STATE_TRANSITIONING = 0xf;

/** The bit that a command has to have to run in this state; 0: every command runs. */
export function accessBit(state: number): number {
  switch (state) {
    case ACCESS_STATE_STANDBY:
      return COMMAND_RUNS_IN_STANDBY;
    case ACCESS_STATE_UNAVAILABLE:
      return COMMAND_RUNS_IN_UNAVAILABLE;
    case ACCESS_STATE_TRANSITIONING:
      return COMMAND_RUNS_IN_TRANSITION;
    default:
      return 0;
  }
}

/** What a command is told that does not run in this state; null: every command runs. */
export function accessSense(state: number): Sense | null {
  switch (state) {
    case ACCESS_STATE_STANDBY:
      return TARGET_PORT_IN_STANDBY_STATE;
    case ACCESS_STATE_UNAVAILABLE:
      return TARGET_PORT_IN_UNAVAILABLE_STATE;
    case ACCESS_STATE_TRANSITIONING:
      return ASYMMETRIC_ACCESS_STATE_TRANSITION;
    default:
      return null;
  }
}
