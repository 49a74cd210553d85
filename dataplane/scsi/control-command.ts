/** The shard's part in commands that control carries out: their parameter list is received here, and then they are handed over. */
import { CONTROL_PARAMETERS_BYTES_MAX } from "../limits.js";
import type { Task } from "../task/task.js";
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

/** The parameters are here; control judges whether there are enough of them. */
export function resumeControlled(task: Task, services: Services): void {
  services.askControl(task);
}
