/** An initiator's login over a connection of its own, wherever the target sends it. */
import { randomBytes } from "node:crypto";
import { OPCODE_LOGIN_RESPONSE, opcodeName } from "../../dataplane/wire/bhs.js";
import { ISID_FORMAT_RANDOM, isidOf } from "../../dataplane/wire/isid.js";
import { LoginRequestPdu } from "../../dataplane/wire/login-request.js";
import {
  describeLoginStatus,
  LOGIN_STATUS_AUTHENTICATION_FAILURE,
  LOGIN_STATUS_AUTHORIZATION_FAILURE,
  LOGIN_STATUS_CLASS_REDIRECTION,
  LOGIN_STATUS_NOT_FOUND,
  LOGIN_STATUS_OUT_OF_RESOURCES,
  LOGIN_STATUS_SERVICE_UNAVAILABLE,
  LOGIN_STATUS_TARGET_REMOVED,
  LoginResponsePdu,
} from "../../dataplane/wire/login-response.js";
import { ISCSI_PORT, type PortalAddress, parsePortalAddress } from "../config/portal-address.js";
import type { ChapCredential } from "../login/chap.js";
import { viewOf } from "../pdu-stream.js";
import { InitiatorConnection, statSNOf } from "./connection.js";
import { InitiatorError } from "./initiator-error.js";
import { type Keys, LoginConversation, LoginRefusal, type LoginReply, type LoginSaying } from "./login-conversation.js";

const REDIRECTIONS_MAX = 4;

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

class Login {
  readonly #connection: InitiatorConnection;
  readonly #wish: LoginWish;
  /** One for the whole login (section 11.12). */
  #tag: number | undefined;
  readonly #isid = isidOf(ISID_FORMAT_RANDOM, 0, ...randomParts(), 0);

  constructor(connection: InitiatorConnection, wish: LoginWish) {
    this.#connection = connection;
    this.#wish = wish;
  }

  /** @returns where the target sends the initiator; undefined: it is logged in. */
  async run(): Promise<PortalAddress | undefined> {
    const { initiatorName, targetName, ...credentials } = this.#wish;
    const names: Keys = {
      InitiatorName: initiatorName,
      ...(targetName === undefined ? { SessionType: "Discovery" } : { SessionType: "Normal", TargetName: targetName }),
    };
    const keys: Keys = { HeaderDigest: "None", DataDigest: "None" };
    const conversation = new LoginConversation({ names, keys, ...credentials }).run();
    try {
      for (let next = conversation.next(); next.done !== true; ) {
        await this.#send(next.value);
        next = conversation.next(await this.#receive());
      }
      return undefined;
    } catch (error) {
      if (!(error instanceof LoginRefusal)) throw error;
      if (error.statusClass === LOGIN_STATUS_CLASS_REDIRECTION) return elsewhere(error.targetAddress ?? "");
      throw this.#refusal(error.status);
    }
  }

  async #send({ stage, nextStage, text }: LoginSaying): Promise<void> {
    const { pdu, bytes, tag } = this.#connection.header(LoginRequestPdu, true, this.#tag);
    this.#tag = tag;
    pdu.transit = nextStage >= 0;
    pdu.csg = stage;
    if (nextStage >= 0) pdu.nsg = nextStage;
    pdu.isid = this.#isid;
    await this.#connection.send(bytes, Buffer.from(text));
  }

  async #receive(): Promise<LoginReply> {
    const { header, opcode, data } = await this.#connection.receive(this.#wish.timeoutMs);
    if (opcode !== OPCODE_LOGIN_RESPONSE) {
      throw new InitiatorError(
        "protocol",
        `${opcodeName(opcode)} in answer to a Login Request: is that an iSCSI target?`,
      );
    }
    this.#connection.acknowledge(statSNOf(header));
    return { pdu: new LoginResponsePdu(viewOf(header)), text: data };
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

/** Where the target sends the initiator. Section 13.8: an address, and maybe the tag of a portal group. */
function elsewhere(text: string): PortalAddress {
  const parsed = parsePortalAddress(text.replace(/,\d+$/, ""), ISCSI_PORT);
  if (parsed.ok) return parsed.address;
  throw new InitiatorError("protocol", `the target sends initiators to ${JSON.stringify(text)}, which is no address`);
}

/** B and C of an ISID of the random kind: 24 bits. */
function randomParts(): [number, number] {
  const [high, middle, low] = randomBytes(3);
  return [(high! << 8) | middle!, low!];
}
