#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The libcurl transport against a hostile server, at the level of HTTP/2 frames.

    http2_wire.py CLIENT [part of a name]      CLIENT: the program of tests/http2_client.c

The server is honest until the call under test arrives; then it floods, stalls, or ends the stream
or the connection in some state. Whatever it does, the call must end at its time limit at the
latest, with an outcome that is true, and the same client must be able to make the next call.
Frames are made with hyperframe, header blocks with hpack (https://github.com/python-hyper).
"""

import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from hpack import Decoder, Encoder
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame,
                              PingFrame, PriorityFrame, PushPromiseFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LIMIT = 0.4  # time limit of the call under test, seconds
FLOOD = 1.2  # a flood lasts that long after its call began, then the server is silent
SLACK = 1.0  # what a busy machine may add
REFUSED, CANCEL, NO_ERROR, INTERNAL, CALM = 7, 8, 0, 2, 11

counts = {"passed": 0, "failed": 0, "skipped": 0}


def field(number, value):
    """A field of a protobuf message: a number, or bytes."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


SANDBOX = field(1, b"sb-1") + field(3, field(1, 2))  # GetSandbox: sb-1 is running
METHODS = {"get": "GetSandbox", "exec": "StreamExec", "input": "StreamExec", "shell": "StreamExec",
           "upload": "WriteFile", "logs": "StreamLogs"}


class Peer(threading.Thread):
    """One connection."""

    def __init__(self, server, sock):
        super().__init__(daemon=True)
        self.server, self.sock = server, sock
        self.decoder, self.encoder = Decoder(), Encoder()
        self.lock = threading.Lock()
        self.streams = {}  # requests that are not answered yet, by number: the method
        self.types = {}  # content types, the same way

    def send(self, *frames):
        data = b"".join(f if isinstance(f, bytes) else f.serialize() for f in frames)
        try:
            with self.lock:
                self.sock.sendall(data)
        except OSError:
            return False
        return True

    def head(self, stream, fields=None, status="200", flags=("END_HEADERS",)):
        """A response's head; without fields one that is as it should be."""
        if fields is None:
            fields = [("content-type", self.types.get(stream, ""))]
        block = self.encoder.encode([(":status", status)] + fields)
        return HeadersFrame(stream, block, flags=list(flags))

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def run(self):
        try:
            self.exactly(len(PREFACE))
            self.send(SettingsFrame(0, settings={3: 100}))
            while True:
                frame, size = Frame.parse_frame_header(memoryview(self.exactly(9)))
                frame.parse_body(memoryview(self.exactly(size)))
                self.received(frame)
        except (EOFError, OSError):
            pass
        finally:
            self.sock.close()

    def received(self, frame):
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            self.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, HeadersFrame):
            fields = dict(self.decoder.decode(frame.data))
            path = fields[":path"].rsplit("/", 1)[-1]
            self.streams[frame.stream_id] = path
            self.types[frame.stream_id] = fields["content-type"]
            if not self.server.act(path, self, frame.stream_id) and path != "GetSandbox":
                self.refuse(frame.stream_id)
        elif isinstance(frame, DataFrame) and frame.data:
            self.server.arrived(self, frame.stream_id, len(frame.data))
        if "END_STREAM" in frame.flags and self.streams.pop(frame.stream_id, "") == "GetSandbox":
            self.answer(frame.stream_id)

    def answer(self, stream):
        """GetSandbox is answered well."""
        if "grpc" in self.types[stream]:
            self.send(self.head(stream),
                      DataFrame(stream, struct.pack(">BI", 0, len(SANDBOX)) + SANDBOX),
                      HeadersFrame(stream, self.encoder.encode([("grpc-status", "0")]),
                                   flags=["END_HEADERS", "END_STREAM"]))
        else:
            self.send(self.head(stream), DataFrame(stream, SANDBOX, flags=["END_STREAM"]))

    def refuse(self, stream):
        """A call that is not under test ends at once, and so that nobody repeats it."""
        fields = [("content-type", self.types[stream]), ("grpc-status", "10")]
        end = b'{"error":{"code":"aborted"}}'
        self.send(self.head(stream, fields),
                  DataFrame(stream, struct.pack(">BI", 2, len(end)) + end, flags=["END_STREAM"]))


class Server:
    """The fault happens once, in the call under test: as soon as its head is there, or for those
    that send much when 100 kB of it have arrived. A command with input is told to begin first."""

    def __init__(self, call, fault):
        self.path, self.fault = METHODS[call], fault
        self.nth = 2 if call == "get" else 1  # the first GetSandbox looks the sandbox up
        self.after = 100000 if call in ("upload", "input") else 0
        self.ready = call == "input"
        self.seen, self.done, self.since, self.bytes = 0, False, 0.0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Peer(self, sock).start()

    def act(self, path, peer, stream):
        """A request has come. True: it is the one under test."""
        if path != self.path:
            return False
        self.seen += 1
        if self.seen != self.nth:
            return False
        peer.streams.pop(stream, None)
        if self.ready:
            peer.send(peer.head(stream), DataFrame(stream, b"\0\0\0\0\x02\x0a\0"))
        if not self.after:
            self.strike(peer, stream)
        return True

    def arrived(self, peer, stream, size):
        """More of a request's body is there."""
        self.bytes += size
        if self.after and self.bytes >= self.after and self.seen == self.nth and not self.done:
            self.strike(peer, stream)
        elif not self.done:
            peer.send(WindowUpdateFrame(0, size), WindowUpdateFrame(stream, size))

    def strike(self, peer, stream):
        self.done = True
        self.since = time.monotonic()
        self.fault(peer, stream)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


# --- What a server can do -------------------------------------------------------------------------

def flood(make, *first, pause=0.0):
    """For FLOOD seconds what make(peer, stream) gives: as much as the socket takes, or one every
    pause seconds."""
    def fault(peer, stream):
        for frames in first:
            peer.send(*frames(peer, stream))
        block = b"".join(f if isinstance(f, bytes) else f.serialize()
                         for f in make(peer, stream))
        block *= 1 if pause else max(1, 65536 // len(block))
        while time.monotonic() - peer.server.since < FLOOD and peer.send(block):
            if pause:
                time.sleep(pause)
    return fault


def say(*makes, then=None):
    """Send these frames, then do something: close, or nothing."""
    def fault(peer, stream):
        for make in makes:
            peer.send(*make(peer, stream))
        if then == "close":
            peer.sock.shutdown(socket.SHUT_RDWR)
        elif then == "reset":
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sock.close()
    return fault


def head(peer, stream):
    return [peer.head(stream)]




FLOODS = {
    "empty DATA": lambda p, s: [DataFrame(s, b"")],
    "empty DATA of another stream": lambda p, s: [DataFrame(s + 2, b"")],
    "DATA that is all padding": lambda p, s: [DataFrame(s, b"", pad_length=255, flags=["PADDED"])],
    "PING": lambda p, s: [PingFrame(0, b"12345678")],
    "answers to no PING": lambda p, s: [PingFrame(0, b"12345678", flags=["ACK"])],
    "SETTINGS": lambda p, s: [SettingsFrame(0, settings={3: 100})],
    "WINDOW_UPDATE": lambda p, s: [WindowUpdateFrame(0, 1)],
    "WINDOW_UPDATE of the stream": lambda p, s: [WindowUpdateFrame(s, 1)],
    "PRIORITY": lambda p, s: [PriorityFrame(s, depends_on=0, stream_weight=1)],
    "frames of an unknown type": lambda p, s: [b"\0\0\0\x3e\0\0\0\0\0"],
    "1xx": lambda p, s: [p.head(s, [], "103")],
    "1xx with fields": lambda p, s: [p.head(s, [("link", "x" * 2000)], "103")],
    "RST_STREAM of other streams": lambda p, s: [RstStreamFrame(s + 2, CANCEL)],
    "GOAWAY": lambda p, s: [GoAwayFrame(0, s, 0)],
    "empty messages": lambda p, s: [DataFrame(s, b"\0\0\0\0\0")],
}



def open_header(peer, stream):
    return [peer.head(stream, flags=())]


# Behind a header block that is not closed.
BLOCKS = {
    "empty CONTINUATION": lambda p, s: [ContinuationFrame(s, b"")],
    "header bytes": lambda p, s: [ContinuationFrame(s, b"\x00\x01x\x7f\x81\x1e" + b"y" * 4096)],
}


def cut(frame, size):
    """The first bytes of a frame, and nothing more."""
    return lambda p, s: [frame(p, s)[0].serialize()[:size]]


STALLS = {
    "at the request": [],
    "in the header of a frame": [lambda p, s: [b"\0\0"]],
    "in a HEADERS frame": [cut(head, 12)],
    "in a header block": [open_header],
    "after 103": [lambda p, s: [p.head(s, [], "103")]],
    "after the head": [head],
    "in a DATA frame": [head, cut(lambda p, s: [DataFrame(s, b"\0\0\0\0\x09" + b"x" * 9)], 12)],
    "in a message": [head, lambda p, s: [DataFrame(s, b"\0\0\0\0\x09xx")]],
}

ENDS = {  # name: what is sent, what follows
    "the connection is closed at the request": ([], "close"),
    "the connection is reset at the request": ([], "reset"),
    "the connection is closed behind the head": ([head], "close"),
    "the connection is closed in a frame": ([cut(head, 12)], "close"),
    "GOAWAY with ours, then close": ([lambda p, s: [GoAwayFrame(0, s, INTERNAL)]], "close"),
    "head, GOAWAY with ours, then close":
        ([head, lambda p, s: [GoAwayFrame(0, s, NO_ERROR)]], "close"),
    "RST_STREAM CANCEL": ([lambda p, s: [RstStreamFrame(s, CANCEL)]], None),
    "RST_STREAM NO_ERROR": ([lambda p, s: [RstStreamFrame(s, NO_ERROR)]], None),
    "head, RST_STREAM INTERNAL_ERROR": ([head, lambda p, s: [RstStreamFrame(s, INTERNAL)]], None),
    "head, RST_STREAM ENHANCE_YOUR_CALM": ([head, lambda p, s: [RstStreamFrame(s, CALM)]], None),
    "garbage": ([lambda p, s: [b"\xff" * 200]], None),
    "HTTP/1.1": ([lambda p, s: [b"HTTP/1.1 400 Bad Request\r\n\r\n"]], "close"),
    "PUSH_PROMISE": ([lambda p, s: [PushPromiseFrame(s, 2, p.encoder.encode(
        [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "x")]),
        flags=["END_HEADERS"])]], None),
}

NOT_PROCESSED = {
    "RST_STREAM REFUSED_STREAM": ([lambda p, s: [RstStreamFrame(s, REFUSED)]], None),
    "GOAWAY below ours, then close": ([lambda p, s: [GoAwayFrame(0, 0, NO_ERROR)]], "close"),
    "GOAWAY below ours, the connection stays": ([lambda p, s: [GoAwayFrame(0, 0, NO_ERROR)]],
                                                None),
}


TOO_LARGE = {
    "one field of 70 kB": 70000,
    "one field of 200 kB": 200000,
}


# --- The tests ------------------------------------------------------------------------------------


class Out:
    """One run of the client, and what it printed."""

    def __init__(self, server, call, protocol="connect", retry=0, seconds=LIMIT, http="2", **more):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith("CWSANDBOX_") and not k.lower().endswith("_proxy")}
        env.update(more, CWSANDBOX_PROTOCOL=protocol)
        url = server if isinstance(server, str) else server.url
        run = subprocess.run([sys.argv[1], url, call, str(seconds), str(retry), http], env=env,
                             timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             check=False, universal_newlines=True, errors="replace")
        self.text, self.code = run.stdout, run.returncode
        self.lines = {line.split(" ", 1)[0]: line for line in run.stdout.split("\n")}
        self.log = [line for line in run.stdout.split("\n") if line.startswith("LOG ")]
        self.version = [int(n) for n in re.findall(r"\d+", self.lines.get("libcurl", "0.0"))]

    def of(self, name):
        """Status, seconds and message of one of the client's calls."""
        words = (self.lines.get(name, "") + "   ").split(" ", 3)
        return words[1], int(words[2] or 0) / 1000, words[3].strip()


class Test:
    """The checks of one test; all it has to say is said at once."""

    def __init__(self, name):
        self.name, self.problems, self.out = name, [], None

    def check(self, what, good):
        if not good:
            self.problems.append(what)

    def ended(self, out, statuses, limit=LIMIT + SLACK):
        """The call failed so and in time, and the client is as good as new."""
        status, seconds, _ = out.of("call")
        self.out = out
        self.check("ended with one of %s" % " ".join(statuses), status in statuses)
        self.check("ended within %.1f s" % limit, seconds <= limit)
        self.check("the next call works", out.of("again")[0] == "CWS_OK")
        self.check("ended well, and left nothing", out.code == 0 and "LEFT" not in out.lines)

    def over(self):
        counts["failed" if self.problems else "passed"] += 1
        if self.problems:
            print("FAILED: %s" % self.name)
            print("\n".join("    not so: " + line for line in self.problems))
            print("\n".join("    | " + line for line in self.out.text.split("\n")[-12:] if line))
        elif os.environ.get("VERBOSE"):
            print("ok %s" % self.name)


TIMEOUTS = ("CWS_ERR_TIMEOUT", "CWS_ERR_REQUEST_TIMEOUT")
BROKEN = ("CWS_ERR_TRANSPORT", "CWS_ERR_PROTOCOL")


def try_flood(name, call, fault, protocol):
    """It ends at its limit, or earlier because this is no HTTP/2; in some versions of libcurl no
    turn ends while a flood lasts: then the log says so."""
    test = Test("%s, %s: flood of %s" % (call, protocol, name))
    with Server(call, fault) as server:
        out = Out(server, call, protocol)
    held = [7, 88] <= out.version[:2] <= [8, 6]
    test.ended(out, TIMEOUTS + BROKEN + ("CWS_ERR_LIMIT",), (FLOOD if held else LIMIT) + SLACK)
    if out.of("call")[1] > LIMIT + SLACK:
        test.check("the log tells of a turn that took long",
                   any("in one turn" in line for line in out.log))
    test.over()


def try_stall(name, call, frames, protocol):
    test = Test("%s, %s: stall %s" % (call, protocol, name))
    with Server(call, say(*frames)) as server:
        out = Out(server, call, protocol)
    if call == "input" and frames:  # a second head is no HTTP/2
        test.ended(out, TIMEOUTS + BROKEN)
    else:
        test.ended(out, TIMEOUTS)
        test.check("not before its limit", out.of("call")[1] > LIMIT - 0.01)
    test.over()


def try_end(name, call, frames, then, protocol):
    """Whatever was reset by the server says so, by its code; nothing is called refused."""
    test = Test("%s, %s: %s" % (call, protocol, name))
    with Server(call, say(*frames, then=then)) as server:
        out = Out(server, call, protocol)
    test.ended(out, BROKEN + {"RST_STREAM CANCEL": ("CWS_ERR_NOT_RUNNING", "CWS_ERR_CANCELLED"),
                              "head, RST_STREAM ENHANCE_YOUR_CALM":
                                  ("CWS_ERR_RESOURCE_EXHAUSTED",)}.get(name, ()) +
               (TIMEOUTS if call == "logs" else ()))  # which are followed until their limit
    test.check("nothing is called out of memory", "memory" not in out.text)
    test.over()


def try_not_processed(name, call, frames, then, protocol):
    """What the server surely did not process is called so, and is sent once more: by us, or by
    libcurl if it had not sent anything of the body."""
    test = Test("%s, %s: %s" % (call, protocol, name))
    with Server(call, say(*frames, then=then)) as server:
        out = Out(server, call, protocol)
        again = server.seen > server.nth + (call == "get")
    if not again and call != "logs":  # which are followed until their limit
        test.ended(out, ("CWS_ERR_TRANSPORT",))
        test.check("called refused", "refused the request" in out.of("call")[2])
    with Server(call, say(*frames, then=then)) as server:
        out = Out(server, call, protocol, retry=5, seconds=3)
        test.check("was repeated", server.seen > server.nth)
    test.out = out
    test.check("the second attempt has its own outcome",
               "refused the request" not in out.of("call")[2])
    test.over()


def try_large_head(name, call, size, protocol):
    test = Test("%s, %s: a head with %s" % (call, protocol, name))

    def fault(peer, stream):
        block = peer.encoder.encode([(":status", "200"), ("content-type", peer.types[stream]),
                                     ("x", "y" * size)], huffman=False)
        parts = [block[i:i + 16000] for i in range(0, len(block), 16000)]
        peer.send(HeadersFrame(stream, parts[0]),
                  *[ContinuationFrame(stream, part) for part in parts[1:-1]],
                  ContinuationFrame(stream, parts[-1], flags=["END_HEADERS"]))

    with Server(call, fault) as server:
        out = Out(server, call, protocol)
    test.ended(out, TIMEOUTS + BROKEN)
    test.check("nothing is called out of memory", "memory" not in out.text)
    test.over()


def serve(answer):
    """A listener that answers each connection so, whatever it says, and closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
                sock.recv(65536)
                sock.sendall(answer)
                sock.close()
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    return "127.0.0.1:%d" % listener.getsockname()[1]


def try_connecting(name, url, words, repeated, **env):
    """The first call has no chance: the error and the log say why, and how often it was tried."""
    test = Test("first, connect: %s" % name)
    since = time.monotonic()
    out = test.out = Out(url, "get", retry=1 if repeated else 30, seconds=60, http="1.1", **env)
    took = time.monotonic() - since
    status, _, message = out.of("find")
    test.check("CWS_ERR_TRANSPORT", status == "CWS_ERR_TRANSPORT")
    test.check("the error says %r" % words, words in message)
    if repeated:
        test.check("the error counts the attempts",
                   re.search(r" \([2-9]\d* attempts in [01]\.\d s\)$", message) is not None)
        test.check("one warning, at the first", len(out.log) == 1 and words in out.log[0] and
                   "next attempt in" in out.log[0])
    else:
        test.check("it is not repeated", took < 15 and "attempts" not in message and not out.log)
    test.over()


def try_large_head_1_1(name):
    test = Test("first, connect: %s" % name)
    address = serve(b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nx: " + b"y" * 200000 +
                    b"\r\nContent-Length: 0\r\n\r\n")
    out = test.out = Out("http://" + address, "get", http="1.1")
    status, _, message = out.of("find")
    test.check("CWS_ERR_PROTOCOL", status == "CWS_ERR_PROTOCOL")
    test.check("called too large", "the head of the response is too large" in message)
    test.over()


def connecting_tests():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = "http://127.0.0.1:%d" % unused.getsockname()[1]
    http = serve(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    far = "https://sandbox.invalid"
    yield "an unknown host", ("https://no-such-host.invalid", "the host of", False), {}
    yield "a closed port", (closed, "no connection to " + closed, True), {}
    yield "TLS with who does not speak it", ("https://" + http, "TLS with", False), {}
    yield "a refused CONNECT", (far, "no connection to", True), {"HTTPS_PROXY": "http://" + http}
    yield "an unknown proxy", (far, "the host of", False), {"HTTPS_PROXY": "http://x.invalid:1"}


def all_tests():
    """(alone, function, arguments): floods want the machine for themselves."""
    for protocol in ("connect", "grpc"):
        for call in METHODS:
            some = call in ("get", "exec")
            every = call == "exec" and protocol == "connect"
            for name, make in FLOODS.items():
                if every or name in ("empty DATA", "WINDOW_UPDATE"):
                    yield True, try_flood, (name, call, flood(make), protocol)
                if every or (some and name == "empty DATA"):
                    yield True, try_flood, (name + " behind the head", call, flood(make, head),
                                            protocol)
                if every:
                    yield False, try_flood, (name + ", slowly", call,
                                             flood(make, head, pause=0.01), protocol)
            for name, make in BLOCKS.items() if some else ():
                yield True, try_flood, (name, call, flood(make, open_header), protocol)
            for name, frames in STALLS.items():
                yield False, try_stall, (name, call, frames, protocol)
            for name, (frames, then) in ENDS.items():
                yield False, try_end, (name, call, frames, then, protocol)
            for name, (frames, then) in NOT_PROCESSED.items() if call != "input" else ():
                yield False, try_not_processed, (name, call, frames, then, protocol)
            for name, size in TOO_LARGE.items():
                yield False, try_large_head, (name, call, size, protocol)


def main():
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    for name, arguments, env in connecting_tests():
        if part in name:
            try_connecting(name, *arguments, **env)
    if part in "a large head of HTTP/1.1":
        try_large_head_1_1("a large head of HTTP/1.1")
    tests = [t for t in all_tests() if part in "%s, %s: %s" % (t[2][1], t[2][-1], t[2][0])]
    with ThreadPoolExecutor(6) as pool:
        for job in [pool.submit(f, *arguments) for alone, f, arguments in tests if not alone]:
            job.result()
    for alone, f, arguments in tests:
        if alone:
            f(*arguments)
    print("%d passed, %d failed, %d skipped" % (counts["passed"], counts["failed"],
                                                counts["skipped"]))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
