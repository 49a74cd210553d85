/**
 * SCSI Command (RFC 7143 section 11.3; PRI: RFC 7144), with its additional header segments (section 11.2.2).
 *
 *             0               1               2               3
 *      0 | . I 01h       | F R W . . ATTR| PRI or res. . | reserved
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | LUN (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | Expected Data Transfer Length
 *     24 | CmdSN
 *     28 | ExpStatSN
 *     32 | CDB (16 bytes; of a longer one, the first 16)
 *     48 | AHS ...       then header digest, immediate data, data digest
 *
 *     Extended CDB AHS                              Bidirectional Read EDTL AHS
 *      0 | AHSLength = CDB length - 15 | 01h | 00h    0 | AHSLength = 5 | 02h | 00h
 *      4 | CDB from its byte 16, padding              4 | Bidirectional Read Expected Data Transfer Length
 *
 * AHSLength counts neither itself nor AHSType nor padding: a segment is paddedLength(3 + AHSLength) bytes long.
 */

import { BHS_LENGTH, CommandPdu, FLAG_FINAL, OPCODE_SCSI_COMMAND, paddedLength, RESERVED_TAG } from "./bhs.js";
import {
  INVALID_AHS_LENGTH,
  INVALID_AHS_OVERRUN,
  INVALID_AHS_TYPE,
  INVALID_BIDIRECTIONAL_AHS_MISSING,
  INVALID_DIRECTION,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TASK_ATTRIBUTES,
  INVALID_UNSOLICITED_WITHOUT_WRITE,
  VALID,
} from "./invalid.js";

/** Byte 1: the command is expected to input data. */
export const FLAG_READ = 0x40;
/** Byte 1: the command is expected to output data. */
export const FLAG_WRITE = 0x20;
const FLAGS_DIRECTION = FLAG_READ | FLAG_WRITE;
const FLAGS_FINAL_OR_WRITE = FLAG_FINAL | FLAG_WRITE;
const ATTRIBUTES_MASK = 0x07;
/** Byte 2. */
const PRIORITY_SHIFT = 4;

export const TASK_ATTRIBUTE_UNTAGGED = 0;
export const TASK_ATTRIBUTE_SIMPLE = 1;
export const TASK_ATTRIBUTE_ORDERED = 2;
export const TASK_ATTRIBUTE_HEAD_OF_QUEUE = 3;
export const TASK_ATTRIBUTE_ACA = 4;

/** Bytes of the CDB that the BHS has room for. */
export const CDB_LENGTH = 16;

const AHS_TYPE_MASK = 0x3f;
const AHS_TYPE_EXTENDED_CDB = 1;
const AHS_TYPE_BIDIRECTIONAL_READ_LENGTH = 2;
/** AHSLength, AHSType and the byte that both types reserve. */
const AHS_HEADER_LENGTH = 4;
/** What AHSLength leaves out. */
const AHS_UNCOUNTED_LENGTH = 3;
const AHS_BIDIRECTIONAL_READ_LENGTH = 5;
/** AHSLength of a CDB of 17 bytes: "MUST NOT be used if the CDBLength is less than 17". */
const AHS_EXTENDED_CDB_LENGTH_MIN = 2;

export class ScsiCommandPdu extends CommandPdu {
  override clear(): this {
    this.zero(OPCODE_SCSI_COMMAND << 24);
    return this;
  }

  get read(): boolean {
    return this.hasFlag(FLAG_READ);
  }
  set read(value: boolean) {
    this.setFlag(FLAG_READ, value);
  }

  get write(): boolean {
    return this.hasFlag(FLAG_WRITE);
  }
  set write(value: boolean) {
    this.setFlag(FLAG_WRITE, value);
  }

  /** ATTR: a TASK_ATTRIBUTE_. */
  get taskAttributes(): number {
    return this.flags & ATTRIBUTES_MASK;
  }
  set taskAttributes(value: number) {
    this.flags = (this.flags & ~ATTRIBUTES_MASK) | value;
  }

  /**
   * PRI, in sessions of iSCSIProtocolLevel 2: 1 (first) to 15 among SIMPLE tasks, 0: none assigned. What it does to the order of
   * tasks is the target's own affair (SAM-5): this one serves them as they come.
   */
  get priority(): number {
    return this.view.getUint8(this.offset + 2) >>> PRIORITY_SHIFT;
  }
  set priority(value: number) {
    const reserved = this.view.getUint8(this.offset + 2) & ((1 << PRIORITY_SHIFT) - 1);
    this.view.setUint8(this.offset + 2, reserved | (value << PRIORITY_SHIFT));
  }

  /** In bytes; of the write, in a bidirectional command. */
  get expectedDataTransferLength(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set expectedDataTransferLength(byteLength: number) {
    this.view.setUint32(this.offset + 20, byteLength);
  }

  /** Where in `view` the first 16 bytes of the CDB are. */
  get cdbOffset(): number {
    return this.offset + 32;
  }

  /** In bytes: 16, or more with an Extended CDB. What of it counts is the operation code's affair. */
  get cdbLength(): number {
    const ahs = this.findAhs(AHS_TYPE_EXTENDED_CDB);
    return ahs === 0 ? CDB_LENGTH : CDB_LENGTH - 1 + this.view.getUint16(this.offset + ahs);
  }

  /** Where in `view` the CDB goes on with its byte 16; 0 if it does not. */
  get extendedCdbOffset(): number {
    const ahs = this.findAhs(AHS_TYPE_EXTENDED_CDB);
    return ahs === 0 ? 0 : this.offset + ahs + AHS_HEADER_LENGTH;
  }

  /** In bytes; 0 if the command has none. */
  get bidirectionalReadExpectedDataTransferLength(): number {
    const ahs = this.findAhs(AHS_TYPE_BIDIRECTIONAL_READ_LENGTH);
    if (ahs === 0 || ahs + AHS_HEADER_LENGTH + 4 > this.ahsEnd()) return 0;
    return this.view.getUint32(this.offset + ahs + AHS_HEADER_LENGTH);
  }

  /**
   * Appends an Extended CDB AHS for a CDB of `cdbLength` (17 or more) bytes, its content zeroed. Returns where in `view`
   * CDB byte 16 goes. The buffer must have room for it behind the header.
   */
  appendExtendedCdb(cdbLength: number): number {
    if (cdbLength <= CDB_LENGTH) throw new RangeError(`extended CDB of ${cdbLength} bytes`);
    return this.appendAhs(AHS_TYPE_EXTENDED_CDB, cdbLength - CDB_LENGTH + 1) + AHS_HEADER_LENGTH;
  }

  /** Appends a Bidirectional Read Expected Data Transfer Length AHS. The buffer must have room for its 8 bytes. */
  appendBidirectionalReadExpectedDataTransferLength(byteLength: number): void {
    const ahs = this.appendAhs(AHS_TYPE_BIDIRECTIONAL_READ_LENGTH, AHS_BIDIRECTIONAL_READ_LENGTH);
    this.view.setUint32(ahs + AHS_HEADER_LENGTH, byteLength);
  }

  override invalid(): number {
    const flags = this.view.getUint8(this.offset + 1);
    if ((flags & FLAGS_FINAL_OR_WRITE) === 0) return INVALID_UNSOLICITED_WITHOUT_WRITE;
    if ((flags & ATTRIBUTES_MASK) > TASK_ATTRIBUTE_ACA) return INVALID_TASK_ATTRIBUTES;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    const direction = flags & FLAGS_DIRECTION;
    if (direction === 0 && this.expectedDataTransferLength !== 0) return INVALID_DIRECTION;
    if (this.totalAHSLength !== 0) {
      const reason = this.invalidAhs();
      if (reason !== VALID) return reason;
      if (direction === 0 && this.bidirectionalReadExpectedDataTransferLength !== 0) return INVALID_DIRECTION;
    }
    if (direction === FLAGS_DIRECTION && this.findAhs(AHS_TYPE_BIDIRECTIONAL_READ_LENGTH) === 0) {
      return INVALID_BIDIRECTIONAL_AHS_MISSING;
    }
    return VALID;
  }

  override describe(): string {
    const direction = `${this.read ? " R" : ""}${this.write ? " W" : ""}`;
    const bidirectional = this.bidirectionalReadExpectedDataTransferLength;
    let cdb = "";
    for (let index = 0; index < CDB_LENGTH; index++) {
      cdb += this.view
        .getUint8(this.cdbOffset + index)
        .toString(16)
        .padStart(2, "0");
    }
    return (
      `${this.describeCommon()}${direction} attr=${this.taskAttributes}${this.priority === 0 ? "" : ` pri=${this.priority}`} lun=${this.describeLun()}` +
      ` edtl=${this.expectedDataTransferLength}${bidirectional === 0 ? "" : ` bidirectionalReadEdtl=${bidirectional}`}` +
      ` ${this.describeNumbers()} cdb=${cdb}${this.cdbLength === CDB_LENGTH ? "" : ` cdbLength=${this.cdbLength}`}`
    );
  }

  /** End of all AHS, relative to the BHS; never past the buffer, whatever TotalAHSLength claims. */
  private ahsEnd(): number {
    return Math.min(this.headerLength, this.view.byteLength - this.offset);
  }

  /** Position, relative to the BHS, of the first AHS of `type`; 0 if there is none. */
  private findAhs(type: number): number {
    if (this.totalAHSLength === 0) return 0;
    const end = this.ahsEnd();
    let position = BHS_LENGTH;
    while (position + AHS_HEADER_LENGTH <= end) {
      if (this.ahsTypeAt(position) === type) return position;
      position += this.ahsLengthAt(position);
    }
    return 0;
  }

  private invalidAhs(): number {
    const end = this.ahsEnd();
    if (end !== this.headerLength) return INVALID_AHS_OVERRUN;
    let position = BHS_LENGTH;
    while (position < end) {
      const type = this.ahsTypeAt(position);
      const length = this.view.getUint16(this.offset + position);
      if (type === AHS_TYPE_EXTENDED_CDB) {
        if (length < AHS_EXTENDED_CDB_LENGTH_MIN) return INVALID_AHS_LENGTH;
      } else if (type === AHS_TYPE_BIDIRECTIONAL_READ_LENGTH) {
        if (length !== AHS_BIDIRECTIONAL_READ_LENGTH) return INVALID_AHS_LENGTH;
      } else {
        return INVALID_AHS_TYPE;
      }
      position += this.ahsLengthAt(position);
    }
    return position === end ? VALID : INVALID_AHS_OVERRUN;
  }

  private ahsTypeAt(position: number): number {
    return this.view.getUint8(this.offset + position + 2) & AHS_TYPE_MASK;
  }

  /** Bytes to the next AHS; at least 4, so that a walk always ends. */
  private ahsLengthAt(position: number): number {
    return paddedLength(AHS_UNCOUNTED_LENGTH + this.view.getUint16(this.offset + position));
  }

  /** Returns where in `view` the new AHS begins. */
  private appendAhs(type: number, ahsLength: number): number {
    const begin = this.offset + this.headerLength;
    const length = paddedLength(AHS_UNCOUNTED_LENGTH + ahsLength);
    const words = this.totalAHSLength + length / 4;
    if (words > 0xff) throw new RangeError(`TotalAHSLength ${words}`);
    for (let position = begin; position < begin + length; position += 4) this.view.setUint32(position, 0);
    this.view.setUint16(begin, ahsLength);
    this.view.setUint8(begin + 2, type);
    this.totalAHSLength = words;
    return begin;
  }
}
