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
  /** The F bit: with the answer to it the sequence is over. */
  readonly final: boolean;
}

export type FullFeatureAnswer =
  | {
      readonly kind: "answer";
      /** Pairs with their NULs, in latin1. */
      readonly text: string;
      /** With the end of a sequence: the peer's new MaxRecvDataSegmentLength, if it has declared one. */
      readonly maxSendDataSegmentLength: number | undefined;
    }
  /** To be answered with a Reject, reason Protocol Error. */
  | { readonly kind: "reject"; readonly reason: string };

/** What a negotiation sequence has come to so far. */
interface Sequence {
  readonly keys: ReadonlySet<string>;
  readonly maxSendDataSegmentLength: number | undefined;
}

const SEQUENCE_START: Sequence = { keys: new Set(), maxSendDataSegmentLength: undefined };

export class FullFeatureTexts {
  /** By connection: sequences that are not over. */
  readonly #sequences = new Map<number, Sequence>();

  answer(connectionId: number, request: FullFeatureRequest, session: FullFeatureSession): FullFeatureAnswer {
    const earlier = (request.continues ? this.#sequences.get(connectionId) : undefined) ?? SEQUENCE_START;
    // Whatever goes wrong below ends the sequence, and nothing of it takes effect (section 7.12).
    this.#sequences.delete(connectionId);
    const decoded = decodeText(Buffer.from(request.text, "latin1"));
    if (decoded.reason !== TEXT_VALID) return { kind: "reject", reason: describeText(decoded.reason) };
    const { pairs } = decoded;
    if (earlier.keys.size + pairs.length > NEGOTIATION_KEYS_MAX) {
      return { kind: "reject", reason: `more than ${NEGOTIATION_KEYS_MAX} keys` };
    }
    const answer = answerPairs(pairs, earlier, session);
    if (answer.kind === "answer" && !request.final) {
      const { maxSendDataSegmentLength } = answer;
      this.#sequences.set(connectionId, {
        keys: new Set([...earlier.keys, ...pairs.map(({ key }) => key)]),
        maxSendDataSegmentLength,
      });
      return { ...answer, maxSendDataSegmentLength: undefined };
    }
    return answer;
  }

  /** The connection is gone. */
  forget(connectionId: number): void {
    this.#sequences.delete(connectionId);
  }
}

function answerPairs(pairs: readonly KeyValue[], earlier: Sequence, session: FullFeatureSession): FullFeatureAnswer {
  const negotiated = negotiateFullFeature(pairs, session.parameters, earlier.keys);
  if (negotiated.kind === "protocolError") return { kind: "reject", reason: negotiated.reason };
  const maxSendDataSegmentLength = negotiated.maxSendDataSegmentLength ?? earlier.maxSendDataSegmentLength;
  if (negotiated.sendTargets !== undefined) {
    // Appendix C: "This PDU contains exactly one text key and value."
    if (pairs.length > 1) return { kind: "reject", reason: "SendTargets with other keys" };
    // Appendix C: this value "MUST NOT be supported on an operational session".
    if (negotiated.sendTargets === "All") return { kind: "reject", reason: "SendTargets=All in a Normal session" };
    return { kind: "answer", text: ownRecord(negotiated.sendTargets, session), maxSendDataSegmentLength };
  }
  const text = Buffer.from(encodeText(negotiated.answers)).toString("latin1");
  return { kind: "answer", text, maxSendDataSegmentLength };
}

/** Only the target of this session is spoken of: by its name, or by an empty value. */
function ownRecord(value: string, { target, portals, localHost }: FullFeatureSession): string {
  const targets = target !== undefined && (value === "" || normalizeName(value) === target.name) ? [target] : [];
  return targetRecords(targets, portals, localHost);
}
