"""A table of experiments: domain, samples, inputs and outputs."""
