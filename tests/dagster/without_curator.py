"""Runs a module of Dagster in a process that has no curator, as the images of a webserver and of a daemon have none."""

import runpy
import sys

sys.modules |= dict.fromkeys(["curator_core", "curator_dagster"])  # importing them fails
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
