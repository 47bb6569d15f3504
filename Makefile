# Everything runs in .venv, which `setup` makes from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: setup check test-anomalib test-faults test-operate demo test lint types unit docs head mlflow \
	bench-overhead bench-metrics pretrain eval-backbone bench-clip serve bench-serve browser \
	check-deploy simulate-scale fuzz test-clients

demo: setup  ## the main job on the factory: a Ray head on loopback, the benchmark, its table
	$(BIN)/python jobs/demo.py --output runs/demo-$$(date +%Y%m%d-%H%M%S) --shots 1 4 --seeds 0 1 \
		--methods padim patchcore spade finegrained:20epochs \
		--set finegrained:20epochs.training.epochs=20 $(ARGS)
	@echo "MLflow: make mlflow   Ray dashboard: make head, then make demo in another terminal"

test: setup check  ## set up, then everything that CI checks

check: lint  ## the same without setting up; mypy, then mkdocs, run beside the tests
	@+$(MAKE) --no-print-directory -j2 types unit docs

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:  # nice: beside the tests it takes what they leave
	nice $(BIN)/mypy

unit:  # the core's branches are counted where all tests run; and what takes longest is told
	$(BIN)/python -m pytest $(if $(ARGS),,--cov --durations=20) $(ARGS)

# --strict makes warnings errors; the variable silences the theme's notice that it ends in May 2027.
docs:  ## the site of docs/ in site/; then: .venv/bin/mkdocs serve
	NO_MKDOCS_2_WARNING=1 nice $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation lies in site/index.html"

test-faults: setup  ## nodes, processes, head, MLflow and disk fail during benchmarks
	$(BIN)/python -m pytest -m "" tests/faults $(ARGS)

# The system's packages need root; what is missing then is skipped, with its reason.
PACKAGES := postgresql redis-server prometheus
test-operate: setup .venv-manifests/.installed  ## databases, Redis and monitors of the real kind; twenty minutes
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[mlflow-server]'
	@command -v redis-server promtool psql >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq $(PACKAGES) >/dev/null; } || \
		echo "$(PACKAGES): not all could be installed; what needs them is skipped"
	.venv-manifests/bin/yamllint -c deploy/.yamllint deploy cluster.yaml
	.venv-manifests/bin/python -m tools.check_manifests
	$(BIN)/python -m pytest -m operate -n0 tests/operate $(ARGS)

.venv-manifests/.installed: Makefile
	$(PYTHON) -m venv .venv-manifests
	.venv-manifests/bin/pip install --quiet 'kubernetes-validate==1.37.*' 'yamllint==1.38.*'
	touch $@

head: setup  ## a Ray head on loopback until Ctrl-C
	$(BIN)/python jobs/head.py

mlflow: setup  ## the recorded runs at http://127.0.0.1:5000 until Ctrl-C
	$(BIN)/mlflow server --host 127.0.0.1 --port 5000 --workers 1 \
		--backend-store-uri sqlite:///$(CURDIR)/runs/mlflow.db \
		--artifacts-destination $(CURDIR)/runs/mlflow-artifacts

serve: setup  ## the server with its inspector at http://127.0.0.1:8000 until Ctrl-C
	$(BIN)/python jobs/serve.py $(ARGS)

bench-serve: setup  ## what serving costs beyond the computation; ten minutes
	$(BIN)/python -m benchmarks.bench_serve $(ARGS)

browser:  ## Chromium from the system's packages for the inspector's test; CI calls this
	@command -v chromium || command -v chromium-browser || \
		{ apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
		echo "no Chromium here, and none could be installed: the inspector's test is skipped"

fuzz: setup  ## 2,000 mutated images and bodies against a server; a minute
	FUZZ=2000 $(BIN)/python -m pytest -n0 tests/serving/test_server.py -k mutated

test-clients: setup .venv-clients/.installed  ## Triton's, KServe's client and curl against a server
	CLIENTS=$(CURDIR)/.venv-clients/bin/python $(BIN)/python -m pytest -n0 \
		tests/serving/test_server.py -k 'clients or curl' $(ARGS)

.venv-clients/.installed:
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet 'tritonclient[http]' kserve
	touch $@

bench-overhead: setup  ## what a trial costs beyond its detector
	$(BIN)/python -m benchmarks.bench_overhead

bench-metrics: setup  ## our metrics against 200 thresholds, 500 maps of 400 x 400
	$(BIN)/python -m tests.evaluation.slow_metrics

# CRDS: config/crd/bases of KubeRay's operator, with ray.io_rayjobs.yaml and ray.io_rayservices.yaml
check-deploy: setup  ## cluster.yaml and deploy/ against Ray's schemas and KubeRay's definitions
	KUBERAY_CRDS=$(abspath $(CRDS)) $(BIN)/python -m pytest tests/test_deploy.py

simulate-scale: setup  ## recorded benchmarks on 1 to 256 workers: make simulate-scale ARGS="runs/A"
	$(BIN)/python -m benchmarks.simulate_scale $(ARGS)

pretrain: setup  ## the bundled CLIP from nothing, below runs/pretrain_backbone
	$(BIN)/python jobs/pretrain_backbone.py $(ARGS)

eval-backbone: setup  ## what the bundled CLIP knows without a shot
	$(BIN)/finegrain exam $(ARGS)

bench-clip: setup  ## both paths of a ViT, and cut prompts, against open_clip
	$(BIN)/python -m benchmarks.bench_clip $(ARGS)

# DATA: folder of categories in the MVTec-AD layout, CATEGORY: one of them
test-anomalib: .venv-anomalib/.installed  ## the extra's tests; with DATA its PatchCore beside ours
	.venv-anomalib/bin/python -m pytest tests/detectors/test_anomalib_models.py
	$(if $(DATA),.venv-anomalib/bin/python -m tests.detectors.patchcore_against_anomalib \
		$(DATA) $(CATEGORY) $(ARGS))

.venv-anomalib/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv-anomalib
	$(PYTHON) tools/install.py .venv-anomalib dev anomalib
	touch $@

setup: .venv/.installed

.venv/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(PYTHON) tools/install.py .venv dev
	touch $@
