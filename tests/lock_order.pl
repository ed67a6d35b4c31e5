#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# lock_order.pl -- locks of lib/ are taken in the order that internal.h lists them.
#
# Reads the sources as text: in each function, in the order of its lines, which locks it takes, gives, and
# which functions it calls while it holds some; then, through the calls, which locks that can come to.  A function
# that returns with a lock held (ph_gate_close, ph_map_lock) hands it to its callers; one that gives a lock it did
# not take takes it from them.  So an early return inside a branch hides what follows it from us: the check can
# miss a mistake, but does not invent one.  Calls through pointers are not seen.

use strict;
use warnings;

# How the sources spell a lock, and its name in internal.h.
my @spelling = (
    [qr/registry/             => 'registry'],
    [qr/gate\.lock|gt->lock/  => 'gate'],
    [qr/thread_lock/          => 'thread'],
    [qr/sc->lock|shard_class/ => 'class'],
    [qr/span_lock/            => 'span'],
    [qr/map_lock/             => 'map'],
    [qr/cache_lock|kept_lock|late_lock/ => 'cache'],
    [qr/meta_lock|po->lock|ph_pool_/ => 'meta'],
);

# Of these fork takes several at a time, in an order of their own: every class of a heap; the ranges kept
# by region.c, then by large.c; the pools, then the rest of meta.c.
my %may_repeat = map { $_ => 1 } qw(class cache meta);

# Calls that say ENTER_NOT, because their caller holds the gate: then they take neither that nor the registry.
my %inside = ('resize_by_copy copy_over' => 1);

my $top = $ENV{top_srcdir} // '.';
my (%rank, %steps, %place, @complaints);

sub text_of {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    local $/;
    my $text = <$file>;
    return $text;
}

sub complain { my ($text) = @_; push @complaints, $text unless grep { $_ eq $text } @complaints }

sub lock_named {
    my ($expression, $where) = @_;
    for (@spelling) { return $_->[1] if $expression =~ $_->[0] }
    complain("$where: lock_order.pl does not know the lock $expression");
    return;
}

my $map = text_of("$top/lib/internal.h");
$rank{$2} = $1 while $map =~ /^ \*\s+LOCK (\d+)\s+(\w+)/mg;
for my $lock (map { $_->[1] } @spelling) {
    complain("lib/internal.h: no line ` * LOCK number $lock ...'") unless $rank{$lock};
}

# A function: its steps, each [take|give|call, lock or function, place].
sub read_body {
    my ($name, $file, $line, $body) = @_;
    $place{$name} = "$file:$line";
    for (split /\n/, $body) {
        while (/\b(ph_lock_take|ph_lock_give)\s*\((.*?)\)\s*;|\b([a-z_][a-z0-9_]*)\s*\(/g) {
            my ($verb, $expression, $callee) = ($1, $2, $3);
            if (defined $callee) {
                push @{ $steps{$name} }, ['call', $callee, "$file:$line"];
            } elsif (my $lock = lock_named($expression, "$file:$line")) {
                push @{ $steps{$name} }, [$verb eq 'ph_lock_take' ? 'take' : 'give', $lock, "$file:$line"];
            }
        }
        $line++;
    }
}

for my $path (glob "$top/lib/*.c") {
    my ($file) = $path =~ m{(lib/[^/]+)$};
    my $text = text_of($path);
    # Comments and strings go, line numbers stay.
    $text =~ s{(/\*.*?\*/|"(?:\\.|[^"\\])*")}{ (my $gone = $1) =~ s/[^\n]+//g; $gone }gse;
    while ($text =~ /^[a-z][^\n;{}#]*?\b([a-z_][a-z0-9_]*)\s*\([^;{}]*\)\s*(\{(?:[^\n]*\}$|.*?^\}))/msg) {
        my ($name, $body) = ($1, $2);
        my $line = 1 + (substr($text, 0, $-[2]) =~ tr/\n//);
        read_body($name, $file, $line, $body);
    }
}

# What a call comes to: locks it may take on the way, locks it returns with, locks it gives back for its caller.
my (%takes, %leaves, %drops);
sub step_through {
    my ($name, $visit) = @_;
    my (@held, %seen, @dropped);
    my $take = sub { push @held, $_[0]; $seen{$_[0]} = 1 };
    my $give = sub {
        my ($lock) = @_;
        for my $i (reverse 0 .. $#held) {
            if ($held[$i] eq $lock) { splice @held, $i, 1; return }
        }
        push @dropped, $lock;
    };
    for (@{ $steps{$name} }) {
        my ($verb, $what, $at) = @$_;
        if ($verb eq 'take') {
            $visit->($what, $at, '', @held) if $visit;
            $take->($what);
        } elsif ($verb eq 'give') {
            $give->($what);
        } elsif ($steps{$what} && $what ne $name && !$inside{"$name $what"}) {
            for my $lock (sort keys %{ $takes{$what} }) {
                $visit->($lock, $at, "$what() ", @held) if $visit;
                $seen{$lock} = 1;
            }
            $give->($_) for @{ $drops{$what} };
            $take->($_) for @{ $leaves{$what} };
        }
    }
    return (\%seen, \@held, \@dropped);
}

for (1 .. 20) { # deeper than any chain of calls here
    my $before = join ' ', map { $_, sort keys %{ $takes{$_} } } sort keys %takes;
    my (%t, %l, %d);
    ($t{$_}, $l{$_}, $d{$_}) = step_through($_) for keys %steps;
    (%takes, %leaves, %drops) = ();
    %takes = %t; %leaves = %l; %drops = %d;
    last if $before eq join ' ', map { $_, sort keys %{ $takes{$_} } } sort keys %takes;
}

for my $name (sort keys %steps) {
    step_through($name, sub {
        my ($lock, $at, $by, @held) = @_;
        for my $other (@held) {
            next if !$rank{$other} || !$rank{$lock} || $rank{$other} < $rank{$lock} || ($other eq $lock && $may_repeat{$lock});
            complain("$at: $name() holds $other while ${by}takes $lock");
        }
    });
}

# A lock that nobody takes means that we can no longer read the sources.
my %met = map { map { $_->[1] => 1 } grep { $_->[0] eq 'take' } @$_ } values %steps;
$met{$_->[1]} or complain("no function seems to take the lock $_->[1]") for @spelling;

if ($ENV{LOCK_ORDER_SHOW}) { # for people: what each function takes
    for (sort keys %steps) {
        my $taken = join ' ', sort { $rank{$a} <=> $rank{$b} } keys %{ $takes{$_} };
        my $left = join ' ', @{ $leaves{$_} };
        print "$_: $taken", ($left ? "; returns with $left" : ''), "\n" if $taken;
    }
}
print "$_\n" for @complaints;
exit(@complaints ? 1 : 0);
