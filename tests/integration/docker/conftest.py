from tests.unit.docker.conftest import dockerfile, project  # noqa: F401
