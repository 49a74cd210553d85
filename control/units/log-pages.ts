/**
 * Log pages (SPC-5; Logical Block Provisioning is SBC-4's). Everything in them is measured or counted; what this target has no
 * way to know, a temperature for instance, is told as not known. Parameters are binary lists, so that PAGE CONTROL does not
 * count, but for the counters of which the default is zero.
 *
 *     page         0 DS (7), SPF (6), PAGE CODE    1 SUBPAGE CODE    2-3 length of what follows    4- parameters
 *     parameter    0-1 PARAMETER CODE    2 DU, TSD (5), ..., FORMAT AND LINKING (1-0)    3 length of what follows    4- value
 */
import type { UnitRecord } from "../../dataplane/messages.js";
import {
  hasMappingResources,
  THRESHOLD_COUNT_MAX,
  THRESHOLD_SET_BYTES,
} from "../../dataplane/scsi/mapping-resources.js";
import { SENSE_KEY_HARDWARE_ERROR } from "../../dataplane/scsi/sense.js";
import { setUint64 } from "../../dataplane/scsi/uint64.js";
import {
  ERRORS,
  READ_BYTES,
  READ_FAILURES,
  READ_TIMES,
  READS,
  VERIFIED_BYTES,
  VERIFY_FAILURES,
  WRITE_FAILURES,
  WRITE_TIMES,
  WRITES,
  WRITTEN_BYTES,
} from "../../dataplane/statistics.js";
import type { MappingResources } from "./mapping-resources.js";

export interface LogParameter {
  readonly code: number;
  /** TSD, and FORMAT AND LINKING. */
  readonly control: number;
  readonly value: Uint8Array;
}

/** What there is to know about a unit. */
export interface LogSources {
  measure(unit: UnitRecord): Promise<MappingResources | null>;
  /** What was counted of its commands since the log was reset: doubles as dataplane/statistics.ts has them. */
  counted(unit: UnitRecord): Float64Array;
}

export interface LogPage {
  readonly code: number;
  isFor(unit: UnitRecord): boolean;
  /** LOG SELECT can set its counters to zero. */
  readonly isResettable: boolean;
  /** In ascending order of their codes. `isDefault`: the default values are asked for, not the current ones. */
  parameters(unit: UnitRecord, sources: LogSources, isDefault: boolean): Promise<LogParameter[]>;
}

/** TSD=1: the target saves none by itself. A data counter, a list in ASCII, one in binary. */
const COUNTER = 0x20;
const BINARY_LIST = 0x23;
const ASCII_LIST = 0x21;

function parameter(code: number, value: Uint8Array, control = BINARY_LIST): LogParameter {
  return { code, control, value };
}

function forAll(): boolean {
  return true;
}

// -- 02h, 03h, 05h, 06h

const TOTAL_BYTES_PROCESSED = 0x0005;
const TOTAL_UNCORRECTED_ERRORS = 0x0006;
const NON_MEDIUM_ERROR_COUNT = 0x0000;

function counter(code: number, count: number): LogParameter {
  const value = new DataView(new ArrayBuffer(8));
  setUint64(value, 0, count);
  return parameter(code, new Uint8Array(value.buffer), COUNTER);
}

/**
 * What was moved, and what could not be: indexes of dataplane/statistics.ts. What the storage beneath has corrected, or how
 * often it has tried again, nobody tells us: those counters are not there.
 */
function errorCounters(code: number, bytes: number, failures: number): LogPage {
  return {
    code,
    isFor: forAll,
    isResettable: true,
    async parameters(unit, sources, isDefault) {
      const counted = isDefault ? new Float64Array(VERIFIED_BYTES + 1) : sources.counted(unit);
      return [counter(TOTAL_BYTES_PROCESSED, counted[bytes]!), counter(TOTAL_UNCORRECTED_ERRORS, counted[failures]!)];
    },
  };
}

const WRITE_ERROR_COUNTERS = errorCounters(0x02, WRITTEN_BYTES, WRITE_FAILURES);
const READ_ERROR_COUNTERS = errorCounters(0x03, READ_BYTES, READ_FAILURES);
const VERIFY_ERROR_COUNTERS = errorCounters(0x05, VERIFIED_BYTES, VERIFY_FAILURES);

/** Failures of storage that were no block's. */
const NON_MEDIUM_ERRORS: LogPage = {
  code: 0x06,
  isFor: forAll,
  isResettable: true,
  async parameters(unit, sources, isDefault) {
    const count = isDefault ? 0 : sources.counted(unit)[ERRORS + SENSE_KEY_HARDWARE_ERROR]!;
    return [counter(NON_MEDIUM_ERROR_COUNT, count)];
  },
};

// -- 0Ch

const AVAILABLE_LBA_MAPPING_RESOURCE_COUNT = 0x0001;
const USED_LBA_MAPPING_RESOURCE_COUNT = 0x0002;
/** SCOPE: of this unit alone, and shared with others. */
const SCOPE_DEDICATED = 0x01;
const SCOPE_SHARED = 0x02;

/** 0-3 RESOURCE COUNT    4 SCOPE */
function resourceCount(code: number, bytes: number, scope: number): LogParameter {
  const value = Buffer.alloc(8);
  value.writeUInt32BE(Math.min(Math.floor(bytes / THRESHOLD_SET_BYTES), THRESHOLD_COUNT_MAX));
  value[4] = scope;
  return parameter(code, value);
}

const LOGICAL_BLOCK_PROVISIONING: LogPage = {
  code: 0x0c,
  isFor: hasMappingResources,
  isResettable: false,
  async parameters(unit, sources) {
    const measured = await sources.measure(unit);
    if (measured === null) return [];
    // What is used in part is used: of a unit that has anything it never says nothing.
    const usedBytes = Math.ceil(measured.usedBytes / THRESHOLD_SET_BYTES) * THRESHOLD_SET_BYTES;
    return [
      resourceCount(AVAILABLE_LBA_MAPPING_RESOURCE_COUNT, measured.availableBytes, SCOPE_SHARED),
      resourceCount(USED_LBA_MAPPING_RESOURCE_COUNT, usedBytes, SCOPE_DEDICATED),
    ];
  },
};

// -- 0Dh, 0Eh, 2Fh

/** "not able to return a valid temperature despite including the page" */
const TEMPERATURE_UNKNOWN = 0xff;

const TEMPERATURE: LogPage = {
  code: 0x0d,
  isFor: forAll,
  isResettable: false,
  async parameters() {
    const unknown = Uint8Array.of(0, TEMPERATURE_UNKNOWN);
    return [parameter(0x0000, unknown), parameter(0x0001, unknown)];
  },
};

/** Year and week in ASCII, both blank: not known. */
const DATE_UNKNOWN = Buffer.from(" ".repeat(6));

/** Dates of manufacture and of accounting, and cycles: there is no motor that would start or stop. */
const START_STOP_CYCLE_COUNTER: LogPage = {
  code: 0x0e,
  isFor: forAll,
  isResettable: false,
  async parameters() {
    return [
      parameter(0x0001, DATE_UNKNOWN, ASCII_LIST),
      parameter(0x0002, DATE_UNKNOWN, ASCII_LIST),
      parameter(0x0004, new Uint8Array(4)),
    ];
  },
};

/** 0 ASC and 1 ASCQ of the exception: none    2 MOST RECENT TEMPERATURE READING    3 by convention the temperature threshold */
const INFORMATIONAL_EXCEPTIONS: LogPage = {
  code: 0x2f,
  isFor: forAll,
  isResettable: false,
  async parameters() {
    return [parameter(0x0000, Uint8Array.of(0, 0, TEMPERATURE_UNKNOWN, TEMPERATURE_UNKNOWN))];
  },
};

// -- 19h

const GENERAL_ACCESS_BYTES = 64;

/** Time interval: INTEGER * 10^-EXPONENT seconds; ours are microseconds. */
const TIME_INTERVAL = Buffer.from("0000000600000001", "hex");

/**
 * 0-7 read commands    8-15 write commands    16-23 blocks received    24-31 blocks transmitted    32-39, 40-47 time intervals
 * that reads and writes took    48-63 weighted counts, which are not kept: zero
 */
const GENERAL_STATISTICS: LogPage = {
  code: 0x19,
  isFor: forAll,
  isResettable: true,
  async parameters(unit, sources, isDefault) {
    const access = new DataView(new ArrayBuffer(GENERAL_ACCESS_BYTES));
    if (!isDefault) {
      const counted = sources.counted(unit);
      const blocks = (bytes: number) => Math.floor(bytes / unit.blockLengthBytes);
      setUint64(access, 0, counted[READS]!);
      setUint64(access, 8, counted[WRITES]!);
      setUint64(access, 16, blocks(counted[WRITTEN_BYTES]!));
      setUint64(access, 24, blocks(counted[READ_BYTES]!));
      setUint64(access, 32, counted[READ_TIMES]!);
      setUint64(access, 40, counted[WRITE_TIMES]!);
    }
    return [parameter(0x0001, new Uint8Array(access.buffer)), parameter(0x0003, TIME_INTERVAL)];
  },
};

/** In ascending order. */
export const LOG_PAGES: readonly LogPage[] = [
  WRITE_ERROR_COUNTERS,
  READ_ERROR_COUNTERS,
  VERIFY_ERROR_COUNTERS,
  NON_MEDIUM_ERRORS,
  LOGICAL_BLOCK_PROVISIONING,
  TEMPERATURE,
  START_STOP_CYCLE_COUNTER,
  GENERAL_STATISTICS,
  INFORMATIONAL_EXCEPTIONS,
];

const HEADER_BYTES = 4;
/** The page is not saved. */
const DS = 0x80;
const SPF = 0x40;

/** A page of which the parameters are at hand. */
export function encodeLogPage(code: number, parameters: readonly LogParameter[]): Uint8Array {
  return withHeader(DS | code, 0, parameters.map(encodeParameter));
}

/** A list of pages, or of pages with their subpages. */
export function encodeLogPageList(code: number, subpage: number, entries: readonly Uint8Array[]): Uint8Array {
  return withHeader(subpage === 0 ? code : SPF | code, subpage, entries);
}

function withHeader(firstByte: number, subpage: number, parts: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = firstByte;
  header[1] = subpage;
  header.writeUInt16BE(
    parts.reduce((sum, { length }) => sum + length, 0),
    2,
  );
  return Buffer.concat([header, ...parts]);
}

function encodeParameter({ code, control, value }: LogParameter): Uint8Array {
  const bytes = Buffer.alloc(HEADER_BYTES + value.length);
  bytes.writeUInt16BE(code);
  bytes[2] = control;
  bytes[3] = value.length;
  bytes.set(value, HEADER_BYTES);
  return bytes;
}
