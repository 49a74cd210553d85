/** Names as peers tell them. */
import { mapName, prohibitedIn } from "../stringprep.js";

/** RFC 7143 section 4.2.7.1: names of up to 223 bytes. */
const NAME_LENGTH_BYTES_MAX = 223;

/**
 * The form of an iSCSI name in which names compare byte for byte (RFC 7143 section 4.2.7.2), the same that control/config brings
 * configured names to. undefined: empty, too long, or with a character in it that can be in no name. Whether it has the form of one of
 * the types of names is not judged: one that has not equals no configured one.
 */
export function normalizeName(name: string): string | undefined {
  const normalized = mapName(name);
  if (normalized.length === 0 || Buffer.byteLength(normalized) > NAME_LENGTH_BYTES_MAX) return undefined;
  return prohibitedIn(normalized) === undefined ? normalized : undefined;
}
