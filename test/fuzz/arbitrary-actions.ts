/** What hostile initiators do, as fast-check makes it up: mostly plausible, wrong in one respect or another. */
import fc from "../support/fast-check.js";
import {
  FLAG_CONTINUE,
  FLAG_FINAL,
  FLAG_READ,
  FLAG_WRITE,
  OPCODE_DATA_OUT,
  OPCODE_LOGIN_REQUEST,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_NOP_OUT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SNACK_REQUEST,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TEXT_REQUEST,
  TAG_NONE,
} from "../support/pdu.js";
import type { Action, HostilePdu, Value } from "../support/simulation/hostile/action.js";
import type { Parameters } from "../support/simulation/initiator/parameters.js";

const u32 = fc.oneof(
  fc.nat({ max: 0xffffffff }),
  fc.constantFrom(0, 1, 511, 512, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff),
);

/** Few tags, so that they meet. */
const initiatorTaskTag: fc.Arbitrary<Value> = fc.oneof(
  { weight: 12, arbitrary: fc.nat({ max: 5 }) },
  { weight: 1, arbitrary: fc.constant(TAG_NONE) },
  { weight: 1, arbitrary: u32 },
);

/** Mostly the next; duplicates, gaps, the far end of the window and what is beyond it. */
const cmdSN: fc.Arbitrary<Value> = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Value>({ of: "expCmdSN" }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(-1, 1, 2, 3, 255, 256, 0x7fffffff).map((plus): Value => ({ of: "expCmdSN", plus })),
  },
  { weight: 1, arbitrary: u32 },
);

const dataLength = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0, 1, 3, 4, 512, 1024, 4096) },
  { weight: 2, arbitrary: fc.nat({ max: 20_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(65536, 262144, 262145, 300_000) },
);

const expectedLength = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 512, 1024, 4096, 65536, 262144, 300_032, 1 << 20) },
  { weight: 2, arbitrary: fc.nat({ max: 100_000 }) },
  { weight: 1, arbitrary: u32 },
);

/** Its own unit, the one that it may only read, none. */
const lun = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.nat({ max: 16383 }) },
);

const blockCdb = fc
  .record({
    opcode: fc.constantFrom(0x28, 0x2a, 0x2f, 0x2e, 0x35, 0x34, 0x41),
    flags: fc.constantFrom(0, 0, 0, 0, 0x08, 0x02, 0x06),
    lba: fc.oneof({ weight: 6, arbitrary: fc.nat({ max: 2048 }) }, { weight: 1, arbitrary: u32 }),
    blocks: fc.oneof({ weight: 6, arbitrary: fc.nat({ max: 256 }) }, { weight: 1, arbitrary: fc.nat({ max: 65535 }) }),
  })
  .map(({ opcode, flags, lba, blocks }) => {
    const address = [24, 16, 8, 0].map((shift) => (lba >>> shift) & 0xff);
    return [opcode, flags, ...address, 0, blocks >>> 8, blocks & 0xff, 0];
  });

/** COMPARE AND WRITE, ORWRITE(16), WRITE ATOMIC(16), WRITE SAME(16), WRITE AND VERIFY(16), VERIFY(16), READ(16), PRE-FETCH(16). */
const longCdb = fc
  .record({
    opcode: fc.constantFrom(0x89, 0x8b, 0x9c, 0x93, 0x8e, 0x8f, 0x88, 0x90),
    flags: fc.constantFrom(0, 0, 0x01, 0x02, 0x06, 0x08, 0x09),
    lba: fc.oneof({ weight: 6, arbitrary: fc.nat({ max: 2048 }) }, { weight: 1, arbitrary: u32 }),
    blocks: fc.oneof({ weight: 6, arbitrary: fc.nat({ max: 256 }) }, { weight: 1, arbitrary: fc.nat({ max: 65535 }) }),
  })
  .map(({ opcode, flags, lba, blocks }) => {
    const address = [24, 16, 8, 0].map((shift) => (lba >>> shift) & 0xff);
    const length = opcode === 0x89 ? [0, 0, 0, blocks & 0xff] : [0, 0, blocks >>> 8, blocks & 0xff];
    return [opcode, flags, 0, 0, 0, 0, ...address, ...length, 0, 0];
  });

/** INQUIRY, MODE SENSE, REPORT LUNS, UNMAP, REPORT SUPPORTED OPERATION CODES, READ CAPACITY. */
const otherCdb = fc.constantFrom(
  [0x12, 0, 0, 0, 255, 0],
  [0x12, 1, 0x83, 0, 255, 0],
  [0x1a, 0, 0x3f, 0, 255, 0],
  [0xa0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0],
  [0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0],
  [0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0],
  [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
);

const cdb = fc.oneof(
  { weight: 10, arbitrary: blockCdb },
  { weight: 3, arbitrary: longCdb },
  { weight: 3, arbitrary: otherCdb },
  { weight: 2, arbitrary: fc.array(fc.nat({ max: 255 }), { minLength: 6, maxLength: 16 }) },
);

const ahs = fc.oneof(
  { weight: 12, arbitrary: fc.constant<number[]>([]) },
  // Extended CDB, Bidirectional Read Expected Data Transfer Length, one that is longer than it may be.
  { weight: 1, arbitrary: fc.constantFrom([0, 5, 1, 0, 1, 2, 3, 4], [0, 5, 2, 0, 0, 0, 2, 0], [0xff, 0xff, 1, 0]) },
  { weight: 1, arbitrary: fc.array(fc.nat({ max: 255 }), { maxLength: 1020 }) },
);

type Fields = { readonly [K in keyof HostilePdu]?: fc.Arbitrary<unknown> };

/** What it has received; now and then it acknowledges less, or what was never sent. */
const expStatSN: fc.Arbitrary<Value> = fc.oneof(
  { weight: 10, arbitrary: fc.constant<Value>({ of: "statSN" }) },
  { weight: 3, arbitrary: fc.constantFrom(-1, -2, -5, 1).map((plus): Value => ({ of: "statSN", plus })) },
  { weight: 1, arbitrary: u32 },
);

function pdu(opcode: number, fields: Fields): fc.Arbitrary<HostilePdu> {
  const record = fc.record({ opcode: fc.constant(opcode), initiatorTaskTag, cmdSN, expStatSN, lun, ...fields });
  return record as fc.Arbitrary<HostilePdu>;
}

const directions = fc.constantFrom(0, FLAG_READ, FLAG_READ, FLAG_WRITE, FLAG_WRITE, FLAG_WRITE, FLAG_READ | FLAG_WRITE);

const command = pdu(OPCODE_SCSI_COMMAND, {
  immediate: fc.boolean(),
  flags: fc
    .record({ direction: directions, final: fc.boolean(), attribute: fc.nat({ max: 7 }) })
    .map(({ direction, final, attribute }) => direction | (final ? FLAG_FINAL : 0) | attribute),
  word20: expectedLength,
  cdb,
  ahs,
  dataLength: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: dataLength }),
});

/** A command as it should be, with its data as it was negotiated or not. */
const plainCommand = fc
  .record({
    tag: initiatorTaskTag,
    writes: fc.boolean(),
    blocks: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 1500 })),
    immediateBlocks: fc.nat({ max: 8 }),
    final: fc.boolean(),
    attribute: fc.constantFrom(0, 1, 1, 2, 3),
  })
  .map(({ tag, writes, blocks, immediateBlocks, final, attribute }): HostilePdu => {
    const isFinal = final || !writes;
    return {
      opcode: OPCODE_SCSI_COMMAND,
      flags: (isFinal ? FLAG_FINAL : 0) | (writes ? FLAG_WRITE : FLAG_READ) | attribute,
      initiatorTaskTag: tag,
      word20: blocks * 512,
      cdb: [writes ? 0x2a : 0x28, 0, 0, 0, 0, 0, 0, blocks >>> 8, blocks & 0xff, 0],
      dataLength: writes ? Math.min(immediateBlocks, blocks) * 512 : 0,
    };
  });

const dataOut = pdu(OPCODE_DATA_OUT, {
  flags: fc.constantFrom(0, FLAG_FINAL),
  word20: fc.oneof(
    { weight: 3, arbitrary: fc.constant<Value>(TAG_NONE) },
    {
      weight: 3,
      arbitrary: fc.constantFrom(0, 1, -0x10000, 0x10000).map((plus): Value => ({ of: "tag", plus })),
    },
    { weight: 1, arbitrary: u32 },
  ),
  // Reserved, DataSN, Buffer Offset, reserved.
  words: fc.tuple(
    fc.constant(0),
    fc.oneof(fc.nat({ max: 3 }), u32),
    fc.oneof(
      fc.constantFrom(0, 512, 1024, 4096),
      fc.constantFrom(0, 0, 1, -1).map((plus): Value => ({ of: "offset", plus })),
      u32,
    ),
    fc.constant(0),
  ),
  dataLength,
});

const management = pdu(OPCODE_TASK_MANAGEMENT_REQUEST, {
  immediate: fc.boolean(),
  flags: fc.oneof(fc.constantFrom(1, 2, 5, 8), fc.nat({ max: 0x7f })).map((code) => FLAG_FINAL | code),
  word20: initiatorTaskTag,
  words: fc.tuple(cmdSN, fc.constant(0)),
});

const nopOut = pdu(OPCODE_NOP_OUT, {
  immediate: fc.boolean(),
  word20: fc.constantFrom<Value>(TAG_NONE, TAG_NONE, { of: "pingTag" }, 1),
  dataLength,
});

const text = pdu(OPCODE_TEXT_REQUEST, {
  immediate: fc.boolean(),
  flags: fc.constantFrom(FLAG_FINAL, FLAG_CONTINUE, 0, FLAG_FINAL | FLAG_CONTINUE),
  word20: fc.constantFrom<Value>(TAG_NONE, TAG_NONE, { of: "textTag" }, 7),
  text: fc.oneof(
    fc.constantFrom("", "SendTargets=\0", "X-io.ringlun.a=1\0", "=\0", "MaxBurstLength=1\0"),
    fc.string({ maxLength: 300 }),
    fc.nat({ max: 9000 }).map((length) => "k".repeat(length)),
  ),
});

const logout = pdu(OPCODE_LOGOUT_REQUEST, {
  immediate: fc.boolean(),
  flags: fc.nat({ max: 3 }).map((reason) => FLAG_FINAL | reason),
  word20: fc.constantFrom(0, 1, 0x10000),
});

const other = fc
  .tuple(
    pdu(0, {
      flags: fc.nat({ max: 255 }),
      byte2: fc.nat({ max: 255 }),
      word20: u32,
      words: fc.array(u32, { maxLength: 4 }),
      ahs,
      dataLength,
    }),
    fc.oneof(
      fc.constantFrom(OPCODE_SNACK_REQUEST, OPCODE_LOGIN_REQUEST, 0x07, 0x1c, 0x20, 0x25, 0x31, 0x3f),
      fc.nat({ max: 0x3f }),
    ),
  )
  .map(([fields, opcode]): HostilePdu => ({ ...fields, opcode }));

const snack = pdu(OPCODE_SNACK_REQUEST, {
  flags: fc.nat({ max: 3 }).map((type) => FLAG_FINAL | type),
  initiatorTaskTag: fc.oneof(initiatorTaskTag, fc.constant(TAG_NONE)),
  word20: fc.oneof(fc.constant(TAG_NONE), fc.nat({ max: 3 })),
  // Reserved, BegRun, RunLength.
  words: fc.tuple(
    fc.constant(0),
    fc.constant(0),
    fc.oneof(
      fc.nat({ max: 4 }),
      fc.constantFrom(-1, -2, 0).map((plus): Value => ({ of: "statSN", plus })),
    ),
    fc.nat({ max: 3 }),
  ),
});

const anyPdu: fc.Arbitrary<HostilePdu> = fc.oneof(
  { weight: 6, arbitrary: plainCommand },
  { weight: 5, arbitrary: command },
  { weight: 5, arbitrary: dataOut },
  { weight: 3, arbitrary: management },
  { weight: 2, arbitrary: nopOut },
  { weight: 2, arbitrary: text },
  { weight: 2, arbitrary: snack },
  { weight: 1, arbitrary: logout },
  { weight: 1, arbitrary: other },
);

const damagedPdu: fc.Arbitrary<HostilePdu> = fc.oneof(
  fc.tuple(anyPdu, fc.constantFrom("header" as const, "data" as const)).map(([damaged, badDigest]) => ({
    ...damaged,
    badDigest,
  })),
  fc.tuple(anyPdu, fc.nat({ max: 0xffffff })).map(([damaged, dataSegmentLength]) => ({
    ...damaged,
    dataSegmentLength,
  })),
);

const connectionAction: fc.Arbitrary<Action> = fc.oneof(
  { weight: 30, arbitrary: anyPdu.map((pdu): Action => ({ kind: "pdu", pdu })) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("answer" as const),
      r2t: fc.nat({ max: 3 }),
      length: fc.oneof(fc.constant(1 << 20), fc.constant(1 << 20), fc.nat({ max: 5000 })),
      final: fc.constantFrom(false, false, false, true),
    }),
  },
  { weight: 5, arbitrary: fc.nat({ max: 20_000 }).map((us): Action => ({ kind: "wait", us })) },
  { weight: 1, arbitrary: damagedPdu.map((pdu): Action => ({ kind: "pdu", pdu })) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("mutated" as const),
      pdu: anyPdu,
      at: fc.nat({ max: 60 }),
      byte: fc.nat({ max: 255 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("cut" as const), pdu: anyPdu, length: fc.nat({ max: 600 }) }),
  },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.nat({ max: 255 }), { minLength: 1, maxLength: 200 })
      .map((bytes): Action => ({ kind: "bytes", bytes })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("close" as const, "reset" as const).map((how): Action => ({ kind: "leave", how })),
  },
);

const action: fc.Arbitrary<Action> = fc
  .tuple(connectionAction, fc.constantFrom(0, 0, 1, 2))
  .map(([does, on]) => (on === 0 ? does : { ...does, on }));

export const actions: fc.Arbitrary<Action[]> = fc.array(action, { minLength: 1, maxLength: 40, size: "max" });

const digest = fc.constantFrom("None" as const, "None" as const, "CRC32C" as const);

export const parameters: fc.Arbitrary<Parameters> = fc
  .record({
    initialR2T: fc.boolean(),
    immediateData: fc.boolean(),
    maxBurstLength: fc.constantFrom(512, 1000, 8192, 262144, 1 << 20),
    firstBurstLength: fc.constantFrom(512, 4096, 65536),
    maxOutstandingR2T: fc.constantFrom(1, 2, 8),
    maxConnections: fc.constantFrom(1, 1, 2, 3),
    errorRecoveryLevel: fc.constantFrom(0, 0, 1, 2),
    taskReporting: fc.constantFrom("RFC3720", "ResponseFence", "FastAbort"),
    iSCSIProtocolLevel: fc.constantFrom(1, 2),
    headerDigest: digest,
    dataDigest: digest,
    maxSendDataSegmentLength: fc.constantFrom(512, 515, 8192, 262144),
  })
  .map(({ headerDigest, dataDigest, maxSendDataSegmentLength, firstBurstLength, ...session }) => ({
    session: {
      ...session,
      firstBurstLength: Math.min(firstBurstLength, session.maxBurstLength),
      defaultTime2Wait: 1,
      defaultTime2Retain: 1,
    },
    connection: { headerDigest, dataDigest, maxRecvDataSegmentLength: 262144, maxSendDataSegmentLength },
  }));
