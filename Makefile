# What one does with this checkout. Everything runs from .venv; nothing is written into the checkout but .venv and caches.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON := .venv/bin/python
STACK ?= dev

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/installed: requirements-dev.txt
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

.venv-fetch/installed: images/fetch/requirements-dev.txt
	python3 -m venv .venv-fetch
	.venv-fetch/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r images/fetch/requirements-dev.txt
	@touch $@

.PHONY: venv
venv: .venv/installed ## make .venv from the hash-pinned requirements

.PHONY: dev ask dev-down
dev: venv ## from an empty machine to an answer: the embedded cluster with the dev stack (root, Debian 12)
	@$(PYTHON) -m local dev
ask: venv ## ask the served model again: make ask QUESTION="..."
	@$(PYTHON) -m local ask $(if $(QUESTION),--question "$(QUESTION)")
dev-down: venv ## take it down: no process, mount, bridge or packet filter rule stays; builds do
	@$(PYTHON) -m local down

.PHONY: plan preview up destroy watch bench-deployed
plan: venv ## the plan of STACK=a100-bf16 and of other GPUs for its model; needs no cluster
	@$(PYTHON) -m planning Pulumi.$(if $(filter dev,$(STACK)),a100-bf16,$(STACK)).yaml --compare
preview up destroy: venv ## run the program on STACK=dev without a language host
	@$(PYTHON) -m local.stack $@ $(STACK)

watch: venv ## show what STACK=dev does while it serves: state, requests, tokens a second, queue, KV cache, last failure
	@$(PYTHON) -m local.watch $(STACK)

bench-deployed: venv ## measure the deployed STACK=dev again, whose benchmark is enabled
	@$(PYTHON) -m local.measure $(STACK)

SAMPLED = "not faults or sample"
KINDS = test-unit test-images test-endpoint test-monitoring test-properties test-locks test-cluster test-serving
.PHONY: test lint test-faults coverage $(KINDS)
test: lint $(KINDS) ## every test, lint and types
lint: venv ## ruff, types in strict mode, and linters of imports, packages, workflows, scripts, Dockerfiles, secrets and manifests
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/basedpyright
	$(PYTHON) -m local linters
	$(PYTHON) -m tests.lint
test-unit: venv ## two minutes: components against a mocked engine, the plan, the embedded cluster's pure parts
	$(PYTHON) -m pytest -n 2 tests/unit
test-images: servers .venv-fetch/installed ## two minutes: the programs of the pods, with real git, git-lfs and servers on loopback
	$(PYTHON) -m pytest -n 2 -m $(SAMPLED) images local/git-server
test-endpoint: servers ## a minute: the door's configuration, by Debian's HAProxy on loopback
	$(PYTHON) -m pytest -n 2 tests/endpoint
test-monitoring: servers ## a minute: each alert fires and clears, by Debian's promtool and Prometheus
	$(PYTHON) -m pytest -n 2 tests/monitoring
test-properties: venv ## a minute: the plan over the whole space, and a sample of 10,000 random stack files
	$(PYTHON) -m pytest -m $(SAMPLED) tests/properties
test-locks: venv ## the hash-pinned requirements of the images resolve for their Python and platform
	$(PYTHON) -m pytest tests/locks
test-cluster: venv ## a quarter of an hour: real engine, API server and operator; simulated GPU nodes
	$(PYTHON) -m local build
	$(PYTHON) -m local linters
	$(PYTHON) -m pytest -m $(SAMPLED) tests/cluster
test-serving: servers ## half an hour: make dev's path with real pods, and the answer
	$(PYTHON) -m pytest -s -m $(SAMPLED) tests/serving
coverage: venv ## ten minutes: the lines of components/ and planning/ that the unit tests do not run, with a floor
	$(PYTHON) -m coverage run -m pytest tests/unit/components tests/unit/planning tests/unit/images
	$(PYTHON) -m coverage report
test-faults: servers .venv-fetch/installed ## two hours: every change, failure and interruption, of which make test runs a sample (root)
	$(PYTHON) -m local build
	$(PYTHON) -m pytest -m faults images tests/properties tests/cluster
	$(PYTHON) -m pytest -s -m faults tests/serving

.PHONY: servers
servers: venv ## install what tests run from Debian, and start nothing: git-lfs, HAProxy, Prometheus, Alertmanager, a registry
	@type -P docker-registry git-lfs haproxy htpasswd prometheus prometheus-alertmanager > /dev/null || $(PYTHON) -m local servers

.PHONY: lock reference model
model: venv ## write planning/models from a repository's own files: make model REPOSITORY=https://HOST/OWNER/NAME REVISION=COMMIT [FOLDER=…]
	@$(PYTHON) -m planning.headers "$(REPOSITORY)" "$(REVISION)" $(if $(FOLDER),--folder "$(FOLDER)")
reference: venv ## write docs/stack-file.md and its JSON schema from planning/sections
	$(PYTHON) -m planning.settings.reference
lock: venv ## write the hash-pinned requirements from the .in files
	$(PYTHON) -m local.building.locks

.PHONY: bench bench-weights bench-load bench-prefix dashboard gpu-row gpu-network gpu-plain gpu-pods gpu-deployment
bench: servers ## benchmarks, into bench/results.json: preview_ratio, scale, proxy
	$(PYTHON) -m local build
	$(PYTHON) -m bench.preview
	$(PYTHON) -m bench.plan
	$(PYTHON) -m bench.scale
	$(PYTHON) -m bench.proxy
bench-weights: servers ## a download beside plain `git clone`, into bench/weights.json
	$(PYTHON) -m bench.weights
bench-load: ## on a machine with vLLM (root): what pipeline stages read of a checkpoint; on two GPUs with LOAD=--gpus
	PYTHONPATH=.:local/git-server python3 -m bench.loading $(LOAD)
bench-prefix: servers ## what conversations save that come back to their engine: VLLM_PYTHON=… is a Python with vLLM 0.32 for CPUs
	$(PYTHON) -m bench.prefix $(VLLM_PYTHON)
dashboard: venv ## with the cluster of make dev up: ask the dev stack and draw its dashboard, docs/dashboard.png
	PYTHONPATH=.:images/ray-vllm/programs/shared:images/ray-vllm/programs/supervisor $(PYTHON) -m tests.recorders.record_dashboard
gpu-row: ## on a machine with GPUs and vLLM: measure one row, into bench/gpu/rows.json (docs/gpu-memory.md)
	PYTHONPATH=.:local/git-server python3 -m bench.gpu $(ROW)
gpu-pods: venv ## what the pods of a stack run, for gpu-deployment: PODS='--gpu NVIDIA-H200 --layers 5 --serving {…}' > pods.json
	@$(PYTHON) -m bench.gpu.pods $(PODS)
gpu-deployment: ## on a machine with GPUs, Ray and vLLM: serve as these pods do, and tell the time of each step
	PYTHONPATH=.:local/git-server python3 -m bench.gpu.deployment $(DEPLOYMENT)
gpu-plain: ## on a machine with GPUs and vLLM: how long plain `vllm serve` takes to start there, in an empty home
	PYTHONPATH=.:local/git-server python3 -m bench.gpu.plain $(PLAIN)
gpu-network: ## on a machine with GPUs and PyTorch: the network proof, played as one node and as several
	python3 -m bench.gpu.network
