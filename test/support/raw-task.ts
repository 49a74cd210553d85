/** A SCSI command of a RawInitiator. */
import assert from "node:assert/strict";
import { type HeaderFields, OPCODE_SCSI_RESPONSE, type ReceivedPdu } from "./pdu.js";

export interface CommandOptions {
  readonly cdb: Uint8Array;
  readonly lun?: number | Uint8Array;
  /** The command reads: Expected Data Transfer Length. */
  readonly read?: number;
  /** The command writes this. */
  readonly write?: Uint8Array;
  /** Expected Data Transfer Length of a write, if it is not the length of `write`. */
  readonly expectedDataTransferLength?: number;
  /** Bytes that go as immediate data; absent: as many as was negotiated allows. */
  readonly immediateLength?: number;
  /** Bytes that go unsolicited, immediate data included; absent: as many as was negotiated allows. */
  readonly unsolicitedLength?: number;
  /** ATTR: 0 untagged, 1 simple (the default), 2 ordered, 3 head of queue. */
  readonly attribute?: number;
  /** The I bit. */
  readonly immediate?: boolean;
  /** R2Ts are collected, not answered. */
  readonly leaveR2Ts?: boolean;
  readonly fields?: Partial<HeaderFields>;
}

/** A SCSI command from its sending to its status. */
export class RawTask {
  readonly initiatorTaskTag: number;
  readonly cmdSN: number;
  readonly options: CommandOptions;
  readonly lun: Uint8Array;
  /** Data-In, reassembled: as long as the command expects; what did not come is zero. */
  readonly buffer: Buffer;
  /** Bytes of Data-In that came. */
  received = 0;
  readonly dataIns: ReceivedPdu[] = [];
  readonly r2ts: ReceivedPdu[] = [];
  /** The PDU that carried the status: SCSI Response or Data-In. */
  end: ReceivedPdu | undefined;

  constructor(initiatorTaskTag: number, cmdSN: number, options: CommandOptions, lun: Uint8Array) {
    this.initiatorTaskTag = initiatorTaskTag;
    this.cmdSN = cmdSN;
    this.options = options;
    this.lun = lun;
    this.buffer = Buffer.alloc(options.read ?? 0);
  }

  get result(): CommandResult {
    assert(this.end !== undefined, "the command has not ended");
    return {
      response: this.end.opcode === OPCODE_SCSI_RESPONSE ? this.end.response : 0,
      status: this.end.status,
      residual: this.end.residual,
      sense: this.end.sense,
      data: this.buffer.subarray(0, this.received),
      task: this,
    };
  }
}

export interface CommandResult {
  /** iSCSI service response; 0: completed at target. */
  readonly response: number;
  /** SCSI status. */
  readonly status: number;
  /** Positive: underflow; negative: overflow. */
  readonly residual: number;
  readonly sense: Buffer;
  readonly data: Buffer;
  readonly task: RawTask;
}
