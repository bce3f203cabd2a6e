# Becomes the pod's command, or a static file server for its directory or for the page that says hello.
set -eu
if [ -n "$PARAM_COMMAND" ]; then
    exec /bin/sh -c "$PARAM_COMMAND"
fi
if [ -z "$PARAM_DIRECTORY" ]; then
    mkdir -p "$POD_DATA/site"
    cp "$POD_TEMPLATE/web-welcome.html" "$POD_DATA/site/index.html"
    SITE=$POD_DATA/site
elif [ ! -d "$PARAM_DIRECTORY" ] && [ -e "$PARAM_DIRECTORY" ]; then
    echo "directory: $PARAM_DIRECTORY is not a directory; give the directory to serve"
    exit 78 # EX_CONFIG of sysexits.h
elif [ ! -r "$PARAM_DIRECTORY" ] || [ ! -x "$PARAM_DIRECTORY" ]; then
    echo "directory: $PARAM_DIRECTORY is not there, or the pod's user may not read it;" \
        "make it and all directories above it open to others (chmod o+rx)"
    exit 78
else
    SITE=$PARAM_DIRECTORY
fi
export SITE XDG_DATA_HOME="$POD_DATA/.caddy" XDG_CONFIG_HOME="$POD_DATA/.caddy"
exec "$CADDY" run --adapter caddyfile --config "$POD_TEMPLATE/web-caddyfile.conf"
