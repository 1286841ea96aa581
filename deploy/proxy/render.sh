#!/bin/sh
# Renders nginx's configuration into $PROXY_RUN/current: the files of this folder, and what is made of the tables of
# tokens, classes and errors. What stands there is replaced only by a configuration that nginx accepts.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
run=${PROXY_RUN:-/tmp/sightline-proxy}
listen=${PROXY_LISTEN:-8443}
grpc=${PROXY_GRPC:-triton:8001}
http=${PROXY_HTTP:-triton:8000}
private=${PROXY_PRIVATE:-/run/private}
certificate=${PROXY_CERTIFICATE:-$private/tls.crt}
key=${PROXY_KEY:-$private/tls.key}
tokens=${PROXY_TOKENS:-$private/tokens}
classes=${PROXY_CLASSES:-$here/classes}

fail() {
    echo "proxy: $1" >&2
    exit 1
}

# Whether nginx is at least of version $1, such as 1027003 for 1.27.3.
nginx_is() {
    nginx -v 2>&1 | awk -F '[/. ]' -v wanted="$1" '{ for (i = 1; i < NF - 1; i++) if ($i == "nginx" && $(i + 1) ~ /^[0-9]+$/)
        exit !($(i + 1) * 1000000 + $(i + 2) * 1000 + $(i + 3) >= wanted); exit 1 }'
}

render_listen() {
    if nginx_is 1025001; then
        echo "listen $listen ssl;"
        echo "http2 on;"
    else
        echo "listen $listen ssl http2;"
    fi
    echo "ssl_certificate \"$certificate\";"
    echo "ssl_certificate_key \"$key\";"
}

# Triton's container gets another address when it is made anew: names are asked for again, which nginx can since 1.27.3.
render_upstream() {
    resolve=
    if nginx_is 1027003; then
        resolve=" resolve"
        resolver=${PROXY_RESOLVER:-$(awk '$1 == "nameserver" { print $2 ~ /:/ ? "[" $2 "]" : $2 }' /etc/resolv.conf | tr '\n' ' ')}
        [ -z "$resolver" ] || echo "resolver $resolver valid=5s;"
    fi
    for upstream in "grpc $grpc" "http $http"; do
        echo "upstream triton_${upstream%% *} {"
        echo "    zone triton_${upstream%% *} 128k;"
        case ${upstream#* } in
            *[A-Za-z]*)
                [ -n "$resolve" ] || echo "proxy: this nginx keeps the first address of ${upstream#* }; 1.27.3 asks again" >&2
                echo "    server ${upstream#* }$resolve max_fails=0;"
                ;;
            *) echo "    server ${upstream#* } max_fails=0;" ;;
        esac
        echo "    keepalive 64;"
        echo "    keepalive_requests 1000000;"
        echo "}"
    done
}

for file in "$certificate" "$key" "$tokens" "$classes"; do
    [ -r "$file" ] || fail "cannot read $file as user $(id -u): it is missing, or belongs to somebody else"
done

mkdir -p "$run/temporary"
next=$(mktemp -d "$run/conf.XXXXXX")
trap 'rm -rf "$next"' EXIT
cp "$here"/*.conf "$next"
render_listen >"$next/listen.conf"
render_upstream >"$next/upstream.conf"
awk -f "$here/tokens.awk" "$classes" "$tokens" >"$next/tokens.conf" || fail "$tokens is not usable"
awk -f "$here/classes.awk" "$classes" >"$next/classes.conf" || fail "$classes is not usable"
awk -f "$here/classes.awk" -v part=locations "$classes" >"$next/locations.conf"
awk -f "$here/errors.awk" "$here/errors" >"$next/errors.conf"
# It opens /dev/stdout, as the log is there, and whoever reloads may have one that belongs to somebody else.
nginx -t -q -e stderr -p "$run/" -c "$next/nginx.conf" >"$next/output" || fail "nginx refuses the configuration"

trap - EXIT
before=$(readlink "$run/current" || true)
ln -sfn "$(basename "$next")" "$run/current"
[ -z "$before" ] || rm -rf "${run:?}/$before"
