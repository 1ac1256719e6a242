/* SPDX-License-Identifier: MIT
 *
 * Directories as tar streams: what we write is read by the tar of this machine, what that writes is
 * read by us, and an archive made to hurt does not. No network: archives are handed to the taker of
 * a download, and taken from the source of an upload, directly. Part of files.c.
 */
#ifndef FILES_TREE_H
#define FILES_TREE_H

static cws_session *session;
static cws_sandbox *box;
static char dir[64]; /* of this run */
static cws_error err;

static int sh(const char *text, ...)
{
    char line[4096];
    va_list args;
    va_start(args, text);
    vsnprintf(line, sizeof line, text, args);
    va_end(args);
    return system(line);
}

static const char *in_dir(const char *name)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

/* ---- archives by hand */

static cwsi_mem mem = {{test_resize, NULL}, 0, 0, SIZE_MAX, 0};

static void add(cwsi_buf *out, char type, const char *name, const void *data, size_t size)
{
    cwsi_tar_entry e;
    memset(&e, 0, sizeof e);
    e.type = type;
    e.mode = 0644;
    e.size = size;
    e.name = cwsi_str_of(name);
    if (!cwsi_tar_put(out, &e) || !cwsi_put(out, data, size)) abort();
    while (out->len % 512)
        if (!cwsi_put_char(out, '\0')) abort();
}

static void finish(cwsi_buf *out)
{
    static const char zeros[1024];
    if (!cwsi_put(out, zeros, sizeof zeros)) abort();
}

/* Unpack an archive, in pieces, into a directory of that name. False: refused, err says why. */
static bool unpack(const char *data, size_t size, size_t piece, const char *into, bool skip)
{
    cws_directory_opts o;
    cws_op *op = NULL;
    cwsi_file *f;
    cws_flow flow = CWS_FLOW_CONTINUE;
    size_t at = 0;
    memset(&o, 0, sizeof o);
    o.skip_special = skip;
    if (!CHECK_INT(cws_download_directory_begin(box, "/there", in_dir(into), &o, &op, &err), 0))
        return false;
    f = (cwsi_file *)op;
    while (at < size && flow == CWS_FLOW_CONTINUE) {
        size_t n = piece && piece < size - at ? piece : size - at;
        char *copy = (char *)malloc(n); /* exactly: a byte too far is seen */
        cws_item item;
        if (!copy) abort();
        memcpy(copy, data + at, n);
        memset(&item, 0, sizeof item);
        item.data = copy;
        item.size = n;
        flow = cwsi_tree_item(&item, f);
        free(copy);
        at += n;
    }
    if (flow == CWS_FLOW_CONTINUE) cwsi_tree_end(f);
    CHECK((flow == CWS_FLOW_CANCEL) <= (op->err.status != CWS_OK));
    err = op->err;
    cws_op_free(op);
    return err.status == CWS_OK;
}

/* The archive of a local directory. NULL: refused. */
static char *pack(const char *from, size_t piece, bool skip, size_t *size)
{
    cws_directory_opts o;
    cws_op *op = NULL;
    cws_flow flow = CWS_FLOW_CONTINUE;
    char *all = NULL;
    size_t n = 1, room = 0;
    memset(&o, 0, sizeof o);
    o.skip_special = skip;
    *size = 0;
    if (cws_upload_directory_begin(box, "/there", in_dir(from), &o, &op, &err)) return NULL;
    while (n && flow == CWS_FLOW_CONTINUE) {
        if (*size + piece > room) all = (char *)realloc(all, room = 2 * (*size + piece));
        if (!all) abort();
        flow = cwsi_tree_source(all + *size, piece, &n, op);
        *size += n;
    }
    err = op->err;
    cws_op_free(op);
    if (flow == CWS_FLOW_CONTINUE) return all;
    CHECK(err.status != CWS_OK);
    free(all);
    return NULL;
}

static char *load(const char *name, size_t *size)
{
    FILE *f = fopen(in_dir(name), "rb");
    char *data;
    long n;
    if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0) abort();
    rewind(f);
    data = (char *)malloc((size_t)n + 1);
    if (!data || fread(data, 1, (size_t)n, f) != (size_t)n) abort();
    fclose(f);
    *size = (size_t)n;
    return data;
}

/* A directory with what tends to go wrong. */
static void make_sample(void)
{
    CHECK_INT(sh("cd %s && rm -rf sample && mkdir -p 'sample/a/b/empty' 'sample/with space' && "
                 "cd sample && echo one >a/one && : >zero && echo q >\"with space/it's\\\"q\" && "
                 "head -c 511 /dev/urandom >a/b/511 && head -c 512 /dev/urandom >a/b/512 && "
                 "head -c 513 /dev/urandom >a/b/513 && head -c 300000 /dev/urandom >a/big && "
                 "n=$(printf 'n%%.0s' $(seq 1 90)) && mkdir -p $n/$n/$n && echo deep >$n/$n/$n/$n "
                 "&& printf x >$(printf 'h%%.0s' $(seq 1 100)) && "
                 "printf x >$(printf 'i%%.0s' $(seq 1 101)) && chmod 755 a/one && chmod 600 zero "
                 "&& echo dash >-dash && printf x >'new\nline' && echo u >\xc3\xa9",
                 dir),
              0);
}

static bool same(const char *a, const char *b)
{
    return sh("cd %s && diff -r '%s' '%s' >/dev/null && "
              "test \"$(cd '%s' && find . -type f -printf '%%m %%p\\n' | sort)\" = "
              "\"$(cd '%s' && find . -type f -printf '%%m %%p\\n' | sort)\"",
              dir, a, b, a, b) == 0;
}

static void test_both_ways(void)
{
    static const char *const formats[] = {"gnu", "ustar", "pax", "posix"};
    char *data = NULL;
    size_t size = 0, i, piece;
    make_sample();
    TEST("a directory becomes the same archive whatever the size of the pieces") {
        char *other;
        size_t n;
        data = pack("sample", 65536, false, &size);
        CHECK(data != NULL);
        for (piece = 1; data && piece < 1000; piece += 331) {
            other = pack("sample", piece, false, &n);
            CHECK(other && n == size && memcmp(other, data, n) == 0);
            free(other);
        }
    }
    TEST("the tar of this machine reads our archive") {
        if (data) put_file(in_dir("ours.tar"), data, size);
        CHECK_INT(sh("cd %s && rm -rf out && mkdir out && tar -xf ours.tar -C out", dir), 0);
        CHECK(same("sample", "out"));
    }
    TEST("we read it too, in pieces of any size") {
        for (piece = 1; data && piece < 2000; piece += 173) {
            (void)sh("rm -rf %s/out", dir);
            if (!CHECK(unpack(data, size, piece, "out", false))) puts(err.message);
            CHECK(same("sample", "out"));
        }
    }
    free(data);
    for (i = 0; i < CWSI_COUNT(formats); i++) {
        TEST("we read the archives of this machine's tar, in each of its formats") {
            const char *from = strcmp(formats[i], "ustar") == 0 ? "plain" : "sample";
            (void)sh("cd %s && rm -rf out plain && cp -r sample/a plain", dir);
            if (sh("cd %s && tar --format=%s -C %s -cf theirs.tar . 2>/dev/null", dir, formats[i],
                   from)) {
                SKIP("this tar has no --format");
                continue;
            }
            data = load("theirs.tar", &size);
            if (!CHECK(unpack(data, size, 1000, "out", false))) puts(err.message);
            CHECK(same(from, "out"));
            free(data);
        }
    }
    TEST("sizes beyond eight gigabytes are written and read") {
        unsigned char block[512];
        char name[260] = "";
        cwsi_tar_entry e, back;
        cwsi_buf out;
        uint64_t sizes[] = {0, 1, 8589934591u, 8589934592u, (uint64_t)1 << 50};
        for (i = 0; i < CWSI_COUNT(sizes); i++) {
            memset(&e, 0, sizeof e);
            e.type = '0';
            e.size = sizes[i];
            e.name = cwsi_str_of("x");
            cwsi_buf_init(&out, &mem, SIZE_MAX / 2);
            CHECK(cwsi_tar_put(&out, &e));
            memcpy(block, out.at, 512);
            CHECK(cwsi_tar_read(block, name, &back));
            CHECK(back.size == sizes[i]);
            cwsi_buf_free(&out);
        }
    }
}

/* One entry between two good ones. */
static bool unpack_with(char type, const char *name, const void *data, size_t size, bool skip)
{
    cwsi_buf out;
    bool ok;
    cwsi_buf_init(&out, &mem, SIZE_MAX / 2);
    add(&out, '0', "before", "b", 1);
    add(&out, type, name, data, size);
    add(&out, '0', "after", "a", 1);
    finish(&out);
    (void)sh("rm -rf %s/out", dir);
    ok = unpack(out.at, out.len, 700, "out", skip);
    cwsi_buf_free(&out);
    return ok;
}

static bool exists(const char *name) { return access(in_dir(name), F_OK) == 0; }

static void test_hostile(void)
{
    static const char *const names[] = {"../evil",    "/tmp/cws-evil", "a/../../evil", "..",
                                        "./../evil",  "a/..",          "../",          "./..",
                                        ".//../evil", "a//../../evil"};
    char text[200];
    size_t i;
    TEST("a name that leads out of the directory is refused, and nothing is made there") {
        for (i = 0; i < CWSI_COUNT(names); i++) {
            CHECK(!unpack_with('0', names[i], "x", 1, false));
            CHECK_INT(err.status, CWS_ERR_FILE);
            CHECK(!unpack_with('0', names[i], "x", 1, true)); /* skipping is for links only */
            CHECK(!unpack_with('5', names[i], "", 0, false));
            CHECK(!exists("evil") && access("/tmp/cws-evil", F_OK) != 0);
        }
    }
    TEST("so is one that comes in a pax header or as a long name") {
        cwsi_buf out;
        for (i = 0; i < 2; i++) {
            cwsi_buf_init(&out, &mem, SIZE_MAX / 2);
            snprintf(text, sizeof text, i ? "16 path=../evil\n" : "../evil");
            add(&out, i ? 'x' : 'L', "header", text, strlen(text));
            add(&out, '0', "innocent", "x", 1);
            finish(&out);
            CHECK(!unpack(out.at, out.len, 0, "out", false));
            CHECK(!exists("evil"));
            cwsi_buf_free(&out);
        }
    }
    TEST("links, devices and pipes are refused, or left out with the rest unpacked") {
        static const char kinds[] = "23468SDMV";
        for (i = 0; kinds[i]; i++) {
            if (!CHECK(!unpack_with(kinds[i], "special", "", 0, false))) printf("%c\n", kinds[i]);
            CHECK(strstr(err.message, "skip_special") != NULL);
            CHECK(!exists("out/special"));
            if (kinds[i] == 'D') continue;
            CHECK(unpack_with(kinds[i], "special", "content", 7, true));
            CHECK(!exists("out/special") && exists("out/before") && exists("out/after"));
        }
    }
    TEST("a second name of a file becomes a copy, if it stays in the directory") {
        static const char *const bad[] = {"../sample/zero", "/etc/passwd", "nothing", "", "d"};
        char *data;
        size_t size;
        (void)sh("cd %s && rm -rf twice && mkdir -p twice/d && echo two >twice/a && "
                 "ln twice/a twice/d/b && chmod 755 twice/a", dir);
        CHECK_INT(sh("cd %s && tar -C twice -cf theirs.tar .", dir), 0);
        data = load("theirs.tar", &size);
        for (i = 0; i < 2; i++) { /* also over what is there, without the right to write it */
            CHECK(unpack(data, size, 100, "out2", i == 1));
            CHECK(same("twice", "out2"));
            (void)sh("chmod 444 %s/out2/a", dir);
        }
        free(data);
        for (i = 0; i < CWSI_COUNT(bad); i++) {
            cwsi_buf out;
            cwsi_buf_init(&out, &mem, SIZE_MAX / 2);
            add(&out, '5', "d", "", 0);
            add(&out, '1', "again", "", 0);
            memcpy(out.at + 512 + 157, bad[i], strlen(bad[i]));
            cwsi_tar_put_number((unsigned char *)out.at + 512 + 148, 7,
                                cwsi_tar_sum((unsigned char *)out.at + 512));
            finish(&out);
            (void)sh("rm -rf %s/out", dir);
            if (!CHECK(!unpack(out.at, out.len, 0, "out", true))) puts(bad[i]);
            CHECK(!exists("out/again"));
            cwsi_buf_free(&out);
        }
    }
    TEST("a directory does not pass where a file is") {
        cwsi_buf out;
        cwsi_buf_init(&out, &mem, SIZE_MAX / 2);
        add(&out, '5', "d/", "", 0);
        finish(&out);
        (void)sh("cd %s && rm -rf out && mkdir out && echo x >out/d", dir);
        CHECK(!unpack(out.at, out.len, 0, "out", false));
        cwsi_buf_free(&out);
    }
    TEST("a link that is there already is not followed") {
        char *data;
        size_t size;
        cwsi_buf out;
        (void)sh("cd %s && rm -rf out away && mkdir out away && ln -s ../away out/link && "
                 "echo old >away/file && ln -s ../away/file out/name", dir);
        cwsi_buf_init(&out, &mem, SIZE_MAX / 2);
        add(&out, '0', "link/evil", "x", 1);
        finish(&out);
        CHECK(!unpack(out.at, out.len, 0, "out", false));
        CHECK(!exists("away/evil"));
        out.len = 0;
        add(&out, '0', "name", "new", 3);
        finish(&out);
        CHECK(unpack(out.at, out.len, 0, "out", false)); /* it is replaced */
        data = load("away/file", &size);
        CHECK(size == 4 && memcmp(data, "old\n", 4) == 0);
        free(data);
        cwsi_buf_free(&out);
    }
    TEST("an archive that is damaged at any byte of its headers does no harm") {
        cwsi_buf out;
        cwsi_buf_init(&out, &mem, SIZE_MAX / 2);
        add(&out, '0', "one", "1", 1);
        for (i = 0; i < 512; i++) {
            char *copy = (char *)malloc(out.len);
            if (!copy) abort();
            memcpy(copy, out.at, out.len);
            copy[i] = (char)(copy[i] ^ 0x41);
            CHECK(!unpack(copy, out.len, 0, "out", false)); /* its end is missing in any case */
            free(copy);
        }
        cwsi_buf_free(&out);
    }
}

static void test_cuts(void)
{
    TEST("an archive that is cut at any byte is never whole") {
        cwsi_buf out;
        size_t cut, end;
        cwsi_buf_init(&out, &mem, SIZE_MAX / 2);
        add(&out, '5', "d/", "", 0);
        add(&out, '0', "d/one", "1", 1);
        end = out.len;
        finish(&out);
        (void)sh("rm -rf %s/out", dir);
        for (cut = 0; cut <= out.len; cut += cut < 600 ? 1 : 7) {
            bool ok = unpack(out.at, cut, 0, "out", false);
            CHECK(ok == (cut >= end + 512));
            if (!ok) CHECK_STR(err.reason, "CWSANDBOX_FILE_TRUNCATED");
        }
        cwsi_buf_free(&out);
    }
    TEST("pax records: the last one counts, broken ones are none") {
        cwsi_str v;
        memset(&v, 0, sizeof v);
        CHECK(cwsi_tar_pax(cwsi_str_of("9 path=a\n9 path=b\n"), "path", &v) && cwsi_str_is(v, "b"));
        CHECK(!cwsi_tar_pax(cwsi_str_of("9 path=a\n99 path=b\n"), "path", &v));
        CHECK(!cwsi_tar_pax(cwsi_str_of("path=a\n"), "path", &v));
        CHECK(!cwsi_tar_pax(cwsi_str_of("9 path=a"), "path", &v));
        CHECK(!cwsi_tar_pax(cwsi_str_of("99999999999999999999 path=a\n"), "path", &v));
        CHECK(!cwsi_tar_pax(cwsi_str_of(""), "path", &v));
        CHECK(!cwsi_tar_pax(cwsi_str_of("4 a\n"), "a", &v));
    }
    TEST("random damage never leads out of the directory") {
        char *data, *copy;
        size_t size, i, k;
        uint64_t x = 88172645463325252ULL;
        (void)sh("cd %s && rm -rf small && mkdir -p small/a && echo 1 >small/a/b && "
                 "echo 2 >small/c && tar -C small -cf theirs.tar .", dir);
        data = load("theirs.tar", &size);
        copy = (char *)malloc(size);
        if (!copy) abort();
        for (i = 0; i < 3000; i++) {
            memcpy(copy, data, size);
            for (k = 0; k < 3; k++) {
                size_t at;
                x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                at = (size_t)(x % (size < 3072 ? size : 3072));
                copy[at] = (char)(x >> 40);
                if (x >> 60 == 0) memcpy(copy + at / 512 * 512, "../evil", 8);
                cwsi_tar_put_number((unsigned char *)copy + at / 512 * 512 + 148, 7,
                                    cwsi_tar_sum((unsigned char *)copy + at / 512 * 512));
            }
            (void)unpack(copy, size, 0, "rand/deep/er", false);
            if (i % 500 == 0) CHECK(!exists("evil") && !exists("rand/evil"));
        }
        CHECK(!exists("evil") && !exists("rand/evil") && !exists("rand/deep/evil"));
        free(copy);
        free(data);
    }
}

static void test_local(void)
{
    size_t size;
    TEST("what can not be packed is said, with its name") {
        (void)sh("cd %s && rm -rf odd && mkdir odd && ln -s x odd/link && echo f >odd/file", dir);
        CHECK(pack("odd", 4096, false, &size) == NULL);
        CHECK_INT(err.status, CWS_ERR_FILE);
        CHECK(strstr(err.message, "link") != NULL);
        free(pack("odd", 4096, true, &size));
        CHECK_INT(err.status, CWS_OK);
        CHECK_INT(size, 512 + 512 + 1024);
        CHECK(pack("nonesuch", 4096, true, &size) == NULL);
        CHECK_INT(err.status, CWS_ERR_INVALID_ARGUMENT);
        CHECK(pack("odd/file", 4096, true, &size) == NULL);
        CHECK_INT(err.status, CWS_ERR_INVALID_ARGUMENT);
    }
    TEST("directories nested too deep are refused") {
        (void)sh("cd %s && rm -rf deep && d=deep && for i in $(seq 1 70); do d=$d/d; done && "
                 "mkdir -p $d", dir);
        CHECK(pack("deep", 4096, false, &size) == NULL);
        CHECK(strstr(err.message, "too deep") != NULL);
    }
    TEST("a file that becomes shorter while it is read is an error") {
        cws_op *op = NULL;
        char buffer[4096];
        size_t n;
        (void)sh("cd %s && rm -rf shrink && mkdir shrink && head -c 100000 /dev/zero >shrink/f",
                 dir);
        CHECK_INT(cws_upload_directory_begin(box, "/x", in_dir("shrink"), NULL, &op, &err), 0);
        CHECK_INT(cwsi_tree_source(buffer, sizeof buffer, &n, op), CWS_FLOW_CONTINUE);
        (void)sh("echo x >%s/shrink/f", dir);
        CHECK_INT(cwsi_tree_source(buffer, sizeof buffer, &n, op), CWS_FLOW_CANCEL);
        CHECK(strstr(op->err.message, "shorter") != NULL);
        cws_op_free(op);
    }
    TEST("each allocation that fails is told, and nothing leaks") {
        long n;
        make_sample();
        for (n = 1; n < 200; n++) {
            char *data;
            test_alloc_fail_at(n, false);
            data = pack("sample", 4096, false, &size);
            if (!data) CHECK_INT(err.status, CWS_ERR_NO_MEMORY);
            free(data);
            if (!test_alloc_failed()) break;
        }
        test_alloc_fail_at(-1, false);
        CHECK(n > 2 && n < 200);
    }
}

static void tree_tests(void)
{
    cws_session_opts so;
    cws_client_opts co;
    script nothing; /* is asked of the service */
    size_t live;
    memset(&so, 0, sizeof so);
    memset(&co, 0, sizeof co);
    snprintf(dir, sizeof dir, "/tmp/cws-tree-XXXXXX");
    if (!mkdtemp(dir)) abort();
    (void)sh("mkdir -p %s/rand/deep", dir);
    script_init(&nothing, false);
    co.transport = &nothing.transport;
    co.no_environment = true;
    co.allocator = &test_allocator;
    so.client_opts = &co;
    live = test_alloc_live();
    if (cws_session_open(&so, &session, &err) || cws_session_sandbox(session, NULL, &box, &err)) {
        puts(err.message);
        abort();
    }
    test_both_ways();
    test_hostile();
    test_cuts();
    test_local();
    cws_sandbox_free(box);
    cws_session_free(session);
    script_free(&nothing);
    TEST("nothing is left in memory") CHECK_INT(test_alloc_live(), live);
    (void)sh("rm -rf %s", dir);
}

#endif /* FILES_TREE_H */
