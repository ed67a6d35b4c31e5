#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# baseline.sh -- nothing of ours needs more than the first x86-64 processors had: no instruction of SSE3 or later, of
# AVX, BMI or the like.  (`rep bsf`, which newer processors take for tzcnt, is right on both.)

[ "$(uname -m)" = x86_64 ] || { echo 'not an x86-64 machine'; exit 77; }
command -v objdump >/dev/null || { echo 'there is no objdump'; exit 77; }
case $CFLAGS in *-march=* | *-msse* | *-mavx*) echo 'the compiler was told to use more'; exit 77 ;; esac

beyond='v[a-z0-9]+|andn|bextr|bls[ir]|blsmsk|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|lzcnt|popcnt|movbe|crc32[bwlq]?|xsave[a-z0-9]*|xgetbv'
beyond="$beyond|cmpxchg16b|lahf|sahf|aes[a-z0-9]+|sha[0-9a-z]+|pclmul[a-z0-9]*|rdrand|rdseed|adcx|adox"
beyond="$beyond|addsub[a-z0-9]+|hadd[a-z0-9]+|hsub[a-z0-9]+|lddqu|movddup|movshdup|movsldup|monitor|mwait"
beyond="$beyond|pabs[a-z]+|palignr|phadd[a-z]+|phsub[a-z]+|pmaddubsw|pmulhrsw|pshufb|psign[a-z]+"
beyond="$beyond|blend[a-z0-9]+|pblend[a-z0-9]+|dpp[sd]|extractps|insertps|movntdqa|mpsadbw|packusdw|pcmpeqq|pcmpgtq|pcmp[ei]str[im]|pextr[bdq]|phminposuw|pinsr[bdq]"
beyond="$beyond|pmaxs[bd]|pmaxu[wd]|pmins[bd]|pminu[wd]|pmov[sz]x[a-z]+|pmuldq|pmulld|ptest|round[sp][sd]|fisttp[a-z]*"
# verr, verw and what else begins with v but is old
old='verr|verw|vmcall'

status=0 seen=0
for object in "${preload_object:-preload/.libs/libprivheap-preload.so}" "$top_builddir/lib/.libs/libprivheap.so" "$top_builddir/privheap"; do
    [ -e "$object" ] || continue
    seen=1
    # The third column of a line of code is the instruction.
    found=$(LC_ALL=C objdump -d --no-show-raw-insn "$object" |
        awk -v beyond="^($beyond)$" -v old="^($old)$" '$1 ~ /^[0-9a-f]+:$/ {
            for (i = 2; i <= 3 && $i ~ /^(rep[nz]*|lock|data16|cs|notrack|bnd)$/; i++);
            if ($i ~ beyond && $i !~ old) print }' | head -n 5)
    [ -z "$found" ] && continue
    echo "$object:"
    echo "$found"
    status=1
done
[ $seen -eq 1 ] || { echo 'there is no object in this build'; exit 77; }
exit $status
