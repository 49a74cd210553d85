/** A shard on a simulated kernel and clock, with connections that a test drives byte by byte, and a store that takes its time. */
import { COMMAND_WINDOW, TASKS_MAX } from "../../../../dataplane/limits.js";
import type { SessionParametersRecord } from "../../../../dataplane/messages.js";
import { testUnitReady, write10 } from "../../../support/cdb.js";
import { buildHeader, FLAG_FINAL, FLAG_WRITE, type HeaderFields, OPCODE_SCSI_COMMAND } from "../../../support/pdu.js";
import { Cluster } from "../../../support/simulation/cluster.js";
import { NO_FAULTS } from "../../../support/simulation/faults.js";
import { handoffRecord } from "../../../support/simulation/initiator/handoff-record.js";
import { Random } from "../../../support/simulation/random.js";
import type { PeerSocket } from "../../../support/simulation/socket.js";
import { Timeline } from "../../../support/simulation/timeline.js";
import { SimulatedUnit } from "../../../support/simulation/unit.js";
import { unitRecord } from "../../../support/unit-record.js";

export const INITIATOR = "iqn.2026-11.io.ringlun:initiator";
export const BLOCK_BYTES = 512;
const DATA = Buffer.alloc(BLOCK_BYTES, 0x5a);
export const WRITE_US = 5_000_000;
const PIPE = { capacity: 1 << 20, delayUsMax: 1 };
export const FIRST_CMD_SN = 1;

const CONNECTION = {
  headerDigest: "None",
  dataDigest: "None",
  maxRecvDataSegmentLength: 262144,
  maxSendDataSegmentLength: 8192,
} as const;

const SESSION = {
  maxConnections: 2,
  initialR2T: true,
  immediateData: true,
  maxBurstLength: 262144,
  firstBurstLength: 65536,
  maxOutstandingR2T: 1,
  defaultTime2Wait: 0,
  defaultTime2Retain: 0,
  errorRecoveryLevel: 0,
  taskReporting: "RFC3720",
  iSCSIProtocolLevel: 1,
} as const;

/** Whatever may be later or earlier is as late as it may be. */
class Latest extends Random {
  override below(count: number): number {
    return count - 1;
  }
}

/** A shard whose store takes `storageUs` for each operation, and a unit on it. */
export function setUp(storageUs = WRITE_US, changes: Partial<SessionParametersRecord> = {}) {
  const timeline = new Timeline();
  const world = {
    timeline,
    random: new Latest(1),
    faults: { ...NO_FAULTS, storageDelayUsMax: storageUs, networkDelayUsMax: 1, turnUsMax: 1 },
  };
  const unit = new SimulatedUnit(unitRecord({ unitIndex: 3, name: "unit" }, 2 << 20));
  const machine = { units: [unit], arenaBytes: 24 << 20, sqEntries: 64, cqEntries: 128, fixedBuffers: true };
  const cluster = new Cluster(world, 1, machine, () => "");
  const [shard] = cluster.machines as [(typeof cluster.machines)[0]];
  const luns = new Map([[0, unit]]);

  /** A connection that is logged in; `received` is all that comes. */
  function connect(cid = 0, sessionId = 1) {
    const options = {
      sessionId,
      cid,
      initiatorName: INITIATOR,
      parameters: { session: { ...SESSION, ...changes }, connection: CONNECTION },
      luns,
      pingIntervalMs: 0,
      reportsScsiEvents: false,
    };
    const end = { atUs: 0, reportedUs: 0 };
    const received: Buffer[] = [];
    const { connectionId, peer } = shard.connect(handoffRecord(options, FIRST_CMD_SN, 1), PIPE, () => {
      end.reportedUs = timeline.nowUs;
    });
    peer.onReadable = () => {
      const bytes = Buffer.alloc(peer.available);
      peer.read(bytes);
      received.push(bytes);
      if (peer.ended && end.atUs === 0) end.atUs = timeline.nowUs;
    };
    cluster.turnUntil(() => received.length > 0);
    return { connectionId, peer, end, received };
  }
  /** Whether the block is what `startWrite` writes. */
  const hasLanded = (lba = 0): boolean => {
    const block = Buffer.alloc(BLOCK_BYTES);
    unit.disk!.read(block, lba * BLOCK_BYTES);
    return block.equals(DATA);
  };
  return { timeline, cluster, shard, connect, hasLanded };
}

export function send(peer: PeerSocket, header: HeaderFields, data: Uint8Array = Buffer.alloc(0)): void {
  peer.write(Buffer.concat([buildHeader({ dataSegmentLength: data.length, lun: 0, ...header }), data]));
}

const SIMPLE = 1;
const ORDERED = 2;

/** A WRITE of one block, whose data comes with it. */
export function startWrite(peer: PeerSocket, immediate = false): void {
  sendWrite(peer, { immediate, flags: SIMPLE, initiatorTaskTag: 1, cmdSN: FIRST_CMD_SN, cdb: write10(0, 1) });
}

/** A second one, of the block behind that: it waits until the first has ended. */
export function startOrderedWrite(peer: PeerSocket): void {
  sendWrite(peer, { flags: ORDERED, initiatorTaskTag: 2, cmdSN: FIRST_CMD_SN + 1, cdb: write10(1, 1) });
}

/** A WRITE of one block, whose data is asked for. */
export function announceWrite(peer: PeerSocket): void {
  const fields = {
    initiatorTaskTag: 1,
    cmdSN: FIRST_CMD_SN,
    cdb: write10(0, 1),
    expectedDataTransferLength: BLOCK_BYTES,
  };
  send(peer, { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | FLAG_WRITE | SIMPLE, ...fields });
}

function sendWrite(peer: PeerSocket, { flags, ...fields }: Omit<HeaderFields, "opcode"> & { flags: number }): void {
  const header = { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | FLAG_WRITE | flags, ...fields };
  send(peer, { ...header, expectedDataTransferLength: DATA.length }, DATA);
}

/** Has so many sessions send commands that wait for the one before them that the shard has no task left. */
export function takeAllTasks(connect: (cid: number, sessionId: number) => { readonly peer: PeerSocket }): void {
  const ready = { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | SIMPLE, cdb: testUnitReady() };
  for (let left = TASKS_MAX, sessionId = 2; left > 0; left -= COMMAND_WINDOW - 1, sessionId++) {
    const { peer } = connect(0, sessionId);
    for (let i = 1; i < COMMAND_WINDOW; i++) send(peer, { ...ready, initiatorTaskTag: i, cmdSN: FIRST_CMD_SN + i });
  }
}
