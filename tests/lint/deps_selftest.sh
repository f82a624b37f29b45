#!/bin/sh
# contrib/deps.sh against a make-believe Debian: what it would install, and when. TAP.
set -u
top=$(pwd)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
count=0
failed=0

# The tools it asks. $scratch/installed and known are package names; known.new is what
# apt-get update brings; calls collects what apt-get was told.
tool() {
    cat >"$scratch/bin/$1"
    chmod +x "$scratch/bin/$1"
}
tool dpkg-query <<END
#!/bin/sh
case "\$*" in
*Depends*) echo 'Depends: clang-19 (>= 19~)' ;;
*) sed 's/^/installed /' $scratch/installed ;;
esac
END
tool apt-cache <<END
#!/bin/sh
for name; do :; done
case \$1 in
policy) if grep -qxF "\$name" $scratch/known; then echo '  Candidate: 1.0'
        else echo '  Candidate: (none)'; fi ;;
show) grep -qxF clang $scratch/known &&
    printf 'Package: clang\nDepends: clang-19 (>= 19~)\nBreaks: clang-3.2\n' ;;
esac
END
tool apt-get <<END
#!/bin/sh
[ "\${DEBIAN_FRONTEND:-}" = noninteractive ] || exit 9
while [ \$# -gt 0 ]; do
    case \$1 in
    -o) shift ;;
    -*) ;;
    update) echo update >>$scratch/calls; [ ! -e $scratch/known.new ] ||
        cp $scratch/known.new $scratch/known ;;
    install) shift; echo "install \$*" >>$scratch/calls
        if [ -e $scratch/stale ]; then rm $scratch/stale; exit 100; fi; exit 0 ;;
    esac
    shift
done
END
tool id <<END
#!/bin/sh
cat $scratch/uid
END
tool sudo <<END
#!/bin/sh
[ -e $scratch/sudo ] || exit 1
shift
exec "\$@"
END

all='gcc libc6-dev make autoconf pkgconf libuv1-dev libssl-dev libcoap3-dev libsqlite3-dev
libcjson-dev libmicrohttpd-dev libcurl4-openssl-dev libjansson-dev libexpat1-dev libinih-dev'
tests='git libcmocka-dev python3 python3-venv libcoap3-bin default-jdk-headless maven clang llvm
libclang-rt-19-dev clang-format clang-tidy cppcheck mandoc valgrind'

reset() {
    rm -f "$scratch"/known.new "$scratch"/stale "$scratch"/sudo
    : >"$scratch/calls"
    echo 0 >"$scratch/uid"
    printf '%s\n' $all $tests >"$scratch/installed"
    cp "$scratch/installed" "$scratch/known"
}
without() { # FILE NAME...
    file=$scratch/$1
    shift
    for name; do
        grep -vxF "$name" "$file" >"$file.new"
        mv "$file.new" "$file"
    done
}
deps() {
    PATH="$scratch/bin:$PATH" "$top/contrib/deps.sh" "$@" >"$scratch/out" 2>&1
    status=$?
}
check() { # NAME, then a test
    name=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - deps: $name"
    else
        echo "not ok $count - deps: $name (status $status)"
        sed 's/^/# /' "$scratch/out" "$scratch/calls"
        failed=1
    fi
}
called() { [ "$(cat "$scratch/calls")" = "$1" ] && [ $status -eq 0 ]; }

install='install --no-install-recommends'
reset && deps build test
check 'nothing missing, nothing done' called ''
reset && without installed libuv1-dev && deps
check 'what is missing is installed' called "$install libuv1-dev"
reset && without installed pkgconf && echo pkg-config >>"$scratch/installed" && deps
check 'an alternative that is installed is enough' called ''
reset && without installed libcoap3-dev && without known libcoap3-dev &&
    echo libcoap-dev >>"$scratch/known" && deps
check 'the alternative that apt knows is taken' called "$install libcoap-dev"
reset && without installed valgrind && deps build
check 'groups not asked for are left out' called ''
reset && without installed valgrind libclang-rt-19-dev && deps test
check 'the runtime is that of the clang installed' called "$install libclang-rt-19-dev valgrind"
reset && without installed clang libclang-rt-19-dev && deps test
check 'and of the clang to be installed' called "$install clang libclang-rt-19-dev"
reset && without installed gcc && cp "$scratch/known" "$scratch/known.new" && : >"$scratch/known" &&
    deps
check 'empty lists are fetched first' called "update
$install gcc"
reset && without installed gcc && : >"$scratch/stale" && deps
check 'outdated lists are fetched, then once more' called "$install gcc
update
$install gcc"
reset && without installed gcc && without known gcc && deps
check 'a package nobody knows is named' grep -q 'apt knows no package for: gcc' "$scratch/out"
reset && without installed gcc make && echo 1000 >"$scratch/uid" && : >"$scratch/sudo" && deps
check 'sudo will do' called "$install gcc make"
reset && without installed gcc make && echo 1000 >"$scratch/uid" && deps
check 'neither root nor sudo: the line to run' \
    grep -q '^apt-get update && apt-get install -y --no-install-recommends gcc make$' "$scratch/out"
check '... and failure' [ $status -eq 1 ]
check '... and nothing done' [ ! -s "$scratch/calls" ]

echo "1..$count"
exit $failed
