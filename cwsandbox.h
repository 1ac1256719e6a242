/* SPDX-License-Identifier: MIT
 *
 * cwsandbox.h 0.1.0: a C client for CoreWeave Sandboxes in one header.
 *
 * >>about
 *
 * Do this in exactly one C or C++ file:
 *
 *     #define CWSANDBOX_IMPLEMENTATION
 *     #include "cwsandbox.h"
 *
 * everywhere else include it plainly. Link with -lcurl, or define CWS_NO_CURL and bring your own
 * HTTP (see >>transport). Then: open a session, make sandboxes, run commands, close the session.
 *
 * >>manual
 *
 * QUICK START
 *
 *     cws_session *session; cws_sandbox *box = NULL; cws_result *result = NULL; cws_error err;
 *     const char *argv[] = { "echo", "hello", NULL };
 *     if (cws_session_open(NULL, &session, &err)) { puts(err.message); return 1; }
 *     if (cws_session_sandbox(session, NULL, &box, &err) ||
 *         cws_exec(box, argv, NULL, &result, &err)) puts(err.message);
 *     else fwrite(cws_result_stdout(result, NULL), 1, cws_result_stdout_size(result), stdout);
 *     cws_session_close(session, &err);        // stops every sandbox of the session, all at once
 *     cws_result_free(result); cws_sandbox_free(box); cws_session_free(session);
 *
 * The key comes from CWSANDBOX_API_KEY, the address from CWSANDBOX_BASE_URL.
 *
 * WHAT IT DOES NOT DO. It starts no thread, installs no signal handler, prints nothing, keeps no
 * global variable and never ends the process. It does not forward local ports.
 *
 * BUILD. C99 or newer, C++11 or newer. Macros, to be defined alike wherever they matter:
 *   CWSANDBOX_IMPLEMENTATION  emit the implementation here
 *   CWS_STATIC                the whole library is static to this file
 *   CWS_API                   put before each public function (DLL export, visibility)
 *   CWS_NO_CURL               leave out the libcurl transport; then cws_client_opts.transport is
 *                             required
 *   CWS_NO_STDIO              do not use <stdio.h>: request ids are then seeded from clock and
 *                             addresses unless cws_client_opts.random is given
 *   CWS_EXIT_GUARD            declare and emit cws_session_guard, which has global state
 *   CWS_NO_PROCESS            start no process: no Python through cws_function_local
 *   CWS_ASSERT(x)             checks of the library's own invariants; default: nothing
 *
 * OPTIONS. Every option struct may be NULL, and all bytes zero means every default. Set it up with
 * `= {0}` in C, `= {}` in C++. Its last field must stay zero, which catches an uninitialised
 * struct. Strings and arrays are copied before the call returns. A list of strings is an array
 * ended by NULL: a NULL array means "not given", an array whose first element is NULL means "given
 * and empty". Where 0 means the default and you want none at all, use CWS_NONE.
 *
 * OWNERSHIP. What a function gives out through an out-parameter is yours and is ended by the
 * matching _free. _free accepts NULL, is local, and never talks to the service: stopping a
 * sandbox is an explicit call that can fail. Pointers returned by accessors belong to the object
 * and last until it changes or is freed.
 *
 * ERRORS. Functions return a cws_status, 0 for success. The last parameter may take a cws_error
 * that says more; NULL is fine. cws_status_is(status, CWS_ERR_SANDBOX) asks for a whole family.
 * A command that exits with a non-zero code is no error unless cws_exec_opts.check is set.
 *
 * ASYNC. X_begin() starts an operation and returns at once; X() is X_begin, wait, take the result.
 * Operations move only inside cws_client_poll, cws_op_wait, cws_wait_many or a blocking call, on
 * the thread that makes it. Callbacks run there too, and never inside X_begin.
 *
 * THREADS. A client, and everything made from it, belongs to one thread at a time. Only
 * cws_client_wakeup may be called from any thread. Different clients are independent.
 * curl_global_init is called for each client unless no_global_init is set; it is thread-safe from
 * libcurl 7.84 on.
 *
 * CALLBACKS. Inside a callback every accessor, every X_begin, cws_op_cancel and every _free of
 * another object is allowed; a call that would block returns CWS_ERR_REENTRANT.
 *
 * MEMORY. All memory of the library comes from one function per client, under a cap
 * (max_memory_bytes). libcurl's own memory is not covered. The allocator and the hooks must outlive
 * the last object made from the client.
 *
 * TIME. Every operation has a deadline, and ends with CWS_ERR_REQUEST_TIMEOUT or
 * CWS_ERR_TIMEOUT when it passes; only shells and followed logs have none unless you give one.
 * Durations in options are seconds (double); NaN, infinity and negative values other than CWS_NONE
 * are refused.
 *
 * LIFETIME OF SANDBOXES. A sandbox without max_lifetime_seconds lives for the service's default,
 * which has been observed to be ten minutes. Set it.
 *
 * >>contents
 *
 *   API              >>config >>basic >>transport >>client >>create >>sandbox >>exec >>logs >>files
 *                    >>session >>pool >>snapshots >>discovery >>functions >>async
 *   implementation   >>impl-config >>impl-memory >>impl-buffer >>impl-text >>impl-number
 *                    >>impl-time >>impl-decimal >>impl-json >>impl-schema >>impl-schema-v1
 *                    >>impl-schema-v1-calls >>impl-schema-v1beta2 >>impl-schema-v1beta2-calls
 *                    >>impl-schema-rpcs >>impl-schema-tables >>impl-codec >>impl-decode
 *                    >>impl-codec-json >>impl-decode-json >>impl-object >>impl-error
 *                    >>impl-error-map >>impl-wire >>impl-wire-grpc >>impl-loop >>impl-timer
 *                    >>impl-operation >>impl-call >>impl-call-open >>impl-judge >>impl-stream
 *                    >>impl-retry >>impl-options >>impl-merge >>impl-quantity >>impl-places
 *                    >>impl-lacks >>impl-dialect >>impl-view-v1 >>impl-dialect-v1 >>impl-found
 *                    >>impl-ask-v1 >>impl-create >>impl-create-v1 >>impl-places-v1
 *                    >>impl-request-v1 >>impl-view-v1beta2 >>impl-dialect-v1beta2
 *                    >>impl-ask-v1beta2 >>impl-create-v1beta2 >>impl-journal >>impl-sandbox
 *                    >>impl-op-start >>impl-op-poll >>impl-op-wait >>impl-op-ask >>impl-op-snapshot
 *                    >>impl-op-stop >>impl-op-get >>impl-op-list >>impl-process >>impl-op-exec
 *                    >>impl-command >>impl-items >>impl-logs >>impl-op-logs >>impl-bridge
 *                    >>impl-op-file >>impl-tar >>impl-tree >>impl-tree-down >>impl-op-close
 *                    >>impl-op-reap >>impl-function >>impl-function-copy >>impl-function-source
 *                    >>impl-function-error >>impl-function-steps >>impl-op-function >>impl-op-map
 *                    >>impl-function-local >>impl-client >>impl-public >>impl-public-sandbox
 *                    >>impl-public-exec >>impl-public-files >>impl-public-process
 *                    >>impl-public-stream >>impl-public-session >>impl-guard >>impl-pool
 *                    >>impl-public-snapshots >>impl-public-discovery >>impl-public-function
 *                    >>impl-public-map >>impl-public-async >>impl-curl >>impl-curl-callbacks
 *                    >>impl-curl-setup >>impl-curl-exchange >>impl-curl-poll >>impl-end
 */

#ifndef CWSANDBOX_H
#define CWSANDBOX_H

/* ================================================================================================
 * >>config
 * Version, what the declarations need of the standard library, and how functions are declared.
 * ============================================================================================= */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CWS_VERSION_MAJOR 0
#define CWS_VERSION_MINOR 1
#define CWS_VERSION_PATCH 0
#define CWS_VERSION_STRING "0.1.0"
#define CWS_VERSION_HEX 0x000100L

#if defined(__GNUC__) || defined(__clang__)
#define CWS_UNUSED_OK __attribute__((unused))
#else
#define CWS_UNUSED_OK
#endif

#ifndef CWS_API
#ifdef CWS_STATIC
#define CWS_API static CWS_UNUSED_OK
#else
#define CWS_API extern
#endif
#endif

/* The two ways in carry the version in their symbol, so that objects compiled against another
 * version of this header fail to link instead of disagreeing about a struct. */
#define cws_client_open cws_client_open_0_1
#define cws_session_open cws_session_open_0_1

#ifdef __cplusplus
extern "C" {
#endif

/* ================================================================================================
 * >>basic
 * Status codes, the error record, bytes, string pairs, memory and log hooks.
 * ============================================================================================= */

/* X(name, number, parent, text). The tree follows the classes of the service's own clients:
 * cws_status_is() answers whether a status belongs to a family. A parent of OK means: no family. */
#define CWS_STATUS_LIST(X)                                                                         \
    X(OK, 0, OK, "success")                                                                        \
    /* mistakes of the caller and limits of this side; nothing of the service is involved */       \
    X(ERR_INVALID_ARGUMENT, 1, OK, "invalid argument")                                             \
    X(ERR_NO_MEMORY, 2, OK, "out of memory")                                                       \
    X(ERR_CANCELLED, 3, OK, "cancelled by the caller")                                             \
    X(ERR_UNSUPPORTED, 4, OK, "not possible with this transport, dialect or build")                \
    X(ERR_REENTRANT, 5, OK, "a blocking call was made inside a callback")                          \
    X(ERR_WAIT_TIMEOUT, 6, OK, "the wait ended before the operation, which goes on")               \
    X(ERR_PENDING, 7, OK, "the operation has not ended yet")                                       \
    /* everything that went wrong with the service */                                              \
    X(ERR_SERVICE, 10, OK, "service error")                                                        \
    X(ERR_AUTHENTICATION, 11, ERR_SERVICE, "authentication failed or permission denied")           \
    X(ERR_VALIDATION, 12, ERR_SERVICE, "the service refused a field of the request")               \
    X(ERR_SANDBOX, 20, ERR_SERVICE, "sandbox error")                                               \
    X(ERR_SANDBOX_VALIDATION, 21, ERR_SANDBOX, "the service refused a field of the request")       \
    X(ERR_CLOSED, 22, ERR_SANDBOX, "the session or client is closed")                              \
    X(ERR_PROTOCOL, 23, ERR_SANDBOX, "the peer broke the protocol")                                \
    X(ERR_UNIMPLEMENTED, 24, ERR_SANDBOX, "not offered by the service here")                       \
    X(ERR_NOT_RUNNING, 30, ERR_SANDBOX, "sandbox is not running")                                  \
    X(ERR_UNAVAILABLE, 31, ERR_NOT_RUNNING, "service unavailable")                                 \
    X(ERR_TRANSPORT, 32, ERR_UNAVAILABLE, "no connection, or it was lost")                         \
    X(ERR_SNAPSHOT_THROTTLED, 33, ERR_UNAVAILABLE, "snapshot backend is busy")                     \
    X(ERR_TIMEOUT, 40, ERR_SANDBOX, "timed out")                                                   \
    X(ERR_REQUEST_TIMEOUT, 41, ERR_TIMEOUT, "request timed out")                                   \
    X(ERR_COMMAND_TIMEOUT, 42, ERR_TIMEOUT, "command timed out on the server")                     \
    X(ERR_SNAPSHOT_WAIT_TIMEOUT, 43, ERR_TIMEOUT, "snapshot was not ready in time")                \
    X(ERR_TERMINATED, 50, ERR_SANDBOX, "sandbox was terminated")                                   \
    X(ERR_FAILED, 51, ERR_SANDBOX, "sandbox failed")                                               \
    X(ERR_NOT_FOUND, 52, ERR_SANDBOX, "sandbox not found")                                         \
    X(ERR_EXECUTION, 60, ERR_SANDBOX, "command failed")                                            \
    X(ERR_STREAM_BACKPRESSURE, 61, ERR_EXECUTION, "output was read too slowly")                    \
    X(ERR_STREAM_TRUNCATED, 62, ERR_EXECUTION, "the end of the output was lost")                   \
    X(ERR_FILE, 70, ERR_SANDBOX, "file operation failed")                                          \
    X(ERR_RESOURCE_EXHAUSTED, 80, ERR_SANDBOX, "resource exhausted")                               \
    X(ERR_LIMIT, 81, ERR_RESOURCE_EXHAUSTED, "larger than a limit of this client")                 \
    X(ERR_TERMINAL_STATE_UNAVAILABLE, 90, ERR_SANDBOX, "the final state can not be read any more") \
    X(ERR_SNAPSHOT, 100, ERR_SANDBOX, "snapshot error")                                            \
    X(ERR_SNAPSHOT_NOT_FOUND, 101, ERR_SNAPSHOT, "snapshot not found")                             \
    X(ERR_SNAPSHOT_NOT_READY, 102, ERR_SNAPSHOT, "snapshot is not ready")                          \
    X(ERR_SNAPSHOT_NOT_SUPPORTED, 103, ERR_SNAPSHOT, "no snapshot possible here")                  \
    X(ERR_SNAPSHOT_SIZE_EXCEEDED, 104, ERR_SNAPSHOT, "snapshot is too large")                      \
    X(ERR_SNAPSHOT_QUOTA_EXCEEDED, 105, ERR_SNAPSHOT, "too many snapshots")                        \
    X(ERR_SNAPSHOT_BUCKET_MISMATCH, 106, ERR_SNAPSHOT, "snapshot lies in another bucket")          \
    X(ERR_SNAPSHOT_CONFLICT, 107, ERR_SNAPSHOT, "snapshot on stop conflicts with another stop")    \
    X(ERR_DISCOVERY, 120, ERR_SERVICE, "discovery error")                                          \
    X(ERR_RUNNER_NOT_FOUND, 121, ERR_DISCOVERY, "runner not found")                                \
    X(ERR_PROFILE_NOT_FOUND, 122, ERR_DISCOVERY, "profile not found")                              \
    X(ERR_FUNCTION, 130, ERR_SERVICE, "function error")                                            \
    X(ERR_ASYNC_FUNCTION, 131, ERR_FUNCTION, "async functions are not supported")                  \
    X(ERR_FUNCTION_SERIALIZATION, 132, ERR_FUNCTION, "arguments or result are not JSON")

typedef enum cws_status {
#define CWS_STATUS_ENUM(name, number, parent, text) CWS_##name = number,
    CWS_STATUS_LIST(CWS_STATUS_ENUM)
#undef CWS_STATUS_ENUM
    CWS_STATUS_MAX = 0x7fffffff /* keeps the type wide; never returned */
} cws_status;

/* Name of a status as written in C, for example "CWS_ERR_NOT_FOUND"; never NULL. */
CWS_API const char *cws_status_name(cws_status status);
/* One plain sentence for a status; never NULL. */
CWS_API const char *cws_status_text(cws_status status);
/* True if status is family or descends from it: (CWS_ERR_STREAM_TRUNCATED, CWS_ERR_EXECUTION) is
 * true. CWS_ERR_SANDBOX_VALIDATION belongs to CWS_ERR_VALIDATION as well as to CWS_ERR_SANDBOX. */
CWS_API bool cws_status_is(cws_status status, cws_status family);

/* What went wrong. The caller owns it; it holds no pointer and may be copied and forgotten.
 * Cleared at the start of each call that takes one. NULL is accepted wherever one is taken. */
typedef struct cws_error {
    cws_status status;       /* same value the function returned */
    int32_t rpc_code;        /* Connect/gRPC code 1..16, 0 when none arrived */
    int32_t http_status;     /* 0 when no response arrived */
    int32_t transport_code;  /* the transport's own number, e.g. a CURLcode; 0 when none */
    bool retryable;          /* the same call may succeed later */
    bool has_retry_after;    /* the server stated a delay (google.rpc.RetryInfo) */
    uint32_t retry_after_ms; /* that delay */
    int32_t exit_code;       /* CWS_ERR_EXECUTION after an exit: the code; else 0 */
    char message[384];       /* what failed, on what, why; UTF-8, cut at a character */
    char reason[64];         /* the server's reason, e.g. "CWSANDBOX_FILE_NOT_FOUND", or "" */
    char domain[32];         /* who says so; act on the reason only if "cwsandbox.com" */
    char stream_code[32];    /* in-band code of a stream, e.g. "STREAM_BACKPRESSURE", or "" */
    char sandbox_id[64];     /* the sandbox concerned, or "" */
    char request_id[64];     /* idempotency token of a create, or the server's x-request-id */
    char filepath[128];      /* CWS_ERR_FILE: the caller's path, cut at a character */
    uint16_t detail_size;    /* bytes used of detail; read it with the two functions below */
    char detail[510];        /* metadata and field violations, packed; whole entries only */
} cws_error;

/* Value of a metadata key the server attached (google.rpc.ErrorInfo.metadata), or NULL. */
CWS_API const char *cws_error_metadata(const cws_error *err, const char *key);
/* The index-th field the server complained about (google.rpc.BadRequest). Returns false past the
 * last one. field and description are borrowed from err; either may be NULL if not wanted. */
CWS_API bool cws_error_violation(const cws_error *err, size_t index, const char **field,
                                 const char **description);

/* One entry of a string map. A map is an array of these ended by a NULL key; a NULL array means
 * "not given". */
typedef struct cws_pair {
    const char *key;
    const char *value;
} cws_pair;

/* "None at all" in a duration whose zero means "the default". */
#define CWS_NONE (-1.0)
/* "No limit" in a size whose zero means "the default". */
#define CWS_UNLIMITED UINT64_MAX

/* Memory. Called with (NULL, 0, n) to allocate n bytes, (p, old, n) to resize, (p, old, 0) to free
 * (result ignored). old_size is what was asked for last. Returns NULL when it cannot; the block
 * then stays as it was. Blocks must be aligned for any type. */
typedef struct cws_allocator {
    void *(*resize)(void *user, void *block, size_t old_size, size_t new_size);
    void *user;
} cws_allocator;

typedef enum cws_log_level {
    CWS_LOG_ERROR = 1,
    CWS_LOG_WARNING = 2,
    CWS_LOG_INFO = 3,
    CWS_LOG_DEBUG = 4,
    CWS_LOG_TRACE = 5 /* each step of each operation, by name */
} cws_log_level;

/* A line for the log: no newline, never a secret. Must not call the library. */
typedef void (*cws_log_fn)(cws_log_level level, const char *line, void *user);

/* One message on the wire, for recording and debugging. json is the message with secrets,
 * environment values and file contents taken out. Must not call the library. */
typedef struct cws_trace_event {
    const char *rpc;        /* "/coreweave.sandbox.v1.SandboxService/GetSandbox" */
    const char *sandbox_id; /* or "" */
    bool sent;              /* true: from us; false: from the service */
    const char *json;       /* NULL when the message could not be printed */
    size_t bytes;           /* size on the wire */
    const cws_error *error; /* the end of a failed attempt; then json is NULL */
} cws_trace_event;
typedef void (*cws_trace_fn)(const cws_trace_event *event, void *user);

/* Bytes handed out by the library, for example a file. A NUL follows them. */
typedef struct cws_bytes cws_bytes;
/* Pointer to the bytes, never NULL for a non-NULL object; size may be NULL. Valid until free. */
CWS_API const void *cws_bytes_data(const cws_bytes *bytes, size_t *size);
CWS_API size_t cws_bytes_size(const cws_bytes *bytes);
CWS_API void cws_bytes_free(cws_bytes *bytes);

/* Version of the compiled implementation, CWS_VERSION_STRING. */
CWS_API const char *cws_version(void);

/* ================================================================================================
 * >>transport
 * How HTTP reaches the network. The library's own transport is libcurl; supply another by filling
 * a cws_transport. Everything above bytes (envelopes, deadlines, status, retries) stays in the
 * library, so a transport moves bytes and nothing else.
 *
 * Blocking tier: supply `perform` only. It serves every unary call, and exec without stdin. Calls
 * then run one after the other, each for as long as it takes: no wait of yours cuts one short.
 * Streaming tier: supply `open`, `send`, `window`, `cancel` and `poll` (and `wakeup` if other
 * threads wake the loop). It serves everything, with many exchanges at once on one thread.
 *
 * What the transport reports, for either tier, in this order:
 *     cws_exchange_head   once, after the status line and headers (not for 1xx)
 *     cws_exchange_data   any number of times
 *     cws_exchange_trailers  at most once, if the transport says that it can (for gRPC)
 *     cws_exchange_end    exactly once, last (streaming tier; `perform` returns instead)
 * The streaming tier reports only from inside `poll`, never from inside open, send, window or
 * cancel; and nothing at all about an exchange once `cancel` was called for it.
 *
 * Rules of conduct: do not follow redirects, do not repeat a request by yourself once a byte of it
 * may have reached the server, do not decompress, do not log header values.
 * ============================================================================================= */

typedef struct cws_exchange cws_exchange; /* one request and its response; the library's */

typedef struct cws_header {
    const char *name;
    const char *value;
} cws_header;

typedef struct cws_http_request {
    const char *method;        /* "POST" */
    const char *url;           /* absolute */
    const cws_header *headers; /* without content-length; valid until open or perform returns */
    size_t header_count;
    const void *body;   /* NULL if body_size is 0; valid until the end of the exchange */
    size_t body_size;   /* a body of known length unless more_body is set */
    bool more_body;     /* streaming tier: more comes through send, of unknown length */
    bool full_duplex;   /* the response may begin before the request ends: HTTP/2 needed */
    bool long_lived;    /* a stream, or a response that takes as long as a command does: hold back
                           no other exchange for it */
    bool trailers;      /* gRPC: the outcome comes in HTTP trailers, so HTTP/2 is needed; pass the
                           header "te: trailers" on */
    int64_t timeout_ms; /* what is left for the exchange, > 0; the library also enforces it */
} cws_http_request;

/* How an exchange ended. */
typedef enum cws_end {
    CWS_END_OK = 0,    /* the response arrived whole */
    CWS_END_NOT_SENT,  /* no connection: nothing reached the server, repeating is safe */
    CWS_END_TLS,       /* no trust: nothing reached the server */
    CWS_END_REFUSED,   /* the server refused the stream before processing: repeating is safe */
    CWS_END_LOST,      /* the connection broke; the server may have processed the request */
    CWS_END_RESET,     /* the server reset the stream */
    CWS_END_TIMEOUT,   /* the transport's own patience ran out */
    CWS_END_NO_MEMORY, /* the transport ran out of memory */
    CWS_END_PROTOCOL   /* the response was no HTTP */
} cws_end;

typedef struct cws_transport {
    void *user; /* handed to each callback */
    /* Blocking tier. Carry out one exchange: report with cws_exchange_head and cws_exchange_data,
     * return how it ended; cws_exchange_note may add a code and a text. Stop at timeout_ms. */
    cws_end (*perform)(void *user, const cws_http_request *request, cws_exchange *exchange);
    /* Streaming tier. Begin an exchange; *handle is the transport's name for it. Anything but
     * CWS_OK means that there is no exchange and nothing will be reported. */
    cws_status (*open)(void *user, const cws_http_request *request, cws_exchange *exchange,
                       void **handle);
    /* Queue request bytes behind those already queued; fin ends the request. Returns how many bytes
     * were taken (copied); fewer than size means: wait for cws_exchange_writable. fin counts only
     * if everything was taken. */
    size_t (*send)(void *user, void *handle, const void *data, size_t size, bool fin);
    /* Stop (false) or resume (true) reporting data; the peer must feel it. Also called while data
     * is reported: what the same poll still reports is taken. Trailers and the end may be reported
     * while it is closed, or wait until it is open. */
    void (*window)(void *user, void *handle, bool open);
    /* Give up the exchange and forget the handle. Must reach the peer: stream reset or close.
     * Called after cws_exchange_end too, to release the handle, and then only releases. */
    void (*cancel)(void *user, void *handle);
    /* Move everything that can move, waiting at most timeout_ms for something to happen. Returning
     * early is fine. timeout_ms 0: do not wait. */
    cws_status (*poll)(void *user, int timeout_ms);
    void (*wakeup)(void *user); /* end a running poll from any thread; may be NULL */
    void (*close)(void *user);  /* an opened client is freed, all exchanges were cancelled; NULL: no
                                   need. Not called when opening fails */
    bool full_duplex;           /* streaming tier: a response may arrive while its request is open;
                                   false: commands go over the unary call */
    bool trailers;              /* streaming tier: speaks HTTP/2, reports trailers; for gRPC */
    uint32_t must_be_zero;
} cws_transport;

/* Report status and headers. http_major is 1 or 2 (0 if unknown). Everything is copied. */
CWS_API void cws_exchange_head(cws_exchange *exchange, int status, int http_major,
                               const cws_header *headers, size_t header_count);
/* Report body bytes; copied. Returns false when the library wants no more of them: stop reporting,
 * it will cancel. */
CWS_API bool cws_exchange_data(cws_exchange *exchange, const void *data, size_t size);
/* Report the trailers, the header fields behind the body: all of them in one call, before the end.
 * They are waited for even if the body had a content-length. Everything is copied. */
CWS_API void cws_exchange_trailers(cws_exchange *exchange, const cws_header *trailers,
                                   size_t trailer_count);
/* Report that send may be tried again. */
CWS_API void cws_exchange_writable(cws_exchange *exchange);
/* Add the transport's own error number and text to the end that follows; text is copied. */
CWS_API void cws_exchange_note(cws_exchange *exchange, int32_t code, const char *text);
/* Report the end (streaming tier). */
CWS_API void cws_exchange_end(cws_exchange *exchange, cws_end end);

/* ================================================================================================
 * >>client
 * Address, credentials, limits and the loop. A prototype needs none of this: cws_session_open makes
 * its own client from the environment. Share one client among sessions to share connections.
 * ============================================================================================= */

typedef struct cws_client cws_client;

typedef enum cws_api_version {
    CWS_API_DEFAULT = 0, /* CWSANDBOX_API_VERSION ("v1" or "v1beta2"), else CWS_API_V1 */
    CWS_API_V1 = 1,      /* coreweave.sandbox.v1 */
    CWS_API_V1BETA2 = 2  /* coreweave.sandbox.v1beta2, the older dialect, which the service still
                            serves. A create that was interrupted can not be taken up again there:
                            the sandbox may exist, until its lifetime ends */
} cws_api_version;

/* Two protocols of one service, with the same calls, messages and errors. */
typedef enum cws_protocol {
    CWS_PROTOCOL_DEFAULT = 0, /* CWSANDBOX_PROTOCOL ("connect" or "grpc"), else Connect */
    CWS_PROTOCOL_CONNECT = 1, /* any transport; unary calls over any HTTP version */
    CWS_PROTOCOL_GRPC = 2     /* for an address that serves nothing else; HTTP/2 and trailers */
} cws_protocol;

typedef enum cws_http_version {
    CWS_HTTP_AUTO = 0, /* https: HTTP/2 where the server offers it; http: HTTP/1.1, or with gRPC
                          HTTP/2 without asking */
    CWS_HTTP_1_1 = 1,
    CWS_HTTP_2 = 2 /* HTTP/2 for every call: over https if the server has it, over http without
                      asking (prior knowledge, h2c) */
} cws_http_version;

typedef struct cws_client_opts {
    /* Where. Default: CWSANDBOX_BASE_URL, else https://api.cwsandbox.com. No path. */
    const char *base_url;
    /* Who. Default: CWSANDBOX_API_KEY, sent as a bearer token; none: the server will say so.
     * Surrounding white space is removed; an empty or control character is refused. */
    const char *api_key;
    /* W&B mode: this key instead of api_key, with optional routing. Serverless placement only.
     * CWSANDBOX_API_KEY is then not read. */
    const char *wandb_api_key;
    const char *wandb_entity;  /* x-entity-id; NULL: not sent */
    const char *wandb_project; /* x-project-name; NULL: not sent */
    cws_api_version api_version;
    cws_protocol protocol;              /* default: CWSANDBOX_PROTOCOL, else Connect */
    cws_http_version http_version;      /* libcurl transport only */
    const cws_transport *transport;     /* copied; NULL: libcurl */
    const cws_allocator *allocator;     /* copied; NULL: malloc family */
    uint64_t max_memory_bytes;          /* default 1 GiB; CWS_UNLIMITED */
    uint64_t max_message_bytes;         /* largest reply message; default 100 MiB, at most 1 GiB */
    double request_timeout_seconds;     /* default for every call; default 300 */
    double poll_retry_budget_seconds;   /* how long reads, and creates whose outcome is unknown,
                                           are repeated while the service is unavailable, silently
                                           but for the log; default 30; CWS_NONE: not at all */
    double poll_rpc_timeout_seconds;    /* deadline of one status poll; default 15 */
    double connect_timeout_seconds;     /* libcurl transport only; default 20 */
    const char *ca_file;                /* PEM; libcurl transport only; NULL: the system's roots */
    const char *client_cert_file;       /* PEM; libcurl transport only; with client_key_file */
    const char *client_key_file;        /* PEM */
    const char *user_agent_suffix;      /* appended to "cwsandbox.h/0.1.0"; printable ASCII */
    bool allow_insecure_credential;     /* send the credential over http:// to any host; default:
                                           loopback hosts only */
    bool no_environment;                /* read no environment variable */
    bool no_global_init;                /* libcurl: you have called curl_global_init */
    cws_log_fn log;                     /* NULL: silence */
    void *log_user;
    cws_trace_fn trace;                 /* NULL: none */
    void *trace_user;
    int64_t (*monotonic_ms)(void *user);           /* NULL: the system's; never goes back */
    int64_t (*unix_ms)(void *user);                /* NULL: the system's wall clock */
    void (*random)(void *user, void *out, size_t size); /* NULL: the system's */
    void *hooks_user;                              /* for the three above */
    uint32_t must_be_zero;
} cws_client_opts;

/* Make a client. opts may be NULL. No network. *out is yours: cws_client_free.
 * Returns CWS_ERR_INVALID_ARGUMENT (which option, what is allowed), CWS_ERR_NO_MEMORY, or
 * CWS_ERR_UNSUPPORTED (no transport in this build, libcurl too old).
 * Example: examples/async.c */
CWS_API cws_status cws_client_open(const cws_client_opts *opts, cws_client **out, cws_error *err);

/* End a client: cancels what is in flight, closes connections. Local; sandboxes go on running.
 * Objects made from it stay valid to free, and answer CWS_ERR_CLOSED otherwise. */
CWS_API void cws_client_free(cws_client *client);

typedef struct cws_memory_info {
    uint64_t used_bytes; /* held now, the library's own block headers included */
    uint64_t peak_bytes; /* most ever held */
    uint64_t limit_bytes;
    uint64_t allocations; /* calls of resize that asked for memory, ever */
} cws_memory_info;
CWS_API cws_memory_info cws_client_memory(const cws_client *client);

/* ================================================================================================
 * >>create
 * What a new sandbox is made of.
 * ============================================================================================= */

/* Compute. Give either the flat pair (cpu, memory: requests = limits), or requests and limits; one
 * side alone is copied to the other. Kubernetes quantities: "500m", "2", "512Mi", "4G". */
typedef struct cws_resources {
    const char *cpu;            /* flat form */
    const char *memory;         /* flat form */
    const char *request_cpu;    /* floor; not above limit_cpu */
    const char *request_memory; /* floor; not above limit_memory */
    const char *limit_cpu;      /* ceiling */
    const char *limit_memory;   /* ceiling */
    int64_t gpu_count;          /* 0: no GPU unless a type or memory is named */
    const char *gpu_type;       /* for example "H100"; not together with gpu_memory_gb */
    int64_t gpu_memory_gb;      /* any model with this much memory; 0: not given */
} cws_resources;

/* A file placed before the container starts; read-only inside. */
typedef struct cws_mounted_file {
    const char *mount_path; /* absolute, with the file name */
    const void *content;    /* may be NULL if size is 0 */
    size_t size;
} cws_mounted_file;

/* A secret injected as an environment variable. */
typedef struct cws_secret {
    const char *store;   /* required */
    const char *name;    /* required: key or path in the store */
    const char *field;   /* NULL or "": none */
    const char *env_var; /* NULL: same as name; "" is refused */
} cws_secret;

/* A port of the sandbox that others can reach. v1; in v1beta2 see ports and network. */
typedef enum cws_service_protocol {
    CWS_SERVICE_PROTOCOL_DEFAULT = 0,
    CWS_SERVICE_TCP = 1,
    CWS_SERVICE_UDP = 2,
    CWS_SERVICE_SCTP = 3
} cws_service_protocol;

typedef enum cws_visibility {
    CWS_VISIBILITY_DEFAULT = 0,
    CWS_VISIBILITY_PUBLIC = 1,
    CWS_VISIBILITY_PRIVATE = 2,
    CWS_VISIBILITY_CUSTOM = 3
} cws_visibility;

typedef enum cws_endpoint { /* how the service makes a port reachable by name */
    CWS_ENDPOINT_NONE = 0,
    CWS_ENDPOINT_HTTPS = 1,          /* TLS ends at the service */
    CWS_ENDPOINT_TLS_PASSTHROUGH = 2 /* TLS ends in the sandbox */
} cws_endpoint;

typedef enum cws_endpoint_auth {
    CWS_ENDPOINT_AUTH_DEFAULT = 0,
    CWS_ENDPOINT_AUTH_OPEN = 1,       /* whoever knows the address */
    CWS_ENDPOINT_AUTH_SHARE_TOKEN = 2 /* whoever has the sandbox's share token */
} cws_endpoint_auth;

typedef struct cws_service {
    int32_t port;     /* 1 to 65535 */
    const char *name; /* NULL: none */
    cws_service_protocol protocol; /* with an endpoint: default or TCP */
    cws_visibility visibility;     /* with an endpoint: PUBLIC */
    cws_endpoint endpoint;
    cws_endpoint_auth auth;          /* of an HTTPS endpoint, which requires it */
    int32_t request_timeout_seconds; /* of an HTTPS endpoint; 0: the service's default */
} cws_service;

/* Whose sandboxes a rule means. */
typedef enum cws_tenant {
    CWS_TENANT_NONE = 0, /* the rule is about something else */
    CWS_TENANT_SAME_USER = 1,
    CWS_TENANT_SAME_ORG = 2,
    CWS_TENANT_SANDBOX_NETWORK = 3
} cws_tenant;

typedef struct cws_port_range {
    const char *protocol; /* "TCP", "UDP" or "SCTP"; NULL: the service's default */
    int32_t port;         /* 1 to 65535 */
    int32_t end_port;     /* not below port; 0: just port */
} cws_port_range;

/* Who may be reached, or may come in: exactly one of the first five is given. v1. */
typedef struct cws_network_rule {
    const char *cidr;                  /* "10.0.0.0/8"; */
    const char *hostname;              /* egress only, over HTTPS: "pypi.org", "*.example.com"; */
    cws_tenant tenant;                 /* sandboxes of; */
    const cws_pair *pod_labels;        /* egress only: pods with these labels, in namespaces with */
    bool any;                          /* or everybody */
    const cws_pair *namespace_labels;  /* these; NULL: any. With pod_labels or alone */
    const char *const *cidr_except;    /* ranges within cidr that are left out */
    const char *const *hostname_except; /* names below hostname that are left out */
    const cws_port_range *ports;       /* NULL: all */
    size_t port_count;
} cws_network_rule;

typedef enum cws_choice { CWS_UNSET = 0, CWS_YES = 1, CWS_NO = 2 } cws_choice;

typedef struct cws_network {
    cws_choice deny_egress;  /* v1. YES: nothing is reached; not together with rules for it */
    cws_choice deny_ingress; /* v1 */
    cws_choice allow_dns;    /* v1: name lookups */
    const char *const *egress_hostnames; /* v1: shorthand for rules with just a hostname */
    const cws_network_rule *egress;      /* v1 */
    size_t egress_count;
    const cws_network_rule *ingress; /* v1 */
    size_t ingress_count;
    const char *ingress_mode;     /* v1beta2: as the profile names it, e.g. "public" */
    const char *egress_mode;      /* v1beta2: e.g. "internet" */
    const int32_t *exposed_ports; /* v1beta2 */
    size_t exposed_port_count;
} cws_network;

typedef enum cws_storage_medium {
    CWS_STORAGE_DEFAULT = 0,
    CWS_STORAGE_DISK = 1,
    CWS_STORAGE_MEMORY = 2
} cws_storage_medium;

/* Storage. With volume_id it is one that is registered; else scratch, which is v1 only. */
typedef struct cws_volume {
    const char *name;       /* v1: required. v1beta2: not used */
    const char *mount_path; /* absolute, not "/"; required for scratch and in v1beta2 */
    const char *volume_id;
    const char *size;          /* scratch: a quantity, "10Gi", or in memory "1%" to "100%"; NULL:
                                  the service's default */
    cws_storage_medium medium; /* scratch */
    const char *restore_from_snapshot_id; /* scratch; NULL: empty */
    const char *sub_path;      /* NULL: all of it */
    bool read_only;
} cws_volume;

/* A directory that can be kept as a snapshot and begun from one. In v1 it is one more scratch
 * volume. */
typedef struct cws_file_system {
    const char *mount_path;  /* absolute, not "/" */
    const char *size;        /* NULL: the service's default */
    const char *snapshot_id; /* to begin from; NULL: empty */
    const char *name;        /* of the volume; NULL: "workspace". v1 only */
} cws_file_system;

typedef enum cws_placement {
    CWS_PLACEMENT_DEFAULT = 0, /* the service's choice; with runner_ids CKS */
    CWS_PLACEMENT_SERVERLESS = 1,
    CWS_PLACEMENT_CKS = 2 /* on your own clusters */
} cws_placement;

/* What to do when the first placement is refused for want of room there. v1 only. One more attempt,
 * with the other placement and a request id of its own, after a refusal that names such a reason
 * (no capacity, no suitable runner, constraints that can not be met ...); never after an outcome
 * that is in doubt. */
typedef enum cws_spillover {
    CWS_SPILLOVER_DEFAULT = 0, /* the session's, else STRICT */
    CWS_SPILLOVER_STRICT = 1,  /* the refusal is the result */
    CWS_SPILLOVER_CKS_THEN_SERVERLESS = 2, /* then without the runner_ids */
    CWS_SPILLOVER_SERVERLESS_THEN_CKS = 3  /* not with runner_ids */
} cws_spillover;

/* A secret to pull the image with. v1 only. */
typedef struct cws_image_credentials {
    const char *registry; /* required, e.g. "ghcr.io" */
    const char *store;    /* required */
    const char *name;     /* required */
    const char *field;    /* NULL: none */
} cws_image_credentials;

/* Buckets the sandbox may use without a key of its own. */
typedef struct cws_object_storage {
    const char *const *buckets;
    bool read_write; /* false: read */
    const char *object_prefix; /* NULL: everything in them */
} cws_object_storage;

/* v1 only. */
typedef struct cws_security {
    cws_choice set_user;  /* YES: run_as_user counts; else the image's */
    uint32_t run_as_user;
    cws_choice set_group; /* YES: run_as_group counts */
    uint32_t run_as_group;
    cws_choice privileged;
    cws_choice allow_privilege_escalation;
    cws_choice read_only_root_filesystem;
    const char *const *capabilities_add;
    const char *const *capabilities_drop;
    const char *seccomp_profile; /* NULL: the service's default */
} cws_security;

/* A command that says whether the container is ready. v1 only. */
typedef struct cws_probe {
    const char *const *argv;
    int32_t period_seconds; /* these four: 0: the service's default */
    int32_t timeout_seconds;
    int32_t failure_threshold;
    int32_t initial_delay_seconds;
} cws_probe;

/* Where a container has a volume. */
typedef struct cws_mount {
    const char *volume;     /* its name in cws_sandbox_opts.volumes, or of the file_system */
    const char *mount_path; /* absolute, not "/" */
    const char *sub_path;   /* NULL: all of it */
    bool read_only;
} cws_mount;

/* One more container beside the main one, which is called "main", in the same sandbox: they share
 * network and volumes. The main one's end is the sandbox's. v1 only. */
typedef struct cws_container {
    const char *name;        /* required, unique: 1 to 63 of a-z, 0-9, '-', none at an end */
    const char *image;       /* required */
    const char *command;     /* NULL: the image's */
    const char *const *args; /* needs command */
    const char *working_dir; /* absolute; NULL: the image's */
    const cws_pair *environment_variables;
    const cws_resources *resources; /* without a GPU, which only the main one can have */
    const cws_secret *secrets;
    size_t secret_count;
    const cws_mounted_file *mounted_files;
    size_t mounted_file_count;
    const cws_mount *mounts;
    size_t mount_count;
    const cws_image_credentials *image_credentials;
    const cws_security *security;
    const cws_probe *startup_probe; /* the next container begins once it succeeds */
} cws_container;

/* v1beta2 only; v1: services. */
typedef struct cws_port {
    int32_t container_port; /* 1 to 65535 */
    const char *name;       /* NULL: none */
    const char *protocol;   /* "TCP"; NULL: the service's default */
} cws_port;

/* v1beta2 only; v1: a registered volume. */
typedef struct cws_s3_mount {
    const char *bucket;     /* required */
    const char *directory;  /* NULL: the bucket's top */
    const char *mount_path; /* required, absolute */
} cws_s3_mount;

/* Options of a sandbox, also used for the defaults of a session. "merged": session defaults and
 * this are combined; "replaces": what is given here is taken instead of the default. Where a
 * dialect is named, the other one has no such thing: it is refused, with what to use instead. */
typedef struct cws_sandbox_opts {
    const char *container_image;  /* NULL or "": default; default "python:3.11" */
    const char *command;          /* NULL or "": default; default "/bin/sh" with arguments that keep
                                     the sandbox alive silently */
    const char *const *args;      /* NULL: the default's, if command is the default's too; else
                                     none. Given and empty: none */
    const char *const *tags;      /* merged: defaults first, then these. Each 1 to 59 letters,
                                     digits, '.', '_', '-'; a letter or digit at the end */
    const char *const *runner_ids; /* replaces; given and empty clears; CKS placement */
    const cws_resources *resources;             /* replaces */
    const cws_pair *environment_variables;      /* merged, these win. Not for secrets */
    const cws_pair *annotations;                /* merged, these win; at most 100 */
    const cws_secret *secrets;                  /* merged: defaults first; at most 50 */
    size_t secret_count;
    const cws_mounted_file *mounted_files;      /* not in session defaults */
    size_t mounted_file_count;
    int32_t max_lifetime_seconds;   /* 0: default, else the service's own; at most 2,592,000 */
    double request_timeout_seconds; /* 0: default, else the client's */
    const cws_network *network;                 /* replaces */
    const cws_file_system *file_system;         /* replaces */
    const cws_volume *volumes;                  /* replaces; */
    size_t volume_count;                        /* given and 0 clears */
    const cws_service *services;                /* v1. Replaces; */
    size_t service_count;                       /* given and 0 clears */
    cws_placement placement;                    /* v1. Replaces */
    cws_spillover spillover;                    /* v1. Replaces */
    const char *const *profile_ids;             /* v1beta2. Replaces; given and empty clears */
    const char *const *profile_names;           /* v1beta2. Likewise */
    /* The rest is not inherited: */
    const char *template_id;                    /* v1. Make it from a template: of the session's
                                                   defaults only the tags count, and only what is
                                                   given here is changed. What concerns the
                                                   container needs container_image, args need
                                                   command; a given list replaces the template's */
    const char *working_dir;                    /* v1. Absolute; NULL: the image's */
    const char *instance_type;                  /* v1 */
    const char *runtime_class;                  /* v1 */
    const char *display_name;                   /* v1 */
    const cws_image_credentials *image_credentials; /* v1 */
    const cws_security *security;               /* v1 */
    const cws_probe *startup_probe;             /* v1 */
    const cws_container *containers;            /* v1: more of them */
    size_t container_count;
    const cws_object_storage *object_storage;
    const cws_port *ports;                      /* v1beta2 */
    size_t port_count;
    const cws_s3_mount *s3_mount;               /* v1beta2 */
    int32_t max_timeout_seconds;                /* v1beta2: the service's limit for operations on
                                                   the sandbox; 0: its default */
    uint32_t must_be_zero;
} cws_sandbox_opts;

/* ================================================================================================
 * >>sandbox
 * A remote container. Made unstarted by cws_session_sandbox; started by the first thing that needs
 * it (exec, files, wait) or by cws_sandbox_start.
 * ============================================================================================= */

typedef struct cws_sandbox cws_sandbox;
typedef struct cws_session cws_session;
typedef struct cws_op cws_op;

typedef enum cws_state {
    CWS_STATE_NOT_STARTED = 0, /* no request was accepted yet, or stopped before start */
    CWS_STATE_PENDING,
    CWS_STATE_PREPARING, /* images are being prepared */
    CWS_STATE_CREATING,
    CWS_STATE_RUNNING,
    CWS_STATE_PAUSED,
    CWS_STATE_TERMINATING,
    CWS_STATE_COMPLETED,  /* ended by itself or by a stop; terminal */
    CWS_STATE_FAILED,     /* terminal; see status_reason */
    CWS_STATE_TERMINATED, /* terminal; older servers */
    CWS_STATE_UNSPECIFIED /* the server says nothing, or a number newer than this header */
} cws_state;

/* "running", "completed" ...; never NULL. */
CWS_API const char *cws_state_name(cws_state state);
/* COMPLETED, FAILED or TERMINATED. */
CWS_API bool cws_state_is_terminal(cws_state state);

/* A port of a sandbox that can be reached. */
typedef struct cws_service_info {
    int32_t port;
    const char *name; /* "" : none */
    cws_service_protocol protocol;
    cws_visibility visibility;
    cws_endpoint endpoint;
    cws_endpoint_auth auth;
    const char *url;     /* "": none */
    const char *address; /* "": none; host and port of an endpoint without a URL */
} cws_service_info;

/* What is known of a sandbox. Strings are never NULL ("" = unknown) and, like the struct, belong to
 * the sandbox and last until the next call that polls, or until it is freed. */
typedef struct cws_sandbox_info {
    const char *sandbox_id; /* "" until the create was accepted */
    cws_state state;
    int32_t state_number; /* as the server sent it, also when newer than this header */
    const char *status_reason; /* for people; the cause of a failure */
    const char *runner_id;
    const char *runner_group_id;
    int64_t create_unix_ms; /* 0: unknown */
    int64_t start_unix_ms;
    int64_t end_unix_ms;
    bool has_exit_code; /* of the main command; 0 is a real code */
    int32_t exit_code;
    int64_t updated_unix_ms; /* when the server confirmed this last; 0: never */
    /* What the service has made of the options, as far as it says; lists are ended by NULL. */
    cws_resources resources; /* request_*, limit_*, gpu_*; NULL: unknown */
    const cws_service_info *services; /* ports that can be reached */
    size_t service_count;
    const char *const *egress_hostnames; /* v1: names that may be reached */
    const char *const *tags;             /* v1 */
    const char *display_name;            /* v1 */
    const char *runtime_class;           /* v1 */
    const char *share_token; /* v1: opens endpoints with CWS_ENDPOINT_AUTH_SHARE_TOKEN; a secret */
    cws_placement placement; /* v1 */
    int32_t max_lifetime_seconds; /* v1; 0: unknown */
    const cws_volume *volumes;    /* v1: those of this object's options until the service tells */
    size_t volume_count;
    const char *const *snapshot_ids; /* taken by a stop; in the order of the volumes */
    const char *profile_id;       /* v1beta2 */
    const char *service_address;  /* v1beta2: host of the services */
    const char *ingress_mode;     /* v1beta2: as applied */
    const char *egress_mode;      /* v1beta2: as applied */
} cws_sandbox_info;

CWS_API const cws_sandbox_info *cws_sandbox_get_info(const cws_sandbox *sandbox);
CWS_API const char *cws_sandbox_id(const cws_sandbox *sandbox); /* "" until accepted */
CWS_API cws_state cws_sandbox_state(const cws_sandbox *sandbox); /* last known; no network */

typedef struct cws_exec_stats {
    uint64_t exec_count;             /* rises when a command is begun */
    uint64_t exec_completed_ok;      /* exit code 0 */
    uint64_t exec_completed_nonzero; /* other code, check off */
    uint64_t exec_failures;          /* everything else, check failures and cancels included */
} cws_exec_stats;
CWS_API cws_exec_stats cws_sandbox_exec_stats(const cws_sandbox *sandbox);

/* Send the create request, if it was not sent yet, and wait until the service accepted it. Does not
 * wait for RUNNING. A create whose outcome is unknown is repeated with the same request id.
 * Returns CWS_ERR_NOT_RUNNING for a sandbox that was stopped before. */
CWS_API cws_status cws_sandbox_start(cws_sandbox *sandbox, cws_error *err);
CWS_API cws_status cws_sandbox_start_begin(cws_sandbox *sandbox, cws_op **out, cws_error *err);

/* Wait until the sandbox is RUNNING (or already past it), starting it if needed. All waiters of one
 * sandbox share one poll. timeout_seconds 0: the sandbox's request timeout; the clock starts once
 * the create was accepted, which itself is bounded by the request timeout. Returns CWS_ERR_FAILED
 * (with the server's reason), CWS_ERR_TERMINATED, CWS_ERR_TIMEOUT, CWS_ERR_NOT_RUNNING (stopped
 * meanwhile), or what the create or the poll met. */
CWS_API cws_status cws_sandbox_wait(cws_sandbox *sandbox, double timeout_seconds, cws_error *err);
CWS_API cws_status cws_sandbox_wait_begin(cws_sandbox *sandbox, double timeout_seconds,
                                          cws_op **out, cws_error *err);

typedef struct cws_complete_opts {
    double timeout_seconds;  /* 0: the sandbox's request timeout */
    bool allow_termination;  /* a stop counts as success; default: CWS_ERR_TERMINATED */
    uint32_t must_be_zero;
} cws_complete_opts;

/* Wait until the main command has ended. FAILED is always CWS_ERR_FAILED; a sandbox stopped by this
 * object is CWS_ERR_TERMINATED unless allow_termination is set. The exit code, where there is one,
 * is in cws_sandbox_get_info. */
CWS_API cws_status cws_sandbox_wait_until_complete(cws_sandbox *sandbox,
                                                   const cws_complete_opts *opts, cws_error *err);
CWS_API cws_status cws_sandbox_wait_until_complete_begin(cws_sandbox *sandbox,
                                                         const cws_complete_opts *opts,
                                                         cws_op **out, cws_error *err);

/* Ask the service for the state now. Never starts a sandbox: CWS_ERR_NOT_RUNNING if unstarted. A
 * terminal sandbox answers from memory. state may be NULL. */
CWS_API cws_status cws_sandbox_get_status(cws_sandbox *sandbox, cws_state *state, cws_error *err);
CWS_API cws_status cws_sandbox_get_status_begin(cws_sandbox *sandbox, cws_op **out,
                                                cws_error *err);

typedef struct cws_stop_opts {
    double graceful_shutdown_seconds; /* 0: 10; CWS_NONE: at once; fractions are rounded up. With
                                         snapshot at most 300, and in v1beta2 never less than 30 */
    bool missing_ok;                  /* a sandbox the service does not know counts as stopped */
    double timeout_seconds;           /* for the whole stop; 0: grace + 60, with snapshot + 635 */
    bool snapshot; /* first keep the scratch volumes; their ids are then in snapshot_ids of
                      cws_sandbox_info. CWS_ERR_SNAPSHOT if there are none */
    bool snapshot_no_wait; /* do not wait until the snapshots are ready */
    const char *const *snapshot_volumes; /* v1: names of scratch volumes; NULL: all known */
    const char *request_id; /* token of the snapshots, up to 128 bytes; NULL: the service's */
    uint32_t must_be_zero;
} cws_stop_opts;

/* Stop the sandbox and wait until it has ended. Stopping an unstarted sandbox means that it can
 * never start. A start in flight is awaited first and then stopped, so nothing leaks. Calls that
 * overlap join the first one, whose options count. An ended sandbox is success. On failure the
 * sandbox stays tracked by its session, and stop may be called again. A stop with snapshot that
 * comes too late to take one (the sandbox ends or has ended without, or a stop without is under
 * way) is CWS_ERR_SNAPSHOT_CONFLICT and leaves everything as it is. */
CWS_API cws_status cws_sandbox_stop(cws_sandbox *sandbox, const cws_stop_opts *opts,
                                    cws_error *err);
CWS_API cws_status cws_sandbox_stop_begin(cws_sandbox *sandbox, const cws_stop_opts *opts,
                                          cws_op **out, cws_error *err);

/* Freeze all processes of a running sandbox, and let them go on. v1beta2 only, else
 * CWS_ERR_UNSUPPORTED. Never starts a sandbox: CWS_ERR_NOT_RUNNING if unstarted or ended. Commands
 * in a paused sandbox wait, or are refused by the service. */
CWS_API cws_status cws_sandbox_pause(cws_sandbox *sandbox, cws_error *err);
CWS_API cws_status cws_sandbox_pause_begin(cws_sandbox *sandbox, cws_op **out, cws_error *err);
CWS_API cws_status cws_sandbox_resume(cws_sandbox *sandbox, cws_error *err);
CWS_API cws_status cws_sandbox_resume_begin(cws_sandbox *sandbox, cws_op **out, cws_error *err);

/* Forget the handle. Local: a session goes on tracking the sandbox and will stop it. */
CWS_API void cws_sandbox_free(cws_sandbox *sandbox);

/* Delete a sandbox by id, at once and without waiting for its end. With missing_ok an id that the
 * service does not know is success. */
CWS_API cws_status cws_sandbox_delete(cws_client *client, const char *sandbox_id, bool missing_ok,
                                      cws_error *err);
CWS_API cws_status cws_sandbox_delete_begin(cws_client *client, const char *sandbox_id,
                                            bool missing_ok, cws_op **out, cws_error *err);

/* ================================================================================================
 * >>exec
 * Commands. argv is a program and its arguments, ended by NULL; there is no shell in between.
 * ============================================================================================= */

typedef struct cws_result cws_result;   /* a command that has ended */
typedef struct cws_process cws_process; /* a command in flight */

typedef enum cws_stream_id { CWS_STDOUT = 1, CWS_STDERR = 2 } cws_stream_id;

typedef enum cws_flow {
    CWS_FLOW_CONTINUE = 0,
    CWS_FLOW_CANCEL = 1, /* end the operation with CWS_ERR_CANCELLED */
    CWS_FLOW_PAUSE = 2   /* the piece was taken; no more until cws_op_resume, which must come later
                            than the callback's return, so not for blocking calls. The peer feels
                            it; deadlines go on */
} cws_flow;

/* Output as it arrives, in pieces of any size (one piece per stream from the unary call, which can
 * not pause); data lives until the callback returns and is not NUL-terminated. The service ends a
 * command whose output is not taken for long: CWS_ERR_STREAM_BACKPRESSURE. */
typedef cws_flow (*cws_output_fn)(cws_stream_id stream, const void *data, size_t size, void *user);

typedef struct cws_exec_opts {
    const char *cwd;         /* absolute; NULL: the container's. Needs /bin/sh in the image */
    const cws_pair *env;     /* variables added for this command only */
    bool check;              /* a non-zero exit code is CWS_ERR_EXECUTION */
    bool unary;              /* use the unary Exec call: one reply, no live output. Chosen by itself
                                when the transport or the address cannot do streams */
    double timeout_seconds;  /* 0: the sandbox's request timeout. The clock starts when the command
                                is sent. The call is given 5 s more to let the server speak first */
    uint64_t max_output_bytes; /* kept of each stream; what is over is counted, delivered to
                                  on_output, and dropped. 0: 16 MiB; CWS_UNLIMITED */
    const char *container;   /* NULL: the primary one */
    cws_output_fn on_output; /* NULL: none */
    bool with_stdin;         /* the command has a standard input, see cws_process_write; false: an
                                empty one. Needs a transport with streams in both directions
                                (HTTP/2). The command must say that it is ready within 5 s, or
                                timeout_seconds if that is less, else CWS_ERR_TIMEOUT. Give a long
                                conversation a long timeout_seconds */
    void (*on_stdin_room)(void *user); /* called inside a poll once there is room for half a MiB, or
                                          for the line, after a write that was told that there is
                                          not enough; not after the end. NULL: none */
    void *user;
    uint32_t must_be_zero;
} cws_exec_opts;

/* Run a command to its end. *out is yours: cws_result_free; NULL on failure. (What a failed command
 * had written is kept too: use cws_exec_begin and cws_process_wait to see it.) Starts the sandbox
 * and waits for RUNNING if needed. A command is never sent twice. A stream that ends without an
 * exit message is CWS_ERR_EXECUTION, never success. A program that is not there, or a cwd that is
 * not, is a success of the call with the exit code of the runtime or the shell (127, 2 or 1).
 * Returns CWS_ERR_TIMEOUT "timed out after N s", CWS_ERR_NOT_RUNNING, CWS_ERR_EXECUTION and others.
 * Example: examples/quickstart.c */
CWS_API cws_status cws_exec(cws_sandbox *sandbox, const char *const *argv,
                            const cws_exec_opts *opts, cws_result **out, cws_error *err);
CWS_API cws_status cws_exec_begin(cws_sandbox *sandbox, const char *const *argv,
                                  const cws_exec_opts *opts, cws_process **out, cws_error *err);

typedef struct cws_shell_opts {
    const char *cwd;         /* absolute; NULL: the container's. Needs /bin/sh in the image */
    uint32_t width;          /* columns and rows of the terminal, up to 65535; */
    uint32_t height;         /* 0: the service's default */
    const cws_pair *env;     /* variables added for this shell only, e.g. TERM */
    double timeout_seconds;  /* for the whole shell; 0: none at all */
    uint64_t max_output_bytes; /* without on_output: kept for cws_process_read; while so much is
                                  unread, the shell is held up. 0: 1 MiB */
    const char *container;   /* NULL: the primary one */
    cws_output_fn on_output; /* then nothing is kept. All output is CWS_STDOUT */
    void (*on_stdin_room)(void *user); /* as in cws_exec_opts */
    void *user;
    uint32_t must_be_zero;
} cws_shell_opts;

/* Begin an interactive program in a terminal; argv NULL: /bin/bash. The process is like a command
 * with_stdin whose output is raw bytes of a terminal: write keys, read the screen, cws_process_wait
 * gives the exit code, and the result only output that was not read. Unlike that of a command, its
 * output waits for you: read it, or the shell stands still. Needs streams in both directions
 * (HTTP/2), else CWS_ERR_UNSUPPORTED. No signal is sent from here: ^C is the byte 3, as on any
 * terminal.
 * Example: examples/shell.c */
CWS_API cws_status cws_shell_begin(cws_sandbox *sandbox, const char *const *argv,
                                   const cws_shell_opts *opts, cws_process **out, cws_error *err);
/* Tell the shell the new size of its terminal, 1 to 65535 each. Never waits: what is not sent yet
 * is replaced, and what comes behind cws_process_close_stdin is not sent. CWS_ERR_EXECUTION
 * "terminal session has ended" afterwards. */
CWS_API cws_status cws_process_resize(cws_process *process, uint32_t width, uint32_t height,
                                      cws_error *err);

/* The operation behind a process, for cws_op_wait, cws_wait_many, cws_op_on_done. Borrowed: it
 * lives as long as the process; do not free it. */
CWS_API cws_op *cws_process_op(cws_process *process);
/* True once the command has ended with an exit code; exit_code may be NULL. Never blocks. */
CWS_API bool cws_process_poll(const cws_process *process, int32_t *exit_code);
/* Wait for the end (timeout_ms < 0: without limit of its own) and borrow the result, which lives as
 * long as the process. After a failure it holds what had arrived until then. result may be NULL;
 * *result is NULL if the command never began. Returns CWS_ERR_WAIT_TIMEOUT if it is still running;
 * it may be called again. */
CWS_API cws_status cws_process_wait(cws_process *process, int64_t timeout_ms,
                                    const cws_result **result, cws_error *err);
/* Take the result of an ended process; it is then yours: cws_result_free. NULL if there is none. */
CWS_API cws_result *cws_process_take_result(cws_process *process);
/* Write to the command's input (with_stdin). CWS_OK: all of it is queued. Up to 1 MiB waits in the
 * library and is sent in order once the command is ready; the transport holds some more. While the
 * queue is full this waits, and moves everything else meanwhile, output too (a shell takes no
 * input while its output waits for you). Queued is not delivered: cancel and free drop what was
 * not sent. written (may be NULL) tells how many bytes were queued, also on failure. timeout_ms <
 * 0: without limit of its own; 0: take what fits and move nothing (cws_client_poll does), allowed
 * in callbacks, where another value gives CWS_ERR_REENTRANT once the queue is full. Inside a
 * callback from the turns of another write to the same process nothing fits. Returns
 * CWS_ERR_WAIT_TIMEOUT if some did not fit in time, CWS_ERR_EXECUTION "stream is closed" after
 * cws_process_close_stdin, and "stream has failed" once the command has ended or was cancelled,
 * with the reason.
 * Example: examples/stdin.c */
CWS_API cws_status cws_process_write(cws_process *process, const void *data, size_t size,
                                     int64_t timeout_ms, size_t *written, cws_error *err);
/* The same for a line: text and a newline, queued as a whole or not at all. Shorter than 1 MiB. */
CWS_API cws_status cws_process_write_line(cws_process *process, const char *text,
                                          int64_t timeout_ms, cws_error *err);
/* End the input behind everything that was written, which later turns of the loop send. Never
 * waits; again, or after the end of the command, is fine. */
CWS_API cws_status cws_process_close_stdin(cws_process *process, cws_error *err);
/* Take output as it arrives, of any command: between 1 and `size` bytes, waiting if there are none;
 * timeout_ms as for writing. CWS_OK with *count 0 is the end of the stream; a non-zero exit is no
 * failure here. Bytes that were taken are no longer in the result, and those of a result that was
 * taken are not here. A command, unlike a shell, is never held up: what is not read is kept up to
 * max_output_bytes, and after those bytes CWS_ERR_LIMIT says that there was more. Returns
 * CWS_ERR_WAIT_TIMEOUT if nothing came, or how the command failed, after all bytes before that. */
CWS_API cws_status cws_process_read(cws_process *process, cws_stream_id stream, void *buffer,
                                    size_t size, int64_t timeout_ms, size_t *count,
                                    cws_error *err);
/* Give up: the exchange ends at once on the wire. True if it was still running. */
CWS_API bool cws_process_cancel(cws_process *process);
/* Cancels if needed, then frees. */
CWS_API void cws_process_free(cws_process *process);

CWS_API int32_t cws_result_exit_code(const cws_result *result);
CWS_API bool cws_result_has_exit_code(const cws_result *result); /* false in a partial result */
CWS_API const char *cws_result_stdout(const cws_result *result, size_t *size); /* NUL-terminated */
CWS_API const char *cws_result_stderr(const cws_result *result, size_t *size);
CWS_API size_t cws_result_stdout_size(const cws_result *result);
CWS_API size_t cws_result_stderr_size(const cws_result *result);
/* Bytes the command wrote in total, and whether less than that was kept. */
CWS_API uint64_t cws_result_bytes_produced(const cws_result *result, cws_stream_id stream);
CWS_API bool cws_result_truncated(const cws_result *result, cws_stream_id stream);
/* The command as given, ended by NULL. */
CWS_API const char *const *cws_result_command(const cws_result *result);
CWS_API void cws_result_free(cws_result *result);

/* ================================================================================================
 * >>logs
 * The output of a sandbox's main command, as lines or as it comes. (What commands of cws_exec write
 * is not in it, and the default main command writes nothing.) A stream hands out its items one
 * after the other: to a callback, or to you when you ask for the next one. What you do not take
 * waits at the service's side: little is kept here.
 * ============================================================================================= */

typedef struct cws_stream cws_stream; /* items in flight */

typedef struct cws_item {
    const char *data; /* lives until cws_stream_next is called again, the callback returns, or the
                         stream is freed; a NUL follows it */
    size_t size;
    bool partial;   /* logs by line: no newline at its end, because the line is too long or the
                       output ended */
    bool restarted; /* logs: before this item some output may be missing or come twice: the
                       connection broke and could not be taken up where it was */
    int64_t unix_ms; /* logs: when the service says that it was written; 0: unknown */
    const char *session_id; /* logs: with offset the place behind this item, for a later stream that
                               is to go on there; "": there is none. Lives as long as data */
    uint64_t offset; /* logs: see above. Downloads: bytes of the file before this item */
} cws_item;

typedef cws_flow (*cws_item_fn)(const cws_item *item, void *user);

typedef enum cws_long_lines {
    CWS_LONG_LINES_DEFAULT = 0, /* FAIL in v1, SPLIT in v1beta2 */
    CWS_LONG_LINES_FAIL = 1,    /* CWS_ERR_STREAM_TRUNCATED, behind the lines before it */
    CWS_LONG_LINES_SPLIT = 2    /* in pieces of max_line_bytes, with `partial` set */
} cws_long_lines;

typedef struct cws_logs_opts {
    bool follow;            /* stay until the main command has ended; false: what there is now */
    bool raw;               /* pieces as they come instead of lines */
    bool timestamps;        /* the service puts a time (ISO 8601, UTC) and a space before each line;
                               not behind a connection that was resumed. Most items then have no
                               place to go on at */
    uint32_t tail_lines;    /* only the last ones, at most 2147483647; 0: all */
    int64_t since_unix_ms;  /* only what was written then or later; 0: all */
    const char *resume_session_id; /* with follow: go on behind an item, by its session_id */
    uint64_t resume_offset;        /* and offset; without the three options above */
    double timeout_seconds; /* 0: with follow none, else the sandbox's request timeout */
    uint32_t max_attempts;  /* with follow: connections lost in a row, without data between them,
                               after which it gives up with CWS_ERR_UNAVAILABLE; 0: 3; 1: none is
                               taken up again */
    cws_long_lines long_lines;
    uint64_t max_line_bytes; /* its newline included; 0: 1 MiB */
    const char *container;   /* NULL: the primary one */
    cws_item_fn on_item;     /* NULL: you will call cws_stream_next */
    void *user;
    uint32_t must_be_zero;
} cws_logs_opts;

/* Read the logs. Starts the sandbox if needed; one that has ended can be read without follow if the
 * service still has its logs. With follow a lost connection is taken up again, after 0.5 s, then 1
 * s, up to 4 s: bytes that come twice are dropped, and where that can not be known the item says
 * `restarted`. Returns CWS_ERR_NOT_RUNNING (follow, "terminating"), CWS_ERR_REQUEST_TIMEOUT,
 * CWS_ERR_STREAM_TRUNCATED, or how the service ended the stream: stream_code and reason say more.
 * Needs a transport of the streaming tier, else CWS_ERR_UNSUPPORTED. *out is yours:
 * cws_stream_free.
 * Example: examples/follow_logs.c */
CWS_API cws_status cws_logs_begin(cws_sandbox *sandbox, const cws_logs_opts *opts,
                                  cws_stream **out, cws_error *err);
/* The same to its end; opts->on_item is required. */
CWS_API cws_status cws_logs(cws_sandbox *sandbox, const cws_logs_opts *opts, cws_error *err);

/* Take the next item, waiting for it: timeout_ms < 0 without limit of its own, 0 without moving
 * anything (allowed in callbacks; polls fetch what it hands out). CWS_OK with item->data
 * NULL is the end. Returns CWS_ERR_WAIT_TIMEOUT if none came, or, behind the last item, how the
 * stream failed, every time. Not for a stream with a callback. */
CWS_API cws_status cws_stream_next(cws_stream *stream, int64_t timeout_ms, cws_item *item,
                                   cws_error *err);
/* The operation behind a stream. Without a callback it ends only when all items but those at hand
 * were taken: do not wait for it instead of taking them.
 * Borrowed: it lives as long as the stream; do not free it. */
CWS_API cws_op *cws_stream_op(cws_stream *stream);
/* Cancels if needed: the exchange ends at once on the wire. Then frees. */
CWS_API void cws_stream_free(cws_stream *stream);

/* ================================================================================================
 * >>files
 * Files and directories. A small file is one message each way. A large one, or a stream of unknown
 * length, goes through a command in the container (/bin/sh, cat, wc, mv, stat; tar for directories)
 * in constant memory here. Paths are the container's, given as they are; no shell sees them. A path
 * that is not there is CWS_ERR_FILE with reason CWSANDBOX_FILE_NOT_FOUND, a directory has
 * CWSANDBOX_FILE_IS_DIRECTORY; nothing makes missing parent directories but cws_upload_directory.
 * ============================================================================================= */

typedef struct cws_file_opts {
    double timeout_seconds; /* for all of it; 0: the sandbox's request timeout; waiting for RUNNING
                               not included */
    const char *container;  /* NULL: the primary one */
    bool direct;            /* a large file is written where it is to be, not beside it first */
    uint32_t must_be_zero;
} cws_file_opts;

/* Read a whole file, up to 256 MiB. *out is yours: cws_bytes_free. Repeated by itself while the
 * service is unavailable. What is too large for one message (32 MiB, or what the service says) is
 * read through a command, which needs streams in both directions. */
CWS_API cws_status cws_read_file(cws_sandbox *sandbox, const char *path, const cws_file_opts *opts,
                                 cws_bytes **out, cws_error *err);
CWS_API cws_status cws_read_file_begin(cws_sandbox *sandbox, const char *path,
                                       const cws_file_opts *opts, cws_op **out, cws_error *err);
/* Create or overwrite a file of up to 256 MiB; size 0 makes an empty one. data is copied. What is
 * too large for one message is written through a command: into a new file beside the old one, which
 * replaces it once its size is right, so that a failure leaves the old file as it was. */
CWS_API cws_status cws_write_file(cws_sandbox *sandbox, const char *path, const void *data,
                                  size_t size, const cws_file_opts *opts, cws_error *err);
CWS_API cws_status cws_write_file_begin(cws_sandbox *sandbox, const char *path, const void *data,
                                        size_t size, const cws_file_opts *opts, cws_op **out,
                                        cws_error *err);

/* How far a transfer is. */
typedef struct cws_progress {
    uint64_t bytes_done;
    uint64_t bytes_total; /* 0: not known */
    double bytes_per_second; /* since it began; 0: too early to tell */
} cws_progress;
/* Called at most ten times a second, and at the end of a success. */
typedef void (*cws_progress_fn)(const cws_progress *progress, void *user);

/* Where the bytes of an upload come from: put 1 to size bytes into buffer and set *count; a *count
 * of 0 is the end. CWS_FLOW_PAUSE: these, if any, but no more until cws_op_resume. CWS_FLOW_CANCEL:
 * give up. It may block, and everything of the client with it. */
typedef cws_flow (*cws_source_fn)(void *buffer, size_t size, size_t *count, void *user);

typedef struct cws_upload_opts {
    cws_source_fn source; /* this or data is required */
    const void *data;     /* `size` bytes, which must stay until the end; "" for an empty file */
    uint64_t size;        /* of all; with source, 0: not known. Else it is checked */
    bool atomic;          /* into a new file beside, with the same mode, which replaces the old one
                             when it is whole; false: directly, as the bytes come */
    double timeout_seconds; /* 0: the sandbox's request timeout; waiting for RUNNING not included */
    const char *container;  /* NULL: the primary one */
    cws_progress_fn on_progress; /* NULL: none */
    void *user;                  /* for source and on_progress */
    uint32_t must_be_zero;
} cws_upload_opts;

/* Write a file of any size. An upload that fails is CWS_ERR_FILE, unless the reason is elsewhere
 * (CWS_ERR_NOT_FOUND, CWS_ERR_STREAM_BACKPRESSURE ...), and says whether the file may be partial;
 * CWS_ERR_CANCELLED if source gave up. An atomic one that is broken off may leave its own file,
 * .cwsandbox-*, beside: the command may be killed with the stream. Needs streams in both
 * directions, else CWS_ERR_UNSUPPORTED.
 * Example: examples/transfer.c */
CWS_API cws_status cws_upload(cws_sandbox *sandbox, const char *path, const cws_upload_opts *opts,
                              cws_error *err);
CWS_API cws_status cws_upload_begin(cws_sandbox *sandbox, const char *path,
                                    const cws_upload_opts *opts, cws_op **out, cws_error *err);

typedef struct cws_download_opts {
    cws_item_fn on_item;    /* NULL: you will call cws_stream_next */
    double timeout_seconds; /* 0: the sandbox's request timeout; waiting for RUNNING not included */
    const char *container;  /* NULL: the primary one */
    cws_progress_fn on_progress; /* NULL: none */
    void *user;                  /* for on_item and on_progress */
    uint32_t must_be_zero;
} cws_download_opts;

/* Read a file of any size, in pieces as they come. What you do not take waits at the service's
 * side. Its size is asked first, for the progress, and from 128 MiB on an end before it is
 * CWS_ERR_FILE with reason CWSANDBOX_FILE_TRUNCATED. *out is yours: cws_stream_free. Needs streams
 * in both directions, else CWS_ERR_UNSUPPORTED. */
CWS_API cws_status cws_download_begin(cws_sandbox *sandbox, const char *path,
                                      const cws_download_opts *opts, cws_stream **out,
                                      cws_error *err);
/* The same to its end; opts->on_item is required. */
CWS_API cws_status cws_download(cws_sandbox *sandbox, const char *path,
                                const cws_download_opts *opts, cws_error *err);

typedef struct cws_directory_opts {
    bool skip_special;      /* leave out what is neither a file nor a directory (links, devices,
                               sockets); false: it fails the call */
    double timeout_seconds; /* 0: the sandbox's request timeout; waiting for RUNNING not included */
    const char *container;  /* NULL: the primary one */
    cws_progress_fn on_progress; /* NULL: none; counts the archive, whose size is not known */
    void *user;
    uint32_t must_be_zero;
} cws_directory_opts;

/* Copy what is in the directory local_path of this machine into the directory path of the sandbox,
 * which is made if it is missing, with its parents; or the other way round, where local_path itself
 * is made. Files that are there are replaced, others stay. Names, contents and the permission bits
 * of files are copied; owners, times, symbolic links and bits of directories are not; a file with
 * several names becomes several files. At most 64 directories deep. What came before a failure
 * stays. Local files are read and written while the loop turns, which waits for them. Needs tar in
 * the container, streams in both directions, and POSIX.1-2008 here, else CWS_ERR_UNSUPPORTED. An
 * archive is not trusted: a name that leads out of local_path, also through a link, is
 * CWS_ERR_FILE. */
CWS_API cws_status cws_upload_directory(cws_sandbox *sandbox, const char *path,
                                        const char *local_path, const cws_directory_opts *opts,
                                        cws_error *err);
CWS_API cws_status cws_upload_directory_begin(cws_sandbox *sandbox, const char *path,
                                              const char *local_path,
                                              const cws_directory_opts *opts, cws_op **out,
                                              cws_error *err);
CWS_API cws_status cws_download_directory(cws_sandbox *sandbox, const char *path,
                                          const char *local_path, const cws_directory_opts *opts,
                                          cws_error *err);
CWS_API cws_status cws_download_directory_begin(cws_sandbox *sandbox, const char *path,
                                                const char *local_path,
                                                const cws_directory_opts *opts, cws_op **out,
                                                cws_error *err);

#ifndef CWS_NO_STDIO
/* A source and a taker of items (also of logs) whose user is a FILE pointer. They give up if it
 * fails; ferror tells. */
CWS_API cws_flow cws_source_from_file(void *buffer, size_t size, size_t *count, void *file);
CWS_API cws_flow cws_item_to_file(const cws_item *item, void *file);
#endif

/* ================================================================================================
 * >>session
 * A group of sandboxes with common defaults that is stopped as a whole.
 * ============================================================================================= */

typedef struct cws_session_opts {
    cws_client *client;                 /* NULL: one of its own, made from client_opts */
    const cws_client_opts *client_opts; /* only without client; NULL: the environment */
    const cws_sandbox_opts *defaults;   /* for every sandbox of the session */
    double close_timeout_seconds;       /* bound of cws_session_close; 0: 90 */
    const char *journal; /* path of a file that names what a crash would leave behind, see
                            cws_session_reap; NULL: none */
    uint32_t must_be_zero;
} cws_session_opts;

/* Open a session. No network. *out is yours: cws_session_free, after cws_session_close.
 * Example: examples/quickstart.c */
CWS_API cws_status cws_session_open(const cws_session_opts *opts, cws_session **out,
                                    cws_error *err);
CWS_API cws_client *cws_session_client(const cws_session *session); /* borrowed */

/* Make an unstarted sandbox, tracked by the session. No network. *out is yours: cws_sandbox_free.
 * CWS_ERR_CLOSED on a closed session. */
CWS_API cws_status cws_session_sandbox(cws_session *session, const cws_sandbox_opts *opts,
                                       cws_sandbox **out, cws_error *err);
/* Number of tracked sandboxes, started or not; 0 after a close that succeeded. */
CWS_API size_t cws_session_sandbox_count(const cws_session *session);

typedef struct cws_list_opts {
    const char *const *tags;       /* all must match; the session's default tags are added */
    cws_state status;              /* 0: any */
    const char *const *runner_ids; /* any of them; NULL: the session's default */
    const char *const *profile_ids;   /* v1beta2; likewise */
    const char *const *profile_names; /* v1beta2; likewise */
    bool include_stopped;          /* also ended ones; a terminal status includes them by itself */
    bool adopt;                    /* the session tracks (and will stop) what was found */
    double timeout_seconds;        /* for all pages together; 0: the request timeout */
    uint32_t must_be_zero;
} cws_list_opts;

typedef struct cws_sandbox_list cws_sandbox_list;
CWS_API size_t cws_sandbox_list_count(const cws_sandbox_list *list);
/* The index-th sandbox, borrowed from the list; NULL past the end. */
CWS_API cws_sandbox *cws_sandbox_list_at(const cws_sandbox_list *list, size_t index);
/* The same, but yours: cws_sandbox_free. Outlives the list. */
CWS_API cws_sandbox *cws_sandbox_list_take(cws_sandbox_list *list, size_t index);
CWS_API void cws_sandbox_list_free(cws_sandbox_list *list);

/* Find sandboxes, all pages. *out is yours: cws_sandbox_list_free. */
CWS_API cws_status cws_session_list(cws_session *session, const cws_list_opts *opts,
                                    cws_sandbox_list **out, cws_error *err);
CWS_API cws_status cws_session_list_begin(cws_session *session, const cws_list_opts *opts,
                                          cws_op **out, cws_error *err);
/* Attach to a sandbox by id. The session tracks it unless no_adopt; an id that it tracks already
 * gives another handle of the same object. *out is yours. */
CWS_API cws_status cws_session_from_id(cws_session *session, const char *sandbox_id, bool no_adopt,
                                       cws_sandbox **out, cws_error *err);
CWS_API cws_status cws_session_from_id_begin(cws_session *session, const char *sandbox_id,
                                             bool no_adopt, cws_op **out, cws_error *err);
/* Track a sandbox that has an id; its former session, if any, lets it go. Tracking it already is
 * success. Immediate. */
CWS_API cws_status cws_session_adopt(cws_session *session, cws_sandbox *sandbox, cws_error *err);
/* The inverse: the session tracks the sandbox no more, so that closing leaves it running. Started
 * or not; a sandbox that no session tracks is success, one of another session is refused.
 * Immediate. */
CWS_API cws_status cws_session_release(cws_session *session, cws_sandbox *sandbox, cws_error *err);

/* Close: no new sandboxes, lists or attaches from now on; work on existing sandboxes is still taken
 * and fails when they stop. Every tracked sandbox is stopped, all at once, within
 * close_timeout_seconds. Starts in flight are awaited and then stopped. If some did not stop, the
 * result is CWS_ERR_SANDBOX, cws_session_failed names them, and close may be called again to try
 * just those. Closing a closed session with nothing left is success. */
CWS_API cws_status cws_session_close(cws_session *session, cws_error *err);
CWS_API cws_status cws_session_close_begin(cws_session *session, cws_op **out, cws_error *err);
/* The index-th sandbox that the last close could not stop, and why; false past the end. Borrowed
 * until the next close or free; each pointer may be NULL if not wanted. */
CWS_API bool cws_session_failed(const cws_session *session, size_t index,
                                const cws_sandbox **sandbox, const cws_error **why);
/* The journal of a session (its option `journal`): each create, sandbox and stop is noted in a file
 * before the next thing is done, and every sandbox made by the session carries a tag of its own.
 * cws_session_close removes the file if nothing is left. If the process was killed instead, the
 * next session with the same journal finds it, and this call stops what is left of the earlier
 * ones: what the file names, and what carries their tags, so also sandboxes whose create was in the
 * air (up to 10 s are spent on looking for those). Without anything to do it is success. *stopped
 * (may be NULL) tells how many were still there. What fails to stop stays in the journal: call it
 * again. Returns CWS_ERR_INVALID_ARGUMENT if an earlier session was of another address or API
 * version. Opening a session with a journal that a living process uses fails on Unix; elsewhere
 * take care. A create that can not be noted is not sent: CWS_ERR_FILE. Not with CWS_NO_STDIO.
 * Example: examples/journal.c */
CWS_API cws_status cws_session_reap(cws_session *session, size_t *stopped, cws_error *err);
CWS_API cws_status cws_session_reap_begin(cws_session *session, cws_op **out, cws_error *err);
CWS_API size_t cws_op_reaped(const cws_op *op); /* what *stopped would tell */

#ifdef CWS_EXIT_GUARD
/* Close this session when the process ends, by exit() or by SIGINT or SIGTERM (true), or no more
 * (false). This is the one part with state and handlers of the process, and so is there only if
 * CWS_EXIT_GUARD is defined. The handlers just note the signal; the closing is done by the next
 * call that moves the loop, or by a wait that the signal interrupts, in the thread that makes it.
 * Then what the signal did before happens: the end of the process, a handler of yours, or nothing.
 * A second signal meanwhile ends the process at once with 128 + its number. Bounded by
 * close_timeout_seconds for each session, one after the other. Unguarded by closing and by freeing.
 * Not with CWS_STATIC in several files. */
CWS_API cws_status cws_session_guard(cws_session *session, bool on, cws_error *err);
#endif

/* Local. Frees the session's own client too. Sandboxes that were not stopped go on running. */
CWS_API void cws_session_free(cws_session *session);

/* ================================================================================================
 * >>pool
 * Sandboxes that are started ahead of need: a start takes seconds, taking one that runs takes none.
 * Built on the functions above; a pool belongs to a session, which stops what is left of it.
 * ============================================================================================= */

typedef struct cws_pool cws_pool;

typedef struct cws_pool_opts {
    size_t size;                     /* how many to keep ready; required, up to 100000 */
    const cws_sandbox_opts *sandbox; /* of each; NULL: the session's defaults. Copied once for all:
                                        template_id, mounted_files and other things that are not
                                        inherited must stay until the pool is freed */
    size_t max_starting;    /* how many are started at once; 0: all that are missing */
    double max_age_seconds; /* one that has been ready for longer is stopped instead of given out,
                               and another made; 0: no limit. Keep it below their lifetime */
    void (*on_ready)(cws_pool *pool, void *user); /* one more can be taken; called inside a poll.
                                                     NULL: none */
    void *user;
    uint32_t must_be_zero;
} cws_pool_opts;

/* Begin to start them; returns at once. *out is yours: cws_pool_free, after cws_pool_close or
 * cws_session_close. */
CWS_API cws_status cws_pool_open(cws_session *session, const cws_pool_opts *opts, cws_pool **out,
                                 cws_error *err);
/* Take the one that has been ready for longest, which is then yours to stop and free, and begin to
 * start another. Waits if none is ready: timeout_ms < 0: without limit of its own; 0: not at all,
 * allowed in callbacks. Returns CWS_ERR_WAIT_TIMEOUT, or why the last start failed: after three
 * failures in a row no more are started but by the next call. It was running when it was last
 * looked at; it may have ended since. */
CWS_API cws_status cws_pool_take(cws_pool *pool, int64_t timeout_ms, cws_sandbox **out,
                                 cws_error *err);
/* How many can be taken without waiting. */
CWS_API size_t cws_pool_ready(const cws_pool *pool);
/* Stop what was not taken, all at once, and start no more. Blocks. On failure what did not stop is
 * left to the session's close. */
CWS_API cws_status cws_pool_close(cws_pool *pool, cws_error *err);
/* Local: the sandboxes that are left run until the session is closed. */
CWS_API void cws_pool_free(cws_pool *pool);

/* ================================================================================================
 * >>snapshots
 * Copies of scratch volumes (v1: volumes without volume_id, file_system; v1beta2: file_system) that
 * outlive their sandbox: begin another from one with cws_file_system.snapshot_id or
 * cws_volume.restore_from_snapshot_id. They belong to the organization and stay until deleted.
 * ============================================================================================= */

typedef enum cws_snapshot_state {
    CWS_SNAPSHOT_UNSPECIFIED = 0, /* not told, or a number newer than this header */
    CWS_SNAPSHOT_CREATING = 1,
    CWS_SNAPSHOT_READY = 2,
    CWS_SNAPSHOT_FAILED = 3, /* see status_reason */
    CWS_SNAPSHOT_DELETING = 4
} cws_snapshot_state;

typedef enum cws_snapshot_trigger {
    CWS_SNAPSHOT_TRIGGER_UNSPECIFIED = 0,
    CWS_SNAPSHOT_MANUAL = 1, /* cws_snapshot_create */
    CWS_SNAPSHOT_ON_STOP = 2
} cws_snapshot_trigger;

/* Strings are never NULL ("" = unknown) and belong to the list. */
typedef struct cws_snapshot {
    const char *snapshot_id;
    cws_snapshot_state state;
    const char *status_reason;
    int64_t size_bytes;
    const char *source_sandbox_id;
    const char *source_volume_name; /* v1 */
    cws_snapshot_trigger trigger;
    const char *request_id;    /* token given at creation */
    const char *object_bucket; /* where it lies */
    int64_t create_unix_ms;    /* these three: 0: unknown */
    int64_t update_unix_ms;
    int64_t complete_unix_ms;
} cws_snapshot;

typedef struct cws_snapshot_list cws_snapshot_list;
CWS_API size_t cws_snapshot_list_count(const cws_snapshot_list *list);
/* Borrowed from the list; NULL past the end. */
CWS_API const cws_snapshot *cws_snapshot_list_at(const cws_snapshot_list *list, size_t index);
CWS_API void cws_snapshot_list_free(cws_snapshot_list *list);

typedef struct cws_snapshot_opts {
    const char *volume;     /* v1: name of a scratch volume; NULL: the only one, else
                               CWS_ERR_SNAPSHOT before any network */
    bool no_wait;           /* do not wait until it is ready */
    const char *request_id; /* token, up to 128 bytes: repeating a create with it gives the same
                               snapshot. NULL: a new one */
    double timeout_seconds; /* once the sandbox runs; 0: 605, with no_wait the request timeout */
    uint32_t must_be_zero;
} cws_snapshot_opts;

/* Keep a scratch volume of a running sandbox, which is started if needed. *out is a list of one,
 * yours: cws_snapshot_list_free; out may be NULL. In v1beta2 the reply tells id and state only: ask
 * with cws_snapshot_get for the rest. Returns CWS_ERR_SNAPSHOT if it failed (with the service's
 * reason), CWS_ERR_SNAPSHOT_WAIT_TIMEOUT if it was not ready in time: it goes on, and its id is in
 * cws_error_metadata(err, "file_system_snapshot_id").
 * Example: examples/snapshots.c */
CWS_API cws_status cws_snapshot_create(cws_sandbox *sandbox, const cws_snapshot_opts *opts,
                                       cws_snapshot_list **out, cws_error *err);
CWS_API cws_status cws_snapshot_create_begin(cws_sandbox *sandbox, const cws_snapshot_opts *opts,
                                             cws_op **out, cws_error *err);

/* What is known of a snapshot: a list of one. CWS_ERR_SNAPSHOT_NOT_FOUND. */
CWS_API cws_status cws_snapshot_get(cws_client *client, const char *snapshot_id,
                                    cws_snapshot_list **out, cws_error *err);
CWS_API cws_status cws_snapshot_get_begin(cws_client *client, const char *snapshot_id,
                                          cws_op **out, cws_error *err);

typedef struct cws_snapshot_list_opts {
    const char *source_sandbox_id; /* NULL: any */
    cws_snapshot_state state;      /* 0: any */
    double timeout_seconds;        /* for all pages together; 0: the request timeout */
    uint32_t must_be_zero;
} cws_snapshot_list_opts;

/* The organization's snapshots, all pages. */
CWS_API cws_status cws_snapshot_find(cws_client *client, const cws_snapshot_list_opts *opts,
                                     cws_snapshot_list **out, cws_error *err);
CWS_API cws_status cws_snapshot_find_begin(cws_client *client, const cws_snapshot_list_opts *opts,
                                           cws_op **out, cws_error *err);

/* Delete a snapshot; sandboxes begun from it go on. With missing_ok one that is not there is
 * success. */
CWS_API cws_status cws_snapshot_delete(cws_client *client, const char *snapshot_id,
                                       bool missing_ok, cws_error *err);
CWS_API cws_status cws_snapshot_delete_begin(cws_client *client, const char *snapshot_id,
                                             bool missing_ok, cws_op **out, cws_error *err);

/* Where the organization's snapshots lie. */
typedef struct cws_snapshot_bucket {
    bool managed;          /* by the service; false: your own, or not told */
    char bucket_name[256]; /* your own, or "" */
    char region[128];
    char effective_bucket_name[256]; /* the one in use */
} cws_snapshot_bucket;

/* out may be NULL. */
CWS_API cws_status cws_snapshot_bucket_get(cws_client *client, cws_snapshot_bucket *out,
                                           cws_error *err);
CWS_API cws_status cws_snapshot_bucket_get_begin(cws_client *client, cws_op **out, cws_error *err);
/* Use an own bucket: both names are required. Or go back to the service's: bucket_name NULL or "".
 * Snapshots in another bucket can not be used until it is set again. out: what holds now. */
CWS_API cws_status cws_snapshot_bucket_set(cws_client *client, const char *bucket_name,
                                           const char *region, cws_snapshot_bucket *out,
                                           cws_error *err);
CWS_API cws_status cws_snapshot_bucket_set_begin(cws_client *client, const char *bucket_name,
                                                 const char *region, cws_op **out, cws_error *err);

/* ================================================================================================
 * >>discovery
 * What there is to run on: runners and, in v1beta2, profiles. Not for W&B credentials. A failure
 * that is not about credentials or arguments is CWS_ERR_DISCOVERY, and retryable tells the rest.
 * ============================================================================================= */

/* A place that runs sandboxes. Strings are never NULL, lists end with NULL; all belong to the list
 * of runners. Numbers are 0 where the service tells nothing. */
typedef struct cws_runner {
    const char *runner_id;
    const char *runner_group_id;
    const char *organization_id; /* v1 */
    const char *const *tags;
    bool healthy;
    bool is_shared;
    int64_t connected_unix_ms;
    int64_t max_cpu_millicores; /* of one sandbox */
    int64_t max_memory_bytes;
    int64_t max_gpu_count;
    const char *const *gpu_types;
    const char *const *architectures;
    bool supports_privileged;
    const char *const *storage_classes;
    const cws_visibility *service_visibilities; /* v1 */
    size_t service_visibility_count;
    const char *const *profile_names; /* v1beta2 */
    bool has_resources; /* the rest was told: see include_resources */
    int64_t available_cpu_millicores;
    int64_t available_memory_bytes;
    int64_t available_gpu_count;
    int32_t running_sandboxes;
} cws_runner;

typedef struct cws_runner_list cws_runner_list;
CWS_API size_t cws_runner_list_count(const cws_runner_list *list);
/* Borrowed from the list; NULL past the end. */
CWS_API const cws_runner *cws_runner_list_at(const cws_runner_list *list, size_t index);
CWS_API void cws_runner_list_free(cws_runner_list *list);

typedef struct cws_runner_opts { /* what a runner must have; 0 and NULL: anything */
    const char *runner_group_id;
    const char *gpu_type;
    const char *architecture;
    bool healthy_only;
    bool include_resources; /* tell what is free now; the three below imply it */
    int64_t min_available_cpu_millicores;
    int64_t min_available_memory_bytes;
    int64_t min_available_gpu_count;
    cws_visibility service_visibility; /* v1 */
    bool exclude_shared;               /* v1beta2 */
    const char *profile_name;          /* v1beta2 */
    const char *service_exposure_mode; /* v1beta2: one of its profiles offers it */
    const char *egress_mode;           /* v1beta2: likewise */
    double timeout_seconds;            /* for all pages together; 0: 30 */
    uint32_t must_be_zero;
} cws_runner_opts;

/* Runners, all pages. *out is yours: cws_runner_list_free. */
CWS_API cws_status cws_runner_find(cws_client *client, const cws_runner_opts *opts,
                                   cws_runner_list **out, cws_error *err);
CWS_API cws_status cws_runner_find_begin(cws_client *client, const cws_runner_opts *opts,
                                         cws_op **out, cws_error *err);
/* One, with what is free: a list of one. v1 needs organization_id too, because ids of runners are
 * not unique among organizations; v1beta2 does not use it. CWS_ERR_RUNNER_NOT_FOUND. */
CWS_API cws_status cws_runner_get(cws_client *client, const char *runner_id,
                                  const char *organization_id, cws_runner_list **out,
                                  cws_error *err);
CWS_API cws_status cws_runner_get_begin(cws_client *client, const char *runner_id,
                                        const char *organization_id, cws_op **out, cws_error *err);

/* A set of rules under which a runner takes sandboxes. v1beta2. */
typedef struct cws_profile {
    const char *profile_name;
    const char *runner_id;
    const char *const *gpu_types;
    const char *const *architectures;
    const char *const *service_exposure_modes; /* for cws_network.ingress_mode */
    const char *const *egress_modes;
} cws_profile;

typedef struct cws_profile_list cws_profile_list;
CWS_API size_t cws_profile_list_count(const cws_profile_list *list);
/* Borrowed from the list; NULL past the end. */
CWS_API const cws_profile *cws_profile_list_at(const cws_profile_list *list, size_t index);
CWS_API void cws_profile_list_free(cws_profile_list *list);

typedef struct cws_profile_opts { /* what a profile must have; NULL: anything */
    const char *runner_id;
    const char *gpu_type;
    const char *architecture;
    bool exclude_shared;
    const char *service_exposure_mode;
    const char *egress_mode;
    double timeout_seconds; /* for all pages together; 0: 30 */
    uint32_t must_be_zero;
} cws_profile_opts;

/* Profiles, all pages; v1 has none: CWS_ERR_UNSUPPORTED. *out is yours: cws_profile_list_free. */
CWS_API cws_status cws_profile_find(cws_client *client, const cws_profile_opts *opts,
                                    cws_profile_list **out, cws_error *err);
CWS_API cws_status cws_profile_find_begin(cws_client *client, const cws_profile_opts *opts,
                                          cws_op **out, cws_error *err);
/* One: a list of one. runner_id NULL: on any runner. CWS_ERR_PROFILE_NOT_FOUND. */
CWS_API cws_status cws_profile_get(cws_client *client, const char *profile_name,
                                   const char *runner_id, cws_profile_list **out, cws_error *err);
CWS_API cws_status cws_profile_get_begin(cws_client *client, const char *profile_name,
                                         const char *runner_id, cws_op **out, cws_error *err);

/* ================================================================================================
 * >>functions
 * Functions that run in sandboxes: Python source, or C that this program can call as well. A call
 * makes a sandbox of the session, brings the arguments there, runs the function, fetches what it
 * returned and stops the sandbox, however it went.
 * ============================================================================================= */

typedef struct cws_function cws_function;

/* What the body of a CWS_FUNCTION works with, here and in a sandbox alike. */
typedef struct cws_io cws_io;
struct cws_io {
    bool (*write)(cws_io *io, const void *data, size_t size); /* append to the result; false: there
                                                                 is no memory, and the call fails */
    void (*fail)(cws_io *io, const char *text); /* the call fails with this text, the first one
                                                   counts; return then */
    void *user; /* the library's */
};

typedef struct cws_c_function {
    const char *name;
    void (*body)(const char *input, size_t input_size, cws_io *io);
    const char *source; /* of the body */
} cws_c_function;

/* Define a C function that can run here and in sandboxes, at file scope:
 *
 *     CWS_FUNCTION(upper, {
 *         size_t i;
 *         for (i = 0; i < input_size; i++) {
 *             char c = (char)toupper((unsigned char)input[i]);
 *             io->write(io, &c, 1);
 *         }
 *     });
 *
 * makes a `static const cws_c_function upper`. The body sees `input` (`input_size` bytes, and a NUL
 * behind them) and `io`, and nothing else of this program: no globals, no macros, no other
 * functions. In a sandbox it has assert.h, ctype.h, errno.h, limits.h, math.h, stdbool.h, stddef.h,
 * stdint.h, stdio.h, stdlib.h, string.h and time.h. No preprocessor line may be in it. */
#define CWS_FUNCTION(name, ...)                                                                    \
    static void name##_body_cws(const char *input, size_t input_size, cws_io *io)                  \
    {                                                                                              \
        (void)input;                                                                               \
        (void)input_size;                                                                          \
        (void)io;                                                                                  \
        __VA_ARGS__                                                                                \
    }                                                                                              \
    static const cws_c_function name = {#name, name##_body_cws, #__VA_ARGS__}

typedef enum cws_serialization {
    CWS_SERIALIZE_JSON = 0, /* JSON both ways */
    CWS_SERIALIZE_BYTES = 1 /* one bytes object in, bytes out, whatever they mean. Pickles and the
                               like only between parties that trust each other: reading one runs
                               what is in it */
} cws_serialization;

typedef struct cws_function_opts {
    const char *source; /* Python: everything that defines the function, imports included. Its last
                           definition of `name` must not be `async def` */
    const char *name;   /* of the function in source */
    const cws_c_function *c_function; /* instead of the two: C */
    const char *closure_vars;         /* Python: a JSON object, whose members are its global
                                         variables; NULL: none */
    cws_serialization serialization;
    const char *const *interpreter; /* Python: program and arguments in front of "-c"; NULL:
                                       {"python"} */
    const char *const *compiler;    /* C: program and flags; what to link comes last, so "-lm" may
                                       be there; NULL: {"cc", "-O2", "-lm"} */
    const char *temp_dir;           /* for payload and result; absolute; made if missing; NULL:
                                       "/tmp" */
    double timeout_seconds;         /* for a whole call, making the sandbox included; 0: the request
                                       timeout of its sandboxes */
    const cws_sandbox_opts *sandbox; /* of its sandboxes; as for cws_session_sandbox */
    bool keep_warm; /* keep one sandbox for the next call, C compiled; calls at the same time use
                       further ones. Python globals do not survive a call, files do */
    const char *local_interpreter; /* Python: program of this machine for cws_function_local; NULL:
                                      none */
    uint32_t must_be_zero;
} cws_function_opts;

/* Make a function; opts says which. No network. *out is yours: cws_function_free. All of opts is
 * copied; the session stays in memory as long as the function. Returns CWS_ERR_INVALID_ARGUMENT,
 * CWS_ERR_ASYNC_FUNCTION, CWS_ERR_FUNCTION_SERIALIZATION (closure_vars is no JSON object; a call
 * says so of its arguments), CWS_ERR_CLOSED.
 * Example: examples/functions.c */
CWS_API cws_status cws_session_function(cws_session *session, const cws_function_opts *opts,
                                        cws_function **out, cws_error *err);
/* Calls in flight go on. The stop of a sandbox that is kept warm is begun: polls, and at the latest
 * the close of the session, carry it out. */
CWS_API void cws_function_free(cws_function *function);

/* Call a function: args_json is a JSON array of positional arguments (NULL: none), kwargs_json an
 * object of named ones (NULL: none). *out is yours: cws_bytes_free. It is the JSON text of what was
 * returned, where tuples have become arrays, keys strings, and NaN and Infinity may stand for
 * numbers. A C function gets the text of args_json, which may be any JSON, as its input, and must
 * write JSON. At most 256 MiB each way; result nesting at most 100.
 *
 * Returns CWS_ERR_EXECUTION if the function raised an exception, returned what has no JSON, or did
 * not compile: exit_code, the message, and cws_error_metadata(err, "exception_type") and
 * "exception_message" as far as they are known and fit; CWS_ERR_FILE if it ended the process
 * without a result; CWS_ERR_TIMEOUT; and what can happen to a sandbox, a command and a file, with
 * function and step in the message. It is run at most once. The sandbox is stopped before the call
 * ends, or, after a timeout or a cancel, by the polls that follow; one that does not stop is logged
 * and stays with the session, whose close tries again. */
CWS_API cws_status cws_function_call(cws_function *function, const char *args_json,
                                     const char *kwargs_json, cws_bytes **out, cws_error *err);
/* The result comes from cws_op_take_bytes. */
CWS_API cws_status cws_function_call_begin(cws_function *function, const char *args_json,
                                           const char *kwargs_json, cws_op **out, cws_error *err);
/* The same for CWS_SERIALIZE_BYTES. */
CWS_API cws_status cws_function_call_bytes(cws_function *function, const void *data, size_t size,
                                           cws_bytes **out, cws_error *err);
CWS_API cws_status cws_function_call_bytes_begin(cws_function *function, const void *data,
                                                 size_t size, cws_op **out, cws_error *err);
/* What the function printed in an ended call, tracebacks included: the result of its command.
 * Borrowed from op. NULL if it did not get that far, and for other operations. */
CWS_API const cws_result *cws_op_function_output(const cws_op *op);

typedef struct cws_map_opts {
    size_t limit; /* calls at the same time at most; 0: 16; CWS_ALL */
    uint32_t must_be_zero;
} cws_map_opts;

typedef struct cws_blob {
    const void *data; /* may be NULL if size is 0 */
    size_t size;
} cws_blob;

typedef struct cws_function_results cws_function_results;

/* Call the function once for each element of args_json, `count` arrays of positional arguments,
 * several at the same time. Each call has the function's timeout_seconds. Success even if calls
 * failed: each has its own outcome. *out is yours: cws_function_results_free. */
CWS_API cws_status cws_function_map(cws_function *function, const char *const *args_json,
                                    size_t count, const cws_map_opts *opts,
                                    cws_function_results **out, cws_error *err);
/* The results come from cws_op_take_results. A cancel cancels every call. */
CWS_API cws_status cws_function_map_begin(cws_function *function, const char *const *args_json,
                                          size_t count, const cws_map_opts *opts, cws_op **out,
                                          cws_error *err);
/* The same for CWS_SERIALIZE_BYTES. */
CWS_API cws_status cws_function_map_bytes(cws_function *function, const cws_blob *inputs,
                                          size_t count, const cws_map_opts *opts,
                                          cws_function_results **out, cws_error *err);
CWS_API cws_status cws_function_map_bytes_begin(cws_function *function, const cws_blob *inputs,
                                                size_t count, const cws_map_opts *opts,
                                                cws_op **out, cws_error *err);
CWS_API size_t cws_function_results_count(const cws_function_results *results);
/* Outcome of the index-th call, in the order of the input. bytes is borrowed, NULL after a failure;
 * it and err may be NULL. CWS_ERR_INVALID_ARGUMENT past the end. */
CWS_API cws_status cws_function_results_at(const cws_function_results *results, size_t index,
                                           const cws_bytes **bytes, cws_error *err);
CWS_API void cws_function_results_free(cws_function_results *results);

/* Call it on this machine, without a sandbox: C is called directly, Python with local_interpreter,
 * a process that shares standard output with this one. Blocks; nothing else moves meanwhile. Same
 * arguments and results as above. CWS_ERR_UNSUPPORTED for Python without local_interpreter, or
 * where there is no POSIX.1-2008. */
CWS_API cws_status cws_function_local(cws_function *function, const char *args_json,
                                      const char *kwargs_json, cws_bytes **out, cws_error *err);
CWS_API cws_status cws_function_local_bytes(cws_function *function, const void *data, size_t size,
                                            cws_bytes **out, cws_error *err);

/* ================================================================================================
 * >>async
 * Operations in flight, and the loop that moves them.
 * ============================================================================================= */

/* Called once when the operation has ended: done, failed or cancelled; inside a poll. */
typedef void (*cws_op_done_fn)(cws_op *op, void *user);

CWS_API bool cws_op_done(const cws_op *op); /* ended, either way */
/* CWS_ERR_PENDING while it runs, then its outcome; err may be NULL. */
CWS_API cws_status cws_op_result(const cws_op *op, cws_error *err);
/* Run the loop until this operation ends or timeout_ms passes (< 0: no limit of its own; 0: one
 * turn). Returns its outcome, or CWS_ERR_WAIT_TIMEOUT: it goes on and may be waited for again. */
CWS_API cws_status cws_op_wait(cws_op *op, int64_t timeout_ms, cws_error *err);
/* Ask it to end with CWS_ERR_CANCELLED; true if it was still running. Work it shares with others (a
 * start, a stop) goes on. */
CWS_API bool cws_op_cancel(cws_op *op);
/* Go on after a callback of the operation answered CWS_FLOW_PAUSE: at the next poll. Harmless
 * otherwise. */
CWS_API void cws_op_resume(cws_op *op);
/* Be called when it ends; at the next poll if it has. One per operation; fn NULL removes it. */
CWS_API void cws_op_on_done(cws_op *op, cws_op_done_fn fn, void *user);
/* Cancels if needed, then forgets. The callback is not called any more. */
CWS_API void cws_op_free(cws_op *op);

/* Take what an ended operation produced; it is then yours. NULL if there is nothing (any more). */
CWS_API cws_bytes *cws_op_take_bytes(cws_op *op);     /* cws_read_file_begin, of functions: _call */
CWS_API cws_sandbox_list *cws_op_take_list(cws_op *op);       /* cws_session_list_begin */
CWS_API cws_sandbox *cws_op_take_sandbox(cws_op *op);         /* cws_session_from_id_begin */
CWS_API cws_snapshot_list *cws_op_take_snapshots(cws_op *op); /* cws_snapshot_X_begin */
CWS_API cws_runner_list *cws_op_take_runners(cws_op *op);     /* cws_runner_X_begin */
CWS_API cws_profile_list *cws_op_take_profiles(cws_op *op);   /* cws_profile_X_begin */
/* True, and *out is filled, after cws_snapshot_bucket_X_begin has ended well. */
CWS_API bool cws_op_snapshot_bucket(const cws_op *op, cws_snapshot_bucket *out);
CWS_API cws_function_results *cws_op_take_results(cws_op *op); /* cws_function_map_begin */

#define CWS_ALL SIZE_MAX

/* Run the loop until num_returns of the count operations have ended (CWS_ALL, or more than count:
 * all of them), or timeout_ms passed (< 0: no limit), which is CWS_OK with fewer than num_returns
 * in done_count. They must belong to one client. done, if not NULL, has count
 * elements: exactly *done_count of them (the first in order, at most num_returns) become true.
 * Failures of operations are not failures of the wait. num_returns 0 is refused. */
CWS_API cws_status cws_wait_many(cws_op *const *ops, size_t count, size_t num_returns,
                                 int64_t timeout_ms, bool *done, size_t *done_count,
                                 cws_error *err);

/* Move everything that can move; wait at most timeout_ms (< 0: until something happens, 0: do not
 * wait) for something to happen. Calls callbacks. */
CWS_API cws_status cws_client_poll(cws_client *client, int timeout_ms, cws_error *err);
/* Number of operations in flight. */
CWS_API size_t cws_client_pending(const cws_client *client);
/* Make a poll that is waiting in another thread return. Safe from any thread and signal-free. */
CWS_API void cws_client_wakeup(cws_client *client);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* CWSANDBOX_H: the API ends here */

/* Editors that parse a header by itself see the implementation too. */
#if defined(__INTELLISENSE__) || defined(__CLION_IDE__) || defined(__JETBRAINS_IDE__)
#define CWSANDBOX_IMPLEMENTATION
#endif

#if defined(CWSANDBOX_IMPLEMENTATION) && !defined(CWSI_IMPLEMENTED)
#define CWSI_IMPLEMENTED

/* ================================================================================================
 * >>impl-config
 * System headers and the few macros the implementation needs. libcurl comes first because its
 * header must precede windows.h.
 * ============================================================================================= */

#ifndef CWS_NO_CURL
#include <curl/curl.h>
#if LIBCURL_VERSION_NUM < 0x074400
#error "cwsandbox.h needs libcurl 7.68 or newer; update libcurl or define CWS_NO_CURL"
#endif
#endif

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifndef CWS_NO_STDIO
#include <stdio.h>
#endif
#ifdef CWS_EXIT_GUARD
#include <signal.h>
#endif
#if defined(__unix__) || defined(__unix) || defined(__APPLE__)
#define CWSI_UNIX 1
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sys/select.h>
#include <sys/time.h>
#else
#define CWSI_UNIX 0
#endif

/* Directories need POSIX.1-2008, which a strict dialect of C may hide. */
#if CWSI_UNIX && defined(AT_FDCWD) && defined(AT_SYMLINK_NOFOLLOW) && defined(O_NOFOLLOW) &&       \
    defined(O_DIRECTORY) && defined(O_CLOEXEC)
#define CWSI_HAS_TREES 1
#else
#define CWSI_HAS_TREES 0
#endif

/* So does a process of this machine (cws_function_local). */
#if CWSI_HAS_TREES && !defined(CWS_NO_PROCESS)
#define CWSI_HAS_PROCESS 1
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#else
#define CWSI_HAS_PROCESS 0
#endif

#if CHAR_BIT != 8
#error "cwsandbox.h needs 8-bit bytes"
#endif

#ifndef CWS_ASSERT
#define CWS_ASSERT(x) ((void)0)
#endif

#if defined(__MINGW32__) && !defined(__clang__) /* whose "printf" knows no %zu */
#define CWSI_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#elif defined(__GNUC__) || defined(__clang__)
#define CWSI_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CWSI_PRINTF(text, first)
#endif

/* An empty initialiser that neither language warns about. */
#ifdef __cplusplus
#define CWSI_ZERO {}
#else
#define CWSI_ZERO {0}
#endif

/* A cast that both languages accept without complaint. */
#ifdef __cplusplus
#define CWSI_CAST(type, value) (static_cast<type>(value))
#else
#define CWSI_CAST(type, value) ((type)(value))
#endif

/* The same for pointers: also from a struct's first member to the struct. */
#define CWSI_AS(type, pointer) CWSI_CAST(type *, CWSI_CAST(void *, pointer))

#define CWSI_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CWSI_NEVER INT64_MAX /* a moment that does not come */

/* Defaults, in the units of their use. Sources: the service's own clients. */
#define CWSI_DEFAULT_URL "https://api.cwsandbox.com"
#define CWSI_DEFAULT_IMAGE "python:3.11"
#define CWSI_DEFAULT_COMMAND "/bin/sh"
/* PID 1 that says nothing and reacts to SIGTERM, so that a stop does not use up its grace. */
#define CWSI_DEFAULT_ARG1 "-c"
#define CWSI_DEFAULT_ARG2 "trap \"exit 0\" TERM INT; sleep infinity & wait"
#define CWSI_CONTAINER "main"
#define CWSI_FILE_SYSTEM "workspace" /* name of the volume behind file_system */
#define CWSI_REQUEST_TIMEOUT_S 300.0
#define CWSI_RETRY_BUDGET_S 30.0
#define CWSI_POLL_RPC_TIMEOUT_S 15.0
#define CWSI_CONNECT_TIMEOUT_S 20.0
#define CWSI_GRACE_S 10.0
#define CWSI_CLOSE_TIMEOUT_S 90.0
#define CWSI_STOP_SLACK_S 60.0     /* a stop may take its grace and this */
#define CWSI_CLIENT_BUFFER_MS 5000 /* added where the server's own limit should be heard first */
#define CWSI_GUARD_MS 500 /* how late a signal is seen that another thread has got */
#define CWSI_POLL_FIRST_MS 200
#define CWSI_SNAPSHOT_S 600         /* what a service takes at most for a snapshot */
#define CWSI_SNAPSHOT_SLACK_S 35    /* and what is added to a stop with one */
#define CWSI_SNAPSHOT_GRACE_S 30    /* what v1beta2 makes of a grace of 0 then */
#define CWSI_DISCOVERY_MS 30000     /* all pages of runners or profiles */
#define CWSI_DISCOVERY_PAGE 100
#define CWSI_READY_MS 5000          /* a command with input must have started by then */
#define CWSI_STDIN_QUEUE (1u << 20) /* bytes that may wait */
#define CWSI_STDIN_FRAME 65536      /* bytes of one message at most */
#define CWSI_STDIN_AHEAD 131072     /* encoded bytes handed to the call before it sends them */
#define CWSI_STREAM_AHEAD (1u << 20) /* bytes of a stream that may wait; then its window closes */
#define CWSI_STREAM_HELD 65536       /* the same while their owner takes none */
#define CWSI_SHELL_OUTPUT (1u << 20)
#define CWSI_RESIZE_AHEAD 4096 /* bytes not sent yet, above which a new size waits */
#define CWSI_FILE_CAP (32u << 20)     /* largest file of one message, until the service says else */
#define CWSI_FILE_CAP_MAX (99u << 20) /* whatever it says: a message holds 100 MiB */
#define CWSI_FILE_MAX (256u << 20)    /* largest file that is handled whole */
#define CWSI_FILE_CHECKED (128u << 20) /* downloads below it are not held against their size */
#define CWSI_FILE_AHEAD (256u << 10)  /* bytes of a download that wait to be taken */
#define CWSI_FILE_PIECE 65536         /* asked of a source at once */
#define CWSI_FILE_STDERR 16384
#define CWSI_FILE_STAT_MS 10000
#define CWSI_PROGRESS_MS 100
#define CWSI_LINE_MAX (1u << 20)    /* of a log, newline included */
#define CWSI_LOG_ATTEMPTS 3         /* in a row without data */
#define CWSI_LOG_FIRST_MS 500       /* pause before taking up a log again, doubling */
#define CWSI_LOG_MAX_MS 4000
#define CWSI_OUTCOME_GRACE_MS 500 /* gRPC: silence after which a failure in the head counts */
#define CWSI_MAX_REPLIES 100 /* messages looked at, where one is expected, for the error behind */
#define CWSI_CLOCK_SLACK_MS 10 /* so much earlier a server may notice that a deadline passed */
#define CWSI_LONGEST_MS 9999999999LL /* ten digits: the longest that Connect can tell */
#define CWSI_POLL_MAX_MS 2000
#define CWSI_HINT_MAX_MS 10000    /* longest delay taken from a RetryInfo */
#define CWSI_GONE_BUDGET_MS 2000  /* NOT_FOUND after our own stop is retried this long */
#define CWSI_EXIT_GRACE_POLLS 2   /* extra polls when COMPLETED came without an exit code */
#define CWSI_EXIT_GRACE_MS 2000
#define CWSI_MAX_PAGES 100
#define CWSI_MAX_MESSAGE (100u * 1024u * 1024u)
#define CWSI_MAX_MEMORY (1024u * 1024u * 1024u)
#define CWSI_MAX_OUTPUT (16u * 1024u * 1024u)
#define CWSI_MAX_TIMEOUT_S 1.0e9
#define CWSI_MAX_LIFETIME_S 2592000
#define CWSI_ID_SIZE 128 /* of a sandbox, with its NUL */

/* ================================================================================================
 * >>impl-memory
 * One accounting layer over the user's resize function: each block carries its size in front, so
 * that frees need none, the cap is exact and the sizes handed to resize are right. Arenas group
 * what dies together: a decoded message, the strings of an object.
 * ============================================================================================= */

typedef struct cwsi_mem {
    cws_allocator allocator;
    uint64_t used, peak, limit, allocations;
} cwsi_mem;

typedef union cwsi_block_head {
    size_t size; /* of the whole block, this head included */
    void *align_pointer;
    int64_t align_integer;
    double align_double;
    char align_most[16];
} cwsi_block_head;

static void *cwsi_default_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, new_size);
}

static bool cwsi_add(size_t a, size_t b, size_t *sum)
{
    if (b > SIZE_MAX - a) return false;
    *sum = a + b;
    return true;
}

static bool cwsi_mul(size_t a, size_t b, size_t *product)
{
    if (a != 0 && b > SIZE_MAX / a) return false;
    *product = a * b;
    return true;
}

static cwsi_block_head *cwsi_head(void *block)
{
    return CWSI_CAST(cwsi_block_head *, block) - 1;
}

/* Resize a block, or make one from NULL. New bytes are not cleared. NULL: nothing changed. */
static void *cwsi_realloc(cwsi_mem *mem, void *block, size_t size)
{
    cwsi_block_head *head = block ? cwsi_head(block) : NULL;
    size_t old_size = head ? head->size : 0, whole;
    if (!cwsi_add(size, sizeof(cwsi_block_head), &whole)) return NULL;
    if (whole > old_size && whole - old_size > mem->limit - mem->used) return NULL;
    head = CWSI_CAST(cwsi_block_head *,
                     mem->allocator.resize(mem->allocator.user, head, old_size, whole));
    if (!head) return NULL;
    mem->used = mem->used - old_size + whole;
    if (mem->used > mem->peak) mem->peak = mem->used;
    mem->allocations++;
    head->size = whole;
    return head + 1;
}

static void *cwsi_alloc(cwsi_mem *mem, size_t size)
{
    void *block = cwsi_realloc(mem, NULL, size);
    if (block) memset(block, 0, size);
    return block;
}

static void cwsi_free(cwsi_mem *mem, void *block)
{
    if (!block) return;
    {
        cwsi_block_head *head = cwsi_head(block);
        size_t size = head->size;
        mem->used -= size;
        (void)mem->allocator.resize(mem->allocator.user, head, size, 0);
    }
}

#define CWSI_NEW(mem, type) CWSI_CAST(type *, cwsi_alloc(mem, sizeof(type)))

/* A piece of text or bytes that somebody else owns. */
typedef struct cwsi_str {
    const char *at;
    size_t len;
} cwsi_str;

typedef struct cwsi_arena_block {
    struct cwsi_arena_block *next;
    size_t used, size;
} cwsi_arena_block;

typedef struct cwsi_arena {
    cwsi_mem *mem;
    cwsi_arena_block *blocks; /* the newest first */
} cwsi_arena;

static void cwsi_arena_init(cwsi_arena *arena, cwsi_mem *mem)
{
    arena->mem = mem;
    arena->blocks = NULL;
}

static void cwsi_arena_clear(cwsi_arena *arena)
{
    while (arena->blocks) {
        cwsi_arena_block *block = arena->blocks;
        arena->blocks = block->next;
        cwsi_free(arena->mem, block);
    }
}

/* Zeroed memory aligned for any type, or NULL. Lives until the arena is cleared. */
static void *cwsi_arena_alloc(cwsi_arena *arena, size_t size)
{
    cwsi_arena_block *block = arena->blocks;
    const size_t head = (sizeof(cwsi_arena_block) + 15u) & ~CWSI_CAST(size_t, 15);
    size_t room, want;
    if (size > SIZE_MAX - 64) return NULL;
    size = (size + 15u) & ~CWSI_CAST(size_t, 15);
    if (!block || block->size - block->used < size) {
        room = block && block->size < 65536 ? block->size * 2 : 496;
        if (room < size) room = size;
        if (!cwsi_add(room, head, &want)) return NULL;
        block = CWSI_CAST(cwsi_arena_block *, cwsi_realloc(arena->mem, NULL, want));
        if (!block) return NULL;
        block->used = 0;
        block->size = room;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    {
        char *at = CWSI_CAST(char *, CWSI_CAST(void *, block)) + head + block->used;
        block->used += size;
        memset(at, 0, size);
        return at;
    }
}

#define CWSI_ARENA_NEW(arena, type) CWSI_CAST(type *, cwsi_arena_alloc(arena, sizeof(type)))

/* A NUL-terminated copy, or NULL. */
static char *cwsi_arena_copy(cwsi_arena *arena, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? CWSI_CAST(char *, cwsi_arena_alloc(arena, len + 1)) : NULL;
    if (copy && len) memcpy(copy, text, len);
    return copy;
}

/* ================================================================================================
 * >>impl-buffer
 * Growable bytes with a mandatory maximum. A failure sticks (status), so that a run of appends
 * needs one check at its end.
 * ============================================================================================= */

typedef struct cwsi_buf {
    cwsi_mem *mem;
    char *at;
    size_t len, cap, max;
    cws_status status; /* OK, NO_MEMORY, or LIMIT when max would be passed */
} cwsi_buf;

static void cwsi_buf_init(cwsi_buf *buf, cwsi_mem *mem, size_t max)
{
    memset(buf, 0, sizeof(*buf));
    buf->mem = mem;
    buf->max = max;
}

static void cwsi_buf_free(cwsi_buf *buf)
{
    cwsi_free(buf->mem, buf->at);
    buf->at = NULL;
    buf->len = buf->cap = 0;
}

/* Make room for more bytes and one NUL behind them; false sets the status. */
static bool cwsi_buf_reserve(cwsi_buf *buf, size_t more)
{
    size_t need, want;
    char *grown;
    if (buf->status) return false;
    if (!cwsi_add(buf->len, more, &need) || need > buf->max || need == SIZE_MAX) {
        buf->status = CWS_ERR_LIMIT;
        return false;
    }
    if (need < buf->cap) return true;
    want = buf->cap < 64 ? 128 : buf->cap > SIZE_MAX / 2 ? SIZE_MAX : buf->cap * 2;
    if (want < need + 1) want = need + 1;
    if (want > buf->max && buf->max >= need && buf->max < SIZE_MAX) want = buf->max + 1;
    grown = CWSI_CAST(char *, cwsi_realloc(buf->mem, buf->at, want));
    if (!grown && want > need + 1) { /* memory is tight: try the exact size */
        want = need + 1;
        grown = CWSI_CAST(char *, cwsi_realloc(buf->mem, buf->at, want));
    }
    if (!grown) {
        buf->status = CWS_ERR_NO_MEMORY;
        return false;
    }
    buf->at = grown;
    buf->cap = want;
    return true;
}

static bool cwsi_put(cwsi_buf *buf, const void *data, size_t size)
{
    if (!cwsi_buf_reserve(buf, size)) return false;
    if (size) memcpy(buf->at + buf->len, data, size);
    buf->len += size;
    buf->at[buf->len] = '\0';
    return true;
}

static bool cwsi_put_text(cwsi_buf *buf, const char *text)
{
    return cwsi_put(buf, text, strlen(text));
}

static bool cwsi_put_char(cwsi_buf *buf, char c)
{
    return cwsi_put(buf, &c, 1);
}

/* Drop bytes from the front. */
static void cwsi_buf_eat(cwsi_buf *buf, size_t size)
{
    CWS_ASSERT(size <= buf->len);
    buf->len -= size;
    if (buf->len) memmove(buf->at, buf->at + size, buf->len);
}

/* Forget the first *at bytes, which were consumed. */
static void cwsi_buf_drop(cwsi_buf *buf, size_t *at)
{
    if (*at) cwsi_buf_eat(buf, *at);
    *at = 0;
}

/* The same, but only once they are worth moving the rest. */
static void cwsi_buf_compact(cwsi_buf *buf, size_t *at)
{
    if (*at == buf->len || (*at > 65536 && *at > buf->len / 2)) cwsi_buf_drop(buf, at);
}

/* ================================================================================================
 * >>impl-text
 * Strings, a small formatter without locale, UTF-8, base64, decimal numbers, RFC 3339 time.
 * ============================================================================================= */

static cwsi_str cwsi_str_of(const char *text)
{
    cwsi_str s;
    s.at = text ? text : "";
    s.len = text ? strlen(text) : 0;
    return s;
}

static bool cwsi_str_is(cwsi_str s, const char *text)
{
    return strlen(text) == s.len && (s.len == 0 || memcmp(s.at, text, s.len) == 0);
}

static bool cwsi_str_same(cwsi_str a, cwsi_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static char cwsi_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? CWSI_CAST(char, c - 'A' + 'a') : c;
}

static bool cwsi_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* -1: none */
static int cwsi_hex_digit(char c)
{
    c = cwsi_lower(c);
    if (cwsi_is_digit(c)) return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool cwsi_is_alnum(char c)
{
    return cwsi_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ASCII case-insensitive equality, for header names and codes. */
static bool cwsi_same_nocase(const char *a, const char *b)
{
    for (; *a && cwsi_lower(*a) == cwsi_lower(*b); a++) b++;
    return *a == *b;
}

static bool cwsi_starts_nocase(const char *text, const char *prefix)
{
    for (; *prefix && cwsi_lower(*text) == cwsi_lower(*prefix); prefix++) text++;
    return *prefix == '\0';
}

static bool cwsi_contains_nocase(const char *text, const char *part)
{
    for (; *text; text++)
        if (cwsi_starts_nocase(text, part)) return true;
    return false;
}

/* Length of the UTF-8 character at s, 0 if it is none (truncated, overlong, surrogate, too big). */
static size_t cwsi_utf8_char(const char *s, size_t len)
{
    const unsigned char *p = CWSI_CAST(const unsigned char *, CWSI_CAST(const void *, s));
    static const uint32_t leasts[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t need, i;
    uint32_t code, least;
    if (len == 0) return 0;
    if (p[0] < 0x80) return 1;
    need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len < need) return 0;
    code = p[0] & (0x7fu >> need);
    least = leasts[need];
    for (i = 1; i < need; i++) {
        if ((p[i] & 0xc0u) != 0x80u) return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
    return need;
}

static bool cwsi_utf8_valid(const char *s, size_t len)
{
    size_t i = 0, n;
    while (i < len) {
        n = cwsi_utf8_char(s + i, len - i);
        if (n == 0) return false;
        i += n;
    }
    return true;
}

/* Write a code point, return its length (1..4). */
static size_t cwsi_utf8_write(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = CWSI_CAST(char, code);
        return 1;
    }
    if (code < 0x800) {
        out[0] = CWSI_CAST(char, 0xc0u | code >> 6);
        out[1] = CWSI_CAST(char, 0x80u | (code & 0x3fu));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = CWSI_CAST(char, 0xe0u | code >> 12);
        out[1] = CWSI_CAST(char, 0x80u | (code >> 6 & 0x3fu));
        out[2] = CWSI_CAST(char, 0x80u | (code & 0x3fu));
        return 3;
    }
    out[0] = CWSI_CAST(char, 0xf0u | code >> 18);
    out[1] = CWSI_CAST(char, 0x80u | (code >> 12 & 0x3fu));
    out[2] = CWSI_CAST(char, 0x80u | (code >> 6 & 0x3fu));
    out[3] = CWSI_CAST(char, 0x80u | (code & 0x3fu));
    return 4;
}

/* Copy text into a fixed array: always terminated, cut at a character, bytes that are no UTF-8 and
 * control characters replaced by '?', so that server text can be shown and logged. */
static void cwsi_copy_text(char *out, size_t size, const char *text, size_t len)
{
    size_t o = 0, i = 0, n;
    while (i < len) {
        n = cwsi_utf8_char(text + i, len - i);
        if (o + (n ? n : 1) >= size) break;
        if (n == 0 || (n == 1 && CWSI_CAST(unsigned char, text[i]) < 0x20) || text[i] == 0x7f) {
            out[o++] = text[i] == '\n' || text[i] == '\t' ? ' ' : '?';
            i++;
        } else {
            memcpy(out + o, text + i, n);
            o += n;
            i += n;
        }
    }
    out[o] = '\0';
}

/* Decimal digits of value; returns their number (at most 20). */
static size_t cwsi_digits(uint64_t value, char *out)
{
    char reversed[20];
    size_t n = 0, i;
    do reversed[n++] = CWSI_CAST(char, '0' + value % 10);
    while ((value /= 10) != 0);
    for (i = 0; i < n; i++) out[i] = reversed[n - 1 - i];
    return n;
}

/* printf without locale and stdio: %s %.*s %d %u %lld %llu %zu %c %%. Returns the length without
 * the NUL; the output is cut and always terminated. */
static size_t cwsi_vformat(char *out, size_t size, const char *format, va_list args)
{
    size_t o = 0;
    for (; *format; format++) {
        char digits[24];
        const char *piece = format;
        size_t len = 1;
        if (*format == '%') {
            int precision = -1, longs = 0;
            format++;
            if (format[0] == '.' && format[1] == '*') {
                precision = va_arg(args, int);
                format += 2;
            }
            for (; *format == 'l' || *format == 'z'; format++) longs += *format == 'z' ? 9 : 1;
            piece = digits;
            if (*format == 's') {
                piece = va_arg(args, const char *);
                if (!piece) piece = "(null)";
                for (len = 0; (precision < 0 || len < CWSI_CAST(size_t, precision)) && piece[len];)
                    len++;
            } else if (*format == 'c') {
                digits[0] = CWSI_CAST(char, va_arg(args, int));
            } else if (*format == 'u') {
                len = cwsi_digits(longs >= 9   ? va_arg(args, size_t)
                                  : longs == 2 ? va_arg(args, unsigned long long)
                                               : va_arg(args, unsigned),
                                  digits);
            } else if (*format == 'd') {
                long long v = longs == 2 ? va_arg(args, long long) : va_arg(args, int);
                digits[0] = '-';
                len = cwsi_digits(v < 0 ? 0 - CWSI_CAST(uint64_t, v) : CWSI_CAST(uint64_t, v),
                                  digits + (v < 0)) + (v < 0);
            } else {
                piece = "%";
            }
        }
        if (len > size - 1 - o) len = size - 1 - o;
        if (len) memcpy(out + o, piece, len);
        o += len;
    }
    out[o] = '\0';
    return o;
}

CWSI_PRINTF(3, 4)
static size_t cwsi_format(char *out, size_t size, const char *format, ...)
{
    size_t n;
    va_list args;
    va_start(args, format);
    n = cwsi_vformat(out, size, format, args);
    va_end(args);
    return n;
}

/* ================================================================================================
 * >>impl-number
 * Base64 and whole numbers.
 * ============================================================================================= */

static const char cwsi_base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Standard alphabet, padded. */
static bool cwsi_put_base64(cwsi_buf *buf, const char *data, size_t len)
{
    size_t i, n;
    if (len > (SIZE_MAX - 4) / 4 * 3 || !cwsi_buf_reserve(buf, (len + 2) / 3 * 4)) {
        if (!buf->status) buf->status = CWS_ERR_LIMIT;
        return false;
    }
    for (i = 0; i < len; i += 3) {
        unsigned char b[3] = {0, 0, 0};
        char out[4];
        n = len - i < 3 ? len - i : 3;
        memcpy(b, data + i, n);
        out[0] = cwsi_base64_alphabet[b[0] >> 2];
        out[1] = cwsi_base64_alphabet[(b[0] & 3) << 4 | b[1] >> 4];
        out[2] = CWSI_CAST(char, n > 1 ? cwsi_base64_alphabet[(b[1] & 15) << 2 | b[2] >> 6] : '=');
        out[3] = CWSI_CAST(char, n > 2 ? cwsi_base64_alphabet[b[2] & 63] : '=');
        cwsi_put(buf, out, 4);
    }
    return !buf->status;
}

static int cwsi_base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    if (c == '/' || c == '_') return 63;
    return -1;
}

/* Both alphabets, padded or not. out needs len / 4 * 3 + 3 bytes. False: not base64. */
static bool cwsi_base64_decode(const char *text, size_t len, char *out, size_t *out_len)
{
    size_t i, o = 0, padding = 0;
    uint32_t bits = 0;
    for (; len && text[len - 1] == '=' && padding < 2; padding++) len--;
    if (len % 4 == 1 || (padding && (len + padding) % 4 != 0)) return false;
    for (i = 0; i < len; i++) {
        int v = cwsi_base64_value(text[i]);
        if (v < 0) return false;
        bits = bits << 6 | CWSI_CAST(uint32_t, v);
        if (i % 4 == 3 || i == len - 1) {
            size_t have = i % 4; /* 1, 2, 3 characters beyond the first: 1, 2, 3 bytes */
            bits <<= 6 * (3 - have);
            if (have >= 1) out[o++] = CWSI_CAST(char, bits >> 16 & 0xff);
            if (have >= 2) out[o++] = CWSI_CAST(char, bits >> 8 & 0xff);
            if (have >= 3) out[o++] = CWSI_CAST(char, bits & 0xff);
            bits = 0;
        }
    }
    *out_len = o;
    return true;
}

/* A whole decimal integer with optional minus; false if anything else or out of range. */
static bool cwsi_parse_i64(const char *text, size_t len, int64_t *out)
{
    bool negative = len > 0 && text[0] == '-';
    uint64_t value = 0;
    size_t i = negative ? 1 : 0;
    if (i == len) return false;
    for (; i < len; i++) {
        uint64_t digit;
        if (!cwsi_is_digit(text[i])) return false;
        digit = CWSI_CAST(uint64_t, text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (value > CWSI_CAST(uint64_t, INT64_MAX) + (negative ? 1 : 0)) return false;
    *out = negative ? (value > INT64_MAX ? INT64_MIN : -CWSI_CAST(int64_t, value))
                    : CWSI_CAST(int64_t, value);
    return true;
}

static bool cwsi_parse_u64(const char *text, size_t len, uint64_t *out)
{
    uint64_t value = 0;
    size_t i;
    if (len == 0) return false;
    for (i = 0; i < len; i++) {
        uint64_t digit;
        if (!cwsi_is_digit(text[i])) return false;
        digit = CWSI_CAST(uint64_t, text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* ================================================================================================
 * >>impl-time
 * RFC 3339 moments, the form that canonical JSON gives to google.protobuf.Timestamp.
 * ============================================================================================= */

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. */
static int64_t cwsi_days(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void cwsi_date(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = CWSI_CAST(int, of_year - (153 * m + 2) / 5 + 1);
    *month = CWSI_CAST(int, m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

static void cwsi_two(char *out, int value)
{
    out[0] = CWSI_CAST(char, '0' + value / 10 % 10);
    out[1] = CWSI_CAST(char, '0' + value % 10);
}

/* ".5", ".250", ".000001": nothing, or 3, 6 or 9 digits, as canonical proto3 JSON wants. */
static size_t cwsi_fraction(char *out, int32_t nanos)
{
    int places = nanos == 0 ? 0 : nanos % 1000000 == 0 ? 3 : nanos % 1000 == 0 ? 6 : 9, i;
    if (places == 0) return 0;
    out[0] = '.';
    for (i = 9; i > 0; i--) {
        if (i <= places) out[i] = CWSI_CAST(char, '0' + nanos % 10);
        nanos /= 10;
    }
    return CWSI_CAST(size_t, places) + 1;
}

/* "2026-01-02T03:04:05.006Z" (at most 30 bytes, not terminated); 0 if out of RFC 3339's range. */
static size_t cwsi_format_time(char *out, int64_t seconds, int32_t nanos)
{
    int64_t days, year;
    int of_day, month, day;
    size_t n;
    if (seconds < -62135596800LL || seconds > 253402300799LL || nanos < 0 || nanos > 999999999)
        return 0;
    days = seconds >= 0 ? seconds / 86400 : -((86399 - seconds) / 86400);
    of_day = CWSI_CAST(int, seconds - days * 86400);
    cwsi_date(days, &year, &month, &day);
    cwsi_two(out, CWSI_CAST(int, year / 100));
    cwsi_two(out + 2, CWSI_CAST(int, year % 100));
    memcpy(out + 4, "-00-00T00:00:00", 15);
    cwsi_two(out + 5, month);
    cwsi_two(out + 8, day);
    cwsi_two(out + 11, of_day / 3600);
    cwsi_two(out + 14, of_day / 60 % 60);
    cwsi_two(out + 17, of_day % 60);
    n = 19 + cwsi_fraction(out + 19, nanos);
    out[n++] = 'Z';
    return n;
}

/* Two digits in [0, max]; -1 otherwise. */
static int cwsi_parse_two(const char *text, int max)
{
    int v;
    if (!cwsi_is_digit(text[0]) || !cwsi_is_digit(text[1])) return -1;
    v = (text[0] - '0') * 10 + text[1] - '0';
    return v <= max ? v : -1;
}

/* ".123456789" at *at (optional) to nanoseconds; false if malformed. */
static bool cwsi_parse_fraction(const char *text, size_t len, size_t *at, int32_t *nanos)
{
    int places = 0;
    *nanos = 0;
    if (*at >= len || text[*at] != '.') return true;
    for (++*at; *at < len && cwsi_is_digit(text[*at]); ++*at, places++) {
        if (places >= 9) return false;
        *nanos = *nanos * 10 + (text[*at] - '0');
    }
    if (places == 0) return false;
    for (; places < 9; places++) *nanos *= 10;
    return true;
}

static bool cwsi_parse_time(const char *text, size_t len, int64_t *seconds, int32_t *nanos)
{
    int century, of_century, month, day, hour, minute, second, zone_h = 0, zone_m = 0;
    size_t at = 19;
    static const char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year;
    if (len < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') ||
        text[13] != ':' || text[16] != ':')
        return false;
    century = cwsi_parse_two(text, 99);
    of_century = cwsi_parse_two(text + 2, 99);
    month = cwsi_parse_two(text + 5, 12);
    day = cwsi_parse_two(text + 8, 31);
    hour = cwsi_parse_two(text + 11, 23);
    minute = cwsi_parse_two(text + 14, 59);
    second = cwsi_parse_two(text + 17, 59);
    if (century < 0 || of_century < 0 || month < 1 || day < 1 || day > days[month - 1] ||
        hour < 0 || minute < 0 || second < 0)
        return false;
    year = century * 100 + of_century;
    if (year < 1 || (month == 2 && day == 29 && (year % 4 || (year % 100 == 0 && year % 400))))
        return false;
    if (!cwsi_parse_fraction(text, len, &at, nanos) || at >= len) return false;
    *seconds = cwsi_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    if (text[at] == 'Z' || text[at] == 'z') return at + 1 == len;
    if ((text[at] != '+' && text[at] != '-') || at + 6 != len || text[at + 3] != ':') return false;
    zone_h = cwsi_parse_two(text + at + 1, 23);
    zone_m = cwsi_parse_two(text + at + 4, 59);
    if (zone_h < 0 || zone_m < 0) return false;
    *seconds -= (text[at] == '-' ? -1 : 1) * (zone_h * 3600 + zone_m * 60);
    return *seconds >= -62135596800LL && *seconds <= 253402300799LL;
}

/* ================================================================================================
 * >>impl-decimal
 * Decimals to double and back, needed for google.protobuf.Value only. No locale, no stdio.
 * ============================================================================================= */

/* A decimal number to double. Exact for mantissas below 2^53 with exponents up to 22; other values
 * may be off in the last place. No locale. The text is a valid JSON number. */
static double cwsi_parse_double(const char *text, size_t len)
{
    size_t i = 0;
    bool negative = len && text[0] == '-', dropped = false, point = false;
    uint64_t mantissa = 0;
    int exponent = 0, given = 0;
    long double value;
    for (i = negative ? 1 : 0; i < len && (cwsi_is_digit(text[i]) || text[i] == '.'); i++) {
        if (text[i] == '.') {
            point = true;
        } else if (!dropped && mantissa < 900000000000000000ULL) {
            mantissa = mantissa * 10 + CWSI_CAST(uint64_t, text[i] - '0');
            if (point) exponent--;
        } else {
            dropped = true;
            if (!point) exponent++;
        }
    }
    if (i < len) { /* e or E */
        bool minus = text[++i] == '-';
        if (text[i] == '-' || text[i] == '+') i++;
        for (; i < len && given < 10000; i++) given = given * 10 + (text[i] - '0');
        exponent += minus ? -given : given;
    }
    if (mantissa < 9007199254740992ULL && exponent >= -22 && exponent <= 22) {
        double exact = CWSI_CAST(double, mantissa), power = 1.0; /* one rounding only */
        for (i = CWSI_CAST(size_t, exponent < 0 ? -exponent : exponent); i > 0; i--) power *= 10.0;
        exact = exponent < 0 ? exact / power : exact * power;
        return negative ? -exact : exact;
    }
    value = CWSI_CAST(long double, mantissa);
    if (exponent > 330) exponent = mantissa ? 330 : 0;
    if (exponent < -360) exponent = -360;
    for (; exponent >= 22; exponent -= 22) value *= 1e22L;
    for (; exponent > 0; exponent--) value *= 10.0L;
    {
        long double divide = 1.0L;
        for (; exponent <= -22; exponent += 22) value /= 1e22L;
        for (; exponent < 0; exponent++) divide *= 10.0L;
        value /= divide;
    }
    return CWSI_CAST(double, negative ? -value : value);
}

/* The shortest decimal that cwsi_parse_double reads back as value, which must be finite. */
static size_t cwsi_format_double(char *out, double value)
{
    long double rest = value < 0 ? -CWSI_CAST(long double, value) : CWSI_CAST(long double, value);
    size_t sign = value < 0 ? 1 : 0, n = 0;
    int exponent = 0, places;
    if (!(rest > 0)) {
        out[0] = '0';
        return 1;
    }
    if (sign) out[0] = '-';
    for (; rest >= 1e17L; exponent++) rest /= 10.0L;
    for (; rest < 1e16L; exponent--) rest *= 10.0L;
    for (places = 1; places <= 17; places++) { /* rest has 17 digits before the point */
        long double scale = 1.0L;
        uint64_t digits;
        int i, e = exponent;
        for (i = places; i < 17; i++, e++) scale *= 10.0L;
        digits = CWSI_CAST(uint64_t, rest / scale + 0.5L);
        n = sign + cwsi_digits(digits, out + sign);
        if (e > 0 && e <= 6) {
            for (; e > 0; e--) out[n++] = '0';
        } else if (e < 0 && e >= -17 && n - sign > CWSI_CAST(size_t, -e)) {
            memmove(out + n + e + 1, out + n + e, CWSI_CAST(size_t, -e));
            out[CWSI_CAST(int, n) + e] = '.';
            n++;
        } else if (e) {
            out[n++] = 'e';
            if (e < 0) out[n++] = '-';
            n += cwsi_digits(CWSI_CAST(uint64_t, e < 0 ? -e : e), out + n);
        }
        {
            double back = cwsi_parse_double(out, n);
            if (memcmp(&back, &value, sizeof(back)) == 0) break;
        }
    }
    return n;
}

/* ================================================================================================
 * >>impl-json
 * A strict pull reader (RFC 8259, no recursion, fixed depth) and the few writer helpers that JSON
 * needs beyond plain appends. Used for Connect errors, the JSON codec and the trace.
 * ============================================================================================= */

#define CWSI_JSON_DEPTH 100

typedef enum cwsi_json_kind {
    CWSI_JSON_ERROR, /* malformed or too deep; sticks */
    CWSI_JSON_END,   /* the text is over, and was one whole value */
    CWSI_JSON_OBJECT,
    CWSI_JSON_OBJECT_END,
    CWSI_JSON_ARRAY,
    CWSI_JSON_ARRAY_END,
    CWSI_JSON_KEY,
    CWSI_JSON_STRING,
    CWSI_JSON_NUMBER,
    CWSI_JSON_TRUE,
    CWSI_JSON_FALSE,
    CWSI_JSON_NULL
} cwsi_json_kind;

typedef enum cwsi_json_need {
    CWSI_NEED_VALUE,
    CWSI_NEED_VALUE_OR_END, /* after [ */
    CWSI_NEED_KEY,          /* after , in an object */
    CWSI_NEED_KEY_OR_END,   /* after { */
    CWSI_NEED_COMMA_OR_END, /* after a value */
    CWSI_NEED_NOTHING
} cwsi_json_need;

typedef struct cwsi_json {
    const char *at, *end;
    cwsi_json_kind kind; /* of the last token */
    cwsi_str text;       /* KEY, STRING: between the quotes, escapes as they are; NUMBER: as is */
    bool escaped;        /* text contains a backslash */
    bool failed;
    bool non_finite; /* NaN, Infinity and -Infinity are numbers too, as Python has it */
    cwsi_json_need need;
    int depth;
    bool in_object[CWSI_JSON_DEPTH];
} cwsi_json;

static void cwsi_json_init(cwsi_json *j, const char *text, size_t len)
{
    memset(j, 0, sizeof(*j));
    j->at = text ? text : ""; /* NULL with length 0 is an empty text */
    j->end = j->at + len;
}

static cwsi_json_kind cwsi_json_fail(cwsi_json *j)
{
    j->failed = true;
    return j->kind = CWSI_JSON_ERROR;
}

/* At the opening quote: set text to the content, step behind the closing quote. */
static bool cwsi_json_scan_string(cwsi_json *j)
{
    const char *p = j->at + 1;
    int i;
    j->escaped = false;
    for (; p < j->end && *p != '"'; p++) {
        if (CWSI_CAST(unsigned char, *p) < 0x20) return false;
        if (*p != '\\') continue;
        j->escaped = true;
        if (++p == j->end) return false;
        if (*p == 'u') {
            for (i = 0; i < 4; i++)
                if (++p == j->end || cwsi_hex_digit(*p) < 0) return false;
        } else if (!memchr("\"\\/bfnrt", *p, 8)) {
            return false;
        }
    }
    if (p >= j->end) return false;
    j->text.at = j->at + 1;
    j->text.len = CWSI_CAST(size_t, p - j->text.at);
    j->at = p + 1;
    return cwsi_utf8_valid(j->text.at, j->text.len);
}

static bool cwsi_json_scan_number(cwsi_json *j)
{
    const char *p = j->at, *start = p;
#define CWSI_DIGITS()                                                                              \
    do {                                                                                           \
        if (p == j->end || !cwsi_is_digit(*p)) return false;                                       \
        while (p < j->end && cwsi_is_digit(*p)) p++;                                               \
    } while (0)
    if (p < j->end && *p == '-') p++;
    if (p < j->end && *p == '0') p++;
    else CWSI_DIGITS();
    if (p < j->end && *p == '.') {
        p++;
        CWSI_DIGITS();
    }
    if (p < j->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < j->end && (*p == '+' || *p == '-')) p++;
        CWSI_DIGITS();
    }
#undef CWSI_DIGITS
    j->text.at = start;
    j->text.len = CWSI_CAST(size_t, p - start);
    j->at = p;
    return true;
}

static bool cwsi_json_scan_word(cwsi_json *j, const char *word)
{
    size_t len = strlen(word);
    if (CWSI_CAST(size_t, j->end - j->at) < len || memcmp(j->at, word, len) != 0) return false;
    j->at += len;
    return true;
}

static void cwsi_json_skip_space(cwsi_json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
        j->at++;
}

/* A value begins at j->at. */
static cwsi_json_kind cwsi_json_value(cwsi_json *j)
{
    char c = *j->at;
    if (c == '{' || c == '[') {
        if (j->depth == CWSI_JSON_DEPTH) return cwsi_json_fail(j);
        j->in_object[j->depth++] = c == '{';
        j->need = c == '{' ? CWSI_NEED_KEY_OR_END : CWSI_NEED_VALUE_OR_END;
        j->at++;
        return j->kind = c == '{' ? CWSI_JSON_OBJECT : CWSI_JSON_ARRAY;
    }
    j->need = j->depth ? CWSI_NEED_COMMA_OR_END : CWSI_NEED_NOTHING;
    if (c == '"' && cwsi_json_scan_string(j)) return j->kind = CWSI_JSON_STRING;
    if ((c == '-' || cwsi_is_digit(c)) && cwsi_json_scan_number(j))
        return j->kind = CWSI_JSON_NUMBER;
    if (c == 't' && cwsi_json_scan_word(j, "true")) return j->kind = CWSI_JSON_TRUE;
    if (c == 'f' && cwsi_json_scan_word(j, "false")) return j->kind = CWSI_JSON_FALSE;
    if (c == 'n' && cwsi_json_scan_word(j, "null")) return j->kind = CWSI_JSON_NULL;
    if (j->non_finite && (cwsi_json_scan_word(j, "NaN") || cwsi_json_scan_word(j, "Infinity") ||
                          cwsi_json_scan_word(j, "-Infinity")))
        return j->kind = CWSI_JSON_NUMBER;
    return cwsi_json_fail(j);
}

/* The next token. */
static cwsi_json_kind cwsi_json_next(cwsi_json *j)
{
    if (j->failed) return CWSI_JSON_ERROR;
    cwsi_json_skip_space(j);
    if (j->at == j->end)
        return j->need == CWSI_NEED_NOTHING ? (j->kind = CWSI_JSON_END) : cwsi_json_fail(j);
    if (j->need == CWSI_NEED_NOTHING) return cwsi_json_fail(j);
    if (j->need == CWSI_NEED_COMMA_OR_END && *j->at == ',') {
        j->at++;
        j->need = j->in_object[j->depth - 1] ? CWSI_NEED_KEY : CWSI_NEED_VALUE;
        cwsi_json_skip_space(j);
        if (j->at == j->end) return cwsi_json_fail(j);
    } else if (j->need == CWSI_NEED_COMMA_OR_END || j->need == CWSI_NEED_KEY_OR_END ||
               j->need == CWSI_NEED_VALUE_OR_END) {
        bool object = j->depth > 0 && j->in_object[j->depth - 1];
        if (j->depth > 0 && *j->at == (object ? '}' : ']')) {
            j->at++;
            j->depth--;
            j->need = j->depth ? CWSI_NEED_COMMA_OR_END : CWSI_NEED_NOTHING;
            return j->kind = object ? CWSI_JSON_OBJECT_END : CWSI_JSON_ARRAY_END;
        }
        if (j->need == CWSI_NEED_COMMA_OR_END) return cwsi_json_fail(j);
    }
    if (j->need == CWSI_NEED_KEY || j->need == CWSI_NEED_KEY_OR_END) {
        if (*j->at != '"' || !cwsi_json_scan_string(j)) return cwsi_json_fail(j);
        cwsi_json_skip_space(j);
        if (j->at == j->end || *j->at != ':') return cwsi_json_fail(j);
        j->at++;
        j->need = CWSI_NEED_VALUE;
        return j->kind = CWSI_JSON_KEY;
    }
    return cwsi_json_value(j);
}

/* The token just read begins a value: read on to its end. */
static bool cwsi_json_skip(cwsi_json *j)
{
    int depth = j->depth;
    if (j->kind == CWSI_JSON_OBJECT || j->kind == CWSI_JSON_ARRAY) depth--;
    while (!j->failed && j->depth > depth) (void)cwsi_json_next(j);
    return !j->failed;
}

static uint32_t cwsi_hex4(const char *p)
{
    uint32_t v = 0;
    int i;
    for (i = 0; i < 4; i++) v = v << 4 | CWSI_CAST(uint32_t, cwsi_hex_digit(p[i]));
    return v;
}

/* The last KEY or STRING as UTF-8: as it stands, or unescaped into the arena. Lone surrogates
 * become U+FFFD. False: out of memory. */
static bool cwsi_json_string(const cwsi_json *j, cwsi_arena *arena, cwsi_str *out)
{
    const char *p = j->text.at, *end = p + j->text.len;
    char *to;
    *out = j->text;
    if (!j->escaped) return true;
    to = CWSI_CAST(char *, cwsi_arena_alloc(arena, j->text.len + 1));
    if (!to) return false;
    out->at = to;
    while (p < end) {
        static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        uint32_t code;
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        if (p[1] != 'u') {
            *to++ = values[CWSI_CAST(const char *, memchr(names, p[1], 8)) - names];
            p += 2;
            continue;
        }
        code = cwsi_hex4(p + 2);
        p += 6;
        if (code >= 0xd800 && code < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
            cwsi_hex4(p + 2) >= 0xdc00 && cwsi_hex4(p + 2) < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (cwsi_hex4(p + 2) - 0xdc00);
            p += 6;
        } else if (code >= 0xd800 && code < 0xe000) {
            code = 0xfffd;
        }
        to += cwsi_utf8_write(code, to);
    }
    out->len = CWSI_CAST(size_t, to - out->at);
    return true;
}

/* A quoted JSON string; bytes that are no UTF-8 become U+FFFD. */
static bool cwsi_put_json_string(cwsi_buf *buf, const char *text, size_t len)
{
    size_t i = 0, n;
    cwsi_put_char(buf, '"');
    while (i < len && !buf->status) {
        unsigned char c = CWSI_CAST(unsigned char, text[i]);
        n = cwsi_utf8_char(text + i, len - i);
        if (c == '"' || c == '\\') {
            cwsi_put_char(buf, '\\');
            cwsi_put_char(buf, text[i]);
        } else if (c == '\n') {
            cwsi_put(buf, "\\n", 2);
        } else if (c < 0x20 || c == 0x7f) {
            static const char hex[] = "0123456789abcdef";
            cwsi_put(buf, "\\u00", 4);
            cwsi_put_char(buf, hex[c >> 4]);
            cwsi_put_char(buf, hex[c & 15]);
        } else if (n == 0) {
            cwsi_put(buf, "\xef\xbf\xbd", 3);
        } else {
            cwsi_put(buf, text + i, n);
        }
        i += n ? n : 1;
    }
    return cwsi_put_char(buf, '"');
}

/* ================================================================================================
 * >>impl-schema
 * The wire messages, each described once: F(number, label, kind, name, sub). From these lines come
 * the C struct, the table that the codec, the trace and the local backend read, and the ids. A test
 * compares them with the service's .proto files.
 *
 *   label   ONE     singular; absent means zero, empty or NULL
 *           OPT     singular with presence: has_name says whether it is there
 *           ONEOF   member of the message's one oneof, not a message: has_name
 *           ONEOFM  member of the message's one oneof, a message: not NULL
 *           REP     list; MAP: list of entries with key and value
 *   kind    STR BYTES BOOL I32 I64 U32 U64 DOUBLE ENUM MSG
 *   sub     the message or enum type; 0 for other kinds
 *
 * A trailing underscore in a name is not part of it: it keeps clear of macros such as stdin.
 * Packages: pb google.protobuf, rpc google.rpc, v1 and b2 coreweave.sandbox.v1 and .v1beta2. An
 * enum value not listed is kept as its number; an unknown field is skipped and counted.
 * ============================================================================================= */

#define CWSI_F_map_StrStr(F) F(1, ONE, STR, key, 0) F(2, ONE, STR, value, 0)
#define CWSI_F_map_StrBytes(F) F(1, ONE, STR, key, 0) F(2, ONE, BYTES, value, 0)
#define CWSI_F_map_StrValue(F) F(1, ONE, STR, key, 0) F(2, ONE, MSG, value, pb_Value)
#define CWSI_F_map_StrBuildContextObject(F) \
    F(1, ONE, STR, key, 0) F(2, ONE, MSG, value, v1_BuildContextObject)
#define CWSI_MAP_MESSAGES(M) \
    M(map, StrStr) M(map, StrBytes) M(map, StrValue) M(map, StrBuildContextObject)

#define CWSI_E_pb_NullValue(V) V(pb, NULL_VALUE, 0)
#define CWSI_F_pb_Timestamp(F) F(1, ONE, I64, seconds, 0) F(2, ONE, I32, nanos, 0)
#define CWSI_F_pb_FieldMask(F) F(1, REP, STR, paths, 0)
#define CWSI_F_pb_Empty(F)
#define CWSI_F_pb_Struct(F) F(1, MAP, MSG, fields, map_StrValue)
#define CWSI_F_pb_Value(F) \
    F(1, ONEOF, ENUM, null_value, pb_NullValue) F(2, ONEOF, DOUBLE, number_value, 0) \
    F(3, ONEOF, STR, string_value, 0) F(4, ONEOF, BOOL, bool_value, 0) \
    F(5, ONEOFM, MSG, struct_value, pb_Struct) F(6, ONEOFM, MSG, list_value, pb_ListValue)
#define CWSI_F_pb_ListValue(F) F(1, REP, MSG, values, pb_Value)
#define CWSI_F_pb_Duration(F) F(1, ONE, I64, seconds, 0) F(2, ONE, I32, nanos, 0)
#define CWSI_F_pb_Any(F) F(1, ONE, STR, type_url, 0) F(2, ONE, BYTES, value, 0)
#define CWSI_PB_ENUMS(E) E(pb, NullValue)
#define CWSI_PB_MESSAGES(M) \
    M(pb, Timestamp) M(pb, FieldMask) M(pb, Empty) M(pb, Struct) M(pb, Value) M(pb, ListValue) \
    M(pb, Duration) M(pb, Any)

#define CWSI_F_rpc_ErrorInfo(F) \
    F(1, ONE, STR, reason, 0) F(2, ONE, STR, domain, 0) F(3, MAP, MSG, metadata, map_StrStr)
#define CWSI_F_rpc_RetryInfo(F) F(1, ONE, MSG, retry_delay, pb_Duration)
#define CWSI_F_rpc_BadRequest_FieldViolation(F) \
    F(1, ONE, STR, field, 0) F(2, ONE, STR, description, 0) F(3, ONE, STR, reason, 0) \
    F(4, ONE, MSG, localized_message, rpc_LocalizedMessage)
#define CWSI_F_rpc_BadRequest(F) F(1, REP, MSG, field_violations, rpc_BadRequest_FieldViolation)
#define CWSI_F_rpc_LocalizedMessage(F) F(1, ONE, STR, locale, 0) F(2, ONE, STR, message, 0)
#define CWSI_F_rpc_Status(F) \
    F(1, ONE, I32, code, 0) F(2, ONE, STR, message, 0) F(3, REP, MSG, details, pb_Any)
#define CWSI_RPC_MESSAGES(M) \
    M(rpc, ErrorInfo) M(rpc, RetryInfo) M(rpc, BadRequest_FieldViolation) M(rpc, BadRequest) \
    M(rpc, LocalizedMessage) M(rpc, Status)

/* ================================================================================================
 * >>impl-schema-v1
 * Package coreweave.sandbox.v1.
 * ============================================================================================= */

#define CWSI_E_v1_ExecStreamOutput_Stream(V) \
    V(v1, STREAM_UNSPECIFIED, 0) V(v1, STREAM_STDOUT, 1) V(v1, STREAM_STDERR, 2)
#define CWSI_E_v1_SandboxMode(V) \
    V(v1, SANDBOX_MODE_UNSPECIFIED, 0) V(v1, SANDBOX_MODE_SERVERLESS, 1) \
    V(v1, SANDBOX_MODE_CKS, 2)
#define CWSI_E_v1_State(V) \
    V(v1, STATE_UNSPECIFIED, 0) V(v1, STATE_CREATING, 1) V(v1, STATE_RUNNING, 2) \
    V(v1, STATE_COMPLETED, 3) V(v1, STATE_FAILED, 4) V(v1, STATE_TERMINATING, 5) \
    V(v1, STATE_TERMINATED, 6) V(v1, STATE_PENDING, 7) V(v1, STATE_PAUSED, 8) \
    V(v1, STATE_PREPARING, 9)
#define CWSI_E_v1_ServiceProtocol(V) \
    V(v1, SERVICE_PROTOCOL_UNSPECIFIED, 0) V(v1, SERVICE_PROTOCOL_TCP, 1) \
    V(v1, SERVICE_PROTOCOL_UDP, 2) V(v1, SERVICE_PROTOCOL_SCTP, 3)
#define CWSI_E_v1_EndpointKind(V) \
    V(v1, ENDPOINT_KIND_UNSPECIFIED, 0) V(v1, ENDPOINT_KIND_HTTPS, 1) \
    V(v1, ENDPOINT_KIND_TLS_PASSTHROUGH, 2)
#define CWSI_E_v1_EndpointAuth(V) \
    V(v1, ENDPOINT_AUTH_UNSPECIFIED, 0) V(v1, ENDPOINT_AUTH_OPEN, 1) \
    V(v1, ENDPOINT_AUTH_SHARE_TOKEN, 2)
#define CWSI_E_v1_Visibility(V) \
    V(v1, VISIBILITY_UNSPECIFIED, 0) V(v1, VISIBILITY_PUBLIC, 1) V(v1, VISIBILITY_PRIVATE, 2) \
    V(v1, VISIBILITY_CUSTOM, 3)
#define CWSI_E_v1_TenantScope(V) \
    V(v1, TENANT_SCOPE_UNSPECIFIED, 0) V(v1, TENANT_SCOPE_SAME_USER, 1) \
    V(v1, TENANT_SCOPE_SAME_ORG, 2) V(v1, TENANT_SCOPE_SANDBOX_NETWORK, 3)
#define CWSI_E_v1_StorageMedium(V) \
    V(v1, STORAGE_MEDIUM_UNSPECIFIED, 0) V(v1, STORAGE_MEDIUM_DISK, 1) \
    V(v1, STORAGE_MEDIUM_MEMORY, 2)
#define CWSI_E_v1_ObjectStoragePermission(V) \
    V(v1, OBJECT_STORAGE_PERMISSION_UNSPECIFIED, 0) V(v1, OBJECT_STORAGE_PERMISSION_READ, 1) \
    V(v1, OBJECT_STORAGE_PERMISSION_READ_WRITE, 2)
#define CWSI_E_v1_SnapshotState(V) \
    V(v1, SNAPSHOT_STATE_UNSPECIFIED, 0) V(v1, SNAPSHOT_STATE_CREATING, 1) \
    V(v1, SNAPSHOT_STATE_READY, 2) V(v1, SNAPSHOT_STATE_FAILED, 3) \
    V(v1, SNAPSHOT_STATE_DELETING, 4)
#define CWSI_E_v1_SnapshotTrigger(V) \
    V(v1, SNAPSHOT_TRIGGER_UNSPECIFIED, 0) V(v1, SNAPSHOT_TRIGGER_MANUAL, 1) \
    V(v1, SNAPSHOT_TRIGGER_ON_DELETE, 2)
#define CWSI_E_v1_DNSEgressMode(V) \
    V(v1, DNS_EGRESS_MODE_UNSPECIFIED, 0) V(v1, DNS_EGRESS_MODE_ALLOW, 1) \
    V(v1, DNS_EGRESS_MODE_DENY, 2)
#define CWSI_E_v1_SandboxFileType(V) \
    V(v1, SANDBOX_FILE_TYPE_UNSPECIFIED, 0) V(v1, SANDBOX_FILE_TYPE_COMPOSE, 1)
#define CWSI_E_v1_SandboxDataPermission(V) \
    V(v1, SANDBOX_DATA_PERMISSION_UNSPECIFIED, 0) V(v1, SANDBOX_DATA_PERMISSION_EXEC, 1) \
    V(v1, SANDBOX_DATA_PERMISSION_STREAM_EXEC, 2) V(v1, SANDBOX_DATA_PERMISSION_STREAM_LOGS, 3) \
    V(v1, SANDBOX_DATA_PERMISSION_WRITE_FILE, 4) V(v1, SANDBOX_DATA_PERMISSION_READ_FILE, 5)
#define CWSI_E_v1_SandboxDataTransport(V) \
    V(v1, SANDBOX_DATA_TRANSPORT_UNSPECIFIED, 0) V(v1, SANDBOX_DATA_TRANSPORT_DIRECT_MTLS, 1)
#define CWSI_E_v1_SandboxDataProtocol(V) \
    V(v1, SANDBOX_DATA_PROTOCOL_UNSPECIFIED, 0) V(v1, SANDBOX_DATA_PROTOCOL_CONNECT_H2_V1, 1)
#define CWSI_E_v1_RunnerView(V) \
    V(v1, RUNNER_VIEW_UNSPECIFIED, 0) V(v1, RUNNER_VIEW_BASIC, 1) V(v1, RUNNER_VIEW_FULL, 2)
#define CWSI_E_v1_VolumeState(V) \
    V(v1, VOLUME_STATE_UNSPECIFIED, 0) V(v1, VOLUME_STATE_VALIDATING, 1) \
    V(v1, VOLUME_STATE_READY, 2) V(v1, VOLUME_STATE_ERROR, 3) V(v1, VOLUME_STATE_DELETING, 4)
#define CWSI_E_v1_VolumeLocality(V) \
    V(v1, VOLUME_LOCALITY_UNSPECIFIED, 0) V(v1, VOLUME_LOCALITY_CLUSTER_LOCAL, 1) \
    V(v1, VOLUME_LOCALITY_GLOBAL, 2)
#define CWSI_E_v1_BuildStorageMode(V) \
    V(v1, BUILD_STORAGE_MODE_UNSPECIFIED, 0) V(v1, BUILD_STORAGE_MODE_MANAGED, 1) \
    V(v1, BUILD_STORAGE_MODE_CUSTOMER_OWNED, 2)
#define CWSI_E_v1_FileSystemSnapshotBucketMode(V) \
    V(v1, FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_UNSPECIFIED, 0) \
    V(v1, FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_CW_MANAGED, 1) \
    V(v1, FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_BRING_YOUR_OWN, 2)
#define CWSI_E_v1_SecretStoreProviderType(V) \
    V(v1, SECRET_STORE_PROVIDER_TYPE_UNSPECIFIED, 0) V(v1, SECRET_STORE_PROVIDER_TYPE_WANDB, 1)
#define CWSI_F_v1_Sandbox(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, MSG, spec, v1_SandboxSpec) \
    F(3, ONE, MSG, status, v1_SandboxStatus) F(4, ONE, STR, source_template_id, 0) \
    F(5, ONE, I64, source_template_revision, 0) F(6, ONE, STR, display_name, 0) \
    F(7, ONE, STR, endpoint_share_token, 0)
#define CWSI_F_v1_SandboxSpec(F) \
    F(1, REP, MSG, containers, v1_Container) F(3, REP, MSG, volumes, v1_SandboxVolume) \
    F(4, REP, MSG, services, v1_Service) F(5, ONE, I32, max_lifetime_seconds, 0) \
    F(6, REP, STR, network_ids, 0) F(7, ONE, MSG, object_storage_access, v1_ObjectStorageAccess) \
    F(8, REP, STR, tags, 0) F(9, REP, STR, runner_ids, 0) \
    F(10, ONE, MSG, network, v1_NetworkOptions) F(11, MAP, MSG, annotations, map_StrStr) \
    F(13, ONE, STR, instance_type, 0) F(14, ONE, ENUM, mode, v1_SandboxMode) \
    F(15, ONE, STR, runtime_class, 0)
#define CWSI_F_v1_SecurityContext(F) \
    F(1, OPT, U32, run_as_user, 0) F(2, OPT, U32, run_as_group, 0) F(3, OPT, BOOL, privileged, 0) \
    F(4, OPT, BOOL, allow_privilege_escalation, 0) F(5, OPT, BOOL, read_only_root_filesystem, 0) \
    F(6, REP, STR, capabilities_add, 0) F(7, REP, STR, capabilities_drop, 0) \
    F(8, ONE, STR, seccomp_profile, 0)
#define CWSI_F_v1_Probe(F) \
    F(1, REP, STR, exec, 0) F(2, ONE, I32, period_seconds, 0) F(3, ONE, I32, timeout_seconds, 0) \
    F(4, ONE, I32, failure_threshold, 0) F(5, ONE, I32, initial_delay_seconds, 0)
#define CWSI_F_v1_Container(F) \
    F(1, ONE, STR, name, 0) F(2, ONE, STR, image, 0) F(3, ONE, STR, command, 0) \
    F(4, REP, STR, args, 0) F(5, MAP, MSG, environment_variables, map_StrStr) \
    F(6, ONE, MSG, resources, v1_Resources) F(7, REP, MSG, files, v1_FileMount) \
    F(8, REP, MSG, volume_mounts, v1_VolumeMount) \
    F(9, REP, MSG, secret_stores, v1_SecretStoreReference) F(10, ONE, STR, working_dir, 0) \
    F(11, ONE, MSG, resource_requirements, v1_ResourceRequirements) \
    F(12, ONE, MSG, security_context, v1_SecurityContext) \
    F(13, ONE, MSG, image_pull_credentials, v1_ImagePullCredentials) F(14, OPT, BOOL, primary, 0) \
    F(15, ONE, MSG, startup_probe, v1_Probe)
#define CWSI_F_v1_PartialContainer(F) \
    F(1, ONE, STR, name, 0) F(2, ONE, STR, image, 0) F(3, ONE, STR, command, 0) \
    F(4, REP, STR, args, 0) F(5, MAP, MSG, environment_variables, map_StrStr) \
    F(6, ONE, MSG, resources, v1_Resources) F(7, REP, MSG, files, v1_FileMount) \
    F(8, REP, MSG, volume_mounts, v1_VolumeMount) \
    F(9, REP, MSG, secret_stores, v1_SecretStoreReference) F(10, ONE, STR, working_dir, 0) \
    F(11, ONE, MSG, resource_requirements, v1_ResourceRequirements) \
    F(12, ONE, MSG, security_context, v1_SecurityContext) \
    F(13, ONE, MSG, image_pull_credentials, v1_ImagePullCredentials) F(14, OPT, BOOL, primary, 0) \
    F(15, ONE, MSG, startup_probe, v1_Probe)
#define CWSI_F_v1_PartialSandboxSpec(F) \
    F(1, REP, MSG, containers, v1_PartialContainer) F(3, REP, MSG, volumes, v1_SandboxVolume) \
    F(4, REP, MSG, services, v1_Service) F(5, ONE, I32, max_lifetime_seconds, 0) \
    F(6, REP, STR, network_ids, 0) F(7, ONE, MSG, object_storage_access, v1_ObjectStorageAccess) \
    F(8, REP, STR, tags, 0) F(9, REP, STR, runner_ids, 0) \
    F(10, ONE, MSG, network, v1_NetworkOptions) F(11, MAP, MSG, annotations, map_StrStr) \
    F(13, ONE, STR, instance_type, 0) F(14, ONE, ENUM, mode, v1_SandboxMode) \
    F(15, ONE, STR, runtime_class, 0)
#define CWSI_F_v1_SandboxStatus(F) \
    F(1, ONE, ENUM, state, v1_State) F(2, ONE, STR, state_reason, 0) \
    F(3, ONE, MSG, create_time, pb_Timestamp) F(4, ONE, MSG, start_time, pb_Timestamp) \
    F(5, ONE, MSG, end_time, pb_Timestamp) F(6, REP, MSG, services, v1_ServiceStatus) \
    F(8, ONE, MSG, resource_usage, v1_ResourceUsage) F(9, OPT, I32, exit_code, 0) \
    F(10, ONE, MSG, effective_resources, v1_Resources) \
    F(11, ONE, I32, effective_max_lifetime_seconds, 0) \
    F(12, REP, MSG, container_statuses, v1_ContainerStatus) F(13, ONE, STR, runner_id, 0) \
    F(14, ONE, STR, runner_group_id, 0) F(15, REP, MSG, effective_ingress, v1_IngressRule) \
    F(16, REP, MSG, effective_egress, v1_EgressRule) \
    F(17, ONE, MSG, effective_resource_requirements, v1_ResourceRequirements) \
    F(18, REP, STR, attached_volume_ids, 0) F(19, ONE, STR, effective_runtime_class, 0) \
    F(20, ONE, ENUM, effective_dns_egress, v1_DNSEgressMode)
#define CWSI_F_v1_ContainerStatus(F) \
    F(1, ONE, STR, name, 0) F(2, ONE, ENUM, state, v1_State) F(3, ONE, I32, exit_code, 0) \
    F(4, ONE, I32, restart_count, 0)
#define CWSI_F_v1_Resources(F) \
    F(1, ONE, STR, cpu, 0) F(2, ONE, STR, memory, 0) F(3, ONE, MSG, gpu, v1_Gpu)
#define CWSI_F_v1_ResourceRequirements(F) \
    F(1, ONE, MSG, requests, v1_Resources) F(2, ONE, MSG, limits, v1_Resources)
#define CWSI_F_v1_Gpu(F) \
    F(1, ONE, I64, count, 0) F(2, ONEOF, STR, type, 0) F(3, ONEOF, I64, memory_gb, 0)
#define CWSI_F_v1_Service(F) \
    F(1, ONE, I32, port, 0) F(2, ONE, STR, name, 0) F(3, ONE, ENUM, protocol, v1_ServiceProtocol) \
    F(4, ONE, ENUM, visibility, v1_Visibility) F(5, ONE, MSG, endpoint, v1_EndpointSpec)
#define CWSI_F_v1_EndpointSpec(F) \
    F(1, ONE, ENUM, kind, v1_EndpointKind) F(2, ONE, ENUM, auth, v1_EndpointAuth) \
    F(3, ONE, I32, request_timeout_seconds, 0)
#define CWSI_F_v1_ServiceStatus(F) \
    F(1, ONE, I32, port, 0) F(2, ONE, STR, name, 0) F(3, ONE, ENUM, protocol, v1_ServiceProtocol) \
    F(4, ONE, ENUM, visibility, v1_Visibility) F(5, ONE, MSG, endpoint, v1_EndpointStatus) \
    F(6, ONE, STR, url, 0)
#define CWSI_F_v1_EndpointStatus(F) \
    F(1, ONE, ENUM, kind, v1_EndpointKind) F(2, ONE, ENUM, auth, v1_EndpointAuth) \
    F(3, ONE, STR, url, 0) F(4, ONE, I32, request_timeout_seconds, 0) F(5, ONE, STR, address, 0)
#define CWSI_F_v1_NetworkOptions(F) \
    F(1, REP, MSG, ingress, v1_IngressRule) F(2, REP, MSG, egress, v1_EgressRule) \
    F(3, OPT, BOOL, deny_egress, 0) F(4, OPT, BOOL, deny_ingress, 0) \
    F(5, ONE, ENUM, dns_egress, v1_DNSEgressMode)
#define CWSI_F_v1_EgressRule(F) \
    F(1, ONEOFM, MSG, cidr, v1_CidrBlock) F(2, ONEOF, STR, https_hostname, 0) \
    F(3, ONEOF, ENUM, tenant, v1_TenantScope) F(4, ONEOF, BOOL, any, 0) \
    F(6, ONEOFM, MSG, selector, v1_SelectorBlock) F(5, REP, MSG, ports, v1_PortRange) \
    F(7, REP, STR, https_hostname_except, 0)
#define CWSI_F_v1_IngressRule(F) \
    F(1, ONEOFM, MSG, cidr, v1_CidrBlock) F(2, ONEOF, ENUM, tenant, v1_TenantScope) \
    F(3, ONEOF, BOOL, any, 0) F(4, REP, MSG, ports, v1_PortRange)
#define CWSI_F_v1_CidrBlock(F) F(1, ONE, STR, cidr, 0) F(2, REP, STR, except, 0)
#define CWSI_F_v1_SelectorBlock(F) \
    F(1, MAP, MSG, pod_labels, map_StrStr) F(2, MAP, MSG, namespace_labels, map_StrStr)
#define CWSI_F_v1_PortRange(F) \
    F(1, ONE, STR, protocol, 0) F(2, ONE, I32, port, 0) F(3, ONE, I32, end_port, 0)
#define CWSI_F_v1_FileMount(F) F(1, ONE, STR, path, 0) F(2, ONE, BYTES, content, 0)
#define CWSI_F_v1_SandboxVolume(F) \
    F(1, ONE, STR, name, 0) F(2, ONEOFM, MSG, scratch, v1_ScratchVolume) \
    F(3, ONEOF, STR, volume_id, 0)
#define CWSI_F_v1_ScratchVolume(F) \
    F(1, ONE, STR, size, 0) F(2, ONE, ENUM, medium, v1_StorageMedium) \
    F(3, ONE, STR, restore_from_snapshot_id, 0)
#define CWSI_F_v1_VolumeMount(F) \
    F(1, ONE, STR, volume, 0) F(2, ONE, STR, mount_path, 0) F(3, ONE, BOOL, read_only, 0) \
    F(4, ONE, STR, sub_path, 0)
#define CWSI_F_v1_SecretStoreReference(F) \
    F(1, ONE, STR, store_name, 0) F(2, REP, MSG, secrets, v1_SecretMapping)
#define CWSI_F_v1_SecretMapping(F) \
    F(1, ONE, STR, path, 0) F(2, ONE, STR, field, 0) F(3, ONE, STR, env_var, 0)
#define CWSI_F_v1_ImagePullCredentials(F) \
    F(1, ONE, STR, registry, 0) F(2, ONE, MSG, credentials, v1_SecretSource)
#define CWSI_F_v1_SecretSource(F) \
    F(1, ONE, STR, store_name, 0) F(2, ONE, STR, path, 0) F(3, ONE, STR, field, 0)
#define CWSI_F_v1_ObjectStorageAccess(F) \
    F(1, REP, STR, buckets, 0) F(2, ONE, ENUM, permission, v1_ObjectStoragePermission) \
    F(3, ONE, STR, object_prefix, 0)
#define CWSI_F_v1_ResourceUsage(F) \
    F(1, ONE, I64, cpu_millicores, 0) F(2, ONE, I64, memory_mb, 0) F(3, ONE, I64, gpu_count, 0)
/* ================================================================================================
 * >>impl-schema-v1-calls
 * Package coreweave.sandbox.v1, continued: what the calls send and answer.
 * ============================================================================================= */

#define CWSI_F_v1_CreateSandboxRequest(F) \
    F(1, ONE, MSG, sandbox, v1_Sandbox) F(2, ONE, STR, request_id, 0)
#define CWSI_F_v1_CreateSandboxFromTemplateRequest(F) \
    F(1, ONE, STR, template_id, 0) F(2, ONE, MSG, overrides, v1_PartialSandboxSpec) \
    F(3, ONE, STR, request_id, 0) F(4, ONE, STR, display_name, 0)
#define CWSI_F_v1_CreateSandboxFromFileRequest(F) \
    F(1, ONE, ENUM, type, v1_SandboxFileType) F(2, ONE, BYTES, contents, 0) \
    F(3, ONE, STR, primary_service, 0) F(4, MAP, MSG, image_overrides, map_StrStr) \
    F(5, MAP, MSG, build_contexts, map_StrBytes) \
    F(6, ONE, MSG, default_resources, v1_ResourceRequirements) \
    F(7, ONE, ENUM, mode, v1_SandboxMode) F(8, ONE, I32, max_lifetime_seconds, 0) \
    F(9, REP, STR, tags, 0) F(10, ONE, MSG, network, v1_NetworkOptions) \
    F(11, REP, STR, network_ids, 0) \
    F(12, ONE, MSG, object_storage_access, v1_ObjectStorageAccess) \
    F(13, MAP, MSG, annotations, map_StrStr) F(14, REP, STR, runner_ids, 0) \
    F(15, ONE, STR, request_id, 0) F(16, ONE, STR, display_name, 0) \
    F(17, MAP, MSG, build_context_objects, map_StrBuildContextObject) \
    F(18, MAP, MSG, builder_sizes, map_StrStr)
#define CWSI_F_v1_BuildContextObject(F) \
    F(1, ONE, STR, location, 0) F(2, ONE, STR, bucket, 0) F(3, ONE, STR, key, 0) \
    F(4, ONE, STR, version_id, 0)
#define CWSI_F_v1_GetSandboxRequest(F) F(1, ONE, STR, sandbox_id, 0)
#define CWSI_F_v1_ListSandboxesRequest(F) \
    F(1, ONE, I32, page_size, 0) F(2, ONE, STR, page_token, 0) F(3, REP, STR, tags, 0) \
    F(4, ONE, ENUM, state, v1_State) F(5, ONE, BOOL, show_terminated, 0) \
    F(6, REP, STR, runner_ids, 0) F(7, REP, STR, volume_ids, 0)
#define CWSI_F_v1_ListSandboxesResponse(F) \
    F(1, REP, MSG, sandboxes, v1_Sandbox) F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_v1_DeleteSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, I32, grace_period_seconds, 0) \
    F(3, REP, STR, snapshot_volumes, 0) F(4, ONE, STR, request_id, 0) \
    F(5, ONE, BOOL, allow_missing, 0)
#define CWSI_F_v1_DeleteSandboxResponse(F) \
    F(1, ONE, MSG, sandbox, v1_Sandbox) F(2, REP, STR, file_system_snapshot_ids, 0)
#define CWSI_F_v1_PurgeSandboxesRequest(F) \
    F(1, REP, STR, tags, 0) F(2, ONE, BOOL, dry_run, 0) F(3, ONE, STR, request_id, 0) \
    F(4, ONE, BOOL, purge_all, 0)
#define CWSI_F_v1_PurgeSandboxesResponse(F) \
    F(1, ONE, I32, purge_count, 0) F(2, REP, STR, failed_sandbox_ids, 0) \
    F(3, REP, STR, retryable_failed_sandbox_ids, 0)
#define CWSI_F_v1_ConnectSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, BYTES, csr_der, 0) \
    F(3, REP, ENUM, requested_permissions, v1_SandboxDataPermission)
#define CWSI_F_v1_SandboxConnection(F) \
    F(1, ONE, STR, endpoint_uri, 0) F(2, ONE, BYTES, client_certificate_chain_pem, 0) \
    F(3, ONE, BYTES, server_ca_bundle_pem, 0) F(4, ONE, MSG, expires_at, pb_Timestamp) \
    F(5, ONE, STR, endpoint_id, 0) F(6, ONE, ENUM, transport, v1_SandboxDataTransport) \
    F(7, ONE, ENUM, protocol, v1_SandboxDataProtocol) \
    F(8, REP, ENUM, granted_permissions, v1_SandboxDataPermission)
#define CWSI_F_v1_ExecRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, REP, STR, command, 0) F(3, MAP, MSG, env, map_StrStr) \
    F(4, ONE, I32, max_output_bytes, 0) F(5, ONE, STR, container, 0)
#define CWSI_F_v1_ExecResponse(F) \
    F(1, ONE, BYTES, stdout_, 0) F(2, ONE, BYTES, stderr_, 0) F(3, ONE, I32, exit_code, 0) \
    F(4, ONE, BOOL, stdout_truncated, 0) F(5, ONE, BOOL, stderr_truncated, 0) \
    F(6, ONE, I64, stdout_bytes_produced, 0) F(7, ONE, I64, stderr_bytes_produced, 0)
#define CWSI_F_v1_ExecStreamRequest(F) \
    F(1, ONEOFM, MSG, init, v1_ExecStreamInit) F(2, ONEOF, BYTES, stdin_, 0) \
    F(3, ONEOFM, MSG, resize, v1_ExecStreamResize) F(4, ONEOFM, MSG, close, v1_ExecStreamClose)
#define CWSI_F_v1_ExecStreamClose(F)
#define CWSI_F_v1_ExecStreamInit(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, REP, STR, command, 0) F(3, ONE, BOOL, tty, 0) \
    F(4, ONE, U32, tty_width, 0) F(5, ONE, U32, tty_height, 0) F(6, MAP, MSG, env, map_StrStr) \
    F(7, ONE, STR, container, 0)
#define CWSI_F_v1_ExecStreamResize(F) F(1, ONE, U32, width, 0) F(2, ONE, U32, height, 0)
#define CWSI_F_v1_ExecStreamResponse(F) \
    F(1, ONEOFM, MSG, ready, v1_ExecStreamReady) F(2, ONEOFM, MSG, output, v1_ExecStreamOutput) \
    F(3, ONEOFM, MSG, exit, v1_ExecStreamExit) F(4, ONEOFM, MSG, error, v1_ExecStreamError)
#define CWSI_F_v1_ExecStreamReady(F) F(1, ONE, MSG, ready_time, pb_Timestamp)
#define CWSI_F_v1_ExecStreamOutput(F) \
    F(1, ONE, ENUM, stream, v1_ExecStreamOutput_Stream) F(2, ONE, BYTES, data, 0)
#define CWSI_F_v1_ExecStreamExit(F) \
    F(1, ONE, I32, exit_code, 0) F(2, ONE, MSG, completed_time, pb_Timestamp)
#define CWSI_F_v1_ExecStreamError(F) F(1, ONE, STR, message, 0) F(2, ONE, STR, code, 0)
#define CWSI_F_v1_StreamLogsRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, BOOL, follow, 0) F(3, ONE, I32, tail_lines, 0) \
    F(4, ONE, MSG, since_time, pb_Timestamp) F(5, ONE, STR, container, 0) \
    F(6, ONE, BOOL, timestamps, 0) F(7, ONE, STR, resume_log_session_id, 0) \
    F(8, ONE, U64, resume_log_offset, 0)
#define CWSI_F_v1_LogEntry(F) \
    F(1, ONE, BYTES, data, 0) F(2, ONE, MSG, timestamp, pb_Timestamp) \
    F(3, ONE, STR, log_session_id, 0) F(4, ONE, U64, next_log_offset, 0) \
    F(5, ONE, MSG, error, v1_LogStreamError)
#define CWSI_F_v1_LogStreamError(F) F(1, ONE, STR, message, 0) F(2, ONE, STR, code, 0)
#define CWSI_F_v1_WriteFileRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, STR, path, 0) F(3, ONE, BYTES, content, 0) \
    F(4, ONE, STR, container, 0)
#define CWSI_F_v1_WriteFileResponse(F)
#define CWSI_F_v1_ReadFileRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, STR, path, 0) F(3, ONE, STR, container, 0)
#define CWSI_F_v1_ReadFileResponse(F) F(1, ONE, BYTES, content, 0)
#define CWSI_F_v1_FileSystemSnapshot(F) \
    F(1, ONE, STR, file_system_snapshot_id, 0) F(2, ONE, ENUM, state, v1_SnapshotState) \
    F(3, ONE, STR, state_reason, 0) F(4, ONE, I64, size_bytes, 0) \
    F(5, ONE, STR, source_sandbox_id, 0) F(6, ONE, ENUM, trigger, v1_SnapshotTrigger) \
    F(7, ONE, MSG, create_time, pb_Timestamp) F(8, ONE, MSG, complete_time, pb_Timestamp) \
    F(9, ONE, STR, source_volume_name, 0) F(10, ONE, STR, object_bucket, 0) \
    F(11, ONE, MSG, updated_at, pb_Timestamp) F(12, ONE, STR, request_id, 0)
#define CWSI_F_v1_CreateFileSystemSnapshotRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, STR, request_id, 0) \
    F(3, ONE, STR, scratch_volume_name, 0)
#define CWSI_F_v1_GetFileSystemSnapshotRequest(F) F(1, ONE, STR, file_system_snapshot_id, 0)
#define CWSI_F_v1_ListFileSystemSnapshotsRequest(F) \
    F(1, ONE, I32, page_size, 0) F(2, ONE, STR, page_token, 0) \
    F(3, ONE, STR, source_sandbox_id, 0)
#define CWSI_F_v1_ListFileSystemSnapshotsResponse(F) \
    F(1, REP, MSG, file_system_snapshots, v1_FileSystemSnapshot) \
    F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_v1_DeleteFileSystemSnapshotRequest(F) \
    F(1, ONE, STR, file_system_snapshot_id, 0) F(2, ONE, BOOL, allow_missing, 0)
#define CWSI_F_v1_AvailableRunner(F) \
    F(1, ONE, STR, runner_id, 0) F(2, ONE, STR, runner_group_id, 0) F(3, REP, STR, tags, 0) \
    F(4, ONE, BOOL, healthy, 0) F(5, ONE, MSG, capabilities, v1_RunnerCapabilitySummary) \
    F(6, ONE, MSG, resources, v1_RunnerResourceSummary) \
    F(7, ONE, MSG, connected_at, pb_Timestamp) F(8, ONE, BOOL, is_shared, 0) \
    F(9, ONE, STR, organization_id, 0)
#define CWSI_F_v1_RunnerCapabilitySummary(F) \
    F(1, ONE, I64, max_cpu_millicores, 0) F(2, ONE, I64, max_memory_bytes, 0) \
    F(3, ONE, I64, max_gpu_count, 0) F(4, REP, STR, supported_gpu_types, 0) \
    F(5, REP, STR, supported_architectures, 0) F(6, ONE, BOOL, supports_privileged, 0) \
    F(7, REP, STR, available_storage_classes, 0) \
    F(8, REP, ENUM, supported_service_visibilities, v1_Visibility)
#define CWSI_F_v1_RunnerResourceSummary(F) \
    F(1, ONE, I64, available_cpu_millicores, 0) F(2, ONE, I64, available_memory_bytes, 0) \
    F(3, ONE, I64, available_gpu_count, 0) F(4, ONE, I32, running_sandboxes, 0)
#define CWSI_F_v1_ListAvailableRunnersRequest(F) \
    F(1, ONE, STR, runner_group_id, 0) F(2, ONE, STR, gpu_type, 0) \
    F(3, ONE, STR, architecture, 0) F(4, ONE, BOOL, healthy_only, 0) F(5, ONE, I32, page_size, 0) \
    F(6, ONE, STR, page_token, 0) F(7, ONE, ENUM, view, v1_RunnerView) \
    F(8, ONE, ENUM, service_visibility, v1_Visibility)
#define CWSI_F_v1_ListAvailableRunnersResponse(F) \
    F(1, REP, MSG, runners, v1_AvailableRunner) F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_v1_GetAvailableRunnerRequest(F) \
    F(1, ONE, STR, runner_id, 0) F(2, ONE, ENUM, view, v1_RunnerView) \
    F(3, ONE, STR, organization_id, 0)
#define CWSI_F_v1_Volume(F) \
    F(1, ONE, STR, volume_id, 0) F(2, ONE, MSG, spec, v1_VolumeSpec) \
    F(3, ONE, MSG, status, v1_VolumeStatus)
#define CWSI_F_v1_VolumeSpec(F) \
    F(1, ONEOFM, MSG, pvc, v1_PvcVolumeSource) F(2, ONE, BOOL, read_only, 0) \
    F(3, ONE, STR, description, 0)
#define CWSI_F_v1_PvcVolumeSource(F) \
    F(1, ONE, STR, runner_id, 0) F(2, ONE, STR, namespace_, 0) F(3, ONE, STR, claim_name, 0) \
    F(4, ONE, STR, sub_path, 0)
#define CWSI_F_v1_VolumeStatus(F) \
    F(1, ONE, ENUM, state, v1_VolumeState) F(2, ONE, STR, state_reason, 0) \
    F(3, ONE, ENUM, locality, v1_VolumeLocality) F(4, ONE, MSG, create_time, pb_Timestamp) \
    F(5, ONE, MSG, update_time, pb_Timestamp) F(6, ONE, MSG, last_validated_time, pb_Timestamp) \
    F(7, REP, STR, access_modes, 0) F(8, ONE, STR, capacity, 0) \
    F(9, ONE, I32, attached_sandbox_count, 0)
#define CWSI_F_v1_CreateVolumeRequest(F) \
    F(1, ONE, MSG, volume, v1_Volume) F(2, ONE, STR, request_id, 0)
#define CWSI_F_v1_GetVolumeRequest(F) F(1, ONE, STR, volume_id, 0)
#define CWSI_F_v1_ListVolumesRequest(F) \
    F(1, ONE, I32, page_size, 0) F(2, ONE, STR, page_token, 0) \
    F(3, REP, ENUM, states, v1_VolumeState) F(4, REP, STR, runner_ids, 0)
#define CWSI_F_v1_ListVolumesResponse(F) \
    F(1, REP, MSG, volumes, v1_Volume) F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_v1_UpdateVolumeRequest(F) \
    F(1, ONE, STR, volume_id, 0) F(2, ONE, MSG, volume, v1_Volume) \
    F(3, ONE, MSG, update_mask, pb_FieldMask)
#define CWSI_F_v1_DeleteVolumeRequest(F) \
    F(1, ONE, STR, volume_id, 0) F(2, ONE, BOOL, allow_missing, 0) F(3, ONE, BOOL, force, 0)
#define CWSI_F_v1_ValidateVolumeRequest(F) F(1, ONE, STR, volume_id, 0)
#define CWSI_F_v1_SandboxTemplate(F) \
    F(1, ONE, STR, sandbox_template_id, 0) F(2, ONE, STR, display_name, 0) \
    F(3, ONE, MSG, spec, v1_PartialSandboxSpec) F(4, ONE, I64, revision, 0) \
    F(5, ONE, MSG, create_time, pb_Timestamp) F(6, ONE, MSG, update_time, pb_Timestamp) \
    F(7, ONE, MSG, delete_time, pb_Timestamp) F(8, ONE, STR, create_user_id, 0) \
    F(9, ONE, BOOL, deleted, 0) F(10, ONE, MSG, attachments, pb_Struct) \
    F(11, ONE, BOOL, requires_cks, 0)
#define CWSI_F_v1_CreateSandboxTemplateRequest(F) \
    F(1, ONE, MSG, sandbox_template, v1_SandboxTemplate) F(2, ONE, STR, request_id, 0)
#define CWSI_F_v1_GetSandboxTemplateRequest(F) \
    F(1, ONE, STR, sandbox_template_id, 0) F(2, ONE, BOOL, show_deleted, 0)
#define CWSI_F_v1_ListSandboxTemplatesRequest(F) \
    F(1, ONE, I32, page_size, 0) F(2, ONE, STR, page_token, 0) F(3, ONE, BOOL, show_deleted, 0)
#define CWSI_F_v1_ListSandboxTemplatesResponse(F) \
    F(1, REP, MSG, sandbox_templates, v1_SandboxTemplate) F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_v1_UpdateSandboxTemplateRequest(F) \
    F(1, ONE, STR, sandbox_template_id, 0) F(2, ONE, MSG, sandbox_template, v1_SandboxTemplate) \
    F(3, ONE, MSG, update_mask, pb_FieldMask)
#define CWSI_F_v1_DeleteSandboxTemplateRequest(F) F(1, ONE, STR, sandbox_template_id, 0)
#define CWSI_F_v1_BuildStorageConfig(F) \
    F(1, ONE, BOOL, enabled, 0) F(2, ONE, ENUM, mode, v1_BuildStorageMode) \
    F(3, ONE, STR, bucket_name, 0) F(4, ONE, STR, location, 0) \
    F(5, ONE, STR, registry_namespace, 0) F(6, ONE, STR, billing_reference, 0) \
    F(7, ONE, STR, etag, 0) F(8, ONE, I64, revision, 0) F(9, ONE, STR, effective_bucket_name, 0)
#define CWSI_F_v1_GetBuildStorageConfigRequest(F)
#define CWSI_F_v1_UpdateBuildStorageConfigRequest(F) \
    F(1, ONE, MSG, build_storage_config, v1_BuildStorageConfig) \
    F(2, ONE, MSG, update_mask, pb_FieldMask)
#define CWSI_F_v1_ObjectStorageWifConfig(F) \
    F(1, ONE, STR, wif_config_id, 0) F(2, ONE, BOOL, enabled, 0) \
    F(3, REP, STR, allowed_buckets, 0) \
    F(4, ONE, ENUM, max_permission, v1_ObjectStoragePermission) \
    F(5, ONE, MSG, create_time, pb_Timestamp) F(6, ONE, MSG, update_time, pb_Timestamp)
#define CWSI_F_v1_GetObjectStorageWifConfigRequest(F)
#define CWSI_F_v1_UpdateObjectStorageWifConfigRequest(F) \
    F(1, ONE, MSG, object_storage_wif_config, v1_ObjectStorageWifConfig) \
    F(2, ONE, MSG, update_mask, pb_FieldMask)
#define CWSI_F_v1_DeleteObjectStorageWifConfigRequest(F) F(1, ONE, BOOL, allow_missing, 0)
#define CWSI_F_v1_FileSystemSnapshotBucketConfig(F) \
    F(1, ONE, STR, bucket_name, 0) F(2, ONE, STR, region, 0) \
    F(3, ONE, ENUM, mode, v1_FileSystemSnapshotBucketMode) \
    F(4, ONE, STR, effective_bucket_name, 0)
#define CWSI_F_v1_GetFileSystemSnapshotBucketConfigRequest(F)
#define CWSI_F_v1_UpdateFileSystemSnapshotBucketConfigRequest(F) \
    F(1, ONE, MSG, file_system_snapshot_bucket_config, v1_FileSystemSnapshotBucketConfig) \
    F(2, ONE, MSG, update_mask, pb_FieldMask)
#define CWSI_F_v1_WandBStoreConfig(F) F(1, ONE, STR, api_url, 0) F(2, ONE, STR, team, 0)
#define CWSI_F_v1_SecretStore(F) \
    F(1, ONE, STR, name, 0) F(2, ONE, ENUM, provider_type, v1_SecretStoreProviderType) \
    F(3, ONE, MSG, create_time, pb_Timestamp) F(4, ONE, MSG, update_time, pb_Timestamp) \
    F(10, ONEOFM, MSG, wandb, v1_WandBStoreConfig)
#define CWSI_F_v1_CreateSecretStoreRequest(F) \
    F(1, ONE, MSG, secret_store, v1_SecretStore) F(2, ONE, STR, request_id, 0)
#define CWSI_F_v1_GetSecretStoreRequest(F) F(1, ONE, STR, name, 0)
#define CWSI_F_v1_ListSecretStoresRequest(F) \
    F(1, ONE, I32, page_size, 0) F(2, ONE, STR, page_token, 0)
#define CWSI_F_v1_ListSecretStoresResponse(F) \
    F(1, REP, MSG, secret_stores, v1_SecretStore) F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_v1_UpdateSecretStoreRequest(F) \
    F(1, ONE, MSG, secret_store, v1_SecretStore) F(2, ONE, MSG, update_mask, pb_FieldMask)
#define CWSI_F_v1_DeleteSecretStoreRequest(F) \
    F(1, ONE, STR, name, 0) F(2, ONE, BOOL, allow_missing, 0)
#define CWSI_V1_ENUMS(E) \
    E(v1, ExecStreamOutput_Stream) E(v1, SandboxMode) E(v1, State) E(v1, ServiceProtocol) \
    E(v1, EndpointKind) E(v1, EndpointAuth) E(v1, Visibility) E(v1, TenantScope) \
    E(v1, StorageMedium) E(v1, ObjectStoragePermission) E(v1, SnapshotState) \
    E(v1, SnapshotTrigger) E(v1, DNSEgressMode) E(v1, SandboxFileType) \
    E(v1, SandboxDataPermission) E(v1, SandboxDataTransport) E(v1, SandboxDataProtocol) \
    E(v1, RunnerView) E(v1, VolumeState) E(v1, VolumeLocality) E(v1, BuildStorageMode) \
    E(v1, FileSystemSnapshotBucketMode) E(v1, SecretStoreProviderType)
#define CWSI_V1_MESSAGES(M) \
    M(v1, Sandbox) M(v1, SandboxSpec) M(v1, SecurityContext) M(v1, Probe) M(v1, Container) \
    M(v1, PartialContainer) M(v1, PartialSandboxSpec) M(v1, SandboxStatus) M(v1, ContainerStatus) \
    M(v1, Resources) M(v1, ResourceRequirements) M(v1, Gpu) M(v1, Service) M(v1, EndpointSpec) \
    M(v1, ServiceStatus) M(v1, EndpointStatus) M(v1, NetworkOptions) M(v1, EgressRule) \
    M(v1, IngressRule) M(v1, CidrBlock) M(v1, SelectorBlock) M(v1, PortRange) M(v1, FileMount) \
    M(v1, SandboxVolume) M(v1, ScratchVolume) M(v1, VolumeMount) M(v1, SecretStoreReference) \
    M(v1, SecretMapping) M(v1, ImagePullCredentials) M(v1, SecretSource) \
    M(v1, ObjectStorageAccess) M(v1, ResourceUsage) M(v1, CreateSandboxRequest) \
    M(v1, CreateSandboxFromTemplateRequest) M(v1, CreateSandboxFromFileRequest) \
    M(v1, BuildContextObject) M(v1, GetSandboxRequest) M(v1, ListSandboxesRequest) \
    M(v1, ListSandboxesResponse) M(v1, DeleteSandboxRequest) M(v1, DeleteSandboxResponse) \
    M(v1, PurgeSandboxesRequest) M(v1, PurgeSandboxesResponse) M(v1, ConnectSandboxRequest) \
    M(v1, SandboxConnection) M(v1, ExecRequest) M(v1, ExecResponse) M(v1, ExecStreamRequest) \
    M(v1, ExecStreamClose) M(v1, ExecStreamInit) M(v1, ExecStreamResize) \
    M(v1, ExecStreamResponse) M(v1, ExecStreamReady) M(v1, ExecStreamOutput) \
    M(v1, ExecStreamExit) M(v1, ExecStreamError) M(v1, StreamLogsRequest) M(v1, LogEntry) \
    M(v1, LogStreamError) M(v1, WriteFileRequest) M(v1, WriteFileResponse) M(v1, ReadFileRequest) \
    M(v1, ReadFileResponse) M(v1, FileSystemSnapshot) M(v1, CreateFileSystemSnapshotRequest) \
    M(v1, GetFileSystemSnapshotRequest) M(v1, ListFileSystemSnapshotsRequest) \
    M(v1, ListFileSystemSnapshotsResponse) M(v1, DeleteFileSystemSnapshotRequest) \
    M(v1, AvailableRunner) M(v1, RunnerCapabilitySummary) M(v1, RunnerResourceSummary) \
    M(v1, ListAvailableRunnersRequest) M(v1, ListAvailableRunnersResponse) \
    M(v1, GetAvailableRunnerRequest) M(v1, Volume) M(v1, VolumeSpec) M(v1, PvcVolumeSource) \
    M(v1, VolumeStatus) M(v1, CreateVolumeRequest) M(v1, GetVolumeRequest) \
    M(v1, ListVolumesRequest) M(v1, ListVolumesResponse) M(v1, UpdateVolumeRequest) \
    M(v1, DeleteVolumeRequest) M(v1, ValidateVolumeRequest) M(v1, SandboxTemplate) \
    M(v1, CreateSandboxTemplateRequest) M(v1, GetSandboxTemplateRequest) \
    M(v1, ListSandboxTemplatesRequest) M(v1, ListSandboxTemplatesResponse) \
    M(v1, UpdateSandboxTemplateRequest) M(v1, DeleteSandboxTemplateRequest) \
    M(v1, BuildStorageConfig) M(v1, GetBuildStorageConfigRequest) \
    M(v1, UpdateBuildStorageConfigRequest) M(v1, ObjectStorageWifConfig) \
    M(v1, GetObjectStorageWifConfigRequest) M(v1, UpdateObjectStorageWifConfigRequest) \
    M(v1, DeleteObjectStorageWifConfigRequest) M(v1, FileSystemSnapshotBucketConfig) \
    M(v1, GetFileSystemSnapshotBucketConfigRequest) \
    M(v1, UpdateFileSystemSnapshotBucketConfigRequest) M(v1, WandBStoreConfig) M(v1, SecretStore) \
    M(v1, CreateSecretStoreRequest) M(v1, GetSecretStoreRequest) M(v1, ListSecretStoresRequest) \
    M(v1, ListSecretStoresResponse) M(v1, UpdateSecretStoreRequest) \
    M(v1, DeleteSecretStoreRequest)

/* ================================================================================================
 * >>impl-schema-v1beta2
 * Package coreweave.sandbox.v1beta2.
 * ============================================================================================= */

#define CWSI_E_b2_RunnerView(V) \
    V(b2, RUNNER_VIEW_UNSPECIFIED, 0) V(b2, RUNNER_VIEW_BASIC, 1) V(b2, RUNNER_VIEW_FULL, 2)
#define CWSI_E_b2_SecretStoreProviderType(V) \
    V(b2, SECRET_STORE_PROVIDER_TYPE_UNSPECIFIED, 0) V(b2, SECRET_STORE_PROVIDER_TYPE_WANDB, 1)
#define CWSI_E_b2_ExecStreamOutput_StreamType(V) \
    V(b2, STREAM_TYPE_UNSPECIFIED, 0) V(b2, STREAM_TYPE_STDOUT, 1) V(b2, STREAM_TYPE_STDERR, 2)
#define CWSI_E_b2_OutputPolicy(V) \
    V(b2, OUTPUT_POLICY_UNSPECIFIED, 0) V(b2, OUTPUT_POLICY_BUFFERED, 1) \
    V(b2, OUTPUT_POLICY_STREAM, 2) V(b2, OUTPUT_POLICY_DISCARD, 3)
#define CWSI_E_b2_SandboxStatus(V) \
    V(b2, SANDBOX_STATUS_UNSPECIFIED, 0) V(b2, SANDBOX_STATUS_CREATING, 1) \
    V(b2, SANDBOX_STATUS_RUNNING, 2) V(b2, SANDBOX_STATUS_COMPLETED, 3) \
    V(b2, SANDBOX_STATUS_FAILED, 4) V(b2, SANDBOX_STATUS_TERMINATED, 5) \
    V(b2, SANDBOX_STATUS_PENDING, 6) V(b2, SANDBOX_STATUS_PAUSED, 7) \
    V(b2, SANDBOX_STATUS_TERMINATING, 9)
#define CWSI_E_b2_FileSystemSnapshotStatus(V) \
    V(b2, FILE_SYSTEM_SNAPSHOT_STATUS_UNSPECIFIED, 0) \
    V(b2, FILE_SYSTEM_SNAPSHOT_STATUS_CREATING, 1) V(b2, FILE_SYSTEM_SNAPSHOT_STATUS_READY, 2) \
    V(b2, FILE_SYSTEM_SNAPSHOT_STATUS_FAILED, 3) V(b2, FILE_SYSTEM_SNAPSHOT_STATUS_DELETING, 4)
#define CWSI_E_b2_FileSystemSnapshotTrigger(V) \
    V(b2, FILE_SYSTEM_SNAPSHOT_TRIGGER_UNSPECIFIED, 0) \
    V(b2, FILE_SYSTEM_SNAPSHOT_TRIGGER_STOP, 1) V(b2, FILE_SYSTEM_SNAPSHOT_TRIGGER_MANUAL, 2)
#define CWSI_E_b2_ActionType(V) \
    V(b2, ACTION_TYPE_UNSPECIFIED, 0) V(b2, ACTION_TYPE_EXEC, 1) V(b2, ACTION_TYPE_ADD_FILE, 2) \
    V(b2, ACTION_TYPE_RETRIEVE_FILE, 3) V(b2, ACTION_TYPE_GET_LOGS, 4) \
    V(b2, ACTION_TYPE_SNAPSHOT, 5) V(b2, ACTION_TYPE_RESTORE, 6) V(b2, ACTION_TYPE_STATUS, 7) \
    V(b2, ACTION_TYPE_STOP, 8)
#define CWSI_E_b2_EgressType(V) \
    V(b2, EGRESS_TYPE_UNSPECIFIED, 0) V(b2, EGRESS_TYPE_NONE, 1) V(b2, EGRESS_TYPE_INTERNET, 2) \
    V(b2, EGRESS_TYPE_USER, 3) V(b2, EGRESS_TYPE_ORG, 4) V(b2, EGRESS_TYPE_RUNWAY, 5) \
    V(b2, EGRESS_TYPE_ALLOWLIST, 6)
#define CWSI_E_b2_ObjectStoragePermission(V) \
    V(b2, OBJECT_STORAGE_PERMISSION_UNSPECIFIED, 0) V(b2, OBJECT_STORAGE_PERMISSION_READ, 1) \
    V(b2, OBJECT_STORAGE_PERMISSION_READ_WRITE, 2)
#define CWSI_E_b2_FileSystemSnapshotBucketMode(V) \
    V(b2, FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_UNSPECIFIED, 0) \
    V(b2, FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_CW_MANAGED, 1) \
    V(b2, FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_BRING_YOUR_OWN, 2)
#define CWSI_F_b2_AvailableRunner(F) \
    F(1, ONE, STR, runner_id, 0) F(2, ONE, STR, runner_group_id, 0) F(3, REP, STR, tags, 0) \
    F(4, ONE, BOOL, healthy, 0) F(5, ONE, MSG, capabilities, b2_RunnerCapabilitySummary) \
    F(6, ONE, MSG, resources, b2_RunnerResourceSummary) F(7, REP, STR, profile_names, 0) \
    F(8, ONE, MSG, connected_at, pb_Timestamp) F(9, ONE, BOOL, is_shared, 0)
#define CWSI_F_b2_RunnerCapabilitySummary(F) \
    F(1, ONE, I64, max_cpu_millicores, 0) F(2, ONE, I64, max_memory_bytes, 0) \
    F(3, ONE, I64, max_gpu_count, 0) F(4, REP, STR, supported_gpu_types, 0) \
    F(5, REP, STR, supported_architectures, 0) F(6, ONE, BOOL, supports_privileged, 0) \
    F(7, REP, STR, available_storage_classes, 0)
#define CWSI_F_b2_RunnerResourceSummary(F) \
    F(1, ONE, I64, available_cpu_millicores, 0) F(2, ONE, I64, available_memory_bytes, 0) \
    F(3, ONE, I64, available_gpu_count, 0) F(4, ONE, I32, running_sandboxes, 0)
#define CWSI_F_b2_ServiceExposureMode(F) F(1, ONE, STR, name, 0)
#define CWSI_F_b2_EgressMode(F) F(1, ONE, STR, name, 0)
#define CWSI_F_b2_ProfileSummary(F) \
    F(1, ONE, STR, profile_name, 0) F(2, ONE, STR, runner_id, 0) \
    F(3, REP, STR, supported_gpu_types, 0) F(4, REP, STR, supported_architectures, 0) \
    F(5, REP, MSG, service_exposure_modes, b2_ServiceExposureMode) \
    F(6, REP, MSG, egress_modes, b2_EgressMode)
#define CWSI_F_b2_ListAvailableRunnersRequest(F) \
    F(1, ONE, STR, runner_group_id, 0) F(2, ONE, STR, profile_name, 0) \
    F(3, ONE, STR, gpu_type, 0) F(4, ONE, STR, architecture, 0) \
    F(5, ONE, BOOL, exclude_shared, 0) F(6, ONE, BOOL, healthy_only, 0) \
    F(7, ONE, I32, page_size, 0) F(8, ONE, STR, page_token, 0) \
    F(9, ONE, ENUM, view, b2_RunnerView)
#define CWSI_F_b2_ListAvailableRunnersResponse(F) \
    F(1, REP, MSG, runners, b2_AvailableRunner) F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_b2_GetAvailableRunnerRequest(F) \
    F(1, ONE, STR, runner_id, 0) F(2, ONE, ENUM, view, b2_RunnerView)
#define CWSI_F_b2_GetProfileRequest(F) F(1, ONE, STR, profile_name, 0) F(2, ONE, STR, runner_id, 0)
#define CWSI_F_b2_ListProfilesRequest(F) \
    F(1, ONE, STR, gpu_type, 0) F(2, ONE, STR, architecture, 0) \
    F(3, ONE, BOOL, exclude_shared, 0) F(4, ONE, I32, page_size, 0) F(5, ONE, STR, page_token, 0) \
    F(6, ONE, STR, runner_id, 0)
#define CWSI_F_b2_ListProfilesResponse(F) \
    F(1, REP, MSG, profiles, b2_ProfileSummary) F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_b2_SecretStoreReference(F) \
    F(1, ONE, STR, store_name, 0) F(2, REP, MSG, secrets, b2_SecretMapping)
#define CWSI_F_b2_SecretMapping(F) \
    F(1, ONE, STR, path, 0) F(2, ONE, STR, field, 0) F(3, ONE, STR, env_var, 0)
#define CWSI_F_b2_ResolvedSecret(F) F(1, ONE, STR, env_var, 0) F(2, ONE, BYTES, value, 0)
#define CWSI_F_b2_WandBStoreConfig(F) F(1, ONE, STR, api_url, 0) F(2, ONE, STR, team, 0)
#define CWSI_F_b2_SecretStore(F) \
    F(1, ONE, STR, id, 0) F(2, ONE, STR, organization_id, 0) F(3, ONE, STR, name, 0) \
    F(4, ONE, ENUM, provider_type, b2_SecretStoreProviderType) \
    F(10, ONEOFM, MSG, wandb, b2_WandBStoreConfig) F(20, ONE, MSG, created_at, pb_Timestamp) \
    F(21, ONE, MSG, updated_at, pb_Timestamp)
#define CWSI_F_b2_CreateSecretStoreRequest(F) \
    F(1, ONE, STR, name, 0) F(2, ONE, ENUM, provider_type, b2_SecretStoreProviderType) \
    F(10, ONEOFM, MSG, wandb, b2_WandBStoreConfig)
#define CWSI_F_b2_CreateSecretStoreResponse(F) F(1, ONE, MSG, secret_store, b2_SecretStore)
#define CWSI_F_b2_GetSecretStoreRequest(F) F(1, ONE, STR, name, 0)
#define CWSI_F_b2_GetSecretStoreResponse(F) F(1, ONE, MSG, secret_store, b2_SecretStore)
#define CWSI_F_b2_ListSecretStoresRequest(F) \
    F(1, ONE, I32, page_size, 0) F(2, ONE, STR, page_token, 0)
#define CWSI_F_b2_ListSecretStoresResponse(F) \
    F(1, REP, MSG, secret_stores, b2_SecretStore) F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_b2_DeleteSecretStoreRequest(F) F(1, ONE, STR, name, 0)
#define CWSI_F_b2_DeleteSecretStoreResponse(F)
#define CWSI_F_b2_ExecStreamRequest(F) \
    F(1, ONEOFM, MSG, init, b2_ExecStreamInit) F(2, ONEOFM, MSG, stdin_, b2_ExecStreamData) \
    F(3, ONEOFM, MSG, resize, b2_ExecStreamResize) F(4, ONEOFM, MSG, close, b2_ExecStreamClose)
#define CWSI_F_b2_ExecStreamInit(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, REP, STR, command, 0) F(3, ONE, BOOL, tty, 0) \
    F(4, ONE, U32, tty_width, 0) F(5, ONE, U32, tty_height, 0) F(6, MAP, MSG, env, map_StrStr) \
    F(7, ONE, STR, resume_session_id, 0)
#define CWSI_F_b2_ExecStreamData(F) F(1, ONE, BYTES, data, 0)
#define CWSI_F_b2_ExecStreamResize(F) F(1, ONE, U32, width, 0) F(2, ONE, U32, height, 0)
#define CWSI_F_b2_ExecStreamClose(F)
#define CWSI_F_b2_StreamingExecReady(F) \
    F(1, ONE, MSG, ready_at, pb_Timestamp) F(2, ONE, STR, session_id, 0)
#define CWSI_F_b2_ExecStreamResponse(F) \
    F(1, ONEOFM, MSG, output, b2_ExecStreamOutput) F(2, ONEOFM, MSG, exit, b2_ExecStreamExit) \
    F(3, ONEOFM, MSG, error, b2_ExecStreamError) F(4, ONEOFM, MSG, ready, b2_StreamingExecReady)
#define CWSI_F_b2_ExecStreamOutput(F) \
    F(1, ONE, ENUM, stream_type, b2_ExecStreamOutput_StreamType) F(2, ONE, BYTES, data, 0) \
    F(3, ONE, MSG, timestamp, pb_Timestamp)
#define CWSI_F_b2_ExecStreamExit(F) \
    F(1, ONE, I32, exit_code, 0) F(2, ONE, MSG, completed_at, pb_Timestamp)
#define CWSI_F_b2_ExecStreamError(F) F(1, ONE, STR, message, 0) F(2, ONE, STR, code, 0)
#define CWSI_F_b2_LogStreamRequest(F) \
    F(1, ONEOFM, MSG, init, b2_LogStreamInit) F(2, ONEOFM, MSG, close, b2_LogStreamClose)
#define CWSI_F_b2_LogStreamInit(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, BOOL, follow, 0) F(3, ONE, I32, tail_lines, 0) \
    F(4, ONE, MSG, since_time, pb_Timestamp) F(5, ONE, BOOL, timestamps, 0) \
    F(6, ONE, STR, resume_session_id, 0) F(7, ONE, U64, resume_offset, 0)
#define CWSI_F_b2_LogStreamClose(F)
#define CWSI_F_b2_LogStreamResponse(F) \
    F(1, ONEOFM, MSG, data, b2_LogStreamData) F(2, ONEOFM, MSG, error, b2_LogStreamError) \
    F(3, ONEOFM, MSG, complete, b2_LogStreamComplete)
#define CWSI_F_b2_LogStreamData(F) \
    F(1, ONE, BYTES, data, 0) F(2, ONE, MSG, timestamp, pb_Timestamp) \
    F(3, ONE, STR, session_id, 0) F(4, ONE, U64, offset, 0)
#define CWSI_F_b2_LogStreamComplete(F)
#define CWSI_F_b2_LogStreamError(F) F(1, ONE, STR, message, 0) F(2, ONE, STR, code, 0)
#define CWSI_F_b2_MountedFile(F) F(1, ONE, STR, mount_path, 0) F(2, ONE, BYTES, file_content, 0)
#define CWSI_F_b2_GpuRequest(F) \
    F(1, ONE, I64, gpu_count, 0) F(2, ONEOF, STR, gpu_type, 0) F(3, ONEOF, I64, gpu_memory_gb, 0)
#define CWSI_F_b2_ResourceRequest(F) \
    F(1, ONE, STR, cpu, 0) F(2, ONE, STR, memory, 0) F(3, ONE, MSG, gpu, b2_GpuRequest)
#define CWSI_F_b2_Port(F) \
    F(1, ONE, I32, container_port, 0) F(2, ONE, STR, name, 0) F(3, ONE, STR, protocol, 0)
#define CWSI_F_b2_ServiceConfig(F) F(1, REP, I32, exposed_ports, 0)
#define CWSI_F_b2_NetworkOptions(F) \
    F(1, ONE, STR, ingress_mode, 0) F(2, REP, I32, exposed_ports, 0) \
    F(3, ONE, STR, egress_mode, 0)
#define CWSI_F_b2_KubernetesSecretSource(F) \
    F(1, ONE, STR, secret_name, 0) F(2, ONE, STR, secret_key, 0)
#define CWSI_F_b2_RunnerClusterSecretReference(F) \
    F(1, ONEOFM, MSG, kubernetes, b2_KubernetesSecretSource) F(10, ONE, STR, env_var, 0)
#define CWSI_F_b2_S3Mount(F) \
    F(1, ONE, STR, bucket, 0) F(2, ONE, STR, directory, 0) F(3, ONE, STR, mount_path, 0)
#define CWSI_F_b2_FileSystemSnapshotSource(F) F(1, ONE, STR, file_system_snapshot_id, 0)
#define CWSI_F_b2_VolumeAttachment(F) \
    F(1, ONE, STR, volume_id, 0) F(2, ONE, STR, mount_path, 0) F(3, ONE, STR, sub_path, 0) \
    F(4, ONE, BOOL, read_only, 0)
#define CWSI_F_b2_SandboxFileSystemMount(F) \
    F(1, ONE, STR, mount_path, 0) F(2, ONE, STR, size, 0) \
    F(3, ONEOFM, MSG, file_system_snapshot, b2_FileSystemSnapshotSource)
#define CWSI_F_b2_ExecPayload(F) F(1, ONE, STR, command, 0) F(2, REP, STR, args, 0)
#define CWSI_F_b2_ExecResponse(F) \
    F(1, ONE, BYTES, stdout_, 0) F(2, ONE, BYTES, stderr_, 0) F(3, ONE, I32, exit_code, 0) \
    F(4, ONE, BOOL, stdout_truncated, 0) F(5, ONE, BOOL, stderr_truncated, 0) \
    F(6, ONE, I64, stdout_bytes_produced, 0) F(7, ONE, I64, stderr_bytes_produced, 0)
#define CWSI_F_b2_ResourceUsage(F) \
    F(1, ONE, I64, cpu_millicores_used, 0) F(2, ONE, I64, memory_mb_used, 0) \
    F(3, ONE, I64, gpu_count_used, 0)
#define CWSI_F_b2_ObjectStorageAccess(F) \
    F(1, REP, STR, buckets, 0) F(2, ONE, ENUM, permission, b2_ObjectStoragePermission) \
    F(3, ONE, STR, object_prefix, 0)
/* ================================================================================================
 * >>impl-schema-v1beta2-calls
 * Package coreweave.sandbox.v1beta2, continued: what the calls send and answer.
 * ============================================================================================= */

#define CWSI_F_b2_StartSandboxRequest(F) \
    F(1, ONE, STR, command, 0) F(2, REP, STR, args, 0) F(3, REP, STR, tags, 0) \
    F(4, ONE, MSG, resources, b2_ResourceRequest) F(5, ONE, STR, container_image, 0) \
    F(6, MAP, MSG, environment_variables, map_StrStr) F(7, REP, MSG, ports, b2_Port) \
    F(8, REP, MSG, mounted_files, b2_MountedFile) F(9, ONE, MSG, s3_mount, b2_S3Mount) \
    F(10, ONE, MSG, network, b2_NetworkOptions) \
    F(11, ONE, MSG, file_system, b2_SandboxFileSystemMount) F(20, REP, STR, profile_ids, 0) \
    F(21, REP, STR, runner_ids, 0) F(22, ONE, I32, max_lifetime_seconds, 0) \
    F(23, ONE, I32, max_timeout_seconds, 0) \
    F(24, REP, MSG, runner_cluster_secrets, b2_RunnerClusterSecretReference) \
    F(25, ONE, MSG, object_storage_access, b2_ObjectStorageAccess) \
    F(26, MAP, MSG, pod_annotations, map_StrStr) \
    F(30, REP, MSG, secret_stores, b2_SecretStoreReference) \
    F(31, ONE, MSG, resource_limits, b2_ResourceRequest) \
    F(32, ONE, MSG, resource_requests, b2_ResourceRequest) F(33, REP, STR, profile_names, 0) \
    F(34, REP, MSG, volumes, b2_VolumeAttachment)
#define CWSI_F_b2_StartSandboxResponse(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, MSG, started_at_time, pb_Timestamp) \
    F(3, ONE, STR, service_address, 0) F(4, REP, MSG, exposed_ports, b2_Port) \
    F(5, ONE, MSG, requested_resources, b2_ResourceRequest) F(6, ONE, STR, profile_id, 0) \
    F(7, ONE, STR, runner_id, 0) F(8, ONE, ENUM, sandbox_status, b2_SandboxStatus) \
    F(9, ONE, STR, applied_ingress_mode, 0) F(10, ONE, STR, applied_egress_mode, 0) \
    F(11, ONE, MSG, requested_resource_limits, b2_ResourceRequest) \
    F(12, ONE, MSG, requested_resource_requests, b2_ResourceRequest)
#define CWSI_F_b2_StopSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, I32, graceful_shutdown_seconds, 0) \
    F(3, ONE, BOOL, file_system_snapshot_on_stop, 0) F(4, ONE, I32, max_timeout_seconds, 0) \
    F(5, ONE, STR, idempotency_key, 0) F(6, OPT, BOOL, wait_for_ready, 0)
#define CWSI_F_b2_StopSandboxResponse(F) \
    F(1, ONE, BOOL, success, 0) F(2, ONE, STR, error_message, 0) \
    F(3, ONE, STR, file_system_snapshot_id, 0)
#define CWSI_F_b2_CreateFileSystemSnapshotRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, STR, idempotency_key, 0) \
    F(3, OPT, BOOL, wait_for_ready, 0) F(4, OPT, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_CreateFileSystemSnapshotResponse(F) \
    F(1, ONE, BOOL, success, 0) F(2, ONE, STR, error_message, 0) \
    F(3, ONE, STR, file_system_snapshot_id, 0)
#define CWSI_F_b2_FileSystemSnapshot(F) \
    F(1, ONE, STR, file_system_snapshot_id, 0) \
    F(2, ONE, ENUM, status, b2_FileSystemSnapshotStatus) F(3, ONE, STR, status_reason, 0) \
    F(4, ONE, I64, size_bytes, 0) F(5, ONE, MSG, created_at, pb_Timestamp) \
    F(6, ONE, MSG, updated_at, pb_Timestamp) F(7, ONE, MSG, completed_at, pb_Timestamp) \
    F(8, ONE, STR, source_sandbox_id, 0) F(9, ONE, ENUM, trigger, b2_FileSystemSnapshotTrigger) \
    F(10, ONE, STR, idempotency_key, 0) F(11, ONE, STR, object_bucket, 0)
#define CWSI_F_b2_GetFileSystemSnapshotRequest(F) \
    F(1, ONE, STR, file_system_snapshot_id, 0) F(2, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_ListFileSystemSnapshotsRequest(F) \
    F(1, ONE, I32, page_size, 0) F(2, ONE, STR, page_token, 0) \
    F(3, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_ListFileSystemSnapshotsResponse(F) \
    F(1, REP, MSG, file_system_snapshots, b2_FileSystemSnapshot) \
    F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_b2_DeleteFileSystemSnapshotRequest(F) \
    F(1, ONE, STR, file_system_snapshot_id, 0) F(2, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_DeleteFileSystemSnapshotResponse(F) \
    F(1, ONE, BOOL, success, 0) F(2, ONE, STR, error_message, 0)
#define CWSI_F_b2_GetSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_GetSandboxResponse(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, MSG, started_at_time, pb_Timestamp) \
    F(3, ONE, ENUM, sandbox_status, b2_SandboxStatus) \
    F(4, ONE, MSG, current_resource_usage, b2_ResourceUsage) F(5, ONE, STR, runner_id, 0) \
    F(6, ONE, STR, runner_group_id, 0) F(7, ONE, STR, profile_id, 0) \
    F(8, ONE, STR, service_address, 0) F(9, REP, MSG, exposed_ports, b2_Port) \
    F(10, ONE, STR, applied_ingress_mode, 0) F(11, ONE, STR, applied_egress_mode, 0) \
    F(12, ONE, STR, status_reason, 0) F(13, OPT, I32, exit_code, 0)
#define CWSI_F_b2_ListSandboxesRequest(F) \
    F(1, REP, STR, tags, 0) F(2, ONE, ENUM, status, b2_SandboxStatus) \
    F(3, REP, STR, profile_ids, 0) F(4, REP, STR, runner_ids, 0) \
    F(5, ONE, I32, max_timeout_seconds, 0) F(6, ONE, BOOL, include_stopped, 0) \
    F(7, REP, STR, profile_names, 0) F(8, ONE, I32, page_size, 0) F(9, ONE, STR, page_token, 0) \
    F(10, REP, STR, volume_ids, 0)
#define CWSI_F_b2_ListSandboxesResponse(F) \
    F(1, REP, MSG, sandboxes, b2_SandboxInfo) F(2, ONE, STR, next_page_token, 0)
#define CWSI_F_b2_SandboxInfo(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, MSG, started_at_time, pb_Timestamp) \
    F(3, ONE, ENUM, sandbox_status, b2_SandboxStatus) \
    F(4, ONE, MSG, current_resource_usage, b2_ResourceUsage) F(5, ONE, STR, runner_id, 0) \
    F(6, ONE, STR, runner_group_id, 0) F(7, ONE, STR, profile_id, 0) \
    F(8, ONE, STR, service_address, 0) F(9, REP, MSG, exposed_ports, b2_Port) \
    F(10, ONE, STR, applied_ingress_mode, 0) F(11, ONE, STR, applied_egress_mode, 0)
#define CWSI_F_b2_DeleteSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_DeleteSandboxResponse(F) \
    F(1, ONE, BOOL, success, 0) F(2, ONE, STR, error_message, 0)
#define CWSI_F_b2_ExecSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, REP, STR, command, 0) F(3, REP, STR, args, 0) \
    F(4, ONE, I32, max_timeout_seconds, 0) F(5, ONE, ENUM, output_handling, b2_OutputPolicy) \
    F(6, ONE, U32, buffered_max_kib, 0)
#define CWSI_F_b2_ExecSandboxResponse(F) F(1, ONE, MSG, result, b2_ExecResponse)
#define CWSI_F_b2_AddFileSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, BYTES, file_contents, 0) F(3, ONE, STR, filepath, 0) \
    F(4, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_AddFileSandboxResponse(F) \
    F(1, ONE, BOOL, success, 0) F(2, ONE, STR, error_message, 0)
#define CWSI_F_b2_RetrieveFileSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, STR, filepath, 0) \
    F(3, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_RetrieveFileSandboxResponse(F) \
    F(1, ONE, BYTES, file_contents, 0) F(2, ONE, BOOL, success, 0) \
    F(3, ONE, STR, error_message, 0)
#define CWSI_F_b2_PauseSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_PauseSandboxResponse(F) \
    F(1, ONE, BOOL, success, 0) F(2, ONE, STR, error_message, 0)
#define CWSI_F_b2_ResumeSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_ResumeSandboxResponse(F) \
    F(1, ONE, BOOL, success, 0) F(2, ONE, STR, error_message, 0)
#define CWSI_F_b2_RawSandboxRequest(F) \
    F(1, ONE, STR, sandbox_id, 0) F(2, ONE, ENUM, action_type, b2_ActionType) \
    F(3, ONEOFM, MSG, exec_payload, b2_ExecPayload) \
    F(4, ONEOFM, MSG, add_file_payload, b2_AddFileSandboxRequest) \
    F(5, ONEOFM, MSG, retrieve_file_payload, b2_RetrieveFileSandboxRequest) \
    F(6, ONE, I32, max_timeout_seconds, 0)
#define CWSI_F_b2_RawSandboxResponse(F) \
    F(1, ONE, ENUM, action_type, b2_ActionType) \
    F(2, ONEOFM, MSG, exec_response, b2_ExecSandboxResponse) \
    F(3, ONEOFM, MSG, add_file_response, b2_AddFileSandboxResponse) \
    F(4, ONEOFM, MSG, retrieve_file_response, b2_RetrieveFileSandboxResponse)
#define CWSI_F_b2_ObjectStorageWIFConfig(F) \
    F(1, ONE, STR, id, 0) F(2, ONE, STR, wif_config_id, 0) F(3, OPT, BOOL, enabled, 0) \
    F(4, REP, STR, allowed_buckets, 0) \
    F(5, ONE, ENUM, max_permission, b2_ObjectStoragePermission) \
    F(6, ONE, MSG, created_at, pb_Timestamp) F(7, ONE, MSG, updated_at, pb_Timestamp)
#define CWSI_F_b2_GetObjectStorageWIFConfigRequest(F)
#define CWSI_F_b2_SetObjectStorageWIFConfigRequest(F) \
    F(1, ONE, STR, wif_config_id, 0) F(2, OPT, BOOL, enabled, 0) \
    F(3, REP, STR, allowed_buckets, 0) \
    F(4, ONE, ENUM, max_permission, b2_ObjectStoragePermission)
#define CWSI_F_b2_DeleteObjectStorageWIFConfigRequest(F)
#define CWSI_F_b2_DeleteObjectStorageWIFConfigResponse(F)
#define CWSI_F_b2_FileSystemSnapshotBucketConfig(F) \
    F(1, ONE, STR, bucket_name, 0) F(2, ONE, STR, region, 0) \
    F(3, ONE, ENUM, mode, b2_FileSystemSnapshotBucketMode) \
    F(4, ONE, STR, effective_bucket_name, 0)
#define CWSI_F_b2_GetFileSystemSnapshotBucketConfigRequest(F)
#define CWSI_F_b2_SetFileSystemSnapshotBucketConfigRequest(F) \
    F(1, ONE, STR, bucket_name, 0) F(2, ONE, STR, region, 0)
#define CWSI_B2_ENUMS(E) \
    E(b2, RunnerView) E(b2, SecretStoreProviderType) E(b2, ExecStreamOutput_StreamType) \
    E(b2, OutputPolicy) E(b2, SandboxStatus) E(b2, FileSystemSnapshotStatus) \
    E(b2, FileSystemSnapshotTrigger) E(b2, ActionType) E(b2, EgressType) \
    E(b2, ObjectStoragePermission) E(b2, FileSystemSnapshotBucketMode)
#define CWSI_B2_MESSAGES(M) \
    M(b2, AvailableRunner) M(b2, RunnerCapabilitySummary) M(b2, RunnerResourceSummary) \
    M(b2, ServiceExposureMode) M(b2, EgressMode) M(b2, ProfileSummary) \
    M(b2, ListAvailableRunnersRequest) M(b2, ListAvailableRunnersResponse) \
    M(b2, GetAvailableRunnerRequest) M(b2, GetProfileRequest) M(b2, ListProfilesRequest) \
    M(b2, ListProfilesResponse) M(b2, SecretStoreReference) M(b2, SecretMapping) \
    M(b2, ResolvedSecret) M(b2, WandBStoreConfig) M(b2, SecretStore) \
    M(b2, CreateSecretStoreRequest) M(b2, CreateSecretStoreResponse) M(b2, GetSecretStoreRequest) \
    M(b2, GetSecretStoreResponse) M(b2, ListSecretStoresRequest) M(b2, ListSecretStoresResponse) \
    M(b2, DeleteSecretStoreRequest) M(b2, DeleteSecretStoreResponse) M(b2, ExecStreamRequest) \
    M(b2, ExecStreamInit) M(b2, ExecStreamData) M(b2, ExecStreamResize) M(b2, ExecStreamClose) \
    M(b2, StreamingExecReady) M(b2, ExecStreamResponse) M(b2, ExecStreamOutput) \
    M(b2, ExecStreamExit) M(b2, ExecStreamError) M(b2, LogStreamRequest) M(b2, LogStreamInit) \
    M(b2, LogStreamClose) M(b2, LogStreamResponse) M(b2, LogStreamData) M(b2, LogStreamComplete) \
    M(b2, LogStreamError) M(b2, MountedFile) M(b2, GpuRequest) M(b2, ResourceRequest) M(b2, Port) \
    M(b2, ServiceConfig) M(b2, NetworkOptions) M(b2, KubernetesSecretSource) \
    M(b2, RunnerClusterSecretReference) M(b2, S3Mount) M(b2, FileSystemSnapshotSource) \
    M(b2, VolumeAttachment) M(b2, SandboxFileSystemMount) M(b2, ExecPayload) M(b2, ExecResponse) \
    M(b2, ResourceUsage) M(b2, ObjectStorageAccess) M(b2, StartSandboxRequest) \
    M(b2, StartSandboxResponse) M(b2, StopSandboxRequest) M(b2, StopSandboxResponse) \
    M(b2, CreateFileSystemSnapshotRequest) M(b2, CreateFileSystemSnapshotResponse) \
    M(b2, FileSystemSnapshot) M(b2, GetFileSystemSnapshotRequest) \
    M(b2, ListFileSystemSnapshotsRequest) M(b2, ListFileSystemSnapshotsResponse) \
    M(b2, DeleteFileSystemSnapshotRequest) M(b2, DeleteFileSystemSnapshotResponse) \
    M(b2, GetSandboxRequest) M(b2, GetSandboxResponse) M(b2, ListSandboxesRequest) \
    M(b2, ListSandboxesResponse) M(b2, SandboxInfo) M(b2, DeleteSandboxRequest) \
    M(b2, DeleteSandboxResponse) M(b2, ExecSandboxRequest) M(b2, ExecSandboxResponse) \
    M(b2, AddFileSandboxRequest) M(b2, AddFileSandboxResponse) M(b2, RetrieveFileSandboxRequest) \
    M(b2, RetrieveFileSandboxResponse) M(b2, PauseSandboxRequest) M(b2, PauseSandboxResponse) \
    M(b2, ResumeSandboxRequest) M(b2, ResumeSandboxResponse) M(b2, RawSandboxRequest) \
    M(b2, RawSandboxResponse) M(b2, ObjectStorageWIFConfig) \
    M(b2, GetObjectStorageWIFConfigRequest) M(b2, SetObjectStorageWIFConfigRequest) \
    M(b2, DeleteObjectStorageWIFConfigRequest) M(b2, DeleteObjectStorageWIFConfigResponse) \
    M(b2, FileSystemSnapshotBucketConfig) M(b2, GetFileSystemSnapshotBucketConfigRequest) \
    M(b2, SetFileSystemSnapshotBucketConfigRequest)

/* ================================================================================================
 * >>impl-schema-rpcs
 * The calls of both packages.
 * ============================================================================================= */

/* R(package, service, method, request, response, kind) */
#define CWSI_RPCS(R) \
    R(v1, SandboxService, CreateSandbox, v1_CreateSandboxRequest, v1_Sandbox, UNARY) \
    R(v1, SandboxService, CreateSandboxFromTemplate, \
      v1_CreateSandboxFromTemplateRequest, v1_Sandbox, UNARY) \
    R(v1, SandboxService, CreateSandboxFromFile, \
      v1_CreateSandboxFromFileRequest, v1_Sandbox, UNARY) \
    R(v1, SandboxService, GetSandbox, v1_GetSandboxRequest, v1_Sandbox, UNARY) \
    R(v1, SandboxService, ListSandboxes, \
      v1_ListSandboxesRequest, v1_ListSandboxesResponse, UNARY) \
    R(v1, SandboxService, DeleteSandbox, \
      v1_DeleteSandboxRequest, v1_DeleteSandboxResponse, UNARY) \
    R(v1, SandboxService, PurgeSandboxes, \
      v1_PurgeSandboxesRequest, v1_PurgeSandboxesResponse, UNARY) \
    R(v1, SandboxService, ConnectSandbox, v1_ConnectSandboxRequest, v1_SandboxConnection, UNARY) \
    R(v1, SandboxService, Exec, v1_ExecRequest, v1_ExecResponse, UNARY) \
    R(v1, SandboxService, StreamExec, v1_ExecStreamRequest, v1_ExecStreamResponse, BIDI) \
    R(v1, SandboxService, StreamLogs, v1_StreamLogsRequest, v1_LogEntry, SERVER) \
    R(v1, SandboxService, WriteFile, v1_WriteFileRequest, v1_WriteFileResponse, UNARY) \
    R(v1, SandboxService, ReadFile, v1_ReadFileRequest, v1_ReadFileResponse, UNARY) \
    R(v1, SandboxService, CreateFileSystemSnapshot, \
      v1_CreateFileSystemSnapshotRequest, v1_FileSystemSnapshot, UNARY) \
    R(v1, SandboxService, GetFileSystemSnapshot, \
      v1_GetFileSystemSnapshotRequest, v1_FileSystemSnapshot, UNARY) \
    R(v1, SandboxService, ListFileSystemSnapshots, \
      v1_ListFileSystemSnapshotsRequest, v1_ListFileSystemSnapshotsResponse, UNARY) \
    R(v1, SandboxService, DeleteFileSystemSnapshot, \
      v1_DeleteFileSystemSnapshotRequest, v1_FileSystemSnapshot, UNARY) \
    R(v1, DiscoveryService, ListAvailableRunners, \
      v1_ListAvailableRunnersRequest, v1_ListAvailableRunnersResponse, UNARY) \
    R(v1, DiscoveryService, GetAvailableRunner, \
      v1_GetAvailableRunnerRequest, v1_AvailableRunner, UNARY) \
    R(v1, SandboxDataPlaneService, Exec, v1_ExecRequest, v1_ExecResponse, UNARY) \
    R(v1, SandboxDataPlaneService, StreamExec, v1_ExecStreamRequest, v1_ExecStreamResponse, BIDI) \
    R(v1, SandboxDataPlaneService, StreamLogs, v1_StreamLogsRequest, v1_LogEntry, SERVER) \
    R(v1, SandboxDataPlaneService, WriteFile, v1_WriteFileRequest, v1_WriteFileResponse, UNARY) \
    R(v1, SandboxDataPlaneService, ReadFile, v1_ReadFileRequest, v1_ReadFileResponse, UNARY) \
    R(v1, VolumeService, CreateVolume, v1_CreateVolumeRequest, v1_Volume, UNARY) \
    R(v1, VolumeService, GetVolume, v1_GetVolumeRequest, v1_Volume, UNARY) \
    R(v1, VolumeService, ListVolumes, v1_ListVolumesRequest, v1_ListVolumesResponse, UNARY) \
    R(v1, VolumeService, UpdateVolume, v1_UpdateVolumeRequest, v1_Volume, UNARY) \
    R(v1, VolumeService, DeleteVolume, v1_DeleteVolumeRequest, v1_Volume, UNARY) \
    R(v1, VolumeService, ValidateVolume, v1_ValidateVolumeRequest, v1_Volume, UNARY) \
    R(v1, SandboxTemplateService, CreateSandboxTemplate, \
      v1_CreateSandboxTemplateRequest, v1_SandboxTemplate, UNARY) \
    R(v1, SandboxTemplateService, GetSandboxTemplate, \
      v1_GetSandboxTemplateRequest, v1_SandboxTemplate, UNARY) \
    R(v1, SandboxTemplateService, ListSandboxTemplates, \
      v1_ListSandboxTemplatesRequest, v1_ListSandboxTemplatesResponse, UNARY) \
    R(v1, SandboxTemplateService, UpdateSandboxTemplate, \
      v1_UpdateSandboxTemplateRequest, v1_SandboxTemplate, UNARY) \
    R(v1, SandboxTemplateService, DeleteSandboxTemplate, \
      v1_DeleteSandboxTemplateRequest, pb_Empty, UNARY) \
    R(v1, SettingsService, GetBuildStorageConfig, \
      v1_GetBuildStorageConfigRequest, v1_BuildStorageConfig, UNARY) \
    R(v1, SettingsService, UpdateBuildStorageConfig, \
      v1_UpdateBuildStorageConfigRequest, v1_BuildStorageConfig, UNARY) \
    R(v1, SettingsService, GetObjectStorageWifConfig, \
      v1_GetObjectStorageWifConfigRequest, v1_ObjectStorageWifConfig, UNARY) \
    R(v1, SettingsService, UpdateObjectStorageWifConfig, \
      v1_UpdateObjectStorageWifConfigRequest, v1_ObjectStorageWifConfig, UNARY) \
    R(v1, SettingsService, DeleteObjectStorageWifConfig, \
      v1_DeleteObjectStorageWifConfigRequest, pb_Empty, UNARY) \
    R(v1, SettingsService, GetFileSystemSnapshotBucketConfig, \
      v1_GetFileSystemSnapshotBucketConfigRequest, v1_FileSystemSnapshotBucketConfig, UNARY) \
    R(v1, SettingsService, UpdateFileSystemSnapshotBucketConfig, \
      v1_UpdateFileSystemSnapshotBucketConfigRequest, v1_FileSystemSnapshotBucketConfig, UNARY) \
    R(v1, SettingsService, CreateSecretStore, v1_CreateSecretStoreRequest, v1_SecretStore, UNARY) \
    R(v1, SettingsService, GetSecretStore, v1_GetSecretStoreRequest, v1_SecretStore, UNARY) \
    R(v1, SettingsService, ListSecretStores, \
      v1_ListSecretStoresRequest, v1_ListSecretStoresResponse, UNARY) \
    R(v1, SettingsService, UpdateSecretStore, v1_UpdateSecretStoreRequest, v1_SecretStore, UNARY) \
    R(v1, SettingsService, DeleteSecretStore, v1_DeleteSecretStoreRequest, pb_Empty, UNARY) \
    R(b2, DiscoveryService, ListAvailableRunners, \
      b2_ListAvailableRunnersRequest, b2_ListAvailableRunnersResponse, UNARY) \
    R(b2, DiscoveryService, GetAvailableRunner, \
      b2_GetAvailableRunnerRequest, b2_AvailableRunner, UNARY) \
    R(b2, DiscoveryService, ListProfiles, b2_ListProfilesRequest, b2_ListProfilesResponse, UNARY) \
    R(b2, DiscoveryService, GetProfile, b2_GetProfileRequest, b2_ProfileSummary, UNARY) \
    R(b2, SecretStoreService, CreateSecretStore, \
      b2_CreateSecretStoreRequest, b2_CreateSecretStoreResponse, UNARY) \
    R(b2, SecretStoreService, GetSecretStore, \
      b2_GetSecretStoreRequest, b2_GetSecretStoreResponse, UNARY) \
    R(b2, SecretStoreService, ListSecretStores, \
      b2_ListSecretStoresRequest, b2_ListSecretStoresResponse, UNARY) \
    R(b2, SecretStoreService, DeleteSecretStore, \
      b2_DeleteSecretStoreRequest, b2_DeleteSecretStoreResponse, UNARY) \
    R(b2, GatewayStreamingService, StreamExec, b2_ExecStreamRequest, b2_ExecStreamResponse, BIDI) \
    R(b2, GatewayStreamingService, StreamLogs, b2_LogStreamRequest, b2_LogStreamResponse, BIDI) \
    R(b2, GatewayService, Start, b2_StartSandboxRequest, b2_StartSandboxResponse, UNARY) \
    R(b2, GatewayService, Stop, b2_StopSandboxRequest, b2_StopSandboxResponse, UNARY) \
    R(b2, GatewayService, CreateFileSystemSnapshot, \
      b2_CreateFileSystemSnapshotRequest, b2_CreateFileSystemSnapshotResponse, UNARY) \
    R(b2, GatewayService, GetFileSystemSnapshot, \
      b2_GetFileSystemSnapshotRequest, b2_FileSystemSnapshot, UNARY) \
    R(b2, GatewayService, ListFileSystemSnapshots, \
      b2_ListFileSystemSnapshotsRequest, b2_ListFileSystemSnapshotsResponse, UNARY) \
    R(b2, GatewayService, DeleteFileSystemSnapshot, \
      b2_DeleteFileSystemSnapshotRequest, b2_DeleteFileSystemSnapshotResponse, UNARY) \
    R(b2, GatewayService, Get, b2_GetSandboxRequest, b2_GetSandboxResponse, UNARY) \
    R(b2, GatewayService, List, b2_ListSandboxesRequest, b2_ListSandboxesResponse, UNARY) \
    R(b2, GatewayService, Delete, b2_DeleteSandboxRequest, b2_DeleteSandboxResponse, UNARY) \
    R(b2, GatewayService, Exec, b2_ExecSandboxRequest, b2_ExecSandboxResponse, UNARY) \
    R(b2, GatewayService, AddFile, b2_AddFileSandboxRequest, b2_AddFileSandboxResponse, UNARY) \
    R(b2, GatewayService, RetrieveFile, \
      b2_RetrieveFileSandboxRequest, b2_RetrieveFileSandboxResponse, UNARY) \
    R(b2, GatewayService, Pause, b2_PauseSandboxRequest, b2_PauseSandboxResponse, UNARY) \
    R(b2, GatewayService, Resume, b2_ResumeSandboxRequest, b2_ResumeSandboxResponse, UNARY) \
    R(b2, GatewayService, Raw, b2_RawSandboxRequest, b2_RawSandboxResponse, UNARY) \
    R(b2, GatewayService, GetObjectStorageWIFConfig, \
      b2_GetObjectStorageWIFConfigRequest, b2_ObjectStorageWIFConfig, UNARY) \
    R(b2, GatewayService, SetObjectStorageWIFConfig, \
      b2_SetObjectStorageWIFConfigRequest, b2_ObjectStorageWIFConfig, UNARY) \
    R(b2, GatewayService, DeleteObjectStorageWIFConfig, \
      b2_DeleteObjectStorageWIFConfigRequest, b2_DeleteObjectStorageWIFConfigResponse, UNARY) \
    R(b2, GatewayService, GetFileSystemSnapshotBucketConfig, \
      b2_GetFileSystemSnapshotBucketConfigRequest, b2_FileSystemSnapshotBucketConfig, UNARY) \
    R(b2, GatewayService, SetFileSystemSnapshotBucketConfig, \
      b2_SetFileSystemSnapshotBucketConfigRequest, b2_FileSystemSnapshotBucketConfig, UNARY)

/* ================================================================================================
 * >>impl-schema-tables
 * The descriptions above turned into structs, tables and ids.
 * ============================================================================================= */

typedef struct cwsi_list { /* of cwsi_str, int32_t or structs, by the field's kind */
    void *at;
    size_t len;
} cwsi_list;

/* Element i of a list of messages. */
#define CWSI_AT(type, list, i) (CWSI_CAST(const cwsi_##type *, (list).at) + (i))

#define CWSI_ALL_MESSAGES(M)                                                                       \
    CWSI_PB_MESSAGES(M) CWSI_RPC_MESSAGES(M) CWSI_MAP_MESSAGES(M) CWSI_V1_MESSAGES(M)              \
    CWSI_B2_MESSAGES(M)
#define CWSI_ALL_ENUMS(E) CWSI_PB_ENUMS(E) CWSI_V1_ENUMS(E) CWSI_B2_ENUMS(E)

#define CWSI_AS_TYPEDEF(p, name) typedef struct cwsi_##p##_##name cwsi_##p##_##name;
CWSI_ALL_MESSAGES(CWSI_AS_TYPEDEF)

#define CWSI_TYPE_STR(s) cwsi_str
#define CWSI_TYPE_BYTES(s) cwsi_str
#define CWSI_TYPE_BOOL(s) bool
#define CWSI_TYPE_I32(s) int32_t
#define CWSI_TYPE_I64(s) int64_t
#define CWSI_TYPE_U32(s) uint32_t
#define CWSI_TYPE_U64(s) uint64_t
#define CWSI_TYPE_DOUBLE(s) double
#define CWSI_TYPE_ENUM(s) int32_t
#define CWSI_TYPE_MSG(s) cwsi_##s *
#define CWSI_WITH_ONE(name)
#define CWSI_WITH_OPT(name) bool has_##name;
#define CWSI_WITH_ONEOF(name) bool has_##name;
#define CWSI_WITH_ONEOFM(name)
#define CWSI_WITH_REP(name)
#define CWSI_WITH_MAP(name)
#define CWSI_MANY_ONE(type) type
#define CWSI_MANY_OPT(type) type
#define CWSI_MANY_ONEOF(type) type
#define CWSI_MANY_ONEOFM(type) type
#define CWSI_MANY_REP(type) cwsi_list
#define CWSI_MANY_MAP(type) cwsi_list
/* label and kind are pasted at once, before a macro of the user with such a name can step in */
#define CWSI_MEMBER(n, label, kind, name, s)                                                       \
    CWSI_MANY_##label(CWSI_TYPE_##kind(s)) name;                                                   \
    CWSI_WITH_##label(name)
#define CWSI_AS_STRUCT(p, name)                                                                    \
    struct cwsi_##p##_##name {                                                                     \
        uint32_t unknown; /* fields that were skipped when it was decoded */                       \
        CWSI_F_##p##_##name(CWSI_MEMBER)                                                           \
    };
CWSI_ALL_MESSAGES(CWSI_AS_STRUCT)

#define CWSI_AS_MSG_ID(p, name) CWSI_M_##p##_##name,
typedef enum cwsi_msg_id { CWSI_ALL_MESSAGES(CWSI_AS_MSG_ID) CWSI_MSG_COUNT } cwsi_msg_id;
#define CWSI_AS_ENUM_ID(p, name) CWSI_E_##p##_##name##_ID,
typedef enum cwsi_enum_id { CWSI_ALL_ENUMS(CWSI_AS_ENUM_ID) CWSI_ENUM_COUNT } cwsi_enum_id;
#define CWSI_AS_CONSTANT(p, name, number) CWSI_##p##_##name = number,
#define CWSI_AS_CONSTANTS(p, name) enum { CWSI_E_##p##_##name(CWSI_AS_CONSTANT) };
CWSI_ALL_ENUMS(CWSI_AS_CONSTANTS)

typedef enum cwsi_label {
    CWSI_ONE, CWSI_OPT, CWSI_ONEOF, CWSI_ONEOFM, CWSI_REP, CWSI_MAP
} cwsi_label;
typedef enum cwsi_kind {
    CWSI_STR, CWSI_BYTES, CWSI_BOOL, CWSI_I32, CWSI_I64, CWSI_U32, CWSI_U64, CWSI_DOUBLE,
    CWSI_ENUM, CWSI_MSG
} cwsi_kind;

typedef struct cwsi_field {
    const char *name; /* with the trailing underscore, if any */
    uint16_t number;
    uint16_t sub;        /* cwsi_msg_id or cwsi_enum_id */
    uint16_t offset;     /* of the value in the struct */
    uint16_t has_offset; /* of its bool has_name, 0 if it has none */
    uint8_t label, kind;
} cwsi_field;

typedef struct cwsi_msg {
    const char *name; /* full name */
    const cwsi_field *fields;
    uint16_t field_count;
    uint16_t size; /* of the struct */
} cwsi_msg;

typedef struct cwsi_enum_value {
    const char *name;
    int32_t number;
} cwsi_enum_value;

typedef struct cwsi_enum {
    const cwsi_enum_value *values;
    size_t count;
} cwsi_enum;

#define CWSI_SUB_STR(s) 0
#define CWSI_SUB_BYTES(s) 0
#define CWSI_SUB_BOOL(s) 0
#define CWSI_SUB_I32(s) 0
#define CWSI_SUB_I64(s) 0
#define CWSI_SUB_U32(s) 0
#define CWSI_SUB_U64(s) 0
#define CWSI_SUB_DOUBLE(s) 0
#define CWSI_SUB_ENUM(s) CWSI_E_##s##_ID
#define CWSI_SUB_MSG(s) CWSI_M_##s
#define CWSI_HAS_ONE(name) 0
#define CWSI_HAS_OPT(name) offsetof(cwsi_self, has_##name)
#define CWSI_HAS_ONEOF(name) offsetof(cwsi_self, has_##name)
#define CWSI_HAS_ONEOFM(name) 0
#define CWSI_HAS_REP(name) 0
#define CWSI_HAS_MAP(name) 0
#define CWSI_AS_ROW(n, label, kind, name, s)                                                       \
    {#name,           n, CWSI_SUB_##kind(s), offsetof(cwsi_self, name), CWSI_HAS_##label(name),    \
     CWSI_##label, CWSI_##kind},

static const char *cwsi_msg_name(cwsi_msg_id id)
{
#define CWSI_PACKAGE_pb "google.protobuf."
#define CWSI_PACKAGE_rpc "google.rpc."
#define CWSI_PACKAGE_map "map."
#define CWSI_PACKAGE_v1 "coreweave.sandbox.v1."
#define CWSI_PACKAGE_b2 "coreweave.sandbox.v1beta2."
#define CWSI_AS_NAME(p, name) CWSI_PACKAGE_##p #name,
    static const char *const names[] = {CWSI_ALL_MESSAGES(CWSI_AS_NAME) ""};
    return names[id];
}

/* The table of a message. A function, because each row names its struct through one local type. */
static cwsi_msg cwsi_msg_table(cwsi_msg_id id)
{
    cwsi_msg msg = CWSI_ZERO;
    msg.name = cwsi_msg_name(id);
    switch (id) {
#define CWSI_AS_CASE(p, n)                                                                         \
    case CWSI_M_##p##_##n: {                                                                       \
        typedef cwsi_##p##_##n cwsi_self;                                                          \
        static const cwsi_field fields[] = {                                                       \
            CWSI_F_##p##_##n(CWSI_AS_ROW){NULL, 0, 0, 0, 0, sizeof(cwsi_self) != 0, 0}};           \
        msg.fields = fields;                                                                       \
        msg.field_count = CWSI_CAST(uint16_t, CWSI_COUNT(fields) - 1);                             \
        msg.size = CWSI_CAST(uint16_t, sizeof(cwsi_self));                                         \
        break;                                                                                     \
    }
        CWSI_ALL_MESSAGES(CWSI_AS_CASE)
    case CWSI_MSG_COUNT: break;
    }
    return msg;
}

static cwsi_enum cwsi_enum_table(cwsi_enum_id id)
{
    cwsi_enum e = CWSI_ZERO;
    switch (id) {
#define CWSI_AS_VALUE(p, name, number) {#name, number},
#define CWSI_AS_ENUM_CASE(p, n)                                                                    \
    case CWSI_E_##p##_##n##_ID: {                                                                  \
        static const cwsi_enum_value values[] = {CWSI_E_##p##_##n(CWSI_AS_VALUE)};                 \
        e.values = values;                                                                         \
        e.count = CWSI_COUNT(values);                                                              \
        break;                                                                                     \
    }
        CWSI_ALL_ENUMS(CWSI_AS_ENUM_CASE)
    case CWSI_ENUM_COUNT: break;
    }
    return e;
}

typedef enum cwsi_rpc_kind { CWSI_UNARY, CWSI_CLIENT, CWSI_SERVER, CWSI_BIDI } cwsi_rpc_kind;

typedef struct cwsi_rpc {
    const char *path; /* "/package.Service/Method" */
    cwsi_msg_id request, response;
    cwsi_rpc_kind kind;
} cwsi_rpc;

#define CWSI_AS_RPC_ID(p, service, method, in, out, kind) CWSI_RPC_##p##_##service##_##method,
typedef enum cwsi_rpc_id { CWSI_RPCS(CWSI_AS_RPC_ID) CWSI_RPC_COUNT } cwsi_rpc_id;

static const cwsi_rpc *cwsi_rpc_at(cwsi_rpc_id id)
{
#define CWSI_AS_RPC(p, service, method, in, out, kind)                                             \
    {"/" CWSI_PACKAGE_##p #service "/" #method, CWSI_M_##in, CWSI_M_##out, CWSI_##kind},
    static const cwsi_rpc rpcs[] = {CWSI_RPCS(CWSI_AS_RPC)};
    return &rpcs[id];
}

/* Where a member lies in a message struct. */
static void *cwsi_member(void *msg, size_t offset)
{
    return CWSI_CAST(char *, msg) + offset;
}

static const void *cwsi_member_const(const void *msg, size_t offset)
{
    return CWSI_CAST(const char *, msg) + offset;
}

/* Length of a field's name without the trailing underscore. */
static size_t cwsi_field_name_len(const cwsi_field *f)
{
    size_t n = strlen(f->name);
    return f->name[n - 1] == '_' ? n - 1 : n;
}

/* Size of one element of a list, or of the singular value. */
static size_t cwsi_element_size(const cwsi_field *f)
{
    switch (CWSI_CAST(cwsi_kind, f->kind)) {
    case CWSI_STR:
    case CWSI_BYTES: return sizeof(cwsi_str);
    case CWSI_BOOL: return sizeof(bool);
    case CWSI_I32:
    case CWSI_U32:
    case CWSI_ENUM: return sizeof(int32_t);
    case CWSI_I64:
    case CWSI_U64: return sizeof(int64_t);
    case CWSI_DOUBLE: return sizeof(double);
    case CWSI_MSG: return cwsi_msg_table(CWSI_CAST(cwsi_msg_id, f->sub)).size;
    }
    return 0;
}

/* One more element at the end of a list, zeroed; NULL: out of memory. Capacity doubles whenever the
 * length is a power of two, so no capacity needs to be kept. */
static void *cwsi_list_grow(cwsi_arena *arena, cwsi_list *list, size_t element)
{
    size_t bytes;
    if ((list->len & (list->len - 1)) == 0) {
        void *grown;
        if (!cwsi_mul(list->len ? list->len * 2 : 1, element, &bytes)) return NULL;
        grown = cwsi_arena_alloc(arena, bytes);
        if (!grown) return NULL;
        if (list->len) memcpy(grown, list->at, list->len * element);
        list->at = grown;
    }
    return CWSI_CAST(char *, list->at) + element * list->len++;
}

/* ================================================================================================
 * >>impl-codec
 * Binary protobuf from the tables. Decoding borrows strings and bytes from the input, which must
 * outlive the message; structs and lists come from the arena. Depth is limited; unknown fields,
 * groups included, are skipped; a known field with a foreign wire type counts as unknown.
 * ============================================================================================= */

#define CWSI_CODEC_DEPTH 64

static size_t cwsi_varint_size(uint64_t v)
{
    size_t n = 1;
    while (v >>= 7) n++;
    return n;
}

static void cwsi_put_varint(cwsi_buf *buf, uint64_t v)
{
    char out[10];
    size_t n = 0;
    do {
        out[n++] = CWSI_CAST(char, (v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    (void)cwsi_put(buf, out, n);
}

static uint64_t cwsi_double_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

/* The varint payload of a scalar. */
static uint64_t cwsi_scalar_bits(const cwsi_field *f, const void *at)
{
    switch (CWSI_CAST(cwsi_kind, f->kind)) {
    case CWSI_BOOL: return *CWSI_CAST(const bool *, at) ? 1 : 0;
    case CWSI_I32:
    case CWSI_ENUM: return CWSI_CAST(uint64_t, CWSI_CAST(int64_t, *CWSI_CAST(const int32_t *, at)));
    case CWSI_U32: return *CWSI_CAST(const uint32_t *, at);
    case CWSI_I64:
    case CWSI_U64: return *CWSI_CAST(const uint64_t *, at);
    case CWSI_DOUBLE: return cwsi_double_bits(*CWSI_CAST(const double *, at));
    case CWSI_STR:
    case CWSI_BYTES:
    case CWSI_MSG: break;
    }
    return 0;
}

/* Is a singular field there? By its flag, its pointer, or by not being the default value. */
static bool cwsi_present(const cwsi_field *f, const void *msg)
{
    const void *at = cwsi_member_const(msg, f->offset);
    if (f->has_offset) return *CWSI_CAST(const bool *, cwsi_member_const(msg, f->has_offset));
    if (f->kind == CWSI_MSG) return *CWSI_CAST(const void *const *, at) != NULL;
    if (f->kind == CWSI_STR || f->kind == CWSI_BYTES)
        return CWSI_CAST(const cwsi_str *, at)->len > 0;
    return cwsi_scalar_bits(f, at) != 0;
}

static bool cwsi_size_of(cwsi_msg_id id, const void *msg, int depth, size_t *size);

/* Encoded size of one value without its tag, length prefix included. */
static bool cwsi_value_size(const cwsi_field *f, const void *at, int depth, size_t *size)
{
    size_t n;
    if (f->kind == CWSI_STR || f->kind == CWSI_BYTES) {
        n = CWSI_CAST(const cwsi_str *, at)->len;
        return cwsi_add(n, cwsi_varint_size(n), size);
    }
    if (f->kind == CWSI_MSG) {
        if (!cwsi_size_of(CWSI_CAST(cwsi_msg_id, f->sub), at, depth, &n)) return false;
        return cwsi_add(n, cwsi_varint_size(n), size);
    }
    *size = f->kind == CWSI_DOUBLE ? 8 : cwsi_varint_size(cwsi_scalar_bits(f, at));
    return true;
}

/* Numbers in a list travel packed: one length, then the values. */
static bool cwsi_is_packed(const cwsi_field *f)
{
    return f->label == CWSI_REP && f->kind != CWSI_STR && f->kind != CWSI_BYTES &&
           f->kind != CWSI_MSG;
}

static bool cwsi_packed_size(const cwsi_field *f, const cwsi_list *list, size_t *size)
{
    size_t i, n, step = cwsi_element_size(f);
    for (*size = 0, i = 0; i < list->len; i++)
        if (!cwsi_value_size(f, CWSI_CAST(const char *, list->at) + i * step, 0, &n) ||
            !cwsi_add(*size, n, size))
            return false;
    return true;
}

static bool cwsi_size_of(cwsi_msg_id id, const void *msg, int depth, size_t *size)
{
    cwsi_msg t = cwsi_msg_table(id);
    size_t i, k, n, total = 0;
    if (depth >= CWSI_CODEC_DEPTH) return false;
    for (i = 0; i < t.field_count; i++) {
        const cwsi_field *f = &t.fields[i];
        const void *at = cwsi_member_const(msg, f->offset);
        size_t tag = cwsi_varint_size(CWSI_CAST(uint64_t, f->number) << 3);
        if (f->label == CWSI_REP || f->label == CWSI_MAP) {
            const cwsi_list *list = CWSI_CAST(const cwsi_list *, at);
            size_t step = cwsi_element_size(f);
            if (list->len && cwsi_is_packed(f)) {
                if (!cwsi_packed_size(f, list, &n) || !cwsi_add(total, tag, &total) ||
                    !cwsi_add(total, n + cwsi_varint_size(n), &total))
                    return false;
                continue;
            }
            for (k = 0; k < list->len; k++)
                if (!cwsi_value_size(f, CWSI_CAST(const char *, list->at) + k * step, depth + 1,
                                     &n) ||
                    !cwsi_add(n, tag, &n) || !cwsi_add(total, n, &total))
                    return false;
        } else if (cwsi_present(f, msg)) {
            if (f->kind == CWSI_MSG) at = *CWSI_CAST(const void *const *, at);
            if (!cwsi_value_size(f, at, depth + 1, &n) || !cwsi_add(n, tag, &n) ||
                !cwsi_add(total, n, &total))
                return false;
        }
    }
    *size = total;
    return true;
}

static void cwsi_encode_message(cwsi_buf *buf, cwsi_msg_id id, const void *msg, int depth);

static void cwsi_encode_value(cwsi_buf *buf, const cwsi_field *f, const void *at, int depth)
{
    size_t n;
    if (f->kind == CWSI_STR || f->kind == CWSI_BYTES) {
        const cwsi_str *s = CWSI_CAST(const cwsi_str *, at);
        cwsi_put_varint(buf, s->len);
        (void)cwsi_put(buf, s->at, s->len);
    } else if (f->kind == CWSI_MSG) {
        if (!cwsi_size_of(CWSI_CAST(cwsi_msg_id, f->sub), at, depth, &n)) return;
        cwsi_put_varint(buf, n);
        cwsi_encode_message(buf, CWSI_CAST(cwsi_msg_id, f->sub), at, depth);
    } else if (f->kind == CWSI_DOUBLE) {
        uint64_t bits = cwsi_scalar_bits(f, at);
        char out[8];
        for (n = 0; n < 8; n++) out[n] = CWSI_CAST(char, bits >> (8 * n) & 0xff);
        (void)cwsi_put(buf, out, 8);
    } else {
        cwsi_put_varint(buf, cwsi_scalar_bits(f, at));
    }
}

static void cwsi_put_tag(cwsi_buf *buf, const cwsi_field *f, bool packed)
{
    unsigned type = 0;
    if (f->kind == CWSI_DOUBLE) type = 1;
    if (packed || f->kind == CWSI_STR || f->kind == CWSI_BYTES || f->kind == CWSI_MSG) type = 2;
    cwsi_put_varint(buf, CWSI_CAST(uint64_t, f->number) << 3 | type);
}

static void cwsi_encode_message(cwsi_buf *buf, cwsi_msg_id id, const void *msg, int depth)
{
    cwsi_msg t = cwsi_msg_table(id);
    size_t i, k, n;
    for (i = 0; i < t.field_count && !buf->status; i++) {
        const cwsi_field *f = &t.fields[i];
        const void *at = cwsi_member_const(msg, f->offset);
        if (f->label == CWSI_REP || f->label == CWSI_MAP) {
            const cwsi_list *list = CWSI_CAST(const cwsi_list *, at);
            const char *element = CWSI_CAST(const char *, list->at);
            size_t step = cwsi_element_size(f);
            bool packed = cwsi_is_packed(f);
            if (packed && list->len && cwsi_packed_size(f, list, &n)) {
                cwsi_put_tag(buf, f, true);
                cwsi_put_varint(buf, n);
            }
            for (k = 0; k < list->len; k++, element += step) {
                if (!packed) cwsi_put_tag(buf, f, false);
                cwsi_encode_value(buf, f, element, depth + 1);
            }
        } else if (cwsi_present(f, msg)) {
            if (f->kind == CWSI_MSG) at = *CWSI_CAST(const void *const *, at);
            cwsi_put_tag(buf, f, false);
            cwsi_encode_value(buf, f, at, depth + 1);
        }
    }
}

/* Append the binary form of msg to buf. Fails with NO_MEMORY or LIMIT (in buf->status as well). */
static cws_status cwsi_encode(cwsi_buf *buf, cwsi_msg_id id, const void *msg)
{
    size_t size;
    if (!cwsi_size_of(id, msg, 0, &size)) return buf->status = CWS_ERR_LIMIT;
    if (cwsi_buf_reserve(buf, size)) cwsi_encode_message(buf, id, msg, 0);
    return buf->status;
}

/* ================================================================================================
 * >>impl-decode
 * Binary protobuf to structs.
 * ============================================================================================= */

typedef struct cwsi_reader {
    const char *at, *end;
} cwsi_reader;

static bool cwsi_read_varint(cwsi_reader *r, uint64_t *v)
{
    int shift;
    *v = 0;
    for (shift = 0; shift < 70 && r->at < r->end; shift += 7) {
        unsigned char c = CWSI_CAST(unsigned char, *r->at++);
        if (shift == 63 && c > 1) return false;
        *v |= CWSI_CAST(uint64_t, c & 0x7f) << shift;
        if (!(c & 0x80)) return true;
    }
    return false;
}

static bool cwsi_read_bytes(cwsi_reader *r, cwsi_str *s)
{
    uint64_t n;
    if (!cwsi_read_varint(r, &n) || n > CWSI_CAST(uint64_t, r->end - r->at)) return false;
    s->at = r->at;
    s->len = CWSI_CAST(size_t, n);
    r->at += s->len;
    return true;
}

static bool cwsi_skip_value(cwsi_reader *r, uint64_t tag)
{
    uint64_t v, open[CWSI_CODEC_DEPTH]; /* the fields whose groups are open */
    cwsi_str s;
    int depth = 0;
    for (;;) { /* more than one turn only inside groups (deprecated, but legal) */
        unsigned type = CWSI_CAST(unsigned, tag & 7);
        size_t fixed = type == 1 ? 8 : 4;
        if (type == 0 && !cwsi_read_varint(r, &v)) return false;
        if (type == 2 && !cwsi_read_bytes(r, &s)) return false;
        if (type == 1 || type == 5) {
            if (CWSI_CAST(size_t, r->end - r->at) < fixed) return false;
            r->at += fixed;
        }
        if (type == 3 && depth == CWSI_CODEC_DEPTH) return false;
        if (type == 3) open[depth++] = tag >> 3;
        if (type == 4 && (depth == 0 || open[--depth] != tag >> 3)) return false;
        if (type > 5) return false;
        if (depth == 0) return true;
        if (!cwsi_read_varint(r, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) return false;
    }
}

static void cwsi_store_scalar(const cwsi_field *f, void *at, uint64_t v)
{
    switch (CWSI_CAST(cwsi_kind, f->kind)) {
    case CWSI_BOOL: *CWSI_CAST(bool *, at) = v != 0; break;
    case CWSI_I32:
    case CWSI_U32:
    case CWSI_ENUM: *CWSI_CAST(uint32_t *, at) = CWSI_CAST(uint32_t, v & 0xffffffffu); break;
    case CWSI_I64:
    case CWSI_U64: *CWSI_CAST(uint64_t *, at) = v; break;
    case CWSI_DOUBLE: memcpy(at, &v, sizeof(v)); break;
    case CWSI_STR:
    case CWSI_BYTES:
    case CWSI_MSG: break;
    }
}

/* A member of the oneof is about to be stored: forget the others. */
static void cwsi_clear_oneof(const cwsi_msg *t, const cwsi_field *keep, void *msg)
{
    size_t i;
    for (i = 0; i < t->field_count; i++) {
        const cwsi_field *f = &t->fields[i];
        if (f == keep || (f->label != CWSI_ONEOF && f->label != CWSI_ONEOFM)) continue;
        if (f->label == CWSI_ONEOFM) *CWSI_CAST(void **, cwsi_member(msg, f->offset)) = NULL;
        else *CWSI_CAST(bool *, cwsi_member(msg, f->has_offset)) = false;
    }
}

/* Where the next value of field f goes: a fresh list element, a fresh or existing sub-message, or
 * the member itself. NULL: out of memory. Marks presence. */
static void *cwsi_place(cwsi_arena *arena, const cwsi_msg *t, const cwsi_field *f, void *msg)
{
    void *at = cwsi_member(msg, f->offset);
    if (f->label == CWSI_REP || f->label == CWSI_MAP)
        return cwsi_list_grow(arena, CWSI_CAST(cwsi_list *, at), cwsi_element_size(f));
    if (f->label == CWSI_ONEOF || f->label == CWSI_ONEOFM) cwsi_clear_oneof(t, f, msg);
    if (f->has_offset) *CWSI_CAST(bool *, cwsi_member(msg, f->has_offset)) = true;
    if (f->kind != CWSI_MSG) return at;
    if (!*CWSI_CAST(void **, at))
        *CWSI_CAST(void **, at) = cwsi_arena_alloc(arena, cwsi_element_size(f));
    return *CWSI_CAST(void **, at);
}

static cws_status cwsi_decode_into(cwsi_arena *arena, cwsi_msg_id id, cwsi_str in, void *msg,
                                   int depth);

static cws_status cwsi_decode_field(cwsi_arena *arena, const cwsi_msg *t, const cwsi_field *f,
                                    cwsi_reader *r, unsigned type, void *msg, int depth)
{
    uint64_t v;
    cwsi_str s;
    void *at;
    bool by_length = f->kind == CWSI_STR || f->kind == CWSI_BYTES || f->kind == CWSI_MSG;
    if (type == 2 && !by_length && f->label == CWSI_REP) { /* packed */
        cwsi_reader inner;
        if (!cwsi_read_bytes(r, &s)) return CWS_ERR_PROTOCOL;
        inner.at = s.at;
        inner.end = s.at + s.len;
        while (inner.at < inner.end) {
            if (!cwsi_read_varint(&inner, &v)) return CWS_ERR_PROTOCOL;
            at = cwsi_place(arena, t, f, msg);
            if (!at) return CWS_ERR_NO_MEMORY;
            cwsi_store_scalar(f, at, v);
        }
        return CWS_OK;
    }
    if (type != (by_length ? 2u : f->kind == CWSI_DOUBLE ? 1u : 0u)) {
        ++*CWSI_CAST(uint32_t *, msg);
        return cwsi_skip_value(r, CWSI_CAST(uint64_t, f->number) << 3 | type) ? CWS_OK
                                                                              : CWS_ERR_PROTOCOL;
    }
    if (by_length) {
        if (!cwsi_read_bytes(r, &s)) return CWS_ERR_PROTOCOL;
        if (f->kind == CWSI_STR && !cwsi_utf8_valid(s.at, s.len)) return CWS_ERR_PROTOCOL;
        at = cwsi_place(arena, t, f, msg);
        if (!at) return CWS_ERR_NO_MEMORY;
        if (f->kind == CWSI_MSG)
            return cwsi_decode_into(arena, CWSI_CAST(cwsi_msg_id, f->sub), s, at, depth + 1);
        *CWSI_CAST(cwsi_str *, at) = s;
        return CWS_OK;
    }
    if (type == 1) {
        int i;
        if (r->end - r->at < 8) return CWS_ERR_PROTOCOL;
        for (v = 0, i = 7; i >= 0; i--) v = v << 8 | CWSI_CAST(unsigned char, r->at[i]);
        r->at += 8;
    } else if (!cwsi_read_varint(r, &v)) {
        return CWS_ERR_PROTOCOL;
    }
    at = cwsi_place(arena, t, f, msg);
    if (!at) return CWS_ERR_NO_MEMORY;
    cwsi_store_scalar(f, at, v);
    return CWS_OK;
}

static cws_status cwsi_decode_into(cwsi_arena *arena, cwsi_msg_id id, cwsi_str in, void *msg,
                                   int depth)
{
    cwsi_msg t = cwsi_msg_table(id);
    cwsi_reader r;
    size_t i, hint = 0;
    if (depth >= CWSI_CODEC_DEPTH) return CWS_ERR_PROTOCOL;
    r.at = in.at;
    r.end = in.len ? in.at + in.len : in.at; /* an empty piece may be NULL */
    while (r.at < r.end) {
        uint64_t tag;
        const cwsi_field *f = NULL;
        cws_status status;
        if (!cwsi_read_varint(&r, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
            return CWS_ERR_PROTOCOL;
        for (i = 0; i < t.field_count && !f; i++) { /* fields mostly come in order */
            const cwsi_field *candidate = &t.fields[(hint + i) % t.field_count];
            if (candidate->number == tag >> 3) f = candidate;
        }
        if (!f) {
            ++*CWSI_CAST(uint32_t *, msg);
            if (!cwsi_skip_value(&r, tag)) return CWS_ERR_PROTOCOL;
            continue;
        }
        hint = CWSI_CAST(size_t, f - t.fields);
        status = cwsi_decode_field(arena, &t, f, &r, CWSI_CAST(unsigned, tag & 7), msg, depth);
        if (status) return status;
    }
    return CWS_OK;
}

/* Decode a message into a new struct of the arena. PROTOCOL: malformed; NO_MEMORY. */
static cws_status cwsi_decode(cwsi_arena *arena, cwsi_msg_id id, cwsi_str in, void **out)
{
    *out = cwsi_arena_alloc(arena, cwsi_msg_table(id).size);
    if (!*out) return CWS_ERR_NO_MEMORY;
    return cwsi_decode_into(arena, id, in, *out, 0);
}

/* ================================================================================================
 * >>impl-codec-json
 * Canonical proto3 JSON from the same tables, both ways: the well-known types have their own forms
 * (Timestamp, Duration, FieldMask, Struct, Value, ListValue, Any). The trace uses the writer with
 * secrets taken out.
 * ============================================================================================= */

typedef struct cwsi_json_out {
    cwsi_buf *buf;
    bool redact;       /* take out secrets, environment values and bytes */
    cwsi_arena *arena; /* for the content of an Any; NULL: print it as bytes */
} cwsi_json_out;

/* lowerCamelCase of a field's name; out needs as many bytes as the name. */
static size_t cwsi_json_name(const cwsi_field *f, char *out)
{
    size_t i, o = 0, n = cwsi_field_name_len(f);
    bool up = false;
    for (i = 0; i < n; i++) {
        char c = f->name[i];
        if (c == '_') {
            up = true;
            continue;
        }
        out[o++] = up && c >= 'a' && c <= 'z' ? CWSI_CAST(char, c - 'a' + 'A') : c;
        up = false;
    }
    return o;
}

static const char *cwsi_enum_name(cwsi_enum_id id, int32_t number)
{
    cwsi_enum e = cwsi_enum_table(id);
    size_t i;
    for (i = 0; i < e.count; i++)
        if (e.values[i].number == number) return e.values[i].name;
    return NULL;
}

/* Fields whose values never go to a trace. */
static bool cwsi_is_secret(const cwsi_field *f)
{
    return strcmp(f->name, "environment_variables") == 0 || strcmp(f->name, "env") == 0 ||
           strcmp(f->name, "endpoint_share_token") == 0;
}

static void cwsi_put_json_message(const cwsi_json_out *o, cwsi_msg_id id, const void *msg,
                                  int depth);

static void cwsi_put_number(cwsi_buf *buf, int64_t value, bool quoted)
{
    char text[32];
    size_t n = cwsi_format(text, sizeof(text), quoted ? "\"%lld\"" : "%lld",
                           CWSI_CAST(long long, value));
    (void)cwsi_put(buf, text, n);
}

static void cwsi_put_json_value(const cwsi_json_out *o, const cwsi_field *f, const void *at,
                                int depth)
{
    cwsi_buf *buf = o->buf;
    char text[64];
    size_t n;
    switch (CWSI_CAST(cwsi_kind, f->kind)) {
    case CWSI_STR: {
        const cwsi_str *s = CWSI_CAST(const cwsi_str *, at);
        if (o->redact && cwsi_is_secret(f)) (void)cwsi_put_text(buf, "\"<redacted>\"");
        else (void)cwsi_put_json_string(buf, s->at, s->len);
        break;
    }
    case CWSI_BYTES: {
        const cwsi_str *s = CWSI_CAST(const cwsi_str *, at);
        if (o->redact) {
            n = cwsi_format(text, sizeof(text), "\"<%zu bytes>\"", s->len);
            (void)cwsi_put(buf, text, n);
        } else {
            (void)cwsi_put_char(buf, '"');
            (void)cwsi_put_base64(buf, s->at, s->len);
            (void)cwsi_put_char(buf, '"');
        }
        break;
    }
    case CWSI_BOOL:
        (void)cwsi_put_text(buf, *CWSI_CAST(const bool *, at) ? "true" : "false");
        break;
    case CWSI_I32: cwsi_put_number(buf, *CWSI_CAST(const int32_t *, at), false); break;
    case CWSI_U32: cwsi_put_number(buf, *CWSI_CAST(const uint32_t *, at), false); break;
    case CWSI_I64: cwsi_put_number(buf, *CWSI_CAST(const int64_t *, at), true); break;
    case CWSI_U64:
        text[0] = '"';
        n = 1 + cwsi_digits(*CWSI_CAST(const uint64_t *, at), text + 1);
        text[n++] = '"';
        (void)cwsi_put(buf, text, n);
        break;
    case CWSI_DOUBLE: {
        uint64_t bits = cwsi_double_bits(*CWSI_CAST(const double *, at));
        if ((bits >> 52 & 0x7ff) == 0x7ff) /* JSON has no such numbers */
            (void)cwsi_put_text(buf, bits << 12 ? "\"NaN\"" : bits >> 63 ? "\"-Infinity\""
                                                                         : "\"Infinity\"");
        else (void)cwsi_put(buf, text, cwsi_format_double(text, *CWSI_CAST(const double *, at)));
        break;
    }
    case CWSI_ENUM: {
        int32_t number = *CWSI_CAST(const int32_t *, at);
        const char *name = cwsi_enum_name(CWSI_CAST(cwsi_enum_id, f->sub), number);
        if (f->sub == CWSI_E_pb_NullValue_ID) (void)cwsi_put_text(buf, "null");
        else if (name) (void)cwsi_put_json_string(buf, name, strlen(name));
        else cwsi_put_number(buf, number, false);
        break;
    }
    case CWSI_MSG: cwsi_put_json_message(o, CWSI_CAST(cwsi_msg_id, f->sub), at, depth + 1); break;
    }
}

/* The entries of a map as members of a JSON object. */
static void cwsi_put_json_map(const cwsi_json_out *o, const cwsi_field *f, const cwsi_list *list,
                              int depth)
{
    cwsi_msg entry = cwsi_msg_table(CWSI_CAST(cwsi_msg_id, f->sub));
    const char *element = CWSI_CAST(const char *, list->at);
    size_t i;
    (void)cwsi_put_char(o->buf, '{');
    for (i = 0; i < list->len && !o->buf->status; i++, element += entry.size) {
        const cwsi_field *value = &entry.fields[1];
        const void *at = element + value->offset;
        if (i) (void)cwsi_put_char(o->buf, ',');
        cwsi_put_json_value(o, &entry.fields[0], element + entry.fields[0].offset, depth);
        (void)cwsi_put_char(o->buf, ':');
        if (value->kind == CWSI_MSG) at = *CWSI_CAST(const void *const *, at);
        if (o->redact && cwsi_is_secret(f)) (void)cwsi_put_text(o->buf, "\"<redacted>\"");
        else if (at) cwsi_put_json_value(o, value, at, depth);
        else (void)cwsi_put_text(o->buf, "{}");
    }
    (void)cwsi_put_char(o->buf, '}');
}

static void cwsi_put_json_list(const cwsi_json_out *o, const cwsi_field *f, const cwsi_list *list,
                               int depth)
{
    const char *element = CWSI_CAST(const char *, list->at);
    size_t i, step = cwsi_element_size(f);
    (void)cwsi_put_char(o->buf, '[');
    for (i = 0; i < list->len && !o->buf->status; i++, element += step) {
        if (i) (void)cwsi_put_char(o->buf, ',');
        cwsi_put_json_value(o, f, element, depth);
    }
    (void)cwsi_put_char(o->buf, ']');
}

static cwsi_msg_id cwsi_msg_by_name(cwsi_str name)
{
    int i;
    for (i = 0; i < CWSI_MSG_COUNT; i++)
        if (cwsi_str_is(name, cwsi_msg_name(CWSI_CAST(cwsi_msg_id, i)))) break;
    return CWSI_CAST(cwsi_msg_id, i);
}

/* What stands behind the last slash of a type URL. */
static cwsi_str cwsi_type_of_url(cwsi_str url)
{
    size_t i;
    for (i = url.len; i > 0; i--)
        if (url.at[i - 1] == '/') break;
    if (i == 0) return url; /* also keeps NULL out of the arithmetic */
    url.at += i;
    url.len -= i;
    return url;
}

static bool cwsi_has_own_json(cwsi_msg_id id)
{
    return id == CWSI_M_pb_Timestamp || id == CWSI_M_pb_Duration || id == CWSI_M_pb_FieldMask ||
           id == CWSI_M_pb_Struct || id == CWSI_M_pb_Value || id == CWSI_M_pb_ListValue ||
           id == CWSI_M_pb_Any;
}

static void cwsi_put_json_members(const cwsi_json_out *o, cwsi_msg_id id, const void *msg,
                                  bool first, int depth);

static void cwsi_put_json_any(const cwsi_json_out *o, const cwsi_pb_Any *any, int depth)
{
    cwsi_msg_id id = cwsi_msg_by_name(cwsi_type_of_url(any->type_url));
    void *inner = NULL;
    bool known = id != CWSI_MSG_COUNT && o->arena &&
                 cwsi_decode(o->arena, id, any->value, &inner) == CWS_OK;
    if (any->type_url.len == 0 && any->value.len == 0) { /* "@type" may not be empty */
        (void)cwsi_put_text(o->buf, "{}");
        return;
    }
    (void)cwsi_put_text(o->buf, "{\"@type\":");
    (void)cwsi_put_json_string(o->buf, any->type_url.at, any->type_url.len);
    if (known && !cwsi_has_own_json(id)) {
        cwsi_put_json_members(o, id, inner, false, depth);
    } else {
        (void)cwsi_put_text(o->buf, ",\"value\":");
        if (known) {
            cwsi_put_json_message(o, id, inner, depth + 1);
        } else {
            cwsi_msg t = cwsi_msg_table(CWSI_M_pb_Any);
            cwsi_put_json_value(o, &t.fields[1], &any->value, depth);
        }
    }
    (void)cwsi_put_char(o->buf, '}');
}

static void cwsi_put_json_mask(cwsi_buf *buf, const cwsi_pb_FieldMask *mask)
{
    size_t i, k;
    (void)cwsi_put_char(buf, '"');
    for (i = 0; i < mask->paths.len; i++) {
        const cwsi_str *path = CWSI_CAST(const cwsi_str *, mask->paths.at) + i;
        if (i) (void)cwsi_put_char(buf, ',');
        for (k = 0; k < path->len; k++) {
            char c = path->at[k];
            if (c == '_' && k + 1 < path->len && path->at[k + 1] >= 'a' && path->at[k + 1] <= 'z')
                c = CWSI_CAST(char, path->at[++k] - 'a' + 'A');
            if (cwsi_is_alnum(c) || c == '.' || c == '_') (void)cwsi_put_char(buf, c);
        }
    }
    (void)cwsi_put_char(buf, '"');
}

static void cwsi_put_json_duration(cwsi_buf *buf, const cwsi_pb_Duration *d)
{
    char text[64];
    size_t n = 1;
    bool negative = d->seconds < 0 || d->nanos < 0;
    uint64_t whole = d->seconds < 0 ? 0 - CWSI_CAST(uint64_t, d->seconds)
                                    : CWSI_CAST(uint64_t, d->seconds);
    int32_t nanos = d->nanos < 0 && d->nanos > INT32_MIN ? -d->nanos : d->nanos;
    text[0] = '"';
    if (negative) text[n++] = '-';
    n += cwsi_digits(whole, text + n);
    n += cwsi_fraction(text + n, nanos >= 0 && nanos <= 999999999 ? nanos : 0);
    text[n++] = 's';
    text[n++] = '"';
    (void)cwsi_put(buf, text, n);
}

static void cwsi_put_json_members(const cwsi_json_out *o, cwsi_msg_id id, const void *msg,
                                  bool first, int depth)
{
    cwsi_msg t = cwsi_msg_table(id);
    size_t i;
    for (i = 0; i < t.field_count && !o->buf->status; i++) {
        const cwsi_field *f = &t.fields[i];
        const void *at = cwsi_member_const(msg, f->offset);
        const cwsi_list *list = CWSI_CAST(const cwsi_list *, at);
        bool many = f->label == CWSI_REP || f->label == CWSI_MAP;
        char name[64];
        if (many ? list->len == 0 : !cwsi_present(f, msg)) continue;
        if (!first) (void)cwsi_put_char(o->buf, ',');
        first = false;
        (void)cwsi_put_json_string(o->buf, name, cwsi_json_name(f, name));
        (void)cwsi_put_char(o->buf, ':');
        if (!many && f->kind == CWSI_MSG) at = *CWSI_CAST(const void *const *, at);
        if (f->label == CWSI_MAP) cwsi_put_json_map(o, f, list, depth);
        else if (f->label == CWSI_REP) cwsi_put_json_list(o, f, list, depth);
        else cwsi_put_json_value(o, f, at, depth);
    }
}

static void cwsi_put_json_message(const cwsi_json_out *o, cwsi_msg_id id, const void *msg,
                                  int depth)
{
    cwsi_buf *buf = o->buf;
    if (depth >= CWSI_CODEC_DEPTH) {
        if (!buf->status) buf->status = CWS_ERR_LIMIT;
        return;
    }
    if (id == CWSI_M_pb_Timestamp) {
        const cwsi_pb_Timestamp *t = CWSI_CAST(const cwsi_pb_Timestamp *, msg);
        char text[40];
        size_t n = cwsi_format_time(text, t->seconds, t->nanos);
        (void)cwsi_put_json_string(buf, text, n);
    } else if (id == CWSI_M_pb_Duration) {
        cwsi_put_json_duration(buf, CWSI_CAST(const cwsi_pb_Duration *, msg));
    } else if (id == CWSI_M_pb_FieldMask) {
        cwsi_put_json_mask(buf, CWSI_CAST(const cwsi_pb_FieldMask *, msg));
    } else if (id == CWSI_M_pb_Any) {
        cwsi_put_json_any(o, CWSI_CAST(const cwsi_pb_Any *, msg), depth);
    } else if (id == CWSI_M_pb_Struct) {
        cwsi_msg t = cwsi_msg_table(id);
        cwsi_put_json_map(o, &t.fields[0], &CWSI_CAST(const cwsi_pb_Struct *, msg)->fields, depth);
    } else if (id == CWSI_M_pb_ListValue) {
        cwsi_msg t = cwsi_msg_table(id);
        cwsi_put_json_list(o, &t.fields[0], &CWSI_CAST(const cwsi_pb_ListValue *, msg)->values,
                           depth);
    } else if (id == CWSI_M_pb_Value) {
        cwsi_msg t = cwsi_msg_table(id);
        size_t i;
        for (i = 0; i < t.field_count; i++) {
            const void *at = cwsi_member_const(msg, t.fields[i].offset);
            if (!cwsi_present(&t.fields[i], msg)) continue;
            if (t.fields[i].kind == CWSI_MSG) at = *CWSI_CAST(const void *const *, at);
            cwsi_put_json_value(o, &t.fields[i], at, depth);
            return;
        }
        (void)cwsi_put_text(buf, "null");
    } else {
        (void)cwsi_put_char(buf, '{');
        cwsi_put_json_members(o, id, msg, true, depth);
        (void)cwsi_put_char(buf, '}');
    }
}

/* Append msg as JSON. arena serves the content of an Any and may be NULL. */
static cws_status cwsi_encode_json(cwsi_buf *buf, cwsi_arena *arena, cwsi_msg_id id,
                                   const void *msg, bool redact)
{
    cwsi_json_out o;
    o.buf = buf;
    o.redact = redact;
    o.arena = arena;
    cwsi_put_json_message(&o, id, msg, 0);
    return buf->status;
}

/* ================================================================================================
 * >>impl-decode-json
 * Canonical proto3 JSON to structs.
 * ============================================================================================= */

static cws_status cwsi_json_read(cwsi_json *j, cwsi_arena *arena, cwsi_msg_id id, void *msg,
                                 int depth);

/* A number token, or a string token that holds one. */
static bool cwsi_json_integer(const cwsi_json *j, int64_t *out)
{
    size_t i;
    if (j->kind != CWSI_JSON_NUMBER && j->kind != CWSI_JSON_STRING) return false;
    if (cwsi_parse_i64(j->text.at, j->text.len, out)) return true;
    for (i = 0; i < j->text.len; i++) /* "1.0" and "1e3" are integers too */
        if (!cwsi_is_digit(j->text.at[i]) && !strchr("-+.eE", j->text.at[i])) return false;
    if (j->kind == CWSI_JSON_NUMBER) {
        double d = cwsi_parse_double(j->text.at, j->text.len);
        if (!(d > -9007199254740992.0 && d < 9007199254740992.0)) return false;
        *out = CWSI_CAST(int64_t, d);
        return CWSI_CAST(double, *out) - d >= 0 && CWSI_CAST(double, *out) - d <= 0;
    }
    return false;
}

/* By name or by number; a name that this header does not know leaves it unspecified. */
static cws_status cwsi_json_store_enum(const cwsi_json *j, const cwsi_field *f, int32_t *at)
{
    cwsi_enum e = cwsi_enum_table(CWSI_CAST(cwsi_enum_id, f->sub));
    int64_t v;
    size_t i;
    for (i = 0; i < e.count && j->kind == CWSI_JSON_STRING; i++)
        if (cwsi_str_is(j->text, e.values[i].name)) *at = e.values[i].number;
    if (j->kind == CWSI_JSON_STRING) return CWS_OK;
    if (!cwsi_json_integer(j, &v) || v < INT32_MIN || v > INT32_MAX) return CWS_ERR_PROTOCOL;
    *at = CWSI_CAST(int32_t, v);
    return CWS_OK;
}

/* The token just read is the value of f: store it at `at`. */
static cws_status cwsi_json_store(cwsi_json *j, cwsi_arena *arena, const cwsi_field *f, void *at,
                                  int depth)
{
    cwsi_str s = CWSI_ZERO;
    int64_t v;
    uint64_t u;
    if (j->kind == CWSI_JSON_STRING) { /* names of enum values and numbers may be escaped, too */
        if (!cwsi_json_string(j, arena, &s)) return CWS_ERR_NO_MEMORY;
        j->text = s;
        j->escaped = false;
    }
    switch (CWSI_CAST(cwsi_kind, f->kind)) {
    case CWSI_STR:
        if (j->kind != CWSI_JSON_STRING) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(cwsi_str *, at) = s;
        return CWS_OK;
    case CWSI_BYTES: {
        char *out;
        if (j->kind != CWSI_JSON_STRING) return CWS_ERR_PROTOCOL;
        out = CWSI_CAST(char *, cwsi_arena_alloc(arena, s.len / 4 * 3 + 4));
        if (!out) return CWS_ERR_NO_MEMORY;
        CWSI_CAST(cwsi_str *, at)->at = out;
        return cwsi_base64_decode(s.at, s.len, out, &CWSI_CAST(cwsi_str *, at)->len)
                   ? CWS_OK
                   : CWS_ERR_PROTOCOL;
    }
    case CWSI_BOOL:
        if (j->kind != CWSI_JSON_TRUE && j->kind != CWSI_JSON_FALSE) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(bool *, at) = j->kind == CWSI_JSON_TRUE;
        return CWS_OK;
    case CWSI_I32:
        if (!cwsi_json_integer(j, &v) || v < INT32_MIN || v > INT32_MAX) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(int32_t *, at) = CWSI_CAST(int32_t, v);
        return CWS_OK;
    case CWSI_U32:
        if (!cwsi_json_integer(j, &v) || v < 0 || v > UINT32_MAX) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(uint32_t *, at) = CWSI_CAST(uint32_t, v);
        return CWS_OK;
    case CWSI_I64:
        if (!cwsi_json_integer(j, CWSI_CAST(int64_t *, at))) return CWS_ERR_PROTOCOL;
        return CWS_OK;
    case CWSI_U64:
        if (j->kind != CWSI_JSON_NUMBER && j->kind != CWSI_JSON_STRING) return CWS_ERR_PROTOCOL;
        if (cwsi_parse_u64(j->text.at, j->text.len, &u)) *CWSI_CAST(uint64_t *, at) = u;
        else if (cwsi_json_integer(j, &v) && v >= 0)
            *CWSI_CAST(uint64_t *, at) = CWSI_CAST(uint64_t, v);
        else return CWS_ERR_PROTOCOL;
        return CWS_OK;
    case CWSI_DOUBLE:
        if (j->kind != CWSI_JSON_NUMBER) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(double *, at) = cwsi_parse_double(j->text.at, j->text.len);
        return CWS_OK;
    case CWSI_ENUM: return cwsi_json_store_enum(j, f, CWSI_CAST(int32_t *, at));
    case CWSI_MSG:
        return cwsi_json_read(j, arena, CWSI_CAST(cwsi_msg_id, f->sub), at, depth + 1);
    }
    return CWS_ERR_PROTOCOL;
}

/* The token just read opens a map: read its members. */
static cws_status cwsi_json_read_map(cwsi_json *j, cwsi_arena *arena, const cwsi_field *f,
                                     cwsi_list *list, int depth)
{
    cwsi_msg entry = cwsi_msg_table(CWSI_CAST(cwsi_msg_id, f->sub));
    if (j->kind != CWSI_JSON_OBJECT) return CWS_ERR_PROTOCOL;
    while (cwsi_json_next(j) == CWSI_JSON_KEY) {
        void *element = cwsi_list_grow(arena, list, entry.size), *at;
        cws_status status;
        if (!element) return CWS_ERR_NO_MEMORY;
        if (!cwsi_json_string(j, arena,
                              CWSI_CAST(cwsi_str *, cwsi_member(element, entry.fields[0].offset))))
            return CWS_ERR_NO_MEMORY;
        at = cwsi_place(arena, &entry, &entry.fields[1], element);
        if (!at) return CWS_ERR_NO_MEMORY;
        (void)cwsi_json_next(j);
        status = cwsi_json_store(j, arena, &entry.fields[1], at, depth);
        if (status) return status;
    }
    return j->kind == CWSI_JSON_OBJECT_END ? CWS_OK : CWS_ERR_PROTOCOL;
}

static cws_status cwsi_json_read_list(cwsi_json *j, cwsi_arena *arena, const cwsi_field *f,
                                      cwsi_list *list, int depth)
{
    size_t step = cwsi_element_size(f);
    if (j->kind != CWSI_JSON_ARRAY) return CWS_ERR_PROTOCOL;
    while (cwsi_json_next(j) != CWSI_JSON_ARRAY_END) {
        void *at;
        cws_status status;
        if (j->kind == CWSI_JSON_ERROR) return CWS_ERR_PROTOCOL;
        at = cwsi_list_grow(arena, list, step);
        if (!at) return CWS_ERR_NO_MEMORY;
        status = cwsi_json_store(j, arena, f, at, depth);
        if (status) return status;
    }
    return CWS_OK;
}

/* The token just read begins a google.protobuf.Value. */
static cws_status cwsi_json_read_value(cwsi_json *j, cwsi_arena *arena, cwsi_pb_Value *value,
                                       int depth)
{
    cwsi_msg t = cwsi_msg_table(CWSI_M_pb_Value);
    const cwsi_field *f = NULL;
    void *at;
    switch (j->kind) {
    case CWSI_JSON_NULL: value->has_null_value = true; return CWS_OK;
    case CWSI_JSON_NUMBER: f = &t.fields[1]; break;
    case CWSI_JSON_STRING: f = &t.fields[2]; break;
    case CWSI_JSON_TRUE:
    case CWSI_JSON_FALSE: f = &t.fields[3]; break;
    case CWSI_JSON_OBJECT: f = &t.fields[4]; break;
    case CWSI_JSON_ARRAY: f = &t.fields[5]; break;
    case CWSI_JSON_ERROR:
    case CWSI_JSON_END:
    case CWSI_JSON_OBJECT_END:
    case CWSI_JSON_ARRAY_END:
    case CWSI_JSON_KEY: break;
    }
    if (!f) return CWS_ERR_PROTOCOL;
    at = cwsi_place(arena, &t, f, value);
    return at ? cwsi_json_store(j, arena, f, at, depth) : CWS_ERR_NO_MEMORY;
}

static cws_status cwsi_json_read_duration(cwsi_str s, cwsi_pb_Duration *d)
{
    bool negative = s.len && s.at[0] == '-';
    size_t i = negative ? 1 : 0, start = i;
    uint64_t whole;
    while (i < s.len && cwsi_is_digit(s.at[i])) i++;
    if (!cwsi_parse_u64(s.at + start, i - start, &whole) || whole > 315576000000ULL ||
        !cwsi_parse_fraction(s.at, s.len, &i, &d->nanos) || i + 1 != s.len || s.at[i] != 's')
        return CWS_ERR_PROTOCOL;
    d->seconds = negative ? -CWSI_CAST(int64_t, whole) : CWSI_CAST(int64_t, whole);
    if (negative) d->nanos = -d->nanos;
    return CWS_OK;
}

static cws_status cwsi_json_read_mask(cwsi_arena *arena, cwsi_str s, cwsi_pb_FieldMask *mask)
{
    size_t i, start = 0, o = 0;
    char *out;
    if (s.len == 0) return CWS_OK;
    out = CWSI_CAST(char *, cwsi_arena_alloc(arena, s.len * 2 + 1));
    if (!out) return CWS_ERR_NO_MEMORY;
    for (i = 0; i <= s.len; i++) {
        if (i == s.len || s.at[i] == ',') {
            cwsi_str *path = CWSI_CAST(
                cwsi_str *, cwsi_list_grow(arena, &mask->paths, sizeof(cwsi_str)));
            if (!path) return CWS_ERR_NO_MEMORY;
            path->at = out + start;
            path->len = o - start;
            start = o;
        } else if (s.at[i] >= 'A' && s.at[i] <= 'Z') {
            out[o++] = '_';
            out[o++] = cwsi_lower(s.at[i]);
        } else {
            out[o++] = s.at[i];
        }
    }
    return CWS_OK;
}

/* The messages that are one string in JSON. */
static cws_status cwsi_json_read_text(cwsi_json *j, cwsi_arena *arena, cwsi_msg_id id, void *msg)
{
    cwsi_pb_Timestamp *time = CWSI_AS(cwsi_pb_Timestamp, msg);
    cwsi_str s;
    if (j->kind != CWSI_JSON_STRING) return CWS_ERR_PROTOCOL;
    if (!cwsi_json_string(j, arena, &s)) return CWS_ERR_NO_MEMORY;
    if (id == CWSI_M_pb_Duration)
        return cwsi_json_read_duration(s, CWSI_AS(cwsi_pb_Duration, msg));
    if (id == CWSI_M_pb_FieldMask)
        return cwsi_json_read_mask(arena, s, CWSI_AS(cwsi_pb_FieldMask, msg));
    return cwsi_parse_time(s.at, s.len, &time->seconds, &time->nanos) ? CWS_OK : CWS_ERR_PROTOCOL;
}

/* The token just read begins message id: read it all into msg. */
static cws_status cwsi_json_read(cwsi_json *j, cwsi_arena *arena, cwsi_msg_id id, void *msg,
                                 int depth)
{
    cwsi_msg t = cwsi_msg_table(id);
    size_t i;
    if (depth >= CWSI_CODEC_DEPTH) return CWS_ERR_PROTOCOL;
    if (id == CWSI_M_pb_Value)
        return cwsi_json_read_value(j, arena, CWSI_CAST(cwsi_pb_Value *, msg), depth);
    if (id == CWSI_M_pb_Struct)
        return cwsi_json_read_map(j, arena, &t.fields[0],
                                  &CWSI_CAST(cwsi_pb_Struct *, msg)->fields, depth);
    if (id == CWSI_M_pb_ListValue)
        return cwsi_json_read_list(j, arena, &t.fields[0],
                                   &CWSI_CAST(cwsi_pb_ListValue *, msg)->values, depth);
    if (id == CWSI_M_pb_Timestamp || id == CWSI_M_pb_Duration || id == CWSI_M_pb_FieldMask)
        return cwsi_json_read_text(j, arena, id, msg);
    if (j->kind != CWSI_JSON_OBJECT) return CWS_ERR_PROTOCOL;
    while (cwsi_json_next(j) == CWSI_JSON_KEY) {
        const cwsi_field *f = NULL;
        cwsi_str key;
        void *at;
        cws_status status;
        if (!cwsi_json_string(j, arena, &key)) return CWS_ERR_NO_MEMORY;
        for (i = 0; i < t.field_count && !f; i++) {
            char name[64];
            cwsi_str camel, plain;
            camel.at = name;
            camel.len = cwsi_json_name(&t.fields[i], name);
            plain.at = t.fields[i].name;
            plain.len = cwsi_field_name_len(&t.fields[i]);
            if (cwsi_str_same(key, camel) || cwsi_str_same(key, plain)) f = &t.fields[i];
        }
        (void)cwsi_json_next(j);
        if (!f || (j->kind == CWSI_JSON_NULL && (f->kind != CWSI_MSG ||
                                                 f->sub != CWSI_M_pb_Value))) {
            if (!f) ++*CWSI_CAST(uint32_t *, msg);
            if (!cwsi_json_skip(j)) return CWS_ERR_PROTOCOL;
            continue;
        }
        at = cwsi_member(msg, f->offset);
        if (f->label == CWSI_MAP) {
            status = cwsi_json_read_map(j, arena, f, CWSI_CAST(cwsi_list *, at), depth);
        } else if (f->label == CWSI_REP) {
            status = cwsi_json_read_list(j, arena, f, CWSI_CAST(cwsi_list *, at), depth);
        } else {
            at = cwsi_place(arena, &t, f, msg);
            status = at ? cwsi_json_store(j, arena, f, at, depth) : CWS_ERR_NO_MEMORY;
        }
        if (status) return status;
    }
    return j->kind == CWSI_JSON_OBJECT_END ? CWS_OK : CWS_ERR_PROTOCOL;
}

/* Decode canonical proto3 JSON into a new struct of the arena; strings without escapes borrow from
 * the text. The members of an Any are skipped: the library never receives one as JSON. */
CWS_UNUSED_OK
static cws_status cwsi_decode_json(cwsi_arena *arena, cwsi_msg_id id, cwsi_str text, void **out)
{
    cwsi_json j;
    cws_status status;
    *out = cwsi_arena_alloc(arena, cwsi_msg_table(id).size);
    if (!*out) return CWS_ERR_NO_MEMORY;
    cwsi_json_init(&j, text.at, text.len);
    (void)cwsi_json_next(&j);
    status = cwsi_json_read(&j, arena, id, *out, 0);
    if (!status && cwsi_json_next(&j) != CWSI_JSON_END) status = CWS_ERR_PROTOCOL;
    return status;
}

/* ================================================================================================
 * >>impl-object
 * The objects and how they hold each other. A client, a sandbox and an operation count their
 * holders: a handle of the user is one, an object that points at it is another. So each _free is
 * safe in any order, and memory goes with the last holder.
 * ============================================================================================= */

typedef enum cwsi_turn { CWSI_PENDING, CWSI_READY } cwsi_turn;

typedef struct cwsi_call cwsi_call;
typedef struct cwsi_dialect cwsi_dialect;

/* How a transport's reports reach the owner of an exchange; it is the owner's first member. */
typedef struct cwsi_events {
    void (*head)(cws_exchange *ex, int status, int http_major, const cws_header *headers,
                 size_t header_count);
    bool (*data)(cws_exchange *ex, const void *data, size_t size);
    void (*writable)(cws_exchange *ex);
    void (*note)(cws_exchange *ex, int32_t code, const char *text);
    void (*end)(cws_exchange *ex, cws_end end);
    void (*trailers)(cws_exchange *ex, const cws_header *trailers, size_t trailer_count);
} cwsi_events;

struct cws_exchange {
    const cwsi_events *events;
};

typedef struct cwsi_op_kind {
    const char *name;         /* for messages: "Start sandbox" */
    const char *const *steps; /* names of the steps, for the log */
    /* Go on as far as possible. READY: ended, op->err says how. PENDING: op waits for its call, its
     * child, or op->wake_ms. */
    cwsi_turn (*run)(cws_op *op, int64_t now);
    bool (*expire)(cws_op *op);  /* the deadline passed: true: op->err says how it ended; else, and
                                    if NULL, it is a plain timeout */
    void (*ended)(cws_op *op);   /* it has ended in whatever way; may be NULL */
    void (*destroy)(cws_op *op); /* free what this kind of operation holds; may be NULL */
} cwsi_op_kind;

/* An operation: a state machine that the loop steps. Each kind has a struct that begins with it. */
struct cws_op {
    cws_client *client;
    const cwsi_op_kind *kind;
    cws_sandbox *sandbox; /* held; NULL for operations on no sandbox */
    const char *about;    /* without a sandbox object: the id it is about, or NULL */
    uint32_t refs;
    int step;
    bool done, queued, cancelled;
    bool notify;  /* on_done is due */
    bool for_waiters; /* ends by itself when nobody waits for it any more */
    bool paused;      /* a callback wants no more for now */
    bool unresumable; /* nobody has a handle to resume it */
    cws_error err;
    int64_t deadline_ms;            /* CWSI_NEVER: none of its own */
    int64_t wake_ms;                /* next moment it wants to run */
    size_t heap_at;                 /* place in the timer heap + 1; 0: not there */
    cws_op *prev, *next;            /* all live operations of the client */
    cws_op *ready_next;             /* queue of those that can run */
    cwsi_call *call;                /* the RPC in flight, owned */
    cws_op *child;                  /* the operation it waits for, held */
    cws_op *waiter_next;            /* siblings that wait for the same child */
    cws_op *waiters;                /* who waits for this */
    cws_op_done_fn on_done;
    void *on_done_user;
};

struct cws_client {
    cwsi_mem mem;
    uint32_t refs;
    bool dead, running, in_callback, free_wanted;
    bool streaming; /* the transport has the streaming tier */
    bool grpc;      /* instead of Connect */
    bool no_duplex; /* streams were refused at this address: exec goes the unary way */
    cws_transport transport;
    const cwsi_dialect *dialect;
    cwsi_arena arena; /* strings of the configuration */
    const char *base_url;
    cws_header headers[8]; /* the same for every request, credentials included */
    size_t header_count;
    int64_t request_timeout_ms, retry_budget_ms, poll_rpc_ms;
    size_t max_message;
    cws_log_fn log;
    void *log_user;
    cws_trace_fn trace;
    void *trace_user;
    int64_t (*monotonic_ms)(void *user);
    int64_t (*unix_ms)(void *user);
    void (*random)(void *user, void *out, size_t size);
    void *hooks_user;
    int64_t last_now;
    uint64_t rng[4];
    cws_op *ops;
    size_t op_count;
    cws_op *ready_first, *ready_last;
    cws_op **heap; /* binary heap of operations by wake_ms; room for every live operation */
    size_t heap_len, heap_cap;
    size_t open_exchanges;
};

typedef enum cwsi_phase {
    CWSI_UNSTARTED,
    CWSI_STARTING,
    CWSI_RUNNING,
    CWSI_STOPPING,
    CWSI_TERMINAL
} cwsi_phase;

struct cws_sandbox {
    cws_client *client;   /* held */
    cws_session *session; /* that tracks it, or NULL; not held */
    uint32_t refs;
    cwsi_phase phase;
    bool cancelled;      /* stopped before it was started: can never start */
    bool stop_owned;     /* a stop of this object was accepted */
    bool presumed;       /* its end is concluded from a state of nothing, not stated */
    bool create_unknown; /* a create may or may not have reached the service */
    bool noted;          /* in the journal of its session, without the outcome */
    char request_id[40]; /* idempotency token of the create */
    cwsi_buf create;     /* encoded create request; empty for found sandboxes */
    char spill_id[40];   /* the same for the other placement, tried when the first is refused; */
    cwsi_buf spill;      /* empty: there is none */
    bool from_template;
    bool spilled;        /* create is that of the other placement, spill the first */
    int64_t request_timeout_ms;
    cws_sandbox_info info;
    cwsi_arena learned; /* what info points at beyond the four below */
    char id[CWSI_ID_SIZE], reason[512], runner[128], group[128]; /* what info points at */
    cws_exec_stats stats;
    uint64_t file_cap; /* largest file of one message, as the service told; 0: it has not */
    bool bridged;      /* files went through commands at least once */
    cws_op *start_op, *running_op, *complete_op, *stop_op; /* in flight and shared; held */
};

typedef struct cwsi_tracked { /* a sandbox that a session will stop */
    cws_sandbox *sandbox;     /* held */
    cws_op *stop;             /* during close; held */
    bool failed;              /* the last close could not stop it */
    cws_error why;
} cwsi_tracked;

typedef struct cwsi_journal cwsi_journal;

struct cws_session {
    cws_client *client; /* held */
    uint32_t refs;
    bool own_client, closed, freed;
    cwsi_arena arena;          /* the strings of defaults */
    cws_sandbox_opts defaults; /* deep copy */
    int64_t close_timeout_ms;
    int64_t request_timeout_ms; /* of its defaults, else the client's */
    cwsi_tracked **tracked; /* in order of arrival */
    size_t tracked_len, tracked_cap;
    cws_op *close_op; /* in flight */
    cwsi_journal *journal; /* NULL: none */
    cws_session *guard_next; /* among the guarded ones, each held; */
    bool guarded;
};

struct cws_bytes {
    cwsi_mem *mem;
    cws_client *client; /* held: it owns the memory's account */
    cwsi_buf buf;       /* the message the bytes came in */
    const char *at;
    size_t len;
};

CWSI_PRINTF(3, 4)
static void cwsi_log(cws_client *c, cws_log_level level, const char *text, ...)
{
    char line[512], safe[512];
    va_list args;
    if (!c->log) return;
    va_start(args, text);
    (void)cwsi_vformat(line, sizeof(line), text, args);
    va_end(args);
    cwsi_copy_text(safe, sizeof(safe), line, strlen(line));
    c->log(level, safe, c->log_user);
}

static void cwsi_client_unref(cws_client *c)
{
    cwsi_mem mem;
    if (--c->refs > 0) return;
    cwsi_arena_clear(&c->arena);
    cwsi_free(&c->mem, c->heap);
    mem = c->mem;
    cwsi_free(&mem, c);
}

/* ================================================================================================
 * >>impl-error
 * Status names and family, filling a cws_error, and its packed details: entries of a kind byte
 * ('m' metadata, 'v' violation), a key and a value, each ended by NUL.
 * ============================================================================================= */

CWS_API const char *cws_status_name(cws_status status)
{
    switch (status) {
#define CWSI_AS_STATUS_NAME(name, number, parent, text)                                            \
    case CWS_##name: return "CWS_" #name;
        CWS_STATUS_LIST(CWSI_AS_STATUS_NAME)
    case CWS_STATUS_MAX: break;
    }
    return "CWS_ERR_UNKNOWN";
}

CWS_API const char *cws_status_text(cws_status status)
{
    switch (status) {
#define CWSI_AS_STATUS_TEXT(name, number, parent, text)                                            \
    case CWS_##name: return text;
        CWS_STATUS_LIST(CWSI_AS_STATUS_TEXT)
    case CWS_STATUS_MAX: break;
    }
    return "unknown status";
}

static cws_status cwsi_status_parent(cws_status status)
{
    switch (status) {
#define CWSI_AS_STATUS_PARENT(name, number, parent, text)                                          \
    case CWS_##name: return CWS_##parent;
        CWS_STATUS_LIST(CWSI_AS_STATUS_PARENT)
    case CWS_STATUS_MAX: break;
    }
    return CWS_OK;
}

CWS_API bool cws_status_is(cws_status status, cws_status family)
{
    if (status == CWS_ERR_SANDBOX_VALIDATION && family == CWS_ERR_VALIDATION) return true;
    for (; status != family; status = cwsi_status_parent(status))
        if (status == CWS_OK) return false;
    return true;
}

static void cwsi_error_clear(cws_error *err)
{
    if (err) memset(err, 0, sizeof(*err));
}

/* Record a failure. The first one wins. Returns its status. */
CWSI_PRINTF(3, 4)
static cws_status cwsi_fail(cws_error *err, cws_status status, const char *text, ...)
{
    char line[sizeof(err->message) * 2];
    va_list args;
    if (!err || err->status) return status;
    err->status = status;
    va_start(args, text);
    (void)cwsi_vformat(line, sizeof(line), text, args);
    va_end(args);
    cwsi_copy_text(err->message, sizeof(err->message), line, strlen(line));
    return status;
}

/* For "return cwsi_no(cwsi_fail(...))" in a function that returns whether it went well. */
static bool cwsi_no(cws_status status)
{
    CWS_ASSERT(status != CWS_OK);
    return status == CWS_OK;
}

/* The same in a step of an operation, which ends there. */
static cwsi_turn cwsi_failed(cws_status status)
{
    CWS_ASSERT(status != CWS_OK);
    return status == CWS_OK ? CWSI_PENDING : CWSI_READY;
}

static cws_status cwsi_no_memory(cws_error *err, const char *what)
{
    return cwsi_fail(err, CWS_ERR_NO_MEMORY,
                     "%s: out of memory, or over the client's max_memory_bytes", what);
}

static cws_status cwsi_copy_error(cws_error *to, const cws_error *from)
{
    if (to && !to->status) *to = *from;
    return from->status;
}

static void cwsi_add_detail(cws_error *err, char kind, cwsi_str key, cwsi_str value)
{
    size_t need;
    char *at = err->detail + err->detail_size;
    if (key.len > sizeof(err->detail) || value.len > sizeof(err->detail)) return;
    need = 1 + key.len + 1 + value.len + 1;
    if (need > sizeof(err->detail) - err->detail_size) return;
    at[0] = kind;
    cwsi_copy_text(at + 1, key.len + 1, key.at, key.len);
    at += 1 + strlen(at + 1) + 1;
    cwsi_copy_text(at, value.len + 1, value.at, value.len);
    at += strlen(at) + 1;
    err->detail_size = CWSI_CAST(uint16_t, at - err->detail);
}

/* The entry at *at, stepping behind it; false at the end. Bounds hold for a damaged record too. */
static bool cwsi_next_detail(const cws_error *err, size_t *at, char *kind, const char **key,
                             const char **value)
{
    size_t end = err->detail_size <= sizeof(err->detail) ? err->detail_size : 0;
    const char *stop;
    if (*at >= end) return false;
    *kind = err->detail[*at];
    *key = err->detail + *at + 1;
    stop = CWSI_CAST(const char *, memchr(*key, 0, end - *at - 1));
    if (!stop) return false;
    *value = stop + 1;
    stop = CWSI_CAST(const char *,
                     memchr(*value, 0, CWSI_CAST(size_t, err->detail + end - *value)));
    if (!stop) return false;
    *at = CWSI_CAST(size_t, stop - err->detail) + 1;
    return true;
}

CWS_API const char *cws_error_metadata(const cws_error *err, const char *key)
{
    size_t at = 0;
    char kind;
    const char *k, *v;
    if (!err || !key) return NULL;
    while (cwsi_next_detail(err, &at, &kind, &k, &v))
        if (kind == 'm' && strcmp(k, key) == 0) return v;
    return NULL;
}

CWS_API bool cws_error_violation(const cws_error *err, size_t index, const char **field,
                                 const char **description)
{
    size_t at = 0;
    char kind;
    const char *k, *v;
    if (!err) return false;
    while (cwsi_next_detail(err, &at, &kind, &k, &v)) {
        if (kind != 'v' || index-- > 0) continue;
        if (field) *field = k;
        if (description) *description = v;
        return true;
    }
    return false;
}

/* ================================================================================================
 * >>impl-error-map
 * From what the service said (code, text, google.rpc details) to a cws_error. A reason counts for
 * the choice of status only if its domain is the service's; it is shown in any case.
 * ============================================================================================= */

enum { /* the codes of gRPC and Connect */
    CWSI_CODE_CANCELED = 1,
    CWSI_CODE_UNKNOWN = 2,
    CWSI_CODE_INVALID_ARGUMENT = 3,
    CWSI_CODE_DEADLINE_EXCEEDED = 4,
    CWSI_CODE_NOT_FOUND = 5,
    CWSI_CODE_PERMISSION_DENIED = 7,
    CWSI_CODE_RESOURCE_EXHAUSTED = 8,
    CWSI_CODE_FAILED_PRECONDITION = 9,
    CWSI_CODE_OUT_OF_RANGE = 11,
    CWSI_CODE_UNIMPLEMENTED = 12,
    CWSI_CODE_INTERNAL = 13,
    CWSI_CODE_UNAVAILABLE = 14,
    CWSI_CODE_UNAUTHENTICATED = 16
};

/* What the service said about a failed call. */
typedef struct cwsi_verdict {
    int code;
    cwsi_str message;
    cwsi_list details; /* of cwsi_pb_Any */
    bool no_memory;    /* it could not be read whole, so its meaning is not known */
} cwsi_verdict;

/* Is there a reason, and is it the service's own? Only such a one decides anything. */
static bool cwsi_is_trusted(const cws_error *err)
{
    return err->reason[0] && strcmp(err->domain, "cwsandbox.com") == 0;
}

/* Reasons that decide the status, without their common prefix "CWSANDBOX_". */
static cws_status cwsi_status_of_reason(const char *reason)
{
    static const struct {
        const char *reason;
        cws_status status;
    } map[] = {{"FILE_NOT_FOUND", CWS_ERR_FILE},
               {"FILE_IS_DIRECTORY", CWS_ERR_FILE},
               {"FILE_IO_FAILED", CWS_ERR_FILE},
               {"FILE_PERMISSION_DENIED", CWS_ERR_FILE},
               {"FILE_TOO_LARGE", CWS_ERR_FILE},
               {"FILE_TRUNCATED", CWS_ERR_FILE},
               {"SANDBOX_NOT_FOUND", CWS_ERR_NOT_FOUND},
               {"SANDBOX_NOT_RUNNING", CWS_ERR_NOT_RUNNING},
               {"COMMAND_TIMEOUT", CWS_ERR_COMMAND_TIMEOUT},
               {"RUNNER_UNAVAILABLE", CWS_ERR_UNAVAILABLE},
               {"BACKEND_UNAVAILABLE", CWS_ERR_UNAVAILABLE},
               {"FSS_NOT_FOUND", CWS_ERR_SNAPSHOT_NOT_FOUND},
               {"FSS_NOT_READY", CWS_ERR_SNAPSHOT_NOT_READY},
               {"FSS_NOT_SUPPORTED", CWS_ERR_SNAPSHOT_NOT_SUPPORTED},
               {"FSS_SIZE_EXCEEDED", CWS_ERR_SNAPSHOT_SIZE_EXCEEDED},
               {"FSS_QUOTA_EXCEEDED", CWS_ERR_SNAPSHOT_QUOTA_EXCEEDED},
               {"FSS_BUCKET_MISMATCH", CWS_ERR_SNAPSHOT_BUCKET_MISMATCH},
               {"FSS_BUCKET_UNAVAILABLE", CWS_ERR_SNAPSHOT},
               {"FSS_RESTORE_FAILED", CWS_ERR_SNAPSHOT},
               {"FSS_CREATE_FAILED", CWS_ERR_SNAPSHOT},
               {"FSS_CREATE_TIMED_OUT", CWS_ERR_SNAPSHOT},
               {"FSS_AUTH_FAILED", CWS_ERR_SNAPSHOT},
               {"FSS_TRANSPORT_FAILED", CWS_ERR_SNAPSHOT},
               {"FSS_CANCELED", CWS_ERR_SNAPSHOT},
               {"FSS_WAIT_TIMEOUT", CWS_ERR_SNAPSHOT_WAIT_TIMEOUT},
               {"FSS_BACKEND_THROTTLED", CWS_ERR_SNAPSHOT_THROTTLED},
               {"FSS_INFLIGHT_LIMIT", CWS_ERR_SNAPSHOT_THROTTLED},
               {"FSS_BUCKET_PROVISIONING", CWS_ERR_SNAPSHOT_THROTTLED}};
    size_t i, prefix = strlen("CWSANDBOX_");
    if (strncmp(reason, "CWSANDBOX_", prefix) != 0) return CWS_OK;
    for (i = 0; i < CWSI_COUNT(map); i++)
        if (strcmp(reason + prefix, map[i].reason) == 0) return map[i].status;
    return CWS_OK;
}

static void cwsi_read_error_info(cws_error *err, const cwsi_rpc_ErrorInfo *info)
{
    size_t i;
    if (err->reason[0] || info->reason.len == 0) return; /* the first with a reason counts */
    cwsi_copy_text(err->reason, sizeof(err->reason), info->reason.at, info->reason.len);
    cwsi_copy_text(err->domain, sizeof(err->domain), info->domain.at, info->domain.len);
    for (i = 0; i < info->metadata.len; i++) {
        const cwsi_map_StrStr *entry = CWSI_AT(map_StrStr, info->metadata, i);
        cwsi_add_detail(err, 'm', entry->key, entry->value);
    }
}

static void cwsi_read_retry_info(cws_error *err, const cwsi_rpc_RetryInfo *info)
{
    const cwsi_pb_Duration *d = info->retry_delay;
    if (err->has_retry_after || !d || d->seconds > 4000000 || d->nanos < -999999999 ||
        d->nanos > 999999999)
        return;
    err->has_retry_after = true;
    if (d->seconds >= 0 && d->nanos >= 0) /* a negative delay is as good as none */
        err->retry_after_ms =
            CWSI_CAST(uint32_t, d->seconds * 1000 + (d->nanos + 999999) / 1000000);
}

static void cwsi_read_bad_request(cws_error *err, const cwsi_rpc_BadRequest *bad)
{
    size_t i;
    for (i = 0; i < bad->field_violations.len; i++) {
        const cwsi_rpc_BadRequest_FieldViolation *v =
            CWSI_AT(rpc_BadRequest_FieldViolation, bad->field_violations, i);
        cwsi_str text = v->description;
        if (text.len == 0 && v->localized_message) text = v->localized_message->message;
        if (text.len == 0) text = v->reason;
        if (v->field.len || text.len) cwsi_add_detail(err, 'v', v->field, text);
    }
}

/* Details that do not decode are ignored: they must never hide the error they come with. False: out
 * of memory. */
static bool cwsi_read_details(cws_error *err, cwsi_arena *arena, cwsi_list details)
{
    size_t i;
    cws_status status;
    for (i = 0; i < details.len; i++) {
        const cwsi_pb_Any *any = CWSI_AT(pb_Any, details, i);
        cwsi_msg_id id = cwsi_msg_by_name(cwsi_type_of_url(any->type_url));
        void *msg;
        if (id != CWSI_M_rpc_ErrorInfo && id != CWSI_M_rpc_RetryInfo &&
            id != CWSI_M_rpc_BadRequest)
            continue;
        status = cwsi_decode(arena, id, any->value, &msg);
        if (status == CWS_ERR_NO_MEMORY) return false;
        if (status) continue;
        if (id == CWSI_M_rpc_ErrorInfo) cwsi_read_error_info(err, CWSI_AS(cwsi_rpc_ErrorInfo, msg));
        else if (id == CWSI_M_rpc_RetryInfo)
            cwsi_read_retry_info(err, CWSI_AS(cwsi_rpc_RetryInfo, msg));
        else cwsi_read_bad_request(err, CWSI_AS(cwsi_rpc_BadRequest, msg));
    }
    return true;
}

static const char *const cwsi_code_names[] = {
    "ok",                "canceled",           "unknown",           "invalid_argument",
    "deadline_exceeded", "not_found",          "already_exists",    "permission_denied",
    "resource_exhausted", "failed_precondition", "aborted",         "out_of_range",
    "unimplemented",     "internal",           "unavailable",       "data_loss",
    "unauthenticated"};

/* The status for a code without a deciding reason. */
static cws_status cwsi_status_of_code(const cws_error *err, int code)
{
    switch (code) {
    case CWSI_CODE_NOT_FOUND: return CWS_ERR_NOT_FOUND;
    case CWSI_CODE_CANCELED: return CWS_ERR_NOT_RUNNING;
    case CWSI_CODE_DEADLINE_EXCEEDED: return CWS_ERR_REQUEST_TIMEOUT;
    case CWSI_CODE_UNAVAILABLE: return CWS_ERR_UNAVAILABLE;
    case CWSI_CODE_RESOURCE_EXHAUSTED: return CWS_ERR_RESOURCE_EXHAUSTED;
    case CWSI_CODE_UNAUTHENTICATED:
    case CWSI_CODE_PERMISSION_DENIED: return CWS_ERR_AUTHENTICATION;
    case CWSI_CODE_UNIMPLEMENTED: return CWS_ERR_UNIMPLEMENTED;
    case CWSI_CODE_INVALID_ARGUMENT:
        return cws_error_violation(err, 0, NULL, NULL) ? CWS_ERR_SANDBOX_VALIDATION
                                                       : CWS_ERR_SANDBOX;
    default: return CWS_ERR_SANDBOX;
    }
}

static bool cwsi_is_retryable(cws_status status)
{
    return cws_status_is(status, CWS_ERR_UNAVAILABLE) || status == CWS_ERR_REQUEST_TIMEOUT ||
           status == CWS_ERR_RESOURCE_EXHAUSTED;
}

/* "Create sandbox failed: text (REASON); field violations: f: d; f2: d2" */
static void cwsi_error_sentence(cws_error *err, const char *what, int code, cwsi_str text)
{
    static const char *const verbs[] = {
        "failed",    "was cancelled", "failed",             "failed", "timed out",
        "failed",    "failed",        "failed",             "resource exhausted",
        "failed",    "failed",        "failed",             "failed", "failed",
        "failed",    "failed",        "failed"};
    char line[sizeof(err->message) * 2];
    size_t n, i = 0;
    const char *field, *description;
    bool known = code >= 0 && CWSI_CAST(size_t, code) < CWSI_COUNT(cwsi_code_names);
    int width = text.len < 400 ? CWSI_CAST(int, text.len) : 400;
    if (err->status == CWS_ERR_NOT_FOUND && err->sandbox_id[0])
        n = cwsi_format(line, sizeof(line), "%s: Sandbox '%s' not found", what, err->sandbox_id);
    else if (err->status == CWS_ERR_AUTHENTICATION)
        n = cwsi_format(line, sizeof(line), "%s: %s", what,
                        code == CWSI_CODE_PERMISSION_DENIED ? "Permission denied"
                                                            : "Authentication failed");
    else if (cws_status_is(err->status, CWS_ERR_UNAVAILABLE))
        n = cwsi_format(line, sizeof(line), "%s: Service unavailable", what);
    else n = cwsi_format(line, sizeof(line), "%s %s", what, known ? verbs[code] : "failed");
    if (text.len)
        n += cwsi_format(line + n, sizeof(line) - n, ": %.*s", width, text.at);
    else n += cwsi_format(line + n, sizeof(line) - n, ": %s", known ? cwsi_code_names[code] : "?");
    if (err->reason[0]) n += cwsi_format(line + n, sizeof(line) - n, " (%s)", err->reason);
    for (; cws_error_violation(err, i, &field, &description) && n + 40 < sizeof(line); i++)
        n += cwsi_format(line + n, sizeof(line) - n, "%s%s: %s", i ? "; " : "; field violations: ",
                         field, description);
    cwsi_copy_text(err->message, sizeof(err->message), line, n);
}

/* Fill err from a verdict. what names the operation. */
static cws_status cwsi_error_from_verdict(cws_error *err, cwsi_mem *mem, const char *what,
                                          const cwsi_verdict *verdict)
{
    cwsi_arena arena;
    cws_status status = CWS_OK;
    cwsi_arena_init(&arena, mem);
    err->rpc_code = verdict->code;
    if (verdict->no_memory || !cwsi_read_details(err, &arena, verdict->details)) {
        cwsi_arena_clear(&arena); /* half an answer could pass for another one */
        return cwsi_no_memory(err, what);
    }
    if (cwsi_is_trusted(err)) status = cwsi_status_of_reason(err->reason);
    if (!status) status = cwsi_status_of_code(err, verdict->code);
    err->status = status;
    err->retryable = cwsi_is_retryable(status);
    cwsi_error_sentence(err, what, verdict->code, verdict->message);
    cwsi_arena_clear(&arena);
    return status;
}

/* ================================================================================================
 * >>impl-wire
 * The Connect protocol above bytes: envelopes, error bodies, the end-of-stream message, and what an
 * HTTP status means when no code came with it. It does no I/O and reads no clock.
 * ============================================================================================= */

#define CWSI_ENVELOPE 5          /* flags and a big-endian length stand before each message */
#define CWSI_FLAG_COMPRESSED 0x01
#define CWSI_FLAG_END 0x02
#define CWSI_ERROR_BODY_MAX 65536 /* an error body longer than this is not read to its end */

static void cwsi_envelope_head(char *out, unsigned flags, size_t len)
{
    out[0] = CWSI_CAST(char, flags);
    out[1] = CWSI_CAST(char, len >> 24 & 0xff);
    out[2] = CWSI_CAST(char, len >> 16 & 0xff);
    out[3] = CWSI_CAST(char, len >> 8 & 0xff);
    out[4] = CWSI_CAST(char, len & 0xff);
}

/* Append a message as an envelope. */
static cws_status cwsi_put_envelope(cwsi_buf *buf, cwsi_msg_id id, const void *msg)
{
    size_t start = buf->len;
    if (!cwsi_put(buf, "\0\0\0\0\0", CWSI_ENVELOPE)) return buf->status;
    if (cwsi_encode(buf, id, msg)) return buf->status;
    if (buf->len - start - CWSI_ENVELOPE > UINT32_MAX) return buf->status = CWS_ERR_LIMIT;
    cwsi_envelope_head(buf->at + start, 0, buf->len - start - CWSI_ENVELOPE);
    return CWS_OK;
}

/* The same for a message that is encoded already. */
static cws_status cwsi_put_enveloped(cwsi_buf *buf, cwsi_str message)
{
    char head[CWSI_ENVELOPE];
    if (message.len > UINT32_MAX) return buf->status = CWS_ERR_LIMIT;
    cwsi_envelope_head(head, 0, message.len);
    if (cwsi_put(buf, head, sizeof(head))) (void)cwsi_put(buf, message.at, message.len);
    return buf->status;
}

/* Flags and length of the envelope that begins at p (5 bytes are there). */
static size_t cwsi_envelope_read(const char *p, unsigned *flags)
{
    size_t len = 0, i;
    *flags = CWSI_CAST(unsigned char, p[0]);
    for (i = 1; i < CWSI_ENVELOPE; i++) len = len << 8 | CWSI_CAST(unsigned char, p[i]);
    return len;
}

/* The code for an HTTP status that came without one. */
static int cwsi_code_of_http(int status)
{
    switch (status) {
    case 400: return CWSI_CODE_INTERNAL;
    case 401: return CWSI_CODE_UNAUTHENTICATED;
    case 403: return CWSI_CODE_PERMISSION_DENIED;
    case 404: return CWSI_CODE_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504: return CWSI_CODE_UNAVAILABLE;
    default: return CWSI_CODE_UNKNOWN;
    }
}

/* 0: no such name */
static int cwsi_code_by_name(cwsi_str name)
{
    size_t i;
    for (i = 1; i < CWSI_COUNT(cwsi_code_names); i++)
        if (cwsi_str_is(name, cwsi_code_names[i])) return CWSI_CAST(int, i);
    return 0;
}

static bool cwsi_lost(cwsi_verdict *verdict)
{
    verdict->no_memory = true;
    return false;
}

/* One element of "details": the reader stands on its first token. */
static bool cwsi_read_json_detail(cwsi_json *j, cwsi_arena *arena, cwsi_verdict *verdict)
{
    cwsi_str type = CWSI_ZERO, value = CWSI_ZERO, key, text;
    bool has_type = false, has_value = false;
    if (j->kind != CWSI_JSON_OBJECT) return cwsi_json_skip(j);
    while (cwsi_json_next(j) == CWSI_JSON_KEY) {
        if (!cwsi_json_string(j, arena, &key)) return cwsi_lost(verdict);
        if (cwsi_json_next(j) == CWSI_JSON_STRING) {
            if (!cwsi_json_string(j, arena, &text)) return cwsi_lost(verdict);
            if (cwsi_str_is(key, "type")) {
                type = text;
                has_type = true;
            }
            if (cwsi_str_is(key, "value")) {
                char *out = CWSI_AS(char, cwsi_arena_alloc(arena, text.len / 4 * 3 + 4));
                if (!out) return cwsi_lost(verdict);
                value.at = out;
                has_value = cwsi_base64_decode(text.at, text.len, out, &value.len);
            }
        } else if (!cwsi_json_skip(j)) {
            return false;
        }
    }
    if (j->failed) return false;
    if (has_type && has_value) { /* one that lacks either is dropped */
        cwsi_pb_Any *any =
            CWSI_AS(cwsi_pb_Any, cwsi_list_grow(arena, &verdict->details, sizeof(cwsi_pb_Any)));
        if (!any) return cwsi_lost(verdict);
        any->type_url = type;
        any->value = value;
    }
    return true;
}

/* A Connect error object; the reader stands on its '{'. False: malformed or out of memory. The code
 * stays 0 when it is missing or unknown. */
static bool cwsi_read_json_error(cwsi_json *j, cwsi_arena *arena, cwsi_verdict *verdict)
{
    cwsi_str key, text = CWSI_ZERO;
    if (j->kind != CWSI_JSON_OBJECT) return false;
    while (cwsi_json_next(j) == CWSI_JSON_KEY) {
        if (!cwsi_json_string(j, arena, &key)) return cwsi_lost(verdict);
        (void)cwsi_json_next(j);
        if (j->kind == CWSI_JSON_STRING && !cwsi_json_string(j, arena, &text))
            return cwsi_lost(verdict);
        if (j->kind == CWSI_JSON_STRING && cwsi_str_is(key, "code")) {
            verdict->code = cwsi_code_by_name(text);
        } else if (j->kind == CWSI_JSON_STRING && cwsi_str_is(key, "message")) {
            verdict->message = text;
        } else if (j->kind == CWSI_JSON_ARRAY && cwsi_str_is(key, "details")) {
            while (cwsi_json_next(j) != CWSI_JSON_ARRAY_END && !j->failed)
                if (!cwsi_read_json_detail(j, arena, verdict)) return false;
        } else if (!cwsi_json_skip(j)) {
            return false;
        }
    }
    return !j->failed;
}

/* The body of a failed unary call: a Connect error if it is one, else what the status says. */
static void cwsi_read_error_body(cwsi_arena *arena, int http_status, const char *content_type,
                                 cwsi_str body, cwsi_verdict *verdict)
{
    cwsi_json j;
    memset(verdict, 0, sizeof(*verdict));
    if (cwsi_starts_nocase(content_type, "application/json") &&
        (content_type[16] == '\0' || content_type[16] == ';' || content_type[16] == ' ')) {
        cwsi_json_init(&j, body.at, body.len);
        (void)cwsi_json_next(&j);
        if (!cwsi_read_json_error(&j, arena, verdict) || cwsi_json_next(&j) != CWSI_JSON_END) {
            bool no_memory = verdict->no_memory;
            memset(verdict, 0, sizeof(*verdict));
            verdict->no_memory = no_memory;
        }
    }
    if (!verdict->code) verdict->code = cwsi_code_of_http(http_status);
}

/* The end-of-stream message: {"error": {...}?, "metadata": {...}?}. code 0: success. */
static bool cwsi_read_end_stream(cwsi_arena *arena, cwsi_str body, cwsi_verdict *verdict)
{
    cwsi_json j;
    memset(verdict, 0, sizeof(*verdict));
    cwsi_json_init(&j, body.at, body.len);
    if (cwsi_json_next(&j) != CWSI_JSON_OBJECT) return false;
    while (cwsi_json_next(&j) == CWSI_JSON_KEY) {
        bool error = cwsi_str_is(j.text, "error");
        (void)cwsi_json_next(&j);
        if (error && j.kind != CWSI_JSON_NULL) {
            if (!cwsi_read_json_error(&j, arena, verdict)) return false;
            if (!verdict->code) verdict->code = CWSI_CODE_UNKNOWN;
        } else if (!cwsi_json_skip(&j)) {
            return false;
        }
    }
    return cwsi_json_next(&j) == CWSI_JSON_END;
}

CWS_API void cws_exchange_head(cws_exchange *exchange, int status, int http_major,
                               const cws_header *headers, size_t header_count)
{
    exchange->events->head(exchange, status, http_major, headers, header_count);
}

CWS_API bool cws_exchange_data(cws_exchange *exchange, const void *data, size_t size)
{
    return exchange->events->data(exchange, data, size);
}

CWS_API void cws_exchange_trailers(cws_exchange *exchange, const cws_header *trailers,
                                   size_t trailer_count)
{
    exchange->events->trailers(exchange, trailers, trailer_count);
}

CWS_API void cws_exchange_writable(cws_exchange *exchange)
{
    exchange->events->writable(exchange);
}

CWS_API void cws_exchange_note(cws_exchange *exchange, int32_t code, const char *text)
{
    exchange->events->note(exchange, code, text ? text : "");
}

CWS_API void cws_exchange_end(cws_exchange *exchange, cws_end end)
{
    exchange->events->end(exchange, end);
}

/* ================================================================================================
 * >>impl-wire-grpc
 * The gRPC protocol where it differs: every message has an envelope, and the outcome is in fields
 * of the HTTP trailers (grpc-status, grpc-message, grpc-status-details-bin), or in those of the
 * head if the response has nothing else ("Trailers-Only").
 * ============================================================================================= */

/* The outcome as it came. */
typedef struct cwsi_grpc_outcome {
    bool there, in_head, no_memory;
    cwsi_str status, message, details; /* as in the fields */
} cwsi_grpc_outcome;

static bool cwsi_grpc_keep(cwsi_arena *arena, const char *value, cwsi_str *out)
{
    out->at = cwsi_arena_copy(arena, value, strlen(value));
    out->len = out->at ? strlen(value) : 0;
    return out->at != NULL;
}

/* Keep what these fields say of the outcome; nothing if there is no status among them. */
static void cwsi_grpc_take(cwsi_arena *arena, const cws_header *fields, size_t count,
                           cwsi_grpc_outcome *outcome)
{
    cwsi_grpc_outcome got = CWSI_ZERO;
    bool ok = true;
    size_t i;
    for (i = 0; i < count && ok; i++) {
        if (cwsi_same_nocase(fields[i].name, "grpc-status")) {
            ok = cwsi_grpc_keep(arena, fields[i].value, &got.status);
            got.there = true;
        } else if (cwsi_same_nocase(fields[i].name, "grpc-message")) {
            ok = cwsi_grpc_keep(arena, fields[i].value, &got.message);
        } else if (cwsi_same_nocase(fields[i].name, "grpc-status-details-bin")) {
            ok = cwsi_grpc_keep(arena, fields[i].value, &got.details);
        }
    }
    got.no_memory = !ok;
    if (got.there || !ok) *outcome = got;
}

/* Undo percent-encoding; what is no escape, and a NUL, stays as it is. out has room for text.len
 * bytes. */
static size_t cwsi_percent_decode(cwsi_str text, char *out)
{
    size_t i, n = 0;
    for (i = 0; i < text.len; i++) {
        int high = -1, low = -1;
        if (text.at[i] == '%' && text.len - i > 2) {
            high = cwsi_hex_digit(text.at[i + 1]);
            low = cwsi_hex_digit(text.at[i + 2]);
        }
        if (high < 0 || low < 0 || high + low == 0) {
            out[n++] = text.at[i];
        } else {
            out[n++] = CWSI_CAST(char, high << 4 | low);
            i += 2;
        }
    }
    return n;
}

/* The google.rpc.Status of a failure adds details, and its message replaces the field's. One that
 * does not decode is ignored: it must not hide the error it comes with. */
static void cwsi_read_grpc_details(cwsi_arena *arena, cwsi_str text, cwsi_verdict *verdict)
{
    char *bytes = CWSI_AS(char, cwsi_arena_alloc(arena, text.len / 4 * 3 + 4));
    cwsi_rpc_Status *more;
    cwsi_str encoded = CWSI_ZERO;
    cws_status status;
    void *msg;
    if (!bytes) {
        verdict->no_memory = true;
        return;
    }
    if (!cwsi_base64_decode(text.at, text.len, bytes, &encoded.len)) return;
    encoded.at = bytes;
    status = cwsi_decode(arena, CWSI_M_rpc_Status, encoded, &msg);
    verdict->no_memory = status == CWS_ERR_NO_MEMORY;
    if (status) return;
    more = CWSI_AS(cwsi_rpc_Status, msg);
    verdict->details = more->details;
    if (more->message.len) verdict->message = more->message;
}

/* What an outcome says. code 0: success. A status that is no number is an unknown error. */
static void cwsi_read_grpc_outcome(cwsi_arena *arena, const cwsi_grpc_outcome *outcome,
                                   cwsi_verdict *verdict)
{
    uint64_t code = 0;
    memset(verdict, 0, sizeof(*verdict));
    verdict->no_memory = outcome->no_memory;
    if (!cwsi_parse_u64(outcome->status.at, outcome->status.len, &code) ||
        code > CWSI_CODE_UNAUTHENTICATED)
        code = CWSI_CODE_UNKNOWN;
    verdict->code = CWSI_CAST(int, code);
    if (code == 0 || verdict->no_memory) return;
    if (outcome->message.len) {
        char *text = CWSI_AS(char, cwsi_arena_alloc(arena, outcome->message.len));
        verdict->no_memory = text == NULL;
        if (!text) return;
        verdict->message.len = cwsi_percent_decode(outcome->message, text);
        verdict->message.at = text;
    }
    if (outcome->details.len) cwsi_read_grpc_details(arena, outcome->details, verdict);
}

/* The value of grpc-timeout: at most eight digits and a unit. Nothing if it is longer than that. */
static void cwsi_grpc_timeout(char *out, size_t size, int64_t ms)
{
    if (ms <= 99999999) (void)cwsi_format(out, size, "%lldm", CWSI_CAST(long long, ms));
    else if (ms / 1000 <= 99999999)
        (void)cwsi_format(out, size, "%lldS", CWSI_CAST(long long, ms / 1000));
}

/* ================================================================================================
 * >>impl-loop
 * The clock, randomness, timers, the queue of operations that can run, and the turn of one
 * operation. All movement of the library happens below cwsi_loop_turn.
 *
 *      ready queue --run--> PENDING: sleeps until woken by its exchange, its child or its timer
 *                   `-----> READY:   finished: waiters are woken, the callback is called, once
 * ============================================================================================= */

static int64_t cwsi_system_unix_ms(void)
{
#if defined(CLOCK_REALTIME)
    struct timespec ts;
    if (clock_gettime(CLOCK_REALTIME, &ts) == 0)
        return CWSI_CAST(int64_t, ts.tv_sec) * 1000 + ts.tv_nsec / 1000000;
#elif CWSI_UNIX
    struct timeval tv;
    if (gettimeofday(&tv, NULL) == 0)
        return CWSI_CAST(int64_t, tv.tv_sec) * 1000 + tv.tv_usec / 1000;
#endif
    return CWSI_CAST(int64_t, time(NULL)) * 1000;
}

static int64_t cwsi_system_monotonic_ms(void)
{
#if defined(CLOCK_MONOTONIC)
    struct timespec ts;
    if (clock_gettime(CLOCK_MONOTONIC, &ts) == 0)
        return CWSI_CAST(int64_t, ts.tv_sec) * 1000 + ts.tv_nsec / 1000000;
#elif defined(_WIN32)
    return CWSI_CAST(int64_t, clock()) * 1000 / CLOCKS_PER_SEC; /* there, it is elapsed time */
#endif
    return cwsi_system_unix_ms();
}

/* Milliseconds that never go back, whatever the clock below does. */
static int64_t cwsi_now(cws_client *c)
{
    int64_t now = c->monotonic_ms ? c->monotonic_ms(c->hooks_user) : cwsi_system_monotonic_ms();
    if (now > c->last_now) c->last_now = now;
    return c->last_now;
}

static int64_t cwsi_unix_now(cws_client *c)
{
    return c->unix_ms ? c->unix_ms(c->hooks_user) : cwsi_system_unix_ms();
}

/* now + ms without overflow; CWSI_NEVER stays. */
static int64_t cwsi_after(int64_t now, int64_t ms)
{
    return ms > CWSI_NEVER - now ? CWSI_NEVER : now + ms;
}

/* The end of a wait of the user's; < 0: without limit. */
static int64_t cwsi_until(cws_client *c, int64_t timeout_ms)
{
    return timeout_ms < 0 ? CWSI_NEVER : cwsi_after(cwsi_now(c), timeout_ms);
}

static uint64_t cwsi_random_u64(cws_client *c)
{
    uint64_t *s = c->rng, result, t; /* xoshiro256**, by Blackman and Vigna, public domain */
    if (c->random) {
        c->random(c->hooks_user, &result, sizeof(result));
        return result;
    }
    result = s[1] * 5;
    result = (result << 7 | result >> 57) * 9;
    t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

/* Seed from the system where it offers randomness as a file; else from what differs per run. */
static void cwsi_seed(cws_client *c)
{
    uint64_t mix = CWSI_CAST(uint64_t, cwsi_system_unix_ms()) * 0x9e3779b97f4a7c15ULL;
    size_t i, got = 0;
#ifndef CWS_NO_STDIO
    FILE *file = fopen("/dev/urandom", "rb");
    if (file) {
        setvbuf(file, NULL, _IONBF, 0);
        got = fread(c->rng, sizeof(c->rng[0]), CWSI_COUNT(c->rng), file);
        (void)fclose(file);
    }
#endif
    mix ^= CWSI_CAST(uint64_t, clock()) << 20;
    for (i = got; i < CWSI_COUNT(c->rng); i++) {
        const void *where = &c->rng[i];
        uint64_t address = 0;
        memcpy(&address, &where, sizeof(where) < sizeof(address) ? sizeof(where) : sizeof(address));
        mix += 0x9e3779b97f4a7c15ULL + address; /* splitmix64 */
        mix = (mix ^ mix >> 30) * 0xbf58476d1ce4e5b9ULL;
        mix = (mix ^ mix >> 27) * 0x94d049bb133111ebULL;
        c->rng[i] = mix ^ mix >> 31;
    }
    c->rng[0] |= 1;
}

/* A random UUID, version 4, with hyphens; out has 37 bytes. */
static void cwsi_uuid(cws_client *c, char *out)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t bits[2];
    int i, at = 0;
    bits[0] = (cwsi_random_u64(c) & ~0xf000ULL) | 0x4000ULL;
    bits[1] = (cwsi_random_u64(c) & ~(3ULL << 62)) | 2ULL << 62;
    for (i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) out[at++] = '-';
        out[at++] = hex[bits[i / 16] >> (60 - i % 16 * 4) & 15];
    }
    out[at] = '\0';
}

/* ================================================================================================
 * >>impl-timer
 * Timers: a binary heap of operations; each knows its place.
 * ============================================================================================= */

static void cwsi_heap_set(cws_client *c, size_t at, cws_op *op)
{
    c->heap[at] = op;
    op->heap_at = at + 1;
}

static void cwsi_heap_fix(cws_client *c, size_t at)
{
    cws_op *op = c->heap[at];
    while (at > 0 && c->heap[(at - 1) / 2]->wake_ms > op->wake_ms) {
        cwsi_heap_set(c, at, c->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = at * 2 + 1;
        if (child + 1 < c->heap_len && c->heap[child + 1]->wake_ms < c->heap[child]->wake_ms)
            child++;
        if (child >= c->heap_len || c->heap[child]->wake_ms >= op->wake_ms) break;
        cwsi_heap_set(c, at, c->heap[child]);
        at = child;
    }
    cwsi_heap_set(c, at, op);
}

static void cwsi_timer_clear(cws_op *op)
{
    cws_client *c = op->client;
    size_t at = op->heap_at - 1;
    if (op->heap_at == 0) return;
    op->heap_at = 0;
    c->heap_len--;
    if (at == c->heap_len) return;
    cwsi_heap_set(c, at, c->heap[c->heap_len]);
    cwsi_heap_fix(c, at);
}

static void cwsi_timer_set(cws_op *op)
{
    cws_client *c = op->client;
    if (op->wake_ms == CWSI_NEVER) {
        cwsi_timer_clear(op);
        return;
    }
    if (op->heap_at == 0) {
        CWS_ASSERT(c->heap_len < c->heap_cap);
        cwsi_heap_set(c, c->heap_len, op);
        c->heap_len++;
    }
    cwsi_heap_fix(c, op->heap_at - 1);
}

/* ================================================================================================
 * >>impl-operation
 * The life of an operation: begun, waiting, woken, ended.
 * ============================================================================================= */

/* Let the operation run at the next opportunity. Safe from the reports of a transport. */
static void cwsi_op_wake(cws_op *op)
{
    cws_client *c = op->client;
    if (op->queued || c->dead) return; /* a dead client has no more turns */
    op->queued = true;
    op->refs++; /* the queue's */
    op->ready_next = NULL;
    if (c->ready_last) c->ready_last->ready_next = op;
    else c->ready_first = op;
    c->ready_last = op;
}

/* Ask for a turn not later than `when`. */
static void cwsi_op_wake_at(cws_op *op, int64_t when)
{
    if (when < op->wake_ms) op->wake_ms = when;
}

static void cwsi_call_free(cwsi_call *call);
static void cwsi_sandbox_unref(cws_sandbox *sb);
static void cwsi_sandbox_unshare(cws_op *op);
static void cwsi_op_unref(cws_op *op);
static void cwsi_op_finish(cws_op *op);

/* Which sandbox the failure is about, as far as the operation knows. */
static void cwsi_name_sandbox(const cws_op *op, cws_error *err)
{
    const char *id = op->sandbox ? op->sandbox->id : op->about ? op->about : "";
    cwsi_copy_text(err->sandbox_id, sizeof(err->sandbox_id), id, strlen(id));
}

/* Nobody wants it any more. It ends at once, on the wire too, or, inside the loop, at its turn. */
static void cwsi_op_abandon(cws_op *op)
{
    if (op->done) return;
    op->cancelled = true;
    if (op->client->running) {
        cwsi_op_wake(op);
        return;
    }
    (void)cwsi_fail(&op->err, CWS_ERR_CANCELLED, "%s was cancelled", op->kind->name);
    cwsi_name_sandbox(op, &op->err);
    cwsi_op_finish(op);
}

/* Stop waiting for a child. */
static void cwsi_op_leave(cws_op *op)
{
    cws_op *child = op->child, **link;
    if (!child) return;
    for (link = &child->waiters; *link; link = &(*link)->waiter_next)
        if (*link == op) {
            *link = op->waiter_next;
            break;
        }
    op->child = NULL;
    if (child->for_waiters && !child->waiters) cwsi_op_abandon(child);
    cwsi_op_unref(child);
}

/* Free what a finished or abandoned operation holds of others. */
static void cwsi_op_release(cws_op *op)
{
    cwsi_op_leave(op);
    cwsi_call_free(op->call);
    op->call = NULL;
}

static void cwsi_op_unref(cws_op *op)
{
    cws_client *c = op->client;
    if (--op->refs > 0) return;
    cwsi_op_release(op);
    if (op->kind->destroy) op->kind->destroy(op);
    if (op->sandbox) cwsi_sandbox_unref(op->sandbox);
    cwsi_free(&c->mem, op);
    cwsi_client_unref(c);
}

/* A new operation of `size` bytes, live (it will get its first turn in the next poll), with one
 * reference for the caller and one for the loop. NULL: out of memory. */
static cws_op *cwsi_op_new(cws_client *c, size_t size, const cwsi_op_kind *kind, cws_sandbox *sb)
{
    cws_op *op;
    if (c->op_count >= c->heap_cap) {
        size_t cap = c->heap_cap ? c->heap_cap * 2 : 16;
        cws_op **heap = CWSI_CAST(cws_op **, cwsi_realloc(&c->mem, c->heap, cap * sizeof(*heap)));
        if (!heap) return NULL;
        c->heap = heap;
        c->heap_cap = cap;
    }
    op = CWSI_AS(cws_op, cwsi_alloc(&c->mem, size));
    if (!op) return NULL;
    op->client = c;
    c->refs++;
    op->kind = kind;
    op->sandbox = sb;
    if (sb) sb->refs++;
    op->refs = 2;
    op->deadline_ms = op->wake_ms = CWSI_NEVER;
    op->next = c->ops;
    if (c->ops) c->ops->prev = op;
    c->ops = op;
    c->op_count++;
    cwsi_op_wake(op);
    return op;
}

/* Wait for another operation. True if it has ended already. */
static bool cwsi_op_await(cws_op *op, cws_op *child)
{
    if (op->child != child) {
        cwsi_op_leave(op);
        op->child = child;
        child->refs++;
        op->waiter_next = child->waiters;
        child->waiters = op;
    }
    return child->done;
}

/* The operation has ended with op->err. Its callback, if any, follows in the loop. */
static void cwsi_op_finish(cws_op *op)
{
    cws_client *c = op->client;
    cws_op *waiter;
    if (op->done) return;
    op->done = true;
    cwsi_timer_clear(op);
    if (op->kind->ended) op->kind->ended(op);
    cwsi_op_release(op);
    cwsi_sandbox_unshare(op);
    for (waiter = op->waiters; waiter; waiter = waiter->waiter_next) cwsi_op_wake(waiter);
    if (op->prev) op->prev->next = op->next;
    else c->ops = op->next;
    if (op->next) op->next->prev = op->prev;
    op->prev = op->next = NULL;
    c->op_count--;
    if (op->on_done) {
        op->notify = true;
        cwsi_op_wake(op);
    }
    cwsi_op_unref(op); /* the loop's */
}

static cws_status cwsi_op_fail_no_memory(cws_op *op)
{
    return cwsi_no_memory(&op->err, op->kind->name);
}

static void cwsi_op_expire(cws_op *op)
{
    if (!op->kind->expire || !op->kind->expire(op))
        (void)cwsi_fail(&op->err, CWS_ERR_TIMEOUT, "%s timed out", op->kind->name);
    if (op->err.status == CWS_ERR_TIMEOUT) op->err.retryable = true;
}

static void cwsi_notify(cws_op *op)
{
    cws_client *c = op->client;
    bool outer = c->in_callback;
    if (!op->notify || !op->on_done) return;
    op->notify = false;
    c->in_callback = true;
    op->on_done(op, op->on_done_user);
    c->in_callback = outer;
}

/* One turn of one operation. */
static void cwsi_op_turn(cws_op *op)
{
    cws_client *c = op->client;
    int64_t now = cwsi_now(c);
    int before = op->step;
    cwsi_turn turn = CWSI_PENDING;
    if (op->done) {
        cwsi_notify(op);
        return;
    }
    if (op->cancelled) {
        (void)cwsi_fail(&op->err, CWS_ERR_CANCELLED, "%s was cancelled", op->kind->name);
        turn = CWSI_READY;
    } else {
        op->wake_ms = op->deadline_ms;
        turn = op->kind->run(op, now);
        if (c->log && op->step != before)
            cwsi_log(c, CWS_LOG_TRACE, "%s: %s -> %s", op->kind->name, op->kind->steps[before],
                     op->kind->steps[op->step]);
        if (turn == CWSI_PENDING && now >= op->deadline_ms) {
            cwsi_op_expire(op);
            turn = CWSI_READY;
        }
    }
    if (turn == CWSI_PENDING) {
        cwsi_timer_set(op);
        return;
    }
    if (op->err.status && !op->err.sandbox_id[0]) cwsi_name_sandbox(op, &op->err);
    if (op->err.status)
        cwsi_log(c, CWS_LOG_DEBUG, "%s: %s", cws_status_name(op->err.status), op->err.message);
    cwsi_op_finish(op);
    cwsi_notify(op);
}

/* Run what is ready; what becomes ready meanwhile runs too, within bounds. True: something ran. */
static bool cwsi_run_ready(cws_client *c)
{
    size_t turns = 0, most = c->op_count * 16 + 256;
    while (c->ready_first && turns++ < most) {
        cws_op *op = c->ready_first;
        c->ready_first = op->ready_next;
        if (!c->ready_first) c->ready_last = NULL;
        op->ready_next = NULL;
        op->queued = false;
        cwsi_op_turn(op);
        cwsi_op_unref(op); /* the queue's */
    }
    return turns > 0;
}

static void cwsi_run_timers(cws_client *c)
{
    int64_t now = cwsi_now(c);
    while (c->heap_len && c->heap[0]->wake_ms <= now) {
        cws_op *op = c->heap[0];
        cwsi_timer_clear(op);
        cwsi_op_wake(op);
    }
}

/* Wait without a transport that can. */
static void cwsi_sleep(int ms)
{
#if CWSI_UNIX
    struct timeval tv;
    tv.tv_sec = ms / 1000;
    tv.tv_usec = ms % 1000 * 1000;
    (void)select(0, NULL, NULL, NULL, &tv);
#else
    clock_t until = clock() + CWSI_CAST(clock_t, CWSI_CAST(int64_t, ms) * CLOCKS_PER_SEC / 1000);
    while (clock() < until) {}
#endif
}

static void cwsi_client_shut(cws_client *c);

#ifdef CWS_EXIT_GUARD
static bool cwsi_guard_look(void);
#else
static bool cwsi_guard_look(void)
{
    return false;
}
#endif

/* Everything that can move, moves; waits at most timeout_ms (< 0: until something happens). */
static cws_status cwsi_loop_turn(cws_client *c, int64_t timeout_ms, cws_error *err)
{
    cws_status status = CWS_OK;
    int64_t wait = timeout_ms < 0 ? CWSI_NEVER : timeout_ms, now;
    if (c->dead) return cwsi_fail(err, CWS_ERR_CLOSED, "the client is closed");
    if (c->running || c->in_callback)
        return cwsi_fail(err, CWS_ERR_REENTRANT, "a blocking call was made inside a callback");
    if (cwsi_guard_look() && wait > CWSI_GUARD_MS) wait = CWSI_GUARD_MS;
    if (c->dead) return cwsi_fail(err, CWS_ERR_CLOSED, "the client is closed");
    c->running = true;
    c->refs++;
    cwsi_run_timers(c);
    if (cwsi_run_ready(c)) wait = 0;
    if (c->ready_first) wait = 0;
    now = cwsi_now(c);
    if (c->heap_len && c->heap[0]->wake_ms < cwsi_after(now, wait))
        wait = c->heap[0]->wake_ms > now ? c->heap[0]->wake_ms - now : 0;
    if (c->op_count == 0 && wait == CWSI_NEVER && !c->transport.wakeup)
        wait = 0; /* nothing could end the wait */
    if (wait > INT_MAX) wait = 60000;
    if (c->streaming && (c->open_exchanges || wait))
        status = c->transport.poll(c->transport.user, CWSI_CAST(int, wait));
    else if (wait) cwsi_sleep(CWSI_CAST(int, wait));
    cwsi_run_timers(c);
    (void)cwsi_run_ready(c);
    c->running = false;
    if (c->free_wanted && !c->dead) cwsi_client_shut(c);
    cwsi_client_unref(c);
    if (status) return cwsi_fail(err, status, "the transport could not wait for events");
    return CWS_OK;
}

/* Run the loop until op ends or the moment `until` has come. */
static cws_status cwsi_run_until(cws_op *op, int64_t until, cws_error *err)
{
    cws_client *c = op->client;
    cws_status status = CWS_OK;
    op->refs++; /* a callback may free the handle */
    while (!op->done && !status) {
        int64_t now = cwsi_now(c);
        if (now >= until && until != CWSI_NEVER)
            status = cwsi_fail(err, CWS_ERR_WAIT_TIMEOUT,
                               "%s has not ended within the wait; it goes on", op->kind->name);
        else status = cwsi_loop_turn(c, until == CWSI_NEVER ? -1 : until - now, err);
    }
    if (!status) status = cwsi_copy_error(err, &op->err);
    cwsi_op_unref(op);
    return status;
}

/* ================================================================================================
 * >>impl-call
 * One RPC: request bytes out, reply or stream in, deadline, retries, trace. The operation that owns
 * it steps it with cwsi_call_run; a transport's reports only store what came and wake the owner.
 *
 *                        .--------------------- retry -----------------------.
 *                        v                                                   |
 *      OPEN --sent--> WAIT --reply whole / stream decided / too late--> JUDGE --> BACKOFF
 *                      |  ^                                              |
 *                      `--' a message of a stream is READY               `------> DONE
 * ============================================================================================= */

#define CWSI_CALL_STEPS(X) X(OPEN) X(WAIT) X(JUDGE) X(BACKOFF) X(DONE)
#define CWSI_AS_CALL_STEP(name) CWSI_CALL_##name,
typedef enum cwsi_call_step {
    CWSI_CALL_STEPS(CWSI_AS_CALL_STEP) CWSI_CALL_STEP_COUNT
} cwsi_call_step;

/* What may be repeated. A request that surely never reached the server may always be. */
typedef enum cwsi_retry {
    CWSI_RETRY_UNSENT, /* only that: commands, writes */
    CWSI_RETRY_SAFE,   /* also when unavailable or reset: reads, deletes, creates with a token */
    CWSI_RETRY_POLL    /* also after a timeout of one attempt, or exhaustion: status polls */
} cwsi_retry;

struct cwsi_call {
    cws_exchange exchange; /* first: the transport's name for this call */
    cws_op *op;            /* the owner */
    const cwsi_rpc *rpc;
    cwsi_call_step step;
    cwsi_retry retry;
    bool bare; /* messages without envelopes: Connect's unary calls */
    bool one;  /* the reply is one message: unary calls and streams of the client */
    cwsi_buf request; /* the message, or the envelopes, to send */
    bool more;        /* set before the first turn: the request goes on behind them, until fin */
    bool fin;         /* set by the owner, who then wakes: nothing comes behind `out` */
    bool fin_sent;
    bool out_taken; /* the transport has some of it, or its end: no other attempt can send it */
    cwsi_buf out; /* what the owner adds while the stream is open; from out_at on not yet taken */
    size_t out_at;
    int64_t rpc_ms;   /* patience of one attempt */
    int64_t deadline_ms;
    int64_t budget_ms, retry_until, resume_at, last_sleep; /* of retries; retry_until 0: none yet */
    /* the attempt under way */
    void *handle;
    bool open, ended, too_large;
    bool unopened; /* the transport did not take it */
    cws_end end;
    int64_t attempt_until;
    int http_status, http_major;
    char content_type[64];
    bool foreign_coding; /* compressed in a way that was not offered */
    bool has_length;
    uint64_t length;
    int32_t note_code;
    char note[160];
    cwsi_buf in;  /* bare: the body so far; else what was not consumed yet, from in_at on */
    size_t in_at;
    bool held;   /* set by the owner: it takes no messages now */
    bool closed; /* the transport was told to report no more */
    size_t reply_at, reply_len, replies; /* of one: where in `in` the message is; how many came */
    cwsi_arena meta;                     /* strings of the outcome */
    cwsi_grpc_outcome outcome;           /* gRPC only */
    int64_t outcome_until; /* until then something may follow an outcome in the head */
    bool outcome_settled;  /* nothing did */
    bool stream_over;      /* the end-of-stream message or the outcome was read */
    bool unclear;     /* the server may have carried out an attempt that failed */
    bool maybe_done;  /* unclear was true once */
    bool long_lived;  /* the reply takes as long as a command */
    bool spills;      /* a refusal for want of room is answered with another placement */
    cws_error err;    /* of the last attempt */
};

static cwsi_call *cwsi_call_of(cws_exchange *ex)
{
    return CWSI_AS(cwsi_call, ex);
}

/* Copy a header value if it fits; a longer one is none that we know. */
static void cwsi_take_header(char *out, size_t size, const char *value)
{
    cwsi_copy_text(out, size, value, strlen(value));
}

static void cwsi_on_head(cws_exchange *ex, int status, int http_major, const cws_header *headers,
                         size_t header_count)
{
    cwsi_call *call = cwsi_call_of(ex);
    bool grpc = call->op->client->grpc;
    const char *coding = call->bare ? "content-encoding"
                         : grpc     ? "grpc-encoding"
                                    : "connect-content-encoding";
    size_t i;
    if (status < 200) return; /* an interim response decides nothing */
    call->http_status = status;
    call->http_major = http_major;
    call->content_type[0] = '\0';
    call->foreign_coding = call->has_length = false;
    for (i = 0; i < header_count; i++) {
        const char *name = headers[i].name, *value = headers[i].value;
        if (cwsi_same_nocase(name, "content-type"))
            cwsi_take_header(call->content_type, sizeof(call->content_type), value);
        else if (cwsi_same_nocase(name, coding))
            call->foreign_coding = value[0] && !cwsi_same_nocase(value, "identity");
        else if (cwsi_same_nocase(name, "content-length"))
            call->has_length = cwsi_parse_u64(value, strlen(value), &call->length);
        else if (cwsi_same_nocase(name, "x-request-id"))
            cwsi_take_header(call->err.request_id, sizeof(call->err.request_id), value);
    }
    if (grpc) {
        cwsi_grpc_take(&call->meta, headers, header_count, &call->outcome);
        call->outcome.in_head = call->outcome.there;
    }
    cwsi_op_wake(call->op);
}

static void cwsi_on_trailers(cws_exchange *ex, const cws_header *trailers, size_t trailer_count)
{
    cwsi_call *call = cwsi_call_of(ex);
    if (!call->op->client->grpc || call->ended) return; /* Connect has none */
    cwsi_grpc_take(&call->meta, trailers, trailer_count, &call->outcome);
    cwsi_op_wake(call->op);
}

/* Is so much of a stream waiting that the peer should stop sending for a while? */
static bool cwsi_call_is_full(const cwsi_call *call)
{
    size_t have = call->in.len - call->in_at;
    unsigned flags;
    if (call->bare || call->one) return false;
    if (have <= (call->held ? CWSI_STREAM_HELD : CWSI_STREAM_AHEAD)) return false;
    return cwsi_envelope_read(call->in.at + call->in_at, &flags) <= have - CWSI_ENVELOPE;
}

/* Close the window while too much waits, because the owner holds or the peer is fast. */
static void cwsi_call_throttle(cwsi_call *call)
{
    cws_client *c = call->op->client;
    bool close = cwsi_call_is_full(call);
    if (close == call->closed || !call->open || call->ended) return;
    call->closed = close;
    c->transport.window(c->transport.user, call->handle, !close);
}

static bool cwsi_on_data(cws_exchange *ex, const void *data, size_t size)
{
    cwsi_call *call = cwsi_call_of(ex);
    cws_client *c = call->op->client;
    size_t most = c->max_message;
    if (call->ended || call->too_large || call->in.status) return false;
    cwsi_op_wake(call->op);
    if (call->http_status != 200) {
        if (!call->bare) return false; /* such a body is not looked at */
        most = CWSI_ERROR_BODY_MAX;
    }
    if (call->outcome.in_head) /* it is not the whole response */
        memset(&call->outcome, 0, sizeof(call->outcome));
    if (call->bare && (size > most || call->in.len > most - size)) {
        if (call->http_status == 200) call->too_large = true;
        else call->ended = true; /* enough to tell what failed; the rest is not fetched */
        return false;
    }
    if (!cwsi_put(&call->in, data, size)) return false;
    cwsi_call_throttle(call);
    return true;
}

static void cwsi_on_writable(cws_exchange *ex)
{
    cwsi_op_wake(cwsi_call_of(ex)->op);
}

static void cwsi_on_note(cws_exchange *ex, int32_t code, const char *text)
{
    cwsi_call *call = cwsi_call_of(ex);
    call->note_code = code;
    cwsi_copy_text(call->note, sizeof(call->note), text, strlen(text));
}

static void cwsi_on_end(cws_exchange *ex, cws_end end)
{
    cwsi_call *call = cwsi_call_of(ex);
    if (call->ended) return;
    call->ended = true;
    call->end = end;
    cwsi_op_wake(call->op);
}

static const cwsi_events *cwsi_call_events(void)
{
    static const cwsi_events events = {cwsi_on_head, cwsi_on_data, cwsi_on_writable,
                                       cwsi_on_note, cwsi_on_end,  cwsi_on_trailers};
    return &events;
}

/* End the exchange on the wire, or release it if it has ended. */
static void cwsi_call_close(cwsi_call *call)
{
    cws_client *c = call->op->client;
    if (!call->open) return;
    call->open = false;
    c->open_exchanges--;
    if (!c->dead) c->transport.cancel(c->transport.user, call->handle);
}

static void cwsi_call_free(cwsi_call *call)
{
    cws_client *c;
    if (!call) return;
    c = call->op->client;
    cwsi_call_close(call);
    cwsi_buf_free(&call->request);
    cwsi_buf_free(&call->out);
    cwsi_buf_free(&call->in);
    cwsi_arena_clear(&call->meta);
    cwsi_free(&c->mem, call);
}

/* A call for op without a request yet, replacing a former call. rpc_ms: patience of one attempt;
 * all attempts end at deadline_ms. NULL: op->err is set. */
static cwsi_call *cwsi_call_new(cws_op *op, const cwsi_rpc *rpc, cwsi_retry retry, int64_t rpc_ms,
                                int64_t deadline_ms)
{
    cws_client *c = op->client;
    cwsi_call *call = CWSI_NEW(&c->mem, cwsi_call);
    cwsi_call_free(op->call);
    op->call = call;
    if (!call) {
        (void)cwsi_op_fail_no_memory(op);
        return NULL;
    }
    call->exchange.events = cwsi_call_events();
    call->op = op;
    call->rpc = rpc;
    call->bare = rpc->kind == CWSI_UNARY && !c->grpc;
    call->one = rpc->kind == CWSI_UNARY || rpc->kind == CWSI_CLIENT;
    call->retry = retry;
    call->rpc_ms = rpc_ms;
    call->deadline_ms = deadline_ms;
    call->budget_ms = c->retry_budget_ms;
    cwsi_buf_init(&call->request, &c->mem, CWSI_MAX_MEMORY);
    /* a stream's buffer holds one message and what a transport delivers at once behind it */
    cwsi_buf_init(&call->in, &c->mem, c->max_message + (8u << 20));
    cwsi_buf_init(&call->out, &c->mem, CWSI_MAX_MEMORY);
    cwsi_arena_init(&call->meta, &c->mem);
    return call;
}

/* Could the request be put together? False: op->err is set. */
static bool cwsi_call_ready(cwsi_call *call)
{
    cws_op *op = call->op;
    if (call->request.status == CWS_OK) return true;
    if (call->request.status == CWS_ERR_NO_MEMORY) return cwsi_no(cwsi_op_fail_no_memory(op));
    return cwsi_no(
        cwsi_fail(&op->err, CWS_ERR_LIMIT, "%s: the request is too large", op->kind->name));
}

/* A call with one request message. False: op->err is set. */
static bool cwsi_call_begin(cws_op *op, cwsi_rpc_id rpc, const void *request, cwsi_retry retry,
                            int64_t rpc_ms, int64_t deadline_ms)
{
    cwsi_call *call = cwsi_call_new(op, cwsi_rpc_at(rpc), retry, rpc_ms, deadline_ms);
    if (!call) return false;
    if (call->bare) (void)cwsi_encode(&call->request, call->rpc->request, request);
    else (void)cwsi_put_envelope(&call->request, call->rpc->request, request);
    return cwsi_call_ready(call);
}

/* ================================================================================================
 * >>impl-call-open
 * An attempt of a call is handed to the transport, with its headers; the trace.
 * ============================================================================================= */

static void cwsi_trace(cwsi_call *call, bool sent, cwsi_str message)
{
    cws_client *c = call->op->client;
    cws_trace_event event = CWSI_ZERO;
    cwsi_arena arena;
    cwsi_buf text;
    void *msg;
    cwsi_msg_id id = sent ? call->rpc->request : call->rpc->response;
    if (!c->trace) return;
    cwsi_arena_init(&arena, &c->mem);
    cwsi_buf_init(&text, &c->mem, 1u << 20);
    event.rpc = call->rpc->path;
    event.sandbox_id = call->op->sandbox ? call->op->sandbox->id : "";
    event.sent = sent;
    event.bytes = message.len;
    if (cwsi_decode(&arena, id, message, &msg) == CWS_OK &&
        cwsi_encode_json(&text, &arena, id, msg, true) == CWS_OK)
        event.json = text.at;
    c->trace(&event, c->trace_user);
    cwsi_buf_free(&text);
    cwsi_arena_clear(&arena);
}

static void cwsi_trace_failure(cwsi_call *call)
{
    cws_client *c = call->op->client;
    cws_trace_event event = CWSI_ZERO;
    if (!c->trace) return;
    event.rpc = call->rpc->path;
    event.sandbox_id = call->op->sandbox ? call->op->sandbox->id : "";
    event.error = &call->err;
    c->trace(&event, c->trace_user);
}

static void cwsi_header_set(cws_header *header, const char *name, const char *value)
{
    header->name = name;
    header->value = value;
}

/* The headers of a request: the client's, then the protocol's. Returns how many; timeout keeps the
 * text of one. */
static size_t cwsi_call_headers(const cwsi_call *call, cws_header *headers, char *timeout,
                                size_t size, int64_t left)
{
    const cws_client *c = call->op->client;
    size_t n = c->header_count;
    memcpy(headers, c->headers, n * sizeof(headers[0]));
    if (c->grpc) {
        cwsi_grpc_timeout(timeout, size, left);
        cwsi_header_set(&headers[n++], "content-type", "application/grpc+proto");
        cwsi_header_set(&headers[n++], "te", "trailers");
    } else {
        if (left <= CWSI_LONGEST_MS)
            (void)cwsi_format(timeout, size, "%lld", CWSI_CAST(long long, left));
        cwsi_header_set(&headers[n++], "content-type",
                        call->bare ? "application/proto" : "application/connect+proto");
        cwsi_header_set(&headers[n++], "connect-protocol-version", "1");
    }
    if (timeout[0])
        cwsi_header_set(&headers[n++], c->grpc ? "grpc-timeout" : "connect-timeout-ms", timeout);
    return n;
}

/* Hand the request to the transport. A blocking transport also brings the reply. */
static void cwsi_call_open(cwsi_call *call, int64_t now)
{
    cws_client *c = call->op->client;
    cws_http_request request = CWSI_ZERO;
    cws_header headers[CWSI_COUNT(c->headers) + 3];
    char url[1536], timeout[16] = "";
    int64_t left;
    size_t skip = call->bare ? 0 : CWSI_ENVELOPE;
    cwsi_str message;
    call->attempt_until = cwsi_after(now, call->rpc_ms);
    if (call->deadline_ms < call->attempt_until) call->attempt_until = call->deadline_ms;
    left = call->attempt_until == CWSI_NEVER ? CWSI_NEVER : call->attempt_until - now;
    (void)cwsi_format(url, sizeof(url), "%s%s", c->base_url, call->rpc->path);
    request.method = "POST";
    request.url = url;
    request.headers = headers;
    request.header_count = cwsi_call_headers(call, headers, timeout, sizeof(timeout), left);
    request.body = call->request.len ? call->request.at : NULL;
    request.body_size = call->request.len;
    request.more_body = call->more;
    request.full_duplex = call->rpc->kind == CWSI_BIDI;
    request.long_lived = call->long_lived || call->rpc->kind != CWSI_UNARY;
    request.trailers = c->grpc;
    request.timeout_ms = left < CWSI_LONGEST_MS ? left : CWSI_LONGEST_MS;
    if (call->request.len >= skip) { /* a stream may begin without a message */
        message.at = skip ? call->request.at + skip : call->request.at;
        message.len = call->request.len - skip;
        cwsi_trace(call, true, message);
    }
    if (!c->streaming) {
        cws_end end = c->transport.perform(c->transport.user, &request, &call->exchange);
        if (!call->ended) call->end = end; /* else we stopped it: enough of an error body */
        call->ended = true;
    } else {
        cws_status status =
            c->transport.open(c->transport.user, &request, &call->exchange, &call->handle);
        call->open = status == CWS_OK;
        call->ended = call->unopened = status != CWS_OK;
        if (call->open) c->open_exchanges++;
        else call->end = status == CWS_ERR_NO_MEMORY ? CWS_END_NO_MEMORY : CWS_END_NOT_SENT;
    }
}

/* ================================================================================================
 * >>impl-judge
 * The end of an attempt: what arrived, or did not, turned into the outcome of a call.
 * ============================================================================================= */

enum { CWSI_RESET_CANCEL = 8, CWSI_RESET_CALM = 11, CWSI_RESET_INSECURE = 12 };

/* The transport failed: say so in the call's error. */
static void cwsi_judge_end(cwsi_call *call)
{
    cws_error *err = &call->err;
    const char *what = call->op->kind->name, *text = call->note[0] ? call->note : "no details";
    cws_status status;
    err->transport_code = call->note_code;
    err->rpc_code = CWSI_CODE_UNAVAILABLE;
    err->retryable = true;
    switch (call->end) {
    case CWS_END_OK: break;
    case CWS_END_NOT_SENT:
        (void)cwsi_fail(err, CWS_ERR_TRANSPORT, "%s: no connection to %s: %s", what,
                        call->op->client->base_url, text);
        break;
    case CWS_END_TLS:
        err->retryable = false;
        (void)cwsi_fail(err, CWS_ERR_TRANSPORT, "%s: TLS with %s failed: %s", what,
                        call->op->client->base_url, text);
        break;
    case CWS_END_REFUSED:
        (void)cwsi_fail(err, CWS_ERR_TRANSPORT, "%s: the server refused the request: %s", what,
                        text);
        break;
    case CWS_END_LOST:
        (void)cwsi_fail(err, CWS_ERR_TRANSPORT,
                        "%s: connection lost before the reply was whole: %s", what, text);
        break;
    case CWS_END_TIMEOUT:
        err->rpc_code = CWSI_CODE_DEADLINE_EXCEEDED;
        (void)cwsi_fail(err, CWS_ERR_REQUEST_TIMEOUT, "%s timed out: %s", what, text);
        break;
    case CWS_END_NO_MEMORY:
        err->retryable = false;
        err->rpc_code = 0;
        (void)cwsi_no_memory(err, what);
        break;
    case CWS_END_RESET: /* codes of HTTP/2, RFC 9113 section 7, read as gRPC reads them */
        err->retryable = false;
        err->rpc_code = call->note_code == CWSI_RESET_CANCEL ? CWSI_CODE_CANCELED
                        : call->note_code == CWSI_RESET_CALM ? CWSI_CODE_RESOURCE_EXHAUSTED
                        : call->note_code == CWSI_RESET_INSECURE ? CWSI_CODE_PERMISSION_DENIED
                                                                 : CWSI_CODE_INTERNAL;
        status = cwsi_status_of_code(err, err->rpc_code);
        if (err->rpc_code == CWSI_CODE_INTERNAL) status = CWS_ERR_PROTOCOL;
        (void)cwsi_fail(err, status, "%s: the server reset the stream: %s", what, text);
        break;
    case CWS_END_PROTOCOL:
        err->retryable = false;
        err->rpc_code = CWSI_CODE_INTERNAL;
        (void)cwsi_fail(err, CWS_ERR_PROTOCOL, "%s: the reply is not HTTP: %s", what, text);
        break;
    }
    if (!err->status) /* a transport's number that is no cws_end: never a success */
        (void)cwsi_fail(err, CWS_ERR_TRANSPORT, "%s: the transport reports the unknown end %d: %s",
                        what, CWSI_CAST(int, call->end), text);
}

static void cwsi_judge_too_late(cwsi_call *call)
{
    call->err.rpc_code = CWSI_CODE_DEADLINE_EXCEEDED;
    call->err.retryable = true;
    (void)cwsi_fail(&call->err, CWS_ERR_REQUEST_TIMEOUT,
                    "%s timed out: no reply from %s within the deadline", call->op->kind->name,
                    call->op->client->base_url);
}

CWSI_PRINTF(3, 4)
static void cwsi_judge_protocol(cwsi_call *call, int code, const char *text, ...)
{
    char line[256];
    va_list args;
    va_start(args, text);
    (void)cwsi_vformat(line, sizeof(line), text, args);
    va_end(args);
    call->err.rpc_code = code;
    (void)cwsi_fail(&call->err, CWS_ERR_PROTOCOL, "%s: %s", call->op->kind->name, line);
}

static void cwsi_judge_verdict(cwsi_call *call, const cwsi_verdict *verdict)
{
    cws_op *op = call->op;
    cwsi_name_sandbox(op, &call->err);
    (void)cwsi_error_from_verdict(&call->err, &op->client->mem, op->kind->name, verdict);
}

/* Is the content type the one we asked for? gRPC may leave its suffix out, or add parameters. */
static bool cwsi_is_expected_type(const cwsi_call *call, const char *family)
{
    const char *rest;
    if (!cwsi_starts_nocase(call->content_type, family)) return false;
    rest = call->content_type + strlen(family);
    if (!call->op->client->grpc) return cwsi_same_nocase(rest, "proto");
    if (cwsi_starts_nocase(rest, "+proto")) rest += strlen("+proto");
    return *rest == '\0' || *rest == ';';
}

/* Is the head that of a message we can read? Otherwise the error is set. */
static bool cwsi_judge_head(cwsi_call *call)
{
    bool grpc = call->op->client->grpc;
    const char *family = grpc         ? "application/grpc"
                         : call->bare ? "application/"
                                      : "application/connect+";
    if (!cwsi_is_expected_type(call, family)) {
        bool related = cwsi_starts_nocase(call->content_type, family);
        cwsi_judge_protocol(call, related ? CWSI_CODE_INTERNAL : CWSI_CODE_UNKNOWN,
                            "the reply has content-type '%s', not '%s%s'; is %s the sandbox API?",
                            call->content_type, family, grpc ? "+proto" : "proto",
                            call->op->client->base_url);
        return false;
    }
    if (call->foreign_coding) {
        cwsi_judge_protocol(call, CWSI_CODE_INTERNAL,
                            "the reply is compressed, which was not offered");
        return false;
    }
    return true;
}

/* A bare reply is there, or will not come: decide. */
static void cwsi_judge_bare(cwsi_call *call)
{
    cws_error *err = &call->err;
    cwsi_arena arena;
    cwsi_verdict verdict;
    cwsi_str body;
    if (call->in.status == CWS_ERR_NO_MEMORY) {
        (void)cwsi_no_memory(err, call->op->kind->name);
        return;
    }
    if (call->too_large || call->in.status) {
        err->rpc_code = CWSI_CODE_RESOURCE_EXHAUSTED;
        (void)cwsi_fail(err, CWS_ERR_LIMIT, "%s: the reply is larger than max_message_bytes (%zu)",
                        call->op->kind->name, call->op->client->max_message);
        return;
    }
    if (call->end == CWS_END_OK && !call->http_status) call->end = CWS_END_PROTOCOL;
    if (call->end != CWS_END_OK) {
        cwsi_judge_end(call);
        return;
    }
    if (call->http_status == 200) {
        if (!cwsi_judge_head(call)) return;
        if (call->has_length && call->length != call->in.len) {
            call->end = CWS_END_LOST; /* P13: some libcurl versions call a cut reply whole */
            cwsi_judge_end(call);
        }
        return;
    }
    body.at = call->in.at;
    body.len = call->in.len;
    cwsi_arena_init(&arena, &call->op->client->mem);
    cwsi_read_error_body(&arena, call->http_status, call->content_type, body, &verdict);
    if (verdict.message.len == 0 && body.len && body.len < 200) verdict.message = body;
    cwsi_judge_verdict(call, &verdict);
    cwsi_arena_clear(&arena);
}

/* The status of a response with envelopes is not 200: the body is not looked at. */
static void cwsi_judge_http(cwsi_call *call)
{
    cwsi_verdict verdict = CWSI_ZERO;
    char text[80];
    (void)cwsi_format(text, sizeof(text), "HTTP %d%s", call->http_status,
                      call->http_status == 505 ? ": streams in both directions need HTTP/2" : "");
    if (call->outcome.there) cwsi_read_grpc_outcome(&call->meta, &call->outcome, &verdict);
    if (verdict.code == 0) {
        verdict.code = cwsi_code_of_http(call->http_status);
        verdict.message = cwsi_str_of(text);
    }
    cwsi_judge_verdict(call, &verdict);
}

/* A response with envelopes has ended, in whatever way, without saying how its call went; or it is
 * one message and went well. */
static void cwsi_judge_framed(cwsi_call *call)
{
    if (call->one && (call->stream_over ? call->replies != 1 : call->replies > CWSI_MAX_REPLIES)) {
        cwsi_judge_protocol(call, CWSI_CODE_UNIMPLEMENTED,
                            "%zu messages came where one was expected", call->replies);
    } else if (call->stream_over) { /* and all is well */
    } else if (call->in.status == CWS_ERR_NO_MEMORY) {
        (void)cwsi_no_memory(&call->err, call->op->kind->name);
    } else if (call->in.status) {
        call->err.rpc_code = CWSI_CODE_RESOURCE_EXHAUSTED;
        (void)cwsi_fail(&call->err, CWS_ERR_LIMIT, "%s: more arrived at once than can be kept",
                        call->op->kind->name);
    } else if (call->http_status && call->http_status != 200) {
        cwsi_judge_http(call);
    } else if (call->end != CWS_END_OK) {
        cwsi_judge_end(call);
    } else if (call->op->client->grpc) { /* old libcurl says OK when the connection is closed */
        call->err.rpc_code = CWSI_CODE_INTERNAL;
        call->err.retryable = true;
        (void)cwsi_fail(&call->err, CWS_ERR_TRANSPORT,
                        "%s: connection lost before the trailers that say how the call went",
                        call->op->kind->name);
    } else {
        cwsi_judge_protocol(call, CWSI_CODE_INTERNAL,
                            "the stream ended without an end-of-stream message");
    }
}

/* The head of a response with envelopes is there: is it one we can read? */
static bool cwsi_judge_framed_head(cwsi_call *call)
{
    if (call->op->client->grpc && call->http_major == 1) {
        cwsi_judge_protocol(call, CWSI_CODE_INTERNAL,
                            "gRPC needs HTTP/2, but %s answered with HTTP/1.1 (status %d); "
                            "CWS_PROTOCOL_CONNECT may work there",
                            call->op->client->base_url, call->http_status);
        return false;
    }
    return call->http_status == 200 && cwsi_judge_head(call);
}

/* ================================================================================================
 * >>impl-stream
 * Messages of a stream, one after the other, and its end.
 * ============================================================================================= */

typedef enum cwsi_peek { CWSI_PEEK_NOTHING, CWSI_PEEK_MESSAGE, CWSI_PEEK_OVER } cwsi_peek;

/* The end of a Connect stream. */
static void cwsi_stream_end_connect(cwsi_call *call, cwsi_str body)
{
    cwsi_verdict verdict;
    call->stream_over = true;
    if (!cwsi_read_end_stream(&call->meta, body, &verdict) && !verdict.no_memory)
        cwsi_judge_protocol(call, CWSI_CODE_INTERNAL, "the end-of-stream message is malformed");
    else if (verdict.code || verdict.no_memory) cwsi_judge_verdict(call, &verdict);
}

/* The end of a gRPC stream: its outcome is there and counts. */
static void cwsi_stream_end_grpc(cwsi_call *call)
{
    cwsi_verdict verdict;
    call->stream_over = true;
    cwsi_read_grpc_outcome(&call->meta, &call->outcome, &verdict);
    if (verdict.code || verdict.no_memory) cwsi_judge_verdict(call, &verdict);
    else if (call->in_at < call->in.len)
        cwsi_judge_protocol(call, CWSI_CODE_INTERNAL, "the stream ended within a message");
}

/* Does the outcome count? One in the trailers does. One in the head does if nothing follows it: at
 * the end, which must be clean for a success; and a failure also after a moment of silence, because
 * the end is not reported while sending is paused (P1). */
static bool cwsi_outcome_counts(const cwsi_call *call)
{
    if (call->outcome.no_memory) return true;
    if (!call->outcome.there || call->in.status) return false;
    if (!call->outcome.in_head) return true;
    if (cwsi_str_is(call->outcome.status, "0")) return call->ended && call->end == CWS_END_OK;
    return call->ended || call->outcome_settled;
}

/* What stands next in the stream's buffer. MESSAGE: *message is set and stays until the next peek
 * after a cwsi_call_message. OVER: decided; call->err says how. */
static cwsi_peek cwsi_stream_peek(cwsi_call *call, cwsi_str *message)
{
    cws_client *c = call->op->client;
    unsigned flags = 0, known = c->grpc ? 0 : CWSI_FLAG_END;
    size_t have = call->in.len - call->in_at, len = 0;
    if (have >= CWSI_ENVELOPE) len = cwsi_envelope_read(call->in.at + call->in_at, &flags);
    if (flags & ~known) {
        cwsi_judge_protocol(call, CWSI_CODE_INTERNAL,
                            "envelope with flags %u, which were not agreed on", flags);
        return CWSI_PEEK_OVER;
    }
    if (len > c->max_message) { /* before anything of that size is kept */
        call->err.rpc_code = CWSI_CODE_RESOURCE_EXHAUSTED;
        (void)cwsi_fail(&call->err, CWS_ERR_LIMIT,
                        "%s: a message of %zu bytes is larger than max_message_bytes (%zu)",
                        call->op->kind->name, len, c->max_message);
        return CWSI_PEEK_OVER;
    }
    if (have < CWSI_ENVELOPE || have - CWSI_ENVELOPE < len) {
        if (!cwsi_outcome_counts(call)) return CWSI_PEEK_NOTHING;
        cwsi_stream_end_grpc(call);
        return CWSI_PEEK_OVER;
    }
    message->at = call->in.at + call->in_at + CWSI_ENVELOPE;
    message->len = len;
    if (!(flags & CWSI_FLAG_END)) return CWSI_PEEK_MESSAGE;
    if (have - CWSI_ENVELOPE > len)
        cwsi_judge_protocol(call, CWSI_CODE_INTERNAL, "bytes follow the end-of-stream message");
    else cwsi_stream_end_connect(call, *message);
    return CWSI_PEEK_OVER;
}

/* Take the message that cwsi_call_run announced, or return false if the stream is over. It is
 * borrowed until the next cwsi_call_run. */
static bool cwsi_call_message(cwsi_call *call, cwsi_str *message)
{
    if (call->step == CWSI_CALL_DONE || cwsi_stream_peek(call, message) != CWSI_PEEK_MESSAGE)
        return false;
    call->in_at += CWSI_ENVELOPE + message->len;
    cwsi_trace(call, false, *message);
    return true;
}

/* Set aside the message of a reply that should have only one. */
static void cwsi_stream_keep(cwsi_call *call, cwsi_str message)
{
    call->replies++;
    call->reply_at = call->in_at + CWSI_ENVELOPE;
    call->reply_len = message.len;
    call->in_at = call->reply_at + message.len;
}

/* The reply of a call that has one: the body, or the message set aside. */
static cwsi_str cwsi_call_body(const cwsi_call *call)
{
    cwsi_str body;
    body.at = call->in.at ? call->in.at + call->reply_at : "";
    body.len = call->bare ? call->in.len : call->reply_len;
    return body;
}

/* Forget consumed bytes once they are worth moving the rest. */
static void cwsi_stream_compact(cwsi_call *call)
{
    if (call->one && call->replies < 2) return; /* the reply is among them */
    cwsi_buf_compact(&call->in, &call->in_at);
}

/* ================================================================================================
 * >>impl-retry
 * When a failed attempt is followed by another, and the steps of a call.
 * ============================================================================================= */

/* Did the request surely not reach those who carry it out? */
static bool cwsi_call_unsent(const cwsi_call *call)
{
    return call->unopened || call->end == CWS_END_NOT_SENT || call->end == CWS_END_TLS ||
           (call->end == CWS_END_REFUSED && !call->http_status);
}

/* Is this a refusal for want of room, by the service itself? */
static bool cwsi_is_spillable(const cws_error *err)
{
    static const char *const reasons[] = {"RUNNER_CAPACITY_EXHAUSTED",
                                          "PLACEMENT_REJECTED",
                                          "PLACEMENT_CONSTRAINT_UNSATISFIED",
                                          "NO_SUITABLE_RUNNER",
                                          "RUNNER_OVERLOADED",
                                          "RUNNER_UNAVAILABLE"};
    size_t i, prefix = strlen("CWSANDBOX_");
    if (!cwsi_is_trusted(err) || strncmp(err->reason, "CWSANDBOX_", prefix) != 0) return false;
    for (i = 0; i < CWSI_COUNT(reasons); i++)
        if (strcmp(err->reason + prefix, reasons[i]) == 0) return true;
    return false;
}

/* May this failure be answered by another attempt? */
static bool cwsi_call_may_retry(const cwsi_call *call)
{
    cws_status status = call->err.status;
    if (status == CWS_OK || call->budget_ms <= 0) return false;
    if (call->out_taken) return false; /* gone with the attempt */
    if (call->spills && cwsi_is_spillable(&call->err)) return false; /* there is another way */
    if (status == CWS_ERR_TRANSPORT) {
        if (call->end == CWS_END_TLS) return false;
        if (cwsi_call_unsent(call)) return true;
    }
    if (call->retry != CWSI_RETRY_UNSENT && call->end == CWS_END_RESET && !call->stream_over &&
        !call->too_large && !call->in.status)
        return true;
    if (call->retry == CWSI_RETRY_POLL) return cwsi_is_retryable(status);
    return call->retry == CWSI_RETRY_SAFE && cws_status_is(status, CWS_ERR_UNAVAILABLE);
}

/* After this failure, may the server have done what was asked? A verdict of its own settles it. */
static bool cwsi_call_is_unclear(const cwsi_call *call)
{
    const cws_error *err = &call->err;
    if (call->unopened || (err->status == CWS_ERR_TRANSPORT && cwsi_call_unsent(call)))
        return call->unclear; /* it never left: no news */
    if (cws_status_is(err->status, CWS_ERR_UNAVAILABLE) && cwsi_is_trusted(err) &&
        strcmp(err->reason, "CWSANDBOX_BACKEND_UNAVAILABLE") != 0)
        return call->unclear; /* refused, and by name: a runner that is not there did nothing */
    if (cws_status_is(err->status, CWS_ERR_UNAVAILABLE) ||
        cws_status_is(err->status, CWS_ERR_TIMEOUT))
        return true;
    switch ((call->end == CWS_END_RESET && !call->stream_over) || err->status == CWS_ERR_LIMIT ||
                    err->status == CWS_ERR_PROTOCOL
                ? 0 /* our own judgement, not the server's word */
                : err->rpc_code) {
    case CWSI_CODE_INVALID_ARGUMENT: /* refused for what it asks: so were all attempts */
    case CWSI_CODE_NOT_FOUND:
    case CWSI_CODE_FAILED_PRECONDITION:
    case CWSI_CODE_OUT_OF_RANGE: return false;
    case CWSI_CODE_PERMISSION_DENIED: /* refused for who asks, or when: no news of earlier ones */
    case CWSI_CODE_RESOURCE_EXHAUSTED:
    case CWSI_CODE_UNIMPLEMENTED:
    case CWSI_CODE_UNAUTHENTICATED: return call->unclear;
    default: break;
    }
    return call->unclear || !cwsi_is_trusted(err);
}

/* Decide when to try again: the server's hint, else decorrelated jitter, within the budget and the
 * deadline. False: no more attempts. */
static bool cwsi_call_schedule_retry(cwsi_call *call, int64_t now)
{
    cws_client *c = call->op->client;
    int64_t remaining, sleep, ceiling;
    if (!cwsi_call_may_retry(call)) return false;
    if (call->retry_until == 0) call->retry_until = cwsi_after(now, call->budget_ms);
    remaining = call->retry_until < call->deadline_ms ? call->retry_until : call->deadline_ms;
    remaining -= now;
    if (remaining <= 0) return false;
    if (call->err.has_retry_after && call->err.retry_after_ms > 0) {
        sleep = call->err.retry_after_ms < CWSI_HINT_MAX_MS ? call->err.retry_after_ms
                                                            : CWSI_HINT_MAX_MS;
    } else {
        ceiling = (call->last_sleep ? call->last_sleep : CWSI_POLL_FIRST_MS) * 3 / 2;
        if (ceiling > CWSI_POLL_MAX_MS) ceiling = CWSI_POLL_MAX_MS;
        if (ceiling < CWSI_POLL_FIRST_MS) ceiling = CWSI_POLL_FIRST_MS;
        sleep = CWSI_POLL_FIRST_MS +
                CWSI_CAST(int64_t, cwsi_random_u64(c) %
                                       CWSI_CAST(uint64_t, ceiling - CWSI_POLL_FIRST_MS + 1));
    }
    if (sleep > remaining) sleep = remaining;
    call->last_sleep = sleep;
    call->resume_at = now + sleep;
    cwsi_log(c, CWS_LOG_INFO, "%s; next attempt in %lld ms", call->err.message,
             CWSI_CAST(long long, sleep));
    return true;
}

/* Forget the attempt that failed. */
static void cwsi_call_rewind(cwsi_call *call, int64_t now)
{
    int64_t remaining = call->retry_until - now;
    if (remaining < 100) remaining = 100;
    if (call->retry == CWSI_RETRY_POLL && call->rpc_ms > remaining) call->rpc_ms = remaining;
    cwsi_buf_free(&call->in);
    call->in.status = CWS_OK;
    call->in_at = 0;
    call->reply_at = call->reply_len = call->replies = 0;
    cwsi_arena_clear(&call->meta);
    memset(&call->outcome, 0, sizeof(call->outcome));
    call->outcome_until = 0;
    call->outcome_settled = false;
    call->ended = call->too_large = call->unopened = call->stream_over = call->closed = false;
    call->end = CWS_END_OK;
    call->http_status = call->http_major = 0;
    call->note[0] = '\0';
    call->note_code = 0;
    memset(&call->err, 0, sizeof(call->err));
}

/* Give the transport what waits to be sent. */
static void cwsi_call_push(cwsi_call *call)
{
    cws_client *c = call->op->client;
    size_t left = call->out.len - call->out_at, taken;
    if (!call->open || call->ended || call->fin_sent || (left == 0 && !call->fin)) return;
    taken = c->transport.send(c->transport.user, call->handle,
                              left ? call->out.at + call->out_at : "", left, call->fin);
    call->out_at += taken;
    call->out_taken = call->out_taken || taken || left == 0;
    if (taken < left) { /* it will report when there is room */
        if (call->out_at > 65536) cwsi_buf_drop(&call->out, &call->out_at);
        return;
    }
    call->fin_sent = call->fin;
    call->out_at = call->out.len = 0;
}

/* gRPC: an outcome stands in the head. Give it a moment for something to follow. */
static void cwsi_call_await_end(cwsi_call *call, int64_t now)
{
    if (!call->outcome.in_head || call->ended) return;
    if (call->outcome_until == 0) call->outcome_until = cwsi_after(now, CWSI_OUTCOME_GRACE_MS);
    call->outcome_settled = now >= call->outcome_until;
    if (!call->outcome_settled) cwsi_op_wake_at(call->op, call->outcome_until);
}

/* What has arrived? MESSAGE: of a stream. OVER: the attempt is decided. */
static cwsi_peek cwsi_call_look(cwsi_call *call, int64_t now)
{
    cwsi_str message = CWSI_ZERO;
    cwsi_peek next = CWSI_PEEK_NOTHING;
    bool stopped = call->ended || call->too_large || call->in.status;
    if (call->held) return CWSI_PEEK_NOTHING;
    if (call->bare) return stopped ? CWSI_PEEK_OVER : CWSI_PEEK_NOTHING;
    if (call->http_status && !cwsi_judge_framed_head(call)) return CWSI_PEEK_OVER;
    cwsi_call_await_end(call, now);
    if (call->http_status) next = cwsi_stream_peek(call, &message);
    while (call->one && next == CWSI_PEEK_MESSAGE) {
        cwsi_stream_keep(call, message);
        next = cwsi_stream_peek(call, &message);
        if (call->replies > CWSI_MAX_REPLIES) next = CWSI_PEEK_OVER; /* a flood, not an error */
    }
    return next == CWSI_PEEK_NOTHING && stopped ? CWSI_PEEK_OVER : next;
}

/* The attempt is over: decide how it went, end it on the wire, and say which step is next. */
static cwsi_call_step cwsi_call_judge(cwsi_call *call, int64_t now)
{
    if (!call->err.status && !call->stream_over && call->end == CWS_END_RESET &&
        call->note_code == CWSI_RESET_CANCEL && now >= call->attempt_until - CWSI_CLOCK_SLACK_MS)
        cwsi_judge_too_late(call); /* the server was a moment quicker to notice */
    if (!call->err.status) {
        if (call->bare) cwsi_judge_bare(call);
        else cwsi_judge_framed(call);
    }
    call->err.http_status = call->http_status;
    cwsi_call_close(call); /* P1: over means over, whatever the transport still waits for */
    if (call->err.status) {
        call->unclear = cwsi_call_is_unclear(call);
        if (call->unclear) call->maybe_done = true;
        cwsi_trace_failure(call);
        return cwsi_call_schedule_retry(call, now) ? CWSI_CALL_BACKOFF : CWSI_CALL_DONE;
    }
    if (call->one) cwsi_trace(call, false, cwsi_call_body(call));
    return CWSI_CALL_DONE;
}

/* Go on as far as possible. READY: a stream has a message (cwsi_call_message takes it), or the call
 * is over: step is DONE and call->err says how. */
static cwsi_turn cwsi_call_run(cwsi_call *call, int64_t now)
{
    for (;;) {
        switch (call->step) {
        case CWSI_CALL_OPEN:
            if (!call->op->client->streaming) now = cwsi_now(call->op->client); /* not stale */
            if (now < call->deadline_ms) cwsi_call_open(call, now);
            else call->attempt_until = now; /* too late: nothing is sent */
            if (!call->op->client->streaming) now = cwsi_now(call->op->client); /* it took time */
            call->step = CWSI_CALL_WAIT;
            break;
        case CWSI_CALL_WAIT:
            cwsi_call_push(call);
            cwsi_stream_compact(call);
            cwsi_call_throttle(call);
            switch (cwsi_call_look(call, now)) {
            case CWSI_PEEK_MESSAGE: return CWSI_READY;
            case CWSI_PEEK_OVER: break;
            case CWSI_PEEK_NOTHING:
                cwsi_op_wake_at(call->op, call->attempt_until);
                if (now < call->attempt_until) return CWSI_PENDING;
                cwsi_judge_too_late(call);
                break;
            }
            call->step = CWSI_CALL_JUDGE;
            break;
        case CWSI_CALL_JUDGE: call->step = cwsi_call_judge(call, now); break;
        case CWSI_CALL_BACKOFF:
            if (now < call->resume_at) {
                cwsi_op_wake_at(call->op, call->resume_at);
                return CWSI_PENDING;
            }
            if (now >= call->retry_until || now >= call->deadline_ms) {
                call->step = CWSI_CALL_DONE;
                break;
            }
            cwsi_call_rewind(call, now);
            call->step = CWSI_CALL_OPEN;
            break;
        case CWSI_CALL_DONE: return CWSI_READY;
        case CWSI_CALL_STEP_COUNT: return CWSI_READY;
        }
    }
}

static cws_status cwsi_reply_refused(const cws_client *c, cwsi_msg_id id, const void *reply,
                                     cwsi_str *text);

/* The op's unary call is over: its failure becomes the op's, or the reply is decoded into the
 * arena. False: op->err is set. */
static bool cwsi_call_reply(cws_op *op, cwsi_arena *arena, void **reply)
{
    cwsi_call *call = op->call;
    cwsi_str body;
    cws_status status;
    *reply = NULL;
    if (call->err.status) return cwsi_no(cwsi_copy_error(&op->err, &call->err));
    body = cwsi_call_body(call);
    status = cwsi_decode(arena, call->rpc->response, body, reply);
    if (status) call->unclear = true; /* done, but what was done can not be read */
    if (status == CWS_ERR_NO_MEMORY) return cwsi_no(cwsi_op_fail_no_memory(op));
    if (status) {
        cwsi_judge_protocol(call, CWSI_CODE_INTERNAL, "the reply is malformed");
        call->err.http_status = call->http_status;
        return cwsi_no(cwsi_copy_error(&op->err, &call->err));
    }
    status = cwsi_reply_refused(op->client, call->rpc->response, *reply, &body);
    if (status)
        return cwsi_no(cwsi_fail(&op->err, status, "%s failed: %.*s", op->kind->name,
                                 CWSI_CAST(int, body.len < 300 ? body.len : 300), body.at));
    return true;
}

/* ================================================================================================
 * >>impl-options
 * Checking what callers give, before any network: which option, what is wrong, what is allowed.
 * ============================================================================================= */

static cws_status cwsi_check_zero(cws_error *err, const char *options, uint32_t must_be_zero)
{
    if (!must_be_zero) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                     "%s: must_be_zero is not zero; initialise the struct with = {0} (C) or = {} "
                     "(C++)",
                     options);
}

/* A duration option in seconds to milliseconds, rounded up. 0: fallback. CWS_NONE, where allowed:
 * 0 ms. */
static cws_status cwsi_check_seconds(cws_error *err, const char *name, double seconds,
                                     int64_t fallback_ms, bool none_allowed, int64_t *ms)
{
    if (none_allowed && seconds >= CWS_NONE && seconds <= CWS_NONE) {
        *ms = 0;
        return CWS_OK;
    }
    if (!(seconds >= 0 && seconds <= CWSI_MAX_TIMEOUT_S)) /* NaN fails this too */
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "%s must be a number of seconds from 0 (default) to 1e9%s", name,
                         none_allowed ? ", or CWS_NONE" : "");
    *ms = CWSI_CAST(int64_t, seconds * 1000.0);
    if (CWSI_CAST(double, *ms) < seconds * 1000.0) ++*ms;
    if (*ms == 0) *ms = seconds > 0 ? 1 : fallback_ms;
    return CWS_OK;
}

static cws_status cwsi_check_text(cws_error *err, const char *name, const char *text)
{
    if (cwsi_utf8_valid(text, strlen(text))) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s is not UTF-8", name);
}

static size_t cwsi_count_strings(const char *const *list)
{
    size_t n = 0;
    while (list && list[n]) n++;
    return n;
}

static size_t cwsi_count_pairs(const cws_pair *pairs)
{
    size_t n = 0;
    while (pairs && pairs[n].key) n++;
    return n;
}

static cws_status cwsi_check_strings(cws_error *err, const char *name, const char *const *list)
{
    size_t i;
    char label[64];
    for (i = 0; list && list[i]; i++) {
        (void)cwsi_format(label, sizeof(label), "%s[%zu]", name, i);
        if (cwsi_check_text(err, label, list[i])) return CWS_ERR_INVALID_ARGUMENT;
    }
    return CWS_OK;
}

/* environment: names without '=', values may be empty; else both must not be empty. */
static cws_status cwsi_check_pairs(cws_error *err, const char *name, const cws_pair *pairs,
                                   bool environment)
{
    size_t i;
    char label[96];
    for (i = 0; pairs && pairs[i].key; i++) {
        const cws_pair *p = &pairs[i];
        (void)cwsi_format(label, sizeof(label), "%s['%.*s']", name, 64, p->key);
        if (p->key[0] == '\0' || (environment && strchr(p->key, '=')))
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s: the name is empty or contains '='",
                             label);
        if (!p->value)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s has no value (NULL)", label);
        if (!environment && p->value[0] == '\0')
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s: the value is empty", label);
        if (cwsi_check_text(err, label, p->key) || cwsi_check_text(err, label, p->value))
            return CWS_ERR_INVALID_ARGUMENT;
    }
    return CWS_OK;
}

/* Letters, digits and . _ -, at most 59, the last one a letter or digit (rule of the service). */
static cws_status cwsi_check_tags(cws_error *err, const char *const *tags)
{
    size_t i, k, n;
    for (i = 0; tags && tags[i]; i++) {
        n = strlen(tags[i]);
        for (k = 0; k < n; k++)
            if (!cwsi_is_alnum(tags[i][k]) && !strchr("._-", tags[i][k])) break;
        if (n == 0 || n > 59 || k < n || !cwsi_is_alnum(tags[i][n - 1]))
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "tags[%zu] '%.*s': 1 to 59 letters, digits, '.', '_', '-', with a "
                             "letter or digit at the end",
                             i, 64, tags[i]);
    }
    return CWS_OK;
}

static cws_status cwsi_check_runner_ids(cws_error *err, const char *const *ids)
{
    size_t i, k, total = 0;
    for (i = 0; ids && ids[i]; i++) {
        const char *p = ids[i];
        while (*p == ' ' || *p == '\t') p++;
        if (*p == '\0')
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "runner_ids[%zu] is blank", i);
        total += strlen(ids[i]);
        for (k = 0; k < i; k++)
            if (strcmp(ids[i], ids[k]) == 0)
                return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                                 "runner_ids[%zu] '%.*s' is there twice", i, 64, ids[i]);
        if (i >= 100 || total > 65536)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "runner_ids: at most 100 entries and 64 KiB in total");
    }
    return cwsi_check_strings(err, "runner_ids", ids);
}

static const char *cwsi_secret_variable(const cws_secret *s)
{
    return s->env_var ? s->env_var : s->name;
}

static cws_status cwsi_check_secret(cws_error *err, const cws_secret *s, size_t i)
{
    const char *missing = !s->store || !s->store[0] ? "store"
                          : !s->name || !s->name[0] ? "name"
                          : s->env_var && !s->env_var[0] ? "env_var"
                                                         : NULL;
    if (missing)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "secrets[%zu].%s must not be empty", i,
                         missing);
    if (cwsi_check_text(err, "secrets.store", s->store) ||
        cwsi_check_text(err, "secrets.name", s->name) ||
        (s->field && cwsi_check_text(err, "secrets.field", s->field)))
        return CWS_ERR_INVALID_ARGUMENT;
    return cwsi_check_text(err, "secrets.env_var", cwsi_secret_variable(s));
}

static bool cwsi_same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static cws_status cwsi_check_files(cws_error *err, const cws_mounted_file *files, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        const char *path = files[i].mount_path;
        if (!path || path[0] != '/' || path[strlen(path) - 1] == '/')
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "mounted_files[%zu].mount_path must be absolute and name a file", i);
        if (!files[i].content && files[i].size)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "mounted_files[%zu].content is NULL but size is %zu", i,
                             files[i].size);
        if (cwsi_check_text(err, "mounted_files.mount_path", path)) return CWS_ERR_INVALID_ARGUMENT;
    }
    return CWS_OK;
}

static cws_status cwsi_check_resources(cws_error *err, const cws_resources *r);
static cws_status cwsi_check_places(cws_error *err, const cws_sandbox_opts *o);
static cws_status cwsi_check_own(cws_error *err, const cws_sandbox_opts *o);
static cws_status cwsi_check_containers(cws_error *err, const cws_sandbox_opts *o);

/* Everything about one set of options that can be wrong by itself. */
static cws_status cwsi_check_sandbox_opts(cws_error *err, const cws_sandbox_opts *o)
{
    size_t i;
    int64_t unused;
    if (cwsi_check_zero(err, "cws_sandbox_opts", o->must_be_zero) ||
        (o->container_image && cwsi_check_text(err, "container_image", o->container_image)) ||
        (o->command && cwsi_check_text(err, "command", o->command)) ||
        cwsi_check_strings(err, "args", o->args) || cwsi_check_tags(err, o->tags) ||
        cwsi_check_runner_ids(err, o->runner_ids) ||
        cwsi_check_pairs(err, "environment_variables", o->environment_variables, true) ||
        cwsi_check_pairs(err, "annotations", o->annotations, false) ||
        (o->resources && cwsi_check_resources(err, o->resources)) ||
        cwsi_check_places(err, o) || cwsi_check_own(err, o) ||
        cwsi_check_files(err, o->mounted_files, o->mounted_files ? o->mounted_file_count : 0) ||
        cwsi_check_seconds(err, "request_timeout_seconds", o->request_timeout_seconds, 0, false,
                           &unused))
        return CWS_ERR_INVALID_ARGUMENT;
    if ((!o->secrets && o->secret_count) || (!o->mounted_files && o->mounted_file_count))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s is NULL but its count is not 0",
                         !o->secrets && o->secret_count ? "secrets" : "mounted_files");
    for (i = 0; i < o->secret_count; i++)
        if (cwsi_check_secret(err, &o->secrets[i], i)) return CWS_ERR_INVALID_ARGUMENT;
    if (o->max_lifetime_seconds < 0 || o->max_lifetime_seconds > CWSI_MAX_LIFETIME_S)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "max_lifetime_seconds must be 0 (default) to 2592000 (30 days)");
    return cwsi_check_containers(err, o);
}

/* ================================================================================================
 * >>impl-merge
 * Deep copies into an arena (*ok becomes false when memory ends), and merging with the session's
 * defaults after the rules of the service's own clients: explicit replaces, maps and tags and
 * secrets combine.
 * ============================================================================================= */

static const char *cwsi_keep(cwsi_arena *a, const char *text, bool *ok)
{
    const char *copy = text ? cwsi_arena_copy(a, text, strlen(text)) : NULL;
    if (text && !copy) *ok = false;
    return copy;
}

/* The two lists, one behind the other. NULL if both are NULL. */
static const char *const *cwsi_keep_strings(cwsi_arena *a, const char *const *first,
                                            const char *const *second, bool *ok)
{
    size_t n = cwsi_count_strings(first), m = cwsi_count_strings(second), i;
    const char **copy;
    if (!first && !second) return NULL;
    copy = CWSI_AS(const char *, cwsi_arena_alloc(a, (n + m + 1) * sizeof(*copy)));
    if (!copy) {
        *ok = false;
        return NULL;
    }
    for (i = 0; i < n; i++) copy[i] = cwsi_keep(a, first[i], ok);
    for (i = 0; i < m; i++) copy[n + i] = cwsi_keep(a, second[i], ok);
    return copy;
}

/* The union of two maps; the second wins per key, and so does a later entry of the same map. */
static const cws_pair *cwsi_keep_pairs(cwsi_arena *a, const cws_pair *first, const cws_pair *second,
                                       bool *ok)
{
    size_t n = cwsi_count_pairs(first), m = cwsi_count_pairs(second), i, k, len = 0;
    cws_pair *copy;
    if (!first && !second) return NULL;
    copy = CWSI_AS(cws_pair, cwsi_arena_alloc(a, (n + m + 1) * sizeof(*copy)));
    if (!copy) {
        *ok = false;
        return NULL;
    }
    for (i = 0; i < n + m; i++) {
        const cws_pair *p = i < n ? &first[i] : &second[i - n];
        for (k = 0; k < len && strcmp(copy[k].key, p->key) != 0; k++) {}
        if (k == len) copy[k].key = cwsi_keep(a, p->key, ok);
        if (!copy[k].key) return NULL;
        copy[k].value = cwsi_keep(a, p->value, ok);
        if (k == len) len++;
    }
    return copy;
}

static const cws_resources *cwsi_keep_resources(cwsi_arena *a, const cws_resources *r, bool *ok)
{
    cws_resources *copy;
    if (!r) return NULL;
    copy = CWSI_ARENA_NEW(a, cws_resources);
    if (!copy) {
        *ok = false;
        return NULL;
    }
    *copy = *r;
    copy->cpu = cwsi_keep(a, r->cpu, ok);
    copy->memory = cwsi_keep(a, r->memory, ok);
    copy->request_cpu = cwsi_keep(a, r->request_cpu, ok);
    copy->request_memory = cwsi_keep(a, r->request_memory, ok);
    copy->limit_cpu = cwsi_keep(a, r->limit_cpu, ok);
    copy->limit_memory = cwsi_keep(a, r->limit_memory, ok);
    copy->gpu_type = cwsi_keep(a, r->gpu_type, ok);
    return copy;
}

/* Both lists of secrets. Entries for the same variable must be identical and collapse to one. */
static cws_status cwsi_merge_secrets(cwsi_arena *a, const cws_sandbox_opts *d,
                                     const cws_sandbox_opts *o, cws_sandbox_opts *out,
                                     cws_error *err)
{
    size_t i, k, n = d->secret_count + o->secret_count, len = 0;
    bool ok = true;
    cws_secret *copy;
    if (n == 0) return CWS_OK;
    copy = CWSI_AS(cws_secret, cwsi_arena_alloc(a, n * sizeof(*copy)));
    if (!copy) return cwsi_no_memory(err, "secrets");
    for (i = 0; i < n; i++) {
        const cws_secret *s = i < d->secret_count ? d->secrets + i
                                                  : o->secrets + (i - d->secret_count);
        const char *variable = cwsi_secret_variable(s);
        for (k = 0; k < len && strcmp(copy[k].env_var, variable) != 0; k++) {}
        if (k < len && strcmp(copy[k].store, s->store) == 0 && strcmp(copy[k].name, s->name) == 0 &&
            cwsi_same_text(copy[k].field, s->field))
            continue;
        if (k < len)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "secrets: '%.*s' and '%.*s' both set the variable '%.*s'", 64,
                             copy[k].name, 64, s->name, 64, variable);
        copy[len].store = cwsi_keep(a, s->store, &ok);
        copy[len].name = cwsi_keep(a, s->name, &ok);
        copy[len].field = cwsi_keep(a, s->field, &ok);
        copy[len].env_var = cwsi_keep(a, variable, &ok);
        if (!ok) return cwsi_no_memory(err, "secrets");
        len++;
    }
    if (len > 50) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "secrets: at most 50");
    out->secrets = copy;
    out->secret_count = len;
    return CWS_OK;
}

static const char *cwsi_first_text(const char *a, const char *b)
{
    return a && a[0] ? a : b && b[0] ? b : NULL;
}

static const char *cwsi_keep_text(cwsi_arena *a, cwsi_str text, bool *ok)
{
    const char *copy = cwsi_arena_copy(a, text.at, text.len);
    if (!copy) *ok = false;
    return copy;
}

/* The same, but nothing is NULL. */
static const char *cwsi_keep_some(cwsi_arena *a, cwsi_str text, bool *ok)
{
    return text.len ? cwsi_keep_text(a, text, ok) : NULL;
}

static const char *const *cwsi_no_strings(void)
{
    static const char *const none[] = {NULL};
    return none;
}

/* A list of cwsi_str, ended by NULL. */
static const char *const *cwsi_keep_list(cwsi_arena *a, const cwsi_list *list, bool *ok)
{
    const char **copy =
        CWSI_AS(const char *, cwsi_arena_alloc(a, (list->len + 1) * sizeof(*copy)));
    size_t i;
    if (!copy) *ok = false;
    for (i = 0; copy && i < list->len; i++)
        copy[i] = cwsi_keep_text(a, CWSI_AS(cwsi_str, list->at)[i], ok);
    return copy;
}

static const cws_volume *cwsi_keep_volumes(cwsi_arena *a, const cws_volume *v, size_t count,
                                           bool *ok)
{
    cws_volume *copy = v ? CWSI_AS(cws_volume, cwsi_arena_alloc(a, count * sizeof(*v) + 1)) : NULL;
    size_t i;
    if (v && !copy) *ok = false;
    for (i = 0; copy && i < count; i++) {
        copy[i] = v[i];
        copy[i].name = cwsi_keep(a, v[i].name, ok);
        copy[i].mount_path = cwsi_keep(a, v[i].mount_path, ok);
        copy[i].volume_id = cwsi_keep(a, v[i].volume_id, ok);
        copy[i].size = cwsi_keep(a, v[i].size, ok);
        copy[i].restore_from_snapshot_id = cwsi_keep(a, v[i].restore_from_snapshot_id, ok);
        copy[i].sub_path = cwsi_keep(a, v[i].sub_path, ok);
    }
    return copy;
}

/* What was learned of a sandbox, into another arena. */
static void cwsi_keep_info(cwsi_arena *a, cws_sandbox_info *info, bool *ok)
{
    const cws_resources *r = cwsi_keep_resources(a, &info->resources, ok);
    const cws_service_info *old = info->services;
    size_t i;
    cws_service_info *s =
        CWSI_AS(cws_service_info, cwsi_arena_alloc(a, info->service_count * sizeof(*s) + 1));
    if (!s) *ok = false;
    for (i = 0; s && i < info->service_count; i++) {
        s[i] = old[i];
        s[i].name = cwsi_keep(a, old[i].name, ok);
        s[i].url = cwsi_keep(a, old[i].url, ok);
        s[i].address = cwsi_keep(a, old[i].address, ok);
    }
    if (r) info->resources = *r;
    info->services = s;
    info->volumes = cwsi_keep_volumes(a, info->volumes, info->volume_count, ok);
    info->snapshot_ids = cwsi_keep_strings(a, info->snapshot_ids, NULL, ok);
    info->egress_hostnames = cwsi_keep_strings(a, info->egress_hostnames, NULL, ok);
    info->tags = cwsi_keep_strings(a, info->tags, NULL, ok);
    info->display_name = cwsi_keep(a, info->display_name, ok);
    info->runtime_class = cwsi_keep(a, info->runtime_class, ok);
    info->share_token = cwsi_keep(a, info->share_token, ok);
    info->profile_id = cwsi_keep(a, info->profile_id, ok);
    info->service_address = cwsi_keep(a, info->service_address, ok);
    info->ingress_mode = cwsi_keep(a, info->ingress_mode, ok);
    info->egress_mode = cwsi_keep(a, info->egress_mode, ok);
}

/* A host name without white space around it, in lower case. */
static const char *cwsi_keep_hostname(cwsi_arena *a, const char *name, bool *ok)
{
    size_t n, i;
    char *copy;
    if (!name) return NULL;
    name += strspn(name, " \t");
    n = strcspn(name, " \t");
    copy = cwsi_arena_copy(a, name, n);
    if (!copy) *ok = false;
    for (i = 0; copy && i < n; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z') copy[i] = CWSI_CAST(char, copy[i] - 'A' + 'a');
    return copy;
}

static const char *const *cwsi_keep_hostnames(cwsi_arena *a, const char *const *names, bool *ok)
{
    size_t i, n = cwsi_count_strings(names);
    const char **copy;
    if (!names) return NULL;
    copy = CWSI_AS(const char *, cwsi_arena_alloc(a, (n + 1) * sizeof(*copy)));
    if (!copy) *ok = false;
    for (i = 0; copy && i < n; i++) copy[i] = cwsi_keep_hostname(a, names[i], ok);
    return copy;
}

static cws_network_rule *cwsi_keep_rules(cwsi_arena *a, const cws_network_rule *rules, size_t count,
                                         bool *ok)
{
    size_t i, k;
    cws_network_rule *copy = NULL;
    if (count == 0) return NULL;
    copy = CWSI_AS(cws_network_rule, cwsi_arena_alloc(a, count * sizeof(*copy)));
    if (!copy) *ok = false;
    for (i = 0; copy && i < count; i++) {
        const cws_network_rule *r = &rules[i];
        cws_port_range *ports;
        copy[i] = *r;
        copy[i].cidr = cwsi_keep(a, r->cidr, ok);
        copy[i].hostname = cwsi_keep_hostname(a, r->hostname, ok);
        copy[i].cidr_except = cwsi_keep_strings(a, r->cidr_except, NULL, ok);
        copy[i].hostname_except = cwsi_keep_hostnames(a, r->hostname_except, ok);
        copy[i].pod_labels = cwsi_keep_pairs(a, r->pod_labels, NULL, ok);
        copy[i].namespace_labels = cwsi_keep_pairs(a, r->namespace_labels, NULL, ok);
        ports = CWSI_AS(cws_port_range, cwsi_arena_alloc(a, r->port_count * sizeof(*ports) + 1));
        copy[i].ports = ports;
        if (!ports) *ok = false;
        for (k = 0; ports && k < r->port_count; k++) {
            ports[k] = r->ports[k];
            ports[k].protocol = cwsi_keep(a, r->ports[k].protocol, ok);
        }
    }
    return copy;
}

static const cws_network *cwsi_keep_network(cwsi_arena *a, const cws_network *n, bool *ok)
{
    cws_network *copy = n ? CWSI_ARENA_NEW(a, cws_network) : NULL;
    int32_t *ports;
    if (n && !copy) *ok = false;
    if (!copy) return NULL;
    *copy = *n;
    copy->egress_hostnames = cwsi_keep_hostnames(a, n->egress_hostnames, ok);
    copy->egress = cwsi_keep_rules(a, n->egress, n->egress_count, ok);
    copy->ingress = cwsi_keep_rules(a, n->ingress, n->ingress_count, ok);
    copy->ingress_mode = cwsi_keep(a, n->ingress_mode, ok);
    copy->egress_mode = cwsi_keep(a, n->egress_mode, ok);
    ports = CWSI_AS(int32_t, cwsi_arena_alloc(a, n->exposed_port_count * sizeof(*ports) + 1));
    copy->exposed_ports = ports;
    if (!ports) *ok = false;
    else if (n->exposed_port_count)
        memcpy(ports, n->exposed_ports, n->exposed_port_count * sizeof(*ports));
    return copy;
}

static const cws_file_system *cwsi_keep_file_system(cwsi_arena *a, const cws_file_system *f,
                                                    bool *ok)
{
    cws_file_system *copy = f ? CWSI_ARENA_NEW(a, cws_file_system) : NULL;
    if (f && !copy) *ok = false;
    if (!copy) return NULL;
    copy->mount_path = cwsi_keep(a, f->mount_path, ok);
    copy->size = cwsi_keep(a, f->size, ok);
    copy->snapshot_id = cwsi_keep(a, f->snapshot_id, ok);
    copy->name = cwsi_keep(a, f->name, ok);
    return copy;
}

static const cws_service *cwsi_keep_services(cwsi_arena *a, const cws_service *s, size_t count,
                                             bool *ok)
{
    cws_service *copy =
        s ? CWSI_AS(cws_service, cwsi_arena_alloc(a, count * sizeof(*s) + 1)) : NULL;
    size_t i;
    if (s && !copy) *ok = false;
    for (i = 0; copy && i < count; i++) {
        copy[i] = s[i];
        copy[i].name = cwsi_keep(a, s[i].name, ok);
    }
    return copy;
}

/* What replaces the default as a whole. */
static void cwsi_keep_places(cwsi_arena *a, const cws_sandbox_opts *d, const cws_sandbox_opts *o,
                             cws_sandbox_opts *out, bool *ok)
{
    const cws_sandbox_opts *volumes = o->volumes ? o : d, *services = o->services ? o : d;
    out->network = cwsi_keep_network(a, o->network ? o->network : d->network, ok);
    out->file_system =
        cwsi_keep_file_system(a, o->file_system ? o->file_system : d->file_system, ok);
    out->volumes = cwsi_keep_volumes(a, volumes->volumes, volumes->volume_count, ok);
    out->volume_count = volumes->volume_count;
    out->services = cwsi_keep_services(a, services->services, services->service_count, ok);
    out->service_count = services->service_count;
    out->placement = o->placement ? o->placement : d->placement;
    out->spillover = o->spillover ? o->spillover : d->spillover;
    out->profile_ids =
        cwsi_keep_strings(a, o->profile_ids ? o->profile_ids : d->profile_ids, NULL, ok);
    out->profile_names =
        cwsi_keep_strings(a, o->profile_names ? o->profile_names : d->profile_names, NULL, ok);
}

/* What belongs to a single sandbox. */
static void cwsi_take_own(cws_sandbox_opts *out, const cws_sandbox_opts *o)
{
    out->mounted_files = o->mounted_files;
    out->mounted_file_count = o->mounted_file_count;
    out->template_id = o->template_id;
    out->working_dir = o->working_dir;
    out->instance_type = o->instance_type;
    out->runtime_class = o->runtime_class;
    out->display_name = o->display_name;
    out->image_credentials = o->image_credentials;
    out->security = o->security;
    out->startup_probe = o->startup_probe;
    out->containers = o->containers;
    out->container_count = o->container_count;
    out->object_storage = o->object_storage;
    out->ports = o->ports;
    out->port_count = o->port_count;
    out->s3_mount = o->s3_mount;
    out->max_timeout_seconds = o->max_timeout_seconds;
}

/* The name of an option that can not be a default, if one is given. */
static const char *cwsi_own_option(const cws_sandbox_opts *o)
{
    return o->mounted_files         ? "mounted_files"
           : o->template_id         ? "template_id"
           : o->working_dir         ? "working_dir"
           : o->instance_type       ? "instance_type"
           : o->runtime_class       ? "runtime_class"
           : o->display_name        ? "display_name"
           : o->image_credentials   ? "image_credentials"
           : o->security            ? "security"
           : o->startup_probe       ? "startup_probe"
           : o->containers          ? "containers"
           : o->object_storage      ? "object_storage"
           : o->ports               ? "ports"
           : o->s3_mount            ? "s3_mount"
           : o->max_timeout_seconds ? "max_timeout_seconds"
                                    : NULL;
}

/* Combine defaults and explicit options (both checked) into a deep copy. What neither gives stays
 * zero, so that the result can serve as defaults again. What is not inherited is not copied. */
static cws_status cwsi_merge_sandbox_opts(cwsi_arena *a, const cws_sandbox_opts *d,
                                          const cws_sandbox_opts *o, cws_sandbox_opts *out,
                                          cws_error *err)
{
    bool ok = true, own_command = o->command && o->command[0];
    const char *image = cwsi_first_text(o->container_image, d->container_image);
    const char *const *runner_ids = o->runner_ids ? o->runner_ids : d->runner_ids;
    memset(out, 0, sizeof(*out));
    out->container_image = cwsi_keep(a, image, &ok);
    out->command = cwsi_keep(a, cwsi_first_text(o->command, d->command), &ok);
    /* arguments are inherited only together with the command they belong to */
    out->args = cwsi_keep_strings(a, o->args ? o->args : own_command ? NULL : d->args, NULL, &ok);
    out->tags = cwsi_keep_strings(a, d->tags, o->tags, &ok);
    out->runner_ids = cwsi_keep_strings(a, runner_ids, NULL, &ok);
    out->resources = cwsi_keep_resources(a, o->resources ? o->resources : d->resources, &ok);
    out->environment_variables =
        cwsi_keep_pairs(a, d->environment_variables, o->environment_variables, &ok);
    out->annotations = cwsi_keep_pairs(a, d->annotations, o->annotations, &ok);
    out->max_lifetime_seconds =
        o->max_lifetime_seconds ? o->max_lifetime_seconds : d->max_lifetime_seconds;
    out->request_timeout_seconds =
        o->request_timeout_seconds > 0 ? o->request_timeout_seconds : d->request_timeout_seconds;
    cwsi_keep_places(a, d, o, out, &ok);
    cwsi_take_own(out, o);
    if (!ok) return cwsi_no_memory(err, "sandbox options");
    if (cwsi_count_pairs(out->annotations) > 100)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "annotations: at most 100");
    return cwsi_merge_secrets(a, d, o, out, err);
}

/* ================================================================================================
 * >>impl-quantity
 * Kubernetes quantities, compared exactly: a decimal mantissa times a power of ten times a power of
 * two, brought to one scale in a fixed-size integer.
 * ============================================================================================= */

typedef struct cwsi_quantity {
    uint64_t mantissa;
    int ten, two; /* exponents */
} cwsi_quantity;

/* Exponents of the suffix; false: no such suffix. */
static bool cwsi_quantity_suffix(const char *text, size_t len, cwsi_quantity *q)
{
    static const char steps[] = "KMGTPE";
    const char *at;
    int step;
    if (len == 0) return true;
    if (len == 1 && (text[0] == 'm' || text[0] == 'k')) {
        q->ten += text[0] == 'm' ? -3 : 3;
        return true;
    }
    at = CWSI_CAST(const char *, memchr(steps, text[0], sizeof(steps) - 1));
    step = at ? CWSI_CAST(int, at - steps) + 1 : 0;
    if (len == 1 && text[0] != 'K') q->ten += 3 * step;
    else if (len == 2 && text[1] == 'i') q->two += 10 * step;
    else step = 0;
    return step > 0;
}

static bool cwsi_quantity_parse(const char *text, cwsi_quantity *q)
{
    size_t len = strlen(text), i = 0, digits = 0;
    bool point = false;
    memset(q, 0, sizeof(*q));
    for (; len && (text[0] == ' ' || text[0] == '\t'); len--) text++;
    while (len && (text[len - 1] == ' ' || text[len - 1] == '\t')) len--;
    if (len && text[0] == '+') i++;
    for (; i < len && (cwsi_is_digit(text[i]) || (text[i] == '.' && !point)); i++) {
        if (text[i] == '.') {
            point = true;
            continue;
        }
        digits++;
        if (q->mantissa > 99999999999999999ULL) return false; /* beyond 18 digits */
        q->mantissa = q->mantissa * 10 + CWSI_CAST(uint64_t, text[i] - '0');
        if (point) q->ten--;
    }
    if (digits == 0 || q->ten < -18) return false;
    if (i + 1 < len && (text[i] == 'e' || text[i] == 'E') && text[i + 1] != 'i') { /* not E, Ei */
        int64_t exponent;
        size_t skip = text[i + 1] == '+' ? 2 : 1;
        if (!cwsi_parse_i64(text + i + skip, len - i - skip, &exponent) || exponent > 18 ||
            exponent < -18)
            return false;
        q->ten += CWSI_CAST(int, exponent);
        return true;
    }
    return cwsi_quantity_suffix(text + i, len - i, q);
}

#define CWSI_LIMBS 16

static void cwsi_big_times(uint32_t *big, uint32_t factor)
{
    uint64_t carry = 0;
    int i;
    for (i = 0; i < CWSI_LIMBS; i++) {
        carry += CWSI_CAST(uint64_t, big[i]) * factor;
        big[i] = CWSI_CAST(uint32_t, carry & 0xffffffffu);
        carry >>= 32;
    }
}

/* mantissa * 10^(ten + 40) * 2^two: at most 60 + 292 + 60 bits, so 512 are enough. */
static void cwsi_big_of(const cwsi_quantity *q, uint32_t *big)
{
    int i;
    memset(big, 0, CWSI_LIMBS * sizeof(*big));
    big[0] = CWSI_CAST(uint32_t, q->mantissa & 0xffffffffu);
    big[1] = CWSI_CAST(uint32_t, q->mantissa >> 32);
    for (i = -40; i < q->ten; i++) cwsi_big_times(big, 10);
    for (i = 0; i < q->two; i++) cwsi_big_times(big, 2);
}

static bool cwsi_quantity_above(const cwsi_quantity *a, const cwsi_quantity *b)
{
    uint32_t x[CWSI_LIMBS], y[CWSI_LIMBS];
    int i;
    cwsi_big_of(a, x);
    cwsi_big_of(b, y);
    for (i = CWSI_LIMBS - 1; i >= 0; i--)
        if (x[i] != y[i]) return x[i] > y[i];
    return false;
}

/* One pair of request and limit, each of which may be NULL. */
static cws_status cwsi_check_quantities(cws_error *err, const char *name, const char *request,
                                        const char *limit)
{
    cwsi_quantity r, l;
    const char *bad = request && !cwsi_quantity_parse(request, &r) ? request
                      : limit && !cwsi_quantity_parse(limit, &l)   ? limit
                                                                   : NULL;
    if (bad)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "resources: %s '%.*s' is no quantity such as 2, 0.5, 500m, 512Mi, 4G, 1e3",
                         name, 40, bad);
    if (request && limit && cwsi_quantity_above(&r, &l))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "resources: the %s request '%.*s' is above its limit '%.*s'", name, 40,
                         request, 40, limit);
    return CWS_OK;
}

static cws_status cwsi_check_resources(cws_error *err, const cws_resources *r)
{
    bool flat = r->cpu || r->memory;
    bool nested = r->request_cpu || r->request_memory || r->limit_cpu || r->limit_memory;
    if (flat && nested)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "resources: give cpu and memory, or request_* and limit_*, not both");
    if (!flat && !nested && !r->gpu_count && !r->gpu_type && !r->gpu_memory_gb)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "resources: nothing is given in it");
    if (r->gpu_count < 0 || r->gpu_memory_gb < 0)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "resources: gpu_count and gpu_memory_gb must not be negative");
    if (r->gpu_type && r->gpu_type[0] && r->gpu_memory_gb)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "resources: give gpu_type or gpu_memory_gb, not both");
    if (r->gpu_type && cwsi_check_text(err, "resources.gpu_type", r->gpu_type))
        return CWS_ERR_INVALID_ARGUMENT;
    if (cwsi_check_quantities(err, "cpu", r->cpu, NULL) ||
        cwsi_check_quantities(err, "memory", r->memory, NULL) ||
        cwsi_check_quantities(err, "cpu", r->request_cpu, r->limit_cpu))
        return CWS_ERR_INVALID_ARGUMENT;
    return cwsi_check_quantities(err, "memory", r->request_memory, r->limit_memory);
}

/* ================================================================================================
 * >>impl-places
 * Checking network, storage, services and what belongs to a single sandbox.
 * ============================================================================================= */

static cws_status cwsi_check_count(cws_error *err, const char *name, const void *list, size_t count)
{
    if (list || count == 0) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s is NULL but its count is not 0", name);
}

static cws_status cwsi_check_optional(cws_error *err, const char *name, const char *text)
{
    return text ? cwsi_check_text(err, name, text) : CWS_OK;
}

static cws_status cwsi_check_required(cws_error *err, const char *name, const char *text)
{
    if (text && text[0]) return cwsi_check_text(err, name, text);
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s must not be empty", name);
}

/* Absolute, and not the root. */
static cws_status cwsi_check_mount(cws_error *err, const char *name, const char *path)
{
    if (!path || path[0] != '/' || path[strspn(path, "/")] == '\0')
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s must be absolute, and not \"/\"", name);
    return cwsi_check_text(err, name, path);
}

static cws_status cwsi_check_size(cws_error *err, const char *name, const char *size)
{
    cwsi_quantity q;
    if (!size || !size[0] || cwsi_quantity_parse(size, &q)) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s '%.*s' is no quantity such as \"10Gi\"",
                     name, 40, size);
}

static cws_status cwsi_check_port(cws_error *err, const char *name, int32_t port)
{
    if (port >= 1 && port <= 65535) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s must be 1 to 65535", name);
}

static cws_status cwsi_check_choice(cws_error *err, const char *name, unsigned value, unsigned most)
{
    if (value <= most) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s: %u is none of its constants", name, value);
}

/* A DNS name, labels of letters, digits and '-', maybe "*." in front. White space around it and
 * upper case do not count. */
static cws_status cwsi_check_hostname(cws_error *err, const char *label, const char *name)
{
    const char *from = name + strspn(name, " \t");
    size_t len = strcspn(from, " \t"), n, i;
    const char *p = from[0] == '*' && from[1] == '.' ? from + 2 : from, *end = from + len;
    bool ok = p < end && len <= 253 && end[strspn(end, " \t")] == '\0';
    while (ok && p < end) {
        n = strcspn(p, ". \t");
        ok = n >= 1 && n <= 63 && p[0] != '-' && p[n - 1] != '-';
        for (i = 0; ok && i < n; i++) ok = cwsi_is_alnum(p[i]) || p[i] == '-';
        p += n;
        if (*p == '.' && p + 1 == end) ok = false;
        if (*p == '.') p++;
    }
    if (ok) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                     "%s '%.*s': a DNS name such as \"pypi.org\" or \"*.example.com\"", label, 80,
                     name);
}

static cws_status cwsi_check_rule(cws_error *err, const char *label, const cws_network_rule *r,
                                  bool egress)
{
    bool selector = r->pod_labels || r->namespace_labels;
    size_t i;
    int given = (r->cidr != NULL) + (r->hostname != NULL) + (r->tenant != CWS_TENANT_NONE) +
                selector + r->any;
    if (given != 1)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "%s: give exactly one of cidr, hostname, tenant, labels, any", label);
    if (!egress && (r->hostname || selector))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "%s: hostname and labels are for egress only", label);
    if ((r->cidr_except && !r->cidr) || (r->hostname_except && !r->hostname))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s: an exception of nothing", label);
    if (r->cidr && (!strchr(r->cidr, '/') || cwsi_check_text(NULL, "", r->cidr)))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s: cidr such as \"10.0.0.0/8\"", label);
    if ((r->hostname && cwsi_check_hostname(err, label, r->hostname)) ||
        cwsi_check_choice(err, label, CWSI_CAST(unsigned, r->tenant), CWS_TENANT_SANDBOX_NETWORK) ||
        cwsi_check_strings(err, label, r->cidr_except) ||
        cwsi_check_pairs(err, label, r->pod_labels, true) ||
        cwsi_check_pairs(err, label, r->namespace_labels, true) ||
        cwsi_check_count(err, label, r->ports, r->port_count))
        return CWS_ERR_INVALID_ARGUMENT;
    for (i = 0; r->hostname_except && r->hostname_except[i]; i++)
        if (cwsi_check_hostname(err, label, r->hostname_except[i])) return CWS_ERR_INVALID_ARGUMENT;
    for (i = 0; i < r->port_count; i++) {
        const cws_port_range *p = &r->ports[i];
        if (cwsi_check_port(err, label, p->port) || cwsi_check_optional(err, label, p->protocol))
            return CWS_ERR_INVALID_ARGUMENT;
        if (p->end_port && (p->end_port < p->port || p->end_port > 65535))
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "%s: end_port must be from port to 65535", label);
    }
    return CWS_OK;
}

static cws_status cwsi_check_network(cws_error *err, const cws_network *n)
{
    char label[64];
    size_t i;
    if (cwsi_check_choice(err, "network.deny_egress", n->deny_egress, CWS_NO) ||
        cwsi_check_choice(err, "network.deny_ingress", n->deny_ingress, CWS_NO) ||
        cwsi_check_choice(err, "network.allow_dns", n->allow_dns, CWS_NO) ||
        cwsi_check_count(err, "network.egress", n->egress, n->egress_count) ||
        cwsi_check_count(err, "network.ingress", n->ingress, n->ingress_count) ||
        cwsi_check_count(err, "network.exposed_ports", n->exposed_ports, n->exposed_port_count) ||
        cwsi_check_optional(err, "network.ingress_mode", n->ingress_mode) ||
        cwsi_check_optional(err, "network.egress_mode", n->egress_mode))
        return CWS_ERR_INVALID_ARGUMENT;
    if (n->deny_egress == CWS_YES &&
        (n->egress_count || (n->egress_hostnames && n->egress_hostnames[0])))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "network: deny_egress and rules for egress exclude each other");
    if (n->deny_ingress == CWS_YES && n->ingress_count)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "network: deny_ingress and rules for ingress exclude each other");
    for (i = 0; n->egress_hostnames && n->egress_hostnames[i]; i++) {
        (void)cwsi_format(label, sizeof(label), "network.egress_hostnames[%zu]", i);
        if (cwsi_check_hostname(err, label, n->egress_hostnames[i]))
            return CWS_ERR_INVALID_ARGUMENT;
    }
    for (i = 0; i < n->egress_count + n->ingress_count; i++) {
        bool out = i < n->egress_count;
        size_t k = out ? i : i - n->egress_count;
        (void)cwsi_format(label, sizeof(label), "network.%s[%zu]", out ? "egress" : "ingress", k);
        if (cwsi_check_rule(err, label, out ? &n->egress[k] : &n->ingress[k], out))
            return CWS_ERR_INVALID_ARGUMENT;
    }
    for (i = 0; i < n->exposed_port_count; i++)
        if (cwsi_check_port(err, "network.exposed_ports", n->exposed_ports[i]))
            return CWS_ERR_INVALID_ARGUMENT;
    return CWS_OK;
}

/* Scratch in memory may be a part of the container's: 1% to 100%. */
static bool cwsi_is_percentage(const cws_volume *v)
{
    uint64_t percent = 0;
    size_t n = v->size ? strlen(v->size) : 0;
    return v->medium == CWS_STORAGE_MEMORY && n > 1 && v->size[n - 1] == '%' &&
           cwsi_parse_u64(v->size, n - 1, &percent) && percent >= 1 && percent <= 100;
}

static cws_status cwsi_check_volume(cws_error *err, const cws_volume *v, size_t i)
{
    char label[64];
    (void)cwsi_format(label, sizeof(label), "volumes[%zu]", i);
    if (cwsi_check_optional(err, label, v->name) || cwsi_check_optional(err, label, v->volume_id) ||
        cwsi_check_optional(err, label, v->restore_from_snapshot_id) ||
        cwsi_check_optional(err, label, v->sub_path) ||
        (!cwsi_is_percentage(v) && cwsi_check_size(err, label, v->size)) ||
        cwsi_check_choice(err, label, CWSI_CAST(unsigned, v->medium), CWS_STORAGE_MEMORY))
        return CWS_ERR_INVALID_ARGUMENT;
    if (v->volume_id && ((v->size && v->size[0]) || v->medium ||
                         (v->restore_from_snapshot_id && v->restore_from_snapshot_id[0])))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "%s: size, medium and restore_from_snapshot_id are for scratch, which has "
                         "no volume_id",
                         label);
    if (v->volume_id && !v->volume_id[0])
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s.volume_id must not be empty", label);
    if (v->mount_path || !v->volume_id) return cwsi_check_mount(err, label, v->mount_path);
    return CWS_OK;
}

static cws_status cwsi_check_service(cws_error *err, const cws_service *s, size_t i)
{
    char label[64];
    (void)cwsi_format(label, sizeof(label), "services[%zu]", i);
    if (cwsi_check_port(err, label, s->port) || cwsi_check_optional(err, label, s->name) ||
        cwsi_check_choice(err, label, CWSI_CAST(unsigned, s->protocol), CWS_SERVICE_SCTP) ||
        cwsi_check_choice(err, label, CWSI_CAST(unsigned, s->visibility), CWS_VISIBILITY_CUSTOM) ||
        cwsi_check_choice(err, label, CWSI_CAST(unsigned, s->endpoint),
                          CWS_ENDPOINT_TLS_PASSTHROUGH) ||
        cwsi_check_choice(err, label, CWSI_CAST(unsigned, s->auth), CWS_ENDPOINT_AUTH_SHARE_TOKEN))
        return CWS_ERR_INVALID_ARGUMENT;
    if (s->endpoint && (s->visibility != CWS_VISIBILITY_PUBLIC || s->protocol > CWS_SERVICE_TCP))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "%s: an endpoint needs visibility PUBLIC, and TCP", label);
    if (s->endpoint == CWS_ENDPOINT_HTTPS && !s->auth)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "%s: an HTTPS endpoint needs auth: OPEN or SHARE_TOKEN", label);
    if ((s->endpoint != CWS_ENDPOINT_HTTPS && s->request_timeout_seconds) ||
        (s->endpoint != CWS_ENDPOINT_HTTPS && s->auth) || s->request_timeout_seconds < 0)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "%s: auth and request_timeout_seconds (not negative) are of HTTPS "
                         "endpoints",
                         label);
    return CWS_OK;
}

/* A file_system is one more scratch volume. */
static cws_volume cwsi_file_system_volume(const cws_file_system *f)
{
    cws_volume v = CWSI_ZERO;
    v.name = f->name && f->name[0] ? f->name : CWSI_FILE_SYSTEM;
    v.mount_path = f->mount_path;
    v.size = f->size;
    v.restore_from_snapshot_id = f->snapshot_id;
    return v;
}

/* What a session can have as defaults. */
static cws_status cwsi_check_places(cws_error *err, const cws_sandbox_opts *o)
{
    size_t i;
    if ((o->network && cwsi_check_network(err, o->network)) ||
        cwsi_check_count(err, "volumes", o->volumes, o->volume_count) ||
        cwsi_check_count(err, "services", o->services, o->service_count) ||
        cwsi_check_choice(err, "placement", CWSI_CAST(unsigned, o->placement), CWS_PLACEMENT_CKS) ||
        cwsi_check_choice(err, "spillover", CWSI_CAST(unsigned, o->spillover),
                          CWS_SPILLOVER_SERVERLESS_THEN_CKS) ||
        cwsi_check_strings(err, "profile_ids", o->profile_ids) ||
        cwsi_check_strings(err, "profile_names", o->profile_names))
        return CWS_ERR_INVALID_ARGUMENT;
    if (o->file_system &&
        (cwsi_check_mount(err, "file_system.mount_path", o->file_system->mount_path) ||
         cwsi_check_size(err, "file_system.size", o->file_system->size) ||
         cwsi_check_optional(err, "file_system.snapshot_id", o->file_system->snapshot_id) ||
         cwsi_check_optional(err, "file_system.name", o->file_system->name)))
        return CWS_ERR_INVALID_ARGUMENT;
    for (i = 0; i < o->volume_count; i++)
        if (cwsi_check_volume(err, &o->volumes[i], i)) return CWS_ERR_INVALID_ARGUMENT;
    for (i = 0; i < o->service_count; i++)
        if (cwsi_check_service(err, &o->services[i], i)) return CWS_ERR_INVALID_ARGUMENT;
    return CWS_OK;
}

static cws_status cwsi_check_security(cws_error *err, const cws_security *s)
{
    if (cwsi_check_choice(err, "security.set_user", s->set_user, CWS_NO) ||
        cwsi_check_choice(err, "security.set_group", s->set_group, CWS_NO) ||
        cwsi_check_choice(err, "security.privileged", s->privileged, CWS_NO) ||
        cwsi_check_choice(err, "security.allow_privilege_escalation", s->allow_privilege_escalation,
                          CWS_NO) ||
        cwsi_check_choice(err, "security.read_only_root_filesystem", s->read_only_root_filesystem,
                          CWS_NO) ||
        cwsi_check_strings(err, "security.capabilities_add", s->capabilities_add) ||
        cwsi_check_strings(err, "security.capabilities_drop", s->capabilities_drop))
        return CWS_ERR_INVALID_ARGUMENT;
    return cwsi_check_optional(err, "security.seccomp_profile", s->seccomp_profile);
}

static cws_status cwsi_check_probe(cws_error *err, const cws_probe *p)
{
    if (!p->argv || !p->argv[0])
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "startup_probe.argv must not be empty");
    if (p->period_seconds < 0 || p->timeout_seconds < 0 || p->failure_threshold < 0 ||
        p->initial_delay_seconds < 0)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "startup_probe: its numbers must not be negative");
    return cwsi_check_strings(err, "startup_probe.argv", p->argv);
}

/* Is anything given that is about the container? */
static bool cwsi_has_container(const cws_sandbox_opts *o)
{
    return o->command || o->args || o->environment_variables || o->secret_count ||
           o->mounted_file_count || o->volume_count || o->file_system || o->resources ||
           o->working_dir || o->security || o->startup_probe || o->container_count;
}

static cws_status cwsi_check_template(cws_error *err, const cws_sandbox_opts *o)
{
    bool image = o->container_image && o->container_image[0];
    if (cwsi_check_required(err, "template_id", o->template_id)) return CWS_ERR_INVALID_ARGUMENT;
    if (o->image_credentials || o->spillover > CWS_SPILLOVER_STRICT)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "template_id: %s can not be given with it",
                         o->image_credentials ? "image_credentials" : "spillover");
    if (cwsi_has_container(o) && !image)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "template_id: options of the container need container_image with them");
    if (o->args && o->args[0] && !(o->command && o->command[0]))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "template_id: args need command with them");
    return CWS_OK;
}

/* What belongs to a single sandbox. */
static cws_status cwsi_check_own(cws_error *err, const cws_sandbox_opts *o)
{
    const cws_image_credentials *c = o->image_credentials;
    const cws_s3_mount *s3 = o->s3_mount;
    size_t i;
    if ((o->working_dir && o->working_dir[0] != '/') || o->max_timeout_seconds < 0)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         o->max_timeout_seconds < 0 ? "max_timeout_seconds must not be negative"
                                                    : "working_dir must be an absolute path");
    if (o->template_id && cwsi_check_template(err, o)) return CWS_ERR_INVALID_ARGUMENT;
    if (cwsi_check_optional(err, "working_dir", o->working_dir) ||
        cwsi_check_optional(err, "instance_type", o->instance_type) ||
        cwsi_check_optional(err, "runtime_class", o->runtime_class) ||
        cwsi_check_optional(err, "display_name", o->display_name) ||
        (o->security && cwsi_check_security(err, o->security)) ||
        (o->startup_probe && cwsi_check_probe(err, o->startup_probe)) ||
        cwsi_check_count(err, "ports", o->ports, o->port_count))
        return CWS_ERR_INVALID_ARGUMENT;
    if (c && (cwsi_check_required(err, "image_credentials.registry", c->registry) ||
              cwsi_check_required(err, "image_credentials.store", c->store) ||
              cwsi_check_required(err, "image_credentials.name", c->name) ||
              cwsi_check_optional(err, "image_credentials.field", c->field)))
        return CWS_ERR_INVALID_ARGUMENT;
    if (o->object_storage &&
        (cwsi_check_strings(err, "object_storage.buckets", o->object_storage->buckets) ||
         cwsi_check_optional(err, "object_storage.object_prefix",
                             o->object_storage->object_prefix)))
        return CWS_ERR_INVALID_ARGUMENT;
    if (o->object_storage && (!o->object_storage->buckets || !o->object_storage->buckets[0]))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "object_storage.buckets must not be empty");
    for (i = 0; i < o->port_count; i++)
        if (cwsi_check_port(err, "ports.container_port", o->ports[i].container_port) ||
            cwsi_check_optional(err, "ports.name", o->ports[i].name) ||
            cwsi_check_optional(err, "ports.protocol", o->ports[i].protocol))
            return CWS_ERR_INVALID_ARGUMENT;
    if (!s3) return CWS_OK;
    if (cwsi_check_required(err, "s3_mount.bucket", s3->bucket) ||
        cwsi_check_optional(err, "s3_mount.directory", s3->directory))
        return CWS_ERR_INVALID_ARGUMENT;
    return cwsi_check_mount(err, "s3_mount.mount_path", s3->mount_path);
}

/* What a further container has in common with the main one. */
static cws_sandbox_opts cwsi_container_opts(const cws_container *c)
{
    cws_sandbox_opts o = CWSI_ZERO;
    o.container_image = c->image;
    o.command = c->command;
    o.args = c->args;
    o.working_dir = c->working_dir;
    o.environment_variables = c->environment_variables;
    o.resources = c->resources;
    o.secrets = c->secrets;
    o.secret_count = c->secret_count;
    o.mounted_files = c->mounted_files;
    o.mounted_file_count = c->mounted_file_count;
    o.image_credentials = c->image_credentials;
    o.security = c->security;
    o.startup_probe = c->startup_probe;
    return o;
}

/* The name of a container: a DNS-1123 label. */
static bool cwsi_is_label(const char *name)
{
    size_t i, n = name ? strlen(name) : 0;
    if (n == 0 || n > 63 || name[0] == '-' || name[n - 1] == '-') return false;
    for (i = 0; i < n; i++)
        if (!(name[i] >= 'a' && name[i] <= 'z') && !cwsi_is_digit(name[i]) && name[i] != '-')
            return false;
    return true;
}

static cws_status cwsi_check_sidecar(cws_error *err, const cws_sandbox_opts *o, size_t at)
{
    const cws_container *c = &o->containers[at];
    const cws_resources *r = c->resources;
    cws_sandbox_opts like = cwsi_container_opts(c);
    size_t i;
    for (i = 0; i < at && strcmp(o->containers[i].name, c->name ? c->name : "") != 0; i++) {}
    if (!cwsi_is_label(c->name) || strcmp(c->name, CWSI_CONTAINER) == 0 || i < at)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "name: up to 63 of a-z, 0-9, '-', not at an end; unique, not \"main\"");
    if (!c->image || !c->image[0])
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "image must not be empty");
    if (c->args && c->args[0] && !(c->command && c->command[0]))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "args need command");
    if (r && (r->gpu_count || r->gpu_type || r->gpu_memory_gb))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "resources: only main can have a GPU");
    if (cwsi_check_count(err, "mounts", c->mounts, c->mount_count))
        return CWS_ERR_INVALID_ARGUMENT;
    for (i = 0; i < c->mount_count; i++) {
        const cws_mount *m = &c->mounts[i];
        if (cwsi_check_required(err, "mounts: volume", m->volume) ||
            cwsi_check_mount(err, "mounts: mount_path", m->mount_path) ||
            cwsi_check_optional(err, "mounts: sub_path", m->sub_path))
            return CWS_ERR_INVALID_ARGUMENT;
    }
    return cwsi_check_sandbox_opts(err, &like);
}

static cws_status cwsi_check_containers(cws_error *err, const cws_sandbox_opts *o)
{
    size_t i;
    cws_error why;
    if (cwsi_check_count(err, "containers", o->containers, o->container_count))
        return CWS_ERR_INVALID_ARGUMENT;
    for (i = 0; i < o->container_count; i++) {
        if (!cwsi_check_sidecar(&why, o, i)) continue;
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "containers[%zu].%s", i, why.message);
    }
    return CWS_OK;
}

/* ================================================================================================
 * >>impl-lacks
 * What a dialect does not have, and what to use there instead.
 * ============================================================================================= */

/* An option that this dialect does not have. */
typedef struct cwsi_lack {
    bool given;
    const char *option, *instead;
} cwsi_lack;

static cws_status cwsi_check_lacks(cws_error *err, const char *dialect, const cwsi_lack *lacks,
                                   size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (lacks[i].given)
            return cwsi_fail(err, CWS_ERR_UNSUPPORTED, "%s is not there in %s; %s",
                             lacks[i].option, dialect, lacks[i].instead);
    return CWS_OK;
}

static bool cwsi_has_volume(const cws_sandbox_opts *o, const char *name)
{
    size_t i;
    for (i = 0; i < o->volume_count; i++)
        if (o->volumes[i].name && strcmp(o->volumes[i].name, name) == 0) return true;
    return o->file_system && strcmp(cwsi_file_system_volume(o->file_system).name, name) == 0;
}

/* Do the names of volumes lead somewhere? o is merged. */
static cws_status cwsi_v1_check_volumes(cws_error *err, const cws_sandbox_opts *o)
{
    size_t i, k;
    for (i = 0; i < o->volume_count; i++)
        if (!o->volumes[i].name || !o->volumes[i].name[0])
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "volumes[%zu].name must not be empty",
                             i);
    for (i = 0; !o->template_id && i < o->container_count; i++)
        for (k = 0; k < o->containers[i].mount_count; k++)
            if (!cwsi_has_volume(o, o->containers[i].mounts[k].volume))
                return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                                 "containers[%zu].mounts[%zu].volume '%.*s' is not in volumes", i,
                                 k, 64, o->containers[i].mounts[k].volume);
    return CWS_OK;
}

static cws_status cwsi_v1_lacks(const cws_sandbox_opts *o, cws_error *err)
{
    const cws_network *n = o->network;
    const char *runners = "use runner_ids, or placement";
    const cwsi_lack lacks[] = {
        {o->profile_ids && o->profile_ids[0], "profile_ids", runners},
        {o->profile_names && o->profile_names[0], "profile_names", runners},
        {o->port_count > 0, "ports", "use services"},
        {o->s3_mount != NULL, "s3_mount", "use volumes with a volume_id"},
        {o->max_timeout_seconds != 0, "max_timeout_seconds", "use request_timeout_seconds"},
        {n && n->ingress_mode && n->ingress_mode[0], "network.ingress_mode",
         "use services with a visibility, or network.deny_ingress"},
        {n && n->egress_mode && n->egress_mode[0], "network.egress_mode",
         "use network.deny_egress, or rules in network.egress"},
        {n && n->exposed_port_count, "network.exposed_ports", "use services"}};
    if (cwsi_check_lacks(err, "v1", lacks, CWSI_COUNT(lacks))) return CWS_ERR_UNSUPPORTED;
    if (cwsi_v1_check_volumes(err, o)) return CWS_ERR_INVALID_ARGUMENT;
    if (o->runner_ids && o->runner_ids[0] && o->placement == CWS_PLACEMENT_SERVERLESS)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "runner_ids mean CKS placement, not SERVERLESS");
    if (o->spillover == CWS_SPILLOVER_CKS_THEN_SERVERLESS &&
        o->placement == CWS_PLACEMENT_SERVERLESS)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "spillover CKS_THEN_SERVERLESS and placement SERVERLESS exclude each "
                         "other");
    if (o->spillover == CWS_SPILLOVER_SERVERLESS_THEN_CKS &&
        (o->placement == CWS_PLACEMENT_CKS || (o->runner_ids && o->runner_ids[0])))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "spillover SERVERLESS_THEN_CKS excludes placement CKS and runner_ids");
    return CWS_OK;
}

static cws_status cwsi_b2_lacks(const cws_sandbox_opts *o, cws_error *err)
{
    const cws_network *n = o->network;
    const char *newer = "use api_version CWS_API_V1";
    const cwsi_lack lacks[] = {
        {o->services && o->service_count, "services", "use ports and network.exposed_ports"},
        {o->placement != CWS_PLACEMENT_DEFAULT, "placement", "use profile_names or runner_ids"},
        {o->spillover > CWS_SPILLOVER_STRICT, "spillover", "name several profiles"},
        {o->template_id != NULL, "template_id", "give the options themselves"},
        {o->working_dir != NULL, "working_dir", "use cwd of cws_exec_opts"},
        {o->instance_type != NULL, "instance_type", "use profile_names"},
        {o->runtime_class != NULL, "runtime_class", newer},
        {o->display_name != NULL, "display_name", "use tags or annotations"},
        {o->image_credentials != NULL, "image_credentials", newer},
        {o->security != NULL, "security", newer},
        {o->startup_probe != NULL, "startup_probe", newer},
        {o->container_count > 0, "containers", newer},
        {o->file_system && o->file_system->name && o->file_system->name[0], "file_system.name",
         "leave it out"},
        {n && n->deny_egress, "network.deny_egress", "use network.egress_mode"},
        {n && n->deny_ingress, "network.deny_ingress", "use network.ingress_mode"},
        {n && n->allow_dns, "network.allow_dns", "use network.egress_mode"},
        {n && n->egress_hostnames && n->egress_hostnames[0], "network.egress_hostnames",
         "use network.egress_mode"},
        {n && n->egress_count, "network.egress", "use network.egress_mode"},
        {n && n->ingress_count, "network.ingress", "use network.ingress_mode"}};
    size_t i;
    if (cwsi_check_lacks(err, "v1beta2", lacks, CWSI_COUNT(lacks))) return CWS_ERR_UNSUPPORTED;
    for (i = 0; i < o->volume_count; i++) {
        if (!o->volumes[i].volume_id)
            return cwsi_fail(err, CWS_ERR_UNSUPPORTED,
                             "volumes[%zu]: scratch is not there in v1beta2; use file_system", i);
        if (!o->volumes[i].mount_path)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "volumes[%zu].mount_path is required in v1beta2", i);
    }
    return CWS_OK;
}

/* ================================================================================================
 * >>impl-dialect
 * What differs between the API versions: which call does what, options to request messages, replies
 * to one common view.
 * ============================================================================================= */

/* What a reply says about a sandbox, whatever the dialect. Borrowed from the decoded reply. */
typedef struct cwsi_view {
    const void *reply; /* that learn reads; NULL: nothing to learn */
    /* What else a reply says goes into info, with its texts in the arena. */
    void (*learn)(cwsi_arena *a, const void *reply, cws_sandbox_info *info, bool *ok);
    cwsi_str id, reason, runner, group;
    cws_state state;
    int32_t state_number;
    int64_t create_ms, start_ms, end_ms;
    bool has_exit_code;
    int32_t exit_code;
    const cwsi_str *snapshot_ids; /* taken by a stop */
    size_t snapshot_count;
} cwsi_view;

/* One message of an exec stream. */
typedef enum cwsi_exec_event_kind {
    CWSI_EXEC_NOTHING,
    CWSI_EXEC_READY,
    CWSI_EXEC_OUTPUT,
    CWSI_EXEC_EXIT,
    CWSI_EXEC_ERROR
} cwsi_exec_event_kind;

typedef struct cwsi_exec_event {
    cwsi_exec_event_kind kind;
    cws_stream_id stream;
    cwsi_str data; /* OUTPUT; ERROR: the text */
    cwsi_str code; /* ERROR */
    int32_t exit_code;
} cwsi_exec_event;

/* A unary exec's reply. */
typedef struct cwsi_exec_reply {
    cwsi_str out, err;
    uint64_t out_produced, err_produced;
    bool out_truncated, err_truncated;
    bool exited; /* with exit_code */
    int32_t exit_code;
} cwsi_exec_reply;

typedef struct cwsi_exec_request {
    cwsi_str sandbox_id, container;
    cwsi_list command; /* of cwsi_str */
    cwsi_list env;     /* of cwsi_map_StrStr */
    int32_t max_output;
    int64_t timeout_ms;
    bool tty;
    uint32_t width, height;
} cwsi_exec_request;

typedef struct cwsi_logs_request {
    cwsi_str sandbox_id, container, session_id; /* with a session: a resume */
    uint64_t offset;
    bool follow, timestamps;
    int32_t tail_lines;
    int64_t since_ms;
} cwsi_logs_request;

/* One message of a log stream. */
typedef struct cwsi_logs_event {
    cwsi_str data, session_id;
    uint64_t offset; /* behind data; 0: not told */
    int64_t unix_ms;
    bool failed, over; /* over: nothing follows */
    cwsi_str text, code;
} cwsi_logs_event;

typedef struct cwsi_list_request {
    cwsi_list tags, runner_ids, profile_ids, profile_names; /* of cwsi_str */
    cws_state state;
    bool include_stopped;
    cwsi_str page_token;
} cwsi_list_request;

typedef struct cwsi_stop_request {
    cwsi_str id;
    int32_t grace_s;
    bool missing_ok;
    bool snapshot, wait;
    cwsi_list volumes; /* of cwsi_str: whose snapshots are taken */
    cwsi_str request_id;
} cwsi_stop_request;

/* What can be asked without a sandbox object. */
typedef enum cwsi_ask {
    CWSI_ASK_SNAPSHOT_CREATE,
    CWSI_ASK_SNAPSHOT_GET,
    CWSI_ASK_SNAPSHOT_LIST,
    CWSI_ASK_SNAPSHOT_DELETE,
    CWSI_ASK_BUCKET_GET,
    CWSI_ASK_BUCKET_SET,
    CWSI_ASK_RUNNER_LIST,
    CWSI_ASK_RUNNER_GET,
    CWSI_ASK_PROFILE_LIST,
    CWSI_ASK_PROFILE_GET,
    CWSI_ASK_COUNT
} cwsi_ask;

typedef struct cwsi_question {
    cwsi_ask ask;
    cwsi_str id; /* of the snapshot or runner, SNAPSHOT_CREATE: of the sandbox; BUCKET_SET: name */
    cwsi_str page_token;
    cwsi_str volume, request_id; /* SNAPSHOT_CREATE */
    bool wait;                   /* SNAPSHOT_CREATE: the service may wait until it is ready */
    int64_t timeout_ms;          /* SNAPSHOT_CREATE */
    cwsi_str sandbox_id;         /* SNAPSHOT_LIST */
    bool missing_ok;             /* SNAPSHOT_DELETE */
    cwsi_str region;             /* BUCKET_SET */
    cwsi_str group, organization, profile, gpu_type, architecture;
    int32_t visibility;
    bool full, healthy_only, exclude_shared;
} cwsi_question;

/* What was found: items of one type, with their texts. */
typedef struct cwsi_found {
    cws_client *client; /* held */
    cwsi_arena arena;
    cwsi_list items; /* of cws_snapshot, cws_runner or cws_profile */
    cws_snapshot_bucket bucket;
} cwsi_found;

struct cws_snapshot_list {
    cwsi_found found;
};

struct cws_runner_list {
    cwsi_found found;
};

struct cws_profile_list {
    cwsi_found found;
};

/* A file in one message. */
typedef struct cwsi_file_request {
    cwsi_str sandbox_id, path, container, content;
    int64_t timeout_ms;
} cwsi_file_request;

struct cwsi_dialect {
    const char *name;
    bool once;        /* a create has no token: repeating it would make another sandbox */
    bool split_lines; /* long lines of a log are cut by default, not an error */
    bool duplex_logs; /* logs are a stream in both directions */
    bool containers;  /* a command, file or log can name its container */
    bool profiles;    /* there are such things */
    bool one_volume;  /* a sandbox has at most one that snapshots are taken of, without a name */
    /* Encode the create request. opts is merged and complete but for built-in defaults. */
    cws_status (*create_encode)(cwsi_arena *a, const cws_sandbox_opts *opts, const char *request_id,
                                cwsi_buf *out);
    /* Options that this dialect does not have, or has other rules for. */
    cws_status (*lacks)(const cws_sandbox_opts *opts, cws_error *err);
    cwsi_rpc_id create_rpc, template_rpc; /* the latter with template_id */
    bool (*get_begin)(cws_op *op, cwsi_str id, cwsi_retry retry, int64_t rpc_ms, int64_t deadline);
    bool (*stop_begin)(cws_op *op, const cwsi_stop_request *r, int64_t rpc_ms, int64_t deadline);
    bool (*delete_begin)(cws_op *op, cwsi_str id, int64_t rpc_ms, int64_t deadline);
    bool (*list_begin)(cws_op *op, const cwsi_list_request *r, int64_t rpc_ms, int64_t deadline);
    int32_t (*state_number)(cws_state state); /* 0: there is no such state */
    bool (*exec_begin)(cws_op *op, const cwsi_exec_request *r, bool unary, int64_t deadline);
    bool (*read_begin)(cws_op *op, const cwsi_file_request *r, int64_t deadline);
    bool (*write_begin)(cws_op *op, const cwsi_file_request *r, int64_t deadline);
    /* A reply that says no although its call went well: *text is why. NULL: there are none. */
    cws_status (*refused)(cwsi_msg_id id, const void *reply, cwsi_str *text);
    /* Replies of create, get, stop; false: the reply names no sandbox. */
    bool (*create_view)(const void *reply, cwsi_view *view);
    bool (*get_view)(const void *reply, cwsi_view *view);
    /* An accepted stop; false: there was nothing to stop. view->id may be empty: nothing is said
     * about the sandbox. */
    bool (*stop_view)(const void *reply, cwsi_view *view);
    size_t (*list_count)(const void *reply);
    bool (*list_view)(const void *reply, size_t index, cwsi_view *view);
    cwsi_str (*list_next)(const void *reply);
    cwsi_str (*read_content)(const void *reply);
    void (*exec_reply)(const void *reply, cwsi_exec_reply *out);
    void (*exec_event)(const void *message, cwsi_exec_event *event);
    bool (*exec_input)(cwsi_buf *out, const cwsi_str *data); /* an envelope; NULL: the end */
    bool (*exec_resize)(cwsi_buf *out, uint32_t width, uint32_t height);
    bool (*logs_begin)(cws_op *op, const cwsi_logs_request *r, int64_t deadline);
    void (*logs_event)(const void *message, cwsi_logs_event *event);
    /* NULL: there is no such thing. */
    bool (*pause_begin)(cws_op *op, cwsi_str id, bool resume, int64_t rpc_ms, int64_t deadline);
    /* Op's kind names what is missing if the dialect can not be asked: op->err is set. */
    bool (*ask_begin)(cws_op *op, const cwsi_question *q, int64_t rpc_ms, int64_t deadline);
    /* Add what a reply tells; returns the token of the next page. */
    cwsi_str (*ask_read)(const cwsi_question *q, const void *reply, cwsi_found *found, bool *ok);
};

/* Does a reply say no, although its call went well? */
static cws_status cwsi_reply_refused(const cws_client *c, cwsi_msg_id id, const void *reply,
                                     cwsi_str *text)
{
    return c->dialect->refused ? c->dialect->refused(id, reply, text) : CWS_OK;
}

static int64_t cwsi_pb_time(const cwsi_pb_Timestamp *t)
{
    if (!t || t->seconds > 253402300799LL || t->seconds < -62135596800LL) return 0;
    return t->seconds * 1000 + t->nanos / 1000000;
}

static cwsi_pb_Timestamp cwsi_pb_time_of(int64_t unix_ms)
{
    cwsi_pb_Timestamp t = CWSI_ZERO;
    t.seconds = unix_ms / 1000;
    t.nanos = CWSI_CAST(int32_t, unix_ms % 1000 * 1000000);
    return t;
}

/* A count as servers send it; a negative one is none. */
static uint64_t cwsi_count_of(int64_t value)
{
    return value > 0 ? CWSI_CAST(uint64_t, value) : 0;
}

/* ================================================================================================
 * >>impl-view-v1
 * What coreweave.sandbox.v1 answers. Only this section and the next two know its messages.
 * ============================================================================================= */

static cws_state cwsi_v1_state(int32_t number)
{
    switch (number) {
    case CWSI_v1_STATE_CREATING: return CWS_STATE_CREATING;
    case CWSI_v1_STATE_RUNNING: return CWS_STATE_RUNNING;
    case CWSI_v1_STATE_COMPLETED: return CWS_STATE_COMPLETED;
    case CWSI_v1_STATE_FAILED: return CWS_STATE_FAILED;
    case CWSI_v1_STATE_TERMINATING: return CWS_STATE_TERMINATING;
    case CWSI_v1_STATE_TERMINATED: return CWS_STATE_TERMINATED;
    case CWSI_v1_STATE_PENDING: return CWS_STATE_PENDING;
    case CWSI_v1_STATE_PAUSED: return CWS_STATE_PAUSED;
    case CWSI_v1_STATE_PREPARING: return CWS_STATE_PREPARING;
    default: return CWS_STATE_UNSPECIFIED;
    }
}

static int32_t cwsi_v1_state_number(cws_state state)
{
    int32_t number;
    for (number = CWSI_v1_STATE_PREPARING; number > 0; number--)
        if (cwsi_v1_state(number) == state) return number;
    return CWSI_v1_STATE_UNSPECIFIED;
}

static void cwsi_v1_learn_resources(cwsi_arena *a, const cwsi_v1_SandboxStatus *s,
                                    cws_resources *out, bool *ok)
{
    const cwsi_v1_ResourceRequirements *r = s->effective_resource_requirements;
    const cwsi_v1_Resources *requests = r ? r->requests : s->effective_resources;
    const cwsi_v1_Resources *limits = r ? r->limits : s->effective_resources;
    const cwsi_v1_Gpu *gpu = limits && limits->gpu ? limits->gpu : requests ? requests->gpu : NULL;
    if (!requests && !limits) return;
    memset(out, 0, sizeof(*out));
    if (requests) {
        out->request_cpu = cwsi_keep_some(a, requests->cpu, ok);
        out->request_memory = cwsi_keep_some(a, requests->memory, ok);
    }
    if (limits) {
        out->limit_cpu = cwsi_keep_some(a, limits->cpu, ok);
        out->limit_memory = cwsi_keep_some(a, limits->memory, ok);
    }
    if (!gpu) return;
    out->gpu_count = gpu->count;
    out->gpu_type = gpu->has_type ? cwsi_keep_some(a, gpu->type, ok) : NULL;
    out->gpu_memory_gb = gpu->has_memory_gb ? gpu->memory_gb : 0;
}

/* A number newer than this header is shown as the default. */
static unsigned cwsi_known(int32_t number, unsigned most)
{
    return number > 0 && CWSI_CAST(unsigned, number) <= most ? CWSI_CAST(unsigned, number) : 0;
}

static void cwsi_v1_learn_services(cwsi_arena *a, const cwsi_list *list, cws_sandbox_info *info,
                                   bool *ok)
{
    size_t i;
    cws_service_info *out =
        CWSI_AS(cws_service_info, cwsi_arena_alloc(a, list->len * sizeof(*out) + 1));
    if (!out) *ok = false;
    for (i = 0; out && i < list->len; i++) {
        const cwsi_v1_ServiceStatus *s = CWSI_AT(v1_ServiceStatus, *list, i);
        const cwsi_v1_EndpointStatus *e = s->endpoint;
        cwsi_str url = s->url;
        if (!url.len && e) url = e->url;
        out[i].port = s->port;
        out[i].name = cwsi_keep_text(a, s->name, ok);
        out[i].url = cwsi_keep_text(a, url, ok);
        out[i].address = cwsi_keep_text(a, e ? e->address : cwsi_str_of(""), ok);
        out[i].protocol =
            CWSI_CAST(cws_service_protocol, cwsi_known(s->protocol, CWS_SERVICE_SCTP));
        out[i].visibility =
            CWSI_CAST(cws_visibility, cwsi_known(s->visibility, CWS_VISIBILITY_CUSTOM));
        if (!e) continue;
        out[i].endpoint =
            CWSI_CAST(cws_endpoint, cwsi_known(e->kind, CWS_ENDPOINT_TLS_PASSTHROUGH));
        out[i].auth =
            CWSI_CAST(cws_endpoint_auth, cwsi_known(e->auth, CWS_ENDPOINT_AUTH_SHARE_TOKEN));
    }
    info->services = out;
    info->service_count = out ? list->len : 0;
}

/* The names among the rules for egress. */
static const char *const *cwsi_v1_learn_names(cwsi_arena *a, const cwsi_list *rules, bool *ok)
{
    size_t i, n = 0;
    const char **out =
        CWSI_AS(const char *, cwsi_arena_alloc(a, (rules->len + 1) * sizeof(*out)));
    if (!out) *ok = false;
    for (i = 0; out && i < rules->len; i++) {
        const cwsi_v1_EgressRule *r = CWSI_AT(v1_EgressRule, *rules, i);
        if (r->has_https_hostname) out[n++] = cwsi_keep_text(a, r->https_hostname, ok);
    }
    return out;
}

/* Where the first container that has it has a volume; NULL: none does. */
static const cwsi_v1_VolumeMount *cwsi_v1_find_mount(const cwsi_v1_SandboxSpec *spec, cwsi_str name)
{
    size_t i, k;
    for (i = 0; i < spec->containers.len; i++) {
        const cwsi_v1_Container *c = CWSI_AT(v1_Container, spec->containers, i);
        for (k = 0; k < c->volume_mounts.len; k++) {
            const cwsi_v1_VolumeMount *m = CWSI_AT(v1_VolumeMount, c->volume_mounts, k);
            if (cwsi_str_same(m->volume, name)) return m;
        }
    }
    return NULL;
}

static void cwsi_v1_learn_volumes(cwsi_arena *a, const cwsi_v1_SandboxSpec *spec,
                                  cws_sandbox_info *info, bool *ok)
{
    size_t i, n = spec->volumes.len;
    cws_volume *out = CWSI_AS(cws_volume, cwsi_arena_alloc(a, n * sizeof(*out) + 1));
    if (!out) *ok = false;
    for (i = 0; out && i < n; i++) {
        const cwsi_v1_SandboxVolume *v = CWSI_AT(v1_SandboxVolume, spec->volumes, i);
        const cwsi_v1_VolumeMount *m = cwsi_v1_find_mount(spec, v->name);
        const cwsi_v1_ScratchVolume *s = v->scratch;
        out[i].name = cwsi_keep_text(a, v->name, ok);
        if (v->has_volume_id) out[i].volume_id = cwsi_keep_some(a, v->volume_id, ok);
        if (s) {
            out[i].size = cwsi_keep_some(a, s->size, ok);
            out[i].medium =
                CWSI_CAST(cws_storage_medium, cwsi_known(s->medium, CWS_STORAGE_MEMORY));
            out[i].restore_from_snapshot_id = cwsi_keep_some(a, s->restore_from_snapshot_id, ok);
        }
        if (!m) continue;
        out[i].mount_path = cwsi_keep_some(a, m->mount_path, ok);
        out[i].sub_path = cwsi_keep_some(a, m->sub_path, ok);
        out[i].read_only = m->read_only;
    }
    info->volumes = out;
    info->volume_count = out ? n : 0;
}

static void cwsi_v1_learn(cwsi_arena *a, const void *reply, cws_sandbox_info *info, bool *ok)
{
    const cwsi_v1_Sandbox *sandbox = CWSI_CAST(const cwsi_v1_Sandbox *, reply);
    const cwsi_v1_SandboxSpec *spec = sandbox->spec;
    const cwsi_v1_SandboxStatus *status = sandbox->status;
    if (sandbox->display_name.len)
        info->display_name = cwsi_keep_text(a, sandbox->display_name, ok);
    if (sandbox->endpoint_share_token.len)
        info->share_token = cwsi_keep_text(a, sandbox->endpoint_share_token, ok);
    if (spec) {
        info->tags = cwsi_keep_list(a, &spec->tags, ok);
        info->placement = CWSI_CAST(cws_placement, cwsi_known(spec->mode, CWS_PLACEMENT_CKS));
        cwsi_v1_learn_volumes(a, spec, info, ok);
    }
    if (!status) return;
    cwsi_v1_learn_resources(a, status, &info->resources, ok);
    cwsi_v1_learn_services(a, &status->services, info, ok);
    info->egress_hostnames = cwsi_v1_learn_names(a, &status->effective_egress, ok);
    if (status->effective_max_lifetime_seconds)
        info->max_lifetime_seconds = status->effective_max_lifetime_seconds;
    if (status->effective_runtime_class.len)
        info->runtime_class = cwsi_keep_text(a, status->effective_runtime_class, ok);
}

static bool cwsi_v1_view(const void *reply, cwsi_view *view)
{
    const cwsi_v1_Sandbox *sandbox = CWSI_CAST(const cwsi_v1_Sandbox *, reply);
    const cwsi_v1_SandboxStatus *status = sandbox->status;
    memset(view, 0, sizeof(*view));
    view->reply = sandbox;
    view->learn = cwsi_v1_learn;
    view->id = sandbox->sandbox_id;
    view->state = CWS_STATE_UNSPECIFIED;
    if (status) {
        view->reason = status->state_reason;
        view->runner = status->runner_id;
        view->group = status->runner_group_id;
        view->state = cwsi_v1_state(status->state);
        view->state_number = status->state;
        view->create_ms = cwsi_pb_time(status->create_time);
        view->start_ms = cwsi_pb_time(status->start_time);
        view->end_ms = cwsi_pb_time(status->end_time);
        view->has_exit_code = status->has_exit_code;
        view->exit_code = status->exit_code;
    }
    return view->id.len > 0 && view->id.len < CWSI_ID_SIZE; /* a longer one could not be kept */
}

/* ================================================================================================
 * >>impl-dialect-v1
 * The calls of coreweave.sandbox.v1.
 * ============================================================================================= */

static bool cwsi_v1_get_begin(cws_op *op, cwsi_str id, cwsi_retry retry, int64_t rpc_ms,
                              int64_t deadline)
{
    cwsi_v1_GetSandboxRequest m = CWSI_ZERO;
    m.sandbox_id = id;
    return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_GetSandbox, &m, retry, rpc_ms, deadline);
}

static bool cwsi_v1_stop_begin(cws_op *op, const cwsi_stop_request *r, int64_t rpc_ms,
                               int64_t deadline)
{
    cwsi_v1_DeleteSandboxRequest m = CWSI_ZERO;
    m.sandbox_id = r->id;
    m.grace_period_seconds = r->grace_s;
    m.allow_missing = r->missing_ok;
    m.snapshot_volumes = r->volumes;
    m.request_id = r->request_id;
    return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_DeleteSandbox, &m, CWSI_RETRY_SAFE,
                           rpc_ms, deadline);
}

static bool cwsi_v1_delete_begin(cws_op *op, cwsi_str id, int64_t rpc_ms, int64_t deadline)
{
    cwsi_stop_request r = CWSI_ZERO;
    r.id = id;
    return cwsi_v1_stop_begin(op, &r, rpc_ms, deadline);
}

static bool cwsi_v1_stop_view(const void *reply, cwsi_view *view)
{
    const cwsi_v1_DeleteSandboxResponse *m =
        CWSI_CAST(const cwsi_v1_DeleteSandboxResponse *, reply);
    bool known;
    memset(view, 0, sizeof(*view));
    known = m->sandbox && cwsi_v1_view(m->sandbox, view);
    view->snapshot_ids = CWSI_CAST(const cwsi_str *, m->file_system_snapshot_ids.at);
    view->snapshot_count = m->file_system_snapshot_ids.len;
    return known || m->file_system_snapshot_ids.len;
}

static bool cwsi_v1_list_begin(cws_op *op, const cwsi_list_request *r, int64_t rpc_ms,
                               int64_t deadline)
{
    cwsi_v1_ListSandboxesRequest m = CWSI_ZERO;
    m.tags = r->tags;
    m.runner_ids = r->runner_ids;
    m.state = cwsi_v1_state_number(r->state);
    m.show_terminated = r->include_stopped;
    m.page_token = r->page_token;
    return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_ListSandboxes, &m, CWSI_RETRY_SAFE,
                           rpc_ms, deadline);
}

static size_t cwsi_v1_list_count(const void *reply)
{
    return CWSI_CAST(const cwsi_v1_ListSandboxesResponse *, reply)->sandboxes.len;
}

static bool cwsi_v1_list_view(const void *reply, size_t index, cwsi_view *view)
{
    const cwsi_v1_ListSandboxesResponse *m =
        CWSI_CAST(const cwsi_v1_ListSandboxesResponse *, reply);
    return cwsi_v1_view(CWSI_AT(v1_Sandbox, m->sandboxes, index), view);
}

static cwsi_str cwsi_v1_list_next(const void *reply)
{
    return CWSI_CAST(const cwsi_v1_ListSandboxesResponse *, reply)->next_page_token;
}

static bool cwsi_v1_exec_begin(cws_op *op, const cwsi_exec_request *r, bool unary, int64_t deadline)
{
    cwsi_v1_ExecRequest m = CWSI_ZERO;
    cwsi_v1_ExecStreamInit init = CWSI_ZERO;
    cwsi_v1_ExecStreamRequest first = CWSI_ZERO;
    m.sandbox_id = init.sandbox_id = r->sandbox_id;
    m.command = init.command = r->command;
    m.env = init.env = r->env;
    m.container = init.container = r->container;
    m.max_output_bytes = r->max_output;
    init.tty = r->tty;
    init.tty_width = r->width;
    init.tty_height = r->height;
    first.init = &init;
    if (!cwsi_call_begin(op,
                         unary ? CWSI_RPC_v1_SandboxService_Exec
                               : CWSI_RPC_v1_SandboxService_StreamExec,
                         unary ? CWSI_CAST(const void *, &m) : CWSI_CAST(const void *, &first),
                         CWSI_RETRY_UNSENT, CWSI_NEVER, deadline))
        return false;
    op->call->long_lived = true;
    return true;
}

static void cwsi_v1_exec_reply(const void *reply, cwsi_exec_reply *out)
{
    const cwsi_v1_ExecResponse *m = CWSI_CAST(const cwsi_v1_ExecResponse *, reply);
    out->out = m->stdout_;
    out->err = m->stderr_;
    out->out_truncated = m->stdout_truncated;
    out->err_truncated = m->stderr_truncated;
    out->out_produced = cwsi_count_of(m->stdout_bytes_produced);
    out->err_produced = cwsi_count_of(m->stderr_bytes_produced);
    out->exited = true;
    out->exit_code = m->exit_code;
}

static void cwsi_v1_exec_event(const void *message, cwsi_exec_event *event)
{
    const cwsi_v1_ExecStreamResponse *m = CWSI_CAST(const cwsi_v1_ExecStreamResponse *, message);
    memset(event, 0, sizeof(*event));
    if (m->ready) {
        event->kind = CWSI_EXEC_READY;
    } else if (m->output) { /* a stream that is not named counts as stdout */
        event->kind = CWSI_EXEC_OUTPUT;
        event->stream = m->output->stream == CWSI_v1_STREAM_STDERR ? CWS_STDERR : CWS_STDOUT;
        event->data = m->output->data;
    } else if (m->exit) {
        event->kind = CWSI_EXEC_EXIT;
        event->exit_code = m->exit->exit_code;
    } else if (m->error) {
        event->kind = CWSI_EXEC_ERROR;
        event->data = m->error->message;
        event->code = m->error->code;
    }
}

static bool cwsi_v1_exec_input(cwsi_buf *out, const cwsi_str *data)
{
    cwsi_v1_ExecStreamRequest m = CWSI_ZERO;
    cwsi_v1_ExecStreamClose end = CWSI_ZERO;
    m.has_stdin_ = data != NULL;
    if (data) m.stdin_ = *data;
    else m.close = &end;
    return cwsi_put_envelope(out, CWSI_M_v1_ExecStreamRequest, &m) == CWS_OK;
}

static bool cwsi_v1_exec_resize(cwsi_buf *out, uint32_t width, uint32_t height)
{
    cwsi_v1_ExecStreamRequest m = CWSI_ZERO;
    cwsi_v1_ExecStreamResize size = CWSI_ZERO;
    size.width = width;
    size.height = height;
    m.resize = &size;
    return cwsi_put_envelope(out, CWSI_M_v1_ExecStreamRequest, &m) == CWS_OK;
}

static bool cwsi_v1_logs_begin(cws_op *op, const cwsi_logs_request *r, int64_t deadline)
{
    cwsi_v1_StreamLogsRequest m = CWSI_ZERO;
    cwsi_pb_Timestamp since = CWSI_ZERO;
    m.sandbox_id = r->sandbox_id;
    m.container = r->container;
    m.follow = r->follow;
    m.resume_log_session_id = r->session_id;
    m.resume_log_offset = r->offset;
    m.timestamps = r->timestamps;
    m.tail_lines = r->tail_lines;
    since = cwsi_pb_time_of(r->since_ms);
    if (r->since_ms) m.since_time = &since;
    return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_StreamLogs, &m, CWSI_RETRY_UNSENT,
                           CWSI_NEVER, deadline);
}

static void cwsi_v1_logs_event(const void *message, cwsi_logs_event *event)
{
    const cwsi_v1_LogEntry *m = CWSI_CAST(const cwsi_v1_LogEntry *, message);
    memset(event, 0, sizeof(*event));
    event->data = m->data;
    event->session_id = m->log_session_id;
    event->offset = m->next_log_offset;
    event->unix_ms = cwsi_pb_time(m->timestamp);
    event->failed = m->error != NULL;
    if (!m->error) return;
    event->text = m->error->message;
    event->code = m->error->code;
}

static bool cwsi_v1_read_begin(cws_op *op, const cwsi_file_request *r, int64_t deadline)
{
    cwsi_v1_ReadFileRequest m = CWSI_ZERO;
    m.sandbox_id = r->sandbox_id;
    m.path = r->path;
    m.container = r->container;
    return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_ReadFile, &m, CWSI_RETRY_SAFE, CWSI_NEVER,
                           deadline);
}

static cwsi_str cwsi_v1_read_content(const void *reply)
{
    return CWSI_CAST(const cwsi_v1_ReadFileResponse *, reply)->content;
}

static bool cwsi_v1_write_begin(cws_op *op, const cwsi_file_request *r, int64_t deadline)
{
    cwsi_v1_WriteFileRequest m = CWSI_ZERO;
    m.sandbox_id = r->sandbox_id;
    m.path = r->path;
    m.container = r->container;
    m.content = r->content;
    return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_WriteFile, &m, CWSI_RETRY_UNSENT,
                           CWSI_NEVER, deadline);
}

/* ================================================================================================
 * >>impl-found
 * What snapshots, runners and profiles have in common in both dialects: the list that is found, and
 * reading one whose messages differ in their types only.
 * ============================================================================================= */

/* One more item of `size` bytes, all zero. NULL: out of memory. */
static void *cwsi_found_add(cwsi_found *f, size_t size, bool *ok)
{
    void *item = cwsi_list_grow(&f->arena, &f->items, size);
    if (!item) *ok = false;
    return item;
}

/* A name of the configuration that is too long to be one would not be the same when cut. */
static void cwsi_found_name(char *out, size_t size, cwsi_str text, bool *ok)
{
    if (text.len < size) cwsi_copy_text(out, size, text.at, text.len);
    else *ok = false;
}

#define CWSI_DEFINE_BUCKET(p)                                                                      \
    static void cwsi_##p##_read_bucket(const cwsi_##p##_FileSystemSnapshotBucketConfig *m,         \
                                       cws_snapshot_bucket *out, bool *ok)                         \
    {                                                                                              \
        out->managed = m->mode == CWSI_##p##_FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_CW_MANAGED;          \
        cwsi_found_name(out->bucket_name, sizeof(out->bucket_name), m->bucket_name, ok);           \
        cwsi_found_name(out->region, sizeof(out->region), m->region, ok);                          \
        cwsi_found_name(out->effective_bucket_name, sizeof(out->effective_bucket_name),            \
                        m->effective_bucket_name, ok);                                             \
    }

CWSI_DEFINE_BUCKET(v1)
CWSI_DEFINE_BUCKET(b2)

#define CWSI_DEFINE_RUNNER(p)                                                                      \
    static cws_runner *cwsi_##p##_read_runner(const cwsi_##p##_AvailableRunner *m, cwsi_found *f,  \
                                              bool *ok)                                            \
    {                                                                                              \
        static const cwsi_##p##_RunnerCapabilitySummary nothing = CWSI_ZERO;                       \
        const cwsi_##p##_RunnerCapabilitySummary *c = m->capabilities ? m->capabilities : &nothing;\
        cws_runner *r = CWSI_AS(cws_runner, cwsi_found_add(f, sizeof(*r), ok));                    \
        cwsi_arena *a = &f->arena;                                                                 \
        if (!r) return NULL;                                                                       \
        r->runner_id = cwsi_keep_text(a, m->runner_id, ok);                                        \
        r->runner_group_id = cwsi_keep_text(a, m->runner_group_id, ok);                            \
        r->organization_id = "";                                                                   \
        r->tags = cwsi_keep_list(a, &m->tags, ok);                                                 \
        r->healthy = m->healthy;                                                                   \
        r->is_shared = m->is_shared;                                                               \
        r->connected_unix_ms = cwsi_pb_time(m->connected_at);                                      \
        r->max_cpu_millicores = c->max_cpu_millicores;                                             \
        r->max_memory_bytes = c->max_memory_bytes;                                                 \
        r->max_gpu_count = c->max_gpu_count;                                                       \
        r->gpu_types = cwsi_keep_list(a, &c->supported_gpu_types, ok);                             \
        r->architectures = cwsi_keep_list(a, &c->supported_architectures, ok);                     \
        r->supports_privileged = c->supports_privileged;                                           \
        r->storage_classes = cwsi_keep_list(a, &c->available_storage_classes, ok);                 \
        r->profile_names = cwsi_no_strings();                                                      \
        r->has_resources = m->resources != NULL;                                                   \
        if (!m->resources) return r;                                                               \
        r->available_cpu_millicores = m->resources->available_cpu_millicores;                      \
        r->available_memory_bytes = m->resources->available_memory_bytes;                          \
        r->available_gpu_count = m->resources->available_gpu_count;                                \
        r->running_sandboxes = m->resources->running_sandboxes;                                    \
        return r;                                                                                  \
    }

CWSI_DEFINE_RUNNER(v1)
CWSI_DEFINE_RUNNER(b2)

/* ================================================================================================
 * >>impl-ask-v1
 * Snapshots and runners in coreweave.sandbox.v1.
 * ============================================================================================= */

static void cwsi_v1_read_snapshot(const cwsi_v1_FileSystemSnapshot *m, cwsi_found *f, bool *ok)
{
    cws_snapshot *s = CWSI_AS(cws_snapshot, cwsi_found_add(f, sizeof(*s), ok));
    cwsi_arena *a = &f->arena;
    if (!s) return;
    s->snapshot_id = cwsi_keep_text(a, m->file_system_snapshot_id, ok);
    s->state = CWSI_CAST(cws_snapshot_state, cwsi_known(m->state, CWS_SNAPSHOT_DELETING));
    s->status_reason = cwsi_keep_text(a, m->state_reason, ok);
    s->size_bytes = m->size_bytes;
    s->source_sandbox_id = cwsi_keep_text(a, m->source_sandbox_id, ok);
    s->source_volume_name = cwsi_keep_text(a, m->source_volume_name, ok);
    if (m->trigger == CWSI_v1_SNAPSHOT_TRIGGER_MANUAL) s->trigger = CWS_SNAPSHOT_MANUAL;
    if (m->trigger == CWSI_v1_SNAPSHOT_TRIGGER_ON_DELETE) s->trigger = CWS_SNAPSHOT_ON_STOP;
    s->request_id = cwsi_keep_text(a, m->request_id, ok);
    s->object_bucket = cwsi_keep_text(a, m->object_bucket, ok);
    s->create_unix_ms = cwsi_pb_time(m->create_time);
    s->update_unix_ms = cwsi_pb_time(m->updated_at);
    s->complete_unix_ms = cwsi_pb_time(m->complete_time);
}

static void cwsi_v1_add_runner(const cwsi_v1_AvailableRunner *m, cwsi_found *f, bool *ok)
{
    cws_runner *r = cwsi_v1_read_runner(m, f, ok);
    const cwsi_list *from = m->capabilities ? &m->capabilities->supported_service_visibilities
                                            : NULL;
    cws_visibility *to;
    size_t i;
    if (!r) return;
    r->organization_id = cwsi_keep_text(&f->arena, m->organization_id, ok);
    if (!from || from->len == 0) return;
    to = CWSI_AS(cws_visibility, cwsi_arena_alloc(&f->arena, from->len * sizeof(*to)));
    if (!to) *ok = false;
    for (i = 0; to && i < from->len; i++)
        to[i] = CWSI_CAST(cws_visibility, cwsi_known(CWSI_CAST(const int32_t *, from->at)[i],
                                                     CWS_VISIBILITY_CUSTOM));
    r->service_visibilities = to;
    r->service_visibility_count = to ? from->len : 0;
}

static bool cwsi_v1_ask_snapshot(cws_op *op, const cwsi_question *q, int64_t rpc_ms,
                                 int64_t deadline)
{
    cwsi_v1_CreateFileSystemSnapshotRequest create = CWSI_ZERO;
    cwsi_v1_GetFileSystemSnapshotRequest get = CWSI_ZERO;
    cwsi_v1_ListFileSystemSnapshotsRequest list = CWSI_ZERO;
    cwsi_v1_DeleteFileSystemSnapshotRequest del = CWSI_ZERO;
    create.sandbox_id = get.file_system_snapshot_id = del.file_system_snapshot_id = q->id;
    create.request_id = q->request_id;
    create.scratch_volume_name = q->volume;
    list.page_token = q->page_token;
    list.source_sandbox_id = q->sandbox_id;
    del.allow_missing = q->missing_ok;
    if (q->ask == CWSI_ASK_SNAPSHOT_CREATE)
        return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_CreateFileSystemSnapshot, &create,
                               CWSI_RETRY_SAFE, rpc_ms, deadline);
    if (q->ask == CWSI_ASK_SNAPSHOT_GET)
        return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_GetFileSystemSnapshot, &get,
                               CWSI_RETRY_POLL, rpc_ms, deadline);
    if (q->ask == CWSI_ASK_SNAPSHOT_LIST)
        return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_ListFileSystemSnapshots, &list,
                               CWSI_RETRY_SAFE, rpc_ms, deadline);
    return cwsi_call_begin(op, CWSI_RPC_v1_SandboxService_DeleteFileSystemSnapshot, &del,
                           CWSI_RETRY_SAFE, rpc_ms, deadline);
}

static bool cwsi_v1_ask_bucket(cws_op *op, const cwsi_question *q, int64_t rpc_ms, int64_t deadline)
{
    cwsi_v1_GetFileSystemSnapshotBucketConfigRequest get = CWSI_ZERO;
    cwsi_v1_UpdateFileSystemSnapshotBucketConfigRequest set = CWSI_ZERO;
    cwsi_v1_FileSystemSnapshotBucketConfig config = CWSI_ZERO;
    config.bucket_name = q->id;
    config.region = q->region;
    set.file_system_snapshot_bucket_config = &config;
    if (q->ask == CWSI_ASK_BUCKET_GET)
        return cwsi_call_begin(op, CWSI_RPC_v1_SettingsService_GetFileSystemSnapshotBucketConfig,
                               &get, CWSI_RETRY_SAFE, rpc_ms, deadline);
    return cwsi_call_begin(op, CWSI_RPC_v1_SettingsService_UpdateFileSystemSnapshotBucketConfig,
                           &set, CWSI_RETRY_SAFE, rpc_ms, deadline);
}

static bool cwsi_v1_ask_runner(cws_op *op, const cwsi_question *q, int64_t rpc_ms, int64_t deadline)
{
    cwsi_v1_ListAvailableRunnersRequest list = CWSI_ZERO;
    cwsi_v1_GetAvailableRunnerRequest get = CWSI_ZERO;
    list.runner_group_id = q->group;
    list.gpu_type = q->gpu_type;
    list.architecture = q->architecture;
    list.healthy_only = q->healthy_only;
    list.service_visibility = q->visibility;
    list.page_size = CWSI_DISCOVERY_PAGE;
    list.page_token = q->page_token;
    get.runner_id = q->id;
    get.organization_id = q->organization;
    list.view = get.view = q->full ? CWSI_v1_RUNNER_VIEW_FULL : CWSI_v1_RUNNER_VIEW_BASIC;
    if (q->ask == CWSI_ASK_RUNNER_LIST)
        return cwsi_call_begin(op, CWSI_RPC_v1_DiscoveryService_ListAvailableRunners, &list,
                               CWSI_RETRY_SAFE, rpc_ms, deadline);
    return cwsi_call_begin(op, CWSI_RPC_v1_DiscoveryService_GetAvailableRunner, &get,
                           CWSI_RETRY_SAFE, rpc_ms, deadline);
}

static bool cwsi_v1_ask_begin(cws_op *op, const cwsi_question *q, int64_t rpc_ms, int64_t deadline)
{
    if (q->ask <= CWSI_ASK_SNAPSHOT_DELETE) return cwsi_v1_ask_snapshot(op, q, rpc_ms, deadline);
    if (q->ask <= CWSI_ASK_BUCKET_SET) return cwsi_v1_ask_bucket(op, q, rpc_ms, deadline);
    return cwsi_v1_ask_runner(op, q, rpc_ms, deadline);
}

static cwsi_str cwsi_v1_ask_read(const cwsi_question *q, const void *reply, cwsi_found *f, bool *ok)
{
    const cwsi_v1_ListFileSystemSnapshotsResponse *snapshots;
    const cwsi_v1_ListAvailableRunnersResponse *runners;
    cwsi_str none = CWSI_ZERO;
    size_t i;
    switch (CWSI_CAST(int, q->ask)) {
    case CWSI_ASK_SNAPSHOT_CREATE:
    case CWSI_ASK_SNAPSHOT_GET:
        cwsi_v1_read_snapshot(CWSI_CAST(const cwsi_v1_FileSystemSnapshot *, reply), f, ok);
        return none;
    case CWSI_ASK_SNAPSHOT_LIST:
        snapshots = CWSI_CAST(const cwsi_v1_ListFileSystemSnapshotsResponse *, reply);
        for (i = 0; i < snapshots->file_system_snapshots.len; i++)
            cwsi_v1_read_snapshot(
                CWSI_AT(v1_FileSystemSnapshot, snapshots->file_system_snapshots, i), f, ok);
        return snapshots->next_page_token;
    case CWSI_ASK_BUCKET_GET:
    case CWSI_ASK_BUCKET_SET:
        cwsi_v1_read_bucket(CWSI_CAST(const cwsi_v1_FileSystemSnapshotBucketConfig *, reply),
                            &f->bucket, ok);
        return none;
    case CWSI_ASK_RUNNER_GET:
        cwsi_v1_add_runner(CWSI_CAST(const cwsi_v1_AvailableRunner *, reply), f, ok);
        return none;
    case CWSI_ASK_RUNNER_LIST:
        runners = CWSI_CAST(const cwsi_v1_ListAvailableRunnersResponse *, reply);
        for (i = 0; i < runners->runners.len; i++)
            cwsi_v1_add_runner(CWSI_AT(v1_AvailableRunner, runners->runners, i), f, ok);
        return runners->next_page_token;
    default: return none;
    }
}

/* ================================================================================================
 * >>impl-create
 * What the requests of both dialects have in common. A sandbox keeps its request encoded: that is
 * what a start sends, and what a repeated start sends again with the same request id.
 * ============================================================================================= */

static bool cwsi_strings_of(cwsi_arena *a, const char *const *list, cwsi_list *out)
{
    size_t i, n = cwsi_count_strings(list);
    cwsi_str *at;
    memset(out, 0, sizeof(*out));
    if (n == 0) return true;
    at = CWSI_AS(cwsi_str, cwsi_arena_alloc(a, n * sizeof(*at)));
    if (!at) return false;
    for (i = 0; i < n; i++) at[i] = cwsi_str_of(list[i]);
    out->at = at;
    out->len = n;
    return true;
}

static bool cwsi_pairs_of(cwsi_arena *a, const cws_pair *pairs, cwsi_list *out)
{
    size_t i, n = cwsi_count_pairs(pairs);
    cwsi_map_StrStr *at;
    memset(out, 0, sizeof(*out));
    if (n == 0) return true;
    at = CWSI_AS(cwsi_map_StrStr, cwsi_arena_alloc(a, n * sizeof(*at)));
    if (!at) return false;
    for (i = 0; i < n; i++) {
        at[i].key = cwsi_str_of(pairs[i].key);
        at[i].value = cwsi_str_of(pairs[i].value);
    }
    out->at = at;
    out->len = n;
    return true;
}

typedef struct cwsi_sides {
    const char *request_cpu, *request_memory, *limit_cpu, *limit_memory;
} cwsi_sides;

/* Flat: both sides alike. One side given: copied to the other. */
static cwsi_sides cwsi_resource_sides(const cws_resources *r)
{
    cwsi_sides s;
    bool requests = r->request_cpu || r->request_memory, limits = r->limit_cpu || r->limit_memory;
    s.request_cpu = requests ? r->request_cpu : limits ? r->limit_cpu : r->cpu;
    s.request_memory = requests ? r->request_memory : limits ? r->limit_memory : r->memory;
    s.limit_cpu = limits ? r->limit_cpu : requests ? r->request_cpu : r->cpu;
    s.limit_memory = limits ? r->limit_memory : requests ? r->request_memory : r->memory;
    return s;
}

/* The arguments to send: those that keep a sandbox alive belong to the command that is ours. */
static const char *const *cwsi_effective_args(const cws_sandbox_opts *o)
{
    static const char *const keep_alive[] = {CWSI_DEFAULT_ARG1, CWSI_DEFAULT_ARG2, NULL};
    return o->args ? o->args : o->command ? NULL : keep_alive;
}

/* Secrets grouped by store, groups and entries in order of first appearance. The messages of both
 * dialects are the same but for their types. */
#define CWSI_DEFINE_SECRETS(p)                                                                     \
    static bool cwsi_##p##_secrets(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_list *out)       \
    {                                                                                              \
        size_t i, k;                                                                               \
        memset(out, 0, sizeof(*out));                                                              \
        for (i = 0; i < o->secret_count; i++) {                                                    \
            const cws_secret *s = &o->secrets[i];                                                  \
            cwsi_##p##_SecretStoreReference *group =                                               \
                CWSI_AS(cwsi_##p##_SecretStoreReference, out->at);                                 \
            cwsi_##p##_SecretMapping *entry;                                                       \
            for (k = 0; k < out->len && !cwsi_str_is(group[k].store_name, s->store); k++) {}       \
            if (k == out->len) {                                                                   \
                group = CWSI_AS(cwsi_##p##_SecretStoreReference,                                   \
                                cwsi_list_grow(a, out, sizeof(*group)));                           \
                if (!group) return false;                                                          \
                group->store_name = cwsi_str_of(s->store);                                         \
            } else {                                                                               \
                group += k;                                                                        \
            }                                                                                      \
            entry = CWSI_AS(cwsi_##p##_SecretMapping,                                              \
                            cwsi_list_grow(a, &group->secrets, sizeof(*entry)));                   \
            if (!entry) return false;                                                              \
            entry->path = cwsi_str_of(s->name);                                                    \
            entry->field = cwsi_str_of(s->field);                                                  \
            entry->env_var = cwsi_str_of(cwsi_secret_variable(s));                                 \
        }                                                                                          \
        return true;                                                                               \
    }

CWSI_DEFINE_SECRETS(v1)
CWSI_DEFINE_SECRETS(b2)

/* ================================================================================================
 * >>impl-create-v1
 * Merged options to a CreateSandboxRequest.
 * ============================================================================================= */

/* One side of the requirements; NULL if there is nothing in it. *ok: memory sufficed. */
static cwsi_v1_Resources *cwsi_v1_resources(cwsi_arena *a, const char *cpu, const char *memory,
                                            const cws_resources *r, bool *ok)
{
    cwsi_v1_Resources *out;
    bool gpu = r->gpu_count || (r->gpu_type && r->gpu_type[0]) || r->gpu_memory_gb;
    if (!cpu && !memory && !gpu) return NULL;
    out = CWSI_ARENA_NEW(a, cwsi_v1_Resources);
    if (!out) {
        *ok = false;
        return NULL;
    }
    out->cpu = cwsi_str_of(cpu);
    out->memory = cwsi_str_of(memory);
    if (!gpu) return out;
    out->gpu = CWSI_ARENA_NEW(a, cwsi_v1_Gpu);
    if (!out->gpu) {
        *ok = false;
        return out;
    }
    out->gpu->count = r->gpu_count;
    if (r->gpu_type && r->gpu_type[0]) {
        out->gpu->has_type = true;
        out->gpu->type = cwsi_str_of(r->gpu_type);
    } else if (r->gpu_memory_gb) {
        out->gpu->has_memory_gb = true;
        out->gpu->memory_gb = r->gpu_memory_gb;
    }
    return out;
}

/* A GPU stands on both sides. */
static bool cwsi_v1_requirements(cwsi_arena *a, const cws_resources *r, cwsi_v1_Container *main)
{
    cwsi_v1_ResourceRequirements *out;
    cwsi_sides sides;
    bool ok = true;
    if (!r) return true;
    out = CWSI_ARENA_NEW(a, cwsi_v1_ResourceRequirements);
    if (!out) return false;
    sides = cwsi_resource_sides(r);
    out->requests = cwsi_v1_resources(a, sides.request_cpu, sides.request_memory, r, &ok);
    out->limits = cwsi_v1_resources(a, sides.limit_cpu, sides.limit_memory, r, &ok);
    if (out->requests || out->limits) main->resource_requirements = out;
    return ok;
}

static bool cwsi_v1_files(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_list *out)
{
    size_t i;
    memset(out, 0, sizeof(*out));
    for (i = 0; i < o->mounted_file_count; i++) {
        cwsi_v1_FileMount *file =
            CWSI_AS(cwsi_v1_FileMount, cwsi_list_grow(a, out, sizeof(cwsi_v1_FileMount)));
        if (!file) return false;
        file->path = cwsi_str_of(o->mounted_files[i].mount_path);
        file->content.at = CWSI_CAST(const char *, o->mounted_files[i].content);
        file->content.len = o->mounted_files[i].size;
    }
    return true;
}

/* ================================================================================================
 * >>impl-places-v1
 * Network, storage, services of a CreateSandboxRequest.
 * ============================================================================================= */

static bool cwsi_v1_port_ranges(cwsi_arena *a, const cws_network_rule *r, cwsi_list *out)
{
    size_t i;
    for (i = 0; i < r->port_count; i++) {
        cwsi_v1_PortRange *p =
            CWSI_AS(cwsi_v1_PortRange, cwsi_list_grow(a, out, sizeof(cwsi_v1_PortRange)));
        if (!p) return false;
        p->protocol = cwsi_str_of(r->ports[i].protocol);
        p->port = r->ports[i].port;
        p->end_port = r->ports[i].end_port;
    }
    return true;
}

static cwsi_v1_CidrBlock *cwsi_v1_cidr(cwsi_arena *a, const cws_network_rule *r)
{
    cwsi_v1_CidrBlock *block = CWSI_ARENA_NEW(a, cwsi_v1_CidrBlock);
    if (!block) return NULL;
    block->cidr = cwsi_str_of(r->cidr);
    return cwsi_strings_of(a, r->cidr_except, &block->except) ? block : NULL;
}

static bool cwsi_v1_egress(cwsi_arena *a, const cws_network_rule *r, cwsi_list *out)
{
    cwsi_v1_EgressRule *rule =
        CWSI_AS(cwsi_v1_EgressRule, cwsi_list_grow(a, out, sizeof(cwsi_v1_EgressRule)));
    if (!rule) return false;
    if (r->cidr) {
        rule->cidr = cwsi_v1_cidr(a, r);
        if (!rule->cidr) return false;
    } else if (r->hostname) {
        rule->has_https_hostname = true;
        rule->https_hostname = cwsi_str_of(r->hostname);
        if (!cwsi_strings_of(a, r->hostname_except, &rule->https_hostname_except)) return false;
    } else if (r->tenant) {
        rule->has_tenant = true;
        rule->tenant = CWSI_CAST(int32_t, r->tenant);
    } else if (r->any) {
        rule->has_any = rule->any = true;
    } else {
        rule->selector = CWSI_ARENA_NEW(a, cwsi_v1_SelectorBlock);
        if (!rule->selector || !cwsi_pairs_of(a, r->pod_labels, &rule->selector->pod_labels) ||
            !cwsi_pairs_of(a, r->namespace_labels, &rule->selector->namespace_labels))
            return false;
    }
    return cwsi_v1_port_ranges(a, r, &rule->ports);
}

static bool cwsi_v1_ingress(cwsi_arena *a, const cws_network_rule *r, cwsi_list *out)
{
    cwsi_v1_IngressRule *rule =
        CWSI_AS(cwsi_v1_IngressRule, cwsi_list_grow(a, out, sizeof(cwsi_v1_IngressRule)));
    if (!rule) return false;
    if (r->cidr) {
        rule->cidr = cwsi_v1_cidr(a, r);
        if (!rule->cidr) return false;
    } else if (r->tenant) {
        rule->has_tenant = true;
        rule->tenant = CWSI_CAST(int32_t, r->tenant);
    } else {
        rule->has_any = rule->any = true;
    }
    return cwsi_v1_port_ranges(a, r, &rule->ports);
}

static bool cwsi_v1_network(cwsi_arena *a, const cws_network *n, cwsi_v1_SandboxSpec *spec)
{
    cwsi_v1_NetworkOptions *out;
    size_t i;
    if (!n) return true;
    out = CWSI_ARENA_NEW(a, cwsi_v1_NetworkOptions);
    if (!out) return false;
    spec->network = out;
    out->has_deny_egress = n->deny_egress != CWS_UNSET;
    out->deny_egress = n->deny_egress == CWS_YES;
    out->has_deny_ingress = n->deny_ingress != CWS_UNSET;
    out->deny_ingress = n->deny_ingress == CWS_YES;
    out->dns_egress = n->allow_dns == CWS_YES  ? CWSI_v1_DNS_EGRESS_MODE_ALLOW
                      : n->allow_dns == CWS_NO ? CWSI_v1_DNS_EGRESS_MODE_DENY
                                               : CWSI_v1_DNS_EGRESS_MODE_UNSPECIFIED;
    for (i = 0; n->egress_hostnames && n->egress_hostnames[i]; i++) {
        cws_network_rule rule = CWSI_ZERO;
        rule.hostname = n->egress_hostnames[i];
        if (!cwsi_v1_egress(a, &rule, &out->egress)) return false;
    }
    for (i = 0; i < n->egress_count; i++)
        if (!cwsi_v1_egress(a, &n->egress[i], &out->egress)) return false;
    for (i = 0; i < n->ingress_count; i++)
        if (!cwsi_v1_ingress(a, &n->ingress[i], &out->ingress)) return false;
    return true;
}

static bool cwsi_v1_mount(cwsi_arena *a, const cws_mount *m, cwsi_v1_Container *container)
{
    cwsi_v1_VolumeMount *mount =
        CWSI_AS(cwsi_v1_VolumeMount,
                cwsi_list_grow(a, &container->volume_mounts, sizeof(cwsi_v1_VolumeMount)));
    if (!mount) return false;
    mount->volume = cwsi_str_of(m->volume);
    mount->mount_path = cwsi_str_of(m->mount_path);
    mount->read_only = m->read_only;
    mount->sub_path = cwsi_str_of(m->sub_path);
    return true;
}

/* A volume of the sandbox, and where the container has it. */
static bool cwsi_v1_volume(cwsi_arena *a, const cws_volume *v, cwsi_v1_SandboxSpec *spec,
                           cwsi_v1_Container *main)
{
    cwsi_v1_SandboxVolume *volume = CWSI_AS(
        cwsi_v1_SandboxVolume, cwsi_list_grow(a, &spec->volumes, sizeof(cwsi_v1_SandboxVolume)));
    cws_mount mount = CWSI_ZERO;
    if (!volume) return false;
    volume->name = cwsi_str_of(v->name);
    if (v->volume_id) {
        volume->has_volume_id = true;
        volume->volume_id = cwsi_str_of(v->volume_id);
    } else {
        volume->scratch = CWSI_ARENA_NEW(a, cwsi_v1_ScratchVolume);
        if (!volume->scratch) return false;
        volume->scratch->size = cwsi_str_of(v->size);
        volume->scratch->medium = CWSI_CAST(int32_t, v->medium);
        volume->scratch->restore_from_snapshot_id = cwsi_str_of(v->restore_from_snapshot_id);
    }
    mount.volume = v->name;
    mount.mount_path = v->mount_path;
    mount.sub_path = v->sub_path;
    mount.read_only = v->read_only;
    return !v->mount_path || cwsi_v1_mount(a, &mount, main);
}

static bool cwsi_v1_volumes(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_v1_SandboxSpec *spec,
                            cwsi_v1_Container *main)
{
    cws_volume v;
    size_t i;
    for (i = 0; i < o->volume_count; i++)
        if (!cwsi_v1_volume(a, &o->volumes[i], spec, main)) return false;
    if (!o->file_system) return true;
    v = cwsi_file_system_volume(o->file_system);
    return cwsi_v1_volume(a, &v, spec, main);
}

static bool cwsi_v1_services(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_list *out)
{
    size_t i;
    for (i = 0; i < o->service_count; i++) {
        const cws_service *s = &o->services[i];
        cwsi_v1_Service *service =
            CWSI_AS(cwsi_v1_Service, cwsi_list_grow(a, out, sizeof(cwsi_v1_Service)));
        if (!service) return false;
        service->port = s->port;
        service->name = cwsi_str_of(s->name);
        service->protocol = CWSI_CAST(int32_t, s->protocol);
        service->visibility = CWSI_CAST(int32_t, s->visibility);
        if (!s->endpoint) continue;
        service->endpoint = CWSI_ARENA_NEW(a, cwsi_v1_EndpointSpec);
        if (!service->endpoint) return false;
        service->endpoint->kind = CWSI_CAST(int32_t, s->endpoint);
        service->endpoint->auth = CWSI_CAST(int32_t, s->auth);
        service->endpoint->request_timeout_seconds = s->request_timeout_seconds;
    }
    return true;
}

static bool cwsi_v1_security(cwsi_arena *a, const cws_security *s, cwsi_v1_Container *main)
{
    cwsi_v1_SecurityContext *out;
    if (!s) return true;
    out = CWSI_ARENA_NEW(a, cwsi_v1_SecurityContext);
    if (!out) return false;
    main->security_context = out;
    out->has_run_as_user = s->set_user == CWS_YES;
    out->run_as_user = s->run_as_user;
    out->has_run_as_group = s->set_group == CWS_YES;
    out->run_as_group = s->run_as_group;
    out->has_privileged = s->privileged != CWS_UNSET;
    out->privileged = s->privileged == CWS_YES;
    out->has_allow_privilege_escalation = s->allow_privilege_escalation != CWS_UNSET;
    out->allow_privilege_escalation = s->allow_privilege_escalation == CWS_YES;
    out->has_read_only_root_filesystem = s->read_only_root_filesystem != CWS_UNSET;
    out->read_only_root_filesystem = s->read_only_root_filesystem == CWS_YES;
    out->seccomp_profile = cwsi_str_of(s->seccomp_profile);
    return cwsi_strings_of(a, s->capabilities_add, &out->capabilities_add) &&
           cwsi_strings_of(a, s->capabilities_drop, &out->capabilities_drop);
}

/* What belongs to the container of a single sandbox. */
static bool cwsi_v1_own(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_v1_Container *main)
{
    const cws_image_credentials *c = o->image_credentials;
    const cws_probe *p = o->startup_probe;
    main->working_dir = cwsi_str_of(o->working_dir);
    if (c) {
        cwsi_v1_ImagePullCredentials *pull = CWSI_ARENA_NEW(a, cwsi_v1_ImagePullCredentials);
        if (pull) pull->credentials = CWSI_ARENA_NEW(a, cwsi_v1_SecretSource);
        if (!pull || !pull->credentials) return false;
        pull->registry = cwsi_str_of(c->registry);
        pull->credentials->store_name = cwsi_str_of(c->store);
        pull->credentials->path = cwsi_str_of(c->name);
        pull->credentials->field = cwsi_str_of(c->field);
        main->image_pull_credentials = pull;
    }
    if (p) {
        cwsi_v1_Probe *probe = CWSI_ARENA_NEW(a, cwsi_v1_Probe);
        if (!probe || !cwsi_strings_of(a, p->argv, &probe->exec)) return false;
        probe->period_seconds = p->period_seconds;
        probe->timeout_seconds = p->timeout_seconds;
        probe->failure_threshold = p->failure_threshold;
        probe->initial_delay_seconds = p->initial_delay_seconds;
        main->startup_probe = probe;
    }
    return cwsi_v1_security(a, o->security, main);
}

static bool cwsi_v1_storage_access(cwsi_arena *a, const cws_object_storage *o,
                                   cwsi_v1_SandboxSpec *spec)
{
    cwsi_v1_ObjectStorageAccess *out;
    if (!o) return true;
    out = CWSI_ARENA_NEW(a, cwsi_v1_ObjectStorageAccess);
    if (!out) return false;
    spec->object_storage_access = out;
    out->permission = o->read_write ? CWSI_v1_OBJECT_STORAGE_PERMISSION_READ_WRITE
                                    : CWSI_v1_OBJECT_STORAGE_PERMISSION_READ;
    out->object_prefix = cwsi_str_of(o->object_prefix);
    return cwsi_strings_of(a, o->buckets, &out->buckets);
}

/* ================================================================================================
 * >>impl-request-v1
 * The whole CreateSandboxRequest, and the dialect.
 * ============================================================================================= */

/* A container. defaults: what is not given is the library's own, not the image's. */
static bool cwsi_v1_container(cwsi_arena *a, const char *name, const cws_sandbox_opts *o,
                              bool defaults, cwsi_v1_Container *c)
{
    const char *own_image = defaults ? CWSI_DEFAULT_IMAGE : NULL;
    const char *own_command = defaults ? CWSI_DEFAULT_COMMAND : NULL;
    c->name = cwsi_str_of(name);
    c->image = cwsi_str_of(o->container_image ? o->container_image : own_image);
    c->command = cwsi_str_of(o->command ? o->command : own_command);
    return cwsi_strings_of(a, defaults ? cwsi_effective_args(o) : o->args, &c->args) &&
           cwsi_pairs_of(a, o->environment_variables, &c->environment_variables) &&
           cwsi_v1_requirements(a, o->resources, c) && cwsi_v1_secrets(a, o, &c->secret_stores) &&
           cwsi_v1_files(a, o, &c->files) && cwsi_v1_own(a, o, c);
}

/* The main container, unless a template's is to stay as it is, and those beside it. */
static bool cwsi_v1_containers(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_v1_SandboxSpec *spec)
{
    size_t i, k, n = o->container_count + 1;
    cwsi_v1_Container *at = CWSI_AS(cwsi_v1_Container, cwsi_arena_alloc(a, n * sizeof(*at)));
    if (!at || !cwsi_v1_container(a, CWSI_CONTAINER, o, !o->template_id, at) ||
        !cwsi_v1_volumes(a, o, spec, at))
        return false;
    spec->containers.at = at;
    spec->containers.len = !o->template_id || o->container_image ? n : 0;
    at->has_primary = at->primary = n > 1; /* a lone one is it anyway */
    for (i = 1; i < n; i++) {
        const cws_container *c = &o->containers[i - 1];
        cws_sandbox_opts like = cwsi_container_opts(c);
        if (!cwsi_v1_container(a, c->name, &like, false, at + i)) return false;
        for (k = 0; k < c->mount_count; k++)
            if (!cwsi_v1_mount(a, &c->mounts[k], at + i)) return false;
    }
    return true;
}

static bool cwsi_v1_spec(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_v1_SandboxSpec *spec)
{
    if (!cwsi_v1_containers(a, o, spec)) return false;
    spec->max_lifetime_seconds = o->max_lifetime_seconds;
    spec->instance_type = cwsi_str_of(o->instance_type);
    spec->runtime_class = cwsi_str_of(o->runtime_class);
    spec->mode = CWSI_CAST(int32_t, o->placement);
    if (o->runner_ids && o->runner_ids[0]) /* runners exist only there */
        spec->mode = CWSI_v1_SANDBOX_MODE_CKS;
    return cwsi_strings_of(a, o->tags, &spec->tags) &&
           cwsi_strings_of(a, o->runner_ids, &spec->runner_ids) &&
           cwsi_pairs_of(a, o->annotations, &spec->annotations) &&
           cwsi_v1_network(a, o->network, spec) && cwsi_v1_services(a, o, &spec->services) &&
           cwsi_v1_storage_access(a, o->object_storage, spec);
}

/* A partial spec has the fields of a whole one, by number and type, so its bytes are the same. */
static cws_status cwsi_v1_template_encode(cwsi_arena *a, const cws_sandbox_opts *o,
                                          const cwsi_v1_SandboxSpec *spec, const char *request_id,
                                          cwsi_buf *out)
{
    cwsi_v1_CreateSandboxFromTemplateRequest request = CWSI_ZERO;
    cwsi_buf bytes;
    cwsi_str partial;
    void *overrides = NULL;
    cws_status status;
    cwsi_buf_init(&bytes, a->mem, CWSI_MAX_MESSAGE);
    status = cwsi_encode(&bytes, CWSI_M_v1_SandboxSpec, spec);
    partial.at = bytes.at ? bytes.at : "";
    partial.len = bytes.len;
    if (!status) status = cwsi_decode(a, CWSI_M_v1_PartialSandboxSpec, partial, &overrides);
    request.template_id = cwsi_str_of(o->template_id);
    request.request_id = cwsi_str_of(request_id);
    request.display_name = cwsi_str_of(o->display_name);
    request.overrides = CWSI_AS(cwsi_v1_PartialSandboxSpec, overrides);
    if (!status) status = cwsi_encode(out, CWSI_M_v1_CreateSandboxFromTemplateRequest, &request);
    cwsi_buf_free(&bytes);
    return status;
}

static cws_status cwsi_v1_create_encode(cwsi_arena *a, const cws_sandbox_opts *o,
                                        const char *request_id, cwsi_buf *out)
{
    cwsi_v1_CreateSandboxRequest request = CWSI_ZERO;
    cwsi_v1_Sandbox sandbox = CWSI_ZERO;
    cwsi_v1_SandboxSpec spec = CWSI_ZERO;
    if (!cwsi_v1_spec(a, o, &spec)) return CWS_ERR_NO_MEMORY;
    if (o->template_id) return cwsi_v1_template_encode(a, o, &spec, request_id, out);
    sandbox.display_name = cwsi_str_of(o->display_name);
    sandbox.spec = &spec;
    request.sandbox = &sandbox;
    request.request_id = cwsi_str_of(request_id);
    return cwsi_encode(out, CWSI_M_v1_CreateSandboxRequest, &request);
}

static const cwsi_dialect *cwsi_dialect_v1(void)
{
    static const cwsi_dialect v1 = {"v1",
                                    false,
                                    false,
                                    false,
                                    true,
                                    false,
                                    false,
                                    cwsi_v1_create_encode,
                                    cwsi_v1_lacks,
                                    CWSI_RPC_v1_SandboxService_CreateSandbox,
                                    CWSI_RPC_v1_SandboxService_CreateSandboxFromTemplate,
                                    cwsi_v1_get_begin,
                                    cwsi_v1_stop_begin,
                                    cwsi_v1_delete_begin,
                                    cwsi_v1_list_begin,
                                    cwsi_v1_state_number,
                                    cwsi_v1_exec_begin,
                                    cwsi_v1_read_begin,
                                    cwsi_v1_write_begin,
                                    NULL,
                                    cwsi_v1_view,
                                    cwsi_v1_view,
                                    cwsi_v1_stop_view,
                                    cwsi_v1_list_count,
                                    cwsi_v1_list_view,
                                    cwsi_v1_list_next,
                                    cwsi_v1_read_content,
                                    cwsi_v1_exec_reply,
                                    cwsi_v1_exec_event,
                                    cwsi_v1_exec_input,
                                    cwsi_v1_exec_resize,
                                    cwsi_v1_logs_begin,
                                    cwsi_v1_logs_event,
                                    NULL,
                                    cwsi_v1_ask_begin,
                                    cwsi_v1_ask_read};
    return &v1;
}

/* ================================================================================================
 * >>impl-view-v1beta2
 * What coreweave.sandbox.v1beta2 answers. Only this section and the next two know its messages.
 * ============================================================================================= */

static cws_state cwsi_b2_state(int32_t number)
{
    switch (number) {
    case CWSI_b2_SANDBOX_STATUS_CREATING: return CWS_STATE_CREATING;
    case CWSI_b2_SANDBOX_STATUS_RUNNING: return CWS_STATE_RUNNING;
    case CWSI_b2_SANDBOX_STATUS_COMPLETED: return CWS_STATE_COMPLETED;
    case CWSI_b2_SANDBOX_STATUS_FAILED: return CWS_STATE_FAILED;
    case CWSI_b2_SANDBOX_STATUS_TERMINATED: return CWS_STATE_TERMINATED;
    case CWSI_b2_SANDBOX_STATUS_PENDING: return CWS_STATE_PENDING;
    case CWSI_b2_SANDBOX_STATUS_PAUSED: return CWS_STATE_PAUSED;
    case CWSI_b2_SANDBOX_STATUS_TERMINATING: return CWS_STATE_TERMINATING;
    default: return CWS_STATE_UNSPECIFIED;
    }
}

static int32_t cwsi_b2_state_number(cws_state state)
{
    int32_t number;
    for (number = CWSI_b2_SANDBOX_STATUS_TERMINATING; number > 0; number--)
        if (cwsi_b2_state(number) == state) return number;
    return CWSI_b2_SANDBOX_STATUS_UNSPECIFIED;
}

/* A timeout as the field max_timeout_seconds has it: whole seconds, the rest cut off. */
static int32_t cwsi_b2_seconds(int64_t ms)
{
    return ms / 1000 < INT32_MAX ? CWSI_CAST(int32_t, ms / 1000) : INT32_MAX;
}

static bool cwsi_b2_has_id(const cwsi_view *view)
{
    return view->id.len > 0 && view->id.len < CWSI_ID_SIZE; /* a longer one could not be kept */
}

static void cwsi_b2_learn_text(cwsi_arena *a, cwsi_str text, const char **out, bool *ok)
{
    if (text.len) *out = cwsi_keep_text(a, text, ok);
}

static void cwsi_b2_learn_ports(cwsi_arena *a, const cwsi_list *ports, cws_sandbox_info *info,
                                bool *ok)
{
    cws_service_info *out =
        CWSI_AS(cws_service_info, cwsi_arena_alloc(a, ports->len * sizeof(*out) + 1));
    size_t i;
    if (ports->len == 0) return; /* not told: what is known stays */
    if (!out) *ok = false;
    for (i = 0; out && i < ports->len; i++) {
        const cwsi_b2_Port *p = CWSI_AT(b2_Port, *ports, i);
        out[i].port = p->container_port;
        out[i].name = cwsi_keep_text(a, p->name, ok);
        out[i].url = out[i].address = "";
        out[i].protocol = cwsi_str_is(p->protocol, "UDP")    ? CWS_SERVICE_UDP
                          : cwsi_str_is(p->protocol, "SCTP") ? CWS_SERVICE_SCTP
                          : cwsi_str_is(p->protocol, "TCP")  ? CWS_SERVICE_TCP
                                                             : CWS_SERVICE_PROTOCOL_DEFAULT;
    }
    info->services = out;
    info->service_count = out ? ports->len : 0;
}

/* Start, Get and List say the same things in messages of three types. */
#define CWSI_B2_LEARN(m)                                                                           \
    cwsi_b2_learn_text(a, (m)->profile_id, &info->profile_id, ok);                                 \
    cwsi_b2_learn_text(a, (m)->service_address, &info->service_address, ok);                       \
    cwsi_b2_learn_text(a, (m)->applied_ingress_mode, &info->ingress_mode, ok);                     \
    cwsi_b2_learn_text(a, (m)->applied_egress_mode, &info->egress_mode, ok);                       \
    cwsi_b2_learn_ports(a, &(m)->exposed_ports, info, ok)

static void cwsi_b2_learn_create(cwsi_arena *a, const void *reply, cws_sandbox_info *info, bool *ok)
{
    const cwsi_b2_StartSandboxResponse *m = CWSI_CAST(const cwsi_b2_StartSandboxResponse *, reply);
    const cwsi_b2_ResourceRequest *limits = m->requested_resource_limits;
    const cwsi_b2_ResourceRequest *requests = m->requested_resource_requests;
    const cwsi_b2_GpuRequest *gpu = limits && limits->gpu ? limits->gpu
                                    : requests            ? requests->gpu
                                                          : NULL;
    CWSI_B2_LEARN(m);
    if (requests) {
        info->resources.request_cpu = cwsi_keep_some(a, requests->cpu, ok);
        info->resources.request_memory = cwsi_keep_some(a, requests->memory, ok);
    }
    if (limits) {
        info->resources.limit_cpu = cwsi_keep_some(a, limits->cpu, ok);
        info->resources.limit_memory = cwsi_keep_some(a, limits->memory, ok);
    }
    if (!gpu) return;
    info->resources.gpu_count = gpu->gpu_count;
    info->resources.gpu_type = gpu->has_gpu_type ? cwsi_keep_some(a, gpu->gpu_type, ok) : NULL;
    info->resources.gpu_memory_gb = gpu->has_gpu_memory_gb ? gpu->gpu_memory_gb : 0;
}

static void cwsi_b2_learn_get(cwsi_arena *a, const void *reply, cws_sandbox_info *info, bool *ok)
{
    const cwsi_b2_GetSandboxResponse *m = CWSI_CAST(const cwsi_b2_GetSandboxResponse *, reply);
    CWSI_B2_LEARN(m);
}

static void cwsi_b2_learn_listed(cwsi_arena *a, const void *reply, cws_sandbox_info *info, bool *ok)
{
    const cwsi_b2_SandboxInfo *m = CWSI_CAST(const cwsi_b2_SandboxInfo *, reply);
    CWSI_B2_LEARN(m);
}

static bool cwsi_b2_create_view(const void *reply, cwsi_view *view)
{
    const cwsi_b2_StartSandboxResponse *m =
        CWSI_CAST(const cwsi_b2_StartSandboxResponse *, reply);
    memset(view, 0, sizeof(*view));
    view->reply = m;
    view->learn = cwsi_b2_learn_create;
    view->id = m->sandbox_id;
    view->runner = m->runner_id;
    view->state = cwsi_b2_state(m->sandbox_status);
    view->state_number = m->sandbox_status;
    view->start_ms = cwsi_pb_time(m->started_at_time);
    return cwsi_b2_has_id(view);
}

static bool cwsi_b2_get_view(const void *reply, cwsi_view *view)
{
    const cwsi_b2_GetSandboxResponse *m = CWSI_CAST(const cwsi_b2_GetSandboxResponse *, reply);
    memset(view, 0, sizeof(*view));
    view->reply = m;
    view->learn = cwsi_b2_learn_get;
    view->id = m->sandbox_id;
    view->reason = m->status_reason;
    view->runner = m->runner_id;
    view->group = m->runner_group_id;
    view->state = cwsi_b2_state(m->sandbox_status);
    view->state_number = m->sandbox_status;
    view->start_ms = cwsi_pb_time(m->started_at_time);
    view->has_exit_code = m->has_exit_code;
    view->exit_code = m->exit_code;
    return cwsi_b2_has_id(view);
}

/* An accepted stop says nothing about the sandbox. */
static bool cwsi_b2_stop_view(const void *reply, cwsi_view *view)
{
    const cwsi_b2_StopSandboxResponse *m = CWSI_CAST(const cwsi_b2_StopSandboxResponse *, reply);
    memset(view, 0, sizeof(*view));
    view->snapshot_ids = &m->file_system_snapshot_id;
    view->snapshot_count = m->file_system_snapshot_id.len ? 1 : 0;
    return true;
}

/* Replies with success and error_message. */
static cws_status cwsi_b2_refused(cwsi_msg_id id, const void *reply, cwsi_str *text)
{
    cws_status status = CWS_ERR_SANDBOX;
    bool success = true;
#define CWSI_B2_REFUSAL(message, kind)                                                             \
    case CWSI_M_b2_##message:                                                                      \
        success = CWSI_CAST(const cwsi_b2_##message *, reply)->success;                            \
        *text = CWSI_CAST(const cwsi_b2_##message *, reply)->error_message;                        \
        status = kind;                                                                             \
        break;
    switch (CWSI_CAST(int, id)) {
        CWSI_B2_REFUSAL(StopSandboxResponse, CWS_ERR_SANDBOX)
        CWSI_B2_REFUSAL(DeleteSandboxResponse, CWS_ERR_SANDBOX)
        CWSI_B2_REFUSAL(PauseSandboxResponse, CWS_ERR_SANDBOX)
        CWSI_B2_REFUSAL(ResumeSandboxResponse, CWS_ERR_SANDBOX)
        CWSI_B2_REFUSAL(AddFileSandboxResponse, CWS_ERR_FILE)
        CWSI_B2_REFUSAL(RetrieveFileSandboxResponse, CWS_ERR_FILE)
        CWSI_B2_REFUSAL(CreateFileSystemSnapshotResponse, CWS_ERR_SNAPSHOT)
        CWSI_B2_REFUSAL(DeleteFileSystemSnapshotResponse, CWS_ERR_SNAPSHOT)
    default: break;
    }
#undef CWSI_B2_REFUSAL
    if (success) return CWS_OK;
    if (text->len == 0) *text = cwsi_str_of("unknown error");
    return status;
}

/* ================================================================================================
 * >>impl-dialect-v1beta2
 * The calls of coreweave.sandbox.v1beta2.
 * ============================================================================================= */

static bool cwsi_b2_get_begin(cws_op *op, cwsi_str id, cwsi_retry retry, int64_t rpc_ms,
                              int64_t deadline)
{
    cwsi_b2_GetSandboxRequest m = CWSI_ZERO;
    m.sandbox_id = id;
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_Get, &m, retry, rpc_ms, deadline);
}

/* missing_ok is not in the request: NOT_FOUND is understood by the caller. */
static bool cwsi_b2_stop_begin(cws_op *op, const cwsi_stop_request *r, int64_t rpc_ms,
                               int64_t deadline)
{
    cwsi_b2_StopSandboxRequest m = CWSI_ZERO;
    m.sandbox_id = r->id;
    m.graceful_shutdown_seconds = r->grace_s;
    m.max_timeout_seconds =
        r->snapshot ? CWSI_SNAPSHOT_S : r->grace_s + CWSI_CLIENT_BUFFER_MS / 1000;
    m.file_system_snapshot_on_stop = m.has_wait_for_ready = r->snapshot;
    m.wait_for_ready = r->wait;
    m.idempotency_key = r->request_id;
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_Stop, &m, CWSI_RETRY_SAFE, rpc_ms,
                           deadline);
}

static bool cwsi_b2_pause_begin(cws_op *op, cwsi_str id, bool resume, int64_t rpc_ms,
                                int64_t deadline)
{
    cwsi_b2_PauseSandboxRequest pause = CWSI_ZERO;
    cwsi_b2_ResumeSandboxRequest go = CWSI_ZERO;
    pause.sandbox_id = go.sandbox_id = id;
    if (resume)
        return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_Resume, &go, CWSI_RETRY_UNSENT,
                               rpc_ms, deadline);
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_Pause, &pause, CWSI_RETRY_UNSENT, rpc_ms,
                           deadline);
}

static bool cwsi_b2_delete_begin(cws_op *op, cwsi_str id, int64_t rpc_ms, int64_t deadline)
{
    cwsi_b2_DeleteSandboxRequest m = CWSI_ZERO;
    m.sandbox_id = id;
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_Delete, &m, CWSI_RETRY_SAFE, rpc_ms,
                           deadline);
}

static bool cwsi_b2_list_begin(cws_op *op, const cwsi_list_request *r, int64_t rpc_ms,
                               int64_t deadline)
{
    cwsi_b2_ListSandboxesRequest m = CWSI_ZERO;
    m.tags = r->tags;
    m.runner_ids = r->runner_ids;
    m.profile_ids = r->profile_ids;
    m.profile_names = r->profile_names;
    m.status = cwsi_b2_state_number(r->state);
    m.include_stopped = r->include_stopped;
    m.page_token = r->page_token;
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_List, &m, CWSI_RETRY_SAFE, rpc_ms,
                           deadline);
}

static size_t cwsi_b2_list_count(const void *reply)
{
    return CWSI_CAST(const cwsi_b2_ListSandboxesResponse *, reply)->sandboxes.len;
}

static bool cwsi_b2_list_view(const void *reply, size_t index, cwsi_view *view)
{
    const cwsi_b2_SandboxInfo *m =
        CWSI_AT(b2_SandboxInfo, CWSI_CAST(const cwsi_b2_ListSandboxesResponse *, reply)->sandboxes,
                index);
    memset(view, 0, sizeof(*view));
    view->reply = m;
    view->learn = cwsi_b2_learn_listed;
    view->id = m->sandbox_id;
    view->runner = m->runner_id;
    view->group = m->runner_group_id;
    view->state = cwsi_b2_state(m->sandbox_status);
    view->state_number = m->sandbox_status;
    view->start_ms = cwsi_pb_time(m->started_at_time);
    return cwsi_b2_has_id(view);
}

static cwsi_str cwsi_b2_list_next(const void *reply)
{
    return CWSI_CAST(const cwsi_b2_ListSandboxesResponse *, reply)->next_page_token;
}

/* The unary call has no environment of its own. */
static bool cwsi_b2_exec_unary(cws_op *op, const cwsi_exec_request *r, int64_t deadline)
{
    cwsi_b2_ExecSandboxRequest m = CWSI_ZERO;
    if (r->env.len)
        return cwsi_no(cwsi_fail(&op->err, CWS_ERR_UNSUPPORTED,
                                 "env needs the streaming call in v1beta2, which this transport "
                                 "or address can not carry"));
    m.sandbox_id = r->sandbox_id;
    m.command = r->command;
    m.max_timeout_seconds = cwsi_b2_seconds(r->timeout_ms);
    m.output_handling = CWSI_b2_OUTPUT_POLICY_BUFFERED;
    m.buffered_max_kib = CWSI_CAST(uint32_t, r->max_output) / 1024u + 1u;
    if (!cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_Exec, &m, CWSI_RETRY_UNSENT, CWSI_NEVER,
                         deadline))
        return false;
    op->call->long_lived = true;
    return true;
}

static bool cwsi_b2_exec_begin(cws_op *op, const cwsi_exec_request *r, bool unary, int64_t deadline)
{
    cwsi_b2_ExecStreamInit init = CWSI_ZERO;
    cwsi_b2_ExecStreamRequest first = CWSI_ZERO;
    if (unary) return cwsi_b2_exec_unary(op, r, deadline);
    init.sandbox_id = r->sandbox_id;
    init.command = r->command;
    init.env = r->env;
    init.tty = r->tty;
    init.tty_width = r->width;
    init.tty_height = r->height;
    first.init = &init;
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayStreamingService_StreamExec, &first,
                           CWSI_RETRY_UNSENT, CWSI_NEVER, deadline);
}

static void cwsi_b2_exec_reply(const void *reply, cwsi_exec_reply *out)
{
    const cwsi_b2_ExecResponse *m = CWSI_CAST(const cwsi_b2_ExecSandboxResponse *, reply)->result;
    memset(out, 0, sizeof(*out));
    if (!m) return;
    out->exited = true;
    out->out = m->stdout_;
    out->err = m->stderr_;
    out->out_truncated = m->stdout_truncated;
    out->err_truncated = m->stderr_truncated;
    out->out_produced = cwsi_count_of(m->stdout_bytes_produced);
    out->err_produced = cwsi_count_of(m->stderr_bytes_produced);
    out->exit_code = m->exit_code;
}

static void cwsi_b2_exec_event(const void *message, cwsi_exec_event *event)
{
    const cwsi_b2_ExecStreamResponse *m = CWSI_CAST(const cwsi_b2_ExecStreamResponse *, message);
    memset(event, 0, sizeof(*event));
    if (m->ready) {
        event->kind = CWSI_EXEC_READY;
    } else if (m->output) { /* a stream that is not named counts as stdout */
        event->kind = CWSI_EXEC_OUTPUT;
        event->stream =
            m->output->stream_type == CWSI_b2_STREAM_TYPE_STDERR ? CWS_STDERR : CWS_STDOUT;
        event->data = m->output->data;
    } else if (m->exit) {
        event->kind = CWSI_EXEC_EXIT;
        event->exit_code = m->exit->exit_code;
    } else if (m->error) {
        event->kind = CWSI_EXEC_ERROR;
        event->data = m->error->message;
        event->code = m->error->code;
    }
}

static bool cwsi_b2_exec_input(cwsi_buf *out, const cwsi_str *data)
{
    cwsi_b2_ExecStreamRequest m = CWSI_ZERO;
    cwsi_b2_ExecStreamData piece = CWSI_ZERO;
    cwsi_b2_ExecStreamClose end = CWSI_ZERO;
    if (data) {
        piece.data = *data;
        m.stdin_ = &piece;
    } else {
        m.close = &end;
    }
    return cwsi_put_envelope(out, CWSI_M_b2_ExecStreamRequest, &m) == CWS_OK;
}

static bool cwsi_b2_exec_resize(cwsi_buf *out, uint32_t width, uint32_t height)
{
    cwsi_b2_ExecStreamRequest m = CWSI_ZERO;
    cwsi_b2_ExecStreamResize size = CWSI_ZERO;
    size.width = width;
    size.height = height;
    m.resize = &size;
    return cwsi_put_envelope(out, CWSI_M_b2_ExecStreamRequest, &m) == CWS_OK;
}

/* With follow our side stays open: its end would be the end of interest. */
static bool cwsi_b2_logs_begin(cws_op *op, const cwsi_logs_request *r, int64_t deadline)
{
    cwsi_b2_LogStreamRequest m = CWSI_ZERO;
    cwsi_b2_LogStreamInit init = CWSI_ZERO;
    cwsi_pb_Timestamp since = CWSI_ZERO;
    init.sandbox_id = r->sandbox_id;
    init.follow = r->follow;
    init.timestamps = r->timestamps;
    init.tail_lines = r->tail_lines;
    init.resume_session_id = r->session_id;
    init.resume_offset = r->offset;
    since = cwsi_pb_time_of(r->since_ms);
    if (r->since_ms) init.since_time = &since;
    m.init = &init;
    if (!cwsi_call_begin(op, CWSI_RPC_b2_GatewayStreamingService_StreamLogs, &m, CWSI_RETRY_UNSENT,
                         CWSI_NEVER, deadline))
        return false;
    op->call->more = r->follow;
    return true;
}

static void cwsi_b2_logs_event(const void *message, cwsi_logs_event *event)
{
    const cwsi_b2_LogStreamResponse *m = CWSI_CAST(const cwsi_b2_LogStreamResponse *, message);
    memset(event, 0, sizeof(*event));
    event->over = m->complete != NULL;
    event->failed = m->error != NULL;
    if (m->data) {
        event->data = m->data->data;
        event->session_id = m->data->session_id;
        event->offset = m->data->offset;
        event->unix_ms = cwsi_pb_time(m->data->timestamp);
    } else if (m->error) {
        event->text = m->error->message;
        event->code = m->error->code;
    }
}

static bool cwsi_b2_read_begin(cws_op *op, const cwsi_file_request *r, int64_t deadline)
{
    cwsi_b2_RetrieveFileSandboxRequest m = CWSI_ZERO;
    m.sandbox_id = r->sandbox_id;
    m.filepath = r->path;
    m.max_timeout_seconds = cwsi_b2_seconds(r->timeout_ms);
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_RetrieveFile, &m, CWSI_RETRY_SAFE,
                           CWSI_NEVER, deadline);
}

static cwsi_str cwsi_b2_read_content(const void *reply)
{
    return CWSI_CAST(const cwsi_b2_RetrieveFileSandboxResponse *, reply)->file_contents;
}

static bool cwsi_b2_write_begin(cws_op *op, const cwsi_file_request *r, int64_t deadline)
{
    cwsi_b2_AddFileSandboxRequest m = CWSI_ZERO;
    m.sandbox_id = r->sandbox_id;
    m.filepath = r->path;
    m.file_contents = r->content;
    m.max_timeout_seconds = cwsi_b2_seconds(r->timeout_ms);
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_AddFile, &m, CWSI_RETRY_UNSENT,
                           CWSI_NEVER, deadline);
}

/* ================================================================================================
 * >>impl-ask-v1beta2
 * Snapshots, runners and profiles in coreweave.sandbox.v1beta2.
 * ============================================================================================= */

static void cwsi_b2_read_snapshot(const cwsi_b2_FileSystemSnapshot *m, cwsi_found *f, bool *ok)
{
    cws_snapshot *s = CWSI_AS(cws_snapshot, cwsi_found_add(f, sizeof(*s), ok));
    cwsi_arena *a = &f->arena;
    if (!s) return;
    s->snapshot_id = cwsi_keep_text(a, m->file_system_snapshot_id, ok);
    s->state = CWSI_CAST(cws_snapshot_state, cwsi_known(m->status, CWS_SNAPSHOT_DELETING));
    s->status_reason = cwsi_keep_text(a, m->status_reason, ok);
    s->size_bytes = m->size_bytes;
    s->source_sandbox_id = cwsi_keep_text(a, m->source_sandbox_id, ok);
    s->source_volume_name = "";
    if (m->trigger == CWSI_b2_FILE_SYSTEM_SNAPSHOT_TRIGGER_MANUAL) s->trigger = CWS_SNAPSHOT_MANUAL;
    if (m->trigger == CWSI_b2_FILE_SYSTEM_SNAPSHOT_TRIGGER_STOP) s->trigger = CWS_SNAPSHOT_ON_STOP;
    s->request_id = cwsi_keep_text(a, m->idempotency_key, ok);
    s->object_bucket = cwsi_keep_text(a, m->object_bucket, ok);
    s->create_unix_ms = cwsi_pb_time(m->created_at);
    s->update_unix_ms = cwsi_pb_time(m->updated_at);
    s->complete_unix_ms = cwsi_pb_time(m->completed_at);
}

/* All that a create tells is the id. */
static void cwsi_b2_read_created(const cwsi_question *q,
                                 const cwsi_b2_CreateFileSystemSnapshotResponse *m, cwsi_found *f,
                                 bool *ok)
{
    cwsi_b2_FileSystemSnapshot s = CWSI_ZERO;
    s.file_system_snapshot_id = m->file_system_snapshot_id;
    s.source_sandbox_id = q->id;
    s.idempotency_key = q->request_id;
    s.trigger = CWSI_b2_FILE_SYSTEM_SNAPSHOT_TRIGGER_MANUAL;
    s.status = q->wait ? CWSI_b2_FILE_SYSTEM_SNAPSHOT_STATUS_READY
                       : CWSI_b2_FILE_SYSTEM_SNAPSHOT_STATUS_CREATING;
    cwsi_b2_read_snapshot(&s, f, ok);
}

static void cwsi_b2_add_runner(const cwsi_b2_AvailableRunner *m, cwsi_found *f, bool *ok)
{
    cws_runner *r = cwsi_b2_read_runner(m, f, ok);
    if (r) r->profile_names = cwsi_keep_list(&f->arena, &m->profile_names, ok);
}

static void cwsi_b2_add_profile(const cwsi_b2_ProfileSummary *m, cwsi_found *f, bool *ok)
{
    cws_profile *p = CWSI_AS(cws_profile, cwsi_found_add(f, sizeof(*p), ok));
    size_t i, n = m->service_exposure_modes.len, k = m->egress_modes.len;
    cwsi_arena *a = &f->arena;
    const char **in = CWSI_AS(const char *, cwsi_arena_alloc(a, (n + 1) * sizeof(*in)));
    const char **out = CWSI_AS(const char *, cwsi_arena_alloc(a, (k + 1) * sizeof(*out)));
    if (!in || !out) *ok = false;
    if (!p || !in || !out) return;
    p->profile_name = cwsi_keep_text(a, m->profile_name, ok);
    p->runner_id = cwsi_keep_text(a, m->runner_id, ok);
    p->gpu_types = cwsi_keep_list(a, &m->supported_gpu_types, ok);
    p->architectures = cwsi_keep_list(a, &m->supported_architectures, ok);
    for (i = 0; i < n; i++)
        in[i] = cwsi_keep_text(a, CWSI_AT(b2_ServiceExposureMode, m->service_exposure_modes,
                                          i)->name, ok);
    for (i = 0; i < k; i++)
        out[i] = cwsi_keep_text(a, CWSI_AT(b2_EgressMode, m->egress_modes, i)->name, ok);
    p->service_exposure_modes = in;
    p->egress_modes = out;
}

static bool cwsi_b2_ask_snapshot(cws_op *op, const cwsi_question *q, int64_t rpc_ms,
                                 int64_t deadline)
{
    cwsi_b2_CreateFileSystemSnapshotRequest create = CWSI_ZERO;
    cwsi_b2_GetFileSystemSnapshotRequest get = CWSI_ZERO;
    cwsi_b2_ListFileSystemSnapshotsRequest list = CWSI_ZERO;
    cwsi_b2_DeleteFileSystemSnapshotRequest del = CWSI_ZERO;
    create.sandbox_id = get.file_system_snapshot_id = del.file_system_snapshot_id = q->id;
    create.idempotency_key = q->request_id;
    create.has_wait_for_ready = true;
    create.wait_for_ready = create.has_max_timeout_seconds = q->wait;
    create.max_timeout_seconds = cwsi_b2_seconds(q->timeout_ms - CWSI_CLIENT_BUFFER_MS);
    if (create.max_timeout_seconds < 1) create.max_timeout_seconds = 1;
    list.page_token = q->page_token;
    if (q->ask == CWSI_ASK_SNAPSHOT_CREATE)
        return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_CreateFileSystemSnapshot, &create,
                               CWSI_RETRY_SAFE, q->wait ? CWSI_NEVER : rpc_ms, deadline);
    if (q->ask == CWSI_ASK_SNAPSHOT_GET)
        return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_GetFileSystemSnapshot, &get,
                               CWSI_RETRY_POLL, rpc_ms, deadline);
    if (q->ask == CWSI_ASK_SNAPSHOT_LIST)
        return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_ListFileSystemSnapshots, &list,
                               CWSI_RETRY_SAFE, rpc_ms, deadline);
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_DeleteFileSystemSnapshot, &del,
                           CWSI_RETRY_SAFE, rpc_ms, deadline);
}

static bool cwsi_b2_ask_bucket(cws_op *op, const cwsi_question *q, int64_t rpc_ms, int64_t deadline)
{
    cwsi_b2_GetFileSystemSnapshotBucketConfigRequest get = CWSI_ZERO;
    cwsi_b2_SetFileSystemSnapshotBucketConfigRequest set = CWSI_ZERO;
    set.bucket_name = q->id;
    set.region = q->region;
    if (q->ask == CWSI_ASK_BUCKET_GET)
        return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_GetFileSystemSnapshotBucketConfig,
                               &get, CWSI_RETRY_SAFE, rpc_ms, deadline);
    return cwsi_call_begin(op, CWSI_RPC_b2_GatewayService_SetFileSystemSnapshotBucketConfig, &set,
                           CWSI_RETRY_SAFE, rpc_ms, deadline);
}

static bool cwsi_b2_ask_runner(cws_op *op, const cwsi_question *q, int64_t rpc_ms, int64_t deadline)
{
    cwsi_b2_ListAvailableRunnersRequest list = CWSI_ZERO;
    cwsi_b2_GetAvailableRunnerRequest get = CWSI_ZERO;
    list.runner_group_id = q->group;
    list.profile_name = q->profile;
    list.gpu_type = q->gpu_type;
    list.architecture = q->architecture;
    list.exclude_shared = q->exclude_shared;
    list.healthy_only = q->healthy_only;
    list.page_size = CWSI_DISCOVERY_PAGE;
    list.page_token = q->page_token;
    get.runner_id = q->id;
    list.view = get.view = q->full ? CWSI_b2_RUNNER_VIEW_FULL : CWSI_b2_RUNNER_VIEW_BASIC;
    if (q->ask == CWSI_ASK_RUNNER_LIST)
        return cwsi_call_begin(op, CWSI_RPC_b2_DiscoveryService_ListAvailableRunners, &list,
                               CWSI_RETRY_SAFE, rpc_ms, deadline);
    return cwsi_call_begin(op, CWSI_RPC_b2_DiscoveryService_GetAvailableRunner, &get,
                           CWSI_RETRY_SAFE, rpc_ms, deadline);
}

static bool cwsi_b2_ask_profile(cws_op *op, const cwsi_question *q, int64_t rpc_ms,
                                int64_t deadline)
{
    cwsi_b2_ListProfilesRequest list = CWSI_ZERO;
    cwsi_b2_GetProfileRequest get = CWSI_ZERO;
    list.gpu_type = q->gpu_type;
    list.architecture = q->architecture;
    list.exclude_shared = q->exclude_shared;
    list.runner_id = get.runner_id = q->id;
    list.page_size = CWSI_DISCOVERY_PAGE;
    list.page_token = q->page_token;
    get.profile_name = q->profile;
    if (q->ask == CWSI_ASK_PROFILE_LIST)
        return cwsi_call_begin(op, CWSI_RPC_b2_DiscoveryService_ListProfiles, &list,
                               CWSI_RETRY_SAFE, rpc_ms, deadline);
    return cwsi_call_begin(op, CWSI_RPC_b2_DiscoveryService_GetProfile, &get, CWSI_RETRY_SAFE,
                           rpc_ms, deadline);
}

static bool cwsi_b2_ask_begin(cws_op *op, const cwsi_question *q, int64_t rpc_ms, int64_t deadline)
{
    if (q->ask <= CWSI_ASK_SNAPSHOT_DELETE) return cwsi_b2_ask_snapshot(op, q, rpc_ms, deadline);
    if (q->ask <= CWSI_ASK_BUCKET_SET) return cwsi_b2_ask_bucket(op, q, rpc_ms, deadline);
    if (q->ask <= CWSI_ASK_RUNNER_GET) return cwsi_b2_ask_runner(op, q, rpc_ms, deadline);
    return cwsi_b2_ask_profile(op, q, rpc_ms, deadline);
}

static cwsi_str cwsi_b2_ask_read(const cwsi_question *q, const void *reply, cwsi_found *f, bool *ok)
{
    const cwsi_b2_ListFileSystemSnapshotsResponse *snapshots;
    const cwsi_b2_ListAvailableRunnersResponse *runners;
    const cwsi_b2_ListProfilesResponse *profiles;
    cwsi_str none = CWSI_ZERO;
    size_t i;
    switch (CWSI_CAST(int, q->ask)) {
    case CWSI_ASK_SNAPSHOT_CREATE:
        cwsi_b2_read_created(q, CWSI_CAST(const cwsi_b2_CreateFileSystemSnapshotResponse *, reply),
                             f, ok);
        return none;
    case CWSI_ASK_SNAPSHOT_GET:
        cwsi_b2_read_snapshot(CWSI_CAST(const cwsi_b2_FileSystemSnapshot *, reply), f, ok);
        return none;
    case CWSI_ASK_SNAPSHOT_LIST:
        snapshots = CWSI_CAST(const cwsi_b2_ListFileSystemSnapshotsResponse *, reply);
        for (i = 0; i < snapshots->file_system_snapshots.len; i++)
            cwsi_b2_read_snapshot(
                CWSI_AT(b2_FileSystemSnapshot, snapshots->file_system_snapshots, i), f, ok);
        return snapshots->next_page_token;
    case CWSI_ASK_BUCKET_GET:
    case CWSI_ASK_BUCKET_SET:
        cwsi_b2_read_bucket(CWSI_CAST(const cwsi_b2_FileSystemSnapshotBucketConfig *, reply),
                            &f->bucket, ok);
        return none;
    case CWSI_ASK_RUNNER_GET:
        cwsi_b2_add_runner(CWSI_CAST(const cwsi_b2_AvailableRunner *, reply), f, ok);
        return none;
    case CWSI_ASK_RUNNER_LIST:
        runners = CWSI_CAST(const cwsi_b2_ListAvailableRunnersResponse *, reply);
        for (i = 0; i < runners->runners.len; i++)
            cwsi_b2_add_runner(CWSI_AT(b2_AvailableRunner, runners->runners, i), f, ok);
        return runners->next_page_token;
    case CWSI_ASK_PROFILE_GET:
        cwsi_b2_add_profile(CWSI_CAST(const cwsi_b2_ProfileSummary *, reply), f, ok);
        return none;
    case CWSI_ASK_PROFILE_LIST:
        profiles = CWSI_CAST(const cwsi_b2_ListProfilesResponse *, reply);
        for (i = 0; i < profiles->profiles.len; i++)
            cwsi_b2_add_profile(CWSI_AT(b2_ProfileSummary, profiles->profiles, i), f, ok);
        return profiles->next_page_token;
    default: return none;
    }
}

/* ================================================================================================
 * >>impl-create-v1beta2
 * Merged options to a StartSandboxRequest.
 * ============================================================================================= */

/* One side of the requirements; NULL if there is nothing in it. *ok: memory sufficed. */
static cwsi_b2_ResourceRequest *cwsi_b2_resources(cwsi_arena *a, const char *cpu,
                                                  const char *memory, const cws_resources *r,
                                                  bool *ok)
{
    cwsi_b2_ResourceRequest *out;
    bool gpu = r->gpu_count || (r->gpu_type && r->gpu_type[0]) || r->gpu_memory_gb;
    if (!cpu && !memory && !gpu) return NULL;
    out = CWSI_ARENA_NEW(a, cwsi_b2_ResourceRequest);
    if (out && gpu) out->gpu = CWSI_ARENA_NEW(a, cwsi_b2_GpuRequest);
    if (!out || (gpu && !out->gpu)) {
        *ok = false;
        return NULL;
    }
    out->cpu = cwsi_str_of(cpu);
    out->memory = cwsi_str_of(memory);
    if (!gpu) return out;
    out->gpu->gpu_count = r->gpu_count;
    if (r->gpu_type && r->gpu_type[0]) {
        out->gpu->has_gpu_type = true;
        out->gpu->gpu_type = cwsi_str_of(r->gpu_type);
    } else if (r->gpu_memory_gb) {
        out->gpu->has_gpu_memory_gb = true;
        out->gpu->gpu_memory_gb = r->gpu_memory_gb;
    }
    return out;
}

static bool cwsi_b2_requirements(cwsi_arena *a, const cws_resources *r,
                                 cwsi_b2_StartSandboxRequest *m)
{
    cwsi_sides sides;
    bool ok = true;
    if (!r) return true;
    sides = cwsi_resource_sides(r);
    m->resource_requests = cwsi_b2_resources(a, sides.request_cpu, sides.request_memory, r, &ok);
    m->resource_limits = cwsi_b2_resources(a, sides.limit_cpu, sides.limit_memory, r, &ok);
    return ok;
}

static bool cwsi_b2_files(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_list *out)
{
    size_t i;
    memset(out, 0, sizeof(*out));
    for (i = 0; i < o->mounted_file_count; i++) {
        cwsi_b2_MountedFile *file =
            CWSI_AS(cwsi_b2_MountedFile, cwsi_list_grow(a, out, sizeof(cwsi_b2_MountedFile)));
        if (!file) return false;
        file->mount_path = cwsi_str_of(o->mounted_files[i].mount_path);
        file->file_content.at = CWSI_CAST(const char *, o->mounted_files[i].content);
        file->file_content.len = o->mounted_files[i].size;
    }
    return true;
}

static bool cwsi_b2_network(cwsi_arena *a, const cws_network *n, cwsi_b2_StartSandboxRequest *m)
{
    cwsi_b2_NetworkOptions *out;
    size_t i;
    if (!n) return true;
    out = CWSI_ARENA_NEW(a, cwsi_b2_NetworkOptions);
    if (!out) return false;
    m->network = out;
    out->ingress_mode = cwsi_str_of(n->ingress_mode);
    out->egress_mode = cwsi_str_of(n->egress_mode);
    for (i = 0; i < n->exposed_port_count; i++) {
        int32_t *port = CWSI_AS(int32_t, cwsi_list_grow(a, &out->exposed_ports, sizeof(*port)));
        if (!port) return false;
        *port = n->exposed_ports[i];
    }
    return true;
}

static bool cwsi_b2_ports(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_list *out)
{
    size_t i;
    for (i = 0; i < o->port_count; i++) {
        cwsi_b2_Port *port = CWSI_AS(cwsi_b2_Port, cwsi_list_grow(a, out, sizeof(cwsi_b2_Port)));
        if (!port) return false;
        port->container_port = o->ports[i].container_port;
        port->name = cwsi_str_of(o->ports[i].name);
        port->protocol = cwsi_str_of(o->ports[i].protocol);
    }
    return true;
}

static bool cwsi_b2_volumes(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_list *out)
{
    size_t i;
    for (i = 0; i < o->volume_count; i++) {
        cwsi_b2_VolumeAttachment *v = CWSI_AS(
            cwsi_b2_VolumeAttachment, cwsi_list_grow(a, out, sizeof(cwsi_b2_VolumeAttachment)));
        if (!v) return false;
        v->volume_id = cwsi_str_of(o->volumes[i].volume_id);
        v->mount_path = cwsi_str_of(o->volumes[i].mount_path);
        v->sub_path = cwsi_str_of(o->volumes[i].sub_path);
        v->read_only = o->volumes[i].read_only;
    }
    return true;
}

static bool cwsi_b2_file_system(cwsi_arena *a, const cws_file_system *f,
                                cwsi_b2_StartSandboxRequest *m)
{
    if (!f) return true;
    m->file_system = CWSI_ARENA_NEW(a, cwsi_b2_SandboxFileSystemMount);
    if (!m->file_system) return false;
    m->file_system->mount_path = cwsi_str_of(f->mount_path);
    m->file_system->size = cwsi_str_of(f->size);
    if (!f->snapshot_id || !f->snapshot_id[0]) return true;
    m->file_system->file_system_snapshot = CWSI_ARENA_NEW(a, cwsi_b2_FileSystemSnapshotSource);
    if (!m->file_system->file_system_snapshot) return false;
    m->file_system->file_system_snapshot->file_system_snapshot_id = cwsi_str_of(f->snapshot_id);
    return true;
}

/* Network, storage, ports. */
static bool cwsi_b2_places(cwsi_arena *a, const cws_sandbox_opts *o, cwsi_b2_StartSandboxRequest *m)
{
    const cws_object_storage *s = o->object_storage;
    m->max_timeout_seconds = o->max_timeout_seconds;
    if (o->s3_mount) {
        m->s3_mount = CWSI_ARENA_NEW(a, cwsi_b2_S3Mount);
        if (!m->s3_mount) return false;
        m->s3_mount->bucket = cwsi_str_of(o->s3_mount->bucket);
        m->s3_mount->directory = cwsi_str_of(o->s3_mount->directory);
        m->s3_mount->mount_path = cwsi_str_of(o->s3_mount->mount_path);
    }
    if (s) {
        m->object_storage_access = CWSI_ARENA_NEW(a, cwsi_b2_ObjectStorageAccess);
        if (!m->object_storage_access) return false;
        m->object_storage_access->permission = s->read_write
                                                   ? CWSI_b2_OBJECT_STORAGE_PERMISSION_READ_WRITE
                                                   : CWSI_b2_OBJECT_STORAGE_PERMISSION_READ;
        m->object_storage_access->object_prefix = cwsi_str_of(s->object_prefix);
        if (!cwsi_strings_of(a, s->buckets, &m->object_storage_access->buckets)) return false;
    }
    return cwsi_b2_network(a, o->network, m) && cwsi_b2_ports(a, o, &m->ports) &&
           cwsi_b2_volumes(a, o, &m->volumes) && cwsi_b2_file_system(a, o->file_system, m);
}

static cws_status cwsi_b2_create_encode(cwsi_arena *a, const cws_sandbox_opts *o,
                                        const char *request_id, cwsi_buf *out)
{
    cwsi_b2_StartSandboxRequest m = CWSI_ZERO;
    (void)request_id; /* there is no token in this dialect */
    m.container_image = cwsi_str_of(o->container_image ? o->container_image : CWSI_DEFAULT_IMAGE);
    m.command = cwsi_str_of(o->command ? o->command : CWSI_DEFAULT_COMMAND);
    m.max_lifetime_seconds = o->max_lifetime_seconds;
    if (!cwsi_strings_of(a, cwsi_effective_args(o), &m.args) ||
        !cwsi_strings_of(a, o->tags, &m.tags) ||
        !cwsi_strings_of(a, o->runner_ids, &m.runner_ids) ||
        !cwsi_strings_of(a, o->profile_ids, &m.profile_ids) ||
        !cwsi_strings_of(a, o->profile_names, &m.profile_names) ||
        !cwsi_pairs_of(a, o->environment_variables, &m.environment_variables) ||
        !cwsi_pairs_of(a, o->annotations, &m.pod_annotations) ||
        !cwsi_b2_requirements(a, o->resources, &m) || !cwsi_b2_secrets(a, o, &m.secret_stores) ||
        !cwsi_b2_files(a, o, &m.mounted_files) || !cwsi_b2_places(a, o, &m))
        return CWS_ERR_NO_MEMORY;
    return cwsi_encode(out, CWSI_M_b2_StartSandboxRequest, &m);
}

static const cwsi_dialect *cwsi_dialect_b2(void)
{
    static const cwsi_dialect b2 = {"v1beta2",
                                    true,
                                    true,
                                    true,
                                    false,
                                    true,
                                    true,
                                    cwsi_b2_create_encode,
                                    cwsi_b2_lacks,
                                    CWSI_RPC_b2_GatewayService_Start,
                                    CWSI_RPC_b2_GatewayService_Start, /* there are no templates */
                                    cwsi_b2_get_begin,
                                    cwsi_b2_stop_begin,
                                    cwsi_b2_delete_begin,
                                    cwsi_b2_list_begin,
                                    cwsi_b2_state_number,
                                    cwsi_b2_exec_begin,
                                    cwsi_b2_read_begin,
                                    cwsi_b2_write_begin,
                                    cwsi_b2_refused,
                                    cwsi_b2_create_view,
                                    cwsi_b2_get_view,
                                    cwsi_b2_stop_view,
                                    cwsi_b2_list_count,
                                    cwsi_b2_list_view,
                                    cwsi_b2_list_next,
                                    cwsi_b2_read_content,
                                    cwsi_b2_exec_reply,
                                    cwsi_b2_exec_event,
                                    cwsi_b2_exec_input,
                                    cwsi_b2_exec_resize,
                                    cwsi_b2_logs_begin,
                                    cwsi_b2_logs_event,
                                    cwsi_b2_pause_begin,
                                    cwsi_b2_ask_begin,
                                    cwsi_b2_ask_read};
    return &b2;
}

/* ================================================================================================
 * >>impl-journal
 * What a session may leave behind, for the run after a crash. A file of lines, each written whole
 * before what it tells of is done:
 *
 *      cwsandbox-journal 1 v1 https://api.cwsandbox.com TAG    a session begins
 *      create REQUEST_ID               a create is about to be sent
 *      failed REQUEST_ID               no sandbox came of it
 *      live SANDBOX_ID REQUEST_ID      one did, or ("-") was adopted
 *      gone SANDBOX_ID                 it has been stopped, or let go
 *      reaped TAG                      a later session has stopped what that one left
 *
 * Lines of other kinds, and a last one without its end, are ignored.
 * ============================================================================================= */

#define CWSI_JOURNAL_MAX (64u << 20)
#define CWSI_JOURNAL_LINE 2048

/* What an earlier session left. */
typedef struct cwsi_left {
    cwsi_str version, url, tag;
    cwsi_list live;    /* of cwsi_str: ids of sandboxes */
    cwsi_list unknown; /* of cwsi_str: request ids */
    bool reaped;
} cwsi_left;

struct cwsi_journal {
    cwsi_arena arena; /* path, and what was read */
    const char *path;
    char tag[48];
    void *file;     /* a FILE */
    cwsi_list left; /* of cwsi_left */
    size_t unknown; /* creates of this session without an outcome */
};

#ifndef CWS_NO_STDIO

/* The next word of a line, behind *at; "" at its end. */
static cwsi_str cwsi_word(cwsi_str line, size_t *at)
{
    cwsi_str word;
    size_t begin = *at;
    while (begin < line.len && line.at[begin] == ' ') begin++;
    *at = begin;
    while (*at < line.len && line.at[*at] != ' ') ++*at;
    word.at = line.at + begin;
    word.len = *at - begin;
    return word;
}

/* Take a text out of a list. */
static void cwsi_list_drop(cwsi_list *list, cwsi_str text)
{
    cwsi_str *at = CWSI_AS(cwsi_str, list->at);
    size_t i = list->len;
    while (i > 0 && !cwsi_str_same(at[i - 1], text)) i--;
    if (i == 0) return;
    list->len--;
    memmove(at + i - 1, at + i, (list->len - (i - 1)) * sizeof(*at));
}

static bool cwsi_list_put(cwsi_arena *a, cwsi_list *list, cwsi_str text)
{
    cwsi_str *at = CWSI_AS(cwsi_str, cwsi_list_grow(a, list, sizeof(*at)));
    if (at) *at = text;
    return at != NULL;
}

static void cwsi_journal_reaped(cwsi_journal *j, cwsi_str tag)
{
    cwsi_left *left = CWSI_AS(cwsi_left, j->left.at);
    size_t i;
    for (i = 0; i < j->left.len; i++)
        if (cwsi_str_same(left[i].tag, tag)) left[i].reaped = true;
}

/* Understand a line. False: out of memory. */
static bool cwsi_journal_read_line(cwsi_journal *j, cwsi_str line)
{
    size_t at = 0;
    cwsi_str kind = cwsi_word(line, &at), first = cwsi_word(line, &at);
    cwsi_str second = cwsi_word(line, &at);
    cwsi_left *left = CWSI_AS(cwsi_left, j->left.at);
    if (first.len == 0) return true;
    if (cwsi_str_is(kind, "cwsandbox-journal") && cwsi_str_is(first, "1")) {
        left = CWSI_AS(cwsi_left, cwsi_list_grow(&j->arena, &j->left, sizeof(*left)));
        if (!left) return false;
        memset(left, 0, sizeof(*left));
        left->version = second;
        left->url = cwsi_word(line, &at);
        left->tag = cwsi_word(line, &at);
        left->reaped = left->tag.len == 0; /* nothing to look for */
        return true;
    }
    if (cwsi_str_is(kind, "reaped")) cwsi_journal_reaped(j, first);
    if (j->left.len == 0) return true;
    left += j->left.len - 1;
    if (cwsi_str_is(kind, "create")) {
        cwsi_list_drop(&left->unknown, first); /* begun anew */
        return cwsi_list_put(&j->arena, &left->unknown, first);
    }
    if (cwsi_str_is(kind, "failed")) cwsi_list_drop(&left->unknown, first);
    if (cwsi_str_is(kind, "gone")) cwsi_list_drop(&left->live, first);
    if (!cwsi_str_is(kind, "live") || first.len >= CWSI_ID_SIZE) return true;
    cwsi_list_drop(&left->unknown, second);
    return cwsi_list_put(&j->arena, &left->live, first);
}

/* What earlier sessions have left in the file. */
static cws_status cwsi_journal_read(cwsi_journal *j, cws_error *err)
{
    FILE *file = CWSI_AS(FILE, j->file);
    cwsi_buf text;
    cwsi_str line;
    char piece[4096];
    const char *end, *at;
    size_t n;
    cws_status status = CWS_OK;
    cwsi_buf_init(&text, j->arena.mem, CWSI_JOURNAL_MAX);
    rewind(file);
    while ((n = fread(piece, 1, sizeof(piece), file)) > 0)
        if (!cwsi_put(&text, piece, n)) break;
    if (n > 0 || ferror(file))
        status = cwsi_fail(err, n ? CWS_ERR_NO_MEMORY : CWS_ERR_FILE,
                           "journal: '%.*s' can not be read", 200, j->path);
    at = text.len ? cwsi_arena_copy(&j->arena, text.at, text.len) : "";
    end = at ? at + text.len : NULL;
    if (!at) status = cwsi_no_memory(err, "journal");
    while (!status && (line.at = at) < end) {
        at = CWSI_CAST(const char *, memchr(at, '\n', CWSI_CAST(size_t, end - at)));
        if (!at) break;
        line.len = CWSI_CAST(size_t, at++ - line.at);
        if (!cwsi_journal_read_line(j, line)) status = cwsi_no_memory(err, "journal");
    }
    cwsi_buf_free(&text);
    return status;
}

/* Is the file of another living process? */
static bool cwsi_journal_lock(FILE *file)
{
#if CWSI_UNIX && defined(F_SETLK)
    struct flock lock;
    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return fcntl(fileno(file), F_SETLK, &lock) == 0;
#else
    (void)file;
    return true;
#endif
}

/* Write one line, to the kernel. False: it can not be. */
static bool cwsi_journal_write(cws_session *s, const char *kind, const char *first,
                               const char *second)
{
    FILE *file = s && s->journal ? CWSI_AS(FILE, s->journal->file) : NULL;
    char line[CWSI_JOURNAL_LINE];
    size_t n;
    if (!file) return true;
    n = cwsi_format(line, sizeof(line), "%s %s%s%s\n", kind, first, second ? " " : "",
                    second ? second : "");
    clearerr(file);
    (void)fseek(file, 0, SEEK_END);
    if (n + 1 < sizeof(line) && fwrite(line, 1, n, file) == n && fflush(file) == 0) return true;
    cwsi_log(s->client, CWS_LOG_WARNING, "journal: '%s %s' could not be written to %s", kind, first,
             s->journal->path);
    return false;
}

static void cwsi_journal_close(cwsi_journal *j)
{
    cwsi_mem *mem = j->arena.mem;
    if (j->file) (void)fclose(CWSI_AS(FILE, j->file));
    cwsi_arena_clear(&j->arena);
    cwsi_free(mem, j);
}

/* The session has closed with nothing left: neither must the file have. */
static void cwsi_journal_finish(cws_session *s)
{
    cwsi_journal *j = s->journal;
    const cwsi_left *left = j ? CWSI_CAST(const cwsi_left *, j->left.at) : NULL;
    size_t i, n = j ? j->left.len : 0;
    if (!j || j->unknown) return;
    for (i = 0; i < n && left[i].reaped; i++) {}
    if (i < n) {
        (void)cwsi_journal_write(s, "reaped", j->tag, NULL);
        return;
    }
    if (remove(j->path))
        cwsi_log(s->client, CWS_LOG_WARNING, "journal: can not remove %s", j->path);
    s->journal = NULL;
    cwsi_journal_close(j);
}

static cws_status cwsi_journal_open(cws_session *s, const char *path, cws_error *err)
{
    cwsi_journal *j = CWSI_NEW(&s->client->mem, cwsi_journal);
    cws_status status = CWS_OK;
    char words[CWSI_JOURNAL_LINE];
    if (!j) return cwsi_no_memory(err, "journal");
    cwsi_arena_init(&j->arena, &s->client->mem);
    s->journal = j;
    j->path = cwsi_arena_copy(&j->arena, path, strlen(path));
    memcpy(j->tag, "cws-", 4);
    cwsi_uuid(s->client, j->tag + 4);
    if (!j->path) return cwsi_no_memory(err, "journal");
    j->file = fopen(path, "ab+");
    if (!j->file)
        return cwsi_fail(err, CWS_ERR_FILE, "journal: '%.*s' can not be opened", 200, path);
    if (!cwsi_journal_lock(CWSI_AS(FILE, j->file)))
        return cwsi_fail(err, CWS_ERR_FILE, "journal: '%.*s' is in use by another process", 200,
                         path);
    status = cwsi_journal_read(j, err);
    if (status) return status;
    (void)cwsi_format(words, sizeof(words), "%s %s", s->client->dialect->name, s->client->base_url);
    /* a line without its end, of a crash or a full disk, must not swallow this one */
    if (cwsi_journal_write(s, j->left.len ? "\ncwsandbox-journal 1" : "cwsandbox-journal 1", words,
                           j->tag))
        return CWS_OK;
    return cwsi_fail(err, CWS_ERR_FILE, "journal: '%.*s' can not be written", 200, path);
}

#else

static bool cwsi_journal_write(cws_session *s, const char *kind, const char *first,
                               const char *second)
{
    (void)s, (void)kind, (void)first, (void)second;
    return true;
}

static void cwsi_journal_close(cwsi_journal *j)
{
    (void)j;
}

static void cwsi_journal_finish(cws_session *s)
{
    (void)s;
}

static cws_status cwsi_journal_open(cws_session *s, const char *path, cws_error *err)
{
    (void)s, (void)path;
    return cwsi_fail(err, CWS_ERR_UNSUPPORTED, "journal needs <stdio.h>: see CWS_NO_STDIO");
}

#endif

/* A create is about to be sent. False: op->err says that it must not be. */
static bool cwsi_journal_create(cws_op *op)
{
    cws_sandbox *sb = op->sandbox;
    if (!cwsi_journal_write(sb->session, "create", sb->request_id, NULL))
        return cwsi_no(cwsi_fail(&op->err, CWS_ERR_FILE,
                                 "%s: the journal can not be written, so nothing was sent",
                                 op->kind->name));
    if (sb->session && sb->session->journal && !sb->noted) sb->session->journal->unknown++;
    sb->noted = sb->session && sb->session->journal;
    return true;
}

/* Its outcome is known: a sandbox (id), or none (NULL). */
static void cwsi_journal_outcome(cws_sandbox *sb, const char *request_id, const char *id)
{
    if (!sb->noted) return;
    sb->noted = false;
    if (!sb->session || !sb->session->journal) return;
    sb->session->journal->unknown--;
    (void)cwsi_journal_write(sb->session, id ? "live" : "failed", id ? id : request_id,
                             id ? request_id : NULL);
}

/* ================================================================================================
 * >>impl-sandbox
 * The sandbox object: applying what the service says, leaving a session, and the operations that
 * all its users share.
 *
 *      UNSTARTED --create accepted--> STARTING --> RUNNING --> STOPPING --> TERMINAL
 *          |                              `-----------`-----------`-----------^
 *          `--stop--> cancelled for good
 *
 * TERMINAL and cancelled never change; STOPPING only becomes TERMINAL; the id never changes.
 * ============================================================================================= */

static cwsi_phase cwsi_phase_of(cws_state state)
{
    switch (state) {
    case CWS_STATE_RUNNING:
    case CWS_STATE_PAUSED: return CWSI_RUNNING;
    case CWS_STATE_TERMINATING: return CWSI_STOPPING;
    case CWS_STATE_COMPLETED:
    case CWS_STATE_FAILED:
    case CWS_STATE_TERMINATED: return CWSI_TERMINAL;
    case CWS_STATE_NOT_STARTED:
    case CWS_STATE_PENDING:
    case CWS_STATE_PREPARING:
    case CWS_STATE_CREATING:
    case CWS_STATE_UNSPECIFIED: break;
    }
    return CWSI_STARTING;
}

/* Take over what a reply says beyond the state. Without memory for it, what was known stays. */
static void cwsi_sandbox_learn(cws_sandbox *sb, const cwsi_view *view)
{
    cws_sandbox_info next = sb->info;
    cwsi_arena fresh;
    bool ok = true;
    if (!view->reply) return;
    cwsi_arena_init(&fresh, &sb->client->mem);
    cwsi_keep_info(&fresh, &next, &ok);
    if (ok) view->learn(&fresh, view->reply, &next, &ok);
    if (!ok) {
        cwsi_arena_clear(&fresh);
        return;
    }
    cwsi_arena_clear(&sb->learned);
    sb->learned = fresh;
    sb->info = next;
}

static cws_sandbox *cwsi_sandbox_new(cws_client *c)
{
    cws_sandbox *sb = CWSI_NEW(&c->mem, cws_sandbox);
    if (!sb) return NULL;
    sb->client = c;
    c->refs++;
    sb->refs = 1;
    cwsi_buf_init(&sb->create, &c->mem, CWSI_MAX_MESSAGE);
    cwsi_buf_init(&sb->spill, &c->mem, CWSI_MAX_MESSAGE);
    sb->request_timeout_ms = c->request_timeout_ms;
    sb->info.sandbox_id = sb->id;
    sb->info.status_reason = sb->reason;
    sb->info.runner_id = sb->runner;
    sb->info.runner_group_id = sb->group;
    sb->info.display_name = sb->info.runtime_class = sb->info.share_token = "";
    sb->info.profile_id = sb->info.service_address = "";
    sb->info.ingress_mode = sb->info.egress_mode = "";
    sb->info.tags = sb->info.egress_hostnames = sb->info.snapshot_ids = cwsi_no_strings();
    cwsi_arena_init(&sb->learned, &c->mem);
    return sb;
}

static void cwsi_sandbox_unref(cws_sandbox *sb)
{
    cws_client *c = sb->client;
    if (--sb->refs > 0) return;
    CWS_ASSERT(!sb->start_op && !sb->running_op && !sb->complete_op && !sb->stop_op);
    cwsi_buf_free(&sb->create);
    cwsi_buf_free(&sb->spill);
    cwsi_arena_clear(&sb->learned);
    cwsi_free(&c->mem, sb);
    cwsi_client_unref(c);
}

static void cwsi_take_text(char *out, size_t size, cwsi_str text)
{
    if (text.len) cwsi_copy_text(out, size, text.at, text.len);
}

static bool cwsi_sandbox_done(const cws_sandbox *sb)
{
    return sb->cancelled || sb->phase == CWSI_TERMINAL;
}

/* Take over an answer about this sandbox. polled: the answer to a wait, where a state of 0 means
 * that the service no longer tracks the sandbox, which counts as a clean end. */
static void cwsi_sandbox_apply(cws_sandbox *sb, const cwsi_view *view, bool polled)
{
    cws_state state = view->state;
    cwsi_phase phase;
    bool presumed = polled && state == CWS_STATE_UNSPECIFIED && view->state_number == 0;
    if (presumed) state = CWS_STATE_COMPLETED;
    phase = cwsi_phase_of(state);
    sb->info.updated_unix_ms = cwsi_unix_now(sb->client);
    cwsi_sandbox_learn(sb, view);
    if (view->has_exit_code) {
        sb->info.has_exit_code = true;
        sb->info.exit_code = view->exit_code;
    }
    cwsi_take_text(sb->reason, sizeof(sb->reason), view->reason);
    cwsi_take_text(sb->runner, sizeof(sb->runner), view->runner);
    cwsi_take_text(sb->group, sizeof(sb->group), view->group);
    if (view->create_ms) sb->info.create_unix_ms = view->create_ms;
    if (view->start_ms) sb->info.start_unix_ms = view->start_ms;
    if (view->end_ms) sb->info.end_unix_ms = view->end_ms;
    if (cwsi_sandbox_done(sb) || (sb->phase == CWSI_STOPPING && phase != CWSI_TERMINAL)) return;
    sb->phase = phase;
    sb->presumed = presumed && !sb->stop_owned;
    sb->info.state = state;
    sb->info.state_number = view->state_number;
}

/* The service knows it no more, and that is fine. */
static void cwsi_sandbox_gone(cws_sandbox *sb)
{
    if (cwsi_sandbox_done(sb)) return;
    sb->phase = CWSI_TERMINAL;
    sb->info.state = CWS_STATE_TERMINATED;
}

static void cwsi_sandbox_set_id(cws_sandbox *sb, cwsi_str id)
{
    if (!sb->id[0]) cwsi_copy_text(sb->id, sizeof(sb->id), id.at, id.len);
}

static cws_status cwsi_not_running(cws_error *err, const cws_sandbox *sb)
{
    if (sb->cancelled)
        return cwsi_fail(err, CWS_ERR_NOT_RUNNING,
                         "the sandbox has been stopped before it was started");
    if (!sb->id[0]) return cwsi_fail(err, CWS_ERR_NOT_RUNNING, "the sandbox has not been started");
    return cwsi_fail(err, CWS_ERR_NOT_RUNNING, "Sandbox '%s' has been stopped (%s)", sb->id,
                     cws_state_name(sb->info.state));
}

/* An ended sandbox, judged by what the waiter wants. */
static cws_status cwsi_judge_terminal(const cws_sandbox *sb, bool allow_termination, cws_error *err)
{
    const char *reason = sb->reason[0] ? sb->reason : "the service gives no reason";
    if (sb->info.state == CWS_STATE_FAILED)
        return cwsi_fail(err, CWS_ERR_FAILED, "Sandbox '%s' failed: %s", sb->id, reason);
    if (allow_termination) return CWS_OK;
    if (sb->info.state == CWS_STATE_TERMINATED || sb->stop_owned)
        return cwsi_fail(err, CWS_ERR_TERMINATED, "Sandbox '%s' was terminated", sb->id);
    return CWS_OK;
}

static void cwsi_tracked_free(cws_client *c, cwsi_tracked *t)
{
    t->sandbox->session = NULL;
    if (t->stop) cwsi_op_unref(t->stop);
    cwsi_sandbox_unref(t->sandbox);
    cwsi_free(&c->mem, t);
}

static cws_session *cwsi_session_new(cws_client *c, int64_t close_timeout_ms)
{
    cws_session *s = CWSI_NEW(&c->mem, cws_session);
    if (!s) return NULL;
    s->client = c;
    c->refs++;
    s->refs = 1;
    s->close_timeout_ms = close_timeout_ms;
    s->request_timeout_ms = c->request_timeout_ms;
    cwsi_arena_init(&s->arena, &c->mem);
    return s;
}

/* The session will not stop this sandbox any more. */
static void cwsi_session_forget(cws_sandbox *sb)
{
    cws_session *s = sb->session;
    size_t i;
    if (!s) return;
    for (i = 0; i < s->tracked_len; i++) {
        cwsi_tracked *t = s->tracked[i];
        if (t->sandbox != sb) continue;
        if (sb->id[0]) (void)cwsi_journal_write(s, "gone", sb->id, NULL);
        cwsi_journal_outcome(sb, sb->request_id, NULL); /* it is nobody's, or never was */
        s->tracked_len--;
        memmove(&s->tracked[i], &s->tracked[i + 1], (s->tracked_len - i) * sizeof(s->tracked[0]));
        cwsi_tracked_free(s->client, t);
        return;
    }
}

/* The session will stop this sandbox. A former session lets it go. */
static cws_status cwsi_session_track(cws_session *s, cws_sandbox *sb, cws_error *err)
{
    cws_client *c = s->client;
    cwsi_tracked *t;
    if (sb->session == s) return CWS_OK;
    if (s->tracked_len == s->tracked_cap) {
        size_t cap = s->tracked_cap ? s->tracked_cap * 2 : 8;
        cwsi_tracked **grown = CWSI_CAST(
            cwsi_tracked **, cwsi_realloc(&c->mem, s->tracked, cap * sizeof(s->tracked[0])));
        if (!grown) return cwsi_no_memory(err, "session");
        s->tracked = grown;
        s->tracked_cap = cap;
    }
    t = CWSI_NEW(&c->mem, cwsi_tracked);
    if (!t) return cwsi_no_memory(err, "session");
    cwsi_session_forget(sb);
    t->sandbox = sb;
    sb->refs++;
    sb->session = s;
    s->tracked[s->tracked_len++] = t;
    if (sb->id[0]) (void)cwsi_journal_write(s, "live", sb->id, "-");
    return CWS_OK;
}

static void cwsi_session_unref(cws_session *s)
{
    cws_client *c = s->client;
    if (--s->refs > 0) return;
    while (s->tracked_len) cwsi_tracked_free(c, s->tracked[--s->tracked_len]);
    cwsi_free(&c->mem, s->tracked);
    if (s->journal) cwsi_journal_close(s->journal);
    cwsi_arena_clear(&s->arena);
    cwsi_free(&c->mem, s);
    cwsi_client_unref(c);
}

/* If this operation was shared by the users of its sandbox, later ones will begin a new one. */
static void cwsi_sandbox_unshare(cws_op *op)
{
    cws_sandbox *sb = op->sandbox;
    cws_op **slots[4];
    size_t i;
    if (!sb) return;
    slots[0] = &sb->start_op;
    slots[1] = &sb->running_op;
    slots[2] = &sb->complete_op;
    slots[3] = &sb->stop_op;
    for (i = 0; i < CWSI_COUNT(slots); i++) {
        if (*slots[i] != op) continue;
        *slots[i] = NULL;
        cwsi_op_unref(op);
    }
}

/* ================================================================================================
 * >>impl-op-start
 * Create: shared by everybody who needs the sandbox started. Goes on even if nobody waits.
 *
 *      SEND --> AWAIT --accepted--> done
 *       ^--------'  refused for want of room: the other placement, once
 * ============================================================================================= */

#define CWSI_AS_STEP_NAME(name) #name,

#define CWSI_START_STEPS(X) X(SEND) X(AWAIT)
#define CWSI_AS_START_STEP(name) CWSI_START_##name,
enum { CWSI_START_STEPS(CWSI_AS_START_STEP) CWSI_START_STEP_COUNT };

/* Exchange the two requests, and their ids. */
static void cwsi_start_swap(cws_sandbox *sb)
{
    cwsi_buf create = sb->create;
    char id[sizeof(sb->request_id)];
    sb->create = sb->spill;
    sb->spill = create;
    memcpy(id, sb->request_id, sizeof(id));
    memcpy(sb->request_id, sb->spill_id, sizeof(id));
    memcpy(sb->spill_id, id, sizeof(id));
    sb->spilled = !sb->spilled;
}

/* The create has failed. True: it is tried with the other placement (op->step is changed). After
 * both were refused the first one is to be tried again; while the second is in doubt, it stays. */
static bool cwsi_start_spill(cws_op *op)
{
    cws_sandbox *sb = op->sandbox;
    if (sb->spill.len == 0) return false;
    if (sb->spilled && sb->create_unknown) {
        cwsi_buf_free(&sb->spill); /* there is only this one now */
    } else if (sb->spilled) {
        cwsi_start_swap(sb);
    } else if (!sb->create_unknown && cwsi_is_spillable(&op->err)) {
        cwsi_log(op->client, CWS_LOG_INFO, "%s; trying the other placement", op->err.message);
        cwsi_start_swap(sb);
        cwsi_error_clear(&op->err);
        op->step = CWSI_START_SEND;
        return true;
    }
    return false;
}

static void cwsi_start_accepted(cws_op *op)
{
    cws_sandbox *sb = op->sandbox;
    cwsi_arena arena;
    cwsi_view view;
    void *reply;
    cwsi_arena_init(&arena, &op->client->mem);
    if (cwsi_call_reply(op, &arena, &reply)) {
        if (op->client->dialect->create_view(reply, &view)) {
            sb->create_unknown = false;
            cwsi_sandbox_set_id(sb, view.id);
            cwsi_journal_outcome(sb, sb->request_id, sb->id);
            cwsi_sandbox_learn(sb, &view);
            cwsi_buf_free(&sb->create); /* it has done its work, and may hold large files */
            cwsi_buf_free(&sb->spill);
            sb->phase = CWSI_STARTING;
            sb->info.state = CWS_STATE_PENDING; /* the state of the reply is older than the reply */
            sb->info.updated_unix_ms = cwsi_unix_now(op->client);
        } else {
            (void)cwsi_fail(&op->err, CWS_ERR_PROTOCOL, "%s: the reply has no sandbox id",
                            op->kind->name);
        }
    } else {
        sb->create_unknown = op->call->unclear || !op->call->err.status;
        if (!sb->create_unknown) cwsi_journal_outcome(sb, sb->request_id, NULL);
        if (cwsi_start_spill(op)) {
            cwsi_arena_clear(&arena);
            return;
        }
        if (sb->create_unknown && op->client->dialect->once) {
            sb->create_unknown = false; /* nothing can settle it */
            cwsi_log(op->client, CWS_LOG_WARNING,
                     "%s: the outcome is not known; a sandbox may exist until its lifetime ends",
                     op->kind->name);
        }
        if (!op->client->dialect->once)
            cwsi_copy_text(op->err.request_id, sizeof(op->err.request_id), sb->request_id,
                           strlen(sb->request_id));
    }
    cwsi_arena_clear(&arena);
}

/* The create request is there already, encoded. */
static bool cwsi_start_send(cws_op *op, int64_t until)
{
    const cwsi_dialect *dialect = op->client->dialect;
    const cwsi_buf *create = &op->sandbox->create;
    cwsi_retry retry = dialect->once ? CWSI_RETRY_UNSENT : CWSI_RETRY_SAFE;
    cwsi_str message;
    cwsi_rpc_id rpc = op->sandbox->from_template ? dialect->template_rpc : dialect->create_rpc;
    cwsi_call *call = cwsi_call_new(op, cwsi_rpc_at(rpc), retry,
                                    op->sandbox->request_timeout_ms, until);
    if (!call) return false;
    message.at = create->at;
    message.len = create->len;
    if (call->bare) (void)cwsi_put(&call->request, message.at, message.len);
    else (void)cwsi_put_enveloped(&call->request, message);
    return cwsi_call_ready(call);
}

static cwsi_turn cwsi_start_run(cws_op *op, int64_t now)
{
    cws_sandbox *sb = op->sandbox;
    for (;;) {
        switch (op->step) {
        case CWSI_START_SEND:
            op->deadline_ms = cwsi_after(now, sb->request_timeout_ms + 1);
            if (!cwsi_journal_create(op)) return CWSI_READY;
            if (!cwsi_start_send(op, cwsi_after(now, sb->request_timeout_ms)))
                return CWSI_READY;
            op->call->unclear = sb->create_unknown; /* by an earlier start */
            op->call->spills = sb->spill.len && !sb->spilled;
            sb->create_unknown = true; /* until an answer says otherwise */
            op->step = CWSI_START_AWAIT;
            break;
        case CWSI_START_AWAIT:
            if (cwsi_call_run(op->call, now) == CWSI_PENDING) return CWSI_PENDING;
            cwsi_start_accepted(op);
            if (op->step == CWSI_START_AWAIT) return CWSI_READY;
            break;
        }
    }
}

static const cwsi_op_kind *cwsi_start_kind(void)
{
    static const char *const steps[] = {CWSI_START_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Create sandbox", steps, cwsi_start_run, NULL, NULL, NULL};
    return &kind;
}

/* The start in flight, or a new one. Borrowed. NULL: out of memory. */
static cws_op *cwsi_sandbox_start_op(cws_sandbox *sb)
{
    if (!sb->start_op)
        sb->start_op = cwsi_op_new(sb->client, sizeof(cws_op), cwsi_start_kind(), sb);
    return sb->start_op;
}

/* ================================================================================================
 * >>impl-op-poll
 * Status polls, shared by all waiters of one sandbox: until it is RUNNING or past it, or until it
 * has ended. Ends by itself when the last waiter leaves.
 *
 *        .----------------- not there yet ----------------.
 *        v                                                |
 *      SEND --> AWAIT --> decided                         |
 *                 |`----> PAUSE --------------------------'
 *                 `-----> GRACE: completed without an exit code; look again, twice at most
 * ============================================================================================= */

#define CWSI_POLL_STEPS(X) X(SEND) X(AWAIT) X(PAUSE) X(GRACE)
#define CWSI_AS_POLL_STEP(name) CWSI_POLL_##name,
enum { CWSI_POLL_STEPS(CWSI_AS_POLL_STEP) CWSI_POLL_STEP_COUNT };

typedef struct cwsi_poll {
    cws_op op;
    bool to_end;    /* wait for the end, not just for RUNNING */
    int64_t delay;  /* of the next pause */
    int64_t resume; /* end of the pause */
    int64_t gone_until; /* NOT_FOUND after our stop counts as a race until then; 0: none met yet */
    int grace;      /* extra looks for an exit code that are left */
    bool in_grace;  /* this look is one of them */
} cwsi_poll;

/* An answer came: is the poll over? */
static bool cwsi_poll_decided(const cwsi_poll *p)
{
    const cws_sandbox *sb = p->op.sandbox;
    if (p->to_end) return sb->phase == CWSI_TERMINAL;
    return sb->phase == CWSI_RUNNING || sb->phase == CWSI_STOPPING || sb->phase == CWSI_TERMINAL;
}

static bool cwsi_stop_forgives(const cws_sandbox *sb);

/* The call is over. READY: the poll is too. */
static cwsi_turn cwsi_poll_answer(cwsi_poll *p, int64_t now)
{
    cws_op *op = &p->op;
    cws_sandbox *sb = op->sandbox;
    cwsi_arena arena;
    cwsi_view view;
    void *reply;
    bool stopping = sb->phase == CWSI_STOPPING || sb->stop_owned;
    bool ok;
    cwsi_arena_init(&arena, &op->client->mem);
    ok = cwsi_call_reply(op, &arena, &reply);
    if (ok && !op->client->dialect->get_view(reply, &view))
        ok = cwsi_no(cwsi_fail(&op->err, CWS_ERR_PROTOCOL, "%s: the reply has no sandbox",
                               op->kind->name));
    if (ok) {
        p->gone_until = 0;
        cwsi_sandbox_apply(sb, &view, true);
    }
    cwsi_arena_clear(&arena);
    if (!ok && p->in_grace) { /* a look that failed changes nothing */
        cwsi_error_clear(&op->err);
    } else if (!ok && op->err.status == CWS_ERR_NOT_FOUND &&
               (sb->stop_owned || cwsi_stop_forgives(sb))) {
        if (p->gone_until == 0) {
            p->gone_until = now + CWSI_GONE_BUDGET_MS;
            p->delay = CWSI_POLL_FIRST_MS;
        }
        if (now >= p->gone_until) {
            cwsi_error_clear(&op->err);
            (void)cwsi_fail(&op->err, CWS_ERR_TERMINAL_STATE_UNAVAILABLE,
                            "Sandbox '%s' was stopped, but its final state is gone", sb->id);
            return CWSI_READY;
        }
        cwsi_error_clear(&op->err);
        if (p->delay > p->gone_until - now) p->delay = p->gone_until - now;
    } else if (!ok) {
        return CWSI_READY;
    }
    if (ok && view.state == CWS_STATE_COMPLETED && !sb->info.has_exit_code && !stopping &&
        p->grace == 0 && !p->in_grace)
        p->grace = CWSI_EXIT_GRACE_POLLS;
    if (p->grace > 0 && !sb->info.has_exit_code) {
        p->grace--;
        p->in_grace = true;
        p->resume = now + CWSI_EXIT_GRACE_MS;
        op->step = CWSI_POLL_GRACE;
        return CWSI_PENDING;
    }
    if (cwsi_poll_decided(p)) return CWSI_READY;
    p->resume = now + p->delay;
    p->delay = p->delay * 3 / 2 < CWSI_POLL_MAX_MS ? p->delay * 3 / 2 : CWSI_POLL_MAX_MS;
    op->step = CWSI_POLL_PAUSE;
    return CWSI_PENDING;
}

static cwsi_turn cwsi_poll_run(cws_op *op, int64_t now)
{
    cwsi_poll *p = CWSI_AS(cwsi_poll, op);
    cws_client *c = op->client;
    for (;;) {
        switch (op->step) {
        case CWSI_POLL_SEND: {
            int64_t rpc_ms = p->in_grace ? CWSI_EXIT_GRACE_MS : c->poll_rpc_ms;
            if (c->retry_budget_ms > 0 && c->retry_budget_ms < rpc_ms) rpc_ms = c->retry_budget_ms;
            if (!c->dialect->get_begin(op, cwsi_str_of(op->sandbox->id), CWSI_RETRY_POLL, rpc_ms,
                                       CWSI_NEVER))
                return CWSI_READY;
            if (p->in_grace) op->call->budget_ms = 0;
            op->step = CWSI_POLL_AWAIT;
            break;
        }
        case CWSI_POLL_AWAIT:
            if (cwsi_call_run(op->call, now) == CWSI_PENDING) return CWSI_PENDING;
            if (cwsi_poll_answer(p, now) == CWSI_READY) return CWSI_READY;
            break;
        case CWSI_POLL_PAUSE:
        case CWSI_POLL_GRACE:
            if (now < p->resume) {
                cwsi_op_wake_at(op, p->resume);
                return CWSI_PENDING;
            }
            op->step = CWSI_POLL_SEND;
            break;
        }
    }
}

static const cwsi_op_kind *cwsi_poll_kind(void)
{
    static const char *const steps[] = {CWSI_POLL_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Poll sandbox status", steps, cwsi_poll_run, NULL, NULL,
                                      NULL};
    return &kind;
}

/* The poll in flight for this goal, or a new one. Borrowed. NULL: out of memory. */
static cws_op *cwsi_sandbox_poll_op(cws_sandbox *sb, bool to_end)
{
    cws_op **slot = to_end ? &sb->complete_op : &sb->running_op;
    if (*slot && (*slot)->cancelled) cwsi_sandbox_unshare(*slot);
    if (!*slot) {
        *slot = cwsi_op_new(sb->client, sizeof(cwsi_poll), cwsi_poll_kind(), sb);
        if (!*slot) return NULL;
        (*slot)->for_waiters = true;
        CWSI_AS(cwsi_poll, *slot)->to_end = to_end;
        CWSI_AS(cwsi_poll, *slot)->delay = CWSI_POLL_FIRST_MS;
    }
    return *slot;
}

/* ================================================================================================
 * >>impl-op-wait
 * Waiting for a sandbox: to be started, to run, to end. Also the prelude of every operation that
 * needs a running one. Each waiter has its own deadline and its own opinion of the outcome.
 *
 *      START --id known--> POLL --goal reached--> done
 * ============================================================================================= */

#define CWSI_WAIT_STEPS(X) X(START) X(POLL)
#define CWSI_AS_WAIT_STEP(name) CWSI_WAIT_##name,
enum { CWSI_WAIT_STEPS(CWSI_AS_WAIT_STEP) CWSI_WAIT_STEP_COUNT };

typedef enum cwsi_goal { CWSI_GOAL_STARTED, CWSI_GOAL_RUNNING, CWSI_GOAL_COMPLETE } cwsi_goal;

typedef struct cwsi_wait {
    cws_op op;
    cwsi_goal goal;
    bool allow_termination;
    int64_t timeout_ms; /* the clock starts when the sandbox has been started */
} cwsi_wait;

/* Wait for the operation begun for op (NULL: out of memory). READY: it ended well, or failed, which
 * is now op's failure; op waits for nothing any more. */
static cwsi_turn cwsi_join(cws_op *op)
{
    cws_op *child = op->child;
    if (!child) return cwsi_failed(cwsi_op_fail_no_memory(op));
    if (!child->done) return CWSI_PENDING;
    if (child->err.status) (void)cwsi_copy_error(&op->err, &child->err);
    cwsi_op_leave(op);
    return CWSI_READY;
}

static void cwsi_await_new(cws_op *op, cws_op *child)
{
    if (child) (void)cwsi_op_await(op, child);
}

/* Wait for an operation that nobody else has: it ends when op does. NULL: out of memory. */
static void cwsi_await_own(cws_op *op, cws_op *child)
{
    if (!child) {
        (void)cwsi_op_fail_no_memory(op);
        return;
    }
    child->for_waiters = true;
    (void)cwsi_op_await(op, child);
    cwsi_op_unref(child);
}

/* READY: the goal is reached or out of reach (op->err). */
static cwsi_turn cwsi_wait_judge(cwsi_wait *w)
{
    cws_op *op = &w->op;
    cws_sandbox *sb = op->sandbox;
    if (w->goal == CWSI_GOAL_STARTED) return CWSI_READY;
    if (w->goal == CWSI_GOAL_RUNNING && sb->stop_owned && op->step == CWSI_WAIT_POLL &&
        (sb->phase == CWSI_STOPPING || sb->phase == CWSI_TERMINAL)) { /* stopped while we waited */
        (void)cwsi_not_running(&op->err, sb);
        return CWSI_READY;
    }
    if (sb->phase == CWSI_TERMINAL) {
        bool lenient = w->allow_termination && w->goal == CWSI_GOAL_COMPLETE;
        (void)cwsi_judge_terminal(sb, lenient, &op->err);
        return CWSI_READY;
    }
    if (w->goal == CWSI_GOAL_COMPLETE) return CWSI_PENDING;
    return sb->phase == CWSI_RUNNING || sb->phase == CWSI_STOPPING ? CWSI_READY : CWSI_PENDING;
}

static cwsi_turn cwsi_wait_run(cws_op *op, int64_t now)
{
    cwsi_wait *w = CWSI_AS(cwsi_wait, op);
    cws_sandbox *sb = op->sandbox;
    for (;;) {
        switch (op->step) {
        case CWSI_WAIT_START:
            if (sb->cancelled) return cwsi_failed(cwsi_not_running(&op->err, sb));
            if (sb->phase == CWSI_TERMINAL) return cwsi_wait_judge(w);
            if (!op->child && !sb->id[0]) cwsi_await_new(op, cwsi_sandbox_start_op(sb));
            if (op->child || !sb->id[0]) {
                if (cwsi_join(op) == CWSI_PENDING) return CWSI_PENDING;
                if (op->err.status) return CWSI_READY;
            }
            op->deadline_ms = cwsi_after(now, w->timeout_ms);
            cwsi_op_wake_at(op, op->deadline_ms);
            op->step = CWSI_WAIT_POLL;
            break;
        case CWSI_WAIT_POLL:
            if (op->child) {
                if (cwsi_join(op) == CWSI_PENDING) return CWSI_PENDING;
                if (op->err.status) return CWSI_READY;
            }
            if (cwsi_wait_judge(w) == CWSI_READY) return CWSI_READY;
            cwsi_await_new(op, cwsi_sandbox_poll_op(sb, w->goal == CWSI_GOAL_COMPLETE));
            if (!op->child) return cwsi_failed(cwsi_op_fail_no_memory(op));
            break;
        }
    }
}

static bool cwsi_wait_expire(cws_op *op)
{
    cwsi_wait *w = CWSI_AS(cwsi_wait, op);
    cws_sandbox *sb = op->sandbox;
    if (sb->phase == CWSI_TERMINAL) { /* it ended while its exit code was still awaited */
        (void)cwsi_wait_judge(w);
        return true;
    }
    (void)cwsi_fail(&op->err, CWS_ERR_TIMEOUT, "Sandbox '%s' %s within %lld ms (state: %s%s%s)",
                    sb->id, w->goal == CWSI_GOAL_COMPLETE ? "did not end" : "was not running",
                    CWSI_CAST(long long, w->timeout_ms), cws_state_name(sb->info.state),
                    sb->reason[0] ? ": " : "", sb->reason);
    return true;
}

static const cwsi_op_kind *cwsi_wait_kind(cwsi_goal goal)
{
    static const char *const steps[] = {CWSI_WAIT_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kinds[] = {
        {"Start sandbox", steps, cwsi_wait_run, cwsi_wait_expire, NULL, NULL},
        {"Wait for sandbox", steps, cwsi_wait_run, cwsi_wait_expire, NULL, NULL},
        {"Wait until complete", steps, cwsi_wait_run, cwsi_wait_expire, NULL, NULL}};
    return &kinds[goal];
}

static cws_op *cwsi_wait_new(cws_sandbox *sb, cwsi_goal goal, int64_t timeout_ms,
                             bool allow_termination)
{
    cws_op *op = cwsi_op_new(sb->client, sizeof(cwsi_wait), cwsi_wait_kind(goal), sb);
    if (!op) return NULL;
    CWSI_AS(cwsi_wait, op)->goal = goal;
    CWSI_AS(cwsi_wait, op)->timeout_ms = timeout_ms;
    CWSI_AS(cwsi_wait, op)->allow_termination = allow_termination;
    return op;
}

/* Before an operation on a running sandbox: start it, wait for RUNNING. READY: it runs, or op->err
 * is set. The wait has the request timeout and is not charged to the operation. */
static cwsi_turn cwsi_prelude(cws_op *op)
{
    cws_sandbox *sb = op->sandbox;
    if (op->child) {
        if (cwsi_join(op) == CWSI_PENDING) return CWSI_PENDING;
        if (op->err.status) return CWSI_READY;
    }
    if (sb->cancelled || sb->phase == CWSI_STOPPING || sb->phase == CWSI_TERMINAL)
        return cwsi_failed(cwsi_not_running(&op->err, sb));
    if (sb->phase == CWSI_RUNNING) return CWSI_READY;
    cwsi_await_own(op, cwsi_wait_new(sb, CWSI_GOAL_RUNNING, sb->request_timeout_ms, false));
    return op->err.status ? CWSI_READY : CWSI_PENDING;
}

/* ================================================================================================
 * >>impl-op-ask
 * Questions without a sandbox object: snapshots, buckets, runners, profiles. All pages under one
 * deadline, or the same question again until a snapshot is ready.
 *
 *      SEND --> AWAIT --last page--> PROFILES --> done
 *       ^ ^-------'  more pages        (runners by a mode of their profiles)
 *       `--REST <-'  not ready
 * ============================================================================================= */

#define CWSI_ASK_STEPS(X) X(SEND) X(AWAIT) X(REST) X(PROFILES)
#define CWSI_AS_ASK_STEP(name) CWSI_ASKING_##name,
enum { CWSI_ASK_STEPS(CWSI_AS_ASK_STEP) CWSI_ASKING_STEP_COUNT };

typedef struct cwsi_asking {
    cws_op op;
    cwsi_arena arena; /* the texts of the question, and the tokens seen */
    cwsi_question q;
    cwsi_list tokens;
    int64_t rpc_ms;
    cwsi_found *found;
    bool until_ready; /* of a snapshot */
    int64_t delay, resume;
    /* what is filtered on this side */
    cws_snapshot_state state;
    int64_t min_cpu, min_memory, min_gpu;
    const char *exposure_mode, *egress_mode; /* NULL: any */
} cwsi_asking;

static void cwsi_found_free(cwsi_found *f)
{
    cws_client *c;
    if (!f) return;
    c = f->client;
    cwsi_arena_clear(&f->arena);
    cwsi_free(&c->mem, f);
    cwsi_client_unref(c);
}

static void cwsi_asking_destroy(cws_op *op)
{
    cwsi_asking *a = CWSI_AS(cwsi_asking, op);
    cwsi_arena_clear(&a->arena);
    cwsi_found_free(a->found);
}

/* Remember where the next page begins. False: there is none, or op->err is set. A server that
 * repeats a token would keep us for ever. */
static bool cwsi_next_page(cws_op *op, cwsi_arena *a, cwsi_list *tokens, cwsi_str token,
                           cwsi_str *out)
{
    cwsi_str *kept;
    size_t i;
    if (token.len == 0) return false;
    for (i = 0; i < tokens->len; i++)
        if (cwsi_str_same(token, CWSI_CAST(const cwsi_str *, tokens->at)[i]))
            return cwsi_no(cwsi_fail(&op->err, CWS_ERR_PROTOCOL,
                                     "%s: the server repeats a page token", op->kind->name));
    if (tokens->len + 1 >= CWSI_MAX_PAGES)
        return cwsi_no(cwsi_fail(&op->err, CWS_ERR_LIMIT, "%s: more than %d pages", op->kind->name,
                                 CWSI_MAX_PAGES));
    kept = CWSI_AS(cwsi_str, cwsi_list_grow(a, tokens, sizeof(*kept)));
    if (kept) kept->at = cwsi_arena_copy(a, token.at, token.len);
    if (!kept || !kept->at) return cwsi_no(cwsi_op_fail_no_memory(op));
    kept->len = token.len;
    *out = *kept;
    return true;
}

static bool cwsi_is_discovery(cwsi_ask ask)
{
    return ask >= CWSI_ASK_RUNNER_LIST;
}

/* A failure in the words of what was asked. */
static void cwsi_asking_failed(cwsi_asking *a)
{
    cws_error *err = &a->op.err;
    bool missing = err->rpc_code == CWSI_CODE_NOT_FOUND || err->status == CWS_ERR_NOT_FOUND;
    bool trusted = cwsi_is_trusted(err);
    switch (CWSI_CAST(int, a->q.ask)) {
    case CWSI_ASK_SNAPSHOT_GET:
    case CWSI_ASK_SNAPSHOT_DELETE:
        if (err->status == CWS_ERR_NOT_FOUND) err->status = CWS_ERR_SNAPSHOT_NOT_FOUND;
        break;
    case CWSI_ASK_RUNNER_GET:
        if (missing || (trusted && strcmp(err->reason, "CWSANDBOX_RUNNER_NOT_FOUND") == 0))
            err->status = CWS_ERR_RUNNER_NOT_FOUND;
        break;
    case CWSI_ASK_PROFILE_GET:
        if (missing || (trusted && strcmp(err->reason, "CWSANDBOX_PROFILE_NOT_FOUND") == 0))
            err->status = CWS_ERR_PROFILE_NOT_FOUND;
        break;
    default: break;
    }
    if (!cwsi_is_discovery(a->q.ask)) return;
    if (err->status == CWS_ERR_SANDBOX_VALIDATION) err->status = CWS_ERR_VALIDATION;
    else if (cws_status_is(err->status, CWS_ERR_SANDBOX)) err->status = CWS_ERR_DISCOVERY;
}

static bool cwsi_listed(const char *const *list, const char *text)
{
    for (; list && *list; list++)
        if (strcmp(*list, text) == 0) return true;
    return false;
}

/* Is this item what was asked for, as far as the service did not look itself? */
static bool cwsi_asking_wants(const cwsi_asking *a, size_t i)
{
    const cwsi_list *items = &a->found->items;
    const cws_snapshot *s = CWSI_CAST(const cws_snapshot *, items->at) + i;
    const cws_runner *r = CWSI_CAST(const cws_runner *, items->at) + i;
    const cws_profile *p = CWSI_CAST(const cws_profile *, items->at) + i;
    switch (CWSI_CAST(int, a->q.ask)) {
    case CWSI_ASK_SNAPSHOT_LIST:
        return (!a->state || s->state == a->state) &&
               (!a->q.sandbox_id.len || cwsi_str_is(a->q.sandbox_id, s->source_sandbox_id));
    case CWSI_ASK_RUNNER_LIST:
        if (!a->min_cpu && !a->min_memory && !a->min_gpu) return true;
        return r->has_resources && r->available_cpu_millicores >= a->min_cpu &&
               r->available_memory_bytes >= a->min_memory &&
               r->available_gpu_count >= a->min_gpu;
    case CWSI_ASK_PROFILE_LIST:
        return (!a->exposure_mode || cwsi_listed(p->service_exposure_modes, a->exposure_mode)) &&
               (!a->egress_mode || cwsi_listed(p->egress_modes, a->egress_mode));
    default: return true;
    }
}

static size_t cwsi_item_size(cwsi_ask ask)
{
    if (ask <= CWSI_ASK_SNAPSHOT_DELETE) return sizeof(cws_snapshot);
    return ask <= CWSI_ASK_RUNNER_GET ? sizeof(cws_runner) : sizeof(cws_profile);
}

/* Leave out what is not wanted. */
static void cwsi_asking_filter(cwsi_asking *a)
{
    cwsi_list *items = &a->found->items;
    size_t i, n = 0, size = cwsi_item_size(a->q.ask);
    char *at = CWSI_CAST(char *, items->at);
    for (i = 0; i < items->len; i++) {
        if (!cwsi_asking_wants(a, i)) continue;
        if (n < i) memcpy(at + n * size, at + i * size, size);
        n++;
    }
    items->len = n;
}

/* One page, or the only answer. The step says what is next; op->err, that nothing is. */
static void cwsi_asking_answer(cwsi_asking *a, int64_t now)
{
    cws_op *op = &a->op;
    cwsi_arena arena;
    cwsi_str token = CWSI_ZERO;
    void *reply;
    bool ok = true, repeated = op->call->maybe_done;
    const cws_snapshot *s;
    cwsi_arena_init(&arena, &op->client->mem);
    if (a->until_ready) { /* the one of last time */
        cwsi_arena_clear(&a->found->arena);
        memset(&a->found->items, 0, sizeof(a->found->items));
    }
    op->step = CWSI_ASKING_PROFILES;
    if (!cwsi_call_reply(op, &arena, &reply)) {
        cwsi_asking_failed(a);
        if (op->err.status == CWS_ERR_SNAPSHOT_NOT_FOUND && (a->q.missing_ok || repeated) &&
            a->q.ask == CWSI_ASK_SNAPSHOT_DELETE)
            cwsi_error_clear(&op->err);
    } else {
        token = op->client->dialect->ask_read(&a->q, reply, a->found, &ok);
        if (!ok) (void)cwsi_op_fail_no_memory(op);
        else if (cwsi_next_page(op, &a->arena, &a->tokens, token, &a->q.page_token))
            op->step = CWSI_ASKING_SEND;
    }
    cwsi_arena_clear(&arena);
    if (op->err.status || !a->until_ready) return;
    s = CWSI_CAST(const cws_snapshot *, a->found->items.at);
    if (s->state == CWS_SNAPSHOT_READY) return;
    if (s->state == CWS_SNAPSHOT_FAILED) {
        (void)cwsi_fail(&op->err, CWS_ERR_SNAPSHOT, "Snapshot '%s' failed: %s", s->snapshot_id,
                        s->status_reason[0] ? s->status_reason : "the service gives no reason");
        return;
    }
    a->resume = now + a->delay;
    a->delay = a->delay * 3 / 2 < CWSI_POLL_MAX_MS ? a->delay * 3 / 2 : CWSI_POLL_MAX_MS;
    op->step = CWSI_ASKING_REST;
}

static cws_op *cwsi_asking_of_profiles(cwsi_asking *a);

/* Which of the runners have a profile among those that were found? */
static void cwsi_asking_match(cwsi_asking *runners, const cwsi_asking *profiles)
{
    cwsi_list *items = &runners->found->items;
    cws_runner *at = CWSI_CAST(cws_runner *, items->at);
    const cwsi_list *p = &profiles->found->items;
    size_t i, k, n = 0;
    for (i = 0; i < items->len; i++) {
        for (k = 0; k < p->len; k++)
            if (strcmp(CWSI_CAST(const cws_profile *, p->at)[k].runner_id, at[i].runner_id) == 0)
                break;
        if (k < p->len) at[n++] = at[i];
    }
    items->len = n;
}

/* Runners by a mode: any of their profiles may offer it, and each mode another one. READY: done. */
static cwsi_turn cwsi_asking_profiles(cwsi_asking *a)
{
    cws_op *op = &a->op;
    const cwsi_asking *child;
    for (;;) {
        if (op->child) {
            if (!op->child->done) return CWSI_PENDING;
            child = CWSI_AS(const cwsi_asking, op->child);
            if (op->child->err.status) (void)cwsi_copy_error(&op->err, &op->child->err);
            else cwsi_asking_match(a, child);
            cwsi_op_leave(op);
            if (op->err.status) return CWSI_READY;
        }
        if (a->found->items.len == 0 || (!a->exposure_mode && !a->egress_mode)) return CWSI_READY;
        cwsi_await_own(op, cwsi_asking_of_profiles(a));
        if (op->err.status) return CWSI_READY;
    }
}

static cwsi_turn cwsi_asking_run(cws_op *op, int64_t now)
{
    cwsi_asking *a = CWSI_AS(cwsi_asking, op);
    for (;;) {
        if (op->err.status) return CWSI_READY;
        switch (op->step) {
        case CWSI_ASKING_SEND:
            if (!op->client->dialect->ask_begin(op, &a->q, a->rpc_ms, op->deadline_ms))
                return CWSI_READY;
            op->step = CWSI_ASKING_AWAIT;
            break;
        case CWSI_ASKING_AWAIT:
            if (cwsi_call_run(op->call, now) == CWSI_PENDING) return CWSI_PENDING;
            cwsi_asking_answer(a, now);
            break;
        case CWSI_ASKING_REST:
            if (now < a->resume) {
                cwsi_op_wake_at(op, a->resume);
                return CWSI_PENDING;
            }
            op->step = CWSI_ASKING_SEND;
            break;
        case CWSI_ASKING_PROFILES:
            if (!op->child) cwsi_asking_filter(a);
            return a->q.ask == CWSI_ASK_RUNNER_LIST ? cwsi_asking_profiles(a) : CWSI_READY;
        }
    }
}

static bool cwsi_asking_expire(cws_op *op)
{
    const cwsi_asking *a = CWSI_AS(cwsi_asking, op);
    if (a->until_ready) {
        (void)cwsi_fail(&op->err, CWS_ERR_SNAPSHOT_WAIT_TIMEOUT,
                        "Snapshot '%.*s' was not ready in time; it goes on",
                        CWSI_CAST(int, a->q.id.len), a->q.id.at);
        cwsi_add_detail(&op->err, 'm', cwsi_str_of("file_system_snapshot_id"), a->q.id);
        return true;
    }
    if (!cwsi_is_discovery(a->q.ask)) return false;
    (void)cwsi_fail(&op->err, CWS_ERR_DISCOVERY, "%s timed out", op->kind->name);
    op->err.retryable = true;
    return true;
}

static const cwsi_op_kind *cwsi_asking_kind(cwsi_ask ask)
{
    static const char *const steps[] = {CWSI_ASK_STEPS(CWSI_AS_STEP_NAME) NULL};
#define CWSI_ASKING_KIND(name)                                                                     \
    {name, steps, cwsi_asking_run, cwsi_asking_expire, NULL, cwsi_asking_destroy}
    static const cwsi_op_kind kinds[CWSI_ASK_COUNT] = {
        CWSI_ASKING_KIND("Create snapshot"),     CWSI_ASKING_KIND("Get snapshot"),
        CWSI_ASKING_KIND("List snapshots"),      CWSI_ASKING_KIND("Delete snapshot"),
        CWSI_ASKING_KIND("Get snapshot bucket"), CWSI_ASKING_KIND("Set snapshot bucket"),
        CWSI_ASKING_KIND("List runners"),        CWSI_ASKING_KIND("Get runner"),
        CWSI_ASKING_KIND("List profiles"),       CWSI_ASKING_KIND("Get profile")};
#undef CWSI_ASKING_KIND
    return &kinds[ask];
}

/* A new question, whose texts are to be filled in from its arena. NULL: out of memory. */
static cwsi_asking *cwsi_asking_new(cws_client *c, cwsi_ask ask, int64_t deadline_ms)
{
    cws_op *op = cwsi_op_new(c, sizeof(cwsi_asking), cwsi_asking_kind(ask), NULL);
    cwsi_asking *a = CWSI_AS(cwsi_asking, op);
    if (!a) return NULL;
    cwsi_arena_init(&a->arena, &c->mem);
    a->q.ask = ask;
    a->rpc_ms = c->request_timeout_ms;
    a->delay = CWSI_POLL_FIRST_MS;
    op->deadline_ms = deadline_ms;
    a->found = CWSI_NEW(&c->mem, cwsi_found);
    if (!a->found) {
        cws_op_free(op);
        return NULL;
    }
    a->found->client = c;
    c->refs++;
    cwsi_arena_init(&a->found->arena, &c->mem);
    return a;
}

/* A text of a question, copied; NULL is "". */
static cwsi_str cwsi_asking_text(cwsi_asking *a, const char *text, bool *ok)
{
    return cwsi_str_of(cwsi_keep(&a->arena, text, ok));
}

/* The profiles that offer one of the modes, which is then no longer asked for. */
static cws_op *cwsi_asking_of_profiles(cwsi_asking *a)
{
    cwsi_asking *p = cwsi_asking_new(a->op.client, CWSI_ASK_PROFILE_LIST, a->op.deadline_ms);
    const char **mode = a->exposure_mode ? &a->exposure_mode : &a->egress_mode;
    bool ok = true;
    if (!p) return NULL;
    if (a->exposure_mode) p->exposure_mode = cwsi_keep(&p->arena, *mode, &ok);
    else p->egress_mode = cwsi_keep(&p->arena, *mode, &ok);
    *mode = NULL;
    if (ok) return &p->op;
    cws_op_free(&p->op);
    return NULL;
}

/* Wait until a snapshot is ready. A new operation, or NULL: out of memory. */
static cws_op *cwsi_ready_new(cws_client *c, const char *snapshot_id, int64_t deadline_ms)
{
    cwsi_asking *a = cwsi_asking_new(c, CWSI_ASK_SNAPSHOT_GET, deadline_ms);
    bool ok = true;
    if (!a) return NULL;
    a->q.id = cwsi_asking_text(a, snapshot_id, &ok);
    a->rpc_ms = c->poll_rpc_ms;
    a->until_ready = true;
    if (ok) return &a->op;
    cws_op_free(&a->op);
    return NULL;
}

/* ================================================================================================
 * >>impl-op-snapshot
 * A snapshot of a running sandbox.
 *
 *      PRELUDE --> CREATE --accepted--> READY --> done
 * ============================================================================================= */

#define CWSI_SNAPSHOT_STEPS(X) X(PRELUDE) X(CREATE) X(READY)
#define CWSI_AS_SNAPSHOT_STEP(name) CWSI_SNAPSHOT_##name,
enum { CWSI_SNAPSHOT_STEPS(CWSI_AS_SNAPSHOT_STEP) CWSI_SNAPSHOT_STEP_COUNT };

typedef struct cwsi_snapshot {
    cws_op op;
    cwsi_arena arena; /* of the two texts */
    const char *volume; /* NULL: the only one */
    const char *request_id;
    char token[40];
    bool wait;
    int64_t timeout_ms, until;
    cwsi_found *found;
} cwsi_snapshot;

static void cwsi_snapshot_destroy(cws_op *op)
{
    cwsi_snapshot *s = CWSI_AS(cwsi_snapshot, op);
    cwsi_arena_clear(&s->arena);
    cwsi_found_free(s->found);
}

/* How many scratch volumes are known; *name is the first one's. */
static size_t cwsi_scratch_count(const cws_sandbox *sb, const char **name)
{
    size_t i, n = 0;
    for (i = 0; i < sb->info.volume_count; i++) {
        const cws_volume *v = &sb->info.volumes[i];
        if (!v->volume_id && v->name && n++ == 0) *name = v->name;
    }
    return n;
}

/* Which volume, if none was named? NULL is for the service to say. */
static cws_status cwsi_snapshot_volume(const cws_sandbox *sb, const char **volume, cws_error *err)
{
    if (*volume || sb->client->dialect->one_volume || cwsi_scratch_count(sb, volume) <= 1)
        return CWS_OK;
    *volume = NULL;
    return cwsi_fail(err, CWS_ERR_SNAPSHOT, "the sandbox has several scratch volumes: name one");
}

static const char *cwsi_found_id(const cwsi_found *f)
{
    return CWSI_CAST(const cws_snapshot *, f->items.at)->snapshot_id;
}

/* The child's answer, good or bad, becomes this operation's. */
static void cwsi_snapshot_take(cwsi_snapshot *s)
{
    cws_op *op = &s->op;
    cwsi_asking *a = CWSI_AS(cwsi_asking, op->child);
    if (a->op.err.status) {
        (void)cwsi_copy_error(&op->err, &a->op.err);
    } else {
        cwsi_found_free(s->found);
        s->found = a->found;
        a->found = NULL;
    }
    cwsi_op_leave(op);
}

static void cwsi_snapshot_create(cwsi_snapshot *s, int64_t now)
{
    cws_op *op = &s->op;
    bool ok = true;
    cwsi_asking *a;
    if (cwsi_snapshot_volume(op->sandbox, &s->volume, &op->err)) return;
    a = cwsi_asking_new(op->client, CWSI_ASK_SNAPSHOT_CREATE, cwsi_after(now, s->timeout_ms));
    if (a) {
        a->q.id = cwsi_asking_text(a, op->sandbox->id, &ok);
        a->q.volume = cwsi_asking_text(a, s->volume, &ok);
        a->q.request_id = cwsi_asking_text(a, s->request_id, &ok);
        a->q.wait = s->wait;
        a->q.timeout_ms = s->timeout_ms;
        a->rpc_ms = op->sandbox->request_timeout_ms;
        if (!ok) (void)cwsi_op_fail_no_memory(&a->op);
    }
    cwsi_await_own(op, a ? &a->op : NULL);
}

/* It was accepted. READY: nothing more is to be waited for. */
static cwsi_turn cwsi_snapshot_accepted(cwsi_snapshot *s)
{
    cws_op *op = &s->op;
    const cws_snapshot *item = CWSI_CAST(const cws_snapshot *, s->found->items.at);
    if (!item->snapshot_id[0]) {
        (void)cwsi_fail(&op->err, CWS_ERR_PROTOCOL, "%s: the reply has no id", op->kind->name);
        return CWSI_READY;
    }
    return !s->wait || item->state == CWS_SNAPSHOT_READY ? CWSI_READY : CWSI_PENDING;
}

static cwsi_turn cwsi_snapshot_run(cws_op *op, int64_t now)
{
    cwsi_snapshot *s = CWSI_AS(cwsi_snapshot, op);
    for (;;) {
        if (op->err.status) return CWSI_READY;
        switch (op->step) {
        case CWSI_SNAPSHOT_PRELUDE:
            if (cwsi_prelude(op) == CWSI_PENDING) return CWSI_PENDING;
            if (op->err.status) return CWSI_READY;
            s->until = cwsi_after(now, s->timeout_ms);
            cwsi_snapshot_create(s, now);
            op->step = CWSI_SNAPSHOT_CREATE;
            break;
        case CWSI_SNAPSHOT_CREATE:
            if (!op->child->done) return CWSI_PENDING;
            cwsi_snapshot_take(s);
            if (op->err.status || cwsi_snapshot_accepted(s) == CWSI_READY) return CWSI_READY;
            cwsi_await_own(op, cwsi_ready_new(op->client, cwsi_found_id(s->found), s->until));
            op->step = CWSI_SNAPSHOT_READY;
            break;
        case CWSI_SNAPSHOT_READY:
            if (!op->child->done) return CWSI_PENDING;
            cwsi_snapshot_take(s);
            return CWSI_READY;
        }
    }
}

static const cwsi_op_kind *cwsi_snapshot_kind(void)
{
    static const char *const steps[] = {CWSI_SNAPSHOT_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Create snapshot", steps, cwsi_snapshot_run, NULL, NULL,
                                      cwsi_snapshot_destroy};
    return &kind;
}

/* ================================================================================================
 * >>impl-op-stop
 * Stop, shared by everybody who stops the sandbox; each caller joins it with a small operation of
 * its own. A start in flight is awaited, and a create of unknown outcome is repeated with its
 * request id to learn the sandbox's id: else it could run on without an owner.
 *
 *      START --id known--> SEND --> AWAIT --accepted--> DRAIN --ended--> done
 *        |                                `--SNAPSHOTS--^  (with snapshots: until they are ready)
 *        `--never started: cancelled for good--> done
 * ============================================================================================= */

#define CWSI_STOP_STEPS(X) X(START) X(SEND) X(AWAIT) X(SNAPSHOTS) X(DRAIN)
#define CWSI_AS_STOP_STEP(name) CWSI_STOP_##name,
enum { CWSI_STOP_STEPS(CWSI_AS_STOP_STEP) CWSI_STOP_STEP_COUNT };

typedef struct cwsi_stop {
    cws_op op;
    cwsi_stop_request request; /* without the id */
    cwsi_arena arena;          /* its texts */
    int64_t rpc_ms;
    size_t ready;  /* so many snapshots are ready, or have failed: */
    cws_error why; /* the first failure, told when the sandbox has ended */
} cwsi_stop;

/* The time for one snapshot is over, or another stop was quicker. */
static cws_status cwsi_snapshot_conflict(cws_error *err, const cws_sandbox *sb, const char *why)
{
    return cwsi_fail(err, CWS_ERR_SNAPSHOT_CONFLICT, "Stop sandbox: no snapshot of '%s': %s",
                     sb->id, why);
}

/* Is a stop with missing_ok under way? Then a sandbox that is gone is what it wants. */
static bool cwsi_stop_forgives(const cws_sandbox *sb)
{
    return sb->stop_op && CWSI_AS(cwsi_stop, sb->stop_op)->request.missing_ok;
}

/* Did a stop fail only because the sandbox is not there any more? */
static bool cwsi_stop_found_nothing(cws_status status)
{
    return status == CWS_ERR_NOT_FOUND || status == CWS_ERR_TERMINAL_STATE_UNAVAILABLE;
}

/* The ids of the snapshots that a stop has taken. False: out of memory. */
static bool cwsi_sandbox_took(cws_sandbox *sb, const cwsi_view *view)
{
    cwsi_list ids = CWSI_ZERO;
    const char *const *kept;
    bool ok = true;
    size_t i;
    for (i = 0; i < view->snapshot_count; i++) {
        cwsi_str *id = CWSI_AS(cwsi_str, cwsi_list_grow(&sb->learned, &ids, sizeof(*id)));
        if (!id) return false;
        *id = view->snapshot_ids[i];
    }
    kept = cwsi_keep_list(&sb->learned, &ids, &ok);
    if (ok) sb->info.snapshot_ids = kept;
    return ok;
}

/* Is it that a stop with snapshot found nothing it could take one of? */
static bool cwsi_stop_too_late(const cwsi_stop *stop)
{
    const cws_error *err = &stop->op.err;
    return stop->request.snapshot && stop->request.missing_ok &&
           (err->status == CWS_ERR_NOT_FOUND ||
            (cwsi_is_trusted(err) && strcmp(err->reason, "CWSANDBOX_INVALID_REQUEST") == 0));
}

/* The delete call is over. READY: the stop is too. */
static cwsi_turn cwsi_stop_answer(cwsi_stop *stop)
{
    cws_op *op = &stop->op;
    cws_sandbox *sb = op->sandbox;
    cwsi_arena arena;
    cwsi_view view;
    void *reply;
    bool repeated = op->call->maybe_done;
    cwsi_arena_init(&arena, &op->client->mem);
    if (cwsi_call_reply(op, &arena, &reply)) {
        sb->stop_owned = true;
        if (op->client->dialect->stop_view(reply, &view)) {
            if (sb->phase != CWSI_TERMINAL || sb->presumed) {
                sb->phase = CWSI_STOPPING;
                sb->info.state = CWS_STATE_TERMINATING;
            }
            if (view.id.len) cwsi_sandbox_apply(sb, &view, false);
            if (view.snapshot_count && !cwsi_sandbox_took(sb, &view))
                (void)cwsi_op_fail_no_memory(op);
        } else {
            cwsi_sandbox_gone(sb); /* nothing there to stop any more */
        }
        if (stop->request.snapshot && view.snapshot_count == 0 && !op->err.status)
            (void)cwsi_snapshot_conflict(&op->err, sb, "the service took none");
    } else if (cwsi_stop_too_late(stop)) {
        (void)cwsi_snapshot_conflict(&op->err, sb, "it has ended");
    } else if (op->err.status == CWS_ERR_NOT_FOUND && !stop->request.snapshot &&
               (stop->request.missing_ok || repeated || sb->phase == CWSI_TERMINAL)) {
        cwsi_error_clear(&op->err); /* gone, by an earlier attempt of ours or by another hand */
        cwsi_sandbox_gone(sb);
    }
    if (!op->err.status) sb->presumed = false;
    cwsi_arena_clear(&arena);
    if (op->err.status) return CWSI_READY;
    op->step = stop->request.snapshot ? CWSI_STOP_SNAPSHOTS : CWSI_STOP_DRAIN;
    return sb->phase == CWSI_TERMINAL && !stop->request.snapshot ? CWSI_READY : CWSI_PENDING;
}

/* Wait for one snapshot after the other. READY: for the last one. A failure is told when the
 * sandbox, which ends in any case, has ended. */
static cwsi_turn cwsi_stop_snapshots(cwsi_stop *stop, int64_t now)
{
    cws_op *op = &stop->op;
    const char *const *ids = op->sandbox->info.snapshot_ids;
    int64_t until = cwsi_after(now, CWSI_CAST(int64_t, CWSI_SNAPSHOT_S) * 1000);
    for (;;) {
        if (op->child) {
            if (!op->child->done) return CWSI_PENDING;
            if (op->child->err.status && !stop->why.status) stop->why = op->child->err;
            cwsi_op_leave(op);
            stop->ready++;
        }
        if (!stop->request.wait || op->client->dialect->one_volume || !ids[stop->ready])
            return CWSI_READY; /* or the service has waited */
        if (until > op->deadline_ms) until = op->deadline_ms - 1;
        cwsi_await_own(op, cwsi_ready_new(op->client, ids[stop->ready], until));
        if (op->err.status) return CWSI_READY;
    }
}

static cwsi_turn cwsi_stop_step(cwsi_stop *stop, int64_t now)
{
    cws_op *op = &stop->op;
    cws_sandbox *sb = op->sandbox;
    for (;;) {
        if (op->err.status) return CWSI_READY;
        switch (op->step) {
        case CWSI_STOP_START:
            if (op->child) { /* a start is awaited; its failure matters only if it leaves doubt */
                if (!op->child->done) return CWSI_PENDING;
                if (sb->create_unknown) (void)cwsi_copy_error(&op->err, &op->child->err);
                cwsi_op_leave(op);
                if (op->err.status) return CWSI_READY;
            }
            if (!sb->id[0] && (sb->start_op || sb->create_unknown)) { /* again, if begun anew */
                cwsi_await_new(op, cwsi_sandbox_start_op(sb));
                if (!op->child) return cwsi_failed(cwsi_op_fail_no_memory(op));
                break;
            }
            if (!sb->id[0]) sb->cancelled = true;
            if (stop->request.snapshot && !sb->cancelled && sb->phase >= CWSI_STOPPING &&
                !sb->info.snapshot_ids[0])
                return cwsi_failed(cwsi_snapshot_conflict(&op->err, sb, "it is ending"));
            if (cwsi_sandbox_done(sb) && !sb->presumed) return CWSI_READY;
            op->step = sb->phase == CWSI_STOPPING ? CWSI_STOP_DRAIN : CWSI_STOP_SEND;
            break;
        case CWSI_STOP_SEND:
            stop->request.id = cwsi_str_of(sb->id);
            if (!op->client->dialect->stop_begin(op, &stop->request, stop->rpc_ms,
                                                 op->deadline_ms))
                return CWSI_READY;
            op->step = CWSI_STOP_AWAIT;
            break;
        case CWSI_STOP_AWAIT:
            if (cwsi_call_run(op->call, now) == CWSI_PENDING) return CWSI_PENDING;
            if (cwsi_stop_answer(stop) == CWSI_READY) return CWSI_READY;
            break;
        case CWSI_STOP_SNAPSHOTS:
            if (cwsi_stop_snapshots(stop, now) == CWSI_PENDING) return CWSI_PENDING;
            if (op->err.status) return CWSI_READY;
            op->step = CWSI_STOP_DRAIN;
            break;
        case CWSI_STOP_DRAIN:
            if (!op->child) cwsi_await_new(op, cwsi_sandbox_poll_op(sb, true));
            if (cwsi_join(op) == CWSI_PENDING) return CWSI_PENDING;
            if (op->err.status == CWS_ERR_TERMINAL_STATE_UNAVAILABLE &&
                stop->request.missing_ok) {
                cwsi_error_clear(&op->err);
                cwsi_sandbox_gone(sb);
            }
            if (!op->err.status && sb->phase != CWSI_TERMINAL) break;
            if (!op->err.status && stop->why.status) {
                cwsi_session_forget(sb); /* it has ended, though a snapshot has failed */
                (void)cwsi_copy_error(&op->err, &stop->why);
            }
            return CWSI_READY;
        }
    }
}

static cwsi_turn cwsi_stop_run(cws_op *op, int64_t now)
{
    return cwsi_stop_step(CWSI_AS(cwsi_stop, op), now);
}

static void cwsi_stop_ended(cws_op *op)
{
    if (!op->err.status) cwsi_session_forget(op->sandbox);
}

static void cwsi_stop_destroy(cws_op *op)
{
    cwsi_arena_clear(&CWSI_AS(cwsi_stop, op)->arena);
}

static bool cwsi_stop_expire(cws_op *op)
{
    (void)cwsi_fail(&op->err, CWS_ERR_TIMEOUT,
                    "Sandbox '%s' has not ended within the time for its stop (last state: %s)",
                    op->sandbox->id[0] ? op->sandbox->id : "(not accepted yet)",
                    cws_state_name(op->sandbox->info.state));
    return true;
}

static const cwsi_op_kind *cwsi_stop_kind(void)
{
    static const char *const steps[] = {CWSI_STOP_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Stop sandbox",   steps, cwsi_stop_run, cwsi_stop_expire,
                                      cwsi_stop_ended, cwsi_stop_destroy};
    return &kind;
}

/* How long a stop with snapshot may take: the service archives first, then gives the grace. */
static int64_t cwsi_snapshot_stop_ms(const cws_client *c, int64_t grace_ms)
{
    if (grace_ms == 0 && c->dialect->one_volume) grace_ms = CWSI_SNAPSHOT_GRACE_S * 1000;
    return grace_ms + (CWSI_SNAPSHOT_S + CWSI_SNAPSHOT_SLACK_S) * 1000;
}

/* What a stop asks for, beyond its times. */
typedef struct cwsi_stop_wish {
    int32_t grace_s;
    bool missing_ok, snapshot, wait;
    const char *const *volumes; /* NULL: all scratch volumes that are known */
    const char *request_id;
} cwsi_stop_wish;

/* The volumes to take snapshots of. */
static bool cwsi_stop_volumes(cwsi_stop *stop, const cws_sandbox *sb, const char *const *names)
{
    size_t i;
    bool ok = true;
    if (names)
        return cwsi_strings_of(&stop->arena, cwsi_keep_strings(&stop->arena, names, NULL, &ok),
                               &stop->request.volumes) && ok;
    for (i = 0; i < sb->info.volume_count && ok; i++) {
        const cws_volume *v = &sb->info.volumes[i];
        cwsi_str *name;
        if (v->volume_id || !v->name) continue;
        name = CWSI_AS(cwsi_str,
                       cwsi_list_grow(&stop->arena, &stop->request.volumes, sizeof(*name)));
        if (name) *name = cwsi_str_of(cwsi_keep(&stop->arena, v->name, &ok));
        else ok = false;
    }
    return ok;
}

/* The stop in flight, or a new one. Borrowed. NULL: out of memory. */
static cws_op *cwsi_sandbox_stop_op(cws_sandbox *sb, const cwsi_stop_wish *wish, int64_t timeout_ms)
{
    cwsi_stop *stop;
    int64_t grace_ms = CWSI_CAST(int64_t, wish->grace_s) * 1000;
    bool ok = true;
    if (sb->stop_op) return sb->stop_op;
    sb->stop_op = cwsi_op_new(sb->client, sizeof(cwsi_stop), cwsi_stop_kind(), sb);
    if (!sb->stop_op) return NULL;
    stop = CWSI_AS(cwsi_stop, sb->stop_op);
    cwsi_arena_init(&stop->arena, &sb->client->mem);
    stop->request.grace_s = wish->grace_s;
    stop->request.missing_ok = wish->missing_ok;
    stop->request.snapshot = wish->snapshot;
    stop->request.wait = wish->wait;
    stop->op.deadline_ms = cwsi_after(cwsi_now(sb->client), timeout_ms);
    stop->rpc_ms = grace_ms + 2 * CWSI_CLIENT_BUFFER_MS;
    if (!wish->snapshot) return sb->stop_op;
    stop->rpc_ms = cwsi_snapshot_stop_ms(sb->client, grace_ms);
    stop->request.request_id = cwsi_str_of(cwsi_keep(&stop->arena, wish->request_id, &ok));
    if (!sb->client->dialect->one_volume) ok = cwsi_stop_volumes(stop, sb, wish->volumes) && ok;
    if (!ok) (void)cwsi_op_fail_no_memory(&stop->op);
    return sb->stop_op;
}

typedef struct cwsi_joining {
    cws_op op;
    bool missing_ok;
} cwsi_joining;

#define CWSI_JOIN_STEPS(X) X(JOIN)

/* A caller's own share of the stop: it has joined the shared one already. */
static cwsi_turn cwsi_joining_run(cws_op *op, int64_t now)
{
    (void)now;
    if (!op->child) return CWSI_READY;
    if (cwsi_join(op) == CWSI_PENDING) return CWSI_PENDING;
    if (CWSI_AS(cwsi_joining, op)->missing_ok && cwsi_stop_found_nothing(op->err.status)) {
        cwsi_error_clear(&op->err);
        cwsi_sandbox_gone(op->sandbox);
        cwsi_session_forget(op->sandbox);
    }
    return CWSI_READY;
}

static const cwsi_op_kind *cwsi_joining_kind(void)
{
    static const char *const steps[] = {CWSI_JOIN_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Stop sandbox", steps, cwsi_joining_run, cwsi_stop_expire,
                                      NULL,           NULL};
    return &kind;
}

/* ================================================================================================
 * >>impl-op-get
 * One unary call about one sandbox: its status, attaching by id, deleting by id, pause, resume.
 *
 *      SEND --> AWAIT --> done
 * ============================================================================================= */

#define CWSI_GET_STEPS(X) X(SEND) X(AWAIT)
#define CWSI_AS_GET_STEP(name) CWSI_GET_##name,
enum { CWSI_GET_STEPS(CWSI_AS_GET_STEP) CWSI_GET_STEP_COUNT };

typedef struct cwsi_get {
    cws_op op;
    cws_session *session; /* from_id: held */
    char id[CWSI_ID_SIZE]; /* from_id, delete */
    bool adopt, missing_ok;
    cws_sandbox *found; /* from_id: the result */
} cwsi_get;

typedef enum cwsi_get_what {
    CWSI_GET_STATUS,
    CWSI_GET_FROM_ID,
    CWSI_GET_DELETE,
    CWSI_GET_PAUSE,
    CWSI_GET_RESUME,
    CWSI_GET_WHAT_COUNT
} cwsi_get_what;

static const cwsi_op_kind *cwsi_get_kind(cwsi_get_what what);

static bool cwsi_get_is(const cws_op *op, cwsi_get_what what)
{
    return op->kind == cwsi_get_kind(what);
}

static void cwsi_get_destroy(cws_op *op)
{
    cwsi_get *get = CWSI_AS(cwsi_get, op);
    if (get->found) cwsi_sandbox_unref(get->found);
    if (get->session) cwsi_session_unref(get->session);
}

/* The object by which a session tracks this id already, or NULL. */
static cws_sandbox *cwsi_tracked_by_id(const cws_session *s, cwsi_str id)
{
    size_t i;
    for (i = 0; i < s->tracked_len; i++)
        if (cwsi_str_is(id, s->tracked[i]->sandbox->id)) return s->tracked[i]->sandbox;
    return NULL;
}

/* An object for a sandbox that exists already; when adopting, the one the session has of it. NULL:
 * op->err is set. */
static cws_sandbox *cwsi_attach(cws_op *op, cws_session *s, const cwsi_view *view, bool adopt)
{
    cws_sandbox *sb = adopt ? cwsi_tracked_by_id(s, view->id) : NULL;
    if (sb && !s->closed) {
        sb->refs++;
        cwsi_sandbox_apply(sb, view, false);
        return sb;
    }
    sb = cwsi_sandbox_new(op->client);
    if (!sb) {
        (void)cwsi_op_fail_no_memory(op);
        return NULL;
    }
    cwsi_sandbox_set_id(sb, view->id);
    sb->request_timeout_ms = s->request_timeout_ms;
    sb->phase = CWSI_STARTING;
    cwsi_sandbox_apply(sb, view, false);
    if (adopt && s->closed)
        (void)cwsi_fail(&op->err, CWS_ERR_CLOSED, "%s: the session was closed meanwhile",
                        op->kind->name);
    if (!op->err.status && (!adopt || cwsi_session_track(s, sb, &op->err) == CWS_OK)) return sb;
    cwsi_sandbox_unref(sb);
    return NULL;
}

/* The call is over: what it was for decides. */
static void cwsi_get_answer(cwsi_get *get)
{
    cws_op *op = &get->op;
    const cwsi_dialect *dialect = op->client->dialect;
    cwsi_arena arena;
    cwsi_view view;
    void *reply;
    bool ok, repeated = op->call->maybe_done;
    cwsi_arena_init(&arena, &op->client->mem);
    ok = cwsi_call_reply(op, &arena, &reply);
    if (!ok) {
        if (cwsi_get_is(op, CWSI_GET_DELETE) && op->err.status == CWS_ERR_NOT_FOUND &&
            (get->missing_ok || repeated))
            cwsi_error_clear(&op->err);
    } else if (cwsi_get_is(op, CWSI_GET_PAUSE) || cwsi_get_is(op, CWSI_GET_RESUME)) {
        if (op->sandbox->phase == CWSI_RUNNING)
            op->sandbox->info.state =
                cwsi_get_is(op, CWSI_GET_PAUSE) ? CWS_STATE_PAUSED : CWS_STATE_RUNNING;
    } else if (op->sandbox || get->session) {
        if (!dialect->get_view(reply, &view))
            (void)cwsi_fail(&op->err, CWS_ERR_PROTOCOL, "%s: the reply has no sandbox",
                            op->kind->name);
        else if (op->sandbox) cwsi_sandbox_apply(op->sandbox, &view, false);
        else get->found = cwsi_attach(op, get->session, &view, get->adopt);
    }
    cwsi_arena_clear(&arena);
}

/* Send it. False: there is nothing to send, or op->err is set. */
static bool cwsi_get_send(cwsi_get *get, int64_t now)
{
    cws_op *op = &get->op;
    cws_client *c = op->client;
    cwsi_str id = cwsi_str_of(op->sandbox ? op->sandbox->id : get->id);
    int64_t rpc_ms = cwsi_get_is(op, CWSI_GET_STATUS) ? c->poll_rpc_ms
                     : op->sandbox                    ? op->sandbox->request_timeout_ms
                     : get->session                   ? get->session->request_timeout_ms
                                                      : c->request_timeout_ms;
    int64_t until = cwsi_after(now, rpc_ms);
    if (cwsi_get_is(op, CWSI_GET_DELETE)) return c->dialect->delete_begin(op, id, rpc_ms, until);
    if (cwsi_get_is(op, CWSI_GET_PAUSE) || cwsi_get_is(op, CWSI_GET_RESUME))
        return c->dialect->pause_begin(op, id, cwsi_get_is(op, CWSI_GET_RESUME), rpc_ms, until);
    if (op->sandbox && op->sandbox->phase == CWSI_TERMINAL) return false; /* known for good */
    return c->dialect->get_begin(op, id, CWSI_RETRY_SAFE, rpc_ms, until);
}

static cwsi_turn cwsi_get_run(cws_op *op, int64_t now)
{
    cwsi_get *get = CWSI_AS(cwsi_get, op);
    for (;;) {
        switch (op->step) {
        case CWSI_GET_SEND:
            if (!cwsi_get_send(get, now)) return CWSI_READY;
            op->step = CWSI_GET_AWAIT;
            break;
        case CWSI_GET_AWAIT:
            if (cwsi_call_run(op->call, now) == CWSI_PENDING) return CWSI_PENDING;
            cwsi_get_answer(get);
            return CWSI_READY;
        }
    }
}

static const cwsi_op_kind *cwsi_get_kind(cwsi_get_what what)
{
    static const char *const steps[] = {CWSI_GET_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kinds[CWSI_GET_WHAT_COUNT] = {
        {"Get status", steps, cwsi_get_run, NULL, NULL, cwsi_get_destroy},
        {"Get sandbox", steps, cwsi_get_run, NULL, NULL, cwsi_get_destroy},
        {"Delete sandbox", steps, cwsi_get_run, NULL, NULL, cwsi_get_destroy},
        {"Pause sandbox", steps, cwsi_get_run, NULL, NULL, cwsi_get_destroy},
        {"Resume sandbox", steps, cwsi_get_run, NULL, NULL, cwsi_get_destroy}};
    return &kinds[what];
}

/* ================================================================================================
 * >>impl-op-list
 * All pages of a list, under one deadline.
 *
 *      SEND --> AWAIT --more pages--> SEND
 *                 `--last page--> done
 * ============================================================================================= */

#define CWSI_LIST_STEPS(X) X(SEND) X(AWAIT)
#define CWSI_AS_LIST_STEP(name) CWSI_LIST_##name,
enum { CWSI_LIST_STEPS(CWSI_AS_LIST_STEP) CWSI_LIST_STEP_COUNT };

struct cws_sandbox_list {
    cws_client *client; /* held */
    cws_sandbox **at;   /* each held */
    size_t len, cap;
};

typedef struct cwsi_listing {
    cws_op op;
    cws_session *session; /* held */
    cwsi_arena arena;     /* the filters and the tokens seen */
    cwsi_list_request request;
    cwsi_list tokens;
    bool adopt;
    int64_t timeout_ms;
    cws_sandbox_list *found;
} cwsi_listing;

static void cwsi_listing_destroy(cws_op *op)
{
    cwsi_listing *l = CWSI_AS(cwsi_listing, op);
    cws_sandbox_list_free(l->found);
    cwsi_arena_clear(&l->arena);
    if (l->session) cwsi_session_unref(l->session);
}

/* One more at the end, which takes over the reference. False: op->err is set, nothing is kept. */
static bool cwsi_listing_add(cwsi_listing *l, cws_sandbox *sb)
{
    cws_sandbox_list *found = l->found;
    cws_client *c = l->op.client;
    if (found->len == found->cap) {
        size_t cap = found->cap ? found->cap * 2 : 16;
        cws_sandbox **grown = CWSI_CAST(cws_sandbox **,
                                        cwsi_realloc(&c->mem, found->at, cap * sizeof(*grown)));
        if (!grown) {
            cwsi_sandbox_unref(sb);
            (void)cwsi_op_fail_no_memory(&l->op);
            return false;
        }
        found->at = grown;
        found->cap = cap;
    }
    found->at[found->len++] = sb;
    return true;
}

/* All pages are there: the session tracks what was found, all of it or, on failure, nothing. An id
 * that it tracks already is represented by the object it has. */
static void cwsi_listing_adopt(cwsi_listing *l)
{
    cws_session *s = l->session;
    size_t i, before = s->tracked_len;
    if (s->closed)
        (void)cwsi_fail(&l->op.err, CWS_ERR_CLOSED, "%s: the session was closed meanwhile",
                        l->op.kind->name);
    for (i = 0; i < l->found->len && !l->op.err.status; i++) {
        cws_sandbox *known = cwsi_tracked_by_id(s, cwsi_str_of(l->found->at[i]->id));
        if (known) {
            known->refs++;
            cwsi_sandbox_unref(l->found->at[i]);
            l->found->at[i] = known;
        } else {
            (void)cwsi_session_track(s, l->found->at[i], &l->op.err);
        }
    }
    while (l->op.err.status && s->tracked_len > before)
        cwsi_session_forget(s->tracked[s->tracked_len - 1]->sandbox);
}

/* A page came. READY: it was the last, or op->err is set. */
static cwsi_turn cwsi_listing_page(cwsi_listing *l)
{
    cws_op *op = &l->op;
    const cwsi_dialect *dialect = op->client->dialect;
    cwsi_arena arena;
    cwsi_view view;
    void *reply;
    size_t i, n;
    bool more = false;
    cwsi_arena_init(&arena, &op->client->mem);
    if (cwsi_call_reply(op, &arena, &reply)) {
        n = dialect->list_count(reply);
        for (i = 0; i < n && !op->err.status; i++) {
            cws_sandbox *sb;
            if (!dialect->list_view(reply, i, &view)) continue;
            sb = l->adopt ? cwsi_tracked_by_id(l->session, view.id) : NULL;
            if (sb) cwsi_sandbox_apply(sb, &view, false); /* it is given out in the end */
            sb = cwsi_attach(op, l->session, &view, false);
            if (sb) (void)cwsi_listing_add(l, sb);
        }
        if (!op->err.status)
            more = cwsi_next_page(op, &l->arena, &l->tokens, dialect->list_next(reply),
                                  &l->request.page_token);
    }
    cwsi_arena_clear(&arena);
    if (l->adopt && !more && !op->err.status) cwsi_listing_adopt(l);
    return more ? CWSI_PENDING : CWSI_READY;
}

static cwsi_turn cwsi_listing_run(cws_op *op, int64_t now)
{
    cwsi_listing *l = CWSI_AS(cwsi_listing, op);
    for (;;) {
        switch (op->step) {
        case CWSI_LIST_SEND:
            if (op->deadline_ms == CWSI_NEVER) op->deadline_ms = cwsi_after(now, l->timeout_ms);
            if (!op->client->dialect->list_begin(op, &l->request, CWSI_NEVER, op->deadline_ms))
                return CWSI_READY;
            op->step = CWSI_LIST_AWAIT;
            break;
        case CWSI_LIST_AWAIT:
            if (cwsi_call_run(op->call, now) == CWSI_PENDING) return CWSI_PENDING;
            if (cwsi_listing_page(l) == CWSI_READY) return CWSI_READY;
            op->step = CWSI_LIST_SEND;
            break;
        }
    }
}

static const cwsi_op_kind *cwsi_listing_kind(void)
{
    static const char *const steps[] = {CWSI_LIST_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"List sandboxes", steps, cwsi_listing_run, NULL, NULL,
                                      cwsi_listing_destroy};
    return &kind;
}

/* ================================================================================================
 * >>impl-process
 * A command as an object: its output as it is kept and taken, its input as it waits and is sent.
 * ============================================================================================= */

typedef struct cwsi_output {
    cwsi_buf buf; /* what is kept; before `at` it was taken by a reader */
    size_t at;
    uint64_t produced, max; /* max: kept at most */
    bool truncated;
} cwsi_output;

struct cws_result {
    cws_client *client; /* held */
    cwsi_arena arena;   /* the command */
    const char *const *command;
    cwsi_output out, err;
    bool has_exit_code;
    int32_t exit_code;
};

struct cws_process {
    cws_op op;
    cwsi_arena arena;          /* the request */
    cwsi_exec_request request; /* what is sent, the working directory wrapped in */
    bool check, unary, began;
    bool tty;      /* a shell: raw output, kept only for a reader */
    bool throttle; /* output that nobody takes holds the command up */
    bool streamed; /* the unary call will not do */
    bool resized;  /* the size in request is to be sent */
    bool with_stdin, ready, eof, eof_sent; /* eof: nothing will be written behind input */
    bool fin_sent; /* the transport had all input when the command ended */
    size_t room_wanted; /* a write was told that there is less; 0: none was */
    bool writing;       /* a frame of the stack is in the middle of a write */
    int64_t ready_until;
    cwsi_buf input; /* written, from input_at on not yet handed to the call */
    size_t input_at;
    void (*on_stdin_room)(void *user);
    bool counted; /* in the sandbox's statistics */
    bool exited;
    int32_t exit_code; /* here too, because the result can be taken away */
    int64_t timeout_ms;
    cws_output_fn on_output;
    void *user;
    cws_op *watcher; /* wants a turn when there is output, or room for input; not held: it holds
                        this */
    cws_result *result; /* exists from the start; handed out if the command began */
};

/* What a callback of the operation answered. False: op->err is set. */
static bool cwsi_op_obey(cws_op *op, cws_flow flow, const char *who)
{
    if (op->cancelled || (flow != CWS_FLOW_CONTINUE && flow != CWS_FLOW_PAUSE))
        return cwsi_no(cwsi_fail(&op->err, CWS_ERR_CANCELLED, "%s: cancelled by the %s callback",
                                 op->kind->name, who));
    if (flow == CWS_FLOW_CONTINUE) return true;
    if (op->unresumable)
        return cwsi_no(cwsi_fail(&op->err, CWS_ERR_INVALID_ARGUMENT,
                                 "%s: the %s callback pauses a blocking call, which nobody could "
                                 "resume: begin it instead",
                                 op->kind->name, who));
    op->paused = true;
    return true;
}

/* How much more of an output may be kept? */
static size_t cwsi_output_room(const cws_process *p, const cwsi_output *o)
{
    size_t have = o->buf.len - o->at;
    if (p->tty && p->on_output) return 0;
    if (p->throttle && o == &p->result->out) return SIZE_MAX; /* it is the stream that waits */
    if (o->truncated || have >= o->max) return 0;             /* nothing is kept behind a gap */
    return o->max - have >= SIZE_MAX ? SIZE_MAX : CWSI_CAST(size_t, o->max - have);
}

/* Does output that nobody has taken hold the command up? */
static bool cwsi_output_waits(const cws_process *p)
{
    const cwsi_output *o = &p->result->out;
    return p->op.paused || (p->throttle && o->buf.len - o->at >= o->max);
}

/* Keep output up to the cap, count all of it, hand it to the callback. False: op->err is set. */
static bool cwsi_exec_output(cws_process *p, cws_stream_id stream, cwsi_str data)
{
    cws_op *op = &p->op;
    cws_client *c = op->client;
    cwsi_output *o = stream == CWS_STDERR && !p->tty ? &p->result->err : &p->result->out;
    size_t room = cwsi_output_room(p, o), keep = data.len < room ? data.len : room;
    cws_flow flow = CWS_FLOW_CONTINUE;
    if (keep < data.len && !p->tty) o->truncated = true;
    o->produced += data.len;
    if (keep && !cwsi_put(&o->buf, data.at, keep)) return cwsi_no(cwsi_op_fail_no_memory(op));
    if (p->watcher) cwsi_op_wake(p->watcher);
    if (p->on_output && data.len && !op->cancelled) {
        c->in_callback = true;
        flow = p->on_output(p->tty ? CWS_STDOUT : stream, data.at, data.len, p->user);
        c->in_callback = false;
    }
    return cwsi_op_obey(op, flow, "output");
}

/* Give a reader what is there. Returns how much. */
static size_t cwsi_output_take(cwsi_output *o, void *buffer, size_t size)
{
    size_t n = o->buf.len - o->at;
    if (n > size) n = size;
    if (n == 0) return 0;
    memcpy(buffer, o->buf.at + o->at, n);
    o->at += n;
    cwsi_buf_compact(&o->buf, &o->at);
    o->buf.at[o->buf.len] = '\0';
    return n;
}

static size_t cwsi_stdin_room(const cws_process *p)
{
    return CWSI_STDIN_QUEUE - (p->input.len - p->input_at);
}

/* May a frame, or the end, be handed to the call now? Nothing goes out before `ready`. */
static bool cwsi_stdin_can_feed(const cws_process *p)
{
    const cwsi_call *call = p->op.call;
    if (!p->with_stdin || !p->ready || p->eof_sent) return false;
    if (p->input_at == p->input.len) return p->eof;
    return call->out.len - call->out_at < CWSI_STDIN_AHEAD;
}

/* Tell a writer that waits. */
static void cwsi_stdin_tell(cws_process *p)
{
    cws_client *c = p->op.client;
    if (!p->room_wanted || p->writing || cwsi_stdin_room(p) < p->room_wanted) return;
    p->room_wanted = 0;
    if (!p->on_stdin_room || p->op.cancelled || p->eof) return;
    c->in_callback = true;
    p->on_stdin_room(p->user);
    c->in_callback = false;
}

/* Cut what waits into frames, as many as the call takes. False: op->err is set. */
static bool cwsi_stdin_feed(cws_process *p)
{
    cwsi_call *call = p->op.call;
    const cwsi_dialect *dialect = p->op.client->dialect;
    if (p->resized && p->ready && !p->eof_sent && /* ahead of what waits to be written */
        call->out.len - call->out_at < CWSI_RESIZE_AHEAD) {
        p->resized = false;
        if (!dialect->exec_resize(&call->out, p->request.width, p->request.height))
            return cwsi_no(cwsi_op_fail_no_memory(&p->op));
    }
    while (cwsi_stdin_can_feed(p)) {
        cwsi_str frame;
        frame.len = p->input.len - p->input_at;
        frame.at = frame.len ? p->input.at + p->input_at : "";
        if (frame.len > CWSI_STDIN_FRAME) frame.len = CWSI_STDIN_FRAME;
        call->fin = p->eof_sent = frame.len == 0;
        if (!dialect->exec_input(&call->out, frame.len ? &frame : NULL))
            return cwsi_no(cwsi_op_fail_no_memory(&p->op));
        p->input_at += frame.len;
        if (p->watcher) cwsi_op_wake(p->watcher);
    }
    if (p->input_at == p->input.len) cwsi_buf_drop(&p->input, &p->input_at);
    return true;
}

/* ================================================================================================
 * >>impl-op-exec
 * A command: over StreamExec with live output, or over unary Exec where the transport or the
 * address cannot do streams in both directions. It is sent once; only a request that surely never
 * reached the server is repeated.
 *
 *      PRELUDE --running--> SEND --> STREAM --exit, error, or end--> done   (with input: both ways)
 *                            ^  |      `--HTTP 505: nothing ran--.
 *                            |  `----> UNARY --reply--> done     |
 *                            `-----------------------------------'
 * ============================================================================================= */

#define CWSI_EXEC_STEPS(X) X(PRELUDE) X(SEND) X(STREAM) X(UNARY)
#define CWSI_AS_EXEC_STEP(name) CWSI_STEP_EXEC_##name,
enum { CWSI_EXEC_STEPS(CWSI_AS_EXEC_STEP) CWSI_EXEC_STEP_COUNT };

static void cwsi_exec_destroy(cws_op *op)
{
    cws_process *p = CWSI_AS(cws_process, op);
    cws_result_free(p->result);
    cwsi_buf_free(&p->input);
    cwsi_arena_clear(&p->arena);
}

static void cwsi_exec_exit(cws_process *p, int32_t code)
{
    cws_op *op = &p->op;
    p->exited = p->result->has_exit_code = true;
    p->exit_code = p->result->exit_code = code;
    if (code == 0 || !p->check) return;
    op->err.exit_code = code;
    (void)cwsi_fail(&op->err, CWS_ERR_EXECUTION, "Command '%.*s' failed with exit code %d", 120,
                    p->result->command[0], code);
}

static void cwsi_exec_error(cws_process *p, const cwsi_exec_event *event)
{
    cws_op *op = &p->op;
    cws_status status = CWS_ERR_EXECUTION;
    int width = CWSI_CAST(int, event->data.len < 200 ? event->data.len : 200);
    const char *advice = "";
    if (cwsi_str_is(event->code, "STREAM_BACKPRESSURE")) {
        status = CWS_ERR_STREAM_BACKPRESSURE;
        advice = "; read faster, or write to a file and read that";
    } else if (cwsi_str_is(event->code, "STREAM_TRUNCATED")) {
        status = CWS_ERR_STREAM_TRUNCATED;
    }
    cwsi_copy_text(op->err.stream_code, sizeof(op->err.stream_code), event->code.at,
                   event->code.len);
    (void)cwsi_fail(&op->err, status, "Exec stream error: %.*s (%s)%s", width, event->data.at,
                    op->err.stream_code[0] ? op->err.stream_code : "no code", advice);
}

/* One message of the stream. READY: the command has ended. */
static cwsi_turn cwsi_exec_message(cws_process *p, cwsi_str message)
{
    cws_op *op = &p->op;
    cwsi_exec_event event;
    cwsi_arena arena;
    cwsi_turn turn = CWSI_PENDING;
    cws_status status;
    void *msg;
    cwsi_arena_init(&arena, &op->client->mem);
    status = cwsi_decode(&arena, op->call->rpc->response, message, &msg);
    if (status == CWS_ERR_NO_MEMORY) {
        (void)cwsi_op_fail_no_memory(op);
    } else if (status) {
        (void)cwsi_fail(&op->err, CWS_ERR_PROTOCOL, "%s: malformed message", op->kind->name);
    } else {
        op->client->dialect->exec_event(msg, &event);
        p->began = true;
        switch (event.kind) {
        case CWSI_EXEC_NOTHING: break;
        case CWSI_EXEC_READY: p->ready = true; break;
        case CWSI_EXEC_OUTPUT: (void)cwsi_exec_output(p, event.stream, event.data); break;
        case CWSI_EXEC_EXIT:
            cwsi_exec_exit(p, event.exit_code);
            turn = CWSI_READY;
            break;
        case CWSI_EXEC_ERROR: cwsi_exec_error(p, &event); break;
        }
    }
    cwsi_arena_clear(&arena);
    return op->err.status ? CWSI_READY : turn;
}

static void cwsi_exec_timed_out(cws_process *p)
{
    char fraction[16] = "";
    unsigned ms = CWSI_CAST(unsigned, p->timeout_ms % 1000);
    if (p->timeout_ms == CWSI_NEVER) {
        (void)cwsi_fail(&p->op.err, CWS_ERR_TIMEOUT, "Command '%.*s' timed out at the service", 120,
                        p->result->command[0]);
        return;
    }
    if (ms)
        (void)cwsi_format(fraction, sizeof(fraction), ".%u%u%u", ms / 100, ms / 10 % 10, ms % 10);
    (void)cwsi_fail(&p->op.err, CWS_ERR_TIMEOUT, "Command '%.*s' timed out after %lld%s s", 120,
                    p->result->command[0], CWSI_CAST(long long, p->timeout_ms / 1000), fraction);
}

/* The call failed: a timeout is told in the words of the command. */
static void cwsi_exec_failed(cws_process *p)
{
    cws_op *op = &p->op;
    cwsi_call *call = op->call;
    if (call->err.rpc_code == CWSI_CODE_DEADLINE_EXCEEDED) { /* whatever reason comes with it */
        op->err = call->err;
        op->err.status = CWS_OK;
        cwsi_exec_timed_out(p);
        return;
    }
    (void)cwsi_copy_error(&op->err, &call->err);
}

/* Where input needs what is not there. */
static cws_status cwsi_exec_no_duplex(const cws_client *c, const char *what, cws_error *err)
{
    return cwsi_fail(err, CWS_ERR_UNSUPPORTED,
                     "%s needs the transport's streaming tier with streams in both directions "
                     "(HTTP/2 up to %s)",
                     what, c->base_url);
}

/* What of a command needs them. */
static const char *cwsi_exec_needs(const cws_process *p)
{
    return p->tty ? "a shell" : p->watcher ? "a file through a command" : "with_stdin";
}

static bool cwsi_has_duplex(const cws_client *c)
{
    return c->streaming && c->transport.full_duplex && !c->no_duplex;
}

static void cwsi_exec_no_exit(cws_process *p)
{
    (void)cwsi_fail(&p->op.err, CWS_ERR_EXECUTION, "Command '%.*s' ended without exit status", 120,
                    p->result->command[0]);
}

/* The stream has ended without an exit or error message. READY, or the step was changed. */
static void cwsi_exec_over(cws_process *p)
{
    cws_op *op = &p->op;
    if (op->call->http_status == 505 && !p->began) { /* HTTP/1.1 on the way: nothing ran */
        op->client->no_duplex = true;
        if (p->streamed) {
            (void)cwsi_exec_no_duplex(op->client, cwsi_exec_needs(p), &op->err);
            return;
        }
        p->unary = true;
        op->step = CWSI_STEP_EXEC_SEND;
    } else if (op->call->err.status) {
        cwsi_exec_failed(p);
    } else {
        cwsi_exec_no_exit(p);
    }
}

/* A command with input must say soon that it is ready for some. READY: it did not. */
static cwsi_turn cwsi_exec_await_ready(cws_process *p, int64_t now)
{
    cws_op *op = &p->op;
    int64_t patience = p->timeout_ms < CWSI_READY_MS ? p->timeout_ms : CWSI_READY_MS;
    if (!p->with_stdin || p->ready || op->call->held) return CWSI_PENDING;
    if (op->call->step == CWSI_CALL_BACKOFF) p->ready_until = 0; /* it was not sent yet */
    else if (p->ready_until == 0) p->ready_until = cwsi_after(now, patience);
    if (p->ready_until == 0) return CWSI_PENDING;
    cwsi_op_wake_at(op, p->ready_until);
    if (now < p->ready_until) return CWSI_PENDING;
    (void)cwsi_fail(&op->err, CWS_ERR_TIMEOUT,
                    "Command '%.*s' timed out: no ready signal within %lld ms", 120,
                    p->result->command[0], CWSI_CAST(long long, patience));
    return CWSI_READY;
}

/* Follow the stream. READY: the operation is over, or goes on another way (step was changed). */
static cwsi_turn cwsi_exec_stream(cws_process *p, int64_t now)
{
    cws_op *op = &p->op;
    cwsi_str message;
    for (;;) {
        if (!cwsi_stdin_feed(p)) return CWSI_READY;
        op->call->held = cwsi_output_waits(p);
        if (cwsi_call_run(op->call, now) == CWSI_PENDING) {
            if (cwsi_stdin_can_feed(p)) continue; /* some of it went out */
            cwsi_stdin_tell(p);
            return cwsi_exec_await_ready(p, now);
        }
        if (!cwsi_call_message(op->call, &message)) {
            cwsi_exec_over(p);
            return CWSI_READY;
        }
        if (cwsi_exec_message(p, message) == CWSI_READY) return CWSI_READY;
    }
}

static void cwsi_exec_unary(cws_process *p)
{
    cws_op *op = &p->op;
    cwsi_exec_reply reply;
    cwsi_arena arena;
    void *msg;
    cwsi_arena_init(&arena, &op->client->mem);
    if (op->call->err.status) {
        cwsi_exec_failed(p);
    } else if (cwsi_call_reply(op, &arena, &msg)) {
        op->client->dialect->exec_reply(msg, &reply);
        p->began = true;
        if (cwsi_exec_output(p, CWS_STDOUT, reply.out) &&
            cwsi_exec_output(p, CWS_STDERR, reply.err)) {
            cwsi_output *o = &p->result->out, *e = &p->result->err;
            o->truncated = o->truncated || reply.out_truncated;
            e->truncated = e->truncated || reply.err_truncated;
            if (reply.out_produced > o->produced) o->produced = reply.out_produced;
            if (reply.err_produced > e->produced) e->produced = reply.err_produced;
            if (reply.exited) cwsi_exec_exit(p, reply.exit_code);
            else cwsi_exec_no_exit(p);
        }
    }
    cwsi_arena_clear(&arena);
}

/* What the unary call may send of each stream: as much as is kept, and as fits into one message. */
static int32_t cwsi_exec_cap(const cws_process *p)
{
    size_t message = p->op.client->max_message;
    uint64_t most = message > 131072 ? (message - 65536) / 2 : message / 4;
    if (most > INT32_MAX) most = INT32_MAX;
    return CWSI_CAST(int32_t, p->result->out.max < most ? p->result->out.max : most);
}

static cwsi_turn cwsi_exec_step(cws_process *p, int64_t now)
{
    cws_op *op = &p->op;
    cws_client *c = op->client;
    for (;;) {
        switch (op->step) {
        case CWSI_STEP_EXEC_PRELUDE:
            if (cwsi_prelude(op) == CWSI_PENDING) return CWSI_PENDING;
            if (op->err.status) return CWSI_READY;
            op->step = CWSI_STEP_EXEC_SEND;
            break;
        case CWSI_STEP_EXEC_SEND: {
            int64_t until = cwsi_after(cwsi_after(now, p->timeout_ms), CWSI_CLIENT_BUFFER_MS);
            if (!cwsi_has_duplex(c)) {
                p->unary = true;
                if (p->streamed && cwsi_exec_no_duplex(c, cwsi_exec_needs(p), &op->err))
                    return CWSI_READY;
            }
            p->request.sandbox_id = cwsi_str_of(op->sandbox->id);
            p->request.max_output = cwsi_exec_cap(p);
            p->request.timeout_ms = p->timeout_ms;
            if (!c->dialect->exec_begin(op, &p->request, p->unary, until)) return CWSI_READY;
            op->call->more = p->with_stdin;
            op->step = p->unary ? CWSI_STEP_EXEC_UNARY : CWSI_STEP_EXEC_STREAM;
            break;
        }
        case CWSI_STEP_EXEC_STREAM:
            if (cwsi_exec_stream(p, now) == CWSI_PENDING) return CWSI_PENDING;
            if (op->step == CWSI_STEP_EXEC_STREAM) return CWSI_READY;
            break;
        case CWSI_STEP_EXEC_UNARY:
            if (cwsi_call_run(op->call, now) == CWSI_PENDING) return CWSI_PENDING;
            cwsi_exec_unary(p);
            return CWSI_READY;
        }
    }
}

/* The end of a command counts once, whichever way it came. */
static void cwsi_exec_ended(cws_op *op)
{
    cws_process *p = CWSI_AS(cws_process, op);
    cws_exec_stats *stats = &op->sandbox->stats;
    p->fin_sent = op->call && op->call->fin_sent;
    cwsi_buf_free(&p->input);
    p->input_at = 0;
    if (!p->counted) return; /* it was never begun */
    if (op->err.status) stats->exec_failures++;
    else if (p->exit_code) stats->exec_completed_nonzero++;
    else stats->exec_completed_ok++;
}

static cwsi_turn cwsi_exec_run(cws_op *op, int64_t now)
{
    return cwsi_exec_step(CWSI_AS(cws_process, op), now);
}

static const cwsi_op_kind *cwsi_exec_kind(bool tty)
{
    static const char *const steps[] = {CWSI_EXEC_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kinds[] = {
        {"Execute command", steps, cwsi_exec_run, NULL, cwsi_exec_ended, cwsi_exec_destroy},
        {"Shell", steps, cwsi_exec_run, NULL, cwsi_exec_ended, cwsi_exec_destroy}};
    return &kinds[tty ? 1 : 0];
}

/* ================================================================================================
 * >>impl-command
 * A new process from what the caller gave: quoting, the working directory, copies.
 * ============================================================================================= */

/* Append a word so that a POSIX shell reads it back unchanged. */
static void cwsi_put_quoted(cwsi_buf *buf, const char *word)
{
    const char *p = word;
    while (*p && (cwsi_is_alnum(*p) || strchr("_@%+=:,./-", *p))) p++;
    if (*p == '\0' && p != word) {
        (void)cwsi_put_text(buf, word);
        return;
    }
    (void)cwsi_put_char(buf, '\'');
    for (p = word; *p; p++) {
        if (*p == '\'') (void)cwsi_put_text(buf, "'\"'\"'");
        else (void)cwsi_put_char(buf, *p);
    }
    (void)cwsi_put_char(buf, '\'');
}

/* There is no working directory on the wire: /bin/sh -c "cd DIR && exec COMMAND". */
static const char *const *cwsi_wrap_cwd(cwsi_arena *a, const char *cwd, const char *const *argv)
{
    const char **out = CWSI_AS(const char *, cwsi_arena_alloc(a, 4 * sizeof(*out)));
    cwsi_buf text;
    size_t i;
    if (!out) return NULL;
    cwsi_buf_init(&text, a->mem, CWSI_MAX_MESSAGE);
    (void)cwsi_put_text(&text, "cd ");
    cwsi_put_quoted(&text, cwd);
    (void)cwsi_put_text(&text, " && exec");
    for (i = 0; argv[i]; i++) {
        (void)cwsi_put_char(&text, ' ');
        cwsi_put_quoted(&text, argv[i]);
    }
    out[0] = "/bin/sh";
    out[1] = "-c";
    if (!text.status) out[2] = cwsi_arena_copy(a, text.at, text.len);
    cwsi_buf_free(&text);
    return out[2] ? out : NULL;
}

/* A process that is not begun yet. NULL: out of memory. */
static cws_process *cwsi_process_new(cws_sandbox *sb, bool tty, int64_t timeout_ms)
{
    cws_op *op = cwsi_op_new(sb->client, sizeof(cws_process), cwsi_exec_kind(tty), sb);
    cws_process *p = op ? CWSI_AS(cws_process, op) : NULL;
    if (!p) return NULL;
    p->tty = p->throttle = tty;
    p->timeout_ms = timeout_ms;
    return p;
}

/* Fill a new process from checked arguments. False: out of memory. */
static bool cwsi_exec_fill(cws_process *p, const char *const *argv, const cws_exec_opts *o)
{
    cws_client *c = p->op.client;
    bool ok = true;
    const char *const *sent;
    const cws_pair *env;
    cwsi_arena_init(&p->arena, &c->mem);
    p->result = CWSI_NEW(&c->mem, cws_result);
    if (!p->result) return false;
    p->result->client = c;
    c->refs++;
    cwsi_arena_init(&p->result->arena, &c->mem);
    cwsi_buf_init(&p->result->out.buf, &c->mem, SIZE_MAX / 2);
    cwsi_buf_init(&p->result->err.buf, &c->mem, SIZE_MAX / 2);
    p->result->command = cwsi_keep_strings(&p->result->arena, argv, NULL, &ok);
    sent = cwsi_keep_strings(&p->arena, argv, NULL, &ok);
    if (o->cwd && ok) sent = cwsi_wrap_cwd(&p->arena, o->cwd, argv);
    p->check = o->check;
    p->unary = o->unary;
    p->with_stdin = p->streamed = o->with_stdin;
    p->on_stdin_room = o->on_stdin_room;
    cwsi_buf_init(&p->input, &c->mem, CWSI_STDIN_QUEUE);
    p->on_output = o->on_output;
    p->user = o->user;
    p->result->out.max = o->max_output_bytes ? o->max_output_bytes
                         : p->tty            ? CWSI_SHELL_OUTPUT
                                             : CWSI_MAX_OUTPUT;
    p->result->err.max = p->result->out.max;
    p->request.tty = p->tty;
    p->request.container = cwsi_str_of(cwsi_keep(&p->arena, o->container, &ok));
    if (!ok || !sent || !cwsi_strings_of(&p->arena, sent, &p->request.command)) return false;
    env = cwsi_keep_pairs(&p->arena, o->env, NULL, &ok);
    return ok && cwsi_pairs_of(&p->arena, env, &p->request.env);
}

/* ================================================================================================
 * >>impl-items
 * Items for a callback, or for somebody who asks for them. Each kind of stream gathers bytes and
 * cuts them into items (take); here they are delivered.
 * ============================================================================================= */

struct cws_stream {
    cws_op op;
    cwsi_arena arena; /* the request */
    /* The next item that is whole, if there is one. */
    bool (*take)(cws_stream *s, cws_item *item);
    cws_item_fn on_item; /* NULL: they are asked for */
    void *user;
    cwsi_buf text; /* not taken from `at` on */
    size_t at;
    bool marked;   /* the byte behind the item at hand was replaced by a NUL */
    char behind;
    cwsi_buf held; /* the item at hand, if text had to move on */
    bool waits;    /* nothing is fetched until an item was taken */
};

static void cwsi_stream_clear(cws_stream *s)
{
    cwsi_buf_free(&s->text);
    cwsi_buf_free(&s->held);
    cwsi_arena_clear(&s->arena);
}

/* Take the mark behind the last item away, before anything else is done with the text. */
static void cwsi_stream_unmark(cws_stream *s)
{
    if (s->marked) s->text.at[s->at] = s->behind;
    s->marked = false;
}

/* Let the item at hand be: it keeps its buffer, and what follows it goes to the other one. False:
 * out of memory. */
static bool cwsi_stream_part(cws_stream *s)
{
    cwsi_buf other = s->held;
    size_t at = s->at;
    if (!s->marked) return true;
    other.len = 0;
    if (at < s->text.len && (!cwsi_put_char(&other, s->behind) ||
                             !cwsi_put(&other, s->text.at + at + 1, s->text.len - at - 1))) {
        s->held = other;
        return false;
    }
    s->held = s->text;
    s->text = other;
    s->at = 0;
    s->marked = false;
    return true;
}

/* Append what came. False: op->err is set. */
static bool cwsi_stream_add(cws_stream *s, cwsi_str data)
{
    bool ok = cwsi_stream_part(s);
    cwsi_buf_drop(&s->text, &s->at);
    return (ok && cwsi_put(&s->text, data.at, data.len)) ||
           cwsi_no(cwsi_op_fail_no_memory(&s->op));
}

/* The next n bytes are an item. */
static void cwsi_stream_cut(cws_stream *s, size_t n, cws_item *item)
{
    item->data = s->text.at + s->at;
    item->size = n;
    s->at += n;
    s->behind = s->text.at[s->at];
    s->text.at[s->at] = '\0';
    s->marked = true;
}

/* Give the callback what there is. False: op->err is set. */
static bool cwsi_stream_deliver(cws_stream *s)
{
    cws_op *op = &s->op;
    cws_item item;
    while (s->on_item && !op->paused && s->take(s, &item)) {
        cws_flow flow;
        op->client->in_callback = true;
        flow = s->on_item(&item, s->user);
        op->client->in_callback = false;
        if (!cwsi_op_obey(op, flow, "item")) return false;
    }
    return true;
}

/* ================================================================================================
 * >>impl-logs
 * Logs of the main command. With follow, a connection that is lost is followed by another: resumed
 * behind the last byte if the service named the session, else begun anew. The service's rules say
 * that a resume may bring bytes twice; offsets tell which, and those are dropped.
 * ============================================================================================= */

#define CWSI_LOGS_STEPS(X) X(PRELUDE) X(SEND) X(READ) X(SLEEP)
#define CWSI_AS_LOGS_STEP(name) CWSI_LOGS_##name,
enum { CWSI_LOGS_STEPS(CWSI_AS_LOGS_STEP) CWSI_LOGS_STEP_COUNT };

typedef struct cwsi_logs {
    cws_stream stream;
    cwsi_logs_request request; /* the caller's window, or his place */
    bool raw, split;
    size_t max_line;
    int64_t timeout_ms;
    uint32_t attempts_most, attempts; /* connections in a row that brought nothing */
    int64_t resume_at;
    char session_id[256]; /* place behind the last byte that came; "": not known */
    char item_session_id[256]; /* of the item at hand */
    uint64_t offset; /* behind the last message */
    bool placed;     /* which said so */
    int64_t unix_ms;  /* of the last message */
    int64_t since_ms; /* where to begin anew: the service's time of the last data, or ours */
    size_t searched;  /* bytes of the unfinished line that hold no newline */
    bool delivered;   /* data came at some time */
    bool resumed;     /* this connection goes on behind what came */
    bool resuming;    /* and has not brought anything new yet: what it repeats is dropped */
    bool restarted;   /* the next item is the first behind a gap */
    bool last;        /* the main command ended meanwhile: what it left is read, without follow */
    bool over;        /* a clean end: what is left is an item */
    bool stopped;     /* an end of another kind, to be acted on once all items were taken: */
    bool anew;        /* the place is lost */
    cws_error ending; /* or it is for good; no status: another connection follows */
    cws_error lost;   /* how the last connection was lost, since the last data */
} cwsi_logs;

static cwsi_logs *cwsi_logs_of(cws_op *op)
{
    return CWSI_AS(cwsi_logs, op);
}

static void cwsi_logs_destroy(cws_op *op)
{
    cwsi_stream_clear(CWSI_AS(cws_stream, op));
}

/* Where the next item ends, as its length; 0: it is not whole yet. */
static size_t cwsi_logs_next(cwsi_logs *l)
{
    cws_stream *s = &l->stream;
    size_t have = s->text.len - s->at, look = have;
    const char *from = s->text.at, *newline;
    if (l->raw || have == 0) return have;
    from += s->at;
    if (l->split && look > l->max_line) look = l->max_line;
    newline = CWSI_CAST(const char *, memchr(from + l->searched, '\n', look - l->searched));
    if (newline) return CWSI_CAST(size_t, newline - from) + 1;
    if (l->split && look == l->max_line) return look;
    l->searched = look;
    return l->over ? have : 0;
}

static bool cwsi_logs_take(cws_stream *s, cws_item *item)
{
    cwsi_logs *l = cwsi_logs_of(&s->op);
    size_t n, behind;
    memset(item, 0, sizeof(*item));
    cwsi_stream_unmark(s);
    n = cwsi_logs_next(l);
    if (n == 0) return false;
    cwsi_stream_cut(s, n, item);
    l->searched = 0;
    behind = s->text.len - s->at;
    item->partial = !l->raw && item->data[n - 1] != '\n';
    item->restarted = l->restarted;
    item->unix_ms = l->unix_ms;
    memcpy(l->item_session_id, l->session_id, sizeof(l->session_id));
    item->session_id = l->item_session_id;
    item->offset = l->offset;
    if (behind) item->offset = l->offset > behind ? l->offset - behind : 0;
    if (!l->placed || (behind && l->request.timestamps && !l->resumed)) item->offset = 0;
    if (!item->session_id[0]) item->offset = 0;
    if (!item->offset) item->session_id = "";
    l->restarted = false;
    return true;
}

/* Is a line too long? Then the text ends before it, and so does the stream. */
static void cwsi_logs_check_lines(cwsi_logs *l)
{
    cws_stream *s = &l->stream;
    size_t at = s->at, dropped;
    if (l->raw || l->split) return;
    while (s->text.len - at > l->max_line) {
        const char *from = s->text.at + at;
        const char *newline = CWSI_CAST(const char *, memchr(from, '\n', l->max_line));
        if (!newline) {
            dropped = s->text.len - at;
            if (l->offset) l->offset = l->offset > dropped ? l->offset - dropped : 0;
            s->text.len = at;
            s->text.at[at] = '\0';
            l->stopped = true;
            (void)cwsi_fail(&l->ending, CWS_ERR_STREAM_TRUNCATED, "Log line exceeded %zu bytes",
                            l->max_line);
            return;
        }
        at += CWSI_CAST(size_t, newline - from) + 1;
    }
}

/* There is a gap, or there may be one: an unfinished line can not be completed. */
static void cwsi_logs_gap(cwsi_logs *l)
{
    cws_stream *s = &l->stream;
    if (s->marked) s->text.len = s->at; /* no byte of it has to move */
    (void)cwsi_stream_part(s);
    s->at = s->text.len;
    l->searched = 0;
    l->restarted = true;
}

/* A message on a connection that was asked to go on at l->offset: how much of it came before? */
static size_t cwsi_logs_twice(cwsi_logs *l, const cwsi_logs_event *event)
{
    uint64_t from, twice = 0;
    bool known = event->offset && (event->session_id.len == 0 ||
                                   cwsi_str_is(event->session_id, l->session_id));
    if (!l->resuming) return 0;
    if (!known && l->last) { /* other logs: it can not be told what is new in them */
        l->stopped = true;
        l->ending = l->lost;
        return event->data.len;
    }
    from = event->offset > event->data.len ? event->offset - event->data.len : 0;
    if (known && from < l->offset) twice = l->offset - from;
    if (!known || from > l->offset) cwsi_logs_gap(l);
    if (twice < event->data.len) l->resuming = false; /* from now on all is new */
    return twice < event->data.len ? CWSI_CAST(size_t, twice) : event->data.len;
}

/* Data came. False: op->err is set. */
static bool cwsi_logs_data(cwsi_logs *l, const cwsi_logs_event *event)
{
    cwsi_str data = event->data;
    size_t twice = data.len ? cwsi_logs_twice(l, event) : 0;
    if (twice == data.len) return true; /* nothing, or nothing new */
    data.at += twice;
    data.len -= twice;
    l->placed = event->offset != 0;
    if (event->offset) l->offset = event->offset;
    if (event->session_id.len) l->session_id[0] = '\0'; /* a name too long to keep is none */
    if (event->session_id.len < sizeof(l->session_id))
        cwsi_take_text(l->session_id, sizeof(l->session_id), event->session_id);
    l->unix_ms = event->unix_ms;
    l->since_ms = event->unix_ms > 0 ? event->unix_ms : cwsi_unix_now(l->stream.op.client);
    l->delivered = true;
    l->attempts = 0;
    cwsi_error_clear(&l->lost);
    if (!cwsi_stream_add(&l->stream, data)) return false;
    cwsi_logs_check_lines(l);
    return true;
}

/* Begin anew next time: the place is lost. */
static void cwsi_logs_forget(cwsi_logs *l)
{
    bool gap = l->restarted || l->delivered || l->session_id[0];
    cwsi_logs_gap(l);
    l->restarted = gap; /* nothing is missing before the first byte */
    l->session_id[0] = '\0';
    l->offset = 0;
}

/* A connection ended before its time: another one follows, unless there were enough. */
static void cwsi_logs_again(cwsi_logs *l, int64_t now)
{
    cws_op *op = &l->stream.op;
    int64_t pause = CWSI_LOG_FIRST_MS;
    uint32_t i;
    if (!l->session_id[0]) cwsi_logs_forget(l);
    if (++l->attempts >= l->attempts_most) {
        const char *why = l->lost.status ? l->lost.message : "the service ended each connection";
        op->err = l->lost; /* its codes; the words are ours */
        op->err.status = CWS_OK;
        op->err.retryable = true;
        (void)cwsi_fail(&op->err, CWS_ERR_UNAVAILABLE,
                        "Logs could not be resumed, %u attempts in a row: %s",
                        CWSI_CAST(unsigned, l->attempts), why);
        return;
    }
    for (i = 1; i < l->attempts && pause < CWSI_LOG_MAX_MS; i++) pause *= 2;
    l->resume_at = cwsi_after(now, pause);
    cwsi_log(op->client, CWS_LOG_INFO, "Logs: connection ended; next attempt in %lld ms",
             CWSI_CAST(long long, pause));
    cwsi_call_free(op->call); /* it ends on the wire now, not after the pause */
    op->call = NULL;
    op->step = CWSI_LOGS_SLEEP;
}

/* The service ends the stream with a code of its own: what is to be done about it? */
static void cwsi_logs_error(cwsi_logs *l, const cwsi_logs_event *event)
{
    static const char *const fresh[] = {"SESSION_NOT_FOUND", "REPLAY_GAP", "RUNNER_UNAVAILABLE",
                                        "RUNNER_DRAINING"};
    cws_error *err = &l->ending;
    cws_status status = CWS_ERR_SANDBOX;
    int width = CWSI_CAST(int, event->text.len < 200 ? event->text.len : 200);
    size_t i;
    if (l->stopped) return; /* by a line that came before it */
    l->stopped = true;
    for (i = 0; l->request.follow && i < CWSI_COUNT(fresh); i++)
        if (cwsi_str_is(event->code, fresh[i])) l->anew = true;
    if (cwsi_str_is(event->code, "REPLAY_GAP"))
        cwsi_log(l->stream.op.client, CWS_LOG_WARNING, "Logs: the service lost some output");
    if (l->anew || (l->request.follow && cwsi_str_is(event->code, "STREAM_INTERRUPTED"))) return;
    if (cwsi_str_is(event->code, "STREAM_TRUNCATED")) status = CWS_ERR_STREAM_TRUNCATED;
    if (cwsi_str_is(event->code, "STREAM_BACKPRESSURE")) status = CWS_ERR_STREAM_BACKPRESSURE;
    cwsi_take_text(err->stream_code, sizeof(err->stream_code), event->code);
    cwsi_take_text(err->reason, sizeof(err->reason), event->code);
    (void)cwsi_fail(err, status, "Log stream error: %.*s (%s)", width, event->text.at,
                    err->stream_code[0] ? err->stream_code : "no code");
}

/* All items were taken: the end, or another connection (op->step is changed). */
static void cwsi_logs_stop(cwsi_logs *l, int64_t now)
{
    if (l->ending.status) {
        (void)cwsi_copy_error(&l->stream.op.err, &l->ending);
        return;
    }
    if (l->anew) cwsi_logs_forget(l);
    l->stopped = l->anew = false;
    cwsi_logs_again(l, now);
}

/* One message. False: op->err is set. */
static bool cwsi_logs_message(cwsi_logs *l, cwsi_str message)
{
    cws_op *op = &l->stream.op;
    cwsi_logs_event event;
    cwsi_arena arena;
    cws_status status;
    void *msg;
    cwsi_arena_init(&arena, &op->client->mem);
    status = cwsi_decode(&arena, op->call->rpc->response, message, &msg);
    if (status == CWS_ERR_NO_MEMORY) {
        (void)cwsi_op_fail_no_memory(op);
    } else if (status) {
        (void)cwsi_fail(&op->err, CWS_ERR_PROTOCOL, "%s: malformed message", op->kind->name);
    } else {
        op->client->dialect->logs_event(msg, &event);
        if (cwsi_logs_data(l, &event) && event.failed) cwsi_logs_error(l, &event);
        l->over = event.over;
    }
    cwsi_arena_clear(&arena);
    return op->err.status == CWS_OK;
}

/* Is this the failure of a connection, and not the service's last word? */
static bool cwsi_logs_is_lost(const cwsi_call *call)
{
    const cws_error *err = &call->err;
    if (call->end == CWS_END_TLS || err->status == CWS_ERR_NO_MEMORY) return false;
    if (cwsi_is_trusted(err) && !cws_status_is(err->status, CWS_ERR_UNAVAILABLE)) return false;
    return err->rpc_code == CWSI_CODE_UNAVAILABLE || err->rpc_code == CWSI_CODE_INTERNAL ||
           err->rpc_code == CWSI_CODE_UNKNOWN;
}

/* The connection is over, and so is the stream, or op->step is changed. */
static void cwsi_logs_over(cwsi_logs *l, int64_t now)
{
    cws_op *op = &l->stream.op;
    if (op->call->err.status == CWS_OK) {
        l->over = true;
    } else if (l->request.follow && cwsi_logs_is_lost(op->call)) {
        l->lost = op->call->err;
        cwsi_logs_again(l, now);
    } else if (l->resumed && !l->last && op->call->err.status == CWS_ERR_NOT_RUNNING) {
        l->lost = op->call->err;
        l->last = true;
        op->step = CWSI_LOGS_SEND;
    } else {
        (void)cwsi_copy_error(&op->err, &op->call->err);
    }
}

/* ================================================================================================
 * >>impl-op-logs
 * The operation behind a log stream.
 *
 *      PRELUDE --> SEND --> READ --end, or a failure for good--> done
 *                   ^        |
 *                   `-SLEEP<-'  lost, or asked to come again
 * ============================================================================================= */

/* Does something wait to be taken? Then nothing more is fetched. */
static bool cwsi_logs_wait(cwsi_logs *l)
{
    cws_stream *s = &l->stream;
    bool marked = s->marked;
    if (s->on_item) return s->op.paused;
    cwsi_stream_unmark(s);
    s->waits = cwsi_logs_next(l) > 0;
    s->marked = marked;
    if (marked) s->text.at[s->at] = '\0';
    return s->waits;
}

/* Follow one connection. READY: the stream is over, or goes on with another step. */
static cwsi_turn cwsi_logs_read(cwsi_logs *l, int64_t now)
{
    cws_op *op = &l->stream.op;
    cwsi_str message;
    while (!op->err.status && op->step == CWSI_LOGS_READ) {
        if (!cwsi_stream_deliver(&l->stream)) break;
        op->call->held = cwsi_logs_wait(l);
        if (op->call->held && (l->over || l->stopped)) return CWSI_PENDING;
        if (l->over) break;
        if (l->stopped) cwsi_logs_stop(l, now);
        else if (cwsi_call_run(op->call, now) == CWSI_PENDING) return CWSI_PENDING;
        else if (cwsi_call_message(op->call, &message)) (void)cwsi_logs_message(l, message);
        else cwsi_logs_over(l, now);
    }
    return CWSI_READY;
}

/* Ask for the logs: as the caller wants them, behind what came, or from where nothing came. */
static bool cwsi_logs_send(cwsi_logs *l)
{
    cws_op *op = &l->stream.op;
    cwsi_logs_request r = l->request;
    r.sandbox_id = cwsi_str_of(op->sandbox->id);
    l->resumed = l->resuming = l->session_id[0] != '\0';
    if (l->resumed) r.timestamps = false; /* the service refuses these beside a session */
    if (l->resumed && !l->last) {
        r.session_id = cwsi_str_of(l->session_id);
        r.offset = l->offset;
    }
    r.follow = r.follow && !l->last;
    if (l->resumed || l->delivered) r.tail_lines = 0;
    if (l->resumed) r.since_ms = 0;
    else if (l->delivered) r.since_ms = l->since_ms;
    if (!op->client->dialect->logs_begin(op, &r, op->deadline_ms)) return false;
    if (r.follow) op->call->budget_ms = 0; /* attempts are counted here */
    return true;
}

/* A sandbox that has ended may still have logs, but nothing to follow. */
static cwsi_turn cwsi_logs_prelude(cwsi_logs *l)
{
    cws_op *op = &l->stream.op;
    cws_sandbox *sb = op->sandbox;
    bool ended = sb->id[0] && (sb->phase == CWSI_STOPPING || sb->phase == CWSI_TERMINAL);
    if (!ended || op->child) return cwsi_prelude(op);
    if (l->request.follow)
        (void)cwsi_fail(&op->err, CWS_ERR_NOT_RUNNING,
                        "Logs: sandbox '%s' is terminating or has ended (%s): nothing to follow",
                        sb->id, cws_state_name(sb->info.state));
    return CWSI_READY;
}

static cwsi_turn cwsi_logs_run(cws_op *op, int64_t now)
{
    cwsi_logs *l = cwsi_logs_of(op);
    for (;;) {
        switch (op->step) {
        case CWSI_LOGS_PRELUDE:
            if (cwsi_logs_prelude(l) == CWSI_PENDING) return CWSI_PENDING;
            if (op->err.status) return CWSI_READY;
            op->deadline_ms = cwsi_after(now, l->timeout_ms);
            op->step = CWSI_LOGS_SEND;
            break;
        case CWSI_LOGS_SEND:
            if (!cwsi_logs_send(l)) return CWSI_READY;
            op->step = CWSI_LOGS_READ;
            break;
        case CWSI_LOGS_READ:
            if (cwsi_logs_read(l, now) == CWSI_PENDING) return CWSI_PENDING;
            if (op->err.status || op->step == CWSI_LOGS_READ) return CWSI_READY;
            break;
        case CWSI_LOGS_SLEEP:
            cwsi_op_wake_at(op, l->resume_at);
            if (now < l->resume_at) return CWSI_PENDING;
            op->step = CWSI_LOGS_SEND;
            break;
        }
    }
}

static bool cwsi_logs_expire(cws_op *op)
{
    (void)cwsi_fail(&op->err, CWS_ERR_REQUEST_TIMEOUT, "Logs timed out after %lld ms",
                    CWSI_CAST(long long, cwsi_logs_of(op)->timeout_ms));
    op->err.retryable = true;
    return true;
}

static const cwsi_op_kind *cwsi_logs_kind(void)
{
    static const char *const steps[] = {CWSI_LOGS_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Logs", steps, cwsi_logs_run, cwsi_logs_expire, NULL,
                                      cwsi_logs_destroy};
    return &kind;
}

/* Fill a new stream from checked options. False: out of memory. */
static bool cwsi_logs_fill(cwsi_logs *l, const cws_logs_opts *o)
{
    cws_stream *s = &l->stream;
    cwsi_mem *mem = &s->op.client->mem;
    cwsi_logs_request *r = &l->request;
    bool ok = true;
    cwsi_arena_init(&s->arena, mem);
    cwsi_buf_init(&s->text, mem, SIZE_MAX / 2);
    cwsi_buf_init(&s->held, mem, SIZE_MAX / 2);
    s->take = cwsi_logs_take;
    s->on_item = o->on_item;
    s->user = o->user;
    r->follow = o->follow;
    r->timestamps = o->timestamps;
    r->tail_lines = CWSI_CAST(int32_t, o->tail_lines);
    r->since_ms = o->since_unix_ms;
    r->container = cwsi_str_of(cwsi_keep(&s->arena, o->container, &ok));
    if (o->resume_session_id)
        cwsi_take_text(l->session_id, sizeof(l->session_id), cwsi_str_of(o->resume_session_id));
    l->offset = o->resume_offset;
    l->raw = o->raw;
    l->split = o->long_lines == CWS_LONG_LINES_SPLIT ||
               (o->long_lines == CWS_LONG_LINES_DEFAULT && s->op.client->dialect->split_lines);
    l->max_line = CWSI_LINE_MAX;
    if (o->max_line_bytes)
        l->max_line = o->max_line_bytes < SIZE_MAX / 4 ? CWSI_CAST(size_t, o->max_line_bytes)
                                                       : SIZE_MAX / 4;
    l->attempts_most = o->max_attempts ? o->max_attempts : CWSI_LOG_ATTEMPTS;
    return ok;
}

/* ================================================================================================
 * >>impl-bridge
 * Files that are too large for one message, or of unknown size, go through commands in the
 * container. A bridge is a child process whose input or output the operation on the file moves. The
 * path is an argument of the script, never a part of it.
 *
 * Exit codes of the scripts: 2: no such file; 3: it is a directory; 4: it is none; else: stderr
 * says what happened.
 * ============================================================================================= */

typedef enum cwsi_file_kind_id {
    CWSI_READ_FILE,
    CWSI_WRITE_FILE,
    CWSI_UPLOAD,
    CWSI_DOWNLOAD,
    CWSI_UPLOAD_TREE,
    CWSI_DOWNLOAD_TREE,
    CWSI_FILE_KIND_COUNT
} cwsi_file_kind_id;

typedef struct cwsi_tree cwsi_tree;

typedef struct cwsi_file {
    cws_stream stream; /* items of a download */
    cwsi_file_kind_id kind;
    const char *path, *container;
    bool atomic;
    bool committed;  /* the bridge that is under way puts the file in its place */
    char token[40];  /* names the file beside */
    int64_t timeout_ms, until;
    /* what is written */
    cwsi_buf content; /* a whole file */
    const char *data; /* memory, or NULL: source */
    cws_source_fn source;
    void *source_user;
    uint64_t size;    /* of all, if known: of what is written, or of the file that is read */
    bool sized, fed;  /* fed: the source has ended */
    uint64_t done;
    cws_progress_fn on_progress;
    int64_t began_ms, told_ms;
    void *user;
    cws_bytes *bytes; /* a whole file that is read: allocated from the start */
    cwsi_tree *tree;  /* a directory instead of a file */
} cwsi_file;

static bool cwsi_is_writing(const cwsi_file *f)
{
    return f->kind == CWSI_WRITE_FILE || f->kind == CWSI_UPLOAD || f->kind == CWSI_UPLOAD_TREE;
}

/* Each script has the path as $1, and makes it one that nothing takes for an option. */
#define CWSI_SCRIPT_PATH "case $1 in /*) p=$1;; *) p=./$1;; esac\n"

static const char *cwsi_script_read(void)
{
    return CWSI_SCRIPT_PATH
        "[ -e \"$p\" ] || { echo \"File not found: $p\" >&2; exit 2; }\n"
        "[ ! -d \"$p\" ] || { echo \"Path is a directory: $p\" >&2; exit 3; }\n"
        "cat <\"$p\" || exit 1\n";
}

/* $2: size or nothing, $3: a name beside or nothing, $4: "commit" if the bytes are there already. A
 * file beside takes the mode of the one it replaces; a link leads to what is replaced. Without a
 * size a file beside stays for the commit. */
static const char *cwsi_script_write(void)
{
    return CWSI_SCRIPT_PATH
        "n=$2\n"
        "[ ! -L \"$p\" ] || p=$(readlink -f -- \"$p\") || exit 1\n"
        "t=$p d=${p%/*}\n"
        "[ -n \"$d\" ] || d=/\n"
        "[ ! -d \"$p\" ] || { echo \"Path is a directory: $p\" >&2; exit 3; }\n"
        "[ -d \"$d\" ] || { echo \"File not found: no directory $d\" >&2; exit 2; }\n"
        "stop() { [ \"$t\" = \"$p\" ] || rm -f -- \"$t\"; echo \"$1\" >&2; exit 1; }\n"
        "if [ -n \"$3\" ]; then\n"
        "    [ ! -e \"$p\" ] || [ -f \"$p\" ] || stop \"$p: no regular file: write it directly\"\n"
        "    t=$d/.cwsandbox-$3\n"
        "fi\n"
        "trap 'stop interrupted' HUP INT TERM\n"
        "[ \"$4\" = commit ] || cat >\"$t\" || stop \"$p: could not be written\"\n"
        "if [ -n \"$n\" ] && [ -f \"$t\" ]; then\n"
        "    [ $(wc -c <\"$t\") -eq \"$n\" ] || stop \"$p: not all of $n bytes arrived\"\n"
        "fi\n"
        "[ \"$t\" != \"$p\" ] && [ -n \"$n\" ] || exit 0\n"
        "m=$(stat -c %a -- \"$p\" 2>/dev/null) && chmod -- \"$m\" \"$t\"\n"
        "mv -f -- \"$t\" \"$p\" || stop \"$p: could not be replaced\"\n";
}

/* What tar leaves unread is read, so that the command ends when its input does. */
static const char *cwsi_script_write_tree(void)
{
    return CWSI_SCRIPT_PATH
        "[ ! -e \"$p\" ] || [ -d \"$p\" ] ||\n"
        "    { echo \"Path is not a directory: $p\" >&2; exit 4; }\n"
        "mkdir -p -- \"$p\" && cd -- \"$p\" || exit 1\n"
        "tar -xof - || exit 1\n"
        "cat >/dev/null\n";
}

static const char *cwsi_script_read_tree(void)
{
    return CWSI_SCRIPT_PATH
        "[ -e \"$p\" ] || { echo \"File not found: $p\" >&2; exit 2; }\n"
        "[ -d \"$p\" ] || { echo \"Path is not a directory: $p\" >&2; exit 4; }\n"
        "cd -- \"$p\" && tar -cf - . || exit 1\n";
}

static const char *cwsi_script_stat(void)
{
    return CWSI_SCRIPT_PATH "stat -L -c %s -- \"$p\" 2>/dev/null\n";
}

static cws_process *cwsi_bridge(const cwsi_file *f)
{
    return CWSI_AS(cws_process, f->stream.op.child);
}

/* Begin a command as the operation's child. It is no exec in any statistic. */
static bool cwsi_bridge_begin(cwsi_file *f, const char *script, const char *const *args,
                              int64_t timeout_ms, bool with_stdin)
{
    cws_op *op = &f->stream.op;
    const char *argv[10] = {"/bin/sh", "-c", NULL};
    cws_exec_opts o = CWSI_ZERO;
    cws_process *p;
    size_t n;
    bool ok;
    argv[2] = script;
    for (n = 3; args[n - 3]; n++) argv[n] = args[n - 3];
    o.container = f->container;
    o.with_stdin = with_stdin;
    if (!cwsi_has_duplex(op->client))
        return cwsi_no(cwsi_exec_no_duplex(op->client, op->kind->name, &op->err));
    p = cwsi_process_new(op->sandbox, false, timeout_ms > 1 ? timeout_ms : 1);
    ok = p && cwsi_exec_fill(p, argv, &o);
    if (!ok) {
        cws_process_free(p);
        return cwsi_no(cwsi_op_fail_no_memory(op));
    }
    p->result->out.max = CWSI_FILE_AHEAD;
    p->result->err.max = CWSI_FILE_STDERR;
    p->throttle = p->streamed = true;
    p->watcher = op;
    p->op.for_waiters = true;
    (void)cwsi_op_await(op, &p->op);
    cwsi_op_unref(&p->op);
    if (!op->sandbox->bridged)
        cwsi_log(op->client, CWS_LOG_INFO, "Files of sandbox '%s' go through StreamExec too",
                 op->sandbox->id);
    op->sandbox->bridged = true;
    return true;
}

/* The bridge that moves the bytes; or, in the end, the one that puts the file in its place. */
static bool cwsi_bridge_open(cwsi_file *f, int64_t now)
{
    const char *args[6] = {NULL};
    char size[24] = "";
    int64_t left = f->until - now;
    args[1] = f->path;
    f->committed = true;
    if (f->tree) {
        bool up = cwsi_is_writing(f);
        args[0] = up ? "cwsandbox-write-directory" : "cwsandbox-read-directory";
        return cwsi_bridge_begin(f, up ? cwsi_script_write_tree() : cwsi_script_read_tree(), args,
                                 left, up);
    }
    if (!cwsi_is_writing(f)) {
        args[0] = "cwsandbox-read-file";
        return cwsi_bridge_begin(f, cwsi_script_read(), args, left, false);
    }
    f->committed = !f->atomic || f->sized;
    if (f->sized) (void)cwsi_format(size, sizeof(size), "%llu",
                                    CWSI_CAST(unsigned long long, f->size));
    args[0] = "cwsandbox-write-file";
    args[2] = size;
    args[3] = f->atomic ? f->token : "";
    if (f->fed) args[4] = "commit";
    return cwsi_bridge_begin(f, cwsi_script_write(), args, left, !f->fed);
}

/* Tell the caller how far it is, now and then. */
static void cwsi_file_tell(cwsi_file *f, int64_t now, bool last)
{
    cws_client *c = f->stream.op.client;
    cws_progress progress = CWSI_ZERO;
    if (!f->on_progress || (!last && now - f->told_ms < CWSI_PROGRESS_MS)) return;
    f->told_ms = now;
    progress.bytes_done = f->done;
    if (cwsi_is_writing(f) && !last) { /* what waits here is not on its way */
        const cws_process *p = cwsi_bridge(f);
        progress.bytes_done -= p->input.len - p->input_at;
    }
    progress.bytes_total = f->sized ? f->size : 0;
    if (now > f->began_ms)
        progress.bytes_per_second = CWSI_CAST(double, f->done) * 1000.0 /
                                    CWSI_CAST(double, now - f->began_ms);
    c->in_callback = true;
    f->on_progress(&progress, f->user);
    c->in_callback = false;
}

/* Ask the source for a piece, into the bridge's input. False: op->err is set. */
static bool cwsi_bridge_fetch(cwsi_file *f, cws_process *p)
{
    cws_op *op = &f->stream.op;
    size_t count = 0, room = CWSI_FILE_PIECE;
    cws_flow flow;
    if (f->data) {
        uint64_t left = f->size - f->done;
        if (left < room) room = CWSI_CAST(size_t, left);
        f->fed = room == 0;
        f->done += room;
        return cwsi_put(&p->input, f->data + (f->done - room), room) ||
               cwsi_no(cwsi_op_fail_no_memory(op));
    }
    if (!cwsi_buf_reserve(&p->input, room)) return cwsi_no(cwsi_op_fail_no_memory(op));
    op->client->in_callback = true;
    flow = f->source(p->input.at + p->input.len, room, &count, f->source_user);
    op->client->in_callback = false;
    if (!cwsi_op_obey(op, flow, "source")) return false;
    if (count > room)
        return cwsi_no(cwsi_fail(&op->err, CWS_ERR_INVALID_ARGUMENT,
                                 "%s: the source gave %zu bytes where %zu fit", op->kind->name,
                                 count, room));
    p->input.len += count;
    f->done += count;
    f->fed = count == 0 && flow == CWS_FLOW_CONTINUE;
    return true;
}

/* Move what is there to be written. False: op->err is set. */
static bool cwsi_bridge_feed(cwsi_file *f)
{
    cws_op *op = &f->stream.op;
    cws_process *p = cwsi_bridge(f);
    while (!f->fed && !op->paused && cwsi_stdin_room(p) >= CWSI_FILE_PIECE) {
        if (p->input.len + CWSI_FILE_PIECE > CWSI_STDIN_QUEUE)
            cwsi_buf_drop(&p->input, &p->input_at);
        if (!cwsi_bridge_fetch(f, p)) return false;
        if (!f->data && f->sized && (f->done > f->size || (f->fed && f->done < f->size)))
            return cwsi_no(cwsi_fail(&op->err, CWS_ERR_INVALID_ARGUMENT,
                                     "%s: the source gave %s than the %llu bytes of `size`",
                                     op->kind->name, f->fed ? "less" : "more",
                                     CWSI_CAST(unsigned long long, f->size)));
        p->eof = f->fed;
        cwsi_op_wake(&p->op);
    }
    return true;
}

/* Error of our own about the file, in the service's terms. */
CWSI_PRINTF(3, 4)
static void cwsi_file_fail(cwsi_file *f, const char *reason, const char *text, ...)
{
    static const char *const calls[] = {"read_file", "write_file",       "upload",
                                        "download",  "upload_directory", "download_directory"};
    cws_error *err = &f->stream.op.err;
    char line[sizeof(err->message)];
    va_list args;
    va_start(args, text);
    (void)cwsi_vformat(line, sizeof(line), text, args);
    va_end(args);
    if (reason[0]) {
        (void)cwsi_format(err->reason, sizeof(err->reason), "CWSANDBOX_%s", reason);
        cwsi_take_text(err->domain, sizeof(err->domain), cwsi_str_of("cwsandbox.com"));
    }
    cwsi_add_detail(err, 'm', cwsi_str_of("filepath"), cwsi_str_of(f->path));
    cwsi_add_detail(err, 'm', cwsi_str_of("operation"), cwsi_str_of(calls[f->kind]));
    (void)cwsi_fail(err, CWS_ERR_FILE, "%s '%.*s': %s", f->stream.op.kind->name, 100, f->path,
                    line);
}

static void cwsi_file_add_number(cwsi_file *f, const char *key, uint64_t value)
{
    char text[24];
    size_t n = cwsi_format(text, sizeof(text), "%llu", CWSI_CAST(unsigned long long, value));
    cwsi_str digits = cwsi_str_of(text);
    digits.len = n;
    cwsi_add_detail(&f->stream.op.err, 'm', cwsi_str_of(key), digits);
}

/* What has become of the file that was not written whole? */
static const char *cwsi_file_fate(const cwsi_file *f)
{
    if (!f->atomic) return "; the target may be partial or truncated";
    return f->fed ? "; the target is the old file, or whole" : "; the target is as it was";
}

/* The bridge ended with a code other than 0. */
static void cwsi_bridge_exited(cwsi_file *f, const cws_process *p)
{
    const cwsi_output *e = &p->result->err;
    size_t n = e->buf.len;
    const char *reason = p->exit_code == 2   ? "FILE_NOT_FOUND"
                         : p->exit_code == 3 ? "FILE_IS_DIRECTORY"
                                             : "FILE_IO_FAILED";
    const char *fate = "";
    if (cwsi_is_writing(f) && p->exit_code != 2 && p->exit_code != 3) {
        fate = cwsi_file_fate(f);
        reason = "";
    }
    while (n && (e->buf.at[n - 1] == '\n' || e->buf.at[n - 1] == ' ')) n--;
    if (n > 160) n = 160;
    if (n) cwsi_file_fail(f, reason, "%.*s%s", CWSI_CAST(int, n), e->buf.at, fate);
    else cwsi_file_fail(f, reason, "the command ended with exit code %d%s", p->exit_code, fate);
}

static bool cwsi_file_expire(cws_op *op)
{
    cwsi_file *f = CWSI_AS(cwsi_file, op);
    (void)cwsi_fail(&op->err, CWS_ERR_REQUEST_TIMEOUT, "%s '%.*s' timed out after %lld ms%s",
                    op->kind->name, 100, f->path, CWSI_CAST(long long, f->timeout_ms),
                    cwsi_is_writing(f) ? cwsi_file_fate(f) : "");
    op->err.retryable = true;
    return true;
}

/* Failures that are not about the file, and keep their status. */
static bool cwsi_bridge_is_plain(cws_status status)
{
    return status == CWS_ERR_STREAM_BACKPRESSURE || status == CWS_ERR_STREAM_TRUNCATED ||
           status == CWS_ERR_NO_MEMORY || status == CWS_ERR_UNSUPPORTED ||
           status == CWS_ERR_AUTHENTICATION || status == CWS_ERR_NOT_FOUND ||
           status == CWS_ERR_NOT_RUNNING || status == CWS_ERR_CANCELLED;
}

/* The bridge itself failed. */
static void cwsi_bridge_failed(cwsi_file *f, const cws_process *p)
{
    cws_error *err = &f->stream.op.err;
    cws_status status = p->op.err.status;
    bool writing = cwsi_is_writing(f);
    const char *fate = writing ? cwsi_file_fate(f) : "";
    *err = p->op.err; /* its codes */
    err->status = CWS_OK;
    if (status == CWS_ERR_TIMEOUT)
        (void)cwsi_fail(err, CWS_ERR_REQUEST_TIMEOUT, "%s '%.*s': %.*s%s", f->stream.op.kind->name,
                        80, f->path, 180, p->op.err.message, fate);
    else if (cwsi_bridge_is_plain(status) ||
             (!writing && !cws_status_is(status, CWS_ERR_EXECUTION)))
        (void)cwsi_fail(err, status, "%.*s%s", 250, p->op.err.message, fate);
    else cwsi_file_fail(f, "", "%.*s%s", 220, p->op.err.message, fate);
}

/* ================================================================================================
 * >>impl-op-file
 * Files: whole, by one message or a bridge; uploads and downloads, by a bridge only.
 *
 *      PRELUDE --whole--> UNARY --done, or for good--> done
 *         |                 `--too large--> OPEN
 *         |--upload--> OPEN --> MOVE --> done        (atomic, size unknown: MOVE --> OPEN --> MOVE)
 *         `--download--> PROBE --> OPEN
 * ============================================================================================= */

#define CWSI_FILE_STEPS(X) X(PRELUDE) X(CHOOSE) X(UNARY) X(PROBE) X(OPEN) X(MOVE)
#define CWSI_AS_FILE_STEP(name) CWSI_FILE_##name,
enum { CWSI_FILE_STEPS(CWSI_AS_FILE_STEP) CWSI_FILE_STEP_COUNT };

static void cwsi_tree_free(cwsi_file *f);

static void cwsi_file_destroy(cws_op *op)
{
    cwsi_file *f = CWSI_AS(cwsi_file, op);
    cws_bytes_free(f->bytes);
    cwsi_buf_free(&f->content);
    cwsi_tree_free(f);
    cwsi_stream_clear(&f->stream);
}

/* The pieces of a download are the bridge's output, without a copy. */
static bool cwsi_file_take(cws_stream *s, cws_item *item)
{
    cwsi_file *f = CWSI_AS(cwsi_file, s);
    cws_process *p = s->op.done || s->op.step != CWSI_FILE_MOVE ? NULL : cwsi_bridge(f);
    memset(item, 0, sizeof(*item));
    cwsi_stream_unmark(s);
    if (s->at == s->text.len && p && p->result->out.buf.len) {
        cwsi_buf taken = s->text;
        s->text = p->result->out.buf;
        p->result->out.buf = taken;
        p->result->out.buf.len = s->at = 0;
        cwsi_op_wake(&p->op); /* it has room again */
    }
    if (s->at == s->text.len) return false;
    item->session_id = "";
    item->offset = f->done;
    f->done += s->text.len - s->at;
    cwsi_stream_cut(s, s->text.len - s->at, item);
    return true;
}

/* The unary reply to a read is the result: no copy, and the byte behind it may become a NUL, since
 * the message is not read any more. */
static void cwsi_file_keep(cwsi_file *f, cwsi_str content)
{
    cwsi_call *call = f->stream.op.call;
    if (content.len == 0) return;
    f->bytes->buf = call->in;
    cwsi_buf_init(&call->in, &f->stream.op.client->mem, 0);
    f->bytes->at = content.at;
    f->bytes->len = content.len;
    f->bytes->buf.at[CWSI_CAST(size_t, content.at - f->bytes->buf.at) + content.len] = '\0';
}

static bool cwsi_file_number(const cws_error *err, const char *key, uint64_t *out)
{
    const char *text = cws_error_metadata(err, key);
    return text && cwsi_parse_u64(text, strlen(text), out);
}

/* Does the failure of the unary call say that the file is too large for it? */
static bool cwsi_file_too_large(cwsi_file *f)
{
    cws_op *op = &f->stream.op;
    cws_error *err = &op->err;
    uint64_t number;
    if (!cwsi_has_duplex(op->client)) return false;
    if (err->status == CWS_ERR_FILE && strcmp(err->reason, "CWSANDBOX_FILE_TOO_LARGE") == 0) {
        if (cwsi_file_number(err, "max_size_bytes", &number) && number)
            op->sandbox->file_cap = number;
        if (cwsi_is_writing(f)) return true;
        if (!cwsi_file_number(err, "size_bytes", &number) || number > CWSI_FILE_MAX) return false;
        f->sized = true;
        f->size = number;
        return true;
    }
    if (err->status != CWS_ERR_RESOURCE_EXHAUSTED || op->call->end != CWS_END_OK)
        return false; /* it is not the service that says so */
    if (!cwsi_is_writing(f)) return true;
    return cwsi_contains_nocase(err->message, "max-file-operation-bytes") ||
           (cwsi_contains_nocase(err->message, "message") &&
            cwsi_contains_nocase(err->message, "larger than max"));
}

/* The unary call is over: done, failed, or to be tried by a bridge (op->step is changed). */
static void cwsi_file_replied(cwsi_file *f)
{
    cws_op *op = &f->stream.op;
    cwsi_arena arena;
    void *reply;
    cwsi_arena_init(&arena, &op->client->mem);
    if (cwsi_call_reply(op, &arena, &reply)) {
        if (!cwsi_is_writing(f)) cwsi_file_keep(f, op->client->dialect->read_content(reply));
    } else if (cwsi_file_too_large(f)) {
        cwsi_log(op->client, CWS_LOG_DEBUG, "%s; through a command then", op->err.message);
        cwsi_error_clear(&op->err);
        op->step = CWSI_FILE_OPEN;
    }
    cwsi_arena_clear(&arena);
}

static bool cwsi_file_send(cwsi_file *f)
{
    cws_op *op = &f->stream.op;
    const cwsi_dialect *dialect = op->client->dialect;
    cwsi_file_request r = CWSI_ZERO;
    r.sandbox_id = cwsi_str_of(op->sandbox->id);
    r.path = cwsi_str_of(f->path);
    r.container = cwsi_str_of(f->container);
    r.content.at = f->content.at;
    r.content.len = f->content.len;
    r.timeout_ms = f->timeout_ms;
    return cwsi_is_writing(f) ? dialect->write_begin(op, &r, f->until)
                              : dialect->read_begin(op, &r, f->until);
}

/* Running: how does this file go? */
static void cwsi_file_choose(cwsi_file *f, int64_t now)
{
    cws_op *op = &f->stream.op;
    uint64_t cap = op->sandbox->file_cap ? op->sandbox->file_cap : CWSI_FILE_CAP;
    if (cap > CWSI_FILE_CAP_MAX) cap = CWSI_FILE_CAP_MAX;
    f->began_ms = f->told_ms = now;
    f->until = cwsi_after(now, f->timeout_ms);
    /* bridges have the same; this one is for what waits to be taken */
    op->deadline_ms = cwsi_after(f->until, CWSI_CLIENT_BUFFER_MS);
    switch (f->kind) {
    case CWSI_READ_FILE:
    case CWSI_WRITE_FILE:
        op->step = f->content.len > cap ? CWSI_FILE_OPEN : CWSI_FILE_UNARY;
        if (op->step == CWSI_FILE_UNARY) (void)cwsi_file_send(f);
        break;
    case CWSI_DOWNLOAD: op->step = CWSI_FILE_PROBE; break;
    case CWSI_UPLOAD:
    case CWSI_UPLOAD_TREE:
    case CWSI_DOWNLOAD_TREE:
    case CWSI_FILE_KIND_COUNT: op->step = CWSI_FILE_OPEN; break;
    }
}

/* The size of what is to be downloaded, if it can be told. */
static cwsi_turn cwsi_file_probe(cwsi_file *f, int64_t now)
{
    cws_op *op = &f->stream.op;
    const char *args[3] = {"cwsandbox-stat", NULL, NULL};
    int64_t left = f->until - now;
    cwsi_str text;
    if (!op->child) {
        args[1] = f->path;
        if (left > CWSI_FILE_STAT_MS) left = CWSI_FILE_STAT_MS;
        if (!cwsi_bridge_begin(f, cwsi_script_stat(), args, left, false)) return CWSI_READY;
    }
    if (!op->child->done) return CWSI_PENDING;
    text.at = cwsi_bridge(f)->result->out.buf.at;
    text.len = cwsi_bridge(f)->result->out.buf.len;
    while (text.len && text.at[text.len - 1] == '\n') text.len--;
    f->sized = op->child->err.status == CWS_OK && cwsi_bridge(f)->exit_code == 0 &&
               cwsi_parse_u64(text.at, text.len, &f->size);
    cwsi_op_leave(op);
    op->step = CWSI_FILE_OPEN;
    return CWSI_READY;
}

/* The whole file is there, if it is. */
static void cwsi_file_whole(cwsi_file *f, cws_process *p)
{
    cwsi_output *o = &p->result->out;
    uint64_t floor = f->kind == CWSI_DOWNLOAD ? CWSI_FILE_CHECKED : 1;
    if (f->kind == CWSI_READ_FILE) {
        f->done = o->buf.len;
        f->bytes->buf = o->buf;
        f->bytes->at = o->buf.len ? o->buf.at : NULL;
        f->bytes->len = o->buf.len;
        cwsi_buf_init(&o->buf, &f->stream.op.client->mem, 0);
    }
    if (f->tree || !f->sized || f->size < floor || f->done >= f->size) return;
    cwsi_file_add_number(f, "size_bytes", f->size);
    cwsi_file_add_number(f, "bytes_delivered", f->done);
    cwsi_file_fail(f, "FILE_TRUNCATED", "truncated: %llu of %llu bytes arrived",
                   CWSI_CAST(unsigned long long, f->done), CWSI_CAST(unsigned long long, f->size));
}

static void cwsi_tree_end(cwsi_file *f);

/* The bridge has ended: done, failed, or one thing is left to do (op->step is changed). */
static void cwsi_file_moved(cwsi_file *f, int64_t now)
{
    cws_op *op = &f->stream.op;
    cws_process *p = cwsi_bridge(f);
    if (p->op.err.status) {
        cwsi_bridge_failed(f, p);
    } else if (p->exit_code) {
        cwsi_bridge_exited(f, p);
    } else if (cwsi_is_writing(f) && p->with_stdin && !p->fin_sent) {
        cwsi_file_fail(f, "", "the command ended before it had all bytes%s", cwsi_file_fate(f));
    } else if (cwsi_is_writing(f) && !f->committed) {
        f->sized = true;
        f->size = f->done;
        op->step = CWSI_FILE_OPEN;
    } else if (!cwsi_is_writing(f)) {
        cwsi_file_whole(f, p);
        if (f->tree) cwsi_tree_end(f);
    }
    if (!op->err.status && op->step == CWSI_FILE_MOVE) cwsi_file_tell(f, now, true);
    if (op->step != CWSI_FILE_MOVE) cwsi_op_leave(op);
}

/* Move bytes in either direction. READY: the bridge has ended, or the operation has. */
static cwsi_turn cwsi_file_move(cwsi_file *f, int64_t now)
{
    cws_process *p = cwsi_bridge(f);
    if (cwsi_is_writing(f)) {
        if (!p->op.done && !cwsi_bridge_feed(f)) return CWSI_READY;
    } else if (f->kind != CWSI_READ_FILE) {
        if (!cwsi_stream_deliver(&f->stream)) return CWSI_READY;
        f->stream.waits = p->result->out.buf.len || f->stream.op.paused;
        if (f->stream.waits) return CWSI_PENDING;
    } else if (p->result->out.buf.len > CWSI_FILE_MAX) {
        cwsi_file_fail(f, "FILE_TOO_LARGE", "larger than 256 MiB: use cws_download");
        return CWSI_READY;
    }
    if (!p->op.done) {
        cwsi_file_tell(f, now, false);
        return CWSI_PENDING;
    }
    cwsi_file_moved(f, now);
    return CWSI_READY;
}

static cwsi_turn cwsi_file_step(cwsi_file *f, int64_t now)
{
    cws_op *op = &f->stream.op;
    for (;;) {
        if (op->err.status) return CWSI_READY;
        switch (op->step) {
        case CWSI_FILE_PRELUDE:
            if (cwsi_prelude(op) == CWSI_PENDING) return CWSI_PENDING;
            op->step = CWSI_FILE_CHOOSE;
            break;
        case CWSI_FILE_CHOOSE: cwsi_file_choose(f, now); break;
        case CWSI_FILE_UNARY:
            if (cwsi_call_run(op->call, now) == CWSI_PENDING) return CWSI_PENDING;
            cwsi_file_replied(f);
            if (op->step == CWSI_FILE_UNARY) return CWSI_READY;
            break;
        case CWSI_FILE_PROBE:
            if (cwsi_file_probe(f, now) == CWSI_PENDING) return CWSI_PENDING;
            break;
        case CWSI_FILE_OPEN:
            if (!cwsi_bridge_open(f, now)) return CWSI_READY;
            if (f->kind == CWSI_READ_FILE) cwsi_bridge(f)->result->out.max = CWSI_FILE_MAX + 1u;
            op->step = CWSI_FILE_MOVE;
            break;
        case CWSI_FILE_MOVE:
            if (cwsi_file_move(f, now) == CWSI_PENDING) return CWSI_PENDING;
            if (op->step == CWSI_FILE_MOVE) return CWSI_READY;
            break;
        }
    }
}

static cwsi_turn cwsi_file_run(cws_op *op, int64_t now)
{
    cwsi_file *f = CWSI_AS(cwsi_file, op);
    cwsi_turn turn = cwsi_file_step(f, now);
    if (turn == CWSI_READY && op->err.status && !op->err.filepath[0])
        cwsi_copy_text(op->err.filepath, sizeof(op->err.filepath), f->path, strlen(f->path));
    return turn;
}

static const cwsi_op_kind *cwsi_file_kind(cwsi_file_kind_id id)
{
    static const char *const steps[] = {CWSI_FILE_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kinds[CWSI_FILE_KIND_COUNT] = {
        {"Read file", steps, cwsi_file_run, cwsi_file_expire, NULL, cwsi_file_destroy},
        {"Write file", steps, cwsi_file_run, cwsi_file_expire, NULL, cwsi_file_destroy},
        {"Upload", steps, cwsi_file_run, cwsi_file_expire, NULL, cwsi_file_destroy},
        {"Download", steps, cwsi_file_run, cwsi_file_expire, NULL, cwsi_file_destroy},
        {"Upload directory", steps, cwsi_file_run, cwsi_file_expire, NULL, cwsi_file_destroy},
        {"Download directory", steps, cwsi_file_run, cwsi_file_expire, NULL, cwsi_file_destroy}};
    return &kinds[id];
}

/* ================================================================================================
 * >>impl-tar
 * The headers of a tar archive: ustar as in POSIX.1-1988, with GNU's long names (type L) and large
 * sizes, which all tars in use read; and pax (type x) when reading.
 * ============================================================================================= */

#if CWSI_HAS_TREES

#define CWSI_TAR_BLOCK 512u
#define CWSI_TAR_TEXT_MAX 65536u /* of a long name or a pax header */

typedef struct cwsi_tar_entry {
    char type;    /* '0' file, '5' directory, else see POSIX */
    uint32_t mode;
    uint64_t size;
    cwsi_str name; /* borrowed */
} cwsi_tar_entry;

static size_t cwsi_tar_padding(uint64_t size)
{
    return CWSI_CAST(size_t, (CWSI_TAR_BLOCK - size % CWSI_TAR_BLOCK) % CWSI_TAR_BLOCK);
}

static uint64_t cwsi_tar_sum(const unsigned char *block)
{
    uint64_t sum = 8 * ' '; /* the sum's own field counts as spaces */
    size_t i;
    for (i = 0; i < CWSI_TAR_BLOCK; i++)
        if (i < 148 || i >= 156) sum += block[i];
    return sum;
}

/* A number as octal digits; or, if it has too many, with the top bit set, base 256. */
static void cwsi_tar_put_number(unsigned char *field, size_t width, uint64_t value)
{
    size_t i = width - 1;
    if (value >> (3 * (width - 1)) == 0) {
        for (field[i] = 0; i-- > 0; value >>= 3)
            field[i] = CWSI_CAST(unsigned char, '0' + value % 8);
        return;
    }
    for (i = width; i-- > 0; value >>= 8) field[i] = CWSI_CAST(unsigned char, value & 0xff);
    field[0] = 0x80;
}

/* One header block. */
static bool cwsi_tar_put_block(cwsi_buf *out, const cwsi_tar_entry *e)
{
    unsigned char block[CWSI_TAR_BLOCK] = {0};
    memcpy(block, e->name.at, e->name.len < 100 ? e->name.len : 100);
    cwsi_tar_put_number(block + 100, 8, e->mode);
    cwsi_tar_put_number(block + 108, 8, 0);
    cwsi_tar_put_number(block + 116, 8, 0);
    cwsi_tar_put_number(block + 124, 12, e->size);
    cwsi_tar_put_number(block + 136, 12, 0);
    block[156] = CWSI_CAST(unsigned char, e->type);
    memcpy(block + 257, "ustar\0" "00", 8);
    cwsi_tar_put_number(block + 148, 7, cwsi_tar_sum(block));
    block[155] = ' ';
    return cwsi_put(out, block, sizeof(block));
}

/* The header of an entry, and before it that of its long name. */
static bool cwsi_tar_put(cwsi_buf *out, const cwsi_tar_entry *e)
{
    static const char zeros[CWSI_TAR_BLOCK] = {0};
    cwsi_tar_entry name = CWSI_ZERO;
    if (e->name.len > 100) {
        name.type = 'L';
        name.size = e->name.len + 1;
        name.name = cwsi_str_of("././@LongLink");
        (void)cwsi_tar_put_block(out, &name);
        (void)cwsi_put(out, e->name.at, e->name.len);
        (void)cwsi_put(out, zeros, 1 + cwsi_tar_padding(name.size));
    }
    return cwsi_tar_put_block(out, e);
}

static bool cwsi_tar_read_number(const unsigned char *field, size_t width, uint64_t *value)
{
    size_t i = 0;
    *value = 0;
    if (field[0] & 0x80) {
        for (i = 1; i < width; i++) {
            if (*value >> 55) return false;
            *value = *value << 8 | field[i];
        }
        return field[0] == 0x80;
    }
    while (i < width && field[i] == ' ') i++;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++)
        *value = *value << 3 | CWSI_CAST(uint64_t, field[i] - '0');
    return i == width || field[i] == 0 || field[i] == ' ';
}

/* Read a header block. name has room for 257 bytes. False: it is none. */
static bool cwsi_tar_read(const unsigned char *block, char *name, cwsi_tar_entry *e)
{
    uint64_t sum, mode;
    size_t n = 0, i;
    if (!cwsi_tar_read_number(block + 148, 8, &sum) || sum != cwsi_tar_sum(block) ||
        !cwsi_tar_read_number(block + 100, 8, &mode) ||
        !cwsi_tar_read_number(block + 124, 12, &e->size) || e->size > UINT64_MAX / 4)
        return false;
    if (memcmp(block + 257, "ustar\0", 6) == 0 && block[345]) { /* not GNU's "ustar " */
        for (i = 0; i < 155 && block[345 + i]; i++) name[n++] = CWSI_CAST(char, block[345 + i]);
        name[n++] = '/';
    }
    for (i = 0; i < 100 && block[i]; i++) name[n++] = CWSI_CAST(char, block[i]);
    e->name.at = name;
    e->name.len = n;
    e->mode = CWSI_CAST(uint32_t, mode & 0777);
    e->type = CWSI_CAST(char, block[156] ? block[156] : '0');
    if (e->type == '7') e->type = '0'; /* contiguous: a file like others */
    if (e->type == '0' && n && name[n - 1] == '/') e->type = '5';
    return true;
}

/* The value of a record "LENGTH KEY=VALUE\n" of a pax header. */
static bool cwsi_tar_pax(cwsi_str text, const char *key, cwsi_str *value)
{
    size_t at = 0, n = strlen(key);
    bool found = false;
    while (at < text.len) {
        size_t len = 0, digits = at;
        while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9' &&
               len < CWSI_TAR_TEXT_MAX)
            len = len * 10 + CWSI_CAST(size_t, text.at[digits++] - '0');
        if (digits == text.len || text.at[digits] != ' ' || len > text.len - at ||
            len < digits - at + 3 || text.at[at + len - 1] != '\n')
            return false;
        digits++;
        if (len > digits - at + n + 1 && memcmp(text.at + digits, key, n) == 0 &&
            text.at[digits + n] == '=') {
            value->at = text.at + digits + n + 1;
            value->len = at + len - 1 - (digits + n + 1);
            found = true; /* the last one counts */
        }
        at += len;
    }
    return found;
}

#endif

/* ================================================================================================
 * >>impl-tree
 * A directory of this machine as a tar stream: walked when it goes up, made when it comes down. An
 * archive is hostile: names that lead out of the directory are refused, no link is made or
 * followed, no device is made.
 * ============================================================================================= */

#if CWSI_HAS_TREES

#define CWSI_TREE_DEPTH 64
#define CWSI_TREE_PATH 4096

typedef enum cwsi_tree_part {
    CWSI_TREE_HEADER,
    CWSI_TREE_TEXT,    /* a long name or pax header, in text */
    CWSI_TREE_CONTENT, /* of a file, or skipped */
    CWSI_TREE_PADDING,
    CWSI_TREE_OVER
} cwsi_tree_part;

struct cwsi_tree {
    bool skip;    /* special files are left out */
    int root;     /* descriptor of the directory */
    int file;     /* of the file that is copied; -1: none */
    uint64_t left; /* of its content, or of the part */
    size_t padding;
    /* going up */
    void *dirs[CWSI_TREE_DEPTH]; /* of DIR */
    size_t lens[CWSI_TREE_DEPTH], depth; /* length of path at each level */
    char path[CWSI_TREE_PATH];
    cwsi_buf head; /* headers not handed out from head_at on */
    size_t head_at;
    /* coming down */
    cwsi_tree_part part;
    unsigned char block[CWSI_TAR_BLOCK];
    size_t have;
    char text_type;
    cwsi_buf text;      /* of the part */
    cwsi_buf long_name, long_link; /* for the next entry */
    uint64_t pax_size;
    bool has_pax_size;
    uint32_t mode;
};

/* Something of this machine went wrong. */
static bool cwsi_tree_fail(cwsi_file *f, const char *path, const char *what)
{
    return cwsi_no(cwsi_fail(&f->stream.op.err, CWS_ERR_FILE, "%s '%.*s': here, '%.*s': %s",
                             f->stream.op.kind->name, 80, f->path, 120, path,
                             what ? what : strerror(errno)));
}

static void cwsi_tree_close(int *fd)
{
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
}

static void cwsi_tree_free(cwsi_file *f)
{
    cwsi_tree *t = f->tree;
    if (!t) return;
    while (t->depth) (void)closedir(CWSI_CAST(DIR *, t->dirs[--t->depth]));
    cwsi_tree_close(&t->file);
    cwsi_tree_close(&t->root);
    cwsi_buf_free(&t->head);
    cwsi_buf_free(&t->text);
    cwsi_buf_free(&t->long_name);
    cwsi_buf_free(&t->long_link);
    cwsi_free(&f->stream.op.client->mem, t);
    f->tree = NULL;
}

/* Walk into a directory whose descriptor is given away. */
static bool cwsi_tree_enter(cwsi_file *f, int fd, size_t len)
{
    cwsi_tree *t = f->tree;
    DIR *dir = NULL;
    if (t->depth < CWSI_TREE_DEPTH && fd >= 0) dir = fdopendir(fd);
    if (!dir) {
        const char *what = t->depth >= CWSI_TREE_DEPTH ? "directories are nested too deep" : NULL;
        (void)cwsi_tree_fail(f, t->path, what);
        cwsi_tree_close(&fd);
        return false;
    }
    t->lens[t->depth] = len;
    t->dirs[t->depth++] = dir;
    return true;
}

static bool cwsi_tree_put(cwsi_file *f, char type, size_t len, uint32_t mode, uint64_t size)
{
    cwsi_tar_entry e = CWSI_ZERO;
    e.type = type;
    e.mode = mode & 0777u;
    e.size = size;
    e.name.at = f->tree->path;
    e.name.len = len;
    return cwsi_tar_put(&f->tree->head, &e) || cwsi_no(cwsi_op_fail_no_memory(&f->stream.op));
}

/* One name of the directory at hand: t->path holds it up to len. */
static bool cwsi_tree_visit(cwsi_file *f, int dir, const char *name, size_t len)
{
    cwsi_tree *t = f->tree;
    struct stat st;
    int fd;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) return cwsi_tree_fail(f, t->path, NULL);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        if (t->skip) return true;
        return cwsi_tree_fail(f, t->path, "neither a file nor a directory; see skip_special");
    }
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st)) {
        (void)cwsi_tree_fail(f, t->path, NULL);
        cwsi_tree_close(&fd);
        return false;
    }
    if (S_ISDIR(st.st_mode)) {
        t->path[len] = '/';
        t->path[len + 1] = '\0';
        if (!cwsi_tree_put(f, '5', len + 1, st.st_mode, 0)) {
            cwsi_tree_close(&fd);
            return false;
        }
        return cwsi_tree_enter(f, fd, len + 1);
    }
    t->file = fd;
    t->left = S_ISREG(st.st_mode) && st.st_size > 0 ? CWSI_CAST(uint64_t, st.st_size) : 0;
    t->padding = cwsi_tar_padding(t->left);
    return cwsi_tree_put(f, '0', len, st.st_mode, t->left);
}

/* The next entry, into head; at the end of all, the end of the archive. */
static bool cwsi_tree_next(cwsi_file *f)
{
    cwsi_tree *t = f->tree;
    static const char zeros[2 * CWSI_TAR_BLOCK] = {0};
    t->head.len = t->head_at = 0;
    while (t->depth && t->head.len == 0) {
        DIR *dir = CWSI_CAST(DIR *, t->dirs[t->depth - 1]);
        size_t base = t->lens[t->depth - 1], n;
        const struct dirent *entry;
        t->path[base] = '\0';
        errno = 0;
        entry = readdir(dir);
        if (!entry && errno) return cwsi_tree_fail(f, t->path, NULL);
        if (!entry) {
            (void)closedir(dir);
            t->depth--;
            continue;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        n = strlen(entry->d_name);
        if (n + 2 > sizeof(t->path) - base)
            return cwsi_tree_fail(f, entry->d_name, "the path is too long");
        memcpy(t->path + base, entry->d_name, n + 1);
        if (!cwsi_tree_visit(f, dirfd(dir), entry->d_name, base + n)) return false;
    }
    if (t->head.len == 0 && t->part != CWSI_TREE_OVER) {
        t->part = CWSI_TREE_OVER;
        return cwsi_put(&t->head, zeros, sizeof(zeros)) ||
               cwsi_no(cwsi_op_fail_no_memory(&f->stream.op));
    }
    return true;
}

/* Content of the file at hand, then its padding. */
static bool cwsi_tree_read(cwsi_file *f, char *buffer, size_t size, size_t *count)
{
    cwsi_tree *t = f->tree;
    ssize_t got;
    if (t->left == 0) {
        *count = t->padding < size ? t->padding : size;
        memset(buffer, 0, *count);
        t->padding -= *count;
        if (t->padding == 0) cwsi_tree_close(&t->file);
        return true;
    }
    if (size > t->left) size = CWSI_CAST(size_t, t->left);
    do got = read(t->file, buffer, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) return cwsi_tree_fail(f, t->path, NULL);
    if (got == 0) return cwsi_tree_fail(f, t->path, "became shorter while it was read");
    *count = CWSI_CAST(size_t, got);
    t->left -= CWSI_CAST(uint64_t, got);
    return true;
}

/* The source of an upload: the archive. */
static cws_flow cwsi_tree_source(void *buffer, size_t size, size_t *count, void *user)
{
    cwsi_file *f = CWSI_CAST(cwsi_file *, user);
    cwsi_tree *t = f->tree;
    char *at = CWSI_CAST(char *, buffer);
    *count = 0;
    while (size) {
        size_t n = t->head.len - t->head_at;
        if (n) {
            if (n > size) n = size;
            memcpy(at, t->head.at + t->head_at, n);
            t->head_at += n;
        } else if (t->file >= 0) {
            if (!cwsi_tree_read(f, at, size, &n)) return CWS_FLOW_CANCEL;
        } else {
            if (!cwsi_tree_next(f)) return CWS_FLOW_CANCEL;
            if (t->head.len == 0) break;
        }
        at += n;
        size -= n;
        *count += n;
    }
    return CWS_FLOW_CONTINUE;
}

#endif

/* ================================================================================================
 * >>impl-tree-down
 * The archive of a directory over there, made a directory here.
 * ============================================================================================= */

#if CWSI_HAS_TREES

/* A name of the archive below the directory, without "./" and "/" around it; NULL: it is not. The
 * directory itself is "". */
static char *cwsi_tree_name(char *name)
{
    char *part, *end;
    while (name[0] == '.' && name[1] == '/') {
        name += 2;
        while (*name == '/') name++;
    }
    end = name + strlen(name);
    while (end > name && end[-1] == '/') *--end = '\0';
    if (strcmp(name, ".") == 0) return end;
    if (name[0] == '/') return NULL;
    for (part = name; *part; part += strcspn(part, "/")) {
        while (*part == '/') part++;
        if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0')) return NULL;
    }
    return name;
}

/* The directory that holds the last part of name, made if need be; *last is that part. -1: failed,
 * which errno explains. */
static int cwsi_tree_parent(cwsi_tree *t, char *name, char **last)
{
    int at = t->root, next;
    char *slash;
    while ((slash = strchr(name, '/')) != NULL) {
        *slash = '\0';
        (void)mkdirat(at, name, 0777);
        next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        *slash = '/';
        if (at != t->root) (void)close(at);
        at = next;
        if (at < 0) return -1;
        name = slash + 1;
        while (*name == '/') name++;
    }
    *last = name;
    return at;
}

/* A new file, in the place of an old one. -1: errno says why. */
static int cwsi_tree_create(int parent, const char *name)
{
    (void)unlinkat(parent, name, 0); /* it may be read-only, or a link to elsewhere */
    return openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* A directory, or one that is there. */
static bool cwsi_tree_directory(int parent, const char *name, uint32_t mode)
{
    struct stat st;
    if (mkdirat(parent, name, mode | 0700u) == 0) return true;
    if (errno != EEXIST || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW)) return false;
    if (!S_ISDIR(st.st_mode)) errno = ENOTDIR;
    return S_ISDIR(st.st_mode);
}

/* A file that the archive has already under another name: a copy of it. -1: errno says why. */
static bool cwsi_tree_copy(cwsi_tree *t, char *from, int to)
{
    char *last = NULL, data[4096];
    struct stat st;
    int parent = cwsi_tree_parent(t, from, &last), file = -1;
    ssize_t n = -1;
    if (parent >= 0) file = openat(parent, last, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (parent >= 0 && parent != t->root) (void)close(parent);
    if (file >= 0 && fstat(file, &st) == 0 && S_ISREG(st.st_mode)) {
        while ((n = read(file, data, sizeof(data))) > 0)
            if (write(to, data, CWSI_CAST(size_t, n)) != n) break;
        t->mode = CWSI_CAST(uint32_t, st.st_mode & 0777);
    }
    cwsi_tree_close(&file);
    return n == 0;
}

/* Make what an entry says. link: for type 1, the name it had before. */
static bool cwsi_tree_make(cwsi_file *f, const cwsi_tar_entry *e, char *name, char *link)
{
    cwsi_tree *t = f->tree;
    char *last = NULL, *below = cwsi_tree_name(name);
    bool again = e->type == '1', ok;
    int parent;
    if (again) link = cwsi_tree_name(link);
    if (!below || (again && !link))
        return cwsi_tree_fail(f, name, "the archive leads out of the directory");
    if (e->type != '0' && e->type != '5' && !again)
        return t->skip || cwsi_tree_fail(f, name, "neither a file nor a directory; see "
                                         "skip_special");
    if (!below[0]) return true;
    cwsi_copy_text(t->path, sizeof(t->path), below, strlen(below));
    parent = cwsi_tree_parent(t, below, &last);
    if (parent < 0) return cwsi_tree_fail(f, t->path, NULL);
    t->mode = e->mode;
    if (e->type == '5') {
        ok = cwsi_tree_directory(parent, last, e->mode);
    } else {
        t->file = cwsi_tree_create(parent, last);
        ok = t->file >= 0 && (!again || cwsi_tree_copy(t, link, t->file));
    }
    if (!ok) (void)cwsi_tree_fail(f, t->path, NULL);
    if (!ok && again) (void)unlinkat(parent, last, 0);
    if (parent != t->root) (void)close(parent);
    return ok;
}

/* A header block is there. */
static bool cwsi_tree_header(cwsi_file *f)
{
    cwsi_tree *t = f->tree;
    cwsi_tar_entry e = CWSI_ZERO;
    char name[260], link[101];
    size_t i;
    bool ok;
    for (i = 0; i < CWSI_TAR_BLOCK && t->block[i] == 0; i++) {}
    if (i == CWSI_TAR_BLOCK) {
        t->part = CWSI_TREE_OVER;
        return true;
    }
    memset(name, 0, sizeof(name));
    if (!cwsi_tar_read(t->block, name, &e)) return cwsi_tree_fail(f, "tar", "damaged archive");
    t->text_type = e.type;
    t->part = CWSI_TREE_TEXT;
    t->left = e.size;
    t->padding = cwsi_tar_padding(e.size);
    t->text.len = 0;
    if (e.type == 'L' || e.type == 'x' || e.type == 'g' || e.type == 'K')
        return e.size <= CWSI_TAR_TEXT_MAX || cwsi_tree_fail(f, "tar", "damaged archive");
    t->part = CWSI_TREE_CONTENT;
    if (t->has_pax_size) t->left = t->pax_size;
    if (t->left > UINT64_MAX / 4) return cwsi_tree_fail(f, "tar", "damaged archive");
    t->padding = cwsi_tar_padding(t->left);
    memcpy(link, t->block + 157, 100);
    link[100] = '\0';
    ok = cwsi_tree_make(f, &e, t->long_name.len ? t->long_name.at : name,
                        t->long_link.len ? t->long_link.at : link);
    t->has_pax_size = false;
    t->long_name.len = t->long_link.len = 0;
    return ok;
}

/* Keep a name for the next entry, up to a NUL. */
static bool cwsi_tree_keep_name(cwsi_file *f, cwsi_buf *name, cwsi_str text)
{
    const void *end = text.len ? memchr(text.at, 0, text.len) : NULL;
    if (end) text.len = CWSI_CAST(size_t, CWSI_CAST(const char *, end) - text.at);
    name->len = 0;
    return cwsi_put(name, text.at, text.len) || cwsi_no(cwsi_op_fail_no_memory(&f->stream.op));
}

/* A long name or a pax header is there. */
static bool cwsi_tree_text(cwsi_file *f)
{
    cwsi_tree *t = f->tree;
    cwsi_str text, value;
    text.at = t->text.at ? t->text.at : "";
    text.len = t->text.len;
    if (t->text_type == 'L') return cwsi_tree_keep_name(f, &t->long_name, text);
    if (t->text_type == 'K') return cwsi_tree_keep_name(f, &t->long_link, text);
    if (t->text_type != 'x') return true;
    if (cwsi_tar_pax(text, "size", &value))
        t->has_pax_size = cwsi_parse_u64(value.at, value.len, &t->pax_size);
    if (cwsi_tar_pax(text, "linkpath", &value) && !cwsi_tree_keep_name(f, &t->long_link, value))
        return false;
    return !cwsi_tar_pax(text, "path", &value) || cwsi_tree_keep_name(f, &t->long_name, value);
}

/* Content of the entry at hand. */
static bool cwsi_tree_write(cwsi_file *f, const char *data, size_t size)
{
    cwsi_tree *t = f->tree;
    while (size && t->file >= 0) {
        ssize_t n = write(t->file, data, size);
        if (n < 0 && errno != EINTR) return cwsi_tree_fail(f, t->path, NULL);
        if (n <= 0) continue;
        data += n;
        size -= CWSI_CAST(size_t, n);
    }
    return true;
}

/* A part is whole: what comes next? */
static bool cwsi_tree_part_done(cwsi_file *f)
{
    cwsi_tree *t = f->tree;
    bool ok = true;
    switch (t->part) {
    case CWSI_TREE_HEADER:
        t->have = 0;
        return cwsi_tree_header(f);
    case CWSI_TREE_TEXT: ok = cwsi_tree_text(f); break;
    case CWSI_TREE_CONTENT:
        ok = t->file < 0 || (fchmod(t->file, t->mode) == 0 && close(t->file) == 0);
        t->file = -1;
        if (!ok) (void)cwsi_tree_fail(f, t->path, NULL);
        break;
    case CWSI_TREE_PADDING: t->part = CWSI_TREE_HEADER; return true;
    case CWSI_TREE_OVER: return true;
    }
    t->part = CWSI_TREE_PADDING;
    t->left = t->padding;
    return ok;
}

/* The taker of a download: the archive. */
static cws_flow cwsi_tree_item(const cws_item *item, void *user)
{
    cwsi_file *f = CWSI_CAST(cwsi_file *, user);
    cwsi_tree *t = f->tree;
    const char *at = item->data;
    size_t left = item->size;
    while (t->part != CWSI_TREE_OVER) {
        uint64_t want = t->part == CWSI_TREE_HEADER ? CWSI_TAR_BLOCK - t->have : t->left;
        size_t n = want < left ? CWSI_CAST(size_t, want) : left;
        bool ok = true;
        if (n == 0 && want) break;
        if (t->part == CWSI_TREE_HEADER) {
            memcpy(t->block + t->have, at, n);
            t->have += n;
        } else {
            if (t->part == CWSI_TREE_TEXT && !cwsi_put(&t->text, at, n))
                ok = cwsi_no(cwsi_op_fail_no_memory(&f->stream.op));
            if (t->part == CWSI_TREE_CONTENT) ok = cwsi_tree_write(f, at, n);
            t->left -= n;
        }
        at += n;
        left -= n;
        if (ok && n == want) ok = cwsi_tree_part_done(f);
        if (!ok) return CWS_FLOW_CANCEL;
    }
    return CWS_FLOW_CONTINUE;
}

/* The download has ended: is the archive whole? */
static void cwsi_tree_end(cwsi_file *f)
{
    if (f->tree->part != CWSI_TREE_OVER)
        cwsi_file_fail(f, "FILE_TRUNCATED", "truncated: the archive has no end");
}

/* Open the local directory; going down it is made. False: op->err is set. */
static bool cwsi_tree_open(cwsi_file *f, const char *local, bool skip)
{
    cwsi_mem *mem = &f->stream.op.client->mem;
    cwsi_tree *t = CWSI_NEW(mem, cwsi_tree);
    int walked;
    f->tree = t;
    if (!t) return cwsi_no(cwsi_op_fail_no_memory(&f->stream.op));
    t->skip = skip;
    t->file = -1;
    cwsi_buf_init(&t->head, mem, SIZE_MAX / 2);
    cwsi_buf_init(&t->text, mem, CWSI_TAR_TEXT_MAX);
    cwsi_buf_init(&t->long_name, mem, CWSI_TAR_TEXT_MAX);
    cwsi_buf_init(&t->long_link, mem, CWSI_TAR_TEXT_MAX);
    if (!cwsi_is_writing(f)) (void)mkdir(local, 0777);
    t->root = open(local, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->root < 0)
        return cwsi_no(cwsi_fail(&f->stream.op.err, CWS_ERR_INVALID_ARGUMENT,
                                 "local_path '%.*s': %s", 200, local, strerror(errno)));
    if (!cwsi_is_writing(f)) {
        f->stream.on_item = cwsi_tree_item;
        f->stream.user = f;
        return true;
    }
    f->source = cwsi_tree_source;
    f->source_user = f;
    walked = openat(t->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return cwsi_tree_enter(f, walked, 0);
}

#else /* without POSIX.1-2008 there are no directories */

static void cwsi_tree_free(cwsi_file *f)
{
    (void)f;
}

static void cwsi_tree_end(cwsi_file *f)
{
    (void)f;
}

static bool cwsi_tree_open(cwsi_file *f, const char *local, bool skip)
{
    (void)local;
    (void)skip;
    return cwsi_no(cwsi_fail(&f->stream.op.err, CWS_ERR_UNSUPPORTED,
                             "%s needs POSIX.1-2008: build with _POSIX_C_SOURCE=200809L or a gnu "
                             "dialect of C",
                             f->stream.op.kind->name));
}

#endif

/* ================================================================================================
 * >>impl-op-close
 * Closing a session: all stops run at once; this operation looks at one after the other, and gives
 * up on those that are left when its time is over.
 *
 *      STOP --every stop begun--> WAIT --every stop ended--> done
 * ============================================================================================= */

#define CWSI_CLOSE_STEPS(X) X(STOP) X(WAIT)
#define CWSI_AS_CLOSE_STEP(name) CWSI_CLOSE_##name,
enum { CWSI_CLOSE_STEPS(CWSI_AS_CLOSE_STEP) CWSI_CLOSE_STEP_COUNT };

static void cwsi_unguard(cws_session *s);

typedef struct cwsi_close {
    cws_op op;
    cws_session *session; /* held */
} cwsi_close;

static void cwsi_close_begin_stops(cws_session *s)
{
    cwsi_stop_wish wish = CWSI_ZERO;
    size_t i;
    wish.grace_s = CWSI_CAST(int32_t, CWSI_GRACE_S);
    wish.missing_ok = true;
    for (i = 0; i < s->tracked_len; i++) {
        cwsi_tracked *t = s->tracked[i];
        t->failed = false;
        cwsi_error_clear(&t->why);
        t->stop = cwsi_sandbox_stop_op(t->sandbox, &wish, s->close_timeout_ms);
        if (t->stop) {
            t->stop->refs++;
        } else {
            t->failed = true;
            (void)cwsi_no_memory(&t->why, "Stop sandbox");
        }
    }
}

/* What is still tracked did not stop: note why, count, and say it in one sentence. */
static void cwsi_close_report(cws_session *s, cws_error *err, bool expired)
{
    size_t i, failed = 0;
    const cws_error *first = NULL;
    for (i = s->tracked_len; i > 0; i--) { /* a stop of the user's may have found nothing there */
        cwsi_tracked *t = s->tracked[i - 1];
        if (!t->stop || !t->stop->done || !cwsi_stop_found_nothing(t->stop->err.status)) continue;
        cwsi_sandbox_gone(t->sandbox);
        cwsi_session_forget(t->sandbox);
    }
    for (i = 0; i < s->tracked_len; i++) {
        cwsi_tracked *t = s->tracked[i];
        if (t->stop && t->stop->done) (void)cwsi_copy_error(&t->why, &t->stop->err);
        else if (t->stop && expired)
            (void)cwsi_fail(&t->why, CWS_ERR_TIMEOUT,
                            "Sandbox '%s' did not stop within close_timeout_seconds (state: %s)",
                            t->sandbox->id, cws_state_name(t->sandbox->info.state));
        if (t->stop) cwsi_op_unref(t->stop);
        t->stop = NULL;
        if (!t->why.status) continue;
        t->failed = true;
        failed++;
        if (!first) first = &t->why;
        cwsi_log(s->client, CWS_LOG_WARNING, "close: %s", t->why.message);
    }
    if (!failed) return;
    if (first->status == CWS_ERR_NO_MEMORY) err->retryable = true;
    (void)cwsi_fail(err, CWS_ERR_SANDBOX,
                    "%zu of the session's sandboxes failed to stop and may still be running; "
                    "first: %s",
                    failed, first->message);
}

static cwsi_turn cwsi_close_run(cws_op *op, int64_t now)
{
    cws_session *s = CWSI_AS(cwsi_close, op)->session;
    size_t i;
    for (;;) {
        switch (op->step) {
        case CWSI_CLOSE_STOP:
            if (op->child) { /* a close under way; if it is cancelled, this one takes over */
                if (cwsi_join(op) == CWSI_PENDING) return CWSI_PENDING;
                if (op->err.status != CWS_ERR_CANCELLED) return CWSI_READY;
                cwsi_error_clear(&op->err);
                if (s->close_op) { /* another one took over already */
                    (void)cwsi_op_await(op, s->close_op);
                    return CWSI_PENDING;
                }
                s->close_op = op;
            }
            op->deadline_ms = cwsi_after(now, s->close_timeout_ms);
            cwsi_op_wake_at(op, op->deadline_ms);
            cwsi_close_begin_stops(s);
            op->step = CWSI_CLOSE_WAIT;
            break;
        case CWSI_CLOSE_WAIT:
            for (i = 0; i < s->tracked_len; i++) {
                cws_op *stop = s->tracked[i]->stop;
                if (stop && !cwsi_op_await(op, stop)) return CWSI_PENDING;
            }
            cwsi_op_leave(op);
            cwsi_close_report(s, &op->err, false);
            if (op->err.status) return CWSI_READY;
            cwsi_journal_finish(s);
            cwsi_unguard(s);
            return CWSI_READY;
        }
    }
}

static bool cwsi_close_expire(cws_op *op)
{
    cwsi_close_report(CWSI_AS(cwsi_close, op)->session, &op->err, true);
    return true;
}

static void cwsi_close_ended(cws_op *op)
{
    cws_session *s = CWSI_AS(cwsi_close, op)->session;
    size_t i;
    if (s->close_op != op) return;
    s->close_op = NULL;
    for (i = 0; i < s->tracked_len; i++) { /* left over if it was cancelled */
        if (s->tracked[i]->stop) cwsi_op_unref(s->tracked[i]->stop);
        s->tracked[i]->stop = NULL;
    }
}

static void cwsi_close_destroy(cws_op *op)
{
    cwsi_session_unref(CWSI_AS(cwsi_close, op)->session);
}

static const cwsi_op_kind *cwsi_close_kind(void)
{
    static const char *const steps[] = {CWSI_CLOSE_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Close session",  steps, cwsi_close_run, cwsi_close_expire,
                                      cwsi_close_ended, cwsi_close_destroy};
    return &kind;
}

/* ================================================================================================
 * >>impl-op-reap
 * Stopping what earlier sessions have left, by their journal: one session of ours after the other
 * takes over what one of them had, and closes.
 *
 *      NEXT --one left--> LIST --> ATTACH --> CLOSE --> NEXT
 *        |                 ^ `--REST'  while creates are missing
 *        `--none--> done
 * ============================================================================================= */

#define CWSI_REAP_STEPS(X) X(NEXT) X(LIST) X(ATTACH) X(REST) X(CLOSE)
#define CWSI_AS_REAP_STEP(name) CWSI_REAP_##name,
enum { CWSI_REAP_STEPS(CWSI_AS_REAP_STEP) CWSI_REAP_STEP_COUNT };

#define CWSI_REAP_LOOK_MS 10000 /* for sandboxes whose create was in the air */
#define CWSI_REAP_REST_MS 1000

typedef struct cwsi_reap {
    cws_op op;
    cws_session *session; /* held */
    cws_session *hand;    /* takes over */
    cws_op *own;          /* the list, attach or close it waits for */
    cwsi_left *left;
    size_t at; /* among the ids of left */
    int64_t look_until, rest_until;
    size_t stopped;
} cwsi_reap;

static void cwsi_reap_drop(cwsi_reap *r)
{
    cwsi_op_leave(&r->op);
    cws_op_free(r->own);
    r->own = NULL;
}

static void cwsi_reap_ended(cws_op *op)
{
    cwsi_reap *r = CWSI_AS(cwsi_reap, op);
    cwsi_reap_drop(r);
    if (r->hand) cws_session_free(r->hand);
    r->hand = NULL;
}

static void cwsi_reap_destroy(cws_op *op)
{
    cwsi_session_unref(CWSI_AS(cwsi_reap, op)->session);
}

/* The next session that left something. READY: there is none, or op->err is set. */
static cwsi_turn cwsi_reap_next(cwsi_reap *r, int64_t now)
{
    cws_op *op = &r->op;
    cwsi_journal *j = r->session->journal;
    size_t i;
    r->left = NULL;
    for (i = 0; j && i < j->left.len && !r->left; i++)
        if (!CWSI_CAST(cwsi_left *, j->left.at)[i].reaped)
            r->left = CWSI_CAST(cwsi_left *, j->left.at) + i;
    if (!r->left) return CWSI_READY;
    if (!cwsi_str_is(r->left->version, op->client->dialect->name) ||
        !cwsi_str_is(r->left->url, op->client->base_url))
        return cwsi_failed(cwsi_fail(&op->err, CWS_ERR_INVALID_ARGUMENT,
                                     "%s: the journal tells of sandboxes at %.*s in %.*s; this "
                                     "session is at %s in %s",
                                     op->kind->name, CWSI_CAST(int, r->left->url.len),
                                     r->left->url.at, CWSI_CAST(int, r->left->version.len),
                                     r->left->version.at, op->client->base_url,
                                     op->client->dialect->name));
    r->hand = cwsi_session_new(op->client, r->session->close_timeout_ms);
    if (!r->hand) return cwsi_failed(cwsi_op_fail_no_memory(op));
    r->look_until = cwsi_after(now, CWSI_REAP_LOOK_MS);
    op->step = CWSI_REAP_LIST;
    return CWSI_PENDING;
}

/* Wait for the operation that a public function has begun. READY: it has ended well, or not. */
static cwsi_turn cwsi_reap_await(cwsi_reap *r, cws_status begun)
{
    if (begun || !r->own) return CWSI_READY;
    if (!cwsi_op_await(&r->op, r->own)) return CWSI_PENDING;
    if (r->own->err.status) (void)cwsi_copy_error(&r->op.err, &r->own->err);
    cwsi_reap_drop(r);
    return CWSI_READY;
}

/* What carries the tag. */
static cwsi_turn cwsi_reap_list(cwsi_reap *r)
{
    char tag[64];
    const char *tags[2];
    cws_list_opts o = CWSI_ZERO;
    cws_status begun = CWS_OK;
    if (!r->own) {
        cwsi_copy_text(tag, sizeof(tag), r->left->tag.at, r->left->tag.len);
        tags[0] = tag;
        tags[1] = NULL;
        o.tags = tags;
        o.adopt = true;
        begun = cws_session_list_begin(r->hand, &o, &r->own, &r->op.err);
    }
    if (cwsi_reap_await(r, begun) == CWSI_PENDING) return CWSI_PENDING;
    r->at = 0;
    r->op.step = CWSI_REAP_ATTACH;
    return CWSI_READY;
}

/* What the journal names and the list did not find: adopted ones, without the tag. */
static cwsi_turn cwsi_reap_attach(cwsi_reap *r)
{
    char id[CWSI_ID_SIZE];
    cws_status begun;
    for (;;) {
        if (r->own) {
            if (cwsi_reap_await(r, CWS_OK) == CWSI_PENDING) return CWSI_PENDING;
            if (r->op.err.status == CWS_ERR_NOT_FOUND) cwsi_error_clear(&r->op.err);
            if (r->op.err.status) return CWSI_READY;
            r->at++;
        }
        while (r->at < r->left->live.len &&
               cwsi_tracked_by_id(r->hand, CWSI_CAST(cwsi_str *, r->left->live.at)[r->at]))
            r->at++;
        if (r->at >= r->left->live.len) return CWSI_READY;
        cwsi_copy_text(id, sizeof(id), CWSI_CAST(cwsi_str *, r->left->live.at)[r->at].at,
                       CWSI_CAST(cwsi_str *, r->left->live.at)[r->at].len);
        begun = cws_session_from_id_begin(r->hand, id, false, &r->own, &r->op.err);
        if (begun) return CWSI_READY;
    }
}

/* Sandboxes that are there and were not known by their ids, against creates without an outcome. */
static bool cwsi_reap_misses(const cwsi_reap *r)
{
    size_t i, k, found = 0;
    for (i = 0; i < r->hand->tracked_len; i++) {
        const char *id = r->hand->tracked[i]->sandbox->id;
        for (k = 0; k < r->left->live.len; k++)
            if (cwsi_str_is(CWSI_CAST(cwsi_str *, r->left->live.at)[k], id)) break;
        found += k == r->left->live.len;
    }
    return found < r->left->unknown.len;
}

static void cwsi_reap_closed(cwsi_reap *r)
{
    char tag[64];
    cwsi_copy_text(tag, sizeof(tag), r->left->tag.at, r->left->tag.len);
    r->left->reaped = true;
    (void)cwsi_journal_write(r->session, "reaped", tag, NULL);
    cws_session_free(r->hand);
    r->hand = NULL;
    r->op.step = CWSI_REAP_NEXT;
}

static cwsi_turn cwsi_reap_run(cws_op *op, int64_t now)
{
    cwsi_reap *r = CWSI_AS(cwsi_reap, op);
    cws_status begun = CWS_OK;
    size_t i;
    for (;;) {
        if (op->err.status) return CWSI_READY;
        switch (op->step) {
        case CWSI_REAP_NEXT:
            if (cwsi_reap_next(r, now) == CWSI_READY) return CWSI_READY;
            break;
        case CWSI_REAP_LIST:
            if (cwsi_reap_list(r) == CWSI_PENDING) return CWSI_PENDING;
            break;
        case CWSI_REAP_ATTACH:
            if (cwsi_reap_attach(r) == CWSI_PENDING) return CWSI_PENDING;
            r->rest_until = cwsi_after(now, CWSI_REAP_REST_MS);
            op->step = cwsi_reap_misses(r) && now < r->look_until ? CWSI_REAP_REST
                                                                  : CWSI_REAP_CLOSE;
            break;
        case CWSI_REAP_REST:
            if (now < r->rest_until) {
                cwsi_op_wake_at(op, r->rest_until);
                return CWSI_PENDING;
            }
            op->step = CWSI_REAP_LIST;
            break;
        case CWSI_REAP_CLOSE:
            if (!r->own) {
                for (i = 0; i < r->hand->tracked_len; i++)
                    r->stopped += r->hand->tracked[i]->sandbox->phase != CWSI_TERMINAL;
                begun = cws_session_close_begin(r->hand, &r->own, &op->err);
            }
            if (cwsi_reap_await(r, begun) == CWSI_PENDING) return CWSI_PENDING;
            if (!op->err.status) cwsi_reap_closed(r);
            break;
        }
    }
}

static const cwsi_op_kind *cwsi_reap_kind(void)
{
    static const char *const steps[] = {CWSI_REAP_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Reap", steps, cwsi_reap_run, NULL, cwsi_reap_ended,
                                      cwsi_reap_destroy};
    return &kind;
}

/* ================================================================================================
 * >>impl-function
 * The function object, and what of a function is checked before any network.
 * ============================================================================================= */

struct cws_function {
    cws_client *client;   /* held */
    cws_session *session; /* held */
    uint32_t refs;
    bool freed; /* the user's handle is gone */
    cwsi_arena arena;
    const char *name;
    const char *source;  /* Python, or the whole C program */
    void (*body)(const char *input, size_t input_size, cws_io *io); /* NULL: it is Python */
    const char *closure; /* JSON */
    cws_serialization serialization;
    const char *const *interpreter, *const *compiler;
    const char *local_interpreter;
    const char *temp_dir; /* without a slash at its end */
    bool make_dir;
    char token[33]; /* names the C program in a sandbox */
    cws_sandbox_opts sandbox;
    int64_t timeout_ms;
    bool keep_warm;
    cws_sandbox *warm;   /* held; idle, and ready to run it */
    char warm_token[33]; /* of the last call there */
};

static void cwsi_function_unref(cws_function *fn)
{
    cws_client *c = fn->client;
    if (--fn->refs > 0) return;
    cwsi_arena_clear(&fn->arena);
    cwsi_session_unref(fn->session);
    cwsi_free(&c->mem, fn);
    cwsi_client_unref(c);
}

/* 32 random hexadecimal digits. */
static void cwsi_token(cws_client *c, char *out)
{
    char uuid[40];
    size_t i, n = 0;
    cwsi_uuid(c, uuid);
    for (i = 0; uuid[i]; i++)
        if (uuid[i] != '-') out[n++] = uuid[i];
    out[n] = '\0';
}

/* Is the text one JSON value, of this kind unless that is END? Numbers may be NaN and Infinity,
 * which Python writes and reads. */
static bool cwsi_is_json(const char *text, size_t len, cwsi_json_kind kind)
{
    cwsi_json j;
    cwsi_json_init(&j, text, len);
    j.non_finite = true;
    if (cwsi_json_next(&j) != kind && kind != CWSI_JSON_END) return false;
    return cwsi_json_skip(&j) && cwsi_json_next(&j) == CWSI_JSON_END;
}

static cws_status cwsi_check_json(cws_error *err, const char *name, const char *text,
                                  cwsi_json_kind kind)
{
    if (!text || cwsi_is_json(text, strlen(text), kind)) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_FUNCTION_SERIALIZATION, "%s is no JSON%s", name,
                     kind == CWSI_JSON_ARRAY    ? " array"
                     : kind == CWSI_JSON_OBJECT ? " object"
                                                : "");
}

static bool cwsi_is_name_char(char c)
{
    return cwsi_is_alnum(c) || c == '_' || CWSI_CAST(unsigned char, c) >= 0x80;
}

static size_t cwsi_blanks(const char *at)
{
    return strspn(at, " \t\f");
}

/* Does the word stand here? Returns what is behind it and some blanks, or NULL. */
static const char *cwsi_after_word(const char *at, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(at, word, n) != 0 || cwsi_is_name_char(at[n])) return NULL;
    return at + n + cwsi_blanks(at + n);
}

/* Is the last definition of the function in the Python source an asynchronous one? */
static bool cwsi_is_async(const char *source, const char *name)
{
    bool found = false;
    const char *line = source, *end;
    for (; line; line = end ? end + 1 : NULL) {
        const char *at = line + cwsi_blanks(line), *async = cwsi_after_word(at, "async");
        end = strchr(line, '\n');
        at = cwsi_after_word(async ? async : at, "def");
        if (at && cwsi_after_word(at, name)) found = async != NULL;
    }
    return found;
}

static cws_status cwsi_check_identifier(cws_error *err, const char *name)
{
    const char *p = name;
    while (p && cwsi_is_name_char(*p)) p++;
    if (!name || !name[0] || cwsi_is_digit(name[0]) || *p)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "name '%.*s' is no name of a function", 64,
                         name ? name : "");
    return cwsi_check_text(err, "name", name);
}

/* Python, or C? Exactly one of them, and what belongs to it. */
static cws_status cwsi_check_language(cws_error *err, const cws_function_opts *o)
{
    const cws_c_function *f = o->c_function;
    if ((f != NULL) == (o->source != NULL))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "give source or c_function, and not both");
    if (f && (o->name || o->closure_vars || o->interpreter || o->local_interpreter))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s is for Python, not for c_function",
                         o->name           ? "name"
                         : o->closure_vars ? "closure_vars"
                         : o->interpreter  ? "interpreter"
                                           : "local_interpreter");
    if (f && (!f->body || !f->source || cwsi_check_identifier(NULL, f->name)))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "c_function was not made by CWS_FUNCTION");
    if (f) return cwsi_check_text(err, "c_function", f->source);
    if (o->compiler)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "compiler is for c_function");
    if (cwsi_check_identifier(err, o->name) || cwsi_check_text(err, "source", o->source))
        return CWS_ERR_INVALID_ARGUMENT;
    if (cwsi_is_async(o->source, o->name))
        return cwsi_fail(err, CWS_ERR_ASYNC_FUNCTION,
                         "source: '%.*s' is async; async functions are not supported: make it a "
                         "plain def, which may call asyncio.run",
                         64, o->name);
    return cwsi_check_json(err, "closure_vars", o->closure_vars, CWSI_JSON_OBJECT);
}

static cws_status cwsi_check_program(cws_error *err, const char *name, const char *const *argv)
{
    if (argv && (!argv[0] || !argv[0][0]))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s must name a program", name);
    return cwsi_check_strings(err, name, argv);
}

static cws_status cwsi_check_function(cws_error *err, const cws_function_opts *o)
{
    cws_status status;
    if (!o) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "opts must not be NULL");
    status = cwsi_check_zero(err, "cws_function_opts", o->must_be_zero);
    if (!status) status = cwsi_check_language(err, o);
    if (!status && CWSI_CAST(unsigned, o->serialization) > CWS_SERIALIZE_BYTES)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "serialization: not a cws_serialization");
    if (!status) status = cwsi_check_program(err, "interpreter", o->interpreter);
    if (!status) status = cwsi_check_program(err, "compiler", o->compiler);
    if (!status && o->temp_dir && o->temp_dir[0] != '/')
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "temp_dir must be an absolute path");
    if (!status && o->temp_dir) status = cwsi_check_text(err, "temp_dir", o->temp_dir);
    if (!status && o->local_interpreter && !o->local_interpreter[0])
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "local_interpreter must not be empty");
    return status;
}

/* ================================================================================================
 * >>impl-function-copy
 * Deep copies of those options of a sandbox that sessions have no defaults for.
 * ============================================================================================= */

static void *cwsi_keep_array(cwsi_arena *a, const void *from, size_t count, size_t each, bool *ok)
{
    size_t size = 0;
    void *copy;
    if (!from) return NULL;
    copy = cwsi_mul(count, each, &size) && size < SIZE_MAX ? cwsi_arena_alloc(a, size + 1) : NULL;
    if (!copy) *ok = false;
    else if (size) memcpy(copy, from, size);
    return copy;
}

#define CWSI_KEEP_ONE(a, type, from, ok)                                                           \
    CWSI_CAST(type *, cwsi_keep_array(a, from, 1, sizeof(type), ok))

static const cws_mounted_file *cwsi_keep_files(cwsi_arena *a, const cws_mounted_file *from,
                                               size_t count, bool *ok)
{
    cws_mounted_file *files =
        CWSI_CAST(cws_mounted_file *, cwsi_keep_array(a, from, count, sizeof(*from), ok));
    size_t i;
    for (i = 0; files && i < count; i++) {
        files[i].mount_path = cwsi_keep(a, files[i].mount_path, ok);
        files[i].content = cwsi_keep_array(a, files[i].content, files[i].size, 1, ok);
    }
    return files;
}

static const cws_image_credentials *cwsi_keep_image(cwsi_arena *a,
                                                    const cws_image_credentials *from, bool *ok)
{
    cws_image_credentials *image = CWSI_KEEP_ONE(a, cws_image_credentials, from, ok);
    if (!image) return NULL;
    image->registry = cwsi_keep(a, image->registry, ok);
    image->store = cwsi_keep(a, image->store, ok);
    image->name = cwsi_keep(a, image->name, ok);
    image->field = cwsi_keep(a, image->field, ok);
    return image;
}

static const cws_security *cwsi_keep_security(cwsi_arena *a, const cws_security *from, bool *ok)
{
    cws_security *security = CWSI_KEEP_ONE(a, cws_security, from, ok);
    if (!security) return NULL;
    security->capabilities_add = cwsi_keep_strings(a, security->capabilities_add, NULL, ok);
    security->capabilities_drop = cwsi_keep_strings(a, security->capabilities_drop, NULL, ok);
    security->seccomp_profile = cwsi_keep(a, security->seccomp_profile, ok);
    return security;
}

static const cws_probe *cwsi_keep_probe(cwsi_arena *a, const cws_probe *from, bool *ok)
{
    cws_probe *probe = CWSI_KEEP_ONE(a, cws_probe, from, ok);
    if (probe) probe->argv = cwsi_keep_strings(a, probe->argv, NULL, ok);
    return probe;
}

static const cws_mount *cwsi_keep_mounts(cwsi_arena *a, const cws_mount *from, size_t count,
                                         bool *ok)
{
    cws_mount *mounts = CWSI_CAST(cws_mount *, cwsi_keep_array(a, from, count, sizeof(*from), ok));
    size_t i;
    for (i = 0; mounts && i < count; i++) {
        mounts[i].volume = cwsi_keep(a, mounts[i].volume, ok);
        mounts[i].mount_path = cwsi_keep(a, mounts[i].mount_path, ok);
        mounts[i].sub_path = cwsi_keep(a, mounts[i].sub_path, ok);
    }
    return mounts;
}

static const cws_secret *cwsi_keep_secrets(cwsi_arena *a, const cws_secret *from, size_t count,
                                           bool *ok)
{
    cws_secret *secrets =
        CWSI_CAST(cws_secret *, cwsi_keep_array(a, from, count, sizeof(*from), ok));
    size_t i;
    for (i = 0; secrets && i < count; i++) {
        secrets[i].store = cwsi_keep(a, secrets[i].store, ok);
        secrets[i].name = cwsi_keep(a, secrets[i].name, ok);
        secrets[i].field = cwsi_keep(a, secrets[i].field, ok);
        secrets[i].env_var = cwsi_keep(a, secrets[i].env_var, ok);
    }
    return secrets;
}

static const cws_container *cwsi_keep_containers(cwsi_arena *a, const cws_container *from,
                                                 size_t count, bool *ok)
{
    cws_container *list =
        CWSI_CAST(cws_container *, cwsi_keep_array(a, from, count, sizeof(*from), ok));
    size_t i;
    for (i = 0; list && i < count; i++) {
        cws_container *c = &list[i];
        c->name = cwsi_keep(a, c->name, ok);
        c->image = cwsi_keep(a, c->image, ok);
        c->command = cwsi_keep(a, c->command, ok);
        c->args = cwsi_keep_strings(a, c->args, NULL, ok);
        c->working_dir = cwsi_keep(a, c->working_dir, ok);
        c->environment_variables = cwsi_keep_pairs(a, c->environment_variables, NULL, ok);
        c->resources = cwsi_keep_resources(a, c->resources, ok);
        c->secrets = cwsi_keep_secrets(a, c->secrets, c->secret_count, ok);
        c->mounted_files = cwsi_keep_files(a, c->mounted_files, c->mounted_file_count, ok);
        c->mounts = cwsi_keep_mounts(a, c->mounts, c->mount_count, ok);
        c->image_credentials = cwsi_keep_image(a, c->image_credentials, ok);
        c->security = cwsi_keep_security(a, c->security, ok);
        c->startup_probe = cwsi_keep_probe(a, c->startup_probe, ok);
    }
    return list;
}

/* What reaches objects and commands of others. */
static void cwsi_keep_own_access(cwsi_arena *a, cws_sandbox_opts *o, bool *ok)
{
    cws_object_storage *storage = CWSI_KEEP_ONE(a, cws_object_storage, o->object_storage, ok);
    cws_s3_mount *mount = CWSI_KEEP_ONE(a, cws_s3_mount, o->s3_mount, ok);
    cws_port *ports =
        CWSI_CAST(cws_port *, cwsi_keep_array(a, o->ports, o->port_count, sizeof(*ports), ok));
    size_t i;
    if (storage) {
        storage->buckets = cwsi_keep_strings(a, storage->buckets, NULL, ok);
        storage->object_prefix = cwsi_keep(a, storage->object_prefix, ok);
    }
    if (mount) {
        mount->bucket = cwsi_keep(a, mount->bucket, ok);
        mount->directory = cwsi_keep(a, mount->directory, ok);
        mount->mount_path = cwsi_keep(a, mount->mount_path, ok);
    }
    for (i = 0; ports && i < o->port_count; i++) {
        ports[i].name = cwsi_keep(a, ports[i].name, ok);
        ports[i].protocol = cwsi_keep(a, ports[i].protocol, ok);
    }
    o->object_storage = storage;
    o->s3_mount = mount;
    o->ports = ports;
}

/* All options of a sandbox (checked), to be used long after the caller's are gone. */
static cws_status cwsi_keep_sandbox_opts(cwsi_arena *a, const cws_sandbox_opts *o,
                                         cws_sandbox_opts *out, cws_error *err)
{
    cws_sandbox_opts none = CWSI_ZERO;
    bool ok = true;
    cws_status status = cwsi_merge_sandbox_opts(a, &none, o, out, err);
    if (status) return status;
    out->template_id = cwsi_keep(a, o->template_id, &ok);
    out->working_dir = cwsi_keep(a, o->working_dir, &ok);
    out->instance_type = cwsi_keep(a, o->instance_type, &ok);
    out->runtime_class = cwsi_keep(a, o->runtime_class, &ok);
    out->display_name = cwsi_keep(a, o->display_name, &ok);
    out->mounted_files = cwsi_keep_files(a, o->mounted_files, o->mounted_file_count, &ok);
    out->image_credentials = cwsi_keep_image(a, o->image_credentials, &ok);
    out->security = cwsi_keep_security(a, o->security, &ok);
    out->startup_probe = cwsi_keep_probe(a, o->startup_probe, &ok);
    out->containers = cwsi_keep_containers(a, o->containers, o->container_count, &ok);
    cwsi_keep_own_access(a, out, &ok);
    return ok ? CWS_OK : cwsi_no_memory(err, "sandbox options");
}

/* ================================================================================================
 * >>impl-function-source
 * What runs in the sandbox: a Python script that gets everything as arguments, or a C program
 * around the body; and what it reads: the payload.
 *
 *      Python   -c SCRIPT TEMP_DIR PAYLOAD RESULT OLD MODE      C   PAYLOAD RESULT OLD
 *
 * OLD is the result of the call before in the same sandbox, to be removed. The result file appears
 * only when all went well. Otherwise stderr has a line "EXCEPTION:text" and a traceback, or one
 * "RESULT_SERIALIZATION_ERROR:type:text", and the exit code is 1.
 * ============================================================================================= */

static const char *cwsi_script_python(void)
{
    return
        "import json, linecache, os, sys, textwrap, traceback\n"
        "temp, payload, result, old, mode = sys.argv[1:6]\n"
        "del sys.argv[1:]\n"
        "try:\n"
        "    os.makedirs(temp, exist_ok=True)\n"
        "    with open(payload, 'rb') as file:\n"
        "        head = file.read()\n"
        "    for path in (payload, old):\n"
        "        if path and os.path.exists(path):\n"
        "            os.unlink(path)\n"
        "    data = b''\n"
        "    if mode == 'bytes':\n"
        "        head, _, data = head.partition(b'\\n')\n"
        "    call = json.loads(head.decode('utf-8'))\n"
        "    source = textwrap.dedent(call['source'])\n"
        "    linecache.cache['<function>'] = (\n"
        "        len(source), None, source.splitlines(True), '<function>')\n"
        "    scope = call['closure_vars']\n"
        "    scope.setdefault('__name__', 'builtins')\n"
        "    exec(compile(source, '<function>', 'exec'), scope)\n"
        "    if call['name'] not in scope:\n"
        "        raise NameError(\"source defines no function '%s'\" % call['name'])\n"
        "    if mode == 'bytes':\n"
        "        value = scope[call['name']](data)\n"
        "    else:\n"
        "        value = scope[call['name']](*call['args'], **call['kwargs'])\n"
        "except Exception as error:\n"
        "    print('EXCEPTION:' + str(error), file=sys.stderr)\n"
        "    traceback.print_exc()\n"
        "    sys.exit(1)\n"
        "try:\n"
        "    if mode != 'bytes':\n"
        "        value = json.dumps(value).encode('utf-8')\n"
        "    elif not isinstance(value, (bytes, bytearray, memoryview)):\n"
        "        raise TypeError('bytes are needed, not ' + type(value).__name__)\n"
        "except Exception as error:\n"
        "    print('RESULT_SERIALIZATION_ERROR:%s:%s' % (\n"
        "        type(error).__name__, ' '.join(str(error).split())), file=sys.stderr)\n"
        "    sys.exit(1)\n"
        "with open(result, 'wb') as file:\n"
        "    file.write(value)\n";
}

static const char *cwsi_program_head(void)
{
    return
        "#include <assert.h>\n#include <ctype.h>\n#include <errno.h>\n#include <limits.h>\n"
        "#include <math.h>\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n"
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n"
        "typedef struct cws_io cws_io;\n"
        "struct cws_io {\n"
        "    bool (*write)(cws_io *io, const void *data, size_t size);\n"
        "    void (*fail)(cws_io *io, const char *text);\n"
        "    void *user;\n"
        "};\n"
        "static void cws_body(const char *input, size_t input_size, cws_io *io)\n"
        "{\n(void)input;\n(void)input_size;\n(void)io;\n#line 1 \"CWS_FUNCTION\"\n";
}

static const char *cwsi_program_tail(void)
{
    return
        "\n}\n#line 1 \"cwsandbox\"\n"
        "static struct { char *at; size_t size, room; bool failed; } cws_out;\n"
        "static void cws_fail(cws_io *io, const char *text)\n"
        "{\n"
        "    (void)io;\n"
        "    if (cws_out.failed) return;\n"
        "    cws_out.failed = true;\n"
        "    fputs(\"EXCEPTION:\", stderr);\n"
        "    for (; *text; text++) fputc(*text == '\\n' ? ' ' : *text, stderr);\n"
        "    fputc('\\n', stderr);\n"
        "}\n"
        "static bool cws_write(cws_io *io, const void *data, size_t size)\n"
        "{\n"
        "    if (size > cws_out.room - cws_out.size) {\n"
        "        size_t room = (cws_out.size + size) * 2 + 4096;\n"
        "        char *at = size > SIZE_MAX / 4 ? NULL : (char *)realloc(cws_out.at, room);\n"
        "        if (!at) return cws_fail(io, \"out of memory\"), false;\n"
        "        cws_out.at = at, cws_out.room = room;\n"
        "    }\n"
        "    if (size) memcpy(cws_out.at + cws_out.size, data, size);\n"
        "    cws_out.size += size;\n"
        "    return true;\n"
        "}\n"
        "int main(int argc, char **argv)\n"
        "{\n"
        "    cws_io io, into = {cws_write, cws_fail, NULL};\n"
        "    char piece[65536], *input;\n"
        "    size_t n, input_size;\n"
        "    FILE *file = argc == 4 ? fopen(argv[1], \"rb\") : NULL;\n"
        "    if (!file) return cws_fail(&into, \"the payload can not be read\"), 1;\n"
        "    while ((n = fread(piece, 1, sizeof piece, file)) > 0) cws_write(&into, piece, n);\n"
        "    cws_write(&into, \"\", 1);\n"
        "    if (cws_out.failed) return 1;\n"
        "    fclose(file);\n"
        "    remove(argv[1]);\n"
        "    if (argv[3][0]) remove(argv[3]);\n"
        "    input = cws_out.at, input_size = cws_out.size - 1;\n"
        "    cws_out.at = NULL, cws_out.size = cws_out.room = 0;\n"
        "    io = into;\n"
        "    cws_body(input, input_size, &io);\n"
        "    if (cws_out.failed) return 1;\n"
        "    file = fopen(argv[2], \"wb\");\n"
        "    if (!file || fwrite(cws_out.at ? cws_out.at : \"\", 1, cws_out.size, file) !=\n"
        "        cws_out.size || fclose(file)) {\n"
        "        remove(argv[2]);\n"
        "        return cws_fail(&into, \"the result can not be written\"), 1;\n"
        "    }\n"
        "    return 0;\n"
        "}\n";
}

/* The C program around a body. NULL: out of memory. */
static const char *cwsi_program(cwsi_arena *a, const char *body)
{
    cwsi_buf text;
    const char *whole;
    cwsi_buf_init(&text, a->mem, CWSI_FILE_MAX);
    (void)cwsi_put_text(&text, cwsi_program_head());
    (void)cwsi_put_text(&text, body);
    (void)cwsi_put_text(&text, cwsi_program_tail());
    whole = text.status ? NULL : cwsi_arena_copy(a, text.at, text.len);
    cwsi_buf_free(&text);
    return whole;
}

/* What one call is given. */
typedef struct cwsi_input {
    cwsi_str args, kwargs; /* JSON; kwargs.at may be NULL */
    cws_blob blob;         /* CWS_SERIALIZE_BYTES */
} cwsi_input;

/* One member of the payload, on one line: in JSON a newline stands between values only. */
static void cwsi_put_member(cwsi_buf *buf, const char *key, cwsi_str json)
{
    size_t at = buf->len;
    (void)cwsi_put_text(buf, key);
    (void)cwsi_put(buf, json.at, json.len);
    for (; !buf->status && at < buf->len; at++)
        if (buf->at[at] == '\n') buf->at[at] = ' ';
}

/* The payload file: what the script, or the C program, reads. False: too large, or no memory. */
static bool cwsi_put_payload(cwsi_buf *buf, const cws_function *fn, const cwsi_input *in)
{
    if (fn->body) {
        if (fn->serialization == CWS_SERIALIZE_BYTES)
            return cwsi_put(buf, in->blob.data, in->blob.size);
        return cwsi_put(buf, in->args.at, in->args.len);
    }
    (void)cwsi_put_text(buf, "{\"source\":");
    (void)cwsi_put_json_string(buf, fn->source, strlen(fn->source));
    (void)cwsi_put_text(buf, ",\"name\":");
    (void)cwsi_put_json_string(buf, fn->name, strlen(fn->name));
    cwsi_put_member(buf, ",\"closure_vars\":", cwsi_str_of(fn->closure));
    cwsi_put_member(buf, ",\"args\":", in->args);
    cwsi_put_member(buf, ",\"kwargs\":", in->kwargs);
    (void)cwsi_put_char(buf, '}');
    if (fn->serialization != CWS_SERIALIZE_BYTES) return !buf->status;
    return cwsi_put_char(buf, '\n') && cwsi_put(buf, in->blob.data, in->blob.size);
}

/* ================================================================================================
 * >>impl-function-error
 * What went wrong in a function: read from what it left on stderr.
 * ============================================================================================= */

typedef struct cwsi_raised {
    cwsi_str type, text; /* len 0: not known */
    bool no_json;        /* text is why what was returned can not be handed over */
} cwsi_raised;

static cwsi_str cwsi_trim(cwsi_str s)
{
    for (; s.len && (*s.at == ' ' || *s.at == '\t'); s.len--) s.at++;
    while (s.len && strchr(" \t\r\n", s.at[s.len - 1])) s.len--;
    return s;
}

static bool cwsi_ends_with(cwsi_str s, const char *end)
{
    size_t n = strlen(end);
    return s.len >= n && memcmp(s.at + s.len - n, end, n) == 0;
}

/* The text behind a prefix; at NULL: the line does not begin with it. */
static cwsi_str cwsi_behind(cwsi_str line, const char *prefix)
{
    size_t n = strlen(prefix);
    cwsi_str rest = {NULL, 0};
    if (line.len < n || memcmp(line.at, prefix, n) != 0) return rest;
    rest.at = line.at + n;
    rest.len = line.len - n;
    return rest;
}

static void cwsi_raised_line(cwsi_raised *r, cwsi_str line)
{
    cwsi_str rest = cwsi_behind(line, "RESULT_SERIALIZATION_ERROR:"), type = line;
    const char *colon;
    if (rest.at) {
        colon = CWSI_CAST(const char *, rest.len ? memchr(rest.at, ':', rest.len) : NULL);
        r->type.at = rest.at;
        r->type.len = colon ? CWSI_CAST(size_t, colon - rest.at) : rest.len;
        r->text.at = colon ? colon + 1 : rest.at + rest.len;
        r->text.len = CWSI_CAST(size_t, rest.at + rest.len - r->text.at);
        r->no_json = true;
        return;
    }
    rest = cwsi_behind(line, "EXCEPTION:");
    if (rest.at) {
        r->text = cwsi_trim(rest);
        return;
    }
    if (line.len == 0 || *line.at == ' ') return;
    for (type.len = 0; type.len + 1 < line.len; type.len++)
        if (line.at[type.len] == ':' && line.at[type.len + 1] == ' ') break;
    if (type.len + 1 >= line.len) return;
    if (!cwsi_ends_with(type, "Error") && !cwsi_ends_with(type, "Exception")) return;
    r->type = type;
    r->text.at = line.at + type.len + 2;
    r->text.len = line.len - type.len - 2;
    r->text = cwsi_trim(r->text);
    r->no_json = false;
}

/* Later lines win. */
static cwsi_raised cwsi_raised_in(const char *text, size_t len)
{
    cwsi_raised r = CWSI_ZERO;
    const char *end = text + len;
    while (text < end) {
        const char *newline =
            CWSI_CAST(const char *, memchr(text, '\n', CWSI_CAST(size_t, end - text)));
        cwsi_str line;
        line.at = text;
        line.len = CWSI_CAST(size_t, (newline ? newline : end) - text);
        text += line.len + (newline ? 1 : 0);
        if (line.len && line.at[line.len - 1] == '\r') line.len--;
        cwsi_raised_line(&r, line);
    }
    return r;
}

static void cwsi_add_cut(cws_error *err, const char *key, cwsi_str text, size_t most)
{
    char cut[320];
    if (!text.len) return;
    if (most > sizeof(cut)) most = sizeof(cut);
    cwsi_copy_text(cut, most, text.at, text.len);
    cwsi_add_detail(err, 'm', cwsi_str_of(key), cwsi_str_of(cut));
}

/* The function, or its compiler, ended with a code other than 0. */
static cws_status cwsi_function_failed(cws_error *err, const cws_function *fn, const char *what,
                                       int32_t code, cwsi_str output)
{
    cwsi_raised r = cwsi_raised_in(output.at, output.len);
    cwsi_str detail = r.text.len ? r.text : cwsi_trim(output);
    const char *prefix = "";
    char text[320];
    if (r.no_json)
        prefix = fn->serialization == CWS_SERIALIZE_BYTES
                     ? "return value is not bytes: "
                     : "return value is not JSON-serializable: ";
    (void)cwsi_format(text, sizeof(text), "%s%.*s", prefix,
                      CWSI_CAST(int, detail.len < 270 ? detail.len : 270), detail.at);
    if (!text[0]) (void)cwsi_format(text, sizeof(text), "exit code %d", code);
    err->exit_code = code;
    cwsi_add_cut(err, "exception_type", r.type, 96);
    if (r.text.len || r.no_json) cwsi_add_cut(err, "exception_message", cwsi_str_of(text), 320);
    return cwsi_fail(err, CWS_ERR_EXECUTION, "Function '%.*s' %s: %s", 64, fn->name, what, text);
}

/* From the first line of a compiler's output that is an error, if there is one. */
static cwsi_str cwsi_first_complaint(cwsi_str text)
{
    static const char word[] = "error:";
    size_t i, line = 0;
    for (i = 0; i + sizeof(word) - 1 <= text.len; i++) {
        if (text.at[i] == '\n') line = i + 1;
        if (memcmp(text.at + i, word, sizeof(word) - 1) != 0) continue;
        text.at += line;
        text.len -= line;
        break;
    }
    return text;
}

/* ================================================================================================
 * >>impl-function-steps
 * What a call of a function does, step by step. Each is READY when it is done or has nothing to do,
 * or when op->err is set.
 * ============================================================================================= */

#define CWSI_FUNCTION_STEPS(X)                                                                     \
    X(ACQUIRE) X(START) X(DIRECTORY) X(SOURCE) X(COMPILE) X(PAYLOAD) X(RUN) X(RESULT) X(STOP)
#define CWSI_AS_FUNCTION_STEP(name) CWSI_FUNCTION_##name,
enum { CWSI_FUNCTION_STEPS(CWSI_AS_FUNCTION_STEP) CWSI_FUNCTION_STEP_COUNT };

typedef struct cwsi_invocation {
    cws_op op; /* its sandbox: where the function runs */
    cws_function *fn;       /* held */
    cwsi_arena arena;
    cwsi_buf payload;
    char token[33];         /* names the files of the call */
    char old_token[33];     /* of the former call in this sandbox, or "" */
    cws_op *file;           /* a file call in flight */
    cws_process *process;   /* the last command */
    bool running;           /* it is in flight */
    bool ran;               /* it was the function, and that came to an end of its own */
    bool reused;            /* the sandbox was kept warm */
    bool prepared;          /* it has the directory and the C program */
    bool settled;           /* somebody cares for the sandbox: its stop, or the function */
    cws_error outcome;
    cws_bytes *bytes;
    cws_op *map;            /* wants to know of the end; not held: it holds this */
} cwsi_invocation;

static const char *cwsi_function_step_name(int step)
{
    static const char *const names[] = {"making its sandbox", "starting its sandbox",
                                        "making temp_dir",    "writing its source",
                                        "compiling it",       "writing its arguments",
                                        "running it",         "reading its result",
                                        "stopping its sandbox"};
    return names[step];
}

/* A path in temp_dir, in the arena. NULL: op->err is set. */
static const char *cwsi_function_path(cwsi_invocation *v, const char *what, const char *token,
                                      const char *suffix)
{
    const char *parts[4];
    size_t i, len = 0;
    char *path, *to;
    if (!token[0]) return "";
    parts[0] = v->fn->temp_dir;
    parts[1] = what;
    parts[2] = token;
    parts[3] = suffix;
    for (i = 0; i < 4; i++) len += strlen(parts[i]);
    to = path = CWSI_CAST(char *, cwsi_arena_alloc(&v->arena, len + 1));
    if (!path) {
        (void)cwsi_op_fail_no_memory(&v->op);
        return NULL;
    }
    for (i = 0; i < 4; i++) {
        len = strlen(parts[i]);
        memcpy(to, parts[i], len + 1);
        to += len;
    }
    return path;
}

static const char *cwsi_function_data_path(cwsi_invocation *v, const char *what, const char *token)
{
    bool json = v->fn->serialization == CWS_SERIALIZE_JSON;
    return cwsi_function_path(v, what, token, json ? ".json" : ".bin");
}

#define CWSI_PAYLOAD "/sandbox_payload_"
#define CWSI_RESULT "/sandbox_result_"
#define CWSI_PROGRAM "/sandbox_function_"

/* What is left of the call's time, in seconds. */
static double cwsi_function_left(const cwsi_invocation *v, int64_t now)
{
    int64_t left = v->op.deadline_ms - now;
    return CWSI_CAST(double, left > 1 ? left : 1) / 1000.0;
}

/* Begin the stop of a sandbox, or join it. Borrowed. NULL: there is no memory for it, but the
 * session still has the sandbox. */
static cws_op *cwsi_function_begin_stop(cws_sandbox *sb)
{
    cwsi_stop_wish wish = CWSI_ZERO;
    cws_op *stop;
    wish.grace_s = CWSI_CAST(int32_t, CWSI_GRACE_S);
    wish.missing_ok = true;
    stop = cwsi_sandbox_stop_op(
        sb, &wish, CWSI_CAST(int64_t, (CWSI_GRACE_S + CWSI_STOP_SLACK_S) * 1000));
    if (!stop)
        cwsi_log(sb->client, CWS_LOG_WARNING,
                 "no memory to stop sandbox '%s'; the close of its session will", sb->id);
    return stop;
}

/* A sandbox that was kept warm is of no use any more. */
static void cwsi_function_let_go(cws_sandbox *sb)
{
    if (!sb->client->free_wanted && !sb->client->dead) (void)cwsi_function_begin_stop(sb);
    cwsi_sandbox_unref(sb);
}

/* The sandbox that was kept, or a new one. */
static void cwsi_function_acquire(cwsi_invocation *v)
{
    cws_op *op = &v->op;
    cws_function *fn = v->fn;
    cws_sandbox *sb = fn->warm;
    fn->warm = NULL;
    if (sb && sb->phase == CWSI_RUNNING && !sb->stop_op && !fn->session->closed) {
        v->reused = v->prepared = true;
        memcpy(v->old_token, fn->warm_token, sizeof(v->old_token));
        op->sandbox = sb;
        return;
    }
    if (sb) cwsi_function_let_go(sb); /* it has ended, or is about to */
    (void)cws_session_sandbox(fn->session, &fn->sandbox, &op->sandbox, &op->err);
}

/* Begin a command, wait for its end. READY: it has ended with a code, or op->err is set. */
static cwsi_turn cwsi_function_exec(cwsi_invocation *v, const char *const *argv, int64_t now)
{
    cws_op *op = &v->op;
    if (!v->running) {
        cws_exec_opts o = CWSI_ZERO;
        o.timeout_seconds = cwsi_function_left(v, now);
        cws_process_free(v->process);
        v->process = NULL;
        if (cws_exec_begin(op->sandbox, argv, &o, &v->process, &op->err)) return CWSI_READY;
        v->running = true;
        (void)cwsi_op_await(op, &v->process->op);
    }
    if (cwsi_join(op) == CWSI_PENDING) return CWSI_PENDING;
    v->running = false;
    return CWSI_READY;
}

/* The output of the last command on stderr, or else on stdout. */
static cwsi_str cwsi_function_output(const cwsi_invocation *v)
{
    const cws_result *r = v->process->result;
    const cwsi_buf *text = r->err.buf.len ? &r->err.buf : &r->out.buf;
    cwsi_str s;
    s.at = text->len ? text->at : "";
    s.len = text->len;
    return s;
}

static cwsi_turn cwsi_function_directory(cwsi_invocation *v, int64_t now)
{
    const char *argv[] = {"mkdir", "-p", "--", NULL, NULL};
    cws_op *op = &v->op;
    if (v->prepared || !v->fn->make_dir) return CWSI_READY;
    argv[3] = v->fn->temp_dir;
    if (cwsi_function_exec(v, argv, now) == CWSI_PENDING) return CWSI_PENDING;
    if (!op->err.status && v->process->exit_code)
        (void)cwsi_function_failed(&op->err, v->fn, "could not get its temp_dir",
                                   v->process->exit_code, cwsi_function_output(v));
    return CWSI_READY;
}

static cwsi_turn cwsi_function_compile(cwsi_invocation *v, int64_t now)
{
    cws_op *op = &v->op;
    const cws_function *fn = v->fn;
    const char **argv;
    size_t n = cwsi_count_strings(fn->compiler), i;
    if (v->prepared || !fn->body) return CWSI_READY;
    if (!v->running) {
        argv = CWSI_AS(const char *, cwsi_arena_alloc(&v->arena, (n + 4) * sizeof(*argv)));
        if (!argv) return cwsi_failed(cwsi_op_fail_no_memory(op));
        argv[0] = fn->compiler[0];
        argv[1] = "-o";
        argv[2] = cwsi_function_path(v, CWSI_PROGRAM, fn->token, "");
        argv[3] = cwsi_function_path(v, CWSI_PROGRAM, fn->token, ".c");
        for (i = 1; i < n; i++) argv[i + 3] = fn->compiler[i];
        if (!argv[2] || !argv[3]) return CWSI_READY;
    } else {
        argv = NULL;
    }
    if (cwsi_function_exec(v, argv, now) == CWSI_PENDING) return CWSI_PENDING;
    if (!op->err.status && v->process->exit_code)
        (void)cwsi_function_failed(&op->err, fn, "does not compile in sandbox",
                                   v->process->exit_code,
                                   cwsi_first_complaint(cwsi_function_output(v)));
    return CWSI_READY;
}

/* The command line of the function. False: op->err is set. */
static bool cwsi_function_command(cwsi_invocation *v, const char ***out)
{
    const cws_function *fn = v->fn;
    size_t n = cwsi_count_strings(fn->interpreter), i;
    const char **argv =
        CWSI_AS(const char *, cwsi_arena_alloc(&v->arena, (n + 8) * sizeof(*argv)));
    *out = argv;
    if (!argv) return cwsi_no(cwsi_op_fail_no_memory(&v->op));
    for (i = 0; i < n && !fn->body; i++) *argv++ = fn->interpreter[i];
    if (fn->body) {
        *argv++ = cwsi_function_path(v, CWSI_PROGRAM, fn->token, "");
    } else {
        *argv++ = "-c";
        *argv++ = cwsi_script_python();
        *argv++ = fn->temp_dir[0] ? fn->temp_dir : "/";
    }
    argv[0] = cwsi_function_data_path(v, CWSI_PAYLOAD, v->token);
    argv[1] = cwsi_function_data_path(v, CWSI_RESULT, v->token);
    argv[2] = cwsi_function_data_path(v, CWSI_RESULT, v->old_token);
    if (!fn->body) argv[3] = fn->serialization == CWS_SERIALIZE_BYTES ? "bytes" : "json";
    return !v->op.err.status;
}

static cwsi_turn cwsi_function_execute(cwsi_invocation *v, int64_t now)
{
    cws_op *op = &v->op;
    const char **argv = NULL;
    v->prepared = true;
    cwsi_buf_free(&v->payload);
    if (!v->running && !cwsi_function_command(v, &argv)) return CWSI_READY;
    if (cwsi_function_exec(v, argv, now) == CWSI_PENDING) return CWSI_PENDING;
    v->ran = !op->err.status;
    if (v->ran && v->process->exit_code)
        (void)cwsi_function_failed(&op->err, v->fn, "execution failed in sandbox",
                                   v->process->exit_code, cwsi_function_output(v));
    return CWSI_READY;
}

/* Wait for the file call that was begun. */
static cwsi_turn cwsi_function_file(cwsi_invocation *v)
{
    if (!v->file) return CWSI_READY; /* it could not be begun: op->err */
    if (!v->op.child) (void)cwsi_op_await(&v->op, v->file);
    return cwsi_join(&v->op);
}

static void cwsi_function_file_done(cwsi_invocation *v)
{
    cws_op_free(v->file);
    v->file = NULL;
}

static cwsi_turn cwsi_function_write(cwsi_invocation *v, const char *path, const void *data,
                                     size_t size, int64_t now)
{
    cws_op *op = &v->op;
    cws_file_opts o = CWSI_ZERO;
    o.timeout_seconds = cwsi_function_left(v, now);
    if (!v->file && path)
        (void)cws_write_file_begin(op->sandbox, path, data, size, &o, &v->file, &op->err);
    if (cwsi_function_file(v) == CWSI_PENDING) return CWSI_PENDING;
    cwsi_function_file_done(v);
    return CWSI_READY;
}

static cwsi_turn cwsi_function_source(cwsi_invocation *v, int64_t now)
{
    const cws_function *fn = v->fn;
    const char *path = "";
    if (v->prepared || !fn->body) return CWSI_READY;
    if (!v->file) path = cwsi_function_path(v, CWSI_PROGRAM, fn->token, ".c");
    return cwsi_function_write(v, path, fn->source, strlen(fn->source), now);
}

static cwsi_turn cwsi_function_payload(cwsi_invocation *v, int64_t now)
{
    const char *path = v->file ? "" : cwsi_function_data_path(v, CWSI_PAYLOAD, v->token);
    return cwsi_function_write(v, path, v->payload.at, v->payload.len, now);
}

/* What came back must be what was agreed upon. */
static cws_status cwsi_check_result(const cws_function *fn, const cws_bytes *bytes, cws_error *err)
{
    if (fn->serialization == CWS_SERIALIZE_BYTES ||
        cwsi_is_json(bytes->at, bytes->len, CWSI_JSON_END))
        return CWS_OK;
    return cwsi_fail(err, CWS_ERR_FUNCTION_SERIALIZATION,
                     "Function '%.*s' gave a result that is no JSON, or is nested too deep", 64,
                     fn->name);
}

static cwsi_turn cwsi_function_result(cwsi_invocation *v, int64_t now)
{
    cws_op *op = &v->op;
    cws_file_opts o = CWSI_ZERO;
    o.timeout_seconds = cwsi_function_left(v, now);
    if (!v->file) {
        const char *path = cwsi_function_data_path(v, CWSI_RESULT, v->token);
        if (path) (void)cws_read_file_begin(op->sandbox, path, &o, &v->file, &op->err);
    }
    if (cwsi_function_file(v) == CWSI_PENDING) return CWSI_PENDING;
    v->bytes = op->err.status ? NULL : cws_op_take_bytes(v->file);
    cwsi_function_file_done(v);
    if (v->bytes) (void)cwsi_check_result(v->fn, v->bytes, &op->err);
    return CWSI_READY;
}

/* ================================================================================================
 * >>impl-op-function
 * One call of a function. Whatever happens behind ACQUIRE ends in STOP; where there is no time for
 * that (cancelled, deadline), the stop is begun and goes on by itself.
 *
 *      ACQUIRE --> START --> DIRECTORY --> SOURCE --> COMPILE --> PAYLOAD --> RUN --> RESULT
 *         ^          |           |       (once per sandbox)          |         |        |
 *         |          `-----------`---------------failed--------------'---------'--------'--> STOP
 *         `--the sandbox that was kept warm is gone, and nothing was run--'
 * ============================================================================================= */

/* The sandbox is not needed any more: kept for the next call, or its stop is begun. Returns the
 * stop, if there is one. */
static cws_op *cwsi_function_settle(cwsi_invocation *v)
{
    cws_op *op = &v->op;
    cws_function *fn = v->fn;
    cws_sandbox *sb = op->sandbox;
    cws_status status = v->outcome.status;
    if (v->settled || !sb || op->client->free_wanted) return NULL;
    v->settled = true;
    if (fn->keep_warm && !fn->freed && !fn->warm && !fn->session->closed && v->ran &&
        sb->phase == CWSI_RUNNING && !sb->stop_op &&
        (!status || status == CWS_ERR_EXECUTION || status == CWS_ERR_FUNCTION_SERIALIZATION)) {
        fn->warm = sb;
        sb->refs++;
        memcpy(fn->warm_token, v->token, sizeof(fn->warm_token));
        return NULL;
    }
    return cwsi_function_begin_stop(sb);
}

static cwsi_turn cwsi_function_stop(cwsi_invocation *v)
{
    cws_op *op = &v->op, *stop = cwsi_function_settle(v);
    if (stop) (void)cwsi_op_await(op, stop);
    if (!op->child) return CWSI_READY;
    if (!op->child->done) return CWSI_PENDING;
    if (op->child->err.status)
        cwsi_log(op->client, CWS_LOG_WARNING, "Function '%.*s': %s", 64, v->fn->name,
                 op->child->err.message);
    cwsi_op_leave(op);
    return CWSI_READY;
}

/* Is it only that the sandbox, which was idle for a while, is not there any more? */
static bool cwsi_function_may_retry(const cwsi_invocation *v)
{
    cws_status status = v->op.err.status;
    return v->reused && v->op.step < CWSI_FUNCTION_RUN &&
           (status == CWS_ERR_NOT_RUNNING || status == CWS_ERR_NOT_FOUND ||
            status == CWS_ERR_TERMINATED || status == CWS_ERR_FAILED);
}

/* A step has failed: say of which function and where. */
static void cwsi_function_broke(cwsi_invocation *v)
{
    cws_op *op = &v->op;
    cws_error why = op->err;
    if (cwsi_function_may_retry(v)) {
        cwsi_error_clear(&op->err);
        cwsi_function_let_go(op->sandbox);
        op->sandbox = NULL;
        v->reused = v->prepared = false;
        v->old_token[0] = '\0';
        op->step = CWSI_FUNCTION_ACQUIRE;
        return;
    }
    if (!why.sandbox_id[0]) cwsi_name_sandbox(op, &why);
    cwsi_error_clear(&op->err);
    v->outcome = why;
    v->outcome.status = CWS_OK;
    if (strncmp(why.message, "Function '", 10) == 0)
        (void)cwsi_fail(&v->outcome, why.status, "%s", why.message);
    else
        (void)cwsi_fail(&v->outcome, why.status, "Function '%.*s', %s: %s%s", 64, v->fn->name,
                        cwsi_function_step_name(op->step),
                        op->step == CWSI_FUNCTION_RESULT && why.status == CWS_ERR_FILE
                            ? "it ended without one: " : "",
                        why.message);
    op->step = CWSI_FUNCTION_STOP;
}

static cwsi_turn cwsi_function_step(cwsi_invocation *v, int64_t now)
{
    switch (v->op.step) {
    case CWSI_FUNCTION_ACQUIRE: cwsi_function_acquire(v); break;
    case CWSI_FUNCTION_START: return cwsi_prelude(&v->op);
    case CWSI_FUNCTION_DIRECTORY: return cwsi_function_directory(v, now);
    case CWSI_FUNCTION_SOURCE: return cwsi_function_source(v, now);
    case CWSI_FUNCTION_COMPILE: return cwsi_function_compile(v, now);
    case CWSI_FUNCTION_PAYLOAD: return cwsi_function_payload(v, now);
    case CWSI_FUNCTION_RUN: return cwsi_function_execute(v, now);
    case CWSI_FUNCTION_RESULT: return cwsi_function_result(v, now);
    case CWSI_FUNCTION_STOP: return cwsi_function_stop(v);
    }
    return CWSI_READY;
}

static cwsi_turn cwsi_function_run(cws_op *op, int64_t now)
{
    cwsi_invocation *v = CWSI_AS(cwsi_invocation, op);
    for (;;) {
        if (cwsi_function_step(v, now) == CWSI_PENDING) return CWSI_PENDING;
        if (op->step == CWSI_FUNCTION_STOP) {
            (void)cwsi_copy_error(&op->err, &v->outcome);
            return CWSI_READY;
        }
        if (op->err.status) cwsi_function_broke(v);
        else op->step++;
    }
}

static bool cwsi_function_expire(cws_op *op)
{
    cwsi_invocation *v = CWSI_AS(cwsi_invocation, op);
    if (op->step == CWSI_FUNCTION_STOP) { /* the rest of the stop goes on by itself */
        (void)cwsi_copy_error(&op->err, &v->outcome);
        return true;
    }
    (void)cwsi_fail(&op->err, CWS_ERR_TIMEOUT, "Function '%.*s' timed out after %lld ms, %s", 64,
                    v->fn->name, CWSI_CAST(long long, v->fn->timeout_ms),
                    cwsi_function_step_name(op->step));
    return true;
}

static void cwsi_function_ended(cws_op *op)
{
    cwsi_invocation *v = CWSI_AS(cwsi_invocation, op);
    if (op->err.status && !v->outcome.status) v->outcome = op->err; /* cancelled, or no time */
    cwsi_op_leave(op);
    cwsi_function_file_done(v);
    if (v->running) (void)cws_process_cancel(v->process);
    (void)cwsi_function_settle(v);
    cwsi_buf_free(&v->payload);
    if (v->map) cwsi_op_wake(v->map);
}

static void cwsi_function_destroy(cws_op *op)
{
    cwsi_invocation *v = CWSI_AS(cwsi_invocation, op);
    cws_process_free(v->process);
    cws_bytes_free(v->bytes);
    cwsi_buf_free(&v->payload);
    cwsi_arena_clear(&v->arena);
    cwsi_function_unref(v->fn);
}

static const cwsi_op_kind *cwsi_function_kind(void)
{
    static const char *const steps[] = {CWSI_FUNCTION_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Call function",     steps,
                                      cwsi_function_run,   cwsi_function_expire,
                                      cwsi_function_ended, cwsi_function_destroy};
    return &kind;
}

/* A new call from checked input; its time begins now. NULL: err is set. */
static cwsi_invocation *cwsi_invocation_new(cws_function *fn, const cwsi_input *in, cws_error *err)
{
    cws_client *c = fn->client;
    cws_op *op = cwsi_op_new(c, sizeof(cwsi_invocation), cwsi_function_kind(), NULL);
    cwsi_invocation *v = op ? CWSI_AS(cwsi_invocation, op) : NULL;
    if (!v) {
        (void)cwsi_no_memory(err, "Call function");
        return NULL;
    }
    v->fn = fn;
    fn->refs++;
    cwsi_arena_init(&v->arena, &c->mem);
    cwsi_buf_init(&v->payload, &c->mem, CWSI_FILE_MAX);
    cwsi_token(c, v->token);
    op->deadline_ms = cwsi_after(cwsi_now(c), fn->timeout_ms);
    if (cwsi_put_payload(&v->payload, fn, in)) return v;
    if (v->payload.status == CWS_ERR_LIMIT)
        (void)cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                        "the arguments and the source are larger than 256 MiB together");
    else (void)cwsi_no_memory(err, "Call function");
    cws_op_free(op);
    return NULL;
}

/* ================================================================================================
 * >>impl-op-map
 * Many calls of a function, so many at the same time. Calls that failed are kept as they are: they
 * have the error.
 *
 *      RUN --every call ended--> done
 * ============================================================================================= */

#define CWSI_MAP_LIMIT 16
#define CWSI_MAP_STEPS(X) X(RUN)

typedef struct cwsi_mapped {
    cwsi_invocation *call; /* in flight, or failed; the handle */
    cws_bytes *bytes;      /* of one that succeeded */
    cws_status failed;     /* it could not be begun */
} cwsi_mapped;

struct cws_function_results {
    cws_client *client; /* held */
    size_t count;
    cwsi_mapped *items;
};

typedef struct cwsi_map {
    cws_op op;
    cws_function *fn;  /* held */
    cwsi_arena arena;
    cwsi_input *inputs;
    size_t count, next;
    size_t *slots, limit; /* which item is in flight, + 1; 0: none */
    cws_function_results *results;
} cwsi_map;

static void cwsi_results_free(cws_function_results *r)
{
    cws_client *c;
    size_t i;
    if (!r) return;
    c = r->client;
    for (i = 0; i < r->count; i++) {
        cws_bytes_free(r->items[i].bytes);
        if (r->items[i].call) cws_op_free(&r->items[i].call->op);
    }
    cwsi_free(&c->mem, r->items);
    cwsi_free(&c->mem, r);
    cwsi_client_unref(c);
}

/* Begin the next call. False: it failed right away. */
static bool cwsi_map_begin(cwsi_map *m, size_t index)
{
    cwsi_mapped *item = &m->results->items[index];
    cws_error err;
    cwsi_error_clear(&err);
    item->call = cwsi_invocation_new(m->fn, &m->inputs[index], &err);
    if (item->call) item->call->map = &m->op;
    else item->failed = err.status;
    return item->call != NULL;
}

/* Take what an ended call brought. */
static void cwsi_map_harvest(cwsi_mapped *item)
{
    cwsi_invocation *v = item->call;
    v->map = NULL;
    if (v->op.err.status) return;
    item->bytes = v->bytes;
    v->bytes = NULL;
    item->call = NULL;
    cws_op_free(&v->op);
}

static cwsi_turn cwsi_map_run(cws_op *op, int64_t now)
{
    cwsi_map *m = CWSI_AS(cwsi_map, op);
    size_t i, running = 0;
    (void)now;
    for (i = 0; i < m->limit; i++) {
        size_t *slot = &m->slots[i];
        if (*slot && m->results->items[*slot - 1].call->op.done) {
            cwsi_map_harvest(&m->results->items[*slot - 1]);
            *slot = 0;
        }
        while (*slot == 0 && m->next < m->count) {
            m->next++;
            if (cwsi_map_begin(m, m->next - 1)) *slot = m->next;
        }
        if (*slot) running++;
    }
    return running ? CWSI_PENDING : CWSI_READY;
}

/* Cancelled: every call is. */
static void cwsi_map_ended(cws_op *op)
{
    cwsi_map *m = CWSI_AS(cwsi_map, op);
    size_t i;
    for (i = 0; m->results && i < m->results->count; i++) {
        cwsi_invocation *v = m->results->items[i].call;
        if (!v || v->op.done) continue;
        v->map = NULL;
        (void)cws_op_cancel(&v->op);
    }
}

static void cwsi_map_destroy(cws_op *op)
{
    cwsi_map *m = CWSI_AS(cwsi_map, op);
    cwsi_results_free(m->results);
    cwsi_arena_clear(&m->arena);
    cwsi_function_unref(m->fn);
}

static const cwsi_op_kind *cwsi_map_kind(void)
{
    static const char *const steps[] = {CWSI_MAP_STEPS(CWSI_AS_STEP_NAME) NULL};
    static const cwsi_op_kind kind = {"Map function", steps,          cwsi_map_run,
                                      NULL,           cwsi_map_ended, cwsi_map_destroy};
    return &kind;
}

/* A new map over `count` inputs, which are filled in next. NULL: out of memory. */
static cwsi_map *cwsi_map_new(cws_function *fn, size_t count, size_t limit)
{
    cws_client *c = fn->client;
    cws_op *op = cwsi_op_new(c, sizeof(cwsi_map), cwsi_map_kind(), NULL);
    cwsi_map *m = op ? CWSI_AS(cwsi_map, op) : NULL;
    size_t inputs = 0, slots = 0, items = 0;
    if (!m) return NULL;
    m->fn = fn;
    fn->refs++;
    m->limit = limit == 0 ? CWSI_MAP_LIMIT : limit;
    if (m->limit > count) m->limit = count;
    m->count = count;
    cwsi_arena_init(&m->arena, &c->mem);
    m->results = CWSI_NEW(&c->mem, cws_function_results);
    if (m->results) {
        m->results->client = c;
        c->refs++;
    }
    if (m->results && cwsi_mul(count + 1, sizeof(cwsi_input), &inputs) &&
        cwsi_mul(m->limit + 1, sizeof(size_t), &slots) &&
        cwsi_mul(count + 1, sizeof(cwsi_mapped), &items)) {
        m->inputs = CWSI_AS(cwsi_input, cwsi_arena_alloc(&m->arena, inputs));
        m->slots = CWSI_AS(size_t, cwsi_arena_alloc(&m->arena, slots));
        m->results->items = CWSI_AS(cwsi_mapped, cwsi_alloc(&c->mem, items));
        if (m->results->items) m->results->count = count;
    }
    if (m->inputs && m->slots && m->results->items) return m;
    cws_op_free(op);
    return NULL;
}

/* ================================================================================================
 * >>impl-function-local
 * A function without a sandbox: C by a call, Python by a process of this machine. Files go where
 * they would go in a sandbox; none of them stays.
 * ============================================================================================= */

/* Bytes from a buffer, which is taken over. NULL: out of memory, and the buffer is freed. */
static cws_bytes *cwsi_bytes_of(cws_client *c, cwsi_buf *buf)
{
    cws_bytes *bytes = CWSI_NEW(&c->mem, cws_bytes);
    if (!bytes) {
        cwsi_buf_free(buf);
        return NULL;
    }
    bytes->client = c;
    c->refs++;
    bytes->buf = *buf;
    bytes->at = buf->at;
    bytes->len = buf->len;
    return bytes;
}

typedef struct cwsi_local_io {
    cws_io io;
    cwsi_buf out;
    bool failed;
    char why[280];
} cwsi_local_io;

static void cwsi_local_fail(cws_io *io, const char *text)
{
    cwsi_local_io *l = CWSI_AS(cwsi_local_io, io);
    if (l->failed) return;
    l->failed = true;
    cwsi_copy_text(l->why, sizeof(l->why), text, strlen(text));
}

static bool cwsi_local_write(cws_io *io, const void *data, size_t size)
{
    cwsi_local_io *l = CWSI_AS(cwsi_local_io, io);
    if (cwsi_put(&l->out, data, size)) return true;
    cwsi_local_fail(io, "out of memory");
    return false;
}

static cws_status cwsi_local_c(cws_function *fn, const cwsi_input *in, cws_bytes **out,
                               cws_error *err)
{
    cws_client *c = fn->client;
    cwsi_local_io l = CWSI_ZERO;
    cwsi_buf input;
    cws_status status = CWS_OK;
    cwsi_buf_init(&input, &c->mem, CWSI_FILE_MAX);
    cwsi_buf_init(&l.out, &c->mem, CWSI_FILE_MAX);
    l.io.write = cwsi_local_write;
    l.io.fail = cwsi_local_fail;
    if (cwsi_put_payload(&input, fn, in)) {
        fn->body(input.at, input.len, &l.io);
        status = l.out.status;
        if (l.failed && !status) {
            cwsi_str why = cwsi_str_of(l.why);
            if (err) err->exit_code = 1;
            if (err) cwsi_add_cut(err, "exception_message", why, 280);
            status = cwsi_fail(err, CWS_ERR_EXECUTION, "Function '%.*s' execution failed: %s", 64,
                               fn->name, l.why);
        }
    } else {
        status = input.status;
    }
    cwsi_buf_free(&input);
    if (status) cwsi_buf_free(&l.out);
    else *out = cwsi_bytes_of(c, &l.out);
    if (status == CWS_ERR_LIMIT)
        return cwsi_fail(err, status, "Function '%.*s': more than 256 MiB", 64, fn->name);
    return status == CWS_ERR_EXECUTION ? status : *out ? CWS_OK : cwsi_no_memory(err, fn->name);
}

#if CWSI_HAS_PROCESS

typedef struct cwsi_local_call {
    cws_function *fn;
    cwsi_arena arena;
    const char *payload, *result, *errors; /* paths */
} cwsi_local_call;

static cws_status cwsi_local_broken(const cwsi_local_call *l, const char *what, int code,
                                    cws_error *err)
{
    if (err) err->transport_code = code;
    return cwsi_fail(err, CWS_ERR_FILE, "Function '%.*s': %s (errno %d)", 64, l->fn->name, what,
                     code);
}

/* Make temp_dir and what is above it, as far as it is missing: what fails shows later. */
static void cwsi_local_make_dir(cwsi_local_call *l)
{
    const char *dir = l->fn->temp_dir, *end = dir;
    while (*end) {
        const char *part;
        end += 1 + strcspn(end + 1, "/");
        part = cwsi_arena_copy(&l->arena, dir, CWSI_CAST(size_t, end - dir));
        if (part) (void)mkdir(part, 0700);
    }
}

static cws_status cwsi_local_put(const cwsi_local_call *l, const cwsi_buf *data, cws_error *err)
{
    int fd = open(l->payload, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t at = 0;
    ssize_t n = 0;
    while (fd >= 0 && at < data->len && (n >= 0 || errno == EINTR)) {
        n = write(fd, data->at + at, data->len - at);
        if (n > 0) at += CWSI_CAST(size_t, n);
    }
    if (fd < 0 || at < data->len) {
        int code = errno;
        if (fd >= 0) (void)close(fd);
        return cwsi_local_broken(l, "its arguments can not be written", code, err);
    }
    return close(fd) ? cwsi_local_broken(l, "its arguments can not be written", errno, err)
                     : CWS_OK;
}

/* Read a file of the call; false: errno says why, or memory has ended (0). */
static bool cwsi_local_get(const char *path, cwsi_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), code = 0;
    ssize_t n = 1;
    if (fd < 0) return false;
    while (n != 0) {
        if (!cwsi_buf_reserve(out, 65536)) break;
        n = read(fd, out->at + out->len, 65536);
        if (n > 0) out->len += CWSI_CAST(size_t, n);
        if (n < 0 && errno != EINTR) break;
    }
    if (n < 0) code = errno;
    (void)close(fd);
    errno = code;
    if (n == 0) out->at[out->len] = '\0';
    return n == 0;
}

/* Run the script. Its standard input is empty, its output this process's, its errors a file. */
static int cwsi_local_spawn(const cwsi_local_call *l, pid_t *pid)
{
    extern char **environ; /* of POSIX; not every system declares it */
    const cws_function *fn = l->fn;
    const char *mode = fn->serialization == CWS_SERIALIZE_BYTES ? "bytes" : "json";
    const char *words[] = {NULL, "-c", NULL, NULL, NULL, NULL, "", NULL};
    char *argv[10] = {NULL};
    posix_spawn_file_actions_t actions;
    size_t i;
    int code;
    words[0] = fn->local_interpreter;
    words[2] = cwsi_script_python();
    words[3] = fn->temp_dir[0] ? fn->temp_dir : "/";
    words[4] = l->payload;
    words[5] = l->result;
    words[7] = mode;
    for (i = 0; i < CWSI_COUNT(words); i++) memcpy(&argv[i], &words[i], sizeof(argv[i]));
    code = posix_spawn_file_actions_init(&actions);
    if (code) return code;
    code = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!code)
        code = posix_spawn_file_actions_addopen(&actions, 2, l->errors,
                                                O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!code) code = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return code;
}

/* Wait for the child, and kill it when its time is over. Its exit code, 128 + signal, or -1. */
static int cwsi_local_wait(cws_client *c, pid_t pid, int64_t until)
{
    int state = 0, pause = 1;
    pid_t got;
    bool late = false;
    while ((got = waitpid(pid, &state, late ? 0 : WNOHANG)) != pid) {
        if (got < 0 && errno != EINTR) return 0; /* somebody reaped it: its files tell */
        if (late) continue;
        late = cwsi_now(c) >= until;
        if (late) (void)kill(pid, SIGKILL);
        else cwsi_sleep(pause);
        if (pause < 16) pause *= 2;
    }
    if (late) return -1;
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

/* The child has ended: what did it leave? */
static cws_status cwsi_local_result(const cwsi_local_call *l, int code, cws_bytes **out,
                                    cws_error *err)
{
    cws_client *c = l->fn->client;
    cws_error unused;
    cwsi_buf buf;
    if (!err) {
        cwsi_error_clear(&unused);
        err = &unused;
    }
    if (code < 0)
        return cwsi_fail(err, CWS_ERR_TIMEOUT, "Function '%.*s' timed out after %lld ms, %s", 64,
                         l->fn->name, CWSI_CAST(long long, l->fn->timeout_ms), "running it here");
    cwsi_buf_init(&buf, &c->mem, CWSI_FILE_MAX);
    if (code) {
        cwsi_str output;
        (void)cwsi_local_get(l->errors, &buf);
        output.at = buf.len ? buf.at : "";
        output.len = buf.len;
        (void)cwsi_function_failed(err, l->fn, "execution failed", code, output);
        cwsi_buf_free(&buf);
        return CWS_ERR_EXECUTION;
    }
    if (!cwsi_local_get(l->result, &buf)) {
        cws_status status = buf.status;
        code = errno;
        cwsi_buf_free(&buf);
        return status ? cwsi_fail(err, status, "Function '%.*s': %s", 64, l->fn->name,
                                  cws_status_text(status))
                      : cwsi_local_broken(l, "it ended without a result", code, err);
    }
    *out = cwsi_bytes_of(c, &buf);
    return *out ? CWS_OK : cwsi_no_memory(err, l->fn->name);
}

static cws_status cwsi_local_run(cwsi_local_call *l, const cwsi_input *in, cws_bytes **out,
                                 cws_error *err)
{
    cws_client *c = l->fn->client;
    int64_t until = cwsi_after(cwsi_now(c), l->fn->timeout_ms);
    cws_status status;
    cwsi_buf payload;
    pid_t pid = 0;
    int code;
    cwsi_buf_init(&payload, &c->mem, CWSI_FILE_MAX);
    if (!cwsi_put_payload(&payload, l->fn, in)) {
        status = payload.status;
        cwsi_buf_free(&payload);
        return cwsi_fail(err, status, "Function '%.*s': %s", 64, l->fn->name,
                         cws_status_text(status));
    }
    cwsi_local_make_dir(l);
    status = cwsi_local_put(l, &payload, err);
    cwsi_buf_free(&payload);
    if (!status) {
        code = cwsi_local_spawn(l, &pid);
        if (code) status = cwsi_local_broken(l, "local_interpreter can not be run", code, err);
        else status = cwsi_local_result(l, cwsi_local_wait(c, pid, until), out, err);
    }
    (void)unlink(l->payload);
    (void)unlink(l->result);
    (void)unlink(l->errors);
    return status;
}

static const char *cwsi_local_path(cwsi_local_call *l, const char *what, const char *token)
{
    size_t size = strlen(l->fn->temp_dir) + 64;
    char *path = CWSI_CAST(char *, cwsi_arena_alloc(&l->arena, size));
    if (path) (void)cwsi_format(path, size, "%s/sandbox_%s_%s", l->fn->temp_dir, what, token);
    return path;
}

static cws_status cwsi_local_python(cws_function *fn, const cwsi_input *in, cws_bytes **out,
                                    cws_error *err)
{
    cwsi_local_call l = CWSI_ZERO;
    char token[33];
    cws_status status;
    if (!fn->local_interpreter)
        return cwsi_fail(err, CWS_ERR_UNSUPPORTED,
                         "Function '%.*s' is Python: local_interpreter says what runs it here", 64,
                         fn->name);
    l.fn = fn;
    cwsi_arena_init(&l.arena, &fn->client->mem);
    cwsi_token(fn->client, token);
    l.payload = cwsi_local_path(&l, "payload", token);
    l.result = cwsi_local_path(&l, "result", token);
    l.errors = cwsi_local_path(&l, "errors", token);
    if (l.payload && l.result && l.errors) status = cwsi_local_run(&l, in, out, err);
    else status = cwsi_no_memory(err, fn->name);
    cwsi_arena_clear(&l.arena);
    return status;
}

#else

static cws_status cwsi_local_python(cws_function *fn, const cwsi_input *in, cws_bytes **out,
                                    cws_error *err)
{
    (void)in;
    (void)out;
    return cwsi_fail(err, CWS_ERR_UNSUPPORTED,
                     "Function '%.*s' is Python: this build starts no process (it needs "
                     "POSIX.1-2008, and no CWS_NO_PROCESS)", 64, fn->name);
}

#endif

/* ================================================================================================
 * >>impl-client
 * Opening a client: checking the configuration, credentials to headers, shutting down.
 * ============================================================================================= */

/* 127.0.0.0/8, [::1] and localhost: names a credential may go to without TLS. */
static bool cwsi_is_loopback(const char *host, size_t len)
{
    size_t i, dots = 0;
    char name[64];
    if (len == 0 || len >= sizeof(name)) return false;
    memcpy(name, host, len);
    name[len] = '\0';
    if (cwsi_same_nocase(name, "localhost") || strcmp(name, "[::1]") == 0) return true;
    for (i = 0; i < len; i++) { /* digits only: 127.example.com is somebody's machine */
        if (name[i] == '.') dots++;
        else if (!cwsi_is_digit(name[i])) return false;
    }
    return dots == 3 && strncmp(name, "127.", 4) == 0;
}

/* scheme://host[:port][/], nothing else. *len: without the trailing slash. *https, *loopback. */
static cws_status cwsi_check_url(cws_error *err, const char *url, size_t *len, bool *https,
                                 bool *loopback)
{
    const char *host, *p;
    const char *wrong = NULL;
    size_t host_len, i;
    int64_t port = 1;
    *loopback = false;
    if (strchr(url, '@')) /* not shown: what stands before it may be a password */
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "base_url must have no user or password; give api_key instead");
    *https = cwsi_starts_nocase(url, "https://");
    host = url + (*https ? 8 : 7);
    if (!*https && !cwsi_starts_nocase(url, "http://")) wrong = "it must begin with https://";
    for (i = 0; !wrong && url[i]; i++)
        if (url[i] <= ' ' || url[i] > '~') wrong = "it contains a blank or control character";
    if (!wrong && i > 1024) wrong = "it is longer than 1024 bytes";
    if (wrong)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "base_url '%.*s': %s", 100, url, wrong);
    p = host;
    if (*p == '[') {
        while (*p && *p != ']' && *p != '/') p++;
        if (*p == ']') p++;
        else wrong = "the bracket of its IPv6 address is not closed";
    } else {
        while (*p && !strchr(":/?#@[]", *p)) p++;
    }
    host_len = CWSI_CAST(size_t, p - host);
    if (host_len == 0) wrong = "it has no host";
    if (*p == ':' && !wrong) {
        const char *digits = ++p;
        while (cwsi_is_digit(*p)) p++;
        if (!cwsi_parse_i64(digits, CWSI_CAST(size_t, p - digits), &port) || port < 1 ||
            port > 65535)
            wrong = "its port must be 1 to 65535";
    }
    *len = CWSI_CAST(size_t, p - url);
    while (*p == '/') p++;
    if (!wrong && *p) wrong = "it must have no path, query, fragment or user";
    *loopback = cwsi_is_loopback(host, host_len);
    if (wrong)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "base_url '%.*s': %s", 100, url, wrong);
    return CWS_OK;
}

/* A header value: trimmed, printable ASCII. The value itself is never shown. */
static cws_status cwsi_check_header(cws_error *err, cwsi_arena *a, const char *name,
                                    const char *prefix, const char *value, const char **out)
{
    size_t len = strlen(value), i, n = strlen(prefix);
    char *copy;
    for (; len && (*value == ' ' || *value == '\t' || *value == '\n' || *value == '\r'); len--)
        value++;
    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t' || value[len - 1] == '\n' ||
                   value[len - 1] == '\r'))
        len--;
    for (i = 0; i < len && value[i] >= ' ' && value[i] <= '~'; i++) {}
    if (len == 0 || i < len || len > 8000)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s %s", name,
                         len == 0 ? "is blank"
                         : i < len ? "contains a line break or another character that no header has"
                                   : "is too long");
    copy = CWSI_CAST(char *, cwsi_arena_alloc(a, n + len + 1));
    if (!copy) return cwsi_no_memory(err, name);
    memcpy(copy, prefix, n);
    memcpy(copy + n, value, len);
    *out = copy;
    return CWS_OK;
}

static const char *cwsi_env(const cws_client_opts *o, const char *name)
{
    const char *value = o->no_environment ? NULL : getenv(name);
    return value && value[0] ? value : NULL;
}

static cws_status cwsi_add_header(cws_client *c, cws_error *err, const char *option,
                                  const char *name, const char *prefix, const char *value)
{
    const char *checked = NULL;
    cws_status status = cwsi_check_header(err, &c->arena, option, prefix, value, &checked);
    if (status) return status;
    CWS_ASSERT(c->header_count < CWSI_COUNT(c->headers));
    cwsi_header_set(&c->headers[c->header_count++], name, checked);
    return CWS_OK;
}

/* Either a bearer token or a W&B key with its routing, never both; *any: one is there. */
static cws_status cwsi_add_credentials(cws_client *c, const cws_client_opts *o, cws_error *err,
                                       bool *any)
{
    const char *key = o->api_key;
    *any = true;
    if (o->wandb_api_key) {
        if (key)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "give api_key or wandb_api_key, not both");
        if (cwsi_add_header(c, err, "wandb_api_key", "x-wandb-api-key", "", o->wandb_api_key) ||
            (o->wandb_entity &&
             cwsi_add_header(c, err, "wandb_entity", "x-entity-id", "", o->wandb_entity)) ||
            (o->wandb_project &&
             cwsi_add_header(c, err, "wandb_project", "x-project-name", "", o->wandb_project)))
            return err->status;
        return cwsi_add_header(c, err, "version", "x-wandb-sdk-version", "", CWS_VERSION_STRING);
    }
    if (o->wandb_entity || o->wandb_project)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "wandb_entity and wandb_project need wandb_api_key");
    if (!key) key = cwsi_env(o, "CWSANDBOX_API_KEY");
    *any = key != NULL;
    if (!key) return CWS_OK; /* the service will say that a credential is missing */
    return cwsi_add_header(c, err, o->api_key ? "api_key" : "CWSANDBOX_API_KEY", "authorization",
                           "Bearer ", key);
}

static cws_status cwsi_configure_address(cws_client *c, const cws_client_opts *o, cws_error *err)
{
    const char *url = o->base_url ? o->base_url : cwsi_env(o, "CWSANDBOX_BASE_URL");
    size_t len = 0;
    bool https = false, loopback = false, credential = false;
    if (!url) url = CWSI_DEFAULT_URL;
    if (cwsi_check_url(err, url, &len, &https, &loopback) ||
        cwsi_add_credentials(c, o, err, &credential))
        return err->status;
    if (credential && !https && !loopback && !o->allow_insecure_credential)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "base_url '%.*s': a credential is not sent over plain http to another "
                         "machine; use https, or set allow_insecure_credential",
                         100, url);
    c->base_url = cwsi_arena_copy(&c->arena, url, len);
    return c->base_url ? CWS_OK : cwsi_no_memory(err, "client");
}

static cws_status cwsi_configure_limits(cws_client *c, const cws_client_opts *o, cws_error *err)
{
    int64_t unused;
    if (cwsi_check_seconds(err, "request_timeout_seconds", o->request_timeout_seconds,
                           CWSI_CAST(int64_t, CWSI_REQUEST_TIMEOUT_S * 1000), false,
                           &c->request_timeout_ms) ||
        cwsi_check_seconds(err, "poll_retry_budget_seconds", o->poll_retry_budget_seconds,
                           CWSI_CAST(int64_t, CWSI_RETRY_BUDGET_S * 1000), true,
                           &c->retry_budget_ms) ||
        cwsi_check_seconds(err, "poll_rpc_timeout_seconds", o->poll_rpc_timeout_seconds,
                           CWSI_CAST(int64_t, CWSI_POLL_RPC_TIMEOUT_S * 1000), false,
                           &c->poll_rpc_ms) ||
        cwsi_check_seconds(err, "connect_timeout_seconds", o->connect_timeout_seconds, 0, false,
                           &unused))
        return err->status;
    if (CWSI_CAST(unsigned, o->http_version) > CWS_HTTP_2)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "http_version must be CWS_HTTP_AUTO, _1_1 or _2");
    if (!o->client_cert_file != !o->client_key_file)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "client_cert_file and client_key_file must be given together");
    if (o->max_message_bytes > CWSI_MAX_MEMORY)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "max_message_bytes: at most 1 GiB");
    c->max_message = o->max_message_bytes ? CWSI_CAST(size_t, o->max_message_bytes)
                                          : CWSI_MAX_MESSAGE;
    return CWS_OK;
}

static cws_status cwsi_configure_dialect(cws_client *c, const cws_client_opts *o, cws_error *err)
{
    const char *name = cwsi_env(o, "CWSANDBOX_API_VERSION");
    bool old = o->api_version == CWS_API_V1BETA2;
    if (o->api_version != CWS_API_DEFAULT && o->api_version != CWS_API_V1 && !old)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "api_version must be CWS_API_DEFAULT, CWS_API_V1 or CWS_API_V1BETA2");
    if (o->api_version == CWS_API_DEFAULT && name) {
        old = strcmp(name, "v1beta2") == 0;
        if (!old && strcmp(name, "v1") != 0)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "CWSANDBOX_API_VERSION='%.*s' must be v1 or v1beta2", 32, name);
    }
    c->dialect = old ? cwsi_dialect_b2() : cwsi_dialect_v1();
    return CWS_OK;
}

static const char *cwsi_protocol_source(const cws_client_opts *o)
{
    return o->protocol ? "the option protocol" : "CWSANDBOX_PROTOCOL";
}

static cws_status cwsi_configure_protocol(cws_client *c, const cws_client_opts *o, cws_error *err)
{
    const char *name = cwsi_env(o, "CWSANDBOX_PROTOCOL");
    if (CWSI_CAST(unsigned, o->protocol) > CWS_PROTOCOL_GRPC)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "protocol must be CWS_PROTOCOL_DEFAULT, _CONNECT or _GRPC");
    c->grpc = o->protocol == CWS_PROTOCOL_GRPC;
    if (o->protocol == CWS_PROTOCOL_DEFAULT && name) {
        c->grpc = strcmp(name, "grpc") == 0;
        if (!c->grpc && strcmp(name, "connect") != 0)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "CWSANDBOX_PROTOCOL='%.*s': it must be connect or grpc", 32, name);
    }
    if (c->grpc && o->http_version == CWS_HTTP_1_1)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "http_version: gRPC (%s) needs HTTP/2, so not CWS_HTTP_1_1",
                         cwsi_protocol_source(o));
    return CWS_OK;
}

#ifndef CWS_NO_CURL
static cws_status cwsi_curl_open(cws_client *c, const cws_client_opts *o, cws_transport *out,
                                 cws_error *err);
#endif

static cws_status cwsi_configure_transport(cws_client *c, const cws_client_opts *o, cws_error *err)
{
    const cws_transport *t = o->transport;
    if (t) {
        bool streaming = t->open || t->send || t->window || t->cancel || t->poll;
        if (cwsi_check_zero(err, "cws_transport", t->must_be_zero)) return err->status;
        if (streaming && !(t->open && t->send && t->window && t->cancel && t->poll))
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "transport: the streaming tier needs open, send, window, cancel and "
                             "poll");
        if (!streaming && !t->perform)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "transport: give perform, or the streaming tier");
        if (c->grpc && !(streaming && t->trailers))
            return cwsi_fail(err, CWS_ERR_UNSUPPORTED,
                             "transport: gRPC (%s) needs the streaming tier, and one that reports "
                             "trailers; Connect does not",
                             cwsi_protocol_source(o));
        c->transport = *t;
        c->streaming = streaming;
        return CWS_OK;
    }
#ifdef CWS_NO_CURL
    return cwsi_fail(err, CWS_ERR_UNSUPPORTED,
                     "this build has no libcurl (CWS_NO_CURL): give a transport in the options");
#else
    c->streaming = true;
    return cwsi_curl_open(c, o, &c->transport, err);
#endif
}

static cws_status cwsi_client_configure(cws_client *c, const cws_client_opts *o, cws_error *err)
{
    const char *suffix = o->user_agent_suffix;
    if (cwsi_configure_limits(c, o, err) || cwsi_configure_dialect(c, o, err) ||
        cwsi_configure_protocol(c, o, err))
        return err->status;
    if (suffix ? cwsi_add_header(c, err, "user_agent_suffix", "user-agent",
                                 "cwsandbox.h/" CWS_VERSION_STRING " ", suffix)
               : cwsi_add_header(c, err, "user_agent", "user-agent", "",
                                 "cwsandbox.h/" CWS_VERSION_STRING))
        return err->status;
    if (cwsi_add_header(c, err, "version", "x-cwsandbox-client-version", "",
                        "cwsandbox.h/" CWS_VERSION_STRING) ||
        cwsi_configure_address(c, o, err))
        return err->status;
    return cwsi_configure_transport(c, o, err);
}

/* Every operation ends as cancelled, then the transport goes. */
static void cwsi_client_shut(cws_client *c)
{
    c->refs++;
    c->free_wanted = true; /* a callback begins nothing new */
    while (c->ops || c->ready_first) {
        cws_op *op;
        for (op = c->ops; op; op = op->next) {
            op->cancelled = true;
            cwsi_op_wake(op);
        }
        (void)cwsi_run_ready(c);
    }
    c->dead = true;
    if (c->transport.close) c->transport.close(c->transport.user);
    memset(&c->transport, 0, sizeof(c->transport));
    c->header_count = 0;
    cwsi_arena_clear(&c->arena); /* the credential goes with it */
    c->base_url = "";
    cwsi_client_unref(c); /* this function's */
    cwsi_client_unref(c); /* the handle's */
}

/* ================================================================================================
 * >>impl-public
 * The public functions, in the order of their declarations: check, then delegate. A blocking call
 * is its _begin, the loop, and taking the result.
 * ============================================================================================= */

CWS_API const void *cws_bytes_data(const cws_bytes *bytes, size_t *size)
{
    if (size) *size = bytes ? bytes->len : 0;
    return bytes && bytes->at ? bytes->at : "";
}

CWS_API size_t cws_bytes_size(const cws_bytes *bytes)
{
    return bytes ? bytes->len : 0;
}

CWS_API void cws_bytes_free(cws_bytes *bytes)
{
    cws_client *c;
    if (!bytes) return;
    c = bytes->client;
    cwsi_buf_free(&bytes->buf);
    cwsi_free(&c->mem, bytes);
    cwsi_client_unref(c);
}

CWS_API const char *cws_version(void)
{
    return CWS_VERSION_STRING;
}

CWS_API cws_status cws_client_open(const cws_client_opts *opts, cws_client **out, cws_error *err)
{
    cws_client_opts none = CWSI_ZERO;
    const cws_client_opts *o = opts ? opts : &none;
    cws_error unused;
    cwsi_mem mem = CWSI_ZERO;
    cws_client *c;
    cws_status status;
    if (!err) err = &unused; /* the steps below look at it */
    cwsi_error_clear(err);
    if (!out) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "out must not be NULL");
    *out = NULL;
    if (cwsi_check_zero(err, "cws_client_opts", o->must_be_zero)) return err->status;
    if (o->allocator && !o->allocator->resize)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "allocator: resize is NULL");
    if (o->allocator) mem.allocator = *o->allocator;
    else mem.allocator.resize = cwsi_default_resize;
    mem.limit = o->max_memory_bytes ? o->max_memory_bytes : CWSI_MAX_MEMORY;
    c = CWSI_NEW(&mem, cws_client);
    if (!c) return cwsi_no_memory(err, "client");
    c->mem = mem;
    c->refs = 1;
    cwsi_arena_init(&c->arena, &c->mem);
    c->log = o->log;
    c->log_user = o->log_user;
    c->trace = o->trace;
    c->trace_user = o->trace_user;
    c->monotonic_ms = o->monotonic_ms;
    c->unix_ms = o->unix_ms;
    c->random = o->random;
    c->hooks_user = o->hooks_user;
    c->base_url = "";
    if (!c->random) cwsi_seed(c);
    status = cwsi_client_configure(c, o, err);
    if (status) {
        cwsi_client_unref(c);
        return status;
    }
    *out = c;
    return CWS_OK;
}

CWS_API void cws_client_free(cws_client *client)
{
    if (!client || client->dead) return;
    if (client->running || client->in_callback) client->free_wanted = true;
    else cwsi_client_shut(client);
}

CWS_API cws_memory_info cws_client_memory(const cws_client *client)
{
    cws_memory_info info = CWSI_ZERO;
    if (!client) return info;
    info.used_bytes = client->mem.used;
    info.peak_bytes = client->mem.peak;
    info.limit_bytes = client->mem.limit;
    info.allocations = client->mem.allocations;
    return info;
}

CWS_API const char *cws_state_name(cws_state state)
{
    static const char *const names[] = {"not started", "pending",     "preparing", "creating",
                                        "running",     "paused",      "terminating", "completed",
                                        "failed",      "terminated", "unspecified"};
    return CWSI_CAST(size_t, state) < CWSI_COUNT(names) ? names[state] : "unspecified";
}

CWS_API bool cws_state_is_terminal(cws_state state)
{
    return cwsi_phase_of(state) == CWSI_TERMINAL;
}

CWS_API const cws_sandbox_info *cws_sandbox_get_info(const cws_sandbox *sandbox)
{
    static const char *const names[] = {NULL};
    static const cws_sandbox_info none = {"",
                                          CWS_STATE_NOT_STARTED,
                                          0,
                                          "",
                                          "",
                                          "",
                                          0,
                                          0,
                                          0,
                                          false,
                                          0,
                                          0,
                                          {NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, 0},
                                          NULL,
                                          0,
                                          names,
                                          names,
                                          "",
                                          "",
                                          "",
                                          CWS_PLACEMENT_DEFAULT,
                                          0,
                                          NULL,
                                          0,
                                          names,
                                          "",
                                          "",
                                          "",
                                          ""};
    return sandbox ? &sandbox->info : &none;
}

CWS_API const char *cws_sandbox_id(const cws_sandbox *sandbox)
{
    return sandbox ? sandbox->id : "";
}

CWS_API cws_state cws_sandbox_state(const cws_sandbox *sandbox)
{
    return sandbox ? sandbox->info.state : CWS_STATE_NOT_STARTED;
}

CWS_API cws_exec_stats cws_sandbox_exec_stats(const cws_sandbox *sandbox)
{
    cws_exec_stats none = CWSI_ZERO;
    return sandbox ? sandbox->stats : none;
}

/* ================================================================================================
 * >>impl-public-sandbox
 * The functions of >>sandbox.
 * ============================================================================================= */

/* What every function that begins something checks first. */
static cws_status cwsi_enter(cws_client *c, const void *out, cws_error *err)
{
    if (!out) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "out must not be NULL");
    if (c->dead || c->free_wanted) return cwsi_fail(err, CWS_ERR_CLOSED, "the client is closed");
    return CWS_OK;
}

/* The same for a sandbox that may be NULL. */
static cws_status cwsi_enter_sandbox(cws_sandbox *sb, const void *out, cws_error *err)
{
    cwsi_error_clear(err);
    if (!sb) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "sandbox must not be NULL");
    return cwsi_enter(sb->client, out, err);
}

static cws_status cwsi_give_op(cws_op *op, const char *what, cws_op **out, cws_error *err)
{
    *out = op;
    return op ? CWS_OK : cwsi_no_memory(err, what);
}

/* A blocking call must not run inside a callback, nor begin what it would wait for. */
static cws_status cwsi_may_block(cws_client *c, cws_error *err)
{
    if (!c->running && !c->in_callback) return CWS_OK;
    cwsi_error_clear(err);
    return cwsi_fail(err, CWS_ERR_REENTRANT, "a blocking call was made inside a callback");
}

/* Run a begun operation to its end and forget it. */
static cws_status cwsi_finish_blocking(cws_status begun, cws_op *op, cws_error *err)
{
    cws_status status;
    if (begun) return begun;
    status = cws_op_wait(op, -1, err);
    cws_op_free(op);
    return status;
}

CWS_API cws_status cws_sandbox_start_begin(cws_sandbox *sandbox, cws_op **out, cws_error *err)
{
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_sandbox(sandbox, out, err);
    if (status) return status;
    if (cwsi_sandbox_done(sandbox)) return cwsi_not_running(err, sandbox);
    return cwsi_give_op(cwsi_wait_new(sandbox, CWSI_GOAL_STARTED, CWSI_NEVER, false),
                        "Start sandbox", out, err);
}

CWS_API cws_status cws_sandbox_start(cws_sandbox *sandbox, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_sandbox_start_begin(sandbox, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

/* The two waits. */
static cws_status cwsi_wait_begin(cws_sandbox *sb, cwsi_goal goal, double timeout_seconds,
                                  bool allow_termination, cws_op **out, cws_error *err)
{
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_sandbox(sb, out, err);
    if (!status)
        status = cwsi_check_seconds(err, "timeout_seconds", timeout_seconds, sb->request_timeout_ms,
                                    false, &timeout_ms);
    if (status) return status;
    return cwsi_give_op(cwsi_wait_new(sb, goal, timeout_ms, allow_termination), "Wait for sandbox",
                        out, err);
}

CWS_API cws_status cws_sandbox_wait_begin(cws_sandbox *sandbox, double timeout_seconds,
                                          cws_op **out, cws_error *err)
{
    return cwsi_wait_begin(sandbox, CWSI_GOAL_RUNNING, timeout_seconds, false, out, err);
}

CWS_API cws_status cws_sandbox_wait(cws_sandbox *sandbox, double timeout_seconds, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_sandbox_wait_begin(sandbox, timeout_seconds, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

CWS_API cws_status cws_sandbox_wait_until_complete_begin(cws_sandbox *sandbox,
                                                         const cws_complete_opts *opts,
                                                         cws_op **out, cws_error *err)
{
    if (opts && opts->must_be_zero) {
        cwsi_error_clear(err);
        return cwsi_check_zero(err, "cws_complete_opts", opts->must_be_zero);
    }
    return cwsi_wait_begin(sandbox, CWSI_GOAL_COMPLETE, opts ? opts->timeout_seconds : 0,
                           opts && opts->allow_termination, out, err);
}

CWS_API cws_status cws_sandbox_wait_until_complete(cws_sandbox *sandbox,
                                                   const cws_complete_opts *opts, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_sandbox_wait_until_complete_begin(sandbox, opts, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

CWS_API cws_status cws_sandbox_get_status_begin(cws_sandbox *sandbox, cws_op **out, cws_error *err)
{
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_sandbox(sandbox, out, err);
    if (status) return status;
    if (sandbox->cancelled || !sandbox->id[0]) return cwsi_not_running(err, sandbox);
    return cwsi_give_op(cwsi_op_new(sandbox->client, sizeof(cwsi_get),
                                    cwsi_get_kind(CWSI_GET_STATUS), sandbox),
                        "Get status", out, err);
}

CWS_API cws_status cws_sandbox_get_status(cws_sandbox *sandbox, cws_state *state, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    cws_status status;
    if (state) *state = cws_sandbox_state(sandbox);
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    if (sandbox) sandbox->refs++; /* a callback may free it meanwhile */
    begun = cws_sandbox_get_status_begin(sandbox, &op, err);
    status = cwsi_finish_blocking(begun, op, err);
    if (state) *state = cws_sandbox_state(sandbox);
    if (sandbox) cwsi_sandbox_unref(sandbox);
    return status;
}

static cws_status cwsi_check_stop(const cws_sandbox *sb, const cws_stop_opts *o,
                                  cwsi_stop_wish *wish, int64_t *timeout_ms, cws_error *err)
{
    int64_t grace_ms = 0, whole;
    if (cwsi_check_zero(err, "cws_stop_opts", o->must_be_zero) ||
        cwsi_check_seconds(err, "graceful_shutdown_seconds", o->graceful_shutdown_seconds,
                           CWSI_CAST(int64_t, CWSI_GRACE_S * 1000), true, &grace_ms))
        return CWS_ERR_INVALID_ARGUMENT;
    whole = o->snapshot ? cwsi_snapshot_stop_ms(sb->client, grace_ms)
                        : grace_ms + CWSI_CAST(int64_t, CWSI_STOP_SLACK_S * 1000);
    if (cwsi_check_seconds(err, "timeout_seconds", o->timeout_seconds, whole, false, timeout_ms))
        return CWS_ERR_INVALID_ARGUMENT;
    if (grace_ms > (o->snapshot ? 300000 : 86400000))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "graceful_shutdown_seconds: at most %s",
                         o->snapshot ? "300 with snapshot" : "one day");
    wish->grace_s = CWSI_CAST(int32_t, (grace_ms + 999) / 1000);
    wish->missing_ok = o->missing_ok;
    wish->snapshot = o->snapshot;
    wish->wait = !o->snapshot_no_wait;
    wish->volumes = o->snapshot_volumes;
    wish->request_id = o->request_id;
    return CWS_OK;
}

/* A token as an argument: up to 128 bytes of UTF-8. */
static cws_status cwsi_check_token(cws_error *err, const char *token)
{
    size_t n = token ? strlen(token) : 0;
    if (n <= 128 && (n == 0 || cwsi_utf8_valid(token, n))) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "request_id: at most 128 bytes of UTF-8");
}

/* May a stop with snapshot begin, or join the one under way? */
static cws_status cwsi_check_stop_snapshot(cws_sandbox *sb, const cws_stop_opts *o, cws_error *err)
{
    const cwsi_stop *stop = CWSI_AS(const cwsi_stop, sb->stop_op);
    const cwsi_dialect *dialect = sb->client->dialect;
    const char *unused;
    if (cwsi_check_token(err, o->request_id) ||
        cwsi_check_strings(err, "snapshot_volumes", o->snapshot_volumes))
        return CWS_ERR_INVALID_ARGUMENT;
    if (dialect->one_volume && o->snapshot_volumes)
        return cwsi_fail(err, CWS_ERR_UNSUPPORTED, "snapshot_volumes is not there in %s; leave it "
                         "out: the file_system is meant", dialect->name);
    if (sb->cancelled) return CWS_OK;
    if (stop && !stop->request.snapshot)
        return cwsi_snapshot_conflict(err, sb, "a stop without is under way");
    if (!stop && sb->phase >= CWSI_STOPPING && !sb->info.snapshot_ids[0])
        return cwsi_snapshot_conflict(err, sb, sb->phase == CWSI_TERMINAL ? "it has ended"
                                                                          : "it is ending");
    if (!dialect->one_volume && !cwsi_scratch_count(sb, &unused) &&
        !(o->snapshot_volumes && o->snapshot_volumes[0]))
        return cwsi_fail(err, CWS_ERR_SNAPSHOT, "the sandbox has no scratch volume that is known");
    return CWS_OK;
}

CWS_API cws_status cws_sandbox_stop_begin(cws_sandbox *sandbox, const cws_stop_opts *opts,
                                          cws_op **out, cws_error *err)
{
    cws_stop_opts none = CWSI_ZERO;
    const cws_stop_opts *o = opts ? opts : &none;
    cwsi_stop_wish wish = CWSI_ZERO;
    int64_t timeout_ms = 0;
    cws_op *op, *stop;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_sandbox(sandbox, out, err);
    if (!status) status = cwsi_check_stop(sandbox, o, &wish, &timeout_ms, err);
    if (!status && o->snapshot) status = cwsi_check_stop_snapshot(sandbox, o, err);
    if (status) return status;
    op = cwsi_op_new(sandbox->client, sizeof(cwsi_joining), cwsi_joining_kind(), sandbox);
    if (!op) return cwsi_no_memory(err, "Stop sandbox");
    CWSI_AS(cwsi_joining, op)->missing_ok = o->missing_ok;
    op->deadline_ms = cwsi_after(cwsi_now(sandbox->client), timeout_ms);
    if (o->snapshot && sandbox->info.snapshot_ids[0] && cwsi_sandbox_done(sandbox)) {
        *out = op; /* an earlier one took them */
        return CWS_OK;
    }
    stop = cwsi_sandbox_stop_op(sandbox, &wish, timeout_ms);
    if (!stop) {
        cws_op_free(op);
        return cwsi_no_memory(err, "Stop sandbox");
    }
    (void)cwsi_op_await(op, stop);
    *out = op;
    return CWS_OK;
}

CWS_API cws_status cws_sandbox_stop(cws_sandbox *sandbox, const cws_stop_opts *opts, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_sandbox_stop_begin(sandbox, opts, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

/* Pause and resume. */
static cws_status cwsi_pause_begin(cws_sandbox *sb, cwsi_get_what what, cws_op **out,
                                   cws_error *err)
{
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_sandbox(sb, out, err);
    if (status) return status;
    if (!sb->client->dialect->pause_begin)
        return cwsi_fail(err, CWS_ERR_UNSUPPORTED,
                         "%s is not there in %s; use api_version CWS_API_V1BETA2",
                         cwsi_get_kind(what)->name, sb->client->dialect->name);
    if (!sb->id[0] || cwsi_sandbox_done(sb)) return cwsi_not_running(err, sb);
    return cwsi_give_op(cwsi_op_new(sb->client, sizeof(cwsi_get), cwsi_get_kind(what), sb),
                        cwsi_get_kind(what)->name, out, err);
}

CWS_API cws_status cws_sandbox_pause_begin(cws_sandbox *sandbox, cws_op **out, cws_error *err)
{
    return cwsi_pause_begin(sandbox, CWSI_GET_PAUSE, out, err);
}

CWS_API cws_status cws_sandbox_pause(cws_sandbox *sandbox, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_sandbox_pause_begin(sandbox, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

CWS_API cws_status cws_sandbox_resume_begin(cws_sandbox *sandbox, cws_op **out, cws_error *err)
{
    return cwsi_pause_begin(sandbox, CWSI_GET_RESUME, out, err);
}

CWS_API cws_status cws_sandbox_resume(cws_sandbox *sandbox, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_sandbox_resume_begin(sandbox, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

CWS_API void cws_sandbox_free(cws_sandbox *sandbox)
{
    if (sandbox) cwsi_sandbox_unref(sandbox);
}

/* An id of a sandbox as an argument. */
static cws_status cwsi_check_id(cws_error *err, const char *id)
{
    size_t i, n = id ? strlen(id) : 0;
    for (i = 0; i < n && id[i] > ' ' && id[i] <= '~'; i++) {}
    if (n > 0 && n < CWSI_ID_SIZE && i == n) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                     "sandbox_id must be 1 to 127 printable ASCII characters without blanks");
}

CWS_API cws_status cws_sandbox_delete_begin(cws_client *client, const char *sandbox_id,
                                            bool missing_ok, cws_op **out, cws_error *err)
{
    cws_op *op;
    cws_status status = CWS_OK;
    if (out) *out = NULL;
    cwsi_error_clear(err);
    if (!client) status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "client must not be NULL");
    if (!status) status = cwsi_enter(client, out, err);
    if (!status) status = cwsi_check_id(err, sandbox_id);
    if (status) return status;
    op = cwsi_op_new(client, sizeof(cwsi_get), cwsi_get_kind(CWSI_GET_DELETE), NULL);
    if (!op) return cwsi_no_memory(err, "Delete sandbox");
    CWSI_AS(cwsi_get, op)->missing_ok = missing_ok;
    memcpy(CWSI_AS(cwsi_get, op)->id, sandbox_id, strlen(sandbox_id) + 1);
    op->about = CWSI_AS(cwsi_get, op)->id;
    *out = op;
    return CWS_OK;
}

CWS_API cws_status cws_sandbox_delete(cws_client *client, const char *sandbox_id, bool missing_ok,
                                      cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    begun = cws_sandbox_delete_begin(client, sandbox_id, missing_ok, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

/* ================================================================================================
 * >>impl-public-exec
 * The functions of >>exec.
 * ============================================================================================= */

/* Can this dialect name a container? */
static cws_status cwsi_check_container(const cws_client *c, const char *container, cws_error *err)
{
    if (!container || c->dialect->containers) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_UNSUPPORTED,
                     "container is not there in %s, where a sandbox has one; use CWS_API_V1",
                     c->dialect->name);
}

static cws_status cwsi_check_exec(cws_sandbox *sb, const char *const *argv, const cws_exec_opts *o,
                                  int64_t *timeout_ms, cws_error *err)
{
    if (!argv || !argv[0])
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "Command cannot be empty");
    if (!argv[0][0])
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "Command cannot be empty: argv[0] is an empty string");
    if (cwsi_check_zero(err, "cws_exec_opts", o->must_be_zero) ||
        cwsi_check_strings(err, "argv", argv) ||
        cwsi_check_pairs(err, "env", o->env, true) ||
        cwsi_check_seconds(err, "timeout_seconds", o->timeout_seconds, sb->request_timeout_ms,
                           false, timeout_ms) ||
        (o->container && cwsi_check_text(err, "container", o->container)))
        return CWS_ERR_INVALID_ARGUMENT;
    if (cwsi_check_container(sb->client, o->container, err)) return CWS_ERR_UNSUPPORTED;
    if (o->with_stdin && o->unary)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "with_stdin needs the streaming call: leave unary out");
    if (o->cwd && !o->cwd[0])
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "cwd cannot be empty string");
    if (o->cwd && o->cwd[0] != '/')
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "cwd must be an absolute path");
    return o->cwd ? cwsi_check_text(err, "cwd", o->cwd) : CWS_OK;
}

/* Hand out a new process, or free it if it could not be filled. */
static cws_status cwsi_process_give(cws_process *p, bool filled, cws_process **out, cws_error *err)
{
    if (!filled) {
        cws_process_free(p);
        return cwsi_no_memory(err, "Execute command");
    }
    p->op.sandbox->stats.exec_count++;
    p->counted = true;
    *out = p;
    return CWS_OK;
}

CWS_API cws_status cws_exec_begin(cws_sandbox *sandbox, const char *const *argv,
                                  const cws_exec_opts *opts, cws_process **out, cws_error *err)
{
    cws_exec_opts none = CWSI_ZERO;
    const cws_exec_opts *o = opts ? opts : &none;
    cws_process *p;
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_sandbox(sandbox, out, err);
    if (!status) status = cwsi_check_exec(sandbox, argv, o, &timeout_ms, err);
    if (!status && o->with_stdin && !cwsi_has_duplex(sandbox->client))
        status = cwsi_exec_no_duplex(sandbox->client, "with_stdin", err);
    if (status) return status;
    p = cwsi_process_new(sandbox, false, timeout_ms);
    return cwsi_process_give(p, p && cwsi_exec_fill(p, argv, o), out, err);
}

/* The options of a shell as those of a command. */
static cws_status cwsi_check_shell(const cws_shell_opts *s, cws_exec_opts *o, cws_error *err)
{
    if (cwsi_check_zero(err, "cws_shell_opts", s->must_be_zero)) return CWS_ERR_INVALID_ARGUMENT;
    if (s->width > 65535 || s->height > 65535)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "width and height must be from 0 (the service's default) to 65535");
    o->cwd = s->cwd;
    o->env = s->env;
    o->timeout_seconds = s->timeout_seconds;
    o->max_output_bytes = s->max_output_bytes;
    o->container = s->container;
    o->on_output = s->on_output;
    o->with_stdin = true;
    o->on_stdin_room = s->on_stdin_room;
    o->user = s->user;
    return CWS_OK;
}

CWS_API cws_status cws_shell_begin(cws_sandbox *sandbox, const char *const *argv,
                                   const cws_shell_opts *opts, cws_process **out, cws_error *err)
{
    static const char *const bash[] = {"/bin/bash", NULL};
    cws_shell_opts none = CWSI_ZERO;
    const cws_shell_opts *s = opts ? opts : &none;
    cws_exec_opts o = CWSI_ZERO;
    cws_process *p;
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    if (!argv) argv = bash;
    status = cwsi_enter_sandbox(sandbox, out, err);
    if (!status) status = cwsi_check_shell(s, &o, err);
    if (!status) status = cwsi_check_exec(sandbox, argv, &o, &timeout_ms, err);
    if (!status && !cwsi_has_duplex(sandbox->client))
        status = cwsi_exec_no_duplex(sandbox->client, "a shell", err);
    if (status) return status;
    p = cwsi_process_new(sandbox, true, s->timeout_seconds > 0 ? timeout_ms : CWSI_NEVER);
    if (p) {
        p->request.width = s->width;
        p->request.height = s->height;
    }
    return cwsi_process_give(p, p && cwsi_exec_fill(p, argv, &o), out, err);
}

CWS_API cws_status cws_exec(cws_sandbox *sandbox, const char *const *argv,
                            const cws_exec_opts *opts, cws_result **out, cws_error *err)
{
    cws_process *p = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    if (opts && opts->with_stdin) {
        cwsi_error_clear(err);
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "with_stdin is for cws_exec_begin: there is nobody to write here");
    }
    status = cws_exec_begin(sandbox, argv, opts, out ? &p : NULL, err);
    if (status) return status;
    p->op.unresumable = true;
    status = cws_process_wait(p, -1, NULL, err);
    if (!status) *out = cws_process_take_result(p);
    cws_process_free(p);
    return status;
}

/* Is there a transport that can carry a stream? */
static cws_status cwsi_needs_streams(const cws_client *c, const char *what, cws_error *err)
{
    if (c->streaming) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_UNSUPPORTED, "%s: needs a transport of the streaming tier", what);
}

/* ================================================================================================
 * >>impl-public-files
 * The functions of >>files.
 * ============================================================================================= */

/* What the options of all file calls have in common. */
typedef struct cwsi_file_args {
    const char *path, *container;
    double timeout_seconds;
    const char *options; /* name of the struct */
    uint32_t must_be_zero;
} cwsi_file_args;

/* Everything that the file calls check alike. */
static cws_status cwsi_check_file(cws_sandbox *sb, const cwsi_file_args *a, const void *out,
                                  int64_t *timeout_ms, cws_error *err)
{
    cws_status status = cwsi_enter_sandbox(sb, out, err);
    if (status) return status;
    if (cwsi_check_zero(err, a->options, a->must_be_zero)) return CWS_ERR_INVALID_ARGUMENT;
    if (!a->path || !a->path[0])
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "path must not be empty");
    if (cwsi_check_text(err, "path", a->path) ||
        (a->container && cwsi_check_text(err, "container", a->container)))
        return CWS_ERR_INVALID_ARGUMENT;
    if (cwsi_check_container(sb->client, a->container, err)) return CWS_ERR_UNSUPPORTED;
    return cwsi_check_seconds(err, "timeout_seconds", a->timeout_seconds, sb->request_timeout_ms,
                              false, timeout_ms);
}

/* A new operation on a file from checked arguments. NULL: out of memory. */
static cwsi_file *cwsi_file_new(cws_sandbox *sb, cwsi_file_kind_id kind, const cwsi_file_args *a,
                                int64_t timeout_ms)
{
    cws_client *c = sb->client;
    cws_op *op = cwsi_op_new(c, sizeof(cwsi_file), cwsi_file_kind(kind), sb);
    cwsi_file *f = op ? CWSI_AS(cwsi_file, op) : NULL;
    bool ok = true;
    if (!f) return NULL;
    cwsi_arena_init(&f->stream.arena, &c->mem);
    cwsi_buf_init(&f->stream.text, &c->mem, SIZE_MAX / 2);
    cwsi_buf_init(&f->stream.held, &c->mem, SIZE_MAX / 2);
    cwsi_buf_init(&f->content, &c->mem, CWSI_MAX_MEMORY);
    f->stream.take = cwsi_file_take;
    f->kind = kind;
    f->timeout_ms = timeout_ms;
    f->path = cwsi_keep(&f->stream.arena, a->path, &ok);
    f->container = cwsi_keep(&f->stream.arena, a->container, &ok);
    cwsi_uuid(c, f->token);
    if (ok) return f;
    cws_op_free(op);
    return NULL;
}

static cwsi_file_args cwsi_file_args_of(const char *options, const char *path,
                                        const char *container, double timeout_seconds,
                                        uint32_t must_be_zero)
{
    cwsi_file_args a;
    a.options = options;
    a.path = path;
    a.container = container;
    a.timeout_seconds = timeout_seconds;
    a.must_be_zero = must_be_zero;
    return a;
}

CWS_API cws_status cws_read_file_begin(cws_sandbox *sandbox, const char *path,
                                       const cws_file_opts *opts, cws_op **out, cws_error *err)
{
    cws_file_opts none = CWSI_ZERO;
    const cws_file_opts *o = opts ? opts : &none;
    cwsi_file_args a = cwsi_file_args_of("cws_file_opts", path, o->container, o->timeout_seconds,
                                         o->must_be_zero);
    cwsi_file *f;
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_check_file(sandbox, &a, out, &timeout_ms, err);
    if (status) return status;
    f = cwsi_file_new(sandbox, CWSI_READ_FILE, &a, timeout_ms);
    if (f) f->bytes = CWSI_NEW(&sandbox->client->mem, cws_bytes);
    if (!f || !f->bytes) {
        if (f) cws_op_free(&f->stream.op);
        return cwsi_no_memory(err, "Read file");
    }
    f->bytes->client = sandbox->client;
    sandbox->client->refs++;
    cwsi_buf_init(&f->bytes->buf, &sandbox->client->mem, 0);
    *out = &f->stream.op;
    return CWS_OK;
}

CWS_API cws_status cws_read_file(cws_sandbox *sandbox, const char *path, const cws_file_opts *opts,
                                 cws_bytes **out, cws_error *err)
{
    cws_op *op = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    status = cws_read_file_begin(sandbox, path, opts, out ? &op : NULL, err);
    if (status) return status;
    status = cws_op_wait(op, -1, err);
    if (!status) *out = cws_op_take_bytes(op);
    cws_op_free(op);
    return status;
}

/* Can so much be written? */
static cws_status cwsi_check_content(const cws_sandbox *sb, const cwsi_file_args *a,
                                     const void *data, size_t size, cws_error *err)
{
    if (!data && size)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "data is NULL but size is not 0");
    if (size > CWSI_FILE_MAX) {
        cwsi_file refused = CWSI_ZERO; /* to say it in the same words */
        refused.stream.op.kind = cwsi_file_kind(CWSI_WRITE_FILE);
        refused.kind = CWSI_WRITE_FILE;
        refused.path = a->path;
        cwsi_file_add_number(&refused, "size_bytes", size);
        cwsi_file_add_number(&refused, "max_size_bytes", CWSI_FILE_MAX);
        cwsi_file_fail(&refused, "FILE_TOO_LARGE", "%zu bytes are more than 256 MiB: use "
                       "cws_upload", size);
        cwsi_take_text(refused.stream.op.err.filepath, sizeof(refused.stream.op.err.filepath),
                       cwsi_str_of(a->path));
        return cwsi_copy_error(err, &refused.stream.op.err);
    }
    if (size > CWSI_FILE_CAP && !cwsi_has_duplex(sb->client))
        return cwsi_exec_no_duplex(sb->client, "a file larger than 32 MiB", err);
    return CWS_OK;
}

CWS_API cws_status cws_write_file_begin(cws_sandbox *sandbox, const char *path, const void *data,
                                        size_t size, const cws_file_opts *opts, cws_op **out,
                                        cws_error *err)
{
    cws_file_opts none = CWSI_ZERO;
    const cws_file_opts *o = opts ? opts : &none;
    cwsi_file_args a = cwsi_file_args_of("cws_file_opts", path, o->container, o->timeout_seconds,
                                         o->must_be_zero);
    cwsi_file *f;
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_check_file(sandbox, &a, out, &timeout_ms, err);
    if (!status) status = cwsi_check_content(sandbox, &a, data, size, err);
    if (status) return status;
    f = cwsi_file_new(sandbox, CWSI_WRITE_FILE, &a, timeout_ms);
    if (!f || !cwsi_put(&f->content, data, size)) {
        if (f) cws_op_free(&f->stream.op);
        return cwsi_no_memory(err, "Write file");
    }
    f->atomic = !o->direct;
    f->data = f->content.at;
    f->size = size;
    f->sized = true;
    *out = &f->stream.op;
    return CWS_OK;
}

CWS_API cws_status cws_write_file(cws_sandbox *sandbox, const char *path, const void *data,
                                  size_t size, const cws_file_opts *opts, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_write_file_begin(sandbox, path, data, size, opts, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

static cws_status cwsi_check_upload(const cws_upload_opts *o, cws_error *err)
{
    if ((o->source != NULL) == (o->data != NULL))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "give source or data, and not both; an empty file is \"\" of size 0");
    if (o->data && o->size > SIZE_MAX / 2)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "size is larger than memory can be");
    return CWS_OK;
}

CWS_API cws_status cws_upload_begin(cws_sandbox *sandbox, const char *path,
                                    const cws_upload_opts *opts, cws_op **out, cws_error *err)
{
    cws_upload_opts none = CWSI_ZERO;
    const cws_upload_opts *o = opts ? opts : &none;
    cwsi_file_args a = cwsi_file_args_of("cws_upload_opts", path, o->container, o->timeout_seconds,
                                         o->must_be_zero);
    cwsi_file *f;
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_check_file(sandbox, &a, out, &timeout_ms, err);
    if (!status) status = cwsi_check_upload(o, err);
    if (!status && !cwsi_has_duplex(sandbox->client))
        status = cwsi_exec_no_duplex(sandbox->client, "an upload", err);
    if (status) return status;
    f = cwsi_file_new(sandbox, CWSI_UPLOAD, &a, timeout_ms);
    if (!f) return cwsi_no_memory(err, "Upload");
    f->atomic = o->atomic;
    f->source = o->source;
    f->data = CWSI_CAST(const char *, o->data);
    f->size = o->size;
    f->sized = f->data || o->size;
    f->on_progress = o->on_progress;
    f->source_user = f->user = o->user;
    *out = &f->stream.op;
    return CWS_OK;
}

CWS_API cws_status cws_upload(cws_sandbox *sandbox, const char *path, const cws_upload_opts *opts,
                              cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_upload_begin(sandbox, path, opts, &op, err);
    if (op) op->unresumable = true;
    return cwsi_finish_blocking(begun, op, err);
}

CWS_API cws_status cws_download_begin(cws_sandbox *sandbox, const char *path,
                                      const cws_download_opts *opts, cws_stream **out,
                                      cws_error *err)
{
    cws_download_opts none = CWSI_ZERO;
    const cws_download_opts *o = opts ? opts : &none;
    cwsi_file_args a = cwsi_file_args_of("cws_download_opts", path, o->container,
                                         o->timeout_seconds, o->must_be_zero);
    cwsi_file *f;
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_check_file(sandbox, &a, out, &timeout_ms, err);
    if (!status && !cwsi_has_duplex(sandbox->client))
        status = cwsi_exec_no_duplex(sandbox->client, "a download", err);
    if (status) return status;
    f = cwsi_file_new(sandbox, CWSI_DOWNLOAD, &a, timeout_ms);
    if (!f) return cwsi_no_memory(err, "Download");
    f->stream.on_item = o->on_item;
    f->stream.user = f->user = o->user;
    f->on_progress = o->on_progress;
    *out = &f->stream;
    return CWS_OK;
}

CWS_API cws_status cws_download(cws_sandbox *sandbox, const char *path,
                                const cws_download_opts *opts, cws_error *err)
{
    cws_stream *stream = NULL;
    cws_status status;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    if (!opts || !opts->on_item) {
        cwsi_error_clear(err);
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "cws_download needs on_item; use cws_download_begin to ask for the "
                         "items");
    }
    status = cws_download_begin(sandbox, path, opts, &stream, err);
    if (stream) stream->op.unresumable = true;
    return cwsi_finish_blocking(status, cws_stream_op(stream), err);
}

/* Either way between a directory here and one there. */
static cws_status cwsi_tree_begin(cws_sandbox *sb, const char *path, const char *local_path,
                                  const cws_directory_opts *opts, cwsi_file_kind_id kind,
                                  cws_op **out, cws_error *err)
{
    cws_directory_opts none = CWSI_ZERO;
    const cws_directory_opts *o = opts ? opts : &none;
    cwsi_file_args a = cwsi_file_args_of("cws_directory_opts", path, o->container,
                                         o->timeout_seconds, o->must_be_zero);
    cwsi_file *f;
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_check_file(sb, &a, out, &timeout_ms, err);
    if (!status && (!local_path || !local_path[0]))
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "local_path must not be empty");
    if (!status && !cwsi_has_duplex(sb->client))
        status = cwsi_exec_no_duplex(sb->client, "a directory", err);
    if (status) return status;
    f = cwsi_file_new(sb, kind, &a, timeout_ms);
    if (!f) return cwsi_no_memory(err, cwsi_file_kind(kind)->name);
    f->on_progress = o->on_progress;
    f->user = o->user;
    if (!cwsi_tree_open(f, local_path, o->skip_special)) {
        status = cwsi_copy_error(err, &f->stream.op.err);
        cws_op_free(&f->stream.op);
        return status;
    }
    *out = &f->stream.op;
    return CWS_OK;
}

CWS_API cws_status cws_upload_directory_begin(cws_sandbox *sandbox, const char *path,
                                              const char *local_path,
                                              const cws_directory_opts *opts, cws_op **out,
                                              cws_error *err)
{
    return cwsi_tree_begin(sandbox, path, local_path, opts, CWSI_UPLOAD_TREE, out, err);
}

CWS_API cws_status cws_download_directory_begin(cws_sandbox *sandbox, const char *path,
                                                const char *local_path,
                                                const cws_directory_opts *opts, cws_op **out,
                                                cws_error *err)
{
    return cwsi_tree_begin(sandbox, path, local_path, opts, CWSI_DOWNLOAD_TREE, out, err);
}

CWS_API cws_status cws_upload_directory(cws_sandbox *sandbox, const char *path,
                                        const char *local_path, const cws_directory_opts *opts,
                                        cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_upload_directory_begin(sandbox, path, local_path, opts, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

CWS_API cws_status cws_download_directory(cws_sandbox *sandbox, const char *path,
                                          const char *local_path, const cws_directory_opts *opts,
                                          cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_download_directory_begin(sandbox, path, local_path, opts, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

#ifndef CWS_NO_STDIO
CWS_API cws_flow cws_source_from_file(void *buffer, size_t size, size_t *count, void *file)
{
    FILE *f = CWSI_CAST(FILE *, file);
    *count = fread(buffer, 1, size, f);
    return *count == 0 && ferror(f) ? CWS_FLOW_CANCEL : CWS_FLOW_CONTINUE;
}

CWS_API cws_flow cws_item_to_file(const cws_item *item, void *file)
{
    FILE *f = CWSI_CAST(FILE *, file);
    return fwrite(item->data, 1, item->size, f) == item->size ? CWS_FLOW_CONTINUE
                                                              : CWS_FLOW_CANCEL;
}
#endif

/* ================================================================================================
 * >>impl-public-process
 * The functions of a command in flight and of its result.
 * ============================================================================================= */

CWS_API cws_op *cws_process_op(cws_process *process)
{
    return process ? &process->op : NULL;
}

CWS_API bool cws_process_poll(const cws_process *process, int32_t *exit_code)
{
    bool ended = process && process->op.done && process->exited;
    if (ended && exit_code) *exit_code = process->exit_code;
    return ended;
}

CWS_API cws_status cws_process_wait(cws_process *process, int64_t timeout_ms,
                                    const cws_result **result, cws_error *err)
{
    cws_status status;
    if (result) *result = NULL;
    if (!process) {
        cwsi_error_clear(err);
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "process must not be NULL");
    }
    process->op.refs++; /* a callback may free it meanwhile */
    status = cws_op_wait(&process->op, timeout_ms, err);
    if (result && process->op.done && process->began && process->op.refs > 1)
        *result = process->result;
    cwsi_op_unref(&process->op);
    return status;
}

CWS_API cws_result *cws_process_take_result(cws_process *process)
{
    cws_result *result;
    if (!process || !process->op.done || !process->began) return NULL;
    result = process->result;
    process->result = NULL;
    return result;
}

CWS_API cws_status cws_process_resize(cws_process *process, uint32_t width, uint32_t height,
                                      cws_error *err)
{
    cwsi_error_clear(err);
    if (!process) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "process must not be NULL");
    if (!process->tty)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "the command has no terminal: begin it with cws_shell_begin");
    if (width < 1 || width > 65535 || height < 1 || height > 65535)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "width and height must be 1 to 65535");
    if (process->op.done || process->op.cancelled)
        return cwsi_fail(err, CWS_ERR_EXECUTION, "resize: terminal session has ended");
    process->request.width = width;
    process->request.height = height;
    process->resized = true;
    cwsi_op_wake(&process->op);
    return CWS_OK;
}

CWS_API bool cws_process_cancel(cws_process *process)
{
    return process && cws_op_cancel(&process->op);
}

CWS_API void cws_process_free(cws_process *process)
{
    if (process) cws_op_free(&process->op);
}

/* May this process be written to? */
static cws_status cwsi_check_stdin(const cws_process *p, cws_error *err)
{
    cwsi_error_clear(err);
    if (!p) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "process must not be NULL");
    if (!p->with_stdin)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "the command has no input: set with_stdin in its options");
    return CWS_OK;
}

/* Can more be written? */
static cws_status cwsi_stdin_open(const cws_process *p, cws_error *err)
{
    const cws_error *why = &p->op.err;
    if (p->op.done || p->op.cancelled) {
        if (err && why->status) { /* its reason and codes, in other words */
            *err = *why;
            err->status = CWS_OK;
        }
        return cwsi_fail(err, CWS_ERR_EXECUTION, "write: stream has failed: %s",
                         why->status    ? why->message
                         : !p->op.done ? "the command was cancelled"
                         : p->tty      ? "terminal session has ended"
                                       : "process has exited");
    }
    if (p->eof) return cwsi_fail(err, CWS_ERR_EXECUTION, "write: stream is closed");
    return CWS_OK;
}

/* One turn of waiting for something. `until` bounds it; 0 ms: no turn at all. */
static cws_status cwsi_await_turn(cws_client *c, int64_t timeout_ms, int64_t until,
                                  const char *what, cws_error *err)
{
    int64_t now = cwsi_now(c);
    if (timeout_ms == 0 || (now >= until && until != CWSI_NEVER))
        return cwsi_fail(err, CWS_ERR_WAIT_TIMEOUT, "%s within the wait", what);
    return cwsi_loop_turn(c, until == CWSI_NEVER ? -1 : until - now, err);
}

/* Queue all of data; with `whole` at once or not at all. */
static cws_status cwsi_process_put(cws_process *p, cwsi_str data, bool whole, int64_t timeout_ms,
                                   size_t *written, cws_error *err)
{
    int64_t until = cwsi_until(p->op.client, timeout_ms);
    cws_status status = CWS_OK;
    bool nested = p->writing; /* called back from the turns of another write: not into its bytes */
    p->op.refs++;             /* a callback may free it meanwhile */
    p->writing = true;
    while (!status && *written < data.len) {
        size_t room = nested ? 0 : cwsi_stdin_room(p), n = data.len - *written;
        status = cwsi_stdin_open(p, err);
        if (status) break;
        if (n > room) n = whole ? 0 : room;
        if (p->input.len + n > CWSI_STDIN_QUEUE) cwsi_buf_drop(&p->input, &p->input_at);
        if (n && !cwsi_put(&p->input, data.at + *written, n)) {
            p->input.status = CWS_OK;
            status = cwsi_no_memory(err, "write");
            break;
        }
        *written += n;
        if (n) cwsi_op_wake(&p->op);
        if (*written == data.len) break;
        status = cwsi_await_turn(p->op.client, timeout_ms, until, "not all of the input was taken",
                                 err);
    }
    p->writing = nested;
    if (*written < data.len && (status == CWS_ERR_WAIT_TIMEOUT || status == CWS_ERR_REENTRANT)) {
        p->room_wanted = CWSI_STDIN_QUEUE / 2;
        if (whole && data.len > p->room_wanted) p->room_wanted = data.len;
    }
    if (!status) status = cwsi_stdin_open(p, err); /* of nothing, too */
    cwsi_op_unref(&p->op);
    return status;
}

CWS_API cws_status cws_process_write(cws_process *process, const void *data, size_t size,
                                     int64_t timeout_ms, size_t *written, cws_error *err)
{
    cwsi_str bytes;
    size_t count = 0;
    cws_status status = cwsi_check_stdin(process, err);
    if (written) *written = 0;
    if (status) return status;
    if (!data && size)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "data is NULL but size is not 0");
    bytes.at = CWSI_CAST(const char *, data);
    bytes.len = size;
    status = cwsi_process_put(process, bytes, false, timeout_ms, &count, err);
    if (written) *written = count;
    return status;
}

CWS_API cws_status cws_process_write_line(cws_process *process, const char *text,
                                          int64_t timeout_ms, cws_error *err)
{
    cwsi_buf line;
    cwsi_str bytes;
    size_t count = 0;
    cws_status status = cwsi_check_stdin(process, err);
    if (status) return status;
    if (!text) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "text must not be NULL");
    cwsi_buf_init(&line, &process->op.client->mem, CWSI_STDIN_QUEUE);
    (void)cwsi_put_text(&line, text);
    (void)cwsi_put_char(&line, '\n');
    bytes.at = line.at;
    bytes.len = line.len;
    if (line.status == CWS_ERR_LIMIT)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                           "the line is longer than 1 MiB: use cws_process_write");
    else if (line.status) status = cwsi_no_memory(err, "write");
    else status = cwsi_process_put(process, bytes, true, timeout_ms, &count, err);
    cwsi_buf_free(&line);
    return status;
}

CWS_API cws_status cws_process_close_stdin(cws_process *process, cws_error *err)
{
    cws_status status = cwsi_check_stdin(process, err);
    if (status || process->eof || process->op.done) return status;
    process->eof = true;
    cwsi_op_wake(&process->op);
    return CWS_OK;
}

CWS_API cws_status cws_process_read(cws_process *process, cws_stream_id stream, void *buffer,
                                    size_t size, int64_t timeout_ms, size_t *count, cws_error *err)
{
    cws_status status = CWS_OK;
    int64_t until;
    cwsi_error_clear(err);
    if (count) *count = 0;
    if (!process || !buffer || !size || !count || (stream != CWS_STDOUT && stream != CWS_STDERR))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "cws_process_read: give process, CWS_STDOUT or CWS_STDERR, a buffer of at "
                         "least 1 byte, and count");
    until = cwsi_until(process->op.client, timeout_ms);
    process->op.refs++;
    while (!status) {
        cws_result *r = process->result; /* NULL if it was taken */
        if (r) *count = cwsi_output_take(stream == CWS_STDERR ? &r->err : &r->out, buffer, size);
        if (*count && process->throttle) cwsi_op_wake(&process->op); /* there is room again */
        if (*count) break;
        if (r && (stream == CWS_STDERR ? &r->err : &r->out)->truncated)
            status = cwsi_fail(err, CWS_ERR_LIMIT, "output went over max_output_bytes unread");
        if (status || process->op.done) break;
        status = cwsi_await_turn(process->op.client, timeout_ms, until, "no output arrived", err);
    }
    if (!status && *count == 0 && process->op.err.status && !process->exited)
        status = cwsi_copy_error(err, &process->op.err);
    cwsi_op_unref(&process->op);
    return status;
}

CWS_API int32_t cws_result_exit_code(const cws_result *result)
{
    return result ? result->exit_code : 0;
}

CWS_API bool cws_result_has_exit_code(const cws_result *result)
{
    return result && result->has_exit_code;
}

static const char *cwsi_output_text(const cws_result *result, cws_stream_id stream, size_t *size)
{
    const cwsi_output *output = !result                ? NULL
                                : stream == CWS_STDERR ? &result->err
                                                       : &result->out;
    if (size) *size = output ? output->buf.len - output->at : 0;
    return output && output->buf.at ? output->buf.at + output->at : "";
}

CWS_API const char *cws_result_stdout(const cws_result *result, size_t *size)
{
    return cwsi_output_text(result, CWS_STDOUT, size);
}

CWS_API const char *cws_result_stderr(const cws_result *result, size_t *size)
{
    return cwsi_output_text(result, CWS_STDERR, size);
}

CWS_API size_t cws_result_stdout_size(const cws_result *result)
{
    return result ? result->out.buf.len - result->out.at : 0;
}

CWS_API size_t cws_result_stderr_size(const cws_result *result)
{
    return result ? result->err.buf.len - result->err.at : 0;
}

CWS_API uint64_t cws_result_bytes_produced(const cws_result *result, cws_stream_id stream)
{
    if (!result) return 0;
    return stream == CWS_STDERR ? result->err.produced : result->out.produced;
}

CWS_API bool cws_result_truncated(const cws_result *result, cws_stream_id stream)
{
    if (!result) return false;
    return stream == CWS_STDERR ? result->err.truncated : result->out.truncated;
}

CWS_API const char *const *cws_result_command(const cws_result *result)
{
    return result ? result->command : NULL;
}

CWS_API void cws_result_free(cws_result *result)
{
    cws_client *c;
    if (!result) return;
    c = result->client;
    cwsi_buf_free(&result->out.buf);
    cwsi_buf_free(&result->err.buf);
    cwsi_arena_clear(&result->arena);
    cwsi_free(&c->mem, result);
    cwsi_client_unref(c);
}

/* ================================================================================================
 * >>impl-public-stream
 * The functions of >>logs.
 * ============================================================================================= */

static cws_status cwsi_check_logs(const cws_logs_opts *o, cws_error *err)
{
    const char *session = o->resume_session_id;
    if (cwsi_check_zero(err, "cws_logs_opts", o->must_be_zero) ||
        (o->container && cwsi_check_text(err, "container", o->container)))
        return CWS_ERR_INVALID_ARGUMENT;
    if (o->tail_lines > INT32_MAX)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "tail_lines must be at most 2147483647");
    if (o->since_unix_ms < 0 || o->since_unix_ms > 253402300799999LL)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "since_unix_ms must be from 0 (everything) to the year 9999");
    if (o->long_lines != CWS_LONG_LINES_DEFAULT && o->long_lines != CWS_LONG_LINES_FAIL &&
        o->long_lines != CWS_LONG_LINES_SPLIT)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "long_lines is none of CWS_LONG_LINES_*");
    if (o->resume_offset && !session)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "resume_offset needs resume_session_id");
    if (!session) return CWS_OK;
    if (!session[0] || strlen(session) > 255 || cwsi_check_text(NULL, "", session))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "resume_session_id must be 1 to 255 bytes of UTF-8");
    if (!o->follow)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "resume_session_id needs follow");
    if (o->timestamps || o->tail_lines || o->since_unix_ms)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "resume_session_id excludes timestamps, tail_lines and since_unix_ms");
    return CWS_OK;
}

CWS_API cws_status cws_logs_begin(cws_sandbox *sandbox, const cws_logs_opts *opts,
                                  cws_stream **out, cws_error *err)
{
    cws_logs_opts none = CWSI_ZERO;
    const cws_logs_opts *o = opts ? opts : &none;
    cwsi_logs *l;
    cws_op *op;
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_sandbox(sandbox, out, err);
    if (!status) status = cwsi_check_logs(o, err);
    if (!status) status = cwsi_check_container(sandbox->client, o->container, err);
    if (!status)
        status = cwsi_check_seconds(err, "timeout_seconds", o->timeout_seconds,
                                    o->follow ? CWSI_NEVER : sandbox->request_timeout_ms, false,
                                    &timeout_ms);
    if (!status && sandbox->client->dialect->duplex_logs && !cwsi_has_duplex(sandbox->client))
        status = cwsi_exec_no_duplex(sandbox->client, "logs in v1beta2", err);
    if (!status) status = cwsi_needs_streams(sandbox->client, "Logs", err);
    if (status) return status;
    op = cwsi_op_new(sandbox->client, sizeof(cwsi_logs), cwsi_logs_kind(), sandbox);
    if (!op) return cwsi_no_memory(err, "Logs");
    l = cwsi_logs_of(op);
    l->timeout_ms = timeout_ms;
    if (!cwsi_logs_fill(l, o)) {
        cws_op_free(op);
        return cwsi_no_memory(err, "Logs");
    }
    *out = &l->stream;
    return CWS_OK;
}

CWS_API cws_status cws_logs(cws_sandbox *sandbox, const cws_logs_opts *opts, cws_error *err)
{
    cws_stream *stream = NULL;
    cws_status status;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    if (!opts || !opts->on_item) {
        cwsi_error_clear(err);
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "cws_logs needs on_item; use cws_logs_begin to ask for the items");
    }
    status = cws_logs_begin(sandbox, opts, &stream, err);
    if (stream) stream->op.unresumable = true;
    return cwsi_finish_blocking(status, cws_stream_op(stream), err);
}

CWS_API cws_status cws_stream_next(cws_stream *stream, int64_t timeout_ms, cws_item *item,
                                   cws_error *err)
{
    cws_status status = CWS_OK;
    cws_op *op;
    int64_t until;
    cwsi_error_clear(err);
    if (item) memset(item, 0, sizeof(*item));
    if (!stream || !item)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "stream and item must not be NULL");
    if (stream->on_item)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "the items of this stream go to on_item");
    op = &stream->op;
    until = cwsi_until(op->client, timeout_ms);
    op->refs++; /* a callback may free it meanwhile */
    while (!status) {
        if (op->refs == 1) { /* a callback has freed it */
            status = cwsi_fail(err, CWS_ERR_CANCELLED, "the stream was freed meanwhile");
        } else if (stream->take(stream, item)) {
            if (stream->waits && !op->done) cwsi_op_wake(op); /* there is room for more */
            stream->waits = false;
            break;
        } else if (op->done) {
            if (op->err.status) status = cwsi_copy_error(err, &op->err);
            break;
        } else {
            status = cwsi_await_turn(op->client, timeout_ms, until, "no item arrived", err);
        }
    }
    cwsi_op_unref(op);
    return status;
}

CWS_API cws_op *cws_stream_op(cws_stream *stream)
{
    return stream ? &stream->op : NULL;
}

CWS_API void cws_stream_free(cws_stream *stream)
{
    if (stream) cws_op_free(&stream->op);
}

/* ================================================================================================
 * >>impl-public-session
 * The functions of >>session.
 * ============================================================================================= */

static cws_status cwsi_session_defaults(cws_session *s, const cws_session_opts *o, cws_error *err)
{
    cws_sandbox_opts none = CWSI_ZERO;
    const cws_sandbox_opts *d = o->defaults ? o->defaults : &none;
    cws_status status = cwsi_check_sandbox_opts(err, d);
    if (status) return status;
    if (cwsi_own_option(d))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "defaults: %s belongs to single sandboxes",
                         cwsi_own_option(d));
    status = s->client->dialect->lacks(d, err);
    if (status) return status;
    status = cwsi_check_seconds(err, "request_timeout_seconds", d->request_timeout_seconds,
                                s->client->request_timeout_ms, false, &s->request_timeout_ms);
    return status ? status : cwsi_merge_sandbox_opts(&s->arena, &none, d, &s->defaults, err);
}

/* The session could not be opened: its client goes, but the user's transport stays the user's. */
static void cwsi_session_drop_client(cws_client *c, const cws_session_opts *o)
{
    if (o->client_opts && o->client_opts->transport) c->transport.close = NULL;
    cws_client_free(c);
}

CWS_API cws_status cws_session_open(const cws_session_opts *opts, cws_session **out, cws_error *err)
{
    cws_session_opts none = CWSI_ZERO;
    const cws_session_opts *o = opts ? opts : &none;
    cws_client *c = o->client;
    cws_session *s;
    int64_t close_ms = 0;
    cws_status status;
    cwsi_error_clear(err);
    if (out) *out = NULL;
    if (!out) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "out must not be NULL");
    status = cwsi_check_zero(err, "cws_session_opts", o->must_be_zero);
    if (!status)
        status = cwsi_check_seconds(err, "close_timeout_seconds", o->close_timeout_seconds,
                                    CWSI_CAST(int64_t, CWSI_CLOSE_TIMEOUT_S * 1000), false,
                                    &close_ms);
    if (!status && c && o->client_opts)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "give client or client_opts, not both");
    if (!status && c) status = cwsi_enter(c, out, err);
    if (!status && !c) status = cws_client_open(o->client_opts, &c, err);
    if (status) return status;
    s = cwsi_session_new(c, close_ms);
    if (!s) {
        if (!o->client) cwsi_session_drop_client(c, o);
        return cwsi_no_memory(err, "session");
    }
    s->own_client = !o->client;
    status = cwsi_session_defaults(s, o, err);
    if (!status && o->journal) status = cwsi_journal_open(s, o->journal, err);
    if (status) {
        s->own_client = false;
        cws_session_free(s);
        if (!o->client) cwsi_session_drop_client(c, o);
        return status;
    }
    *out = s;
    return CWS_OK;
}

CWS_API cws_client *cws_session_client(const cws_session *session)
{
    return session ? session->client : NULL;
}

/* What every function of an open session checks first. */
static cws_status cwsi_enter_session(cws_session *s, const void *out, cws_error *err)
{
    cwsi_error_clear(err);
    if (!s) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "session must not be NULL");
    if (s->closed) return cwsi_fail(err, CWS_ERR_CLOSED, "the session is closed");
    return cwsi_enter(s->client, out, err);
}

/* The placement that is tried first. */
static void cwsi_spillover_first(cws_sandbox_opts *o)
{
    if (o->spillover == CWS_SPILLOVER_CKS_THEN_SERVERLESS) o->placement = CWS_PLACEMENT_CKS;
    if (o->spillover == CWS_SPILLOVER_SERVERLESS_THEN_CKS) o->placement = CWS_PLACEMENT_SERVERLESS;
}

/* The other one. False: there is none. */
static bool cwsi_spillover_second(cws_sandbox_opts *o)
{
    if (o->spillover <= CWS_SPILLOVER_STRICT) return false;
    o->placement = o->placement == CWS_PLACEMENT_CKS ? CWS_PLACEMENT_SERVERLESS : CWS_PLACEMENT_CKS;
    if (o->placement == CWS_PLACEMENT_SERVERLESS) o->runner_ids = NULL;
    return true;
}

static bool cwsi_add_tag(cwsi_arena *a, cws_sandbox_opts *o, const char *tag)
{
    const char *one[2];
    bool ok = true;
    one[0] = tag;
    one[1] = NULL;
    o->tags = cwsi_keep_strings(a, o->tags, one, &ok);
    return ok;
}

/* Storage is known from the options until the service tells. */
static bool cwsi_sandbox_know_volumes(cwsi_arena *a, cws_sandbox *sb, const cws_sandbox_opts *o)
{
    const cws_file_system *f = o->file_system;
    size_t n = o->volume_count + (f ? 1 : 0);
    cws_volume *all = CWSI_AS(cws_volume, cwsi_arena_alloc(a, n * sizeof(*all) + 1));
    bool ok = true;
    if (!all) return false;
    if (o->volume_count) memcpy(all, o->volumes, o->volume_count * sizeof(*all));
    if (f) all[n - 1] = cwsi_file_system_volume(f);
    if (n) sb->info.volumes = cwsi_keep_volumes(&sb->learned, all, n, &ok);
    sb->info.volume_count = ok ? n : 0;
    return ok;
}

/* Merge, check, encode: after this the sandbox knows all that a start needs. */
static cws_status cwsi_sandbox_prepare(cws_session *s, cws_sandbox *sb, const cws_sandbox_opts *o,
                                       cws_error *err)
{
    cws_client *c = s->client;
    cws_sandbox_opts merged, tags = CWSI_ZERO;
    cwsi_arena arena;
    cws_status status = cwsi_check_sandbox_opts(err, o);
    if (status) return status;
    cwsi_arena_init(&arena, &c->mem);
    cwsi_uuid(c, sb->request_id);
    tags.tags = s->defaults.tags;
    sb->from_template = o->template_id != NULL;
    status = cwsi_merge_sandbox_opts(&arena, sb->from_template ? &tags : &s->defaults, o, &merged,
                                     err);
    if (!status)
        status = cwsi_check_seconds(err, "request_timeout_seconds", o->request_timeout_seconds,
                                    s->request_timeout_ms, false, &sb->request_timeout_ms);
    if (!status) status = c->dialect->lacks(&merged, err);
    if (!status && s->journal && !cwsi_add_tag(&arena, &merged, s->journal->tag))
        status = cwsi_no_memory(err, "sandbox");
    if (!status) {
        cwsi_spillover_first(&merged);
        status = c->dialect->create_encode(&arena, &merged, sb->request_id, &sb->create);
        if (!status && cwsi_spillover_second(&merged)) {
            cwsi_uuid(c, sb->spill_id);
            status = c->dialect->create_encode(&arena, &merged, sb->spill_id, &sb->spill);
        }
        if (status == CWS_ERR_LIMIT)
            status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                               "the options are larger than 100 MiB together");
        else if (status || !cwsi_sandbox_know_volumes(&arena, sb, &merged))
            status = cwsi_no_memory(err, "sandbox");
    }
    cwsi_arena_clear(&arena);
    return status;
}

CWS_API cws_status cws_session_sandbox(cws_session *session, const cws_sandbox_opts *opts,
                                       cws_sandbox **out, cws_error *err)
{
    cws_sandbox_opts none = CWSI_ZERO;
    cws_sandbox *sb;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_session(session, out, err);
    if (status) return status;
    sb = cwsi_sandbox_new(session->client);
    if (!sb) return cwsi_no_memory(err, "sandbox");
    status = cwsi_sandbox_prepare(session, sb, opts ? opts : &none, err);
    if (!status) status = cwsi_session_track(session, sb, err);
    if (status) {
        cwsi_sandbox_unref(sb);
        return status;
    }
    *out = sb;
    return CWS_OK;
}

CWS_API size_t cws_session_sandbox_count(const cws_session *session)
{
    return session ? session->tracked_len : 0;
}

CWS_API size_t cws_sandbox_list_count(const cws_sandbox_list *list)
{
    return list ? list->len : 0;
}

CWS_API cws_sandbox *cws_sandbox_list_at(const cws_sandbox_list *list, size_t index)
{
    return list && index < list->len ? list->at[index] : NULL;
}

CWS_API cws_sandbox *cws_sandbox_list_take(cws_sandbox_list *list, size_t index)
{
    cws_sandbox *sb = cws_sandbox_list_at(list, index);
    if (sb) sb->refs++;
    return sb;
}

CWS_API void cws_sandbox_list_free(cws_sandbox_list *list)
{
    cws_client *c;
    size_t i;
    if (!list) return;
    c = list->client;
    for (i = 0; i < list->len; i++) cwsi_sandbox_unref(list->at[i]);
    cwsi_free(&c->mem, list->at);
    cwsi_free(&c->mem, list);
    cwsi_client_unref(c);
}

/* Filters: the session's tags and the given ones; the given selectors or else the session's. */
static bool cwsi_listing_fill(cwsi_listing *l, const cws_list_opts *o)
{
    cws_client *c = l->op.client;
    const cws_sandbox_opts *d = &l->session->defaults;
    bool ok = true;
    const char *const *tags, *const *runner_ids, *const *ids, *const *names;
    cwsi_arena_init(&l->arena, &c->mem);
    l->found = CWSI_NEW(&c->mem, cws_sandbox_list);
    if (!l->found) return false;
    l->found->client = c;
    c->refs++;
    l->adopt = o->adopt;
    l->request.state = o->status;
    l->request.include_stopped = o->include_stopped || cws_state_is_terminal(o->status);
    tags = cwsi_keep_strings(&l->arena, d->tags, o->tags, &ok);
    runner_ids =
        cwsi_keep_strings(&l->arena, o->runner_ids ? o->runner_ids : d->runner_ids, NULL, &ok);
    ids = cwsi_keep_strings(&l->arena, o->profile_ids ? o->profile_ids : d->profile_ids, NULL, &ok);
    names = cwsi_keep_strings(&l->arena, o->profile_names ? o->profile_names : d->profile_names,
                              NULL, &ok);
    return ok && cwsi_strings_of(&l->arena, tags, &l->request.tags) &&
           cwsi_strings_of(&l->arena, runner_ids, &l->request.runner_ids) &&
           cwsi_strings_of(&l->arena, ids, &l->request.profile_ids) &&
           cwsi_strings_of(&l->arena, names, &l->request.profile_names);
}

/* Profiles are told from the options, and refused where there are none. */
static cws_status cwsi_check_list_profiles(const cws_client *c, const cws_list_opts *o,
                                           cws_error *err)
{
    cws_sandbox_opts profiles = CWSI_ZERO;
    profiles.profile_ids = o->profile_ids;
    profiles.profile_names = o->profile_names;
    if (cwsi_check_strings(err, "profile_ids", o->profile_ids) ||
        cwsi_check_strings(err, "profile_names", o->profile_names))
        return CWS_ERR_INVALID_ARGUMENT;
    return c->dialect->lacks(&profiles, err);
}

CWS_API cws_status cws_session_list_begin(cws_session *session, const cws_list_opts *opts,
                                          cws_op **out, cws_error *err)
{
    cws_list_opts none = CWSI_ZERO;
    const cws_list_opts *o = opts ? opts : &none;
    cwsi_listing *l;
    cws_op *op;
    int64_t timeout_ms = 0;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_session(session, out, err);
    if (!status) status = cwsi_check_zero(err, "cws_list_opts", o->must_be_zero);
    if (!status && CWSI_CAST(unsigned, o->status) > CWS_STATE_UNSPECIFIED)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "status: not a cws_state");
    if (!status && o->status && o->status != CWS_STATE_UNSPECIFIED &&
        session->client->dialect->state_number(o->status) == 0)
        status = cwsi_fail(err, CWS_ERR_UNSUPPORTED, "status '%s' is not there in %s",
                           cws_state_name(o->status), session->client->dialect->name);
    if (!status) status = cwsi_check_tags(err, o->tags);
    if (!status) status = cwsi_check_runner_ids(err, o->runner_ids);
    if (!status) status = cwsi_check_list_profiles(session->client, o, err);
    if (!status)
        status = cwsi_check_seconds(err, "timeout_seconds", o->timeout_seconds,
                                    session->request_timeout_ms, false, &timeout_ms);
    if (status) return status;
    op = cwsi_op_new(session->client, sizeof(cwsi_listing), cwsi_listing_kind(), NULL);
    if (!op) return cwsi_no_memory(err, "List sandboxes");
    l = CWSI_AS(cwsi_listing, op);
    l->session = session;
    session->refs++;
    l->timeout_ms = timeout_ms;
    if (!cwsi_listing_fill(l, o)) {
        cws_op_free(op);
        return cwsi_no_memory(err, "List sandboxes");
    }
    *out = op;
    return CWS_OK;
}

CWS_API cws_status cws_session_list(cws_session *session, const cws_list_opts *opts,
                                    cws_sandbox_list **out, cws_error *err)
{
    cws_op *op = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (session && cwsi_may_block(session->client, err)) return CWS_ERR_REENTRANT;
    status = cws_session_list_begin(session, opts, out ? &op : NULL, err);
    if (status) return status;
    status = cws_op_wait(op, -1, err);
    if (!status) *out = cws_op_take_list(op);
    cws_op_free(op);
    return status;
}

CWS_API cws_status cws_session_from_id_begin(cws_session *session, const char *sandbox_id,
                                             bool no_adopt, cws_op **out, cws_error *err)
{
    cws_op *op;
    cwsi_get *get;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_session(session, out, err);
    if (!status) status = cwsi_check_id(err, sandbox_id);
    if (status) return status;
    op = cwsi_op_new(session->client, sizeof(cwsi_get), cwsi_get_kind(CWSI_GET_FROM_ID), NULL);
    if (!op) return cwsi_no_memory(err, "Get sandbox");
    get = CWSI_AS(cwsi_get, op);
    get->session = session;
    session->refs++;
    get->adopt = !no_adopt;
    memcpy(get->id, sandbox_id, strlen(sandbox_id) + 1);
    op->about = get->id;
    *out = op;
    return CWS_OK;
}

CWS_API cws_status cws_session_from_id(cws_session *session, const char *sandbox_id, bool no_adopt,
                                       cws_sandbox **out, cws_error *err)
{
    cws_op *op = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (session && cwsi_may_block(session->client, err)) return CWS_ERR_REENTRANT;
    status = cws_session_from_id_begin(session, sandbox_id, no_adopt, out ? &op : NULL, err);
    if (status) return status;
    status = cws_op_wait(op, -1, err);
    if (!status) *out = cws_op_take_sandbox(op);
    cws_op_free(op);
    return status;
}

CWS_API cws_status cws_session_adopt(cws_session *session, cws_sandbox *sandbox, cws_error *err)
{
    cws_status status = cwsi_enter_session(session, session, err);
    if (!status && !sandbox)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "sandbox must not be NULL");
    if (!status && sandbox->client != session->client)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                           "the sandbox belongs to another client; use cws_session_from_id");
    if (!status && !sandbox->id[0])
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "the sandbox has no id: start it first");
    return status ? status : cwsi_session_track(session, sandbox, err);
}

CWS_API cws_status cws_session_release(cws_session *session, cws_sandbox *sandbox, cws_error *err)
{
    cws_status status = cwsi_enter_session(session, session, err);
    if (!status && !sandbox)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "sandbox must not be NULL");
    if (!status && sandbox->session && sandbox->session != session)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "another session tracks the sandbox");
    if (!status) cwsi_session_forget(sandbox);
    return status;
}

CWS_API cws_status cws_session_reap_begin(cws_session *session, cws_op **out, cws_error *err)
{
    cws_op *op;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_session(session, out, err);
    if (!status && !session->journal)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "the session was opened without journal");
    if (status) return status;
    op = cwsi_op_new(session->client, sizeof(cwsi_reap), cwsi_reap_kind(), NULL);
    if (!op) return cwsi_no_memory(err, "Reap");
    CWSI_AS(cwsi_reap, op)->session = session;
    session->refs++;
    *out = op;
    return CWS_OK;
}

CWS_API size_t cws_op_reaped(const cws_op *op)
{
    if (!op || op->kind != cwsi_reap_kind()) return 0;
    return CWSI_CAST(const cwsi_reap *, CWSI_CAST(const void *, op))->stopped;
}

CWS_API cws_status cws_session_reap(cws_session *session, size_t *stopped, cws_error *err)
{
    cws_op *op = NULL;
    cws_status status;
    if (stopped) *stopped = 0;
    if (session && cwsi_may_block(session->client, err)) return CWS_ERR_REENTRANT;
    status = cws_session_reap_begin(session, &op, err);
    if (status) return status;
    status = cws_op_wait(op, -1, err);
    if (stopped) *stopped = cws_op_reaped(op);
    cws_op_free(op);
    return status;
}

CWS_API cws_status cws_session_close_begin(cws_session *session, cws_op **out, cws_error *err)
{
    cws_op *op = NULL;
    cws_status status;
    if (out) *out = NULL;
    cwsi_error_clear(err);
    if (!session) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "session must not be NULL");
    status = cwsi_enter(session->client, out, err);
    if (status) return status;
    op = cwsi_op_new(session->client, sizeof(cwsi_close), cwsi_close_kind(), NULL);
    if (!op) return cwsi_no_memory(err, "Close session");
    session->closed = true;
    CWSI_AS(cwsi_close, op)->session = session;
    session->refs++;
    if (session->close_op) (void)cwsi_op_await(op, session->close_op);
    else session->close_op = op;
    *out = op;
    return CWS_OK;
}

CWS_API cws_status cws_session_close(cws_session *session, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (session && cwsi_may_block(session->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_session_close_begin(session, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

CWS_API bool cws_session_failed(const cws_session *session, size_t index,
                                const cws_sandbox **sandbox, const cws_error **why)
{
    size_t i;
    for (i = 0; session && i < session->tracked_len; i++) {
        const cwsi_tracked *t = session->tracked[i];
        if (!t->failed || index-- > 0) continue;
        if (sandbox) *sandbox = t->sandbox;
        if (why) *why = &t->why;
        return true;
    }
    return false;
}

CWS_API void cws_session_free(cws_session *session)
{
    cws_client *own;
    if (!session) return;
    own = session->own_client ? session->client : NULL;
    cwsi_unguard(session);
    session->closed = true;
    session->own_client = false;
    cws_client_free(own); /* while the session still holds it */
    cwsi_session_unref(session);
}

#ifdef CWS_EXIT_GUARD

/* ================================================================================================
 * >>impl-guard
 * Closing sessions when the process ends: the only state and the only handlers of the process.
 * ============================================================================================= */

typedef struct cwsi_guards {
    cws_session *first; /* each held */
    bool at_exit, installed;
    void (*before[2])(int); /* what SIGINT and SIGTERM did */
    volatile sig_atomic_t caught, cleaning;
} cwsi_guards;

static cwsi_guards cwsi_guard;

/* Nothing but noting it is safe here; a second signal does not wait for the closing. */
static void cwsi_guard_handler(int number)
{
    if (cwsi_guard.cleaning) _Exit(128 + number);
    cwsi_guard.caught = number;
}

static void cwsi_guard_install(bool on)
{
    static const int numbers[2] = {SIGINT, SIGTERM};
    size_t i;
    if (on == cwsi_guard.installed) return;
    cwsi_guard.installed = on;
    for (i = 0; i < 2; i++) {
        if (on) cwsi_guard.before[i] = signal(numbers[i], cwsi_guard_handler);
        else (void)signal(numbers[i], cwsi_guard.before[i]);
    }
}

static void cwsi_unguard(cws_session *s)
{
    cws_session **link = &cwsi_guard.first;
    if (!s->guarded) return;
    while (*link != s) link = &(*link)->guard_next;
    *link = s->guard_next;
    s->guarded = false;
    if (!cwsi_guard.first && !cwsi_guard.cleaning) cwsi_guard_install(false);
    cwsi_session_unref(s);
}

static void cwsi_guard_close_all(void)
{
    cws_error err;
    while (cwsi_guard.first) {
        cws_session *s = cwsi_guard.first;
        s->refs++;
        if (!s->client->dead && cws_session_close(s, &err))
            cwsi_log(s->client, CWS_LOG_ERROR, "at the end of the process: %s", err.message);
        cwsi_unguard(s);
        cwsi_session_unref(s);
    }
}

static void cwsi_guard_exit(void)
{
    cwsi_guard_close_all();
}

/* Has a signal come? Then close, and let it do what it did before. True: there is a guard. */
static bool cwsi_guard_look(void)
{
    int number = CWSI_CAST(int, cwsi_guard.caught);
    void (*before)(int) = cwsi_guard.before[number == SIGTERM];
    if (!number || cwsi_guard.cleaning) return cwsi_guard.installed;
    cwsi_guard.cleaning = 1;
    cwsi_guard_close_all();
    cwsi_guard_install(false);
    cwsi_guard.caught = cwsi_guard.cleaning = 0;
    if (before == SIG_DFL) (void)raise(number);
    else if (before != SIG_IGN && before != SIG_ERR) before(number);
    return false;
}

CWS_API cws_status cws_session_guard(cws_session *session, bool on, cws_error *err)
{
    cws_status status;
    if (session && !on) {
        cwsi_error_clear(err);
        cwsi_unguard(session);
        return CWS_OK;
    }
    status = cwsi_enter_session(session, session, err);
    if (status || session->guarded) return status;
    if (!cwsi_guard.at_exit && atexit(cwsi_guard_exit))
        return cwsi_fail(err, CWS_ERR_NO_MEMORY, "guard: atexit takes no more functions");
    cwsi_guard.at_exit = true;
    session->guarded = true;
    session->refs++;
    session->guard_next = cwsi_guard.first;
    cwsi_guard.first = session;
    cwsi_guard_install(true);
    return CWS_OK;
}

#else

static void cwsi_unguard(cws_session *s)
{
    (void)s;
}

#endif

/* ================================================================================================
 * >>impl-pool
 * The functions of >>pool, on the public ones: a slot for each sandbox, whose wait or stop reports
 * to it.
 *
 *      STARTING --runs--> READY --taken--> (the caller's)
 *          |                `--too old--> STOPPING --> EMPTY --> STARTING
 *          `--failed---------------------^
 * ============================================================================================= */

#define CWSI_POOL_FAILURES 3

typedef enum cwsi_slot_state {
    CWSI_SLOT_EMPTY,
    CWSI_SLOT_STARTING,
    CWSI_SLOT_READY,
    CWSI_SLOT_STOPPING
} cwsi_slot_state;

typedef struct cwsi_slot {
    cws_pool *pool;
    cwsi_slot_state state;
    cws_sandbox *sandbox;
    cws_op *op; /* the wait or the stop; it may have ended */
    int64_t since_ms;
} cwsi_slot;

struct cws_pool {
    cws_session *session; /* held */
    cws_pool_opts opts;
    cwsi_arena arena;
    cws_sandbox_opts sandbox;
    int64_t max_age_ms; /* 0: none */
    cwsi_slot *slots;   /* opts.size of them */
    size_t failures;    /* in a row */
    cws_error why;      /* the last of them */
    bool closed;
};

static void cwsi_pool_fill(cws_pool *pool, bool insist);
static void cwsi_slot_stop(cwsi_slot *slot);

static void cwsi_slot_clear(cwsi_slot *slot)
{
    cws_op_free(slot->op);
    cws_sandbox_free(slot->sandbox);
    slot->op = NULL;
    slot->sandbox = NULL;
    slot->state = CWSI_SLOT_EMPTY;
}

/* A wait or a stop has ended. The operation itself is freed later: this is its callback. */
static void cwsi_slot_done(cws_op *op, void *user)
{
    cwsi_slot *slot = CWSI_CAST(cwsi_slot *, user);
    cws_pool *pool = slot->pool;
    cws_error err;
    bool ready = slot->state == CWSI_SLOT_STARTING && cws_op_result(op, &err) == CWS_OK;
    if (ready) {
        slot->state = CWSI_SLOT_READY;
        slot->since_ms = cwsi_now(pool->session->client);
        pool->failures = 0;
    } else if (slot->state == CWSI_SLOT_STARTING) {
        pool->failures++;
        pool->why = err;
        cwsi_slot_stop(slot); /* it may still come to run */
    } else {
        slot->state = CWSI_SLOT_EMPTY;
    }
    cwsi_pool_fill(pool, false);
    if (ready && pool->opts.on_ready) pool->opts.on_ready(pool, pool->opts.user);
}

/* Start a sandbox in an empty slot. */
static void cwsi_slot_start(cwsi_slot *slot)
{
    cws_pool *pool = slot->pool;
    cwsi_slot_clear(slot);
    if (cws_session_sandbox(pool->session, &pool->sandbox, &slot->sandbox, &pool->why) ||
        cws_sandbox_wait_begin(slot->sandbox, 0, &slot->op, &pool->why)) {
        pool->failures++;
        if (slot->sandbox) (void)cws_session_release(pool->session, slot->sandbox, NULL);
        cwsi_slot_clear(slot);
        return;
    }
    slot->state = CWSI_SLOT_STARTING;
    cws_op_on_done(slot->op, cwsi_slot_done, slot);
}

static size_t cwsi_pool_count(const cws_pool *pool, cwsi_slot_state state)
{
    size_t i, n = 0;
    for (i = 0; i < pool->opts.size; i++) n += pool->slots[i].state == state;
    return n;
}

/* Start what is missing. insist: even if it has failed too often. */
static void cwsi_pool_fill(cws_pool *pool, bool insist)
{
    size_t i, starting = cwsi_pool_count(pool, CWSI_SLOT_STARTING);
    if (insist && pool->failures >= CWSI_POOL_FAILURES) pool->failures = CWSI_POOL_FAILURES - 1;
    for (i = 0; i < pool->opts.size && !pool->closed; i++) {
        if (starting >= pool->opts.max_starting || pool->failures >= CWSI_POOL_FAILURES) return;
        if (pool->slots[i].state != CWSI_SLOT_EMPTY) continue;
        cwsi_slot_start(&pool->slots[i]);
        starting++;
    }
}

/* Stop a sandbox that nobody has taken. */
static void cwsi_slot_stop(cwsi_slot *slot)
{
    cws_error err;
    cws_op_free(slot->op);
    slot->op = NULL;
    if (cws_sandbox_stop_begin(slot->sandbox, NULL, &slot->op, &err)) {
        cwsi_slot_clear(slot); /* the session will */
        return;
    }
    slot->state = CWSI_SLOT_STOPPING;
    cws_op_on_done(slot->op, cwsi_slot_done, slot);
}

/* The one that has been ready for longest and is not too old; too old ones are stopped. */
static cwsi_slot *cwsi_pool_pick(cws_pool *pool)
{
    int64_t now = cwsi_now(pool->session->client);
    cwsi_slot *best = NULL;
    size_t i;
    for (i = 0; i < pool->opts.size; i++) {
        cwsi_slot *slot = &pool->slots[i];
        if (slot->state != CWSI_SLOT_READY) continue;
        if ((pool->max_age_ms && now - slot->since_ms > pool->max_age_ms) ||
            cws_state_is_terminal(cws_sandbox_state(slot->sandbox)))
            cwsi_slot_stop(slot);
        else if (!best || slot->since_ms < best->since_ms) best = slot;
    }
    return best;
}

CWS_API cws_status cws_pool_open(cws_session *session, const cws_pool_opts *opts, cws_pool **out,
                                 cws_error *err)
{
    cws_sandbox_opts none = CWSI_ZERO;
    int64_t age_ms = 0;
    cws_pool *pool;
    cws_status status;
    size_t i;
    if (out) *out = NULL;
    status = cwsi_enter_session(session, out, err);
    if (!status && (!opts || opts->size < 1 || opts->size > 100000))
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "size must be 1 to 100000");
    if (!status) status = cwsi_check_zero(err, "cws_pool_opts", opts->must_be_zero);
    if (!status)
        status = cwsi_check_seconds(err, "max_age_seconds", opts->max_age_seconds, 0, false,
                                    &age_ms);
    if (status) return status;
    pool = CWSI_NEW(&session->client->mem, cws_pool);
    if (!pool) return cwsi_no_memory(err, "pool");
    pool->session = session;
    session->refs++;
    cwsi_arena_init(&pool->arena, &session->client->mem);
    pool->opts = *opts;
    if (!pool->opts.max_starting) pool->opts.max_starting = opts->size;
    pool->max_age_ms = opts->max_age_seconds > 0 ? age_ms : 0;
    pool->slots = CWSI_AS(cwsi_slot, cwsi_alloc(&session->client->mem,
                                                opts->size * sizeof(*pool->slots)));
    if (!pool->slots) pool->opts.size = 0;
    status = cwsi_merge_sandbox_opts(&pool->arena, &none, opts->sandbox ? opts->sandbox : &none,
                                     &pool->sandbox, err);
    if (status || !pool->slots) {
        cws_pool_free(pool);
        return status ? status : cwsi_no_memory(err, "pool");
    }
    for (i = 0; i < opts->size; i++) pool->slots[i].pool = pool;
    cwsi_pool_fill(pool, false);
    if (cwsi_pool_count(pool, CWSI_SLOT_STARTING) == 0) { /* the options are no good */
        status = cwsi_copy_error(err, &pool->why);
        cws_pool_free(pool);
        return status;
    }
    *out = pool;
    return CWS_OK;
}

CWS_API size_t cws_pool_ready(const cws_pool *pool)
{
    return pool ? cwsi_pool_count(pool, CWSI_SLOT_READY) : 0;
}

CWS_API cws_status cws_pool_take(cws_pool *pool, int64_t timeout_ms, cws_sandbox **out,
                                 cws_error *err)
{
    cws_client *c;
    cwsi_slot *slot;
    int64_t until;
    cws_status status;
    if (out) *out = NULL;
    cwsi_error_clear(err);
    if (!pool || !out)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s must not be NULL",
                         pool ? "out" : "pool");
    c = pool->session->client;
    if (pool->closed || pool->session->closed)
        return cwsi_fail(err, CWS_ERR_CLOSED, "the pool or its session is closed");
    if (timeout_ms && cwsi_may_block(c, err)) return CWS_ERR_REENTRANT;
    until = cwsi_until(c, timeout_ms);
    while (!(slot = cwsi_pool_pick(pool))) {
        int64_t now = cwsi_now(c);
        cwsi_pool_fill(pool, pool->failures >= CWSI_POOL_FAILURES);
        if (!cwsi_pool_count(pool, CWSI_SLOT_STARTING) &&
            !cwsi_pool_count(pool, CWSI_SLOT_STOPPING))
            return cwsi_copy_error(err, &pool->why);
        if (timeout_ms == 0 || (until != CWSI_NEVER && now >= until))
            return cwsi_fail(err, CWS_ERR_WAIT_TIMEOUT, "no sandbox of the pool is ready yet");
        status = cwsi_loop_turn(c, until == CWSI_NEVER ? -1 : until - now, err);
        if (status) return status;
        if (pool->failures >= CWSI_POOL_FAILURES && !cwsi_pool_count(pool, CWSI_SLOT_STARTING) &&
            !cwsi_pool_count(pool, CWSI_SLOT_READY))
            return cwsi_copy_error(err, &pool->why);
    }
    *out = slot->sandbox;
    slot->sandbox = NULL;
    cwsi_slot_clear(slot);
    cwsi_pool_fill(pool, false);
    return CWS_OK;
}

CWS_API cws_status cws_pool_close(cws_pool *pool, cws_error *err)
{
    cws_error first;
    cws_status status = CWS_OK;
    size_t i, failed = 0;
    cwsi_error_clear(err);
    memset(&first, 0, sizeof(first));
    if (!pool) return CWS_OK;
    if (cwsi_may_block(pool->session->client, err)) return CWS_ERR_REENTRANT;
    pool->closed = true;
    for (i = 0; i < pool->opts.size; i++) {
        cwsi_slot *slot = &pool->slots[i];
        if (slot->state == CWSI_SLOT_STARTING || slot->state == CWSI_SLOT_READY)
            cwsi_slot_stop(slot);
        cws_op_on_done(slot->op, NULL, NULL);
    }
    for (i = 0; i < pool->opts.size; i++) {
        cwsi_slot *slot = &pool->slots[i];
        if (slot->state == CWSI_SLOT_STOPPING) {
            status = cws_op_wait(slot->op, -1, failed ? NULL : &first);
            failed += status != CWS_OK;
        }
        cwsi_slot_clear(slot);
    }
    if (!failed) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_SANDBOX,
                     "%zu sandboxes of the pool failed to stop and may still be running; first: %s",
                     failed, first.message);
}

CWS_API void cws_pool_free(cws_pool *pool)
{
    cws_session *s;
    size_t i;
    if (!pool) return;
    s = pool->session;
    for (i = 0; i < pool->opts.size; i++) {
        cws_op_on_done(pool->slots[i].op, NULL, NULL);
        cwsi_slot_clear(&pool->slots[i]);
    }
    cwsi_arena_clear(&pool->arena);
    cwsi_free(&s->client->mem, pool->slots);
    cwsi_free(&s->client->mem, pool);
    cwsi_session_unref(s);
}

/* ================================================================================================
 * >>impl-public-snapshots
 * The functions of >>snapshots.
 * ============================================================================================= */

#define CWSI_DEFINE_LIST(kind)                                                                     \
    CWS_API size_t cws_##kind##_list_count(const cws_##kind##_list *list)                          \
    {                                                                                              \
        return list ? list->found.items.len : 0;                                                   \
    }                                                                                              \
    CWS_API const cws_##kind *cws_##kind##_list_at(const cws_##kind##_list *list, size_t index)    \
    {                                                                                              \
        return index < cws_##kind##_list_count(list)                                               \
                   ? CWSI_CAST(const cws_##kind *, list->found.items.at) + index                   \
                   : NULL;                                                                         \
    }                                                                                              \
    CWS_API void cws_##kind##_list_free(cws_##kind##_list *list)                                   \
    {                                                                                              \
        if (list) cwsi_found_free(&list->found);                                                   \
    }

CWSI_DEFINE_LIST(snapshot)
CWSI_DEFINE_LIST(runner)
CWSI_DEFINE_LIST(profile)

/* What an ended operation has found, if it is one of the questions from first to last. */
static cwsi_found *cwsi_take_found(cws_op *op, cwsi_ask first, cwsi_ask last)
{
    cwsi_found **slot = NULL, *found;
    int ask;
    if (!op || !op->done || op->err.status) return NULL;
    for (ask = CWSI_CAST(int, first); ask <= CWSI_CAST(int, last); ask++)
        if (op->kind == cwsi_asking_kind(CWSI_CAST(cwsi_ask, ask)))
            slot = &CWSI_AS(cwsi_asking, op)->found;
    if (first == CWSI_ASK_SNAPSHOT_GET && op->kind == cwsi_snapshot_kind())
        slot = &CWSI_AS(cwsi_snapshot, op)->found;
    if (!slot) return NULL;
    found = *slot;
    *slot = NULL;
    return found;
}

CWS_API cws_snapshot_list *cws_op_take_snapshots(cws_op *op)
{
    return CWSI_AS(cws_snapshot_list,
                   cwsi_take_found(op, CWSI_ASK_SNAPSHOT_GET, CWSI_ASK_SNAPSHOT_LIST));
}

CWS_API cws_runner_list *cws_op_take_runners(cws_op *op)
{
    return CWSI_AS(cws_runner_list,
                   cwsi_take_found(op, CWSI_ASK_RUNNER_LIST, CWSI_ASK_RUNNER_GET));
}

CWS_API cws_profile_list *cws_op_take_profiles(cws_op *op)
{
    return CWSI_AS(cws_profile_list,
                   cwsi_take_found(op, CWSI_ASK_PROFILE_LIST, CWSI_ASK_PROFILE_GET));
}

CWS_API bool cws_op_snapshot_bucket(const cws_op *op, cws_snapshot_bucket *out)
{
    if (!op || !out || !op->done || op->err.status ||
        (op->kind != cwsi_asking_kind(CWSI_ASK_BUCKET_GET) &&
         op->kind != cwsi_asking_kind(CWSI_ASK_BUCKET_SET)))
        return false;
    *out = CWSI_CAST(const cwsi_asking *, CWSI_CAST(const void *, op))->found->bucket;
    return true;
}

CWS_API cws_status cws_snapshot_create_begin(cws_sandbox *sandbox, const cws_snapshot_opts *opts,
                                             cws_op **out, cws_error *err)
{
    cws_snapshot_opts none = CWSI_ZERO;
    const cws_snapshot_opts *o = opts ? opts : &none;
    const char *volume = o->volume;
    int64_t timeout_ms = 0;
    cwsi_snapshot *s;
    bool ok = true;
    cws_op *op;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_sandbox(sandbox, out, err);
    if (!status) status = cwsi_check_zero(err, "cws_snapshot_opts", o->must_be_zero);
    if (!status) status = cwsi_check_token(err, o->request_id);
    if (!status)
        status = cwsi_check_seconds(err, "timeout_seconds", o->timeout_seconds,
                                    o->no_wait ? sandbox->request_timeout_ms
                                               : CWSI_SNAPSHOT_S * 1000 + CWSI_CLIENT_BUFFER_MS,
                                    false, &timeout_ms);
    if (!status && volume && sandbox->client->dialect->one_volume)
        status = cwsi_fail(err, CWS_ERR_UNSUPPORTED,
                           "volume is not there in %s; leave it out: the file_system is meant",
                           sandbox->client->dialect->name);
    if (!status) status = cwsi_snapshot_volume(sandbox, &volume, err);
    if (!status && cwsi_sandbox_done(sandbox)) status = cwsi_not_running(err, sandbox);
    if (status) return status;
    op = cwsi_op_new(sandbox->client, sizeof(cwsi_snapshot), cwsi_snapshot_kind(), sandbox);
    if (!op) return cwsi_no_memory(err, "Create snapshot");
    s = CWSI_AS(cwsi_snapshot, op);
    cwsi_arena_init(&s->arena, &sandbox->client->mem);
    cwsi_uuid(sandbox->client, s->token);
    s->volume = cwsi_keep(&s->arena, o->volume, &ok);
    s->request_id = o->request_id && o->request_id[0] ? cwsi_keep(&s->arena, o->request_id, &ok)
                                                      : s->token;
    s->wait = !o->no_wait;
    s->timeout_ms = timeout_ms;
    if (!ok) (void)cwsi_op_fail_no_memory(op);
    *out = op;
    return CWS_OK;
}

/* The end of a blocking question: the operation, or what it has found if somebody wants it. */
static cws_status cwsi_finish_asking(cws_status begun, cws_op *op, cwsi_found **out, cwsi_ask first,
                                     cwsi_ask last, cws_error *err)
{
    cws_status status = begun;
    if (!begun) {
        status = cws_op_wait(op, -1, err);
        if (!status && out) *out = cwsi_take_found(op, first, last);
        cws_op_free(op);
    }
    return status;
}

CWS_API cws_status cws_snapshot_create(cws_sandbox *sandbox, const cws_snapshot_opts *opts,
                                       cws_snapshot_list **out, cws_error *err)
{
    cws_op *op = NULL;
    cwsi_found *found = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (sandbox && cwsi_may_block(sandbox->client, err)) return CWS_ERR_REENTRANT;
    status = cws_snapshot_create_begin(sandbox, opts, &op, err);
    status = cwsi_finish_asking(status, op, out ? &found : NULL, CWSI_ASK_SNAPSHOT_GET,
                                CWSI_ASK_SNAPSHOT_LIST, err);
    if (out) *out = CWSI_AS(cws_snapshot_list, found);
    return status;
}

/* What every question checks first. timeout_seconds 0: default_ms. NULL: err says why not. */
static cwsi_asking *cwsi_asking_begin(cws_client *c, cwsi_ask ask, double timeout_seconds,
                                      int64_t default_ms, cws_op **out, cws_error *err)
{
    int64_t timeout_ms = 0;
    cwsi_asking *a;
    cwsi_error_clear(err);
    if (out) *out = NULL;
    if (!c) {
        (void)cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "client must not be NULL");
        return NULL;
    }
    if (cwsi_enter(c, out, err) ||
        cwsi_check_seconds(err, "timeout_seconds", timeout_seconds,
                           default_ms ? default_ms : c->request_timeout_ms, false, &timeout_ms))
        return NULL;
    a = cwsi_asking_new(c, ask, cwsi_after(cwsi_now(c), timeout_ms));
    if (!a) (void)cwsi_no_memory(err, cwsi_asking_kind(ask)->name);
    return a;
}

/* The question is complete, if memory sufficed. */
static cws_status cwsi_asking_give(cwsi_asking *a, bool ok, cws_op **out, cws_error *err)
{
    if (ok) {
        *out = &a->op;
        return CWS_OK;
    }
    (void)cwsi_no_memory(err, a->op.kind->name);
    cws_op_free(&a->op);
    return CWS_ERR_NO_MEMORY;
}

/* A name that is required. Clears what is given out. */
static cws_status cwsi_check_name(cws_error *err, const char *name, const char *value, cws_op **out)
{
    if (out) *out = NULL;
    cwsi_error_clear(err);
    if (value && value[strspn(value, " \t\r\n")]) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s must not be empty or blank", name);
}

CWS_API cws_status cws_snapshot_get_begin(cws_client *client, const char *snapshot_id, cws_op **out,
                                          cws_error *err)
{
    bool ok = true;
    cwsi_asking *a;
    cws_error scratch;
    if (!err) err = &scratch;
    if (cwsi_check_name(err, "snapshot_id", snapshot_id, out)) return err->status;
    a = cwsi_asking_begin(client, CWSI_ASK_SNAPSHOT_GET, 0, 0, out, err);
    if (!a) return err->status;
    a->q.id = cwsi_asking_text(a, snapshot_id, &ok);
    return cwsi_asking_give(a, ok, out, err);
}

CWS_API cws_status cws_snapshot_get(cws_client *client, const char *snapshot_id,
                                    cws_snapshot_list **out, cws_error *err)
{
    cws_op *op = NULL;
    cwsi_found *found = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    status = cws_snapshot_get_begin(client, snapshot_id, out ? &op : NULL, err);
    status = cwsi_finish_asking(status, op, &found, CWSI_ASK_SNAPSHOT_GET, CWSI_ASK_SNAPSHOT_LIST,
                                err);
    if (out) *out = CWSI_AS(cws_snapshot_list, found);
    return status;
}

CWS_API cws_status cws_snapshot_find_begin(cws_client *client, const cws_snapshot_list_opts *opts,
                                           cws_op **out, cws_error *err)
{
    cws_snapshot_list_opts none = CWSI_ZERO;
    const cws_snapshot_list_opts *o = opts ? opts : &none;
    bool ok = true;
    cwsi_asking *a;
    cws_error scratch;
    if (!err) err = &scratch;
    if (out) *out = NULL;
    cwsi_error_clear(err);
    if (cwsi_check_zero(err, "cws_snapshot_list_opts", o->must_be_zero) ||
        cwsi_check_choice(err, "state", CWSI_CAST(unsigned, o->state), CWS_SNAPSHOT_DELETING))
        return err->status;
    a = cwsi_asking_begin(client, CWSI_ASK_SNAPSHOT_LIST, o->timeout_seconds, 0, out, err);
    if (!a) return err->status;
    a->state = o->state;
    a->q.sandbox_id = cwsi_asking_text(a, o->source_sandbox_id, &ok);
    return cwsi_asking_give(a, ok, out, err);
}

CWS_API cws_status cws_snapshot_find(cws_client *client, const cws_snapshot_list_opts *opts,
                                     cws_snapshot_list **out, cws_error *err)
{
    cws_op *op = NULL;
    cwsi_found *found = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    status = cws_snapshot_find_begin(client, opts, out ? &op : NULL, err);
    status = cwsi_finish_asking(status, op, &found, CWSI_ASK_SNAPSHOT_GET, CWSI_ASK_SNAPSHOT_LIST,
                                err);
    if (out) *out = CWSI_AS(cws_snapshot_list, found);
    return status;
}

CWS_API cws_status cws_snapshot_delete_begin(cws_client *client, const char *snapshot_id,
                                             bool missing_ok, cws_op **out, cws_error *err)
{
    bool ok = true;
    cwsi_asking *a;
    cws_error scratch;
    if (!err) err = &scratch;
    if (cwsi_check_name(err, "snapshot_id", snapshot_id, out)) return err->status;
    a = cwsi_asking_begin(client, CWSI_ASK_SNAPSHOT_DELETE, 0, 0, out, err);
    if (!a) return err->status;
    a->q.id = cwsi_asking_text(a, snapshot_id, &ok);
    a->q.missing_ok = missing_ok;
    return cwsi_asking_give(a, ok, out, err);
}

CWS_API cws_status cws_snapshot_delete(cws_client *client, const char *snapshot_id, bool missing_ok,
                                       cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    begun = cws_snapshot_delete_begin(client, snapshot_id, missing_ok, &op, err);
    return cwsi_finish_blocking(begun, op, err);
}

/* The end of a blocking question about the bucket. */
static cws_status cwsi_finish_bucket(cws_status begun, cws_op *op, cws_snapshot_bucket *out,
                                     cws_error *err)
{
    cws_status status = begun;
    if (begun) return status;
    status = cws_op_wait(op, -1, err);
    if (!status && out) (void)cws_op_snapshot_bucket(op, out);
    cws_op_free(op);
    return status;
}

CWS_API cws_status cws_snapshot_bucket_get_begin(cws_client *client, cws_op **out, cws_error *err)
{
    cws_error scratch;
    cwsi_asking *a;
    if (!err) err = &scratch;
    a = cwsi_asking_begin(client, CWSI_ASK_BUCKET_GET, 0, 0, out, err);
    return a ? cwsi_asking_give(a, true, out, err) : err->status;
}

CWS_API cws_status cws_snapshot_bucket_get(cws_client *client, cws_snapshot_bucket *out,
                                           cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    begun = cws_snapshot_bucket_get_begin(client, &op, err);
    return cwsi_finish_bucket(begun, op, out, err);
}

CWS_API cws_status cws_snapshot_bucket_set_begin(cws_client *client, const char *bucket_name,
                                                 const char *region, cws_op **out, cws_error *err)
{
    bool ok = true, own = bucket_name && bucket_name[0];
    cws_error scratch;
    cwsi_asking *a;
    if (!err) err = &scratch;
    if (out) *out = NULL;
    cwsi_error_clear(err);
    if (own != (region && region[0]))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                         "give both bucket_name and region, or none of them");
    a = cwsi_asking_begin(client, CWSI_ASK_BUCKET_SET, 0, 0, out, err);
    if (!a) return err->status;
    a->q.id = cwsi_asking_text(a, bucket_name, &ok);
    a->q.region = cwsi_asking_text(a, region, &ok);
    return cwsi_asking_give(a, ok, out, err);
}

CWS_API cws_status cws_snapshot_bucket_set(cws_client *client, const char *bucket_name,
                                           const char *region, cws_snapshot_bucket *out,
                                           cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    begun = cws_snapshot_bucket_set_begin(client, bucket_name, region, &op, err);
    return cwsi_finish_bucket(begun, op, out, err);
}

/* ================================================================================================
 * >>impl-public-discovery
 * The functions of >>discovery.
 * ============================================================================================= */

static cws_status cwsi_check_runner_opts(const cws_client *c, const cws_runner_opts *o,
                                         cws_error *err)
{
    bool profiles = c->dialect->profiles;
    const cwsi_lack lacks[] = {
        {!profiles && o->profile_name, "profile_name", "use runner_group_id, or nothing"},
        {!profiles && o->service_exposure_mode, "service_exposure_mode", "use service_visibility"},
        {!profiles && o->egress_mode, "egress_mode", "leave it out"},
        {!profiles && o->exclude_shared, "exclude_shared", "look at is_shared of the answers"},
        {profiles && o->service_visibility, "service_visibility", "use service_exposure_mode"}};
    if (cwsi_check_zero(err, "cws_runner_opts", o->must_be_zero) ||
        cwsi_check_choice(err, "service_visibility", CWSI_CAST(unsigned, o->service_visibility),
                          CWS_VISIBILITY_CUSTOM))
        return CWS_ERR_INVALID_ARGUMENT;
    if (o->min_available_cpu_millicores < 0 || o->min_available_memory_bytes < 0 ||
        o->min_available_gpu_count < 0)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "min_available_*: must not be negative");
    return cwsi_check_lacks(err, c->dialect->name, lacks, CWSI_COUNT(lacks));
}

CWS_API cws_status cws_runner_find_begin(cws_client *client, const cws_runner_opts *opts,
                                         cws_op **out, cws_error *err)
{
    cws_runner_opts none = CWSI_ZERO;
    const cws_runner_opts *o = opts ? opts : &none;
    bool ok = true;
    cwsi_asking *a;
    cws_error scratch;
    if (!err) err = &scratch;
    if (out) *out = NULL;
    cwsi_error_clear(err);
    if (client && cwsi_check_runner_opts(client, o, err)) return err->status;
    a = cwsi_asking_begin(client, CWSI_ASK_RUNNER_LIST, o->timeout_seconds, CWSI_DISCOVERY_MS, out,
                          err);
    if (!a) return err->status;
    a->q.group = cwsi_asking_text(a, o->runner_group_id, &ok);
    a->q.profile = cwsi_asking_text(a, o->profile_name, &ok);
    a->q.gpu_type = cwsi_asking_text(a, o->gpu_type, &ok);
    a->q.architecture = cwsi_asking_text(a, o->architecture, &ok);
    a->q.healthy_only = o->healthy_only;
    a->q.exclude_shared = o->exclude_shared;
    a->q.visibility = CWSI_CAST(int32_t, o->service_visibility);
    a->min_cpu = o->min_available_cpu_millicores;
    a->min_memory = o->min_available_memory_bytes;
    a->min_gpu = o->min_available_gpu_count;
    a->q.full = o->include_resources || a->min_cpu || a->min_memory || a->min_gpu;
    a->exposure_mode = cwsi_keep(&a->arena, o->service_exposure_mode, &ok);
    a->egress_mode = cwsi_keep(&a->arena, o->egress_mode, &ok);
    return cwsi_asking_give(a, ok, out, err);
}

CWS_API cws_status cws_runner_find(cws_client *client, const cws_runner_opts *opts,
                                   cws_runner_list **out, cws_error *err)
{
    cws_op *op = NULL;
    cwsi_found *found = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    status = cws_runner_find_begin(client, opts, out ? &op : NULL, err);
    status = cwsi_finish_asking(status, op, &found, CWSI_ASK_RUNNER_LIST, CWSI_ASK_RUNNER_GET, err);
    if (out) *out = CWSI_AS(cws_runner_list, found);
    return status;
}

CWS_API cws_status cws_runner_get_begin(cws_client *client, const char *runner_id,
                                        const char *organization_id, cws_op **out, cws_error *err)
{
    bool ok = true;
    cwsi_asking *a;
    cws_error scratch;
    if (!err) err = &scratch;
    if (cwsi_check_name(err, "runner_id", runner_id, out)) return err->status;
    if (client && !client->dialect->profiles &&
        cwsi_check_name(err, "organization_id", organization_id, out))
        return err->status;
    a = cwsi_asking_begin(client, CWSI_ASK_RUNNER_GET, 0, CWSI_DISCOVERY_MS, out, err);
    if (!a) return err->status;
    a->q.id = cwsi_asking_text(a, runner_id, &ok);
    a->q.organization = cwsi_asking_text(a, organization_id, &ok);
    a->q.full = true;
    return cwsi_asking_give(a, ok, out, err);
}

CWS_API cws_status cws_runner_get(cws_client *client, const char *runner_id,
                                  const char *organization_id, cws_runner_list **out,
                                  cws_error *err)
{
    cws_op *op = NULL;
    cwsi_found *found = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    status = cws_runner_get_begin(client, runner_id, organization_id, out ? &op : NULL, err);
    status = cwsi_finish_asking(status, op, &found, CWSI_ASK_RUNNER_LIST, CWSI_ASK_RUNNER_GET, err);
    if (out) *out = CWSI_AS(cws_runner_list, found);
    return status;
}

/* Are there profiles? */
static cws_status cwsi_check_profiles(const cws_client *c, cws_error *err)
{
    if (!c || c->dialect->profiles) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_UNSUPPORTED, "profiles are not there in %s; use runners",
                     c->dialect->name);
}

CWS_API cws_status cws_profile_find_begin(cws_client *client, const cws_profile_opts *opts,
                                          cws_op **out, cws_error *err)
{
    cws_profile_opts none = CWSI_ZERO;
    const cws_profile_opts *o = opts ? opts : &none;
    bool ok = true;
    cwsi_asking *a;
    cws_error scratch;
    if (!err) err = &scratch;
    if (out) *out = NULL;
    cwsi_error_clear(err);
    if (cwsi_check_zero(err, "cws_profile_opts", o->must_be_zero) ||
        cwsi_check_profiles(client, err))
        return err->status;
    a = cwsi_asking_begin(client, CWSI_ASK_PROFILE_LIST, o->timeout_seconds, CWSI_DISCOVERY_MS, out,
                          err);
    if (!a) return err->status;
    a->q.id = cwsi_asking_text(a, o->runner_id, &ok);
    a->q.gpu_type = cwsi_asking_text(a, o->gpu_type, &ok);
    a->q.architecture = cwsi_asking_text(a, o->architecture, &ok);
    a->q.exclude_shared = o->exclude_shared;
    a->exposure_mode = cwsi_keep(&a->arena, o->service_exposure_mode, &ok);
    a->egress_mode = cwsi_keep(&a->arena, o->egress_mode, &ok);
    return cwsi_asking_give(a, ok, out, err);
}

CWS_API cws_status cws_profile_find(cws_client *client, const cws_profile_opts *opts,
                                    cws_profile_list **out, cws_error *err)
{
    cws_op *op = NULL;
    cwsi_found *found = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    status = cws_profile_find_begin(client, opts, out ? &op : NULL, err);
    status =
        cwsi_finish_asking(status, op, &found, CWSI_ASK_PROFILE_LIST, CWSI_ASK_PROFILE_GET, err);
    if (out) *out = CWSI_AS(cws_profile_list, found);
    return status;
}

CWS_API cws_status cws_profile_get_begin(cws_client *client, const char *profile_name,
                                         const char *runner_id, cws_op **out, cws_error *err)
{
    bool ok = true;
    cwsi_asking *a;
    cws_error scratch;
    if (!err) err = &scratch;
    if (cwsi_check_name(err, "profile_name", profile_name, out) ||
        cwsi_check_profiles(client, err))
        return err->status;
    a = cwsi_asking_begin(client, CWSI_ASK_PROFILE_GET, 0, CWSI_DISCOVERY_MS, out, err);
    if (!a) return err->status;
    a->q.profile = cwsi_asking_text(a, profile_name, &ok);
    a->q.id = cwsi_asking_text(a, runner_id, &ok);
    return cwsi_asking_give(a, ok, out, err);
}

CWS_API cws_status cws_profile_get(cws_client *client, const char *profile_name,
                                   const char *runner_id, cws_profile_list **out, cws_error *err)
{
    cws_op *op = NULL;
    cwsi_found *found = NULL;
    cws_status status;
    if (out) *out = NULL;
    if (client && cwsi_may_block(client, err)) return CWS_ERR_REENTRANT;
    status = cws_profile_get_begin(client, profile_name, runner_id, out ? &op : NULL, err);
    status =
        cwsi_finish_asking(status, op, &found, CWSI_ASK_PROFILE_LIST, CWSI_ASK_PROFILE_GET, err);
    if (out) *out = CWSI_AS(cws_profile_list, found);
    return status;
}

/* ================================================================================================
 * >>impl-public-function
 * The functions of >>functions.
 * ============================================================================================= */

/* Copy what was checked. False: out of memory. */
static bool cwsi_function_fill(cws_function *fn, const cws_function_opts *o)
{
    static const char *const python[] = {"python", NULL}, *const cc[] = {"cc", "-O2", "-lm", NULL};
    cwsi_arena *a = &fn->arena;
    bool ok = true;
    size_t n;
    char *dir = cwsi_arena_copy(a, o->temp_dir ? o->temp_dir : "/tmp",
                                strlen(o->temp_dir ? o->temp_dir : "/tmp"));
    if (!dir) return false;
    fn->make_dir = strcmp(dir, "/tmp") != 0;
    for (n = strlen(dir); n && dir[n - 1] == '/'; n--) dir[n - 1] = '\0';
    fn->make_dir = fn->make_dir && dir[0];
    fn->temp_dir = dir;
    if (o->c_function) {
        fn->body = o->c_function->body;
        fn->name = cwsi_keep(a, o->c_function->name, &ok);
        fn->source = cwsi_program(a, o->c_function->source);
        fn->compiler = cwsi_keep_strings(a, o->compiler ? o->compiler : cc, NULL, &ok);
        cwsi_token(fn->client, fn->token);
    } else {
        fn->name = cwsi_keep(a, o->name, &ok);
        fn->source = cwsi_keep(a, o->source, &ok);
        fn->closure = cwsi_keep(a, o->closure_vars ? o->closure_vars : "{}", &ok);
        fn->interpreter = cwsi_keep_strings(a, o->interpreter ? o->interpreter : python, NULL, &ok);
        fn->local_interpreter = cwsi_keep(a, o->local_interpreter, &ok);
    }
    fn->serialization = o->serialization;
    fn->keep_warm = o->keep_warm;
    return ok && fn->source;
}

/* The options of its sandboxes: tried out on one that is never started, and kept. */
static cws_status cwsi_function_sandbox(cws_function *fn, const cws_function_opts *o,
                                        cws_error *err)
{
    cws_sandbox_opts none = CWSI_ZERO;
    const cws_sandbox_opts *given = o->sandbox ? o->sandbox : &none;
    cws_sandbox *sb = cwsi_sandbox_new(fn->client);
    cws_status status;
    if (!sb) return cwsi_no_memory(err, "function");
    status = cwsi_sandbox_prepare(fn->session, sb, given, err);
    if (!status)
        status = cwsi_check_seconds(err, "timeout_seconds", o->timeout_seconds,
                                    sb->request_timeout_ms, false, &fn->timeout_ms);
    cwsi_sandbox_unref(sb);
    return status ? status : cwsi_keep_sandbox_opts(&fn->arena, given, &fn->sandbox, err);
}

CWS_API cws_status cws_session_function(cws_session *session, const cws_function_opts *opts,
                                        cws_function **out, cws_error *err)
{
    cws_function *fn;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_session(session, out, err);
    if (!status) status = cwsi_check_function(err, opts);
    if (status) return status;
    fn = CWSI_NEW(&session->client->mem, cws_function);
    if (!fn) return cwsi_no_memory(err, "function");
    fn->client = session->client;
    fn->client->refs++;
    fn->session = session;
    session->refs++;
    fn->refs = 1;
    cwsi_arena_init(&fn->arena, &fn->client->mem);
    status = cwsi_function_sandbox(fn, opts, err);
    if (!status && !cwsi_function_fill(fn, opts)) status = cwsi_no_memory(err, "function");
    if (status) {
        cwsi_function_unref(fn);
        return status;
    }
    *out = fn;
    return CWS_OK;
}

CWS_API void cws_function_free(cws_function *function)
{
    if (!function) return;
    function->freed = true;
    if (function->warm) cwsi_function_let_go(function->warm);
    function->warm = NULL;
    cwsi_function_unref(function);
}

/* What every call checks first. */
static cws_status cwsi_enter_function(cws_function *fn, cws_serialization how, const void *out,
                                      cws_error *err)
{
    cws_status status;
    cwsi_error_clear(err);
    if (!fn) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "function must not be NULL");
    status = cwsi_enter(fn->client, out, err);
    if (status || fn->serialization == how) return status;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "Function '%.*s' takes %s", 64, fn->name,
                     how == CWS_SERIALIZE_JSON
                         ? "bytes (CWS_SERIALIZE_BYTES): use the call that ends in _bytes"
                         : "JSON: use the call without _bytes, or CWS_SERIALIZE_BYTES");
}

/* The arguments of a call, checked and with their defaults. */
static cws_status cwsi_check_args(const cws_function *fn, const char *label, const char *args,
                                  const char *kwargs, cwsi_input *in, cws_error *err)
{
    cws_status status = cwsi_check_json(err, label, args,
                                        fn->body ? CWSI_JSON_END : CWSI_JSON_ARRAY);
    if (!status && kwargs && fn->body)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "kwargs_json is for Python");
    if (!status) status = cwsi_check_json(err, "kwargs_json", kwargs, CWSI_JSON_OBJECT);
    memset(in, 0, sizeof(*in));
    in->args = cwsi_str_of(args ? args : "[]");
    in->kwargs = cwsi_str_of(kwargs ? kwargs : "{}");
    return status;
}

static cws_status cwsi_check_blob(const char *label, const void *data, size_t size, cwsi_input *in,
                                  cws_error *err)
{
    memset(in, 0, sizeof(*in));
    in->args = cwsi_str_of("[]");
    in->kwargs = cwsi_str_of("{}");
    in->blob.data = data;
    in->blob.size = size;
    if (data || !size) return CWS_OK;
    return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "%s is NULL but size is not 0", label);
}

static cws_status cwsi_invocation_give(cws_function *fn, const cwsi_input *in, cws_op **out,
                                       cws_error *err)
{
    cwsi_invocation *v;
    cws_error why;
    if (fn->session->closed) return cwsi_fail(err, CWS_ERR_CLOSED, "the session is closed");
    cwsi_error_clear(&why);
    v = cwsi_invocation_new(fn, in, &why);
    if (!v) return cwsi_copy_error(err, &why);
    *out = &v->op;
    return CWS_OK;
}

CWS_API cws_status cws_function_call_begin(cws_function *function, const char *args_json,
                                           const char *kwargs_json, cws_op **out, cws_error *err)
{
    cwsi_input in;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_function(function, CWS_SERIALIZE_JSON, out, err);
    if (!status) status = cwsi_check_args(function, "args_json", args_json, kwargs_json, &in, err);
    return status ? status : cwsi_invocation_give(function, &in, out, err);
}

CWS_API cws_status cws_function_call_bytes_begin(cws_function *function, const void *data,
                                                 size_t size, cws_op **out, cws_error *err)
{
    cwsi_input in;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_enter_function(function, CWS_SERIALIZE_BYTES, out, err);
    if (!status) status = cwsi_check_blob("data", data, size, &in, err);
    return status ? status : cwsi_invocation_give(function, &in, out, err);
}

/* Run a begun call to its end. */
static cws_status cwsi_function_finish(cws_status begun, cws_op *op, cws_bytes **out,
                                       cws_error *err)
{
    if (begun) return begun;
    begun = cws_op_wait(op, -1, err);
    if (!begun) *out = cws_op_take_bytes(op);
    cws_op_free(op);
    return begun;
}

CWS_API cws_status cws_function_call(cws_function *function, const char *args_json,
                                     const char *kwargs_json, cws_bytes **out, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (out) *out = NULL;
    if (function && cwsi_may_block(function->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_function_call_begin(function, args_json, kwargs_json, out ? &op : NULL, err);
    return cwsi_function_finish(begun, op, out, err);
}

CWS_API cws_status cws_function_call_bytes(cws_function *function, const void *data, size_t size,
                                           cws_bytes **out, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (out) *out = NULL;
    if (function && cwsi_may_block(function->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_function_call_bytes_begin(function, data, size, out ? &op : NULL, err);
    return cwsi_function_finish(begun, op, out, err);
}

CWS_API const cws_result *cws_op_function_output(const cws_op *op)
{
    const cwsi_invocation *v =
        op && op->done && op->kind == cwsi_function_kind()
            ? CWSI_CAST(const cwsi_invocation *, CWSI_CAST(const void *, op)) : NULL;
    return v && v->process && v->process->began ? v->process->result : NULL;
}

/* ================================================================================================
 * >>impl-public-map
 * The functions of >>functions that make many calls, and those that make one without a sandbox.
 * ============================================================================================= */

static cws_status cwsi_check_map(cws_function *fn, cws_serialization how, const void *list,
                                 size_t count, const cws_map_opts *o, const void *out,
                                 cws_error *err)
{
    cws_status status = cwsi_enter_function(fn, how, out, err);
    if (!status && o) status = cwsi_check_zero(err, "cws_map_opts", o->must_be_zero);
    if (!status && !list && count)
        status = cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "the list is NULL but count is not 0");
    if (!status && fn->session->closed)
        status = cwsi_fail(err, CWS_ERR_CLOSED, "the session is closed");
    return status;
}

CWS_API cws_status cws_function_map_begin(cws_function *function, const char *const *args_json,
                                          size_t count, const cws_map_opts *opts, cws_op **out,
                                          cws_error *err)
{
    cwsi_map *m;
    size_t i;
    bool ok = true;
    char label[40];
    cwsi_input in;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_check_map(function, CWS_SERIALIZE_JSON, args_json, count, opts, out, err);
    for (i = 0; !status && i < count; i++) {
        (void)cwsi_format(label, sizeof(label), "args_json[%zu]", i);
        status = cwsi_check_args(function, label, args_json[i], NULL, &in, err);
    }
    if (status) return status;
    m = cwsi_map_new(function, count, opts ? opts->limit : 0);
    for (i = 0; m && i < count; i++) {
        (void)cwsi_check_args(function, "", args_json[i], NULL, &m->inputs[i], NULL);
        m->inputs[i].args.at = cwsi_keep_text(&m->arena, m->inputs[i].args, &ok);
    }
    if (m && ok) *out = &m->op;
    else if (m) cws_op_free(&m->op);
    return *out ? CWS_OK : cwsi_no_memory(err, "Map function");
}

CWS_API cws_status cws_function_map_bytes_begin(cws_function *function, const cws_blob *inputs,
                                                size_t count, const cws_map_opts *opts,
                                                cws_op **out, cws_error *err)
{
    cwsi_map *m;
    size_t i;
    bool ok = true;
    char label[40];
    cwsi_input in;
    cws_status status;
    if (out) *out = NULL;
    status = cwsi_check_map(function, CWS_SERIALIZE_BYTES, inputs, count, opts, out, err);
    for (i = 0; !status && i < count; i++) {
        (void)cwsi_format(label, sizeof(label), "inputs[%zu].data", i);
        status = cwsi_check_blob(label, inputs[i].data, inputs[i].size, &in, err);
    }
    if (status) return status;
    m = cwsi_map_new(function, count, opts ? opts->limit : 0);
    for (i = 0; m && i < count; i++) {
        cwsi_str data;
        data.at = CWSI_CAST(const char *, inputs[i].data);
        data.len = inputs[i].size;
        (void)cwsi_check_blob("", inputs[i].data, inputs[i].size, &m->inputs[i], NULL);
        m->inputs[i].blob.data = cwsi_keep_text(&m->arena, data, &ok);
    }
    if (m && ok) *out = &m->op;
    else if (m) cws_op_free(&m->op);
    return *out ? CWS_OK : cwsi_no_memory(err, "Map function");
}

/* Run a begun map to its end. */
static cws_status cwsi_map_finish(cws_status begun, cws_op *op, cws_function_results **out,
                                  cws_error *err)
{
    if (begun) return begun;
    begun = cws_op_wait(op, -1, err);
    if (!begun) *out = cws_op_take_results(op);
    cws_op_free(op);
    return begun;
}

CWS_API cws_status cws_function_map(cws_function *function, const char *const *args_json,
                                    size_t count, const cws_map_opts *opts,
                                    cws_function_results **out, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (out) *out = NULL;
    if (function && cwsi_may_block(function->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_function_map_begin(function, args_json, count, opts, out ? &op : NULL, err);
    return cwsi_map_finish(begun, op, out, err);
}

CWS_API cws_status cws_function_map_bytes(cws_function *function, const cws_blob *inputs,
                                          size_t count, const cws_map_opts *opts,
                                          cws_function_results **out, cws_error *err)
{
    cws_op *op = NULL;
    cws_status begun;
    if (out) *out = NULL;
    if (function && cwsi_may_block(function->client, err)) return CWS_ERR_REENTRANT;
    begun = cws_function_map_bytes_begin(function, inputs, count, opts, out ? &op : NULL, err);
    return cwsi_map_finish(begun, op, out, err);
}

CWS_API size_t cws_function_results_count(const cws_function_results *results)
{
    return results ? results->count : 0;
}

CWS_API cws_status cws_function_results_at(const cws_function_results *results, size_t index,
                                           const cws_bytes **bytes, cws_error *err)
{
    const cwsi_mapped *item;
    if (bytes) *bytes = NULL;
    cwsi_error_clear(err);
    if (index >= cws_function_results_count(results))
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "there is no call %zu", index);
    item = &results->items[index];
    if (item->call) return cwsi_copy_error(err, &item->call->op.err);
    if (item->failed) return cwsi_fail(err, item->failed, "Call function: %s",
                                       cws_status_text(item->failed));
    if (bytes) *bytes = item->bytes;
    return CWS_OK;
}

CWS_API void cws_function_results_free(cws_function_results *results)
{
    cwsi_results_free(results);
}

static cws_status cwsi_function_here(cws_function *fn, const cwsi_input *in, cws_bytes **out,
                                     cws_error *err)
{
    cws_status status =
        fn->body ? cwsi_local_c(fn, in, out, err) : cwsi_local_python(fn, in, out, err);
    if (!status) status = cwsi_check_result(fn, *out, err);
    if (!status) return CWS_OK;
    cws_bytes_free(*out);
    *out = NULL;
    return status;
}

CWS_API cws_status cws_function_local(cws_function *function, const char *args_json,
                                      const char *kwargs_json, cws_bytes **out, cws_error *err)
{
    cwsi_input in;
    cws_status status;
    if (out) *out = NULL;
    if (function && cwsi_may_block(function->client, err)) return CWS_ERR_REENTRANT;
    status = cwsi_enter_function(function, CWS_SERIALIZE_JSON, out, err);
    if (!status) status = cwsi_check_args(function, "args_json", args_json, kwargs_json, &in, err);
    return status ? status : cwsi_function_here(function, &in, out, err);
}

CWS_API cws_status cws_function_local_bytes(cws_function *function, const void *data, size_t size,
                                            cws_bytes **out, cws_error *err)
{
    cwsi_input in;
    cws_status status;
    if (out) *out = NULL;
    if (function && cwsi_may_block(function->client, err)) return CWS_ERR_REENTRANT;
    status = cwsi_enter_function(function, CWS_SERIALIZE_BYTES, out, err);
    if (!status) status = cwsi_check_blob("data", data, size, &in, err);
    return status ? status : cwsi_function_here(function, &in, out, err);
}

/* ================================================================================================
 * >>impl-public-async
 * The functions of >>async.
 * ============================================================================================= */

CWS_API bool cws_op_done(const cws_op *op)
{
    return !op || op->done;
}

CWS_API cws_status cws_op_result(const cws_op *op, cws_error *err)
{
    cwsi_error_clear(err);
    if (!op) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "op must not be NULL");
    if (!op->done) return cwsi_fail(err, CWS_ERR_PENDING, "%s has not ended yet", op->kind->name);
    return cwsi_copy_error(err, &op->err);
}

CWS_API cws_status cws_op_wait(cws_op *op, int64_t timeout_ms, cws_error *err)
{
    cws_status status = CWS_OK;
    cwsi_error_clear(err);
    if (!op) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "op must not be NULL");
    op->refs++; /* a callback may free the handle */
    if (timeout_ms == 0 && !op->done) status = cwsi_loop_turn(op->client, 0, err);
    if (!status)
        status = cwsi_run_until(op, cwsi_until(op->client, timeout_ms), err);
    cwsi_op_unref(op);
    return status;
}

CWS_API bool cws_op_cancel(cws_op *op)
{
    if (!op || op->done) return false;
    cwsi_op_abandon(op);
    return true;
}

CWS_API void cws_op_resume(cws_op *op)
{
    if (!op || op->done || !op->paused) return;
    op->paused = false;
    cwsi_op_wake(op);
}

CWS_API void cws_op_on_done(cws_op *op, cws_op_done_fn fn, void *user)
{
    if (!op) return;
    op->on_done = fn;
    op->on_done_user = user;
    op->notify = fn && op->done && !op->client->dead; /* a dead client has no next poll */
    if (op->notify) cwsi_op_wake(op);
}

CWS_API void cws_op_free(cws_op *op)
{
    if (!op) return;
    op->on_done = NULL;
    cwsi_op_abandon(op);
    cwsi_op_unref(op);
}

/* The operation as one of this kind that has ended; NULL otherwise. */
static cws_op *cwsi_ended(cws_op *op, const cwsi_op_kind *kind)
{
    return op && op->done && op->kind == kind && !op->err.status ? op : NULL;
}

CWS_API cws_bytes *cws_op_take_bytes(cws_op *op)
{
    cwsi_file *f = CWSI_AS(cwsi_file, cwsi_ended(op, cwsi_file_kind(CWSI_READ_FILE)));
    cwsi_invocation *v = CWSI_AS(cwsi_invocation, cwsi_ended(op, cwsi_function_kind()));
    cws_bytes *bytes = f ? f->bytes : v ? v->bytes : NULL;
    if (f) f->bytes = NULL;
    if (v) v->bytes = NULL;
    return bytes;
}

CWS_API cws_sandbox_list *cws_op_take_list(cws_op *op)
{
    cwsi_listing *l = CWSI_AS(cwsi_listing, cwsi_ended(op, cwsi_listing_kind()));
    cws_sandbox_list *found = l ? l->found : NULL;
    if (l) l->found = NULL;
    return found;
}

CWS_API cws_sandbox *cws_op_take_sandbox(cws_op *op)
{
    cwsi_get *get = CWSI_AS(cwsi_get, cwsi_ended(op, cwsi_get_kind(CWSI_GET_FROM_ID)));
    cws_sandbox *found = get ? get->found : NULL;
    if (get) get->found = NULL;
    return found;
}

CWS_API cws_function_results *cws_op_take_results(cws_op *op)
{
    cwsi_map *m = CWSI_AS(cwsi_map, cwsi_ended(op, cwsi_map_kind()));
    cws_function_results *results = m ? m->results : NULL;
    if (m) m->results = NULL;
    return results;
}

/* Mark the first `most` that have ended; returns how many were marked. */
static size_t cwsi_mark_done(cws_op *const *ops, size_t count, size_t most, bool *done)
{
    size_t i, n = 0;
    for (i = 0; i < count; i++) {
        bool mark = ops[i]->done && n < most;
        if (done) done[i] = mark;
        if (mark) n++;
    }
    return n;
}

CWS_API cws_status cws_wait_many(cws_op *const *ops, size_t count, size_t num_returns,
                                 int64_t timeout_ms, bool *done, size_t *done_count, cws_error *err)
{
    size_t i, n = 0, want = num_returns < count ? num_returns : count;
    int64_t until = CWSI_NEVER;
    cws_status status = CWS_OK;
    bool first = true;
    cwsi_error_clear(err);
    if (done_count) *done_count = 0;
    if (num_returns == 0)
        return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "num_returns must be at least 1");
    for (i = 0; i < count; i++)
        if (!ops || !ops[i] || ops[i]->client != ops[0]->client)
            return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT,
                             "ops[%zu] is NULL or belongs to another client", i);
    for (i = 0; i < count; i++) ops[i]->refs++; /* a callback may free a handle */
    if (count && timeout_ms >= 0) until = cwsi_after(cwsi_now(ops[0]->client), timeout_ms);
    while (!status && (n = cwsi_mark_done(ops, count, want, done)) < want) {
        int64_t now = cwsi_now(ops[0]->client);
        if (now >= until && until != CWSI_NEVER && !first) break;
        first = false;
        status = cwsi_loop_turn(ops[0]->client, until == CWSI_NEVER ? -1
                                                : until > now       ? until - now
                                                                    : 0,
                                err);
    }
    for (i = 0; i < count; i++) cwsi_op_unref(ops[i]);
    if (done_count) *done_count = n;
    return status;
}

CWS_API cws_status cws_client_poll(cws_client *client, int timeout_ms, cws_error *err)
{
    cwsi_error_clear(err);
    if (!client) return cwsi_fail(err, CWS_ERR_INVALID_ARGUMENT, "client must not be NULL");
    return cwsi_loop_turn(client, timeout_ms, err);
}

CWS_API size_t cws_client_pending(const cws_client *client)
{
    return client ? client->op_count : 0;
}

CWS_API void cws_client_wakeup(cws_client *client)
{
    if (client && client->transport.wakeup) client->transport.wakeup(client->transport.user);
}

/* ================================================================================================
 * >>impl-curl
 * The default transport: one multi handle, polled by the client's loop. What differs between
 * libcurl versions is decided here, by number, at run time; distributions repair some versions, so
 * a wrong guess costs connections, never correctness.
 *
 *   version            unary calls                     streams
 *   before 8.1         HTTP/1.1, kept alive (P2)       HTTP/2, a connection each (P2)
 *   8.1 to 8.13        HTTP/2 shared; 8.2: 1.1 (P14)   HTTP/2, a connection each (P4)
 *   8.14 and later     HTTP/2 shared                   HTTP/2 shared
 *
 * With gRPC, which needs HTTP/2, unary calls before 8.1 take turns on connections that do one thing
 * at a time, and those of 8.2 have one each. From 8.0 to 8.2 libcurl loses the outcome of a stream
 * that the server ends early; 8.12 and 8.13 do not send the `te` header; before 7.78 trailers that
 * come over TLS are lost: prefer Connect there.
 *
 * The pitfalls Pn met below, all seen in real versions:
 *   P1  the end of a response is not reported while sending is paused: the library above ends a
 *       call by its content, then cancels; before 8.1 an end may also lie unread in the TLS layer,
 *       and before 8.4 a long download may stop: these are touched after whatever happens, then
 *       after 1, 2, 4 ... 200 ms of silence
 *   P2  request bytes doubled when uploads share a connection, before 8.1
 *   P3  send-paused streams get no data in 8.4 and 8.5 unless nudged
 *   P4  pausing reception on a shared connection stalls or overflows before 8.14; 8.3.0 loses data
 *   P5  a request is silently sent again when a reused connection dies: our bodies refuse to rewind
 *   P6  a cap on connections starves long streams: there is none
 *   P7  CURLOPT_TIMEOUT_MS does not fire while waiting for a connection: deadlines are the loop's
 *   P8  busy loops while an upload is blocked: after many fruitless polls we sleep a little
 *   P9  a stream's reset is not flushed before 8.15: close the connection after it instead
 *   P10 the second h2c request on a connection fails in 7.88: a connection each
 *   P11 a burst opens one connection a request in 7.88: at most a few unary calls run at once
 *   P12 no HTTP/2 keepalive pings: TCP keepalive
 *   P13 a cut response may look whole before 8.0: the library above compares lengths
 *   P15 low-speed limits count paused streams: not used
 *   P16 before 8.16, an idle h2c connection that never answered makes later requests wait for ever:
 *       such a connection is closed with the exchange that used it
 *   P17 from 8.22 on a reused connection is looked at once a second only, so one that just died is
 *       used again: after a loss all connections are left
 *   P18 before 7.88, writing to a lost TLS connection raises SIGPIPE unless libcurl may ignore it
 * ============================================================================================= */

#ifndef CWS_NO_CURL

typedef struct cwsi_curl_exchange cwsi_curl_exchange;

typedef struct cwsi_curl {
    cws_client *client;
    CURLM *multi;
    unsigned version; /* of the library that is loaded, e.g. 0x075801 */
    bool https, direct, global;
    bool async_names; /* the resolver runs beside the program */
    bool only_1_1, only_2; /* every exchange over this version of HTTP */
    long connect_timeout_ms;
    const char *ca_file, *cert_file, *key_file;
    cwsi_curl_exchange *all;                 /* every exchange that was not cancelled */
    cwsi_curl_exchange *waiting, *waiting_last; /* unary calls that were not admitted yet */
    unsigned unary_running, unary_most, touched_running;
    unsigned fruitless; /* polls in a row that came back early with nothing */
    bool progress;      /* a callback or an end was seen in this poll */
    int64_t nudge_at, nudge_ms; /* when exchanges are touched next; the pause then, doubling */
    bool trailers;      /* an exchange has trailers to report */
} cwsi_curl;

struct cwsi_curl_exchange {
    cwsi_curl *curl;
    cws_exchange *exchange;
    cwsi_curl_exchange *prev, *next, *waiting_next;
    CURL *easy;
    struct curl_slist *list;
    bool stream; /* lasts, and flows at its own pace; others wait to be admitted, P11 */
    bool http2;  /* nothing less will do */
    bool touched; /* maybe of HTTP/2 and forgetful */
    bool running, ended, head_reported, no_memory, head_too_large;
    bool wants_trailers;
    bool trailers; /* some arrived and are to be reported */
    bool forbidden; /* its connection is not to be reused until it answers, P16 */
    bool send_paused, recv_paused, window_closed, kick; /* kick: tell libcurl about a change */
    bool more_body, fin;
    const char *body; /* the library's, until the end */
    size_t body_size, body_at;
    cwsi_buf queue; /* bytes given by send, from queue_at on */
    size_t queue_at;
    cwsi_buf head; /* name NUL value NUL ... of the response, later of its trailers */
    size_t head_count;
    int status, major;
    char error[CURL_ERROR_SIZE];
};

/* CURLMOPT_NETWORK_CHANGED, known from 8.16 on; 1 as its value makes it leave all connections */
#define CWSI_CURLMOPT_NETWORK_CHANGED CWSI_CAST(CURLMoption, CURLOPTTYPE_LONG + 17)
#define CWSI_CURL_NUDGE_MAX_MS 200
#define CWSI_CURL_QUEUE_MAX (1u << 20) /* send takes no more than this beyond what libcurl has */

static bool cwsi_curl_before(const cwsi_curl *t, unsigned major, unsigned minor)
{
    return t->version < (major << 16 | minor << 8);
}

/* Is a connection without TLS of no use to others until it has answered once? P16 */
static bool cwsi_curl_unproven(const cwsi_curl *t)
{
    return !t->https && t->only_2 && !cwsi_curl_before(t, 8, 1) && cwsi_curl_before(t, 8, 16);
}

/* Do exchanges miss what happens to them unless they are touched now and then? P1 */
static bool cwsi_curl_forgetful(const cwsi_curl *t)
{
    return cwsi_curl_before(t, 8, 4);
}

static bool cwsi_curl_is_8_2(const cwsi_curl *t)
{
    return t->version >> 8 == 0x0802;
}

static long cwsi_curl_http_version(const cwsi_curl *t, bool http2)
{
    if (t->only_1_1) return CURL_HTTP_VERSION_1_1;
    if (!t->https) return t->only_2 ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_1_1;
    if (!http2 && (cwsi_curl_before(t, 8, 1) || cwsi_curl_is_8_2(t)))
        return CURL_HTTP_VERSION_1_1; /* P2, P14 */
    return CURL_HTTP_VERSION_2TLS;
}

/* Does an exchange get a connection of its own? */
static bool cwsi_curl_dedicated(const cwsi_curl *t, bool http2, bool stream)
{
    if (cwsi_curl_http_version(t, http2) == CURL_HTTP_VERSION_1_1) return false;
    if (!t->https && cwsi_curl_before(t, 8, 1)) return true; /* P10 */
    if (cwsi_curl_is_8_2(t)) return true;                    /* P14 */
    return stream && cwsi_curl_before(t, 8, 14);             /* P2, P4 */
}

/* ================================================================================================
 * >>impl-curl-callbacks
 * What libcurl calls. None of these may call the multi handle.
 * ============================================================================================= */

static size_t cwsi_curl_on_read(char *buffer, size_t size, size_t count, void *user)
{
    cwsi_curl_exchange *x = CWSI_CAST(cwsi_curl_exchange *, user);
    size_t room = size * count, n;
    x->curl->progress = x->curl->progress || !x->send_paused; /* being asked again is none, P8 */
    if (x->body_at < x->body_size) {
        n = x->body_size - x->body_at < room ? x->body_size - x->body_at : room;
        memcpy(buffer, x->body + x->body_at, n);
        x->body_at += n;
        return n;
    }
    if (x->queue_at < x->queue.len) {
        n = x->queue.len - x->queue_at < room ? x->queue.len - x->queue_at : room;
        memcpy(buffer, x->queue.at + x->queue_at, n);
        x->queue_at += n;
        if (x->queue_at == x->queue.len) {
            x->queue_at = x->queue.len = 0;
            cws_exchange_writable(x->exchange);
        }
        return n;
    }
    if (!x->more_body || x->fin) return 0;
    x->send_paused = true;
    return CURL_READFUNC_PAUSE;
}

/* P5: refusing to rewind is what keeps libcurl from sending a request twice. */
static int cwsi_curl_on_seek(void *user, curl_off_t offset, int origin)
{
    (void)user;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

/* Report the fields collected in head: of the head itself, or those behind the body. */
static void cwsi_curl_report_fields(cwsi_curl_exchange *x)
{
    cwsi_mem *mem = &x->curl->client->mem;
    cws_header *headers = NULL;
    const char *at = x->head.at;
    size_t i;
    if (x->head_count) {
        headers = CWSI_CAST(cws_header *, cwsi_alloc(mem, x->head_count * sizeof(*headers)));
        if (!headers) {
            x->no_memory = true;
            return;
        }
    }
    for (i = 0; i < x->head_count; i++) {
        headers[i].name = at;
        at += strlen(at) + 1;
        headers[i].value = at;
        at += strlen(at) + 1;
    }
    if (x->head_reported)
        cws_exchange_trailers(x->exchange, headers, x->head_count);
    else cws_exchange_head(x->exchange, x->status, x->major, headers, x->head_count);
    cwsi_free(mem, headers);
    x->head_reported = true;
    x->head.len = x->head_count = 0;
}

/* Trailers come line by line, without a sign that they are whole; but all in one turn of libcurl,
 * and not always followed by the end (P1). */
static void cwsi_curl_report_trailers(cwsi_curl *t)
{
    cwsi_curl_exchange *x;
    if (!t->trailers) return;
    t->trailers = false;
    for (x = t->all; x; x = x->next) {
        if (x->trailers && !x->ended && !x->no_memory) cwsi_curl_report_fields(x);
        x->trailers = false;
    }
}

/* One line of the head, the status line and the empty last one included; later of the trailers. */
static size_t cwsi_curl_on_header(char *line, size_t size, size_t count, void *user)
{
    cwsi_curl_exchange *x = CWSI_CAST(cwsi_curl_exchange *, user);
    size_t len = size * count, whole = len, name;
    x->curl->progress = true;
    if (x->forbidden) (void)(curl_easy_setopt)(x->easy, CURLOPT_FORBID_REUSE, 0L);
    x->forbidden = false;
    if (x->head_reported && !x->wants_trailers) return whole;
    while (len && (line[len - 1] == '\r' || line[len - 1] == '\n')) len--;
    if (!x->head_reported && len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        /* the last status line counts (1xx) */
        const char *space = CWSI_CAST(const char *, memchr(line, ' ', len));
        x->head.len = x->head_count = 0;
        x->major = line[5] - '0';
        x->status = 0;
        for (; space && ++space < line + len && cwsi_is_digit(*space) && x->status < 1000;)
            x->status = x->status * 10 + (*space - '0');
        return whole;
    }
    if (len == 0) {
        if (x->status >= 200 && !x->head_reported) cwsi_curl_report_fields(x);
        return x->no_memory ? 0 : whole;
    }
    for (name = 0; name < len && line[name] != ':'; name++) {}
    if (name == len || memchr(line, 0, len)) return whole;
    (void)cwsi_put(&x->head, line, name);
    (void)cwsi_put_char(&x->head, '\0');
    for (name++; name < len && (line[name] == ' ' || line[name] == '\t'); name++) {}
    while (len > name && (line[len - 1] == ' ' || line[len - 1] == '\t')) len--;
    (void)cwsi_put(&x->head, line + name, len - name);
    (void)cwsi_put_char(&x->head, '\0');
    x->no_memory = x->head.status == CWS_ERR_NO_MEMORY;
    x->head_too_large = x->head.status == CWS_ERR_LIMIT;
    x->trailers = x->head_reported && !x->head.status; /* cut, they are none */
    x->curl->trailers = x->curl->trailers || x->trailers;
    if (x->head.status) return 0;
    x->head_count++;
    return whole;
}

static size_t cwsi_curl_on_write(char *data, size_t size, size_t count, void *user)
{
    cwsi_curl_exchange *x = CWSI_CAST(cwsi_curl_exchange *, user);
    size_t len = size * count;
    x->curl->progress = true;
    if (x->window_closed && x->curl->version != 0x080300) { /* P4 */
        x->recv_paused = true;
        return CURL_WRITEFUNC_PAUSE; /* the same bytes come again */
    }
    if (len == 0 || cws_exchange_data(x->exchange, data, len)) return len;
    return 0; /* the library wants no more: libcurl ends with CURLE_WRITE_ERROR */
}

/* ================================================================================================
 * >>impl-curl-setup
 * Setting up one exchange.
 * ============================================================================================= */

static bool cwsi_curl_add_line(cwsi_curl_exchange *x, const char *name, const char *separator,
                               const char *value)
{
    cwsi_buf line;
    struct curl_slist *longer = NULL;
    cwsi_buf_init(&line, &x->curl->client->mem, 16384);
    (void)cwsi_put_text(&line, name);
    (void)cwsi_put_text(&line, separator);
    (void)cwsi_put_text(&line, value);
    if (!line.status) longer = curl_slist_append(x->list, line.at);
    cwsi_buf_free(&line);
    if (longer) x->list = longer;
    return longer != NULL;
}

/* Remember a failure among many setopts. An option the loaded library does not know is no failure:
 * it is older than the one this was compiled for. The parentheses keep libcurl's type-checking
 * macro out, which warns of itself; the types below are long, curl_off_t, pointer as documented. */
#define CWSI_SET(option, value)                                                                    \
    do {                                                                                           \
        CURLcode cwsi_code = (curl_easy_setopt)(x->easy, option, value);                           \
        if (cwsi_code != CURLE_OK && cwsi_code != CURLE_UNKNOWN_OPTION) code = cwsi_code;          \
    } while (0)

/* Must libcurl look after SIGPIPE? That is tied to alarms for names, which a resolver that runs
 * beside the program does not use. P18 */
static bool cwsi_curl_may_signal(const cwsi_curl *t)
{
    return cwsi_curl_before(t, 7, 88) && t->async_names;
}

static CURLcode cwsi_curl_set_safety(cwsi_curl_exchange *x)
{
    const cwsi_curl *t = x->curl;
    CURLcode code = CURLE_OK;
    CWSI_SET(CURLOPT_NOSIGNAL, cwsi_curl_may_signal(t) ? 0L : 1L); /* P18 */
    CWSI_SET(CURLOPT_FOLLOWLOCATION, 0L); /* a credential follows no redirect */
#if LIBCURL_VERSION_NUM >= 0x075500
    CWSI_SET(CURLOPT_PROTOCOLS_STR, t->https ? "https" : "http");
#else
    CWSI_SET(CURLOPT_PROTOCOLS, CWSI_CAST(long, t->https ? CURLPROTO_HTTPS : CURLPROTO_HTTP));
#endif
    CWSI_SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (t->direct) CWSI_SET(CURLOPT_NOPROXY, "*");
    if (t->ca_file) CWSI_SET(CURLOPT_CAINFO, t->ca_file);
    if (t->cert_file) CWSI_SET(CURLOPT_SSLCERT, t->cert_file);
    if (t->key_file) CWSI_SET(CURLOPT_SSLKEY, t->key_file);
    CWSI_SET(CURLOPT_CONNECTTIMEOUT_MS, t->connect_timeout_ms);
    CWSI_SET(CURLOPT_TCP_NODELAY, 1L);
    CWSI_SET(CURLOPT_TCP_KEEPALIVE, 1L); /* P12 */
    CWSI_SET(CURLOPT_TCP_KEEPIDLE, 30L);
    CWSI_SET(CURLOPT_TCP_KEEPINTVL, 30L);
    return code;
}

static CURLcode cwsi_curl_set_request(cwsi_curl_exchange *x, const cws_http_request *request)
{
    const cwsi_curl *t = x->curl;
    bool dedicated = cwsi_curl_dedicated(t, x->http2, x->stream);
    CURLcode code = CURLE_OK;
    CWSI_SET(CURLOPT_URL, request->url);
    CWSI_SET(CURLOPT_HTTPHEADER, x->list);
    CWSI_SET(CURLOPT_HTTP_VERSION, cwsi_curl_http_version(t, x->http2));
    CWSI_SET(CURLOPT_PIPEWAIT, 1L); /* P11 */
    CWSI_SET(CURLOPT_FRESH_CONNECT, dedicated ? 1L : 0L);
    x->forbidden = !dedicated && cwsi_curl_unproven(t);
    CWSI_SET(CURLOPT_FORBID_REUSE, dedicated || x->forbidden ? 1L : 0L);
    if (request->trailers) /* where a length is told, libcurl would not wait for what follows */
        CWSI_SET(CURLOPT_IGNORE_CONTENT_LENGTH, 1L);
    CWSI_SET(CURLOPT_POST, 1L);
    if (!request->more_body)
        CWSI_SET(CURLOPT_POSTFIELDSIZE_LARGE, CWSI_CAST(curl_off_t, request->body_size));
    CWSI_SET(CURLOPT_READFUNCTION, cwsi_curl_on_read);
    CWSI_SET(CURLOPT_READDATA, CWSI_CAST(void *, x));
    CWSI_SET(CURLOPT_SEEKFUNCTION, cwsi_curl_on_seek);
    CWSI_SET(CURLOPT_SEEKDATA, CWSI_CAST(void *, x));
    CWSI_SET(CURLOPT_HEADERFUNCTION, cwsi_curl_on_header);
    CWSI_SET(CURLOPT_HEADERDATA, CWSI_CAST(void *, x));
    CWSI_SET(CURLOPT_WRITEFUNCTION, cwsi_curl_on_write);
    CWSI_SET(CURLOPT_WRITEDATA, CWSI_CAST(void *, x));
    CWSI_SET(CURLOPT_PRIVATE, CWSI_CAST(void *, x));
    CWSI_SET(CURLOPT_ERRORBUFFER, x->error);
    CWSI_SET(CURLOPT_UPLOAD_BUFFERSIZE, x->stream ? 32768L : 16384L);
    return code;
}

static void cwsi_curl_exchange_free(cwsi_curl_exchange *x)
{
    cwsi_curl *t = x->curl;
    if (x->easy) curl_easy_cleanup(x->easy);
    curl_slist_free_all(x->list);
    cwsi_buf_free(&x->queue);
    cwsi_buf_free(&x->head);
    cwsi_free(&t->client->mem, x);
}

static bool cwsi_curl_prepare(cwsi_curl_exchange *x, const cws_http_request *request)
{
    size_t i;
    x->easy = curl_easy_init();
    if (!x->easy) return false;
    for (i = 0; i < request->header_count; i++)
        if (!cwsi_curl_add_line(x, request->headers[i].name, ": ", request->headers[i].value))
            return false;
    /* no waiting for "100 Continue", and no "Accept: * / *" that says nothing */
    if (!cwsi_curl_add_line(x, "Expect", ":", "") || !cwsi_curl_add_line(x, "Accept", ":", ""))
        return false;
    return cwsi_curl_set_safety(x) == CURLE_OK && cwsi_curl_set_request(x, request) == CURLE_OK;
}

/* ================================================================================================
 * >>impl-curl-exchange
 * The transport's functions for one exchange: open, send, window, cancel.
 * ============================================================================================= */

static bool cwsi_curl_start(cwsi_curl_exchange *x)
{
    if (curl_multi_add_handle(x->curl->multi, x->easy) != CURLM_OK) return false;
    x->running = true;
    if (!x->stream) x->curl->unary_running++;
    if (x->touched) x->curl->touched_running++;
    return true;
}

static void cwsi_curl_link(cwsi_curl_exchange *x)
{
    cwsi_curl *t = x->curl;
    x->next = t->all;
    if (t->all) t->all->prev = x;
    t->all = x;
}

static cws_status cwsi_curl_open_exchange(void *user, const cws_http_request *request,
                                          cws_exchange *exchange, void **handle)
{
    cwsi_curl *t = CWSI_CAST(cwsi_curl *, user);
    cwsi_curl_exchange *x = CWSI_NEW(&t->client->mem, cwsi_curl_exchange);
    if (!x) return CWS_ERR_NO_MEMORY;
    x->curl = t;
    x->exchange = exchange;
    x->stream = request->more_body || request->full_duplex || request->long_lived;
    x->http2 = request->more_body || request->full_duplex || t->only_2;
    x->touched = cwsi_curl_http_version(t, x->http2) != CURL_HTTP_VERSION_1_1;
    x->more_body = request->more_body;
    x->wants_trailers = request->trailers;
    x->body = CWSI_CAST(const char *, request->body);
    x->body_size = request->body_size;
    cwsi_buf_init(&x->queue, &t->client->mem, CWSI_CURL_QUEUE_MAX);
    cwsi_buf_init(&x->head, &t->client->mem, 131072);
    if (!cwsi_curl_prepare(x, request)) {
        cwsi_curl_exchange_free(x);
        return CWS_ERR_NO_MEMORY;
    }
    if (!x->stream && t->unary_running >= t->unary_most) { /* P11: admitted when another ends */
        if (t->waiting_last) t->waiting_last->waiting_next = x;
        else t->waiting = x;
        t->waiting_last = x;
    } else if (!cwsi_curl_start(x)) {
        cwsi_curl_exchange_free(x);
        return CWS_ERR_NO_MEMORY;
    }
    cwsi_curl_link(x);
    *handle = x;
    return CWS_OK;
}

static size_t cwsi_curl_send(void *user, void *handle, const void *data, size_t size, bool fin)
{
    cwsi_curl_exchange *x = CWSI_CAST(cwsi_curl_exchange *, handle);
    size_t room = CWSI_CURL_QUEUE_MAX - (x->queue.len - x->queue_at);
    size_t take = size < room ? size : room;
    (void)user;
    if (x->ended || x->fin) return 0;
    cwsi_buf_drop(&x->queue, &x->queue_at);
    if (take && !cwsi_put(&x->queue, data, take)) { /* no memory: the exchange ends in the poll */
        x->kick = true;
        return 0;
    }
    x->fin = fin && take == size;
    x->kick = true;
    return take;
}

static void cwsi_curl_window(void *user, void *handle, bool open)
{
    cwsi_curl_exchange *x = CWSI_CAST(cwsi_curl_exchange *, handle);
    (void)user;
    x->window_closed = !open;
    x->kick = true; /* resuming delivers held data, which must happen inside poll */
}

/* P3, P9: send-paused streams miss what happens on their connection unless they are touched; before
 * 8.4 all of HTTP/2 do (P1), and a change of their state makes libcurl look. */
static void cwsi_curl_nudge(cwsi_curl *t)
{
    cwsi_curl_exchange *x;
    bool all = cwsi_curl_forgetful(t);
    for (x = t->all; x; x = x->next) {
        int state = x->recv_paused ? CURLPAUSE_RECV : CURLPAUSE_CONT;
        if (!x->running || x->ended || !(x->send_paused || (all && x->touched))) continue;
        if (!x->send_paused) (void)curl_easy_pause(x->easy, state | CURLPAUSE_SEND);
        (void)curl_easy_pause(x->easy, state);
    }
}

static void cwsi_curl_unlink(cwsi_curl_exchange *x)
{
    cwsi_curl *t = x->curl;
    cwsi_curl_exchange **link, *last = NULL;
    if (x->prev) x->prev->next = x->next;
    else t->all = x->next;
    if (x->next) x->next->prev = x->prev;
    if (x->running) return;
    for (link = &t->waiting; *link; last = *link, link = &(*link)->waiting_next)
        if (*link == x) {
            *link = x->waiting_next;
            if (t->waiting_last == x) t->waiting_last = last;
            break;
        }
}

static void cwsi_curl_remove(cwsi_curl_exchange *x)
{
    if (!x->running) return;
    (void)curl_multi_remove_handle(x->curl->multi, x->easy);
    x->running = false;
    if (!x->stream) x->curl->unary_running--;
    if (x->touched) x->curl->touched_running--;
}

static void cwsi_curl_cancel(void *user, void *handle)
{
    cwsi_curl *t = CWSI_CAST(cwsi_curl *, user);
    cwsi_curl_exchange *x = CWSI_CAST(cwsi_curl_exchange *, handle);
    bool alive = x->running && !x->ended, old = cwsi_curl_before(t, 8, 15);
    cwsi_curl_unlink(x);
    if (alive && old) (void)(curl_easy_setopt)(x->easy, CURLOPT_FORBID_REUSE, 1L); /* P9 */
    cwsi_curl_remove(x);
    cwsi_curl_exchange_free(x);
    if (alive && old) cwsi_curl_nudge(t);
}

/* ================================================================================================
 * >>impl-curl-poll
 * How exchanges end, and the turn of the transport; opening and closing it.
 * ============================================================================================= */

/* The number in "... was not closed cleanly: NAME (err 7)" or, from 8.19 on, "... reset by server
 * (error 0x7 NAME)"; -1 if there is none. */
static int32_t cwsi_curl_reset_code(const char *text)
{
    const char *at = strstr(text, "(err ");
    long code;
    if (at) code = strtol(at + 5, NULL, 10);
    else if ((at = strstr(text, "(error 0x")) != NULL) code = strtol(at + 9, NULL, 16);
    else return -1;
    return code >= 0 && code < 1000 ? CWSI_CAST(int32_t, code) : -1;
}

/* With TLS 1.3 the server's refusal of our certificate, or of none, comes behind the handshake. */
static bool cwsi_curl_is_refusal(const char *text)
{
    return strstr(text, "alert") && (strstr(text, "certificate") || strstr(text, "unknown ca"));
}

static cws_end cwsi_curl_end_of(CURLcode code, int32_t reset)
{
    switch (CWSI_CAST(int, code)) {
    case CURLE_OK: return CWS_END_OK;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT: /* only the connect time-out is set, P7 */
#if LIBCURL_VERSION_NUM >= 0x074900
    case CURLE_PROXY:
#endif
    case CURLE_SSL_CONNECT_ERROR: return CWS_END_NOT_SENT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS: return CWS_END_TLS;
    case CURLE_HTTP2_STREAM: return reset == 7 ? CWS_END_REFUSED : CWS_END_RESET;
    case CURLE_OUT_OF_MEMORY: return CWS_END_NO_MEMORY;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: return CWS_END_PROTOCOL;
    default: return CWS_END_LOST;
    }
}

static void cwsi_curl_ended(cwsi_curl_exchange *x, CURLcode code)
{
    const char *text = x->error[0] ? x->error : curl_easy_strerror(code);
    int32_t reset = code == CURLE_HTTP2_STREAM ? cwsi_curl_reset_code(x->error) : -1;
    cws_end end = cwsi_curl_end_of(code, reset);
    x->ended = true;
    x->curl->progress = true;
    if (x->trailers && !x->no_memory) cwsi_curl_report_fields(x);
    x->trailers = false;
    cwsi_curl_remove(x); /* makes room for the next unary call */
    if ((end == CWS_END_OK && !x->head_reported) || x->head_too_large) end = CWS_END_PROTOCOL;
    if (end == CWS_END_LOST && cwsi_curl_is_refusal(text)) end = CWS_END_TLS;
    if (x->no_memory) end = CWS_END_NO_MEMORY;
    if (!cwsi_curl_before(x->curl, 8, 22) && reset < 0 &&
        (end == CWS_END_LOST || end == CWS_END_RESET))
        (void)(curl_multi_setopt)(x->curl->multi, CWSI_CURLMOPT_NETWORK_CHANGED, 1L); /* P17 */
    if (code != CURLE_OK)
        cws_exchange_note(x->exchange, reset >= 0 ? reset : CWSI_CAST(int32_t, code), text);
    cws_exchange_end(x->exchange, end);
}

/* Changes of the last turn: more to send, reception resumed. */
static void cwsi_curl_apply_kicks(cwsi_curl *t)
{
    cwsi_curl_exchange *x;
    for (x = t->all; x; x = x->next) {
        if (!x->kick) continue;
        x->kick = false;
        if (!x->running || x->ended) continue;
        if (x->queue.status) {
            cwsi_curl_ended(x, CURLE_OUT_OF_MEMORY);
            continue;
        }
        if (!x->window_closed) x->recv_paused = false;
        x->send_paused = false;
        (void)curl_easy_pause(x->easy, x->recv_paused ? CURLPAUSE_RECV : CURLPAUSE_CONT);
    }
}

static void cwsi_curl_admit(cwsi_curl *t)
{
    while (t->waiting && t->unary_running < t->unary_most) {
        cwsi_curl_exchange *x = t->waiting;
        t->waiting = x->waiting_next;
        if (!t->waiting) t->waiting_last = NULL;
        x->waiting_next = NULL;
        if (!cwsi_curl_start(x)) {
            x->ended = true;
            cws_exchange_end(x->exchange, CWS_END_NO_MEMORY);
        }
    }
}

/* Touch what must be touched: at once when something has happened, then less and less often; a
 * touch itself ends the next wait. True: it was done. */
static bool cwsi_curl_nudge_due(cwsi_curl *t, int64_t now, int *timeout_ms)
{
    bool needed = t->touched_running && cwsi_curl_before(t, 8, 6), due;
    if (!needed) return false;
    due = t->nudge_ms == 0 || now >= t->nudge_at;
    if (due) {
        cwsi_curl_nudge(t);
        t->nudge_ms = t->nudge_ms ? t->nudge_ms * 2 : 1;
        if (t->nudge_ms > CWSI_CURL_NUDGE_MAX_MS) t->nudge_ms = CWSI_CURL_NUDGE_MAX_MS;
        t->nudge_at = now + t->nudge_ms;
    }
    if (*timeout_ms > t->nudge_at - now) *timeout_ms = CWSI_CAST(int, t->nudge_at - now);
    return due;
}

static cws_status cwsi_curl_poll(void *user, int timeout_ms)
{
    cwsi_curl *t = CWSI_CAST(cwsi_curl *, user);
    int running = 0, left = 0;
    int64_t before, took;
    bool nudged;
    CURLMsg *msg;
    t->progress = false;
    cwsi_curl_admit(t);
    cwsi_curl_apply_kicks(t);
    before = cwsi_system_monotonic_ms();
    nudged = cwsi_curl_nudge_due(t, before, &timeout_ms);
    if (curl_multi_poll(t->multi, NULL, 0, timeout_ms, NULL) != CURLM_OK) return CWS_ERR_NO_MEMORY;
    if (curl_multi_perform(t->multi, &running) != CURLM_OK) return CWS_ERR_NO_MEMORY;
    while ((msg = curl_multi_info_read(t->multi, &left)) != NULL) {
        char *x = NULL;
        CURLcode code = msg->data.result; /* msg is gone once the handle is removed */
        if (msg->msg != CURLMSG_DONE) continue;
        if ((curl_easy_getinfo)(msg->easy_handle, CURLINFO_PRIVATE, &x) == CURLE_OK && x)
            cwsi_curl_ended(CWSI_AS(cwsi_curl_exchange, x), code);
    }
    cwsi_curl_report_trailers(t);
    cwsi_curl_admit(t);
    took = cwsi_system_monotonic_ms() - before;
    if (t->progress || (!nudged && took < timeout_ms)) t->nudge_ms = 0; /* something happened */
    if (t->progress || timeout_ms == 0 || took > 1) t->fruitless = 0;
    else if (++t->fruitless >= 32) cwsi_sleep(t->fruitless < 256 ? 1 : 4); /* P8 */
    return CWS_OK;
}

static void cwsi_curl_wakeup(void *user)
{
    (void)curl_multi_wakeup(CWSI_CAST(cwsi_curl *, user)->multi);
}

static void cwsi_curl_close(void *user)
{
    cwsi_curl *t = CWSI_CAST(cwsi_curl *, user);
    bool global = t->global;
    while (t->all) cwsi_curl_cancel(t, t->all);
    if (t->multi) (void)curl_multi_cleanup(t->multi);
    cwsi_free(&t->client->mem, t);
    if (global) curl_global_cleanup();
}

static void cwsi_curl_configure(cwsi_curl *t, const cws_client_opts *o, bool *ok)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    size_t len;
    bool loopback = false;
    int64_t connect_ms = 0;
    (void)cwsi_check_url(NULL, t->client->base_url, &len, &t->https, &loopback);
    (void)cwsi_check_seconds(NULL, "", o->connect_timeout_seconds,
                             CWSI_CAST(int64_t, CWSI_CONNECT_TIMEOUT_S * 1000), false, &connect_ms);
    t->connect_timeout_ms = connect_ms < LONG_MAX ? CWSI_CAST(long, connect_ms) : LONG_MAX;
    t->version = info->version_num;
    t->async_names = (info->features & CURL_VERSION_ASYNCHDNS) != 0;
    t->only_2 = o->http_version == CWS_HTTP_2 || t->client->grpc;
    t->only_1_1 = o->http_version == CWS_HTTP_1_1 || !(info->features & CURL_VERSION_HTTP2);
    t->direct = loopback || o->no_environment; /* no proxy of the environment */
    t->ca_file = cwsi_keep(&t->client->arena, o->ca_file, ok);
    t->cert_file = cwsi_keep(&t->client->arena, o->client_cert_file, ok);
    t->key_file = cwsi_keep(&t->client->arena, o->client_key_file, ok);
    t->unary_most = cwsi_curl_http_version(t, t->only_2) == CURL_HTTP_VERSION_1_1 ||
                            cwsi_curl_dedicated(t, t->only_2, false) || cwsi_curl_before(t, 8, 1)
                        ? 16
                        : 64;
}

static cws_status cwsi_curl_open(cws_client *c, const cws_client_opts *o, cws_transport *out,
                                 cws_error *err)
{
    cwsi_curl *t = CWSI_NEW(&c->mem, cwsi_curl);
    const curl_version_info_data *info;
    bool ok = true, h2, tls;
    if (!t) return cwsi_no_memory(err, "libcurl transport");
    t->client = c;
    if (!o->no_global_init) {
        t->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
        ok = t->global;
    }
    if (ok) t->multi = curl_multi_init();
    if (!t->multi) ok = false;
    cwsi_curl_configure(t, o, &ok);
    if (!ok) {
        cwsi_curl_close(t);
        return cwsi_no_memory(err, "libcurl transport");
    }
    (void)(curl_multi_setopt)(t->multi, CURLMOPT_PIPELINING,
                              CWSI_CAST(long, cwsi_curl_before(t, 8, 1) ? CURLPIPE_NOTHING /* P2 */
                                                                        : CURLPIPE_MULTIPLEX));
    (void)(curl_multi_setopt)(t->multi, CURLMOPT_MAXCONNECTS, 32L);
    info = curl_version_info(CURLVERSION_NOW);
    h2 = (info->features & CURL_VERSION_HTTP2) != 0;
    tls = (info->features & CURL_VERSION_SSL) != 0;
    if ((t->https && !tls) || (t->only_2 && !h2)) {
        cwsi_curl_close(t);
        return cwsi_fail(err, CWS_ERR_UNSUPPORTED, "libcurl %s was built without %s", info->version,
                         t->https && !tls ? "TLS" : "HTTP/2");
    }
    out->user = t;
    out->open = cwsi_curl_open_exchange;
    out->send = cwsi_curl_send;
    out->window = cwsi_curl_window;
    out->cancel = cwsi_curl_cancel;
    out->poll = cwsi_curl_poll;
    out->wakeup = cwsi_curl_wakeup;
    out->close = cwsi_curl_close;
    out->trailers = h2;
    out->full_duplex = h2 && !t->only_1_1 && (t->https || t->only_2);
    return CWS_OK;
}

#undef CWSI_SET
#endif /* CWS_NO_CURL */

/* ================================================================================================
 * >>impl-end
 * Internal names all begin with cwsi_ or CWSI_, macros included, so they stay defined: the local
 * backend and the tests in the same file read them. Only the short-lived ones are taken back.
 * ============================================================================================= */

#undef CWSI_SUB_STR
#undef CWSI_SUB_BYTES
#undef CWSI_SUB_BOOL
#undef CWSI_SUB_I32
#undef CWSI_SUB_I64
#undef CWSI_SUB_U32
#undef CWSI_SUB_U64
#undef CWSI_SUB_DOUBLE
#undef CWSI_SUB_ENUM
#undef CWSI_SUB_MSG
#undef CWSI_HAS_ONE
#undef CWSI_HAS_OPT
#undef CWSI_HAS_ONEOF
#undef CWSI_HAS_ONEOFM
#undef CWSI_HAS_REP
#undef CWSI_HAS_MAP

/* MIT License, see the file LICENSE or https://opensource.org/license/mit */

#endif /* CWSANDBOX_IMPLEMENTATION */
