/** What the parameter lists of copy commands have in common: how they are refused. */

import type { ScsiAnswer } from "../../../dataplane/messages.js";
import {
  fieldInParameterList,
  INVALID_FIELD_IN_PARAMETER_LIST,
  PARAMETER_LIST_LENGTH_ERROR,
  type Sense,
} from "../../../dataplane/scsi/sense.js";
import { senseAnswer } from "../answers.js";

/** A command that is refused before anything of it is done. */
export class Refusal extends Error {
  readonly answer: ScsiAnswer;

  constructor(answer: ScsiAnswer) {
    super("the command is refused");
    this.answer = answer;
  }
}

export function refuse(sense: Sense, senseKeySpecific?: number): never {
  throw new Refusal(senseAnswer(sense, senseKeySpecific));
}

/** `byte` is counted from the list's start; `bit`, if given, is the field's most significant bit. */
export function refuseField(byte: number, bit?: number): never {
  refuse(INVALID_FIELD_IN_PARAMETER_LIST, fieldInParameterList(byte, bit));
}

export function refuseLength(): never {
  refuse(PARAMETER_LIST_LENGTH_ERROR);
}

const PARAMETER_LIST_LENGTH_BYTE = 10;

/** PARAMETER LIST LENGTH of the CDB. */
export function parameterListLength(cdb: Uint8Array): number {
  return viewOf(cdb).getUint32(PARAMETER_LIST_LENGTH_BYTE);
}

/** The list, which must have come whole. */
export function wholeList({
  cdb,
  parameters,
}: {
  readonly cdb: Uint8Array;
  readonly parameters: Uint8Array;
}): DataView {
  if (parameters.length < parameterListLength(cdb)) refuseLength();
  return viewOf(parameters);
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
