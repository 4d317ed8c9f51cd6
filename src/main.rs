//! The thin binary: everything it does lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    backstop::cli::main()
}
