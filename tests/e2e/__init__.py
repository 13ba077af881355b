"""End-to-end tests: the real command, real ssh, real sshds."""
