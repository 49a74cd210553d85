import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Connection, type ConnectionContext } from "../../../bench/initiator/connection.js";
import { ConnectionLostError, InitiatorError } from "../../../bench/initiator/errors.js";
import { Pdus } from "../../../bench/initiator/pdus.js";
import { Session } from "../../../bench/initiator/session.js";
import { OPERATION_READ, OPERATION_WRITE, type Task, type Workload } from "../../../bench/initiator/task.js";
import { Arena } from "../../../dataplane/arena.js";
import {
  buildHeader,
  FLAG_FINAL,
  FLAG_STATUS,
  FLAG_UNDERFLOW,
  FLAG_WRITE,
  type HeaderFields,
  OPCODE_ASYNC_MESSAGE,
  OPCODE_DATA_IN,
  OPCODE_DATA_OUT,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import { RingStub } from "../../support/ring-stub.js";

const BLOCK = 512;
const DEPTH = 4;
const TASK_BYTES = 64 * 1024;

/** Does what the test put into `wanted`; notes what has ended. */
class Script implements Workload {
  finished = false;
  readonly wanted: ((task: Task) => void)[] = [];
  readonly ended: { status: number; sense: number; received: number }[] = [];

  next(task: Task): boolean {
    const fill = this.wanted.shift();
    fill?.(task);
    return fill !== undefined;
  }

  done({ status, sense, received }: Task): void {
    this.ended.push({ status, sense, received });
  }
}

/** A connection whose other end is the test. */
class Rig implements ConnectionContext {
  readonly arena = new Arena(4 * 1024 * 1024);
  readonly pdus = new Pdus(this.arena.view);
  readonly stub = new RingStub(this.arena);
  readonly ring = this.stub.ring;
  readonly workload = new Script();
  readonly session = new Session(0, 0);
  outstanding = 0;
  woken = 0;
  readonly connection: Connection;
  statSN = 0xffff_fffe;

  lunOf(): number {
    return 300;
  }

  constructor() {
    this.session.cmdSN = 0xffff_fffe;
    this.session.maxCmdSN = (0xffff_fffe + 31) >>> 0;
    this.connection = new Connection(0, this.session, this, {
      depth: DEPTH,
      receiveBytes: 300 * 1024,
      taskBytes: TASK_BYTES,
    });
    this.connection.fd = 99;
    this.connection.expStatSN = this.statSN;
    this.connection.start(false, false);
  }

  wake(): void {
    this.woken++;
  }

  /** What the initiator sends in one turn. */
  exchange(): ReceivedPdu[] {
    this.connection.flush();
    const bytes = this.stub.queued ?? Buffer.alloc(0);
    this.stub.queued = undefined;
    if (bytes.length > 0) this.connection.sent(bytes.length);
    const pdus: ReceivedPdu[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUIntBE(at + 5, 3);
      pdus.push(
        new ReceivedPdu(
          bytes.subarray(at, at + 48),
          Buffer.alloc(0),
          bytes.subarray(at + 48, at + 48 + length),
          Buffer.alloc(0),
        ),
      );
      at += 48 + length;
    }
    return pdus;
  }

  /** Sends PDUs of the target in one piece. */
  answer(...pdus: { fields: HeaderFields; data?: Buffer }[]): void {
    const bytes = Buffer.concat(
      pdus.flatMap(({ fields, data = Buffer.alloc(0) }) => [
        buildHeader({ flags: FLAG_FINAL, maxCmdSN: this.session.maxCmdSN, dataSegmentLength: data.length, ...fields }),
        data,
        Buffer.alloc(-data.length & 3),
      ]),
    );
    this.arena.bytes.set(bytes, this.stub.receiveOffset);
    this.connection.received(bytes.length);
  }

  nextStatSN(): number {
    const statSN = this.statSN;
    this.statSN = (statSN + 1) >>> 0;
    return statSN;
  }

  read(lba: number, blocks: number): void {
    this.workload.wanted.push((task) => {
      task.operation = OPERATION_READ;
      task.lba = lba;
      task.blocks = blocks;
      task.length = blocks * BLOCK;
      task.data = task.ownData;
    });
  }

  write(lba: number, blocks: number): void {
    this.workload.wanted.push((task) => {
      task.operation = OPERATION_WRITE;
      task.lba = lba;
      task.blocks = blocks;
      task.length = blocks * BLOCK;
      task.data = task.ownData;
      for (let at = 0; at < task.length; at++) this.arena.bytes[task.data + at] = (at * 7) & 0xff;
    });
  }

  /** Bytes of the write above. */
  writeData(offset: number, length: number): Buffer {
    return Buffer.from(Array.from({ length }, (_, at) => ((offset + at) * 7) & 0xff));
  }

  dataOf(initiatorTaskTag: number, length: number): Buffer {
    const task = this.session.tasks[initiatorTaskTag & 0xffff]!;
    return Buffer.from(this.arena.bytes.slice(task.data, task.data + length));
  }
}

describe("Connection", () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });

  test("READ commands: CDB 10 and 16, CmdSN over its end, no more than the depth", () => {
    rig.read(0, 1);
    rig.read(0xffff_ffff, 1);
    rig.read(2 ** 33 + 5, 70_000 & 0xffff);
    rig.read(7, 8);
    rig.read(9, 9);
    const pdus = rig.exchange();
    assert.deepEqual(
      pdus.map((pdu) => pdu.field("cmdSN")),
      [0xffff_fffe, 0xffff_ffff, 0, 1],
    );
    assert.deepEqual(
      pdus.map((pdu) => pdu.bhs[32]),
      [0x28, 0x88, 0x88, 0x28],
    );
    assert.equal(pdus[2]!.bhs.readBigUInt64BE(34), 2n ** 33n + 5n);
    assert.equal(pdus[3]!.bhs.readUInt16BE(39), 8);
    assert.equal(pdus[0]!.bhs.readUInt16BE(8), 0x4000 | 300);
    assert.equal(new Set(pdus.map((pdu) => pdu.initiatorTaskTag)).size, 4);
    assert.equal(rig.outstanding, 4);
    assert.deepEqual(rig.exchange(), []);
  });

  test("a closed command window holds commands back until MaxCmdSN opens it", () => {
    rig.session.maxCmdSN = 0xffff_ffff;
    for (let lba = 0; lba < 4; lba++) rig.read(lba, 1);
    assert.equal(rig.exchange().length, 2);
    assert.equal(rig.exchange().length, 0);
    const nopIn = { opcode: OPCODE_NOP_IN, initiatorTaskTag: TAG_NONE, targetTransferTag: TAG_NONE };
    // One that is older than what was seen changes nothing (RFC 7143 section 4.2.2.1).
    rig.answer({ fields: { ...nopIn, maxCmdSN: 0xffff_fff0 } });
    assert.equal(rig.exchange().length, 0);
    rig.answer({ fields: { ...nopIn, maxCmdSN: 0 } });
    assert.equal(rig.exchange().length, 1);
  });

  test("Data-In of several PDUs, two commands interleaved, is put together; status in the last", () => {
    rig.read(0, 4);
    rig.read(8, 2);
    const [first, second] = rig.exchange().map((pdu) => pdu.initiatorTaskTag);
    const data = Buffer.from(Array.from({ length: 2048 }, (_, at) => (at * 11) & 0xff));
    const dataIn = (tag: number, dataSN: number, bufferOffset: number, length: number, last: boolean) => ({
      fields: {
        opcode: OPCODE_DATA_IN,
        initiatorTaskTag: tag,
        dataSN,
        bufferOffset,
        flags: last ? FLAG_FINAL | FLAG_STATUS : 0,
        ...(last ? { statSN: rig.nextStatSN() } : {}),
      },
      data: data.subarray(bufferOffset, bufferOffset + length),
    });
    rig.answer(
      dataIn(first!, 0, 0, 1000, false),
      dataIn(second!, 0, 0, 512, false),
      dataIn(first!, 1, 1000, 24, false),
    );
    assert.equal(rig.workload.ended.length, 0);
    rig.answer(dataIn(second!, 1, 512, 512, true));
    rig.answer(dataIn(first!, 2, 1024, 1024, true));
    assert.deepEqual(
      rig.workload.ended.map(({ received }) => received),
      [1024, 2048],
    );
    assert.deepEqual(rig.dataOf(first!, 2048), data);
    assert.deepEqual(rig.dataOf(second!, 1024), data.subarray(0, 1024));
    assert.equal(rig.connection.expStatSN, 0);
    assert.equal(rig.outstanding, 0);
  });

  test("what a target must not send ends the run", () => {
    const cases: Record<string, (tag: number) => HeaderFields> = {
      "DataSN out of order": (tag) => ({ opcode: OPCODE_DATA_IN, initiatorTaskTag: tag, dataSN: 1 }),
      "Buffer Offset out of order": (tag) => ({ opcode: OPCODE_DATA_IN, initiatorTaskTag: tag, bufferOffset: 4 }),
      "more than expected": (tag) => ({ opcode: OPCODE_DATA_IN, initiatorTaskTag: tag, dataSegmentLength: 513 }),
      "an unknown tag": (tag) => ({ opcode: OPCODE_DATA_IN, initiatorTaskTag: tag ^ 0x10000 }),
      "a StatSN gap": (tag) => ({ opcode: OPCODE_SCSI_RESPONSE, initiatorTaskTag: tag, statSN: 0xffff_ffff }),
      "an early end": (tag) => ({
        opcode: OPCODE_DATA_IN,
        initiatorTaskTag: tag,
        flags: FLAG_FINAL | FLAG_STATUS,
        statSN: 0xffff_fffe,
      }),
      "an R2T for a read": (tag) => ({ opcode: OPCODE_R2T, initiatorTaskTag: tag, desiredDataTransferLength: 512 }),
      "a Reject": () => ({ opcode: OPCODE_REJECT, initiatorTaskTag: TAG_NONE }),
      "an initiator's PDU": (tag) => ({ opcode: OPCODE_DATA_OUT, initiatorTaskTag: tag }),
    };
    for (const [name, fields] of Object.entries(cases)) {
      const broken = new Rig();
      broken.read(0, 1);
      const [command] = broken.exchange();
      assert.throws(() => broken.answer({ fields: fields(command!.initiatorTaskTag) }), InitiatorError, name);
    }
  });

  test("a late second answer is told from the answer to the tag's next use", () => {
    const respond = (tag: number): void =>
      rig.answer({ fields: { opcode: OPCODE_SCSI_RESPONSE, initiatorTaskTag: tag, statSN: rig.nextStatSN() } });
    rig.write(0, 1);
    const first = rig.exchange()[0]!.initiatorTaskTag;
    respond(first);
    rig.write(0, 1);
    const second = rig.exchange()[0]!.initiatorTaskTag;
    assert.notEqual(first, second);
    assert.throws(() => respond(first), InitiatorError);
  });

  test("the end of the stream and Async Messages are a lost connection", () => {
    assert.throws(() => rig.connection.received(0), ConnectionLostError);
    assert.throws(() => rig.connection.received(-104), ConnectionLostError);
    const asyncMessage = {
      opcode: OPCODE_ASYNC_MESSAGE,
      initiatorTaskTag: TAG_NONE,
      asyncEvent: 1,
      statSN: rig.statSN,
    };
    assert.throws(() => rig.answer({ fields: asyncMessage }), ConnectionLostError);
  });

  test("write: immediate data, then unsolicited data, then what the R2Ts ask for, in their order", () => {
    rig.session.initialR2T = false;
    rig.session.firstBurstLength = 1536;
    rig.connection.maxSendDataSegmentLength = 1024;
    rig.write(0, 16);
    const [command, unsolicited] = rig.exchange();
    assert.equal(command!.opcode, OPCODE_SCSI_COMMAND);
    assert.equal(command!.flags & (FLAG_FINAL | FLAG_WRITE), FLAG_WRITE);
    assert.equal(command!.field("expectedDataTransferLength"), 8192);
    assert.deepEqual(command!.data, rig.writeData(0, 1024));
    assert.equal(unsolicited!.targetTransferTag, TAG_NONE);
    assert.equal(unsolicited!.flags, FLAG_FINAL);
    assert.deepEqual(unsolicited!.data, rig.writeData(1024, 512));
    const tag = command!.initiatorTaskTag;
    const r2t = (r2tSN: number, targetTransferTag: number, bufferOffset: number, length: number) => ({
      fields: {
        opcode: OPCODE_R2T,
        initiatorTaskTag: tag,
        targetTransferTag,
        r2tSN,
        bufferOffset,
        desiredDataTransferLength: length,
      },
    });
    rig.answer(r2t(0, 0xabc, 1536, 2560), r2t(1, 0xdef, 4096, 4096));
    const dataOuts = rig.exchange();
    assert.deepEqual(
      dataOuts.map((pdu) => [
        pdu.targetTransferTag,
        pdu.field("dataSN"),
        pdu.field("bufferOffset"),
        pdu.data.length,
        pdu.final,
      ]),
      [
        [0xabc, 0, 1536, 1024, false],
        [0xabc, 1, 2560, 1024, false],
        [0xabc, 2, 3584, 512, true],
        [0xdef, 0, 4096, 1024, false],
        [0xdef, 1, 5120, 1024, false],
        [0xdef, 2, 6144, 1024, false],
        [0xdef, 3, 7168, 1024, true],
      ],
    );
    assert.deepEqual(Buffer.concat(dataOuts.map((pdu) => pdu.data)), rig.writeData(1536, 6656));
    assert.equal(dataOuts[0]!.bhs.readUInt16BE(8), 0x4000 | 300);
    rig.answer({ fields: { opcode: OPCODE_SCSI_RESPONSE, initiatorTaskTag: tag, statSN: rig.nextStatSN() } });
    assert.equal(rig.workload.ended[0]!.status, 0);
  });

  test("write with InitialR2T: only immediate data; with ImmediateData=No, none", () => {
    rig.write(0, 4);
    assert.deepEqual(
      rig.exchange().map((pdu) => [pdu.data.length, pdu.final]),
      [[2048, true]],
    );
    rig.session.immediateData = false;
    rig.write(0, 4);
    assert.deepEqual(
      rig.exchange().map((pdu) => [pdu.data.length, pdu.final]),
      [[0, true]],
    );
    rig.session.initialR2T = false;
    rig.write(0, 4);
    assert.deepEqual(
      rig.exchange().map((pdu) => [pdu.data.length, pdu.final]),
      [
        [0, false],
        [2048, true],
      ],
    );
  });

  test("status and sense of a failed command reach the workload; a residual of a good one is an error", () => {
    rig.read(0, 1);
    const tag = rig.exchange()[0]!.initiatorTaskTag;
    const sense = Buffer.alloc(20);
    sense.writeUInt16BE(18, 0);
    sense.set([0x70, 0, 0x03], 2);
    sense.set([0x11, 0x01], 2 + 12);
    rig.answer({
      fields: { opcode: OPCODE_SCSI_RESPONSE, initiatorTaskTag: tag, status: 2, statSN: rig.nextStatSN() },
      data: sense,
    });
    assert.deepEqual(rig.workload.ended, [{ status: 2, sense: 0x031101, received: 0 }]);
    rig.write(0, 1);
    const next = rig.exchange()[0]!.initiatorTaskTag;
    const short = {
      opcode: OPCODE_SCSI_RESPONSE,
      initiatorTaskTag: next,
      flags: FLAG_FINAL | FLAG_UNDERFLOW,
      residualCount: 512,
      statSN: rig.nextStatSN(),
    };
    assert.throws(() => rig.answer({ fields: short }), /short/);
  });

  test("NOP-Ins that ask for an answer get it, with LUN and tag", () => {
    const ping = (targetTransferTag: number) => ({
      fields: { opcode: OPCODE_NOP_IN, initiatorTaskTag: TAG_NONE, targetTransferTag, lun: 5 },
    });
    rig.answer(ping(77), ping(TAG_NONE));
    const answers = rig.exchange();
    assert.equal(answers.length, 1);
    const [answer] = answers;
    assert.equal(answer!.opcode, OPCODE_NOP_OUT);
    assert.equal(answer!.bhs[0]! & 0x40, 0x40);
    assert.equal(answer!.initiatorTaskTag, TAG_NONE);
    assert.equal(answer!.targetTransferTag, 77);
    assert.equal(answer!.bhs[9], 5);
    assert.equal(answer!.field("cmdSN"), 0xffff_fffe);
    assert.equal(rig.session.cmdSN, 0xffff_fffe);
  });
});
