#!/bin/sh
# Takes over new tokens, classes and certificates; requests that are under way end as they began. One command:
#     docker compose exec proxy /etc/sightline/proxy/reload.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
run=${PROXY_RUN:-/tmp/sightline-proxy}
"$here/render.sh"
kill -HUP "$(cat "$run/nginx.pid")"
echo "proxy: reloaded"
