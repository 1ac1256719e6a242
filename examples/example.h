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

static void example_warn(const char *line, void *user)
{
    (void)user;
    fprintf(stderr, "local backend: %s\n", line);
}

/* Options of a client for the examples; local keeps the transport alive. */
CWS_UNUSED_OK
static cws_status example_client_opts(cws_client_opts *opts, cws_transport *local, cws_error *err)
{
    const char *key = getenv("CWSANDBOX_API_KEY");
    cws_local_opts backend = {0};
    cws_status status;
    memset(opts, 0, sizeof(*opts));
    if (key && key[0]) return CWS_OK; /* the environment says where and who */
    fprintf(stderr, "no CWSANDBOX_API_KEY: sandboxes are processes of this machine\n");
    backend.warn = example_warn;
    status = cws_local_transport_open(&backend, local, err);
    opts->transport = local;
    opts->base_url = "http://localhost";
    opts->protocol = CWS_PROTOCOL_CONNECT; /* whatever the environment says of the service */
    return status;
}

#endif
