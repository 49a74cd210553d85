/**
 * What arrived before its turn: CmdSN -> it, or null where what arrived was aborted before its turn. With several connections, commands
 * arrive early all the time, so keeping them costs no hashing and no memory: a place of the command window each.
 */
import { assert } from "../assert.js";
import { COMMAND_WINDOW } from "../limits.js";
import { serialAdd } from "../wire/serial.js";

const MASK = COMMAND_WINDOW - 1;

assert((COMMAND_WINDOW & MASK) === 0, "the window is a power of two");

export class HeldCommands<T> {
  /** CmdSN modulo COMMAND_WINDOW -> what is held there: no two numbers of a window meet. Empty until there is something for the first time. */
  #places: (T | null | undefined)[] = [];
  size = 0;

  /** undefined: nothing has come. */
  get(cmdSN: number): T | null | undefined {
    return this.#places[cmdSN & MASK];
  }

  has(cmdSN: number): boolean {
    return this.#places[cmdSN & MASK] !== undefined;
  }

  /** `cmdSN` is in the command window. */
  set(cmdSN: number, held: T | null): void {
    if (this.#places.length === 0) this.#places = new Array<T | null | undefined>(COMMAND_WINDOW).fill(undefined);
    if (!this.has(cmdSN)) this.size++;
    this.#places[cmdSN & MASK] = held;
  }

  delete(cmdSN: number): void {
    if (!this.has(cmdSN)) return;
    this.#places[cmdSN & MASK] = undefined;
    this.size--;
  }

  /** All of them with their CmdSN, in its order. `expCmdSN`: where the window begins. What is given out may be deleted. */
  *entries(expCmdSN: number): Generator<[cmdSN: number, held: T | null]> {
    for (let ahead = 0; ahead < COMMAND_WINDOW && this.size > 0; ahead++) {
      const cmdSN = serialAdd(expCmdSN, ahead);
      const held = this.get(cmdSN);
      if (held !== undefined) yield [cmdSN, held];
    }
  }
}
