/** The other thread of the two-thread tests. */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { Consumer, Producer } from "sharedarraybuffer-ring";
import { fillNumbered, numberedLength } from "./records.js";

export type PeerTask =
  /** Produces numbered records, waiting a little whenever the ring is full. */
  | { task: "produce"; ring: SharedArrayBuffer; records: number }
  /** Sends every record that arrives back, until an empty one does. Sleeps in wait(). */
  | { task: "echo"; requests: SharedArrayBuffer; replies: SharedArrayBuffer };

/** Runs `body` against a peer in another thread. Fails if either fails; the peer does not outlive the call. */
export async function withPeer(task: PeerTask, body: () => Promise<void>): Promise<void> {
  const worker = new Worker(new URL("./peer.js", import.meta.url), { workerData: task });
  const done = new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`peer exited with ${code}`))));
  });
  try {
    await Promise.all([done, body()]);
  } finally {
    await worker.terminate();
  }
}

function produce(ring: SharedArrayBuffer, records: number): void {
  const producer = new Producer(ring);
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let sequence = 0; sequence < records; sequence++) {
    const length = numberedLength(sequence, producer.lengthMaxBytes);
    let offset = producer.reserve(length);
    for (let attempts = 0; offset < 0; attempts++) {
      // Gives the core to the consumer where there is only one.
      if (attempts > 100) Atomics.wait(never, 0, 0, 0.05);
      offset = producer.reserve(length);
    }
    fillNumbered(producer.view, offset, length, sequence);
    producer.commit();
  }
}

function echo(requests: SharedArrayBuffer, replies: SharedArrayBuffer): void {
  const consumer = new Consumer(requests);
  const producer = new Producer(replies);
  for (;;) {
    consumer.wait();
    while (consumer.next()) {
      if (consumer.length === 0) return;
      const record = consumer.bytes.subarray(consumer.offset, consumer.offset + consumer.length);
      if (!producer.write(record)) throw new Error("the asking side has more in flight than its ring of replies holds");
      consumer.release();
    }
  }
}

if (!isMainThread && parentPort) {
  const task = workerData as PeerTask;
  switch (task.task) {
    case "produce":
      produce(task.ring, task.records);
      break;
    case "echo":
      echo(task.requests, task.replies);
      break;
  }
}
