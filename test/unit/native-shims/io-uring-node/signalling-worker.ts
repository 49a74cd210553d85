/** Signals an eventfd, once. */
import { workerData } from "node:worker_threads";
import { eventfdSignal } from "io-uring-node";

eventfdSignal((workerData as { fd: number }).fd);
