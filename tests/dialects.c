/* SPDX-License-Identifier: MIT
 *
 * Replies of both dialects: what is understood of one with everything, with nothing, with what
 * nobody knows, cut or changed at every byte. What is expected comes from the tables of the
 * specification and the .proto files. Requests are tested with what they ask for: options.c,
 * sandbox.c, exec.c ... Usage:
 *
 *     dialects [part of a test's name]
 */
#include "native.h"

#define TIME "'2026-01-02T03:04:05.678Z'"
#define V1_RESOURCES "{'cpu':'1','memory':'1Gi','gpu':{'count':'1','type':'H100'}}"
#define V1_FULL                                                                                    \
    "{'sandboxId':'sb-1','spec':{'containers':[{'name':'main','image':'i','command':'c','args':"   \
    "['a'],'environmentVariables':{'A':'1'},'resources':" V1_RESOURCES ",'files':[{'path':'/f',"   \
    "'content':'YQ=='}],'primary':true,'startupProbe':{'exec':['x']}}],'volumes':[{'name':'v',"    \
    "'scratch':{'size':'1Gi'}}],'services':[{'port':1}],'maxLifetimeSeconds':9,'networkIds':"      \
    "['n'],'tags':['t'],'runnerIds':['r'],'network':{'denyEgress':true},'annotations':{'a':"       \
    "'b'},'instanceType':'it','mode':'SANDBOX_MODE_CKS','runtimeClass':'rc'},'status':{'state':"   \
    "'STATE_RUNNING','stateReason':'well','createTime':" TIME ",'startTime':" TIME ",'endTime':"   \
    TIME ",'services':[{'port':1,'name':'n','protocol':'SERVICE_PROTOCOL_TCP','visibility':"       \
    "'VISIBILITY_PUBLIC','endpoint':{'kind':'ENDPOINT_KIND_HTTPS','auth':'ENDPOINT_AUTH_OPEN',"    \
    "'url':'u','requestTimeoutSeconds':15,'address':'a:1'},'url':'u'}],'exitCode':0,"              \
    "'effectiveResources':" V1_RESOURCES ",'effectiveMaxLifetimeSeconds':9,'containerStatuses':"   \
    "[{'name':'main','state':'STATE_RUNNING','exitCode':1,'restartCount':2}],'runnerId':'run',"    \
    "'runnerGroupId':'grp','effectiveIngress':[{'any':true}],'effectiveEgress':[{'httpsHostname':" \
    "'a.b'}],'effectiveResourceRequirements':{'requests':" V1_RESOURCES ",'limits':" V1_RESOURCES  \
    "},'attachedVolumeIds':['v'],'effectiveRuntimeClass':'rc','effectiveDnsEgress':"               \
    "'DNS_EGRESS_MODE_ALLOW'},'sourceTemplateId':'t','sourceTemplateRevision':'7',"                \
    "'displayName':'d','endpointShareToken':'token'}"
#define B2_FULL                                                                                    \
    "{'sandboxId':'sb-1','startedAtTime':" TIME ",'sandboxStatus':'SANDBOX_STATUS_RUNNING',"       \
    "'currentResourceUsage':{'cpuMillicoresUsed':'1','memoryMbUsed':'2','gpuCountUsed':'3'},"      \
    "'runnerId':'run','runnerGroupId':'grp','profileId':'p','serviceAddress':'a','exposedPorts':"  \
    "[{'containerPort':1,'name':'n','protocol':'TCP'}],'appliedIngressMode':'i',"                  \
    "'appliedEgressMode':'e','statusReason':'well','exitCode':0}"
#define B2_FULL_START                                                                              \
    "{'sandboxId':'sb-1','startedAtTime':" TIME ",'serviceAddress':'a','exposedPorts':[{"          \
    "'containerPort':1,'name':'n','protocol':'TCP'}],'requestedResources':{'cpu':'1'},"            \
    "'profileId':'p','runnerId':'run','sandboxStatus':'SANDBOX_STATUS_RUNNING',"                   \
    "'appliedIngressMode':'i','appliedEgressMode':'e','requestedResourceLimits':{'cpu':'1'},"      \
    "'requestedResourceRequests':{'gpu':{'gpuCount':'1','gpuMemoryGb':'80'}}}"

/* Ten fields that no schema has, of every wire type, behind a reply. */
static void op_strange(api *t, script_reply *r)
{
    static const unsigned char more[] = {
        0xc0, 0x3e, 5, /* 1000: a varint; the longest one; 64 bits; 32 bits; bytes; none */
        0xc8, 0x3e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        0xd1, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8,
        0xdd, 0x3e, 1, 2, 3, 4,
        0xe2, 0x3e, 3, 'a', 'b', 'c',
        0xea, 0x3e, 0,
        0xf3, 0x3e, 8, 1, 0xf4, 0x3e, /* 1006: a group; a varint; a message; a varint */
        0xf8, 0x3e, 0,
        0x82, 0x3f, 2, 8, 1,
        0x88, 0x3f, 1};
    char *body = (char *)cwsi_arena_alloc(&t->s.arena, r->size + sizeof(more));
    if (!body) abort();
    if (r->size) memcpy(body, r->body, r->size);
    memcpy(body + r->size, more, sizeof(more));
    script_body(&t->s, r, body, r->size + sizeof(more));
}

/* The names of a list, "a b". */
static const char *op_list(const char *const *list)
{
    static char text[200];
    size_t n = 0;
    text[0] = '\0';
    for (; list && *list; list++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "", *list);
    return list ? text : NULL;
}

/* What only v1 says of a sandbox, in V1_FULL. */
static void op_check_v1(const cws_sandbox_info *info)
{
    CHECK_STR(op_list(info->egress_hostnames), "a.b");
    CHECK_STR(op_list(info->tags), "t");
    CHECK_STR(info->display_name, "d");
    CHECK_STR(info->runtime_class, "rc");
    CHECK_STR(info->share_token, "token");
    CHECK_INT(info->placement, CWS_PLACEMENT_CKS);
    CHECK_INT(info->max_lifetime_seconds, 9);
    CHECK_INT(info->volume_count, 1);
    if (info->volume_count != 1) return;
    CHECK_STR(info->volumes[0].name, "v");
    CHECK_STR(info->volumes[0].size, "1Gi");
    CHECK(info->volumes[0].volume_id == NULL);
}

static void op_check_resources(const cws_resources *r, const char *cpu, const char *memory)
{
    CHECK_STR(r->request_cpu, cpu);
    CHECK_STR(r->request_memory, memory);
    CHECK_STR(r->limit_cpu, cpu);
    CHECK_STR(r->limit_memory, memory);
    CHECK(r->cpu == NULL && r->memory == NULL);
}

static void op_test_echo_v1(void)
{
    EACH("14, 35: what the service made of the options: resources, services, names") {
        const cws_sandbox_info *info = cws_sandbox_last_info(nw_found(t, V1_FULL));
        const cws_service_info *s = info->services;
        op_check_v1(info);
        op_check_resources(&info->resources, "1", "1Gi");
        CHECK_INT(info->resources.gpu_count, 1);
        CHECK_STR(info->resources.gpu_type, "H100");
        CHECK_INT(info->resources.gpu_memory_gb, 0);
        CHECK_INT(info->service_count, 1);
        if (info->service_count != 1) continue;
        CHECK_INT(s->port, 1);
        CHECK_STR(s->name, "n");
        CHECK_INT(s->protocol, CWS_SERVICE_TCP);
        CHECK_INT(s->visibility, CWS_VISIBILITY_PUBLIC);
        CHECK_INT(s->endpoint, CWS_ENDPOINT_HTTPS);
        CHECK_INT(s->auth, CWS_ENDPOINT_AUTH_OPEN);
        CHECK_STR(s->url, "u");
        CHECK_STR(s->address, "a:1");
    }
    EACH("35: the reply of a create tells them, too; each Get brings them up to date") {
        cws_sandbox *sb = api_box(t, NULL);
        const cws_sandbox_info *info;
        nw_ok(t, "CreateSandbox", V1_FULL);
        CHECK_INT(api_start(t, sb), CWS_OK);
        info = cws_sandbox_last_info(sb);
        op_check_v1(info);
        CHECK_STR(info->services ? info->services[0].url : "", "u");
        nw_ok(t, "GetSandbox", "{'sandboxId':'sb-1','status':{'state':'STATE_CREATING','services':"
                               "[{'port':1,'url':'u2'},{'port':2}],'effectiveResources':{'cpu':'2'"
                               "},'effectiveEgress':[{'any':true},{'httpsHostname':'c.d'},"
                               "{'httpsHostname':'e.f'}]}}");
        CHECK_INT(api_status(t, sb, NULL), CWS_OK);
        CHECK_INT(info->service_count, 2);
        CHECK_STR(info->services ? info->services[0].url : "", "u2");
        CHECK_STR(info->services ? info->services[0].address : "x", "");
        op_check_resources(&info->resources, "2", NULL);
        CHECK_INT(info->resources.gpu_count, 0);
        CHECK_STR(op_list(info->egress_hostnames), "c.d e.f");
        CHECK_STR(info->share_token, "token"); /* only the create tells it */
        CHECK_STR(op_list(info->tags), "t");   /* no spec: nothing new */
        CHECK_INT(info->volume_count, 1);
        nw_ok(t, "GetSandbox", "{'sandboxId':'sb-1','status':{'state':'STATE_RUNNING'}}");
        CHECK_INT(api_status(t, sb, NULL), CWS_OK);
        op_check_resources(&info->resources, "2", NULL); /* unchanged if nothing is said of them */
        CHECK_INT(info->service_count, 0);
    }
    EACH("14: requests and limits that differ; a GPU by its memory; the newer form counts") {
        cws_sandbox *sb = nw_found(
            t, "{'sandboxId':'sb-1','status':{'state':'STATE_RUNNING','effectiveResources':{'cpu':"
               "'9'},'effectiveResourceRequirements':{'requests':{'cpu':'1','gpu':{'count':'2',"
               "'memoryGb':'80'}},'limits':{'memory':'1Gi'}}}}");
        const cws_resources *r = &cws_sandbox_last_info(sb)->resources;
        CHECK_STR(r->request_cpu, "1");
        CHECK(r->request_memory == NULL && r->limit_cpu == NULL);
        CHECK_STR(r->limit_memory, "1Gi");
        CHECK_INT(r->gpu_count, 2);
        CHECK_INT(r->gpu_memory_gb, 80);
        CHECK(r->gpu_type == NULL);
    }
}

static void op_check_b2(const cws_sandbox_info *info)
{
    CHECK_STR(info->profile_id, "p");
    CHECK_STR(info->service_address, "a");
    CHECK_STR(info->ingress_mode, "i");
    CHECK_STR(info->egress_mode, "e");
}

static void op_test_echo_b2(void)
{
    B2_EACH("27: the reply of a Start: address, ports, modes; 14: its resources") {
        cws_sandbox *sb = api_box(t, NULL);
        const cws_sandbox_info *info;
        nw_ok(t, "Start", B2_FULL_START);
        CHECK_INT(api_start(t, sb), CWS_OK);
        info = cws_sandbox_last_info(sb);
        op_check_b2(info);
        CHECK_STR(info->resources.request_cpu, NULL);
        CHECK_STR(info->resources.limit_cpu, "1");
        CHECK_INT(info->resources.gpu_count, 1);
        CHECK_INT(info->resources.gpu_memory_gb, 80);
        CHECK_INT(info->service_count, 1);
        if (info->service_count == 1) {
            CHECK_INT(info->services[0].port, 1);
            CHECK_STR(info->services[0].name, "n");
            CHECK_INT(info->services[0].protocol, CWS_SERVICE_TCP);
            CHECK_STR(info->services[0].url, "");
            CHECK_STR(info->services[0].address, "");
        }
        nw_ok(t, "Get", B2_GET("RUNNING")); /* which says nothing of them: they are kept */
        CHECK_INT(api_status(t, sb, NULL), CWS_OK);
        op_check_b2(info);
        CHECK_STR(info->resources.limit_cpu, "1");
        CHECK_INT(info->service_count, 1);
    }
    B2_EACH("27: a Get and a list tell them as well, but not the resources") {
        cws_sandboxes *list = NULL;
        const cws_sandbox_info *info = cws_sandbox_last_info(nw_found(t, B2_FULL));
        int i;
        for (i = 0; i < 2; i++) {
            op_check_b2(info);
            CHECK_INT(info->service_count, 1);
            CHECK(info->resources.limit_cpu == NULL && info->resources.gpu_count == 0);
            if (i) break;
            nw_ok(t, "List", "{'sandboxes':[{'sandboxId':'sb-2','profileId':'p','serviceAddress':"
                             "'a','exposedPorts':[{'containerPort':1}],'appliedIngressMode':'i',"
                             "'appliedEgressMode':'e'}]}");
            CHECK_INT(api_list(t, NULL, &list), CWS_OK);
            CHECK_INT(cws_sandboxes_count(list), 1);
            if (cws_sandboxes_count(list) != 1) break;
            info = cws_sandbox_last_info(cws_sandboxes_at(list, 0));
        }
        cws_sandboxes_free(list);
    }
    B2_EACH("27: what is empty is not known") {
        cws_sandbox *sb = nw_started(t);
        const cws_sandbox_info *info = cws_sandbox_last_info(sb);
        CHECK_STR(info->profile_id, "");
        CHECK_STR(info->service_address, "");
        CHECK_STR(info->ingress_mode, "");
        CHECK_STR(info->egress_mode, "");
        CHECK_INT(info->service_count, 0);
        CHECK(info->resources.request_cpu == NULL && info->resources.limit_cpu == NULL);
    }
}

static void op_test_replies(void)
{
    int b2, i;
    for (b2 = 0; b2 < 2; b2++)
        for (i = 0; i < API_MODES; i++) {
            const char *create = b2 ? "Start" : "CreateSandbox", *get = b2 ? "Get" : "GetSandbox";
            NW_ROW(b2 ? "v1beta2" : "v1", "35: a reply with everything", (size_t)i, b2)
            {
                cws_sandbox *sb = nw_found(t, b2 ? B2_FULL : V1_FULL);
                const cws_sandbox_info *info = cws_sandbox_last_info(sb);
                CHECK_STR(info->sandbox_id, "sb-1");
                CHECK_INT(info->state, CWS_STATE_RUNNING);
                CHECK_INT(info->state_number, 2);
                CHECK_STR(info->state_reason, "well");
                CHECK_STR(info->runner_id, "run");
                CHECK_STR(info->runner_group_id, "grp");
                CHECK_INT(info->create_unix_ms, b2 ? 0 : 1767323045678);
                CHECK_INT(info->start_unix_ms, 1767323045678);
                CHECK_INT(info->end_unix_ms, b2 ? 0 : 1767323045678);
                CHECK(info->has_exit_code);
                CHECK_INT(info->exit_code, 0);
                CHECK(info->updated_unix_ms > 0);
                nw_ok(t, get, b2 ? "{'sandboxId':'sb-1'}" : "{'sandboxId':'sb-1','status':{}}");
                CHECK_INT(api_status(t, sb, NULL), CWS_OK); /* what is known stays */
                CHECK_STR(info->runner_id, "run");
                CHECK_INT(info->start_unix_ms, 1767323045678);
                sb = api_box(t, NULL);
                nw_ok(t, create, b2 ? B2_FULL_START : V1_FULL);
                CHECK_INT(api_start(t, sb), CWS_OK);
                CHECK_STR(cws_sandbox_id(sb), "sb-1");
                CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING); /* 8.1 */
            }
            NW_ROW(b2 ? "v1beta2" : "v1", "a reply with nothing but an id", (size_t)i, b2)
            {
                cws_sandbox *sb = nw_found(t, "{'sandboxId':'sb-1'}");
                const cws_sandbox_info *info = cws_sandbox_last_info(sb);
                CHECK_STR(info->sandbox_id, "sb-1");
                CHECK_INT(info->state, CWS_STATE_UNSPECIFIED);
                CHECK_INT(info->state_number, 0);
                CHECK_STR(info->state_reason, "");
                CHECK_STR(info->runner_id, "");
                CHECK_STR(info->runner_group_id, "");
                CHECK_INT(info->create_unix_ms, 0);
                CHECK_INT(info->start_unix_ms, 0);
                CHECK_INT(info->end_unix_ms, 0);
                CHECK(!info->has_exit_code);
            }
            NW_ROW(b2 ? "v1beta2" : "v1", "a reply with no field at all is none", (size_t)i, b2)
            {
                cws_sandbox *sb = NULL;
                nw_ok(t, get, "{}");
                CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_ERR_PROTOCOL);
                nw_ok(t, create, "{}");
                CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_PROTOCOL);
            }
            NW_ROW(b2 ? "v1beta2" : "v1", "ten unknown fields and a new state", (size_t)i, b2)
            {
                cws_sandbox *sb = NULL;
                op_strange(t, nw_ok(t, get, b2 ? "{'sandboxId':'sb-1','sandboxStatus':77,"
                                                 "'runnerId':'run'}"
                                               : "{'sandboxId':'sb-1','status':{'state':77,"
                                                 "'runnerId':'run','effectiveDnsEgress':9,"
                                                 "'services':[{'protocol':9,'visibility':9}]}}"));
                CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
                if (!sb) continue;
                CHECK_INT(cws_sandbox_state(sb), CWS_STATE_UNSPECIFIED);
                CHECK_INT(cws_sandbox_last_info(sb)->state_number, 77);
                CHECK_STR(cws_sandbox_last_info(sb)->runner_id, "run");
                op_strange(t, nw_ok(t, create, "{'sandboxId':'sb-2'}"));
                sb = api_box(t, NULL);
                CHECK_INT(api_start(t, sb), CWS_OK);
                CHECK_STR(cws_sandbox_id(sb), "sb-2");
                op_strange(t, nw_ok(t, get, b2 ? B2_GET("RUNNING")
                                               : "{'sandboxId':'sb-2','status':{'state':2}}"));
                CHECK_INT(api_wait(t, sb, 0), CWS_OK);
                if (!b2) continue;
                op_strange(t, nw_ok(t, "Stop", ACCEPTED));
                nw_ok(t, "Get", B2_GET("COMPLETED"));
                CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            }
        }
}

/* A reply that is cut at any byte is an error, or a shorter message: never a crash. */
static void op_test_cut(void)
{
    int b2;
    for (b2 = 0; b2 < 2; b2++)
        NW_ROW(b2 ? "v1beta2" : "v1", "a reply cut at every byte, and every byte changed", 1, b2)
        {
            script_reply *whole = nw_ok(t, b2 ? "Get" : "GetSandbox", b2 ? B2_FULL : V1_FULL);
            const char *body = whole->body;
            size_t size = whole->size, i;
            whole->times = -1;
            (void)api_client(t);
            for (i = 0; i < 2 * size; i++) {
                cws_sandbox *sb = NULL;
                char *copy = (char *)malloc(size);
                if (!copy) abort();
                memcpy(copy, body, size);
                if (i >= size) copy[i - size] = (char)~copy[i - size];
                whole->body = copy;
                whole->size = i < size ? i : size;
                if (cws_session_from_id(t->session, "sb-1", false, &sb, &t->err)) {
                    CHECK(sb == NULL);
                } else {
                    const cws_sandbox_info *info = cws_sandbox_last_info(sb);
                    CHECK(info->sandbox_id[0] && strlen(info->sandbox_id) < 128);
                    CHECK(info->state_reason && info->runner_id && info->runner_group_id);
                    CHECK(cws_state_name(info->state)[0] != '\0');
                }
                if (sb) cws_sandbox_free(sb);
                free(copy);
            }
            whole->size = 0;
        }
}

int main(int argc, char **argv)
{
    test_init(argc, argv);
    op_test_replies();
    op_test_echo_v1();
    op_test_echo_b2();
    op_test_cut();
    return test_summary();
}
