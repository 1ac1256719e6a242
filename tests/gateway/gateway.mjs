// SPDX-License-Identifier: MIT
//
// A Connect, gRPC and gRPC-Web server in front of the local backend, for tests: its protocol code
// is that of the connect project, so the client is checked by other hands.
//
//     node gateway.mjs [--foreground] BACKEND-PROGRAM
//
//     listeners.mjs  addresses, certificates       proxy.mjs    the RPCs, by connect
//     exchange.mjs   one request, its record       backend.mjs  the pipe to tests/backend.c
//     faults.mjs     what it can do wrong          control.mjs  the orders of a test
//
// Environment: GATEWAY_API_KEY: the bearer key that is demanded; GATEWAY_WANDB_KEY: the W&B key
// that will do, too; neither: none is demanded. GATEWAY_PORT: of the plain address.
//
// For a test program it prints one line of JSON, {"port":..,"tls":..,"mtls":..,"control":..,
// "ca":"file","client_cert":"file","client_key":"file"}, and ends when standard input does. In the
// foreground it prints what a client needs in its environment, and ends with a signal.

import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";

import { Backend } from "./backend.mjs";
import { createControl } from "./control.mjs";
import { Exchange, journal } from "./exchange.mjs";
import { actions, faults } from "./faults.mjs";
import { listen, openListeners } from "./listeners.mjs";
import { createProxy, loadRegistry } from "./proxy.mjs";

const foreground = process.argv[2] === "--foreground";
const program = process.argv[foreground ? 3 : 2] ?? "build/tests/backend";
const build = resolve(process.env.BUILD ?? "build");
const keys = { bearer: process.env.GATEWAY_API_KEY, wandb: process.env.GATEWAY_WANDB_KEY };
if (foreground) keys.bearer ||= randomBytes(16).toString("hex");

mkdirSync(build, { recursive: true });
const dir = mkdtempSync(join(build, "gateway-"));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));

const backend = new Backend(program, journal.stats);
let stopping = false;
async function stop() {
    if (stopping) return;
    stopping = true;
    await backend.stop();
    process.exit(0);
}
backend.ended.then((why) => {
    if (stopping) return;
    console.error(`gateway: the backend ended: ${why}`);
    process.exit(1);
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);
if (!foreground) process.stdin.on("end", stop).resume();

const registry = loadRegistry(dir);
const gateway = { registry, keys, proxy: createProxy(registry, backend),
                  socket: (number) => listeners.socket(number) };

function serve(req, res) {
    const x = new Exchange(req, res, gateway);
    const fault = faults.take(x.path);
    if (!fault) {
        x.forward();
        return;
    }
    Promise.resolve(actions[fault.action](x, fault)).catch((e) => {
        console.error(`gateway: ${fault.action}:`, e);
        x.reset();
    });
}

const listeners = await openListeners(dir, +(process.env.GATEWAY_PORT ?? 0), serve);
const control = await listen(createControl(listeners));

const { port, tls, mtls, ca, client_cert, client_key } = listeners;
if (foreground) {
    console.log(`CWSANDBOX_BASE_URL=http://127.0.0.1:${port}`);
    console.log(`CWSANDBOX_API_KEY=${keys.bearer}`);
    console.error([`TLS         https://localhost:${tls}`,
                   `mutual TLS  https://localhost:${mtls}`,
                   `authority   ${ca}`,
                   `client      ${client_cert} ${client_key}`,
                   `control     http://127.0.0.1:${control}`,
                   "Ctrl-C ends it."].join("\n"));
} else {
    console.log(JSON.stringify({ port, tls, mtls, control, ca, client_cert, client_key }));
}
