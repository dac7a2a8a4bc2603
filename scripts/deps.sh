#!/usr/bin/env bash
# Install what is missing from Debian 12's packages, and nothing when nothing is missing (then it also needs no network).
# usage: scripts/deps.sh [build|run|test|slow|power]...     build: compile and serve; run: + WordNet; test: + test tools; slow: + clang, qemu;
#        power: a virtual machine and file systems for scripts/dev powercut
set -euo pipefail

packages=()
for tier in "${@:-build}"; do
    case $tier in
    build) packages+=(gcc g++ libc6-dev cmake ninja-build pkg-config python3 curl ca-certificates libsimde-dev libjemalloc-dev
        libh2o-evloop-dev liburing-dev liblz4-dev zlib1g-dev libsnappy-dev libzstd-dev libsimdjson-dev libjansson-dev libcmocka-dev libcurl4-openssl-dev libssl-dev
        libnghttp2-dev libprotobuf-c-dev protobuf-c-compiler) ;;
    run) packages+=(wordnet-base) ;;
    test) packages+=(git python3-venv) ;;
    slow) packages+=(clang-14 clang-tidy-14 libclang-rt-14-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user) ;;
    power) packages+=(qemu-system-x86 busybox-static e2fsprogs xfsprogs btrfs-progs) ;;
    -h | --help) sed -n 2,4p "$0"; exit 0 ;;
    *) echo "scripts/deps.sh: unknown tier $tier (build, run, test, slow, power)" >&2; exit 2 ;;
    esac
done

# pkg-config is a real package on Debian 12 and provided by pkgconf elsewhere: ask dpkg about the names, virtual ones included.
installed() { dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null; }
have=" $(installed | awk '$1 == "installed"' | tr ',\n' '  ') "
missing=()
for package in "${packages[@]}"; do
    case $have in *" $package "*) ;; *) missing+=("$package") ;; esac
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "missing packages: ${missing[*]}; install them as root: apt-get install ${missing[*]}" >&2
        exit 1
    }
    as_root=(sudo)
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
install() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null; }
"${as_root[@]}" "${apt[@]}" update || echo "apt-get update failed; trying with the lists that are there" >&2
install || { sleep 5; install; }
