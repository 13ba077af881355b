"""Tests of the scripts of detached commands under every kind of sh: minutes, without nodes."""
