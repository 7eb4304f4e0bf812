//! The command line of the chaos runs. Each option has an environment variable, for `make chaos`.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};

/// Part of the chaos runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChaosPart {
    /// `kill -9` at a random moment of whole applies.
    Kills,
    /// Managers that are lost while all Engines restart.
    Losses,
    /// Two applies at the same time, for two managers.
    Pairs,
    /// Upgrades that are killed, or during which a node loses power.
    Upgrades,
}

#[derive(Debug, Clone, Parser)]
#[command(name = "make chaos --")]
pub struct ChaosOptions {
    /// Parts to run; all of them by default.
    parts: Vec<ChaosPart>,
    /// Seed of all random choices; the same seed gives the same moments. Default: from the clock.
    #[arg(long, env = "CHAOS_SEED")]
    seed: Option<u64>,
    /// Number of kills that must hit a running apply.
    #[arg(long, env = "CHAOS_KILLS", default_value_t = 60)]
    pub kills: u32,
    /// Number of losses of a manager that must hit a running apply.
    #[arg(long, env = "CHAOS_LOSSES", default_value_t = 60)]
    pub losses: u32,
    /// Number of pairs of runs.
    #[arg(long, env = "CHAOS_PAIRS", default_value_t = 20)]
    pub pairs: u32,
    /// Number of events that must hit a running upgrade.
    #[arg(long, env = "CHAOS_UPGRADES", default_value_t = 20)]
    pub upgrades: u32,
    /// Number of lab environments that are used at the same time, for every part. Default: 3 for
    /// kills, 2 for losses and upgrades, 1 for pairs.
    #[arg(long, env = "CHAOS_LANES")]
    lanes: Option<usize>,
    /// Seconds within which kills happen, from bare nodes and from drifted ones, losses, and events
    /// of upgrades. A fraction of these is drawn for each trial. Default: the measured time of such
    /// a run.
    #[arg(long, env = "CHAOS_WINDOWS", value_delimiter = ',', value_names = ["BARE,DRIFTED,LOSSES,UPGRADES"])]
    windows: Vec<f64>,
}

impl ChaosOptions {
    /// Reads the arguments, and ends the process with the usage if they are wrong.
    pub fn read(arguments: &[String]) -> Self {
        let name = "make chaos --".to_owned();
        let mut options = Self::parse_from(std::iter::once(&name).chain(arguments));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        options.seed.get_or_insert(now.as_secs() % 1_000_000);
        options
    }

    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_default()
    }

    pub fn parts(&self) -> Vec<ChaosPart> {
        if self.parts.is_empty() {
            return ChaosPart::value_variants().to_vec();
        }
        self.parts.clone()
    }

    /// Returns the number of lab environments of a part.
    pub fn lanes(&self, part: ChaosPart) -> usize {
        let usual = match part {
            ChaosPart::Kills => 3,
            ChaosPart::Losses | ChaosPart::Upgrades => 2,
            ChaosPart::Pairs => 1,
        };
        self.lanes.unwrap_or(usual).max(1)
    }

    /// Returns a given window in seconds: 0 is from bare, 1 is from drifted, 2 is for losses,
    /// 3 is for upgrades.
    pub fn window(&self, at: usize) -> Option<f64> {
        self.windows
            .get(at)
            .copied()
            .filter(|seconds| *seconds > 0.0)
    }
}

impl fmt::Display for ChaosOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {};", self.seed())?;
        for part in self.parts() {
            let (count, name) = match part {
                ChaosPart::Kills => (self.kills, "kills"),
                ChaosPart::Losses => (self.losses, "losses"),
                ChaosPart::Pairs => (self.pairs, "pairs"),
                ChaosPart::Upgrades => (self.upgrades, "upgrades"),
            };
            write!(
                f,
                " {count} {name} in {} lab environments;",
                self.lanes(part)
            )?;
        }
        write!(f, " failed trials stay in target/chaos")
    }
}
