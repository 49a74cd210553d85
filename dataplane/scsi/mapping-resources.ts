/**
 * LBA mapping resources (SBC-4): the space that a unit's blocks are mapped to. Of a unit on a regular file they are the blocks
 * of its file system. They are counted in threshold sets of 1 MiB, so that 32 bits reach to 4 PiB.
 */
import type { UnitRecord } from "../messages.js";

export const THRESHOLD_SET_BYTES_LOG2 = 20;
export const THRESHOLD_SET_BYTES = 2 ** THRESHOLD_SET_BYTES_LOG2;
export const THRESHOLD_COUNT_MAX = 0xffff_ffff;
/** Of the threshold descriptor in the Logical Block Provisioning mode page. */
export const THRESHOLD_DESCRIPTOR_BYTE = 16;

/** Whether it can be told how many there are: not of a device, nor of a unit that is no thinner than its file. */
export function hasMappingResources({ kind, thin }: Pick<UnitRecord, "kind" | "thin">): boolean {
  return kind === "file" && thin;
}

/** THRESHOLD EXPONENT of VPD page B2h: log2 of the logical blocks in a threshold set. */
export function thresholdExponent({ blockShift }: { readonly blockShift: number }): number {
  return THRESHOLD_SET_BYTES_LOG2 - blockShift;
}
