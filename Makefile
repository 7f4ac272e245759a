# What a person does with this checkout; `make` alone lists it. Each target is a script in
# scripts/, which can be run without make.
#
# Exit codes: 0 done, 1 a test or a step of the demo failed, 2 the machine lacks something
# (it is named) or, as everywhere with make, another target failed.

.DEFAULT_GOAL := help
.SUFFIXES:

include scripts/exit-codes.mk

# CHECK=1 and SIM=1 belong to the demo, SEED=N and SKIP_OK=1 to the tests, SEEDS=N, FIRST=S and
# SEED=S to the simulated world, SKIP_PEERS=1 to the measurements, QUICK=1 to that of the speaker.
DEMO_FLAGS := $(if $(filter 1,$(CHECK)),--check) $(if $(filter 1,$(SIM)),--sim)
export SEED SEEDS FIRST SKIP_OK SKIP_PEERS QUICK ONLY SMOKE

.PHONY: help
help:
	$(RUN)echo 'make setup         install the missing Debian packages of etc/packages.txt (root; nothing else installs), fetch Apache Kafka'
	$(RUN)echo 'make kafka         fetch Apache Kafka for tests and measurements into target/kafka, if it is not there'
	$(RUN)echo 'make build         compile everything into target/'
	$(RUN)echo 'make demo          a small network of real switches: every step shown and measured, then it stays up (root)'
	$(RUN)echo 'make demo CHECK=1  the same once, judged: target/demo/summary.json; exit 0 good, 1 a step failed, 2 something lacks'
	$(RUN)echo 'make demo SIM=1    with simulated switches in one process: no root, no Open vSwitch'
	$(RUN)echo 'make demo-clean    remove what a killed demo left behind'
	$(RUN)echo 'make test          every test, added up in the last line (SEED=N for other cases, SKIP_OK=1 on a laptop)'
	$(RUN)echo 'make test-long     the same with many more cases and a new seed each time'
	$(RUN)echo 'make sim SEEDS=N  the simulated world: speakers, router, switches and a log, with faults (FIRST=S; SEED=S: one, with its log)'
	$(RUN)echo 'make faults        what befalls real speakers, a router and Apache Kafka: target/bench/faults.json (ONLY=name; SMOKE=1: small)'
	$(RUN)echo 'make fuzz TARGET=name MINUTES=10  one fuzz target of fuzz/ (nightly Rust; without TARGET: which there are)'
	$(RUN)echo 'make lint          formatting and clippy, warnings are errors'
	$(RUN)echo 'make bench-codec   the codec beside openflowj, os-ken and the machine itself: target/bench/codec.json'
	$(RUN)echo 'make bench-speaker the speaker with 1,000 switches, a real one, a flood and a bare loop: target/bench/speaker.json (QUICK=1: only whether it works)'

.PHONY: setup
setup:
	$(RUN)scripts/setup

.PHONY: kafka
kafka:
	$(RUN)scripts/fetch-kafka

.PHONY: build
build:
	$(RUN)scripts/build

.PHONY: lint
lint:
	$(RUN)scripts/lint

.PHONY: test test-run
test: test-run
	$(FAILS_WITH_1)
test-run:
	$(RUN_MARKED) scripts/run-tests

.PHONY: test-long test-long-run
test-long: test-long-run
	$(FAILS_WITH_1)
test-long-run:
	$(RUN_MARKED) scripts/run-tests --long

.PHONY: sim sim-run
sim: sim-run
	$(FAILS_WITH_1)
sim-run:
	$(RUN_MARKED) scripts/sim

.PHONY: faults faults-run
faults: faults-run
	$(FAILS_WITH_1)
faults-run:
	$(RUN_MARKED) scripts/faults

.PHONY: fuzz fuzz-run
fuzz: fuzz-run
	$(FAILS_WITH_1)
fuzz-run:
	$(RUN_MARKED) scripts/fuzz $(TARGET) $(MINUTES)

.PHONY: demo demo-run
demo: demo-run
	$(FAILS_WITH_1)
demo-run:
	$(RUN_MARKED) scripts/demo $(DEMO_FLAGS)

.PHONY: demo-clean
demo-clean:
	$(RUN)scripts/demo --clean

.PHONY: bench-codec bench-codec-run
bench-codec: bench-codec-run
	$(FAILS_WITH_1)
bench-codec-run:
	$(RUN_MARKED) scripts/bench-codec

.PHONY: bench-speaker bench-speaker-run
bench-speaker: bench-speaker-run
	$(FAILS_WITH_1)
bench-speaker-run:
	$(RUN_MARKED) scripts/bench-speaker
