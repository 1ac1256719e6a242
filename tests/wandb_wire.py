#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Metrics to W&B over libcurl, against a small W&B on loopback (tests/wandb_server.py).

    wandb_wire.py CLIENT [part of a name]      CLIENT: the program of tests/wandb_client.c

With the official `wandb` package at hand, in this Python, in that of CWS_WANDB_PYTHON or in that of
build/wandb, the rows that it sends for the same values are compared with ours.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time

sys.path[0] = os.path.dirname(os.path.abspath(__file__))
from wandb_server import KEY, Fault, Server  # noqa: E402

counts = {"passed": 0, "failed": 0, "skipped": 0}
problems = []


def check(what, good):
    if not good:
        problems.append(what)


def same(what, actual, expected):
    if actual != expected:
        problems.append("%s\n        actual   %r\n        expected %r" % (what, actual, expected))


class Out:
    """What the client printed."""

    def __init__(self, run, seconds):
        self.text, self.code, self.seconds = run.stdout, run.returncode, seconds
        self.logs = [line.split()[1:] for line in run.stdout.split("\n")
                     if line.startswith("log ")]
        self.taken = [word[0] for word in self.logs]
        self.metrics = dict(line.split() for line in run.stdout.split("\n")
                            if line.startswith("cwsandbox/"))


def client(server, *words, **env):
    """Run the client; the run is r1 unless said otherwise."""
    full = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "CWSANDBOX_"))}
    full.update(WANDB_API_KEY=KEY, WANDB_BASE_URL=server if isinstance(server, str) else server.url,
                WANDB_RUN_ID="r1", WANDB_PROJECT="proj", HOME="/nowhere")
    full.update({k: v for k, v in env.items() if v is not None})
    for name in [k for k, v in env.items() if v is None]:
        full.pop(name, None)
    since = time.monotonic()
    run = subprocess.run([sys.argv[1]] + list(words), env=full, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, universal_newlines=True, timeout=100,
                         check=False)
    out = Out(run, time.monotonic() - since)
    same("the client ends well", run.returncode, 0)
    check("the key is in no output", KEY not in out.text)
    if run.returncode:
        problems.append(out.text[-600:])
    return out


def test_append(server):
    """A run that has ended is continued: rows behind its own, its summary kept."""
    run = server.add_run("r1")
    run.history = {0: '{"_step":0,"loss":3}', 1: '{"_step":7,"loss":2,"_runtime":12.5}'}
    run.summary = {"loss": 2, "_step": 7, "best": {"min": 1}}
    out = client(server, "sandbox", "ok", "bad", "log", "sandbox", "log", "url", "metrics")
    same("taken", out.taken, ["1", "1"])
    rows = run.rows()
    same("rows", [r["_step"] for r in rows], [0, 7, 8, 9])
    same("executions", rows[2]["cwsandbox/executions"], 2)
    same("created", [r["cwsandbox/sandboxes_created"] for r in rows[2:]], [1, 1])
    check("runtime goes on", 12.5 <= rows[2]["_runtime"] < 60)
    check("the moment is told", abs(rows[2]["_timestamp"] - time.time()) < 60)
    same("others' summary", (run.summary["loss"], run.summary["best"]), (2, {"min": 1}))
    same("our summary", (run.summary["cwsandbox/executions"], run.summary["_step"]), (0, 9))
    check("the address", "/team/proj/runs/r1" in out.text)
    same("never completed", run.complete, 0)
    same("searched for once", len(server.of("/graphql")), 2)
    same("counters began anew", out.metrics["cwsandbox/sandboxes_created"], "0")


def test_steps(server):
    """Steps of a training loop arrive as they were given."""
    run = server.add_run("r1")
    out = client(server, "sandbox", "ok", "keep=1", "bad", "keep=2", "ok", "log=5", "close")
    same("taken", out.taken, ["1", "1", "1"])
    same("steps", [r["_step"] for r in run.rows()], [1, 2, 5])
    same("executions", [r["cwsandbox/executions"] for r in run.rows()], [1, 2, 3])


def test_shared(server):
    """Two writers of a live run: both lines arrive, under names of their own."""
    run = server.add_run("r1", state="running")
    run.summary = {"loss": 1}
    client(server, "shared", "sandbox", "log=3", "close")
    client(server, "sandbox", "log", "close", WANDB_MODE="shared")
    same("lines", len(run.shared), 2)
    check("two writers", len({w for w, _, _ in run.shared}) == 2)
    same("each counts for itself", [o for _, o, _ in run.shared], [0, 0])
    check("no step of ours", all("_step" not in row for _, _, row in run.shared))
    same("our step", run.shared[0][2]["cwsandbox/step"], 3)
    same("the summary is not ours", run.summary, {"loss": 1})
    same("nor is the end", (run.complete, run.state), (0, "running"))


def test_live(server):
    """A live run is left alone by default."""
    run = server.add_run("r1", state="running")
    out = client(server, "sandbox", "log", "metrics", "close")
    same("taken", out.taken, ["0"])
    same("rows", run.history, {})
    same("kept", out.metrics["cwsandbox/sandboxes_created"], "1")
    same("taken on request", client(server, "live", "sandbox", "log").taken, ["1"])


def test_create(server):
    """A run is made only on request, and then finished."""
    out = client(server, "sandbox", "log", "close")
    same("not taken", out.taken, ["0"])
    same("no run", server.runs, {})
    out = client(server, "create", "sandbox", "ok", "log", "url", "close", WANDB_RUN_ID=None,
                 WANDB_NAME="a name", WANDB_RUN_GROUP="g")
    same("taken", out.taken, ["1"])
    same("one run", len(server.runs), 1)
    run = list(server.runs.values())[0]
    check("its id", len(run.name) == 8 and "/team/proj/runs/" + run.name in out.text)
    same("its names", (run.display, run.group), ("a name", "g"))
    same("its end", (run.complete, run.exitcode), (1, 0))
    same("its mark", run.config, '{"_wandb":{"value":{"t":{}}}}')


def test_401(server):
    """A key that is not good: no try is repeated, the values stay."""
    server.add_run("r1")
    out = client(server, "sandbox", "log", "metrics", WANDB_API_KEY="x" * 40)
    same("taken", out.taken, ["0"])
    same("tries", len(server.requests), 1)
    same("kept", out.metrics["cwsandbox/sandboxes_created"], "1")
    check("the log says it", "HTTP 401" in out.text)


def test_429(server):
    """Too many requests: waited for if it is short, else kept."""
    run = server.add_run("r1")
    server.faults.append(Fault("/file_stream", status=429, headers={"Retry-After": "1"}))
    out = client(server, "sandbox", "log", "metrics")
    same("taken", out.taken, ["1"])
    check("waited", 900 < int(out.logs[0][1]) < 4000)
    same("rows", len(run.history), 1)
    server.faults.append(Fault("/file_stream", status=429, headers={"Retry-After": "600"}))
    out = client(server, "sandbox", "log", "log", "metrics")
    same("not taken", out.taken, ["0", "0"])
    check("not waited for", out.seconds < 2)
    same("kept", out.metrics["cwsandbox/sandboxes_created"], "1")


def test_5xx(server):
    """Server errors: two are repaired by trying again; more keep the values."""
    run = server.add_run("r1")
    server.faults.append(Fault("/graphql", times=2, status=503))
    server.faults.append(Fault("/file_stream", times=2, status=500))
    same("taken", client(server, "sandbox", "log").taken, ["1"])
    same("rows", len(run.history), 1)
    server.faults.append(Fault("/graphql", times=3, status=502))
    out = client(server, "sandbox", "log", "log", "close")
    same("then", out.taken, ["0", "1"])
    same("nothing is lost", run.rows()[-1]["cwsandbox/sandboxes_created"], 1)
    server.faults.append(Fault("/file_stream", times=-1, status=500))
    out = client(server, "sandbox", "close", "metrics")
    check("a close does not mind", "close 0" in out.text)
    same("kept", out.metrics["cwsandbox/sandboxes_created"], "1")


def test_half(server):
    """Half answers and dropped connections are as good as none; no row is doubled."""
    run = server.add_run("r1")
    for action in "cut", "drop":
        server.faults.append(Fault("/graphql", action=action))
        server.faults.append(Fault("/file_stream", action=action))
    same("taken", client(server, "sandbox", "log").taken, ["1"])
    same("rows", len(run.history), 1)
    same("they came twice", len(server.of("/file_stream")), 3)


def test_redirect(server):
    """The key follows no redirect."""
    other = Server()
    try:
        server.faults.append(Fault("/graphql", times=-1, status=307,
                                   headers={"Location": other.url + "/graphql"}))
        same("taken", client(server, "sandbox", "log").taken, ["0"])
        same("the other server", other.requests, [])
    finally:
        other.close()


def test_slow(server):
    """A W&B that hangs costs the budget once, not each time, and loses nothing."""
    server.add_run("r1")
    server.faults.append(Fault("/", times=-1, delay=30))
    out = client(server, "timeout=2", "sandbox", "log", "log", "log", "metrics", "close")
    same("taken", out.taken, ["0", "0", "0"])
    check("in time", out.seconds < 2 * 2 + 2)
    check("once", sum(int(ms) for _, ms in out.logs) < 2600)
    same("kept", out.metrics["cwsandbox/sandboxes_created"], "1")


def test_down(server):
    """Nobody listens: it fails at once, and the close is not held up."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        out = client("http://127.0.0.1:%d" % s.getsockname()[1], "sandbox", "log", "close",
                     "metrics")
    same("taken", out.taken, ["0"])
    check("in time", out.seconds < 4)
    check("the close is fine", "close 0" in out.text)
    same("kept", out.metrics["cwsandbox/sandboxes_created"], "1")


def test_plain(server):
    """The scheme and HTTP version of the sandboxes' address do not matter to W&B's."""
    server.add_run("r1")
    for env in {"CLIENT_URL": "https://127.0.0.1:9"}, {"CLIENT_GRPC": "1"}, \
            {"CLIENT_URL": "https://127.0.0.1:9", "CLIENT_GRPC": "1"}:
        same(str(env), client(server, "sandbox", "log", **env).taken, ["1"])


def test_tls(server):
    """Over TLS: a certificate that is trusted, and one that is not, which ends it at once."""
    with tempfile.TemporaryDirectory() as made:
        cert, key = os.path.join(made, "cert.pem"), os.path.join(made, "key.pem")
        try:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
                            "2", "-subj", "/CN=localhost", "-addext",
                            "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        except (OSError, subprocess.CalledProcessError):
            return "openssl does not make certificates here"
        safe = Server(cert, key)
        try:
            run = safe.add_run("r1")
            out = client(safe, "sandbox", "log")
            same("not trusted", out.taken, ["0"])
            check("no time lost", int(out.logs[0][1]) < 2000)
            same("nothing came", safe.requests, [])
            for url in "http://127.0.0.1:9", "https://127.0.0.1:9":
                out = client(safe, "sandbox", "log", CLIENT_CA=cert, CLIENT_URL=url)
                same("trusted", out.taken, ["1"])
            same("rows", len(run.history), 2)
        finally:
            safe.close()
    return None


OFFICIAL = """
import wandb
run = wandb.init(project="proj", entity="team", id="%s", resume="allow",
                 settings=wandb.Settings(x_disable_stats=True, x_disable_meta=True, silent=True,
                                         console="off"))
for step, values in %r:
    run.log(values, step=step)
run.finish()
"""


def official_python():
    ours = os.path.abspath(os.environ.get("BUILD", "build")) + "/wandb/bin/python"
    for python in os.environ.get("CWS_WANDB_PYTHON"), ours, sys.executable:
        if python and subprocess.run([python, "-c", "import wandb; wandb.init"], check=False,
                                     cwd="/", stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


def test_official(server):
    """The official package and this client send the same rows for the same values."""
    python = official_python()
    if not python:
        return "there is no package wandb in build/wandb, this Python or CWS_WANDB_PYTHON"
    words = ["sandbox", "ok", "keep=1", "bad", "keep=2", "sandbox", "fail", "keep=5"]
    client(server, "create", *words, "close", WANDB_RUN_ID="ours")
    values = [(r["_step"], {k: v for k, v in r.items() if k.startswith("cwsandbox/")})
              for r in server.runs["ours"].rows()[:3]]
    env = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    env.update(WANDB_API_KEY=KEY, WANDB_BASE_URL=server.url, WANDB_ERROR_REPORTING="false",
               WANDB_DIR=os.environ.get("TMPDIR", "/tmp"))
    run = subprocess.run([python, "-c", OFFICIAL % ("theirs", values)], env=env, cwd="/",
                         timeout=200, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         universal_newlines=True, check=False)
    if run.returncode:
        problems.append(run.stdout[-1500:])
        return None
    own = [r for r in server.runs["ours"].rows() if r["_step"] in (1, 2, 5)]
    theirs = server.runs["theirs"]
    same("rows", [{k: v for k, v in r.items() if k not in ("_timestamp", "_runtime")}
                  for r in own],
         [{k: v for k, v in r.items() if k not in ("_timestamp", "_runtime")}
          for r in theirs.rows()])
    for row in own + theirs.rows():
        same("members besides the values", sorted(k for k in row if not k.startswith("cws")),
             ["_runtime", "_step", "_timestamp"])
        check("types", isinstance(row["_step"], int) and isinstance(row["_timestamp"], float))
    last = theirs.rows()[-1]
    same("summary", {k: v for k, v in theirs.summary.items() if k.startswith("cwsandbox/")},
         {k: v for k, v in last.items() if k.startswith("cwsandbox/")})
    ours = server.runs["ours"]
    same("members of the summary", sorted(k for k in ours.summary if k[0] == "_"),
         sorted(k for k in theirs.summary if k[0] == "_"))
    same("the end", (ours.complete, ours.exitcode), (theirs.complete, theirs.exitcode))
    # a run of theirs, that has ended, is continued by us, and ours by them
    before = len(theirs.history)
    client(server, "sandbox", "log", WANDB_RUN_ID="theirs")
    same("we continue theirs", [r["_step"] for r in theirs.rows()[before:]], [6])
    before = ours.line_count()
    subprocess.run([python, "-c", OFFICIAL % ("ours", [(50, {"loss": 1})])], env=env, cwd="/",
                   timeout=200, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    same("they continue ours", [r["_step"] for r in ours.rows()[before:]], [50])
    same("and keep our summary", ours.summary.get("cwsandbox/exec_failures"), 1)
    return None


SHARED = OFFICIAL.replace("settings=wandb.Settings(", "settings=wandb.Settings(mode='shared', "
                          "x_label='them', x_primary=False, x_update_finish_state=False, ")


def test_official_shared(server):
    """The official package and this client share a live run, with the same headers."""
    python = official_python()
    if not python:
        return "there is no package wandb in build/wandb, this Python or CWS_WANDB_PYTHON"
    run = server.add_run("r1", state="running")
    client(server, "shared", "sandbox", "log", "close")
    env = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    env.update(WANDB_API_KEY=KEY, WANDB_BASE_URL=server.url, WANDB_ERROR_REPORTING="false",
               WANDB_DIR=os.environ.get("TMPDIR", "/tmp"))
    subprocess.run([python, "-c", SHARED % ("r1", [(None, {"loss": 1})])], env=env, cwd="/",
                   timeout=200, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    client(server, "shared", "sandbox", "log", "close")
    same("lines", ["loss" in row for _, _, row in run.shared], [False, True, False])
    same("writers", len({writer for writer, _, _ in run.shared}), 3)
    for path in "/graphql", "/file_stream":
        names = [sorted(k.lower() for k in r.headers if "client-id" in k.lower() or "async" in
                        k.lower()) for r in server.of(path)]
        check("headers of " + path, all(n == names[0] and len(n) == 2 for n in names))
    same("nobody ends it", (run.complete, run.state), (0, "running"))
    return None


def main():
    for name, test in list(globals().items()):
        if not name.startswith("test_") or not all(word in name for word in sys.argv[2:]):
            continue
        del problems[:]
        server = Server()
        try:
            skipped = test(server)
        except Exception as e:  # a test that breaks is a failed one
            problems.append("%s: %s" % (type(e).__name__, e))
            skipped = None
        finally:
            server.close()
        counts["failed" if problems else "skipped" if skipped else "passed"] += 1
        if skipped and not problems:
            print("SKIPPED %s: %s" % (test.__doc__, skipped))
        if problems:
            print("FAILED: %s" % test.__doc__)
            for problem in problems:
                print("    " + problem)
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
