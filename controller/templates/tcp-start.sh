# Becomes the pod's command.
set -eu
exec /bin/sh -c "$PARAM_COMMAND"
