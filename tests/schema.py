#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The oracle of the schema and of the codecs: the service's .proto files and Google's own protobuf.

    schema.py [path of the schema_tool program]

Without an argument schema_tool.c is compiled with $CC (default: cc). It needs protoc and the Python
package google.protobuf; without them it says SKIPPED and succeeds.

 1. Every table of the library is compared with the descriptors, in both directions.
 2. Random valid messages go through three directions: binary to C and back, C's JSON to Python,
    Python's JSON to C. SEED and COUNT in the environment choose others.
"""

import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ("coreweave.sandbox.v1", "coreweave.sandbox.v1beta2")
RPC_MESSAGES = ("google.rpc.Status", "google.rpc.ErrorInfo", "google.rpc.RetryInfo",
                "google.rpc.BadRequest")
# Differences between tables and descriptors that are wanted, as the text of the failure.
ALLOWED = ()

RESULT = {"passed": 0, "failed": 0}
SKIPS_WITHOUT_ORACLE = 4  # tables, and the three directions


def skip(what):
    print("SKIPPED schema: " + what)
    print("0 passed, 0 failed, %d skipped" % SKIPS_WITHOUT_ORACLE)
    sys.exit(0)


def verdict(name, problems):
    problems = [p for p in problems if p not in ALLOWED]
    if not problems:
        RESULT["passed"] += 1
        return
    RESULT["failed"] += 1
    print("FAILED: " + name)
    for problem in problems[:10]:
        print("    " + problem)
    if len(problems) > 10:
        print("    and %d more" % (len(problems) - 10))


if not shutil.which("protoc"):
    skip("protoc is missing")
try:
    from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
    from google.protobuf.descriptor import FieldDescriptor as FD
except ImportError:
    skip("the Python package google.protobuf is missing")


# ---- the two sides -------------------------------------------------------------------------------

def load_descriptors(work):
    root = os.path.join(HERE, "proto")
    files = sorted(os.path.relpath(os.path.join(d, f), root)
                   for d, _, names in os.walk(root) for f in names if f.endswith(".proto"))
    out = os.path.join(work, "schema.pb")
    subprocess.run(["protoc", "-I", root, "--include_imports", "-o", out] + files, check=True)
    with open(out, "rb") as f:
        return descriptor_pb2.FileDescriptorSet.FromString(f.read())


def build_tool(work):
    tool = os.path.join(work, "schema_tool")
    subprocess.run(shlex.split(os.environ.get("CC", "cc")) +
                   ["-std=c99", "-O1", "-w", "-DCWS_NO_CURL", "-I", os.path.dirname(HERE),
                    "-o", tool, os.path.join(HERE, "schema_tool.c")], check=True)
    return tool


def table_name(full_name):
    """Nested types are joined by an underscore in the tables: pkg.Outer_Inner."""
    for package in PACKAGES + ("google.protobuf", "google.rpc"):
        if full_name.startswith(package + "."):
            return package + "." + full_name[len(package) + 1:].replace(".", "_")
    return full_name


def read_tables(tool):
    messages, enums, rpcs = {}, {}, {}
    text = subprocess.run([tool, "dump"], check=True, stdout=subprocess.PIPE).stdout.decode()
    for line in text.splitlines():
        word = line.split(" ")
        if word[0] == "message":
            fields = messages.setdefault(word[1], {})
        elif word[0] == "field":
            fields[int(word[1])] = word[2:]  # name label kind sub presence
        elif word[0] == "enum":
            values = enums.setdefault(word[1], [])
        elif word[0] == "value":
            values.append((word[1], int(word[2])))
        elif word[0] == "rpc":
            rpcs[word[1]] = word[2:]
    return messages, enums, rpcs


class Descriptors:
    """All messages, enums and calls of the files, and which of them the tables must have."""

    def __init__(self, files):
        self.pool = descriptor_pool.DescriptorPool()
        for f in files.file:
            self.pool.Add(f)
        self.messages, self.enums, self.rpcs = {}, {}, {}
        for f in files.file:
            d = self.pool.FindFileByName(f.name)
            for m in d.message_types_by_name.values():
                self.add_message(m)
            for e in d.enum_types_by_name.values():
                self.enums[e.full_name] = e
            for s in d.services_by_name.values():
                for proto, method in zip(f.service[s.index].method, s.methods):
                    self.rpcs["/%s/%s" % (s.full_name, method.name)] = (s.full_name, method, proto)
        self.needed = set()
        for name, m in self.messages.items():
            if m.file.package in PACKAGES or name in RPC_MESSAGES:
                self.need(m)
        for service, method, _ in self.rpcs.values():
            if service.rpartition(".")[0] in PACKAGES:
                self.need(method.input_type)
                self.need(method.output_type)

    def add_message(self, m):
        if m.GetOptions().map_entry:
            return
        self.messages[m.full_name] = m
        for n in m.nested_types:
            self.add_message(n)
        for e in m.enum_types:
            self.enums[e.full_name] = e

    def need(self, m):
        if m.full_name in self.needed:
            return
        if not m.GetOptions().map_entry:
            self.needed.add(m.full_name)
        for f in m.fields:
            if f.message_type:
                self.need(f.message_type)

    def needed_enums(self):
        found = {n for n, e in self.enums.items() if e.file.package in PACKAGES}
        for name in self.needed:
            for f in self.messages[name].fields:
                if f.enum_type:
                    found.add(f.enum_type.full_name)
        return found


# ---- 1. tables -----------------------------------------------------------------------------------

KINDS = {FD.TYPE_STRING: "string", FD.TYPE_BYTES: "bytes", FD.TYPE_BOOL: "bool",
         FD.TYPE_INT32: "int32", FD.TYPE_INT64: "int64", FD.TYPE_UINT32: "uint32",
         FD.TYPE_UINT64: "uint64", FD.TYPE_DOUBLE: "double", FD.TYPE_ENUM: "enum",
         FD.TYPE_MESSAGE: "message"}  # any other kind is not supported, and so a difference


def is_map(f):
    return f.message_type is not None and f.message_type.GetOptions().map_entry


def in_real_oneof(f, proto):
    return f.containing_oneof is not None and not proto.proto3_optional


def enum_values(e):
    return [(v.name, v.number) for v in e.values]


def compare_type(where, f, kind, sub, enums, problems):
    """Kind and sub type of a field that is no map."""
    want = KINDS.get(f.type, "unsupported type %d" % f.type)
    if kind != want:
        problems.append("%s: kind %s, expected %s" % (where, kind, want))
    elif kind == "message" and sub != table_name(f.message_type.full_name):
        problems.append("%s: type %s, expected %s" % (where, sub, f.message_type.full_name))
    elif kind == "enum" and sorted(enums[sub]) != sorted(enum_values(f.enum_type)):
        problems.append("%s: not the values of %s" % (where, f.enum_type.full_name))


def compare_map(where, f, row, tables, enums, maps_used, problems):
    _, label, kind, sub, _ = row
    if label != "map" or kind != "message" or sub not in tables:
        problems.append("%s: %s %s, expected a map" % (where, label, kind))
        return
    maps_used.add(sub)
    entry = tables[sub]
    if [row[:2] for _, row in sorted(entry.items())] != [["key", "one"], ["value", "one"]]:
        problems.append("%s: %s is no map entry" % (where, sub))
        return
    for number in (1, 2):
        compare_type("%s entry %d" % (where, number), f.message_type.fields_by_number[number],
                     entry[number][2], entry[number][3], enums, problems)


def compare_message(m, tables, enums, maps_used):
    problems = []
    rows = tables.get(table_name(m.full_name))
    if rows is None:
        return ["missing"]
    proto = descriptor_pb2.DescriptorProto()
    m.CopyToProto(proto)
    by_number = {p.number: p for p in proto.field}
    for number in sorted(set(rows) - set(by_number)):
        problems.append("field %d %s is superfluous" % (number, rows[number][0]))
    oneofs = set()
    for f in m.fields:
        where = "field %d %s" % (f.number, f.name)
        row = rows.get(f.number)
        if row is None:
            problems.append(where + " is missing")
            continue
        name, label, kind, sub, presence = row
        if name != f.name:
            problems.append("%s: named %s" % (where, name))
        if is_map(f):
            compare_map(where, f, row, tables, enums, maps_used, problems)
            continue
        compare_type(where, f, kind, sub, enums, problems)
        oneof = in_real_oneof(f, by_number[f.number])
        if oneof:
            oneofs.add(f.containing_oneof.name)
        want = ("rep" if f.label == FD.LABEL_REPEATED else "oneof" if oneof else
                "opt" if by_number[f.number].proto3_optional and kind != "message" else "one")
        if label != want:
            problems.append("%s: label %s, expected %s" % (where, label, want))
        has = f.label != FD.LABEL_REPEATED and (f.type == FD.TYPE_MESSAGE or
                                                f.containing_oneof is not None)
        if (presence == "presence") != has:
            problems.append("%s: presence is %s" % (where, presence))
    if len(oneofs) > 1:
        problems.append("has %d oneofs, the library supports one" % len(oneofs))
    return problems


def compare_enums(descriptors, enums):
    """As often as a list of values is needed, it must be there."""
    left = [sorted(v) for v in enums.values()]
    for name in sorted(descriptors.needed_enums()):
        want = sorted(enum_values(descriptors.enums[name]))
        problems = []
        if want in left:
            left.remove(want)
        else:
            problems.append("missing, or other values: %s" % want)
        verdict("enum " + name, problems)
    verdict("no superfluous enum", ["superfluous: %s" % v for v in left])


def compare_rpcs(descriptors, rpcs):
    wanted = {path: r for path, r in descriptors.rpcs.items()
              if r[0].rpartition(".")[0] in PACKAGES}
    for path, (_, method, proto) in sorted(wanted.items()):
        kind = {(False, False): "unary", (False, True): "server", (True, True): "bidi",
                (True, False): "client"}[(proto.client_streaming, proto.server_streaming)]
        want = [table_name(method.input_type.full_name),
                table_name(method.output_type.full_name), kind]
        problems = []
        if path not in rpcs:
            problems.append("missing")
        elif rpcs[path] != want:
            problems.append("is %s, expected %s" % (rpcs[path], want))
        verdict("call " + path, problems)
    verdict("no superfluous call", ["superfluous: " + p for p in sorted(set(rpcs) - set(wanted))])


def compare_tables(descriptors, tables, enums, rpcs):
    maps_used = set()
    for name in sorted(descriptors.needed):
        verdict("message " + name,
                compare_message(descriptors.messages[name], tables, enums, maps_used))
    wanted = {table_name(n) for n in descriptors.needed}
    problems = ["superfluous: " + n for n in sorted(tables)
                if n not in wanted and not n.startswith("map.")]
    problems += ["unused map entry: " + n for n in sorted(tables)
                 if n.startswith("map.") and n not in maps_used]
    verdict("no superfluous message", problems)
    compare_enums(descriptors, enums)
    compare_rpcs(descriptors, rpcs)


# ---- 2. random messages --------------------------------------------------------------------------

TEXTS = ("", "a", "box-1", "\u00e4\u00f6\u00fc", "\u20ac", "\U0001f600\U0010ffff", "a\0b", "\0",
         "\"\\/\b\f\n\r\t", "\u007f\u0080\u07ff\u0800\uffff", "\u2028\u2029", "<>&'", "0", "null",
         "\ud7ff\ue000", "\x01\x1f")


class Generator:
    def __init__(self, rng, factory, any_free):
        self.rng, self.factory, self.any_free = rng, factory, any_free
        self.budget = 0

    def text(self):
        r = self.rng.random()
        if r < 0.004:
            return "".join(self.rng.choice(("x", "\u20ac", "\U0001f600", "\n"))
                           for _ in range(65536 // 2))
        if r < 0.5:
            return self.rng.choice(TEXTS)
        return "".join(chr(self.code()) for _ in range(self.rng.randrange(12)))

    def code(self):
        while True:
            code = self.rng.randrange(self.rng.choice((128, 0x800, 0x10000, 0x110000)))
            if not 0xd800 <= code < 0xe000:
                return code

    def bytes(self):
        size = 65536 if self.rng.random() < 0.004 else self.rng.randrange(20)
        return bytes(self.rng.getrandbits(8) for _ in range(size))

    def integer(self, low, high):
        return self.rng.choice((0, 1, low, high, high - 1, 127, 128, 16383, 16384, 0x7fffffff,
                                self.rng.randint(low, high), -1 if low else 7))

    def double(self):
        """At most 15 significant digits."""
        digits = self.rng.randrange(10 ** self.rng.randrange(1, 16))
        exponent = self.rng.randrange(-20, 8)
        if self.rng.random() < 0.3:
            exponent = 0
        return float("%s%de%d" % (self.rng.choice(("", "-")) if digits else "", digits, exponent))

    def scalar(self, f):
        if f.type == FD.TYPE_STRING:
            return self.text()
        if f.type == FD.TYPE_BYTES:
            return self.bytes()
        if f.type == FD.TYPE_BOOL:
            return self.rng.random() < 0.5
        if f.type == FD.TYPE_DOUBLE:
            return self.double()
        if f.type == FD.TYPE_ENUM:
            if f.enum_type.full_name != "google.protobuf.NullValue" and self.rng.random() < 0.15:
                return self.rng.choice((-1, 1000, 2 ** 31 - 1, -2 ** 31, 77))
            return self.rng.choice(f.enum_type.values).number
        low, high = {FD.TYPE_INT32: (-2 ** 31, 2 ** 31 - 1), FD.TYPE_INT64: (-2 ** 63, 2 ** 63 - 1),
                     FD.TYPE_UINT32: (0, 2 ** 32 - 1), FD.TYPE_UINT64: (0, 2 ** 64 - 1)}[f.type]
        return self.integer(low, high)

    def well_known(self, msg, name, depth):
        """Messages with their own JSON form hold only what that form can say."""
        if name == "Timestamp":
            msg.seconds = self.rng.choice((0, -1, -62135596800, 253402300799, 951782400,
                                           self.rng.randint(-62135596800, 253402300799)))
            msg.nanos = self.nanos()
        elif name == "Duration":
            sign = self.rng.choice((1, -1))
            msg.seconds = sign * self.rng.choice((0, 1, 315575999999, self.rng.randint(0, 10 ** 6)))
            msg.nanos = sign * self.nanos()
        elif name == "FieldMask":
            for _ in range(self.rng.randrange(4)):
                msg.paths.append(".".join(self.field_name() for _ in range(self.rng.randint(1, 3))))
        elif name == "Value":
            kinds = ["null_value", "number_value", "string_value", "bool_value"]
            if depth < 8 and self.budget > 0:
                kinds += ["struct_value", "list_value"]
            kind = self.rng.choice(kinds)
            f = msg.DESCRIPTOR.fields_by_name[kind]
            if f.message_type:
                getattr(msg, kind).SetInParent()
                self.fill(getattr(msg, kind), depth + 1)
            else:
                setattr(msg, kind, self.scalar(f))
        elif name == "Any":
            inner = self.factory(self.rng.choice(self.any_free))()
            self.fill(inner, depth + 1)
            msg.type_url = "type.googleapis.com/" + inner.DESCRIPTOR.full_name
            msg.value = inner.SerializeToString()
        else:
            return False
        return True

    def field_name(self):
        words = (self.rng.choice(("a", "bc", "name", "x")) for _ in range(self.rng.randint(1, 3)))
        return "_".join(words)

    def nanos(self):
        return self.rng.choice((0, 1, 999999999, 500000000, 6000000, 1000,
                                self.rng.randrange(10 ** 9)))

    def fill(self, msg, depth=0):
        d = msg.DESCRIPTOR
        self.budget -= 1
        if d.file.package == "google.protobuf" and self.well_known(msg, d.name, depth):
            return
        density = self.rng.choice((0.15, 0.5, 0.9)) if depth < 4 else 0.2
        chosen = {o.name: self.rng.choice(o.fields) for o in d.oneofs}
        for f in d.fields:
            if self.rng.random() > density:
                continue
            if f.containing_oneof and chosen[f.containing_oneof.name] != f:
                continue
            if f.message_type and (depth > 10 or self.budget < 0):
                continue
            if is_map(f):
                self.fill_map(getattr(msg, f.name), f, depth)
            elif f.label == FD.LABEL_REPEATED:
                for _ in range(self.rng.randrange(4)):
                    if f.message_type:
                        self.fill(getattr(msg, f.name).add(), depth + 1)
                    else:
                        getattr(msg, f.name).append(self.scalar(f))
            elif f.message_type:
                getattr(msg, f.name).SetInParent()
                self.fill(getattr(msg, f.name), depth + 1)
            else:
                setattr(msg, f.name, self.scalar(f))

    def fill_map(self, field, f, depth):
        value = f.message_type.fields_by_name["value"]
        for _ in range(self.rng.randrange(4)):
            key = self.text()
            if value.message_type:
                self.fill(field[key], depth + 1)
            else:
                field[key] = self.scalar(value)

    def message(self, cls):
        msg = cls()
        self.budget = 60
        self.fill(msg)
        return msg

    def unknown_fields(self):
        """Fields that no message has, of every wire type, at its end."""
        number = self.rng.choice((9000, 536870911, 19999 + 5000))
        out = b""
        for _ in range(self.rng.randrange(3)):
            kind = self.rng.choice((0, 1, 2, 3, 5))
            out += varint(number << 3 | kind)
            out += {0: varint(self.rng.getrandbits(64)), 1: b"12345678", 2: b"\x03abc", 5: b"1234",
                    3: b"\x08\x01\x12\x01x\x1b\x1c" + varint(number << 3 | 4)}[kind]
        return out


def varint(v):
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, name, form, data):
        """(binary, JSON) or a text that says what went wrong."""
        line = b"%s %s %s\n" % (table_name(name).encode(), form, data.hex().encode())
        self.process.stdin.write(line)
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().rstrip("\n").split(" ")
        if answer[0] != "ok":
            return " ".join(answer) or "the tool died"
        return bytes.fromhex(answer[1]), bytes.fromhex(answer[2]).decode()

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def holds_any(msg):
    if msg.DESCRIPTOR.full_name == "google.protobuf.Any":
        return True
    for f, value in msg.ListFields():
        if f.message_type is None:
            continue
        if is_map(f):
            holds = f.message_type.fields_by_name["value"].message_type
            if holds and any(map(holds_any, value.values())):
                return True
        elif f.label == FD.LABEL_REPEATED:
            if any(map(holds_any, value)):
                return True
        elif holds_any(value):
            return True
    return False


def settle(msg, classes):
    """Sort the maps inside every Any; other maps sort themselves when serialised."""
    if msg.DESCRIPTOR.full_name == "google.protobuf.Any":
        if msg.type_url:
            inner = classes(msg.type_url.rpartition("/")[2]).FromString(msg.value)
            msg.value = settle(inner, classes).SerializeToString(deterministic=True)
    elif msg.DESCRIPTOR.full_name == "google.rpc.Status":
        for detail in msg.details:
            settle(detail, classes)
    return msg


def random_messages(descriptors, tool_path, seed, count):
    rng = random.Random(seed)
    factory = message_factory.MessageFactory(descriptors.pool)
    get = getattr(factory, "GetPrototype", None) or message_factory.GetMessageClass
    names = sorted(descriptors.needed)
    # The library prints an Any of a nested type as bytes: its tables spell such names differently.
    any_free = [descriptors.messages[n] for n in names
                if not descriptors.messages[n].containing_type
                and n != "google.rpc.Status" and not n.startswith("google.protobuf.")]
    generator = Generator(rng, get, any_free)

    def classes(full_name):
        return get(descriptors.messages[full_name])

    def same(a, b):
        a, b = settle(a, classes), settle(b, classes)
        return a == b and (a.SerializeToString(deterministic=True) ==
                           b.SerializeToString(deterministic=True))

    tool = Tool(tool_path)
    problems = {"binary through C": [], "JSON from C": [], "JSON to C": []}
    done = dict.fromkeys(problems, 0)
    for i in range(count):
        name = names[i % len(names)]
        cls = get(descriptors.messages[name])
        msg = generator.message(cls)
        binary = msg.SerializeToString(deterministic=True)

        def note(direction, what):
            problems[direction].append("%s %s: %s" % (name, binary.hex()[:400],
                                                      " ".join(what.split("\n"))))

        answer = tool.ask(name, b"bin", binary + generator.unknown_fields())
        done["binary through C"] += 1
        done["JSON from C"] += 1
        if isinstance(answer, str):
            note("binary through C", answer)
            if tool.process.poll() is not None:
                break
            continue
        if not same(cls.FromString(answer[0]), msg):
            note("binary through C", "came back as " + answer[0].hex()[:400])
        try:
            back = json_format.Parse(answer[1], cls(), descriptor_pool=descriptors.pool)
            if not same(back, msg):
                note("JSON from C", answer[1][:400])
        except json_format.ParseError as e:
            note("JSON from C", "%s: %s" % (e, answer[1][:400]))

        if holds_any(msg):  # the library does not read an Any from JSON
            continue
        text = json_format.MessageToJson(msg, indent=rng.choice((None, 2)),
                                         ensure_ascii=rng.random() < 0.5,
                                         preserving_proto_field_name=rng.random() < 0.3,
                                         descriptor_pool=descriptors.pool)
        answer = tool.ask(name, b"json", text.encode())
        done["JSON to C"] += 1
        if isinstance(answer, str):
            note("JSON to C", "%s: %s" % (answer, text[:400]))
        elif not same(cls.FromString(answer[0]), msg):
            note("JSON to C", "%s came back as %s" % (text[:400], answer[0].hex()[:400]))
    end = tool.close()
    counts = ", ".join("%d %s" % (n, d) for d, n in done.items())
    print("random messages: seed %s, %s" % (seed, counts))
    for direction, found in problems.items():
        verdict("random messages: " + direction, found)
    verdict("schema_tool ends well", ["exit status %d" % end] if end else [])


def main():
    seed = os.environ.get("SEED", "20260102")
    count = int(os.environ.get("COUNT", "4000"))
    with tempfile.TemporaryDirectory() as work:
        descriptors = Descriptors(load_descriptors(work))
        tool = sys.argv[1] if len(sys.argv) > 1 else build_tool(work)
        compare_tables(descriptors, *read_tables(tool))
        random_messages(descriptors, tool, seed, count)
    print("%d passed, %d failed, 0 skipped" % (RESULT["passed"], RESULT["failed"]))
    return 1 if RESULT["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
