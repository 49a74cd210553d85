/** The Login Phase from the initiator's side (RFC 7143 chapter 6), with CHAP in one direction or both. */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { OPCODE_LOGIN_RESPONSE, opcodeName } from "../../dataplane/wire/bhs.js";
import { ISID_FORMAT_RANDOM, isidOf } from "../../dataplane/wire/isid.js";
import { LoginRequestPdu } from "../../dataplane/wire/login-request.js";
import {
  describeLoginStatus,
  LOGIN_STATUS_AUTHENTICATION_FAILURE,
  LOGIN_STATUS_AUTHORIZATION_FAILURE,
  LOGIN_STATUS_CLASS_REDIRECTION,
  LOGIN_STATUS_CLASS_SUCCESS,
  LOGIN_STATUS_NOT_FOUND,
  LOGIN_STATUS_OUT_OF_RESOURCES,
  LOGIN_STATUS_SERVICE_UNAVAILABLE,
  LOGIN_STATUS_TARGET_REMOVED,
  LoginResponsePdu,
} from "../../dataplane/wire/login-response.js";
import {
  STAGE_FULL_FEATURE_PHASE,
  STAGE_LOGIN_OPERATIONAL_NEGOTIATION,
  STAGE_SECURITY_NEGOTIATION,
} from "../../dataplane/wire/login-stage.js";
import { decodeText, describeText, encodeText, TEXT_VALID } from "../../dataplane/wire/text-keys.js";
import { ISCSI_PORT, type PortalAddress, parsePortalAddress } from "../config/portal-address.js";
import {
  CHAP_ALGORITHMS_DEFAULT,
  CHAP_BINARY_LENGTH_MAX,
  type ChapCredential,
  decodeBinary,
  encodeBinary,
  respond,
} from "../login/chap.js";
import { viewOf } from "../pdu-stream.js";
import { InitiatorConnection, statSNOf } from "./connection.js";
import { InitiatorError } from "./initiator-error.js";

const EXCHANGES_MAX = 16;
const REDIRECTIONS_MAX = 4;
const CHALLENGE_BYTES = 16;

export interface LoginWish {
  readonly initiatorName: string;
  /** Absent: a discovery session. */
  readonly targetName?: string;
  readonly chap?: ChapCredential;
  /** What the target is to prove itself with. */
  readonly mutual?: ChapCredential;
  /** For each answer. */
  readonly timeoutMs: number;
}

/** Logs in, where it is sent elsewhere there. @throws InitiatorError */
export async function logIn(address: PortalAddress, wish: LoginWish): Promise<InitiatorConnection> {
  for (let redirections = 0; ; redirections++) {
    const connection = await InitiatorConnection.open(address, wish.timeoutMs);
    try {
      const elsewhere = await new Login(connection, wish).run();
      if (elsewhere === undefined) return connection;
      if (redirections === REDIRECTIONS_MAX) {
        throw new InitiatorError(
          "refused",
          `sent elsewhere ${REDIRECTIONS_MAX} times: the targets send initiators in circles`,
        );
      }
      address = elsewhere;
    } catch (error) {
      connection.close();
      throw error;
    }
    connection.close();
  }
}

type Keys = Readonly<Record<string, string>>;

class Login {
  readonly #connection: InitiatorConnection;
  readonly #wish: LoginWish;
  /** One for the whole login (section 11.12). */
  #tag: number | undefined;
  readonly #isid = isidOf(ISID_FORMAT_RANDOM, 0, ...randomParts(), 0);
  /** What the target has said, by key. */
  readonly #answers = new Map<string, string>();
  #response!: LoginResponsePdu;

  constructor(connection: InitiatorConnection, wish: LoginWish) {
    this.#connection = connection;
    this.#wish = wish;
  }

  /** @returns where the target sends the initiator; undefined: it is logged in. */
  async run(): Promise<PortalAddress | undefined> {
    const { initiatorName, targetName, chap } = this.#wish;
    const names: Keys = {
      InitiatorName: initiatorName,
      ...(targetName === undefined ? { SessionType: "Discovery" } : { SessionType: "Normal", TargetName: targetName }),
    };
    try {
      if (chap !== undefined) await this.#authenticate(names, chap);
      const offer = { ...(chap === undefined ? names : {}), HeaderDigest: "None", DataDigest: "None" };
      await this.#through(STAGE_LOGIN_OPERATIONAL_NEGOTIATION, STAGE_FULL_FEATURE_PHASE, offer);
      return undefined;
    } catch (error) {
      if (error instanceof Redirection) return error.address;
      throw error;
    }
  }

  async #authenticate(names: Keys, chap: ChapCredential): Promise<void> {
    await this.#exchange(STAGE_SECURITY_NEGOTIATION, -1, { ...names, AuthMethod: "CHAP" });
    if (this.#answers.get("AuthMethod") !== "CHAP") {
      throw new InitiatorError("refused", "the target does not do CHAP: leave --user out");
    }
    await this.#exchange(STAGE_SECURITY_NEGOTIATION, -1, { CHAP_A: CHAP_ALGORITHMS_DEFAULT.join(",") });
    const algorithm = Number(this.#answers.get("CHAP_A"));
    const identifier = Number(this.#answers.get("CHAP_I"));
    const challenge = decodeBinary(this.#answers.get("CHAP_C") ?? "", CHAP_BINARY_LENGTH_MAX);
    if (!CHAP_ALGORITHMS_DEFAULT.includes(algorithm) || !(identifier <= 255) || challenge === undefined) {
      throw new InitiatorError("protocol", "the target has sent no CHAP challenge that can be answered");
    }
    const { mutual } = this.#wish;
    const own = { algorithm, identifier: randomBytes(1)[0]!, challenge: randomBytes(CHALLENGE_BYTES) };
    const proof: Keys =
      mutual === undefined ? {} : { CHAP_I: String(own.identifier), CHAP_C: encodeBinary(own.challenge) };
    await this.#through(STAGE_SECURITY_NEGOTIATION, STAGE_LOGIN_OPERATIONAL_NEGOTIATION, {
      CHAP_N: chap.user,
      CHAP_R: encodeBinary(respond({ algorithm, identifier, challenge }, chap.secret)),
      ...proof,
    });
    if (mutual === undefined) return;
    const response = decodeBinary(this.#answers.get("CHAP_R") ?? "", CHAP_BINARY_LENGTH_MAX);
    const expected = respond(own, mutual.secret);
    const isProven = response?.length === expected.length && timingSafeEqual(response, expected);
    if (!isProven || this.#answers.get("CHAP_N") !== mutual.user) {
      throw new InitiatorError(
        "refused",
        "the target has not proven itself: it is another one, or its user or secret is not the one that was given",
      );
    }
  }

  /** Offers keys, and goes on asking until the target goes on to the next stage. */
  async #through(stage: number, nextStage: number, offer: Keys): Promise<void> {
    let keys = offer;
    for (let count = 0; count < EXCHANGES_MAX; count++) {
      await this.#exchange(stage, nextStage, keys);
      if (this.#response.transit && this.#response.nsg === nextStage) return;
      keys = {};
    }
    throw new InitiatorError("protocol", `the login has not ended after ${EXCHANGES_MAX} exchanges`);
  }

  /** Sends keys, and takes the answer, over as many PDUs as it comes in (C bit). `nextStage` -1: stay. */
  async #exchange(stage: number, nextStage: number, keys: Keys): Promise<void> {
    let text = Buffer.from(encodeText(Object.entries(keys).map(([key, value]) => ({ key, value }))));
    const parts: Buffer[] = [];
    for (let count = 0; count < EXCHANGES_MAX; count++) {
      const { pdu, bytes, tag } = this.#connection.header(LoginRequestPdu, true, this.#tag);
      this.#tag = tag;
      pdu.transit = nextStage >= 0;
      pdu.csg = stage;
      if (nextStage >= 0) pdu.nsg = nextStage;
      pdu.isid = this.#isid;
      await this.#connection.send(bytes, text);
      parts.push(await this.#receive());
      if (!this.#response.continue) break;
      text = Buffer.alloc(0);
    }
    const decoded = decodeText(Buffer.concat(parts));
    if (decoded.reason !== TEXT_VALID) {
      throw new InitiatorError("protocol", `the target's login keys: ${describeText(decoded.reason)}`);
    }
    for (const { key, value } of decoded.pairs) this.#answers.set(key, value);
    const { status, statusClass } = this.#response;
    if (statusClass === LOGIN_STATUS_CLASS_REDIRECTION) throw new Redirection(this.#elsewhere());
    if (statusClass !== LOGIN_STATUS_CLASS_SUCCESS) throw this.#refusal(status);
  }

  async #receive(): Promise<Buffer> {
    const { header, opcode, data } = await this.#connection.receive(this.#wish.timeoutMs);
    if (opcode !== OPCODE_LOGIN_RESPONSE) {
      throw new InitiatorError(
        "protocol",
        `${opcodeName(opcode)} in answer to a Login Request: is that an iSCSI target?`,
      );
    }
    this.#response = new LoginResponsePdu(viewOf(header));
    this.#connection.acknowledge(statSNOf(header));
    return data;
  }

  /** Section 13.8: an address, and maybe the tag of a portal group. */
  #elsewhere(): PortalAddress {
    const text = this.#answers.get("TargetAddress") ?? "";
    const parsed = parsePortalAddress(text.replace(/,\d+$/, ""), ISCSI_PORT);
    if (parsed.ok) return parsed.address;
    throw new InitiatorError("protocol", `the target sends initiators to ${JSON.stringify(text)}, which is no address`);
  }

  #refusal(status: number): InitiatorError {
    const { targetName, initiatorName, chap } = this.#wish;
    const hints: Readonly<Record<number, string>> = {
      [LOGIN_STATUS_AUTHENTICATION_FAILURE]:
        chap === undefined
          ? "it wants CHAP: give --user and --secret-file"
          : "the user is not known there, the secret is wrong, or it wants no CHAP (leave --user out)",
      [LOGIN_STATUS_AUTHORIZATION_FAILURE]: `${initiatorName} is not among its initiators: give a name that is with --initiator`,
      [LOGIN_STATUS_NOT_FOUND]: `${targetName} is not there, or not through this portal: see ringlun discover`,
      [LOGIN_STATUS_TARGET_REMOVED]: `${targetName} was there once`,
      [LOGIN_STATUS_SERVICE_UNAVAILABLE]: "it is not ready, or about to end: try again",
      [LOGIN_STATUS_OUT_OF_RESOURCES]: "it has as many sessions as it can have: try again later",
    };
    const hint = hints[status];
    const message = `login refused: ${describeLoginStatus(status)}${hint === undefined ? "" : `; ${hint}`}`;
    return new InitiatorError("refused", message, status);
  }
}

/** Where the target sends the initiator. */
class Redirection extends Error {
  readonly address: PortalAddress;

  constructor(address: PortalAddress) {
    super("redirected");
    this.address = address;
  }
}

/** B and C of an ISID of the random kind: 24 bits. */
function randomParts(): [number, number] {
  const [high, middle, low] = randomBytes(3);
  return [(high! << 8) | middle!, low!];
}
