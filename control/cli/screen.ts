/** What a terminal, if there is one, is fit for. */
import type { WriteStream } from "node:tty";

/** Whether the cursor can be moved there. */
export function isScreen({ isTTY }: Pick<WriteStream, "isTTY">): boolean {
  return isTTY && process.env.TERM !== "dumb";
}

/** Characters that a line of standard output has room for: a terminal's, which $COLUMNS overrides. */
export function lineLengthMax(): number {
  const { isTTY, columns } = process.stdout;
  if (!isTTY) return Number.POSITIVE_INFINITY;
  return Number(process.env.COLUMNS) || columns || Number.POSITIVE_INFINITY;
}
