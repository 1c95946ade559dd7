"""What probabilities are worth, by scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sailplane.errors import DataError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS: Final = 10


def metrics(target: NDArray[np.generic], probability: NDArray[np.floating]) -> dict[str, float]:
    """AUC, log loss, Brier score and calibration error.

    :param target: [n], 0 and 1 if there is one output, else the index of the class
    :param probability: [n, k], k = 1 output (probability of 1) or k classes

    With several classes the AUC is the mean of one-against-the-rest over the classes that occur; the Brier score is
    the sum over classes (0 to 2, Brier 1950); the calibration error is that of the most probable class.
    Raises DataError where only one class occurs, ModelError where a probability is no number.
    """
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    labels = _labels(target, probability)
    probability = np.asarray(probability, dtype=np.float64)
    if probability.shape[1] == 1:
        positive = probability[:, 0]
        return {
            "auc": float(roc_auc_score(labels, positive)),
            "log_loss": float(log_loss(labels, positive, labels=[0, 1])),
            "brier": float(brier_score_loss(labels, positive)),
            "calibration_error": calibration_error(labels, positive),
        }
    # float32 softmax adds up to 1 only nearly, which scikit-learn warns about.
    probability = probability / probability.sum(axis=1, keepdims=True)
    classes = np.arange(probability.shape[1])
    occurring = np.unique(labels)
    hits = labels[:, None] == occurring
    return {
        "auc": float(roc_auc_score(hits, probability[:, occurring], average="macro")),
        "log_loss": float(log_loss(labels, probability, labels=classes)),
        "brier": float(brier_score_loss(labels, probability, labels=classes)),
        "calibration_error": calibration_error(labels == probability.argmax(axis=1), probability.max(axis=1)),
    }


def calibration_error(hit: NDArray[np.generic], probability: NDArray[np.floating]) -> float:
    """Expected calibration error: |mean probability - frequency| over 10 equal bins, weighted by their rows
    (Naeini et al. 2015). Both are [n]."""
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=probability - hit.astype(np.float64), minlength=BINS)
    return float(np.abs(gaps).sum() / len(probability))


def _labels(target: NDArray[np.generic], probability: NDArray[np.floating]) -> NDArray[np.int64]:
    if probability.ndim != 2 or len(target) != len(probability):
        raise ModelError(
            "score", got=f"probabilities of shape {probability.shape}", expected=f"[{len(target)}, outputs]"
        )
    bad = int(np.count_nonzero(~np.isfinite(probability).all(axis=1)))
    if bad:
        raise ModelError("score", got=f"{bad} of {len(probability)} rows have probabilities that are no numbers")
    labels = np.asarray(target).astype(np.int64)
    if len(np.unique(labels)) < 2:
        raise DataError(
            "score",
            got=f"all {len(labels)} rows have the same label",
            expected="at least two classes",
            remedy="Use a longer window.",
        )
    return labels
