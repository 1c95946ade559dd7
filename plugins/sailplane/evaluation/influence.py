"""The influence of each row on a metric: on a sample of rows, the metric differs by about their mean influence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sailplane.evaluation.metrics import checked, losses, share_below

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]


def influence(target: NDArray[np.generic], probability: NDArray[np.floating]) -> dict[str, Rows]:
    """The influence of each row on each metric (auc, log_loss, brier): [n], with a mean of 0.

    For a loss, the influence is the row's own loss minus the mean. For the AUC, it is the row's placement value
    (DeLong, DeLong and Clarke-Pearson 1988); with several classes, the mean over those that occur. Raises the same
    errors as `metrics`.
    """
    labels, exact = checked(target, probability)
    log_loss, brier = losses(labels, exact)
    return {"auc": _auc(labels, exact), "log_loss": log_loss - log_loss.mean(), "brier": brier - brier.mean()}


def _auc(labels: NDArray[np.int64], probability: Rows) -> Rows:
    if probability.shape[1] == 1:
        return _placements(labels == 1, probability[:, 0])
    each = [_placements(labels == label, probability[:, label]) for label in np.unique(labels)]
    return np.asarray(np.mean(each, axis=0))


def _placements(hit: NDArray[np.bool_], score: Rows) -> Rows:
    """The share of the other class that the row is ranked correctly against, centred, over the share of its own
    class."""
    found = np.empty(len(score))
    found[hit] = share_below(score[hit], np.sort(score[~hit]))
    found[~hit] = 1 - share_below(score[~hit], np.sort(score[hit]))
    for own in (hit, ~hit):
        found[own] = (found[own] - found[own].mean()) / own.mean()
    return found
