# Writes through Sentinel with Perl's Redis.
use strict;
use warnings;
use Redis;
use Time::HiRes qw(sleep);

$| = 1;
my $client;
for (my $n = 0; ; $n++) {
    eval {
        $client //= Redis->new(sentinels => [split /,/, $ENV{SENTINELS}], service => $ENV{MASTER},
            reconnect => 1, every => 50_000, cnx_timeout => 1, read_timeout => 1, write_timeout => 1,
            sentinels_cnx_timeout => 1, sentinels_read_timeout => 1, sentinels_write_timeout => 1);
        $client->set("$ENV{PREFIX}:$n", $n);
        print "$n\n";
        1;
    } or do {
        my $err = (split /\n/, $@)[0];
        undef $client if $err =~ /READONLY|NOREPLICAS/;
        print "! $err\n";
    };
    sleep($ENV{PACE} / 1000);
}
