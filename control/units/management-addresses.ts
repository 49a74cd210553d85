/** Management Network Addresses, VPD page 85h (SPC-5): where the HTTP API of this target is reached. Asked for seldom, and known to control alone. */

import type { ScsiAnswer } from "../../dataplane/messages.js";
import { VPD_MANAGEMENT_NETWORK_ADDRESSES } from "../../dataplane/scsi/inquiry.js";
import { formatPortalAddress, isWildcard } from "../config/portal-address.js";
import type { HttpAddress } from "../http/http-server.js";
import { dataAnswer } from "./answers.js";
import type { SlowCommand } from "./slow-commands.js";

export const OPCODE_INQUIRY = 0x12;

const ALLOCATION_LENGTH_BYTE = 3;
const HEADER_BYTES = 4;
const DESCRIPTOR_HEADER_BYTES = 4;
/** ASSOCIATION 10b, the target device; SERVICE TYPE 03h, status. */
const STATUS_OF_TARGET_DEVICE = 0x43;
const STATUS_PATH = "/api/v1/status";

/** INQUIRY with this page. `http`: where it listens, if it does. */
export function answerManagementAddresses(
  { cdb, session }: Pick<SlowCommand, "cdb" | "session">,
  http: HttpAddress | undefined,
): ScsiAnswer {
  const [connection] = session.connections.values();
  const page = managementAddressesPage(http, connection?.details.localHost ?? "");
  return dataAnswer(page, (cdb[ALLOCATION_LENGTH_BYTE]! << 8) | cdb[ALLOCATION_LENGTH_BYTE + 1]!);
}

/**
 * `localHost`: the address by which the initiator has reached us, for HTTP that listens on all of them.
 *
 *     header      0 peripheral    1 page code    2-3 length of what follows
 *     descriptor  0 ASSOCIATION (6-5), SERVICE TYPE (4-0)    2-3 NETWORK ADDRESS LENGTH    4- URL, ended by NUL, padded with NULs
 */
export function managementAddressesPage(http: HttpAddress | undefined, localHost: string): Uint8Array {
  const descriptor = http === undefined ? new Uint8Array() : statusDescriptor(http, localHost);
  const page = Buffer.alloc(HEADER_BYTES + descriptor.length);
  page[1] = VPD_MANAGEMENT_NETWORK_ADDRESSES;
  page.writeUInt16BE(descriptor.length, 2);
  page.set(descriptor, HEADER_BYTES);
  return page;
}

function statusDescriptor(http: HttpAddress, localHost: string): Uint8Array {
  const host = isWildcard(http) && localHost !== "" ? localHost : http.host;
  const url = Buffer.from(`${http.scheme}://${formatPortalAddress({ host, port: http.port })}${STATUS_PATH}`);
  const descriptor = Buffer.alloc(DESCRIPTOR_HEADER_BYTES + ((url.length + 4) & ~3));
  descriptor[0] = STATUS_OF_TARGET_DEVICE;
  descriptor.writeUInt16BE(descriptor.length - DESCRIPTOR_HEADER_BYTES, 2);
  descriptor.set(url, DESCRIPTOR_HEADER_BYTES);
  return descriptor;
}
