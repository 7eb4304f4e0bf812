//! The words that kinds and the run loop share: queries and answers, observed states, changes and
//! their steps, and the contract of a kind. Data only: nothing here reads or changes a host.

mod answer;
mod change;
mod content;
mod context;
mod definition;
mod deployment;
mod docker_answer;
mod expected;
mod holding;
mod kind;
mod query;
mod step;
mod value;

pub use answer::*;
pub use change::*;
pub use content::sha256;
pub use context::*;
pub use definition::{DefinedResource, DefinitionDigest, DefinitionStart};
pub use deployment::*;
pub use docker_answer::{DockerAnswer, DockerError};
pub use expected::{ExpectedMember, ForeignData};
pub use holding::DirectoryUsage;
pub use kind::*;
pub use query::{DockerQuery, Query, RegistryCredentials, ShellQuery};
pub use step::*;
pub use value::{SecretBytes, ValueSource, keyed_digest};
