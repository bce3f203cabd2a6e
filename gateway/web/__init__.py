"""The HTTP engine: each request of a kept-alive connection is judged, rewritten and passed on by itself.

visit        what is true of a connection, and what can become of a request
engine       what the connections of a worker share; asks for a judgement, and keeps callers to their pace
judging      may this request go to the pod, as whom, and if not, what is its answer; pure
identifying  who sends it: tokens, cookies, certificates, and which of these count
doors        the few paths below /.podgate/ that the gateway answers itself: coming from the sign-in, signing out
answers      what else it answers itself
cookies      our own cookies: found, made, and taken out of what a pod receives
rewriting    the heads of requests and responses as the other side is to see them
opening      from inside TLS to the relay, by way of the first request that may go to its pod
exchange     one connection's requests and responses in their order, without I/O: bytes in, bytes out
memory       heads that come again
relaying     exchanges in the relay's hot path
pacing       how many requests a caller may make in a time
"""
