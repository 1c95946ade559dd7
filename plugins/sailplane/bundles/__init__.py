"""Model bundles: the files of a model and all that a prediction needs."""
