/**
 * A disk behind several paths, as a host with multipath software has it: it uses the first path that works, sends again through another one
 * what was not answered, and comes back to the first as soon as that works again. What it reads it compares with what was acknowledged.
 *
 * Before it sends anything again it has the unit reset through the path that is left: only then is it certain that no command of the lost
 * path is still under way, to overwrite something newer.
 */
import assert from "node:assert/strict";
import { read16, write16 } from "./cdb.js";
import { RawInitiator } from "./raw-initiator.js";
import type { CommandOptions, CommandResult } from "./raw-task.js";
import { LOGICAL_UNIT_RESET } from "./task-management.js";

const BLOCK_BYTES = 512;
const SLOT_BLOCKS = 64;
const SLOT_BYTES = SLOT_BLOCKS * BLOCK_BYTES;
const STATUS_GOOD = 0x00;
const STATUS_CHECK_CONDITION = 0x02;
const STATUS_BUSY = 0x08;
const KEY_NOT_READY = 0x2;
const KEY_UNIT_ATTENTION = 0x6;
const ASC_NOT_ACCESSIBLE = 0x04;
const ASCQ_ACCESS_STATES: ReadonlySet<number> = new Set([0x0a, 0x0b, 0x0c]);

export interface MultipathOptions {
  /** Where each path leads, the best first. */
  readonly ports: readonly (() => number)[];
  readonly targetName: string;
  readonly initiatorName: string;
  readonly slots: number;
  /** A path that has been silent for so long is lost. */
  readonly silenceMsMax: number;
  /** If no path works for so long, the test has failed. */
  readonly outageMsMax: number;
}

interface Path {
  readonly index: number;
  readonly port: () => number;
  initiator: RawInitiator | undefined;
  /** It was lost, and to log in has been tried in vain in this round. */
  isGivenUp: boolean;
}

/** The path is there and its target port group does not serve reads and writes now. */
class InaccessibleError extends Error {
  override name = "InaccessibleError";
}

export class MultipathDisk {
  /** By path: commands that it has answered. */
  readonly answered: number[];
  /** Paths that were lost so far. */
  losses = 0;
  readonly #options: MultipathOptions;
  readonly #paths: readonly Path[];
  /** By slot: what the last write that was acknowledged has left. 0: never written. */
  readonly #generations: number[];
  /** Whether commands of a lost path may still be under way. */
  #isDoubtful = false;

  constructor(options: MultipathOptions) {
    this.#options = options;
    this.#paths = options.ports.map((port, index) => ({ index, port, initiator: undefined, isGivenUp: false }));
    this.answered = options.ports.map(() => 0);
    this.#generations = Array.from({ length: options.slots }, () => 0);
  }

  /** Writes every slot anew, all at once, and reads all of them back. */
  async round(): Promise<void> {
    for (const path of this.#paths) path.isGivenUp = false;
    const next = this.#generations.map((generation) => generation + 1);
    await this.#run(next.map((generation, slot) => writeOf(slot, generation)));
    for (const [slot, generation] of next.entries()) this.#generations[slot] = generation;
    await this.check();
  }

  /** Reads all slots: they hold what was acknowledged last. */
  async check(): Promise<void> {
    const results = await this.#run(this.#generations.map((_, slot) => readOf(slot)));
    for (const [slot, { data }] of results.entries()) {
      const generation = this.#generations[slot]!;
      if (data.equals(slotData(slot, generation))) continue;
      const found = [data.readUInt32BE(0), data.readUInt32BE(4)];
      assert.fail(`slot ${slot} holds generation ${found[1]} of slot ${found[0]}, acknowledged was ${generation}`);
    }
  }

  /** What the file of the unit has to hold at its start. */
  get content(): Buffer {
    return Buffer.concat(this.#generations.map((generation, slot) => slotData(slot, generation)));
  }

  /** The connections break. */
  drop(): void {
    for (const path of this.#paths) path.initiator?.destroy();
  }

  /** Which path commands take now; -1: there is none. */
  get current(): number {
    return this.#paths.findIndex(({ initiator }) => initiator !== undefined);
  }

  /** All of the commands, in whatever order and over whatever path, until each of them has succeeded. */
  async #run(commands: readonly CommandOptions[]): Promise<CommandResult[]> {
    const results = new Map<number, CommandResult>();
    /** Paths whose port group refuses, for this turn. */
    const refused = new Set<Path>();
    for (const endMs = performance.now() + this.#options.outageMsMax; results.size < commands.length; ) {
      assert.ok(performance.now() < endMs, `no path has worked for ${this.#options.outageMsMax} ms`);
      const path = await this.#choose(refused);
      if (path === undefined) {
        refused.clear();
        for (const each of this.#paths) each.isGivenUp = false;
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      const missing = [...commands.entries()].filter(([index]) => !results.has(index));
      try {
        await this.#runOn(path, missing, results);
      } catch (error) {
        if (error instanceof InaccessibleError) refused.add(path);
        else this.#lose(path);
      }
    }
    return commands.map((_, index) => results.get(index)!);
  }

  async #runOn(
    path: Path,
    commands: readonly (readonly [number, CommandOptions])[],
    results: Map<number, CommandResult>,
  ): Promise<void> {
    const { silenceMsMax } = this.#options;
    const initiator = path.initiator!;
    if (this.#isDoubtful) {
      await initiator.taskManagement(LOGICAL_UNIT_RESET);
      this.#isDoubtful = false;
    }
    const tasks = [];
    for (const [index, command] of commands) tasks.push([index, await initiator.start(command)] as const);
    let isRefused = false;
    for (const [index, task] of tasks) {
      const result = await initiator.finish(task, silenceMsMax);
      this.answered[path.index]!++;
      assert.equal(result.response, 0);
      if (result.status === STATUS_GOOD) results.set(index, result);
      else if (refusalOf(result) === "inaccessible") isRefused = true;
    }
    if (isRefused) throw new InaccessibleError();
  }

  /** The best path that there is. Those that were lost are tried again. */
  async #choose(refused: ReadonlySet<Path>): Promise<Path | undefined> {
    for (const path of this.#paths) {
      if (refused.has(path) || path.isGivenUp) continue;
      if (path.initiator !== undefined || (await this.#logIn(path))) return path;
      path.isGivenUp = true;
    }
    return undefined;
  }

  async #logIn(path: Path): Promise<boolean> {
    const { targetName, initiatorName, silenceMsMax } = this.#options;
    let initiator: RawInitiator | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      initiator = await RawInitiator.connect(path.port());
      const login = initiator.login({ targetName, initiatorName, keys: { MaxRecvDataSegmentLength: "65536" } });
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error("no answer to the login")), silenceMsMax);
      });
      await Promise.race([login, late]);
      path.initiator = initiator;
      return true;
    } catch {
      initiator?.destroy();
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  #lose(path: Path): void {
    path.initiator?.destroy();
    path.initiator = undefined;
    this.losses++;
    this.#isDoubtful = true;
  }
}

/** What a command says that has to be sent again. Anything else is a failure of the test. */
function refusalOf({ status, sense }: CommandResult): "again" | "inaccessible" {
  if (status === STATUS_BUSY) return "again";
  assert.equal(status, STATUS_CHECK_CONDITION);
  const [key, asc, ascq] = [sense[2]! & 0x0f, sense[12]!, sense[13]!];
  if (key === KEY_UNIT_ATTENTION) return "again";
  assert.ok(
    key === KEY_NOT_READY && asc === ASC_NOT_ACCESSIBLE && ASCQ_ACCESS_STATES.has(ascq),
    `${key} ${asc} ${ascq}`,
  );
  return "inaccessible";
}

function slotData(slot: number, generation: number): Buffer {
  const data = Buffer.alloc(SLOT_BYTES, generation & 0xff);
  for (let at = 0; at < SLOT_BYTES; at += BLOCK_BYTES) {
    data.writeUInt32BE(slot, at);
    data.writeUInt32BE(generation, at + 4);
  }
  return data;
}

function writeOf(slot: number, generation: number): CommandOptions {
  return { cdb: write16(slot * SLOT_BLOCKS, SLOT_BLOCKS), write: slotData(slot, generation) };
}

function readOf(slot: number): CommandOptions {
  return { cdb: read16(slot * SLOT_BLOCKS, SLOT_BLOCKS), read: SLOT_BYTES };
}
