# make sweep [DATA=PATH]   the whole flow: on drawn faces, or on a real FER2013 copy
# make test                checkers and tests; make test-all adds the long ones

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m

ifdef DATA
dataset := data/fer2013
prepare = fer2013 --images $(DATA)
else
dataset := data/synthetic
prepare = synthetic
endif
run := runs/quick-$(notdir $(dataset))

.PHONY: sweep test test-all check
.DELETE_ON_ERROR:

sweep: $(dataset)/manifest.json
	@if test -e $(run)/events.jsonl; \
	then $(RUN) tune resume $(run); \
	else $(RUN) tune run tune/specs/quick.yaml --data $(dataset) --name $(notdir $(run)); fi
	$(RUN) analysis report $(run)
	@echo "Read $(run)/report/report.html"

$(dataset)/manifest.json: | $(VENV)/ready
	$(RUN) data_prep $(prepare) --out $(dataset)

$(VENV)/ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

check: $(VENV)/ready
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

test: check
	$(RUN) pytest

test-all: $(VENV)/ready
	$(RUN) pytest -m long
