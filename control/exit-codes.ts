/** With what the program ends. The manual page and the README say it too. */

/** Something cannot be had on this machine, or nobody answers: standard error says what. */
export const EXIT_UNAVAILABLE = 1;

/** The configuration or the command line is at fault. */
export const EXIT_FAULTS = 2;

/** A program that serves, or a target, has refused. */
export const EXIT_REFUSED = 3;

/** A shard that died could not be cleaned up after. */
export const EXIT_UNSAFE = 70;
