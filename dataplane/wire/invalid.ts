/**
 * Reasons of `invalid()`: what is illegal or inconsistent in a received header.
 *
 * RFC 7143 section 7.7 calls both a format error. Only rules that the PDU alone can break are here; what depends on
 * negotiated values, on the task or on the session is judged by those who know it. Reserved bits and fields are never
 * judged: "Any compliant receiver MUST ignore any bit not defined and all reserved fields" (section 11).
 */

export const VALID = 0;
export const INVALID_OPCODE = 1;
export const INVALID_FINAL = 2;
export const INVALID_CONTINUE = 3;
export const INVALID_IMMEDIATE = 4;
export const INVALID_TOTAL_AHS_LENGTH = 5;
export const INVALID_AHS_OVERRUN = 6;
export const INVALID_AHS_TYPE = 7;
export const INVALID_AHS_LENGTH = 8;
export const INVALID_BIDIRECTIONAL_AHS_MISSING = 9;
export const INVALID_DATA_SEGMENT_LENGTH = 10;
export const INVALID_INITIATOR_TASK_TAG = 11;
export const INVALID_TARGET_TRANSFER_TAG = 12;
export const INVALID_SNACK_TAG = 13;
export const INVALID_UNSOLICITED_WITHOUT_WRITE = 14;
export const INVALID_DIRECTION = 15;
export const INVALID_TASK_ATTRIBUTES = 16;
export const INVALID_RESIDUAL_FLAGS = 17;
export const INVALID_STATUS_WITHOUT_FINAL = 18;
export const INVALID_STATUS = 19;
export const INVALID_SENSE_MISSING = 20;
export const INVALID_SENSE_LENGTH = 21;
export const INVALID_RESPONSE = 22;
export const INVALID_EXP_DATA_SN = 23;
export const INVALID_REASON = 24;
export const INVALID_SNACK_TYPE = 25;
export const INVALID_BEG_RUN = 26;
export const INVALID_RUN_LENGTH = 27;
export const INVALID_STAGE = 28;
export const INVALID_ISID = 29;
export const INVALID_TSIH = 30;
export const INVALID_LOGIN_STATUS = 31;
export const INVALID_ASYNC_EVENT = 32;
export const INVALID_DESIRED_DATA_TRANSFER_LENGTH = 33;

/** Indexed by reason code. */
const TEXTS: readonly string[] = [
  "valid",
  "opcode is unassigned (11.2.1.2)",
  "F bit is 0 in a PDU whose format fixes it at 1 (11)",
  "C bit is 1 together with the F or T bit (6.2)",
  "I bit is 0 in a PDU that must be immediate (11.5.1, 11.18.1)",
  "TotalAHSLength is not 0 in a PDU without additional header segments (11.2.1.5)",
  "additional header segment runs past TotalAHSLength (11.2.2.2)",
  "AHSType is reserved (11.2.2.1)",
  "AHSLength does not fit the AHSType (11.2.2.3, 11.2.2.4)",
  "R and W bits are both 1 without a Bidirectional Read Expected Data Transfer Length (11.3.4)",
  "DataSegmentLength is outside of what this PDU may carry (11.2.1.6)",
  "Initiator Task Tag is reserved where a task is named, or names one where it must be reserved (11.2.1.8)",
  "Target Transfer Tag is missing, or present where it must be reserved (11.7.4 to 11.19.1)",
  "SNACK Tag is 0 or 0xffffffff (11.16.5)",
  "W and F bits are both 0 (11.3.1)",
  "data is expected, but R and W bits are both 0 (11.3.1)",
  "task attribute is reserved (11.3.1)",
  "overflow and underflow bits are both 1 (11.4.1)",
  "S bit is 1 while the F bit is 0 (11.7.3)",
  "status must not be sent in a Data-In PDU (11.7.3)",
  "CHECK CONDITION without sense data (11.4.7)",
  "SenseLength runs past the data segment (11.4.7.1)",
  "response code is reserved (11.4.3, 11.6.1, 11.15.1)",
  "ExpDataSN is not 0 in a response other than Command Completed at Target (11.4.8)",
  "reason code is reserved (11.14.1, 11.17.1)",
  "SNACK type is reserved (11.16.1)",
  "BegRun is not 0 in an R-Data SNACK (11.16.6)",
  "RunLength is not 0 in a DataACK or R-Data SNACK (11.16.7)",
  "stage or stage transition is illegal (6.3, 11.12.3)",
  "ISID format is reserved (11.12.5)",
  "TSIH is 0 in the response that ends the Login Phase (11.13.3)",
  "Status-Class is unassigned (11.13.5)",
  "AsyncEvent is unassigned (11.9.1)",
  "Desired Data Transfer Length is 0 (11.8.4)",
];

/** A code that section 11 reserves: its receipt "MUST be reported as a protocol error". */
export function isReservedCode(code: number): boolean {
  return (
    code === INVALID_AHS_TYPE ||
    code === INVALID_TASK_ATTRIBUTES ||
    code === INVALID_REASON ||
    code === INVALID_SNACK_TYPE
  );
}

/** One phrase for logs; the numbers in brackets are sections of RFC 7143. */
export function describeInvalid(code: number): string {
  return TEXTS[code] ?? `unknown reason ${code}`;
}
