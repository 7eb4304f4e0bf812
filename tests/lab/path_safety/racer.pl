# Exchanges names below a directory while root works there. Runs as the owner of the directory.
#   perl racer.pl watch DIRECTORY TARGET PATTERN
#     puts a link to TARGET in the place of each name that matches, at each event of it
#   perl racer.pl flip PATH TARGET
#     exchanges the directory PATH and a link to TARGET, as often as possible
use strict;
use POSIX ();
my ($verb, $place, $target, $pattern) = @ARGV;
my %numbers = (x86_64 => [294, 254, 316], aarch64 => [26, 27, 276]);
my ($init, $add, $renameat2) = @{$numbers{(POSIX::uname())[4]}};
$| = 1;
if ($verb eq 'flip') {
  my $link = "$place.link";
  unlink $link;
  symlink($target, $link) or die "symlink: $!";
  print "flipping\n";
  while (1) { syscall($renameat2, -100, $place, -100, $link, 2) == 0 or select undef, undef, undef, 0.001 }
}
my $watch = syscall($init, 0);
# Access, attributes, closed, opened, moved here, created.
my $added = syscall($add, $watch, $place, 0x1 | 0x4 | 0x8 | 0x10 | 0x20 | 0x80 | 0x100);
die "inotify: $!" if $watch < 0 || $added < 0;
open my $events, '<&=', $watch or die "inotify: $!";
print "watching\n";
my $count = 0;
sub prepare { unlink "$place/.ready"; symlink $target, "$place/.ready" }
prepare();
while (my $got = sysread $events, my $buffer, 65536) {
  while (length $buffer) {
    my ($descriptor, $mask, $cookie, $length) = unpack 'iIII', $buffer;
    my $name = unpack 'Z*', substr $buffer, 16, $length;
    substr $buffer, 0, 16 + $length, '';
    next if $name !~ /$pattern/ || $name =~ /^\.(gone|ready)/ || -l "$place/$name";
    $count++;
    rename "$place/$name", "$place/.gone$count";
    rename "$place/.ready", "$place/$name" and print "exchanged $name\n";
    prepare();
  }
}
