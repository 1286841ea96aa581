#!/bin/sh
# The proxy's entry point: needs nginx, nothing of the image's own scripts, and one folder that it can write to.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
run=${PROXY_RUN:-/tmp/sightline-proxy}
"$here/render.sh"
exec nginx -e stderr -p "$run/" -c "$run/current/nginx.conf" -g "daemon off;"
