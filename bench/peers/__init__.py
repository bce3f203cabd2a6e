"""What is measured: Podgate, no proxy at all, and its peers, one small file each.

Every peer gets the least configuration that does the job: one worker, one route, one certificate, no logs, TLS 1.3, and
no session tickets or caches unless resumption is the question.
"""
