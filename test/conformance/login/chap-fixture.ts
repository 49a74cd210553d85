/** What the tests of CHAP share: targets that ask for it, and a login up to the challenge. */
import { chapResponse, decodeBinary } from "../../support/chap.js";
import { type RawInitiator, STAGE_SECURITY } from "../../support/raw-initiator.js";
import { type ConfigParts, configOf, goesOn, type LoginTarget, NAMES } from "./fixture.js";

export const ALICE = { user: "alice", secret: "alice's very own secret" } as const;
export const BOB = { user: "bob", secret: "bob has another one" } as const;
export const TARGET = { user: "the target", secret: "the target proves it" } as const;

/** Has no credential to prove itself with. */
export const ONE_WAY = "iqn.2026-11.io.ringlun:one-way";

/** TARGET_NAME lets alice and bob in, and can prove itself; so does ONE_WAY, but that cannot. */
export function chapConfig(parts: ConfigParts = {}) {
  const users = [ALICE, BOB].map(({ user, secret }) => `{ user: "${user}", secret: "${secret}" }`).join(", ");
  return configOf({
    ...parts,
    target: `auth: { chap: [${users}], mutual: { user: "${TARGET.user}", secret: "${TARGET.secret}" } }`,
    targets: `- name: ${ONE_WAY}
  portalGroups: [1]
  auth: { chap: [${users}] }
  luns: { 0: disk }
${parts.targets ?? ""}`,
  });
}

export const SECURITY = { stage: STAGE_SECURITY } as const;

/** A login that has been challenged. */
export interface Challenged {
  readonly initiator: RawInitiator;
  readonly algorithm: number;
  readonly identifier: number;
  readonly challenge: Buffer;
  /** CHAP_R as it should be. */
  response(secret: string): string;
}

export async function challenged(target: LoginTarget, options: { algorithms?: string; targetName?: string } = {}) {
  const initiator = await target.connect();
  const names = options.targetName === undefined ? NAMES : { ...NAMES, TargetName: options.targetName };
  await goesOn(initiator, { ...SECURITY, keys: { ...names, AuthMethod: "CHAP" } });
  return challengeOf(initiator, options.algorithms);
}

/** The step that follows AuthMethod=CHAP. */
export async function challengeOf(initiator: RawInitiator, algorithms = "5"): Promise<Challenged> {
  const { keys } = await goesOn(initiator, { ...SECURITY, keys: { CHAP_A: algorithms } });
  const algorithm = Number(keys.get("CHAP_A"));
  const identifier = Number(keys.get("CHAP_I"));
  const challenge = decodeBinary(keys.get("CHAP_C") ?? "");
  const response = (secret: string) => `0x${chapResponse(algorithm, identifier, secret, challenge).toString("hex")}`;
  return { initiator, algorithm, identifier, challenge, response };
}
