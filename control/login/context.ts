/** What the Login Phase may ask of the rest of the program. */
import type { ChapCredential } from "./chap.js";
import type { SessionLimits, SessionParameters } from "./parameters.js";
import type { LoginFailureStatus } from "./status.js";

/**
 * What the Login Phase must ask of the world outside it. All synchronous: a login is judged on what control knows now.
 * The machine has no clock, no socket and no randomness of its own, so a test that supplies this object has it all.
 */
export interface LoginContext {
  /** A Normal session wants this target. Called once, when the first request (all its C-bit parts) is complete. */
  resolveTarget(query: TargetQuery): LoginDecision;
  /** The initiator has proved who it is, and its login `isRedirected`: where to? Undefined: it is served here after all. */
  resolveRedirect(query: TargetQuery): Redirect | undefined;
  /** A Discovery session; `targetName` is undefined for an Unnamed one (RFC 7143 section 7.4.2). Called once, likewise. */
  resolveDiscovery(query: DiscoveryQuery): LoginDecision;
  /** Random bytes of cryptographic quality: CHAP identifiers and challenges. */
  randomBytes(count: number): Uint8Array;
  /**
   * Has this target sent these bytes as a challenge on any connection whose login is still going on? (`challengeOf` in
   * machine.ts gives a connection's.) It stops reflection across connections (section 9.2.1).
   */
  isChallengeOutstanding(challenge: Uint8Array): boolean;
}

/** Names are normalized (normalizeName in names.ts), so they compare byte for byte. */
export interface DiscoveryQuery {
  readonly initiatorName: string;
  readonly targetName: string | undefined;
  /** Six bytes in lower-case hexadecimal. */
  readonly isid: string;
  /** As the initiator sent it: 0 asks for a new session (or for the reinstatement of one). */
  readonly tsih: number;
  readonly cid: number;
}

export interface TargetQuery extends DiscoveryQuery {
  readonly targetName: string;
}

export type LoginDecision =
  | {
      readonly kind: "accept";
      readonly auth: AuthRequirement;
      readonly limits: SessionLimits;
      /** Tag of the portal group that serves the login: told "for all session types" (section 6.3.1). */
      readonly portalGroupTag: number;
      readonly alias?: string;
      /** The session that a non-zero TSIH names; required then, forbidden with TSIH 0. */
      readonly joins?: JoinedSession;
      /** Once it is authenticated, `resolveRedirect` says where the initiator is sent. Only where `auth` asks for something. */
      readonly isRedirected?: boolean;
    }
  | { readonly kind: "refuse"; readonly status: LoginFailureStatus; readonly reason: string }
  | Redirect;

/** `address` is a TargetAddress without a portal group tag (section 13.8). */
export interface Redirect {
  readonly kind: "redirect";
  readonly address: string;
  readonly permanent: boolean;
}

/** What a further or a reinstated connection takes over from its session. */
export interface JoinedSession {
  readonly parameters: SessionParameters;
  /** Section 9.2: a connection SHOULD authenticate as the others of its session did; one that does not is refused. */
  readonly authentication: Authentication;
}

/** Who the peer proved to be. */
export type Authentication = { readonly method: "None" } | { readonly method: "CHAP"; readonly user: string };

/** Section 9.2: "the same authentication method ... and authentication identity". */
export function authenticatesAlike(one: Authentication, other: Authentication): boolean {
  return one.method === "CHAP" ? other.method === "CHAP" && other.user === one.user : other.method === "None";
}

export type AuthRequirement =
  | { readonly kind: "none" }
  | {
      readonly kind: "chap";
      /** Who may log in. */
      readonly users: readonly ChapCredential[];
      /** What we prove ourselves with if the initiator asks; absent: such an initiator is refused. */
      readonly mutual?: ChapCredential;
      /** CHAP_A numbers that may be used; absent: CHAP_ALGORITHMS_DEFAULT of chap.ts. */
      readonly algorithms?: readonly number[];
    };
