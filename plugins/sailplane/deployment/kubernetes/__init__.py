"""Models served by Seldon Core on a Kubernetes cluster: the objects, and the two targets that a rollout drives."""
