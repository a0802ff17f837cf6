"""The whole system on one machine: every service as a process on loopback, and a demonstration run through them."""
