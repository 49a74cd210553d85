/** What of a captured PDU nobody may see who reads the capture: the answers to CHAP challenges, from which weak secrets can be guessed. */
import { OPCODE_LOGIN_REQUEST, OPCODE_LOGIN_RESPONSE } from "../../dataplane/wire/bhs.js";

const OPCODE_MASK = 0x3f;
const MASK = "*".charCodeAt(0);
const CHAP_RESPONSE = Buffer.from("CHAP_R=");

/** Replaces them in the PDU with as many asterisks. */
export function maskSecrets(pdu: Buffer): void {
  const opcode = (pdu[0] ?? 0) & OPCODE_MASK;
  if (opcode !== OPCODE_LOGIN_REQUEST && opcode !== OPCODE_LOGIN_RESPONSE) return;
  for (let at = pdu.indexOf(CHAP_RESPONSE); at >= 0; at = pdu.indexOf(CHAP_RESPONSE, at)) {
    at += CHAP_RESPONSE.length;
    const end = pdu.indexOf(0, at);
    pdu.fill(MASK, at, end < 0 ? pdu.length : end);
  }
}
