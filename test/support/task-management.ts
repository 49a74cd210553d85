/** Task management functions (RFC 7143 section 11.5.1) and what comes of them (section 11.6.1); like pdu.ts apart from the code under test. */

export const ABORT_TASK = 1;
export const ABORT_TASK_SET = 2;
export const CLEAR_ACA = 3;
export const CLEAR_TASK_SET = 4;
export const LOGICAL_UNIT_RESET = 5;
export const TARGET_WARM_RESET = 6;
export const TARGET_COLD_RESET = 7;
export const TASK_REASSIGN = 8;
// RFC 7144.
export const QUERY_TASK = 9;
export const QUERY_TASK_SET = 10;
export const I_T_NEXUS_RESET = 11;
export const QUERY_ASYNCHRONOUS_EVENT = 12;

export const FUNCTION_COMPLETE = 0;
export const TASK_DOES_NOT_EXIST = 1;
export const LUN_DOES_NOT_EXIST = 2;
export const FUNCTION_REJECTED = 255;
