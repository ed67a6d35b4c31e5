#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# run.sh -- the command: what it starts, what it refuses and in which words, exit codes, where it
# finds its preload object, what becomes of LD_PRELOAD.

. "${top_srcdir:-$(dirname "$0")/..}/tests/verb.inc"
object=$(realpath "$preload_object")

# ---- how to say what is expected ------------------------------------------------------------

# refuses CODE LINE ARGUMENTS...: `privheap run ARGUMENTS` says this one line.
refuses() {
    code=$1 line=$2
    shift 2
    gives "$code" "privheap run: $line" "$privheap" run "$@"
}

# A program that is preloaded prints 1, one that is not 0; with PID too when the file is empty.
served='grep -c -m 1 libprivheap-preload /proc/self/maps'

# write FILE LINE...: an executable file of these lines.
write() {
    file=$1
    shift
    printf '%s\n' "$@" >"$file"
    chmod 755 "$file"
}

# ---- what it starts -------------------------------------------------------------------------

gives 0 1 "$privheap" run $served
gives 0 1 "$privheap" run -- $served
gives 0 1 "$privheap" run --stats=0 --max-size 64m -- $served
gives 1 0 $served
gives 0 'a --stats b' "$privheap" run echo a --stats b
gives 0 '--x' "$privheap" run -- echo --x
gives 7 '' "$privheap" run sh -c 'exit 7'
gives 125 '' "$privheap" run sh -c 'exit 125'
"$privheap" run sh -c 'kill -KILL $$' 2>/dev/null
verdict 'a killed program shows as killed' [ $? -eq 137 ]
verdict 'the program has the process id' [ "$(sh -c 'echo $$; exec "$0" run sh -c "echo \$\$"' "$privheap" | uniq | wc -l)" = 1 ]
gives 0 in "$privheap" run cat <<END
in
END
gives 0 "sh -c" "$privheap" run sh -c 'tr "\0" " " </proc/$$/cmdline | cut -c 1-5'
gives 0 1 "$privheap" run sh -c "$served" # a child of the program

# Options become variables.
gives 0 'PRIVHEAP_INITIAL_SIZE=1m
PRIVHEAP_MAX_SIZE=64m
PRIVHEAP_PURGE_DELAY=20' "$privheap" run --max-size=64m --purge-delay 20 --initial-size=1m \
    sh -c 'env | grep PRIVHEAP_ | sort'
gives 0 "PRIVHEAP_LOG=$work/a.%p
PRIVHEAP_STATS=0" env PRIVHEAP_STATS=1 "$privheap" run --log=a.%p --stats=0 sh -c 'env | grep PRIVHEAP_ | sort'
gives 0 PRIVHEAP_MAX_SIZE=3m env PRIVHEAP_MAX_SIZE=2m "$privheap" run --max-size=3m sh -c 'env | grep PRIVHEAP_'
gives 0 PRIVHEAP_MAX_SIZE=64m "$privheap" run --max=64m sh -c 'env | grep PRIVHEAP_' # short for it
gives 0 PRIVHEAP_NO_FOLLOW=0 "$privheap" run --no-follow=0 sh -c 'env | grep PRIVHEAP_'
for flag in verbose stats; do
    upper=$(echo $flag | tr a-z A-Z)
    gives 0 PRIVHEAP_$upper=1 "$privheap" run --$flag --log=/dev/null sh -c "env | grep PRIVHEAP_$upper"
done

# The object takes part: its messages, its log.
"$privheap" run --verbose --log=log.%p true
verdict 'the log has the process id in its name and our line in it' grep -q '^privheap: ' log.*
gives 0 'privheap: PRIVHEAP_STAT is not an option; did you mean PRIVHEAP_STATS?' \
    env PRIVHEAP_STAT=1 "$privheap" run true

# ---- LD_PRELOAD -----------------------------------------------------------------------------

$CC -shared -o other.so -x c /dev/null || exit 99
cp other.so more.so
cp other.so libprivheap-preload.so.1 # the name of ours, and more
show='echo "$LD_PRELOAD"'
gives 0 "$object" "$privheap" run sh -c "$show"
gives 0 "$object:$work/other.so" env LD_PRELOAD="$work/other.so" "$privheap" run sh -c "$show"
gives 0 "$object:$work/other.so:./more.so" env LD_PRELOAD="$work/other.so ./more.so" "$privheap" run sh -c "$show"
gives 0 "$object" env LD_PRELOAD= "$privheap" run sh -c "$show"
gives 0 "$object" "$privheap" run "$privheap" run sh -c "$show" # once
gives 0 "$object:$work/other.so" env LD_PRELOAD="$work/other.so:$object" "$privheap" run sh -c "$show"

# --no-follow: the program, but none that it starts; and no trace in the environment.
gives 0 1 "$privheap" run --no-follow $served
gives 0 '0
none' "$privheap" run --no-follow sh -c "$served; echo \${LD_PRELOAD-none}\$PRIVHEAP_NO_FOLLOW"
gives 0 0 env PRIVHEAP_NO_FOLLOW=1 "$privheap" run sh -c "$served; true"
gives 0 1 "$privheap" run --no-follow "$privheap" run sh -c "$served" # a new run starts anew
cat >unfollow.list <<END
$object=none
$object:$work/other.so=$work/other.so
$work/other.so:$object=$work/other.so
$work/other.so $object ./more.so=$work/other.so:./more.so
$object:$object=none
:$object::./more.so:=./more.so
$work/libprivheap-preload.so.1:$object=$work/libprivheap-preload.so.1
./more.so:$work/libprivheap-preload.so.1=./more.so:$work/libprivheap-preload.so.1
END
while IFS='=' read -r list rest; do
    gives 0 "$rest" env PRIVHEAP_NO_FOLLOW=1 LD_PRELOAD="$list" sh -c 'echo ${LD_PRELOAD-none}'
done <unfollow.list

# ---- scripts --------------------------------------------------------------------------------

cat >self.c <<'END'
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    int served = 0;
    while (fgets(line, sizeof line, maps)) served |= strstr(line, "libprivheap-preload") != NULL;
    printf("%d", served);
    for (int i = 1; i < argc; i++) printf(" %s", argv[i]);
    puts("");
    return 0;
}
END
$CC -o self self.c || exit 99
PATH=$work:$PATH
write plain-script "#!$work/self one"
gives 0 "1 one $work/plain-script two" "$privheap" run plain-script two
gives 0 '1 one ./plain-script two three' "$privheap" run --no-follow ./plain-script two three
write script-env '#!/usr/bin/env self'
gives 0 '1 ./script-env two' "$privheap" run ./script-env two
gives 0 '1 ./script-env two' "$privheap" run --no-follow ./script-env two
write script-split '#! /usr/bin/env -S self one  two '
gives 0 '1 one two ./script-split three' "$privheap" run ./script-split three
gives 0 '1 one two ./script-split three' "$privheap" run --no-follow ./script-split three
write script-odd "#!/usr/bin/env -S A=b self"
gives 0 '1 ./script-odd' "$privheap" run ./script-odd
refuses 125 '--no-follow does not reach the interpreter of ./script-odd, which env starts; write: privheap run --no-follow INTERPRETER ./script-odd' \
    --no-follow ./script-odd
gives 0 "1 $work/script-env two" "$privheap" run --no-follow script-env two
# Behind another script, env is out of reach.
unreached() {
    gives 0 "1 $work/script-env ./$1" "$privheap" run "./$1"
    refuses 125 "--no-follow does not reach the interpreter of ./$1, which env starts; write: privheap run --no-follow INTERPRETER ./$1" \
        --no-follow "./$1"
}
write nested "#!$work/script-env"
unreached nested
write env-nested '#!/usr/bin/env script-env'
unreached env-nested

# Interpreters of interpreters: as many as the kernel takes.
write chain0 "#!$work/self"
for i in 1 2 3 4 5 6 7; do
    write chain$i "#!$work/chain$((i - 1))"
    kernel=started us=started
    ./chain$i >/dev/null 2>&1 || kernel=refused
    "$privheap" run ./chain$i >/dev/null 2>errors || us=refused
    [ $us = started ] || verdict "a chain of $i is refused in our words" grep -q ' too many$' errors
    verdict "a chain of $i: $kernel by the kernel, $us by us" [ $kernel = $us ]
    chains="$chains $us"
done
verdict "some chains are too long, some not:$chains" expr "$chains" : ' started.*refused$' >/dev/null

# ---- what it refuses: programs --------------------------------------------------------------

case $(uname -m) in
aarch64) machine='\267' foreign='\076' ours=AArch64 other=x86-64 loader=ld-linux-aarch64.so.1 ;;
*) machine='\076' foreign='\267' ours=x86-64 other=AArch64 loader=ld-linux-x86-64.so.2 ;;
esac
# elf FILE CLASS DATA TYPE MACHINE: the head of an ELF file, and no more than that.
elf() {
    { printf "\177ELF$2$3\1"; head -c 9 /dev/zero; printf "$4\0$5\0"; head -c 44 /dev/zero; } >"$1"
    chmod 755 "$1"
}

static='cannot be preloaded: it is statically linked, no loader reads LD_PRELOAD'
if $CC -static -o static self.c 2>/dev/null; then
    refuses 125 "./static $static" ./static
    write script-static "#!$work/static"
    refuses 125 "./script-static: its interpreter $work/static $static" ./script-static
    write script-deep "#!$work/script-static"
    refuses 125 "$work/script-static: its interpreter $work/static $static" ./script-deep
    write script-env-static '#!/usr/bin/env static'
    refuses 125 "./script-env-static: its interpreter $work/static $static" ./script-env-static
else
    echo 'not tried: static programs, libc.a is missing'
fi
$CC -static-pie -o static-pie self.c 2>/dev/null && refuses 125 "./static-pie $static" ./static-pie
elf elf32 '\1' '\1' '\2' '\3'
refuses 125 './elf32 cannot be preloaded: it is a 32-bit program, privheap is 64-bit' ./elf32
elf foreign '\2' '\1' '\2' "$foreign"
refuses 125 "./foreign cannot be preloaded: it is made for $other, not for $ours" ./foreign
elf big '\2' '\2' '\2' "$machine"
refuses 125 "./big cannot be preloaded: it is made for a big-endian machine, not for $ours" ./big
elf object '\2' '\1' '\1' "$machine"
refuses 126 './object is not a program but an object file; link it first' ./object
elf core '\2' '\1' '\4' "$machine"
refuses 126 './core is not a program but a core file' ./core
elf cut-off '\2' '\1' '\2' "$machine"
refuses 126 './cut-off is a damaged ELF file' ./cut-off
head -c 20 object >cut-short
chmod 755 cut-short
refuses 126 './cut-short is a damaged ELF file' ./cut-short
chmod 755 other.so
refuses 126 './other.so is a shared library, not a program' ./other.so
$CC -o musl self.c -Wl,--dynamic-linker=/lib/ld-musl-$(uname -m).so.1 || exit 99
refuses 125 "./musl cannot be preloaded: it uses musl (/lib/ld-musl-$(uname -m).so.1), not glibc" ./musl
$CC -o odd self.c -Wl,--dynamic-linker=/system/bin/linker64 || exit 99
refuses 125 "./odd cannot be preloaded: its loader is /system/bin/linker64, not glibc's $loader" ./odd
$CC -o lost self.c -Wl,--dynamic-linker=/missing/$loader || exit 99
refuses 126 "./lost cannot start: its loader /missing/$loader is missing" ./lost
own_loader=$(sed -n "s,.* \(/.*ld-linux.*\),\1,p" /proc/self/maps | head -n 1)
gives 0 1 "$privheap" run "$own_loader" ./self

refuses 127 "the program's name is empty" ''
refuses 127 'no-such-program is not found in PATH' no-such-program
refuses 127 'cannot start ./missing: No such file or directory' ./missing
refuses 126 'cannot start ./self/x: Not a directory' ./self/x
refuses 126 './ is a directory' ./
ln -s missing dangling
refuses 127 './dangling is a symbolic link to a missing file' ./dangling
mkfifo fifo
refuses 126 './fifo is not a regular file' ./fifo
echo : >text
refuses 126 './text is not executable for you; see chmod(1)' ./text
mkdir path
cp text path/tool
gives 126 "privheap run: $work/path/tool is not executable for you; see chmod(1)" \
    env PATH="$work/path:/bin:/usr/bin" "$privheap" run tool
chmod 755 text
refuses 126 './text is neither an ELF program nor a script with #!; if it is a shell script: privheap run sh ./text' ./text
: >empty
chmod 755 empty
refuses 126 './empty is an empty file' ./empty
write crlf "$(printf '#!/bin/sh\r')"
refuses 126 './crlf cannot start: its interpreter /bin/sh? is missing (its lines end in CR LF: see dos2unix)' ./crlf
write astray '#!/missing/sh'
refuses 126 './astray cannot start: its interpreter /missing/sh is missing' ./astray
write nameless '#! '
refuses 126 './nameless cannot start: its #! line names no interpreter' ./nameless
write env-astray '#!/usr/bin/env no-such-program'
refuses 126 './env-astray cannot start its interpreter: no-such-program is not found in PATH' ./env-astray
write env-words '#!/usr/bin/env sh -e'
refuses 126 "./env-words cannot start: its #! line needs env -S to pass 'sh -e'" ./env-words
write loop "#!$work/loop"
refuses 126 "$work/loop: its interpreter $work/loop is one interpreter of an interpreter too many" ./loop
gives 127 'privheap run: plain-script is not found in PATH; did you mean ./plain-script?' \
    env PATH=/bin:/usr/bin "$privheap" run plain-script
refuses 127 "'ls -l' is not found: write the program and its arguments as separate words, without quotes" 'ls -l'
refuses 127 "'A=b' is not found; variables stand in front: A=b privheap run PROGRAM" A=b ls

# Without PATH, where execvp looks; a folder in PATH is passed over.
gives 0 1 env -u PATH "$privheap" run grep -c -m 1 libprivheap-preload /proc/self/maps
gives 127 'privheap run: no-such-program is not found in PATH' \
    env PATH="$work/self:/bin:/usr/bin" "$privheap" run no-such-program
mkdir -p path/grep
gives 0 1 env PATH="$work/path:/bin:/usr/bin" "$privheap" run $served

# ---- what it refuses: words -----------------------------------------------------------------

size='bytes from 1m to 64g (k, m, g, t for units), or 0'
refuses 125 'which program? usage: privheap run [options] [--] PROGRAM [ARGS]'
refuses 125 'which program? usage: privheap run [options] [--] PROGRAM [ARGS]' --stats --
refuses 125 "'--maxsize=5' is not an option; did you mean --max-size?" --maxsize=5 true
refuses 125 "'--MAX_SIZE=5' is not an option; did you mean --max-size?" --MAX_SIZE=5 true
refuses 125 "'--nofollow' is not an option; did you mean --no-follow?" --nofollow true
refuses 125 "'--frobnicate' is not an option; \`privheap help run\` lists them" --frobnicate true
refuses 125 "'-stats' is not an option; did you mean --stats?" -stats true
refuses 125 "'-v' is not an option; \`privheap help run\` lists them" -v true
refuses 125 "--max-size needs a value: $size" --max-size
refuses 125 "--max-size: \"12q\" is not a size; it takes $size" --max-size=12q true
refuses 125 "--max-size: \"true\" is not a size; it takes $size" --max-size true
refuses 125 "--max-size: \"\" is empty; it takes $size" --max-size= true
refuses 125 "--max-size: \"1k\" is too small; it takes $size" --max-size=1k true
refuses 125 '--purge-delay: "70000" is too large; it takes milliseconds from 0 to 60000' --purge-delay=70000 true
refuses 125 '--stats: "yes" is neither 0 nor 1; it takes 0 or 1' --stats=yes true
refuses 125 'cannot write to missing/log: No such file or directory' --log=missing/log true
refuses 125 "cannot write to $work: Is a directory" --log="$work" true
refuses 125 'cannot write to self/log: Not a directory' --log=self/log true

# ---- the other words ------------------------------------------------------------------------

usage='usage: privheap VERB [options] [arguments]
       privheap help [VERB]
       privheap --version'
gives 2 "$usage" "$privheap"
gives 2 "privheap: 'rnu' is not a verb; did you mean 'run'?" "$privheap" rnu true
gives 2 "privheap: 'true' is not a verb; to run that program: privheap run true" "$privheap" true
gives 2 "privheap: 'frobnicate' is not a verb; \`privheap help\` lists them" "$privheap" frobnicate
gives 2 "privheap: 'rum' is not a verb; did you mean 'run'?" "$privheap" help rum
gives 2 'privheap: help takes one verb; write: privheap help run' "$privheap" help run run
gives 2 "privheap: '--stats' stands before the verb; write: privheap run --stats PROGRAM" "$privheap" --stats run ls
gives 2 "privheap: '--frobnicate' is not an option; \`privheap help\` lists the verbs" "$privheap" --frobnicate
"$privheap" 2>/dev/null >words
verdict 'a usage error leaves standard output empty' [ ! -s words ]
for words in --help -h help 'help run' 'run --help' 'run -h' 'run --stats --help' --version -V 'help help'; do
    "$privheap" $words >words 2>errors
    verdict "$words exits 0" [ $? -eq 0 ]
    verdict "$words says something on standard output" [ -s words ]
    verdict "$words says nothing on standard error" [ ! -s errors ]
done
verdict 'help run and run --help are one' [ "$("$privheap" help run)" = "$("$privheap" run --help)" ]
verdict 'the list of verbs has run' [ "$("$privheap" help | grep -c '^  run ')" = 1 ]
verdict 'the version is a version' expr "$("$privheap" --version | head -n 1)" : 'privheap [0-9]*\.[0-9]*\.[0-9]*$' >/dev/null
if [ -c /dev/full ]; then
    for words in --help 'help run' 'run --help' --version; do
        "$privheap" $words >/dev/full 2>errors
        verdict "$words complains when it cannot be written" [ $? -eq 125 ]
        verdict "$words says that it cannot be written" grep -q 'cannot write to standard output: No space' errors
    done
fi

# ---- where the object is --------------------------------------------------------------------

# try NAME BIN LIB: with the command in BIN, the object in LIB of a place of its own.
try() {
    mkdir -p "$work/$1/$2" "$work/$1/$3"
    cp "$privheap" "$work/$1/$2/"
    cp "$object" "$work/$1/$3/"
    gives 0 "$work/$1/$3/libprivheap-preload.so" "$work/$1/$2/privheap" run sh -c "$show"
}
try usr bin lib/privheap
try multiarch bin lib/x86_64-linux-gnu/privheap
try lib64 bin lib64/privheap
try build . preload/.libs
try libs .libs preload/.libs
try together all all
ln -s usr/bin/privheap command
gives 0 "$work/usr/lib/privheap/libprivheap-preload.so" ./command run sh -c "$show"
cp -r usr 'with space'
gives 125 "privheap run: LD_PRELOAD cannot name $work/with space/lib/privheap/libprivheap-preload.so: install privheap where the path has no space and no colon" \
    'with space/bin/privheap' run true
mkdir alone
cp "$privheap" alone/
"$work/alone/privheap" run true 2>errors
code=$?
if [ $code -ne 0 ]; then # else one is installed on this machine
    verdict 'a missing object is our error' [ $code -eq 125 ]
    verdict 'a missing object is named' grep -q '^privheap run: the preload object is missing: neither beside this command nor /' errors
fi

# ---- privileges: refused exactly when the kernel would set AT_SECURE -------------------------

# agrees PROGRAM [PREFIX...]: the loader prints the auxiliary vector only when it is not secure.
agrees() {
    program=$1
    shift
    secure=refused
    "$@" env LD_SHOW_AUXV=1 "$program" 2>/dev/null | grep -q '^AT_SECURE: *0$' && secure=started
    "$@" "$work/usr/bin/privheap" run "$program" >/dev/null 2>errors
    code=$?
    if [ $code -eq 0 ]; then ours=started
    elif [ $code -eq 125 ] && grep -q 'so the loader ignores LD_PRELOAD (AT_SECURE)$' errors; then ours=refused
    else ours="exit $code: $(cat errors)"; fi
    verdict "$program ($(stat -c %a:%u:%g "$program")) $*: $secure by the kernel, $ours by us" [ "$ours" = $secure ]
    seen="$seen $ours"
}
seen=
nobody=65534
agrees "$work/self"
if [ "$(id -u)" = 0 ]; then
    as_nobody="setpriv --reuid $nobody --regid $nobody --clear-groups"
    $as_nobody true 2>/dev/null || as_nobody=
    # each: mode, owner, group
    for kind in 4755:0:0 4755:$nobody:0 2755:0:0 2755:0:$nobody 2705:0:1 6755:$nobody:$nobody 711:0:0; do
        cp self privileged
        chown "$(echo "$kind" | cut -d: -f2-)" privileged
        chmod "${kind%%:*}" privileged
        agrees "$work/privileged"
        [ -n "$as_nobody" ] || continue
        agrees "$work/privileged" $as_nobody
        agrees "$work/privileged" $as_nobody --no-new-privs
    done
    cp self capable
    if setcap cap_net_raw+ep capable 2>/dev/null; then
        agrees "$work/capable"
        [ -n "$as_nobody" ] && agrees "$work/capable" $as_nobody
        write script-capable "#!$work/capable"
        [ -z "$as_nobody" ] || gives 125 "privheap run: $work/script-capable: its interpreter $work/capable cannot be preloaded: it has file capabilities, so the loader ignores LD_PRELOAD (AT_SECURE)" \
            $as_nobody usr/bin/privheap run "$work/script-capable"
    else
        echo 'not tried: file capabilities'
    fi
    verdict 'some programs were refused' expr "$seen" : '.*refused' >/dev/null
else
    echo 'not tried: set-user-ID programs of another user, for that run this as root'
fi

tell_and_exit
