/**
 * EXTENDED COPY: from a parameter list to the parts of a copy. What a segment refers to is looked up before the first one is
 * copied, so that a list that is wrong anywhere copies nothing.
 */

import type { ScsiAnswer, UnitRecord } from "../../../dataplane/messages.js";
import {
  COPY_ABORTED_WITHOUT_REASON,
  COPY_TARGET_DEVICE_NOT_REACHABLE,
  fieldInParameterList,
  fieldInSegmentDescriptor,
  INCORRECT_COPY_TARGET_DEVICE_TYPE,
  INVALID_FIELD_IN_PARAMETER_LIST,
  type Sense,
  THIRD_PARTY_DEVICE_FAILURE,
  UNEXPECTED_INEXACT_SEGMENT,
  UNREACHABLE_COPY_TARGET,
} from "../../../dataplane/scsi/sense.js";
import { CSCD_ID_OWN_UNIT } from "../../../dataplane/scsi/third-party-copy.js";
import type { Session } from "../../session-registry.js";
import type { CopyFailure, CopyPart } from "./copy-operation.js";
import {
  type Cscd,
  type ExtendedCopyList,
  SEGMENT_DESTINATION_ID,
  SEGMENT_DESTINATION_LBA,
  SEGMENT_SOURCE_ID,
  SEGMENT_SOURCE_LBA,
  type Segment,
} from "./extended-copy-list.js";
import { Refusal, refuse } from "./parameter-list.js";
import type { Reach, Reaches } from "./reach.js";
import { forwardedSense, isUnreachable } from "./sense-data.js";

const PERIPHERAL_BLOCK_DEVICE = 0x00;
const CODE_SET_BINARY = 0x1;
const ASSOCIATION_UNIT = 0x0;
const DESIGNATOR_NAA = 0x3;

type SenseAnswer = ScsiAnswer & { readonly kind: "sense" };

interface Endpoint {
  readonly reach: Reach;
  readonly unit: UnitRecord;
}

/**
 * COPY ABORTED in a segment, which COMMAND-SPECIFIC INFORMATION names. `pointer`, as Task.senseKeySpecific: to a field of its
 * descriptor, or to the CSCD descriptor of the unit that has failed, or is not there.
 */
function inSegment({ senseKey, asc, ascq }: Sense, segment: number, pointer?: number): SenseAnswer {
  const specific = pointer === undefined ? {} : { senseKeySpecific: pointer };
  return { kind: "sense", senseKey, asc, ascq, commandSpecificInformation: segment, ...specific };
}

function refuseSegment(sense: Sense, segment: number, field?: number): never {
  throw new Refusal(inSegment(sense, segment, field === undefined ? undefined : fieldInSegmentDescriptor(field)));
}

/** `own`: the unit that the command was sent to. @throws Refusal */
export function planExtendedCopy(list: ExtendedCopyList, session: Session, own: number, reaches: Reaches): CopyPart[] {
  const endpoints = list.cscds.map((cscd) => findEndpoint(cscd, session, reaches));
  const find = (id: number, segment: number, field: number): Endpoint => {
    const found = id === CSCD_ID_OWN_UNIT ? endpointOf(reaches.find(session, own), reaches) : endpoints[id];
    if (found === undefined) return refuseSegment(UNREACHABLE_COPY_TARGET, segment, field);
    if (!("reach" in found)) throw new Refusal(inSegment(found, segment, fieldInParameterList(list.cscds[id]!.at)));
    return found;
  };
  return list.segments.map((segment, number) => {
    const source = find(segment.sourceId, number, SEGMENT_SOURCE_ID);
    const destination = find(segment.destinationId, number, SEGMENT_DESTINATION_ID);
    return planSegment(segment, number, source, destination);
  });
}

/** Or how a segment that refers to it is refused: one that none refers to does no harm. */
function findEndpoint(cscd: Cscd, session: Session, reaches: Reaches): Endpoint | Sense {
  if (cscd.peripheralDeviceType !== PERIPHERAL_BLOCK_DEVICE) return INCORRECT_COPY_TARGET_DEVICE_TYPE;
  const { codeSet, association, designatorType, designator, blockLengthBytes } = cscd;
  const isNaa = codeSet === CODE_SET_BINARY && association === ASSOCIATION_UNIT && designatorType === DESIGNATOR_NAA;
  const found = endpointOf(isNaa ? reaches.findByName(session, designator) : undefined, reaches);
  if (found === undefined) return COPY_TARGET_DEVICE_NOT_REACHABLE;
  if (blockLengthBytes !== 0 && blockLengthBytes !== found.unit.blockLengthBytes) {
    refuse(INVALID_FIELD_IN_PARAMETER_LIST, fieldInParameterList(cscd.at + 29));
  }
  return found;
}

function endpointOf(reach: Reach | undefined, reaches: Reaches): Endpoint | undefined {
  const unit = reach && reaches.unit(reach);
  return reach && unit && { reach, unit };
}

/**
 * Between units of different block lengths as many bytes are copied as the blocks of one of them have (DC says of which). Where
 * that is no whole number of the other's, nothing is padded and nothing is carried over to the next segment (PAD, CAT): such a
 * segment is refused.
 */
function planSegment(segment: Segment, number: number, source: Endpoint, destination: Endpoint): CopyPart {
  const [from, to] = [source.unit.blockLengthBytes, destination.unit.blockLengthBytes];
  const length = segment.blocks * (segment.countsDestination ? to : from);
  if (length % from !== 0 || length % to !== 0) refuseSegment(UNEXPECTED_INEXACT_SEGMENT, number);
  if (!isWithin(source.unit, segment.sourceLba, length)) {
    refuseSegment(COPY_ABORTED_WITHOUT_REASON, number, SEGMENT_SOURCE_LBA);
  }
  if (!isWithin(destination.unit, segment.destinationLba, length)) {
    refuseSegment(COPY_ABORTED_WITHOUT_REASON, number, SEGMENT_DESTINATION_LBA);
  }
  return {
    source: source.reach,
    sourceOffset: segment.sourceLba * from,
    destination: destination.reach,
    destinationOffset: segment.destinationLba * to,
    length,
    segment: number,
  };
}

function isWithin({ state, blockLengthBytes }: UnitRecord, lba: number, length: number): boolean {
  return lba + length / blockLengthBytes <= state.sizeBytes / blockLengthBytes;
}

/** How a failure is told: with what the unit has said, and a pointer to its CSCD descriptor (SPC-5, errors in segments). */
export function explainExtendedCopy({ cscds, segments }: ExtendedCopyList): (failure: CopyFailure) => ScsiAnswer {
  return (failure) => {
    const { side, segment, residualBlocks } = failure;
    const { sourceId, destinationId } = segments[segment]!;
    const cscd = cscds[side === "source" ? sourceId : destinationId];
    const pointer = cscd && fieldInParameterList(cscd.at);
    const residual = residualBlocks < 0 ? {} : { information: residualBlocks };
    if (isUnreachable(failure))
      return { ...inSegment(COPY_TARGET_DEVICE_NOT_REACHABLE, segment, pointer), ...residual };
    const forwarded = forwardedSense(failure);
    return { ...inSegment(THIRD_PARTY_DEVICE_FAILURE, segment, pointer), ...residual, forwarded };
  };
}
