#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/shell.c in a terminal: full-screen programs, sizes, ^C, and the terminal afterwards.

terminal.py PROGRAM. Offline: the sandbox is processes of this machine. Needs python3 only.
"""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

PATIENCE = 20  # seconds until something has to be on the screen

counts = {"passed": 0, "failed": 0, "skipped": 0}


class Failed(Exception):
    pass


class Terminal:
    """The program on the slave's side of a pseudo-terminal; we are the person in front of it."""

    def __init__(self, program, *argv, rows=24, columns=80):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.screen = b""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("CWSANDBOX", "WANDB"))}
        env["TERM"] = "xterm"
        slave = self.slave

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        # pylint: disable=subprocess-popen-preexec-fn
        self.child = subprocess.Popen([program] + list(argv), stdin=slave, stdout=slave,
                                      stderr=slave, env=env, preexec_fn=own_terminal)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys.encode())

    def read(self, seconds):
        """What appears within so many seconds, at most; False if nothing does."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self.screen += os.read(self.master, 65536)
        return True

    def see(self, pattern, seconds=PATIENCE):
        """Wait until this is on the screen, behind what was seen before."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern.encode(), self.screen, re.S)
            if found:
                self.screen = self.screen[found.end():]
                return found
            left = end - time.monotonic()
            if left <= 0:
                raise Failed("no %r in %r" % (pattern, self.screen[-500:]))
            self.read(left)

    def press(self, keys, pattern):
        """Type until this is seen."""
        for last in (False, False, False, True):
            self.type(keys)
            try:
                return self.see(pattern, 3)
            except Failed:
                if last:
                    raise

    def end(self, code):
        """The program ends with this code, and the terminal is as it was."""
        end = time.monotonic() + PATIENCE
        while self.child.poll() is None:
            if time.monotonic() > end:
                raise Failed("it did not end: %r" % self.screen[-500:])
            self.read(0.05)
        if self.child.returncode != code:
            raise Failed("ended with %d, not %d: %r" % (self.child.returncode, code,
                                                        self.screen[-500:]))
        if termios.tcgetattr(self.slave) != self.before:
            raise Failed("the terminal is not as it was")

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ECHO | termios.ICANON)

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        os.close(self.master)
        os.close(self.slave)


def start_shell(program, **size):
    t = Terminal(program, "/bin/sh", **size)
    try:
        t.see("[#$>] $")  # what is typed before that is thrown away
        if not t.is_raw():
            raise Failed("keys are not passed on as they are")
        t.type("PS1=; echo re''ady\r")
        t.see("ready\r\n")
    except Failed:
        t.close()
        raise
    return t


def test_sizes(program):
    t = start_shell(program, rows=31, columns=97)
    try:
        t.type("stty size\r")
        t.see("31 97\r\n")
        t.type("trap 'echo ch''anged' WINCH; echo tr''apped\r")
        t.see("trapped\r\n")
        t.resize(17, 61)
        time.sleep(0.5)
        t.type("\rstty size\r")
        t.see("changed.*17 61\r\n")
        t.type("exit\r")
        t.end(0)
    finally:
        t.close()


def test_interrupt(program):
    t = start_shell(program)
    try:
        t.type("sleep 100\r")
        time.sleep(0.5)
        start = time.monotonic()
        t.type("\x03")
        t.type("echo co''de $?\r")
        t.see("code 130\r\n")
        if time.monotonic() - start > 10:
            raise Failed("^C took %d s" % (time.monotonic() - start))
        t.type("exit 7\r")
        t.end(7)
    finally:
        t.close()


def test_exit_codes(program):
    for command, code in (("exit 42", 42), ("true", 0), ("kill -9 $$", 137)):
        t = Terminal(program, "/bin/sh", "-c", command)
        try:
            t.end(code)
        finally:
            t.close()


def test_editor(program):
    t = start_shell(program, rows=20, columns=70)
    try:
        t.type("cd; printf 'first line\\nsecond line\\n' >text; clear; echo cl''eared\r")
        t.see("cleared\r\n")
        t.type("vi text\r")
        t.see("first line.*second line.*\x1b\\[")
        time.sleep(0.3)
        t.screen = b""
        t.resize(10, 40)  # it draws again, in the new size
        t.see("first line.*second line")
        t.type("ccchanged\x1b:wq\r")
        time.sleep(0.3)
        t.type("echo le''ft; head -n 1 text\r")
        t.see("left\r\nchanged\r\n")
        t.type("exit 3\r")
        t.end(3)
    finally:
        t.close()


def test_pager(program):
    t = start_shell(program, rows=10, columns=60)
    try:
        t.type("seq 1 1000 | less\r")
        t.see("\r\n8\r\n9\r\n.*:")
        time.sleep(0.3)
        t.resize(6, 60)
        time.sleep(0.3)  # less may miss a key, or the change itself until one, when both meet
        t.press("gG", "5\r\n:.*\r\n999\r\n1000\r\n")
        t.type("q")
        time.sleep(0.2)
        t.type("echo le''ft\r")
        t.see("left\r\n")
        t.type("exit\r")
        t.end(0)
    finally:
        t.close()


def test_output(program):
    t = start_shell(program)
    try:
        t.type("stty -echo; seq 1 100000 | tail -c 588000; echo e''nd\r")
        t.see("\r\n99998\r\n99999\r\n100000\r\nend\r\n")
        t.type("exit\r")
        t.end(0)
    finally:
        t.close()


def test_signals(program):
    seconds = 100000 + os.getpid()  # nobody else sleeps as long
    for number in (signal.SIGTERM, signal.SIGHUP):
        t = start_shell(program)
        try:
            t.type("echo bu''sy; sleep %d\r" % seconds)
            t.see("busy\r\n")
            t.child.send_signal(number)
            t.end(130)
        finally:
            t.close()
    time.sleep(0.3)
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if f.read() == b"sleep\x00%d\x00" % seconds:
                    raise Failed("what ran in the shell is left behind")
        except OSError:
            pass


TESTS = (
    ("the size of the window reaches the shell, and its changes", test_sizes, None),
    ("^C interrupts what runs there; the exit code passes", test_interrupt, None),
    ("exit codes pass, also of what was killed", test_exit_codes, None),
    ("vi draws, draws again in a new size, and edits", test_editor, "vi"),
    ("less draws, and pages", test_pager, "less"),
    ("much output comes to its end", test_output, None),
    ("SIGTERM and SIGHUP put the terminal back and end what ran", test_signals, None),
)


def main():
    program = os.path.abspath(sys.argv[1])
    for promise, test, needed in TESTS:
        if needed and not shutil.which(needed):
            counts["skipped"] += 1
            print("SKIPPED terminal: %s: there is no %s here" % (promise, needed))
            continue
        try:
            test(program)
            counts["passed"] += 1
        except (Failed, OSError) as e:
            counts["failed"] += 1
            print("FAILED: terminal: %s\n    %s" % (promise, e))
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
