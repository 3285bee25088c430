#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's perl: hashes, regular expressions, sorting, pipes, a fork."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proglib

SCRIPT = r'''
use strict; use warnings;
use List::Util qw(sum first); use POSIX qw(floor); use Data::Dumper;
$Data::Dumper::Sortkeys = 1;
my %h; my $s = 12345;
for my $i (1..40000) {
    $s = ($s * 1103515245 + 12345) % 2147483648;
    push @{$h{sprintf "%03d", $s % 500}}, "v" x ($s % 40);
}
print scalar(keys %h), " ", sum(map { scalar @$_ } values %h), "\n";
my $text = join "\n", map { "$_=" . length join "", @{$h{$_}} } sort keys %h;
my $n = () = $text =~ /^(\d+)=(\d{3,})$/mg;
print "$n\n", floor(length($text) / 7), "\n";
(my $t = $text) =~ s/(\d)(\d)/$2$1/g;
print substr($t, 0, 40), "\n";
open my $p, "-|", "echo from a child; exit 3" or die; print <$p>; close $p;
print $? >> 8, "\n";
my $pid = fork; if (!$pid) { my @big = (1) x 100000; exit 5 }
waitpid $pid, 0; print $? >> 8, "\n";
open my $f, ">", "out.txt" or die; print $f $text; close $f;
print Dumper({ map { $_ => scalar @{$h{$_}} } grep { /7$/ } keys %h });
eval { die { code => 9 } }; print STDERR "caught $@->{code}\n";
print first { $_ > 10 } (3, 9, 27); print "\n";
'''


def setup(box):
    with open(os.path.join(box, "work.pl"), "w") as f:
        f.write(SCRIPT)


proglib.plan(proglib.CHECKS)
proglib.same("perl", ["/usr/bin/perl", "work.pl"], setup=setup, dumps=3,
             env={"PERL_HASH_SEED": "0"})
