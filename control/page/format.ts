/** Numbers as the page shows them: short, of nearly one width, with their unit. */

const NO_NUMBER = "–";

/** Of bytes a second: `1234567` -> `1.23 MB/s` */
export function byteRate(bytesPerSecond: number): string {
  return scaled(bytesPerSecond, 1000, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]);
}

/** Of commands a second: `12345` -> `12.3k` */
export function commandRate(perSecond: number): string {
  const [number, unit] = scaled(perSecond, 1000, ["", "k", "M", "G"]).split(" ");
  return `${number}${unit}`;
}

/** Of seconds: `0.000127` -> `127 µs` */
export function latency(seconds: number | undefined): string {
  if (seconds === undefined || Number.isNaN(seconds)) return NO_NUMBER;
  return seconds < 1 ? scaled(seconds * 1e6, 1000, ["µs", "ms"]) : `${significant(seconds)} s`;
}

/** Of bytes, as sizes are configured: `64 GiB` */
export function size(bytes: number): string {
  return scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

/** Of a part of one: `0.427` -> `43 %` */
export function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

/** How long something lasts, in its two largest units: `3 d 4 h` */
export function elapsed(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours, days] = [seconds / 60, seconds / 3600, seconds / 86_400].map(Math.floor) as [
    number,
    number,
    number,
  ];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min` : `${seconds} s`;
}

/** `1 session`, `2 sessions` */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0;
  // What would be rounded to 1000 belongs to the next unit.
  while (unit < units.length - 1 && Number(significant(value)) >= base) {
    value /= base;
    unit++;
  }
  return `${significant(value)} ${units[unit]}`;
}

/** Three digits where there is something behind the point, none below: `1.23`, `12.3`, `1234`. */
function significant(value: number): string {
  if (value >= 99.95 || value === Math.floor(value)) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}
