/**
 * Data segment of a SCSI Response (RFC 7143 section 11.4.7) and of an Asynchronous Message (section 11.9.4).
 *
 *             0               1               2               3
 *      0 | SenseLength                   | sense data ...
 *      x | sense data, SenseLength bytes in all
 *      y | response data, or iSCSI event data, to the end of the data segment
 *
 * The two parts follow each other without padding between them.
 */

import { INVALID_SENSE_LENGTH, VALID } from "./invalid.js";

/** Bytes of the SenseLength field in front of the sense data. */
export const SENSE_LENGTH_LENGTH = 2;

/** Movable view of such a data segment. A segment of length 0 is legal and has neither part. */
export class SenseDataSegment {
  view: DataView;
  offset: number;
  /** DataSegmentLength of the PDU. */
  byteLength: number;

  constructor(view: DataView, offset = 0, byteLength = 0) {
    this.view = view;
    this.offset = offset;
    this.byteLength = byteLength;
  }

  at(offset: number, byteLength: number): this {
    this.offset = offset;
    this.byteLength = byteLength;
    return this;
  }

  attach(view: DataView, offset: number, byteLength: number): this {
    this.view = view;
    return this.at(offset, byteLength);
  }

  /** In bytes; 0 if the segment is too short to say. */
  get senseLength(): number {
    return this.byteLength < SENSE_LENGTH_LENGTH ? 0 : this.view.getUint16(this.offset);
  }
  set senseLength(byteLength: number) {
    this.view.setUint16(this.offset, byteLength);
  }

  /** Where in `view` the sense data begins. */
  get senseOffset(): number {
    return this.offset + SENSE_LENGTH_LENGTH;
  }

  /** Where in `view` the response data or event data begins. */
  get responseDataOffset(): number {
    return this.senseOffset + this.senseLength;
  }

  /** In bytes; negative if `invalid()`. */
  get responseDataLength(): number {
    return this.byteLength === 0 ? 0 : this.byteLength - SENSE_LENGTH_LENGTH - this.senseLength;
  }

  /** VALID, or INVALID_SENSE_LENGTH where the segment ends before its sense data does. */
  invalid(): number {
    return this.responseDataLength < 0 ? INVALID_SENSE_LENGTH : VALID;
  }
}
