# CV-Aliens. `make demo` runs the main job on the sample hotels, `make test` passes the tests; both set up what they need.

PYTHON ?= python3
FAISS ?= $(if $(shell nvidia-smi -L 2>/dev/null),gpu,cpu)# the build for NVIDIA's GPUs where one answers
ROUNDS ?= 20# faults of each kind of work, by `make faults`
SEED ?= $(shell date +%s)# of what chooses where they come
PINS ?= constraints.txt# the versions that the tests ran with; make install PINS= takes the newest that pyproject.toml allows
WORKERS ?= $(shell awk -v cores=$$(nproc) '/MemTotal/ { print($$2 > 5e6 * (cores + 1) ? cores + 1 : "auto") }' /proc/meminfo 2>/dev/null || echo auto)# tests side by side: one more than cores where there is memory for it, since many wait
COMMA := ,
LITE := $(if $(filter cpu,$(FAISS)),$(COMMA)milvus-lite)# milvus-lite brings faiss-cpu, which must not lie beside faiss-gpu
VENV := .venv
BIN := $(VENV)/bin

.PHONY: all demo test test-postgres install format lint typecheck translations openapi bench mutants measured site shown faults fuzz audit constraints help
.DEFAULT_GOAL := help

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.demo-installed ## Add the sample hotels with the embedded model and search them
	$(BIN)/aliens demo

test: $(VENV)/.dev-installed ## Run the tests, side by side
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

faults: $(VENV)/.dev-installed ## Have files fail and processes be killed for long: ROUNDS=20 of each kind of work, SEED=N chooses where
	$(BIN)/python -m pytest tests/faults -n $(WORKERS) --dist loadfile --fault-rounds $(ROUNDS) --fault-seed $(SEED) -rP

test-postgres: $(VENV)/.dev-installed ## Run the tests of db/, indexer/ and search/ with rows in PostgreSQL; WHICH='-m every_database': the core of them
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --database postgresql $(WHICH) tests/db tests/indexer tests/search

fuzz: $(VENV)/.dev-installed ## Fuzz what reads photos, tables, archives, queries; FUZZ='--minutes 60 --target tar'
	$(BIN)/python -m tests.fuzz $(FUZZ)

install: $(VENV)/.dev-installed ## Set up .venv with everything that developing needs

format: $(VENV)/.dev-installed ## Format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lint: $(VENV)/.dev-installed ## Check style and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

typecheck: $(VENV)/.dev-installed ## Check the types
	$(BIN)/mypy

audit: $(VENV)/.dev-installed ## Look for what is insecure in the code, and for known vulnerabilities of the pinned packages
	$(BIN)/bandit -q -c pyproject.toml -r aliens analysis base commands db embedding indexer restyle search training web cli.py
	$(BIN)/python .ci/audit.py

constraints: $(VENV)/.dev-installed ## Pin the versions that are installed here: after the newest were installed and tested
	$(BIN)/python .ci/constraints.py

translations: $(VENV)/.dev-installed ## Make the catalogues of the pages' texts of their parts, and say what lacks a translation
	$(BIN)/python -m web.catalogues

openapi: $(VENV)/.dev-installed ## Write docs/openapi.json, which describes the API
	$(BIN)/python -m web.openapi_file

bench: $(VENV)/.dev-installed ## Measure speeds, as ratios within one run, and what tags, searches and restyled photos are worth (about an hour, 12 GB of disk)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/rescan.py
	$(BIN)/python benchmarks/hotels50k_tree.py
	$(BIN)/python benchmarks/vectors_io.py
	$(BIN)/python benchmarks/embed.py
	$(BIN)/python benchmarks/embed.py --size 1024x728 --photos 1000 --model vit-b-32
	$(BIN)/python -W ignore benchmarks/ray_speed.py
	$(BIN)/python benchmarks/formats.py
	$(BIN)/python benchmarks/model_speed.py
	$(BIN)/python benchmarks/backends.py
	$(BIN)/python -W ignore benchmarks/tagging.py
	$(BIN)/python -W ignore benchmarks/web_speed.py
	$(BIN)/python -W ignore benchmarks/web_drafts.py
	$(BIN)/python -W ignore benchmarks/web_paint.py
	$(BIN)/python benchmarks/web_scroll.py
	$(BIN)/python benchmarks/tag_quality.py
	$(BIN)/python benchmarks/labels.py
	$(BIN)/python benchmarks/suggestions.py
	$(BIN)/python -W ignore benchmarks/search_speed.py
	$(BIN)/python -W ignore benchmarks/batch_search.py
	$(BIN)/python -W ignore benchmarks/milvus_server.py
	$(BIN)/python -W ignore benchmarks/text_query.py
	$(BIN)/python -W ignore benchmarks/cold_search.py
	$(BIN)/python -W ignore benchmarks/growing.py
	$(BIN)/python -W ignore benchmarks/committer.py
	$(BIN)/python benchmarks/stats_speed.py
	$(BIN)/python benchmarks/duplicates.py
	$(BIN)/python -W ignore benchmarks/soak.py
	$(BIN)/python benchmarks/search_quality.py
	$(BIN)/python -W ignore benchmarks/restyle_quality.py
	$(BIN)/python benchmarks/regrading.py
	benchmarks/against_clip_retrieval.sh
	$(BIN)/python benchmarks/gpu.py
	$(BIN)/python benchmarks/measured.py

mutants: $(VENV)/.dev-installed ## Put small faults into the code and see which of them no test notices: WHICH='--each 60 --seed 1', or '--all' (hours)
	$(BIN)/python -m pip install -q $(PIP_FLAGS) -e '.[mutants]'
	$(BIN)/python tests/mutants.py $(WHICH)

measured: $(VENV)/.dev-installed ## Fill docs/measured.md from the records of benchmarks
	$(BIN)/python benchmarks/measured.py

site: $(VENV)/.dev-installed ## Make a site of docs/ in site/, which needs no network: open site/index.html
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs site

shown: $(VENV)/.dev-installed ## Write anew what the tutorials and figures of docs/ show, after another model or other words (some minutes)
	$(BIN)/python docs/outputs.py

all: format lint typecheck test ## Everything that is checked before a commit

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "CV-Aliens needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-installed: pyproject.toml $(PINS) | $(VENV)/bin/python
	@echo "Setting up $(VENV): PyTorch is large, the first time takes minutes."
	$(BIN)/python -m pip install $(PIP_FLAGS) $(addprefix -c ,$(PINS)) -e '.[$(FAISS)]'
	@touch $@

$(VENV)/.dev-installed: pyproject.toml $(PINS) | $(VENV)/bin/python
	@test -e $(VENV)/.demo-installed || echo "Setting up $(VENV): PyTorch is large, the first time takes minutes."
	$(BIN)/python -m pip install $(PIP_FLAGS) $(addprefix -c ,$(PINS)) -e '.[$(FAISS),dev$(LITE)]'
	@touch $(VENV)/.demo-installed $@
