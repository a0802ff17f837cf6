"""Certificates of members, signatures of transactions, tokens of requests."""
