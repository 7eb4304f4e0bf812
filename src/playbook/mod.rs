//! Playbooks: plays, includes, variables and templates, and their resolution into bound resources.
//!
//! [`prepare()`] does everything: it reads the files and returns a [`ResolvedPlaybook`], or all
//! errors at once. It uses no network.

mod checks;
mod deferred;
mod expand;
mod load;
mod play;
mod prepare;
mod rendered;
mod resolve;
mod resolved;
mod samples;
mod tags;
mod template;
mod variable_use;

pub use deferred::{DeferredResource, ResourceBinding};
pub use load::Playbook;
pub use play::{DrainRule, META_KEYS, Play, ResourceDecl};
pub use prepare::{PreparedRun, RunRequest, prepare};
pub use resolve::{ResolveOptions, resolve};
pub use resolved::{HostResource, ResolvedPlay, ResolvedPlaybook};
pub use samples::{SampleFacts, sample_facts};
