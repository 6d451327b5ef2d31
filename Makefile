# zerotag from a fresh clone: needs Python 3.11 or later and nothing else.
PYTHON ?= python3
BIN := .venv/bin
ZEROTAG := $(BIN)/zerotag
RUNS := demo/runs
RECIPES := gbe-fast fast0tag-fast

.PHONY: demo test check benchmarks clean

# Train on seen words, rank unseen ones, write demo/report.html. Stopped and called again, it goes on where it was.
demo: $(BIN)/.demo-ready
	$(ZEROTAG) data build pocket-scenes
	$(ZEROTAG) features pocket-scenes --backbone tf_efficientnet_lite0 --size-px 448 --map-side 9
	for recipe in $(RECIPES); do \
	    $(ZEROTAG) train $$recipe --out $(RUNS)/$$recipe --resume && \
	    $(ZEROTAG) eval $(RUNS)/$$recipe --setting zsl,gzsl || exit 1; \
	done
	mkdir -p demo/pictures && cp "$$($(ZEROTAG) data build pocket-scenes)"/images/test/0000*.png demo/pictures
	$(ZEROTAG) tag $(RUNS)/gbe-fast demo/pictures --labels pocket --top-k 5 --heatmaps demo/heatmaps
	$(ZEROTAG) report $(RECIPES:%=$(RUNS)/%) --out demo/report.html
	@echo 'Open this in a browser: $(abspath demo/report.html)'

test: $(BIN)/.dev-ready
	$(BIN)/pytest

check: $(BIN)/.dev-ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# Speed against named alternatives, twenty minutes, 5 GB of disk; benchmarks/README.md names those that train for an hour.
benchmarks: $(BIN)/.dev-ready
	for one in losses gbe_step extraction evaluation reading library; do $(BIN)/python benchmarks/$$one.py || exit 1; done

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "zerotag needs Python 3.11 or later; name one with: make demo PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(BIN)/.demo-ready: $(BIN)/uv pyproject.toml constraints.txt
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[pocket,library,server]'
	touch $@

$(BIN)/.dev-ready: $(BIN)/.demo-ready
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[pocket,words,formats,library,server,clip,research]' --group dev
	touch $@

clean:
	rm -rf .venv demo
