/** What the tests of login, discovery and text share: a target with nothing but null units, connections to it, refusals. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { FLAG_CONTINUE, FLAG_TRANSIT, type ReceivedPdu } from "../../support/pdu.js";
import type { ConnectOptions } from "../../support/raw-connection.js";
import {
  type LoginRequestOptions,
  RawInitiator,
  STAGE_FULL_FEATURE,
  STAGE_OPERATIONAL,
} from "../../support/raw-initiator.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";

export const INITIATOR_NAME = "iqn.2026-11.io.ringlun:initiator";
export const NAMES = { InitiatorName: INITIATOR_NAME, TargetName: TARGET_NAME } as const;
export const UNNAMED_DISCOVERY = { InitiatorName: INITIATOR_NAME, SessionType: "Discovery" } as const;

/** The whole login in one request. */
export const TO_FULL_FEATURE = { stage: STAGE_OPERATIONAL, nextStage: STAGE_FULL_FEATURE } as const;

// Section 11.13.5.
export const STATUS_INITIATOR_ERROR = 0x0200;
export const STATUS_AUTHENTICATION_FAILURE = 0x0201;
export const STATUS_AUTHORIZATION_FAILURE = 0x0202;
export const STATUS_NOT_FOUND = 0x0203;
export const STATUS_UNSUPPORTED_VERSION = 0x0205;
export const STATUS_TOO_MANY_CONNECTIONS = 0x0206;
export const STATUS_MISSING_PARAMETER = 0x0207;
export const STATUS_CANNOT_INCLUDE_IN_SESSION = 0x0208;
export const STATUS_SESSION_TYPE_NOT_SUPPORTED = 0x0209;
export const STATUS_SESSION_DOES_NOT_EXIST = 0x020a;
export const STATUS_INVALID_DURING_LOGIN = 0x020b;

export interface ConfigParts {
  /** Of TARGET_NAME; absent: the first of two. */
  readonly portalGroups?: string;
  /** More keys of TARGET_NAME, a line each, as in `alias: Disk`. */
  readonly target?: string;
  /** Further items of `targets`. */
  readonly targets?: string;
  /** Further keys at the top. */
  readonly top?: string;
}

/** TARGET_NAME, a portal in each of two portal groups, and what the parts add. */
export function configOf(parts: ConfigParts = {}): (places: Places) => string {
  const { portalGroups = "[1]", target = "", targets = "", top = "" } = parts;
  return ({ port, port2 }) => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
  - { tag: 2, portals: ["127.0.0.1:${port2}"] }
targets:
  - name: ${TARGET_NAME}
    portalGroups: ${portalGroups}
    luns: { 0: disk }
${target.replace(/^/gm, "    ")}
${targets.replace(/^/gm, "  ")}
units:
  disk: { null: true, size: 64MiB }
${top}
`;
}

export interface LoginTarget {
  readonly running: RunningTarget;
  connect(options?: ConnectOptions & { readonly port?: number }): Promise<RawInitiator>;
  /** A session of its own with TARGET_NAME. */
  login(keys?: Readonly<Record<string, string>>): Promise<RawInitiator>;
}

/**
 * Starts a target for all tests of the file. After them it must still log initiators in, must not have met a fault of its
 * own, and must end cleanly.
 */
export function startTarget(config: (places: Places) => string = configOf()): LoginTarget {
  let target: RunningTarget | undefined;
  const initiators: RawInitiator[] = [];
  const running = (): RunningTarget => {
    assert(target !== undefined, "the target is started before the tests");
    return target;
  };
  before(async () => {
    target = await RunningTarget.start({ config });
  });
  after(async () => {
    for (const initiator of initiators) initiator.destroy();
    const { log } = running();
    const { code } = await running().stop();
    // 50 and 60 are pino's numbers of "error" and "fatal".
    const faults = log.filter((line) => /"level":[56]0|shard died/.test(line));
    assert.deepEqual({ code, faults }, { code: 0, faults: [] });
  });
  const connect: LoginTarget["connect"] = async ({ port = running().port, ...options } = {}) => {
    const initiator = await RawInitiator.connect(port, options);
    initiators.push(initiator);
    return initiator;
  };
  return {
    get running() {
      return running();
    },
    connect,
    async login(keys = {}) {
      const initiator = await connect();
      await initiator.login({ targetName: TARGET_NAME, keys });
      return initiator;
    },
  };
}

/** Status-Class and Status-Detail as one number. */
export function statusOf(response: ReceivedPdu): number {
  return (response.field("statusClass") << 8) | response.field("statusDetail");
}

export function hasTransit(response: ReceivedPdu): boolean {
  return (response.flags & FLAG_TRANSIT) !== 0;
}

export function hasContinue(response: ReceivedPdu): boolean {
  return (response.flags & FLAG_CONTINUE) !== 0;
}

/** NSG. */
export function nextStageOf(response: ReceivedPdu): number {
  return response.flags & 3;
}

/** The request, which the target must not refuse. */
export async function goesOn(initiator: RawInitiator, options: LoginRequestOptions): Promise<ReceivedPdu> {
  const response = await initiator.loginRequest(options);
  assert.equal(statusOf(response).toString(16), "0");
  return response;
}

/**
 * The request, which the target must refuse with this status. "If the Status-Class is not 0, the initiator and target MUST
 * close the TCP connection" (section 11.13.5); "The T bit, the CSG field, and the NSG field are reserved" (6.3.1).
 */
export async function refused(
  initiator: RawInitiator,
  options: LoginRequestOptions,
  status: number,
  what?: string,
): Promise<ReceivedPdu> {
  const response = await initiator.loginRequest(options);
  assert.equal(statusOf(response).toString(16), status.toString(16), what);
  assert.equal(response.flags, 0, "reserved in a Login reject");
  assert.deepEqual(await initiator.receiveUntilClosed(), [], what);
  initiator.destroy();
  return response;
}
