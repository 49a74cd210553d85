/** Memory as the kernel sees it. */
import { addon } from "./native.js";

/**
 * Where a view's first byte is, as a number (< 2^47). Valid as long as the view's buffer lives and is neither resized,
 * transferred nor detached; the caller keeps it alive.
 */
export function addressOf(view: ArrayBufferView): number {
  return addon.addressOf(view);
}

/** Asks for huge pages under the whole pages of a view (madvise MADV_HUGEPAGE). 0 or -errno; it is only advice. */
export function adviseHugePages(view: ArrayBufferView): number {
  return addon.adviseHugePages(view);
}
