/** The answer to a Text Request in the full feature phase of a Normal session (RFC 7143 sections 6.4, 11.10, Appendix C). */
import { decodeText, describeText, encodeText, TEXT_VALID } from "../dataplane/wire/text-keys.js";
import { type DiscoverableTarget, type ListeningPortal, targetRecords } from "./discovery.js";
import { normalizeName } from "./login/names.js";
import { negotiateFullFeature } from "./login/negotiation.js";
import type { ConnectionParameters } from "./login/parameters.js";

export interface FullFeatureSession {
  /** The target that the session is logged in to; undefined: it was taken out of the configuration since. */
  readonly target: DiscoverableTarget | undefined;
  readonly portals: readonly ListeningPortal[];
  /** The address by which the initiator reached us. */
  readonly localHost: string;
  readonly parameters: ConnectionParameters;
}

export type FullFeatureAnswer =
  | {
      readonly kind: "answer";
      /** Pairs with their NULs, in latin1. */
      readonly text: string;
      /** The peer's new MaxRecvDataSegmentLength, if it has declared one. */
      readonly maxSendDataSegmentLength: number | undefined;
    }
  /** To be answered with a Reject, reason Protocol Error. */
  | { readonly kind: "reject"; readonly reason: string };

/** @param text the whole request: pairs with their NULs, in latin1. */
export function answerFullFeatureText(text: string, session: FullFeatureSession): FullFeatureAnswer {
  const decoded = decodeText(Buffer.from(text, "latin1"));
  if (decoded.reason !== TEXT_VALID) return { kind: "reject", reason: describeText(decoded.reason) };
  const { pairs } = decoded;
  const negotiated = negotiateFullFeature(pairs, session.parameters);
  if (negotiated.kind === "protocolError") return { kind: "reject", reason: negotiated.reason };
  if (negotiated.sendTargets !== undefined) {
    // Appendix C: "This PDU contains exactly one text key and value."
    if (pairs.length > 1) return { kind: "reject", reason: "SendTargets with other keys" };
    return answerSendTargets(negotiated.sendTargets, session);
  }
  const answer = Buffer.from(encodeText(negotiated.answers)).toString("latin1");
  return { kind: "answer", text: answer, maxSendDataSegmentLength: negotiated.maxSendDataSegmentLength };
}

/** Only the target of this session is spoken of: by its name, or by an empty value. */
function answerSendTargets(value: string, { target, portals, localHost }: FullFeatureSession): FullFeatureAnswer {
  // Appendix C: this value "MUST NOT be supported on an operational session".
  if (value === "All") return { kind: "reject", reason: "SendTargets=All in a Normal session" };
  const targets = target !== undefined && (value === "" || normalizeName(value) === target.name) ? [target] : [];
  return { kind: "answer", text: targetRecords(targets, portals, localHost), maxSendDataSegmentLength: undefined };
}
