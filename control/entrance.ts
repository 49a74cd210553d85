/** One connection's way in. */
import type { ListeningPortal } from "./discovery.js";

export interface Entrance {
  /** What it came through. */
  readonly portal: ListeningPortal;
  /** Our address and port as the peer knows them. */
  readonly host: string;
  readonly port: number;
}
