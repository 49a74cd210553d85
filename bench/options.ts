/** Values of command line options. */
import { InvalidArgumentError } from "commander";

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** 4096, 4k, 4KiB, 1G ...: powers of two. */
export function parseBytes(text: string): number {
  const match = /^(\d+)([kmgt]?)(?:i?b)?$/i.exec(text);
  if (match === null) throw new InvalidArgumentError("a size like 4096, 4k, 256KiB, 1g.");
  return Number(match[1]) * UNITS[match[2]!.toLowerCase()]!;
}

export function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("a whole number.");
  return Number(text);
}

export function parsePositive(text: string): number {
  const value = parseCount(text);
  if (value === 0) throw new InvalidArgumentError("a whole number above 0.");
  return value;
}

/** Seconds, fractions allowed. */
export function parseSeconds(text: string): number {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value < 0) throw new InvalidArgumentError("a number of seconds.");
  return value;
}

/** read, write, or how many of a hundred commands read. */
export function parseMix(text: string): number {
  if (text === "read") return 100;
  if (text === "write") return 0;
  const value = parseCount(text);
  if (value > 100) throw new InvalidArgumentError("read, write, or a percentage of reads.");
  return value;
}

export function parseKey(text: string, earlier: Readonly<Record<string, string>>): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("a negotiable key as KEY=VALUE.");
  return { ...earlier, [text.slice(0, equals)]: text.slice(equals + 1) };
}
