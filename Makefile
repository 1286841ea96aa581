# Everything that a checkout can do. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Python 3.10 to 3.13, as a command, a path or a version: `make demo PYTHON=3.12`.
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv 2>/dev/null),$(CURDIR)/.uv/bin/uv)
VENV ?= .venv
BIN := $(VENV)/bin
LOCKED := pyproject.toml constraints.txt
SUPPORTED := "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))"
LIBPYTHON := server/sightline_server/libpython.py
export UV_PYTHON_INSTALL_DIR := $(CURDIR)/.uv/python
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt
# The two ONNX Runtimes have the same files: whatever installs the one for CPUs breaks the other, and so does removing it.
TAKE_GPU := $(UV) pip uninstall --quiet --python $(BIN)/python onnxruntime && \
  $(INSTALL) --reinstall-package onnxruntime-gpu --editable '.[gpu]'
KEEP_GPU := @if [ -e $(VENV)/.gpu ]; then $(TAKE_GPU); fi

.PHONY: help demo models models-precision job-25k test lint types test-system check-deploy test-gpu install install-gpu constraints clean

help:  ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(VENV)/.demo  ## The main job on the bundled detector and pictures
	$(BIN)/sightline demo

test: lint types  ## Lint, types and every test that needs no system package
	$(BIN)/pytest -m "not system and not gpu" --ignore tests/deploy

lint: $(VENV)/.test  ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test  ## mypy --strict
	$(BIN)/mypy

test-system: $(VENV)/.test  ## The tests that need the packages of deploy/apt.txt
	$(BIN)/pytest -m system --ignore tests/deploy

check-deploy: $(VENV)/.test  ## Everything about the deployment that needs neither Docker nor a GPU (packages of deploy/apt.txt)
	$(BIN)/pytest tests/deploy tests/export/test_tensorrt_*.py

test-gpu: $(VENV)/.test  ## The tests that need an NVIDIA GPU; REQUIRE_GPU=1 makes the lack of one a failure
	$(BIN)/pytest -m gpu

install: $(VENV)/.install  ## Every extra, for your own models: then .venv/bin/sightline
	@echo "Installed. Next: $(BIN)/sightline --help"

install-gpu: $(VENV)/.install  ## ONNX Runtime for NVIDIA GPUs in place of the one for CPUs: `sightline serve` then uses them
	$(TAKE_GPU)
	@touch $(VENV)/.gpu

models: $(VENV)/.install  ## Export every supported model through the gate and write docs/models.md: hours
	$(BIN)/python -m sightline_bench.models_table

models-precision: $(VENV)/.install  ## Export models in every precision, compare them, and write docs/models-precision.md: an hour
	$(BIN)/python -m sightline_bench.precision_table

job-25k: $(VENV)/.install  ## Five models over 25,000 files, measured while it runs: hours; JOB="--images DIR --weights DIR"
	$(BIN)/python -m sightline_bench.job_25k $(JOB)

constraints: $(UV)  ## Pin every version anew, for Python 3.10 to 3.13
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.10 --all-extras --group dev pyproject.toml \
	  --output-file constraints.txt --no-header --no-annotate --no-emit-index-url --no-emit-find-links

clean:  ## Remove what make installed and wrote here (your exported models stay)
	rm -rf .uv $(VENV) demo-results .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.demo: $(VENV)/.python $(LOCKED)
	@echo "Installing what the demo needs ..."
	$(INSTALL) --editable '.[annotate,server]'
	$(KEEP_GPU)
	@touch $@

$(VENV)/.install: $(VENV)/.python $(LOCKED)
	@echo "Installing every extra (about 7.5 GB) ..."
	$(INSTALL) --editable '.[all]'
	$(KEEP_GPU)
	@touch $@ $(VENV)/.demo

$(VENV)/.test: $(VENV)/.python $(LOCKED)
	@echo "Installing every extra and the test tools (about 7.5 GB) ..."
	$(INSTALL) --editable '.[all]' --group dev
	$(KEEP_GPU)
	@touch $@ $(VENV)/.install $(VENV)/.demo

# tritonserver embeds this Python, so it must be of a supported version and have a shared library. Where the one that was
# named does not serve, uv brings one that does, under the checkout.
$(VENV)/.python: | $(UV)
	$(UV) venv --quiet --python "$(PYTHON)" $(VENV)
	@if ! $(BIN)/python -c $(SUPPORTED) || { [ "$$(uname -s)" = Linux ] && ! $(BIN)/python $(LIBPYTHON); }; then \
	  echo "$(PYTHON) is not Python 3.10 to 3.13 with a shared library, which tritonserver needs; asking uv for one ..."; \
	  rm -rf $(VENV); \
	  $(UV) venv --quiet --managed-python --python 3.12 $(VENV) || { \
	    echo "None could be had. Install your system's libpython (Debian: apt install libpython3-dev), or name another" \
	      "Python: make PYTHON=/path/to/python"; exit 1; }; \
	fi
	@touch $@

# A private uv under the checkout, where there is none.
$(CURDIR)/.uv/bin/uv:
	@echo "Getting uv into .uv ..."
	@rm -rf .uv
	@if python3 -m venv .uv 2>/dev/null; then .uv/bin/python -m pip install --quiet uv==$(UV_VERSION); \
	elif python3 -m pip --version >/dev/null 2>&1; then \
	  rm -rf .uv && python3 -m pip install --quiet --no-compile --target .uv uv==$(UV_VERSION); \
	else echo "python3 has neither venv nor pip. Install one (Debian: apt install python3-venv), or uv itself."; exit 1; fi
