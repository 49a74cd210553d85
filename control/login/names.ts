/** RFC 7143 section 4.2.7.1: names of up to 223 bytes. */
const NAME_LENGTH_BYTES_MAX = 223;

/**
 * The form of an iSCSI name in which names compare byte for byte (RFC 7143 section 4.2.7.2), the same that
 * control/config brings configured names to. undefined: empty, too long, or with white space or control characters in it.
 * What else a peer may call itself is not judged: a name that is not well formed equals no configured one.
 */
export function normalizeName(name: string): string | undefined {
  const normalized = name.normalize("NFKC").toLowerCase().normalize("NFKC");
  if (normalized.length === 0 || Buffer.byteLength(normalized) > NAME_LENGTH_BYTES_MAX) return undefined;
  return /[\p{C}\p{Z}]/u.test(normalized) ? undefined : normalized;
}
