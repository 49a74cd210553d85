/**
 * Files on a thread of its own, each job within a time: one whose file system does not answer keeps nobody else waiting. Such a thread
 * is left to itself, and the next job gets another one; what it has opened when it comes back is closed again.
 */
import { Worker } from "node:worker_threads";
import { FILE_THREAD_IDLE_MS, FILE_THREADS_STUCK_MAX, FILE_TIMEOUT_MS } from "../limits.js";
import type { Files, JobName, Jobs } from "./jobs.js";
import type { JobAnswer, JobMessage } from "./worker.js";

/** A file system has not answered in time. To be read behind what was asked of it. */
export class FileTimeoutError extends Error {
  override readonly name = "FileTimeoutError";
}

/** What was asked for is refused: by the system, or by who did it. */
export class FileJobError extends Error {
  /** Of the error there. */
  override readonly name: string;

  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

const WORKER = new URL("./worker.js", import.meta.url);

export class FileThread implements Files {
  readonly #module: URL;
  #thread: Thread | undefined;
  #stuck = 0;
  #idle: NodeJS.Timeout | undefined;

  /** `module`: tests have their own. */
  constructor(module = WORKER) {
    this.#module = module;
  }

  /** @throws FileTimeoutError, FileJobError */
  async run<Name extends JobName>(name: Name, ...args: Parameters<Jobs[Name]>): Promise<ReturnType<Jobs[Name]>> {
    if (this.#stuck >= FILE_THREADS_STUCK_MAX) {
      throw new FileTimeoutError(`not tried: ${this.#stuck} file systems do not answer already`);
    }
    clearTimeout(this.#idle);
    this.#thread ??= new Thread(this.#module);
    const thread = this.#thread;
    const answer = thread.ask(name, args);
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        void this.#leave(thread, name, args, answer);
        reject(new FileTimeoutError(`its file system or device does not answer within ${FILE_TIMEOUT_MS / 1000} s`));
      }, FILE_TIMEOUT_MS);
    });
    try {
      return (await Promise.race([answer, silence])) as ReturnType<Jobs[Name]>;
    } finally {
      clearTimeout(timer);
      this.#idle = setTimeout(() => this.#end(thread), FILE_THREAD_IDLE_MS).unref();
    }
  }

  /** Whoever waits for something is told that it is not to be had any more. */
  async end(): Promise<void> {
    await this.#thread?.end();
    this.#thread = undefined;
  }

  /** Until it answers. What it has opened then is taken back. */
  async #leave(thread: Thread, name: JobName, args: readonly unknown[], answer: Promise<unknown>): Promise<void> {
    if (this.#thread === thread) this.#thread = undefined;
    this.#stuck++;
    try {
      const opened = await answer;
      const [unit, , roots] = args;
      if (name === "open") await thread.ask("takeBack", [opened, unit, roots]);
    } catch {
      // Nobody asks any more.
    } finally {
      this.#stuck--;
      void thread.end();
    }
  }

  #end(thread: Thread): void {
    if (this.#thread !== thread || thread.isBusy) return;
    void this.end();
  }
}

class Thread {
  readonly #worker: Worker;
  readonly #asked = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #lastId = 0;

  constructor(module: URL) {
    // None of the process's own flags: some are for the whole process, and a thread refuses to start with them.
    // What it opens is the whole process's: it stays open when the thread ends.
    this.#worker = new Worker(module, { execArgv: [], trackUnmanagedFds: false });
    this.#worker.on("message", (answer: JobAnswer) => {
      const asked = this.#asked.get(answer.id);
      this.#asked.delete(answer.id);
      if (answer.ok) asked?.resolve(answer.result);
      else asked?.reject(new FileJobError(answer.name, answer.message));
    });
    this.#worker.on("error", ({ name, message }) => this.#fail(new FileJobError(name, message)));
    this.#worker.on("exit", () => this.#fail(new FileJobError("Error", "its thread has ended")));
    // It does not keep the process. Whoever listens to its messages does, so this comes last.
    this.#worker.unref();
  }

  get isBusy(): boolean {
    return this.#asked.size > 0;
  }

  ask(name: JobName, args: readonly unknown[]): Promise<unknown> {
    const message: JobMessage = { id: ++this.#lastId, name, args };
    return new Promise((resolve, reject) => {
      this.#asked.set(message.id, { resolve, reject });
      this.#worker.postMessage(message);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(error: Error): void {
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }
}
