"""The commands of `sailplane`, one file each."""
