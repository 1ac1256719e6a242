/* SPDX-License-Identifier: MIT
 *
 * The request of every option of a sandbox, in both dialects: what must be sent, as canonical JSON
 * written with ' for ". tests/options.c compares it with what the codec says that was sent,
 * tests/roundtrip.c with what a server made of it whose code is not ours. Include it after
 * cwsandbox.h and test.h.
 */
#ifndef OPTIONS_TABLE_H
#define OPTIONS_TABLE_H

#include "literals.h"

#define KEEP "['-c','trap \\'exit 0\\' TERM INT; sleep infinity & wait']"
#define MAIN(image, command, rest)                                                                 \
    "{'name':'main','image':'" image "','command':'" command "'" rest "}"
#define V1_ALL(container, spec, box)                                                               \
    "{'sandbox':{'spec':{'containers':[" container "]" spec "}" box "}}"
#define V1_MAIN(rest) V1_ALL(MAIN("python:3.11", "/bin/sh", ",'args':" KEEP rest), "", "")
#define V1_SPEC(rest) V1_ALL(MAIN("python:3.11", "/bin/sh", ",'args':" KEEP), rest, "")
#define V1_BOTH(main, spec) V1_ALL(MAIN("python:3.11", "/bin/sh", ",'args':" KEEP main), spec, "")
#define B2_ALL(command, tags, image, rest)                                                         \
    "{'command':'" command "'" tags ",'containerImage':'" image "'" rest "}"
#define B2(rest) B2_ALL("/bin/sh", ",'args':" KEEP, "python:3.11", rest)
#define B2_TAGS(tags) B2_ALL("/bin/sh", ",'args':" KEEP ",'tags':" tags, "python:3.11", "")
#define V1_RES(requests, limits)                                                                   \
    V1_MAIN(",'resourceRequirements':{'requests':" requests ",'limits':" limits "}")
#define B2_RES(requests, limits) B2(",'resourceLimits':" limits ",'resourceRequests':" requests)
#define V1_NET(net) V1_SPEC(",'network':" net)
#define B2_NET(net) B2(",'network':" net)
#define V1_EGRESS(rule) V1_NET("{'egress':[" rule "]}")
#define V1_INGRESS(rule) V1_NET("{'ingress':[" rule "]}")
#define V1_SERVICE(service) V1_SPEC(",'services':[" service "]")
#define V1_SECURITY(context) V1_MAIN(",'securityContext':" context)
#define V1_STORE(access) V1_SPEC(",'objectStorageAccess':" access)
#define B2_STORE(access) B2(",'objectStorageAccess':" access)
#define V1_SCRATCH(name, scratch, mount)                                                           \
    V1_BOTH(",'volumeMounts':[{'volume':'" name "'," mount "}]",                                   \
            ",'volumes':[{'name':'" name "','scratch':" scratch "}]")

#define PRIMARY(rest) MAIN("python:3.11", "/bin/sh", ",'args':" KEEP rest ",'primary':true")
#define T_SPEC(rest) "{'templateId':'t-1','overrides':{" rest "}}"

typedef struct op_shape {
    const char *name;
    cws_sandbox_opts defaults, own;
    const char *v1, *b2; /* NULL: not in this dialect */
} op_shape;

static const op_shape op_shapes[] = {
    {.name = "nothing", .v1 = V1_MAIN(""), .b2 = B2("")},
    /* text */
    {.name = "container_image",
     .own = {.container_image = "alpine"},
     .v1 = V1_ALL(MAIN("alpine", "/bin/sh", ",'args':" KEEP), "", ""),
     .b2 = B2_ALL("/bin/sh", ",'args':" KEEP, "alpine", "")},
    {.name = "container_image: the default",
     .defaults = {.container_image = "alpine"},
     .v1 = V1_ALL(MAIN("alpine", "/bin/sh", ",'args':" KEEP), "", ""),
     .b2 = B2_ALL("/bin/sh", ",'args':" KEEP, "alpine", "")},
    {.name = "container_image: an empty one counts as not given",
     .defaults = {.container_image = "alpine"},
     .own = {.container_image = ""},
     .v1 = V1_ALL(MAIN("alpine", "/bin/sh", ",'args':" KEEP), "", ""),
     .b2 = B2_ALL("/bin/sh", ",'args':" KEEP, "alpine", "")},
    {.name = "container_image replaces",
     .defaults = {.container_image = "alpine"},
     .own = {.container_image = "busybox:1"},
     .v1 = V1_ALL(MAIN("busybox:1", "/bin/sh", ",'args':" KEEP), "", ""),
     .b2 = B2_ALL("/bin/sh", ",'args':" KEEP, "busybox:1", "")},
    {.name = "command alone has no arguments",
     .own = {.command = "ls"},
     .v1 = V1_ALL(MAIN("python:3.11", "ls", ""), "", ""),
     .b2 = B2_ALL("ls", "", "python:3.11", "")},
    {.name = "command and args",
     .own = {.command = "ls", .args = STRINGS("-l", "/")},
     .v1 = V1_ALL(MAIN("python:3.11", "ls", ",'args':['-l','/']"), "", ""),
     .b2 = B2_ALL("ls", ",'args':['-l','/']", "python:3.11", "")},
    {.name = "args alone go to the default command",
     .own = {.args = STRINGS("-c", "")},
     .v1 = V1_ALL(MAIN("python:3.11", "/bin/sh", ",'args':['-c','']"), "", ""),
     .b2 = B2_ALL("/bin/sh", ",'args':['-c','']", "python:3.11", "")},
    {.name = "args: an empty list is none",
     .own = {.args = NO_STRINGS},
     .v1 = V1_ALL(MAIN("python:3.11", "/bin/sh", ""), "", ""),
     .b2 = B2_ALL("/bin/sh", "", "python:3.11", "")},
    {.name = "command and args of the defaults",
     .defaults = {.command = "ls", .args = STRINGS("-l")},
     .own = {.command = ""},
     .v1 = V1_ALL(MAIN("python:3.11", "ls", ",'args':['-l']"), "", ""),
     .b2 = B2_ALL("ls", ",'args':['-l']", "python:3.11", "")},
    {.name = "a command of its own does not take the args of the defaults",
     .defaults = {.command = "ls", .args = STRINGS("-l")},
     .own = {.command = "cat"},
     .v1 = V1_ALL(MAIN("python:3.11", "cat", ""), "", ""),
     .b2 = B2_ALL("cat", "", "python:3.11", "")},
    {.name = "args: an empty list replaces the default",
     .defaults = {.command = "ls", .args = STRINGS("-l")},
     .own = {.args = NO_STRINGS},
     .v1 = V1_ALL(MAIN("python:3.11", "ls", ""), "", ""),
     .b2 = B2_ALL("ls", "", "python:3.11", "")},
    {.name = "args replace the default and keep its command",
     .defaults = {.command = "ls", .args = STRINGS("-l")},
     .own = {.args = STRINGS("-a")},
     .v1 = V1_ALL(MAIN("python:3.11", "ls", ",'args':['-a']"), "", ""),
     .b2 = B2_ALL("ls", ",'args':['-a']", "python:3.11", "")},
    /* lists that combine */
    {.name = "2: tags",
     .own = {.tags = STRINGS("a", "b.c_d-9")},
     .v1 = V1_SPEC(",'tags':['a','b.c_d-9']"),
     .b2 = B2_TAGS("['a','b.c_d-9']")},
    {.name = "2: tags of the defaults",
     .defaults = {.tags = STRINGS("a", "b")},
     .own = {.tags = NO_STRINGS},
     .v1 = V1_SPEC(",'tags':['a','b']"),
     .b2 = B2_TAGS("['a','b']")},
    {.name = "2: tags: the defaults first; a repeated one stays",
     .defaults = {.tags = STRINGS("b", "a")},
     .own = {.tags = STRINGS("c", "a")},
     .v1 = V1_SPEC(",'tags':['b','a','c','a']"),
     .b2 = B2_TAGS("['b','a','c','a']")},
    {.name = "3: environment_variables",
     .own = {.environment_variables = PAIRS({"A", "1"}, {"B", ""})},
     .v1 = V1_MAIN(",'environmentVariables':{'A':'1','B':''}"),
     .b2 = B2(",'environmentVariables':{'A':'1','B':''}")},
    {.name = "3: environment_variables: merged, the own ones win",
     .defaults = {.environment_variables = PAIRS({"A", "1"}, {"B", "2"})},
     .own = {.environment_variables = PAIRS({"C", "3"}, {"A", "9"})},
     .v1 = V1_MAIN(",'environmentVariables':{'A':'9','B':'2','C':'3'}"),
     .b2 = B2(",'environmentVariables':{'A':'9','B':'2','C':'3'}")},
    {.name = "3: environment_variables: an empty map takes nothing away",
     .defaults = {.environment_variables = PAIRS({"A", "1"})},
     .own = {.environment_variables = NO_PAIRS},
     .v1 = V1_MAIN(",'environmentVariables':{'A':'1'}"),
     .b2 = B2(",'environmentVariables':{'A':'1'}")},
    {.name = "3: environment_variables: empty when nothing is given",
     .own = {.environment_variables = NO_PAIRS},
     .v1 = V1_MAIN(""),
     .b2 = B2("")},
    {.name = "3: annotations",
     .own = {.annotations = PAIRS({"a/b", "1"})},
     .v1 = V1_SPEC(",'annotations':{'a/b':'1'}"),
     .b2 = B2(",'podAnnotations':{'a/b':'1'}")},
    {.name = "3: annotations: merged, the own ones win",
     .defaults = {.annotations = PAIRS({"a", "1"}, {"b", "2"})},
     .own = {.annotations = PAIRS({"b", "3"}, {"c", "4"})},
     .v1 = V1_SPEC(",'annotations':{'a':'1','b':'3','c':'4'}"),
     .b2 = B2(",'podAnnotations':{'a':'1','b':'3','c':'4'}")},
    {.name = "15: secrets: the variable is the name; grouped by store in order of appearance",
     .own = {.secrets = SECRETS({"s1", "K1", NULL, NULL}, {"s2", "K2", "f", NULL},
                                {"s1", "K3", "", "VAR"}),
             .secret_count = 3},
     .v1 = V1_MAIN(",'secretStores':[{'storeName':'s1','secrets':[{'path':'K1','envVar':'K1'},"
                   "{'path':'K3','envVar':'VAR'}]},{'storeName':'s2','secrets':[{'path':'K2',"
                   "'field':'f','envVar':'K2'}]}]"),
     .b2 = B2(",'secretStores':[{'storeName':'s1','secrets':[{'path':'K1','envVar':'K1'},"
              "{'path':'K3','envVar':'VAR'}]},{'storeName':'s2','secrets':[{'path':'K2',"
              "'field':'f','envVar':'K2'}]}]")},
    {.name = "15: secrets: the defaults first; identical ones collapse",
     .defaults = {.secrets = SECRETS({"s1", "K1", NULL, NULL}, {"s1", "K2", NULL, NULL}),
                  .secret_count = 2},
     .own = {.secrets = SECRETS({"s0", "K0", NULL, NULL}, {"s1", "K1", "", "K1"}),
             .secret_count = 2},
     .v1 = V1_MAIN(",'secretStores':[{'storeName':'s1','secrets':[{'path':'K1','envVar':'K1'},"
                   "{'path':'K2','envVar':'K2'}]},{'storeName':'s0','secrets':[{'path':'K0',"
                   "'envVar':'K0'}]}]"),
     .b2 = B2(",'secretStores':[{'storeName':'s1','secrets':[{'path':'K1','envVar':'K1'},"
              "{'path':'K2','envVar':'K2'}]},{'storeName':'s0','secrets':[{'path':'K0',"
              "'envVar':'K0'}]}]")},
    {.name = "mounted_files: bytes, and an empty one",
     .own = {.mounted_files = FILES({"/a/b", "\0\xff", 2}, {"/c", NULL, 0}),
             .mounted_file_count = 2},
     .v1 = V1_MAIN(",'files':[{'path':'/a/b','content':'AP8='},{'path':'/c'}]"),
     .b2 = B2(",'mountedFiles':[{'mountPath':'/a/b','fileContent':'AP8='},{'mountPath':'/c'}]")},
    /* numbers */
    {.name = "max_lifetime_seconds",
     .own = {.max_lifetime_seconds = 2592000},
     .v1 = V1_SPEC(",'maxLifetimeSeconds':2592000"),
     .b2 = B2(",'maxLifetimeSeconds':2592000")},
    {.name = "max_lifetime_seconds: the default",
     .defaults = {.max_lifetime_seconds = 60},
     .v1 = V1_SPEC(",'maxLifetimeSeconds':60"),
     .b2 = B2(",'maxLifetimeSeconds':60")},
    {.name = "max_lifetime_seconds replaces",
     .defaults = {.max_lifetime_seconds = 60},
     .own = {.max_lifetime_seconds = 1},
     .v1 = V1_SPEC(",'maxLifetimeSeconds':1"),
     .b2 = B2(",'maxLifetimeSeconds':1")},
    {.name = "request_timeout_seconds is not sent",
     .own = {.request_timeout_seconds = 7},
     .v1 = V1_MAIN(""),
     .b2 = B2("")},
    {.name = "max_timeout_seconds", .own = {.max_timeout_seconds = 77},
     .b2 = B2(",'maxTimeoutSeconds':77")},
    /* places to run */
    {.name = "6: runner_ids: CKS by themselves",
     .own = {.runner_ids = STRINGS("r1", "r2")},
     .v1 = V1_SPEC(",'runnerIds':['r1','r2'],'mode':'SANDBOX_MODE_CKS'"),
     .b2 = B2(",'runnerIds':['r1','r2']")},
    {.name = "6: runner_ids of the defaults",
     .defaults = {.runner_ids = STRINGS("r1")},
     .v1 = V1_SPEC(",'runnerIds':['r1'],'mode':'SANDBOX_MODE_CKS'"),
     .b2 = B2(",'runnerIds':['r1']")},
    {.name = "6: runner_ids replace",
     .defaults = {.runner_ids = STRINGS("r1", "r2")},
     .own = {.runner_ids = STRINGS("r3")},
     .v1 = V1_SPEC(",'runnerIds':['r3'],'mode':'SANDBOX_MODE_CKS'"),
     .b2 = B2(",'runnerIds':['r3']")},
    {.name = "6: runner_ids: an empty list clears",
     .defaults = {.runner_ids = STRINGS("r1")},
     .own = {.runner_ids = NO_STRINGS},
     .v1 = V1_MAIN(""),
     .b2 = B2("")},
    {.name = "6: runner_ids and placement CKS",
     .own = {.runner_ids = STRINGS("r1"), .placement = CWS_PLACEMENT_CKS},
     .v1 = V1_SPEC(",'runnerIds':['r1'],'mode':'SANDBOX_MODE_CKS'")},
    {.name = "6: runner_ids that are cleared leave room for SERVERLESS",
     .defaults = {.runner_ids = STRINGS("r1")},
     .own = {.runner_ids = NO_STRINGS, .placement = CWS_PLACEMENT_SERVERLESS},
     .v1 = V1_SPEC(",'mode':'SANDBOX_MODE_SERVERLESS'")},
    {.name = "placement SERVERLESS",
     .own = {.placement = CWS_PLACEMENT_SERVERLESS},
     .v1 = V1_SPEC(",'mode':'SANDBOX_MODE_SERVERLESS'")},
    {.name = "placement CKS of the defaults",
     .defaults = {.placement = CWS_PLACEMENT_CKS},
     .v1 = V1_SPEC(",'mode':'SANDBOX_MODE_CKS'")},
    {.name = "placement replaces",
     .defaults = {.placement = CWS_PLACEMENT_CKS},
     .own = {.placement = CWS_PLACEMENT_SERVERLESS},
     .v1 = V1_SPEC(",'mode':'SANDBOX_MODE_SERVERLESS'")},
    {.name = "6: profile_ids", .own = {.profile_ids = STRINGS("p1", "p2")},
     .b2 = B2(",'profileIds':['p1','p2']")},
    {.name = "6: profile_names", .own = {.profile_names = STRINGS("n1")},
     .b2 = B2(",'profileNames':['n1']")},
    {.name = "6: profile_ids, profile_names and runner_ids are independent of each other",
     .defaults = {.profile_ids = STRINGS("p1"), .profile_names = STRINGS("n1"),
                  .runner_ids = STRINGS("r1")},
     .own = {.profile_names = STRINGS("n2")},
     .b2 = B2(",'profileIds':['p1'],'runnerIds':['r1'],'profileNames':['n2']")},
    {.name = "6: profile_ids: an empty list clears them, not the names",
     .defaults = {.profile_ids = STRINGS("p1"), .profile_names = STRINGS("n1")},
     .own = {.profile_ids = NO_STRINGS},
     .b2 = B2(",'profileNames':['n1']")},
    {.name = "6: empty lists of profiles are no profiles, in v1 either",
     .own = {.profile_ids = NO_STRINGS, .profile_names = NO_STRINGS},
     .v1 = V1_MAIN(""),
     .b2 = B2("")},
    /* compute */
    {.name = "11: resources: the flat form is both sides",
     .own = {.resources = RESOURCES(.cpu = "500m", .memory = "1Gi")},
     .v1 = V1_RES("{'cpu':'500m','memory':'1Gi'}", "{'cpu':'500m','memory':'1Gi'}"),
     .b2 = B2_RES("{'cpu':'500m','memory':'1Gi'}", "{'cpu':'500m','memory':'1Gi'}")},
    {.name = "11: resources: cpu alone",
     .own = {.resources = RESOURCES(.cpu = "2")},
     .v1 = V1_RES("{'cpu':'2'}", "{'cpu':'2'}"),
     .b2 = B2_RES("{'cpu':'2'}", "{'cpu':'2'}")},
    {.name = "12: resources: requests alone are limits too",
     .own = {.resources = RESOURCES(.request_cpu = "1", .request_memory = "2Gi")},
     .v1 = V1_RES("{'cpu':'1','memory':'2Gi'}", "{'cpu':'1','memory':'2Gi'}"),
     .b2 = B2_RES("{'cpu':'1','memory':'2Gi'}", "{'cpu':'1','memory':'2Gi'}")},
    {.name = "12: resources: limits alone are requests too",
     .own = {.resources = RESOURCES(.limit_memory = "2Gi")},
     .v1 = V1_RES("{'memory':'2Gi'}", "{'memory':'2Gi'}"),
     .b2 = B2_RES("{'memory':'2Gi'}", "{'memory':'2Gi'}")},
    {.name = "12: resources: both sides as given; keys of one side only are not compared",
     .own = {.resources = RESOURCES(.request_cpu = "1", .limit_cpu = "2", .limit_memory = "1Mi")},
     .v1 = V1_RES("{'cpu':'1'}", "{'cpu':'2','memory':'1Mi'}"),
     .b2 = B2_RES("{'cpu':'1'}", "{'cpu':'2','memory':'1Mi'}")},
    {.name = "12: resources: equal quantities that are written differently",
     .own = {.resources = RESOURCES(.request_cpu = "1000m", .limit_cpu = "1",
                                    .request_memory = "1024Mi", .limit_memory = "1Gi")},
     .v1 = V1_RES("{'cpu':'1000m','memory':'1024Mi'}", "{'cpu':'1','memory':'1Gi'}"),
     .b2 = B2_RES("{'cpu':'1000m','memory':'1024Mi'}", "{'cpu':'1','memory':'1Gi'}")},
    {.name = "14: resources: a GPU is on both sides",
     .own = {.resources = RESOURCES(.gpu_count = 2)},
     .v1 = V1_RES("{'gpu':{'count':'2'}}", "{'gpu':{'count':'2'}}"),
     .b2 = B2_RES("{'gpu':{'gpuCount':'2'}}", "{'gpu':{'gpuCount':'2'}}")},
    {.name = "14: resources: a GPU by its type, beside requests",
     .own = {.resources = RESOURCES(.request_cpu = "1", .limit_cpu = "2", .gpu_count = 1,
                                    .gpu_type = "H100")},
     .v1 = V1_RES("{'cpu':'1','gpu':{'count':'1','type':'H100'}}",
                  "{'cpu':'2','gpu':{'count':'1','type':'H100'}}"),
     .b2 = B2_RES("{'cpu':'1','gpu':{'gpuCount':'1','gpuType':'H100'}}",
                  "{'cpu':'2','gpu':{'gpuCount':'1','gpuType':'H100'}}")},
    {.name = "14: resources: a GPU by its memory; the count may be left out",
     .own = {.resources = RESOURCES(.gpu_memory_gb = 80)},
     .v1 = V1_RES("{'gpu':{'memoryGb':'80'}}", "{'gpu':{'memoryGb':'80'}}"),
     .b2 = B2_RES("{'gpu':{'gpuMemoryGb':'80'}}", "{'gpu':{'gpuMemoryGb':'80'}}")},
    {.name = "resources replace as a whole",
     .defaults = {.resources = RESOURCES(.cpu = "1", .memory = "1Gi", .gpu_count = 1)},
     .own = {.resources = RESOURCES(.memory = "2Gi")},
     .v1 = V1_RES("{'memory':'2Gi'}", "{'memory':'2Gi'}"),
     .b2 = B2_RES("{'memory':'2Gi'}", "{'memory':'2Gi'}")},
    {.name = "resources of the defaults",
     .defaults = {.resources = RESOURCES(.cpu = "1")},
     .v1 = V1_RES("{'cpu':'1'}", "{'cpu':'1'}"),
     .b2 = B2_RES("{'cpu':'1'}", "{'cpu':'1'}")},
    /* network */
    {.name = "8: network: nothing in it", .own = {.network = NETWORK(.egress_count = 0)},
     .v1 = V1_NET("{}"), .b2 = B2_NET("{}")},
    {.name = "8: network.ingress_mode", .own = {.network = NETWORK(.ingress_mode = "public")},
     .b2 = B2_NET("{'ingressMode':'public'}")},
    {.name = "8: network.egress_mode", .own = {.network = NETWORK(.egress_mode = "internet")},
     .b2 = B2_NET("{'egressMode':'internet'}")},
    {.name = "8: network.exposed_ports",
     .own = {.network = NETWORK(.exposed_ports = INTS(1, 65535), .exposed_port_count = 2)},
     .b2 = B2_NET("{'exposedPorts':[1,65535]}")},
    {.name = "8: network: all of v1beta2",
     .own = {.network = NETWORK(.ingress_mode = "a", .egress_mode = "b",
                                .exposed_ports = INTS(80), .exposed_port_count = 1)},
     .b2 = B2_NET("{'ingressMode':'a','exposedPorts':[80],'egressMode':'b'}")},
    {.name = "8: network replaces as a whole, in v1beta2",
     .defaults = {.network = NETWORK(.ingress_mode = "a", .exposed_ports = INTS(80),
                                     .exposed_port_count = 1)},
     .own = {.network = NETWORK(.egress_mode = "b")},
     .b2 = B2_NET("{'egressMode':'b'}")},
    {.name = "8: network of the defaults, in v1beta2",
     .defaults = {.network = NETWORK(.exposed_ports = INTS(80, 81), .exposed_port_count = 2)},
     .b2 = B2_NET("{'exposedPorts':[80,81]}")},
    {.name = "8: network.exposed_ports: none is not given",
     .own = {.network = NETWORK(.egress_mode = "b", .exposed_ports = INTS(80),
                                .exposed_port_count = 0)},
     .b2 = B2_NET("{'egressMode':'b'}")},
    {.name = "network.deny_egress", .own = {.network = NETWORK(.deny_egress = CWS_YES)},
     .v1 = V1_NET("{'denyEgress':true}")},
    {.name = "network.deny_egress: no", .own = {.network = NETWORK(.deny_egress = CWS_NO)},
     .v1 = V1_NET("{'denyEgress':false}")},
    {.name = "network.deny_ingress", .own = {.network = NETWORK(.deny_ingress = CWS_YES)},
     .v1 = V1_NET("{'denyIngress':true}")},
    {.name = "network.deny_ingress: no", .own = {.network = NETWORK(.deny_ingress = CWS_NO)},
     .v1 = V1_NET("{'denyIngress':false}")},
    {.name = "network.allow_dns", .own = {.network = NETWORK(.allow_dns = CWS_YES)},
     .v1 = V1_NET("{'dnsEgress':'DNS_EGRESS_MODE_ALLOW'}")},
    {.name = "network.allow_dns: no", .own = {.network = NETWORK(.allow_dns = CWS_NO)},
     .v1 = V1_NET("{'dnsEgress':'DNS_EGRESS_MODE_DENY'}")},
    {.name = "network replaces as a whole, in v1",
     .defaults = {.network = NETWORK(.deny_egress = CWS_YES)},
     .own = {.network = NETWORK(.deny_ingress = CWS_YES)},
     .v1 = V1_NET("{'denyIngress':true}")},
    {.name = "network of the defaults, in v1",
     .defaults = {.network = NETWORK(.egress_hostnames = STRINGS("pypi.org"))},
     .v1 = V1_EGRESS("{'httpsHostname':'pypi.org'}")},
    {.name = "10: network.egress_hostnames",
     .own = {.network = NETWORK(.egress_hostnames = STRINGS("pypi.org", "*.example.com"))},
     .v1 = V1_EGRESS("{'httpsHostname':'pypi.org'},{'httpsHostname':'*.example.com'}")},
    {.name = "network.egress: cidr, with exceptions and ports",
     .own = {.network = NETWORK(.egress = RULES({.cidr = "10.0.0.0/8",
                                                 .cidr_except = STRINGS("10.1.0.0/16"),
                                                 .ports = (const cws_port_range[]){
                                                     {"TCP", 80, 90}, {NULL, 443, 0}},
                                                 .port_count = 2}),
                                .egress_count = 1)},
     .v1 = V1_EGRESS("{'cidr':{'cidr':'10.0.0.0/8','except':['10.1.0.0/16']},'ports':["
                     "{'protocol':'TCP','port':80,'endPort':90},{'port':443}]}")},
    {.name = "network.egress: hostname, with exceptions, behind the short form",
     .own = {.network = NETWORK(.egress_hostnames = STRINGS("a.b"),
                                .egress = RULES({.hostname = "*.c.d",
                                                 .hostname_except = STRINGS("x.c.d")}),
                                .egress_count = 1)},
     .v1 = V1_EGRESS("{'httpsHostname':'a.b'},{'httpsHostname':'*.c.d',"
                     "'httpsHostnameExcept':['x.c.d']}")},
    {.name = "network.egress: tenants",
     .own = {.network = NETWORK(.egress = RULES({.tenant = CWS_TENANT_SAME_USER},
                                                {.tenant = CWS_TENANT_SAME_ORG},
                                                {.tenant = CWS_TENANT_SANDBOX_NETWORK}),
                                .egress_count = 3)},
     .v1 = V1_EGRESS("{'tenant':'TENANT_SCOPE_SAME_USER'},{'tenant':'TENANT_SCOPE_SAME_ORG'},"
                     "{'tenant':'TENANT_SCOPE_SANDBOX_NETWORK'}")},
    {.name = "network.egress: labels of pods and of namespaces",
     .own = {.network = NETWORK(.egress = RULES({.pod_labels = PAIRS({"a", "1"}),
                                                 .namespace_labels = PAIRS({"b", "2"})},
                                                {.pod_labels = PAIRS({"c", "3"})},
                                                {.namespace_labels = PAIRS({"d", "4"})}),
                                .egress_count = 3)},
     .v1 = V1_EGRESS("{'selector':{'podLabels':{'a':'1'},'namespaceLabels':{'b':'2'}}},"
                     "{'selector':{'podLabels':{'c':'3'}}},"
                     "{'selector':{'namespaceLabels':{'d':'4'}}}")},
    {.name = "network.egress: any",
     .own = {.network = NETWORK(.egress = RULES({.any = true}), .egress_count = 1)},
     .v1 = V1_EGRESS("{'any':true}")},
    {.name = "network.ingress: cidr, tenant, any",
     .own = {.network = NETWORK(.ingress = RULES({.cidr = "::/0"}, {.tenant = CWS_TENANT_SAME_ORG},
                                                 {.any = true,
                                                  .ports = (const cws_port_range[]){
                                                      {"UDP", 53, 53}},
                                                  .port_count = 1}),
                                .ingress_count = 3)},
     .v1 = V1_INGRESS("{'cidr':{'cidr':'::/0'}},{'tenant':'TENANT_SCOPE_SAME_ORG'},"
                      "{'any':true,'ports':[{'protocol':'UDP','port':53,'endPort':53}]}")},
    {.name = "network: egress is denied, ingress has rules",
     .own = {.network = NETWORK(.deny_egress = CWS_YES, .allow_dns = CWS_YES,
                                .ingress = RULES({.any = true}), .ingress_count = 1)},
     .v1 = V1_NET("{'ingress':[{'any':true}],'denyEgress':true,"
                  "'dnsEgress':'DNS_EGRESS_MODE_ALLOW'}")},
    /* services and ports */
    {.name = "9: services: just a port",
     .own = {.services = SERVICES({.port = 1}), .service_count = 1},
     .v1 = V1_SERVICE("{'port':1}")},
    {.name = "9: services: each protocol and visibility",
     .own = {.services = SERVICES({.port = 1, .name = "a", .protocol = CWS_SERVICE_TCP,
                                   .visibility = CWS_VISIBILITY_PUBLIC},
                                  {.port = 2, .protocol = CWS_SERVICE_UDP,
                                   .visibility = CWS_VISIBILITY_PRIVATE},
                                  {.port = 65535, .protocol = CWS_SERVICE_SCTP,
                                   .visibility = CWS_VISIBILITY_CUSTOM}),
             .service_count = 3},
     .v1 = V1_SERVICE("{'port':1,'name':'a','protocol':'SERVICE_PROTOCOL_TCP',"
                      "'visibility':'VISIBILITY_PUBLIC'},{'port':2,'protocol':"
                      "'SERVICE_PROTOCOL_UDP','visibility':'VISIBILITY_PRIVATE'},{'port':65535,"
                      "'protocol':'SERVICE_PROTOCOL_SCTP','visibility':'VISIBILITY_CUSTOM'}")},
    {.name = "9: services: an HTTPS endpoint for everybody",
     .own = {.services = SERVICES({.port = 8080, .visibility = CWS_VISIBILITY_PUBLIC,
                                   .endpoint = CWS_ENDPOINT_HTTPS,
                                   .auth = CWS_ENDPOINT_AUTH_OPEN,
                                   .request_timeout_seconds = 900}),
             .service_count = 1},
     .v1 = V1_SERVICE("{'port':8080,'visibility':'VISIBILITY_PUBLIC','endpoint':{'kind':"
                      "'ENDPOINT_KIND_HTTPS','auth':'ENDPOINT_AUTH_OPEN',"
                      "'requestTimeoutSeconds':900}}")},
    {.name = "9: services: an HTTPS endpoint with a share token, over TCP",
     .own = {.services = SERVICES({.port = 80, .protocol = CWS_SERVICE_TCP,
                                   .visibility = CWS_VISIBILITY_PUBLIC,
                                   .endpoint = CWS_ENDPOINT_HTTPS,
                                   .auth = CWS_ENDPOINT_AUTH_SHARE_TOKEN}),
             .service_count = 1},
     .v1 = V1_SERVICE("{'port':80,'protocol':'SERVICE_PROTOCOL_TCP','visibility':"
                      "'VISIBILITY_PUBLIC','endpoint':{'kind':'ENDPOINT_KIND_HTTPS',"
                      "'auth':'ENDPOINT_AUTH_SHARE_TOKEN'}}")},
    {.name = "9: services: TLS that ends in the sandbox",
     .own = {.services = SERVICES({.port = 443, .visibility = CWS_VISIBILITY_PUBLIC,
                                   .endpoint = CWS_ENDPOINT_TLS_PASSTHROUGH}),
             .service_count = 1},
     .v1 = V1_SERVICE("{'port':443,'visibility':'VISIBILITY_PUBLIC','endpoint':{'kind':"
                      "'ENDPOINT_KIND_TLS_PASSTHROUGH'}}")},
    {.name = "services of the defaults",
     .defaults = {.services = SERVICES({.port = 1}, {.port = 2}), .service_count = 2},
     .v1 = V1_SERVICE("{'port':1},{'port':2}")},
    {.name = "services replace as a whole",
     .defaults = {.services = SERVICES({.port = 1}, {.port = 2}), .service_count = 2},
     .own = {.services = SERVICES({.port = 3, .name = "x"}), .service_count = 1},
     .v1 = V1_SERVICE("{'port':3,'name':'x'}")},
    {.name = "23: services: an empty list clears, and is none in v1beta2",
     .own = {.services = SERVICES({.port = 3}), .service_count = 0},
     .v1 = V1_MAIN(""),
     .b2 = B2("")},
    {.name = "23: services: an empty list clears the default",
     .defaults = {.services = SERVICES({.port = 1}), .service_count = 1},
     .own = {.services = SERVICES({.port = 3}), .service_count = 0},
     .v1 = V1_MAIN("")},
    {.name = "ports",
     .own = {.ports = PORTS({8080, "web", "TCP"}, {1, NULL, NULL}), .port_count = 2},
     .b2 = B2(",'ports':[{'containerPort':8080,'name':'web','protocol':'TCP'},"
              "{'containerPort':1}]")},
    /* storage */
    {.name = "28: volumes: scratch",
     .own = {.volumes = VOLUMES({.name = "v", .mount_path = "/v"}), .volume_count = 1},
     .v1 = V1_SCRATCH("v", "{}", "'mountPath':'/v'")},
    {.name = "28: volumes: scratch with everything",
     .own = {.volumes = VOLUMES({.name = "v", .mount_path = "/v", .size = "10Gi",
                                 .medium = CWS_STORAGE_MEMORY,
                                 .restore_from_snapshot_id = "snap", .sub_path = "a/b",
                                 .read_only = true}),
             .volume_count = 1},
     .v1 = V1_SCRATCH("v", "{'size':'10Gi','medium':'STORAGE_MEDIUM_MEMORY',"
                           "'restoreFromSnapshotId':'snap'}",
                      "'mountPath':'/v','readOnly':true,'subPath':'a/b'")},
    {.name = "28: volumes: scratch on a disk; empty texts are not given",
     .own = {.volumes = VOLUMES({.name = "v", .mount_path = "/v", .size = "",
                                 .medium = CWS_STORAGE_DISK, .restore_from_snapshot_id = ""}),
             .volume_count = 1},
     .v1 = V1_SCRATCH("v", "{'medium':'STORAGE_MEDIUM_DISK'}", "'mountPath':'/v'")},
    {.name = "volumes: registered, in v1beta2",
     .own = {.volumes = VOLUMES({.mount_path = "/v", .volume_id = "vol-1", .sub_path = "s",
                                 .read_only = true},
                                {.name = "ignored", .mount_path = "/w", .volume_id = "vol-2"}),
             .volume_count = 2},
     .b2 = B2(",'volumes':[{'volumeId':'vol-1','mountPath':'/v','subPath':'s','readOnly':true},"
              "{'volumeId':'vol-2','mountPath':'/w'}]")},
    {.name = "volumes: registered, in v1, with and without a place",
     .own = {.volumes = VOLUMES({.name = "v", .mount_path = "/v", .volume_id = "vol-1",
                                 .read_only = true},
                                {.name = "w", .volume_id = "vol-2"}),
             .volume_count = 2},
     .v1 = V1_BOTH(",'volumeMounts':[{'volume':'v','mountPath':'/v','readOnly':true}]",
                   ",'volumes':[{'name':'v','volumeId':'vol-1'},"
                   "{'name':'w','volumeId':'vol-2'}]")},
    {.name = "volumes of the defaults",
     .defaults = {.volumes = VOLUMES({.name = "v", .mount_path = "/v", .volume_id = "vol-1"}),
                  .volume_count = 1},
     .v1 = V1_BOTH(",'volumeMounts':[{'volume':'v','mountPath':'/v'}]",
                   ",'volumes':[{'name':'v','volumeId':'vol-1'}]"),
     .b2 = B2(",'volumes':[{'volumeId':'vol-1','mountPath':'/v'}]")},
    {.name = "volumes replace as a whole",
     .defaults = {.volumes = VOLUMES({.name = "v", .mount_path = "/v", .volume_id = "vol-1"}),
                  .volume_count = 1},
     .own = {.volumes = VOLUMES({.name = "w", .mount_path = "/w", .volume_id = "vol-2"}),
             .volume_count = 1},
     .v1 = V1_BOTH(",'volumeMounts':[{'volume':'w','mountPath':'/w'}]",
                   ",'volumes':[{'name':'w','volumeId':'vol-2'}]"),
     .b2 = B2(",'volumes':[{'volumeId':'vol-2','mountPath':'/w'}]")},
    {.name = "23: volumes: an empty list clears",
     .defaults = {.volumes = VOLUMES({.name = "v", .mount_path = "/v", .volume_id = "vol-1"}),
                  .volume_count = 1},
     .own = {.volumes = VOLUMES({.name = "w"}), .volume_count = 0},
     .v1 = V1_MAIN(""),
     .b2 = B2("")},
    {.name = "file_system",
     .own = {.file_system = &(const cws_file_system){.mount_path = "/work"}},
     .v1 = V1_SCRATCH("workspace", "{}", "'mountPath':'/work'"),
     .b2 = B2(",'fileSystem':{'mountPath':'/work'}")},
    {.name = "file_system: size and snapshot",
     .own = {.file_system = &(const cws_file_system){.mount_path = "/work", .size = "5Gi",
                                                     .snapshot_id = "snap"}},
     .v1 = V1_SCRATCH("workspace", "{'size':'5Gi','restoreFromSnapshotId':'snap'}",
                      "'mountPath':'/work'"),
     .b2 = B2(",'fileSystem':{'mountPath':'/work','size':'5Gi','fileSystemSnapshot':"
              "{'fileSystemSnapshotId':'snap'}}")},
    {.name = "file_system: empty texts are not given",
     .own = {.file_system = &(const cws_file_system){.mount_path = "/work", .size = "",
                                                     .snapshot_id = ""}},
     .v1 = V1_SCRATCH("workspace", "{}", "'mountPath':'/work'"),
     .b2 = B2(",'fileSystem':{'mountPath':'/work'}")},
    {.name = "file_system: its name",
     .own = {.file_system = &(const cws_file_system){.mount_path = "/work", .name = "data"}},
     .v1 = V1_SCRATCH("data", "{}", "'mountPath':'/work'")},
    {.name = "file_system replaces as a whole",
     .defaults = {.file_system = &(const cws_file_system){.mount_path = "/a", .size = "5Gi"}},
     .own = {.file_system = &(const cws_file_system){.mount_path = "/b"}},
     .v1 = V1_SCRATCH("workspace", "{}", "'mountPath':'/b'"),
     .b2 = B2(",'fileSystem':{'mountPath':'/b'}")},
    {.name = "file_system comes behind volumes, and each has its own default",
     .defaults = {.file_system = &(const cws_file_system){.mount_path = "/a"}},
     .own = {.volumes = VOLUMES({.name = "v", .mount_path = "/v", .volume_id = "vol-1"}),
             .volume_count = 1},
     .v1 = V1_BOTH(",'volumeMounts':[{'volume':'v','mountPath':'/v'},{'volume':'workspace',"
                   "'mountPath':'/a'}]",
                   ",'volumes':[{'name':'v','volumeId':'vol-1'},{'name':'workspace',"
                   "'scratch':{}}]"),
     .b2 = B2(",'fileSystem':{'mountPath':'/a'},'volumes':[{'volumeId':'vol-1',"
              "'mountPath':'/v'}]")},
    {.name = "s3_mount",
     .own = {.s3_mount = &(const cws_s3_mount){"b", "d", "/s3"}},
     .b2 = B2(",'s3Mount':{'bucket':'b','directory':'d','mountPath':'/s3'}")},
    {.name = "s3_mount: the bucket's top",
     .own = {.s3_mount = &(const cws_s3_mount){"b", NULL, "/s3"}},
     .b2 = B2(",'s3Mount':{'bucket':'b','mountPath':'/s3'}")},
    {.name = "object_storage: to read",
     .own = {.object_storage = &(const cws_object_storage){.buckets = STRINGS("b1", "b2")}},
     .v1 = V1_STORE("{'buckets':['b1','b2'],'permission':'OBJECT_STORAGE_PERMISSION_READ'}"),
     .b2 = B2_STORE("{'buckets':['b1','b2'],'permission':'OBJECT_STORAGE_PERMISSION_READ'}")},
    {.name = "object_storage: to write, below a prefix",
     .own = {.object_storage = &(const cws_object_storage){STRINGS("b1"), true, "x/"}},
     .v1 = V1_STORE("{'buckets':['b1'],'permission':'OBJECT_STORAGE_PERMISSION_READ_WRITE',"
                    "'objectPrefix':'x/'}"),
     .b2 = B2_STORE("{'buckets':['b1'],'permission':'OBJECT_STORAGE_PERMISSION_READ_WRITE',"
                    "'objectPrefix':'x/'}")},
    /* the container of v1 */
    {.name = "working_dir", .own = {.working_dir = "/w"}, .v1 = V1_MAIN(",'workingDir':'/w'")},
    {.name = "instance_type", .own = {.instance_type = "i"}, .v1 = V1_SPEC(",'instanceType':'i'")},
    {.name = "runtime_class", .own = {.runtime_class = "r"}, .v1 = V1_SPEC(",'runtimeClass':'r'")},
    {.name = "display_name", .own = {.display_name = "mine"},
     .v1 = V1_ALL(MAIN("python:3.11", "/bin/sh", ",'args':" KEEP), "", ",'displayName':'mine'")},
    {.name = "image_credentials",
     .own = {.image_credentials = &(const cws_image_credentials){"ghcr.io", "s", "n", NULL}},
     .v1 = V1_MAIN(",'imagePullCredentials':{'registry':'ghcr.io','credentials':{'storeName':'s',"
                   "'path':'n'}}")},
    {.name = "image_credentials: a field",
     .own = {.image_credentials = &(const cws_image_credentials){"ghcr.io", "s", "n", "f"}},
     .v1 = V1_MAIN(",'imagePullCredentials':{'registry':'ghcr.io','credentials':{'storeName':'s',"
                   "'path':'n','field':'f'}}")},
    {.name = "security: nothing in it",
     .own = {.security = &(const cws_security){.run_as_user = 7, .run_as_group = 7}},
     .v1 = V1_SECURITY("{}")},
    {.name = "security: root is a user",
     .own = {.security = &(const cws_security){.set_user = CWS_YES, .set_group = CWS_YES}},
     .v1 = V1_SECURITY("{'runAsUser':0,'runAsGroup':0}")},
    {.name = "security: everything",
     .own = {.security = &(const cws_security){CWS_YES, 4294967295u, CWS_NO, 5, CWS_NO, CWS_NO,
                                               CWS_YES, STRINGS("NET_ADMIN"), STRINGS("ALL"),
                                               "RuntimeDefault"}},
     .v1 = V1_SECURITY("{'runAsUser':4294967295,'privileged':false,"
                       "'allowPrivilegeEscalation':false,'readOnlyRootFilesystem':true,"
                       "'capabilitiesAdd':['NET_ADMIN'],'capabilitiesDrop':['ALL'],"
                       "'seccompProfile':'RuntimeDefault'}")},
    {.name = "security: privileged",
     .own = {.security = &(const cws_security){.privileged = CWS_YES,
                                               .allow_privilege_escalation = CWS_YES,
                                               .read_only_root_filesystem = CWS_NO}},
     .v1 = V1_SECURITY("{'privileged':true,'allowPrivilegeEscalation':true,"
                       "'readOnlyRootFilesystem':false}")},
    {.name = "startup_probe",
     .own = {.startup_probe = &(const cws_probe){.argv = STRINGS("test", "-e", "/x")}},
     .v1 = V1_MAIN(",'startupProbe':{'exec':['test','-e','/x']}")},
    {.name = "startup_probe: everything",
     .own = {.startup_probe = &(const cws_probe){STRINGS("true"), 1, 2, 3, 4}},
     .v1 = V1_MAIN(",'startupProbe':{'exec':['true'],'periodSeconds':1,'timeoutSeconds':2,"
                   "'failureThreshold':3,'initialDelaySeconds':4}")},
    /* more containers */
    {.name = "containers: just a name and an image",
     .own = {.containers = CONTAINERS({.name = "a", .image = "i"}, {.name = "b-2", .image = "j"}),
             .container_count = 2},
     .v1 = V1_ALL(PRIMARY("") ",{'name':'a','image':'i'},{'name':'b-2','image':'j'}", "", "")},
    {.name = "containers: everything",
     .own = {.volumes = VOLUMES({.name = "v", .mount_path = "/v"}), .volume_count = 1,
             .containers = CONTAINERS({.name = "a", .image = "i", .command = "c",
                                       .args = STRINGS("x", ""), .working_dir = "/w",
                                       .environment_variables = PAIRS({"A", "1"}),
                                       .resources = RESOURCES(.cpu = "1"),
                                       .secrets = SECRETS({"s", "n", NULL, NULL}),
                                       .secret_count = 1,
                                       .mounted_files = FILES({"/f", "a", 1}),
                                       .mounted_file_count = 1,
                                       .mounts = (const cws_mount[]){{"v", "/m", "s", true},
                                                                     {"v", "/n", NULL, false}},
                                       .mount_count = 2,
                                       .image_credentials = &(const cws_image_credentials){
                                           "r", "s", "n", NULL},
                                       .security = &(const cws_security){.privileged = CWS_NO},
                                       .startup_probe = &(const cws_probe){STRINGS("y"), 1, 2, 3,
                                                                           4}}),
             .container_count = 1},
     .v1 = V1_ALL(PRIMARY(",'volumeMounts':[{'volume':'v','mountPath':'/v'}]")
                  ",{'name':'a','image':'i','command':'c','args':['x',''],'environmentVariables':"
                  "{'A':'1'},'files':[{'path':'/f','content':'YQ=='}],'volumeMounts':[{'volume':"
                  "'v','mountPath':'/m','readOnly':true,'subPath':'s'},{'volume':'v','mountPath':"
                  "'/n'}],'secretStores':[{'storeName':'s','secrets':[{'path':'n','envVar':'n'}]}"
                  "],'workingDir':'/w','resourceRequirements':{'requests':{'cpu':'1'},'limits':"
                  "{'cpu':'1'}},'securityContext':{'privileged':false},'imagePullCredentials':"
                  "{'registry':'r','credentials':{'storeName':'s','path':'n'}},'startupProbe':"
                  "{'exec':['y'],'periodSeconds':1,'timeoutSeconds':2,'failureThreshold':3,"
                  "'initialDelaySeconds':4}}",
                  ",'volumes':[{'name':'v','scratch':{}}]", "")},
    {.name = "containers: none is not given, in v1beta2 either",
     .own = {.containers = CONTAINERS({.name = "a", .image = "i"}), .container_count = 0},
     .v1 = V1_MAIN(""),
     .b2 = B2("")},
    /* spillover: the first attempt; the second one is in options.c */
    {.name = "30: spillover STRICT is what v1beta2 has, too",
     .own = {.spillover = CWS_SPILLOVER_STRICT},
     .v1 = V1_MAIN(""),
     .b2 = B2("")},
    {.name = "30: spillover: to CKS first, with runner_ids",
     .own = {.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS, .runner_ids = STRINGS("r")},
     .v1 = V1_SPEC(",'runnerIds':['r'],'mode':'SANDBOX_MODE_CKS'")},
    {.name = "30: spillover of the defaults: to the serverless pool first",
     .defaults = {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS},
     .v1 = V1_SPEC(",'mode':'SANDBOX_MODE_SERVERLESS'")},
    {.name = "30: spillover replaces",
     .defaults = {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS},
     .own = {.spillover = CWS_SPILLOVER_STRICT, .placement = CWS_PLACEMENT_CKS},
     .v1 = V1_SPEC(",'mode':'SANDBOX_MODE_CKS'")},
    /* templates: only what is given, and the tags of the session */
    {.name = "29: template_id alone", .own = {.template_id = "t-1"}, .v1 = T_SPEC("")},
    {.name = "29: template_id: of the defaults only the tags count",
     .defaults = {.tags = STRINGS("a"), .container_image = "i", .command = "c",
                  .environment_variables = PAIRS({"A", "1"}), .max_lifetime_seconds = 60,
                  .runner_ids = STRINGS("r"), .placement = CWS_PLACEMENT_CKS,
                  .resources = RESOURCES(.cpu = "1"), .annotations = PAIRS({"a", "1"}),
                  .secrets = SECRETS({"s", "n", NULL, NULL}), .secret_count = 1,
                  .network = NETWORK(.deny_egress = CWS_YES),
                  .file_system = &(const cws_file_system){.mount_path = "/a"},
                  .volumes = VOLUMES({.name = "v", .volume_id = "i"}), .volume_count = 1,
                  .services = SERVICES({.port = 1}), .service_count = 1},
     .own = {.template_id = "t-1", .tags = STRINGS("b")},
     .v1 = T_SPEC("'tags':['a','b']")},
    {.name = "29: template_id and what concerns the sandbox",
     .own = {.template_id = "t-1", .max_lifetime_seconds = 5, .runner_ids = STRINGS("r"),
             .annotations = PAIRS({"a", "1"}), .instance_type = "it", .runtime_class = "rc",
             .network = NETWORK(.deny_ingress = CWS_YES), .display_name = "mine",
             .services = SERVICES({.port = 1}), .service_count = 1,
             .object_storage = &(const cws_object_storage){.buckets = STRINGS("b")}},
     .v1 = "{'templateId':'t-1','overrides':{'services':[{'port':1}],'maxLifetimeSeconds':5,"
           "'objectStorageAccess':{'buckets':['b'],'permission':'OBJECT_STORAGE_PERMISSION_READ'},"
           "'runnerIds':['r'],'network':{'denyIngress':true},'annotations':{'a':'1'},"
           "'instanceType':'it','mode':'SANDBOX_MODE_CKS','runtimeClass':'rc'},"
           "'displayName':'mine'}"},
    {.name = "29: template_id and what concerns the container",
     .own = {.template_id = "t-1", .container_image = "i", .command = "c", .args = STRINGS("a"),
             .environment_variables = PAIRS({"A", "1"}), .working_dir = "/w",
             .resources = RESOURCES(.cpu = "1"), .mounted_files = FILES({"/f", "a", 1}),
             .mounted_file_count = 1, .secrets = SECRETS({"s", "n", NULL, NULL}),
             .secret_count = 1,
             .security = &(const cws_security){.privileged = CWS_NO},
             .startup_probe = &(const cws_probe){.argv = STRINGS("x")}},
     .v1 = T_SPEC("'containers':[{'name':'main','image':'i','command':'c','args':['a'],"
                  "'environmentVariables':{'A':'1'},'files':[{'path':'/f','content':'YQ=='}],"
                  "'secretStores':[{'storeName':'s','secrets':[{'path':'n','envVar':'n'}]}],"
                  "'workingDir':'/w','resourceRequirements':{'requests':{'cpu':'1'},'limits':"
                  "{'cpu':'1'}},'securityContext':{'privileged':false},'startupProbe':"
                  "{'exec':['x']}}]")},
    {.name = "29: template_id with a command is not given the arguments of any default",
     .own = {.template_id = "t-1", .container_image = "i", .command = "c"},
     .v1 = T_SPEC("'containers':[{'name':'main','image':'i','command':'c'}]")},
    /* Known: what is empty is refused as something that the dialect lacks; it is not given (8, 6,
     * section 3.7), as it is for services and profiles. */
    {.name = "8: network.exposed_ports: none is not given, in v1 either",
     .own = {.network = NETWORK(.exposed_ports = INTS(80), .exposed_port_count = 0)},
     .v1 = V1_NET("{}")},
    {.name = "network.egress and ingress: none is not given, in v1beta2 either",
     .own = {.network = NETWORK(.egress = RULES({.any = true}), .ingress = RULES({.any = true}),
                                .egress_hostnames = NO_STRINGS)},
     .b2 = B2_NET("{}")},
    {.name = "ports: none is not given, in v1 either",
     .own = {.ports = PORTS({1, NULL, NULL}), .port_count = 0},
     .v1 = V1_MAIN("")},
    {.name = "file_system.name: an empty one is not given, in v1beta2 either",
     .own = {.file_system = &(const cws_file_system){.mount_path = "/w", .name = ""}},
     .b2 = B2(",'fileSystem':{'mountPath':'/w'}")},
    {.name = "volumes: an empty size of a registered one is not given",
     .own = {.volumes = VOLUMES({.name = "v", .volume_id = "i", .size = "",
                                 .restore_from_snapshot_id = ""}),
             .volume_count = 1},
     .v1 = V1_SPEC(",'volumes':[{'name':'v','volumeId':'i'}]")},
};

/* The call that creates the sandbox of a row. */
TEST_FN const char *op_create_rpc(const op_shape *row, bool b2)
{
    return b2 ? "Start" : row->own.template_id ? "CreateSandboxFromTemplate" : "CreateSandbox";
}

/* Cut the request id off, in place; it must be a random UUID. Only creates of v1 have one. */
TEST_FN void op_cut_id(char *json)
{
    static const char key[] = ",\"requestId\":\"";
    char *at = strstr(json, key), *id;
    size_t i;
    if (!CHECK(at != NULL)) return;
    id = at + sizeof(key) - 1;
    if (!CHECK(strlen(id) >= 38 && id[36] == '"' && !strstr(id, key))) return;
    for (i = 0; i < 36; i++)
        CHECK(i == 8 || i == 13 || i == 18 || i == 23 ? id[i] == '-'
                                                      : strchr("0123456789abcdef", id[i]) != NULL);
    CHECK(id[14] == '4' && strchr("89ab", id[19]));
    memmove(at, id + 37, strlen(id + 37) + 1);
}

#endif /* OPTIONS_TABLE_H */
