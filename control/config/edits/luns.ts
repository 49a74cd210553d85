/** Edits of what targets and initiators see: LUNs. */
import type { Steps } from "../yaml-stretch.js";
import type { YamlText } from "../yaml-text.js";
import { EditError } from "./edit-error.js";
import { initiatorPlace, isMapping, targetPlace, unitOf, unitPlace } from "./places.js";

export interface LunPlace {
  readonly target: string;
  readonly lun: number;
  /** Name, pattern or group of an entry in the target's `initiators`; absent: the target's own LUNs. */
  readonly initiator?: string;
}

export interface LunEdit extends LunPlace {
  readonly unit: string;
  readonly readOnly?: boolean;
}

/** A LUN that leads to another unit stays: no session is to find another disk where one was. */
export function mapLun(yaml: YamlText, { unit, readOnly = false, ...place }: LunEdit): void {
  const path = lunsPlace(yaml, place);
  const { lun } = place;
  const had = unitOf(yaml.get([...path, lun]));
  if (had !== undefined && had !== unit) {
    throw new EditError("conflict", `LUN ${lun} is unit ${had} there: unmap it first, or take another LUN`);
  }
  unitPlace(yaml, unit);
  yaml.set([...path, lun], readOnly ? { unit, readOnly: true } : unit);
}

export function unmapLun(yaml: YamlText, place: LunPlace): void {
  const path = lunsPlace(yaml, place);
  if (yaml.get([...path, place.lun]) === undefined) {
    throw new EditError("notFound", `there is no LUN ${place.lun} of ${place.target}${ofWhom(place)}`);
  }
  yaml.remove([...path, place.lun]);
}

/** An initiator that has the target's LUNs, for want of its own, is given the same as its own. */
function lunsPlace(yaml: YamlText, { target, initiator }: LunPlace): Steps {
  const ofTarget = targetPlace(yaml, target);
  if (initiator === undefined) return [...ofTarget, "luns"];
  const path = [...initiatorPlace(yaml, ofTarget, initiator), "luns"];
  const inherited = yaml.get([...ofTarget, "luns"]);
  if (yaml.get(path) === undefined && isMapping(inherited)) {
    yaml.set(path, new Map(Object.entries(inherited).map(([lun, unit]) => [Number(lun), unit])));
  }
  return path;
}

function ofWhom({ initiator }: LunPlace): string {
  return initiator === undefined ? "" : ` for ${initiator}`;
}
