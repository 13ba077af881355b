"""Tests of completion in the shells that there are scripts for, at a terminal."""
