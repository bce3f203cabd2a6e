"""Protocol code without I/O: bytes in, values out, and the other way round.

    verdict      the three other answers: `More`, `NOT_THIS` and the exception `Malformed`
    cursor       reading a bounded buffer in which every length is checked
    opening      which protocol the first bytes of a connection speak
    clienthello  the TLS ClientHello: server name, ALPN, versions
    postgres     startup packets and ErrorResponse
    packstream   Bolt's values
    bolt         Bolt's handshake, chunks, and FAILURE
    httphead     the head of a request; `httptarget` what it asks for, `httpaccept` whether a person does
    httpresponse the head of a response
    httpfields   the field lines of both
    httpbody     where a body ends, while its bytes pass untouched
    httpreply    complete responses of our own

A parser is given everything that has come so far, from its own first byte on, and keeps nothing between calls: it
answers a value (whose `size` tells how much of the buffer it took) or `More`, or raises `Malformed`. It never asks
for more bytes than its limit, so a buffer of that limit always suffices. Only the standard library is used.
"""
