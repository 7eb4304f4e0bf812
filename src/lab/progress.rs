//! The callback by which the lab reports the work in progress. The lab itself prints nothing.

/// Receives one line of text at a time, from several threads.
pub type ProgressFn<'a> = &'a (dyn Fn(&str) + Sync);
