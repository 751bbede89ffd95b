#!/bin/sh
# setup.sh [SECTION...]: installs the packages of these sections of scripts/packages.txt, or of all,
# that are missing; does nothing, quickly, when none is. Asks nothing; where root is needed and is not
# there, sudo is taken.
set -eu
cd "$(dirname "$0")"

[ $# -gt 0 ] || set -- '[a-z]*'
exec 9< packages.txt
flock 9 # whoever comes at the same time finds all of it installed
wanted=$(for section in "$@"; do
    sed -n "/^# $section:/,/^\$/p" packages.txt | sed 's/#.*//'
done)
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
missing=$(for package in $wanted; do
    echo "$installed" | grep -qx "$package" || echo "$package"
done)
[ -n "$missing" ] || exit 0

echo "setup: installing" $missing
as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root=sudo
    if ! command -v sudo > /dev/null; then
        echo "setup: there is no sudo; as root: apt-get install --no-install-recommends" $missing >&2
        exit 1
    fi
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
$as_root apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 $missing
