// SPDX-License-Identifier: MIT
//
// All RPCs of tests/proto, served by connect and forwarded to the backend: what arrives is decoded
// by the server's side of connect, encoded again by its client's side, and the reply likewise. The
// backend is spoken to in the Connect protocol with binary messages, whatever the client speaks.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { createFileRegistry, fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createConnectRouter, createContextKey,
         createContextValues } from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { codeFromString, createTransport } from "@connectrpc/connect/protocol-connect";

const PROTO = fileURLToPath(new URL("../proto/", import.meta.url));
const MAX = 0xffffffff;
// Headers of the protocols and of one connection; the others are passed on.
const OURS = new RegExp("^(content-(type|length|encoding)|(connect|grpc)-.*|accept(-encoding)?|" +
                        "te|trailer|host|connection|date|keep-alive|transfer-encoding|expect|" +
                        "authorization|x-wandb-api-key)$");

const kExchange = createContextKey(null);

// Descriptors of all of tests/proto, by protoc.
export function loadRegistry(dir) {
    const files = [];
    const walk = (at) => readdirSync(join(PROTO, at), { withFileTypes: true }).forEach((e) =>
        (e.isDirectory() ? walk(join(at, e.name)) : files.push(join(at, e.name))));
    walk("");
    const out = join(dir, "protos.bin");
    execFileSync("protoc", ["-I", PROTO, "--include_imports", `--descriptor_set_out=${out}`,
                            ...files.filter((f) => f.endsWith(".proto"))]);
    return createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(out)));
}

function copy(from, to) {
    from.forEach((value, name) => {
        if (!OURS.test(name)) to.append(name, value);
    });
    return to;
}

// The backend's error as if it were raised here: code, message, details; no headers of its reply.
function reraise(error) {
    const e = ConnectError.from(error);
    const mine = new ConnectError(e.rawMessage, e.code, copy(e.metadata, new Headers()));
    mine.details = e.details;
    throw mine;
}

// The error that a fault of action "error" orders; see faults.mjs.
export function orderedError(fault, registry) {
    const code = typeof fault.code === "number" ? fault.code : codeFromString(fault.code);
    const error = new ConnectError(fault.message ?? "", code ?? Code.Unknown, fault.metadata);
    const details = [...fault.details ?? []];
    if (fault.retry_after !== undefined) {
        details.push({ type: "google.rpc.RetryInfo",
                       value: { retryDelay: `${fault.retry_after}s` } });
    }
    error.details = details.map(({ type, value, base64 }) => {
        if (base64 !== undefined) return { type, value: Buffer.from(base64, "base64") };
        const desc = registry.getMessage(type);
        if (!desc) throw new Error(`no message ${type} in tests/proto`);
        return { type, value: toBinary(desc, fromJson(desc, value, { registry })), debug: value };
    });
    return error;
}

// What serves one RPC. Its fault, if any, is {after, error}: raise this error after so many
// messages of the reply; undefined: before the backend is asked.
function implement(method, transport) {
    const before = (ctx) => {
        const { fault } = ctx.values.get(kExchange);
        if (fault && fault.after === undefined) throw fault.error;
    };
    const call = (kind, ctx, message) => {
        const left = ctx.timeoutMs();
        return transport[kind](method, ctx.signal, left === undefined ? undefined :
            Math.max(1, left), copy(ctx.requestHeader, new Headers()), message);
    };
    async function unary(message, ctx) {
        const x = ctx.values.get(kExchange);
        x.noteMessage(method.input, message);
        before(ctx);
        const reply = await call("unary", ctx, message).catch(reraise);
        if (x.fault) throw x.fault.error;
        copy(reply.header, ctx.responseHeader);
        copy(reply.trailer, ctx.responseTrailer);
        return reply.message;
    }
    async function* stream(messages, ctx) {
        const x = ctx.values.get(kExchange);
        before(ctx);
        try {
            let sent = 0;
            const reply = await call("stream", ctx, x.notedMessages(method.input, messages));
            copy(reply.header, ctx.responseHeader);
            for await (const message of reply.message) {
                if (x.fault && sent >= x.fault.after) throw x.fault.error;
                yield message;
                sent++;
            }
            if (x.fault) throw x.fault.error;
            copy(reply.trailer, ctx.responseTrailer);
        } catch (e) {
            reraise(e);
        }
    }
    switch (method.methodKind) {
    case "unary": return unary;
    case "server_streaming":
        return (message, ctx) => stream((async function* () { yield message; })(), ctx);
    case "bidi_streaming": return stream;
    default: throw new Error(`${method}: client streaming is not served`);
    }
}

// connect escapes more of grpc-message than the protocol asks for ("/" and ":", too), which clients
// of grpc-js do not undo: they would show it.
async function* plainStatus(body, trailer) {
    yield* body;
    const message = trailer.get("grpc-message");
    if (message === null) return;
    trailer.set("grpc-message",
                decodeURIComponent(message).replace(/[^ -$&-~]+/gu, encodeURIComponent));
}

// Refuses whoever did not show the key. The reason is the only one that the service is known to
// give with this code.
const authenticate = (registry) => (next) => (request) => {
    if (request.contextValues.get(kExchange).credential) return next(request);
    throw orderedError({ code: "unauthenticated", message: "no or wrong API key", details: [
        { type: "google.rpc.ErrorInfo",
          value: { domain: "cwsandbox.com", reason: "CWSANDBOX_AUTH_EXPIRED" } }] }, registry);
};

// Returns serve(universal request, exchange), which gives the universal response.
export function createProxy(registry, backend) {
    const transport = createTransport({
        httpClient: (request) => backend.fetch(request), baseUrl: "http://backend",
        useBinaryFormat: true, interceptors: [], acceptCompression: [], sendCompression: null,
        compressMinBytes: MAX, readMaxBytes: MAX, writeMaxBytes: MAX,
    });
    const router = createConnectRouter({ interceptors: [authenticate(registry)],
                                         acceptCompression: [compressionGzip, compressionBrotli],
                                         jsonOptions: { registry } });
    for (const service of registry) {
        if (service.kind !== "service") continue;
        router.service(service, Object.fromEntries(service.methods.map((method) =>
            [method.localName, implement(method, transport)])));
    }
    const handlers = new Map(router.handlers.map((h) => [h.requestPath, h]));
    return {
        method: (path) => handlers.get(path)?.method,
        serve: async (request, exchange) => {
            const handler = handlers.get(new URL(request.url).pathname);
            if (!handler) return { status: 404 };
            const reply = await handler({
                ...request, contextValues: createContextValues().set(kExchange, exchange) });
            if (exchange.protocol !== "grpc" || !reply.trailer) return reply;
            return { ...reply, body: plainStatus(reply.body ?? [], reply.trailer) };
        },
    };
}
