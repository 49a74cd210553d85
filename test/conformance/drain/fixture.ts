/** What the tests of drains share: a target with two portals in one portal group and one in another, and the ways to its API. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { DrainDocument } from "../../../control/http/drain-routes.js";
import { OPCODE_ASYNC_MESSAGE, type ReceivedPdu } from "../../support/pdu.js";
import type { SessionNumbers } from "../../support/raw-connection.js";
import { LoginRefusedError, RawInitiator } from "../../support/raw-initiator.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";
import type { Ending } from "../../support/undo.js";

const MAIN = fileURLToPath(new URL("../../../control/main.js", import.meta.url));
const PATIENCE_MS = 30_000;

export const LOGOUT_REQUEST = 1;
export const CONNECTION_DROP = 2;
export const SESSION_DROP = 3;
export const MOVED_TEMPORARILY = 0x0101;
export const SERVICE_UNAVAILABLE = 0x0301;

export const TIME2WAIT = 1;
export const TIME2RETAIN = 7;

/** What the target would propose otherwise, and have answered. */
export const OFFERED = {
  MaxConnections: "4",
  ErrorRecoveryLevel: "0",
  DefaultTime2Wait: String(TIME2WAIT),
  DefaultTime2Retain: String(TIME2RETAIN),
} as const;

/** `session`: more keys of the target's. */
export const config =
  (session = "") =>
  ({ port, port2, httpPort: port3 }: Places) =>
    `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}", "127.0.0.1:${port2}"] }
  - { tag: 2, portals: ["127.0.0.1:${port3}"] }
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1, 2]
    session: { maxConnections: 4, defaultTime2Wait: ${TIME2WAIT}, defaultTime2Retain: ${TIME2RETAIN}, ${session} }
    luns: { 0: disk }
  - { name: "${TARGET_NAME}2", portalGroups: [1], luns: { 0: disk } }
units: { disk: { file: ./disk.img, size: 16MiB, cache: writeback } }
workers: 2
`;

export class Scene {
  readonly target: RunningTarget;
  readonly #ending: Ending;

  private constructor(target: RunningTarget, ending: Ending) {
    this.target = target;
    this.#ending = ending;
  }

  static async start(ending: Ending, session?: string): Promise<Scene> {
    const target = await RunningTarget.start({ config: config(session) });
    ending.after(async () => void (await target.stop()));
    return new Scene(target, ending);
  }

  /** Of the portals, from 1 on. */
  port(portal: 1 | 2 | 3): number {
    const { port, port2, httpPort } = this.target.places;
    return [port, port2, httpPort][portal - 1]!;
  }

  address(portal: 1 | 2 | 3): string {
    return `127.0.0.1:${this.port(portal)}`;
  }

  async connect(portal: 1 | 2 | 3, session?: SessionNumbers): Promise<RawInitiator> {
    const initiator = await RawInitiator.connect(this.port(portal), session === undefined ? {} : { session });
    this.#ending.after(async () => initiator.destroy());
    return initiator;
  }

  async login(portal: 1 | 2 | 3, keys: Readonly<Record<string, string>> = {}): Promise<RawInitiator> {
    const initiator = await this.connect(portal);
    await initiator.login({ targetName: TARGET_NAME, keys: { ...OFFERED, ...keys } });
    return initiator;
  }

  /** A login that is refused, or sent elsewhere. */
  async refused(portal: 1 | 2 | 3, session?: SessionNumbers, cid = 0): Promise<{ status: number; address?: string }> {
    const initiator = await this.connect(portal, session);
    try {
      await initiator.login({ targetName: TARGET_NAME, cid });
    } catch (error) {
      if (!(error instanceof LoginRefusedError)) throw error;
      const address = error.response.keys.get("TargetAddress");
      return { status: error.status, ...(address === undefined ? {} : { address }) };
    }
    assert.fail("the login was accepted");
  }

  /** By name: addresses, as SendTargets=All tells them. */
  async discover(portal: 1 | 2 | 3): Promise<{ names: string[]; addresses: Set<string> }> {
    const initiator = await this.connect(portal);
    await initiator.login({ sessionType: "Discovery" });
    const told = await initiator.text({ SendTargets: "All" });
    await initiator.logout();
    return {
      names: (told.get("TargetName") ?? "").split("\n"),
      addresses: new Set((told.get("TargetAddress") ?? "").split("\n")),
    };
  }

  async ask(method: string, path: string, body?: unknown): Promise<{ status: number; document: unknown }> {
    const socketPath = join(`${this.target.configPath}.state`, "api.sock");
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ socketPath, method, path, headers }, resolve)
        .on("error", reject)
        .end(body === undefined ? undefined : JSON.stringify(body));
    });
    let text = "";
    for await (const part of response.setEncoding("utf8")) text += part;
    return { status: response.statusCode!, document: JSON.parse(text) };
  }

  async drain(scope: Partial<DrainDocument>): Promise<DrainDocument> {
    const { status, document } = await this.ask("POST", "/api/v1/drains", scope);
    assert.equal(status, 201, JSON.stringify(document));
    return document as DrainDocument;
  }

  async undo({ drainId }: DrainDocument): Promise<DrainDocument> {
    return (await this.ask("DELETE", `/api/v1/drains/${drainId}`)).document as DrainDocument;
  }

  /** As soon as it is drained. */
  async drained({ drainId }: DrainDocument): Promise<DrainDocument> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const { document } = await this.ask("GET", `/api/v1/drains/${drainId}`);
      const drain = document as DrainDocument;
      if (drain.state === "drained") return drain;
      assert(Date.now() < deadline, `not drained: ${JSON.stringify(drain)}`);
      await sleep(20);
    }
  }

  /** The command line's. */
  async ringlun(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [MAIN, ...args, "--config", this.target.configPath]);
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text) => (output.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (output.stderr += text));
    return new Promise((resolve) => child.once("close", (code) => resolve({ code, ...output })));
  }
}

/** The Asynchronous Message that comes next: AsyncEvent and its three parameters. */
export async function event(initiator: RawInitiator): Promise<number[]> {
  return eventOf(await initiator.expect(OPCODE_ASYNC_MESSAGE));
}

export function eventOf(pdu: ReceivedPdu): number[] {
  assert.equal(pdu.opcode, OPCODE_ASYNC_MESSAGE);
  assert.equal(pdu.data.length, 0);
  return [pdu.field("asyncEvent"), pdu.field("parameter1"), pdu.field("parameter2"), pdu.field("parameter3")];
}
