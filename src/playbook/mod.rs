//! What should be true of whom: plays, includes, variables, templates, and their resolution into bound resources.
//!
//! [`prepare()`] is the whole of it: files in, [`Resolved`] plays out, or every error at once. No network is touched.

mod checks;
mod deferred;
mod expand;
mod load;
mod play;
mod prepare;
mod rendered;
mod resolve;
mod samples;
mod tags;
mod template;
mod work;

pub use deferred::{Deferred, GoalResource};
pub use load::Playbook;
pub use play::{META_KEYS, Play, Unit};
pub use prepare::{Prepared, Request, prepare};
pub use resolve::{Goal, Options, Resolved, ResolvedPlay, resolve};
pub use samples::{SampleFacts, sample_facts};
