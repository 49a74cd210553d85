import assert from "node:assert/strict";
import { writeSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { closeSync } from "io-uring-node";
import { Secret } from "../../../control/config/secret.js";
import { LOGIN_DATA_SEGMENT_LENGTH_MAX, LOGIN_TIMEOUT_MS } from "../../../control/limits.js";
import type { HandoffRecord } from "../../../dataplane/messages.js";
import { BHS_LENGTH, OPCODE_TEXT_REQUEST } from "../../../dataplane/wire/bhs.js";
import {
  LOGIN_STATUS_AUTHORIZATION_FAILURE,
  LOGIN_STATUS_INITIATOR_ERROR,
  LOGIN_STATUS_NOT_FOUND,
  LOGIN_STATUS_SERVICE_UNAVAILABLE,
  LOGIN_STATUS_TARGET_REMOVED,
  LoginResponsePdu,
} from "../../../dataplane/wire/login-response.js";
import { encodeText } from "../../../dataplane/wire/text-keys.js";
import { EntranceHall } from "./support/entrance-hall.js";
import { configuration, INITIATOR, recordingLogger, TARGET, target } from "./support/fixtures.js";
import { loginHeader, loginOutcome, pairsOf, textOf, viewOf } from "./support/initiator.js";

const KEYS = { InitiatorName: INITIATOR, TargetName: TARGET, SessionType: "Normal" };

async function open(context: TestContext): Promise<EntranceHall> {
  const hall = await EntranceHall.open(configuration("/nowhere", { targets: [target({ alias: "VM" })] }));
  context.after(() => hall.close());
  return hall;
}

/** The next hand-off; its descriptor is closed after the test. */
function handOff(context: TestContext, hall: EntranceHall): Promise<HandoffRecord> {
  return new Promise((resolve) => {
    hall.shards.onSend = (_shard, message) => {
      if (message.type !== "connection") return;
      context.after(() => closeSync(message.record.fd));
      resolve(message.record);
    };
  });
}

describe("the hand-off", () => {
  test("gives the shard all that it needs, and leaves the final response to it", async (context) => {
    const hall = await open(context);
    const handedOff = handOff(context, hall);
    const initiator = await hall.connect();
    const response = initiator.login({
      keys: { ...KEYS, MaxRecvDataSegmentLength: "65536", HeaderDigest: "CRC32C,None" },
      isid: 0x8000_1234_5678,
      cid: 3,
      cmdSN: 0xfffffff0,
      expStatSN: 0xffffffff,
    });
    const record = await handedOff;
    const [session] = [...hall.registry.sessions()];
    assert.equal(record.sessionId, session?.sessionId);
    assert.equal(record.tsih, session?.tsih);
    assert.deepEqual(
      [record.initiatorName, record.targetName, record.targetPortalGroupTag, record.isid, record.cid],
      [INITIATOR, TARGET, 1, "800012345678", 3],
    );
    assert.deepEqual([record.expCmdSN, record.statSN], [0xfffffff0, 0xffffffff]);
    assert.equal(record.connection.headerDigest, "CRC32C");
    assert.equal(record.connection.maxSendDataSegmentLength, 65536);
    assert.deepEqual(record.luns, [{ lun: 0, unitIndex: 0, readOnly: false, blocked: 0, accessState: 0 }]);
    assert.match(record.initiatorAddress, /^127\.0\.0\.1:[0-9]+$/);
    assert.match(record.portalAddress, /^127\.0\.0\.1:[0-9]+$/);

    // What the shard does first.
    const bytes = Buffer.from(record.loginResponse, "hex");
    const pdu = new LoginResponsePdu(viewOf(bytes));
    pdu.statSN = record.statSN;
    assert.equal(pdu.invalid(), 0);
    assert.equal(pdu.tsih, record.tsih);
    assert.equal(bytes.length, BHS_LENGTH + pdu.dataSegmentLength);
    assert.ok(textOf(bytes.subarray(BHS_LENGTH)).includes("TargetPortalGroupTag=1"));
    writeSync(record.fd, Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]));
    assert.deepEqual(loginOutcome(await response), { status: 0, tsih: record.tsih });
    assert.equal(hall.authenticated, 1);
    assert.deepEqual(hall.statuses, [0]);
  });

  test("does not happen to an initiator that talks before its turn: it is refused, and its session undone", async (context) => {
    const hall = await open(context);
    const initiator = await hall.connect();
    const login = initiator.frame(loginHeader({}), encodeText(pairsOf(KEYS)));
    initiator.socket.write(Buffer.concat([login, Buffer.alloc(BHS_LENGTH)]));
    assert.equal(loginOutcome(await initiator.receive())?.status, LOGIN_STATUS_INITIATOR_ERROR);
    assert.ok(await initiator.ends());
    initiator.close();
    await hall.served[0];
    assert.deepEqual(hall.shards.sent, []);
    assert.deepEqual([...hall.registry.sessions()], []);
  });

  const ALICE = { user: "alice", secret: new Secret(Buffer.from("alice has a secret")) };
  const AUTH = { chap: [ALICE], mutual: null };
  const DISCOVERY_KEYS = { InitiatorName: INITIATOR, SessionType: "Discovery" };
  for (const [what, keys, changes, status] of [
    ["the target is gone", KEYS, { targets: [] }, LOGIN_STATUS_TARGET_REMOVED],
    ["it is for others", KEYS, { targets: [target({ initiators: [] })] }, LOGIN_STATUS_AUTHORIZATION_FAILURE],
    ["more has to be proved", KEYS, { targets: [target({ auth: AUTH })] }, LOGIN_STATUS_SERVICE_UNAVAILABLE],
    ["so it is of discovery", DISCOVERY_KEYS, { discoveryAuth: AUTH }, LOGIN_STATUS_SERVICE_UNAVAILABLE],
  ] as const) {
    test(`does not happen if ${what} by then`, async (context) => {
      const hall = await open(context);
      const initiator = await hall.connect();
      // The first request is complete and judged; the second one completes the login.
      const first = loginHeader({});
      first[1] = 0x04;
      initiator.send(first, encodeText(pairsOf(keys)));
      assert.equal(loginOutcome(await initiator.receive())?.status, 0);
      hall.configuration = configuration("/nowhere", { targets: [target()], ...changes });
      initiator.send(loginHeader({}));
      assert.equal(loginOutcome(await initiator.receive())?.status, status);
      assert.ok(await initiator.ends());
    });
  }

  test("does not happen if the configuration has changed while the login waited for its turn: 0301h", async (context) => {
    const hall = await open(context);
    const handedOff = handOff(context, hall);
    const first = await hall.connect();
    void first.login({ keys: KEYS });
    const { connectionId } = await handedOff;
    const ending = new Promise((resolve) => {
      hall.shards.onSend = resolve;
    });
    const second = await hall.connect();
    const response = second.login({ keys: KEYS });
    await ending;
    hall.configuration = configuration("/nowhere");
    hall.admission.connectionClosed(connectionId);
    assert.equal(loginOutcome(await response)?.status, LOGIN_STATUS_SERVICE_UNAVAILABLE);
    assert.deepEqual([...hall.registry.sessions()], []);
  });

  test("does not happen where a drain has begun during the login: 0301h", async (context) => {
    const hall = await open(context);
    hall.unavailable = { status: LOGIN_STATUS_SERVICE_UNAVAILABLE, reason: "drained meanwhile" };
    const initiator = await hall.connect();
    assert.equal(loginOutcome(await initiator.login({ keys: KEYS }))?.status, LOGIN_STATUS_SERVICE_UNAVAILABLE);
    assert.deepEqual([...hall.registry.sessions()], []);
    assert.deepEqual(hall.shards.sent, []);
  });

  test("does not happen while the session to be replaced does not end: 0301h", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const hall = await open(context);
    const handedOff = handOff(context, hall);
    const first = await hall.connect();
    void first.login({ keys: KEYS });
    await handedOff;
    const ending = new Promise((resolve) => {
      hall.shards.onSend = resolve;
    });
    const second = await hall.connect();
    const response = second.login({ keys: KEYS });
    await ending;
    context.mock.timers.tick(10_000);
    assert.equal(loginOutcome(await response)?.status, LOGIN_STATUS_SERVICE_UNAVAILABLE);
  });
});

describe("a login that fails", () => {
  test("is told why, and closed", async (context) => {
    const hall = await open(context);
    const initiator = await hall.connect();
    const response = await initiator.login({ keys: { ...KEYS, TargetName: "iqn.2026-11.io.ringlun:other" } });
    assert.equal(loginOutcome(response)?.status, LOGIN_STATUS_NOT_FOUND);
    assert.equal(response?.header[1], 0, "T, C, CSG and NSG are reserved (section 6.3.1)");
    assert.ok(await initiator.ends());
    assert.deepEqual(hall.statuses, [LOGIN_STATUS_NOT_FOUND]);
    assert.equal(hall.authenticated, 0);
  });

  test("is over as soon as the initiator has closed too", async (context) => {
    // No timer ends it.
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const hall = await open(context);
    const initiator = await hall.connect();
    await initiator.login({ keys: { ...KEYS, TargetName: "iqn.2026-11.io.ringlun:other" } });
    initiator.socket.write("late words that nobody reads");
    assert.ok(await initiator.ends());
    initiator.close();
    await hall.served[0];
  });
});

describe("bad input before login", () => {
  test("a first PDU that is no Login Request ends the connection without a word", async (context) => {
    const hall = await open(context);
    const initiator = await hall.connect();
    const header = Buffer.alloc(BHS_LENGTH);
    header[0] = OPCODE_TEXT_REQUEST;
    initiator.send(header);
    assert.ok(await initiator.ends());
  });

  test("a data segment that is too long ends it before any of it has come", async (context) => {
    const hall = await open(context);
    const initiator = await hall.connect();
    const pdu = initiator.frame(loginHeader({}), new Uint8Array(LOGIN_DATA_SEGMENT_LENGTH_MAX + 1));
    initiator.socket.write(pdu.subarray(0, BHS_LENGTH));
    assert.ok(await initiator.ends());
  });

  test("an additional header segment ends it", async (context) => {
    const hall = await open(context);
    const initiator = await hall.connect();
    const header = loginHeader({});
    header[4] = 1;
    initiator.socket.write(header);
    assert.ok(await initiator.ends());
  });

  test("the longest data segment is taken", async (context) => {
    const hall = await open(context);
    const initiator = await hall.connect();
    const padding = `X-com.example.x=${"x".repeat(255)}\0`.repeat(40);
    const text = Buffer.concat([encodeText(pairsOf(KEYS)), Buffer.from(padding)]).subarray(
      0,
      LOGIN_DATA_SEGMENT_LENGTH_MAX,
    );
    const header = loginHeader({});
    header[1] = 0x44;
    initiator.send(header, text);
    assert.equal(loginOutcome(await initiator.receive())?.status, 0);
  });

  test("a malformed PDU in the middle of a login is answered with initiator error", async (context) => {
    const hall = await open(context);
    const initiator = await hall.connect();
    const first = loginHeader({});
    first[1] = 0x04;
    initiator.send(first, encodeText(pairsOf(KEYS)));
    assert.equal(loginOutcome(await initiator.receive())?.status, 0);
    const header = loginHeader({});
    header[4] = 255;
    initiator.socket.write(header);
    assert.equal(loginOutcome(await initiator.receive())?.status, LOGIN_STATUS_INITIATOR_ERROR);
    assert.ok(await initiator.ends());
  });

  test("nonsense ends the connection, and nothing else", async (context) => {
    const hall = await open(context);
    for (const byte of [0x00, 0x43, 0x7f, 0xff]) {
      const initiator = await hall.connect();
      initiator.socket.write(Buffer.alloc(100_000, byte));
      while ((await initiator.receive()) !== undefined);
    }
    const handedOff = handOff(context, hall);
    void (await hall.connect()).login({ keys: KEYS });
    await handedOff;
  });
});

describe("time", () => {
  test("a byte now and then does not keep a connection open", async (context) => {
    const { logger, seen } = recordingLogger();
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const hall = await EntranceHall.open(configuration("/nowhere"), logger);
    context.after(() => hall.close());
    const initiator = await hall.connect();
    const login = initiator.frame(loginHeader({}), encodeText(pairsOf(KEYS)));
    // Until the connection is there.
    while (hall.connections.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let n = 0; n < 15; n++) {
      initiator.socket.write(login.subarray(n, n + 1));
      context.mock.timers.tick(LOGIN_TIMEOUT_MS / 15);
    }
    assert.ok(await initiator.ends());
    await hall.served[0];
    assert.equal((await seen.message((text) => text === "login failed")).reason, "no login in time");
  });

  test("each request of a login does not give it more time", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const hall = await EntranceHall.open(configuration("/nowhere"));
    context.after(() => hall.close());
    const initiator = await hall.connect();
    const header = loginHeader({});
    header[1] = 0x04;
    for (let n = 0; n < 2; n++) {
      initiator.send(header, n === 0 ? encodeText(pairsOf(KEYS)) : new Uint8Array());
      assert.equal(loginOutcome(await initiator.receive())?.status, 0);
      context.mock.timers.tick(LOGIN_TIMEOUT_MS / 2);
    }
    assert.ok(await initiator.ends());
  });
});
