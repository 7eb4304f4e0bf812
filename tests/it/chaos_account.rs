//! The judgements of `make chaos` on records that must pass and on records that must fail: a chaos
//! run that cannot fail proves nothing.

#[path = "../chaos/account.rs"]
mod account;

use account::SampledState::{Absent, NoLeader, NoManager, Reachable, Silent};
use account::{
    EngineDowntime, ManagerLoss, ManagerSample, SampledState, downtimes, known_away,
    restarts_by_skep, seconds_with_two_down, stays_thin, thin_samples,
};

const JOURNAL: &str = "\
1000.500000 docker01 systemd[1]: Stopping docker.service - Docker Application Container Engine...
1000.600000 docker01 dockerd[210]: Stopping docker.service is only text here
1002.000000 docker01 systemd[1]: docker.service: Deactivated successfully.
1002.100000 docker01 systemd[1]: Starting docker.service - Docker Application Container Engine...
1005.250000 docker01 systemd[1]: Started docker.service - Docker Application Container Engine.
1010.000000 docker01 systemd[1]: docker.service: Main process exited, code=killed, status=9/KILL
1010.100000 docker01 systemd[1]: docker.service: Failed with result 'signal'.
1012.000000 docker01 systemd[1]: Started docker.service - Docker Application Container Engine.
-- Boot 0123 --
1020.000000 docker01 systemd[1]: Starting docker.service - Docker Application Container Engine...
";

fn down(begin: f64, end: Option<f64>, ordered: bool) -> EngineDowntime {
    EngineDowntime {
        begin,
        end,
        ordered,
    }
}

fn samples(states: &[[SampledState; 3]]) -> Vec<ManagerSample> {
    let times = (0..).map(|number| 100.0 + f64::from(number) * 0.5);
    let samples = states.iter().zip(times);
    samples
        .map(|(managers, at)| ManagerSample {
            at,
            managers: *managers,
            worker: NoManager,
        })
        .collect()
}

fn loss(manager: usize, begin: f64, given_back: f64) -> ManagerLoss {
    ManagerLoss {
        manager,
        begin,
        done: begin + 0.2,
        given_back,
        restored: given_back + 2.0,
        returns_alone: false,
    }
}

#[test]
fn downtimes_are_read_from_the_journal() {
    let wanted = [
        down(1000.5, Some(1005.25), true),
        down(1010.0, Some(1012.0), false),
        down(1020.0, None, false),
    ];
    assert_eq!(downtimes(JOURNAL), wanted);
    assert!(downtimes("-- No entries --\n").is_empty());
}

#[test]
fn overlapping_downtimes_are_counted() {
    let one = vec![down(10.0, Some(14.0), true)];
    let after = vec![down(14.0, Some(18.0), true)];
    let during = vec![down(13.0, Some(18.0), true)];
    let for_ever = vec![down(12.0, None, true)];
    assert_eq!(seconds_with_two_down(&[one.clone(), after, vec![]]), 0.0);
    assert_eq!(seconds_with_two_down(&[vec![], one.clone(), during]), 1.0);
    assert_eq!(seconds_with_two_down(&[one, for_ever]), 2.0);
}

#[test]
fn samples_below_two_managers_are_counted() {
    let full = [Reachable, Reachable, Absent];
    let thin = [Reachable, NoManager, Absent];
    let single = samples(&[full, thin, full, thin]);
    assert_eq!(thin_samples(&single), 2);
    assert_eq!(
        thin_samples(&samples(&[[Absent, NoLeader, NoLeader]])),
        0,
        "an election"
    );
    assert!(
        !stays_thin(&single),
        "one sample may be an Engine that is slow to answer"
    );
    // A worker that was promoted is a manager.
    let mut promoted = samples(&[thin]);
    promoted[0].worker = Reachable;
    assert_eq!(thin_samples(&promoted), 0);
    assert!(stays_thin(&samples(&[
        full,
        thin,
        [Silent, Reachable, Silent],
        full
    ])));
}

#[test]
fn restarts_of_the_taken_manager_are_not_counted() {
    let downs = [down(50.0, Some(55.0), true), down(70.0, Some(72.0), false)];
    assert_eq!(restarts_by_skep(1, &downs, None), [downs[0]]);
    assert!(restarts_by_skep(1, &downs, Some(&loss(1, 50.0, 60.0))).is_empty());
    assert!(restarts_by_skep(1, &downs, Some(&loss(1, 40.0, 49.0))).is_empty());
    // The stop of another manager explains nothing.
    assert_eq!(
        restarts_by_skep(1, &downs, Some(&loss(0, 50.0, 60.0))),
        [downs[0]]
    );
}

#[test]
fn restarts_beside_a_lost_manager_are_found() {
    let reachable = samples(&[[Reachable; 3]; 40]);
    let lost = loss(2, 105.0, 115.0);
    let away = |begin: f64| known_away(0, begin, Some(&lost), &reachable);
    assert_eq!(away(104.0), None);
    assert_eq!(away(105.9), None, "skep asked before it was lost");
    assert_eq!(away(110.0), Some((2, 5.0)));
    assert_eq!(away(115.5), None, "it was given back");
    assert_eq!(
        known_away(2, 110.0, Some(&lost), &reachable),
        None,
        "its own restart"
    );
    let alone = ManagerLoss {
        returns_alone: true,
        ..lost
    };
    assert_eq!(known_away(0, 110.0, Some(&alone), &reachable), None);
    // Its Engine was stopped in the middle of its own restart, which started it again at 107.
    let mut states = vec![[Reachable; 3]; 11];
    states.extend([[Reachable, Reachable, Absent]; 3]);
    states.extend([[Reachable; 3]; 20]);
    let started = samples(&states);
    assert_eq!(
        known_away(0, 106.4, Some(&lost), &started),
        Some((2, 106.4 - 105.0))
    );
    assert_eq!(known_away(0, 108.0, Some(&lost), &started), None);
}

#[test]
fn restarts_beside_a_silent_manager_are_found() {
    // The third manager answers again between 103.0 and 103.5.
    let mut states = vec![[Reachable, Reachable, Absent]; 7];
    states.extend([[Reachable; 3]; 3]);
    let seen = samples(&states);
    assert_eq!(known_away(0, 100.2, None, &seen), None, "it had just gone");
    assert_eq!(known_away(0, 102.2, None, &seen), Some((2, 102.2 - 100.0)));
    assert_eq!(
        known_away(0, 103.2, None, &seen),
        None,
        "it may have been back"
    );
    assert_eq!(known_away(0, 104.2, None, &seen), None);
}
