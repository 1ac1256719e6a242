/* SPDX-License-Identifier: MIT
 *
 * example.h: where the examples run. With CWSANDBOX_API_KEY set, on the real service; without, on
 * processes of this machine (local_transport.h), and they say so on stderr.
 */

#ifndef CWS_EXAMPLE_H
#define CWS_EXAMPLE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* local_transport.h uses Linux calls where there are any */
#endif
#define CWSANDBOX_IMPLEMENTATION
#include "../cwsandbox.h"
#include "local_transport.h"

#include <stdio.h>
#include <stdlib.h>

/* Say what went wrong. Returns the exit code of a program that failed. */
CWS_UNUSED_OK
static int complain(const cws_error *why)
{
    fprintf(stderr, "%s: %s\n", cws_status_name(why->status), why->message);
    return 1;
}

static void example_warn(const char *line, void *user)
{
    (void)user;
    fprintf(stderr, "local backend: %s\n", line);
}

/* cws_session_open with a client for the examples; opts may be NULL. A program of yours calls
 * cws_session_open itself: with CWSANDBOX_API_KEY set, nothing else is needed. */
CWS_UNUSED_OK
static cws_status example_open(const cws_session_opts *opts, cws_session **out, cws_error *err)
{
    const char *key = getenv("CWSANDBOX_API_KEY");
    cws_local_opts backend = {.warn = example_warn};
    cws_session_opts mine = {0};
    cws_client_opts client = {0};
    cws_transport local;
    cws_status status;
    if (key && key[0]) return cws_session_open(opts, out, err); /* the environment says where */
    fprintf(stderr, "no CWSANDBOX_API_KEY: sandboxes are processes of this machine\n");
    status = cws_local_transport_open(&backend, &local, err);
    if (status) return status;
    if (opts) mine = *opts;
    mine.client_opts = &client;
    client.transport = &local; /* copied, and closed with the session */
    client.base_url = "http://localhost";
    client.protocol = CWS_PROTOCOL_CONNECT; /* whatever the environment says of the service */
    status = cws_session_open(&mine, out, err);
    if (status) local.close(local.user);
    return status;
}

#endif
