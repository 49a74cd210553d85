/** What the running kernel offers. */
import { release } from "node:os";

export interface Features {
  /** `uname -r`. */
  readonly kernelRelease: string;
  /** FEAT_* bits that io_uring_setup reported. */
  readonly featureBits: number;
  /** SETUP_* flags that the ring has. */
  readonly setupFlags: number;
  /** True if the kernel has OP_*. */
  supports(opcode: number): boolean;
}

/** @param opcodes a flag byte per opcode, 1 if supported. */
export function createFeatures(featureBits: number, setupFlags: number, opcodes: Uint8Array): Features {
  return {
    kernelRelease: release(),
    featureBits,
    setupFlags,
    supports: (opcode) => opcodes[opcode] === 1,
  };
}
