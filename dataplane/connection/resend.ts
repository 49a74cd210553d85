/** Data-In PDUs, an R2T or a status that was sent before and is sent again, because a SNACK asked for it (RFC 7143 section 11.16). */
import type { Slice } from "../buffer/slice.js";
import type { Task } from "../task/task.js";
import { OUTGOING_RESEND, Outgoing } from "./outgoing.js";

export abstract class Resend extends Outgoing {
  constructor() {
    super(OUTGOING_RESEND);
  }
}

/** The task's Data-In PDUs from `dataSN` on, `count` of them. */
export class ResendData extends Resend {
  readonly task: Task;
  dataSN: number;
  count: number;

  constructor(task: Task, dataSN: number, count: number) {
    super();
    this.task = task;
    this.dataSN = dataSN;
    this.count = count;
  }
}

/** The R2T of a slice, if it is still the one with this tag. */
export class ResendR2t extends Resend {
  readonly slice: Slice;
  readonly tag: number;

  constructor(slice: Slice) {
    super();
    this.slice = slice;
    this.tag = slice.tag;
  }
}

/** The status that a task or a reply went out with, if it is still not acknowledged: a task may serve another command since. */
export class ResendStatus extends Resend {
  readonly node: Outgoing;
  readonly sentStatSN: number;

  constructor(node: Outgoing) {
    super();
    this.node = node;
    this.sentStatSN = node.statSN;
  }
}
