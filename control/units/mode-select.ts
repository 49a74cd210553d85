/**
 * MODE SELECT (SPC-5): judges the whole parameter list before any of it counts, keeps what is to be saved, and has every shard
 * go by the new values. The pages themselves stand in dataplane/scsi/mode.ts, where MODE SENSE reads them.
 */

import * as z from "zod";
import type { ModeValues, ScsiAnswer, UnitRecord } from "../../dataplane/messages.js";
import { hasMappingResources, THRESHOLD_COUNT_MAX } from "../../dataplane/scsi/mapping-resources.js";
import { type ModePage, modePageHeaderBytes, modePagesOf, putModePage, SPF } from "../../dataplane/scsi/mode.js";
import {
  INVALID_FIELD_IN_CDB,
  INVALID_FIELD_IN_PARAMETER_LIST,
  MODE_PARAMETERS_CHANGED,
  PARAMETER_LIST_LENGTH_ERROR,
} from "../../dataplane/scsi/sense.js";
import { OPCODE_MODE_SELECT_6, OPCODE_MODE_SELECT_10 } from "../../dataplane/scsi/table.js";
import type { StateDirectory } from "../config/state-directory.js";
import { GOOD, senseAnswer } from "./answers.js";
import type { SlowCommand, SlowCommands } from "./slow-commands.js";
import type { UnitChanges } from "./unit-changes.js";
import type { Units } from "./units.js";

const FLAGS_BYTE = 1;
const FLAG_PF = 0x10;
const FLAG_SP = 0x01;

const HEADER_6_BYTES = 4;
const HEADER_10_BYTES = 8;
const SHORT_DESCRIPTOR_BYTES = 8;
const LONG_DESCRIPTOR_BYTES = 16;
const LONGLBA = 0x01;
const PAGE_CODE_MASK = 0x3f;

/** Sense-key-specific bytes that point to a byte of the CDB, or of the parameter list. */
const IN_CDB = 0xc0_0000;
const IN_LIST = 0x80_0000;

/** What was saved before there was a threshold has none: then the default holds. */
const savedValues = z.strictObject({
  writeCacheEnabled: z.boolean(),
  softwareWriteProtect: z.boolean(),
  descriptorSense: z.boolean(),
  thresholdReports: z.boolean().exactOptional(),
  thresholdEnabled: z.boolean().exactOptional(),
  thresholdCount: z.int().min(0).max(THRESHOLD_COUNT_MAX).exactOptional(),
});

/** A parameter list that is refused. */
class Refusal extends Error {
  readonly answer: ScsiAnswer;

  constructor(answer: ScsiAnswer) {
    super("the parameter list is refused");
    this.answer = answer;
  }
}

function refuseField(byte: number): never {
  throw new Refusal(senseAnswer(INVALID_FIELD_IN_PARAMETER_LIST, IN_LIST | byte));
}

function refuseLength(): never {
  throw new Refusal(senseAnswer(PARAMETER_LIST_LENGTH_ERROR));
}

export class ModeSelect {
  readonly #stateDirectory: StateDirectory;
  readonly #units: Units;
  /** By the unit's UUID: what is saved for it. */
  readonly #saved = new Map<string, Partial<ModeValues>>();
  #commands: SlowCommands | undefined;
  #changes: UnitChanges | undefined;

  constructor(stateDirectory: StateDirectory, units: Units) {
    this.#stateDirectory = stateDirectory;
    this.#units = units;
  }

  /** The unit starts with what was saved for it. Rejects with a StateError where that cannot be trusted. */
  async load({ unitIndex, uuid, state }: UnitRecord): Promise<void> {
    const saved = await this.#stateDirectory.read(documentName(uuid), savedValues);
    if (saved === null) return;
    this.#saved.set(uuid, saved);
    const savedModes: ModeValues = { ...state.defaultModes, ...saved };
    this.#units.setState(unitIndex, { ...state, ...savedModes, savedModes });
  }

  serve(commands: SlowCommands, changes: UnitChanges): void {
    this.#commands = commands;
    this.#changes = changes;
    commands.register(OPCODE_MODE_SELECT_6, (command) => this.#select(command, HEADER_6_BYTES));
    commands.register(OPCODE_MODE_SELECT_10, (command) => this.#select(command, HEADER_10_BYTES));
  }

  /**
   * The unit has other defaults from now on. What is saved of it stays as it is, and so does what an initiator has set; all else
   * follows, and every nexus is told.
   */
  setDefaults(unitIndex: number, defaults: Partial<ModeValues>): Promise<void> {
    return this.#commands!.inTurn(unitIndex, async () => {
      const unit = this.#units.at(unitIndex);
      if (unit === undefined) return;
      const { uuid, state } = unit;
      const defaultModes = { ...state.defaultModes, ...defaults };
      const savedModes = { ...defaultModes, ...this.#saved.get(uuid) };
      const next = { ...state, ...following(state, state.savedModes, savedModes), savedModes, defaultModes };
      const attentions = isSame(next, state) ? [] : [MODE_PARAMETERS_CHANGED];
      await this.#changes!.make(unitIndex, { state: next, attentions });
    });
  }

  async #select(command: SlowCommand, headerBytes: number): Promise<ScsiAnswer> {
    const { cdb, parameters, session, unit } = command;
    const flags = cdb[FLAGS_BYTE]!;
    if ((flags & FLAG_PF) === 0) return senseAnswer(INVALID_FIELD_IN_CDB, IN_CDB | FLAGS_BYTE);
    const asked = headerBytes === HEADER_6_BYTES ? cdb[4]! : (cdb[7]! << 8) | cdb[8]!;
    if (asked === 0) return GOOD;
    if (parameters.length < asked) return senseAnswer(PARAMETER_LIST_LENGTH_ERROR);
    let values: ModeValues;
    try {
      values = judge(unit, parameters, headerBytes);
    } catch (error) {
      if (error instanceof Refusal) return error.answer;
      throw error;
    }
    const isSaved = (flags & FLAG_SP) !== 0;
    if (isSaved) {
      await this.#stateDirectory.write(documentName(unit.uuid), values);
      this.#saved.set(unit.uuid, values);
    }
    // Meanwhile what is not this command's may have changed: the unit may have grown.
    const { state } = this.#units.find(unit.name) ?? unit;
    const attention = { asc: MODE_PARAMETERS_CHANGED.asc, ascq: MODE_PARAMETERS_CHANGED.ascq };
    await this.#changes!.make(unit.unitIndex, {
      state: { ...state, ...values, ...(isSaved ? { savedModes: values } : {}) },
      ...(isSame(values, unit.state) ? {} : { attentions: [{ ...attention, exceptSessions: [session.sessionId] }] }),
    });
    // From now on no initiator flushes. Whatever has ended before is made durable now; writes that are in flight end durably.
    const isCacheOff = unit.state.writeCacheEnabled && !values.writeCacheEnabled;
    return isCacheOff ? { kind: "flush", inBackground: false } : GOOD;
  }
}

function documentName(uuid: string): string {
  return `modes-${uuid}`;
}

const MODE_VALUES = Object.keys(savedValues.shape) as (keyof ModeValues)[];

function isSame(a: ModeValues, b: ModeValues): boolean {
  return MODE_VALUES.every((key) => a[key] === b[key]);
}

/** Of the values that hold, those that were as `before` has them become as `after` has them. */
function following(current: ModeValues, before: ModeValues, after: ModeValues): ModeValues {
  const values = MODE_VALUES.map((key) => [key, current[key] === before[key] ? after[key] : current[key]]);
  return Object.fromEntries(values) as unknown as ModeValues;
}

type Changing = { -readonly [Name in keyof ModeValues]: ModeValues[Name] };

/** The values that the list asks for. @throws Refusal */
function judge(unit: UnitRecord, list: Uint8Array, headerBytes: number): ModeValues {
  if (list.length < headerBytes) refuseLength();
  const { writeCacheEnabled, softwareWriteProtect, descriptorSense } = unit.state;
  const { thresholdReports, thresholdEnabled, thresholdCount } = unit.state;
  const values: Changing = {
    writeCacheEnabled,
    softwareWriteProtect,
    descriptorSense,
    thresholdReports,
    thresholdEnabled,
    thresholdCount,
  };
  const pages = modePagesOf({ hasMappingResources: hasMappingResources(unit) });
  let at = headerBytes + judgeDescriptor(unit, list, headerBytes);
  while (at < list.length) at += judgePage(list, at, pages, values);
  return values;
}

/** Returns the length of the block descriptor. It may repeat what is, and change nothing. */
function judgeDescriptor({ state, blockLengthBytes }: UnitRecord, list: Uint8Array, headerBytes: number): number {
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  const isLong = headerBytes === HEADER_10_BYTES && (list[4]! & LONGLBA) !== 0;
  const length = headerBytes === HEADER_6_BYTES ? list[3]! : view.getUint16(6);
  if (length === 0) return 0;
  const expected = isLong ? LONG_DESCRIPTOR_BYTES : SHORT_DESCRIPTOR_BYTES;
  if (length !== expected) refuseField(headerBytes === HEADER_6_BYTES ? 3 : 6);
  if (list.length < headerBytes + length) refuseLength();
  const blocks = state.sizeBytes / blockLengthBytes;
  const told = isLong ? Number(view.getBigUint64(headerBytes)) : view.getUint32(headerBytes);
  const isKept = told === 0 || told === blocks || (!isLong && told === 0xffff_ffff && blocks > told);
  if (!isKept) refuseField(headerBytes);
  const lengthAt = headerBytes + (isLong ? 12 : 4);
  const blockLength = isLong ? view.getUint32(lengthAt) : view.getUint32(lengthAt) & 0xff_ffff;
  if (blockLength !== blockLengthBytes) refuseField(lengthAt);
  return length;
}

/** Takes the changes of the page at `at` over into `values`, and returns its length. */
function judgePage(list: Uint8Array, at: number, pages: readonly ModePage[], values: Changing): number {
  const code = list[at]! & PAGE_CODE_MASK;
  const isSubpage = (list[at]! & SPF) !== 0;
  if (at + (isSubpage ? 4 : 2) > list.length) refuseLength();
  const subpage = isSubpage ? list[at + 1]! : 0;
  const page = pages.find((candidate) => candidate.code === code && candidate.subpage === subpage);
  if (page === undefined) refuseField(at);
  const headerBytes = modePageHeaderBytes(page);
  const told = isSubpage ? (list[at + 2]! << 8) | list[at + 3]! : list[at + 1]!;
  if (told !== page.length - headerBytes) refuseField(at + (isSubpage ? 2 : 1));
  if (at + page.length > list.length) refuseLength();
  const [current, mask] = [bytesOf(page, values), bytesOf(page, null)];
  for (let i = headerBytes; i < page.length; i++) {
    if (((list[at + i]! ^ current[i]!) & ~mask[i]! & 0xff) !== 0) refuseField(at + i);
  }
  for (const { byte, bit, value } of page.changeable) values[value] = (list[at + byte]! & bit) !== 0;
  const view = new DataView(list.buffer, list.byteOffset);
  for (const { byte, value } of page.numbers ?? []) values[value] = view.getUint32(at + byte);
  return page.length;
}

function bytesOf(page: ModePage, values: ModeValues | null): Uint8Array {
  const bytes = new Uint8Array(page.length);
  putModePage(bytes, 0, page, values);
  return bytes;
}
