"""A worker of a shared sweep on any machine. It needs only Python and the train function.

In a notebook: `join("http://localhost:8080/sailplane/sweeps/1a2b3c4d", train, token="...")`.
"""

from sailplane.sweep_worker.worker import join as join
