# SPDX-License-Identifier: Apache-2.0
# make demo | test | test-transformers5 | lint | venv | export-venv | train-tiny | lock | clean. Two settings: where the venv goes, which Python makes it.
VENV ?= .venv
PYTHON ?= python3

# A Python of another venv that started make has left its libraries' path behind; the bootstrapper of the ROS wheels
# must look again.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(abspath $(VENV))/bin:$(PATH)

BIN := $(VENV)/bin
DONE := $(VENV)/.done
SOURCES := CMakeLists.txt package.xml pyproject.toml setup.py scripts/node.in $(shell find \
	action cmake config export gar_ros launch models msg rviz srv -type f -not -name '*.pyc' -not -path '*/checkpoint/*')

.PHONY: demo test test-transformers5 lint venv dev-venv export-venv train-tiny lock clean
.DEFAULT_GOAL := demo
# Two pips in one venv would get in each other's way.
.NOTPARALLEL:

demo: venv
	$(BIN)/python -m gar_ros.demo

test: dev-venv export-venv
	$(BIN)/python -m pytest

# The locked transformers is 4: the tests of the export once more with 5, which lies before it on the path.
test-transformers5: dev-venv export-venv
	@rm -rf build/transformers5
	$(BIN)/pip install --quiet --no-deps --target build/transformers5 --requirement requirements/transformers5.lock
	PYTHONPATH=build/transformers5 $(BIN)/python -m pytest tests/export

lint: dev-venv export-venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Hours: see export/gar_export/train/README.md.
train-tiny: export-venv
	PYTHONPATH=export export/gar_export/train/recipe.sh $(BIN)/python .runs/tiny

# The site of docs/, in build/docs.
docs: docs-venv
	$(BIN)/sphinx-build -W --keep-going -b html docs build/docs

docs-venv: $(DONE)/docs $(DONE)/runtime

.PHONY: docs docs-venv

venv: $(DONE)/package
dev-venv: $(DONE)/dev-machine $(DONE)/dev $(DONE)/package
export-venv: $(DONE)/export $(DONE)/package

$(DONE)/machine: scripts/doctor.sh
	@scripts/doctor.sh $(PYTHON) run
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/dev-machine: $(DONE)/machine
	@scripts/doctor.sh $(PYTHON) dev
	@touch $@

$(DONE)/package: $(DONE)/ros $(DONE)/runtime $(DONE)/sim $(SOURCES)
	@echo "gar_ros: building the ROS interfaces (a minute the first time)"
	@$(BIN)/pip install --quiet --no-build-isolation --no-deps --force-reinstall .
	@touch $@

$(DONE)/%: requirements/%.lock $(DONE)/machine
	@scripts/install_layer.sh $(VENV) $*
	@touch $@

# Newest versions that agree over all layers; each layer's lock is then complete and installed without resolving.
lock: $(DONE)/dev
	mkdir -p build
	$(UV_COMPILE) requirements/*.in --output-file build/all.lock
	for layer in ros runtime sim dev export docs; do \
		$(UV_COMPILE) requirements/$$layer.in --constraints build/all.lock --output-file requirements/$$layer.lock; done
	$(UV_COMPILE) requirements/robot.in --constraints build/all.lock --output-file requirements/robot.lock \
		--no-emit-package numpy

UV_COMPILE = $(BIN)/uv pip compile --universal --python-version 3.10 --upgrade --quiet --no-annotate \
	--custom-compile-command "make lock" \
	--no-emit-package lark --no-emit-package narwhals --no-emit-package plotly

clean:
	rm -rf build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache demo_out
