/* SPDX-License-Identifier: MIT
 *
 * Lists of options as expressions: STRINGS("a", "b"), VOLUMES({.name = "v", .mount_path = "/v"}).
 * C99 only, and valid as long as the block they stand in.
 */
#ifndef LITERALS_H
#define LITERALS_H

#define STRINGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_STRINGS ((const char *const[]){NULL})
#define PAIRS(...) ((const cws_pair[]){__VA_ARGS__, {NULL, NULL}})
#define NO_PAIRS ((const cws_pair[]){{NULL, NULL}})
#define NETWORK(...) (&(const cws_network){__VA_ARGS__})
#define RULES(...) ((const cws_network_rule[]){__VA_ARGS__})
#define RESOURCES(...) (&(const cws_resources){__VA_ARGS__})
#define VOLUMES(...) ((const cws_volume[]){__VA_ARGS__})
#define SERVICES(...) ((const cws_service[]){__VA_ARGS__})
#define SECRETS(...) ((const cws_secret[]){__VA_ARGS__})
#define FILES(...) ((const cws_mounted_file[]){__VA_ARGS__})
#define INTS(...) ((const int32_t[]){__VA_ARGS__})
#define CONTAINERS(...) ((const cws_container[]){__VA_ARGS__})
#define PORTS(...) ((const cws_port[]){__VA_ARGS__})
#define MOUNTS(...) ((const cws_mount[]){__VA_ARGS__})

#endif /* LITERALS_H */
