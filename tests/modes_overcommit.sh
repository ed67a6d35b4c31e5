#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# modes_overcommit.sh -- vm.overcommit_memory=2: the system promises no more memory than it has.  The setting is the
# whole machine's while this runs, so only root can ask for it, with check_overcommit=yes; it is put back at the end.

preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
memory=${top_builddir:-$PWD}/tests/modes_memory
vm=/proc/sys/vm
room_mib=${check_overcommit_mib:-400} # beyond what is promised already
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
[ "$check_overcommit" = yes ] && [ "$(id -u)" -eq 0 ] || { echo 'only as root, with check_overcommit=yes in the environment'; exit 77; }

mode=$(cat $vm/overcommit_memory) kbytes=$(cat $vm/overcommit_kbytes) ratio=$(cat $vm/overcommit_ratio)
restore() {
    echo "$mode" >$vm/overcommit_memory
    if [ "$kbytes" -gt 0 ]; then echo "$kbytes" >$vm/overcommit_kbytes; else echo "$ratio" >$vm/overcommit_ratio; fi
}
trap restore 0
promised=$(sed -n 's/Committed_AS: *\([0-9]*\) kB/\1/p' /proc/meminfo)
echo $((promised + room_mib * 1024)) >$vm/overcommit_kbytes && echo 2 >$vm/overcommit_memory ||
    { echo 'this setting cannot be changed here'; exit 77; }

status=0
for limit in 'as 48' 'data 48' "none $((room_mib * 3 / 4))"; do
    # shellcheck disable=SC2086 # a verb and its argument
    said=$(LD_PRELOAD="$preload_object" timeout 100 "$memory" $limit 2>&1)
    [ "$said" = done ] || { echo "$limit: $said"; status=1; }
done
exit $status
