//! The `skep` command: parse, run, exit. All else is in the library.

fn main() -> std::process::ExitCode {
    skep::cli::main()
}
