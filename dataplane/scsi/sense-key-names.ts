/** Sense keys (SPC-5 section 4.4.8) as people are told of them; by their number. */
export const SENSE_KEY_NAMES: readonly string[] = [
  "no sense",
  "recovered error",
  "not ready",
  "medium error",
  "hardware error",
  "illegal request",
  "unit attention",
  "data protect",
  "blank check",
  "vendor specific",
  "copy aborted",
  "aborted command",
  "sense key 12",
  "volume overflow",
  "miscompare",
  "completed",
];
