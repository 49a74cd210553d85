/** The answers to Text Requests in the full feature phase of Normal sessions (RFC 7143 sections 6.4, 11.10, Appendix C). */
import { decodeText, describeText, encodeText, type KeyValue, TEXT_VALID } from "../dataplane/wire/text-keys.js";
import { type DiscoverableTarget, type ListeningPortal, normalizeSendTargets, targetRecords } from "./discovery.js";
import { NEGOTIATION_KEYS_MAX, negotiateFullFeature } from "./login/negotiation.js";

export interface FullFeatureSession {
  /** The target that the session is logged in to; undefined: it was taken out of the configuration since. */
  readonly target: DiscoverableTarget | undefined;
  readonly portals: readonly ListeningPortal[];
  /** The address by which the initiator reached us. */
  readonly localHost: string;
  /** MaxRecvDataSegmentLength that the target declared in this connection's login. */
  readonly maxRecvDataSegmentLength: number;
  /** Likewise, as a login would have it now. */
  readonly nextMaxRecvDataSegmentLength: number;
}

export interface FullFeatureRequest {
  /** The whole request: pairs with their NULs, in latin1. */
  readonly text: string;
  /** It goes on with the negotiation sequence of the request before. */
  readonly continues: boolean;
}

export type FullFeatureAnswer =
  | {
      readonly kind: "answer";
      /** Pairs with their NULs, in latin1. */
      readonly text: string;
      /** The peer's new MaxRecvDataSegmentLength, if it has declared one: in force when the sequence is over. */
      readonly maxSendDataSegmentLength: number | undefined;
      /** Our own, if the answer declares it. */
      readonly maxRecvDataSegmentLength: number | undefined;
    }
  /** To be answered with a Reject, reason Protocol Error. */
  | { readonly kind: "reject"; readonly reason: string };

/** A negotiation sequence so far. */
interface Sequence {
  /** Of the initiator's requests. */
  readonly keys: ReadonlySet<string>;
  /** We have declared our MaxRecvDataSegmentLength in it. */
  readonly declares: boolean;
}

const NEW_SEQUENCE: Sequence = { keys: new Set(), declares: false };
const OUR_DECLARATION = "MaxRecvDataSegmentLength";

export class FullFeatureTexts {
  /** The last one of each connection. Its shard knows whether that is over. */
  readonly #sequences = new Map<number, Sequence>();
  /** What we have declared on a connection since its login. */
  readonly #declared = new Map<number, number>();

  answer(connectionId: number, request: FullFeatureRequest, session: FullFeatureSession): FullFeatureAnswer {
    const sequence = (request.continues ? this.#sequences.get(connectionId) : undefined) ?? NEW_SEQUENCE;
    // Whatever goes wrong below ends the sequence, and nothing of it takes effect (section 7.12).
    this.#sequences.delete(connectionId);
    const decoded = decodeText(Buffer.from(request.text, "latin1"));
    if (decoded.reason !== TEXT_VALID) return { kind: "reject", reason: describeText(decoded.reason) };
    const { pairs } = decoded;
    if (sequence.keys.size + pairs.length > NEGOTIATION_KEYS_MAX) {
      return { kind: "reject", reason: `more than ${NEGOTIATION_KEYS_MAX} keys` };
    }
    const declared = this.#declared.get(connectionId) ?? session.maxRecvDataSegmentLength;
    const answer = answerPairs(pairs, sequence, declared, session);
    if (answer.kind === "answer") {
      const declares = answer.maxRecvDataSegmentLength !== undefined;
      const keys = new Set([...sequence.keys, ...pairs.map(({ key }) => key)]);
      this.#sequences.set(connectionId, { keys, declares: sequence.declares || declares });
      if (declares) this.#declared.set(connectionId, answer.maxRecvDataSegmentLength!);
    }
    return answer;
  }

  /** The connection is gone. */
  forget(connectionId: number): void {
    this.#sequences.delete(connectionId);
    this.#declared.delete(connectionId);
  }
}

function answerPairs(
  pairs: readonly KeyValue[],
  { keys, declares }: Sequence,
  declared: number,
  session: FullFeatureSession,
): FullFeatureAnswer {
  const ours = session.nextMaxRecvDataSegmentLength;
  const negotiated = negotiateFullFeature(pairs, ours, keys);
  if (negotiated.kind === "protocolError") return { kind: "reject", reason: negotiated.reason };
  const { maxSendDataSegmentLength, sendTargets } = negotiated;
  if (sendTargets === undefined) {
    // Each side declares its own once in a sequence (section 6.2); ours also unasked, if the configuration has changed it.
    const answers = negotiated.answers.filter(({ key }) => key !== OUR_DECLARATION || !declares);
    const isDue = !declares && maxSendDataSegmentLength === undefined && ours !== declared;
    if (isDue) answers.push({ key: OUR_DECLARATION, value: String(ours) });
    const text = Buffer.from(encodeText(answers)).toString("latin1");
    const isDeclared = answers.some(({ key }) => key === OUR_DECLARATION);
    return {
      kind: "answer",
      text,
      maxSendDataSegmentLength,
      maxRecvDataSegmentLength: isDeclared ? ours : undefined,
    };
  }
  // Appendix C: "This PDU contains exactly one text key and value."
  if (pairs.length > 1) return { kind: "reject", reason: "SendTargets with other keys" };
  // Appendix C: this value "MUST NOT be supported on an operational session".
  if (sendTargets === "All") return { kind: "reject", reason: "SendTargets=All in a Normal session" };
  const asked = normalizeSendTargets(sendTargets);
  if (asked === undefined) return { kind: "reject", reason: "SendTargets asks for no target" };
  const text = ownRecord(asked, session);
  return { kind: "answer", text, maxSendDataSegmentLength, maxRecvDataSegmentLength: undefined };
}

/** Only the target of this session is spoken of: by its name, or by nothing. */
function ownRecord(asked: string, { target, portals, localHost }: FullFeatureSession): string {
  const targets = target !== undefined && (asked === "" || asked === target.name) ? [target] : [];
  return targetRecords(targets, portals, localHost);
}
