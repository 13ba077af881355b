"""Tests of one room each, without nodes."""
