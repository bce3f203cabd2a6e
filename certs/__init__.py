"""Certificates: a local authority made at first start, and the leaves it signs for the names the gateway serves.

    files      reading and writing PEM files safely, and certificates that people bring themselves
    leaf       Leaf: a certificate chain with its key, ready to be served
    authority  the local authority: made once, then it signs
    client     certificates of users; `peer` those by which gateways know each other
    store      LeafStore: the right leaf for a host name, cached, renewed before it ends

Callers pass in the time, so that a wrong or jumping clock is a case like any other.
"""
