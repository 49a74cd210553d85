/** iSCSI names (RFC 7143 section 4.2.7): which are legal, and the form in which they are compared. */
const NAME_LENGTH_MAX_BYTES = 223;
const IQN = /^iqn\.([0-9]{4})-([0-9]{2})\.([^:]+)(?::.*)?$/;
const IQN_DOMAIN_LABEL = /^[\p{L}\p{N}]([\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?$/u;
const EUI = /^eui\.[0-9a-f]{16}$/;
const NAA = /^naa\.([0-9a-f]{16}|[0-9a-f]{32})$/;
/**
 * What the stringprep profile for iSCSI names never puts out: control characters, white space, ASCII punctuation but
 * for dash, dot and colon, the ideographic full stop, private and unassigned code points. The underscore is prohibited
 * too, but stands in so many names in use that refusing it would lock hosts out.
 */
const PROHIBITED = /[\p{C}\p{Z}\u0021-\u002c\u002f\u003b-\u0040\u005b-\u005e\u0060\u007b-\u007f\u3002]/u;

export type NameParse = { readonly ok: true; readonly name: string } | { readonly ok: false; readonly reason: string };

/**
 * An iSCSI name (RFC 7143 section 4.2.7) in the normal form in which names are compared byte for byte: lower case,
 * compatibility forms folded, Normalization Form C (section 4.2.7.2).
 */
export function parseIscsiName(text: string): NameParse {
  const name = text.normalize("NFKC").toLowerCase().normalize("NFKC");
  const lengthBytes = Buffer.byteLength(name);
  if (lengthBytes > NAME_LENGTH_MAX_BYTES) {
    return refusal(`is ${lengthBytes} bytes long: an iSCSI name has at most ${NAME_LENGTH_MAX_BYTES}`);
  }
  const prohibited = PROHIBITED.exec(name);
  if (prohibited !== null) {
    return refusal(
      `has ${JSON.stringify(prohibited[0])} in it: an iSCSI name is made of letters, digits, dash, dot and colon`,
    );
  }
  if (name.startsWith("iqn.")) return parseQualifiedName(name);
  if (name.startsWith("eui.")) {
    return EUI.test(name) ? { ok: true, name } : refusal("is not eui. and 16 hexadecimal digits");
  }
  if (name.startsWith("naa.")) {
    return NAA.test(name) ? { ok: true, name } : refusal("is not naa. and 16 or 32 hexadecimal digits");
  }
  return refusal("is not an iSCSI name: it begins with iqn., eui. or naa.");
}

/** Section 4.2.7.4: date of the naming authority, its reversed domain name, and what it likes after a colon. */
function parseQualifiedName(name: string): NameParse {
  const parts = IQN.exec(name);
  if (parts === null) return refusal("is not of the form iqn.YYYY-MM.reversed.domain:anything");
  const [, , month = "", domain = ""] = parts;
  if (Number(month) < 1 || Number(month) > 12) return refusal(`has the month "${month}": write 01 to 12`);
  if (!domain.split(".").every((label) => IQN_DOMAIN_LABEL.test(label))) {
    return refusal(`has "${domain}" where a reversed domain name belongs, as com.example`);
  }
  return { ok: true, name };
}

function refusal(reason: string): NameParse {
  return { ok: false, reason };
}
