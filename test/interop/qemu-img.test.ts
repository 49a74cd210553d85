/** A disk image goes onto a served disk and comes back unharmed. */
import { test } from "node:test";
import { skipWithout } from "../support/peers.js";
import { VARIANTS } from "../support/variants.js";
import { copyThereAndBack } from "./image-copy.js";

const SIZE_MIB = 64;

for (const variant of VARIANTS) {
  test(
    `qemu-img convert of ${SIZE_MIB} MiB there and back (${variant.name})`,
    { skip: skipWithout("qemu-img") },
    (context) => copyThereAndBack(context, variant, { sizeMiB: SIZE_MIB, rounds: 2 }),
  );
}
