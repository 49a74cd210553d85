/** Vital product data page 88h, SCSI Ports (SPC-5): the ports of the session's target, one for each of its portal groups. */

import type { ScsiAnswer } from "../../dataplane/messages.js";
import { DESIGNATOR_BYTES_MAX, putPortNameDesignator, VPD_SCSI_PORTS } from "../../dataplane/scsi/inquiry.js";
import { relativePortOf } from "../../dataplane/scsi/relative-port.js";
import { dataAnswer } from "./answers.js";
import type { SlowCommand } from "./slow-commands.js";

const ALLOCATION_LENGTH_BYTE = 3;
const HEADER_BYTES = 4;
const LENGTH_OFFSET = 2;
/** What PAGE LENGTH can say. */
const PAGE_BYTES_MAX = HEADER_BYTES + 0xffff;
/** 2-3 RELATIVE PORT IDENTIFIER    6-7 INITIATOR PORT TRANSPORTID LENGTH: 0    10-11 TARGET PORT DESCRIPTORS LENGTH */
const PORT_BYTES = 12;
const RELATIVE_PORT_OFFSET = 2;
const DESCRIPTORS_LENGTH_OFFSET = 10;

/** INQUIRY with this page. `targetPorts`: tags of all portal groups of the session's target. */
export function answerScsiPorts(
  { cdb, session }: Pick<SlowCommand, "cdb" | "session">,
  targetPorts: readonly number[],
): ScsiAnswer {
  const { targetName, portalGroup } = session.identity;
  // Its own is a port for as long as it is there, whatever the configuration says meanwhile.
  const tags = new Set([...targetPorts, Number(portalGroup)]);
  const page = scsiPortsPage(
    targetName,
    [...tags].sort((a, b) => a - b),
  );
  return dataAnswer(page, (cdb[ALLOCATION_LENGTH_BYTE]! << 8) | cdb[ALLOCATION_LENGTH_BYTE + 1]!);
}

/** Whole; ports for which there is no room in a page are left out. `tags` of the target's portal groups. */
export function scsiPortsPage(targetName: string, tags: readonly number[]): Uint8Array {
  const page = Buffer.alloc(PAGE_BYTES_MAX);
  let at = HEADER_BYTES;
  for (const tag of tags) {
    const descriptors = at + PORT_BYTES;
    if (descriptors + DESIGNATOR_BYTES_MAX > page.length) break;
    const end = putPortNameDesignator(page, descriptors, targetName, tag);
    page.writeUInt16BE(relativePortOf(tag), at + RELATIVE_PORT_OFFSET);
    page.writeUInt16BE(end - descriptors, at + DESCRIPTORS_LENGTH_OFFSET);
    at = end;
  }
  page[1] = VPD_SCSI_PORTS;
  page.writeUInt16BE(at - HEADER_BYTES, LENGTH_OFFSET);
  return page.subarray(0, at);
}
