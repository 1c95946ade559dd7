from __future__ import annotations

import pytest
import torch

from sailplane.errors import TrainingError
from sailplane.training.compute import Compute


def test_one_process_trains_the_model_itself() -> None:
    model, compute = torch.nn.Linear(1, 1), Compute()
    assert compute.parallel(model) is model
    compute.check("include.toy.model:train")
    assert compute.mean({"loss": 0.1}) == {"loss": 0.1}
    assert compute.any(True)
    assert not compute.any(False)


def test_processes_that_do_not_train_together_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"2 processes that do not share their gradients. Compute the loss with"):
        Compute(processes=2).check("include.toy.model:train")


@pytest.mark.parametrize(("precision", "kind"), [("float32", torch.float32), ("mixed", torch.bfloat16)])
def test_mixed_precision_computes_in_sixteen_bits_and_keeps_weights_in_thirty_two(
    precision: str, kind: torch.dtype
) -> None:
    compute, model = Compute(precision=precision), torch.nn.Linear(4, 1)  # type: ignore[arg-type]
    model.to(compute.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.detach().clone()
    with compute.autocast():
        out = model(torch.ones(2, 4, device=compute.device))
    assert out.dtype == kind
    compute.step(out.float().sum(), optimizer)
    assert model.weight.dtype == torch.float32
    assert torch.allclose(model.weight, before - 0.2, atol=1e-2)
