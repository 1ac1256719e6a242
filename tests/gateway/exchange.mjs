// SPDX-License-Identifier: MIT
//
// One HTTP exchange with a client: its record, and the ways to answer it. Without a fault connect's
// own code writes the answer.

import http2 from "node:http2";

import { toBinary, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { universalRequestFromNodeRequest,
         universalResponseToNodeResponse } from "@connectrpc/connect-node";

const RECORDED_BODY = 4096; // bodies up to this size can be read back from /requests
const RECORDED_MESSAGES = 16384; // and messages, until these many bytes of them
const RECORDED_REQUESTS = 100000; // the oldest is forgotten

// What the exchanges of this process leave behind; the control port shows it.
export const journal = {
    requests: [],
    stats: { connections: 0, connections_open: 0, requests: 0, streams_open: 0,
             reset_by_client: 0, completed: 0, backend_exchanges: 0 },
};

// Resolves when the first of these events comes.
export const first = (emitter, ...events) => new Promise((done) => {
    const listener = () => {
        events.forEach((event) => emitter.off(event, listener));
        done();
    };
    events.forEach((event) => emitter.on(event, listener));
});

// Names with their value, or values if there are several; never a credential: "(ok)" instead of the
// right one, "(wrong)" of another.
function recordHeaders(raw, keys) {
    const headers = {};
    for (let i = 0; i < raw.length; i += 2) {
        const name = raw[i].toLowerCase();
        let value = raw[i + 1];
        if (name[0] === ":") continue;
        if (name === "authorization") {
            value = value === `Bearer ${keys.bearer}` ? "Bearer (ok)" :
                value.replace(/^(\w+ )?.*$/s, "$1(wrong)");
        } else if (name === "x-wandb-api-key") {
            value = value === keys.wandb ? "(ok)" : "(wrong)";
        }
        headers[name] = name in headers ? [].concat(headers[name], value) : value;
    }
    return headers;
}

export class Exchange {
    // gateway: {proxy, registry, keys {bearer, wandb}, socket(number)}
    constructor(req, res, gateway) {
        this.req = req;
        this.res = res;
        this.gateway = gateway;
        this.h2 = req.httpVersionMajor === 2;
        this.path = req.url;
        this.type = req.headers["content-type"] ?? "application/proto";
        this.protocol = /^application\/grpc-web/.test(this.type) ? "grpc-web" :
            /^application\/grpc/.test(this.type) ? "grpc" : "connect";
        this.bidi = gateway.proxy.method(this.path.split("?")[0])?.methodKind === "bidi_streaming";
        this.fault = null; // what proxy.mjs is to do wrong: {after, error}
        this.over = false; // nothing more can be sent
        this.body = Buffer.alloc(0);
        this.noted = 0; // bytes of messages
        this.record = {
            method: req.method, path: req.url, protocol: this.protocol, http: req.httpVersion,
            connection: this.h2 ? req.stream.session.socket.number : req.socket.number,
            headers: recordHeaders(req.rawHeaders, gateway.keys), body_length: 0, body_base64: "",
            messages: [], messages_cut: false, unknown_fields: false, complete: false,
            reset: false,
        };
        this.credential = this.checkCredential();
        journal.requests.push(this.record);
        if (journal.requests.length > RECORDED_REQUESTS) journal.requests.shift();
        journal.stats.requests++;
        journal.stats.streams_open++;
        req.on("end", () => { this.record.complete = true; });
        req.on("error", () => {});
        res.on("error", () => {});
        res.on("close", () => this.closed());
    }

    // Exactly one of the keys that were set, if any was.
    checkCredential() {
        const { authorization, "x-wandb-api-key": wandb } = this.record.headers;
        const { keys } = this.gateway;
        if (!keys.bearer && !keys.wandb) return true;
        return authorization === undefined ? wandb === "(ok)" :
            authorization === "Bearer (ok)" && wandb === undefined;
    }

    closed() {
        const { stats } = journal;
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
    }

    // --- Recording ---

    note(chunk) {
        this.record.body_length += chunk.length;
        const whole = this.record.body_length <= RECORDED_BODY;
        this.body = whole ? Buffer.concat([this.body, chunk]) : Buffer.alloc(0);
        this.record.body_base64 = this.body.toString("base64");
    }

    noteMessage(desc, message) {
        const { length } = toBinary(desc, message);
        this.record.unknown_fields ||=
            toBinary(desc, message, { writeUnknownFields: false }).length !== length;
        this.noted += this.record.messages_cut ? 0 : length;
        this.record.messages_cut ||= this.noted > RECORDED_MESSAGES;
        if (this.record.messages_cut) return;
        const json = toJson(desc, message, { registry: this.gateway.registry });
        // Once more as text: its long strings are trees of single characters.
        this.record.messages.push(JSON.parse(JSON.stringify(json)));
    }

    async *notedMessages(desc, messages) {
        for await (const message of messages) {
            this.noteMessage(desc, message);
            yield message;
        }
    }

    async *notedBody(body) {
        for await (const chunk of body) {
            this.note(chunk);
            yield chunk;
        }
    }

    // --- Answers by connect ---

    // With a filter {head(status, headers), data(chunk), end(trailers)}, each of which may take its
    // time, that gets the answer instead of the client.
    async forward(filter = null) {
        const { req, res } = this;
        try {
            const request = universalRequestFromNodeRequest(req, res, undefined, undefined);
            request.body = this.notedBody(request.body);
            const response = await this.gateway.proxy.serve(request, this);
            if (filter) await this.refer(response, filter);
            else await universalResponseToNodeResponse(response, res);
        } catch (e) {
            const error = ConnectError.from(e);
            if (error.code !== Code.Aborted && !this.over) console.error(`${this.path}:`, e);
            if (!res.headersSent && !this.over) this.reset();
        }
    }

    async refer(response, filter) {
        let headed = false;
        const head = async () => {
            if (headed) return;
            headed = true;
            await filter.head(response.status, Object.fromEntries(response.header ?? []));
        };
        for await (const chunk of response.body ?? []) {
            await head();
            await filter.data(Buffer.from(chunk));
            if (this.over || this.res.writableEnded) break;
        }
        await head();
        await filter.end(Object.fromEntries(response.trailer ?? []));
    }

    // --- Answers by hand ---

    head(status, headers = {}) {
        if (this.over || this.res.headersSent) return;
        this.res.writeHead(status, headers);
        this.res.flushHeaders?.(); // HTTP/1.1 would wait for the first byte
    }

    // Resolves when there is room for more.
    async write(chunk) {
        if (this.over || this.res.writableEnded) return;
        if (!this.res.write(chunk)) await first(this.res, "drain", "close");
    }

    // Resolves when all is on its way.
    async flush(chunk) {
        if (this.over || this.res.writableEnded) return;
        await new Promise((done) => {
            this.res.once("close", done);
            this.res.write(chunk, () => {
                this.res.off("close", done);
                done();
            });
        });
    }

    end(trailers = {}) {
        if (this.over || this.res.writableEnded) return;
        if (Object.keys(trailers).length > 0) this.res.addTrailers(trailers);
        this.res.end();
    }

    // The head and the end in one HTTP/2 frame.
    headOnly(status, headers) {
        if (this.over || this.res.headersSent) return;
        if (this.h2) {
            this.req.stream.respond({ ":status": status, ...headers }, { endStream: true });
        } else {
            this.res.writeHead(status, headers);
            this.res.end();
        }
    }

    // What ends a good answer of this protocol by hand.
    get goodTrailers() { return this.protocol === "grpc" ? { "grpc-status": "0" } : {}; }

    // Break the exchange off. HTTP/2: reset the stream; HTTP/1.1: close the connection.
    reset(fault = {}) {
        if (this.over) return;
        this.over = true;
        if (this.h2 && !fault.connection && !fault.rst) {
            this.req.stream.close(fault.code ?? http2.constants.NGHTTP2_INTERNAL_ERROR);
            return;
        }
        const socket = this.gateway.socket(this.record.connection);
        if (fault.rst) socket?.resetAndDestroy();
        else socket?.destroy();
    }

    // Reads and records the request. Resolves at its end; at once if its client waits for an answer
    // before that.
    async received(fault = {}) {
        this.req.on("data", (chunk) => this.note(chunk));
        if (this.bidi || fault.early || this.req.readableEnded) return;
        await first(this.req, "end", "close");
    }
}
