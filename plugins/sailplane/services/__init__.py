"""The embedded services: what `sailplane up`, `down`, `status` and `run` do."""
