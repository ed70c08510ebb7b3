# The commands of this project. The build itself is meson and ninja (meson.build); this file finds what they need.
#
#   make demo      install what is missing, build, and turn two generated days of logs into a table
#   make test      everything that can fail, with a count at the end
# Both work as root and with sudo, and are quick when nothing is missing. `make help` lists the rest.

BUILD  := build
PREFIX ?= /usr/local
JOBS   ?= $(shell n=$$(nproc); m=$$(awk '/MemAvailable/ {print int($$2 / 1500000) + 1}' /proc/meminfo); \
            echo $$((n < m ? n : m)))
BASE   ?=
export JOBS

.PHONY: all deps demo test soak lint fuzz bench scaling install clean help

all: deps
	@scripts/build $(BUILD)

deps:
	@scripts/install-deps build

demo: all
	@scripts/demo

test:
	@scripts/install-deps build test
	@scripts/run-tests

soak:
	@scripts/install-deps build test
	@scripts/soak

lint:
	@scripts/install-deps build test
	@scripts/lint

fuzz:
	@scripts/install-deps build test
	@scripts/build $(BUILD) -Dtests=enabled
	@/usr/bin/python3 tests/fuzz_functions.py $(BUILD) --seconds 60 --vectors tests/vectors/access-record.ndjson
	@scripts/run-fuzz --seconds 60

bench: all
	@scripts/install-deps build bench
	@scripts/venv test
	@.venv/bin/python bench/bench.py $(if $(BASE),--base $(BASE))
	@$(if $(BASE),,.venv/bin/python bench/s3.py)
	@$(if $(BASE),,.venv/bin/python bench/threads.py)

scaling: all
	@scripts/install-deps build test
	@/usr/bin/python3 bench/scaling.py --write

install: all
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@meson install -C $(BUILD) $(if $(DESTDIR),--destdir "$(DESTDIR)")

clean:
	rm -rf $(BUILD) demo

help:
	@printf '%s\n' \
	    'make [all]                 build/gristmill' \
	    'make demo                  generate two days of access records and run the job on them' \
	    'make test                  unit tests, sanitizers, cases, five foreign readers, faults, fuzz corpora' \
	    'make soak                  the long tests: 100,000 simulated schedules, kills, faults, the whole model; an hour' \
	    'make lint                  format, static analysis, layers, symbols, lengths, spelling' \
	    'make fuzz                  every fuzzer for a minute, and the native functions against Python' \
	    'make bench [BENCH_RUNS=n]  beside ClickHouse, DuckDB, Polars, PySpark and the floor, into docs/benchmarks.md with BENCH_WRITE=1' \
	    'make bench BASE=revision   this tree beside another revision of it' \
	    'make scaling               how time and memory grow, into docs/scaling.md; about a quarter of an hour' \
	    'make install PREFIX=dir    binary, library, header, pkg-config file, man page, jobs (DESTDIR is honoured)' \
	    'make clean                 remove build/ and demo/' \
	    'Also: JOBS=n (parallel compilers)'
