"""Console: the site where people sign in, and from which they reach the web and graph pods they may use.

    app          the application: which path leads where
    gate         around all of it: headers of every answer, and a page for what nobody expected
    site         Site and Browser: what every page needs, and what is known of who asks
    forms        reading forms, and telling ours from those of other sites
    sealed       records in cookies instead of in memory
    destination  where a browser wants to go, read from what strangers can write: pure
    doors        the hosts of pods, and who may enter
    entering     from a signed-in browser to a pod's host: the ticket, or why not
    signing      signing in and out
    links        share links
    pods         your pods
    account      your password, sign-ins and tokens
    oidc         signing in at somebody else's
    rendering    pages/*.html to answers

It needs no JavaScript and holds nothing between two requests: sign-ins are in `controller.people`, all else in cookies.
"""
