/** What fuzzing has found once. */
import test from "node:test";
import type { Action } from "../support/simulation/hostile/action.js";
import { encounter } from "../support/simulation/hostile/encounter.js";
import type { Parameters } from "../support/simulation/initiator/parameters.js";

const PARAMETERS: Parameters = {
  session: {
    maxConnections: 1,
    initialR2T: false,
    immediateData: true,
    maxBurstLength: 512,
    firstBurstLength: 512,
    maxOutstandingR2T: 1,
    defaultTime2Wait: 2,
    defaultTime2Retain: 0,
    errorRecoveryLevel: 0,
    taskReporting: "RFC3720",
    iSCSIProtocolLevel: 1,
  },
  connection: {
    headerDigest: "None",
    dataDigest: "None",
    maxRecvDataSegmentLength: 262144,
    maxSendDataSegmentLength: 512,
  },
};

const INQUIRY = [0x12, 0, 0, 0, 255, 0];
const READ_NOTHING = [0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0];

function found(title: string, actions: readonly Action[], parameters = PARAMETERS): void {
  test(title, () => encounter({ seed: 0, parameters, actions }));
}

found("data with a command that only answers", [
  { kind: "pdu", pdu: { opcode: 0x01, flags: 0xa0, word20: 4, cdb: INQUIRY, dataLength: 4 } },
]);

found("a command that is no command ends a session with a task whose unsolicited data has not come", [
  { kind: "pdu", pdu: { opcode: 0x01, flags: 0x20, word20: 0, cdb: INQUIRY, ahs: [0, 5, 1, 0, 1, 2, 3, 4] } },
  { kind: "pdu", pdu: { opcode: 0x01, flags: 0x00, word20: 0, cdb: READ_NOTHING } },
]);

found("data with a READ that is marked as a write", [
  {
    kind: "pdu",
    pdu: { opcode: 0x01, flags: 0xa0, word20: 65536, cdb: [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataLength: 3 },
  },
  { kind: "answer", r2t: 0, length: 1 << 20, final: false },
]);

found(
  "a SNACK for the Login Response",
  [
    {
      kind: "pdu",
      pdu: {
        opcode: 0x10,
        flags: 0x81,
        initiatorTaskTag: 0xffffffff,
        word20: 0xffffffff,
        expStatSN: { of: "statSN" },
        words: [0, 0, { of: "statSN" }, 0],
      },
    },
    { kind: "wait", us: 1000 },
    { kind: "pdu", pdu: { opcode: 0x01, flags: 0xc0, word20: 512, cdb: [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0] } },
  ],
  {
    session: { ...PARAMETERS.session, errorRecoveryLevel: 1 },
    connection: { ...PARAMETERS.connection, dataDigest: "CRC32C" },
  },
);
