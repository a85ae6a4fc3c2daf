# make venv   .venv with everything that the commands and the tests need
# make test   lint, types, import contracts, all tests (makes the venv first); eleven minutes on two cores
# make test-fast   tests without processes and trainings; under 90 seconds
# make api    docs/api.md, the public API as its docstrings tell it
# make compare   our method and the published ones, trained for the same time: a table and a page; QUICK=1 for a few steps of each
# make app    a page with a microphone, on this machine alone: speak, and see drawings
# make demo   personas, trainings, reports and a page (makes the venv first); QUICK=1 for the three-minute version
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: venv lint test-fast test api app demo compare clean

venv: $(STAMP)

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "wav2face needs Python 3.10 or newer: make PYTHON=python3.12 venv")'
	@echo 'installing everything into $(VENV): about 7 GB, three to four minutes'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[faces,dlib,hf,personas,videos,ray,demo,dev]'
	# Only its weights are read; a dependency of its code needs a compiler, so it comes without any.
	$(BIN)/python -m pip install --quiet --no-deps 'resemblyzer == 0.1.4'
	@touch $(STAMP)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One torch thread a worker: oversubscribed cores are slower than idle ones. A file stays in one worker, because its
# tests share what they prepared; files start in the order of tests/conftest.py.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-fast: $(STAMP)
	$(PYTEST) -m 'not slow'

test: lint
	$(PYTEST)

api: $(STAMP)
	$(BIN)/python scripts/make_api.py

app: $(STAMP)
	@$(BIN)/python scripts/app.py

demo: $(STAMP)
	@$(BIN)/python scripts/demo.py $(if $(QUICK),--quick)

compare: $(STAMP)
ifdef QUICK
	@test -d runs/compare-quick/dataset || $(BIN)/python scripts/make_personas.py --out runs/compare-quick/dataset --identities 60 --images 2 --clips 2 --face-size 64
	@$(BIN)/python scripts/compare.py --quick --dataset runs/compare-quick/dataset --out runs/compare-quick/results
else
	@$(BIN)/python scripts/compare.py
endif

clean:
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache
