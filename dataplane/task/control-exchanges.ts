/** Commands that control carries out: it is asked, and answers when it has done so, or has begun. */
import { assert } from "../assert.js";
import { hexadecimal } from "../hexadecimal.js";
import type { ScsiAnswer } from "../messages.js";
import { flushAfterControl } from "../scsi/control-command.js";
import type { Shard } from "../shard.js";
import { SCSI_STATUS_TASK_SET_FULL } from "../wire/scsi-response.js";
import type { TaskEngine } from "./engine.js";
import { storeBegins, storeEnds } from "./stages.js";
import { TASK_ACTIVE, type Task } from "./task.js";

export class ControlExchanges {
  readonly #shard: Shard;
  readonly #engine: TaskEngine;
  /** Exchange -> the task whose command control carries out. */
  readonly #asked = new Map<number, Task>();
  /** Likewise, where what the task asked for goes on without it. */
  readonly #begun = new Map<number, Task>();

  constructor(shard: Shard, engine: TaskEngine) {
    this.#shard = shard;
    this.#engine = engine;
  }

  /** Has control carry out the command, with its CDB and the parameters that were received; the answer ends the task. */
  ask(task: Task): void {
    const exchange = this.#shard.nextExchange();
    this.#asked.set(exchange, task);
    task.exchange = exchange;
    // As an operation in flight: what control has begun must be over before an abort of the task is answered.
    storeBegins(task, this.#shard.ring.nowUs);
    this.#shard.host.post({
      type: "scsiCommand",
      exchange,
      sessionId: task.session!.sessionId,
      unitIndex: task.unit === null ? -1 : task.unit.unitIndex,
      lun: task.lun,
      cdb: hexadecimal(this.#engine.bytes, task.cdb, task.cdbLength),
      parameters: hexadecimal(this.#engine.bytes, task.parameterOffset, task.parameterLength),
    });
  }

  /** The task whose command control carries out under this number. */
  asker(exchange: number): Task | undefined {
    return this.#asked.get(exchange);
  }

  /** Whether the task waits for control, which is sure to answer it. */
  isAsking(task: Task): boolean {
    return task.exchange !== 0;
  }

  /** What the command asks for goes on without it; the answer follows. */
  begun(exchange: number): void {
    const task = this.#takeAsker(exchange);
    if (task === undefined) return;
    if (task.state !== TASK_ACTIVE) return this.#engine.settle(task);
    this.#begun.set(exchange, task);
    task.exchange = exchange;
  }

  /** Control's answer. A thread before us may have asked, or the task is aborted: then there is nobody to tell. */
  answered(exchange: number, answer: ScsiAnswer): void {
    const task = this.#takeAsker(exchange);
    if (task === undefined) return;
    if (task.state !== TASK_ACTIVE) return this.#engine.settle(task);
    switch (answer.kind) {
      case "good":
        if (answer.isFenced) this.#shard.fences.mark(task.session!, task);
        return this.#replyWith(task, Buffer.from(answer.data ?? "", "hex"), answer.allocationLength ?? 0);
      case "sense":
        task.senseKey = answer.senseKey;
        task.asc = answer.asc;
        task.ascq = answer.ascq;
        task.senseInformation = answer.information ?? -1;
        task.senseKeySpecific = answer.senseKeySpecific ?? -1;
        task.senseCommandSpecific = answer.commandSpecificInformation ?? -1;
        task.senseForwarded = answer.forwarded ?? null;
        return this.#engine.checkCondition(task);
      case "status":
        return this.#engine.status(task, answer.status);
      case "flush":
        return flushAfterControl(task, this.#engine, answer.inBackground);
      default:
        answer satisfies never;
    }
  }

  #takeAsker(exchange: number): Task | undefined {
    const asking = this.#asked.get(exchange);
    if (asking !== undefined) {
      this.#asked.delete(exchange);
      storeEnds(asking, this.#shard.ring.nowUs);
      asking.exchange = 0;
      return asking;
    }
    const begun = this.#begun.get(exchange);
    if (begun !== undefined) this.#forgetBegun(begun);
    return begun;
  }

  /** What the aborted task has begun goes on, and nobody hears how it ends; what control is still busy with it is to end. */
  abort(task: Task): void {
    const { exchange } = task;
    if (this.#begun.has(exchange)) this.#forgetBegun(task);
    else this.#shard.host.post({ type: "scsiAbort", exchange });
  }

  #forgetBegun(task: Task): void {
    this.#begun.delete(task.exchange);
    task.exchange = 0;
  }

  #replyWith(task: Task, data: Uint8Array, allocationLength: number): void {
    if (data.length === 0) return this.#engine.good(task);
    if (task.parameters === null) {
      task.parameters = this.#shard.slices.acquire(data.length, task);
      // Nothing is lost: commands that answer with data can be asked for again.
      if (task.parameters === null) return this.#engine.status(task, SCSI_STATUS_TASK_SET_FULL);
      task.parameterOffset = task.parameters.offset;
    }
    assert(task.parameters.capacity >= data.length, "the answer fits");
    this.#engine.bytes.set(data, task.parameterOffset);
    this.#engine.reply(task, data.length, allocationLength);
  }
}
