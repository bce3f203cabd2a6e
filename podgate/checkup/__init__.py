"""What `podgate doctor` looks at: whether what Podgate needs is there, and what to do if it is not.

    findings   what one look showed
    machine    this machine: home, disk, port, open files, clock, certificates, the pods' software
    database   the database that controllers share
    cluster    a cluster: what an account may do there, and what pods will need; it changes nothing

A look never raises: what it could not learn is a finding too.
"""
