/** LOG SENSE and LOG SELECT (SPC-5). What the pages hold stands in log-pages.ts. */

import type { ScsiAnswer, UnitRecord } from "../../dataplane/messages.js";
import { LOG_PARAMETERS_CHANGED, PARAMETER_LIST_LENGTH_ERROR } from "../../dataplane/scsi/sense.js";
import { LOG_PAGE_SUPPORTED, OPCODE_LOG_SELECT, OPCODE_LOG_SENSE } from "../../dataplane/scsi/table.js";
import { dataAnswer, GOOD, invalidFieldOfCdb, invalidFieldOfList, senseAnswer } from "./answers.js";
import { encodeLogPage, encodeLogPageList, LOG_PAGES, type LogPage } from "./log-pages.js";
import { type MappingResources, measureMappingResources } from "./mapping-resources.js";
import type { Later, SlowCommand, SlowCommands } from "./slow-commands.js";
import type { UnitChanges } from "./unit-changes.js";

const FLAGS_BYTE = 1;
const FLAG_PCR = 0x02;
const FLAG_PCR_BIT = 1;
const PAGE_BYTE = 2;
const PAGE_CODE_MASK = 0x3f;
const PAGE_CODE_BIT = 5;
const PAGE_CONTROL_SHIFT = 6;
/** PAGE CONTROL 10b and 11b: default threshold and default cumulative values. */
const PAGE_CONTROL_DEFAULT = 2;
const SUBPAGE_BYTE = 3;
const PARAMETER_POINTER_BYTE = 5;
const LENGTH_BYTE = 7;

const NO_SUBPAGE = 0x00;
/** Supported Subpages; of page 00h, Supported Log Pages and Subpages. */
const ALL_SUBPAGES = 0xff;

/** 0 PAGE CODE    2-3 length of what follows */
const LIST_HEADER_BYTES = 4;

export interface LogsOptions {
  /** What was counted of the unit's commands, by all shards. */
  readonly counted: (unit: UnitRecord) => Float64Array;
  readonly measure?: (unit: UnitRecord) => Promise<MappingResources | null>;
}

/** What LOG SENSE wants of a page. */
interface Asked {
  readonly isDefault: boolean;
  readonly pointer: number;
  readonly allocationLength: number;
}

export class Logs {
  readonly #options: LogsOptions;
  /** By the unit's UUID: its counters when they were set to zero last. */
  readonly #zeroes = new Map<string, Float64Array>();
  #changes: UnitChanges | undefined;

  constructor(options: LogsOptions) {
    this.#options = options;
  }

  serve(commands: SlowCommands, changes: UnitChanges): void {
    this.#changes = changes;
    commands.register(OPCODE_LOG_SENSE, (command) => this.#sense(command));
    commands.register(OPCODE_LOG_SELECT, (command) => this.#select(command));
  }

  #sense({ cdb, unit }: SlowCommand): ScsiAnswer | Later {
    const code = cdb[PAGE_BYTE]! & PAGE_CODE_MASK;
    const subpage = cdb[SUBPAGE_BYTE]!;
    const pointer = uint16(cdb, PARAMETER_POINTER_BYTE);
    const allocationLength = uint16(cdb, LENGTH_BYTE);
    const refusal = judgePage(unit, code, subpage);
    if (refusal !== undefined) return refusal;
    const page = LOG_PAGES.find((candidate) => candidate.code === code);
    if (page === undefined || subpage === ALL_SUBPAGES) {
      // A list has no parameters to point to.
      if (pointer !== 0) return invalidFieldOfCdb(PARAMETER_POINTER_BYTE);
      return dataAnswer(listOf(unit, code, subpage), allocationLength);
    }
    const isDefault = cdb[PAGE_BYTE]! >>> PAGE_CONTROL_SHIFT >= PAGE_CONTROL_DEFAULT;
    // A file system that does not answer holds up none of the unit's other commands.
    return { kind: "later", answer: this.#page(page, unit, { isDefault, pointer, allocationLength }) };
  }

  async #page(page: LogPage, unit: UnitRecord, { isDefault, pointer, allocationLength }: Asked): Promise<ScsiAnswer> {
    const { measure = measureMappingResources } = this.#options;
    const sources = { measure, counted: (counting: UnitRecord) => this.#counted(counting) };
    const parameters = await page.parameters(unit, sources, isDefault);
    const asked = parameters.filter((parameter) => parameter.code >= pointer);
    if (asked.length === 0 && pointer !== 0) return invalidFieldOfCdb(PARAMETER_POINTER_BYTE);
    return dataAnswer(encodeLogPage(page.code, asked), allocationLength);
  }

  async #select({ cdb, parameters, session, unit }: SlowCommand): Promise<ScsiAnswer> {
    const code = cdb[PAGE_BYTE]! & PAGE_CODE_MASK;
    const subpage = cdb[SUBPAGE_BYTE]!;
    const length = uint16(cdb, LENGTH_BYTE);
    const resets = (cdb[FLAGS_BYTE]! & FLAG_PCR) !== 0;
    const refusal = judgePage(unit, code, subpage);
    if (refusal !== undefined) return refusal;
    if (length > 0) {
      // "If the PCR bit is set to one and the parameter list length is nonzero ..."
      if (resets) return invalidFieldOfCdb(FLAGS_BYTE, FLAG_PCR_BIT);
      const isWhole = length >= LIST_HEADER_BYTES && parameters.length >= length;
      // There is no parameter whose value an initiator could choose.
      return isWhole ? invalidFieldOfList(0, PAGE_CODE_BIT) : senseAnswer(PARAMETER_LIST_LENGTH_ERROR);
    }
    const pages = pagesOf(unit).filter((page) => code === LOG_PAGE_SUPPORTED || page.code === code);
    if (!resets || !pages.some(({ isResettable }) => isResettable)) return GOOD;
    this.#zeroes.set(unit.uuid, this.#options.counted(unit));
    const { asc, ascq } = LOG_PARAMETERS_CHANGED;
    await this.#changes!.make(unit.unitIndex, { attentions: [{ asc, ascq, exceptSessions: [session.sessionId] }] });
    return GOOD;
  }

  #counted(unit: UnitRecord): Float64Array {
    const counted = this.#options.counted(unit);
    const zeroes = this.#zeroes.get(unit.uuid);
    return zeroes === undefined ? counted : counted.map((value, i) => Math.max(0, value - zeroes[i]!));
  }
}

function uint16(cdb: Uint8Array, byte: number): number {
  return (cdb[byte]! << 8) | cdb[byte + 1]!;
}

function pagesOf(unit: UnitRecord): LogPage[] {
  return LOG_PAGES.filter((page) => page.isFor(unit));
}

/** Pages have no subpages but the list of them. */
function judgePage(unit: UnitRecord, code: number, subpage: number): ScsiAnswer | undefined {
  const isThere = code === LOG_PAGE_SUPPORTED || pagesOf(unit).some((page) => page.code === code);
  if (!isThere) return invalidFieldOfCdb(PAGE_BYTE, PAGE_CODE_BIT);
  return subpage === NO_SUBPAGE || subpage === ALL_SUBPAGES ? undefined : invalidFieldOfCdb(SUBPAGE_BYTE);
}

/** Page 00h lists pages; with subpage FFh, all pages and subpages; subpage FFh of another page lists those of that page. */
function listOf(unit: UnitRecord, code: number, subpage: number): Uint8Array {
  const codes = [LOG_PAGE_SUPPORTED, ...pagesOf(unit).map((page) => page.code)];
  if (subpage === NO_SUBPAGE) {
    return encodeLogPageList(
      code,
      subpage,
      codes.map((each) => Uint8Array.of(each)),
    );
  }
  const listed = code === LOG_PAGE_SUPPORTED ? codes : [code];
  return encodeLogPageList(
    code,
    subpage,
    listed.flatMap((each) => [Uint8Array.of(each, NO_SUBPAGE), Uint8Array.of(each, ALL_SUBPAGES)]),
  );
}
