"""Model bundles: the files of a model, with everything that a prediction needs."""
