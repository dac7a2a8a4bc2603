#!/usr/bin/env bash
# cmake --install into a throw-away prefix, then build and run the example from there with pkg-config, shared and static.
# usage: install_check.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: install_check.sh BUILD_FOLDER}
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" >"$prefix/install.log" || { cat "$prefix/install.log"; exit 1; }
pc=$(find "$prefix" -name freshet.pc)
libraries=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH=${pc%/*}
# The installed files name the prefix they were configured for; a relocated tree is asked for by --define-variable.
flags=(--define-variable=prefix="$prefix")
for file in include/freshet.h bin/freshet; do [ -e "$prefix/$file" ] || { echo "$file is not installed"; exit 1; }; done
[ "$(find "$prefix/include" -type f | wc -l)" = 1 ] || { echo "more than freshet.h is installed"; exit 1; }
read -ra shared <<<"$(pkg-config "${flags[@]}" --cflags --libs freshet)"
cc -std=c17 -Wall -Wextra -Wpedantic -Werror -D_GNU_SOURCE tests/embed/embed_c.c "${shared[@]}" -o "$prefix/shared"
LD_LIBRARY_PATH=$libraries "$prefix/shared" "$prefix/data"
LD_LIBRARY_PATH=$libraries ldd "$prefix/shared" | grep "libfreshet.so.0 => $libraries" >/dev/null || { echo "not linked to the installed library"; exit 1; }
read -ra static <<<"$(pkg-config "${flags[@]}" --cflags --libs --static freshet | sed 's/-lfreshet/-l:libfreshet.a/')"
cc -std=c17 -D_GNU_SOURCE tests/embed/embed_c.c "${static[@]}" -o "$prefix/static"
"$prefix/static" "$prefix/data"
"$prefix/bin/freshet" --version
