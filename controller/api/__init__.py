"""The HTTP API.

gate       before everything: token, length of the body; what nobody expected becomes a problem
access     whether who calls may, asked by every call that is about a pod
refusals   who may not is answered, and it is written down
problems   every error is one RFC 9457 document
poddocuments, peopledocuments, gatewaydocuments   what is sent and what is answered; `documents` is common to all
people, tokens, pods, endpoints, sharing, audit, routes, status   the calls
podview    what callers are told of a pod; `waiting` until one is as they wish
streaming  answers without an end
server     the unix socket, and Hypercorn on it
"""
