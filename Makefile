# Every target works on a fresh clone; what is already done is not done again.
# Variables: PYTHON (interpreter for the virtual environment), PYTEST_ARGS, DEMO_ARGS, BENCH_ARGS, FAULTS_ARGS,
# BENCHES (files with benchmarks), FUZZ_SECONDS.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
CHECKED := tests/support $(wildcard benches examples)
BENCHES := benches
FUZZ_SECONDS := 60
# Rebuilds the native modules when one of these is newer than the last build.
NATIVE := setup.py ext/Cargo.toml ext/Cargo.lock \
	$(shell find ext/src -name '*.rs') $(shell find python -name '*.pyx' -o -name '*.pxd')

export PATH := $(PATH):$(HOME)/.cargo/bin
# cargo test links against this interpreter, the one the modules are built for.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: brokers ## see records cross from Kafka to Rivven and back
	$(BIN)/python -m examples.demo $(DEMO_ARGS)

test: lint unit integration bench-quick ## everything that must pass before a commit

unit: $(STAMPS)/native ## tests without a socket, Rust and Python
	cd ext && cargo test --locked
	$(BIN)/python -m pytest -n 2 --dist worksteal $(wildcard tests/unit) -m 'not integration and not faults' $(PYTEST_ARGS)

# Two workers, each with brokers of its own, that share the files out as they stand: the long ones come first.
integration: brokers ## tests against real brokers, also while they are killed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(wildcard tests/faults tests/integration) $(PYTEST_ARGS)

faults: brokers ## the long fault scenarios, by a seed; FAULTS_ARGS="--faults-seed N --faults-table FILE"
	$(BIN)/python -m pytest tests/faults -m 'faults and long' -s $(FAULTS_ARGS)

fuzz: $(STAMPS)/native ## try the decoders with made-up bytes, FUZZ_SECONDS=60 for each; needs a C++ compiler
	ext/fuzz/run.sh $(FUZZ_SECONDS)

lint: $(STAMPS)/native ## formats, lints and types; changes nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy python/rivven_kafka $(CHECKED)
	cd ext && cargo fmt --check
	cargo fmt --check --manifest-path tests/support/secured_rivvend/Cargo.toml
	cd ext && cargo clippy --locked --all-targets -- -D warnings

format: $(STAMPS)/deps ## apply the formatters
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format
	cd ext && cargo fmt

docs: $(STAMPS)/native ## build the user guide in build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

reference: $(STAMPS)/native ## write the option tables of docs/configuration.md, and the manual page, anew
	sed -i '/^<!-- Made by/,$$d' docs/configuration.md
	printf '%s\n\n' '<!-- Made by `make reference`; edit the models instead. -->' >> docs/configuration.md
	$(BIN)/python -m rivven_kafka.cli spec connect --format markdown >> docs/configuration.md
	COLUMNS=80 $(BIN)/argparse-manpage --module rivven_kafka.cli.main --function build_parser --prog rivven-kafka \
		--project-name rivven-kafka --version "$$($(BIN)/python -c 'import rivven_kafka; print(rivven_kafka.__version__)')" \
		--description 'move records between Apache Kafka and Rivven' --manual-title 'User Commands' \
		--format single-commands-section --output docs/man/rivven-kafka.1

screenshots: brokers ## take the pictures of the live page in docs/images anew; takes five minutes
	$(BIN)/python -m tests.support.screenshots docs/images

bench: brokers ## measure, into benches/results.json; BENCHES="benches/test_sink.py", BENCH_ARGS for pytest
	$(BIN)/python -m pytest $(BENCHES) -n 0 -s $(BENCH_ARGS)

bench-quick: brokers ## every benchmark with few records: they work, their figures mean nothing
	$(BIN)/python -m pytest $(BENCHES) -n 0 --bench-quick $(PYTEST_ARGS)

dev: $(STAMPS)/native ## make .venv with an editable install
	@echo "ready: . $(BIN)/activate"
	@echo "after a change in ext/:  make dev, or $(BIN)/maturin develop --release -m ext/Cargo.toml"

wheel: $(STAMPS)/deps ## build dist/ with every CPython of this machine, and test the wheels in empty environments
	$(BIN)/python -m tests.support.wheels

# In an environment of its own, so that what audits is not audited.
audit: $(STAMPS)/native ## known vulnerabilities, licences and sources of all dependencies; needs GitHub and pypi.org
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	tests/support/audit.sh $(CURDIR)/$(BIN)/python $(CURDIR)/build/audit

clean: ## remove what was built here; the brokers in the cache stay
	rm -rf $(VENV) build dist ext/target ext/fuzz/target .pytest_cache .mypy_cache .ruff_cache .benchmarks .hypothesis
	find python tests -name '*.so' -delete -o -name __pycache__ -prune -exec rm -rf {} +
	rm -rf python/*.egg-info

preflight: ## check the tools, and install what Debian packages when root
	@tests/support/preflight.sh

# The build requirements are installed beside the rest, so that a rebuild needs neither isolation nor a network.
# The preflight runs every time (a tool can vanish, and a second of checks names it) but rebuilds nothing.
$(STAMPS)/deps: pyproject.toml | preflight
	"$$(tests/support/preflight.sh --python)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$($(BIN)/python -c \
		'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	$(BIN)/python -m pip install --disable-pip-version-check --no-build-isolation -e '.[dev,bench]'
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/native: $(STAMPS)/deps $(NATIVE)
	$(BIN)/python setup.py --quiet build_ext --inplace
	touch $@

# Before pytest, where the progress can be seen; no stamp, since the cache can be emptied by others.
brokers: $(STAMPS)/native
	@$(BIN)/python -m tests.support

.NOTPARALLEL:
.PHONY: audit brokers help demo docs reference screenshots test unit integration faults fuzz lint format bench bench-quick dev wheel clean preflight
