// SPDX-License-Identifier: MIT
//
// The control port: plain HTTP with JSON.
//
//     PUT    /faults       replace the list of faults (faults.mjs)
//     GET    /faults       those that are left
//     PUT    /settings     HTTP/2 settings for new connections, e.g. {"maxConcurrentStreams":4,
//                          "initialWindowSize":1024}
//     GET    /requests     what was received, one JSON object a line
//     DELETE /requests     forget it
//     GET    /stats        counters
//     DELETE /connections  cut all connections

import http from "node:http";

import { journal } from "./exchange.mjs";
import { faults } from "./faults.mjs";

export function createControl(listeners) {
    const orders = {
        "PUT /faults": (body) => faults.set(JSON.parse(body)),
        "GET /faults": () => faults.left(),
        "PUT /settings": (body) => listeners.settings(JSON.parse(body)),
        "GET /requests": () => journal.requests.map((r) => JSON.stringify(r) + "\n").join(""),
        "DELETE /requests": () => { journal.requests = []; },
        "GET /stats": () => journal.stats,
        "DELETE /connections": () => listeners.cut(),
    };
    return http.createServer(async (req, res) => {
        const parts = [];
        for await (const part of req) parts.push(part);
        try {
            const order = orders[`${req.method} ${req.url}`];
            if (!order) throw new Error(`unknown: ${req.method} ${req.url}`);
            const reply = order(Buffer.concat(parts).toString()) ?? {};
            res.writeHead(200, { "content-type": "application/json", connection: "close" });
            res.end(typeof reply === "string" ? reply : JSON.stringify(reply) + "\n");
        } catch (e) {
            res.writeHead(400, { connection: "close" });
            res.end(`${e.message}\n`);
        }
    });
}
