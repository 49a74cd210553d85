/** Kinds of values that a configuration is made of, each with the message for what is not one. */
import * as z from "zod";
import { LIMITED_BYTES_PER_SECOND_MAX, SHARDS_MAX } from "../../dataplane/limits.js";
import { parseIscsiName, parseNamePattern } from "./iscsi-name.js";
import { isWildcard, type PortalAddress, parsePortalAddress } from "./portal-address.js";

/**
 * What stands in the parsed document in the place of a value that was found wrong. Checks that come later see it and
 * keep quiet: each mistake is reported once.
 */
export const FLAWED: unique symbol = Symbol("flawed");

/** Why a value cannot be taken. */
class Flaw {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

const MISSING = new Flaw("is missing");

const TEXT_LENGTH_MAX_BYTES = 255;
const PATH_LENGTH_MAX_BYTES = 4095;
export const SECRET_LENGTH_MAX_BYTES = 1024;
const QUOTE_LENGTH_MAX = 60;
const SIZE_UNITS = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A schema around a plain function: the function judges and normalises, zod keeps the path and collects the reasons. */
function scalar<T>(read: (value: unknown) => T | Flaw): z.ZodType<T> {
  return z.unknown().transform((value, context) => {
    const result = value === undefined ? MISSING : read(value);
    return result instanceof Flaw ? (refuse(value, context, result) as never) : result;
  });
}

/** Between the keys that a message lists. */
export const KEY_SEPARATOR = ", ";

/** A mapping of known keys; any other key is a fault. */
export function mapping<Shape extends z.ZodRawShape>(shape: Shape) {
  // The message is read by translateIssue() alone: the keys that may stand here.
  const known = Object.keys(shape).join(KEY_SEPARATOR);
  return z.preprocess(
    expectMapping(`the keys here are ${known}`),
    z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? known : undefined) }),
  );
}

/** A mapping whose keys are the user's own; `remedy` says how one is written. */
export function dictionary<Value extends z.ZodType>(value: Value, remedy: string) {
  return z.preprocess(expectMapping(remedy), z.record(z.string(), value));
}

export function list<Item extends z.ZodType>(item: Item) {
  return z.preprocess(expectList, z.array(item));
}

export function listOfSome<Item extends z.ZodType>(item: Item, remedy: string) {
  return z.preprocess(expectList, z.array(item).min(1, { error: `is empty: ${remedy}` }));
}

/** A list, or its only item alone: `a` for `[a]`. */
export function oneOrMore<Item extends z.ZodType>(item: Item, remedy: string) {
  return z.preprocess(
    (short, context) => {
      if (Array.isArray(short)) return short;
      const parse = item.safeParse(short);
      if (parse.success) return [short];
      return refuse(short, context, new Flaw(parse.error.issues.map(({ message }) => message).join("; ")));
    },
    z.array(item).min(1, { error: `is empty: ${remedy}` }),
  );
}

/** A mapping, or the value of one of its keys alone: `vm0` for `{ unit: vm0 }`. */
export function shorthand<Schema extends z.ZodType>(key: string, value: z.ZodType, whole: Schema) {
  return z.preprocess((short, context) => {
    if (isMapping(short)) return short;
    const parse = value.safeParse(short);
    if (parse.success) return { [key]: parse.data };
    return refuse(short, context, new Flaw(parse.error.issues.map(({ message }) => message).join("; ")));
  }, whole);
}

/**
 * Makes the schema remember what it has made of an object for as long as that is there: what comes again is not judged again. What
 * has faults is. For schemas that look at nothing but the value.
 */
export function remembering<Schema extends z.ZodType>(schema: Schema): Schema {
  const outcomes = new WeakMap<object, unknown>();
  const { run } = schema._zod;
  schema._zod.run = (payload, context) => {
    const given = payload.value;
    if (typeof given !== "object" || given === null) return run(payload, context);
    if (outcomes.has(given)) {
      payload.value = outcomes.get(given);
      return payload;
    }
    const result = run(payload, context);
    if (!(result instanceof Promise) && result.issues.length === 0) outcomes.set(given, result.value);
    return result;
  };
  return schema;
}

function expectMapping(remedy: string) {
  return (value: unknown, context: z.RefinementCtx): unknown => {
    if (isMapping(value)) return value;
    return refuse(value, context, new Flaw(`is ${describe(value)}, not a mapping: ${remedy}`));
  };
}

function expectList(value: unknown, context: z.RefinementCtx): unknown {
  if (Array.isArray(value)) return value;
  return refuse(value, context, new Flaw(`is ${describe(value)}, not a list: write [a, b], or one "- item" a line`));
}

function refuse(value: unknown, context: z.RefinementCtx, flaw: Flaw): typeof FLAWED {
  const { reason } = value === undefined ? MISSING : flaw;
  context.issues.push({ code: "custom", input: value, message: reason });
  return FLAWED;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** For messages; never shows the value itself, which may be a secret. */
function describe(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  switch (typeof value) {
    case "string":
      return "text";
    case "boolean":
      return "a boolean";
    case "object":
      return "a mapping";
    default:
      return "a number";
  }
}

/** A value that is certainly no secret, for a message. */
function quote(value: unknown): string {
  if (typeof value === "number") return `${value}`;
  if (typeof value !== "string") return describe(value);
  return JSON.stringify(value.length > QUOTE_LENGTH_MAX ? `${value.slice(0, QUOTE_LENGTH_MAX)}...` : value);
}

function readText(value: unknown, lengthMaxBytes: number): string | Flaw {
  if (typeof value === "number") return new Flaw("is an unquoted number, not text: put it in quotes");
  if (typeof value === "boolean") return new Flaw("is an unquoted boolean, not text: put it in quotes");
  if (typeof value !== "string") return new Flaw(`is ${describe(value)}, not text`);
  if (value === "") return new Flaw("is empty text: write something between the quotes");
  const lengthBytes = Buffer.byteLength(value);
  if (lengthBytes > lengthMaxBytes)
    return new Flaw(`is ${lengthBytes} bytes long: at most ${lengthMaxBytes} are allowed`);
  return value;
}

/** Text that is shown to people or sent to a peer: no control characters. */
function readPrintable(value: unknown): string | Flaw {
  const read = readText(value, TEXT_LENGTH_MAX_BYTES);
  if (read instanceof Flaw) return read;
  return hasControlCharacter(read) ? new Flaw("has a control character in it: remove it") : read;
}

/** Also lone surrogates, which have no form in UTF-8. */
export function hasControlCharacter(value: string): boolean {
  return /[\p{Cc}\p{Cs}]/u.test(value);
}

export const printable = scalar(readPrintable);

/** A CHAP secret as written; its length is judged where its bytes are known. */
export const secretText = scalar((value) => {
  const read = readText(value, SECRET_LENGTH_MAX_BYTES);
  return typeof read === "string" && /\p{Cs}/u.test(read)
    ? new Flaw("has a lone surrogate in it: no UTF-8 text")
    : read;
});

export const path = scalar((value) => {
  const read = readText(value, PATH_LENGTH_MAX_BYTES);
  return typeof read === "string" && hasControlCharacter(read)
    ? new Flaw("has a control character in it: no path of a file")
    : read;
});

export const iscsiName = scalar((value) => {
  const read = readText(value, PATH_LENGTH_MAX_BYTES);
  if (read instanceof Flaw) return read;
  const parse = parseIscsiName(read);
  return parse.ok ? parse.name : new Flaw(parse.reason);
});

/** Of an initiator, or a pattern for several. */
export const namePattern = scalar((value) => {
  const read = readText(value, PATH_LENGTH_MAX_BYTES);
  if (read instanceof Flaw) return read;
  const parse = parseNamePattern(read);
  return parse.ok ? parse.name : new Flaw(parse.reason);
});

/** A name by which a host is known, and no address. */
export const hostName = scalar((value) => {
  const read = readText(value, TEXT_LENGTH_MAX_BYTES);
  if (read instanceof Flaw) return read;
  const parse = parsePortalAddress(read, 1);
  if (!parse.ok) return new Flaw(parse.reason);
  const { host } = parse.address;
  return host === read.toLowerCase() ? host : new Flaw(`is ${quote(read)}: write the name alone, as ${host}`);
});

export function portal(defaultPort: number): z.ZodType<PortalAddress> {
  return scalar((value) => {
    const read = readText(value, TEXT_LENGTH_MAX_BYTES);
    if (read instanceof Flaw) return read;
    const parse = parsePortalAddress(read, defaultPort);
    return parse.ok ? parse.address : new Flaw(parse.reason);
  });
}

/** Where a peer is sent: an address that means something beyond this host. */
export function remotePortal(defaultPort: number): z.ZodType<PortalAddress> {
  return scalar((value) => {
    const read = readText(value, TEXT_LENGTH_MAX_BYTES);
    if (read instanceof Flaw) return read;
    const parse = parsePortalAddress(read, defaultPort);
    if (!parse.ok) return new Flaw(parse.reason);
    const { host } = parse.address;
    if (host.includes("%")) return new Flaw("has a zone, which means nothing to an initiator: leave out the % part");
    if (isWildcard(parse.address)) return new Flaw("is the wildcard address: initiators cannot connect to it");
    return parse.address;
  });
}

export const boolean = scalar((value) => {
  if (typeof value === "boolean") return value;
  return new Flaw(`is ${describe(value)}: write true or false`);
});

export const onlyTrue = scalar((value): true | Flaw => {
  return value === true ? true : new Flaw("can only be true: leave the key out otherwise");
});

export function integer(minimum: number, maximum: number): z.ZodType<number> {
  const range = minimum === maximum ? `${minimum}` : `${minimum} to ${maximum}`;
  return scalar((value) => {
    if (typeof value !== "number")
      return new Flaw(`is ${describe(value)}, not a number: write ${range}, without quotes`);
    if (Number.isInteger(value) && value >= minimum && value <= maximum) return value;
    return new Flaw(`is ${quote(value)}: write a whole number, ${range}`);
  });
}

export function choice<const Name extends string | number>(...names: readonly Name[]): z.ZodType<Name> {
  const options = names.join(", ").replace(/, ([^,]*)$/, " or $1");
  return scalar((value) => {
    const name = names.find((candidate) => candidate === value);
    if (name !== undefined) return name;
    return new Flaw(`is ${quote(value)}: write ${options}`);
  });
}

/** Bytes. */
export const size = scalar(readSize);

function readSize(value: unknown): number | Flaw {
  let bytes = Number.NaN;
  if (typeof value === "number") bytes = value;
  else if (typeof value === "string") {
    const parts = /^([0-9]+) ?(KiB|MiB|GiB|TiB)?$/.exec(value);
    if (parts !== null) bytes = Number(parts[1]) * (SIZE_UNITS[parts[2] as keyof typeof SIZE_UNITS] ?? 1);
  } else return new Flaw(`is ${describe(value)}: write bytes, or a whole number and KiB, MiB, GiB or TiB, as 10GiB`);
  if (bytes > Number.MAX_SAFE_INTEGER) return new Flaw("is too large: at most 2^53-1 bytes are served");
  if (Number.isInteger(bytes) && bytes > 0) return bytes;
  return new Flaw(`is ${quote(value)}: write bytes, or a whole number and KiB, MiB, GiB or TiB, as 10GiB`);
}

/** Bytes a second, of a limit. */
export const bandwidth = scalar((value) => {
  const read = readSize(value);
  if (read instanceof Flaw || read <= LIMITED_BYTES_PER_SECOND_MAX) return read;
  const most = LIMITED_BYTES_PER_SECOND_MAX / SIZE_UNITS.GiB;
  return new Flaw(`is more than the ${most}GiB a second that can be limited: leave it out to limit nothing`);
});

/** Fractions too. */
export function seconds(maximum: number): z.ZodType<number> {
  return scalar((value) => {
    if (typeof value === "number" && value >= 0 && value <= maximum) return value;
    return new Flaw(`is ${quote(value)}: write seconds, 0 to ${maximum}, as 0.5`);
  });
}

export const uuid = scalar((value) => {
  const read = readText(value, TEXT_LENGTH_MAX_BYTES);
  if (read instanceof Flaw) return read;
  const id = read.toLowerCase();
  if (!UUID.test(id)) return new Flaw("is not a UUID, as 123e4567-e89b-42d3-a456-426614174000");
  return /^[0-]*$/.test(id) ? new Flaw("is the UUID of nothing: write another, or leave id out to have one made") : id;
});

/** A positive number of worker threads, or "auto". */
export const workers = scalar((value): number | "auto" | Flaw => {
  if (value === "auto") return value;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= SHARDS_MAX) return value;
  return new Flaw(`is ${quote(value)}: write auto, or a whole number, 1 to ${SHARDS_MAX}`);
});
