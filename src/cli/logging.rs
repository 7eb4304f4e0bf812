//! The debug log, for `-vvv` only: what the transport does, to stderr. No content, body or argument of a command is logged
//! anywhere in the crate, so it holds no secret.

use tracing_subscriber::EnvFilter;

/// Starts the log. SKEP_LOG overrides the filter (the syntax of tracing's EnvFilter).
pub fn start(verbose: u8) {
    let default = if verbose >= 3 {
        "warn,skep=debug,russh=info"
    } else {
        "off"
    };
    let filter = EnvFilter::try_from_env("SKEP_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // A second start in the same process (tests) is refused and harmless.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}
