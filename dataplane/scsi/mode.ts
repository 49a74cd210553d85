/** MODE SENSE (SPC-5; the block descriptors and the Caching page are SBC-4's). What MODE SELECT changes, control keeps. */
import type { ModeValues } from "../messages.js";
import type { LogicalUnit } from "../storage/logical-unit.js";
import type { Task } from "../task/task.js";
import type { Services } from "./command.js";
import { THRESHOLD_DESCRIPTOR_BYTE } from "./mapping-resources.js";
import { invalidFieldInCdb, MEDIUM_NOT_PRESENT } from "./sense.js";
import { setUint64 } from "./uint64.js";

// CDB
const FLAGS_BYTE = 1;
const FLAG_DBD = 0x08;
const FLAG_LLBAA = 0x10;
const PAGE_BYTE = 2;
const PAGE_CONTROL_SHIFT = 6;
const PAGE_CODE_MASK = 0x3f;
const SUBPAGE_BYTE = 3;
const PAGE_CODE_BIT = 5;

const PAGE_CONTROL_CURRENT = 0;
const PAGE_CONTROL_CHANGEABLE = 1;
const PAGE_CONTROL_DEFAULT = 2;

const ALL_PAGES = 0x3f;
const ALL_SUBPAGES = 0xff;
const DURING_SANITIZE: readonly number[] = [0x08, 0x0a, 0x1c];

const HEADER_6_BYTES = 4;
const HEADER_10_BYTES = 8;
const SHORT_DESCRIPTOR_BYTES = 8;
const LONG_DESCRIPTOR_BYTES = 16;

// DEVICE-SPECIFIC PARAMETER of a block device
const WP = 0x80;
const DPOFUA = 0x10;
/** In the header of MODE SENSE (10): the block descriptor is a long one. */
const LONGLBA = 0x01;

/** Subpage format: the page header has a subpage code and a 16-bit length. */
export const SPF = 0x40;
const PS = 0x80;

const BUFFER_BYTES = 512;

type FlagName = { [Name in keyof ModeValues]: ModeValues[Name] extends boolean ? Name : never }[keyof ModeValues];

/** A bit of a page that follows what MODE SELECT can change. */
interface ChangeableBit {
  readonly byte: number;
  readonly bit: number;
  readonly value: FlagName;
}

/** A 32-bit field of a page that MODE SELECT can change. */
interface ChangeableNumber {
  readonly byte: number;
  readonly value: Exclude<keyof ModeValues, FlagName>;
}

export interface ModePage {
  readonly code: number;
  readonly subpage: number;
  /** With its header. */
  readonly length: number;
  /** Bytes that are not zero and never change, but for the header: offset and value. */
  readonly fixed: readonly (readonly [byte: number, value: number])[];
  readonly changeable: readonly ChangeableBit[];
  readonly numbers?: readonly ChangeableNumber[];
  /** Only units have it that can tell how much space there is for them (scsi/mapping-resources.ts). */
  readonly ofMappingResources?: true;
}

/** Available LBA Mapping Resource Count, as the log parameter is numbered. */
const THRESHOLD_RESOURCE_AVAILABLE = 0x01;

/** In ascending order of page and subpage code, which is the order of page 3Fh. */
const MODE_PAGES: readonly ModePage[] = [
  {
    // Read-Write Error Recovery: the storage beneath recovers what it can by itself. LBPERE follows the threshold.
    code: 0x01,
    subpage: 0,
    length: 12,
    fixed: [],
    changeable: [{ byte: 7, bit: 0x80, value: "thresholdReports" }],
    ofMappingResources: true,
  },
  {
    // Caching. Without WCE, each write is durable before its status.
    code: 0x08,
    subpage: 0,
    length: 20,
    fixed: [],
    changeable: [{ byte: 2, bit: 0x04, value: "writeCacheEnabled" }],
  },
  {
    // Control: TST=001b, every I_T nexus has a task set of its own; QERR=0, TAS=0; GLTSD=1 (no log parameter is saved by
    // itself), and QUEUE ALGORITHM MODIFIER 1: SIMPLE tasks run side by side and end in any order.
    code: 0x0a,
    subpage: 0,
    length: 12,
    fixed: [
      [2, 0x22],
      [3, 0x10],
    ],
    changeable: [
      { byte: 2, bit: 0x04, value: "descriptorSense" },
      { byte: 4, bit: 0x08, value: "softwareWriteProtect" },
    ],
  },
  // Control Extension: TCMOS=1 and SCSIP=1, the clock is the machine's until SET TIMESTAMP sets it; IALUAE=0.
  { code: 0x0a, subpage: 0x01, length: 32, fixed: [[4, 0x06]], changeable: [] },
  // Power Condition: no timer runs.
  { code: 0x1a, subpage: 0, length: 40, fixed: [], changeable: [] },
  // Informational Exceptions Control: DEXCPT=1, none is reported.
  { code: 0x1c, subpage: 0, length: 12, fixed: [[2, 0x08]], changeable: [] },
  {
    // Logical Block Provisioning: SITUA=0, every nexus is told. One threshold: soft, armed decreasing (both 0).
    code: 0x1c,
    subpage: 0x02,
    length: 24,
    fixed: [[THRESHOLD_DESCRIPTOR_BYTE + 1, THRESHOLD_RESOURCE_AVAILABLE]],
    changeable: [{ byte: THRESHOLD_DESCRIPTOR_BYTE, bit: 0x80, value: "thresholdEnabled" }],
    numbers: [{ byte: THRESHOLD_DESCRIPTOR_BYTE + 4, value: "thresholdCount" }],
    ofMappingResources: true,
  },
];
const COMMON_MODE_PAGES = MODE_PAGES.filter(({ ofMappingResources }) => ofMappingResources === undefined);

/** Those that a unit has. */
export function modePagesOf({ hasMappingResources }: { readonly hasMappingResources: boolean }): readonly ModePage[] {
  return hasMappingResources ? MODE_PAGES : COMMON_MODE_PAGES;
}

/** Bytes in front of a page's parameters. */
export function modePageHeaderBytes({ subpage }: ModePage): number {
  return subpage === 0 ? 2 : 4;
}

/** Writes a page with its header. `modes` null: the mask of what can be changed. The memory is zero already. */
export function putModePage(bytes: Uint8Array, at: number, page: ModePage, modes: ModeValues | null): void {
  const length = page.length - modePageHeaderBytes(page);
  // PS: the page can be saved.
  bytes[at] = PS | page.code | (page.subpage === 0 ? 0 : SPF);
  if (page.subpage === 0) {
    bytes[at + 1] = length;
  } else {
    bytes[at + 1] = page.subpage;
    bytes[at + 2] = length >>> 8;
    bytes[at + 3] = length & 0xff;
  }
  if (modes !== null) for (const [byte, value] of page.fixed) bytes[at + byte] = value;
  for (const { byte, bit, value } of page.changeable) if (modes === null || modes[value]) bytes[at + byte]! |= bit;
  for (const { byte, value } of page.numbers ?? []) {
    const number = modes === null ? 0xffff_ffff : modes[value];
    for (let i = 0; i < 4; i++) bytes[at + byte + i] = number >>> (24 - 8 * i);
  }
}

/*
 *   header (6):    0 MODE DATA LENGTH    1 medium type    2 device-specific    3 BLOCK DESCRIPTOR LENGTH
 *   header (10):   0-1 MODE DATA LENGTH  2 medium type    3 device-specific    4 LONGLBA    6-7 BLOCK DESCRIPTOR LENGTH
 */
export function beginModeSense6(task: Task, services: Services): void {
  const at = modeSense(task, services, HEADER_6_BYTES, false);
  if (at < 0) return;
  const { bytes } = services;
  const length = task.parameterLength;
  bytes[at] = length - 1;
  bytes[at + 2] = deviceSpecific(task);
  bytes[at + 3] = blockDescriptorBytes(task, services, false);
  services.reply(task, length, bytes[task.cdb + 4]!);
}

export function beginModeSense10(task: Task, services: Services): void {
  const { bytes, view } = services;
  const longLba = (bytes[task.cdb + FLAGS_BYTE]! & FLAG_LLBAA) !== 0;
  const at = modeSense(task, services, HEADER_10_BYTES, longLba);
  if (at < 0) return;
  const length = task.parameterLength;
  const descriptorBytes = blockDescriptorBytes(task, services, longLba);
  view.setUint16(at, length - 2);
  bytes[at + 3] = deviceSpecific(task);
  bytes[at + 4] = descriptorBytes === LONG_DESCRIPTOR_BYTES ? LONGLBA : 0;
  view.setUint16(at + 6, descriptorBytes);
  services.reply(task, length, view.getUint16(task.cdb + 7));
}

/** Informational Exceptions Control, Caching and Control may be asked for while the unit is sanitized (SBC-4): one at a time. */
export function isModePageAllowedDuringSanitize({ cdb }: Task, { bytes }: Services): boolean {
  return DURING_SANITIZE.includes(bytes[cdb + PAGE_BYTE]! & PAGE_CODE_MASK) && bytes[cdb + SUBPAGE_BYTE] === 0;
}

function deviceSpecific(task: Task): number {
  return (task.readOnly || task.unit!.softwareWriteProtect ? WP : 0) | DPOFUA;
}

function blockDescriptorBytes(task: Task, services: Services, longLba: boolean): number {
  if ((services.bytes[task.cdb + FLAGS_BYTE]! & FLAG_DBD) !== 0) return 0;
  return longLba ? LONG_DESCRIPTOR_BYTES : SHORT_DESCRIPTOR_BYTES;
}

/**
 * Builds all behind the header. Returns the parameter buffer, with the length of everything in task.parameterLength, or -1:
 * the command is ended, or waits for a buffer.
 */
function modeSense(task: Task, services: Services, headerBytes: number, longLba: boolean): number {
  const { bytes, view } = services;
  const unit = task.unit!;
  const control = bytes[task.cdb + PAGE_BYTE]! >>> PAGE_CONTROL_SHIFT;
  const code = bytes[task.cdb + PAGE_BYTE]! & PAGE_CODE_MASK;
  const subpage = bytes[task.cdb + SUBPAGE_BYTE]!;
  const pages = modePagesOf(unit);
  if (!pages.some((page) => code === ALL_PAGES || page.code === code)) {
    invalidFieldInCdb(task, services, PAGE_BYTE, PAGE_CODE_BIT);
    return -1;
  }
  if (!pages.some((page) => isAsked(page, code, subpage))) {
    invalidFieldInCdb(task, services, SUBPAGE_BYTE);
    return -1;
  }
  const start = services.parameterBuffer(task, BUFFER_BYTES);
  if (start < 0) return -1;
  let at = start + headerBytes;
  const descriptorBytes = blockDescriptorBytes(task, services, longLba);
  if (descriptorBytes === SHORT_DESCRIPTOR_BYTES) {
    view.setUint32(at, Math.min(blocksOf(unit), 0xffff_ffff));
    // Byte 4 is reserved, the block length has 24 bits: ours stands in the lower ones.
    view.setUint32(at + 4, unit.blockLengthBytes);
  } else if (descriptorBytes === LONG_DESCRIPTOR_BYTES) {
    setUint64(view, at, blocksOf(unit));
    view.setUint32(at + 12, unit.blockLengthBytes);
  }
  at += descriptorBytes;
  for (const page of pages) {
    if (!isAsked(page, code, subpage)) continue;
    putModePage(bytes, at, page, valuesOf(unit, control));
    at += page.length;
  }
  task.parameterLength = at - start;
  return start;
}

/** A medium that is out has no blocks. */
function blocksOf({ blocks, notReady }: LogicalUnit): number {
  return notReady?.asc === MEDIUM_NOT_PRESENT.asc ? 0 : blocks;
}

function valuesOf(unit: LogicalUnit, control: number): ModeValues | null {
  switch (control) {
    case PAGE_CONTROL_CURRENT:
      return unit;
    case PAGE_CONTROL_CHANGEABLE:
      return null;
    case PAGE_CONTROL_DEFAULT:
      return unit.defaultModes;
    default:
      return unit.savedModes;
  }
}

/** "3Fh: return all pages": those without a subpage, or all of them, but no one subpage of each. */
function isAsked(page: ModePage, code: number, subpage: number): boolean {
  if (code === ALL_PAGES && subpage !== 0 && subpage !== ALL_SUBPAGES) return false;
  return (code === ALL_PAGES || page.code === code) && (subpage === ALL_SUBPAGES || page.subpage === subpage);
}
