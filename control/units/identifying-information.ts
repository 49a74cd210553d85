/**
 * REPORT and SET IDENTIFYING INFORMATION (SPC-5): what an initiator has written on a unit's label. Kept in stateDir under the
 * unit's identity before the status goes out, so that it stays with the disk whatever happens.
 */

import * as z from "zod";
import type { ScsiAnswer } from "../../dataplane/messages.js";
import { DEVICE_IDENTIFIER_CHANGED, PARAMETER_LIST_LENGTH_ERROR } from "../../dataplane/scsi/sense.js";
import {
  ACTION_REPORT_IDENTIFYING_INFORMATION,
  ACTION_SET_IDENTIFYING_INFORMATION,
  OPCODE_MAINTENANCE_IN,
  OPCODE_MAINTENANCE_OUT,
} from "../../dataplane/scsi/table.js";
import type { StateDirectory } from "../config/state-directory.js";
import { dataAnswer, GOOD, invalidFieldOfCdb, invalidFieldOfList, senseAnswer } from "./answers.js";
import type { SlowCommand, SlowCommands } from "./slow-commands.js";
import type { UnitChanges } from "./unit-changes.js";

const LENGTH_BYTE = 6;
const TYPE_BYTE = 10;
const TYPE_SHIFT = 1;
const TYPE_BIT = 7;
/** Of the parameter data: 2-3 length of what follows. */
const HEADER_BYTES = 4;

/** INFORMATION TYPE */
const TYPE_DEVICE = 0x00;
const TYPE_TEXT = 0x02;
const TYPE_SUPPORTED = 0x7f;

/** In ascending order, which is that of the report on them. */
const LENGTHS_MAX: ReadonlyMap<number, number> = new Map([
  [TYPE_DEVICE, 512],
  [TYPE_TEXT, 256],
]);

/** Of each type in hexadecimal. */
const labels = z.strictObject({
  device: z.string().regex(/^([0-9a-f]{2}){0,512}$/),
  text: z.string().regex(/^([0-9a-f]{2}){0,256}$/),
});
type Labels = z.infer<typeof labels>;

const BLANK: Labels = { device: "", text: "" };

function keyOfType(type: number): keyof Labels {
  return type === TYPE_DEVICE ? "device" : "text";
}

export class IdentifyingInformation {
  readonly #stateDirectory: StateDirectory;
  /** By the unit's UUID. */
  readonly #labels = new Map<string, Labels>();
  #changes: UnitChanges | undefined;

  constructor(stateDirectory: StateDirectory) {
    this.#stateDirectory = stateDirectory;
  }

  /** What was kept of a unit. Rejects with a StateError where that cannot be trusted. */
  async load(uuid: string): Promise<void> {
    this.#labels.set(uuid, (await this.#stateDirectory.read(documentName(uuid), labels)) ?? BLANK);
  }

  serve(commands: SlowCommands, changes: UnitChanges): void {
    this.#changes = changes;
    commands.register(OPCODE_MAINTENANCE_IN, (command) => this.#report(command), ACTION_REPORT_IDENTIFYING_INFORMATION);
    commands.register(OPCODE_MAINTENANCE_OUT, (command) => this.#set(command), ACTION_SET_IDENTIFYING_INFORMATION);
  }

  #of(uuid: string): Labels {
    return this.#labels.get(uuid) ?? BLANK;
  }

  #report({ cdb, unit }: SlowCommand): ScsiAnswer {
    const type = cdb[TYPE_BYTE]! >>> TYPE_SHIFT;
    const allocationLength = lengthOf(cdb);
    if (type === TYPE_SUPPORTED) return dataAnswer(withHeader(supportedTypes()), allocationLength);
    if (!LENGTHS_MAX.has(type)) return invalidFieldOfCdb(TYPE_BYTE, TYPE_BIT);
    return dataAnswer(withHeader(Buffer.from(this.#of(unit.uuid)[keyOfType(type)], "hex")), allocationLength);
  }

  async #set({ cdb, parameters, session, unit }: SlowCommand): Promise<ScsiAnswer> {
    const type = cdb[TYPE_BYTE]! >>> TYPE_SHIFT;
    const length = lengthOf(cdb);
    const lengthMax = LENGTHS_MAX.get(type);
    if (lengthMax === undefined) return invalidFieldOfCdb(TYPE_BYTE, TYPE_BIT);
    if (length > lengthMax) return invalidFieldOfCdb(LENGTH_BYTE);
    if (parameters.length < length) return senseAnswer(PARAMETER_LIST_LENGTH_ERROR);
    if (type === TYPE_TEXT) {
      const fault = faultOfText(parameters);
      if (fault >= 0) return invalidFieldOfList(fault);
    }
    const before = this.#of(unit.uuid);
    const after: Labels = { ...before, [keyOfType(type)]: Buffer.from(parameters).toString("hex") };
    if (after.device === before.device && after.text === before.text) return GOOD;
    await this.#stateDirectory.write(documentName(unit.uuid), after);
    this.#labels.set(unit.uuid, after);
    const { asc, ascq } = DEVICE_IDENTIFIER_CHANGED;
    await this.#changes!.make(unit.unitIndex, { attentions: [{ asc, ascq, exceptSessions: [session.sessionId] }] });
    return GOOD;
  }
}

function documentName(uuid: string): string {
  return `identifying-information-${uuid}`;
}

function lengthOf(cdb: Uint8Array): number {
  return new DataView(cdb.buffer, cdb.byteOffset).getUint32(LENGTH_BYTE);
}

function withHeader(information: Uint8Array): Uint8Array {
  const data = Buffer.alloc(HEADER_BYTES + information.length);
  data.writeUInt16BE(information.length, 2);
  data.set(information, HEADER_BYTES);
  return data;
}

/** Per type: 0 INFORMATION TYPE (7-1)    2-3 MAXIMUM INFORMATION LENGTH */
function supportedTypes(): Uint8Array {
  const descriptors = [...LENGTHS_MAX].map(([type, lengthMax]) => {
    const descriptor = Buffer.alloc(4);
    descriptor[0] = type << TYPE_SHIFT;
    descriptor.writeUInt16BE(lengthMax, 2);
    return descriptor;
  });
  return Buffer.concat(descriptors);
}

/** Text is UTF-8 that ends with its one NUL. The byte at which it is not; -1: it is, or there is none. */
function faultOfText(text: Uint8Array): number {
  if (text.length === 0) return -1;
  const terminator = text.indexOf(0);
  if (terminator !== text.length - 1) return terminator < 0 ? text.length - 1 : terminator;
  return Buffer.from(Buffer.from(text).toString("utf8")).equals(text) ? -1 : 0;
}
