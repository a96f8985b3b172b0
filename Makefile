# Every target does its own set-up; what it installs, it announces.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
QUANTIZERS := .venv-quantizers
BINDINGS := .bindings
DEMO_DB := .assay/assay.duckdb
PORT ?= 8501
.DEFAULT_GOAL := help

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## Make .venv with everything pinned; does nothing when nothing changed

$(STAMP): pyproject.toml constraints.txt
	@echo "setup: installing the pinned packages into $(VENV) (about 2 GB with PyTorch; some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip hatchling editables
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev
	@# silero-vad asks for torchaudio, which Assay does not need: its weights are read from its files.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps silero-vad
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt scikit-learn
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation \
		-e '.[pytorch,onnxruntime,dashboard,compiled,gpt2,quality]'
	@touch $(STAMP)

chromium:  ## Install Debian's Chromium for the browser tests, if no browser is there
	@command -v chromium >/dev/null || { \
		echo "chromium: installing the Debian packages chromium and fonts-liberation (apt-get)"; \
		SUDO=$$( [ "$$(id -u)" = 0 ] || echo sudo ); \
		$$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends chromium fonts-liberation >/dev/null; }

speech:  ## Install 25 s of real read speech (Debian package), if none is there
	@test -d /usr/share/pocketsphinx/test/data/librivox || { \
		echo "speech: installing the Debian package pocketsphinx-testdata (apt-get, 2 MB)"; \
		SUDO=$$( [ "$$(id -u)" = 0 ] || echo sudo ); \
		$$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends pocketsphinx-testdata >/dev/null; }

quantizers: $(QUANTIZERS)/.installed  ## Make .venv-quantizers with NVIDIA ModelOpt, which has pins of its own

$(QUANTIZERS)/.installed: constraints-quantizers.txt
	@echo "quantizers: installing NVIDIA ModelOpt and what it needs into $(QUANTIZERS) (about 1 GB with PyTorch; a minute or two)"
	@test -x $(QUANTIZERS)/bin/python || $(PYTHON) -m venv $(QUANTIZERS)
	@# ModelOpt asks for older versions of onnx and onnxruntime than it needs: every package is listed, none is resolved.
	@$(QUANTIZERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r constraints-quantizers.txt
	@touch $@

bindings: $(BINDINGS)/.installed  ## Fetch the Python bindings of TensorRT 10 and 11, without their libraries, to check calls against

# The bindings import on a host without a GPU where three libraries have the nine functions that they are linked against.
$(BINDINGS)/.installed: $(STAMP) tests/tensorrt_double/libraries.c constraints-bindings.txt
	@command -v cc >/dev/null || { \
		echo "bindings: installing the Debian packages gcc and libc6-dev (apt-get)"; \
		SUDO=$$( [ "$$(id -u)" = 0 ] || echo sudo ); \
		$$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null; }
	@echo "bindings: fetching the Python bindings of TensorRT 10 and 11 into $(BINDINGS) (6 MB each)"
	@mkdir -p $(BINDINGS)/libraries
	@grep -v '^#' constraints-bindings.txt | while read -r pin; do \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(BINDINGS)/$${pin##*==} "$$pin" || exit 1; \
	done
	@for name in nvinfer nvinfer_plugin nvonnxparser; do for major in 10 11; do \
		cc -shared -fPIC -Wl,-soname,lib$$name.so.$$major -o $(BINDINGS)/libraries/lib$$name.so.$$major tests/tensorrt_double/libraries.c || exit 1; \
	done; done
	@touch $@

demo: setup  ## Record a short real history of three models, then show it in the dashboard
	@test -f .assay/demo-recorded || $(MAKE) --no-print-directory history
	@$(BIN)/assay dashboard --db $(DEMO_DB) --port $(PORT)

history: setup  # the versions in the order they were written; a failing verdict is what the first two are for
	@echo "demo: quickstart on three versions (a minute or two)"
	@$(BIN)/assay run quickstart --db $(DEMO_DB) --version scaling=rounded --version digits=v1 || test $$? = 1
	@$(BIN)/assay run quickstart --db $(DEMO_DB) --version scaling=quantile-fixed --version digits=v2 || test $$? = 1
	@$(BIN)/assay run quickstart --db $(DEMO_DB) --version scaling=interpolated --version digits=v2
	@echo "demo: a stream with a biased state, in closed loop; and why the first version of scaling failed"
	@$(BIN)/assay run known-faults --db $(DEMO_DB) --only 'encoder_state_bias*'
	@$(BIN)/assay explain scaling/fp32/onnxruntime/recording/parity --run version:rounded --db $(DEMO_DB) --out .assay/explained
	@touch .assay/demo-recorded

lint: setup  ## Ruff, mypy, the import contracts and hadolint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/hadolint Dockerfile

format: setup  ## Let ruff format and fix
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

.PHONY: docs
docs: setup  ## Write docs/reference/ from the code
	@$(BIN)/python docs/generate.py

QUICK := tests/docs tests/test_architecture.py tests/dashboard/figures \
	$(addprefix tests/runner/,rules parity timing quality graphs workloads)

check: setup  ## Lint, and the tests of the rooms that start no worker: a minute or two
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -q -n logical -m "not slow and not browser" $(QUICK)

test: setup chromium speech quantizers bindings  ## Lint, then every test, real browser included
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n logical --dist loadscope

bench: setup  ## What Assay itself costs, against its peers; one JSON line each
	@for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:  ## Remove the environment, caches and the demo's books
	rm -rf $(VENV) $(QUANTIZERS) $(BINDINGS) .assay .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: help setup chromium speech quantizers bindings demo history lint format check test bench clean
