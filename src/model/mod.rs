//! The data types that kinds and the runner share: queries and answers, observed states, changes
//! and their steps, and the contract of a kind. Data only: no code here reads or changes a host.

mod answer;
mod change;
mod content;
mod context;
mod definition;
mod deployment;
mod docker_answer;
mod docker_filter;
mod effect;
mod expected;
mod holding;
mod kind;
mod node_request;
mod query;
mod raft;
mod step;
mod updates;
mod value;

pub use answer::*;
pub use change::*;
pub use content::sha256;
pub use context::*;
pub use definition::{APPLIED_RECORD, DefinedResource, DefinitionDigest, DefinitionStart};
pub use deployment::*;
pub use docker_answer::{DockerAnswer, DockerError};
pub use docker_filter::{docker_filters, query_value};
pub use effect::{AlteredPath, ChangeEffect};
pub use expected::{ExpectedMember, ForeignData, PinnedVersion};
pub use holding::DirectoryUsage;
pub use kind::*;
pub use node_request::{NodeEffect, NodeRequest};
pub use query::{DockerQuery, Query, RegistryCredentials, ShellQuery};
pub use raft::RaftPosition;
pub use step::*;
pub use updates::{PackageUpdate, RebootState};
pub use value::{SecretBytes, ValueSource, keyed_digest};
