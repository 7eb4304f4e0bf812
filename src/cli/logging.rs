//! The debug log of the transport, on stderr, for `-vvv` only. The crate logs no content, body or
//! argument of a command anywhere, so the log holds no secret.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts the log. `SKEP_LOG` overrides the filter: levels (`debug`) and `target=level` pairs,
/// separated by commas.
pub(super) fn start(verbose: u8) {
    let filter = filter(std::env::var("SKEP_LOG").ok().as_deref(), verbose);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // A second start in the same process (tests) is refused and harmless.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
}

/// Returns the filter of `SKEP_LOG`. If it is not set or invalid, `-vvv` decides.
fn filter(wanted: Option<&str>, verbose: u8) -> Targets {
    let quiet = Targets::new().with_default(LevelFilter::OFF);
    let default = if verbose >= 3 {
        quiet
            .with_default(LevelFilter::WARN)
            .with_target("skep", LevelFilter::DEBUG)
            .with_target("russh", LevelFilter::INFO)
    } else {
        quiet
    };
    let Some(wanted) = wanted else {
        return default;
    };
    let directives: Vec<&str> = wanted
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
        .collect();
    if directives.is_empty() {
        return default;
    }
    directives.join(",").parse().unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::filter;

    /// The most verbose level that a filter lets through, for `skep::ssh`, `russh::client` and
    /// `tokio`.
    fn levels(wanted: Option<&str>, verbose: u8) -> [LevelFilter; 3] {
        let filter = filter(wanted, verbose);
        ["skep::ssh", "russh::client", "tokio"].map(|target| {
            let passes = |level: &LevelFilter| {
                level
                    .into_level()
                    .is_some_and(|level| filter.would_enable(target, &level))
            };
            [
                LevelFilter::TRACE,
                LevelFilter::DEBUG,
                LevelFilter::INFO,
                LevelFilter::WARN,
                LevelFilter::ERROR,
            ]
            .into_iter()
            .find(passes)
            .unwrap_or(LevelFilter::OFF)
        })
    }

    #[test]
    fn skep_log_overrides_the_verbosity() {
        const OFF: LevelFilter = LevelFilter::OFF;
        const WARN: LevelFilter = LevelFilter::WARN;
        const INFO: LevelFilter = LevelFilter::INFO;
        const DEBUG: LevelFilter = LevelFilter::DEBUG;
        const TRACE: LevelFilter = LevelFilter::TRACE;
        for (wanted, verbose, expected) in [
            (None, 0, [OFF, OFF, OFF]),
            (None, 2, [OFF, OFF, OFF]),
            (None, 3, [DEBUG, INFO, WARN]),
            (Some("off"), 3, [OFF, OFF, OFF]),
            (Some("debug"), 0, [DEBUG, DEBUG, DEBUG]),
            (Some("TRACE"), 0, [TRACE, TRACE, TRACE]),
            (Some("skep=debug"), 0, [DEBUG, OFF, OFF]),
            (Some("skep"), 0, [TRACE, OFF, OFF]),
            (Some("warn,skep=debug,russh=info"), 0, [DEBUG, INFO, WARN]),
            (Some("warn, skep::ssh=trace,"), 0, [TRACE, WARN, WARN]),
            // An empty or invalid value changes nothing.
            (Some(""), 3, [DEBUG, INFO, WARN]),
            (Some("skep=loud"), 3, [DEBUG, INFO, WARN]),
            (Some("skep=loud"), 0, [OFF, OFF, OFF]),
        ] {
            assert_eq!(levels(wanted, verbose), expected, "{wanted:?} {verbose}");
        }
    }
}
