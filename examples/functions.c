/* functions.c: call functions in sandboxes: a Python one for each of several arguments at once, and
 * a C one, which gives the same here and there.
 *
 *     cc -o functions functions.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

/* The body is all that reaches the sandbox, where it is compiled. */
CWS_FUNCTION(count_words, {
    unsigned long words = 0;
    char text[24];
    bool inside = false;
    size_t i;
    for (i = 0; i < input_size; i++) {
        bool space = strchr(" \t\r\n", input[i]) != NULL;
        if (!space && !inside) words++;
        inside = !space;
    }
    snprintf(text, sizeof(text), "%lu", words);
    io->write(io, text, strlen(text));
});

static const char primes[] = "def largest_prime(below):\n"
                             "    if below < least:\n"
                             "        raise ValueError('nothing below %d' % below)\n"
                             "    return next(n for n in range(below - 1, 1, -1)\n"
                             "                if all(n % k for k in range(2, n) if k * k <= n))\n";

static bool run_python(cws_session *session, cws_error *err)
{
    const char *python[] = {"python3", NULL};
    const char *args[] = {"[100]", "[10000]", "[2]", "[1000]"};
    cws_function_opts opts = {0};
    cws_map_opts two_at_a_time = {0};
    cws_function *function = NULL;
    cws_function_results *results = NULL;
    const cws_bytes *json;
    size_t i;
    opts.source = primes;
    opts.name = "largest_prime";
    opts.closure_vars = "{\"least\": 3}"; /* what Python would have captured */
    opts.interpreter = python;
    opts.keep_warm = true; /* the next argument finds a sandbox that runs */
    two_at_a_time.limit = 2;
    if (cws_session_function(session, &opts, &function, err) ||
        cws_function_map(function, args, 4, &two_at_a_time, &results, err)) {
        cws_function_free(function);
        return false;
    }
    for (i = 0; i < cws_function_results_count(results); i++) {
        cws_error why;
        if (cws_function_results_at(results, i, &json, &why))
            printf("%s: %s\n", args[i], why.message); /* one that failed loses no other */
        else printf("%s: %s\n", args[i], (const char *)cws_bytes_data(json, NULL));
    }
    cws_function_results_free(results);
    cws_function_free(function);
    return true;
}

static bool run_c(cws_session *session, cws_error *err)
{
    static const char text[] = "the same function, here and there";
    cws_sandbox_opts image = {0};
    cws_function_opts opts = {0};
    cws_function *function = NULL;
    cws_bytes *here = NULL, *there = NULL;
    bool ok;
    image.container_image = "gcc:13"; /* it has cc */
    opts.c_function = &count_words;
    opts.serialization = CWS_SERIALIZE_BYTES;
    opts.sandbox = &image;
    ok = !cws_session_function(session, &opts, &function, err) &&
         !cws_function_local_bytes(function, text, sizeof(text) - 1, &here, err) &&
         !cws_function_call_bytes(function, text, sizeof(text) - 1, &there, err);
    if (ok)
        printf("words: %s here, %s in a sandbox\n", (const char *)cws_bytes_data(here, NULL),
               (const char *)cws_bytes_data(there, NULL));
    cws_bytes_free(here);
    cws_bytes_free(there);
    cws_function_free(function);
    return ok;
}

int main(void)
{
    cws_client_opts client = {0};
    cws_session_opts opts = {0};
    cws_session *session;
    cws_transport local;
    cws_error err;
    bool ok;
    opts.client_opts = &client;
    if (example_client_opts(&client, &local, &err) || cws_session_open(&opts, &session, &err))
        return fprintf(stderr, "%s\n", err.message), 1;
    ok = run_python(session, &err) && run_c(session, &err);
    if (!ok) fprintf(stderr, "%s\n", err.message);
    if (cws_session_close(session, &err)) fprintf(stderr, "%s\n", err.message), ok = false;
    cws_session_free(session);
    return ok ? 0 : 1;
}
