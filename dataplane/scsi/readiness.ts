/** What a unit that is not ready refuses, and what it says of that (SBC-4, sanitize operations and format operations). */
import type { NotReady } from "../messages.js";
import type { Task } from "../task/task.js";
import { COMMAND_NEEDS_MEDIUM, COMMAND_WITHOUT_UNIT, type Command, type Services } from "./command.js";
import { SENSE_KEY_NOT_READY, SENSE_KEY_SPECIFIC_VALID } from "./sense.js";

/** What a NotReady comes to in sense data. */
export interface NotReadySense {
  readonly senseKey: number;
  readonly asc: number;
  readonly ascq: number;
  /** As Task.senseKeySpecific. */
  readonly senseKeySpecific: number;
}

export function senseOfNotReady({ senseKey = SENSE_KEY_NOT_READY, asc, ascq, progress }: NotReady): NotReadySense {
  return { senseKey, asc, ascq, senseKeySpecific: progress < 0 ? -1 : SENSE_KEY_SPECIFIC_VALID | progress };
}

/** Whether the unit refuses the task's command. INQUIRY, REPORT LUNS and REQUEST SENSE, which need no unit, it never does. */
export function isRefused({ operation }: NotReady, command: Command, task: Task, services: Services): boolean {
  if ((command.conditions & COMMAND_WITHOUT_UNIT) !== 0) return false;
  switch (operation) {
    case undefined:
      return (command.conditions & COMMAND_NEEDS_MEDIUM) !== 0;
    case "format":
      return true;
    default:
      return command.isAllowedDuringSanitize?.(task, services) !== true;
  }
}

export function endNotReady(task: Task, services: Services, notReady: NotReady): void {
  const { senseKey, asc, ascq, senseKeySpecific } = senseOfNotReady(notReady);
  task.senseKey = senseKey;
  task.asc = asc;
  task.ascq = ascq;
  task.senseInformation = -1;
  task.senseKeySpecific = senseKeySpecific;
  task.senseCommandSpecific = -1;
  services.checkCondition(task);
}
