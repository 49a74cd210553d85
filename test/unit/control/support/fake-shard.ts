/**
 * A shard's thread that speaks the messages of dataplane/messages.ts and moves no data: it sends the final Login Response
 * of each connection handed to it and keeps the socket. Its unit's names tell it how to behave.
 */
import { closeSync, writeSync } from "node:fs";
import { Consumer, Producer } from "sharedarraybuffer-ring";
import type { ControlMessage, HandoffRecord, ShardMessage, ShardTask } from "../../../../dataplane/messages.js";

/** A unit of this name makes the shard fail before it is ready. */
export const UNIT_FAILS_AT_START = "fails-at-start";
/** A unit of this name makes the shard ignore `endSession` and `endConnection`. */
export const UNIT_ENDS_NOTHING = "ends-nothing";
/** A unit of this name makes the shard report an undrained ring when it throws. */
export const UNIT_DOES_NOT_DRAIN = "does-not-drain";
/** A unit of this name makes the shard talk without end. */
export const UNIT_TALKS = "talks";
/** A connection of an initiator of this name makes the task throw. */
export const INITIATOR_KILLS = "iqn.2026-11.io.ringlun:kills";

const NOBODY_WAKES = new Int32Array(new SharedArrayBuffer(4));

export default function run(task: ShardTask): void {
  const units = new Set(task.units.map(({ name }) => name));
  if (units.has(UNIT_FAILS_AT_START)) throw new Error("no ring to be had");
  new FakeShard(task, units).run();
}

class FakeShard {
  readonly #task: ShardTask;
  readonly #units: ReadonlySet<string>;
  readonly #consumer: Consumer;
  readonly #producer: Producer;
  readonly #descriptors: Uint8Array;
  readonly #connections = new Map<number, HandoffRecord>();
  #stopped = false;

  constructor(task: ShardTask, units: ReadonlySet<string>) {
    this.#task = task;
    this.#units = units;
    this.#consumer = new Consumer(task.toShard);
    this.#producer = new Producer(task.toControl);
    this.#descriptors = new Uint8Array(task.descriptors);
  }

  run(): void {
    const drained = new Int32Array(this.#task.drained);
    // A thread that is terminated runs nothing more: what io-uring-node's clean-up hook would do is done beforehand.
    Atomics.store(drained, 0, this.#units.has(UNIT_DOES_NOT_DRAIN) ? -1 : 1);
    this.#post({ type: "ready" });
    while (!this.#stopped) {
      while (this.#consumer.next()) {
        const { bytes, offset, length } = this.#consumer;
        const record = Buffer.from(bytes.slice(offset, offset + length)).toString();
        this.#consumer.release();
        this.#handle(JSON.parse(record) as ControlMessage);
      }
      if (this.#units.has(UNIT_TALKS)) this.#log("something");
      else this.#consumer.wait(100);
    }
  }

  #handle(message: ControlMessage): void {
    switch (message.type) {
      case "connection":
        this.#open(message.record);
        break;
      case "endSession":
        if (this.#units.has(UNIT_ENDS_NOTHING)) break;
        for (const record of [...this.#connections.values()]) {
          if (record.sessionId === message.sessionId) this.#close(record, message.reason);
        }
        this.#post({ type: "sessionEnded", sessionId: message.sessionId });
        break;
      case "endConnection": {
        const record = this.#connections.get(message.connectionId);
        if (record !== undefined && !this.#units.has(UNIT_ENDS_NOTHING)) this.#close(record, message.reason);
        break;
      }
      case "lunChange":
      case "unitChange":
        this.#log(JSON.stringify(message));
        this.#post({ type: "done", exchange: message.exchange });
        break;
      case "awaitEnding":
      case "resetUnit":
        this.#post({ type: "done", exchange: message.exchange });
        break;
      case "stop":
        for (const record of [...this.#connections.values()]) this.#close(record, "stop");
        this.#stopped = true;
        this.#post({ type: "stopped" });
        break;
      case "unit":
        this.#log(`unit ${message.unit.name}`);
        break;
      case "textReply":
      case "textReject":
      case "resetDone":
        this.#log(JSON.stringify(message));
        break;
    }
  }

  #open(record: HandoffRecord): void {
    if (record.initiatorName === INITIATOR_KILLS) throw new Error("killed by an initiator");
    this.#connections.set(record.connectionId, record);
    const response = Buffer.from(record.loginResponse, "hex");
    response.writeUInt32BE(record.statSN, 24);
    response.writeUInt32BE(record.expCmdSN, 28);
    response.writeUInt32BE(record.expCmdSN, 32);
    const padded = Buffer.alloc((response.length + 3) & ~3);
    response.copy(padded);
    writeSync(record.fd, padded);
    this.#log(`handoff ${JSON.stringify(record)}`);
  }

  #close(record: HandoffRecord, reason: string): void {
    this.#connections.delete(record.connectionId);
    this.#descriptors[record.fd] = 0;
    closeSync(record.fd);
    const { connectionId, sessionId } = record;
    this.#post({ type: "connectionClosed", connectionId, sessionId, reason, isRecoverable: false });
  }

  #log(message: string): void {
    this.#post({ type: "log", level: "info", message, fields: {} });
  }

  #post(message: ShardMessage): void {
    const record = Buffer.from(JSON.stringify(message));
    // While the ring is full.
    while (!this.#producer.write(record)) Atomics.wait(NOBODY_WAKES, 0, 0, 1);
  }
}
