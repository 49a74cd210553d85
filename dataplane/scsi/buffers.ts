/**
 * READ BUFFER and WRITE BUFFER (SPC-5) as far as they test the way to the unit: the data buffer, the echo buffer, and what is
 * told of both. Microcode is not downloaded this way, and there is no error history: their modes are not in the command table.
 */
import { NEXUS_BUFFER_BYTES } from "../session/nexus-buffers.js";
import type { Task } from "../task/task.js";
import type { Command, Services } from "./command.js";
import { COMMAND_SEQUENCE_ERROR, endWithSense, invalidFieldInCdb, PARAMETER_LIST_LENGTH_ERROR } from "./sense.js";
import { getUint64 } from "./uint64.js";

// MODE, which takes the place of a service action.
export const BUFFER_MODE_DATA = 0x02;
export const BUFFER_MODE_DESCRIPTOR = 0x03;
export const BUFFER_MODE_ECHO = 0x0a;
export const BUFFER_MODE_ECHO_DESCRIPTOR = 0x0b;

/** The one data buffer. */
const DATA_BUFFER_ID = 0;

/** Where a CDB has its fields; offset and length are as wide as each form has them. */
interface Form {
  readonly bufferId: number;
  readonly bufferOffset: number;
  readonly length: number;
  readonly isLong: boolean;
}

const FORM_10: Form = { bufferId: 2, bufferOffset: 3, length: 6, isLong: false };
const FORM_16: Form = { bufferId: 14, bufferOffset: 2, length: 10, isLong: true };

function uint24(services: Services, at: number): number {
  return (services.bytes[at]! << 16) | services.view.getUint16(at + 1);
}

function offsetOf(task: Task, services: Services, { bufferOffset, isLong }: Form): number {
  const at = task.cdb + bufferOffset;
  return isLong ? getUint64(services.view, at) : uint24(services, at);
}

function lengthOf(task: Task, services: Services, { length, isLong }: Form): number {
  const at = task.cdb + length;
  return isLong ? services.view.getUint32(at) : uint24(services, at);
}

/** Whether buffer and offset are there; if not, the command is ended. */
function isInDataBuffer(task: Task, services: Services, form: Form): boolean {
  if (services.bytes[task.cdb + form.bufferId] !== DATA_BUFFER_ID) invalidFieldInCdb(task, services, form.bufferId);
  else if (offsetOf(task, services, form) > NEXUS_BUFFER_BYTES) invalidFieldInCdb(task, services, form.bufferOffset);
  else return true;
  return false;
}

// -- WRITE BUFFER

export function beginWriteDataBuffer(task: Task, services: Services): void {
  if (!isInDataBuffer(task, services, FORM_10)) return;
  const end = offsetOf(task, services, FORM_10) + lengthOf(task, services, FORM_10);
  if (end > NEXUS_BUFFER_BYTES) invalidFieldInCdb(task, services, FORM_10.length);
  else receive(task, services);
}

export function beginWriteEchoBuffer(task: Task, services: Services): void {
  if (lengthOf(task, services, FORM_10) > NEXUS_BUFFER_BYTES) invalidFieldInCdb(task, services, FORM_10.length);
  else receive(task, services);
}

function receive(task: Task, services: Services): void {
  const length = lengthOf(task, services, FORM_10);
  if (length === 0) services.good(task);
  else services.receiveParameters(task, length);
}

/** What came of the data; undefined: less than was announced, and the command is ended. */
function received(task: Task, services: Services, result: number): Uint8Array | undefined {
  if (result === lengthOf(task, services, FORM_10)) {
    return services.bytes.slice(task.parameterOffset, task.parameterOffset + result);
  }
  endWithSense(task, services, PARAMETER_LIST_LENGTH_ERROR);
  return undefined;
}

export function resumeWriteDataBuffer(task: Task, services: Services, result: number): void {
  const data = received(task, services, result);
  if (data === undefined) return;
  task.session!.buffers.take(task.lun).data.set(data, offsetOf(task, services, FORM_10));
  services.good(task);
}

export function resumeWriteEchoBuffer(task: Task, services: Services, result: number): void {
  const data = received(task, services, result);
  if (data === undefined) return;
  task.session!.buffers.take(task.lun).echo = data;
  services.good(task);
}

// -- READ BUFFER

function readDataBuffer(form: Form): Command["begin"] {
  return (task, services) => {
    if (!isInDataBuffer(task, services, form)) return;
    const offset = offsetOf(task, services, form);
    const length = NEXUS_BUFFER_BYTES - offset;
    const at = services.parameterBuffer(task, NEXUS_BUFFER_BYTES);
    if (at < 0) return;
    const buffer = task.session!.buffers.find(task.lun);
    if (buffer !== undefined) services.bytes.set(buffer.data.subarray(offset), at);
    services.reply(task, length, lengthOf(task, services, form));
  };
}

/** No more comes back than was written, and nothing where nothing was. */
function readEchoBuffer(form: Form): Command["begin"] {
  return (task, services) => {
    const echo = task.session!.buffers.find(task.lun)?.echo ?? null;
    if (echo === null) {
      endWithSense(task, services, COMMAND_SEQUENCE_ERROR);
      return;
    }
    const at = services.parameterBuffer(task, NEXUS_BUFFER_BYTES);
    if (at < 0) return;
    services.bytes.set(echo, at);
    services.reply(task, echo.length, lengthOf(task, services, form));
  };
}

const DESCRIPTOR_BYTES = 4;

/** 0 OFFSET BOUNDARY: 2^0, any    1-3 BUFFER CAPACITY. Of a buffer that is not there all is zero. */
function readDescriptor(form: Form): Command["begin"] {
  return (task, services) => {
    const at = services.parameterBuffer(task, DESCRIPTOR_BYTES);
    if (at < 0) return;
    const isThere = services.bytes[task.cdb + form.bufferId] === DATA_BUFFER_ID;
    services.view.setUint32(at, isThere ? NEXUS_BUFFER_BYTES : 0);
    services.reply(task, DESCRIPTOR_BYTES, lengthOf(task, services, form));
  };
}

/** EBOS: what a nexus reads is what it has written, whatever others write. */
const EBOS = 0x01;

/** 0 EBOS    2-3 BUFFER CAPACITY (13 bits) */
function readEchoDescriptor(form: Form): Command["begin"] {
  return (task, services) => {
    const at = services.parameterBuffer(task, DESCRIPTOR_BYTES);
    if (at < 0) return;
    services.bytes[at] = EBOS;
    services.view.setUint16(at + 2, NEXUS_BUFFER_BYTES);
    services.reply(task, DESCRIPTOR_BYTES, lengthOf(task, services, form));
  };
}

export const beginReadDataBuffer10 = readDataBuffer(FORM_10);
export const beginReadDataBuffer16 = readDataBuffer(FORM_16);
export const beginReadEchoBuffer10 = readEchoBuffer(FORM_10);
export const beginReadEchoBuffer16 = readEchoBuffer(FORM_16);
export const beginReadDescriptor10 = readDescriptor(FORM_10);
export const beginReadDescriptor16 = readDescriptor(FORM_16);
export const beginReadEchoDescriptor10 = readEchoDescriptor(FORM_10);
export const beginReadEchoDescriptor16 = readEchoDescriptor(FORM_16);
