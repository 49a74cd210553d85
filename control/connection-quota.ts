/** How many connections may be there that have not logged in yet: of all peers together, and of each address. */
export class ConnectionQuota {
  readonly #max: number;
  readonly #perPeerMax: number;
  readonly #byPeer = new Map<string, number>();
  #count = 0;

  constructor(max: number, perPeerMax: number) {
    this.#max = max;
    this.#perPeerMax = perPeerMax;
  }

  get count(): number {
    return this.#count;
  }

  /** @returns what to call when the connection has logged in or is gone (once counts); undefined: too many already. */
  take(peer: string): (() => void) | undefined {
    const ofPeer = this.#byPeer.get(peer) ?? 0;
    if (this.#count >= this.#max || ofPeer >= this.#perPeerMax) return undefined;
    this.#count++;
    this.#byPeer.set(peer, ofPeer + 1);
    let taken = true;
    return () => {
      if (!taken) return;
      taken = false;
      this.#count--;
      const left = (this.#byPeer.get(peer) ?? 1) - 1;
      if (left === 0) this.#byPeer.delete(peer);
      else this.#byPeer.set(peer, left);
    };
  }
}
