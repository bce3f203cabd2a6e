"""The load: C programs built when needed, wrk, pgbench, and one way to drive them.

A load program never shares the proxy's core, and where it could be the limit it is compiled.
"""
