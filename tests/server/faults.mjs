// SPDX-License-Identifier: MIT
//
// What the test server can do wrong. Each action gets the exchange `x` (server.mjs) and the fault
// that was ordered, {"match":"part of a path","times":1,"action":"name", ...}, whose other members
// are described at each action.

import { randomBytes } from "node:crypto";
import http2 from "node:http2";

const ZEROS = Buffer.alloc(65536);

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Resolves when the first of these events comes.
export const first = (emitter, ...events) => new Promise((done) => {
    const listener = () => {
        events.forEach((event) => emitter.off(event, listener));
        done();
    };
    events.forEach((event) => emitter.on(event, listener));
});

// A filter that lets the reply through, changed by some members.
const through = (x, changes = {}) => ({
    head: (status, headers) => x.head(status, headers),
    data: (chunk) => x.write(chunk),
    end: () => x.end(),
    ...changes,
});

const without = (headers, name) => headers.filter(([n]) => n !== name);

// Lets `limit` bytes of the reply through, then calls stop, once and after they were sent.
function cut(x, limit, stop, headChanges = (h) => h) {
    let left = limit;
    let stopped = false;
    const finish = () => {
        if (stopped) return;
        stopped = true;
        stop();
    };
    return through(x, {
        head: (status, headers) => {
            x.head(status, headChanges(headers));
            if (left === 0) setTimeout(finish, 20); // the head goes out first
        },
        data: (chunk) => {
            if (left === 0) return true;
            const part = chunk.subarray(0, left);
            left -= part.length;
            return x.write(part, left === 0 ? () => setTimeout(finish, 20) : undefined);
        },
        end: () => (left === 0 ? undefined : finish()),
    });
}

// Calls each(flags, envelope) for every envelope of a stream's reply.
function envelopes(each) {
    let have = Buffer.alloc(0);
    return (chunk) => {
        have = Buffer.concat([have, chunk]);
        let flows = true;
        while (have.length >= 5 && have.length >= 5 + have.readUInt32BE(1)) {
            const size = 5 + have.readUInt32BE(1);
            flows = each(have[0], have.subarray(0, size)) && flows;
            have = have.subarray(size);
        }
        return flows;
    };
}

// Runs the parts of a reply in order, each after a delay.
function delayed(x, headDelay, chunkDelay) {
    let queue = Promise.resolve();
    const later = (ms, what) => {
        queue = queue.then(async () => {
            await sleep(ms);
            what();
        });
        return true;
    };
    return {
        head: (status, headers) => later(headDelay, () => x.head(status, headers)),
        data: (chunk) => later(chunkDelay, () => x.write(chunk)),
        end: () => later(chunkDelay, () => x.end()),
    };
}

const bytes = (fault, otherwise) =>
    fault.hex !== undefined ? Buffer.from(fault.hex, "hex") :
    fault.base64 !== undefined ? Buffer.from(fault.base64, "base64") :
    fault.body !== undefined ? Buffer.from(fault.body) : otherwise;

export const actions = {
    // Any answer: "status", "headers" (object), the body as "body", "hex" or "base64".
    async status(x, fault) {
        await x.received(fault);
        x.head(fault.status ?? 503, Object.entries(fault.headers ?? {}));
        x.end(bytes(fault, Buffer.alloc(0)));
    },
    async html502(x, fault) {
        await x.received(fault);
        x.head(502, [["content-type", "text/html"]]);
        x.end("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\n");
    },
    hang(x) { x.req.resume(); },
    hang_after_head(x) {
        x.req.resume();
        x.head(200, [["content-type", x.type]]);
    },
    // "code": HTTP/2 error code; "connection": the whole connection; "rst": TCP reset.
    reset_before_head(x, fault) {
        x.req.resume();
        x.reset(fault);
    },
    // As above, after "bytes" bytes of the body of the reply (0: after the head).
    reset_after_bytes(x, fault) { x.forward(cut(x, fault.bytes ?? 0, () => x.reset(fault))); },
    // A clean end after "bytes" bytes: HTTP says that all is well.
    close_after_bytes(x, fault) {
        x.forward(cut(x, fault.bytes ?? 0, () => x.end(), (h) => without(h, "content-length")));
    },
    // "size" random bytes as if they were the answer.
    async garbage(x, fault) {
        await x.received(fault);
        x.head(200, [["content-type", x.type]]);
        x.end(bytes(fault, randomBytes(fault.size ?? 1000)));
    },
    wrong_content_type(x, fault) {
        const type = ["content-type", fault.type ?? "text/html"];
        x.forward(through(x, { head: (status, h) =>
            x.head(status, [...without(h, "content-type"), type]) }));
    },
    // A stream without its last envelope.
    missing_end(x) {
        const pass = envelopes((flags, all) => ((flags & 2) !== 0 ? true : x.write(all)));
        x.forward(through(x, { data: pass }));
    },
    // An envelope with unknown flags and an absurd length, then nothing; or the given bytes.
    async garbage_envelope(x, fault) {
        await x.received(fault);
        x.head(200, [["content-type", x.type]]);
        x.end(bytes(fault, Buffer.from("7cffffffff00112233", "hex")));
    },
    // "gigabytes" of zero bytes, as fast as the client takes them; "hex" comes first.
    async huge(x, fault) {
        await x.received(fault);
        x.head(200, [["content-type", x.type]]);
        x.write(bytes(fault, Buffer.alloc(0)));
        let left = (fault.gigabytes ?? 10) * 2 ** 30;
        for (; left > 0 && !x.over; left -= ZEROS.length) {
            if (x.write(ZEROS)) continue;
            await first(x.res, "drain", "close");
        }
        x.end();
    },
    async redirect(x, fault) {
        await x.received(fault);
        x.head(fault.status ?? 307, [["location", fault.location ?? "/elsewhere"]]);
        x.end();
    },
    delay_head(x, fault) { x.forward(delayed(x, fault.ms ?? 100, 0)); },
    delay_chunks(x, fault) { x.forward(delayed(x, 0, fault.ms ?? 100)); },
    // The server ends its side after the head (and the given bytes) and goes on reading, without
    // the last envelope. "code": resets the stream after that, 0 being the usual NO_ERROR.
    half_close_early(x, fault) {
        x.req.resume();
        x.head(200, [["content-type", x.type]]);
        if (x.h2 && fault.code !== undefined) {
            setTimeout(() => x.req.stream.close(fault.code), 20); // both go out, in this order
        }
        x.end(bytes(fault, undefined));
    },
    // HTTP/2 GOAWAY. "refuse": this request was not processed; else it is answered, and the
    // connection takes no further one. HTTP/1.1: the connection closes after the answer.
    goaway(x, fault) {
        if (x.h2) {
            const id = x.req.stream.id;
            x.req.stream.session.goaway(fault.code ?? 0, fault.refuse ? Math.max(0, id - 2) : id);
            if (fault.refuse) {
                x.reset({ code: http2.constants.NGHTTP2_REFUSED_STREAM });
                return;
            }
        } else {
            x.res.setHeader("connection", "close");
        }
        x.forward();
    },
};
