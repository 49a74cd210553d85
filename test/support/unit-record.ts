/** A unit as control tells shards of it. */
import { initialState } from "../../control/units/unit-state.js";
import type { UnitRecord } from "../../dataplane/messages.js";

/** A thin file of 1 MiB that nobody has opened, but for the changes. */
export function unitRecord(changes: Partial<UnitRecord> = {}, sizeBytes = 1 << 20): UnitRecord {
  return {
    unitIndex: 0,
    name: "disk",
    kind: "file",
    fd: -1,
    bufferedFd: -1,
    errorFds: [],
    alignmentBytes: 1,
    rangeAlignmentBytes: 1,
    atomicWrites: null,
    blockLengthBytes: 512,
    physicalBlockBytes: 4096,
    cache: "writeback",
    readOnly: false,
    removable: false,
    thin: true,
    inMemory: false,
    uuid: "00000000-0000-4000-8000-000000000000",
    statisticsBlock: 0,
    limits: null,
    state: initialState(sizeBytes, changes.cache ?? "writeback"),
    ...changes,
  };
}
