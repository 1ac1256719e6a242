/* SPDX-License-Identifier: MIT
 *
 * local_transport.h: a backend for cwsandbox.h that runs sandboxes as processes of this machine.
 *
 * NOT A SECURITY BOUNDARY. It exists for examples, tests and offline work. Run only what you would
 * run in a shell: a sandbox of this backend reads your files, uses your network and your CPU.
 *
 * Include it in the file that holds the implementation of cwsandbox.h, behind it:
 *
 *     #define _GNU_SOURCE
 *     #define CWSANDBOX_IMPLEMENTATION
 *     #include "cwsandbox.h"
 *     #include "local_transport.h"
 *     ...
 *     cws_transport local; cws_client_opts opts = {0};
 *     if (cws_local_transport_open(NULL, &local, &err)) { puts(err.message); return 1; }
 *     opts.transport = &local;
 *     opts.base_url = "http://localhost";
 *
 * It is a cws_transport of the streaming tier that answers the requests itself: it plays the
 * service, over Connect with binary protobuf, on the thread that polls. What it does not offer
 * answers UNIMPLEMENTED with reason CWSANDBOX_NOT_IMPLEMENTED, as the service does.
 *
 * DIALECTS. It speaks coreweave.sandbox.v1 and .v1beta2 about the same sandboxes: a client of
 * either finds, uses and stops those of the other. v1 shows those of v1beta2 without `spec`. Not in
 * v1beta2: Raw, S3 mounts, object storage, secrets of the runner's cluster, resuming of commands.
 * Not in v1: templates, object storage, registered volumes. Published ports are shown at 127.0.0.1,
 * where they are anyway; names of network modes are repeated, whatever they are. There is one
 * runner, "local", with one profile, "default".
 *
 * WHAT A SANDBOX SEES. With namespaces (Linux, where user, mount and PID namespaces are allowed): a
 * root directory of its own with private, writable /tmp, /root, /home and /workspace, the host's
 * other top-level directories read-only (kernel 5.12 or newer; otherwise as they are), and only its
 * own processes. Without: plain processes whose HOME, TMPDIR and working directory lie in the
 * sandbox's own tree. File calls map paths below the four directories into that tree and follow no
 * symbolic link there, but commands see the host's /tmp; opts.warn is told once. The image is
 * looked at in neither case: the host's programs run.
 *
 * VOLUMES are directories of their own, of the sandbox alone; their size is not limited, and their
 * medium is that of the directory. Their snapshots are copies (cp -a) below the root directory,
 * which outlive the sandbox but not the backend. Nothing is stopped while one is made: files that
 * are removed meanwhile can make it fail. Registered volumes do not exist, and the bucket is a
 * name. Of a directory of the host in which a volume is mounted the rest is seen too if overlayfs
 * allows. Without namespaces each volume has one mount, which commands find only below their
 * working directory, and neither read_only nor sub_path.
 *
 * CHOICES WHERE THE SERVICE SAYS NOTHING. Relative paths and the default working directory are
 * those of /workspace. WriteFile makes no parent directories, mounted files get theirs. The
 * environment starts clean (PATH, HOME, LANG, CWSANDBOX_ID). Secrets: the store "local" resolves
 * `path` to the variable of that name in the environment of this process. The default lifetime is
 * ten minutes, as observed of the service. A command that is killed by signal N exits with 128 + N.
 * Mounted files have mode 0444, which does not keep root out: unlike there, they can be written.
 *
 * LOGS are what the main process writes, in the order in which it comes: the last 8 MiB or so of
 * each sandbox, less for very short writes. A restart of the process begins a new log session; all
 * of them are shown, one behind the other, and a stream that follows ends when the process has
 * ended for good. Sandboxes that have ended still show theirs, which the service refuses, but not
 * with follow. A stream that falls behind what is kept ends with STREAM_TRUNCATED. The process
 * waits in its write while the pipe is full and the host does not poll.
 *
 * SEVERAL CONTAINERS are several main processes in one sandbox: they have their own environment and
 * working directory, but share all files and see each other's processes. They start in their order,
 * without probes. Logs are kept of the primary one only.
 *
 * PAUSE stops all processes with SIGSTOP, without namespaces those in the process groups of
 * commands; what asks for a running sandbox is refused meanwhile, but a stop lets them go on, to
 * end. The lifetime goes on.
 *
 * TERMINALS are pseudo-terminals of the host: 80 by 24 unless asked otherwise, TERM=xterm-256color
 * unless the environment has one. `close` types the end-of-file character. When the client cancels,
 * the terminal hangs up (SIGHUP), and what is left of its session a moment later is killed.
 *
 * ERRORS TO ORDER, for tests. Two variables in the environment of a sandbox to be created make its
 * streams fail: CWSL_TEST_LOG_ERROR for StreamLogs, CWSL_TEST_EXEC_ERROR for StreamExec, each
 *
 *     WHAT@BYTES or WHAT@BYTESxTIMES      such as STREAM_INTERRUPTED@4096x2
 *
 * ends a stream when exactly so many bytes of output were sent on it, so many times (once) in the
 * life of the sandbox. WHAT is a code in capitals for an error inside the stream, CUT to cut the
 * connection, or the Connect name of a status (unavailable). cws_local_opts.max_file_bytes makes
 * files too large. A third one, CWSL_TEST_SNAPSHOT, is for snapshots of the sandbox:
 *
 *     WHAT@MS or WHAT@MSxTIMES            such as READY@1500 or FAILED@0x2
 *
 * makes the next one, or so many, READY or FAILED after so many milliseconds; any other WHAT is the
 * Connect name of a status or the end of a reason (FSS_BACKEND_THROTTLED) with which to refuse it.
 *
 * Each sandbox is one supervisor process, forked from this one, that starts the commands, waits for
 * them and ends with its socket, so nothing survives this process. No signal handler is installed
 * here and no child but our own is waited for.
 *
 * Sections: >>local-api >>local-child >>local-supervisor >>local-server >>local-tools >>local-copy
 *           >>local-b2 >>local-exchange >>local-log >>local-frames >>local-sandbox >>local-job
 *           >>local-finish >>local-view >>local-check >>local-create >>local-snapshots
 *           >>local-calls >>local-b2-view >>local-b2-start >>local-b2-calls >>local-b2-snapshots
 *           >>local-b2-discovery >>local-logs >>local-stream >>local-b2-streams
 *           >>local-requests >>local-poll >>local-open
 */

#ifndef CWS_LOCAL_TRANSPORT_H
#define CWS_LOCAL_TRANSPORT_H

#ifndef CWSI_IMPLEMENTED
#error "include cwsandbox.h with CWSANDBOX_IMPLEMENTATION defined before local_transport.h"
#endif
#if defined(__linux__) && !defined(_GNU_SOURCE)
#error "local_transport.h needs #define _GNU_SOURCE before the first #include of the file"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

/* ================================================================================================
 * >>local-api
 * ============================================================================================= */

typedef struct cws_local_opts {
    const char *root;        /* directory for the sandboxes' files, made if missing; NULL: a fresh
                                one below $TMPDIR or /tmp that is removed at close */
    bool no_namespaces;      /* plain processes even where namespaces work */
    uint32_t start_delay_ms; /* how long a sandbox or snapshot stays CREATING at least */
    uint64_t max_file_bytes; /* cap of WriteFile and ReadFile; 0: 32 MiB; at most 99 MiB */
    uint32_t page_size;      /* most sandboxes or snapshots on one page of a list; 0: 1000 */
    const char *api_key;     /* NULL: any or none; else the bearer token that must be presented */
    void (*warn)(const char *line, void *user); /* one line for people, no newline; NULL: silence */
    void *user;
    uint32_t must_be_zero;
} cws_local_opts;

/* Make the backend; opts may be NULL. *out is to be given to cws_client_opts.transport; the client
 * closes it when it is freed. Without a client call out->close(out->user).
 * Returns CWS_ERR_INVALID_ARGUMENT, CWS_ERR_NO_MEMORY, CWS_ERR_TRANSPORT (directory, descriptors).
 * Blocks for some milliseconds to find out whether namespaces work. */
CWS_UNUSED_OK static cws_status cws_local_transport_open(const cws_local_opts *opts,
                                                         cws_transport *out, cws_error *err);
/* Are namespaces in use? */
CWS_UNUSED_OK static bool cws_local_isolated(const cws_transport *transport);
/* Number of sandboxes whose processes have not all ended. */
CWS_UNUSED_OK static size_t cws_local_live(const cws_transport *transport);

/* ================================================================================================
 * >>local-child
 * What runs in the children. The supervisor of a sandbox is a fork of a program that may have any
 * number of threads, so nothing here may allocate, lock or use stdio: system calls only. It gets
 * frames from the server over a stream socket, descriptors attached, and reports the same way.
 * With a PID namespace it is process 1 of it, otherwise a child subreaper (Linux) that kills what
 * it can find. End of the socket means that the server is gone: everything is killed.
 * ============================================================================================= */

#define CWSL_CONTROL 3         /* the supervisor's descriptor of the socket */
#define CWSL_CHILDREN 8192     /* processes of one sandbox that are started from outside */
#define CWSL_STRINGS (4u << 20) /* most bytes of arguments and environment */
#define CWSL_OWN 4
static const char *const cwsl_own[CWSL_OWN] = {"tmp", "root", "home", "workspace"};

typedef enum cwsl_op {
    CWSL_READY = 1, /* reports: the sandbox is set up */
    CWSL_BROKEN,    /*          it is not; id says where, value is the errno */
    CWSL_STARTED,   /*          process id has begun; value is its number there */
    CWSL_REFUSED,   /*          it has not; value is the errno */
    CWSL_EXITED,    /*          it ended; value is the wait status */
    CWSL_SPAWN,     /* requests: start a program; id 0 is the main one */
    CWSL_READ,      /*          copy a file into the attached descriptor */
    CWSL_WRITE,     /*          copy the attached descriptor into a file */
    CWSL_KILL,      /*          send signal value to the process group of process id */
    CWSL_KILL_ALL,  /*          send it to everything */
    CWSL_CLEAR      /*          kill what is left of session id, a value of STARTED */
} cwsl_op;

enum { CWSL_WALK = 1, CWSL_PARENTS = 2, CWSL_READ_ONLY = 4 }; /* value of READ and WRITE, flags */
enum { CWSL_TERMINAL = 1, CWSL_MAIN = 2 }; /* value of SPAWN, flags: the descriptors are a terminal;
                                              make the working directory */

typedef struct cwsl_frame {
    uint32_t size; /* of the payload that follows */
    uint32_t op;
    uint32_t id;
    int32_t value;
} cwsl_frame;

/* Payload of SPAWN: this, (argc + envc + 2) pointers to be filled in, then the strings, each with
 * its NUL: working directory, arguments, environment. */
typedef struct cwsl_spawn {
    uint64_t argc, envc;
} cwsl_spawn;

typedef struct cwsl_mount { /* a volume where a container has it */
    const char *from; /* directory of the host */
    const char *sub;  /* of it only this, or "" */
    const char *to;   /* path in the sandbox without its first slash */
    bool read_only;
} cwsl_mount;

typedef struct cwsl_birth { /* prepared before the fork */
    int control;
    bool namespaces;
    unsigned long flags;            /* of clone */
    const char *dir;                /* becomes the root directory, or holds the four */
    const char *const *binds;       /* names in / to be bound */
    const cwsl_mount *mounts;       /* those further up first */
    size_t mount_count;
    char uid_map[40], gid_map[40];
} cwsl_birth;

typedef struct cwsl_child { /* a process the supervisor waits for */
    pid_t pid;
    uint32_t id;
} cwsl_child;

static void cwsl_on_child(int number)
{
    (void)number; /* it only has to interrupt pselect */
}

static bool cwsl_write_all(int fd, const void *data, size_t size)
{
    const char *at = CWSI_CAST(const char *, data);
    while (size) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        size -= CWSI_CAST(size_t, n);
    }
    return true;
}

static void cwsl_report(cwsl_op op, uint32_t id, int32_t value)
{
    cwsl_frame f;
    f.size = 0, f.op = CWSI_CAST(uint32_t, op), f.id = id, f.value = value;
    (void)cwsl_write_all(CWSL_CONTROL, &f, sizeof(f));
}

/* fork without the C library's locks, which another thread of the host may have held. */
static pid_t cwsl_fork(unsigned long flags)
{
#if defined(__linux__) && (defined(__s390__) || defined(__CRIS__))
    return CWSI_CAST(pid_t, syscall(SYS_clone, 0, flags | SIGCHLD, 0, 0, 0));
#elif defined(__linux__)
    return CWSI_CAST(pid_t, syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
#else
    (void)flags;
    return fork();
#endif
}

static void cwsl_default_signals(void)
{
    struct sigaction action;
    sigset_t none;
    int i;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    for (i = 1; i < 65; i++) (void)sigaction(i, &action, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Make the directories above the last component of path, or path itself too. */
static void cwsl_make_dirs(char *path, bool whole)
{
    char *p = path;
    while ((p = strchr(p + 1, '/')) != NULL) {
        *p = '\0';
        (void)mkdir(path, 0755);
        *p = '/';
    }
    if (whole) (void)mkdir(path, 0755);
}

/* Open path below dir, component by component, through no symbolic link. */
static int cwsl_walk(const char *dir, char *path, int flags, bool parents)
{
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next, error;
    while (at >= 0) {
        char *slash = strchr(path, '/');
        if (slash) *slash = '\0';
        if (slash && parents) (void)mkdirat(at, path, 0755);
        next = openat(at, path,
                      slash ? O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : flags | O_NOFOLLOW,
                      0644);
        error = errno;
        (void)close(at);
        errno = error;
        if (!slash) return next;
        at = next;
        path = slash + 1;
    }
    return -1;
}

/* Make a directory below dir, and those above it. */
static bool cwsl_make_below(const char *dir, const char *path)
{
    char whole[PATH_MAX];
    int fd;
    if (strlen(path) + 3 > sizeof(whole)) return errno = ENAMETOOLONG, false;
    (void)cwsi_format(whole, sizeof(whole), "%s/.", path);
    fd = cwsl_walk(dir, whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC, true);
    if (fd >= 0) (void)close(fd);
    return fd >= 0;
}

#ifdef __linux__
static bool cwsl_put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && cwsl_write_all(fd, text, strlen(text));
    if (fd >= 0) (void)close(fd);
    return ok;
}

/* Make what is mounted at path read-only, and what lies below it. */
static bool cwsl_read_only(const char *path)
{
#ifdef SYS_mount_setattr
    uint64_t attr[4] = {1 /* MOUNT_ATTR_RDONLY */, 0, 0, 0};
    return syscall(SYS_mount_setattr, AT_FDCWD, path, 0x8000 /* AT_RECURSIVE */, attr,
                   sizeof(attr)) == 0;
#else
    (void)path;
    return errno = ENOSYS, false;
#endif
}

/* Bind /name to name below the working directory, read-only unless it has to be writable. If a
 * volume belongs below it, the two are shown as one, so that its mount point exists; where that is
 * not allowed, as with other mounts in /name, only the sandbox's own is. */
static bool cwsl_bind(const cwsl_birth *b, const char *name)
{
    char from[300], options[600];
    size_t i, len = strlen(name);
    (void)cwsi_format(options, sizeof(options), "lowerdir=%s:/%s", name, name);
    for (i = 0; i < b->mount_count; i++)
        if (strncmp(b->mounts[i].to, name, len) == 0 && b->mounts[i].to[len] == '/') {
            (void)mount("overlay", name, "overlay", MS_RDONLY, options);
            return true;
        }
    (void)cwsi_format(from, sizeof(from), "/%s", name);
    if (mount(from, name, NULL, MS_BIND | MS_REC, NULL)) return false;
    if (strcmp(name, "dev") != 0 && strcmp(name, "proc") != 0) (void)cwsl_read_only(name);
    return true;
}

static bool cwsl_mount_volume(const cwsl_mount *m)
{
    char from[PATH_MAX];
    if (m->sub[0] && !cwsl_make_below(m->from, m->sub)) return false;
    (void)cwsi_format(from, sizeof(from), "%s/%s", m->from, m->sub);
    return cwsl_make_below(".", m->to) && mount(from, m->to, NULL, MS_BIND, NULL) == 0 &&
           (!m->read_only || cwsl_read_only(m->to));
}

/* Enter a root directory of our own. Returns the number of the step that failed, or 0. */
static uint32_t cwsl_enter(const cwsl_birth *b)
{
    size_t i;
    if (b->flags & CLONE_NEWUSER) {
        (void)cwsl_put_file("/proc/self/setgroups", "deny");
        if (!cwsl_put_file("/proc/self/uid_map", b->uid_map)) return 1;
        if (!cwsl_put_file("/proc/self/gid_map", b->gid_map)) return 2;
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 3;
    if (mount(b->dir, b->dir, NULL, MS_BIND, NULL) || chdir(b->dir)) return 4;
    for (i = 0; i < b->mount_count; i++) /* before a directory of the host is above it */
        if (!cwsl_make_below(".", b->mounts[i].to)) return 8;
    for (i = 0; b->binds[i]; i++)
        if (!cwsl_bind(b, b->binds[i])) return 5;
    /* A fresh /proc is refused where the host's is partly hidden; then the host's has to do. */
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) &&
        !cwsl_bind(b, "proc"))
        return 6;
    for (i = 0; i < b->mount_count; i++)
        if (!cwsl_mount_volume(&b->mounts[i])) return 9;
    if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/")) return 7;
    return 0;
}
#endif

static void cwsl_close_from(int first)
{
    struct rlimit limit;
    int fd, end = 65536;
#if defined(__linux__) && defined(SYS_close_range)
    if (syscall(SYS_close_range, first, ~0u, 0) == 0) return;
#endif
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536)
        end = CWSI_CAST(int, limit.rlim_cur);
    for (fd = first; fd < end; fd++) (void)close(fd);
}

/* execve along the PATH of the new environment. Returns the errno. */
static int cwsl_exec(char *const *argv, char *const *envp)
{
    const char *path = "/usr/local/bin:/usr/bin:/bin", *end;
    char file[4200];
    int denied = 0;
    size_t i, len;
    if (strchr(argv[0], '/')) {
        (void)execve(argv[0], argv, envp);
        return errno;
    }
    for (i = 0; envp[i]; i++)
        if (strncmp(envp[i], "PATH=", 5) == 0) path = envp[i] + 5;
    for (; argv[0][0]; path = end + 1) {
        end = strchr(path, ':');
        len = end ? CWSI_CAST(size_t, end - path) : strlen(path);
        if (len && len + strlen(argv[0]) + 2 < sizeof(file)) {
            (void)cwsi_format(file, sizeof(file), "%.*s/%s", CWSI_CAST(int, len), path, argv[0]);
            (void)execve(file, argv, envp);
            if (errno == EACCES) denied = EACCES;
            else if (errno != ENOENT && errno != ENOTDIR) return errno;
        }
        if (!end) break;
    }
    return denied ? denied : ENOENT;
}

/* The new process of a SPAWN. Reports a failure through status and, as container runtimes do, with
 * a message on stderr and exit code 127 (no such program) or 126. */
static void cwsl_become(char *const *argv, char *const *envp, const char *dir, const int *fds,
                        bool terminal, int status)
{
    char text[400];
    const char *what = argv[0];
    int i, error = 0;
    (void)setsid();
    for (i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0) error = errno;
    if (!error && terminal && ioctl(0, TIOCSCTTY, 0)) error = errno;
    if (!error && chdir(dir)) error = errno, what = dir;
    cwsl_default_signals();
    if (!error) error = cwsl_exec(argv, envp);
    (void)cwsl_write_all(status, &error, sizeof(error));
    (void)cwsi_format(text, sizeof(text), "cannot run: %.*s: %s\n", 300, what,
                      error == ENOENT    ? "no such file or directory"
                      : error == EACCES  ? "permission denied"
                      : error == E2BIG   ? "argument list too long"
                      : error == ENOEXEC ? "exec format error"
                                         : "failed");
    (void)cwsl_write_all(2, text, strlen(text));
    _exit(error == ENOENT || error == ENOTDIR ? 127 : 126);
}

static bool cwsl_copy_bytes(int from, int to, uint64_t most)
{
    char buffer[65536];
    for (;;) {
        ssize_t n = read(from, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        if (n == 0) return true;
        if (CWSI_CAST(uint64_t, n) > most) return errno = EFBIG, false;
        most -= CWSI_CAST(uint64_t, n);
        if (!cwsl_write_all(to, buffer, CWSI_CAST(size_t, n))) return false;
    }
}

/* The whole life of a process that reads or writes one file; the exit code is the errno. A read
 * sends the size (8 bytes) first. O_NONBLOCK, because opening a FIFO must not hang. */
static int cwsl_file(const char *dir, const cwsl_frame *f, char *payload, int fd)
{
    bool reading = f->op == CWSL_READ;
    int flags = reading ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, file;
    uint64_t most, size;
    char *path = payload + sizeof(most);
    struct stat info;
    memcpy(&most, payload, sizeof(most));
    flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    if ((f->value & CWSL_PARENTS) && !(f->value & CWSL_WALK)) cwsl_make_dirs(path, false);
    file = (f->value & CWSL_WALK) ? cwsl_walk(dir, path, flags, (f->value & CWSL_PARENTS) != 0)
                                  : open(path, flags, 0644);
    if (file < 0 || fstat(file, &info)) return errno;
    if (S_ISDIR(info.st_mode)) return EISDIR;
    if (!reading) {
        if (!cwsl_copy_bytes(fd, file, UINT64_MAX)) return errno;
        if (f->value & CWSL_READ_ONLY) (void)fchmod(file, 0444);
        return close(file) ? errno : 0;
    }
    size = S_ISREG(info.st_mode) ? CWSI_CAST(uint64_t, info.st_size) : 0;
    if (!cwsl_write_all(fd, &size, sizeof(size))) return errno;
    if (size > most) return EFBIG;
    return cwsl_copy_bytes(file, fd, most) ? 0 : errno;
}

/* ================================================================================================
 * >>local-supervisor
 * The supervisor itself: what it is told, who has ended, and its own end. Still system calls only.
 * ============================================================================================= */

/* Carry out SPAWN, READ or WRITE: fork, and remember the child. */
static void cwsl_begin(const cwsl_birth *b, cwsl_child *children, const cwsl_frame *f,
                       char *payload, const int *fds)
{
    int status[2] = {-1, -1}, error = 0;
    pid_t pid = -1;
    size_t i = 0, slot;
    char **pointers = NULL, *text = NULL, *dir = NULL;
    cwsl_spawn head;
    for (slot = 0; slot < CWSL_CHILDREN && children[slot].pid; slot++) {}
    if (slot == CWSL_CHILDREN) error = EAGAIN;
    if (!error && f->op == CWSL_SPAWN) {
        memcpy(&head, payload, sizeof(head));
        pointers = CWSI_CAST(char **, CWSI_CAST(void *, payload + sizeof(head)));
        dir = payload + sizeof(head) + (head.argc + head.envc + 2) * sizeof(char *);
        text = dir + strlen(dir) + 1;
        for (; i < head.argc + head.envc + 2; i++) {
            if (i == head.argc || i == head.argc + head.envc + 1) continue; /* NULL already */
            pointers[i] = text;
            text += strlen(text) + 1;
        }
        if (f->value & CWSL_MAIN) cwsl_make_dirs(dir, true);
        if (pipe(status)) error = errno;
        if (!error) (void)fcntl(status[1], F_SETFD, FD_CLOEXEC);
    }
    if (!error) pid = cwsl_fork(0);
    if (pid == 0) {
        (void)close(CWSL_CONTROL);
        if (f->op != CWSL_SPAWN) {
            cwsl_default_signals();
            (void)setsid(); /* so that a transfer that is given up can be killed */
            _exit(cwsl_file(b->dir, f, payload, fds[0]));
        }
        (void)close(status[0]);
        cwsl_become(pointers, pointers + head.argc + 1, dir, fds, (f->value & CWSL_TERMINAL) != 0,
                    status[1]);
    }
    if (pid < 0 && !error) error = errno;
    if (!error) children[slot].pid = pid, children[slot].id = f->id;
    if (status[0] >= 0) { /* nothing comes if the program has taken over */
        int failed = 0;
        (void)close(status[1]);
        if (!error && read(status[0], &failed, sizeof(failed)) == sizeof(failed) && f->id == 0) {
            (void)waitpid(pid, NULL, 0);
            children[slot].pid = 0;
            error = failed;
        }
        (void)close(status[0]);
    }
    cwsl_report(error ? CWSL_REFUSED : CWSL_STARTED, f->id, error ? error : pid);
}

/* Kill a session whose leader may have ended. A shell on a terminal gives each of its commands a
 * process group of its own, so on Linux all processes are looked at. */
static void cwsl_clear(pid_t session)
{
#ifdef __linux__
    char entries[4096];
    uint16_t size;
    long n, at;
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && (n = syscall(SYS_getdents64, fd, entries, sizeof(entries))) > 0)
        for (at = 0; at < n; at += size) {
            const char *name = entries + at + 19; /* behind inode, offset, size and type */
            pid_t pid = 0;
            memcpy(&size, entries + at + 16, sizeof(size));
            for (; cwsi_is_digit(*name); name++) pid = pid * 10 + (*name - '0');
            if (pid > 1 && getsid(pid) == session) (void)kill(pid, SIGKILL);
        }
    if (fd >= 0) (void)close(fd);
#endif
    (void)kill(-session, SIGKILL);
}

/* Take one frame with its descriptors from the server and do what it says; false: it is gone. */
static bool cwsl_request(const cwsl_birth *b, cwsl_child *children)
{
    cwsl_frame f;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } control;
    struct msghdr msg;
    struct iovec io;
    struct cmsghdr *c;
    int fds[3] = {-1, -1, -1}, i;
    size_t have, len = 1;
    char *payload = NULL;
    ssize_t n;
    memset(&msg, 0, sizeof(msg));
    io.iov_base = &f, io.iov_len = sizeof(f);
    msg.msg_iov = &io, msg.msg_iovlen = 1;
    msg.msg_control = &control, msg.msg_controllen = sizeof(control);
    do n = recvmsg(CWSL_CONTROL, &msg, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0) return false;
    c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len <= CMSG_LEN(sizeof(fds)))
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    for (i = 0; i < 3; i++)
        if (fds[i] >= 0) (void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    for (have = CWSI_CAST(size_t, n); have < sizeof(f); have += CWSI_CAST(size_t, n)) {
        n = read(CWSL_CONTROL, CWSI_CAST(char *, CWSI_CAST(void *, &f)) + have, sizeof(f) - have);
        if (n < 0 && errno == EINTR) n = 0;
        else if (n <= 0) return false;
    }
    if (f.size) {
        void *map = mmap(NULL, len = f.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
        if (map == MAP_FAILED) return false;
        payload = CWSI_CAST(char *, map);
    }
    for (have = 0; have < f.size; have += CWSI_CAST(size_t, n)) {
        n = read(CWSL_CONTROL, payload + have, f.size - have);
        if (n < 0 && errno == EINTR) n = 0;
        else if (n <= 0) return false;
    }
    if (f.op == CWSL_KILL_ALL && b->namespaces) {
        (void)kill(-1, f.value); /* all but process 1, which this is */
    } else if (f.op == CWSL_KILL || f.op == CWSL_KILL_ALL) {
        for (i = 0; i < CWSL_CHILDREN; i++)
            if (children[i].pid && (f.op == CWSL_KILL_ALL || children[i].id == f.id))
                (void)kill(-children[i].pid, f.value);
    } else if (f.op == CWSL_CLEAR) {
        cwsl_clear(CWSI_CAST(pid_t, f.id));
    } else if (payload && (fds[f.op == CWSL_SPAWN ? 2 : 0] >= 0)) {
        cwsl_begin(b, children, &f, payload, fds);
    } else {
        cwsl_report(CWSL_REFUSED, f.id, EMFILE); /* the descriptors did not fit */
    }
    for (i = 0; i < 3; i++)
        if (fds[i] >= 0) (void)close(fds[i]);
    if (payload) (void)munmap(payload, len);
    return true;
}

static void cwsl_reap(cwsl_child *children)
{
    int status, i;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (i = 0; i < CWSL_CHILDREN; i++)
            if (children[i].pid == pid) {
                children[i].pid = 0;
                cwsl_report(CWSL_EXITED, children[i].id, status);
                break;
            }
}

/* End of a supervisor without a PID namespace: kill the sessions we know and, on Linux, every
 * orphan that came to us, until nothing is left. */
static void cwsl_kill_all(const cwsl_child *children)
{
    int i, round;
    for (i = 0; i < CWSL_CHILDREN; i++)
        if (children[i].pid) (void)kill(-children[i].pid, SIGKILL);
    for (round = 0; round < 1000; round++) {
        pid_t pid = 0;
#ifdef __linux__
        char list[4096], *p;
        int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, list, sizeof(list) - 1) : 0;
        if (fd >= 0) (void)close(fd);
        for (list[n > 0 ? n : 0] = '\0', p = list; *p; p++) {
            if (cwsi_is_digit(*p)) pid = pid * 10 + (*p - '0');
            else if (pid > 1) (void)kill(pid, SIGKILL), pid = 0;
        }
#endif
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {}
        if (pid < 0 && errno == ECHILD) return;
        {
            struct timespec pause;
            pause.tv_sec = 0, pause.tv_nsec = 1000000;
            (void)nanosleep(&pause, NULL);
        }
    }
}

/* The supervisor. Called in the child with every signal blocked; does not return. */
static void cwsl_supervise(const cwsl_birth *b)
{
    struct sigaction action;
    sigset_t child, open_mask;
    uint32_t failed = 0;
    int null;
    void *map;
    cwsl_child *children;
    cwsl_default_signals();
    (void)sigemptyset(&open_mask);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    memset(&action, 0, sizeof(action));
    action.sa_handler = cwsl_on_child;
    (void)sigaction(SIGCHLD, &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
    (void)setsid();
    (void)umask(022);
    if (b->control != CWSL_CONTROL) (void)dup2(b->control, CWSL_CONTROL);
    (void)fcntl(CWSL_CONTROL, F_SETFD, FD_CLOEXEC);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)dup2(null, 0), (void)dup2(null, 1), (void)dup2(null, 2);
    cwsl_close_from(CWSL_CONTROL + 1);
    map = mmap(NULL, CWSL_CHILDREN * sizeof(cwsl_child), PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) failed = 10;
#ifdef __linux__
    if (!failed && b->namespaces) failed = cwsl_enter(b);
    if (!b->namespaces) (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
#endif
    cwsl_report(failed ? CWSL_BROKEN : CWSL_READY, failed, failed ? errno : 0);
    if (failed) _exit(1);
    children = CWSI_CAST(cwsl_child *, map);
    for (;;) {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(CWSL_CONTROL, &readable);
        cwsl_reap(children);
        if (pselect(CWSL_CONTROL + 1, &readable, NULL, NULL, NULL, &open_mask) > 0 &&
            !cwsl_request(b, children))
            break;
    }
    if (!b->namespaces) cwsl_kill_all(children); /* else the kernel does it */
    _exit(0);
}

/* ================================================================================================
 * >>local-server
 * The objects of this side and the small things they share.
 * ============================================================================================= */

#define CWSL_PIECE 65536             /* read from a pipe, reported or fed to stdin at a time */
#define CWSL_UNREPORTED (1u << 20)   /* a command's pipes are left alone above this */
#define CWSL_LOG (8u << 20)          /* memory for the log of one sandbox */
#define CWSL_LOGS (64u << 20)        /* above this, ended sandboxes lose theirs, oldest first */
#define CWSL_STAMPED 16384           /* log bytes in one message with times */
#define CWSL_MESSAGE (4u << 20)      /* largest message of a stream */
#define CWSL_BODY (100u << 20)       /* largest unary request */
#define CWSL_KEPT (16u << 20)        /* unary Exec: default bytes per stream; thrice that at most */
#define CWSL_ENDED 4096              /* ended sandboxes that are remembered */
#define CWSL_RESTARTS 6
#define CWSL_LIFETIME_S 600
#define CWSL_GRACE_MAX_S 3600
#define CWSL_DRAIN_MS 100            /* silence after which an exited command's output is over */
#define CWSL_DRAIN_MAX_MS 1000       /* a grandchild may talk on for this long */
#define CWSL_HANGUP_MS 300           /* from the hang-up of a terminal to the kill */
#define CWSL_DOMAIN "cwsandbox.com"
#define CWSL_VOLUMES "%s/%s-volumes" /* root and id of the sandbox */

typedef struct cwsl_server cwsl_server;
typedef struct cwsl_exchange cwsl_exchange;
typedef struct cwsl_box cwsl_box;
typedef struct cwsl_job cwsl_job;

typedef struct cwsl_note { /* a frame on its way to a supervisor */
    struct cwsl_note *next;
    char *bytes;
    size_t len, sent;
    int fds[3];
    int fd_count;
} cwsl_note;

/* A piece of what a main process wrote; its bytes follow it. Positions in the log go on over
 * restarts of the process, each of which begins a session with offsets of its own. */
typedef struct cwsl_piece {
    struct cwsl_piece *next;
    uint64_t at; /* position of its first byte */
    int64_t ns;  /* when it came, since 1970 */
    size_t len;
    uint32_t session;
} cwsl_piece;

typedef struct cwsl_log_session {
    char id[40];
    uint64_t begin; /* position */
} cwsl_log_session;

typedef struct cwsl_log {
    cwsl_piece *first, *last; /* those that are kept */
    size_t size;              /* of their memory */
    uint64_t end;             /* bytes that were ever written */
    int pipe[2];              /* one for all runs of the process: stdout and stderr */
    size_t slot;
    cwsl_log_session sessions[CWSL_RESTARTS + 1];
    uint32_t session_count;
} cwsl_log;

typedef struct cwsl_fault { /* what a test has ordered */
    char what[40];
    uint64_t bytes, times; /* times: left */
} cwsl_fault;

typedef struct cwsl_copy { /* a tree that is being copied by a process */
    pid_t pid;  /* 0: none */
    int pipe;   /* its stderr */
    size_t slot;
    char text[160]; /* how that begins */
    size_t len;
} cwsl_copy;

typedef struct cwsl_snapshot cwsl_snapshot;
struct cwsl_snapshot {
    cwsl_snapshot *next;
    cwsl_server *server;
    uint64_t number; /* in order of creation */
    char id[40], box_id[40];
    char dir[PATH_MAX];
    cwsi_arena arena; /* of these: */
    cwsi_str volume, request_id, bucket;
    cwsl_box *box;    /* while it is copied from there */
    cwsl_copy copy;
    size_t users;     /* volumes that are to be filled from it */
    int32_t state, trigger; /* of v1 */
    bool deleted;     /* the record; the files go when nobody copies them */
    bool fails;       /* once it is copied */
    char reason[200];
    uint64_t size;
    int64_t created_ms, completed_ms; /* wall clock */
    int64_t ready_at;                 /* monotonic: CREATING until then */
};

typedef struct cwsl_volume { /* a scratch volume of a sandbox */
    cwsi_str name;
    const char *dir;       /* of the host */
    cwsl_snapshot *source; /* still to be copied into it, or NULL */
} cwsl_volume;

typedef struct cwsl_side { /* a container other than the primary one */
    const cwsi_v1_Container *spec;
    cwsi_list env; /* of cwsi_str */
    uint32_t id;   /* of its main process */
    bool running, ended;
    int32_t exit_code, restarts;
    int64_t restart_at; /* monotonic, CWSI_NEVER */
} cwsl_side;

typedef struct cwsl_reader { /* what a StreamLogs has still to send */
    cwsl_box *box;
    uint64_t at, stop; /* positions */
    bool follow, stamps, in_line;
    const cwsl_piece *piece; /* where the last message began, valid while position is kept */
    uint64_t position;
} cwsl_reader;

struct cwsl_box { /* one sandbox */
    cwsl_box *next;
    cwsl_server *server;
    uint64_t number; /* in order of creation */
    char id[40];
    char dir[PATH_MAX];
    cwsi_arena arena;
    cwsi_buf body; /* the create request, from which spec borrows */
    const cwsi_v1_Sandbox *given;
    const cwsi_v1_SandboxSpec *spec;
    const cwsi_v1_Container *container; /* the primary one */
    cwsl_side *sides;                   /* the others, in their order */
    size_t side_count;
    cwsi_str request_id;
    bool older;               /* made with v1beta2 */
    cwsi_str ingress, egress; /* then: its network modes */
    cwsi_list env; /* of cwsi_str, KEY=value; of the primary container */
    pid_t pid;     /* supervisor, 0 once it was reaped */
    int control;
    cwsl_note *notes; /* to be sent, oldest first */
    char report[sizeof(cwsl_frame)];
    size_t reported; /* bytes of report */
    size_t slot;     /* in the poll array */
    cwsl_log log;
    cwsl_fault log_fault, exec_fault, snapshot_fault;
    cwsi_list volumes; /* of cwsl_volume */
    cwsi_list mounts;  /* of cwsl_mount, those further up first */
    cwsl_copy restore;
    size_t restored;   /* volumes that are ready to be used */
    bool archiving;    /* to be stopped once no snapshot is copied, with this grace period: */
    int32_t archive_grace_s;
    size_t mounted;  /* files of the containers that are in place */
    int32_t state;   /* cwsi_v1 State, as shown */
    int32_t exit_code, restarts, lifetime_s;
    bool main_running, has_exit, stopping, ending;
    bool paused, restart_held; /* held: it was due in the meantime */
    int32_t end_state; /* once ending */
    char reason[200];
    int64_t created_ms, started_ms, ended_ms;                    /* wall clock */
    int64_t ready_at, restart_at, lifetime_at, grace_at, reap_at; /* monotonic, CWSI_NEVER */
};

typedef enum cwsl_job_kind {
    CWSL_COLLECT, /* Exec */
    CWSL_STREAM,  /* StreamExec */
    CWSL_FETCH,   /* ReadFile */
    CWSL_STORE,   /* WriteFile */
    CWSL_MOUNT    /* a file of the container, before its start */
} cwsl_job_kind;

struct cwsl_job { /* one process of a sandbox, other than its main one */
    cwsl_job *next;
    cwsl_box *box;
    cwsl_exchange *exchange; /* NULL: nobody listens */
    cwsl_job_kind kind;
    const cwsi_v1_Container *container;
    uint32_t id;
    int in, out[2];   /* our ends of stdin, stdout, stderr; -1 when closed */
    size_t slot_in, slot[2];
    const char *data; /* STORE, MOUNT: what is to be written, borrowed */
    size_t data_len;
    cwsi_buf feed; /* STREAM: stdin that was received */
    bool feed_end;
    cwsi_buf kept[2];
    uint64_t produced[2], owed[2]; /* owed: in the pipe when it exited */
    uint64_t keep_max;
    bool started, exited, lost, done;
    bool unkilled; /* dropped, but there was no memory to say so */
    bool terminal, in_line; /* in_line: stdin so far does not end with a line */
    struct winsize size;
    uint32_t session;   /* of the supervisor's counting, once started */
    int64_t clear_at;   /* its terminal was closed; then it is killed */
    int32_t status; /* wait status, or errno if refused */
    bool refused;
    int64_t quiet_at, hard_at; /* after the exit */
    cwsi_str path;
};

/* A reply of v1 as that of the call; NULL: out of memory. */
typedef const void *(*cwsl_answer_fn)(cwsl_exchange *x, const void *msg);

struct cwsl_exchange {
    cwsl_exchange *next;
    cwsl_server *server;
    cws_exchange *peer;
    const cwsi_rpc *rpc;
    cwsi_rpc_id rpc_id;
    cwsi_arena arena;
    cwsi_buf in; /* request bytes that came through send, and streams' bodies */
    size_t in_at;
    cwsi_str body; /* unary: borrowed from open */
    bool fin, wants_room, dispatched, finished, head_sent, ended, cancelled, closed_window;
    bool cut;        /* ends with a reset once all was reported */
    int http_status;
    const char *content_type;
    cwsi_buf out;
    size_t out_at;
    int64_t deadline;
    cwsl_job *job;
    cwsl_reader reader;
    uint64_t output; /* bytes of a stream's output so far */
    cwsl_answer_fn answer;                     /* of a unary call of v1beta2 */
    const cwsi_b2_StartSandboxRequest *start;  /* if that is what it is */
    const char *limit; /* the deadline is not the client's: reason of the error */
    uint64_t waiting;  /* for the snapshot of this number */
    cwsi_list meta;    /* of map_StrStr: metadata of the error to come */
    const char *field; /* violated field of the error to come */
    size_t container;  /* that is being checked */
};

struct cwsl_server {
    cwsi_mem mem;
    cwsl_box *boxes, *last_box;
    cwsl_exchange *exchanges;
    cwsl_job *jobs;
    cwsl_snapshot *snapshots;
    char bucket[256], region[128]; /* where snapshots are said to be; "": managed */
    char root[PATH_MAX / 2];
    char uid_map[40], gid_map[40];
    cwsi_arena arena;
    const char **binds; /* directories of the host root, then NULL */
    const char **links; /* names and targets of its symbolic links, then NULL */
    bool own_root, isolated, in_poll, progress;
    unsigned long clone_flags;
    int wake[2];
    uint64_t boxes_made, snapshots_made, seed;
    int64_t opened_ms; /* wall clock */
    uint32_t job_ids, page_size, start_delay_ms, requests;
    uint64_t max_file;
    char *api_key;
    struct pollfd *fds;
    size_t fd_count, fd_room, box_count, job_count, snapshot_count, log_size;
    char piece[CWSL_PIECE];
};

/* ================================================================================================
 * >>local-tools
 * Time, descriptors, directories.
 * ============================================================================================= */

static int64_t cwsl_clock(bool wall)
{
    struct timespec t;
    (void)clock_gettime(wall ? CLOCK_REALTIME : CLOCK_MONOTONIC, &t);
    return CWSI_CAST(int64_t, t.tv_sec) * 1000 + t.tv_nsec / 1000000;
}

static int64_t cwsl_now(void)
{
    return cwsl_clock(false);
}

static bool cwsl_prepare_fd(int fd, bool nonblocking)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
           (!nonblocking || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

static void cwsl_close(int *fd)
{
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
}

/* A pipe whose end `ours` (0 reads, 1 writes) does not block. */
static bool cwsl_pipe(int *fds, int ours)
{
#ifdef __linux__
    if (pipe2(fds, O_CLOEXEC)) return fds[0] = fds[1] = -1, false;
#else
    if (pipe(fds)) return fds[0] = fds[1] = -1, false;
#endif
    if (cwsl_prepare_fd(fds[1 - ours], false) && cwsl_prepare_fd(fds[ours], true)) return true;
    cwsl_close(&fds[0]);
    cwsl_close(&fds[1]);
    return false;
}

/* write to a pipe whose reader may be gone, without SIGPIPE for the host: the signal is blocked
 * for this thread, and taken out again if the write was what raised it. */
static ssize_t cwsl_write_pipe(int fd, const char *data, size_t size)
{
    sigset_t pipe_only, before, pending;
    ssize_t n;
    int error, number;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    n = write(fd, data, size);
    error = errno;
    if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE)) {
        (void)sigpending(&pending);
        if (sigismember(&pending, SIGPIPE)) (void)sigwait(&pipe_only, &number);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n;
}

static void cwsl_random(cwsl_server *s, unsigned char *out, size_t size)
{
    size_t i;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, size) : -1;
    if (fd >= 0) (void)close(fd);
    if (n == CWSI_CAST(ssize_t, size)) return;
    for (i = 0; i < size; i++) { /* unique here is all that is needed */
        s->seed = s->seed * 6364136223846793005u + CWSI_CAST(uint64_t, cwsl_clock(true)) + 1;
        out[i] = CWSI_CAST(unsigned char, s->seed >> 56);
    }
}

/* A version-4 UUID. */
static void cwsl_make_id(cwsl_server *s, char *out)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char b[16];
    size_t i, o = 0;
    cwsl_random(s, b, sizeof(b));
    b[6] = CWSI_CAST(unsigned char, (b[6] & 15) | 0x40);
    b[8] = CWSI_CAST(unsigned char, (b[8] & 63) | 0x80);
    for (i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out[o++] = '-';
        out[o++] = hex[b[i] >> 4];
        out[o++] = hex[b[i] & 15];
    }
    out[o] = '\0';
}

/* Empty a directory without recursion: what is below is first moved up, so that neither its depth
 * nor its number of entries matters. Returns whether anything had to be moved up. */
static bool cwsl_empty(int dir_fd, int up, uint64_t *counter)
{
    DIR *dir = fdopendir(dir_fd);
    struct dirent *e;
    struct stat info;
    bool moved = false;
    if (!dir) return (void)close(dir_fd), false;
    while ((e = readdir(dir)) != NULL) {
        char name[40];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (unlinkat(dirfd(dir), e->d_name, 0) == 0) continue;
        if (fstatat(dirfd(dir), e->d_name, &info, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(info.st_mode))
            continue; /* fchmodat would follow a symbolic link */
        (void)fchmodat(dirfd(dir), e->d_name, 0700, 0);
        if (unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR) == 0 || up < 0) continue;
        (void)cwsi_format(name, sizeof(name), "cwsl-removed-%llu",
                          CWSI_CAST(unsigned long long, ++*counter));
        moved |= renameat(dirfd(dir), e->d_name, up, name) == 0;
    }
    (void)closedir(dir);
    return moved;
}

static void cwsl_remove_tree(const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int top = open(path, flags);
    uint64_t counter = 0;
    bool again = top >= 0;
    if (again) (void)fchmod(top, 0700); /* its commands may have made it read-only */
    while (again) {
        struct dirent *e;
        DIR *dir;
        int fd = openat(top, ".", flags);
        if (fd < 0) break;
        (void)cwsl_empty(fd, -1, &counter);
        again = false;
        fd = openat(top, ".", flags);
        dir = fd >= 0 ? fdopendir(fd) : NULL;
        while (dir && (e = readdir(dir)) != NULL) {
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
            fd = openat(top, e->d_name, flags);
            if (fd >= 0 && cwsl_empty(fd, top, &counter)) again = true;
            (void)unlinkat(top, e->d_name, AT_REMOVEDIR);
        }
        if (dir) (void)closedir(dir);
    }
    cwsl_close(&top);
    (void)rmdir(path);
}

/* Room in the poll array for what exists and one more of each, so that poll itself needs no
 * memory. */
static bool cwsl_reserve(cwsl_server *s)
{
    size_t want = 2 + 3 * (s->box_count + 1) + 3 * (s->job_count + 1) + s->snapshot_count;
    void *grown;
    if (want <= s->fd_room) return true;
    grown = cwsi_realloc(&s->mem, s->fds, 2 * want * sizeof(struct pollfd));
    if (!grown) return false;
    s->fds = CWSI_CAST(struct pollfd *, grown);
    s->fd_room = 2 * want;
    return true;
}

/* The bucket that snapshots are said to be in. */
static const char *cwsl_bucket(const cwsl_server *s)
{
    return s->bucket[0] ? s->bucket : "cw-managed-local";
}

static bool cwsl_is_terminal(int32_t state)
{
    return state == CWSI_v1_STATE_COMPLETED || state == CWSI_v1_STATE_FAILED ||
           state == CWSI_v1_STATE_TERMINATED;
}

/* ================================================================================================
 * >>local-copy
 * Trees are copied by cp(1), a process of its own, so that the poll waits for nobody.
 * ============================================================================================= */

/* Begin to copy what is in a directory into another one, which exists. */
static bool cwsl_copy_begin(cwsl_copy *copy, const char *from, const char *to)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    const char *argv[] = {"cp", "-a", NULL, to, NULL};
    char source[PATH_MAX];
    int fds[2] = {-1, -1}, null, i;
    sigset_t all, before;
    if (strlen(from) + 3 > sizeof(source) || !cwsl_pipe(fds, 0)) return false;
    (void)cwsi_format(source, sizeof(source), "%s/.", from);
    argv[2] = source;
    copy->len = 0;
    (void)sigfillset(&all); /* see cwsl_give_birth */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    copy->pid = cwsl_fork(0);
    if (copy->pid == 0) {
        cwsl_default_signals();
        (void)umask(022);
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (i = 0; i < 3; i++) (void)dup2(i == 2 ? fds[1] : null, i);
        cwsl_close_from(3);
        (void)cwsl_exec(CWSI_CAST(char *const *, CWSI_CAST(const void *, argv)),
                        CWSI_CAST(char *const *, CWSI_CAST(const void *, env)));
        _exit(127);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    cwsl_close(&fds[1]);
    if (copy->pid > 0) return copy->pipe = fds[0], true;
    cwsl_close(&fds[0]);
    copy->pid = 0;
    return false;
}

/* Wait for its process, which is about to end. Was all copied? */
static bool cwsl_copy_end(cwsl_copy *copy)
{
    int status = 0;
    pid_t got;
    do got = waitpid(copy->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    copy->pid = 0;
    cwsl_close(&copy->pipe);
    return got < 0 ? copy->len == 0 : WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void cwsl_copy_kill(cwsl_copy *copy)
{
    if (!copy->pid) return;
    (void)kill(copy->pid, SIGKILL);
    (void)cwsl_copy_end(copy);
}

/* Take what it says. True: that is all, it has ended or is about to. */
static bool cwsl_copy_read(cwsl_copy *copy)
{
    char text[256];
    ssize_t n;
    while ((n = read(copy->pipe, text, sizeof(text))) > 0) {
        size_t room = sizeof(copy->text) - 1 - copy->len, size = CWSI_CAST(size_t, n);
        size = size < room ? size : room;
        memcpy(copy->text + copy->len, text, size);
        copy->len += size;
        copy->text[copy->len] = '\0';
        copy->text[strcspn(copy->text, "\n")] = '\0';
    }
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* Bytes of the files in a directory, which is closed. */
static uint64_t cwsl_tree_size(int fd, int depth)
{
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;
    struct stat info;
    uint64_t size = 0;
    if (!dir) return cwsl_close(&fd), size;
    while ((e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (fstatat(dirfd(dir), e->d_name, &info, AT_SYMLINK_NOFOLLOW)) continue;
        if (S_ISREG(info.st_mode)) size += CWSI_CAST(uint64_t, info.st_size);
        if (S_ISDIR(info.st_mode) && depth < 100)
            size += cwsl_tree_size(openat(dirfd(dir), e->d_name,
                                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                                   depth + 1);
    }
    (void)closedir(dir);
    return size;
}

/* ================================================================================================
 * >>local-b2
 * Dialect v1beta2. The backend thinks in v1: a request of the older package becomes the one of v1
 * that means the same (>>local-b2-start, >>local-b2-calls, >>local-b2-streams), and what is
 * answered becomes a message of the older one just before it is encoded. Here is what the writing
 * of answers needs.
 * ============================================================================================= */

static bool cwsl_is_b2(const cwsl_exchange *x)
{
    return x->rpc && strstr(x->rpc->path, ".v1beta2.") != NULL;
}

/* A field that a check of v1 complains about, as the request of v1beta2 calls it. */
static const char *cwsl_b2_field(const char *field)
{
    static const char *const names[][2] = {
        {"sandbox.spec.containers[0]", "command"},
        {"sandbox.spec.containers[0].image", "container_image"},
        {"sandbox.spec.containers[0].args", "args"},
        {"sandbox.spec.containers[0].files", "mounted_files"},
        {"sandbox.spec.containers[0].environment_variables", "environment_variables"},
        {"sandbox.spec.containers[0].secret_stores", "secret_stores"},
        {"sandbox.spec.tags", "tags"},
        {"sandbox.spec.runner_ids", "runner_ids"},
        {"sandbox.spec.max_lifetime_seconds", "max_lifetime_seconds"},
        {"sandbox.spec.annotations", "pod_annotations"},
        {"sandbox.spec.services", "ports"},
        {"sandbox.spec.volumes", "file_system"},
        {"sandbox.spec.containers[0].volume_mounts", "file_system.mount_path"},
        {"request_id", "idempotency_key"},
        {"scratch_volume_name", "sandbox_id"},
        {"grace_period_seconds", "graceful_shutdown_seconds"},
        {"path", "filepath"},
        {"resume_log_session_id", "resume_session_id"},
        {"resume_log_offset", "resume_offset"}};
    size_t i;
    for (i = 0; i < CWSI_COUNT(names); i++)
        if (strcmp(names[i][0], field) == 0) return names[i][1];
    return field;
}

/* State of v1 as SandboxStatus. */
static int32_t cwsl_b2_state(int32_t state)
{
    switch (state) {
    case CWSI_v1_STATE_TERMINATING: return CWSI_b2_SANDBOX_STATUS_TERMINATING;
    case CWSI_v1_STATE_TERMINATED: return CWSI_b2_SANDBOX_STATUS_TERMINATED;
    case CWSI_v1_STATE_PENDING:
    case CWSI_v1_STATE_PREPARING: return CWSI_b2_SANDBOX_STATUS_PENDING;
    case CWSI_v1_STATE_PAUSED: return CWSI_b2_SANDBOX_STATUS_PAUSED;
    default: return state; /* up to FAILED they have the same numbers */
    }
}

/* A message of StreamExec. */
static void cwsl_b2_put_exec(cwsi_buf *out, const cwsi_v1_ExecStreamResponse *r)
{
    cwsi_b2_ExecStreamResponse msg;
    cwsi_b2_ExecStreamOutput output;
    cwsi_b2_ExecStreamExit end;
    cwsi_b2_ExecStreamError error;
    cwsi_b2_StreamingExecReady ready;
    memset(&msg, 0, sizeof(msg));
    memset(&output, 0, sizeof(output));
    memset(&end, 0, sizeof(end));
    memset(&error, 0, sizeof(error));
    memset(&ready, 0, sizeof(ready));
    if (r->ready) {
        ready.ready_at = r->ready->ready_time;
        msg.ready = &ready;
    } else if (r->output) {
        output.stream_type = r->output->stream;
        output.data = r->output->data;
        msg.output = &output;
    } else if (r->exit) {
        end.exit_code = r->exit->exit_code;
        end.completed_at = r->exit->completed_time;
        msg.exit = &end;
    } else if (r->error) {
        error.code = r->error->code;
        error.message = r->error->message;
        msg.error = &error;
    }
    (void)cwsi_encode(out, CWSI_M_b2_ExecStreamResponse, &msg);
}

/* A message of StreamLogs, with its time if times were asked for; entry NULL: the good end. */
static void cwsl_b2_put_log(cwsi_buf *out, const cwsi_v1_LogEntry *entry, bool stamps)
{
    cwsi_b2_LogStreamResponse msg;
    cwsi_b2_LogStreamData data;
    cwsi_b2_LogStreamError error;
    cwsi_b2_LogStreamComplete complete;
    memset(&msg, 0, sizeof(msg));
    memset(&data, 0, sizeof(data));
    memset(&error, 0, sizeof(error));
    memset(&complete, 0, sizeof(complete));
    if (!entry) {
        msg.complete = &complete;
    } else if (entry->error) {
        error.code = entry->error->code;
        error.message = entry->error->message;
        msg.error = &error;
    } else {
        data.data = entry->data;
        data.timestamp = stamps ? entry->timestamp : NULL;
        data.session_id = entry->log_session_id;
        data.offset = entry->next_log_offset;
        msg.data = &data;
    }
    (void)cwsi_encode(out, CWSI_M_b2_LogStreamResponse, &msg);
}

/* ================================================================================================
 * >>local-exchange
 * One request and its response: checks of the HTTP part, errors and replies as Connect writes
 * them, and reporting. Bytes are reported from cwsl_flush only, which only poll calls.
 * ============================================================================================= */

static bool cwsl_streaming(const cwsl_exchange *x)
{
    return x->rpc && x->rpc->kind != CWSI_UNARY;
}

/* Code 1..16 as Connect names it, and its HTTP status. */
static const char *cwsl_code(int code, int *http)
{
    static const char *const names[] = {
        "unknown", "canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found",
        "already_exists", "permission_denied", "resource_exhausted", "failed_precondition",
        "aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss",
        "unauthenticated"};
    static const int statuses[] = {500, 499, 500, 400, 504, 404, 409, 403, 429, 400,
                                   409, 400, 501, 500, 503, 500, 401};
    *http = statuses[code];
    return names[code];
}

enum {
    CWSL_INVALID_ARGUMENT = 3, CWSL_DEADLINE = 4, CWSL_NOT_FOUND = 5, CWSL_EXHAUSTED = 8,
    CWSL_PRECONDITION = 9, CWSL_UNIMPLEMENTED = 12, CWSL_INTERNAL = 13, CWSL_UNAVAILABLE = 14,
    CWSL_UNAUTHENTICATED = 16
};

/* An answer that is not of the protocol: no such path, wrong method, wrong type. */
static void cwsl_answer_plain(cwsl_exchange *x, int status, const char *text)
{
    x->http_status = status;
    x->content_type = "text/plain";
    (void)cwsi_put_text(&x->out, text);
    x->finished = true;
}

/* Begin an envelope in out; the length is filled in by cwsl_envelope_end. */
static size_t cwsl_envelope(cwsl_exchange *x, char flags)
{
    char head[5] = {0, 0, 0, 0, 0};
    head[0] = flags;
    (void)cwsi_put(&x->out, head, sizeof(head));
    return x->out.len;
}

static void cwsl_envelope_end(cwsl_exchange *x, size_t start)
{
    size_t i, len = x->out.len - start;
    if (x->out.status) return;
    for (i = 0; i < 4; i++)
        x->out.at[start - 4 + i] = CWSI_CAST(char, len >> (24 - 8 * i) & 0xff);
}

/* One message of a streaming answer, as v1 has it. */
static void cwsl_send(cwsl_exchange *x, const void *msg)
{
    size_t start = cwsl_envelope(x, 0);
    if (x->rpc->response == CWSI_M_b2_ExecStreamResponse)
        cwsl_b2_put_exec(&x->out, CWSI_CAST(const cwsi_v1_ExecStreamResponse *, msg));
    else if (x->rpc->response == CWSI_M_b2_LogStreamResponse)
        cwsl_b2_put_log(&x->out, CWSI_CAST(const cwsi_v1_LogEntry *, msg), x->reader.stamps);
    else
        (void)cwsi_encode(&x->out, x->rpc->response, msg);
    cwsl_envelope_end(x, start);
}

/* The reply of a unary call, as v1 has it if answer is set, which may also make it wait. */
static void cwsl_reply(cwsl_exchange *x, const void *msg)
{
    if (msg && x->answer) msg = x->answer(x, msg);
    if (x->waiting) return; /* the answer comes later */
    if (!msg) x->out.status = CWS_ERR_NO_MEMORY;
    else (void)cwsi_encode(&x->out, x->rpc->response, msg);
    x->finished = true;
}

/* Successful end of a stream. */
static void cwsl_end_stream(cwsl_exchange *x)
{
    size_t start = cwsl_envelope(x, 2);
    (void)cwsi_put_text(&x->out, "{}");
    cwsl_envelope_end(x, start);
    x->finished = true;
}

/* Last message of a stream that failed in a way which its own messages tell. */
static void cwsl_stream_error(cwsl_exchange *x, const char *code, const char *text)
{
    cwsi_v1_ExecStreamResponse response;
    cwsi_v1_ExecStreamError error;
    cwsi_v1_LogEntry entry;
    cwsi_v1_LogStreamError log_error;
    if (x->finished) return;
    memset(&response, 0, sizeof(response));
    memset(&error, 0, sizeof(error));
    memset(&entry, 0, sizeof(entry));
    memset(&log_error, 0, sizeof(log_error));
    error.code = log_error.code = cwsi_str_of(code);
    error.message = log_error.message = cwsi_str_of(text);
    response.error = &error;
    entry.error = &log_error;
    if (x->rpc->response == CWSI_M_v1_LogEntry || x->rpc->response == CWSI_M_b2_LogStreamResponse)
        cwsl_send(x, &entry);
    else cwsl_send(x, &response);
    cwsl_end_stream(x);
}

/* A metadata entry of the error that follows; value is copied. */
static void cwsl_meta(cwsl_exchange *x, const char *key, cwsi_str value)
{
    cwsi_map_StrStr *e = CWSI_CAST(cwsi_map_StrStr *, cwsi_list_grow(&x->arena, &x->meta,
                                                                     sizeof(cwsi_map_StrStr)));
    if (!e) return;
    e->key = cwsi_str_of(key);
    e->value.at = cwsi_arena_copy(&x->arena, value.at, value.len);
    e->value.len = e->value.at ? value.len : 0;
}

static void cwsl_meta_number(cwsl_exchange *x, const char *key, uint64_t number)
{
    char digits[20];
    cwsi_str s;
    s.at = digits, s.len = cwsi_digits(number, digits);
    cwsl_meta(x, key, s);
}

static void cwsl_put_detail(cwsl_exchange *x, cwsi_msg_id id, const void *msg, bool first)
{
    cwsi_buf raw;
    cwsi_buf_init(&raw, &x->server->mem, 65536);
    if (cwsi_encode(&raw, id, msg)) {
        x->out.status = CWS_ERR_NO_MEMORY;
    } else {
        (void)cwsi_put_text(&x->out, first ? "{\"type\":\"" : ",{\"type\":\"");
        (void)cwsi_put_text(&x->out, cwsi_msg_name(id));
        (void)cwsi_put_text(&x->out, "\",\"value\":\"");
        (void)cwsi_put_base64(&x->out, raw.at ? raw.at : "", raw.len);
        (void)cwsi_put_text(&x->out, "\"}");
    }
    cwsi_buf_free(&raw);
}

/* End the exchange with an error; reason without its CWSANDBOX_ prefix, or NULL for none. */
CWSI_PRINTF(4, 5)
static void cwsl_fail(cwsl_exchange *x, int code, const char *reason, const char *format, ...)
{
    char text[400], name[64];
    cwsi_rpc_ErrorInfo info;
    cwsi_rpc_BadRequest bad;
    cwsi_rpc_BadRequest_FieldViolation violation;
    size_t start = 0, i, skip;
    va_list args;
    va_start(args, format);
    (void)cwsi_vformat(text, sizeof(text), format, args);
    va_end(args);
    if (x->finished) return;
    if (cwsl_streaming(x)) start = cwsl_envelope(x, 2);
    else x->out.len = 0;
    (void)cwsi_put_text(&x->out, cwsl_streaming(x) ? "{\"error\":{\"code\":\"" : "{\"code\":\"");
    (void)cwsi_put_text(&x->out, cwsl_code(code, &x->http_status));
    (void)cwsi_put_text(&x->out, "\",\"message\":");
    (void)cwsi_put_json_string(&x->out, text, strlen(text));
    (void)cwsi_put_text(&x->out, ",\"details\":[");
    if (reason) {
        memset(&info, 0, sizeof(info));
        (void)cwsi_format(name, sizeof(name), "CWSANDBOX_%s", reason);
        info.reason = cwsi_str_of(name);
        info.domain = cwsi_str_of(CWSL_DOMAIN);
        info.metadata = x->meta;
        cwsl_put_detail(x, CWSI_M_rpc_ErrorInfo, &info, true);
    }
    if (x->field) {
        memset(&bad, 0, sizeof(bad));
        memset(&violation, 0, sizeof(violation));
        violation.field = cwsi_str_of(x->field);
        i = strlen(x->field);
        skip = strncmp(text, x->field, i) == 0 && text[i] == ':' ? i + 2 : 0;
        violation.description = cwsi_str_of(text + skip);
        bad.field_violations.at = &violation, bad.field_violations.len = 1;
        cwsl_put_detail(x, CWSI_M_rpc_BadRequest, &bad, !reason);
    }
    (void)cwsi_put_text(&x->out, cwsl_streaming(x) ? "]}}" : "]}");
    if (cwsl_streaming(x)) {
        cwsl_envelope_end(x, start);
        x->http_status = 200;
    } else {
        x->content_type = "application/json";
    }
    x->finished = true;
}

#define CWSL_FIRST "sandbox.spec.containers[0]"

/* The usual refusal of one field, of the container that is being checked if it is one's. Returns
 * false, so that checks can end with it. */
static bool cwsl_refuse(cwsl_exchange *x, const char *field, const char *text)
{
    char indexed[100];
    if (x->container && strncmp(field, CWSL_FIRST, sizeof(CWSL_FIRST) - 1) == 0) {
        size_t len = cwsi_format(indexed, sizeof(indexed), "sandbox.spec.containers[%u]%s",
                                 CWSI_CAST(unsigned, x->container), field + sizeof(CWSL_FIRST) - 1);
        const char *copy = cwsi_arena_copy(&x->arena, indexed, len);
        if (copy) field = copy;
    }
    x->field = cwsl_is_b2(x) ? cwsl_b2_field(field) : field;
    cwsl_fail(x, CWSL_INVALID_ARGUMENT, "INVALID_ARGUMENT", "%s: %s", x->field, text);
    return false;
}

static void cwsl_no_memory(cwsl_exchange *x)
{
    cwsl_fail(x, CWSL_EXHAUSTED, NULL, "the local backend is out of memory");
}

/* The code of a status by its Connect name; 0: no such. */
static int cwsl_code_of(const char *name)
{
    int code, http;
    for (code = 16; code > 0 && strcmp(cwsl_code(code, &http), name) != 0;) code--;
    return code;
}

/* How many of the next bytes may be sent before the error that was ordered. */
static uint64_t cwsl_fault_room(const cwsl_exchange *x, const cwsl_fault *fault)
{
    if (!fault->times) return UINT64_MAX;
    return fault->bytes > x->output ? fault->bytes - x->output : 0;
}

/* Is it time for it? Then the stream is finished. */
static bool cwsl_fault_now(cwsl_exchange *x, cwsl_fault *fault)
{
    int code = cwsl_code_of(fault->what);
    if (x->finished || cwsl_fault_room(x, fault) > 0) return false;
    fault->times--;
    if (strcmp(fault->what, "CUT") == 0) x->cut = x->finished = true;
    else if (code) cwsl_fail(x, code, NULL, "ordered by the test");
    else cwsl_stream_error(x, fault->what, "ordered by the test");
    return true;
}

static const char *cwsl_header(const cws_http_request *r, const char *name)
{
    size_t i;
    for (i = 0; i < r->header_count; i++)
        if (cwsi_same_nocase(r->headers[i].name, name)) return r->headers[i].value;
    return NULL;
}

/* Everything that can be said by looking at the head of the request alone. */
static void cwsl_check_head(cwsl_exchange *x, const cws_http_request *r)
{
    const char *path = strstr(r->url, "://"), *type = cwsl_header(r, "content-type"), *v;
    uint64_t ms;
    size_t i, len;
    path = strchr(path ? path + 3 : r->url, '/');
    len = path ? strcspn(path, "?#") : 0;
    for (i = 0; i < CWSI_RPC_COUNT && !x->rpc; i++) {
        const cwsi_rpc *rpc = cwsi_rpc_at(CWSI_CAST(cwsi_rpc_id, i));
        if (strlen(rpc->path) == len && memcmp(rpc->path, path, len) == 0)
            x->rpc = rpc, x->rpc_id = CWSI_CAST(cwsi_rpc_id, i);
    }
    if (!x->rpc) {
        cwsl_answer_plain(x, 404, "404 page not found");
        return;
    }
    if (strcmp(r->method, "POST") != 0) {
        cwsl_answer_plain(x, 405, "only POST is allowed");
        return;
    }
    x->content_type = cwsl_streaming(x) ? "application/connect+proto" : "application/proto";
    if (!type || !cwsi_same_nocase(type, x->content_type)) {
        cwsl_answer_plain(x, 415, "only binary protobuf over Connect is understood here");
        return;
    }
    v = cwsl_header(r, "connect-protocol-version");
    if (!v || strcmp(v, "1") != 0)
        cwsl_fail(x, CWSL_INVALID_ARGUMENT, NULL, "connect-protocol-version must be 1");
    v = cwsl_header(r, cwsl_streaming(x) ? "connect-content-encoding" : "content-encoding");
    if (v && !cwsi_same_nocase(v, "identity"))
        cwsl_fail(x, CWSL_UNIMPLEMENTED, NULL, "no compression is supported here");
    v = cwsl_header(r, "connect-timeout-ms");
    if (v && (strlen(v) > 10 || !cwsi_parse_u64(v, strlen(v), &ms)))
        cwsl_fail(x, CWSL_INVALID_ARGUMENT, NULL, "connect-timeout-ms is not a number");
    else if (v)
        x->deadline = cwsl_now() + CWSI_CAST(int64_t, ms);
    v = cwsl_header(r, "authorization");
    if (x->server->api_key && (!v || !cwsi_starts_nocase(v, "bearer ") ||
                               strcmp(v + 7, x->server->api_key) != 0))
        cwsl_fail(x, CWSL_UNAUTHENTICATED, NULL, "no or wrong API key");
}

/* Report what is there to report. */
static void cwsl_flush(cwsl_exchange *x)
{
    cws_header head[2];
    char id[24];
    if (x->cancelled || x->ended) return;
    if (x->out.status) {
        x->ended = x->server->progress = true;
        cws_exchange_note(x->peer, ENOMEM, "the local backend is out of memory");
        cws_exchange_end(x->peer, CWS_END_NO_MEMORY);
        return;
    }
    if (!x->head_sent && (x->finished || x->out.len)) {
        id[cwsi_digits(++x->server->requests, id)] = '\0';
        head[0].name = "content-type", head[0].value = x->content_type;
        head[1].name = "x-request-id", head[1].value = id;
        x->head_sent = x->server->progress = true;
        cws_exchange_head(x->peer, x->http_status, 2, head, 2);
    }
    while (!x->cancelled && !x->closed_window && x->out_at < x->out.len) {
        size_t n = x->out.len - x->out_at;
        if (n > 4 * CWSL_PIECE) n = 4 * CWSL_PIECE;
        x->out_at += n;
        x->server->progress = true;
        if (!cws_exchange_data(x->peer, x->out.at + x->out_at - n, n) && !x->cancelled) {
            x->ended = true;
            cws_exchange_end(x->peer, CWS_END_RESET);
            return;
        }
    }
    if (x->out_at == x->out.len) x->out_at = x->out.len = 0;
    if (!x->cancelled && x->finished && x->head_sent && x->out.len == 0) {
        x->ended = x->server->progress = true;
        cws_exchange_end(x->peer, x->cut ? CWS_END_RESET : CWS_END_OK);
    }
}

/* How many more request bytes may be queued: a stream may be a message ahead. */
static size_t cwsl_room(const cwsl_exchange *x)
{
    size_t have = x->in.len - x->in_at, most = cwsl_streaming(x) ? CWSL_MESSAGE + 5 : CWSL_BODY;
    return x->finished ? SIZE_MAX : have < most ? most - have : 0;
}

/* ================================================================================================
 * >>local-log
 * What main processes wrote. A client that reads slowly holds up no sandbox: the oldest is dropped.
 * ============================================================================================= */

static const char *cwsl_piece_bytes(const cwsl_piece *piece)
{
    return CWSI_CAST(const char *, CWSI_CAST(const void *, piece + 1));
}

static uint64_t cwsl_log_start(const cwsl_log *log)
{
    return log->first ? log->first->at : log->end;
}

static void cwsl_log_forget(cwsl_box *box)
{
    cwsl_log *log = &box->log;
    cwsl_piece *piece = log->first;
    size_t size = sizeof(*piece) + piece->len;
    log->first = piece->next;
    if (!log->first) log->last = NULL;
    log->size -= size;
    box->server->log_size -= size;
    cwsi_free(&box->server->mem, piece);
}

/* Make room: here, and if all sandboxes together have too much, with those that ended. */
static void cwsl_log_trim(cwsl_box *box)
{
    cwsl_server *s = box->server;
    cwsl_box *old;
    while (box->log.size > CWSL_LOG) cwsl_log_forget(box);
    for (old = s->boxes; old && s->log_size > CWSL_LOGS; old = old->next)
        while (cwsl_is_terminal(old->state) && old->log.first) cwsl_log_forget(old);
}

static void cwsl_log_put(cwsl_box *box, const char *data, size_t size)
{
    cwsl_log *log = &box->log;
    cwsl_piece *piece =
        CWSI_CAST(cwsl_piece *, cwsi_alloc(&box->server->mem, sizeof(*piece) + size));
    struct timespec now;
    if (!piece) { /* a gap, so that what was before is gone as well */
        while (log->first) cwsl_log_forget(box);
        log->end += size;
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    piece->next = NULL;
    piece->at = log->end;
    piece->ns = CWSI_CAST(int64_t, now.tv_sec) * 1000000000 + now.tv_nsec;
    piece->len = size;
    piece->session = log->session_count - 1;
    memcpy(piece + 1, data, size);
    if (log->last) log->last->next = piece;
    else log->first = piece;
    log->last = piece;
    log->end += size;
    log->size += sizeof(*piece) + size;
    box->server->log_size += sizeof(*piece) + size;
    cwsl_log_trim(box);
}

/* Take what the pipe holds, within reason. */
static void cwsl_log_read(cwsl_box *box)
{
    cwsl_server *s = box->server;
    int rounds;
    for (rounds = 0; rounds < 16 && box->log.pipe[0] >= 0; rounds++) {
        ssize_t n = read(box->log.pipe[0], s->piece, sizeof(s->piece));
        if (n <= 0) return; /* there is no end, we hold the other end ourselves */
        s->progress = true;
        cwsl_log_put(box, s->piece, CWSI_CAST(size_t, n));
    }
}

/* A new run of the main process: two descriptors for its output. False: none left. */
static bool cwsl_log_begin(cwsl_box *box, int *fds)
{
    cwsl_log *log = &box->log;
    int i;
    if (log->pipe[0] < 0 && !cwsl_pipe(log->pipe, 0)) return false;
    cwsl_log_read(box);
    if (log->session_count < CWSL_RESTARTS + 1) {
        log->sessions[log->session_count].begin = log->end;
        cwsl_make_id(box->server, log->sessions[log->session_count++].id);
    }
    for (i = 0; i < 2; i++) fds[i] = fcntl(log->pipe[1], F_DUPFD_CLOEXEC, 3);
    return fds[0] >= 0 && fds[1] >= 0;
}

/* Nothing writes any more. */
static void cwsl_log_end(cwsl_box *box)
{
    cwsl_log_read(box);
    cwsl_close(&box->log.pipe[0]);
    cwsl_close(&box->log.pipe[1]);
}

/* Position behind which there are so many lines; the last one may lack its end. */
static uint64_t cwsl_log_tail(const cwsl_log *log, uint64_t lines)
{
    const cwsl_piece *piece;
    uint64_t have = 0;
    size_t i;
    for (piece = log->first; piece; piece = piece->next)
        for (i = 0; i < piece->len; i++)
            have += cwsl_piece_bytes(piece)[i] == '\n' || (!piece->next && i + 1 == piece->len);
    if (have <= lines) return cwsl_log_start(log);
    for (piece = log->first; piece; piece = piece->next)
        for (i = 0; i < piece->len; i++)
            if (cwsl_piece_bytes(piece)[i] == '\n' && --have == lines) return piece->at + i + 1;
    return log->end;
}

/* Position of the first byte that came at that time or later. */
static uint64_t cwsl_log_since(const cwsl_log *log, const cwsi_pb_Timestamp *t)
{
    const cwsl_piece *piece = log->first;
    while (piece && (piece->ns / 1000000000 < t->seconds ||
                     (piece->ns / 1000000000 == t->seconds && piece->ns % 1000000000 < t->nanos)))
        piece = piece->next;
    return piece ? piece->at : log->end;
}

/* ================================================================================================
 * >>local-frames
 * Supervisors from this side: frames to them, birth, and what a command is given.
 * ============================================================================================= */

static void cwsl_box_end(cwsl_box *box, int32_t state, const char *reason)
{
    if (box->ending) return;
    box->ending = true;
    box->end_state = state;
    cwsi_copy_text(box->reason, sizeof(box->reason), reason, strlen(reason));
    box->ready_at = box->restart_at = box->lifetime_at = box->grace_at = CWSI_NEVER;
    if (box->pid && box->server->isolated) (void)kill(box->pid, SIGKILL);
    else if (box->control >= 0) (void)shutdown(box->control, SHUT_RDWR);
    box->reap_at = 0;
}

static void cwsl_note_free(cwsl_box *box)
{
    cwsl_note *note = box->notes;
    int i;
    box->notes = note->next;
    for (i = 0; i < note->fd_count; i++) cwsl_close(&note->fds[i]);
    cwsi_free(&box->server->mem, note->bytes);
    cwsi_free(&box->server->mem, note);
}

/* Send queued frames as far as the socket takes them. */
static void cwsl_box_push(cwsl_box *box)
{
    while (box->notes && box->control >= 0) {
        cwsl_note *note = box->notes;
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(3 * sizeof(int))];
        } control;
        struct msghdr msg;
        struct iovec io;
        ssize_t n;
        memset(&msg, 0, sizeof(msg));
        memset(&control, 0, sizeof(control));
        io.iov_base = note->bytes + note->sent, io.iov_len = note->len - note->sent;
        msg.msg_iov = &io, msg.msg_iovlen = 1;
        if (note->fd_count && note->sent == 0) {
            size_t size = CWSI_CAST(size_t, note->fd_count) * sizeof(int);
            struct cmsghdr *c;
            msg.msg_control = &control, msg.msg_controllen = CMSG_SPACE(size);
            c = CMSG_FIRSTHDR(&msg);
            c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(size);
            memcpy(CMSG_DATA(c), note->fds, size);
        }
        n = sendmsg(box->control, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ||
                      errno == ETOOMANYREFS))
            return;
        if (n < 0) { /* the supervisor is gone, which its socket tells in a moment */
            while (box->notes) cwsl_note_free(box);
            return;
        }
        note->sent += CWSI_CAST(size_t, n);
        if (note->sent == note->len) cwsl_note_free(box);
    }
}

/* Queue a frame. The descriptors become the queue's in any case. */
static bool cwsl_tell(cwsl_box *box, cwsl_op op, uint32_t id, int32_t value,
                      const cwsi_buf *payload, int *fds, int fd_count)
{
    cwsl_note *note = CWSI_NEW(&box->server->mem, cwsl_note), **last = &box->notes;
    size_t size = payload ? payload->len : 0;
    cwsl_frame f;
    int i;
    if (note) {
        note->bytes = CWSI_CAST(char *, cwsi_alloc(&box->server->mem, sizeof(f) + size));
        if (!note->bytes) cwsi_free(&box->server->mem, note), note = NULL;
    }
    for (i = 0; i < fd_count; i++) {
        if (note) note->fds[note->fd_count++] = fds[i];
        else cwsl_close(&fds[i]);
        fds[i] = -1;
    }
    if (!note) return false;
    f.size = CWSI_CAST(uint32_t, size), f.op = CWSI_CAST(uint32_t, op), f.id = id, f.value = value;
    memcpy(note->bytes, &f, sizeof(f));
    if (size) memcpy(note->bytes + sizeof(f), payload->at, size);
    note->len = sizeof(f) + size;
    while (*last) last = &(*last)->next;
    *last = note;
    cwsl_box_push(box);
    return true;
}

/* Fork the supervisor of a directory, with volumes or NULL; returns its pid and our end of the
 * socket, or -1. */
static pid_t cwsl_give_birth(cwsl_server *s, const char *dir, const cwsi_list *mounts,
                             int *control)
{
    cwsl_birth b;
    int pair[2], error;
    sigset_t all, before;
    pid_t pid;
    memset(&b, 0, sizeof(b));
#ifdef __linux__
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return -1;
#else
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return -1;
#endif
    (void)cwsl_prepare_fd(pair[0], true);
    (void)cwsl_prepare_fd(pair[1], false);
    b.control = pair[1];
    b.dir = dir;
    b.namespaces = s->clone_flags != 0;
    b.flags = s->clone_flags;
    b.binds = s->binds;
    if (mounts) b.mounts = CWSI_CAST(const cwsl_mount *, mounts->at), b.mount_count = mounts->len;
    memcpy(b.uid_map, s->uid_map, sizeof(b.uid_map));
    memcpy(b.gid_map, s->gid_map, sizeof(b.gid_map));
    /* No handler of the host may run in the child before it has reset them. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = cwsl_fork(b.flags);
    if (pid == 0) cwsl_supervise(&b);
    error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(pair[1]);
    if (pid < 0) (void)close(pair[0]);
    else *control = pair[0];
    errno = error;
    return pid;
}

/* The directory of a sandbox: the four of its own, places to bind the host's directories to, and
 * copies of the symbolic links that lie in the host's root. */
static bool cwsl_make_tree(cwsl_server *s, const char *dir)
{
    char path[PATH_MAX];
    size_t i;
    if (mkdir(dir, 0755)) return false;
    for (i = 0; i < CWSL_OWN; i++) {
        (void)cwsi_format(path, sizeof(path), "%s/%s", dir, cwsl_own[i]);
        if (mkdir(path, 0755)) return false;
        if (i == 0) (void)chmod(path, 01777);
    }
    if (!s->clone_flags) return true;
    for (i = 0; s->binds[i]; i++) {
        (void)cwsi_format(path, sizeof(path), "%s/%s", dir, s->binds[i]);
        if (mkdir(path, 0755)) return false;
    }
    for (i = 0; s->links[i]; i += 2) {
        (void)cwsi_format(path, sizeof(path), "%s/%s", dir, s->links[i]);
        if (symlink(s->links[i + 1], path)) return false;
    }
    (void)cwsi_format(path, sizeof(path), "%s/proc", dir);
    return mkdir(path, 0755) == 0;
}

/* Set a variable of an environment; a later one replaces an earlier one. */
static bool cwsl_put_env(cwsi_arena *arena, cwsi_list *env, cwsi_str key, cwsi_str value)
{
    cwsi_str *list = CWSI_CAST(cwsi_str *, env->at), *slot = NULL;
    char *text = CWSI_CAST(char *, cwsi_arena_alloc(arena, key.len + value.len + 2));
    size_t i;
    if (!text) return false;
    if (key.len) memcpy(text, key.at, key.len);
    text[key.len] = '=';
    if (value.len) memcpy(text + key.len + 1, value.at, value.len);
    for (i = 0; i < env->len && !slot; i++)
        if (list[i].len > key.len && memcmp(list[i].at, text, key.len + 1) == 0) slot = &list[i];
    if (!slot) slot = CWSI_CAST(cwsi_str *, cwsi_list_grow(arena, env, sizeof(cwsi_str)));
    if (!slot) return false;
    slot->at = text;
    slot->len = key.len + value.len + 1;
    return true;
}

/* Payload of a SPAWN. False: no memory, or more than CWSL_STRINGS. */
static bool cwsl_put_spawn(cwsi_buf *buf, const char *dir, const cwsi_list *argv,
                           const cwsi_list *env)
{
    cwsl_spawn head;
    size_t i, k;
    const cwsi_list *lists[2];
    char *none = NULL;
    lists[0] = argv, lists[1] = env;
    head.argc = argv->len, head.envc = env->len;
    (void)cwsi_put(buf, &head, sizeof(head));
    for (i = 0; i < argv->len + env->len + 2 && !buf->status; i++)
        (void)cwsi_put(buf, &none, sizeof(none));
    (void)cwsi_put(buf, dir, strlen(dir) + 1);
    for (k = 0; k < 2; k++)
        for (i = 0; i < lists[k]->len && !buf->status; i++) {
            const cwsi_str *s = CWSI_CAST(const cwsi_str *, lists[k]->at) + i;
            (void)cwsi_put(buf, s->at, s->len);
            (void)cwsi_put_char(buf, '\0');
        }
    return !buf->status;
}

/* Is a path at or below another one? */
static bool cwsl_is_below(const char *path, const char *top)
{
    size_t len = strlen(top);
    return strncmp(path, top, len) == 0 && (path[len] == '/' || !path[len]);
}

/* A path of the sandbox as a supervisor takes it. With namespaces that is the absolute path.
 * Without, "." and ".." are taken out first, and below the four directories and in volumes it
 * becomes relative to the sandbox's own (CWSL_WALK in flags); others are the host's. False: too
 * long for the system. */
static bool cwsl_map_path(const cwsl_box *box, cwsi_str path, char *out, size_t size, int *flags)
{
    char whole[PATH_MAX];
    size_t i = 0, o = 0, n, k;
    bool own = false;
    if (path.len + 12 > sizeof(whole) || path.len + 12 > size) return false;
    (void)cwsi_format(whole, sizeof(whole), "%s%.*s",
                      path.len && path.at[0] == '/' ? "" : "/workspace/",
                      CWSI_CAST(int, path.len), path.at);
    *flags = 0;
    if (box->server->isolated) return (void)cwsi_format(out, size, "%s", whole), true;
    while (whole[i]) { /* one "/component" after the other */
        for (i++, n = 0; whole[i + n] && whole[i + n] != '/'; n++) {}
        if (n == 2 && whole[i] == '.' && whole[i + 1] == '.') {
            while (o > 0 && out[--o] != '/') {}
        } else if (n > 0 && !(n == 1 && whole[i] == '.')) {
            out[o++] = '/';
            memcpy(out + o, whole + i, n);
            o += n;
        }
        i += n;
    }
    if (o == 0) out[o++] = '/';
    out[o] = '\0';
    for (k = 0; k < CWSL_OWN; k++) own = own || cwsl_is_below(out + 1, cwsl_own[k]);
    for (k = 0; k < box->mounts.len; k++)
        own = own || cwsl_is_below(out + 1, CWSI_CAST(const cwsl_mount *, box->mounts.at)[k].to);
    if (own) memmove(out, out + 1, o), *flags = CWSL_WALK;
    return true;
}

/* The same as a path that a process can be given: working directory. */
static bool cwsl_map_dir(const cwsl_box *box, cwsi_str path, char *out, size_t size)
{
    char mapped[PATH_MAX];
    int flags;
    if (!cwsl_map_path(box, path, mapped, sizeof(mapped), &flags)) return false;
    if (strlen(box->dir) + strlen(mapped) + 2 > size) return false;
    if (flags & CWSL_WALK) (void)cwsi_format(out, size, "%s/%s", box->dir, mapped);
    else (void)cwsi_format(out, size, "%s", mapped);
    return true;
}

/* ================================================================================================
 * >>local-sandbox
 * The life of a sandbox.
 *
 *   create -> supervisor READY -> mounted files, one by one -> main STARTED -> RUNNING
 *   main exits 0, or too often, or lives too long, or is stopped -> ending -> supervisor reaped ->
 *   end_state
 * ============================================================================================= */

static int32_t cwsl_exit_code(int32_t status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool cwsl_main_args(const cwsi_v1_Container *c, cwsi_arena *arena, cwsi_list *argv)
{
    static const char *const idle[] = {CWSI_DEFAULT_COMMAND, CWSI_DEFAULT_ARG1, CWSI_DEFAULT_ARG2};
    size_t i, count = c->command.len ? 1 + c->args.len : CWSI_COUNT(idle);
    for (i = 0; i < count; i++) {
        cwsi_str *s = CWSI_CAST(cwsi_str *, cwsi_list_grow(arena, argv, sizeof(cwsi_str)));
        if (!s) return false;
        if (!c->command.len) *s = cwsi_str_of(idle[i]);
        else *s = i ? CWSI_CAST(const cwsi_str *, c->args.at)[i - 1] : c->command;
    }
    return true;
}

/* Start the main process of a container with these descriptors for its output, which become the
 * queue's. */
static void cwsl_start(cwsl_box *box, const cwsi_v1_Container *c, const cwsi_list *env, uint32_t id,
                       int *fds)
{
    cwsi_buf payload;
    cwsi_arena arena;
    cwsi_list argv;
    char dir[PATH_MAX];
    int i;
    bool ok = cwsl_map_dir(box, c->working_dir, dir, sizeof(dir)) && fds[1] >= 0 && fds[2] >= 0;
    memset(&argv, 0, sizeof(argv));
    cwsi_arena_init(&arena, &box->server->mem);
    cwsi_buf_init(&payload, &box->server->mem, CWSL_STRINGS);
    fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ok = ok && fds[0] >= 0 && cwsl_main_args(c, &arena, &argv) &&
         cwsl_put_spawn(&payload, dir, &argv, env);
    if (ok) ok = cwsl_tell(box, CWSL_SPAWN, id, CWSL_MAIN, &payload, fds, 3);
    for (i = 0; i < 3; i++) cwsl_close(&fds[i]);
    cwsi_buf_free(&payload);
    cwsi_arena_clear(&arena);
    if (!ok) cwsl_box_end(box, CWSI_v1_STATE_FAILED, "no memory or descriptors to start");
}

/* Start that of the primary container, for the first time or again. */
static void cwsl_start_main(cwsl_box *box)
{
    int fds[3] = {-1, -1, -1};
    if (!cwsl_log_begin(box, fds + 1)) cwsl_close(&fds[1]);
    cwsl_start(box, box->container, &box->env, 0, fds);
}

static uint32_t cwsl_next_id(cwsl_server *s)
{
    return ++s->job_ids ? s->job_ids : ++s->job_ids; /* 0 is the main process */
}

/* Start that of another container; what it writes is lost. */
static void cwsl_start_side(cwsl_box *box, cwsl_side *side)
{
    int fds[3] = {-1, -1, -1}, i;
    for (i = 1; i < 3; i++) fds[i] = open("/dev/null", O_WRONLY | O_CLOEXEC);
    side->id = cwsl_next_id(box->server);
    cwsl_start(box, side->spec, &side->env, side->id, fds);
}

/* A report about another container. False: about something else. */
static bool cwsl_side_hear(cwsl_box *box, const cwsl_frame *f)
{
    cwsl_side *side = box->sides;
    size_t i;
    for (i = 0; i < box->side_count && side->id != f->id; i++) side++;
    if (!f->id || i == box->side_count || f->op == CWSL_BROKEN) return false;
    side->running = f->op == CWSL_STARTED;
    if (side->running) return true;
    side->exit_code = f->op == CWSL_REFUSED ? 128 : cwsl_exit_code(f->value);
    side->ended = !side->exit_code || side->restarts == CWSL_RESTARTS || box->stopping;
    if (side->ended) return true;
    side->restart_at = cwsl_now() + (CWSI_CAST(int64_t, 20) << side->restarts);
    side->restarts++;
    return true;
}

/* The container of that name: NULL if it is the primary one, which "" is too. False: none. */
static bool cwsl_side_find(const cwsl_box *box, cwsi_str name, const cwsl_side **out)
{
    size_t i;
    *out = NULL;
    for (i = 0; i < box->side_count; i++)
        if (cwsi_str_same(box->sides[i].spec->name, name)) *out = &box->sides[i];
    return *out || !name.len || cwsi_str_same(box->container->name, name);
}

/* The main process ended. */
static void cwsl_main_exited(cwsl_box *box, int status)
{
    char text[100];
    bool own = WIFEXITED(status);
    box->main_running = false;
    if (box->ending) return;
    box->exit_code = own ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (box->stopping || box->archiving) { /* an end by our own signal is no exit */
        box->has_exit = own;
        cwsl_box_end(box, CWSI_v1_STATE_COMPLETED, "stopped");
    } else if (box->exit_code == 0) {
        box->has_exit = true;
        cwsl_box_end(box, CWSI_v1_STATE_COMPLETED, "main process completed");
    } else if (box->restarts < CWSL_RESTARTS) {
        box->restart_at = cwsl_now() + (CWSI_CAST(int64_t, 20) << box->restarts);
        box->restarts++;
    } else {
        box->has_exit = true;
        (void)cwsi_format(text, sizeof(text), "main process exited with code %d, restart limit %d",
                          CWSI_CAST(int, box->exit_code), CWSL_RESTARTS);
        cwsl_box_end(box, CWSI_v1_STATE_FAILED, text);
    }
}

/* Stop all processes of a running sandbox as they are. False: out of memory. Without namespaces
 * only what is in the process groups of the commands. */
static bool cwsl_pause(cwsl_box *box)
{
    if (!cwsl_tell(box, CWSL_KILL_ALL, 0, SIGSTOP, NULL, NULL, 0)) return false;
    box->state = CWSI_v1_STATE_PAUSED;
    box->paused = true;
    box->restart_held = box->restart_at != CWSI_NEVER;
    box->restart_at = CWSI_NEVER;
    return true;
}

/* Let them go on. False: out of memory. */
static bool cwsl_resume(cwsl_box *box)
{
    if (!box->paused) return true;
    if (!cwsl_tell(box, CWSL_KILL_ALL, 0, SIGCONT, NULL, NULL, 0)) return false;
    box->paused = false;
    if (box->state == CWSI_v1_STATE_PAUSED) box->state = CWSI_v1_STATE_RUNNING;
    if (box->restart_held) box->restart_at = cwsl_now();
    return true;
}

/* Is something being copied out of it? */
static bool cwsl_is_copied(const cwsl_box *box)
{
    const cwsl_snapshot *snap = box->server->snapshots;
    while (snap && snap->box != box) snap = snap->next;
    return snap != NULL;
}

static void cwsl_stop(cwsl_box *box, int32_t grace_s)
{
    int64_t at;
    size_t i;
    if (box->ending || cwsl_is_terminal(box->state)) return;
    if (grace_s > CWSL_GRACE_MAX_S) grace_s = CWSL_GRACE_MAX_S;
    box->state = CWSI_v1_STATE_TERMINATING;
    box->ready_at = CWSI_NEVER;
    if (box->archiving) { /* first the snapshots, then this again */
        if (box->archive_grace_s > grace_s) box->archive_grace_s = grace_s;
        if (cwsl_is_copied(box)) return;
        box->archiving = false;
        grace_s = box->archive_grace_s;
    }
    (void)cwsl_resume(box); /* what is paused takes no signal but SIGKILL */
    if (grace_s <= 0 || !box->main_running) {
        box->stopping = true;
        cwsl_box_end(box, CWSI_v1_STATE_COMPLETED, "stopped");
        return;
    }
    for (i = 0; i <= box->side_count && !box->stopping; i++)
        (void)cwsl_tell(box, CWSL_KILL, i ? box->sides[i - 1].id : 0, SIGTERM, NULL, NULL, 0);
    box->stopping = true;
    at = cwsl_now() + CWSI_CAST(int64_t, grace_s) * 1000;
    if (at < box->grace_at) box->grace_at = at;
}

/* Free a sandbox that has no process and no job. */
static void cwsl_box_free(cwsl_box *box)
{
    cwsl_server *s = box->server;
    while (box->notes) cwsl_note_free(box);
    while (box->log.first) cwsl_log_forget(box);
    cwsl_close(&box->log.pipe[0]);
    cwsl_close(&box->log.pipe[1]);
    cwsl_close(&box->control);
    cwsi_arena_clear(&box->arena);
    cwsi_buf_free(&box->body);
    cwsi_free(&s->mem, box);
}

/* Remove its files. */
static void cwsl_box_remove(cwsl_box *box)
{
    char volumes[PATH_MAX];
    size_t i;
    cwsl_copy_kill(&box->restore);
    for (i = box->restored; i < box->volumes.len; i++) {
        cwsl_volume *v = CWSI_CAST(cwsl_volume *, box->volumes.at) + i;
        if (v->source) v->source->users--;
    }
    box->restored = box->volumes.len;
    cwsl_remove_tree(box->dir);
    (void)cwsi_format(volumes, sizeof(volumes), CWSL_VOLUMES, box->server->root, box->id);
    if (box->volumes.len) cwsl_remove_tree(volumes);
}

/* Look whether the supervisor is gone; then everything of the sandbox is, and it takes its final
 * state. A zombie of ours appears a moment after its socket has closed. Files that are still being
 * copied hold it up. */
static void cwsl_box_reap(cwsl_box *box, int64_t now)
{
    int status;
    cwsl_job *job;
    pid_t got = 0;
    while (!cwsl_is_copied(box) && (got = waitpid(box->pid, &status, WNOHANG)) < 0 &&
           errno == EINTR) {}
    if (got == 0) {
        box->reap_at = now + 3;
        return;
    }
    box->pid = 0;
    box->reap_at = CWSI_NEVER;
    cwsl_close(&box->control);
    while (box->notes) cwsl_note_free(box);
    for (job = box->server->jobs; job; job = job->next)
        if (job->box == box && !job->exited)
            job->exited = job->lost = true, job->quiet_at = job->hard_at = now;
    cwsl_log_end(box);
    cwsl_box_remove(box);
    box->state = box->end_state;
    box->ended_ms = cwsl_clock(true);
    box->server->progress = true;
}

static void cwsl_box_tick(cwsl_box *box, int64_t now)
{
    char text[100];
    size_t i;
    if (!box->pid) return;
    for (i = 0; i < box->side_count && !box->paused && !box->ending; i++)
        if (now >= box->sides[i].restart_at) {
            box->sides[i].restart_at = CWSI_NEVER;
            cwsl_start_side(box, &box->sides[i]);
        }
    if (now >= box->ready_at) {
        box->ready_at = CWSI_NEVER;
        box->state = CWSI_v1_STATE_RUNNING;
        box->lifetime_at = now + CWSI_CAST(int64_t, box->lifetime_s) * 1000;
    }
    if (box->archiving && !cwsl_is_copied(box)) cwsl_stop(box, box->archive_grace_s);
    if (now >= box->restart_at) {
        box->restart_at = CWSI_NEVER;
        cwsl_start_main(box);
    }
    if (now >= box->lifetime_at) {
        (void)cwsi_format(text, sizeof(text), "lifetime of %d s exceeded",
                          CWSI_CAST(int, box->lifetime_s));
        cwsl_box_end(box, CWSI_v1_STATE_FAILED, text);
    }
    if (now >= box->grace_at) cwsl_box_end(box, CWSI_v1_STATE_COMPLETED, "stopped");
    if (now >= box->reap_at) cwsl_box_reap(box, now);
}

static cwsl_box *cwsl_box_find(const cwsl_server *s, cwsi_str id)
{
    cwsl_box *box = s->boxes;
    while (box && !cwsi_str_is(id, box->id)) box = box->next;
    return box;
}

/* ================================================================================================
 * >>local-job
 * Commands and file transfers: their start, their pipes and terminals.
 * ============================================================================================= */

static void cwsl_job_close(cwsl_job *job)
{
    cwsl_close(&job->in);
    cwsl_close(&job->out[0]);
    cwsl_close(&job->out[1]);
}

/* Nobody wants the result any more: kill, close, forget when it has ended. On a terminal, closing
 * is a hang-up, and the session has a moment to act on it. */
static void cwsl_job_drop(cwsl_job *job)
{
    job->exchange = NULL;
    job->data_len = 0;
    cwsl_job_close(job);
    if (job->terminal && job->session) {
        if (!job->exited) job->clear_at = cwsl_now() + CWSL_HANGUP_MS;
        return;
    }
    job->unkilled = !job->exited && job->box->control >= 0 &&
                    !cwsl_tell(job->box, CWSL_KILL, job->id, SIGKILL, NULL, NULL, 0);
}

static cwsl_job *cwsl_job_new(cwsl_box *box, cwsl_exchange *x, cwsl_job_kind kind)
{
    cwsl_server *s = box->server;
    cwsl_job *job = cwsl_reserve(s) ? CWSI_NEW(&s->mem, cwsl_job) : NULL;
    size_t i;
    if (!job) return NULL;
    job->box = box;
    job->exchange = x;
    job->kind = kind;
    job->container = box->container;
    job->id = cwsl_next_id(s);
    job->in = job->out[0] = job->out[1] = -1;
    job->slot_in = job->slot[0] = job->slot[1] = SIZE_MAX;
    job->clear_at = CWSI_NEVER;
    cwsi_buf_init(&job->feed, &s->mem, CWSL_MESSAGE + CWSL_PIECE);
    for (i = 0; i < 2; i++) cwsi_buf_init(&job->kept[i], &s->mem, SIZE_MAX / 4);
    job->next = s->jobs;
    s->jobs = job;
    s->job_count++;
    if (x) x->job = job;
    return job;
}

/* The ends of a command's three streams that it is given. False: see job_spawn. */
static bool cwsl_job_pipes(cwsl_job *job, bool input, int *theirs)
{
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}}, i;
    bool ok;
    if (input) ok = cwsl_pipe(pipes[0], 1);
    else ok = (pipes[0][0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;
    for (i = 1; i < 3; i++) ok = ok && cwsl_pipe(pipes[i], 0);
    job->in = pipes[0][1], job->out[0] = pipes[1][0], job->out[1] = pipes[2][0];
    theirs[0] = pipes[0][0], theirs[1] = pipes[1][1], theirs[2] = pipes[2][1];
    return ok;
}

/* The same with a terminal: its slave is all three, the master is our end of stdin and stdout. */
static bool cwsl_job_terminal(cwsl_job *job, int *theirs)
{
    int flags = O_RDWR | O_NOCTTY, master, i;
#ifdef __linux__
    char name[128];
    flags |= O_CLOEXEC;
#else
    const char *name = NULL;
#endif
    job->out[0] = master = posix_openpt(flags);
    if (master < 0 || !cwsl_prepare_fd(master, true) || grantpt(master) || unlockpt(master))
        return false;
#ifdef __linux__
    if (ptsname_r(master, name, sizeof(name))) return false;
#else
    if ((name = ptsname(master)) == NULL) return false;
#endif
    theirs[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (theirs[0] < 0 || ioctl(theirs[0], TIOCSWINSZ, &job->size)) return false;
    job->in = fcntl(master, F_DUPFD_CLOEXEC, 3);
    for (i = 1; i < 3; i++) theirs[i] = fcntl(theirs[0], F_DUPFD_CLOEXEC, 3);
    return job->in >= 0 && theirs[1] >= 0 && theirs[2] >= 0;
}

/* Start a command. False: descriptors or memory ran out; the job is then of no use. */
static bool cwsl_job_spawn(cwsl_job *job, const cwsi_list *argv, const cwsi_list *env, bool input)
{
    int theirs[3] = {-1, -1, -1}, i;
    char dir[PATH_MAX];
    cwsi_buf payload;
    bool ok = cwsl_map_dir(job->box, job->container->working_dir, dir, sizeof(dir));
    cwsi_buf_init(&payload, job->feed.mem, CWSL_STRINGS);
    ok = ok && cwsl_put_spawn(&payload, dir, argv, env) &&
         (job->terminal ? cwsl_job_terminal(job, theirs) : cwsl_job_pipes(job, input, theirs)) &&
         cwsl_tell(job->box, CWSL_SPAWN, job->id, job->terminal ? CWSL_TERMINAL : 0, &payload,
                   theirs, 3);
    for (i = 0; i < 3; i++) cwsl_close(&theirs[i]);
    cwsi_buf_free(&payload);
    if (!ok) job->done = true, job->exchange = NULL, cwsl_job_close(job);
    return ok;
}

/* Start a file transfer of job->path. False as above. */
static bool cwsl_job_file(cwsl_job *job, const char *mapped, int flags)
{
    int fds[2] = {-1, -1}, theirs;
    bool reading = job->kind == CWSL_FETCH, ok;
    uint64_t most = job->keep_max;
    cwsi_buf payload;
    cwsi_buf_init(&payload, job->feed.mem, CWSL_STRINGS);
    (void)cwsi_put(&payload, &most, sizeof(most));
    ok = cwsi_put(&payload, mapped, strlen(mapped) + 1) && cwsl_pipe(fds, reading ? 0 : 1);
    theirs = fds[reading ? 1 : 0];
    if (reading) job->out[0] = fds[0];
    else job->in = fds[1];
    if (ok)
        ok = cwsl_tell(job->box, reading ? CWSL_READ : CWSL_WRITE, job->id, flags, &payload,
                       &theirs, 1);
    cwsl_close(&theirs);
    cwsi_buf_free(&payload);
    if (!ok) job->done = true, job->exchange = NULL, cwsl_job_close(job);
    return ok;
}

/* Fill the next volume from its snapshot. False: there is none left. */
static bool cwsl_restore(cwsl_box *box)
{
    cwsl_volume *v;
    for (; box->restored < box->volumes.len; box->restored++) {
        v = CWSI_CAST(cwsl_volume *, box->volumes.at) + box->restored;
        if (!v->source) continue;
        if (!cwsl_copy_begin(&box->restore, v->source->dir, v->dir))
            cwsl_box_end(box, CWSI_v1_STATE_FAILED, "a snapshot could not be restored");
        return true;
    }
    return false;
}

static void cwsl_prepare(cwsl_box *box);

static void cwsl_restore_read(cwsl_box *box)
{
    char text[200];
    cwsl_volume *v = CWSI_CAST(cwsl_volume *, box->volumes.at) + box->restored;
    if (!cwsl_copy_read(&box->restore)) return;
    box->server->progress = true;
    if (!cwsl_copy_end(&box->restore)) {
        (void)cwsi_format(text, sizeof(text), "snapshot %s could not be restored: %s",
                          v->source->id, box->restore.len ? box->restore.text : "cp failed");
        cwsl_box_end(box, CWSI_v1_STATE_FAILED, text);
        return;
    }
    v->source->users--;
    box->restored++;
    cwsl_prepare(box);
}

/* Do the next thing before the start: restore a volume, or mount a file of a container, or start
 * the main processes if all is in place. */
static void cwsl_prepare(cwsl_box *box)
{
    const cwsi_v1_FileMount *file = NULL;
    size_t i, skip = box->mounted;
    char mapped[PATH_MAX];
    cwsl_job *job;
    int flags = 0;
    bool ok;
    if (box->ending || cwsl_restore(box)) return;
    for (i = 0; i < box->spec->containers.len && !file; i++) {
        const cwsi_list *files = &CWSI_AT(v1_Container, box->spec->containers, i)->files;
        if (skip < files->len) file = CWSI_AT(v1_FileMount, *files, skip);
        else skip -= files->len;
    }
    if (!file) {
        for (i = 0; i < box->side_count; i++) cwsl_start_side(box, &box->sides[i]);
        cwsl_start_main(box);
        return;
    }
    job = cwsl_job_new(box, NULL, CWSL_MOUNT);
    if (job) {
        job->path = file->path;
        job->data = file->content.at;
        job->data_len = file->content.len;
    }
    ok = job && cwsl_map_path(box, file->path, mapped, sizeof(mapped), &flags);
    if (ok && !box->server->isolated && !(flags & CWSL_WALK)) {
        job->done = true;
        cwsl_box_end(box, CWSI_v1_STATE_FAILED,
                     "without namespaces files can be mounted only below /tmp, /root, /home and "
                     "/workspace, and in volumes");
    } else if (!ok || !cwsl_job_file(job, mapped, flags | CWSL_PARENTS | CWSL_READ_ONLY)) {
        if (job) job->done = true;
        cwsl_box_end(box, CWSI_v1_STATE_FAILED, "a mounted file could not be written");
    }
}

static void cwsl_put_output(cwsl_job *job, int stream, const char *data, size_t size)
{
    cwsl_exchange *x = job->exchange;
    uint64_t room = cwsl_fault_room(x, &job->box->exec_fault);
    cwsi_v1_ExecStreamResponse msg;
    cwsi_v1_ExecStreamOutput output;
    if (x->finished) return;
    memset(&msg, 0, sizeof(msg));
    memset(&output, 0, sizeof(output));
    output.stream = stream;
    output.data.at = data, output.data.len = size < room ? size : CWSI_CAST(size_t, room);
    msg.output = &output;
    if (output.data.len) cwsl_send(x, &msg);
    x->output += output.data.len;
    (void)cwsl_fault_now(x, &job->box->exec_fault);
}

/* May this job's pipes be read now? Not before its stream said that it started: the command can be
 * faster than the supervisor's report. */
static bool cwsl_may_read(const cwsl_job *job)
{
    const cwsl_exchange *x = job->exchange;
    if (job->kind == CWSL_STREAM && !job->started && !job->exited) return false;
    return !x || (!x->closed_window && x->out.len - x->out_at < CWSL_UNREPORTED);
}

/* Take what a pipe holds, within reason, and do with it what the job is for. */
static void cwsl_job_read(cwsl_job *job, int which)
{
    cwsl_server *s = job->box->server;
    int rounds;
    for (rounds = 0; rounds < 8 && job->out[which] >= 0 && cwsl_may_read(job); rounds++) {
        ssize_t n = read(job->out[which], s->piece, sizeof(s->piece));
        size_t size = n > 0 ? CWSI_CAST(size_t, n) : 0, keep = size;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
        if (n <= 0) {
            cwsl_close(&job->out[which]);
            job->owed[which] = 0;
            return;
        }
        job->owed[which] -= size < job->owed[which] ? size : job->owed[which];
        if (job->exited) job->quiet_at = cwsl_now() + CWSL_DRAIN_MS;
        s->progress = true;
        if (job->kind == CWSL_STREAM) {
            if (job->exchange) cwsl_put_output(job, which + 1, s->piece, size);
            continue;
        }
        job->produced[which] += size;
        if (job->kind == CWSL_COLLECT && job->kept[which].len + keep > job->keep_max)
            keep = CWSI_CAST(size_t, job->keep_max) - job->kept[which].len;
        (void)cwsi_put(&job->kept[which], s->piece, keep);
    }
}

/* End of stdin on a terminal: its end-of-file character, twice if there is a piece of a line in
 * front, which the first one only delivers. False: no room yet. */
static bool cwsl_job_eof(const cwsl_job *job)
{
    struct termios mode;
    char eof[2] = {4, 4};
    size_t count = 1;
    if (tcgetattr(job->in, &mode) == 0) {
        eof[0] = eof[1] = CWSI_CAST(char, mode.c_cc[VEOF]);
        if ((mode.c_lflag & ICANON) && job->in_line) count = 2;
    }
    return write(job->in, eof, count) >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* Feed stdin or a file from what is there; close it behind the last byte. */
static void cwsl_job_write(cwsl_job *job)
{
    bool stream = job->kind == CWSL_STREAM;
    const char *data = stream ? job->feed.at : job->data;
    size_t len = stream ? job->feed.len : job->data_len, done = 0;
    while (job->in >= 0 && done < len) {
        ssize_t n = cwsl_write_pipe(job->in, data + done, len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))) break;
        if (n < 0) { /* the reader is gone; what is left to write goes nowhere */
            cwsl_close(&job->in);
            break;
        }
        done += CWSI_CAST(size_t, n);
        job->box->server->progress = true;
    }
    if (job->in < 0) done = len;
    if (done && job->terminal) job->in_line = data[done - 1] != '\n' && data[done - 1] != '\r';
    if (stream) cwsi_buf_eat(&job->feed, done);
    else if (done) job->data += done, job->data_len -= done;
    if (done < len || (stream && !job->feed_end) || job->in < 0) return;
    if (!job->terminal || cwsl_job_eof(job)) cwsl_close(&job->in);
}

/* ================================================================================================
 * >>local-finish
 * What becomes of the end of a job, and what supervisors report.
 * ============================================================================================= */

/* The supervisor says that the process has ended. Bytes that it left in its pipes are owed. */
static void cwsl_job_exited(cwsl_job *job, int32_t status, bool refused)
{
    int i, pending;
    job->exited = true;
    job->refused = refused;
    job->status = status;
    job->quiet_at = cwsl_now() + CWSL_DRAIN_MS;
    job->hard_at = cwsl_now() + CWSL_DRAIN_MAX_MS;
    for (i = 0; i < 2; i++) {
        pending = 0;
        if (job->out[i] >= 0 && ioctl(job->out[i], FIONREAD, &pending) == 0 && pending > 0)
            job->owed[i] = CWSI_CAST(uint64_t, pending);
    }
}

static void cwsl_stamp(cwsi_pb_Timestamp *out, int64_t ms)
{
    memset(out, 0, sizeof(*out));
    out->seconds = ms / 1000;
    out->nanos = CWSI_CAST(int32_t, ms % 1000) * 1000000;
}

static void cwsl_finish_stream(cwsl_job *job, cwsl_exchange *x)
{
    cwsi_v1_ExecStreamResponse msg;
    cwsi_v1_ExecStreamExit end;
    cwsi_pb_Timestamp when;
    if (x->finished) return;
    if (job->refused || job->lost) {
        cwsl_stream_error(x, "EXEC_FAILED", job->lost ? "the sandbox ended before the command"
                                                      : strerror(job->status));
        return;
    }
    memset(&msg, 0, sizeof(msg));
    memset(&end, 0, sizeof(end));
    cwsl_stamp(&when, cwsl_clock(true));
    end.exit_code = cwsl_exit_code(job->status);
    end.completed_time = &when;
    msg.exit = &end;
    cwsl_send(x, &msg);
    cwsl_end_stream(x);
}

static void cwsl_finish_exec(cwsl_job *job, cwsl_exchange *x)
{
    cwsi_v1_ExecResponse r;
    if (job->kept[0].status || job->kept[1].status) {
        cwsl_no_memory(x);
        return;
    }
    memset(&r, 0, sizeof(r));
    r.stdout_.at = job->kept[0].at, r.stdout_.len = job->kept[0].len;
    r.stderr_.at = job->kept[1].at, r.stderr_.len = job->kept[1].len;
    r.exit_code = cwsl_exit_code(job->status);
    r.stdout_truncated = job->produced[0] > job->kept[0].len;
    r.stderr_truncated = job->produced[1] > job->kept[1].len;
    r.stdout_bytes_produced = CWSI_CAST(int64_t, job->produced[0]);
    r.stderr_bytes_produced = CWSI_CAST(int64_t, job->produced[1]);
    cwsl_reply(x, &r);
}

static void cwsl_fail_file(cwsl_exchange *x, cwsi_str path, bool writing, int error, uint64_t size)
{
    const char *verb = writing ? "write" : "read";
    int len = CWSI_CAST(int, path.len < 200 ? path.len : 200);
    cwsl_meta(x, "filepath", path);
    if (error == EFBIG) {
        cwsl_meta_number(x, "size_bytes", size);
        cwsl_meta_number(x, "max_size_bytes", x->server->max_file);
        cwsl_meta(x, "operation", cwsi_str_of(writing ? "write_file" : "read_file"));
        cwsl_fail(x, CWSL_PRECONDITION, "FILE_TOO_LARGE", "%.*s: too large for one message", len,
                  path.at);
    } else if (error == EISDIR) {
        cwsl_fail(x, CWSL_PRECONDITION, "FILE_IS_DIRECTORY", "%.*s: is a directory", len, path.at);
    } else if (error == EACCES || error == EPERM || error == EROFS || error == ELOOP) {
        cwsl_fail(x, CWSL_PRECONDITION, "FILE_PERMISSION_DENIED", "cannot %s %.*s: %s", verb, len,
                  path.at, strerror(error));
    } else if (error == ENOENT && writing) {
        cwsl_fail(x, CWSL_PRECONDITION, "FILE_IO_FAILED",
                  "cannot write %.*s: parent directory does not exist", len, path.at);
    } else if (error == ENOENT || (error == ENOTDIR && !writing)) {
        cwsl_fail(x, CWSL_NOT_FOUND, "FILE_NOT_FOUND", "%.*s: no such file", len, path.at);
    } else {
        cwsl_fail(x, CWSL_PRECONDITION, "FILE_IO_FAILED", "cannot %s %.*s: %s", verb, len, path.at,
                  strerror(error));
    }
}

/* End of a file transfer; the exit code of its process is the errno. */
static void cwsl_finish_file(cwsl_job *job, cwsl_exchange *x)
{
    bool writing = job->kind == CWSL_STORE;
    int error = WIFEXITED(job->status) ? WEXITSTATUS(job->status) : EIO;
    uint64_t size = 0;
    cwsi_v1_ReadFileResponse r;
    memset(&r, 0, sizeof(r));
    if (job->kept[0].len >= sizeof(size)) memcpy(&size, job->kept[0].at, sizeof(size));
    else if (!writing && !error && !job->kept[0].status) error = EIO;
    if (error) {
        cwsl_fail_file(x, job->path, writing, error,
                       size > job->produced[0] ? size : job->produced[0]);
    } else if (writing) {
        cwsl_reply(x, &r); /* WriteFileResponse has no field either */
    } else if (job->kept[0].status) {
        cwsl_no_memory(x);
    } else {
        r.content.at = job->kept[0].at + sizeof(size);
        r.content.len = job->kept[0].len - sizeof(size);
        cwsl_reply(x, &r);
    }
}

static void cwsl_finish_mount(cwsl_job *job)
{
    char text[200];
    cwsl_box *box = job->box;
    int error = WIFEXITED(job->status) ? WEXITSTATUS(job->status) : EIO;
    if (job->refused) error = job->status;
    if (!job->lost && !error) {
        box->mounted++;
        cwsl_prepare(box);
        return;
    }
    (void)cwsi_format(text, sizeof(text), "mounted file %.*s: %s",
                      CWSI_CAST(int, job->path.len < 100 ? job->path.len : 100), job->path.at,
                      strerror(error));
    cwsl_box_end(box, CWSI_v1_STATE_FAILED, text);
}

/* Has the job come to its end, output included? Then answer. */
static void cwsl_job_step(cwsl_job *job, int64_t now)
{
    cwsl_exchange *x = job->exchange;
    bool open = job->out[0] >= 0 || job->out[1] >= 0;
    if (job->unkilled) cwsl_job_drop(job);
    if (job->clear_at != CWSI_NEVER && job->box->control >= 0) {
        if (now < job->clear_at) return;
        job->clear_at = now + CWSL_HANGUP_MS; /* for another try if there is no memory */
        if (!cwsl_tell(job->box, CWSL_CLEAR, job->session, 0, NULL, NULL, 0)) return;
    }
    job->clear_at = CWSI_NEVER;
    if (job->done || !job->exited) return;
    if (open && !cwsl_may_read(job)) { /* time stands still while the client does not read */
        job->quiet_at = now + CWSL_DRAIN_MS;
        job->hard_at = now + CWSL_DRAIN_MAX_MS;
        return;
    }
    if (open && x && (job->owed[0] || job->owed[1] || (now < job->quiet_at && now < job->hard_at)))
        return;
    job->done = true;
    cwsl_job_close(job);
    if (job->kind == CWSL_MOUNT) cwsl_finish_mount(job);
    if (!x) return;
    if (job->kind == CWSL_STREAM) cwsl_finish_stream(job, x);
    else if (job->lost)
        cwsl_fail(x, CWSL_PRECONDITION, "SANDBOX_NOT_RUNNING", "the sandbox ended meanwhile");
    else if (job->refused)
        cwsl_fail(x, CWSL_EXHAUSTED, NULL, "cannot start a process: %s", strerror(job->status));
    else if (job->kind == CWSL_COLLECT) cwsl_finish_exec(job, x);
    else cwsl_finish_file(job, x);
    job->exchange = NULL;
    x->job = NULL;
    job->box->server->progress = true;
}

static cwsl_job *cwsl_job_find(const cwsl_box *box, uint32_t id)
{
    cwsl_job *job = box->server->jobs;
    while (job && (job->box != box || job->id != id)) job = job->next;
    return job;
}

static void cwsl_put_ready(cwsl_exchange *x)
{
    cwsi_v1_ExecStreamResponse msg;
    cwsi_v1_ExecStreamReady ready;
    cwsi_pb_Timestamp when;
    memset(&msg, 0, sizeof(msg));
    memset(&ready, 0, sizeof(ready));
    cwsl_stamp(&when, cwsl_clock(true));
    ready.ready_time = &when;
    msg.ready = &ready;
    cwsl_send(x, &msg);
}

/* One report of a supervisor. */
static void cwsl_box_hear(cwsl_box *box, const cwsl_frame *f)
{
    char text[200];
    cwsl_job *job = f->id && f->op != CWSL_BROKEN ? cwsl_job_find(box, f->id) : NULL;
    if (cwsl_side_hear(box, f)) return;
    if (f->op == CWSL_READY) {
        cwsl_prepare(box);
    } else if (f->op == CWSL_BROKEN) {
        (void)cwsi_format(text, sizeof(text), "could not be set up, step %u: %s", f->id,
                          strerror(f->value));
        cwsl_box_end(box, CWSI_v1_STATE_FAILED, text);
    } else if (f->id == 0 && f->op == CWSL_STARTED) {
        box->main_running = true;
        if (!box->started_ms) box->started_ms = cwsl_clock(true);
        if (box->state == CWSI_v1_STATE_CREATING && !box->ending && !box->restarts)
            box->ready_at = cwsl_now() + box->server->start_delay_ms;
    } else if (f->id == 0 && f->op == CWSL_REFUSED) {
        (void)cwsi_format(text, sizeof(text), "main process cannot be started: %s",
                          strerror(f->value));
        cwsl_box_end(box, CWSI_v1_STATE_FAILED, text);
    } else if (f->id == 0 && f->op == CWSL_EXITED) {
        cwsl_main_exited(box, f->value);
    } else if (job && f->op == CWSL_STARTED) {
        job->started = true;
        job->session = CWSI_CAST(uint32_t, f->value);
        if (job->kind == CWSL_STREAM && job->exchange) {
            cwsl_put_ready(job->exchange);
            (void)cwsl_fault_now(job->exchange, &box->exec_fault);
        }
    } else if (job) {
        cwsl_job_exited(job, f->value, f->op == CWSL_REFUSED);
    }
}

static void cwsl_box_read(cwsl_box *box)
{
    while (box->control >= 0) {
        ssize_t n = read(box->control, box->report + box->reported,
                         sizeof(box->report) - box->reported);
        cwsl_frame f;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n <= 0) {
            cwsl_box_end(box, CWSI_v1_STATE_FAILED, "the supervisor of the sandbox was lost");
            cwsl_close(&box->control);
            box->reap_at = 0;
            return;
        }
        box->server->progress = true;
        box->reported += CWSI_CAST(size_t, n);
        if (box->reported < sizeof(f)) continue;
        memcpy(&f, box->report, sizeof(f));
        box->reported = 0;
        cwsl_box_hear(box, &f);
    }
}

/* ================================================================================================
 * >>local-view
 * A sandbox as the service shows it. Everything is made in the arena of the exchange.
 * ============================================================================================= */

static cwsi_pb_Timestamp *cwsl_view_time(cwsi_arena *arena, int64_t ms)
{
    cwsi_pb_Timestamp *t = ms ? CWSI_ARENA_NEW(arena, cwsi_pb_Timestamp) : NULL;
    if (t) cwsl_stamp(t, ms);
    return t;
}

static void cwsl_view_services(cwsi_arena *arena, const cwsl_box *box,
                               cwsi_v1_SandboxStatus *status)
{
    size_t i;
    for (i = 0; i < box->spec->services.len; i++) {
        const cwsi_v1_Service *from = CWSI_AT(v1_Service, box->spec->services, i);
        cwsi_v1_ServiceStatus *to;
        if (box->older && !from->visibility) continue; /* a port that is not published */
        to = CWSI_CAST(cwsi_v1_ServiceStatus *,
                       cwsi_list_grow(arena, &status->services, sizeof(*to)));
        if (!to) return;
        to->port = from->port;
        to->name = from->name;
        to->protocol = from->protocol;
        to->visibility = from->visibility;
    }
}

/* False: out of memory. */
static bool cwsl_view_containers(cwsi_arena *arena, const cwsl_box *box, cwsi_list *out)
{
    const cwsi_v1_Container *spec;
    size_t i;
    for (i = 0; i < box->spec->containers.len; i++) {
        cwsi_v1_ContainerStatus *c =
            CWSI_CAST(cwsi_v1_ContainerStatus *, cwsi_list_grow(arena, out, sizeof(*c)));
        const cwsl_side *side;
        if (!c) return false;
        spec = CWSI_AT(v1_Container, box->spec->containers, i);
        c->name = spec->name;
        c->state = box->state;
        if (!cwsl_side_find(box, spec->name, &side) || !side) {
            c->exit_code = cwsl_is_terminal(box->state) && box->has_exit ? box->exit_code : 0;
            c->restart_count = box->restarts;
            continue;
        }
        c->restart_count = side->restarts;
        if (!side->ended) continue;
        c->exit_code = side->exit_code;
        c->state = side->exit_code ? CWSI_v1_STATE_FAILED : CWSI_v1_STATE_COMPLETED;
    }
    return true;
}

/* NULL: out of memory. */
static cwsi_v1_Sandbox *cwsl_view(cwsi_arena *arena, const cwsl_box *box)
{
    cwsi_v1_Sandbox *v = CWSI_ARENA_NEW(arena, cwsi_v1_Sandbox);
    cwsi_v1_SandboxStatus *status = CWSI_ARENA_NEW(arena, cwsi_v1_SandboxStatus);
    bool ended = cwsl_is_terminal(box->state);
    if (!v || !status || !cwsl_view_containers(arena, box, &status->container_statuses))
        return NULL;
    *v = *box->given;
    if (box->older) v->spec = NULL; /* as the service shows them */
    v->sandbox_id = cwsi_str_of(box->id);
    v->status = status;
    status->state = box->state;
    if (ended) status->state_reason = cwsi_str_of(box->reason);
    status->create_time = cwsl_view_time(arena, box->created_ms);
    status->start_time = cwsl_view_time(arena, box->started_ms);
    status->end_time = cwsl_view_time(arena, box->ended_ms);
    status->has_exit_code = ended && box->has_exit;
    status->exit_code = status->has_exit_code ? box->exit_code : 0;
    status->effective_max_lifetime_seconds = box->lifetime_s;
    status->runner_id = cwsi_str_of("local");
    status->runner_group_id = cwsi_str_of("local");
    status->effective_runtime_class = cwsi_str_of("<node-default>");
    status->effective_resources = box->container->resources;
    status->effective_resource_requirements = box->container->resource_requirements;
    if (box->container->resource_requirements)
        status->effective_resources = box->container->resource_requirements->requests;
    cwsl_view_services(arena, box, status);
    return v;
}

static bool cwsl_has_str(const cwsi_list *list, cwsi_str s)
{
    size_t i;
    for (i = 0; i < list->len; i++)
        if (cwsi_str_same(CWSI_CAST(const cwsi_str *, list->at)[i], s)) return true;
    return false;
}

/* All of the wanted tags? */
static bool cwsl_has_tags(const cwsl_box *box, const cwsi_list *wanted)
{
    size_t i;
    for (i = 0; i < wanted->len; i++)
        if (!cwsl_has_str(&box->spec->tags, CWSI_CAST(const cwsi_str *, wanted->at)[i]))
            return false;
    return true;
}

/* ================================================================================================
 * >>local-check
 * What the service refuses. Each check answers the exchange and returns false.
 * ============================================================================================= */

static bool cwsl_has_nul(cwsi_str s)
{
    return s.len && memchr(s.at, '\0', s.len) != NULL;
}

static bool cwsl_check_env(cwsl_exchange *x, const cwsi_list *env, const char *field)
{
    size_t i;
    if (env->len > 4096) return cwsl_refuse(x, field, "more than 4096 variables");
    for (i = 0; i < env->len; i++) {
        const cwsi_map_StrStr *e = CWSI_AT(map_StrStr, *env, i);
        if (e->key.len == 0 || memchr(e->key.at, '=', e->key.len) || cwsl_has_nul(e->key) ||
            cwsl_has_nul(e->value))
            return cwsl_refuse(x, field, "bad variable");
    }
    return true;
}

static bool cwsl_check_args(cwsl_exchange *x, const cwsi_list *args, const char *field)
{
    size_t i;
    for (i = 0; i < args->len; i++)
        if (cwsl_has_nul(CWSI_CAST(const cwsi_str *, args->at)[i]))
            return cwsl_refuse(x, field, "NUL in an argument");
    return true;
}

static bool cwsl_check_tags(cwsl_exchange *x, const cwsi_list *tags)
{
    const cwsi_str *tag = CWSI_CAST(const cwsi_str *, tags->at);
    size_t i, k;
    if (tags->len > 1000) return cwsl_refuse(x, "sandbox.spec.tags", "too many");
    for (i = 0; i < tags->len; i++) {
        bool ok = tag[i].len > 0 && tag[i].len <= 59 && cwsi_is_alnum(tag[i].at[tag[i].len - 1]);
        for (k = 0; ok && k < tag[i].len; k++)
            ok = cwsi_is_alnum(tag[i].at[k]) || memchr("._-", tag[i].at[k], 3) != NULL;
        if (!ok)
            return cwsl_refuse(x, "sandbox.spec.tags",
                               "a tag has 1 to 59 characters of A-Z a-z 0-9 . _ - and ends with a "
                               "letter or digit");
        for (k = 0; k < i; k++)
            if (cwsi_str_same(tag[i], tag[k])) return cwsl_refuse(x, "sandbox.spec.tags", "twice");
    }
    return true;
}

static bool cwsl_check_container(cwsl_exchange *x, const cwsi_v1_Container *c)
{
    bool ok = c->name.len > 0 && c->name.len <= 63 && c->name.at[0] != '-' &&
              c->name.at[c->name.len - 1] != '-';
    size_t i;
    for (i = 0; ok && i < c->name.len; i++)
        ok = c->name.at[i] == '-' || (cwsi_is_alnum(c->name.at[i]) &&
                                      cwsi_lower(c->name.at[i]) == c->name.at[i]);
    if (!ok) return cwsl_refuse(x, "sandbox.spec.containers[0].name", "must be a DNS-1123 label");
    if (!c->image.len) return cwsl_refuse(x, "sandbox.spec.containers[0].image", "is required");
    if (!c->command.len && c->args.len)
        return cwsl_refuse(x, "sandbox.spec.containers[0].args", "given without a command");
    if (c->resources && c->resource_requirements)
        return cwsl_refuse(x, "sandbox.spec.containers[0].resources",
                           "exclusive with resource_requirements");
    if (cwsl_has_nul(c->command) || cwsl_has_nul(c->working_dir) ||
        c->working_dir.len > PATH_MAX / 2)
        return cwsl_refuse(x, "sandbox.spec.containers[0]", "bad command or working_dir");
    for (i = 0; i < c->files.len; i++) {
        cwsi_str path = CWSI_AT(v1_FileMount, c->files, i)->path;
        if (!path.len || path.at[0] != '/' || path.at[path.len - 1] == '/' || cwsl_has_nul(path))
            return cwsl_refuse(x, "sandbox.spec.containers[0].files", "path must be absolute");
    }
    return cwsl_check_args(x, &c->args, "sandbox.spec.containers[0].args") &&
           cwsl_check_env(x, &c->environment_variables,
                          "sandbox.spec.containers[0].environment_variables");
}

static bool cwsl_check_placement(cwsl_exchange *x, const cwsi_v1_SandboxSpec *spec)
{
    size_t i;
    for (i = 0; i < spec->runner_ids.len; i++) {
        if (!CWSI_CAST(const cwsi_str *, spec->runner_ids.at)[i].len)
            return cwsl_refuse(x, "sandbox.spec.runner_ids", "must not be blank");
    }
    if (spec->runner_ids.len > 100) return cwsl_refuse(x, "sandbox.spec.runner_ids", "over 100");
    if (spec->runner_ids.len && spec->mode != CWSI_v1_SANDBOX_MODE_CKS)
        return cwsl_refuse(x, "sandbox.spec.runner_ids", "needs mode SANDBOX_MODE_CKS");
    if (spec->runner_ids.len && !cwsl_has_str(&spec->runner_ids, cwsi_str_of("local"))) {
        cwsl_fail(x, CWSL_UNAVAILABLE, "RUNNER_UNAVAILABLE", "the only runner here is \"local\"");
        return false;
    }
    return true;
}

/* Components between single slashes, none of them "." or ".."? */
static bool cwsl_is_canonical(cwsi_str path)
{
    size_t i, n;
    for (i = 0; i <= path.len; i += n + 1) {
        for (n = 0; i + n < path.len && path.at[i + n] != '/'; n++) {}
        if (!n || (path.at[i] == '.' && (n == 1 || (n == 2 && path.at[i + 1] == '.'))))
            return false;
    }
    return !cwsl_has_nul(path);
}

static bool cwsl_check_mount_path(cwsi_str path)
{
    static const char *const system_dirs[] = {"proc", "sys", "dev", "etc", "var/run/secrets",
                                              "shared/credentials"};
    char text[260];
    cwsi_str rest = path;
    size_t i;
    if (path.len < 2 || path.len > 256 || path.at[0] != '/') return false;
    rest.at++, rest.len--;
    if (!cwsl_is_canonical(rest)) return false;
    cwsi_copy_text(text, sizeof(text), rest.at, rest.len);
    for (i = 0; i < CWSI_COUNT(system_dirs); i++)
        if (cwsl_is_below(text, system_dirs[i])) return false;
    return true;
}

static cwsl_snapshot *cwsl_snapshot_find(const cwsl_server *s, cwsi_str id)
{
    cwsl_snapshot *snap = s->snapshots;
    while (snap && (snap->deleted || !cwsi_str_is(id, snap->id))) snap = snap->next;
    return snap;
}

static void cwsl_fail_snapshot(cwsl_exchange *x, cwsi_str id)
{
    cwsl_fail(x, CWSL_NOT_FOUND, "FSS_NOT_FOUND", "file-system snapshot %.*s not found",
              CWSI_CAST(int, id.len < 64 ? id.len : 64), id.at);
}

static bool cwsl_fail_volume(cwsl_exchange *x, cwsi_str id)
{
    cwsl_meta(x, "volume_id", id);
    cwsl_fail(x, CWSL_NOT_FOUND, "VOLUME_NOT_FOUND", "volume %.*s not found",
              CWSI_CAST(int, id.len < 64 ? id.len : 64), id.at);
    return false;
}

static bool cwsl_check_volume(cwsl_exchange *x, const cwsi_v1_SandboxVolume *v)
{
    const char *field = "sandbox.spec.volumes";
    const cwsi_v1_ScratchVolume *scratch = v->scratch;
    const cwsl_snapshot *snap;
    if (v->has_volume_id) return cwsl_fail_volume(x, v->volume_id);
    if (!scratch) return true;
    if (scratch->medium == CWSI_v1_STORAGE_MEDIUM_MEMORY && !scratch->size.len)
        return cwsl_refuse(x, field, "STORAGE_MEDIUM_MEMORY needs a size");
    if (scratch->medium != CWSI_v1_STORAGE_MEDIUM_MEMORY && scratch->size.len &&
        scratch->size.at[scratch->size.len - 1] == '%')
        return cwsl_refuse(x, field, "a percentage is for STORAGE_MEDIUM_MEMORY only");
    if (!scratch->restore_from_snapshot_id.len) return true;
    snap = cwsl_snapshot_find(x->server, scratch->restore_from_snapshot_id);
    if (!snap)
        cwsl_fail_snapshot(x, scratch->restore_from_snapshot_id);
    else if (snap->state != CWSI_v1_SNAPSHOT_STATE_READY)
        cwsl_fail(x, CWSL_PRECONDITION, "FSS_NOT_READY", "file-system snapshot %s is not ready",
                  snap->id);
    else if (!cwsi_str_is(snap->bucket, cwsl_bucket(x->server)))
        cwsl_fail(x, CWSL_PRECONDITION, "FSS_BUCKET_MISMATCH",
                  "file-system snapshot %s is in bucket %.*s", snap->id,
                  CWSI_CAST(int, snap->bucket.len), snap->bucket.at);
    return !x->finished;
}

static bool cwsl_check_mounts(cwsl_exchange *x, const cwsi_v1_SandboxSpec *spec,
                              const cwsi_list *mounts)
{
    const char *field = CWSL_FIRST ".volume_mounts";
    size_t i, k;
    if (mounts->len > 64) return cwsl_refuse(x, field, "more than 64");
    for (i = 0; i < mounts->len; i++) {
        const cwsi_v1_VolumeMount *m = CWSI_AT(v1_VolumeMount, *mounts, i);
        for (k = 0; k < spec->volumes.len; k++)
            if (cwsi_str_same(m->volume, CWSI_AT(v1_SandboxVolume, spec->volumes, k)->name)) break;
        if (k == spec->volumes.len) return cwsl_refuse(x, field, "no such volume");
        if (!cwsl_check_mount_path(m->mount_path))
            return cwsl_refuse(x, field, "mount_path must be absolute and canonical, at most 256 "
                                         "characters, and no directory of the system");
        if (m->sub_path.len && (m->sub_path.len > 256 || !cwsl_is_canonical(m->sub_path)))
            return cwsl_refuse(x, field, "sub_path must be relative and canonical");
        for (k = 0; k < i; k++)
            if (cwsi_str_same(m->mount_path, CWSI_AT(v1_VolumeMount, *mounts, k)->mount_path))
                return cwsl_refuse(x, field, "two with the same mount_path");
    }
    return true;
}

static bool cwsl_check_volumes(cwsl_exchange *x, const cwsi_v1_SandboxSpec *spec)
{
    const char *field = "sandbox.spec.volumes";
    size_t i, k;
    if (spec->volumes.len > 64) return cwsl_refuse(x, field, "more than 64");
    for (i = 0; i < spec->volumes.len; i++) {
        const cwsi_v1_SandboxVolume *v = CWSI_AT(v1_SandboxVolume, spec->volumes, i);
        if (!v->name.len || v->name.len > 63 || cwsl_has_nul(v->name))
            return cwsl_refuse(x, field, "a name has 1 to 63 characters");
        for (k = 0; k < i; k++)
            if (cwsi_str_same(v->name, CWSI_AT(v1_SandboxVolume, spec->volumes, k)->name))
                return cwsl_refuse(x, field, "two with the same name");
        if (!cwsl_check_volume(x, v)) return false;
    }
    for (i = 0; i < spec->containers.len; i++) {
        const cwsi_v1_Container *c = CWSI_AT(v1_Container, spec->containers, i);
        x->container = i;
        if (!cwsl_check_mounts(x, spec, &c->volume_mounts)) return false;
    }
    x->container = 0;
    return true;
}

static bool cwsl_check_containers(cwsl_exchange *x, const cwsi_v1_SandboxSpec *spec)
{
    size_t i, k, primary = 0, count = spec ? spec->containers.len : 0;
    if (!count || count > 16)
        return cwsl_refuse(x, "sandbox.spec.containers",
                           count ? "more than 16" : "at least one is required");
    for (i = 0; i < count; i++) {
        const cwsi_v1_Container *c = CWSI_AT(v1_Container, spec->containers, i);
        x->container = i;
        if (!cwsl_check_container(x, c)) return false;
        for (k = 0; k < i; k++)
            if (cwsi_str_same(c->name, CWSI_AT(v1_Container, spec->containers, k)->name))
                return cwsl_refuse(x, CWSL_FIRST ".name", "used twice");
        primary += c->primary;
    }
    x->container = 0;
    return count == 1 || primary == 1 ||
           cwsl_refuse(x, "sandbox.spec.containers", "exactly one must be primary");
}

static bool cwsl_check_spec(cwsl_exchange *x, const cwsi_v1_SandboxSpec *spec)
{
    size_t i;
    if (!cwsl_check_containers(x, spec) || !cwsl_check_tags(x, &spec->tags) ||
        !cwsl_check_placement(x, spec))
        return false;
    if (spec->max_lifetime_seconds < 0 || spec->max_lifetime_seconds > CWSI_MAX_LIFETIME_S)
        return cwsl_refuse(x, "sandbox.spec.max_lifetime_seconds", "must be 0 to 30 days");
    if (spec->annotations.len > 100)
        return cwsl_refuse(x, "sandbox.spec.annotations", "more than 100");
    for (i = 0; i < spec->annotations.len; i++) {
        const cwsi_map_StrStr *e = CWSI_AT(map_StrStr, spec->annotations, i);
        if (!e->key.len || !e->value.len)
            return cwsl_refuse(x, "sandbox.spec.annotations", "empty key or value");
    }
    for (i = 0; i < spec->services.len; i++) {
        int32_t port = CWSI_AT(v1_Service, spec->services, i)->port;
        if (port < 1 || port > 65535) return cwsl_refuse(x, "sandbox.spec.services", "bad port");
    }
    if (spec->object_storage_access) {
        cwsl_fail(x, CWSL_UNIMPLEMENTED, "NOT_IMPLEMENTED",
                  "the local backend has no object storage");
        return false;
    }
    return cwsl_check_volumes(x, spec);
}

/* A page: at most how many, and behind which number; tokens are that of the last one given out. */
static bool cwsl_page(cwsl_exchange *x, int32_t size, cwsi_str token, size_t *most, uint64_t *after)
{
    *most = x->server->page_size;
    *after = 0;
    if (size < 0) return cwsl_refuse(x, "page_size", "negative");
    if (size > 0 && CWSI_CAST(size_t, size) < *most) *most = CWSI_CAST(size_t, size);
    if (token.len && !cwsi_parse_u64(token.at, token.len, after))
        return cwsl_refuse(x, "page_token", "not one of ours");
    return true;
}

/* The sandbox that a data call is about, which must be running. */
static cwsl_box *cwsl_running_box(cwsl_exchange *x, cwsi_str id, cwsi_str container)
{
    cwsl_box *box = cwsl_box_find(x->server, id);
    const cwsl_side *side;
    int len = CWSI_CAST(int, id.len < 64 ? id.len : 64);
    if (!box) {
        cwsl_fail(x, CWSL_NOT_FOUND, "SANDBOX_NOT_FOUND", "sandbox %.*s not found", len, id.at);
        return NULL;
    }
    if (box->state != CWSI_v1_STATE_RUNNING || box->ending) {
        cwsl_fail(x, CWSL_PRECONDITION, "SANDBOX_NOT_RUNNING", "sandbox %s is %s", box->id,
                  box->state == CWSI_v1_STATE_PAUSED ? "paused" : "not running");
        return NULL;
    }
    if (!cwsl_side_find(box, container, &side)) {
        (void)cwsl_refuse(x, "container", "no such container");
        return NULL;
    }
    return box;
}

/* ================================================================================================
 * >>local-create
 * CreateSandbox.
 * ============================================================================================= */

static bool cwsl_put_secrets(cwsl_exchange *x, cwsl_box *box, const cwsi_v1_Container *c,
                             cwsi_list *env)
{
    const cwsi_list *stores = &c->secret_stores;
    size_t i, k, count = 0;
    for (i = 0; i < stores->len; i++) {
        const cwsi_v1_SecretStoreReference *store = CWSI_AT(v1_SecretStoreReference, *stores, i);
        if (!cwsi_str_is(store->store_name, "local")) {
            cwsl_fail(x, CWSL_PRECONDITION, "SECRET_STORE_NOT_PROVISIONED",
                      "the only secret store here is \"local\"");
            return false;
        }
        for (k = 0; k < store->secrets.len; k++) {
            const cwsi_v1_SecretMapping *m = CWSI_AT(v1_SecretMapping, store->secrets, k);
            char *name = cwsi_arena_copy(&box->arena, m->path.at, m->path.len);
            const char *value = name && !cwsl_has_nul(m->path) ? getenv(name) : NULL;
            if (++count > 50 || !m->env_var.len || cwsl_has_nul(m->env_var) ||
                memchr(m->env_var.at, '=', m->env_var.len) || m->field.len)
                return cwsl_refuse(x, "sandbox.spec.containers[0].secret_stores", "bad secret");
            if (!value) {
                cwsl_fail(x, CWSL_PRECONDITION, "INVALID_REQUEST",
                          "no such variable in the environment of the local backend");
                return false;
            }
            if (!cwsl_put_env(&box->arena, env, m->env_var, cwsi_str_of(value)))
                return cwsl_no_memory(x), false;
        }
    }
    return true;
}

static bool cwsl_put_variables(cwsi_arena *arena, cwsi_list *env, const cwsi_list *map)
{
    size_t i;
    for (i = 0; i < map->len; i++) {
        const cwsi_map_StrStr *e = CWSI_AT(map_StrStr, *map, i);
        if (!cwsl_put_env(arena, env, e->key, e->value)) return false;
    }
    return true;
}

static bool cwsl_put_base_env(cwsl_box *box, const cwsi_v1_Container *c, cwsi_list *env)
{
    static const char *const names[] = {"PATH", "HOME", "LANG", "CWSANDBOX_ID", "TMPDIR"};
    const char *values[] = {"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/root",
                            "C.UTF-8", box->id, "/tmp"};
    char home[PATH_MAX], tmp[PATH_MAX];
    bool isolated = box->server->isolated;
    size_t i;
    if (!isolated) {
        if (!cwsl_map_dir(box, cwsi_str_of("/root"), home, sizeof(home)) ||
            !cwsl_map_dir(box, cwsi_str_of("/tmp"), tmp, sizeof(tmp)))
            return false;
        values[1] = home, values[4] = tmp;
    }
    for (i = 0; i < (isolated ? 4u : 5u); i++)
        if (!cwsl_put_env(&box->arena, env, cwsi_str_of(names[i]), cwsi_str_of(values[i])))
            return false;
    return cwsl_put_variables(&box->arena, env, &c->environment_variables);
}

/* What the containers are given. False: answered. */
static bool cwsl_put_containers(cwsl_exchange *x, cwsl_box *box)
{
    size_t i, n = box->spec->containers.len;
    box->sides = CWSI_CAST(cwsl_side *, cwsi_arena_alloc(&box->arena, n * sizeof(cwsl_side)));
    for (i = 0; i < n; i++) {
        const cwsi_v1_Container *c = CWSI_AT(v1_Container, box->spec->containers, i);
        cwsl_side *side = box->sides && c != box->container ? &box->sides[box->side_count] : NULL;
        cwsi_list *env = side ? &side->env : &box->env;
        if (!box->sides || !cwsl_put_base_env(box, c, env)) return cwsl_no_memory(x), false;
        x->container = i;
        if (!cwsl_put_secrets(x, box, c, env)) return false;
        if (!side) continue;
        side->spec = c;
        side->restart_at = CWSI_NEVER;
        box->side_count++;
    }
    x->container = 0;
    return true;
}

/* "WHAT@BYTES" or "WHAT@BYTESxTIMES". */
static bool cwsl_parse_fault(cwsi_str s, cwsl_fault *fault)
{
    const char *at = s.len ? CWSI_CAST(const char *, memchr(s.at, '@', s.len)) : NULL, *times;
    size_t len = at ? CWSI_CAST(size_t, at - s.at) : 0, rest = s.len - len, i;
    if (!len || len >= sizeof(fault->what)) return false;
    cwsi_copy_text(fault->what, sizeof(fault->what), s.at, len);
    fault->times = 1;
    times = CWSI_CAST(const char *, memchr(at, 'x', rest));
    if (times) {
        i = CWSI_CAST(size_t, times - at);
        if (!cwsi_parse_u64(times + 1, rest - i - 1, &fault->times)) return false;
        rest = i;
    }
    for (i = 0; i < len && (fault->what[i] == '_' || (s.at[i] >= 'A' && s.at[i] <= 'Z'));) i++;
    return cwsi_parse_u64(at + 1, rest - 1, &fault->bytes) &&
           (i == len || cwsl_code_of(fault->what));
}

static bool cwsl_put_faults(cwsl_exchange *x, cwsl_box *box)
{
    static const char *const names[] = {"CWSL_TEST_LOG_ERROR", "CWSL_TEST_EXEC_ERROR",
                                        "CWSL_TEST_SNAPSHOT"};
    cwsl_fault *faults[3];
    size_t i, k;
    faults[0] = &box->log_fault, faults[1] = &box->exec_fault;
    faults[2] = &box->snapshot_fault;
    for (i = 0; i < box->container->environment_variables.len; i++) {
        const cwsi_map_StrStr *e =
            CWSI_AT(map_StrStr, box->container->environment_variables, i);
        for (k = 0; k < 3; k++)
            if (cwsi_str_is(e->key, names[k]) && !cwsl_parse_fault(e->value, faults[k]))
                return cwsl_refuse(x, names[k], "is WHAT@BYTES or WHAT@BYTESxTIMES");
    }
    return true;
}

/* What only v1beta2 asks for and shows: the names of network modes. False: out of memory. */
static bool cwsl_keep_modes(cwsl_exchange *x, cwsl_box *box)
{
    const cwsi_b2_NetworkOptions *network = x->start ? x->start->network : NULL;
    box->older = x->start != NULL;
    box->egress = cwsi_str_of("internet");
    if (!network) return true;
    box->ingress.len = network->ingress_mode.len;
    box->ingress.at = cwsi_arena_copy(&box->arena, network->ingress_mode.at, box->ingress.len);
    if (!network->egress_mode.len) return box->ingress.at != NULL;
    box->egress.len = network->egress_mode.len;
    box->egress.at = cwsi_arena_copy(&box->arena, network->egress_mode.at, box->egress.len);
    return box->ingress.at && box->egress.at;
}

/* A new sandbox without processes, owning a copy of the request. NULL: out of memory. */
static cwsl_box *cwsl_box_new(cwsl_exchange *x, const cwsi_v1_CreateSandboxRequest *r)
{
    cwsl_server *s = x->server;
    cwsl_box *box = cwsl_reserve(s) ? CWSI_NEW(&s->mem, cwsl_box) : NULL;
    void *decoded = NULL;
    cwsi_str copy;
    size_t i = 0;
    if (!box) return NULL;
    box->server = s;
    box->control = box->log.pipe[0] = box->log.pipe[1] = -1;
    box->slot = box->log.slot = SIZE_MAX;
    box->restore.pipe = -1;
    cwsi_arena_init(&box->arena, &s->mem);
    cwsi_buf_init(&box->body, &s->mem, SIZE_MAX / 4);
    (void)cwsi_encode(&box->body, CWSI_M_v1_CreateSandboxRequest, r);
    copy.at = box->body.at, copy.len = box->body.len;
    if (box->body.status || !cwsl_keep_modes(x, box) ||
        cwsi_decode(&box->arena, CWSI_M_v1_CreateSandboxRequest, copy, &decoded)) {
        cwsl_box_free(box);
        return NULL;
    }
    r = CWSI_CAST(const cwsi_v1_CreateSandboxRequest *, decoded);
    box->request_id = r->request_id;
    box->given = r->sandbox;
    box->spec = r->sandbox->spec;
    while (i + 1 < box->spec->containers.len &&
           !CWSI_AT(v1_Container, box->spec->containers, i)->primary)
        i++;
    box->container = CWSI_AT(v1_Container, box->spec->containers,
                             box->spec->containers.len > 1 ? i : 0);
    cwsl_make_id(s, box->id);
    (void)cwsi_format(box->dir, sizeof(box->dir), "%s/%s", s->root, box->id);
    box->lifetime_s = box->spec->max_lifetime_seconds;
    if (!box->lifetime_s) box->lifetime_s = CWSL_LIFETIME_S;
    box->state = CWSI_v1_STATE_CREATING;
    box->created_ms = cwsl_clock(true);
    box->ready_at = box->restart_at = box->lifetime_at = CWSI_NEVER;
    box->grace_at = box->reap_at = CWSI_NEVER;
    return box;
}

/* A volume where a container wants it. False: answered. */
static bool cwsl_put_mount(cwsl_exchange *x, cwsl_box *box, const cwsi_v1_VolumeMount *from)
{
    cwsl_volume *v = CWSI_CAST(cwsl_volume *, box->volumes.at);
    cwsl_mount *list = CWSI_CAST(cwsl_mount *, box->mounts.at), m;
    char dir[PATH_MAX];
    size_t i, len;
    bool same = false;
    while (!cwsi_str_same(v->name, from->volume)) v++;
    m.to = cwsi_arena_copy(&box->arena, from->mount_path.at + 1, from->mount_path.len - 1);
    m.sub = cwsi_arena_copy(&box->arena, from->sub_path.at, from->sub_path.len);
    m.read_only = from->read_only;
    if (!m.to || !m.sub) return cwsl_no_memory(x), false;
    for (i = 0; i < box->mounts.len; i++) {
        if (strcmp(list[i].to, m.to) != 0) continue;
        same = list[i].from == v->dir && strcmp(list[i].sub, m.sub) == 0 &&
               list[i].read_only == m.read_only;
        if (same) return true; /* two containers alike */
        cwsl_fail(x, CWSL_UNIMPLEMENTED, "NOT_IMPLEMENTED",
                  "here containers share one file system: two want different things at /%s", m.to);
        return false;
    }
    if (!box->server->isolated) { /* it lies where it is mounted */
        if (m.read_only || m.sub[0] || cwsl_is_below(v->dir, box->dir)) {
            cwsl_fail(x, CWSL_UNIMPLEMENTED, "NOT_IMPLEMENTED",
                      "without namespaces a volume has one mount, without read_only and sub_path");
            return false;
        }
        len = cwsi_format(dir, sizeof(dir), "%s/%s", box->dir, m.to);
        v->dir = cwsi_arena_copy(&box->arena, dir, len);
    }
    m.from = v->dir;
    list = CWSI_CAST(cwsl_mount *, cwsi_list_grow(&box->arena, &box->mounts, sizeof(*list)));
    if (!m.from || !list) return cwsl_no_memory(x), false;
    list = CWSI_CAST(cwsl_mount *, box->mounts.at);
    for (i = box->mounts.len - 1; i > 0 && strlen(list[i - 1].to) > strlen(m.to); i--)
        list[i] = list[i - 1];
    list[i] = m;
    return true;
}

/* Its volumes, and where they are mounted. False: answered. */
static bool cwsl_put_volumes(cwsl_exchange *x, cwsl_box *box)
{
    const cwsi_list *volumes = &box->spec->volumes;
    char dir[PATH_MAX];
    size_t i, k, len;
    for (i = 0; i < volumes->len; i++) {
        const cwsi_v1_SandboxVolume *from = CWSI_AT(v1_SandboxVolume, *volumes, i);
        cwsl_volume *v = CWSI_CAST(
            cwsl_volume *, cwsi_list_grow(&box->arena, &box->volumes, sizeof(cwsl_volume)));
        len = cwsi_format(dir, sizeof(dir), CWSL_VOLUMES "/%u", box->server->root, box->id,
                          CWSI_CAST(unsigned, i));
        if (!v || !(v->dir = cwsi_arena_copy(&box->arena, dir, len)))
            return cwsl_no_memory(x), false;
        v->name = from->name;
    }
    for (i = 0; i < box->spec->containers.len; i++) {
        const cwsi_list *mounts = &CWSI_AT(v1_Container, box->spec->containers, i)->volume_mounts;
        for (k = 0; k < mounts->len; k++)
            if (!cwsl_put_mount(x, box, CWSI_AT(v1_VolumeMount, *mounts, k))) return false;
    }
    return true;
}

/* Make the directories of volumes, and keep the snapshots that they are filled from. */
static bool cwsl_make_volumes(cwsl_box *box)
{
    size_t i;
    for (i = 0; i < box->volumes.len; i++) {
        cwsl_volume *v = CWSI_CAST(cwsl_volume *, box->volumes.at) + i;
        const cwsi_v1_ScratchVolume *scratch =
            CWSI_AT(v1_SandboxVolume, box->spec->volumes, i)->scratch;
        if (!cwsl_make_below(box->server->root, v->dir + strlen(box->server->root) + 1))
            return false;
        v->source = scratch ? cwsl_snapshot_find(box->server, scratch->restore_from_snapshot_id)
                            : NULL;
        if (v->source) v->source->users++;
    }
    return true;
}

/* Forget the sandboxes that ended first, if too many are remembered. */
static void cwsl_forget_ended(cwsl_server *s)
{
    size_t ended = 0;
    cwsl_box *box, **link;
    cwsl_job *job;
    cwsl_exchange *x;
    for (box = s->boxes; box; box = box->next) if (cwsl_is_terminal(box->state)) ended++;
    for (link = &s->boxes; *link && ended > CWSL_ENDED;) {
        box = *link;
        for (job = s->jobs; job && job->box != box;) job = job->next;
        for (x = s->exchanges; x && x->reader.box != box;) x = x->next;
        if (job || x || !cwsl_is_terminal(box->state) || !box->next) {
            link = &box->next;
            continue;
        }
        *link = box->next;
        s->box_count--;
        ended--;
        cwsl_box_free(box);
    }
}

static void cwsl_call_create(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_CreateSandboxRequest *r = CWSI_CAST(const cwsi_v1_CreateSandboxRequest *, msg);
    cwsl_server *s = x->server;
    cwsl_box *box;
    int error;
    for (box = s->boxes; box && r->request_id.len; box = box->next)
        if (cwsi_str_same(box->request_id, r->request_id)) {
            cwsl_reply(x, cwsl_view(&x->arena, box));
            return;
        }
    if (!cwsl_check_spec(x, r->sandbox ? r->sandbox->spec : NULL)) return;
    box = cwsl_box_new(x, r);
    if (!box) cwsl_no_memory(x);
    else if (cwsl_put_containers(x, box) && cwsl_put_faults(x, box) && cwsl_put_volumes(x, box)) {
        if (cwsl_make_tree(s, box->dir) && cwsl_make_volumes(box))
            box->pid = cwsl_give_birth(s, box->dir, &box->mounts, &box->control);
        if (box->pid <= 0) {
            error = errno;
            cwsl_box_remove(box);
            cwsl_fail(x, CWSL_EXHAUSTED, "RUNNER_CAPACITY_EXHAUSTED",
                      "the local backend cannot start a sandbox: %s", strerror(error));
        }
    }
    if (x->finished || x->out.status) {
        if (box) cwsl_box_free(box);
        return;
    }
    box->number = ++s->boxes_made;
    if (s->last_box) s->last_box->next = box;
    else s->boxes = box;
    s->last_box = box;
    s->box_count++;
    cwsl_reply(x, cwsl_view(&x->arena, box));
    cwsl_forget_ended(s);
}

/* ================================================================================================
 * >>local-snapshots
 * Snapshots of scratch volumes: copies that the backend keeps until they are deleted or it is
 * closed. A record is CREATING while its files are copied.
 * ============================================================================================= */

static void cwsl_snapshot_free(cwsl_snapshot *snap)
{
    cwsl_snapshot **link = &snap->server->snapshots;
    while (*link != snap) link = &(*link)->next;
    *link = snap->next;
    snap->server->snapshot_count--;
    cwsl_copy_kill(&snap->copy);
    cwsl_remove_tree(snap->dir);
    cwsi_arena_clear(&snap->arena);
    cwsi_free(&snap->server->mem, snap);
}

static void cwsl_snapshot_read(cwsl_snapshot *snap)
{
    if (!cwsl_copy_read(&snap->copy)) return;
    snap->server->progress = true;
    snap->box = NULL;
    if (!cwsl_copy_end(&snap->copy)) {
        snap->fails = true;
        (void)cwsi_format(snap->reason, sizeof(snap->reason), "the volume could not be copied: %s",
                          snap->copy.len ? snap->copy.text : "cp failed");
    }
    snap->size = cwsl_tree_size(open(snap->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0);
}

static void cwsl_snapshot_tick(cwsl_snapshot *snap, int64_t now)
{
    if (snap->copy.pid) return;
    if (snap->deleted && !snap->users) {
        cwsl_snapshot_free(snap);
    } else if (now >= snap->ready_at) {
        snap->ready_at = CWSI_NEVER;
        snap->state = snap->fails ? CWSI_v1_SNAPSHOT_STATE_FAILED : CWSI_v1_SNAPSHOT_STATE_READY;
        snap->completed_ms = cwsl_clock(true);
        snap->server->progress = true;
    }
}

/* NULL: out of memory. */
static cwsi_v1_FileSystemSnapshot *cwsl_view_snapshot(cwsi_arena *arena, const cwsl_snapshot *snap)
{
    cwsi_v1_FileSystemSnapshot *v = CWSI_ARENA_NEW(arena, cwsi_v1_FileSystemSnapshot);
    bool failed = snap->state == CWSI_v1_SNAPSHOT_STATE_FAILED;
    if (!v) return NULL;
    v->file_system_snapshot_id = cwsi_str_of(snap->id);
    v->state = snap->deleted ? CWSI_v1_SNAPSHOT_STATE_DELETING : snap->state;
    if (failed) v->state_reason = cwsi_str_of(snap->reason);
    if (snap->completed_ms && !failed) v->size_bytes = CWSI_CAST(int64_t, snap->size);
    v->source_sandbox_id = cwsi_str_of(snap->box_id);
    v->source_volume_name = snap->volume;
    v->trigger = snap->trigger;
    v->request_id = snap->request_id;
    v->object_bucket = snap->bucket;
    v->create_time = cwsl_view_time(arena, snap->created_ms);
    v->complete_time = cwsl_view_time(arena, snap->completed_ms);
    v->updated_at = snap->completed_ms ? v->complete_time : v->create_time;
    return v;
}

static bool cwsl_keep_str(cwsi_arena *arena, cwsi_str *out, cwsi_str s)
{
    out->at = cwsi_arena_copy(arena, s.at, s.len);
    out->len = out->at ? s.len : 0;
    return out->at != NULL;
}

/* Do what a test has ordered for the next snapshot of a sandbox. False: answered. */
static bool cwsl_snapshot_fault(cwsl_exchange *x, cwsl_fault *fault, cwsl_snapshot *snap)
{
    int code = cwsl_code_of(fault->what);
    bool busy = strcmp(fault->what, "FSS_BACKEND_THROTTLED") == 0 ||
                strcmp(fault->what, "FSS_INFLIGHT_LIMIT") == 0;
    if (!fault->times) return true;
    fault->times--;
    snap->ready_at = cwsl_now() + CWSI_CAST(int64_t, fault->bytes);
    snap->fails = strcmp(fault->what, "READY") != 0;
    (void)cwsi_format(snap->reason, sizeof(snap->reason), "ordered by the test");
    if (code) cwsl_fail(x, code, NULL, "ordered by the test");
    else if (strncmp(fault->what, "FSS_", 4) == 0)
        cwsl_fail(x, busy ? CWSL_UNAVAILABLE : CWSL_PRECONDITION, fault->what,
                  "ordered by the test");
    return !x->finished;
}

/* Begin a snapshot of a volume of a running sandbox. NULL: answered. */
static cwsl_snapshot *cwsl_snapshot_new(cwsl_exchange *x, cwsl_box *box, const cwsl_volume *v,
                                        cwsi_str request_id, int32_t trigger)
{
    cwsl_server *s = x->server;
    cwsl_snapshot *snap, **last = &s->snapshots;
    bool ok;
    s->snapshot_count++;
    snap = cwsl_reserve(s) ? CWSI_NEW(&s->mem, cwsl_snapshot) : NULL;
    if (!snap) {
        s->snapshot_count--;
        cwsl_no_memory(x);
        return NULL;
    }
    while (*last) last = &(*last)->next;
    *last = snap;
    cwsi_arena_init(&snap->arena, &s->mem);
    snap->server = s;
    snap->number = ++s->snapshots_made;
    snap->copy.pipe = -1;
    snap->copy.slot = SIZE_MAX;
    snap->state = CWSI_v1_SNAPSHOT_STATE_CREATING;
    snap->trigger = trigger;
    snap->created_ms = cwsl_clock(true);
    snap->ready_at = cwsl_now() + s->start_delay_ms;
    memcpy(snap->box_id, box->id, sizeof(snap->box_id));
    cwsl_make_id(s, snap->id);
    (void)cwsi_format(snap->dir, sizeof(snap->dir), "%s/snapshot-%s", s->root, snap->id);
    ok = cwsl_keep_str(&snap->arena, &snap->volume, v->name) &&
         cwsl_keep_str(&snap->arena, &snap->request_id, request_id) &&
         cwsl_keep_str(&snap->arena, &snap->bucket, cwsi_str_of(cwsl_bucket(s)));
    if (!ok) cwsl_no_memory(x);
    else if (cwsl_snapshot_fault(x, &box->snapshot_fault, snap)) {
        if (mkdir(snap->dir, 0700) == 0 && cwsl_copy_begin(&snap->copy, v->dir, snap->dir)) {
            snap->box = box;
            return snap;
        }
        cwsl_fail(x, CWSL_EXHAUSTED, "FSS_CREATE_FAILED", "the local backend cannot copy: %s",
                  strerror(errno));
    }
    cwsl_snapshot_free(snap);
    return NULL;
}

/* The volume of that name, or the only one for "". NULL: answered. */
static const cwsl_volume *cwsl_snapshot_volume(cwsl_exchange *x, const cwsl_box *box,
                                               cwsi_str name, const char *field)
{
    const cwsl_volume *v = CWSI_CAST(const cwsl_volume *, box->volumes.at);
    size_t i;
    for (i = 0; i < box->volumes.len; i++)
        if (cwsi_str_same(v[i].name, name)) return &v[i];
    if (!name.len && box->volumes.len == 1) return v;
    if (name.len) (void)cwsl_refuse(x, field, "no such scratch volume");
    else if (box->volumes.len) (void)cwsl_refuse(x, field, "is required with several volumes");
    else cwsl_fail(x, CWSL_PRECONDITION, "FSS_NOT_SUPPORTED", "sandbox %s has no scratch volume",
                   box->id);
    return NULL;
}

static void cwsl_call_snapshot(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_CreateFileSystemSnapshotRequest *r =
        CWSI_CAST(const cwsi_v1_CreateFileSystemSnapshotRequest *, msg);
    cwsl_box *box = cwsl_box_find(x->server, r->sandbox_id);
    cwsl_snapshot *snap = x->server->snapshots;
    const cwsl_volume *v;
    if (r->request_id.len > 128) {
        (void)cwsl_refuse(x, "request_id", "more than 128 bytes");
        return;
    }
    while (snap && (!r->request_id.len || snap->deleted ||
                    snap->trigger != CWSI_v1_SNAPSHOT_TRIGGER_MANUAL ||
                    !cwsi_str_same(snap->request_id, r->request_id)))
        snap = snap->next;
    if (snap && (!cwsi_str_is(r->sandbox_id, snap->box_id) ||
                 (r->scratch_volume_name.len &&
                  !cwsi_str_same(r->scratch_volume_name, snap->volume)))) {
        cwsl_fail(x, CWSL_PRECONDITION, "INVALID_REQUEST",
                  "request_id was used for another snapshot");
        return;
    }
    if (!snap) {
        box = cwsl_running_box(x, r->sandbox_id, cwsi_str_of(NULL));
        v = box ? cwsl_snapshot_volume(x, box, r->scratch_volume_name, "scratch_volume_name")
                : NULL;
        if (!v) return;
        snap = cwsl_snapshot_new(x, box, v, r->request_id, CWSI_v1_SNAPSHOT_TRIGGER_MANUAL);
    }
    if (snap) cwsl_reply(x, cwsl_view_snapshot(&x->arena, snap));
}

static void cwsl_call_get_snapshot(cwsl_exchange *x, const void *msg)
{
    cwsi_str id = CWSI_CAST(const cwsi_v1_GetFileSystemSnapshotRequest *, msg)
                      ->file_system_snapshot_id;
    cwsl_snapshot *snap = cwsl_snapshot_find(x->server, id);
    if (!id.len) (void)cwsl_refuse(x, "file_system_snapshot_id", "is required");
    else if (!snap) cwsl_fail_snapshot(x, id);
    else cwsl_reply(x, cwsl_view_snapshot(&x->arena, snap));
}

/* Pages as those of sandboxes. */
static void cwsl_call_list_snapshots(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_ListFileSystemSnapshotsRequest *r =
        CWSI_CAST(const cwsi_v1_ListFileSystemSnapshotsRequest *, msg);
    cwsi_v1_ListFileSystemSnapshotsResponse out;
    uint64_t after, last = 0;
    size_t most;
    char token[20];
    cwsl_snapshot *snap;
    memset(&out, 0, sizeof(out));
    if (!cwsl_page(x, r->page_size, r->page_token, &most, &after)) return;
    for (snap = x->server->snapshots; snap; snap = snap->next) {
        cwsi_v1_FileSystemSnapshot *view, *slot;
        if (snap->deleted || snap->number <= after) continue;
        if (r->source_sandbox_id.len && !cwsi_str_is(r->source_sandbox_id, snap->box_id)) continue;
        if (out.file_system_snapshots.len == most) {
            out.next_page_token.at = token;
            out.next_page_token.len = cwsi_digits(last, token);
            break;
        }
        view = cwsl_view_snapshot(&x->arena, snap);
        slot = CWSI_CAST(cwsi_v1_FileSystemSnapshot *,
                         cwsi_list_grow(&x->arena, &out.file_system_snapshots, sizeof(*slot)));
        if (!view || !slot) {
            cwsl_no_memory(x);
            return;
        }
        *slot = *view;
        last = snap->number;
    }
    cwsl_reply(x, &out);
}

static void cwsl_call_delete_snapshot(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_DeleteFileSystemSnapshotRequest *r =
        CWSI_CAST(const cwsi_v1_DeleteFileSystemSnapshotRequest *, msg);
    cwsl_snapshot *snap = cwsl_snapshot_find(x->server, r->file_system_snapshot_id);
    cwsi_v1_FileSystemSnapshot none;
    memset(&none, 0, sizeof(none));
    if (!r->file_system_snapshot_id.len) {
        (void)cwsl_refuse(x, "file_system_snapshot_id", "is required");
    } else if (snap) {
        snap->deleted = true;
        cwsl_reply(x, cwsl_view_snapshot(&x->arena, snap));
    } else if (r->allow_missing) {
        cwsl_reply(x, &none);
    } else {
        cwsl_fail_snapshot(x, r->file_system_snapshot_id);
    }
}

/* The snapshots that an earlier delete with the same token took of the same volumes in the same
 * order, or none of them. */
static bool cwsl_archived(const cwsl_box *box, const cwsi_v1_DeleteSandboxRequest *r,
                          cwsl_exchange *x, cwsi_list *ids)
{
    const cwsl_snapshot *snap = box->server->snapshots;
    const cwsi_str *names = CWSI_CAST(const cwsi_str *, r->snapshot_volumes.at);
    for (; snap; snap = snap->next) {
        cwsi_str *id;
        if (strcmp(snap->box_id, box->id) != 0 ||
            snap->trigger != CWSI_v1_SNAPSHOT_TRIGGER_ON_DELETE)
            continue;
        if (ids->len == r->snapshot_volumes.len || !cwsi_str_same(snap->volume, names[ids->len]) ||
            !cwsi_str_same(snap->request_id, r->request_id))
            return false;
        id = CWSI_CAST(cwsi_str *, cwsi_list_grow(&x->arena, ids, sizeof(cwsi_str)));
        if (!id) return false;
        *id = cwsi_str_of(snap->id);
    }
    return r->request_id.len && ids->len == r->snapshot_volumes.len;
}

/* Take the snapshots of a delete, and remember that the stop comes behind them. False: answered. */
static bool cwsl_archive(cwsl_exchange *x, cwsl_box *box, const cwsi_v1_DeleteSandboxRequest *r,
                         cwsi_list *ids)
{
    const char *field = "snapshot_volumes";
    const cwsi_str *names = CWSI_CAST(const cwsi_str *, r->snapshot_volumes.at);
    size_t i, k;
    if (r->request_id.len > 128) return cwsl_refuse(x, "request_id", "more than 128 bytes");
    if (r->grace_period_seconds > 300)
        return cwsl_refuse(x, "grace_period_seconds", "at most 300 with snapshots");
    if (cwsl_archived(box, r, x, ids)) return true;
    ids->len = 0;
    if (box->state == CWSI_v1_STATE_TERMINATING || box->ending || cwsl_is_terminal(box->state)) {
        cwsl_fail(x, CWSL_PRECONDITION, "INVALID_REQUEST",
                  "sandbox %s has been stopped without these snapshots", box->id);
        return false;
    }
    if (!box->paused && !cwsl_running_box(x, r->sandbox_id, cwsi_str_of(NULL))) return false;
    for (i = 0; i < r->snapshot_volumes.len; i++) {
        if (!names[i].len) return cwsl_refuse(x, field, "must not be empty");
        for (k = 0; k < i; k++)
            if (cwsi_str_same(names[k], names[i])) return cwsl_refuse(x, field, "twice the same");
        if (!cwsl_snapshot_volume(x, box, names[i], field)) return false;
    }
    for (i = 0; i < r->snapshot_volumes.len; i++) {
        cwsl_snapshot *snap = cwsl_snapshot_new(
            x, box, cwsl_snapshot_volume(x, box, names[i], field), r->request_id,
            CWSI_v1_SNAPSHOT_TRIGGER_ON_DELETE);
        cwsi_str *id = CWSI_CAST(cwsi_str *, cwsi_list_grow(&x->arena, ids, sizeof(cwsi_str)));
        if (snap && !id) cwsl_no_memory(x);
        if (!snap || !id) return false;
        *id = cwsi_str_of(snap->id);
    }
    box->archiving = true;
    box->archive_grace_s = CWSL_GRACE_MAX_S;
    return true;
}

static void cwsl_put_bucket(const cwsl_server *s, cwsi_v1_FileSystemSnapshotBucketConfig *out)
{
    memset(out, 0, sizeof(*out));
    out->bucket_name = cwsi_str_of(s->bucket);
    out->region = cwsi_str_of(s->region);
    out->mode = s->bucket[0] ? CWSI_v1_FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_BRING_YOUR_OWN
                             : CWSI_v1_FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_CW_MANAGED;
    out->effective_bucket_name = cwsi_str_of(cwsl_bucket(s));
}

static void cwsl_call_get_bucket(cwsl_exchange *x, const void *msg)
{
    cwsi_v1_FileSystemSnapshotBucketConfig out;
    (void)msg;
    cwsl_put_bucket(x->server, &out);
    cwsl_reply(x, &out);
}

static void cwsl_call_set_bucket(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_UpdateFileSystemSnapshotBucketConfigRequest *r =
        CWSI_CAST(const cwsi_v1_UpdateFileSystemSnapshotBucketConfigRequest *, msg);
    const cwsi_v1_FileSystemSnapshotBucketConfig *wanted = r->file_system_snapshot_bucket_config;
    const cwsi_list *paths = r->update_mask ? &r->update_mask->paths : NULL;
    cwsi_str name, region;
    size_t i;
    if (!wanted) {
        (void)cwsl_refuse(x, "file_system_snapshot_bucket_config", "is required");
        return;
    }
    name = wanted->bucket_name, region = wanted->region;
    if (paths && paths->len && !cwsl_has_str(paths, cwsi_str_of("*"))) {
        if (!cwsl_has_str(paths, cwsi_str_of("bucket_name"))) name = cwsi_str_of(x->server->bucket);
        if (!cwsl_has_str(paths, cwsi_str_of("region"))) region = cwsi_str_of(x->server->region);
    }
    for (i = 0; paths && i < paths->len; i++) {
        cwsi_str path = CWSI_CAST(const cwsi_str *, paths->at)[i];
        if (cwsi_str_is(path, "*") || cwsi_str_is(path, "bucket_name") ||
            cwsi_str_is(path, "region"))
            continue;
        (void)cwsl_refuse(x, "update_mask", "only bucket_name and region can be set");
        return;
    }
    if (name.len >= sizeof(x->server->bucket) || region.len >= sizeof(x->server->region) ||
        cwsl_has_nul(name) || cwsl_has_nul(region)) {
        (void)cwsl_refuse(x, "bucket_name", "too long, or NUL");
    } else if (name.len && !region.len) {
        (void)cwsl_refuse(x, "region", "is required with bucket_name");
    } else {
        char bucket[sizeof(x->server->bucket)];
        cwsi_copy_text(bucket, sizeof(bucket), name.at, name.len); /* it may be our own */
        if (!name.len) region = name;
        if (region.at != x->server->region)
            cwsi_copy_text(x->server->region, sizeof(x->server->region), region.at, region.len);
        memcpy(x->server->bucket, bucket, sizeof(bucket));
        cwsl_call_get_bucket(x, NULL);
    }
}

/* ================================================================================================
 * >>local-calls
 * One function per unary call; msg is the decoded request, which lives as long as the exchange.
 * ============================================================================================= */

static void cwsl_fail_missing(cwsl_exchange *x, cwsi_str id)
{
    cwsl_fail(x, CWSL_NOT_FOUND, "SANDBOX_NOT_FOUND", "sandbox %.*s not found",
              CWSI_CAST(int, id.len < 64 ? id.len : 64), id.at);
}

static void cwsl_call_get(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_GetSandboxRequest *r = CWSI_CAST(const cwsi_v1_GetSandboxRequest *, msg);
    cwsl_box *box = cwsl_box_find(x->server, r->sandbox_id);
    if (!box) cwsl_fail_missing(x, r->sandbox_id);
    else cwsl_reply(x, cwsl_view(&x->arena, box));
}

static void cwsl_call_list(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_ListSandboxesRequest *r = CWSI_CAST(const cwsi_v1_ListSandboxesRequest *, msg);
    cwsi_v1_ListSandboxesResponse out;
    size_t most;
    uint64_t after, last = 0;
    char token[20];
    cwsl_box *box;
    memset(&out, 0, sizeof(out));
    if (!cwsl_page(x, r->page_size, r->page_token, &most, &after)) return;
    for (box = x->server->boxes; box; box = box->next) {
        cwsi_v1_Sandbox *view, *slot;
        if (box->number <= after || !cwsl_has_tags(box, &r->tags) || r->volume_ids.len) continue;
        if (r->state ? box->state != r->state : cwsl_is_terminal(box->state) && !r->show_terminated)
            continue;
        if (r->runner_ids.len && !cwsl_has_str(&r->runner_ids, cwsi_str_of("local"))) continue;
        if (out.sandboxes.len == most) {
            out.next_page_token.at = token;
            out.next_page_token.len = cwsi_digits(last, token);
            break;
        }
        view = cwsl_view(&x->arena, box);
        slot = CWSI_CAST(cwsi_v1_Sandbox *,
                         cwsi_list_grow(&x->arena, &out.sandboxes, sizeof(cwsi_v1_Sandbox)));
        if (!view || !slot) {
            cwsl_no_memory(x);
            return;
        }
        *slot = *view;
        last = box->number;
    }
    cwsl_reply(x, &out);
}

static void cwsl_call_delete(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_DeleteSandboxRequest *r = CWSI_CAST(const cwsi_v1_DeleteSandboxRequest *, msg);
    cwsi_v1_DeleteSandboxResponse out;
    cwsl_box *box = cwsl_box_find(x->server, r->sandbox_id);
    memset(&out, 0, sizeof(out));
    if (r->grace_period_seconds < 0) {
        (void)cwsl_refuse(x, "grace_period_seconds", "negative");
    } else if (!box && r->allow_missing) {
        cwsl_reply(x, &out);
    } else if (!box) {
        cwsl_fail_missing(x, r->sandbox_id);
    } else if (!r->snapshot_volumes.len ||
               cwsl_archive(x, box, r, &out.file_system_snapshot_ids)) {
        cwsl_stop(box, r->grace_period_seconds);
        out.sandbox = cwsl_view(&x->arena, box);
        cwsl_reply(x, out.sandbox ? &out : NULL);
    }
}

static void cwsl_call_purge(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_PurgeSandboxesRequest *r = CWSI_CAST(const cwsi_v1_PurgeSandboxesRequest *, msg);
    cwsi_v1_PurgeSandboxesResponse out;
    cwsl_box *box;
    memset(&out, 0, sizeof(out));
    if (r->request_id.len) {
        cwsl_fail(x, CWSL_UNIMPLEMENTED, "NOT_IMPLEMENTED", "request_id must be empty");
        return;
    }
    if ((r->tags.len > 0) == r->purge_all) {
        (void)cwsl_refuse(x, "tags", "give either tags or purge_all");
        return;
    }
    for (box = x->server->boxes; box; box = box->next) {
        if (cwsl_is_terminal(box->state) || !cwsl_has_tags(box, &r->tags)) continue;
        out.purge_count++;
        if (!r->dry_run) cwsl_stop(box, 10);
    }
    cwsl_reply(x, &out);
}

/* The environment of a command: the container's and its own. */
static bool cwsl_command_env(cwsl_exchange *x, const cwsi_list *base, const cwsi_list *more,
                             cwsi_list *env)
{
    size_t i;
    memset(env, 0, sizeof(*env));
    for (i = 0; i < base->len; i++) {
        cwsi_str *slot =
            CWSI_CAST(cwsi_str *, cwsi_list_grow(&x->arena, env, sizeof(cwsi_str)));
        if (!slot) return false;
        *slot = CWSI_CAST(const cwsi_str *, base->at)[i];
    }
    return cwsl_put_variables(&x->arena, env, more);
}

/* Terminals have a type, whatever the environment says or does not say. */
static bool cwsl_put_term(cwsi_arena *arena, cwsi_list *env)
{
    size_t i;
    for (i = 0; i < env->len; i++)
        if (strncmp(CWSI_CAST(const cwsi_str *, env->at)[i].at, "TERM=", 5) == 0) return true;
    return cwsl_put_env(arena, env, cwsi_str_of("TERM"), cwsi_str_of("xterm-256color"));
}

/* Begin a command for either way of running one, on a terminal if it is given a size; false:
 * answered. */
static bool cwsl_run(cwsl_exchange *x, cwsl_box *box, cwsi_str container, cwsl_job_kind kind,
                     const cwsi_list *command, const cwsi_list *variables, uint64_t keep_max,
                     const struct winsize *size)
{
    const cwsl_side *side;
    cwsi_list env;
    cwsl_job *job;
    size_t i, total = 0;
    if (!command->len || !CWSI_CAST(const cwsi_str *, command->at)[0].len)
        return cwsl_refuse(x, "command", "must not be empty");
    if (!cwsl_check_args(x, command, "command") || !cwsl_check_env(x, variables, "env"))
        return false;
    for (i = 0; i < command->len; i++)
        total += CWSI_CAST(const cwsi_str *, command->at)[i].len + 1 + sizeof(char *);
    if (total > CWSL_STRINGS / 2) return cwsl_refuse(x, "command", "too long");
    if (cwsl_side_find(box, container, &side) && side && !side->running) {
        cwsl_fail(x, CWSL_PRECONDITION, "SANDBOX_NOT_RUNNING", "container %.*s is not running",
                  CWSI_CAST(int, container.len), container.at);
        return false;
    }
    job = cwsl_job_new(box, x, kind);
    if (job && cwsl_command_env(x, side ? &side->env : &box->env, variables, &env) &&
        (!size || cwsl_put_term(&x->arena, &env))) {
        if (side) job->container = side->spec;
        job->keep_max = keep_max;
        job->terminal = size != NULL;
        if (size) job->size = *size;
        errno = 0;
        if (cwsl_job_spawn(job, command, &env, kind == CWSL_STREAM)) return true;
    }
    if (job) job->done = true, job->exchange = NULL;
    x->job = NULL;
    cwsl_fail(x, CWSL_EXHAUSTED, NULL, "no memory or descriptors for another command");
    return false;
}

static void cwsl_call_exec(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_ExecRequest *r = CWSI_CAST(const cwsi_v1_ExecRequest *, msg);
    cwsl_box *box = cwsl_running_box(x, r->sandbox_id, r->container);
    uint64_t most = r->max_output_bytes > 0 ? CWSI_CAST(uint64_t, r->max_output_bytes) : CWSL_KEPT;
    if (!box) return;
    if (r->max_output_bytes < 0) {
        (void)cwsl_refuse(x, "max_output_bytes", "negative");
        return;
    }
    if (most > 3 * CWSL_KEPT) most = 3 * CWSL_KEPT;
    (void)cwsl_run(x, box, r->container, CWSL_COLLECT, &r->command, &r->env, most, NULL);
}

static void cwsl_transfer(cwsl_exchange *x, cwsl_box *box, cwsl_job_kind kind, cwsi_str path,
                          cwsi_str content)
{
    cwsl_server *s = x->server;
    bool writing = kind == CWSL_STORE;
    char mapped[PATH_MAX];
    cwsl_job *job;
    int flags;
    if (!path.len || cwsl_has_nul(path)) {
        (void)cwsl_refuse(x, "path", "must not be empty nor contain NUL");
    } else if (writing && content.len > s->max_file) {
        cwsl_fail_file(x, path, true, EFBIG, content.len);
    } else if (!cwsl_map_path(box, path, mapped, sizeof(mapped), &flags)) {
        cwsl_fail_file(x, path, writing, ENAMETOOLONG, 0);
    } else if (writing && !s->isolated && !(flags & CWSL_WALK)) {
        cwsl_fail_file(x, path, true, EROFS, 0); /* a plain process must not change the host */
    } else {
        job = cwsl_job_new(box, x, kind);
        if (job) {
            job->path = path;
            job->keep_max = s->max_file;
            job->data = content.at;
            job->data_len = content.len;
        }
        if (!job || !cwsl_job_file(job, mapped, flags)) {
            x->job = NULL;
            cwsl_fail(x, CWSL_EXHAUSTED, NULL, "no memory or descriptors for another file");
        }
    }
}

static void cwsl_call_write(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_WriteFileRequest *r = CWSI_CAST(const cwsi_v1_WriteFileRequest *, msg);
    cwsl_box *box = cwsl_running_box(x, r->sandbox_id, r->container);
    if (box) cwsl_transfer(x, box, CWSL_STORE, r->path, r->content);
}

static void cwsl_call_read(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_ReadFileRequest *r = CWSI_CAST(const cwsi_v1_ReadFileRequest *, msg);
    cwsl_box *box = cwsl_running_box(x, r->sandbox_id, r->container);
    if (box) cwsl_transfer(x, box, CWSL_FETCH, r->path, cwsi_str_of(NULL));
}

/* What this machine is called where images are. */
static cwsi_str cwsl_architecture(cwsl_exchange *x)
{
    struct utsname name;
    memset(&name, 0, sizeof(name));
    (void)uname(&name);
    if (strcmp(name.machine, "x86_64") == 0) return cwsi_str_of("amd64");
    if (strcmp(name.machine, "aarch64") == 0) return cwsi_str_of("arm64");
    return cwsi_str_of(cwsi_arena_copy(&x->arena, name.machine, strlen(name.machine)));
}

/* The one runner. NULL: out of memory. */
static cwsi_v1_AvailableRunner *cwsl_view_runner(cwsl_exchange *x, int32_t view)
{
    static const int32_t visible[] = {CWSI_v1_VISIBILITY_PUBLIC, CWSI_v1_VISIBILITY_PRIVATE};
    cwsi_v1_AvailableRunner *v = CWSI_ARENA_NEW(&x->arena, cwsi_v1_AvailableRunner);
    cwsi_v1_RunnerCapabilitySummary *can =
        CWSI_ARENA_NEW(&x->arena, cwsi_v1_RunnerCapabilitySummary);
    cwsi_v1_RunnerResourceSummary *has = CWSI_ARENA_NEW(&x->arena, cwsi_v1_RunnerResourceSummary);
    cwsi_str *tag, *architecture;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);
    cwsl_box *box;
    size_t i;
    if (!v || !can || !has) return NULL;
    tag = CWSI_CAST(cwsi_str *, cwsi_list_grow(&x->arena, &v->tags, sizeof(cwsi_str)));
    architecture = CWSI_CAST(
        cwsi_str *, cwsi_list_grow(&x->arena, &can->supported_architectures, sizeof(cwsi_str)));
    if (!tag || !architecture) return NULL;
    *tag = v->runner_id = v->runner_group_id = v->organization_id = cwsi_str_of("local");
    *architecture = cwsl_architecture(x);
    for (i = 0; i < CWSI_COUNT(visible); i++) {
        int32_t *slot = CWSI_CAST(int32_t *, cwsi_list_grow(&x->arena,
                                                            &can->supported_service_visibilities,
                                                            sizeof(int32_t)));
        if (!slot) return NULL;
        *slot = visible[i];
    }
    v->healthy = true;
    v->connected_at = cwsl_view_time(&x->arena, x->server->opened_ms);
    v->capabilities = can;
    can->max_cpu_millicores = has->available_cpu_millicores = (cpus > 0 ? cpus : 1) * 1000;
    can->max_memory_bytes = has->available_memory_bytes =
        CWSI_CAST(int64_t, pages > 0 ? pages : 0) * sysconf(_SC_PAGESIZE);
    if (view == CWSI_v1_RUNNER_VIEW_FULL) v->resources = has;
    for (box = x->server->boxes; box; box = box->next) has->running_sandboxes += box->pid ? 1 : 0;
    return v;
}

/* Does what there is one of here pass these filters? */
static bool cwsl_passes(cwsl_exchange *x, cwsi_str gpu_type, cwsi_str architecture)
{
    return !gpu_type.len &&
           (!architecture.len || cwsi_str_same(architecture, cwsl_architecture(x)));
}

static void cwsl_call_runners(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_ListAvailableRunnersRequest *r =
        CWSI_CAST(const cwsi_v1_ListAvailableRunnersRequest *, msg);
    cwsi_v1_ListAvailableRunnersResponse out;
    size_t most;
    uint64_t after;
    memset(&out, 0, sizeof(out));
    if (!cwsl_page(x, r->page_size, r->page_token, &most, &after)) return;
    if (!after && cwsl_passes(x, r->gpu_type, r->architecture) &&
        (!r->service_visibility || r->service_visibility == CWSI_v1_VISIBILITY_PUBLIC ||
         r->service_visibility == CWSI_v1_VISIBILITY_PRIVATE) &&
        (!r->runner_group_id.len || cwsi_str_is(r->runner_group_id, "local"))) {
        out.runners.at = cwsl_view_runner(x, r->view);
        out.runners.len = 1;
        if (!out.runners.at) {
            cwsl_no_memory(x);
            return;
        }
    }
    cwsl_reply(x, &out);
}

static void cwsl_call_runner(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_GetAvailableRunnerRequest *r =
        CWSI_CAST(const cwsi_v1_GetAvailableRunnerRequest *, msg);
    if (!r->runner_id.len) (void)cwsl_refuse(x, "runner_id", "is required");
    else if (!r->organization_id.len) (void)cwsl_refuse(x, "organization_id", "is required");
    else if (cwsi_str_is(r->runner_id, "local") && cwsi_str_is(r->organization_id, "local"))
        cwsl_reply(x, cwsl_view_runner(x, r->view));
    else cwsl_fail(x, CWSL_NOT_FOUND, "RUNNER_NOT_FOUND", "the only runner here is \"local\"");
}

/* ================================================================================================
 * >>local-b2-view
 * A sandbox as v1beta2 shows it, whoever made it. The answers of v1 say which.
 * ============================================================================================= */

static cwsi_b2_ResourceRequest *cwsl_b2_view_resources(cwsi_arena *arena,
                                                       const cwsi_v1_Resources *r, bool *ok)
{
    cwsi_b2_ResourceRequest *out = r ? CWSI_ARENA_NEW(arena, cwsi_b2_ResourceRequest) : NULL;
    if (r && !out) *ok = false;
    if (!out) return NULL;
    out->cpu = r->cpu;
    out->memory = r->memory;
    if (!r->gpu) return out;
    out->gpu = CWSI_ARENA_NEW(arena, cwsi_b2_GpuRequest);
    if (!out->gpu) return *ok = false, out;
    out->gpu->gpu_count = r->gpu->count;
    out->gpu->has_gpu_type = r->gpu->has_type;
    out->gpu->gpu_type = r->gpu->type;
    out->gpu->has_gpu_memory_gb = r->gpu->has_memory_gb;
    out->gpu->gpu_memory_gb = r->gpu->memory_gb;
    return out;
}

/* What Start, Get and List show alike. False: out of memory. */
static bool cwsl_b2_view(cwsi_arena *arena, const cwsl_box *box, cwsi_b2_SandboxInfo *out)
{
    static const char *const protocols[] = {"", "TCP", "UDP", "SCTP"};
    const cwsi_list *services = &box->spec->services;
    bool open = false;
    size_t i;
    memset(out, 0, sizeof(*out));
    for (i = 0; i < services->len; i++) {
        const cwsi_v1_Service *from = CWSI_AT(v1_Service, *services, i);
        cwsi_b2_Port *port;
        if (box->older && !from->visibility) continue;
        port = CWSI_CAST(cwsi_b2_Port *, cwsi_list_grow(arena, &out->exposed_ports, sizeof(*port)));
        if (!port) return false;
        port->container_port = from->port;
        port->name = from->name;
        if (from->protocol > 0 && from->protocol < 4)
            port->protocol = cwsi_str_of(protocols[from->protocol]);
        open = open || from->visibility == CWSI_v1_VISIBILITY_PUBLIC;
    }
    out->sandbox_id = cwsi_str_of(box->id);
    out->started_at_time = cwsl_view_time(arena, box->started_ms);
    out->sandbox_status = cwsl_b2_state(box->state);
    out->runner_id = out->runner_group_id = cwsi_str_of("local");
    out->profile_id = cwsi_str_of("default");
    out->applied_ingress_mode = box->ingress;
    out->applied_egress_mode = box->egress;
    if (!out->exposed_ports.len) return true;
    out->service_address = cwsi_str_of("127.0.0.1"); /* it shares the network of the host */
    if (!box->older) out->applied_ingress_mode = cwsi_str_of(open ? "public" : "private");
    return true;
}

/* Copy what cwsl_b2_view has filled in into another message with the same fields. */
#define CWSL_B2_SHARE(to, from)                                                                    \
    ((to)->sandbox_id = (from)->sandbox_id, (to)->started_at_time = (from)->started_at_time,       \
     (to)->sandbox_status = (from)->sandbox_status, (to)->runner_id = (from)->runner_id,           \
     (to)->profile_id = (from)->profile_id, (to)->service_address = (from)->service_address,       \
     (to)->exposed_ports = (from)->exposed_ports,                                                  \
     (to)->applied_ingress_mode = (from)->applied_ingress_mode,                                    \
     (to)->applied_egress_mode = (from)->applied_egress_mode)

static const void *cwsl_b2_started(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_Sandbox *v = CWSI_CAST(const cwsi_v1_Sandbox *, msg);
    const cwsl_box *box = cwsl_box_find(x->server, v->sandbox_id);
    const cwsi_v1_ResourceRequirements *has;
    cwsi_b2_StartSandboxResponse *out = CWSI_ARENA_NEW(&x->arena, cwsi_b2_StartSandboxResponse);
    cwsi_b2_SandboxInfo info;
    bool ok = true;
    if (!out || !cwsl_b2_view(&x->arena, box, &info)) return NULL;
    CWSL_B2_SHARE(out, &info);
    has = box->container->resource_requirements;
    out->requested_resources =
        cwsl_b2_view_resources(&x->arena, v->status->effective_resources, &ok);
    if (has) {
        out->requested_resource_limits = cwsl_b2_view_resources(&x->arena, has->limits, &ok);
        out->requested_resource_requests = cwsl_b2_view_resources(&x->arena, has->requests, &ok);
    }
    return ok ? out : NULL;
}

static const void *cwsl_b2_got(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_Sandbox *v = CWSI_CAST(const cwsi_v1_Sandbox *, msg);
    const cwsl_box *box = cwsl_box_find(x->server, v->sandbox_id);
    cwsi_b2_GetSandboxResponse *out = CWSI_ARENA_NEW(&x->arena, cwsi_b2_GetSandboxResponse);
    cwsi_b2_SandboxInfo info;
    if (!out || !cwsl_b2_view(&x->arena, box, &info)) return NULL;
    CWSL_B2_SHARE(out, &info);
    out->runner_group_id = info.runner_group_id;
    out->status_reason = v->status->state_reason;
    out->has_exit_code = v->status->has_exit_code;
    out->exit_code = v->status->exit_code;
    return out;
}

/* Lists of v1 are in the order of the sandboxes here. */
static const void *cwsl_b2_listed(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_ListSandboxesResponse *r = CWSI_CAST(const cwsi_v1_ListSandboxesResponse *, msg);
    cwsi_b2_ListSandboxesResponse *out = CWSI_ARENA_NEW(&x->arena, cwsi_b2_ListSandboxesResponse);
    const cwsl_box *box = x->server->boxes;
    size_t i;
    if (!out) return NULL;
    out->next_page_token = r->next_page_token;
    for (i = 0; i < r->sandboxes.len; i++, box = box->next) {
        cwsi_b2_SandboxInfo *info = CWSI_CAST(
            cwsi_b2_SandboxInfo *, cwsi_list_grow(&x->arena, &out->sandboxes, sizeof(*info)));
        while (!cwsi_str_is(CWSI_AT(v1_Sandbox, r->sandboxes, i)->sandbox_id, box->id))
            box = box->next;
        if (!info || !cwsl_b2_view(&x->arena, box, info)) return NULL;
    }
    return out;
}

/* ================================================================================================
 * >>local-b2-start
 * Start of v1beta2: its request as a CreateSandboxRequest.
 * ============================================================================================= */

/* NULL for NULL; *ok becomes false when memory is out. */
static cwsi_v1_Resources *cwsl_b2_resources(cwsi_arena *arena, const cwsi_b2_ResourceRequest *r,
                                            bool *ok)
{
    cwsi_v1_Resources *out = r ? CWSI_ARENA_NEW(arena, cwsi_v1_Resources) : NULL;
    if (r && !out) *ok = false;
    if (!out) return NULL;
    out->cpu = r->cpu;
    out->memory = r->memory;
    if (!r->gpu) return out;
    out->gpu = CWSI_ARENA_NEW(arena, cwsi_v1_Gpu);
    if (!out->gpu) return *ok = false, out;
    out->gpu->count = r->gpu->gpu_count;
    out->gpu->has_type = r->gpu->has_gpu_type;
    out->gpu->type = r->gpu->gpu_type;
    out->gpu->has_memory_gb = r->gpu->has_gpu_memory_gb;
    out->gpu->memory_gb = r->gpu->gpu_memory_gb;
    return out;
}

static bool cwsl_b2_put_resources(cwsi_arena *arena, const cwsi_b2_StartSandboxRequest *r,
                                  cwsi_v1_Container *c)
{
    bool ok = true;
    if (!r->resource_limits) return c->resources = cwsl_b2_resources(arena, r->resources, &ok), ok;
    c->resource_requirements = CWSI_ARENA_NEW(arena, cwsi_v1_ResourceRequirements);
    if (!c->resource_requirements) return false;
    c->resource_requirements->limits = cwsl_b2_resources(arena, r->resource_limits, &ok);
    c->resource_requirements->requests = cwsl_b2_resources(arena, r->resource_requests, &ok);
    return ok;
}

static bool cwsl_b2_put_files(cwsi_arena *arena, const cwsi_list *files, cwsi_v1_Container *c)
{
    size_t i;
    for (i = 0; i < files->len; i++) {
        cwsi_v1_FileMount *file = CWSI_CAST(
            cwsi_v1_FileMount *, cwsi_list_grow(arena, &c->files, sizeof(cwsi_v1_FileMount)));
        if (!file) return false;
        file->path = CWSI_AT(b2_MountedFile, *files, i)->mount_path;
        file->content = CWSI_AT(b2_MountedFile, *files, i)->file_content;
    }
    return true;
}

static bool cwsl_b2_put_secrets(cwsi_arena *arena, const cwsi_list *stores, cwsi_v1_Container *c)
{
    size_t i, k;
    for (i = 0; i < stores->len; i++) {
        const cwsi_b2_SecretStoreReference *from = CWSI_AT(b2_SecretStoreReference, *stores, i);
        cwsi_v1_SecretStoreReference *store = CWSI_CAST(
            cwsi_v1_SecretStoreReference *,
            cwsi_list_grow(arena, &c->secret_stores, sizeof(cwsi_v1_SecretStoreReference)));
        if (!store) return false;
        store->store_name = from->store_name;
        for (k = 0; k < from->secrets.len; k++) {
            const cwsi_b2_SecretMapping *m = CWSI_AT(b2_SecretMapping, from->secrets, k);
            cwsi_v1_SecretMapping *secret = CWSI_CAST(
                cwsi_v1_SecretMapping *,
                cwsi_list_grow(arena, &store->secrets, sizeof(cwsi_v1_SecretMapping)));
            if (!secret) return false;
            secret->path = m->path;
            secret->field = m->field;
            secret->env_var = m->env_var;
        }
    }
    return true;
}

/* A service of that port, a new one if there is none yet; NULL: out of memory. */
static cwsi_v1_Service *cwsl_b2_service(cwsi_arena *arena, cwsi_v1_SandboxSpec *spec, int32_t port)
{
    cwsi_v1_Service *list = CWSI_CAST(cwsi_v1_Service *, spec->services.at);
    size_t i;
    for (i = 0; i < spec->services.len; i++)
        if (list[i].port == port) return &list[i];
    list = CWSI_CAST(cwsi_v1_Service *,
                     cwsi_list_grow(arena, &spec->services, sizeof(cwsi_v1_Service)));
    if (list) list->port = port;
    return list;
}

/* Ports are services; those that are published have a visibility. False: answered. */
static bool cwsl_b2_put_ports(cwsl_exchange *x, const cwsi_b2_StartSandboxRequest *r,
                              cwsi_v1_SandboxSpec *spec)
{
    static const char *const protocols[] = {"", "TCP", "UDP", "SCTP"};
    const cwsi_b2_NetworkOptions *network = r->network;
    int32_t visibility = CWSI_v1_VISIBILITY_CUSTOM;
    cwsi_v1_Service *service = NULL;
    size_t i, k;
    for (i = 0; i < r->ports.len; i++) {
        const cwsi_b2_Port *port = CWSI_AT(b2_Port, r->ports, i);
        for (k = CWSI_COUNT(protocols); k-- > 0;)
            if (cwsi_str_is(port->protocol, protocols[k])) break;
        if (k == SIZE_MAX) return cwsl_refuse(x, "ports", "protocol is TCP, UDP or SCTP");
        service = cwsl_b2_service(&x->arena, spec, port->container_port);
        if (!service) return cwsl_no_memory(x), false;
        service->name = port->name;
        service->protocol = CWSI_CAST(int32_t, k);
    }
    if (!network || !network->ingress_mode.len) return true;
    if (cwsi_str_is(network->ingress_mode, "public")) visibility = CWSI_v1_VISIBILITY_PUBLIC;
    if (cwsi_str_is(network->ingress_mode, "private")) visibility = CWSI_v1_VISIBILITY_PRIVATE;
    for (i = 0; i < network->exposed_ports.len; i++) {
        service = cwsl_b2_service(&x->arena, spec,
                                  CWSI_CAST(const int32_t *, network->exposed_ports.at)[i]);
        if (!service) return cwsl_no_memory(x), false;
        service->visibility = visibility;
    }
    service = CWSI_CAST(cwsi_v1_Service *, spec->services.at);
    for (i = 0; i < spec->services.len && !network->exposed_ports.len; i++)
        service[i].visibility = visibility;
    return true;
}

/* Is the one profile, "default", among those that are wanted, or none wanted? */
static bool cwsl_b2_has_profile(const cwsi_list *ids, const cwsi_list *names)
{
    cwsi_str only = cwsi_str_of("default");
    return (!ids->len && !names->len) || cwsl_has_str(ids, only) || cwsl_has_str(names, only);
}

/* What only v1beta2 says, or cannot be had. False: answered. */
static bool cwsl_b2_check_start(cwsl_exchange *x, const cwsi_b2_StartSandboxRequest *r)
{
    if (!r->command.len) return cwsl_refuse(x, "command", "is required");
    if (!r->resource_limits != !r->resource_requests)
        return cwsl_refuse(x, r->resource_limits ? "resource_limits" : "resource_requests",
                           "limits and requests are given together");
    if (r->s3_mount || r->object_storage_access || r->runner_cluster_secrets.len) {
        cwsl_fail(x, CWSL_UNIMPLEMENTED, "NOT_IMPLEMENTED",
                  "the local backend has no object storage and no cluster");
        return false;
    }
    if (r->volumes.len)
        return cwsl_fail_volume(x, CWSI_AT(b2_VolumeAttachment, r->volumes, 0)->volume_id);
    if (!cwsl_b2_has_profile(&r->profile_ids, &r->profile_names)) {
        cwsl_fail(x, CWSL_NOT_FOUND, "PROFILE_NOT_FOUND", "the only profile here is \"default\"");
        return false;
    }
    return true;
}

/* The one scratch volume. False: out of memory. */
static bool cwsl_b2_put_file_system(cwsi_arena *arena, const cwsi_b2_SandboxFileSystemMount *from,
                                    cwsi_v1_SandboxSpec *spec, cwsi_v1_Container *c)
{
    cwsi_v1_SandboxVolume *v;
    cwsi_v1_VolumeMount *m;
    if (!from) return true;
    v = CWSI_CAST(cwsi_v1_SandboxVolume *, cwsi_list_grow(arena, &spec->volumes, sizeof(*v)));
    m = CWSI_CAST(cwsi_v1_VolumeMount *, cwsi_list_grow(arena, &c->volume_mounts, sizeof(*m)));
    if (!v || !m || !(v->scratch = CWSI_ARENA_NEW(arena, cwsi_v1_ScratchVolume))) return false;
    v->name = m->volume = cwsi_str_of("file-system");
    m->mount_path = from->mount_path;
    v->scratch->size = from->size;
    if (from->file_system_snapshot)
        v->scratch->restore_from_snapshot_id = from->file_system_snapshot->file_system_snapshot_id;
    return true;
}

static void cwsl_b2_start(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_StartSandboxRequest *r = CWSI_CAST(const cwsi_b2_StartSandboxRequest *, msg);
    cwsi_v1_CreateSandboxRequest out;
    cwsi_v1_Sandbox sandbox;
    cwsi_v1_SandboxSpec spec;
    cwsi_v1_Container c;
    memset(&out, 0, sizeof(out));
    memset(&sandbox, 0, sizeof(sandbox));
    memset(&spec, 0, sizeof(spec));
    memset(&c, 0, sizeof(c));
    out.sandbox = &sandbox;
    sandbox.spec = &spec;
    spec.containers.at = &c, spec.containers.len = 1;
    c.name = cwsi_str_of("main");
    c.image = r->container_image;
    c.command = r->command;
    c.args = r->args;
    c.environment_variables = r->environment_variables;
    spec.tags = r->tags;
    spec.runner_ids = r->runner_ids;
    if (r->runner_ids.len) spec.mode = CWSI_v1_SANDBOX_MODE_CKS;
    spec.max_lifetime_seconds = r->max_lifetime_seconds;
    spec.annotations = r->pod_annotations;
    if (!cwsl_b2_check_start(x, r) || !cwsl_b2_put_ports(x, r, &spec)) return;
    if (!cwsl_b2_put_resources(&x->arena, r, &c) ||
        !cwsl_b2_put_file_system(&x->arena, r->file_system, &spec, &c) ||
        !cwsl_b2_put_files(&x->arena, &r->mounted_files, &c) ||
        !cwsl_b2_put_secrets(&x->arena, &r->secret_stores, &c)) {
        cwsl_no_memory(x);
        return;
    }
    x->start = r;
    x->answer = cwsl_b2_started;
    cwsl_call_create(x, &out);
}

/* ================================================================================================
 * >>local-b2-calls
 * The other unary calls of v1beta2: each asks the one of v1 and says how its answer is shown.
 * ============================================================================================= */

static void cwsl_b2_pause(cwsl_exchange *x, const void *msg)
{
    cwsi_str id = CWSI_CAST(const cwsi_b2_PauseSandboxRequest *, msg)->sandbox_id;
    cwsl_box *box = cwsl_box_find(x->server, id);
    cwsi_b2_PauseSandboxResponse out;
    memset(&out, 0, sizeof(out));
    out.success = true;
    if (!box || box->ending || box->state != CWSI_v1_STATE_PAUSED) /* again is no error */
        box = cwsl_running_box(x, id, cwsi_str_of(NULL));
    if (!box) return;
    if (box->state == CWSI_v1_STATE_PAUSED || cwsl_pause(box)) cwsl_reply(x, &out);
    else cwsl_no_memory(x);
}

static void cwsl_b2_resume(cwsl_exchange *x, const void *msg)
{
    cwsi_str id = CWSI_CAST(const cwsi_b2_ResumeSandboxRequest *, msg)->sandbox_id;
    cwsl_box *box = cwsl_box_find(x->server, id);
    cwsi_b2_ResumeSandboxResponse out;
    memset(&out, 0, sizeof(out));
    out.success = true;
    if (box && !cwsl_resume(box)) cwsl_no_memory(x);
    else if (cwsl_running_box(x, id, cwsi_str_of(NULL))) cwsl_reply(x, &out);
}

/* Obey max_timeout_seconds; reason: of the error when they have passed. False: answered. */
static bool cwsl_b2_limit(cwsl_exchange *x, int32_t seconds, const char *reason)
{
    int64_t at = cwsl_now() + CWSI_CAST(int64_t, seconds) * 1000;
    if (seconds < 0) return cwsl_refuse(x, "max_timeout_seconds", "negative");
    if (seconds > 0 && at < x->deadline) x->deadline = at, x->limit = reason;
    return true;
}

static void cwsl_b2_get(cwsl_exchange *x, const void *msg)
{
    cwsi_v1_GetSandboxRequest out;
    memset(&out, 0, sizeof(out));
    out.sandbox_id = CWSI_CAST(const cwsi_b2_GetSandboxRequest *, msg)->sandbox_id;
    x->answer = cwsl_b2_got;
    cwsl_call_get(x, &out);
}

static void cwsl_b2_list(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_ListSandboxesRequest *r = CWSI_CAST(const cwsi_b2_ListSandboxesRequest *, msg);
    cwsi_b2_ListSandboxesResponse none;
    cwsi_v1_ListSandboxesRequest out;
    memset(&none, 0, sizeof(none));
    memset(&out, 0, sizeof(out));
    out.tags = r->tags;
    out.runner_ids = r->runner_ids;
    out.volume_ids = r->volume_ids;
    out.show_terminated = r->include_stopped;
    out.page_size = r->page_size;
    out.page_token = r->page_token;
    if (r->status) {
        out.state = CWSI_v1_STATE_PAUSED;
        while (out.state && cwsl_b2_state(out.state) != r->status) out.state--;
        if (!out.state) {
            (void)cwsl_refuse(x, "status", "no such");
            return;
        }
    }
    if (!cwsl_b2_has_profile(&r->profile_ids, &r->profile_names)) {
        cwsl_reply(x, &none);
        return;
    }
    x->answer = cwsl_b2_listed;
    cwsl_call_list(x, &out);
}

static const void *cwsl_b2_deleted(cwsl_exchange *x, const void *msg)
{
    cwsi_b2_DeleteSandboxResponse *out = CWSI_ARENA_NEW(&x->arena, cwsi_b2_DeleteSandboxResponse);
    (void)msg;
    if (out) out->success = true;
    return out;
}

static void cwsl_b2_delete(cwsl_exchange *x, const void *msg)
{
    cwsi_v1_DeleteSandboxRequest out;
    memset(&out, 0, sizeof(out));
    out.sandbox_id = CWSI_CAST(const cwsi_b2_DeleteSandboxRequest *, msg)->sandbox_id;
    x->answer = cwsl_b2_deleted;
    cwsl_call_delete(x, &out);
}

static const void *cwsl_b2_ran(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_ExecResponse *r = CWSI_CAST(const cwsi_v1_ExecResponse *, msg);
    cwsi_b2_ExecSandboxResponse *out = CWSI_ARENA_NEW(&x->arena, cwsi_b2_ExecSandboxResponse);
    if (out) out->result = CWSI_ARENA_NEW(&x->arena, cwsi_b2_ExecResponse);
    if (!out || !out->result) return NULL;
    out->result->stdout_ = r->stdout_;
    out->result->stderr_ = r->stderr_;
    out->result->exit_code = r->exit_code;
    out->result->stdout_truncated = r->stdout_truncated;
    out->result->stderr_truncated = r->stderr_truncated;
    out->result->stdout_bytes_produced = r->stdout_bytes_produced;
    out->result->stderr_bytes_produced = r->stderr_bytes_produced;
    return out;
}

/* The exit code alone. */
static const void *cwsl_b2_ran_quietly(cwsl_exchange *x, const void *msg)
{
    cwsi_v1_ExecResponse r;
    memset(&r, 0, sizeof(r));
    r.exit_code = CWSI_CAST(const cwsi_v1_ExecResponse *, msg)->exit_code;
    return cwsl_b2_ran(x, &r);
}

static void cwsl_b2_exec(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_ExecSandboxRequest *r = CWSI_CAST(const cwsi_b2_ExecSandboxRequest *, msg);
    bool discard = r->output_handling == CWSI_b2_OUTPUT_POLICY_DISCARD;
    uint32_t kib = r->buffered_max_kib, most = 3 * (CWSL_KEPT >> 10);
    cwsi_v1_ExecRequest out;
    size_t i;
    memset(&out, 0, sizeof(out));
    if (r->output_handling == CWSI_b2_OUTPUT_POLICY_STREAM || (discard && kib)) {
        (void)cwsl_refuse(x, discard ? "buffered_max_kib" : "output_handling", "not for this call");
        return;
    }
    if (!cwsl_b2_limit(x, r->max_timeout_seconds, "COMMAND_TIMEOUT")) return;
    out.sandbox_id = r->sandbox_id;
    out.max_output_bytes = discard ? 1 : CWSI_CAST(int32_t, (kib < most ? kib : most) << 10);
    for (i = 0; i < r->command.len + r->args.len; i++) {
        cwsi_str *arg =
            CWSI_CAST(cwsi_str *, cwsi_list_grow(&x->arena, &out.command, sizeof(cwsi_str)));
        if (!arg) {
            cwsl_no_memory(x);
            return;
        }
        if (i < r->command.len) *arg = CWSI_CAST(const cwsi_str *, r->command.at)[i];
        else *arg = CWSI_CAST(const cwsi_str *, r->args.at)[i - r->command.len];
    }
    x->answer = discard ? cwsl_b2_ran_quietly : cwsl_b2_ran;
    cwsl_call_exec(x, &out);
}

static const void *cwsl_b2_added(cwsl_exchange *x, const void *msg)
{
    cwsi_b2_AddFileSandboxResponse *out =
        CWSI_ARENA_NEW(&x->arena, cwsi_b2_AddFileSandboxResponse);
    (void)msg;
    if (out) out->success = true;
    return out;
}

static void cwsl_b2_add_file(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_AddFileSandboxRequest *r = CWSI_CAST(const cwsi_b2_AddFileSandboxRequest *, msg);
    cwsi_v1_WriteFileRequest out;
    memset(&out, 0, sizeof(out));
    out.sandbox_id = r->sandbox_id;
    out.path = r->filepath;
    out.content = r->file_contents;
    x->answer = cwsl_b2_added;
    if (cwsl_b2_limit(x, r->max_timeout_seconds, NULL)) cwsl_call_write(x, &out);
}

static const void *cwsl_b2_retrieved(cwsl_exchange *x, const void *msg)
{
    cwsi_b2_RetrieveFileSandboxResponse *out =
        CWSI_ARENA_NEW(&x->arena, cwsi_b2_RetrieveFileSandboxResponse);
    if (!out) return NULL;
    out->file_contents = CWSI_CAST(const cwsi_v1_ReadFileResponse *, msg)->content;
    out->success = true;
    return out;
}

static void cwsl_b2_retrieve_file(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_RetrieveFileSandboxRequest *r =
        CWSI_CAST(const cwsi_b2_RetrieveFileSandboxRequest *, msg);
    cwsi_v1_ReadFileRequest out;
    memset(&out, 0, sizeof(out));
    out.sandbox_id = r->sandbox_id;
    out.path = r->filepath;
    x->answer = cwsl_b2_retrieved;
    if (cwsl_b2_limit(x, r->max_timeout_seconds, NULL)) cwsl_call_read(x, &out);
}

/* ================================================================================================
 * >>local-b2-snapshots
 * Stop, and snapshots of the one scratch mount.
 * ============================================================================================= */

#define CWSL_ARCHIVE_S 600 /* how long a snapshot is waited for, unless the request says */
#define CWSL_ARCHIVE_GRACE_S 30

/* The answer of a Stop or a CreateFileSystemSnapshot. NULL: out of memory. */
static const void *cwsl_b2_archived(cwsl_exchange *x, cwsi_str id, const char *error)
{
    cwsi_b2_StopSandboxResponse *stopped;
    cwsi_b2_CreateFileSystemSnapshotResponse *made;
    if (x->rpc->response == CWSI_M_b2_StopSandboxResponse) {
        stopped = CWSI_ARENA_NEW(&x->arena, cwsi_b2_StopSandboxResponse);
        if (!stopped) return NULL;
        stopped->success = !error;
        stopped->error_message = cwsi_str_of(error);
        stopped->file_system_snapshot_id = id;
        return stopped;
    }
    made = CWSI_ARENA_NEW(&x->arena, cwsi_b2_CreateFileSystemSnapshotResponse);
    if (!made) return NULL;
    made->success = !error;
    made->error_message = cwsi_str_of(error);
    made->file_system_snapshot_id = id;
    return made;
}

/* Is the snapshot there that an exchange waits for? Then answer. */
static void cwsl_b2_wait(cwsl_exchange *x)
{
    const cwsl_snapshot *snap = x->server->snapshots;
    const char *error = NULL;
    while (snap && snap->number != x->waiting) snap = snap->next;
    if (snap && !snap->deleted && snap->state == CWSI_v1_SNAPSHOT_STATE_CREATING) return;
    x->waiting = 0;
    x->answer = NULL;
    if (!snap || snap->deleted) {
        cwsl_fail(x, CWSL_NOT_FOUND, "FSS_NOT_FOUND", "the snapshot was deleted meanwhile");
        return;
    }
    if (snap->state == CWSI_v1_SNAPSHOT_STATE_FAILED) error = snap->reason;
    cwsl_reply(x, cwsl_b2_archived(x, cwsi_str_of(snap->id), error));
}

/* Let the exchange wait for a snapshot. */
static void cwsl_b2_await(cwsl_exchange *x, cwsi_str id)
{
    const cwsl_snapshot *snap = cwsl_snapshot_find(x->server, id);
    if (snap) x->waiting = snap->number;
}

static const void *cwsl_b2_stopped(cwsl_exchange *x, const void *msg)
{
    const cwsi_list *ids =
        &CWSI_CAST(const cwsi_v1_DeleteSandboxResponse *, msg)->file_system_snapshot_ids;
    return cwsl_b2_archived(
        x, ids->len ? *CWSI_CAST(const cwsi_str *, ids->at) : cwsi_str_of(NULL), NULL);
}

static const void *cwsl_b2_stopped_later(cwsl_exchange *x, const void *msg)
{
    const cwsi_list *ids =
        &CWSI_CAST(const cwsi_v1_DeleteSandboxResponse *, msg)->file_system_snapshot_ids;
    cwsl_b2_await(x, *CWSI_CAST(const cwsi_str *, ids->at));
    return cwsl_b2_stopped(x, msg);
}

static void cwsl_b2_stop(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_StopSandboxRequest *r = CWSI_CAST(const cwsi_b2_StopSandboxRequest *, msg);
    cwsl_box *box = cwsl_box_find(x->server, r->sandbox_id);
    int32_t budget = r->max_timeout_seconds ? r->max_timeout_seconds : CWSL_ARCHIVE_S;
    cwsi_v1_DeleteSandboxRequest out;
    cwsi_str name;
    memset(&out, 0, sizeof(out));
    out.sandbox_id = r->sandbox_id;
    out.grace_period_seconds = r->graceful_shutdown_seconds;
    x->answer = cwsl_b2_stopped;
    if (box && r->file_system_snapshot_on_stop) {
        const cwsl_volume *v = cwsl_snapshot_volume(x, box, cwsi_str_of(NULL),
                                                    "scratch_volume_name");
        if (!v || !cwsl_b2_limit(x, budget, "FSS_WAIT_TIMEOUT")) return;
        name = v->name;
        out.snapshot_volumes.at = &name, out.snapshot_volumes.len = 1;
        out.request_id = r->idempotency_key;
        if (!out.grace_period_seconds) out.grace_period_seconds = CWSL_ARCHIVE_GRACE_S;
        if (!r->has_wait_for_ready || r->wait_for_ready) x->answer = cwsl_b2_stopped_later;
    }
    cwsl_call_delete(x, &out);
}

static const void *cwsl_b2_snapshotted(cwsl_exchange *x, const void *msg)
{
    return cwsl_b2_archived(
        x, CWSI_CAST(const cwsi_v1_FileSystemSnapshot *, msg)->file_system_snapshot_id, NULL);
}

static const void *cwsl_b2_snapshotted_later(cwsl_exchange *x, const void *msg)
{
    cwsl_b2_await(x, CWSI_CAST(const cwsi_v1_FileSystemSnapshot *, msg)->file_system_snapshot_id);
    return cwsl_b2_snapshotted(x, msg);
}

static void cwsl_b2_snapshot(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_CreateFileSystemSnapshotRequest *r =
        CWSI_CAST(const cwsi_b2_CreateFileSystemSnapshotRequest *, msg);
    bool wait = !r->has_wait_for_ready || r->wait_for_ready;
    int32_t budget = r->max_timeout_seconds ? r->max_timeout_seconds : CWSL_ARCHIVE_S;
    cwsi_v1_CreateFileSystemSnapshotRequest out;
    memset(&out, 0, sizeof(out));
    out.sandbox_id = r->sandbox_id;
    out.request_id = r->idempotency_key;
    x->answer = wait ? cwsl_b2_snapshotted_later : cwsl_b2_snapshotted;
    if (cwsl_b2_limit(x, budget, "FSS_WAIT_TIMEOUT")) cwsl_call_snapshot(x, &out);
}

static void cwsl_b2_put_snapshot(const cwsi_v1_FileSystemSnapshot *from,
                                 cwsi_b2_FileSystemSnapshot *out)
{
    memset(out, 0, sizeof(*out));
    out->file_system_snapshot_id = from->file_system_snapshot_id;
    out->status = from->state; /* the same numbers */
    out->status_reason = from->state_reason;
    out->size_bytes = from->size_bytes;
    out->created_at = from->create_time;
    out->updated_at = from->updated_at;
    out->completed_at = from->complete_time;
    out->source_sandbox_id = from->source_sandbox_id;
    out->trigger = from->trigger == CWSI_v1_SNAPSHOT_TRIGGER_MANUAL
                       ? CWSI_b2_FILE_SYSTEM_SNAPSHOT_TRIGGER_MANUAL
                       : CWSI_b2_FILE_SYSTEM_SNAPSHOT_TRIGGER_STOP;
    out->idempotency_key = from->request_id;
    out->object_bucket = from->object_bucket;
}

static const void *cwsl_b2_got_snapshot(cwsl_exchange *x, const void *msg)
{
    cwsi_b2_FileSystemSnapshot *out = CWSI_ARENA_NEW(&x->arena, cwsi_b2_FileSystemSnapshot);
    if (out) cwsl_b2_put_snapshot(CWSI_CAST(const cwsi_v1_FileSystemSnapshot *, msg), out);
    return out;
}

static void cwsl_b2_get_snapshot(cwsl_exchange *x, const void *msg)
{
    cwsi_v1_GetFileSystemSnapshotRequest out;
    memset(&out, 0, sizeof(out));
    out.file_system_snapshot_id =
        CWSI_CAST(const cwsi_b2_GetFileSystemSnapshotRequest *, msg)->file_system_snapshot_id;
    x->answer = cwsl_b2_got_snapshot;
    cwsl_call_get_snapshot(x, &out);
}

static const void *cwsl_b2_listed_snapshots(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_ListFileSystemSnapshotsResponse *r =
        CWSI_CAST(const cwsi_v1_ListFileSystemSnapshotsResponse *, msg);
    cwsi_b2_ListFileSystemSnapshotsResponse *out =
        CWSI_ARENA_NEW(&x->arena, cwsi_b2_ListFileSystemSnapshotsResponse);
    size_t i;
    if (!out) return NULL;
    out->next_page_token = r->next_page_token;
    for (i = 0; i < r->file_system_snapshots.len; i++) {
        cwsi_b2_FileSystemSnapshot *slot =
            CWSI_CAST(cwsi_b2_FileSystemSnapshot *,
                      cwsi_list_grow(&x->arena, &out->file_system_snapshots, sizeof(*slot)));
        if (!slot) return NULL;
        cwsl_b2_put_snapshot(CWSI_AT(v1_FileSystemSnapshot, r->file_system_snapshots, i), slot);
    }
    return out;
}

static void cwsl_b2_list_snapshots(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_ListFileSystemSnapshotsRequest *r =
        CWSI_CAST(const cwsi_b2_ListFileSystemSnapshotsRequest *, msg);
    cwsi_v1_ListFileSystemSnapshotsRequest out;
    memset(&out, 0, sizeof(out));
    out.page_size = r->page_size;
    out.page_token = r->page_token;
    x->answer = cwsl_b2_listed_snapshots;
    cwsl_call_list_snapshots(x, &out);
}

static const void *cwsl_b2_deleted_snapshot(cwsl_exchange *x, const void *msg)
{
    cwsi_b2_DeleteFileSystemSnapshotResponse *out =
        CWSI_ARENA_NEW(&x->arena, cwsi_b2_DeleteFileSystemSnapshotResponse);
    (void)msg;
    if (out) out->success = true;
    return out;
}

static void cwsl_b2_delete_snapshot(cwsl_exchange *x, const void *msg)
{
    cwsi_v1_DeleteFileSystemSnapshotRequest out;
    memset(&out, 0, sizeof(out));
    out.file_system_snapshot_id =
        CWSI_CAST(const cwsi_b2_DeleteFileSystemSnapshotRequest *, msg)->file_system_snapshot_id;
    x->answer = cwsl_b2_deleted_snapshot;
    cwsl_call_delete_snapshot(x, &out);
}

static const void *cwsl_b2_got_bucket(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_FileSystemSnapshotBucketConfig *r =
        CWSI_CAST(const cwsi_v1_FileSystemSnapshotBucketConfig *, msg);
    cwsi_b2_FileSystemSnapshotBucketConfig *out =
        CWSI_ARENA_NEW(&x->arena, cwsi_b2_FileSystemSnapshotBucketConfig);
    if (!out) return NULL;
    out->bucket_name = r->bucket_name;
    out->region = r->region;
    out->mode = r->mode; /* the same numbers */
    out->effective_bucket_name = r->effective_bucket_name;
    return out;
}

static void cwsl_b2_get_bucket(cwsl_exchange *x, const void *msg)
{
    x->answer = cwsl_b2_got_bucket;
    cwsl_call_get_bucket(x, msg);
}

static void cwsl_b2_set_bucket(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_SetFileSystemSnapshotBucketConfigRequest *r =
        CWSI_CAST(const cwsi_b2_SetFileSystemSnapshotBucketConfigRequest *, msg);
    cwsi_v1_UpdateFileSystemSnapshotBucketConfigRequest out;
    cwsi_v1_FileSystemSnapshotBucketConfig config;
    memset(&out, 0, sizeof(out));
    memset(&config, 0, sizeof(config));
    config.bucket_name = r->bucket_name;
    config.region = r->region;
    out.file_system_snapshot_bucket_config = &config;
    x->answer = cwsl_b2_got_bucket;
    cwsl_call_set_bucket(x, &out);
}

/* ================================================================================================
 * >>local-b2-discovery
 * Runners of v1beta2, and what v1 does not have: the one profile, "default". Then all calls.
 * ============================================================================================= */

static const void *cwsl_b2_view_runner(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_AvailableRunner *r = CWSI_CAST(const cwsi_v1_AvailableRunner *, msg);
    cwsi_b2_AvailableRunner *out = CWSI_ARENA_NEW(&x->arena, cwsi_b2_AvailableRunner);
    cwsi_str *profile;
    if (!out) return NULL;
    out->capabilities = CWSI_ARENA_NEW(&x->arena, cwsi_b2_RunnerCapabilitySummary);
    profile = CWSI_CAST(
        cwsi_str *, cwsi_list_grow(&x->arena, &out->profile_names, sizeof(cwsi_str)));
    if (!out->capabilities || !profile) return NULL;
    *profile = cwsi_str_of("default");
    out->runner_id = r->runner_id;
    out->runner_group_id = r->runner_group_id;
    out->tags = r->tags;
    out->connected_at = r->connected_at;
    out->healthy = r->healthy;
    out->capabilities->max_cpu_millicores = r->capabilities->max_cpu_millicores;
    out->capabilities->max_memory_bytes = r->capabilities->max_memory_bytes;
    out->capabilities->supported_architectures = r->capabilities->supported_architectures;
    if (!r->resources) return out;
    out->resources = CWSI_ARENA_NEW(&x->arena, cwsi_b2_RunnerResourceSummary);
    if (!out->resources) return NULL;
    out->resources->available_cpu_millicores = r->resources->available_cpu_millicores;
    out->resources->available_memory_bytes = r->resources->available_memory_bytes;
    out->resources->running_sandboxes = r->resources->running_sandboxes;
    return out;
}

static const void *cwsl_b2_view_runners(cwsl_exchange *x, const void *msg)
{
    const cwsi_v1_ListAvailableRunnersResponse *r =
        CWSI_CAST(const cwsi_v1_ListAvailableRunnersResponse *, msg);
    cwsi_b2_ListAvailableRunnersResponse *out =
        CWSI_ARENA_NEW(&x->arena, cwsi_b2_ListAvailableRunnersResponse);
    const void *one;
    cwsi_b2_AvailableRunner *slot;
    if (!out || !r->runners.len) return out;
    one = cwsl_b2_view_runner(x, r->runners.at);
    slot = CWSI_CAST(cwsi_b2_AvailableRunner *,
                     cwsi_list_grow(&x->arena, &out->runners, sizeof(*slot)));
    if (!one || !slot) return NULL;
    *slot = *CWSI_CAST(const cwsi_b2_AvailableRunner *, one);
    return out;
}

static void cwsl_b2_runners(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_ListAvailableRunnersRequest *r =
        CWSI_CAST(const cwsi_b2_ListAvailableRunnersRequest *, msg);
    cwsi_b2_ListAvailableRunnersResponse none;
    cwsi_v1_ListAvailableRunnersRequest out;
    memset(&none, 0, sizeof(none));
    memset(&out, 0, sizeof(out));
    if (r->profile_name.len && !cwsi_str_is(r->profile_name, "default")) {
        cwsl_reply(x, &none);
        return;
    }
    out.runner_group_id = r->runner_group_id;
    out.gpu_type = r->gpu_type;
    out.architecture = r->architecture;
    out.page_size = r->page_size;
    out.page_token = r->page_token;
    out.view = r->view; /* the same numbers */
    x->answer = cwsl_b2_view_runners;
    cwsl_call_runners(x, &out);
}

static void cwsl_b2_runner(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_GetAvailableRunnerRequest *r =
        CWSI_CAST(const cwsi_b2_GetAvailableRunnerRequest *, msg);
    cwsi_v1_GetAvailableRunnerRequest out;
    memset(&out, 0, sizeof(out));
    out.runner_id = r->runner_id;
    out.organization_id = cwsi_str_of("local");
    out.view = r->view;
    x->answer = cwsl_b2_view_runner;
    cwsl_call_runner(x, &out);
}

/* False: out of memory. */
static bool cwsl_b2_view_profile(cwsl_exchange *x, cwsi_b2_ProfileSummary *out)
{
    cwsi_b2_ServiceExposureMode *in = CWSI_CAST(
        cwsi_b2_ServiceExposureMode *,
        cwsi_list_grow(&x->arena, &out->service_exposure_modes, sizeof(*in)));
    cwsi_b2_EgressMode *to = CWSI_CAST(
        cwsi_b2_EgressMode *, cwsi_list_grow(&x->arena, &out->egress_modes, sizeof(*to)));
    cwsi_str *architecture = CWSI_CAST(
        cwsi_str *, cwsi_list_grow(&x->arena, &out->supported_architectures, sizeof(cwsi_str)));
    if (!in || !to || !architecture) return false;
    out->profile_name = cwsi_str_of("default");
    out->runner_id = cwsi_str_of("local");
    in->name = cwsi_str_of("public");
    to->name = cwsi_str_of("internet");
    *architecture = cwsl_architecture(x);
    return true;
}

static void cwsl_b2_profiles(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_ListProfilesRequest *r = CWSI_CAST(const cwsi_b2_ListProfilesRequest *, msg);
    cwsi_b2_ListProfilesResponse out;
    cwsi_b2_ProfileSummary profile;
    size_t most;
    uint64_t after;
    bool ok = true;
    memset(&out, 0, sizeof(out));
    memset(&profile, 0, sizeof(profile));
    if (!cwsl_page(x, r->page_size, r->page_token, &most, &after)) return;
    if (!after && cwsl_passes(x, r->gpu_type, r->architecture) &&
        (!r->runner_id.len || cwsi_str_is(r->runner_id, "local"))) {
        ok = cwsl_b2_view_profile(x, &profile);
        out.profiles.at = &profile, out.profiles.len = 1;
    }
    cwsl_reply(x, ok ? &out : NULL);
}

static void cwsl_b2_profile(cwsl_exchange *x, const void *msg)
{
    const cwsi_b2_GetProfileRequest *r = CWSI_CAST(const cwsi_b2_GetProfileRequest *, msg);
    cwsi_b2_ProfileSummary profile;
    memset(&profile, 0, sizeof(profile));
    if (!r->profile_name.len) {
        (void)cwsl_refuse(x, "profile_name", "is required");
    } else if (!cwsi_str_is(r->profile_name, "default") ||
               (r->runner_id.len && !cwsi_str_is(r->runner_id, "local"))) {
        cwsl_fail(x, CWSL_NOT_FOUND, "PROFILE_NOT_FOUND",
                  "the only profile here is \"default\" of runner \"local\"");
    } else {
        cwsl_reply(x, cwsl_b2_view_profile(x, &profile) ? &profile : NULL);
    }
}

typedef void (*cwsl_call_fn)(cwsl_exchange *x, const void *msg);

/* The calls that are offered. NULL: not this one. */
static cwsl_call_fn cwsl_call_of(cwsi_rpc_id id)
{
    static const struct {
        cwsi_rpc_id id;
        cwsl_call_fn call;
    } calls[] = {
        {CWSI_RPC_v1_SandboxService_CreateSandbox, cwsl_call_create},
        {CWSI_RPC_v1_SandboxService_GetSandbox, cwsl_call_get},
        {CWSI_RPC_v1_SandboxService_ListSandboxes, cwsl_call_list},
        {CWSI_RPC_v1_SandboxService_DeleteSandbox, cwsl_call_delete},
        {CWSI_RPC_v1_SandboxService_PurgeSandboxes, cwsl_call_purge},
        {CWSI_RPC_v1_SandboxService_Exec, cwsl_call_exec},
        {CWSI_RPC_v1_SandboxService_WriteFile, cwsl_call_write},
        {CWSI_RPC_v1_SandboxService_ReadFile, cwsl_call_read},
        {CWSI_RPC_v1_SandboxDataPlaneService_Exec, cwsl_call_exec},
        {CWSI_RPC_v1_SandboxDataPlaneService_WriteFile, cwsl_call_write},
        {CWSI_RPC_v1_SandboxDataPlaneService_ReadFile, cwsl_call_read},
        {CWSI_RPC_v1_SandboxService_CreateFileSystemSnapshot, cwsl_call_snapshot},
        {CWSI_RPC_v1_SandboxService_GetFileSystemSnapshot, cwsl_call_get_snapshot},
        {CWSI_RPC_v1_SandboxService_ListFileSystemSnapshots, cwsl_call_list_snapshots},
        {CWSI_RPC_v1_SandboxService_DeleteFileSystemSnapshot, cwsl_call_delete_snapshot},
        {CWSI_RPC_v1_SettingsService_GetFileSystemSnapshotBucketConfig, cwsl_call_get_bucket},
        {CWSI_RPC_v1_SettingsService_UpdateFileSystemSnapshotBucketConfig, cwsl_call_set_bucket},
        {CWSI_RPC_v1_DiscoveryService_ListAvailableRunners, cwsl_call_runners},
        {CWSI_RPC_v1_DiscoveryService_GetAvailableRunner, cwsl_call_runner},
        {CWSI_RPC_b2_GatewayService_Start, cwsl_b2_start},
        {CWSI_RPC_b2_GatewayService_Get, cwsl_b2_get},
        {CWSI_RPC_b2_GatewayService_List, cwsl_b2_list},
        {CWSI_RPC_b2_GatewayService_Stop, cwsl_b2_stop},
        {CWSI_RPC_b2_GatewayService_Delete, cwsl_b2_delete},
        {CWSI_RPC_b2_GatewayService_Exec, cwsl_b2_exec},
        {CWSI_RPC_b2_GatewayService_AddFile, cwsl_b2_add_file},
        {CWSI_RPC_b2_GatewayService_RetrieveFile, cwsl_b2_retrieve_file},
        {CWSI_RPC_b2_GatewayService_Pause, cwsl_b2_pause},
        {CWSI_RPC_b2_GatewayService_Resume, cwsl_b2_resume},
        {CWSI_RPC_b2_GatewayService_CreateFileSystemSnapshot, cwsl_b2_snapshot},
        {CWSI_RPC_b2_GatewayService_GetFileSystemSnapshot, cwsl_b2_get_snapshot},
        {CWSI_RPC_b2_GatewayService_ListFileSystemSnapshots, cwsl_b2_list_snapshots},
        {CWSI_RPC_b2_GatewayService_DeleteFileSystemSnapshot, cwsl_b2_delete_snapshot},
        {CWSI_RPC_b2_GatewayService_GetFileSystemSnapshotBucketConfig, cwsl_b2_get_bucket},
        {CWSI_RPC_b2_GatewayService_SetFileSystemSnapshotBucketConfig, cwsl_b2_set_bucket},
        {CWSI_RPC_b2_DiscoveryService_ListAvailableRunners, cwsl_b2_runners},
        {CWSI_RPC_b2_DiscoveryService_GetAvailableRunner, cwsl_b2_runner},
        {CWSI_RPC_b2_DiscoveryService_ListProfiles, cwsl_b2_profiles},
        {CWSI_RPC_b2_DiscoveryService_GetProfile, cwsl_b2_profile}};
    size_t i;
    for (i = 0; i < CWSI_COUNT(calls); i++)
        if (calls[i].id == id) return calls[i].call;
    return NULL;
}

/* ================================================================================================
 * >>local-logs
 * StreamLogs. Positions are those of cwsl_log; what a message says is the offset in its session.
 * ============================================================================================= */

/* Where to resume; an exchange that is not finished afterwards reads on from there. */
static void cwsl_logs_resume(cwsl_exchange *x, const cwsi_v1_StreamLogsRequest *r)
{
    const cwsl_log *log = &x->reader.box->log;
    uint64_t begin, end;
    uint32_t i = 0;
    while (i < log->session_count && !cwsi_str_is(r->resume_log_session_id, log->sessions[i].id))
        i++;
    if (i == log->session_count) {
        cwsl_stream_error(x, "SESSION_NOT_FOUND", "no such log session");
        return;
    }
    begin = log->sessions[i].begin;
    end = i + 1 < log->session_count ? log->sessions[i + 1].begin : log->end;
    if (r->resume_log_offset > end - begin)
        cwsl_stream_error(x, "INVALID_RESUME_OFFSET", "not so much was written");
    else if (begin + r->resume_log_offset < cwsl_log_start(log))
        cwsl_stream_error(x, "REPLAY_GAP", "output from there on is no longer kept");
    else
        x->reader.at = begin + r->resume_log_offset;
}

static bool cwsl_check_logs(cwsl_exchange *x, const cwsi_v1_StreamLogsRequest *r)
{
    if (r->tail_lines < 0) return cwsl_refuse(x, "tail_lines", "negative");
    if (!r->resume_log_session_id.len)
        return !r->resume_log_offset ||
               cwsl_refuse(x, "resume_log_offset", "needs resume_log_session_id");
    if (!r->follow || r->tail_lines || r->since_time || r->timestamps)
        return cwsl_refuse(x, "resume_log_session_id",
                           "needs follow, and excludes tail_lines, since_time and timestamps");
    return true;
}

/* Ended sandboxes have logs too, but there is nothing to follow. */
static void cwsl_logs_begin(cwsl_exchange *x, const cwsi_v1_StreamLogsRequest *r)
{
    cwsl_reader *reader = &x->reader;
    cwsl_box *box = cwsl_box_find(x->server, r->sandbox_id);
    const cwsl_side *side;
    bool again = x->dispatched;
    uint64_t since;
    x->dispatched = true;
    if (again) (void)cwsl_refuse(x, "sandbox_id", "one message only");
    if (again || !cwsl_check_logs(x, r)) return;
    if (!box || box->state == CWSI_v1_STATE_CREATING ||
        (r->follow && box->state != CWSI_v1_STATE_PAUSED))
        box = cwsl_running_box(x, r->sandbox_id, r->container);
    else if (!cwsl_side_find(box, r->container, &side))
        box = NULL, (void)cwsl_refuse(x, "container", "no such container");
    if (!box) return;
    if (cwsl_side_find(box, r->container, &side) && side) {
        cwsl_fail(x, CWSL_UNIMPLEMENTED, "NOT_IMPLEMENTED",
                  "the local backend keeps the log of the primary container only");
        return;
    }
    cwsl_log_read(box);
    memset(reader, 0, sizeof(*reader));
    reader->box = box;
    reader->follow = r->follow;
    reader->stamps = r->timestamps;
    reader->stop = r->follow ? UINT64_MAX : box->log.end;
    reader->at = cwsl_log_start(&box->log);
    if (r->resume_log_session_id.len) cwsl_logs_resume(x, r);
    if (r->tail_lines > 0)
        reader->at = cwsl_log_tail(&box->log, CWSI_CAST(uint64_t, r->tail_lines));
    since = r->since_time ? cwsl_log_since(&box->log, r->since_time) : 0;
    if (reader->at < since) reader->at = since;
}

/* The piece with the next byte. The one of the last message is still there if its beginning is. */
static const cwsl_piece *cwsl_logs_piece(cwsl_reader *reader)
{
    const cwsl_piece *piece = reader->box->log.first;
    if (reader->piece && reader->position >= cwsl_log_start(&reader->box->log))
        piece = reader->piece;
    while (piece && piece->at + piece->len <= reader->at) piece = piece->next;
    reader->piece = piece;
    reader->position = piece ? piece->at : 0;
    return piece;
}

/* Where a message with times ends: behind a line, unless there will be no more of it or it is too
 * long; 0: not known yet. */
static uint64_t cwsl_logs_cut(const cwsl_piece *piece, uint64_t at, uint64_t end, bool over)
{
    uint64_t most = end - at < CWSL_STAMPED ? end : at + CWSL_STAMPED, last = 0, from = at;
    uint32_t session = piece->session;
    for (; piece && piece->session == session && from < most; piece = piece->next)
        for (; from < most && from < piece->at + piece->len; from++)
            if (cwsl_piece_bytes(piece)[from - piece->at] == '\n') last = from + 1;
    return last ? last : over || from - at == CWSL_STAMPED || from < most ? from : 0;
}

/* Bytes of a piece with the time in front of each line. */
static void cwsl_logs_stamp(cwsl_reader *reader, cwsi_buf *text, const cwsl_piece *piece,
                            const char *data, size_t size)
{
    char stamp[40];
    size_t len = cwsi_format_time(stamp, piece->ns / 1000000000,
                                  CWSI_CAST(int32_t, piece->ns % 1000000000));
    stamp[len++] = ' ';
    while (size) {
        const char *newline = CWSI_CAST(const char *, memchr(data, '\n', size));
        size_t n = newline ? CWSI_CAST(size_t, newline - data) + 1 : size;
        if (!reader->in_line) (void)cwsi_put(text, stamp, len);
        (void)cwsi_put(text, data, n);
        reader->in_line = !newline;
        data += n;
        size -= n;
    }
}

/* Send the bytes from reader->at to the position `to`, all of one session. */
static void cwsl_logs_send(cwsl_exchange *x, const cwsl_piece *piece, uint64_t to)
{
    cwsl_reader *reader = &x->reader;
    const cwsl_log_session *session = &reader->box->log.sessions[piece->session];
    cwsi_v1_LogEntry entry;
    cwsi_pb_Timestamp when;
    cwsi_buf text;
    cwsi_buf_init(&text, &x->server->mem, CWSL_MESSAGE);
    memset(&entry, 0, sizeof(entry));
    memset(&when, 0, sizeof(when));
    when.seconds = piece->ns / 1000000000;
    when.nanos = CWSI_CAST(int32_t, piece->ns % 1000000000);
    entry.timestamp = &when;
    entry.log_session_id = cwsi_str_of(session->id);
    entry.next_log_offset = to - session->begin;
    if (reader->at == session->begin) reader->in_line = false;
    for (; reader->at < to; piece = piece->next) {
        uint64_t end = piece->at + piece->len;
        const char *data = cwsl_piece_bytes(piece) + (reader->at - piece->at);
        size_t size = CWSI_CAST(size_t, (end < to ? end : to) - reader->at);
        if (reader->stamps) cwsl_logs_stamp(reader, &text, piece, data, size);
        else entry.data.at = data, entry.data.len = size; /* one piece only */
        reader->at += size;
        x->output += size;
    }
    if (reader->stamps) entry.data.at = text.at, entry.data.len = text.len;
    if (text.status) cwsl_no_memory(x);
    else cwsl_send(x, &entry);
    cwsi_buf_free(&text);
}

/* Send one message, or the end; false: nothing to send now. */
static bool cwsl_logs_next(cwsl_exchange *x)
{
    cwsl_reader *reader = &x->reader;
    const cwsl_log *log = &reader->box->log;
    uint64_t end = reader->stop < log->end ? reader->stop : log->end, to;
    uint64_t room = cwsl_fault_room(x, &reader->box->log_fault);
    bool over = !reader->follow || reader->box->pid == 0;
    const cwsl_piece *piece;
    if (cwsl_fault_now(x, &reader->box->log_fault)) return false;
    if (reader->at < end && reader->at < cwsl_log_start(log)) {
        cwsl_stream_error(x, "STREAM_TRUNCATED", "output was written faster than it was read");
        return false;
    }
    if (reader->at >= end) {
        if (over && x->rpc->response == CWSI_M_b2_LogStreamResponse) cwsl_send(x, NULL);
        if (over) cwsl_end_stream(x);
        return false;
    }
    piece = cwsl_logs_piece(reader);
    over = over || piece->session + 1 < log->session_count;
    to = piece->at + piece->len < end ? piece->at + piece->len : end;
    if (reader->stamps) to = cwsl_logs_cut(piece, reader->at, end, over);
    if (to && to - reader->at > room) to = reader->at + room;
    if (to) cwsl_logs_send(x, piece, to);
    return to != 0;
}

static void cwsl_logs_step(cwsl_exchange *x)
{
    while (!x->finished && !x->closed_window && !x->out.status &&
           x->out.len - x->out_at < CWSL_UNREPORTED && cwsl_logs_next(x)) {}
}

/* ================================================================================================
 * >>local-stream
 * StreamExec: init, then stdin, resize and close; a half-close ends stdin too.
 * ============================================================================================= */

static struct winsize cwsl_size(uint32_t columns, uint32_t rows)
{
    struct winsize size;
    memset(&size, 0, sizeof(size));
    size.ws_col = CWSI_CAST(unsigned short, columns < 0xffff ? columns : 0xffff);
    size.ws_row = CWSI_CAST(unsigned short, rows < 0xffff ? rows : 0xffff);
    return size;
}

static void cwsl_stream_begin(cwsl_exchange *x, const cwsi_v1_ExecStreamInit *init)
{
    cwsl_box *box;
    struct winsize size = cwsl_size(init->tty_width ? init->tty_width : 80,
                                    init->tty_height ? init->tty_height : 24);
    x->dispatched = true;
    box = cwsl_running_box(x, init->sandbox_id, init->container);
    if (box)
        (void)cwsl_run(x, box, init->container, CWSL_STREAM, &init->command, &init->env, 0,
                       init->tty ? &size : NULL);
}

static void cwsl_stream_resize(cwsl_exchange *x, const cwsi_v1_ExecStreamResize *resize)
{
    cwsl_job *job = x->job;
    if (!job || (job->terminal && job->out[0] < 0)) return; /* it has ended */
    if (!job->terminal) {
        (void)cwsl_refuse(x, "resize", "the command has no terminal");
    } else if (!resize->width || !resize->height) {
        (void)cwsl_refuse(x, "resize", "width and height are required");
    } else { /* the kernel tells the foreground processes */
        job->size = cwsl_size(resize->width, resize->height);
        (void)ioctl(job->out[0], TIOCSWINSZ, &job->size);
    }
}

static void cwsl_stream_input(cwsl_exchange *x, const cwsi_v1_ExecStreamRequest *r)
{
    if (!x->dispatched && r->init) cwsl_stream_begin(x, r->init);
    else if (!x->dispatched || r->init)
        (void)cwsl_refuse(x, "init", x->dispatched ? "comes once" : "must come first");
    else if (r->resize) cwsl_stream_resize(x, r->resize);
    else if (x->job && r->has_stdin_ && !x->job->feed_end && x->job->in >= 0)
        (void)cwsi_put(&x->job->feed, r->stdin_.at, r->stdin_.len);
    else if (x->job && r->close) x->job->feed_end = true;
}

/* ================================================================================================
 * >>local-b2-streams
 * Messages of the streams of v1beta2 as those of v1.
 * ============================================================================================= */

static void cwsl_b2_exec_input(cwsl_exchange *x, const cwsi_b2_ExecStreamRequest *r)
{
    cwsi_v1_ExecStreamRequest out;
    cwsi_v1_ExecStreamInit init;
    cwsi_v1_ExecStreamResize resize;
    cwsi_v1_ExecStreamClose close;
    memset(&out, 0, sizeof(out));
    memset(&init, 0, sizeof(init));
    memset(&resize, 0, sizeof(resize));
    memset(&close, 0, sizeof(close));
    if (r->init && r->init->resume_session_id.len && !x->dispatched) {
        if (r->init->command.len || r->init->env.len || r->init->tty)
            (void)cwsl_refuse(x, "resume_session_id", "excludes what a new command has");
        else cwsl_stream_error(x, "SESSION_NOT_FOUND", "commands here cannot be resumed");
        return;
    }
    if (r->init) {
        init.sandbox_id = r->init->sandbox_id;
        init.command = r->init->command;
        init.tty = r->init->tty;
        init.tty_width = r->init->tty_width;
        init.tty_height = r->init->tty_height;
        init.env = r->init->env;
        out.init = &init;
    } else if (r->stdin_) {
        out.has_stdin_ = true;
        out.stdin_ = r->stdin_->data;
    } else if (r->resize) {
        resize.width = r->resize->width;
        resize.height = r->resize->height;
        out.resize = &resize;
    } else if (r->close) {
        out.close = &close;
    }
    cwsl_stream_input(x, &out);
}

/* init, and perhaps close, which ends the following. */
static void cwsl_b2_logs_input(cwsl_exchange *x, const cwsi_b2_LogStreamRequest *r)
{
    cwsl_reader *reader = &x->reader;
    cwsi_v1_StreamLogsRequest out;
    if (x->dispatched && r->close) {
        if (!reader->box || !reader->follow) return;
        cwsl_log_read(reader->box);
        reader->follow = false;
        reader->stop = reader->box->log.end;
        return;
    }
    if (x->dispatched || !r->init) {
        (void)cwsl_refuse(x, "init", x->dispatched ? "comes once" : "must come first");
        return;
    }
    memset(&out, 0, sizeof(out));
    out.sandbox_id = r->init->sandbox_id;
    out.follow = r->init->follow;
    out.tail_lines = r->init->tail_lines;
    out.since_time = r->init->since_time;
    out.timestamps = r->init->timestamps;
    out.resume_log_session_id = r->init->resume_session_id;
    out.resume_log_offset = r->init->resume_offset;
    cwsl_logs_begin(x, &out);
}

/* ================================================================================================
 * >>local-requests
 * What has come of a request is taken apart, and begun.
 * ============================================================================================= */

static void cwsl_stream_message(cwsl_exchange *x, cwsi_str bytes)
{
    void *decoded;
    cws_status status = cwsi_decode(&x->arena, x->rpc->request, bytes, &decoded);
    if (status == CWS_ERR_NO_MEMORY) {
        cwsl_no_memory(x);
        return;
    }
    if (status) {
        cwsl_fail(x, CWSL_INVALID_ARGUMENT, NULL, "the message is no protobuf");
        return;
    }
    if (x->rpc->request == CWSI_M_v1_StreamLogsRequest)
        cwsl_logs_begin(x, CWSI_CAST(const cwsi_v1_StreamLogsRequest *, decoded));
    else if (x->rpc->request == CWSI_M_b2_LogStreamRequest)
        cwsl_b2_logs_input(x, CWSI_CAST(const cwsi_b2_LogStreamRequest *, decoded));
    else if (x->rpc->request == CWSI_M_b2_ExecStreamRequest)
        cwsl_b2_exec_input(x, CWSI_CAST(const cwsi_b2_ExecStreamRequest *, decoded));
    else
        cwsl_stream_input(x, CWSI_CAST(const cwsi_v1_ExecStreamRequest *, decoded));
    cwsi_arena_clear(&x->arena);
    if (x->job && x->job->feed.status) cwsl_no_memory(x);
}

/* Take whole messages out of what was received, while stdin has room. */
static void cwsl_stream_step(cwsl_exchange *x)
{
    while (!x->finished && !x->cancelled && !(x->job && x->job->feed.len >= CWSL_PIECE)) {
        const unsigned char *p = CWSI_CAST(const unsigned char *, CWSI_CAST(void *, x->in.at));
        size_t have = x->in.len - x->in_at, len;
        cwsi_str bytes;
        if (have < 5) break;
        p += x->in_at;
        len = CWSI_CAST(size_t, p[1]) << 24 | CWSI_CAST(size_t, p[2]) << 16 |
              CWSI_CAST(size_t, p[3]) << 8 | p[4];
        if (p[0] != 0) cwsl_fail(x, CWSL_INTERNAL, NULL, "envelope with unexpected flags");
        else if (len > CWSL_MESSAGE) cwsl_fail(x, CWSL_EXHAUSTED, NULL, "message too large");
        if (x->finished || have - 5 < len) break;
        bytes.at = x->in.at + x->in_at + 5, bytes.len = len;
        x->in_at += 5 + len;
        x->server->progress = true;
        cwsl_stream_message(x, bytes);
    }
    if (x->in_at == x->in.len || x->in_at > 16 * CWSL_PIECE) {
        cwsi_buf_eat(&x->in, x->in_at);
        x->in_at = 0;
    }
    if (!x->fin || x->finished || (x->job && x->job->feed.len >= CWSL_PIECE)) return;
    if (x->in.len != x->in_at) cwsl_fail(x, CWSL_INVALID_ARGUMENT, NULL, "half a message");
    else if (!x->dispatched) cwsl_fail(x, CWSL_INVALID_ARGUMENT, NULL, "no message");
    else if (x->job) x->job->feed_end = true;
}

/* Begin what can begin for an exchange. */
static void cwsl_exchange_step(cwsl_exchange *x)
{
    cwsl_call_fn call;
    void *msg;
    cws_status status;
    if (x->finished || x->cancelled || x->ended || !x->rpc) return;
    if (x->in.status) {
        cwsl_no_memory(x);
        return;
    }
    if (cwsl_streaming(x)) {
        cwsl_stream_step(x);
        if (x->reader.box) cwsl_logs_step(x);
        return;
    }
    if (x->waiting) cwsl_b2_wait(x);
    if (x->dispatched || !x->fin) return;
    x->dispatched = true;
    call = cwsl_call_of(x->rpc_id);
    if (!call) {
        cwsl_fail(x, CWSL_UNIMPLEMENTED, "NOT_IMPLEMENTED", "not offered by the local backend");
        return;
    }
    if (x->in.len) x->body.at = x->in.at, x->body.len = x->in.len;
    status = cwsi_decode(&x->arena, x->rpc->request, x->body, &msg);
    if (status == CWS_ERR_NO_MEMORY) cwsl_no_memory(x);
    else if (status) cwsl_fail(x, CWSL_INVALID_ARGUMENT, NULL, "the message is no protobuf");
    else call(x, msg);
    if (x->waiting) cwsl_b2_wait(x); /* it may be there already */
}

/* ================================================================================================
 * >>local-poll
 * The callbacks of cws_transport.
 * ============================================================================================= */

static cwsl_server *cwsl_server_of(void *user)
{
    return CWSI_CAST(cwsl_server *, user);
}

static void cwsl_exchange_free(cwsl_exchange *x)
{
    cwsi_buf_free(&x->in);
    cwsi_buf_free(&x->out);
    cwsi_arena_clear(&x->arena);
    cwsi_free(&x->server->mem, x);
}

static cws_status cwsl_open(void *user, const cws_http_request *request, cws_exchange *peer,
                            void **handle)
{
    cwsl_server *s = cwsl_server_of(user);
    cwsl_exchange *x = CWSI_NEW(&s->mem, cwsl_exchange), **last = &s->exchanges;
    if (!x) return CWS_ERR_NO_MEMORY;
    x->server = s;
    x->peer = peer;
    x->http_status = 200;
    x->deadline = CWSI_NEVER;
    x->fin = !request->more_body;
    cwsi_arena_init(&x->arena, &s->mem);
    cwsi_buf_init(&x->in, &s->mem, SIZE_MAX / 4);
    cwsi_buf_init(&x->out, &s->mem, SIZE_MAX / 4);
    cwsl_check_head(x, request);
    if (!x->finished && request->body_size > CWSL_BODY)
        cwsl_fail(x, CWSL_EXHAUSTED, NULL, "request too large");
    if (!x->finished && (cwsl_streaming(x) || request->more_body)) {
        if (!cwsi_put(&x->in, request->body, request->body_size)) {
            cwsl_exchange_free(x);
            return CWS_ERR_NO_MEMORY;
        }
    } else {
        x->body.at = CWSI_CAST(const char *, request->body);
        x->body.len = request->body_size;
    }
    while (*last) last = &(*last)->next;
    *last = x;
    *handle = x;
    return CWS_OK;
}

static size_t cwsl_send_body(void *user, void *handle, const void *data, size_t size, bool fin)
{
    cwsl_exchange *x = CWSI_CAST(cwsl_exchange *, handle);
    size_t room = cwsl_room(x), n = size < room ? size : room;
    (void)user;
    if (x->finished || x->ended || x->fin) n = size; /* nobody will read it */
    else if (!cwsi_put(&x->in, data, n)) n = size;   /* the next poll answers the failure */
    if (n < size) x->wants_room = true;
    else if (fin) x->fin = true;
    return n;
}

static void cwsl_window(void *user, void *handle, bool open)
{
    (void)user;
    CWSI_CAST(cwsl_exchange *, handle)->closed_window = !open;
}

static void cwsl_cancel(void *user, void *handle)
{
    cwsl_server *s = cwsl_server_of(user);
    cwsl_exchange *x = CWSI_CAST(cwsl_exchange *, handle), **link = &s->exchanges;
    x->cancelled = true;
    if (x->job) cwsl_job_drop(x->job);
    x->job = NULL;
    if (s->in_poll) return; /* swept at its end */
    while (*link != x) link = &(*link)->next;
    *link = x->next;
    cwsl_exchange_free(x);
}

static void cwsl_wakeup(void *user)
{
    char one = 1;
    ssize_t n = write(cwsl_server_of(user)->wake[1], &one, 1); /* a full pipe wakes as well */
    (void)n;
}

/* Free what has ended or was cancelled during this poll. */
static void cwsl_sweep(cwsl_server *s)
{
    cwsl_exchange **x = &s->exchanges, *dead;
    cwsl_job **j = &s->jobs, *gone;
    while (*x) {
        dead = *x;
        if (dead->ended && dead->job) cwsl_job_drop(dead->job), dead->job = NULL;
        if (dead->cancelled) {
            *x = dead->next;
            cwsl_exchange_free(dead);
        } else {
            x = &dead->next;
        }
    }
    while (*j) {
        gone = *j;
        if (gone->done) {
            *j = gone->next;
            s->job_count--;
            cwsl_job_close(gone);
            cwsi_buf_free(&gone->feed);
            cwsi_buf_free(&gone->kept[0]);
            cwsi_buf_free(&gone->kept[1]);
            cwsi_free(&s->mem, gone);
        } else {
            j = &gone->next;
        }
    }
}

static size_t cwsl_watch(cwsl_server *s, int fd, short events)
{
    struct pollfd *p;
    if (fd < 0 || s->fd_count == s->fd_room) return SIZE_MAX;
    p = &s->fds[s->fd_count];
    p->fd = fd, p->events = events, p->revents = 0;
    return s->fd_count++;
}

static void cwsl_sooner(int64_t *at, int64_t other)
{
    if (other < *at) *at = other;
}

/* Fill the poll array; returns the moment of the next timer. */
static int64_t cwsl_gather(cwsl_server *s)
{
    int64_t at = CWSI_NEVER;
    cwsl_box *box;
    cwsl_job *job;
    cwsl_snapshot *snap;
    cwsl_exchange *x;
    size_t i;
    s->fd_count = 0;
    (void)cwsl_watch(s, s->wake[0], POLLIN);
    for (box = s->boxes; box; box = box->next) {
        box->slot = box->log.slot = box->restore.slot = SIZE_MAX;
        if (!box->pid) continue;
        box->log.slot = cwsl_watch(s, box->log.pipe[0], POLLIN);
        box->slot = cwsl_watch(s, box->control,
                               CWSI_CAST(short, box->notes ? POLLIN | POLLOUT : POLLIN));
        box->restore.slot = cwsl_watch(s, box->restore.pid ? box->restore.pipe : -1, POLLIN);
        cwsl_sooner(&at, box->ready_at);
        cwsl_sooner(&at, box->restart_at);
        for (i = 0; i < box->side_count && !box->paused && !box->ending; i++)
            cwsl_sooner(&at, box->sides[i].restart_at);
        cwsl_sooner(&at, box->lifetime_at);
        cwsl_sooner(&at, box->grace_at);
        cwsl_sooner(&at, box->reap_at);
    }
    for (job = s->jobs; job; job = job->next) {
        bool feed = job->kind == CWSL_STREAM ? job->feed.len > 0 || job->feed_end : true;
        job->slot_in = feed ? cwsl_watch(s, job->in, POLLOUT) : SIZE_MAX;
        for (i = 0; i < 2; i++)
            job->slot[i] = cwsl_may_read(job) ? cwsl_watch(s, job->out[i], POLLIN) : SIZE_MAX;
        cwsl_sooner(&at, job->clear_at);
        if (job->exited && cwsl_may_read(job)) {
            cwsl_sooner(&at, job->quiet_at);
            cwsl_sooner(&at, job->hard_at);
        }
    }
    for (snap = s->snapshots; snap; snap = snap->next) {
        snap->copy.slot = cwsl_watch(s, snap->copy.pid ? snap->copy.pipe : -1, POLLIN);
        if (!snap->copy.pid) cwsl_sooner(&at, snap->ready_at);
    }
    for (x = s->exchanges; x; x = x->next)
        if (!x->finished) cwsl_sooner(&at, x->deadline);
    return at;
}

/* Everything that needs no waiting: begin, report, make room. */
static void cwsl_turn(cwsl_server *s)
{
    int64_t now = cwsl_now();
    cwsl_box *box;
    cwsl_job *job;
    cwsl_snapshot *snap, *next;
    cwsl_exchange *x;
    for (snap = s->snapshots; snap; snap = next) {
        next = snap->next;
        cwsl_snapshot_tick(snap, now);
    }
    for (box = s->boxes; box; box = box->next) cwsl_box_tick(box, now);
    for (job = s->jobs; job; job = job->next) cwsl_job_step(job, now);
    for (x = s->exchanges; x; x = x->next) {
        if (now >= x->deadline && !x->finished) {
            if (x->job) cwsl_job_drop(x->job);
            x->job = NULL;
            for (snap = s->snapshots; snap; snap = snap->next)
                if (snap->number == x->waiting)
                    cwsl_meta(x, "file_system_snapshot_id", cwsi_str_of(snap->id));
            cwsl_fail(x, CWSL_DEADLINE, x->limit,
                      "the deadline of the call has passed");
        }
        cwsl_exchange_step(x);
        cwsl_flush(x);
        if (x->wants_room && !x->cancelled && !x->ended && cwsl_room(x) > 0) {
            x->wants_room = false;
            s->progress = true;
            cws_exchange_writable(x->peer);
        }
    }
}

static bool cwsl_ready(const cwsl_server *s, size_t slot)
{
    return slot != SIZE_MAX && s->fds[slot].revents != 0;
}

/* Move bytes of descriptors that poll(2) found ready. */
static void cwsl_move(cwsl_server *s)
{
    cwsl_box *box;
    cwsl_job *job;
    cwsl_snapshot *snap;
    char waste[64];
    if (s->fds[0].revents) while (read(s->wake[0], waste, sizeof(waste)) > 0) s->progress = true;
    for (snap = s->snapshots; snap; snap = snap->next)
        if (cwsl_ready(s, snap->copy.slot)) cwsl_snapshot_read(snap);
    for (box = s->boxes; box; box = box->next) {
        if (cwsl_ready(s, box->restore.slot)) cwsl_restore_read(box);
        if (cwsl_ready(s, box->log.slot)) cwsl_log_read(box);
        if (!cwsl_ready(s, box->slot)) continue;
        cwsl_box_push(box);
        cwsl_box_read(box);
    }
    for (job = s->jobs; job; job = job->next) {
        if (cwsl_ready(s, job->slot_in)) cwsl_job_write(job);
        if (cwsl_ready(s, job->slot[0])) cwsl_job_read(job, 0);
        if (cwsl_ready(s, job->slot[1])) cwsl_job_read(job, 1);
    }
}

static cws_status cwsl_poll(void *user, int timeout_ms)
{
    cwsl_server *s = cwsl_server_of(user);
    int64_t at, left;
    int wait;
    if (s->in_poll) return CWS_ERR_REENTRANT;
    s->in_poll = true;
    s->progress = false;
    cwsl_turn(s);
    cwsl_sweep(s);
    at = cwsl_gather(s);
    left = at == CWSI_NEVER ? INT_MAX : at - cwsl_now();
    wait = s->progress || left <= 0 ? 0 : left < INT_MAX ? CWSI_CAST(int, left) : -1;
    if (timeout_ms >= 0 && (wait < 0 || wait > timeout_ms)) wait = timeout_ms;
    if (poll(s->fds, CWSI_CAST(nfds_t, s->fd_count), wait) > 0) cwsl_move(s);
    cwsl_turn(s);
    cwsl_sweep(s);
    s->in_poll = false;
    return CWS_OK;
}

/* ================================================================================================
 * >>local-open
 * ============================================================================================= */

/* Kill, wait, remove. Used at close, so it blocks; a supervisor that does not end by itself (only
 * without namespaces could it hang) is killed. */
static void cwsl_box_destroy(cwsl_box *box)
{
    int round;
    cwsl_box_end(box, CWSI_v1_STATE_FAILED, "closed");
    for (round = 0; box->pid && round < 3000; round++) {
        cwsl_box_reap(box, 0);
        if (box->pid) (void)poll(NULL, 0, 1);
    }
    if (box->pid) {
        (void)kill(box->pid, SIGKILL);
        (void)waitpid(box->pid, NULL, 0);
        box->pid = 0;
        cwsl_box_remove(box);
    }
}

static void cwsl_destroy(void *user)
{
    cwsl_server *s = cwsl_server_of(user);
    cwsi_mem mem;
    cwsl_box *box;
    cwsl_snapshot *snap;
    while (s->exchanges) cwsl_cancel(s, s->exchanges);
    for (snap = s->snapshots; snap; snap = snap->next) {
        cwsl_copy_kill(&snap->copy);
        snap->box = NULL;
    }
    for (box = s->boxes; box; box = box->next)
        cwsl_box_end(box, CWSI_v1_STATE_FAILED, "closed"); /* all at once, then one by one */
    for (box = s->boxes; box; box = box->next)
        if (box->pid) cwsl_box_destroy(box);
    {
        cwsl_job *job;
        for (job = s->jobs; job; job = job->next) job->done = true;
    }
    cwsl_sweep(s);
    while (s->boxes) {
        box = s->boxes;
        s->boxes = box->next;
        cwsl_box_free(box);
    }
    while (s->snapshots) cwsl_snapshot_free(s->snapshots);
    if (s->own_root && s->root[0]) (void)rmdir(s->root);
    cwsl_close(&s->wake[0]);
    cwsl_close(&s->wake[1]);
    cwsi_free(&s->mem, s->fds);
    cwsi_free(&s->mem, s->api_key);
    cwsi_arena_clear(&s->arena);
    mem = s->mem; /* the accounting must outlive the last block */
    cwsi_free(&mem, s);
}

/* What lies in the host's root directory: names to bind, and symbolic links to repeat. */
static bool cwsl_list_root(cwsl_server *s)
{
    cwsi_list binds, links;
    struct dirent *e;
    DIR *dir = opendir("/");
    bool ok = dir != NULL;
    size_t i;
    memset(&binds, 0, sizeof(binds));
    memset(&links, 0, sizeof(links));
    while (ok && (e = readdir(dir)) != NULL) {
        char path[300], target[300];
        struct stat info;
        bool skip = e->d_name[0] == '.' || strcmp(e->d_name, "proc") == 0;
        ssize_t n;
        for (i = 0; i < CWSL_OWN; i++) skip = skip || strcmp(e->d_name, cwsl_own[i]) == 0;
        (void)cwsi_format(path, sizeof(path), "/%s", e->d_name);
        if (skip || lstat(path, &info)) continue;
        if (S_ISLNK(info.st_mode)) {
            const char **two = CWSI_CAST(
                const char **, cwsi_list_grow(&s->arena, &links, 2 * sizeof(*two)));
            n = readlink(path, target, sizeof(target));
            ok = two && n > 0;
            if (!ok) break;
            two[0] = cwsi_arena_copy(&s->arena, path + 1, strlen(path + 1));
            two[1] = cwsi_arena_copy(&s->arena, target, CWSI_CAST(size_t, n));
            ok = two[0] && two[1];
        } else if (S_ISDIR(info.st_mode)) {
            const char **one =
                CWSI_CAST(const char **, cwsi_list_grow(&s->arena, &binds, sizeof(*one)));
            ok = one && (*one = cwsi_arena_copy(&s->arena, path + 1, strlen(path + 1))) != NULL;
        }
    }
    if (dir) (void)closedir(dir);
    /* both lists end with NULL, which a fresh element is */
    ok = ok && cwsi_list_grow(&s->arena, &binds, sizeof(char *)) &&
         cwsi_list_grow(&s->arena, &links, 2 * sizeof(char *));
    s->binds = CWSI_CAST(const char **, binds.at);
    s->links = CWSI_CAST(const char **, links.at);
    return ok;
}

/* Try a sandbox with nothing in it. Returns 0, or the step that failed with errno in *why. */
static uint32_t cwsl_probe(cwsl_server *s, int *why)
{
    char dir[PATH_MAX];
    cwsl_frame f;
    struct pollfd p;
    pid_t pid = -1;
    memset(&f, 0, sizeof(f));
    (void)cwsi_format(dir, sizeof(dir), "%s/probe", s->root);
    p.fd = -1, p.events = POLLIN, p.revents = 0;
    if (cwsl_make_tree(s, dir)) pid = cwsl_give_birth(s, dir, NULL, &p.fd);
    *why = errno;
    if (pid > 0) {
        if (poll(&p, 1, 5000) <= 0 || read(p.fd, &f, sizeof(f)) != sizeof(f)) f.op = 0;
        *why = f.op == CWSL_BROKEN ? f.value : ETIMEDOUT;
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
        cwsl_close(&p.fd);
    }
    cwsl_remove_tree(dir);
    return f.op == CWSL_READY ? 0 : f.op == CWSL_BROKEN ? f.id : 11;
}

/* Find out which namespaces work: with a user namespace, or without one for a privileged user. */
static void cwsl_choose_namespaces(cwsl_server *s, const cws_local_opts *o)
{
    char line[200];
    int why = ENOSYS;
    uint32_t step = 11;
#ifdef __linux__
    if (!o->no_namespaces && cwsl_list_root(s)) {
        (void)cwsi_format(s->uid_map, sizeof(s->uid_map), "0 %u 1", geteuid());
        (void)cwsi_format(s->gid_map, sizeof(s->gid_map), "0 %u 1", getegid());
        s->clone_flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID;
        step = cwsl_probe(s, &why);
        if (step && geteuid() == 0) {
            s->clone_flags = CLONE_NEWNS | CLONE_NEWPID;
            step = cwsl_probe(s, &why);
        }
    }
#endif
    s->isolated = step == 0;
    if (s->isolated) return;
    s->clone_flags = 0;
    if (o->no_namespaces || !o->warn) return;
    (void)cwsi_format(line, sizeof(line),
                      "namespaces are not available here (step %u: %s): sandboxes are plain "
                      "processes that share /tmp with the host", step, strerror(why));
    o->warn(line, o->user);
}

static bool cwsl_make_root(cwsl_server *s, const char *wanted)
{
    char path[PATH_MAX], real[PATH_MAX];
    const char *tmp = getenv("TMPDIR");
    if (wanted) {
        if (mkdir(wanted, 0700) && errno != EEXIST) return false;
        if (!realpath(wanted, real)) return false;
    } else {
        if (!tmp || tmp[0] != '/' || strlen(tmp) > sizeof(path) / 4) tmp = "/tmp";
        (void)cwsi_format(path, sizeof(path), "%s/cwsandbox-XXXXXX", tmp);
        if (!mkdtemp(path)) return false;
        s->own_root = true;
        if (!realpath(path, real)) return false;
    }
    if (strlen(real) >= sizeof(s->root) - 1) return errno = ENAMETOOLONG, false;
    memcpy(s->root, real, strlen(real) + 1);
    return true;
}

static cws_status cwsl_open_failed(cws_error *err, cws_status status, const char *text)
{
    if (err) {
        memset(err, 0, sizeof(*err));
        err->status = status;
        (void)cwsi_format(err->message, sizeof(err->message), "local transport: %s", text);
    }
    return status;
}

static cwsl_server *cwsl_server_new(const cws_local_opts *o)
{
    cwsi_mem mem;
    cwsl_server *s;
    memset(&mem, 0, sizeof(mem));
    mem.allocator.resize = cwsi_default_resize;
    mem.limit = UINT64_MAX;
    s = CWSI_NEW(&mem, cwsl_server);
    if (!s) return NULL;
    s->mem = mem;
    cwsi_arena_init(&s->arena, &s->mem);
    s->wake[0] = s->wake[1] = -1;
    s->start_delay_ms = o->start_delay_ms;
    s->max_file = o->max_file_bytes ? o->max_file_bytes : 32u << 20;
    if (s->max_file > 99u << 20) s->max_file = 99u << 20;
    s->page_size = o->page_size ? o->page_size : 1000;
    s->seed = CWSI_CAST(uint64_t, getpid());
    s->opened_ms = cwsl_clock(true);
    if (o->api_key) {
        s->api_key = CWSI_CAST(char *, cwsi_alloc(&s->mem, strlen(o->api_key) + 1));
        if (s->api_key) memcpy(s->api_key, o->api_key, strlen(o->api_key));
    }
    if (cwsl_reserve(s) && (s->api_key || !o->api_key)) return s;
    cwsl_destroy(s);
    return NULL;
}

static cws_status cws_local_transport_open(const cws_local_opts *opts, cws_transport *out,
                                           cws_error *err)
{
    cws_local_opts defaults;
    cwsl_server *s;
    memset(&defaults, 0, sizeof(defaults));
    memset(out, 0, sizeof(*out));
    if (!opts) opts = &defaults;
    if (opts->must_be_zero)
        return cwsl_open_failed(err, CWS_ERR_INVALID_ARGUMENT, "opts not zero-initialised");
    s = cwsl_server_new(opts);
    if (!s) return cwsl_open_failed(err, CWS_ERR_NO_MEMORY, "out of memory");
    if (!cwsl_make_root(s, opts->root) || !cwsl_pipe(s->wake, 0) ||
        !cwsl_prepare_fd(s->wake[1], true)) {
        const char *why = strerror(errno);
        cwsl_destroy(s);
        return cwsl_open_failed(err, CWS_ERR_TRANSPORT, why);
    }
    cwsl_choose_namespaces(s, opts);
    out->user = s;
    out->open = cwsl_open;
    out->send = cwsl_send_body;
    out->window = cwsl_window;
    out->cancel = cwsl_cancel;
    out->poll = cwsl_poll;
    out->wakeup = cwsl_wakeup;
    out->close = cwsl_destroy;
    out->full_duplex = true;
    if (err) memset(err, 0, sizeof(*err));
    return CWS_OK;
}

static bool cws_local_isolated(const cws_transport *transport)
{
    return cwsl_server_of(transport->user)->isolated;
}

static size_t cws_local_live(const cws_transport *transport)
{
    size_t n = 0;
    cwsl_box *box;
    for (box = cwsl_server_of(transport->user)->boxes; box; box = box->next) n += box->pid ? 1 : 0;
    return n;
}

#endif /* CWS_LOCAL_TRANSPORT_H */
