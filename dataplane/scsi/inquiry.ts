/**
 * INQUIRY: standard data and vital product data (SPC-5; pages B0 to B2 are SBC-4's).
 *
 * What identifies a unit (pages 80 and 83) comes from its UUID alone, so that it outlives restarts and renames and is the
 * same through every target and shard.
 */
import type { LogicalUnit } from "../storage/logical-unit.js";
import type { Task } from "../task/task.js";
import {
  ALLOCATION_BYTES,
  atomicLimits,
  compareAndWriteBlocksMax,
  TRANSFER_BYTES_MAX,
  TRANSFER_BYTES_OPTIMAL,
  UNMAP_BLOCKS_UNLIMITED,
  UNMAP_DESCRIPTORS_MAX,
  WRITE_SAME_BYTES_MAX,
} from "./block-limits.js";
import type { Services } from "./command.js";
import { beginControlled } from "./control-command.js";
import { fillExtendedInquiryData, fillModePagePolicy } from "./inquiry-extended.js";
import { thresholdExponent } from "./mapping-resources.js";
import { relativePortOf } from "./relative-port.js";
import { invalidFieldInCdb } from "./sense.js";
import { thirdPartyCopyPage } from "./third-party-copy.js";
import { setUint64 } from "./uint64.js";
import { NAA_BYTES, naaOf } from "./unit-name.js";
import { isWellKnownUnit } from "./well-known.js";

/** T10 VENDOR IDENTIFICATION, PRODUCT IDENTIFICATION and PRODUCT REVISION LEVEL; padded with spaces to 8, 16 and 4 bytes. */
export const VENDOR_IDENTIFICATION = "RINGLUN ";
export const PRODUCT_IDENTIFICATION = "Virtual Disk    ";
export const PRODUCT_REVISION_LEVEL = "0001";

// CDB
const FLAGS_BYTE = 1;
const FLAG_EVPD = 0x01;
const PAGE_BYTE = 2;
const ALLOCATION_LENGTH = 3;

/** PERIPHERAL QUALIFIER 000b, a unit is connected; PERIPHERAL DEVICE TYPE 00h, direct access block device. */
const PERIPHERAL_BLOCK_DEVICE = 0x00;
/** 000b; 1Eh, well-known logical unit. */
const PERIPHERAL_WELL_KNOWN = 0x1e;
/** 011b and 1Fh: the target is not capable of having a unit at this LUN. */
const PERIPHERAL_NONE = 0x7f;

// -- standard data

const STANDARD_BYTES = 96;
const RMB = 0x80;
/** VERSION: SPC-4. It goes with the version descriptors. */
const VERSION_SPC_4 = 0x06;
/** TPGS: asymmetric access states change by themselves and by SET TARGET PORT GROUPS. */
const TPGS_IMPLICIT_AND_EXPLICIT = 0x30;
const HISUP = 0x10;
const RESPONSE_DATA_FORMAT = 0x02;
/** 3PC. */
const THIRD_PARTY_COPY = 0x08;
const CMDQUE = 0x02;
const VERSION_DESCRIPTORS_OFFSET = 58;
/** SAM-5, iSCSI, SPC-4, SPC-5, SBC-3, SBC-4 (each: no version claimed). The older ones are what older hosts look for. */
const VERSION_DESCRIPTORS: readonly number[] = [0x00a0, 0x0960, 0x0460, 0x05c0, 0x04c0, 0x0600];

// -- vital product data

const VPD_HEADER_BYTES = 4;
const VPD_BYTES_MAX = 1024;

interface VpdPage {
  readonly code: number;
  /**
   * Stores the page behind its header at `at`, which is zero, and returns its length without the header. Null: control
   * answers, as it is about what only control knows.
   */
  readonly fill: ((task: Task, services: Services, unit: LogicalUnit, at: number) => number) | null;
}

export const VPD_MANAGEMENT_NETWORK_ADDRESSES = 0x85;
export const VPD_SCSI_PORTS = 0x88;

/** In ascending order: page 00 lists them so. */
const VPD_PAGES: readonly VpdPage[] = [
  { code: 0x00, fill: fillSupportedPages },
  { code: 0x80, fill: fillUnitSerialNumber },
  { code: 0x83, fill: fillDeviceIdentification },
  { code: VPD_MANAGEMENT_NETWORK_ADDRESSES, fill: null },
  { code: 0x86, fill: fillExtendedInquiryData },
  { code: 0x87, fill: fillModePagePolicy },
  { code: VPD_SCSI_PORTS, fill: null },
  { code: 0x8f, fill: fillThirdPartyCopy },
  { code: 0xb0, fill: fillBlockLimits },
  { code: 0xb1, fill: fillBlockDeviceCharacteristics },
  { code: 0xb2, fill: fillLogicalBlockProvisioning },
];

export function beginInquiry(task: Task, services: Services): void {
  const { bytes, view } = services;
  const pageCode = bytes[task.cdb + PAGE_BYTE]!;
  const allocationLength = view.getUint16(task.cdb + ALLOCATION_LENGTH);
  if ((bytes[task.cdb + FLAGS_BYTE]! & FLAG_EVPD) !== 0) {
    vitalProductData(task, services, pageCode, allocationLength);
    return;
  }
  if (pageCode !== 0) {
    invalidFieldInCdb(task, services, PAGE_BYTE);
    return;
  }
  const at = services.parameterBuffer(task, STANDARD_BYTES);
  if (at < 0) return;
  bytes[at] = peripheral(task);
  bytes[at + 1] = task.unit?.removable ? RMB : 0;
  bytes[at + 2] = VERSION_SPC_4;
  bytes[at + 3] = HISUP | RESPONSE_DATA_FORMAT;
  bytes[at + 4] = STANDARD_BYTES - 5;
  bytes[at + 5] = task.unit === null ? 0 : TPGS_IMPLICIT_AND_EXPLICIT | THIRD_PARTY_COPY;
  bytes[at + 7] = CMDQUE;
  putText(bytes, at + 8, VENDOR_IDENTIFICATION);
  putText(bytes, at + 16, PRODUCT_IDENTIFICATION);
  putText(bytes, at + 32, PRODUCT_REVISION_LEVEL);
  for (const [i, descriptor] of VERSION_DESCRIPTORS.entries()) {
    view.setUint16(at + VERSION_DESCRIPTORS_OFFSET + 2 * i, descriptor);
  }
  services.reply(task, STANDARD_BYTES, allocationLength);
}

function peripheral(task: Task): number {
  if (task.unit !== null) return PERIPHERAL_BLOCK_DEVICE;
  return isWellKnownUnit(task) ? PERIPHERAL_WELL_KNOWN : PERIPHERAL_NONE;
}

/** A LUN without a unit has no page: there is nothing that it could be about. */
function vitalProductData(task: Task, services: Services, pageCode: number, allocationLength: number): void {
  const { unit } = task;
  if (isWellKnownUnit(task)) {
    wellKnownProductData(task, services, pageCode, allocationLength);
    return;
  }
  const page = VPD_PAGES.find((candidate) => candidate.code === pageCode);
  if (page === undefined || unit === null) {
    invalidFieldInCdb(task, services, PAGE_BYTE);
    return;
  }
  if (page.fill === null) {
    beginControlled(task, services);
    return;
  }
  const at = services.parameterBuffer(task, VPD_BYTES_MAX);
  if (at < 0) return;
  const length = page.fill(task, services, unit, at + VPD_HEADER_BYTES);
  services.bytes[at] = PERIPHERAL_BLOCK_DEVICE;
  services.bytes[at + 1] = pageCode;
  services.view.setUint16(at + 2, length);
  services.reply(task, VPD_HEADER_BYTES + length, allocationLength);
}

/** Of the well-known unit: what every unit must have. It is the target that page 83 names, and the port. */
const WELL_KNOWN_PAGES: readonly number[] = [0x00, 0x83];

function wellKnownProductData(task: Task, services: Services, pageCode: number, allocationLength: number): void {
  if (!WELL_KNOWN_PAGES.includes(pageCode)) {
    invalidFieldInCdb(task, services, PAGE_BYTE);
    return;
  }
  const start = services.parameterBuffer(task, VPD_BYTES_MAX);
  if (start < 0) return;
  const { bytes, view } = services;
  let at = start + VPD_HEADER_BYTES;
  if (pageCode === 0) for (const code of WELL_KNOWN_PAGES) bytes[at++] = code;
  else at = putPortAndTargetDesignators(task, services, at);
  bytes[start] = PERIPHERAL_WELL_KNOWN;
  bytes[start + 1] = pageCode;
  view.setUint16(start + 2, at - start - VPD_HEADER_BYTES);
  services.reply(task, at - start, allocationLength);
}

function fillSupportedPages(_task: Task, services: Services, _unit: LogicalUnit, at: number): number {
  for (const [i, page] of VPD_PAGES.entries()) services.bytes[at + i] = page.code;
  return VPD_PAGES.length;
}

function fillUnitSerialNumber(_task: Task, services: Services, unit: LogicalUnit, at: number): number {
  return putText(services.bytes, at, unit.uuid);
}

// -- page 83: designators

const CODE_SET_BINARY = 1;
const CODE_SET_ASCII = 2;
const CODE_SET_UTF_8 = 3;

const ASSOCIATION_UNIT = 0x00;
const ASSOCIATION_PORT = 0x10;
const ASSOCIATION_TARGET = 0x20;
/** PIV: the PROTOCOL IDENTIFIER in byte 0 is valid. */
const PIV = 0x80;
const PROTOCOL_ISCSI = 0x50;

const DESIGNATOR_T10 = 1;
const DESIGNATOR_NAA = 3;
const DESIGNATOR_RELATIVE_PORT = 4;
const DESIGNATOR_PORT_GROUP = 5;
const DESIGNATOR_SCSI_NAME = 8;

const DESIGNATOR_HEADER_BYTES = 4;

function fillDeviceIdentification(task: Task, services: Services, unit: LogicalUnit, start: number): number {
  const { bytes } = services;
  let at = start;

  const naa = at + DESIGNATOR_HEADER_BYTES;
  bytes.set(naaOf(unit.uuid), naa);
  at = endDesignator(bytes, at, CODE_SET_BINARY, ASSOCIATION_UNIT | DESIGNATOR_NAA, NAA_BYTES);

  const t10 = putText(bytes, at + DESIGNATOR_HEADER_BYTES, VENDOR_IDENTIFICATION + unit.uuid);
  at = endDesignator(bytes, at, CODE_SET_ASCII, ASSOCIATION_UNIT | DESIGNATOR_T10, t10);

  return putPortAndTargetDesignators(task, services, at) - start;
}

/** Returns where the next designator would start. */
function putPortAndTargetDesignators(task: Task, services: Services, start: number): number {
  const { bytes, view } = services;
  const { targetName, targetPortalGroupTag } = task.session!;
  let at = start;

  view.setUint16(at + DESIGNATOR_HEADER_BYTES + 2, relativePortOf(targetPortalGroupTag));
  at = endDesignator(bytes, at, CODE_SET_BINARY, ASSOCIATION_PORT | DESIGNATOR_RELATIVE_PORT, 4);

  // The portal group is the SCSI port (RFC 7143 section 4.4.2), so its tag numbers the target port group of this one port.
  view.setUint16(at + DESIGNATOR_HEADER_BYTES + 2, targetPortalGroupTag);
  at = endDesignator(bytes, at, CODE_SET_BINARY, ASSOCIATION_PORT | DESIGNATOR_PORT_GROUP, 4);

  at = putPortNameDesignator(bytes, at, targetName, targetPortalGroupTag);

  const target = putName(bytes, at + DESIGNATOR_HEADER_BYTES, targetName);
  return endDesignator(bytes, at, CODE_SET_UTF_8, ASSOCIATION_TARGET | DESIGNATOR_SCSI_NAME, target);
}

/** An iSCSI name of 223 bytes, the tag, a NUL, padding. */
export const DESIGNATOR_BYTES_MAX = DESIGNATOR_HEADER_BYTES + 236;

/** The name of a target port (RFC 7143 section 4.4.2). Returns where the next designator starts; the memory is zero before. */
export function putPortNameDesignator(bytes: Uint8Array, at: number, targetName: string, tag: number): number {
  const name = `${targetName},t,0x${tag.toString(16).padStart(4, "0")}`;
  const length = putName(bytes, at + DESIGNATOR_HEADER_BYTES, name);
  return endDesignator(bytes, at, CODE_SET_UTF_8, ASSOCIATION_PORT | DESIGNATOR_SCSI_NAME, length);
}

/** Writes the header before a designator of `length` bytes and returns where the next one starts. */
function endDesignator(bytes: Uint8Array, at: number, codeSet: number, kind: number, length: number): number {
  const isOfUnit = (kind & (ASSOCIATION_PORT | ASSOCIATION_TARGET)) === 0;
  bytes[at] = isOfUnit ? codeSet : PROTOCOL_ISCSI | codeSet;
  bytes[at + 1] = isOfUnit ? kind : PIV | kind;
  bytes[at + 3] = length;
  return at + DESIGNATOR_HEADER_BYTES + length;
}

/** Returns the number of bytes. ASCII only. */
function putText(bytes: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
  return text.length;
}

/** A SCSI name string: UTF-8, ended by NUL, padded with NULs to a multiple of four. The memory is zero already. */
function putName(bytes: Uint8Array, at: number, name: string): number {
  const utf8 = new TextEncoder().encode(name);
  bytes.set(utf8, at);
  return (utf8.length + 4) & ~3;
}

function fillThirdPartyCopy(_task: Task, services: Services, unit: LogicalUnit, at: number): number {
  const page = thirdPartyCopyPage(unit.blockLengthBytes);
  services.bytes.set(page, at);
  return page.length;
}

// -- block device pages. Offsets are those of the standard, less the header.

const B0_BYTES = 60;
const UGAVALID = 0x8000_0000;

function fillBlockLimits(_task: Task, services: Services, unit: LogicalUnit, at: number): number {
  const { view } = services;
  const { blockShift } = unit;
  const page = at - VPD_HEADER_BYTES;
  const allocationBlocks = ALLOCATION_BYTES >>> blockShift;
  view.setUint16(page + 6, allocationBlocks); // OPTIMAL TRANSFER LENGTH GRANULARITY
  view.setUint32(page + 8, TRANSFER_BYTES_MAX >>> blockShift); // MAXIMUM TRANSFER LENGTH
  view.setUint32(page + 12, TRANSFER_BYTES_OPTIMAL >>> blockShift); // OPTIMAL TRANSFER LENGTH
  view.setUint32(page + 16, TRANSFER_BYTES_MAX >>> blockShift); // MAXIMUM PREFETCH LENGTH
  if (unit.thin) {
    view.setUint32(page + 20, UNMAP_BLOCKS_UNLIMITED); // MAXIMUM UNMAP LBA COUNT
    view.setUint32(page + 24, UNMAP_DESCRIPTORS_MAX); // MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT
    // A granularity of one block goes without saying (0: not reported). Said of 4096-byte blocks, it makes qemu (7.2)
    // keep an allocation map whose requests are multiples of 512 bytes, and abort at the first large read.
    if (allocationBlocks > 1) {
      view.setUint32(page + 28, allocationBlocks); // OPTIMAL UNMAP GRANULARITY
      view.setUint32(page + 32, UGAVALID); // UNMAP GRANULARITY ALIGNMENT: 0
    }
  }
  view.setUint8(page + 5, compareAndWriteBlocksMax(unit)); // MAXIMUM COMPARE AND WRITE LENGTH
  const { granularity, blocksMax } = atomicLimits(unit);
  view.setUint32(page + 44, blocksMax); // MAXIMUM ATOMIC TRANSFER LENGTH
  view.setUint32(page + 48, granularity); // ATOMIC ALIGNMENT
  view.setUint32(page + 52, granularity); // ATOMIC TRANSFER LENGTH GRANULARITY
  setUint64(view, page + 36, WRITE_SAME_BYTES_MAX / unit.blockLengthBytes); // MAXIMUM WRITE SAME LENGTH
  return B0_BYTES;
}

const B1_BYTES = 60;
const MEDIUM_ROTATION_RATE_NONE = 0x0001;
/** Blocks can be read after SANITIZE BLOCK ERASE and CRYPTOGRAPHIC ERASE without having been written. */
const WABEREQ_NONE = 0x40;
const WACEREQ_NONE = 0x10;
/** VERIFY with BYTCHK compares unmapped blocks too: as the zeroes that they read as. */
const VBULS = 0x01;

function fillBlockDeviceCharacteristics(_task: Task, services: Services, _unit: LogicalUnit, at: number): number {
  const page = at - VPD_HEADER_BYTES;
  services.view.setUint16(page + 4, MEDIUM_ROTATION_RATE_NONE);
  services.bytes[page + 7] = WABEREQ_NONE | WACEREQ_NONE;
  services.bytes[page + 8] = VBULS;
  return B1_BYTES;
}

const B2_BYTES = 4;
const LBPU = 0x80;
const LBPWS = 0x40;
const LBPWS10 = 0x20;
const LBPRZ = 0x04;
const PROVISIONING_TYPE_THIN = 0x02;

function fillLogicalBlockProvisioning(_task: Task, services: Services, unit: LogicalUnit, at: number): number {
  const page = at - VPD_HEADER_BYTES;
  if (unit.hasMappingResources) services.bytes[page + 4] = thresholdExponent(unit);
  if (unit.thin) {
    services.bytes[page + 5] = LBPU | LBPWS | LBPWS10 | LBPRZ;
    services.bytes[page + 6] = PROVISIONING_TYPE_THIN;
  }
  return B2_BYTES;
}
