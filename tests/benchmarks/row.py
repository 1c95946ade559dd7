from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure of ours and a peer's, measured in the same run; `limit` is the project's promise."""

    name: str
    ours: float
    peer: float
    unit: str
    peer_is: str
    limit: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "ours": self.ours,
            "peer": self.peer,
            "ratio": self.ratio,
            "unit": self.unit,
            "peer_is": self.peer_is,
        }
