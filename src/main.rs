//! The entry point of the `skep` command. All code is in the library.

fn main() -> std::process::ExitCode {
    skep::cli::main()
}
