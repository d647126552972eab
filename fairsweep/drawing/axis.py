"""Where the script is that formats numbers and places ticks in interactive charts."""

from pathlib import Path

AXIS_JS = Path(__file__).with_name("axis.js")
"""Defines ``tell`` and ``ticks``, for the charts of a report and of the live page."""
