// SPDX-License-Identifier: MIT
//
// The addresses: one that takes HTTP/1.1 and HTTP/2 cleartext, told apart by their first bytes, one
// with TLS and ALPN, one that demands a client certificate too. All lead to one HTTP/1.1 and one
// HTTP/2 server, which listen nowhere themselves.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { join } from "node:path";
import tls from "node:tls";

import { journal } from "./exchange.mjs";

const HOST = "127.0.0.1";
const { stats } = journal;

const CONFIG = `[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
subjectAltName = DNS:localhost, IP:127.0.0.1
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
`;

export const listen = (server, port = 0) => new Promise((done, fail) => {
    server.once("error", fail);
    server.listen({ host: HOST, port, backlog: 4096 }, () => done(server.address().port));
});

// An authority and what it vouches for: ca.pem, server.pem, client.pem and their keys (.key).
function makeCertificates(dir) {
    const at = (name) => join(dir, name);
    const openssl = (...args) =>
        execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
    const newKey = (name, subject) =>
        ["req", "-config", at("openssl.cnf"), "-new", "-newkey", "rsa:2048", "-nodes", "-subj",
         `/CN=${subject}`, "-keyout", at(`${name}.key`)];
    writeFileSync(at("openssl.cnf"), CONFIG);
    openssl(...newKey("ca", "test authority"), "-x509", "-days", "2", "-extensions", "ca",
            "-out", at("ca.pem"));
    for (const [name, subject] of [["server", "localhost"], ["client", "test client"]]) {
        openssl(...newKey(name, subject), "-out", at(`${name}.csr`));
        openssl("x509", "-req", "-in", at(`${name}.csr`), "-days", "2", "-CA", at("ca.pem"),
                "-CAkey", at("ca.key"), "-CAcreateserial", "-extfile", at("openssl.cnf"),
                "-extensions", name, "-out", at(`${name}.pem`));
    }
}

// serve(req, res) gets every request. Answers {port, tls, mtls, ca, client_cert, client_key} and
// functions: socket(number) of a connection, cut() them all, settings(HTTP/2 ones, for new ones).
export async function openListeners(dir, port, serve) {
    const sockets = new Map(); // connection number -> its TCP socket
    const numbers = new Map(); // the two ports of a connection -> its number
    const ends = (socket) => `${socket.localPort} ${socket.remotePort}`;
    const h1 = http.createServer({ keepAliveTimeout: 60000, requestTimeout: 0 }, serve);
    const h2 = http2.createServer({ settings: { maxConcurrentStreams: 1000 },
                                    maxSessionMemory: 1000, streamResetBurst: 100000,
                                    streamResetRate: 100000 }, serve);
    h1.on("clientError", (e, socket) => socket.destroy());
    h2.on("sessionError", () => {});

    const enter = (socket) => {
        socket.number = ++stats.connections;
        stats.connections_open++;
        sockets.set(socket.number, socket);
        const key = ends(socket);
        numbers.set(key, socket.number);
        socket.setNoDelay(true);
        socket.on("error", () => {});
        socket.on("close", () => {
            sockets.delete(socket.number);
            numbers.delete(key);
            stats.connections_open--;
        });
    };
    const plain = net.createServer((socket) => {
        enter(socket);
        socket.on("readable", function look() {
            const start = socket.read(4); // of "PRI * HTTP/2.0"
            if (!start) return;
            socket.off("readable", look);
            socket.unshift(start);
            (start.toString("latin1") === "PRI " ? h2 : h1).emit("connection", socket);
        });
    });
    const secure = (options) => {
        const server = tls.createServer({ ...options, ALPNProtocols: ["h2", "http/1.1"] },
                                        (socket) => {
            socket.number = numbers.get(ends(socket));
            socket.on("error", () => {});
            (socket.alpnProtocol === "h2" ? h2 : h1).emit("connection", socket);
        });
        server.prependListener("connection", enter);
        server.on("tlsClientError", () => {});
        return server;
    };

    makeCertificates(dir);
    const file = (name) => readFileSync(join(dir, name));
    const own = { key: file("server.key"), cert: file("server.pem") };
    const mutual = { ...own, ca: file("ca.pem"), requestCert: true, rejectUnauthorized: true };
    return {
        port: await listen(plain, port),
        tls: await listen(secure(own)),
        mtls: await listen(secure(mutual)),
        ca: join(dir, "ca.pem"),
        client_cert: join(dir, "client.pem"),
        client_key: join(dir, "client.key"),
        socket: (number) => sockets.get(number),
        cut: () => sockets.forEach((socket) => socket.destroy()),
        settings: (settings) => h2.updateSettings(settings),
    };
}
