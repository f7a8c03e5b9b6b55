//! The program: hands the command line to [`dotmac_edge::cli`] and its exit status to the system.
//! Nothing is decided here.

use std::process::ExitCode;

fn main() -> ExitCode {
    dotmac_edge::cli::main(std::env::args_os())
}
