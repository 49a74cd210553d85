/** The edge of the package: a ring between two threads, one end each. */
export { Consumer } from "./consumer.js";
export { allocateRing, CAPACITY_BYTES_MAX, CAPACITY_BYTES_MIN } from "./layout.js";
export { Producer } from "./producer.js";
