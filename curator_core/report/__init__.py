"""A run as one self-contained HTML page."""

from curator_core.report.page import write_report

__all__ = ["write_report"]
