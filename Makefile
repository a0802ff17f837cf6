# Consilo's tasks. `make` alone lists them.
#
# Set-up happens once per content of a lock file: a target asks for a level (base < train < dev), and a stamp in
# .venv/.stamps tells whether the level's lock, as it is now, is installed. A level satisfies those below it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV ?= uv
VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/.stamps

# -- Set-up ------------------------------------------------------------------------------------------------------------

checksum = $(shell cksum < requirements/$(1).txt | tr ' ' -)
BASE_STAMP := $(STAMPS)/base-$(call checksum,base)
TRAIN_STAMP := $(STAMPS)/train-$(call checksum,train)
DEV_STAMP := $(STAMPS)/dev-$(call checksum,dev)
# The project is installed as a link to this folder: again only when its metadata or its scripts change.
PROJECT_STAMP := $(STAMPS)/project-$(shell sed '/^\[tool\./,$$d' pyproject.toml | cksum | tr ' ' -)

# $(call install,LEVEL): installs the lock of LEVEL, or of a higher level that is there already, never less over more.
define install
@level=$(1); \
for more in $(2); do if compgen -G '$(STAMPS)/'"$$more-*" > /dev/null; then level=$$more; fi; done; \
case $$level in base) covers='base';; train) covers='base train';; dev) covers='base train dev';; esac; \
echo "Installing requirements/$$level.txt into $(VENV) (once; again only when it changes)"; \
for one in $$covers; do rm -f $(STAMPS)/$$one-*; done; \
if command -v $(UV) > /dev/null; then \
    $(UV) pip install --python $(PY) --require-hashes --only-binary :all: -r requirements/$$level.txt; \
else \
    $(PY) -m pip --version > /dev/null 2>&1 || $(PY) -m ensurepip > /dev/null; \
    $(PY) -m pip install --disable-pip-version-check --no-input --require-hashes --only-binary :all: \
        -r requirements/$$level.txt; \
fi; \
mkdir -p $(STAMPS); \
for one in $$covers; do touch "$(STAMPS)/$$one-$$(cksum < requirements/$$one.txt | tr ' ' -)"; done
endef

$(PY):
	@command -v $(PYTHON) > /dev/null || { echo "Consilo needs Python 3.11 or newer, and '$(PYTHON)' is not there: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Consilo needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) -c 'import platform; print(platform.python_version())'): make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@rm -rf $(VENV)
	@if command -v $(UV) > /dev/null; then \
	    $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	elif $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null; then \
	    $(PYTHON) -m venv $(VENV); \
	else \
	    echo "'$(PYTHON)' cannot make virtual environments: install its venv module (on Debian and Ubuntu the package python3-venv), or uv." >&2; exit 1; \
	fi

$(BASE_STAMP): | $(PY)
	$(call install,base,train dev)

$(TRAIN_STAMP): | $(PY)
	$(call install,train,dev)

$(DEV_STAMP): | $(PY)
	$(call install,dev,)

# The build backend comes from the lock, so that nothing unpinned is downloaded.
$(PROJECT_STAMP):
	@rm -f $(STAMPS)/project-*
	@if command -v $(UV) > /dev/null; then \
	    $(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation -e .; \
	else \
	    $(PY) -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .; \
	fi
	@touch $@

.PHONY: setup-base setup-train setup-dev setup
setup-base: $(BASE_STAMP) $(PROJECT_STAMP)
	@:
setup-train: $(TRAIN_STAMP) $(PROJECT_STAMP)
	@:
setup-dev: $(DEV_STAMP) $(PROJECT_STAMP)
	@:
setup: setup-dev ## Make .venv with everything for development (the other targets do it when needed)

# -- Use ---------------------------------------------------------------------------------------------------------------

TASK ?= digits
TORCH_TASKS := digits breast_cancer
DEMO_LEVEL := $(if $(filter $(TASK),$(TORCH_TASKS)),train,base)
# $(call flag,VARIABLE,--flag): the flag with the variable's value, or nothing when the variable is not set.
flag = $(if $($(1)),$(2) '$($(1))')
DEMO_FLAGS = $(call flag,SILOS,--silos) $(call flag,ROUNDS,--rounds) $(call flag,TASK,--task) \
    $(call flag,ALPHA,--alpha) $(call flag,SEED,--seed) $(if $(filter-out 0 no false,$(KEEP)),--keep) \
    $(call flag,LEDGER,--ledger) $(call flag,STORE,--store) $(call flag,REPORT,--report)

.PHONY: help
help: ## List these targets
	@echo "Consilo: federated learning between organisations that do not trust each other"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: setup-$(DEMO_LEVEL) ## Train across silos on this machine; options: TASK SILOS ROUNDS ALPHA SEED LEDGER=fabric STORE=s3 KEEP=1 REPORT=file.json
	@exec $(PY) -m services.local $(DEMO_FLAGS)

FABRIC_FLAGS = $(call flag,ORGANISATIONS,--organisations) $(call flag,ORDERERS,--orderers) \
    $(call flag,BATCH_MS,--batch-timeout-ms)

.PHONY: fabric-up fabric-down fabric-status
fabric-up: setup-base ## Start a Fabric network in .fabric; options: ORGANISATIONS=HospitalA,HospitalB ORDERERS=3 BATCH_MS=50
	@exec $(PY) -m fabric up $(FABRIC_FLAGS)
fabric-down: setup-base ## End the Fabric network; option: REMOVE=1 removes its ledgers, keys and logs
	@exec $(PY) -m fabric down $(if $(filter-out 0 no false,$(REMOVE)),--remove)
fabric-status: setup-base ## Show the Fabric network's processes, blocks and addresses
	@exec $(PY) -m fabric status

# -- Images ------------------------------------------------------------------------------------------------------------

IMAGE_PREFIX ?= localhost/
TAG ?= dev
ENGINE ?= $(if $(shell command -v buildah),buildah,docker)
IMAGES ?= consilo consilo-trainer
comma := ,
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REVISION = $(shell git rev-parse HEAD 2> /dev/null || echo unknown)
BUILD = $(ENGINE) $(if $(filter buildah,$(notdir $(ENGINE))),build --layers,build)

.PHONY: images
images: ## Build the images; options: IMAGES=consilo IMAGE_PREFIX=localhost/ TAG=dev ENGINE=buildah|docker TORCH_INDEX=url PIP_CONFIG=file
	@command -v $(ENGINE) > /dev/null || { echo "Images are built by buildah or docker, and '$(ENGINE)' is not there: make images ENGINE=/path/to/one" >&2; exit 1; }
	@for image in $(IMAGES); do \
	    echo "Building $(IMAGE_PREFIX)$$image:$(TAG)"; \
	    $(BUILD) --target $$image --tag "$(IMAGE_PREFIX)$$image:$(TAG)" \
	        --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
	        $(if $(PIP_CONFIG),--secret id=pip$(comma)src='$(PIP_CONFIG)') \
	        $(if $(TORCH_INDEX),--build-arg TORCH_INDEX='$(TORCH_INDEX)') .; \
	done

# -- Kubernetes --------------------------------------------------------------------------------------------------------

# The tag that was asked for; without, the charts name their own version.
GIVEN_TAG = $(if $(filter command environment override,$(firstword $(origin TAG))),$(TAG))
K8S_FLAGS = $(call flag,IMAGE,--image) $(call flag,GIVEN_TAG,--tag) $(call flag,PULL,--pull-policy) \
    $(call flag,ROUNDS,--rounds) $(call flag,RUN,--run) $(call flag,ORDERERS,--orderers)

.PHONY: k8s-demo k8s-down
k8s-demo: setup-base ## Install Fabric and three organisations on the cluster that KUBECONFIG names, train, verify; options: IMAGE=registry/consilo TAG=dev PULL=Always ROUNDS RUN ORDERERS
	@exec $(PY) -m k8s up $(K8S_FLAGS)
k8s-down: setup-base ## Remove all that k8s-demo has installed
	@exec $(PY) -m k8s down

# -- Development -------------------------------------------------------------------------------------------------------

JOBS ?= 2
PYTEST = $(PY) -m pytest -q -n $(JOBS) --dist worksteal

.PHONY: test
test: setup-dev ## Run the tests, without faults and slow ones; options: JOBS=2 ARGS='-k name'
	@$(PYTEST) tests --ignore tests/faults --ignore tests/chart -m "not slow and not fabric and not e2e" $(ARGS)

.PHONY: test-faults
test-faults: setup-dev ## Kill, freeze and starve real processes during runs, without the long loops
	@$(PYTEST) tests/faults -m "not slow" $(ARGS)

# One after the other: they share one network, and what is measured against deadlines is a whole consortium.
.PHONY: test-fabric
test-fabric: setup-dev ## Run the tests on a real Fabric network (its binaries on PATH or in FABRIC_BIN)
	@$(PY) -m pytest -q tests -m "fabric and not slow and not e2e" $(ARGS)

.PHONY: test-chart
test-chart: setup-dev ## Check the charts: linter, schema, templates, and an API server's dry run where KUBECONFIG names one (needs helm)
	@$(PYTEST) tests/chart $(ARGS)

# One after the other: they share one cluster, and the kills of one would be the faults of another.
E2E_SETTINGS = CONSILO_E2E_IMAGE='$(IMAGE)' CONSILO_E2E_TAG='$(GIVEN_TAG)' CONSILO_E2E_PULL_POLICY='$(PULL)' CONSILO_E2E_KEEP='$(KEEP)'

.PHONY: e2e
e2e: setup-dev ## Install, train, kill, upgrade, verify on the cluster that KUBECONFIG names; options: IMAGE=registry/consilo TAG=dev PULL=Always KEEP=1
	@$(E2E_SETTINGS) $(PY) -m pytest -q -s tests/e2e -m e2e $(ARGS)

.PHONY: test-all
test-all: setup-dev ## Run all tests but those that need a cluster
	@$(PYTEST) tests -m "not e2e" $(ARGS)

.PHONY: lint
lint: setup-dev ## Check style, types, layers and the generated documentation
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(PY) -m tools.docs --check
	$(PY) -m tools.charts --check

.PHONY: format
format: setup-dev ## Put the code into the common format
	$(VENV)/bin/ruff check --fix-only
	$(VENV)/bin/ruff format

.PHONY: bench
bench: setup-dev ## Measure seconds per round and memory; options: LEDGER=fabric ARGS='...'
	@exec $(PY) -m benchmarks.rounds $(call flag,LEDGER,--ledger) $(ARGS)

BENCH_CASES := 1x2 100x2 1000x2 2200x2 100x16 1x64
BENCH_ROUNDS ?= 300
BENCH_RECORDS ?= 100000
BENCH_REPORTS := build/benchmarks

.PHONY: bench-more
bench-more: setup-dev ## Measure training against one process, a long run, a large ledger; options: BENCH_ROUNDS BENCH_RECORDS
	@$(PY) -m benchmarks.digits --report $(BENCH_REPORTS)
	@$(PY) -m benchmarks.long_run --rounds $(BENCH_ROUNDS) --report $(BENCH_REPORTS)
	@$(PY) -m benchmarks.large_ledger --records $(BENCH_RECORDS) --report $(BENCH_REPORTS)
	@$(PY) -m benchmarks.submits --report $(BENCH_REPORTS)

.PHONY: bench-docs
bench-docs: setup-dev ## Measure all cases and write docs/benchmarks.md (20 min, 40 GB of temporary files); option: LEDGER=fabric, for its tables too
	@$(PY) -m benchmarks.rounds $(addprefix --case ,$(BENCH_CASES)) --rounds 4 --report $(BENCH_REPORTS)
	@$(MAKE) bench-more
	@if [ '$(LEDGER)' = fabric ]; then $(PY) -m benchmarks.rounds --case 1x2 --ledger fabric --report $(BENCH_REPORTS); fi
	@$(PY) -m benchmarks.page $(BENCH_REPORTS) docs/benchmarks.md

.PHONY: docs
docs: setup-dev ## Generate docs/reference from the code, and the tables of the charts' READMEs
	$(PY) -m tools.docs
	$(PY) -m tools.charts

.PHONY: docs-check
docs-check: setup-dev ## Check that docs/reference and the charts' READMEs are what the code says
	$(PY) -m tools.docs --check
	$(PY) -m tools.charts --check

# Everything first; the smaller locks take its versions, so that each level can be installed over the one below.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) \
    pyproject.toml --group build --extra service --extra fabric --extra k8s --extra tasks

.PHONY: lock
lock: ## Write the lock files anew with uv; option: UPGRADE=1
	@command -v $(UV) > /dev/null || { echo "Locks are made by uv, and '$(UV)' is not there: make lock UV=/path/to/uv" >&2; exit 1; }
	$(COMPILE) --extra train --group dev -o requirements/dev.txt
	$(COMPILE) --extra train -c requirements/dev.txt -o requirements/train.txt
	$(COMPILE) -c requirements/dev.txt -o requirements/base.txt

.PHONY: clean
clean: ## Remove what was built and cached, .venv too
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
