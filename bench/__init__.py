"""Benchmarks: one file per question asked. They measure and assert nothing.

ready   how long from a pod's readiness, and from a change of its route, to the first answer through the gateway
routes  what a lookup and a change cost in a table of 100,000 routes

python -m bench [--runs N] [--out FILE]     all of them; a table on standard output, raw samples in FILE
"""
