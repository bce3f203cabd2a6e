"""The HTTP API.

gate       before everything: token, scope, length of the body; what nobody expected becomes a problem
problems   every error is one RFC 9457 document
documents  what is sent and what is answered
pods, routes, status   the calls
streaming  answers without an end
server     the unix socket, and Hypercorn on it
"""
