/** The thread of a shard: opens the ring, and gives the shard what it needs of the operating system. */
import {
  adviseHugePages,
  closeSync,
  crc32cBatch,
  eventfdSignal,
  isMemoryLockLimit,
  preadSync,
  pwriteSync,
  Ring,
  SHUT_RDWR,
  setThreadAffinity,
  shutdownSync,
  threadCpuUs,
  writeBackError,
} from "io-uring-node";
import { Consumer, Producer } from "sharedarraybuffer-ring";
import { COUNTER } from "./counters.js";
import { ringEntries } from "./limits.js";
import { Loop } from "./loop.js";
import type { ControlMessage, ShardMessage, ShardTask } from "./messages.js";
import { Shard, type ShardHost } from "./shard.js";
import type { SynchronousFiles } from "./storage/store.js";
import { measureSleepUs, Vigil } from "./vigil.js";

/** CPU time is looked at only so often: it costs a system call. */
const REPORT_INTERVAL_US = 500_000;

class ThreadHost implements ShardHost {
  readonly files: SynchronousFiles = {
    read: preadSync,
    write: (fd, address, length, fileOffset) => pwriteSync(fd, address, length, fileOffset, 0),
    writeBackError,
  };
  readonly #producer: Producer;
  readonly #descriptors: Uint8Array;
  readonly #wakeFds: Int32Array;
  readonly #shard: number;
  /** Messages for which the ring to control had no room, oldest first. */
  readonly #backlog: Uint8Array[] = [];
  arena: Uint8Array = new Uint8Array();

  constructor(task: ShardTask) {
    this.#producer = new Producer(task.toControl);
    this.#descriptors = new Uint8Array(task.descriptors);
    this.#wakeFds = new Int32Array(task.wakeFds);
    this.#shard = task.shard;
  }

  post(message: ShardMessage): void {
    const record = new TextEncoder().encode(JSON.stringify(message));
    if (this.#backlog.length > 0 || !this.#producer.write(record)) this.#backlog.push(record);
  }

  flush(): void {
    let count = 0;
    while (count < this.#backlog.length && this.#producer.write(this.#backlog[count]!)) count++;
    if (count > 0) this.#backlog.splice(0, count);
  }

  get isFlushed(): boolean {
    return this.#backlog.length === 0;
  }

  shutdownSocket(fd: number): void {
    shutdownSync(fd, SHUT_RDWR);
  }

  /** The number may be somebody else's as soon as it is closed: it leaves the table of what is ours before. */
  closeSocket(fd: number): void {
    this.#descriptors[fd] = 0;
    closeSync(fd);
  }

  wakeOthers(): void {
    for (let shard = 0; shard < this.#wakeFds.length; shard++) {
      const fd = Atomics.load(this.#wakeFds, shard);
      if (shard !== this.#shard && fd >= 0) eventfdSignal(fd);
    }
  }

  crc32c(jobs: Uint32Array, count: number): void {
    crc32cBatch(this.arena, jobs, count);
  }
}

/** Piscina's task. Returns only when control has asked the shard to stop and all of its connections are gone. */
export default function run(task: ShardTask): void {
  const host = new ThreadHost(task);
  // First of all: memory comes from where the thread runs.
  if (task.cpu !== null) bindTo(task.cpu, host);
  const ring = Ring.open({
    ...ringEntries(task.shards),
    drained: new Int32Array(task.drained),
  });
  const shard = new Shard(ring, host, task);
  host.arena = shard.arena.bytes;
  adviseHugePages(shard.arena.bytes);
  registerSlices(ring, shard);
  for (const unit of task.units) shard.addUnit(unit);
  const messages = new Consumer(task.toShard);
  const vigil = new Vigil(ring, task.busyPoll ? measureSleepUs(ring, shard.arena, shard.wakeCell) : 0);
  const loop = new Loop(shard, task.wakeFd, vigil);
  const report = new Report(ring, shard, vigil);
  host.post({ type: "ready" });

  while (true) {
    if (loop.turn()) {
      while (messages.next()) {
        // A copy: the decoder takes no shared memory.
        const record = messages.bytes.slice(messages.offset, messages.offset + messages.length);
        messages.release();
        loop.handle(JSON.parse(new TextDecoder().decode(record)) as ControlMessage);
      }
    }
    loop.finish();
    host.flush();
    if (ring.nowUs >= report.dueUs) report.make();
    if (shard.lifecycle.stopped && host.isFlushed) break;
  }
  ring.close();
  host.post({ type: "stopped" });
}

/** Elsewhere it works as well, so a CPU that has gone meanwhile is no reason not to. */
function bindTo(cpu: number, host: ThreadHost): void {
  try {
    setThreadAffinity([cpu]);
  } catch (error) {
    const fields = { cpu, reason: (error as Error).message };
    host.post({ type: "log", level: "warn", message: "the shard's thread is not bound to its CPU", fields });
  }
}

/** What is counted now and then: to ask costs something, or it is kept elsewhere anyway. */
class Report {
  readonly #ring: Ring;
  readonly #shard: Shard;
  readonly #vigil: Vigil;
  /** The shard goes on counting where its last thread stopped. */
  readonly #cpuBeforeUs: number;
  readonly #awakeBeforeUs: number;
  #submittedCount: number;
  /** When the next is to be made, on the ring's clock. */
  dueUs = 0;

  constructor(ring: Ring, shard: Shard, vigil: Vigil) {
    this.#ring = ring;
    this.#shard = shard;
    this.#vigil = vigil;
    this.#cpuBeforeUs = shard.counters[COUNTER.cpu_microseconds]!;
    this.#awakeBeforeUs = shard.counters[COUNTER.busy_poll_microseconds]!;
    this.#submittedCount = ring.submittedCount;
    shard.counters[COUNTER.buffer_bytes] = shard.slices.capacityBytes;
  }

  make(): void {
    const { counters, slices } = this.#shard;
    const { submittedCount, nowUs } = this.#ring;
    counters[COUNTER.cpu_microseconds] = this.#cpuBeforeUs + threadCpuUs();
    counters[COUNTER.busy_poll_microseconds] = this.#awakeBeforeUs + this.#vigil.awakeUs;
    counters[COUNTER.submissions]! += (submittedCount - this.#submittedCount) >>> 0;
    counters[COUNTER.free_buffer_bytes] = slices.allFreeBytes;
    this.#submittedCount = submittedCount;
    this.dueUs = nowUs + REPORT_INTERVAL_US;
  }
}

/** Fixed buffers save the kernel the look-up of pages at each I/O; without them all works the same, a little slower. */
function registerSlices(ring: Ring, shard: Shard): void {
  const { regionOffset, regionLength } = shard.slices;
  try {
    ring.registerBuffers([{ address: shard.arena.address(regionOffset), length: regionLength }]);
    shard.fixedBuffers = true;
  } catch (error) {
    if (!isMemoryLockLimit(error)) throw error;
    shard.host.post({
      type: "log",
      level: "warn",
      message:
        "buffers not registered with the ring: RLIMIT_MEMLOCK is too low. It works without, a little slower; " +
        "to change it: ulimit -l unlimited, or LimitMEMLOCK=infinity in the systemd unit",
      fields: { bytes: regionLength },
    });
  }
}
