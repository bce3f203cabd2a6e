# Becomes the pod's command, or a static file server for its directory or for the page that says hello.
set -eu
if [ -n "$PARAM_COMMAND" ]; then
    exec /bin/sh -c "$PARAM_COMMAND"
fi
if [ -z "$PARAM_DIRECTORY" ]; then
    mkdir -p "$POD_DATA/site"
    cp "$POD_TEMPLATE/web-welcome.html" "$POD_DATA/site/index.html"
    SITE=$POD_DATA/site
else
    SITE=$PARAM_DIRECTORY
    seen=$SITE # or, if the pod's user does not see it, the nearest directory above it
    while [ ! -e "$seen" ]; do seen=$(dirname "$seen"); done
    if [ "$seen" != "$SITE" ] && [ -d "$seen" ] && [ ! -x "$seen" ]; then
        wrong="is below $seen, which the pod's user may not enter; run 'chmod o+x $seen', or put it elsewhere, as in /srv"
    elif [ "$seen" != "$SITE" ]; then
        wrong="is not there; make it, then: podgate pod start $POD_NAME"
    elif [ ! -d "$SITE" ]; then
        wrong="is not a directory; give the directory to serve"
    elif [ ! -r "$SITE" ] || [ ! -x "$SITE" ]; then
        wrong="may not be read by the pod's user; run 'chmod o+rx $SITE'"
    else
        wrong=
    fi
    if [ -n "$wrong" ]; then
        echo "directory: $SITE $wrong"
        exit 78 # EX_CONFIG of sysexits.h
    fi
fi
# The one in the official image has a capability, with which it cannot be started where none may be had; a copy has not.
if [ -n "${CADDY_FROM:-}" ]; then cp "$CADDY_FROM" "$CADDY"; fi
export SITE XDG_DATA_HOME="$POD_DATA/.caddy" XDG_CONFIG_HOME="$POD_DATA/.caddy"
exec "$CADDY" run --adapter caddyfile --config "$POD_TEMPLATE/web-caddyfile.conf"
