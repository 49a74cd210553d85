/**
 * RELATIVE TARGET PORT IDENTIFIERs (SPC-5). A portal group is a SCSI port (RFC 7143 section 4.4.2), numbered by its tag; but 0, which is a
 * tag like any other, is reserved among the identifiers. In its place stands the highest, which no other portal group may then have.
 */
export const RELATIVE_PORT_OF_TAG_0 = 0xffff;

export function relativePortOf(portalGroupTag: number): number {
  return portalGroupTag === 0 ? RELATIVE_PORT_OF_TAG_0 : portalGroupTag;
}

/** The tag, of these, of the port with this identifier. */
export function tagOfRelativePort(relativePort: number, portalGroupTags: readonly number[]): number | undefined {
  return portalGroupTags.find((tag) => relativePortOf(tag) === relativePort);
}
