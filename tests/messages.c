/* SPDX-License-Identifier: MIT
 *
 * Messages: the binary codec and the one of JSON. The suites schema and oracle compare them with
 * the .proto files and with protobuf-es. This one reaches into the implementation, so this file is
 * its own implementation file. Usage:
 *
 *     messages [part of a test's name] [mutations] [seed]
 */
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "decode_json.h"
#include "test.h"

#include "bytes.h"

static long unit_mutations = 200000;
static uint64_t unit_seed = 20260102;

/* ---- helpers --------------------------------------------------------------------------------- */

/* What the last unit_decode and unit_json used; ended by unit_done. */
typedef struct unit_case {
    cwsi_mem mem;
    cwsi_arena arena;
    char *input;
    void *msg;
    cws_status status;
} unit_case;

static void unit_open(unit_case *c, const char *data, size_t len, uint64_t limit)
{
    c->mem = unit_mem(limit);
    cwsi_arena_init(&c->arena, &c->mem);
    c->input = unit_exact(data, len);
    c->msg = NULL;
}

static cws_status unit_decode(unit_case *c, cwsi_msg_id id, const char *data, size_t len)
{
    unit_open(c, data, len, unit_plenty);
    return c->status = cwsi_decode(&c->arena, id, unit_bytes(c->input, len), &c->msg);
}

/* The input as hexadecimal digits with spaces wherever they help. */
static cws_status unit_decode_hex(unit_case *c, cwsi_msg_id id, const char *hex)
{
    char data[2048];
    return unit_decode(c, id, data, unit_unhex(hex, data));
}

static cws_status unit_json(unit_case *c, cwsi_msg_id id, const char *text)
{
    unit_open(c, text, strlen(text), unit_plenty);
    return c->status = cwsi_decode_json(&c->arena, id, unit_bytes(c->input, strlen(text)), &c->msg);
}

/* The arena goes away and must leave nothing behind. */
static void unit_done(unit_case *c)
{
    cwsi_arena_clear(&c->arena);
    CHECK_INT(c->mem.used, 0);
    CHECK_INT(test_alloc_live(), 0);
    free(c->input);
    c->input = NULL;
}

/* The message as hexadecimal digits, or the status' name. */
static const char *unit_encoded(unit_case *c, cwsi_msg_id id, char *out, size_t size)
{
    cwsi_buf buf;
    cwsi_buf_init(&buf, &c->mem, size / 2 - 1);
    (void)cwsi_encode(&buf, id, c->msg);
    if (buf.status) (void)snprintf(out, size, "%s", "(not encoded)");
    else unit_hex(buf.at, buf.len, out);
    cwsi_buf_free(&buf);
    return out;
}

static const char *unit_printed(unit_case *c, cwsi_msg_id id, bool redact, char *out, size_t size)
{
    cwsi_buf buf;
    cwsi_buf_init(&buf, &c->mem, size - 1);
    (void)cwsi_encode_json(&buf, &c->arena, id, c->msg, redact);
    (void)snprintf(out, size, "%s", buf.status ? "(not printed)" : buf.at);
    cwsi_buf_free(&buf);
    return out;
}

static char unit_out[16384], unit_out2[16384];

/* Decode, encode: the hexadecimal result. */
static const char *unit_again(cwsi_msg_id id, const char *hex)
{
    unit_case c;
    if (unit_decode_hex(&c, id, hex)) (void)snprintf(unit_out, sizeof(unit_out), "(refused)");
    else (void)unit_encoded(&c, id, unit_out, sizeof(unit_out));
    unit_done(&c);
    return unit_out;
}

/* Binary in hexadecimal digits to JSON. */
static const char *unit_to_json(cwsi_msg_id id, const char *hex)
{
    unit_case c;
    if (unit_decode_hex(&c, id, hex)) (void)snprintf(unit_out, sizeof(unit_out), "(refused)");
    else (void)unit_printed(&c, id, false, unit_out, sizeof(unit_out));
    unit_done(&c);
    return unit_out;
}

/* JSON to binary in hexadecimal digits. */
static const char *unit_from_json(cwsi_msg_id id, const char *text)
{
    unit_case c;
    if (unit_json(&c, id, text)) (void)snprintf(unit_out, sizeof(unit_out), "(refused)");
    else (void)unit_encoded(&c, id, unit_out, sizeof(unit_out));
    unit_done(&c);
    return unit_out;
}

static cws_status unit_status(cwsi_msg_id id, const char *hex)
{
    unit_case c;
    cws_status status = unit_decode_hex(&c, id, hex);
    unit_done(&c);
    return status;
}

static cws_status unit_json_status(cwsi_msg_id id, const char *text)
{
    unit_case c;
    cws_status status = unit_json(&c, id, text);
    unit_done(&c);
    return status;
}

/* ---- binary codec ---------------------------------------------------------------------------- */

/* Made with `protoc --encode` and the reference implementation's JSON printer. */
typedef struct unit_golden {
    cwsi_msg_id id;
    const char *hex, *json;
} unit_golden;

static const unit_golden unit_goldens[] = {
    {CWSI_M_v1_GetSandboxRequest, "0a0473622d31", "{\"sandboxId\":\"sb-1\"}"},
    {CWSI_M_v1_CreateSandboxRequest,
     "0a5b12540a470a046d61696e120b707974686f6e3a332e31311a072f62696e2f736822022d6322047472"
     "75652a060a014112013132150a043530306d12033147691a080802120448313030700028901c42027431"
     "420070023203626f781203722d31",
     "{\"sandbox\":{\"spec\":{\"containers\":[{\"name\":\"main\",\"image\":\"python:3.11\""
     ",\"command\":\"/bin/sh\",\"args\":[\"-c\",\"true\"],\"environmentVariables\":{\"A\":"
     "\"1\"},\"resources\":{\"cpu\":\"500m\",\"memory\":\"1Gi\",\"gpu\":{\"count\":\"2\","
     "\"type\":\"H100\"}},\"primary\":false}],\"maxLifetimeSeconds\":3600,\"tags\":[\"t1\""
     ",\"\"],\"mode\":\"SANDBOX_MODE_CKS\"},\"displayName\":\"box\"},\"requestId\":\"r-1\""
     "}"},
    {CWSI_M_v1_Sandbox,
     "0a0273621a2408031a0b08a5ebdcca0610809bee02480062110a046d61696e18ffffffffffffffffff01"
     "28ffffffffffffffff7f3a03746f6b",
     "{\"sandboxId\":\"sb\",\"status\":{\"state\":\"STATE_COMPLETED\",\"createTime\":\"202"
     "6-01-02T03:04:05.006Z\",\"exitCode\":0,\"containerStatuses\":[{\"name\":\"main\",\"e"
     "xitCode\":-1}]},\"sourceTemplateRevision\":\"9223372036854775807\",\"endpointShareTo"
     "ken\":\"tok\"}"},
    {CWSI_M_v1_SandboxStatus, "084d2a1108ffffffffffffffffff0110ff93ebdc0348ffffffffffffffffff01",
     "{\"state\":77,\"endTime\":\"1969-12-31T23:59:59.999999999Z\",\"exitCode\":-1}"},
    {CWSI_M_v1_SecurityContext, "080010ffffffff0f18002001",
     "{\"runAsUser\":0,\"runAsGroup\":4294967295,\"privileged\":false,\"allowPrivilegeEsca"
     "lation\":true}"},
    {CWSI_M_v1_Gpu, "08ffffffffffffffffff011800", "{\"count\":\"-1\",\"memoryGb\":\"0\"}"},
    {CWSI_M_v1_Gpu, "1200", "{\"type\":\"\"}"},
    {CWSI_M_v1_ExecRequest,
     "0a017312046563686f120768c3a4f09f98801a060a014b1201562080808080f8ffffffff01",
     "{\"sandboxId\":\"s\",\"command\":[\"echo\",\"h\303\244\360\237\230\200\"],\"env\":{\"K\":"
     "\"V\"},\"maxO"
     "utputBytes\":-2147483648}"},
    {CWSI_M_v1_ExecResponse, "0a0300ff0a188901200130ffffffffffffffff7f3880808080808080808001",
     "{\"stdout\":\"AP8K\",\"exitCode\":137,\"stdoutTruncated\":true,\"stdoutBytesProduced"
     "\":\"9223372036854775807\",\"stderrBytesProduced\":\"-9223372036854775808\"}"},
    {CWSI_M_v1_ExecStreamRequest, "1200", "{\"stdin\":\"\"}"},
    {CWSI_M_v1_ExecStreamRequest, "2200", "{\"close\":{}}"},
    {CWSI_M_v1_ExecStreamRequest,
     "0a1f0a017312027368180120502818320d0a045445524d1205787465726d3a0163",
     "{\"init\":{\"sandboxId\":\"s\",\"command\":[\"sh\"],\"tty\":true,\"ttyWidth\":80,\"t"
     "tyHeight\":24,\"env\":{\"TERM\":\"xterm\"},\"container\":\"c\"}}"},
    {CWSI_M_v1_ExecStreamResponse, "1209080212056f6f70730a",
     "{\"output\":{\"stream\":\"STREAM_STDERR\",\"data\":\"b29wcwo=\"}}"},
    {CWSI_M_v1_ExecStreamResponse, "1a0908031205080110e807",
     "{\"exit\":{\"exitCode\":3,\"completedTime\":\"1970-01-01T00:00:01.000001Z\"}}"},
    {CWSI_M_v1_StreamLogsRequest, "0a01731001180a220040ffffffffffffffffff01",
     "{\"sandboxId\":\"s\",\"follow\":true,\"tailLines\":10,\"sinceTime\":\"1970-01-01T00:"
     "00:00Z\",\"resumeLogOffset\":\"18446744073709551615\"}"},
    {CWSI_M_v1_ConnectSandboxRequest, "0a01731204010203041a0d01ac02ffffffffffffffffff01",
     "{\"sandboxId\":\"s\",\"csrDer\":\"AQIDBA==\",\"requestedPermissions\":[\"SANDBOX_DAT"
     "A_PERMISSION_EXEC\",300,-1]}"},
    {CWSI_M_v1_CreateSandboxFromFileRequest, "08011201782a080a037765621201ff8a01080a016f1203120162",
     "{\"type\":\"SANDBOX_FILE_TYPE_COMPOSE\",\"contents\":\"eA==\",\"buildContexts\":{\"w"
     "eb\":\"/w==\"},\"buildContextObjects\":{\"o\":{\"bucket\":\"b\"}}}"},
    {CWSI_M_v1_NetworkOptions,
     "120220001202180012280a190a0a31302e302e302e302f38120b31302e312e302e302f31362a0b0a0354"
     "4350100118ffff03180120002802",
     "{\"egress\":[{\"any\":false},{\"tenant\":\"TENANT_SCOPE_UNSPECIFIED\"},{\"cidr\":{\""
     "cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0/16\"]},\"ports\":[{\"protocol\":\"TCP\""
     ",\"port\":1,\"endPort\":65535}]}],\"denyEgress\":true,\"denyIngress\":false,\"dnsEgr"
     "ess\":\"DNS_EGRESS_MODE_DENY\"}"},
    {CWSI_M_v1_UpdateVolumeRequest,
     "0a0176120d120b0a0712026e731a016310011a270a10737065632e6465736372697074696f6e0a137370"
     "65632e7076632e636c61696d5f6e616d65",
     "{\"volumeId\":\"v\",\"volume\":{\"spec\":{\"pvc\":{\"namespace\":\"ns\",\"claimName"
     "\":\"c\"},\"readOnly\":true}},\"updateMask\":\"spec.description,spec.pvc.claimName\""
     "}"},
    {CWSI_M_v1_SandboxTemplate,
     "0a0174522b0a290a016c122432220a0911000000000000f03f0a0208000a0220000a051a032278220a02"
     "2a000a023200",
     "{\"sandboxTemplateId\":\"t\",\"attachments\":{\"l\":[1,null,false,\"\\\"x\\\"\",{},["
     "]]}}"},
    {CWSI_M_v1_VolumeStatus, "080218023a0352574f4801",
     "{\"state\":\"VOLUME_STATE_READY\",\"locality\":\"VOLUME_LOCALITY_GLOBAL\",\"accessMo"
     "des\":[\"RWO\"],\"attachedSandboxCount\":1}"},
    {CWSI_M_v1_ListSandboxesResponse, "0a000a030a01610a00120170",
     "{\"sandboxes\":[{},{\"sandboxId\":\"a\"},{}],\"nextPageToken\":\"p\"}"},
    {CWSI_M_v1_SecretStore, "0a016e10015200",
     "{\"name\":\"n\",\"providerType\":\"SECRET_STORE_PROVIDER_TYPE_WANDB\",\"wandb\":{}}"},
    {CWSI_M_b2_StartSandboxRequest,
     "0a01631201611a017422090a01311a04080118502a016932060a01451201763a0908903f120468747470"
     "42090a022f661203616263520f120d50bb03ffffffffffffffffff01b001018a0201709202050a017620"
     "01",
     "{\"command\":\"c\",\"args\":[\"a\"],\"tags\":[\"t\"],\"resources\":{\"cpu\":\"1\",\""
     "gpu\":{\"gpuCount\":\"1\",\"gpuMemoryGb\":\"80\"}},\"containerImage\":\"i\",\"enviro"
     "nmentVariables\":{\"E\":\"v\"},\"ports\":[{\"containerPort\":8080,\"name\":\"http\"}"
     "],\"mountedFiles\":[{\"mountPath\":\"/f\",\"fileContent\":\"YWJj\"}],\"network\":{\""
     "exposedPorts\":[80,443,-1]},\"maxLifetimeSeconds\":1,\"profileNames\":[\"p\"],\"volu"
     "mes\":[{\"volumeId\":\"v\",\"readOnly\":true}]}"},
    {CWSI_M_b2_GetSandboxResponse, "0a017318096800",
     "{\"sandboxId\":\"s\",\"sandboxStatus\":\"SANDBOX_STATUS_TERMINATING\",\"exitCode\":0"
     "}"},
    {CWSI_M_b2_StopSandboxRequest, "0a0173100a18012a016b3000",
     "{\"sandboxId\":\"s\",\"gracefulShutdownSeconds\":10,\"fileSystemSnapshotOnStop\":tru"
     "e,\"idempotencyKey\":\"k\",\"waitForReady\":false}"},
    {CWSI_M_b2_ExecStreamResponse, "22120a0d08ff82d1ffaf0710ff93ebdc03120171",
     "{\"ready\":{\"readyAt\":\"9999-12-31T23:59:59.999999999Z\",\"sessionId\":\"q\"}}"},
    {CWSI_M_b2_LogStreamResponse, "1a00", "{\"complete\":{}}"},
    {CWSI_M_b2_RawSandboxRequest, "0a017310082a0412022f78",
     "{\"sandboxId\":\"s\",\"actionType\":\"ACTION_TYPE_STOP\",\"retrieveFilePayload\":{\""
     "filepath\":\"/x\"}}"},
    {CWSI_M_b2_SecretStore, "0a01695203120174a2010b088092b8c398feffffff01aa0106088098ecc503",
     "{\"id\":\"i\",\"wandb\":{\"team\":\"t\"},\"createdAt\":\"0001-01-01T00:00:00Z\",\"up"
     "datedAt\":\"2000-02-29T00:00:00Z\"}"},
    {CWSI_M_b2_ServiceConfig, "0a1000ffffffff0780808080f8ffffffff01",
     "{\"exposedPorts\":[0,2147483647,-2147483648]}"},
    {CWSI_M_rpc_RetryInfo, "0a1608ffffffffffffffffff011080b6ca91feffffffff01",
     "{\"retryDelay\":\"-1.500s\"}"},
    {CWSI_M_rpc_ErrorInfo, "0a0152120d637773616e64626f782e636f6d1a060a016b120176",
     "{\"reason\":\"R\",\"domain\":\"cwsandbox.com\",\"metadata\":{\"k\":\"v\"}}"},
    {CWSI_M_rpc_BadRequest, "0a0f0a016612016422070a02656e12016d",
     "{\"fieldViolations\":[{\"field\":\"f\",\"description\":\"d\",\"localizedMessage\":{"
     "\"locale\":\"en\",\"message\":\"m\"}}]}"},
    {CWSI_M_pb_Duration, "0880bcaece9709", "\"315576000000s\""},
};

static const size_t unit_golden_count = sizeof(unit_goldens) / sizeof(unit_goldens[0]);

static const cwsi_v1_SandboxStatus *unit_v1_status(const unit_case *c)
{
    return (const cwsi_v1_SandboxStatus *)c->msg;
}

static void test_codec(void)
{
    TEST("messages of the reference encoder decode and encode to the same bytes") {
        size_t i;
        for (i = 0; i < unit_golden_count; i++)
            if (!CHECK_STR(unit_again(unit_goldens[i].id, unit_goldens[i].hex),
                           unit_goldens[i].hex))
                printf("    %s\n", cwsi_msg_name(unit_goldens[i].id));
    }

    TEST("each kind of scalar arrives in its member") {
        unit_case c;
        const cwsi_v1_ExecResponse *r;
        /* 1: 00 ff 0a, 3: 137, 4: true, 6: INT64_MAX, 7: INT64_MIN */
        CHECK_INT(
            unit_decode_hex(&c, CWSI_M_v1_ExecResponse,
                            "0a0300ff0a 188901 2001 30ffffffffffffffff7f 3880808080808080808001"),
            CWS_OK);
        r = (const cwsi_v1_ExecResponse *)c.msg;
        CHECK(r->stdout_.len == 3 && memcmp(r->stdout_.at, "\0\xff\n", 3) == 0);
        CHECK_INT(r->stderr_.len, 0);
        CHECK_INT(r->exit_code, 137);
        CHECK(r->stdout_truncated && !r->stderr_truncated);
        CHECK(r->stdout_bytes_produced == INT64_MAX);
        CHECK(r->stderr_bytes_produced == INT64_MIN);
        CHECK_INT(r->unknown, 0);
        unit_done(&c);
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_StreamLogsRequest, "40ffffffffffffffffff01"),
                  CWS_OK);
        CHECK(((const cwsi_v1_StreamLogsRequest *)c.msg)->resume_log_offset == UINT64_MAX);
        unit_done(&c);
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_SecurityContext, "08ffffffff0f"), CWS_OK);
        CHECK(((const cwsi_v1_SecurityContext *)c.msg)->run_as_user == UINT32_MAX);
        unit_done(&c);
        /* 0.25 is 0x3fd0000000000000 */
        CHECK_INT(unit_decode_hex(&c, CWSI_M_pb_Value, "11000000000000d03f"), CWS_OK);
        CHECK(((const cwsi_pb_Value *)c.msg)->number_value == 0.25);
        unit_done(&c);
    }

    TEST("a negative int32 travels as ten bytes and is read from five or ten") {
        unit_case c;
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "08ffffffffffffffffff01"),
                  "08ffffffffffffffffff01");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "08ffffffff0f"), "08ffffffffffffffffff01");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "0880808080f8ffffffff01"),
                  "0880808080f8ffffffff01");
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_ExecStreamExit, "08ffffffffffffffffff01"), CWS_OK);
        CHECK_INT(((const cwsi_v1_ExecStreamExit *)c.msg)->exit_code, -1);
        unit_done(&c);
    }

    TEST("an optional field with the value 0 is present, and an absent one is not") {
        unit_case c;
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_SandboxStatus, "4800"), CWS_OK);
        CHECK(unit_v1_status(&c)->has_exit_code && unit_v1_status(&c)->exit_code == 0);
        CHECK_STR(unit_encoded(&c, CWSI_M_v1_SandboxStatus, unit_out, sizeof(unit_out)), "4800");
        unit_done(&c);
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_SandboxStatus, ""), CWS_OK);
        CHECK(!unit_v1_status(&c)->has_exit_code);
        CHECK_STR(unit_encoded(&c, CWSI_M_v1_SandboxStatus, unit_out, sizeof(unit_out)), "");
        unit_done(&c);
        CHECK_STR(unit_again(CWSI_M_b2_StopSandboxRequest, "3000"), "3000");
        CHECK_STR(unit_again(CWSI_M_v1_SecurityContext, "080010001800"), "080010001800");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "0800"), ""); /* no presence there */
    }

    TEST("the last member of a oneof wins") {
        unit_case c;
        const cwsi_v1_ExecStreamRequest *r;
        /* stdin "a", then close */
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "120161 2200"), "2200");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "2200 120161"), "120161");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "2200 1200"), "1200");
        CHECK_STR(unit_again(CWSI_M_v1_Gpu, "120161 1800"), "1800");
        CHECK_STR(unit_again(CWSI_M_pb_Value, "1101000000000000f0 2001 0800"), "0800");
        /* init{s}, close, init{c}: the first init is gone, not merged */
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "0a030a0173 2200 0a033a0163"),
                  "0a033a0163");
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_ExecStreamRequest, "0a00 120161"), CWS_OK);
        r = (const cwsi_v1_ExecStreamRequest *)c.msg;
        CHECK(r->init == NULL && r->has_stdin_ && !r->resize && !r->close);
        unit_done(&c);
    }

    TEST("a singular sub-message that comes twice is merged") {
        /* Sandbox.status {state 2}, status {exit_code 3, state 3, runner_id r} */
        CHECK_STR(unit_again(CWSI_M_v1_Sandbox, "1a020802 1a074803 0803 6a0172"), "1a0708034803"
                                                                                  "6a0172");
        /* repeated elements inside are appended: spec.tags a, b */
        CHECK_STR(unit_again(CWSI_M_v1_Sandbox, "1203420161 1203420162"), "1206420161420162");
        /* also within one member of a oneof */
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "0a030a0173 0a033a0163"),
                  "0a060a01733a0163");
    }

    TEST("a singular scalar or string that comes twice keeps the last") {
        CHECK_STR(unit_again(CWSI_M_v1_GetSandboxRequest, "0a0161 0a0162"), "0a0162");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "0801 0802"), "0802");
    }

    TEST("lists of numbers are written packed and read packed, unpacked and mixed") {
        unit_case c;
        const cwsi_b2_ServiceConfig *s;
        CHECK_STR(unit_again(CWSI_M_b2_ServiceConfig, "0a03 01 bb03"), "0a0301bb03");
        CHECK_STR(unit_again(CWSI_M_b2_ServiceConfig, "0801 08bb03"), "0a0301bb03");
        CHECK_STR(unit_again(CWSI_M_b2_ServiceConfig, "0801 0a0102 0803 0a020405"),
                  "0a050102030405");
        CHECK_STR(unit_again(CWSI_M_b2_ServiceConfig, "0a00"), "");
        CHECK_STR(unit_again(CWSI_M_v1_ConnectSandboxRequest, "1801 18ac02"), "1a0301ac02");
        CHECK_INT(unit_decode_hex(&c, CWSI_M_b2_ServiceConfig, "0a0b ffffffffffffffffff01 00"),
                  CWS_OK);
        s = (const cwsi_b2_ServiceConfig *)c.msg;
        CHECK_INT(s->exposed_ports.len, 2);
        CHECK_INT(((const int32_t *)s->exposed_ports.at)[0], -1);
        CHECK_INT(((const int32_t *)s->exposed_ports.at)[1], 0);
        unit_done(&c);
    }

    TEST("packed lists that end inside a number are malformed") {
        CHECK_INT(unit_status(CWSI_M_b2_ServiceConfig, "0a02 0180"), CWS_ERR_PROTOCOL);
        CHECK_INT(unit_status(CWSI_M_b2_ServiceConfig, "0a01 80"), CWS_ERR_PROTOCOL);
        CHECK_INT(unit_status(CWSI_M_b2_ServiceConfig, "0a05 01"), CWS_ERR_PROTOCOL);
        CHECK_INT(unit_status(CWSI_M_b2_ServiceConfig, "0a0b ffffffffffffffffffff01"),
                  CWS_ERR_PROTOCOL);
    }

    TEST("maps are lists of entries whose key and value default to empty") {
        unit_case c;
        const cwsi_v1_ExecRequest *r;
        const cwsi_map_StrStr *e;
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_ExecRequest,
                                  "1a060a014b120156 1a030a0158 1a00 1a0312015a"),
                  CWS_OK);
        r = (const cwsi_v1_ExecRequest *)c.msg;
        e = (const cwsi_map_StrStr *)r->env.at;
        CHECK_INT(r->env.len, 4);
        if (r->env.len != 4) break;
        CHECK(cwsi_str_is(e[0].key, "K") && cwsi_str_is(e[0].value, "V"));
        CHECK(cwsi_str_is(e[1].key, "X") && e[1].value.len == 0);
        CHECK(e[2].key.len == 0 && e[2].value.len == 0);
        CHECK(e[3].key.len == 0 && cwsi_str_is(e[3].value, "Z"));
        unit_done(&c);
        /* value before key */
        CHECK_STR(unit_again(CWSI_M_v1_ExecRequest, "1a06120156 0a014b"), "1a060a014b120156");
    }

    TEST("unknown fields of every wire type are skipped and counted") {
        unit_case c;
        /* 100: varint, fixed64, bytes, group{1: varint, 2: group{}}, fixed32; then sandbox_id "s"
         */
        CHECK_INT(
            unit_decode_hex(
                &c, CWSI_M_v1_GetSandboxRequest,
                "a00605 a1060102030405060708 a2060178 a306 0801 13 14 a406 a50601020304 0a0173"),
            CWS_OK);
        CHECK(cwsi_str_is(((const cwsi_v1_GetSandboxRequest *)c.msg)->sandbox_id, "s"));
        CHECK_INT(((const cwsi_v1_GetSandboxRequest *)c.msg)->unknown, 5);
        CHECK_STR(unit_encoded(&c, CWSI_M_v1_GetSandboxRequest, unit_out, sizeof(unit_out)),
                  "0a0173");
        unit_done(&c);
        /* the largest field number there is */
        CHECK_STR(unit_again(CWSI_M_v1_GetSandboxRequest, "f8ffffff0f01 0a0173"), "0a0173");
    }

    TEST("a known field of a foreign wire type counts as unknown") {
        unit_case c;
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_GetSandboxRequest, "0805 0d01020304 0a0173 0b0c"),
                  CWS_OK);
        CHECK(cwsi_str_is(((const cwsi_v1_GetSandboxRequest *)c.msg)->sandbox_id, "s"));
        CHECK_INT(((const cwsi_v1_GetSandboxRequest *)c.msg)->unknown, 3);
        unit_done(&c);
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "0a0161 0d01020304"), "");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "2200 1001"),
                  "2200"); /* does not clear the oneof */
        CHECK_STR(unit_again(CWSI_M_pb_Value, "1001"), "");
    }

    TEST("malformed wire data is refused") {
        static const char *const bad[] = {
            "00", /* field number 0 */
            "0001",
            "02 00",
            "07",
            "06", /* field 0, wire types 6 and 7 */
            "0e",
            "0f",
            "0c",   /* known field: types 6, 7; end of a group never begun */
            "a406", /* the same, unknown field */
            "a306",
            "a306 0801",
            "a306 a306 a406", /* groups that do not end */
            "80",
            "8080808080808080808001", /* a tag that does not end; one of 11 bytes */
            "f8ffffff1f01",           /* field number above 2^29 - 1 */
            "0a",
            "0a02 61",
            "0a80",
            "0affffffff0f 61",
            "0affffffffffffffffff01 61", /* lengths */
            "a106 01020304050607",
            "a506 010203",
            "a206 05 61",
            "a006 80", /* cut unknown ones */
            "a006 ffffffffffffffffff02",
            "a006 ffffffffffffffffffff01", /* over 64 bits */
            "0a02 c328",
            "0a01 ff",
            "0a03 eda080"}; /* a string that is no UTF-8 */
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            if (!CHECK_INT(unit_status(CWSI_M_v1_GetSandboxRequest, bad[i]), CWS_ERR_PROTOCOL))
                printf("    accepted: %s\n", bad[i]);
    }

    TEST("varints longer than they need to be are read") {
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "08 8580808000"), "0805");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "8800 05"), "0805");
        CHECK_STR(unit_again(CWSI_M_v1_ListSandboxesRequest, "28 80808080808080808001"),
                  "2801"); /* bool */
    }

    TEST("bytes may hold anything, strings any UTF-8 with NUL") {
        CHECK_STR(unit_again(CWSI_M_v1_ReadFileResponse, "0a04 00ffc328"), "0a0400ffc328");
        CHECK_STR(unit_again(CWSI_M_v1_GetSandboxRequest, "0a03 610062"), "0a03610062");
        CHECK_STR(unit_again(CWSI_M_v1_GetSandboxRequest, "0a04 f09f9880"), "0a04f09f9880");
    }

    TEST("an unknown enum number is kept") {
        CHECK_STR(unit_again(CWSI_M_v1_SandboxStatus, "08e707"), "08e707");
        CHECK_STR(unit_again(CWSI_M_v1_SandboxStatus, "08ffffffffffffffffff01"),
                  "08ffffffffffffffffff01");
    }

    TEST("message names can be looked up and are unique") {
        int i;
        for (i = 0; i < CWSI_MSG_COUNT; i++)
            CHECK_INT(cwsi_msg_by_name(cwsi_str_of(cwsi_msg_name((cwsi_msg_id)i))), i);
        CHECK_INT(cwsi_msg_by_name(cwsi_str_of("no.such.Message")), CWSI_MSG_COUNT);
        CHECK_INT(cwsi_msg_by_name(cwsi_str_of("")), CWSI_MSG_COUNT);
    }

    TEST("tables are consistent: sizes, offsets, order, one entry form, names that fit") {
        int id, k;
        for (id = 0; id < CWSI_MSG_COUNT; id++) {
            cwsi_msg t = cwsi_msg_table((cwsi_msg_id)id);
            for (k = 0; k < t.field_count; k++) {
                const cwsi_field *f = &t.fields[k];
                bool many = f->label == CWSI_REP || f->label == CWSI_MAP;
                CHECK(f->number > 0 && f->offset >= sizeof(uint32_t));
                CHECK(f->offset + (many                  ? sizeof(cwsi_list)
                                   : f->kind == CWSI_MSG ? sizeof(void *)
                                                         : cwsi_element_size(f)) <=
                      t.size);
                CHECK(strlen(f->name) < 64);
                CHECK((f->label == CWSI_OPT || f->label == CWSI_ONEOF) == (f->has_offset != 0));
                CHECK((f->label == CWSI_ONEOFM) <= (f->kind == CWSI_MSG));
                CHECK(!(f->label == CWSI_ONEOF && f->kind == CWSI_MSG));
                CHECK(
                    !(many && f->kind == CWSI_DOUBLE)); /* the decoder reads packed varints only */
                if (f->label == CWSI_MAP)
                    CHECK(strncmp(cwsi_msg_name((cwsi_msg_id)f->sub), "map.", 4) == 0);
            }
        }
    }
}

/* Every message of the golden table in turn, cut, bent or starved. */
static void test_codec_hard(void)
{
    TEST("every truncation of every message ends as OK or PROTOCOL, without a read beyond it") {
        size_t i, cut;
        for (i = 0; i < unit_golden_count; i++) {
            char data[2048];
            size_t len = unit_unhex(unit_goldens[i].hex, data);
            for (cut = 0; cut <= len; cut++) {
                unit_case c;
                cws_status status = unit_decode(&c, unit_goldens[i].id, data, cut);
                CHECK(status == CWS_OK || status == CWS_ERR_PROTOCOL);
                CHECK(cut < len || status == CWS_OK);
                if (!status) (void)unit_encoded(&c, unit_goldens[i].id, unit_out, sizeof(unit_out));
                unit_done(&c);
            }
        }
    }

    TEST (
        "random mutations never crash, and what decodes encodes to something that decodes equal") {
        uint64_t seed = unit_seed;
        long round, decoded = 0, wrong = 0;
        for (round = 0; round < unit_mutations; round++) {
            const unit_golden *g = &unit_goldens[unit_below(&seed, unit_golden_count)];
            char data[2048];
            size_t len = unit_unhex(g->hex, data), changes = 1 + (size_t)unit_below(&seed, 4);
            unit_case c, again;
            while (changes--) {
                size_t at = len ? (size_t)unit_below(&seed, len) : 0;
                switch (len ? unit_below(&seed, 5) : 3) {
                case 0: data[at] = (char)unit_random(&seed); break;
                case 1: data[at] = (char)(data[at] ^ (1 << unit_below(&seed, 8))); break;
                case 2: memmove(data + at, data + at + 1, --len - at); break;
                case 3:
                    memmove(data + at + 1, data + at, len++ - at);
                    data[at] = (char)unit_random(&seed);
                    break;
                default: len = at; break;
                }
            }
            if (!unit_decode(&c, g->id, data, len)) {
                unit_out[0] = unit_out2[0] = '\0';
                decoded++;
                (void)unit_encoded(&c, g->id, unit_out, sizeof(unit_out));
                if (unit_decode_hex(&again, g->id, unit_out)) wrong++;
                else if (strcmp(unit_encoded(&again, g->id, unit_out2, sizeof(unit_out2)),
                                unit_out))
                    wrong++;
                cwsi_arena_clear(&again.arena);
                free(again.input);
                if (!strcmp(unit_printed(&c, g->id, false, unit_out, sizeof(unit_out)),
                            "(not printed)") ||
                    !unit_json_valid(unit_out, strlen(unit_out)))
                    wrong++;
            } else if (c.status != CWS_ERR_PROTOCOL) wrong++;
            cwsi_arena_clear(&c.arena);
            free(c.input);
            if (wrong) break;
        }
        if (!CHECK_INT(wrong, 0)) printf("    round %ld\n", round);
        CHECK(unit_mutations < 1000 || decoded > unit_mutations / 20);
        CHECK_INT(test_alloc_live(), 0);
        printf("mutations: %ld, seed %llu, decoded %ld\n", unit_mutations,
               (unsigned long long)unit_seed, decoded);
    }

    TEST("random bytes as any message never crash") {
        uint64_t seed = unit_seed + 1;
        long round;
        for (round = 0; round < unit_mutations / 4; round++) {
            char data[64];
            size_t len = (size_t)unit_below(&seed, sizeof(data)), i;
            unit_case c;
            for (i = 0; i < len; i++) data[i] = (char)unit_below(&seed, i % 2 ? 256 : 64);
            (void)unit_decode(&c, (cwsi_msg_id)unit_below(&seed, CWSI_MSG_COUNT), data, len);
            if (c.status) CHECK_INT(c.status, CWS_ERR_PROTOCOL);
            cwsi_arena_clear(&c.arena);
            free(c.input);
        }
        CHECK_INT(test_alloc_live(), 0);
    }

    TEST("failing any allocation of decode, encode or print gives NO_MEMORY and leaks nothing") {
        size_t i;
        for (i = 0; i < unit_golden_count; i++) {
            const unit_golden *g = &unit_goldens[i];
            int persistent, mode;
            for (mode = 0; mode < 2; mode++)
                for (persistent = 0; persistent < 2; persistent++) {
                    long n;
                    for (n = 0; n < 1000; n++) {
                        char data[2048];
                        size_t len = mode ? strlen(g->json) : unit_unhex(g->hex, data);
                        const char *in = mode ? g->json : data;
                        unit_case c;
                        cwsi_buf buf;
                        cws_status status;
                        bool failed;
                        unit_open(&c, in, len, unit_plenty);
                        cwsi_buf_init(&buf, &c.mem, 100000);
                        test_alloc_fail_at(n, persistent == 1);
                        status =
                            mode ? cwsi_decode_json(&c.arena, g->id, unit_bytes(c.input, len),
                                                    &c.msg)
                                 : cwsi_decode(&c.arena, g->id, unit_bytes(c.input, len), &c.msg);
                        if (!status) status = cwsi_encode(&buf, g->id, c.msg);
                        if (!status) status = cwsi_encode_json(&buf, &c.arena, g->id, c.msg, false);
                        failed = test_alloc_failed();
                        test_alloc_fail_at(-1, false);
                        /* a growing buffer may try a second, smaller size after one failure */
                        if (failed && persistent) CHECK_INT(status, CWS_ERR_NO_MEMORY);
                        if (failed && status != CWS_OK) CHECK_INT(status, CWS_ERR_NO_MEMORY);
                        if (!failed) CHECK_INT(status, CWS_OK);
                        cwsi_buf_free(&buf);
                        unit_done(&c);
                        if (!failed) break;
                    }
                    CHECK(n > 0 && n < 1000);
                }
        }
    }

    TEST("a megabyte of empty sub-messages is bounded by the memory limit") {
        const size_t size = 1u << 20;
        char *data = (char *)malloc(size);
        cwsi_mem mem = unit_mem(8u << 20);
        cwsi_arena arena;
        void *msg = NULL;
        size_t i;
        if (!CHECK(data != NULL)) break;
        for (i = 0; i < size; i++) data[i] = (char)(i % 2 ? 0 : 0x0a);
        cwsi_arena_init(&arena, &mem);
        CHECK_INT(
            cwsi_decode(&arena, CWSI_M_v1_ListSandboxesResponse, unit_bytes(data, size), &msg),
            CWS_ERR_NO_MEMORY);
        CHECK(mem.peak <= mem.limit);
        cwsi_arena_clear(&arena);
        CHECK_INT(mem.used, 0);
        /* the same as JSON: [{},{},...] */
        data[0] = '[';
        for (i = 1; i + 3 < size; i += 3) memcpy(data + i, "{},", 3);
        memcpy(data + i - 1, "]", 1);
        CHECK_INT(cwsi_decode_json(&arena, CWSI_M_pb_ListValue, unit_bytes(data, i), &msg),
                  CWS_ERR_NO_MEMORY);
        CHECK(mem.peak <= mem.limit);
        cwsi_arena_clear(&arena);
        CHECK_INT(test_alloc_live(), 0);
        free(data);
    }

    TEST("sub-messages nest 63 deep below the outermost; deeper ones are refused") {
        int levels;
        for (levels = 60; levels < 70; levels++) {
            char data[1024];
            size_t start = sizeof(data), len = 0, k;
            int i;
            unit_case c;
            /* innermost first: Value.list_value (0x32) and ListValue.values (0x0a) in turn */
            for (i = levels; i > 0; i--) {
                char head[3];
                size_t n = 0;
                head[n++] = (char)(i % 2 ? 0x32 : 0x0a);
                if (len > 127) head[n++] = (char)((len & 127) | 128), head[n++] = (char)(len >> 7);
                else head[n++] = (char)len;
                for (k = n; k > 0; k--) data[--start] = head[k - 1];
                len += n;
            }
            CHECK_INT(unit_decode(&c, CWSI_M_pb_Value, data + start, len),
                      levels <= 63 ? CWS_OK : CWS_ERR_PROTOCOL);
            if (!c.status) {
                (void)unit_encoded(&c, CWSI_M_pb_Value, unit_out, sizeof(unit_out));
                unit_hex(data + start, len, unit_out2);
                CHECK_STR(unit_out, unit_out2);
                (void)unit_printed(&c, CWSI_M_pb_Value, false, unit_out, sizeof(unit_out));
                CHECK(unit_json_valid(unit_out, strlen(unit_out)));
            }
            unit_done(&c);
        }
    }

    TEST("ten megabytes of nested groups or messages are refused, not recursed into") {
        const size_t size = 10u << 20;
        char *data = (char *)malloc(size);
        unit_case c;
        if (!CHECK(data != NULL)) break;
        memset(data, 0x7b, size); /* field 15, begin of a group */
        CHECK_INT(unit_decode(&c, CWSI_M_v1_GetSandboxRequest, data, size), CWS_ERR_PROTOCOL);
        unit_done(&c);
        memset(data, '[', size);
        unit_open(&c, data, size, unit_plenty);
        CHECK_INT(cwsi_decode_json(&c.arena, CWSI_M_pb_Value, unit_bytes(c.input, size), &c.msg),
                  CWS_ERR_PROTOCOL);
        unit_done(&c);
        free(data);
    }

    TEST("the encoder respects the maximum of its buffer") {
        unit_case c;
        cwsi_buf buf;
        size_t max;
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_GetSandboxRequest, "0a0473622d31"), CWS_OK);
        for (max = 0; max < 8; max++) {
            cwsi_buf_init(&buf, &c.mem, max);
            CHECK_INT(cwsi_encode(&buf, CWSI_M_v1_GetSandboxRequest, c.msg),
                      max < 6 ? CWS_ERR_LIMIT : CWS_OK);
            cwsi_buf_free(&buf);
        }
        cwsi_buf_init(&buf, &c.mem, 10);
        CHECK_INT(cwsi_encode_json(&buf, NULL, CWSI_M_v1_GetSandboxRequest, c.msg, false),
                  CWS_ERR_LIMIT);
        cwsi_buf_free(&buf);
        unit_done(&c);
    }
}

/* ---- JSON codec ------------------------------------------------------------------------------ */

static void test_json_codec(void)
{
    TEST("messages print as the reference implementation prints them") {
        size_t i;
        for (i = 0; i < unit_golden_count; i++)
            if (!CHECK_STR(unit_to_json(unit_goldens[i].id, unit_goldens[i].hex),
                           unit_goldens[i].json))
                printf("    %s\n", cwsi_msg_name(unit_goldens[i].id));
    }

    TEST("what the reference implementation prints is read to the same message") {
        size_t i;
        for (i = 0; i < unit_golden_count; i++)
            if (!CHECK_STR(unit_from_json(unit_goldens[i].id, unit_goldens[i].json),
                           unit_goldens[i].hex))
                printf("    %s\n", cwsi_msg_name(unit_goldens[i].id));
    }

    TEST("every prefix of a JSON message is refused") {
        size_t i, cut;
        for (i = 0; i < unit_golden_count; i++)
            for (cut = 0; cut < strlen(unit_goldens[i].json); cut++) {
                unit_case c;
                unit_open(&c, unit_goldens[i].json, cut, unit_plenty);
                CHECK_INT(cwsi_decode_json(&c.arena, unit_goldens[i].id, unit_bytes(c.input, cut),
                                           &c.msg),
                          CWS_ERR_PROTOCOL);
                unit_done(&c);
            }
    }

    TEST("original field names are read as well as lowerCamelCase ones") {
        CHECK_STR(unit_from_json(CWSI_M_v1_GetSandboxRequest, "{\"sandbox_id\":\"s\"}"), "0a0173");
        CHECK_STR(unit_from_json(CWSI_M_v1_GetSandboxRequest, "{\"sandboxId\":\"s\"}"), "0a0173");
        CHECK_STR(unit_from_json(CWSI_M_v1_GetSandboxRequest, "{\"sandbox\\u0049d\":\"s\"}"),
                  "0a0173");
        CHECK_STR(unit_from_json(CWSI_M_v1_ExecStreamRequest, "{\"stdin\":\"YQ==\"}"), "120161");
        CHECK_STR(unit_from_json(CWSI_M_v1_ExecStreamRequest, "{\"stdin_\":\"YQ==\"}"), "");
    }

    TEST("null members are ignored, whatever their kind") {
        CHECK_STR(
            unit_from_json(
                CWSI_M_v1_Sandbox,
                "{\"sandboxId\":null,\"spec\":null,\"status\":{\"state\":null,\"exitCode\":null,"
                "\"createTime\":null,\"services\":null},\"displayName\":\"d\"}"),
            "1a0032"
            "0164");
        CHECK_STR(unit_from_json(CWSI_M_v1_ExecRequest,
                                 "{\"command\":null,\"env\":null,\"maxOutputBytes\":null}"),
                  "");
        CHECK_STR(unit_from_json(CWSI_M_v1_FileMount, "{\"content\":null}"), "");
        /* an enum of whatever table index */
        CHECK_STR(unit_from_json(CWSI_M_v1_Service, "{\"protocol\":null,\"visibility\":null}"), "");
        CHECK_STR(unit_from_json(CWSI_M_v1_EndpointSpec, "{\"kind\":null,\"auth\":null}"), "");
        CHECK_STR(
            unit_from_json(CWSI_M_v1_EgressRule, "{\"cidr\":null,\"tenant\":null,\"any\":null}"),
            "");
    }

    TEST("a null is accepted for every field of every message but Value") {
        int id, k;
        for (id = 0; id < CWSI_MSG_COUNT; id++) {
            cwsi_msg t = cwsi_msg_table((cwsi_msg_id)id);
            if (cwsi_has_own_json((cwsi_msg_id)id)) continue;
            for (k = 0; k < t.field_count; k++) {
                char text[128];
                if (t.fields[k].kind == CWSI_MSG && t.fields[k].sub == CWSI_M_pb_Value) continue;
                (void)snprintf(text, sizeof(text), "{\"%.*s\":null}",
                               (int)cwsi_field_name_len(&t.fields[k]), t.fields[k].name);
                if (!CHECK_STR(unit_from_json((cwsi_msg_id)id, text), ""))
                    printf("    %s %s\n", t.name, text);
            }
        }
    }

    TEST("unknown members are skipped and counted") {
        unit_case c;
        CHECK_INT(unit_json(&c, CWSI_M_v1_GetSandboxRequest,
                            "{\"new\":{\"a\":[1,{}]},\"sandboxId\":\"s\",\"x\":null,\"y\":[[]]}"),
                  CWS_OK);
        CHECK_INT(((const cwsi_v1_GetSandboxRequest *)c.msg)->unknown, 3);
        CHECK_STR(unit_encoded(&c, CWSI_M_v1_GetSandboxRequest, unit_out, sizeof(unit_out)),
                  "0a0173");
        unit_done(&c);
        CHECK_INT(unit_json_status(CWSI_M_v1_GetSandboxRequest, "{\"new\":[1,}"), CWS_ERR_PROTOCOL);
    }

    TEST("integers are read as numbers or strings and must fit") {
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":5}"), "0805");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":\"5\"}"), "0805");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":5.0}"), "0805");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":1e3}"), "08e807");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":\"-9223372036854775808\"}"),
                  "0880808080808080808001");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":-9223372036854775808}"),
                  "0880808080808080808001");
        CHECK_STR(unit_from_json(CWSI_M_v1_ExecStreamExit, "{\"exitCode\":\"-1\"}"),
                  "08ffffffffffffffffff01");
        CHECK_STR(unit_from_json(CWSI_M_v1_StreamLogsRequest,
                                 "{\"resumeLogOffset\":18446744073709551615}"),
                  "40ffffffffffffffffff01");
    }

    TEST("values of the wrong type or range are refused") {
        static const struct {
            cwsi_msg_id id;
            const char *text;
        } bad[] = {{CWSI_M_v1_Gpu, "{\"count\":9223372036854775808}"},
                   {CWSI_M_v1_Gpu, "{\"count\":1.5}"},
                   {CWSI_M_v1_Gpu, "{\"count\":1e30}"},
                   {CWSI_M_v1_Gpu, "{\"count\":true}"},
                   {CWSI_M_v1_Gpu, "{\"count\":\"\"}"},
                   {CWSI_M_v1_Gpu, "{\"count\":\" 1\"}"},
                   {CWSI_M_v1_Gpu, "{\"count\":[]}"},
                   {CWSI_M_v1_Gpu, "{\"count\":{}}"},
                   {CWSI_M_v1_Gpu, "{\"type\":1}"},
                   {CWSI_M_v1_ExecStreamExit, "{\"exitCode\":2147483648}"},
                   {CWSI_M_v1_ExecStreamExit, "{\"exitCode\":-2147483649}"},
                   {CWSI_M_v1_ExecStreamResize, "{\"width\":-1}"},
                   {CWSI_M_v1_ExecStreamResize, "{\"width\":4294967296}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"resumeLogOffset\":-1}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"resumeLogOffset\":18446744073709551616}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"follow\":1}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"follow\":\"true\"}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"sinceTime\":0}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"sinceTime\":\"\"}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"sinceTime\":{}}"},
                   {CWSI_M_v1_FileMount, "{\"content\":\"*\"}"},
                   {CWSI_M_v1_FileMount, "{\"content\":1}"},
                   {CWSI_M_v1_ExecRequest, "{\"env\":[]}"},
                   {CWSI_M_v1_ExecRequest, "{\"env\":{\"a\":1}}"},
                   {CWSI_M_v1_ExecRequest, "{\"env\":{\"a\":null}}"},
                   {CWSI_M_v1_ExecRequest, "{\"command\":\"a\"}"},
                   {CWSI_M_v1_ExecRequest, "{\"command\":[1]}"},
                   {CWSI_M_v1_ExecRequest, "{\"command\":[null]}"},
                   {CWSI_M_v1_ExecRequest, "[]"},
                   {CWSI_M_v1_ExecRequest, "\"\""},
                   {CWSI_M_v1_ExecRequest, "null"},
                   {CWSI_M_v1_ExecRequest, ""},
                   {CWSI_M_v1_ExecRequest, "{} {}"},
                   {CWSI_M_v1_ExecRequest, "{}x"},
                   {CWSI_M_v1_SandboxStatus, "{\"state\":1.5}"},
                   {CWSI_M_v1_SandboxStatus, "{\"state\":[]}"},
                   {CWSI_M_v1_SandboxStatus, "{\"state\":3000000000}"},
                   {CWSI_M_v1_Sandbox, "{\"status\":1}"},
                   {CWSI_M_v1_Sandbox, "{\"status\":[]}"},
                   {CWSI_M_pb_Duration, "\"1\""},
                   {CWSI_M_pb_Duration, "\"s\""},
                   {CWSI_M_pb_Duration, "\"-s\""},
                   {CWSI_M_pb_Duration, "\"1.s\""},
                   {CWSI_M_pb_Duration, "\".5s\""},
                   {CWSI_M_pb_Duration, "\"1.0000000001s\""},
                   {CWSI_M_pb_Duration, "\"1s \""},
                   {CWSI_M_pb_Duration, "1"},
                   {CWSI_M_pb_Duration, "\"+1s\""},
                   {CWSI_M_pb_Duration, "\"--1s\""},
                   {CWSI_M_pb_Duration, "\"315576000001s\""},
                   {CWSI_M_pb_FieldMask, "[]"},
                   {CWSI_M_pb_Struct, "[]"},
                   {CWSI_M_pb_ListValue, "{}"}};
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            if (!CHECK_INT(unit_json_status(bad[i].id, bad[i].text), CWS_ERR_PROTOCOL))
                printf("    accepted: %s\n", bad[i].text);
    }

    TEST("enums print by name, unknown numbers as numbers, and both are read") {
        CHECK_STR(unit_to_json(CWSI_M_v1_SandboxStatus, "0802"), "{\"state\":\"STATE_RUNNING\"}");
        CHECK_STR(unit_to_json(CWSI_M_v1_SandboxStatus, "08e707"), "{\"state\":999}");
        CHECK_STR(unit_from_json(CWSI_M_v1_SandboxStatus, "{\"state\":\"STATE_RUNNING\"}"), "0802");
        CHECK_STR(unit_from_json(CWSI_M_v1_SandboxStatus, "{\"state\":2}"), "0802");
        CHECK_STR(unit_from_json(CWSI_M_v1_SandboxStatus, "{\"state\":-1}"),
                  "08ffffffffffffffffff01");
        /* a name of the future is no error; the field stays unspecified */
        CHECK_STR(
            unit_from_json(CWSI_M_v1_SandboxStatus, "{\"state\":\"STATE_NEW\",\"runnerId\":\"r\"}"),
            "6a0172");
    }

    TEST("bytes are read in both base64 alphabets") {
        CHECK_STR(unit_from_json(CWSI_M_v1_ReadFileResponse, "{\"content\":\"+/+/\"}"),
                  "0a03fbffbf");
        CHECK_STR(unit_from_json(CWSI_M_v1_ReadFileResponse, "{\"content\":\"-_-_\"}"),
                  "0a03fbffbf");
        CHECK_STR(unit_from_json(CWSI_M_v1_ReadFileResponse, "{\"content\":\"+\\/8\"}"),
                  "0a02fbff");
    }

    TEST("durations print with sign and fraction and are read back") {
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, ""), "\"0s\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, "0801 1080cab5ee01"), "\"1.500s\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, "1080b6ca91feffffffff01"), "\"-0.500s\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, "08ffffffffffffffffff01 10ffffffffffffffffff01"),
                  "\"-1.000000001s\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, "1001"), "\"0.000000001s\"");
        CHECK_STR(unit_from_json(CWSI_M_pb_Duration, "\"-0.5s\""), "1080b6ca91feffffffff01");
        CHECK_STR(unit_from_json(CWSI_M_pb_Duration, "\"1.5s\""), "08011080cab5ee01");
        CHECK_STR(unit_from_json(CWSI_M_pb_Duration, "\"-1.000000001s\""),
                  "08ffffffffffffffffff0110ffffffffffffffffff01");
        CHECK_STR(unit_from_json(CWSI_M_pb_Duration, "\"-315576000000s\""),
                  "0880c4d1b1e8f6ffffff01");
    }

    TEST("field masks change between snake_case and lowerCamelCase") {
        CHECK_STR(unit_to_json(CWSI_M_pb_FieldMask, ""), "\"\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_FieldMask, "0a03615f62 0a01 63"), "\"aB,c\"");
        CHECK_STR(unit_from_json(CWSI_M_pb_FieldMask, "\"aB,c\""), "0a03615f620a0163");
        CHECK_STR(unit_from_json(CWSI_M_pb_FieldMask, "\"\""), "");
    }

    TEST("Struct, Value and ListValue print as plain JSON and are read back") {
        static const char text[] = "{\"n\":null,\"t\":true,\"f\":false,\"s\":\"x\",\"i\":-3,\"l\":["
                                   "1,[],{}],\"o\":{\"a\":{\"b\":[null]}}}";
        unit_case c;
        CHECK_INT(unit_json(&c, CWSI_M_pb_Struct, text), CWS_OK);
        CHECK_STR(unit_printed(&c, CWSI_M_pb_Struct, false, unit_out, sizeof(unit_out)), text);
        (void)unit_encoded(&c, CWSI_M_pb_Struct, unit_out2, sizeof(unit_out2));
        unit_done(&c);
        CHECK_STR(unit_to_json(CWSI_M_pb_Struct, unit_out2), text);
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "null"), "0800");
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "0.25"), "11000000000000d03f");
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "\"\\u00e4\""), "1a02c3a4");
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "[]"), "3200");
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "{}"), "2a00");
        CHECK_STR(unit_to_json(CWSI_M_pb_Value, ""), "null");
    }

    TEST("a known Any prints its content, another one its bytes") {
        /* Status { code 5, details { type_url ".../google.rpc.RetryInfo", value { retry_delay {
         * seconds 2 } } } } */
        CHECK_STR(
            unit_to_json(CWSI_M_rpc_Status,
                         "0805 1a30 0a28747970652e676f6f676c65617069732e636f6d2f"
                         "676f6f676c652e7270632e5265747279496e666f 12040a020802"),
            "{\"code\":5,\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","
            "\"retryDelay\":\"2s\"}]}");
        /* type_url "x/google.protobuf.Duration": well-known types stand in "value" */
        CHECK_STR(
            unit_to_json(CWSI_M_pb_Any,
                         "0a1a 782f676f6f676c652e70726f746f6275662e4475726174696f6e 12020802"),
            "{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"2s\"}");
        CHECK_STR(unit_to_json(CWSI_M_pb_Any, "0a03 782f79 1202 0802"),
                  "{\"@type\":\"x/y\",\"value\":\"CAI=\"}");
        /* nothing in it at all, and a known type without content */
        CHECK_STR(unit_to_json(CWSI_M_pb_Any, ""), "{}");
        CHECK_STR(unit_to_json(CWSI_M_pb_Any,
                               "0a17 782f676f6f676c652e70726f746f6275662e456d707479"),
                  "{\"@type\":\"x/google.protobuf.Empty\"}");
    }

    TEST("control characters, quotes and astral characters print as valid JSON") {
        CHECK_STR(unit_to_json(CWSI_M_v1_GetSandboxRequest, "0a0b 610a22 5c 00 1f7f f09f9880"),
                  "{\"sandboxId\":\"a\\n\\\"\\\\\\u0000\\u001f\\u007f\xf0\x9f\x98\x80\"}");
    }

    TEST("redaction takes out environment values, share tokens and bytes") {
        static const struct {
            cwsi_msg_id id;
            const char *text, *want;
        } cases[] = {
            {CWSI_M_v1_Container,
             "{\"name\":\"main\",\"environmentVariables\":{\"KEY\":\"SECRET\"},"
             "\"files\":[{\"path\":\"/f\",\"content\":\"U0VDUkVU\"}]}",
             "KEY"},
            {CWSI_M_v1_PartialContainer,
             "{\"environmentVariables\":{\"KEY\":\"SECRET\",\"B\":\"SECRET\"}}", "KEY"},
            {CWSI_M_v1_ExecRequest, "{\"sandboxId\":\"KEY\",\"env\":{\"A\":\"SECRET\"}}", "KEY"},
            {CWSI_M_v1_ExecStreamRequest, "{\"init\":{\"env\":{\"KEY\":\"SECRET\"}}}", "KEY"},
            {CWSI_M_v1_ExecStreamRequest, "{\"stdin\":\"U0VDUkVU\"}", "stdin"},
            {CWSI_M_v1_Sandbox, "{\"sandboxId\":\"KEY\",\"endpointShareToken\":\"SECRET\"}", "KEY"},
            {CWSI_M_v1_ExecResponse, "{\"stdout\":\"U0VDUkVU\",\"exitCode\":77}", "77"},
            {CWSI_M_v1_WriteFileRequest, "{\"path\":\"KEY\",\"content\":\"U0VDUkVU\"}", "KEY"},
            {CWSI_M_v1_ReadFileResponse, "{\"content\":\"U0VDUkVU\"}", "6 bytes"},
            {CWSI_M_v1_LogEntry, "{\"data\":\"U0VDUkVU\"}", "6 bytes"},
            {CWSI_M_v1_CreateSandboxFromFileRequest,
             "{\"contents\":\"U0VDUkVU\",\"buildContexts\":{\"KEY\":\"U0VDUkVU\"}}", "KEY"},
            {CWSI_M_v1_SandboxConnection, "{\"clientCertificateChainPem\":\"U0VDUkVU\"}",
             "6 bytes"},
            {CWSI_M_b2_StartSandboxRequest,
             "{\"environmentVariables\":{\"KEY\":\"SECRET\"},"
             "\"mountedFiles\":[{\"fileContent\":\"U0VDUkVU\"}]}",
             "KEY"},
            {CWSI_M_b2_ExecStreamRequest, "{\"stdin\":{\"data\":\"U0VDUkVU\"}}", "stdin"},
            {CWSI_M_b2_ExecStreamRequest, "{\"init\":{\"env\":{\"KEY\":\"SECRET\"}}}", "KEY"},
            {CWSI_M_b2_ResolvedSecret, "{\"envVar\":\"KEY\",\"value\":\"U0VDUkVU\"}", "KEY"},
            {CWSI_M_b2_AddFileSandboxRequest,
             "{\"filepath\":\"KEY\",\"fileContents\":\"U0VDUkVU\"}", "KEY"},
            {CWSI_M_b2_RetrieveFileSandboxResponse,
             "{\"fileContents\":\"U0VDUkVU\",\"success\":true}", "true"}};
        size_t i;
        for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            unit_case c;
            CHECK_INT(unit_json(&c, cases[i].id, cases[i].text), CWS_OK);
            if (!c.status) {
                (void)unit_printed(&c, cases[i].id, true, unit_out, sizeof(unit_out));
                CHECK(unit_json_valid(unit_out, strlen(unit_out)));
                CHECK(strstr(unit_out, cases[i].want) != NULL);
                if (!CHECK(!strstr(unit_out, "SECRET") && !strstr(unit_out, "U0VDUkVU")))
                    printf("    %s\n", unit_out);
                (void)unit_printed(&c, cases[i].id, false, unit_out, sizeof(unit_out));
                CHECK(strstr(unit_out, "SECRET") || strstr(unit_out, "U0VDUkVU"));
            }
            unit_done(&c);
        }
    }

    TEST("redaction takes out the bytes of an unknown Any") {
        unit_case c;
        int arena;
        for (arena = 0; arena < 2; arena++) {
            cwsi_buf buf;
            /* type_url "x/y" (unknown), value "SECRET" */
            CHECK_INT(unit_decode_hex(&c, CWSI_M_pb_Any, "0a03782f79 1206534543524554"), CWS_OK);
            cwsi_buf_init(&buf, &c.mem, 1000);
            CHECK_INT(cwsi_encode_json(&buf, arena ? &c.arena : NULL, CWSI_M_pb_Any, c.msg, true),
                      CWS_OK);
            CHECK(!buf.at || !strstr(buf.at, "U0VDUkVU"));
            cwsi_buf_free(&buf);
            unit_done(&c);
        }
    }

    TEST("random mutations of JSON messages never crash, and what is read prints to valid JSON") {
        uint64_t seed = unit_seed + 2;
        long round, decoded = 0, wrong = 0;
        for (round = 0; round < unit_mutations; round++) {
            static const char likely[] = "{}[]\",:0123456789-+.eE\\unltrfas ";
            const unit_golden *g = &unit_goldens[unit_below(&seed, unit_golden_count)];
            char text[2048];
            size_t len = strlen(g->json), changes = 1 + (size_t)unit_below(&seed, 3);
            unit_case c;
            memcpy(text, g->json, len);
            while (changes--) {
                size_t at = (size_t)unit_below(&seed, len);
                char fresh =
                    (char)(unit_below(&seed, 4) ? likely[unit_below(&seed, sizeof(likely) - 1)]
                                                : (int)unit_below(&seed, 256));
                switch (unit_below(&seed, 3)) {
                case 0: text[at] = fresh; break;
                case 1:
                    if (len > 1) memmove(text + at, text + at + 1, --len - at);
                    break;
                default:
                    memmove(text + at + 1, text + at, len++ - at);
                    text[at] = fresh;
                    break;
                }
            }
            unit_open(&c, text, len, unit_plenty);
            if (!cwsi_decode_json(&c.arena, g->id, unit_bytes(c.input, len), &c.msg)) {
                decoded++;
                if (!strcmp(unit_printed(&c, g->id, round % 2 == 0, unit_out, sizeof(unit_out)),
                            "(not printed)") ||
                    !unit_json_valid(unit_out, strlen(unit_out)))
                    wrong++;
                if (!strcmp(unit_encoded(&c, g->id, unit_out, sizeof(unit_out)), "(not encoded)"))
                    wrong++;
            }
            cwsi_arena_clear(&c.arena);
            free(c.input);
            if (wrong) break;
        }
        if (!CHECK_INT(wrong, 0)) printf("    round %ld\n", round);
        CHECK(unit_mutations < 1000 || decoded > unit_mutations / 20);
        CHECK_INT(test_alloc_live(), 0);
    }
}

int main(int argc, char **argv)
{
    test_init(argc, argv);
    if (argc > 2) unit_mutations = strtol(argv[2], NULL, 10);
    if (argc > 3) unit_seed = strtoul(argv[3], NULL, 10);
    test_codec();
    test_codec_hard();
    test_json_codec();
    return test_summary();
}
