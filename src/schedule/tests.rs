//! Tests of the units' text, and of the quoting that keeps every byte of an argument.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Duration;

use super::single_run::{SingleRunError, SingleRunLock};
use super::*;

fn sample() -> Schedule {
    Schedule {
        name: UnitName::new("skep-check").unwrap(),
        every: Interval::new(Duration::from_secs(900)).unwrap(),
        randomized_delay: Duration::from_secs(120),
        user: "ops".into(),
        timeout: Duration::from_secs(600),
        drift_is_success: false,
        writable: vec!["/var/lib/node exporter".into()],
        program: "/usr/local/bin/skep".into(),
        folder: "/srv/100%/cluster".into(),
        arguments: [
            "check",
            "-e",
            "price=5$ \"100%\" it's\\",
            "/srv/100%/cluster/web2py.toml",
        ]
        .map(String::from)
        .into(),
    }
}

#[test]
fn the_service_runs_one_check_and_fails_on_drift() {
    let text = service(&sample());
    assert!(text.starts_with(MARK));
    for line in [
        "User=ops",
        "WorkingDirectory=/srv/100%%/cluster",
        r#"ExecStart=/usr/local/bin/skep check -e "price=5$$ \"100%%\" it's\\" /srv/100%%/cluster/web2py.toml"#,
        "TimeoutStartSec=600s",
        "ProtectHome=read-only",
        "CapabilityBoundingSet=",
        r#"ReadWritePaths="/var/lib/node exporter""#,
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line}\nis not in\n{text}"
        );
    }
    assert!(!text.contains("SuccessExitStatus"));
    assert!(
        service(&Schedule {
            drift_is_success: true,
            ..sample()
        })
        .contains("\nSuccessExitStatus=3\n")
    );
}

#[test]
fn the_timer_makes_up_for_missed_turns() {
    let text = timer(&sample());
    for line in [
        "OnCalendar=*-*-* *:00/15:00",
        "Persistent=true",
        "RandomizedDelaySec=120s",
        "WantedBy=timers.target",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line}\nis not in\n{text}"
        );
    }
    assert!(
        !timer(&Schedule {
            randomized_delay: Duration::ZERO,
            ..sample()
        })
        .contains("Random")
    );
}

#[test]
fn intervals_are_those_of_a_calendar() {
    let of = |text: &str| Interval::new(humantime::parse_duration(text).unwrap());
    for (text, calendar, crontab) in [
        ("1m", "*-*-* *:00/1:00", "* * * * *"),
        ("20m", "*-*-* *:00/20:00", "*/20 * * * *"),
        ("1h", "*-*-* *:00:00", "0 * * * *"),
        ("6h", "*-*-* 00/6:00:00", "0 */6 * * *"),
        ("1day", "*-*-* 00:00:00", "0 0 * * *"),
        ("7days", "Mon *-*-* 00:00:00", "0 0 * * 1"),
    ] {
        let interval = of(text).unwrap();
        assert_eq!(
            (interval.calendar().as_str(), interval.crontab().as_str()),
            (calendar, crontab),
            "{text}"
        );
    }
    for text in [
        "0s", "30s", "7m", "45m", "90s", "90m", "5h", "2days", "14days",
    ] {
        assert!(of(text).is_err(), "{text}");
    }
}

#[test]
fn a_word_of_the_crontab_reaches_the_program_as_it_was() {
    for word in [
        "plain",
        "",
        "it's 100% $HOME \"quoted\" `date`\\",
        "a\tb",
        "-e",
        "ä; rm -rf /",
    ] {
        // cron turns `\%` into `%` before sh sees the line; sh processes the rest.
        let line = format!("printf %s {}", quote::crontab(word).replace(r"\%", "%"));
        let output = Command::new("sh").arg("-c").arg(&line).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{line}");
    }
    assert!(
        !cron(&sample()).replace(r"\%", "").contains('%'),
        "a bare % ends the command: {}",
        cron(&sample())
    );
}

#[test]
fn names_are_files_of_one_folder() {
    for name in ["skep-check", "a", "cluster_2.prod"] {
        assert_eq!(UnitName::new(name).unwrap().as_str(), name);
    }
    for name in [
        "",
        "../x",
        "a/b",
        ".hidden",
        "-x",
        "a b",
        "a@b",
        "a\nb",
        "é",
        &"a".repeat(101),
    ] {
        assert!(UnitName::new(name).is_err(), "{name}");
    }
}

#[test]
fn the_same_check_runs_once_and_another_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let what = |text: &str| vec![text.to_owned()];
    let first = SingleRunLock::take(Some(folder.path()), &what("web2py")).unwrap();
    assert!(matches!(
        SingleRunLock::take(Some(folder.path()), &what("web2py")),
        Err(SingleRunError::Running(_))
    ));
    let _other = SingleRunLock::take(Some(folder.path()), &what("other")).unwrap();
    drop(first);
    assert!(SingleRunLock::take(Some(folder.path()), &what("web2py")).is_ok());
    let error = SingleRunLock::take(None, &what("web2py")).unwrap_err();
    assert!(error.to_string().contains("XDG_STATE_HOME"), "{error}");
}
