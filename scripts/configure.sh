#!/bin/sh
# configure.sh NAME: prepares one of the build folders of docs/building.md, once, and builds in it.
# Further arguments go to ninja.
set -eu
cd "$(dirname "$0")/.."

folder=$1
shift
case $folder in
build) compiler=gcc options= ;;
build-clang) compiler=clang options= ;;
build-asan) compiler=clang options="-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1" ;;
build-fuzz) compiler=clang options="-Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true" ;;
build-debug) compiler=clang options="-Dbuildtype=debug" ;;
build-release) compiler=gcc options=-Dbuildtype=release ;;
*)
    echo "configure.sh: no build folder is called $folder; docs/building.md lists them" >&2
    exit 2
    ;;
esac

# One at a time: two who build in one folder would get into each other's way.
mkdir -p "$folder"
exec 9< "$folder"
if ! flock -n 9; then
    echo "configure.sh: somebody else builds in $folder; waiting for them"
    flock 9
fi

if [ ! -e "$folder/build.ninja" ]; then
    CC=$compiler meson setup "$folder" -Dwerror=true $options
fi
exec ninja -C "$folder" "$@"
