/** Vital product data that says how the device server behaves (SPC-5): Extended INQUIRY Data (86h), Mode Page Policy (87h). */
import type { LogicalUnit } from "../storage/logical-unit.js";
import type { Task } from "../task/task.js";
import type { Services } from "./command.js";
import { SENSE_BYTES_MAX } from "./sense.js";

const EXTENDED_BYTES = 60;
/** Offsets within the page, less its header. */
const ATTRIBUTES_BYTE = 1;
const HEADSUP = 0x04;
const ORDSUP = 0x02;
const SIMPSUP = 0x01;
const CACHE_BYTE = 2;
const V_SUP = 0x01;
const MAXIMUM_SENSE_LENGTH_BYTE = 9;

/**
 * All other fields are zero: no protection information, no groups, no priorities, no microcode, no self-test in the background.
 * V_SUP whatever WCE is at this moment: MODE SELECT can set it.
 */
export function fillExtendedInquiryData(_task: Task, services: Services, _unit: LogicalUnit, at: number): number {
  services.bytes[at + ATTRIBUTES_BYTE] = HEADSUP | ORDSUP | SIMPSUP;
  services.bytes[at + CACHE_BYTE] = V_SUP;
  services.bytes[at + MAXIMUM_SENSE_LENGTH_BYTE] = SENSE_BYTES_MAX;
  return EXTENDED_BYTES;
}

const ALL_PAGES = 0x3f;
const ALL_SUBPAGES = 0xff;
const POLICY_SHARED = 0x00;

/** 0 POLICY PAGE CODE    1 POLICY SUBPAGE CODE    2 MLUS (7), MODE PAGE POLICY (1-0): a unit has one set of mode pages for all. */
export function fillModePagePolicy(_task: Task, services: Services, _unit: LogicalUnit, at: number): number {
  services.bytes[at] = ALL_PAGES;
  services.bytes[at + 1] = ALL_SUBPAGES;
  services.bytes[at + 2] = POLICY_SHARED;
  return 4;
}
