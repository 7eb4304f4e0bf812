//! See the function of the same name in src/fuzzing.rs.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skep::fuzzing::gather(bytes));
