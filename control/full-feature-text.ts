/** The answers to Text Requests in the full feature phase of Normal sessions (RFC 7143 sections 6.4, 11.10, Appendix C). */
import { decodeText, describeText, encodeText, type KeyValue, TEXT_VALID } from "../dataplane/wire/text-keys.js";
import { type DiscoverableTarget, type ListeningPortal, targetRecords } from "./discovery.js";
import { normalizeName } from "./login/names.js";
import { NEGOTIATION_KEYS_MAX, negotiateFullFeature } from "./login/negotiation.js";
import type { ConnectionParameters } from "./login/parameters.js";

export interface FullFeatureSession {
  /** The target that the session is logged in to; undefined: it was taken out of the configuration since. */
  readonly target: DiscoverableTarget | undefined;
  readonly portals: readonly ListeningPortal[];
  /** The address by which the initiator reached us. */
  readonly localHost: string;
  readonly parameters: ConnectionParameters;
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
    }
  /** To be answered with a Reject, reason Protocol Error. */
  | { readonly kind: "reject"; readonly reason: string };

const NO_KEYS: ReadonlySet<string> = new Set();

export class FullFeatureTexts {
  /** By connection: the keys of its last negotiation sequence so far. Its shard knows whether that is over. */
  readonly #sequences = new Map<number, ReadonlySet<string>>();

  answer(connectionId: number, request: FullFeatureRequest, session: FullFeatureSession): FullFeatureAnswer {
    const earlier = (request.continues ? this.#sequences.get(connectionId) : undefined) ?? NO_KEYS;
    // Whatever goes wrong below ends the sequence, and nothing of it takes effect (section 7.12).
    this.#sequences.delete(connectionId);
    const decoded = decodeText(Buffer.from(request.text, "latin1"));
    if (decoded.reason !== TEXT_VALID) return { kind: "reject", reason: describeText(decoded.reason) };
    const { pairs } = decoded;
    if (earlier.size + pairs.length > NEGOTIATION_KEYS_MAX) {
      return { kind: "reject", reason: `more than ${NEGOTIATION_KEYS_MAX} keys` };
    }
    const answer = answerPairs(pairs, earlier, session);
    if (answer.kind === "answer") {
      this.#sequences.set(connectionId, new Set([...earlier, ...pairs.map(({ key }) => key)]));
    }
    return answer;
  }

  /** The connection is gone. */
  forget(connectionId: number): void {
    this.#sequences.delete(connectionId);
  }
}

function answerPairs(
  pairs: readonly KeyValue[],
  earlier: ReadonlySet<string>,
  session: FullFeatureSession,
): FullFeatureAnswer {
  const negotiated = negotiateFullFeature(pairs, session.parameters, earlier);
  if (negotiated.kind === "protocolError") return { kind: "reject", reason: negotiated.reason };
  const { answers, maxSendDataSegmentLength, sendTargets } = negotiated;
  if (sendTargets === undefined) {
    const text = Buffer.from(encodeText(answers)).toString("latin1");
    return { kind: "answer", text, maxSendDataSegmentLength };
  }
  // Appendix C: "This PDU contains exactly one text key and value."
  if (pairs.length > 1) return { kind: "reject", reason: "SendTargets with other keys" };
  // Appendix C: this value "MUST NOT be supported on an operational session".
  if (sendTargets === "All") return { kind: "reject", reason: "SendTargets=All in a Normal session" };
  return { kind: "answer", text: ownRecord(sendTargets, session), maxSendDataSegmentLength };
}

/** Only the target of this session is spoken of: by its name, or by an empty value. */
function ownRecord(value: string, { target, portals, localHost }: FullFeatureSession): string {
  const targets = target !== undefined && (value === "" || normalizeName(value) === target.name) ? [target] : [];
  return targetRecords(targets, portals, localHost);
}
