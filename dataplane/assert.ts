/** A programmer's error: always checked. The shard that throws it dies and is started anew. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The default of a `switch` over small integers that knows all of them. */
export function unreachable(what: string, value: number): never {
  throw new AssertionError(`${what}: ${value} is not one of its values`);
}
