#!/bin/sh
# Proves that each lint check can fail: in a scratch tree that is clean, one violation at a
# time is planted, and the check has to name the place. TAP.
#   B=build tests/lint/selftest.sh
set -u
top=$(pwd)
flags=$(realpath -m "${B:-build}")/compile.flags
[ -e "$flags" ] || { echo "not ok 1 - $flags is missing: run make first" && exit 1; }
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0
failed=0
# what the checks look for is put together here, or they would find it in this very file
slash=/

report() { # STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        sed 's/^/# /' "$scratch.out" 2>/dev/null
        failed=1
    fi
}

# A small project that passes every check.
fresh() {
    rm -rf "$scratch/t"
    mkdir -p "$scratch/t/tests/lint" "$scratch/t/src/base" "$scratch/t/src/codec" \
        "$scratch/t/src/coap" "$scratch/t/src/store" "$scratch/t/man" "$scratch/t/build"
    cd "$scratch/t" || exit 1
    cp "$top"/tests/lint/* tests/lint/ 2>/dev/null
    rm -f tests/lint/selftest.sh
    cp "$top/.clang-format" .
    cp "$flags" build/compile.flags
    awk '{print $1 "\topen"}' tests/lint/labels >tests/requirements.tsv
    for folder in base codec coap store; do
        guard=$(echo "${folder}_H" | tr '[:lower:]' '[:upper:]')
        cat >src/$folder/$folder.h <<END
#ifndef $guard
#define $guard

int ${folder}_one(int a);

#endif
END
        cat >src/$folder/$folder.c <<END
#include "$folder/$folder.h"

int ${folder}_one(int a)
{
    return a + 1;
}
END
    done
    cat >man/page.1 <<'END'
.Dd January 1, 2026
.Dt PAGE 1
.Os
.Sh NAME
.Nm page
.Nd a page
END
}

compile() { # FILE: the object where the checks look for it
    mkdir -p "build/obj/$(dirname "$1")"
    gcc -w -D_GNU_SOURCE -fPIE -O1 -Isrc -c -o "build/obj/${1%.c}.o" "$1" 2>/dev/null
}

lint() { # [CHECK]; objects only for those that look at them
    case ${1:-all} in
    all | prefix | no_*) for file in src/*/*.c; do compile "$file"; done ;;
    esac
    B=build tests/lint/lint "$@" >"$scratch.out" 2>&1
}

# expect CHECK TEXT: the check fails and says TEXT (a basic regular expression).
expect() {
    if lint "$1"; then
        report 1 "$1 sees: $2"
    else
        grep -q -- "$2" "$scratch.out" && grep -q "^not ok" "$scratch.out"
        report $? "$1 sees: $2"
    fi
}

# plant FILE: standard input is appended to the file
plant() {
    mkdir -p "$(dirname "$1")"
    cat >>"$1"
}

lines() { # N TEXT
    awk -v n="$1" -v text="$2" 'BEGIN {for (i = 0; i < n; i++) print text}'
}

fresh
lint
report $? 'a clean tree passes every check'

# one word of each row of the table, called; then handed on by name, and members left alone
grep -v '^#' "$top/tests/lint/banned" | while IFS='|' read -r words _ _ _; do
    for word in $words; do echo "$word"; done
done >"$scratch.words"
fresh
while read -r word; do
    echo "void coap_$word(void) { $word(0); }"
done <"$scratch.words" >>src/coap/coap.c
B=build tests/lint/lint banned >"$scratch.out" 2>&1
missed=0
while read -r word; do
    grep -q "^src/coap/coap.c:[0-9]*: $word is banned" "$scratch.out" || {
        echo "# $word was not seen" && missed=1
    }
done <"$scratch.words"
report $missed 'banned sees every word of its table'
fresh && echo 'void *coap_p = free;' | plant src/coap/coap.c
expect banned 'src/coap/coap.c:7: free is banned'
fresh && echo 'int coap_x(struct a *a) { /* free(a) */ return a->free(a, "free(a)") + a->time; }' |
    plant src/coap/coap.c
B=build tests/lint/lint banned >"$scratch.out" 2>&1
report $? 'banned leaves members, comments and strings alone'
fresh && echo 'void base_f(void *p) { free(p); }' | plant src/base/base.c
B=build tests/lint/lint banned >"$scratch.out" 2>&1
report $? 'banned lets base have what it gives to the others'

fresh && echo '#include "store/store.h"' | plant src/coap/coap.c
expect layers 'src/coap/coap.c:7: coap may not include store'
fresh && echo '#include "coap/coap.h"' | plant src/codec/codec.h
expect layers 'src/codec/codec.h:7: codec may not include coap'
fresh && : >src/base/secret.h && echo '#include "base/secret.h"' | plant src/coap/coap.c
expect layers 'src/coap/coap.c:7: "base/secret.h" is private to base'
fresh && echo '#include <sqlite3.h>' | plant src/coap/coap.c
expect layers 'src/coap/coap.c:7: SQLite may be included in store only'
fresh && echo '#include <uv.h>' | plant src/base/timer.c
expect layers 'src/base/timer.c:1: libuv may be included in base/mbox'
fresh && echo '#include <sys/socket.h>' | plant src/coap/coap.c
expect layers 'src/coap/coap.c:7: <sys/socket.h> in coap, which does no I/O'
fresh && echo '#include <yaml.h>' | plant src/store/store.c
expect layers 'src/store/store.c:7: <yaml.h> has no row'
fresh && echo 'int other_x;' | plant src/other/other.c
expect layers 'src/other/other.c:1: its folder has no row'
fresh && echo '#include "../base/base.h"' | plant src/coap/coap.c
expect layers 'src/coap/coap.c:7: "../base/base.h" is not rooted at src'
fresh && sed -i 's/^folder base :/& coap/' tests/lint/layers
expect layers 'base may include coap, which is not below it'

fresh && lines 800 '/* a line */' | plant src/coap/coap.c
expect file_length 'src/coap/coap.c:806: 806 lines'
fresh && {
    printf 'static int f(int a,\n             int b)\n{\n'
    lines 78 '    a++;'
    printf '}\n'
} | plant src/coap/coap.c
expect function_length 'src/coap/coap.c:7: a function of 82 lines'
fresh && {
    printf 'static int f(int a)\n{\n'
    lines 77 '    a++;'
    printf '}\n'
} | plant src/coap/coap.c
B=build tests/lint/lint function_length >"$scratch.out" 2>&1
report $? 'function_length lets 80 lines pass'

fresh && printf '/* TO%s: x */\n' DO | plant src/coap/coap.c
expect left_over "src/coap/coap.c:7: .* is a reminder"
fresh && printf 'see FIX%s\n' ME | plant README.md
expect left_over 'README.md:1: .* is a reminder'
for path in work root home; do
    fresh && echo "cd ${slash}$path/x" | plant README.md
    expect machine "README.md:1: ${slash}$path is a path of one machine"
done
for host in pypi@org files.pythonhosted@org repo1@maven.org registry.npmjs@org \
    deb@debian.org crates@io; do
    fresh && echo "see $host" | tr @ . | plant tests/e2e/a.py
    expect registries "tests/e2e/a.py:1: .* is a registry's host"
done
fresh && printf '\tint x;\n' | plant src/coap/coap.c
expect tabs 'src/coap/coap.c:7: a tab'
fresh && printf 'int x; \n' | plant src/coap/coap.c
expect tabs 'src/coap/coap.c:7: blanks at the end'

fresh && printf 'int other_name(void);\nint other_name(void)\n{\n    return 1;\n}\n' |
    plant src/coap/coap.c
expect prefix 'src/coap/coap.c:8: other_name does not begin with coap_'
fresh && echo 'int coaplike;' | plant src/coap/coap.c
expect prefix 'coaplike does not begin with coap_'
fresh && compile src/coap/coap.c && echo 'int x_y;' | plant src/coap/x.c
rm -rf build/obj
B=build tests/lint/lint prefix >"$scratch.out" 2>&1
grep -q '^src/coap/x.c:1: not built' "$scratch.out"
report $? 'prefix sees: an object that is missing'
fresh && printf 'long read(int, void *, unsigned long);\nlong coap_r(void)\n{\n    return read(0, 0, 0);\n}\n' |
    plant src/coap/coap.c
expect no_io 'src/coap/coap.c:7: calls read: no I/O'
fresh && echo 'static int calls; int coap_n(void) { return ++calls; }' | plant src/coap/coap.c
expect no_globals 'src/coap/coap.c:7: calls is a variable that outlives the call'
fresh && echo 'int coap_n(void) { static int calls = 3; return ++calls; }' | plant src/coap/coap.c
expect no_globals 'src/coap/coap.c:7: calls.* is a variable that outlives the call'
fresh && printf 'static const char *const t[] = {"a", "b"};\nconst char *coap_t(int i) { return t[i]; }\n' |
    plant src/coap/coap.c
lint no_globals
report $? 'no_globals lets tables be'
fresh && echo 'uint8_t coap_b(void);' | plant src/coap/coap.h
expect headers 'src/coap/coap.h:7:.*uint8_t'
fresh && echo 'struct coap_s { int a; };' | plant src/coap/coap.h
expect headers 'src/coap/coap.h:7:.*redefinition'

fresh && printf 'int  coap_x ;\n' | plant src/coap/coap.c
lint clang_format
if grep -q SKIP "$scratch.out"; then
    count=$((count + 1))
    echo "ok $count - clang_format # SKIP another release is installed"
else
    expect clang_format 'src/coap/coap.c:7:.*clang-format'
fi
fresh && printf '.Xyz\n.Bl\n.It a\n' | plant man/page.1
expect mandoc 'man/page.1:[0-9]*:.*ERROR'
fresh && printf '#!/bin/sh\nif true; then\n' | plant contrib/x.sh && chmod +x contrib/x.sh
expect shell 'contrib/x.sh:1: .*'
fresh && printf '#!/bin/sh\n:\n' | plant contrib/x.sh
expect shell 'contrib/x.sh:1: a script that cannot be executed'

fresh && rm tests/requirements.tsv
expect requirements 'tests/requirements.tsv:1: is missing'
fresh && sed -i '/^CS-001/d' tests/requirements.tsv
expect requirements 'tests/requirements.tsv:1: CS-001 is missing'
fresh && printf 'CS-002\topen\n' | plant tests/requirements.tsv
expect requirements ': CS-002 is there twice'
fresh && printf 'CS-999\topen\n' | plant tests/requirements.tsv
expect requirements ': CS-999 is not a label'
fresh && sed -i 's,^CS-001.*,CS-001\ttests/e2e/no.py,' tests/requirements.tsv
expect requirements ': CS-001: tests/e2e/no.py does not exist'
fresh && sed -i 's,^CS-001.*,CS-001\ttests/lint/lint::no_such,' tests/requirements.tsv
expect requirements ': CS-001: tests/lint/lint has no no_such'
fresh && sed -i 's,^CS-001.*,CS-001,' tests/requirements.tsv
expect requirements ': CS-001 names neither'
fresh && sed -i 's,^CS-001.*,CS-001\ttests/lint/lint,' tests/requirements.tsv && : >ran
tests/lint/requirements --ran ran >"$scratch.out" 2>&1
[ $? -eq 1 ] && grep -q ': CS-001: tests/lint/lint did not run and pass' "$scratch.out"
report $? 'requirements sees: a test named that did not run'

cd "$top" || exit 1
rm -f "$scratch.out" "$scratch.words"
echo "1..$count"
exit $failed
