"""Signing in at somebody else's: OpenID Connect Core 1.0, authorization code flow with PKCE (RFC 7636).

settings    what the environment says about the provider
provider    Provider: discovery, its keys as they change, and the exchange of a code
tokens      what an ID token must be to be believed: pure
flow        the two steps a browser makes: away to the provider, and back
"""
