# Two commands do everything on a fresh machine: `make demo` and `make test`.
# They need Python 3.11 or newer, make and nothing else: the virtual environment and all packages are made here.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
SEED ?= 0
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
export TOKENIZERS_PARALLELISM = false

.PHONY: help setup demo demo-real demo-imitation test test-fast test-real endings soak self-checks sound-configs scale test-kernels test-formats test-cluster check docs bench bench-math hostile-math clean

help:
	@echo "make demo [SEED=1]   imitation, practice, comparison and a report, on two CPU cores (fifteen to twenty minutes)"
	@echo "make demo-real       the same with a real pretrained model, SmolLM2-135M (fetched, 94 MiB): 25 to 40 minutes"
	@echo "make demo-imitation  practice against more imitation and STaR at equal compute, three seeds: an hour and a half"
	@echo "make test            all tests but those of a real model (make test-fast: only the fast ones, five to ten minutes)"
	@echo "make test-real       the tests that need a real model: SmolLM2-135M, fetched first (twenty minutes to an hour)"
	@echo "make endings         start and end two ranks 200 times over ZeRO 0 to 3 (about three minutes)"
	@echo "make soak            two ranks killed at random ten times and started again, against a run in peace (ARGS=\"--seeds 0 1 2\")"
	@echo "make self-checks     the start-up check on SmolLM2: must pass in 32 combinations and catch 11 injected faults in each"
	@echo "make sound-configs   fifty sound configurations, of which reasonlab diagnose may find fault with one (two to five minutes)"
	@echo "make scale           the cost and scale sheet against runs of 1, 2 and 4 ranks on this machine, which must be quiet (five minutes)"
	@echo "make check           format, lint and types"
	@echo "make docs            the documentation as a site, in site/: open site/index.html (in an environment of its own)"
	@echo "make test-kernels    the GPU kernels, interpreted on the CPU (fetches Triton, 190 MB, beside .venv)"
	@echo "make test-cluster    launching on real hosts and a real Slurm (as root; skips what is not installed; about ten minutes)"
	@echo "make test-formats    reasoning-gym, inspect_ai and verifiers themselves (in two environments of their own, minutes)"
	@echo "make bench           update, sampling and whole step against TRL: speed and memory (under forty minutes)"
	@echo "make bench-math      the math verifier against math-verify, inspect_ai and MathRuler (in an environment of their own)"
	@echo "make hostile-math    a thousand pairs made to exhaust sympy (half an hour)"
	@echo "make setup           only the virtual environment in .venv"
	@echo "make clean           remove .venv, runs/, site/ and caches"

# Packages take 2.4 GB (PyPI's torch for CUDA: 7 more), and until all are in place pip keeps their downloads in TMPDIR. A line
# of df is a place: $$6 is its disk, which may be one for both, $$4 the KiB left there.
ROOM = NR > 1 {need[$$6] += NR == 2 ? 3 : 1; left[$$6] = $$4 / 1024 ^ 2} \
	END {for (disk in need) if (left[disk] < need[disk]) {short = 1; \
	printf "error: the set-up needs %d GB on %s (3 for .venv here, 1 while it installs in TMPDIR), and %.1f GB are left; make room, or set TMPDIR to another disk\n", need[disk], disk, left[disk]}; \
	exit short}

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer with venv was found; install one, or say make PYTHON=/path/to/python3.11"; exit 1; }
	@test -e $(BIN)/reasonlab || df -Pk . "$${TMPDIR:-/tmp}" | awk '$(ROOM)'
	@echo "Setting up .venv with $$($(PYTHON) --version): about 3 GB of packages, one to five minutes, once."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "error: cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)" || { echo "error: torch could not be installed from the package index, see above"; exit 1; }
	@DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/reasonlab train --help >/dev/null  # which loads what most commands need
	@touch $@
	@echo "Ready. Commands are in $(BIN); try $(BIN)/reasonlab --help"

demo: $(READY)
	$(BIN)/reasonlab demo --seed $(SEED) $(ARGS)

demo-real: $(READY)
	@$(BIN)/python -c 'import gguf' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[gguf]'
	$(BIN)/reasonlab demo --real --seed $(SEED) $(ARGS)

demo-imitation: $(READY)
	$(BIN)/reasonlab demo --with-imitation $(ARGS)

# in two processes; what goes to which stands in tests/conftest.py
FAST := -m pytest -m "not slow and not real" -n 2

test: $(READY)
	$(BIN)/python $(FAST) $(ARGS)
	$(BIN)/python -m pytest -m "slow and not real" -n 2 $(ARGS)

test-fast: $(READY)
	$(BIN)/python $(FAST) $(ARGS)

# fetched first, since a test without its model is skipped, and all skipped looks like all passed
test-real: $(READY)
	$(BIN)/reasonlab fetch smollm2-135m
	$(BIN)/python -m pytest -m real $(ARGS)

endings: $(READY)
	$(BIN)/python tests/support/starts_and_ends.py $(ARGS)

soak: $(READY)
	$(BIN)/python tests/support/soak.py $(ARGS)

self-checks: $(READY)
	$(BIN)/python tests/support/self_checks.py $(ARGS)

sound-configs: $(READY)
	$(BIN)/python tests/support/sound.py $(ARGS)

scale: $(READY)
	$(BIN)/python tests/support/scale.py $(ARGS)

hostile-math: $(READY)
	REASONLAB_HOSTILE_PAIRS=1000 $(BIN)/python -m pytest tests/rewards/math/test_symbolic_process.py -k many_hostile $(ARGS)

test-kernels: $(READY)
	@test -d .venv/kernels/triton || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv/kernels triton==3.6.0
	PYTHONPATH=.venv/kernels $(BIN)/python -m pytest tests/rl/update/test_fused.py tests/rl/sampling/test_triton_step.py $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/reasonlab bench $(ARGS)

GRADERS := .venv-graders

$(GRADERS)/.ready: Makefile
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer with venv was found; install one, or say make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(GRADERS)/bin/python || $(PYTHON) -m venv $(GRADERS)
	@$(GRADERS)/bin/python -m pip install --quiet --disable-pip-version-check 'math-verify[antlr4_13_2]==0.9.0' 'inspect_ai==0.3.285' 'mathruler==0.1.0' tqdm pylatexenc pydantic pyyaml 'sympy==1.14.0'
	@touch $@

bench-math: $(GRADERS)/.ready
	PYTHONPATH=. $(GRADERS)/bin/python -m bench.formulas $(ARGS)

FORMATS := .venv-formats

$(FORMATS)/.ready: Makefile pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer with venv was found; install one, or say make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(FORMATS)/bin/python || $(PYTHON) -m venv $(FORMATS)
	@$(FORMATS)/bin/python -m pip install --quiet --disable-pip-version-check 'reasoning-gym==0.1.25' 'inspect_ai==0.3.285' pydantic pyyaml numpy mpmath 'sympy==1.14.0' pytest hypothesis
	@touch $@

# heavy, and with pins of its own
TASKSETS := .venv-verifiers

$(TASKSETS)/.ready: Makefile
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer with venv was found; install one, or say make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(TASKSETS)/bin/python || $(PYTHON) -m venv $(TASKSETS)
	@$(TASKSETS)/bin/python -m pip install --quiet --disable-pip-version-check 'verifiers==0.4.0' pydantic pyyaml numpy mpmath 'sympy==1.14.0' rich pytest hypothesis
	@touch $@

test-formats: $(FORMATS)/.ready $(TASKSETS)/.ready
	PYTHONPATH=. $(FORMATS)/bin/python -m pytest tests/rewards/test_gym.py tests/rewards/test_inspect.py $(ARGS)
	PYTHONPATH=. $(TASKSETS)/bin/python -m pytest tests/rewards/test_taskset.py $(ARGS)

SITE := .venv-docs

$(SITE)/.ready: Makefile
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer with venv was found; install one, or say make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(SITE)/bin/python || $(PYTHON) -m venv $(SITE)
	@$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check 'mkdocs==1.6.1' 'mkdocs-material==9.8.2' pydantic pyyaml numpy mpmath rich
	@touch $@

# the variable silences what is said in mkdocs.yml
docs: $(SITE)/.ready
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/python -m mkdocs build --quiet --strict $(ARGS)

# apt-get install iproute2 openssh-client openssh-server pdsh slurmctld slurmd slurm-client munge
test-cluster: $(READY)
	REASONLAB_CLUSTER=1 $(BIN)/python -m pytest tests/launch/nodes/test_cluster.py $(ARGS)

clean:
	rm -rf .venv $(GRADERS) $(FORMATS) $(TASKSETS) $(SITE) site runs .pytest_cache .mypy_cache .ruff_cache *.egg-info build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
