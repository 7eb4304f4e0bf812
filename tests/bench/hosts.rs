//! N converged hosts: `skep check` beside two floors. Each floor is the same number of russh
//! connections, running `true` or the very script that skep sends. They run in turn, so a machine
//! that becomes slower affects all of them.

use super::figures::{median, timed};
use super::server::BenchServer;
use super::work::{check, execs_per_host, inventory};

/// Prints a line for each size: the median of `runs` runs, after a run that only warms up.
pub fn run(server: &BenchServer, playbook: &str, sizes: &[usize], runs: usize) {
    println!("\ncheck of N converged hosts, 20 resources each, median of {runs} runs");
    println!(
        "floors: N russh connections, each runs `true`, or the same script; one sshd on loopback serves all, on the same \
         processors\n"
    );
    println!(
        "{:>5}  {:>8} {:>8} {:>8} {:>7} {:>7}  {:>9} {:>9}  {:>9} {:>9}  {:>10}",
        "N",
        "true s",
        "script s",
        "check s",
        "/true",
        "/script",
        "script cpu",
        "check cpu",
        "script MiB",
        "check MiB",
        "execs/host"
    );
    for size in sizes.iter().copied() {
        let inventory = inventory(server, size, server.port());
        let (mut trues, mut floors, mut checks, mut execs) =
            (Vec::new(), Vec::new(), Vec::new(), 0.0);
        for turn in 0..=runs {
            let plain = timed(&mut server.floor_of_true(size), &[0]).0;
            let floor = timed(&mut server.floor(size), &[0]).0;
            let (figures, output) = timed(&mut check(&inventory, playbook), &[0]);
            execs = execs_per_host(&output, size);
            // The first turn only records host keys and fills caches.
            if turn > 0 {
                trues.push(plain);
                floors.push(floor);
                checks.push(figures);
            }
        }
        let (plain, floor, check) = (median(&trues), median(&floors), median(&checks));
        println!(
            "{size:>5}  {:>8.3} {:>8.3} {:>8.3} {:>7.2} {:>7.2}  {:>9.3} {:>9.3}  {:>9.1} {:>9.1}  {execs:>10.2}",
            plain.wall,
            floor.wall,
            check.wall,
            check.wall / plain.wall,
            check.wall / floor.wall,
            floor.cpu,
            check.cpu,
            floor.memory_mib,
            check.memory_mib,
        );
    }
}
