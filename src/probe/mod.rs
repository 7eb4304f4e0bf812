//! Requests to what the cluster serves, as clients would send them, while its machines are lost or
//! maintained: counts of lost requests, and the longest time without an answer.

mod port;
mod stats;
mod url;

pub use port::PortProber;
pub use stats::RequestStats;
pub use url::{ProbeUrl, UrlProber};
