// SPDX-License-Identifier: MIT
//
// A second oracle of the codecs: Buf's protobuf for JavaScript. schema.py is the first one, with
// Google's protobuf, and compares the tables as well.
//
//     node oracle.mjs SCHEMA_TOOL [SEED [COUNT [INDEX]]]     or ORACLE_SEED, _COUNT and _INDEX
//
// For the request and the response of every call, and for every type that no call reaches, random
// valid messages go through schema_tool.c: each is given to it as binary and as JSON, and what it
// answers, binary and JSON both times, has to be the same message again. Half of the input is
// written as no encoder would write it, but as every decoder has to read it: unknown fields, fields
// in parts and out of order, padded numbers, other spellings of names and numbers.
// The message of an index depends on the seed only; with INDEX just that one is made and shown.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const PROTO = fileURLToPath(new URL("../proto", import.meta.url));
const PACKAGES = ["coreweave.sandbox.v1", "coreweave.sandbox.v1beta2"];
const MAX_DEPTH = 63;   // levels that the library reads below a message; a map entry counts as one
const BIG = 65536;
const CHUNK = 64;       // messages that are made while others are on their way
const SHOWN = 1500;     // characters of a failure's input

const say = (line) => process.stdout.write(line + "\n");

function finish(passed, failed, skipped) {
    say(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    process.exitCode = failed ? 1 : 0;
}

// Why the types of the library's messages cannot be loaded, or undefined. The imports are dynamic
// because their absence is no failure.
let pb, reflect, wire, wkt;
async function whatIsMissing() {
    try {
        pb = await import("@bufbuild/protobuf");
        ({ reflect } = await import("@bufbuild/protobuf/reflect"));
        wire = await import("@bufbuild/protobuf/wire");
        wkt = await import("@bufbuild/protobuf/wkt");
    } catch (e) {
        return "the packages of tests/gateway are not installed, npm ci there does it (" +
            e.code + ")";
    }
    if (spawnSync("protoc", ["--version"]).status !== 0) return "protoc is missing";
    return undefined;
}

function loadRegistry() {
    const work = mkdtempSync(join(tmpdir(), "oracle-"));
    try {
        const files = [];
        const walk = (folder) => readdirSync(folder, { withFileTypes: true }).forEach((e) => {
            if (e.isDirectory()) walk(join(folder, e.name));
            else if (e.name.endsWith(".proto")) files.push(relative(PROTO, join(folder, e.name)));
        });
        walk(PROTO);
        const out = join(work, "set.pb");
        const made = spawnSync("protoc", ["-I", PROTO, "--include_imports",
                                          "--descriptor_set_out=" + out, ...files.sort()],
                               { stdio: ["ignore", "inherit", "inherit"] });
        if (made.status !== 0) throw new Error("protoc failed");
        return pb.createFileRegistry(pb.fromBinary(wkt.FileDescriptorSetSchema,
                                                   readFileSync(out)));
    } finally {
        rmSync(work, { recursive: true });
    }
}

// --- What is tested -----------------------------------------------------------------------------

// The messages below desc, itself included, into `found`.
function reach(desc, found) {
    if (found.has(desc.typeName)) return;
    found.set(desc.typeName, desc);
    for (const f of desc.fields) if (f.message) reach(f.message, found);
}

// {name, desc} of each test: both directions of all calls; every other type of the two packages
// and of google.rpc; and the well-known types by themselves.
function findUnits(registry) {
    const calls = [], others = new Map(), reached = new Map();
    for (const d of registry) {
        const name = d.kind === "service" ? d.file.proto.package : "";
        if (PACKAGES.includes(name)) for (const m of d.methods) calls.push(m);
        if (d.kind === "message" && [...PACKAGES, "google.rpc"].includes(d.file.proto.package))
            reach(d, others);
    }
    const units = [];
    for (const m of calls) {
        const path = `/${m.parent.typeName}/${m.name}`;
        units.push({ name: path + " request", desc: m.input });
        units.push({ name: path + " response", desc: m.output });
        reach(m.input, reached);
        reach(m.output, reached);
    }
    const rest = [...others.values()].filter((d) => !reached.has(d.typeName) ||
                                                    d.file.proto.package === "google.protobuf");
    for (const d of rest) units.push({ name: d.typeName, desc: d });
    return { units, types: [...others.values()], calls: calls.length, others: rest.length };
}

// Nested types are joined by an underscore in the tables: pkg.Outer_Inner.
function tableName(desc) {
    const inside = desc.file.proto.package + ".";
    return inside + desc.typeName.slice(inside.length).replaceAll(".", "_");
}

// --- Chance -------------------------------------------------------------------------------------

class Random { // sfc32
    constructor(seed, index) {
        [this.a, this.b, this.c, this.d] = [seed | 0, index | 0, 0x9e3779b9 | 0, 1];
        for (let i = 0; i < 15; i++) this.next();
    }
    next() {
        const t = (this.a + this.b | 0) + this.d | 0;
        this.d = this.d + 1 | 0;
        this.a = this.b ^ this.b >>> 9;
        this.b = this.c + (this.c << 3) | 0;
        this.c = (this.c << 21 | this.c >>> 11) + t | 0;
        return t >>> 0;
    }
    below(n) { return Math.floor(this.next() / 4294967296 * n); }
    chance(p) { return this.next() < p * 4294967296; }
    of(list) { return list[this.below(list.length)]; }
    bits64() { return BigInt(this.next()) << 32n | BigInt(this.next()); }
    bytes(n) { return Uint8Array.from({ length: n }, () => this.next() & 255); }
}

// --- Random messages ----------------------------------------------------------------------------

const TEXTS = ["a", "box-1", "äöü", "€", "\u{1f600}\u{10ffff}", "a\0b", "\0", "\"\\/\b\f\n\r\t",
               "\u007f\u0080\u07ff\u0800\uffff", "\u2028\u2029", "<>&'", "0", "null", "\ufeffx",
               "\ud7ff\ue000", "\x01\x1f", "__proto__", "constructor", "1e3", " x ", "-1", "007",
               "2026-01-02T03:04:05Z", "@type", "a.b/c", "\ufffd"];
const CODES = [[0x20, 0x7f], [0, 0x80], [0x80, 0x800], [0x800, 0xd800], [0xe000, 0x10000],
               [0x10000, 0x110000]];
const LENGTHS = [127, 128, 16383, 16384, BIG - 1, BIG];
const DOUBLES = [0, -0, 1, -1, 0.1, 0.5, 1 / 3, 1e21, 1e22, 1e23, -1e-7, 2 ** 53, 2 ** 53 + 2,
                 2 ** 63, 2 ** 64, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** -1022,
                 Number.EPSILON, 123456789012345680, 1e-300, 5e300];
const FIRST_SECOND = -62135596800, LAST_SECOND = 253402300799; // of the years 1 to 9999
const DURATION = 315576000000; // and of 10000 years

const VALUE = "google.protobuf.Value", ANY = "google.protobuf.Any";
const FILLED = new Set([VALUE, ANY]); // these say nothing in JSON when they are empty

class Maker {
    // types: what an Any may hold
    constructor(types) {
        this.types = types;
        this.integers = new Map([
            [pb.ScalarType.INT32, [-(2 ** 31), 2 ** 31 - 1]],
            [pb.ScalarType.UINT32, [0, 2 ** 32 - 1]],
            [pb.ScalarType.INT64, [-(2n ** 63n), 2n ** 63n - 1n]],
            [pb.ScalarType.UINT64, [0n, 2n ** 64n - 1n]]]);
    }

    // Small ones mostly. this.traits tells afterwards what JSON cannot say, or not both ways.
    make(desc, rng) {
        this.rng = rng;
        this.traits = new Set();
        const r = rng.below(100);
        this.left = r < 55 ? 6 : r < 92 ? 30 : 150; // sub-messages that may follow
        this.big = r >= 98 ? 2 : 0; // strings, bytes, lists and maps that are long
        this.deep = r === 97;       // as many levels as there may be
        this.density = rng.of([0.15, 0.5, 0.9]);
        const m = reflect(desc, undefined, false);
        if (FILLED.has(desc.typeName) || !rng.chance(0.02)) this.fill(m, 0);
        return m.message;
    }

    long() { return this.big > 0 && this.rng.chance(0.1) && this.big-- > 0; }

    text() {
        const rng = this.rng, r = rng.below(10);
        if (this.long()) {
            const n = rng.of(LENGTHS), unit = rng.of(["x", "€", "\u{1f600}", "\n", "\0"]);
            return unit.repeat(n / Buffer.byteLength(unit)).padEnd(rng.below(3), "y");
        }
        if (r < 4) return rng.of(TEXTS);
        if (r < 5) return "";
        const [low, high] = rng.of(CODES);
        return String.fromCodePoint(...Array.from({ length: rng.below(12) },
                                                  () => low + rng.below(high - low)));
    }

    double() {
        const rng = this.rng, r = rng.below(100);
        if (r < 40) return rng.of(DOUBLES);
        if (r < 70) return (rng.chance(0.5) ? 1 : -1) * rng.below(1e9) / 10 ** rng.below(10);
        if (r < 97) {
            const v = new Float64Array(BigUint64Array.of(rng.bits64()).buffer)[0];
            return Number.isFinite(v) ? v : 7.25;
        }
        this.traits.add("a number that is not finite");
        return rng.of([NaN, Infinity, -Infinity]);
    }

    integer(low, high) { // of numbers or of bigints
        const rng = this.rng, to = typeof low === "bigint" ? BigInt : Number;
        const v = rng.chance(0.7)
            ? rng.of([low, high, low + to(1), high - to(1),
                      ...[0, 1, -1, 7, 127, 128, 1000, 16384, 2 ** 31 - 1, 2 ** 53 - 1].map(to),
                      to(2 ** 53) + to(1)])
            : typeof low === "bigint" ? BigInt.asIntN(64, rng.bits64()) >> BigInt(rng.below(64))
            : rng.next() - 2 ** 31;
        return v < low ? low : v > high ? high : v;
    }

    scalar(type) {
        const S = pb.ScalarType, rng = this.rng;
        if (type === S.STRING) return this.text();
        if (type === S.BYTES) return rng.bytes(this.long() ? rng.of(LENGTHS) : rng.below(20));
        if (type === S.BOOL) return rng.chance(0.5);
        if (type === S.DOUBLE) return this.double();
        const range = this.integers.get(type);
        if (!range) throw new Error(`no fields of type ${S[type]} are made here`);
        return this.integer(...range);
    }

    enumeration(desc) {
        if (this.rng.chance(0.85) || desc.typeName === "google.protobuf.NullValue")
            return this.rng.of(desc.values).number;
        return this.rng.of([-1, 1000, 77, 128, 2 ** 31 - 1, -(2 ** 31)]); // open enums
    }

    nanos() {
        return this.rng.of([0, 1, 999999999, 500000000, 6000000, 1000, this.rng.below(1e9)]);
    }

    any(message, depth) {
        const rng = this.rng;
        this.traits.add("an Any");
        if (rng.chance(0.05)) return void this.traits.add("an empty Any");
        if (rng.chance(0.05)) {
            this.traits.add("an Any of an unknown type");
            message.typeUrl = "type.googleapis.com/example.Unknown";
            message.value = rng.bytes(rng.below(20));
            return;
        }
        const desc = rng.of(this.types), inner = reflect(desc, undefined, false);
        if (tableName(desc) !== desc.typeName) this.traits.add("an Any of a nested type");
        this.fill(inner, depth + 1);
        message.typeUrl = "type.googleapis.com/" + desc.typeName;
        message.value = pb.toBinary(desc, inner.message);
    }

    // Types with their own JSON form hold only what that form can say. False: an ordinary type.
    wellKnown(r, depth) {
        const rng = this.rng, m = r.message;
        switch (r.desc.typeName) {
        case "google.protobuf.Timestamp":
            m.seconds = BigInt(rng.of([0, -1, 1, FIRST_SECOND, LAST_SECOND, 951782400, 951868799,
                FIRST_SECOND + rng.below(LAST_SECOND - FIRST_SECOND), rng.next()]));
            m.nanos = this.nanos();
            return true;
        case "google.protobuf.Duration": {
            const sign = rng.of([1, -1]), s = rng.of([0, 1, DURATION, DURATION - 1, rng.next()]);
            m.seconds = BigInt(sign * s);
            m.nanos = s === DURATION ? 0 : sign * this.nanos() + 0;
            return true;
        }
        case "google.protobuf.FieldMask": {
            const word = () => rng.of(["a", "bc", "name", "x1", "spec"]);
            const name = () => Array.from({ length: 1 + rng.below(3) }, word).join("_");
            for (let n = rng.below(4); n > 0; n--)
                m.paths.push(Array.from({ length: 1 + rng.below(3) }, name).join("."));
            return true;
        }
        case ANY:
            this.any(m, depth);
            return true;
        default:
            return false;
        }
    }

    many() { return this.long() ? 300 : this.deep ? 1 : this.rng.of([0, 1, 1, 2, 3, 8]); }

    message(desc, depth) {
        const m = reflect(desc, undefined, false);
        if (this.left > 0 || FILLED.has(desc.typeName)) this.fill(m, depth);
        return m;
    }

    field(r, f, depth) {
        if (f.message && (depth + (f.fieldKind === "map" ? 2 : 1) > MAX_DEPTH || this.left < 0))
            return;
        const value = (kind, level) => kind === "scalar" ? this.scalar(f.scalar)
            : kind === "enum" ? this.enumeration(f.enum) : this.message(f.message, level);
        if (f.fieldKind === "list") {
            for (let n = this.many(); n > 0; n--) r.get(f).add(value(f.listKind, depth + 1));
        } else if (f.fieldKind === "map") {
            for (let n = this.many(); n > 0; n--)
                r.get(f).set(this.scalar(f.mapKey), value(f.mapKind, depth + 2));
        } else {
            r.set(f, value(f.fieldKind, depth + 1));
        }
    }

    fill(r, depth) {
        this.left--;
        if (this.wellKnown(r, depth)) return;
        const rng = this.rng, isValue = r.desc.typeName === VALUE;
        for (const member of r.members) {
            let f = member;
            if (isValue) {
                const room = depth + 3 <= MAX_DEPTH && this.left > 0;
                const deep = this.deep && room ? 4 : 0;
                f = member.fields[deep + rng.below((room ? 6 : 4) - deep)];
                if (!deep && rng.chance(0.3)) f = member.fields[1]; // a number
            } else if (member.kind === "oneof") {
                f = rng.of(member.fields);
            }
            if (isValue ? rng.chance(0.01) : !(this.deep || rng.chance(this.density))) {
                if (isValue) this.traits.add("a Value without a kind");
                continue;
            }
            this.field(r, f, depth);
        }
    }
}

// --- Binary that no encoder writes --------------------------------------------------------------

class Loosener {
    constructor() { this.shapes = new Map(); }

    // What is known of the fields of a message, or of the entry of a map, by number.
    shape(desc) {
        let known = this.shapes.get(desc);
        if (known) return known;
        this.shapes.set(desc, known = new Map());
        const S = pb.ScalarType;
        const one = (scalar, message, e) => ({
            sub: message, natural: message || scalar === S.STRING || scalar === S.BYTES ? 2
                : scalar === S.DOUBLE ? 1 : 0, scalar: e ? S.INT32 : scalar });
        if (desc.kind === "field") {
            known.set(1, one(desc.mapKey));
            known.set(2, one(desc.scalar, desc.message, desc.enum));
            known.entry = true;
            return known;
        }
        for (const f of desc.fields) {
            const s = f.fieldKind === "map" ? { sub: f, natural: 2 }
                : one(f.scalar, f.message, f.enum);
            s.many = f.fieldKind === "list" || f.fieldKind === "map";
            s.packed = f.fieldKind === "list" && s.natural !== 2;
            s.rivals = f.oneof ? f.oneof.fields.filter((o) => o !== f).map((o) => o.number) : [];
            s.group = f.oneof ? f.oneof.name : f.number;
            known.set(f.number, s);
        }
        return known;
    }

    varint(v, room = 10) {
        const out = [];
        for (v = BigInt.asUintN(64, BigInt(v)); v > 127n; v >>= 7n)
            out.push(Number(v & 127n) | 128);
        out.push(Number(v));
        if (this.rng.chance(0.1) && out.length < room) { // zeros on top change nothing
            let more = 1 + this.rng.below(room - out.length);
            out[out.length - 1] |= 128;
            while (--more > 0) out.push(128);
            out.push(0);
        }
        return Uint8Array.from(out);
    }

    record(no, type, data) {
        const tag = this.varint(no * 8 + type, 5);
        return Buffer.concat(type === 2 ? [tag, this.varint(data.length, 5), data] : [tag, data]);
    }

    // Some value of a wire type.
    junk(type, depth = 0) {
        const rng = this.rng;
        if (type === 0) return this.varint(rng.bits64() >> BigInt(rng.below(64)));
        if (type === 1) return rng.bytes(8);
        if (type === 5) return rng.bytes(4);
        if (type === 2) return Buffer.from(rng.of(["", "old", "\u20ac", "\0"]));
        const inside = [];
        for (let n = rng.below(3); n > 0; n--)
            inside.push(this.unknown(new Map(), depth + 1));
        return Buffer.concat(inside);
    }

    // A field that the message does not have, or that it has with another wire type.
    unknown(shape, depth = 0) {
        const rng = this.rng;
        let no = rng.of([1 + rng.below(40), 9000, 19000, 2 ** 29 - 1]);
        let types = depth < 5 ? [0, 1, 2, 3, 5] : [0, 1, 2, 5];
        const s = shape.get(no);
        if (s) types = types.filter((t) => t !== s.natural && !(s.packed && t === 2));
        const type = rng.of(types), data = this.junk(type, depth);
        if (type !== 3) return this.record(no, type, data);
        return Buffer.concat([this.record(no, 3, data), this.varint(no * 8 + 4, 5)]);
    }

    // A varint field's value in another form with the same meaning.
    again(s, data) {
        const S = pb.ScalarType, v = new wire.BinaryReader(data).uint64();
        if (s.scalar === S.BOOL && v && this.rng.chance(0.3)) return this.varint(2n ** 40n);
        if (s.scalar === S.INT32 && this.rng.chance(0.2))
            return this.varint(BigInt.asUintN(32, v)); // five bytes also when negative
        if (s.scalar === S.UINT32 && this.rng.chance(0.2)) return this.varint(v | 5n << 35n);
        return this.varint(v);
    }

    packed(no, s, data) {
        const reader = new wire.BinaryReader(data), values = [];
        while (reader.pos < data.length) values.push(this.varint(reader.uint64()));
        if (this.rng.chance(0.4)) return values.map((v) => this.record(no, 0, v));
        const cut = this.rng.below(values.length + 1);
        return [values.slice(0, cut), values.slice(cut)]
            .map((part) => this.record(no, 2, Buffer.concat(part)));
    }

    // The records that stand for one record, in their order.
    field(shape, no, type, data) {
        const rng = this.rng, s = shape.get(no), out = [];
        if (rng.chance(0.15) && s.rivals?.length) { // a oneof's last member wins
            const rival = rng.of(s.rivals), r = shape.get(rival);
            if (s.sub || !r.sub) // this must not be one level more
                out.push(this.record(rival, r.natural,
                                     r.sub ? Buffer.alloc(0) : this.junk(r.natural)));
        }
        if (s.packed && type === 2) return this.packed(no, s, data);
        if (s.sub) {
            const parts = this.records(this.shape(s.sub), data);
            const cut = s.many || rng.chance(0.7) ? 0 : rng.below(parts.length + 1);
            if (cut) out.push(this.record(no, 2, Buffer.concat(parts.slice(0, cut))));
            out.push(this.record(no, 2, Buffer.concat(parts.slice(cut))));
            return out;
        }
        if (!s.many && rng.chance(0.1)) out.push(this.record(no, type, this.junk(type)));
        out.push(this.record(no, type, type === 0 ? this.again(s, data) : data));
        return out;
    }

    // The fields of a message as a list of encoded records.
    records(shape, bytes) {
        const rng = this.rng, reader = new wire.BinaryReader(bytes), groups = new Map();
        const shuffle = rng.chance(0.5), out = [];
        while (reader.pos < bytes.length) {
            const [no, type] = reader.tag();
            const data = type === 2 ? reader.bytes() : reader.skip(type, no);
            const group = shuffle ? shape.get(no).group ?? no : 0;
            if (!groups.has(group)) groups.set(group, []);
            groups.get(group).push(...this.field(shape, no, type, data));
        }
        const left = [...groups.values()].filter((g) => g.length > 0);
        while (left.length > 0) { // the order within a group stays
            const i = rng.below(left.length);
            out.push(left[i].shift());
            if (left[i].length === 0) left.splice(i, 1);
        }
        if (rng.chance(0.4))
            for (let n = 1 + rng.below(2); n > 0; n--)
                out.splice(rng.below(out.length + 1), 0, this.unknown(shape));
        return out;
    }

    // Binary by which equal messages can be told: fields by number, and no key or value in the
    // entry of a map that is what it would be anyway. (Encoders differ in the latter.)
    settle(shape, bytes) {
        const reader = new wire.BinaryReader(bytes), out = [];
        while (reader.pos < bytes.length) {
            const start = reader.pos, [no, type] = reader.tag();
            const s = shape.get(no), head = reader.pos - start;
            const data = type === 2 ? reader.bytes() : reader.skip(type, no);
            const sub = s?.sub && type === 2;
            const text = sub ? this.settle(this.shape(s.sub), data) : data;
            if (shape.entry && (text.length === 0 || (type !== 2 && text.every((b) => b === 0))))
                continue;
            const tag = bytes.subarray(start, start + head);
            out.push({ no, all: Buffer.concat([tag, Buffer.from(text.length + ":"), text]) });
        }
        return Buffer.concat(out.sort((a, b) => a.no - b.no).map((r) => r.all));
    }

    loosen(desc, bytes, rng) {
        this.rng = rng;
        return Buffer.concat(this.records(this.shape(desc), bytes));
    }
}

// --- JSON that no encoder writes ----------------------------------------------------------------

const OWN_JSON = /^google\.protobuf\.(Timestamp|Duration|FieldMask|Struct|Value|ListValue)$/;

class Speller {
    space() { return this.spaced ? this.rng.of(["", " ", "\n  ", "\t", "\r\n"]) : ""; }

    string(text) {
        let s = JSON.stringify(text);
        if (this.escaped && s.length < 1000) {
            const hex = (c) => Array.from({ length: c.length }, (_, i) =>
                "\\u" + c.charCodeAt(i).toString(16).padStart(4, "0")).join("");
            s = '"' + s.slice(1, -1).replace(/\\u....|\\.|[^]/gu, (c) => {
                if (c === "/" && this.rng.chance(0.5)) return "\\/";
                if (c[0] === "\\" || this.rng.chance(c < "\x7f" ? 0.9 : 0.2)) return c;
                return this.rng.chance(0.5) ? hex(c) : hex(c).toUpperCase().replaceAll("U", "u");
            }) + '"';
        }
        return s;
    }

    list(parts, open = "[", close = "]") {
        return open + this.space() + parts.join("," + this.space()) + this.space() + close;
    }

    object(members) {
        return this.list(members.map(([name, value]) =>
            this.string(name) + this.space() + ":" + this.space() + value), "{", "}");
    }

    // A JSON value as it stands.
    plain(v) {
        if (typeof v === "string") return this.string(v);
        if (Array.isArray(v)) return this.list(v.map((e) => this.plain(e)));
        if (v !== null && typeof v === "object")
            return this.object(Object.keys(v).map((k) => [k, this.plain(v[k])]));
        return Object.is(v, -0) ? "-0" : JSON.stringify(v);
    }

    junk(depth = 0) {
        const rng = this.rng, items = (make) => Array.from({ length: rng.below(3) }, make);
        switch (rng.below(depth < 4 ? 8 : 6)) {
        case 6: return items(() => this.junk(depth + 1));
        case 7: return Object.fromEntries(items(() => [rng.of(TEXTS), this.junk(depth + 1)]));
        default: return rng.of([null, true, false, "", "x", "\u20ac\0", 0, -1.5, 1e300, 12345]);
        }
    }

    scalar(type, v) {
        const S = pb.ScalarType, rng = this.rng;
        if (type === S.INT64 || type === S.UINT64) return rng.chance(0.3) ? v : `"${v}"`;
        if (type === S.INT32 || type === S.UINT32) {
            if (rng.chance(0.2)) return `"${v}"`;
            if (v === 0) return rng.of(["0", "-0", "0.0", "0e9"]);
            if (rng.chance(0.2)) return v + rng.of([".0", "e0", "E+0", "0e-1", ".00e00"]);
            return v % 1000 ? `${v}` : `${v / 1000}e3`;
        }
        if (type === S.BYTES) {
            if (rng.chance(0.3)) v = v.replaceAll("+", "-").replaceAll("/", "_");
            return this.string(rng.chance(0.3) ? v.replaceAll("=", "") : v);
        }
        return this.plain(v);
    }

    value(kind, f, v) {
        if (kind === "message") return this.message(f.message, v);
        if (kind === "scalar") return this.scalar(f.scalar, v);
        const found = f.enum.values.find((e) => e.name === v);
        if (found && this.rng.chance(0.3)) return `${found.number}`;
        return this.plain(v);
    }

    field(f, v) {
        if (f.fieldKind === "list") return this.list(v.map((e) => this.value(f.listKind, f, e)));
        if (f.fieldKind !== "map") return this.value(f.fieldKind, f, v);
        return this.object(Object.keys(v).map((k) => [k, this.value(f.mapKind, f, v[k])]));
    }

    message(desc, v) {
        const rng = this.rng;
        if (desc.typeName === "google.protobuf.Timestamp" && rng.chance(0.3))
            return this.plain(v.replace("Z", rng.of(["+00:00", "-00:00"])));
        if (OWN_JSON.test(desc.typeName)) return this.plain(v);
        const members = [];
        for (const f of desc.fields) {
            if (!Object.hasOwn(v, f.jsonName)) { // null says that it is not there
                if (rng.chance(0.03)) members.push([f.jsonName, "null"]);
                continue;
            }
            members.push([rng.chance(0.3) ? f.name : f.jsonName, this.field(f, v[f.jsonName])]);
        }
        if (rng.chance(0.3)) {
            const name = rng.of(["", "zzz", "unknown_field", "\u20ac", "__proto__", "@type"]);
            members.splice(rng.below(members.length + 1), 0, [name, this.plain(this.junk())]);
        }
        if (rng.chance(0.2)) members.sort(() => rng.below(3) - 1);
        return this.object(members);
    }

    spell(desc, json, rng) {
        this.rng = rng;
        this.spaced = rng.chance(0.4);
        this.escaped = rng.chance(0.4);
        return this.space() + this.message(desc, json) + this.space();
    }
}

// --- Comparing ----------------------------------------------------------------------------------

const ordered = (v) => { // neighbours among the doubles are neighbours here
    const bits = new BigInt64Array(Float64Array.of(v).buffer)[0];
    return bits < 0n ? -(2n ** 63n) - bits : bits;
};

// Decimals that the library promises to read exactly: up to 2^53, times 10 to the 22nd or less.
function exact(v) {
    const [digits, exponent] = Math.abs(v).toExponential().replace(".", "").split("e");
    return Number(digits) < 2 ** 53 && Math.abs(exponent - digits.length + 1) <= 22;
}

// Where two messages differ, "" if nowhere. What JSON did to doubles is tolerated and counted when
// `lax`, an object for these counts, is given.
class Comparer {
    constructor(registry) { this.registry = registry; }

    number(a, b, lax) {
        if (Object.is(a, b)) return true;
        if (!lax) return false;
        const apart = ordered(a) - ordered(b);
        if (apart === 0n) lax.zero++; // -0 and 0
        else if ((apart === 1n || apart === -1n) && !exact(a)) lax.place++;
        else return false;
        return true;
    }

    value(kind, f, a, b, lax) {
        if (kind === "message") return this.message(a, b, lax);
        if (kind === "enum") return a === b ? "" : " (enum)";
        if (f.scalar === pb.ScalarType.BYTES) return Buffer.compare(a, b) ? " (bytes)" : "";
        if (typeof a === "number" && typeof b === "number")
            return this.number(a, b, lax) ? "" : ` (${a} and ${b})`;
        return a === b ? "" : ` (${typeof a})`;
    }

    field(f, a, b, lax) {
        if (f.fieldKind !== "list" && f.fieldKind !== "map")
            return this.value(f.fieldKind, f, a.get(f), b.get(f), lax);
        const x = a.get(f), y = b.get(f);
        if (x.size !== y.size) return ` (${x.size} and ${y.size} elements)`;
        for (const [k, v] of x.entries()) {
            if (f.fieldKind === "map" && !y.has(k)) return `[${JSON.stringify(k)}] (key)`;
            const d = this.value(f.listKind ?? f.mapKind, f, v, y.get(k), lax);
            if (d) return `[${JSON.stringify(k)}]${d}`;
        }
        return "";
    }

    message(a, b, lax) {
        if (a.getUnknown()?.length || b.getUnknown()?.length) return " (unknown fields)";
        if (a.desc.typeName === ANY) {
            const url = a.message.typeUrl, desc = this.registry.getMessage(url.split("/").pop());
            if (desc && url === b.message.typeUrl)
                return this.messages(desc, pb.fromBinary(desc, a.message.value),
                                     pb.fromBinary(desc, b.message.value), lax);
        }
        for (const f of a.fields) {
            if (a.isSet(f) !== b.isSet(f)) return `.${f.name} (only one has it)`;
            const d = a.isSet(f) ? this.field(f, a, b, lax) : "";
            if (d) return `.${f.name}${d}`;
        }
        return "";
    }

    messages(desc, a, b, lax) {
        return this.message(reflect(desc, a, false), reflect(desc, b, false), lax);
    }

    // The same for JSON values: this is about the spelling, which is to be canonical.
    json(a, b, lax) {
        if (typeof a === "number" && typeof b === "number") return this.number(a, b, lax);
        if (a === null || b === null || typeof a !== "object" || typeof b !== "object")
            return a === b;
        if (Array.isArray(a) !== Array.isArray(b)) return false;
        const keys = Object.keys(a);
        return keys.length === Object.keys(b).length &&
            keys.every((k) => Object.hasOwn(b, k) && this.json(a[k], b[k], lax));
    }
}

// --- The C side ---------------------------------------------------------------------------------

class Tool {
    constructor(program) {
        this.waiting = [];
        this.part = "";
        this.child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] });
        this.child.stdin.on("error", () => {}); // the end of the program is reported otherwise
        this.child.stdout.setEncoding("latin1");
        this.child.stdout.on("data", (text) => this.read(text));
        this.over = Promise.all([once(this.child, "exit"), once(this.child.stdout, "end")])
            .then(([[code, signal]]) => {
                this.end = signal ?? code;
                this.waiting.splice(0).forEach((done) => done(undefined));
            }, (e) => {
                this.end = e.message;
                this.waiting.splice(0).forEach((done) => done(undefined));
            });
    }

    read(text) {
        const lines = (this.part + text).split("\n");
        this.part = lines.pop();
        for (const line of lines) {
            const [word, ...rest] = line.split(" ");
            this.waiting.shift()(word !== "ok" ? { error: line }
                : { binary: Buffer.from(rest[0], "hex"), json: Buffer.from(rest[1], "hex") });
        }
    }

    // {binary, json} or {error}; undefined: the program has ended. One at a time is slow.
    ask(desc, form, input) {
        if (this.end !== undefined) return Promise.resolve(undefined);
        this.child.stdin.write(`${tableName(desc)} ${form} ${input.toString("hex")}\n`);
        return new Promise((done) => this.waiting.push(done));
    }

    async close() {
        this.child.stdin.end();
        await this.over;
        return this.end;
    }
}

// --- The run ------------------------------------------------------------------------------------

// What these hold goes into JSON or back out of it only in part.
const NOT_IN_JSON = ["a number that is not finite", "a Value without a kind",
                     "an Any of an unknown type", "an Any of a nested type"];

class Run {
    constructor(registry, tool, seed, only) {
        Object.assign(this, { registry, tool, seed, only });
        Object.assign(this, findUnits(registry));
        this.maker = new Maker(this.types);
        this.loosener = new Loosener();
        this.speller = new Speller();
        this.comparer = new Comparer(registry);
        this.seen = new Set();
        this.worst = new Map(); // unit -> its smallest failure
        this.failures = 0;
        this.bytes = 0;
        this.largest = 0;
        this.tally = { "binary to binary": 0, "binary to JSON": 0, "JSON to binary": 0,
                       "JSON to JSON": 0 };
        this.excluded = {};
        this.lax = { zero: 0, place: 0 };
    }

    // Each in turn, the other types a little more often.
    unit(index) {
        const called = this.units.length - this.others;
        return index % 8 === 7 ? this.units[called + (index >> 3) % this.others]
            : this.units[(index - (index >> 3)) % called];
    }

    // The message of an index, on its way: {unit, index, desc, message, bytes, asked}.
    start(index) {
        const unit = this.unit(index), desc = unit.desc;
        const rng = new Random(this.seed, index);
        const c = { unit, index, desc, message: this.maker.make(desc, rng), asked: [] };
        const traits = [...this.maker.traits];
        c.bytes = Buffer.from(pb.toBinary(desc, c.message));
        this.bytes += c.bytes.length;
        this.largest = Math.max(this.largest, c.bytes.length);
        const input = rng.chance(0.5) ? c.bytes : this.loosener.loosen(desc, c.bytes, rng);
        c.inJson = !traits.some((t) => NOT_IN_JSON.includes(t));
        if (c.inJson) c.json = pb.toJson(desc, c.message, { registry: this.registry });
        this.ask(c, "bin", input);
        if (c.inJson && !traits.length) {
            const text = rng.chance(0.5) ? JSON.stringify(c.json)
                : this.speller.spell(desc, c.json, rng);
            this.ask(c, "json", Buffer.from(text));
        }
        for (const t of traits) this.excluded[t] = (this.excluded[t] ?? 0) + 1;
        return c;
    }

    ask(c, form, input) {
        if (this.only !== undefined)
            say(`${c.unit.name}\n${form} ${form === "bin" ? input.toString("hex") : input}`);
        c.asked.push({ form, input, answer: this.tool.ask(c.desc, form, input) });
    }

    fail(c, asked, what) {
        const old = this.worst.get(c.unit);
        this.failures++;
        if (!old || asked.input.length < old.asked.input.length)
            this.worst.set(c.unit, { c, asked, what });
    }

    binaryProblem(c, binary, lax) {
        if (binary.equals(c.bytes)) return "";
        const shape = this.loosener.shape(c.desc);
        const [a, b] = [binary, c.bytes].map((bytes) => this.loosener.settle(shape, bytes));
        if (a.equals(b)) return "";
        const back = pb.fromBinary(c.desc, binary);
        const d = this.comparer.messages(c.desc, back, c.message, lax);
        return d || (lax && a.length === b.length ? "" : " (equal, but encoded otherwise)");
    }

    jsonProblem(c, text) {
        const { desc, registry } = { desc: c.desc, registry: this.registry };
        const back = pb.fromJsonString(desc, text, { registry });
        if (!c.bytes.equals(pb.toBinary(desc, back))) {
            const d = this.comparer.messages(desc, back, c.message, this.lax);
            if (d) return d;
        }
        const value = JSON.parse(text), uncounted = { zero: 0, place: 0 };
        if (JSON.stringify(value) === JSON.stringify(c.json) ||
            this.comparer.json(value, c.json, uncounted)) return "";
        return " is not written as " + JSON.stringify(c.json).slice(0, SHOWN);
    }

    // One of the checks of an answer; an exception is a problem, too.
    check(c, asked, direction, answered, problem) {
        let d;
        this.tally[direction]++;
        try {
            d = problem();
        } catch (e) {
            d = " " + e.message;
        }
        if (d) this.fail(c, asked, `${direction}:${d}; came back as ${answered.slice(0, SHOWN)}`);
    }

    // False: the tool has ended.
    async verify(c) {
        let checked;
        this.seen.add(c.unit);
        for (const asked of c.asked) {
            const answer = await asked.answer, fromJson = asked.form === "json";
            if (!answer) {
                this.fail(c, asked, `schema_tool ended (${this.tool.end})`);
                return false;
            }
            const from = fromJson ? "JSON" : "binary";
            if (answer.error) {
                this.tally[from + " to binary"]++;
                this.fail(c, asked, `${from}: ${answer.error}`);
                continue;
            }
            this.check(c, asked, from + " to binary", answer.binary.toString("hex"),
                       () => this.binaryProblem(c, answer.binary, fromJson ? this.lax : undefined));
            if (!c.inJson) continue;
            const text = answer.json.toString();
            this.check(c, asked, from + " to JSON", text,
                       () => text === checked ? "" : this.jsonProblem(c, text));
            checked = text;
        }
        return true;
    }

    async go(first, count) {
        let sent = [], at = first;
        const end = first + count;
        for (let alive = true; alive && (at < end || sent.length);) {
            const next = [];
            while (at < end && next.length < CHUNK) next.push(this.start(at++));
            await new Promise(setImmediate); // lets the input flow
            for (const c of sent) if (alive) alive = await this.verify(c);
            sent = next;
        }
    }

    report(count, seconds) {
        const list = (o) => Object.entries(o).map(([k, n]) => `${k} ${n}`).join(", ");
        say(`${this.calls} calls, both directions, and ${this.others} other types: ` +
            `${count} messages, ${Math.round(this.bytes / count)} bytes on average, ` +
            `${this.largest} the largest, ${seconds.toFixed(1)} s`);
        say(list(this.tally));
        say("not tried, to C as JSON what holds an Any, as JSON at all the others of: " +
            list(this.excluded));
        say(`tolerated after JSON: ${this.lax.zero} times 0 for -0, ` +
            `${this.lax.place} doubles off by one in the last place`);
        for (const [unit, { c, asked, what }] of this.worst) {
            const binary = asked.form === "bin", size = asked.input.length;
            say(`FAILED: ${unit.name}: seed ${this.seed}, index ${c.index}, ` +
                `${c.desc.typeName}: ${what}`);
            const shown = asked.input.toString(binary ? "hex" : "utf8")
                .replaceAll(/[\n\r\t]/g, " ");
            say(`    its smallest failing input, ${size} bytes of ${binary ? "binary" : "JSON"}: ` +
                (shown.length > SHOWN ? shown.slice(0, SHOWN) + "..." : shown));
        }
    }
}

async function main() {
    const setting = (i, name, otherwise) => {
        const text = process.argv[i] ?? process.env["ORACLE_" + name];
        if (text === undefined || text === "") return otherwise;
        if (!/^\d{1,10}$/.test(text)) throw new Error(`${name} is no number: ${text}`);
        return Number(text);
    };
    const seed = setting(3, "SEED", Date.now() % 2 ** 32), only = setting(5, "INDEX");
    say(`seed ${seed}`);
    const missing = await whatIsMissing();
    if (missing) {
        say("SKIPPED oracle: " + missing);
        return finish(0, 0, 1);
    }
    const tool = new Tool(process.argv[2] ?? "build/tests/schema_tool");
    const run = new Run(loadRegistry(), tool, seed, only);
    const count = only === undefined ? setting(4, "COUNT", 20000) : 1, start = Date.now();
    await run.go(only ?? 0, count);
    const end = await tool.close();
    run.report(count, (Date.now() - start) / 1000);
    if (end !== 0) say(`FAILED: schema_tool ends well: ${end}`);
    const failed = run.worst.size + (end !== 0);
    const tests = run.seen.size + 1;
    finish(tests - failed, failed, 0);
}

await main();
