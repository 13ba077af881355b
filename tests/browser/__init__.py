"""Tests that read the HTML report as people do: in a browser."""
