# Needs: make, Python 3.11 or newer, Go (or ready binaries, see README.md) for the control plane, and for
# `make test` Prometheus on the PATH or apt-get, by which it is fetched.
# `make` alone lists the targets.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CHART  := deploy/helm/amove-operator
READY  := $(VENV)/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# A cluster of yours is touched only when you name it on make's command line (make demo KUBECONFIG=…).
chosen = $(filter-out 0 no false,$(call given,$(1)))
given = $(if $(filter command line,$(origin $(1))),$($(1)))
unexport KUBECONFIG KEEP NODE

# Set on some machines: then each of the many processes of a run compiles 750 modules anew, a second of CPU.
unexport PYTHONDONTWRITEBYTECODE

# Python compiles what it imports: compiling all that is installed would double the time.
# The lock is complete, and pip check proves it: were pip to resolve as well (no --no-deps), a release newer
# than the pinned one of a package that is wanted with an extra would make it fail.
PIP        := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
UNIT_TESTS := tests/unit tests/emulator
PYTEST     := $(BIN)/python -m pytest
COMPILE    := $(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

.PHONY: help
help: ## List what make can do
	@echo "Usage: make <target>"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: controlplane ## Watch the whole job; KEEP=1 leaves it running, NODE=1 has pods (root), KUBECONFIG=… uses your cluster
	@$(if $(call chosen,NODE),$(BIN)/python -m node run -- )$(BIN)/python -m demo $(if $(call chosen,NODE),--node) $(if $(call chosen,KEEP),--keep) \
		$(if $(call given,KUBECONFIG),--kubeconfig "$(KUBECONFIG)")

.PHONY: test
test: lint controlplane prometheus ## Lint and every test but the long ones, with coverage (12 minutes on two cores)
	@echo "== Tests, on real control planes"
	@rm -f .coverage .coverage.*
	$(BIN)/python -m tests.side_by_side --durations=15
	@$(BIN)/coverage combine --quiet
	@echo "== Coverage by the tests that need next to no control plane; of all: make coverage"
	@$(BIN)/coverage report

.PHONY: coverage
coverage: controlplane ## The same tests, with the lines counted that every process runs: half as long again
	@rm -f .coverage .coverage.*
	$(BIN)/python -m tests.side_by_side --cov --cov-report=
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.PHONY: test-unit
test-unit: $(READY) ## A quick look: the tests that need no control plane
	$(PYTEST) $(wildcard $(UNIT_TESTS))

.PHONY: test-long
test-long: controlplane prometheus ## The tests that take long (marker: long); the last part, test-node-long, needs root
	$(PYTEST) -m "long and not node" --timeout 3600 --durations=15
	@$(MAKE) --no-print-directory test-node-long

.PHONY: soak
soak: controlplane ## Ten minutes in which everything goes wrong; SOAK_SEED=… does it again, SOAK_SECONDS=… is shorter
	$(PYTEST) tests/faults/test_soak.py -m long

.PHONY: test-busy
test-busy: controlplane prometheus ## The tests beside two busy loops; TESTS="tests/unit/amove -x" runs some of them
	$(BIN)/python -m tests.busy --durations=15 $(TESTS)

.PHONY: node
node: $(READY) ## What a real node needs, into the cache: programs, Debian packages, images (root; 4 minutes once)
	@$(BIN)/python -m node build

.PHONY: test-node
test-node: $(READY) ## A rehearsed release, the image and the chart on a real node in namespaces of its own, and a browser (root; 6 minutes)
	$(BIN)/python -m release --rehearse --output dist/rehearsal
	$(BIN)/python -m tests.on_nodes --durations=10

.PHONY: test-node-long
test-node-long: $(READY) ## The part of test-long that needs a node (root; 11 minutes, most of it waiting)
	$(BIN)/python -m node run -- $(PYTEST) tests/node -m "node and long" --timeout 3600

.PHONY: screenshot
screenshot: $(READY) ## Write docs/images/page.png, the page of examples/app in a browser (root)
	SCREENSHOT=docs/images/page.png $(BIN)/python -m node run -- $(PYTEST) tests/node/test_page.py -m node

.PHONY: clients
clients: $(READY) ## What a Secret is handed to in the tests: SDKs and tools, built once (2 minutes), then reused
	@$(BIN)/python -m clients

.PHONY: flux
flux: $(READY) ## Flux's kustomize-controller: built once with Go (5 minutes), then reused
	@$(BIN)/python -m flux_tools >/dev/null

.PHONY: test-gitops
test-gitops: controlplane clients flux ## GitOps and applications: Flux, kstatus, Argo CD's checks, clients in other languages
	$(PYTEST) tests/gitops -m "gitops and not long" --durations=10

.PHONY: sbom
sbom: $(READY) ## Build the image, and write what is in it, by Syft: dist/sbom.cdx.json (CycloneDX; root)
	@$(BIN)/python -m release --bill dist/sbom.cdx.json

.PHONY: install-yaml
install-yaml: $(READY) ## Write dist/install.yaml, the chart for kubectl apply: IMAGE=…, and VALUES=file for more values
	@$(BIN)/python -m install_yaml "$(call given,IMAGE)" dist/install.yaml $(call given,VALUES)

.PHONY: lint
lint: $(READY) ## ruff, mypy --strict, the import contracts
	@echo "== Lint"
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(READY) ## Let ruff put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: venv
venv: $(READY) ## The virtual environment in .venv, from requirements/dev.lock

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1): make PYTHON=python3.11" >&2; exit 1; }
	@echo "== Creating the virtual environment $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)
	@echo "== Installing $$(grep -c == requirements/dev.lock) pinned packages; the first time takes a minute or two"
	@$(PIP) --no-deps --require-hashes --requirement requirements/dev.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check --disable-pip-version-check >/dev/null
	@touch $@

.PHONY: controlplane
controlplane: $(READY) ## The control plane's binaries: built once with Go, then reused
	@$(BIN)/python -m controlplane build >/dev/null

.PHONY: prometheus
prometheus: $(READY) ## Prometheus and promtool, which some tests ask: Debian's package, unpacked into the cache
	@$(BIN)/python -m prometheus_tools >/dev/null

.PHONY: docs
docs: $(READY) ## The documentation as a site: dist/site (MkDocs, kept in the cache; links are checked)
	@$(BIN)/python -m docs_site

.PHONY: release
release: $(READY) ## All that a release has, signed, into dist/release-…: IMAGE=repository COSIGN_KEY=file; REHEARSE=1 needs neither
	@$(BIN)/python -m release --image "$(call given,IMAGE)" --base "$(call given,BASE)" \
		$(if $(filter-out 0 no false,$(call given,REHEARSE)),--rehearse)

.PHONY: crds
crds: $(READY) ## Write the CRDs from the models, for kubectl and for the chart
	$(BIN)/amove-operator crds --output deploy/crds
	@mkdir -p $(CHART)/files/crds
	cp deploy/crds/*.yaml $(CHART)/files/crds/

.PHONY: lock
lock: $(READY) ## Choose the newest versions that fit together and pin them with their hashes
	$(COMPILE) pyproject.toml --group dev --output-file requirements/dev.lock >/dev/null
	$(COMPILE) pyproject.toml --constraint requirements/dev.lock --output-file requirements/runtime.lock >/dev/null
	$(COMPILE) --group build --constraint requirements/dev.lock --output-file requirements/build.lock >/dev/null
	$(COMPILE) --group docs --output-file requirements/docs.lock >/dev/null
	$(COMPILE) --group clients --output-file requirements/clients.lock >/dev/null

.PHONY: bench
bench: controlplane ## Measure speed, memory and fairness; RECORD=1 writes docs/benchmarks.md (45 minutes)
	@$(BIN)/python -m bench $(if $(call chosen,RECORD),--record)

.PHONY: clean
clean: ## Remove what was made here; the control plane's binaries stay in their cache
	rm -rf $(VENV) dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find operator dev tests -type d -name __pycache__ -prune -exec rm -rf {} +
