/** iSCSI names (RFC 7143 section 4.2.7): which are legal, and the form in which they are compared. */
import { mapName, prohibitedIn, unassignedIn } from "../stringprep.js";

const NAME_LENGTH_MAX_BYTES = 223;
const IQN = /^iqn\.([0-9]{4})-([0-9]{2})\.([^:]+)(?::.*)?$/;
const IQN_DOMAIN_LABEL = /^[\p{L}\p{N}]([\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?$/u;
const EUI = /^eui\.[0-9a-f]{16}$/;
const TYPES = ["iqn.", "eui.", "naa."];
const NAA = /^naa\.([0-9a-f]{16}|[0-9a-f]{32})$/;
export type NameParse = { readonly ok: true; readonly name: string } | { readonly ok: false; readonly reason: string };

/** An iSCSI name (RFC 7143 section 4.2.7) in the normal form in which names are compared byte for byte. */
export function parseIscsiName(text: string): NameParse {
  const name = mapName(text);
  const lengthBytes = Buffer.byteLength(name);
  if (lengthBytes > NAME_LENGTH_MAX_BYTES) {
    return refusal(`is ${lengthBytes} bytes long: an iSCSI name has at most ${NAME_LENGTH_MAX_BYTES}`);
  }
  const prohibited = prohibitedIn(name) ?? unassignedIn(text);
  if (prohibited !== undefined) {
    return refusal(
      `has ${JSON.stringify(prohibited)} in it: an iSCSI name is made of letters, digits, dash, dot and colon`,
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

/** A pattern for names: `*` stands for any characters, also none, `?` for one. Neither can be in a name. */
export function isNamePattern(text: string): boolean {
  return /[*?]/.test(text);
}

/** A name, or a pattern for names, in the normal form of names. */
export function parseNamePattern(text: string): NameParse {
  if (!isNamePattern(text)) return parseIscsiName(text);
  const pattern = mapName(text);
  if (Buffer.byteLength(pattern) > NAME_LENGTH_MAX_BYTES) {
    return refusal(`is ${Buffer.byteLength(pattern)} bytes long: a pattern has at most ${NAME_LENGTH_MAX_BYTES}`);
  }
  const fixed = pattern.replace(/[*?]/g, "");
  const prohibited = prohibitedIn(fixed) ?? unassignedIn(text);
  if (prohibited !== undefined) return refusal(`has ${JSON.stringify(prohibited)} in it, which is in no iSCSI name`);
  const [type] = pattern.split(/[*?]/, 1);
  const isPossible = TYPES.some((start) => start.startsWith(type!) || type!.startsWith(start));
  return isPossible ? { ok: true, name: pattern } : refusal("fits no iSCSI name: they begin with iqn., eui. or naa.");
}

/** Both in normal form. In time that grows with the product of their lengths at most, whatever an initiator calls itself. */
export function matchesPattern(pattern: string, name: string): boolean {
  const [wanted, found] = [[...pattern], [...name]];
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let i = 0; i < found.length; ) {
    if (wanted[at] === "?" || (wanted[at] !== "*" && wanted[at] === found[i])) {
      at++;
      i++;
    } else if (wanted[at] === "*") {
      star = at++;
      resume = i;
    } else if (star >= 0) {
      // The last star takes one more.
      at = star + 1;
      i = ++resume;
    } else return false;
  }
  while (wanted[at] === "*") at++;
  return at === wanted.length;
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
