test:
	@test -x .venv/bin/python || python3 -m venv .venv
	@.venv/bin/pip install --quiet --require-hashes --requirement requirements-dev.txt
	.venv/bin/ruff check .
	.venv/bin/pytest -q

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --output-file requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev --output-file requirements-dev.txt

.PHONY: test lock
