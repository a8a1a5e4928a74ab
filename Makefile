# make run: everything on this machine, with demo data.   make test: everything that CI checks.
# Both need nothing but make and Python 3.11 or newer with venv.

PYTHON ?= python3
BIN := .venv/bin

help:
	@echo "make run     start webhookhub with demo data (PORT=8000 RECEIVER_PORT=9000)"
	@echo "make test    lint, checks and all tests"
	@echo "make check   Django's checks, migrations and the import rules alone"
	@echo "make fmt     format the code"
	@echo "make faults  kills, restarts, full disks: minutes of them, counted (SEED=… repeats a run)"
	@echo "make bench   all benchmarks, kept in docs/performance.jsonl (BENCH=\"latency memory\": these alone)"
	@echo "make bench-throughput      posts per second against a bare requests loop"
	@echo "make bench-slow-receivers  posts per second to receivers that take 200 ms"
	@echo "make bench-latency         from the commit to the receiver, and what an idle system costs"
	@echo "make bench-fairness        what one seller's trouble does to the others"
	@echo "make bench-memory          the memory of a worker over 200,000 posts"
	@echo "make bench-paging          page 1 and page 1,000 of the History, on a million posts"
	@echo "make bench-legacy-import   the import of a million old posts, and their pages"
	@echo "make bench-import          rows per second of import_transactions"
	@echo "make bench-fan-out         what a change of status costs with 0 to 100 configurations"
	@echo "make messages              collect the strings for translation, and compile the translations"
	@echo "make audit   known holes in what is pinned, risky idioms, licences"
	@echo "make lock    renew the requirements files from pyproject.toml"

run: .venv/.run-ready
	@exec $(BIN)/python -m webhookhub.launch

test: .venv/.test-ready debian lint check
	@$(BIN)/python -m tests.run
	@$(BIN)/python -m tests.postgres_redis

# The long versions of tests/faults; the short ones are part of `make test`.
faults: .venv/.test-ready
	SEED=$(SEED) $(BIN)/pytest tests/faults -m faults --numprocesses 2 --dist load -p no:randomly

lint: .venv/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# The production settings, as a fresh server would have them.
check: export SECRET_KEY = check-only-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJ
check: export FIELD_ENCRYPTION_KEY = Y2hlY2stb25seS0wMTIzNDU2Nzg5LWFiY2RlZmdoaWo=
check: export ALLOWED_HOSTS = hooks.example.com
check: export DEBUG = False
check: .venv/.test-ready
	$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run

fmt: .venv/.test-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.test-ready
	@$(BIN)/python -m benchmarks $(BENCH)

bench-latency: .venv/.test-ready
	@$(BIN)/python -m benchmarks.latency

bench-fairness: .venv/.test-ready
	@$(BIN)/python -m benchmarks.fairness

bench-memory: .venv/.test-ready
	@$(BIN)/python -m benchmarks.memory

bench-slow-receivers: .venv/.test-ready
	@$(BIN)/python -m benchmarks.slow_receivers

bench-throughput: .venv/.test-ready
	@$(BIN)/python -m benchmarks.throughput

bench-paging: .venv/.test-ready
	@$(BIN)/python -m benchmarks.paging

bench-legacy-import: .venv/.test-ready
	@$(BIN)/python -m benchmarks.legacy_import

bench-import: .venv/.test-ready
	@$(BIN)/python -m benchmarks.importing

bench-fan-out: .venv/.test-ready
	@$(BIN)/python -m benchmarks.fan_out

# Exit code 0 nothing was found, 1 something was, 2 the advisories could not be reached: docs/dependencies.md.
audit: .venv/.test-ready
	@$(BIN)/python -m webhookhub.audit

# Needs uv (pip install uv). No address of an index ends up in the files.
LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock:
	$(LOCK) pyproject.toml --output-file requirements.txt
	$(LOCK) pyproject.toml --group dev --output-file requirements-dev.txt

# The browser of the page tests, what reads the strings for the test of the translations, what makes the networks of the
# test with two machines, and the nginx whose configuration is tested; it is not to be started. Elsewhere than on Debian
# as root those tests are skipped, and say so.
POLICY = /usr/sbin/policy-rc.d
debian:
	@missing=""; command -v chromium >/dev/null || missing="chromium"; command -v xgettext >/dev/null || missing="$$missing gettext"; \
	command -v ip >/dev/null || missing="$$missing iproute2"; \
	command -v nginx >/dev/null || test -x /usr/sbin/nginx || missing="$$missing nginx-light"; \
	if [ -z "$$missing" ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then :; else \
		echo "Installing for the tests: $$missing …"; \
		if [ ! -e $(POLICY) ]; then printf '#!/bin/sh\nexit 101\n' >$(POLICY); chmod 755 $(POLICY); trap 'rm -f $(POLICY)' EXIT; fi; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

# Needs gettext (Debian: apt install gettext). What is new stands in locale/*/LC_MESSAGES/django.po with an empty msgstr.
MESSAGES = --locale pt_BR --locale es --no-location --no-wrap --no-obsolete --ignore tests --ignore .venv --ignore static \
	--ignore staticfiles --ignore benchmarks --ignore docs --ignore var --ignore "requirements*" --ignore "docs_tab/receivers"
messages: export DEBUG = True
messages: .venv/.test-ready
	$(BIN)/python manage.py makemessages $(MESSAGES)
	$(BIN)/python manage.py compilemessages --locale pt_BR --locale es --ignore .venv

.venv/.run-ready: requirements.txt
	@$(MAKE) --no-print-directory venv
	@echo "Installing …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@touch $@

.venv/.test-ready: requirements-dev.txt
	@$(MAKE) --no-print-directory venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	@touch $@

venv:
	@command -v $(PYTHON) >/dev/null || { \
		echo "Python is missing: install Python 3.11 or newer (Debian: apt install python3 python3-venv)." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$$($(PYTHON) --version) is too old: webhookhub needs Python 3.11 or newer (make run PYTHON=python3.12)." >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "Python's venv is missing: install it (Debian: apt install python3-venv)." >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv

.PHONY: help run test faults lint check fmt audit bench bench-throughput bench-paging bench-legacy-import bench-import bench-fan-out bench-latency bench-fairness bench-memory bench-slow-receivers messages lock debian venv
