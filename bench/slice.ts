/**
 * A load that is put on a target in slices, with its sessions kept in between: two of them in turns see the same moments of a
 * machine that others use, too, and the ratios of neighbours are what can be believed of it.
 */
import { processMs } from "./cpu-time.js";
import { Initiator } from "./initiator/initiator.js";
import { parseTargetUrl } from "./initiator/url.js";
import { type LoadMeter, LoadWorkload, takeRandomData } from "./initiator/workloads.js";

const SEED = 1;

export interface SliceShape {
  readonly connections: number;
  /** Commands in flight on each of them. */
  readonly depth: number;
  /** Bytes of one command. */
  readonly block: number;
  readonly readPercent: number;
  readonly keys: Readonly<Record<string, string>>;
}

export interface SliceResult {
  /** Commands a second. */
  readonly rate: number;
  /** CPU time of the target per command, microseconds. */
  readonly targetUs: number;
}

export class SlicedLoad {
  readonly #initiator: Initiator;
  readonly #shape: SliceShape;
  readonly #pid: number;
  readonly #slots: number;
  readonly #slotBlocks: number;
  readonly #blockLength: number;
  readonly #writeData: number;

  /** Logs in. `pid`: the target's process. */
  constructor(url: string, pid: number, shape: SliceShape) {
    const { connections, depth, block, keys } = shape;
    this.#shape = shape;
    this.#pid = pid;
    this.#initiator = Initiator.connect({
      url: parseTargetUrl(url),
      connections,
      depth,
      keys,
      workloadBytes: block,
    });
    const { blocks, blockLength } = this.#initiator.readCapacity();
    this.#blockLength = blockLength;
    this.#slotBlocks = block / blockLength;
    this.#slots = Math.floor((blocks * blockLength) / block);
    this.#writeData = takeRandomData(this.#initiator.arena, block, SEED);
  }

  /** Random reads and writes for `seconds`; blocks the thread. */
  run(seconds: number): SliceResult {
    const meter = new Meter(this.#pid);
    const shape = {
      area: { seed: SEED, lba: 0, slots: this.#slots, slotBlocks: this.#slotBlocks, blockLength: this.#blockLength },
      readPercent: this.#shape.readPercent,
      sequential: false,
      fua: false,
      synchronizeEvery: 0,
      rampUs: (seconds * 1e6) / 10,
      durationUs: seconds * 1e6,
      seed: SEED,
    };
    this.#initiator.run(new LoadWorkload(shape, meter, null, this.#writeData));
    return meter.result();
  }

  close(): void {
    this.#initiator.logout();
    this.#initiator.close();
  }
}

class Meter implements LoadMeter {
  readonly #pid: number;
  #commands = 0;
  #us = 0;
  #targetMs = 0;

  constructor(pid: number) {
    this.#pid = pid;
  }

  begin(nowUs: number): void {
    this.#us = nowUs;
    this.#targetMs = processMs(this.#pid);
  }

  record(): void {
    this.#commands++;
  }

  end(nowUs: number): void {
    this.#us = nowUs - this.#us;
    this.#targetMs = processMs(this.#pid) - this.#targetMs;
  }

  result(): SliceResult {
    return { rate: (this.#commands * 1e6) / this.#us, targetUs: (this.#targetMs * 1000) / this.#commands };
  }
}
