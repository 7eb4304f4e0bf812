//! skep's access to Docker: the client of the Docker Engine API, the proxy that records or forwards
//! the requests of this machine's `docker` command, and the convergence of stacks. Hosts are
//! reached through `transport`, which knows nothing of Docker but the path of its socket.

mod client;
mod command;
mod convergence;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod private_folder;
mod proxy;
mod request_stream;
mod stack_command;

pub use client::{DockerClient, RequestBody};
pub use command::{ClientCall, ClientOutput, run_client};
pub use convergence::{ConvergenceFailure, ConvergenceWatch, STABLE_FOR, ServiceConvergence};
pub use private_folder::PrivateFolder;
pub use proxy::{
    DockerProxy, EmptySwarm, ProxiedRead, ProxiedWrite, ProxyReader, ProxyWriter, RecordedWrite,
};
pub use stack_command::{list_of, run_stack_deploy};
