from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sailplane.home import Home
from sailplane.records import Run
from sailplane.registry import models
from sailplane.registry.environment import installed
from sailplane.registry.sources import collect
from sailplane.storage import Storage
from sailplane.training.checkpoint_store import StoreShelf
from sailplane.training.compute import Compute
from sailplane.training.fit import Trainer, fit
from sailplane.training.specs import TrainSpec

Make = Callable[..., TrainSpec]


def test_a_run_says_what_it_was_made_of_and_that_is_on_the_store(spec: Make, home: Home, tmp_path: Path) -> None:
    run = fit(spec(config={"epochs": 2}))
    sources, storage = collect(home.project, ["include.toy.model"]), Storage(home.store)
    assert (run.features, run.train) == ("include.toy.features", "include.toy.model:train")
    assert (run.code, run.device, run.steps) == (sources.digest, "cpu", 1)
    assert models.fetch_bundle(storage, run.bundle, tmp_path / "bundle").digest == run.digest
    assert storage.get(f"code/{run.code}.zip") == sources.archive
    assert storage.get(f"environments/{run.environment}.txt").decode() == installed()
    assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def test_runs_of_one_process_share_one_look_at_the_code(spec: Make, home: Home) -> None:
    trainer, specs = Trainer(spec(), Compute()), [spec(run=f"toy/{n}") for n in range(2)]
    runs = [trainer.run(one, StoreShelf(trainer.storage, one.shelf)) for one in specs]
    assert len({(run.code, run.environment) for run in runs}) == 1
    assert len(Storage(home.store).list("code")) == 1
