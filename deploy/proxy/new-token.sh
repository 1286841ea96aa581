#!/bin/sh
# Makes a token: deploy/proxy/new-token.sh NAME [CLASS]
# Adds it to the proxy's list, and writes it alone into NAME.token for whoever uses it. A name may have several tokens:
# to change one, make a new one, reload, hand it over, take the old line out of the list, reload again.
set -eu
umask 077
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: $0 NAME [CLASS]" >&2
    exit 2
fi
name=$1
class=${2:-standard}
private=${PROXY_PRIVATE:-$(cd "$(dirname "$0")" && pwd)/private}
case $name in *[!A-Za-z0-9_.-]* | [!A-Za-z0-9]*)
    echo "a name is letters, digits, '_', '.' and '-', and begins with a letter or digit" >&2
    exit 2
    ;;
esac
mkdir -p "$private"
file=$private/$name.token
# It never is an argument of a program, which every user of the machine could read.
head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$file.new"
{
    printf '%s:' "$name"
    cat "$file.new"
    printf ':%s\n' "$class"
} >>"$private/tokens"
mv "$file.new" "$file"
echo "$private/tokens: added $name of class $class; its token is in $file"
