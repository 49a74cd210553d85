/** An initiator for tests of the login machine: requests from a few words, responses with their text decoded. */
import assert from "node:assert/strict";
import type { LoginContext, LoginDecision } from "../../../../control/login/context.js";
import { LOGIN_START, type LoginState, step } from "../../../../control/login/machine.js";
import type {
  LoginAction,
  LoginEvent,
  LoginRequest,
  LoginResponse,
  LoginResult,
} from "../../../../control/login/messages.js";
import { SESSION_LIMITS_DEFAULT } from "../../../../control/login/parameters.js";
import { decodeText, TEXT_VALID } from "../../../../dataplane/wire/text-keys.js";

export const INITIATOR = "iqn.1994-05.org.example:host";
export const TARGET = "iqn.2026-11.io.ringlun:demo";
export const NAMES = `InitiatorName=${INITIATOR}\0TargetName=${TARGET}\0`;
export const DISCOVERY = `InitiatorName=${INITIATOR}\0SessionType=Discovery\0`;

export type Accept = Extract<LoginDecision, { kind: "accept" }>;
export const ACCEPT: Accept = {
  kind: "accept",
  auth: { kind: "none" },
  limits: SESSION_LIMITS_DEFAULT,
  portalGroupTag: 1,
};

/** Accepts everybody, and counts up instead of being random. */
export function contextOf(overrides: Partial<LoginContext> & { decision?: LoginDecision } = {}): LoginContext {
  const { decision = ACCEPT, ...functions } = overrides;
  let count = 0;
  return {
    resolveTarget: () => decision,
    resolveRedirect: () => undefined,
    resolveDiscovery: () => decision,
    randomBytes: (length) => new Uint8Array(length).fill(++count),
    isChallengeOutstanding: () => false,
    ...functions,
  };
}

export const REQUEST: LoginRequest = {
  transit: false,
  continued: false,
  csg: 1,
  nsg: 0,
  versionMax: 0,
  versionMin: 0,
  isid: "00023d000001",
  tsih: 0,
  cid: 7,
  initiatorTaskTag: 0x1234,
  cmdSN: 500,
  expStatSN: 40,
  text: new Uint8Array(),
};

export type Wish = Partial<Omit<LoginRequest, "text">> & { readonly text?: string | Uint8Array };

export function requestOf({ text = "", ...fields }: Wish): LoginRequest {
  return { ...REQUEST, ...fields, text: typeof text === "string" ? Buffer.from(text) : text };
}

export interface Outcome {
  readonly actions: readonly LoginAction[];
  /** The response that was to be sent, or that goes with the hand-off. */
  readonly response: LoginResponse | undefined;
  /** Its text, a pair a line. */
  readonly lines: readonly string[];
  readonly result: LoginResult | undefined;
  readonly closed: string | undefined;
}

export class Initiator {
  state: LoginState = LOGIN_START;
  readonly context: LoginContext;

  constructor(context = contextOf()) {
    this.context = context;
  }

  /** A request; fields that are not given are those of REQUEST. */
  send(wish: Wish): Outcome {
    return this.event({ type: "request", request: requestOf(wish) });
  }

  event(event: LoginEvent): Outcome {
    const { state, actions } = step(this.state, event, this.context);
    this.state = state;
    return outcomeOf(actions);
  }
}

export function outcomeOf(actions: readonly LoginAction[]): Outcome {
  let response: LoginResponse | undefined;
  let result: LoginResult | undefined;
  let closed: string | undefined;
  for (const action of actions) {
    if (action.type === "respond") response = action.response;
    if (action.type === "complete")
      ({ result, response } = { result: action.result, response: action.result.response });
    if (action.type === "close") closed = action.reason;
  }
  return { actions, response, lines: linesOf(response), result, closed };
}

function linesOf(response: LoginResponse | undefined): string[] {
  if (response === undefined) return [];
  const decoded = decodeText(response.text);
  // Text that goes on in the next response need not end with a pair.
  return decoded.reason === TEXT_VALID ? decoded.pairs.map(({ key, value }) => `${key}=${value}`) : [];
}

/** The login went on: one response of success, neither closed nor complete. */
export function assertGoesOn({ actions, response, closed }: Outcome): LoginResponse {
  assert.equal(closed, undefined, closed);
  assert.deepEqual(
    actions.map(({ type }) => type),
    ["respond"],
  );
  assert.equal(response?.status, 0);
  return response!;
}

/** The login was refused: T7, a response with this status and nothing in its reserved fields, and the end. */
export function assertRefused(outcome: Outcome, status: number, reason?: RegExp): void {
  assert.deepEqual(
    outcome.actions.map((action) => (action.type === "close" ? action.transition : action.type)),
    ["respond", "T7"],
    outcome.closed,
  );
  const { response } = outcome;
  assert.equal(response?.status.toString(16), status.toString(16), outcome.closed);
  assert.deepEqual([response?.transit, response?.continued, response?.csg, response?.nsg], [false, false, 0, 0]);
  if (reason !== undefined) assert.match(outcome.closed ?? "", reason);
}

export function assertComplete(outcome: Outcome): LoginResult {
  assert.deepEqual(
    outcome.actions.map(({ type }) => type),
    ["complete"],
    outcome.closed,
  );
  return outcome.result!;
}
