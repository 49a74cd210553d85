/** One interface of a capture: where packets come from. */
export interface Trace {
  readonly name: string;
  readonly description: string;
  /** PDUs that have come through. */
  readonly pdus: number;
  /** PDUs that were left out, because the reader was too slow. */
  readonly dropped: number;
  /** Packets for what is there, some more than so many bytes at most. Empty: there is nothing. */
  take(bytesMax: number): Buffer[];
}
