"""Metrics of probabilities.

They agree with scikit-learn's, whose import costs each training process a second of CPU time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from sailplane.errors import DataError, ModelError
from sailplane.evaluation.calibration import gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray


def metrics(target: NDArray[np.generic], probability: NDArray[np.floating]) -> dict[str, float]:
    """AUC, log loss, Brier score and calibration error.

    :param target: [n], 0 and 1 if there is one output, else the index of the class
    :param probability: [n, k], k = 1 output (probability of 1) or k classes

    With several classes, the AUC is the mean of one-against-the-rest over the classes that occur, the Brier score is
    the sum over classes (0 to 2, Brier 1950), and the calibration error is that of the most probable class. The
    calibration error is debiased. Raises DataError if only one class occurs, ModelError if a probability is not finite.
    """
    labels, probability = checked(target, probability)
    return {name: measure(labels, probability) for name, measure in _MEASURES.items()}


def classes(target: NDArray[np.generic], outputs: Sequence[str]) -> dict[str, int]:
    """The number of rows by class; a yes/no target has the classes `not <output>` and `<output>`."""
    labels = np.asarray(target).astype(np.int64)
    names = [f"not {outputs[0]}", outputs[0]] if len(outputs) == 1 else list(outputs)
    return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))


def by_class(counts: Mapping[str, int]) -> str:
    """The counts in words, such as `not late 4,766 (79.4%), late 1,234 (20.6%)`."""
    rows = sum(counts.values())
    return ", ".join(f"{name} {count:,} ({count / rows:.1%})" for name, count in counts.items())


def metric(name: str, target: NDArray[np.generic], probability: NDArray[np.floating]) -> float:
    """The metric with this name; see `metrics`."""
    return _MEASURES[name](*checked(target, probability))


def _auc(labels: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    if probability.shape[1] == 1:
        return _area(labels == 1, probability[:, 0])
    return float(np.mean([_area(labels == label, probability[:, label]) for label in np.unique(labels)]))


def _area(hit: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The area under the ROC curve: the probability that a hit has a higher score than another row (Hanley and McNeil
    1982)."""
    return float(share_below(score[hit], np.sort(score[~hit])).mean())


def _log_loss(labels: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    return float(losses(labels, probability)[0].mean())


def _brier(labels: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    return float(losses(labels, probability)[1].mean())


def _calibration_error(labels: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    return gaps(*certainty(labels, probability)).error


_MEASURES: Final[Mapping[str, Callable[[NDArray[np.int64], NDArray[np.float64]], float]]] = {
    "auc": _auc,
    "log_loss": _log_loss,
    "brier": _brier,
    "calibration_error": _calibration_error,
}


def share_below(score: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of `others`, which are sorted, below each score; equal scores count half."""
    sides = (np.searchsorted(others, score, side="left"), np.searchsorted(others, score, side="right"))
    return np.asarray((sides[0] + sides[1]) / (2 * len(others)))


def losses(
    labels: NDArray[np.int64], probability: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The log loss of each row, clipped as scikit-learn does, and its Brier score."""
    rows, tiny = np.arange(len(labels)), np.finfo(np.float64).eps
    whole = np.column_stack([1 - probability, probability]) if probability.shape[1] == 1 else probability
    log_loss = -np.log(np.clip(whole[rows, labels], tiny, 1 - tiny))
    truth = np.zeros_like(whole)
    truth[rows, labels] = 1
    squares = np.square(whole - truth).sum(axis=1)
    return log_loss, squares / 2 if probability.shape[1] == 1 else squares


def certainty(
    labels: NDArray[np.int64], probability: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Whether the prediction is true (0 or 1) and its probability: of label 1, or of the most probable class. Both
    [n]."""
    if probability.shape[1] == 1:
        return labels, probability[:, 0]
    return (labels == probability.argmax(axis=1)).astype(np.int64), probability.max(axis=1)


def checked(
    target: NDArray[np.generic], probability: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels [n] and probabilities [n, k], which add up to 1 if there are several classes. Raises the same errors as
    `metrics`."""
    if probability.ndim != 2 or len(target) != len(probability):
        raise ModelError(
            "score", got=f"probabilities of shape {probability.shape}", expected=f"[{len(target)}, outputs]"
        )
    bad = int(np.count_nonzero(~np.isfinite(probability).all(axis=1)))
    if bad:
        raise ModelError(
            "score", got=f"{bad} of {len(probability)} rows have probabilities that are not finite numbers"
        )
    labels = np.asarray(target).astype(np.int64)
    if len(np.unique(labels)) < 2:
        raise DataError(
            "score",
            got=f"all {len(labels)} rows have the same label",
            expected="at least two classes",
            remedy="Check the labels that extract returns for these days; validation and test have seven days each.",
        )
    exact: NDArray[np.float64] = np.asarray(probability, dtype=np.float64)
    if exact.shape[1] > 1:
        # A float32 softmax adds up to 1 only approximately.
        exact = exact / exact.sum(axis=1, keepdims=True)
    return labels, exact
