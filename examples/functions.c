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

static cws_status run_python(cws_session *session, cws_error *err)
{
    const char *python[] = {"python3", NULL};
    const char *args[] = {"[100]", "[10000]", "[2]", "[1000]"};
    const cws_function_opts opts = {
        .source = primes,
        .name = "largest_prime",
        .closure_vars = "{\"least\": 3}", /* what Python would have captured */
        .interpreter = python,
        .keep_warm = true /* the next argument finds a sandbox that runs */
    };
    const cws_map_opts two_at_a_time = {.limit = 2};
    cws_function *function = NULL;
    cws_function_results *results = NULL;
    const cws_bytes *json;
    cws_error why;
    size_t i;
    cws_status status = cws_session_function(session, &opts, &function, err);
    if (!status) status = cws_function_map(function, args, 4, &two_at_a_time, &results, err);
    for (i = 0; i < cws_function_results_count(results); i++) {
        if (cws_function_results_at(results, i, &json, &why))
            printf("%s: %s\n", args[i], why.message); /* one that failed loses no other */
        else printf("%s: %s\n", args[i], cws_bytes_data(json));
    }
    cws_function_results_free(results);
    cws_function_free(function);
    return status;
}

static cws_status run_c(cws_session *session, cws_error *err)
{
    static const char text[] = "the same function, here and there";
    const cws_sandbox_opts image = {.container_image = "gcc:13"}; /* it has cc */
    const cws_function_opts opts = {
        .c_function = &count_words, .serialization = CWS_SERIALIZE_BYTES, .sandbox = &image};
    cws_function *count = NULL;
    cws_bytes *here = NULL, *there = NULL;
    cws_status status = cws_session_function(session, &opts, &count, err);
    if (!status) status = cws_function_local_bytes(count, text, strlen(text), &here, err);
    if (!status) status = cws_function_call_bytes(count, text, strlen(text), &there, err);
    if (!status)
        printf("words: %s here, %s in a sandbox\n", cws_bytes_data(here),
               cws_bytes_data(there));
    cws_bytes_free(here);
    cws_bytes_free(there);
    cws_function_free(count);
    return status;
}

int main(void)
{
    cws_session *session;
    cws_error err;
    int failed;
    if (example_open(NULL, &session, &err)) return complain(&err);
    failed = run_python(session, &err) || run_c(session, &err);
    if (failed) complain(&err);
    if (cws_session_close(session, &err)) failed = complain(&err);
    cws_session_free(session);
    return failed;
}
