// SPDX-License-Identifier: MIT
//
// The local backend (tests/backend.c) at the other end of a pipe, as an HTTP client of connect: the
// frames on the pipe take the place of HTTP. They are described in tests/backend.c.

import { spawn } from "node:child_process";

import { Code, ConnectError } from "@connectrpc/connect";

const PIECE = 65536; // request bytes in one frame
const HIGH = 262144; // reply bytes that wait in here before the backend is told to pause

// What a reply has brought so far: an async iterable of its chunks.
class Chunks {
    constructor(flow) {
        this.flow = flow; // told false when too much waits, true when there is room again
        this.list = [];
        this.bytes = 0;
        this.paused = false;
        this.last = null; // {error}: nothing comes after the list
        this.wake = () => {};
    }

    push(chunk) {
        this.list.push(chunk);
        this.bytes += chunk.length;
        if (this.bytes > HIGH && !this.paused) this.flow(!(this.paused = true));
        this.wake();
    }

    end(error) {
        this.last ??= { error };
        this.wake();
    }

    async *[Symbol.asyncIterator]() {
        for (;;) {
            if (this.list.length > 0) {
                const chunk = this.list.shift();
                this.bytes -= chunk.length;
                if (this.bytes < HIGH / 2 && this.paused) this.flow(!(this.paused = false));
                yield chunk;
            } else if (this.last) {
                if (this.last.error) throw this.last.error;
                return;
            } else {
                await new Promise((wake) => { this.wake = wake; });
            }
        }
    }
}

export class Backend {
    constructor(program, stats) {
        this.stats = stats;
        this.exchanges = new Map(); // id -> {head, chunks, gate, over}
        this.next = 1;
        this.input = []; // bytes of frames that are not whole yet
        this.have = 0;
        this.drained = Promise.resolve();
        // In a process group of its own: Ctrl-C is for the gateway, which ends it in good order.
        this.child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"], detached: true });
        this.ended = new Promise((done) => {
            this.child.on("error", (e) => done(e.message));
            this.child.on("exit", (code, signal) => done(signal ?? code));
        });
        this.child.stdin.on("error", () => {}); // its exit tells
        this.child.stdout.on("data", (chunk) => this.receive(chunk));
    }

    // Ends it, and with it all sandboxes.
    async stop() {
        this.child.stdin.end();
        const kill = setTimeout(() => this.child.kill("SIGKILL"), 10000);
        await this.ended;
        clearTimeout(kill);
    }

    send(type, id, payload = Buffer.alloc(0)) {
        const head = Buffer.alloc(9);
        head.writeUInt32BE(5 + payload.length, 0);
        head.write(type, 4);
        head.writeUInt32BE(id, 5);
        this.child.stdin.write(head);
        if (this.child.stdin.write(payload) || this.draining) return;
        this.draining = true;
        this.drained = new Promise((done) => this.child.stdin.once("drain", () => {
            this.draining = false;
            done();
        }));
    }

    receive(chunk) {
        this.input.push(chunk);
        this.have += chunk.length;
        if (this.have < (this.want ?? 4)) return;
        let input = Buffer.concat(this.input);
        for (this.want = 4; input.length >= 4; this.want = 4) {
            this.want = 4 + input.readUInt32BE(0);
            if (input.length < this.want) break;
            this.frame(String.fromCharCode(input[4]), input.readUInt32BE(5),
                       input.subarray(9, this.want));
            input = input.subarray(this.want);
        }
        this.input = [input];
        this.have = input.length;
    }

    frame(type, id, payload) {
        const x = this.exchanges.get(id);
        if (!x) return; // cancelled meanwhile
        if (type === "H") {
            const header = new Headers();
            for (const line of payload.toString("latin1", 2).split("\n").filter((l) => l)) {
                header.append(line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2));
            }
            x.head({ status: payload.readUInt16BE(0), header });
        } else if (type === "D") {
            x.chunks.push(payload);
        } else if (type === "W") {
            x.flow(payload[0] === 1);
        } else if (type === "E") {
            this.close(id, payload[0] === 0 ? undefined : new ConnectError(
                `the backend broke off (${payload[0]})`, Code.Internal));
        }
    }

    close(id, error) {
        const x = this.exchanges.get(id);
        if (!x) return false;
        this.exchanges.delete(id);
        this.stats.backend_exchanges = this.exchanges.size;
        x.over = true;
        x.flow(true);
        x.chunks.end(error);
        x.fail(error ?? new ConnectError("the backend gave no head", Code.Internal));
        return true;
    }

    // A UniversalClientFn.
    async fetch({ url, method, header, body, signal }) {
        const id = this.next++;
        const x = {
            over: false,
            room: Promise.resolve(), // resolves when request bytes are welcome
            chunks: new Chunks((open) => {
                if (!x.over) this.send("W", id, Buffer.from([open ? 1 : 0]));
            }),
            flow(open) {
                if (open) this.opened?.();
                else this.room = new Promise((done) => { this.opened = done; });
            },
        };
        const head = new Promise((done, fail) => Object.assign(x, { head: done, fail }));
        const cancel = (error) => {
            if (this.close(id, ConnectError.from(error))) this.send("C", id);
        };
        this.exchanges.set(id, x);
        this.stats.backend_exchanges = this.exchanges.size;
        const lines = Array.from(header, ([name, value]) => `${name}: ${value}\n`);
        this.send("O", id, Buffer.from(`${method} ${new URL(url).pathname}\n${lines.join("")}`,
                                       "latin1"));
        if (signal?.aborted) cancel(signal.reason);
        signal?.addEventListener("abort", () => cancel(signal.reason), { once: true });
        this.upload(id, x, body).catch(cancel);
        return { ...await head, body: x.chunks, trailer: new Headers() };
    }

    async upload(id, x, body) {
        for await (const chunk of body ?? []) {
            for (let at = 0; at < chunk.length; at += PIECE) {
                if (x.over) return;
                this.send("D", id, chunk.subarray(at, at + PIECE));
                await this.drained;
                await x.room;
            }
        }
        if (!x.over) this.send("F", id);
    }
}
