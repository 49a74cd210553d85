/** Commands that have taken longer than people want to hear nothing of: a line of the log each, with where the time went. */
import { hexadecimal } from "./hexadecimal.js";
import { SLOW_COMMANDS_PER_SECOND_MAX } from "./limits.js";
import { LineBudget } from "./line-budget.js";
import type { Shard } from "./shard.js";
import {
  TASK_ABORTED,
  type Task,
  TRANSFER_NONE,
  TRANSFER_PARAMETERS,
  TRANSFER_READ,
  TRANSFER_REPLY,
} from "./task/task.js";
import { SCSI_STATUS_CHECK_CONDITION, SCSI_STATUS_GOOD } from "./wire/scsi-response.js";

export class SlowCommands {
  readonly #shard: Shard;
  /** [0]: from so many microseconds on a command is slow; 0: none is. Control may change it at any time. */
  readonly #limitUs: Float64Array;
  readonly #lines: LineBudget;

  constructor(shard: Shard, memory: SharedArrayBuffer) {
    this.#shard = shard;
    this.#limitUs = new Float64Array(memory);
    this.#lines = new LineBudget(SLOW_COMMANDS_PER_SECOND_MAX, (commands) =>
      shard.host.post({ type: "log", level: "warn", message: "more slow commands", fields: { commands } }),
    );
  }

  /** The command has ended, with its status or without. */
  ended(task: Task, nowUs: number): void {
    const limitUs = this.#limitUs[0]!;
    if (limitUs > 0 && nowUs - task.startedUs >= limitUs) this.#note(task, nowUs);
  }

  /** Called every second, at least: those that there was no line for are told of together. */
  sweep(nowUs: number): void {
    this.#lines.sweep(nowUs);
  }

  #note(task: Task, nowUs: number): void {
    if (!this.#lines.take(nowUs)) return;
    const { sessionId, initiatorName, targetName } = task.session!;
    this.#shard.host.post({
      type: "log",
      level: "warn",
      message: "slow command",
      fields: {
        sessionId,
        initiator: initiatorName,
        target: targetName,
        cid: task.connection!.cid,
        unit: task.unit!.name,
        lun: task.lun,
        command: task.command === null ? "" : task.command.name,
        cdb: hexadecimal(this.#shard.arena.bytes, task.cdb, task.cdbLength),
        ...rangeOf(task),
        ...stagesOf(task, nowUs),
        outcome: outcomeOf(task),
      },
    });
  }
}

/** Of commands that read, write or compare blocks. */
function rangeOf(task: Task): { lba?: number; bytes?: number } {
  switch (task.transfer) {
    case TRANSFER_NONE:
    case TRANSFER_PARAMETERS:
    case TRANSFER_REPLY:
      return {};
    default:
      return { lba: task.storeStart / task.unit!.blockLengthBytes, bytes: task.blocks * task.unit!.blockLengthBytes };
  }
}

/** In milliseconds. What is read leaves slice by slice: all of a READ's time that is not its store's is that of sending. */
function stagesOf(task: Task, nowUs: number) {
  const { startedUs, begunUs, decidedUs, limitUs, dataWaitUs, storeUs } = task;
  const allUs = nowUs - startedUs;
  // Aborted before its turn, or before its status was known.
  const waitUs = begunUs === 0 ? allUs : begunUs - startedUs;
  const endUs = decidedUs === 0 ? nowUs : decidedUs;
  const sendUs = task.transfer === TRANSFER_READ ? allUs - waitUs - limitUs - storeUs : nowUs - endUs;
  return {
    ms: milliseconds(allUs),
    waitMs: milliseconds(waitUs),
    limitMs: milliseconds(limitUs),
    dataMs: milliseconds(dataWaitUs),
    storeMs: milliseconds(storeUs),
    sendMs: milliseconds(sendUs),
  };
}

function milliseconds(us: number): number {
  return Math.round(us / 1000);
}

function outcomeOf({ state, status, senseKey, asc, ascq }: Task): string {
  if (state === TASK_ABORTED) return "aborted";
  if (status === SCSI_STATUS_GOOD) return "good";
  if (status !== SCSI_STATUS_CHECK_CONDITION) return `status ${status.toString(16)}h`;
  return `sense ${[senseKey, asc, ascq].map((byte) => byte.toString(16).padStart(2, "0")).join("/")}`;
}
