// SPDX-License-Identifier: MIT
//
// What the gateway can do wrong. A fault is {"match":"part of a path", "skip":0, "times":1,
// "action":"name", ...}: the first one that matches and is not used up is taken; without "match" it
// matches all; "skip" lets so many matching requests pass; without "times" it is used once. The
// other members are described at each action, which gets the exchange `x` (exchange.mjs). Bytes are
// given as "body" (text), "hex" or "base64"; times are in milliseconds.

import { randomBytes } from "node:crypto";
import http2 from "node:http2";

import { orderedError } from "./proxy.mjs";

const ZEROS = Buffer.alloc(65536);

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const bytes = (fault, otherwise = Buffer.alloc(0)) =>
    fault.hex !== undefined ? Buffer.from(fault.hex, "hex") :
    fault.base64 !== undefined ? Buffer.from(fault.base64, "base64") :
    fault.body !== undefined ? Buffer.from(fault.body) : otherwise;

// A filter that lets the answer through, changed by some members.
const through = (x, changes = {}) => ({
    head: (status, headers) => x.head(status, headers),
    data: (chunk) => x.write(chunk),
    end: (trailers) => x.end(trailers),
    ...changes,
});

const without = (object, ...names) =>
    Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));

// Lets `limit` bytes of the answer through, then calls stop, once and after they were sent.
function cut(x, limit, stop) {
    let left = limit;
    let stopped = false;
    const finish = async () => {
        if (stopped) return;
        stopped = true;
        await sleep(20); // what was written is sent first
        stop();
    };
    return through(x, {
        head: async (status, headers) => {
            x.head(status, without(headers, "content-length"));
            if (left === 0) await finish();
        },
        data: async (chunk) => {
            if (left === 0) return;
            const part = chunk.subarray(0, left);
            left -= part.length;
            await (left === 0 ? x.flush(part) : x.write(part));
            if (left === 0) await finish();
        },
        end: finish,
    });
}

// A filter of data that calls each(flags, envelope) for every envelope of an answer.
function envelopes(each) {
    let have = Buffer.alloc(0);
    return async (chunk) => {
        have = Buffer.concat([have, chunk]);
        while (have.length >= 5 && have.length >= 5 + have.readUInt32BE(1)) {
            const size = 5 + have.readUInt32BE(1);
            await each(have[0], have.subarray(0, size));
            have = have.subarray(size);
        }
    };
}

// An answer by hand, with this body and what ends a good answer of the protocol.
async function answer(x, fault, body) {
    await x.received(fault);
    x.head(200, { "content-type": x.type });
    await x.write(body);
    x.end(x.goodTrailers);
}

export const actions = {
    // --- The RPC fails, in whatever protocol was asked ---

    // "code": a name like "not_found" or a number; "message"; "metadata" (object); "details":
    // [{"type":"google.rpc.ErrorInfo","value":{its JSON}}] or with "base64" instead of "value";
    // "retry_after": seconds, makes a google.rpc.RetryInfo; "after": the backend does its work and
    // so many messages of a stream come first (a unary call: its reply is lost); "trailers_only":
    // gRPC with the status in the head, as other servers send it.
    error(x, fault) {
        x.fault = { after: fault.after, error: orderedError(fault, x.gateway.registry) };
        if (!fault.trailers_only) return x.forward();
        let head = null;
        return x.forward({
            head: (status, headers) => { head = { status, headers }; },
            data: (chunk) => {
                x.head(head.status, head.headers);
                return x.write(chunk);
            },
            end: (trailers) => {
                if (x.res.headersSent) x.end(trailers);
                else x.headOnly(head.status, { ...head.headers, ...trailers });
            },
        });
    },

    // --- The answer comes late, in pieces, or changed ---

    // "head", "message", "end": before each of these.
    delay(x, fault) {
        return x.forward(through(x, {
            head: async (status, headers) => {
                await sleep(fault.head ?? 0);
                x.head(status, headers);
            },
            data: async (chunk) => {
                await sleep(fault.message ?? 0);
                await x.write(chunk);
            },
            end: async (trailers) => {
                await sleep(fault.end ?? 0);
                x.end(trailers);
            },
        }));
    },
    delay_head(x, fault) { return actions.delay(x, { head: fault.ms ?? 100 }); },
    delay_chunks(x, fault) {
        return actions.delay(x, { message: fault.ms ?? 100, end: fault.ms ?? 100 });
    },
    // Pieces of "size" bytes, each sent by itself, with "ms" between them.
    pieces(x, fault) {
        return x.forward(through(x, { data: async (chunk) => {
            const size = fault.size ?? 1;
            for (let at = 0; at < chunk.length && !x.over; at += size) {
                await x.flush(chunk.subarray(at, at + size));
                await sleep(fault.ms ?? 0);
            }
        } }));
    },
    // "status", "headers" and "trailers" (objects) to add or replace, "remove": names of either.
    edit(x, fault) {
        const change = (object, more) => ({ ...without(object, ...fault.remove ?? []), ...more });
        return x.forward(through(x, {
            head: (status, h) => x.head(fault.status ?? status, change(h, fault.headers)),
            end: (trailers) => x.end(change(trailers, fault.trailers)),
        }));
    },
    // "type"
    wrong_content_type(x, fault) {
        return actions.edit(x, { headers: { "content-type": fault.type ?? "text/html" } });
    },
    // A 103 head first.
    early_hints(x) {
        const hints = { link: "</hint>; rel=preload" };
        if (x.h2) x.req.stream.additionalHeaders({ ":status": 103, ...hints });
        else x.res.writeEarlyHints(hints);
        return x.forward();
    },

    // --- The answer is cut short ---

    // "code": HTTP/2 error code; "connection": close the whole connection, once the request is
    // here: until then a client may send it again; "rst": with a TCP reset.
    async reset_before_head(x, fault) {
        const whole = x.received();
        if (fault.connection) await whole;
        x.reset(fault);
    },
    // As above, after "bytes" bytes of the body of the answer (0: after the head).
    reset_after_bytes(x, fault) {
        return x.forward(cut(x, fault.bytes ?? 0, () => x.reset(fault)));
    },
    // A clean end after "bytes" bytes: HTTP says that all is well.
    close_after_bytes(x, fault) { return x.forward(cut(x, fault.bytes ?? 0, () => x.end())); },
    // Connect and gRPC-Web: a stream without its last envelope. gRPC: no trailers.
    missing_end(x) {
        return x.forward(through(x, {
            data: x.type.includes("+") || x.protocol !== "connect" ?
                envelopes((flags, all) => ((flags & 0x82) !== 0 ? undefined : x.write(all))) :
                (chunk) => x.write(chunk),
            end: () => x.end(),
        }));
    },
    // The server ends its side after the head (and the given bytes) and goes on reading. "code":
    // resets the stream after that, 0 being the usual NO_ERROR.
    async half_close_early(x, fault) {
        x.received();
        x.head(200, { "content-type": x.type });
        await x.flush(bytes(fault));
        x.end();
        if (!x.h2 || fault.code === undefined) return;
        await sleep(20); // both go out, in this order
        x.req.stream.close(fault.code);
    },

    // --- Something else is the answer, or nothing ---

    // "status", "headers" and "trailers" (objects), bytes.
    async status(x, fault) {
        await x.received(fault);
        x.head(fault.status ?? 503, fault.headers);
        await x.write(bytes(fault));
        x.end(fault.trailers);
    },
    html502(x) {
        return actions.status(x, { status: 502, headers: { "content-type": "text/html" },
            body: "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\n" });
    },
    // "location", "status"
    redirect(x, fault) {
        return actions.status(x, { status: fault.status ?? 307,
                                   headers: { location: fault.location ?? "/elsewhere" } });
    },
    // The given bytes, or "size" random ones, as if they were the answer.
    garbage(x, fault) { return answer(x, fault, bytes(fault, randomBytes(fault.size ?? 1000))); },
    // An envelope with unknown flags and an absurd length, then nothing; or the given bytes.
    garbage_envelope(x, fault) {
        return answer(x, fault, bytes(fault, Buffer.from("7cffffffff00112233", "hex")));
    },
    // "read": false leaves the request unread too.
    hang(x, fault) { if (fault.read !== false) x.received(); },
    hang_after_head(x) {
        x.received();
        x.head(200, { "content-type": x.type });
    },
    // "gigabytes" of zero bytes, as fast as the client takes them; the given bytes come first.
    async huge(x, fault) {
        await x.received(fault);
        x.head(200, { "content-type": x.type });
        await x.write(bytes(fault));
        for (let left = (fault.gigabytes ?? 10) * 2 ** 30; left > 0 && !x.over;
             left -= ZEROS.length) {
            await x.write(ZEROS);
        }
        x.end(x.goodTrailers);
    },

    // --- The connection ends ---

    // HTTP/2 GOAWAY with "code". "refuse": this request was not processed; else it is answered. The
    // connection takes no further one and closes when its last stream does. HTTP/1.1: the
    // connection closes after the answer.
    goaway(x, fault) {
        if (!x.h2) {
            x.res.setHeader("connection", "close");
            return x.forward();
        }
        const { stream } = x.req;
        const { session } = stream;
        session.goaway(fault.code ?? 0, fault.refuse ? Math.max(0, stream.id - 2) : stream.id);
        x.res.once("close", () => session.close());
        if (!fault.refuse) return x.forward();
        x.received();
        x.reset({ code: http2.constants.NGHTTP2_REFUSED_STREAM });
    },
};

let ordered = [];

export const faults = {
    set(list) {
        for (const f of list) {
            if (!Object.hasOwn(actions, f.action)) throw new Error(`no action ${f.action}`);
        }
        ordered = list.map((f) => ({ match: "", skip: 0, times: 1, ...f }));
    },
    left: () => ordered.filter((f) => f.times > 0),
    take(path) {
        const fault = ordered.find((f) => f.times > 0 && path.includes(f.match));
        if (!fault) return null;
        if (fault.skip-- > 0) return null;
        fault.times--;
        return fault;
    },
};
