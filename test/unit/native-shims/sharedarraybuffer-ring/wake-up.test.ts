import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateRing, Consumer, Producer } from "sharedarraybuffer-ring";
import { withPeer } from "./peer.js";

const HELLO = Uint8Array.of(1, 2, 3);

function pair(): { producer: Producer; consumer: Consumer } {
  const ring = allocateRing(1024);
  return { producer: new Producer(ring), consumer: new Consumer(ring) };
}

/** waitAsync() answers through a task that does not keep the event loop alive; this does, until `promise` is settled. */
async function alive<T>(promise: Promise<T>): Promise<T> {
  const handle = setInterval(() => {}, 60_000);
  try {
    return await promise;
  } finally {
    clearInterval(handle);
  }
}

test("wait() and waitAsync() answer at once when a record is there", () => {
  const { producer, consumer } = pair();
  producer.write(HELLO);
  assert.equal(consumer.wait(0), true);
  assert.equal(consumer.waitAsync(0), true);
  assert.equal(consumer.announceSleep(), false);
  assert.equal(
    producer.reserve(1) >= 0 && producer.commit(),
    false,
    "a refused announcement must leave nothing behind",
  );
});

test("wait() and waitAsync() answer false after their timeout, and take the announcement back", async () => {
  const { producer, consumer } = pair();
  assert.equal(consumer.wait(1), false);
  assert.equal(await consumer.waitAsync(0), false);
  assert.equal(await alive(Promise.resolve(consumer.waitAsync(1))), false);
  producer.reserve(3);
  assert.equal(producer.commit(), false);
  assert.equal(consumer.wait(0), true);
});

test("waitAsync() resolves when a record is written", async () => {
  const { producer, consumer } = pair();
  const woken = consumer.waitAsync();
  assert.notEqual(woken, true);
  producer.reserve(3);
  assert.equal(producer.commit(), true);
  producer.reserve(3);
  assert.equal(producer.commit(), false, "one sleep, one notification");
  assert.equal(await alive(Promise.resolve(woken)), true);
  assert.ok(consumer.next() && consumer.next() && !consumer.next());
});

test("waitAsync() sleeps on when its record was taken by a poll meanwhile", async () => {
  const { producer, consumer } = pair();
  let answer: boolean | undefined;
  const woken = Promise.resolve(consumer.waitAsync()).then((value) => {
    answer = value;
  });
  producer.write(HELLO);
  assert.ok(consumer.next());
  consumer.release();
  // The notification is delivered in a later turn of the event loop; it has been when a second pair's has.
  const other = pair();
  const otherWoken = other.consumer.waitAsync();
  other.producer.write(HELLO);
  await alive(Promise.resolve(otherWoken));
  assert.equal(answer, undefined);
  producer.write(HELLO);
  await alive(woken);
  assert.equal(answer, true);
});

test("interrupt() ends a waitAsync() and nothing else", async () => {
  const { producer, consumer } = pair();
  consumer.interrupt();
  const woken = consumer.waitAsync();
  consumer.interrupt();
  assert.equal(await alive(Promise.resolve(woken)), false);
  const again = consumer.waitAsync();
  producer.write(HELLO);
  assert.equal(await alive(Promise.resolve(again)), true);
});

test("a second wait while waitAsync() is pending is refused", async () => {
  const { consumer } = pair();
  const woken = consumer.waitAsync();
  assert.throws(() => consumer.wait(0), /pending/);
  assert.throws(() => consumer.waitAsync(0), /pending/);
  assert.throws(() => consumer.announceSleep(), /pending/);
  assert.throws(() => consumer.cancelSleep(), /pending/);
  consumer.interrupt();
  assert.equal(await alive(Promise.resolve(woken)), false);
});

test("announceSleep() makes exactly the next commit() report it; cancelSleep() takes it back", () => {
  const { producer, consumer } = pair();
  const commit = (): boolean => {
    producer.reserve(4);
    return producer.commit();
  };
  const drain = (): void => {
    while (consumer.next()) consumer.release();
  };
  assert.equal(consumer.announceSleep(), true);
  assert.equal(commit(), true);
  assert.equal(commit(), false);
  drain();
  assert.equal(consumer.announceSleep(), true);
  consumer.cancelSleep();
  assert.equal(commit(), false);
});

/**
 * Each side sleeps after every burst and is woken by the other, so nearly every record races with an announcement. One
 * lost wake-up and both sleep for ever.
 */
async function pingPong(rounds: number, answer: (consumer: Consumer) => boolean | Promise<boolean>): Promise<void> {
  const requests = allocateRing(1024);
  const replies = allocateRing(1024);
  const producer = new Producer(requests);
  const consumer = new Consumer(replies);
  const record = new Uint8Array(8);
  await withPeer({ task: "echo", requests, replies }, async () => {
    let sent = 0;
    let received = 0;
    for (let round = 0; round < rounds; round++) {
      for (let burst = 0; burst <= round % 3; burst++) {
        record[0] = sent++;
        assert.ok(producer.write(record));
      }
      while (received < sent) {
        if (!consumer.next()) {
          assert.equal(await answer(consumer), true);
          continue;
        }
        assert.equal(consumer.bytes[consumer.offset], received++ & 0xff);
        consumer.release();
      }
    }
    assert.ok(producer.write(new Uint8Array(0)));
  });
}

test("no wake-up is lost: waitAsync() here, wait() there", { timeout: 120_000 }, () =>
  pingPong(30_000, (consumer) => consumer.waitAsync()),
);

test("no wake-up is lost: wait() on both sides", { timeout: 120_000 }, () =>
  pingPong(30_000, (consumer) => consumer.wait(60_000)),
);

test("no wake-up is lost: waits that time out and begin again", { timeout: 120_000 }, () =>
  pingPong(10_000, (consumer) => {
    // Some of these end just when the notification is on its way.
    while (!consumer.wait(0.01)) {}
    return true;
  }),
);
