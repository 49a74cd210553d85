/** The shard's part in commands that control carries out: their parameter list is received here, and then they are handed over. */
import { CONTROL_PARAMETERS_BYTES_MAX } from "../limits.js";
import type { Task } from "../task/task.js";
import { flush, resumeFlush } from "./blocks.js";
import type { Command, Services } from "./command.js";
import { endWithSense, PARAMETER_LIST_LENGTH_ERROR } from "./sense.js";

/** Where a CDB tells the length of its parameter list: the field's first byte, and its width in bytes (1 to 4). */
export interface ParameterListLength {
  readonly byte: number;
  readonly width: number;
}

/** A command without a parameter list: `begin` of its row. Its answer may have data. */
export function beginControlled(task: Task, services: Services): void {
  services.askControl(task);
}

/** A command with a parameter list: `begin` of its row; `resumeControlled` is its `resume`. */
export function beginControlledOut({ byte, width }: ParameterListLength): Command["begin"] {
  return (task, services) => {
    let length = 0;
    for (let i = 0; i < width; i++) length = length * 256 + services.bytes[task.cdb + byte + i]!;
    if (length === 0) services.askControl(task);
    else if (length > CONTROL_PARAMETERS_BYTES_MAX) endWithSense(task, services, PARAMETER_LIST_LENGTH_ERROR);
    else services.receiveParameters(task, length);
  };
}

const FORMAT_FLAGS_BYTE = 1;
const FLAG_FMTDATA = 0x10;

/** FORMAT UNIT: its CDB tells whether there is a parameter list, and only the list itself how long it is. All that comes is taken. */
export function beginFormatUnit(task: Task, services: Services): void {
  const hasList = (services.bytes[task.cdb + FORMAT_FLAGS_BYTE]! & FLAG_FMTDATA) !== 0;
  const length = hasList && task.expectsDataOut ? task.expectedDataTransferLength : 0;
  if (length === 0) services.askControl(task);
  else if (length > CONTROL_PARAMETERS_BYTES_MAX) endWithSense(task, services, PARAMETER_LIST_LENGTH_ERROR);
  else services.receiveParameters(task, length);
}

/** Control has answered; what was written is being flushed. */
const STEP_FLUSH = 1;

/** The parameters are here, and control judges whether there are enough of them; or the flush that it asked for is over. */
export function resumeControlled(task: Task, services: Services, result: number): void {
  if (task.step === STEP_FLUSH) resumeFlush(task, services, result);
  else services.askControl(task);
}

/** Control has made the change that the command asks for, and what was written before is to be durable. */
export function flushAfterControl(task: Task, services: Services, inBackground: boolean): void {
  if (inBackground) {
    services.flushInBackground(task);
    services.good(task);
    return;
  }
  task.step = STEP_FLUSH;
  flush(task, services);
}
