/** fast-check, whose runs begin with the seed of the suite (seed.ts). What fails prints its seed and path, as always. */
import fc from "fast-check";
import { FIRST_SEED } from "./seed.js";

fc.configureGlobal({ seed: FIRST_SEED });

export default fc;
