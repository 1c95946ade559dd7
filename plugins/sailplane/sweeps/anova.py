"""Functional ANOVA on regression trees, with a permutation test. Arrays in, arrays out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn import config_context
from sklearn.tree import DecisionTreeRegressor

TREES: Final = 24
# The overall test level is exact if it times (PERMUTATIONS + 1) is an integer.
PERMUTATIONS: Final = 39
LEVEL: Final = 0.05
# Limits the time for large sweeps.
MOST_LEAVES: Final = 50
MOST_ROWS: Final = 300


def tested(points: Any, scores: Any) -> tuple[Any, float]:
    """The share of the variance of `scores` [n] that each dimension of `points` [n, dimensions], in the unit cube,
    explains alone, by tree: [TREES, dimensions]; and the largest share over all dimensions that chance reaches.

    Hutter, Hoos and Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, 2014. The test takes
    the maximum over all dimensions: Westfall and Young, Resampling-Based Multiple Testing, 1993.
    """
    draw = np.random.RandomState(0)
    points = np.asarray(points, dtype=np.float32)
    with config_context(skip_parameter_validation=True):
        shares = _shares(points, scores, draw)
        permuted = (_shares(points, draw.permutation(scores), draw) for _ in range(PERMUTATIONS))
        largest = sorted(drawn.mean(axis=0).max() for drawn in permuted)
    return shares, float(largest[-round(LEVEL * (PERMUTATIONS + 1))])


def _shares(points: Any, scores: Any, draw: np.random.RandomState) -> Any:
    """The shares of each tree, which is grown on a resample of the rows."""
    rows = min(len(scores), MOST_ROWS)
    leaf = max(1, rows // MOST_LEAVES)
    found = np.empty((TREES, points.shape[1]))
    for number in range(TREES):
        chosen = draw.randint(0, len(scores), rows)
        tree = DecisionTreeRegressor(min_samples_leaf=leaf, random_state=draw)
        tree.fit(points[chosen], scores[chosen], check_input=False)
        found[number] = _explained(tree.tree_, points.shape[1])
    return found


def _explained(tree: Any, dimensions: int) -> Any:
    """The share of the tree's variance over the unit cube that each dimension explains alone; [dimensions]."""
    low, high, values = _leaves(tree, dimensions)
    sizes = high - low
    volumes = sizes.prod(axis=1)
    mean = volumes @ values
    whole = volumes @ (values - mean) ** 2
    if whole <= 0:
        return np.zeros(dimensions)
    parts = range(dimensions)
    alone = [_alone(low[:, part], high[:, part], volumes / sizes[:, part] * values, mean) for part in parts]
    return np.array(alone) / whole


def _alone(low: Any, high: Any, weighted: Any, mean: float) -> float:
    """The variance of the tree's mean along one dimension, over all others; `weighted` are the leaf values times the
    leaf sizes in the others."""
    edges = np.append(np.unique(low), 1.0)
    middles = (edges[1:] + edges[:-1]) / 2
    inside = (low[:, None] < middles) & (middles < high[:, None])
    return float(np.diff(edges) @ (weighted @ inside - mean) ** 2)


def _leaves(tree: Any, dimensions: int) -> tuple[Any, Any, Any]:
    """The lower and upper corners of the leaves in the unit cube, [leaves, dimensions], and their values."""
    low, high = np.zeros((tree.node_count, dimensions)), np.ones((tree.node_count, dimensions))
    children = zip(tree.children_left, tree.children_right, tree.feature, tree.threshold, strict=True)
    for node, (left, right, dimension, threshold) in enumerate(children):
        if left < 0:
            continue
        low[left] = low[right] = low[node]
        high[left] = high[right] = high[node]
        high[left, dimension] = low[right, dimension] = threshold
    leaf = tree.children_left < 0
    return low[leaf], high[leaf], tree.value[leaf, 0, 0]
