# For sourcing: install what is missing from the distribution. Needs `set -eu`; no services are started.
# As root (or with sudo that asks nothing) it uses apt-get and says so; otherwise it says what is missing and goes on.

missing=""
need() { # a command, or a path; the package it comes with
    command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}

install_missing() { # what happens without them
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root="no"; fi
    if [ "$as_root" = no ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "==> not installed:$missing. $1; install them to have all."
        return 0
    fi
    echo "==> installing from the distribution (apt-get):$missing"
    export DEBIAN_FRONTEND=noninteractive
    policy=/usr/sbin/policy-rc.d # asked before a package starts a service; 101: do not
    if [ ! -e "$policy" ]; then
        trap '$as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod 755 "$policy"
    fi
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of words, none of them from outside
    $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
