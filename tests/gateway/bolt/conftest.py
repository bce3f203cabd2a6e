"""Fixtures of these tests."""

from tests.gateway.bolt.graphs import gateway, graph, server

__all__ = ["gateway", "graph", "server"]
