# SPDX-License-Identifier: MIT
"""A small W&B on loopback, for tests/wandb_wire.py: runs in memory, GraphQL and file streams.

    server = Server()                  # server.url; server.close(). With a certificate: https
    run = server.add_run("r1")         # ended, unless state="running"
    server.faults.append(Fault("/graphql", times=2, status=429, headers={"Retry-After": "1"}))
    server.requests                    # what came: path, headers, body
    run.history, run.summary, run.complete

A line of history is kept at the offset it is sent to, so a line sent twice is there once. Writers
of the shared mode have lines of their own, in the order of arrival.
"""

import base64
import gzip
import json
import re
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

KEY = "0123456789012345678901234567890123456789"


class Fault:
    """What goes wrong, `times` times, with requests whose path contains this."""

    def __init__(self, path, times=1, status=None, headers=None, action=None, delay=0.0):
        self.path, self.times, self.status, self.headers = path, times, status, headers or {}
        self.action, self.delay = action, delay  # "cut": half an answer; "drop": none


class Run:
    def __init__(self, name, project, entity, state="finished"):
        self.name, self.project, self.entity, self.state = name, project, entity, state
        self.history, self.summary, self.config = {}, {}, None
        self.shared, self.complete, self.exitcode, self.display = [], 0, None, None
        self.group = None

    def rows(self):
        """The lines by offset, parsed."""
        return [json.loads(self.history[k]) for k in sorted(self.history)]

    def line_count(self):
        return max(self.history) + 1 if self.history else 0

    def bucket(self):
        tail = [self.history[k] for k in sorted(self.history)][-1:]
        mark = json.loads(self.config or "{}").get("_wandb", {}).get("value", {})
        return {"id": "storage-" + self.name, "name": self.name, "state": self.state,
                "displayName": self.display or self.name, "sweepName": None,
                "summaryMetrics": json.dumps(self.summary), "config": self.config or "{}",
                "historyLineCount": self.line_count(), "eventsLineCount": 0, "logLineCount": 0,
                "historyTail": json.dumps(tail), "eventsTail": "[]", "tags": [], "notes": None,
                "wandbConfig": json.dumps(mark) if "t" in mark else None,
                "project": {"id": "p", "name": self.project,
                            "entity": {"id": "e", "name": self.entity}}}


class Request:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body

    def json(self):
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, value, headers=None, cut=False):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body[:len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True

    def handle_fault(self, fault):
        """True: it was all that is answered."""
        if fault.delay:
            self.server.owner.wake.wait(fault.delay)
        if fault.action == "drop":
            self.close_connection = True
            return True
        if fault.status:
            self.answer(fault.status, {"error": "on order"}, fault.headers)
            return True
        return False

    def do_POST(self):
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        with owner.lock:
            owner.requests.append(Request(self.path, dict(self.headers.items()),
                                          body.decode("utf-8", "replace")))
            fault = next((f for f in owner.faults if f.path in self.path and f.times != 0), None)
            if fault:
                fault.times -= 1
        if fault and self.handle_fault(fault):
            return
        with owner.lock:
            status, value = owner.serve(self.path, self.headers, body)
        self.answer(status, value, cut=bool(fault and fault.action == "cut"))

    def do_GET(self):
        self.answer(404, {"error": "there is nothing to get"})

    do_PUT = do_POST


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # clients that give up are part of the tests


class Server:
    def __init__(self, cert=None, key=None):
        self.runs, self.requests, self.faults = {}, [], []
        self.lock, self.wake = threading.Lock(), threading.Event()
        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.owner = self
        self.port = self.http.server_address[1]
        self.url = "http%s://localhost:%d" % ("s" if cert else "", self.port)
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.wake.set()
        self.http.shutdown()
        self.http.server_close()

    def add_run(self, name, project="proj", entity="team", state="finished"):
        self.runs[name] = Run(name, project, entity, state)
        return self.runs[name]

    def of(self, part):
        return [r for r in self.requests if part in r.path]

    def serve(self, path, headers, body):
        if path.startswith("/upload/"):
            return 200, {}
        expected = "Basic " + base64.b64encode(("api:" + KEY).encode()).decode()
        if headers.get("Authorization") != expected:
            return 401, {"error": "who are you?"}
        try:
            value = json.loads(body)
        except ValueError:
            return 400, {"error": "not JSON"}
        if path == "/graphql":
            return 200, self.graphql(value)
        m = re.match(r"^/files/([^/]+)/([^/]+)/([^/]+)/file_stream$", path)
        if m:
            return self.stream(self.runs.get(unquote(m.group(3))), m, headers, value)
        return 404, {"error": "no such path"}

    def graphql(self, value):
        query, v = value["query"], value.get("variables") or {}
        if "upsertBucket" in query:
            return {"data": {"upsertBucket": self.upsert(v)}}
        if "bucket(" in query:
            run = self.runs.get(v.get("name") or v.get("run"))
            return {"data": {"model": {"id": "p", "name": "proj",
                                       "entity": {"id": "e", "name": "team"},
                                       "bucket": run.bucket() if run else None}}}
        if "createRunFiles" in query:
            return {"data": {"createRunFiles": {
                "runID": "storage-" + v["run"], "uploadHeaders": [],
                "files": [{"name": name, "uploadUrl": self.url + "/upload/x"}
                          for name in v["files"]]}}}
        if "viewer" in query:
            return {"data": {"viewer": {"id": "u", "entity": "team", "username": "user",
                                        "email": "", "flags": "{}",
                                        "teams": {"edges": [{"node": {"name": "team"}}]}}}}
        if "serverInfo" in query:
            return {"data": {"serverInfo": {"features": [], "cliVersionInfo": {},
                                            "latestLocalVersionInfo": None}}}
        return {"data": {}}

    def upsert(self, v):
        run, new = self.runs.get(v.get("name")), False
        if not run:
            run, new = self.add_run(v["name"], v.get("project") or "uncategorized",
                                    v.get("entity") or "team", "running"), True
        run.config = v.get("config") or run.config
        run.display = v.get("displayName") or run.display
        run.group = v.get("groupName") or run.group
        return {"bucket": run.bucket(), "inserted": new}

    def stream(self, run, m, headers, value):
        if not run or unquote(m.group(1)) != run.entity or unquote(m.group(2)) != run.project:
            return 404, {"error": "no such run"}
        files = value.get("files") or {}
        history = files.get("wandb-history.jsonl")
        writer = headers.get("X-WANDB-ASYNC-CLIENT-ID")
        for i, line in enumerate(history["content"] if history else []):
            json.loads(line)
            if writer:
                run.shared.append((writer, history["offset"] + i, json.loads(line)))
            else:
                run.history[history["offset"] + i] = line
        if "wandb-summary.json" in files:
            run.summary = json.loads(files["wandb-summary.json"]["content"][-1])
        if value.get("complete"):
            run.complete, run.exitcode, run.state = run.complete + 1, value["exitcode"], "finished"
        return 200, {"stopped": False, "at": time.time()}
