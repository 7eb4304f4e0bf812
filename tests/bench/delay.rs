//! A distant host: one check through a relay that makes a round trip last 50 ms. Round trips are
//! counted twice: by the time that the delay adds, and by the turns that the relay saw.

use std::time::Duration;

use super::figures::{median, timed};
use super::proxy::DelayProxy;
use super::server::BenchServer;
use super::work::{check, execs_per_host, inventory};

const ROUND_TRIP: Duration = Duration::from_millis(50);
const RUNS: usize = 5;

/// Prints both counts.
pub fn run(server: &BenchServer, playbook: &str) {
    let proxy = DelayProxy::start(server.port(), ROUND_TRIP);
    let (near, far) = (
        inventory(server, 1, server.port()),
        inventory(server, 1, proxy.port()),
    );
    let (mut nears, mut fars, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..=RUNS {
        let one = timed(&mut check(&near, playbook), &[0]).0;
        proxy.take_turns();
        let (other, output) = timed(&mut check(&far, playbook), &[0]);
        execs_per_host(&output, 1);
        if turn > 0 {
            nears.push(one);
            fars.push(other);
            turns.push(proxy.take_turns());
        }
    }
    turns.sort_unstable();
    let (near, far) = (median(&nears).wall, median(&fars).wall);
    println!(
        "\none host, 50 ms round trip: check {far:.3} s, without the delay {near:.3} s: {:.1} round trips by time, {} by turns seen on the wire (median of {RUNS})",
        (far - near) / ROUND_TRIP.as_secs_f64(),
        turns[RUNS / 2]
    );
}
