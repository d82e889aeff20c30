# Perl: regular expressions, closures, sorting, pack, fork, pipes, signals, bignum, sprintf.
perl -e '
use strict; use warnings; use List::Util qw(sum first reduce shuffle); use POSIX qw(floor strftime); use Time::HiRes qw(sleep); use Digest::MD5 qw(md5_hex); use Digest::SHA qw(sha256_hex); use Data::Dumper; use Encode; use Storable qw(freeze thaw);
my %n; $n{$_ % 11} += $_ for 1 .. 50000; print join(",", map { "$_=$n{$_}" } sort { $a <=> $b } keys %n), "\n";
my $t = join " ", map { "w$_" . ("x" x ($_ % 5)) } 1 .. 2000; my $c = () = $t =~ /\bw(\d+)x{2,3}\b/g; print "matches $c\n"; (my $u = $t) =~ s/(\d+)/$1*2/ge; print md5_hex($u), "\n";
my @p = grep { my $i = $_; !first { $i % $_ == 0 } 2 .. sqrt $i } 2 .. 2000; print scalar(@p), " primes, sum ", sum(@p), "\n";
print join(" ", unpack("N n C a4", pack("N n C a4", 305419896, 4660, 255, "perl"))), "\n"; printf "%.15g %s %e\n", 4 * atan2(1, 1), 0.1 + 0.2, 1e-320; print sha256_hex("abc"), "\n";
my $f = do { my $k = 0; sub { return $k += shift } }; $f->($_) for 1 .. 10; print $f->(0), "\n"; print strftime("%F %T", gmtime 1e9), "\n"; local $Data::Dumper::Indent = 0; local $Data::Dumper::Sortkeys = 1; print Dumper(thaw freeze({ a => [1, 2, { b => undef }] })), "\n";
pipe my $r, my $w; my $pid = fork; if (!$pid) { close $r; print $w "from the child\n"; exit 5 } close $w; print scalar <$r>; waitpid $pid, 0; print "child: ", $? >> 8, "\n";
local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select undef, undef, undef, 10 }; print $@; local $SIG{USR1} = sub { print "usr1\n" }; kill USR1 => $$; eval { die { code => 42 } }; print $@->{code}, "\n"; print length(encode("UTF-8", "\x{1F600}\x{e9}")), "\n";
open my $h, "-|", "seq", 3 or die; print map { "<$_" } <$h>; close $h; print `echo backticks`; print "sum: ", (reduce { $a * $b } 1 .. 15), "\n"; print join(",", sort { $b cmp $a } qw(b c a)), "\n"; printf "%s\n", 9_007_199_254_740_993; print 2 ** 0.5, " ", 7 / 3, " ", -7 % 3, " ", 1 / 7, "\n";
'
perl -MMath::BigInt -e 'print Math::BigInt->new(2)->bpow(300)->bmod("1000000007"), " ", Math::BigInt->new(60)->bfac, "\n"'
perl -Mthreads -Mthreads::shared -e 'my $n :shared = 0; $_->join for map { threads->create(sub { for (1 .. 500) { lock $n; $n++ } }) } 1 .. 4; print "threads $n\n"'
printf 'a:b:c\n1:2:3\n' | perl -F: -lane 'print join "-", reverse @F'
