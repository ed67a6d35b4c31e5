#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# rules.sh -- settings kept per program: what `privheap rules` writes and tells, which programs a rule means, which
# rule wins, what run makes of it, and that a broken file costs its broken lines only.

. "${top_srcdir:-$(dirname "$0")/..}/tests/verb.inc"
nobody=65534
as_nobody=
[ "$(id -u)" = 0 ] && as_nobody="setpriv --reuid $nobody --regid $nobody --clear-groups"
[ -n "$as_nobody" ] && { $as_nobody true 2>/dev/null || as_nobody=; }

# The system's file is one of ours: whoever opens it gets that.
cat >system.c <<'END_C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#define INSTEAD(name)                                                        \
    int name(const char *path, int flags, ...)                               \
    {                                                                        \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);       \
        va_list more;                                                        \
        va_start(more, flags);                                               \
        int mode = va_arg(more, int);                                        \
        va_end(more);                                                        \
        return real(strcmp(path, "/etc/privheap/rules") == 0 ? SYSTEM : path, flags, mode); \
    }
INSTEAD(open)
INSTEAD(open64)
END_C
$CC -shared -fPIC -DSYSTEM="\"$work/system\"" -o system.so system.c -ldl || exit 99
cat >ph <<END_SH
#!/bin/sh
LD_PRELOAD=$work/system.so exec "$privheap" "\$@"
END_SH
chmod 755 ph
ph=$work/ph
XDG_CONFIG_HOME="$work/my config"
export XDG_CONFIG_HOME
mine="$XDG_CONFIG_HOME/privheap/rules"

# ---- how to say what is expected ------------------------------------------------------------

# rules CODE TEXT ARGUMENTS...: `privheap rules ARGUMENTS`; its complaints begin as they should.
rules() {
    code=$1 text=$2
    shift 2
    gives "$code" "${text:+privheap rules: $text}" "$ph" rules "$@"
}

# holds LINE...: your file is these lines.
holds() {
    printf '%s\n' "$@" >expected
    verdict "the file is not: $*
but: $(cat "$mine")" cmp -s expected "$mine"
}

# starts TEXT COMMAND...: run starts the command, whose PRIVHEAP_ variables are TEXT.
starts() {
    text=$1
    shift
    gives 0 "$text" "$ph" run "$@"
}

# One that prints its variables, without the start of them.
printf '#!/bin/sh\nenv | sed -n "s/^PRIVHEAP_//p" | sort | paste -sd " "\n' >vars
chmod 755 vars
PATH=$work:$PATH
say() { printf '%s\n' "$@"; }

# ---- add, list, remove ----------------------------------------------------------------------

nothing="/etc/privheap/rules: no rules
$mine: no rules"
gives 0 "$nothing" "$ph" rules list
verdict 'to list rules makes no file' [ ! -e "$XDG_CONFIG_HOME" ]
starts '' vars
rules 1 "there is no rule for vars in $mine" remove vars
verdict 'to remove nothing makes no file' [ ! -e "$XDG_CONFIG_HOME" ]
umask 022
rules 0 '' add vars mode=secure --stats
holds '[vars]' 'mode = secure' 'stats = 1'
verdict 'the folders are for the user alone' [ "$(stat -c %a "$XDG_CONFIG_HOME/privheap")" = 700 ]
verdict 'the file has the usual mode' [ "$(stat -c %a "$mine")" = 644 ]
rules 0 '' add '/opt/old programs/editor' max_size=256m
holds '[vars]' 'mode = secure' 'stats = 1' '' '[/opt/old programs/editor]' 'max-size = 256m'
inode=$(stat -c %i "$mine")
rules 0 '' add vars --mode=secure STATS=1
verdict 'what is there already is not written again' [ "$(stat -c %i "$mine")" = "$inode" ]
rules 0 '' add vars stats=0 purge-delay=20
holds '[vars]' 'mode = secure' 'stats = 0' 'purge-delay = 20' '' '[/opt/old programs/editor]' 'max-size = 256m'
gives 0 "/etc/privheap/rules: no rules
$mine:2: [vars] mode = secure
$mine:3: [vars] stats = 0
$mine:4: [vars] purge-delay = 20
$mine:7: [/opt/old programs/editor] max-size = 256m" "$ph" rules list
starts 'MODE=secure PURGE_DELAY=20 STATS=0' vars
rules 1 "there is no max-size for vars in $mine" remove vars max-size
rules 1 "there is no rule for var in $mine" remove var
rules 0 '' remove vars stats purge_delay
holds '[vars]' 'mode = secure' '' '[/opt/old programs/editor]' 'max-size = 256m'
rules 0 '' remove vars mode
holds '[/opt/old programs/editor]' 'max-size = 256m'
rules 0 '' remove '/opt/old programs/editor'
verdict 'nothing is left' [ ! -s "$mine" ]

say [vars] checks=0 '' [other] stats=0 >"$mine"
rules 0 '' remove other
holds [vars] checks=0

# By hand: comments, spaces, settings twice.  What is not asked for stays as it is, to the byte.
cat >"$mine" <<'END_RULES'
# mine

  ; of vars
[ vars ]
    # the mode
    mode=tolerant
	mode =  secure

[other]
stats = 1   
# at the end
END_RULES
cp "$mine" before
starts MODE=secure vars
rules 0 '' add vars mode=default
sed 's/^	mode.*/	mode = default/' before >expected
verdict 'the setting that counts is replaced, where it stands' cmp -s expected "$mine"
rules 0 '' add vars verbose
verdict 'a setting stands as far in as the one above it' [ "$(sed -n 8p "$mine")" = '	verbose = 1' ]
rules 0 '' remove vars
holds '# mine' '' '  ; of vars' '    # the mode' '' '[other]' 'stats = 1   ' '# at the end'
rules 0 '' remove other
holds '# mine' '' '  ; of vars' '    # the mode' '' '# at the end'

# Mode, symbolic links.
rules 0 '' add vars stats
chmod 640 "$mine"
mkdir dotfiles
mv "$mine" dotfiles/
ln -s "$work/dotfiles/rules" "$mine"
rules 0 '' add vars checks=0
verdict 'a link stays a link' [ -L "$mine" ]
verdict 'the file at its end is changed' grep -qx 'checks = 0' dotfiles/rules
verdict 'the mode stays' [ "$(stat -c %a dotfiles/rules)" = 640 ]
verdict 'no other file is left' [ "$(ls -A dotfiles)" = rules ]
if [ "$(id -u)" = 0 ]; then
    chown $nobody:$nobody dotfiles/rules
    rules 125 "$work/dotfiles/rules is left alone: it belongs to another user" add vars checks=1
    gives 0 "privheap run: $mine is ignored: it belongs to another user" "$ph" run vars
    chown 0:$nobody dotfiles/rules
    rules 0 '' add vars checks=1
    verdict 'the group stays' [ "$(stat -c %u:%g dotfiles/rules)" = 0:$nobody ]
fi
rm -r dotfiles
rules 125 "cannot write to $mine: it is a symbolic link to a missing file" add vars checks=0
starts '' vars
rm "$mine"

# Many writers at once, and none gets in while one is at work.
names='a b c d e f g h i j k l'
for name in $names; do "$ph" rules add "$name" stats & done
wait
for name in $names; do verdict "$name is lost" grep -qx "\[$name\]" "$mine"; done
verdict 'many writers leave one file' [ "$(ls -A "$XDG_CONFIG_HOME/privheap")" = rules ]
mkfifo held
flock "$XDG_CONFIG_HOME/privheap" sh -c ': <held' &
holder=$!
while flock -n "$XDG_CONFIG_HOME/privheap" true; do :; done
"$ph" rules add late stats &
writer=$!
sleep 0.3
verdict 'a writer waits for another' [ "$(grep -c late "$mine")" = 0 ]
: >held
wait $holder $writer
verdict 'and then writes' grep -q late "$mine"
rm "$mine"

# Where it cannot write.
if [ -n "$as_nobody" ] || [ "$(id -u)" != 0 ]; then
    mkdir -p readonly/privheap
    printf '[vars]\nstats = 0\n' >readonly/privheap/rules
    chmod -R a-w,a+rX readonly
    gives 125 "privheap rules: cannot write to $work/readonly/privheap/rules: Permission denied" \
        env XDG_CONFIG_HOME="$work/readonly" $as_nobody "$privheap" rules add vars stats
    gives 125 "privheap rules: cannot write to $work/readonly/privheap/rules: Permission denied" \
        env XDG_CONFIG_HOME="$work/readonly" $as_nobody "$privheap" rules remove vars
    chmod -R u+w readonly
else
    echo 'not tried: a folder that may not be written, for that run this as another user than root, or with setpriv'
fi
: >file
gives 125 "privheap rules: cannot write to $work/file/privheap/rules: Not a directory" \
    env XDG_CONFIG_HOME="$work/file" "$ph" rules add vars stats

# Where the file is: XDG_CONFIG_HOME, HOME, neither; --file, --system.
mkdir home
gives 0 '' env -u XDG_CONFIG_HOME HOME="$work/home" "$ph" rules add vars stats=0
verdict 'without XDG_CONFIG_HOME it is in .config' [ -s home/.config/privheap/rules ]
gives 0 'STATS=0' env -u XDG_CONFIG_HOME HOME="$work/home" "$ph" run vars
gives 0 'STATS=0' env XDG_CONFIG_HOME=relative HOME="$work/home" "$ph" run vars
gives 0 '' env -u XDG_CONFIG_HOME -u HOME "$ph" run vars
gives 0 '' env -u XDG_CONFIG_HOME HOME= "$ph" run vars
gives 0 '' env -u XDG_CONFIG_HOME HOME=home "$ph" run vars
nowhere='neither XDG_CONFIG_HOME nor HOME says where your rules are; --system or --file=FILE names others'
gives 125 "privheap rules: $nowhere" env -u XDG_CONFIG_HOME -u HOME "$ph" rules add vars stats
gives 0 '/etc/privheap/rules: no rules' env -u XDG_CONFIG_HOME -u HOME "$ph" rules list
mkdir new
rules 0 '' add --file=new/rules vars mode=secure
verdict 'a file of that name is made' [ "$(cat new/rules)" = '[vars]
mode = secure' ]
gives 0 "$work/new/rules:2: [vars] mode = secure" "$ph" rules list --file=new/rules
rules 0 '' remove --file new/rules vars
cp new/rules system
gives 0 '/etc/privheap/rules: no rules' "$ph" rules list --system
say '[vars]' stats=1 >system
gives 0 '/etc/privheap/rules:2: [vars] stats = 1' "$ph" rules list --system

rules 125 "$work is ignored: it is not a regular file" list --file="$work"
rules 125 "cannot write to $work/not/there/rules: No such file or directory" add --file=not/there/rules vars stats
verdict 'no folder is made for a file that was named' [ ! -e not ]
: >loose
chmod 666 loose
rules 125 "$work/loose is ignored: it may be written by everybody" list --file=loose

# ---- which programs a rule means ------------------------------------------------------------

rm system
mkdir -p bin real 'a folder'
cp vars real/tool-1.0
cp vars 'a folder/my tool'
ln -s ../real/tool-1.0 bin/tool
ln -s bin linked

# means YES-OR-NO RULE PROGRAM
means() {
    printf '[%s]\nstats = 0\n' "$2" >"$mine"
    case $1 in yes) text=STATS=0 ;; *) text= ;; esac
    starts "$text" "$3"
}
means yes vars vars
means yes vars ./vars
means no var vars
means no Vars vars
means yes tool bin/tool
means yes tool-1.0 bin/tool
means no tool real/tool-1.0
means yes "$work/vars" vars
means yes "$work/bin/tool" bin/tool
means yes "$work/real/tool-1.0" bin/tool
means yes "$work/bin/tool" linked/tool
means yes "$work/linked/tool" bin/tool
means no "$work/bin/tool" real/tool-1.0
means no "$work/bin/vars" vars
means yes 'my tool' 'a folder/my tool'
means yes "$work/a folder/my tool" 'a folder/my tool'
means yes 'my*' 'a folder/my tool'
means yes 'v?r[a-s]' vars
means no 'v?r[t-z]' vars
means yes '*' vars
means yes 'tool-*' bin/tool
means yes "$work/*" bin/tool
means yes '*/real/*' bin/tool
means no "$work/r?al" bin/tool
means no 'sh' vars
means yes "$work/bin/../vars" vars
cp vars '['
cp vars 'v*rs'
means yes '[[]' './['
means yes '[' './['
means no 'v\*rs' ./vars
means yes 'v\*rs' './v*rs'
means yes 'v\ars' vars
rm "$mine"
(cd 'a folder' && "$ph" rules add './my tool' stats=0)
holds "[$work/a folder/my tool]" 'stats = 0'
(cd 'a folder' && "$ph" rules remove '../a folder/my tool')
verdict 'a path from here is found again' [ ! -s "$mine" ]
rules 0 '' add '*/bin/x' stats
holds '[*/bin/x]' 'stats = 1'

# ---- which rule wins ------------------------------------------------------------------------

# wins DELAY: the purge delay of vars.
wins() { starts "PURGE_DELAY=$1" vars; }
say "[$work/vars]" purge-delay=1 [vars] purge-delay=2 '[v*]' purge-delay=3 >system
rm "$mine"
wins 1
say '[v*]' purge-delay=4 >"$mine"
wins 4
say [vars] purge-delay=5 '[v*]' purge-delay=4 >"$mine"
wins 5
say "[$work/vars]" purge-delay=6 [vars] purge-delay=5 "[$work/v*]" purge-delay=4 >"$mine"
wins 6
say [vars] purge-delay=7 purge-delay=8 [vars] [other] purge-delay=10 [vars] purge-delay=9 >"$mine"
wins 9
gives 0 PURGE_DELAY=10 env PRIVHEAP_PURGE_DELAY=10 "$ph" run vars
gives 0 PURGE_DELAY=9 env PRIVHEAP_PURGE_DELAY= "$ph" run vars
gives 0 PURGE_DELAY=11 env PRIVHEAP_PURGE_DELAY=10 "$ph" run --purge-delay=11 vars
starts PURGE_DELAY=11 --purge-delay=11 vars
starts '' --no-rules vars
starts PURGE_DELAY=11 --no-rules --purge-delay 11 vars
say [vars] mode=secure >>system
starts 'MODE=secure PURGE_DELAY=9' vars # each option by itself
starts 'MODE=secure PURGE_DELAY=9' sh -c "$ph run vars"
starts PURGE_DELAY=12 --no-rules --purge-delay=12 vars
gives 0 'MODE=tolerant PURGE_DELAY=9' "$ph" run --no-rules --mode=tolerant "$privheap" run vars # inherited, it wins

# show tells the same.
gives 0 "$work/vars
  --purge-delay=9          $mine:8: [vars]
  --mode=secure            /etc/privheap/rules:8: [vars]
  --purge-delay=7          $mine:2: [vars], overruled
  --purge-delay=8          $mine:3: [vars], overruled
  --purge-delay=1          /etc/privheap/rules:2: [$work/vars], overruled
  --purge-delay=2          /etc/privheap/rules:4: [vars], overruled
  --purge-delay=3          /etc/privheap/rules:6: [v*], overruled" "$ph" rules show vars
rm system
gives 0 "$work/vars
  --purge-delay=3          environment: PRIVHEAP_PURGE_DELAY
  --purge-delay=7          $mine:2: [vars], overruled
  --purge-delay=8          $mine:3: [vars], overruled
  --purge-delay=9          $mine:8: [vars], overruled" env PRIVHEAP_PURGE_DELAY=3 "$ph" rules show vars
say '[tool*]' stats=0 "[$work/absent]" mode=secure '[absent]' checks=0 >"$mine"
gives 0 "$work/bin/tool (which is $work/real/tool-1.0)
  --stats=0                $mine:2: [tool*]" "$ph" rules show "$work/bin/tool"
gives 0 "absent (not found)
  --checks=0               $mine:6: [absent]" "$ph" rules show absent
gives 0 "$work/vars
  no rule applies" "$ph" rules show vars

# What a rule says is looked at as what a switch says.
printf '#!/usr/bin/env -S A=b vars\n' >by-env
chmod 755 by-env
say '[by-env]' no-follow=1 >"$mine"
gives 125 "privheap run: --no-follow does not reach the interpreter of $work/by-env, which env starts; write: privheap run --no-follow INTERPRETER $work/by-env" \
    "$ph" run by-env
starts '' --no-rules by-env
say '[vars]' log=here.%p >"$mine"
starts "LOG=$work/here.%p" vars
rules 0 '' add vars log=there
verdict 'a file is kept from where it was named' grep -qx "log = $work/there" "$mine"

# ---- broken files, broken words -------------------------------------------------------------

size='bytes from 1m to 64g (k, m, g, t for units), or 0'
cat >"$mine" <<'END_RULES'
stats = 1
[vars
stats = 1
[vars] # of mine
[bin/x]
[]
[vars]
mode = secur
max-sise = 64m
frobnicate = 1
max-size = 12q
checks
checks = 0
[other]
frobnicate = 1
END_RULES
printf '[v*]\npurge\001delay = 7\npurge-delay = 7' >>"$mine"
gives 0 "/etc/privheap/rules: no rules
$mine:13: [vars] checks = 0
$mine:18: [v*] purge-delay = 7
privheap rules: $mine:1: expected [PROGRAM] before the first OPTION = VALUE
privheap rules: $mine:2: expected [PROGRAM] and nothing behind it, found \"[vars\"
privheap rules: $mine:4: expected [PROGRAM] and nothing behind it, found \"[vars] # of mine\"
privheap rules: $mine:5: expected a name, or a path that begins with /, found \"[bin/x]\"
privheap rules: $mine:6: expected a program's name, path or pattern, not nothing, found \"[]\"
privheap rules: $mine:8: mode: \"secur\" is no mode; it takes default, secure or tolerant
privheap rules: $mine:9: 'max-sise' is not an option; did you mean max-size?
privheap rules: $mine:10: 'frobnicate' is not an option; \`privheap help run\` lists them
privheap rules: $mine:11: max-size: \"12q\" is not a size; it takes $size
privheap rules: $mine:12: expected [PROGRAM] or OPTION = VALUE, found \"checks\"
privheap rules: $mine:15: 'frobnicate' is not an option; \`privheap help run\` lists them
privheap rules: $mine:17: expected text, found a control character" "$ph" rules list
gives 0 "privheap run: $mine:1: expected [PROGRAM] before the first OPTION = VALUE
privheap run: $mine:2: expected [PROGRAM] and nothing behind it, found \"[vars\"
privheap run: $mine:4: expected [PROGRAM] and nothing behind it, found \"[vars] # of mine\"
privheap run: 8 more lines of rules are wrong; \`privheap rules list\` tells them
CHECKS=0 PURGE_DELAY=7" "$ph" run vars
starts '' --no-rules vars
say [vars] mode=tolerant mode=secur max-size=1k checks=0 [sh] max-size=12q >"$mine"
gives 0 "privheap run: $mine:3: mode: \"secur\" is no mode; it takes default, secure or tolerant
privheap run: $mine:4: max-size: \"1k\" is too small; it takes $size
CHECKS=0 MODE=tolerant" "$ph" run vars
rules 0 '' add vars mode=secure max-size=2m # a bad line is mended in its place
holds [vars] mode=tolerant 'mode = secure' 'max-size = 2m' checks=0 [sh] max-size=12q
rules 0 '' remove sh
holds [vars] mode=tolerant 'mode = secure' 'max-size = 2m' checks=0
say [vars] checks=0 '[other' checks=1 >"$mine" # what is below the mistake is nobody's
gives 0 "privheap run: $mine:3: expected [PROGRAM] and nothing behind it, found \"[other\"
CHECKS=0" "$ph" run vars
say [vars] log=/missing/log checks=0 >"$mine"
gives 0 "privheap run: $mine:2: cannot write to /missing/log: No such file or directory
CHECKS=0" "$ph" run vars
printf '\357\273\277[vars]\r\nchecks = 0\r\n' >"$mine"
starts CHECKS=0 vars
rm "$mine"
mkdir "$mine"
gives 0 "privheap run: $mine is ignored: it is not a regular file" "$ph" run vars
rules 125 "$mine is left alone: it is not a regular file" add vars stats
rmdir "$mine"
mkfifo "$mine"
gives 0 "privheap run: $mine is ignored: it is not a regular file" "$ph" run vars
rm "$mine"
say [vars] checks=0 >"$mine"
chmod 646 "$mine"
gives 0 "privheap run: $mine is ignored: it may be written by everybody" "$ph" run vars
chmod 644 "$mine"
head -c 1100000 /dev/zero | tr '\0' '\n' >>"$mine"
gives 0 "privheap run: $mine is ignored: it is larger than 1 MB" "$ph" run vars
say [vars] checks=0 >"$mine"
if [ -n "$as_nobody" ]; then
    mkdir -p hidden/privheap others/privheap
    cp "$mine" hidden/privheap/
    cp "$mine" others/privheap/
    chmod 700 hidden
    chmod 600 others/privheap/rules
    chmod 755 "$XDG_CONFIG_HOME" "$XDG_CONFIG_HOME/privheap"
    gives 0 '' env XDG_CONFIG_HOME="$work/hidden" $as_nobody "$privheap" run vars
    gives 0 "privheap run: $work/others/privheap/rules is ignored: it cannot be read: Permission denied" \
        env XDG_CONFIG_HOME="$work/others" $as_nobody "$privheap" run vars
    gives 0 CHECKS=0 $as_nobody "$privheap" run vars # root's are trusted
else
    echo 'not tried: files of others, for that run this as root, with setpriv'
fi

# Words.
usage='usage: privheap rules add|list|remove|show [--system | --file=FILE] [PROGRAM] [OPTION=VALUE...]'
rules 2 "what shall be done? $usage"
rules 2 "'lsit' is not an action; did you mean 'list'?" lsit
rules 2 "'frobnicate' is not an action; $usage" frobnicate
for action in add remove show; do rules 2 "which program? $usage" $action; done
rules 2 'which settings? write: privheap rules add vars OPTION=VALUE' add vars
rules 2 'list takes no program; write: privheap rules show PROGRAM' list vars
rules 2 'show takes one program' show vars stats
rules 2 'show tells of all files; leave --system and --file out' show --system vars
rules 2 '--system and --file exclude each other' list --system --file=x
rules 2 '--file needs the name of a file' list --file
rules 2 '--file needs the name of a file' list --file=
rules 2 "'--mode=secure' is not an option of rules; settings stand behind PROGRAM" add --mode=secure vars
rules 2 "'maxsize' is not an option; did you mean max-size?" add vars mode=secure maxsize=1m
holds [vars] checks=0 # all or nothing
rules 2 "'frobnicate' is not an option; \`privheap help run\` lists them" add vars frobnicate
rules 2 "max-size: \"12q\" is not a size; it takes $size" add vars max-size=12q
rules 2 "max-size needs a value: $size" add vars max-size
rules 2 'stats: "" is empty; it takes 0 or 1' add vars stats=
rules 2 'cannot write to /missing/log: No such file or directory' add vars log=/missing/log
rules 2 "log: \"$work/a?b\" has a control character" add vars "log=$(printf 'a\nb')"
rules 2 "log: \"$work/a \" ends with a space" add vars 'log=a '
rules 2 "'': expected a program's name, path or pattern, not nothing" add '' stats
rules 2 "' ls': expected a program without spaces around it (? stands for any character)" add ' ls' stats
rules 2 "'l?s': expected a program without control characters" add "$(printf 'l\ns')" stats
holds [vars] checks=0
gives 125 "privheap run: '--norules' is not an option; did you mean --no-rules?" "$ph" run --norules vars
"$ph" rules --help >words 2>errors
verdict 'rules --help exits 0' [ $? -eq 0 ]
verdict 'it is what help rules says' [ "$("$ph" help rules)" = "$(cat words)" ]
verdict 'and so is that of an action' [ "$("$ph" rules add --help)" = "$(cat words)" ]
verdict 'run --help names the switch and the verb' [ "$("$ph" run --help | grep -c -e '^  --no-rules$' -e 'privheap rules show')" = 2 ]
[ -c /dev/full ] && for action in list 'show vars' --help; do
    gives 125 'privheap rules: cannot write to standard output: No space left on device' sh -c '"$0" rules "$@" >/dev/full' "$ph" $action
done

# ---- run's own exit codes, and privileges ---------------------------------------------------

say '[*]' checks=0 >"$mine"
gives 7 '' "$ph" run sh -c 'exit 7'
gives 127 'privheap run: no-such-program is not found in PATH' "$ph" run no-such-program
gives 126 'privheap run: ./ is a directory' "$ph" run ./
gives 125 "privheap run: '--frobnicate' is not an option; \`privheap help run\` lists them" "$ph" run --frobnicate vars
say '[*' >"$mine"
gives 127 'privheap run: no-such-program is not found in PATH' "$ph" run no-such-program

# A privileged command takes no word of the rules.
if [ "$(id -u)" = 0 ]; then
    say '[*]' stats=0 >"$mine"
    mkdir -p usr/bin usr/lib/privheap
    cp "$privheap" usr/bin/
    cp "$preload_object" usr/lib/privheap/
    chown $nobody usr/bin/privheap
    gives 0 STATS=0 usr/bin/privheap run vars
    chmod 4755 usr/bin/privheap
    if env LD_SHOW_AUXV=1 usr/bin/privheap --version | grep -q AT_SECURE; then
        echo 'not tried: AT_SECURE, this file system has no set-user-ID'
    else
        refused='privheap rules: rules are ignored: this command has privileges of its own (AT_SECURE)'
        for words in list 'show vars' 'add vars stats' 'remove vars'; do gives 125 "$refused" usr/bin/privheap rules $words; done
        chown 0:0 usr/bin/privheap
        chmod 755 usr/bin/privheap
        [ -z "$as_nobody" ] || gives 0 STATS=0 $as_nobody usr/bin/privheap run vars
        if setcap cap_net_raw+ep usr/bin/privheap 2>/dev/null && [ -n "$as_nobody" ]; then
            gives 0 '' $as_nobody usr/bin/privheap run vars
        else
            echo 'not tried: run with file capabilities'
        fi
    fi
else
    echo 'not tried: AT_SECURE, for that run this as root'
fi

tell_and_exit
