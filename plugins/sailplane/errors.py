"""The exception tree. Every message says what failed, which one, what was got, what was expected, and the remedy.

SailplaneError
├── ConfigurationError      a setting, a DAG argument, a sweep file or a code path is wrong
│   └── SweepFileError      the same, with the line of the file
├── DataError               the data cannot be used
│   ├── EmptyDataError      no rows where rows are needed
│   ├── SchemaError         a column is missing or has the wrong type
│   └── LabelError          no usable labels
├── TrainingError           a train function raised, or returned something that is not a model
├── JobError                a task's detached process was killed, or ended without a result; a retry may help
├── ModelError              a bundle is damaged, or a model's scores are not numbers
├── LedgerError             the ledger is missing, damaged, of another revision, or belongs to another store
├── StorageError            the store cannot be reached, is full, or refuses; a retry may help
│   ├── AccessError         it refuses the credentials
│   └── ConflictError       another writer changed the object
├── LeaseError              another process took over the work of this one
├── RequestError            a prediction request is invalid (HTTP 4xx)
│   └── OverloadError       it is valid, but the server has no capacity for it now (HTTP 503)
└── ServiceError            a service is not running, did not start, or a port is taken
    └── DeploymentError     a model could not be put behind the endpoint
        └── HeldError       a rollback holds automatic deployments of the model
"""

from __future__ import annotations

from typing import Final, Literal

LedgerFault = Literal["missing", "damaged", "older", "newer", "foreign", "incomplete"]
_LOST_LEDGER: Final = (
    "Is SAILPLANE_LEDGER right? `sailplane ledger restore` brings back the newest backup, `sailplane ledger rebuild` "
    "reads the models back from the store, `sailplane ledger init` starts with an empty ledger."
)
_LEDGER_REMEDIES: Final[dict[LedgerFault, str]] = {
    "older": "`sailplane up` brings it up to date.",
    "newer": "Install that version of sailplane, or a newer one.",
    "incomplete": "Is SAILPLANE_LEDGER right? `sailplane ledger rebuild` adds them from the store.",
    "foreign": "Set SAILPLANE_LEDGER and SAILPLANE_STORE to a ledger and a store that belong together.",
}


class SailplaneError(Exception):
    """`SailplaneError("read sweep file", "sweep.yaml:7", got="methd", expected="method", remedy="Rename it.")`"""

    def __init__(
        self, failed: str, which: object = "", *, got: object = None, expected: object = None, remedy: str = ""
    ) -> None:
        subject = f"{failed} {which}".strip()
        facts = [str(got)] if got is not None else []
        facts += [f"expected {expected}"] if expected is not None else []
        sentence = f"{subject}: {'; '.join(facts).rstrip('.')}." if facts else f"{subject}."
        super().__init__(f"{sentence} {remedy}".strip())


class ConfigurationError(SailplaneError):
    pass


class SweepFileError(ConfigurationError):
    pass


class DataError(SailplaneError):
    pass


class EmptyDataError(DataError):
    pass


class SchemaError(DataError):
    pass


class LabelError(DataError):
    pass


class TrainingError(SailplaneError):
    pass


class JobError(SailplaneError):
    pass


class ModelError(SailplaneError):
    pass


class LedgerError(SailplaneError):
    """A `foreign` ledger belongs to another store; an `incomplete` one lacks models of the store. `location` is the
    file, or the URL without its password."""

    def __init__(
        self, location: str, reason: LedgerFault, *, got: object, expected: object = None, remedy: str = ""
    ) -> None:
        remedy = remedy or _LEDGER_REMEDIES.get(reason, _LOST_LEDGER)
        super().__init__("use the ledger", location, got=got, expected=expected, remedy=remedy)
        self.location, self.reason, self.got = location, reason, str(got)


class StorageError(SailplaneError):
    pass


class AccessError(StorageError):
    pass


class ConflictError(StorageError):
    pass


class LeaseError(SailplaneError):
    pass


class RequestError(SailplaneError):
    """A prediction request that cannot be answered. `status` is the HTTP status."""

    def __init__(self, failed: str, which: object = "", *, status: int = 400, **facts: object) -> None:
        super().__init__(failed, which, **facts)  # type: ignore[arg-type]
        self.status = status


class OverloadError(RequestError):
    """`retry_after` is the number of whole seconds to wait before a retry."""

    def __init__(self, failed: str, which: object = "", *, retry_after: int = 1, **facts: object) -> None:
        super().__init__(failed, which, status=503, **facts)
        self.retry_after = retry_after


class ServiceError(SailplaneError):
    pass


class DeploymentError(ServiceError):
    pass


class HeldError(DeploymentError):
    """`message` says, in whole sentences, since when deployments are held, by whom, and the remedy."""

    def __init__(self, model: str, *, got: str, remedy: str, message: str) -> None:
        super().__init__("deploy", model, got=got, remedy=remedy)
        self.message = message
