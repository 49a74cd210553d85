/** What is typed where a value is wanted: judged here, before anybody is asked. Each throws what the command line says of it. */
import { InvalidArgumentError } from "commander";
import { size } from "../config/values.js";

export const LUN_MAX = 16_383;

export function wholeNumber(text: string): number {
  if (!/^[1-9][0-9]*$/.test(text)) throw new InvalidArgumentError("a whole number is wanted");
  return Number(text);
}

/** Fractions too. */
export function seconds(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const number = /^[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= minimum && number <= maximum)) {
      throw new InvalidArgumentError(`seconds are wanted, ${minimum} to ${maximum}`);
    }
    return number;
  };
}

export function bytes(text: string): number {
  const parsed = size.safeParse(text);
  if (!parsed.success || typeof parsed.data !== "number") throw new InvalidArgumentError("a size is wanted, as 100MiB");
  return parsed.data;
}

export function lunNumber(text: string): number {
  const lun = /^(0|[1-9][0-9]{0,4})$/.test(text) ? Number(text) : Number.NaN;
  if (!(lun <= LUN_MAX)) throw new InvalidArgumentError(`a LUN is a number, 0 to ${LUN_MAX}`);
  return lun;
}

export function httpUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:/i.test(text)) {
    throw new InvalidArgumentError("https:// or http://, host and port are wanted");
  }
  return text;
}
