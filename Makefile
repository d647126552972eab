# make sweep [DATA=PATH]   the whole flow: on drawn faces, or on a real FER2013 copy
# make test                checkers and tests; make test-all adds the long ones
# make docs                the documentation as a site: build/docs/index.html
# make test-gpu            what a GPU must compute right; needs no network
# make wheelhouse [PYTHON=3.12]   all that a Linux machine without a network installs from

# A command, or the version of one: 3.12 means python3.12.
PYTHON ?= python3
interpreter := $(if $(filter 3.%,$(PYTHON)),python$(PYTHON),$(PYTHON))
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

.PHONY: sweep test test-all test-gpu check docs wheelhouse
.DELETE_ON_ERROR:

sweep: $(dataset)/manifest.json
	@if test -e $(run)/events.jsonl; \
	then $(RUN) tune resume $(run); \
	else $(RUN) tune run tune/specs/quick.yaml --data $(dataset) --name $(notdir $(run)); fi
	$(RUN) analysis report $(run)
	@echo "Read $(run)/report/report.html"

$(dataset)/manifest.json: | $(VENV)/ready
	$(RUN) data_prep $(prepare) --out $(dataset)

$(VENV)/ready: requirements.txt pyproject.toml
	$(interpreter) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

docs: $(VENV)/ready
	$(RUN) sphinx -q --fail-on-warning docs build/docs
	@echo "Read build/docs/index.html"

check: $(VENV)/ready
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy --num-workers auto

# Many tests wait for processes that start or die, so three at a time suit two cores. The long ones
# have time limits of their own, which three at a time would exceed. The commands that they start
# share compiled code, also where Python is told to write none.
test test-all: export PYTHONDONTWRITEBYTECODE =
test: check
	$(RUN) pytest --numprocesses 3 --dist worksteal

# A small Slurm, and machines that are reached by SSH.
cluster := slurmctld slurmd slurmdbd slurm-client mariadb-server munge openssh-server rsync iproute2
test-all: $(VENV)/ready
	@command -v chromium > /dev/null || { apt-get -qq update && apt-get -qq install -y chromium > /dev/null; }
	@which slurmctld slurmd slurmdbd mariadbd sbatch munged sshd rsync ip > /dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends $(cluster) > /dev/null; }
	$(RUN) pytest -m long --numprocesses 2 --dist worksteal

# A machine with a GPU may lack a network, and then has torch in a Python of its own.
test-gpu: run = $(if $(wildcard $(VENV)/ready),$(RUN),$(interpreter) -m)
test-gpu:
	$(run) benchmarks gpu --checks --minutes $(or $(MINUTES),9) --out $(or $(OUT),gpu-results)

# pip takes each platform by its name alone, so every one that glibc 2.28 carries is named.
MACHINE ?= x86_64
tags := $(addprefix manylinux_2_,$(shell seq 5 28)) manylinux1 manylinux2010 manylinux2014
wheelhouse: version = $(or $(filter 3.%,$(PYTHON)),$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
wheelhouse:
	@test -x $(VENV)/bin/pip || python3 -m venv $(VENV)
	$(VENV)/bin/pip download --quiet --disable-pip-version-check --only-binary=:all: \
		--python-version $(version) $(tags:%=--platform %_$(MACHINE)) \
		-d wheelhouse -r requirements.txt
	cp requirements.txt wheelhouse
	@echo "wheelhouse/ is for Python $(version): $$(du -sh wheelhouse | cut -f1)"
