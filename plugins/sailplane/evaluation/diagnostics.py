"""Diagnostics for the report that no rule uses: calibration, thresholds and feature importance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sailplane.evaluation.calibration import BINS
from sailplane.evaluation.details import CalibrationPoint, FeatureImportance, Threshold
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.metrics import certainty, checked, metric
from sailplane.evaluation.unscored import error_text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sailplane.bundles.bundle import Bundle

# The thresholds of the table, in steps of 0.05.
_LISTED: Final = tuple(n / 20 for n in range(1, 20))
SEED: Final = 0
MOST_ROWS: Final = 5000
REPEATS: Final = 3
# Rows times columns: a wide table is evaluated on fewer rows.
_CELLS: Final = 200_000


def calibration(
    target: NDArray[np.generic], scores: Mapping[str, NDArray[np.floating]]
) -> tuple[CalibrationPoint, ...]:
    """A reliability curve for each contender: ten points with equally many rows. With several classes, it is that of
    the most probable class."""
    from sklearn.calibration import calibration_curve

    points = []
    for contender, probability in scores.items():
        hit, certain = certainty(*checked(target, probability))
        observed, predicted = calibration_curve(hit, certain, pos_label=1, n_bins=BINS, strategy="quantile")
        pairs = zip(predicted.tolist(), observed.tolist(), strict=True)
        points += [CalibrationPoint(contender=contender, predicted=p, observed=o) for p, o in pairs]
    return tuple(points)


def thresholds(
    target: NDArray[np.generic], probability: NDArray[np.floating], costs: Mapping[str, float] | None
) -> tuple[tuple[Threshold, ...], Threshold | None]:
    """The table of thresholds, and the cheapest of all thresholds if there are costs. Empty for several classes.

    The cheapest threshold is chosen on the rows on which its cost is measured, so its true cost is a little higher.
    """
    from sklearn.metrics import confusion_matrix_at_thresholds

    if probability.shape[1] != 1:
        return (), None
    labels, score = target.astype(np.int64), probability[:, 0].astype(np.float64)
    _, false, missed, hit, at = confusion_matrix_at_thresholds(labels, score)
    # A threshold above the highest score flags nothing, which may be the cheapest.
    false, missed, hit = np.r_[0, false], np.r_[hit[-1], missed], np.r_[0, hit]
    at = np.r_[np.nextafter(at[0], np.inf), at]

    def threshold(index: int, value: float) -> Threshold:
        return _threshold(value, float(false[index]), float(missed[index]), float(hit[index]), len(labels), costs)

    # `at` falls: the last entry that is at least the value flags the same rows as the value.
    indices = np.maximum(np.searchsorted(-at, [-value for value in _LISTED], side="right") - 1, 0)
    listed = tuple(threshold(index, value) for index, value in zip(indices.tolist(), _LISTED, strict=True))
    if costs is None:
        return listed, None
    cheapest = int(np.argmin(costs["false_positive"] * false + costs["false_negative"] * missed))
    return listed, threshold(cheapest, float(at[cheapest]))


def _threshold(
    value: float, false: float, missed: float, hit: float, rows: int, costs: Mapping[str, float] | None
) -> Threshold:
    flagged = false + hit
    return Threshold(
        threshold=value,
        flagged=flagged / rows,
        precision=hit / flagged if flagged else None,
        recall=hit / (hit + missed),
        cost=(costs["false_positive"] * false + costs["false_negative"] * missed) / rows if costs else None,
    )


def importance(
    gate: Gate, bundle: Bundle, rows: pd.DataFrame, target: NDArray[np.generic]
) -> tuple[tuple[FeatureImportance, ...], str]:
    """Permutation importance (Breiman 2001) of each input of the bundle, the largest first, on at most 5,000 rows. The
    second value says why there is none, for example because the feature code refuses shuffled rows."""
    from sklearn.inspection import permutation_importance

    names = [field.name for field in bundle.manifest.inputs]
    chosen = _chosen(len(rows), len(names))
    if len(np.unique(target[chosen])) < 2:
        return (), "importance: too few rows"
    frame = rows[names].iloc[chosen].reset_index(drop=True)
    try:
        found = permutation_importance(
            _Estimator(bundle),
            frame,
            target[chosen],
            scoring=_scorer(gate),
            n_repeats=REPEATS,
            random_state=SEED,
        )
    except Exception as error:  # feature code may refuse shuffled rows
        return (), f"importance: {error_text(error)}"
    figures = zip(names, found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    listed = [FeatureImportance(column=name, mean=mean, deviation=deviation) for name, mean, deviation in figures]
    return tuple(sorted(listed, key=lambda feature: (-feature.mean, feature.column))), ""


class _Estimator:
    """A bundle as a scikit-learn estimator."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def fit(self, *_: Any) -> None:
        raise NotImplementedError("a bundle is already trained")

    def predict_proba(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        return self._bundle.predict(frame)


def _scorer(gate: Gate) -> Any:
    def score(estimator: _Estimator, frame: pd.DataFrame, target: NDArray[np.generic]) -> float:
        return gate.gain(metric(gate.metric, target, estimator.predict_proba(frame)))

    return score


def _chosen(rows: int, columns: int) -> NDArray[np.intp]:
    most = min(MOST_ROWS, max(200, _CELLS // max(columns, 1)))
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))
