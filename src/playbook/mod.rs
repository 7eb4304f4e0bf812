//! What should be true of whom: plays, includes, variables, templates, and their resolution into bound resources.
//!
//! [`prepare()`] is the whole of it: files in, [`ResolvedPlaybook`] plays out, or every error at once. No network is touched.

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

pub use deferred::{DeferredResource, ResourceBinding};
pub use load::Playbook;
pub use play::{META_KEYS, Play, ResourceDecl};
pub use prepare::{PreparedRun, RunRequest, prepare};
pub use resolve::{HostResource, ResolveOptions, ResolvedPlay, ResolvedPlaybook, resolve};
pub use samples::{SampleFacts, sample_facts};
