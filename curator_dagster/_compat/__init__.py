"""The one door to parts of Dagster that are not public.

Every function says which public interface is missing; ``tests/dagster/test_compat.py`` fails when a
release of Dagster changes what is used here.
"""
