# Leaves root's password where the server reads it at its first start; run/ is emptied before each.
set -eu
printf %s "$SECRET_OWNER" > "$POD_RUN/root-password"
