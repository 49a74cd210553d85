/**
 * What tests that draw by chance start from. A run of the suite is the same every time, so that it fails for what was changed and
 * for nothing else; whoever hunts for more sets SEED: to a number, to repeat that run, or to `random`.
 */
const { SEED } = process.env;

/** The number that SEED gives; undefined where it gives none. */
export const GIVEN_SEED = SEED === undefined || SEED === "random" ? undefined : Number(SEED);

/** Where to begin. */
export const FIRST_SEED = GIVEN_SEED ?? (SEED === "random" ? Date.now() % 0x7fff_ffff : 1);
