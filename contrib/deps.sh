#!/bin/sh
# Installs from Debian's packages what is missing (Debian 12 and later); asks nothing.
#   contrib/deps.sh [build] [test]      default: build
# Nothing missing: no apt at all. Without root and sudo: prints the line to run, fails.
set -eu

# A line per package: its group, then alternatives. If one is installed, all is well;
# otherwise the first that apt knows is taken. '%' stands for the version of clang.
packages='
build  gcc
build  libc6-dev
build  make
build  autoconf
build  pkgconf|pkg-config
build  libuv1-dev
build  libssl-dev
build  libcoap3-dev|libcoap-dev
build  libsqlite3-dev
build  libcjson-dev
build  libmicrohttpd-dev
build  libcurl4-openssl-dev|libcurl4-gnutls-dev
build  libjansson-dev
build  libexpat1-dev
build  libinih-dev
test   git
test   libcmocka-dev
test   python3
test   python3-venv
test   libcoap3-bin|libcoap-bin
test   default-jdk-headless|openjdk-17-jdk-headless|openjdk-21-jdk-headless
test   maven
test   clang
test   llvm
test   libclang-rt-%-dev|libclang-common-%-dev
test   clang-format
test   clang-tidy
test   cppcheck
test   mandoc
test   valgrind
'

[ $# -gt 0 ] || set -- build
for group; do
    case $group in
    build | test) ;;
    *)
        echo "usage: contrib/deps.sh [build] [test]" >&2
        exit 2
        ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "deps.sh: not a Debian system; configure will name what is missing" >&2
    exit 0
fi

# Names with and without the architecture, so that a look-up is one string match.
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
is_installed() {
    case "
$installed
" in
    *"
$1
"*) return 0 ;;
    esac
    return 1
}

clang_version() { # of the installed clang, else of the one apt would install
    if is_installed clang; then
        dpkg-query -W -f 'Depends: ${Depends}\n' clang
    else
        apt-cache show --no-all-versions clang 2>/dev/null
    fi | sed -n 's/^Depends:.* clang-\([0-9][0-9]*\).*/\1/p' | sed 1q
}

is_known() { # to apt, as something it can install
    apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'
}

# Sets missing (what to install) and unknown (what apt has never heard of).
find_missing() {
    missing='' unknown='' clang=''
    for row in $(echo "$packages" | awk -v groups=" $* " 'index(groups, " " $1 " ") {print $2}'); do
        case $row in
        *%*)
            [ -n "$clang" ] || clang=$(clang_version)
            row=$(echo "$row" | sed "s/%/${clang:-14}/g")
            ;;
        esac
        found='' candidate=''
        for name in $(echo "$row" | tr '|' ' '); do
            if is_installed "$name"; then
                found=$name
                break
            fi
        done
        [ -z "$found" ] || continue
        for name in $(echo "$row" | tr '|' ' '); do
            if is_known "$name"; then
                candidate=$name
                break
            fi
        done
        if [ -n "$candidate" ]; then
            missing="$missing $candidate"
        else
            unknown="$unknown ${row%%|*}"
        fi
    done
}

find_missing "$@"
[ -n "$missing$unknown" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root() { "$@"; }
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root() { sudo -n "$@"; }
else
    echo "deps.sh: packages are missing and there is neither root nor sudo without a password." >&2
    echo "Run this as root, then try again:" >&2
    echo "apt-get update && apt-get install -y --no-install-recommends$missing$unknown" >&2
    exit 1
fi

apt() { # errors are shown, the progress of some hundred packages is not
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 "$@" >/dev/null
}

if [ -n "$unknown" ]; then # lists never fetched, or too old
    apt update
    find_missing "$@"
    if [ -n "$unknown" ]; then
        echo "deps.sh: apt knows no package for:$unknown" >&2
        exit 1
    fi
fi
echo "deps.sh: installing$missing"
# Outdated lists name files the mirror no longer has: fetch them and try once more.
# shellcheck disable=SC2086
apt install --no-install-recommends $missing || {
    apt update
    apt install --no-install-recommends $missing
}
