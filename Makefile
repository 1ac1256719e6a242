# SPDX-License-Identifier: MIT
# cwsandbox.h needs no build: copy the file. This is for its examples and tests.
# GNU make. `make help` lists the targets. Everything made goes to $(BUILD).
#
#   CC, CXX, CFLAGS, LDFLAGS   as usual
#   CWS_NO_INSTALL=1           never install a missing tool, only say what is missing
#   VERBOSE=1                  show all output of the tests
#   FUZZ_SECONDS=6             for each fuzz target
#   MUTANTS=100 SEED=N         for make mutants
#   CWS_LONG=1                 the largest files in full size, as in make check-all
#   BENCH_SECONDS=36           for all of make bench; BENCH_ROUNDS=9 turns of each side

CC ?= cc
CXX ?= c++
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
BUILD ?= build
FUZZ_SECONDS ?= 6
MUTANTS ?= 100
export BUILD CC CXX CWS_NO_INSTALL VERBOSE

VERSION = $(shell sed -n 's/^.define CWS_VERSION_STRING "\(.*\)"/\1/p' cwsandbox.h)
PYTHON = $(shell sh tests/python.sh)
CURL_CFLAGS = $(shell pkg-config --cflags libcurl 2>/dev/null)
CURL_LIBS = $(shell pkg-config --libs libcurl 2>/dev/null || echo -lcurl)

WARNINGS = -Wall -Wextra -Werror
ALL_CFLAGS = -I. -Iexamples $(CFLAGS) $(CPPFLAGS) $(CURL_CFLAGS)
ALL_LIBS = $(LDFLAGS) $(CURL_LIBS) -lpthread
SANITIZE = -O0 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# What builds the tests: clang where it has the sanitizers, because it takes half the time.
TEST_CC = $(shell sh tests/test_cc.sh $(CC))

HEADERS = cwsandbox.h $(wildcard examples/*.h tests/*.h)
EXAMPLES = $(patsubst examples/%.c,%,$(wildcard examples/*.c))
CHAPTERS = base messages operations call options dialects client sandbox ask exec logs files \
	metrics session functions pool
PROGRAMS = $(CHAPTERS) local torture wandb_client http2_client roundtrip catalogue curl_wire \
	curl_live backend $(patsubst tests/%.c,%,$(wildcard tests/schema*.c))
SUITES = curl_live curl_wire matrix fuzz examples http2 torture functions wandb variants files \
	logs link local catalogue $(filter-out functions files logs,$(CHAPTERS)) schema oracle \
	roundtrip terminal symbols style docs
LONG_SUITES = $(filter-out matrix fuzz,$(SUITES)) matrix-full fuzz-long san

export ASAN_OPTIONS = detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS = print_stacktrace=1

.PHONY: help run gateway test check-all $(SUITES) matrix-full fuzz-long conformance san bench \
	cover mutants programs clean install uninstall print-pc need need-all
.DELETE_ON_ERROR:

help:
	@echo 'make run        the quick start: a session of sandboxes, offline, on this machine'
	@echo 'make gateway    a local server of sandboxes for any client: Connect, gRPC, gRPC-Web'
	@echo 'make test       everything a contributor needs, in minutes; ends with one line of counts'
	@echo 'make check-all  test, and what takes long: full matrix, long fuzzing, other sanitizers'
	@echo 'make SUITE      one of: $(SUITES)'
	@echo 'make conformance  the Connect conformance suite; builds its runner with Go 1.24 or newer'
	@echo 'make bench      what a call and a stream cost, as ratios to libcurl alone; half a minute'
	@echo 'make san        memory, thread sanitizer and valgrind'
	@echo 'make cover      lines and branches that the suites reach, and those that they do not'
	@echo 'make mutants    small mistakes in the header: which do the suites notice? after make cover'
	@echo 'make install    cwsandbox.h and cwsandbox.pc below PREFIX ($(PREFIX)); DESTDIR; uninstall'
	@echo 'make clean      remove $(BUILD)/'

# --- The main job ---------------------------------------------------------------------------------

# Offline whatever the environment says, in the dialect that CWSANDBOX_API_VERSION names; with
# CWSANDBOX_API_KEY set, $(BUILD)/examples/quickstart does the same thing with the service.
run: $(BUILD)/examples/quickstart
	@env -u CWSANDBOX_API_KEY -u CWSANDBOX_BASE_URL -u CWSANDBOX_PROTOCOL $<

$(BUILD)/examples/%: examples/%.c $(HEADERS) | need
	@mkdir -p $(@D)
	@echo "building $@" >&2
	@$(CC) $(ALL_CFLAGS) -Wall -Wextra -o $@ $< $(ALL_LIBS)

# A server to talk to: prints what a client needs in its environment. GATEWAY_PORT, GATEWAY_API_KEY.
gateway: $(BUILD)/tests/backend
	@sh tests/need.sh gateway >&2
	@exec node tests/gateway/gateway.mjs --foreground $<

# --- Tests ----------------------------------------------------------------------------------------

# First all tools, then all programs, then the suites, two at a time, the longest first: half of
# them mostly wait. Tests of deadlines do not compete with compilers of programs.
test: need-all
	@rm -rf $(BUILD)/results
	@date +%s >$(BUILD)/started
	@$(MAKE) --no-print-directory -k -j2 CWS_NO_INSTALL=1 programs || true
	@$(MAKE) --no-print-directory -k -j2 CWS_NO_INSTALL=1 $(SUITES) || true
	@echo "all suites: $$(($$(date +%s) - $$(cat $(BUILD)/started))) s"
	@sh tests/run.sh --sum $(SUITES)

check-all: need-all
	@sh tests/need.sh slow || true
	@rm -rf $(BUILD)/results
	@$(MAKE) --no-print-directory -k -j2 CWS_NO_INSTALL=1 programs || true
	@CWS_LONG=1 $(MAKE) --no-print-directory -k -j1 CWS_NO_INSTALL=1 $(LONG_SUITES) || true
	@sh tests/run.sh --sum $(LONG_SUITES)

need:
	@sh tests/need.sh build >&2

need-all:
	@mkdir -p $(BUILD)
	@sh tests/need.sh test schema matrix fuzz gateway http2 cross wandb || \
		CWS_NO_INSTALL=1 sh tests/need.sh test

programs: $(PROGRAMS:%=$(BUILD)/tests/%) $(EXAMPLES:%=$(BUILD)/examples-san/%)

# Those that compute most are worth it.
$(BUILD)/tests/torture $(BUILD)/tests/files $(BUILD)/tests/logs: \
	SANITIZE := $(subst -O0,-O1,$(SANITIZE))

$(BUILD)/tests/%: tests/%.c $(HEADERS) | need
	@mkdir -p $(@D)
	@echo "building $@" >&2
	@$(TEST_CC) $(ALL_CFLAGS) $(SANITIZE) $(WARNINGS) -o $@ $< $(ALL_LIBS)

$(BUILD)/examples-san/%: examples/%.c $(HEADERS) | need
	@mkdir -p $(@D)
	@echo "building $@" >&2
	@$(TEST_CC) $(ALL_CFLAGS) $(SANITIZE) $(WARNINGS) -o $@ $< $(ALL_LIBS)

$(CHAPTERS) local torture: %: $(BUILD)/tests/%
	@sh tests/run.sh $@ -- $<

schema: $(patsubst %,$(BUILD)/tests/%,$(filter schema%,$(PROGRAMS)))
	@NEED=schema sh tests/run.sh $@ -- $(PYTHON) tests/schema.py $^

oracle: $(BUILD)/tests/schema_tool
	@NEED=gateway sh tests/run.sh $@ -- node tests/gateway/oracle.mjs $<

roundtrip catalogue curl_wire curl_live: %: $(BUILD)/tests/% $(BUILD)/tests/backend
	@NEED=gateway TIMEOUT=900 sh tests/run.sh $@ -- $^

examples: $(EXAMPLES:%=$(BUILD)/examples-san/%)
	@sh tests/run.sh $@ -- sh tests/examples.sh $^

terminal: $(BUILD)/examples-san/shell
	@NEED=test sh tests/run.sh $@ -- $(PYTHON) tests/$@.py $<

wandb: $(BUILD)/tests/wandb_client
	@NEED=test sh tests/run.sh $@ -- $(PYTHON) tests/wandb_wire.py $<

http2: $(BUILD)/tests/http2_client
	@NEED=http2 TIMEOUT=600 sh tests/run.sh $@ -- $(PYTHON) tests/http2_wire.py $<

link variants: need
	@sh tests/run.sh $@ -- sh tests/link.sh $@

symbols: need
	@sh tests/run.sh $@ -- sh tests/symbols.sh

style docs: need
	@NEED=test sh tests/run.sh $@ -- $(PYTHON) tests/$@.py

matrix: need
	@NEED=matrix TIMEOUT=600 sh tests/run.sh $@ -- sh tests/matrix.sh reduced

matrix-full: need
	@NEED=matrix TIMEOUT=3600 sh tests/run.sh $@ -- sh tests/matrix.sh full

fuzz: need
	@NEED=fuzz TIMEOUT=900 sh tests/run.sh $@ -- sh tests/fuzz.sh $(FUZZ_SECONDS)

fuzz-long: need
	@NEED=fuzz TIMEOUT=14400 sh tests/run.sh $@ -- sh tests/fuzz.sh 300

$(BUILD)/conformance/client: tests/conformance/client.c $(HEADERS) | need
	@mkdir -p $(@D)
	@echo "building $@"
	@$(CC) $(ALL_CFLAGS) $(SANITIZE) $(WARNINGS) -o $@ $< $(ALL_LIBS)

conformance: $(BUILD)/conformance/client
	@sh tests/need.sh go || true
	@sh tests/conformance.sh $<

san: need $(BUILD)/tests/backend
	@sh tests/need.sh slow || true
	@TIMEOUT=3600 sh tests/run.sh $@ -- sh tests/san.sh

# Lines and branches of cwsandbox.h that all suites together reach; what they do not reach is listed
# in $(BUILD)/cover/report.txt.
COVER_SUITES = $(CHAPTERS) wandb local torture roundtrip catalogue curl_wire curl_live http2 \
	examples terminal
COVER = $(MAKE) --no-print-directory -k CWS_NO_INSTALL=1 BUILD=$(BUILD)/cover TEST_CC='$(CC)' \
	SANITIZE='-O0 --coverage'

cover:
	@sh tests/need.sh test gateway http2 wandb || true
	@rm -rf $(BUILD)/cover
	@$(COVER) -j2 programs
	@GCOV_ERROR_FILE=/dev/null $(COVER) -j1 $(COVER_SUITES) || true
	@$(PYTHON) tests/cover.py $(BUILD)/cover

# MUTANTS small mistakes in cwsandbox.h, made at random (SEED): which do the suites notice? It needs
# what `make cover` has left, and takes about 10 s for each.
mutants: $(BUILD)/cover/tests/backend
	@BUILD=$(BUILD)/cover $(PYTHON) tests/mutants.py $(BUILD)/cover $(MUTANTS) $(SEED)

$(BUILD)/cover/tests/backend:
	@echo 'run make cover first' && exit 1

# Built without sanitizers, as a program that is measured must be. Nothing is asserted.
BENCH_LIBS = $(shell pkg-config --libs libnghttp2 2>/dev/null || echo -lnghttp2)

$(BUILD)/bench/bench: tests/bench.c $(HEADERS)
	@mkdir -p $(@D)
	@echo "building $@" >&2
	@$(CC) $(ALL_CFLAGS) $(WARNINGS) -o $@ $< $(ALL_LIBS) $(BENCH_LIBS)

bench:
	@mkdir -p $(BUILD)
	@if why=$$(sh tests/need.sh bench 2>&1); then \
		$(MAKE) --no-print-directory $(BUILD)/bench/bench && $(BUILD)/bench/bench; \
	else echo "SKIPPED bench: $$(echo "$$why" | grep -m 1 missing)"; fi

# --- Installation ---------------------------------------------------------------------------------

print-pc:
	@echo 'prefix=$(PREFIX)'
	@echo 'includedir=$${prefix}/include'
	@echo
	@echo 'Name: cwsandbox'
	@echo 'Description: C client for CoreWeave Sandboxes in one header'
	@echo 'Version: $(VERSION)'
	@echo 'Requires: libcurl'
	@echo 'Cflags: -I$${includedir}'

install:
	@mkdir -p $(BUILD) '$(DESTDIR)$(PREFIX)/include' '$(DESTDIR)$(PREFIX)/lib/pkgconfig'
	@$(MAKE) -s --no-print-directory print-pc >$(BUILD)/cwsandbox.pc
	install -m 644 cwsandbox.h '$(DESTDIR)$(PREFIX)/include/cwsandbox.h'
	install -m 644 $(BUILD)/cwsandbox.pc '$(DESTDIR)$(PREFIX)/lib/pkgconfig/cwsandbox.pc'

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/include/cwsandbox.h'
	rm -f '$(DESTDIR)$(PREFIX)/lib/pkgconfig/cwsandbox.pc'

clean:
	rm -rf $(BUILD)
