"""Compilation in a separate process, because a process imports torch only once."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import torch
from sailplane.training.lazy_compile import postpone_compiler
from sailplane.training.export import to_onnx

postpone_compiler()
net = torch.nn.Linear(2, 1)
optimizer = torch.optim.AdamW(net.parameters())
schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
net(torch.ones(3, 2)).sum().backward()
optimizer.step()
schedule.step()
to_onnx(torch.nn.Linear(2, 1), {"input": torch.ones(3, 2).numpy()}, 1)
print("sympy" in sys.modules)
print(torch.compile(lambda x: x + 1, backend="eager")(torch.zeros(1)).item())
optimizer.step()
print("sympy" in sys.modules)
"""


def test_a_training_does_without_the_compiler_and_torch_compile_still_works() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "1.0", "True"], done.stderr
