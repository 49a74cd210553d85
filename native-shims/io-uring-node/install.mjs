/** After unpacking (npm install): where an addon has been built beforehand that loads here, nothing is left to do; else it is built. */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

function prebuiltLoads() {
  try {
    require(`./prebuilds/${process.platform}-${process.arch}/io_uring_node.node`);
    return true;
  } catch {
    // There is none, or it is for another C library.
    return false;
  }
}

if (!prebuiltLoads()) await import("./build.mjs");
