// SPDX-License-Identifier: MIT
//
// A real HTTP server between the client under test and the local backend.
//
//     node server.mjs BACKEND-PROGRAM [KEY]
//
// HTTP/1.1 and HTTP/2 cleartext come from node's own http and http2 modules, each on a loopback
// port that the system chooses. Every exchange is forwarded to the backend (tests/backend.c) over
// its standard input and output, both ways, with backpressure. The first line on standard output
// is {"h1":port,"h2c":port,"control":port,"tls":port,"ca":"file"}, tls 0 without the openssl
// command; the server ends when its standard input does.
// What it can do wrong on demand is in faults.mjs.
//
// The control port is plain HTTP with JSON:
//     PUT    /faults       replace the list of faults
//     GET    /faults       those that are left
//     PUT    /settings     HTTP/2 settings for new connections, e.g. {"maxConcurrentStreams":4,
//                          "initialWindowSize":1024}
//     GET    /requests     what was received, one JSON object a line
//     DELETE /requests     forget it
//     GET    /stats        counters
//     DELETE /connections  cut all connections
//
// A fault is {"match":"part of a path", "times":1, "action":"...", ...}. The first one that matches
// and is not used up is taken; without "match" it matches all, without "times" it is used once.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";

import { actions, first } from "./faults.mjs";

const HOST = "127.0.0.1";
const RECORDED_BODY = 4096; // bodies up to this size can be read back from /requests
// Stock Connect servers answer 505 to these over HTTP/1.1.
const NEEDS_HTTP2 = /\/(StreamExec)$/;
// Headers that belong to one connection, not to the message.
const HOP = new Set(["connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host",
                     "proxy-connection", "http2-settings", "expect", "trailer"]);

const stats = { connections: 0, connections_open: 0, requests: 0, streams_open: 0,
                reset_by_client: 0, completed: 0, backend_exchanges: 0 };
let requests = [];
let faults = [];

// --- The backend: frames are u32 length of the rest, u8 type, u32 exchange, payload -------------

class Backend {
    constructor(program, ...args) {
        this.exchanges = new Map(); // id -> handlers {head, data, end, window}
        this.next = 1;
        this.input = Buffer.alloc(0);
        this.waiting = []; // requests to resume when the pipe drains
        this.child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
        this.child.on("exit", (code, signal) => {
            console.error(`server: the backend ended (${signal ?? code})`);
            process.exit(1);
        });
        this.child.stdin.on("error", () => {}); // its exit tells
        this.child.stdin.on("drain", () => this.waiting.splice(0).forEach((resume) => resume()));
        this.child.stdout.on("data", (chunk) => this.receive(chunk));
    }

    // Returns false if the sender should pause; then resume is called once later.
    send(type, id, payload = "", resume = null) {
        const body = Buffer.isBuffer(payload) ? payload : Buffer.from(payload, "latin1");
        const head = Buffer.alloc(9);
        head.writeUInt32BE(5 + body.length, 0);
        head.write(type, 4);
        head.writeUInt32BE(id, 5);
        this.child.stdin.write(head);
        const flows = body.length === 0 || this.child.stdin.write(body);
        if (!flows && resume) this.waiting.push(resume);
        return flows;
    }

    open(method, path, headers, handlers) {
        const id = this.next++;
        this.exchanges.set(id, handlers);
        stats.backend_exchanges = this.exchanges.size;
        const lines = headers.map(([name, value]) => `${name}: ${value}\n`);
        this.send("O", id, `${method} ${path}\n${lines.join("")}`);
        return id;
    }

    forget(id) {
        this.exchanges.delete(id);
        stats.backend_exchanges = this.exchanges.size;
    }

    cancel(id) {
        if (!this.exchanges.has(id)) return;
        this.forget(id);
        this.send("C", id);
    }

    receive(chunk) {
        this.input = this.input.length ? Buffer.concat([this.input, chunk]) : chunk;
        while (this.input.length >= 9) {
            const length = this.input.readUInt32BE(0);
            if (this.input.length < 4 + length) break;
            const frame = this.input.subarray(4, 4 + length);
            this.input = this.input.subarray(4 + length);
            const type = String.fromCharCode(frame[0]);
            const id = frame.readUInt32BE(1);
            const payload = frame.subarray(5);
            const to = this.exchanges.get(id);
            if (!to) continue; // cancelled meanwhile
            if (type === "H") {
                const lines = payload.toString("latin1", 2).split("\n").filter((line) => line);
                to.head(payload.readUInt16BE(0), lines.map((line) => {
                    const colon = line.indexOf(":");
                    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
                }));
            } else if (type === "D") {
                to.data(payload);
            } else if (type === "W") {
                to.window(payload[0] === 1);
            } else if (type === "E") {
                this.forget(id);
                to.end(payload[0]);
            }
        }
    }
}

const backend = new Backend(process.argv[2] ?? "build/tests/backend", ...process.argv.slice(3));

// --- One exchange, of either HTTP version -------------------------------------------------------

class Exchange {
    constructor(req, res) {
        this.req = req;
        this.res = res;
        this.h2 = req.httpVersionMajor === 2;
        this.path = req.url;
        this.streaming = /^application\/connect\+/.test(req.headers["content-type"] ?? "");
        this.type = req.headers["content-type"] ?? "application/proto";
        this.over = false;
        this.sent = 0; // bytes of the body of the response
        this.record = {
            method: req.method, path: req.url, http: req.httpVersion,
            connection: this.h2 ? req.stream.session.number : req.socket.number,
            headers: Object.fromEntries(Object.entries(req.headers).filter(([n]) => n[0] !== ":")),
            body_length: 0, body_base64: "", complete: false, reset: false,
        };
        this.body = [];
        requests.push(this.record);
        stats.requests++;
        stats.streams_open++;
        req.on("data", (chunk) => this.note(chunk));
        req.on("end", () => { this.record.complete = true; });
        req.on("error", () => {});
        res.on("error", () => {});
        res.on("close", () => this.closed());
    }

    note(chunk) {
        this.record.body_length += chunk.length;
        if (this.record.body_length > RECORDED_BODY) this.body = [];
        else this.body.push(chunk);
        this.record.body_base64 = Buffer.concat(this.body).toString("base64");
    }

    closed() {
        stats.streams_open--;
        const whole = this.h2 ? this.req.stream.rstCode === http2.constants.NGHTTP2_NO_ERROR &&
                                !this.req.stream.aborted : this.res.writableFinished;
        if (whole) {
            stats.completed++;
        } else if (!this.over) {
            stats.reset_by_client++;
            this.record.reset = true;
        }
        this.over = true;
        if (this.id) backend.cancel(this.id);
    }

    head(status, headers) {
        if (this.over || this.res.headersSent) return;
        const object = {};
        for (const [name, value] of headers) {
            if (HOP.has(name)) continue;
            object[name] = object[name] === undefined ? value : [].concat(object[name], value);
        }
        this.res.writeHead(status, object);
        this.res.flushHeaders?.(); // HTTP/1.1 would wait for the first byte
    }

    write(chunk, done) {
        if (this.over) return true;
        this.sent += chunk.length;
        return this.res.write(chunk, done);
    }

    end(chunk) {
        if (!this.over) this.res.end(chunk);
    }

    // Break the exchange off. HTTP/2: reset the stream; HTTP/1.1: close the connection.
    reset(fault = {}) {
        if (this.over) return;
        this.over = true;
        if (this.h2 && !fault.connection) {
            this.req.stream.close(fault.code ?? http2.constants.NGHTTP2_INTERNAL_ERROR);
        } else {
            const socket = sockets.get(this.record.connection);
            if (fault.rst) socket?.resetAndDestroy();
            else socket?.destroy();
        }
    }

    // The end of a unary request; at once for a stream, whose client waits for an answer.
    async received(fault) {
        this.req.resume();
        if (this.streaming || fault.early || this.req.readableEnded) return;
        await first(this.req, "end", "close");
    }

    // Hand the exchange to the backend. filter, if given, sees the reply first:
    // {head(status, headers), data(chunk), end()}, each doing what it likes with this exchange.
    forward(filter = this) {
        const { req, res } = this;
        const headers = [];
        for (let i = 0; i < req.rawHeaders.length; i += 2) {
            const name = req.rawHeaders[i].toLowerCase();
            if (name[0] !== ":" && !HOP.has(name)) headers.push([name, req.rawHeaders[i + 1]]);
        }
        let ended = false;
        this.id = backend.open(req.method, req.url, headers, {
            head: (status, list) => filter.head(status, list),
            data: (chunk) => {
                if (filter.data ? filter.data(chunk) : this.write(chunk)) return;
                if (this.over || this.throttled) return;
                this.throttled = true;
                backend.send("W", this.id, Buffer.from([0]));
                res.once("drain", () => {
                    this.throttled = false;
                    if (!ended) backend.send("W", this.id, Buffer.from([1]));
                });
            },
            window: (open) => (open ? req.resume() : req.pause()),
            end: (code) => {
                ended = true;
                if (code === 0) filter.end();
                else this.reset();
            },
        });
        req.on("data", (chunk) => {
            if (!ended && !backend.send("D", this.id, chunk, () => req.resume())) req.pause();
        });
        req.on("end", () => {
            if (!ended) backend.send("F", this.id);
        });
    }
}

// --- Serving ------------------------------------------------------------------------------------

function takeFault(path) {
    const fault = faults.find((f) => f.times > 0 && path.includes(f.match));
    if (fault) fault.times--;
    return fault;
}

function serve(req, res) {
    const x = new Exchange(req, res);
    const fault = takeFault(x.path);
    if (fault) {
        Promise.resolve(actions[fault.action](x, fault)).catch((e) => console.error("server:", e));
    } else if (!x.h2 && NEEDS_HTTP2.test(x.path)) {
        req.resume();
        x.head(505, [["connection", "close"]]);
        x.end();
    } else {
        x.forward();
    }
}

// --- Listeners ----------------------------------------------------------------------------------

const sockets = new Map(); // connection number -> socket
const h1 = http.createServer({ keepAliveTimeout: 60000, requestTimeout: 0 }, serve);
const h2 = http2.createServer({ settings: { maxConcurrentStreams: 1000 } }, serve);

for (const server of [h1, h2]) {
    server.prependListener("connection", (socket) => { // before the session is made of it
        socket.number = ++stats.connections;
        stats.connections_open++;
        sockets.set(socket.number, socket);
        socket.setNoDelay(true);
        socket.on("error", () => {});
        socket.on("close", () => {
            sockets.delete(socket.number);
            stats.connections_open--;
        });
    });
    server.on("clientError", (e, socket) => socket.destroy?.());
}
h2.on("session", (session) => { session.number = stats.connections; });
h2.on("sessionError", () => {});

const control = http.createServer(async (req, res) => {
    const parts = [];
    for await (const part of req) parts.push(part);
    const reply = (value) => {
        res.writeHead(200, { "content-type": "application/json", connection: "close" });
        res.end(typeof value === "string" ? value : JSON.stringify(value) + "\n");
    };
    const body = () => JSON.parse(Buffer.concat(parts).toString());
    try {
        switch (`${req.method} ${req.url}`) {
        case "PUT /faults":
            faults = body().map((f) => {
                if (!Object.hasOwn(actions, f.action)) throw new Error(`no action ${f.action}`);
                return { match: "", times: 1, ...f };
            });
            return reply({});
        case "GET /faults": return reply(faults.filter((f) => f.times > 0));
        case "PUT /settings":
            h2.updateSettings(body());
            return reply({});
        case "GET /requests": return reply(requests.map((r) => JSON.stringify(r) + "\n").join(""));
        case "DELETE /requests":
            requests = [];
            return reply({});
        case "GET /stats": return reply(stats);
        case "DELETE /connections":
            sockets.forEach((socket) => socket.destroy());
            return reply({});
        default: throw new Error(`unknown: ${req.method} ${req.url}`);
        }
    } catch (e) {
        res.writeHead(400, { connection: "close" });
        res.end(`${e.message}\n`);
    }
});

const listen = (server) => new Promise((done) =>
    server.listen({ host: HOST, port: 0, backlog: 4096 }, () => done(server.address().port)));

// TLS with ALPN in front of the two: it hands the bytes of a connection on to the one that the
// client chose. The certificate is made at start, by the openssl command; without it there is none.
function certificate() {
    const dir = mkdtempSync(join(tmpdir(), "cws-wire-"));
    process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                             "-subj", "/CN=localhost", "-addext",
                             "subjectAltName=DNS:localhost,IP:127.0.0.1",
                             "-keyout", join(dir, "key.pem"), "-out", join(dir, "cert.pem")],
                 { stdio: "ignore" });
    return dir;
}

async function listenTls() {
    try {
        const ca = certificate();
        const server = tls.createServer({ key: readFileSync(join(ca, "key.pem")),
                                          cert: readFileSync(join(ca, "cert.pem")),
                                          ALPNProtocols: ["h2", "http/1.1"] }, (client) => {
            const { port } = (client.alpnProtocol === "h2" ? h2 : h1).address();
            const inner = net.connect(port, HOST);
            client.on("error", () => inner.destroy()).on("close", () => inner.destroy());
            inner.on("error", () => client.destroy()).on("close", () => client.destroy());
            client.pipe(inner).pipe(client);
        });
        server.on("tlsClientError", () => {});
        return { tls: await listen(server), ca: join(ca, "cert.pem") };
    } catch (e) {
        console.error(`server: no TLS: ${e.message}`);
        return { tls: 0, ca: "none" };
    }
}

console.log(JSON.stringify({ h1: await listen(h1), h2c: await listen(h2),
                             control: await listen(control), ...await listenTls() }));

process.stdin.resume();
process.stdin.on("end", () => {
    backend.child.removeAllListeners("exit");
    backend.child.stdin.end(); // it cleans up its sandboxes and ends
    backend.child.on("exit", () => process.exit(0));
    setTimeout(() => {
        backend.child.kill("SIGKILL");
        process.exit(1);
    }, 10000);
});
