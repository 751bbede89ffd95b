#!/bin/sh
# Installs the packages of scripts/packages.txt that are missing; does nothing, quickly, when none is.
set -eu
cd "$(dirname "$0")"

wanted=$(sed 's/#.*//' packages.txt)
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
missing=$(for package in $wanted; do
    echo "$installed" | grep -qx "$package" || echo "$package"
done)
[ -n "$missing" ] || exit 0

echo "setup: installing" $missing
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
$as_root apt-get install -q -y --no-install-recommends $missing
