"""Tests that interrupt, kill and break a run on purpose, on real nodes."""
