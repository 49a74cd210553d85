/** The simulated kernel: a table of descriptors, and what each opcode does to them. */
import assert from "node:assert/strict";
import {
  ASYNC_CANCEL_ALL,
  errno,
  OP_ASYNC_CANCEL,
  OP_READ,
  OP_READ_FIXED,
  OP_RECV,
  OP_SEND,
  OP_SENDMSG,
  OP_WRITE_FIXED,
} from "io-uring-node";
import { ArenaMemory } from "./arena-memory.js";
import type { Disk } from "./disk.js";
import { Doorbell } from "./doorbell.js";
import { OpenFile } from "./open-file.js";
import type { Operation } from "./operation.js";
import { Pipe, type PipeOptions } from "./pipe.js";
import type { SimulatedRing } from "./simulated-ring.js";
import { PeerSocket, Socket } from "./socket.js";
import type { World } from "./world.js";

type Resource = Socket | OpenFile | Doorbell;

const FIRST_FD = 4;

export class Kernel {
  readonly memory = new ArenaMemory();
  readonly #world: World;
  readonly #resources = new Map<number, Resource>();

  constructor(world: World) {
    this.#world = world;
  }

  // ---- what control does

  openDoorbell(): { readonly fd: number; readonly doorbell: Doorbell } {
    const doorbell = new Doorbell(this.memory);
    return { fd: this.#open(doorbell), doorbell };
  }

  openFile(disk: Disk, alignmentBytes: number): number {
    return this.#open(new OpenFile(this.#world, this.memory, disk, alignmentBytes));
  }

  /** A connection, of which the caller holds the peer's end. */
  connect(options: PipeOptions): { readonly fd: number; readonly peer: PeerSocket } {
    const { timeline, random } = this.#world;
    const toShard = new Pipe(timeline, random, options);
    const toPeer = new Pipe(timeline, random, options);
    const fd = this.#open(new Socket(this.#world, this.memory, toShard, toPeer));
    return { fd, peer: new PeerSocket(toPeer, toShard) };
  }

  get openSockets(): number {
    return [...this.#resources.values()].filter((resource) => resource instanceof Socket).length;
  }

  // ---- system calls of the shard's thread

  shutdownSocket(fd: number): void {
    this.#socket(fd).shutdown();
  }

  closeSocket(fd: number): void {
    this.#socket(fd).close();
    this.#resources.delete(fd);
  }

  file(fd: number): OpenFile {
    const file = this.#resources.get(fd);
    return file instanceof OpenFile ? file : assert.fail(`descriptor ${fd} is no file`);
  }

  // ---- the ring

  start(operation: Operation, ring: SimulatedRing): void {
    switch (operation.opcode) {
      case OP_RECV:
        return this.#socket(operation.fd).startReceive(operation, ring.groups.get(operation.bufferIndex));
      case OP_SEND:
      case OP_SENDMSG:
        return this.#socket(operation.fd).startSend(operation);
      case OP_ASYNC_CANCEL:
        return operation.end(this.#cancel(operation));
      case OP_READ: {
        const resource = this.#resources.get(operation.fd);
        if (resource instanceof Doorbell) return resource.startRead(operation);
        break;
      }
      case OP_READ_FIXED:
      case OP_WRITE_FIXED:
        this.#checkFixed(operation, ring);
        break;
      default:
        break;
    }
    this.file(operation.fd).start(operation);
  }

  #cancel(operation: Operation): number {
    assert((operation.operationFlags & ASYNC_CANCEL_ALL) !== 0, "a shard cancels all operations of a user_data");
    // The target's user_data is in the address field.
    const low = operation.address % 0x1_0000_0000;
    const high = Math.floor(operation.address / 0x1_0000_0000);
    let count = 0;
    for (const resource of this.#resources.values()) {
      if (resource instanceof Socket && resource.cancel(low, high)) count++;
    }
    return count > 0 ? count : -errno.ENOENT;
  }

  #checkFixed({ address, length, bufferIndex }: Operation, ring: SimulatedRing): void {
    const region = ring.regions[bufferIndex];
    assert(region !== undefined, "a fixed buffer is registered");
    assert(
      address >= region.address && address + length <= region.address + region.length,
      "fixed I/O stays within its buffer",
    );
  }

  #socket(fd: number): Socket {
    const socket = this.#resources.get(fd);
    return socket instanceof Socket ? socket : assert.fail(`descriptor ${fd} is no open socket`);
  }

  /** The lowest free number, as in Unix: one that is used after it was closed soon means something else. */
  #open(resource: Resource): number {
    let fd = FIRST_FD;
    while (this.#resources.has(fd)) fd++;
    this.#resources.set(fd, resource);
    return fd;
  }
}
